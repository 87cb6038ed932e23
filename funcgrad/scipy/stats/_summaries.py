"""Summaries of samples: ranks, moments, means, correlation, regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.scipy._needs import inexact, inexacts, is_traced
from funcgrad.scipy.stats._base import log
from funcgrad.scipy.stats._betas import t

__all__ = [
    "describe", "entropy", "gmean", "hmean", "kurtosis", "linregress", "mode", "moment", "pearsonr", "rankdata", "sem",
    "skew", "variation", "zscore",
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


class PearsonRResult(NamedTuple):
    """A coefficient of correlation, and the probability of one as large between independent normal variables."""

    statistic: Any
    pvalue: Any


class LinregressResult(NamedTuple):
    """What `linregress` gives."""

    slope: Any
    intercept: Any
    rvalue: Any
    pvalue: Any
    stderr: Any
    intercept_stderr: Any


def _propagates(name: str, nan_policy: str, others: Sequence[str] = ()) -> None:
    if nan_policy not in ("propagate", *others):
        raise NotImplementedError(
            f"{name}: nan_policy={nan_policy!r} is not offered; it is {' or '.join(['propagate', *others])}"
        )


def _along(a: Any, axis: int | None) -> tuple[Any, int]:
    """An array and an axis of it; all of it, where the axis is None."""
    x = array_operand(a)
    if axis is None:
        return np.reshape(x, (-1,)), 0
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    return x, axis % x.ndim


def _kept(out: Any, a: Any, axis: int | None, keepdims: bool) -> Any:
    if not keepdims:
        return out
    shape = np.shape(a)
    kept = (1,) * len(shape) if axis is None else tuple(1 if i == axis % len(shape) else n for i, n in enumerate(shape))
    return np.reshape(out, kept)


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


def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent value along an axis (the least of several), and how often it comes. NaNs count as one value.

    >>> mode(np.array([3, 1, 3, 1, 2]))
    ModeResult(mode=np.int64(1), count=np.int64(2))
    """
    _propagates("mode", nan_policy)
    x, i = _along(a, axis)
    if not x.shape[i]:
        raise ShapeError(f"mode: no elements along axis {axis} of shape {np.shape(a)}")
    x = np.sort(np.moveaxis(x, i, -1), axis=-1)
    start, stop, _ = _runs(x)
    counts = stop - start + 1
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
            cannot say so; NaNs come last there.)

    >>> rankdata(np.array([0.2, 0.5, 0.2]))
    array([1.5, 3. , 1.5])
    """
    _propagates("rankdata", nan_policy)
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise ValueError(f"unknown method {method!r}")
    x, i = _along(a, axis)
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
    if x.dtype.kind in "fc":
        bad = np.any(np.isnan(x), axis=-1, keepdims=True)
        if method == "average" or (not is_traced(bad) and np.any(bad)):
            ranks = np.where(bad, np.nan, ranks)
    return np.moveaxis(ranks, -1, i)


def sem(a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """The standard error of the mean along an axis.

    >>> float(sem(np.array([1.0, 3.0])))
    1.0
    """
    _propagates("sem", nan_policy, ["omit"])
    x, i = _along(inexact(a), axis)
    if nan_policy == "omit":
        count = np.sum(~np.isnan(x), axis=i).astype(x.dtype)
        out = np.nanstd(x, axis=i, ddof=ddof) / np.sqrt(count)
    else:
        out = np.std(x, axis=i, ddof=ddof) / math.sqrt(x.shape[i])
    return _kept(out, a, axis, keepdims)


def zscore(a: Any, axis: int | None = 0, ddof: int = 0, nan_policy: str = "propagate") -> Any:
    """Deviations from the mean along an axis, in standard deviations; NaN where all elements are equal.

    >>> zscore(np.array([1.0, 3.0]))
    array([-1.,  1.])
    """
    _propagates("zscore", nan_policy)
    x = array_operand(inexact(a))
    mean, deviation = np.mean(x, axis=axis, keepdims=True), np.std(x, axis=axis, ddof=ddof, keepdims=True)
    none = deviation <= np.abs(mean) * np.finfo(x.dtype).eps
    return np.where(none, np.nan, (x - mean) / np.where(none, 1.0, deviation))


def moment(
    a: Any,
    order: int | Sequence[int] = 1,
    axis: int | None = 0,
    nan_policy: str = "propagate",
    *,
    center: Any = None,
    keepdims: bool = False,
) -> Any:
    """The moment about the mean, or about `center`, along an axis; several where `order` is a sequence.

    >>> float(moment(np.array([1.0, 3.0]), 2))
    1.0
    """
    _propagates("moment", nan_policy)
    x, i = _along(inexact(a), axis)
    centred = x - (np.mean(x, axis=i, keepdims=True) if center is None else center)
    orders = [order] if type(order) is int else list(order)  # type: ignore[arg-type]
    out = [_kept(np.mean(np.power(centred, k), axis=i), a, axis, keepdims) for k in orders]
    return out[0] if type(order) is int else np.stack(out)


def _shape(a: Any, axis: int | None, power: int) -> tuple[Any, Any, int]:
    """(a moment by the power of the standard deviation, where there is no deviation, number of elements)."""
    x, i = _along(inexact(a), axis)
    mean = np.mean(x, axis=i, keepdims=True)
    centred = x - mean
    square = np.mean(centred * centred, axis=i)
    none = square <= (np.finfo(x.dtype).eps * np.squeeze(mean, i)) ** 2
    ratio = np.mean(centred**power, axis=i) / np.where(none, 1.0, square) ** (power / 2)
    return ratio, none, x.shape[i]


def skew(
    a: Any, axis: int | None = 0, bias: bool = True, nan_policy: str = "propagate", *, keepdims: bool = False
) -> Any:
    """The skewness along an axis; NaN where all elements are equal. Without `bias`, corrected for the sample's size.

    >>> float(skew(np.array([0.0, 0.0, 3.0])).round(4))
    0.7071
    """
    _propagates("skew", nan_policy)
    out, none, n = _shape(a, axis, 3)
    if not bias and n > 2:
        out = out * (math.sqrt((n - 1) * n) / (n - 2))
    return _kept(np.where(none, np.nan, out)[()], a, axis, keepdims)


def kurtosis(
    a: Any,
    axis: int | None = 0,
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
    _propagates("kurtosis", nan_policy)
    out, none, n = _shape(a, axis, 4)
    if not bias and n > 3:
        out = ((n * n - 1.0) * out - 3 * (n - 1.0) ** 2) / ((n - 2) * (n - 3)) + 3
    out = np.where(none, np.nan, out)[()]
    return _kept(out - 3 if fisher else out, a, axis, keepdims)


def variation(
    a: Any, axis: int | None = 0, nan_policy: str = "propagate", ddof: int = 0, *, keepdims: bool = False
) -> Any:
    """The standard deviation by the mean, along an axis.

    >>> float(variation(np.array([1.0, 3.0])))
    0.5
    """
    _propagates("variation", nan_policy)
    x, i = _along(inexact(a), axis)
    return _kept(np.std(x, axis=i, ddof=ddof) / np.mean(x, axis=i), a, axis, keepdims)


def gmean(
    a: Any,
    axis: int | None = 0,
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
    _propagates("gmean", nan_policy)
    x = array_operand(inexact(a) if dtype is None else array_operand(a).astype(dtype))
    return np.exp(_kept(np.average(log(x), axis=axis, weights=weights), a, axis, keepdims))


def hmean(
    a: Any,
    axis: int | None = 0,
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
    _propagates("hmean", nan_policy)
    x = array_operand(inexact(a) if dtype is None else array_operand(a).astype(dtype))
    negative, zero = np.any(x < 0, axis=axis), np.any(x == 0, axis=axis)
    mean = 1 / np.average(1 / np.where(x <= 0, 1.0, x), axis=axis, weights=weights)
    out = np.where(negative, np.nan, np.where(zero & ~np.isnan(mean), 0.0, mean))[()]
    return _kept(out, a, axis, keepdims)


def entropy(
    pk: Any,
    qk: Any = None,
    base: float | None = None,
    axis: int = 0,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """The entropy of probabilities along an axis, or their divergence from others; both are scaled to the sum 1.

    >>> float(entropy(np.array([1.0, 1.0]), base=2))
    1.0
    """
    _propagates("entropy", nan_policy)
    if base is not None and base <= 0:
        raise ValueError("`base` must be a positive number or `None`.")
    p = array_operand(inexact(pk))
    p = p / np.sum(p, axis=axis, keepdims=True)
    if qk is None:
        terms = _entropy_terms(p)
    else:
        p, q = np.broadcast_arrays(*inexacts(p, qk))
        q = q / np.sum(q, axis=axis, keepdims=True)
        ratio = np.where(p <= 0, 1.0, q / np.where(p <= 0, 1.0, p))  # NaN is not left out
        terms = np.where(p < 0, np.inf, -p * log(ratio))
    out = np.sum(terms, axis=axis, keepdims=keepdims)
    return out if base is None else out / math.log(base)


def _entropy_terms(p: Any) -> Any:
    some = ~(p <= 0)  # NaN too
    return np.where(some, -p * np.log(np.where(some, p, 1.0)), np.where(p < 0, -np.inf, 0.0))


def _pair(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    x, y = inexacts(x, y)
    if x.ndim != 1 or x.shape != y.shape or x.shape[0] < 2:
        raise ShapeError(f"{name}: two arrays of one length, of 2 at least, are wanted; got {x.shape} and {y.shape}")
    return x, y


def _two_sided(r: Any, df: int, alternative: str) -> Any:
    """The probability of a correlation as large as r, from its ratio to its standard error."""
    size = np.abs(r)
    sure = size >= 1
    ratio = r * np.sqrt(df / np.where(sure, 1.0, (1 - r) * (1 + r)))
    values = {"two-sided": 2 * t.sf(np.abs(ratio), float(df)), "less": t.cdf(ratio, float(df)),
              "greater": t.sf(ratio, float(df))}  # fmt: skip
    if alternative not in values:
        raise ValueError(f"alternative is two-sided, less or greater, got {alternative!r}")
    edge = {"two-sided": 0.0, "less": r > 0, "greater": r < 0}[alternative]
    return np.where(sure, edge, values[alternative])[()]


def pearsonr(x: Any, y: Any, *, alternative: str = "two-sided", axis: int = 0) -> PearsonRResult:
    """The coefficient of correlation of two samples, and its p-value.

    >>> pearsonr(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])).statistic.round(12)
    np.float64(1.0)
    """
    x, y = _pair("pearsonr", x, y)
    dx, dy = x - np.mean(x), y - np.mean(y)
    r = np.sum((dx / np.linalg.norm(dx)) * (dy / np.linalg.norm(dy)))
    r = np.clip(r, -1.0, 1.0)
    n = x.shape[0]
    return PearsonRResult(r, np.ones_like(r) if n == 2 else _two_sided(r, n - 2, alternative))


def linregress(x: Any, y: Any, alternative: str = "two-sided") -> LinregressResult:
    """The line of least squares through points, with standard errors.

    >>> linregress(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.5])).slope
    np.float64(2.25)
    """
    x, y = _pair("linregress", x, y)
    n = x.shape[0]
    mx, my = np.mean(x), np.mean(y)
    xx, yy, xy = np.mean((x - mx) ** 2), np.mean((y - my) ** 2), np.mean((x - mx) * (y - my))
    flat = yy == 0
    r = np.where(flat, 0.0, np.clip(xy / np.sqrt(xx * np.where(flat, 1.0, yy)), -1.0, 1.0))[()]
    slope = xy / xx
    if n == 2:
        exact = np.zeros_like(r)
        return LinregressResult(slope, my - slope * mx, r, np.where(flat, 1.0, 0.0)[()], exact, exact)
    rest = (1 - r) * (1 + r) * yy / xx / (n - 2)
    none = rest <= 0
    error = np.where(none, 0.0, np.sqrt(np.where(none, 1.0, rest)))[()]
    return LinregressResult(
        slope, my - slope * mx, r, _two_sided(r, n - 2, alternative), error, error * np.sqrt(xx + mx * mx)
    )


def describe(
    a: Any, axis: int | None = 0, ddof: int = 1, bias: bool = True, nan_policy: str = "propagate"
) -> DescribeResult:
    """Number, range, mean, variance, skewness and kurtosis along an axis.

    >>> describe(np.array([1.0, 2.0, 3.0])).variance
    np.float64(1.0)
    """
    _propagates("describe", nan_policy)
    x, i = _along(inexact(a), axis)
    return DescribeResult(
        x.shape[i], (np.min(x, axis=i), np.max(x, axis=i)), np.mean(x, axis=i), np.var(x, axis=i, ddof=ddof),
        skew(x, i, bias), kurtosis(x, i, bias=bias)
    )  # fmt: skip
