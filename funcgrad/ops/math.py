"""Elementwise primitives: arithmetic, elementary functions, comparisons, selection.

Each entry states a derivative once, as `push(g, out, *ins)`; see `rules.elementwise`. Derivatives are the textbook ones
(Abramowitz & Stegun, chapter 4); where a function has a kink the convention is JAX's (`maximum` halves at a tie, `abs`
has slope 0 at 0).
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError
from funcgrad.ops.constant import CONSTANT
from funcgrad.ops.quotients import DIV_OR_ZERO, EXPONENT_LESS_ONE, LOG_OF_BASE
from funcgrad.ops.rules import ZERO, elementwise
from funcgrad.ops.scalar import ScalarForm
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_a, result_dtype

__all__ = ["COMPLEX", "IMAG", "REAL", "SELECT", "TIE_SHARE", "UFUNCS"]


def _share_dtype(x: ShapedArray, y: ShapedArray) -> np.dtype[Any]:
    dtype = result_dtype(x, y)
    return np.finfo(dtype).dtype if dtype.kind in "fc" else np.dtype(float)


def _tie_share(x: Any, y: Any) -> Any:
    """1 where x > y, 1/2 where they are equal, otherwise 0.

    From two comparisons, added as bytes: 20,000 float32 take 14 µs, `heaviside` 130 µs.
    """
    dtype = _share_dtype(aval_of(x), aval_of(y))
    more, least = np.greater(x, y), np.greater_equal(x, y)
    if not is_a(more, np.ndarray):
        return dtype.type((int(more) + int(least)) / 2)
    twice = more.view(np.int8)
    share = np.add(twice, least.view(np.int8), out=twice).astype(dtype)
    return np.multiply(share, 0.5, out=share)


TIE_SHARE = elementwise(
    "tie_share",
    _tie_share,
    ZERO,
    ZERO,
    dtype=_share_dtype,
    total=True,
    cost=(0.75, 1.5),
    scalar=ScalarForm("0.5 if {0} == {1} else 1.0 if {0} > {1} else 0.0", 2),
)
"""Which share of a derivative by max(x, y) is that by x."""


def _wins(g: Any, x: Any, y: Any) -> Any:
    """`g` where x is larger than y, half of it where they are equal."""
    return g * TIE_SHARE.bind(x, y)


def _if_first(g: Any, x: Any, y: Any, wins: Any) -> Any:
    return np.where(wins(x, y) | np.isnan(y), g, 0)


def _if_second(g: Any, x: Any, y: Any, wins: Any) -> Any:
    """At a tie the second operand has all of the derivative: that is one branch, to all orders."""
    return np.where(wins(x, y) | np.isnan(y), 0, g)


def _power_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    if is_a(y, (bool, int, float, complex)):
        if y == 0:
            return g * 0.0
        if not is_a(y, complex) and 0 < y < 1:  # where Python's numbers raise at 0, the derivative is infinite
            return g * (y * np.power(x, y - 1))
        return g * (y * x ** (y - 1))
    if dtype_of(y).kind in "fc":
        return g * (y * POW_INSIDE.bind(x, EXPONENT_LESS_ONE.bind(x, y)))
    zero = y == 0
    return g * np.where(zero, 0, y * np.power(x, np.where(zero, 1, y - 1)))


def _power_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    return g * (out * LOG_OF_BASE.bind(x, y))


def _power_exponent_inside(g: Any, out: Any, x: Any, y: Any) -> Any:
    """Without the convention for 0**0, which is one for the first derivative."""
    return g * (out * LOG_OF_BASE.bind(x, np.where(y == 0, -1, y)))


POW_INSIDE = elementwise("pow_inside", np.power, _power_base, _power_exponent_inside, cost=(1.5, 4.3), scalar=math.pow)
"""The power in the derivative of a power."""


def _softmax_weight(exp: np.ufunc, x: Any, y: Any, out: Any) -> Any:
    """exp(x) / (exp(x) + exp(y)).

    Where both are -inf it is 0, as in `logsumexp`: what is made of the result has no share in either. Where both are
    inf there is no limit, and it is NaN.
    """
    alone = (x == out) & (x > y)  # also an infinite one
    return exp(np.where(alone, 0, x) - np.where(alone | (out == -np.inf), 0, out))


def _abs_slope(o: Any, x: Any) -> Any:
    """Of a complex x: conj(x)/|x|, of which the tangent and the cotangent rule both are multiples."""
    return DIV_OR_ZERO.bind(np.conjugate(x), o)


def _abs_push(g: Any, o: Any, x: Any) -> Any:
    return g * (_abs_slope(o, x) if dtype_of(x).kind == "c" else ABS_SLOPE.bind(x))


def _abs_again(g: Any, o: Any, x: Any) -> Any:
    return g * (_abs_slope(o, x) if dtype_of(x).kind == "c" else BRANCH_SIGN.bind(x))


ABS_SLOPE = elementwise(
    "abs_slope",
    np.sign,
    ZERO,
    total=True,
    cost=(0.75, 1.0),
    scalar=ScalarForm("1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0} + 0.0", 2),
)
"""The slope of |x|, 0 at 0. Where it is differentiated in turn, it is that of the branch on which x is."""


def _by_sign_bit(x: float) -> float:
    return math.copysign(1.0, x)


BRANCH_SIGN = ABS_SLOPE.again = elementwise(
    "branch_sign",
    lambda x: np.copysign(np.ones((), x.dtype) if is_a(x, (np.ndarray, np.generic)) else 1.0, x),
    ZERO,
    dtype=lambda x: x.dtype,
    total=True,
    cost=(0.75, 1.0),
    scalar=_by_sign_bit,
    expansion=lambda x: np.copysign(1.0, x),
)
"""The sign by the sign bit, also of 0. With it |x| is x or -x to all orders, so that the second derivatives of |x|², of
log(1 + exp(-|x|)), of whatever is smooth, are right at 0; with a slope of 0 they would be 0."""


def _leg_slope(x: Any, y: Any, r: Any) -> Any:
    """x/r with r = hypot(x, y): 0 at the origin, and ±1 where x alone is infinite."""
    alone = np.isinf(x) & np.isfinite(y)
    return np.where(alone, np.sign(x), DIV_OR_ZERO.bind(np.where(alone, 0, x), r))


def _per_square(x: Any, y: Any) -> Any:
    """x/(x² + y²), also where the squares overflow or underflow."""
    r = np.hypot(x, y)
    return x / r / r


def _sign_parts(s: Any, x: Any) -> tuple[Any, Any]:
    """z/|z| has the differential a·dz + b·conj(dz), with these a and b."""
    a = DIV_OR_ZERO.bind(0.5, np.abs(x))
    return a, -a * s * s


def _sign_jvp(tangents: Any, s: Any, ins: Any) -> Any:
    if dtype_of(ins[0]).kind != "c":
        return None
    a, b = _sign_parts(s, ins[0])
    return a * tangents[0] + b * np.conjugate(tangents[0])


def _sign_vjp(ct: Any, s: Any, ins: Any, wanted: Any) -> list[Any]:
    if dtype_of(ins[0]).kind != "c":
        return [None]
    a, b = _sign_parts(s, ins[0])
    return [a * ct + np.conjugate(b * ct)]


def _div_vjp(ct: Any, out: Any, ins: Any, wanted: Any) -> list[Any]:
    """The cotangent of the numerator is a factor of the other one: -ct·x/y² = -(ct/y)·out."""
    part = ct / ins[1]
    return [part if wanted[0] else None, -(part * out) if wanted[1] else None]


def _extreme(sign: str) -> ScalarForm:
    """The first operand where it is a NaN, the second where they are equal (0.0 and -0.0), as NumPy has it."""
    return ScalarForm(f"{{0}} if {{0}} {sign} {{1}} or {{0}} != {{0}} else {{1}}", 2, floats=True)


_DEAR = (0.7, 2.3)
"""Nanoseconds for an element of a transcendental function that NumPy vectorises."""
_LN2, _LN10 = math.log(2.0), math.log(10.0)
_DEG = math.pi / 180.0

ADD = elementwise(
    "add",
    np.add,
    lambda g, o, x, y: g,
    lambda g, o, x, y: g,
    python=operator.add,
    commutative=True,
    total=True,
    linear="all",
    scalar="{} + {}",
)
SUB = elementwise(
    "sub",
    np.subtract,
    lambda g, o, x, y: g,
    lambda g, o, x, y: -g,
    python=operator.sub,
    total=True,
    linear="all",
    scalar="{} - {}",
)
MUL = elementwise(
    "mul",
    np.multiply,
    lambda g, o, x, y: g * y,
    lambda g, o, x, y: g * x,
    python=operator.mul,
    commutative=True,
    total=True,
    linear="each",
    scalar="{} * {}",
)
DIV = elementwise(
    "div",
    np.divide,
    lambda g, o, x, y: g / y,
    lambda g, o, x, y: -g * (o / y),
    python=operator.truediv,
    linear="first",
    scalar="{} / {}",
)
DIV.vjp = _div_vjp
POW = elementwise("pow", np.power, _power_base, _power_exponent, python=operator.pow, cost=(1.5, 4.3), scalar=math.pow)
POW.fails = lambda x, y: result_dtype(x, y).kind in "iu"  # of a negative power
REM = elementwise(
    "rem",
    np.remainder,
    lambda g, o, x, y: g,
    lambda g, o, x, y: -g * np.floor_divide(x, y),
    python=operator.mod,
    cost=(9.8, 10.0),
    scalar=ScalarForm("{} % {}", 3, floats=True),
)

_SIGN = elementwise(
    "sign",
    np.sign,
    ZERO,
    total=True,
    cost=(0.75, 1.0),
    scalar=ScalarForm("1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0} + 0.0", 2),
)
_SIGN.jvp, _SIGN.vjp, _SIGN.carries = _sign_jvp, _sign_vjp, None  # piecewise constant for real numbers only

_BINARY = {
    np.add: ADD,
    np.subtract: SUB,
    np.multiply: MUL,
    np.divide: DIV,
    np.power: POW,
    np.remainder: REM,
    np.float_power: elementwise("float_power", np.float_power, _power_base, _power_exponent, cost=(4.3, 4.3)),
    np.fmod: elementwise(
        "fmod", np.fmod, lambda g, o, x, y: g, lambda g, o, x, y: -g * np.trunc(x / y), cost=(13.0, 13.0)
    ),
    np.maximum: elementwise(
        "max",
        np.maximum,
        lambda g, o, x, y: _wins(g, x, y),
        lambda g, o, x, y: _wins(g, y, x),
        commutative=True,
        idempotent=True,
        total=True,
        scalar=_extreme(">"),
    ),
    np.minimum: elementwise(
        "min",
        np.minimum,
        lambda g, o, x, y: _wins(g, y, x),
        lambda g, o, x, y: _wins(g, x, y),
        commutative=True,
        idempotent=True,
        total=True,
        scalar=_extreme("<"),
    ),
    np.fmax: elementwise(
        "fmax",
        np.fmax,
        lambda g, o, x, y: _if_first(g, x, y, np.greater),
        lambda g, o, x, y: _if_second(g, x, y, np.greater),
        commutative=True,
        idempotent=True,
        total=True,
    ),
    np.fmin: elementwise(
        "fmin",
        np.fmin,
        lambda g, o, x, y: _if_first(g, x, y, np.less),
        lambda g, o, x, y: _if_second(g, x, y, np.less),
        commutative=True,
        idempotent=True,
        total=True,
    ),
    np.arctan2: elementwise(
        "atan2",
        np.arctan2,
        lambda g, o, y, x: g * _per_square(x, y),
        lambda g, o, y, x: -g * _per_square(y, x),
        cost=(1.0, 3.6),
        scalar=math.atan2,
    ),
    np.hypot: elementwise(
        "hypot",
        np.hypot,
        lambda g, o, x, y: g * _leg_slope(x, y, o),
        lambda g, o, x, y: g * _leg_slope(y, x, o),
        commutative=True,
        cost=(5.3, 21.0),
        scalar=math.hypot,
    ),
    np.logaddexp: elementwise(
        "logaddexp",
        np.logaddexp,
        lambda g, o, x, y: g * _softmax_weight(np.exp, x, y, o),
        lambda g, o, x, y: g * _softmax_weight(np.exp, y, x, o),
        commutative=True,
        cost=(26.0, 27.0),
    ),
    np.logaddexp2: elementwise(
        "logaddexp2",
        np.logaddexp2,
        lambda g, o, x, y: g * _softmax_weight(np.exp2, x, y, o),
        lambda g, o, x, y: g * _softmax_weight(np.exp2, y, x, o),
        commutative=True,
        cost=(19.0, 20.0),
    ),
    np.copysign: elementwise(
        "copysign",
        np.copysign,
        lambda g, o, x, y: g * (np.copysign(1.0, x) * np.copysign(1.0, y)),
        ZERO,
        total=True,
        cost=(1.0, 1.0),
        scalar=math.copysign,
    ),
    np.ldexp: elementwise("ldexp", np.ldexp, lambda g, o, x, n: np.ldexp(g, n), ZERO, cost=(5.0, 5.0)),
    np.nextafter: elementwise("nextafter", np.nextafter, lambda g, o, x, y: g, ZERO, cost=(2.8, 8.0)),
    np.heaviside: elementwise("heaviside", np.heaviside, ZERO, lambda g, o, x, y: g * (x == 0), cost=(2.0, 2.0)),
}

_UNARY = {
    np.sign: _SIGN,
    np.negative: elementwise(
        "neg", np.negative, lambda g, o, x: -g, python=operator.neg, total=True, linear="all", scalar="-{}"
    ),
    np.positive: elementwise(
        "pos", np.positive, lambda g, o, x: g, python=operator.pos, total=True, linear="all", scalar="{}"
    ),
    np.absolute: elementwise(
        "abs",
        np.absolute,
        _abs_push,
        python=operator.abs,
        total=True,
        scalar=ScalarForm("abs({})", 3),
    ),
    np.fabs: elementwise(
        "fabs", np.fabs, lambda g, o, x: g * ABS_SLOPE.bind(x), total=True, cost=(1.6, 1.9), scalar=math.fabs
    ),
    np.conjugate: elementwise("conj", np.conjugate, lambda g, o, x: np.conjugate(g), total=True, linear="all"),
    np.square: elementwise("square", np.square, lambda g, o, x: (2 * g) * x, total=True, scalar="{0} * {0}"),
    np.reciprocal: elementwise("reciprocal", np.reciprocal, lambda g, o, x: -g * (o * o), scalar="1.0 / {}"),
    np.sqrt: elementwise("sqrt", np.sqrt, lambda g, o, x: g * (0.5 / o), scalar=math.sqrt),
    np.cbrt: elementwise("cbrt", np.cbrt, lambda g, o, x: g / (3 * (o * o)), cost=_DEAR),
    np.exp: elementwise("exp", np.exp, lambda g, o, x: g * o, cost=(0.9, 1.2), scalar=math.exp),
    np.exp2: elementwise("exp2", np.exp2, lambda g, o, x: g * (o * _LN2), cost=(0.5, 1.1)),
    np.expm1: elementwise("expm1", np.expm1, lambda g, o, x: g * np.exp(x), cost=_DEAR, scalar=math.expm1),
    np.log: elementwise("log", np.log, lambda g, o, x: g / x, cost=(0.8, 1.8), scalar=math.log),
    np.log2: elementwise("log2", np.log2, lambda g, o, x: g / (x * _LN2), cost=(0.5, 1.8), scalar=math.log2),
    np.log10: elementwise("log10", np.log10, lambda g, o, x: g / (x * _LN10), cost=(0.5, 1.8), scalar=math.log10),
    np.log1p: elementwise("log1p", np.log1p, lambda g, o, x: g / (1 + x), cost=_DEAR, scalar=math.log1p),
    np.sin: elementwise("sin", np.sin, lambda g, o, x: g * np.cos(x), cost=(1.1, 8.6), scalar=math.sin),
    np.cos: elementwise("cos", np.cos, lambda g, o, x: -g * np.sin(x), cost=(1.1, 8.4), scalar=math.cos),
    np.tan: elementwise("tan", np.tan, lambda g, o, x: g * (1 + o * o), cost=_DEAR, scalar=math.tan),
    np.arcsin: elementwise(
        "asin", np.arcsin, lambda g, o, x: g / np.sqrt((1 - x) * (1 + x)), cost=_DEAR, scalar=math.asin
    ),
    np.arccos: elementwise(
        "acos", np.arccos, lambda g, o, x: -g / np.sqrt((1 - x) * (1 + x)), cost=_DEAR, scalar=math.acos
    ),
    np.arctan: elementwise("atan", np.arctan, lambda g, o, x: g / (1 + x * x), cost=_DEAR, scalar=math.atan),
    np.sinh: elementwise("sinh", np.sinh, lambda g, o, x: g * np.cosh(x), cost=_DEAR, scalar=math.sinh),
    np.cosh: elementwise("cosh", np.cosh, lambda g, o, x: g * np.sinh(x), cost=_DEAR, scalar=math.cosh),
    np.tanh: elementwise("tanh", np.tanh, lambda g, o, x: g * (1 - o * o), cost=_DEAR, scalar=math.tanh),
    np.arcsinh: elementwise("asinh", np.arcsinh, lambda g, o, x: g / np.sqrt(x * x + 1), cost=_DEAR, scalar=math.asinh),
    np.arccosh: elementwise(
        "acosh", np.arccosh, lambda g, o, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)), cost=_DEAR, scalar=math.acosh
    ),
    np.arctanh: elementwise(
        "atanh", np.arctanh, lambda g, o, x: g / ((1 - x) * (1 + x)), cost=_DEAR, scalar=math.atanh
    ),
    np.deg2rad: elementwise("deg2rad", np.deg2rad, lambda g, o, x: g * _DEG, total=True, linear="all", cost=(2.0, 2.0)),
    np.rad2deg: elementwise("rad2deg", np.rad2deg, lambda g, o, x: g / _DEG, total=True, linear="all", cost=(2.0, 2.0)),
}

_UNARY[np.absolute].again = elementwise(
    "abs_again", np.absolute, _abs_again, python=operator.abs, total=True, scalar=ScalarForm("abs({})", 3)
)
_UNARY[np.fabs].again = elementwise("fabs_again", np.fabs, _abs_again, total=True, cost=(1.6, 1.9), scalar=math.fabs)

UFUNCS = {**_BINARY, **_UNARY, **CONSTANT}
"""The primitive of each elementwise ufunc with one result."""

for _same, _as in ((np.degrees, np.rad2deg), (np.radians, np.deg2rad)):
    UFUNCS[_same] = UFUNCS[_as]


def _real_dtype(x: ShapedArray) -> np.dtype[Any]:
    return np.finfo(x.dtype).dtype if x.dtype.kind == "c" else x.dtype


def _complex_dtype(re: ShapedArray, im: ShapedArray) -> np.dtype[Any]:
    if "c" in (re.dtype.kind, im.dtype.kind):
        raise DTypeError("the parts of a complex number are real; take numpy.real of the operands")
    return np.result_type(result_dtype(re, im), np.complex64)


def _complex(re: Any, im: Any) -> Any:
    dtype = _complex_dtype(aval_of(re), aval_of(im))
    out = np.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), dtype)
    out.real, out.imag = re, im
    return out


# A tangent of these is complex where the result is real, a cotangent the other way round; matching them takes the real
# part, so that one formula serves both. `imag` is the real part of -i·z.
REAL = elementwise(
    "real",
    lambda x: x.real.copy(),
    lambda g, o, x: g,
    dtype=_real_dtype,
    python=operator.attrgetter("real"),
    total=True,
    linear="all",
)
IMAG = elementwise(
    "imag",
    lambda x: x.imag.copy(),
    lambda g, o, x: g * -1j,
    dtype=_real_dtype,
    python=operator.attrgetter("imag"),
    total=True,
    linear="all",
)
COMPLEX = elementwise(
    "complex",
    _complex,
    lambda g, o, re, im: g,
    lambda g, o, re, im: g * 1j,
    dtype=_complex_dtype,
    total=True,
    linear="all",
)

SELECT = elementwise(
    "select",
    np.where,
    ZERO,
    lambda g, o, c, x, y: np.where(c, g, 0),
    lambda g, o, c, x, y: np.where(c, 0, g),
    dtype=lambda c, x, y: result_dtype(x, y),
    total=True,
    cost=(0.75, 1.5),
    scalar=ScalarForm("{1} if {0} else {2}", floats=True, results="fb"),
)
