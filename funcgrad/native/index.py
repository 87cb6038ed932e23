"""Indices of loops as affine functions, each with the range of values that it takes.

An `Ix` is `scale · base + off`, where `base` is a register (the variable of a loop, or a value that was computed), or a
constant where there is none. It knows its least and its greatest value, so that it can be decided while code is emitted
which part of a concatenation it lies in; where both are possible the loop it belongs to (`axis`) is to be cut there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["ZERO", "Flat", "Ix", "constant", "constants", "contiguous", "unit"]


class Ix:
    """An index.

    Attributes:
        base: the register of which it is a multiple, or the text of a number; "" for a constant.
        scale, off: the index is `scale * base + off`.
        lo, hi: its least and its greatest value, over all lanes.
        axis: the number of the loop that `base` runs through, -1 if there is none that can be cut.
        step: by how much it is more in each lane of a vector than in the one before; 0 if it is the same in all.
    """

    __slots__ = ("axis", "base", "hi", "lo", "off", "scale", "step")

    def __init__(self, base: str, scale: int, off: int, lo: int, hi: int, axis: int = -1, step: int = 0) -> None:
        self.base, self.scale, self.off, self.lo, self.hi, self.axis, self.step = base, scale, off, lo, hi, axis, step

    @property
    def key(self) -> tuple[str, int, int, int]:
        return self.base, self.scale, self.off, self.step

    def lane(self, k: int) -> Ix:
        """The index in lane `k`, a scalar."""
        if self.step and not self.base.startswith("%"):
            return constant(int(self.base) * self.scale + self.off + k * self.step)
        return Ix(self.base, self.scale, self.off + k * self.step, self.lo, self.hi, self.axis) if self.step else self

    @property
    def known(self) -> bool:
        """Whether it is a constant."""
        return not self.base and not self.step

    def affine(self, scale: int, off: int) -> Ix:
        """`scale * self + off`."""
        if scale == 1 and off == 0:
            return self
        a, b = self.lo * scale + off, self.hi * scale + off
        lo, hi = (a, b) if a <= b else (b, a)
        return Ix(self.base, self.scale * scale, self.off * scale + off, lo, hi, self.axis, self.step * scale)

    def where(self, value: int) -> int:
        """For which value of `base` it comes to `value` or passes it, counted up: where its loop is to be cut."""
        if self.scale > 0:
            return -((self.off - value) // self.scale)
        return (self.off - value) // -self.scale + 1

    def __repr__(self) -> str:
        return f"Ix({self.scale}*{self.base}+{self.off} in {self.lo}..{self.hi})"


class Flat(tuple[Ix]):
    """One index for all axes together: of values of one shape, all contiguous."""

    __slots__ = ()


def constant(value: int) -> Ix:
    return Ix("", 0, value, value, value)


ZERO = constant(0)


def unit(base: str, lo: int, hi: int, axis: int = -1, step: int = 0) -> Ix:
    """The index that is `base`, in `lo` to `hi`."""
    return Ix(base, 1, 0, lo, hi, axis, step)


def constants(idx: Sequence[Ix]) -> bool:
    """Whether all indices are known."""
    return not any(i.base or i.step for i in idx)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides, in elements, of a contiguous array."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
