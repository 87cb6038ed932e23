"""Operations on integers: division, shifts, powers, divisors, counts of bits.

Division by zero gives 0 and raises the flag `divide`; the smallest integer divided by -1 is itself, with the flag
`overflow`. An integer power with a negative exponent leaves the function, so that NumPy raises its error.
"""

from __future__ import annotations

import re

import numpy as np

from funcgrad.native.scalars_base import F64, Call, Numbers, emits, logic, raise_flag
from funcgrad.native.scalars_convert import convert, to_integer
from funcgrad.native.writer import Writer
from funcgrad.ops.math import UFUNCS

__all__ = ["whole_literal"]

_NUMBER = re.compile(r"(?:splat \(i\d+ )?(-?\d+)\)?")


def whole_literal(x: str) -> int | None:
    """The value of a literal integer; None of a register."""
    found = _NUMBER.fullmatch(x)
    return int(found[1]) if found else None


# ------------------------------------------------------------------------------------------------ division


def _divisor(w: Writer, f: Numbers, x: str, y: str) -> tuple[str, str, str]:
    """A divisor that can be divided by, and where it stands for 0, and for -1 beside the smallest integer."""
    if whole_literal(y) not in (None, 0, -1):
        return y, "", ""
    zero, least = f.icmp("eq", y, f(0)), ""
    harmful = zero
    if f.dtype.kind == "i":
        least = logic(w, "and", f.icmp("eq", x, f(np.iinfo(f.dtype).min)), f.icmp("eq", y, f(-1)))
        harmful = logic(w, "or", zero, least)
    return f.select(harmful, f(1), y), zero, least


def _divided(w: Writer, call: Call, x: str, y: str, overflow: bool) -> tuple[Numbers, str, str, str]:
    """The quotient and the rest, rounded to zero, with the flags, and where the divisor is zero."""
    f, sign = Numbers(w, call.out), "u" if call.out.kind == "u" else "s"
    y, zero, least = _divisor(w, f, x, y)
    if zero:
        raise_flag(w, zero, "divide")
    if least and overflow:
        raise_flag(w, least, "overflow")
    quotient = f.op(f"{sign}div", x, y)
    return f, quotient, f.op("sub", x, f.op("mul", quotient, y)), zero


@emits(UFUNCS[np.floor_divide], kinds="iu")
def _floor_div(w: Writer, call: Call, x: str, y: str) -> str:
    f, quotient, rest, zero = _divided(w, call, x, y, True)
    if call.out.kind == "i":
        quotient = f.select(_other_sign(w, f, rest, y), f.op("sub", quotient, f(1)), quotient)
    return f.select(zero, f(0), quotient) if zero else quotient


@emits(UFUNCS[np.remainder], kinds="iu")
def _rem(w: Writer, call: Call, x: str, y: str) -> str:
    f, _, rest, zero = _divided(w, call, x, y, False)
    if call.out.kind == "i":
        rest = f.select(_other_sign(w, f, rest, y), f.op("add", rest, y), rest)
    return f.select(zero, f(0), rest) if zero else rest


def _other_sign(w: Writer, f: Numbers, rest: str, y: str) -> str:
    apart = f.icmp("slt", f.op("xor", rest, y), f(0))
    return logic(w, "and", apart, f.icmp("ne", rest, f(0)))


@emits(UFUNCS[np.fmod], kinds="iu")
def _fmod(w: Writer, call: Call, x: str, y: str) -> str:
    f, _, rest, zero = _divided(w, call, x, y, False)
    return f.select(zero, f(0), rest) if zero else rest


@emits(UFUNCS[np.reciprocal], kinds="iu")
def _reciprocal(w: Writer, call: Call, x: str) -> str:
    """By way of float64, as NumPy does it."""
    f = Numbers(w, F64)
    return to_integer(w, f.div(f(1.0), str(convert(w, x, call.out, F64))), F64, call.out)


# ------------------------------------------------------------------------------------------------ bits


@emits(UFUNCS[np.left_shift], UFUNCS[np.right_shift], kinds="iu")
def _shift(w: Writer, call: Call, x: str, n: str) -> str:
    """By a negative number of bits, or by all of them, nothing is left but the sign of what is shifted right."""
    f, bits = Numbers(w, call.out), 8 * call.out.itemsize
    inside = f.icmp("ult", n, f(bits))
    if call.primitive is UFUNCS[np.left_shift]:
        return f.select(inside, f.op("shl", x, f.select(inside, n, f(0))), f(0))
    if call.out.kind == "u":
        return f.select(inside, f.op("lshr", x, f.select(inside, n, f(0))), f(0))
    return f.op("ashr", x, f.select(inside, n, f(bits - 1)))


def _counts(call: Call) -> bool:
    return call.out == np.uint8


if hasattr(np, "bitwise_count"):

    @emits(UFUNCS[np.bitwise_count], kinds="iu", form=_counts)
    def _population_count(w: Writer, call: Call, x: str) -> str:
        """Of the absolute value."""
        f = Numbers(w, call.ins[0])
        size = f.call("abs", x, end="i1 false") if call.ins[0].kind == "i" else x
        count = f.call("ctpop", size)
        return count if call.ins[0].itemsize == 1 else f.cast("trunc", count, call.out)


# ------------------------------------------------------------------------------------------------ powers


@emits(UFUNCS[np.power], kinds="iu")
def _pow(w: Writer, call: Call, x: str, n: str) -> str:
    """By repeated multiplication, which wraps around as NumPy's does."""
    f, known = Numbers(w, call.out), whole_literal(n)
    if call.out.kind == "i" and (known is None or known < 0):
        w.bail_if(f.icmp("slt", n, f(0)))
    if known is not None and known >= 0:
        return _known_power(f, x, known)
    before, head, after = w.block, w.new_label("power"), w.new_label("on")
    w.branch(head)
    w.label(head)
    base, rest, out = (w.name("p") for _ in range(3))
    at = len(w.lines)
    odd = f.icmp("ne", f.op("and", rest, f(1)), f(0))
    new_out = f.select(odd, f.op("mul", out, base), out)
    new_base, new_rest = f.op("mul", base, base), f.op("lshr", rest, f(1))
    more = f.icmp("ne", new_rest, f(0))
    w.write(f"br i1 {w.any(more) if w.width else more}, label %{head}, label %{after}")
    rows = ((base, x, new_base), (rest, n, new_rest), (out, f(1), new_out))
    w.lines[at:at] = [f"  {v} = phi {f.t} [ {a}, %{before} ], [ {b}, %{head} ]" for v, a, b in rows]
    w.label(after)
    return new_out


def _known_power(f: Numbers, x: str, n: int) -> str:
    out = ""
    while n:
        if n & 1:
            out = f.op("mul", out, x) if out else x
        n >>= 1
        if n:
            x = f.op("mul", x, x)
    return out or f(1)


# ------------------------------------------------------------------------------------------------ divisors


def _greatest_divisor(w: Writer, f: Numbers, x: str, y: str) -> str:
    """Of two integers without sign, by Euclid's algorithm."""
    before, head, after = w.block, w.new_label("divide"), w.new_label("on")
    w.branch(head)
    w.label(head)
    a, b = w.name("p"), w.name("p")
    at = len(w.lines)
    zero = f.icmp("eq", b, f(0))
    rest = f.op("urem", a, f.select(zero, f(1), b))
    new_a, new_b = f.select(zero, a, b), f.select(zero, f(0), rest)
    more = f.icmp("ne", new_b, f(0))
    w.write(f"br i1 {w.any(more) if w.width else more}, label %{head}, label %{after}")
    rows = ((a, x, new_a), (b, y, new_b))
    w.lines[at:at] = [f"  {v} = phi {f.t} [ {first}, %{before} ], [ {new}, %{head} ]" for v, first, new in rows]
    w.label(after)
    return new_a


def _sizes(w: Writer, f: Numbers, *xs: str) -> list[str]:
    return [f.call("abs", x, end="i1 false") if f.dtype.kind == "i" else x for x in xs]


@emits(UFUNCS[np.gcd], kinds="iu")
def _gcd(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    return _greatest_divisor(w, f, *_sizes(w, f, x, y))


@emits(UFUNCS[np.lcm], kinds="iu")
def _lcm(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    a, b = _sizes(w, f, x, y)
    divisor = _greatest_divisor(w, f, a, b)
    none = f.icmp("eq", divisor, f(0))
    out = f.op("mul", f.op("udiv", a, f.select(none, f(1), divisor)), b)
    return f.select(none, f(0), out)
