"""Softmax and its kin, normalisation, one-hot coding."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._reduce import reduction_axes
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.ops.softmax import LOG_SOFTMAX, LOGSUMEXP, SOFTMAX

__all__ = ["log_softmax", "logmeanexp", "logsumexp", "one_hot", "softmax", "standardize"]


def _only(x: Any, where: Any, axes: tuple[int, ...]) -> Any:
    """-inf where an element is left out; zeros where all are, so that no infinities are subtracted."""
    where = np.broadcast_to(array_operand(where), x.shape)
    some = np.any(where, axis=axes, keepdims=True)
    return np.where(where, x, np.where(some, -np.inf, 0.0).astype(x.dtype))


def _nothing(x: Any, axes: tuple[int, ...]) -> bool:
    """Whether there are no elements along the axes."""
    return any(x.shape[i] == 0 for i in axes)


def softmax(x: Any, axis: int | tuple[int, ...] | None = -1, where: Any = None) -> Any:
    """exp(x) divided by its sum along `axis`, without overflow.

    Args:
        x: an array.
        axis: one or several axes; None for all.
        where: which elements take part; the others give 0.

    >>> softmax(np.array([0.0, 0.0, 1000.0]))
    array([0., 0., 1.])
    """
    x = array_operand(x)
    axes = reduction_axes(axis, x.ndim)
    if _nothing(x, axes):
        return x * 1.0
    if where is None:
        return SOFTMAX.bind(x, axes=axes)
    return np.where(where, SOFTMAX.bind(_only(x, where, axes), axes=axes), 0.0)


def log_softmax(x: Any, axis: int | tuple[int, ...] | None = -1, where: Any = None) -> Any:
    """The logarithm of `softmax`, without loss of digits; -inf for elements that are left out.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    x = array_operand(x)
    axes = reduction_axes(axis, x.ndim)
    if _nothing(x, axes):
        return x * 1.0
    if where is None:
        return LOG_SOFTMAX.bind(x, axes=axes)
    return np.where(where, LOG_SOFTMAX.bind(_only(x, where, axes), axes=axes), -np.inf)


def logsumexp(
    a: Any,
    axis: int | tuple[int, ...] | None = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """log(sum(b · exp(a))) over axes, without overflow.

    Args:
        a: an array.
        axis: one or several axes; None for all.
        b: factors of the exponentials, which broadcast against `a`; they may be negative or zero.
        keepdims: keep the axes with size 1.
        return_sign: return (log of the absolute value, sign); without it a negative sum gives NaN.
        where: which elements take part.

    >>> float(logsumexp(np.array([1000.0, 1000.0])).round(3))
    1000.693
    """
    x = array_operand(a)
    if b is not None:
        b = array_operand(b)
        x, b = np.broadcast_arrays(x, b)
    axes = reduction_axes(axis, x.ndim)
    if where is not None:
        x = np.where(where, x, -np.inf)
    sign: Any = None
    if _nothing(x, axes):
        out = np.sum(x * 1.0, axis=axes) - np.inf
        sign = np.zeros_like(out)
    elif x.dtype.kind == "c" or (b is not None and b.dtype.kind == "c"):
        out, sign = _complex(x, b, axes)
        if not return_sign:
            out = out + np.log(np.where(sign == 0, 1, sign))
    elif b is None:
        out = LOGSUMEXP.bind(x, axes=axes)
        if return_sign:
            sign = np.where(np.isnan(out), np.nan, np.where(out == -np.inf, 0.0, 1.0)).astype(out.dtype)
    else:
        out, sign = _weighted(x, b, axes)
        if not return_sign:
            out = np.where(sign < 0, np.nan, out)
    if keepdims:
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        out, sign = np.reshape(out, kept), None if sign is None else np.reshape(sign, kept)
    return (out, sign) if return_sign else out


def _complex(x: Any, b: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The logarithm of |Σ b·exp(x)|, and the direction of the sum in the complex plane."""
    total, high = _exponentials(x, b, axes)
    size = np.abs(total)
    nothing = size == 0
    log = np.where(nothing, -np.inf, np.log(np.where(nothing, 1.0, size)))
    return log + np.reshape(high, total.shape), np.where(nothing, 0, total / np.where(nothing, 1.0, size))


def _exponentials(x: Any, b: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Σ b·exp(x - high), and the largest of the x that count, which those with a factor of 0 do not: they stay below
    what overflows, since only the derivative by the factor sees them."""
    size = np.real(x)
    zero = np.False_ if b is None else b == 0
    high = np.max(np.where(zero, -np.inf, STOP_GRADIENT.bind(size)), axis=axes, keepdims=True)
    high = np.where(np.isfinite(high), high, 0.0).astype(size.dtype)
    if b is None:
        return np.sum(np.exp(x - high), axis=axes), high
    limit = float(np.log(np.finfo(size.dtype).max)) - 1
    above = zero & ~(size - high <= limit)
    there = np.where(np.isnan(x), -np.inf, limit).astype(size.dtype)
    return np.sum(b * np.exp(np.where(above, there, x - high)), axis=axes), high


def _weighted(x: Any, b: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The logarithm of |Σ b·exp(x)|, and the sign of the sum."""
    total, high = _exponentials(x, b, axes)
    nothing = total == 0
    log = np.where(nothing, -np.inf, np.log(np.where(nothing, 1.0, np.abs(total))))
    return log + np.reshape(high, total.shape), np.sign(total)


def logmeanexp(x: Any, axis: int | tuple[int, ...] | None = None, where: Any = None, keepdims: bool = False) -> Any:
    """log(mean(exp(x))) over axes, without overflow; NaN where there is nothing, as the mean has it.

    >>> float(logmeanexp(np.array([1000.0, 1000.0])))
    1000.0
    """
    x = array_operand(x)
    total = logsumexp(x, axis, keepdims=keepdims, where=where)
    axes = reduction_axes(axis, x.ndim)
    if where is None:
        count = math.prod(x.shape[i] for i in axes)
        return total - (math.log(count) if count else math.nan)
    count = np.sum(np.broadcast_to(array_operand(where), x.shape), axis=axes, keepdims=keepdims, dtype=total.dtype.type)
    return total - np.log(count)


def standardize(
    x: Any,
    axis: int | tuple[int, ...] | None = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
    *,
    algorithm: str = "fast",
) -> Any:
    """(x - mean) / √(variance + epsilon), with the mean and the variance along `axis` unless they are given.

    Args:
        x: an array.
        axis: one or several axes; None for all.
        mean: in place of the mean.
        variance: in place of the variance. Without one but with a mean, it is mean(x²) - mean² for the algorithm
            "fast" (at least 0), and mean((x - mean)²) for "stable". Without either, both are the latter.
        epsilon: added to the variance.
        where: which elements the mean and the variance are of.
        algorithm: "fast" or "stable"; ValueError for others.

    >>> standardize(np.array([1.0, 3.0]), epsilon=0.0)
    array([-1.,  1.])
    """
    x = array_operand(x)
    axes = reduction_axes(axis, x.ndim)
    among = True if where is None else where
    if algorithm not in ("fast", "stable"):
        raise ValueError(f"standardize: algorithm must be 'fast' or 'stable', got {algorithm!r}")
    centred = x - (np.mean(x, axis=axes, keepdims=True, where=among) if mean is None else mean)
    if variance is None and mean is not None and algorithm == "fast":
        square = np.mean(np.square(x), axis=axes, keepdims=True, where=among) - np.square(array_operand(mean))
        variance = np.maximum(square.astype(centred.dtype), 0)
    elif variance is None:
        variance = np.mean(np.square(centred), axis=axes, keepdims=True, where=among)
    total = variance + epsilon
    return centred / (math.sqrt(total) if type(total) in (int, float) else np.sqrt(total))


def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: int = -1) -> Any:
    """Vectors of zeros with a one at each index; of zeros only, where an index is not in the range of classes.

    >>> one_hot(np.array([0, 2, -1]), 3)
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 0., 0.]])
    """
    index = array_operand(x)
    if index.dtype.kind not in "iub":
        raise TypeError(f"one_hot: indices must be integers, got {index.dtype}; x.astype(int) makes them so")
    if not -index.ndim - 1 <= axis <= index.ndim:
        raise ShapeError(f"one_hot: axis {axis} for indices of shape {index.shape}")
    if operator.index(num_classes) < 0:
        raise ValueError(f"one_hot: the number of classes must not be negative, got {num_classes}")
    axis %= index.ndim + 1
    classes = np.arange(num_classes).reshape((-1,) + (1,) * (index.ndim - axis))
    return (np.expand_dims(index, axis) == classes).astype(np.float64 if dtype is None else dtype)
