"""What depends on values in its shape, with the shape said in advance: JAX's `size=` and `fill_value=`.

With a size nothing need be known: these functions work under `vmap` and in the bodies of loops. What there is too much
of is cut; where there is too little, `fill_value` stands.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import take
from funcgrad.numpy._shape import axis_index, reshape
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = ["SIZED", "delete_unique", "repeat_to"]


def _size(size: Any, name: str) -> int:
    n = operator.index(size)
    if n < 0:
        raise ValueError(f"{name}: size must not be negative, got {n}")
    return n


def _true(mask: Any, size: int) -> tuple[Any, Any]:
    """The places of true elements of a flat mask, and which of the `size` places are such."""
    order = np.argsort(np.logical_not(mask), stable=True)[:size]
    if shape_of(order)[0] < size:
        order = np.concatenate([order, np.zeros(size - shape_of(order)[0], np.intp)])
    return order, np.less(np.arange(size), np.sum(mask))


def nonzero(a: Any, *, size: int, fill_value: Any = None) -> tuple[Any, ...]:
    x = array_operand(a)
    if not x.ndim:
        raise ValueError("nonzero: an array of shape () has no indices; use funcgrad.numpy.atleast_1d")
    fills = fill_value if is_a(fill_value, (tuple, list)) else (fill_value,) * x.ndim
    if len(fills) != x.ndim:
        raise ValueError(f"nonzero: fill_value must have {x.ndim} elements, one for each axis of {x.shape}")
    places, there = _true(np.ravel(np.not_equal(x, 0)), _size(size, "nonzero"))
    out: list[Any] = []
    for n, fill in zip(reversed(x.shape), reversed(fills), strict=True):
        value = np.asarray(0 if fill is None else fill, np.intp)
        out.append(np.where(there, np.remainder(places, max(n, 1)), value))
        places = np.floor_divide(places, max(n, 1))
    return tuple(reversed(out))


def flatnonzero(a: Any, *, size: int, fill_value: Any = None) -> Any:
    return nonzero(np.ravel(array_operand(a)), size=size, fill_value=fill_value)[0]


def argwhere(a: Any, *, size: int, fill_value: Any = None) -> Any:
    x = array_operand(a)
    return np.stack(nonzero(x, size=size, fill_value=fill_value), axis=1) if x.ndim else np.zeros((size, 0), int)


def where(condition: Any, x: Any = None, y: Any = None, *, size: int, fill_value: Any = None) -> Any:
    if x is not None or y is not None:
        raise ValueError("where takes size= and fill_value= only with a condition alone")
    return nonzero(condition, size=size, fill_value=fill_value)


def mask_indices(n: int, mask_func: Any, k: Any = 0, *, size: int) -> tuple[Any, ...]:
    return nonzero(mask_func(np.ones((n, n)), k), size=size)


def compress(condition: Any, a: Any, axis: Any = None, out: None = None, *, size: int, fill_value: Any = 0) -> Any:
    keep, x = np.ravel(np.not_equal(array_operand(condition), 0)), array_operand(a)
    if axis is None:
        x, axis = np.ravel(x), 0
    x = np.moveaxis(x, axis_index(axis, x.ndim), 0)
    n = min(shape_of(keep)[0], x.shape[0])
    places, there = _true(keep[:n], _size(size, "compress"))
    fill = np.asarray(fill_value, x.dtype) if not hasattr(fill_value, "aval") else fill_value.astype(x.dtype)
    if not n:
        return np.moveaxis(np.broadcast_to(fill, (size, *x.shape[1:])), 0, axis)
    there = reshape(there, (size,) + (1,) * (x.ndim - 1))
    return np.moveaxis(np.where(there, take(x, places, axis=0), fill), 0, axis)


def extract(condition: Any, arr: Any, *, size: int, fill_value: Any = 0) -> Any:
    return compress(np.ravel(array_operand(condition)), arr, size=size, fill_value=fill_value)


# ------------------------------------------------------------------------------------------------------------ sets


def _unique(x: Any) -> tuple[Any, Any, Any]:
    """The sorted unique elements, as many as there are elements; where each is first; which of them are there."""
    flat = np.ravel(array_operand(x))
    from_first = np.argsort(flat, stable=True)
    ordered = take(flat, from_first)
    n = shape_of(flat)[0]
    new = np.concatenate([np.ones(min(n, 1), bool), np.not_equal(ordered[1:], ordered[:-1])])
    places, there = _true(new, n)
    return take(ordered, places), take(from_first, places), there


def _chosen(values: Any, keep: Any, size: int, fill_value: Any, name: str) -> Any:
    """The values that are kept; the first of them stands for what is not there, by default."""
    size = _size(size, name)
    if fill_value is not None or not shape_of(values)[0]:
        return compress(keep, values, size=size, fill_value=0 if fill_value is None else fill_value)
    places, there = _true(keep, size)
    found = take(values, places)
    return np.where(there, found, found[:1])


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int, fill_value: Any = None) -> Any:
    fill_value = 0 if fill_value is None else fill_value
    if assume_unique:
        values = np.ravel(array_operand(ar1))
        return _chosen(values, np.isin(values, ar2, invert=True), size, fill_value, "setdiff1d")
    values, _, there = _unique(ar1)
    return _chosen(values, there & np.isin(values, ar2, invert=True), size, fill_value, "setdiff1d")


def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int,
    fill_value: Any = None,
) -> Any:
    values, first, there = _unique(ar1)
    keep = there & np.isin(values, ar2)
    out = _chosen(values, keep, size, fill_value, "intersect1d")
    out = out.astype(np.result_type(dtype_of(out), dtype_of(array_operand(ar2))))
    if not return_indices:
        return out
    others, first_of_others, among = _unique(ar2)
    also = among & np.isin(others, ar1)
    ends = [shape_of(np.ravel(x))[0] for x in (ar1, ar2)]
    places = [
        compress(k, f, size=size, fill_value=n)
        for k, f, n in zip((keep, also), (first, first_of_others), ends, strict=True)
    ]
    return out, *places


def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int, fill_value: Any = None) -> Any:
    a, b = np.ravel(array_operand(ar1)), np.ravel(array_operand(ar2))
    values, _, there = _unique(np.concatenate([a, b]))
    keep = there & np.logical_xor(np.isin(values, a), np.isin(values, b))
    return _chosen(values, keep, size, fill_value, "setxor1d")


def union1d(ar1: Any, ar2: Any, *, size: int, fill_value: Any = None) -> Any:
    values, _, there = _unique(np.concatenate([np.ravel(array_operand(x)) for x in (ar1, ar2)]))
    return _chosen(values, there, size, fill_value, "union1d")


# ------------------------------------------------------------------------------------------------- repeat and delete


def repeat_to(a: Any, repeats: Any, axis: Any, total: int) -> Any:
    """`repeat` to a length that is said in advance: cut to it, or filled with the last element."""
    x = array_operand(a)
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = axis_index(axis, x.ndim)
    n = x.shape[axis]
    counts = array_operand(repeats)
    if counts.dtype.kind not in "iub":
        raise TypeError(f"repeat: repeats must be integers, got {counts.dtype}")
    ends = np.cumsum(np.broadcast_to(np.maximum(counts, 0), (n,)))
    places = np.searchsorted(ends, np.arange(_size(total, "repeat")), side="right")
    return take(x, np.minimum(places, max(n - 1, 0)), axis=axis)


def delete_unique(arr: Any, obj: Any, axis: Any) -> Any:
    """`delete` of indices that are known to differ, though their values need not be known."""
    x, gone = array_operand(arr), np.ravel(array_operand(obj))
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = axis_index(axis, x.ndim)
    n = x.shape[axis]
    gone = np.where(gone < 0, gone + n, gone)
    keep = np.all(np.not_equal(np.arange(n)[:, None], gone), axis=1)
    return take(x, _true(keep, max(n - shape_of(gone)[0], 0))[0], axis=axis)


SIZED = {
    f.__name__: f
    for f in (nonzero, flatnonzero, argwhere, where, mask_indices, compress, extract, setdiff1d, intersect1d, setxor1d,
              union1d)
}  # fmt: skip
"""By name, what does the work where a size is given."""
