"""Values while code is emitted: in memory (`Buf`), or as a few registers (`Small`).

A third kind needs no class: a value that is in neither is computed from its equation, at an index, by who reads it.

`Buf` is an array with strides, in elements, so that views cost nothing: `viewed` gives what an operation that moves
elements makes of one, where that is a view.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native.index import Ix, constant, contiguous
from funcgrad.native.writer import Operand

__all__ = ["SMALL", "Buf", "Small", "places", "regrouped", "reshaped", "small", "squeezed", "viewed"]

SMALL = 8
"""How many elements are kept in registers at most."""


class Buf:
    """An array in memory: `shape`, `strides` and the offset `off` in elements from the pointer `ptr`.

    `const` is the array itself where it is a constant of the program.
    """

    __slots__ = ("const", "dtype", "off", "ptr", "shape", "strides")

    def __init__(
        self,
        ptr: str,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        strides: Sequence[int] | None = None,
        off: int = 0,
        const: np.ndarray | None = None,
    ) -> None:
        self.ptr, self.shape, self.dtype, self.off, self.const = ptr, tuple(shape), dtype, off, const
        self.strides = contiguous(shape) if strides is None else tuple(strides)

    @property
    def contiguous(self) -> bool:
        want = contiguous(self.shape)
        return all(a == b or n <= 1 for a, b, n in zip(self.strides, want, self.shape, strict=True))

    def flat(self) -> Buf:
        """A contiguous array with one axis."""
        return Buf(self.ptr, (math.prod(self.shape),), self.dtype, (1,), self.off)

    def __repr__(self) -> str:
        return f"Buf({self.ptr}+{self.off}, {self.dtype}{list(self.shape)}, strides {self.strides})"


class Small:
    """A few elements in registers, or literals."""

    __slots__ = ("dtype", "shape", "values")

    def __init__(self, values: Sequence[Operand], shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.values, self.shape, self.dtype = list(values), tuple(shape), dtype

    def at(self, idx: Sequence[Ix]) -> Operand:
        """The element at indices that are known."""
        return self.values[sum(i.off * s for i, s in zip(idx, contiguous(self.shape), strict=True))]


def small(shape: Sequence[int]) -> bool:
    """Whether an array of this shape is kept in registers."""
    return math.prod(shape) <= SMALL


def places(shape: Sequence[int]) -> list[list[Ix]]:
    """All indices of a small array, in order."""
    return [[constant(c) for c in point] for point in product(*map(range, shape))]


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without the axes of size 1."""
    return tuple(n for n in shape if n != 1)


def regrouped(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """The smallest groups of axes that a reshape keeps apart: `old[a]` and `new[b]` have as many elements.

    Args:
        old, new: sizes of axes, none of them 0 or 1.
    """
    i = j = 0
    while i < len(old):
        first, second = i, j
        have, want = old[i], new[j]
        i, j = i + 1, j + 1
        while have != want:
            if have < want:
                have, i = have * old[i], i + 1
            else:
                want, j = want * new[j], j + 1
        yield slice(first, i), slice(second, j)


def reshaped(b: Buf, shape: Sequence[int]) -> Buf | None:
    """A view in another shape, if there is one."""
    if b.contiguous:
        return Buf(b.ptr, shape, b.dtype, None, b.off, None if b.const is None else b.const.reshape(shape))
    if 0 in shape:
        return Buf(b.ptr, shape, b.dtype, None, b.off)
    old = [(n, s) for n, s in zip(b.shape, b.strides, strict=True) if n != 1]
    new = [n for n in shape if n != 1]
    strides: list[int] = []
    for before, after in regrouped([n for n, _ in old], new):
        axes = old[before]
        if any(outer != n * stride for (_, outer), (n, stride) in pairwise(axes)):
            return None
        strides += [s * axes[-1][1] for s in contiguous(new[after])]
    rest = iter(strides)
    return Buf(b.ptr, shape, b.dtype, [next(rest) if n != 1 else 0 for n in shape], b.off)


def viewed(eqn: Equation, output: int, b: Buf) -> Buf | None:
    """What an operation that moves elements makes of an array in memory, if it is a view of it."""
    params, shape, name = eqn.params, eqn.outputs[output].aval.shape, eqn.primitive.name
    strides, off = b.strides, b.off
    if name == "transpose":
        strides = [strides[i] for i in params["axes"]]
    elif name == "slice":
        off += sum(s * k for s, k in zip(strides, params["start"], strict=True)) if 0 not in shape else 0
        strides = [s * k for s, k in zip(strides, params["step"], strict=True)]
    elif name == "split":
        off += strides[params["axis"]] * sum(params["sizes"][:output])
    elif name == "broadcast_to":
        more = len(shape) - len(b.shape)
        kept = zip(strides, b.shape, shape[more:], strict=True)
        strides = [*[0] * more, *(s if n == m else 0 for s, n, m in kept)]
    elif name == "reshape":
        return reshaped(b, shape)
    elif eqn.primitive.moves != "alias" or eqn.inputs[0].aval.shape != shape:
        return None
    return Buf(b.ptr, shape, b.dtype, strides, off)
