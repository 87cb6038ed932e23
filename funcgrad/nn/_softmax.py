"""Softmax and its kin, normalisation, one-hot coding."""

from __future__ import annotations

import math
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


def softmax(x: Any, axis: int | tuple[int, ...] | None = -1, where: Any = None) -> Any:
    """exp(x) divided by its sum along `axis`, without overflow.

    Args:
        x: an array.
        axis: one or several axes; None for all.
        where: which elements take part; the others give 0.

    Raises ShapeError where there are no elements along an axis.

    >>> softmax(np.array([0.0, 0.0, 1000.0]))
    array([0., 0., 1.])
    """
    x = array_operand(x)
    axes = reduction_axes(axis, x.ndim)
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
    if b is None:
        out = LOGSUMEXP.bind(x, axes=axes)
        if return_sign:
            sign = np.where(out == -np.inf, 0.0, 1.0).astype(out.dtype)
    else:
        out, sign = _weighted(x, b, axes)
        if not return_sign:
            out = np.where(sign < 0, np.nan, out)
    if keepdims:
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        out, sign = np.reshape(out, kept), None if sign is None else np.reshape(sign, kept)
    return (out, sign) if return_sign else out


def _weighted(x: Any, b: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The logarithm of |Σ b·exp(x)|, and the sign of the sum."""
    x = np.where(b != 0, x, -np.inf)
    high = np.max(STOP_GRADIENT.bind(x), axis=axes, keepdims=True)
    high = np.where(np.isfinite(high), high, 0.0).astype(x.dtype)
    total = np.sum(b * np.exp(x - high), axis=axes)
    nothing = total == 0
    log = np.where(nothing, -np.inf, np.log(np.where(nothing, 1.0, np.abs(total))))
    return log + np.reshape(high, total.shape), np.sign(total)


def logmeanexp(x: Any, axis: int | tuple[int, ...] | None = None, where: Any = None, keepdims: bool = False) -> Any:
    """log(mean(exp(x))) over axes, without overflow.

    >>> float(logmeanexp(np.array([1000.0, 1000.0])))
    1000.0
    """
    x = array_operand(x)
    total = logsumexp(x, axis, keepdims=keepdims, where=where)
    axes = reduction_axes(axis, x.ndim)
    if where is None:
        return total - math.log(math.prod(x.shape[i] for i in axes))
    count = np.sum(np.broadcast_to(array_operand(where), x.shape), axis=axes, keepdims=keepdims, dtype=total.dtype.type)
    return total - np.log(count)


def standardize(
    x: Any,
    axis: int | tuple[int, ...] | None = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
) -> Any:
    """(x - mean) / √(variance + epsilon), with the mean and the variance along `axis` unless they are given.

    >>> standardize(np.array([1.0, 3.0]), epsilon=0.0)
    array([-1.,  1.])
    """
    x = array_operand(x)
    axes = reduction_axes(axis, x.ndim)
    among = True if where is None else where
    centred = x - (np.mean(x, axis=axes, keepdims=True, where=among) if mean is None else mean)
    if variance is None:
        variance = np.mean(np.square(centred), axis=axes, keepdims=True, where=among)
    return centred / np.sqrt(variance + epsilon)


def one_hot(x: Any, num_classes: int, *, dtype: Any = np.float64, axis: int = -1) -> Any:
    """Vectors of zeros with a one at each index; of zeros only, where an index is not in the range of classes.

    >>> one_hot(np.array([0, 2, -1]), 3)
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 0., 0.]])
    """
    index = array_operand(x)
    if index.dtype.kind not in "iub":
        raise TypeError(f"one_hot: indices must be integers, got {index.dtype}")
    if not -index.ndim - 1 <= axis <= index.ndim:
        raise ShapeError(f"one_hot: axis {axis} for indices of shape {index.shape}")
    axis %= index.ndim + 1
    classes = np.arange(num_classes).reshape((-1,) + (1,) * (index.ndim - axis))
    return (np.expand_dims(index, axis) == classes).astype(dtype)
