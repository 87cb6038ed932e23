"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import Continuous, sc

__all__ = ["vonmises"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


class VonMises(Continuous):
    """Von Mises' distribution on a circle: density proportional to exp(kappa cos z).

    Outside of [-π, π] the density has its period, and `cdf` goes on rising by 1 with each turn, as in SciPy.

    >>> float(vonmises.cdf(0.0, 2.0).round(12))
    0.5
    """

    name = "vonmises"
    shapes = ("kappa",)
    safe = (1.0,)
    without_infinity = True

    def _valid(self, kappa: Any) -> Any:
        return kappa >= 0

    def _logpdf(self, z: Any, kappa: Any) -> Any:
        return kappa * sc("cosm1")(z) - np.log(2 * math.pi * sc("i0e")(kappa))

    def _tail(self, z: Any, kappa: Any) -> tuple[Any, Any]:
        """(number of turns to a place within half a turn of 0, probability of what is farther out on its side)."""
        turns = np.round(z / (2 * math.pi))
        size = np.abs(z - 2 * math.pi * turns)
        # Thirteen standard deviations on, nothing is left to integrate.
        end = np.minimum(size + 13 / np.sqrt(np.maximum(kappa, 1.0)), math.pi)
        half = 0.5 * (end - size)
        points = np.expand_dims(size, -1) + np.expand_dims(half, -1) * (1 + _NODES.astype(z.dtype))
        density = np.exp(self._logpdf(points, np.expand_dims(kappa, -1)))
        return turns, half * np.matmul(density, _WEIGHTS.astype(z.dtype))

    def _cdf(self, z: Any, kappa: Any) -> Any:
        turns, tail = self._tail(z, kappa)
        return turns + np.where(z < 2 * math.pi * turns, tail, 1 - tail)

    def _sf(self, z: Any, kappa: Any) -> Any:
        turns, tail = self._tail(z, kappa)
        return np.where(z < 2 * math.pi * turns, 1 - tail, tail) - turns

    def _moments(self, kappa: Any) -> tuple[Any, Any]:
        end = np.expand_dims(np.minimum(13 / np.sqrt(np.maximum(kappa, 1.0)), math.pi), -1)
        points = 0.5 * end * (1 + _NODES.astype(kappa.dtype))
        density = np.exp(self._logpdf(points, np.expand_dims(kappa, -1)))
        return 0.0, np.matmul(end * points * points * density, _WEIGHTS.astype(kappa.dtype))

    def _entropy(self, kappa: Any) -> Any:
        return kappa * (1 - sc("i1e")(kappa) / sc("i0e")(kappa)) - self._logpdf(np.zeros_like(kappa), kappa)


vonmises = VonMises()
