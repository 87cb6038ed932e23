"""The functions of `funcgrad.lax.linalg`."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError, UnsupportedFunctionError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy.linalg import symmetrized
from funcgrad.ops.decompose import EIG, EIGVALS, QR
from funcgrad.ops.linalg import CHOLESKY, check_matrix, conj, transpose, transpose_conj
from funcgrad.ops.similar import HESSENBERG, SCHUR, TRIDIAGONAL
from funcgrad.ops.spectral import EIGH, SINGULAR_SUM, SVD, SVDVALS
from funcgrad.ops.triangular import COLUMN_ORDER, LU, PERMUTATION, TRIANGULAR_SOLVE, TRIDIAGONAL_SOLVE
from funcgrad.types import aval_of

__all__ = [
    "EigImplementation",
    "EighImplementation",
    "SvdAlgorithm",
    "cholesky",
    "cholesky_update",
    "eig",
    "eigh",
    "hessenberg",
    "householder_product",
    "lu",
    "lu_pivots_to_permutation",
    "ormqr",
    "qdwh",
    "qr",
    "schur",
    "svd",
    "symmetric_product",
    "triangular_solve",
    "tridiagonal",
    "tridiagonal_solve",
]


class EigImplementation(Enum):
    """Algorithms that `eig` accepts. All stand for LAPACK's."""

    CUSOLVER = "cusolver"
    LAPACK = "lapack"
    MAGMA = "magma"


class EighImplementation(Enum):
    """Algorithms that `eigh` accepts. All stand for LAPACK's."""

    QR = "qr"
    JACOBI = "jacobi"
    QDWH = "qdwh"


class SvdAlgorithm(Enum):
    """Algorithms that `svd` accepts. All stand for LAPACK's."""

    DEFAULT = "default"
    QR = "qr"
    JACOBI = "jacobi"
    POLAR = "polar"


def _inexact(x: Any) -> Any:
    x = array_operand(x)
    return x if x.dtype.kind in "fc" else x.astype(float)


def _whole(name: str, subset_by_index: Any, shape: tuple[int, ...]) -> None:
    if subset_by_index is not None and tuple(subset_by_index) != (0, min(shape[-2:])):
        raise UnsupportedFunctionError(f"{name}: subset_by_index is not offered; slice the result")


# ------------------------------------------------------------------------------------------------------- equations


def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """X in op(A) X = B (`left_side`) or X op(A) = B, of which one triangle of A is read.

    Args:
        a: shape (..., M, M).
        b: shape (..., M, N) with `left_side`, else (..., N, M); or (M,).
        left_side: on which side A stands.
        lower: which triangle is read.
        transpose_a: op(A) is Aᵀ.
        conjugate_a: A is conjugated.
        unit_diagonal: the diagonal is taken to be one, and not read.

    Returns:
        An array like `b`; NaN for matrices with a zero on the diagonal.

    Raises:
        ShapeError: shapes that do not fit.

    >>> triangular_solve(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 3.0]), left_side=True, lower=True)
    array([1., 2.])
    """
    a, b = _inexact(a), _inexact(b)
    if conjugate_a:
        a = conj(a)
    vector = b.ndim == a.ndim - 1
    if vector:
        b = np.expand_dims(b, -1 if left_side else -2)
    side = b.shape[-2 if left_side else -1] if b.ndim >= 2 else None
    if a.ndim < 2 or a.shape[-2] != a.shape[-1] or side != a.shape[-1]:
        want = "(..., M, N)" if left_side else "(..., N, M)"
        raise ShapeError(f"triangular_solve: a must be (..., M, M) and b {want}, got {a.shape} and {b.shape}")
    how = {"lower": bool(lower), "unit": bool(unit_diagonal), "strict": False}
    if left_side:
        x = TRIANGULAR_SOLVE.bind(a, b, transposed=bool(transpose_a), **how)
    else:
        x = transpose(TRIANGULAR_SOLVE.bind(a, transpose(b), transposed=not transpose_a, **how))
    return np.squeeze(x, -1 if left_side else -2) if vector else x


def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool = False) -> Any:
    """X in A X = B for tridiagonal A.

    Args:
        dl: the numbers below the diagonal, of shape (..., M); the first is not read.
        d: those on it, (..., M).
        du: those above it, (..., M); the last is not read.
        b: shape (..., M, N).
        perturb_singular: not offered.

    Raises:
        LinAlgError: A is singular.
        ShapeError: shapes that do not fit.

    >>> one = np.ones(3)
    >>> tridiagonal_solve(one, 2 * one, one, np.array([[3.0], [4.0], [3.0]]))
    array([[1.],
           [1.],
           [1.]])
    """
    if perturb_singular:
        raise UnsupportedFunctionError("tridiagonal_solve: perturb_singular is not offered")
    return TRIDIAGONAL_SOLVE.bind(*map(_inexact, (dl, d, du, b)))


# ------------------------------------------------------------------------------------------------- positive definite


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The lower triangular L with L Lᴴ = A, for Hermitian positive definite A of shape (..., M, M).

    With `symmetrize_input` the mean of the matrix and its conjugate transpose is taken; else only its lower triangle is
    read. Raises LinAlgError for a matrix that is not positive definite.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 2.0]]))
    array([[2., 0.],
           [1., 1.]])
    """
    return CHOLESKY.bind(symmetrized(x, "cholesky") if symmetrize_input else array_operand(x))


def cholesky_update(r_matrix: Any, w_vector: Any) -> Any:
    """The upper triangular factor of Rᵀ R + w wᵀ, for an upper triangular R of shape (M, M) and w of shape (M,).

    >>> cholesky_update(np.array([[3.0]]), np.array([4.0]))
    array([[5.]])
    """
    r, w = _inexact(r_matrix), _inexact(w_vector)
    if r.ndim < 2 or w.shape != r.shape[:-1]:
        raise ShapeError(f"cholesky_update: a matrix (M, M) and a vector (M,) are needed, got {r.shape} and {w.shape}")
    _, factor = QR.bind(np.concatenate([np.triu(r), np.expand_dims(w, -2)], axis=-2), complete=False)
    signs = np.sign(np.diagonal(factor, axis1=-2, axis2=-1))
    return np.expand_dims(signs, -1) * factor


def symmetric_product(
    a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Any:
    """α A Aᵀ + β C, for A of shape (..., M, N) and symmetric C of shape (..., M, M).

    The result is symmetric with and without `symmetrize_output`, without which only its lower triangle counts.

    >>> symmetric_product(np.array([[1.0], [2.0]]), np.zeros((2, 2)))
    array([[1., 2.],
           [2., 4.]])
    """
    a, c = _inexact(a_matrix), _inexact(c_matrix)
    return alpha * (a @ transpose(a)) + beta * (np.tril(c) + transpose(np.tril(c, -1)))


# -------------------------------------------------------------------------------------------------------- factors


def lu(x: Any) -> tuple[Any, Any, Any]:
    """LU factors with rows exchanged, of matrices of shape (..., M, N).

    Returns:
        L (below its diagonal of ones) and U in one array of the shape of `x`; with which row each row was exchanged, in
        turn, of shape (..., K) with K = min(M, N), int32; the order of the rows that this comes to, (..., M).

    >>> factors, pivots, permutation = lu(np.array([[1.0, 2.0], [2.0, 2.0]]))
    >>> factors
    array([[2. , 2. ],
           [0.5, 1. ]])
    >>> pivots, permutation
    (array([1, 1], dtype=int32), array([1, 0], dtype=int32))
    """
    factors, pivots, permutation = LU.bind(_inexact(x))
    return factors, pivots, permutation


def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The order of `permutation_size` rows that the exchanges of `lu`, of shape (..., K), come to; int32.

    >>> lu_pivots_to_permutation(np.array([2, 2]), 3)
    array([2, 0, 1], dtype=int32)
    """
    pivots = array_operand(pivots)
    if pivots.dtype.kind not in "iu" or pivots.ndim < 1:
        raise TypeError(f"lu_pivots_to_permutation: integers in an array are needed, got {aval_of(pivots)}")
    if permutation_size < pivots.shape[-1]:
        raise ShapeError(f"lu_pivots_to_permutation: {permutation_size} rows cannot have {pivots.shape[-1]} pivots")
    return PERMUTATION.bind(pivots, count=int(permutation_size))


def qr(x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: bool | None = None) -> tuple[Any, ...]:
    """Q with orthonormal columns and upper triangular R in A = Q R, of matrices of shape (..., M, N).

    With `pivoting` the columns of A are put in an order first, which comes third (int32). `use_magma` has no meaning
    here.

    >>> qr(np.array([[3.0], [4.0]]), full_matrices=False)[1]
    array([[-5.]])
    """
    a = _inexact(x)
    if not pivoting:
        return tuple(QR.bind(a, complete=bool(full_matrices)))
    order = COLUMN_ORDER.bind(a)
    q, r = QR.bind(np.take_along_axis(a, np.expand_dims(order, -2), axis=-1), complete=bool(full_matrices))
    return q, r, order


def _reflections(a: Any, taus: Any, name: str) -> tuple[Any, Any]:
    """V and T in H₁ H₂ … = 1 - V T Vᴴ, for reflections Hᵢ = 1 - τᵢ vᵢ vᵢᴴ.

    With the diagonal D of the τᵢ and the part S of Vᴴ V above the diagonal T = (1 + D S)⁻¹ D.
    """
    check_matrix(aval_of(a), square=False, name=name)
    m, k = a.shape[-2], taus.shape[-1]
    if k > min(a.shape[-2:]) or taus.ndim != a.ndim - 1:
        raise ShapeError(f"{name}: factors of shape {taus.shape} do not fit reflections of shape {a.shape}")
    v = np.tril(a[..., :k], -1) + np.eye(m, k, dtype=a.dtype)
    inner = np.expand_dims(taus, -1) * np.triu(transpose_conj(v) @ v, 1)
    diagonal = np.expand_dims(taus, -1) * np.eye(k, dtype=a.dtype)
    return v, TRIANGULAR_SOLVE.bind(inner, diagonal, lower=False, transposed=False, unit=True, strict=False)


def householder_product(a: Any, taus: Any) -> Any:
    """The first columns of a product of reflections 1 - τᵢ vᵢ vᵢᴴ.

    Args:
        a: shape (..., M, N) with M >= N; below its diagonal of ones it has the vᵢ as columns.
        taus: shape (..., K) with K <= N.

    Returns:
        The first N columns of the product, (..., M, N).

    >>> householder_product(np.array([[1.0], [1.0]]), np.array([1.0]))
    array([[ 0.],
           [-1.]])
    """
    a, taus = _inexact(a), _inexact(taus)
    v, t = _reflections(a, taus, "householder_product")
    m, n = a.shape[-2:]
    return np.eye(m, n, dtype=a.dtype) - v @ (t @ transpose_conj(v[..., :n, :]))


def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """Q C or (not `left`) C Q, or with Qᴴ (`transpose`), for a product Q of reflections as in `householder_product`.

    >>> ormqr(np.array([[1.0], [1.0]]), np.array([1.0]), np.eye(2))
    array([[ 0., -1.],
           [-1.,  0.]])
    """
    a, taus, c = _inexact(a), _inexact(taus), _inexact(c)
    v, t = _reflections(a, taus, "ormqr")
    if transpose:
        t = transpose_conj(t)
    if left:
        return c - v @ (t @ (transpose_conj(v) @ c))
    return c - ((c @ v) @ t) @ transpose_conj(v)


# ------------------------------------------------------------------------------------------------------- spectra


def eig(
    x: Any,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
    enable_eigvec_derivs: bool = False,
    implementation: Any = None,
    use_magma: bool | None = None,
) -> list[Any]:
    """The eigenvalues, left and right eigenvectors (as columns, of norm 1) of square matrices, as far as wanted.

    They are always complex, and have derivatives, with and without `enable_eigvec_derivs`; the largest component of a
    vector is real. `implementation` and `use_magma` make no difference.

    >>> eig(np.diag([1.0, 2.0]), compute_left_eigenvectors=False)[0]
    array([1.+0.j, 2.+0.j])
    """
    a = _inexact(x)
    if not (compute_left_eigenvectors or compute_right_eigenvectors):
        return [EIGVALS.bind(a)]
    w, v = EIG.bind(a)
    found = [w]
    if compute_left_eigenvectors:
        left = transpose_conj(np.linalg.inv(v))
        size = np.abs(left)
        place = np.expand_dims(np.argmax(size, axis=-2), -2)
        largest = np.take_along_axis(left, place, axis=-2)
        found.append(left * (conj(largest) / np.abs(largest)) / np.linalg.norm(left, axis=-2, keepdims=True))
    return [*found, v] if compute_right_eigenvectors else found


def eigh(
    x: Any,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: Any = None,
) -> tuple[Any, Any]:
    """The eigenvectors (as columns) of Hermitian matrices, and their eigenvalues in ascending order.

    With `symmetrize_input` the mean of the matrix and its conjugate transpose is taken; else only one triangle is read.
    Eigenvalues are always sorted, and `implementation` makes no difference.

    >>> eigh(np.diag([3.0, 2.0]))[1]
    array([2., 3.])
    """
    a = symmetrized(x, "eigh") if symmetrize_input else _inexact(x)
    _whole("eigh", subset_by_index, a.shape)
    w, v = EIGH.bind(a, uplo="L" if lower else "U")
    return v, w


def svd(
    x: Any,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    algorithm: Any = None,
) -> Any:
    """Left singular vectors, singular values and right singular vectors; the values alone without `compute_uv`.

    With `full_matrices` the vectors have a derivative for square matrices only. `algorithm` makes no difference.

    >>> svd(np.diag([3.0, -4.0]), compute_uv=False)
    array([4., 3.])
    """
    a = _inexact(x)
    check_matrix(aval_of(a), square=False, name="svd")
    _whole("svd", subset_by_index, a.shape)
    return tuple(SVD.bind(a, full=bool(full_matrices))) if compute_uv else SVDVALS.bind(a)


def qdwh(
    x: Any,
    *,
    is_hermitian: bool = False,
    max_iterations: int | None = None,
    eps: float | None = None,
    dynamic_shape: tuple[int, int] | None = None,
) -> tuple[Any, Any, Any, Any]:
    """The polar decomposition A = U H of matrices of shape (M, N), M >= N: U with orthonormal columns, H Hermitian.

    Returns U, H, a number of iterations, which is 1, and True. It is computed from singular values, whatever
    `is_hermitian`, `max_iterations` and `eps` say.

    >>> u, h, _, _ = qdwh(np.diag([2.0, -3.0]))
    >>> h.round(12)
    array([[2., 0.],
           [0., 3.]])
    """
    a = _inexact(x)
    if dynamic_shape is not None:
        raise UnsupportedFunctionError("qdwh: dynamic_shape is not offered; slice the matrix")
    if a.ndim < 2 or a.shape[-2] < a.shape[-1]:
        raise ShapeError(f"qdwh: a matrix (M, N) with M >= N is needed, got shape {a.shape}")
    u = unitary_factor(a)
    h = transpose_conj(u) @ a
    return u, (h + transpose_conj(h)) / 2, 1, True


def unitary_factor(a: Any) -> Any:
    """U Vᴴ of the singular value decomposition A = U S Vᴴ: it has derivatives where singular values are equal, too."""
    ones = np.ones((1, min(a.shape[-2:])), np.finfo(a.dtype).dtype)
    return conj(SINGULAR_SUM.bind(a, ones))


# --------------------------------------------------------------------------------------------------- similar matrices


def schur(
    x: Any, *, compute_schur_vectors: bool = True, sort_eig_vals: bool = False, select_callable: Any = None
) -> tuple[Any, ...]:
    """T and Z in A = Z T Zᴴ, T upper triangular (with blocks of two on the diagonal where A is real); without Z unless
    `compute_schur_vectors`. It needs SciPy, and has no derivative.

    >>> schur(np.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    array([[1., 2.],
           [0., 3.]])
    """
    if sort_eig_vals or select_callable is not None:
        raise UnsupportedFunctionError("schur: eigenvalues are not sorted here; use scipy.linalg.schur on arrays")
    a = _inexact(x)
    t, z = SCHUR.bind(a, output="complex" if a.dtype.kind == "c" else "real")
    return (t, z) if compute_schur_vectors else (t,)


def hessenberg(a: Any) -> tuple[Any, Any]:
    """H in A = Q H Qᴴ, zero below the first subdiagonal, where the reflections of Q are kept; and their factors.

    It needs SciPy, and has no derivative. `householder_product` makes Q of them.

    >>> [x.shape for x in hessenberg(np.eye(3))]
    [(3, 3), (2,)]
    """
    packed, taus = HESSENBERG.bind(_inexact(a))
    return packed, taus


def tridiagonal(a: Any, *, lower: bool = True) -> tuple[Any, Any, Any, Any]:
    """The real tridiagonal T in A = Q T Qᴴ for Hermitian A, of which one triangle is read.

    Returns an array with T and the reflections that make up Q, the diagonal of T, the one beside it, and the factors of
    the reflections. It needs SciPy, and has no derivative.

    >>> tridiagonal(np.diag([1.0, 2.0]))[1]
    array([1., 2.])
    """
    packed, d, e, taus = TRIDIAGONAL.bind(_inexact(a), lower=bool(lower))
    return packed, d, e, taus
