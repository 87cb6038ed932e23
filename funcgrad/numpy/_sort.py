"""Sorting, searching and cumulative operations."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.numpy._dispatch import UFUNC_METHODS, array_operand, implements
from funcgrad.numpy._index import take
from funcgrad.numpy._shape import astype, axis_index, whole
from funcgrad.ops.cumulative import CUMPROD, CUMSUM
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.ops.sort import ARGMAX, ARGMIN, ARGSORT, SEARCHSORTED, SORT

__all__ = ["argmax", "argmin", "argpartition", "argsort", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum",
           "lexsort", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "partition", "searchsorted", "sort",
           "sort_complex"]  # fmt: skip


@implements(np.sort)
def sort(
    a: Any, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None, descending: bool = False
) -> Any:
    """The elements in ascending (or `descending`) order along an axis (flattened with axis=None)."""
    x = array_operand(a)
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = axis_index(axis, x.ndim)
    out = SORT.bind(x, axis=axis)
    return np.flip(out, axis) if descending else out


@implements(np.argsort)
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None, descending: bool = False
) -> Any:
    """The indices that sort an array along an axis (flattened with axis=None).

    In `descending` order equal elements keep theirs.
    """
    x = array_operand(a)
    if whole(axis, x.ndim):
        x, axis = np.ravel(x), 0
    axis = axis_index(axis, x.ndim)
    if descending:  # of the array read backwards, so that equal elements keep their order
        found = ARGSORT.bind(np.flip(x, axis), axis=axis, stable=True)
        return x.shape[axis] - 1 - np.flip(found, axis)
    return ARGSORT.bind(x, axis=axis, stable=bool(stable) or kind in ("stable", "mergesort"))


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: None = None) -> Any:
    """The sorted array: each element is where a partition by any `kth` needs it."""
    return sort(a, axis)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: None = None) -> Any:
    """The indices that sort an array: they partition it by any `kth`."""
    return argsort(a, axis)


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """The elements in ascending order along the last axis, as complex numbers."""
    x = sort(a)
    if x.dtype.kind == "c":
        return x
    return x.astype({"b": "F", "h": "F", "B": "F", "H": "F", "g": "G"}.get(x.dtype.char, "D"))


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The indices that sort by several keys, the last one first."""
    columns = [array_operand(k) for k in keys]
    order = argsort(columns[0], axis, stable=True)
    for key in columns[1:]:
        then = argsort(np.take_along_axis(key, order, axis), axis, stable=True)
        order = np.take_along_axis(order, then, axis)
    return order


def _arg(primitive: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    x = array_operand(a)
    flat = whole(axis, x.ndim)
    out = primitive.bind(np.ravel(x), axis=0) if flat else primitive.bind(x, axis=axis_index(axis, x.ndim))
    if keepdims is np._NoValue or not keepdims:
        return out
    return np.reshape(out, (1,) * x.ndim) if flat else np.expand_dims(out, axis)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = False) -> Any:
    """The index of the first maximum along an axis (of the flattened array by default)."""
    return _arg(ARGMAX, a, axis, keepdims)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = False) -> Any:
    """The index of the first minimum along an axis (of the flattened array by default)."""
    return _arg(ARGMIN, a, axis, keepdims)


@implements(np.nanargmax)
def nanargmax(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = False) -> Any:
    """`argmax` of what is not NaN."""
    x = array_operand(a)
    return argmax(np.where(np.isnan(x), -np.inf, x), axis, keepdims=keepdims)


@implements(np.nanargmin)
def nanargmin(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = False) -> Any:
    """`argmin` of what is not NaN."""
    x = array_operand(a)
    return argmin(np.where(np.isnan(x), np.inf, x), axis, keepdims=keepdims)


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where values belong in a sorted array."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    x = array_operand(a)
    return SEARCHSORTED.bind(x if sorter is None else take(x, sorter), array_operand(v), side=side)


def _cumulative(primitive: Any, a: Any, axis: Any, dtype: Any) -> Any:
    x = array_operand(a)
    if whole(axis, x.ndim):
        x, axis = np.ravel(x), 0
    if dtype is None:
        return primitive.bind(x, axis=axis_index(axis, x.ndim))
    return primitive.bind(astype(x, dtype), axis=axis_index(axis, x.ndim)).astype(dtype)


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """Running sums along an axis (of the flattened array by default)."""
    return _cumulative(CUMSUM, a, axis, dtype)


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """Running products along an axis; the derivative is right where factors are zero."""
    return _cumulative(CUMPROD, a, axis, dtype)


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """Running sums of what is not NaN."""
    x = array_operand(a)
    return cumsum(np.where(np.isnan(x), np.zeros((), x.dtype), x), axis, dtype)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
    """Running products of what is not NaN."""
    x = array_operand(a)
    return cumprod(np.where(np.isnan(x), np.ones((), x.dtype), x), axis, dtype)


def _with_initial(x: Any, axis: Any, dtype: Any, include_initial: bool, primitive: Any, first: Any) -> Any:
    x = array_operand(x)
    if axis is None and x.ndim > 1:
        raise ValueError("cumulative_sum and cumulative_prod need an axis for arrays of more than one dimension")
    out = _cumulative(primitive, x, -1 if axis is None else axis, dtype)
    if not include_initial:
        return out
    axis = axis_index(-1 if axis is None else axis, out.ndim)
    start = np.full((*out.shape[:axis], 1, *out.shape[axis + 1 :]), first, out.dtype)
    return np.concatenate([start, out], axis)


def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Any:
    """Running sums, with a leading zero if `include_initial`."""
    return _with_initial(x, axis, dtype, include_initial, CUMSUM, 0)


def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Any:
    """Running products, with a leading one if `include_initial`."""
    return _with_initial(x, axis, dtype, include_initial, CUMPROD, 1)


for _name, _fun in (("cumulative_sum", cumulative_sum), ("cumulative_prod", cumulative_prod)):
    if hasattr(np, _name):  # NumPy 2.1
        implements(getattr(np, _name))(_fun)


def _accumulate(primitive: Primitive, array: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """The method `accumulate` of a ufunc."""
    return _cumulative(primitive, array, axis, dtype)


for _primitive in PRIMITIVES.values():
    if _primitive.accumulates is not None:
        UFUNC_METHODS[_primitive.accumulates, "accumulate"] = partial(_accumulate, _primitive)
