"""Distributions of vectors: multivariate normal, Dirichlet, multinomial."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.scipy._needs import inexacts
from funcgrad.scipy.stats._base import sc

__all__ = ["dirichlet", "multinomial", "multivariate_normal"]


class MultivariateNormal:
    """The multivariate normal distribution.

    >>> float(multivariate_normal.logpdf(np.zeros(2), np.zeros(2), np.eye(2)).round(4))
    -1.8379
    """

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool | None = None) -> Any:
        """The logarithm of the density at x, whose last axis is that of the vectors.

        Args:
            x: of shape (..., d); points of shape (...,) are taken too where mean and cov say that d is 1.
            mean: of shape (d,) or (..., d), or a number; 0 by default.
            cov: of shape (d, d) or (..., d, d), of which the lower triangle is read; (d,), a diagonal; or a number.
            allow_singular: not offered.

        Raises LinAlgError where `cov` is not positive definite, and ShapeError for shapes that do not fit.
        """
        if allow_singular:
            raise NotImplementedError("multivariate_normal: allow_singular is not offered; add to the diagonal of cov")
        x, mean, cov = inexacts(x, 0.0 if mean is None else mean, cov)
        d = mean.shape[-1] if mean.ndim else cov.shape[-1] if cov.ndim else 1
        if d == 1 and (x.ndim == 0 or x.shape[-1] != 1):
            x = np.expand_dims(x, -1)
        if cov.ndim < 2:
            cov = np.eye(d, dtype=cov.dtype) * cov
        if x.shape[-1:] != (d,) or cov.shape[-2:] != (d, d):
            raise ShapeError(
                f"multivariate_normal: x of shape {x.shape}, mean {mean.shape} and cov {cov.shape} do not fit"
            )
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
        logs = np.sum(np.log(np.diagonal(root, axis1=-2, axis2=-1)), axis=-1)
        return -0.5 * square - logs - 0.5 * d * math.log(2 * math.pi)

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool | None = None) -> Any:
        """The density at x; arguments as in `logpdf`."""
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def cdf(self, *args: Any, **kwargs: Any) -> Any:
        """Not offered: there is no rule for the integral. Raises."""
        raise NotImplementedError("multivariate_normal.cdf is not offered: SciPy integrates by quasi-random points")


class Dirichlet:
    """The Dirichlet distribution of points of a simplex.

    >>> float(dirichlet.logpdf(np.array([0.25, 0.75]), np.array([1.0, 1.0])))
    0.0
    """

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


class Multinomial:
    """The multinomial distribution: how often each of several outcomes comes in n trials.

    >>> float(multinomial.pmf(np.array([1, 1]), 2, np.array([0.5, 0.5])).round(12))
    0.5
    """

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
