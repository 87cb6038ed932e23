"""Elementwise functions by the names of `jax.lax`: NumPy's, which broadcast and promote as NumPy does."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import DTypeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._elementwise import complex_of
from funcgrad.ops.math import SELECT
from funcgrad.ops.softmax import LOGISTIC
from funcgrad.types import PYTHON_SCALARS, dtype_of, is_inexact, result_dtype

__all__ = [
    "NAMES",
    "RoundingMethod",
    "clamp",
    "complex",
    "conj",
    "convert_element_type",
    "div",
    "imag",
    "integer_pow",
    "logistic",
    "pow",
    "real",
    "rem",
    "round",
    "rsqrt",
    "select",
    "select_n",
]

_NUMPY = {
    "abs": "absolute", "acos": "arccos", "acosh": "arccosh", "add": "add", "asin": "arcsin", "asinh": "arcsinh",
    "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh", "bitwise_and": "bitwise_and",
    "bitwise_not": "invert", "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor", "cbrt": "cbrt", "ceil": "ceil",
    "cos": "cos", "cosh": "cosh", "eq": "equal", "exp": "exp", "exp2": "exp2", "expm1": "expm1",
    "floor": "floor", "ge": "greater_equal", "gt": "greater", "is_finite": "isfinite",
    "le": "less_equal", "log": "log", "log1p": "log1p", "lt": "less", "max": "maximum", "min": "minimum",
    "mul": "multiply", "ne": "not_equal", "neg": "negative", "nextafter": "nextafter",
    "reciprocal": "reciprocal",
    "shift_left": "left_shift", "sign": "sign", "sin": "sin",
    "sinh": "sinh", "sqrt": "sqrt", "square": "square", "sub": "subtract", "tan": "tan", "tanh": "tanh",
}  # fmt: skip


def _named(name: str, plain: str) -> Callable[..., Any]:
    """A function of `funcgrad.numpy` under another name, with JAX's parameters. (An accuracy is accepted.)"""
    function = getattr(jnp, plain)
    if getattr(getattr(np, plain), "nin", 1) == 2:

        def binary(x: Any, y: Any) -> Any:
            return function(x, y)

        named: Any = binary
    else:

        def unary(x: Any, accuracy: Any = None) -> Any:
            return function(x)

        named = unary
    named.__name__ = named.__qualname__ = name
    named.__module__, named.__doc__ = "funcgrad.lax", function.__doc__
    return named


NAMES: dict[str, Callable[..., Any]] = {name: _named(name, plain) for name, plain in _NUMPY.items()}
"""What `funcgrad.numpy` has under another name."""


def _mul(x: Any, y: Any, *, out_dtype: Any = None) -> Any:
    """The product, computed in `out_dtype` if that is given.

    >>> from funcgrad.lax import mul
    >>> mul(np.array([100], np.int8), np.int8(3), out_dtype=np.int16)
    array([300], dtype=int16)
    """
    if out_dtype is not None:
        x, y = array_operand(x).astype(out_dtype), array_operand(y).astype(out_dtype)
    return jnp.multiply(x, y)


def _atan2(x: Any, y: Any) -> Any:
    """The angle of the point (y, x); of complex numbers -i log((y + i x) / sqrt(x² + y²))."""
    if result_dtype(x, y).kind != "c":
        return jnp.arctan2(x, y)
    x, y = array_operand(x), array_operand(y)
    return -1j * np.log((y + 1j * x) / np.sqrt(x * x + y * y))


for _name, _fun in (("mul", _mul), ("atan2", _atan2)):
    _fun.__name__ = _fun.__qualname__ = _name
    _fun.__module__ = "funcgrad.lax"
    NAMES[_name] = _fun


def real(x: Any) -> Any:
    """The real part."""
    return np.real(array_operand(x))


def imag(x: Any) -> Any:
    """The imaginary part."""
    return np.imag(array_operand(x))


def conj(x: Any, input_dtype: Any = None) -> Any:
    """The complex conjugate: complex also of real floats, as JAX's is; its `input_dtype` has no effect."""
    x = array_operand(x)
    return np.conjugate(x if x.dtype.kind != "f" else x.astype(result_dtype(x, np.complex64(0))))


def pow(x: Any, y: Any) -> Any:
    """`x` to the power of `y`, in the dtype of a floating or complex `x` if `y` is an integer.

    >>> pow(np.array([2.0], np.float32), np.array([3]))
    array([8.], dtype=float32)
    """
    out = np.power(x, y) if type(x) not in PYTHON_SCALARS else np.power(array_operand(x), y)
    if type(y) in PYTHON_SCALARS or dtype_of(y).kind not in "iu" or not is_inexact(x) or type(x) in PYTHON_SCALARS:
        return out
    return out.astype(dtype_of(x))


class RoundingMethod(enum.IntEnum):
    """How halves are rounded: away from zero, or to the even neighbour."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


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
    if y < 0 and base.dtype.kind not in "fc":
        raise TypeError(
            f"integer_pow: {base.dtype} cannot be raised to the negative power {y}; convert it with .astype"
        )
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


def rsqrt(x: Any, accuracy: Any = None) -> Any:
    """`1 / sqrt(x)`."""
    return 1 / np.sqrt(array_operand(x))


def round(x: Any, rounding_method: RoundingMethod | int = RoundingMethod.AWAY_FROM_ZERO) -> Any:
    """The nearest integer: halves away from zero, or to even ones (`RoundingMethod`)."""
    x = array_operand(x)
    if int(rounding_method) == 1:
        return np.rint(x)
    whole, finite = np.trunc(x), np.where(np.isfinite(x), x, np.zeros((), x.dtype))
    return np.where(np.abs(finite - np.trunc(finite)) >= 0.5, whole + np.sign(x), whole)


def complex(x: Any, y: Any) -> Any:
    """`x + 1j * y`."""
    return complex_of(x, y)


def logistic(x: Any, accuracy: Any = None) -> Any:
    """`1 / (1 + exp(-x))`, without overflow; the derivative is `y * (1 - y)`."""
    x = array_operand(x)
    return 1 / (1 + np.exp(-x)) if x.dtype.kind == "c" else LOGISTIC.bind(x)


def clamp(min: Any, x: Any, max: Any) -> Any:
    """`x`, limited to an interval; at its ends the derivative is zero.

    >>> clamp(0.0, np.array([-1.0, 0.5, 2.0]), 1.0)
    array([0. , 0.5, 1. ])
    """
    x = array_operand(x)
    low, high = array_operand(min).astype(x.dtype), array_operand(max).astype(x.dtype)
    raised = np.where(x <= low, low, x)
    return np.where(raised >= high, high, raised)


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """`on_true` where `pred`, a boolean or an integer, holds, else `on_false`."""
    pred = array_operand(pred)
    _check_choice("select", pred)
    return SELECT.bind(pred, array_operand(on_true), array_operand(on_false))


def _check_choice(name: str, which: Any) -> None:
    if which.dtype.kind not in "biu":
        raise DTypeError(f"{name}: what is chosen by must be booleans or integers, got {which.dtype}")


def select_n(which: Any, *cases: Any) -> Any:
    """For each element the case of that number; two cases may be chosen by a boolean (true for the second).

    >>> select_n(np.array([True, False]), np.zeros(2), np.ones(2))
    array([1., 0.])
    """
    which = array_operand(which)
    _check_choice("select_n", which)
    if not cases or (which.dtype.kind == "b" and len(cases) > 2):
        raise ValueError(f"select_n: {len(cases)} cases cannot be chosen by {which.dtype}")
    out, *others = map(array_operand, cases)
    for i, case in enumerate(others, 1):
        out = select(which if which.dtype.kind == "b" else which >= i, case, out)
    return out


def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """Convert to a dtype, which must be given.

    Floating numbers that an integer dtype cannot hold become its least or its largest number, and NaN becomes 0. (What
    `astype` makes of them depends on the machine.)

    >>> convert_element_type(np.array([-1.5, 300.0, np.nan]), np.uint8)
    array([  0, 255,   0], dtype=uint8)
    """
    if new_dtype is None:
        raise ValueError("convert_element_type: there must be a dtype, got None")
    x, dtype = array_operand(operand), np.dtype(new_dtype)
    if x.dtype.kind not in "fc" or dtype.kind not in "iu":
        return x.astype(dtype)
    x, info = np.real(x), np.iinfo(dtype)
    with np.errstate(over="ignore"):  # of half precision
        least, beyond = (
            np.asarray(bound, x.dtype) for bound in (float(info.min), math.ldexp(1.0, info.bits - (dtype.kind == "i")))
        )
    inside = np.where((x > least) & (x < beyond), x, np.zeros((), x.dtype)).astype(dtype)
    held = np.where(x <= least, np.asarray(info.min, dtype), inside)
    return np.where(x >= beyond, np.asarray(info.max, dtype), held)
