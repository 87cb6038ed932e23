"""Reductions over axes: sum, product, maximum, minimum, all, any.

`axes` is a sorted tuple of non-negative axes. The cotangent of a result is put back beside its operand by keeping the
reduced axes as size 1; the reverse walk broadcasts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.errors import ShapeError
from funcgrad.ops.rules import constant, declare, linear
from funcgrad.types import ShapedArray, dtype_of, shape_of

__all__ = ["REDUCE_AND", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_OR", "REDUCE_PROD", "REDUCE_SUM", "keep_axes"]

Axes = tuple[int, ...]


def _reduced_shape(shape: Sequence[int], axes: Axes, keepdims: bool) -> tuple[int, ...]:
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def keep_axes(x: Any, shape: Sequence[int], axes: Axes) -> Any:
    """A result of a reduction of `shape` over `axes`, to be broadcast against it: reduced axes are kept as size 1."""
    if len(axes) == len(shape):
        return x if not shape_of(x) else np.reshape(x, ())
    kept = _reduced_shape(shape, axes, True)
    return x if shape_of(x) == kept else np.reshape(x, kept)


def _impl(ufunc: np.ufunc) -> Callable[..., Any]:
    reduce = ufunc.reduce

    def impl(x: Any, axes: Axes, keepdims: bool) -> Any:
        return reduce(x, axis=axes, keepdims=keepdims)

    return impl


def _abstract(ufunc: np.ufunc, needs_elements: bool = False) -> Callable[..., ShapedArray]:
    def abstract(x: ShapedArray, axes: Axes, keepdims: bool) -> ShapedArray:
        if needs_elements and any(x.shape[i] == 0 for i in axes):
            raise ShapeError(f"{ufunc.__name__} over axes {axes} of {x.shape} has no elements; give `initial=`")
        dtype = ufunc.reduce(np.zeros(1, x.dtype)).dtype
        return ShapedArray(_reduced_shape(x.shape, axes, keepdims), dtype)

    return abstract


def _sum_transpose(ct: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes, keepdims: bool) -> list[Any]:
    return [keep_axes(ct, shape_of(ins[0]), axes)]


def _known(ufunc: np.ufunc, **more: Any) -> dict[str, Any]:
    """What is known of a reduction by a ufunc."""
    return {"reduces": ufunc, "along": "axes", "total": True, "flops": lambda ins, out, **params: ins[0].size, **more}


REDUCE_SUM = linear("reduce_sum", _impl(np.add), _abstract(np.add), _sum_transpose, **_known(np.add, generic=True))


def _product_of_others(x: Any, axes: Axes) -> Any:
    """For each element the product of all others that are reduced together with it, also where some are zero."""
    shape = shape_of(x)
    if 0 in shape:
        return np.ones(shape, dtype_of(x))
    others = tuple(i for i in range(len(shape)) if i not in axes)
    order = others + axes
    rows = np.reshape(np.transpose(x, order), (*(shape[i] for i in others), -1))
    one = np.ones((*shape_of(rows)[:-1], 1), dtype_of(x))
    before = np.cumprod(np.concatenate([one, rows[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([one, rows[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    moved = np.reshape(before * after, tuple(shape[i] for i in order))
    return np.transpose(moved, tuple(np.argsort(order)))


def _prod_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: Axes, keepdims: bool) -> Any:
    return np.sum(tangents[0] * _product_of_others(ins[0], axes), axis=axes, keepdims=keepdims)


def _prod_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes, keepdims: bool) -> list[Any]:
    return [keep_axes(ct, shape_of(ins[0]), axes) * _product_of_others(ins[0], axes)]


REDUCE_PROD = declare(
    "reduce_prod",
    _impl(np.multiply),
    _abstract(np.multiply),
    jvp=_prod_jvp,
    vjp=_prod_vjp,
    **_known(np.multiply, generic=True),
)


def _hits(out: Any, x: Any, axes: Axes) -> tuple[Any, Any]:
    """Where the extremal elements are, as numbers, and how many there are: the derivative is shared among ties.

    No element is equal to a NaN: the count is NaN there, and so is the derivative. A float16 counts to 2,048.
    """
    dtype = dtype_of(x)
    hit = np.equal(x, keep_axes(out, shape_of(x), axes)).astype(dtype)
    count = np.sum(hit, axis=axes, keepdims=True, dtype=np.float32 if dtype == np.float16 else None)
    return hit, np.where(np.equal(count, 0), dtype_of(count).type(np.nan), count)


def _extremum_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: Axes, keepdims: bool) -> Any:
    hit, count = _hits(out, ins[0], axes)
    total = np.sum(tangents[0] * hit, axis=axes, keepdims=keepdims)
    return total / (count if keepdims else np.reshape(count, shape_of(total)))


def _extremum_vjp(
    ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes, keepdims: bool
) -> list[Any]:
    hit, count = _hits(out, ins[0], axes)
    return [keep_axes(ct, shape_of(ins[0]), axes) / count * hit]


def _extremum(name: str, ufunc: np.ufunc) -> Primitive:
    known = _known(ufunc)
    return declare(name, _impl(ufunc), _abstract(ufunc, True), jvp=_extremum_jvp, vjp=_extremum_vjp, **known)


REDUCE_MAX = _extremum("reduce_max", np.maximum)
REDUCE_MIN = _extremum("reduce_min", np.minimum)
REDUCE_AND = constant("reduce_and", _impl(np.logical_and), _abstract(np.logical_and), **_known(np.logical_and))
REDUCE_OR = constant("reduce_or", _impl(np.logical_or), _abstract(np.logical_or), **_known(np.logical_or))
