"""`numpy.linalg` for traced values: the functions, signatures and results of NumPy's module.

All work on stacks of matrices, in the last two dimensions. Integers are computed in float64;
float16 is not supported. On plain arrays each function is NumPy's own, but for `cholesky`, `eigh` and
`eigvalsh`, which take the Hermitian part first, as those of JAX do (`symmetrize_input=False` is
NumPy's way). What differs on traced values is said where it does: `eig` and `eigvals` are always
complex, `lstsq` always returns residuals where M > N, and `qr` has no mode 'raw'.

>>> from funcgrad import grad
>>> grad(np.linalg.det)(np.array([[1.0, 2.0], [2.0, 4.0]]))
array([[ 4., -2.],
       [-2.,  1.]])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad._array import returning_arrays, wrap
from funcgrad.core import Tracer
from funcgrad.errors import UnsupportedFunctionError
from funcgrad.numpy._dispatch import array_operand, implements
from funcgrad.numpy._linalg_keywords import with_keywords
from funcgrad.numpy._norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from funcgrad.numpy._plain import like
from funcgrad.numpy._products import (
    cross,
    diagonal,
    matmul,
    matrix_power,
    matrix_transpose,
    multi_dot,
    outer,
    tensordot,
    trace,
    vecdot,
)
from funcgrad.numpy._shape import axis_index
from funcgrad.ops.decompose import EIG, EIGVALS, PINV, QR
from funcgrad.ops.linalg import (
    CHOLESKY,
    DET,
    INV,
    SLOGDET,
    SOLVE,
    check_matrix,
    conj,
    from_triangle,
    hermitian_part,
    transpose_conj,
)
from funcgrad.ops.spectral import EIGH, EIGVALSH, SVD, SVDVALS
from funcgrad.types import aval_of

if TYPE_CHECKING:
    from numpy.linalg._linalg import EighResult, EigResult, QRResult, SlogdetResult, SVDResult
else:  # NumPy has no public names for the types of its results
    SlogdetResult = type(np.linalg.slogdet(np.eye(1)))
    EigResult = type(np.linalg.eig(np.eye(1)))
    EighResult = type(np.linalg.eigh(np.eye(1)))
    SVDResult = type(np.linalg.svd(np.eye(1)))
    QRResult = type(np.linalg.qr(np.eye(1)))

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]


# ------------------------------------------------------------------------------ equations, inverses


@like(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """The solution x of a x = b.

    Args:
        a: shape (..., M, M).
        b: shape (M,), one vector for all matrices, or (..., M, K).

    Raises:
        LinAlgError: `a` is not square, or singular.

    >>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0]))
    array([1. , 0.5])
    """
    a, b = array_operand(a), array_operand(b)
    check_matrix(aval_of(a), name="solve")
    if b.ndim != 1:
        return SOLVE.bind(a, b)
    x = SOLVE.bind(a, np.reshape(b, (-1, 1)))
    return np.reshape(x, x.shape[:-1])


@like(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse of matrices of shape (..., M, M). Raises LinAlgError if one is singular.

    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return INV.bind(array_operand(a))


@like(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """The Moore-Penrose pseudoinverse, of shape (..., N, M) for `a` of shape (..., M, N).

    Args:
        a: the matrices.
        rcond: singular values up to this times the largest one count as zero, per matrix; 1e-15 by
            default.
        hermitian: the matrices are Hermitian, and only their lower triangles are read.
        rtol: the same as `rcond`, but None stands for max(M, N) times the machine precision.

    The derivative is that at constant rank. Raises ValueError if both `rcond` and `rtol` are given.

    >>> pinv(np.array([[2.0], [0.0]]))
    array([[0.5, 0. ]])
    """
    a = array_operand(a)
    if rcond is not None and rtol is not np._NoValue:
        raise ValueError("pinv: `rtol` and `rcond` cannot both be given")
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else _precision(a) if rtol is None else rtol
    check_matrix(aval_of(a), square=hermitian, name="pinv")
    if hermitian:
        a = from_triangle(a)
    return PINV.bind(a, array_operand(rcond))


def _precision(a: Any) -> float:
    dtype = a.dtype if a.dtype.kind in "fc" else np.float64
    return float(max(a.shape[-2:]) * np.finfo(dtype).eps)


def lstsq(a: Any, b: Any, rcond: float | None = None, *, numpy_resid: bool = True) -> tuple[Any, Any, Any, Any]:
    """The x of least norm that minimises |b - a x|.

    Args:
        a: shape (M, N).
        b: shape (M,) or (M, K).
        rcond: singular values up to this times the largest one count as zero; by default max(M, N)
            times the machine precision, which itself is what -1 stands for.
        numpy_resid: False for residuals of shape (1,) or (K,) always, also on plain arrays.

    Returns:
        x of shape (N,) or (N, K); the sums of squared residuals, of shape (1,) or (K,), or (0,)
        where M <= N; the rank of `a`; its singular values. NumPy gives no residuals for a rank less
        than N: here they are given then too, so that no shape depends on values.

    Raises:
        LinAlgError: `a` or `b` has other dimensions than these.

    >>> x, residuals, rank, s = lstsq(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]))
    >>> x, residuals
    (array([2.]), array([2.]))
    """
    a, b = array_operand(a), array_operand(b)
    x, residuals, rank, s = solved_by_least_squares(a, b, rcond)
    if numpy_resid:
        return x, residuals, rank, s
    left = b - a @ x
    return x, np.reshape(np.real(np.sum(left * conj(left), axis=0)), (-1,)), rank, s


def solved_by_least_squares(a: Any, b: Any, rcond: float | None) -> tuple[Any, Any, Any, Any]:
    """`numpy.linalg.lstsq`, without what LAPACK prints for a matrix that is not finite before NumPy raises."""
    if not issubclass(type(a), Tracer) and not np.isfinite(a).all():
        raise LinAlgError("lstsq: SVD did not converge in Linear Least Squares, since the matrix has NaN or infinity")
    return np.linalg.lstsq(a, b, rcond)


@implements(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Any, Any, Any, Any]:
    a, b = array_operand(a), array_operand(b)
    columns = np.reshape(b, (-1, 1)) if b.ndim == 1 else b
    if a.ndim != 2 or columns.ndim != 2 or a.shape[0] != columns.shape[0]:
        raise LinAlgError(f"lstsq: shapes {a.shape} and {b.shape} do not fit; (M, N) and (M,) or (M, K) do")
    m, n = a.shape
    kinds = [x.dtype if x.dtype.kind in "fc" else np.dtype(np.float64) for x in (a, columns)]
    if a.dtype != (kind := np.result_type(*kinds)):  # singular values are found in the precision of the result
        a = a.astype(kind)
    if rcond is None:
        rcond = _precision(a)
    elif not 0 < rcond < 1:  # as LAPACK does
        rcond = _precision(a) / max(m, n)
    x = PINV.bind(a, np.float64(rcond)) @ columns
    s = SVDVALS.bind(a)
    rank = np.sum(s > rcond * s[:1]).astype(np.int32)
    if m > n:
        left = columns - a @ x
        squares = left * conj(left)
        residuals = np.real(np.sum(squares, axis=0))
    else:
        residuals = np.zeros(0, s.dtype)
    return np.reshape(x, (n,)) if b.ndim == 1 else x, residuals, rank, s


@like(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """The x for which `tensordot(a, x, x.ndim)` is `b`; `axes` of `a` are moved to its end first.

    Raises LinAlgError unless the other dimensions of `a` multiply to the size of `b`.

    >>> tensorsolve(np.eye(4).reshape(2, 2, 4), np.ones((2, 2)))
    array([1., 1., 1., 1.])
    """
    a, b = array_operand(a), array_operand(b)
    if axes is not None:
        last = [axis_index(i, a.ndim) for i in axes]
        a = np.transpose(a, [i for i in range(a.ndim) if i not in last] + last)
    shape = a.shape[b.ndim :]
    n = math.prod(shape)
    if n * n != math.prod(a.shape):
        raise LinAlgError(f"tensorsolve: {a.shape} is no square matrix for a right-hand side of shape {b.shape}")
    return np.reshape(solve(np.reshape(a, (n, n)), np.ravel(b)), shape)


@like(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of `a` as the linear map `x -> tensordot(a, x, a.ndim - ind)`.

    Raises ValueError unless `ind` is positive, and LinAlgError unless the first `ind` dimensions of
    `a` multiply to the same number as the others.

    >>> tensorinv(np.eye(4).reshape(2, 2, 4)).shape
    (4, 2, 2)
    """
    a = array_operand(a)
    if ind <= 0:
        raise ValueError(f"tensorinv: ind must be positive, got {ind}")
    rows, columns = a.shape[:ind], a.shape[ind:]
    return np.reshape(inv(np.reshape(a, (math.prod(rows), -1))), columns + rows)


# ------------------------------------------------------------------------------ numbers of a matrix


@like(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant of matrices of shape (..., M, M).

    Its derivatives are right for singular matrices too.

    >>> round(float(det(np.array([[2.0, 0.0], [0.0, 4.0]]))), 6)
    8.0
    """
    return DET.bind(array_operand(a))


@with_keywords("method")
@like(np.linalg.slogdet)
def slogdet(a: Any) -> SlogdetResult:
    """The sign of the determinant and the logarithm of its size, as `.sign` and `.logabsdet`.

    The sign of a complex determinant is a complex number of modulus 1. At a singular matrix there
    is no derivative: LinAlgError is raised.

    >>> sign, logabsdet = slogdet(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> float(sign), float(logabsdet)
    (-1.0, 0.0)
    """
    return SlogdetResult(*SLOGDET.bind(array_operand(a)))


# ----------------------------------------------------------------------------------- decompositions


def symmetrized(a: Any, name: str) -> Any:
    """The Hermitian parts of square matrices."""
    a = array_operand(a)
    check_matrix(aval_of(a), name=name)
    return hermitian_part(a if a.dtype.kind in "fc" else a.astype(float))


def cholesky(a: Any, /, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    """The Cholesky factor of Hermitian positive definite matrices.

    It is L in a = L Lᴴ, or with `upper` U in a = Uᴴ U.

    Args:
        a: shape (..., M, M).
        upper: which factor.
        symmetrize_input: take the Hermitian part of `a` first, as JAX does: then gradients are Hermitian, too.
            `numpy.linalg.cholesky`, traced or not, reads the lower (`upper`: upper) triangle only, and so does this
            function with False; gradients are then zero in the other one.

    Raises:
        LinAlgError: a matrix is not positive definite, or not square.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
    array([[2., 0.],
           [1., 2.]])
    """
    return np.linalg.cholesky(symmetrized(a, "cholesky") if symmetrize_input else array_operand(a), upper=upper)


@implements(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    a = array_operand(a)
    if not upper:
        return CHOLESKY.bind(a)
    check_matrix(aval_of(a), name="cholesky")
    return transpose_conj(CHOLESKY.bind(transpose_conj(a)))


@like(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and upper triangular R in a = Q R, as `.Q` and `.R`.

    Args:
        a: shape (..., M, N).
        mode: 'reduced' (K = min(M, N) columns in Q), 'complete' (M of them), or 'r' for R alone.

    The derivative needs the leading columns of `a` to be independent; else it is NaN. Where M > N
    the further columns of 'complete' are those that LAPACK's reflections give, and so are their
    derivatives.

    Raises:
        ValueError: another mode.

    >>> qr(np.array([[3.0], [4.0]]), "r")
    array([[-5.]])
    """
    if mode == "raw":
        raise UnsupportedFunctionError("qr: mode 'raw' has no rule; use 'reduced', 'complete' or 'r'")
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr: mode must be 'reduced', 'complete', 'r' or 'raw', got {mode!r}")
    q, r = QR.bind(array_operand(a), complete=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


def _uplo(uplo: str) -> Any:
    if uplo.upper() not in ("L", "U"):
        raise ValueError(f"UPLO must be 'L' or 'U', got {uplo!r}")
    return uplo.upper()


def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """The eigenvalues (ascending) and eigenvectors (columns) of Hermitian matrices.

    Args:
        a: shape (..., M, M).
        UPLO: which triangle is read, 'L' (the default) or 'U'.
        symmetrize_input: take the Hermitian part of `a` first, as JAX does, so that both triangles are read, and
            gradients are Hermitian. `numpy.linalg.eigh`, traced or not, reads one triangle only, and so does this
            function with False; gradients are then zero in the other one.

    Eigenvectors of equal eigenvalues have no derivative: it is NaN. Other vectors have theirs beside them, gradients of
    the subspace that they span are right, and so is `eigvalsh`. Complex eigenvectors are unique up to a phase: a
    tangent has no component along its vector, and only what does not depend on the phase has a gradient.

    >>> eigh(np.array([[3.0, 0.0], [0.0, 2.0]])).eigenvalues
    array([2., 3.])
    """
    return np.linalg.eigh(symmetrized(a, "eigh") if symmetrize_input else array_operand(a), _uplo(UPLO or "L"))


@implements(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> EighResult:
    return EighResult(*EIGH.bind(array_operand(a), uplo=_uplo(UPLO)))


def eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    """The eigenvalues of Hermitian matrices, ascending; see `eigh`.

    >>> eigvalsh(np.array([[3.0, 0.0], [0.0, 2.0]]))
    array([2., 3.])
    """
    return np.linalg.eigvalsh(symmetrized(a, "eigvalsh") if symmetrize_input else array_operand(a), _uplo(UPLO or "L"))


@implements(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return EIGVALSH.bind(array_operand(a), uplo=_uplo(UPLO))


@like(np.linalg.eig)
def eig(a: Any) -> EigResult:
    """The eigenvalues and eigenvectors (columns) of square matrices, in no particular order.

    Traced, both are always complex; NumPy makes them real if all eigenvalues happen to be.
    Eigenvectors have norm 1 and a real largest component, and their derivatives are those of these
    vectors. (JAX gives none for eigenvectors.)

    >>> eig(np.array([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues
    array([0.+1.j, 0.-1.j])
    """
    return EigResult(*EIG.bind(array_operand(a)))


@like(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """The eigenvalues of square matrices, in no particular order; traced, they are always complex.

    >>> eigvals(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    array([0.+1.j, 0.-1.j])
    """
    return EIGVALS.bind(array_operand(a))


@with_keywords("subset_by_index")
@like(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The singular value decomposition a = U diag(S) Vh, as `.U`, `.S` (descending) and `.Vh`.

    Args:
        a: shape (..., M, N).
        full_matrices: U and Vh are square. Unless M = N there is then no derivative of U and Vh:
            pass False.
        compute_uv: False for the singular values alone.
        hermitian: the matrices are Hermitian; only their lower triangles are read, by `eigh`.

    >>> svd(np.array([[3.0, 0.0], [0.0, -4.0]])).S
    array([4., 3.])
    """
    a = array_operand(a)
    if hermitian:
        return _hermitian_svd(a, compute_uv)
    if not compute_uv:
        return SVDVALS.bind(a)
    return SVDResult(*SVD.bind(a, full=bool(full_matrices)))


def _hermitian_svd(a: Any, compute_uv: bool) -> Any:
    """By eigenvalues: their sizes, descending, and their vectors with the signs on the right."""
    if not compute_uv:
        return np.flip(np.sort(np.abs(EIGVALSH.bind(a, uplo="L")), axis=-1), axis=-1)
    w, v = EIGH.bind(a, uplo="L")
    size = np.abs(w)
    order = np.flip(np.argsort(size, axis=-1), axis=-1)
    columns = np.expand_dims(order, -2)
    right = transpose_conj(np.take_along_axis(v * np.expand_dims(np.copysign(1.0, w), -2), columns, axis=-1))
    return SVDResult(np.take_along_axis(v, columns, axis=-1), np.take_along_axis(size, order, axis=-1), right)


@like(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values of matrices of shape (..., M, N), descending.

    >>> svdvals(np.array([[3.0, 0.0], [0.0, -4.0]]))
    array([4., 3.])
    """
    return SVDVALS.bind(array_operand(x))


returning_arrays(globals(), __all__, wrap)


def __dir__() -> list[str]:
    return __all__
