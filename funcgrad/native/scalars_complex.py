"""Arithmetic, comparisons and questions of complex numbers, which are pairs of registers.

Products are fused as in NumPy's vector loops (where the machine can), quotients are by Smith's algorithm, the absolute
value by the larger part, and the order is lexicographic: to the last bit as NumPy has them.
"""

from __future__ import annotations

import numpy as np

from funcgrad.core import Primitive
from funcgrad.native.scalars_arithmetic import truth
from funcgrad.native.scalars_base import BOOL, Call, Numbers, emits, logic, raise_flag
from funcgrad.native.scalars_float import is_class, reduce_precision, rounded
from funcgrad.native.writer import Pair, Writer, component
from funcgrad.ops.math import SELECT, UFUNCS
from funcgrad.ops.precision import REDUCE_PRECISION

__all__ = ["multiplied"]


def _parts(w: Writer, call: Call) -> Numbers:
    """The numbers of which the operands consist."""
    return Numbers(w, component(call.ins[0]))


# ------------------------------------------------------------------------------------------------ arithmetic


@emits(UFUNCS[np.add], UFUNCS[np.subtract], kinds="c")
def _add(w: Writer, call: Call, x: Pair, y: Pair) -> Pair:
    f, name = _parts(w, call), "add" if call.primitive is UFUNCS[np.add] else "sub"
    return f.arithmetic(name, x[0], y[0]), f.arithmetic(name, x[1], y[1])


@emits(UFUNCS[np.multiply], kinds="c")
def multiplied(w: Writer, call: Call, x: Pair, y: Pair) -> Pair:
    f = _parts(w, call)
    re = f.call("fmuladd", x[0], y[0], f.op("fneg", f.op("fmul", x[1], y[1])))
    return re, f.call("fmuladd", x[0], y[1], f.op("fmul", x[1], y[0]))


@emits(UFUNCS[np.square], kinds="c")
def _square(w: Writer, call: Call, x: Pair) -> Pair:
    return multiplied(w, call, x, x)


@emits(UFUNCS[np.divide], kinds="c")
def _div(w: Writer, call: Call, x: Pair, y: Pair) -> Pair:
    """By the larger part of the divisor; by 0 both parts are divided, with the flags of that."""
    f = _parts(w, call)
    a, b = f.call("fabs", y[0]), f.call("fabs", y[1])
    raise_flag(w, f.fcmp("uno", a, b), "invalid")  # as the comparison does in NumPy
    first = f.compare("ge", a, b)
    zero = logic(w, "and", f.fcmp("oeq", a, f(0.0)), f.fcmp("oeq", b, f(0.0)))
    large, small = f.select(first, y[0], y[1]), f.select(first, y[1], y[0])
    x0, x1 = f.select(first, x[0], x[1]), f.select(first, x[1], x[0])
    ratio = f.div(f.fence(f.select(zero, f(0.0), small)), f.fence(f.select(zero, f(1.0), large)))
    whole = f.op("fadd", large, f.op("fmul", small, ratio))
    scale = f.div(f(1.0), f.fence(f.select(zero, f(1.0), whole)))
    re = f.op("fmul", f.op("fadd", x0, f.op("fmul", x1, ratio)), scale)
    back = f.op("fmul", x0, ratio)
    difference = f.select(first, f.op("fsub", x1, back), f.op("fsub", back, x1))
    im = f.op("fmul", difference, scale)
    divisor = f.fence(f.select(zero, a, f(1.0)))
    return f.select(zero, f.div(x[0], divisor), re), f.select(zero, f.div(x[1], divisor), im)


@emits(UFUNCS[np.reciprocal], kinds="c")
def _reciprocal(w: Writer, call: Call, x: Pair) -> Pair:
    f = _parts(w, call)
    raise_flag(w, f.fcmp("uno", *x), "invalid")
    first = f.compare("le", f.call("fabs", x[1]), f.call("fabs", x[0]))
    large, small = f.select(first, x[0], x[1]), f.select(first, x[1], x[0])
    ratio = f.div(small, large)
    whole = f.op("fadd", large, f.op("fmul", small, ratio))
    one, share = f.select(first, f(1.0), ratio), f.select(first, ratio, f(1.0))
    return f.div(one, whole), f.div(f.op("fneg", share), whole)


@emits(UFUNCS[np.negative], UFUNCS[np.conjugate], UFUNCS[np.positive], kinds="c")
def _signs(w: Writer, call: Call, x: Pair) -> Pair:
    f = _parts(w, call)
    re, im = x
    if call.primitive is UFUNCS[np.negative]:
        re = f.op("fneg", re)
    return re, im if call.primitive is UFUNCS[np.positive] else f.op("fneg", im)


def _size(call: Call) -> bool:
    return call.out == component(call.ins[0])


@emits(UFUNCS[np.absolute], UFUNCS[np.absolute].again, kinds="c", form=_size)
def _abs(w: Writer, call: Call, x: Pair) -> str:
    """larger·√(1 + (smaller/larger)²); infinite where a part is, whatever the other one."""
    f = _parts(w, call)
    re, im = (f.call("fabs", part) for part in x)
    infinite = logic(w, "or", *(f.fcmp("oeq", part, f(np.inf)) for part in (re, im)))
    known = logic(w, "and", f.fcmp("ord", re, im), _not(w, infinite))
    re, im = (f.fence(f.select(known, part, f(0.0))) for part in (re, im))
    above = f.fcmp("ogt", re, im)
    larger, smaller = f.select(above, re, im), f.select(above, im, re)
    ratio = f.div(smaller, f.fence(f.select(f.fcmp("oeq", larger, f(0.0)), f(1.0), larger)))
    size = f.op("fmul", f.call("sqrt", f.call("fmuladd", ratio, ratio, f(1.0))), larger)
    return f.select(known, size, f.select(infinite, f(np.inf), f(np.nan)))


def _not(w: Writer, mask: str) -> str:
    return logic(w, "xor", mask, w.number(True, BOOL))


# ------------------------------------------------------------------------------------------------ comparisons


def _ordered(w: Writer, f: Numbers, relation: str, x: Pair, y: Pair) -> str:
    """lt, le, gt or ge of the real parts, or, where these are equal, of the imaginary ones; these must be numbers."""
    known = f.fcmp("ord", x[1], y[1])
    strictly = logic(w, "and", f.compare(relation[0] + "t", x[0], y[0]), known)
    then = logic(w, "and", f.fcmp("oeq", x[0], y[0]), f.compare(relation, x[1], y[1]))
    return logic(w, "or", strictly, then)


_ORDER = {
    UFUNCS[np.less]: "lt",
    UFUNCS[np.less_equal]: "le",
    UFUNCS[np.greater]: "gt",
    UFUNCS[np.greater_equal]: "ge",
}


@emits(*_ORDER, kinds="c", form="question")
def _compare(w: Writer, call: Call, x: Pair, y: Pair) -> str:
    """With the flag that NumPy raises for NaN here, where it is compared."""
    f = _parts(w, call)
    then = logic(w, "and", f.fcmp("oeq", x[0], y[0]), f.fcmp("uno", x[1], y[1]))
    raise_flag(w, logic(w, "or", f.fcmp("uno", x[0], y[0]), then), "invalid")
    return _ordered(w, f, _ORDER[call.primitive], x, y)


@emits(UFUNCS[np.equal], UFUNCS[np.not_equal], kinds="c", form="question")
def _equal(w: Writer, call: Call, x: Pair, y: Pair) -> str:
    f, relation = _parts(w, call), "eq" if call.primitive is UFUNCS[np.equal] else "ne"
    parts = (f.compare(relation, a, b) for a, b in zip(x, y, strict=True))
    return logic(w, "and" if relation == "eq" else "or", *parts)


def _chosen(w: Writer, f: Numbers, condition: str, x: Pair, y: Pair) -> Pair:
    return f.select(condition, x[0], y[0]), f.select(condition, x[1], y[1])


_EXTREMES: dict[Primitive, tuple[str, int]] = {
    UFUNCS[np.maximum]: ("ge", 0),
    UFUNCS[np.minimum]: ("le", 0),
    UFUNCS[np.fmax]: ("ge", 1),
    UFUNCS[np.fmin]: ("le", 1),
}
"""The relation in which the first operand is taken, and the operand that must be NaN for it to be taken too."""


@emits(*_EXTREMES, kinds="c")
def _extreme(w: Writer, call: Call, x: Pair, y: Pair) -> Pair:
    f = _parts(w, call)
    relation, judged = _EXTREMES[call.primitive]
    nan = f.fcmp("uno", *(x, y)[judged])
    return _chosen(w, f, logic(w, "or", _ordered(w, f, relation, x, y), nan), x, y)


def _choice(call: Call) -> bool:
    return call.ins[0] == BOOL and call.ins[1:] == (call.out, call.out) and call.out.kind == "c"


@emits(SELECT, kinds="bc", form=_choice)
def _select(w: Writer, call: Call, condition: str, x: Pair, y: Pair) -> Pair:
    return _chosen(w, Numbers(w, component(call.out)), condition, x, y)


# ------------------------------------------------------------------------------------------------ questions


def _is_true(w: Writer, call: Call, x: Pair) -> str:
    return logic(w, "or", *(truth(w, component(call.ins[0]), part) for part in x))


_LOGIC = {UFUNCS[np.logical_and]: "and", UFUNCS[np.logical_or]: "or", UFUNCS[np.logical_xor]: "xor"}


@emits(*_LOGIC, kinds="c", form="question")
def _logical(w: Writer, call: Call, x: Pair, y: Pair) -> str:
    return logic(w, _LOGIC[call.primitive], _is_true(w, call, x), _is_true(w, call, y))


@emits(UFUNCS[np.logical_not], kinds="c", form="question")
def _logical_not(w: Writer, call: Call, x: Pair) -> str:
    return _not(w, _is_true(w, call, x))


@emits(UFUNCS[np.isnan], UFUNCS[np.isinf], UFUNCS[np.isfinite], kinds="c", form="question")
def _is_class(w: Writer, call: Call, x: Pair) -> str:
    parts = (is_class(w, _one(call), part) for part in x)
    return logic(w, "and" if call.primitive is UFUNCS[np.isfinite] else "or", *parts)


def _one(call: Call) -> Call:
    """The call as one for a part."""
    return call._replace(ins=(component(call.ins[0]),), out=component(call.out))


@emits(UFUNCS[np.rint], kinds="c")
def _rint(w: Writer, call: Call, x: Pair) -> Pair:
    one = _one(call)
    return rounded(w, one, x[0]), rounded(w, one, x[1])


@emits(REDUCE_PRECISION, kinds="c")
def _reduce_precision(w: Writer, call: Call, x: Pair) -> Pair:
    one = _one(call)
    return reduce_precision(w, one, x[0]), reduce_precision(w, one, x[1])
