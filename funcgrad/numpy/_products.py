"""Products, traces and diagonals: what needs no decomposition in `numpy.linalg`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

import funcgrad.numpy._contract as _contract
from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._linalg_keywords import with_keywords
from funcgrad.numpy._plain import like
from funcgrad.ops.linalg import INV

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_power",
    "matrix_transpose",
    "multi_dot",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
]


@like(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """The n-th power of square matrices; of their inverses for a negative n.

    Raises LinAlgError unless the matrices are square, and TypeError unless `n` is an integer.

    >>> matrix_power(np.array([[1, 1], [0, 1]]), 5)
    array([[1, 5],
           [0, 1]])
    """
    a = array_operand(a)
    n = operator.index(n)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise LinAlgError(f"matrix_power: the last two dimensions of {a.shape} must be equal")
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    power = INV.bind(a) if n < 0 else a
    result, n = None, abs(n)
    while True:  # over the bits of n
        n, bit = divmod(n, 2)
        if bit:
            result = power if result is None else result @ power
        if n == 0:
            return result
        power = power @ power


@with_keywords("precision")
@like(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any], *, out: None = None) -> Any:
    """The product of several matrices, in the order that takes the fewest multiplications.

    Args:
        arrays: at least two matrices; the first and the last may be vectors.

    Raises:
        ValueError: fewer than two arrays.
        LinAlgError: an array is no matrix.

    >>> multi_dot([np.ones((2, 3)), np.ones((3, 4)), np.ones(4)])
    array([12., 12.])
    """
    xs = [array_operand(x) for x in arrays]
    if len(xs) < 2:
        raise ValueError(f"multi_dot: at least two arrays are needed, got {len(xs)}")
    keep = (() if xs[0].ndim == 1 else xs[0].shape[:1]) + (() if xs[-1].ndim == 1 else xs[-1].shape[1:])
    if xs[0].ndim == 1:
        xs[0] = np.reshape(xs[0], (1, -1))
    if xs[-1].ndim == 1:
        xs[-1] = np.reshape(xs[-1], (-1, 1))
    if any(x.ndim != 2 for x in xs):
        raise LinAlgError(f"multi_dot: shapes {', '.join(str(x.shape) for x in xs)} are not all those of matrices")
    if any(x.shape[1] != y.shape[0] for x, y in pairwise(xs)):
        raise ShapeError(f"multi_dot: shapes {', '.join(str(x.shape) for x in xs)} do not fit each other")
    split = _best_splits([x.shape[0] for x in xs] + [xs[-1].shape[1]])

    def product(i: int, j: int) -> Any:
        return xs[i] if i == j else product(i, split[i, j]) @ product(split[i, j] + 1, j)

    return np.reshape(product(0, len(xs) - 1), keep)


def _best_splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where best to split each product of matrices i to j; matrix k is sizes[k] × sizes[k + 1]."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            ways = ((cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))
            cost[i, j], split[i, j] = min(ways)
    return split


@with_keywords("precision", "preferred_element_type")
@like(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product; as `numpy.matmul`."""
    return _contract.matmul(x1, x2)


@with_keywords("precision", "preferred_element_type")
@like(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over given axes; as `numpy.tensordot`."""
    return _contract.tensordot(x1, x2, axes)


@with_keywords("precision", "preferred_element_type")
@like(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The dot product of vectors along an axis, the first conjugated; as `numpy.vecdot`."""
    return _contract.vecdot(x1, x2, axis=axis)


@like(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """All products of the elements of two vectors.

    Raises ValueError unless both operands have one dimension.
    """
    a, b = array_operand(x1), array_operand(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: both operands must have one dimension, got shapes {a.shape} and {b.shape}")
    return _contract.outer(a, b)


@like(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The vector product of 3-vectors along an axis.

    Raises ValueError for vectors of another size.
    """
    return _contract.cross(x1, x2, axis=axis)


@like(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of the diagonals of the matrices in the last two dimensions.

    >>> float(trace(np.eye(3)))
    3.0
    """
    return np.trace(array_operand(x), offset, -2, -1, dtype)


@like(np.linalg.diagonal, view=True)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two dimensions.

    >>> diagonal(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])
    """
    return np.diagonal(array_operand(x), offset, -2, -1)


@like(np.linalg.matrix_transpose, view=True)
def matrix_transpose(x: Any, /) -> Any:
    """The matrices in the last two dimensions, transposed.

    Raises ValueError for less than two dimensions.
    """
    x = array_operand(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: at least two dimensions are needed, got shape {x.shape}")
    return np.swapaxes(x, -1, -2)
