"""Indexing with arrays: `gather` element by element, and the operations that write at indices.

Indices count from the end where they are negative. One that is out of range makes the call fail, so that NumPy raises
its IndexError at the user's line; until then it is read as 0, which lies in the array. What is known of constant
indices is asked once, here, and not while the code runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Atom, Equation, Var
from funcgrad.native import scalars
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import rows
from funcgrad.native.index import Ix, unit
from funcgrad.native.registry import block_emitter, element_emitter
from funcgrad.native.scalars_base import Numbers
from funcgrad.native.scalars_convert import convert
from funcgrad.native.values import Buf, Small
from funcgrad.native.writer import Operand
from funcgrad.ops.index import SCATTER_ADD, SCATTER_MAX, SCATTER_MIN
from funcgrad.ops.math import ADD, UFUNCS
from funcgrad.types import broadcast_shapes

__all__ = ["gather", "place"]

_INDEX = np.dtype(np.int64)


# ------------------------------------------------------------------------------------------------ indices


def _range(em: Emission, x: Atom) -> tuple[int, int] | None:
    """The least and the greatest value of an index that is known."""
    if not isinstance(x, Var):
        return int(x.value), int(x.value)
    value = em.env.get(x)
    if isinstance(value, Buf) and value.const is not None and value.const.size:
        return int(value.const.min()), int(value.const.max())
    if isinstance(value, Small) and value.values and all(isinstance(v, str) and _digits(v) for v in value.values):
        numbers = [int(v) for v in value.values if isinstance(v, str)]
        return min(numbers), max(numbers)
    return None


def _digits(text: str) -> bool:
    return text.removeprefix("-").isdigit()


def place(em: Emission, x: Atom, shape: Sequence[int], idx: Sequence[Ix], size: int) -> str:
    """An index (one a lane) into an axis of `size`, which is not 0: an i64 in its range."""
    w, dtype = em.w, x.aval.dtype
    i = Numbers(w, _INDEX)
    v = convert(w, em.operand(x, shape, idx), dtype, _INDEX)
    assert isinstance(v, str)
    known = _range(em, x)
    if known is not None and 0 <= known[0] and known[1] < size:
        return v
    if dtype.kind == "i" and (known is None or known[0] < 0):
        v = i.select(i.icmp("slt", v, i(0)), i.op("add", v, i(size)), v)
    if known is not None and -size <= known[0] and known[1] < size:
        return v
    outside = i.icmp("uge", v, i(size))
    w.fail_if(outside)
    return i.select(outside, i(0), v)


# ------------------------------------------------------------------------------------------------ reading


def _can_gather(eqn: Equation) -> bool:
    shape = eqn.inputs[0].aval.shape
    return all(shape[k] for k in eqn.params["axes"])


@element_emitter("gather", when=_can_gather)
def gather(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    x, *indices = eqn.inputs
    axes = eqn.params["axes"]
    index_shape = broadcast_shapes(*(i.aval.shape for i in indices))
    lead, rest = list(idx[: len(index_shape)]), list(idx[len(index_shape) :])
    sizes, w = x.aval.shape, em.w
    if w.width and any(i.step for i in lead):
        found = [place(em, i, index_shape, lead, sizes[k]) for i, k in zip(indices, axes, strict=True)]
        lanes = [em.lanes_of(v, _INDEX) if v.startswith("%") else [_constant_lane(v)] * w.width for v in found]
        values: list[Operand] = []
        with w.lanes(0):
            for lane, at in enumerate(zip(*lanes, strict=True)):
                values.append(em.element(x, _joined(sizes, axes, at, [i.lane(lane) for i in rest])))
        return em.gathered(values, x.aval.dtype)
    with w.lanes(0):
        at = [place(em, i, index_shape, lead, sizes[k]) for i, k in zip(indices, axes, strict=True)]
    return em.element(x, _joined(sizes, axes, at, rest))


def _constant_lane(text: str) -> str:
    """A number of a splat."""
    return text.rstrip(")").split()[-1]


def _joined(sizes: Sequence[int], axes: Sequence[int], at: Sequence[Any], rest: Sequence[Ix]) -> list[Ix]:
    """The index into the array: computed ones for the indexed axes, the others in order."""
    others = iter(rest)
    found = dict(zip(axes, at, strict=True))
    return [_computed(found[k], n) if k in found else next(others) for k, n in enumerate(sizes)]


def _computed(v: str, size: int) -> Ix:
    """A register or a number as an index."""
    return unit(v, 0, size - 1) if v.startswith("%") else Ix("", 0, int(v), int(v), int(v))


# ------------------------------------------------------------------------------------------------ writing


def _updates(
    em: Emission, eqn: Equation, updates: Atom, indices: Sequence[Atom], out: Buf, write: Callable[..., None]
) -> None:
    """`write(place, value)` for all elements of the updates, in order; the place is an index into `out`."""
    axes = eqn.params["axes"]
    index_shape = broadcast_shapes(*(i.aval.shape for i in indices))
    kept = [n for k, n in enumerate(out.shape) if k not in axes]
    shape = (*index_shape, *kept)
    if not math.prod(shape):
        return

    def at_index(lead: list[Ix]) -> None:
        at = [place(em, i, index_shape, lead, out.shape[k]) for i, k in zip(indices, axes, strict=True)]

        def element(rest: list[Ix]) -> None:
            value = em.operand(updates, shape, [*lead, *rest])
            write(_joined(out.shape, axes, at, rest), value)

        rows(em, kept, element, out.dtype.itemsize)

    em.loops(index_shape, at_index)


def _start(em: Emission, x: Atom, out: Buf) -> None:
    """Copy the array that is written into, unless it lies there (see `in_place`)."""
    b = em.env.get(x) if isinstance(x, Var) else None
    if not (isinstance(b, Buf) and (b.ptr, b.off) == (out.ptr, out.off)):
        em.copy(x, out)
    em.forget(out)


def _can_scatter(eqn: Equation) -> bool:
    out = eqn.outputs[0].aval
    return all(out.shape[k] for k in eqn.params["axes"])


def _combines(eqn: Equation) -> bool:
    dtype = eqn.outputs[0].aval.dtype
    return _can_scatter(eqn) and scalars.supports(_COMBINED[eqn.primitive], (dtype, dtype), dtype, {})


_COMBINED = {SCATTER_ADD: ADD, SCATTER_MAX: UFUNCS[np.maximum], SCATTER_MIN: UFUNCS[np.minimum]}
"""What is done with an element and an update of it."""


@block_emitter("scatter_add", "scatter_max", "scatter_min", when=_combines)
def scatter_combined(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    (out,), dtype = outs, eqn.outputs[0].aval.dtype
    if eqn.primitive is SCATTER_ADD:
        updates, *indices = eqn.inputs
        em.fill(out, em.w.literal(0, dtype))
    else:
        x, updates, *indices = eqn.inputs
        _start(em, x, out)
    primitive = _COMBINED[eqn.primitive]

    def write(at: list[Ix], value: Operand) -> None:
        combined = scalars.apply(em.w, primitive, {}, (em.fresh(out, at), value), (dtype, dtype), dtype)
        assert combined is not None
        em.store(out, at, combined)

    _updates(em, eqn, updates, indices, out, write)


@block_emitter("scatter", when=_can_scatter)
def scatter(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    """A copy of the array with elements written, the later ones over the earlier."""
    (out,) = outs
    x, updates, *indices = eqn.inputs
    _start(em, x, out)
    _updates(em, eqn, updates, indices, out, lambda at, value: em.store(out, at, value))
