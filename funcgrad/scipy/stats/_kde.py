"""Kernel density estimates with Gaussian kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.nn import logsumexp
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import getitem
from funcgrad.random import choice, multivariate_normal, split
from funcgrad.scipy._needs import inexact, inexacts
from funcgrad.scipy.stats._base import sc
from funcgrad.tree_util import register_pytree_node_class

__all__ = ["gaussian_kde"]


@register_pytree_node_class
class gaussian_kde:
    """An estimate of the density that points were drawn from. It is a pytree, and derivatives flow through all of it.

    Args:
        dataset: of shape (d, n), or (n,) for points on a line.
        bw_method: "scott" (the default), "silverman", a factor, or a function of the estimate that gives one.
        weights: of the points, of shape (n,); they need not sum up to 1.

    >>> kde = gaussian_kde(np.array([0.0, 1.0, 3.0]))
    >>> kde(np.array([1.0])).round(4)
    array([0.2149])
    """

    dataset: Any
    weights: Any
    covariance: Any
    inv_cov: Any
    neff: Any

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None) -> None:
        data = np.atleast_2d(array_operand(inexact(dataset)))
        if data.ndim != 2 or data.shape[0] * data.shape[1] <= 1:
            raise ShapeError(f"gaussian_kde: the dataset must have the shape (d, n) with n > 1, got {data.shape}")
        d, n = data.shape
        if weights is None:
            share = np.full(n, 1 / n, data.dtype)
        else:
            data, weights = inexacts(data, weights)
            if weights.shape != (n,):
                raise ShapeError(f"gaussian_kde: weights of shape {weights.shape} for {n} points")
            share = weights / np.sum(weights)
        self.dataset, self.weights = data, share
        self.neff = 1 / np.sum(share * share)
        factor = self._factor(bw_method, d)
        centred = data - np.matmul(data, share)[:, None]
        spread = np.matmul(centred * share, centred.T) / (1 - np.sum(share * share))
        self.covariance = spread * factor**2
        self.inv_cov = np.linalg.inv(self.covariance)

    def _factor(self, how: Any, d: int) -> Any:
        if how is None or how == "scott":
            return self.neff ** (-1.0 / (d + 4))
        if type(how) is str and how == "silverman":
            return (self.neff * (d + 2) / 4.0) ** (-1.0 / (d + 4))
        if type(how) is str:
            raise ValueError(f'gaussian_kde: bw_method is "scott", "silverman", a number or a function, got {how!r}')
        return how(self) if callable(how) else how

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """Its arrays."""
        return (self.dataset, self.weights, self.covariance, self.inv_cov, self.neff), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: Any) -> gaussian_kde:
        """An estimate with these arrays."""
        out = object.__new__(cls)
        out.dataset, out.weights, out.covariance, out.inv_cov, out.neff = children
        return out

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of points."""
        return self.dataset.shape[1]

    def _points(self, points: Any) -> Any:
        x = np.atleast_2d(array_operand(inexact(points)))
        if x.shape[0] != self.d and x.shape[0] == 1 and x.shape[1] == self.d:
            x = np.reshape(x, (self.d, 1))
        if x.ndim != 2 or x.shape[0] != self.d:
            raise ShapeError(f"gaussian_kde: points of shape {x.shape} for a dataset of dimension {self.d}")
        return x

    def logpdf(self, x: Any) -> Any:
        """The logarithm of the density at points of shape (d, m), or (m,) for d = 1; of shape (m,)."""
        return _log_mixture(self._points(x), self.dataset, self.weights, self.covariance)

    def evaluate(self, points: Any) -> Any:
        """The density at points of shape (d, m), or (m,) for d = 1; of shape (m,)."""
        return np.exp(self.logpdf(points))

    __call__ = pdf = evaluate

    def integrate_gaussian(self, mean: Any, cov: Any) -> Any:
        """The integral of the density times that of a normal distribution."""
        mean, cov = np.atleast_1d(array_operand(inexact(mean))), np.atleast_2d(array_operand(inexact(cov)))
        if mean.shape != (self.d,) or cov.shape != (self.d, self.d):
            raise ShapeError(f"integrate_gaussian: mean {mean.shape} and cov {cov.shape} for dimension {self.d}")
        return np.exp(_log_mixture(mean[:, None], self.dataset, self.weights, self.covariance + cov))[0]

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The probability of an interval, of an estimate on a line."""
        if self.d != 1:
            raise ValueError("integrate_box_1d() only handles 1D pdfs")
        scale = np.sqrt(self.covariance[0, 0])
        ndtr = sc("ndtr")
        return np.sum(self.weights * (ndtr((high - self.dataset[0]) / scale) - ndtr((low - self.dataset[0]) / scale)))

    def integrate_kde(self, other: gaussian_kde) -> Any:
        """The integral of the product of two densities."""
        if other.d != self.d:
            raise ShapeError(f"integrate_kde: estimates of dimensions {self.d} and {other.d}")
        logs = _log_mixture(other.dataset, self.dataset, self.weights, self.covariance + other.covariance)
        return np.sum(other.weights * np.exp(logs))

    def integrate_box(self, low_bounds: Any, high_bounds: Any, maxpts: Any = None) -> Any:
        """Not offered: there is no rule for the integral. Raises."""
        raise NotImplementedError("gaussian_kde.integrate_box is not offered; on a line, use integrate_box_1d")

    def resample(self, key: Any, shape: tuple[int, ...] = ()) -> Any:
        """Points drawn from the density with a key of `funcgrad.random`, of shape (d, *shape)."""
        first, second = split(key)
        index = choice(first, self.n, shape=shape, p=self.weights)
        noise = multivariate_normal(second, np.zeros(self.d, self.dataset.dtype), self.covariance, shape=shape)
        return getitem(self.dataset, (slice(None), index)) + np.moveaxis(noise, -1, 0)

    def set_bandwidth(self, bw_method: Any = None) -> Any:
        """Not offered, since an estimate does not change. Raises."""
        raise NotImplementedError("gaussian_kde.set_bandwidth is not offered; make a new estimate with bw_method")


def _log_mixture(x: Any, centres: Any, weights: Any, cov: Any) -> Any:
    """log Σᵢ wᵢ N(x; cᵢ, cov) for the columns of x."""
    root = np.linalg.cholesky(cov)
    a, b = np.linalg.solve(root, x), np.linalg.solve(root, centres)
    gaps = np.sum((a[:, :, None] - b[:, None, :]) ** 2, axis=0)
    norm = 0.5 * x.shape[0] * math.log(2 * math.pi) + np.sum(np.log(np.diagonal(root)))
    return logsumexp(-0.5 * gaps, axis=1, b=weights) - norm
