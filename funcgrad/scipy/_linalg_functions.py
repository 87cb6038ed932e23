"""Functions of matrices in `scipy.linalg`, and the equations of Sylvester and Lyapunov."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.ops.decompose import EIG
from funcgrad.ops.linalg import INV, SOLVE, conj, transpose_conj
from funcgrad.ops.matrix_functions import EXPM, LOGM, SQRTM, SYLVESTER, slope
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.scipy._linalg_equations import matrix
from funcgrad.scipy._needs import is_traced

__all__ = [
    "coshm",
    "cosm",
    "expm",
    "expm_frechet",
    "fractional_matrix_power",
    "funm",
    "logm",
    "signm",
    "sinhm",
    "sinm",
    "solve_continuous_lyapunov",
    "solve_discrete_lyapunov",
    "solve_sylvester",
    "sqrtm",
    "tanhm",
    "tanm",
]


# ------------------------------------------------------------------------------------------------------- exponentials


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    """The exponential of square matrices, of shape (..., M, M).

    By Padé's approximation with scaling and squaring (Al-Mohy and Higham, 2009), as often as it takes: `max_squarings`
    makes no difference, nor does `upper_triangular`. SciPy is not needed. Derivatives are exact, of all orders.

    >>> expm(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    return EXPM.bind(matrix(A, "expm"))


def expm_frechet(
    A: Any, E: Any, method: str | None = None, compute_expm: bool = True, check_finite: bool = True
) -> Any:
    """The exponential of A, and its derivative in the direction E; the latter alone without `compute_expm`.

    `method` and `check_finite` make no difference.

    >>> expm_frechet(np.zeros((1, 1)), np.ones((1, 1)), compute_expm=False)
    array([[1.]])
    """
    a, e = matrix(A, "expm_frechet"), matrix(E, "expm_frechet")
    if a.shape != e.shape:
        raise LinAlgError(f"expm_frechet: shapes {a.shape} and {e.shape} differ")
    change = slope(EXPM, a, e)
    return (EXPM.bind(a), change) if compute_expm else change


def _circular(A: Any, name: str) -> tuple[Any, Any, bool]:
    """exp(iA), exp(-iA), and whether A is real."""
    a = matrix(A, name)
    return EXPM.bind(1j * a), EXPM.bind(-1j * a), a.dtype.kind == "f"


def cosm(A: Any) -> Any:
    """The cosine of square matrices.

    >>> cosm(np.zeros((1, 1)))
    array([[1.]])
    """
    forth, back, real = _circular(A, "cosm")
    return np.real(forth) if real else 0.5 * (forth + back)


def sinm(A: Any) -> Any:
    """The sine of square matrices.

    >>> sinm(np.zeros((1, 1)))
    array([[0.]])
    """
    forth, back, real = _circular(A, "sinm")
    return np.imag(forth) if real else -0.5j * (forth - back)


def tanm(A: Any) -> Any:
    """The tangent of square matrices.

    >>> tanm(np.zeros((1, 1)))
    array([[0.]])
    """
    return SOLVE.bind(cosm(A), sinm(A))


def coshm(A: Any) -> Any:
    """The hyperbolic cosine of square matrices.

    >>> coshm(np.zeros((1, 1)))
    array([[1.]])
    """
    a = matrix(A, "coshm")
    return 0.5 * (EXPM.bind(a) + EXPM.bind(-a))


def sinhm(A: Any) -> Any:
    """The hyperbolic sine of square matrices.

    >>> sinhm(np.zeros((1, 1)))
    array([[0.]])
    """
    a = matrix(A, "sinhm")
    return 0.5 * (EXPM.bind(a) - EXPM.bind(-a))


def tanhm(A: Any) -> Any:
    """The hyperbolic tangent of square matrices.

    >>> tanhm(np.zeros((1, 1)))
    array([[0.]])
    """
    return SOLVE.bind(coshm(A), sinhm(A))


# ------------------------------------------------------------------------------------------------- roots, logarithms


def _real_if_plain(x: Any, a: Any) -> Any:
    """A result without imaginary parts of a real matrix as a real one, where its values may decide about its dtype."""
    if is_traced(x) or a.dtype.kind == "c" or np.any(np.imag(x)):
        return x
    return np.real(x).copy()


def sqrtm(A: Any, blocksize: int = 1) -> Any:
    """The principal square root of square matrices. It needs SciPy.

    It is complex unless no value is traced and it happens to be real; take `.real` where it is known to be. There is no
    derivative where A is singular: LinAlgError is raised. `blocksize` makes no difference.

    >>> sqrtm(np.diag([4.0, 9.0]))
    array([[2., 0.],
           [0., 3.]])
    """
    a = matrix(A, "sqrtm")
    return _real_if_plain(SQRTM.bind(a), a)


def logm(A: Any, disp: bool = True) -> Any:
    """The principal logarithm of square matrices. It needs SciPy.

    It is complex unless no value is traced and it happens to be real; take `.real` where it is known to be.

    >>> logm(np.diag([1.0, np.e])).round(12)
    array([[0., 0.],
           [0., 1.]])
    """
    a = matrix(A, "logm")
    x = _real_if_plain(LOGM.bind(a), a)
    return x if disp else (x, _misfit(EXPM.bind(x), a))


def _misfit(x: Any, a: Any) -> Any:
    """|x - a|/|a|, by sums of columns."""
    return np.linalg.norm(x - a, 1, axis=(-2, -1)) / np.linalg.norm(a, 1, axis=(-2, -1))


def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> Any:
    """The function of square matrices that `func` is of numbers, by eigenvalues and eigenvectors.

    It is complex unless no value is traced and it happens to be real (up to rounding). Where the matrix has no basis of
    eigenvectors, or none that is one numerically, it is NaN. Without `disp` an estimate of the error comes second.

    >>> funm(np.array([[2.0, 1.0], [1.0, 2.0]]), np.exp).round(4)
    array([[11.4019,  8.6836],
           [ 8.6836, 11.4019]])
    """
    a = matrix(A, "funm")
    w, v = EIG.bind(a)
    s = STOP_GRADIENT.bind(np.linalg.svdvals(v))
    eps = np.finfo(s.dtype).eps
    basis = s[..., -1:] > np.sqrt(eps) * s[..., :1]
    safe = np.where(basis[..., None], v, np.eye(a.shape[-1], dtype=v.dtype))
    x = np.where(basis[..., None], (safe * np.expand_dims(func(w), -2)) @ INV.bind(safe), np.nan)
    error = 1e3 * eps * s[..., 0] / s[..., -1]
    if not is_traced(x) and a.dtype.kind == "f":
        near = np.abs(np.imag(x)).max(initial=0) <= 1e3 * eps * np.abs(x).max(initial=0)
        x = np.real(x).copy() if near else x
    return x if disp else (x, error)


def signm(A: Any, disp: bool = True) -> Any:
    """The sign of square matrices, a (a²)^(-1/2). It needs SciPy. It is complex as `sqrtm` is.

    >>> signm(np.diag([2.0, -3.0]))
    array([[ 1.,  0.],
           [ 0., -1.]])
    """
    a = matrix(A, "signm")
    x = _real_if_plain(a @ INV.bind(SQRTM.bind(a @ a)), a)
    return x if disp else (x, _misfit(x @ x, np.eye(a.shape[-1], dtype=a.dtype)))


def fractional_matrix_power(A: Any, t: float) -> Any:
    """The power of square matrices with any real exponent, by `logm`, for which SciPy is needed (not for integers).

    >>> fractional_matrix_power(np.diag([4.0, 9.0]), 0.5).round(12)
    array([[2., 0.],
           [0., 3.]])
    """
    a = matrix(A, "fractional_matrix_power")
    if not is_traced(t) and float(t).is_integer():
        return np.linalg.matrix_power(a, int(t))
    return _real_if_plain(EXPM.bind(t * LOGM.bind(a)), a)


# ------------------------------------------------------------------------------- equations of Sylvester, of Lyapunov


def solve_sylvester(a: Any, b: Any, q: Any, *, method: str = "schur", tol: float = 1e-8) -> Any:
    """The solution x of a x + x b = q, for shapes (..., M, M), (..., N, N) and (..., M, N).

    It needs SciPy. `method` and `tol` make no difference. Raises LinAlgError where a and -b have an eigenvalue in
    common.

    >>> solve_sylvester(np.eye(2), np.eye(1), np.ones((2, 1)))
    array([[0.5],
           [0.5]])
    """
    return SYLVESTER.bind(
        matrix(a, "solve_sylvester"), matrix(b, "solve_sylvester"), matrix(q, "solve_sylvester", square=False)
    )


def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """The solution x of a x + x aᴴ = q; see `solve_sylvester`.

    >>> solve_continuous_lyapunov(np.eye(1), np.ones((1, 1)))
    array([[0.5]])
    """
    a = matrix(a, "solve_continuous_lyapunov")
    return SYLVESTER.bind(a, transpose_conj(a), matrix(q, "solve_continuous_lyapunov"))


def solve_discrete_lyapunov(a: Any, q: Any, method: str | None = None) -> Any:
    """The solution x of a x aᴴ - x + q = 0, for shapes (M, M).

    Args:
        a, q: the matrices.
        method: "direct" (the default up to M = 9): one equation for the elements of x, of size M²; or "bilinear": by
            `solve_continuous_lyapunov`.

    Raises:
        LinAlgError: two eigenvalues of `a` are inverse conjugates of each other.

    >>> solve_discrete_lyapunov(np.array([[0.5]]), np.ones((1, 1))).round(12)
    array([[1.33333333]])
    """
    a, q = matrix(a, "solve_discrete_lyapunov"), matrix(q, "solve_discrete_lyapunov")
    if a.ndim != 2 or a.shape != q.shape:
        raise LinAlgError(f"solve_discrete_lyapunov: shapes {a.shape} and {q.shape} are not both (M, M)")
    n = a.shape[-1]
    if method not in (None, "direct", "bilinear"):
        raise ValueError(f"solve_discrete_lyapunov: method must be 'direct' or 'bilinear', got {method!r}")
    eye = np.eye(n, dtype=a.dtype)
    if method == "direct" or (method is None and n < 10):
        left = np.eye(n * n, dtype=a.dtype) - np.kron(a, conj(a))
        return np.reshape(SOLVE.bind(left, np.reshape(q, (n * n, 1))), (n, n))
    ah = transpose_conj(a)
    inverse = INV.bind(ah + eye)
    b = (ah - eye) @ inverse
    c = 2 * (INV.bind(a + eye) @ q @ inverse)
    return SYLVESTER.bind(transpose_conj(b), b, -c)
