"""What the emitters of pointwise operations are written with: a call's dtypes, numbers of one dtype, and the table.

An emitter is a function `emit(w, call, *operands)` that writes an operation on registers, scalars or vectors as the
writer stands, and returns the register of its result (a pair for a complex dtype). The table has emitters by primitive,
each for some kinds of operands:

    "b" booleans, "i" and "u" integers with and without sign, "f" float32 and float64, "h" float16, "c" complex.

What is said for "f" serves "h" too: operands are widened to float32, and the result is rounded to float16, as NumPy
does it after each operation.

Floating-point flags are those of the machine's instructions, and so what NumPy warns of; there are two exceptions.
NumPy clears what `abs` of complex numbers raises, and compares without raising `invalid` for NaN; vector instructions
for `<` raise it, unless `quiet` text is asked for, which compares the bits. Who finds the flag raised runs the call
again by NumPy, which does not warn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from funcgrad.core import Primitive
from funcgrad.native.writer import Operand, Writer

__all__ = [
    "BOOL",
    "F32",
    "F64",
    "HALF",
    "TABLE",
    "Call",
    "DType",
    "Emitter",
    "Numbers",
    "Rule",
    "emits",
    "kind_of",
    "logic",
    "raise_flag",
    "same",
    "widened",
]

DType = np.dtype[Any]
BOOL, HALF = np.dtype(bool), np.dtype(np.float16)
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


class Call(NamedTuple):
    """An operation that is to be written.

    Attributes:
        primitive, params: which.
        ins: the dtypes of the operands.
        out: that of the result.
    """

    primitive: Primitive
    params: dict[str, Any]
    ins: tuple[DType, ...]
    out: DType


Emitter = Callable[..., Operand]
E = TypeVar("E", bound=Emitter)


class Rule(NamedTuple):
    """An emitter and what it is for.

    Attributes:
        emit: the emitter.
        kinds: the kinds that the operands may have.
        form: what dtypes of operands and result go together.
        widens: whether it serves float16 too, by way of float32.
    """

    emit: Emitter
    kinds: str
    form: Callable[[Call], bool]
    widens: bool


TABLE: dict[Primitive, list[Rule]] = {}
"""The rules of each primitive; the first one that suits is taken."""


def kind_of(dtype: DType) -> str:
    """The kind of a dtype, as in the table; "" if there is none."""
    if dtype.kind in "biu":
        return dtype.kind
    return {"e": "h", "f": "f", "d": "f", "F": "c", "D": "c"}.get(dtype.char, "")


def same(call: Call) -> bool:
    """All operands and the result have one dtype."""
    return all(d == call.out for d in call.ins)


def question(call: Call) -> bool:
    """All operands have one dtype, and the result is a boolean."""
    return all(d == call.ins[0] for d in call.ins) and call.out == BOOL


def anything(call: Call) -> bool:
    """The emitter takes what comes."""
    return True


_FORMS = {"same": same, "question": question, "any": anything}


def emits(
    *primitives: Primitive | None, kinds: str, form: str | Callable[[Call], bool] = "same", widens: bool = True
) -> Callable[[E], E]:
    """List an emitter for these primitives, for operands of these kinds."""
    rule = _FORMS[form] if isinstance(form, str) else form

    def listed(emit: E) -> E:
        for primitive in filter(None, primitives):
            TABLE.setdefault(primitive, []).append(Rule(emit, kinds, rule, widens))
        return emit

    return listed


# ------------------------------------------------------------------------------------------------ numbers


class Numbers:
    """Writes operations between registers of one real dtype.

    >>> w = Writer()
    >>> f = Numbers(w, np.dtype(float))
    >>> _ = f.select(f.compare("lt", "%x", f(0.0)), f(0.0), "%x")
    >>> print("\\n".join(w.lines))
      %v1 = fcmp olt double %x, 0x0000000000000000
      %v2 = select i1 %v1, double 0x0000000000000000, double %x
    """

    __slots__ = ("dtype", "t", "w")

    def __init__(self, w: Writer, dtype: DType) -> None:
        self.w, self.dtype, self.t = w, dtype, w.type(dtype)

    def __call__(self, value: Any) -> str:
        """A number."""
        return self.w.number(value, self.dtype)

    def op(self, name: str, *xs: str) -> str:
        return self.w.op(f"{name} {self.t} {', '.join(xs)}")

    def arithmetic(self, name: str, x: str, y: str) -> str:
        """`add`, `sub` or `mul`, which may be contracted where the writer allows it."""
        if self.dtype.kind != "f":
            return self.op(name, x, y)
        return self.op(f"f{name} contract" if self.w.contract else f"f{name}", x, y)

    def add(self, x: str, y: str) -> str:
        return self.arithmetic("add", x, y)

    def sub(self, x: str, y: str) -> str:
        return self.arithmetic("sub", x, y)

    def mul(self, x: str, y: str) -> str:
        return self.arithmetic("mul", x, y)

    def div(self, x: str, y: str) -> str:
        return self.op("fdiv", x, y)

    def call(self, name: str, *xs: str, end: str = "") -> str:
        """An intrinsic of LLVM with operands of this dtype, and maybe a last constant one."""
        function = self.w.intrinsic(name, self.dtype, len(xs))
        if end:
            self.w.declare(function, f"{self.t} {function}({', '.join([self.t] * len(xs))}, {end.split()[0]})")
        operands = ", ".join([*(f"{self.t} {x}" for x in xs), *([end] if end else [])])
        return self.w.op(f"call {self.t} {function}({operands})")

    def select(self, condition: str, x: str, y: str) -> str:
        return self.w.op(f"select {self.w.mask()} {condition}, {self.t} {x}, {self.t} {y}")

    def icmp(self, predicate: str, x: str, y: str) -> str:
        return self.op(f"icmp {predicate}", x, y)

    def fence(self, x: str) -> str:
        """The same float, of which the compiler does not see whence it comes.

        In `where(zero, 0, x / where(zero, 1, y))` it would divide by y, whose zeros raise a flag.
        """
        return self.call("arithmetic.fence", x)

    def size(self, x: str) -> str:
        """The absolute value of a float as an integer, in the order of the numbers, with infinity and then NaN last."""
        return self.bits().op("and", self.to_bits(x), self.bits()(np.iinfo(self.bits().dtype).max))

    def fcmp(self, predicate: str, x: str, y: str) -> str:
        return self.op(f"fcmp {predicate}", x, y)

    def is_nan(self, x: str) -> str:
        return self.fcmp("uno", x, x)

    def compare(self, relation: str, x: str, y: str) -> str:
        """eq, ne, lt, le, gt or ge; with NaN only ne is true."""
        if self.dtype.kind != "f":
            sign = "" if relation in ("eq", "ne") else "s" if self.dtype.kind == "i" else "u"
            return self.icmp(sign + relation, x, y)
        if relation in ("eq", "ne"):
            return self.fcmp("oeq" if relation == "eq" else "une", x, y)
        if not self.w.quiet:
            return self.fcmp("o" + relation, x, y)
        known = self.fcmp("ord", x, y)
        less = self.bits().icmp("s" + relation, self.ordered(x), self.ordered(y))
        return self.w.op(f"and {self.w.mask()} {known}, {less}")

    def ordered(self, x: str) -> str:
        """An integer that is as large as the number: its bits, of which those with the sign are turned round."""
        i = self.bits()
        bits = self.to_bits(x)
        turned = i.op("sub", i(np.iinfo(i.dtype).min), bits)
        return i.select(i.icmp("slt", bits, i(0)), turned, bits)

    def cast(self, name: str, x: str, to: DType) -> str:
        """A conversion to a register of another dtype."""
        return self.w.op(f"{name} {self.t} {x} to {self.w.type(to)}")

    def bits(self) -> Numbers:
        """Integers of the same size."""
        return Numbers(self.w, np.dtype(f"i{self.dtype.itemsize}"))

    def to_bits(self, x: str) -> str:
        return self.cast("bitcast", x, self.bits().dtype)

    def of_bits(self, x: str) -> str:
        return self.bits().cast("bitcast", x, self.dtype)

    def copysign(self, x: str, y: str) -> str:
        return self.call("copysign", x, y)


def widened(w: Writer, x: str, dtype: DType) -> str:
    """A float16 as a float32; anything else as it is."""
    if dtype != HALF:
        return x
    return Numbers(w, dtype).cast("fpext", x, F32)


def logic(w: Writer, name: str, x: str, y: str) -> str:
    """`and`, `or` or `xor` of masks."""
    return w.op(f"{name} {w.mask()} {x}, {y}")


# ------------------------------------------------------------------------------------------------ flags

_RAISING = {
    "divide": ("fdiv", 1.0, 0.0),
    "overflow": ("fmul", 1e300, 1e300),
    "invalid": ("fsub", math.inf, math.inf),
}


def raise_flag(w: Writer, condition: str, flag: str) -> None:
    """Raise the floating-point flag "divide", "overflow" or "invalid" if this holds (in any lane).

    By an operation that raises it, whose operands the compiler does not know.
    """
    if condition in ("false", f"splat ({BOOL} false)"):
        return
    name, x, y = _RAISING[flag]
    if w.width:
        condition = w.any(condition)
    out, on = w.new_label("flag"), w.new_label("on")
    w.write(f"br i1 {condition}, label %{out}, label %{on}, !prof !{w.unlikely()}")
    w.label(out)
    with w.lanes(0):
        place = w.alloca("double")
        loaded = []
        for value in (x, y):
            w.write(f"store volatile double {w.number(value, F64)}, ptr {place}")
            loaded.append(w.op(f"load volatile double, ptr {place}"))
        w.write(f"store volatile double {w.op(f'{name} double {loaded[0]}, {loaded[1]}')}, ptr {place}")
    w.branch(on)
    w.label(on)
