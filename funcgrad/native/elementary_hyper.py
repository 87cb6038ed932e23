"""Hyperbolic functions and their inverses as LLVM text: sinh, cosh, asinh, acosh, atanh.

With exp(|x|) = 2ⁿ exp(r), A = 2ⁿ⁻¹ + 2⁻ⁿ⁻¹ and B = 2ⁿ⁻¹ - 2⁻ⁿ⁻¹: sinh|x| = A sinh(r) + B cosh(r) and cosh x =
A cosh(r) + B sinh(r), both without cancellation. The inverses are logarithms of a sum of two numbers.
"""

from __future__ import annotations

import math

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_exp import LN2, PER_LN2
from funcgrad.native.elementary_log import log_of_sum, start_of
from funcgrad.native.elementary_tables import COSH, SINH

__all__ = ["acosh", "asinh", "atanh", "cosh", "sinh"]

_USUAL = (700.0, 86.0)
_LARGEST = (float.fromhex("0x1.633ce8fb9f87dp+9"), float.fromhex("0x1.65a9f8p+6"))
"""The largest argument whose sinh and cosh are finite."""
_SHIFT = (64, 8)
"""2 to this power is taken out of the largest results."""
_SQUARE = (2.0**28, 2.0**13)
"""Above this √(x² ± 1) is |x|, as far as its logarithm tells."""


def _both_ways(f: Body, x: Value, odd: bool) -> Value:
    table = f.limits.table
    size = f.abs(x)
    large = f.beyond(x, _USUAL[table])
    any_large = f.any(large)

    def kept() -> tuple[Value]:
        return (f.select(f.beyond(x, _LARGEST[table]), _LARGEST[table], size),)

    (inside,) = f.rare(any_large, [(f.type, size)], kept)
    n, bits = f.round(f.mul(inside, PER_LN2))
    (bits,) = f.rare(
        any_large, [(f.int_type, bits)], lambda: (f.select_bits(large, f.integers("sub", bits, _SHIFT[table]), bits),)
    )
    high, low = LN2[table]
    first = f.mad(n, -high, inside)
    r = f.mad(n, -low, first)
    missing = f.mad(n, -low, f.sub(first, r))
    z = f.mul(r, r)
    rest = f.mad(f.mul(r, z), f.polynomial(f.table(SINH), z), missing)
    even = f.mul(z, f.polynomial(f.table(COSH), z))
    up, down = f.power(bits, -1), f.inverse_power(bits, -1)
    a, a_low = f.fast_two_sum(up, down)
    b, b_low = f.fast_two_sum(up, f.neg(down))
    if odd:
        y = f.add(f.mad(a, r, b), f.mad(a, rest, f.mad(b, even, f.mad(a_low, r, b_low))))
    else:
        y = f.add(a, f.mad(b, f.add(r, rest), f.mad(a, even, a_low)))
    (y,) = f.rare(any_large, [(f.type, y)], lambda: (_enlarged(f, x, y, large),))
    return f.copysign(y, x) if odd else y


def _enlarged(f: Body, x: Value, y: Value, large: str) -> str:
    """The power of two comes back; what is too large gets infinite with its flag, a NaN stays."""
    above = f.beyond(x, _LARGEST[f.limits.table])
    factor = 2.0 ** _SHIFT[f.limits.table]
    once = f.mul(y, f.select(large, factor, 1.0))
    return f.mul(once, f.select(above, f.abs(x), 1.0))


def sinh(f: Body, x: Value) -> Value:
    return _both_ways(f, x, odd=True)


def cosh(f: Body, x: Value) -> Value:
    return _both_ways(f, x, odd=False)


def _root_of(f: Body, square: Value, low: Value) -> tuple[str, str]:
    """√(square + low) as a sum; square ≥ 0, not below the normal numbers unless it is 0."""
    r = f.sqrt(square)
    p, e = f.two_product(r, r)
    rest = f.add(f.sub(f.sub(square, p), e), low)
    return r, f.div(f.mul(rest, 0.5), f.replaced(f.compare("oeq", r, 0.0), 1.0, r))


def asinh(f: Body, x: Value) -> Value:
    """log(a + √(a² + 1)) for a = |x|; far out log(2a)."""
    size = f.abs(f.select(f.is_nan(x), 1.0, x))
    large = f.beyond(x, _SQUARE[f.limits.table])
    a = f.replaced(large, 1.0, size)
    square, e = f.two_product(a, a)
    h, low = f.two_sum(square, 1.0)
    r, r_low = _root_of(f, h, f.add(low, e))
    u, u_low = f.two_sum(a, r)
    u_low = f.add(u_low, r_low)
    u, u_low = f.select(large, size, u), f.select(large, 0.0, u_low)
    y = log_of_sum(f, u, u_low, f.select(large, start_of(f) - 1.0, start_of(f)))
    return f.select(f.beyond(x, f.limits.largest), x, f.copysign(y, x))


def acosh(f: Body, x: Value) -> Value:
    """log(x + √(x² - 1)); far out log(2x)."""
    special = f.irregular(x, 1.0)
    any_special = f.any(special)
    (inside,) = f.rare(any_special, [(f.type, x)], lambda: (f.select(special, 1.0, x),))
    large = f.beyond(inside, _SQUARE[f.limits.table])
    a = f.replaced(large, 1.0, inside)
    square, e = f.two_product(a, a)
    h, low = f.fast_two_sum(square, -1.0)
    r, r_low = _root_of(f, h, f.add(low, e))
    u, u_low = f.fast_two_sum(a, r)
    u_low = f.add(u_low, r_low)
    u, u_low = f.select(large, inside, u), f.select(large, 0.0, u_low)
    y = log_of_sum(f, u, u_low, f.select(large, start_of(f) - 1.0, start_of(f)))

    def mended() -> tuple[Value]:
        below = f.below(x, 1.0)
        f.raise_flags(invalid=below)
        return (f.select(below, math.nan, f.select(f.beyond(x, f.limits.largest), x, y)),)

    return f.rare(any_special, [(f.type, y)], mended)[0]


def atanh(f: Body, x: Value) -> Value:
    """½ log((1 + a)/(1 - a)) for a = |x|, as ½ log(1 + 2a/(1 - a))."""
    special = f.beyond(x, 1.0 - f.limits.eps / 2)
    any_special = f.any(special)
    size = f.abs(x)
    (a,) = f.rare(any_special, [(f.type, size)], lambda: (f.select(special, 0.5, size),))
    below, below_low = f.fast_two_sum(1.0, f.neg(a))
    q, q_low = f.quotient_sum(f.add(a, a), below, below_low)
    u, low = f.two_sum(q, 1.0)
    y = f.copysign(f.mul(log_of_sum(f, u, f.add(low, q_low)), 0.5), x)

    def mended() -> tuple[Value]:
        one = f.compare("oeq", size, 1.0)
        nan = f.is_nan(x)
        beyond = f.both(special, f.inverse(f.either(one, nan)))
        f.raise_flags(invalid=beyond, divide=one)
        return (f.select(one, f.copysign(math.inf, x), f.select(nan, x, f.select(beyond, math.nan, y))),)

    return f.rare(any_special, [(f.type, y)], mended)[0]
