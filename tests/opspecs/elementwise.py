"""Rows for elementwise functions: every ufunc with a primitive, and what NumPy writes as functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import checkpoint_name
from funcgrad.numpy._elementwise import complex_of
from funcgrad.ops.shape import STOP_GRADIENT

from .base import HOLOMORPHIC, NP, PY, REALS, Domain, add
from .domains import (
    above_one,
    at_most,
    bools,
    indices,
    interval,
    non_integer,
    nonzero,
    positive,
    real,
    rows,
    small,
    unit,
    with_nan,
    with_zeros,
)

SHAPES = ((2, 3), (), (3,), (0,), (2, 0), PY, NP)
PAIRS = (
    ((2, 1), (1, 3)),
    ((), (3,)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((0,), (1,)),
    ((2, 0), (1, 1)),
    (PY, (3,)),
    ((3,), PY),
    (PY, PY),
    (NP, (2,)),
    ((), ()),
)
FEW = PAIRS[:3]

UNARY: dict[np.ufunc, tuple[Domain, str]] = {
    np.negative: (real, HOLOMORPHIC),
    np.positive: (real, HOLOMORPHIC),
    np.absolute: (nonzero, HOLOMORPHIC),
    np.fabs: (nonzero, REALS),
    np.conjugate: (real, HOLOMORPHIC),
    np.square: (real, HOLOMORPHIC),
    np.reciprocal: (nonzero, HOLOMORPHIC),
    np.sqrt: (positive, HOLOMORPHIC),
    np.cbrt: (nonzero, REALS),
    np.exp: (real, HOLOMORPHIC),
    np.exp2: (real, HOLOMORPHIC),
    np.expm1: (real, HOLOMORPHIC),
    np.log: (positive, HOLOMORPHIC),
    np.log2: (positive, HOLOMORPHIC),
    np.log10: (positive, HOLOMORPHIC),
    np.log1p: (unit, HOLOMORPHIC),
    np.sin: (real, HOLOMORPHIC),
    np.cos: (real, HOLOMORPHIC),
    np.tan: (at_most(1.2), HOLOMORPHIC),
    np.arcsin: (unit, HOLOMORPHIC),
    np.arccos: (unit, HOLOMORPHIC),
    np.arctan: (unit, HOLOMORPHIC),
    np.sinh: (real, HOLOMORPHIC),
    np.cosh: (real, HOLOMORPHIC),
    np.tanh: (at_most(1.2), HOLOMORPHIC),
    np.arcsinh: (unit, HOLOMORPHIC),
    np.arccosh: (above_one, HOLOMORPHIC),
    np.arctanh: (unit, HOLOMORPHIC),
    np.deg2rad: (real, REALS),
    np.rad2deg: (real, REALS),
    np.degrees: (real, REALS),
    np.radians: (real, REALS),
    np.sign: (nonzero, HOLOMORPHIC),
    np.floor: (non_integer, REALS),
    np.ceil: (non_integer, REALS),
    np.trunc: (non_integer, REALS),
    np.rint: (non_integer, HOLOMORPHIC),
    np.spacing: (positive, REALS),
}
"""Where each is smooth (for `spacing`: nearly everywhere constant), and for which dtypes it has a derivative."""

BINARY: dict[np.ufunc, tuple[tuple[Domain, Domain], str]] = {
    np.add: ((real, real), HOLOMORPHIC),
    np.subtract: ((real, real), HOLOMORPHIC),
    np.multiply: ((real, real), HOLOMORPHIC),
    np.divide: ((real, nonzero), HOLOMORPHIC),
    np.power: ((positive, real), HOLOMORPHIC),
    np.float_power: ((positive, real), HOLOMORPHIC),
    np.remainder: ((non_integer, interval(6.1, 7.3)), REALS),
    np.fmod: ((non_integer, interval(6.1, 7.3)), REALS),
    np.floor_divide: ((non_integer, interval(6.1, 7.3)), REALS),
    np.maximum: ((real, real), REALS),
    np.minimum: ((real, real), REALS),
    np.fmax: ((real, real), REALS),
    np.fmin: ((real, real), REALS),
    np.arctan2: ((nonzero, nonzero), REALS),
    np.hypot: ((nonzero, nonzero), REALS),
    np.logaddexp: ((real, real), REALS),
    np.logaddexp2: ((real, real), REALS),
    np.copysign: ((nonzero, nonzero), REALS),
    np.nextafter: ((nonzero, real), REALS),
    np.heaviside: ((nonzero, real), REALS),
}

INTEGERS = "?bBil"
VALUE_UNARY = (np.isnan, np.isinf, np.isfinite, np.logical_not, np.signbit, np.invert, np.bitwise_count)
COMPARISONS = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
LOGICAL = (np.logical_and, np.logical_or, np.logical_xor)
BITWISE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)


def _accepted(ufunc: np.ufunc, codes: str) -> str:
    """Those dtypes that a ufunc accepts for all its operands."""

    def accepts(code: str) -> bool:
        try:
            ufunc.resolve_dtypes((np.dtype(code),) * ufunc.nin + (None,) * ufunc.nout)
        except TypeError:
            return False
        return True

    return "".join(c for c in codes if accepts(c))


def _add_ufuncs() -> None:
    for f, (domain, dtypes) in UNARY.items():
        add(f.__name__, f, domain, *SHAPES, dtypes=dtypes, values=_accepted(f, "e?bBil"))
    for f, (domains, dtypes) in BINARY.items():
        codes = "".join(c for c in _accepted(f, "e?bBil") if f is not np.power or c in "eB")  # -1 has no integer power
        add(f.__name__, f, domains, *PAIRS, dtypes=dtypes, values=codes)
    for f in VALUE_UNARY:
        add(f.__name__, f, real, *SHAPES, dtypes="", values=_accepted(f, "defDF?bBil"))
    for f in (*COMPARISONS, *LOGICAL, *BITWISE):
        add(f.__name__, f, (real, real), *PAIRS, dtypes="", values=_accepted(f, "defDF?bBil"))


_add_ufuncs()

# ------------------------------------------------------------------------------------------- other forms of ufuncs

add("left_shift", np.left_shift, (positive, positive), *FEW, dtypes="", values="?bBil")
add("right_shift", np.right_shift, (positive, positive), *FEW, dtypes="", values="?bBil")
add("gcd", np.gcd, (nonzero, nonzero), *FEW, dtypes="", values="bBil")
add("lcm", np.lcm, (nonzero, nonzero), *FEW, dtypes="", values="bBil")
add("ldexp", lambda x, n: np.ldexp(x, n), (real, indices(3, np.int32)), *FEW, values="e")
add("divmod", np.divmod, (non_integer, interval(6.1, 7.3)), *PAIRS, values="eBil")
add("modf", np.modf, non_integer, *SHAPES, values="eil")
add("frexp", np.frexp, interval(0.55, 0.95), *SHAPES, values="e")
add("frexp: large", np.frexp, interval(17.0, 31.0), (3,))
add("frexp: values", np.frexp, real, (3,), dtypes="", values="dfe")
add("heaviside: at 0", lambda y: np.heaviside(np.array([-1.0, 0.0, 2.0], y.dtype), y), real, (3,), (), (2, 3))
add("power: square", lambda x: np.power(x, 2), real, *SHAPES, dtypes=HOLOMORPHIC, values="eil")
add("power: cube of negative", lambda x: np.power(x, 3.0), nonzero, *SHAPES, dtypes=HOLOMORPHIC)
add("power: integer exponents", lambda x: np.power(x, np.arange(3)), nonzero, (3,), (2, 3))
add("power: zero base", lambda x: np.power(x, np.array([0.0, 1.0, 2.0, 3.0])), with_zeros, (4,), (2, 4))
add("power: exponent 0", lambda x: np.power(x, 0), real, (3,), PY)
add("power: base 0", lambda y: np.power(0.0, y), positive, (3,), PY)
add("power: of 2", lambda y: np.power(2.0, y), real, *SHAPES, dtypes=HOLOMORPHIC)
add("float_power: integers", lambda x: np.float_power(x, 3), nonzero, *SHAPES[:3])
add("ufunc with dtype", lambda x: np.exp(x, dtype=np.float64), real, *SHAPES[:3])
add("ufunc with dtype: comparison", lambda x: np.greater(x, 0.5, dtype=bool), real, (3,), dtypes="", values="dfi")
add("ufunc with order", lambda x: np.exp(x, order="C", subok=False), real, (3,), (2, 2))
add("ufunc with casting", lambda x, y: np.add(x, y, dtype="f8", casting="same_kind"), (real, real), *FEW)
add("multiply: same", lambda x: np.multiply(x, x), real, *SHAPES, dtypes=HOLOMORPHIC)
add("add: three times", lambda x: x + (x + x), real, *SHAPES, dtypes=HOLOMORPHIC)
add("add: array of other dtype", lambda x: np.add(x, np.arange(3, dtype=np.int16)), real, (3,), (2, 1))
add("multiply: list", lambda x: np.multiply(x, [1, 2, 3]), real, (3,), (2, 1), dtypes=HOLOMORPHIC)
add("multiply: complex array", lambda x: np.multiply(x, np.array([1j, 2])), real, (2,), (), dtypes=HOLOMORPHIC)
add("multiply: complex scalar", lambda x: np.multiply(2j, x), real, (2,), (), PY, dtypes=HOLOMORPHIC)
add("multiply.outer", np.multiply.outer, (real, real), ((2,), (3,)), ((2, 1), (3,)), ((), (2,)), dtypes=HOLOMORPHIC)
add("subtract.outer", np.subtract.outer, (real, real), ((2,), (3,)), ((2,), (0,)))
add("maximum.outer", np.maximum.outer, (real, real), ((2,), (3,)))

# ------------------------------------------------------------------------------------------------- NumPy's functions

add("real", np.real, real, (3,), (), (2, 3), (0,), NP, dtypes=HOLOMORPHIC, values="eil")
add("imag", np.imag, real, (3,), (), (2, 3), (0,), NP, dtypes=HOLOMORPHIC, values="eil")
add("angle", np.angle, nonzero, (3,), (), (2, 3), dtypes="DFd", values="f")
add("angle: degrees", lambda z: np.angle(z, deg=True), nonzero, (3,), (), dtypes="DF")
add("complex", complex_of, (real, real), *PAIRS[:4], values="e")
add("complex conjugate product", lambda z: np.real(z * np.conj(z)), real, (3,), (), dtypes="DF")
add("where", lambda c, x, y: np.where(c, x, y), (bools, real, real), ((3,), (3,), (3,)), ((2, 1), (), (1, 3)),
    ((), (2,), (1,)), ((2, 0), (), ()), ((3,), PY, (3,)), ((3,), (3,), PY), ((1,), PY, PY),
    dtypes=HOLOMORPHIC, values="eil")  # fmt: skip
add("where: traced condition", lambda x, y: np.where(x > y, np.sin(x), x * y), (real, real), *PAIRS)
add("where: double", lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), nonzero, (4,), (), (0,))
add("where: numbers as condition", lambda x: np.where(x, x, 1), with_zeros, (3,), (2, 3), dtypes="", values="dfi")
add("where: one argument", lambda x: np.where(x > 0), real, (4,), (2, 3), dtypes="", values="dfil",
    concrete="the shape of the result depends on values")  # fmt: skip
add("select", lambda x: np.select([x > 1, x > 0], [x * x, np.sin(x)], 3.0), non_integer, (4,), (2, 3), (0,))
add("select: arrays", lambda x, y: np.select([np.array([True, False, False]), np.array([True, True, False])], [x, y], x),
    (real, real), ((3,), (3,)))  # fmt: skip
add("clip", lambda x: np.clip(x, -1.0, 1.0), interval(-2.0, 2.0), *SHAPES)
add("clip: integers", lambda x: np.clip(x, -1, 1), real, (3,), (), dtypes="", values="bil")
add("clip: low only", lambda x: np.clip(x, -1.0, None), real, (3,), ())
add("clip: names", lambda x: np.clip(x, max=0.5), real, (3,), ())
add(
    "clip: arrays",
    np.clip,
    (real, interval(-2.0, -1.0), interval(0.5, 1.0)),
    ((3,), (3,), ()),
    ((2, 3), (1, 3), (2, 1)),
)
add("round", np.round, non_integer, *SHAPES, values="eil")
add("around", lambda x: np.around(x, 1), interval(0.01, 0.04), (3,), (), values="il")
add("round: tens", lambda x: np.round(x, -1), real, (3,), (), dtypes="d", values="fl")
add("fix", np.fix, non_integer, *SHAPES, values="eil")
add("sinc", np.sinc, nonzero, *SHAPES, values="il", ulps=2)
add("sinc: near 0", np.sinc, interval(-0.02, 0.02), (5,), (), ulps=2)
add("sinc: at 0", np.sinc, with_zeros, (3,), ulps=2)
add("i0", np.i0, nonzero, (3,), (), (2, 3), (0,), ulps=8)
add("isclose", lambda x, y: np.isclose(x, y, rtol=0.5), (real, real), *FEW, dtypes="", values="dfil")
add("isclose: nan", lambda x: np.isclose(x, x, equal_nan=True), with_nan, (3,), dtypes="", values="df")
add("allclose", lambda x: np.allclose(x, x + 1e-12), real, (3,), dtypes="", values="dfi")
add("array_equal", lambda x: np.array_equal(x, x * 1), real, (3,), (0,), dtypes="", values="dfi")
add("array_equal: shapes", lambda x: np.array_equal(x, x[1:]), real, (3,), dtypes="", values="dfi")
add("array_equal: nan", lambda x: np.array_equal(x, x, equal_nan=True), with_nan, (3,), dtypes="", values="df")
add("isreal", np.isreal, real, (3,), (), dtypes="", values="dfDFi")
add("iscomplex", np.iscomplex, real, (3,), (), dtypes="", values="dfDFi")
add("isrealobj", lambda x: (np.isrealobj(x), np.iscomplexobj(x)), real, (3,), (), dtypes="", values="dfDFi")
add("result_type", lambda x: x.astype(np.result_type(x, np.complex64)), real, (3,), dtypes="dfDF", values="il")
add("common_type", lambda x: x.astype(np.common_type(x, np.ones(1))), real, (3,), dtypes="dfD", values="il")
add("can_cast", lambda x: np.can_cast(x, np.float32), real, (3,), dtypes="", values="dfil")
add("isposinf", np.isposinf, real, (3,), (), dtypes="", values="dfi")
add("isneginf", np.isneginf, real, (3,), (), dtypes="", values="dfi")
add("isposinf: infinite", lambda x: np.isposinf(1 / (x * 0 + np.inf) - np.inf), real, (3,), dtypes="", values="d")
add("nan_to_num", np.nan_to_num, real, (3,), (), dtypes=HOLOMORPHIC, values="il")
add("nan_to_num: nan", lambda x: np.nan_to_num(x, nan=2.0, posinf=1.0, neginf=-1.0), with_nan, (3,))
add("real_if_close", np.real_if_close, real, (3,), (), dtypes=REALS)
add("unwrap", np.unwrap, interval(0.0, 20.0), (5,), (2, 4), (1,))
add("unwrap: axis", lambda x: np.unwrap(x, axis=0, discont=4.0), interval(0.0, 20.0), (4, 2))
add("unwrap: period", lambda x: np.unwrap(x, period=4.0), interval(0.0, 20.0), (5,))
add("stop_gradient", lambda x: STOP_GRADIENT.bind(x), real, (3,), (), dtypes="", values=HOLOMORPHIC + "il")
add("checkpoint_name", lambda x: checkpoint_name(x, "a"), real, (3,), (), dtypes=HOLOMORPHIC, values="il")
add("astype: wider", lambda x: x.astype(np.complex128), real, (3,), (), (0,), dtypes=HOLOMORPHIC, values="il")
add("astype: narrower", lambda x: np.astype(x, np.float32), real, (3,), (), values="il", eps=1e-2)
add("astype: to integers", lambda x: np.asanyarray(x).astype(int) if not hasattr(x, "owner") else x.astype(int),
    non_integer, (3,), dtypes="", values="dfe")  # fmt: skip
add("astype: from booleans", lambda x: (x > 0).astype(x.dtype) * x, nonzero, (3,), ())

# ---------------------------------------------------------------------------------------------------- operators


def _in_place(x: Any, y: Any) -> Any:
    """Augmented assignment gives a traced name a new value; arrays are copied first, so that arguments stay."""
    total = x * 1
    total += y
    total *= 2
    total -= x
    total /= 3
    return total


add("+x", lambda x: +x, real, *SHAPES, dtypes=HOLOMORPHIC, values="il")
add("-x", lambda x: -x, real, *SHAPES, dtypes=HOLOMORPHIC, values="il")
add("abs(x)", lambda x: abs(x), nonzero, *SHAPES, dtypes=HOLOMORPHIC, values="il")
add("~x", lambda x: ~x, real, (3,), (), dtypes="", values="?bBil")
add("x + y", lambda x, y: x + y, (real, real), *PAIRS, dtypes=HOLOMORPHIC, values="e?bil")
add("x - y", lambda x, y: x - y, (real, real), *PAIRS, dtypes=HOLOMORPHIC, values="ebil")
add("x * y", lambda x, y: x * y, (real, real), *PAIRS, dtypes=HOLOMORPHIC, values="e?bil")
add("x += y", _in_place, (real, real), ((2, 3), (3,)), ((3,), ()), ((), ()), dtypes=HOLOMORPHIC)
add("x / y", lambda x, y: x / y, (real, nonzero), *PAIRS, dtypes=HOLOMORPHIC, values="ebil")
add("x // y", lambda x, y: x // y, (non_integer, interval(6.1, 7.3)), *PAIRS, values="ebil")
add("x % y", lambda x, y: x % y, (non_integer, interval(6.1, 7.3)), *PAIRS, values="ebil")
add("x ** y", lambda x, y: x**y, (positive, real), *PAIRS, dtypes=HOLOMORPHIC, values="eB")
add("divmod(x, y)", lambda x, y: divmod(x, y), (non_integer, interval(6.1, 7.3)), *PAIRS, values="bil")
add(
    "x < y",
    lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y),
    (real, real),
    *PAIRS,
    dtypes="",
    values="df?il",
)
add("x & y", lambda x, y: (x & y, x | y, x ^ y), (real, real), *FEW, dtypes="", values="?bBil")
add("x << y", lambda x, y: (x << y, x >> y), (positive, positive), *FEW, dtypes="", values="bBil")
for _exponent in (2, 2.0, 1, 0.5, -1, 3, -2, 0, 1.5):
    # Whether x ** 2.0 of complex numbers is a square, which rounds less than a power, depends on the version of NumPy.
    _ulps = 2 if isinstance(_exponent, float) else 0
    add(f"x ** {_exponent!r}", lambda x, n=_exponent: x**n, positive, (3,), (), PY, NP, dtypes=HOLOMORPHIC, ulps=_ulps)
add("2 ** x", lambda x: 2**x, real, (3,), (), PY, NP, dtypes=HOLOMORPHIC)
add("x ** 2: integers", lambda x: (x**2, x**3, x**2.0, x**0.5), positive, (3,), (), dtypes="", values="bil")
add("6 & x", lambda x: (6 & x, 5 | x, 3 ^ x, 1 << x, 64 >> x), positive, (3,), (), PY, dtypes="", values="bBil")
add(
    "x.clip, x.round",
    lambda x: (x.clip(-1.0, 1.5), x.clip(max=0.5), x.round(), x.round(0)),
    non_integer,
    (3,),
    (),
    dtypes="df",
    values="e",
)


def _scalars_first(x: Any) -> Any:
    return 1 + x, 2 - x, 3 * x, 4 / x, divmod(7, x), 5 // x, 9 % x


add("scalars first", _scalars_first, interval(0.51, 0.98), (3,), (), PY, NP)
add("array first", lambda x: np.arange(1.0, 4.0) - x / np.ones(3), real, (3,), (), PY)
add("numpy scalar first", lambda x: np.float64(1) + x * np.int64(3), real, (3,), (), PY)
add("numpy scalar first: narrow", lambda x: np.float32(2) * x, real, (3,), (), PY, eps=1e-2)
add("polynomial of a Python number", lambda x: (x * 2 + 1) * x - 3 / x, nonzero, PY, NP, (), (2,), dtypes="d")
add("mixed dtypes", lambda x: x * np.float32(2) + np.array([1, 2], np.int8), small, (2,), (), dtypes=HOLOMORPHIC)
add("integer operand", lambda n, x: (n * x, x / (n + 9), x - n), (rows(4), real), ((3,), (3,)), ((), (2,)))
