"""What NumPy has no functions for, on plain arrays: triangular and tridiagonal equations, LU factors, pivoting.

LAPACK does it where SciPy is installed, which is imported when the first of these functions runs; else NumPy does it,
in blocks. Both work on stacks of matrices. Results are the same but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

__all__ = ["column_order", "lu_factor", "permutation_of", "routines", "solve_triangular", "solve_tridiagonal"]

_BLOCK = 32


@cache
def routines() -> Any:
    """The module `scipy.linalg.lapack`; None without SciPy."""
    try:
        from scipy.linalg import lapack
    except ImportError:
        return None
    return lapack


def _routine(name: str, dtype: np.dtype[Any]) -> Callable[..., Any] | None:
    """LAPACK's routine for this dtype."""
    known = routines()
    return None if known is None else getattr(known, dtype.char.translate(str.maketrans("fdFD", "sdcz")) + name)


def _stacks(*arrays: np.ndarray) -> tuple[tuple[int, ...], list[np.ndarray]]:
    """The leading dimensions of matrices that are broadcast against each other, and the matrices in a row."""
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
    return batch, [np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(math.prod(batch), *x.shape[-2:]) for x in arrays]


# --------------------------------------------------------------------------------------------- triangular equations


def solve_triangular(a: np.ndarray, b: np.ndarray, lower: bool, transposed: bool, unit: bool) -> np.ndarray:
    """X in A X = B, or Aᵀ X = B, of which only one triangle of A is read, with `unit` ones on its diagonal.

    Raises LinAlgError for a zero on the diagonal.
    """
    dtype = np.result_type(a, b)
    n, k = a.shape[-1], b.shape[-1]
    if a.ndim == 2 and b.ndim > 2 and n:  # all right-hand sides at once
        columns = np.moveaxis(b, -2, 0)
        x = solve_triangular(a, columns.reshape(n, -1), lower, transposed, unit)
        return np.moveaxis(x.reshape(columns.shape), 0, -2)
    routine = _routine("trtrs", dtype)
    if routine is None or n == 0 or k == 0:
        if transposed:
            a, lower = np.swapaxes(a, -1, -2), not lower
        return _substitute(_whole(a, lower, unit), b.astype(dtype, copy=False), lower)
    batch, (a, b) = _stacks(a, b)
    out = np.empty(b.shape, dtype)
    for matrix, right, place in zip(a, b, out, strict=True):
        if matrix.flags.c_contiguous:  # its transpose is what Fortran reads
            found, info = routine(matrix.T, right, lower=not lower, trans=not transposed, unitdiag=unit)
        else:
            found, info = routine(matrix, right, lower=lower, trans=transposed, unitdiag=unit)
        if info > 0:
            raise LinAlgError("Singular matrix")
        place[:] = found
    return out.reshape(*batch, n, k)


def _whole(a: np.ndarray, lower: bool, unit: bool) -> np.ndarray:
    """A triangle as a matrix of its own."""
    if not unit:
        return np.tril(a) if lower else np.triu(a)
    return (np.tril(a, -1) if lower else np.triu(a, 1)) + np.eye(a.shape[-1], dtype=a.dtype)


def _substitute(a: np.ndarray, b: np.ndarray, lower: bool) -> np.ndarray:
    """The solution for a triangular matrix, half by half."""
    n = a.shape[-1]
    if n <= _BLOCK:
        return np.linalg.solve(a, b)
    h = n // 2
    first, last = slice(0, h), slice(h, n)
    if not lower:
        first, last = last, first
    x = _substitute(a[..., first, first], b[..., first, :], lower)
    y = _substitute(a[..., last, last], b[..., last, :] - a[..., last, first] @ x, lower)
    return np.concatenate([x, y] if lower else [y, x], axis=-2)


def solve_tridiagonal(low: np.ndarray, d: np.ndarray, up: np.ndarray, b: np.ndarray) -> np.ndarray:
    """X in A X = B for tridiagonal matrices A with the diagonal d; low[0] and up[-1] are not read.

    Raises LinAlgError for a singular matrix.
    """
    dtype = np.result_type(low, d, up, b)
    routine = _routine("gtsv", dtype)
    n, k = b.shape[-2:]
    if routine is None or n < 2 or k == 0:
        return np.linalg.solve(_tridiagonal(low, d, up).astype(dtype), b.astype(dtype, copy=False))
    batch, (low, d, up, b) = _stacks(low[..., None, :], d[..., None, :], up[..., None, :], b)
    out = np.empty(b.shape, dtype)
    for i, place in enumerate(out):
        *_, found, info = routine(low[i, 0, 1:], d[i, 0], up[i, 0, :-1], b[i])
        if info > 0:
            raise LinAlgError("Singular matrix")
        place[:] = found
    return out.reshape(*batch, n, k)


def _tridiagonal(low: np.ndarray, d: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The matrix with these diagonals."""
    n = d.shape[-1]
    shape = np.broadcast_shapes(low.shape, d.shape, up.shape)
    out = np.zeros((*shape, n), np.result_type(low, d, up))
    i = np.arange(n)
    out[..., i, i] = d
    out[..., i[1:], i[:-1]] = low[..., 1:]
    out[..., i[:-1], i[1:]] = up[..., :-1]
    return out


# ------------------------------------------------------------------------------------------------------- LU, pivoting


def lu_factor(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L (below its diagonal of ones) and U of matrices with rows exchanged, in one array; and with which row each one
    was exchanged, in turn."""
    routine = _routine("getrf", a.dtype)
    *_, m, n = a.shape
    batch, (a,) = _stacks(a)
    pivots = np.zeros((len(a), min(m, n)), np.int32)
    if routine is None or min(m, n) == 0:
        out = a.copy()
        _eliminate(out, pivots)
    else:
        out = np.empty_like(a, order="C")
        for i, matrix in enumerate(a):
            out[i], pivots[i], _ = routine(matrix)
    return out.reshape(*batch, m, n), pivots.reshape(*batch, min(m, n))


def _eliminate(a: np.ndarray, pivots: np.ndarray) -> None:
    """Gaussian elimination of a stack of matrices in place, in blocks of columns."""
    stack = np.arange(len(a))
    n, k = a.shape[-1], pivots.shape[-1]
    for begin in range(0, k, _BLOCK):
        end = min(begin + _BLOCK, k)
        for j in range(begin, end):
            below = a[:, j:, j]
            p = j + np.argmax(np.abs(np.real(below)) + np.abs(np.imag(below)), axis=1)
            pivots[:, j] = p
            a[stack, j], a[stack, p] = a[stack, p], a[stack, j]
            pivot = a[:, j, j]
            a[:, j + 1 :, j] /= np.where(pivot == 0, 1, pivot)[:, None]
            a[:, j + 1 :, j + 1 : end] -= a[:, j + 1 :, j, None] * a[:, j, None, j + 1 : end]
        if end < n:
            beside = a[:, begin:end, end:]
            beside[:] = _substitute(_whole(a[:, begin:end, begin:end], True, True), beside, True)
            a[:, end:, end:] -= a[:, end:, begin:end] @ beside


def permutation_of(pivots: np.ndarray, count: int) -> np.ndarray:
    """The order in which `lu_factor` has put the rows of a matrix."""
    batch = pivots.shape[:-1]
    out = np.empty((math.prod(batch), count), np.int32)
    for place, steps in zip(out, pivots.reshape(len(out), pivots.shape[-1]).tolist(), strict=True):
        order = list(range(count))
        for j, p in enumerate(steps):
            order[j], order[p] = order[p], order[j]
        place[:] = order
    return out.reshape(*batch, count)


def column_order(a: np.ndarray) -> np.ndarray:
    """The order of columns in which each is the largest of what those before it leave of it and of the others."""
    routine = _routine("geqp3", a.dtype)
    n = a.shape[-1]
    batch, (a,) = _stacks(a)
    out = np.tile(np.arange(n, dtype=np.int32), (len(a), 1))
    for i, matrix in enumerate(a):
        if 0 in matrix.shape:
            continue
        out[i] = _greedy_order(matrix) if routine is None else routine(matrix)[1] - 1
    return out.reshape(*batch, n)


def _greedy_order(a: np.ndarray) -> np.ndarray:
    """By Gram and Schmidt's method, twice for each column."""
    rest = a.copy()
    order = np.arange(a.shape[1])
    for j in range(min(a.shape)):
        p = j + int(np.argmax(np.linalg.norm(rest[:, j:], axis=0)))
        rest[:, [j, p]] = rest[:, [p, j]]
        order[[j, p]] = order[[p, j]]
        size = np.linalg.norm(rest[:, j])
        if size == 0:
            break
        q = rest[:, j] / size
        for _ in range(2):
            rest[:, j + 1 :] -= np.outer(q, np.conj(q) @ rest[:, j + 1 :])
    return order
