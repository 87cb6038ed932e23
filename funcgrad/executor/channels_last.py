"""The primitive `conv_last`: convolution whose result has its channels last.

That is the order in which products of windows with kernels come out (`ops.conv_kernels`). The pass `passes.expand` puts
it, and a transposition, in place of a convolution whose input has its channels last in memory: the transposition meets
the one with which such a program brings its results back, and both go. All derivatives and batches have been taken by
then, and so it has no rules for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.conv import CONV, conv_calls, conv_flops, conv_shard
from funcgrad.ops.conv_kernels import convolve
from funcgrad.types import ShapedArray

__all__ = ["CONV_LAST"]


def _impl(lhs: Any, rhs: Any, into: Any = None, **params: Any) -> Any:
    if into is None:
        aval = _abstract(ShapedArray(lhs.shape, lhs.dtype), ShapedArray(rhs.shape, rhs.dtype), **params)
        into = np.empty(aval.shape, aval.dtype)
    convolve(lhs, rhs, *(params[name] for name in _ORDER), into=into)
    return into


_ORDER = (
    "window_strides", "padding", "lhs_dilation", "rhs_dilation", "feature_group_count", "batch_group_count",
)  # fmt: skip


def _abstract(lhs: ShapedArray, rhs: ShapedArray, **params: Any) -> ShapedArray:
    out = CONV.abstract(lhs, rhs, **params)
    n, features, *sizes = out.shape
    return ShapedArray((n, *sizes, features), out.dtype)


CONV_LAST = Primitive(
    "conv_last", _impl, _abstract, linear="each", flops=conv_flops, calls=conv_calls, shard=conv_shard
)
"""`conv_last[window_strides, padding, …]`: as `conv_general_dilated`, transposed to `(N, *sizes, O)`."""
