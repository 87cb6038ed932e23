"""How arrays lie in memory, as far as it is known: whether NumPy's `reshape` of one is a view or a copy.

Strides are counted in elements. Those of an axis of size 1 do not matter. None stands for a layout that is not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["Strides", "contiguous", "dense", "in_order_of", "is_contiguous", "reshaped_strides", "strides_of_array"]

Strides = tuple[int, ...]


def strides_of_array(x: np.ndarray) -> Strides:
    """The strides of an array, in elements; an array whose strides are no multiples of that has none to speak of."""
    return tuple(s // x.itemsize for s in x.strides)


def contiguous(shape: Sequence[int]) -> Strides:
    """The strides of an array in C order."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def is_contiguous(shape: Sequence[int], strides: Strides) -> bool:
    """Whether the elements lie one after the other, in C order."""
    if 0 in shape:
        return True
    return all(n == 1 or s == w for n, s, w in zip(shape, strides, contiguous(shape), strict=True))


def dense(shape: Sequence[int], strides: Strides) -> Strides:
    """The strides of a copy that keeps the order of the axes (NumPy's order "K")."""
    order = sorted(range(len(shape)), key=lambda i: -abs(strides[i]))
    out = [0] * len(shape)
    step = 1
    for i in reversed(order):
        out[i] = step
        step *= shape[i]
    return tuple(out)


def in_order_of(shape: Sequence[int], operands: Sequence[tuple[Sequence[int], Strides | None]]) -> Strides | None:
    """The strides of an elementwise result: in the order of its operands' axes where they agree."""
    found: Strides | None = None
    for dims, strides in operands:
        if math.prod(dims) == 1 and len(dims) < len(shape):
            continue
        if strides is None or tuple(dims) != tuple(shape):
            if len(dims) <= 1 and len(shape) > 1:  # broadcast along all other axes: no order of its own
                continue
            return None
        kept = dense(shape, strides)
        if found is not None and not _equal(shape, found, kept):
            return None
        found = kept
    return contiguous(shape) if found is None else found


def _equal(shape: Sequence[int], a: Strides, b: Strides) -> bool:
    return all(n == 1 or s == t for n, s, t in zip(shape, a, b, strict=True))


def reshaped_strides(
    shape: Sequence[int], strides: Strides | None, new: Sequence[int]
) -> tuple[bool | None, Strides | None]:
    """Whether a new shape needs no copy (None where that depends on a layout that is not known), and its strides."""
    if math.prod(shape) == 0:
        return True, contiguous(new)
    old = [(n, None if strides is None else strides[i]) for i, n in enumerate(shape) if n != 1]
    out: list[int | None] = [0] * len(new)
    wanted = [j for j, n in enumerate(new) if n != 1]
    i = j = 0
    known = True
    while i < len(old):
        a, b = i, j
        have, want = old[i][0], new[wanted[j]]
        i, j = i + 1, j + 1
        while have != want:
            if have < want:
                have *= old[i][0]
                i += 1
            else:
                want *= new[wanted[j]]
                j += 1
        for (_, outer), (n, inner) in pairwise(old[a:i]):  # what becomes one axis must lie one after the other
            if outer is None or inner is None:
                known = False
            elif outer != n * inner:
                return False, None
        step = old[i - 1][1]
        for k in reversed(wanted[b:j]):
            out[k] = step
            step = None if step is None else step * new[k]
    if not known:
        return None, None
    return True, None if None in out else tuple(s for s in out if s is not None)
