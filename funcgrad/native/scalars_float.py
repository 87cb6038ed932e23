"""Operations on floating-point numbers: rounding, remainders, questions, neighbours, scaling."""

from __future__ import annotations

import numpy as np

from funcgrad.native.scalars_base import BOOL, F32, Call, Numbers, emits, logic, raise_flag, widened
from funcgrad.native.scalars_convert import convert
from funcgrad.native.writer import Writer
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.precision import REDUCE_PRECISION

__all__ = ["is_class", "reduce_precision", "remainder_of_magnitudes", "rounded"]

_ROUNDING = {
    UFUNCS[np.floor]: "floor",
    UFUNCS[np.ceil]: "ceil",
    UFUNCS[np.trunc]: "trunc",
    UFUNCS[np.rint]: "roundeven",
}


@emits(*_ROUNDING, kinds="f")
def rounded(w: Writer, call: Call, x: str) -> str:
    return Numbers(w, call.out).call(_ROUNDING[call.primitive], x)


@emits(*_ROUNDING, kinds="biu")
def _whole(w: Writer, call: Call, x: str) -> str:
    return x


# ------------------------------------------------------------------------------------------------ questions

_INFINITE, _FINITE, _NAN = 0x204, 0x1F8, 0x003
_CLASSES = {UFUNCS[np.isinf]: _INFINITE, UFUNCS[np.isfinite]: _FINITE, UFUNCS[np.isnan]: _NAN}


@emits(*_CLASSES, kinds="f", form="question")
def is_class(w: Writer, call: Call, x: str) -> str:
    """By the bits, so that no flag is raised."""
    f, mask = Numbers(w, call.ins[0]), _CLASSES[call.primitive]
    if mask == _NAN:
        return f.is_nan(x)
    function = w.intrinsic("is.fpclass", call.ins[0])
    w.declare(function, f"{w.mask()} {function}({f.t}, i32)")
    return w.op(f"call {w.mask()} {function}({f.t} {x}, i32 {mask})")


@emits(*_CLASSES, kinds="biu", form="question")
def _known_class(w: Writer, call: Call, x: str) -> str:
    return w.number(_CLASSES[call.primitive] == _FINITE, BOOL)


@emits(UFUNCS[np.signbit], kinds="fh", form="question")
def _signbit(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.ins[0])
    return f.bits().icmp("slt", f.to_bits(x), f.bits()(0))


# ------------------------------------------------------------------------------------------------ neighbours


@emits(UFUNCS[np.nextafter], kinds="fh")
def _nextafter(w: Writer, call: Call, x: str, y: str) -> str:
    """By the bits, which are in the order of the numbers on either side of zero."""
    f = Numbers(w, call.out)
    i, bits = f.bits(), f.to_bits(x)
    wide_x, wide_y = (widened(w, v, call.out) for v in (x, y))
    wide = Numbers(w, F32) if call.out.itemsize == 2 else f
    size = i.op("and", bits, i(np.iinfo(i.dtype).max))
    inwards = logic(w, "xor", wide.compare("lt", wide_x, wide_y), i.icmp("sge", bits, i(0)))
    step = i.op("add", bits, i.select(inwards, i(-1), i(1)))
    first = i.op("or", i.op("and", f.to_bits(y), i(np.iinfo(i.dtype).min)), i(1))  # from zero
    moved = f.of_bits(i.select(i.icmp("eq", size, i(0)), first, step))
    equal = wide.compare("eq", wide_x, wide_y)
    moved = f.select(equal, x if call.out.itemsize == 2 else y, moved)
    _raise_overflow(w, f, x, moved, equal)
    nan = f.select(wide.is_nan(wide_x), x, y)
    return f.select(wide.fcmp("uno", wide_x, wide_y), nan, moved)


def _raise_overflow(w: Writer, f: Numbers, x: str, moved: str, not_if: str) -> None:
    """The step from the largest number to infinity is an overflow."""
    i, infinity = f.bits(), _bits_of(f, np.inf)
    largest, infinite = (i.icmp("eq", f.size(v), i(infinity - step)) for v, step in ((x, 1), (moved, 0)))
    stepped = logic(w, "and", largest, infinite)
    raise_flag(w, logic(w, "and", stepped, logic(w, "xor", not_if, w.number(True, BOOL))), "overflow")


@emits(UFUNCS[np.spacing], kinds="f", widens=False)
def _spacing(w: Writer, call: Call, x: str) -> str:
    """To the next number away from zero, with the sign of x; NaN, without a warning, beyond the numbers."""
    f = Numbers(w, call.out)
    i = f.bits()
    finite = i.icmp("ult", f.size(x), i(_bits_of(f, np.inf)))
    given = f.select(logic(w, "and", finite, f.fcmp("une", x, f(0.0))), x, f(0.0))
    further = f.of_bits(i.op("add", f.to_bits(given), i(1)))
    _raise_overflow(w, f, given, further, w.number(False, BOOL))
    return f.select(finite, f.op("fsub", further, given), f(np.nan))


# ------------------------------------------------------------------------------------------------ scaling


def _power_of_two(f: Numbers, n: str) -> str:
    """2ⁿ for an integer (of the size of the numbers) in the range of exponents."""
    i, info = f.bits(), np.finfo(f.dtype)
    return f.of_bits(i.op("shl", i.op("add", n, i(info.maxexp - 1)), i(info.nmant)))


def _scales(call: Call) -> bool:
    return call.ins[0] == call.out and call.ins[1].kind == "i"


@emits(UFUNCS[np.ldexp], kinds="fi", form=_scales)
def _ldexp(w: Writer, call: Call, x: str, n: str) -> str:
    """x·2ⁿ in three steps, of which one at most rounds (as musl's scalbn does it)."""
    f, given = Numbers(w, call.out), Numbers(w, call.ins[1])
    i, info = f.bits(), np.finfo(call.out)
    high, low = info.maxexp - 1, info.minexp
    far = 4 * info.maxexp
    n = given.call("smin", given.call("smax", n, given(-far)), given(far))
    rest = str(convert(w, n, call.ins[1], i.dtype))
    for _ in range(3):
        most = i.call("smin", rest, i(high))
        step = i.select(i.icmp("slt", rest, i(low)), i(low + info.nmant + 1), most)
        rest = i.op("sub", rest, step)
        x = f.op("fmul", x, _power_of_two(f, step))
    return x


@emits(REDUCE_PRECISION, kinds="f")
def reduce_precision(w: Writer, call: Call, x: str) -> str:
    f, info = Numbers(w, call.out), np.finfo(call.out)
    i, bits, lost = f.bits(), f.to_bits(x), info.nmant - call.params["mantissa_bits"]
    sign = i.op("and", bits, i(np.iinfo(i.dtype).min))
    size, infinity = f.size(x), int(_bits_of(f, np.inf))
    finite = i.icmp("ult", size, i(infinity))
    out = size
    if lost > 0:
        last = i.op("and", i.op("lshr", size, i(lost)), i(1))
        half = i.op("add", size, i.op("add", last, i((1 << (lost - 1)) - 1)))
        out = i.op("and", half, i(-(1 << lost)))
    if call.params["exponent_bits"] < info.nexp:
        bias = (1 << (call.params["exponent_bits"] - 1)) - 1
        out = i.select(i.icmp("uge", out, i(_bits_of(f, 2.0 ** (bias + 1)))), i(infinity), out)
        out = i.select(i.icmp("ult", out, i(_bits_of(f, 2.0 ** (1 - bias)))), i(0), out)
    return f.select(finite, f.of_bits(i.op("or", out, sign)), x)


def _bits_of(f: Numbers, value: float) -> int:
    return int(np.asarray(value, f.dtype).view(f.bits().dtype))


# ------------------------------------------------------------------------------------------------ remainders


def remainder_of_magnitudes(w: Writer, f: Numbers, x: str, y: str) -> str:
    """C's fmod, exactly.

    Where the quotient has no more bits than a number, its integral part is that of the rounded one, or one less, and
    what is left is found by one multiplication with addition, which is exact. For the others it is fmod itself.
    """
    a, b = f.call("fabs", x), f.call("fabs", y)
    scaled = f.op("fmul", a, f(2.0 ** -np.finfo(f.dtype).nmant))
    i, infinity = f.bits(), f.to_bits(f(np.inf))
    near = logic(w, "and", i.icmp("slt", f.to_bits(scaled), f.to_bits(b)), i.icmp("slt", f.to_bits(b), infinity))
    a1, b1 = f.fence(f.select(near, a, f(0.0))), f.fence(f.select(near, b, f(1.0)))
    quotient = f.call("trunc", f.div(a1, b1))
    rest = f.call("fma", f.op("fneg", quotient), b1, a1)
    rest = f.select(f.fcmp("olt", rest, f(0.0)), f.op("fadd", rest, b1), rest)
    rest = f.copysign(rest, x)
    far = logic(w, "xor", near, w.number(True, BOOL))
    if w.width:
        far = w.any(far)
    before, out, on = w.block, w.new_label("fmod"), w.new_label("on")
    w.write(f"br i1 {far}, label %{out}, label %{on}, !prof !{w.unlikely()}")
    w.label(out)
    slow = f.select(near, rest, f.op("frem", x, y))
    end = w.block
    w.branch(on)
    w.label(on)
    return w.op(f"phi {f.t} [ {rest}, %{before} ], [ {slow}, %{end} ]")


@emits(UFUNCS[np.fmod], kinds="f")
def _fmod(w: Writer, call: Call, x: str, y: str) -> str:
    return remainder_of_magnitudes(w, Numbers(w, call.out), x, y)


def _other_sign(w: Writer, f: Numbers, rest: str, y: str) -> str:
    """Whether a remainder is to be taken to the other side of zero."""
    i = f.bits()
    apart = i.icmp("slt", i.op("xor", f.to_bits(y), f.to_bits(rest)), i(0))
    return logic(w, "and", apart, f.fcmp("une", rest, f(0.0)))


@emits(UFUNCS[np.remainder], kinds="f")
def _rem(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    rest = remainder_of_magnitudes(w, f, x, y)
    moved = f.select(_other_sign(w, f, rest, y), f.op("fadd", rest, y), rest)
    return f.select(f.fcmp("oeq", rest, f(0.0)), f.copysign(f(0.0), y), moved)


@emits(UFUNCS[np.floor_divide], kinds="f")
def _floor_div(w: Writer, call: Call, x: str, y: str) -> str:
    """As Python and NumPy do it (npy_divmod)."""
    f = Numbers(w, call.out)
    none = f.fcmp("oeq", y, f(0.0))
    plain = f.div(x, y)
    x1, y1 = f.fence(f.select(none, f(0.0), x)), f.fence(f.select(none, f(1.0), y))
    rest = remainder_of_magnitudes(w, f, x1, y1)
    quotient = f.div(f.op("fsub", x1, rest), y1)
    quotient = f.select(_other_sign(w, f, rest, y1), f.op("fsub", quotient, f(1.0)), quotient)
    down = f.call("floor", quotient)
    up = f.bits().icmp("sgt", f.to_bits(f.op("fsub", quotient, down)), f.to_bits(f(0.5)))  # it is not negative
    whole = f.select(up, f.op("fadd", down, f(1.0)), down)
    whole = f.select(f.fcmp("oeq", quotient, f(0.0)), f.copysign(f(0.0), plain), whole)
    return f.select(none, plain, whole)
