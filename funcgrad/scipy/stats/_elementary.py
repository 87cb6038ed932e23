"""Distributions whose functions are elementary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import Continuous, log, log1mexp, log1p, log1p_square, or_infinite, sc

__all__ = ["cauchy", "expon", "gumbel_l", "gumbel_r", "laplace", "logistic", "pareto", "uniform", "weibull_min",
           "wrapcauchy"]  # fmt: skip

_LOG_2, _LOG_PI = math.log(2.0), math.log(math.pi)


class Positive(Continuous):
    """What is on the positive numbers."""

    def _support(self, *shapes: Any) -> tuple[Any, Any]:
        return 0.0, np.inf


def _log_of_rise(log_t: Any, t: Any) -> Any:
    """log(1 - exp(-t)), given log t as well, which is what is left for small t."""
    small = t < 1
    u = np.where(small, t, 1.0)
    return np.where(small, log_t + np.log(sc("exprel")(-u)), np.log1p(-np.exp(-np.where(small, 1.0, t))))


class Expon(Positive):
    """The exponential distribution: density exp(-z).

    >>> float(expon.logpdf(2.0, scale=0.5).round(4))
    -3.3069
    """

    name = "expon"

    def _logpdf(self, z: Any) -> Any:
        return -z

    def _cdf(self, z: Any) -> Any:
        return -np.expm1(-z)

    def _sf(self, z: Any) -> Any:
        return np.exp(-z)

    def _logcdf(self, z: Any) -> Any:
        return log1mexp(-z)

    def _logsf(self, z: Any) -> Any:
        return -z

    def _ppf(self, q: Any) -> Any:
        return -log1p(-q)

    def _isf(self, q: Any) -> Any:
        return -log(q)

    def _moments(self) -> tuple[Any, Any]:
        return 1.0, 1.0

    def _entropy(self) -> Any:
        return 1.0


class Uniform(Continuous):
    """The uniform distribution on [loc, loc + scale]."""

    name = "uniform"

    def _support(self) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _logpdf(self, z: Any) -> Any:
        return z * 0.0

    def _cdf(self, z: Any) -> Any:
        return z

    def _logcdf(self, z: Any) -> Any:
        return np.log(z)

    def _logsf(self, z: Any) -> Any:
        return np.log1p(-z)

    def _ppf(self, q: Any) -> Any:
        return q

    def _moments(self) -> tuple[Any, Any]:
        return 0.5, 1 / 12

    def _entropy(self) -> Any:
        return 0.0


class Laplace(Continuous):
    """The two-sided exponential distribution: density exp(-|z|)/2."""

    name = "laplace"

    def _logpdf(self, z: Any) -> Any:
        return -np.abs(z) - _LOG_2

    def _cdf(self, z: Any) -> Any:
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, tail, 1.0 - tail)

    def _sf(self, z: Any) -> Any:
        return self._cdf(-z)

    def _logcdf(self, z: Any) -> Any:
        left = z < 0
        return np.where(left, z - _LOG_2, np.log1p(-0.5 * np.exp(-np.where(left, 0.0, z))))

    def _logsf(self, z: Any) -> Any:
        return self._logcdf(-z)

    def _ppf(self, q: Any) -> Any:
        left = q < 0.5
        return np.where(left, log(2 * np.where(left, q, 0.5)), -log(2 * (1 - np.where(left, 0.5, q))))

    def _isf(self, q: Any) -> Any:
        return -self._ppf(q)

    def _moments(self) -> tuple[Any, Any]:
        return 0.0, 2.0

    def _entropy(self) -> Any:
        return 1.0 + _LOG_2


class Logistic(Continuous):
    """The logistic distribution: distribution function 1/(1 + exp(-z))."""

    name = "logistic"

    def _logpdf(self, z: Any) -> Any:
        return sc("log_expit")(z) + sc("log_expit")(-z)

    def _cdf(self, z: Any) -> Any:
        return sc("expit")(z)

    def _sf(self, z: Any) -> Any:
        return sc("expit")(-z)

    def _logcdf(self, z: Any) -> Any:
        return sc("log_expit")(z)

    def _logsf(self, z: Any) -> Any:
        return sc("log_expit")(-z)

    def _ppf(self, q: Any) -> Any:
        return sc("logit")(q)

    def _isf(self, q: Any) -> Any:
        return -sc("logit")(q)

    def _moments(self) -> tuple[Any, Any]:
        return 0.0, math.pi**2 / 3

    def _entropy(self) -> Any:
        return 2.0


class Cauchy(Continuous):
    """Cauchy's distribution: density 1/(π (1 + z²))."""

    name = "cauchy"
    closed_quantiles = True

    def _logpdf(self, z: Any) -> Any:
        return -log1p_square(z) - _LOG_PI

    def _cdf(self, z: Any) -> Any:
        return np.arctan2(np.ones((), z.dtype), -z) * (1 / math.pi)

    def _sf(self, z: Any) -> Any:
        return np.arctan2(np.ones((), z.dtype), z) * (1 / math.pi)

    def _logcdf(self, z: Any) -> Any:
        return self._logsf(-z)

    def _logsf(self, z: Any) -> Any:
        right = z > 0
        far = log(self._sf(np.where(right, z, np.ones((), z.dtype))))
        return np.where(right, far, np.log1p(-self._cdf(np.where(right, np.zeros((), z.dtype), z))))

    def _ppf(self, q: Any) -> Any:
        return -self._isf(q)

    def _isf(self, q: Any) -> Any:
        tiny = q < 1e-9  # beneath this cotdg is infinite before its value is
        return np.where(tiny, 1 / (math.pi * np.where(tiny, q, 1.0)), sc("cotdg")(180.0 * np.where(tiny, 0.5, q)))

    def _moments(self) -> tuple[Any, Any]:
        return math.nan, math.nan

    def _entropy(self) -> Any:
        return math.log(4 * math.pi)


class Pareto(Continuous):
    """Pareto's distribution: density b/z^(b + 1) for z ≥ 1."""

    name = "pareto"
    shapes = ("b",)
    safe = (1.0,)

    def _support(self, b: Any) -> tuple[Any, Any]:
        return 1.0, np.inf

    def _inner(self, b: Any) -> Any:
        return 2.0

    def _logpdf(self, z: Any, b: Any) -> Any:
        return np.log(b) - (b + 1) * np.log(z)

    def _cdf(self, z: Any, b: Any) -> Any:
        return -np.expm1(-(b * np.log(z)))

    def _sf(self, z: Any, b: Any) -> Any:
        return np.power(z, -b)

    def _logcdf(self, z: Any, b: Any) -> Any:
        return log1mexp(-(b * np.log(z)))

    def _logsf(self, z: Any, b: Any) -> Any:
        return -(b * np.log(z))

    def _ppf(self, q: Any, b: Any) -> Any:
        return np.exp(-log1p(-q) / b)

    def _isf(self, q: Any, b: Any) -> Any:
        return np.exp(-log(q) / b)

    def _moments(self, b: Any) -> tuple[Any, Any]:
        mean = or_infinite(b - 1, b)
        return mean, or_infinite(b - 2, mean / np.where(b > 1, b - 1, 1.0))

    def _entropy(self, b: Any) -> Any:
        return 1.0 + 1.0 / b - np.log(b)


class WeibullMin(Positive):
    """Weibull's distribution: survival function exp(-z^c)."""

    name = "weibull_min"
    without_infinity = True
    shapes = ("c",)
    safe = (1.0,)

    def _logpdf(self, z: Any, c: Any) -> Any:
        return np.log(c) + sc("xlogy")(c - 1, z) - np.power(z, c)

    def _irregular(self, z: Any, c: Any) -> Any:
        return z == 0

    def _density(self, z: Any, c: Any) -> Any:
        return c * np.power(z, c - 1) * np.exp(-np.power(z, c))

    def _cdf(self, z: Any, c: Any) -> Any:
        return -np.expm1(-np.power(z, c))

    def _sf(self, z: Any, c: Any) -> Any:
        return np.exp(-np.power(z, c))

    def _logcdf(self, z: Any, c: Any) -> Any:
        return _log_of_rise(c * np.log(z), np.power(z, c))

    def _logsf(self, z: Any, c: Any) -> Any:
        return -np.power(z, c)

    def _ppf(self, q: Any, c: Any) -> Any:
        return np.power(-log1p(-q), 1 / c)

    def _isf(self, q: Any, c: Any) -> Any:
        return np.power(-log(q), 1 / c)

    def _moments(self, c: Any) -> tuple[Any, Any]:
        mean, square = (np.exp(sc("gammaln")(1.0 + k / c)) for k in (1, 2))
        return mean, square - mean * mean

    def _entropy(self, c: Any) -> Any:
        return np.euler_gamma * (1.0 - 1.0 / c) - np.log(c) + 1.0


def _fall(z: Any) -> Any:
    """exp(-z), as far as exp(-exp(-z)) tells it from infinity."""
    return np.exp(np.minimum(-z, 7.0))


class GumbelR(Continuous):
    """Gumbel's distribution of maxima: distribution function exp(-exp(-z))."""

    name = "gumbel_r"
    without_infinity = True

    def _logpdf(self, z: Any) -> Any:
        return -(z + np.exp(-z))

    def _irregular(self, z: Any) -> Any:
        return z < -7

    def _density(self, z: Any) -> Any:
        return 0.0 * z

    def _cdf(self, z: Any) -> Any:
        return np.exp(-_fall(z))

    def _sf(self, z: Any) -> Any:
        return -np.expm1(-_fall(z))

    def _logcdf(self, z: Any) -> Any:
        return -np.exp(-z)

    def _logsf(self, z: Any) -> Any:
        return _log_of_rise(-z, _fall(z))

    def _ppf(self, q: Any) -> Any:
        return -log(-log(q))

    def _isf(self, q: Any) -> Any:
        return -log(-log1p(-q))

    def _moments(self) -> tuple[Any, Any]:
        return np.euler_gamma, math.pi**2 / 6

    def _entropy(self) -> Any:
        return np.euler_gamma + 1.0


class GumbelL(Continuous):
    """Gumbel's distribution of minima: survival function exp(-exp(z))."""

    name = "gumbel_l"
    without_infinity = True

    def _logpdf(self, z: Any) -> Any:
        return gumbel_r._logpdf(-z)

    def _irregular(self, z: Any) -> Any:
        return gumbel_r._irregular(-z)

    def _density(self, z: Any) -> Any:
        return gumbel_r._density(-z)

    def _cdf(self, z: Any) -> Any:
        return gumbel_r._sf(-z)

    def _sf(self, z: Any) -> Any:
        return gumbel_r._cdf(-z)

    def _logcdf(self, z: Any) -> Any:
        return gumbel_r._logsf(-z)

    def _logsf(self, z: Any) -> Any:
        return gumbel_r._logcdf(-z)

    def _ppf(self, q: Any) -> Any:
        return -gumbel_r._isf(q)

    def _isf(self, q: Any) -> Any:
        return -gumbel_r._ppf(q)

    def _moments(self) -> tuple[Any, Any]:
        return -np.euler_gamma, math.pi**2 / 6

    def _entropy(self) -> Any:
        return np.euler_gamma + 1.0


class WrapCauchy(Continuous):
    """Cauchy's distribution wrapped around a circle, on [0, 2π]; 0 < c < 1."""

    name = "wrapcauchy"
    shapes = ("c",)
    safe = (0.5,)

    def _valid(self, c: Any) -> Any:
        return (c > 0) & (c < 1)

    def _support(self, c: Any) -> tuple[Any, Any]:
        return 0.0, 2 * math.pi

    def _logpdf(self, z: Any, c: Any) -> Any:
        return np.log1p(-c * c) - math.log(2 * math.pi) - np.log1p(c * c - 2 * c * np.cos(z))

    def _cdf(self, z: Any, c: Any) -> Any:
        half = 0.5 * z
        return np.arctan2((1 + c) * np.sin(half), (1 - c) * np.cos(half)) * (1 / math.pi)

    def _sf(self, z: Any, c: Any) -> Any:
        half = 0.5 * z
        return np.arctan2((1 + c) * np.sin(half), (c - 1) * np.cos(half)) * (1 / math.pi)

    def _logcdf(self, z: Any, c: Any) -> Any:
        first = z < math.pi
        low, high = np.where(first, z, 1.0), np.where(first, 4.0, z)
        return np.where(first, log(self._cdf(low, c)), np.log1p(-self._sf(high, c)))

    def _logsf(self, z: Any, c: Any) -> Any:
        first = z < math.pi
        low, high = np.where(first, z, 1.0), np.where(first, 4.0, z)
        return np.where(first, np.log1p(-self._cdf(low, c)), log(self._sf(high, c)))

    def _ppf(self, q: Any, c: Any) -> Any:
        turn = math.pi * q
        return 2 * np.arctan2((1 - c) * np.sin(turn), (1 + c) * np.cos(turn))

    def _moments(self, c: Any) -> tuple[Any, Any]:
        # The density around π is (1 + 2 Σ (-c)ᵏ cos kz)/2π; the sum of cᵏ/k² is the dilogarithm.
        return math.pi, math.pi**2 / 3 + 4 * sc("spence")(1 - c)

    def _entropy(self, c: Any) -> Any:
        return np.log1p(-c * c) + math.log(2 * math.pi)


expon, uniform, laplace, logistic, cauchy = Expon(), Uniform(), Laplace(), Logistic(), Cauchy()
pareto, weibull_min, gumbel_r, gumbel_l, wrapcauchy = Pareto(), WeibullMin(), GumbelR(), GumbelL(), WrapCauchy()
