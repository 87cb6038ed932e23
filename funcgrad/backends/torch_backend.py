"""PyTorch: programs on its devices, "torch:cpu", "torch:cuda:0", "torch:mps" and "torch:xpu", by one code path.

Operations are PyTorch's own where it has them (`torch_lower_*.py`), and otherwise those of the array API standard over
`array-api-compat`. Programs become Python source over them (`torch_emit.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from funcgrad._places import Device
from funcgrad.backends._lowerings import Lowering
from funcgrad.backends._optional import optional
from funcgrad.backends.array_api import LOWERINGS, ArrayAPIBackend, has
from funcgrad.backends.base import Backend, Implementation, UnsupportedOperationError
from funcgrad.backends.narrow import narrow_aval, narrow_dtype
from funcgrad.backends.torch_lower_arrays import ARRAYS, OVERRIDES
from funcgrad.backends.torch_lower_elementwise import ELEMENTWISE, as_signed
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


def _is_elementwise(eqn: Equation) -> bool:
    """Whether an equation is done element by element, and computes something."""
    return bool(eqn.primitive.pointwise or eqn.primitive.ufunc is not None) and not eqn.primitive.moves


class Options(NamedTuple):
    """What a `TorchBackend` was told; see there."""

    compile: bool
    graph: bool
    float64: str | None
    matmul_precision: str
    deterministic: bool


_PRECISIONS = ("highest", "high", "medium")


class TorchBackend(ArrayAPIBackend):
    """Programs over PyTorch's tensors, on one of its devices: `jit(f, backend=TorchBackend("torch:cuda", graph=True))`.

    Args:
        device: "torch:cpu", "torch:cuda:1", "torch:mps", "torch:xpu:0".
        compile: hand straight pieces of a program to Inductor, PyTorch's compiler: some ten seconds for the first call.
            Another process has the result from disk: on the processor as a library in the user's cache folder
            (`config.native_cache`), which takes milliseconds to load, elsewhere by PyTorch's own cache, which takes
            seconds. Where it fails, a CompileFallbackWarning says why, and the piece is run as it is.
        graph: replay the program as a CUDA graph, over buffers that it keeps; a program that asks for values on its way
            (`cond`, `while_loop`, callbacks) is run as it is. On other devices the buffers are the same.
        float64: "float32" to compute in float32 what is float64 (and complex64 for complex128), on a device that has
            not got it, such as "torch:mps"; without, a program with float64 is refused there.
        matmul_precision: "highest" for products of float32 in float32; "high" or "medium" allow TensorFloat-32 on CUDA.
        deterministic: sums at places that repeat in an order that is always the same, at a price on CUDA.

    Arrays on the device are of the same device, whatever the options. What is computed from results afterwards, outside
    of a function with this backend, is computed without options.

    Raises ImportError without PyTorch (`pip install 'funcgrad[torch]'`), RuntimeError where there is no such device,
    ValueError for an option that is not among these.
    """

    def __init__(
        self,
        device: str = "torch:cpu",
        *,
        compile: bool = False,
        graph: bool = False,
        float64: str | None = None,
        matmul_precision: str = "highest",
        deterministic: bool = False,
    ) -> None:
        if float64 not in (None, "float32") or matmul_precision not in _PRECISIONS:
            raise ValueError(
                f"TorchBackend: float64 is None or 'float32', got {float64!r}; matmul_precision is one of "
                f"{_PRECISIONS}, got {matmul_precision!r}"
            )
        self.options = Options(compile, graph, float64, matmul_precision, deterministic)
        place = Device(device if device.startswith("torch") else f"torch:{device}")
        what = f"the device {str(place)!r}"
        self.torch = torch = _torch(what)
        self.torch_device = _found(torch, place)
        super().__init__(optional("array_api_compat.torch", what, "torch"), str(place), self.torch_device, place)
        vars(self.xp).update({name: partial(function, torch) for name, function in OVERRIDES.items()})
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

    @property
    def home(self) -> Backend:
        return import_module("funcgrad.backends").get_backend(self.device)

    def stored(self, aval: ShapedArray) -> ShapedArray:
        return narrow_aval(aval) if self.options.float64 else aval

    def __repr__(self) -> str:
        plain = Options(False, False, None, "highest", False)
        told = [f", {n}={v!r}" for n, v, w in zip(plain._fields, self.options, plain, strict=True) if v != w]
        return f"TorchBackend({str(self.device)!r}{''.join(told)})"

    def asarray(self, x: np.ndarray) -> Any:
        self.check_dtype(ShapedArray(x.shape, x.dtype))
        given = np.array(x, narrow_dtype(x.dtype) if self.options.float64 else x.dtype)  # nobody else's
        if given.dtype == THREEFRY:
            given = given.view(np.int64)
        return self.torch.from_numpy(given).to(self.torch_device)

    def check_dtype(self, aval: ShapedArray) -> None:
        if not self.has_dtype(self.stored(aval).dtype):
            raise UnsupportedOperationError(
                f"the device {str(self.device)!r} has no arrays of dtype {aval.dtype}; convert {aval} with .astype"
                + (", or use TorchBackend(float64='float32')" if aval.dtype.name in ("float64", "complex128") else "")
            )

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x.detach().resolve_conj().resolve_neg().cpu().numpy())

    def taken(self, x: Any) -> tuple[Any, np.dtype[Any]] | None:
        """A tensor that is on this device already, without its gradient, and its dtype; None for anything else.

        Raises TypeError for one that NumPy has no like of: bfloat16, sparse, quantised, nested.
        """
        torch = self.torch
        if not isinstance(x, torch.Tensor) or x.device != self.torch_device:
            return None
        if x.dtype not in self.dtypes:
            raise TypeError(f"a tensor of {x.dtype}, which NumPy's arrays do not have: convert it, x.to(torch.float32)")
        if x.layout != torch.strided or x.is_nested:
            what = "a nested tensor" if x.is_nested else f"a tensor of the layout {x.layout}"
            raise TypeError(f"{what}: make it a plain one, x.to_dense()")
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
        if self.options.deterministic and name == "scatter_add":  # by sorting, as there is nothing else
            entry = None
        takes = entry is not None and all(a.aval.dtype.kind in entry.kinds for a in eqn.inputs)
        if takes and name in self._own and (entry.when is None or entry.when(eqn)):  # type: ignore[union-attr]
            if self._runs(eqn, self._own[name]):
                return self._without_sign(eqn, self._own[name], entry.kinds)  # type: ignore[union-attr]
        if eqn.primitive.moves and any(a.aval.dtype == THREEFRY for a in eqn.inputs):
            return self._standard.get(name)
        if name in self._standard and super().supports(eqn) and self._runs(eqn, self._standard[name]):
            return self._without_sign(eqn, self._standard[name], LOWERINGS[name].kinds)
        return None

    def _without_sign(self, eqn: Equation, implementation: Implementation, kinds: str) -> Implementation | None:
        """An implementation that takes integers of 16 bits and more without a sign, for which PyTorch has few kernels:
        by signed ones, where it does not say by a "w" among its kinds that it takes them. What complex numbers have as
        well is arithmetic, or moves elements; everything else goes by their order."""
        wide = [i for i, a in enumerate(eqn.inputs) if a.aval.dtype.kind == "u" and a.aval.dtype.itemsize > 1]
        if not wide or "w" in kinds or _is_elementwise(eqn):
            return implementation
        if "axes" in eqn.params and len(eqn.inputs) > 1 and wide[-1] >= len(eqn.inputs) - len(eqn.params["axes"]):
            return None  # indices
        results = tuple(self.dtype_of(v.aval.dtype) for v in eqn.outputs)
        return partial(as_signed, self.torch, implementation, "c" not in kinds, results)

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
        if not _is_elementwise(eqn):
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
