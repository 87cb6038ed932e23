"""Quantiles, percentiles and medians, with and without NaN, by all of NumPy's methods.

A quantile of the sorted values stands at a fractional position, from which each method makes an element or a mean of
two: Hyndman & Fan (1996), "Sample quantiles in statistical packages". Its derivatives are those of these elements, and
of the position where `q` is traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand, implements, operand
from funcgrad.numpy._index import take
from funcgrad.numpy._reduce import given, reduction_axes
from funcgrad.types import is_weak

__all__ = ["nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile"]


def _linear(n: Any, q: Any) -> Any:
    return q * (n - 1)


def _virtual(alpha: float, beta: float, n: Any, q: Any) -> Any:
    return n * q + (alpha + q * (1 - alpha - beta)) - 1


def _to_whole(position: Any, odd: bool) -> Any:
    """The next element, but the one before where the position is whole (for `odd`: whole and odd)."""
    low = np.floor(position)
    stay = low == position
    return np.maximum(np.where(stay & (low % 2 == 1) if odd else stay, low, low + 1), 0)


def _below(n: Any, q: Any) -> Any:
    return n * q - 1


_POSITIONS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": _linear,
    "lower": lambda n, q: np.floor(_linear(n, q)),
    "higher": lambda n, q: np.ceil(_linear(n, q)),
    "nearest": lambda n, q: np.rint(_linear(n, q)),
    "midpoint": _linear,
    "inverted_cdf": lambda n, q: _to_whole(_below(n, q), False),
    "averaged_inverted_cdf": _below,
    "closest_observation": lambda n, q: _to_whole(_below(n, q) - 0.5, True),
    "interpolated_inverted_cdf": partial(_virtual, 0, 1),
    "hazen": partial(_virtual, 0.5, 0.5),
    "weibull": partial(_virtual, 0, 0),
    "median_unbiased": partial(_virtual, 1 / 3, 1 / 3),
    "normal_unbiased": partial(_virtual, 3 / 8, 3 / 8),
}
"""The position among n sorted values, by method."""

_WHOLE = {"lower", "higher", "nearest", "inverted_cdf", "closest_observation"}
"""Methods that take an element as it is."""


def _share(method: str, t: Any) -> Any:
    """Which share the next element has, at a fraction t of the way."""
    if method == "averaged_inverted_cdf":
        return np.where(t == 0, 0.5, 1.0)
    return 0.5 * np.ceil(t) if method == "midpoint" else t


def _rows(x: Any, axes: tuple[int, ...]) -> Any:
    """The values that belong together along the first axis."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    return np.reshape(np.transpose(x, axes + kept), (math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in kept)))


def _quantile(
    name: str, a: Any, at: Any, axis: Any, method: str, keepdims: Any, weights: Any, percent: bool, skip: bool
) -> Any:
    """What the four functions have in common; `skip` leaves NaN out."""
    if method not in _POSITIONS:
        raise ValueError(f"{name}: {method!r} is not a valid method. Use one of: {', '.join(_POSITIONS)}")
    if weights is not None and method != "inverted_cdf":
        raise ValueError(f"{name}: only method 'inverted_cdf' supports weights, got {method!r}")
    x, given_q = array_operand(a), operand(at)
    if x.dtype.kind == "c":
        raise TypeError(f"{name}: complex numbers have no order")
    weak = is_weak(given_q)
    q: Any = array_operand(given_q) / 100 if percent else array_operand(given_q)
    if not issubclass(type(q), Tracer) and not (np.all(q >= 0) and np.all(q <= 1)):
        raise ValueError(f"{name}: {'Percentiles' if percent else 'Quantiles'} must be in the range "
                         f"[0, {100 if percent else 1}]")  # fmt: skip
    axes = reduction_axes(axis, x.ndim)
    if weights is None:
        out = _of_sorted(np.sort(_rows(x, axes), axis=0), q, method, weak, skip and x.dtype.kind == "f")
    else:
        out = _weighted(name, x, axes, q, array_operand(weights), skip)
    if not (given(keepdims) and keepdims):
        return out
    return np.reshape(out, q.shape + tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _of_sorted(rows: Any, q: Any, method: str, weak: bool, skip: bool) -> Any:
    n: Any = rows.shape[0]
    if not n:
        raise IndexError(f"a quantile of no elements: {rows.shape[1:]} of them along the first axis are empty")
    if skip:  # NaNs are sorted to the end; each column has its own number of others
        n = np.sum(np.logical_not(np.isnan(rows)), axis=0)
        q = np.reshape(q, (*q.shape, *(1,) * (rows.ndim - 1)))
        n = n.astype(q.dtype) if q.dtype.kind == "f" else n
    position = _POSITIONS[method](n, q)
    if method in _WHOLE or position.dtype.kind in "iu":  # by an integer share there is nothing between two elements
        out = _element(rows, position, n, skip)
    else:
        low = np.floor(position)
        t = np.where((position < 0) | (position >= n - 1), 0, position - low)
        t = _share(method, t).astype(position.dtype)
        if weak and rows.dtype.kind == "f":  # a Python number gives way
            t = t.astype(rows.dtype)
        if not skip:
            t = np.reshape(t, (*position.shape, *(1,) * (rows.ndim - 1)))
        below, above = _element(rows, low, n, skip), _element(rows, low + 1, n, skip)
        gap = above - below
        out = np.where(t >= 0.5, above - gap * (1 - t), below + gap * t)  # from the nearer one, as NumPy does
    return out if skip or rows.dtype.kind != "f" else np.where(np.isnan(rows[-1]), np.nan, out)


def _element(rows: Any, place: Any, n: Any, skip: bool) -> Any:
    """What is at places of the first axis, of which those that are out of range count as the nearest."""
    i = np.maximum(np.minimum(place, n - 1), 0).astype(np.intp)
    if not skip:
        return take(rows, i, axis=0)
    shape = (*i.shape[: i.ndim - rows.ndim + 1], *rows.shape[1:])
    flat = np.reshape(np.broadcast_to(i, shape), (-1, *rows.shape[1:]))
    return np.reshape(np.take_along_axis(rows, flat, 0), shape)


def _weighted(name: str, x: Any, axes: tuple[int, ...], q: Any, weights: Any, skip: bool) -> Any:
    """The first of the sorted values up to which the weights add up to the share `q` of all."""
    if weights.shape != x.shape:
        sizes = tuple(x.shape[i] for i in axes)
        if weights.shape != sizes:
            raise ValueError(f"{name}: weights of shape {weights.shape} fit neither {x.shape} nor the axes, {sizes}")
        weights = np.reshape(weights, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
        weights = np.broadcast_to(weights, x.shape)
    rows, w = _rows(x, axes), _rows(weights, axes)
    if skip and rows.dtype.kind == "f":
        w = np.where(np.isnan(rows), 0, w)
    order = np.argsort(rows, axis=0)
    rows, w = np.take_along_axis(rows, order, 0), np.take_along_axis(w, order, 0)
    total = np.cumsum(w, axis=0, dtype=np.float64)
    share = total / total[-1]
    share = np.where(share == 0, -1.0, share)  # what has no weight is never first
    ends = np.reshape(q, (*q.shape, *(1,) * rows.ndim))
    i = np.sum(share < ends, axis=q.ndim)
    out = _element(rows, i, rows.shape[0], True)
    return out if skip or rows.dtype.kind != "f" else np.where(np.isnan(rows[-1]), np.nan, out)


def _public(name: str, percent: bool, skip: bool, doc: str) -> Callable[..., Any]:
    def fun(
        a: Any,
        q: Any,
        axis: Any = None,
        out: None = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Any:
        return _quantile(name, a, q, axis, method, keepdims, weights, percent, skip)

    fun.__name__ = fun.__qualname__ = name
    fun.__doc__ = f"{doc} `method` is one of NumPy's; weights go with 'inverted_cdf'. See `numpy.{name}`."
    return implements(getattr(np, name))(fun)


quantile = _public("quantile", False, False, "Quantiles of the sorted values; NaN where there is one.")
percentile = _public("percentile", True, False, "Quantiles in percent; NaN where there is one.")
nanquantile = _public("nanquantile", False, True, "Quantiles of what is not NaN.")
nanpercentile = _public("nanpercentile", True, True, "Quantiles of what is not NaN, in percent.")


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The middle of the sorted values that are not NaN, or the mean of the middle two."""
    x = array_operand(a)
    if x.dtype.kind not in "fc":
        return np.median(x, axis, keepdims=given(keepdims) and bool(keepdims))
    axes = reduction_axes(axis, x.ndim)
    rows = np.sort(_rows(x, axes), axis=0)
    n = np.sum(np.logical_not(np.isnan(rows)), axis=0, keepdims=True)
    low, high = (np.take_along_axis(rows, np.maximum(i, 0), 0)[0] for i in ((n - 1) // 2, n // 2))
    middle = np.where(low == high, low, (low + high) * rows.dtype.type(0.5))  # of infinities, too
    middle = np.where(n[0] == 0, np.nan, middle)
    return np.expand_dims(middle, axes) if given(keepdims) and keepdims else middle
