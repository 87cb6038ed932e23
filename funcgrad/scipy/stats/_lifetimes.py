"""Distributions of lifetimes, sizes and extremes: what survival analysis and hydrology fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.special.series import LOG1P_OVER
from funcgrad.scipy.stats._base import Continuous, log, log1mexp, log1p, or_infinite, sc
from funcgrad.scipy.stats._elementary import gumbel_r
from funcgrad.scipy.stats._gammas import gamma

__all__ = ["fisk", "genextreme", "genpareto", "invgauss", "maxwell", "rayleigh"]


_LOG1P_OVER = LOG1P_OVER[0]


class Positive(Continuous):
    """What is on the positive numbers, with density 0 at 0."""

    without_infinity = True
    open_below = True

    def _support(self, *shapes: Any) -> tuple[Any, Any]:
        return 0.0, np.inf


class Rayleigh(Positive):
    """Rayleigh's distribution: the length of a normal vector in the plane.

    >>> float(rayleigh.sf(40.0).round(3)), float(rayleigh.logsf(40.0))
    (0.0, -800.0)
    """

    name = "rayleigh"

    def _logpdf(self, z: Any) -> Any:
        return np.log(z) - 0.5 * z * z

    def _cdf(self, z: Any) -> Any:
        return -np.expm1(-0.5 * z * z)

    def _logcdf(self, z: Any) -> Any:
        return log1mexp(-0.5 * z * z)

    def _sf(self, z: Any) -> Any:
        return np.exp(-0.5 * z * z)

    def _logsf(self, z: Any) -> Any:
        return -0.5 * z * z

    def _ppf(self, q: Any) -> Any:
        return np.sqrt(-2.0 * log1p(-q))

    def _isf(self, q: Any) -> Any:
        return np.sqrt(-2.0 * log(q))

    def _moments(self) -> tuple[Any, Any]:
        return math.sqrt(math.pi / 2), 2 - math.pi / 2

    def _entropy(self) -> Any:
        return 1 + 0.5 * np.euler_gamma - 0.5 * math.log(2)


class Maxwell(Positive):
    """Maxwell's distribution: the length of a normal vector in space."""

    name = "maxwell"

    def _logpdf(self, z: Any) -> Any:
        return 0.5 * math.log(2 / math.pi) + 2 * np.log(z) - 0.5 * z * z

    def _half(self, z: Any) -> tuple[Any, Any]:
        return 0.5 * z * z, np.full((), 1.5, z.dtype)

    def _cdf(self, z: Any) -> Any:
        return gamma._cdf(*self._half(z))

    def _sf(self, z: Any) -> Any:
        return gamma._sf(*self._half(z))

    def _logcdf(self, z: Any) -> Any:
        return gamma._logcdf(*self._half(z))

    def _logsf(self, z: Any) -> Any:
        return gamma._logsf(*self._half(z))

    def _ppf(self, q: Any) -> Any:
        return np.sqrt(2 * gamma._ppf(q, np.full((), 1.5, q.dtype)))

    def _isf(self, q: Any) -> Any:
        return np.sqrt(2 * gamma._isf(q, np.full((), 1.5, q.dtype)))

    def _moments(self) -> tuple[Any, Any]:
        return 2 * math.sqrt(2 / math.pi), 3 - 8 / math.pi

    def _entropy(self) -> Any:
        return np.euler_gamma + 0.5 * math.log(2 * math.pi) - 0.5


class Fisk(Positive):
    """The log-logistic distribution: distribution function 1/(1 + z^-c)."""

    name = "fisk"
    open_below = False
    shapes = ("c",)
    safe = (3.0,)

    def _logpdf(self, z: Any, c: Any) -> Any:
        return np.log(c) + sc("xlogy")(c - 1, z) + 2 * sc("log_expit")(-c * log(z))

    def _irregular(self, z: Any, c: Any) -> Any:
        return (z == 0) & (c > 1)

    def _density(self, z: Any, c: Any) -> Any:
        return c * np.power(z, c - 1) / (1 + np.power(z, c)) ** 2

    def _cdf(self, z: Any, c: Any) -> Any:
        return sc("expit")(c * np.log(z))

    def _sf(self, z: Any, c: Any) -> Any:
        return sc("expit")(-c * np.log(z))

    def _logcdf(self, z: Any, c: Any) -> Any:
        return sc("log_expit")(c * np.log(z))

    def _logsf(self, z: Any, c: Any) -> Any:
        return sc("log_expit")(-c * np.log(z))

    def _ppf(self, q: Any, c: Any) -> Any:
        return np.exp((log(q) - log1p(-q)) / c)

    def _isf(self, q: Any, c: Any) -> Any:
        return np.exp((log1p(-q) - log(q)) / c)

    def _moments(self, c: Any) -> tuple[Any, Any]:
        def raw(k: float) -> Any:
            angle = k * math.pi / np.where(c > k, c, 2.0 * k)
            return angle / np.sin(angle)

        mean = raw(1.0)
        return np.where(c > 1, mean, np.inf), np.where(c > 2, raw(2.0) - mean * mean, np.where(c > 1, np.inf, np.nan))

    def _entropy(self, c: Any) -> Any:
        return 2.0 - np.log(c)


class InvGauss(Positive):
    """The inverse Gaussian distribution with mean mu: when a Brownian motion with drift arrives."""

    name = "invgauss"
    shapes = ("mu",)
    safe = (1.0,)

    def _logpdf(self, z: Any, mu: Any) -> Any:
        return -0.5 * math.log(2 * math.pi) - 1.5 * np.log(z) - 0.5 * ((z - mu) / mu) ** 2 / z

    def _tails(self, z: Any, mu: Any) -> tuple[Any, Any, Any]:
        """(argument of the first normal tail, logarithm of the second term, logarithm of the first of the other)."""
        root = 1 / np.sqrt(z)
        first = root * (z / mu - 1)
        return first, 2 / mu + sc("log_ndtr")(-root * (z / mu + 1)), sc("log_ndtr")(-first)

    def _logcdf(self, z: Any, mu: Any) -> Any:
        place, second, _ = self._tails(z, mu)
        first = sc("log_ndtr")(place)
        return first + np.log1p(np.exp(second - first))  # the second is the smaller one

    def _logsf(self, z: Any, mu: Any) -> Any:
        _, second, tail = self._tails(z, mu)
        return tail + log1mexp(second - tail)

    def _sf(self, z: Any, mu: Any) -> Any:
        return np.exp(self._logsf(z, mu))

    def _moments(self, mu: Any) -> tuple[Any, Any]:
        return mu, mu**3


class GenPareto(Continuous):
    """The generalised Pareto distribution: survival function (1 + cz)^(-1/c), exp(-z) for c = 0."""

    name = "genpareto"
    shapes = ("c",)
    safe = (0.1,)
    without_infinity = True

    def _valid(self, c: Any) -> Any:
        return np.isfinite(c)

    def _support(self, c: Any) -> tuple[Any, Any]:
        negative = c < 0
        return 0.0, np.where(negative, -1 / np.where(negative, c, -1.0), np.inf)

    def _inner(self, c: Any) -> Any:
        return 0.5 * np.minimum(self._support(c)[1], 1.0)

    def _logpdf(self, z: Any, c: Any) -> Any:
        return -(c + 1) * z * _LOG1P_OVER(c * z)

    def _cdf(self, z: Any, c: Any) -> Any:
        return -np.expm1(self._logsf(z, c))

    def _sf(self, z: Any, c: Any) -> Any:
        return np.exp(self._logsf(z, c))

    def _logcdf(self, z: Any, c: Any) -> Any:
        return log1mexp(self._logsf(z, c))

    def _logsf(self, z: Any, c: Any) -> Any:
        return -z * _LOG1P_OVER(c * z)

    def _ppf(self, q: Any, c: Any) -> Any:
        return _stretched(-log1p(-q), c)

    def _isf(self, q: Any, c: Any) -> Any:
        return _stretched(-log(q), c)

    def _moments(self, c: Any) -> tuple[Any, Any]:
        mean = or_infinite(1 - c, 1.0)
        return mean, or_infinite(1 - 2 * c, np.square(np.where(c < 1, mean, 1.0)))

    def _entropy(self, c: Any) -> Any:
        return 1.0 + c


def _stretched(y: Any, c: Any) -> Any:
    """(e^(cy) - 1)/c, smooth at c = 0."""
    end = np.isinf(y)
    inside = np.where(end, 0.0, y)
    limit = np.where((c == 0) | (c * y > 0), y, -1 / np.where(c == 0, 1.0, c))
    return np.where(end, limit, inside * sc("exprel")(c * inside))


class GenExtreme(Continuous):
    """The generalised extreme value distribution: exp(-(1 - cz)^(1/c)), Gumbel's for c = 0; SciPy's sign of c."""

    name = "genextreme"
    shapes = ("c",)
    safe = (0.1,)
    without_infinity = True

    def _valid(self, c: Any) -> Any:
        return np.isfinite(c)

    def _support(self, c: Any) -> tuple[Any, Any]:
        end = 1 / np.where(c == 0, 1.0, c)
        return np.where(c < 0, end, -np.inf), np.where(c > 0, end, np.inf)

    def _inner(self, c: Any) -> Any:
        return np.zeros_like(c)

    def _plain(self, z: Any, c: Any) -> Any:
        """The variable that has Gumbel's distribution."""
        return z * _LOG1P_OVER(-c * z)

    def _logpdf(self, z: Any, c: Any) -> Any:
        y = self._plain(z, c)
        return gumbel_r._logpdf(y) + c * y

    def _cdf(self, z: Any, c: Any) -> Any:
        return gumbel_r._cdf(self._plain(z, c))

    def _sf(self, z: Any, c: Any) -> Any:
        return gumbel_r._sf(self._plain(z, c))

    def _logcdf(self, z: Any, c: Any) -> Any:
        return gumbel_r._logcdf(self._plain(z, c))

    def _logsf(self, z: Any, c: Any) -> Any:
        return gumbel_r._logsf(self._plain(z, c))

    def _ppf(self, q: Any, c: Any) -> Any:
        return _stretched(gumbel_r._ppf(q), -c)

    def _isf(self, q: Any, c: Any) -> Any:
        return _stretched(gumbel_r._isf(q), -c)

    def _entropy(self, c: Any) -> Any:
        return np.euler_gamma * (1.0 - c) + 1.0


fisk, genextreme, genpareto = Fisk(), GenExtreme(), GenPareto()
invgauss, maxwell, rayleigh = InvGauss(), Maxwell(), Rayleigh()
