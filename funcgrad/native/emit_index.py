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
from funcgrad.native.index import ZERO, Ix, unit
from funcgrad.native.registry import block_emitter, element_emitter
from funcgrad.native.scalars_base import Numbers
from funcgrad.native.scalars_convert import convert
from funcgrad.native.values import Buf, Small
from funcgrad.native.writer import Operand
from funcgrad.ops.index import SCATTER_ADD, SCATTER_MAX, SCATTER_MIN
from funcgrad.ops.math import ADD, UFUNCS
from funcgrad.ops.shape import RESHAPE
from funcgrad.types import broadcast_shapes

__all__ = ["gather", "place"]

_INDEX = np.dtype(np.int64)
_LONG = 8
"""From which length on a window is written in vectors."""


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


# ------------------------------------------------------------------------------------------------ windows


def _ramp(em: Emission, x: Atom) -> tuple[Atom | None, int] | None:
    """An index that counts up by one along its only axis, as a scalar (or None) and a number to which the position is
    added; None if it is not known to."""
    if not isinstance(x, Var) or x.aval.dtype != _INDEX or max(x.aval.shape, default=0) != x.aval.size:
        return None
    value, eqn = em.env.get(x), em.defs.get(x)
    if isinstance(value, Buf) and value.const is not None:
        numbers = value.const.reshape(-1)
        return (None, int(numbers[0])) if np.array_equal(numbers, numbers[0] + np.arange(numbers.size)) else None
    if eqn is not None and eqn.primitive is RESHAPE:
        return _ramp(em, eqn.inputs[0])
    if eqn is not None and eqn.primitive is ADD:
        for one, other in (eqn.inputs, eqn.inputs[::-1]):
            found = _ramp(em, other) if one.aval.size == 1 and other.aval.size == x.aval.size else None
            if found is not None and found[0] is None:
                return one, found[1]
    return None


def _window(em: Emission, x: Atom, size: int) -> tuple[str, int] | None:
    """Where a window lies that counting numbers cut out of an axis: its first place is a register, or "", plus a
    number. (Where it goes on from the last place to the first, the call fails.)"""
    ramp, length = _ramp(em, x), x.aval.size
    if ramp is None or not 1 < length <= size:
        return None
    scalar, start = ramp
    if scalar is None:
        start += size if start < 0 else 0
        return ("", start) if 0 <= start <= size - length else None
    w = em.w
    with w.lanes(0):
        i = Numbers(w, _INDEX)
        first = em.element(scalar, [ZERO] * scalar.aval.ndim)
        assert isinstance(first, str)
        first = i.op("add", first, i(start))
        first = i.select(i.icmp("slt", first, i(0)), i.op("add", first, i(size)), first)
        outside = i.icmp("ugt", first, i(size - length))
        w.fail_if(outside)
        return i.select(outside, i(0), first), 0


def _in_window(em: Emission, window: tuple[str, int], i: Ix, size: int) -> Ix:
    """The place in a window at a position of it."""
    first, start = window
    if not first:
        return i.affine(1, start)
    with em.w.lanes(0):
        register = em.w.op(f"add nsw i64 {first}, {em.register(i)}")
    return unit(register, 0, size - 1, step=i.step)


def _windows(
    em: Emission, indices: Sequence[Atom], shape: Sequence[int], axis: int, sizes: Sequence[int]
) -> list[tuple[str, int] | None] | None:
    """For each index its window along an axis of the indices' shape, None where it is the same all along it; None if
    there is an index that is neither, or no window."""
    found: list[tuple[str, int] | None] = []
    length, behind = shape[axis], len(shape) - axis
    for x, size in zip(indices, sizes, strict=True):
        have = x.aval.shape
        along = have[len(have) - behind] if len(have) >= behind else 1
        window = _window(em, x, size) if along == length == x.aval.size else None
        if window is None and along != 1:
            return None
        found.append(window)
    return found if any(found) else None


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
    moving = [k for k, i in enumerate(lead) if i.step]
    if w.width and len(moving) == 1 and not any(i.step for i in rest):
        windows = _windows(em, indices, index_shape, moving[0], [sizes[k] for k in axes])
        if windows is not None:
            at = _places(em, indices, index_shape, lead, windows, moving[0], [sizes[k] for k in axes])
            return em.element(x, _joined(sizes, axes, at, rest))
    if w.width and moving:
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


def _places(
    em: Emission,
    indices: Sequence[Atom],
    shape: Sequence[int],
    idx: Sequence[Ix],
    windows: Sequence[tuple[str, int] | None],
    axis: int,
    sizes: Sequence[int],
) -> list[Ix]:
    """The places of indices that are windows, or the same, all along an axis of theirs."""
    made: list[Ix] = []
    for x, window, size in zip(indices, windows, sizes, strict=True):
        if window is not None:
            made.append(_in_window(em, window, idx[axis], size))
            continue
        with em.w.lanes(0):
            made.append(
                _computed(place(em, x, shape, [ZERO if k == axis else i for k, i in enumerate(idx)], size), size)
            )
    return made


def _constant_lane(text: str) -> str:
    """A number of a splat."""
    return text.rstrip(")").split()[-1]


def _joined(sizes: Sequence[int], axes: Sequence[int], at: Sequence[Any], rest: Sequence[Ix]) -> list[Ix]:
    """The index into the array: computed ones for the indexed axes, the others in order."""
    others = iter(rest)
    found = dict(zip(axes, at, strict=True))
    return [_computed(found[k], n) if k in found else next(others) for k, n in enumerate(sizes)]


def _computed(v: str | Ix, size: int) -> Ix:
    """A register or a number as an index."""
    if isinstance(v, Ix):
        return v
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
    if not kept and index_shape and _window_updates(em, axes, updates, indices, out, write):
        return

    def at_index(lead: list[Ix]) -> None:
        at = [place(em, i, index_shape, lead, out.shape[k]) for i, k in zip(indices, axes, strict=True)]

        def element(rest: list[Ix]) -> None:
            value = em.operand(updates, shape, [*lead, *rest])
            write(_joined(out.shape, axes, at, rest), value)

        rows(em, kept, element, out.dtype.itemsize)

    em.loops(index_shape, at_index)


def _window_updates(
    em: Emission, axes: Sequence[int], updates: Atom, indices: Sequence[Atom], out: Buf, write: Callable[..., None]
) -> bool:
    """The updates of windows, in vectors along them; whether there are any."""
    shape, sizes = broadcast_shapes(*(i.aval.shape for i in indices)), [out.shape[k] for k in axes]
    last = len(shape) - 1
    mark = em.w.mark()
    windows = _windows(em, indices, shape, last, sizes)
    if windows is None or shape[last] < _LONG:
        em.w.rewind(mark)
        return False

    def element(idx: list[Ix]) -> None:
        at = _places(em, indices, shape, idx, windows, last, sizes)
        write(_joined(out.shape, axes, at, ()), em.operand(updates, shape, idx))

    rows(em, shape, element, out.dtype.itemsize)
    return True


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
