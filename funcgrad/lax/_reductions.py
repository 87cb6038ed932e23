"""Reductions, running reductions, sorting and products by the names of `jax.lax`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.control.associative import associative_scan
from funcgrad.errors import ShapeError
from funcgrad.lax._types import no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._reduce import reduction_axes
from funcgrad.numpy._shape import axis_index
from funcgrad.ops.cumulative import CUMMAX, CUMMIN, CUMPROD, CUMSUM
from funcgrad.ops.window import neutral

__all__ = [
    "approx_max_k",
    "approx_min_k",
    "argmax",
    "argmin",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "reduce_and",
    "reduce_max",
    "reduce_min",
    "reduce_or",
    "reduce_prod",
    "reduce_sum",
    "reduce_xor",
    "sort",
    "sort_key_val",
    "top_k",
]


def _over(fun: Callable[..., Any], operand: Any, axes: Sequence[int]) -> Any:
    x = array_operand(operand)
    return fun(x, axis=reduction_axes(tuple(axes), x.ndim)).astype(x.dtype)


def reduce_sum(operand: Any, axes: Sequence[int], *, out_sharding: Any = None) -> Any:
    """The sum over axes, in the dtype of the operand."""
    no_sharding("reduce_sum", out_sharding)
    return _over(np.sum, operand, axes)


def reduce_prod(operand: Any, axes: Sequence[int]) -> Any:
    """The product over axes, in the dtype of the operand."""
    return _over(np.prod, operand, axes)


def _extreme(fun: Callable[..., Any], operand: Any, axes: Sequence[int], largest: bool) -> Any:
    x, axes = array_operand(operand), tuple(axes)
    if math.prod(x.shape[i] for i in reduction_axes(axes, x.ndim)):
        return _over(fun, x, axes)
    kept = [n for i, n in enumerate(x.shape) if i not in reduction_axes(axes, x.ndim)]
    return np.full(kept, neutral(x.dtype, largest), x.dtype)


def reduce_max(operand: Any, axes: Sequence[int]) -> Any:
    """The maximum over axes, the least number of the dtype where there is none; equal ones share the derivative."""
    return _extreme(np.max, operand, axes, True)


def reduce_min(operand: Any, axes: Sequence[int]) -> Any:
    """The minimum over axes, the largest number of the dtype where there is none; equal ones share the derivative."""
    return _extreme(np.min, operand, axes, False)


def _bitwise(ufunc: np.ufunc, logical: Callable[..., Any], operand: Any, axes: Sequence[int]) -> Any:
    x = array_operand(operand)
    if x.dtype.kind == "b":
        return logical(x, axis=reduction_axes(tuple(axes), x.ndim))
    return _halves(ufunc, x, axes)


def _halves(ufunc: Any, x: Any, axes: Sequence[int]) -> Any:
    """Combine halves along each axis until one element is left; NumPy's identity where there is none."""
    for axis in reversed(reduction_axes(tuple(axes), x.ndim)):
        x = np.moveaxis(x, axis, 0)
        if x.shape[0] == 0:
            x = np.full((1, *x.shape[1:]), ufunc.identity).astype(x.dtype)
        while x.shape[0] > 1:
            half, odd = divmod(x.shape[0], 2)
            joined = ufunc(x[:half], x[half : 2 * half])
            x = np.concatenate([joined, x[-1:]]) if odd else joined
        x = x[0]
    return x


def reduce_and(operand: Any, axes: Sequence[int]) -> Any:
    """Whether all are true; of integers, their common bits."""
    return _bitwise(np.bitwise_and, np.all, operand, axes)


def reduce_or(operand: Any, axes: Sequence[int]) -> Any:
    """Whether any is true; of integers, all their bits."""
    return _bitwise(np.bitwise_or, np.any, operand, axes)


def reduce_xor(operand: Any, axes: Sequence[int]) -> Any:
    """Whether an odd number is true; of integers, bit by bit."""
    return _halves(np.bitwise_xor, array_operand(operand), axes)


def _index(fun: Callable[..., Any], name: str, operand: Any, axis: int, dtype: Any) -> Any:
    if np.dtype(dtype).kind not in "iu":
        raise TypeError(f"{name}: index_dtype must be an integer dtype, got {np.dtype(dtype)}")
    return fun(array_operand(operand), axis=operator.index(axis)).astype(dtype)


def argmax(operand: Any, axis: int, index_dtype: Any = np.intp) -> Any:
    """The index of the first maximum along an axis, or of the first NaN."""
    return _index(np.argmax, "argmax", operand, axis, index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any = np.intp) -> Any:
    """The index of the first minimum along an axis, or of the first NaN."""
    return _index(np.argmin, "argmin", operand, axis, index_dtype)


def _running(primitive: Any) -> Callable[..., Any]:
    def run(operand: Any, axis: int, reverse: bool) -> Any:
        x = array_operand(operand)
        return primitive.bind(x, axis=axis_index(axis, x.ndim), reverse=bool(reverse)).astype(x.dtype)

    return run


_cumsum, _cumprod = _running(CUMSUM), _running(CUMPROD)
_cummax, _cummin = _running(CUMMAX), _running(CUMMIN)


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running sums along an axis, from its end with `reverse`.

    >>> cumsum(np.array([1.0, 2.0, 3.0]), reverse=True)
    array([6., 5., 3.])
    """
    return _cumsum(operand, axis, reverse)


def cumprod(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running products along an axis, from its end with `reverse`."""
    return _cumprod(operand, axis, reverse)


def cummax(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running maxima along an axis, from its end with `reverse`."""
    return _cummax(operand, axis, reverse)


def cummin(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running minima along an axis, from its end with `reverse`."""
    return _cummin(operand, axis, reverse)


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Running logarithms of sums of exponentials along an axis, from its end with `reverse`."""
    x = array_operand(operand)
    add = _complex_logaddexp if x.dtype.kind == "c" else np.logaddexp
    return associative_scan(add, x, reverse=reverse, axis=axis_index(axis, x.ndim))


def _complex_logaddexp(a: Any, b: Any) -> Any:
    """The principal value of log(exp(a) + exp(b)); the larger operand where its real part is infinite."""
    first = np.real(a) >= np.real(b)
    high, low = np.where(first, a, b), np.where(first, b, a)
    finite = np.isfinite(np.real(high))
    zero = np.zeros((), high.dtype)
    out = high + np.where(finite, np.log1p(np.exp(np.where(finite, low - np.where(finite, high, zero), zero))), zero)
    turns = np.ceil((np.imag(out) - np.pi) / (2 * np.pi))
    return out - (2j * np.pi) * turns


# ------------------------------------------------------------------------------------------------------------- order


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Ascending along an axis; of a tuple of arrays, the first `num_keys` are keys by which all are sorted.

    >>> sort((np.array([2, 1, 2]), np.array([5.0, 6.0, 4.0])), num_keys=2)
    (array([1, 2, 2]), array([6., 4., 5.]))
    """
    if not isinstance(operand, (tuple, list)):
        return np.sort(array_operand(operand), axis=dimension)
    xs = [array_operand(x) for x in operand]
    if not 1 <= num_keys <= len(xs) or len({x.shape for x in xs}) > 1:
        raise ShapeError(f"sort: {len(xs)} arrays of shapes {[x.shape for x in xs]} with {num_keys} keys")
    axis = axis_index(dimension, xs[0].ndim)
    order = np.lexsort(tuple(xs[num_keys - 1 :: -1] if num_keys > 1 else xs[:1]), axis=axis)
    return tuple(np.take_along_axis(x, order, axis) for x in xs)


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """Keys in ascending order along an axis, and values in the same order."""
    return sort((keys, values), dimension)


def top_k(operand: Any, k: int, *, axis: int = -1) -> tuple[Any, Any]:
    """The `k` largest elements along an axis in descending order, and their indices; of equal ones the first ones.

    The indices are int32, as in JAX.

    >>> top_k(np.array([1.0, 3.0, 2.0]), 2)
    (array([3., 2.]), array([1, 2], dtype=int32))
    """
    x = array_operand(operand)
    axis, k = axis_index(axis, x.ndim), operator.index(k)
    n = x.shape[axis]
    if not 0 <= k <= n:
        raise ShapeError(f"top_k: {k} elements of axis {axis} of {x.shape}")
    # Sorted backwards and read from the end: descending, equal ones in their order, whatever the dtype.
    order = n - 1 - np.argsort(np.flip(x, axis), axis=axis, stable=True)
    first = (*(slice(None),) * axis, slice(n - 1, n - 1 - k if k < n else None, -1) if k else slice(0, 0))
    indices = order[first]
    return np.take_along_axis(x, indices, axis), indices.astype(np.int32)


def approx_max_k(
    operand: Any,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Any, Any]:
    """`top_k` along an axis: exact, so that the recall is 1 and its parameters have no effect.

    >>> approx_max_k(np.array([1.0, 3.0, 2.0]), 2)
    (array([3., 2.]), array([1, 2], dtype=int32))
    """
    return top_k(operand, k, axis=reduction_dimension)


def approx_min_k(
    operand: Any,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Any, Any]:
    """The `k` smallest elements along an axis in ascending order, and their indices; see `approx_max_k`.

    >>> approx_min_k(np.array([1.0, 3.0, 2.0]), 2)
    (array([1., 2.]), array([0, 2], dtype=int32))
    """
    values, indices = top_k(-array_operand(operand), k, axis=reduction_dimension)
    return -values, indices
