"""Products of the windows of an image with kernels, in several ways: what `conv_kernels` brings convolutions to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from funcgrad.scratch import give, take

__all__ = ["SLAB", "Ints", "Job", "empty", "laid", "together", "windows"]

Ints = tuple[int, ...]

_BLOCK = 1 << 19
"""Bytes of windows that are made at once: half of a second-level cache (256 KiB to 1 MiB: within 5 %)."""


def together(k: int, n: int, features: int, copying: float) -> int:
    """How many of n columns (or rows) to compute together, with a kernel of k of them: a divisor of n.

    The time of one, in ns for each element of the kernel across it and channel: arithmetic, at the speed that BLAS has
    with so many features (GFLOP/s of float32 on one core: measured, and fitted), and `copying` a window.
    """

    def time(g: int) -> float:
        speed = 115 * g * features / (g * features + 14)
        return (k + g - 1) * (2 * features / speed + copying / g)

    if features >= _ENOUGH or k == 1:
        return 1
    best = min((g for g in range(1, min(n, 8) + 1) if n % g == 0), key=time)
    return best if time(best) < 0.9 * time(1) else 1


_ENOUGH = 32
"""Features with which BLAS is at its best."""


@cache
def _order(have: str, want: str, ndim: int) -> tuple[int, ...]:
    several = sum(letter in "sk" for letter in have)
    each = (ndim - len(have) + several) // several if several else 0
    at, places = 0, {}
    for letter in have:
        n = each if letter in "sk" else 1
        places[letter] = range(at, at + n)
        at += n
    return tuple(i for letter in want for i in places[letter])


def laid(x: Any, have: str, want: str) -> Any:
    """An array with its axes in another order. The letters stand for groups, n examples, channels, outputs, and for
    several axes each for the spatial ones and those of the kernel."""
    return x.transpose(_order(have, want, x.ndim))


def empty(groups: int, n: int, sizes: Ints, features: int, dtype: Any, planes: bool) -> Any:
    """A result `(groups, N, *sizes, O)`, with the channels of all groups innermost in memory, or the positions."""
    if planes:
        return laid(np.empty((n, groups, features, *sizes), dtype), "ngos", "gnso")
    return laid(np.empty((n, *sizes, groups, features), dtype), "nsgo", "gnso")


class Job(NamedTuple):
    """A convolution of an input that is not dilated: window strides, kernel dilation, zeros in front, output sizes."""

    strides: Ints
    dilation: Ints
    low: Ints
    sizes: Ints


def windows(x: Any, w: Any, job: Job, y: Any, direct: bool = False) -> Any:
    """Convolve `x (groups, N, *spatial, C)` with `w (groups, *kernel, C, O)`; returns `y (groups, N, *sizes, O)`.

    Where `y` is given it may have any layout, unless it is `direct`: then it has the one that rows have.
    """
    groups, n, c = x.shape[0], x.shape[1], x.shape[-1]
    kernel, features = w.shape[1:-2], w.shape[-1]
    if groups > 1 and c == features == 1 and n * math.prod(job.sizes) > math.prod(kernel):
        return _depthwise(x, w, job, y)
    way = "rows" if direct else _choose(x, kernel, job)
    spans = tuple(
        (o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(job.sizes, job.strides, kernel, job.dilation, strict=True)
    )
    seen = _padded(x, job.low, spans, _ORDERS[way])
    if y is None:
        y, direct = empty(groups, n, job.sizes, features, x.dtype, way == "planes"), True
    block = take(2 * _BLOCK)
    _WAYS[way](seen, w, y, job, direct, block)
    give(block)
    return y


def _view(seen: Any, kernel: Ints, job: Job) -> Any:
    """All windows `(groups, N, *sizes, *kernel, C)` of the part of the input that they see, as a view."""
    strides = seen.strides
    steps = [a * s for a, s in zip(strides[2:-1], job.strides, strict=True)]
    taps = [a * d for a, d in zip(strides[2:-1], job.dilation, strict=True)]
    shape = (*seen.shape[:2], *job.sizes, *kernel, seen.shape[-1])
    return as_strided(seen, shape, (*strides[:2], *steps, *taps, strides[-1]), writeable=False)


_ORDERS = {"rows": "nsc", "planes": "ncs", "columns": "csn", "sums": "ncs"}
"""How each way wants the input in memory: n examples, c channels, s positions."""


def _choose(x: Any, kernel: Ints, job: Job) -> str:
    """The way with the longest runs that can be copied at once.

    Runs along channels go on over kernel columns, runs along examples over output columns, where neither is dilated.
    """
    if not kernel:
        return "rows"
    n, c = x.shape[1], x.shape[-1]
    dense_kernel, dense_output = job.dilation[-1] == 1, job.strides[-1] == 1
    spatial_last = x.strides[-2] == x.itemsize and dense_output and dense_kernel
    if n * math.prod(job.sizes) >= c * math.prod(kernel):
        if math.prod(kernel) == 1 and spatial_last:
            return "planes"  # the windows are the image itself
        channels = c * (kernel[-1] if dense_kernel else 1)
        return "planes" if dense_output and channels < min(job.sizes[-1], _SHORT) else "rows"
    if math.prod(job.sizes) == 1 and spatial_last:
        return "sums"
    examples = n * (job.sizes[-1] if dense_output else 1)
    return "sums" if dense_kernel and examples < min(kernel[-1], _SHORT) else "columns"


_SHORT = 16
"""Runs of fewer elements are avoided where there are longer ones."""


def _padded(x: Any, low: Ints, spans: Ints, order: str) -> Any:
    """The part of the input that windows see: `spans` elements from `-low` on, zeros where there is no input."""
    source: list[Any] = []
    target: list[Any] = []
    whole = True
    for n, a, span in zip(x.shape[2:-1], low, spans, strict=True):
        start, stop = max(-a, 0), min(max(span - a, 0), n)
        stop = max(start, stop)
        source.append(slice(start, stop))
        target.append(slice(start + a, stop + a) if stop > start else slice(0, 0))
        whole = whole and stop - start == span
    seen = x[(slice(None), slice(None), *source)]
    if whole and _in_order(seen, order):
        return seen
    groups, n, c = x.shape[0], x.shape[1], x.shape[-1]
    make = np.empty if whole else np.zeros
    if order == "nsc":
        buffer = make((groups, n, *spans, c), x.dtype)
    elif order == "ncs":
        buffer = laid(make((groups, n, c, *spans), x.dtype), "gncs", "gnsc")
    else:
        buffer = laid(make((groups, c, *spans, n), x.dtype), "gcsn", "gnsc")
    buffer[(slice(None), slice(None), *target)] = seen
    return buffer


def _in_order(x: Any, order: str) -> bool:
    """Whether the runs that are to be copied lie together in memory."""
    item = x.itemsize
    inner = {"n": 1, "c": x.ndim - 1, "s": x.ndim - 2}[order[-1]]
    if x.shape[inner] > 1 and x.strides[inner] != item:
        return False
    return order[-1] == "s" or x.ndim == 3 or x.strides[-2] == item * x.shape[inner]


def _blocks(sizes: Sequence[int], unit: int) -> Iterator[tuple[slice, ...]]:
    """Slices of leading axes that hold at most `_BLOCK` bytes where one element of all of them holds `unit`."""
    each = unit * math.prod(sizes[1:])
    step = _BLOCK // max(each, 1)
    if step == 0 and len(sizes) > 1:
        for i in range(sizes[0]):
            for rest in _blocks(sizes[1:], unit):
                yield slice(i, i + 1), *rest
        return
    count = -(-sizes[0] // max(step, 1))
    step = -(-sizes[0] // count)  # blocks of about the same size
    for i in range(0, sizes[0], step):
        yield slice(i, i + step), *(slice(None),) * (len(sizes) - 1)


class _Copier:
    """Copies windows into memory that is used again for each block."""

    __slots__ = ("buffer", "view")

    def __init__(self, view: Any, buffer: Any) -> None:
        usable = buffer[: len(buffer) // view.itemsize * view.itemsize]
        self.view, self.buffer = view, usable.view(view.dtype)

    def __call__(self, block: tuple[slice, ...], *shape: int) -> Any:
        part = self.view[block]
        if part.flags.c_contiguous:  # windows that do not overlap may be there already
            return part.reshape(*part.shape[:1], *shape)
        if self.buffer.size < part.size:
            self.buffer = np.empty(part.size, part.dtype)
        flat = self.buffer[: part.size]
        np.copyto(flat.reshape(part.shape), part)
        return flat.reshape(*part.shape[:1], *shape)


def _rows(seen: Any, w: Any, y: Any, job: Job, direct: bool, buffer: Any) -> None:
    """Windows as rows of (kernel, channels)."""
    kernel, features = w.shape[1:-2], w.shape[-1]
    if kernel and kernel[0] > 1 and job.strides[0] == 1 and math.prod(w.shape[2:-1]) >= SLAB:
        return _row_slabs(seen, w, y, job, direct, buffer)
    view = _view(seen, kernel, job)
    flat = w.reshape(w.shape[0], -1, features)
    copy = _Copier(view, buffer)
    lead = view.shape[: 3 if kernel else 2]
    for block in _blocks(lead, math.prod(view.shape[len(lead) :]) * view.itemsize):
        _multiply(copy(block, -1, flat.shape[1]), flat[block[0]], y[block], direct)


def _row_slabs(seen: Any, w: Any, y: Any, job: Job, direct: bool, buffer: Any) -> None:
    """As `_rows`, but without the first kernel axis, over which products are summed: fewer windows are copied."""
    first, features, height = w.shape[1], w.shape[-1], job.sizes[0]
    view = _view(seen, (1, *w.shape[2:-2]), job._replace(sizes=(seen.shape[2], *job.sizes[1:])))
    flat = w.reshape(w.shape[0], 1, first, -1, features)
    copy = _Copier(view, buffer)
    k, across, step, beside = flat.shape[3], math.prod(job.sizes[1:]), job.dilation[0], seen.shape[2] - height
    row = across * k * view.itemsize
    tile = height if row * seen.shape[2] <= _BLOCK else min(height, max(_BLOCK // row - beside, 2 * beside, 1))
    for some in _blocks(view.shape[:2], row * seen.shape[2]):
        n = len(range(*some[1].indices(view.shape[1])))
        for top in range(0, height, tile):
            bottom = min(top + tile, height)
            slab = copy((*some, slice(top, bottom + beside)), n, (bottom - top + beside) * across, k)
            size = (bottom - top) * across
            part = y[(*some, slice(top, bottom))]
            target = part.reshape(-1, n, size, features) if direct else None
            total = np.matmul(slab[:, :, :size], flat[some[0], :, 0], out=target)
            term = np.empty_like(total)
            for i in range(1, first):
                rows = slice(i * step * across, i * step * across + size)
                np.matmul(slab[:, :, rows], flat[some[0], :, i], out=term)
                np.add(total, term, out=total)
            if not direct:
                part[...] = total.reshape(part.shape)


SLAB = 16
"""The least (kernel columns × channels) whose products are large enough to be summed over kernel rows."""


def _planes(seen: Any, w: Any, y: Any, job: Job, direct: bool, buffer: Any) -> None:
    """Windows as columns, for each example: (channels, kernel) by positions."""
    view = _view(seen, w.shape[1:-2], job)
    flat = laid(w, "gkco", "gock").reshape(w.shape[0], 1, w.shape[-1], -1)
    copy = _Copier(laid(view, "gnskc", "gncks"), buffer)
    y = laid(y, "gnso", "gnos")
    for block in _blocks(view.shape[:2], math.prod(view.shape[2:]) * view.itemsize):
        part = y[block]
        found = copy(block, part.shape[1], flat.shape[-1], math.prod(part.shape[3:]))
        _multiply(flat[block[0]], found, part, direct)


def _columns(seen: Any, w: Any, y: Any, job: Job, direct: bool, buffer: Any) -> None:
    """Windows as columns of all examples; sums over (channels, kernel) block by block."""
    m, features = len(job.sizes), w.shape[-1]
    kernels = laid(w, "gkco", "gcko")
    y = laid(y, "gnso", "gsno")
    if m and job.dilation[0] == 1 and job.sizes[0] > 1 and math.prod(w.shape[1:-2]) >= _LONG:
        return _column_slabs(seen, kernels, y, job, buffer)
    view = _view(seen, w.shape[1:-2], job)
    view = laid(view, "gnskc", "gcksn")
    lead, positions = view.shape[: 2 + min(m, 1)], math.prod(y.shape[1:-1])
    copy = _Copier(view, buffer)
    total = np.zeros((w.shape[0], positions, features), seen.dtype)
    for block in _blocks(lead, math.prod(view.shape[len(lead) :]) * view.itemsize):
        part = kernels[block]
        found = copy(block, -1, positions)
        total[block[0]] += np.matmul(np.swapaxes(found, 1, 2), part.reshape(len(part), -1, features))
    y[...] = total.reshape(y.shape)


def _column_slabs(seen: Any, kernels: Any, y: Any, job: Job, buffer: Any) -> None:
    """As `_columns`, but without the first output axis, whose windows begin further down in the same memory."""
    groups, channels, first = kernels.shape[:3]
    across, positions = math.prod(kernels.shape[3:-1]), math.prod(y.shape[2:-1])
    view = _view(seen, (seen.shape[2], *kernels.shape[3:-1]), job._replace(sizes=(1, *job.sizes[1:])))
    view = laid(view, "gnskc", "gcksn")
    copy = _Copier(view, buffer)
    total = np.zeros((groups, job.sizes[0], positions, kernels.shape[-1]), seen.dtype)
    row = across * positions * view.itemsize
    beside = seen.shape[2] - first
    tile = first if row * seen.shape[2] <= _BLOCK else min(first, max(_BLOCK // row - beside, 2 * beside, 1))
    for g, c in np.ndindex(groups, channels):
        for top in range(0, first, tile):
            bottom = min(top + tile, first)
            some = (slice(g, g + 1), slice(c, c + 1), slice(top, bottom + beside))
            slab = copy(some, -1, positions)[0]
            part = kernels[g, c, top:bottom].reshape(-1, kernels.shape[-1])
            for i, sums in enumerate(total[g]):
                start = i * job.strides[0] * across
                sums += slab[start : start + len(part)].T @ part
    y[...] = total.reshape(y.shape)


_LONG = 128
"""The least number of positions in an image that makes products of one image at a time worth while."""


def _sums(seen: Any, w: Any, y: Any, job: Job, direct: bool, buffer: Any) -> None:
    """As `_columns`, but with windows as rows, one example of the sum after the other."""
    features, m = w.shape[-1], len(job.sizes)
    kernels = laid(w, "gkco", "gcko")
    view = laid(_view(seen, w.shape[1:-2], job), "gnskc", "gncsk" if math.prod(job.sizes) == 1 else "gnsck")
    copy = _Copier(view, buffer)
    positions, channels = math.prod(y.shape[1:-1]), w.shape[-2]
    at = 2 if math.prod(job.sizes) == 1 else 2 + m
    total = np.zeros((w.shape[0], positions, features), seen.dtype)
    for g, c in _blocks((w.shape[0], channels), view.size // w.shape[0] // channels * view.itemsize):
        part = kernels[g, c]
        found = copy((g, *(slice(None),) * (at - 1), c), positions, -1)
        total[g] += np.matmul(found, part.reshape(len(part), -1, features))
    y[...] = total.reshape(y.shape)


_WAYS = {"rows": _rows, "planes": _planes, "columns": _columns, "sums": _sums}


def _multiply(a: Any, b: Any, y: Any, direct: bool) -> None:
    """`a @ b` into `y`, whose axes may be split and (unless `direct`) lie anywhere in memory."""
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    if direct:
        np.matmul(a, b, out=y.reshape(shape))
    else:
        y[...] = np.matmul(a, b).reshape(y.shape)


def _depthwise(x: Any, w: Any, job: Job, y: Any) -> Any:
    """One channel in and one out per group: a sum of elementwise products over kernel offsets."""
    kernel = w.shape[1:-2]
    spans = tuple(
        (o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(job.sizes, job.strides, kernel, job.dilation, strict=True)
    )
    last = laid(x, "gnsc", "nscg")[..., 0, :]  # (N, *spatial, groups)
    seen = _padded(last[None], job.low, spans, "nsc")[0]
    factors = laid(w[..., 0, 0], "gk", "kg")  # (*kernel, groups)
    n, sizes, groups = seen.shape[0], job.sizes, seen.shape[-1]
    if y is None:
        y = empty(groups, n, sizes, 1, x.dtype, False)
    results = laid(y[..., 0], "gns", "nsg")
    term = np.empty((1, *sizes, groups), x.dtype)
    for i in range(n):  # example by example, which stays in the cache
        total = np.zeros((1, *sizes, groups), x.dtype)
        for offset in np.ndindex(*kernel):
            where = tuple(
                slice(k * d, k * d + (o - 1) * s + 1, s)
                for k, d, o, s in zip(offset, job.dilation, sizes, job.strides, strict=True)
            )
            np.multiply(seen[(slice(i, i + 1), *where)], factors[offset], out=term)
            np.add(total, term, out=total)
        results[i : i + 1] = total
    return y
