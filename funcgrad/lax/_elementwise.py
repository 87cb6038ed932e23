"""Elementwise functions by the names of `jax.lax`: NumPy's, which broadcast and promote as NumPy does."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._elementwise import complex_of
from funcgrad.ops.math import SELECT
from funcgrad.ops.shape import BITCAST
from funcgrad.ops.softmax import LOGISTIC
from funcgrad.types import dtype_of

__all__ = [
    "NAMES",
    "bitcast_convert_type",
    "clamp",
    "complex",
    "convert_element_type",
    "digamma",
    "div",
    "erf",
    "erf_inv",
    "erfc",
    "integer_pow",
    "lgamma",
    "logistic",
    "rem",
    "round",
    "rsqrt",
    "select",
    "select_n",
    "shift_right_logical",
]

_NUMPY = {
    "abs": "absolute", "acos": "arccos", "acosh": "arccosh", "add": "add", "asin": "arcsin", "asinh": "arcsinh",
    "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh", "bitwise_and": "bitwise_and",
    "bitwise_not": "invert", "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor", "cbrt": "cbrt", "ceil": "ceil",
    "conj": "conjugate", "cos": "cos", "cosh": "cosh", "eq": "equal", "exp": "exp", "exp2": "exp2", "expm1": "expm1",
    "floor": "floor", "ge": "greater_equal", "gt": "greater", "imag": "imag", "is_finite": "isfinite",
    "le": "less_equal", "log": "log", "log1p": "log1p", "lt": "less", "max": "maximum", "min": "minimum",
    "mul": "multiply", "ne": "not_equal", "neg": "negative", "nextafter": "nextafter",
    "population_count": "bitwise_count", "pow": "power", "real": "real", "reciprocal": "reciprocal",
    "shift_left": "left_shift", "shift_right_arithmetic": "right_shift", "sign": "sign", "sin": "sin",
    "sinh": "sinh", "sqrt": "sqrt", "square": "square", "sub": "subtract", "tan": "tan", "tanh": "tanh",
}  # fmt: skip

NAMES: dict[str, Callable[..., Any]] = {name: getattr(jnp, plain) for name, plain in _NUMPY.items()}
"""What `funcgrad.numpy` has under another name."""


def div(x: Any, y: Any) -> Any:
    """The quotient; of integers, rounded towards zero.

    >>> div(np.array([-7, 7]), 2)
    array([-3,  3])
    """
    x, y = array_operand(x), array_operand(y)
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        quotient = np.floor_divide(x, y)
        return quotient + ((np.remainder(x, y) != 0) & ((x < 0) != (y < 0)))
    return np.divide(x, y)


def rem(x: Any, y: Any) -> Any:
    """The remainder, with the sign of `x`."""
    return np.fmod(array_operand(x), y)


def integer_pow(x: Any, y: int) -> Any:
    """`x ** y` for an integer `y`, by multiplications.

    >>> integer_pow(np.array([2.0, 3.0]), -2)
    array([0.25      , 0.11111111])
    """
    base = array_operand(x)
    if y < 0:
        return np.reciprocal(integer_pow(base, -y))
    if y == 0:
        return np.ones_like(base)
    out = None
    while True:
        if y & 1:
            out = base if out is None else out * base
        y >>= 1
        if not y:
            return out
        base = np.square(base)


def rsqrt(x: Any) -> Any:
    """`1 / sqrt(x)`."""
    return 1 / np.sqrt(array_operand(x))


def round(x: Any, rounding_method: int = 0) -> Any:
    """The nearest integer: halves away from zero (method 0), or to even ones (1)."""
    x = array_operand(x)
    if int(rounding_method) == 1:
        return np.rint(x)
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole)


def complex(x: Any, y: Any) -> Any:
    """`x + 1j * y`."""
    return complex_of(x, y)


def logistic(x: Any) -> Any:
    """`1 / (1 + exp(-x))`, without overflow; the derivative is `y * (1 - y)`."""
    return LOGISTIC.bind(array_operand(x))


def clamp(min: Any, x: Any, max: Any) -> Any:
    """`x`, limited to an interval; at its ends the derivative is zero.

    >>> clamp(0.0, np.array([-1.0, 0.5, 2.0]), 1.0)
    array([0. , 0.5, 1. ])
    """
    x = array_operand(x)
    low, high = array_operand(min).astype(x.dtype), array_operand(max).astype(x.dtype)
    return np.where(x <= low, low, np.where(x >= high, high, x))


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """`on_true` where `pred` holds, else `on_false`."""
    return SELECT.bind(array_operand(pred), array_operand(on_true), array_operand(on_false))


def select_n(which: Any, *cases: Any) -> Any:
    """For each element the case of that number; two cases may be chosen by a boolean (true for the second).

    >>> select_n(np.array([True, False]), np.zeros(2), np.ones(2))
    array([1., 0.])
    """
    which = array_operand(which)
    if not cases or (which.dtype.kind == "b" and len(cases) > 2):
        raise ValueError(f"select_n: {len(cases)} cases cannot be chosen by {which.dtype}")
    out, *others = map(array_operand, cases)
    for i, case in enumerate(others, 1):
        out = select(which if which.dtype.kind == "b" else which >= i, case, out)
    return out


def shift_right_logical(x: Any, y: Any) -> Any:
    """`x` shifted to the right by `y` bits, zeros coming in."""
    x = array_operand(x)
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    return np.right_shift(x.astype(unsigned), array_operand(y).astype(unsigned)).astype(x.dtype)


def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """Convert to a dtype."""
    return array_operand(operand).astype(new_dtype)


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The same bits as another dtype of the same size; without a derivative.

    >>> bitcast_convert_type(np.ones(1, np.float32), np.int32)
    array([1065353216], dtype=int32)
    """
    return BITCAST.bind(array_operand(operand), dtype=np.dtype(new_dtype))


def _special(name: str, x: Any) -> Any:
    """A function of `scipy.special`, whose ufuncs have derivatives."""
    try:
        from scipy import special  # optional extra
    except ImportError:
        raise ImportError(f"lax.{name} needs SciPy: pip install scipy") from None
    x = array_operand(x)
    return getattr(special, name)(x if dtype_of(x).kind in "fc" else x.astype(builtins.float))


def erf(x: Any) -> Any:
    """The error function; needs SciPy."""
    return _special("erf", x)


def erfc(x: Any) -> Any:
    """The complementary error function; needs SciPy."""
    return _special("erfc", x)


def erf_inv(x: Any) -> Any:
    """The inverse of the error function; needs SciPy."""
    return _special("erfinv", x)


def lgamma(x: Any) -> Any:
    """The logarithm of the absolute value of the gamma function; needs SciPy."""
    return _special("gammaln", x)


def digamma(x: Any) -> Any:
    """The derivative of `lgamma`; needs SciPy."""
    return _special("psi", x)
