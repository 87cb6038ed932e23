"""The error function, the normal distribution, Dawson's, Faddeeva's and Fresnel's integrals.

Their scaled relatives have derivatives that fall off faster than the terms of the formulas for them: erfcx'(z) =
2z erfcx(z) - 2/√π, say. Far out those are computed from asymptotic series, differentiated term by term (DLMF 7.12).
Otherwise the formulas are those of DLMF 7.10.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.special.base import Chain, Pushes, by, function, rules_of, sp

__all__ = ["PUSHES", "SCALED", "TUPLES"]

_2_SQRT_PI = 2.0 / math.sqrt(math.pi)
_SQRT_PI_2 = math.sqrt(math.pi) / 2.0
_SQRT_2PI = math.sqrt(2.0 * math.pi)
_SQRT_2_PI = math.sqrt(2.0 / math.pi)
_SQRT_PI_OVER_2 = math.sqrt(math.pi / 2.0)
_SQRT_HALF = math.sqrt(0.5)

_FAR = 7.0  # from here on the asymptotic series are exact to e^-49


# ------------------------------------------------------------------------------ scaled functions and their derivatives


def _asymptotic(order: int, z: Any, sign: float) -> Any:
    """A derivative of the sum of (±1)ᵏ (2k - 1)!! / (2ᵏ z^(2k + 1))."""
    total, coefficient = np.zeros_like(z), 1.0
    power = (-1.0) ** order / z ** (order + 1)
    w = 1 / (z * z)
    for k in range(26):
        rising = math.prod(range(2 * k + 1, 2 * k + 1 + order))
        total = total + coefficient * rising * power
        coefficient *= sign * (2 * k + 1) / 2
        power = power * w
    return total


def _recurrence(order: int, z: Any, value: Any, sign: float, constant: float) -> Any:
    """The derivatives of a solution of f' = ±2z f ∓ c: f⁽ᵏ⁺¹⁾ = ±2 (z f⁽ᵏ⁾ + k f⁽ᵏ⁻¹⁾)."""
    before, here = value, 2 * sign * z * value - sign * constant
    if order == 0:
        return value
    for k in range(1, order):
        before, here = here, 2 * sign * (z * here + k * before)
    return here


def _scaled(order: int, z: Any) -> Any:
    """The derivatives of erfcx: of the right half plane; left of it erfcx(z) = 2 e^z² - erfcx(-z)."""
    far = np.abs(z) >= _FAR
    left = far & (z.real < 0)
    near = np.where(far, 0, z)
    out = _recurrence(order, near, sp().erfcx(near), 1.0, _2_SQRT_PI)
    w = np.where(far, np.where(left, -z, z), _FAR)
    outer = _asymptotic(order, w, -1.0) / math.sqrt(math.pi)
    grown = np.where(left, z, 0)
    growth = 2 * _recurrence(order, grown, np.exp(grown * grown), 1.0, 0.0)
    outer = np.where(left, growth - (-1) ** order * outer, outer)
    return np.where(far, outer, out)


SCALED = Chain("erfcx", _scaled, 0)
"""e^z² erfc(z)."""


def _faddeeva(order: int, z: Any) -> Any:
    return (-1j) ** order * _scaled(order, -1j * z)


FADDEEVA = Chain("wofz", _faddeeva, 0)


def faddeeva(order: int, z: Any) -> Any:
    """The derivatives of w(z) = erfcx(-iz); z is made complex."""
    return FADDEEVA[order](z + 0j)


def _dawson(order: int, z: Any) -> Any:
    """The derivatives of Dawson's integral; off the real axis it is i √π/2 (e^-z² - w(z)), or the same of -z."""
    far = np.abs(z) >= _FAR
    near = np.where(far, 0, z)
    out = _recurrence(order, near, sp().dawsn(near), -1.0, 1.0)
    if z.dtype.kind != "c":
        return np.where(far, 0.5 * _asymptotic(order, np.where(far, z, _FAR), 1.0), out)
    low = z.imag < 0
    w = np.where(far, np.where(low, -z, z), _FAR)
    decay = _recurrence(order, w, np.exp(-w * w), -1.0, 0.0)
    outer = 1j * _SQRT_PI_2 * (decay - _faddeeva(order, w))
    return np.where(far, np.where(low, -((-1) ** order), 1) * outer, out)


DAWSON = Chain("dawsn", _dawson, 0)


# ------------------------------------------------------------------------------------------------------ the hazard


def _hazard_value(x: Any) -> Any:
    """φ(x)/Φ(x)."""
    right = x.real > 0
    u = np.where(right, 0, -_SQRT_HALF * x)
    v = np.where(right, x, 0)
    return np.where(right, np.exp(-0.5 * v * v) / (_SQRT_2PI * sp().ndtr(v)), _SQRT_2_PI / sp().erfcx(u))


def _hazard_excess(x: Any) -> Any:
    """x + φ(x)/Φ(x), which is about -1/x far to the left."""
    left = x.real < 0
    u = np.where(left, -_SQRT_HALF * x, 0)
    return np.where(left, -_SQRT_HALF * _scaled(1, u) / sp().erfcx(u), x + _hazard_value(x))


_HAZARD = function("normal_hazard", _hazard_value, lambda o, x: -o * _EXCESS.bind(x))
# h = x + r has h' = 1 - r h, where r h → 1 far to the left: the derivative of -E'/(√2 E), with E = erfcx(-x/√2).
_EXCESS = function("normal_hazard_excess", _hazard_excess, lambda o, x: _EXCESS_SLOPE.bind(x))


def _excess_slope(x: Any) -> Any:
    left = x.real < 0
    u = np.where(left, -_SQRT_HALF * x, 0)
    e, e1, e2 = sp().erfcx(u), _scaled(1, u), _scaled(2, u)
    return np.where(left, 0.5 * (e2 * e - e1 * e1) / (e * e), 1 - _hazard_value(x) * _hazard_excess(x))


def _excess_second(o: Any, x: Any) -> Any:
    r, h = _HAZARD.bind(x), _EXCESS.bind(x)
    return r * (h * h - o)


_EXCESS_SLOPE = function("normal_hazard_excess_slope", _excess_slope, _excess_second)


def _density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / _SQRT_2PI


# --------------------------------------------------------------------------------------------------------- Voigt


def _voigt_at(order: int, x: Any, sigma: Any, gamma: Any) -> tuple[Any, Any]:
    """w⁽ⁿ⁾(z) at z = (x + iγ)/(σ√2), and 1/(σ√2)."""
    scale = _SQRT_HALF / sigma
    return faddeeva(order, (x + 1j * gamma) * scale), scale


def _voigt_x(o: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    w, scale = _voigt_at(1, x, sigma, gamma)
    return np.real(w) * (scale * scale / math.sqrt(math.pi))


def _voigt_sigma(o: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    """The heat equation: ∂V/∂σ = σ ∂²V/∂x²."""
    w, scale = _voigt_at(2, x, sigma, gamma)
    return np.real(w) * (scale * scale * _SQRT_HALF / math.sqrt(math.pi))


def _voigt_gamma(o: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    w, scale = _voigt_at(1, x, sigma, gamma)
    return -np.imag(w) * (scale * scale / math.sqrt(math.pi))


PUSHES: dict[str, Pushes] = {
    "erf": rules_of(lambda o, x: _2_SQRT_PI * np.exp(-x * x)),
    "erfc": rules_of(lambda o, x: -_2_SQRT_PI * np.exp(-x * x)),
    "erfcx": rules_of(lambda o, x: SCALED[1](x)),
    "erfi": rules_of(lambda o, x: _2_SQRT_PI * np.exp(x * x)),
    "erfinv": rules_of(lambda o, x: _SQRT_PI_2 * np.exp(o * o)),
    "erfcinv": rules_of(lambda o, x: -_SQRT_PI_2 * np.exp(o * o)),
    "dawsn": rules_of(lambda o, x: DAWSON[1](x)),
    "wofz": rules_of(lambda o, z: faddeeva(1, z)),
    "ndtr": rules_of(lambda o, x: _density(x)),
    "log_ndtr": rules_of(lambda o, x: _HAZARD.bind(x)),
    "ndtri": rules_of(lambda o, p: _SQRT_2PI * np.exp(0.5 * o * o)),
    "ndtri_exp": rules_of(lambda o, y: _SQRT_PI_OVER_2 * sp().erfcx(-_SQRT_HALF * o)),
    "owens_t": rules_of(
        lambda o, h, a: -np.exp(-0.5 * h * h) * sp().erf(_SQRT_HALF * a * h) / (2 * _SQRT_2PI),
        lambda o, h, a: np.exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a)),
    ),
    "voigt_profile": rules_of(_voigt_x, _voigt_sigma, _voigt_gamma),
}
"""The rules of these functions."""


def _modified(sign: int) -> tuple[Pushes, ...]:
    """F± = ∫ e^±it² dt from x to ∞, and K± = erfcx(e^∓iπ/4 x)/2."""
    root = complex(_SQRT_HALF, -sign * _SQRT_HALF)
    return (
        rules_of(lambda o, x: -np.exp(sign * 1j * (x * x))),
        rules_of(lambda o, x: 0.5 * root * SCALED[1](root * x)),
    )


TUPLES: dict[str, tuple[Pushes, ...]] = {
    "fresnel": (
        (by(lambda o, x: np.sin(0.5 * math.pi * (x * x))),),
        (by(lambda o, x: np.cos(0.5 * math.pi * (x * x))),),
    ),
    "modfresnelp": _modified(1),
    "modfresnelm": _modified(-1),
}
"""The rules of the functions with several results."""
