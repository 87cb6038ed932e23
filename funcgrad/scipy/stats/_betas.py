"""The beta distribution and its kin: Student's t and Fisher's F."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import Continuous, log1p_square, or_infinite, sc
from funcgrad.scipy.stats._tails import log_betainc

__all__ = ["beta", "f", "t"]

_LOG_2 = math.log(2.0)


def _from_odds(odds: Any, log_odds: Any) -> tuple[Any, Any]:
    """x = odds/(1 + odds) and log x, which keeps its digits for small and for large odds."""
    large = odds > 1
    rest = 1 / np.where(large, odds, 1.0)
    low = np.where(large, 1.0, odds)
    x = np.where(large, 1 / (1 + rest), low / (1 + low))
    return x, np.where(large, -np.log1p(rest), np.where(large, 0.0, log_odds) - np.log1p(low))


class Beta(Continuous):
    """The beta distribution: density z^(a - 1) (1 - z)^(b - 1) / B(a, b).

    >>> float(beta.logcdf(1e-300, 2.0, 3.0).round(4))
    -1379.7593
    """

    name = "beta"
    shapes = ("a", "b")
    safe = (1.0, 1.0)

    def _support(self, a: Any, b: Any) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _logpdf(self, z: Any, a: Any, b: Any) -> Any:
        return sc("xlog1py")(b - 1, -z) + sc("xlogy")(a - 1, z) - sc("betaln")(a, b)

    def _irregular(self, z: Any, a: Any, b: Any) -> Any:
        return (z == 0) | (z == 1)

    def _density(self, z: Any, a: Any, b: Any) -> Any:
        return np.power(z, a - 1) * np.power(1 - z, b - 1) * np.exp(-sc("betaln")(a, b))

    def _cdf(self, z: Any, a: Any, b: Any) -> Any:
        return sc("betainc")(a, b, z)

    def _sf(self, z: Any, a: Any, b: Any) -> Any:
        return sc("betaincc")(a, b, z)

    def _logcdf(self, z: Any, a: Any, b: Any) -> Any:
        return log_betainc(a, b, z, 1 - z, np.log(z), z / (1 - z))

    def _logsf(self, z: Any, a: Any, b: Any) -> Any:
        return log_betainc(b, a, 1 - z, z, np.log1p(-z), (1 - z) / z)

    def _ppf(self, q: Any, a: Any, b: Any) -> Any:
        return sc("betaincinv")(a, b, q)

    def _isf(self, q: Any, a: Any, b: Any) -> Any:
        return sc("betainccinv")(a, b, q)

    def _moments(self, a: Any, b: Any) -> tuple[Any, Any]:
        n = a + b
        return a / n, a * b / (n * n * (n + 1.0))

    def _entropy(self, a: Any, b: Any) -> Any:
        psi = sc("psi")
        return sc("betaln")(a, b) - (a - 1) * psi(a) - (b - 1) * psi(b) + (a + b - 2) * psi(a + b)


class StudentT(Continuous):
    """Student's distribution with df degrees of freedom."""

    name = "t"
    closed_quantiles = True
    shapes = ("df",)
    safe = (1.0,)

    def _logpdf(self, z: Any, df: Any) -> Any:
        ratio = np.log(sc("poch")(0.5 * df, np.asarray(0.5, df.dtype)))
        return ratio - 0.5 * np.log(math.pi * df) - 0.5 * (df + 1) * log1p_square(z / np.sqrt(df))

    def _cdf(self, z: Any, df: Any) -> Any:
        return sc("stdtr")(df, z)

    def _sf(self, z: Any, df: Any) -> Any:
        return sc("stdtr")(df, -z)

    def _logcdf(self, z: Any, df: Any) -> Any:
        far = z < -1
        w = np.where(far, z, -1.0).astype(z.dtype)
        root = np.sqrt(df) / w
        odds = root * root
        x, log_x = _from_odds(odds, np.log(df) - 2 * np.log(-w))
        tail = log_betainc(0.5 * df, np.asarray(0.5, z.dtype), x, 1 / (1 + odds), log_x, odds) - _LOG_2
        return np.where(far, tail, np.log1p(-sc("stdtr")(df, -np.where(far, 0.0, z))))

    def _logsf(self, z: Any, df: Any) -> Any:
        return self._logcdf(-z, df)

    def _ppf(self, q: Any, df: Any) -> Any:
        return sc("stdtrit")(df, q)

    def _isf(self, q: Any, df: Any) -> Any:
        return -sc("stdtrit")(df, q)

    def _moments(self, df: Any) -> tuple[Any, Any]:
        mean = np.where(df > 1, 0.0, np.inf)
        return mean, np.where(df > 1, or_infinite(df - 2, df), np.nan)

    def _entropy(self, df: Any) -> Any:
        half, psi = 0.5 * df, sc("psi")
        return (half + 0.5) * (psi(half + 0.5) - psi(half)) + 0.5 * np.log(df) + sc("betaln")(half, 0.5)


class FisherF(Continuous):
    """Fisher's distribution: the ratio of two chi-squared variables, each divided by its degrees of freedom."""

    name = "f"
    without_infinity = True
    closed_quantiles = True
    shapes = ("dfn", "dfd")
    safe = (2.0, 2.0)

    def _support(self, dfn: Any, dfd: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpdf(self, z: Any, dfn: Any, dfd: Any) -> Any:
        a, b, ratio = 0.5 * dfn, 0.5 * dfd, dfn / dfd
        return a * np.log(ratio) + sc("xlogy")(a - 1, z) - (a + b) * np.log1p(ratio * z) - sc("betaln")(a, b)

    def _irregular(self, z: Any, dfn: Any, dfd: Any) -> Any:
        return z == 0

    def _density(self, z: Any, dfn: Any, dfd: Any) -> Any:
        a, b, ratio = 0.5 * dfn, 0.5 * dfd, dfn / dfd
        return np.power(z, a - 1) * np.exp(a * np.log(ratio) - (a + b) * np.log1p(ratio * z) - sc("betaln")(a, b))

    def _cdf(self, z: Any, dfn: Any, dfd: Any) -> Any:
        return sc("fdtr")(dfn, dfd, z)

    def _sf(self, z: Any, dfn: Any, dfd: Any) -> Any:
        return sc("fdtrc")(dfn, dfd, z)

    def _logcdf(self, z: Any, dfn: Any, dfd: Any) -> Any:
        odds = dfn / dfd * z
        x, log_x = _from_odds(odds, np.log(odds))
        return log_betainc(0.5 * dfn, 0.5 * dfd, x, 1 / (1 + odds), log_x, odds)

    def _logsf(self, z: Any, dfn: Any, dfd: Any) -> Any:
        return self._logcdf(1 / z, dfd, dfn)

    def _ppf(self, q: Any, dfn: Any, dfd: Any) -> Any:
        return sc("fdtri")(dfn, dfd, q)

    def _isf(self, q: Any, dfn: Any, dfd: Any) -> Any:
        return np.reciprocal(sc("fdtri")(dfd, dfn, q))

    def _moments(self, dfn: Any, dfd: Any) -> tuple[Any, Any]:
        mean = or_infinite(dfd - 2, dfd)
        proper = np.where(dfd > 2, mean, 1.0)
        return mean, 2.0 * proper * proper * or_infinite(dfd - 4, (dfn + dfd - 2) / dfn)

    def _entropy(self, dfn: Any, dfd: Any) -> Any:
        a, b, psi = 0.5 * dfn, 0.5 * dfd, sc("psi")
        logs = np.log(dfd) - np.log(dfn) + sc("betaln")(a, b)
        return logs + (1 - a) * psi(a) - (1 + b) * psi(b) + (a + b) * psi(a + b)


beta, t, f = Beta(), StudentT(), FisherF()
