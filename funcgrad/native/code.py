"""What emission gives: the text of a function and what it is to be called with.

The text defines

    define internal i32 @run(ptr, …, ptr)

with a pointer for each of, in this order: inputs, outputs, constants, slots of the workspace, externals, host steps
(`NativeCode.pointers` of them). Inputs and outputs are contiguous and aligned; outputs share no memory with inputs, nor
with one another. Constants are read only. Slots are aligned to 64 bytes, and belong to one running call. Externals are
addresses of functions. A host step is a Python object to be called without arguments.

The result is a status: 0; `AGAIN`, the call is to be run by NumPy; or `RAISED`, a Python exception is set. Who calls
it clears the floating-point flags before, and reads them after.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.core import Primitive
from funcgrad.source import Source
from funcgrad.types import ShapedArray

__all__ = [
    "AGAIN",
    "DIVIDE",
    "INVALID",
    "OVERFLOW",
    "RAISED",
    "SHARE",
    "SHARE_BLAS",
    "UNDERFLOW",
    "HostStep",
    "NativeCode",
    "Place",
]

AGAIN, RAISED = 1, 2
"""Status: run the call again by NumPy; a Python exception is set."""

SHARE, SHARE_BLAS = "funcgrad_share", "funcgrad_share_blas"
"""The symbols of `pool`'s functions `i32 share(ptr function, ptr context, i64 parts)`: the second one keeps BLAS to one
thread meanwhile."""

INVALID, DIVIDE, OVERFLOW, UNDERFLOW = 1, 4, 8, 16
"""Floating-point flags, as they lie in x86's MXCSR."""


class Place(NamedTuple):
    """Where an operand or a result of a host step lies.

    Attributes:
        slot: the slot of the workspace; -1 for what is `value`.
        offset: of its first element, in bytes.
        shape, dtype: the array is contiguous.
        value: a literal or a constant.
    """

    slot: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    value: Any = None


class HostStep(NamedTuple):
    """An equation that NumPy does, by a call from the machine code.

    Attributes:
        primitive, params, source: of the equation; `primitive.impl(*operands, **params)` gives the result(s).
        operands, results: where they lie.
        reason: why it is one, in words.
    """

    primitive: Primitive
    params: dict[str, Any]
    operands: tuple[Place, ...]
    results: tuple[Place, ...]
    source: Source
    reason: str


class NativeCode(NamedTuple):
    """What `lower` gives.

    Attributes:
        text: the module.
        inputs, outputs: what `@run` takes and writes.
        constants: arrays that the program holds, contiguous.
        workspace: the bytes of each slot.
        externals: symbols of functions outside.
        host_steps: what is done by NumPy.
        equations: how many equations were emitted, those of loops included.
    """

    text: str
    inputs: tuple[ShapedArray, ...]
    outputs: tuple[ShapedArray, ...]
    constants: tuple[np.ndarray, ...]
    workspace: tuple[int, ...]
    externals: tuple[str, ...]
    host_steps: tuple[HostStep, ...]
    equations: int

    @property
    def pointers(self) -> int:
        """How many pointers `@run` takes."""
        parts = (self.inputs, self.outputs, self.constants, self.workspace, self.externals, self.host_steps)
        return sum(map(len, parts))

    @property
    def reasons(self) -> tuple[tuple[str, str], ...]:
        """The operations that NumPy does, each with the reason."""
        return tuple((step.primitive.name, step.reason) for step in self.host_steps)
