"""Sine, cosine and tangent as LLVM text.

x = n·π/2 + r + lo, |r| ≤ π/4 and a little. Up to a bound π/2 is taken in three parts, of which two are so short that n
times them is exact (Cody and Waite, 1980): the rest is right to the last place also next to the multiples of π/2. Above
it r comes from the product of the argument's mantissa with those bits of 2/π that matter (Payne and Hanek, *ACM SIGNUM
Newsletter* 18, 1983), one lane after the other.
"""

from __future__ import annotations

from funcgrad.native.elementary_body import Body, Value
from funcgrad.native.elementary_reduce import remainder_text
from funcgrad.native.elementary_tables import COS, SIN

__all__ = ["cos", "quarter", "sin", "sincos", "tan"]

_PER_HALF_PI = float.fromhex("0x1.45f306dc9c883p-1")
_HALF_PI = tuple(map(float.fromhex, ("0x1.921fb54440000p+0", "0x1.68c234c4c0000p-39", "0x1.98a2e03707345p-77")))
"""π/2 in parts of 37, 37 and 53 bits."""
_HALF_PI_SINGLE = tuple(map(float.fromhex, ("0x1.921fb54400000p+0", "0x1.0b4611a626331p-34")))
"""In parts of 33 and 53 bits."""
_BOUND = (1e5, 1e6)
"""Up to here n times the parts is exact."""


def quarter(f: Body, x: Value) -> tuple[str, Value | None, str]:
    """(r, lo, bits of n over a constant) with x = n·π/2 + r + lo; lo is None in single precision, where r suffices."""
    single = f.element == "float"
    large = f.beyond(x, _BOUND[f.limits.table])
    any_large = f.any(large)
    (inside,) = f.rare(any_large, [(f.type, x)], lambda: (f.select(large, 0.0, x),))
    wide, whole = (f.widened(inside), f.widened(x)) if single else (inside, x)
    f.use("double")
    n, bits = f.round(f.mul(wide, _PER_HALF_PI))
    if single:
        r = f.mad(n, -_HALF_PI_SINGLE[1], f.mad(n, -_HALF_PI_SINGLE[0], wide))
        low: Value = 0.0
    else:
        first = f.mad(n, -_HALF_PI[0], wide)
        middle = f.mul(n, _HALF_PI[1])
        r = f.sub(first, middle)
        low = f.mad(n, -_HALF_PI[2], f.sub(f.sub(first, r), middle))
    values = [(f.type, r), (f.type, low), (f.int_type, bits)]
    r, low, bits = f.rare(any_large, values, lambda: _far(f, whole, _BOUND[single], r, low, bits))
    if not single:
        return r, low, bits
    r, bits = f.narrowed(r), f.narrowed_bits(bits)
    f.use("float")
    return r, None, bits


def _far(f: Body, x: Value, bound: float, *values: Value) -> list[Value]:
    """The same of large arguments; the values stay where the argument is not large."""
    name, text = remainder_text(f.width)
    f.parts.update(text)
    types = f.type, f.type, f.int_type
    result = f"{{ {', '.join(types)} }}"
    arguments = ", ".join(f"{t} {f.number(v) if t == f.type else v}" for t, v in zip(types, values, strict=True))
    found = f.op(f"call {result} {name}({f.type} {x}, i64 {f.limits.bits_of(bound)}, {arguments})")
    return [f.op(f"extractvalue {result} {found}, {i}") for i in range(3)]


def sin_terms(f: Body, r: Value, low: Value | None) -> tuple[Value, Value]:
    """The sine of r + low as a sum of a large and a small number."""
    z = f.mul(r, r)
    cubic = f.mul(z, r)
    small = f.table(SIN)
    if low is None:
        return r, f.mul(cubic, f.polynomial(small, z))
    return r, f.mad(cubic, f.polynomial(small, z), f.mad(f.mul(z, -0.5), low, low))


def cos_terms(f: Body, r: Value, low: Value | None) -> tuple[Value, Value]:
    z = f.mul(r, r)
    half = f.mul(z, 0.5)
    large = f.sub(1.0, half)
    error = f.sub(f.sub(1.0, large), half)
    if low is not None:
        error = f.mad(f.neg(r), low, error)
    return large, f.mad(f.mul(z, z), f.polynomial(f.table(COS), z), error)


def _signed(f: Body, y: Value, n: str, offset: int) -> str:
    """y, or -y where n + offset is 2 or 3 modulo 4."""
    moved = f.integers("add", n, offset) if offset else n
    sign = f.integers("shl", f.integers("and", moved, 2), f.limits.bits - 2)
    return f.from_bits(f.integers("xor", f.bits(y), sign))


def _odd(f: Body, n: str) -> str:
    return f.compare_bits("ne", f.integers("and", n, 1), 0)


def sincos(f: Body, x: Value) -> tuple[Value, Value]:
    """Both, which share nearly all of their text: LLVM makes one call of two where a program wants both."""
    r, low, n = quarter(f, x)
    s, c = f.add(*sin_terms(f, r, low)), f.add(*cos_terms(f, r, low))
    odd = _odd(f, n)
    sine = f.select(f.compare("oeq", x, 0.0), x, _signed(f, f.select(odd, c, s), n, 0))
    return sine, _signed(f, f.select(odd, s, c), n, 1)


def sin(f: Body, x: Value) -> Value:
    return f.call_pair("sincos", x)[0]


def cos(f: Body, x: Value) -> Value:
    return f.call_pair("sincos", x)[1]


def tan(f: Body, x: Value) -> Value:
    """The quotient of sine and cosine, both to more than the precision."""
    r, low, n = quarter(f, x)
    s, s_low = f.fast_two_sum(*sin_terms(f, r, low))
    c, c_low = f.fast_two_sum(*cos_terms(f, r, low))
    odd = _odd(f, n)
    top, top_low = f.select(odd, f.neg(c), s), f.select(odd, f.neg(c_low), s_low)
    y = f.quotient(top, f.select(odd, s, c), top_low, f.select(odd, s_low, c_low))
    return f.select(f.compare("oeq", x, 0.0), x, y)
