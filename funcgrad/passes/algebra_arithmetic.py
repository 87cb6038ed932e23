"""Rules of `algebra` for arithmetic: neutral elements, signs, scalar factors, small powers.

Floating-point results stay bit for bit the same, with these exceptions: a sum that is zero may have the other sign
(x + 0 is x, and -(x - y) is y - x); a power is rounded as products are; what overflows or underflows between two
factors does not once they are one. Rules for real numbers only say so: a product with a complex 1 is not exact where
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
from funcgrad.passes.simplifier import Rule, Simplifier
from funcgrad.types import is_a

__all__ = ["ARITHMETIC", "IDEMPOTENT", "stripped"]

_ABS, _CONJ, _NEG, _POS = (UFUNCS[f] for f in (np.absolute, np.conjugate, np.negative, np.positive))
_RECIPROCAL, _SQRT, _SQUARE = (UFUNCS[f] for f in (np.reciprocal, np.sqrt, np.square))
_LOGICAL_NOT = UFUNCS[np.logical_not]
_FARTHEST = 64
"""Powers of two up to this exponent are exchanged for each other."""


def _is_real(x: Atom) -> bool:
    return x.aval.dtype.kind == "f" and not x.aval.weak


def _power_of_two(c: Any) -> bool:
    """Whether multiplying and dividing by a number is exact, save for overflow."""
    if is_a(c, (complex, np.complexfloating)) or is_a(c, (bool, np.bool_)):
        return False
    mantissa, exponent = math.frexp(c) if _finite(c) else (0.0, 0)
    return abs(mantissa) == 0.5 and abs(exponent) <= _FARTHEST


def _finite(c: Any) -> bool:
    return abs(c) <= 1e300


def _factor(s: Simplifier, atom: Atom, like: Atom) -> float | None:
    """The number that a real atom is everywhere, as it counts beside operands of the type of `like`."""
    value = s.scalar(atom)
    if value is None or is_a(value, (complex, np.complexfloating)) or not _is_real(like):
        return None
    if like.aval.dtype.itemsize > 8:
        return None
    with np.errstate(all="ignore"):
        number = float(like.aval.dtype.type(value))
    return number if math.isfinite(number) else None


def _scaled(s: Simplifier, atom: Atom) -> tuple[Atom, float] | None:
    """x and c where an atom is x·c with a number c, and nothing else reads it."""
    eqn = s.maker(atom, MUL, _NEG)
    if eqn is None or not s.once(atom) or not _is_real(atom):
        return None
    if eqn.primitive is _NEG:
        return eqn.inputs[0], -1.0
    for x, y in (eqn.inputs, eqn.inputs[::-1]):
        if x.aval == atom.aval and (c := _factor(s, y, atom)) is not None:
            return x, c
    return None


# ------------------------------------------------------------------------------------------------ neutral elements


def _plus_zero(s: Simplifier, eqn: Equation) -> Atom | None:
    """x + 0 = x"""
    aval = eqn.outputs[0].aval
    for x, y in (eqn.inputs, eqn.inputs[::-1]):
        if x.aval == aval and _is(s, y, 0):
            return x
    return None


def _is(s: Simplifier, atom: Atom, number: int) -> bool:
    value = s.scalar(atom)
    return value is not None and not is_a(value, (complex, np.complexfloating)) and bool(value == number)


def _minus_zero(s: Simplifier, eqn: Equation) -> Atom | None:
    """x - 0 = x"""
    a, b = eqn.inputs
    return a if a.aval == eqn.outputs[0].aval and _is(s, b, 0) else None


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
    if eqn.primitive is _NEG:
        return eqn.inputs[0]
    a, b = eqn.inputs
    if not s.once(atom) or depth == 0 or not all(_is_real(x) or x.is_literal for x in (atom, a, b)):
        return None
    c = _factor(s, b, atom)
    if c is not None and c < 0 and not a.is_literal:
        return s.emit(eqn.primitive, a, -c)
    c = _factor(s, a, atom) if eqn.primitive is MUL else None
    if c is not None and c < 0 and not b.is_literal:
        return s.emit(MUL, -c, b)
    inner = stripped(s, a, depth - 1) if s.once(a) else None
    if inner is not None:
        return s.emit(eqn.primitive, inner, b)
    inner = stripped(s, b, depth - 1) if s.once(b) else None
    return None if inner is None else s.emit(eqn.primitive, a, inner)


def _negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """-(-x) = x; -(x·c) = x·(-c); -(x - y) = y - x; -(x·y) = x·(-y) if y is smaller"""
    (x,) = eqn.inputs
    if x.aval.weak or x.aval.dtype.kind not in "fci":
        return None
    inner = stripped(s, x)
    if inner is not None:
        return inner
    made = s.maker(x, SUB, MUL, DIV)
    if made is None or not s.once(x) or x.aval.dtype.kind != "f":
        return None
    a, b = made.inputs
    if made.primitive is SUB:
        return s.emit(SUB, b, a)
    for y, z in ((a, b), (b, a)):
        c = _factor(s, z, x)
        if c is not None and (made.primitive is MUL or z is b) and not y.is_literal:
            return s.emit(made.primitive, *((y, -c) if z is b else (-c, y)))
        if z.aval.size < x.aval.size and not z.is_literal and z.aval.dtype == x.aval.dtype:
            less = s.emit(_NEG, z)
            return s.emit(made.primitive, *((y, less) if z is b else (less, y)))
    return None


def _add_negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """x + (-y) = x - y"""
    a, b = eqn.inputs
    if eqn.outputs[0].aval.dtype.kind not in "fci" or eqn.outputs[0].aval.weak:
        return None
    y = stripped(s, b)
    if y is not None:
        return s.emit(SUB, a, y)
    x = stripped(s, a)
    return None if x is None else s.emit(SUB, b, x)


def _subtract_negative(s: Simplifier, eqn: Equation) -> Atom | None:
    """x - (-y) = x + y"""
    a, b = eqn.inputs
    if eqn.outputs[0].aval.dtype.kind not in "fci" or eqn.outputs[0].aval.weak:
        return None
    y = stripped(s, b)
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
    return s.emit(_SQUARE, a) if a is b and _is_real(a) else None


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
    """(x·c)·d = x·(c·d), (x·c)·(y·d) = (x·y)·(c·d); real, where c or d is a power of two"""
    (out,) = eqn.outputs
    if not _is_real(out):
        return None
    a, b = eqn.inputs
    for x, y in ((a, b), (b, a)):
        inner, d = _scaled(s, x), _factor(s, y, out)
        if inner is not None and d is not None and x.aval == out.aval:
            found = _times(s, inner[0], inner[1], d, out)
            if found is not None:
                return found
    left, right = _scaled(s, a), _scaled(s, b)
    if left is None or right is None or a is b:
        return None
    c = _exact_product(left[1], right[1], out)
    return None if c is None else s.emit(MUL, c, s.emit(MUL, left[0], right[0]))


def _exact_product(c: float, d: float, like: Atom) -> float | None:
    if not (_power_of_two(c) or _power_of_two(d)):
        return None
    product = c * d
    with np.errstate(all="ignore"):
        same = float(like.aval.dtype.type(product)) == product
    return product if same and product else None


def _times(s: Simplifier, x: Atom, c: float, d: float, like: Atom) -> Atom | None:
    product = _exact_product(c, d, like)
    if product is None:
        return None
    return x if product == 1 and x.aval == like.aval else s.emit(MUL, product, x)


def _over_power_of_two(s: Simplifier, eqn: Equation) -> Atom | None:
    """x/c = x·(1/c), (x·c)/d = x·(c/d); real, where the divisor is a power of two"""
    x, y = eqn.inputs
    (out,) = eqn.outputs
    d = _factor(s, y, out)
    if d is None or not _power_of_two(d) or x.aval != out.aval:
        return None
    return s.emit(MUL, 1 / d, x)


def _twice(s: Simplifier, eqn: Equation) -> Atom | None:
    """x + x = 2·x"""
    a, b = eqn.inputs
    return s.emit(MUL, 2, a) if a is b and eqn.outputs[0].aval.dtype.kind in "f" and not a.aval.weak else None


def _twice_added(s: Simplifier, eqn: Equation) -> Atom | None:
    """(x + y) + y = x + 2·y, where y is a product with a smaller factor that takes the 2"""
    for a, y in (eqn.inputs, eqn.inputs[::-1]):
        inner, product = s.maker(a, ADD), s.maker(y, MUL)
        if inner is None or product is None or not s.once(a) or s.uses.get(y) != 2 or not _is_real(y):
            continue
        others = [x for x in inner.inputs if x is not y]
        if len(others) != 1:
            continue
        p, q = sorted(product.inputs, key=lambda x: x.aval.size)
        if p.aval.size < q.aval.size and not p.is_literal:
            return s.emit(ADD, others[0], s.emit(MUL, s.emit(MUL, 2, p), q))
    return None


# ------------------------------------------------------------------------------------------------------ small powers


def _small_power(s: Simplifier, eqn: Equation) -> Atom | None:
    """x¹ = x, x² = x·x, x³ = x·x·x, x⁴ = (x·x)·(x·x), x^½ = √x, x⁻¹ = 1/x"""
    x, y = eqn.inputs
    (out,) = eqn.outputs
    n = s.scalar(y)
    if n is None or is_a(n, complex) or x.aval != out.aval or x.aval.weak or x.aval.dtype.kind not in "fci":
        return None
    if x.aval.dtype.kind == "c" and n not in (1, 2):
        return None
    if n in (1, 2, 3, 4):
        if n == 1:
            return x
        square = s.emit(_SQUARE, x)
        return square if n == 2 else s.emit(MUL, square, x) if n == 3 else s.emit(_SQUARE, square)
    if x.aval.dtype.kind != "f":
        return None
    return s.emit(_SQRT, x) if n == 0.5 else s.emit(_RECIPROCAL, x) if n == -1 else None


# ------------------------------------------------------------------------------------------------------ other kinds


def _convert(s: Simplifier, eqn: Equation) -> Atom | None:
    """To the dtype that it has; to one dtype after another, the first without loss"""
    (x,) = eqn.inputs
    if x.aval == eqn.outputs[0].aval:
        return x
    made = s.maker(x, CONVERT)
    if made is None or made.inputs[0].aval.weak or not _lossless(made.inputs[0].aval.dtype, x.aval.dtype):
        return None
    source, dtype = made.inputs[0], eqn.params["dtype"]
    return source if source.aval == eqn.outputs[0].aval else s.emit(CONVERT, source, dtype=dtype)


def _lossless(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    if source.kind in "iu" and target.kind in "fc" and source.itemsize == 8:
        return False
    return np.can_cast(source, target, "safe")


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
    ADD: (_plus_zero, _add_negative, _twice, _twice_added),
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
