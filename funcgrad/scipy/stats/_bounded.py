"""Distributions between two ends: triangular, log-uniform, of powers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import Continuous, log, sc

__all__ = ["loguniform", "powerlaw", "reciprocal", "triang"]


class PowerLaw(Continuous):
    """A power of a uniform variable: density a z^(a - 1) on [0, 1]."""

    name = "powerlaw"
    open_below = True
    shapes = ("a",)
    safe = (1.0,)

    def _support(self, a: Any) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _logpdf(self, z: Any, a: Any) -> Any:
        return np.log(a) + sc("xlogy")(a - 1, z)

    def _cdf(self, z: Any, a: Any) -> Any:
        return np.power(z, a)

    def _logcdf(self, z: Any, a: Any) -> Any:
        return a * np.log(z)

    def _sf(self, z: Any, a: Any) -> Any:
        return -np.expm1(a * np.log(z))

    def _ppf(self, q: Any, a: Any) -> Any:
        return np.power(q, 1 / a)

    def _moments(self, a: Any) -> tuple[Any, Any]:
        return a / (a + 1), a / ((a + 2) * (a + 1) ** 2)

    def _entropy(self, a: Any) -> Any:
        return 1.0 - 1.0 / a - np.log(a)


class Triang(Continuous):
    """The triangular distribution on [0, 1] with its mode at c.

    >>> float(triang.cdf(0.25, 0.5))
    0.125
    """

    name = "triang"
    shapes = ("c",)
    safe = (0.5,)

    def _valid(self, c: Any) -> Any:
        return (c >= 0) & (c <= 1)

    def _support(self, c: Any) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _sides(self, z: Any, c: Any) -> tuple[Any, Any, Any, Any, Any]:
        """(left of the mode, place and width on the left, from the end and width on the right), harmless elsewhere."""
        left = (z < c) | (c == 1)
        return (left, np.where(left, z, 0.5), np.where(left, c, 1.0), np.where(left, 0.5, 1 - z),
                np.where(left, 1.0, 1 - c))  # fmt: skip

    def _logpdf(self, z: Any, c: Any) -> Any:
        left, low, below, high, above = self._sides(z, c)
        return np.where(left, log(low) - np.log(below), log(high) - np.log(above)) + math.log(2)

    def _cdf(self, z: Any, c: Any) -> Any:
        left, low, below, high, above = self._sides(z, c)
        return np.where(left, low * low / below, 1 - high * high / above)

    def _sf(self, z: Any, c: Any) -> Any:
        left, low, below, high, above = self._sides(z, c)
        return np.where(left, 1 - low * low / below, high * high / above)

    def _ppf(self, q: Any, c: Any) -> Any:
        left = q < c
        low, high = np.where(left, q * c, 0.25), np.where(left, 0.25, (1 - q) * (1 - c))
        return np.where(left, np.sqrt(low), 1 - np.sqrt(high))

    def _moments(self, c: Any) -> tuple[Any, Any]:
        return (1 + c) / 3, (1 - c + c * c) / 18

    def _entropy(self, c: Any) -> Any:
        return 0.5 - math.log(2)


class LogUniform(Continuous):
    """A variable whose logarithm is uniform, on [a, b]."""

    name = "loguniform"
    shapes = ("a", "b")
    safe = (1.0, 2.0)

    def _valid(self, a: Any, b: Any) -> Any:
        return (a > 0) & (b > a)

    def _support(self, a: Any, b: Any) -> tuple[Any, Any]:
        return a, b

    def _inner(self, a: Any, b: Any) -> Any:
        return 0.5 * (a + b)

    def _logpdf(self, z: Any, a: Any, b: Any) -> Any:
        return -np.log(z) - np.log(np.log(b) - np.log(a))

    def _cdf(self, z: Any, a: Any, b: Any) -> Any:
        return (np.log(z) - np.log(a)) / (np.log(b) - np.log(a))

    def _sf(self, z: Any, a: Any, b: Any) -> Any:
        return (np.log(b) - np.log(z)) / (np.log(b) - np.log(a))

    def _ppf(self, q: Any, a: Any, b: Any) -> Any:
        return np.exp((1 - q) * np.log(a) + q * np.log(b))

    def _moments(self, a: Any, b: Any) -> tuple[Any, Any]:
        width = np.log(b) - np.log(a)
        mean = (b - a) / width
        return mean, (b - a) * (b + a) / (2 * width) - mean * mean

    def _entropy(self, a: Any, b: Any) -> Any:
        return 0.5 * (np.log(a) + np.log(b)) + np.log(np.log(b) - np.log(a))


powerlaw, triang, loguniform = PowerLaw(), Triang(), LogUniform()
reciprocal = loguniform
