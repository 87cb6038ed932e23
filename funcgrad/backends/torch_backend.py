"""PyTorch: programs on its devices, "torch:cpu", "torch:cuda:0", "torch:mps" and "torch:xpu", by one code path.

Operations are PyTorch's own where it has them (`torch_lower_*.py`), and otherwise those of the array API standard over
`array-api-compat`. Programs become Python source over them (`torch_emit.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from funcgrad._array import Device
from funcgrad.backends._lowerings import Lowering
from funcgrad.backends._optional import optional
from funcgrad.backends.array_api import ArrayAPIBackend, has
from funcgrad.backends.base import Implementation, UnsupportedOperationError
from funcgrad.backends.torch_lower_arrays import ARRAYS
from funcgrad.backends.torch_lower_elementwise import ELEMENTWISE
from funcgrad.backends.torch_lower_random import RANDOM
from funcgrad.backends.torch_program import TorchProgram
from funcgrad.ir import Equation, Program
from funcgrad.types import KEYS, ShapedArray

__all__ = ["TorchBackend", "devices"]

NATIVE: Mapping[str, Lowering] = {**ARRAYS, **ELEMENTWISE, **RANDOM}
"""What PyTorch's own operators do: it comes before what the array API standard has."""


THREEFRY = KEYS["threefry2x32"]
"""The dtype of keys that tensors can hold: two words of 32 bits are an integer of 64."""


def _torch(what: str) -> Any:
    return optional("torch", what, "torch")


def _count(torch: Any, kind: str) -> int:
    """How many devices of a kind PyTorch sees."""
    if kind == "cpu":
        return 1
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = getattr(torch, kind, None)
    return module.device_count() if module is not None and module.is_available() else 0


def devices() -> list[Device]:
    """PyTorch's devices. Raises ImportError without PyTorch."""
    torch = _torch("devices('torch')")
    found = [Device(f"torch:{kind}:{i}") for kind in ("cuda", "xpu") for i in range(_count(torch, kind))]
    return [Device("torch:cpu"), *found, *([Device("torch:mps")] if _count(torch, "mps") else [])]


_INSTALL = {
    "cuda": "a build of PyTorch for CUDA (https://pytorch.org/get-started/locally) and NVIDIA's driver",
    "xpu": "a build of PyTorch for XPU and Intel's driver",
    "mps": "PyTorch on macOS 14 or newer, on Apple silicon",
}


def _found(torch: Any, device: Device) -> Any:
    """PyTorch's device of this name; raises RuntimeError where it is not there."""
    if device.kind not in ("cpu", *_INSTALL):
        raise RuntimeError(f"the device {str(device)!r} is not known: PyTorch's are called cpu, cuda:0, mps, xpu:0")
    count = _count(torch, device.kind)
    if device.id >= count:
        sees = f"PyTorch {torch.__version__} sees {count or 'no'} devices of the kind {device.kind}"
        raise RuntimeError(f"the device {str(device)!r} is not there: {sees}; install {_INSTALL.get(device.kind)}")
    return torch.device(device.kind, device.id) if device.kind in ("cuda", "xpu") else torch.device(device.kind)


class TorchBackend(ArrayAPIBackend):
    """Programs over PyTorch's tensors, on one of its devices.

    Args:
        device: "torch:cpu", "torch:cuda:1", "torch:mps", "torch:xpu:0".

    Raises ImportError without PyTorch (`pip install 'funcgrad[torch]'`), RuntimeError where there is no such device.
    """

    def __init__(self, device: str = "torch:cpu") -> None:
        place = Device(device if device.startswith("torch") else f"torch:{device}")
        what = f"the device {str(place)!r}"
        self.torch = torch = _torch(what)
        self.torch_device = _found(torch, place)
        super().__init__(optional("array_api_compat.torch", what, "torch"), str(place), self.torch_device, place)
        self._standard = self.lowerings
        self._own = {
            name: partial(entry.function, torch)
            for name, entry in NATIVE.items()
            if all(has(torch, needed) for needed in entry.needs)
        }
        self.lowerings: Mapping[str, Implementation] = MappingProxyType({**self._standard, **self._own})
        self._probed: dict[Any, bool] = {}
        self.dtypes: dict[Any, np.dtype[Any]] = {
            getattr(torch, d.name): d for d in map(np.dtype, "?bhilBHILefdFD") if hasattr(torch, d.name)
        }

    def __repr__(self) -> str:
        return f"TorchBackend({str(self.device)!r})"

    def asarray(self, x: np.ndarray) -> Any:
        torch = self.torch
        if not self.has_dtype(x.dtype):
            raise UnsupportedOperationError(
                f"the device {str(self.device)!r} has no arrays of dtype {x.dtype}; convert "
                f"{ShapedArray(x.shape, x.dtype)} with .astype"
            )
        given = np.array(x)  # in the order of the machine, and nobody else's
        if given.dtype == THREEFRY:
            given = given.view(np.int64)
        return torch.from_numpy(given).to(self.torch_device)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x.detach().resolve_conj().resolve_neg().cpu().numpy())

    def taken(self, x: Any) -> tuple[Any, np.dtype[Any]] | None:
        """A tensor that is on this device already, without its gradient, and its dtype; None for anything else."""
        if not isinstance(x, self.torch.Tensor) or x.device != self.torch_device or x.dtype not in self.dtypes:
            return None
        return x.detach().resolve_conj().resolve_neg(), self.dtypes[x.dtype]

    def supports(self, eqn: Equation) -> bool:
        return self._chosen(eqn) is not None

    def lowering(self, eqn: Equation) -> Implementation:
        found = self._chosen(eqn)
        return self.lowerings[eqn.primitive.name] if found is None else found

    def _chosen(self, eqn: Equation) -> Implementation | None:
        """What implements an equation: PyTorch's own operators, or those of the standard; None if nothing does."""
        name = eqn.primitive.name
        if not all(self.has_dtype(a.aval.dtype) for a in (*eqn.inputs, *eqn.outputs)):
            return None
        entry = NATIVE.get(name)
        takes = entry is not None and all(a.aval.dtype.kind in entry.kinds for a in eqn.inputs)
        if takes and name in self._own and (entry.when is None or entry.when(eqn)):  # type: ignore[union-attr]
            if self._runs(eqn, self._own[name]):
                return self._own[name]
        if eqn.primitive.moves and any(a.aval.dtype == THREEFRY for a in eqn.inputs):
            return self._standard.get(name)
        if name in self._standard and super().supports(eqn) and self._runs(eqn, self._standard[name]):
            return self._standard[name]
        return None

    def is_own(self, eqn: Equation) -> bool:
        """Whether an equation is done by PyTorch's own operators."""
        return self._chosen(eqn) is self._own.get(eqn.primitive.name)

    def dtype_of(self, dtype: np.dtype[Any]) -> Any:
        """PyTorch's name for a dtype."""
        return self.torch.int64 if dtype == THREEFRY else getattr(self.torch, dtype.name)

    def compile(self, program: Program, donated: Sequence[bool] = ()) -> TorchProgram:
        """The program as generated code. Memory of what is donated goes to the allocator as soon as it is dead."""
        return TorchProgram(program, self)

    def has_dtype(self, dtype: np.dtype[Any]) -> bool:
        """Whether there are tensors of this dtype on the device. (Random keys are the integers of their bits.)"""
        if dtype == THREEFRY:
            return True
        lacks = ("float64", "complex128") if self.device.kind == "mps" else ()
        return dtype.names is None and hasattr(self.torch, dtype.name) and dtype.name not in lacks

    def _runs(self, eqn: Equation, implementation: Implementation) -> bool:
        """Whether PyTorch has a kernel for these dtypes: an elementwise operation is tried with single elements."""
        if not (eqn.primitive.pointwise or eqn.primitive.ufunc is not None) or eqn.primitive.moves:
            return True
        dtypes = tuple(a.aval.dtype for a in eqn.inputs)
        key = implementation, dtypes, tuple(eqn.params.items())
        found = self._probed.get(key)
        if found is None:
            torch = self.torch
            ones = [torch.ones((1,), dtype=torch.int64).to(getattr(torch, d.name)) for d in dtypes]
            try:
                out = implementation(*(x.to(self.torch_device) for x in ones), **eqn.params)
                found = out.dtype == getattr(torch, eqn.outputs[0].aval.dtype.name)
            except (RuntimeError, TypeError, NotImplementedError):
                found = False
            self._probed[key] = found
        return found

    def synchronize(self) -> None:
        kind = self.device.kind
        if kind != "cpu":
            getattr(self.torch, kind).synchronize(*([] if kind == "mps" else [self.torch_device]))

    def is_out_of_memory(self, error: Exception) -> bool:
        host = isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
        return host or isinstance(error, self.torch.OutOfMemoryError)

    def free_memory(self) -> None:
        kind = self.device.kind
        if kind != "cpu":
            getattr(self.torch, kind).empty_cache()
