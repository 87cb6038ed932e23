"""Recordings that become programs: they note what the Python around an operation does with its errors.

Where NumPy raises or warns depends on values, so nothing of it happens while a function is recorded. Two things are
noted instead. An operation under an `np.errstate` of the function's own, or under its `warnings.catch_warnings`, is
recorded as one under this handling (`ops.attempt.under`). And where an exception would be caught, by the function or by
one that it calls, what may raise is kept, and the recording says so (`catches`): when its program raises, the function
is to be run as it is, for NumPy's answer.
"""

from __future__ import annotations

import dis
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import numpy as np

from funcgrad.core import Primitive, Trace, Tracer
from funcgrad.float_errors import Log, current
from funcgrad.ir import Program
from funcgrad.ops.attempt import KEEP, Handled, under
from funcgrad.record import Record
from funcgrad.source import is_internal
from funcgrad.types import ShapedArray, aval_of

__all__ = ["Watched", "catches", "depends_on_values", "fails"]

_WARNED = {
    "divide": "divide by zero encountered in ",
    "over": "overflow encountered in ",
    "under": "underflow encountered in ",
    "invalid": "invalid value encountered in ",
}
"""How NumPy's warnings begin."""


class _Around:
    """The Python around a recording, and those within it.

    Attributes:
        frame: in which it is made: what lies within is looked at.
        state, filters, relevant: the error handling, and the filters of warnings, in the beginning.
        catches: whether an operation has been recorded where an exception would be caught.
        classes: whether the function has asked if a value of shape () is an array or a NumPy scalar.
    """

    __slots__ = ("catches", "classes", "filters", "frame", "relevant", "state")

    def __init__(self, frame: FrameType) -> None:
        self.frame: FrameType | None = frame
        self.state, self.filters, self.relevant = current(), _filters(), _relevant()
        self.catches = self.classes = False

    def handling(self) -> tuple[tuple[str, Any], ...] | None:
        """The arguments of `np.errstate` for what the function has set; None where it has set nothing."""
        if current() is self.state and (_filters() == self.filters or self._as_before()):
            return None
        kinds: dict[str, Any] = dict(np.geterr())
        warned = "log" if isinstance(np.geterrcall(), Log) else "warn"
        for kind, begin in _WARNED.items():
            if kinds[kind] == warned and warnings.filters is not self.filters[0]:
                kinds[kind] = _filtered(begin) or warned
        if "call" in kinds.values() or "log" in kinds.values():
            kinds["call"] = np.geterrcall()
        return tuple(kinds.items())

    def _as_before(self) -> bool:
        """Whether filters were only added for other warnings, as a library does when it is imported."""
        same = warnings.filters is self.filters[0] and _relevant() == self.relevant
        self.filters = _filters() if same else self.filters
        return same

    def caught(self) -> bool:
        """Whether an exception raised now would be seen by the function that is recorded, or by one that it calls."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame is not self.frame:
            code = frame.f_code
            if code.co_exceptiontable and not is_internal(code.co_filename):
                at = frame.f_lasti // 2
                if any(start <= at < end for start, end in _handled(code)):
                    return True
            frame = frame.f_back
        return False


def _filters() -> tuple[Any, int]:
    return warnings.filters, len(warnings.filters)


def _relevant() -> list[Any]:
    """The filters that warnings of floating-point errors meet."""
    return [f for f in warnings.filters if issubclass(RuntimeWarning, f[2])]


def _filtered(begin: str) -> str:
    """What NumPy is to do in place of a warning that begins so; empty where it is to warn."""
    for action, text, category, _, line in warnings.filters:
        match = getattr(text, "match", lambda begin, text=text: text is None or begin.startswith(str(text)))
        if issubclass(RuntimeWarning, category) and match(begin) and not line:
            return {"error": "raise", "ignore": "ignore"}.get(action, "")
    return ""


@lru_cache(maxsize=512)
def _handled(code: CodeType) -> tuple[tuple[int, int], ...]:
    """The instructions of a function, from and to, that stand in a `try` or a `with`."""
    numbers: list[int] = []  # four for each entry, of six bits in each byte, the highest first
    more = 0
    for byte in code.co_exceptiontable:
        value = byte & 63
        if more:
            numbers[-1] = numbers[-1] << 6 | value
        else:
            numbers.append(value)
        more = byte & 64
    entries = zip(numbers[::4], numbers[1::4], numbers[2::4], strict=True)
    # Any other handler only cleans up.
    opcodes = code.co_code
    return tuple((a, a + n) for a, n, target in entries if dis.opname[opcodes[2 * target]] == "PUSH_EXC_INFO")


class Watched(Record):
    """A recording of what becomes a program.

    Attributes:
        around: the Python around it; within another such recording, that one's.
        outermost: whether it is not within another.
    """

    __slots__ = ("around", "outermost")

    def __init__(self, parent: Trace | None, abstract: bool = False, frame: FrameType | None = None) -> None:
        super().__init__(parent, abstract, keeps=True)
        around = _around(parent)
        self.outermost = around is None
        self.around = _Around(frame or sys._getframe(1)) if around is None else around

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        around = self.around
        handling = around.handling()
        plain = primitive.effect or primitive.collective is not None or type(primitive) is Handled
        if handling is not None and not plain:
            primitive, params = under(primitive), {**params, "handling": handling}
        out = super().process(primitive, args, params)
        if around.caught():
            around.catches = True
            results = out if primitive.multiple else (out,)
            mine = [x for x in results if isinstance(x, Tracer) and x.owner is self]
            if mine and fails(primitive, params, list(map(aval_of, args))):
                KEEP.bind(*mine)
        return out

    def class_asked(self) -> None:
        self.around.classes = True

    def close(self) -> list[Any]:
        if self.outermost:
            self.around.frame = None
        return super().close()


def _around(trace: Trace | None) -> _Around | None:
    while trace is not None:
        if isinstance(trace, Watched):
            return trace.around
        trace = trace.parent
    return None


def fails(primitive: Primitive, params: dict[str, Any], avals: Sequence[ShapedArray]) -> bool:
    """Whether an operation raises for some values of operands of these kinds."""
    if type(primitive) is Handled and primitive.raises(params):
        return True
    plain = primitive.plain if type(primitive) is Handled else primitive
    if plain.python is not None and all(a.weak for a in avals):  # Python's numbers raise
        return True
    if plain.fails is not False:
        return plain.fails is True or plain.fails(*avals)
    if not plain.nested:
        return False
    held = [p for value in params.values() for p in (value if isinstance(value, tuple) else (value,))]
    return any(_fails(p) for p in held if isinstance(p, Program))


def _fails(program: Program) -> bool:
    if "fails" not in program.derived:
        program.derived["fails"] = any(
            fails(e.primitive, e.params, [a.aval for a in e.inputs]) for e in program.equations
        )
    return program.derived["fails"]


def depends_on_values(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether an operation that has raised would not do so for other values of the same kinds."""
    try:
        primitive.abstract(*map(aval_of, args), **params)
    except Exception:
        return False
    return True


def catches(program: Program) -> bool:
    """Whether the function of which this is the program catches exceptions of operations in it."""
    return program.derived.get("catches", False)
