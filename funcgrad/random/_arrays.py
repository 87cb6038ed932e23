"""Samplers whose samples are vectors or matrices, or whose shape is that of samples and parameters together."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import operand
from funcgrad.random._common import Parameters, fitted, float_dtype, normals, subkeys, with_floats
from funcgrad.random._continuous import maxwells
from funcgrad.random._discrete import signs
from funcgrad.random._keys import shape_tuple, single_key
from funcgrad.types import broadcast_shapes, shape_of

__all__ = ["double_sided_maxwell", "multivariate_normal", "orthogonal"]


def multivariate_normal(
    key: Any,
    mean: Parameters,
    cov: Parameters,
    shape: Any = None,
    dtype: Any = None,
    method: str = "cholesky",
    *,
    out_sharding: Any = None,
) -> Any:
    """Normal vectors of a mean and a covariance.

    Args:
        key: a single key.
        mean: of shape (…, n).
        cov: of shape (…, n, n), positive semidefinite ("cholesky": definite).
        shape: of the batch of vectors; by default that of the parameters.
        dtype: of the normal numbers; by default that to which mean and cov are promoted.
        method: how cov is factored: "cholesky", "eigh" or "svd".

    >>> from funcgrad import random
    >>> multivariate_normal(random.key(0), np.zeros(2), np.array([[2.0, 1.0], [1.0, 2.0]])).round(3)
    array([-0.291, -1.107])
    """
    typed = single_key(key, "multivariate_normal")[0]
    mean, cov = with_floats(mean, cov)
    if method not in ("cholesky", "eigh", "svd"):
        raise ValueError(f"multivariate_normal: method is 'cholesky', 'eigh' or 'svd', got {method!r}")
    dtype = float_dtype(mean.dtype if dtype is None else dtype, "multivariate_normal")
    if mean.ndim < 1 or cov.ndim < 2 or cov.shape[-2:] != (mean.shape[-1],) * 2:
        raise ValueError(
            f"multivariate_normal: a mean of shape (…, n) and a covariance of shape (…, n, n), got {mean.shape} and "
            f"{cov.shape}"
        )
    own = broadcast_shapes(mean.shape[:-1], cov.shape[:-2])
    shape = fitted("multivariate_normal", own if shape is None else shape, np.empty(own, bool))
    if method == "cholesky":
        factor = np.linalg.cholesky(cov)
    elif method == "eigh":
        w, v = np.linalg.eigh(cov)
        factor = v * np.sqrt(np.expand_dims(w, -2))
    else:
        u, s, _ = np.linalg.svd(cov)
        factor = u * np.sqrt(np.expand_dims(s, -2))
    return mean + np.einsum("...ij,...j->...i", factor, normals(typed, (*shape, mean.shape[-1]), dtype))


def orthogonal(
    key: Any, n: int, shape: Any = (), dtype: Any = None, m: int | None = None, *, out_sharding: Any = None
) -> Any:
    """Orthogonal matrices (unitary ones for a complex dtype), uniform among all, along the last two axes.

    Args:
        n: rows.
        shape: of the batch.
        m: columns, if not n: rows are orthonormal where there are fewer rows, columns where there are fewer columns.

    >>> from funcgrad import random
    >>> q = orthogonal(random.key(0), 3)
    >>> bool(np.allclose(q @ q.T, np.eye(3)))
    True
    """
    typed, dtype = single_key(key, "orthogonal")[0], float_dtype(dtype, "orthogonal", True)
    n, m = index(n), index(n if m is None else m)
    z = normals(typed, (*shape_tuple(shape, "orthogonal"), max(n, m), min(n, m)), dtype)
    q, r = np.linalg.qr(z)
    x = q * np.expand_dims(np.sign(np.diagonal(r, axis1=-2, axis2=-1)), -2)
    return np.swapaxes(x, -1, -2) if n < m else x


def double_sided_maxwell(key: Any, loc: Parameters, scale: Parameters, shape: Any = (), dtype: Any = None) -> Any:
    """loc ± scale · Maxwell numbers, each sign with probability ½.

    The result has the given shape followed by that of the parameters; without one, the parameters' twice (JAX's rule).

    >>> from funcgrad import random
    >>> double_sided_maxwell(random.key(0), 0.0, 1.0, (2,)).round(3)
    array([ 1.985, -2.478])
    """
    typed, dtype = single_key(key, "double_sided_maxwell")[0], float_dtype(dtype, "double_sided_maxwell")
    own = broadcast_shapes(shape_of(operand(loc)), shape_of(operand(scale)))
    full = (shape_tuple(shape, "double_sided_maxwell") or own) + own
    k1, k2 = subkeys(typed)
    return signs(k2, full, dtype) * maxwells(k1, full, dtype) * scale + loc
