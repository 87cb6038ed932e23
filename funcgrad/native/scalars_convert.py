"""Conversions between dtypes, and what leaves a value as it is."""

from __future__ import annotations

import numpy as np

from funcgrad.control.stand_in import STAND_IN
from funcgrad.native.scalars_arithmetic import truth
from funcgrad.native.scalars_base import BOOL, F32, F64, Call, DType, Numbers, emits, kind_of, logic, same
from funcgrad.native.writer import Operand, Writer, component
from funcgrad.ops.math import COMPLEX, IMAG, REAL
from funcgrad.ops.name import NAME
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import BITCAST, CONVERT, FIT, STOP_GRADIENT

__all__ = ["convert", "to_integer"]


@emits(NAME, STOP_GRADIENT, STAND_IN, WEAKEN, kinds="biufhc")
def _alias(w: Writer, call: Call, x: Operand) -> Operand:
    return x


# ------------------------------------------------------------------------------------------------ conversions


def _converts(call: Call) -> bool:
    """All but complex to real numbers, where NumPy warns of the part that is lost."""
    lossy = call.ins[0].kind == "c" and call.out.kind not in "cb"
    return not lossy and kind_of(call.out) != ""


@emits(CONVERT, kinds="biufhc", form=_converts)
def _convert(w: Writer, call: Call, x: Operand) -> Operand:
    return convert(w, x, call.ins[0], call.out)


@emits(FIT, kinds="fc")
def _finite(w: Writer, call: Call, x: Operand) -> Operand:
    """NumPy runs the call again if a Python float is not finite: Python may raise."""
    for part in x if isinstance(x, tuple) else (x,):
        _fail_beyond(w, component(call.out), part, np.inf)
    return x


def _fail_beyond(w: Writer, dtype: DType, x: str, limit: float) -> None:
    f = Numbers(w, dtype)
    w.fail_if(f.fcmp("uge", x, f(limit)))
    w.fail_if(f.fcmp("ule", x, f(-limit)))


@emits(FIT, kinds="if", form=lambda call: call.out.kind in "iu")
def _fit(w: Writer, call: Call, x: str, *near: str) -> str:
    """NumPy runs the call again if the new dtype does not hold the integer."""
    old, new = call.ins[0], call.out
    f, limits = Numbers(w, old), np.iinfo(new)
    if limits.min > np.iinfo(old).min:
        w.fail_if(f.icmp("slt", x, f(limits.min)))
    if limits.max < np.iinfo(old).max:
        w.fail_if(f.icmp("sgt", x, f(limits.max)))
    for value in near:
        _fail_beyond(w, F64, value, 2.0**62)
    return _real(w, x, old, new)


def convert(w: Writer, x: Operand, old: DType, new: DType) -> Operand:
    """A value as one of another dtype, as `astype` does it; complex numbers only to complex ones and booleans."""
    if old == new:
        return x
    if isinstance(x, tuple):
        parts = component(old)
        if new == BOOL:
            return logic(w, "or", *(truth(w, parts, part) for part in x))
        return _real(w, x[0], parts, component(new)), _real(w, x[1], parts, component(new))
    if new.kind == "c":
        return _real(w, x, old, component(new)), w.number(0.0, new)
    return _real(w, x, old, new)


def _real(w: Writer, x: str, old: DType, new: DType) -> str:
    f = Numbers(w, old)
    if old == new:
        return x
    if new == BOOL:
        return truth(w, old, x)
    if old.kind == "b":
        return f.cast("uitofp" if new.kind == "f" else "zext", x, new)
    if old.kind == "f":
        return _of_float(w, x, old, new)
    if new.kind == "f":
        return _of_integer(w, x, old, new)
    if new.itemsize == old.itemsize:
        return x
    return f.cast("trunc" if new.itemsize < old.itemsize else "sext" if old.kind == "i" else "zext", x, new)


def _of_integer(w: Writer, x: str, old: DType, new: DType) -> str:
    """To float16 by way of float32, as NumPy does."""
    wide = F32 if new.itemsize == 2 else new
    found = Numbers(w, old).cast("sitofp" if old.kind == "i" else "uitofp", x, wide)
    return found if wide == new else Numbers(w, wide).cast("fptrunc", found, new)


def _of_float(w: Writer, x: str, old: DType, new: DType) -> str:
    if old.itemsize == 2:
        x = Numbers(w, old).cast("fpext", x, F32)
        return x if new == F32 else _of_float(w, x, F32, new)
    f = Numbers(w, old)
    if new.kind != "f":
        return to_integer(w, x, old, new)
    if new.itemsize > old.itemsize:
        return f.cast("fpext", x, new)
    if new.itemsize == 2 and old == F64:
        return Numbers(w, F32).cast("fptrunc", _to_odd(w, x), new)
    return f.cast("fptrunc", x, new)


def _to_odd(w: Writer, x: str) -> str:
    """A float64 as a float32, with the last bit set if that is not exact: so that to round once more is right.

    (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008.)
    """
    f, s = Numbers(w, F64), Numbers(w, F32)
    i, near = s.bits(), f.cast("fptrunc", x, F32)
    wide, given = f.to_bits(s.cast("fpext", near, F64)), f.to_bits(x)
    bits = s.to_bits(near)
    bits = i.select(f.bits().icmp("ugt", wide, given), i.op("sub", bits, i(1)), bits)  # rounded away from zero
    inexact = f.bits().icmp("ne", wide, given)
    return s.of_bits(i.select(inexact, i.op("or", bits, i(1)), bits))


def to_integer(w: Writer, x: str, old: DType, new: DType) -> str:
    """A float32 or float64 as an integer, as C's conversions do it on this machine (cvttsd2si).

    What is out of range raises `invalid`, and gives the smallest integer of 32 bits (for int64, uint32 and uint64 of 64
    bits), cut off to the size. That is past LLVM's semantics, which know no value there: hence `freeze`, and hence the
    compiler is not to see that the float was an integer before, or is a certain number.
    """
    f = Numbers(w, old)
    x = f.fence(x)
    wide = np.dtype(np.int64 if new.str[1:] in ("i8", "u4", "u8") else np.int32)
    i = Numbers(w, wide)
    if new.str[1:] != "u8":
        found = i.op("freeze", f.cast("fptosi", x, wide))
        return found if new.itemsize == wide.itemsize else i.cast("trunc", found, new)
    large = f.fcmp("oge", x, f(2.0**63))
    near = i.op("freeze", f.cast("fptosi", f.op("fsub", x, f.select(large, f(2.0**63), f(0.0))), wide))
    return i.op("xor", near, i.select(large, i(-(2**63)), i(0)))


# ------------------------------------------------------------------------------------------------ bits, parts


def _of_one_size(call: Call) -> bool:
    """Not into booleans, which may have other bits than those of 0 and 1."""
    real = "c" not in (call.ins[0].kind, call.out.kind) and call.out != BOOL
    return same(call) or (real and call.ins[0].itemsize == call.out.itemsize and kind_of(call.out) != "")


@emits(BITCAST, kinds="biufhc", form=_of_one_size)
def _bitcast(w: Writer, call: Call, x: str) -> str:
    (old,), new = call.ins, call.out
    if old == new:
        return x
    if old == BOOL:
        return Numbers(w, old).cast("zext", x, new)
    return Numbers(w, old).cast("bitcast", x, new) if "f" in (old.kind, new.kind) else x


def _parts(call: Call) -> bool:
    return call.out.char in "FD" and all(d == component(call.out) for d in call.ins)


@emits(COMPLEX, kinds="f", form=_parts)
def _complex(w: Writer, call: Call, re: str, im: str) -> Operand:
    return re, im


def _part(call: Call) -> bool:
    return call.out == component(call.ins[0])


@emits(REAL, kinds="c", form=_part)
def _real_part(w: Writer, call: Call, x: tuple[str, str]) -> str:
    return x[0]


@emits(IMAG, kinds="biufhc", form=_part)
def _imag_part(w: Writer, call: Call, x: Operand) -> str:
    return x[1] if isinstance(x, tuple) else w.number(0, call.out)
