"""Inverse trigonometric functions as LLVM text: asin, acos, atan, atan2.

atan is a polynomial for |x| ≤ 1, and π/2 - atan(1/x) above. asin is one for |x| ≤ ½, and above, with z = (1 - x)/2, it
is π/2 - 2 asin(√z); acos follows from it. (Abramowitz and Stegun, 4.4.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_tables import ASIN, ATAN

__all__ = ["acos", "asin", "atan", "atan2"]

_HALF_PI = (
    (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c07p-54")),
    (float.fromhex("0x1.921fb6p+0"), float.fromhex("-0x1.777a5cp-25")),
)
"""π/2 as a sum of two numbers, for either type of element."""


def _half_pi(f: Body, times: float = 1.0) -> tuple[float, float]:
    high, low = _HALF_PI[f.limits.table]
    return high * times, low * times


def _rest(f: Body, u: Value) -> str:
    """atan(u) - u for 0 ≤ u ≤ 1."""
    z = f.mul(u, u)
    return f.mul(f.mul(u, z), f.polynomial(f.table(ATAN), z))


def atan(f: Body, x: Value) -> Value:
    size = f.abs(x)
    large = f.compare_bits("sgt", f.bits(size), f.limits.bits_of(1.0))
    u = f.div(f.select(large, -1.0, size), f.replaced(large, size, 1.0))
    high, low = _half_pi(f)
    y = f.add(u, f.add(_rest(f, u), f.select(large, low, 0.0)))
    return f.copysign(f.add(f.select(large, high, 0.0), y), x)


def atan2(f: Body, y: Value, x: Value) -> Value:
    """From the quotient of the smaller by the larger magnitude, which lies in one of eight parts of the circle."""
    nan = f.compare("uno", y, x)
    a, b = f.abs(f.select(nan, 1.0, y)), f.abs(f.select(nan, 1.0, x))
    steep = f.compare("ogt", a, b)
    top, bottom = f.select(steep, b, a), f.select(steep, a, b)
    same = f.compare("oeq", a, b)  # both may be 0, or both infinite
    apart = f.compare("une", a, 0.0)
    u = f.div(f.select(same, 1.0, top), f.replaced(same, 1.0, bottom))
    u = f.select(f.both(same, f.inverse(apart)), 0.0, u)
    left = f.compare_bits("slt", f.bits(x), 0)
    minus = f.op(f"xor {f.mask_type} {steep}, {left}")
    high, low = _half_pi(f)
    whole, rest = f.select(left, 2 * high, 0.0), f.select(left, 2 * low, 0.0)
    whole, rest = f.select(steep, high, whole), f.select(steep, low, rest)
    u = f.select(minus, f.neg(u), u)
    angle = f.add(whole, f.add(u, f.add(_rest(f, u), rest)))
    return f.select(nan, f.nan_of(x, y), f.copysign(angle, y))


def _asin_rest(f: Body, root: Value, z: Value) -> str:
    """asin(root) - root, z being the square of root and at most ¼."""
    return f.mul(f.mul(root, z), f.polynomial(f.table(ASIN), z))


def _in_domain(f: Body, x: Value, write: Callable[[Body, Value], Value]) -> Value:
    """A function of |x| ≤ 1; elsewhere NaN with its flag, and of a NaN the same without."""
    special = f.beyond(x, 1.0)
    any_special = f.any(special)
    (inside,) = f.rare(any_special, [(f.type, x)], lambda: (f.select(special, 0.5, x),))
    y = write(f, inside)

    def mended() -> tuple[Value]:
        nan = f.is_nan(x)
        outside = f.both(special, f.inverse(nan))
        f.raise_flags(invalid=outside)
        return (f.select(nan, x, f.select(outside, math.nan, y)),)

    return f.rare(any_special, [(f.type, y)], mended)[0]


def _argument(f: Body, x: Value) -> tuple[str, str, str]:
    """(whether |x| > ½, the argument of the polynomial, its square)."""
    size = f.abs(x)
    large = f.compare("ogt", size, 0.5)
    z = f.select(large, f.mul(f.sub(1.0, size), 0.5), f.mul(x, x))
    return large, f.select(large, f.sqrt(z), size), z


def _asin(f: Body, x: Value) -> Value:
    large, root, z = _argument(f, x)
    rest = _asin_rest(f, root, z)
    high, low = _half_pi(f)
    far, error = f.fast_two_sum(high, f.mul(root, -2.0))
    far = f.add(far, f.add(error, f.mad(rest, -2.0, low)))
    return f.copysign(f.select(large, far, f.add(root, rest)), x)


def _acos(f: Body, x: Value) -> Value:
    large, root, z = _argument(f, x)
    rest = _asin_rest(f, root, z)
    left = f.compare_bits("slt", f.bits(x), 0)
    high, low = _half_pi(f)
    near = f.select(left, f.neg(root), root), f.select(left, f.neg(rest), rest)
    middle = f.add(f.sub(high, near[0]), f.sub(low, near[1]))
    whole, more = f.select(left, 2 * high, 0.0), f.select(left, 2 * low, 0.0)
    # Left: π - 2(root + rest); right: 2(root + rest).
    twice = f.select(left, -2.0, 2.0)
    far = f.add(f.mad(root, twice, whole), f.mad(rest, twice, more))
    return f.select(large, far, middle)


def asin(f: Body, x: Value) -> Value:
    return _in_domain(f, x, _asin)


def acos(f: Body, x: Value) -> Value:
    return _in_domain(f, x, _acos)
