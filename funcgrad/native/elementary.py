"""Elementary functions as LLVM text, for float32 and float64, scalars and vectors of any width.

`text(name, dtype, width)` is the definition of a function and of what it calls, to be put into a module once. Every
function is wrong by at most two units in the last place, at every argument (`logaddexp` and `logaddexp2`: units of the
larger of the two numbers that they add). It keeps the sign of zeros, gives NumPy's results at infinities and NaN, and
raises the floating-point flags for overflow, division by zero and invalid arguments where NumPy warns, and nowhere else
(an underflow may be flagged where the result has none). The text for scalars and that for vectors of any width give the
same bits. `python -m tools.native_ulps` measures the errors, `tests/test_native_elementary.py` the rest as well.

A function that is used often is called, not put in place of each call (`writer`): with eight uses of exp on vectors
that takes a quarter of the time to compile and runs as fast.

>>> import numpy as np
>>> print(text("exp2", np.dtype(float), 0).splitlines()[-2])
  ret double %t...
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from funcgrad.native import elementary_arc as arc
from funcgrad.native import elementary_exp as exp
from funcgrad.native import elementary_hyper as hyper
from funcgrad.native import elementary_log as log
from funcgrad.native import elementary_pow as power
from funcgrad.native import elementary_special as special
from funcgrad.native import elementary_trig as trig
from funcgrad.native.elementary_body import Body, Value

__all__ = ["arity", "definitions", "names", "symbol", "text"]


class Function(NamedTuple):
    """How a function is written.

    Attributes:
        write: writes the lines, gives the result.
        arguments: how many there are.
        inline: whether it is but a call of another one, to be put in place of each call.
    """

    write: Callable[..., Value | tuple[Value, Value]]
    arguments: int = 1
    inline: bool = False


_FUNCTIONS = {
    "exp": Function(exp.exp),
    "exp2": Function(exp.exp2),
    "expm1": Function(exp.expm1),
    "tanh": Function(exp.tanh),
    "logistic": Function(exp.logistic),
    "log": Function(log.log),
    "log1p": Function(log.log1p),
    "log2": Function(power.log2),
    "log10": Function(power.log10),
    "sin": Function(trig.sin, inline=True),
    "cos": Function(trig.cos, inline=True),
    "tan": Function(trig.tan),
    "asin": Function(arc.asin),
    "acos": Function(arc.acos),
    "atan": Function(arc.atan),
    "atan2": Function(arc.atan2, 2),
    "sinh": Function(hyper.sinh),
    "cosh": Function(hyper.cosh),
    "asinh": Function(hyper.asinh),
    "acosh": Function(hyper.acosh),
    "atanh": Function(hyper.atanh),
    "pow": Function(power.pow, 2),
    "cbrt": Function(power.cbrt),
    "hypot": Function(power.hypot, 2),
    "log_hypot": Function(power.log_hypot, 2),
    "logaddexp": Function(special.logaddexp, 2),
    "logaddexp2": Function(special.logaddexp2, 2),
    "softplus": Function(special.softplus),
    "erf": Function(special.erf),
    "erfc": Function(special.erfc),
    "ndtr": Function(special.ndtr),
    "logit": Function(special.logit),
}
_PARTS = {"sincos": Function(trig.sincos)}
"""Functions that only others call."""
_ELEMENTS = {"f": "float", "d": "double"}
_ARGUMENTS = ("%x", "%y")


def names(dtype: np.dtype[Any]) -> frozenset[str]:
    """The functions that exist for a dtype: none but for float32 and float64."""
    return frozenset(_FUNCTIONS) if dtype.char in _ELEMENTS else frozenset()


def arity(name: str) -> int:
    """How many arguments a function has."""
    return _FUNCTIONS[name].arguments


def symbol(name: str, dtype: np.dtype[Any], width: int = 0) -> str:
    """The function's name in a module: "@fg.exp.v8f64"."""
    return f"@fg.{name}.{f'v{width}' if width else ''}{'f32' if dtype.char == 'f' else 'f64'}"


def text(name: str, dtype: np.dtype[Any], width: int = 0, fma: bool = True) -> str:
    """The definition of a function, and of all that it calls.

    Args:
        name: one of `names(dtype)`.
        dtype: float32 or float64.
        width: lanes of a vector; 0 for scalars.
        fma: whether the target has fused multiply-add. (Where it has not, the text is right all the same, but slow.)

    Raises:
        KeyError: there is no such function.
    """
    return "".join(definitions(name, dtype, width, fma).values())


@cache
def definitions(name: str, dtype: np.dtype[Any], width: int = 0, fma: bool = True) -> dict[str, str]:
    """The same in parts, by their symbols, so that each is put into a module once."""
    parts: dict[str, str] = {}
    _collect(parts, name, _ELEMENTS[dtype.char], width, fma)
    return parts


def _collect(parts: dict[str, str], name: str, element: str, width: int, fma: bool) -> None:
    function = _PARTS.get(name) or _FUNCTIONS[name]
    body = Body(element, width, fma)
    result = function.write(body, *_ARGUMENTS[: function.arguments])
    parts.update(body.parts)
    full = f"@fg.{name}.{body.suffix}"
    parts[full] = body.definition(name, _ARGUMENTS[: function.arguments], result, function.inline)
    for other, its_element in sorted(body.needs):
        if f"@fg.{other}.{body.suffix_of(its_element)}" not in parts:
            _collect(parts, other, its_element, width, fma)
