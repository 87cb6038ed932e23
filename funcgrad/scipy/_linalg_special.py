"""Matrices of a special form in `scipy.linalg`. Those of numbers of the user's have derivatives by these."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.linalg import conj
from funcgrad.scipy._needs import scipy_module

__all__ = [
    "block_diag",
    "circulant",
    "companion",
    "convolution_matrix",
    "dft",
    "fiedler",
    "fiedler_companion",
    "hadamard",
    "hankel",
    "helmert",
    "hilbert",
    "invhilbert",
    "invpascal",
    "khatri_rao",
    "leslie",
    "matmul_toeplitz",
    "pascal",
    "solve_circulant",
    "toeplitz",
]


def _vector(x: Any) -> Any:
    """An operand as one vector, or a stack of them."""
    x = array_operand(x)
    return np.reshape(x, (1,)) if x.ndim == 0 else x


def block_diag(*arrs: Any) -> Any:
    """The matrix with these matrices on its diagonal, and zeros beside them; numbers and vectors count as rows.

    >>> block_diag(np.ones((1, 2)), 3.0)
    array([[1., 1., 0.],
           [0., 0., 3.]])
    """
    blocks = [array_operand(x) for x in arrs] or [np.zeros((1, 0))]
    if any(x.ndim > 2 for x in blocks):
        raise ShapeError(f"block_diag: matrices are needed, got shapes {', '.join(str(x.shape) for x in blocks)}")
    blocks = [x if x.ndim == 2 else np.reshape(x, (1, -1)) for x in blocks]
    dtype = np.result_type(*(x.dtype for x in blocks))
    width, start, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        m, n = x.shape
        left, right = np.zeros((m, start), dtype), np.zeros((m, width - start - n), dtype)
        rows.append(np.concatenate([left, x.astype(dtype), right], axis=1))
        start += n
    return np.concatenate(rows, axis=0)


def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrices with constant diagonals that have the first column c and the first row r, but for r[0].

    Args:
        c: shape (..., M).
        r: shape (..., N); by default the conjugate of c.

    Returns:
        Shape (..., M, N).

    >>> toeplitz(np.array([1, 2, 3]), np.array([0, 4]))
    array([[1, 4],
           [2, 1],
           [3, 2]])
    """
    c = _vector(c)
    r = conj(c) if r is None else _vector(r)
    m, n = c.shape[-1], r.shape[-1]
    values = _joined(np.flip(c, -1), r[..., 1:])
    return values[..., np.arange(n) - np.arange(m)[:, None] + max(m - 1, 0)] if m and n else _empty(values, m, n)


def _joined(x: Any, y: Any) -> Any:
    """Two stacks of vectors end to end."""
    batch = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    return np.concatenate([np.broadcast_to(z, (*batch, z.shape[-1])) for z in (x, y)], axis=-1)


def _empty(x: Any, m: int, n: int) -> Any:
    return np.zeros((*x.shape[:-1], m, n), x.dtype)


def matmul_toeplitz(c_or_cr: Any, x: Any, check_finite: bool = False, workers: int | None = None) -> Any:
    """The product of the Toeplitz matrix of a column, or of a tuple of a column and a row, with vectors or matrices.

    The work is that for a full matrix; `check_finite` and `workers` have no meaning here.

    >>> matmul_toeplitz((np.array([1.0, 2.0]), np.array([1.0, 3.0])), np.array([1.0, 1.0]))
    array([4., 3.])
    """
    return (toeplitz(*c_or_cr) if isinstance(c_or_cr, tuple) else toeplitz(c_or_cr)) @ array_operand(x)


def hankel(c: Any, r: Any = None) -> Any:
    """The matrix with constant antidiagonals that has the first column c and the last row r (zeros by default), but for
    r[0].

    >>> hankel(np.array([1, 2, 3]), np.array([3, 4]))
    array([[1, 2],
           [2, 3],
           [3, 4]])
    """
    c = _vector(c)
    r = np.zeros_like(c) if r is None else _vector(r)
    m, n = c.shape[-1], r.shape[-1]
    values = _joined(c, r[..., 1:])
    return values[..., np.arange(n) + np.arange(m)[:, None]] if m and n else _empty(values, m, n)


def circulant(c: Any) -> Any:
    """The matrices of shape (..., M, M) whose columns are the vectors c, of shape (..., M), turned further and further.

    >>> circulant(np.array([1, 2, 3]))
    array([[1, 3, 2],
           [2, 1, 3],
           [3, 2, 1]])
    """
    c = _vector(c)
    i = np.arange(c.shape[-1])
    return c[..., (i[:, None] - i) % max(len(i), 1)]


def solve_circulant(c: Any, b: Any) -> Any:
    """The solution x of C x = b for the circulant matrix C of c, of shape (M,), and b of shape (M,) or (M, K).

    The work is that for a full matrix. Raises LinAlgError for a singular one.

    >>> solve_circulant(np.array([2.0, 1.0]), np.array([4.0, 5.0]))
    array([1., 2.])
    """
    return np.linalg.solve(circulant(c), array_operand(b))


def companion(a: Any) -> Any:
    """The matrices whose characteristic polynomials have the coefficients a, of shape (..., M), M > 1.

    >>> companion(np.array([1.0, -3.0, 2.0]))
    array([[ 3., -2.],
           [ 1.,  0.]])
    """
    a = _coefficients(a, "companion")
    first = np.expand_dims(-a[..., 1:] / a[..., :1], -2)
    n = a.shape[-1] - 1
    below = np.zeros((*a.shape[:-1], n - 1, n), first.dtype) + np.eye(n - 1, n, dtype=first.dtype)
    return np.concatenate([first, below], axis=-2)


def _coefficients(a: Any, name: str) -> Any:
    a = array_operand(a)
    if a.ndim < 1 or a.shape[-1] < 2:
        raise ShapeError(f"{name}: at least two coefficients are needed, got an array of shape {a.shape}")
    return a


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrices A for which A @ v is `numpy.convolve(a, v, mode)`, for vectors v of length n, and a of shape
    (..., M).

    >>> convolution_matrix(np.array([1, 2]), 2)
    array([[1, 0],
           [2, 1],
           [0, 2]])
    """
    a = _vector(a)
    m = a.shape[-1]
    if n <= 0 or m == 0:
        raise ShapeError("convolution_matrix: a and v must not be empty")
    if mode not in ("full", "valid", "same"):
        raise ValueError(f"convolution_matrix: mode must be 'full', 'valid' or 'same', got {mode!r}")
    zero = np.zeros((*a.shape[:-1], n - 1), a.dtype)
    whole = toeplitz(np.concatenate([a, zero], axis=-1), np.concatenate([a[..., :1], zero], axis=-1))
    length = {"full": m + n - 1, "same": max(m, n), "valid": max(m, n) - min(m, n) + 1}[mode]
    start = (m + n - 1 - length) // 2 if mode == "same" else min(m, n) - 1 if mode == "valid" else 0
    return whole[..., start : start + length, :]


def fiedler(a: Any) -> Any:
    """The symmetric matrices |aᵢ - aⱼ| of vectors of shape (..., M).

    >>> fiedler(np.array([1.0, 4.0]))
    array([[0., 3.],
           [3., 0.]])
    """
    a = array_operand(a)
    if a.ndim == 0:
        return np.zeros((1, 1))
    eye = np.eye(a.shape[-1], dtype=a.dtype)
    return np.abs(np.expand_dims(a, -1) - np.expand_dims(a, -2) + eye) - np.abs(eye)


def fiedler_companion(a: Any) -> Any:
    """Fiedler's pentadiagonal matrices whose characteristic polynomials have the coefficients a, of shape (..., M).

    >>> fiedler_companion(np.array([1.0, -3.0, 2.0]))
    array([[ 3., -2.],
           [ 1.,  0.]])
    """
    a = _coefficients(a, "fiedler_companion")
    b = -a / a[..., :1]
    n = a.shape[-1] - 1
    total = np.zeros((n, n), b.dtype)
    for j in range(1, n):
        total[(1, 0) if j == 1 else (j, j - 2) if j % 2 else (j - 2, j)] = 1
    for k in range(1, n + 1):
        unit = np.zeros((n, n), b.dtype)
        unit[(0, 0) if k == 1 else (k - 1, k - 2) if k % 2 else (k - 2, k - 1)] = 1
        total = total + b[..., k, None, None] * unit
    return total


def leslie(f: Any, s: Any) -> Any:
    """Leslie's matrix: fecundities f, of shape (M,), in its first row, survival rates s, (M - 1,), below the diagonal.

    >>> leslie(np.array([0.5, 2.0]), np.array([0.75]))
    array([[0.5 , 2.  ],
           [0.75, 0.  ]])
    """
    f, s = array_operand(f), array_operand(s)
    n = f.shape[-1] if f.ndim else 0
    if n < 2 or s.shape[-1:] != (n - 1,):
        raise ShapeError(f"leslie: vectors of lengths M > 1 and M - 1 are needed, got shapes {f.shape} and {s.shape}")
    dtype = np.result_type(f.dtype, s.dtype)
    batch = np.broadcast_shapes(f.shape[:-1], s.shape[:-1])
    below = np.expand_dims(s, -1) * np.eye(n - 1, n, dtype=dtype)
    first = np.expand_dims(f.astype(dtype), -2)
    return np.concatenate([np.broadcast_to(first, (*batch, 1, n)), np.broadcast_to(below, (*batch, n - 1, n))], axis=-2)


def khatri_rao(a: Any, b: Any) -> Any:
    """The Kronecker products of the columns of a, of shape (M, K), with those of b, (N, K): shape (M N, K).

    >>> khatri_rao(np.array([[1, 2]]), np.array([[1, 1], [3, 1]]))
    array([[1, 2],
           [3, 2]])
    """
    a, b = array_operand(a), array_operand(b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"khatri_rao: matrices with equally many columns are needed, got {a.shape} and {b.shape}")
    out = a[..., :, None, :] * b[..., None, :, :]
    return np.reshape(out, (*out.shape[:-3], a.shape[-2] * b.shape[-2], a.shape[-1]))


# ---------------------------------------------------------------------------------------------------------- of a size


def hilbert(n: int) -> Any:
    """The matrix 1/(i + j + 1) of shape (n, n).

    >>> hilbert(2)
    array([[1.        , 0.5       ],
           [0.5       , 0.33333333]])
    """
    i = np.arange(n)
    return 1.0 / (i[:, None] + i + 1)


def hadamard(n: int, dtype: Any = int) -> Any:
    """The matrix of n orthogonal columns of 1 and -1, for a power n of two.

    >>> hadamard(2)
    array([[ 1,  1],
           [ 1, -1]])
    """
    if n < 1 or n & (n - 1):
        raise ValueError(f"hadamard: n must be a power of 2, got {n}")
    out = np.ones((1, 1), dtype)
    while len(out) < n:
        out = np.block([[out, out], [out, -out]])
    return out


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Any:
    """The matrix of the discrete Fourier transform of length n, which `scale` "sqrtn" or "n" divides by √n or n.

    >>> dft(2).real.round(12)
    array([[ 1.,  1.],
           [ 1., -1.]])
    """
    if scale not in (None, "sqrtn", "n"):
        raise ValueError(f"dft: scale must be None, 'sqrtn' or 'n', got {scale!r}")
    i = np.arange(n)
    out = np.exp(-2j * np.pi * i / max(n, 1))[np.outer(i, i) % max(n, 1)]
    out = out / {None: 1, "sqrtn": np.sqrt(n), "n": n}[scale]
    return out if dtype is None else out.astype(dtype)


def helmert(n: int, full: bool = False) -> Any:
    """Helmert's matrix; see `scipy.linalg.helmert`, which it is.

    >>> helmert(2).round(4)
    array([[ 0.7071, -0.7071]])
    """
    return scipy_module("linalg", "linalg.helmert").helmert(n, full)


def invhilbert(n: int, exact: bool = False) -> Any:
    """The inverse of `hilbert(n)`; see `scipy.linalg.invhilbert`, which it is.

    >>> invhilbert(2)
    array([[ 4., -6.],
           [-6., 12.]])
    """
    return scipy_module("linalg", "linalg.invhilbert").invhilbert(n, exact)


def pascal(n: int, kind: str | None = "symmetric", exact: bool = True) -> Any:
    """Pascal's triangle as a matrix; see `scipy.linalg.pascal`, which it is (`kind` None: "symmetric").

    >>> pascal(3)[2]
    array([1, 3, 6], dtype=uint64)
    """
    return scipy_module("linalg", "linalg.pascal").pascal(n, kind or "symmetric", exact)


def invpascal(n: int, kind: str | None = "symmetric", exact: bool = True) -> Any:
    """The inverse of `pascal(n)`; see `scipy.linalg.invpascal`, which it is.

    >>> invpascal(2)
    array([[ 2, -1],
           [-1,  1]])
    """
    return scipy_module("linalg", "linalg.invpascal").invpascal(n, kind or "symmetric", exact)
