"""Putting arrays together of pieces, and taking pieces out: `insert`, `delete`, `block`, `resize`, `trim_zeros`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._index import take
from funcgrad.numpy._known import known
from funcgrad.numpy._shape import astype, axis_index

__all__ = ["block", "delete", "diagflat", "insert", "resize", "trim_zeros"]


def _flat_axis(x: Any, axis: Any) -> tuple[Any, int]:
    return (np.ravel(x), 0) if axis is None else (x, axis_index(axis, x.ndim))


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """An array without the elements (or slices along an axis) at indices, a slice or a mask, which must be known."""
    x, i = _flat_axis(array_operand(arr), axis)
    which = obj if isinstance(obj, slice) else known(obj, "delete", "take what stays, with take")
    return take(x, np.delete(np.arange(x.shape[i]), which), i)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """An array with values inserted before indices, a slice or a mask, which must be known."""
    x, i = _flat_axis(array_operand(arr), axis)
    where = obj if isinstance(obj, slice) else known(obj, "insert", "concatenate the pieces")
    n = x.shape[i]
    marks = np.insert(np.arange(n), where, n)  # n stands for a value
    count = len(marks) - n
    new = astype(array_operand(values), x.dtype)
    if count == 1 and new.ndim:  # one place for all values
        new = np.reshape(new, (1,) * (x.ndim - new.ndim) + new.shape)
        if not isinstance(where, slice) and np.ndim(where) == 0:  # the axis of the values is the first
            new = np.moveaxis(new, 0, i)
        count = new.shape[i]
        at = int(np.flatnonzero(marks == n)[0])
        marks = np.concatenate([np.arange(at), np.full(count, n), np.arange(at, n)])
    new = np.broadcast_to(new, (*x.shape[:i], count, *x.shape[i + 1 :]))
    source = np.where(marks == n, n + np.cumsum(marks == n) - 1, marks)
    return take(np.concatenate([x, new], i), source, i)


@implements(np.block)
def block(arrays: Any) -> Any:
    """An array of nested lists of blocks: the innermost are joined along the last axis."""
    depth = _depth(arrays)
    ndim = max(depth, *(np.ndim(x) for x in _leaves(arrays)))
    return _joined(arrays, depth, ndim)


def _leaves(x: Any) -> list[Any]:
    return [leaf for item in x for leaf in _leaves(item)] if isinstance(x, list) else [x]


def _depth(x: Any) -> int:
    if isinstance(x, tuple):
        raise TypeError("block: nested lists, not tuples, say how blocks are arranged")
    if not isinstance(x, list):
        return 0
    if not x:
        raise ValueError("block: a list of blocks is empty")
    depths = {_depth(item) for item in x}
    if len(depths) > 1:
        raise ValueError(f"block: lists are nested to different depths: {sorted(depths)}")
    return 1 + depths.pop()


def _joined(x: Any, depth: int, ndim: int) -> Any:
    if not isinstance(x, list):
        a = array_operand(x)
        return np.reshape(a, (1,) * (ndim - a.ndim) + a.shape)
    return np.concatenate([_joined(item, depth - 1, ndim) for item in x], axis=-depth)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """An array of another shape, with the elements repeated, or left out at the end."""
    flat = np.ravel(a)
    shape = (new_shape,) if np.ndim(new_shape) == 0 else tuple(new_shape)
    if any(n < 0 for n in shape):
        raise ValueError("all elements of `new_shape` must be non-negative")
    size = math.prod(shape)
    if not flat.shape[0] or not size:
        return np.zeros(shape, flat.dtype)
    return np.reshape(take(flat, np.arange(size) % flat.shape[0]), shape)


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix with the flattened elements on a diagonal."""
    return np.diag(np.ravel(v), k)


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """An array without the zeros at its front and back; where they are must be known."""
    x = array_operand(filt)
    value = known(x, "trim_zeros", "slice the array")
    where = np.nonzero(value)
    axes = range(x.ndim) if axis is None else [axis_index(i, x.ndim) for i in np.atleast_1d(axis)]
    index: list[Any] = [slice(None)] * x.ndim
    for i in axes:
        n = x.shape[i]
        low, high = (int(where[i].min()), int(where[i].max()) + 1) if where[i].size else (0, 0)
        if not where[i].size:
            low, high = (n, n) if "f" in trim.lower() else (0, 0)
        index[i] = slice(low if "f" in trim.lower() else 0, high if "b" in trim.lower() else n)
    return x[tuple(index)]
