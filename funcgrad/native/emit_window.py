"""Reductions over windows along one axis in native code, and the selections behind their derivatives.

An element of a reduction combines what its window sees, place by place as NumPy does; loops are cut where windows reach
over an edge. Where several windows may select one element the selections are added up in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native import scalars
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import rows
from funcgrad.native.index import Ix
from funcgrad.native.registry import block_emitter, element_emitter
from funcgrad.native.values import Buf
from funcgrad.native.writer import Operand
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.window import (
    REDUCE_WINDOW_MAX,
    REDUCE_WINDOW_MIN,
    REDUCE_WINDOW_SUM,
    SELECT_AND_GATHER,
    SELECT_AND_SCATTER,
    neutral,
)

__all__ = ["reduce_window", "select_and_gather", "select_and_scatter"]

_WIDEST = 32
"""Up to how many places a window is written out; NumPy does wider ones in fewer steps than places."""

_UFUNCS = {
    REDUCE_WINDOW_SUM.name: np.add,
    REDUCE_WINDOW_MAX.name: np.maximum,
    REDUCE_WINDOW_MIN.name: np.minimum,
}


def _plain(eqn: Equation) -> bool:
    """Whether windows are few places of an array that is not dilated, of real numbers."""
    params, out = eqn.params, eqn.outputs[0].aval
    kinds = all(x.aval.dtype.kind in "iuf" and x.aval.dtype.char in "bBhHiIlLqQfd" for x in (*eqn.inputs, *eqn.outputs))
    return kinds and params.get("base", 1) == 1 and params["width"] <= _WIDEST and math.prod(out.shape) > 0


def _combined(em: Emission, ufunc: np.ufunc, x: Operand, y: Operand, dtype: np.dtype) -> Operand:
    made = scalars.apply(em.w, UFUNCS[ufunc], {}, [x, y], [dtype, dtype], dtype)
    assert made is not None
    return made


def _neutral(ufunc: np.ufunc, dtype: np.dtype) -> float:
    return 0 if ufunc is np.add else neutral(dtype, ufunc is np.maximum)


class _Windows:
    """The windows of an equation: which element each sees at each place."""

    def __init__(self, em: Emission, eqn: Equation, n: int, count: int) -> None:
        params = eqn.params
        self.em, self.axis, self.width, self.n = em, params["axis"], params["width"], n
        self.stride, self.dilation, self.low = params["stride"], params["dilation"], params["padding"][0]
        last = (count - 1) * self.stride + (self.width - 1) * self.dilation - self.low
        self.whole = self.low <= 0 and last < n

    def place(self, j: int, o: Ix) -> Ix:
        """The element at place `j` of window `o`; it may lie outside."""
        return o.affine(self.stride, j * self.dilation - self.low)

    def outside(self, i: Ix) -> bool:
        return i.hi < 0 or i.lo >= self.n

    def doubtful(self, i: Ix) -> bool:
        """Whether an element may lie outside or inside."""
        return i.lo < 0 or i.hi >= self.n

    def ranges(self, count: int) -> list[tuple[int, int]]:
        """Windows that see whole ranges of places, as ranges: those at the edges one by one, the others together."""
        reach = (self.width - 1) * self.dilation
        first = min(count, max(0, -(-self.low // self.stride)))
        last = max(first, min(count, (self.n - 1 - reach + self.low) // self.stride + 1))
        edges = [*range(first), *range(last, count)]
        return [*((o, o + 1) for o in edges), *([(first, last)] if first < last else [])]

    def at(self, idx: Sequence[Ix], i: Ix) -> list[Ix]:
        return [*idx[: self.axis], i, *idx[self.axis + 1 :]]


def _seen(em: Emission, windows: _Windows, idx: Sequence[Ix]) -> list[Ix] | None:
    """The elements that the window at an index sees; None if its loop is to be cut first, or cannot be."""
    found: list[Ix] = []
    asked = False
    for j in range(windows.width):
        i = windows.place(j, idx[windows.axis])
        if windows.outside(i):
            continue
        if windows.doubtful(i):
            asked |= em.cut(i, 0) | em.cut(i, windows.n)
        found.append(i)
    return None if asked else found


def _clamped(em: Emission, i: Ix, n: int) -> tuple[str, Ix]:
    """Whether an index (a scalar) lies inside, and it or 0."""
    w, v = em.w, em.register(i)
    within = w.op(f"icmp ult i64 {v}, {n}")
    return within, Ix(w.op(f"select i1 {within}, i64 {v}, i64 0"), 1, 0, 0, n - 1)


@element_emitter(*_UFUNCS, when=_plain)
def reduce_window(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    x, dtype, ufunc = eqn.inputs[0], eqn.outputs[0].aval.dtype, _UFUNCS[eqn.primitive.name]
    windows = _Windows(em, eqn, x.aval.shape[eqn.params["axis"]], eqn.outputs[0].aval.shape[eqn.params["axis"]])
    identity = em.w.literal(_neutral(ufunc, dtype), dtype)
    seen = _seen(em, windows, idx)
    if seen is None:
        return identity  # not the text that stays
    if any(windows.doubtful(i) for i in seen):
        return em.by_lanes(dtype, idx, lambda lane: _by_choice(em, eqn, windows, lane))
    total = None if windows.whole else identity
    for i in seen:
        value = em.element(x, windows.at(idx, i))
        total = value if total is None else _combined(em, ufunc, total, value, dtype)
    return identity if total is None else total


def _by_choice(em: Emission, eqn: Equation, windows: _Windows, idx: list[Ix]) -> Operand:
    """A reduction at an index that may be anywhere: elements are read at places that exist."""
    x, dtype, ufunc = eqn.inputs[0], eqn.outputs[0].aval.dtype, _UFUNCS[eqn.primitive.name]
    w = em.w
    total, t = em.w.literal(_neutral(ufunc, dtype), dtype), w.type(dtype)
    for j in range(windows.width):
        within, i = _clamped(em, windows.place(j, idx[windows.axis]), windows.n)
        made = _combined(em, ufunc, total, em.element(x, windows.at(idx, i)), dtype)
        total = w.op(f"select i1 {within}, {t} {made}, {t} {total}")
    return total


def _attains(em: Emission, x: Operand, out: Operand, dtype: np.dtype, largest: bool) -> str:
    """Where an element is the extreme one; any element is, where that is NaN."""
    w = em.w
    less = scalars.apply(w, UFUNCS[np.less if largest else np.greater], {}, [x, out], [dtype, dtype], np.dtype(bool))
    all_ones = "splat (i1 true)" if w.width else "true"
    return w.op(f"xor {w.mask()} {less}, {all_ones}")


def _chosen(em: Emission, mask: str, x: Operand, y: Operand, dtype: np.dtype) -> str:
    w = em.w
    return w.op(f"select {w.mask()} {mask}, {w.type(dtype)} {x}, {w.type(dtype)} {y}")


@element_emitter(SELECT_AND_GATHER.name, when=_plain)
def select_and_gather(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    t, x, out = eqn.inputs
    axis, dtype = eqn.params["axis"], eqn.outputs[0].aval.dtype
    windows = _Windows(em, eqn, x.aval.shape[axis], out.aval.shape[axis])
    seen = _seen(em, windows, idx)
    zero = em.w.literal(0, dtype)
    if seen is None:
        return zero  # not the text that stays
    if any(windows.doubtful(i) for i in seen):
        return em.by_lanes(dtype, idx, lambda lane: _gathered(em, eqn, windows, lane))
    result = zero
    for i in reversed(seen):  # the first one that attains the extreme value has the last word
        at = windows.at(idx, i)
        hit = _attains(em, em.element(x, at), em.element(out, idx), x.aval.dtype, eqn.params["largest"])
        result = _chosen(em, hit, em.element(t, at), result, dtype)
    return result


def _gathered(em: Emission, eqn: Equation, windows: _Windows, idx: list[Ix]) -> Operand:
    t, x, out = eqn.inputs
    w, dtype = em.w, eqn.outputs[0].aval.dtype
    result: Operand = w.literal(0, dtype)
    for j in reversed(range(windows.width)):
        within, i = _clamped(em, windows.place(j, idx[windows.axis]), windows.n)
        at = windows.at(idx, i)
        hit = _attains(em, em.element(x, at), em.element(out, idx), x.aval.dtype, eqn.params["largest"])
        result = _chosen(em, w.op(f"and i1 {hit}, {within}"), em.element(t, at), result, dtype)
    return result


@block_emitter(SELECT_AND_SCATTER.name, when=_plain)
def select_and_scatter(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    ct, x, out = (em.buffer(a) for a in eqn.inputs)
    target, axis, dtype = outs[0], eqn.params["axis"], outs[0].dtype
    windows = _Windows(em, eqn, x.shape[axis], out.shape[axis])
    apart = windows.stride > (windows.width - 1) * windows.dilation
    every = windows.stride == windows.width and windows.dilation == 1
    if not (apart and every and windows.whole and out.shape[axis] * windows.stride == x.shape[axis]):
        em.fill(target, em.w.number(0, dtype))

    def window(idx: list[Ix]) -> None:
        zero = em.w.number(0, dtype)
        rest, best = em.fresh(ct, idx), em.fresh(out, idx)
        for j in range(windows.width):
            i = windows.place(j, idx[axis])
            if windows.outside(i):
                continue
            at = windows.at(idx, i)
            hit = _attains(em, em.fresh(x, at), best, x.dtype, eqn.params["largest"])
            part: Operand = _chosen(em, hit, rest, zero, dtype)
            rest = _chosen(em, hit, zero, rest, dtype)
            if not apart:
                part = _combined(em, np.add, em.fresh(target, at), part, dtype)
            em.store(target, at, part)

    # Lanes may not add to one element.
    widest = max(dtype.itemsize, x.dtype.itemsize) if apart or axis != len(out.shape) - 1 else 0
    for first, last in windows.ranges(out.shape[axis]):
        shape = [*out.shape[:axis], last - first, *out.shape[axis + 1 :]]
        rows(em, shape, lambda idx, first=first: window(windows.at(idx, idx[axis].affine(1, first))), widest)
    em.forget()
