"""Matrix decompositions by the names of `jax.lax.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand

__all__ = ["cholesky", "eigh", "qr", "svd"]


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The lower triangular factor of a Hermitian positive definite matrix.

    With `symmetrize_input` the mean of the matrix and its conjugate transpose is taken.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 2.0]]))
    array([[2., 0.],
           [1., 1.]])
    """
    a = array_operand(x)
    return np.linalg.cholesky((a + np.conjugate(np.swapaxes(a, -1, -2))) / 2 if symmetrize_input else a)


def eigh(x: Any, *, lower: bool = True, symmetrize_input: bool = True) -> tuple[Any, Any]:
    """The eigenvectors (as columns) of a Hermitian matrix, and its eigenvalues in ascending order."""
    a = array_operand(x)
    if symmetrize_input:
        a = (a + np.conjugate(np.swapaxes(a, -1, -2))) / 2
    values, vectors = np.linalg.eigh(a, UPLO="L" if lower else "U")
    return vectors, values


def qr(x: Any, *, full_matrices: bool = True) -> tuple[Any, Any]:
    """An orthogonal and an upper triangular factor."""
    q, r = np.linalg.qr(array_operand(x), mode="complete" if full_matrices else "reduced")
    return q, r


def svd(x: Any, *, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Left singular vectors, singular values and right singular vectors; the values alone without `compute_uv`."""
    if not compute_uv:
        return np.linalg.svd(array_operand(x), compute_uv=False)
    u, s, vh = np.linalg.svd(array_operand(x), full_matrices=full_matrices)
    return u, s, vh


def __dir__() -> list[str]:
    return __all__
