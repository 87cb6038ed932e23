"""An elementwise function over Python's own numbers: the text that generated code has for it.

A call of NumPy on a few elements takes 0.5 to 1.5 µs, an operation between two Python floats 0.02 µs. Programs over few
elements are therefore written out (`executor.lower_scalars`), with these texts for elementwise functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Scalar", "ScalarForm", "scalar_form"]


class ScalarForm(NamedTuple):
    """How an elementwise function is written over Python floats.

    Where Python raises ArithmeticError or ValueError, or a result is not finite, NumPy runs that part of the program.

    Attributes:
        text: with `{0}`, `{1}`, … (or `{}` in turn) for the operands, which are names or literals.
        cost: in operations of arithmetic.
        floats: whether integers among the operands must be made floats first where it computes with floats: Python
            compares an integer with a float exactly, and returns what it was given.
        results: the kinds of numbers that results may be, as in `numpy.dtype.kind`: "f", "b" or "fb".
        truth: whether it is this for truth values only.
        function: what `text` calls; it then has no other text.
    """

    text: str
    cost: int = 1
    floats: bool = False
    results: str = "f"
    truth: bool = False
    function: Callable[..., Any] | None = None


Scalar = str | Callable[..., Any] | ScalarForm
"""What constructors take: the text of one operation, a function of Python floats (`math.exp`), or everything."""


def scalar_form(given: Scalar | None, operands: int) -> ScalarForm | None:
    """What was given, in full; a call costs two operations, and one for each operand."""
    if given is None or isinstance(given, ScalarForm):
        return given
    if isinstance(given, str):
        return ScalarForm(given)
    return ScalarForm(f"({', '.join(['{}'] * operands)})", 2 + operands, function=given)
