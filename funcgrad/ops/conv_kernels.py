"""Convolution in NumPy: what `conv_general_dilated` runs.

The operands are `lhs (N, C, *spatial)` and `rhs (O, C // groups, *kernel)`, in any memory layout. Windows of the input
are copied next to each other (im2col), and one matrix product does the rest. What was measured (one core of a 2.5 GHz
Xeon, OpenBLAS; 32×14×14, 16→32 channels, 5×5, float32), and decided:

- The matrix of windows is made in blocks that stay in the second-level cache: 2.8 ms, against 4.0 ms for the whole
  matrix at once, 4.5 ms for one product per kernel offset, and 11 ms for the product first and the windows added up
  (col2im). The gradient by the input is a convolution too and gains likewise (3.7 ms against 19 ms for col2im).
- Copying is fast where it moves long runs. There are four ways to lay the windows out, and `_choose` takes the one
  with long runs: kernel columns and channels together for many channels, image columns for few (one channel: 0.5 ms
  against 1.4 ms), and the mirror images of both for the gradient by the kernel, which sums over the whole image.
- Dilated inputs (the gradient of a strided convolution) have their zeros left out: outputs are computed in classes, one
  for each remainder, each of which is a convolution with some of the kernel (`_classes`).
- With one channel per group (depthwise) products are elementwise, one per kernel offset.
- BLAS is slow at few features: products with 8, 16, 32, 64 columns reach 36, 62, 82, 98 GFLOP/s. Neighbouring output
  columns are then computed together, as more features of a kernel that is wider by that (`_widened`): more arithmetic,
  in products of a better shape, of windows of which there are fewer.

Results are views in the layout that the products have; elementwise operations keep it, and the next convolution needs
no transposition then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from funcgrad.ops.conv_windows import SLAB, Ints, Job, empty, laid, together, windows

__all__ = ["convolve", "output_sizes"]

_COPYING = 0.1
"""Nanoseconds for an element of a window that is copied."""


def output_sizes(
    size: Sequence[int], kernel: Sequence[int], strides: Ints, padding: Sequence[Ints], base: Ints, dilation: Ints
) -> Ints:
    """How often a (dilated) window fits into the (dilated, padded) input, for each spatial dimension."""
    out: list[int] = []
    for n, k, s, (low, high), b, d in zip(size, kernel, strides, padding, base, dilation, strict=True):
        whole = (n - 1) * b + 1 if n else 0
        room = whole + low + high - ((k - 1) * d + 1 if k else 0)
        out.append(room // s + 1 if room >= 0 else 0)
    return tuple(out)


def convolve(
    lhs: Any,
    rhs: Any,
    strides: Ints,
    padding: tuple[Ints, ...],
    lhs_dilation: Ints,
    rhs_dilation: Ints,
    feature_groups: int = 1,
    batch_groups: int = 1,
    into: Any = None,
) -> Any:
    """The convolution; the result may have any layout in memory.

    It is written into an array `(N, *sizes, O)` if that is given, and returned as a view of it.
    """
    dtype = np.result_type(lhs, rhs)
    if dtype == np.float16:  # has no matrix product in BLAS
        lhs, rhs = lhs.astype(np.float32), rhs.astype(np.float32)
    elif lhs.dtype != rhs.dtype:
        lhs, rhs = lhs.astype(dtype), rhs.astype(dtype)
    sizes = output_sizes(lhs.shape[2:], rhs.shape[2:], strides, padding, lhs_dilation, rhs_dilation)
    groups = feature_groups * batch_groups
    x, w = _grouped(lhs, feature_groups, batch_groups), _kernels(rhs, groups)
    if x.shape[-1] != w.shape[-2] or dtype.kind == "b":
        raise ValueError(f"cannot convolve {lhs.shape} with {rhs.shape} ({dtype}, {groups} groups)")
    shape = (lhs.shape[0] // batch_groups, rhs.shape[0], *sizes)
    if 0 in shape or 0 in x.shape or 0 in w.shape:
        return np.zeros(shape, dtype) if into is None else _zeroed(into)
    y = None
    if into is not None and into.dtype == x.dtype:
        y = laid(into.reshape(*into.shape[:-1], groups, -1), "nsgo", "gnso")
    if all(b == 1 for b in lhs_dilation):
        y = _widened(x, w, Job(strides, rhs_dilation, tuple(low for low, _ in padding), sizes), y)
    else:
        y = empty(groups, shape[0], sizes, w.shape[-1], x.dtype, False) if y is None else y
        for some, kernel, job in _classes(w.shape[1:-2], strides, padding, lhs_dilation, rhs_dilation, sizes):
            part = y[(slice(None), slice(None), *some)]
            if kernel is None:
                part[...] = 0
            elif part.size:
                windows(x, w[(slice(None), *kernel)], job, part)
    ungrouped = laid(y, "gnso", "ngos").reshape(shape)
    if into is not None:
        out = laid(into, "nso", "nos")
        if into.dtype != x.dtype:
            out[...] = ungrouped
        return out
    return ungrouped if ungrouped.dtype == dtype else ungrouped.astype(dtype)


def _zeroed(into: Any) -> Any:
    into[...] = 0
    return laid(into, "nso", "nos")


def _grouped(x: Any, features: int, batches: int) -> Any:
    """`(groups, N, *spatial, C)` of `(N, C, *spatial)`."""
    n, c, *spatial = x.shape
    if batches > 1:
        return laid(x.reshape(batches, n // batches, c, *spatial), "gncs", "gnsc")
    return laid(x.reshape(n, features, c // features, *spatial), "ngcs", "gnsc")


def _kernels(w: Any, groups: int) -> Any:
    """`(groups, *kernel, C, O)` of `(groups * O, C, *kernel)`."""
    o, c, *kernel = w.shape
    return laid(w.reshape(groups, o // groups, c, *kernel), "gock", "gkco")


def _classes(
    kernel: Ints, strides: Ints, padding: Sequence[Ints], base: Ints, dilation: Ints, sizes: Ints
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...] | None, Job]]:
    """For each class of outputs that see the same part of the kernel: which outputs, which part, what to do.

    Output o and kernel element k meet input i where o·stride + k·dilation - low = i·base.
    """
    per_axis: list[list[Any]] = []
    for k, s, (low, _), b, d, n in zip(kernel, strides, padding, base, dilation, sizes, strict=True):
        every, step = b // math.gcd(s, b), b // math.gcd(d, b)
        found: list[Any] = []
        for first in range(min(every, n)):
            hits = [j for j in range(min(step, k)) if (first * s + j * d - low) % b == 0]
            outputs = slice(first, None, every)
            count = -(-(n - first) // every)
            if hits:
                start = (first * s + hits[0] * d - low) // b
                found.append((outputs, slice(hits[0], None, step), every * s // b, step * d // b, -start, count))
            else:
                found.append((outputs, None, 1, 1, 0, count))
        per_axis.append(found)
    for axes in product(*per_axis):
        outputs, parts, *numbers = zip(*axes, strict=True)
        yield outputs, None if None in parts else parts, Job(*numbers)


def _widened(x: Any, w: Any, job: Job, y: Any) -> Any:
    """As `windows`; neighbouring columns of the output, or of the kernel where that is the larger one, together.

    `y`, if it is given, has the layout that rows have.
    """
    kernel, features, sizes = w.shape[1:-2], w.shape[-1], job.sizes
    plain = kernel and x.shape[0] == 1 and job.strides[-1] == job.dilation[-1] == 1 and x.dtype.kind in "fc"
    if not plain:
        return windows(x, w, job, y)
    k, n = kernel[-1], sizes[-1]
    if x.shape[1] * math.prod(sizes) >= x.shape[-1] * math.prod(kernel):
        channels_last = w.strides[-1] == w.itemsize  # as results of rows are, and what comes next will want them
        g = together(k, n, features, _COPYING) if channels_last or k * x.shape[-1] >= SLAB else 1
        wide = _wide_rows(x, w, job, g, y) if g > 1 else None
        return windows(x, w, job, y) if wide is None else wide
    g = together(n, k, features, _COPYING) if n * x.shape[1] >= SLAB else 1
    if g == 1:
        return windows(x, w, job, y)
    split = w.reshape(*w.shape[:-3], k // g, g, *w.shape[-2:]).swapaxes(-3, -2)
    more = job._replace(dilation=(*job.dilation[:-1], g), sizes=(*sizes[:-1], n + g - 1))
    sums = windows(x, split.reshape(*split.shape[:-2], g * features), more, None)
    sums = sums.reshape(*sums.shape[:-1], g, features)
    total = sum((sums[..., j : j + n, j, :] for j in range(1, g)), sums[..., :n, 0, :])
    if y is None:
        return total
    y[...] = total
    return y


def _wide_rows(x: Any, w: Any, job: Job, g: int, y: Any) -> Any:
    """The convolution with g output columns as features of one; None where a value is not finite.

    The wider kernel has zeros beside the other, which are not to meet infinities.
    """
    (k, c, features), sizes = w.shape[-3:], job.sizes
    wide = np.zeros((*w.shape[:-3], k + g - 1, c, g, features), w.dtype)
    for j in range(g):
        wide[..., j : j + k, :, j, :] = w
    more = job._replace(strides=(*job.strides[:-1], g), sizes=(*sizes[:-1], sizes[-1] // g))
    shape = (1, x.shape[1], *more.sizes, g * features)
    y = np.empty(shape, x.dtype) if y is None else y.reshape(shape)
    with np.errstate(invalid="ignore", over="ignore"):
        windows(x, wide.reshape(*wide.shape[:-2], g * features), more, y, True)
        finite = np.isfinite(np.add.reduce(y, axis=None))
    return y.reshape(*y.shape[:2], *sizes, features) if finite else None
