"""Collectives: operations across the examples of a batch, whose axis they know by its name.

`collective` is the rule where the batch is the named axis, given the operand with all its examples: there a collective
is a plain reduction, transposition or choice of examples. `batch` is the rule for an axis of another name: one more
axis that is carried along. An operand that is the same for all examples is a batch of equal ones. Results that are the
same for all examples have no batch axis.

The name is looked up by the functions of `funcgrad.lax`: an operation that is evaluated has lost its axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.core import Axes, Primitive, axes_in_scope
from funcgrad.errors import ShapeError
from funcgrad.ops.rules import constant, declare, linear
from funcgrad.ops.shape import CONVERT
from funcgrad.types import ShapedArray, dtype_of, is_a, is_weak, shape_of

__all__ = ["ALL_GATHER", "ALL_TO_ALL", "AXIS_INDEX", "PMAX", "PMIN", "PPERMUTE", "PSUM", "PSUM_SCATTER", "unbound"]

Permutation = tuple[tuple[int, int], ...]


def unbound(what: str, axis_name: Any, axes: Axes) -> NameError:
    """The error for a name that no enclosing `vmap` has given to its axis."""
    known = ", ".join(f"{name!r} of size {size}" for name, size in axes)
    return NameError(
        f"{what}: no axis named {axis_name!r} here; the axes in scope are: {known or 'none'}; "
        f"give vmap axis_name={axis_name!r}"
    )


def _impl(name: str) -> Callable[..., NoReturn]:
    def impl(*args: Any, axis_name: Any, **params: Any) -> NoReturn:
        raise unbound(name, axis_name, axes_in_scope())

    return impl


def _pass_on(primitive: Primitive, *axes: str) -> Callable[..., Any]:
    """The rule for a batch along another axis, which comes first: the params `axes` count it."""

    def batch(args: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
        return primitive.bind(*args, **params | {k: params[k] + 1 for k in axes})

    return batch


def _strong(x: Any, dtype: np.dtype[Any]) -> Any:
    """A value with the dtype that the shape rule gives: no Python scalar."""
    return CONVERT.bind(x, dtype=dtype) if is_weak(x) or dtype_of(x) != dtype else x


def _spread(x: Any, batched: bool, size: int) -> Any:
    """An operand with all its examples."""
    return x if batched else np.broadcast_to(x, (size, *shape_of(x)))


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _inserted(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis:])


def _check_split(x: ShapedArray, axis: int, size: int) -> None:
    if x.shape[axis] != size:
        raise ShapeError(f"axis {axis} of {x.shape} must have one element for each of the {size} examples")


# ------------------------------------------------------------------------------------------------------ reductions


def _sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.add.reduce(np.zeros(1, dtype)).dtype


def _total(x: Any, batched: bool, size: int) -> Any:
    return np.sum(x, axis=0) if batched else _strong(x, _sum_dtype(dtype_of(x))) * size


PSUM = linear(
    "psum",
    _impl("psum"),
    lambda x, axis_name: ShapedArray(x.shape, _sum_dtype(x.dtype)),
    lambda ct, ins, wanted, axis_name: [PSUM.bind(ct, axis_name=axis_name)],
    collective=lambda args, batched, size, axis_name: (_total(args[0], batched[0], size), False),
)
PSUM.batch = _pass_on(PSUM)


def _extremum(name: str, reduce: Callable[..., Any]) -> Primitive:
    """A maximum or minimum; examples that attain it share the derivative equally, as elements do in `np.max`."""

    def collective(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any) -> tuple[Any, bool]:
        (x,) = args
        if not batched[0]:
            return _strong(x, dtype_of(x)), False
        return (reduce(x, axis=0), False) if size else (x, True)

    def share(out: Any, x: Any, axis_name: Any) -> Any:
        hit = np.equal(x, out).astype(dtype_of(out))
        return hit / np.maximum(PSUM.bind(hit, axis_name=axis_name), 1)

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axis_name: Any) -> Any:
        return PSUM.bind(tangents[0] * share(out, ins[0], axis_name), axis_name=axis_name)

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axis_name: Any) -> list[Any]:
        return [PSUM.bind(ct, axis_name=axis_name) * share(out, ins[0], axis_name)]

    primitive = declare(
        name,
        _impl(name),
        lambda x, axis_name: ShapedArray(x.shape, x.dtype),
        jvp=jvp,
        vjp=vjp,
        collective=collective,
    )
    primitive.batch = _pass_on(primitive)
    return primitive


PMAX = _extremum("pmax", np.max)
PMIN = _extremum("pmin", np.min)


# ------------------------------------------------------------------------------------------------ moving of examples


def _gathered(
    args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, axis: int, axis_size: int
) -> Any:
    out = np.moveaxis(_spread(args[0], batched[0], size), 0, axis)
    return (out.copy() if is_a(out, np.ndarray) else out), False  # an array of the user's is not to be written to


ALL_GATHER = linear(
    "all_gather",
    _impl("all_gather"),
    lambda x, axis_name, axis, axis_size: ShapedArray(_inserted(x.shape, axis, axis_size), x.dtype),
    lambda ct, ins, wanted, **params: [PSUM_SCATTER.bind(ct, **params)],
    collective=_gathered,
)
"""All examples of the operand, along a further axis `axis` of size `axis_size`."""
ALL_GATHER.batch = _pass_on(ALL_GATHER, "axis")


def _psum_scatter_aval(x: ShapedArray, axis_name: Any, axis: int, axis_size: int) -> ShapedArray:
    _check_split(x, axis, axis_size)
    return ShapedArray(_without(x.shape, axis), _sum_dtype(x.dtype))


PSUM_SCATTER = linear(
    "psum_scatter",
    _impl("psum_scatter"),
    _psum_scatter_aval,
    lambda ct, ins, wanted, **params: [ALL_GATHER.bind(ct, **params)],
    collective=lambda args, batched, size, axis, **params: (
        np.moveaxis(_total(args[0], batched[0], size), axis, 0),
        True,
    ),
)
"""The sum over all examples, of which each gets the part along `axis` that has its number."""
PSUM_SCATTER.batch = _pass_on(PSUM_SCATTER, "axis")


def _all_to_all_aval(x: ShapedArray, axis_name: Any, split: int, concat: int, axis_size: int) -> ShapedArray:
    _check_split(x, split, axis_size)
    return ShapedArray(_inserted(_without(x.shape, split), concat, axis_size), x.dtype)


def _all_to_all(
    args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, split: int, concat: int, axis_size: int
) -> tuple[Any, bool]:
    x = _spread(args[0], batched[0], size)
    rest = [i for i in range(1, len(shape_of(x))) if i != split + 1]
    return np.transpose(x, (split + 1, *rest[:concat], 0, *rest[concat:])), True


ALL_TO_ALL = linear(
    "all_to_all",
    _impl("all_to_all"),
    _all_to_all_aval,
    lambda ct, ins, wanted, split, concat, **params: [ALL_TO_ALL.bind(ct, split=concat, concat=split, **params)],
    collective=_all_to_all,
)
"""Example i gets the i-th part along `split` of each example; they lie along `concat` of the result."""
ALL_TO_ALL.batch = _pass_on(ALL_TO_ALL, "split", "concat")


def _ppermute(
    args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, perm: Permutation
) -> tuple[Any, bool]:
    x = _spread(args[0], batched[0], size)
    source, sent = np.zeros(size, int), np.zeros(size, bool)
    for a, b in perm:
        source[b], sent[b] = a, True
    moved = x[source]
    if sent.all():
        return moved, True
    return np.where(np.reshape(sent, (size, *(1,) * (len(shape_of(x)) - 1))), moved, np.zeros((), dtype_of(x))), True


PPERMUTE = linear(
    "ppermute",
    _impl("ppermute"),
    lambda x, axis_name, perm: ShapedArray(x.shape, x.dtype),
    lambda ct, ins, wanted, axis_name, perm: [
        PPERMUTE.bind(ct, axis_name=axis_name, perm=tuple((b, a) for a, b in perm))
    ],
    collective=_ppermute,
)
"""Example b gets what example a has, for each pair (a, b) of `perm`; one that is sent nothing gets zeros."""
PPERMUTE.batch = _pass_on(PPERMUTE)

AXIS_INDEX = constant(
    "axis_index",
    _impl("axis_index"),
    lambda axis_name: ShapedArray((), np.dtype(np.int32)),
    collective=lambda args, batched, size, axis_name: (np.arange(size, dtype=np.int32), True),
)
"""The number of each example."""
AXIS_INDEX.batch = _pass_on(AXIS_INDEX)
