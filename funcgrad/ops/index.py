"""Indexing with arrays: `gather`, and its transpose `scatter_add`; `scatter`, `scatter_max` and `scatter_min` write.

`gather(x, *indices, axes)` indexes the given axes of `x` jointly by index arrays that broadcast together; the
dimensions of the indices come first in the result, then the other axes of `x` in their order. All of NumPy's indexing
is brought to this form (and to `slice`, `transpose` and `reshape`) in `funcgrad.numpy`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.errors import DTypeError
from funcgrad.ops.rules import aligned, declare
from funcgrad.ops.sharding import SUM, Avals, Ruling, together
from funcgrad.ops.sharding import Axes as Divided
from funcgrad.types import ShapedArray, broadcast_shapes, dtype_of, shape_of

__all__ = ["GATHER", "SCATTER", "SCATTER_ADD", "SCATTER_MAX", "SCATTER_MIN"]

Axes = tuple[int, ...]


def _index(indices: Sequence[Any], axes: Axes, ndim: int) -> tuple[Any, ...]:
    index: list[Any] = [slice(None)] * ndim
    for axis, i in zip(axes, indices, strict=True):
        index[axis] = i
    return tuple(index)


def _index_dims_first(axes: Axes) -> bool:
    """Whether NumPy itself puts the dimensions of the indices first."""
    return axes[0] == 0 or axes != tuple(range(axes[0], axes[0] + len(axes)))


def _leading(axes: Axes, index_ndim: int, ndim: int) -> tuple[int, ...]:
    """The permutation that moves the dimensions of the indices from where NumPy puts them to the front."""
    first = axes[0]
    moved = tuple(range(first, first + index_ndim))
    return moved + tuple(i for i in range(ndim - len(axes) + index_ndim) if i not in moved)


def _gather_impl(x: Any, *indices: Any, axes: Axes) -> Any:
    out = x[_index(indices, axes, x.ndim)]
    if _index_dims_first(axes):
        return out
    return out.transpose(_leading(axes, np.broadcast(*indices).ndim, x.ndim))


def _gather_aval(x: ShapedArray, *indices: ShapedArray, axes: Axes) -> ShapedArray:
    if any(i.dtype.kind not in "iu" for i in indices):
        raise DTypeError("indices must be integers")
    shape = broadcast_shapes(*(i.shape for i in indices))
    return ShapedArray(shape + tuple(n for i, n in enumerate(x.shape) if i not in axes), x.dtype)


def _gather_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: Axes) -> Any:
    return None if tangents[0] is None else GATHER.bind(tangents[0], *ins[1:], axes=axes)


def _gather_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes) -> list[Any]:
    x, *indices = ins
    return [SCATTER_ADD.bind(ct, *indices, axes=axes, shape=shape_of(x)), *[None] * len(indices)]


def _gather_shard(ins: Avals, out: ShapedArray, at: Divided, axes: Axes) -> Ruling | None:
    """Parts of the indices take from all of the array."""
    x, *indices = ins
    rank = max(i.ndim for i in indices)
    if at[0] is not None:
        kept = [i for i in range(x.ndim) if i not in axes]
        if at[0] not in kept or any(axis is not None for axis in at[1:]):
            return None
        return Ruling((at[0], *[None] * len(indices)), rank + kept.index(at[0]))
    found = together(indices, at[1:], rank)
    return None if found is None else Ruling((None, *found[0]), found[1])


GATHER = declare(
    "gather",
    _gather_impl,
    _gather_aval,
    jvp=_gather_jvp,
    vjp=_gather_vjp,
    linear="first",
    moves="copy",
    fails=True,
    shard=_gather_shard,
)


def _writable_view(out: Any, indices: Sequence[Any], axes: Axes) -> tuple[Any, tuple[Any, ...]]:
    """A view of `out` with the indexed axes first, and the index into it: then NumPy keeps the dimensions in order."""
    order = axes + tuple(i for i in range(out.ndim) if i not in axes)
    return out.transpose(order), tuple(indices)


def _scatter_add_impl(updates: Any, *indices: Any, axes: Axes, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, updates.dtype)
    view, index = _writable_view(out, indices, axes)
    np.add.at(view, index, updates)
    return out


def _scatter_add_aval(updates: ShapedArray, *indices: ShapedArray, axes: Axes, shape: tuple[int, ...]) -> ShapedArray:
    expected = _gather_aval(ShapedArray(shape, updates.dtype), *indices, axes=axes)
    broadcast_shapes(updates.shape, expected.shape)
    return ShapedArray(shape, updates.dtype)


def _scatter_add_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: Axes, shape: tuple[int, ...]) -> Any:
    return None if tangents[0] is None else SCATTER_ADD.bind(tangents[0], *ins[1:], axes=axes, shape=shape)


def _scatter_add_vjp(
    ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes, shape: tuple[int, ...]
) -> list[Any]:
    _, *indices = ins
    return [GATHER.bind(ct, *indices, axes=axes), *[None] * len(indices)]


def _scatter_add_shard(ins: Avals, out: ShapedArray, at: Divided, axes: Axes, shape: tuple[int, ...]) -> Ruling | None:
    """Parts of the indices and of what is added give terms of a sum."""
    updates, *indices = ins
    rank = max(i.ndim for i in indices)
    if updates.ndim != rank + len(shape) - len(axes):
        return None
    if at[0] is not None and at[0] >= rank:
        kept = [i for i in range(len(shape)) if i not in axes]
        if any(axis is not None for axis in at[1:]):
            return None
        to = kept[at[0] - rank]
        same = updates.shape[at[0]] == shape[to]
        return Ruling((at[0], *[None] * len(indices)), to, ("shape", to)) if same else None
    given = list(at[1:])
    if at[0] is not None:
        d = at[0] - rank
        given = [
            x.ndim + d if axis is None and x.ndim >= -d and x.shape[d] > 1 else axis
            for x, axis in zip(indices, given, strict=True)
        ]
    found = together(indices, tuple(given), rank)
    if found is None or updates.shape[found[1]] == 1:
        return None
    return Ruling((found[1], *found[0]), SUM)


SCATTER_ADD = declare(
    "scatter_add",
    _scatter_add_impl,
    _scatter_add_aval,
    jvp=_scatter_add_jvp,
    vjp=_scatter_add_vjp,
    linear="first",
    flops=lambda ins, out, axes, shape: ins[0].size,
    shard=_scatter_add_shard,
    fails=True,
)


def _scatter_impl(x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
    out = np.array(x)
    view, index = _writable_view(out, indices, axes)
    view[index] = updates
    return out


def _scatter_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: Axes) -> Any:
    x, updates, *indices = ins
    dx, du = tangents[:2]
    dx = np.zeros(shape_of(x), dtype_of(x)) if dx is None else dx
    du = np.zeros(shape_of(updates), dtype_of(x)) if du is None else du
    return SCATTER.bind(dx, du, *indices, axes=axes)


def _scatter_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes) -> list[Any]:
    x, updates, *indices = ins
    cts: list[Any] = [None] * len(ins)
    if wanted[0]:
        cts[0] = SCATTER.bind(ct, np.zeros(shape_of(updates), dtype_of(ct)), *indices, axes=axes)
    if wanted[1]:
        cts[1] = GATHER.bind(ct, *indices, axes=axes)
        if max((math.prod(shape_of(i)) for i in indices), default=1) > 1:
            cts[1] = np.where(_stays(shape_of(x), shape_of(cts[1]), indices, axes), cts[1], 0)
    return cts


def _stays(shape: tuple[int, ...], written: tuple[int, ...], indices: Sequence[Any], axes: Axes) -> Any:
    """Which of the elements written is not overwritten by a later one, where an index occurs twice."""
    numbers = np.arange(math.prod(written)).reshape(written)
    last = SCATTER.bind(np.zeros(shape, numbers.dtype), numbers, *indices, axes=axes)
    return GATHER.bind(last, *indices, axes=axes) == numbers


SCATTER = declare(
    "scatter",
    _scatter_impl,
    lambda x, updates, *indices, axes: ShapedArray(x.shape, x.dtype),
    jvp=_scatter_jvp,
    vjp=_scatter_vjp,
    moves="copy",
    fails=True,
)


# --------------------------------------------------------------------------------------------------- extreme values


def _shares(out: Any, ins: Sequence[Any], axes: Axes) -> tuple[Any, Any, Any]:
    """Where the array and the updates attain the results, as numbers, and how often each is: they share a derivative.

    Nothing is equal to a NaN: the derivative is NaN there.
    """
    x, updates, *indices = ins
    dtype = dtype_of(out)
    own = np.equal(x, out).astype(dtype)
    new = np.equal(updates, GATHER.bind(out, *indices, axes=axes)).astype(dtype)
    count = own + SCATTER_ADD.bind(new, *indices, axes=axes, shape=shape_of(x))
    return own, new, np.where(np.equal(count, 0), dtype.type(np.nan), count)


def _extremum(name: str, ufunc: np.ufunc) -> Primitive:
    def impl(x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
        out = np.array(x)
        view, index = _writable_view(out, indices, axes)
        with np.errstate(invalid="ignore"):  # which `ufunc.at` reports for a NaN, unlike the ufunc
            ufunc.at(view, index, updates)
        return out

    def jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: Axes) -> Any:
        x, _, *indices = ins
        own, new, count = _shares(out, ins, axes)
        total = 0 if tangents[0] is None else tangents[0] * own
        if tangents[1] is not None:
            total = total + SCATTER_ADD.bind(tangents[1] * new, *indices, axes=axes, shape=shape_of(x))
        return total / count

    def vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axes: Axes) -> list[Any]:
        own, new, count = _shares(out, ins, axes)
        share = ct / count
        cts: list[Any] = [None] * len(ins)
        cts[0] = share * own if wanted[0] else None
        cts[1] = GATHER.bind(share, *ins[2:], axes=axes) * new if wanted[1] else None
        return cts

    return declare(
        name, impl, lambda x, updates, *indices, axes: ShapedArray(x.shape, x.dtype), jvp=jvp, vjp=vjp, fails=True
    )


SCATTER_MAX, SCATTER_MIN = _extremum("scatter_max", np.maximum), _extremum("scatter_min", np.minimum)
"""`ufunc.at`: the extreme value of an element and of all updates at its index."""


# -------------------------------------------------------------------------------------------------- batches of them


def _batched_indices(indices: Sequence[Any], batched: Sequence[bool], size: int) -> tuple[list[Any], int]:
    """Indices that broadcast with the batch axis first (if one is batched), and the dimensions behind it."""
    n = max(len(shape_of(i)) - b for i, b in zip(indices, batched, strict=True))
    return aligned(indices, batched), n


def _row_numbers(size: int, n: int) -> Any:
    return np.arange(size).reshape((size,) + (1,) * n)


def _gather_batch(args: Sequence[Any], batched: Sequence[bool], size: int, axes: Axes) -> Any:
    x, *indices = args
    shifted = tuple(i + 1 for i in axes)
    if not any(batched[1:]):  # dimensions of the indices, batch, rest
        out = GATHER.bind(x, *indices, axes=shifted)
        return np.moveaxis(out, max(len(shape_of(i)) for i in indices), 0)
    indices, n = _batched_indices(indices, batched[1:], size)
    if not batched[0]:
        return GATHER.bind(x, *indices, axes=axes)
    return GATHER.bind(x, _row_numbers(size, n), *indices, axes=(0, *shifted))


def _scatter_add_batch(
    args: Sequence[Any], batched: Sequence[bool], size: int, axes: Axes, shape: tuple[int, ...]
) -> Any:
    updates, *indices = args
    shifted = tuple(i + 1 for i in axes)
    if not any(batched[1:]):
        moved = np.moveaxis(updates, 0, max(len(shape_of(i)) for i in indices))
        return SCATTER_ADD.bind(moved, *indices, axes=shifted, shape=(size, *shape))
    indices, n = _batched_indices(indices, batched[1:], size)
    rows = _row_numbers(size, n)
    if not batched[0]:
        updates = np.broadcast_to(updates, (size, *shape_of(updates)))
    return SCATTER_ADD.bind(updates, rows, *indices, axes=(0, *shifted), shape=(size, *shape))


def _writing_batch(primitive: Primitive) -> Any:
    def batch(args: Sequence[Any], batched: Sequence[bool], size: int, axes: Axes) -> Any:
        x, updates, *indices = args
        x = x if batched[0] else np.broadcast_to(x, (size, *shape_of(x)))
        updates = updates if batched[1] else np.broadcast_to(updates, (size, *shape_of(updates)))
        indices, n = _batched_indices(indices, batched[2:], size)
        return primitive.bind(x, updates, _row_numbers(size, n), *indices, axes=(0, *(i + 1 for i in axes)))

    return batch


GATHER.batch, SCATTER_ADD.batch = _gather_batch, _scatter_add_batch
for _writing in (SCATTER, SCATTER_MAX, SCATTER_MIN):
    _writing.batch = _writing_batch(_writing)
