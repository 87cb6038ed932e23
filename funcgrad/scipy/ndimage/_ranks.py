"""Filters that take one element of each window by its rank: minima, maxima, medians, percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy.ndimage._filters import before, chosen, each, extended, over, spread

__all__ = [
    "maximum_filter", "maximum_filter1d", "median_filter", "minimum_filter", "minimum_filter1d", "percentile_filter",
    "rank_filter",
]  # fmt: skip


def _windows(
    name: str,
    input: Any,
    size: Any,
    footprint: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
    ordered: bool = False,
) -> Any:
    """The elements of the window around each element, along a last axis. Sizes are those of the axes in the array's
    order, as in SciPy, or with `ordered` in that in which they are given."""
    x = array_operand(input)
    filtered = chosen(name, x, axes)
    if footprint is None:
        if size is None:
            raise ValueError(f"{name}: no footprint and no size")
        sizes = each(size, len(filtered), "size")
        footprint = np.ones([n for _, n in sorted(zip(filtered, sizes, strict=True))] if ordered else sizes, bool)
    shape = np.asarray(footprint, bool)
    if shape.ndim != len(filtered) or not shape.any():
        among = "" if axes is None else f" and axes {axes}"
        raise ShapeError(f"{name}: a footprint of shape {shape.shape} for an array of shape {x.shape}{among}")
    shape = over(x, shape, filtered)
    origins = spread(origin, filtered, x.ndim, "origin", 0)
    lefts = [before(name, n, o) for n, o in zip(shape.shape, origins, strict=True)]
    mode = mode if isinstance(mode, str) else spread(mode, filtered, x.ndim, "mode", "constant")
    wide = extended(x, [(left, n - 1 - left) for n, left in zip(shape.shape, lefts, strict=True)], mode, cval)
    places = [p for p in product(*map(range, shape.shape)) if shape[p]]
    parts = [wide[tuple(slice(s, s + n) for s, n in zip(p, x.shape, strict=True))] for p in places]
    return np.stack(parts, axis=-1)


def rank_filter(
    input: Any,
    rank: int,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The elements of windows that have this rank: 0 for the least, -1 for the greatest.

    Args:
        input: an array.
        rank: the rank.
        size: of the windows: a number, or one for each axis.
        footprint: in place of `size`, which elements of a window count.
        output: no other than None.
        mode, cval, origin: as in `correlate`.
        axes: the axes of the windows, by default all.

    >>> rank_filter(np.array([1.0, 9.0, 2.0, 3.0]), 1, 3)
    array([1., 2., 3., 3.])
    """
    windows = _windows("rank_filter", input, size, footprint, mode, cval, origin, axes)
    count = windows.shape[-1]
    if not -count <= rank < count:
        raise RuntimeError("rank not within filter footprint size")
    return np.sort(windows, axis=-1)[..., rank]


def percentile_filter(
    input: Any,
    percentile: float,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The percentiles of windows, an element of each; less than 0 counts from the greatest. Else as `rank_filter`.

    >>> percentile_filter(np.array([1.0, 9.0, 2.0, 3.0]), 50, 3)
    array([1., 2., 3., 3.])
    """
    percentile = percentile + 100.0 if percentile < 0 else percentile
    if not 0 <= percentile <= 100:
        raise RuntimeError("invalid percentile")
    windows = _windows("percentile_filter", input, size, footprint, mode, cval, origin, axes)
    count = windows.shape[-1]
    return np.sort(windows, axis=-1)[..., count - 1 if percentile == 100 else int(count * percentile / 100)]


def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The medians of windows (the upper one of an even number); arguments as in `rank_filter`.

    >>> median_filter(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([1., 2., 3., 3.])
    """
    windows = _windows("median_filter", input, size, footprint, mode, cval, origin, axes)
    return np.sort(windows, axis=-1)[..., windows.shape[-1] // 2]


def maximum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The maxima of windows; arguments as in `rank_filter`.

    >>> maximum_filter(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([9., 9., 9., 3.])
    """
    return np.max(_windows("maximum_filter", input, size, footprint, mode, cval, origin, axes, True), axis=-1)


def minimum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: None = None,
    mode: str | Sequence[str] = "reflect",
    cval: Any = 0.0,
    origin: int | Sequence[int] = 0,
    *,
    axes: Any = None,
) -> Any:
    """The minima of windows; arguments as in `rank_filter`.

    >>> minimum_filter(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([1., 1., 2., 2.])
    """
    return np.min(_windows("minimum_filter", input, size, footprint, mode, cval, origin, axes, True), axis=-1)


def maximum_filter1d(
    input: Any, size: int, axis: int = -1, output: None = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """The maxima of windows along an axis.

    >>> maximum_filter1d(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([9., 9., 9., 3.])
    """
    return maximum_filter(input, size, None, output, mode, cval, origin, axes=axis)


def minimum_filter1d(
    input: Any, size: int, axis: int = -1, output: None = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """The minima of windows along an axis.

    >>> minimum_filter1d(np.array([1.0, 9.0, 2.0, 3.0]), 3)
    array([1., 1., 2., 2.])
    """
    return minimum_filter(input, size, None, output, mode, cval, origin, axes=axis)
