"""For which dtypes a rewriting changes nothing: what rules ask of the dtypes that they meet.

An operation wraps around, rounds and overflows in the dtype of its loop, and each equation does so by itself. A rule
that joins or moves operations holds where no step between them could have lost something that the result shows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir import Atom, Equation, Literal
from funcgrad.ops.math import MUL
from funcgrad.types import ShapedArray

__all__ = [
    "adds_up",
    "commutes",
    "holds",
    "is_lossless",
    "is_power_of_two",
    "is_real",
    "joined_factor",
    "negation_moves",
    "passes_unchanged",
]

DType = np.dtype[Any]

_FARTHEST = 64
"""Powers of two up to this exponent are exchanged for each other."""


def is_real(aval: ShapedArray) -> bool:
    """Whether a value is of a floating dtype of its own (a Python scalar has that of what it meets)."""
    return aval.dtype.kind == "f" and not aval.weak


def holds(dtype: DType, number: float) -> bool:
    """Whether a real dtype has a number as it is: finite, and not rounded."""
    with np.errstate(all="ignore"):
        return math.isfinite(number) and float(dtype.type(number)) == number


def is_lossless(source: DType, target: DType) -> bool:
    """Whether each number of a dtype is one of the other."""
    if source.kind in "iu" and target.kind in "fc" and source.itemsize == 8:
        return False
    return np.can_cast(source, target, "safe")


def passes_unchanged(source: DType, through: DType, target: DType) -> bool:
    """Whether converting by way of a dtype gives what converting at once does.

    What a number beyond the range of integers becomes differs between floating dtypes and machines; and NumPy warns
    where an imaginary part is dropped.
    """
    if not is_lossless(source, through) or (through.kind == "c" and target.kind != "c"):
        return False
    return through.kind not in "fc" or target.kind not in "iu" or np.can_cast(source, target, "safe")


def negation_moves(operand: ShapedArray, result: ShapedArray) -> bool:
    """Whether a negative that is an operand of a sum may as well be subtracted.

    It may in the dtype in which it was negated, since integers wrap around there. Negation is exact for floating
    numbers, so that a wider dtype will do; beside complex numbers the zero imaginary part of a real one counts.
    """
    if operand.dtype == result.dtype:
        return operand.dtype.kind in "iufc"
    return operand.dtype.kind == result.dtype.kind == "f"


def adds_up(term: Atom, total: ShapedArray) -> bool:
    """Whether terms that are added to a total one by one may be added up by themselves.

    They may in the dtype of the total: narrower integers would wrap around earlier. In float16 each step rounds so much
    that another order is another result; and a Python int beyond the range is for the addition to refuse.
    """
    aval = term.aval
    if total.dtype == np.float16:
        return False
    if not aval.weak or total.dtype.kind not in "iu":
        return aval.weak or aval.dtype == total.dtype
    if isinstance(term, Literal) and type(term.value) is int:
        info = np.iinfo(total.dtype)
        return info.min <= term.value <= info.max
    return aval.dtype == total.dtype


def commutes(eqn: Equation) -> bool:
    """Whether the operands of an equation may be exchanged, bit for bit."""
    return eqn.primitive.commutative and not (eqn.primitive is MUL and eqn.outputs[0].aval.dtype.kind == "c")


def is_power_of_two(number: float, dtype: DType) -> bool:
    """Whether dividing by a number is multiplying by another one of the dtype."""
    if not math.isfinite(number) or number == 0:
        return False
    mantissa, exponent = math.frexp(number)
    return abs(mantissa) == 0.5 and abs(exponent) <= _FARTHEST and holds(dtype, number) and holds(dtype, 1 / number)


def joined_factor(c: float, d: float, dtype: DType) -> float | None:
    """The number by which to multiply instead of by `c` and then by `d`; None if that is not the same for all numbers.

    What `c` makes larger must not become smaller again, or the product may have overflowed between; what it makes
    smaller may have been rounded to a subnormal number. One factor is a power of two, so that it rounds nothing, and if
    that comes second the first is an integer, which rounds no subnormal number either.
    """
    exact = abs(c) == 1 or abs(d) == 1
    growing = abs(c) >= 1 and abs(d) >= 1
    first, second = is_power_of_two(c, dtype), is_power_of_two(d, dtype)
    if not exact and not (growing and (first or (second and c.is_integer()))):
        return None
    product = c * d
    return product if product and holds(dtype, product) else None
