"""Summaries of samples: ranks, moments, means."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.scipy._needs import inexact, inexacts, is_traced
from funcgrad.scipy.stats._base import log
from funcgrad.types import dtype_of

__all__ = [
    "describe", "entropy", "gmean", "hmean", "kurtosis", "mode", "moment", "rankdata", "sem", "skew", "variation",
    "zscore",
]  # fmt: skip


class ModeResult(NamedTuple):
    """The most frequent value, and how often it comes."""

    mode: Any
    count: Any


class DescribeResult(NamedTuple):
    """What `describe` gives."""

    nobs: Any
    minmax: tuple[Any, Any]
    mean: Any
    variance: Any
    skewness: Any
    kurtosis: Any


def _omits(name: str, x: Any, nan_policy: str) -> bool:
    """Whether NaNs are left out; raises where there are any that must not be."""
    if nan_policy not in ("propagate", "omit", "raise"):
        raise ValueError(f"{name}: nan_policy must be 'propagate', 'omit' or 'raise', got {nan_policy!r}")
    if dtype_of(x).kind not in "fc":
        return False
    if nan_policy == "raise" and np.any(
        np.isnan(known(x, name, "check for NaN outside", "looks for NaN among values"))
    ):
        raise ValueError(f"{name}: the input contains nan values")
    return nan_policy == "omit"


def _along(a: Any, axis: int | tuple[int, ...] | None) -> tuple[Any, int]:
    """An array and an axis of it: several axes, or with None all, become the last one. A number is one element."""
    x = array_operand(a)
    x = x if x.ndim else np.reshape(x, (1,))
    axes = _axes(x.ndim, axis)
    if len(axes) == 1:
        return x, axes[0]
    x = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
    kept = x.shape[: x.ndim - len(axes)]
    return np.reshape(x, (*kept, math.prod(x.shape[len(kept) :]))), len(kept)


def _axes(ndim: int, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for i in axes:
        if not -ndim <= i < ndim:
            raise np.exceptions.AxisError(i, ndim)
    return tuple(i % ndim for i in axes)


def _kept(out: Any, a: Any, axis: int | tuple[int, ...] | None, keepdims: bool) -> Any:
    if not keepdims:
        return out
    shape = np.shape(a) or (1,)
    axes = _axes(len(shape), axis)
    return np.reshape(out, tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _count(x: Any, i: int, omit: bool) -> Any:
    """How many elements count along an axis: an integer, or an array of the array's dtype."""
    return np.sum(~np.isnan(x), axis=i).astype(dtype_of(x)) if omit else x.shape[i]


def _runs(x: Any) -> tuple[Any, Any, Any]:
    """Of an array that is sorted along its last axis: where runs of equal ones begin and end; and the beginnings."""
    n = x.shape[-1]
    index = np.arange(n)
    change = (x[..., 1:] != x[..., :-1]) & ~((x[..., 1:] != x[..., 1:]) & (x[..., :-1] != x[..., :-1]))
    edge = np.ones((*x.shape[:-1], 1), bool)
    first, last = np.concatenate([edge, change], axis=-1), np.concatenate([change, edge], axis=-1)
    start = np.maximum.accumulate(np.where(first, index, 0), axis=-1)
    stop = np.minimum.accumulate(np.where(last, index, n)[..., ::-1], axis=-1)[..., ::-1]
    return start, stop, first


def mode(
    a: Any, axis: int | tuple[int, ...] | None = 0, nan_policy: str = "propagate", keepdims: bool = False
) -> ModeResult:
    """The most frequent value along an axis (the least of several), and how often it comes. NaNs count as one value,
    or with "omit" not at all. Of no elements it is NaN, which comes 0 times.

    >>> mode(np.array([3, 1, 3, 1, 2]))
    ModeResult(mode=np.int64(1), count=np.int64(2))
    """
    x, i = _along(a, axis)
    omit = _omits("mode", x, nan_policy)
    x = np.sort(np.moveaxis(x, i, -1), axis=-1)
    if not x.shape[-1]:
        none = np.full(x.shape[:-1], np.nan, dtype_of(inexact(x)))[()]
        return ModeResult(_kept(none, a, axis, keepdims), _kept(np.zeros(np.shape(none), int)[()], a, axis, keepdims))
    start, stop, _ = _runs(x)
    counts = stop - start + 1
    counts = np.where(np.isnan(x), 0, counts) if omit else counts
    best = np.expand_dims(np.argmax(counts, axis=-1), -1)
    value, count = (np.take_along_axis(y, best, axis=-1)[..., 0] for y in (x, counts))
    return ModeResult(_kept(value[()], a, axis, keepdims), _kept(count[()], a, axis, keepdims))


def rankdata(a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate") -> Any:
    """The ranks of elements, from 1; along an axis, or of all elements in a flat array.

    Args:
        a: an array.
        method: what equal elements get: "average", "min", "max", "dense" or "ordinal". All but the first give integers.
        axis: the axis; None to flatten.
        nan_policy: "propagate": ranks are NaN where there is a NaN among the elements. (Integer ranks of a traced array
            cannot say so; NaNs come last there.) "omit": the rank of a NaN is NaN, and the others are ranked by
            themselves. "raise": NaN is an error.

    >>> rankdata(np.array([0.2, 0.5, 0.2]))
    array([1.5, 3. , 1.5])
    """
    if isinstance(axis, tuple):
        raise TypeError(f"rankdata: axis is one axis or None, got {axis}")
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise ValueError(f"unknown method {method!r}")
    x, i = _along(np.reshape(array_operand(a), (-1,)) if axis is None else a, axis)
    omit = _omits("rankdata", x, nan_policy)
    x = np.moveaxis(STOP_GRADIENT.bind(x), i, -1)
    order = np.argsort(x, axis=-1, kind="stable")
    back = np.argsort(order, axis=-1, kind="stable")
    if method == "ordinal":
        ranks = back + 1
    else:
        start, stop, first = _runs(np.take_along_axis(x, order, axis=-1))
        if method == "average":
            ranks = 0.5 * (start + stop) + 1
        else:
            ranks = np.cumsum(first, axis=-1) if method == "dense" else (start if method == "min" else stop) + 1
        ranks = np.take_along_axis(ranks, back, axis=-1)
    if omit:
        ranks = np.where(np.isnan(x), np.nan, ranks)
    elif x.dtype.kind in "fc":
        bad = np.any(np.isnan(x), axis=-1, keepdims=True)
        if method == "average" or (not is_traced(bad) and np.any(bad)):
            ranks = np.where(bad, np.nan, ranks)
    return np.moveaxis(ranks, -1, i)


def sem(
    a: Any,
    axis: int | tuple[int, ...] | None = 0,
    ddof: int = 1,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """The standard error of the mean along an axis.

    >>> float(sem(np.array([1.0, 3.0])))
    1.0
    """
    x, i = _along(inexact(a), axis)
    omit = _omits("sem", x, nan_policy)
    deviation = (np.nanstd if omit else np.std)(x, axis=i, ddof=ddof)
    return _kept(deviation / np.sqrt(_count(x, i, omit)).astype(x.dtype), a, axis, keepdims)


def zscore(a: Any, axis: int | tuple[int, ...] | None = 0, ddof: int = 0, nan_policy: str = "propagate") -> Any:
    """Deviations from the mean along an axis, in standard deviations; NaN where all elements are equal.

    >>> zscore(np.array([1.0, 3.0]))
    array([-1.,  1.])
    """
    x = array_operand(inexact(a))
    means, deviations = (np.nanmean, np.nanstd) if _omits("zscore", x, nan_policy) else (np.mean, np.std)
    mean, deviation = means(x, axis=axis, keepdims=True), deviations(x, axis=axis, ddof=ddof, keepdims=True)
    none = deviation <= np.abs(mean) * np.finfo(x.dtype).eps
    return np.where(none, np.nan, (x - mean) / np.where(none, 1.0, deviation))


def _means(x: Any, i: int, omit: bool) -> tuple[Any, Callable[[Any], Any]]:
    """(elements with 0 in place of those that are left out, means along the axis of functions of them)."""
    if not omit:
        return x, lambda y: np.mean(y, axis=i, keepdims=True)
    gaps, count = np.isnan(x), np.expand_dims(_count(x, i, omit), i)
    return np.where(gaps, 0.0, x), lambda y: np.sum(np.where(gaps, 0.0, y), axis=i, keepdims=True) / count


def moment(
    a: Any,
    order: int | Sequence[int] = 1,
    axis: int | tuple[int, ...] | None = 0,
    nan_policy: str = "propagate",
    *,
    center: Any = None,
    keepdims: bool = False,
) -> Any:
    """The moment about the mean, or about `center`, along an axis; several where `order` is a sequence.

    >>> float(moment(np.array([1.0, 3.0]), 2))
    1.0
    """
    x, i = _along(inexact(a), axis)
    x, means = _means(x, i, _omits("moment", x, nan_policy))
    centred = x - (means(x) if center is None else center)
    orders = [order] if type(order) is int else list(order)  # type: ignore[arg-type]
    out = [_kept(np.squeeze(means(np.power(centred, k)), i), a, axis, keepdims) for k in orders]
    return out[0] if type(order) is int else np.stack(out)


def _shape(x: Any, i: int, power: int, omit: bool) -> tuple[Any, Any, Any]:
    """(a moment by the power of the standard deviation, where there is no deviation, number of elements)."""
    count = _count(x, i, omit)
    x, means = _means(x, i, omit)
    mean = means(x)
    centred = x - mean
    square = means(centred * centred)
    none = square <= (np.finfo(x.dtype).eps * mean) ** 2
    ratio = means(centred**power) / np.where(none, 1.0, square) ** (power / 2)
    return np.squeeze(ratio, i), np.squeeze(none, i), count


def skew(
    a: Any,
    axis: int | tuple[int, ...] | None = 0,
    bias: bool = True,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """The skewness along an axis; NaN where all elements are equal. Without `bias`, corrected for the sample's size.

    >>> float(skew(np.array([0.0, 0.0, 3.0])).round(4))
    0.7071
    """
    x, i = _along(inexact(a), axis)
    out, none, n = _shape(x, i, 3, _omits("skew", x, nan_policy))
    if not bias:
        many = np.where(n > 2, n, 3.0).astype(x.dtype)
        out = np.where(n > 2, out * (np.sqrt((many - 1) * many) / (many - 2)), out)
    return _kept(np.where(none, np.nan, out)[()], a, axis, keepdims)


def kurtosis(
    a: Any,
    axis: int | tuple[int, ...] | None = 0,
    fisher: bool = True,
    bias: bool = True,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """The kurtosis along an axis, less 3 with `fisher`; NaN where all elements are equal.

    >>> float(kurtosis(np.array([1.0, 3.0])))
    -2.0
    """
    x, i = _along(inexact(a), axis)
    out, none, n = _shape(x, i, 4, _omits("kurtosis", x, nan_policy))
    if not bias:
        m = np.where(n > 3, n, 4.0).astype(x.dtype)
        out = np.where(n > 3, ((m * m - 1) * out - 3 * (m - 1) ** 2) / ((m - 2) * (m - 3)) + 3, out)
    out = np.where(none, np.nan, out)[()]
    return _kept(out - 3 if fisher else out, a, axis, keepdims)


def variation(
    a: Any,
    axis: int | tuple[int, ...] | None = 0,
    nan_policy: str = "propagate",
    ddof: int = 0,
    *,
    keepdims: bool = False,
) -> Any:
    """The standard deviation by the mean, along an axis.

    >>> float(variation(np.array([1.0, 3.0])))
    0.5
    """
    x, i = _along(inexact(a), axis)
    mean, deviation = (np.nanmean, np.nanstd) if _omits("variation", x, nan_policy) else (np.mean, np.std)
    return _kept(deviation(x, axis=i, ddof=ddof) / mean(x, axis=i), a, axis, keepdims)


def _samples(
    name: str, a: Any, axis: int | tuple[int, ...] | None, dtype: Any, weights: Any, nan_policy: str
) -> tuple[Any, int, Any, bool]:
    """(elements, axis, their weights or None, whether NaNs are left out)."""
    given = array_operand(inexact(a) if dtype is None else array_operand(a).astype(dtype))
    if weights is not None:
        weights = _along(np.broadcast_to(inexact(weights), given.shape), axis)[0]
    x, i = _along(given, axis)
    return x, i, weights, _omits(name, x, nan_policy)


def _average(x: Any, i: int, weights: Any, omit: bool) -> Any:
    """The weighted mean along an axis; NaN of nothing."""
    if weights is None:
        return (np.nanmean if omit else np.mean)(x, axis=i)
    if omit:
        none = np.isnan(x)
        x, weights = np.where(none, 0.0, x), np.where(none, 0.0, weights)
    return np.sum(x * weights, axis=i) / np.sum(weights, axis=i)


def gmean(
    a: Any,
    axis: int | tuple[int, ...] | None = 0,
    dtype: Any = None,
    weights: Any = None,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """The geometric mean along an axis.

    >>> float(gmean(np.array([1.0, 4.0])))
    2.0
    """
    x, i, weights, omit = _samples("gmean", a, axis, dtype, weights, nan_policy)
    return np.exp(_kept(_average(log(x), i, weights, omit), a, axis, keepdims))


def hmean(
    a: Any,
    axis: int | tuple[int, ...] | None = 0,
    dtype: Any = None,
    *,
    weights: Any = None,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """The harmonic mean along an axis of numbers that are not negative; NaN where one is.

    >>> float(hmean(np.array([1.0, 3.0])))
    1.5
    """
    x, i, weights, omit = _samples("hmean", a, axis, dtype, weights, nan_policy)
    negative, zero = np.any(x < 0, axis=i), np.any(x == 0, axis=i)
    mean = 1 / _average(1 / np.where(x <= 0, 1.0, x), i, weights, omit)
    out = np.where(negative, np.nan, np.where(zero & ~np.isnan(mean), 0.0, mean))[()]
    return _kept(out, a, axis, keepdims)


def entropy(
    pk: Any,
    qk: Any = None,
    base: float | None = None,
    axis: int | tuple[int, ...] | None = 0,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """The entropy of probabilities along an axis, or their divergence from others; both are scaled to the sum 1.

    >>> float(entropy(np.array([1.0, 1.0]), base=2))
    1.0
    """
    if base is not None and base <= 0:
        raise ValueError("`base` must be a positive number or `None`.")
    p, q = (array_operand(inexact(pk)), None) if qk is None else np.broadcast_arrays(*inexacts(pk, qk))
    shape = p.shape
    (p, i), (q, _) = _along(p, axis), (None, 0) if q is None else _along(q, axis)
    if any([_omits("entropy", x, nan_policy) for x in (p, q) if x is not None]):
        none = np.isnan(p) if q is None else np.isnan(p) | np.isnan(q)
        p, q = np.where(none, 0.0, p), None if q is None else np.where(none, 0.0, q)
    p = p / np.sum(p, axis=i, keepdims=True)
    if q is None:
        terms = _entropy_terms(p)
    else:
        q = q / np.sum(q, axis=i, keepdims=True)
        ratio = np.where(p <= 0, 1.0, q / np.where(p <= 0, 1.0, p))  # NaN is not left out
        terms = np.where(p < 0, np.inf, -p * log(ratio))
    out = _kept(np.sum(terms, axis=i), np.broadcast_to(0.0, shape), axis, keepdims)
    return out if base is None else out / math.log(base)


def _entropy_terms(p: Any) -> Any:
    some = ~(p <= 0)  # NaN too
    return np.where(some, -p * np.log(np.where(some, p, 1.0)), np.where(p < 0, -np.inf, 0.0))


def describe(
    a: Any, axis: int | tuple[int, ...] | None = 0, ddof: int = 1, bias: bool = True, nan_policy: str = "propagate"
) -> DescribeResult:
    """Number, range, mean, variance, skewness and kurtosis along an axis.

    >>> describe(np.array([1.0, 2.0, 3.0])).variance
    np.float64(1.0)
    """
    x, i = _along(inexact(a), axis)
    omit = _omits("describe", x, nan_policy)
    low, high, mean, variance = (
        (np.nanmin, np.nanmax, np.nanmean, np.nanvar) if omit else (np.min, np.max, np.mean, np.var)
    )
    return DescribeResult(
        _count(x, i, omit), (low(x, axis=i), high(x, axis=i)), mean(x, axis=i), variance(x, axis=i, ddof=ddof),
        skew(x, i, bias, nan_policy), kurtosis(x, i, bias=bias, nan_policy=nan_policy)
    )  # fmt: skip
