"""Generated code on tensors that only pretend to be on a device: does everything stay there?

    python -m tools.fake_devices [cuda] [mps] [xpu] [--programs] [--only NAME]

PyTorch's fake tensors have a shape, a dtype and a device, and no elements. So on any machine it is seen whether
results are on the device, with the shapes and dtypes of the program, and whether a value is asked for on the way
(which raises).
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from funcgrad._places import Device
from funcgrad.backends import UnsupportedOperationError, get_backend
from funcgrad.backends.array_api import OnOneDevice
from funcgrad.backends.torch_backend import TorchBackend
from funcgrad.backends.torch_lower_arrays import OVERRIDES
from funcgrad.backends.torch_program import TorchProgram
from funcgrad.ir import Equation, Program
from tools.backend_table import operations, programs

KINDS = ("cuda", "mps", "xpu")
ASKS = {"cond", "while", "while_transpose", "guard", "debug_callback", "keep", "pure_callback", "io_callback"}
"""What may ask for values."""


class FakeBackend(TorchBackend):
    """PyTorch's device of a kind, with fake tensors; to be used within `mode`."""

    def __init__(self, kind: str) -> None:
        super().__init__("torch:cpu", float64="float32" if kind == "mps" else None)
        self.mode = FakeTensorMode()
        self._device = Device(f"torch:{kind}")
        self.torch_device = torch.device(kind, 0)
        self.xp = OnOneDevice(self.xp._xp, self.torch_device)
        vars(self.xp).update({name: partial(function, torch) for name, function in OVERRIDES.items()})
        self._standard = MappingProxyType(
            {name: type(f)(f.func, self.xp, *f.args[1:]) for name, f in self._standard.items()}  # type: ignore[attr-defined]
        )

    def _runs(self, eqn: Equation, implementation: Any) -> bool:
        """Which kernels there are is asked of the processor."""
        return get_backend("torch:cpu").supports(eqn)

    def tensor(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        """A fake tensor of the device."""
        narrow = self.stored(_aval(shape, dtype)).dtype
        return torch.empty(tuple(shape), dtype=self.dtype_of(narrow), device=self.torch_device)

    def asarray(self, x: np.ndarray) -> Any:
        return self.tensor(x.shape, x.dtype)

    def to_numpy(self, x: Any) -> Any:
        raise RuntimeError("a value came to the host")


def _aval(shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    from funcgrad import ShapedArray

    return ShapedArray(tuple(shape), dtype)


def _primitives(program: Program) -> set[str]:
    found = {e.primitive.name for e in program.equations}
    for eqn in program.equations:
        for value in eqn.params.values():
            for p in value if isinstance(value, tuple) else (value,):
                found |= _primitives(p) if isinstance(p, Program) else set()
    return found


def outcome(backend: FakeBackend, program: Program) -> tuple[str, str]:
    """ "right", "refused", "asks" (where it may) or "wrong", and why."""
    with backend.mode:
        try:
            run = TorchProgram(program, backend)
        except UnsupportedOperationError as error:
            return "refused", str(error).partition(":")[0]
        values = [backend.tensor(a.shape, a.dtype) for a in program.in_avals]
        try:
            results, _ = run.run(values)
        except Exception as error:
            if _primitives(program) & ASKS:
                return "asks", ""
            return "wrong", f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    for x, a in zip(results, program.out_avals, strict=True):
        want = backend.dtype_of(backend.stored(a).dtype)
        if x.device != backend.torch_device or tuple(x.shape) != a.shape or x.dtype != want:
            return "wrong", f"{x.dtype}{tuple(x.shape)} on {x.device} in place of {want}{a.shape}"
    return "right", ""


def table(kind: str, rows: Iterator[tuple[str, str, Program, list[Any]]]) -> dict[str, list[tuple[str, str, str]]]:
    """The rows by their outcome on a kind of device."""
    backend = FakeBackend(kind)
    found: dict[str, list[tuple[str, str, str]]] = collections.defaultdict(list)
    for name, how, program, _ in rows:
        result, why = outcome(backend, program)
        found[result].append((name, how, why))
    return found


def main() -> int:
    """Run the table for the kinds that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--programs", action="store_true", help="the test programs in place of the operations")
    parser.add_argument("--only", default="", help="part of a name")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    fine = True
    for kind in given.kinds:
        found = table(kind, programs(given.only) if given.programs else operations(given.only))
        print(
            f"{kind}: " + ", ".join(f"{len(found[k])} {k}" for k in ("right", "refused", "asks", "wrong") if found[k])
        )
        for name, how, why in found["wrong"]:
            print(f"  wrong: {name} ({how}): {why}")
        fine = fine and not found["wrong"]
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
