"""Counting elements in bins. Counts have no derivative; weights and the edges of bins have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._known import known
from funcgrad.ops.index import SCATTER_ADD

__all__ = ["bincount", "digitize", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd"]


def _added(index: Any, weights: Any, n: int) -> Any:
    """The sums of the weights with each index below n."""
    return SCATTER_ADD.bind(weights, index, axes=(0,), shape=(n,))


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each integer occurs, or the sum of its weights.

    With `length` (as in `jax.numpy`) larger integers are left out, and need not be known.
    """
    index = array_operand(x)
    if index.ndim != 1 or index.dtype.kind not in "biu":
        raise TypeError(f"bincount: takes one dimension of integers, got {index.dtype} of shape {index.shape}")
    if length is None:
        value = known(index, "bincount", "give length= with funcgrad.numpy.bincount")
        if value.size and value.min() < 0:
            raise ValueError("bincount: integers must not be negative")
        length = max(int(value.max()) + 1 if value.size else 0, minlength)
    if weights is None:
        given: Any = np.ones(index.shape, np.intp)
    else:
        given = array_operand(weights)
        if not np.can_cast(given.dtype, np.float64, "safe"):
            raise TypeError(f"bincount: weights of {given.dtype} cannot be cast safely to float64")
        given = given.astype(np.float64)
        if given.shape != index.shape:
            raise ValueError(f"bincount: weights of shape {given.shape} for integers of shape {index.shape}")
    inside = np.logical_and(index >= 0, index < length)
    return _added(np.where(inside, index, length), given, length + 1)[:length]


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin that each element is in: bins[i-1] <= x < bins[i], or with `right` at the other end."""
    edges: Any = array_operand(bins)
    x = array_operand(x)
    if x.dtype.kind == "c":
        raise TypeError("digitize: x may not be complex")
    if edges.ndim != 1:
        raise ValueError(f"digitize: bins must have one dimension, got shape {edges.shape}")
    side = "left" if right else "right"
    value: Any = edges
    if issubclass(type(edges), Tracer):
        value = edges.concrete("bytes")
    if value is None:  # one example or another: all are taken to be monotonic
        if not edges.shape[0]:
            return np.zeros(x.shape, np.intp)
        falling = edges.shape[0] - np.searchsorted(edges[::-1], x, side=side)
        return np.where(edges[-1] >= edges[0], np.searchsorted(edges, x, side=side), falling)
    steps = value[1:] - value[:-1]
    if np.all(steps >= 0):
        return np.searchsorted(edges, x, side=side)
    if np.all(steps <= 0):
        return edges.shape[0] - np.searchsorted(edges[::-1], x, side=side)
    raise ValueError("bins must be monotonically increasing or decreasing")


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of bins: equal ones over the range of the elements, or those that are given."""
    x = np.ravel(a)
    if isinstance(bins, str):
        value = known(x, "histogram_bin_edges", "give the number of bins")
        bins = len(np.histogram_bin_edges(value, bins, range)) - 1
    if np.ndim(bins) == 1:
        return array_operand(bins)
    n = int(bins)
    if n < 1:
        raise ValueError("`bins` must be positive, when an integer")
    if range is not None:
        low, high = range
    elif x.shape[0]:
        low, high = np.min(x), np.max(x)
    else:
        low, high = 0.0, 1.0
    equal = np.equal(low, high)
    low, high = np.where(equal, low - 0.5, low), np.where(equal, high + 0.5, high)
    return np.linspace(low, high, n + 1)


def _bins_of(x: Any, edges: Any) -> tuple[Any, Any]:
    """The bin of each element, and whether it is in one; the last bin has its upper edge."""
    n = edges.shape[0] - 1
    i = np.searchsorted(edges, x, side="right") - 1
    i = np.where(np.equal(x, edges[n]), n - 1, i)
    return i, np.logical_and(i >= 0, i < n)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many elements are in each bin, or the sum of their weights; and the edges of the bins."""
    x = np.ravel(a)
    edges = histogram_bin_edges(a, bins, range, weights)
    counts = _counts(x, None if weights is None else np.ravel(weights), edges)
    return (counts / np.diff(edges) / np.sum(counts) if density else counts), edges


def _counts(x: Any, weights: Any, edges: Any) -> Any:
    n = edges.shape[0] - 1
    index, inside = _bins_of(x, edges)
    given = np.ones(x.shape, np.intp) if weights is None else weights
    return _added(np.where(inside, index, n), given, n + 1)[:n]


@implements(np.histogram2d)
def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Counts in two dimensions, and the edges of the bins in both."""
    if np.ndim(bins) == 1 and not (len(bins) == 2 and not isinstance(bins, str)):
        bins = [bins, bins]
    counts, edges = histogramdd([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]


@implements(np.histogramdd)
def histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Counts in several dimensions, and the edges of the bins in each, of rows of coordinates."""
    columns = list(sample) if isinstance(sample, (list, tuple)) else list(np.atleast_2d(sample).T)
    d = len(columns)
    each: Sequence[Any] = bins if np.ndim(bins) or isinstance(bins, (list, tuple)) else [bins] * d
    if len(each) != d:
        raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    ranges: Sequence[Any] = [None] * d if range is None else range
    edges = [histogram_bin_edges(c, b, r) for c, b, r in zip(columns, each, ranges, strict=True)]
    sizes = [e.shape[0] - 1 for e in edges]
    index, inside = 0, True
    for column, edge, size in zip(columns, edges, sizes, strict=True):
        i, within = _bins_of(column, edge)
        index, inside = index * size + i, np.logical_and(inside, within)
    n = int(np.prod(sizes))
    given = np.ones(columns[0].shape, np.float64) if weights is None else array_operand(weights)
    counts = np.reshape(_added(np.where(inside, index, n), given, n + 1)[:n], sizes)
    if density:
        total = np.sum(counts)
        for axis, edge in enumerate(edges):
            counts = counts / np.reshape(np.diff(edge), [-1 if i == axis else 1 for i, _ in enumerate(sizes)])
        counts = counts / total
    return counts, edges
