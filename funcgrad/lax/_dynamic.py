"""Slices of fixed size at computed places, by the names of `jax.lax`: `dynamic_slice`, `dynamic_update_slice` and kin.

A place that is known gives an ordinary slice; one that is not, a gather or a scatter. Negative places count from the
end, unless `allow_negative_indices` is false (for all axes, or one by one): then Python's raise. A slice is moved so
as to lie inside.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import axis_index
from funcgrad.numpy._shape import unstack as unstack_
from funcgrad.ops.index import GATHER, SCATTER
from funcgrad.ops.shape import SLICE
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = [
    "dynamic_index_in_dim",
    "dynamic_slice",
    "dynamic_slice_in_dim",
    "dynamic_update_index_in_dim",
    "dynamic_update_slice",
    "dynamic_update_slice_in_dim",
]

Allowed = bool | Sequence[bool]


def _start(index: Any, n: int, size: int, negative: bool) -> Any:
    """Where a slice of `size` starts that must not leave an axis of `n`: an integer if it is known."""
    known = index.concrete() if isinstance(index, Tracer) else index
    if known is not None:
        i = int(known)
        return min(max(i + n if negative and i < 0 else i, 0), n - size)
    place: Any = array_operand(index)
    place = place if place.dtype in (np.int32, np.intp) else place.astype(np.intp)
    if negative and dtype_of(index).kind == "i":
        place = np.where(place < 0, place + n, place)
    return np.minimum(np.maximum(place, 0), n - size)


def _starts(x: Any, indices: Any, sizes: Sequence[int], negative: Allowed, name: str) -> list[Any]:
    starts = list(unstack_(indices)) if is_a(indices, (Tracer, np.ndarray)) else list(indices)
    allowed = [negative] * x.ndim if is_a(negative, bool) else list(negative)
    if len(starts) != x.ndim or len(sizes) != x.ndim or len(allowed) != x.ndim:
        raise ShapeError(f"{name}: an array of shape {x.shape} needs {x.ndim} indices and sizes")
    if any(not 0 <= k <= n for k, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{name}: slices of {tuple(sizes)} are larger than the array, {x.shape}")
    for i, a, n in zip(starts, allowed, x.shape, strict=True):
        if not a and type(i) is int and i < 0:
            raise ArgumentError(
                f"{name}: allow_negative_indices is false, and the index {i} of an axis of {n} is given"
            )
    starts = [array_operand(i) for i in starts]
    wrong = [i for i in starts if dtype_of(i).kind not in "iu" or shape_of(i)]
    if wrong:
        raise TypeError(f"{name}: indices must be integer scalars, got {dtype_of(wrong[0])} of {shape_of(wrong[0])}")
    return [_start(i, n, k, a) for i, n, k, a in zip(starts, x.shape, sizes, allowed, strict=True)]


def _window(starts: Sequence[Any], sizes: Sequence[int], shape: Sequence[int]) -> tuple[tuple[int, ...], list[Any]]:
    """The axes that are not taken whole, and joint indices along them."""
    axes = tuple(i for i, (k, n) in enumerate(zip(sizes, shape, strict=True)) if k != n)
    rows = [np.reshape(starts[a] + np.arange(sizes[a]), (-1,) + (1,) * (len(axes) - i - 1)) for i, a in enumerate(axes)]
    return axes, rows


def dynamic_slice(
    operand: Any, start_indices: Any, slice_sizes: Sequence[int], *, allow_negative_indices: Allowed = True
) -> Any:
    """A slice of fixed size whose place may be traced; it is moved so as not to leave the array.

    >>> dynamic_slice(np.arange(5), (3,), (3,))
    array([2, 3, 4])
    """
    x = array_operand(operand)
    sizes = tuple(map(operator.index, slice_sizes))
    starts = _starts(x, start_indices, sizes, allow_negative_indices, "dynamic_slice")
    if all(is_a(i, int) for i in starts):
        return SLICE.bind(x, start=tuple(starts), size=sizes, step=(1,) * x.ndim)
    axes, rows = _window(starts, sizes, x.shape)
    if not axes:
        return x
    order = [*axes, *(i for i in range(x.ndim) if i not in axes)]
    return np.transpose(GATHER.bind(x, *rows, axes=axes), np.argsort(order).tolist())


def dynamic_slice_in_dim(
    operand: Any, start_index: Any, slice_size: int, axis: int = 0, *, allow_negative_indices: bool = True
) -> Any:
    """`dynamic_slice` along one axis."""
    x = array_operand(operand)
    axis = axis_index(axis, x.ndim)
    starts, sizes = [0] * x.ndim, list(x.shape)
    starts[axis], sizes[axis] = start_index, operator.index(slice_size)
    return dynamic_slice(x, starts, sizes, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(
    operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *, allow_negative_indices: bool = True
) -> Any:
    """One place along an axis, which may be traced."""
    out = dynamic_slice_in_dim(operand, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return out if keepdims else np.squeeze(out, axis)


def dynamic_update_slice(
    operand: Any, update: Any, start_indices: Any, *, allow_negative_indices: Allowed = True
) -> Any:
    """`operand` with `update` written at a place that may be traced; it is moved so as not to leave the array.

    >>> dynamic_update_slice(np.zeros(4), np.ones(2), (1,))
    array([0., 1., 1., 0.])
    """
    x = array_operand(operand)
    new = array_operand(update).astype(x.dtype)
    if new.ndim != x.ndim:
        raise ShapeError(f"dynamic_update_slice: an update of shape {new.shape} for an array of shape {x.shape}")
    starts = _starts(x, start_indices, new.shape, allow_negative_indices, "dynamic_update_slice")
    axes, rows = _window(starts, new.shape, x.shape)
    if not axes:
        return new
    order = [*axes, *(i for i in range(x.ndim) if i not in axes)]
    return SCATTER.bind(x, np.transpose(new, order), *rows, axes=axes)


def dynamic_update_slice_in_dim(
    operand: Any, update: Any, start_index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Any:
    """`dynamic_update_slice` along one axis."""
    x = array_operand(operand)
    starts: list[Any] = [0] * x.ndim
    starts[axis_index(axis, x.ndim)] = start_index
    return dynamic_update_slice(x, update, starts, allow_negative_indices=allow_negative_indices)


def dynamic_update_index_in_dim(
    operand: Any, update: Any, index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Any:
    """One place along an axis replaced."""
    x, new = array_operand(operand), array_operand(update)
    if new.ndim != x.ndim:
        new = np.expand_dims(new, axis_index(axis, x.ndim))
    return dynamic_update_slice_in_dim(x, new, index, axis, allow_negative_indices=allow_negative_indices)
