"""Exponentials as LLVM text: exp, exp2, expm1, the hyperbolic tangent, the logistic function.

With n the integer next to x/ln 2, exp(x) = 2ⁿ exp(r), |r| ≤ ln(2)/2: r is computed from ln 2 in two parts, of which the
first has so few bits that n times it is exact (Cody and Waite, *Software Manual for the Elementary Functions*, 1980).

Where an argument is so large that the result is no normal number, and where it is a NaN, all lanes go by another
branch: the argument is kept where the result is finite, and the result multiplied by an argument above, so that an
overflow raises its flag, and exp(∞) raises none. Results below the normal numbers are rounded once more.
"""

from __future__ import annotations

from typing import NamedTuple

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_tables import EXP, EXP2

__all__ = [
    "EXP_RANGE",
    "LN2",
    "LN2_SUM",
    "PER_LN2",
    "Reduced",
    "at_most",
    "exp",
    "exp2",
    "expm1",
    "less_one",
    "logistic",
    "power_of_part",
    "reduced",
    "tanh",
]

LN2 = (
    (float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45")),
    (float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20")),
)
"""ln 2 in two parts, the first of 42 and of 16 bits; for either type of element."""
LN2_SUM = (float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56"))
"""ln 2 as a sum of two doubles."""
PER_LN2 = float.fromhex("0x1.71547652b82fep+0")
EXP_RANGE = (
    (-746.0, float.fromhex("0x1.62e42fefa39efp+9")),
    (-104.5, float.fromhex("0x1.62e42ep+6")),
)
"""Below the first number exp is 0, above the second it is no finite number."""
_EXP2_RANGE = ((-1076.0, float.fromhex("0x1.fffffffffffffp+9")), (-151.0, float.fromhex("0x1.fffffep+6")))
_NORMAL = (700.0, 86.0)
"""Up to this magnitude exp(x) is a normal number."""
_ONLY_ONE = (20.0, 10.0)
"""From here on tanh(x) is 1."""


class Reduced(NamedTuple):
    """exp(x) = 2ⁿ·(1 + r + t) to more than the precision.

    Attributes:
        n: the bits of n, over a constant.
        r: the rest of the argument, |r| ≤ ln(2)/2.
        t: exp(r) - 1 - r, with what r lacks through rounding.
    """

    n: str
    r: Value
    t: Value


def reduced(f: Body, x: Value, exact: bool = False, low: Value | None = None) -> Reduced:
    """Of a finite argument: x, or x + low; with `exact`, t has the rounding error of r."""
    high, rest = LN2[f.limits.table]
    n, bits = f.round(f.mul(x, PER_LN2))
    first = f.mad(n, -high, x)
    r = f.mad(n, -rest, first)
    missing = f.mad(n, -rest, f.sub(first, r)) if exact or low is not None else None
    if low is not None and missing is not None:
        r, missing = f.fast_two_sum(r, f.add(missing, low))
    t = f.mul(f.mul(r, r), f.polynomial(f.table(EXP), r))
    return Reduced(bits, r, t if missing is None else f.add(t, missing))


def _kept(f: Body, x: Value, low: float, high: float) -> str:
    """x within bounds; 0 where it is a NaN."""
    return f.maximum(low, f.minimum(high, f.select(f.is_nan(x), 0.0, x)))


def _not_finite(f: Body, x: Value, high: float, usual: float) -> str:
    """A factor of a large number, which makes it infinite where x is above a bound, and NaN where x is."""
    above = f.both(f.beyond(x, high), f.compare_bits("sge", f.bits(x), 0))
    return f.select(f.either(above, f.is_nan(x)), x, usual)


def _power_of_two(f: Body, y: Value, n: str, x: Value, high: float, any_special: str) -> Value:
    """y·2ⁿ; where x is special also for any n, and not finite where x is above a bound."""

    def special() -> tuple[Value]:
        first, second = f.powers(n)
        return (f.mul(f.mul(f.mul(y, first), second), _not_finite(f, x, high, 1.0)),)

    return f.rare(any_special, [(f.type, f.mul(y, f.power(n)))], special)[0]


def exp(f: Body, x: Value) -> Value:
    low, high = EXP_RANGE[f.limits.table]
    any_special = f.any(f.beyond(x, _NORMAL[f.limits.table]))
    (inside,) = f.rare(any_special, [(f.type, x)], lambda: (_kept(f, x, low, high),))
    part = reduced(f, inside)
    y = f.add(f.add(part.t, part.r), 1.0)
    return _power_of_two(f, y, part.n, x, high, any_special)


def exp2(f: Body, x: Value) -> Value:
    low, high = _EXP2_RANGE[f.limits.table]
    any_special = f.any(f.beyond(x, float(f.limits.bias - 1)))
    (inside,) = f.rare(any_special, [(f.type, x)], lambda: (_kept(f, x, low, high),))
    n, bits = f.round(inside)
    return _power_of_two(f, power_of_part(f, f.sub(inside, n)), bits, x, high, any_special)


def power_of_part(f: Body, r: Value, low: Value | None = None) -> str:
    """2^(r + low), |r| ≤ ½ and low small."""
    if low is not None:
        r, low = f.fast_two_sum(r, low)
    small = f.mul(f.mul(r, r), f.polynomial(f.table(EXP2), r))
    if low is not None:
        small = f.mad(low, LN2_SUM[0], small)
    return f.add(f.mad(r, LN2_SUM[0], f.mad(r, LN2_SUM[1], small)), 1.0)


def less_one(f: Body, part: Reduced) -> tuple[str, str]:
    """((exp(x) - 1)/2ⁿ, 2^(1 - n)); |n| ≤ bias + 1."""
    twice = f.inverse_power(part.n, 1)
    start = f.sub(part.r, f.mad(twice, 0.5, -1.0))
    return f.add(start, part.t), twice


def expm1(f: Body, x: Value) -> Value:
    normal = _NORMAL[f.limits.table]
    high = EXP_RANGE[f.limits.table][1]
    any_special = f.any(f.beyond(x, normal))
    (inside,) = f.rare(any_special, [(f.type, x)], lambda: (_kept(f, x, -normal, high),))
    part = reduced(f, inside, exact=True)
    y, _ = less_one(f, part)
    usual = f.mul(y, f.power(part.n))

    def special() -> tuple[Value]:
        large = f.mul(f.mul(y, f.power(part.n, -1)), _not_finite(f, x, high, 2.0))
        return (f.select(f.beyond(x, normal), large, usual),)

    (y,) = f.rare(any_special, [(f.type, usual)], special)
    return f.copysign(y, x)


def at_most(f: Body, size: str, bound: float) -> str:
    """A magnitude kept below a bound, also where it is a NaN."""
    return f.replaced(f.compare_bits("sgt", f.bits(size), f.limits.bits_of(bound)), bound, size)


def tanh(f: Body, x: Value) -> Value:
    size = at_most(f, f.abs(x), _ONLY_ONE[f.limits.table])
    part = reduced(f, f.add(size, size), exact=True)
    y, twice = less_one(f, part)
    below, low = f.fast_two_sum(twice, y)  # where |x| is large its error does not matter
    return f.select(f.is_nan(x), x, f.copysign(f.quotient(y, below, b_low=low), x))


def logistic(f: Body, x: Value) -> Value:
    """1/(1 + exp(-x)), by exp(-|x|), so that a small result is as accurate as a large one."""
    part = reduced(f, f.neg(at_most(f, f.abs(x), -EXP_RANGE[f.limits.table][0])))
    first, second = f.powers(part.n)
    q = f.add(part.t, part.r)
    s = f.mul(first, second)
    left = f.compare_bits("slt", f.bits(x), 0)
    start = f.add(s, 1.0)
    below = f.mad(s, q, start)
    y = f.quotient(f.select(left, f.add(q, 1.0), 1.0), below, b_low=f.mad(s, q, f.sub(start, below)))
    y = f.mul(f.mul(y, f.select(left, first, 1.0)), f.select(left, second, 1.0))
    return f.select(f.is_nan(x), x, y)
