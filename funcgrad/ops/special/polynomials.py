"""Orthogonal polynomials, hypergeometric functions and solutions of linear equations, by their argument.

Polynomials by lowering the degree (DLMF 18.9(iii)), which has no 0/0 at the ends; hypergeometric functions by raising
the parameters (DLMF 13.3, 15.5, 16.3), and by these in `hypergeometric.py`; the others by their differential equations
(DLMF 12.2, 28.2, 28.20, 30.2). By degrees, orders and other parameters nothing is known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.rules import ZERO, Unknown
from funcgrad.ops.special.base import Pushes, by, rules_of, sp
from funcgrad.ops.special.hypergeometric import HYP0F1, HYP1F1, HYP2F1

__all__ = ["PUSHES", "TUPLES"]

N = Unknown("the degree n")


def _parameters(names: str) -> tuple[Unknown, ...]:
    return tuple(Unknown(f"the parameter {name}") for name in names.split())


def _below(n: Any) -> Any:
    """n - 1; 0 for n = 0, where the factor before it is zero."""
    return np.where(n == 0, 0, n - 1)


POLYNOMIALS: dict[str, Pushes] = {
    "eval_legendre": rules_of(N, lambda o, n, x: 0.5 * (n + 1) * _jacobi(n, 1, 1, x)),
    "eval_sh_legendre": rules_of(N, lambda o, n, x: (n + 1) * _jacobi(n, 1, 1, 2 * x - 1)),
    "eval_chebyt": rules_of(N, lambda o, n, x: n * sp().eval_chebyu(_below(n), x)),
    "eval_sh_chebyt": rules_of(N, lambda o, n, x: 2 * n * sp().eval_chebyu(_below(n), 2 * x - 1)),
    "eval_chebyc": rules_of(N, lambda o, n, x: n * sp().eval_chebyu(_below(n), 0.5 * x)),
    "eval_chebyu": rules_of(N, lambda o, n, x: 2 * _gegenbauer(n, 2, x)),
    "eval_sh_chebyu": rules_of(N, lambda o, n, x: 4 * _gegenbauer(n, 2, 2 * x - 1)),
    "eval_chebys": rules_of(N, lambda o, n, x: _gegenbauer(n, 2, 0.5 * x)),
    "eval_gegenbauer": rules_of(N, *_parameters("alpha"), lambda o, n, a, x: 2 * a * _gegenbauer(n, a + 1, x)),
    "eval_jacobi": rules_of(
        N, *_parameters("alpha beta"), lambda o, n, a, b, x: 0.5 * (n + a + b + 1) * _jacobi(n, a + 1, b + 1, x)
    ),
    "eval_sh_jacobi": rules_of(
        N,
        *_parameters("p q"),
        lambda o, n, p, q, x: (n + p) * _jacobi(n, p - q + 1, q, 2 * x - 1) / sp().binom(2 * n + p - 1, n),
    ),
    "eval_laguerre": rules_of(N, lambda o, n, x: -_laguerre(n, 1, x)),
    "eval_genlaguerre": rules_of(N, *_parameters("alpha"), lambda o, n, a, x: -_laguerre(n, a + 1, x)),
    "eval_hermite": rules_of(N, lambda o, n, x: 2 * n * sp().eval_hermite(_below(n), x)),
    "eval_hermitenorm": rules_of(N, lambda o, n, x: n * sp().eval_hermitenorm(_below(n), x)),
}


def _times(n: Any, value: Any) -> Any:
    """`value`, but 0 for the degree 0."""
    return np.where(n == 0, 0.0, value)


def _jacobi(n: Any, a: Any, b: Any, x: Any) -> Any:
    return _times(n, sp().eval_jacobi(_below(n), a, b, x))


def _gegenbauer(n: Any, a: Any, x: Any) -> Any:
    return _times(n, sp().eval_gegenbauer(_below(n), a, x))


def _laguerre(n: Any, a: Any, x: Any) -> Any:
    return _times(n, sp().eval_genlaguerre(_below(n), a, x))


def _lpmv_slope(o: Any, m: Any, v: Any, x: Any) -> Any:
    """DLMF 14.10.4, with Ferrers functions of the next order."""
    rest = (1 - x) * (1 + x)
    return -(sp().lpmv(m + 1, v, x) / np.sqrt(rest) + m * x * o / rest)


HYPERGEOMETRIC: dict[str, Pushes] = {
    "hyp0f1": rules_of(lambda o, v, z: HYP0F1[1, 0](v, z), lambda o, v, z: sp().hyp0f1(v + 1, z) / v),
    "hyp1f1": rules_of(
        lambda o, a, b, z: HYP1F1[1, 0, 0](a, b, z),
        lambda o, a, b, z: HYP1F1[0, 1, 0](a, b, z),
        lambda o, a, b, z: a / b * sp().hyp1f1(a + 1, b + 1, z),
    ),
    "hyp2f1": rules_of(
        lambda o, a, b, c, z: HYP2F1[1, 0, 0, 0](a, b, c, z),
        lambda o, a, b, c, z: HYP2F1[0, 1, 0, 0](a, b, c, z),
        lambda o, a, b, c, z: HYP2F1[0, 0, 1, 0](a, b, c, z),
        lambda o, a, b, c, z: a * b / c * sp().hyp2f1(a + 1, b + 1, c + 1, z),
    ),
    "hyperu": rules_of(*_parameters("a b"), lambda o, a, b, z: -a * sp().hyperu(a + 1, b + 1, z)),
    "lpmv": rules_of(Unknown("the order m"), Unknown("the degree v"), _lpmv_slope),
    "wright_bessel": rules_of(*_parameters("a b"), lambda o, a, b, x: sp().wright_bessel(a, a + b, x)),
    "log_wright_bessel": rules_of(
        *_parameters("a b"), lambda o, a, b, x: np.exp(sp().log_wright_bessel(a, a + b, x) - o)
    ),
    "wrightomega": rules_of(lambda o, z: o / (1 + o)),
    # e^-W/(1 + W), which is 1 at z = 0, where W/(z (1 + W)) is 0/0
    "_lambertw": rules_of(lambda o, z, k, tol: np.exp(-o) / (1 + o), ZERO, ZERO),
}

PUSHES: dict[str, Pushes] = {**POLYNOMIALS, **HYPERGEOMETRIC}
"""The rules of these functions."""


def _solution(second: Callable[..., Any], *parameters: Unknown) -> tuple[Pushes, ...]:
    """Rules of a ufunc that gives a solution of w'' = second(w, w', *ins) and its slope."""
    return (
        (*parameters, by(lambda o, *ins: o[1])),
        (*parameters, by(lambda o, *ins: second(*o, *ins))),
    )


def _mathieu(sign: float, kind: str) -> tuple[Pushes, ...]:
    """w'' = -(a - 2q cos 2x) w, of x in degrees, or its modified equation w'' = (a - 2q cosh 2x) w."""
    parameters = Unknown("the order m"), Unknown("the parameter q")

    def characteristic(m: Any, q: Any) -> Any:
        return (sp().mathieu_a if kind == "a" else sp().mathieu_b)(m, q)

    if sign > 0:
        return _solution(lambda w, w1, m, q, x: (characteristic(m, q) - 2 * q * np.cosh(2 * x)) * w, *parameters)
    degree = np.pi / 180
    return (
        (*parameters, by(lambda o, m, q, x: degree * o[1])),
        (
            *parameters,
            by(lambda o, m, q, x: -degree * (characteristic(m, q) - 2 * q * np.cos(2 * degree * x)) * o[0]),
        ),
    )


def _spheroidal(kind: str, radial: bool) -> dict[str, tuple[Pushes, ...]]:
    """(1 - x²) w'' = 2x w' - (λ ∓ c² x² - m²/(1 - x²)) w; for oblate radial functions x is i times that.

    Where the user gives λ, the slope has no derivative here: the equation holds for a characteristic value only.
    """
    square = 1.0 if kind == "pro" else -1.0

    def second(w: Any, w1: Any, m: Any, n: Any, c: Any, x: Any) -> Any:
        value = getattr(sp(), f"{kind}_cv")(m, n, c)
        if radial and kind == "obl":
            below = 1 + x * x
            return (-2 * x * w1 + (value - c * c * x * x - m * m / below) * w) / below
        below = 1 - x * x
        return (2 * x * w1 - (value - square * c * c * x * x - m * m / below) * w) / below

    name = f"{kind}_{'rad1' if radial else 'ang1'}"
    given = _parameters("m n c cv")
    slope = Unknown("x, of the second result", f"use scipy.special.{name}, which finds cv itself.")
    return {
        name: _solution(second, *_parameters("m n c")),
        f"{name}_cv": ((*given, by(lambda o, *ins: o[1])), (*given, slope)),
    }


_PARABOLIC = Unknown("the order v"), Unknown("the parameter a")

TUPLES: dict[str, tuple[Pushes, ...]] = {
    "pbdv": _solution(lambda w, w1, v, x: (0.25 * x * x - v - 0.5) * w, _PARABOLIC[0]),
    "pbvv": _solution(lambda w, w1, v, x: (0.25 * x * x - v - 0.5) * w, _PARABOLIC[0]),
    "pbwa": _solution(lambda w, w1, a, x: (a - 0.25 * x * x) * w, _PARABOLIC[1]),
    "mathieu_cem": _mathieu(-1.0, "a"),
    "mathieu_sem": _mathieu(-1.0, "b"),
    "mathieu_modcem1": _mathieu(1.0, "a"),
    "mathieu_modcem2": _mathieu(1.0, "a"),
    "mathieu_modsem1": _mathieu(1.0, "b"),
    "mathieu_modsem2": _mathieu(1.0, "b"),
    **_spheroidal("pro", False),
    **_spheroidal("pro", True),
    **_spheroidal("obl", False),
    **_spheroidal("obl", True),
}
"""The rules of the functions with several results."""
