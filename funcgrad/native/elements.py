"""Elements of what moves elements, and of pointwise operations, at an index.

A view costs an index that is computed while code is emitted. A concatenation, and an array among zeros, ask that loops
be cut where the part changes, so that there are no branches inside; where that cannot be they select.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native import scalars
from funcgrad.native.emission import Emission
from funcgrad.native.index import ZERO, Ix, constant, contiguous
from funcgrad.native.registry import EVERY, block_emitter, element_emitter
from funcgrad.native.values import Buf, regrouped, small, squeezed
from funcgrad.native.writer import Operand

__all__ = ["pointwise", "reindexed", "selected"]

_PARTS = 12
"""How many parts of a concatenation are read within one loop."""


def _computes(eqn: Equation) -> bool:
    if not eqn.primitive.pointwise or eqn.primitive.multiple:
        return False
    dtypes = [x.aval.dtype for x in eqn.inputs]
    return scalars.supports(eqn.primitive, dtypes, eqn.outputs[0].aval.dtype, eqn.params)


@element_emitter(EVERY, when=_computes)
def pointwise(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    """An element of a pointwise operation, from those of its operands."""
    out = eqn.outputs[output].aval
    operands = [em.operand(x, out.shape, idx) for x in eqn.inputs]
    dtypes = [x.aval.dtype for x in eqn.inputs]
    result = scalars.apply(em.w, eqn.primitive, eqn.params, operands, dtypes, out.dtype)
    assert result is not None
    return result


@element_emitter(EVERY, when=lambda eqn: eqn.primitive.pointwise and eqn.primitive.moves == "alias")
def same_element(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    """An element of what is the same array by another name."""
    return em.element(eqn.inputs[0], idx)


@element_emitter("transpose")
def transpose(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    inner = [ZERO] * len(idx)
    for i, axis in zip(idx, eqn.params["axes"], strict=True):
        inner[axis] = i
    return em.element(eqn.inputs[0], inner)


@element_emitter("broadcast_to")
def broadcast_to(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    return em.operand(eqn.inputs[0], eqn.outputs[0].aval.shape, idx)


@element_emitter("slice")
def slice_(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    params = eqn.params
    moved = [i.affine(step, start) for i, step, start in zip(idx, params["step"], params["start"], strict=True)]
    return em.element(eqn.inputs[0], moved)


@element_emitter("split")
def split(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    axis, sizes = eqn.params["axis"], eqn.params["sizes"]
    moved = [i.affine(1, sum(sizes[:output])) if k == axis else i for k, i in enumerate(idx)]
    return em.element(eqn.inputs[0], moved)


# ------------------------------------------------------------------------------------------------------ reshape


@element_emitter("reshape")
def reshape(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    x, new = eqn.inputs[0], eqn.outputs[0].aval.shape
    old = x.aval.shape
    inner = reindexed(em, new, old, idx)
    if inner is not None:
        return em.element(x, inner)

    def scalar(lane: list[Ix]) -> Operand:
        place = reindexed(em, new, old, lane)
        assert place is not None
        return em.element(x, place)

    return em.by_lanes(x.aval.dtype, idx, scalar)


def reindexed(em: Emission, new: Sequence[int], old: Sequence[int], idx: Sequence[Ix]) -> list[Ix] | None:
    """The index into shape `old` for one into shape `new`; None if the lanes of a vector do not lie along an axis."""
    given = [(n, i) for n, i in zip(new, idx, strict=True) if n != 1]
    sizes = squeezed(old)
    found: list[Ix] = []
    for before, after in regrouped([n for n, _ in given], sizes):
        made = _joined_and_split(em, given[before], sizes[after])
        if made is None:
            return None
        found += made
    rest = iter(found)
    return [ZERO if n == 1 else next(rest) for n in old]


def _joined_and_split(em: Emission, given: Sequence[tuple[int, Ix]], old: Sequence[int]) -> list[Ix] | None:
    """Axes with their sizes and indices as axes of sizes `old` with as many elements, none of size 1."""
    if len(given) == len(old) == 1:
        return [given[0][1]]
    flat = _joined(em, [i for _, i in given], contiguous([n for n, _ in given]), math.prod(old))
    if len(old) == 1:
        return [flat]
    if flat.known:
        return [constant(flat.off // s % n) for s, n in zip(contiguous(old), old, strict=True)]
    if flat.step:
        return None
    w, register = em.w, em.register(flat)
    out: list[Ix] = []
    for k, (s, n) in enumerate(zip(contiguous(old), old, strict=True)):
        v = register if s == 1 else w.op(f"udiv i64 {register}, {s}")
        if k:
            v = w.op(f"urem i64 {v}, {n}")
        out.append(Ix(v, 1, 0, 0, n - 1))
    return out


def _joined(em: Emission, idx: Sequence[Ix], strides: Sequence[int], size: int) -> Ix:
    """Several indices as one into the axes joined. It keeps the loop of one of them if the others are constants."""
    moving = [(i, s) for i, s in zip(idx, strides, strict=True) if not i.known]
    off = sum(i.off * s for i, s in zip(idx, strides, strict=True) if i.known)
    if len(moving) <= 1:
        return moving[0][0].affine(moving[0][1], off) if moving else constant(off)
    w = em.w
    total = ""
    for i, s in moving:
        v = em.register(i)
        v = v if s == 1 else w.op(f"mul nsw i64 {v}, {s}")
        total = v if not total else w.op(f"add nsw i64 {total}, {v}")
    return Ix(total, 1, off, 0, size - 1, step=sum(i.step * s for i, s in moving))


# ----------------------------------------------------------------------------------------- parts: zeros, concatenation


@element_emitter("place")
def place(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    """An element of an array among zeros: one of the array, or zero; by a choice where the loop cannot be cut."""
    x, params = eqn.inputs[0], eqn.params
    sizes, dtype = x.aval.shape, x.aval.dtype
    zero = em.w.literal(0, dtype) if em.is_plain(dtype) else em.w.literal(np.zeros((), dtype), dtype)
    waits = False
    doubtful: list[int] = []
    for k, (i, start, step, n) in enumerate(zip(idx, params["start"], params["step"], sizes, strict=True)):
        first, last = sorted((start, start + (n - 1) * step))
        if n == 0 or i.hi < first or i.lo > last or (i.known and (i.off - start) % step):
            return zero
        if abs(step) != 1 and not i.known:
            doubtful.append(k)
        elif i.lo < first or i.hi > last:
            if em.cut(i, first) | em.cut(i, last + 1):
                waits = True
            else:
                doubtful.append(k)
    if waits:
        return zero  # not the text that stays
    if doubtful:
        return em.by_lanes(dtype, idx, lambda lane: _chosen(em, eqn, lane, zero_of=dtype))
    return em.element(x, _inside(idx, params["start"], params["step"]))


def _inside(idx: Sequence[Ix], start: Sequence[int], step: Sequence[int]) -> list[Ix]:
    """The index into an array among others, for one that lies inside it."""
    return [
        constant((i.off - a) // s) if i.known else i.affine(s, -a * s) for i, a, s in zip(idx, start, step, strict=True)
    ]


def _chosen(em: Emission, eqn: Equation, idx: Sequence[Ix], zero_of: np.dtype[Any]) -> Operand:
    """An element of an array among zeros at an index that may be anywhere: it is read at a place that exists."""
    w, params = em.w, eqn.params
    inner: list[Ix] = []
    holds = "true"
    for i, start, step, n in zip(idx, params["start"], params["step"], eqn.inputs[0].aval.shape, strict=True):
        v = w.op(f"sub nsw i64 {em.register(i)}, {start}")
        if step < 0:
            v, step = w.op(f"sub nsw i64 0, {v}"), -step
        q = v
        if step != 1:
            q = w.op(f"sdiv i64 {v}, {step}")
            whole = w.op(f"icmp eq i64 {w.op(f'mul nsw i64 {q}, {step}')}, {v}")
            holds = w.op(f"and i1 {holds}, {whole}")
            at_least = w.op(f"icmp sge i64 {v}, 0")
            holds = w.op(f"and i1 {holds}, {at_least}")
        within = w.op(f"icmp ult i64 {q}, {n}")
        holds = w.op(f"and i1 {holds}, {within}")
        inner.append(Ix(w.op(f"select i1 {within}, i64 {q}, i64 0"), 1, 0, 0, n - 1))
    return selected(em, holds, em.element(eqn.inputs[0], inner), zero_of)


def selected(em: Emission, condition: str, value: Operand, dtype: np.dtype[Any]) -> Operand:
    """A scalar where a condition holds, else zero."""
    w = em.w
    t = w.type(dtype)
    zero = w.number(0, dtype) if em.is_plain(dtype) else "0"
    parts = value if isinstance(value, tuple) else (value,)
    made = [w.op(f"select i1 {condition}, {t} {v}, {t} {zero}") for v in parts]
    return (made[0], made[1]) if isinstance(value, tuple) else made[0]


def _many(eqn: Equation) -> bool:
    return len(eqn.inputs) > _PARTS and not small(eqn.outputs[0].aval.shape)


@block_emitter("concatenate", when=_many)
def parts(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    """Many parts are copied one after the other: a loop over all of them would be cut too often."""
    (b,), axis, at = outs, eqn.params["axis"], 0
    for x in eqn.inputs:
        em.copy(x, Buf(b.ptr, x.aval.shape, b.dtype, b.strides, b.off + at * b.strides[axis]))
        at += x.aval.shape[axis]


@element_emitter("concatenate")
def concatenate(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    """An element of the part in which the index lies."""
    axis = eqn.params["axis"]
    i, at = idx[axis], 0
    ends: list[int] = []
    for x in eqn.inputs:
        n = x.aval.shape[axis]
        if n and i.lo >= at and i.hi < at + n:
            return em.element(x, [*idx[:axis], i.affine(1, -at), *idx[axis + 1 :]])
        at += n
        ends.append(at)
    asked = [em.cut(i, end) for end in ends[:-1]]
    dtype = eqn.outputs[0].aval.dtype
    if any(asked):
        return em.w.literal(np.zeros((), dtype), dtype)  # not the text that stays
    return em.by_lanes(dtype, idx, lambda lane: _part(em, eqn, lane))


def _part(em: Emission, eqn: Equation, idx: Sequence[Ix]) -> Operand:
    """An element of a concatenation where no loop can be cut: all parts are read, at places that exist."""
    w, axis, dtype = em.w, eqn.params["axis"], eqn.outputs[0].aval.dtype
    t, v = w.type(dtype), em.register(idx[axis])
    result: Operand | None = None
    at = 0
    for x in eqn.inputs:
        n = x.aval.shape[axis]
        if not n:
            continue
        q = w.op(f"sub nsw i64 {v}, {at}")
        within = w.op(f"icmp ult i64 {q}, {n}")
        place = Ix(w.op(f"select i1 {within}, i64 {q}, i64 0"), 1, 0, 0, n - 1)
        value = em.element(x, [*idx[:axis], place, *idx[axis + 1 :]])
        if result is None:
            result = value
        elif isinstance(value, tuple) and isinstance(result, tuple):
            a, b = (w.op(f"select i1 {within}, {t} {p}, {t} {q}") for p, q in zip(value, result, strict=True))
            result = a, b
        else:
            result = w.op(f"select i1 {within}, {t} {value}, {t} {result}")
        at += n
    assert result is not None
    return result
