"""Functions that make arrays, where an argument may be traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand, implements, operand
from funcgrad.types import shape_of

__all__ = ["arange", "array", "asarray", "empty_like", "full", "full_like", "geomspace", "linspace", "logspace",
           "meshgrid", "ones_like", "zeros_like"]  # fmt: skip


def _like(a: Any, dtype: Any, shape: Any) -> tuple[Any, Any]:
    x = array_operand(a)
    return (x.shape if shape is None else shape), (x.dtype if dtype is None else dtype)


@implements(np.zeros_like)
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Zeros of the shape and dtype of `a`."""
    return np.zeros(*_like(a, dtype, shape))


@implements(np.ones_like)
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Ones of the shape and dtype of `a`."""
    return np.ones(*_like(a, dtype, shape))


@implements(np.empty_like)
def empty_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """As `zeros_like`: what was not written to is never shown."""
    return np.zeros(*_like(a, dtype, shape))


@implements(np.full_like)
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
    return np.broadcast_to(array_operand(fill_value).astype(kind), dims)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array of one value, which may be traced."""
    if not isinstance(fill_value, Tracer):
        return np.full(shape, fill_value, dtype)
    x = array_operand(fill_value)
    return np.broadcast_to(x if dtype is None else x.astype(dtype), shape)


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
    a, b = array_operand(start), array_operand(stop)
    div = num - 1 if endpoint else num
    t = np.arange(num).reshape((-1,) + (1,) * max(a.ndim, b.ndim))
    step = (b - a) / div if div > 0 else (b - a) * np.nan
    out = a + t * step if div > 0 else a + t * (b - a)
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
    out = np.power(base, np.linspace(operand(start), operand(stop), num, endpoint, axis=axis))
    return out if dtype is None else out.astype(dtype)


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers evenly spaced on a log scale (a geometric progression) of positive ends."""
    out = np.exp(linspace(np.log(operand(start)), np.log(operand(stop)), num, endpoint, axis=axis))
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
