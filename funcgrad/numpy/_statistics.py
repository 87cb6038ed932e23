"""Statistics: means, variances, weighted averages, medians and correlations, with and without NaN.

The order of operations is that of NumPy, so that values are the same to the last bit wherever they can be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy._reduce as _reduce
from funcgrad.aliasing import as_array
from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._elementwise import complex_of
from funcgrad.numpy._reduce import given, reduction_axes
from funcgrad.numpy._shape import astype, reshape
from funcgrad.types import is_a
from funcgrad.writes import owned

__all__ = [
    "average", "corrcoef", "cov", "mean", "median", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum",
    "nanvar", "std", "var",
]  # fmt: skip


def _count(shape: tuple[int, ...], axis: Any, where: Any) -> Any:
    if given(where) and where is not True:
        return np.sum(np.broadcast_to(where, shape), axis=axis, keepdims=True)
    return math.prod(shape[i] for i in reduction_axes(axis, len(shape)))


def _over(total: Any, count: Any) -> Any:
    """`total / count` in the dtype of `total`, rounded as in NumPy, which divides by an array of integers."""
    if is_a(count, int):
        if total.dtype in (np.float64, np.float32):
            return total / count
        count = np.intp(count)
    return (total / count).astype(total.dtype)


def _drop(x: Any, ndim: int, axis: Any, keepdims: Any) -> Any:
    """Without the axes that were reduced, which have been kept so far; unless they are to be kept."""
    if given(keepdims) and keepdims:
        return x
    axes = reduction_axes(axis, ndim)
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _sum_dtype(x: Any, dtype: Any) -> Any:
    """The dtype to add up in: float64 for integers."""
    return np.float64 if dtype is None and x.dtype.kind in "biu" else dtype


def _root(variance: Any, dtype: Any) -> Any:
    """The square root of a variance, in the dtype that was asked for: NumPy does not write one into integers."""
    if given(dtype) and np.dtype(dtype).kind in "biu":
        raise TypeError(
            f"std: a standard deviation cannot be computed in {np.dtype(dtype)}; take .astype of the result"
        )
    return np.sqrt(variance)


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """The arithmetic mean over axes."""
    x = array_operand(a)
    half = dtype is None and x.dtype == np.float16  # is added up in single precision
    total = _reduce.sum(x, axis, np.float32 if half else _sum_dtype(x, dtype), keepdims=True, where=where)
    average = _drop(_over(total, _count(x.shape, axis, where)), x.ndim, axis, keepdims)
    return average.astype(np.float16) if half else average


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
    x = array_operand(a)
    ddof = correction if given(correction) else ddof
    dtype, count = _sum_dtype(x, dtype), _count(x.shape, axis, where)
    centre = mean if given(mean) else _over(_reduce.sum(x, axis, dtype, keepdims=True, where=where), count)
    deviation = x - centre
    if where is not True:  # what is left out may be infinite, and then so is its slope
        deviation = np.where(where, deviation, 0)
    if deviation.dtype.kind == "c":
        square = np.square(np.real(deviation)) + np.square(np.imag(deviation))
    else:
        square = np.square(deviation)
    total = _reduce.sum(square, axis, dtype, keepdims=True, where=where)
    free = max(count - ddof, 0) if is_a(count, int) else np.maximum(count - ddof, 0)
    return _drop(_over(total, free), x.ndim, axis, keepdims)


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
    return _root(var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction), dtype)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    """The weighted mean; with `returned`, also the sum of weights."""
    x = array_operand(a)
    if weights is None:
        out = mean(x, axis, keepdims=keepdims)
        total: Any = np.full(out.shape, _count(x.shape, axis, True), out.dtype)
        return (out, total) if returned else out
    w = _fitting_weights(array_operand(weights), x.shape, axis)
    dtype = np.result_type(x.dtype, w.dtype, *([np.float64] if x.dtype.kind in "biu" else []))
    total = _reduce.sum(w, axis, dtype, keepdims=keepdims)
    out = _reduce.sum(x.astype(dtype) * w.astype(dtype), axis, keepdims=keepdims) / total
    return (out, np.broadcast_to(total, out.shape)) if returned else out


def _fitting_weights(w: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """Weights that broadcast against an array of this shape: they have its shape, or the sizes of the axes in turn."""
    if w.shape == shape:
        return w
    if axis is None:
        raise TypeError(f"average: weights of shape {w.shape} for an array of shape {shape}: give `axis`")
    axes = [i % len(shape) for i in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if w.shape != tuple(shape[i] for i in axes):
        raise ValueError(f"average: weights of shape {w.shape} do not fit {shape} along axis {axis}")
    return reshape(np.transpose(w, np.argsort(axes)), tuple(n if i in axes else 1 for i, n in enumerate(shape)))


@implements(np.median)
def median(a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The middle of the sorted values, or the mean of the middle two; NaN where there is one."""
    x = array_operand(a)
    axes = reduction_axes(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    rows = np.sort(reshape(np.transpose(x, kept + axes), (*(x.shape[i] for i in kept), -1)), axis=-1)
    n = rows.shape[-1]
    middle = mean(rows[..., (n - 1) // 2 : n // 2 + 1], -1)
    if rows.dtype.kind == "f":
        middle = np.positive(np.where(np.isnan(rows[..., -1]), np.nan, middle))  # a scalar stays one
    return np.expand_dims(middle, axes) if given(keepdims) and keepdims else middle


def _without_nan(a: Any, value: float) -> tuple[Any, Any]:
    """An operand with `value` in place of NaNs, and where they are."""
    x = array_operand(a)
    if x.dtype.kind not in "fc":
        return x, np.zeros(x.shape, bool)
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
    return _reduce.sum(_without_nan(a, 0)[0], axis, dtype, out, keepdims, initial, where)


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
    return _reduce.prod(_without_nan(a, 1)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanmax)
def nanmax(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The maximum of what is not NaN; NaN where there is nothing else."""
    x, missing = _without_nan(a, -np.inf)
    largest = _reduce.max(x, axis, out, keepdims, initial, where)
    return largest if given(initial) else _nan_if_alone(largest, missing, axis, keepdims)


@implements(np.nanmin)
def nanmin(
    a: Any, axis: Any = None, out: None = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    """The minimum of what is not NaN; NaN where there is nothing else."""
    x, missing = _without_nan(a, np.inf)
    smallest = _reduce.min(x, axis, out, keepdims, initial, where)
    return smallest if given(initial) else _nan_if_alone(smallest, missing, axis, keepdims)


def _nan_if_alone(extreme: Any, missing: Any, axis: Any, keepdims: Any) -> Any:
    if extreme.dtype.kind not in "fc":
        return extreme
    return np.where(_reduce.all(missing, axis, keepdims=keepdims), np.nan, extreme)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """The mean of what is not NaN."""
    x, missing = _without_nan(a, 0)
    if x.dtype.kind not in "fc":
        return mean(x, axis, dtype, keepdims=keepdims, where=where)
    total = _reduce.sum(x, axis, dtype, keepdims=keepdims, where=where)
    return _over(total, _reduce.sum(np.logical_not(missing), axis, keepdims=keepdims, where=where))


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
    x, missing = _without_nan(a, 0)
    present = np.logical_and(np.logical_not(missing), where)
    return var(x, axis, dtype, out, ddof, keepdims, where=present, mean=mean, correction=correction)


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
    return _root(nanvar(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction), dtype)


@implements(np.cov, view=True)
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
    xs = [array_operand(x) for x in ([m] if y is None else [m, y])]
    if dtype is None:
        dtype = np.result_type(np.float64, *(x.dtype for x in xs))
    rows = [astype(np.atleast_2d(x), dtype) for x in xs]
    if not rowvar:
        rows = [
            r if x.ndim < 2 or (i and r.shape[0] == 1) else r.T for i, (r, x) in enumerate(zip(rows, xs, strict=True))
        ]
    x = np.concatenate(rows)
    w = None if fweights is None and aweights is None else np.ones(x.shape[1])
    w = w if fweights is None else w * fweights
    w = w if aweights is None else w * aweights
    total = x.shape[1] if w is None else np.sum(w)
    centred = x - average(x, 1, w, keepdims=True)
    ddof = (0 if bias else 1) if ddof is None else ddof
    correction = total - (ddof if aweights is None else ddof * np.sum(w * aweights) / total)
    return as_array(
        owned(np.squeeze((centred if w is None else centred * w) @ np.conjugate(centred).T / correction), ())
    )


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The matrix of correlation coefficients."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.real(np.diagonal(c)))
    c = c / scale[:, None] / scale[None, :]
    if c.dtype.kind == "c":
        return complex_of(np.clip(np.real(c), -1, 1), np.clip(np.imag(c), -1, 1))
    return np.clip(c, -1, 1)  # what rounding may have put outside
