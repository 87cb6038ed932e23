"""The gamma function's numerics: polygamma functions, their differences, and x^a e^-x/Γ(a) without cancellation.

Sources: DLMF 5.5, 5.11, 5.15 (recurrence, Stirling's series, polygamma functions); C. Loader, Fast and accurate
computation of binomial probabilities (2000), for densities as deviances and Stirling's error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad.ops.special.base import Chain, horner, of_order, sp

__all__ = [
    "BERNOULLI", "DIGAMMA_STEP", "POLYGAMMA", "beta_kernel", "deviance", "digamma_step", "gamma_kernel",
    "log_less_digamma", "polygamma",
    "stirling_error",
]  # fmt: skip

BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
    854513 / 138, -236364091 / 2730, 8553103 / 6, -23749461029 / 870, 8615841276005 / 14322,
)  # fmt: skip
"""B₂, B₄, …"""

_FAR = 18.0  # from here on Stirling's series are exact to a rounding, for derivatives of the first few orders too


# ------------------------------------------------------------------------------------------------------ polygamma


def _cotangents(n: int, z: Any) -> Any:
    """The n-th derivative of π cot(πz), a polynomial in the cotangent (DLMF 5.15.6); z is reduced to a period."""
    z = z - np.round(z.real)
    # Odd functions vanish at ±1/2, where the tangent overflows; elsewhere 1/tan is as good as it gets.
    half = np.abs(z) == 0.5
    c = np.where(half, 0, 1 / np.tan(np.pi * np.where(half, 0.25, z)))
    poly = [0.0, 1.0]
    for _ in range(n):  # dc/dz = -π (1 + c²)
        slope = [k * p for k, p in enumerate(poly)][1:]
        poly = [-(a + b) for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    return np.pi ** (n + 1) * horner(poly, c)


def _stirling(n: int, z: Any) -> Any:
    """Stirling's series of the n-th polygamma function, n ≥ 1 (DLMF 5.15.8)."""
    v = 1 / (z * z)
    series = [b * math.factorial(2 * k + n + 1) / math.factorial(2 * k + 2) for k, b in enumerate(BERNOULLI)]
    first = math.factorial(n - 1) + math.factorial(n) / (2 * z)
    return (-1) ** (n + 1) * (first + v * horner(series, v)) / z**n


def polygamma(n: int, z: Any) -> Any:
    """The n-th derivative of the digamma function, for real or complex arrays, left of the poles too."""
    if n == 0:
        return sp().psi(z)
    left = z.real < (0.5 if z.dtype.kind == "c" else 0)
    w = np.where(left, 1 - z, z)
    if w.dtype.kind == "f":
        out = (-1) ** (n + 1) * math.factorial(n) * sp().zeta(n + 1.0, w)
    else:
        shift, total = np.maximum(np.ceil(_FAR + n - w.real), 0), np.zeros_like(w)
        for k in range(int(_FAR) + n + 1):
            total = total + np.where(k < shift, 1 / np.where(k < shift, w + k, 1) ** (n + 1), 0)
        out = _stirling(n, w + shift) + (-1) ** (n + 1) * math.factorial(n) * total
    if not np.any(left):
        return out
    safe = np.where(left, z, -0.3)
    return np.where(left, (-1) ** n * out - _cotangents(n, safe), out)


POLYGAMMA = Chain("polygamma", polygamma, 0)
"""The derivatives of the digamma function."""


# ------------------------------------------------------------------------------------- ψ(a) - ψ(a + b), and its kin


def digamma_step(n: int, a: Any, b: Any) -> Any:
    """ψ⁽ⁿ⁾(a) - ψ⁽ⁿ⁾(a + b) without cancellation, where both arguments are positive; otherwise the difference."""
    plain = polygamma(n, a) - polygamma(n, a + b)
    plus = (a > 0) & (a + b > 0) & np.isfinite(a) & np.isfinite(b)
    near = plus & (np.abs(b) < 4 * a + 2)
    x, y = np.where(near, a, 1.0), np.where(near, b, 1.0)
    low, high = np.minimum(x, x + y), np.maximum(x, x + y)
    d = np.abs(y)
    shift, total = np.maximum(np.ceil(_FAR + n - low), 0), np.zeros_like(low)
    sign, size = (-1) ** n, math.factorial(n)
    for k in range(int(_FAR) + n + 1):  # each term is a difference of powers, all of one sign
        part = list(_falls(low + k, d, n + 1))[-1]
        total = total + np.where(k < shift, size * part, 0)
    total = total + _stirling_step(n, low + shift, d)
    step = -sign * np.where(x + y < x, -total, total)
    return np.where(near, np.where(high == low, 0.0, step), plain)


def _falls(x: Any, d: Any, most: int) -> Iterator[Any]:
    """x^-p - (x + d)^-p for p = 1 to `most`, as d/(x (x + d)) times a sum of products of both inverses."""
    u, v = 1 / x, 1 / (x + d)
    first = d * v * u
    total, power = 1.0, v
    yield first
    for _ in range(most - 1):
        total, power = u * total + power, power * v
        yield first * total


def _stirling_step(n: int, x: Any, d: Any) -> Any:
    """(-1)ⁿ (ψ⁽ⁿ⁾(x + d) - ψ⁽ⁿ⁾(x)) by the differences of the terms of Stirling's series."""
    fall = dict(enumerate(_falls(x, d, 2 * len(BERNOULLI) + n), 1))
    first = np.log1p(d / x) if n == 0 else math.factorial(n - 1) * fall[n]
    total = first + math.factorial(n) / 2 * fall[n + 1]
    for k, b in enumerate(BERNOULLI):
        p = 2 * k + 2 + n
        total = total + b * math.factorial(p - 1) / math.factorial(2 * k + 2) * fall[p]
    return total


def _by_b(n: int) -> Callable[..., Any]:
    return lambda o, a, b: -POLYGAMMA[n + 1](a + b)


DIGAMMA_STEP = Chain("digamma_step", digamma_step, 0, of_order(_by_b), expands=lambda n: n == 0)
"""ψ(a) - ψ(a + b), of two arguments."""


# --------------------------------------------------------------------------------------------------------- kernels


def stirling_error(a: Any) -> Any:
    """log Γ(a) - (a - 1/2) log a + a - log √(2π), for a > 0."""
    far = a > 15
    x = np.where(far, a, 15.0)
    v = 1 / (x * x)
    series = horner([b / ((2 * k + 1) * (2 * k + 2)) for k, b in enumerate(BERNOULLI[:10])], v) / x
    y = np.where(far, 1.0, a)
    direct = sp().gammaln(y) - (y - 0.5) * np.log(y) + y - 0.5 * math.log(2 * math.pi)
    return np.where(far, series, direct)


def log_less_digamma(x: Any, a: Any) -> Any:
    """log x - ψ(a) for positive numbers, without cancellation where x is near a large a."""
    near = (np.abs(x - a) < 0.5 * a) & (a > 15)
    far_a, gap = np.where(near, a, 15.0), np.where(near, x - a, 0.0)
    v = 1 / (far_a * far_a)
    series = 0.5 / far_a + v * horner([b / (2 * k + 2) for k, b in enumerate(BERNOULLI[:10])], v)
    return np.where(near, np.log1p(gap / far_a) + series, np.log(x) - sp().psi(a))


def deviance(x: Any, a: Any, gap: Any) -> Any:
    """a log(a/x) + x - a for positive numbers, from `gap` = x - a: no cancellation where they are near."""
    near = np.abs(gap) < 0.4 * a
    u = np.where(near, gap, 0) / a
    r = u / (2 + u)
    v = r * r
    # log(1 + u) = 2 artanh(r), and u - 2r = u r.
    series = a * (r * (u - 2 * v * horner([1 / (2 * k + 3) for k in range(16)], v)))
    return np.where(near, series, gap - a * (np.log(x) - np.log(a)))


def gamma_kernel(a: Any, x: Any) -> Any:
    """x^a e^-x / Γ(a), for a > 0 and x ≥ 0."""
    safe = np.where(x > 0, x, 1)
    return np.where(x > 0, np.sqrt(a / (2 * np.pi)) * np.exp(-stirling_error(a) - deviance(safe, a, safe - a)), 0.0)


def beta_kernel(a: Any, b: Any, x: Any, y: Any) -> Any:
    """x^a y^b / B(a, b) for a, b > 0 and y = 1 - x, both in [0, 1]."""
    inside = (x > 0) & (y > 0)
    x, y = np.where(inside, x, 0.5), np.where(inside, y, 0.5)
    n = a + b
    gap = b * x - a * y  # n x - a
    rest = stirling_error(n) - stirling_error(a) - stirling_error(b)
    far = -deviance(n * x, a, gap) - deviance(n * y, b, -gap)
    return np.where(inside, np.sqrt(a * (b / n) / (2 * np.pi)) * np.exp(rest + far), 0.0)
