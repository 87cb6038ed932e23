"""Distribution functions of statistics, made of the incomplete gamma and beta functions, and their inverses.

Which function is which incomplete function: the documentation of `scipy.special`, and DLMF 8.17(v), 8.19. A number of
events that SciPy rounds down has the derivative zero; one that must be an integer has none. The non-central χ²:
Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions, chapter 29.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.rules import ZERO, Unknown
from funcgrad.ops.special.base import Chain, Pushes, limit, rules_of, sp
from funcgrad.ops.special.incomplete import (
    BETA_DENSITY,
    beta_by_a,
    beta_by_b,
    beta_density,
    beta_density_by_x,
    gamma_by_a,
    gamma_density,
    inverse,
    two_sided,
)
from funcgrad.ops.special.jets import derivative, variables
from funcgrad.ops.special.series import EXPREL
from funcgrad.ops.special.student import student_by_df, student_density

__all__ = ["PUSHES"]

_REMEDY = "use scipy.special.gammainc or betainc, which are defined between the integers too."


def _integer(name: str) -> Unknown:
    return Unknown(f"{name} (an integer)", _REMEDY)


# ------------------------------------------------------------------------------------------------- counts of events


def _binomial_density(k: Any, n: Any, p: Any) -> Any:
    """-d/dp of the probability of at most k events in n: zero where k is n or more."""
    k = np.floor(k)
    all_of_them = k >= n
    return np.where(all_of_them, 0.0, beta_density(k + 1, np.where(all_of_them, 1.0, n - k), p))


def _binomial_by_k(k: Any, n: Any, p: Any) -> Any:
    """-dF/dk, with F continued between the integers as 1 - I_p(k + 1, n - k)."""
    return beta_by_a(k + 1, n - k, p) - beta_by_b(k + 1, n - k, p)


COUNTS: dict[str, Pushes] = {
    "bdtr": rules_of(ZERO, _integer("n"), lambda o, k, n, p: -_binomial_density(k, n, p)),
    "bdtrc": rules_of(ZERO, _integer("n"), lambda o, k, n, p: _binomial_density(k, n, p)),
    "bdtri": inverse(lambda o, k, n, y: -_binomial_density(k, n, o), ZERO, _integer("n"), known=2),
    "bdtrik": inverse(
        lambda o, y, n, p: -_binomial_by_k(o, n, p),
        lambda o, y, n, p: -beta_by_b(o + 1, n - o, p),
        lambda o, y, n, p: -beta_density(o + 1, n - o, p),
        known=0,
    ),
    "bdtrin": inverse(
        lambda o, k, y, p: -beta_by_b(k + 1, o - k, p),
        lambda o, k, y, p: -_binomial_by_k(k, o, p),
        lambda o, k, y, p: -beta_density(k + 1, o - k, p),
        known=1,
    ),
    "nbdtr": rules_of(_integer("k"), _integer("n"), lambda o, k, n, p: beta_density(n, k + 1, p)),
    "nbdtrc": rules_of(_integer("k"), _integer("n"), lambda o, k, n, p: -beta_density(n, k + 1, p)),
    "nbdtri": inverse(lambda o, k, n, y: beta_density(n, k + 1, o), _integer("k"), _integer("n"), known=2),
    "nbdtrik": inverse(
        lambda o, y, n, p: beta_by_b(n, o + 1, p),
        lambda o, y, n, p: beta_by_a(n, o + 1, p),
        lambda o, y, n, p: beta_density(n, o + 1, p),
        known=0,
    ),
    "nbdtrin": inverse(
        lambda o, k, y, p: beta_by_a(o, k + 1, p),
        lambda o, k, y, p: beta_by_b(o, k + 1, p),
        lambda o, k, y, p: beta_density(o, k + 1, p),
        known=1,
    ),
    "pdtr": rules_of(ZERO, lambda o, k, m: -gamma_density(np.floor(k) + 1, m)),
    "pdtrc": rules_of(ZERO, lambda o, k, m: gamma_density(np.floor(k) + 1, m)),
    "pdtri": inverse(lambda o, k, y: -gamma_density(k + 1, o), _integer("k"), known=1),
    "pdtrik": inverse(lambda o, p, m: -gamma_by_a(o + 1, m), lambda o, p, m: -gamma_density(o + 1, m), known=0),
}

# ------------------------------------------------------------------------------------------------ gamma, χ²

GAMMAS: dict[str, Pushes] = {
    "gdtr": rules_of(
        lambda o, a, b, x: x * gamma_density(b, a * x),
        lambda o, a, b, x: gamma_by_a(b, a * x),
        lambda o, a, b, x: a * gamma_density(b, a * x),
    ),
    "gdtrc": rules_of(
        lambda o, a, b, x: -(x * gamma_density(b, a * x)),
        lambda o, a, b, x: -gamma_by_a(b, a * x),
        lambda o, a, b, x: -(a * gamma_density(b, a * x)),
    ),
    "gdtria": inverse(
        lambda o, p, b, x: x * gamma_density(b, o * x),
        lambda o, p, b, x: gamma_by_a(b, o * x),
        lambda o, p, b, x: o * gamma_density(b, o * x),
        known=0,
    ),
    "gdtrib": inverse(
        lambda o, a, p, x: gamma_by_a(o, a * x),
        lambda o, a, p, x: x * gamma_density(o, a * x),
        lambda o, a, p, x: a * gamma_density(o, a * x),
        known=1,
    ),
    "gdtrix": inverse(
        lambda o, a, b, p: a * gamma_density(b, a * o),
        lambda o, a, b, p: o * gamma_density(b, a * o),
        lambda o, a, b, p: gamma_by_a(b, a * o),
        known=2,
    ),
    "chdtr": rules_of(
        lambda o, v, x: 0.5 * gamma_by_a(0.5 * v, 0.5 * x), lambda o, v, x: 0.5 * gamma_density(0.5 * v, 0.5 * x)
    ),
    "chdtrc": rules_of(
        lambda o, v, x: -0.5 * gamma_by_a(0.5 * v, 0.5 * x), lambda o, v, x: -0.5 * gamma_density(0.5 * v, 0.5 * x)
    ),
    "chdtri": inverse(
        lambda o, v, p: -0.5 * gamma_density(0.5 * v, 0.5 * o),
        lambda o, v, p: -0.5 * gamma_by_a(0.5 * v, 0.5 * o),
        known=1,
    ),
    "chdtriv": inverse(
        lambda o, p, x: 0.5 * gamma_by_a(0.5 * o, 0.5 * x),
        lambda o, p, x: 0.5 * gamma_density(0.5 * o, 0.5 * x),
        known=0,
    ),
}

# ----------------------------------------------------------------------------------------------- F and Student


def _f_parts(n: Any, d: Any, x: Any) -> tuple[Any, Any, Any]:
    """F's derivatives by both degrees of freedom and by x; with the smaller of w = n x/(d + n x) and 1 - w."""
    below = d + n * x
    w, v = n * x / below, d / below
    dens, by_a, by_b = two_sided(0.5 * n, 0.5 * d, w, v)
    by_n = 0.5 * by_a + dens * (x * v / below)
    return by_n, 0.5 * by_b - dens * (w / below), dens * (n * v / below)


def _stdtr_t(o: Any, v: Any, t: Any) -> Any:
    return student_density(v, t)


FS: dict[str, Pushes] = {
    "fdtr": rules_of(*(lambda o, n, d, x, i=i: _f_parts(n, d, x)[i] for i in range(3))),
    "fdtrc": rules_of(*(lambda o, n, d, x, i=i: -_f_parts(n, d, x)[i] for i in range(3))),
    "fdtri": inverse(
        lambda o, n, d, p: _f_parts(n, d, o)[2],
        lambda o, n, d, p: _f_parts(n, d, o)[0],
        lambda o, n, d, p: _f_parts(n, d, o)[1],
        known=2,
    ),
    "fdtridfd": inverse(
        lambda o, n, p, x: _f_parts(n, o, x)[1],
        lambda o, n, p, x: _f_parts(n, o, x)[0],
        lambda o, n, p, x: _f_parts(n, o, x)[2],
        known=1,
    ),
    "stdtr": rules_of(lambda o, v, t: student_by_df(v, t), _stdtr_t),
    "stdtrit": inverse(lambda o, v, p: student_density(v, o), lambda o, v, p: student_by_df(v, o), known=1),
    "stdtridf": inverse(lambda o, p, t: student_by_df(o, t), lambda o, p, t: student_density(o, t), known=0),
}

# --------------------------------------------------------------------------------------------------- others


def _noncentral_density(x: Any, v: Any, c: Any) -> Any:
    """The density of the non-central χ², by a Bessel function; at c = 0 that of χ²."""
    central = c == 0
    cc = np.where(central, 1.0, c)
    ratio = np.sqrt(x / cc)
    gap = np.sqrt(x) - np.sqrt(cc)
    order = 0.5 * v - 1
    bessel = 0.5 * np.exp(-0.5 * gap * gap) * ratio**order * sp().ive(order, np.sqrt(cc * x))
    return limit(central, 0.5 * gamma_density(0.5 * v, 0.5 * x), bessel, c)


_DF = Unknown("df (the degrees of freedom)")
NONCENTRAL: dict[str, Pushes] = {
    "chndtr": rules_of(
        lambda o, x, v, c: _noncentral_density(x, v, c), _DF, lambda o, x, v, c: -_noncentral_density(x, v + 2, c)
    ),
    "chndtrix": inverse(
        lambda o, p, v, c: _noncentral_density(o, v, c),
        _DF,
        lambda o, p, v, c: -_noncentral_density(o, v + 2, c),
        known=0,
    ),
    "chndtrinc": inverse(
        lambda o, x, v, p: -_noncentral_density(x, v + 2, o),
        lambda o, x, v, p: _noncentral_density(x, v, o),
        _DF,
        known=2,
    ),
}


def _tukey_density(p: Any, shape: Any) -> Any:
    """dx/dp of Tukey's x = (p^λ - (1 - p)^λ)/λ, inverted."""
    return 1 / (p ** (shape - 1) + (1 - p) ** (shape - 1))


def _tukey_by_shape(p: Any, shape: Any) -> Any:
    """dx/dλ, where (p^λ - 1)/λ is log p times exprel(λ log p)."""
    a, b = np.log(p), np.log1p(-p)
    return a * a * EXPREL[1](shape * a) - b * b * EXPREL[1](shape * b)


def _tukey_root(o: Any, x: Any, shape: Any) -> tuple[Any, Any]:
    """Where the value is inside (0, 1), and it after a step of Newton's there: for small λ SciPy's is inexact."""
    inside = (o > 0) & (o < 1)
    p = np.where(inside, o, 0.5)
    a, b = np.log(p), np.log1p(-p)
    gap = a * EXPREL[0](shape * a) - b * EXPREL[0](shape * b) - np.where(inside, x, 0.0)
    return inside, np.where(inside, p - gap * _tukey_density(p, shape), 0.5)


def _tukey_x(o: Any, x: Any, shape: Any) -> Any:
    inside, p = _tukey_root(o, x, shape)
    return np.where(inside, _tukey_density(p, shape), 0.0)


def _tukey_shape(o: Any, x: Any, shape: Any) -> Any:
    inside, p = _tukey_root(o, x, shape)
    return np.where(inside, -_tukey_by_shape(p, shape) * _tukey_density(p, shape), 0.0)


def _kolmogorov(n: int, y: Any) -> Any:
    """The derivatives of Kolmogorov's survival function, by the series that converges faster (Feller 1948)."""
    small = y < 1
    (late,), (early,) = (
        variables((n,), np.where(small, 1.0, y)),
        variables((n,), np.where(small, np.maximum(y, 0.04), 1.0)),
    )
    total: Any = late * 0.0
    for k in range(1, 6):
        total = total + (late * late * (-2.0 * k * k)).exp() * (2.0 * (-1) ** (k - 1))
    theta: Any = early * 0.0
    for k in range(1, 10, 2):
        theta = theta + ((early * early).power(-1) * (-((k * math.pi) ** 2) / 8)).exp()
    head = 1 - theta / early * math.sqrt(2 * math.pi)
    below = np.where(y < 0.04, 0.0 if n else 1.0, derivative(head, (n,)))
    return np.where(small, below, derivative(total, (n,)))


_KOLMOGOROV = Chain("kolmogorov", _kolmogorov, 0)
_SMIRNOV_N = _integer("n")


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


OTHERS: dict[str, Pushes] = {
    "kolmogorov": rules_of(lambda o, y: _KOLMOGOROV[1](y)),
    "kolmogi": rules_of(lambda o, p: 1 / _KOLMOGOROV[1](o)),
    "smirnov": rules_of(_SMIRNOV_N, lambda o, n, d: sp()._ufuncs._smirnovp(n, d)),
    "smirnovi": rules_of(_SMIRNOV_N, lambda o, n, p: 1 / sp()._ufuncs._smirnovp(n, o)),
    "_smirnovp": rules_of(_SMIRNOV_N, Unknown("d, a second time")),
    "tklmbda": rules_of(_tukey_x, _tukey_shape),
    "nrdtrimn": rules_of(
        lambda o, p, sd, x: -sd / _normal_density(sp().ndtri(p)),
        lambda o, p, sd, x: -sp().ndtri(p),
        lambda o, p, sd, x: 1.0,
    ),
    "nrdtrisd": rules_of(
        lambda o, mean, p, x: -1 / sp().ndtri(p),
        lambda o, mean, p, x: -o / (sp().ndtri(p) * _normal_density(sp().ndtri(p))),
        lambda o, mean, p, x: 1 / sp().ndtri(p),
    ),
    "_beta_pdf": rules_of(
        lambda o, x, a, b: beta_density_by_x((0, 0))(o, a, b, x),
        lambda o, x, a, b: BETA_DENSITY[1, 0](a, b, x),
        lambda o, x, a, b: BETA_DENSITY[0, 1](a, b, x),
    ),
    "_beta_ppf": inverse(
        lambda o, p, a, b: beta_density(a, b, o),
        lambda o, p, a, b: beta_by_a(a, b, o),
        lambda o, p, a, b: beta_by_b(a, b, o),
        known=0,
    ),
}

PUSHES: dict[str, Pushes] = {**COUNTS, **GAMMAS, **FS, **NONCENTRAL, **OTHERS}
"""The rules of these distributions and their inverses."""
