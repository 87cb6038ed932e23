"""PyTorch: programs on its devices, "torch:cpu", "torch:cuda:0", "torch:mps" and "torch:xpu", by one code path.

Operations are PyTorch's own where it has them (`torch_lower_*.py`), and otherwise those of the array API standard over
`array-api-compat`. Programs become Python source over them (`torch_emit.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from funcgrad._array import Device
from funcgrad.backends._lowerings import Lowering
from funcgrad.backends._optional import optional
from funcgrad.backends.array_api import ArrayAPIBackend
from funcgrad.backends.base import Implementation, UnsupportedOperationError
from funcgrad.backends.torch_lower_arrays import ARRAYS
from funcgrad.backends.torch_lower_elementwise import ELEMENTWISE
from funcgrad.ir import Equation
from funcgrad.types import ShapedArray

__all__ = ["TorchBackend", "devices"]

NATIVE: Mapping[str, Lowering] = {**ARRAYS, **ELEMENTWISE}
"""What PyTorch's own operators do: it comes before what the array API standard has."""


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
        own = {name: partial(entry.function, torch) for name, entry in NATIVE.items()}
        self.lowerings: Mapping[str, Implementation] = MappingProxyType({**self.lowerings, **own})
        self.dtypes: dict[Any, np.dtype[Any]] = {
            getattr(torch, d.name): d for d in map(np.dtype, "?bhilBHILefdFD") if hasattr(torch, d.name)
        }

    def __repr__(self) -> str:
        return f"TorchBackend({str(self.device)!r})"

    def asarray(self, x: np.ndarray) -> Any:
        torch = self.torch
        if not hasattr(torch, x.dtype.name) or (
            self.device.kind == "mps" and x.dtype.name in ("float64", "complex128")
        ):
            raise UnsupportedOperationError(
                f"the device {str(self.device)!r} has no arrays of dtype {x.dtype}; convert "
                f"{ShapedArray(x.shape, x.dtype)} with .astype"
            )
        return torch.from_numpy(np.array(x)).to(self.torch_device)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x.detach().resolve_conj().resolve_neg().cpu().numpy())

    def taken(self, x: Any) -> tuple[Any, np.dtype[Any]] | None:
        """A tensor that is on this device already, without its gradient, and its dtype; None for anything else."""
        if not isinstance(x, self.torch.Tensor) or x.device != self.torch_device or x.dtype not in self.dtypes:
            return None
        return x.detach().resolve_conj().resolve_neg(), self.dtypes[x.dtype]

    def supports(self, eqn: Equation) -> bool:
        entry = NATIVE.get(eqn.primitive.name)
        if entry is not None and all(a.aval.dtype.kind in entry.kinds for a in eqn.inputs):
            if entry.when is None or entry.when(eqn):
                return True
        return super().supports(eqn)

    def synchronize(self) -> None:
        kind = self.device.kind
        if kind != "cpu":
            getattr(self.torch, kind).synchronize(*([] if kind == "mps" else [self.torch_device]))

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, self.torch.OutOfMemoryError)

    def free_memory(self) -> None:
        kind = self.device.kind
        if kind != "cpu":
            getattr(self.torch, kind).empty_cache()
