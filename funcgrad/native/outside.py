"""What a loop reads and does not change, copied once before the loop to where it lies better.

Each loop of the program (`scan`, `while`) has a place before it to which text can still be written while its body is
emitted (`Outside`). `copied_before` writes a copy of an array to the outermost such place at which the array is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from funcgrad.native.emission import Emission, Value
from funcgrad.native.values import Buf

__all__ = ["Outside", "copied_before", "loop_around"]


class Outside:
    """The place before a loop.

    Attributes:
        pointers: of the arrays that the loop reads and does not change.
        block: the label of the block that ends at this place.
        copies: that were made here, by what was asked for.
    """

    def __init__(self, em: Emission, given: Sequence[Value]) -> None:
        self.pointers = {v.ptr for v in given if isinstance(v, Buf)}
        self.block = em.w.block
        self.copies: dict[Any, Buf] = {}
        self.lines: list[Any] = []
        em.w.lines.append(self.lines)


@contextmanager
def loop_around(em: Emission, given: Sequence[Value]) -> Iterator[Outside]:
    """The body of a loop to which these values are given, the same in each step, is emitted inside."""
    here = Outside(em, given)
    em.outside.append(here)
    try:
        yield here
    finally:
        em.outside.pop()


@contextmanager
def _written_at(em: Emission, here: Outside) -> Iterator[None]:
    w = em.w
    before = w.lines, w.block, w.memo, w.width
    w.lines, w.block, w.memo, w.width = here.lines, here.block, {}, 0
    try:
        yield
    finally:
        here.block = w.block
        w.lines, w.block, w.memo, w.width = before


def copied_before(em: Emission, b: Buf, shape: Sequence[int], copy: Callable[[Buf], None]) -> Buf | None:
    """A copy of an array that is the same in each step of the loops around, in an order of elements of its own.

    Args:
        shape: of the copy.
        copy: writes it into the buffer that it is given.

    Returns:
        The copy; None if the array may be another one in each step.
    """
    found = None
    for place in reversed(em.outside):
        if b.ptr not in place.pointers:
            break
        found = place
    if found is None:
        return None
    key = (b.ptr, b.off, b.shape, b.strides, tuple(shape))
    have = found.copies.get(key)
    if have is None:
        slot = em.slots.add(math.prod(shape) * b.dtype.itemsize)  # one that nothing in the loops uses
        have = Buf(f"%w{slot}", shape, b.dtype)
        with _written_at(em, found):
            copy(have)
        found.copies[key] = have
    return have
