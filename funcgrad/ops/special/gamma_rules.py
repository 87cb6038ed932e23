"""The gamma, beta, polygamma and zeta functions, binomials and Pochhammer symbols (DLMF 5, 25)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.rules import ZERO, Push, Unknown
from funcgrad.ops.special.base import Chain, Pushes, function, of_order, rules_of, sp
from funcgrad.ops.special.elementary import cos_pi, sin_pi
from funcgrad.ops.special.gammas import BERNOULLI, DIGAMMA_STEP, POLYGAMMA, polygamma
from funcgrad.ops.special.jets import derivative, variables
from funcgrad.types import dtype_of

__all__ = ["PUSHES", "real_only"]


def real_only(push: Push, operand: str) -> Push:
    """A pushforward that is known for real numbers only."""
    unknown = Unknown(f"a complex {operand}")
    return lambda g, o, *ins: unknown(g, o) if any(dtype_of(x).kind == "c" for x in ins) else push(g, o, *ins)


# --------------------------------------------------------------------------------------------------------- 1/Γ


def _rgamma_slope(o: Any, x: Any) -> Any:
    """d/dx 1/Γ(x); for Re x < 1/2 of Γ(1 - x) sin(πx)/π, which has no poles."""
    left = np.real(x) < 0.5
    w, z = np.where(left, x, 0.0), np.where(left, 1.0, x)
    near = sp().gamma(1 - w) * (cos_pi(w) - sp().psi(1 - w) * sin_pi(w) / np.pi)
    return np.where(left, near, -np.where(left, 0.0, o) * sp().psi(z))


def _binomial(n: Any, k: Any) -> tuple[Any, Any, Any]:
    """Where binom(n, k) = Γ(n + 1)/(Γ(k + 1) Γ(n - k + 1)) has no poles, and its derivatives there and elsewhere."""
    rest = n - k
    inside = (n > -1) & (k > -1) & (rest > -1)
    return inside, np.where(inside, n, 1.0), np.where(inside, k, 0.5)


def _binom_n(o: Any, n: Any, k: Any) -> Any:
    inside, nn, kk = _binomial(n, k)
    at_pole = np.where(inside, 1.5, n - k + 1)
    slope = sp().gamma(np.where(inside, 1.0, n + 1)) * sp().rgamma(np.where(inside, 1.0, k + 1))
    outside = slope * (sp().psi(np.where(inside, 1.0, n + 1)) * sp().rgamma(at_pole) + _RGAMMA_SLOPE(at_pole))
    return np.where(inside, -o * DIGAMMA_STEP[0](nn - kk + 1, kk), outside)


def _binom_k(o: Any, n: Any, k: Any) -> Any:
    inside, nn, kk = _binomial(n, k)
    a, b = np.where(inside, 1.5, n - k + 1), np.where(inside, 1.5, k + 1)
    outside = sp().gamma(np.where(inside, 1.0, n + 1)) * (
        _RGAMMA_SLOPE(b) * sp().rgamma(a) - sp().rgamma(b) * _RGAMMA_SLOPE(a)
    )
    return np.where(inside, o * (sp().psi(nn - kk + 1) - sp().psi(kk + 1)), outside)


def _RGAMMA_SLOPE(x: Any) -> Any:
    return _rgamma_slope(sp().rgamma(x), x)


def _poch_a(o: Any, a: Any, m: Any) -> Any:
    """d/da Γ(a + m)/Γ(a)."""
    inside = (a > 0) & (a + m > 0)
    aa, mm = np.where(inside, a, 1.0), np.where(inside, m, 0.5)
    b, c = np.where(inside, 1.0, a), np.where(inside, 1.0, a + m)
    outside = sp().gamma(c) * (sp().psi(c) * sp().rgamma(b) + _RGAMMA_SLOPE(b))
    return np.where(inside, -o * DIGAMMA_STEP[0](aa, mm), outside)


# --------------------------------------------------------------------------------------------------------- beta

# Γ(1 + a) Γ(1 + b) / Γ(1 + a + b): what is left of B(a, b) without its poles, (a + b)/(a b).
_BETA_RATIO = function(
    "beta_ratio",
    lambda a, b: np.exp(sp().gammaln(1 + a) + sp().gammaln(1 + b) - sp().gammaln(1 + a + b)),
    lambda o, a, b: o * DIGAMMA_STEP[0](1 + a, b),
    lambda o, a, b: o * DIGAMMA_STEP[0](1 + b, a),
)


def _beta_a(o: Any, a: Any, b: Any) -> Any:
    """∂B/∂a; for small arguments the pole 1/a is differentiated by itself."""
    small = (a > 0) & (b > 0) & (a < 0.5) & (b < 0.5)
    aa, bb = np.where(small, a, 0.25), np.where(small, b, 0.25)
    rest = _BETA_RATIO.bind(aa, bb)
    near = (1 / aa + 1 / bb) * (rest * DIGAMMA_STEP[0](1 + aa, bb)) - rest / (aa * aa)
    x, y = np.where(small, 1.0, a), np.where(small, 1.0, b)
    return np.where(small, near, np.where(small, 0.0, o) * DIGAMMA_STEP[0](x, y))


# ---------------------------------------------------------------------------------------------------------- zeta


def _hurwitz(n: int, s: Any, q: Any) -> Any:
    """∂ⁿζ(s, q)/∂sⁿ for q > 0 by the Euler-Maclaurin formula (DLMF 25.11.28) on jets; for s > 0, s ≠ 1."""
    (x,) = variables((n,), s)
    count, far = 12, np.maximum(q, 0) + 12
    total: Any = x * 0.0
    for k in range(count):
        total = total + (x * -np.log(q + k)).exp()
    (x,) = variables((n,), np.minimum(s, 300.0))  # beyond that there is nothing in the tail
    tail = (x * -np.log(far)).exp()
    total = total + tail * far / (x - 1) + tail * 0.5
    rising: Any = x
    power = 1 / far
    for j, b in enumerate(BERNOULLI[:13]):
        total = total + tail * rising * (power * (b / math.factorial(2 * j + 2)))
        rising = rising * (x + (2 * j + 1)) * (x + (2 * j + 2))
        power = power / (far * far)
    return np.where(q > 0, derivative(total, (n,)), np.nan)


def _riemann(n: int, s: Any) -> Any:
    """∂ⁿζ(s)/∂sⁿ; for s < 0 by the functional equation (DLMF 25.4.1), also on jets."""
    left = s < 0
    right = _hurwitz(n, np.where(left, 2.0, s), np.ones_like(s))
    if not np.any(left):
        return right
    t = np.where(left, 1 - s, 2.0)
    (x,) = variables((n,), t)
    logs = [sp().gammaln(t), *(polygamma(k, t) / math.factorial(k + 1) for k in range(n))]
    amplitude = (x.compose(logs) - x * math.log(2 * math.pi)).exp() * 2.0
    # ζ(1 - t) = 2 (2π)^-t cos(πt/2) Γ(t) ζ(t)
    half = t / 2
    turn = [cos_pi(half), -sin_pi(half), -cos_pi(half), sin_pi(half)]
    cosine = x.compose([turn[k % 4] * (math.pi / 2) ** k / math.factorial(k) for k in range(n + 1)])
    zeta = x.compose([_hurwitz(k, t, np.ones_like(t)) / math.factorial(k) for k in range(n + 1)])
    return np.where(left, (-1) ** n * derivative(amplitude * cosine * zeta, (n,)), right)


_HURWITZ = Chain("zeta", _hurwitz, 0, of_order(lambda n: lambda o, s, q: _hurwitz_q(n, s, q)))
_RIEMANN = Chain("riemann_zeta", _riemann, 0)


def _hurwitz_q(n: int, s: Any, q: Any) -> Any:
    """∂/∂q ∂ⁿ/∂sⁿ ζ(s, q), where ∂ζ/∂q = -s ζ(s + 1, q)."""
    total = -(s * _HURWITZ[n](s + 1, q))
    return total - n * _HURWITZ[n - 1](s + 1, q) if n else total


def _zeta_q(o: Any, s: Any, q: Any) -> Any:
    return -(s * sp().zeta(s + 1, q))


PUSHES: dict[str, Pushes] = {
    "gamma": rules_of(lambda o, x: o * sp().psi(x)),
    "gammaln": rules_of(lambda o, x: sp().psi(x)),
    "loggamma": rules_of(lambda o, x: sp().psi(x)),
    "psi": rules_of(lambda o, x: POLYGAMMA[1](x)),
    "rgamma": rules_of(_rgamma_slope),
    "gammasgn": rules_of(ZERO),
    "_lgam1p": rules_of(lambda o, x: sp().psi(1 + x)),
    "_factorial": rules_of(lambda o, x: o * sp().psi(1 + x)),
    "beta": rules_of(_beta_a, lambda o, a, b: _beta_a(o, b, a)),
    "betaln": rules_of(lambda o, a, b: DIGAMMA_STEP[0](a, b), lambda o, a, b: DIGAMMA_STEP[0](b, a)),
    "binom": rules_of(_binom_n, _binom_k),
    "poch": rules_of(_poch_a, lambda o, a, m: o * sp().psi(a + m)),
    "_zeta": tuple(real_only(push, "exponent") for push in rules_of(lambda o, s, q: _HURWITZ[1](s, q), _zeta_q)),
    "_riemann_zeta": (real_only(rules_of(lambda o, s: _RIEMANN[1](s))[0], "argument"),),
    "zetac": rules_of(lambda o, s: _RIEMANN[1](s)),
}
"""The rules of these functions."""
