"""Bessel functions and their relatives, by their argument (DLMF 9, 10, 11); K also by its order, others not.

The scaled functions e^-|x| I, e^z K and e^∓iz H fall off slowly, and the formulas for their derivatives cancel more the
larger the argument; from where Hankel's expansions (DLMF 10.40) are exact, these are differentiated term by term.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.rules import Unknown
from funcgrad.ops.special.base import Chain, Pushes, by, limit, of_order, rules_of, sp
from funcgrad.ops.special.gamma_rules import real_only
from funcgrad.ops.special.quadrature import integral, reach
from funcgrad.ops.special.series import divided

__all__ = ["PUSHES", "TUPLES"]

ORDER = Unknown("the order v")
NUMBER = Unknown("the order n")


def _half_difference(name: str) -> Callable[..., Any]:
    """C'ᵥ = (Cᵥ₋₁ - Cᵥ₊₁)/2, for J, Y and H."""
    return lambda o, v, x: 0.5 * (getattr(sp(), name)(v - 1, x) - getattr(sp(), name)(v + 1, x))


def _half_sum(name: str, sign: float) -> Callable[..., Any]:
    """±(Cᵥ₋₁ + Cᵥ₊₁)/2, for I and K."""
    return lambda o, v, x: sign * 0.5 * (getattr(sp(), name)(v - 1, x) + getattr(sp(), name)(v + 1, x))


# ---------------------------------------------------------------------------------------------------- scaled functions


def _hankel_series(order: int, v: Any, z: Any, sign: float) -> Any:
    """A derivative of z^-1/2 times the sum of (±1)ᵏ aₖ(v)/zᵏ."""
    total, coefficient = np.zeros_like(z), np.ones_like(v)
    power = 1 / (np.sqrt(z) * z**order)
    for k in range(40):
        rising = math.prod(-(k + 0.5 + i) for i in range(order))
        term = coefficient * rising * power
        # The series is asymptotic: it is used where terms become negligible before they grow.
        total = total + np.where(np.abs(term) < 1e-20 * np.abs(total), 0, term)
        coefficient = coefficient * (sign * (4 * v * v - (2 * k + 1) ** 2) / (8 * (k + 1)))
        power = power / z
    return total


def _far(v: Any, z: Any) -> Any:
    return np.abs(z) > np.maximum(25.0, 0.6 * v * v)


def _by_recurrence(order: int, value: Callable[[Any], Any], v: Any, sign: float, scale: Any) -> Any:
    """d/dx of e^(∓x) Cᵥ(x): half the sum of the neighbours, less the function itself, `order` times."""
    total: Any = 0.0
    for k in range(order + 1):  # C⁽ᵏ⁾ = 2^-k times the binomial sum of C with v - k, v - k + 2, …
        inner = sum(math.comb(k, j) * value(v - k + 2 * j) for j in range(k + 1))
        total = total + math.comb(order, k) * scale ** (order - k) * (sign * 0.5) ** k * inner
    return total


def _scaled_i(order: int, v: Any, x: Any) -> Any:
    """Derivatives of e^-|x| Iᵥ(x); with the slope 0 of |x| at 0."""
    far = _far(v, x) & (x > 0)
    z = np.where(far, x, 100.0)
    outer = _hankel_series(order, np.where(far, v, 0.5), z, -1.0) / math.sqrt(2 * math.pi)
    near = np.where(far, 1.0, x)
    inner = _by_recurrence(order, lambda v: sp().ive(v, near), v, 1.0, -np.sign(near))
    return np.where(far, outer, inner)


def _scaled_i_odd(order: int, v: Any, x: Any) -> Any:
    """The same for negative x and integer v too: Iᵥ(-x) = ±Iᵥ(x)."""
    whole = (x < 0) & (v == np.round(v))
    sign = np.where(whole, (-1.0) ** order * (1 - 2 * np.remainder(v, 2)), 1.0)
    return sign * _scaled_i(order, v, np.where(whole, -x, x))


def _scaled_k(order: int, v: Any, z: Any) -> Any:
    """Derivatives of e^z Kᵥ(z)."""
    far = _far(v, z) & (z.real >= 0)
    w = np.where(far, z, 100.0)
    outer = _hankel_series(order, np.where(far, v, 0.5), w, 1.0) * math.sqrt(math.pi / 2)
    near = np.where(far, 1.0, z)
    return np.where(far, outer, _by_recurrence(order, lambda v: sp().kve(v, near), v, -1.0, 1.0))


def _k_by_order(scale: float) -> Any:
    """∂ⁱ/∂vⁱ ∂ʲ/∂zʲ of e^(scale z) Kᵥ(z), by quadrature of ∫ cosh(vt) e^(z (scale - cosh t)) dt (DLMF 10.32.9)."""

    def compute(order: tuple[int, int], v: Any, z: Any) -> Any:
        i, j = order
        inside = (z > 0) & np.isfinite(z) & np.isfinite(v)
        w, size = np.where(inside, z, 1.0).ravel(), np.abs(np.where(inside, v, 0.0)).ravel()

        def drop(t: Any) -> tuple[Any, Any]:
            return (size + j) * t - w * np.cosh(t), size + j - w * np.sinh(t)

        width = 1 / np.sqrt(np.hypot(size + j, w))
        end = reach(drop, np.arcsinh((size + j) / w), width)

        def integrand(t: Any, rows: Any) -> Any:
            u, x = size[rows, None] * t, w[rows, None]
            fall = x * (scale - np.cosh(t))
            waves = np.exp(fall + u) + (-1.0) ** i * np.exp(fall - u)
            return 0.5 * waves * t**i * (scale - np.cosh(t)) ** j

        out = integral(end, integrand, np.minimum(10 * width, 1.0)).reshape(np.shape(z))
        return np.where(inside, out * np.where(v < 0, (-1.0) ** i, 1.0), np.nan)

    return compute


def _by_order(chain: Chain) -> Callable[[int], Callable[..., Any]]:
    """Of the n-th derivative by z, the slope by the order; for real z."""

    def of(n: int) -> Callable[..., Any]:
        push = real_only(lambda g, o, v, z: chain[1, n](v, z), "argument z (for the order v)")
        return lambda o, v, z: push(o, o, v, z)

    return of


_K_BY, _KE_BY = Chain("kv_by", _k_by_order(0.0), 0, 1), Chain("kve_by", _k_by_order(1.0), 0, 1)
_IVE = Chain("ive", _scaled_i_odd, ORDER, 0)
_KVE = Chain("kve", lambda n, v, z: _scaled_k(n, v.real, z), of_order(_by_order(_KE_BY)), 0)


def _hankel_e(sign: int) -> Callable[..., Any]:
    """e^∓iz H(z) is ∓(2i/π) e^∓iπv/2 e^w Kᵥ(w) with w = ∓iz, where Re z > 0."""
    name, turn = ("hankel1e", -1j) if sign > 0 else ("hankel2e", 1j)

    def slope(o: Any, v: Any, z: Any) -> Any:
        right = np.real(z) > 0
        w, rest = np.where(right, z, 1.0), np.where(right, -1.0, z)
        scaled = -(2 / np.pi) * np.exp(0.5 * np.pi * turn * v) * _KVE[1](v, turn * w)
        return np.where(right, scaled, turn * getattr(sp(), name)(v, rest) + _half_difference(name)(o, v, rest))

    return slope


# -------------------------------------------------------------------------------------------------- Airy, scaled


def _airy_scaled(order: int, z: Any, sign: float) -> Any:
    """The derivatives of f = e^ζ Ai(z), or e^-ζ Bi(z) with `sign` 1, where ζ = 2z^(3/2)/3, up to the second."""
    values = sp().airye(z)
    e, e1 = values[:2] if sign < 0 else values[2:]
    if order == 0:
        return e
    root = np.sqrt(z)
    near = e1 - sign * root * e  # f'; and f'' = ∓(2 √z f' + f/(2√z))
    far = np.abs(z) > 12.0
    w = np.where(far, z, 12.0)
    # The expansion DLMF 9.7.5 in z^(-1/4 - 3k/2), term by term.
    total = np.zeros_like(w)
    zeta, coefficient = 2 / 3 * w * np.sqrt(w), 0.5 / math.sqrt(math.pi) * (1 if sign < 0 else 2)
    for k in range(24):
        p = -0.25 - 1.5 * k
        total = total + coefficient / zeta**k * w**-0.25 * (p / w if order == 1 else p * (p - 1) / (w * w))
        coefficient *= sign * (6 * k + 5) * (6 * k + 3) * (6 * k + 1) / (216 * (k + 1) * (2 * k + 1))
    return np.where(far, total, near if order == 1 else -sign * (2 * root * near + e / (2 * root)))


_AIRY_E = {
    sign: Chain("airye_ai" if sign < 0 else "airye_bi", lambda n, z, sign=sign: _airy_scaled(n, z, sign), 0)
    for sign in (-1.0, 1.0)
}


def _airye(sign: float, i: int) -> Callable[..., Any]:
    """f' for the function itself; e^±ζ times its slope has the derivative ±√z f'. Left of 0 nothing is scaled."""

    def slope(o: Any, z: Any) -> Any:
        right = np.real(z) > 0
        w, left = np.where(right, z, 1.0), np.where(right, 0.0, z)
        scaled = _AIRY_E[sign][1](w)
        if sign < 0:
            return scaled if i == 0 else np.sqrt(z) * scaled
        plain = sp().airy(left)
        return np.where(right, scaled if i == 0 else -np.sqrt(w) * scaled, plain[3] if i == 0 else left * plain[2])

    return slope


# ------------------------------------------------------------------------------------------------------- Struve, Kelvin


def _struve_slope(o: Any, v: Any, x: Any) -> Any:
    """H'ᵥ: near 0 by DLMF 11.4.27's sum, far out, where that cancels, by Hᵥ₋₁ - v/x Hᵥ (11.4.29)."""
    near = np.abs(x) <= 2 + np.abs(v)
    a, b = np.where(near, x, 1.0), np.where(near, 1.0, x)
    tail = (0.5 * a) ** v * sp().rgamma(v + 1.5) / math.sqrt(math.pi)
    inner = 0.5 * (sp().struve(v - 1, a) - sp().struve(v + 1, a) + tail)
    return np.where(near, inner, sp().struve(v - 1, b) - v / b * sp().struve(v, b))


def _modstruve_slope(o: Any, v: Any, x: Any) -> Any:
    tail = (0.5 * x) ** v * sp().rgamma(v + 1.5) / math.sqrt(math.pi)
    return 0.5 * (sp().modstruve(v - 1, x) + sp().modstruve(v + 1, x) + tail)


def _kelvin_second(value: Any, slope: Any, x: Any, at_0: Any) -> Any:
    """w'' from x² w'' + x w' = i x² w, where `value` is i w or its part; with the limit at 0."""
    zero = x == 0
    return limit(zero, at_0, value - slope / np.where(zero, 1.0, x), x)


def _gap(name: str, sign: float) -> Callable[[int, Any], Any]:
    """The derivatives of (1 - J₀(x))/x or (I₀(x) - 1)/x."""

    def numerator(k: int, x: Any) -> Any:
        value = sum(sign**j * math.comb(k, j) * getattr(sp(), name)(2 * j - k, x) for j in range(k + 1)) / 2**k
        return sign * (value - (k == 0))

    def coefficient(p: int) -> float:
        k = (p + 1) // 2
        return sign ** (k + 1) / (4**k * math.factorial(k) ** 2) if p % 2 else 0.0

    return divided(numerator, coefficient, 3.0, 44)


_J0_GAP, _I0_GAP = Chain("one_minus_j0", _gap("jv", -1.0), 0), Chain("i0_minus_one", _gap("iv", 1.0), 0)

# ----------------------------------------------------------------------------------------------------- the rules

UNSCALED: dict[str, Pushes] = {
    "j0": rules_of(lambda o, x: -sp().j1(x)),
    "j1": rules_of(lambda o, x: 0.5 * (sp().j0(x) - sp().jv(2, x))),
    "y0": rules_of(lambda o, x: -sp().y1(x)),
    "y1": rules_of(lambda o, x: 0.5 * (sp().y0(x) - sp().yv(2, x))),
    "i0": rules_of(lambda o, x: sp().i1(x)),
    "i1": rules_of(lambda o, x: 0.5 * (sp().i0(x) + sp().iv(2, x))),
    "k0": rules_of(lambda o, x: -sp().k1(x)),
    "k1": rules_of(lambda o, x: -0.5 * (sp().k0(x) + sp().kv(2, x))),
    "jv": rules_of(ORDER, _half_difference("jv")),
    "yv": rules_of(ORDER, _half_difference("yv")),
    "iv": rules_of(ORDER, _half_sum("iv", 1.0)),
    "kv": rules_of(_by_order(_K_BY)(0), _half_sum("kv", -1.0)),
    "yn": rules_of(NUMBER, lambda o, n, x: 0.5 * (sp().yv(n - 1, x) - sp().yv(n + 1, x))),
    "kn": rules_of(NUMBER, lambda o, n, x: -0.5 * (sp().kv(n - 1, x) + sp().kv(n + 1, x))),
    "hankel1": rules_of(ORDER, _half_difference("hankel1")),
    "hankel2": rules_of(ORDER, _half_difference("hankel2")),
    "struve": rules_of(ORDER, _struve_slope),
    "modstruve": rules_of(ORDER, _modstruve_slope),
}

SCALED: dict[str, Pushes] = {
    "i0e": rules_of(lambda o, x: _IVE[1](0, x)),
    "i1e": rules_of(lambda o, x: _IVE[1](1, x)),
    "k0e": rules_of(lambda o, x: _KVE[1](0, x)),
    "k1e": rules_of(lambda o, x: _KVE[1](1, x)),
    "kve": rules_of(_by_order(_KE_BY)(0), lambda o, v, z: _KVE[1](v, z)),
    "hankel1e": rules_of(ORDER, _hankel_e(1)),
    "hankel2e": rules_of(ORDER, _hankel_e(-1)),
    # These are scaled by e^-|Re z| or e^-|Im z|, which has no derivative by z.
    "ive": (ORDER, real_only(by(lambda o, v, x: _IVE[1](v, x)), "argument (the scale is not holomorphic)")),
    "jve": (ORDER, real_only(by(_half_difference("jve")), "argument (the scale is not holomorphic)")),
    "yve": (ORDER, real_only(by(_half_difference("yve")), "argument (the scale is not holomorphic)")),
}

SPHERICAL: dict[str, Pushes] = {
    "_spherical_jn": rules_of(NUMBER, lambda o, n, x: sp()._ufuncs._spherical_jn_d(n, x)),
    "_spherical_yn": rules_of(NUMBER, lambda o, n, x: sp()._ufuncs._spherical_yn_d(n, x)),
    "_spherical_in": rules_of(NUMBER, lambda o, n, x: sp()._ufuncs._spherical_in_d(n, x)),
    "_spherical_kn": rules_of(NUMBER, lambda o, n, x: sp()._ufuncs._spherical_kn_d(n, x)),
}


def _spherical_second(name: str, below: float, above: float) -> Callable[..., Any]:
    """(2n + 1) f'ₙ = ±n fₙ₋₁ ± (n + 1) fₙ₊₁ (DLMF 10.51), differentiated."""

    def slope(o: Any, n: Any, x: Any) -> Any:
        d = getattr(sp()._ufuncs, name)
        return (below * n * d(np.maximum(n - 1, 0), x) + above * (n + 1) * d(n + 1, x)) / (2 * n + 1)

    return slope


for _letter, _below, _above in (("j", 1.0, -1.0), ("y", 1.0, -1.0), ("i", 1.0, 1.0), ("k", -1.0, -1.0)):
    _name = f"_spherical_{_letter}n_d"
    SPHERICAL[_name] = rules_of(NUMBER, _spherical_second(_name, _below, _above))

KELVIN: dict[str, Pushes] = {
    "ber": rules_of(lambda o, x: sp().berp(x)),
    "bei": rules_of(lambda o, x: sp().beip(x)),
    "ker": rules_of(lambda o, x: sp().kerp(x)),
    "kei": rules_of(lambda o, x: sp().keip(x)),
    "berp": rules_of(lambda o, x: _kelvin_second(-sp().bei(x), o, x, 0.0)),
    "beip": rules_of(lambda o, x: _kelvin_second(sp().ber(x), o, x, 0.5)),
    "kerp": rules_of(lambda o, x: -sp().kei(x) - o / x),
    "keip": rules_of(lambda o, x: sp().ker(x) - o / x),
}

INTEGRALS: dict[str, Pushes] = {
    "itstruve0": rules_of(lambda o, x: sp().struve(0, x)),
    "it2struve0": rules_of(lambda o, x: -sp().struve(0, x) / x),
    "itmodstruve0": rules_of(lambda o, x: sp().modstruve(0, x)),
    "besselpoly": rules_of(
        lambda o, a, lam, nu: sp().besselpoly(a, lam + 1, nu - 1) - sp().besselpoly(a, lam + 1, nu + 1),
        Unknown("the power lmb"),
        Unknown("the order nu"),
    ),
}

PUSHES: dict[str, Pushes] = {**UNSCALED, **SCALED, **SPHERICAL, **KELVIN, **INTEGRALS}
"""The rules of these functions."""


def _each(*slopes: Callable[..., Any]) -> tuple[Pushes, ...]:
    return tuple((by(s),) for s in slopes)


TUPLES: dict[str, tuple[Pushes, ...]] = {
    "airy": _each(lambda o, z: o[1], lambda o, z: z * o[0], lambda o, z: o[3], lambda o, z: z * o[2]),
    "airye": (
        (by(_airye(-1.0, 0)),),
        (by(_airye(-1.0, 1)),),
        (real_only(by(_airye(1.0, 0)), "argument (the scale is not holomorphic)"),),
        (real_only(by(_airye(1.0, 1)), "argument (the scale is not holomorphic)"),),
    ),
    "itairy": _each(
        lambda o, x: sp().airy(x)[0],
        lambda o, x: sp().airy(x)[2],
        lambda o, x: sp().airy(-x)[0],
        lambda o, x: sp().airy(-x)[2],
    ),
    "itj0y0": _each(lambda o, x: sp().j0(x), lambda o, x: sp().y0(x)),
    "iti0k0": _each(lambda o, x: sp().i0(x), lambda o, x: sp().k0(x)),
    "it2j0y0": _each(lambda o, x: _J0_GAP[0](x), lambda o, x: -sp().y0(x) / x),
    "it2i0k0": _each(lambda o, x: _I0_GAP[0](x), lambda o, x: -sp().k0(x) / x),
    "kelvin": _each(
        lambda o, x: o[2],
        lambda o, x: o[3],
        lambda o, x: _kelvin_second(1j * o[0], o[2], x, 0.5j),
        lambda o, x: 1j * o[1] - o[3] / x,
    ),
}
"""The rules of the functions with several results."""
