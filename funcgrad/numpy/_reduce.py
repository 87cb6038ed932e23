"""Reductions: sums, products, extreme elements, and whether all or any elements are true."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import UFUNC_METHODS, array_operand, assigned, implements
from funcgrad.numpy._shape import astype, axis_index, whole
from funcgrad.ops.reduce import REDUCE_AND, REDUCE_MAX, REDUCE_MIN, REDUCE_OR, REDUCE_PROD, REDUCE_SUM

__all__ = ["all", "amax", "amin", "any", "count_nonzero", "given", "max", "min", "prod", "ptp",
           "reduction_axes", "sum"]  # fmt: skip

_NONE: Any = np._NoValue  # what NumPy passes for an argument that was not given


def given(x: Any) -> bool:
    """Whether an optional argument was given."""
    return x is not None and x is not _NONE


def reduction_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes to reduce over as a sorted tuple; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis_index(a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ValueError(f"duplicate axes in {axis}")
    return tuple(sorted(axes))


def _reduce(primitive: Any, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any, neutral: Any, join: Any) -> Any:
    x = array_operand(a)
    if given(where) and where is not True:
        if neutral is None and not given(initial):
            raise ValueError(f"{primitive.name} with where= needs initial=, as it has no neutral element")
        x = np.where(where, x, assigned(initial if neutral is None else neutral, x.dtype))
    axes = reduction_axes(None if whole(axis, x.ndim) else axis, x.ndim)
    keep = given(keepdims) and bool(keepdims)
    if given(initial) and neutral is None and _any_empty(x.shape, axes):
        # nothing to reduce along some axis: the result is `initial` throughout
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes)
        return np.broadcast_to(assigned(initial, x.dtype), shape)
    out = primitive.bind(x, axes=axes, keepdims=keep)
    return join(out, assigned(initial, out.dtype)) if given(initial) else out


def _any_empty(shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether one of the axes has no elements."""
    return 0 in [shape[i] for i in axes]


@implements(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """The sum over axes (all of them by default)."""
    if dtype is None:
        return _reduce(REDUCE_SUM, a, axis, keepdims, initial, where, 0, np.add)
    total = _reduce(REDUCE_SUM, astype(array_operand(a), dtype), axis, keepdims, initial, where, 0, np.add)
    return total.astype(dtype)  # NumPy widens small integers only where no dtype is asked for


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """The product over axes; the derivative is right where factors are zero."""
    if dtype is None:
        return _reduce(REDUCE_PROD, a, axis, keepdims, initial, where, 1, np.multiply)
    total = _reduce(REDUCE_PROD, astype(array_operand(a), dtype), axis, keepdims, initial, where, 1, np.multiply)
    return total.astype(dtype)


@implements(np.max, np.amax)
def max(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The maximum over axes; the derivative is shared equally among ties."""
    return _reduce(REDUCE_MAX, a, axis, keepdims, initial, where, None, np.maximum)


@implements(np.min, np.amin)
def min(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The minimum over axes; the derivative is shared equally among ties."""
    return _reduce(REDUCE_MIN, a, axis, keepdims, initial, where, None, np.minimum)


amax, amin = max, min


@implements(np.all)
def all(a: Any, axis: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True) -> Any:
    """Whether all elements are true."""
    return _reduce(REDUCE_AND, np.not_equal(array_operand(a), 0), axis, keepdims, None, where, True, None)


@implements(np.any)
def any(a: Any, axis: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True) -> Any:
    """Whether some element is true."""
    return _reduce(REDUCE_OR, np.not_equal(array_operand(a), 0), axis, keepdims, None, where, False, None)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The number of elements that are not zero."""
    return sum(np.not_equal(array_operand(a), 0), axis, keepdims=keepdims)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: Any = False) -> Any:
    """Maximum minus minimum."""
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


def _reduce_method(ufunc: Any, fun: Any) -> Any:
    def reduce(
        a: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        options = {} if initial is None else {"initial": initial}
        if dtype is not None and fun in (sum, prod):
            options["dtype"] = dtype
        elif dtype is not None:
            a = astype(array_operand(a), dtype)
        if fun not in (all, any):
            return fun(a, axis, keepdims=keepdims, where=where, **options)
        out = fun(a, axis, keepdims=keepdims, where=where)
        return ufunc(initial, out) if given(initial) else out

    return reduce


for _ufunc, _fun in (
    (np.add, sum),
    (np.multiply, prod),
    (np.maximum, max),
    (np.minimum, min),
    (np.logical_and, all),
    (np.logical_or, any),
):
    UFUNC_METHODS[_ufunc, "reduce"] = _reduce_method(_ufunc, _fun)
