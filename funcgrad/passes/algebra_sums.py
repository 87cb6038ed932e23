"""Rules of `algebra` for reductions and products of matrices.

What they change is the order in which numbers are added, and the sign of sums that are zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.capture import are_directions
from funcgrad.core import Primitive
from funcgrad.executor.tiles import tuning
from funcgrad.ir import Atom, Equation
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.math import ADD, MUL, SUB, UFUNCS
from funcgrad.ops.reduce import REDUCE_PROD, REDUCE_SUM
from funcgrad.ops.shape import BROADCAST_TO, CONVERT, RESHAPE, TRANSPOSE
from funcgrad.passes.exact import holds
from funcgrad.passes.simplifier import Rule, Simplifier

__all__ = ["REDUCTION", "SUMS"]

Axes = tuple[int, ...]

_NEG, _SQUARE = UFUNCS[np.negative], UFUNCS[np.square]


def _reduce(s: Simplifier, eqn: Equation, x: Atom, axes: Axes) -> Atom:
    """The reduction of another array, in the shape of the result of `eqn`."""
    shape = eqn.outputs[0].aval.shape
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.aval.shape))
    if not axes:
        return s.emit(RESHAPE, x, shape=shape)
    if kept == shape and eqn.params["keepdims"]:
        return s.emit(eqn.primitive, x, axes=axes, keepdims=True)
    return s.emit(RESHAPE, s.emit(eqn.primitive, x, axes=axes, keepdims=False), shape=shape)


def _over_single(s: Simplifier, eqn: Equation) -> Atom | None:
    """Over axes of size 1, or none; a sum begins with 0.0, to which -0.0 is added, a complex product with 1 + 0j"""
    (x,) = eqn.inputs
    out = eqn.outputs[0].aval
    axes = eqn.params["axes"]
    if x.aval.dtype != out.dtype or any(x.aval.shape[i] != 1 for i in axes) or not x.aval.size:
        return None
    if eqn.primitive is REDUCE_PROD and out.dtype.kind == "c":
        return None
    x = s.emit(RESHAPE, x, shape=out.shape)
    return s.emit(ADD, x, 0.0) if eqn.primitive is REDUCE_SUM and out.dtype.kind in "fc" else x


def _of_reduction(s: Simplifier, eqn: Equation) -> Atom | None:
    """Over one axis after another: over both at once"""
    (x,) = eqn.inputs
    made = s.maker(x, eqn.primitive)
    if made is None or not s.once(x) or made.inputs[0].aval.dtype != eqn.outputs[0].aval.dtype:
        return None
    source, inner = made.inputs[0], made.params["axes"]
    left = list(range(source.aval.ndim)) if made.params["keepdims"] else _others(source.aval.ndim, inner)
    axes = tuple(sorted({*inner, *(left[i] for i in eqn.params["axes"])}))
    if 0 in source.aval.shape:
        return None
    return _reduce(s, eqn, source, axes)


def _others(ndim: int, axes: Axes) -> list[int]:
    return [i for i in range(ndim) if i not in axes]


def _of_rearranged(s: Simplifier, eqn: Equation) -> Atom | None:
    """Of a transpose, if the axes that are left keep their order; of a reshape, over all axes"""
    (x,) = eqn.inputs
    made = s.maker(x, TRANSPOSE, RESHAPE)
    axes = eqn.params["axes"]
    if made is None:
        return None
    source = made.inputs[0]
    if made.primitive is TRANSPOSE:
        order = made.params["axes"]
        left = [order[i] for i in _others(x.aval.ndim, axes)]
        if left != sorted(left) or eqn.params["keepdims"]:
            return None
        return s.emit(eqn.primitive, source, axes=tuple(sorted(order[i] for i in axes)), keepdims=False)
    if len(axes) != x.aval.ndim or not source.aval.ndim or not source.aval.size:
        return None
    return _reduce(s, eqn, source, tuple(range(source.aval.ndim)))


def _of_broadcast(s: Simplifier, eqn: Equation) -> Atom | None:
    """The sum of n equal numbers is n times the number; their maximum is the number"""
    (x,) = eqn.inputs
    made = s.maker(x, BROADCAST_TO)
    ufunc = eqn.primitive.reduces
    if made is None or not x.aval.size or ufunc is None:
        return None
    (source,) = made.inputs
    out, axes = eqn.outputs[0].aval, eqn.params["axes"]
    lead = x.aval.ndim - source.aval.ndim
    spread = [i for i in axes if i < lead or source.aval.shape[i - lead] != x.aval.shape[i]]
    if not spread or x.aval.dtype != out.dtype or source.aval.weak:
        return None
    if eqn.primitive is not REDUCE_SUM and not UFUNCS[ufunc].idempotent:
        return None
    inner = tuple(i - lead for i in axes if i >= lead)
    left = s.emit(eqn.primitive, source, axes=inner, keepdims=True) if inner else source
    if eqn.primitive is REDUCE_SUM:
        times = math.prod(x.aval.shape[i] for i in spread)
        if out.dtype.kind not in "fiu" or not holds(out.dtype, times):
            return None
        left = s.emit(MUL, left, times)
    # What is left has size 1 along the reduced axes; other axes may still have to be broadcast.
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.aval.shape))
    return s.emit(RESHAPE, s.emit(BROADCAST_TO, left, shape=kept), shape=out.shape)


def _sum_of_negatives(s: Simplifier, eqn: Equation) -> Atom | None:
    """Σ(-x) = 0 - Σx: a sum begins with 0.0, and is never -0.0"""
    (x,) = eqn.inputs
    made = s.maker(x, _NEG)
    if made is None or not s.once(x) or x.aval.dtype != eqn.outputs[0].aval.dtype or x.aval.dtype.kind not in "fciu":
        return None
    total = s.emit(REDUCE_SUM, made.inputs[0], **eqn.params)
    return s.emit(_NEG, total) if x.aval.dtype.kind in "iu" else s.emit(SUB, 0.0, total)


def _sum_of_products(s: Simplifier, eqn: Equation) -> Atom | None:
    """Σxy = x·y over all axes or the last one, where arrays are too small to be fused

    100×10 float32, without the array of products: 1.2 µs instead of 3.1 over both axes, 2.8 instead of 5.7 over one.
    """
    (x,) = eqn.inputs
    made = s.maker(x, MUL, _SQUARE)
    axes, last = eqn.params["axes"], x.aval.ndim - 1
    if made is None or not s.once(x) or not 0 < x.aval.size < tuning.smallest or x.aval.dtype.char not in "fd":
        return None
    a, b = made.inputs if made.primitive is MUL else (*made.inputs, *made.inputs)
    if any((y.aval.shape, y.aval.dtype) != (x.aval.shape, x.aval.dtype) for y in (a, b)) or not axes:
        return None
    if axes != (last,) and len(axes) <= last:
        return None
    batch = tuple(range(last)) if len(axes) <= last else ()
    product = s.emit(DOT_GENERAL, a, b, contract=(axes, axes), batch=(batch, batch))
    return s.emit(RESHAPE, product, shape=eqn.outputs[0].aval.shape)


# -------------------------------------------------------------------------------------------- products of matrices


def _dot_of_transposes(s: Simplifier, eqn: Equation) -> Atom | None:
    """The axes that are contracted are those before a transpose, if the other axes keep their order"""
    changed = False
    ins, contract, batch = list(eqn.inputs), list(eqn.params["contract"]), list(eqn.params["batch"])
    for k, x in enumerate(eqn.inputs):
        made = s.maker(x, TRANSPOSE)
        if made is None:
            continue
        order = made.params["axes"]
        free = [order[i] for i in range(len(order)) if i not in contract[k] and i not in batch[k]]
        if free == sorted(free):
            ins[k], changed = made.inputs[0], True
            contract[k] = tuple(order[i] for i in contract[k])
            batch[k] = tuple(order[i] for i in batch[k])
    return s.emit(DOT_GENERAL, *ins, contract=tuple(contract), batch=tuple(batch)) if changed else None


def _dot_of_kinds(s: Simplifier, eqn: Equation) -> Atom | None:
    """An operand of another dtype is converted, as NumPy does it, but once for all products that read it"""
    dtype = eqn.outputs[0].aval.dtype
    if (
        dtype.kind not in "fc"
        or all(a.aval.dtype == dtype for a in eqn.inputs)
        or any(a.is_literal for a in eqn.inputs)
    ):
        return None
    ins = [a if a.aval.dtype == dtype else s.emit(CONVERT, a, dtype=dtype) for a in eqn.inputs]
    return s.emit(DOT_GENERAL, *ins, **eqn.params)


def _dot_of_identity(s: Simplifier, eqn: Equation) -> Atom | None:
    """I·b = b with its axes in another order, where a Jacobian is taken of a product: an I of the user's own has zeros
    that NumPy multiplies with, and infinity times zero is NaN"""
    if eqn.params["batch"] != ((), ()):
        return None
    for k, x in enumerate(eqn.inputs):
        value, other = s.constant(x), eqn.inputs[1 - k]
        if value is None or value.ndim != 2 or len(eqn.params["contract"][k]) != 1 or not _is_identity(value):
            continue
        if other.aval.dtype == eqn.outputs[0].aval.dtype and not other.is_literal:
            (axis,) = eqn.params["contract"][1 - k]
            rest = _others(other.aval.ndim, (axis,))
            return s.emit(TRANSPOSE, other, axes=(axis, *rest) if k == 0 else (*rest, axis))
    return None


def _is_identity(x: np.ndarray) -> bool:
    """Whether these are the unit directions of one vector, all of them."""
    return are_directions(x) and x.shape == (len(x), len(x))


def _dot_of_negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """(-a)·b = -(a·b) where the result is no larger than a"""
    for k, x in enumerate(eqn.inputs):
        made = s.maker(x, _NEG)
        if made is not None and s.once(x) and eqn.outputs[0].aval.size <= x.aval.size and x.aval.dtype.kind == "f":
            ins = list(eqn.inputs)
            ins[k] = made.inputs[0]
            return s.emit(_NEG, s.emit(DOT_GENERAL, *ins, **eqn.params))
    return None


def _transpose_of_dot(s: Simplifier, eqn: Equation) -> Atom | None:
    """(a·b)ᵀ = b·a with the operands exchanged, or the batch axes in another order"""
    (x,) = eqn.inputs
    made = s.maker(x, DOT_GENERAL)
    if made is None or not s.once(x):
        return None
    a, b = made.inputs
    (ca, cb), (ba, bb) = made.params["contract"], made.params["batch"]
    n, order = len(ba), eqn.params["axes"]
    free_a = a.aval.ndim - len(ca) - n
    first = list(range(n, n + free_a))
    second = list(range(n + free_a, len(order)))
    batch = order[:n]
    if sorted(batch) != list(range(n)):
        return None
    if list(order[n:]) == first + second:
        new: Any = (a, b, (ca, cb), (tuple(ba[i] for i in batch), tuple(bb[i] for i in batch)))
    elif list(order[n:]) == second + first:
        new = (b, a, (cb, ca), (tuple(bb[i] for i in batch), tuple(ba[i] for i in batch)))
    else:
        return None
    return s.emit(DOT_GENERAL, new[0], new[1], contract=new[2], batch=new[3])


REDUCTION: tuple[Rule, ...] = (_over_single, _of_reduction, _of_rearranged, _of_broadcast)
"""For each reduction."""

SUMS: dict[Primitive, tuple[Rule, ...]] = {
    REDUCE_SUM: (_sum_of_negatives, _sum_of_products),
    DOT_GENERAL: (_dot_of_identity, _dot_of_transposes, _dot_of_negative, _dot_of_kinds),
    TRANSPOSE: (_transpose_of_dot,),
}
