"""Elementary functions, and what is made of them: powers, activations, quotients by convention.

A function is that of `elementary` where there is one, else the C library's, lane by lane. What NumPy computes with
floating-point errors ignored (`logistic`, the inverse of the error function) raises no flags here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np

from funcgrad.core import Primitive
from funcgrad.native import elementary
from funcgrad.native.scalars_base import F32, Call, Numbers, Rule, emits, logic, raise_flag, same
from funcgrad.native.writer import Writer
from funcgrad.ops.math import POW_INSIDE, UFUNCS
from funcgrad.ops.normal_quantile import DOUBLE, ERF_INV, SINGLE
from funcgrad.ops.quotients import DIV_OR_ZERO, EXPONENT_LESS_ONE, LOG_OF_BASE, OVER_GAP, ROOT
from funcgrad.ops.softmax import GELU, LOGISTIC

__all__ = ["by_name"]

_NAMES = {
    UFUNCS[np.exp]: "exp",
    UFUNCS[np.exp2]: "exp2",
    UFUNCS[np.expm1]: "expm1",
    UFUNCS[np.log]: "log",
    UFUNCS[np.log2]: "log2",
    UFUNCS[np.log10]: "log10",
    UFUNCS[np.log1p]: "log1p",
    UFUNCS[np.sin]: "sin",
    UFUNCS[np.cos]: "cos",
    UFUNCS[np.tan]: "tan",
    UFUNCS[np.arcsin]: "asin",
    UFUNCS[np.arccos]: "acos",
    UFUNCS[np.arctan]: "atan",
    UFUNCS[np.sinh]: "sinh",
    UFUNCS[np.cosh]: "cosh",
    UFUNCS[np.tanh]: "tanh",
    UFUNCS[np.arcsinh]: "asinh",
    UFUNCS[np.arccosh]: "acosh",
    UFUNCS[np.arctanh]: "atanh",
    UFUNCS[np.cbrt]: "cbrt",
    UFUNCS[np.arctan2]: "atan2",
    UFUNCS[np.hypot]: "hypot",
    UFUNCS[np.logaddexp2]: "logaddexp2",
}
"""What primitives are called in `elementary` and in C."""


def _function(f: Numbers, name: str, *xs: str) -> str:
    """The value of an elementary function."""
    w = f.w
    if name in elementary.names(f.dtype):
        return w.op(f"call {f.t} {w.function(name, f.dtype)}({', '.join(f'{f.t} {x}' for x in xs)})")
    lane = "float" if f.dtype == F32 else "double"
    symbol = f"@{name}{'f' if f.dtype == F32 else ''}"
    w.declare(symbol, f"{lane} {symbol}({', '.join([lane] * len(xs))})")
    if not w.width:
        return w.op(f"call {lane} {symbol}({', '.join(f'{lane} {x}' for x in xs)})")
    out = "poison"
    for k in range(w.width):
        parts = ", ".join(f"{lane} {w.op(f'extractelement {f.t} {x}, i64 {k}')}" for x in xs)
        out = w.op(f"insertelement {f.t} {out}, {lane} {w.op(f'call {lane} {symbol}({parts})')}, i64 {k}")
    return out


@emits(*_NAMES, kinds="f")
def _elementary(w: Writer, call: Call, *xs: str) -> str:
    return _function(Numbers(w, call.out), _NAMES[call.primitive], *xs)


@emits(UFUNCS[np.logaddexp], kinds="f")
def _logaddexp(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    if f(0.0) in (x, y):
        return _function(f, "softplus", x if y == f(0.0) else y)
    return _function(f, "logaddexp", x, y)


@emits(LOGISTIC, kinds="f")
def _logistic(w: Writer, call: Call, x: str) -> str:
    return _function(Numbers(w, call.out), "logistic", x)


# ------------------------------------------------------------------------------------------------ powers


@emits(UFUNCS[np.power], UFUNCS[np.float_power], POW_INSIDE, ROOT, kinds="f")
def _pow(w: Writer, call: Call, x: str, y: str) -> str:
    """By products for the exponents 1 to 4."""
    f = Numbers(w, call.out)
    if y == f(1.0):
        return x
    if y in (f(2.0), f(3.0), f(4.0)):
        square = f.op("fmul", x, x)
        return square if y == f(2.0) else f.op("fmul", square, x if y == f(3.0) else square)
    return _function(f, "pow", x, y)


# ------------------------------------------------------------------------------------------------ by convention


@emits(DIV_OR_ZERO, kinds="f")
def _div_or_zero(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    zero = f.fcmp("oeq", y, f(0.0))
    quotient = f.div(x, f.fence(f.select(zero, f(1.0), y)))
    if not w.width:  # a branch would be made of it, which does not reach the product
        raise_flag(w, f.fcmp("oeq", f.call("fabs", x), f(math.inf)), "invalid")
    return f.select(zero, f.fence(f.op("fmul", x, f(0.0))), quotient)


@emits(EXPONENT_LESS_ONE, kinds="f")
def _exponent_less_one(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    both = logic(w, "and", f.fcmp("oeq", x, f(0.0)), f.fcmp("oeq", y, f(0.0)))
    return f.select(both, f(1.0), f.op("fsub", y, f(1.0)))


@emits(LOG_OF_BASE, kinds="f")
def _log_of_base(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    vanishes = logic(w, "and", f.fcmp("oeq", x, f(0.0)), f.compare("ge", y, f(0.0)))
    return _function(f, "log", f.fence(f.select(vanishes, f(1.0), x)))


@emits(OVER_GAP, kinds="f", form=same)
def _over_gap(w: Writer, call: Call, x: str, gap: str, x_noise: str, gap_noise: str) -> str:
    f = Numbers(w, call.out)
    closed = f.compare("le", f.call("fabs", gap), gap_noise)
    vanishes = f.compare("le", f.call("fabs", x), x_noise)
    known = f.select(vanishes, f(0.0), f(math.nan))
    return f.select(closed, known, f.div(x, f.fence(f.select(closed, f(1.0), gap))))


# ------------------------------------------------------------------------------------------------ activations, samples


@emits(GELU, kinds="f")
def _gelu(w: Writer, call: Call, x: str) -> str:
    """In the order in which NumPy's function computes it."""
    f, slope = Numbers(w, call.out), math.sqrt(2 / math.pi)
    inner = f.op("fadd", f.op("fmul", f.op("fmul", x, x), f(slope * 0.044715)), f(slope))
    bend = _function(f, "tanh", f.op("fmul", inner, x))
    return f.op("fmul", f.op("fmul", f.op("fadd", bend, f(1.0)), x), f(0.5))


@emits(ERF_INV, kinds="f")
def _erf_inv(w: Writer, call: Call, x: str) -> str:
    """Polynomials in -log(1 - x²), which is rarely beyond the first one's range."""
    f = Numbers(w, call.out)
    size = f.call("fabs", x)
    inside = f.bits().icmp("slt", f.to_bits(size), f.to_bits(f(1.0)))
    x1 = f.fence(f.select(inside, x, f(0.0)))
    far = f.op("fneg", _function(f, "log1p", f.op("fneg", f.op("fmul", x1, x1))))
    middle, edge = (2.5, 5.0) if call.out == F32 else (3.125, 6.25)
    near = _horner(f, (SINGLE if call.out == F32 else DOUBLE)[0], f.op("fsub", far, f(middle)))
    beyond = f.fcmp("oge", far, f(edge))
    before, out, on = w.block, w.new_label("tail"), w.new_label("on")
    w.write(f"br i1 {w.any(beyond) if w.width else beyond}, label %{out}, label %{on}, !prof !{w.unlikely()}")
    w.label(out)
    chosen = f.select(beyond, _tail(f, far), near)
    end = w.block
    w.branch(on)
    w.label(on)
    p = w.op(f"phi {f.t} [ {near}, %{before} ], [ {chosen}, %{end} ]")
    one = f.fcmp("oeq", size, f(1.0))
    ends = f.select(one, f.copysign(f(math.inf), x), f(math.nan))
    return f.select(inside, f.op("fmul", p, x1), ends)


def _tail(f: Numbers, far: str) -> str:
    root = f.call("sqrt", far)
    if f.dtype == F32:
        return _horner(f, SINGLE[1], f.op("fsub", root, f(3.0)))
    parts = (_horner(f, c, f.op("fsub", root, f(m))) for c, m in zip(DOUBLE[1:], (3.25, 5.0), strict=True))
    return f.select(f.fcmp("olt", root, f(4.0)), *parts)


def _horner(f: Numbers, coefficients: tuple[float, ...], z: str) -> str:
    """A polynomial, whose highest coefficient is the first."""
    p = f(coefficients[0])
    for c in coefficients[1:]:
        p = f.op("fadd", f.op("fmul", p, z), f(c))
    return p


# ------------------------------------------------------------------------------------------------ SciPy's functions


def by_name(primitive: Primitive) -> tuple[Rule, ...]:
    """The rule for a function of `scipy.special`, whose primitive is made when it is first used."""
    found = _SPECIAL.get(primitive.name)
    if found is None and primitive.name in elementary.names(F32):
        found = Rule(_special, "f", same, False)
    if found is None or primitive.ufunc is None:
        return ()
    known = getattr(sys.modules.get("scipy.special"), primitive.name, None)
    return (found,) if known is primitive.ufunc else ()


def _special(w: Writer, call: Call, *xs: str) -> str:
    return _function(Numbers(w, call.out), call.primitive.name, *xs)


def _times_log(name: str) -> Callable[..., str]:
    """x·f(y), and 0 where x is 0 and y a number."""

    def emit(w: Writer, call: Call, x: str, y: str) -> str:
        f = Numbers(w, call.out)
        zero = logic(w, "and", f.fcmp("oeq", x, f(0.0)), f.fcmp("ord", y, y))
        value = _function(f, name, f.fence(f.select(zero, f(1.0), y)))
        return f.select(zero, f(0.0), f.op("fmul", x, value))

    return emit


def _entr(w: Writer, call: Call, x: str) -> str:
    """-x·log x, 0 at 0, and -∞ below."""
    f = Numbers(w, call.out)
    i = f.bits()
    below = logic(w, "and", i.icmp("slt", f.to_bits(x), i(0)), f.fcmp("one", x, f(0.0)))
    zero = f.fcmp("oeq", x, f(0.0))
    x1 = f.fence(f.select(logic(w, "or", below, zero), f(1.0), x))
    inside = f.select(zero, f(0.0), f.op("fneg", f.op("fmul", x1, _function(f, "log", x1))))
    return f.select(below, f(-math.inf), inside)


def _log_expit(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    i = f.bits()
    negative = f.select(i.icmp("slt", f.to_bits(x), i(0)), x, f(-0.0))
    return f.op("fsub", negative, _function(f, "log1p", _function(f, "exp", f.op("fneg", f.call("fabs", x)))))


def _rules(**emitters: Callable[..., str]) -> dict[str, Rule]:
    return {name: Rule(emit, "f", same, False) for name, emit in emitters.items()}


_SPECIAL = _rules(
    expit=lambda w, call, x: _function(Numbers(w, call.out), "logistic", x),
    xlogy=_times_log("log"),
    xlog1py=_times_log("log1p"),
    entr=_entr,
    log_expit=_log_expit,
)
"""Functions of `scipy.special` by their names."""
