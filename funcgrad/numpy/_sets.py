"""Sets: unique elements, and what two arrays have in common.

How many elements there are depends on values, which must be known (as they are while gradients are taken, and under
`jit`), or said in advance: `size=`, with `fill_value=` for what is left over, as in `jax.numpy`. Elements keep their
derivatives: each is that of its first occurrence.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._index import take
from funcgrad.numpy._known import known
from funcgrad.numpy._shape import axis_index

__all__ = ["intersect1d", "isin", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts",
           "unique_inverse", "unique_values"]  # fmt: skip

_REMEDY = "give size= (and fill_value=), the number of elements to return, with funcgrad.numpy.{0}"


class UniqueAll(NamedTuple):
    """As NumPy's result of `unique_all`."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """As NumPy's result of `unique_counts`."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """As NumPy's result of `unique_inverse`."""

    values: Any
    inverse_indices: Any


@implements(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The sorted unique elements of an array (or slices along an axis), and what NumPy gives besides.

    With `size` the shape does not depend on values, so that elements need not be known: missing ones are `fill_value`
    (the smallest, by default), surplus ones are cut.
    """
    x = array_operand(ar)
    if size is not None:
        return _unique_of_size(x, (return_index, return_inverse, return_counts), axis, size, fill_value, equal_nan)
    value = known(x, "unique", _REMEDY.format("unique"))
    _, index, inverse, counts = np.unique(
        value, return_index=True, return_inverse=True, return_counts=True, axis=axis, equal_nan=equal_nan
    )
    values = take(np.ravel(x), index) if axis is None else take(x, index, axis_index(axis, x.ndim))
    more = [v for v, wanted in ((index, return_index), (inverse, return_inverse), (counts, return_counts)) if wanted]
    return (values, *more) if more else values


def _unique_of_size(
    x: Any, wanted: tuple[bool, bool, bool], axis: Any, size: int, fill_value: Any, equal_nan: bool
) -> Any:
    """`unique` of elements, or of slices along an axis, that are not known."""
    slices = np.ravel(x) if axis is None else np.moveaxis(x, axis_index(axis, x.ndim), 0)
    n = slices.shape[0]
    columns = np.reshape(slices, (n, math.prod(slices.shape[1:])))
    if columns.shape[1] == 1:
        order = np.argsort(columns[:, 0], kind="stable")
    else:
        order = np.lexsort(columns.T[::-1]) if columns.shape[1] else np.arange(n)
    ordered = take(columns, order, 0)
    number = np.cumsum(np.concatenate([np.ones(min(n, 1), bool), _differ(ordered, equal_nan)])) - 1
    ends = np.searchsorted(number, np.arange(size + 1))
    starts = ends[:-1]
    present = starts < n
    at = np.where(present, starts, 0)
    fill = ordered[:1] if fill_value is None else np.reshape(array_operand(fill_value).astype(x.dtype), (-1, 1))
    found = np.where(present[:, None], take(ordered, at, 0), fill) if n else np.broadcast_to(fill, (size, 1))
    values = np.reshape(found, (size, *slices.shape[1:]))
    out = [values if axis is None else np.moveaxis(values, 0, axis_index(axis, x.ndim))]
    index, inverse, counts = wanted
    if index:
        out.append(take(order, at))
    if inverse:
        places = take(number, np.argsort(order))
        out.append(np.reshape(places, x.shape) if axis is None and x.ndim != 1 else places)
    if counts:
        out.append(ends[1:] - starts)
    return tuple(out) if len(out) > 1 else out[0]


def _differ(rows: Any, equal_nan: bool) -> Any:
    """Which rows differ from the ones before them."""
    new, old = rows[1:], rows[:-1]
    differ = np.not_equal(new, old)
    if equal_nan and rows.dtype.kind in "fc":
        differ = np.logical_and(differ, np.logical_not(np.logical_and(np.isnan(new), np.isnan(old))))
    return np.any(differ, axis=1)


@implements(np.unique_all)
def unique_all(x: Any) -> UniqueAll:
    """The unique elements, where they are first, which is where, and how often each occurs."""
    return UniqueAll(*unique(x, True, True, True, equal_nan=False))


@implements(np.unique_counts)
def unique_counts(x: Any) -> UniqueCounts:
    """The unique elements and how often each occurs."""
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse(x: Any) -> UniqueInverse:
    """The unique elements and which of them is where."""
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


@implements(np.unique_values)
def unique_values(x: Any) -> Any:
    """The unique elements, in the order in which NumPy gives them."""
    flat = np.ravel(x)
    value = known(flat, "unique_values", _REMEDY.format("unique"))
    ordered, first = np.unique(value, return_index=True, equal_nan=False)
    found = np.unique_values(value)
    order = np.argsort(np.argsort(found, kind="stable"), kind="stable")
    return take(flat, first[order] if len(found) == len(ordered) else first)


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    """Which elements are among others."""
    x, others = array_operand(element), np.ravel(test_elements)
    found = np.any(np.equal(x[..., None], others), axis=-1)
    return np.logical_not(found) if invert else found


@implements(np.intersect1d)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """The sorted elements that two arrays have in common."""
    x = np.ravel(ar1)
    a, b = (known(y, "intersect1d", "mark them with isin instead") for y in (ar1, ar2))
    _, i, j = np.intersect1d(a, b, assume_unique, return_indices=True)
    out = take(x, i).astype(np.result_type(a.dtype, b.dtype))
    return (out, i, j) if return_indices else out


@implements(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    """The sorted unique elements of two arrays."""
    return unique(np.concatenate([np.ravel(ar1), np.ravel(ar2)]))


@implements(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """The elements of one array that are not in the other, sorted and unique unless they are already."""
    x = np.ravel(ar1) if assume_unique else unique(ar1)
    a, b = (known(y, "setdiff1d", "mark them with isin instead") for y in (x, ar2))
    return take(x, np.flatnonzero(np.isin(a, b, assume_unique=True, invert=True)))


@implements(np.setxor1d)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """The sorted elements that only one of two arrays has."""
    x, y = (np.ravel(z) if assume_unique else unique(z) for z in (ar1, ar2))
    both = np.sort(np.concatenate([x, y]))
    value = known(both, "setxor1d", "mark them with isin instead")
    apart = np.concatenate([[True], value[1:] != value[:-1], [True]])
    return take(both, np.flatnonzero(apart[1:] & apart[:-1]))
