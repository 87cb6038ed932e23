"""Logarithms as LLVM text: log, log1p.

With x = 2ᵏ(1 + f), √½ ≤ 1 + f < √2, and s = f/(2 + f): log(1 + f) = 2 atanh(s) = f - f²/2 + s(f²/2 + R), where R/s² is
a polynomial in s². The large terms f and k·ln 2 have no error; what an argument lacks through rounding is added to the
small ones.
"""

from __future__ import annotations

import math

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_exp import LN2
from funcgrad.native.elementary_tables import LOG

__all__ = ["fraction", "log", "log1p", "log_of_sum", "log_sum", "mended", "start_of"]


def fraction(f: Body, x: Value, less: Value | None = None) -> tuple[str, str, str]:
    """(f, k, bits of k over a constant) with x = 2ᵏ(1 + f), x positive and normal.

    Args:
        f: where to write.
        x: the number.
        less: the number to take from what stands for k, `start_of` plus what k is too large by.
    """
    limits = f.limits
    half = limits.bits_of(math.sqrt(0.5))
    moved = f.integers("add", f.bits(x), ((limits.bias + 1) << limits.mantissa) - half)
    exponent = f.integers("lshr", moved, limits.mantissa)
    one = 2.0**limits.mantissa
    k = f.sub(f.from_bits(f.integers("or", exponent, limits.bits_of(one))), start_of(f) if less is None else less)
    mantissa = f.integers("add", f.integers("and", moved, (1 << limits.mantissa) - 1), half)
    return f.sub(f.from_bits(mantissa), 1.0), k, exponent


def start_of(f: Body) -> float:
    """What stands for k = 0 in `fraction`."""
    return 2.0**f.limits.mantissa + (f.limits.bias + 1)


def log_sum(f: Body, part: Value, k: Value, more: Value | None = None) -> str:
    """log(1 + f) + k·ln 2 + more, for f and k of `fraction` and a small number."""
    high, low = LN2[f.limits.table]
    s = f.div(part, f.add(part, 2.0))
    z = f.mul(s, s)
    square = f.mul(f.mul(part, 0.5), part)
    rest = f.mul(s, f.mad(z, f.polynomial(f.table(LOG), z), square))
    if more is not None:
        rest = f.add(rest, more)
    rest = f.mad(k, low, rest)
    return f.mad(k, high, f.sub(part, f.sub(square, rest)))


def mended(f: Body, any_special: str, x: Value, y: Value, zero: float) -> str:
    """The logarithm where x is at or below `zero` (-∞, NaN), infinite or a NaN."""

    def special() -> tuple[Value]:
        at, below = f.compare("oeq", x, zero), f.below(x, zero)
        f.raise_flags(invalid=below, divide=at)
        fixed = f.select(below, math.nan, f.select(at, -math.inf, y))
        return (f.select(f.either(f.is_nan(x), f.compare("oeq", x, math.inf)), x, fixed),)

    return f.rare(any_special, [(f.type, y)], special)[0]


def log(f: Body, x: Value) -> Value:
    special = f.irregular(x)
    any_special = f.any(special)
    shift = f.limits.bias - 1 + f.limits.mantissa

    def scaled() -> tuple[Value, Value]:
        bits = f.bits(x)
        positive = f.compare_bits("sgt", bits, 0)
        below = f.both(positive, f.compare_bits("slt", bits, f.limits.bits_of(f.limits.tiny)))
        larger = f.to_number(bits)  # x/2^-shift
        inside = f.select(below, larger, f.select(special, 1.0, x))
        return inside, f.select(below, start_of(f) + shift, start_of(f))

    inside, less = f.rare(any_special, [(f.type, x), (f.type, start_of(f))], scaled)
    part, k, _ = fraction(f, inside, less)
    return mended(f, any_special, x, log_sum(f, part, k), 0.0)


def log_of_sum(f: Body, u: Value, low: Value, less: Value | None = None) -> str:
    """log(u + low), u positive and normal, low its rounding error or a little more; `less` as of `fraction`."""
    limits = f.limits
    part, k, exponent = fraction(f, u, less)
    bits = f.integers("sub", 2 * limits.bias + 2, exponent)
    twice = f.from_bits(f.integers("shl", bits, limits.mantissa))  # 2^(1 - k)
    # low/u to first order, 1/(1 + f) being 1 - f + f² - …
    inverse = f.mad(f.mad(part, 0.5, -0.5), part, 0.5)
    return log_sum(f, part, k, f.mul(f.mul(low, twice), inverse))


def log1p(f: Body, x: Value) -> Value:
    u = f.add(x, 1.0)
    special = f.irregular(u)
    any_special = f.any(special)

    def usual() -> tuple[Value, Value]:
        return f.select(special, 0.0, x), f.select(special, 1.0, u)

    inside, u = f.rare(any_special, [(f.type, x), (f.type, u)], usual)
    t = f.sub(u, 1.0)
    low = f.add(f.sub(1.0, f.sub(u, t)), f.sub(inside, t))  # what u lacks (Knuth)
    return mended(f, any_special, x, f.copysign(log_of_sum(f, u, low), x), -1.0)
