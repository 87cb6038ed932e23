"""Student's distribution: its derivatives by the degrees of freedom, by quadrature.

As a beta distribution the two ways on which the degrees of freedom act nearly cancel when there are many. The logarithm
of the density has a derivative by ν that can be written without that, and it is integrated from t to the side on which
it keeps its sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.errors import InconclusiveRuleError
from funcgrad.ops.special.base import Chain, horner, of_order
from funcgrad.ops.special.gammas import BERNOULLI, polygamma, stirling_error
from funcgrad.ops.special.quadrature import integral, reach
from funcgrad.ops.special.series import LOG1P_OVER

__all__ = ["student_by_df", "student_density"]


def _norm_slope(n: int, v: Any) -> Any:
    """The derivatives, n = 0 and 1, of ψ((ν + 1)/2) - ψ(ν/2) - 1/ν, which is about 1/(2ν²)."""
    far = v > 40
    x = np.where(far, v, 40.0) / 2
    w = 1 / (x * x)
    # From the duplication formula: the sum of B₂ₖ (1 - 4^-k) / (k x^2k).
    terms = [b * (1 - 0.25 ** (k + 1)) / (k + 1) for k, b in enumerate(BERNOULLI[:10])]
    if n == 0:
        series = w * horner(terms, w)
    else:
        series = -w / x * horner([(k + 1) * c for k, c in enumerate(terms)], w)  # dx/dν = 1/2
    y = np.where(far, 1.0, v)
    half = (polygamma(n, (y + 1) / 2) - polygamma(n, y / 2)) / 2**n
    return np.where(far, series, half - (1 / y if n == 0 else -1 / (y * y)))


def _log_slopes(n: int, v: Any, log_w: Any, norm: Any) -> Any:
    """The first and second derivative by ν of the logarithm of the density, where log(t²/ν) is `log_w`.

    `norm` is the same derivative of the logarithm of its norm.
    """
    q = 1 / (1 + np.exp(-log_w))  # w/(1 + w)
    if n == 2:
        return 0.5 * (norm + q * q / v - (2 * q * (1 - q) + q * q) / (v * v))
    w = np.exp(np.minimum(log_w, 0))
    kink = np.where(log_w < 0, w * w * LOG1P_OVER.compute(1, w), q - np.logaddexp(0, log_w))  # w/(1 + w) - log(1 + w)
    return 0.5 * (norm + kink + q / v)


def _ratio(n: int, v: Any, log_w: Any, norms: list[Any]) -> Any:
    """∂ⁿf/∂νⁿ / f."""
    if n == 0:
        return 1.0
    if n > 2:
        raise InconclusiveRuleError("only two derivatives with respect to the degrees of freedom are known here")
    first = _log_slopes(1, v, log_w, norms[0])
    return first if n == 1 else first * first + _log_slopes(2, v, log_w, norms[1])


def _density(n: int, v: Any, t: Any) -> Any:
    """The n-th derivative by ν of the density."""
    x = v / 2
    norm = np.exp(x * np.log1p(0.5 / x) - 0.5 + stirling_error(x + 0.5) - stirling_error(x)) / math.sqrt(2 * math.pi)
    f = norm * np.exp(-(v + 1) / 2 * np.log1p(t / v * t))
    return f * _ratio(n, v, 2 * np.log(np.abs(t)) - np.log(v), [_norm_slope(k, v) for k in range(n)])


def _by_df(n: int, v: Any, t: Any) -> Any:
    """∂ⁿF/∂νⁿ, an odd function of t."""
    shape = t.shape
    v, t = v.ravel(), t.ravel()
    out = np.where((v > 0) & ~np.isnan(t), 0.0, np.nan)
    at = np.flatnonzero((v > 0) & np.isfinite(v) & np.isfinite(t) & (t != 0))
    if len(at):
        out[at] = np.sign(t[at]) * _by_df_right(n, v[at], np.abs(t[at]))
    return out.reshape(shape)


def _by_df_right(n: int, v: Any, t: Any) -> Any:
    norms = [_norm_slope(k, v) for k in range(n)]
    f, log_w, half = _density(0, v, t), 2 * np.log(t) - np.log(v), (v + 1) / 2
    left = (_log_slopes(1, v, log_w, norms[0]) > 0 if n == 1 else t < 1) & (log_w < 4)
    level = np.logaddexp(0, log_w)

    def weighed(s: Any, log_u: Any, rows: Any) -> Any:  # with u = t e^log_u
        vv, at = v[rows, None], log_w[rows, None] + 2 * log_u
        power = -half[rows, None] * (np.logaddexp(0, at) - level[rows, None])
        return np.exp(s + power) * _ratio(n, vv, at, [x[rows, None] for x in norms])

    def drop(s: Any) -> tuple[Any, Any]:
        at = log_w + 2 * s
        return s - half * (np.logaddexp(0, at) - level), 1 - (v + 1) / (1 + np.exp(-at))

    # To the left from 0, in panels no longer than the distance √ν of the poles; to the right over the logarithm.
    inner = integral(
        np.where(left, 1.0, 0.0), lambda s, rows: weighed(0.0, np.log(s), rows), np.minimum(1, 4 * np.sqrt(v) / t)
    )
    top = np.maximum(-0.5 * (log_w + np.log(v)), 0)  # where t² e^2s = 1
    far = np.where(left, 0.0, reach(drop, top, 4 / np.sqrt(v + 1) + 1e-3))
    outer = integral(far, lambda s, rows: weighed(s, s, rows), 5.0)
    return t * f * np.where(left, inner, -outer)


def _density_t(n: int) -> Callable[..., Any]:
    def slope(o: Any, v: Any, t: Any) -> Any:
        below = v + t * t
        total = -(v + 1) * t / below * o
        if n == 1:
            total = total + t * (1 - t * t) / (below * below) * DENSITY[0](v, t)
        elif n > 1:
            raise InconclusiveRuleError("only two derivatives with respect to the degrees of freedom are known here")
        return total

    return slope


DENSITY = Chain("student_density", _density, 0, of_order(_density_t))
BY_DF = Chain("stdtr", _by_df, 0, of_order(lambda n: lambda o, v, t: DENSITY[n](v, t)))


def student_density(v: Any, t: Any) -> Any:
    """The density of Student's distribution."""
    return DENSITY[0](v, t)


def student_by_df(v: Any, t: Any) -> Any:
    """The derivative of the distribution function by the degrees of freedom."""
    return BY_DF[1](v, t)
