"""Elliptic integrals and functions, and exponential, sine and cosine integrals (DLMF 6, 19, 22).

The formulas of DLMF 19.4 cancel for small m and have 0/0 at m = 0. Carlson's integrals do not: with c = cos φ and
s = sin φ, F = s R_F(c², 1 - m s², 1), and the derivative of an R by an argument is another R. Derivatives of these are
computed by his duplication theorem on jets (DLMF 19.26, 19.36; B. C. Carlson, Numerical computation of real or complex
elliptic integrals, 1995).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.rules import Unknown
from funcgrad.ops.special.base import Chain, Pushes, by, of_order, rules_of, sp
from funcgrad.ops.special.gamma_rules import real_only
from funcgrad.ops.special.jets import Jet, derivative, variables
from funcgrad.ops.special.series import LOG1P_OVER, SINC, divided

__all__ = ["PUSHES", "TUPLES"]

# ---------------------------------------------------------------------------------------------- Carlson's integrals


def _spread(*xs: Any) -> Any:
    """How far the arguments of a symmetric integral are from their mean."""
    mean = sum(xs) / len(xs)
    return np.max([np.max(np.abs(x - mean) / np.abs(mean)) for x in xs])


def _series_f(a: Any, dx: Any, dy: Any, dz: Any) -> Any:
    """R_F about its mean: DLMF 19.36.1."""
    e2, e3 = dx * dy + dy * dz + dz * dx, dx * dy * dz
    return (1 + e2 * (-1 / 10) + e3 * (1 / 14) + e2 * e2 * (1 / 24) + e2 * e3 * (-3 / 44)
            + e2 * e2 * e2 * (-5 / 208) + e3 * e3 * (3 / 104) + e2 * e2 * e3 * (1 / 16)) * a.power(-0.5)  # fmt: skip


def _series_d(a: Any, dx: Any, dy: Any, dz: Any) -> Any:
    """R_D about its mean, dx + dy + 3 dz = 0: DLMF 19.36.2 with p = z."""
    xyz = (dx, dy, dz, dz, dz)
    e = _elementary(xyz)
    return _series_five(e) * a.power(-1.5)


def _elementary(xs: Any) -> list[Any]:
    """The elementary symmetric functions of degree 2 to 5."""
    poly: list[Any] = [1.0]
    for x in xs:
        poly = [*(p if i == 0 else p + poly[i - 1] * x for i, p in enumerate(poly)), poly[-1] * x]
    return poly[2:]


def _series_five(e: list[Any]) -> Any:
    e2, e3, e4, e5 = e
    low = 1 + e2 * (-3 / 14) + e3 * (1 / 6) + e2 * e2 * (9 / 88) + e4 * (-3 / 22) + e2 * e3 * (-9 / 52) + e5 * (3 / 26)
    high = e2 * e2 * e2 * (-1 / 16) + e3 * e3 * (3 / 40) + e2 * e4 * (3 / 20) + e2 * e2 * e3 * (45 / 272)
    return low + high + (e3 * e4 + e2 * e5) * (-9 / 68)


_STEPS = 60  # each divides distances by four until the series are exact, to the eighth power of what is left


def _carlson_f(order: tuple[int, ...], x: Any, y: Any, z: Any) -> Any:
    """The derivatives of R_F(x, y, z)."""
    jets = variables(order, x, y, z)
    return derivative(_duplicate_f(*jets), order)


def _duplicate_f(x: Jet, y: Jet, z: Jet) -> Jet:
    for _ in range(_STEPS):
        rx, ry, rz = x.sqrt(), y.sqrt(), z.sqrt()
        lam = rx * ry + ry * rz + rz * rx
        x, y, z = (x + lam) * 0.25, (y + lam) * 0.25, (z + lam) * 0.25
        if _spread(x.value, y.value, z.value) < 3e-4:
            break
    a = (x + y + z) * (1 / 3)
    return _series_f(a, 1 - x / a, 1 - y / a, 1 - z / a)


def _carlson_d(order: tuple[int, ...], x: Any, y: Any, z: Any) -> Any:
    """The derivatives of R_D(x, y, z)."""
    return derivative(_duplicate_d(*variables(order, x, y, z)), order)


def _duplicate_d(x: Jet, y: Jet, z: Jet) -> Jet:
    total, scale = x * 0.0, 1.0
    for _ in range(_STEPS):
        rx, ry, rz = x.sqrt(), y.sqrt(), z.sqrt()
        lam = rx * ry + ry * rz + rz * rx
        total = total + 3 * scale / (rz * (z + lam))
        scale /= 4
        x, y, z = (x + lam) * 0.25, (y + lam) * 0.25, (z + lam) * 0.25
        if _spread(x.value, y.value, z.value) < 3e-4:
            break
    a = (x + y + 3 * z) * 0.2
    return total + scale * _series_d(a, 1 - x / a, 1 - y / a, 1 - z / a)


def _carlson_j(order: tuple[int, ...], x: Any, y: Any, z: Any, p: Any) -> Any:
    """The derivatives of R_J(x, y, z, p), for p > 0."""
    jets = variables(order, x, y, z, p)
    total, scale = jets[0] * 0.0, 1.0
    x, y, z, p = jets
    for _ in range(_STEPS):
        rx, ry, rz, rp = x.sqrt(), y.sqrt(), z.sqrt(), p.sqrt()
        lam = rx * ry + ry * rz + rz * rx
        d = (rp + rx) * (rp + ry) * (rp + rz)
        e = (p - x) * (p - y) * (p - z) / (d * d)  # scaled as in Carlson's (27)-(29)
        total = total + 6 * scale / d * _duplicate_c(1 + 0 * e, 1 + e)
        scale /= 4
        x, y, z, p = (x + lam) * 0.25, (y + lam) * 0.25, (z + lam) * 0.25, (p + lam) * 0.25
        if _spread(x.value, y.value, z.value, p.value) < 3e-4:
            break
    a = (x + y + z + 2 * p) * 0.2
    dx, dy, dz, dp = 1 - x / a, 1 - y / a, 1 - z / a, 1 - p / a
    rest = _series_five(_elementary((dx, dy, dz, dp, dp))) * a.power(-1.5)
    return derivative(total + scale * rest, order)


def _duplicate_c(x: Jet, y: Jet) -> Jet:
    """R_C(x, y) = R_F(x, y, y), for y > 0."""
    return _duplicate_f(x, y, y)


def _carlson_c(order: tuple[int, ...], x: Any, y: Any) -> Any:
    """The derivatives of R_C; for y < 0 of the principal value (DLMF 19.20.6)."""
    low = (y.real < 0) & (y.imag == 0)
    up = derivative(_duplicate_c(*variables(order, x, np.where(low, 1.0, y))), order)
    if not np.any(low):
        return up
    a, b = variables(order, x, np.where(low, y, -1.0))
    return np.where(low, derivative((a / (a - b)).sqrt() * _duplicate_c(a - b, -b), order), up)


def _carlson_g(order: tuple[int, ...], x: Any, y: Any, z: Any) -> Any:
    """The derivatives of R_G for real arguments: DLMF 19.21.10 with the median last, where all terms are positive."""
    median = np.median([x, y, z], axis=0)
    out = np.full(np.shape(x), np.nan)
    for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        here = (x, y, z)[c] == median
        u, v, w = variables(order, *(np.where(here, t, 1.0) for t in (x, y, z)))
        p, q, r = ((u, v, w)[i] for i in (a, b, c))
        double = r * _duplicate_f(p, q, r) - (p - r) * (q - r) * _duplicate_d(p, q, r) * (1 / 3) + (p * q / r).sqrt()
        out = np.where(here, 0.5 * derivative(double, order), out)
    return out


R_F, R_D = Chain("elliprf", _carlson_f, 0, 1, 2), Chain("elliprd", _carlson_d, 0, 1, 2)
R_G = Chain("elliprg", _carlson_g, 0, 1, 2)
R_J, R_C = Chain("elliprj", _carlson_j, 0, 1, 2, 3), Chain("elliprc", _carlson_c, 0, 1)


def _unit(n: int, i: int) -> tuple[int, ...]:
    return tuple(int(i == j) for j in range(n))


# --------------------------------------------------------------------------------------------- Legendre's integrals


def _falling(e: float, n: int) -> float:
    return math.prod(e - i for i in range(n))


def _complete(n: int, m: Any) -> Any:
    out = (-1) ** n * _carlson_f((0, n, 0), 0 * m, 1 - m, np.ones_like(m))
    return np.where(m == 1, np.inf, out)


def _complete_e(n: int, m: Any) -> Any:
    if n == 0:
        return sp().ellipe(m)
    out = (-1) ** n / 6 * _carlson_d((0, n - 1, 0), 0 * m, 1 - m, np.ones_like(m))
    return np.where(m == 1, -np.inf, out)


def _reduced(phi: Any) -> tuple[Any, Any, Any]:
    """sin φ and cos² φ of the angle reduced to [-π/2, π/2], and how many times π it was reduced by."""
    k = np.round(phi / np.pi)
    return np.sin(phi - k * np.pi), np.cos(phi) ** 2, k


def _first(n: int, phi: Any, m: Any) -> Any:
    """∂ⁿF(φ, m)/∂mⁿ."""
    s, cc, k = _reduced(phi)
    part = s * (-s * s) ** n * _carlson_f((0, n, 0), cc, 1 - m * s * s, np.ones_like(m))
    return np.where(k == 0, part, part + 2 * k * _complete(n, np.where(k == 0, 0.0, m)))


def _second(n: int, phi: Any, m: Any) -> Any:
    """∂ⁿE(φ, m)/∂mⁿ."""
    if n == 0:
        return sp().ellipeinc(phi, m)
    s, cc, k = _reduced(phi)
    part = -(s**3) / 6 * (-s * s) ** (n - 1) * _carlson_d((0, n - 1, 0), cc, 1 - m * s * s, np.ones_like(m))
    return np.where(k == 0, part, part + 2 * k * _complete_e(n, np.where(k == 0, 0.0, m)))


def _integrand(e: float) -> Any:
    """The n-th derivative by m of (1 - m sin² φ)^e."""

    def make(n: int) -> Callable[..., Any]:
        def slope(o: Any, phi: Any, m: Any) -> Any:
            ss = np.sin(phi) ** 2
            return _falling(e, n) * (-ss) ** n * (1 - m * ss) ** (e - n)

        return slope

    return of_order(make)


ELLIPK, ELLIPE = Chain("ellipk", _complete, 0), Chain("ellipe", _complete_e, 0)
ELLIPF = Chain("ellipkinc", _first, _integrand(-0.5), 0)
ELLIPEINC = Chain("ellipeinc", _second, _integrand(0.5), 0)


def _ellipkm1(n: int, p: Any) -> Any:
    return _carlson_f((0, n, 0), 0 * p, p, np.ones_like(p))


ELLIPKM1 = Chain("ellipkm1", _ellipkm1, 0)

# -------------------------------------------------------------------------------------- exponential integrals and kin


def _exp_integral(n: Any, x: Any) -> Any:
    """Eₙ(x), also for n ≤ 0, where it is n! e^-x/x^(n+1) times the exponential sum up to xⁿ."""
    out = sp().expn(np.maximum(n, 0).astype(np.int64), x)
    for k in range(0, int(max(0, -np.min(n, initial=0))) + 1):
        total = sum(x**j * (math.factorial(k) / math.factorial(j)) for j in range(k + 1))
        out = np.where(n == -k, np.exp(-x) * total / x ** (k + 1), out)
    return out


NUMBER = Unknown("the order n")
_EXPN = Chain("expn", lambda order, n, x: _exp_integral(n - order, x) * (-1) ** order, NUMBER, 0)


def _sinh(k: int, x: Any) -> Any:
    return np.cosh(x) if k % 2 else np.sinh(x)


SINHC = Chain("sinh_over", divided(_sinh, lambda k: 0.0 if k % 2 else 1 / math.factorial(k + 1), 2.0, 30), 0)
"""sinh(x)/x."""


def _spence_slope(o: Any, z: Any) -> Any:
    """log(z)/(1 - z)."""
    near = np.abs(z - 1) < 0.5
    w, u = np.where(near, 0.25, z), np.where(near, z - 1, 0.0)
    return np.where(near, -LOG1P_OVER[0](u), np.log(w) / (1 - w))


PUSHES: dict[str, Pushes] = {
    "ellipk": rules_of(lambda o, m: ELLIPK[1](m)),
    "ellipe": rules_of(lambda o, m: ELLIPE[1](m)),
    "ellipkm1": rules_of(lambda o, p: ELLIPKM1[1](p)),
    "ellipkinc": rules_of(_integrand(-0.5).make(0), lambda o, phi, m: ELLIPF[1](phi, m)),
    "ellipeinc": rules_of(_integrand(0.5).make(0), lambda o, phi, m: ELLIPEINC[1](phi, m)),
    "elliprc": rules_of(*(lambda o, *ins, k=k: R_C[k](*ins) for k in ((1, 0), (0, 1)))),
    "elliprf": rules_of(*(lambda o, *ins, i=i: R_F[_unit(3, i)](*ins) for i in range(3))),
    "elliprd": rules_of(*(lambda o, *ins, i=i: R_D[_unit(3, i)](*ins) for i in range(3))),
    "elliprg": tuple(real_only(by(lambda o, *ins, i=i: R_G[_unit(3, i)](*ins)), "argument") for i in range(3)),
    "elliprj": tuple(real_only(by(lambda o, *ins, i=i: R_J[_unit(4, i)](*ins)), "argument") for i in range(4)),
    "expi": rules_of(lambda o, x: np.exp(x) / x),
    "exp1": rules_of(lambda o, x: -np.exp(-x) / x),
    "expn": rules_of(NUMBER, lambda o, n, x: _EXPN[1](n, x)),
    "spence": rules_of(_spence_slope),
}
"""The rules of these functions."""


def _amplitude_m(u: Any, m: Any, o: Any) -> Any:
    """∂φ/∂m where F(φ, m) = u."""
    return -o[2] * ELLIPF[1](o[3], m)


TUPLES: dict[str, tuple[Pushes, ...]] = {
    "ellipj": (
        rules_of(lambda o, u, m: o[1] * o[2], lambda o, u, m: o[1] * _amplitude_m(u, m, o)),
        rules_of(lambda o, u, m: -o[0] * o[2], lambda o, u, m: -o[0] * _amplitude_m(u, m, o)),
        rules_of(
            lambda o, u, m: -m * (o[0] * o[1]),
            lambda o, u, m: -(0.5 * o[0] * o[0] + m * (o[0] * o[1]) * _amplitude_m(u, m, o)) / o[2],
        ),
        rules_of(lambda o, u, m: o[2], lambda o, u, m: _amplitude_m(u, m, o)),
    ),
    "sici": ((by(lambda o, x: SINC[0](x)),), (by(lambda o, x: np.cos(x) / x),)),
    "shichi": ((by(lambda o, x: SINHC[0](x)),), (by(lambda o, x: np.cosh(x) / x),)),
}
"""The rules of the functions with several results."""
