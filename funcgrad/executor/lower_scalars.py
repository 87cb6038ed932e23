"""Operations on small arrays as expressions over their elements, in Python's own numbers.

A call of NumPy on a small array takes 0.5 to 1.5 µs however few its elements are; an operation between two Python
floats takes 0.02 µs. A program over few elements is therefore written out: its primitives are applied to arrays whose
elements are `Scalar`, expressions in generated code. Whatever moves, adds up and multiplies elements is given by the
primitive's own definition, since NumPy does that for any objects; elementwise functions are in the table here.

Only float64 is written out, and what float64 is compared to or made of: Python's floats are of that precision. Where
Python raises and NumPy gives an infinity or a NaN, the generated code leaves it to NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.executor.cost import flops
from funcgrad.executor.step import Bindings
from funcgrad.ir import Atom, Equation, Literal
from funcgrad.ops.math import ADD, SELECT, SUB
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import CONVERT
from funcgrad.types import is_a

__all__ = [
    "DTYPES",
    "FAR",
    "Scalar",
    "apply",
    "can_be_scalars",
    "computes_with",
    "counts",
    "is_far",
    "literal",
    "moves",
    "operations",
]

_ANY, _SUM, _PRODUCT, _ATOM = range(4)


class Scalar:
    """An expression for one number; `binding` says how tightly its outermost operator binds."""

    __slots__ = ("binding", "text")

    def __init__(self, text: str, binding: int = _ATOM) -> None:
        self.text, self.binding = text, binding

    @property
    def simple(self) -> bool:
        """Whether it is a name or a literal."""
        return self.binding == _ATOM

    def inside(self, binding: int) -> str:
        """The text as an operand of an operator that binds so tightly."""
        return self.text if self.binding >= binding else f"({self.text})"

    def __add__(self, other: Any) -> Scalar:
        return Scalar(f"{self.text} + {_scalar(other).inside(_PRODUCT)}", _SUM)

    def __mul__(self, other: Any) -> Scalar:
        return Scalar(f"{self.inside(_PRODUCT)} * {_scalar(other).inside(_ATOM)}", _PRODUCT)

    def __radd__(self, other: Any) -> Scalar:
        return _scalar(other) + self

    def __rmul__(self, other: Any) -> Scalar:
        return _scalar(other) * self


_NOTHING = Scalar("0.0")
"""The zeros beside what is placed somewhere (`PLACE`)."""


def _scalar(x: Any) -> Scalar:
    return x if isinstance(x, Scalar) else Scalar(repr(x))


def can_be_scalars(eqn: Equation) -> bool:
    """Whether an equation can be written over the elements of its operands."""
    primitive, form = eqn.primitive, eqn.primitive.scalar
    if form is None and primitive is not CONVERT and not primitive.generic:
        return False
    if any(x.aval.dtype not in DTYPES or x.aval.size == 0 or is_far(x) for x in (*eqn.inputs, *eqn.outputs)):
        return False
    kinds = {x.aval.dtype.kind for x in eqn.outputs}
    if moves(primitive):
        return True
    if primitive is CONVERT:
        return "i" not in kinds or eqn.inputs[0].aval.dtype.kind != "f"
    if "i" in kinds:
        return counts(eqn)
    if not kinds <= set("f" if form is None else form.results):  # sums of truth values are such, in NumPy
        return False
    return form is None or not form.truth or all(x.aval.dtype.kind == "b" for x in eqn.inputs)


def moves(primitive: Primitive) -> bool:
    """Whether an operation costs nothing here: its results are elements of its operands, known beforehand."""
    return primitive.generic and primitive.moves != ""


FAR = 1 << 62
"""Integers that are counted up or down must not begin beyond: int64 wraps around, Python's integers do not."""


def is_far(x: Atom) -> bool:
    """Whether a constant is so large an integer."""
    return isinstance(x, Literal) and is_a(x.value, (int, np.integer)) and not -FAR < x.value < FAR


def counts(eqn: Equation) -> bool:
    """Whether an equation counts up or down by a constant."""
    steps = [x.value for x in eqn.inputs if isinstance(x, Literal)]
    counted = eqn.primitive in (ADD, SUB) and eqn.outputs[0].aval.dtype == np.int64
    return counted and len(steps) == 1 and abs(int(steps[0])) < 1 << 31


DTYPES = frozenset(map(np.dtype, (np.float64, np.int64, np.bool_)))


def operations(eqn: Equation) -> int:
    """About how many operations of arithmetic an equation that can be written out consists of."""
    primitive, size = eqn.primitive, eqn.outputs[0].aval.size
    if moves(primitive):
        return 0
    if primitive.generic:
        return flops(eqn) - size  # the first term of a sum is not added to anything
    return size if primitive.scalar is None else size * primitive.scalar.cost


def computes_with(eqn: Equation) -> str:
    """The kind of number that an operation computes with: of the operands for comparisons, otherwise of the result."""
    kind = eqn.outputs[0].aval.dtype.kind
    form = eqn.primitive.scalar
    if kind == "b" and form is not None and "b" in form.results and any(x.aval.dtype.kind == "f" for x in eqn.inputs):
        return "f"
    return kind


def apply(eqn: Equation, ins: list[np.ndarray], bindings: Bindings) -> list[np.ndarray]:
    """The results of an equation, as arrays of expressions, for operands that are arrays of names and literals."""
    primitive = eqn.primitive
    if primitive is CONVERT:
        kind = eqn.outputs[0].aval.dtype.kind
        return ins if kind == eqn.inputs[0].aval.dtype.kind else [_each(_CONVERSIONS[kind], ins)]
    if primitive is WEAKEN:
        return ins
    form = primitive.scalar
    if form is None:
        out = primitive.impl(*ins, **eqn.params)
        outs = out if primitive.multiple else (out,)
        return [_array(x, v.aval.dtype) for x, v in zip(outs, eqn.outputs, strict=True)]
    if form.floats and computes_with(eqn) == "f":
        first = 1 if primitive is SELECT else 0
        ins = [
            _each("float({})", [x]) if k >= first and a.aval.dtype.kind != "f" and not a.is_literal else x
            for k, (x, a) in enumerate(zip(ins, eqn.inputs, strict=True))
        ]
    if primitive is ADD and all(x.aval.dtype.kind == "f" or x.is_literal for x in eqn.inputs):
        return [_array(np.frompyfunc(_sum, 2, 1)(*ins), eqn.outputs[0].aval.dtype)]
    text = form.text
    if form.function is not None:
        text = bindings.name(form.function, form.function.__name__) + text
    return [_each(text, ins)]


_CONVERSIONS = {"f": "float({})", "b": "bool({})", "i": "int({})"}


_NOT_FINITE = {"inf": math.inf, "minus_inf": -math.inf, "nan": math.nan}


def literal(value: Any, wanted: str, bindings: Bindings) -> Scalar:
    """A number that does not change; as a float if that is what the operation computes with."""
    value = value.item() if is_a(value, (np.generic, np.ndarray)) else value
    if wanted == "f":
        value = float(value)
    if is_a(value, float) and not math.isfinite(value):
        name = {"inf": "inf", "-inf": "minus_inf", "nan": "nan"}[str(value)]
        return Scalar(bindings.name(_NOT_FINITE[name], name))
    return Scalar(repr(value))


def _each(text: str, ins: list[np.ndarray]) -> np.ndarray:
    """An expression for each element of the operands, broadcast."""
    wide: list[Any] = list(np.broadcast_arrays(*ins))
    out = np.empty(wide[0].shape, object)
    for at in np.ndindex(out.shape):
        out[at] = Scalar(text.format(*(x[at].text for x in wide)), _ANY)
    return out


def _sum(x: Scalar, y: Scalar) -> Scalar:
    """x + y; not where one is a zero that a primitive has put in, as if the other was written over it."""
    return y if x is _NOTHING else x if y is _NOTHING else x + y


def _array(x: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """Objects as an array of expressions (the zeros that a primitive puts in are numbers, here of this dtype)."""
    given = np.asarray(x, object)
    out = np.empty(given.shape, object)
    for at in np.ndindex(out.shape):
        x = given[at]
        nothing = dtype.kind == "f" and not isinstance(x, Scalar) and x == 0
        out[at] = x if isinstance(x, Scalar) else _NOTHING if nothing else Scalar(repr(dtype.type(x).item()))
    return out
