"""Convolution of any number of spatial dimensions: the bilinear primitive behind `lax.conv_general_dilated`.

The operands are in one layout, `lhs (N, C, *spatial)` and `rhs (O, C // groups, *kernel)`; others are transposed views.
Both transposes of a convolution are convolutions (with dilated inputs where the strides were, and dilated kernels the
other way round), so that derivatives of every order are this one operation; `conv_kernels` does it without multiplying
by the zeros in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ops.conv_kernels import convolve, output_sizes
from funcgrad.ops.rules import bilinear
from funcgrad.ops.sharding import SUM, Avals, Axes, Ruling
from funcgrad.types import ShapedArray, result_dtype, shape_of

__all__ = ["CONV", "conv_calls", "conv_flops", "conv_shard"]

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _impl(
    lhs: Any,
    rhs: Any,
    window_strides: Ints,
    padding: Pairs,
    lhs_dilation: Ints,
    rhs_dilation: Ints,
    feature_group_count: int,
    batch_group_count: int,
) -> Any:
    return convolve(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, feature_group_count, batch_group_count
    )


def _abstract(
    lhs: ShapedArray,
    rhs: ShapedArray,
    window_strides: Ints,
    padding: Pairs,
    lhs_dilation: Ints,
    rhs_dilation: Ints,
    feature_group_count: int,
    batch_group_count: int,
) -> ShapedArray:
    (n, c, *size), (o, each, *kernel) = lhs.shape, rhs.shape
    if c != each * feature_group_count:
        raise ShapeError(
            f"the input has {c} features, the kernel takes {each} in each of {feature_group_count} groups; "
            f"they must be equal in all (shapes {lhs.shape} and {rhs.shape}, features second)"
        )
    if o % (feature_group_count * batch_group_count) or n % batch_group_count:
        raise ShapeError(
            f"{o} output features and a batch of {n} do not divide into {feature_group_count} feature groups and "
            f"{batch_group_count} batch groups"
        )
    dtype = result_dtype(lhs, rhs)
    if dtype.kind not in "iufc":
        raise DTypeError(f"not defined for {lhs.dtype} and {rhs.dtype}; convert the operands with .astype")
    sizes = output_sizes(size, kernel, window_strides, padding, lhs_dilation, rhs_dilation)
    return ShapedArray((n // batch_group_count, o, *sizes), dtype)


def _spans(shape: Sequence[int], dilation: Ints) -> list[int]:
    """The sizes of the spatial dimensions with the zeros between their elements."""
    return [(n - 1) * d + 1 if n else 0 for n, d in zip(shape[2:], dilation, strict=True)]


def _transpose_lhs(ct: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
    """The cotangent of the input: that of the output, convolved with the reversed kernel."""
    features, batches = params["feature_group_count"], params["batch_group_count"]
    shape, kernel = shape_of(lhs), shape_of(rhs)[2:]
    groups = features * batches
    o, c = shape_of(rhs)[0] // groups, shape_of(rhs)[1]
    flipped = rhs[(slice(None), slice(None), *(slice(None, None, -1),) * len(kernel))]
    swapped = np.reshape(np.swapaxes(np.reshape(flipped, (groups, o, c, *kernel)), 1, 2), (groups * c, o, *kernel))
    spans = zip(
        _spans(shape, params["lhs_dilation"]),
        _spans(shape_of(rhs), params["rhs_dilation"]),
        _spans(shape_of(ct), params["window_strides"]),
        params["padding"],
        strict=True,
    )
    out = CONV.bind(
        ct,
        swapped,
        window_strides=params["lhs_dilation"],
        padding=tuple((k - 1 - low, n - m + low) for n, k, m, (low, _) in spans),
        lhs_dilation=params["window_strides"],
        rhs_dilation=params["rhs_dilation"],
        feature_group_count=groups,
        batch_group_count=1,
    )
    if batches == 1:
        return out
    split = np.reshape(out, (shape[0] // batches, batches, *shape[1:]))
    return np.reshape(np.swapaxes(split, 0, 1), shape)


def _transpose_rhs(ct: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
    """The cotangent of the kernel: the input, convolved with the cotangent of the output; features are the batch."""
    features, batches = params["feature_group_count"], params["batch_group_count"]
    spans = zip(
        _spans(shape_of(lhs), params["lhs_dilation"]),
        _spans(shape_of(rhs), params["rhs_dilation"]),
        _spans(shape_of(ct), params["window_strides"]),
        params["padding"],
        strict=True,
    )
    out = CONV.bind(
        np.swapaxes(lhs, 0, 1),
        np.swapaxes(ct, 0, 1),
        window_strides=params["rhs_dilation"],
        padding=tuple((low, k + m - 1 - n - low) for n, k, m, (low, _) in spans),
        lhs_dilation=params["lhs_dilation"],
        rhs_dilation=params["window_strides"],
        feature_group_count=batches,
        batch_group_count=features,
    )
    return np.swapaxes(out, 0, 1)


def _merged(x: Any, axis: int, groups: int) -> Any:
    """A batch (the first axis) folded into another one, behind its groups."""
    size, *shape = shape_of(x)
    if groups == 1:
        moved = np.moveaxis(x, 0, axis)
    else:
        split = np.reshape(x, (size, *shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))
        moved = np.moveaxis(split, 0, axis + 1)
    return np.reshape(moved, (*shape[:axis], size * shape[axis], *shape[axis + 1 :]))


def _unmerged(x: Any, axis: int, groups: int, size: int) -> Any:
    """The inverse of `_merged`."""
    shape = shape_of(x)
    inner = shape[axis] // (groups * size)
    split = np.moveaxis(np.reshape(x, (*shape[:axis], groups, size, inner, *shape[axis + 1 :])), axis + 1, 0)
    return np.reshape(split, (size, *shape[:axis], groups * inner, *shape[axis + 1 :]))


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
    lhs, rhs = args
    features, batches = params["feature_group_count"], params["batch_group_count"]
    if size == 0:  # cannot be a number of groups
        left, right = (
            ShapedArray(shape_of(x)[1:] if b else shape_of(x), x.dtype) for x, b in zip(args, batched, strict=True)
        )
        like = _abstract(left, right, **params)
        return np.zeros((0, *like.shape), like.dtype)
    if not batched[1]:  # more examples
        return _unmerged(CONV.bind(_merged(lhs, 0, batches), rhs, **params), 0, 1, size)
    if not batched[0]:  # more output features
        groups = features * batches
        return _unmerged(CONV.bind(lhs, _merged(rhs, 0, groups), **params), 1, groups, size)
    rhs = _merged(rhs, 0, 1)
    if batches > 1:
        params["batch_group_count"] *= size
        out = CONV.bind(_merged(lhs, 0, 1), rhs, **params)
    else:
        params["feature_group_count"] *= size
        out = CONV.bind(_merged(lhs, 1, 1), rhs, **params)
    return _unmerged(out, 1, 1, size)


def conv_flops(ins: Avals, out: ShapedArray, **params: Any) -> int:
    """Multiplications and additions of a convolution by a kernel of shape `(O, …)`."""
    kernel = ins[1]
    return 2 * out.size * kernel.size // max(1, kernel.shape[0])


def conv_calls(ins: Avals, out: ShapedArray, **params: Any) -> tuple[int, float]:
    """Windows are written out in blocks of 64 KiB."""
    windows = conv_flops(ins, out) * ins[0].dtype.itemsize / (2 * max(1, ins[1].shape[0]))
    return 20, windows / (64 << 10)


def conv_shard(ins: Avals, out: ShapedArray, at: Axes, **params: Any) -> Ruling | None:
    """Examples are for themselves; channels that are contracted give sums."""
    if params["batch_group_count"] != 1:
        return None
    if at[0] == 0:
        return Ruling((0, None), 0)
    if (at[0] == 1 or at[1] == 1) and params["feature_group_count"] == 1:
        return Ruling((1, 1), SUM)
    return None


CONV = bilinear(
    "conv_general_dilated",
    _impl,
    _abstract,
    _transpose_lhs,
    _transpose_rhs,
    batch=_batch,
    flops=conv_flops,
    calls=conv_calls,
    shard=conv_shard,
)
