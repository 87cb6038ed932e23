"""Logarithms of incomplete gamma and beta functions, also where these are too small for a floating-point number.

There the defining integral is exp(the exponent at its end) times ∫ exp(-u) exp(rest) du, where the rest is quadratic in
u with a small factor, since the end is many standard deviations from the bulk. Twelve nodes of Gauss and Laguerre are
exact to rounding then. (DLMF 8.2, 8.17; 3.5(v).)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.scipy.stats._base import sc

__all__ = ["log_betainc", "log_gammainc", "log_gammaincc"]

_NODES, _WEIGHTS = np.polynomial.laguerre.laggauss(12)


def _private(name: str) -> Any:
    return getattr(sc("_ufuncs"), name)


def _mean(exponent: Any, dtype: Any) -> Any:
    """The integral of exp(-u + exponent(u)), the nodes being along a last axis."""
    return np.matmul(np.exp(exponent), _WEIGHTS.astype(dtype))


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


def _tiny(x: Any) -> Any:
    """Where a probability, or its third power in a second derivative, has lost digits, or will soon."""
    return x < (1e-12 if x.dtype.itemsize <= 4 else 1e-75)


def _logarithm(value: Any, rest: Any, tail: Any, small: Any, none: Any = False) -> Any:
    """log(value), from the rest up to 1 where that is less, or the tail where the value is small; -inf where nothing is
    left."""
    none = ((value == 0) | none) & ~small
    near = (rest < 0.5) & ~none
    out = np.log(np.where(small | none | near, np.ones((), value.dtype), value))
    out = np.where(near, np.log1p(-np.where(near, rest, np.zeros((), value.dtype))), out)
    return np.where(small, tail, np.where(none, np.asarray(-np.inf, value.dtype), out))


def log_gammaincc(a: Any, x: Any) -> Any:
    """log Q(a, x) for a > 0, x ≥ 0.

    Q(a, x) Γ(a) = x^a e^-x ∫ exp(-xt) (1 + t)^(a - 1) dt, with t = u/(x - a + 1).
    """
    value, less = sc("gammaincc")(a, x), sc("gammainc")(a, x)
    small = _tiny(value) & (x < np.inf)
    a, x = np.where(small, a, 1.0).astype(value.dtype), np.where(small, x, 1000.0).astype(value.dtype)
    width = x - a + 1
    y = _NODES.astype(value.dtype) / _column(width)
    rest = _column(a - 1) * _private("_log1pmx")(y)
    tail = a * np.log(x) - x - sc("gammaln")(a) - np.log(width) + np.log(_mean(rest, value.dtype))
    return _logarithm(value, less, tail, small)


def log_gammainc(a: Any, x: Any) -> Any:
    """log P(a, x) for a > 0, x > 0.

    P(a, x) Γ(a) = x^a e^-x ∫ exp(-av + x (1 - e^-v)) dv, with v = u/(a - x).
    """
    value, more = sc("gammainc")(a, x), sc("gammaincc")(a, x)
    small = _tiny(value) & (x > 0)
    a, x = np.where(small, a, 1000.0).astype(value.dtype), np.where(small, x, 1.0).astype(value.dtype)
    width = a - x
    v = _NODES.astype(value.dtype) / _column(width)
    rest = -_column(x) * (v + np.expm1(-v))
    tail = a * np.log(x) - x - sc("gammaln")(a) - np.log(width) + np.log(_mean(rest, value.dtype))
    return _logarithm(value, more, tail, small)


def log_betainc(a: Any, b: Any, x: Any, rest: Any, log_x: Any, odds: Any) -> Any:
    """log I_x(a, b), given 1 - x, log x and x/(1 - x) too, where these are known better than x.

    I_x(a, b) B(a, b) = x^a (1 - x)^(b - 1) ∫ exp(-av) (1 + r (1 - e^-v))^(b - 1) dv with r = x/(1 - x) and
    v = u/(a - (b - 1) r).
    """
    lost = x == 0  # though log x is known; the slope may be infinite there
    value = sc("betainc")(a, b, np.where(lost, np.asarray(0.5, x.dtype), x))
    full = rest == 0
    more = np.where(full, 0, sc("betainc")(b, a, np.where(full | lost, np.asarray(0.5, x.dtype), rest)))
    small = (lost | _tiny(value)) & (log_x > -np.inf)
    dtype = value.dtype
    a, b = np.where(small, a, 1.0).astype(dtype), np.where(small, b, 1.0).astype(dtype)
    log_x, r = np.where(small, log_x, -1.0).astype(dtype), np.where(small, odds, 0.1).astype(dtype)
    width = a - (b - 1) * r
    v = _NODES.astype(dtype) / _column(width)
    fall = np.expm1(-v)
    y = -_column(r) * fall
    rest = _column(b - 1) * (_private("_log1pmx")(y) - _column(r) * (fall + v))
    tail = a * log_x - (b - 1) * np.log1p(r) - sc("betaln")(a, b) - np.log(width) + np.log(_mean(rest, dtype))
    return _logarithm(value, more, tail, small, lost)
