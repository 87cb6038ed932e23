"""Iteration spaces: what fused operations loop over together, and where each value lies in it.

The values of a group of pointwise operations and reductions have different shapes, but each of their dimensions
belongs to one axis of a common shape: `x - max(x, axis=1, keepdims=True)` and `b + x` are over the axes of `x`. The
*layout* of a value says which: one entry per dimension, the axis or None where the size is 1. Axes increase: nothing is
transposed.

Axes of size 1 are ignored. The first of the others is the one that is cut into tiles; a reduction over it is added up
from tile to tile, any other is finished within a tile. Neighbouring axes that every value either has or lacks together
count as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Var
from funcgrad.ops.math import SELECT
from funcgrad.ops.reduce import REDUCE_PROD, REDUCE_SUM
from funcgrad.ops.shape import BROADCAST_TO

__all__ = ["WRITERS", "Fit", "Layout", "Space", "is_alias", "is_reduction"]

Layout = tuple[int | None, ...]

WRITERS: dict[Primitive, Callable[..., None]] = {}
"""How pointwise operations that are no ufuncs are done on a tile: filled by `lower_tiles`."""


def is_reduction(primitive: Primitive) -> bool:
    """Whether a primitive is a reduction that can be fused. Not the product, whose order decides whether it overflows
    on the way."""
    return primitive.reduces is not None and primitive is not REDUCE_PROD


def is_alias(primitive: Primitive) -> bool:
    """Whether an operation needs no code in a kernel: its result is its operand, differently shaped."""
    return primitive.moves == "alias"


class Fit(NamedTuple):
    """How an equation lies in a space.

    Attributes:
        operands: the layout of each operand (that of a literal is empty).
        result: the layout of the result.
        reduced: the axes that are reduced.
    """

    operands: tuple[Layout, ...]
    result: Layout
    reduced: frozenset[int] = frozenset()


class Space:
    """An iteration space.

    Attributes:
        shape: the common shape.
        live: the axes whose size is not 1.
        layouts: the layouts of the values that are computed in the space.
        patterns: the sets of axes that values have.
        whole: the layout of a value that has the common shape.
    """

    __slots__ = ("_row", "layouts", "live", "patterns", "shape", "whole")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.live = tuple(i for i, n in enumerate(shape) if n != 1)
        self.whole: Layout = tuple(None if n == 1 else i for i, n in enumerate(shape))
        self.layouts: dict[Var, Layout] = {}
        self.patterns: set[frozenset[int]] = {frozenset(self.live)}
        self._row: tuple[int, int] | None = None

    # ------------------------------------------------------------------------------------------------ fitting

    def fit(self, eqn: Equation) -> Fit | None:
        """How an equation lies in this space; None if it does not."""
        primitive = eqn.primitive
        if not self.live or primitive.multiple:
            return None
        for a in (*eqn.inputs, *eqn.outputs):
            if a.aval.dtype.kind not in "biufc":
                return None
        if is_reduction(primitive):
            return self._fit_reduction(eqn)
        if is_alias(primitive):
            return self._fit_alias(eqn)
        if primitive is SELECT and eqn.inputs[0].aval.dtype.kind != "b":
            return None
        if primitive.ufunc is None and primitive not in WRITERS:
            return None
        return self._fit_pointwise(eqn)

    def admit(self, eqn: Equation, fit: Fit) -> None:
        """Count an equation that fits as computed in this space."""
        self.layouts[eqn.outputs[0]] = fit.result
        self.patterns |= patterns_of(fit)

    def tiled(self, layout: Layout) -> bool:
        """Whether a value has the axis that is cut into tiles."""
        return self.live[0] in layout

    def _full(self, shape: Sequence[int]) -> Layout | None:
        """The layout of a value that comes from outside: its dimensions are the last axes."""
        lead = len(self.shape) - len(shape)
        if lead < 0 or any(n not in (1, self.shape[lead + i]) for i, n in enumerate(shape)):
            return None
        return tuple(None if n == 1 else lead + i for i, n in enumerate(shape))

    def _fit_pointwise(self, eqn: Equation) -> Fit | None:
        out = eqn.outputs[0].aval.shape
        if out == self.shape and all(self._fills(x) for x in eqn.inputs):
            return Fit(tuple([self.whole if x.aval.shape else () for x in eqn.inputs]), self.whole)
        axes: list[int | None] = [None] * len(out)
        for x in eqn.inputs:
            known = None if x.is_literal else self.layouts.get(x)
            if known is None:
                continue
            lead = len(out) - len(known)
            for i, axis in enumerate(known):
                if axis is None:
                    continue
                if axes[lead + i] not in (None, axis):
                    return None
                axes[lead + i] = axis
        outside = self._full(out)
        for i, n in enumerate(out):
            if n != 1 and axes[i] is None:
                if outside is None:
                    return None
                axes[i] = outside[i]
        result = tuple(axes)
        if not _increasing(result) or not self.tiled(result):
            return None
        return Fit(tuple(_aligned(x, result) for x in eqn.inputs), result)

    def _fills(self, x: Atom) -> bool:
        """Whether an operand is one number, or has the whole space as it is."""
        if isinstance(x, Var):
            return not x.aval.shape or (x.aval.shape == self.shape and self.layouts.get(x, self.whole) == self.whole)
        return True

    def _operand(self, x: Atom) -> Layout | None:
        if x.is_literal:
            return None
        return self.layouts[x] if x in self.layouts else self._full(x.aval.shape)

    def _fit_reduction(self, eqn: Equation) -> Fit | None:
        (x,), (out,) = eqn.inputs, eqn.outputs
        layout = self._operand(x)
        if layout is None or not self.tiled(layout) or x.aval.dtype == np.float16:
            return None
        over = eqn.params["axes"]
        reduced = frozenset(axis for i in over if (axis := layout[i]) is not None)
        if not reduced or (x.aval.dtype.kind == "c" and eqn.primitive is not REDUCE_SUM):
            return None
        kept = [None if i in over else axis for i, axis in enumerate(layout)]
        if len(out.aval.shape) != len(kept):
            kept = [axis for i, axis in enumerate(kept) if i not in over]
        return Fit((layout,), tuple(kept), reduced)

    def _fit_alias(self, eqn: Equation) -> Fit | None:
        (x,), (out,) = eqn.inputs, eqn.outputs
        layout = self._operand(x)
        if layout is None or not out.aval.shape:
            return None
        shape = out.aval.shape
        if eqn.primitive is BROADCAST_TO:
            full = self._full(shape)
            result = full if full is not None and _aligned(x, full) == layout else None
        elif [n for n in x.aval.shape if n != 1] == [n for n in shape if n != 1]:
            axes = iter(axis for axis in layout if axis is not None)
            result = tuple(None if n == 1 else next(axes) for n in shape)
        else:
            result = None
        return None if result is None or not self.tiled(result) else Fit((layout,), result)

    # ------------------------------------------------------------------------------------------------ axes

    def blocks(self, patterns: Iterable[frozenset[int]] | None = None) -> list[tuple[int, ...]]:
        """The live axes, those together that all values have or lack together."""
        seen = self.patterns if patterns is None else patterns
        blocks = [[self.live[0]]]
        for axis in self.live[1:]:
            if all((blocks[-1][-1] in p) == (axis in p) for p in seen):
                blocks[-1].append(axis)
            else:
                blocks.append([axis])
        return [tuple(b) for b in blocks]

    def row_size(self, extra: Iterable[frozenset[int]] = ()) -> int:
        """The number of elements of a tile of one row; with the patterns of an equation that might be admitted."""
        patterns = self.patterns.union(extra)
        if self._row is not None and len(patterns) == self._row[0]:  # patterns are never taken away
            return self._row[1]
        row = math.prod(self.shape[i] for b in self.blocks(patterns)[1:] for i in b)
        if len(patterns) == len(self.patterns):
            self._row = len(patterns), row
        return row


@lru_cache(1024)
def patterns_of(fit: Fit) -> frozenset[frozenset[int]]:
    """The sets of axes that the values of an equation have."""
    found = {frozenset(axis for axis in layout if axis is not None) for layout in (*fit.operands, fit.result)}
    return frozenset(found - {frozenset()})


def _aligned(x: Atom, result: Layout) -> Layout:
    """The layout of an operand that is broadcast to a result."""
    shape = x.aval.shape
    lead = len(result) - len(shape)
    return tuple(None if n == 1 else result[lead + i] for i, n in enumerate(shape))


def _increasing(layout: Layout) -> bool:
    axes = [axis for axis in layout if axis is not None]
    return axes == sorted(set(axes))
