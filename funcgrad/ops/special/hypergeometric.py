"""Derivatives of hypergeometric functions by their parameters: the series, in truncated Taylor arithmetic.

The series 0F1, 1F1 and 2F1 (DLMF 16.2.1) of positive terms lose nothing. Left of 0 they alternate; there Kummer's
transformation (DLMF 13.2.39) and Pfaff's (15.8.1) lead to such ones. Where a series has lost half of its digits, or is
not at its end after `_TERMS` terms (2F1 close to 1), the derivative is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ops.special.base import Chain
from funcgrad.ops.special.jets import Jet, derivative, variables

__all__ = ["HYP0F1", "HYP1F1", "HYP2F1"]

_TERMS = 4000


def _largest(jet: Jet) -> Any:
    return np.max([np.abs(c) + np.zeros(np.shape(jet.value)) for c in jet.c.values()], axis=0)


def _sum(above: Sequence[Jet], below: Sequence[Jet], z: Any, zero: Jet) -> Jet:
    """Σ Π(a)ₙ/Π(b)ₙ zⁿ/n! for jets a and b; NaN where it is lost."""
    term = zero + 1.0
    total, most, quiet = term, _largest(term), np.zeros(np.shape(z), int)
    for n in range(_TERMS):
        for a in above:
            term = term * (a + n)
        for b in below:
            term = term / (b + n)
        term = term * (z / (n + 1))
        total, size = total + term, _largest(term)
        most = np.maximum(most, size)
        quiet = np.where(size <= 1e-17 * _largest(total), quiet + 1, 0)
        if np.all((quiet > 3) | ~np.isfinite(size)):
            break
    good = (quiet > 3) & (most < 1e8 * _largest(total))
    return total + np.where(good, 0.0, np.nan)


def _rising(a: Jet, k: int) -> Jet:
    """(a)ₖ"""
    out = a * 0.0 + 1.0
    for i in range(k):
        out = out * (a + i)
    return out


def _hyp0f1(order: tuple[int, int], v: Any, z: Any) -> Any:
    i, k = order
    (b,) = variables((i,), v)
    return derivative(_sum([], [b + k], z, b * 0.0) / _rising(b, k), (i,))


def _hyp1f1(order: tuple[int, int, int], a: Any, b: Any, z: Any) -> Any:
    i, j, k = order
    p, q = variables((i, j), a, b)
    left = np.real(z) < 0
    scale = np.where(left, np.exp(np.where(left, z, 0.0)), 1.0)
    first = _where(left, q - p, p + k)
    out = _sum([first], [q + k], np.where(left, -z, z), p * 0.0) * scale
    return derivative(out * _rising(p, k) / _rising(q, k), (i, j))


def _hyp2f1(order: tuple[int, int, int, int], a: Any, b: Any, c: Any, z: Any) -> Any:
    i, j, m, k = order
    p, q, r = variables((i, j, m), a, b, c)
    left = np.real(z) < 0
    inside = left | (np.abs(z) < 1)
    x = np.where(inside, z, 0.5)
    scale = ((p + k) * np.where(left, -np.log(np.where(left, 1 - x, 1.0)), 0.0)).exp()
    place = np.where(left, x / np.where(left, x - 1, 1.0), x)
    out = _sum([p + k, _where(left, r - q, q + k)], [r + k], place, p * 0.0) * scale
    out = out * _rising(p, k) * _rising(q, k) / _rising(r, k)
    return np.where(inside, derivative(out, (i, j, m)), np.nan)


def _where(condition: Any, x: Jet, y: Jet) -> Jet:
    return Jet({i: np.where(condition, x.c.get(i, 0.0), y.c.get(i, 0.0)) for i in {*x.c, *y.c}}, x.degree)


HYP0F1 = Chain("hyp0f1_by", _hyp0f1, 0, 1)
HYP1F1 = Chain("hyp1f1_by", _hyp1f1, 0, 1, 2)
HYP2F1 = Chain("hyp2f1_by", _hyp2f1, 0, 1, 2, 3)
