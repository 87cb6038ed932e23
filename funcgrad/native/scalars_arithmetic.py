"""Arithmetic, extremes, comparisons, logic and selection of real numbers, integers and booleans."""

from __future__ import annotations

import numpy as np

from funcgrad.native.scalars_base import BOOL, F32, Call, Numbers, emits, logic, widened
from funcgrad.native.writer import Writer
from funcgrad.ops.math import ABS_SLOPE, BRANCH_SIGN, REAL, SELECT, TIE_SHARE, UFUNCS
from funcgrad.ops.softmax import RELU

__all__ = ["larger", "truth"]

_ABS = (UFUNCS[np.absolute], UFUNCS[np.absolute].again)
_FABS = (UFUNCS[np.fabs], UFUNCS[np.fabs].again)

# ------------------------------------------------------------------------------------------------ arithmetic


@emits(UFUNCS[np.add], kinds="iuf")
def _add(w: Writer, call: Call, x: str, y: str) -> str:
    return Numbers(w, call.out).add(x, y)


@emits(UFUNCS[np.subtract], kinds="iuf")
def _sub(w: Writer, call: Call, x: str, y: str) -> str:
    return Numbers(w, call.out).sub(x, y)


@emits(UFUNCS[np.multiply], kinds="iuf")
def _mul(w: Writer, call: Call, x: str, y: str) -> str:
    return Numbers(w, call.out).mul(x, y)


@emits(UFUNCS[np.divide], kinds="f")
def _div(w: Writer, call: Call, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    return f.div(x, f.fence(y) if y.startswith("%") else y)  # it may turn out to be zero at compile time: see `apply`


@emits(UFUNCS[np.reciprocal], kinds="f")
def _reciprocal(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.div(f(1.0), f.fence(x))


@emits(UFUNCS[np.square], kinds="iuf")
def _square(w: Writer, call: Call, x: str) -> str:
    return Numbers(w, call.out).mul(x, x)


@emits(UFUNCS[np.negative], kinds="iuf")
def _neg(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.op("fneg", x) if call.out.kind == "f" else f.op("sub", f(0), x)


@emits(UFUNCS[np.positive], REAL, kinds="iufhb")
@emits(UFUNCS[np.conjugate], kinds="iufh")
@emits(*_ABS, kinds="bu")
def _itself(w: Writer, call: Call, x: str) -> str:
    return x


@emits(*_ABS, kinds="if")
@emits(*_FABS, kinds="f")
def _abs(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.call("fabs", x) if call.out.kind == "f" else f.call("abs", x, end="i1 false")


@emits(UFUNCS[np.sqrt], kinds="f")
def _sqrt(w: Writer, call: Call, x: str) -> str:
    return Numbers(w, call.out).call("sqrt", x)


@emits(UFUNCS[np.deg2rad], kinds="f")
def _deg2rad(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.op("fmul", x, f(call.out.type(np.pi) / call.out.type(180)))


@emits(UFUNCS[np.rad2deg], kinds="f")
def _rad2deg(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.op("fmul", x, f(call.out.type(180) / call.out.type(np.pi)))


# ------------------------------------------------------------------------------------------------ signs and extremes


@emits(UFUNCS[np.sign], ABS_SLOPE, kinds="iuf")
def _sign(w: Writer, call: Call, x: str) -> str:
    """Also of zero, which loses its sign, and of NaN, which stays."""
    f = Numbers(w, call.out)
    above, zero = f.compare("gt", x, f(0)), f.compare("eq", x, f(0))
    rest = f.select(zero, f(0), x)
    if call.out.kind != "u":
        rest = f.select(f.compare("lt", x, f(0)), f(-1), rest)
    return f.select(above, f(1), rest)


@emits(BRANCH_SIGN, kinds="f")
def _branch_sign(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.copysign(f(1.0), x)


@emits(UFUNCS[np.copysign], kinds="f")
def _copysign(w: Writer, call: Call, x: str, y: str) -> str:
    return Numbers(w, call.out).copysign(x, y)


def larger(w: Writer, call: Call, x: str, y: str, relation: str = "gt") -> str:
    """The larger number (with "lt" the smaller); the first one if it is NaN, the second one if they are equal."""
    f = Numbers(w, call.out)
    if call.out.kind != "f":
        return f.call(f"{'u' if call.out.kind == 'u' else 's'}{'max' if relation == 'gt' else 'min'}", x, y)
    return f.select(logic(w, "or", f.compare(relation, x, y), f.is_nan(x)), x, y)


emits(UFUNCS[np.maximum], kinds="iuf")(larger)
emits(UFUNCS[np.fmax], kinds="iu")(larger)


@emits(UFUNCS[np.minimum], kinds="iuf")
@emits(UFUNCS[np.fmin], kinds="iu")
def _smaller(w: Writer, call: Call, x: str, y: str) -> str:
    return larger(w, call, x, y, "lt")


_OF_HALVES = {
    UFUNCS[np.maximum]: "ge",
    UFUNCS[np.minimum]: "le",
    UFUNCS[np.fmax]: "ge",
    UFUNCS[np.fmin]: "le",
}
"""In which relation the first operand is taken."""


@emits(UFUNCS[np.maximum], UFUNCS[np.minimum], kinds="h")
def _extreme_half(w: Writer, call: Call, x: str, y: str) -> str:
    """Of float16 NumPy takes the first one if they are equal."""
    f = Numbers(w, F32)
    wide = [widened(w, v, call.out) for v in (x, y)]
    first = logic(w, "or", f.compare(_OF_HALVES[call.primitive], *wide), f.is_nan(wide[0]))
    return Numbers(w, call.out).select(first, x, y)


@emits(UFUNCS[np.fmax], UFUNCS[np.fmin], kinds="h", widens=False)
def _past_nan_half(w: Writer, call: Call, x: str, y: str) -> str:
    x, y = (widened(w, v, call.out) for v in (x, y))
    return Numbers(w, F32).cast("fptrunc", _past_nan(Numbers(w, F32), x, y, _OF_HALVES[call.primitive]), call.out)


def _past_nan(f: Numbers, x: str, y: str, relation: str) -> str:
    """The larger number, or the one that is one: NaN gives way to the other, before they are compared.

    Of zeros the second one, as in NumPy's vector loops; the loops behind these, for what is left, take the first.
    """
    one, other = f.select(f.is_nan(x), y, x), f.select(f.is_nan(y), x, y)
    return f.select(f.compare(relation, one, other), one, other)


@emits(UFUNCS[np.fmax], kinds="f")
def _fmax(w: Writer, call: Call, x: str, y: str) -> str:
    return _past_nan(Numbers(w, call.out), x, y, "gt")


@emits(UFUNCS[np.fmin], kinds="f")
def _fmin(w: Writer, call: Call, x: str, y: str) -> str:
    return _past_nan(Numbers(w, call.out), x, y, "lt")


@emits(RELU, kinds="iuf", widens=False)
def _relu(w: Writer, call: Call, x: str) -> str:
    return larger(w, call, x, Numbers(w, call.out)(0))


@emits(RELU, kinds="h")
def _relu_half(w: Writer, call: Call, x: str) -> str:
    return _extreme_half(w, call._replace(primitive=UFUNCS[np.maximum]), x, Numbers(w, call.out)(0))


def _share(call: Call) -> bool:
    x, y = call.ins
    return x == y and call.out.char in "efd" and (x.kind != "f" or x == call.out)


@emits(TIE_SHARE, kinds="biuf", form=_share)
def _tie_share(w: Writer, call: Call, x: str, y: str) -> str:
    f, out = Numbers(w, call.ins[0]), Numbers(w, call.out)
    half = out.select(f.compare("eq", x, y), out(0.5), out(0.0))
    return out.select(f.compare("gt", x, y), out(1.0), half)


@emits(UFUNCS[np.heaviside], kinds="f")
def _heaviside(w: Writer, call: Call, x: str, h: str) -> str:
    f = Numbers(w, call.out)
    step = f.select(f.compare("lt", x, f(0.0)), f(0.0), f(1.0))
    step = f.select(f.compare("eq", x, f(0.0)), h, step)
    return f.select(f.is_nan(x), x, step)


# ------------------------------------------------------------------------------------------------ comparisons

_RELATIONS = {
    UFUNCS[np.equal]: "eq",
    UFUNCS[np.not_equal]: "ne",
    UFUNCS[np.less]: "lt",
    UFUNCS[np.less_equal]: "le",
    UFUNCS[np.greater]: "gt",
    UFUNCS[np.greater_equal]: "ge",
}


@emits(*_RELATIONS, kinds="biuf", form="question")
def _compare(w: Writer, call: Call, x: str, y: str) -> str:
    return Numbers(w, call.ins[0]).compare(_RELATIONS[call.primitive], x, y)


def _of_both_signs(call: Call) -> bool:
    """An integer with sign beside one without, of 64 bits: NumPy has loops for these."""
    return sorted(d.str[1:] for d in call.ins) == ["i8", "u8"] and call.out == BOOL


@emits(*_RELATIONS, kinds="iu", form=_of_both_signs)
def _compare_signs(w: Writer, call: Call, x: str, y: str) -> str:
    relation, u = _RELATIONS[call.primitive], Numbers(w, np.dtype(np.uint64))
    first = call.ins[0].kind == "i"
    negative = u.icmp("slt", x if first else y, u(0))
    held = u.compare(relation, x, y)
    truth = relation == "ne" or relation in (("lt", "le") if first else ("gt", "ge"))
    return logic(w, "or", held, negative) if truth else _and_not(w, held, negative)


def _and_not(w: Writer, x: str, y: str) -> str:
    return logic(w, "and", x, logic(w, "xor", y, w.number(True, BOOL)))


# ------------------------------------------------------------------------------------------------ logic


def truth(w: Writer, dtype: np.dtype, x: str) -> str:
    """Whether a real number, an integer or a boolean is not zero."""
    f = Numbers(w, dtype)
    return x if dtype == BOOL else f.compare("ne", x, f(0))


_LOGIC = {
    UFUNCS[np.logical_and]: "and",
    UFUNCS[np.logical_or]: "or",
    UFUNCS[np.logical_xor]: "xor",
}


@emits(*_LOGIC, kinds="biuf", form="question")
def _logical(w: Writer, call: Call, x: str, y: str) -> str:
    return logic(w, _LOGIC[call.primitive], *(truth(w, d, a) for d, a in zip(call.ins, (x, y), strict=True)))


@emits(UFUNCS[np.logical_not], kinds="biuf", form="question")
def _logical_not(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.ins[0])
    return f.op("xor", x, f(True)) if call.ins[0] == BOOL else f.compare("eq", x, f(0))


_BITS = {
    UFUNCS[np.bitwise_and]: "and",
    UFUNCS[np.bitwise_or]: "or",
    UFUNCS[np.bitwise_xor]: "xor",
    UFUNCS[np.maximum]: "or",
    UFUNCS[np.minimum]: "and",
    UFUNCS[np.fmax]: "or",
    UFUNCS[np.fmin]: "and",
    UFUNCS[np.add]: "or",
    UFUNCS[np.multiply]: "and",
}


@emits(*list(_BITS)[:3], kinds="iu")
@emits(*_BITS, kinds="b")
def _bits(w: Writer, call: Call, x: str, y: str) -> str:
    return Numbers(w, call.out).op(_BITS[call.primitive], x, y)


@emits(UFUNCS[np.invert], kinds="biu")
def _not(w: Writer, call: Call, x: str) -> str:
    f = Numbers(w, call.out)
    return f.op("xor", x, f(True) if call.out == BOOL else f(-1))


def _chosen(call: Call) -> bool:
    return call.ins[0] == BOOL and call.ins[1:] == (call.out, call.out)


@emits(SELECT, kinds="biufh", form=_chosen)
def _select(w: Writer, call: Call, condition: str, x: str, y: str) -> str:
    f = Numbers(w, call.out)
    out = f.select(condition, x, y)
    return f.fence(out) if call.out.char in "fd" else out
