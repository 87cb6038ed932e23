"""Decompositions of `scipy.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.lax.linalg as _lax
from funcgrad.errors import ShapeError, UnsupportedFunctionError
from funcgrad.lax._linalg import unitary_factor
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.ops.decompose import EIG, EIGVALS, QR
from funcgrad.ops.linalg import CHOLESKY, SOLVE, from_triangle, transpose_conj
from funcgrad.ops.similar import COMPLEX_SCHUR, HESSENBERG, SCHUR
from funcgrad.ops.spectral import EIGH, EIGVALSH, SVD, SVDVALS
from funcgrad.ops.triangular import COLUMN_ORDER, TRIANGULAR_SOLVE
from funcgrad.scipy._linalg_equations import matrix

__all__ = [
    "diagsvd",
    "eig",
    "eigh",
    "eigh_tridiagonal",
    "eigvals",
    "eigvalsh",
    "eigvalsh_tridiagonal",
    "hessenberg",
    "orthogonal_procrustes",
    "polar",
    "qr",
    "qr_multiply",
    "rq",
    "rsf2csf",
    "schur",
    "svd",
    "svdvals",
]


# ------------------------------------------------------------------------------------------------------ QR and its kin


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """Q with orthonormal columns and upper triangular R in a = Q R, of matrices of shape (..., M, N).

    Args:
        a: the matrices.
        mode: "full", "economic" (min(M, N) columns in Q), or "r" for (R,) alone.
        pivoting: a[:, P] = Q R for an order P of the columns, which comes last (int32).
        overwrite_a, lwork, check_finite: without meaning here.

    Raises:
        UnsupportedFunctionError: mode "raw".

    >>> qr(np.array([[3.0], [4.0]]), mode="r")[0]
    array([[-5.],
           [ 0.]])
    """
    a = matrix(a, "qr", square=False)
    if mode == "raw":
        raise UnsupportedFunctionError("qr: mode 'raw' is not offered; use 'full', 'economic' or 'r'")
    if mode not in ("full", "economic", "r"):
        raise ValueError(f"qr: mode must be 'full', 'economic' or 'r', got {mode!r}")
    order = ()
    if pivoting:
        order = (COLUMN_ORDER.bind(a),)
        a = np.take_along_axis(a, np.expand_dims(order[0], -2), axis=-1)
    q, r = QR.bind(a, complete=mode != "economic")
    return (r, *order) if mode == "r" else (q, r, *order)


def qr_multiply(
    a: Any,
    c: Any,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Any, ...]:
    """c Q (`mode` "right") or Q c ("left"), and R, for the economic a = Q R; with `pivoting` the order of columns, too.

    With `conjugate` Q is conjugated. A vector c stays one.

    >>> qr_multiply(np.array([[3.0], [4.0]]), np.eye(2))[0]
    array([[-0.6],
           [-0.8]])
    """
    if mode not in ("left", "right"):
        raise ValueError(f"qr_multiply: mode must be 'left' or 'right', got {mode!r}")
    q, *rest = qr(a, mode="economic", pivoting=pivoting)
    c = array_operand(c)
    if conjugate:
        q = np.conjugate(q)
    return (q @ c if mode == "left" else c @ q), *rest


def rq(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", check_finite: bool = True) -> Any:
    """Upper triangular R and Q with orthonormal rows in a = R Q, of matrices of shape (..., M, N).

    `mode` is "full", "economic", or "r" for R alone; the other arguments have no meaning here.

    >>> rq(np.array([[3.0, 4.0]]), mode="economic")[0]
    array([[-5.]])
    """
    a = matrix(a, "rq", square=False)
    if mode not in ("full", "economic", "r"):
        raise ValueError(f"rq: mode must be 'full', 'economic' or 'r', got {mode!r}")
    both = (-2, -1)
    q, r = QR.bind(transpose_conj(np.flip(a, both)), complete=mode != "economic")  # rows from the last to the first
    r = np.flip(transpose_conj(r), both)
    return r if mode == "r" else (r, np.flip(transpose_conj(q), both))


# ------------------------------------------------------------------------------------------------------ singular values


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """U, s (descending), Vᴴ in a = U diag(s) Vᴴ; the values alone without `compute_uv`.

    Unless M = N there is no derivative of U and Vᴴ with `full_matrices`. The last three arguments have no meaning here.

    >>> svd(np.diag([3.0, -4.0]))[1]
    array([4., 3.])
    """
    a = matrix(a, "svd", square=False)
    return tuple(SVD.bind(a, full=bool(full_matrices))) if compute_uv else SVDVALS.bind(a)


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The singular values of matrices, descending.

    >>> svdvals(np.diag([3.0, -4.0]))
    array([4., 3.])
    """
    return SVDVALS.bind(matrix(a, "svdvals", square=False))


def diagsvd(s: Any, M: int, N: int) -> Any:
    """The matrix of shape (M, N) with the singular values `s` on its diagonal.

    >>> diagsvd(np.array([2.0, 1.0]), 2, 3)
    array([[2., 0., 0.],
           [0., 1., 0.]])
    """
    s = array_operand(s)
    if s.ndim != 1 or s.shape[0] != min(M, N):
        raise ShapeError(f"diagsvd: {min(M, N)} values are needed for a matrix of shape {(M, N)}, got shape {s.shape}")
    eye = np.eye(M, N, dtype=s.dtype)
    return eye * np.expand_dims(s, 1 if M <= N else 0)


def polar(
    a: Any, side: str = "right", *, method: str = "qdwh", eps: float | None = None, max_iterations: int | None = None
) -> tuple[Any, Any]:
    """U with orthonormal columns (or rows), Hermitian positive semidefinite P in a = U P, or a = P U (`side` "left").

    The derivative is right where singular values are equal, too; where one is zero there is none of U. `method`, `eps`
    and `max_iterations` make no difference.

    >>> polar(np.diag([2.0, -3.0]))[1].round(12)
    array([[2., 0.],
           [0., 3.]])
    """
    if side not in ("left", "right"):
        raise ValueError(f"polar: side must be 'left' or 'right', got {side!r}")
    a = matrix(a, "polar", square=False)
    u = unitary_factor(a)
    p = transpose_conj(u) @ a if side == "right" else a @ transpose_conj(u)
    return u, (p + transpose_conj(p)) / 2


def orthogonal_procrustes(A: Any, B: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """The unitary R that minimises |A R - B|, for shapes (M, N), and the sum of the singular values of Aᴴ B.

    >>> round(float(orthogonal_procrustes(np.eye(2), 2 * np.eye(2))[1]), 12)
    4.0
    """
    a, b = matrix(A, "orthogonal_procrustes", square=False), matrix(B, "orthogonal_procrustes", square=False)
    product = transpose_conj(a) @ b
    return unitary_factor(product), np.sum(SVDVALS.bind(product), axis=-1)


# -------------------------------------------------------------------------------------------------------- eigenvalues


def eig(
    a: Any,
    b: Any = None,
    left: bool = False,
    right: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """The eigenvalues w of a v = w v, or of a v = w b v for a regular b; left and right eigenvectors as columns.

    All are complex. Vectors have norm 1, and their largest component is real; so do their derivatives. Raises
    LinAlgError for a singular `b`.

    >>> eig(np.diag([1.0, 2.0]), right=False)
    array([1.+0.j, 2.+0.j])
    """
    if homogeneous_eigvals:
        raise UnsupportedFunctionError("eig: homogeneous_eigvals is not offered; use scipy.linalg.eig on arrays")
    a = matrix(a, "eig")
    if b is None:
        return _as_wanted(_lax.eig(a, compute_left_eigenvectors=left, compute_right_eigenvectors=right))
    b = matrix(b, "eig")
    found = [*EIG.bind(SOLVE.bind(b, a))] if right or not left else [EIGVALS.bind(SOLVE.bind(b, a))]
    if not right:
        found = found[:1]
    if left:  # uᴴ a = w uᴴ b, so that bᴴ u is a left eigenvector of b⁻¹ a
        _, u = _lax.eig(SOLVE.bind(b, a), compute_right_eigenvectors=False)
        u = SOLVE.bind(transpose_conj(b), u)
        found.insert(1, u / np.linalg.norm(u, axis=-2, keepdims=True))
    return _as_wanted(found)


def _as_wanted(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else tuple(found)


def eigvals(
    a: Any,
    b: Any = None,
    overwrite_a: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """The eigenvalues of a v = w v, or of a v = w b v for a regular b; always complex.

    >>> eigvals(np.diag([1.0, 2.0]))
    array([1.+0.j, 2.+0.j])
    """
    return eig(a, b, right=False, homogeneous_eigvals=homogeneous_eigvals)


def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: Any = None,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """The eigenvalues (ascending) and eigenvectors (columns) of Hermitian matrices, of which one triangle is read.

    Args:
        a: shape (..., M, M).
        b: positive definite matrices for a problem of `type` 1: a v = w b v, 2: a b v = w v, or 3: b a v = w v. Then
            vᴴ b v = 1 (for 3: vᴴ b⁻¹ v = 1).
        lower: which triangle is read of both.
        eigvals_only: leave out the vectors.
        subset_by_index: (first, last) of the values wanted.
        subset_by_value: (low, high) for the values above `low` and up to `high`, of one matrix. How many there are must
            be known: under `jit` they are compiled for each value anew, under `vmap` it raises.
        overwrite_a, overwrite_b, turbo, check_finite, driver: without meaning here.

    Raises:
        LinAlgError: `b` is not positive definite.
        UnsupportedFunctionError: `eigvals`, which SciPy has given up.
        ConcretizationTypeError: the number of values in `subset_by_value` is not known.

    >>> eigh(np.diag([3.0, 2.0]), np.diag([1.0, 2.0]), eigvals_only=True)
    array([1., 3.])
    """
    if eigvals is not None:
        raise UnsupportedFunctionError("eigh: choose by subset_by_index or subset_by_value, or from the results")
    if subset_by_index is not None and subset_by_value is not None:
        raise ValueError("eigh: choose by subset_by_index or by subset_by_value, not by both")
    a, uplo = matrix(a, "eigh"), "L" if lower else "U"
    keep = slice(None) if subset_by_index is None else slice(int(subset_by_index[0]), int(subset_by_index[1]) + 1)
    back: Any = None
    if b is not None:
        if type not in (1, 2, 3):
            raise ValueError(f"eigh: type must be 1, 2 or 3, got {type!r}")
        a, back = _standard(a, matrix(b, "eigh"), bool(lower), type)
        uplo = "L"
    w, v = (EIGVALSH.bind(a, uplo=uplo), None) if eigvals_only else EIGH.bind(a, uplo=uplo)
    if subset_by_value is not None:
        keep = _between(w, subset_by_value)
    if v is None:
        return w[..., keep]
    return w[..., keep], (v if back is None else back(v))[..., keep]


def _between(w: Any, ends: Any) -> slice:
    """Where increasing eigenvalues are above one number and up to another."""
    if w.ndim > 1:
        raise ShapeError(f"eigh: subset_by_value takes one matrix, got eigenvalues of shape {w.shape}")
    values = known(w, "eigh with subset_by_value", "choose by subset_by_index")
    return slice(*np.searchsorted(values, np.asarray(ends, values.dtype), side="right").tolist())


def _standard(a: Any, b: Any, lower: bool, kind: int) -> tuple[Any, Any]:
    """The Hermitian matrix of a problem with two, and the function from its vectors to those of the problem: with
    b = L Lᴴ it is L⁻¹ a L⁻ᴴ or (types 2, 3) Lᴴ a L."""
    low = CHOLESKY.bind(b if lower else transpose_conj(b))
    whole = from_triangle(a, lower)

    def divide(x: Any, transposed: bool = False) -> Any:
        factor = np.conjugate(low) if transposed else low
        return TRIANGULAR_SOLVE.bind(factor, x, lower=True, transposed=transposed, unit=False, strict=True)

    if kind == 1:
        return divide(transpose_conj(divide(whole))), lambda v: divide(v, True)
    middle = transpose_conj(low) @ whole @ low
    return middle, (lambda v: divide(v, True)) if kind == 2 else (lambda v: low @ v)


def eigvalsh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """The eigenvalues of Hermitian matrices, ascending; see `eigh`.

    >>> eigvalsh(np.diag([3.0, 2.0]))
    array([2., 3.])
    """
    return eigh(a, b, lower, True, type=type, subset_by_index=subset_by_index, subset_by_value=subset_by_value)


def eigh_tridiagonal(
    d: Any,
    e: Any,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
    tol: float | None = None,
    lapack_driver: str = "auto",
    *,
    key: Any = None,
) -> Any:
    """The eigenvalues and eigenvectors of the real symmetric (Hermitian) tridiagonal matrices with these diagonals.

    Args:
        d: the diagonal, of shape (M,), or (..., M).
        e: the one beside it, of shape (M - 1,).
        eigvals_only: leave out the vectors.
        select: "a" for all values, "i" for those of the indices `select_range` = (first, last), "v" for those above the
            first and up to the second number of `select_range`; how many these are must be known, of one matrix.
        check_finite, tol, lapack_driver, key: without meaning here.

    The work is that for a full matrix.

    >>> eigh_tridiagonal(np.array([2.0, 2.0]), np.array([1.0]), eigvals_only=True)
    array([1., 3.])
    """
    if select not in ("a", "i", "v"):
        raise ValueError(f"eigh_tridiagonal: select must be 'a', 'i' or 'v', got {select!r}")
    d, e = array_operand(d), array_operand(e)
    n = d.shape[-1]
    if e.shape[-1] != max(n - 1, 0):
        raise ShapeError(f"eigh_tridiagonal: diagonals of shapes {d.shape} and {e.shape} do not fit each other")
    beside = np.concatenate([e, np.zeros((*e.shape[:-1], 1), e.dtype)], axis=-1)[..., :n]
    a = np.expand_dims(d, -1) * np.eye(n) + np.swapaxes(np.expand_dims(beside, -1) * np.eye(n, k=1), -1, -2)
    a = a.astype(np.result_type(d.dtype, e.dtype) if np.result_type(d.dtype, e.dtype).kind in "fc" else float)
    chosen = {} if select == "a" else {"subset_by_index" if select == "i" else "subset_by_value": select_range}
    return eigh(a, eigvals_only=eigvals_only, **chosen)


def eigvalsh_tridiagonal(
    d: Any,
    e: Any,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
    tol: float = 0.0,
    lapack_driver: str = "auto",
) -> Any:
    """The eigenvalues of tridiagonal matrices; see `eigh_tridiagonal`.

    >>> eigvalsh_tridiagonal(np.array([2.0, 2.0]), np.array([1.0]))
    array([1., 3.])
    """
    return eigh_tridiagonal(d, e, True, select, select_range)


# --------------------------------------------------------------------------------------------------- similar matrices


def schur(
    a: Any,
    output: str = "real",
    lwork: Any = None,
    overwrite_a: bool = False,
    sort: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """T and Z in a = Z T Zᴴ: T is upper triangular, or for a real `a` with `output` "real" has blocks of two.

    It needs SciPy, and has no derivative.

    >>> schur(np.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    array([[1., 2.],
           [0., 3.]])
    """
    if sort is not None:
        raise UnsupportedFunctionError("schur: sort is not offered; use scipy.linalg.schur on arrays")
    if output not in ("real", "complex", "r", "c"):
        raise ValueError(f"schur: output must be 'real' or 'complex', got {output!r}")
    a = matrix(a, "schur")
    t, z = SCHUR.bind(a, output="complex" if a.dtype.kind == "c" or output[0] == "c" else "real")
    return t, z


def rsf2csf(T: Any, Z: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """The triangular factor, and the unitary one, of which T and Z are what `schur` gives with `output="real"`.

    It needs SciPy, and has no derivative.

    >>> rsf2csf(np.array([[1.0, 2.0], [0.0, 3.0]]), np.eye(2))[0].real
    array([[1., 2.],
           [0., 3.]])
    """
    t, z = COMPLEX_SCHUR.bind(matrix(T, "rsf2csf"), matrix(Z, "rsf2csf"))
    return t, z


def hessenberg(a: Any, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """H in a = Q H Qᴴ, which is zero below the first subdiagonal, and with `calc_q` Q.

    It needs SciPy, and has no derivative.

    >>> hessenberg(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [3., 4.]])
    """
    a = matrix(a, "hessenberg")
    packed, taus = HESSENBERG.bind(a)
    h = np.triu(packed, -1)
    if not calc_q:
        return h
    n = a.shape[-1]
    q = np.zeros(a.shape, a.dtype) + np.eye(n, dtype=a.dtype)
    if n < 2:
        return h, q
    inner = _lax.householder_product(packed[..., 1:, :-1], taus)
    below = np.concatenate([np.zeros((*a.shape[:-2], n - 1, 1), a.dtype), inner], axis=-1)
    return h, np.concatenate([q[..., :1, :], below], axis=-2)
