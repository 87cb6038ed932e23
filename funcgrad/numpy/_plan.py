"""What a NumPy index means: its normal form.

The rules are NumPy's (user guide, "Indexing on ndarrays"): integers and slices are basic; where there is any array,
integers count as arrays too, all arrays broadcast together, and the dimensions of their result stand where the arrays
stood if these were next to each other, and otherwise first. A boolean mask stands for the index arrays of its true
elements; a single boolean is a mask of no dimensions, and so indexes an axis of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.aliasing import settle
from funcgrad.core import Tracer
from funcgrad.errors import IndexKindError, NonConcreteBooleanIndexError
from funcgrad.numpy._dispatch import operand
from funcgrad.types import broadcast_shapes, dtype_of, is_a, shape_of

__all__ = ["Plan", "axis_items", "mask_indices", "plan_index", "wrong_index"]


class Plan(NamedTuple):
    """A NumPy index in normal form: slice, then gather along `axes`, then transpose, then reshape.

    Attributes:
        start, size, step: the slice of every axis.
        axes, indices: the axes that are indexed by arrays, and the arrays.
        order: the transposition of (dimensions of the indices, other axes) into NumPy's order.
        shape: the shape of the result, new axes and dropped ones included.
        whole: the shape to give the array first: its own, with an axis of size 1 for each boolean in the index.
    """

    start: tuple[int, ...]
    size: tuple[int, ...]
    step: tuple[int, ...]
    axes: tuple[int, ...]
    indices: tuple[Any, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    whole: tuple[int, ...]


def _concrete_mask(mask: Any) -> Any:
    if not isinstance(mask, Tracer):
        return mask
    value = mask.concrete("bytes")
    if value is None:
        error = NonConcreteBooleanIndexError(
            "indexing with a boolean mask gives a shape that depends on values, which are not known here: use "
            "np.where(mask, x, 0), or multiply by the mask"
        )
        raise mask.unanswered(error)
    return value


def mask_indices(mask: Any) -> list[Any]:
    """The index arrays that a boolean mask stands for; raises ConcretizationTypeError where it is not known."""
    return list(np.nonzero(_concrete_mask(mask)))


def wrong_index(error: IndexError) -> IndexError:
    """NumPy's error for an index, as an IndexKindError where that is of the wrong kind."""
    text = str(error)
    return IndexKindError(text) if "only integers, slices" in text or "must be of integer" in text else error


def _parse(item: Any) -> Any:
    """An item of an index: None, Ellipsis, a slice, an int, an integer operand, or a boolean array."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    item = settle(item)  # constants that a function has made are known
    if is_a(item, (bool, np.bool_)):
        return np.asarray(item)
    if is_a(item, (int, np.integer)):
        return int(item)
    try:
        x = operand(item)
    except TypeError as error:
        raise IndexKindError(f"an index must be integers, slices, None or a boolean mask: {error}") from None
    if shape_of(x) == (0,) and not is_a(item, (np.ndarray, Tracer)):
        return x.astype(int)  # an empty list
    kind = dtype_of(x).kind
    if kind == "b":
        return np.asarray(_concrete_mask(x))
    if kind in "iu":
        return x
    raise IndexKindError(f"an index must be integers, slices, None or a boolean mask; got {dtype_of(x)}")


def _is_mask(item: Any) -> bool:
    return is_a(item, np.ndarray) and item.dtype.kind == "b"


def axis_items(shape: tuple[int, ...], index: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The items of an index, one for each axis, and None; Ellipsis and masks are written out.

    Also returns the shape that they index, which has an additional axis for each single boolean.
    """
    raw = [_parse(item) for item in (index if isinstance(index, tuple) else (index,))]
    used = sum(i.ndim if _is_mask(i) else 1 for i in raw if i is not None and i is not Ellipsis)
    dots = [k for k, i in enumerate(raw) if i is Ellipsis]
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for an array of {len(shape)} dimensions, shape {shape}")
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(raw)
    items: list[Any] = []
    whole: list[int] = []
    axis = 0
    for item in raw[:at] + [slice(None)] * (len(shape) - used) + raw[at + 1 :]:
        if not _is_mask(item):
            items.append(item)
            n = 0 if item is None else 1
            whole += shape[axis : axis + n]
        elif not item.ndim:
            items.append(np.zeros(int(item), int))
            whole.append(1)
            n = 0
        else:
            n = item.ndim
            if item.shape != shape[axis : axis + n]:
                raise IndexError(f"a mask of shape {item.shape} does not fit axes {axis} to {axis + n - 1} of {shape}")
            items += mask_indices(item)
            whole += item.shape
        axis += n
    return items, tuple(whole)


def _basic(shape: tuple[int, ...], axis: int, item: Any) -> tuple[int, int, int]:
    """Start, size and step of an integer or a slice along an axis."""
    n = shape[axis]
    if is_a(item, int):
        if not -n <= item < n:
            raise IndexError(f"index {item} is out of bounds for axis {axis} with size {n} (shape {shape})")
        return item % n, 1, 1
    start, stop, step = item.indices(n)
    size = len(range(start, stop, step))
    return (start, size, step) if size else (0, 0, 1)


def plan_index(shape: tuple[int, ...], index: Any) -> Plan:
    """Bring an index of an array of this shape to normal form; raises IndexError as NumPy does."""
    items, whole = axis_items(shape, index)
    arrays = [i for i in items if not (i is None or is_a(i, (int, slice)))]
    if arrays:  # then integers are arrays too
        items = [np.asarray(i) if is_a(i, int) else i for i in items]
    parts: list[tuple[int, int, int]] = []
    axes: list[int] = []
    indices: list[Any] = []
    places: list[int] = []  # where in `items` the arrays stand
    for k, item in enumerate(items):
        axis = len(parts)
        if item is None:
            continue
        if is_a(item, (int, slice)):
            parts.append(_basic(whole, axis, item))
        else:
            parts.append((0, whole[axis], 1))
            axes.append(axis)
            indices.append(item)
            places.append(k)
    start, size, step = (tuple(p) for p in zip(*parts, strict=True)) if parts else ((), (), ())
    try:
        dims = broadcast_shapes(*map(shape_of, indices)) if indices else ()
    except ValueError as error:
        raise IndexError(f"index arrays: {error}") from None
    order, out = _arrange(items, size, axes, places, dims)
    return Plan(start, size, step, tuple(axes), tuple(indices), order, out, whole)


def _arrange(
    items: Sequence[Any], size: Sequence[int], axes: Sequence[int], places: Sequence[int], dims: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The transposition after the gather, and the final shape."""
    together = bool(places) and list(places) == list(range(places[0], places[0] + len(places)))
    order: list[int] = []
    shape: list[int] = []
    kept = {axis: len(dims) + i for i, axis in enumerate(i for i in range(len(size)) if i not in axes)}

    def put_dims() -> None:
        order.extend(range(len(dims)))
        shape.extend(dims)

    if places and not together:
        put_dims()
    axis = 0
    for k, item in enumerate(items):
        if item is None:
            shape.append(1)
            continue
        if axis in axes:
            if together and k == places[0]:
                put_dims()
        else:
            order.append(kept[axis])
            if not is_a(item, int):
                shape.append(size[axis])
        axis += 1
    return tuple(order), tuple(shape)
