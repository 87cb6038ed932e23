"""Reductions and statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.errors import TracerWriteError
from funcgrad.numpy._dispatch import UFUNC_METHODS, array_operand, implements
from funcgrad.numpy._shape import astype, axis_index, reshape
from funcgrad.ops.reduce import REDUCE_AND, REDUCE_MAX, REDUCE_MIN, REDUCE_OR, REDUCE_PROD, REDUCE_SUM

__all__ = [
    "all", "amax", "amin", "any", "average", "corrcoef", "count_nonzero", "cov", "max", "mean", "median", "min",
    "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "prod", "ptp", "reduction_axes",
    "std", "sum", "var",
]  # fmt: skip

_NONE: Any = np._NoValue  # what NumPy passes for an argument that was not given


def _given(x: Any) -> bool:
    return x is not None and x is not _NONE


def reduction_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes to reduce over as a sorted tuple; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis_index(a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ValueError(f"duplicate axes in {axis}")
    return tuple(sorted(axes))


def _no_out(out: Any) -> None:
    if _given(out):
        raise TracerWriteError("a traced reduction cannot write to `out=`; use the result")


def _reduce(primitive: Any, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any, neutral: Any, join: Any) -> Any:
    x = array_operand(a)
    if _given(where) and where is not True:
        if neutral is None and not _given(initial):
            raise ValueError(f"{primitive.name} with where= needs initial=, as it has no neutral element")
        x = np.where(where, x, initial if neutral is None else np.asarray(neutral, x.dtype))
    axes = reduction_axes(axis, x.ndim)
    keep = _given(keepdims) and bool(keepdims)
    if _given(initial) and neutral is None and _any_empty(x.shape, axes):
        # nothing to reduce along some axis: the result is `initial` throughout
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes)
        return np.broadcast_to(np.asarray(initial, x.dtype), shape)
    out = primitive.bind(x, axes=axes, keepdims=keep)
    return join(out, initial) if _given(initial) else out


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
    _no_out(out)
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
    _no_out(out)
    if dtype is None:
        return _reduce(REDUCE_PROD, a, axis, keepdims, initial, where, 1, np.multiply)
    total = _reduce(REDUCE_PROD, astype(array_operand(a), dtype), axis, keepdims, initial, where, 1, np.multiply)
    return total.astype(dtype)


@implements(np.max, np.amax)
def max(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The maximum over axes; the derivative is shared equally among ties."""
    _no_out(out)
    return _reduce(REDUCE_MAX, a, axis, keepdims, initial, where, None, np.maximum)


@implements(np.min, np.amin)
def min(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The minimum over axes; the derivative is shared equally among ties."""
    _no_out(out)
    return _reduce(REDUCE_MIN, a, axis, keepdims, initial, where, None, np.minimum)


amax, amin = max, min


@implements(np.all)
def all(a: Any, axis: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True) -> Any:
    """Whether all elements are true."""
    _no_out(out)
    return _reduce(REDUCE_AND, np.not_equal(array_operand(a), 0), axis, keepdims, None, where, True, None)


@implements(np.any)
def any(a: Any, axis: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True) -> Any:
    """Whether some element is true."""
    _no_out(out)
    return _reduce(REDUCE_OR, np.not_equal(array_operand(a), 0), axis, keepdims, None, where, False, None)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The number of elements that are not zero."""
    return sum(np.not_equal(array_operand(a), 0), axis, keepdims=keepdims)


def _count(shape: tuple[int, ...], axis: Any, where: Any) -> Any:
    if _given(where) and where is not True:
        return np.sum(np.broadcast_to(where, shape), axis=axis, keepdims=True)
    return math.prod(shape[i] for i in reduction_axes(axis, len(shape)))


def _as_float(x: Any, dtype: Any) -> Any:
    """An operand in the dtype that NumPy averages in: float64 for integers, float32 inside for float16."""
    if dtype is not None:
        return astype(x, dtype)
    if x.dtype.kind in "biu":
        return astype(x, np.float64)
    return astype(x, np.float32) if x.dtype == np.float16 else x


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """The arithmetic mean over axes."""
    _no_out(out)
    x = array_operand(a)
    count = _count(x.shape, axis, where)
    total = sum(_as_float(x, dtype), axis, keepdims=True, where=where)
    out_ = _drop(total / count, x.ndim, axis, keepdims)
    return out_.astype(np.float16) if dtype is None and x.dtype == np.float16 else out_


def _drop(x: Any, ndim: int, axis: Any, keepdims: Any) -> Any:
    if _given(keepdims) and keepdims:
        return x
    axes = reduction_axes(axis, ndim)
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@implements(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The variance over axes: the mean of |x - mean|², with `ddof` taken from the count."""
    _no_out(out)
    x = array_operand(a)
    ddof = correction if _given(correction) else ddof
    values = _as_float(x, dtype)
    centre = mean if _given(mean) else globals()["mean"](values, axis, keepdims=True, where=where)
    deviation = values - centre
    square = np.real(deviation * np.conjugate(deviation)) if values.dtype.kind == "c" else deviation * deviation
    total = sum(square, axis, keepdims=True, where=where)
    out_ = _drop(total / np.maximum(_count(x.shape, axis, where) - ddof, 0), x.ndim, axis, keepdims)
    return out_.astype(np.float16) if dtype is None and x.dtype == np.float16 else out_


@implements(np.std)
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The standard deviation over axes."""
    return np.sqrt(var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: Any = False) -> Any:
    """Maximum minus minimum."""
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    """The weighted mean; with `returned`, also the sum of weights."""
    x = array_operand(a)
    if weights is None:
        out = mean(x, axis, keepdims=keepdims)
        total: Any = np.full(out.shape, _count(x.shape, axis, True), np.result_type(out.dtype, np.float64))
    else:
        w = array_operand(weights)
        if w.shape != x.shape:
            axes = reduction_axes(axis, x.ndim)
            if axis is None or w.shape != tuple(x.shape[i] for i in axes):
                raise ValueError(f"average: weights of shape {w.shape} do not fit {x.shape} along axis {axis}")
            w = reshape(w, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
        total = sum(np.broadcast_to(w, x.shape), axis, keepdims=keepdims)
        out = sum(x * w, axis, keepdims=keepdims) / total
    return (out, np.broadcast_to(total, out.shape)) if returned else out


@implements(np.median)
def median(a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The middle of the sorted values, or the mean of the middle two; NaN where there is one."""
    _no_out(out)
    x = array_operand(a)
    axes = reduction_axes(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    rows = np.sort(reshape(np.transpose(x, kept + axes), (*(x.shape[i] for i in kept), -1)), axis=-1)
    n = rows.shape[-1]
    middle = mean(rows[..., (n - 1) // 2 : n // 2 + 1], -1)
    middle = np.where(np.isnan(rows[..., -1]), np.nan, middle) if rows.dtype.kind == "f" else middle
    return np.expand_dims(middle, axes) if _given(keepdims) and keepdims else middle


def _without_nan(a: Any, value: Any) -> tuple[Any, Any]:
    x = array_operand(a)
    missing = np.isnan(x)
    return np.where(missing, np.asarray(value, x.dtype), x), missing


@implements(np.nansum)
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """The sum of what is not NaN."""
    return sum(_without_nan(a, 0)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """The product of what is not NaN."""
    return prod(_without_nan(a, 1)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanmax)
def nanmax(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The maximum of what is not NaN; NaN where there is nothing else."""
    x, missing = _without_nan(a, -np.inf)
    return np.where(all(missing, axis, keepdims=keepdims), np.nan, max(x, axis, out, keepdims, initial, where))


@implements(np.nanmin)
def nanmin(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The minimum of what is not NaN; NaN where there is nothing else."""
    x, missing = _without_nan(a, np.inf)
    return np.where(all(missing, axis, keepdims=keepdims), np.nan, min(x, axis, out, keepdims, initial, where))


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """The mean of what is not NaN."""
    present = np.logical_not(np.isnan(array_operand(a)))
    return mean(_without_nan(a, 0)[0], axis, dtype, out, keepdims, where=present & where)


@implements(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The variance of what is not NaN."""
    present = np.logical_not(np.isnan(array_operand(a)))
    x = _without_nan(a, 0)[0]
    return var(x, axis, dtype, out, ddof, keepdims, where=present & where, mean=mean, correction=correction)


@implements(np.nanstd)
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The standard deviation of what is not NaN."""
    return np.sqrt(nanvar(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """The covariance matrix of variables in rows (in columns with rowvar=False)."""
    rows = [np.atleast_2d(array_operand(x)) for x in ([m] if y is None else [m, y])]
    x = np.concatenate([r if rowvar or r.shape[0] == 1 else r.T for r in rows])
    x = x if dtype is None else astype(x, dtype)
    w = None if fweights is None and aweights is None else np.ones(x.shape[1])
    w = w if fweights is None else w * fweights
    w = w if aweights is None else w * aweights
    total = x.shape[1] if w is None else np.sum(w)
    centred = x - average(x, 1, w, keepdims=True)
    ddof = (0 if bias else 1) if ddof is None else ddof
    correction = total - (ddof if aweights is None else ddof * np.sum(w * aweights) / total)
    return np.squeeze((centred if w is None else centred * w) @ np.conjugate(centred).T / correction)


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The matrix of correlation coefficients."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.real(np.diagonal(c)))
    return c / scale[:, None] / scale[None, :]


def _reduce_method(fun: Any) -> Any:
    def reduce(
        a: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        options = {} if dtype is None else {"dtype": dtype}
        options |= {} if initial is None else {"initial": initial}
        return fun(a, axis, keepdims=keepdims, where=where, **options)

    return reduce


for _ufunc, _fun in (
    (np.add, sum),
    (np.multiply, prod),
    (np.maximum, max),
    (np.minimum, min),
    (np.logical_and, all),
    (np.logical_or, any),
):
    UFUNC_METHODS[_ufunc, "reduce"] = _reduce_method(_fun)
