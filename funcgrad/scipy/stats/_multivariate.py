"""Distributions of vectors: multivariate normal, Dirichlet, multinomial."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.scipy._needs import inexacts
from funcgrad.scipy.stats._base import always, sc
from funcgrad.scipy.stats._handed import Frozen, Handed

__all__ = ["dirichlet", "multinomial", "multivariate_normal"]

_LOG_2PI = math.log(2 * math.pi)


class MultivariateNormal(Handed):
    """The multivariate normal distribution.

    >>> float(multivariate_normal.logpdf(np.zeros(2), np.zeros(2), np.eye(2)).round(4))
    -1.8379
    """

    name = "multivariate_normal"

    def __call__(self, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Frozen:
        """The distribution with these parameters: its methods take only the point."""
        return Frozen(self, (mean, cov), {"allow_singular": allow_singular})

    def rvs(self, mean: Any = None, cov: Any = 1, size: Any = 1, random_state: Any = None, **named: Any) -> Any:
        """SciPy's samples; see `Handed.rvs`."""
        return super().rvs(mean, cov, size=size, random_state=random_state)

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool | None = None) -> Any:
        """The logarithm of the density at x, whose last axis is that of the vectors.

        Args:
            x: of shape (..., d); points of shape (...,) are taken too where mean and cov say that d is 1.
            mean: of shape (d,) or (..., d), or a number; 0 by default.
            cov: of shape (d, d) or (..., d, d), of which the lower triangle is read; (d,), a diagonal; or a number.
            allow_singular: whether eigenvalues of `cov` may be zero, up to rounding. The density is then that on the
                subspace of the others, and 0 off it.

        Raises LinAlgError where `cov` is not positive definite (or semidefinite), and ShapeError for shapes that do
        not fit.
        """
        x, mean, cov = inexacts(x, 0.0 if mean is None else mean, cov)
        d, cov = _matrix(mean, cov)
        if d == 1 and (x.ndim == 0 or x.shape[-1] != 1):
            x = np.expand_dims(x, -1)
        if x.shape[-1:] != (d,):
            raise ShapeError(
                f"multivariate_normal: x of shape {x.shape}, mean {mean.shape} and cov {cov.shape} do not fit"
            )
        if allow_singular:
            return _singular_logpdf(x - mean, cov)
        root = np.linalg.cholesky(cov)
        z = np.expand_dims(x - mean, -1)
        batch = np.broadcast_shapes(z.shape[:-2], root.shape[:-2])
        if root.ndim == 2:  # all vectors at once
            flat = np.linalg.solve(root, np.reshape(z, (-1, d)).T)
            square = np.reshape(np.sum(flat * flat, axis=0), batch)
        else:
            root, z = np.broadcast_to(root, (*batch, d, d)), np.broadcast_to(z, (*batch, d, 1))
            y = np.linalg.solve(root, z)
            square = np.sum(y * y, axis=(-2, -1))
        return -0.5 * square - _half_log_det(root) - 0.5 * d * _LOG_2PI

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool | None = None) -> Any:
        """The density at x; arguments as in `logpdf`."""
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def entropy(self, mean: Any = None, cov: Any = 1, allow_singular: bool = True) -> Any:
        """The differential entropy, ½ log det(2πe cov), of what `logpdf` has; `mean` only says d."""
        mean, cov = inexacts(0.0 if mean is None else mean, cov)
        d, cov = _matrix(mean, cov)
        if not allow_singular:
            return _half_log_det(np.linalg.cholesky(cov)) + 0.5 * d * (1 + _LOG_2PI)
        values, kept, _, _ = _spectrum(cov)
        return 0.5 * np.sum(np.where(kept, np.log(np.where(kept, values, 1.0)) + 1 + _LOG_2PI, 0.0), axis=-1)

    def cdf(self, *args: Any, **kwargs: Any) -> Any:
        """Not offered: there is no rule for the integral. Raises."""
        raise NotImplementedError("multivariate_normal.cdf is not offered: SciPy integrates by quasi-random points")


def _matrix(mean: Any, cov: Any) -> tuple[int, Any]:
    """The number of dimensions, and the covariance as a matrix (or a stack of them)."""
    d = mean.shape[-1] if mean.ndim else cov.shape[-1] if cov.ndim else 1
    if cov.ndim < 2:
        cov = np.eye(d, dtype=cov.dtype) * cov
    if cov.shape[-2:] != (d, d):
        raise ShapeError(f"multivariate_normal: mean of shape {mean.shape} and cov {cov.shape} do not fit")
    return d, cov


def _half_log_det(root: Any) -> Any:
    """Half the logarithm of the determinant of a matrix with this Cholesky factor."""
    return np.sum(np.log(np.diagonal(root, axis1=-2, axis2=-1)), axis=-1)


def _spectrum(cov: Any) -> tuple[Any, Any, Any, Any]:
    """Eigenvalues (NaN of a matrix that is not semidefinite), which of them are not zero up to rounding, eigenvectors,
    and the limit of what is zero, which is SciPy's."""
    values, vectors = np.linalg.eigh(cov)
    eps = (1e3 if cov.dtype.itemsize <= 4 else 1e6) * float(np.finfo(cov.dtype).eps)
    limit = eps * np.max(np.abs(values), axis=-1, keepdims=True)
    bad = np.any(values < -limit, axis=-1, keepdims=True)
    if always(np.any(bad)):
        raise ValueError("multivariate_normal: cov must be positive semidefinite, and has an eigenvalue below zero")
    return np.where(bad, np.nan, values), bad | (values > limit), vectors, limit[..., 0]


def _singular_logpdf(z: Any, cov: Any) -> Any:
    """The logarithm of the density on the subspace of the eigenvalues that are not zero; -inf off it."""
    values, kept, vectors, limit = _spectrum(cov)
    y = np.matmul(np.expand_dims(z, -2), vectors)[..., 0, :]
    proper = np.where(kept, values, 1.0)
    inside = np.where(kept, y * y / proper + np.log(proper) + _LOG_2PI, 0.0)
    off = np.sum(np.where(kept, 0.0, y * y), axis=-1)
    return np.where(off < np.square(1e3 * limit), -0.5 * np.sum(inside, axis=-1), -np.inf)


class Dirichlet(Handed):
    """The Dirichlet distribution of points of a simplex.

    >>> float(dirichlet.logpdf(np.array([0.25, 0.75]), np.array([1.0, 1.0])))
    0.0
    """

    name = "dirichlet"

    def __call__(self, alpha: Any) -> Frozen:
        """The distribution with this parameter: its methods take only the point."""
        return Frozen(self, (alpha,), {})

    def logpdf(self, x: Any, alpha: Any) -> Any:
        """The logarithm of the density at x; -inf off the simplex (where SciPy raises).

        Args:
            x: of shape (k, ...), with coordinates along the first axis; or (k - 1, ...): the last is what is left of 1.
            alpha: of shape (k,).
        """
        x, alpha = inexacts(x, alpha)
        if alpha.ndim != 1:
            raise ShapeError(f"dirichlet: alpha must have one dimension, got shape {alpha.shape}")
        k = alpha.shape[0]
        if x.ndim and x.shape[0] == k - 1:
            x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)], axis=0)
        if x.ndim == 0 or x.shape[0] != k:
            raise ShapeError(f"dirichlet: x of shape {x.shape} must have {k} or {k - 1} along its first axis")
        total = np.sum(x, axis=0)
        inside = np.all(x >= 0, axis=0) & (np.abs(total - 1) < (1e-5 if x.dtype.itemsize <= 4 else 1e-9))
        valid = np.all(alpha > 0)
        column = np.where(valid, alpha, 1.0).reshape((k,) + (1,) * (x.ndim - 1))
        terms = sc("xlogy")(column - 1, np.where(inside, x, 1 / k))
        norm = np.sum(sc("gammaln")(column)) - sc("gammaln")(np.sum(column))
        out = np.where(inside, np.sum(terms, axis=0) - norm, -np.inf)
        return np.where(valid, out, np.nan)[()]

    def pdf(self, x: Any, alpha: Any) -> Any:
        """The density at x; arguments as in `logpdf`."""
        return np.exp(self.logpdf(x, alpha))


class Multinomial(Handed):
    """The multinomial distribution: how often each of several outcomes comes in n trials.

    >>> float(multinomial.pmf(np.array([1, 1]), 2, np.array([0.5, 0.5])).round(12))
    0.5
    """

    name = "multinomial"

    def __call__(self, n: Any, p: Any) -> Frozen:
        """The distribution with these parameters: its methods take only the point."""
        return Frozen(self, (n, p), {})

    def logpmf(self, x: Any, n: Any, p: Any) -> Any:
        """The logarithm of the mass at x; -inf unless x are whole numbers ≥ 0 with sum n.

        Args:
            x: counts, along the last axis.
            n: the number of trials; broadcasts against the other axes of x.
            p: probabilities, along the last axis. They are taken as they are (SciPy replaces the last one by what is
                left of 1, so that its derivatives by p are others).
        """
        x, n, p = inexacts(x, n, p)
        inside = np.all((x >= 0) & (x == np.floor(x)), axis=-1) & (np.sum(x, axis=-1) == n)
        valid = (n >= 0) & np.all((p >= 0) & (p <= 1), axis=-1)
        chosen = np.expand_dims(inside & valid, -1)
        counts, chances = np.where(chosen, x, 0.0), np.where(chosen, p, 1.0)
        terms = np.sum(sc("xlogy")(counts, chances) - sc("gammaln")(counts + 1), axis=-1)
        out = np.where(inside, sc("gammaln")(np.where(inside & valid, n, 0.0) + 1) + terms, -np.inf)
        return np.where(valid, out, np.nan)[()]

    def pmf(self, x: Any, n: Any, p: Any) -> Any:
        """The mass at x; arguments as in `logpmf`."""
        return np.exp(self.logpmf(x, n, p))


multivariate_normal, dirichlet, multinomial = MultivariateNormal(), Dirichlet(), Multinomial()
