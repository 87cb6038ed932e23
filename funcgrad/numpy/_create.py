"""Functions that make arrays, where an argument may be traced."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import fresh
from funcgrad.core import Tracer, current_trace
from funcgrad.numpy._dispatch import array_operand, implements, operand
from funcgrad.types import broadcast_shapes, is_a, result_dtype, shape_of

__all__ = ["arange", "array", "asarray", "empty", "empty_like", "full", "full_like", "geomspace", "linspace",
           "logspace", "meshgrid", "ones", "ones_like", "zeros", "zeros_like"]  # fmt: skip


def _like(a: Any, dtype: Any, shape: Any) -> tuple[Any, Any]:
    x = array_operand(a)
    return (x.shape if shape is None else shape), (x.dtype if dtype is None else dtype)


@implements(np.zeros_like, view=True)
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Zeros of the shape and dtype of `a`."""
    return fresh(np.zeros(*_like(a, dtype, shape)), a, order)


@implements(np.ones_like, view=True)
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Ones of the shape and dtype of `a`."""
    return fresh(np.ones(*_like(a, dtype, shape)), a, order)


@implements(np.empty_like, view=True)
def empty_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """As `zeros_like`: what was not written to is never shown."""
    return fresh(np.zeros(*_like(a, dtype, shape)), a, order)


@implements(np.full_like, view=True)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """An array of one value, with the shape and dtype of `a`."""
    dims, kind = _like(a, dtype, shape)
    if not is_a(fill_value, Tracer):
        return fresh(np.full(dims, fill_value, kind), a, order)
    out = zeros_like(a, kind, order, True, shape)
    out[...] = fill_value
    return out


def _own(array: np.ndarray) -> Any:
    """A new array, to which traced values can be written too where a function is transformed."""
    return array if current_trace() is None else fresh(array)


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """Zeros; where a function is transformed, an array to which traced values can be written.

    >>> from funcgrad import grad
    >>> def f(x):
    ...     out = zeros(3)
    ...     out[1] = x**2
    ...     return out.sum()
    >>> grad(f)(3.0)
    6.0
    """
    return _own(np.zeros(shape, dtype, order))  # type: ignore[arg-type]


def ones(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """Ones; where a function is transformed, an array to which traced values can be written."""
    return _own(np.ones(shape, dtype, order))  # type: ignore[arg-type]


def empty(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """As `zeros`: what was not written to is never shown."""
    return zeros(shape, dtype, order)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array of one value, which may be traced; a transformed function can write traced values to it."""
    if not isinstance(fill_value, Tracer):
        return _own(np.full(shape, fill_value, dtype))
    x = array_operand(fill_value)
    out = zeros(shape, x.dtype if dtype is None else dtype)
    out[...] = x
    return out


def array(object: Any, dtype: Any = None, copy: bool = True, ndmin: int = 0) -> Any:
    """An array of (nested lists of) numbers, arrays and traced values."""
    x = array_operand(object)
    x = x if dtype is None else x.astype(dtype)
    if len(shape_of(x)) < ndmin:
        x = np.reshape(x, (1,) * (ndmin - len(shape_of(x))) + shape_of(x))
    if isinstance(x, Tracer):
        return x
    return np.array(x) if copy else np.asarray(x)


def asarray(a: Any, dtype: Any = None) -> Any:
    """As `array`, without a copy where none is needed."""
    return array(a, dtype, copy=False)


def arange(*args: Any, **kwargs: Any) -> Any:
    """`numpy.arange`; its length must not depend on a traced value."""
    return np.arange(*args, **kwargs)


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """Evenly spaced numbers over an interval whose ends may be traced."""
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace: the number of samples must not be negative, got {num}")
    a, b = array_operand(start), array_operand(stop)
    inside = np.linspace(np.zeros((), a.dtype), np.zeros((), b.dtype), 2).dtype
    a, b = a.astype(inside), b.astype(inside)
    span = b - a
    count = num - 1 if endpoint else num
    step = span / count if count > 0 else np.nan
    t = np.arange(num, dtype=result_dtype(a, b)).reshape((-1,) + (1,) * span.ndim)
    out = a + t * (step if count > 0 else span)
    if endpoint and num > 1:
        out = np.concatenate([out[:-1], np.broadcast_to(b, out.shape[1:])[None]])
    out = np.moveaxis(out, 0, axis)
    out = out if dtype is None else (np.floor(out) if np.dtype(dtype).kind in "iu" else out).astype(dtype)
    return (out, step) if retstep else out


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """Numbers evenly spaced on a log scale, from base**start to base**stop."""
    a, b, base = operand(start), operand(stop), operand(base)
    if shape_of(base):  # the samples of each base along an axis of their own
        ndim = len(broadcast_shapes(shape_of(a), shape_of(b), shape_of(base)))
        a, b, base = (np.reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x)) for x in (a, b, base))
        base = np.expand_dims(base, axis)
    out = np.power(base, linspace(a, b, num, endpoint, axis=axis))
    return out if dtype is None else out.astype(dtype)


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers evenly spaced on a log scale (a geometric progression) between ends of one sign."""
    a, b = array_operand(start), array_operand(stop)
    inside = np.result_type(result_dtype(a, b), np.float64 if dtype is None else dtype, 1.0)
    a, b = a.astype(inside), b.astype(inside)
    sign = np.sign(a)  # of a complex number: its direction
    low, high = a / sign, b / sign
    out = logspace(np.log10(low), np.log10(high), num, endpoint)
    ends = [x[None] for x in np.broadcast_arrays(low, high)]  # which logarithms give up to rounding only
    if num > 1:
        out = np.concatenate([ends[0], out[1:-1], ends[1]] if endpoint else [ends[0], out[1:]])
    elif num == 1:
        out = ends[0]
    out = np.moveaxis(out * sign, 0, axis)
    return out if dtype is None else out.astype(dtype)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Sequence[Any]:
    """Coordinate arrays of a grid."""
    xs = [np.ravel(array_operand(x)) for x in xi]
    n = len(xs)
    out = [np.reshape(x, (1,) * i + (-1,) + (1,) * (n - i - 1)) for i, x in enumerate(xs)]
    if indexing == "xy" and n > 1:
        out = [np.swapaxes(x, 0, 1) for x in out]
    return tuple(out) if sparse else tuple(np.broadcast_arrays(*out))
