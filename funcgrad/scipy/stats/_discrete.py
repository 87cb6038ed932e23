"""Distributions on integers: Bernoulli, binomial, beta-binomial, geometric, negative binomial, Poisson."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.numpy._known import known
from funcgrad.scipy._needs import inexacts
from funcgrad.scipy.stats._base import Discrete, log1mexp, log1p, sc
from funcgrad.scipy.stats._tails import log_betainc, log_gammainc, log_gammaincc

__all__ = ["bernoulli", "betabinom", "binom", "geom", "nbinom", "poisson"]


def _probability(p: Any) -> Any:
    return (p >= 0) & (p <= 1)


def _ways(n: Any, k: Any) -> Any:
    """The logarithm of the binomial coefficient."""
    return -np.log1p(n) - sc("betaln")(n - k + 1, k + 1)


class Bernoulli(Discrete):
    """One trial: 1 with probability p.

    >>> bernoulli.pmf(np.array([0, 1, 2]), 0.25)
    array([0.75, 0.25, 0.  ])
    """

    name = "bernoulli"
    shapes = ("p",)
    safe = (0.5,)

    def _valid(self, p: Any) -> Any:
        return _probability(p)

    def _support(self, p: Any) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _logpmf(self, k: Any, p: Any) -> Any:
        return sc("xlogy")(k, p) + sc("xlog1py")(1 - k, -p)

    def _mass(self, k: Any, p: Any) -> Any:
        return np.where(k < 1, 1 - p, p)

    def _cdf(self, k: Any, p: Any) -> Any:
        return np.where(k < 1, 1 - p, 1.0)

    def _sf(self, k: Any, p: Any) -> Any:
        return np.where(k < 1, p, 0.0)

    def _guess(self, q: Any, p: Any) -> Any:
        return np.where(q <= 1 - p, 0.0, 1.0)

    def _moments(self, p: Any) -> tuple[Any, Any]:
        return p, p * (1.0 - p)

    def _entropy(self, p: Any) -> Any:
        return sc("entr")(p) + sc("entr")(1.0 - p)


class Binom(Discrete):
    """The number of successes in n trials."""

    name = "binom"
    shapes = ("n", "p")
    safe = (1.0, 0.5)

    def _valid(self, n: Any, p: Any) -> Any:
        return (n >= 0) & (n == np.floor(n)) & _probability(p)

    def _support(self, n: Any, p: Any) -> tuple[Any, Any]:
        return 0.0, n

    def _logpmf(self, k: Any, n: Any, p: Any) -> Any:
        return _ways(n, k) + sc("xlogy")(k, p) + sc("xlog1py")(n - k, -p)

    def _mass(self, k: Any, n: Any, p: Any) -> Any:
        return np.exp(_ways(n, k)) * np.power(p, k) * np.power(1 - p, n - k)

    def _cdf(self, k: Any, n: Any, p: Any) -> Any:
        return sc("betaincc")(k + 1, _positive(n - k), p)

    def _sf(self, k: Any, n: Any, p: Any) -> Any:
        return sc("betainc")(k + 1, _positive(n - k), p)

    def _logcdf(self, k: Any, n: Any, p: Any) -> Any:
        return _log_betainc(_positive(n - k), k + 1, 1 - p, p)

    def _logsf(self, k: Any, n: Any, p: Any) -> Any:
        return _log_betainc(k + 1, _positive(n - k), p, 1 - p)

    def _guess(self, q: Any, n: Any, p: Any) -> Any:
        edge = (p <= 0) | (p >= 1)
        inner = np.ceil(sc("bdtrik")(q, n, np.where(edge, 0.5, p)))
        return np.where(edge, np.where(p <= 0, 0.0, n), np.where(np.isnan(inner), 0.0, inner))

    def _moments(self, n: Any, p: Any) -> tuple[Any, Any]:
        return n * p, n * p * (1.0 - p)


def _positive(x: Any) -> Any:
    """x, or 1 where it is 0: at the end of the support, where the result is not used."""
    return np.where(x > 0, x, np.ones((), x.dtype))


def _log_betainc(a: Any, b: Any, x: Any, rest: Any) -> Any:
    """log I_x(a, b), given 1 - x too."""
    edge = (x <= 0) | (rest <= 0)
    one = np.asarray(0.5, x.dtype)
    y, z = np.where(edge, one, x), np.where(edge, one, rest)
    log_y = np.where(y < 0.5, np.log(y), np.log1p(-z))
    out = log_betainc(a, b, y, z, log_y, y / z)
    return np.where(edge, np.where(x <= 0, -np.inf, 0.0).astype(out.dtype), out)


class NBinom(Discrete):
    """The number of failures before the n-th success."""

    name = "nbinom"
    shapes = ("n", "p")
    safe = (1.0, 0.5)

    def _valid(self, n: Any, p: Any) -> Any:
        return (n > 0) & (p > 0) & (p <= 1)

    def _support(self, n: Any, p: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpmf(self, k: Any, n: Any, p: Any) -> Any:
        return -np.log(n + k) - sc("betaln")(n, k + 1) + n * np.log(p) + sc("xlog1py")(k, -p)

    def _mass(self, k: Any, n: Any, p: Any) -> Any:
        return np.exp(-np.log(n + k) - sc("betaln")(n, k + 1)) * np.power(p, n) * np.power(1 - p, k)

    def _cdf(self, k: Any, n: Any, p: Any) -> Any:
        return sc("betainc")(n, k + 1, p)

    def _sf(self, k: Any, n: Any, p: Any) -> Any:
        return sc("betaincc")(n, k + 1, p)

    def _logcdf(self, k: Any, n: Any, p: Any) -> Any:
        return _log_betainc(n, k + 1, p, 1 - p)

    def _logsf(self, k: Any, n: Any, p: Any) -> Any:
        return _log_betainc(k + 1, n, 1 - p, p)

    def _guess(self, q: Any, n: Any, p: Any) -> Any:
        edge = p >= 1
        inner = np.ceil(sc("nbdtrik")(q, n, np.where(edge, 0.5, p)))
        return np.where(edge | np.isnan(inner), 0.0, inner)

    def _moments(self, n: Any, p: Any) -> tuple[Any, Any]:
        mean = n * (1.0 - p) / p
        return mean, mean / p


def _rest(k: Any, p: Any) -> tuple[Any, Any, Any]:
    """Where p is 1, (1 - p)^k there, and the logarithm of this elsewhere."""
    sure = p == 1
    half = np.asarray(0.5, p.dtype)
    return sure, np.power(1 - np.where(sure, p, half), k), np.log1p(-np.where(sure, half, p)) * k


class Geom(Discrete):
    """The number of trials up to the first success."""

    name = "geom"
    shapes = ("p",)
    safe = (0.5,)

    def _valid(self, p: Any) -> Any:
        return (p > 0) & (p <= 1)

    def _support(self, p: Any) -> tuple[Any, Any]:
        return 1.0, np.inf

    def _logpmf(self, k: Any, p: Any) -> Any:
        return sc("xlog1py")(k - 1, -p) + np.log(p)

    def _mass(self, k: Any, p: Any) -> Any:
        return p * np.power(1 - p, k - 1)

    def _cdf(self, k: Any, p: Any) -> Any:
        sure, rest, log_rest = _rest(k, p)
        return np.where(sure, 1 - rest, -np.expm1(log_rest))

    def _sf(self, k: Any, p: Any) -> Any:
        sure, rest, log_rest = _rest(k, p)
        return np.where(sure, rest, np.exp(log_rest))

    def _logcdf(self, k: Any, p: Any) -> Any:
        sure, rest, log_rest = _rest(k, p)
        return np.where(sure, np.log1p(-rest), log1mexp(log_rest))

    def _logsf(self, k: Any, p: Any) -> Any:
        return log1p(-p) * k

    def _guess(self, q: Any, p: Any) -> Any:
        sure = p >= 1
        return np.where(sure, 1.0, np.ceil(np.log1p(-q) / np.log1p(-np.where(sure, 0.5, p))))

    def _moments(self, p: Any) -> tuple[Any, Any]:
        return 1.0 / p, (1.0 - p) / (p * p)

    def _entropy(self, p: Any) -> Any:
        return -np.log(p) - sc("xlog1py")(1.0 - p, -p) / p


class Poisson(Discrete):
    """The number of events of which mu are expected."""

    name = "poisson"
    shapes = ("mu",)
    safe = (1.0,)

    def _valid(self, mu: Any) -> Any:
        return mu >= 0

    def _support(self, mu: Any) -> tuple[Any, Any]:
        return 0.0, np.inf

    def _logpmf(self, k: Any, mu: Any) -> Any:
        return sc("xlogy")(k, mu) - sc("gammaln")(k + 1) - mu

    def _certain(self, parameter: Any) -> Any:
        return parameter == 0

    def _mass(self, k: Any, mu: Any) -> Any:
        return np.power(mu, k) * np.exp(-mu - sc("gammaln")(k + 1))

    def _cdf(self, k: Any, mu: Any) -> Any:
        return sc("gammaincc")(k + 1, mu)

    def _sf(self, k: Any, mu: Any) -> Any:
        return sc("gammainc")(k + 1, mu)

    def _logcdf(self, k: Any, mu: Any) -> Any:
        return log_gammaincc(k + 1, mu)

    def _logsf(self, k: Any, mu: Any) -> Any:
        return log_gammainc(k + 1, mu)

    def _guess(self, q: Any, mu: Any) -> Any:
        inner = np.ceil(sc("pdtrik")(q, np.where(mu > 0, mu, 1.0)))
        return np.where((mu > 0) & ~np.isnan(inner), inner, 0.0)

    def entropy(self, mu: Any, loc: Any = 0) -> Any:
        """The entropy in nats: a sum for mu up to 100, beyond it an expansion in 1/mu.

        >>> float(poisson.entropy(3.0).round(6))
        1.93147
        """
        mu = inexacts(mu, loc)[0]
        valid = mu >= 0
        few = mu <= 100
        small, large = np.where(valid & few, mu, 1.0), np.where(valid & ~few, mu, 1000.0)
        k = np.arange(2.0, 260.0).astype(mu.dtype)
        logs = sc("gammaln")(k + 1)
        weights = np.exp(sc("xlogy")(k, np.expand_dims(small, -1)) - logs - np.expand_dims(small, -1))
        exact = small - sc("xlogy")(small, small) + np.matmul(weights, logs)
        r: Any = 1 / large
        series = 0.5 * np.log(2 * math.pi * math.e * large)
        for k, c in enumerate((1 / 12, 1 / 24, 19 / 360, 9 / 80, 863 / 2520, 1375 / 1008), 1):
            series = series - c * r**k
        return np.where(valid, np.where(few, exact, series), np.nan)[()]

    def _moments(self, mu: Any) -> tuple[Any, Any]:
        return mu, mu


class BetaBinom(Discrete):
    """The number of successes in n trials whose probability has a beta distribution."""

    name = "betabinom"
    shapes = ("n", "a", "b")
    safe = (1.0, 1.0, 1.0)

    def _valid(self, n: Any, a: Any, b: Any) -> Any:
        return (n >= 0) & (n == np.floor(n)) & (a > 0) & (b > 0)

    def _support(self, n: Any, a: Any, b: Any) -> tuple[Any, Any]:
        return 0.0, n

    def _logpmf(self, k: Any, n: Any, a: Any, b: Any) -> Any:
        return _ways(n, k) + sc("betaln")(k + a, n - k + b) - sc("betaln")(a, b)

    def _masses(self, k: Any, n: Any, a: Any, b: Any, upper: bool) -> Any:
        """Sums of masses on one side of k; n must have a value."""
        most = int(np.max(known(n, "betabinom.cdf", "n is a plain number"), initial=0))
        j = np.arange(most + 1.0).astype(k.dtype)
        k, n, a, b = (np.expand_dims(x, -1) for x in (k, n, a, b))
        among = (j > k) & (j <= n) if upper else j <= np.minimum(k, n)
        logs = self._logpmf(np.where(among, j, 0.0), n, a, b)
        return np.sum(np.where(among, np.exp(logs), 0.0), axis=-1)

    def _cdf(self, k: Any, n: Any, a: Any, b: Any) -> Any:
        return self._masses(k, n, a, b, False)

    def _sf(self, k: Any, n: Any, a: Any, b: Any) -> Any:
        return self._masses(k, n, a, b, True)

    def _moments(self, n: Any, a: Any, b: Any) -> tuple[Any, Any]:
        p, total = a / (a + b), a + b
        return n * p, n * p * (1.0 - p) * (total + n) / (total + 1.0)


bernoulli, betabinom, binom = Bernoulli(), BetaBinom(), Binom()
geom, nbinom, poisson = Geom(), NBinom(), Poisson()
