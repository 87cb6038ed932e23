"""What a backend is: arrays on a device, and an implementation of each primitive there.

A backend need not know of programs: `runner.py` compiles one for it, and does promotion, control flow and memory. Its
implementations get arrays of the device, whose dtypes are those in which the operation is to be done. One that has a
method `compile(program, donated)` compiles programs itself (NumPy's and PyTorch's do); what that returns has the
attributes and methods of `runner.DeviceProgram`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from funcgrad._places import Device
from funcgrad.errors import operands_text
from funcgrad.ir import Equation
from funcgrad.source import describe
from funcgrad.types import ShapedArray

__all__ = ["Backend", "Implementation", "UnsupportedOperationError", "check_dtypes", "unsupported"]

Implementation = Callable[..., Any]
"""`implementation(*arrays, **params)`: an array of the device, or a sequence of them for several results."""


class UnsupportedOperationError(NotImplementedError):
    """A backend has no implementation of an operation, for these operands and parameters."""


class Backend(Protocol):
    """Arrays on a device, and what computes with them.

    Attributes:
        name: what messages call it.
        lowerings: implementations by the primitive's name, called as `implementation(*arrays, **params)`. They leave
            their operands as they are; a result may share memory with an operand. All operands of an elementwise
            primitive have the dtype of NumPy's loop. Besides primitives the table has what loops are made of:
            `unstack(x)`, a sequence of the slices along the first axis, and `stack(*slices)`, its inverse.
        device: where its arrays are; what `DeviceArray.device` says. Backends of one device take each other's arrays.
        home: the backend that runs what is done with its results afterwards: without options, itself.
        notes_donations: whether `donate` wants to be called.

    >>> from funcgrad.backends import NumpyBackend
    >>> backend = NumpyBackend()
    >>> backend.to_numpy(backend.lowerings["add"](backend.asarray(np.ones(2)), backend.asarray(np.ones(2))))
    array([2., 2.])
    """

    name: str
    lowerings: Mapping[str, Implementation]
    notes_donations: bool = False

    @property
    def device(self) -> Device:
        return Device(self.name)

    @property
    def home(self) -> Backend:
        return self

    def asarray(self, x: np.ndarray) -> Any:
        """An array of the host on the device; nobody will write to either."""
        ...

    def to_numpy(self, x: Any) -> np.ndarray:
        """An array of the device on the host, in memory that nothing else shares."""
        ...

    def supports(self, eqn: Equation) -> bool:
        """Whether there is an implementation for these operands (their shapes and dtypes) and parameters."""
        return eqn.primitive.name in self.lowerings

    def lowering(self, eqn: Equation) -> Implementation:
        """The implementation for an equation that is supported: of several under one name, that which takes it."""
        return self.lowerings[eqn.primitive.name]

    def synchronize(self) -> None:
        """Wait until everything that was launched is done."""

    def stored(self, aval: ShapedArray) -> ShapedArray:
        """The shape and dtype of an array on the device that stands for one of these; mostly the same."""
        return aval

    def check_dtype(self, aval: ShapedArray) -> None:
        """Raise UnsupportedOperationError where the device has no arrays of this dtype."""

    def donate(self, x: Any) -> None:
        """An array that nobody will read any more; it shares memory with no result."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether an error says that the device has too little memory."""
        return False

    def free_memory(self) -> None:
        """Give memory back that is kept for later, after such an error."""


def check_dtypes(backend: Backend, avals: Iterable[ShapedArray]) -> None:
    """Raise UnsupportedOperationError where a device has no arrays of one of these dtypes."""
    check = getattr(backend, "check_dtype", None)
    for aval in avals if check is not None else ():
        check(aval)  # type: ignore[misc]


def unsupported(backend: Backend, eqn: Equation) -> UnsupportedOperationError:
    """The error for an equation that a backend does not support."""
    name, place = eqn.primitive.name, describe(eqn.source)
    missing = name not in backend.lowerings
    why = "there is no implementation of it" if missing else "its implementation does not take these"
    results = ", ".join(str(v.aval) for v in eqn.outputs)
    return UnsupportedOperationError(
        f"{name}: not supported by the backend {backend.name!r}: {why}; use backend='numpy', or other operations\n"
        f"  operands: {operands_text(a.aval for a in eqn.inputs)}; results: {results}"
        + (f"\n  at {place}" if place else "")
    )
