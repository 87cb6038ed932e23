"""Equations of `scipy.linalg`, and the factors that solve them."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy.linalg import solved_by_least_squares
from funcgrad.ops.linalg import (
    CHOLESKY,
    DET,
    INV,
    SOLVE,
    check_matrix,
    conj,
    from_triangle,
    transpose,
    transpose_conj,
)
from funcgrad.ops.triangular import LU, PERMUTATION, TRIANGULAR_SOLVE, TRIDIAGONAL_SOLVE
from funcgrad.types import aval_of

__all__ = [
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "inv",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "matrix",
    "pinv",
    "pinvh",
    "solve",
    "solve_banded",
    "solve_toeplitz",
    "solve_triangular",
]


def matrix(a: Any, name: str, square: bool = True) -> Any:
    """An operand as floating or complex (square) matrices; raises LinAlgError, in the name of a function."""
    a = array_operand(a)
    check_matrix(aval_of(a), square, name)
    return a if a.dtype.kind in "fc" else a.astype(float)


def _inexact(x: Any) -> Any:
    x = array_operand(x)
    return x if x.dtype.kind in "fc" else x.astype(float)


def _columns(b: Any, n: int, name: str) -> tuple[Any, bool]:
    """Right-hand sides as columns, and whether it was a single vector."""
    b = _inexact(b)
    vector = b.ndim == 1
    b = np.expand_dims(b, -1) if vector else b
    if b.ndim < 2 or b.shape[-2] != n:
        raise ShapeError(f"{name}: {n} equations do not fit right-hand sides of shape {b.shape[: b.ndim - vector]}")
    return b, vector


def _uncolumn(x: Any, vector: bool) -> Any:
    return x[..., 0] if vector else x


def _triangular(a: Any, b: Any, lower: bool, transposed: bool = False, unit: bool = False, strict: bool = True) -> Any:
    return TRIANGULAR_SOLVE.bind(
        a, b, lower=bool(lower), transposed=bool(transposed), unit=bool(unit), strict=bool(strict)
    )


# -------------------------------------------------------------------------------------------------- general equations


def _symmetric(a: Any, lower: bool) -> Any:
    """The symmetric matrices of which one triangle is given, without conjugation."""
    return np.tril(a) + transpose(np.tril(a, -1)) if lower else np.triu(a) + transpose(np.triu(a, 1))


_STRUCTURES = {
    "gen": "general", "sym": "symmetric", "her": "hermitian", "pos": "positive definite",
}  # fmt: skip


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    """The solution x of a x = b, or aᵀ x = b if `transposed`.

    Args:
        a: shape (..., M, M).
        b: shape (M,), one vector for all matrices, or (..., M, K).
        lower: which triangle is read of a symmetric, Hermitian or positive definite matrix; nothing flows to the other.
        assume_a: "general" (or "gen", None), "symmetric" ("sym"), "hermitian" ("her"), "positive definite" ("pos"),
            "diagonal", "tridiagonal", "banded", "lower triangular" or "upper triangular".
        overwrite_a, overwrite_b, debug, check_finite: without meaning here.

    Raises:
        LinAlgError: a matrix is singular, or not positive definite where that is assumed.
        ShapeError: shapes that do not fit.

    >>> solve(np.array([[2.0, np.nan], [1.0, 2.0]]), np.array([3.0, 3.0]), lower=True, assume_a="sym")
    array([1., 1.])
    """
    a = matrix(a, "solve")
    b, vector = _columns(b, a.shape[-1], "solve")
    kind = _STRUCTURES.get(assume_a or "gen", assume_a or "")
    if kind in ("symmetric", "hermitian", "positive definite"):
        if kind == "positive definite":
            if transposed:
                a, lower = transpose(a), not lower
            factor = CHOLESKY.bind(a if lower else transpose_conj(a))
            return _uncolumn(_twice(factor, b), vector)
        a = _symmetric(a, lower) if kind == "symmetric" else from_triangle(a, bool(lower))
    if kind in ("lower triangular", "upper triangular"):
        return _uncolumn(_triangular(a, b, kind[0] == "l", transposed), vector)
    if transposed:
        a = transpose(a)
    if kind in ("diagonal", "tridiagonal"):
        d = np.diagonal(a, axis1=-2, axis2=-1)
        low, up = (np.zeros_like(d),) * 2 if kind == "diagonal" else (_beside(a, -1), _beside(a, 1))
        return _uncolumn(TRIDIAGONAL_SOLVE.bind(low, d, up, b), vector)
    if kind not in ("general", "symmetric", "hermitian", "banded"):
        raise ValueError(f"solve: assume_a={assume_a!r} is not a structure of matrices that is known here")
    return _uncolumn(SOLVE.bind(a, b), vector)


def _beside(a: Any, offset: int) -> Any:
    """The diagonal below or above the first one, with a zero at the end that it lacks."""
    d = np.diagonal(a, offset, -2, -1)
    zero = np.zeros((*d.shape[:-1], 1), a.dtype)
    return np.concatenate([zero, d] if offset < 0 else [d, zero], axis=-1)


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Any:
    """The solution x of op(a) x = b for triangular matrices, of which only that triangle is read.

    Args:
        a: shape (..., M, M).
        b: shape (M,) or (..., M, K).
        trans: 0 or "N" for a itself, 1 or "T" for its transpose, 2 or "C" for its conjugate transpose.
        lower: which triangle is read.
        unit_diagonal: the diagonal is taken to be one, and not read.
        overwrite_b, debug, check_finite: without meaning here.

    Raises:
        LinAlgError: there is a zero on the diagonal.
        ShapeError: shapes that do not fit.

    >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 3.0]), lower=True)
    array([1., 2.])
    """
    a = matrix(a, "solve_triangular")
    b, vector = _columns(b, a.shape[-1], "solve_triangular")
    which = _trans(trans, "solve_triangular")
    x = _triangular(conj(a) if which == 2 else a, b, lower, which > 0, unit_diagonal)
    return _uncolumn(x, vector)


def _trans(trans: Any, name: str) -> int:
    which = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    if which not in (0, 1, 2):
        raise ValueError(f"{name}: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    return int(which)


def solve_banded(
    l_and_u: tuple[int, int],
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """The solution x of a x = b for banded matrices, given by their diagonals.

    Args:
        l_and_u: the numbers of diagonals below and above the first.
        ab: the diagonals as rows, the uppermost first: `ab[u + i - j, j]` is the element (i, j).
        b: shape (M,) or (M, K).
        overwrite_ab, overwrite_b, check_finite: without meaning here.

    One diagonal on each side is solved as such; otherwise the work is that for a full matrix. Raises LinAlgError for a
    singular matrix.

    >>> ab = np.array([[0.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 1.0, 0.0]])
    >>> solve_banded((1, 1), ab, np.array([3.0, 4.0, 3.0])).round(12)
    array([1., 1., 1.])
    """
    below, above = l_and_u
    ab = _inexact(ab)
    if ab.ndim != 2 or ab.shape[0] != below + above + 1:
        raise ShapeError(f"solve_banded: {below} + 1 + {above} diagonals do not fit an array of shape {ab.shape}")
    n = ab.shape[1]
    b, vector = _columns(b, n, "solve_banded")
    if below == above == 1 and n:
        zero = np.zeros(1, ab.dtype)
        low, up = np.concatenate([zero, ab[2, :-1]]), np.concatenate([ab[0, 1:], zero])
        return _uncolumn(TRIDIAGONAL_SOLVE.bind(low, ab[1], up, b), vector)
    a = np.zeros((n, n), ab.dtype)
    for i in range(max(-above, 1 - n), min(below, n - 1) + 1):
        a = a + np.diag(ab[above + i, max(-i, 0) : n - max(i, 0)], -i)
    return _uncolumn(SOLVE.bind(a, b), vector)


def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> Any:
    """The solution x of t x = b for the Toeplitz matrix of a column, or of a tuple of a column and a row.

    The work is that for a full matrix. Raises LinAlgError for a singular one.

    >>> solve_toeplitz(np.array([2.0, 1.0]), np.array([3.0, 3.0]))
    array([1., 1.])
    """
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    c = np.ravel(_inexact(c))
    r = conj(c) if r is None else np.ravel(_inexact(r))
    n = c.shape[0]
    values = np.concatenate([np.flip(r[1:]), c])
    a = values[np.arange(n)[:, None] - np.arange(n) + n - 1]
    b, vector = _columns(b, n, "solve_toeplitz")
    return _uncolumn(SOLVE.bind(a, b), vector)


def inv(
    a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: str | None = None, lower: bool = False
) -> Any:
    """The inverse of matrices of shape (..., M, M); raises LinAlgError if one is singular. `assume_a` as in `solve`.

    >>> inv(np.diag([2.0, 4.0]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    a = matrix(a, "inv")
    if assume_a in (None, "gen", "general"):
        return INV.bind(a)
    return solve(a, np.eye(a.shape[-1], dtype=a.dtype), lower, assume_a=assume_a)


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinant of matrices of shape (..., M, M).

    >>> round(float(det(np.diag([2.0, 4.0]))), 6)
    8.0
    """
    return DET.bind(matrix(a, "det"))


def pinv(
    a: Any,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """The Moore-Penrose pseudoinverse; singular values up to max(atol, rtol · largest) count as zero.

    Args:
        a: shape (..., M, N).
        atol: 0 by default. A positive one needs singular values that are known, as they are while gradients are taken.
        rtol: max(M, N) times the machine precision by default (0 if there is an `atol`).
        return_rank: return the rank, too.

    >>> pinv(np.array([[2.0], [0.0]]))
    array([[0.5, 0. ]])
    """
    a = matrix(a, "pinv", square=False)
    if rtol is None:
        rtol = 0.0 if atol else float(max(a.shape[-2:]) * np.finfo(a.dtype).eps)
    relative: Any = rtol
    if atol:
        from_largest = np.linalg.norm(a, 2, axis=(-2, -1))
        relative = np.maximum(rtol, np.minimum(1.0, atol / from_largest))
    inverse = np.linalg.pinv(a, rcond=relative)
    if not return_rank:
        return inverse
    return inverse, np.linalg.matrix_rank(a, rtol=relative)


def pinvh(
    a: Any, atol: float | None = None, rtol: float | None = None, lower: bool = True, return_rank: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """`pinv` of Hermitian matrices, of which one triangle is read.

    >>> pinvh(np.diag([2.0, 0.0]))
    array([[0.5, 0. ],
           [0. , 0. ]])
    """
    return pinv(from_triangle(matrix(a, "pinvh"), bool(lower)), atol=atol, rtol=rtol, return_rank=return_rank)


def lstsq(
    a: Any,
    b: Any,
    cond: float | None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    lapack_driver: str | None = None,
) -> tuple[Any, Any, Any, Any]:
    """The x of least norm that minimises |b - a x|; residuals, rank and singular values as in `numpy.linalg.lstsq`.

    `cond` is the size, relative to the largest, up to which singular values count as zero (by default the machine
    precision).

    >>> lstsq(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]))[0]
    array([2.])
    """
    a, b = matrix(a, "lstsq", square=False), _inexact(b)
    return solved_by_least_squares(a, b, float(np.finfo(a.dtype).eps) if cond is None else cond)


# -------------------------------------------------------------------------------------------------- Cholesky's factors


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """U in a = Uᴴ U, or with `lower` L in a = L Lᴴ, of which only that triangle of `a` is read.

    Raises LinAlgError for a matrix that is not positive definite.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
    array([[2., 1.],
           [0., 2.]])
    """
    a = matrix(a, "cholesky")
    return CHOLESKY.bind(a) if lower else transpose_conj(CHOLESKY.bind(transpose_conj(a)))


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """What `cho_solve` takes: the factor of `cholesky`, and `lower`. (SciPy's has the other triangle of `a`, too.)

    >>> cho_factor(np.array([[4.0]]))
    (array([[2.]]), False)
    """
    return cholesky(a, lower), bool(lower)


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """The solution x of a x = b, given what `cho_factor` made of a.

    >>> cho_solve(cho_factor(np.array([[4.0]])), np.array([8.0]))
    array([2.])
    """
    c, lower = c_and_lower
    c = matrix(c, "cho_solve")
    b, vector = _columns(b, c.shape[-1], "cho_solve")
    return _uncolumn(_twice(c if lower else transpose_conj(c), b), vector)


def _twice(low: Any, b: Any) -> Any:
    """The solution of L Lᴴ x = b."""
    return _triangular(conj(low), _triangular(low, b, True), True, True)


# ------------------------------------------------------------------------------------------------------- LU factors


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """L (below its diagonal of ones) and U of matrices with rows exchanged, in one array; and with which row each one
    was exchanged, in turn (int32).

    >>> lu_factor(np.array([[1.0, 2.0], [2.0, 2.0]]))[1]
    array([1, 1], dtype=int32)
    """
    factors, pivots, _ = LU.bind(matrix(a, "lu_factor", square=False))
    return factors, pivots


def lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """The solution x of op(a) x = b, given what `lu_factor` made of a; NaN where it is singular. `trans` as in
    `solve_triangular`.

    >>> lu_solve(lu_factor(np.array([[1.0, 2.0], [2.0, 2.0]])), np.array([3.0, 4.0]))
    array([1., 1.])
    """
    factors, pivots = lu_and_piv
    factors = matrix(factors, "lu_solve")
    n = factors.shape[-1]
    b, vector = _columns(b, n, "lu_solve")
    which = _trans(trans, "lu_solve")
    order = PERMUTATION.bind(array_operand(pivots), count=n)
    if which == 0:
        x = _triangular(factors, _in_order(b, order), True, unit=True, strict=False)
        return _uncolumn(_triangular(factors, x, False, strict=False), vector)
    if which == 2:
        factors = conj(factors)
    x = _triangular(factors, b, False, True, strict=False)
    x = _triangular(factors, x, True, True, unit=True, strict=False)
    return _uncolumn(_in_order(x, np.argsort(order, axis=-1)), vector)


def _in_order(x: Any, order: Any) -> Any:
    """Matrices with their rows in this order."""
    batch = np.broadcast_shapes(x.shape[:-2], order.shape[:-1])
    x = np.broadcast_to(x, (*batch, *x.shape[-2:]))
    return np.take_along_axis(x, np.broadcast_to(order, (*batch, order.shape[-1]))[..., None], axis=-2)


def lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True, p_indices: bool = False
) -> tuple[Any, ...]:
    """P, L, U in a = P L U, or P L and U (`permute_l`), or with the rows of L that make up those of P L (`p_indices`).

    >>> p, l, u = lu(np.array([[1.0, 2.0], [2.0, 2.0]]))
    >>> p @ l @ u
    array([[1., 2.],
           [2., 2.]])
    """
    a = matrix(a, "lu", square=False)
    factors, _, order = LU.bind(a)
    m, n = a.shape[-2:]
    k = min(m, n)
    low = np.tril(factors[..., :k], -1) + np.eye(m, k, dtype=a.dtype)
    up = np.triu(factors[..., :k, :])
    back = np.argsort(order, axis=-1)
    if permute_l:
        return _in_order(low, back), up
    if p_indices:
        return back, low, up
    return (np.expand_dims(back, -1) == np.arange(m)).astype(np.finfo(a.dtype).dtype), low, up
