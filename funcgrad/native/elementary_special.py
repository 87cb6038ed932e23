"""Special functions as LLVM text: logaddexp, logaddexp2, softplus, logit, erf, erfc, the normal distribution.

erfc(x) = exp(-x²)·p(t)/(1 + 2x) for x ≥ 0, with a polynomial p in t = (x - K)/(x + K) (the form is that of Shepherd and
Laframboise, *Math. Comp.* 36, 1981; the coefficients are our own), and x² as a sum of two numbers; near 0 it is
1 - erf, a polynomial. erf alone is 1 - exp(-x·q(x)) for all x ≥ 0, with a polynomial q that has to be the less exact
the larger x is.
"""

from __future__ import annotations

import math

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_exp import EXP_RANGE, LN2_SUM, at_most, less_one, power_of_part, reduced
from funcgrad.native.elementary_log import log_of_sum
from funcgrad.native.elementary_pow import log2_sum
from funcgrad.native.elementary_tables import ERF, ERF_EXPONENT, ERF_EXPONENT_SHORT, ERFC, ERFC_SHORT

__all__ = ["erf", "erfc", "logaddexp", "logaddexp2", "logit", "ndtr", "softplus"]

_PLACE = 3.75
_FAR = (28.0, 10.75)
"""From here on erfc is 0, as a double and as a float."""
_ONLY_ONE = (5.95, 3.95)
"""From here on erf is 1."""


def _ordered(f: Body, x: Value, y: Value) -> tuple[str, str, str]:
    """(the larger one, -|x - y| rounded, what it lacks); 0 for equal infinities, NaN where one is."""
    same = f.compare("oeq", x, y)  # also where both are infinite
    gap = f.sub(f.replaced(same, 0.0, x), f.replaced(same, 0.0, y))
    swapped = f.compare_bits("slt", f.bits(gap), 0)
    larger, smaller = f.select(swapped, y, x), f.select(swapped, x, y)
    usual = f.inverse(f.either(f.beyond(gap, f.limits.largest), same))
    _, low = f.two_sum(f.replaced(usual, smaller, 0.0), f.neg(f.replaced(usual, larger, 0.0)))
    distance = f.neg(f.abs(gap))

    def compared() -> tuple[Value]:
        f.raise_flags(invalid=f.is_nan(gap))  # as NumPy does, which compares it
        return (distance,)

    (distance,) = f.rare(f.any(f.is_nan(gap)), [(f.type, distance)], compared)
    return larger, distance, low


def logaddexp(f: Body, x: Value, y: Value) -> Value:
    """max + log(1 + exp(-|x - y|)), with what the difference and the exponential lack through rounding."""
    larger, gap, low = _ordered(f, x, y)
    least = EXP_RANGE[f.limits.table][0]
    far = f.beyond(gap, -least)
    part = reduced(f, f.replaced(far, least, gap), low=f.replaced(far, 0.0, low))
    first, second = f.powers(part.n)
    q, q_low = f.fast_two_sum(part.r, part.t)
    e, rest = f.fast_two_sum(1.0, q)
    e, rest = (f.mul(f.mul(v, first), second) for v in (e, f.add(rest, q_low)))
    u, u_low = f.fast_two_sum(1.0, e)
    return f.select(f.is_nan(gap), gap, f.add(larger, log_of_sum(f, u, f.add(u_low, rest))))


def softplus(f: Body, x: Value) -> Value:
    """log(exp(x) + 1): `logaddexp` of a number and 0, whose difference is exact."""
    least = EXP_RANGE[f.limits.table][0]
    part = reduced(f, f.neg(f.replaced(f.beyond(x, -least), -least, f.abs(x))))
    first, second = f.powers(part.n)
    e = f.mul(f.mul(f.add(f.add(part.t, part.r), 1.0), first), second)
    u, low = f.fast_two_sum(1.0, e)
    larger = f.select(f.compare_bits("slt", f.bits(x), 0), 0.0, x)
    y = f.add(larger, log_of_sum(f, u, low))
    nan = f.is_nan(x)

    def compared() -> tuple[Value]:
        f.raise_flags(invalid=nan)  # as NumPy does, which compares it
        return (f.select(nan, x, y),)

    return f.rare(f.any(nan), [(f.type, y)], compared)[0]


def _with_overflow(f: Body, x: Value, y: Value) -> str:
    """x, with the flag of an overflow where x - y has one, which NumPy warns of."""
    same = f.compare("oeq", x, y)
    gap = f.sub(f.replaced(same, 0.0, x), f.replaced(same, 0.0, y))
    return f.rare(f.any(f.beyond(gap, f.limits.largest)), [(f.type, x)], lambda: (x,))[0]


def logaddexp2(f: Body, x: Value, y: Value) -> Value:
    """The same with the logarithm as a sum of two doubles."""
    single = f.element == "float"
    if single:
        x = _with_overflow(f, x, y)
        x, y = f.widened(x), f.widened(y)
        f.use("double")
    larger, gap, low = _ordered(f, x, y)
    n, bits = f.round(f.neg(at_most(f, f.abs(gap), 1100.0)))
    first, second = f.powers(bits)
    far = f.beyond(gap, 1100.0)
    part = power_of_part(f, f.sub(f.replaced(far, -1100.0, gap), n), f.replaced(far, 0.0, low))
    u, low = f.fast_two_sum(1.0, f.mul(f.mul(part, first), second))
    log, log_low = log2_sum(f, u)
    rest = f.mad(f.div(low, u), 1 / LN2_SUM[0], log_low)
    z = f.select(f.is_nan(gap), gap, f.add(larger, f.add(log, rest)))
    if single:
        z = f.narrowed(z)
        f.use("float")
    return z


def logit(f: Body, x: Value) -> Value:
    """log(x/(1 - x)), the quotient as a sum of two numbers."""
    special = f.either(f.irregular(x), f.irregular(f.sub(1.0, x)))
    any_special = f.any(special)
    (inside,) = f.rare(any_special, [(f.type, x)], lambda: (f.select(special, 0.5, x),))
    below, below_low = f.two_sum(1.0, f.neg(inside))
    q, q_low = f.quotient_sum(inside, below, below_low)
    y = log_of_sum(f, q, q_low)

    def mended() -> tuple[Value]:
        zero, one = f.compare("oeq", x, 0.0), f.compare("oeq", x, 1.0)
        small = f.both(f.beyond(f.sub(1.0, x), 1.0 - f.limits.eps), f.compare_bits("sgt", f.bits(x), 0))
        small = f.both(small, f.compare_bits("slt", f.bits(x), f.limits.bits_of(f.limits.tiny)))
        outside = f.both(special, f.inverse(f.either(f.either(zero, one), f.either(small, f.is_nan(x)))))
        end = f.select(zero, -math.inf, f.select(one, math.inf, f.select(outside, math.nan, x)))
        return (f.select(small, f.call("log", f.replaced(small, x, 1.0)), f.select(special, end, y)),)

    return f.rare(any_special, [(f.type, y)], mended)[0]


# ------------------------------------------------------------------------------------------------------- error function


_ROOT_HALF = (
    (float.fromhex("0x1.6a09e667f3bcdp-1"), float.fromhex("-0x1.bdd3413b26456p-55")),
    (float.fromhex("0x1.6a09e6p-1"), float.fromhex("0x1.9fcef4p-27")),
)
"""√½ as a sum of two numbers, for either type of element."""


def _erfc_of(f: Body, size: Value, square: tuple[Value, Value], low: Value = 0.0) -> str:
    """erfc(size + low), size ≥ 0 and not far beyond where it is 0; its square as a sum of two numbers."""
    part = reduced(f, f.neg(square[0]), low=f.neg(square[1]))
    t = f.div(f.sub(size, _PLACE), f.add(size, _PLACE))
    p, p_low = f.fast_two_sum(1.0, f.polynomial(f.table((ERFC[0], ERFC_SHORT[1])), t))
    below, below_low = f.two_sum(f.add(size, size), 1.0)
    below_low = f.mad(low, 2.0, below_low) if type(low) is str else below_low
    q, q_low = f.quotient_sum(p, below, below_low, p_low)
    first, second = f.powers(part.n)
    grown = f.add(part.t, part.r)
    y = f.add(q, f.mad(q, grown, f.mad(q_low, grown, q_low)))
    return f.mul(f.mul(y, first), second)


def _size(f: Body, x: Value, far: float) -> str:
    """|x| up to where erfc is 0, and there also for a NaN."""
    size = f.abs(x)
    return f.replaced(f.compare_bits("sgt", f.bits(size), f.limits.bits_of(far)), far, size)


def _near(f: Body, size: Value, bound: float) -> tuple[str, str]:
    """(whether size is above a bound of at most 1, erf(size) where it is not)."""
    large = f.compare("ogt", size, bound)
    inside = f.replaced(large, bound, size)
    return large, f.mad(inside, f.polynomial(f.table(ERF), f.mul(inside, inside)), inside)


def erf(f: Body, x: Value) -> Value:
    size = at_most(f, f.abs(x), _ONLY_ONE[f.limits.table])
    exponent = f.mad(size, f.polynomial(f.table((ERF_EXPONENT[0], ERF_EXPONENT_SHORT[1])), size), size)
    part = reduced(f, f.neg(exponent), exact=True)
    y, _ = less_one(f, part)
    y = f.mul(y, f.power(part.n))
    return f.select(f.is_nan(x), x, f.copysign(y, x))


def _complement(f: Body, x: Value, size: Value, far: Value) -> str:
    """erfc(x) for |x| = size, given erfc(size) for size > ½."""
    left = f.compare_bits("slt", f.bits(x), 0)
    large, y = _near(f, size, 0.5)
    beyond = f.select(left, f.sub(2.0, far), far)
    return f.select(large, beyond, f.sub(1.0, f.copysign(y, x)))


def erfc(f: Body, x: Value) -> Value:
    size = _size(f, x, _FAR[f.limits.table])
    y = _complement(f, x, size, _erfc_of(f, size, f.two_product(size, size)))
    return f.select(f.is_nan(x), x, y)


def ndtr(f: Body, x: Value) -> Value:
    """½ erfc(-x/√2), with the square of x itself."""
    size = _size(f, x, _FAR[f.limits.table] * math.sqrt(2.0))
    square, low = f.two_product(size, size)
    high, rest = f.table(_ROOT_HALF)
    scaled, more = f.two_product(size, high)
    halves = f.mul(square, 0.5), f.mul(low, 0.5)
    y = _erfc_of(f, scaled, halves, f.mad(size, rest, more))
    return f.select(f.is_nan(x), x, f.mul(_complement(f, f.neg(x), scaled, y), 0.5))
