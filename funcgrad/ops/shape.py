"""Primitives that move elements: reshape, transpose, broadcast, slice and place, concatenate, convert.

All are linear, and most are views. `slice` and `place` are each other's transpose: `place` puts an array into zeros at
the positions that `slice` would read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ops.rules import constant, linear
from funcgrad.ops.sharding import Avals, Axes, Ruling
from funcgrad.types import PYTHON_SCALARS, ShapedArray, broadcast_shapes, dtype_of, result_dtype, shape_of

__all__ = [
    "BITCAST",
    "BROADCAST_TO",
    "CONCATENATE",
    "CONVERT",
    "FIT",
    "PLACE",
    "RESHAPE",
    "SLICE",
    "SPLIT",
    "STOP_GRADIENT",
    "TRANSPOSE",
]

Ints = tuple[int, ...]


def _reshape_aval(x: ShapedArray, shape: tuple[int, ...]) -> ShapedArray:
    if math.prod(shape) != x.size:
        raise ShapeError(f"cannot reshape {x.shape} of {x.size} elements into {shape} of {math.prod(shape)}")
    return ShapedArray(shape, x.dtype)


def _reshape_shard(ins: Avals, out: ShapedArray, at: Axes, shape: tuple[int, ...]) -> Ruling | None:
    """An axis that begins at the same place in memory as one of the result is divided as that one is."""
    (axis,) = at
    before = math.prod(ins[0].shape[:axis])
    done = 1
    for j, n in enumerate(shape):
        if done == before and n > 1:
            return Ruling((axis,), j, ("shape", j))
        done *= n
    return None


def _reshape(x: Any, shape: tuple[int, ...]) -> Any:
    if type(x) in PYTHON_SCALARS:  # the tangent of one, in a program
        x = np.asarray(x)
    return x.reshape(shape) if shape else x.reshape(())[()]  # a scalar, not a view of one element


RESHAPE = linear(
    "reshape",
    _reshape,
    _reshape_aval,
    lambda ct, ins, wanted, shape: [np.reshape(ct, shape_of(ins[0]))],
    batch=lambda args, batched, size, shape: RESHAPE.bind(args[0], shape=(size, *shape)),
    moves="alias",
    generic=True,
    total=True,
    shard=_reshape_shard,
)


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    inverse = [0] * len(axes)
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return tuple(inverse)


TRANSPOSE = linear(
    "transpose",
    lambda x, axes: x.transpose(axes),
    lambda x, axes: ShapedArray([x.shape[i] for i in axes], x.dtype),
    lambda ct, ins, wanted, axes: [np.transpose(ct, _inverse(axes))],
    batch=lambda args, batched, size, axes: TRANSPOSE.bind(args[0], axes=(0, *(i + 1 for i in axes))),
    moves="view",
    generic=True,
    total=True,
    shard=lambda ins, out, at, axes: Ruling(at, axes.index(at[0])),
)


def _broadcast_aval(x: ShapedArray, shape: tuple[int, ...]) -> ShapedArray:
    try:
        fits = broadcast_shapes(x.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"cannot broadcast {x.shape} to {shape}")
    return ShapedArray(shape, x.dtype)


def _broadcast_batch(args: Sequence[Any], batched: Sequence[bool], size: int, shape: tuple[int, ...]) -> Any:
    (x,) = args
    inner = shape_of(x)[1:]
    x = np.reshape(x, (size, *(1,) * (len(shape) - len(inner)), *inner))
    return BROADCAST_TO.bind(x, shape=(size, *shape))


def _broadcast_shard(ins: Avals, out: ShapedArray, at: Axes, shape: tuple[int, ...]) -> Ruling:
    (axis,) = at
    assert axis is not None
    j = axis + len(shape) - ins[0].ndim
    return Ruling((axis,), j, ("shape", j))


BROADCAST_TO = linear(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    _broadcast_aval,
    lambda ct, ins, wanted, shape: [ct],  # the reverse walk sums over broadcast dimensions
    batch=_broadcast_batch,
    moves="alias",
    generic=True,
    total=True,
    shard=_broadcast_shard,
)


def _slices(start: Sequence[int], size: Sequence[int], step: Sequence[int]) -> tuple[slice, ...]:
    out: list[slice] = []
    for a, n, s in zip(start, size, step, strict=True):
        stop = a + n * s
        out.append(slice(a, None if stop < 0 else stop, s))
    return tuple(out)


def _slice_impl(x: Any, start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> Any:
    return x[_slices(start, size, step)]


def _slice_aval(x: ShapedArray, start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> ShapedArray:
    for n, a, k, s in zip(x.shape, start, size, step, strict=True):
        if k and not (0 <= a < n and 0 <= a + (k - 1) * s < n):
            raise ShapeError(f"slice from {start} of size {size} by {step} leaves {x.shape}")
    return ShapedArray(size, x.dtype)


def _place_impl(x: Any, start: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    out[_slices(start, x.shape, step)] = x
    return out


def _slice_batch(args: Sequence[Any], batched: Sequence[bool], n: int, **params: Any) -> Any:
    start, size, step = params["start"], params["size"], params["step"]
    return SLICE.bind(args[0], start=(0, *start), size=(n, *size), step=(1, *step))


def _slice_shard(ins: Avals, out: ShapedArray, at: Axes, start: Ints, size: Ints, step: Ints) -> Ruling | None:
    (axis,) = at
    assert axis is not None
    whole = start[axis] == 0 and step[axis] == 1 and size[axis] == ins[0].shape[axis]
    return Ruling((axis,), axis, ("size", axis)) if whole else None


def _place_shard(ins: Avals, out: ShapedArray, at: Axes, start: Ints, step: Ints, shape: Ints) -> Ruling | None:
    (axis,) = at
    assert axis is not None
    whole = start[axis] == 0 and step[axis] == 1 and shape[axis] == ins[0].shape[axis]
    return Ruling((axis,), axis, ("shape", axis)) if whole else None


SLICE = linear(
    "slice",
    _slice_impl,
    _slice_aval,
    lambda ct, ins, wanted, start, size, step: [PLACE.bind(ct, start=start, step=step, shape=shape_of(ins[0]))],
    batch=_slice_batch,
    moves="view",
    generic=True,
    total=True,
    shard=_slice_shard,
)

PLACE = linear(
    "place",
    _place_impl,
    lambda x, start, step, shape: ShapedArray(shape, x.dtype),
    lambda ct, ins, wanted, start, step, shape: [SLICE.bind(ct, start=start, size=shape_of(ins[0]), step=step)],
    batch=lambda args, batched, size, start, step, shape: PLACE.bind(
        args[0], start=(0, *start), step=(1, *step), shape=(size, *shape)
    ),
    moves="copy",
    generic=True,
    total=True,
    shard=_place_shard,
)


def _concatenate_aval(*xs: ShapedArray, axis: int) -> ShapedArray:
    first = xs[0]
    for x in xs:
        if x.ndim != first.ndim or any(
            i != axis and a != b for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True))
        ):
            raise ShapeError(f"shapes {', '.join(str(x.shape) for x in xs)} differ in more than axis {axis}")
    shape = list(first.shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return ShapedArray(shape, result_dtype(*xs))


def _concatenate_transpose(ct: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int) -> list[Any]:
    cts: list[Any] = []
    offset = 0
    for x, w in zip(ins, wanted, strict=True):
        shape = shape_of(x)
        start = tuple(offset if i == axis else 0 for i in range(len(shape)))
        cts.append(SLICE.bind(ct, start=start, size=shape, step=(1,) * len(shape)) if w else None)
        offset += shape[axis]
    return cts


CONCATENATE = linear(
    "concatenate",
    lambda *xs, axis: np.concatenate(xs, axis=axis),
    _concatenate_aval,
    _concatenate_transpose,
    moves="copy",
    generic=True,
    along="axis",
    total=True,
)


def _split_impl(x: Any, sizes: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    ends = accumulate(sizes)
    return tuple(x[(*(slice(None),) * axis, slice(b - n, b))] for n, b in zip(sizes, ends, strict=True))


def _split_aval(x: ShapedArray, sizes: tuple[int, ...], axis: int) -> tuple[ShapedArray, ...]:
    if sum(sizes) != x.shape[axis]:
        raise ShapeError(f"sizes {sizes} do not add up to axis {axis} of {x.shape}")
    return tuple(ShapedArray((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes)


def _split_transpose(
    ct: Any, ins: Sequence[Any], wanted: Sequence[bool], sizes: tuple[int, ...], axis: int
) -> list[Any]:
    """One `concatenate`, instead of as many arrays of the whole size as there are parts."""
    shape, dtype = shape_of(ins[0]), dtype_of(ins[0])
    parts = [
        np.zeros((*shape[:axis], n, *shape[axis + 1 :]), dtype) if c is None else c
        for c, n in zip(ct, sizes, strict=True)
    ]
    return [np.concatenate(parts, axis=axis)]


SPLIT = linear(
    "split",
    _split_impl,
    _split_aval,
    _split_transpose,
    multiple=True,
    moves="view",
    generic=True,
    along="axis",
    total=True,
)
"""Parts of the given `sizes`, which add up to the axis."""


def _convert_aval(x: ShapedArray, dtype: np.dtype[Any]) -> ShapedArray:
    if dtype.kind not in "biufc":
        raise DTypeError(f"cannot convert a traced {x.dtype} to {dtype}")
    return ShapedArray(x.shape, dtype)


def _convert_impl(x: Any, dtype: np.dtype[Any]) -> Any:
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x)


# A conversion to another kind of number casts tangents and cotangents with it; the reverse walk does so by itself.
CONVERT = linear(
    "convert",
    _convert_impl,
    _convert_aval,
    lambda ct, ins, wanted, dtype: [ct],
    pointwise=True,
    total=True,
    flops=lambda ins, out, dtype: 0,
)


def _fit_impl(x: Any, *near: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind not in "iu":
        return x
    x, limits = np.asarray(x), np.iinfo(dtype)
    if x.size and (x.min() < limits.min or x.max() > limits.max):
        raise OverflowError(f"Python integer {x.max() if x.max() > limits.max else x.min()} out of bounds for {dtype}")
    if near and not np.all(np.abs(near[0]) < 2.0**62):
        raise OverflowError("a Python integer has more than 64 bits")
    return x.astype(dtype)[()]


FIT = constant("fit", _fit_impl, lambda x, *near, dtype: _convert_aval(x, dtype), pointwise=True)
"""A Python number becomes one of a dtype; in native code the call fails where Python may raise, or has more bits.

That is where an integer is one that the dtype does not hold, and where a float is not finite. Beside an integer that
was computed in 64 bits there is a second operand, `near`: the same in floats, which do not wrap around. Only programs
without promotion have it (`passes.strict`)."""

STOP_GRADIENT = constant(
    "stop_gradient", lambda x: x, lambda x: x, pointwise=True, moves="alias", generic=True, total=True
)


def _bitcast_aval(x: ShapedArray, dtype: np.dtype[Any]) -> ShapedArray:
    if dtype.itemsize != x.dtype.itemsize:
        raise DTypeError(f"{x.dtype} and {dtype} differ in size")
    return ShapedArray(x.shape, dtype)


BITCAST = constant("bitcast_convert_type", lambda x, dtype: x.view(dtype), _bitcast_aval, pointwise=True, total=True)
