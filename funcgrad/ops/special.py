"""Derivatives of SciPy's elementwise functions, without importing SciPy.

A ufunc of `scipy.special` arrives at `__array_ufunc__` as an object; its rule is found here by its name, and the ufunc
itself evaluates it. Formulas: Abramowitz & Stegun, chapters 6 (gamma), 7 (error function), 9 (Bessel functions).
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import Unknown, elementwise

__all__ = ["SPECIAL", "special_primitive"]

_2_SQRT_PI = 2.0 / math.sqrt(math.pi)
_SQRT_PI_2 = math.sqrt(math.pi) / 2.0
_SQRT_2PI = math.sqrt(2.0 * math.pi)
_LN10 = math.log(10.0)


def _sp() -> Any:
    """`scipy.special`; whoever holds one of its ufuncs has imported it."""
    return sys.modules["scipy.special"]


def _density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / _SQRT_2PI


def _safe_log(x: Any) -> Any:
    return np.log(np.where(x == 0, 1, x))


def _xlog1py_y(g: Any, o: Any, x: Any, y: Any) -> Any:
    return g * (x / (1 + y))


def _beta_slope(a: Any, b: Any) -> Any:
    return _sp().psi(a) - _sp().psi(a + b)


SPECIAL: dict[str, tuple[Any, ...]] = {
    "expit": (lambda g, o, x: g * (o * (1 - o)),),
    "logit": (lambda g, o, x: g / (x * (1 - x)),),
    "log_expit": (lambda g, o, x: g * _sp().expit(-x),),
    "erf": (lambda g, o, x: g * (_2_SQRT_PI * np.exp(-x * x)),),
    "erfc": (lambda g, o, x: -g * (_2_SQRT_PI * np.exp(-x * x)),),
    "erfcx": (lambda g, o, x: g * (2 * x * o - _2_SQRT_PI),),
    "erfinv": (lambda g, o, x: g * (_SQRT_PI_2 * np.exp(o * o)),),
    "erfcinv": (lambda g, o, x: -g * (_SQRT_PI_2 * np.exp(o * o)),),
    "dawsn": (lambda g, o, x: g * (1 - 2 * x * o),),
    "ndtr": (lambda g, o, x: g * _density(x),),
    "log_ndtr": (lambda g, o, x: g * np.exp(-0.5 * x * x - o) / _SQRT_2PI,),
    "ndtri": (lambda g, o, x: g / _density(o),),
    "gamma": (lambda g, o, x: g * (o * _sp().psi(x)),),
    "gammaln": (lambda g, o, x: g * _sp().psi(x),),
    "loggamma": (lambda g, o, x: g * _sp().psi(x),),
    "psi": (lambda g, o, x: g * _sp().zeta(2.0, x),),
    "rgamma": (lambda g, o, x: -g * (o * _sp().psi(x)),),
    "_zeta": (Unknown("the exponent x"), lambda g, o, s, q: -g * (s * _sp().zeta(s + 1, q))),
    "beta": (lambda g, o, a, b: g * (o * _beta_slope(a, b)), lambda g, o, a, b: g * (o * _beta_slope(b, a))),
    "betaln": (lambda g, o, a, b: g * _beta_slope(a, b), lambda g, o, a, b: g * _beta_slope(b, a)),
    "entr": (lambda g, o, x: -g * (np.log(x) + 1),),
    "rel_entr": (lambda g, o, x, y: g * (np.log(x / y) + 1), lambda g, o, x, y: -g * (x / y)),
    "kl_div": (lambda g, o, x, y: g * np.log(x / y), lambda g, o, x, y: g * (1 - x / y)),
    "xlogy": (lambda g, o, x, y: g * _safe_log(y), lambda g, o, x, y: g * (x / np.where(x == 0, 1, y))),
    "xlog1py": (lambda g, o, x, y: g * np.log1p(np.where(x == 0, 0, y)), _xlog1py_y),
    "exp10": (lambda g, o, x: g * (o * _LN10),),
    "exprel": (lambda g, o, x: g * _exprel_slope(o, x),),
    "i0": (lambda g, o, x: g * _sp().i1(x),),
    "i0e": (lambda g, o, x: g * (_sp().i1e(x) - np.sign(x) * o),),
    "i1": (lambda g, o, x: g * (0.5 * (_sp().i0(x) + _sp().iv(2, x))),),
    "i1e": (lambda g, o, x: g * (0.5 * (_sp().i0e(x) + _sp().ive(2, x)) - np.sign(x) * o),),
    "iv": (Unknown("the order v"), lambda g, o, v, x: g * (0.5 * (_sp().iv(v - 1, x) + _sp().iv(v + 1, x)))),
    "ive": (
        Unknown("the order v"),
        lambda g, o, v, x: g * (0.5 * (_sp().ive(v - 1, x) + _sp().ive(v + 1, x)) - np.sign(x) * o),
    ),
    "kv": (Unknown("the order v"), lambda g, o, v, x: -g * (0.5 * (_sp().kv(v - 1, x) + _sp().kv(v + 1, x)))),
    "jv": (Unknown("the order v"), lambda g, o, v, x: g * (0.5 * (_sp().jv(v - 1, x) - _sp().jv(v + 1, x)))),
    "yv": (Unknown("the order v"), lambda g, o, v, x: g * (0.5 * (_sp().yv(v - 1, x) - _sp().yv(v + 1, x)))),
    "j0": (lambda g, o, x: -g * _sp().j1(x),),
    "j1": (lambda g, o, x: g * (0.5 * (_sp().j0(x) - _sp().jv(2, x))),),
    "y0": (lambda g, o, x: -g * _sp().y1(x),),
    "y1": (lambda g, o, x: g * (0.5 * (_sp().y0(x) - _sp().yv(2, x))),),
    "k0": (lambda g, o, x: -g * _sp().k1(x),),
    "k1": (lambda g, o, x: -g * (0.5 * (_sp().k0(x) + _sp().kv(2, x))),),
    "expi": (lambda g, o, x: g * (np.exp(x) / x),),
    "exp1": (lambda g, o, x: -g * (np.exp(-x) / x),),
    "spence": (lambda g, o, x: -g * (np.log(x) / (x - 1)),),
    "gammainc": (Unknown("a"), lambda g, o, a, x: g * _gamma_density(a, x)),
    "gammaincc": (Unknown("a"), lambda g, o, a, x: -g * _gamma_density(a, x)),
    "betainc": (Unknown("a"), Unknown("b"), lambda g, o, a, b, x: g * _beta_density(a, b, x)),
}
"""The pushforwards of each function, as for `rules.elementwise`.

Keys are the names of the ufuncs (the function `zeta` calls one that is named `_zeta`).
"""


def _exprel_slope(o: Any, x: Any) -> Any:
    """(exp(x) - exprel(x))/x; where that cancels, its Taylor series: the coefficient of xᵏ is (k + 1)/(k + 2)!."""
    small = np.abs(x) < 0.03
    z = np.where(small, x, 0)
    series = 1 / 45360 * z + 1 / 5760
    for k in (5, 4, 3, 2, 1, 0):
        series = series * z + (k + 1) / math.factorial(k + 2)
    return np.where(small, series, (np.exp(x) - o) / np.where(small, 1, x))


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp((a - 1) * np.log(x) - x - _sp().gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - _sp().betaln(a, b))


_made: dict[Any, Primitive] = {}


def special_primitive(ufunc: Any) -> Primitive | None:
    """The primitive of a ufunc of `scipy.special`; None if there is no rule for it."""
    primitive = _made.get(ufunc)
    if primitive is None:
        same = UFUNCS.get(getattr(np, ufunc.__name__, None))  # expm1, log1p, cbrt, exp2: NumPy has them as well
        if same is not None:
            return same
        pushes = SPECIAL.get(ufunc.__name__)
        if pushes is None or len(pushes) != ufunc.nin or ufunc.nout != 1:
            return None
        primitive = _made[ufunc] = elementwise(ufunc.__name__, ufunc, *pushes)
    return primitive
