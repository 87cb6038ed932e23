"""Elementwise functions: every ufunc with a primitive, by its NumPy name, and those that NumPy writes as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from funcgrad.aliasing import View, as_array, is_array, unordered
from funcgrad.core import Primitive, Tracer
from funcgrad.numpy._dispatch import array_operand, call_ufunc, implements, operand
from funcgrad.numpy._out import into
from funcgrad.numpy._views import Imag, Real
from funcgrad.ops.math import COMPLEX, IMAG, REAL, SELECT, UFUNCS
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import aval_of, dtype_of, is_a, is_weak, result_dtype, shape_of, ufunc_dtypes, weak_type
from funcgrad.writes import viewed

__all__ = [
    "UFUNC_NAMES",
    "allclose",
    "angle",
    "around",
    "array_equal",
    "can_cast",
    "clip",
    "common_type",
    "complex_of",
    "divmod",
    "fix",
    "frexp",
    "i0",
    "imag",
    "isclose",
    "iscomplex",
    "iscomplexobj",
    "isneginf",
    "isposinf",
    "isreal",
    "isrealobj",
    "modf",
    "nan_to_num",
    "real",
    "real_if_close",
    "result_type",
    "round",
    "select",
    "sinc",
    "ufunc_function",
    "unwrap",
    "where",
]  # fmt: skip


def add_methods(fun: Any, ufunc: np.ufunc) -> None:
    """Give a function of `funcgrad.numpy` the attributes and methods of the ufunc that it is."""
    fun.nin, fun.nout, fun.nargs, fun.identity = ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.identity
    for name in ("reduce", "accumulate", "reduceat", "outer", "at"):
        setattr(fun, name, _method(ufunc, name))


def _method(ufunc: np.ufunc, name: str) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        return import_module("funcgrad.numpy._ufunc_class").call_method(ufunc, name, args, kwargs)

    return method


def ufunc_function(name: str, ufunc: np.ufunc) -> Callable[..., Any]:
    """The function `funcgrad.numpy.<name>` of an elementwise ufunc; it takes lists of traced values as well."""
    primitive: Primitive = UFUNCS[ufunc]

    def call(args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if options or len(args) != ufunc.nin:
            return ufunc(*map(operand, args[: ufunc.nin]), *args[ufunc.nin :], **options)
        return call_ufunc(primitive, *args)

    def unary(x: Any, /, *out: Any, **options: Any) -> Any:
        return call((x, *out), options)

    def binary(x1: Any, x2: Any, /, *out: Any, **options: Any) -> Any:
        return call((x1, x2, *out), options)

    fun: Callable[..., Any] = unary if ufunc.nin == 1 else binary
    fun.__name__ = fun.__qualname__ = name
    fun.__doc__ = f"`numpy.{name}`, differentiable. See its documentation in NumPy."
    add_methods(fun, ufunc)
    return fun


UFUNC_NAMES: dict[str, Callable[..., Any]] = {
    name: ufunc_function(name, value)
    for name, value in sorted(vars(np).items())  # not dir(np): that would import NumPy's lazy modules
    if isinstance(value, np.ufunc) and value in UFUNCS
}
"""`funcgrad.numpy`'s elementwise functions, aliases included (`acos` is `arccos`)."""


@implements(np.real, view=True)
def real(val: Any) -> Any:
    """The real part; of a real array, the array itself."""
    x = operand(val)
    if dtype_of(x).kind != "c":
        return REAL.bind(x) if is_weak(x) else x
    return part(x, REAL.bind(x), Real())


@implements(np.imag, view=True)
def imag(val: Any) -> Any:
    """The imaginary part; zeros for a real array."""
    x = operand(val)
    if dtype_of(x).kind == "c":
        return part(x, IMAG.bind(x), Imag())
    if is_weak(x):
        return IMAG.bind(x)
    out = np.broadcast_to(dtype_of(x).type(0), shape_of(x))  # to be read only, as in NumPy
    return out if is_a(x, np.ndarray) or (is_a(x, Tracer) and x.stands_for is np.ndarray) else out[()]


def part(x: Any, out: Any, view: View) -> Any:
    """The real or imaginary parts of an array as a view of it."""
    return viewed(x, out, view) if isinstance(x, Tracer) and is_array(x) else out


def complex_of(re: Any, im: Any) -> Any:
    """`re + 1j * im` as one operation (`lax.complex`)."""
    return COMPLEX.bind(array_operand(re), array_operand(im))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The argument of complex numbers, in radians (degrees with `deg`)."""
    z = array_operand(z)
    a = np.arctan2(imag(z), real(z)) if z.dtype.kind == "c" else np.arctan2(0, STOP_GRADIENT.bind(z))
    return a * (180.0 / np.pi) if deg else a


@implements(np.where, view=True)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """`x` where the condition holds, else `y`; derivatives flow into the chosen elements only."""
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("where takes a condition alone, or a condition and both x and y")
    x, y = operand(x), operand(y)
    return as_array(SELECT.bind(operand(condition), _cast_int(x, y), _cast_int(y, x)))


def _cast_int(x: Any, other: Any) -> Any:
    """A Python int beside an array of integers as one of these: `where` wraps it around, as a cast does."""
    if not (type(x) is int or (is_a(x, Tracer) and x.weak and x.aval.dtype.kind == "i")):
        return x
    dtype = dtype_of(other)
    if dtype.kind not in "iu" or is_weak(other):
        return x
    return (array_operand(x) if is_a(x, Tracer) else np.asarray(x)).astype(dtype)[()]


@implements(np.select, view=True)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """For each element the choice whose condition is the first to hold, else `default`."""
    if len(condlist) != len(choicelist):
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    choices = [operand(x) for x in (*choicelist, default)]
    dtype = result_dtype(*choices)
    *choices, out = [_cast_int(x, np.empty(0, dtype)) for x in choices]
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        out = where(condition, choice, out)
    return unordered(array_operand(out).astype(dtype))


@implements(np.clip)
def clip(a: Any, min: Any = None, max: Any = None, out: None = None, *, a_min: Any = None, a_max: Any = None) -> Any:
    """Limit the elements to an interval; the derivative is 1 inside, 0 outside, and halves at an end."""
    x = array_operand(a)
    low: Any = a_min if min is None else min
    high: Any = a_max if max is None else max
    if x.dtype.kind in "iu":  # a Python int beyond the range is no limit
        info = np.iinfo(x.dtype)
        low = None if type(low) is int and low <= info.min else low
        high = None if type(high) is int and high >= info.max else high
    if high is None:
        return np.positive(x) if low is None else np.maximum(x, low)
    if low is None:
        return np.minimum(x, high)
    low, high = operand(low), operand(high)
    dtype = ufunc_dtypes(_CLIP, tuple(map(aval_of, (x, low, high))))[0]
    if x.dtype != dtype:
        x = x.astype(dtype)
    return np.minimum(np.maximum(x, low), high)


def plain_clip(a: Any, min: Any = None, max: Any = None, out: Any = None, **options: Any) -> Any:
    """NumPy's `clip`, where one limit may be left out by position too, as the array API standard has it."""
    return np.clip(a, options.pop("a_min", min), options.pop("a_max", max), out, **options)


_CLIP: np.ufunc = np._core.umath.clip  # type: ignore[attr-defined]  # decides about the dtype of all three together


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0) -> Any:
    """Round to a number of decimals; the derivative is zero."""
    x = array_operand(a)
    if x.dtype.kind in "iu" and decimals >= 0:
        return np.positive(x)
    if decimals == 0:
        return np.rint(x)
    if x.dtype.kind == "b":
        raise TypeError(f"round: truth values have no decimals; {decimals} asked for")
    if x.dtype.kind == "c":
        return complex_of(*(round(part, decimals) for part in (real(x), imag(x))))
    scale = 10.0 ** abs(decimals)
    out = np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale
    return out.astype(x.dtype) if x.dtype.kind in "iu" else out


around = round


@implements(np.fix)
def fix(x: Any) -> Any:
    """Round towards zero."""
    return np.trunc(array_operand(x))


@implements(np.divmod)
def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    """Quotient (rounded down) and remainder."""
    return np.floor_divide(x, y), np.remainder(x, y)


@implements(np.modf)
def modf(x: Any) -> tuple[Any, Any]:
    """The fractional and the integral part."""
    x = _floating(np.modf, x)
    finite = np.where(np.isinf(x), 0, x)  # an infinity is whole, and leaves 0
    return finite - np.trunc(finite), np.trunc(x)


def _floating(ufunc: np.ufunc, x: Any) -> Any:
    """An operand in the dtype in which a ufunc computes."""
    x = array_operand(x)
    return x.astype(ufunc_dtypes(ufunc, (aval_of(x),))[0])


@implements(np.frexp)
def frexp(x: Any) -> tuple[Any, Any]:
    """Mantissa in [0.5, 1) and exponent, so that x = mantissa · 2**exponent; the exponent is locally constant."""
    x = _floating(np.frexp, x)
    finite = np.isfinite(x) & (x != 0)
    exponent = np.where(finite, np.floor(np.log2(np.where(finite, np.abs(x), 1))) + 1, 0).astype(np.int32)
    mantissa = np.ldexp(x, -exponent)
    over = finite & (np.abs(mantissa) >= 1)  # log2 may round up to a power of two
    under = finite & (np.abs(mantissa) < 0.5)
    exponent = exponent + over.astype(np.int32) - under.astype(np.int32)
    return np.ldexp(x, -exponent), exponent


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(πx)/(πx), 1 at 0, with its derivatives there by the Taylor series."""
    x = array_operand(x)
    if x.dtype.kind not in "fc":  # the least integer has no absolute value
        x = x * 1.0
    small = np.abs(x) < 1e-2
    z = np.pi * np.where(small, 1.0, x)
    s = np.square(np.pi * np.where(small, x, 0.0))
    # sin(z)/z in z²; the first neglected term is below 1e-19 for |z| < 0.0315.
    series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))
    return np.where(small, series, np.sin(z) / z)


@implements(np.i0, view=True)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0; needs SciPy, whose ufunc has the derivative."""
    from scipy import special  # optional extra

    x = array_operand(x)
    return as_array(special.i0(x)).astype(x.dtype if x.dtype.kind == "f" else np.float64)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Elementwise |a - b| <= atol + rtol·|b|."""
    a, b = array_operand(a), array_operand(b)
    if b.dtype.kind not in "fc":  # no integers: the least one has no absolute value
        b = b.astype(result_dtype(b, 1.0))
    finite = np.isfinite(b)
    near = np.where(finite, b, 0)  # an infinity is close to itself alone, and is not subtracted from itself
    out = ((np.abs(a - near) <= atol + rtol * np.abs(near)) & finite) | (a == b)
    return out | (np.isnan(a) & np.isnan(b)) if equal_nan else out


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether all elements are close."""
    return _python_bool(np.all(isclose(a, b, rtol, atol, equal_nan)))


def _python_bool(x: Any) -> Any:
    """A truth value as a Python bool, as NumPy returns it."""
    return WEAKEN.bind(x)


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether two arrays have the same shape and elements."""
    a1, a2 = array_operand(a1), array_operand(a2)
    if a1.shape != a2.shape:
        return False
    same = a1 == a2
    return _python_bool(np.all(same | (np.isnan(a1) & np.isnan(a2)) if equal_nan else same))


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Whether the imaginary part is zero, elementwise."""
    return imag(x) == 0


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Whether the imaginary part is not zero, elementwise."""
    return imag(x) != 0


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return dtype_of(operand(x)).kind == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that NumPy's promotion gives; traced Python scalars give way, as Python's own."""
    return np.result_type(*map(_for_promotion, arrays_and_dtypes))


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether a cast between dtypes is allowed by a rule."""
    return np.can_cast(dtype_of(from_) if isinstance(from_, Tracer) else from_, to, casting)


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    """The floating or complex scalar type that is common to arrays."""
    return np.common_type(*(np.empty(0, dtype_of(operand(x))) for x in arrays))


def _for_promotion(x: Any) -> Any:
    if not isinstance(x, Tracer):
        return x
    return weak_type(dtype_of(x))(0) if x.weak else dtype_of(x)


@implements(np.isposinf)
def isposinf(x: Any) -> Any:
    """Elementwise x == +inf; raises TypeError for complex numbers."""
    return _of_real(x, "isposinf") == np.inf


@implements(np.isneginf)
def isneginf(x: Any) -> Any:
    """Elementwise x == -inf; raises TypeError for complex numbers."""
    return _of_real(x, "isneginf") == -np.inf


def _of_real(x: Any, name: str) -> Any:
    x = operand(x)
    if dtype_of(x).kind == "c":
        raise TypeError(f"{name}: complex numbers have infinities in all directions; take np.isinf")
    return x


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Replace NaN by `nan`, and infinities by large finite numbers (or `posinf`, `neginf`)."""
    if not copy and isinstance(x, Tracer) and is_array(x):
        return into(x, nan_to_num(x, True, nan, posinf, neginf), "numpy.nan_to_num")
    x = array_operand(x)
    if x.dtype.kind == "c":
        parts = (nan_to_num(p, copy, nan, posinf, neginf) for p in (real(x), imag(x)))
        return complex_of(*parts)
    if x.dtype.kind != "f":
        return x
    info = np.finfo(x.dtype)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(isposinf(x), info.max if posinf is None else posinf, x)
    return np.where(isneginf(x), info.min if neginf is None else neginf, x)


@implements(np.real_if_close, view=True)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """A traced array keeps its dtype: whether imaginary parts vanish is a question about values."""
    return array_operand(a)


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 6.283185307179586) -> Any:
    """Take the jumps of more than half a period out of a sequence of angles."""
    p = array_operand(p)
    d = np.diff(p, axis=axis)
    dtype = np.result_type(d, period)
    half = period // 2 if dtype.kind in "iu" else period / 2
    wrapped = np.mod(d + half, period) - half
    if dtype.kind not in "iu" or period % 2 == 0:  # half a period can go either way
        wrapped = np.where((wrapped == -half) & (d > 0), half, wrapped)
    correct = np.where(np.abs(d) < (period / 2 if discont is None else discont), np.zeros((), dtype), wrapped - d)
    first = np.zeros_like(np.take(p, [0], axis=axis))
    return p + np.concatenate([first, np.cumsum(correct, axis=axis)], axis=axis).astype(dtype)
