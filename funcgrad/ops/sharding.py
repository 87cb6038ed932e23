"""Along which axes the parts of a divided array stay parts, operation by operation.

The rule of a primitive, `shard(ins, out, at, **params)`, is given the avals of its operands and of its result and, for
each operand, the axis along which it is divided (None where it is not, or not yet). It says how all operands are to be
divided so that the operation can be done part by part, and what then becomes of the results: parts along an axis, or
terms of a sum (`SUM`). None means that it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from funcgrad.core import Primitive
from funcgrad.types import ShapedArray

__all__ = ["SUM", "Avals", "Axes", "Ruling", "along", "pointwise", "together"]

SUM = -1
"""In place of an axis: the parts are to be added up."""

Avals = Sequence[ShapedArray]
Axes = tuple[int | None, ...]


class Ruling(NamedTuple):
    """How an operation is done part by part.

    Attributes:
        ins: for each operand, the axis along which it is divided, or None.
        out: the axis along which the result is divided, or `SUM`.
        resized: the parameter that holds a shape, and the axis of it that is divided.
    """

    ins: Axes
    out: int
    resized: tuple[str, int] | None = None


def together(ins: Avals, at: Axes, ndim: int) -> tuple[Axes, int] | None:
    """How operands that broadcast to `ndim` dimensions are divided, and which of these is.

    Shapes are aligned at the last axis; an operand of size 1 there is the same for all parts.
    """
    from_end = {axis - x.ndim for x, axis in zip(ins, at, strict=True) if axis is not None}
    if len(from_end) != 1:
        return None
    (d,) = from_end
    return tuple(x.ndim + d if x.ndim >= -d and x.shape[d] > 1 else None for x in ins), ndim + d


def pointwise(ins: Avals, out: ShapedArray, at: Axes) -> Ruling | None:
    """The rule of pointwise operations."""
    found = together(ins, at, out.ndim)
    return None if found is None else Ruling(*found)


def along(primitive: Primitive, ins: Avals, out: ShapedArray, at: Axes, named: int | tuple[int, ...]) -> Ruling | None:
    """The rule of operations along the axes `named`, whose operands have one rank: each place along the others is for
    itself, and a sum is one of the sums of its parts."""
    axes = {axis for axis in at if axis is not None}
    if len(axes) != 1:
        return None
    (axis,) = axes
    over = named if isinstance(named, tuple) else (named,)
    if axis in over:
        return Ruling((axis,), SUM) if primitive.reduces is np.add else None
    gone = sum(i < axis for i in over) if out.ndim < ins[0].ndim else 0
    return Ruling((axis,) * len(ins), axis - gone)
