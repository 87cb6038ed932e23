"""The normal distribution and its kin: half-normal, log-normal, truncated."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import Continuous, log, log1mexp, log1p, sc

__all__ = ["halfnorm", "lognorm", "norm", "skewnorm", "truncnorm"]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)
_LOG_2 = math.log(2.0)


class Norm(Continuous):
    """The normal distribution: density exp(-z²/2)/√(2π).

    >>> float(norm.logsf(40.0).round(4))
    -804.6084
    """

    name = "norm"

    def _logpdf(self, z: Any) -> Any:
        return -0.5 * (z * z) - _HALF_LOG_2PI

    def _cdf(self, z: Any) -> Any:
        return sc("ndtr")(z)

    def _sf(self, z: Any) -> Any:
        return sc("ndtr")(-z)

    def _logcdf(self, z: Any) -> Any:
        return sc("log_ndtr")(z)

    def _logsf(self, z: Any) -> Any:
        return sc("log_ndtr")(-z)

    def _ppf(self, q: Any) -> Any:
        return sc("ndtri")(q)

    def _isf(self, q: Any) -> Any:
        return -sc("ndtri")(q)

    def _moments(self) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _entropy(self) -> Any:
        return _HALF_LOG_2PI + 0.5


class HalfNorm(Continuous):
    """The absolute value of a normal variable."""

    name = "halfnorm"

    def _support(self) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpdf(self, z: Any) -> Any:
        return -0.5 * (z * z) - (_HALF_LOG_2PI - _LOG_2)

    def _cdf(self, z: Any) -> Any:
        return sc("erf")(z * math.sqrt(0.5))

    def _sf(self, z: Any) -> Any:
        return sc("erfc")(z * math.sqrt(0.5))

    def _logcdf(self, z: Any) -> Any:
        low = z < 1
        near, far = np.where(low, z, np.ones((), z.dtype)), np.where(low, np.ones((), z.dtype), z)
        return np.where(low, log(self._cdf(near)), np.log1p(-self._sf(far)))

    def _logsf(self, z: Any) -> Any:
        low = z < 1
        near, far = np.where(low, z, np.ones((), z.dtype)), np.where(low, np.ones((), z.dtype), z)
        return np.where(low, np.log1p(-self._cdf(near)), sc("log_ndtr")(-far) + _LOG_2)

    def _ppf(self, q: Any) -> Any:
        return sc("erfinv")(q) * math.sqrt(2.0)

    def _isf(self, q: Any) -> Any:
        return sc("erfcinv")(q) * math.sqrt(2.0)

    def _moments(self) -> tuple[Any, Any]:
        return math.sqrt(2 / math.pi), 1 - 2 / math.pi

    def _entropy(self) -> Any:
        return _HALF_LOG_2PI - _LOG_2 + 0.5


class LogNorm(Continuous):
    """The exponential of a normal variable with standard deviation s."""

    name = "lognorm"
    shapes = ("s",)
    safe = (1.0,)
    open_below = True

    def _support(self, s: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpdf(self, z: Any, s: Any) -> Any:
        y = np.log(z)
        return norm._logpdf(y / s) - np.log(s) - y

    def _cdf(self, z: Any, s: Any) -> Any:
        return norm._cdf(np.log(z) / s)

    def _sf(self, z: Any, s: Any) -> Any:
        return norm._sf(np.log(z) / s)

    def _logcdf(self, z: Any, s: Any) -> Any:
        return norm._logcdf(np.log(z) / s)

    def _logsf(self, z: Any, s: Any) -> Any:
        return norm._logsf(np.log(z) / s)

    def _ppf(self, q: Any, s: Any) -> Any:
        return np.exp(s * norm._ppf(q))

    def _isf(self, q: Any, s: Any) -> Any:
        return np.exp(-(s * norm._ppf(q)))

    def _moments(self, s: Any) -> tuple[Any, Any]:
        return np.exp(0.5 * s * s), np.expm1(s * s) * np.exp(s * s)

    def _entropy(self, s: Any) -> Any:
        return np.log(s) + (_HALF_LOG_2PI + 0.5)


class SkewNorm(Continuous):
    """The skew normal distribution: density 2 φ(z) Φ(az)."""

    name = "skewnorm"
    without_infinity = True
    shapes = ("a",)
    safe = (0.0,)

    def _valid(self, a: Any) -> Any:
        return np.isfinite(a)

    def _logpdf(self, z: Any, a: Any) -> Any:
        return _LOG_2 + norm._logpdf(z) + sc("log_ndtr")(a * z)

    def _tail(self, z: Any, a: Any) -> Any:
        """The logarithm of the probability of at most z ≤ 0, by quadrature outwards, where the density falls."""
        above = np.maximum(a, 0.0)
        rate = 1 + above * above
        end = 80 / rate / (-z + np.sqrt(z * z + 80 / rate))  # the density is e^-40 of that at z there
        s = np.expand_dims(0.5 * end, -1) * (1 + _NODES.astype(z.dtype))
        points, first = np.expand_dims(z, -1) - s, self._logpdf(z, a)
        fall = np.exp(self._logpdf(points, np.expand_dims(a, -1)) - np.expand_dims(first, -1))
        return first + np.log(0.5 * end * np.matmul(fall, _WEIGHTS.astype(z.dtype)))

    def _sides(self, z: Any, a: Any) -> tuple[Any, Any]:
        """(where z is negative, the logarithm of the probability of what is farther out on its side)."""
        z, a = np.broadcast_arrays(z, a)
        left = z < 0
        return left, self._tail(np.where(left, z, -z), np.where(left, a, -a))

    def _cdf(self, z: Any, a: Any) -> Any:
        left, tail = self._sides(z, a)
        return np.where(left, np.exp(tail), -np.expm1(tail))

    def _logcdf(self, z: Any, a: Any) -> Any:
        left, tail = self._sides(z, a)
        return np.where(left, tail, log1mexp(np.where(left, -1.0, tail)))

    def _sf(self, z: Any, a: Any) -> Any:
        return self._cdf(-z, -a)

    def _logsf(self, z: Any, a: Any) -> Any:
        return self._logcdf(-z, -a)

    def _moments(self, a: Any) -> tuple[Any, Any]:
        mean = math.sqrt(2 / math.pi) * a / np.hypot(1.0, a)
        return mean, 1 - mean * mean


def _log_mass(a: Any, b: Any) -> Any:
    """log(Φ(b) - Φ(a)) for a ≤ b, computed on the side on which both are small."""
    flip = a > 0
    low, high = np.where(flip, -b, a), np.where(flip, -a, b)
    whole = low == -np.inf
    top = sc("log_ndtr")(high)
    rest = sc("log_ndtr")(np.where(whole, np.minimum(high, 0.0) - 1.0, low)) - top
    return top + np.where(whole, 0.0, log1mexp(np.where(whole, -1.0, rest)))


class TruncNorm(Continuous):
    """A normal variable between a and b, which are given in units of `scale` from `loc`."""

    name = "truncnorm"
    shapes = ("a", "b")
    safe = (-1.0, 1.0)

    def _valid(self, a: Any, b: Any) -> Any:
        return a < b

    def _support(self, a: Any, b: Any) -> tuple[Any, Any]:
        return a, b

    def _inner(self, a: Any, b: Any) -> Any:
        low, high = np.maximum(a, np.minimum(b, 0.0) - 1.0), np.minimum(b, np.maximum(a, 0.0) + 1.0)
        return 0.5 * (low + high)

    def _logpdf(self, z: Any, a: Any, b: Any) -> Any:
        return norm._logpdf(z) - _log_mass(a, b)

    def _logcdf(self, z: Any, a: Any, b: Any) -> Any:
        low, high = _log_mass(a, z) - _log_mass(a, b), _log_mass(z, b) - _log_mass(a, b)
        return _smaller(low, high)

    def _logsf(self, z: Any, a: Any, b: Any) -> Any:
        low, high = _log_mass(a, z) - _log_mass(a, b), _log_mass(z, b) - _log_mass(a, b)
        return _smaller(high, low)

    def _sf(self, z: Any, a: Any, b: Any) -> Any:
        return np.exp(self._logsf(z, a, b))

    def _ppf(self, q: Any, a: Any, b: Any) -> Any:
        return _quantile(log(q), log1p(-q), a, b)

    def _isf(self, q: Any, a: Any, b: Any) -> Any:
        return _quantile(log1p(-q), log(q), a, b)

    def _mean(self, f: Callable[[Any], Any], a: Any, b: Any) -> Any:
        """The mean of a function of the distance to the mode; f has the points along a new last axis."""
        peak = np.clip(np.zeros_like(a), a, b)
        reach = 80 / (np.abs(peak) + np.sqrt(peak * peak + 80))  # the density is e^-40 of the mode's there
        low, high = np.maximum(a - peak, -reach), np.minimum(b - peak, reach)
        points = np.expand_dims(low, -1) + np.expand_dims(0.5 * (high - low), -1) * (1 + _NODES.astype(a.dtype))
        weights = np.exp(-points * (np.expand_dims(peak, -1) + 0.5 * points)) * _WEIGHTS.astype(a.dtype)
        return np.sum(weights * f(points), axis=-1) / np.sum(weights, axis=-1)

    def _moments(self, a: Any, b: Any) -> tuple[Any, Any]:
        distance = self._mean(lambda t: t, a, b)
        variance = self._mean(lambda t: (t - np.expand_dims(distance, -1)) ** 2, a, b)
        return np.clip(np.zeros_like(a), a, b) + distance, variance

    def _entropy(self, a: Any, b: Any) -> Any:
        peak = np.clip(np.zeros_like(a), a, b)
        rise = self._mean(lambda t: t * (np.expand_dims(peak, -1) + 0.5 * t), a, b)
        return rise - self._logpdf(peak, a, b)


def _smaller(own: Any, other: Any) -> Any:
    """The logarithm of a probability: of 1 minus the other one, where that is the smaller."""
    large = own > -0.1
    return np.where(large, np.log1p(-np.exp(np.where(large, np.minimum(other, -1e-3), -1.0))), own)


def _quantile(log_q: Any, log_p: Any, a: Any, b: Any) -> Any:
    """The quantile, from the logarithms of its probability and of the other one, on the side of the smaller mass."""
    right = a > 0
    end = sc("log_ndtr")(np.where(right, -b, a))
    log_mass = _log_mass(a, b)
    some = np.where(right, log_p, log_q) + log_mass
    none = end == -np.inf
    total = np.where(none, some, np.logaddexp(np.where(none, 0.0, end), some))
    out = sc("ndtri_exp")(np.minimum(total, 0.0))
    return np.clip(np.where(right, -out, out), a, b)


norm, halfnorm, lognorm, skewnorm, truncnorm = Norm(), HalfNorm(), LogNorm(), SkewNorm(), TruncNorm()
