"""Rules of `algebra` for arithmetic: neutral elements, signs, scalar factors, small powers.

Results stay bit for bit the same, in each dtype (`exact` says which rule holds for which), with one exception: small
powers are rounded as products are. Rules for real numbers only say so: a product with a complex 1 is not exact where
there are infinities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation
from funcgrad.ops.math import ADD, DIV, IMAG, MUL, POW, REAL, SELECT, SUB, UFUNCS
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import CONVERT
from funcgrad.passes.exact import is_power_of_two, is_real, joined_factor, negation_moves, passes_unchanged
from funcgrad.passes.simplifier import Rule, Simplifier
from funcgrad.types import is_a

__all__ = ["ARITHMETIC", "IDEMPOTENT", "stripped"]

_ABS, _CONJ, _NEG, _POS = (UFUNCS[f] for f in (np.absolute, np.conjugate, np.negative, np.positive))
_RECIPROCAL, _SQUARE = (UFUNCS[f] for f in (np.reciprocal, np.square))
_LOGICAL_NOT = UFUNCS[np.logical_not]


def _factor(s: Simplifier, atom: Atom, like: Atom) -> float | None:
    """The number that a real atom is everywhere, as it counts beside operands of the type of `like`."""
    value = s.scalar(atom)
    if value is None or is_a(value, (complex, np.complexfloating)) or not is_real(like.aval):
        return None
    if like.aval.dtype.itemsize > 8:
        return None
    with np.errstate(all="ignore"):
        number = float(like.aval.dtype.type(value))
    return number if math.isfinite(number) else None


def _number(c: float, x: Atom, out: Atom) -> Any:
    """A factor of `x` in an operation with the result `out`: of that dtype, where `x` alone would not decide so."""
    return c if x.aval.dtype == out.aval.dtype and not x.aval.weak else out.aval.dtype.type(c)


def _scaled(s: Simplifier, atom: Atom) -> tuple[Atom, float] | None:
    """x and c where an atom is x·c with a number c, and nothing else reads it."""
    eqn = s.maker(atom, MUL, _NEG)
    if eqn is None or not s.once(atom) or not is_real(atom.aval):
        return None
    if eqn.primitive is _NEG:
        return eqn.inputs[0], -1.0
    for x, y in (eqn.inputs, eqn.inputs[::-1]):
        if x.aval == atom.aval and (c := _factor(s, y, atom)) is not None:
            return x, c
    return None


# ------------------------------------------------------------------------------------------------ neutral elements


def _plus_zero(s: Simplifier, eqn: Equation) -> Atom | None:
    """x + 0 = x for integers, x + (-0.0) = x for real numbers: -0.0 + 0.0 is 0.0"""
    aval = eqn.outputs[0].aval
    for x, y in (eqn.inputs, eqn.inputs[::-1]):
        if x.aval == aval and _is(s, y, 0) and aval.dtype.kind != "c" and (aval.dtype.kind != "f" or _below(s, y)):
            return x
    return None


def _below(s: Simplifier, zero: Atom) -> bool:
    """Whether a zero has a minus sign."""
    value = s.scalar(zero)
    return np.asarray(value).dtype.kind == "f" and bool(np.signbit(value))


def _is(s: Simplifier, atom: Atom, number: int) -> bool:
    value = s.scalar(atom)
    return value is not None and not is_a(value, (complex, np.complexfloating)) and bool(value == number)


def _minus_zero(s: Simplifier, eqn: Equation) -> Atom | None:
    """x - 0 = x, but not for -0.0"""
    a, b = eqn.inputs
    return a if a.aval == eqn.outputs[0].aval and _is(s, b, 0) and not _below(s, b) else None


def _times_one(s: Simplifier, eqn: Equation) -> Atom | None:
    """x·1 = x, x·(-1) = -x; real"""
    aval = eqn.outputs[0].aval
    if aval.dtype.kind == "c":
        return None
    for x, y in (eqn.inputs, eqn.inputs[::-1]):
        if x.aval == aval and _is(s, y, 1):
            return x
        if x.aval == aval and aval.dtype.kind in "if" and _is(s, y, -1):
            return s.emit(_NEG, x)
    return None


def _over_one(s: Simplifier, eqn: Equation) -> Atom | None:
    """x/1 = x; real"""
    x, y = eqn.inputs
    aval = eqn.outputs[0].aval
    return x if x.aval == aval and aval.dtype.kind == "f" and _is(s, y, 1) else None


def _itself(s: Simplifier, eqn: Equation) -> Atom | None:
    """max(x, x) = x, and so on"""
    a, b = eqn.inputs
    return a if a is b else None


IDEMPOTENT: tuple[Rule, ...] = (_itself,)
"""For each operation of which that is known."""


def _same_branches(s: Simplifier, eqn: Equation) -> Atom | None:
    """where(c, x, x) = x; where(True, x, y) = x"""
    c, x, y = eqn.inputs
    if x is y:
        return x
    known = s.scalar(c)
    return None if known is None else x if known else y


# ------------------------------------------------------------------------------------------------------------ signs


def stripped(s: Simplifier, atom: Atom, depth: int = 3) -> Atom | None:
    """What an atom is the negative of, if that costs less to have than the atom itself."""
    eqn = s.maker(atom, _NEG, MUL, DIV)
    if eqn is None:
        return None
    if eqn.primitive is _NEG:  # of a Python bool it is an int
        return eqn.inputs[0] if eqn.inputs[0].aval == atom.aval else None
    a, b = eqn.inputs
    if not s.once(atom) or depth == 0 or not all(is_real(x.aval) or x.is_literal for x in (atom, a, b)):
        return None
    c = _factor(s, b, atom)
    if c is not None and c < 0 and not a.is_literal:
        return s.emit(eqn.primitive, a, _number(-c, a, atom))
    c = _factor(s, a, atom) if eqn.primitive is MUL else None
    if c is not None and c < 0 and not b.is_literal:
        return s.emit(MUL, _number(-c, b, atom), b)
    inner = stripped(s, a, depth - 1) if s.once(a) else None
    if inner is not None:
        return s.emit(eqn.primitive, inner, b)
    inner = stripped(s, b, depth - 1) if s.once(b) else None
    return None if inner is None else s.emit(eqn.primitive, a, inner)


def _negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """-(-x) = x; -(x·c) = x·(-c); -(x - y) = y - x for integers; -(x·y) = x·(-y) if y is smaller"""
    (x,) = eqn.inputs
    if x.aval.weak or x.aval.dtype.kind not in "fciu":
        return None
    inner = stripped(s, x)
    if inner is not None:
        return inner
    made = s.maker(x, SUB, MUL, DIV)
    if made is None or not s.once(x):
        return None
    a, b = made.inputs
    if made.primitive is SUB:
        return s.emit(SUB, b, a) if x.aval.dtype.kind in "iu" else None
    if x.aval.dtype.kind != "f":
        return None
    for y, z in ((a, b), (b, a)):
        c = _factor(s, z, x)
        if c is not None and (made.primitive is MUL or z is b) and not y.is_literal:
            number = _number(-c, y, x)
            return s.emit(made.primitive, *((y, number) if z is b else (number, y)))
        if z.aval.size < x.aval.size and not z.is_literal and z.aval.dtype == x.aval.dtype:
            less = s.emit(_NEG, z)
            return s.emit(made.primitive, *((y, less) if z is b else (less, y)))
    return None


def _add_negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """x + (-y) = x - y, where y was negated in the dtype of the sum"""
    a, b = eqn.inputs
    out = eqn.outputs[0].aval
    if out.weak:
        return None
    y = stripped(s, b) if negation_moves(b.aval, out) else None
    if y is not None:
        return s.emit(SUB, a, y)
    x = stripped(s, a) if negation_moves(a.aval, out) else None
    return None if x is None else s.emit(SUB, b, x)


def _subtract_negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """x - (-y) = x + y, where y was negated in the dtype of the sum"""
    a, b = eqn.inputs
    out = eqn.outputs[0].aval
    y = stripped(s, b) if negation_moves(b.aval, out) and not out.weak else None
    return None if y is None else s.emit(ADD, a, y)


def _factor_sign(s: Simplifier, eqn: Equation) -> Atom | None:
    """(-x)·(-y) = x·y; (-x)·y = -(x·y), and so for x/y"""
    a, b = eqn.inputs
    aval = eqn.outputs[0].aval
    if aval.dtype.kind != "f" or aval.weak:
        return None
    signs = [s.maker(z, _NEG) if z.aval.dtype.kind == "f" and s.once(z) else None for z in (a, b)]
    x, y = (None if n is None else n.inputs[0] for n in signs)
    if x is not None and y is not None:
        return s.emit(eqn.primitive, x, y)
    if x is not None and x.aval.shape == aval.shape:
        return s.emit(_NEG, s.emit(eqn.primitive, x, b))
    if y is not None and y.aval.shape == aval.shape:
        return s.emit(_NEG, s.emit(eqn.primitive, a, y))
    return None


def _times_itself(s: Simplifier, eqn: Equation) -> Atom | None:
    """x·x = x², so that the two are known to be the same"""
    a, b = eqn.inputs
    return s.emit(_SQUARE, a) if a is b and is_real(a.aval) else None


def _even(s: Simplifier, eqn: Equation) -> Atom | None:
    """|-x| = |x|, (-x)² = x²"""
    made = s.maker(eqn.inputs[0], _NEG)
    return (
        None
        if made is None or eqn.inputs[0].aval.weak or eqn.inputs[0].aval.dtype.kind == "u"
        else s.emit(eqn.primitive, made.inputs[0])
    )


# --------------------------------------------------------------------------------------------------- scalar factors


def _product_of_factors(s: Simplifier, eqn: Equation) -> Atom | None:
    """(x·c)·d = x·(c·d), real, where nothing can overflow or be rounded between (`joined_factor`)"""
    (out,) = eqn.outputs
    if not is_real(out.aval):
        return None
    for x, y in (eqn.inputs, eqn.inputs[::-1]):
        inner, d = _scaled(s, x), _factor(s, y, out)
        if inner is not None and d is not None and x.aval == out.aval:
            product = joined_factor(inner[1], d, out.aval.dtype)
            if product is not None:
                return inner[0] if product == 1 else s.emit(MUL, product, inner[0])
    return None


def _over_power_of_two(s: Simplifier, eqn: Equation) -> Atom | None:
    """x/c = x·(1/c); real, where the divisor is a power of two"""
    x, y = eqn.inputs
    (out,) = eqn.outputs
    d = _factor(s, y, out)
    if d is None or not is_power_of_two(d, out.aval.dtype) or x.aval != out.aval:
        return None
    return s.emit(MUL, 1 / d, x)


def _twice(s: Simplifier, eqn: Equation) -> Atom | None:
    """x + x = 2·x"""
    a, b = eqn.inputs
    return s.emit(MUL, 2, a) if a is b and is_real(a.aval) else None


# ------------------------------------------------------------------------------------------------------ small powers


def _small_power(s: Simplifier, eqn: Equation) -> Atom | None:
    """x¹ = x, x² = x·x, x³ = x·x·x, x⁴ = (x·x)·(x·x), x⁻¹ = 1/x: of real numbers, to the rounding of products

    √x is not x^½ where x is -inf or -0.0, and complex powers forget the signs of zeros.
    """
    x, y = eqn.inputs
    (out,) = eqn.outputs
    n = s.scalar(y)
    if n is None or is_a(n, (complex, np.complexfloating)) or x.aval != out.aval or x.aval.weak:
        return None
    if n in (1, 2, 3, 4) and x.aval.dtype.kind in "fiu":
        if n == 1:
            return x
        square = s.emit(_SQUARE, x)
        return square if n == 2 else s.emit(MUL, square, x) if n == 3 else s.emit(_SQUARE, square)
    return s.emit(_RECIPROCAL, x) if n == -1 and is_real(x.aval) else None


# ------------------------------------------------------------------------------------------------------ other kinds


def _convert(s: Simplifier, eqn: Equation) -> Atom | None:
    """To the dtype that it has; to one dtype after another, the first without loss"""
    (x,) = eqn.inputs
    if x.aval == eqn.outputs[0].aval:
        return x
    made = s.maker(x, CONVERT)
    dtype = eqn.params["dtype"]
    if made is None or made.inputs[0].aval.weak:
        return None
    source = made.inputs[0]
    if not passes_unchanged(source.aval.dtype, x.aval.dtype, np.dtype(dtype)):
        return None
    return source if source.aval == eqn.outputs[0].aval else s.emit(CONVERT, source, dtype=dtype)


def _weaken(s: Simplifier, eqn: Equation) -> Atom | None:
    """A Python scalar as an array and back"""
    (x,) = eqn.inputs
    if x.aval.weak:
        return x
    made = s.maker(x, CONVERT)
    return made.inputs[0] if made is not None and made.inputs[0].aval == eqn.outputs[0].aval else None


def _same_if_real(s: Simplifier, eqn: Equation) -> Atom | None:
    """The conjugate and the real part of a real number; +x"""
    (x,) = eqn.inputs
    return x if eqn.primitive is _POS or x.aval.dtype.kind in "fiu" else None


def _twice_conjugate(s: Simplifier, eqn: Equation) -> Atom | None:
    made = s.maker(eqn.inputs[0], _CONJ)
    return None if made is None else made.inputs[0]


def _part(s: Simplifier, eqn: Equation) -> Atom | None:
    """The parts of re + i·im"""
    made = s.made.get(eqn.inputs[0])
    if made is None or made.primitive.name != "complex":
        return None
    return made.inputs[eqn.primitive is IMAG]


def _not_not(s: Simplifier, eqn: Equation) -> Atom | None:
    made = s.maker(eqn.inputs[0], _LOGICAL_NOT)
    return None if made is None else made.inputs[0]


ARITHMETIC: dict[Primitive, tuple[Rule, ...]] = {
    ADD: (_plus_zero, _add_negative, _twice),
    SUB: (_minus_zero, _subtract_negative),
    MUL: (_times_one, _factor_sign, _product_of_factors, _times_itself),
    DIV: (_over_one, _factor_sign, _over_power_of_two),
    POW: (_small_power,),
    _NEG: (_negative,),
    _ABS: (_even,),
    _SQUARE: (_even,),
    _POS: (_same_if_real,),
    _CONJ: (_same_if_real, _twice_conjugate),
    REAL: (_same_if_real, _part),
    IMAG: (_part,),
    CONVERT: (_convert,),
    WEAKEN: (_weaken,),
    _LOGICAL_NOT: (_not_not,),
    SELECT: (_same_branches,),
}
