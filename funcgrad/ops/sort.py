"""Order: sorting, the positions of extreme elements, binary search.

Only `sort` has a derivative; it is the permutation that sorts. What returns positions is constant.
NaNs come last, and count as the largest and the smallest element alike, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.ops.rules import constant, declare
from funcgrad.types import ShapedArray, dtype_of, result_dtype, shape_of

__all__ = ["ARGMAX", "ARGMIN", "ARGSORT", "SEARCHSORTED", "SORT"]

_INDEX = np.dtype(np.intp)


def _order(x: Any, axis: int) -> Any:
    """The sorting permutation; stable, so that the derivative does not depend on the algorithm."""
    return np.argsort(x, axis=axis, kind="stable")


def _sort_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axis: int) -> Any:
    return np.take_along_axis(tangents[0], _order(ins[0], axis), axis)


def _sort_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int) -> list[Any]:
    inverse = _order(_order(ins[0], axis), axis)
    return [np.take_along_axis(ct, inverse, axis)]


SORT = declare(
    "sort",
    lambda x, axis: np.sort(x, axis=axis),
    lambda x, axis: ShapedArray(x.shape, x.dtype),
    jvp=_sort_jvp,
    vjp=_sort_vjp,
    along="axis",
)
"""Ascending along `axis` (not negative)."""

ARGSORT = constant(
    "argsort",
    lambda x, axis, stable: np.argsort(x, axis=axis, kind="stable" if stable else None),
    lambda x, axis, stable: ShapedArray(x.shape, _INDEX),
    along="axis",
)
"""The permutation that sorts; with `stable`, equal elements keep their order."""


def _arg_impl(function: Callable[..., Any]) -> Callable[..., Any]:
    def impl(x: Any, axis: int) -> Any:
        return function(x, axis=axis)

    return impl


def _arg_aval(x: ShapedArray, axis: int) -> ShapedArray:
    if x.shape[axis] == 0:
        raise ShapeError(f"no element along axis {axis} of {x.shape}, so that none is extreme")
    return ShapedArray(x.shape[:axis] + x.shape[axis + 1 :], _INDEX)


ARGMAX = constant("argmax", _arg_impl(np.argmax), _arg_aval, along="axis")
ARGMIN = constant("argmin", _arg_impl(np.argmin), _arg_aval, along="axis")


def _searchsorted_aval(a: ShapedArray, v: ShapedArray, side: str) -> ShapedArray:
    if a.ndim != 1:
        raise ShapeError(f"the sorted array must have one dimension, not shape {a.shape}")
    return ShapedArray(v.shape, _INDEX)


SEARCHSORTED = constant("searchsorted", lambda a, v, side: np.searchsorted(a, v, side=side), _searchsorted_aval)
"""Where to insert the elements of `v` into the sorted `a`."""


def _searchsorted_batch(args: Sequence[Any], batched: Sequence[bool], size: int, side: str) -> Any:
    a, v = args
    if not batched[0]:
        return SEARCHSORTED.bind(a, v, side=side)
    # Each row has its own order: count the elements that are smaller.
    v = v if batched[1] else np.broadcast_to(v, (size, *shape_of(v)))
    row = np.reshape(a, (size, *(1,) * (len(shape_of(v)) - 1), shape_of(a)[-1]))
    value = np.expand_dims(v, -1)
    dtype = result_dtype(row, value)
    row, value = row.astype(dtype), value.astype(dtype)
    return np.sum(_before(row, value) if side == "left" else np.logical_not(_before(value, row)), axis=-1)


def _before(a: Any, b: Any) -> Any:
    """Where `a` comes before `b` in NumPy's order: NaN after numbers, complex numbers by their parts.

    (Of complex numbers those come last whose real part is NaN, and before them those whose imaginary part is.)
    """
    if dtype_of(a).kind != "c":
        return (a < b) | ((b != b) & (a == a)) if dtype_of(a).kind == "f" else a < b
    x, y, u, v = np.real(a), np.imag(a), np.real(b), np.imag(b)
    later, alike = (v != v) & (y == y), (x == u) | ((x != x) & (u != u))
    less = np.where(x < u, (y == y) | (v != v), later)
    return np.where((x < u) | (x > u), less, np.where(alike, (y < v) | later, u != u))


SEARCHSORTED.batch = _searchsorted_batch
