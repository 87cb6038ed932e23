"""Functions like (e^x - 1)/x, and their derivatives: a Taylor series near 0, elsewhere a recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.special.base import Chain, horner

__all__ = ["EXPREL", "LOG1P_OVER", "SINC", "divided"]


def divided(
    numerator: Callable[[int, Any], Any], coefficient: Callable[[int], float], radius: float, terms: int
) -> Any:
    """The derivatives of f(x) = n(x)/x, as for `Chain`: x f⁽ᵏ⁾ = n⁽ᵏ⁾ - k f⁽ᵏ⁻¹⁾, which would cancel near 0.

    Args:
        numerator: `numerator(k, x)`, the derivatives of n.
        coefficient: those of the Taylor series of f at 0.
        radius: up to where the series is used.
        terms: so many of it.
    """

    def compute(order: int, x: Any) -> Any:
        near = np.abs(x) < radius
        z = np.where(near, x, 0)
        taylor = [coefficient(k + order) * math.factorial(k + order) / math.factorial(k) for k in range(terms)]
        far = np.where(near, 1.0, x)
        value = numerator(0, far) / far
        for k in range(1, order + 1):
            value = (numerator(k, far) - k * value) / far
        return np.where(near, horner(taylor, z), value)

    return compute


def _log1p(k: int, x: Any) -> Any:
    return np.log1p(x) if k == 0 else (-1) ** (k - 1) * math.factorial(k - 1) / (1 + x) ** k


def _sine(k: int, x: Any) -> Any:
    return ((np.sin(x), np.cos(x), -np.sin(x), -np.cos(x))[k % 4]) if k else np.sin(x)


EXPREL = Chain(
    "exprel", divided(lambda k, x: np.exp(x) if k else np.expm1(x), lambda k: 1 / math.factorial(k + 1), 2.0, 30), 0
)
"""(e^x - 1)/x."""
LOG1P_OVER = Chain("log1p_over", divided(_log1p, lambda k: (-1) ** k / (k + 1), 0.35, 45), 0)
"""log(1 + x)/x."""
SINC = Chain(
    "sin_over",
    divided(_sine, lambda k: 0.0 if k % 2 else (-1) ** (k // 2) / math.factorial(k + 1), 2.0, 30),
    0,
)
"""sin(x)/x."""
