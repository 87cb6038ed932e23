"""Elementwise primitives in the array API standard.

Where the standard lacks a function it is composed of others, to a rounding or a few. Operands have one dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.backends._lowerings import Table, is_kind, same_dtypes, scalar

__all__ = ["ELEMENTWISE"]

ELEMENTWISE = Table()
"""Elementwise primitives."""

_lowers = ELEMENTWISE.lowers

_STANDARD = {
    "iufc": {"add": "add", "sub": "subtract", "mul": "multiply", "pow": "pow", "float_power": "pow", "neg": "negative",
             "pos": "positive", "square": "square", "sign": "sign", "pow_inside": "pow"},
    "fc": {"div": "divide", "sqrt": "sqrt", "exp": "exp", "expm1": "expm1", "log": "log", "log2": "log2",
           "log10": "log10", "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos",
           "atan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "asinh", "acosh": "acosh",
           "atanh": "atanh", "rint": "round"},
    "iuf": {"rem": "remainder", "floor_div": "floor_divide"},
    "f": {"atan2": "atan2", "hypot": "hypot", "logaddexp": "logaddexp", "copysign": "copysign",
          "nextafter": "nextafter", "signbit": "signbit", "fabs": "abs", "fabs_again": "abs", "root": "pow",
          "abs_slope": "sign"},
    "biufc": {"eq": "equal", "ne": "not_equal"},
    "biu": {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "not": "bitwise_invert"},
}  # fmt: skip

for _kinds, _names in _STANDARD.items():
    for _name, _function in _names.items():
        ELEMENTWISE.standard(_name, _function, _kinds)


def _on_booleans(name: str, kinds: str, function: str, of_booleans: str) -> None:
    """An entry for a function that the standard has for numbers, with one that does the same for booleans."""

    def run(xp: Any, *args: Any) -> Any:
        return getattr(xp, of_booleans if is_kind(xp, args[0], "bool") else function)(*args)

    _lowers(name, kinds, (function, of_booleans), same_dtypes)(run)


_on_booleans("add", "biufc", "add", "logical_or")
_on_booleans("mul", "biufc", "multiply", "logical_and")
_on_booleans("max", "biuf", "maximum", "logical_or")
_on_booleans("min", "biuf", "minimum", "logical_and")


def _on_integers(name: str, function: str) -> None:
    """An entry for rounding, which leaves integers and booleans as they are."""

    def run(xp: Any, x: Any) -> Any:
        return getattr(xp, function)(x) if is_kind(xp, x, "real floating") else x

    _lowers(name, "biuf", (function,))(run)


for _name in ("floor", "ceil", "trunc"):
    _on_integers(_name, _name)


def _on_any(name: str) -> None:
    """An entry for a question about numbers, which booleans are not in the standard."""

    def run(xp: Any, x: Any) -> Any:
        return getattr(xp, name)(xp.astype(x, xp.uint8) if is_kind(xp, x, "bool") else x)

    _lowers(name, "biufc", (name,))(run)


for _name in ("isnan", "isinf", "isfinite"):
    _on_any(_name)


def _ordering(name: str, function: str) -> None:
    """An entry for a comparison, which the standard has for real numbers."""

    def run(xp: Any, x: Any, y: Any) -> Any:
        if is_kind(xp, x, "bool"):
            x, y = xp.astype(x, xp.uint8), xp.astype(y, xp.uint8)
        return getattr(xp, function)(x, y)

    _lowers(name, "biuf", (function,), same_dtypes)(run)


for _name, _function in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}.items():
    _ordering(_name, _function)


def _truth(xp: Any, x: Any) -> Any:
    return x if is_kind(xp, x, "bool") else x != scalar(xp, 0, x)


def _logical(name: str) -> None:
    def run(xp: Any, *args: Any) -> Any:
        return getattr(xp, name)(*(_truth(xp, x) for x in args))

    _lowers(name, "biufc", (name,))(run)


for _name in ("logical_and", "logical_or", "logical_xor", "logical_not"):
    _logical(_name)


# ------------------------------------------------------------------------------------------------- complex numbers


@_lowers("abs")
def _abs(xp: Any, x: Any) -> Any:
    return x if is_kind(xp, x, "bool") else xp.abs(x)


@_lowers("conj", "iufc")
def _conj(xp: Any, x: Any) -> Any:
    return xp.conj(x) if is_kind(xp, x, "complex floating") else x


@_lowers("real")
def _real(xp: Any, x: Any) -> Any:
    return xp.real(x) if is_kind(xp, x, "complex floating") else x


@_lowers("imag")
def _imag(xp: Any, x: Any) -> Any:
    return xp.imag(x) if is_kind(xp, x, "complex floating") else xp.zeros_like(x)


@_lowers("complex", "f", when=same_dtypes)
def _complex(xp: Any, re: Any, im: Any) -> Any:
    """By addition; i·y by multiplication would have a real part that is not a number where y is not finite."""
    dtype = xp.complex64 if re.dtype == xp.float32 else xp.complex128
    finite = xp.isfinite(im)
    turned = xp.astype(xp.where(finite, im, scalar(xp, 0, im)), dtype) * xp.asarray(1j, dtype=dtype)
    for chosen, value in ((xp.isnan(im), np.nan), (im == np.inf, np.inf), (im == -np.inf, -np.inf)):
        turned = xp.where(chosen, xp.asarray(complex(0, value), dtype=dtype), turned)
    return xp.astype(re, dtype) + turned


@_lowers("tie_share", "biuf", when=same_dtypes)
def _tie_share(xp: Any, x: Any, y: Any) -> Any:
    """1 where x > y, 1/2 where they are equal, otherwise 0."""
    dtype = x.dtype if is_kind(xp, x, "real floating") else xp.float64
    more, least = (ELEMENTWISE[name].function(xp, x, y) for name in ("gt", "ge"))
    return (xp.astype(more, dtype) + xp.astype(least, dtype)) * 0.5


ELEMENTWISE["abs_again"] = ELEMENTWISE["abs"]


@_lowers("branch_sign", "f")
def _branch_sign(xp: Any, x: Any) -> Any:
    return xp.copysign(scalar(xp, 1, x), x)


@_lowers("div_or_zero", "fc", when=same_dtypes)
def _div_or_zero(xp: Any, x: Any, y: Any) -> Any:
    zero = y == scalar(xp, 0, y)
    return xp.where(zero, scalar(xp, 0, x) * x, x / xp.where(zero, scalar(xp, 1, y), y))


@_lowers("exponent_less_one", "fc", when=same_dtypes)
def _exponent_less_one(xp: Any, x: Any, y: Any) -> Any:
    zero, one = scalar(xp, 0, y), scalar(xp, 1, y)
    return xp.where((x == zero) & (y == zero), one, y - one)


@_lowers("log_of_base", "fc", when=same_dtypes)
def _log_of_base(xp: Any, x: Any, y: Any) -> Any:
    real = xp.real(y) if is_kind(xp, y, "complex floating") else y
    vanishes = (x == scalar(xp, 0, x)) & (real >= scalar(xp, 0, real))
    return xp.log(xp.where(vanishes, scalar(xp, 1, x), x))


@_lowers("over_gap")
def _over_gap(xp: Any, x: Any, gap: Any, x_noise: Any, gap_noise: Any) -> Any:
    closed = xp.abs(gap) <= gap_noise
    known = xp.where(xp.abs(x) <= x_noise, scalar(xp, 0, x), scalar(xp, np.nan, x))
    return xp.where(closed, known, x / xp.where(closed, scalar(xp, 1, gap), gap))


@_lowers("select")
def _select(xp: Any, c: Any, x: Any, y: Any) -> Any:
    return xp.where(c, x, y)


# ------------------------------------------------------------------------------------------ powers and logarithms


@_lowers("reciprocal", "fc")
def _reciprocal(xp: Any, x: Any) -> Any:
    return scalar(xp, 1, x) / x


@_lowers("exp2", "fc")
def _exp2(xp: Any, x: Any) -> Any:
    return xp.pow(scalar(xp, 2, x), x)


@_lowers("exp10", "f")
def _exp10(xp: Any, x: Any) -> Any:
    return xp.pow(scalar(xp, 10, x), x)


@_lowers("cbrt", "f")
def _cbrt(xp: Any, x: Any) -> Any:
    """The exponent 1/3 is rounded, which a step of Newton's method makes good."""
    size = xp.abs(x)
    plain = xp.isfinite(x) & (size > 0)
    safe = xp.where(plain, size, scalar(xp, 1, x))
    root = xp.pow(safe, scalar(xp, 1 / 3, x))
    root = root - (root - safe / (root * root)) / 3
    return xp.where(plain, xp.copysign(root, x), x)


@_lowers("ldexp", "iuf")
def _ldexp(xp: Any, x: Any, n: Any) -> Any:
    """In two halves, as 2ⁿ may be too large or small where the result is not."""
    two, half = scalar(xp, 2, x), xp.bitwise_right_shift(n, scalar(xp, 1, n))
    out = x * xp.pow(two, xp.astype(half, x.dtype)) * xp.pow(two, xp.astype(n - half, x.dtype))
    return xp.where(xp.isfinite(x) & (x != scalar(xp, 0, x)), out, x)


@_lowers("logaddexp2", "f")
def _logaddexp2(xp: Any, x: Any, y: Any) -> Any:
    high, low = xp.maximum(x, y), xp.minimum(x, y)
    same = x == y  # also where both are infinite
    gap = xp.where(same, xp.zeros_like(high), low - xp.where(same, low, high))
    return high + xp.log1p(xp.pow(scalar(xp, 2, x), gap)) / math.log(2.0)


# -------------------------------------------------------------------------------------- remainders, extremes, parts


@_lowers("fmod", "iuf", when=same_dtypes)
def _fmod(xp: Any, x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend, from that with the sign of the divisor."""
    if is_kind(xp, x, "real floating"):
        return xp.copysign(xp.remainder(xp.abs(x), xp.abs(y)), x)
    rest, zero = xp.remainder(x, y), scalar(xp, 0, x)
    return xp.where((rest != zero) & ((rest < zero) != (x < zero)), rest - y, rest)


def _past_nan(name: str, function: str) -> None:
    """An entry for an extreme value that passes over NaN."""

    def run(xp: Any, x: Any, y: Any) -> Any:
        best = getattr(xp, function)(x, y)
        if not is_kind(xp, x, "real floating"):
            return best
        return xp.where(xp.isnan(x), y, xp.where(xp.isnan(y), x, best))

    _lowers(name, "iuf", (function,), same_dtypes)(run)


_past_nan("fmax", "maximum")
_past_nan("fmin", "minimum")


@_lowers("heaviside", "f", when=same_dtypes)
def _heaviside(xp: Any, x: Any, h: Any) -> Any:
    zero = scalar(xp, 0, x)
    step = xp.where(x > zero, scalar(xp, 1, x), xp.where(xp.isnan(x), x, zero))
    return xp.where(x == zero, h, step)


@_lowers("spacing", "f")
def _spacing(xp: Any, x: Any) -> Any:
    return xp.nextafter(x, xp.copysign(scalar(xp, np.inf, x), x)) - x


@_lowers("deg2rad", "f")
def _deg2rad(xp: Any, x: Any) -> Any:
    return x * scalar(xp, math.pi / 180, x)


@_lowers("rad2deg", "f")
def _rad2deg(xp: Any, x: Any) -> Any:
    return x * scalar(xp, 180 / math.pi, x)


def _shift(name: str, function: str) -> None:
    """An entry for a shift: one by all the bits or more, or by less than none, gives what is left of the sign."""

    def run(xp: Any, x: Any, n: Any) -> Any:
        bits = xp.iinfo(x.dtype).bits
        most, none = scalar(xp, bits - 1, n), scalar(xp, 0, n)
        over = (n < none) | (n > most)
        out = getattr(xp, function)(x, xp.where(over, none, n))
        left = x < scalar(xp, 0, x) if name == "shift_right" else xp.zeros_like(x, dtype=xp.bool)
        rest = -xp.astype(left, x.dtype) if is_kind(xp, x, "signed integer") else xp.zeros_like(x)
        return xp.where(over, rest, out)

    _lowers(name, "iu", (function,), same_dtypes)(run)


_shift("shift_left", "bitwise_left_shift")
_shift("shift_right", "bitwise_right_shift")


# --------------------------------------------------------------------------------- activations, SciPy's functions


@_lowers("logistic", "f")
def logistic(xp: Any, x: Any) -> Any:
    """By exp(-|x|), which does not overflow."""
    power = xp.exp(-xp.abs(x))
    one = scalar(xp, 1, x)
    return xp.where(x >= scalar(xp, 0, x), one, power) / (one + power)


ELEMENTWISE["expit"] = ELEMENTWISE["logistic"]


@_lowers("log_expit", "f")
def _log_expit(xp: Any, x: Any) -> Any:
    return xp.minimum(x, scalar(xp, 0, x)) - xp.log1p(xp.exp(-xp.abs(x)))


@_lowers("logit", "f")
def _logit(xp: Any, x: Any) -> Any:
    return xp.log(x) - xp.log1p(-x)


@_lowers("relu", "iuf")
def _relu(xp: Any, x: Any) -> Any:
    return xp.maximum(x, scalar(xp, 0, x))


@_lowers("gelu_tanh", "f")
def _gelu(xp: Any, x: Any) -> Any:
    slope = math.sqrt(2 / math.pi)
    return (x * 0.5) * (xp.tanh(x * (x * x * (0.044715 * slope) + slope)) + 1.0)


def _times(xp: Any, x: Any, function: Any, y: Any) -> Any:
    """x·function(y), and 0 where x is 0 and y a number."""
    zero = (x == scalar(xp, 0, x)) & xp.logical_not(xp.isnan(y))
    return xp.where(zero, scalar(xp, 0, x), x * function(xp.where(zero, scalar(xp, 1, y), y)))


@_lowers("xlogy", "f", when=same_dtypes)
def _xlogy(xp: Any, x: Any, y: Any) -> Any:
    return _times(xp, x, xp.log, y)


@_lowers("xlog1py", "f", when=same_dtypes)
def _xlog1py(xp: Any, x: Any, y: Any) -> Any:
    return _times(xp, x, xp.log1p, y)


@_lowers("entr", "f")
def _entr(xp: Any, x: Any) -> Any:
    inside = -_times(xp, x, xp.log, xp.where(x < scalar(xp, 0, x), scalar(xp, 1, x), x))
    return xp.where(x < scalar(xp, 0, x), scalar(xp, -np.inf, x), inside)
