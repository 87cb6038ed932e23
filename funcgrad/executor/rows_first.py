"""The primitives `conv_rows` and `conv_rows_kernel`: convolution of images with rows first and examples last.

The pass `passes.layout` puts them in place of convolutions, and keeps what is between these in that order; how they are
computed, and why this order is the better one, is said in `ops.conv_rows`. All derivatives and batches have been taken
by then, and so they have no rules for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.conv import conv_flops
from funcgrad.ops.conv_rows import kernel_gradient, row_convolution
from funcgrad.ops.sharding import SUM, Avals, Axes, Ruling
from funcgrad.types import ShapedArray, result_dtype

__all__ = ["CONV_ROWS", "CONV_ROWS_KERNEL"]

Pair = tuple[int, int]


def _convolve(x: Any, w: Any, low: Pair, sizes: Pair, into: Any = None) -> Any:
    if into is None:
        into = np.empty((sizes[0], w.shape[0], sizes[1], x.shape[3]), np.result_type(x, w))
    return row_convolution(x, w, low, into)


def _convolved(x: ShapedArray, w: ShapedArray, low: Pair, sizes: Pair) -> ShapedArray:
    return ShapedArray((sizes[0], w.shape[0], sizes[1], x.shape[3]), result_dtype(x, w))


def _convolved_shard(ins: Avals, out: ShapedArray, at: Axes, low: Pair, sizes: Pair) -> Ruling | None:
    """Examples are last; channels that are contracted give sums."""
    return Ruling((3, None), 3) if at[0] == 3 else Ruling((1, 1), SUM) if 1 in at else None


def _calls(columns: int, avals: Avals) -> tuple[int, float]:
    """A product for each column of the kernel, and its sum with the others, in blocks of 256 KiB."""
    return 4 + 2 * columns, sum(a.size * a.dtype.itemsize for a in avals) / (256 << 10)


CONV_ROWS = Primitive(
    "conv_rows",
    _convolve,
    _convolved,
    linear="each",
    flops=conv_flops,
    calls=lambda ins, out, **params: _calls(ins[1].shape[-1], (*ins, out)),
    shard=_convolved_shard,
)
"""`conv_rows[low, sizes]`: of an image `(H, C, W, N)` with kernels `(O, C, kh, kw)`, `(h, O, w, N)`; strides are 1.
`low` is how many rows and columns of zeros are put in front, `sizes` is `(h, w)`."""


def _kernel(x: Any, ct: Any, low: Pair, kernel: Pair) -> Any:
    return kernel_gradient(x, ct, low, kernel)


def _kernel_aval(x: ShapedArray, ct: ShapedArray, low: Pair, kernel: Pair) -> ShapedArray:
    return ShapedArray((x.shape[1], ct.shape[1], *kernel), result_dtype(x, ct))


def _kernel_flops(ins: Avals, out: ShapedArray, low: Pair, kernel: Pair) -> int:
    return 2 * out.size * ins[1].size // ins[1].shape[1]


def _kernel_shard(ins: Avals, out: ShapedArray, at: Axes, low: Pair, kernel: Pair) -> Ruling | None:
    """It is a sum over examples."""
    return Ruling((3, 3), SUM) if 3 in at else None


CONV_ROWS_KERNEL = Primitive(
    "conv_rows_kernel",
    _kernel,
    _kernel_aval,
    linear="each",
    flops=_kernel_flops,
    calls=lambda ins, out, **params: _calls(out.shape[-1], (*ins, out)),
    shard=_kernel_shard,
)
"""`conv_rows_kernel[low, kernel]`: of an image `(H, C, W, N)` and what weights the results of its convolution
`(h, O, w, N)`, the sums `(C, O, kh, kw)` for each place in the kernel."""
