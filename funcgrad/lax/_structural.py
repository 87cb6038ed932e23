"""Functions that move elements, by the names of `jax.lax`: slices, padding, joining, sorting, reductions, products."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.errors import ShapeError
from funcgrad.lax._types import no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import axis_index, slice_axis
from funcgrad.numpy._shape import unstack as unstack_
from funcgrad.ops.index import GATHER
from funcgrad.ops.math import SELECT
from funcgrad.ops.shape import PLACE, SLICE
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = [
    "broadcast",
    "broadcast_in_dim",
    "broadcast_like",
    "broadcast_shapes",
    "broadcast_to_rank",
    "broadcasted_iota",
    "collapse",
    "concatenate",
    "dtype",
    "empty",
    "expand_dims",
    "full",
    "full_like",
    "index_in_dim",
    "index_take",
    "iota",
    "pad",
    "reshape",
    "rev",
    "shape_as_value",
    "slice",
    "slice_in_dim",
    "split",
    "squeeze",
    "stack",
    "tile",
    "transpose",
    "unstack",
]


# ------------------------------------------------------------------------------------------------------ new arrays


def iota(dtype: Any, size: int) -> Any:
    """`numpy.arange(size)` of a dtype; raises ShapeError for a negative size."""
    if operator.index(size) < 0:
        raise ShapeError(f"iota: the size must not be negative, got {size}")
    return np.arange(size, dtype=dtype)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int, out_sharding: Any = None) -> Any:
    """Each element's index along an axis.

    >>> broadcasted_iota(np.int32, (2, 3), 1)
    array([[0, 1, 2],
           [0, 1, 2]], dtype=int32)
    """
    no_sharding("broadcasted_iota", out_sharding)
    axis = axis_index(dimension, len(shape))
    row = np.arange(shape[axis], dtype=dtype).reshape((-1,) + (1,) * (len(shape) - axis - 1))
    return np.broadcast_to(row, tuple(shape)).copy()


def empty(shape: Any, dtype: Any, *, out_sharding: Any = None) -> Any:
    """An array of zeros, since what is in memory would depend on what was there before."""
    no_sharding("empty", out_sharding)
    return np.zeros(shape, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None, *, sharding: Any = None) -> Any:
    """An array of one value, a scalar; raises ShapeError for another."""
    no_sharding("full", sharding)
    x = array_operand(fill_value)
    if x.ndim:
        raise ShapeError(f"full: the value must be a scalar, got shape {x.shape}")
    shape = (shape,) if is_a(shape, int) else tuple(shape)
    out = np.broadcast_to(x if dtype is None else x.astype(dtype), shape)
    return out if isinstance(out, Tracer) else np.array(out)


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, sharding: Any = None) -> Any:
    """An array of one value, of the shape and dtype of `x` unless others are given."""
    no_sharding("full_like", sharding)
    x = array_operand(x)
    return full(x.shape if shape is None else shape, fill_value, x.dtype if dtype is None else dtype)


# ----------------------------------------------------------------------------------------------------------- shapes


def dtype(x: Any) -> np.dtype[Any]:
    """The dtype of a value, or the one that a type stands for.

    >>> dtype(1.0), dtype(np.int8)
    (dtype('float64'), dtype('int8'))
    """
    return np.dtype(x) if isinstance(x, (type, np.dtype, str)) else dtype_of(array_operand(x))


def shape_as_value(shape: Sequence[int]) -> Any:
    """A shape as an array."""
    return np.array(tuple(map(operator.index, shape)), int)


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which these broadcast, by NumPy's rules.

    Raises ValueError where they do not.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return np.broadcast_shapes(*map(tuple, shapes))


def broadcast_to_rank(x: Any, rank: int) -> Any:
    """With axes of size 1 in front, so that there are `rank` axes; an array that has as many stays as it is.

    >>> broadcast_to_rank(np.ones(2), 3).shape
    (1, 1, 2)
    """
    x = array_operand(x)
    return np.reshape(x, (1,) * (rank - x.ndim) + x.shape)


def broadcast_like(arr: Any, like_arr: Any) -> Any:
    """Broadcast, by NumPy's rules, to the shape of another array.

    >>> broadcast_like(np.array([1, 2]), np.zeros((2, 2)))
    array([[1, 2],
           [1, 2]])
    """
    return np.broadcast_to(array_operand(arr), shape_of(array_operand(like_arr)))


def tile(operand: Any, reps: Sequence[int]) -> Any:
    """The whole array repeated along each axis.

    Raises ShapeError unless there is one number for each axis.

    >>> tile(np.array([[1], [2]]), (1, 3))
    array([[1, 1, 1],
           [2, 2, 2]])
    """
    x = array_operand(operand)
    if len(reps) != x.ndim:
        raise ShapeError(f"tile: {tuple(reps)} must be {x.ndim} numbers, one for each axis of {x.shape}")
    return np.tile(x, tuple(reps))


def stack(operands: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis.

    >>> stack([np.array([1, 2]), np.array([3, 4])], axis=1)
    array([[1, 3],
           [2, 4]])
    """
    return np.stack([array_operand(x) for x in operands], axis=axis)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, without it.

    >>> unstack(np.array([[1, 2], [3, 4]]), axis=1)
    (array([1, 3]), array([2, 4]))
    """
    return tuple(unstack_(array_operand(x), axis=axis))


def broadcast(operand: Any, sizes: Sequence[int], *, out_sharding: Any = None) -> Any:
    """Repeated along new leading axes."""
    no_sharding("broadcast", out_sharding)
    x = array_operand(operand)
    return np.broadcast_to(x, (*sizes, *x.shape))


def broadcast_in_dim(
    operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int], *, out_sharding: Any = None
) -> Any:
    """Broadcast to a shape, axis i of the operand being axis `broadcast_dimensions[i]` of the result.

    >>> broadcast_in_dim(np.array([1.0, 2.0]), (2, 3), (0,))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    no_sharding("broadcast_in_dim", out_sharding)
    x = array_operand(operand)
    axes = tuple(map(operator.index, broadcast_dimensions))
    if len(axes) != x.ndim or len(set(axes)) != x.ndim or not all(0 <= i < len(shape) for i in axes):
        raise ShapeError(
            f"broadcast_in_dim: {axes} must be {x.ndim} axes of the result, of shape {tuple(shape)}, one for each of "
            f"{x.shape}"
        )
    x = np.transpose(x, np.argsort(axes).tolist())
    sizes = dict(zip(sorted(axes), x.shape, strict=True))
    return np.broadcast_to(np.reshape(x, tuple(sizes.get(i, 1) for i in range(len(shape)))), tuple(shape))


def reshape(operand: Any, new_sizes: Any, dimensions: Sequence[int] | None = None, *, out_sharding: Any = None) -> Any:
    """Give the elements a new shape, read in the order of `dimensions`."""
    no_sharding("reshape", out_sharding)
    x = array_operand(operand)
    return np.reshape(
        x if dimensions is None else np.transpose(x, dimensions),
        new_sizes if is_a(new_sizes, int) else tuple(new_sizes),
    )


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """Several axes made one.

    >>> collapse(np.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    x = array_operand(operand)
    start, stop, _ = builtins.slice(start_dimension, stop_dimension).indices(x.ndim)
    if start > stop:
        raise ShapeError(f"collapse: there are no axes from {start_dimension} to {stop_dimension} of {x.shape}")
    return np.reshape(x, (*x.shape[:start], math.prod(x.shape[start:stop]), *x.shape[stop:]))


def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """New axes of size 1."""
    return np.expand_dims(array_operand(array), tuple(dimensions))


def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """Without these axes, whose size is 1."""
    return np.squeeze(array_operand(array), tuple(dimensions))


def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """The axes in another order."""
    return np.transpose(array_operand(operand), tuple(permutation))


def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """Reversed along axes."""
    return np.flip(array_operand(operand), tuple(dimensions))


# ---------------------------------------------------------------------------------------------------------- slicing


def slice(
    operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Any:
    """From `start_indices` to `limit_indices`, in steps of `strides`.

    >>> slice(np.arange(6).reshape(2, 3), (0, 1), (2, 3))
    array([[1, 2],
           [4, 5]])
    """
    x = array_operand(operand)
    steps = (1,) * x.ndim if strides is None else tuple(strides)
    for n, a, b, s in zip(x.shape, start_indices, limit_indices, steps, strict=True):
        if not 0 <= a <= b <= n or s < 1:
            raise ShapeError(f"slice from {tuple(start_indices)} to {tuple(limit_indices)} by {steps} leaves {x.shape}")
    size = tuple(-(-(b - a) // s) for a, b, s in zip(start_indices, limit_indices, steps, strict=True))
    start = tuple(map(operator.index, start_indices))
    return SLICE.bind(x, start=start, size=size, step=tuple(map(operator.index, steps)))


def slice_in_dim(operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0) -> Any:
    """A slice along one axis; bounds may be None, or negative to count from the end.

    Raises ShapeError where it would leave the array.

    >>> slice_in_dim(np.arange(5), -3, None, stride=2)
    array([2, 4])
    """
    x = array_operand(operand)
    axis = axis_index(axis, x.ndim)
    n = x.shape[axis]
    bounds = [
        operator.index(given)
        for given in (0 if start_index is None else start_index, n if limit_index is None else limit_index)
    ]
    start, stop = (i + n if i < 0 else i for i in bounds)
    if not 0 <= start <= stop <= n or stride < 1:
        raise ShapeError(
            f"slice_in_dim from {start_index} to {limit_index} by {stride} leaves axis {axis} of {x.shape}"
        )
    return slice_axis(x, axis, start, len(range(start, stop, stride)), operator.index(stride))


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """One place along an axis, which is kept with size 1 unless `keepdims` is false."""
    x = array_operand(operand)
    axis = axis_index(axis, x.ndim)
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise IndexError(f"index_in_dim: index {index} is out of bounds for axis {axis} of {x.shape}")
    out = slice_axis(x, axis, index % x.shape[axis], 1)
    return out if keepdims else np.squeeze(out, axis)


def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Any:
    """The elements at joint indices along some axes; the dimensions of the indices come first."""
    x = array_operand(src)
    return GATHER.bind(x, *map(array_operand, idxs), axes=tuple(axis_index(a, x.ndim) for a in axes))


# ---------------------------------------------------------------------------------------------- joining and padding


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """Joined along an axis."""
    return np.concatenate([array_operand(x) for x in operands], axis=dimension)


def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """Parts of these sizes along an axis.

    >>> split(np.arange(5), (2, 3))
    [array([0, 1]), array([2, 3, 4])]
    """
    x = array_operand(operand)
    axis = axis_index(axis, x.ndim)
    if sum(sizes) != x.shape[axis] or any(n < 0 for n in sizes):
        raise ShapeError(f"split: sizes {tuple(sizes)} do not add up to axis {axis} of {x.shape}")
    return np.split(x, np.cumsum(sizes)[:-1].tolist(), axis)


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """Padded before, after and in between; negative widths crop.

    Args:
        operand: an array.
        padding_value: a scalar.
        padding_config: for each axis (before, after, between elements).

    >>> pad(np.array([1.0, 2.0, 3.0]), 0.0, [(2, -1, 1)])
    array([0., 0., 1., 0., 2., 0.])
    """
    x, value = array_operand(operand), array_operand(padding_value).astype(array_operand(operand).dtype)
    config = [tuple(map(operator.index, c)) for c in padding_config]
    if len(config) != x.ndim or any(len(c) != 3 or c[2] < 0 for c in config):
        raise ShapeError(f"pad: {x.shape} needs {x.ndim} widths (before, after, between), got {padding_config}")
    if shape_of(value):
        raise ShapeError(f"pad: the padding value must be a scalar, got shape {shape_of(value)}")
    step = tuple(between + 1 for _, _, between in config)
    whole = [(n - 1) * s + 1 if n else 0 for n, s in zip(x.shape, step, strict=True)]
    start = tuple(max(low, 0) for low, _, _ in config)
    shape = tuple(w + max(low, 0) + max(high, 0) for w, (low, high, _) in zip(whole, config, strict=True))
    if shape != x.shape:
        out = PLACE.bind(x, start=start, step=step, shape=shape)
        if isinstance(value, Tracer) or value != 0:
            inside = PLACE.impl(np.ones(x.shape, bool), start=start, step=step, shape=shape)
            out = SELECT.bind(inside, out, value)
        x = out
    if all(low >= 0 and high >= 0 for low, high, _ in config):
        return x
    cropped = [(max(-low, 0), n - max(-high, 0)) for n, (low, high, _) in zip(x.shape, config, strict=True)]
    if any(a > b for a, b in cropped):
        raise ShapeError(f"pad: {padding_config} takes more than there is of {shape_of(operand)}")
    return slice(x, [a for a, _ in cropped], [b for _, b in cropped])
