"""The gamma distribution and its kin: chi-squared, inverse gamma, generalised normal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import Continuous, or_infinite, sc
from funcgrad.scipy.stats._tails import log_gammainc, log_gammaincc

__all__ = ["chi2", "gamma", "gennorm", "invgamma"]

_LOG_2 = math.log(2.0)


class Gamma(Continuous):
    """The gamma distribution: density z^(a - 1) e^-z / Γ(a).

    >>> float(gamma.logsf(1000.0, 2.0).round(4))
    -993.0912
    """

    name = "gamma"
    without_infinity = True
    shapes = ("a",)
    safe = (1.0,)

    def _support(self, a: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpdf(self, z: Any, a: Any) -> Any:
        return sc("xlogy")(a - 1, z) - z - sc("gammaln")(a)

    def _irregular(self, z: Any, a: Any) -> Any:
        return z == 0

    def _density(self, z: Any, a: Any) -> Any:
        return np.power(z, a - 1) * np.exp(-z - sc("gammaln")(a))

    def _cdf(self, z: Any, a: Any) -> Any:
        return sc("gammainc")(a, z)

    def _sf(self, z: Any, a: Any) -> Any:
        return sc("gammaincc")(a, z)

    def _logcdf(self, z: Any, a: Any) -> Any:
        return log_gammainc(a, z)

    def _logsf(self, z: Any, a: Any) -> Any:
        return log_gammaincc(a, z)

    def _ppf(self, q: Any, a: Any) -> Any:
        return sc("gammaincinv")(a, q)

    def _isf(self, q: Any, a: Any) -> Any:
        return sc("gammainccinv")(a, q)

    def _moments(self, a: Any) -> tuple[Any, Any]:
        return a, a

    def _entropy(self, a: Any) -> Any:
        return a + sc("gammaln")(a) + (1.0 - a) * sc("psi")(a)


class Chi2(Continuous):
    """The chi-squared distribution with df degrees of freedom."""

    name = "chi2"
    without_infinity = True
    shapes = ("df",)
    safe = (2.0,)

    def _support(self, df: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpdf(self, z: Any, df: Any) -> Any:
        return gamma._logpdf(z / 2, df / 2) - _LOG_2

    def _irregular(self, z: Any, df: Any) -> Any:
        return z == 0

    def _density(self, z: Any, df: Any) -> Any:
        return 0.5 * gamma._density(z / 2, df / 2)

    def _cdf(self, z: Any, df: Any) -> Any:
        return gamma._cdf(z / 2, df / 2)

    def _sf(self, z: Any, df: Any) -> Any:
        return gamma._sf(z / 2, df / 2)

    def _logcdf(self, z: Any, df: Any) -> Any:
        return gamma._logcdf(z / 2, df / 2)

    def _logsf(self, z: Any, df: Any) -> Any:
        return gamma._logsf(z / 2, df / 2)

    def _ppf(self, q: Any, df: Any) -> Any:
        return 2 * gamma._ppf(q, df / 2)

    def _isf(self, q: Any, df: Any) -> Any:
        return 2 * gamma._isf(q, df / 2)

    def _moments(self, df: Any) -> tuple[Any, Any]:
        return df, 2.0 * df

    def _entropy(self, df: Any) -> Any:
        return gamma._entropy(0.5 * df) + math.log(2.0)


class InvGamma(Continuous):
    """The reciprocal of a gamma variable."""

    name = "invgamma"
    closed_quantiles = True
    shapes = ("a",)
    safe = (1.0,)
    open_below = True

    def _support(self, a: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpdf(self, z: Any, a: Any) -> Any:
        return -(a + 1) * np.log(z) - sc("gammaln")(a) - 1 / z

    def _cdf(self, z: Any, a: Any) -> Any:
        return gamma._sf(1 / z, a)

    def _sf(self, z: Any, a: Any) -> Any:
        return gamma._cdf(1 / z, a)

    def _logcdf(self, z: Any, a: Any) -> Any:
        return gamma._logsf(1 / z, a)

    def _logsf(self, z: Any, a: Any) -> Any:
        return gamma._logcdf(1 / z, a)

    def _ppf(self, q: Any, a: Any) -> Any:
        return np.reciprocal(gamma._isf(q, a))

    def _isf(self, q: Any, a: Any) -> Any:
        return np.reciprocal(gamma._ppf(q, a))

    def _moments(self, a: Any) -> tuple[Any, Any]:
        mean = or_infinite(a - 1, 1.0)
        return mean, or_infinite(a - 2, np.square(np.where(a > 1, mean, 1.0)))

    def _entropy(self, a: Any) -> Any:
        return a + sc("gammaln")(a) - (1.0 + a) * sc("psi")(a)


def _rise(a: Any, t: Any) -> Any:
    """P(a, t)/t^a for small t, by its series (DLMF 8.7.1)."""
    total: Any = 0.0
    term = 1 / sc("gamma")(a + 1)
    for k in range(8):
        total = total + term * (a / (a + k))
        term = term * (-t / (k + 1))
    return total


class GenNorm(Continuous):
    """The generalised normal distribution: density proportional to exp(-|z|^beta)."""

    name = "gennorm"
    shapes = ("beta",)
    safe = (2.0,)

    def _logpdf(self, z: Any, beta: Any) -> Any:
        return np.log(0.5 * beta) - sc("gammaln")(1 / beta) - np.power(np.abs(z), beta)

    def _sf(self, z: Any, beta: Any) -> Any:
        t = np.power(np.maximum(np.abs(z), np.finfo(z.dtype).tiny), beta)
        near = t < 0.01
        tail = 0.5 * sc("gammaincc")(1 / beta, np.where(near, np.ones((), t.dtype), t))
        centre = 0.5 - 0.5 * z * _rise(1 / beta, np.where(near, t, np.zeros((), t.dtype)))
        return np.where(near, centre, np.where(z > 0, tail, 1.0 - tail))

    def _cdf(self, z: Any, beta: Any) -> Any:
        return self._sf(-z, beta)

    def _logsf(self, z: Any, beta: Any) -> Any:
        near = np.abs(z) < 0.1
        w = np.where(near, np.ones((), z.dtype), z)
        tail = log_gammaincc(1 / beta, np.power(np.abs(w), beta)) - _LOG_2
        out = np.where(w > 0, tail, np.log1p(-np.exp(tail)))
        return np.where(near, np.log(self._sf(np.where(near, z, np.zeros((), z.dtype)), beta)), out)

    def _logcdf(self, z: Any, beta: Any) -> Any:
        return self._logsf(-z, beta)

    def _ppf(self, q: Any, beta: Any) -> Any:
        left = q < 0.5
        middle = q == 0.5  # a power of 0, but a line
        tail = np.where(middle, np.asarray(0.25, q.dtype), np.where(left, q, 1 - q))
        size = np.power(sc("gammainccinv")(1 / beta, 2 * tail), 1 / beta)
        line = (q - 0.5) * 2 * sc("gamma")(1 / beta) / beta
        return np.where(middle, line, np.where(left, -size, size))

    def _isf(self, q: Any, beta: Any) -> Any:
        return -self._ppf(q, beta)

    def _moments(self, beta: Any) -> tuple[Any, Any]:
        return 0.0, np.exp(sc("gammaln")(3.0 / beta) - sc("gammaln")(1.0 / beta))

    def _entropy(self, beta: Any) -> Any:
        return 1.0 / beta - np.log(0.5 * beta) + sc("gammaln")(1.0 / beta)


gamma, chi2, invgamma, gennorm = Gamma(), Chi2(), InvGamma(), GenNorm()
