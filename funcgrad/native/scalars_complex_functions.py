"""Elementary functions of complex numbers, which are pairs of registers, made of those of real numbers.

Each is written for ordinary numbers, by the formulas of Abramowitz and Stegun (3.7, 4.1 to 4.5). Where a part is not
finite, or so large or small that a formula would leave the range of the numbers, the call is run again by NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.native import elementary
from funcgrad.native.scalars_base import F32, Call, Numbers, emits, logic
from funcgrad.native.scalars_complex import multiplied
from funcgrad.native.writer import Pair, Writer, component
from funcgrad.ops.math import POW_INSIDE, UFUNCS

__all__: list[str] = []


class _Parts(Numbers):
    """Numbers of the parts, and their functions."""

    def __init__(self, w: Writer, call: Call) -> None:
        super().__init__(w, component(call.out))
        self.single = self.dtype == F32

    def function(self, name: str, *xs: str) -> str:
        assert name in elementary.names(self.dtype)
        operands = ", ".join(f"{self.t} {x}" for x in xs)
        return self.w.op(f"call {self.t} {self.w.function(name, self.dtype)}({operands})")

    def within(self, bound: float, *xs: str) -> None:
        """Run the call again by NumPy where a number is larger than a bound, or a NaN."""
        i = self.bits()
        limit = i(int(self.dtype.type(bound).view(i.dtype)))
        for x in xs:
            self.w.fail_if(i.icmp("sgt", self.size(x), limit))

    def zero(self, x: str) -> str:
        return self.fcmp("oeq", x, self(0.0))

    @property
    def exponents(self) -> float:
        """Up to here exp, sinh and cosh are finite."""
        return 85.0 if self.single else 700.0

    @property
    def largest(self) -> float:
        """Up to here twice a sum of two numbers is finite."""
        return float(np.finfo(self.dtype).max) / 8


def _exp(f: _Parts, x: Pair) -> Pair:
    f.within(f.exponents, x[0])
    f.within(f.largest, x[1])
    size = f.function("exp", x[0])
    return f.mul(size, f.function("cos", x[1])), f.mul(size, f.function("sin", x[1]))


def _log(f: _Parts, x: Pair) -> Pair:
    f.within(f.largest, *x)
    f.w.fail_if(logic(f.w, "and", f.zero(x[0]), f.zero(x[1])))
    return f.function("log_hypot", *x), f.function("atan2", x[1], x[0])


def _scaled_log(scale: float) -> Callable[[_Parts, Pair], Pair]:
    def emit(f: _Parts, x: Pair) -> Pair:
        re, im = _log(f, x)
        return f.mul(re, f(scale)), f.mul(im, f(scale))

    return emit


def _log1p(f: _Parts, x: Pair) -> Pair:
    return _log(f, (f.add(x[0], f(1.0)), x[1]))


def _expm1(f: _Parts, x: Pair) -> Pair:
    """Re = expm1(a)·cos(b) - 2 sin²(b/2)."""
    f.within(f.exponents, x[0])
    f.within(f.largest, x[1])
    half = f.function("sin", f.mul(x[1], f(0.5)))
    re = f.sub(f.mul(f.function("expm1", x[0]), f.function("cos", x[1])), f.mul(f.mul(f(2.0), half), half))
    return re, f.mul(f.function("exp", x[0]), f.function("sin", x[1]))


def _sqrt(f: _Parts, x: Pair) -> Pair:
    """The larger part t is √((|a| + |z|)/2), the other one b/2t."""
    f.within(f.largest, *x)
    least = f(float(np.finfo(f.dtype).tiny) * 2.0**60)
    size = f.function("hypot", *x)
    nothing = f.zero(size)
    i = f.bits()
    f.w.fail_if(logic(f.w, "xor", i.icmp("slt", f.to_bits(size), f.to_bits(least)), nothing))
    t = f.call("sqrt", f.mul(f.add(f.call("fabs", x[0]), size), f(0.5)))
    other = f.div(f.mul(x[1], f(0.5)), f.fence(f.select(nothing, f(1.0), t)))
    left = i.icmp("slt", f.to_bits(x[0]), i(0))
    re, im = f.select(left, f.call("fabs", other), t), f.select(left, f.copysign(t, x[1]), other)
    return f.select(nothing, f(0.0), re), f.select(nothing, x[1], im)


def _waves(f: _Parts, x: str, y: str) -> tuple[str, str, str, str]:
    """(sin x, cos x, sinh y, cosh y)."""
    f.within(f.exponents, y)
    f.within(f.largest, x)
    return f.function("sin", x), f.function("cos", x), f.function("sinh", y), f.function("cosh", y)


def _sin(f: _Parts, x: Pair) -> Pair:
    s, c, sh, ch = _waves(f, *x)
    return f.mul(s, ch), f.mul(c, sh)


def _cos(f: _Parts, x: Pair) -> Pair:
    s, c, sh, ch = _waves(f, *x)
    return f.mul(c, ch), f.op("fneg", f.mul(s, sh))


def _sinh(f: _Parts, x: Pair) -> Pair:
    s, c, sh, ch = _waves(f, x[1], x[0])
    return f.mul(sh, c), f.mul(ch, s)


def _cosh(f: _Parts, x: Pair) -> Pair:
    s, c, sh, ch = _waves(f, x[1], x[0])
    return f.mul(ch, c), f.mul(sh, s)


def _tangents(f: _Parts, x: str, y: str) -> Pair:
    """(sin x cos x, sinh y cosh y), both over cos²x + sinh²y."""
    f.within(f.exponents / 2.2, y)
    s, c, sh, ch = _waves(f, x, y)
    below = f.add(f.mul(c, c), f.mul(sh, sh))
    return f.div(f.mul(s, c), below), f.div(f.mul(sh, ch), below)


def _tan(f: _Parts, x: Pair) -> Pair:
    return _tangents(f, *x)


def _tanh(f: _Parts, x: Pair) -> Pair:
    im, re = _tangents(f, x[1], x[0])
    return re, im


_FUNCTIONS = {
    UFUNCS[np.exp]: _exp,
    UFUNCS[np.expm1]: _expm1,
    UFUNCS[np.log]: _log,
    UFUNCS[np.log2]: _scaled_log(math.log2(math.e)),
    UFUNCS[np.log10]: _scaled_log(math.log10(math.e)),
    UFUNCS[np.log1p]: _log1p,
    UFUNCS[np.sqrt]: _sqrt,
    UFUNCS[np.sin]: _sin,
    UFUNCS[np.cos]: _cos,
    UFUNCS[np.tan]: _tan,
    UFUNCS[np.sinh]: _sinh,
    UFUNCS[np.cosh]: _cosh,
    UFUNCS[np.tanh]: _tanh,
}


@emits(*_FUNCTIONS, kinds="c")
def _function(w: Writer, call: Call, x: Pair) -> Pair:
    return _FUNCTIONS[call.primitive](_Parts(w, call), x)


# ------------------------------------------------------------------------------------------------ powers

_MOST = 100
"""Below this magnitude an integral exponent is a matter of products, as in NumPy."""


def _integer(f: _Parts, y: Pair) -> int | None:
    """The exponent if it is a constant and such an integer."""
    if y[1] not in (f(0.0), f(-0.0)):
        return None
    return next((n for n in range(1 - _MOST, _MOST) if y[0] == f(float(n))), None)


def _product(w: Writer, call: Call, factors: Sequence[Pair]) -> Pair:
    out = factors[0]
    for factor in factors[1:]:
        out = multiplied(w, call, out, factor)
    return out


@emits(UFUNCS[np.power], UFUNCS[np.float_power], POW_INSIDE, kinds="c")
def _pow(w: Writer, call: Call, x: Pair, y: Pair) -> Pair:
    """exp(y·log x); by products where the exponent is a small positive constant."""
    f = _Parts(w, call)
    n = _integer(f, y)
    if n is not None and n > 0:
        factors, power = [], x
        for k in range(n.bit_length()):
            power = power if k == 0 else multiplied(w, call, power, power)
            factors += [power] if n >> k & 1 else []
        return _product(w, call, factors)
    re, im = multiplied(w, call, y, _log(f, x))
    return _exp(f, (re, im))
