"""Functions that rearrange: reshape, transpose, broadcast, join, split, repeat, pad."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import alias, as_array, is_array, lies_in_order, scalar
from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand, implements, operand
from funcgrad.numpy._known import known
from funcgrad.numpy._views import Broadcast, Raveled, Reshaped, Transposed, Window
from funcgrad.ops.index import GATHER
from funcgrad.ops.shape import BROADCAST_TO, CONCATENATE, CONVERT, PLACE, RESHAPE, TRANSPOSE
from funcgrad.types import broadcast_shapes, is_a, shape_of
from funcgrad.writes import viewed

__all__ = [
    "append",
    "astype",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "axis_index",
    "broadcast_arrays",
    "broadcast_to",
    "column_stack",
    "concat",
    "concatenate",
    "copy",
    "dstack",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "hstack",
    "matrix_transpose",
    "moveaxis",
    "ndim",
    "permute_dims",
    "place",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "rollaxis",
    "rot90",
    "shape",
    "size",
    "slice_axis",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "unstack",
    "vstack",
    "whole",
]  # fmt: skip


def axis_index(axis: Any, ndim: int) -> int:
    """An axis as a number from 0 to ndim - 1; raises AxisError."""
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim


def whole(axis: Any, ndim: int) -> bool:
    """Whether there is no axis to choose: None, or that of a 0-d array, where many NumPy functions take 0 and -1."""
    return axis is None or (ndim == 0 and not isinstance(axis, (tuple, list)) and operator.index(axis) in (0, -1))


def _axes(axes: Any, ndim: int, repeated: bool = False) -> tuple[int, ...]:
    found = tuple(axis_index(a, ndim) for a in (axes if np.iterable(axes) else (axes,)))
    if not repeated and len(set(found)) < len(found):
        raise ValueError(f"an axis occurs twice in {axes}")
    return found


@implements(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    """The shape."""
    return shape_of(operand(a))


@implements(np.ndim)
def ndim(a: Any) -> int:
    """The number of dimensions."""
    return len(shape_of(operand(a)))


@implements(np.size)
def size(a: Any, axis: Any = None) -> int:
    """The number of elements, or those along an axis."""
    dims = shape_of(operand(a))
    return math.prod(dims) if axis is None else math.prod(dims[i] for i in _axes(axis, len(dims)))


@implements(np.copy, view=True)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """A copy, to which one can write."""
    x = array_operand(a)
    return alias(x, order) if isinstance(x, Tracer) else x.copy()


@implements(np.astype, view=True)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """Convert to a dtype; integers and booleans have no derivative."""
    dtype = np.dtype(dtype)
    x = operand(x)
    out = CONVERT.bind(x, dtype=dtype)
    return as_array(out) if not shape_of(x) and isinstance(x, Tracer) and is_array(x) else out


@implements(np.reshape, view=True)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    """Give the elements a new shape; one dimension may be -1. Orders "C" and "F"."""
    x = array_operand(a)
    dims = shape if newshape is None else newshape
    dims = tuple(map(operator.index, dims)) if isinstance(dims, (tuple, list)) else (operator.index(dims),)
    if -1 in dims:
        known = -math.prod(dims)
        if dims.count(-1) > 1 or known == 0 or math.prod(x.shape) % known:
            raise ValueError(f"cannot reshape array of shape {x.shape} into shape {dims}")
        dims = tuple(math.prod(x.shape) // known if d == -1 else d for d in dims)
    if order == "F":
        return np.transpose(np.reshape(np.transpose(x), dims[::-1]))
    if order != "C" and x.ndim > 1:
        raise ValueError(f"reshape: a traced value has no memory layout, so order must be 'C' or 'F', not {order!r}")
    return x if dims == x.shape else viewed(x, RESHAPE.bind(x, shape=dims), Reshaped(dims))


@implements(np.ravel, view=True)
def ravel(a: Any, order: str = "C") -> Any:
    """One dimension of all elements, in order "C" or "F"."""
    x = array_operand(a)
    if order == "F" and x.ndim > 1:
        x = transpose(x)
    elif order != "C" and x.ndim > 1:
        return reshape(x, -1, order)  # says why not
    size = math.prod(x.shape)
    if x.ndim == 1:
        return x if lies_in_order(x) else viewed(x, RESHAPE.bind(x, shape=(size,)), Raveled((size,)))
    return viewed(x, RESHAPE.bind(x, shape=(size,)), Raveled((size,)))


@implements(np.transpose, np.permute_dims, view=True)
def transpose(a: Any, axes: Any = None) -> Any:
    """Permute the axes; without `axes`, reverse them."""
    x = array_operand(a)
    order = tuple(range(x.ndim))[::-1] if axes is None else _axes(tuple(axes), x.ndim)
    if len(set(order)) != x.ndim:
        raise ValueError(f"transpose: axes {axes} do not match an array of shape {x.shape}")
    return x if order == tuple(range(x.ndim)) else viewed(x, TRANSPOSE.bind(x, axes=order), Transposed(order))


permute_dims = transpose


@implements(np.matrix_transpose, view=True)
def matrix_transpose(x: Any, /) -> Any:
    """Swap the last two axes."""
    return np.swapaxes(x, -1, -2)


@implements(np.swapaxes, view=True)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    x = array_operand(a)
    i, j = axis_index(axis1, x.ndim), axis_index(axis2, x.ndim)
    order = list(range(x.ndim))
    order[i], order[j] = j, i
    return transpose(x, order)


@implements(np.moveaxis, view=True)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Move axes to new places; the others keep their order."""
    x = array_operand(a)
    src, dst = _axes(source, x.ndim), _axes(destination, x.ndim)
    order = [i for i in range(x.ndim) if i not in src]
    for d, s in sorted(zip(dst, src, strict=True)):
        order.insert(d, s)
    return transpose(x, order)


@implements(np.rollaxis, view=True)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """Move an axis back until it stands before `start`."""
    x = array_operand(a)
    axis = axis_index(axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    order = [i for i in range(x.ndim) if i != axis]
    order.insert(start - 1 if axis < start else start, axis)
    return transpose(x, order)


@implements(np.expand_dims, view=True)
def expand_dims(a: Any, axis: Any) -> Any:
    """Insert axes of size 1."""
    x = array_operand(a)
    count = len(tuple(axis)) if np.iterable(axis) else 1
    new = _axes(axis, x.ndim + count)
    rest = iter(x.shape)
    return reshape(x, tuple(1 if i in new else next(rest) for i in range(x.ndim + count)))


@implements(np.squeeze, view=True)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Remove axes of size 1."""
    x = array_operand(a)
    gone = tuple(i for i, n in enumerate(x.shape) if n == 1) if whole(axis, x.ndim) else _axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise ValueError(f"squeeze: axes {gone} of {x.shape} do not all have size 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


@implements(np.broadcast_to, view=True)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """Broadcast to a shape."""
    x = array_operand(array)
    dims = tuple(map(operator.index, (shape,) if is_a(shape, (int, np.integer)) else shape))
    return x if x.shape == dims else viewed(x, BROADCAST_TO.bind(x, shape=dims), Broadcast(dims))


@implements(np.broadcast_arrays, view=True)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """Broadcast arrays against each other."""
    xs = [array_operand(a) for a in args]
    dims = broadcast_shapes(*(x.shape for x in xs)) if xs else ()
    return tuple(broadcast_to(x, dims) for x in xs)


@implements(np.atleast_1d, view=True)
def atleast_1d(*arys: Any) -> Any:
    """Arrays of at least one dimension."""
    out = tuple(reshape(x, 1) if not shape_of(operand(x)) else array_operand(x) for x in arys)
    return out[0] if len(out) == 1 else out


@implements(np.atleast_2d, view=True)
def atleast_2d(*arys: Any) -> Any:
    """Arrays of at least two dimensions, new ones in front."""
    out = tuple(reshape(x, (1,) * (2 - x.ndim) + x.shape) if x.ndim < 2 else x for x in map(array_operand, arys))
    return out[0] if len(out) == 1 else out


@implements(np.atleast_3d, view=True)
def atleast_3d(*arys: Any) -> Any:
    """Arrays of at least three dimensions: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    shapes = {0: lambda s: (1, 1, 1), 1: lambda s: (1, *s, 1), 2: lambda s: (*s, 1)}
    out = tuple(reshape(x, shapes[x.ndim](x.shape)) if x.ndim < 3 else x for x in map(array_operand, arys))
    return out[0] if len(out) == 1 else out


@implements(np.concatenate)
def concatenate(
    arrays: Sequence[Any], /, axis: Any = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Join arrays along an existing axis; with axis=None, flattened."""
    xs = [array_operand(a) for a in arrays]
    if not xs:
        raise ValueError("concatenate needs at least one array")
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    if dtype is not None:
        xs = [astype(x, dtype) for x in xs]
    if any(x.ndim == 0 for x in xs):
        raise ValueError("zero-dimensional arrays cannot be concatenated: use stack")
    return CONCATENATE.bind(*xs, axis=axis_index(axis, xs[0].ndim))


concat = concatenate


@implements(np.stack)
def stack(
    arrays: Sequence[Any], axis: int = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Join arrays of one shape along a new axis."""
    xs = [array_operand(a) for a in arrays]
    if len({x.shape for x in xs}) > 1:
        raise ValueError(f"stack: all arrays must have the same shape, got {', '.join(str(x.shape) for x in xs)}")
    return concatenate([expand_dims(x, axis) for x in xs], axis, dtype=dtype)


@implements(np.unstack, view=True)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis."""
    x = moveaxis(x, axis, 0)
    return tuple(x[i] for i in range(x.shape[0]))


@implements(np.vstack)
def vstack(tup: Sequence[Any], *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Stack as rows."""
    return concatenate([atleast_2d(x) for x in tup], 0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Sequence[Any], *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Stack side by side: along the first axis of 1-D arrays, else the second."""
    xs = [atleast_1d(x) for x in tup]
    return concatenate(xs, 0 if xs and xs[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Any:
    """Stack along the third axis."""
    return concatenate([atleast_3d(x) for x in tup], 2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Any:
    """Stack 1-D arrays as columns."""
    xs = [array_operand(x) for x in tup]
    return concatenate([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in xs], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Join values to the end of an array."""
    return concatenate([arr, values] if axis is not None else [ravel(arr), ravel(values)], 0 if axis is None else axis)


def slice_axis(x: Any, axis: int, start: int, size: int, step: int = 1) -> Any:
    """`size` elements along one axis, from `start` in steps of `step`."""
    starts, sizes, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis], sizes[axis], steps[axis] = start, size, step
    window = Window(tuple(starts), tuple(sizes), tuple(steps), tuple(sizes), x.shape)
    return viewed(x, window.read(x), window)


@implements(np.flip, view=True)
def flip(m: Any, axis: Any = None) -> Any:
    """Reverse the order along axes (all of them by default)."""
    x = array_operand(m)
    for i in range(x.ndim) if axis is None else _axes(axis, x.ndim):
        x = slice_axis(x, i, max(x.shape[i] - 1, 0), x.shape[i], -1) if x.shape[i] > 1 else x
    return x if x.ndim else scalar(x)  # `m[()]`


@implements(np.flipud, view=True)
def flipud(m: Any) -> Any:
    """Reverse the first axis."""
    return flip(m, 0)


@implements(np.fliplr, view=True)
def fliplr(m: Any) -> Any:
    """Reverse the second axis."""
    return flip(m, 1)


@implements(np.rot90, view=True)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """Rotate by k quarter turns in the plane of two axes."""
    x = array_operand(m)
    i, j = _axes(tuple(axes), x.ndim)
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (i, j))
    return swapaxes(flip(x, j), i, j) if turns == 1 else flip(swapaxes(x, i, j), j)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Roll elements along axes, those that leave at one end coming in at the other."""
    x = array_operand(a)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    axes = _axes(axis, x.ndim, repeated=True)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,)
    if len(axes) == 1:
        shifts, axes = tuple(shifts), axes * len(shifts)
    elif len(shifts) == 1:
        shifts = tuple(shifts) * len(axes)
    s: Any
    for s, i in zip(shifts, axes, strict=True):
        n = x.shape[i]
        if issubclass(type(s), Tracer) and n:  # no path of its own for each shift
            x = swapaxes(GATHER.bind(swapaxes(x, 0, i), (np.arange(n) - s) % n, axes=(0,)), 0, i)
            continue
        k = operator.index(s) % n if n else 0
        if k:
            x = concatenate([slice_axis(x, i, n - k, k), slice_axis(x, i, 0, n - k)], i)
    return x


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """Repeat the whole array along each axis."""
    x = array_operand(A)
    counts = tuple(map(operator.index, reps)) if isinstance(reps, (tuple, list)) else (operator.index(reps),)
    dims = (1,) * (len(counts) - x.ndim) + x.shape
    counts = (1,) * (len(dims) - len(counts)) + counts
    spread = broadcast_to(
        reshape(x, tuple(d for n in dims for d in (1, n))),
        tuple(d for c, n in zip(counts, dims, strict=True) for d in (c, n)),
    )
    return reshape(spread, tuple(c * n for c, n in zip(counts, dims, strict=True)))


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Repeat each element, along an axis or flattened; `repeats` is an integer or one per element.

    Traced `repeats` must be known, as they are for gradients and under `jit`.
    """
    x = array_operand(a)
    if whole(axis, x.ndim):
        x, axis = ravel(x), 0
    i = axis_index(axis, x.ndim)
    counts = known(repeats, "repeat", "use repeats that are not traced")
    if counts.ndim == 0 or counts.size == 1:
        n = int(counts.reshape(()))
        wide = broadcast_to(expand_dims(x, i + 1), (*x.shape[: i + 1], n, *x.shape[i + 1 :]))
        return reshape(wide, (*x.shape[:i], x.shape[i] * n, *x.shape[i + 1 :]))
    return np.take(x, np.repeat(np.arange(x.shape[i]), counts), axis=i)


def place(x: Any, start: Sequence[int], shape: Sequence[int]) -> Any:
    """Put an array into zeros of a larger shape, its first element at `start`."""
    return PLACE.bind(x, start=tuple(start), step=(1,) * len(shape), shape=tuple(shape))
