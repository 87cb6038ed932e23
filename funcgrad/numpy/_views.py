"""How views lie in their bases: what NumPy's basic indexing, `reshape`, `transpose` and the like share memory by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import View
from funcgrad.ops.index import GATHER, SCATTER
from funcgrad.ops.math import COMPLEX, IMAG, REAL
from funcgrad.ops.shape import BROADCAST_TO, PLACE, RESHAPE, SLICE, TRANSPOSE
from funcgrad.strides import Strides, contiguous, is_contiguous, reshaped_strides
from funcgrad.types import is_a, shape_of

__all__ = [
    "Broadcast",
    "Diagonal",
    "Flat",
    "Imag",
    "Real",
    "Reshaped",
    "Transposed",
    "Window",
    "axis_window",
    "reshaped",
]


Layout = tuple[bool | None, Strides | None]


def reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    """`x` in another shape; no view that anybody could write to."""
    return x if shape_of(x) == shape else RESHAPE.bind(x, shape=shape)


class Reshaped(View):
    """The elements in a new shape, where that needs no copy."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def read(self, base: Any) -> Any:
        return reshaped(base, self.shape)

    def write(self, base: Any, value: Any) -> Any:
        return reshaped(value, shape_of(base))

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        return reshaped_strides(shape, strides, self.shape)


class Raveled(Reshaped):
    """All elements one after the other in memory."""

    __slots__ = ()

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        if strides is None:
            return None, None
        return (True, contiguous(self.shape)) if is_contiguous(shape, strides) else (False, None)


class Transposed(View):
    """The axes in another order."""

    __slots__ = ("axes",)

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def read(self, base: Any) -> Any:
        return TRANSPOSE.bind(base, axes=self.axes)

    def write(self, base: Any, value: Any) -> Any:
        return TRANSPOSE.bind(value, axes=tuple(self.axes.index(i) for i in range(len(self.axes))))

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        return True, None if strides is None else tuple(strides[i] for i in self.axes)


class Window(View):
    """What basic indexing selects: a slice of every axis, in a shape that lacks some axes or has new ones."""

    __slots__ = ("shape", "size", "start", "step", "whole")

    def __init__(
        self,
        start: tuple[int, ...],
        size: tuple[int, ...],
        step: tuple[int, ...],
        shape: tuple[int, ...],
        whole: tuple[int, ...],
    ) -> None:
        self.start, self.size, self.step, self.shape, self.whole = start, size, step, shape, whole

    def __eq__(self, other: object) -> bool:
        return is_a(other, Window) and all(getattr(self, k) == getattr(other, k) for k in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.start, self.size, self.step, self.shape, self.whole))

    @property
    def full(self) -> bool:
        """Whether every element is selected, in order."""
        return self.size == self.whole and all(s == 1 for s in self.step)

    def read(self, base: Any) -> Any:
        base = reshaped(base, self.whole)
        if not self.full:
            base = SLICE.bind(base, start=self.start, size=self.size, step=self.step)
        return reshaped(base, self.shape)

    def write(self, base: Any, value: Any) -> Any:
        shape = shape_of(base)
        value = reshaped(value, self.size)
        if self.full or not math.prod(self.size):
            return reshaped(value, shape) if self.full else base
        placed = PLACE.bind(value, start=self.start, step=self.step, shape=self.whole)
        mask = np.zeros(self.whole, bool)
        mask[slices(self.start, self.size, self.step)] = True
        return reshaped(np.where(mask, placed, reshaped(base, self.whole)), shape)

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        strides = reshaped_strides(shape, strides, self.whole)[1]
        if strides is None:
            return True, None
        strides = tuple(a * b for a, b in zip(strides, self.step, strict=True))
        return True, reshaped_strides(self.size, strides, self.shape)[1]


def axis_window(x: Any, axis: int, start: int, shape: tuple[int, ...]) -> Window:
    """The part of this shape that begins at `start` along one axis."""
    n = len(shape)
    return Window(tuple(start if i == axis else 0 for i in range(n)), shape, (1,) * n, shape, shape_of(x))


def slices(start: Sequence[int], size: Sequence[int], step: Sequence[int]) -> tuple[slice, ...]:
    """A window as a NumPy index."""
    return tuple(slice(a, a + n * s if a + n * s >= 0 else None, s) for a, n, s in zip(start, size, step, strict=True))


class Broadcast(View):
    """An array repeated along new or stretched axes: to be read only, as in NumPy."""

    __slots__ = ("shape",)
    writable = False

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __repr__(self) -> str:
        return "broadcast_to"

    def read(self, base: Any) -> Any:
        return BROADCAST_TO.bind(base, shape=self.shape)

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        if strides is None:
            return True, None
        lead = len(self.shape) - len(shape)
        kept = [s if n == m else 0 for s, n, m in zip(strides, shape, self.shape[lead:], strict=True)]
        return True, (*[0] * lead, *kept)


class Real(View):
    """The real parts of complex numbers."""

    __slots__ = ()

    def read(self, base: Any) -> Any:
        return REAL.bind(base)

    def write(self, base: Any, value: Any) -> Any:
        return COMPLEX.bind(value, IMAG.bind(base))

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        return True, None if strides is None else tuple(2 * s for s in strides)


class Imag(Real):
    """The imaginary parts of complex numbers."""

    __slots__ = ()

    def read(self, base: Any) -> Any:
        return IMAG.bind(base)

    def write(self, base: Any, value: Any) -> Any:
        return COMPLEX.bind(REAL.bind(base), value)


class Places(View):
    """Elements at places of the flattened base, no two at the same: diagonals."""

    __slots__ = ("places",)

    def __init__(self, places: np.ndarray) -> None:
        self.places = places

    def read(self, base: Any) -> Any:
        return GATHER.bind(reshaped(base, (math.prod(shape_of(base)),)), self.places, axes=(0,))

    def write(self, base: Any, value: Any) -> Any:
        shape = shape_of(base)
        return reshaped(SCATTER.bind(reshaped(base, (math.prod(shape),)), value, self.places, axes=(0,)), shape)


class Diagonal(Places):
    """The diagonals of two axes: to be read only, as in NumPy."""

    __slots__ = ()
    writable = False

    def __repr__(self) -> str:
        return "diagonal"


class Flat(Reshaped):
    """`x.flat`: all elements in C order, whatever the layout; what is read from it is a copy."""

    __slots__ = ()
    copies = True

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> Layout:
        return True, None
