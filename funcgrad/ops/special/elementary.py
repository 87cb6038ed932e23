"""Functions made of exponentials, logarithms and trigonometric functions, written so that nothing cancels.

Where a factor 0 meets an infinity the limit is taken by a function that knows both (`divide_or_zero`), never by
replacing an operand, which would be differentiated again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.rules import ZERO
from funcgrad.ops.special.base import Chain, Pushes, function, rules_of, sp
from funcgrad.ops.special.jets import derivative, variables
from funcgrad.ops.special.series import EXPREL, LOG1P_OVER

__all__ = ["PUSHES", "cos_pi", "sin_pi"]

_LN10 = math.log(10.0)
_DEG = math.pi / 180.0

# --------------------------------------------------------------------------------------------------- x log y, entropy

_DIVIDE = function(
    "divide_or_zero",
    lambda x, y: np.where(x == 0, 0.0, x / np.where(x == 0, 1.0, y)),
    lambda o, x, y: 1 / y,
    lambda o, x, y: -_DIVIDE.bind(o, y),
)


def _divide_or_zero(x: Any, y: Any) -> Any:
    """x/y, but 0 where x is, also for y = 0: the derivative by y of x log y."""
    return _DIVIDE.bind(x, y)


def _log_ratio(x: Any, y: Any) -> Any:
    """log(x/y), also where the ratio overflows, or is near 1."""
    near = (x > 0.5 * y) & (x < 2 * y)
    safe = np.where(near, y, 1.0)
    return np.where(near, np.log1p(np.where(near, x - y, 0.0) / safe), np.log(x) - np.log(y))


ENTROPY: dict[str, Pushes] = {
    "xlogy": rules_of(lambda o, x, y: np.log(y), lambda o, x, y: _divide_or_zero(x, y)),
    "xlog1py": rules_of(lambda o, x, y: np.log1p(y), lambda o, x, y: _divide_or_zero(x, 1 + y)),
    "entr": rules_of(lambda o, x: -np.log(x) - 1),
    "rel_entr": rules_of(lambda o, x, y: _log_ratio(x, y) + 1, lambda o, x, y: -_divide_or_zero(x, y)),
    "kl_div": rules_of(lambda o, x, y: _log_ratio(x, y), lambda o, x, y: _RATIO_GAP.bind(x, y)),
}


# 1 - x/y; along the axis x = 0 kl_div is y, so that it is 1 at the origin too.
_RATIO_GAP = function(
    "ratio_gap",
    lambda x, y: np.where(x == 0, 1.0, (y - x) / y),
    lambda o, x, y: -1 / y,
    lambda o, x, y: _divide_or_zero(x, y) / y,
)

# ------------------------------------------------------------------------------------------------- logistic functions


def _log1mexp_slope(o: Any, x: Any) -> Any:
    """d/dx log(1 - e^x) = 1/(1 - e^-x)."""
    return -1 / np.expm1(-x)


_LOG1PMX_SLOPE = function("log1pmx_slope", lambda x: -x / (1 + x), lambda o, x: -1 / ((1 + x) * (1 + x)))

LOGISTIC: dict[str, Pushes] = {
    "expit": rules_of(lambda o, x: o * sp().expit(-x)),
    "logit": rules_of(lambda o, x: 1 / x + 1 / (1 - x)),
    "log_expit": rules_of(lambda o, x: sp().expit(-x)),
    "_log1mexp": rules_of(_log1mexp_slope),
    "_log1pmx": rules_of(lambda o, x: _LOG1PMX_SLOPE.bind(x)),
}

# --------------------------------------------------------------------------------------------------- Box-Cox


def _boxcox_shape(log_x: Any, shape: Any) -> Any:
    """d/dλ of log x · exprel(λ log x); where log x = -∞ the function is -1/λ."""
    zero = np.isneginf(log_x) & (shape > 0)
    safe = np.where(zero, 1.0, log_x)
    ends = 1 / np.where(zero, shape * shape, 1.0)
    return np.where(zero, ends, safe * safe * EXPREL[1](np.where(zero, 1.0, shape) * safe))


def _inv_boxcox(y: Any, shape: Any) -> Any:
    """(λy + 1)^(1/λ), also for λ = 0."""
    return np.exp(y * LOG1P_OVER[0](shape * y))


BOXCOX: dict[str, Pushes] = {
    "boxcox": rules_of(lambda o, x, s: x ** (s - 1), lambda o, x, s: _boxcox_shape(np.log(x), s)),
    "boxcox1p": rules_of(lambda o, x, s: np.exp(sp().xlog1py(s - 1, x)), lambda o, x, s: _boxcox_shape(np.log1p(x), s)),
    "inv_boxcox": rules_of(lambda o, y, s: o / (1 + s * y), lambda o, y, s: o * (y * y * LOG1P_OVER[1](s * y))),
    "inv_boxcox1p": rules_of(
        lambda o, y, s: _inv_boxcox(y, s) / (1 + s * y),
        lambda o, y, s: _inv_boxcox(y, s) * (y * y * LOG1P_OVER[1](s * y)),
    ),
}

# --------------------------------------------------------------------------------------------------- circles


def _parity(k: Any) -> Any:
    return 1 - 2 * np.remainder(k, 2)


def sin_pi(x: Any) -> Any:
    """sin(πx), with x reduced to a period exactly."""
    k = np.round(np.real(x))
    return _parity(k) * np.sin(np.pi * (x - k))


def cos_pi(x: Any) -> Any:
    """cos(πx), with x reduced to a period exactly."""
    k = np.round(np.real(x))
    return _parity(k) * np.cos(np.pi * (x - k))


CIRCLES: dict[str, Pushes] = {
    "cosm1": rules_of(lambda o, x: -np.sin(x)),
    "sindg": rules_of(lambda o, x: _DEG * sp().cosdg(x)),
    "cosdg": rules_of(lambda o, x: -_DEG * sp().sindg(x)),
    "tandg": rules_of(lambda o, x: _DEG * (1 + o * o)),
    "cotdg": rules_of(lambda o, x: -_DEG * (1 + o * o)),
    "radian": rules_of(lambda o, d, m, s: _DEG, lambda o, d, m, s: _DEG / 60, lambda o, d, m, s: _DEG / 3600),
    "_sinpi": rules_of(lambda o, x: np.pi * cos_pi(x)),
    "_cospi": rules_of(lambda o, x: -np.pi * sin_pi(x)),
}

# --------------------------------------------------------------------------------- the arithmetic-geometric mean


def _agm(order: tuple[int, int], a: Any, b: Any) -> Any:
    """The mean's derivatives, by its own iteration on jets (DLMF 19.8.1-4); of one sign with -a and -b."""
    sign = np.where(a < 0, -1.0, 1.0)
    proper = (a * b > 0) & np.isfinite(a) & np.isfinite(b)
    x, y = variables(order, *(np.where(proper, sign * v, 1.0) for v in (a, b)))
    for _ in range(40):
        x, y = (x + y) * 0.5, (x * y).sqrt()
        if all(np.all(np.abs(gap) < 1e-18 * np.abs(x.value)) for gap in (x - y).c.values()):
            break
    return np.where(proper, sign ** (1 + sum(order)) * derivative(x, order), np.nan)


_AGM = Chain("agm", _agm, 0, 1)


def _root(delta: Any, r: Any) -> Any:
    """√(δ² + r²), 1 in place of 0."""
    h = np.sqrt(delta * delta + r * r)
    return np.where(h == 0, 1.0, h)


def _cubed(x: Any, delta: Any, r: Any) -> Any:
    return (x / _root(delta, r)) ** 3


def _excess(delta: Any, r: Any) -> Any:
    """(√(δ² + r²) - δ)²/√(δ² + r²)."""
    h = _root(delta, r)
    gap = r * r / (h + delta)
    return gap * gap / h


def _excess_slope(o: Any, delta: Any, r: Any) -> Any:
    h = _root(delta, r)
    return -o * ((2 * h + delta) / (h * h))


_BY_DELTA = function("pseudo_huber_by_delta", _excess, _excess_slope, lambda o, d, r: _cubed(r, d, r))
_BY_R = function(
    "pseudo_huber_by_r",
    lambda d, r: d * (r / _root(d, r)),
    lambda o, d, r: _cubed(r, d, r),
    lambda o, d, r: _cubed(d, d, r),
)


def _smaller(a: Any, b: Any) -> Any:
    """The smaller number, b at ties: with a choice, so that the slope does not halve there."""
    return np.where(a < b, a, b)


def _powm1_x(o: Any, x: Any, y: Any) -> Any:
    zero = y == 0
    return np.where(zero, 0.0, y * np.power(x, np.where(zero, 1.0, y - 1)))


def _powm1_y(o: Any, x: Any, y: Any) -> Any:
    power = np.power(x, y)
    vanishes = (power == 0) & (x == 0)
    return np.where(vanishes, 0.0, power * np.log(np.where(vanishes, 1.0, x)))


OTHERS: dict[str, Pushes] = {
    "exp10": rules_of(lambda o, x: o * _LN10),
    "exprel": rules_of(lambda o, x: EXPREL[1](x)),
    "powm1": rules_of(_powm1_x, _powm1_y),
    "agm": rules_of(lambda o, a, b: _AGM[1, 0](a, b), lambda o, a, b: _AGM[0, 1](a, b)),
    "huber": rules_of(
        lambda o, d, r: np.where(np.abs(r) <= d, 0.0, np.abs(r) - d),
        lambda o, d, r: np.sign(r) * _smaller(d, np.abs(r)),
    ),
    "pseudo_huber": rules_of(lambda o, d, r: _BY_DELTA.bind(d, r), lambda o, d, r: _BY_R.bind(d, r)),
    "round": rules_of(ZERO),
}

PUSHES: dict[str, Pushes] = {**ENTROPY, **LOGISTIC, **BOXCOX, **CIRCLES, **OTHERS}
"""The rules of these functions."""
