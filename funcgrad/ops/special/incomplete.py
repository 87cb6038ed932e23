"""The incomplete gamma and beta functions and their inverses.

An inverse has the derivatives of implicit functions: where F(p, y) = q, dy/dq = 1/F_y and dy/dp = -F_p/F_y. Sources:
DLMF 8.2, 8.17; `quadrature.py` for the derivatives by parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ops.special.base import Chain, Pushes, is_said, limit, of_order, rules_of, sp
from funcgrad.ops.special.gammas import beta_kernel, gamma_kernel, log_less_digamma
from funcgrad.ops.special.jets import bell
from funcgrad.ops.special.quadrature import beta_by_parameters, beta_slopes, gamma_by_parameter, gamma_slopes

__all__ = [
    "BETA_DENSITY",
    "PUSHES",
    "beta_by_a",
    "beta_by_b",
    "beta_density",
    "beta_density_by_x",
    "gamma_by_a",
    "gamma_density",
    "inverse",
    "two_sided",
]


# ---------------------------------------------------------------------------------------------- the gamma function's


def _gamma_density(n: int, a: Any, x: Any) -> Any:
    """The n-th derivative by a of x^(a-1) e^-x / Γ(a)."""
    inside = (a > 0) & (x > 0)
    aa, xx = np.where(inside, a, 1.0), np.where(inside, x, 1.0)
    ratio = bell((n,), gamma_slopes(log_less_digamma(xx, aa), aa, n))
    least = (-1.0) ** n * np.inf
    edge = np.where(a < 1, least, np.where(a == 1, least if n else 1.0, 0.0))  # at x = 0
    outside = np.where((a > 0) & (x == 0), edge, np.where((a > 0) & np.isposinf(x), 0.0, np.nan))
    return np.where(inside & np.isfinite(x), gamma_kernel(aa, xx) / xx * ratio, outside)


def _gamma_density_x(n: int) -> Any:
    def slope(o: Any, a: Any, x: Any) -> Any:
        zero = x == 0
        value = (a - 1 - x) * o if n == 0 else (a - 1 - x) * o + n * GAMMA_DENSITY[n - 1](a, x)
        steep = np.where(a < 1, -np.inf, np.where(a < 2, np.inf, np.where(a == 2, 1.0, 0.0)))
        at_0 = np.where(a == 1, -1.0, steep) if n == 0 else np.where(a > 2, 0.0, np.nan)
        return limit(zero, at_0, np.where(zero, 0.0, value) / np.where(zero, 1.0, x), a, x)

    return slope


GAMMA_DENSITY = Chain("gamma_density", _gamma_density, 0, of_order(_gamma_density_x))
GAMMA_P = Chain("gammainc", gamma_by_parameter, 0, of_order(lambda n: lambda o, a, x: GAMMA_DENSITY[n](a, x)))


def gamma_density(a: Any, x: Any) -> Any:
    """x^(a-1) e^-x / Γ(a), the derivative of P(a, x) by x."""
    return GAMMA_DENSITY[0](a, x)


def gamma_by_a(a: Any, x: Any) -> Any:
    return GAMMA_P[1](a, x)


# ----------------------------------------------------------------------------------------------- the beta function's


def _beta_density(order: tuple[int, int], a: Any, b: Any, x: Any) -> Any:
    """The derivatives by a and b of x^(a-1) (1-x)^(b-1) / B(a, b)."""
    i, j = order
    inside = (x > 0) & (x < 1) & (a > 0) & (b > 0)
    aa, bb, xx = np.where(inside, a, 1.0), np.where(inside, b, 1.0), np.where(inside, x, 0.5)
    ratio: Any = 1.0
    if i or j:
        ratio = bell(order, beta_slopes(np.log(xx), np.log1p(-xx), aa, bb, order))
    out = beta_kernel(aa, bb, xx, 1 - xx) / (xx * (1 - xx)) * ratio
    edge = np.full(np.shape(x), np.nan)
    for end, near, far, own in ((0.0, a, b, i), (1.0, b, a, j)):
        least = (-1.0) ** own * np.inf
        here = np.where(near < 1, least, np.where(near == 1, least if own else far, 0.0))
        known = (a > 0) & (b > 0) & (x == end)
        edge = np.where(known, here if i + j == own else np.where(near > 1, 0.0, np.nan), edge)
    return np.where(inside, out, edge)


def beta_density_by_x(order: tuple[int, int]) -> Any:
    i, j = order

    def slope(o: Any, a: Any, b: Any, x: Any) -> Any:
        y = 1 - x
        end = (x == 0) | (y == 0)
        value = ((a - 1) * y - (b - 1) * x) * o
        if i:
            value = value + i * y * BETA_DENSITY[i - 1, j](a, b, x)
        if j:
            value = value - j * x * BETA_DENSITY[i, j - 1](a, b, x)
        near, far = np.where(x == 0, a, b), np.where(x == 0, b, a)
        steep = np.where(near < 1, -np.inf, np.where(near < 2, np.inf, np.where(near == 2, far * (far + 1), 0.0)))
        steep = np.where(near == 1, -far * (far - 1), steep)
        at_end = np.where(x == 0, 1.0, -1.0) * steep if i + j == 0 else np.where(near > 2, 0.0, np.nan)
        return limit(end, at_end, np.where(end, 0.0, value) / np.where(end, 1.0, x * y), a, b, x)

    return slope


BETA_DENSITY = Chain("beta_density", _beta_density, 0, 1, of_order(beta_density_by_x))
BETA_I = Chain(
    "betainc", beta_by_parameters, 0, 1, of_order(lambda order: lambda o, a, b, x: BETA_DENSITY[order](a, b, x))
)


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / B(a, b), the derivative of I_x(a, b) by x."""
    return BETA_DENSITY[0, 0](a, b, x)


def beta_by_a(a: Any, b: Any, x: Any) -> Any:
    return BETA_I[1, 0](a, b, x)


def beta_by_b(a: Any, b: Any, x: Any) -> Any:
    return BETA_I[0, 1](a, b, x)


def two_sided(a: Any, b: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """The derivatives of I_x(a, b) by x, a and b, from the smaller one of x and y = 1 - x."""
    low = x < y
    small, large = np.where(low, x, 0.25), np.where(low, 0.25, y)
    density = np.where(low, beta_density(a, b, small), beta_density(b, a, large))
    by_a = np.where(low, beta_by_a(a, b, small), -beta_by_b(b, a, large))
    by_b = np.where(low, beta_by_b(a, b, small), -beta_by_a(b, a, large))
    return density, by_a, by_b


def _betaincinv(which: int) -> Any:
    def part(o: Any, a: Any, b: Any, p: Any) -> Any:
        return two_sided(a, b, o, sp().betainccinv(b, a, p))[which]

    return part


def _betainccinv(which: int) -> Any:
    def part(o: Any, a: Any, b: Any, q: Any) -> Any:
        return -two_sided(a, b, o, sp().betaincinv(b, a, q))[which]

    return part


# ------------------------------------------------------------------------------------------------------ inverses


def _over(x: Any, y: Any) -> Any:
    """x/y; 0 where both are: at an end of the range an inverse does not move with its parameters."""
    both = (x == 0) & (y == 0)
    return limit(both, 0.0, x / np.where(both, 1.0, y), x, y)


def inverse(density: Any, *moves: Any, known: int) -> Pushes:
    """Rules of an inverse y of F(p, …, y) = q: dy/dq = 1/F_y at operand `known`, dy/dp = -F_p/F_y at the others.

    Each of these is a function of (out, *ins); of `moves` a `ZERO` or `Unknown` stays.
    """

    def by_parameter(move: Any) -> Any:
        return move if is_said(move) else lambda o, *ins: -_over(move(o, *ins), density(o, *ins))

    rest = iter(moves)
    slopes = [
        (lambda o, *ins: 1 / density(o, *ins)) if i == known else by_parameter(next(rest))
        for i in range(len(moves) + 1)
    ]
    return rules_of(*slopes)


PUSHES: dict[str, Pushes] = {
    "gammainc": rules_of(lambda o, a, x: gamma_by_a(a, x), lambda o, a, x: gamma_density(a, x)),
    "gammaincc": rules_of(lambda o, a, x: -gamma_by_a(a, x), lambda o, a, x: -gamma_density(a, x)),
    "gammaincinv": inverse(lambda o, a, p: gamma_density(a, o), lambda o, a, p: gamma_by_a(a, o), known=1),
    "gammainccinv": inverse(lambda o, a, q: -gamma_density(a, o), lambda o, a, q: -gamma_by_a(a, o), known=1),
    "betainc": rules_of(
        lambda o, a, b, x: beta_by_a(a, b, x),
        lambda o, a, b, x: beta_by_b(a, b, x),
        lambda o, a, b, x: beta_density(a, b, x),
    ),
    "betaincc": rules_of(
        lambda o, a, b, x: -beta_by_a(a, b, x),
        lambda o, a, b, x: -beta_by_b(a, b, x),
        lambda o, a, b, x: -beta_density(a, b, x),
    ),
    "betaincinv": inverse(_betaincinv(0), _betaincinv(1), _betaincinv(2), known=2),
    "betainccinv": inverse(_betainccinv(0), _betainccinv(1), _betainccinv(2), known=2),
    "btdtria": inverse(
        lambda o, p, b, x: beta_by_a(o, b, x),
        lambda o, p, b, x: beta_by_b(o, b, x),
        lambda o, p, b, x: beta_density(o, b, x),
        known=0,
    ),
    "btdtrib": inverse(
        lambda o, a, p, x: beta_by_b(a, o, x),
        lambda o, a, p, x: beta_by_a(a, o, x),
        lambda o, a, p, x: beta_density(a, o, x),
        known=1,
    ),
}
"""The rules of the incomplete functions and their inverses."""
