"""The primitives `conv_rows` and `conv_rows_kernel`: convolution of images with rows first and examples last.

The pass `passes.layout` puts them in place of convolutions, and keeps what is between these in that order; how they are
computed, and why this order is the better one, is said in `ops.conv_rows`. All derivatives and batches have been taken
by then, and so they have no rules for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.conv_rows import kernel_gradient, row_convolution
from funcgrad.types import ShapedArray, result_dtype

__all__ = ["CONV_ROWS", "CONV_ROWS_KERNEL"]

Pair = tuple[int, int]


def _convolve(x: Any, w: Any, low: Pair, sizes: Pair, into: Any = None) -> Any:
    if into is None:
        into = np.empty((sizes[0], w.shape[0], sizes[1], x.shape[3]), np.result_type(x, w))
    return row_convolution(x, w, low, into)


def _convolved(x: ShapedArray, w: ShapedArray, low: Pair, sizes: Pair) -> ShapedArray:
    return ShapedArray((sizes[0], w.shape[0], sizes[1], x.shape[3]), result_dtype(x, w))


CONV_ROWS = Primitive("conv_rows", _convolve, _convolved)
"""`conv_rows[low, sizes]`: of an image `(H, C, W, N)` with kernels `(O, C, kh, kw)`, `(h, O, w, N)`; strides are 1.
`low` is how many rows and columns of zeros are put in front, `sizes` is `(h, w)`."""


def _kernel(x: Any, ct: Any, low: Pair, kernel: Pair) -> Any:
    return kernel_gradient(x, ct, low, kernel)


def _kernel_aval(x: ShapedArray, ct: ShapedArray, low: Pair, kernel: Pair) -> ShapedArray:
    return ShapedArray((x.shape[1], ct.shape[1], *kernel), result_dtype(x, ct))


CONV_ROWS_KERNEL = Primitive("conv_rows_kernel", _kernel, _kernel_aval)
"""`conv_rows_kernel[low, kernel]`: of an image `(H, C, W, N)` and what weights the results of its convolution
`(h, O, w, N)`, the sums `(C, O, kh, kw)` for each place in the kernel."""
