"""Gathering slices at computed places: `lax.gather`, with XLA's dimension numbers and modes.

A gather is brought to the primitive `gather` of `ops/index.py`, which indexes some axes jointly by integer arrays: such
an array is where each slice starts plus a place within the slice. `_scatter` writes by the same arrays.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.index import GATHER
from funcgrad.ops.math import SELECT
from funcgrad.types import is_a, shape_of

__all__ = ["GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "gather"]

Ints = tuple[int, ...]


class GatherScatterMode(enum.Enum):
    """What is done about places outside of the array.

    Attributes:
        CLIP: a slice is moved so as to lie inside.
        FILL_OR_DROP: a slice that does not lie inside is read as a fill value, and is not written.
        PROMISE_IN_BOUNDS: there is no such slice, the caller says; here it is moved all the same.
        ONE_HOT: accepted, and the same as FILL_OR_DROP.
    """

    CLIP = 1
    FILL_OR_DROP = 2
    PROMISE_IN_BOUNDS = 3
    ONE_HOT = 4

    @staticmethod
    def from_any(s: str | GatherScatterMode | None) -> GatherScatterMode:
        """The mode of this name: "clip", "fill" or "drop" (also None), "promise_in_bounds".

        >>> GatherScatterMode.from_any("drop")
        <GatherScatterMode.FILL_OR_DROP: 2>
        """
        if isinstance(s, GatherScatterMode):
            return s
        if s not in _MODES:
            raise ValueError(f'mode must be "clip", "fill", "drop" or "promise_in_bounds", got {s!r}')
        return _MODES[s]


_MODES: dict[str | None, GatherScatterMode] = {
    "clip": GatherScatterMode.CLIP,
    "fill": GatherScatterMode.FILL_OR_DROP,
    "drop": GatherScatterMode.FILL_OR_DROP,
    None: GatherScatterMode.FILL_OR_DROP,
    "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS,
    "one_hot": GatherScatterMode.ONE_HOT,
}


def clips(mode: Any) -> bool:
    """Whether slices are moved inside."""
    return GatherScatterMode.from_any(mode) in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS)


class GatherDimensionNumbers(NamedTuple):
    """What the dimensions of a gather are.

    Attributes:
        offset_dims: the dimensions of the result that run along the slices; the others are those of the indices.
        collapsed_slice_dims: axes of the operand, of slice size 1, that the result lacks.
        start_index_map: the axis of the operand that each component of an index is for.
        operand_batching_dims: axes of the operand that run along with dimensions of the indices.
        start_indices_batching_dims: these dimensions of the indices.
    """

    offset_dims: Ints
    collapsed_slice_dims: Ints
    start_index_map: Ints
    operand_batching_dims: Ints = ()
    start_indices_batching_dims: Ints = ()


class ScatterDimensionNumbers(NamedTuple):
    """What the dimensions of a scatter are.

    Attributes:
        update_window_dims: the dimensions of the updates that run along what is written; the others are those of the
            indices.
        inserted_window_dims: axes of the operand along which one element is written, and that the updates lack.
        scatter_dims_to_operand_dims: the axis of the operand that each component of an index is for.
        operand_batching_dims: axes of the operand that run along with dimensions of the indices.
        scatter_indices_batching_dims: these dimensions of the indices.
    """

    update_window_dims: Ints
    inserted_window_dims: Ints
    scatter_dims_to_operand_dims: Ints
    operand_batching_dims: Ints = ()
    scatter_indices_batching_dims: Ints = ()


class Places(NamedTuple):
    """Which elements of an operand are meant.

    Attributes:
        axes: the axes that are indexed; the others are taken whole.
        rows: an integer array for each of them, which broadcast together: first the dimensions of the indices, then a
            dimension for each of `axes` that the slices keep.
        inside: for each index whether its slice lies inside; None where all do.
        lead: the sizes of the dimensions of the indices.
        kept: the axes along which slices run, in the order in which `gather` with `axes` and `rows` has them.
    """

    axes: Ints
    rows: list[Any]
    inside: Any
    lead: Ints
    kept: Ints


def ints(x: Any) -> Ints:
    """A sequence of axes or sizes."""
    return tuple(map(operator.index, x))


def _check(what: str, shape: Ints, index_shape: Ints, sizes: Ints, dropped: Ints, given: Ints, batching: Ints,
           index_batching: Ints) -> None:  # fmt: skip
    def fail(text: str) -> None:
        raise TypeError(f"{what}: {text}; the operand has shape {shape}, the indices have {index_shape}")

    n = len(shape)
    if not index_shape:
        fail("indices need a last dimension, with one component for each axis they are for")
    if len(given) != index_shape[-1]:
        fail(f"indices have {index_shape[-1]} components in their last dimension, for {len(given)} axes, {given}")
    for name, axes in (("indexed", given), ("left out", dropped), ("batching", batching)):
        if len(set(axes)) != len(axes) or any(not 0 <= a < n for a in axes):
            fail(f"the axes that are {name}, {axes}, must be different ones from 0 to {n - 1}")
    if set(batching) & (set(dropped) | set(given)):
        fail(f"batching axes {batching} can be neither indexed ({given}) nor left out ({dropped})")
    if len(batching) != len(index_batching) or any(not 0 <= d < len(index_shape) - 1 for d in index_batching):
        fail(f"batching axes {batching} and dimensions {index_batching} of the indices do not fit together")
    if any(shape[a] != index_shape[d] for a, d in zip(batching, index_batching, strict=True)):
        fail(f"batching axes {batching} differ in size from the dimensions {index_batching} of the indices")
    if len(sizes) != n or any(not 0 <= k <= m for k, m in zip(sizes, shape, strict=True)):
        fail(f"slice sizes {sizes} must be {n} numbers, none larger than the array")
    if any(sizes[a] != 1 for a in (*dropped, *batching)):
        fail(f"slices of sizes {sizes} must have size 1 along the axes {(*dropped, *batching)}")


def places(
    what: str,
    shape: Ints,
    indices: Any,
    sizes: Ints,
    dropped: Ints,
    given: Ints,
    batching: Ints,
    index_batching: Ints,
    clip: bool,
    least: int = 0,
) -> Places:
    """Where slices of these sizes lie in an array of this shape.

    All are moved inside; unless `clip`, it is said which of them were not. At least so many axes are indexed.
    """
    index_shape = shape_of(indices)
    _check(what, shape, index_shape, sizes, dropped, given, batching, index_batching)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{what}: indices must be integers, got {indices.dtype}")
    lead = index_shape[:-1]
    starts: dict[int, Any] = {a: 0 for a, n in enumerate(shape) if sizes[a] != n}
    inside: Any = None
    for k, axis in enumerate(given):
        last = shape[axis] - sizes[axis]
        start = _signed(indices[..., k])
        clipped = np.minimum(np.maximum(start, 0), last)
        if not clip:
            within = start == clipped
            inside = within if inside is None else inside & within
        if last:
            starts[axis] = clipped
    if inside is not None and not is_a(inside, Tracer) and np.all(inside):
        inside = None
    for axis, dim in zip(batching, index_batching, strict=True):
        starts[axis] = np.reshape(np.arange(shape[axis]), (-1,) + (1,) * (len(lead) - dim - 1))
    omitted = {*dropped, *batching}
    axes = tuple(sorted({*starts, *omitted})) or tuple(range(least))
    along = [a for a in axes if a not in omitted]
    rows: list[Any] = []
    for axis in axes:
        start = starts.get(axis, 0)
        row = np.reshape(start, (*shape_of(start), *(1,) * len(along)))
        if axis in along:
            row = row + np.reshape(np.arange(sizes[axis]), (-1,) + (1,) * (len(along) - along.index(axis) - 1))
        rows.append(row)
    kept = (*along, *(a for a in range(len(shape)) if a not in axes))
    return Places(axes, rows, inside, lead, kept)


def _signed(start: Any) -> Any:
    """Indices as they can be compared with any size."""
    return start if start.dtype in (np.intp, np.int32) else start.astype(np.intp)


def leading(x: Any, lead: Ints, ndim: int) -> Any:
    """Something that there is for each index, with dimensions behind it for a result of `ndim` dimensions."""
    return np.reshape(x, (*lead, *(1,) * (ndim - len(lead))))


def _default_fill(dtype: np.dtype[Any]) -> Any:
    """What a slice outside of the array reads as: NaN, the least signed or the largest unsigned integer, true."""
    if dtype.kind in "fc":
        return np.nan
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min


def gather(
    operand: Any,
    start_indices: Any,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: str | GatherScatterMode | None = None,
    fill_value: Any = None,
) -> Any:
    """Slices of one size at many places.

    Args:
        operand: an array.
        start_indices: integers `(*lead, m)`: for each slice where it starts, along `m` axes.
        dimension_numbers: what the dimensions are (`GatherDimensionNumbers`).
        slice_sizes: the size of the slices along each axis of the operand.
        unique_indices: accepted.
        indices_are_sorted: accepted.
        mode: what is done about slices that leave the array (`GatherScatterMode`, or "clip", "fill",
            "promise_in_bounds"); by default they are moved inside. Negative indices are outside.
        fill_value: what such a slice is filled with; by default NaN, the least signed integer, the largest unsigned
            one, or true.

    Returns:
        An array with the dimensions `lead` and those of the slices, in the order that `offset_dims` says. The
        derivative by the operand is exact also where slices overlap.

    Raises:
        TypeError: sizes, indices and dimension numbers do not fit together.

    >>> numbers = GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(), start_index_map=(0,))
    >>> gather(np.arange(5.0), np.array([[1], [4]]), numbers, (2,))
    array([[1., 2.],
           [3., 4.]])
    >>> gather(np.arange(5.0), np.array([[1], [4]]), numbers, (2,), mode="fill")
    array([[ 1.,  2.],
           [nan, nan]])
    """
    x, indices = array_operand(operand), array_operand(start_indices)
    offset, dropped, given, batching, index_batching = (ints(d) for d in dimension_numbers)
    fill = mode is not None and not clips(mode)
    at = places("gather", x.shape, indices, ints(slice_sizes), dropped, given, batching, index_batching, not fill)
    whole = len(at.lead) + len(at.kept)
    if len(offset) != len(at.kept) or list(offset) != sorted(set(offset)) or any(not 0 <= d < whole for d in offset):
        raise TypeError(f"gather: offset_dims must be {len(at.kept)} ascending dimensions of {whole}, got {offset}")
    if at.axes:
        out = GATHER.bind(x, *at.rows, axes=at.axes)
        shape = (*at.lead, *shape_of(out)[len(shape_of(out)) - len(at.kept) :])
        out = out if shape_of(out) == shape else np.broadcast_to(out, shape)
    else:
        out = np.broadcast_to(x, (*at.lead, *x.shape))
    if at.inside is not None:
        other = _default_fill(x.dtype) if fill_value is None else fill_value
        out = SELECT.bind(leading(at.inside, at.lead, whole), out, array_operand(other).astype(x.dtype))
    outer = [d for d in range(whole) if d not in offset]
    order = dict(zip(outer, range(len(outer)), strict=True))
    sequence = sorted(at.kept)
    order |= {d: len(at.lead) + at.kept.index(axis) for d, axis in zip(offset, sequence, strict=True)}
    return np.transpose(out, [order[d] for d in range(whole)])
