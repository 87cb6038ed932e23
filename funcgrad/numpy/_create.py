"""Functions that make arrays, where an argument may be traced."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad._array import wrap
from funcgrad.aliasing import alias, fresh, is_array
from funcgrad.core import Tracer, current_trace
from funcgrad.numpy._dispatch import VIEWS, array_operand, implements, operand
from funcgrad.numpy._known import known
from funcgrad.numpy._namespace import check_device
from funcgrad.types import broadcast_shapes, is_a, result_dtype, shape_of

__all__ = ["arange", "array", "asarray", "empty", "empty_like", "full", "full_like", "geomspace", "linspace",
           "logspace", "meshgrid", "ones", "ones_like", "zeros", "zeros_like"]  # fmt: skip


def _like(a: Any, dtype: Any, shape: Any, device: Any) -> tuple[Any, Any]:
    check_device(device, "an array like another")
    x = array_operand(a)
    return (x.shape if shape is None else shape), (x.dtype if dtype is None else dtype)


@implements(np.zeros_like, view=True)
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Zeros of the shape and dtype of `a`."""
    return fresh(np.zeros(*_like(a, dtype, shape, device)), a, order)


@implements(np.ones_like, view=True)
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """Ones of the shape and dtype of `a`."""
    return fresh(np.ones(*_like(a, dtype, shape, device)), a, order)


@implements(np.empty_like, view=True)
def empty_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    """As `zeros_like`: what was not written to is never shown."""
    return fresh(np.zeros(*_like(a, dtype, shape, device)), a, order)


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
    dims, kind = _like(a, dtype, shape, device)
    if not is_a(fill_value, Tracer):
        return fresh(np.full(dims, fill_value, kind), a, order)
    out = zeros_like(a, kind, order, True, shape)
    out[...] = fill_value
    return out


def _own(array: np.ndarray) -> Any:
    """A new array, to which traced values can be written too where a function is transformed."""
    return wrap(array) if current_trace() is None else fresh(array)


def zeros(shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None) -> Any:
    """Zeros; where a function is transformed, an array to which traced values can be written.

    >>> from funcgrad import grad
    >>> def f(x):
    ...     out = zeros(3)
    ...     out[1] = x**2
    ...     return out.sum()
    >>> grad(f)(3.0)
    6.0
    """
    check_device(device, "zeros")
    return _own(np.zeros(shape, dtype, order))  # type: ignore[arg-type]


def ones(shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None) -> Any:
    """Ones; where a function is transformed, an array to which traced values can be written."""
    check_device(device, "ones")
    return _own(np.ones(shape, dtype, order))  # type: ignore[arg-type]


def empty(shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None) -> Any:
    """As `zeros`: what was not written to is never shown."""
    return zeros(shape, dtype, order, device=device)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> Any:
    """An array of one value, which may be traced; a transformed function can write traced values to it."""
    check_device(device, "full")
    if not isinstance(fill_value, Tracer):
        return _own(np.full(shape, fill_value, dtype, order))  # type: ignore[arg-type]
    x = array_operand(fill_value)
    out = zeros(shape, x.dtype if dtype is None else dtype, order)
    out[...] = x
    return out


def array(
    object: Any, dtype: Any = None, copy: bool | None = True, order: str = "K", ndmin: int = 0, *, device: Any = None
) -> Any:
    """An array of (nested lists of) numbers, arrays and traced values.

    With copy=None there is a copy only where one is needed; with copy=False a needed one raises ValueError.
    """
    check_device(device, "array")
    x = array_operand(object)
    if dtype is not None and np.dtype(dtype) != x.dtype:
        _copies(copy, object, f"its dtype is {x.dtype}, and not {np.dtype(dtype)}")
        x, copy = x.astype(dtype), None
    if len(shape_of(x)) < ndmin:
        x = np.reshape(x, (1,) * (ndmin - len(shape_of(x))) + shape_of(x))
    if isinstance(x, Tracer):
        if not isinstance(object, Tracer):
            _copies(copy, object, "it is a list of traced values")
        return x if is_array(x) and not copy else alias(x, order)
    return np.array(x) if copy else np.asarray(x)


VIEWS.update((np.array, np.asarray))  # they say themselves what is a copy


def _copies(copy: bool | None, x: Any, why: str) -> None:
    """Raise ValueError where a copy is needed and must not be made."""
    if copy is False and isinstance(x, (Tracer, list, tuple)):
        raise ValueError(f"asarray: a copy is needed, since {why}; and copy=False forbids one: use copy=None")


def asarray(a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: bool | None = None) -> Any:
    """As `array`, without a copy where none is needed."""
    return array(a, dtype, copy, order or "K", device=device)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None) -> Any:
    """`numpy.arange`; of traced numbers the values must be known, as they are for gradients and under `jit`."""
    check_device(device, "arange")
    start, stop, step = (_number(x) if isinstance(x, Tracer) else x for x in (start, stop, step))
    ends = (start,) if stop is None and step is None else (0, start) if stop is None else (start, stop)
    return np.arange(*ends, *(() if step is None else (step,)), dtype=dtype)


def _number(x: Tracer) -> Any:
    """The number that a traced one is, of its own kind."""
    value = known(x, "arange", "use a number that is not traced (a static argument)")[()]
    return value.item() if x.weak else value


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
    check_device(device, "linspace")
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
