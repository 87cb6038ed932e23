"""Derivatives of the incomplete gamma and beta functions by their parameters, by quadrature of the defining integrals.

With t = e^z or t = 1/(1 + e^-z) the integrands are exp(h(z)) with a concave h, and a derivative by a parameter brings a
polynomial in log t and log(1 - t) before it (a Bell polynomial). It is integrated from z(x) to that side on which the
polynomial keeps its sign, so that nothing cancels; ∂P(a, x)/∂a, say, to the left where log x < ψ(a), else to the right.
Gauss-Legendre panels cover the part where exp(h) is not negligible. Parameters below 1 are raised by the recurrences
DLMF 8.8.5 and 8.17.20-21, whose terms then have one sign. The integrals: DLMF 8.2, 8.17; the derivatives: R. J. Moore,
Algorithm AS 187 (1982), and R. J. Boik & J. F. Robison-Cox (1998), who use series instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.special.gammas import (
    beta_kernel,
    digamma_step,
    gamma_kernel,
    log_less_digamma,
    polygamma,
)
from funcgrad.ops.special.jets import bell

__all__ = ["beta_by_parameters", "beta_slopes", "gamma_by_parameter", "gamma_slopes", "integral", "reach"]

_NODES, _WEIGHTS = (half / 2 for half in np.polynomial.legendre.leggauss(40))  # on an interval of length 1 about 0

_DROP = 39.0  # e^-39 is half a rounding
_CHUNK = 2048


def reach(drop: Callable[[Any], tuple[Any, Any]], top: Any, width: Any) -> Any:
    """Where a concave function with values and slopes `drop(s)` has fallen by `_DROP` from its maximum, at `top` ≥ 0.

    Doubling, then Newton's method, which comes from the outer side and stays there.
    """
    target = drop(top)[0] - _DROP
    s = top + width
    for _ in range(60):
        above = drop(s)[0] > target
        if not np.any(above):
            break
        s = np.where(above, top + 2 * (s - top), s)
    for _ in range(6):
        value, slope = drop(s)
        s = s - np.where(slope < 0, (value - target) / np.where(slope < 0, slope, 1), 0)
    return s


def integral(reach: Any, integrand: Callable[[Any, Any], Any], panel: Any = 10.0) -> Any:
    """∫ from 0 to `reach` of `integrand(s, rows)`, where `rows` picks the points and s has one more axis.

    40 nodes are exact on a `panel` of three times the distance at which an integrand ceases to be analytic.
    """
    out = np.zeros_like(reach)
    finite = np.isfinite(reach)
    panels = np.ceil(np.where(finite, reach, 0) / panel).astype(int)
    out[~finite] = np.nan
    for p in range(int(panels.max(initial=0))):
        rows = np.flatnonzero(panels > p)
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            length = (reach[some] / panels[some])[:, None]
            s = (p + 0.5 + _NODES) * length
            out[some] += (integrand(s, some) @ _WEIGHTS) * length[:, 0]
    return out


# -------------------------------------------------------------------------------------------- incomplete gamma


def gamma_by_parameter(n: int, a: Any, x: Any) -> Any:
    """∂ⁿP(a, x)/∂aⁿ for n ≥ 1, a > 0, x ≥ 0; arrays of one dimension or more."""
    shape = a.shape
    a, x = a.ravel(), x.ravel()
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    out = np.where((a > 0) & (x >= 0) & ~np.isnan(a), 0.0, np.nan)
    at = np.flatnonzero(inside)
    if len(at):
        out[at] = _gamma_inside(n, a[at], x[at])
    return out.reshape(shape)


def gamma_slopes(first: Any, a: Any, n: int, column: bool = False) -> Callable[[int], Any]:
    """The derivatives by a of log(t^a / Γ(a)), of which the first is log t - ψ(a)."""
    terms = [polygamma(k, a) for k in range(1, n)]
    terms = [t[:, None] for t in terms] if column else terms
    return lambda k: first if k == 1 else -terms[k - 2]


def _gamma_inside(n: int, a: Any, x: Any) -> Any:
    raised = (a < 1) & (log_less_digamma(x, a + 1) < 0)
    up = np.where(raised, a + 1, a)
    first = log_less_digamma(x, up)
    left = first < 0
    sign = np.where(left, -1.0, 1.0)  # of z
    # P = ∫ kernel · exp(a·sz - x expm1(sz)) dz; the maximum of the exponent may lie a little to the right of x.
    top = np.maximum(sign * (np.log(up) - np.log(x)), 0)

    def drop(s: Any) -> tuple[Any, Any]:
        z = sign * s
        return up * z - x * np.expm1(z), sign * (up - x * np.exp(z))

    far = reach(drop, top, 4 / np.sqrt(up + x) + 1e-3)

    def integrand(s: Any, rows: Any) -> Any:
        z = sign[rows, None] * s
        weight = np.exp(up[rows, None] * z - x[rows, None] * np.expm1(z))
        return weight * bell((n,), gamma_slopes(first[rows, None] + z, up[rows], n, True))

    whole = -sign * gamma_kernel(up, x) * integral(far, integrand)
    # P(a, x) = P(a + 1, x) + x^a e^-x / Γ(a + 1)
    term = gamma_kernel(a, x) / a * bell((n,), gamma_slopes(log_less_digamma(x, a + 1), a + 1, n))
    return np.where(raised, whole + term, whole)


# --------------------------------------------------------------------------------------------- incomplete beta


def beta_by_parameters(order: tuple[int, int], a: Any, b: Any, x: Any) -> Any:
    """∂ⁱ⁺ʲI_x(a, b)/∂aⁱ∂bʲ for i + j ≥ 1, a, b > 0, 0 ≤ x ≤ 1; arrays of one dimension or more."""
    shape = x.shape
    a, b, x = a.ravel(), b.ravel(), x.ravel()
    proper = (a > 0) & (b > 0) & (x >= 0) & (x <= 1)
    out = np.where(proper, 0.0, np.nan)
    at = np.flatnonzero(proper & (x > 0) & (x < 1) & np.isfinite(a) & np.isfinite(b))
    if len(at):
        a, b, x = a[at], b[at], x[at]
        here = (x, 1 - x, np.log(x), np.log1p(-x))
        i, j = order
        if i:
            out[at] = _beta_inside(order, a, b, *here)
        else:  # I_x(a, b) = 1 - I_1-x(b, a)
            out[at] = -_beta_inside((j, i), b, a, here[1], here[0], here[3], here[2])
    return out.reshape(shape)


def beta_slopes(
    log_t: Any,
    log_u: Any,
    a: Any,
    b: Any,
    order: tuple[int, int],
    column: bool = False,
    more: tuple[int, int] = (0, 0),
) -> Callable[[int, int], Any]:
    """The derivatives by a and b of log(t^a u^b Γ(a + b) / Γ(a) Γ(b)), with Γ(a + 1) or Γ(b + 1) if `more` says so."""
    total = sum(order)
    by_a = [-polygamma(k, a + more[0]) + polygamma(k, a + b) for k in range(total)]
    by_b = [-polygamma(k, b + more[1]) + polygamma(k, a + b) for k in range(total)]
    both = [polygamma(k, a + b) for k in range(total)]
    by_a[0], by_b[0] = -digamma_step(0, a + more[0], b - more[0]), -digamma_step(0, b + more[1], a - more[1])
    if column:
        by_a, by_b, both = ([y[:, None] for y in ys] for ys in (by_a, by_b, both))

    def slope(p: int, q: int) -> Any:
        if q == 0:
            return by_a[p - 1] + (log_t if p == 1 else 0.0)
        if p == 0:
            return by_b[q - 1] + (log_u if q == 1 else 0.0)
        return both[p + q - 1]

    return slope


def _beta_inside(order: tuple[int, int], a: Any, b: Any, x: Any, y: Any, log_x: Any, log_y: Any) -> Any:
    """For i ≥ 1: by integrals on the side of x on which log t - ψ(a) + ψ(a + b) keeps its sign."""
    raise_a = (a < 1) & (log_x < digamma_step(0, a + 1, b))
    up_a = np.where(raise_a, a + 1, a)
    left = log_x < digamma_step(0, up_a, b)
    raise_b = ~left & (b < 1)
    up_b = np.where(raise_b, b + 1, b)
    left = log_x < digamma_step(0, up_a, up_b)
    sign, n = np.where(left, -1.0, 1.0), up_a + up_b
    top = np.maximum(sign * (np.log(up_a / up_b) - (log_x - log_y)), 0)

    def powers(s: Any, sign: Any, x: Any) -> tuple[Any, Any]:  # log(t/x) and log((1 - t)/(1 - x))
        z = sign * s
        fall = np.log1p(x * np.expm1(z))
        return z - fall, -fall

    def drop(s: Any) -> tuple[Any, Any]:
        z = sign * s
        t, u = powers(s, sign, x)
        return up_a * z + n * u, sign * (up_a - n * np.exp(log_x + t))

    far = reach(drop, top, 4 * np.sqrt(1 / up_a + 1 / up_b) + 1e-3)

    def integrand(s: Any, rows: Any) -> Any:
        t, u = powers(s, sign[rows, None], x[rows, None])
        aa, bb = up_a[rows], up_b[rows]
        weight = np.exp(aa[:, None] * (sign[rows, None] * s) + n[rows, None] * u)
        slopes = beta_slopes(log_x[rows, None] + t, log_y[rows, None] + u, aa, bb, order, True)
        return weight * bell(order, slopes)

    out = -sign * beta_kernel(up_a, up_b, x, y) * integral(far, integrand)
    # I(a, b) = I(a + 1, b) + x^a y^b / (a B(a, b)) = I(a, b + 1) - x^a y^b / (b B(a, b))
    term = -beta_kernel(up_a, b, x, y) / b * bell(order, beta_slopes(log_x, log_y, up_a, b, order, False, (0, 1)))
    out = np.where(raise_b, out + term, out)
    term = beta_kernel(a, b, x, y) / a * bell(order, beta_slopes(log_x, log_y, a, b, order, False, (1, 0)))
    return np.where(raise_a, out + term, out)
