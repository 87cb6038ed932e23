"""Rules of `algebra` for operations that move elements: most are composed, and vanish where they do nothing.

All results are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Literal
from funcgrad.ops.math import ADD
from funcgrad.ops.shape import BROADCAST_TO, CONCATENATE, PLACE, RESHAPE, SLICE, SPLIT, TRANSPOSE
from funcgrad.passes.exact import passes_unchanged
from funcgrad.passes.simplifier import Rule, Simplifier
from funcgrad.types import broadcast_shapes

__all__ = ["BROADCASTING", "SHAPE", "composed"]

Axes = tuple[int, ...]


def composed(outer: Axes, inner: Axes) -> Axes:
    """The axes of transpose(transpose(x, inner), outer)."""
    return tuple(inner[i] for i in outer)


# ------------------------------------------------------------------------------------------ what broadcasts by itself


def _unspread(s: Simplifier, atom: Atom) -> Atom:
    """An operand without the broadcasting that the operation does by itself."""
    while (eqn := s.maker(atom, BROADCAST_TO)) is not None:
        atom = eqn.inputs[0]
    if not atom.is_literal and atom.aval.shape and (value := s.scalar(atom)) is not None:
        return Literal(value)
    return atom


def _broadcasts(eqn: Equation) -> bool:
    """Whether an operation computes element by element, of operands that it broadcasts by itself."""
    return eqn.primitive.pointwise and not eqn.primitive.moves


def _without_broadcast(s: Simplifier, eqn: Equation) -> Atom | None:
    """f(broadcast(x), y) = f(x, y), or else f(broadcast(x), broadcast(y)) = broadcast(f(x, y))"""
    if s.spread.isdisjoint(eqn.inputs):
        return None
    ins = [_unspread(s, a) for a in eqn.inputs]
    out = eqn.outputs[0].aval
    if not out.size or all(a is b for a, b in zip(ins, eqn.inputs, strict=True)):
        return None  # of no elements nothing is computed, which might raise or warn
    kept = [_as_strong(a, b) for a, b in zip(ins, eqn.inputs, strict=True)]
    shape = broadcast_shapes(*(a.aval.shape for a in kept))
    found = s.emit(eqn.primitive, *kept, **eqn.params)
    return found if shape == out.shape else s.emit(BROADCAST_TO, found, shape=out.shape)


def _as_strong(atom: Atom, before: Atom) -> Atom:
    """A Python scalar that was broadcast, as the number of an array's dtype that it became."""
    if isinstance(atom, Literal) and atom.aval.weak and not before.aval.weak:
        return Literal(before.aval.dtype.type(atom.value))
    return atom


BROADCASTING: tuple[Rule, ...] = (_without_broadcast,)
"""For each operation that is pointwise."""


# ---------------------------------------------------------------------------------------------------------- reshape


def _reshape(s: Simplifier, eqn: Equation) -> Atom | None:
    """To the same shape; of a reshape; of one number; of a transpose that moves axes of size 1 only"""
    (x,) = eqn.inputs
    shape = eqn.params["shape"]
    if x.aval == eqn.outputs[0].aval:
        return x
    made = s.maker(x, RESHAPE, BROADCAST_TO, TRANSPOSE)
    if made is None:
        return None
    source = made.inputs[0]
    if made.primitive is RESHAPE:
        return s.emit(RESHAPE, source, shape=shape)
    if made.primitive is BROADCAST_TO:
        return s.emit(BROADCAST_TO, source, shape=shape) if not source.aval.shape else None
    moved = [i for i in made.params["axes"] if source.aval.shape[i] != 1]
    return s.emit(RESHAPE, source, shape=shape) if moved == sorted(moved) else None


def _reshape_small(s: Simplifier, eqn: Equation) -> Atom | None:
    """reshape(f(reshape(x), c)) = f(reshape(x), c) for a number c, so that the two meet"""
    (x,) = eqn.inputs
    made = s.made.get(x)
    if made is None or not _broadcasts(made) or not s.once(x):
        return None
    arrays = [a for a in made.inputs if not a.is_literal]
    if len(arrays) != 1 or arrays[0].aval.shape != x.aval.shape or not _meets(s, arrays[0], eqn):
        return None
    inner = s.emit(RESHAPE, arrays[0], shape=eqn.params["shape"])
    return s.emit(made.primitive, *(inner if a is arrays[0] else a for a in made.inputs), **made.params)


def _meets(s: Simplifier, atom: Atom, eqn: Equation) -> bool:
    made = s.made.get(atom)
    if made is None or not s.once(atom):
        return False
    if _broadcasts(made):
        arrays = [a for a in made.inputs if not a.is_literal]
        return len(arrays) == 1 and arrays[0].aval.shape == atom.aval.shape and _meets(s, arrays[0], eqn)
    if "keepdims" in made.params:
        kept = tuple(n for i, n in enumerate(atom.aval.shape) if i not in made.params["axes"])
        return made.params["keepdims"] and kept == eqn.params["shape"]
    return made.primitive is RESHAPE


def _reshape_reduction(s: Simplifier, eqn: Equation) -> Atom | None:
    """A reduction that keeps its axes, without them"""
    (x,) = eqn.inputs
    made = s.made.get(x)
    if made is None or not made.params.get("keepdims") or not s.once(x):
        return None
    axes = made.params["axes"]
    if tuple(n for i, n in enumerate(x.aval.shape) if i not in axes) != eqn.params["shape"]:
        return None
    return s.emit(made.primitive, *made.inputs, axes=axes, keepdims=False)


# ------------------------------------------------------------------------------------------- transpose and broadcast


def _transpose(s: Simplifier, eqn: Equation) -> Atom | None:
    """By no permutation; of a transpose; of one number"""
    (x,) = eqn.inputs
    axes = eqn.params["axes"]
    if axes == tuple(range(len(axes))):
        return x
    made = s.maker(x, TRANSPOSE, BROADCAST_TO)
    if made is None:
        return None
    source = made.inputs[0]
    if made.primitive is TRANSPOSE:
        return s.emit(TRANSPOSE, source, axes=composed(axes, made.params["axes"]))
    return s.emit(BROADCAST_TO, source, shape=eqn.outputs[0].aval.shape) if not source.aval.shape else None


def _broadcast(s: Simplifier, eqn: Equation) -> Atom | None:
    """To the same shape; with new axes of size 1 only; of a broadcast; of a reshape that puts such axes in front"""
    (x,) = eqn.inputs
    shape = eqn.params["shape"]
    if x.aval == eqn.outputs[0].aval:
        return x
    if x.aval.shape and x.aval.size == eqn.outputs[0].aval.size:
        return s.emit(RESHAPE, x, shape=shape)
    made = s.maker(x, BROADCAST_TO, RESHAPE)
    if made is None:
        return None
    source = made.inputs[0]
    lead = x.aval.ndim - source.aval.ndim
    if made.primitive is RESHAPE and (lead < 0 or x.aval.shape != (1,) * lead + source.aval.shape):
        return None
    return s.emit(BROADCAST_TO, source, shape=shape)


# -------------------------------------------------------------------------------------------------- slices and places


def _slice(s: Simplifier, eqn: Equation) -> Atom | None:
    """All of it; of a slice; of one number; of what was placed there; of one of the arrays that were joined"""
    (x,) = eqn.inputs
    start, size, step = (eqn.params[name] for name in ("start", "size", "step"))
    if size == x.aval.shape and all(i == 1 for i, n in zip(step, size, strict=True) if n > 1):
        return x
    made = s.maker(x, SLICE, BROADCAST_TO, PLACE, CONCATENATE)
    if made is None:
        return None
    source, params = made.inputs[0], made.params
    if made.primitive is SLICE:
        inner = zip(start, step, params["start"], params["step"], strict=True)
        pairs = [(a + i * b, j * b) for i, j, a, b in inner]
        return s.emit(SLICE, source, start=tuple(a for a, _ in pairs), size=size, step=tuple(b for _, b in pairs))
    if made.primitive is BROADCAST_TO:
        return s.emit(BROADCAST_TO, source, shape=size) if not source.aval.shape else None
    if made.primitive is PLACE:
        there = params["start"] == start and params["step"] == step and source.aval.shape == size
        return source if there else None
    return _slice_of_joined(s, made, start, size, step)


def _slice_of_joined(s: Simplifier, made: Equation, start: Axes, size: Axes, step: Axes) -> Atom | None:
    axis, offset = made.params["axis"], 0
    n, low = size[axis], start[axis]
    ends = (low, low + (n - 1) * step[axis])
    for part in made.inputs:
        length = part.aval.shape[axis]
        if n and offset <= min(ends) and max(ends) < offset + length:
            at = tuple(a - offset if i == axis else a for i, a in enumerate(start))
            return s.emit(SLICE, part, start=at, size=size, step=step) if _of_one_dtype(made) else None
        offset += length
    return None


def _of_one_dtype(eqn: Equation) -> bool:
    return all(a.aval.dtype == eqn.outputs[0].aval.dtype for a in eqn.inputs)


def _place(s: Simplifier, eqn: Equation) -> Atom | None:
    """Everywhere; what was sliced from something that is zero elsewhere is not known to be there"""
    (x,) = eqn.inputs
    whole = eqn.params["shape"] == x.aval.shape
    return x if whole and all(i == 1 for i, n in zip(eqn.params["step"], x.aval.shape, strict=True) if n > 1) else None


def _add_places(s: Simplifier, eqn: Equation) -> Atom | None:
    """place(x) + place(y) = place(x + y) in the same place, also where a sum lies between"""
    a, b = eqn.inputs
    right = s.maker(b, PLACE)
    if right is None:
        return None
    left = s.maker(a, PLACE)
    if left is not None and _same_place(left, right) and s.once(a) and s.once(b):
        return s.emit(PLACE, s.emit(ADD, left.inputs[0], right.inputs[0]), **right.params)
    return None


def _same_place(a: Equation, b: Equation) -> bool:
    return a.params == b.params and a.inputs[0].aval == b.inputs[0].aval


# ------------------------------------------------------------------------------------------------- joined and split


def _concatenate(s: Simplifier, eqn: Equation) -> Atom | None:
    """Of one array; of all parts of a split; of neighbouring slices; of joined arrays"""
    ins, axis = eqn.inputs, eqn.params["axis"]
    out = eqn.outputs[0].aval
    full = [a for a in ins if a.aval.shape[axis]]
    if len(full) == 1 and full[0].aval == out:
        return full[0]
    if 1 < len(full) < len(ins) and all(a.aval.dtype == out.dtype for a in full):
        return s.emit(CONCATENATE, *full, axis=axis)
    split = s.maker(ins[0], SPLIT)
    if split is not None and split.params["axis"] == axis and tuple(ins) == tuple(split.outputs):
        return split.inputs[0]
    return _joined_slices(s, eqn, axis) or _flat(s, eqn, axis)


def _joined_slices(s: Simplifier, eqn: Equation, axis: int) -> Atom | None:
    first = s.maker(eqn.inputs[0], SLICE)
    if first is None or first.params["step"][axis] != 1:
        return None
    at = first.params["start"][axis]
    for a in eqn.inputs:
        made = s.maker(a, SLICE)
        if made is None or made.inputs[0] is not first.inputs[0] or made.params["step"] != first.params["step"]:
            return None
        if _at(made.params["start"], axis, at) != made.params["start"] or _at(made.params["start"], axis, 0) != _at(
            first.params["start"], axis, 0
        ):
            return None
        at += a.aval.shape[axis]
    params = {"start": first.params["start"], "size": eqn.outputs[0].aval.shape, "step": first.params["step"]}
    return s.emit(SLICE, first.inputs[0], **params)


def _at(start: Sequence[int], axis: int, value: int) -> Axes:
    return tuple(value if i == axis else a for i, a in enumerate(start))


def _flat(s: Simplifier, eqn: Equation, axis: int) -> Atom | None:
    parts: list[Any] = []
    for a in eqn.inputs:
        made = s.maker(a, CONCATENATE)
        inside = made is not None and made.params["axis"] == axis and s.once(a) and _converts_alike(made, eqn)
        parts += made.inputs if made is not None and inside else (a,)
    return s.emit(CONCATENATE, *parts, axis=axis) if len(parts) > len(eqn.inputs) else None


def _converts_alike(inner: Equation, outer: Equation) -> bool:
    """Whether arrays that are joined by way of a dtype are what they are joined at once."""
    via, dtype = inner.outputs[0].aval.dtype, outer.outputs[0].aval.dtype
    return via == dtype or all(passes_unchanged(x.aval.dtype, via, dtype) for x in inner.inputs)


SHAPE: dict[Primitive, tuple[Rule, ...]] = {
    RESHAPE: (_reshape, _reshape_reduction, _reshape_small),
    TRANSPOSE: (_transpose,),
    BROADCAST_TO: (_broadcast,),
    SLICE: (_slice,),
    PLACE: (_place,),
    ADD: (_add_places,),
    CONCATENATE: (_concatenate,),
}
