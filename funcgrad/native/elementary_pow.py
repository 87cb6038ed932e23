"""Powers and roots as LLVM text: pow, log2, log10, cbrt, hypot.

xʸ = 2^(y·log₂x) needs log₂x to 11 bits more than a double has: it is computed as a sum of two doubles, from s =
f/(2 + f) with its error of rounding (x = 2ᵏ(1 + f)): log₂(1 + f) = s(c₁ + s²(c₃ + s²P(s²))). For float32 a double
suffices. So log₂ and log₁₀ are right to hardly more than half a unit, and exact where the result is an integer.
"""

from __future__ import annotations

import math

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_exp import power_of_part
from funcgrad.native.elementary_log import fraction, log_of_sum, log_sum, mended, start_of
from funcgrad.native.elementary_tables import CBRT, EXP2, LOG2

__all__ = ["cbrt", "hypot", "log2", "log2_sum", "log10", "log_hypot", "pow"]

_C1 = (float.fromhex("0x1.71547652b82fep+1"), float.fromhex("0x1.777d0ffda0d24p-55"))
_C3 = (float.fromhex("0x1.ec709dc3a03fdp-1"), float.fromhex("0x1.d27f05548af0cp-55"))
"""2/ln 2 and 2/(3 ln 2) as sums of two doubles."""
_LOG10_2 = (float.fromhex("0x1.34413509f79ffp-2"), float.fromhex("-0x1.9dc1da994fd21p-59"))
_LN2_INVERSE, _LN10_INVERSE = float.fromhex("0x1.71547652b82fep+0"), float.fromhex("0x1.bcb7b1526e50ep-2")
_CBRT = (float.fromhex("0x1.965fea53d6e3dp-1"), float.fromhex("0x1.428a2f98d728bp-1"))
"""2^(-⅓) and 2^(-⅔)."""


def log2_sum(f: Body, x: Value, less: Value | None = None) -> tuple[str, str]:
    """log₂x of a positive normal double as a sum of two, to 2⁻⁶⁵; `less` as of `fraction`."""
    part, k, _ = fraction(f, x, less)
    d, d_low = f.fast_two_sum(2.0, part)
    s, s_low = f.quotient_sum(part, d, d_low)
    z, z_low = f.two_product(s, s)
    z_low = f.mad(f.add(s, s), s_low, z_low)
    p = f.mul(z, f.polynomial(f.table(LOG2), z))
    c, c_low = f.fast_two_sum(_C3[0], p)
    v, v_low = f.two_product(z, c)
    v_low = f.mad(z, f.add(c_low, _C3[1]), f.mad(z_low, c, v_low))
    w, w_low = f.fast_two_sum(_C1[0], v)
    w_low = f.add(w_low, f.add(v_low, _C1[1]))
    y, y_low = f.two_product(s, w)
    y_low = f.mad(s, w_low, f.mad(s_low, w, y_low))
    y, more = f.fast_two_sum(k, y)
    return y, f.add(more, y_low)


def _logarithm(f: Body, x: Value, of_double: Value, scale: tuple[float, float] | None) -> Value:
    """The logarithm whose natural one is to be multiplied by `of_double`, or log₂ by `scale`."""
    special = f.irregular(x)
    any_special = f.any(special)
    shift = f.limits.bias - 1 + f.limits.mantissa
    single = f.element == "float"

    def scaled() -> tuple[Value, Value]:
        bits = f.bits(x)
        positive = f.compare_bits("sgt", bits, 0)
        below = f.both(positive, f.compare_bits("slt", bits, f.limits.bits_of(f.limits.tiny)))
        inside = f.select(below, f.to_number(bits), f.select(special, 1.0, x))
        return inside, f.select(below, float(shift), 0.0)

    inside, less = f.rare(any_special, [(f.type, x), (f.type, 0.0)], scaled)
    if single:
        wide, less = f.widened(inside), f.widened(less)
        f.use("double")
        part, k, _ = fraction(f, wide, f.add(less, start_of(f)))
        y = f.narrowed(f.mul(log_sum(f, part, k), of_double))
        f.use("float")
    else:
        y, low = log2_sum(f, inside, f.add(less, start_of(f)))
        if scale is not None:
            p, e = f.two_product(y, scale[0])
            y, low = p, f.mad(y, scale[1], f.mad(low, scale[0], e))
        y = f.add(y, low)
    return mended(f, any_special, x, y, 0.0)


def log2(f: Body, x: Value) -> Value:
    return _logarithm(f, x, _LN2_INVERSE, None)


def log10(f: Body, x: Value) -> Value:
    return _logarithm(f, x, _LN10_INVERSE, _LOG10_2)


# --------------------------------------------------------------------------------------------------------------- pow

_LARGE = (2.0**64, float.fromhex("0x1.fffffep+127"))
"""With an exponent above, every power of a number that is not ±1 is 0 or infinite. (Of a float: infinite exponents.)"""
_NORMAL = 1021.0
_FAR = (1100.0, 300.0)
"""2 to these powers is infinite."""


def _regular(f: Body, x: Value, y: Value) -> tuple[Value, Value, Value]:
    """(x, y, what k is too large by), where x is not positive and normal or y is large, so that nothing is flagged."""
    limits = f.limits
    size = f.abs(x)
    bits = f.bits(size)
    below = f.compare_bits("slt", bits, limits.bits_of(limits.tiny))
    shift = float(limits.bias - 1 + limits.mantissa)
    single = f.element == "float"
    inside = size if single else f.select(below, f.to_number(bits), size)
    no_number = f.either(f.beyond(x, limits.largest), f.compare("oeq", x, 0.0))
    trivial = f.either(f.compare("oeq", y, 0.0), f.compare("oeq", f.abs(y), math.inf))
    one = f.either(f.either(no_number, trivial), _undefined(f, x, y))
    bound = _LARGE[limits.table]
    kept = f.select(f.beyond(y, bound), f.copysign(bound, y), y)
    kept = f.select(f.is_nan(y), 1.0, kept)
    less = 0.0 if single else f.select(f.both(below, f.inverse(one)), shift, 0.0)
    return f.select(one, 1.0, inside), kept, less


def _whole(f: Body, y: Value) -> str:
    return f.compare("oeq", f.intrinsic("trunc", y), y)


def _undefined(f: Body, x: Value, y: Value) -> str:
    """x is negative, and y is neither an integer nor infinite."""
    negative = f.compare_bits("slt", f.bits(x), 0)
    number = f.inverse(f.either(f.beyond(x, f.limits.largest), f.compare("oeq", x, 0.0)))
    other = f.inverse(f.either(_whole(f, y), f.is_nan(y)))
    return f.both(negative, f.both(number, other))


def _special_power(f: Body, x: Value, y: Value, usual: Value) -> str:
    """The cases of IEEE 754, 9.2.1, given the power of |x| where both are finite, and x is not 0."""
    limits = f.limits
    size, y_size = f.abs(x), f.abs(y)
    is_one, zero = f.compare("oeq", size, 1.0), f.compare("oeq", x, 0.0)
    infinite = f.either(f.compare("oeq", size, math.inf), f.compare("oeq", y_size, math.inf))
    extreme = f.both(f.either(zero, infinite), f.inverse(is_one))
    above = f.compare_bits("sgt", f.bits(size), limits.bits_of(1.0))
    minus = f.compare_bits("slt", f.bits(y), 0)
    grows = f.op(f"xor {f.mask_type} {above}, {minus}")
    result = f.select(extreme, f.select(grows, math.inf, 0.0), f.select(f.both(infinite, is_one), 1.0, usual))
    half = f.mul(y, 0.5)
    odd = f.both(_whole(f, y), f.inverse(_whole(f, half)))
    turn = f.both(odd, f.compare_bits("slt", f.bits(x), 0))
    result = f.select(turn, f.neg(result), result)
    undefined = f.both(_undefined(f, x, y), f.inverse(f.is_nan(x)))
    y_zero = f.compare("oeq", y, 0.0)
    pole = f.both(f.both(zero, minus), f.both(f.inverse(f.is_nan(y)), f.inverse(y_zero)))
    pole = f.both(pole, f.inverse(f.compare("oeq", y_size, math.inf)))
    f.raise_flags(invalid=undefined, divide=pole)
    result = f.select(undefined, math.nan, result)
    result = f.select(f.compare("uno", x, y), f.nan_of(x, y), result)
    return f.select(f.either(y_zero, f.compare("oeq", x, 1.0)), 1.0, result)


def _within(f: Body, x: Value, bound: float) -> str:
    return f.maximum(-bound, f.minimum(bound, x))


def _power_single(f: Body, x: Value, y: Value) -> str:
    """xʸ for regular floats, by doubles."""
    wide_x, wide_y = f.widened(x), f.widened(y)
    f.use("double")
    part, k, _ = fraction(f, wide_x)
    exponent = _within(f, f.mul(wide_y, f.mul(log_sum(f, part, k), _LN2_INVERSE)), _FAR[1])
    n, bits = f.round(exponent)
    r = f.sub(exponent, n)
    value = f.mad(f.mul(r, r), f.polynomial(EXP2[1], r), f.mad(r, math.log(2.0), 1.0))
    result = f.narrowed(f.mul(value, f.power(bits)))
    f.use("float")
    return result


def pow(f: Body, x: Value, y: Value) -> Value:
    special = f.either(f.irregular(x), f.beyond(y, _LARGE[f.limits.table]))
    any_special = f.any(special)
    values = [(f.type, x), (f.type, y), (f.type, 0.0)]
    base, exponent, less = f.rare(any_special, values, lambda: _regular(f, x, y))
    if f.element == "float":
        result = _power_single(f, base, exponent)
        return f.rare(any_special, [(f.type, result)], lambda: (_special_power(f, x, y, result),))[0]
    log, log_low = log2_sum(f, base, f.add(less, start_of(f)))
    high, low = f.two_product(exponent, log)
    low = f.mad(exponent, log_low, low)
    far = f.beyond(high, _NORMAL)
    any_far = f.any(f.either(far, special))
    kept = [(f.type, high), (f.type, low)]
    bound = _FAR[0]
    high, low = f.rare(any_far, kept, lambda: (_within(f, high, bound), f.select(f.beyond(high, bound), 0.0, low)))
    n, bits = f.round(high)
    value = power_of_part(f, f.sub(high, n), low)

    def other() -> tuple[Value]:
        first, second = f.powers(bits)
        return (_special_power(f, x, y, f.mul(f.mul(value, first), second)),)

    return f.rare(any_far, [(f.type, f.mul(value, f.power(bits)))], other)[0]


# ------------------------------------------------------------------------------------------------------ cbrt, hypot


def cbrt(f: Body, x: Value) -> Value:
    """|x| = 8^q·m, 1 ≤ m < 8: m^(-⅓) by Newton's iteration, m^(⅓) from it, with one correction by the exact residue."""
    limits = f.limits
    size = f.abs(x)
    special = f.irregular(size)
    any_special = f.any(special)
    shift = limits.bias - 1 + limits.mantissa
    more = -shift % 3

    def scaled() -> tuple[Value, Value]:
        bits = f.bits(size)
        below = f.both(f.compare_bits("slt", bits, limits.bits_of(limits.tiny)), f.compare("une", x, 0.0))
        larger = f.mul(f.to_number(bits), 2.0**more)
        return f.select(below, larger, f.select(special, 1.0, size)), f.select(
            below, 2.0 ** -((shift + more) // 3), 1.0
        )

    inside, factor = f.rare(any_special, [(f.type, size), (f.type, 1.0)], scaled)
    bits = f.bits(inside)
    over = -limits.bias % 3
    exponent = f.integers("add", f.integers("lshr", bits, limits.mantissa), over)
    third = f.integers("lshr", f.integers("mul", exponent, 21846), 16)
    thrice = f.integers("mul", third, 3)
    rest = f.integers("sub", exponent, thrice)  # 0, 1 or 2
    one = f.integers("or", f.integers("and", bits, (1 << limits.mantissa) - 1), limits.bits_of(1.0))
    w = f.polynomial(f.table(CBRT), f.from_bits(one))
    w = f.mul(w, f.select(f.compare_bits("eq", rest, 0), 1.0, f.select(f.compare_bits("eq", rest, 1), *_CBRT)))
    m = f.from_bits(f.integers("add", one, f.integers("shl", rest, limits.mantissa)))
    for _ in range(2 if limits.table == 0 else 1):
        cube = f.mul(f.mul(w, w), f.mul(w, m))
        w = f.mad(f.mul(w, 1.0 / 3.0), f.sub(1.0, cube), w)
    square = f.mul(w, w)
    y = f.mul(m, square)
    p, e = f.two_product(y, y)
    q, e2 = f.two_product(p, y)
    residue = f.sub(f.sub(m, q), f.mad(e, y, e2))
    y = f.mad(f.mul(residue, square), 1.0 / 3.0, y)
    scale = f.integers("add", third, limits.bias - (limits.bias + over) // 3)
    y = f.mul(f.mul(y, f.from_bits(f.integers("shl", scale, limits.mantissa))), factor)
    kept = f.rare(any_special, [(f.type, y)], lambda: (_kept_zero(f, size, y),))[0]
    return f.copysign(kept, x)


def _kept_zero(f: Body, size: Value, y: Value) -> str:
    same = f.either(f.beyond(size, f.limits.largest), f.compare("oeq", size, 0.0))
    return f.select(same, size, y)


def _legs(f: Body, x: Value, y: Value) -> tuple[str, list[str]]:
    """(whether any lane is special, [the larger leg, the smaller one, the factor, its exponent]): the legs are scaled
    where a square would be too large or too small, and 1 where the larger one is 0, infinite or a NaN."""
    a, b = f.abs(x), f.abs(y)
    limits = f.limits
    larger = f.select(f.compare_bits("sgt", f.bits(a), f.bits(b)), a, b)
    far = limits.bias // 2 - 10
    special = f.either(
        f.compare_bits("sgt", f.bits(larger), limits.bits_of(2.0**far)),
        f.compare_bits("slt", f.bits(larger), limits.bits_of(2.0**-far)),
    )
    any_special = f.any(special)

    def scaled() -> tuple[Value, Value, Value, Value]:
        large = f.compare_bits("sgt", f.bits(larger), limits.bits_of(2.0**far))
        up = far + limits.mantissa + 12
        factor = f.select(large, 2.0**-up, f.select(special, 2.0**up, 1.0))
        odd = f.either(f.beyond(larger, limits.largest), f.compare("oeq", larger, 0.0))
        a1, b1 = f.mul(f.select(odd, 1.0, a), factor), f.mul(f.select(odd, 1.0, b), factor)
        back = f.select(large, 2.0**up, f.select(special, 2.0**-up, 1.0))
        exponent = f.select(large, float(up), f.select(special, float(-up), 0.0))
        return f.select(odd, 1.0, a1), f.select(odd, 1.0, b1), back, exponent

    values: list[tuple[str, Value]] = [(f.type, a), (f.type, b), (f.type, 1.0), (f.type, 0.0)]
    a1, b1, back, exponent = f.rare(any_special, values, scaled)
    return any_special, [f.maximum(a1, b1), f.minimum(a1, b1), back, exponent]


def _mended_hypot(f: Body, x: Value, y: Value, result: Value, zero: float) -> str:
    """Infinite where a leg is, whatever the other one; NaN where one is; `zero` for no legs."""
    a, b = f.abs(x), f.abs(y)
    infinite = f.either(f.compare("oeq", a, math.inf), f.compare("oeq", b, math.inf))
    nothing = f.both(f.compare("oeq", a, 0.0), f.compare("oeq", b, 0.0))
    if zero:
        f.raise_flags(divide=nothing)
    number = f.select(f.compare("uno", a, b), f.nan_of(a, b), f.select(nothing, zero, result))
    return f.select(infinite, math.inf, number)


def hypot(f: Body, x: Value, y: Value) -> Value:
    """√(x² + y²), the larger square with its error of rounding."""
    any_special, (big, small, back, _) = _legs(f, x, y)
    p, e = f.two_product(big, big)
    result = f.mul(f.sqrt(f.add(p, f.mad(small, small, e))), back)
    return f.rare(any_special, [(f.type, result)], lambda: (_mended_hypot(f, x, y, result, 0.0),))[0]


def log_hypot(f: Body, x: Value, y: Value) -> Value:
    """½ log(x² + y²), the sum of squares as a sum of two numbers, so that it is right next to the unit circle."""
    any_special, (big, small, _, exponent) = _legs(f, x, y)
    p, e = f.two_product(big, big)
    q, e2 = f.two_product(small, small)
    u, low = f.fast_two_sum(p, q)
    less = f.mad(exponent, -2.0, start_of(f))
    result = f.mul(log_of_sum(f, u, f.add(low, f.add(e, e2)), less), 0.5)
    return f.rare(any_special, [(f.type, result)], lambda: (_mended_hypot(f, x, y, result, -math.inf),))[0]
