"""Along which axes the parts of a divided array stay parts, operation by operation.

A rule is given an equation and, for each operand, the axis along which it is divided (None where it is not, or not
yet). It says how all operands are to be divided so that the operation can be done part by part, and what then becomes
of the results: parts along an axis, or terms of a sum (`SUM`). None means that it cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.core import Primitive
from funcgrad.executor.channels_last import CONV_LAST
from funcgrad.executor.rows_first import CONV_ROWS, CONV_ROWS_KERNEL
from funcgrad.executor.spaces import is_pointwise
from funcgrad.ir import Equation
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.conv import CONV
from funcgrad.ops.index import GATHER, SCATTER_ADD
from funcgrad.ops.reduce import REDUCE_SUM
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import BROADCAST_TO, PLACE, RESHAPE, SLICE, STOP_GRADIENT, TRANSPOSE

__all__ = ["SUM", "Ruling", "ruling"]

SUM = -1
"""In place of an axis: the parts are to be added up."""

Axes = Sequence[int | None]


class Ruling(NamedTuple):
    """How an operation is done part by part.

    Attributes:
        ins: for each operand, the axis along which it is divided, or None.
        out: the axis along which the result is divided, or `SUM`.
        resized: the parameter that holds a shape, and the axis of it that is divided.
    """

    ins: tuple[int | None, ...]
    out: int
    resized: tuple[str, int] | None = None


def ruling(eqn: Equation, at: Axes) -> Ruling | None:
    """What is said of an operation, at least one operand of which is divided, by the rule of its primitive."""
    primitive = eqn.primitive
    if primitive.multiple or primitive.effect:
        return None
    if primitive in _SAME or is_pointwise(primitive):
        return _pointwise(eqn, at)
    rule = _RULES.get(primitive)
    if rule is not None:
        return rule(eqn, at)
    if primitive.name in _REDUCING:
        return _reduce(eqn, at)
    return _along(eqn, at) if primitive.name in _AXES_OF else None


def _pointwise(eqn: Equation, at: Axes) -> Ruling | None:
    """Shapes are aligned at the last axis; an operand of size 1 there is the same for all parts."""
    from_end = {axis - x.aval.ndim for x, axis in zip(eqn.inputs, at, strict=True) if axis is not None}
    if len(from_end) != 1:
        return None
    (d,) = from_end
    shape = eqn.outputs[0].aval.shape
    ins = tuple(x.aval.ndim + d if x.aval.ndim >= -d and x.aval.shape[d] > 1 else None for x in eqn.inputs)
    return Ruling(ins, len(shape) + d)


def _along(eqn: Equation, at: Axes) -> Ruling | None:
    """Operations along some axes, which treat each place along the others for itself; all arrays have one rank."""
    named = eqn.params[_AXES_OF[eqn.primitive.name]]
    axis = _only(at)
    if axis is None or axis in (named if isinstance(named, tuple) else (named,)):
        return None
    return Ruling((axis,) * len(eqn.inputs), axis)


def _only(at: Axes) -> int | None:
    """The axis along which all divided operands are divided."""
    axes = {axis for axis in at if axis is not None}
    return axes.pop() if len(axes) == 1 else None


def _reduce(eqn: Equation, at: Axes) -> Ruling | None:
    (axis,) = at
    assert axis is not None
    axes = eqn.params["axes"] if "axes" in eqn.params else (eqn.params["axis"],)
    if axis in axes:
        return Ruling((axis,), SUM) if eqn.primitive is REDUCE_SUM else None
    return Ruling((axis,), axis if eqn.params.get("keepdims") else axis - sum(i < axis for i in axes))


def _dot(eqn: Equation, at: Axes) -> Ruling | None:
    side = 0 if at[0] is not None else 1
    axis, other = at[side], 1 - side
    assert axis is not None
    contract, batch = eqn.params["contract"], eqn.params["batch"]
    ins: list[int | None] = [None, None]
    ins[side] = axis
    if axis in batch[side]:
        out = batch[side].index(axis)
        ins[other] = batch[other][out]
    elif axis in contract[side]:
        ins[other] = contract[other][contract[side].index(axis)]
        out = SUM
    else:
        free = [[i for i in range(eqn.inputs[k].aval.ndim) if i not in (*contract[k], *batch[k])] for k in (0, 1)]
        out = len(batch[0]) + side * len(free[0]) + free[side].index(axis)
    return Ruling(tuple(ins), out)


def _conv(eqn: Equation, at: Axes) -> Ruling | None:
    """Examples are one for each other's; channels that are contracted give sums."""
    if eqn.params["batch_group_count"] != 1:
        return None
    if 0 in at[:1]:
        return Ruling((0, None), 0)
    if (at[0] == 1 or at[1] == 1) and eqn.params["feature_group_count"] == 1:
        return Ruling((1, 1), SUM)
    return None


def _conv_rows(eqn: Equation, at: Axes) -> Ruling | None:
    """The same, with examples last; a gradient by the kernel is a sum over examples."""
    if at[0] == 3 or (at[1] == 3 and eqn.primitive is CONV_ROWS_KERNEL):
        return Ruling((3, None), 3) if eqn.primitive is CONV_ROWS else Ruling((3, 3), SUM)
    return Ruling((1, 1), SUM) if 1 in at and eqn.primitive is CONV_ROWS else None


def _reshape(eqn: Equation, at: Axes) -> Ruling | None:
    """An axis that begins at the same place in memory as one of the result is divided as that one is."""
    (axis,) = at
    old, new = eqn.inputs[0].aval.shape, eqn.params["shape"]
    before = math.prod(old[:axis])
    done = 1
    for j, n in enumerate(new):
        if done == before and n > 1:
            return Ruling((axis,), j, ("shape", j))
        done *= n
    return None


def _transpose(eqn: Equation, at: Axes) -> Ruling | None:
    (axis,) = at
    return Ruling((axis,), eqn.params["axes"].index(axis))


def _broadcast(eqn: Equation, at: Axes) -> Ruling | None:
    (axis,) = at
    assert axis is not None
    out = axis + len(eqn.params["shape"]) - eqn.inputs[0].aval.ndim
    return Ruling((axis,), out, ("shape", out))


def _slice(eqn: Equation, at: Axes) -> Ruling | None:
    (axis,) = at
    assert axis is not None
    x, params = eqn.inputs[0].aval, eqn.params
    if params["start"][axis] or params["step"][axis] != 1 or params["size"][axis] != x.shape[axis]:
        return None
    return Ruling((axis,), axis, ("size", axis))


def _place(eqn: Equation, at: Axes) -> Ruling | None:
    (axis,) = at
    assert axis is not None
    x, params = eqn.inputs[0].aval, eqn.params
    if params["start"][axis] or params["step"][axis] != 1 or params["shape"][axis] != x.shape[axis]:
        return None
    return Ruling((axis,), axis, ("shape", axis))


def _gather(eqn: Equation, at: Axes) -> Ruling | None:
    """Parts of the indices take from all of the array."""
    x, *indices = eqn.inputs
    rank = max(i.aval.ndim for i in indices)
    if at[0] is not None:
        kept = [i for i in range(x.aval.ndim) if i not in eqn.params["axes"]]
        if at[0] not in kept or any(axis is not None for axis in at[1:]):
            return None
        return Ruling((at[0], *[None] * len(indices)), rank + kept.index(at[0]))
    found = _indices(indices, at[1:])
    return None if found is None else Ruling((None, *found[0]), found[1])


def _indices(indices: Sequence[Any], at: Axes) -> tuple[tuple[int | None, ...], int] | None:
    """How indices that broadcast together are divided, and the axis of their common shape."""
    rank = max(i.aval.ndim for i in indices)
    from_end = {axis - x.aval.ndim for x, axis in zip(indices, at, strict=True) if axis is not None}
    if len(from_end) != 1:
        return None
    (d,) = from_end
    return tuple(x.aval.ndim + d if x.aval.ndim >= -d and x.aval.shape[d] > 1 else None for x in indices), rank + d


def _scatter_add(eqn: Equation, at: Axes) -> Ruling | None:
    """Parts of the indices and of what is added give terms of a sum."""
    updates, *indices = eqn.inputs
    rank = max(i.aval.ndim for i in indices)
    whole = rank + len(eqn.params["shape"]) - len(eqn.params["axes"])
    if updates.aval.ndim != whole:
        return None
    if at[0] is not None and at[0] >= rank:
        kept = [i for i in range(len(eqn.params["shape"])) if i not in eqn.params["axes"]]
        if any(axis is not None for axis in at[1:]):
            return None
        out = kept[at[0] - rank]
        same = updates.aval.shape[at[0]] == eqn.params["shape"][out]
        return Ruling((at[0], *[None] * len(indices)), out, ("shape", out)) if same else None
    given = list(at[1:])
    if at[0] is not None:
        d = at[0] - rank
        given = [
            x.aval.ndim + d if axis is None and x.aval.ndim >= -d and x.aval.shape[d] > 1 else axis
            for x, axis in zip(indices, given, strict=True)
        ]
    found = _indices(indices, given)
    if found is None or updates.aval.shape[found[1]] == 1:
        return None
    return Ruling((found[1], *found[0]), SUM)


_SAME = (WEAKEN, STOP_GRADIENT)
_EXTREMA = ("max", "min", "prod", "and", "or", "sum")
_REDUCING = frozenset((*(f"reduce_{name}" for name in _EXTREMA), "norm2", "logsumexp", "argmax", "argmin"))

_AXES_OF = {
    "concatenate": "axis",
    "softmax": "axes",
    "log_softmax": "axes",
    "sort": "axis",
    "argsort": "axis",
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "linear_recurrence"), "axis"),
    **dict.fromkeys(("reduce_window_max", "reduce_window_min", "reduce_window_sum"), "axis"),
    **dict.fromkeys(("select_and_scatter", "select_and_gather"), "axis"),
}
"""The parameter with the axes that an operation is along."""

_RULES: dict[Primitive, Callable[[Equation, Axes], Ruling | None]] = {
    DOT_GENERAL: _dot,
    CONV: _conv,
    CONV_LAST: _conv,
    CONV_ROWS: _conv_rows,
    CONV_ROWS_KERNEL: _conv_rows,
    RESHAPE: _reshape,
    TRANSPOSE: _transpose,
    BROADCAST_TO: _broadcast,
    SLICE: _slice,
    PLACE: _place,
    GATHER: _gather,
    SCATTER_ADD: _scatter_add,
}
