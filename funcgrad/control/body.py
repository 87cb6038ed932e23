"""Recordings of what may never run: a branch, the body of a loop.

An operation on values from outside alone would be done ahead, once, by any other recording. Here it is part of what is
recorded: where the branch is not taken it must neither raise nor warn. Where Python asks for such a value (`if`, `int`)
it is computed outside all the same: then the recording depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.core import AbstractTracer, Primitive, Tracer, on_behalf
from funcgrad.ir import Equation
from funcgrad.ops.collective import AXIS_INDEX
from funcgrad.record import RecordTracer
from funcgrad.types import ShapedArray, is_a
from funcgrad.watched import Watched

__all__ = ["Body"]


class Body(Watched):
    """Records a function together with what it does with values from outside."""

    __slots__ = ()

    def records(self, primitive: Primitive, args: Sequence[Any]) -> bool:
        if primitive is AXIS_INDEX:  # a value from outside, such as an example that takes no part gets another's of
            return False
        return any(is_a(a, Tracer) for a in args) or super().records(primitive, args)

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        out = super().process(primitive, args, params)
        results = out if primitive.multiple else (out,)
        if not primitive.effect and primitive.collective is None and any(map(self._is_mine, results)):
            eqn = next(e for e in reversed(self.equations) if any(x is results[0] for x in e.outputs))
            if all(not self._is_mine(a) or is_a(a.value, Outside) for a in eqn.inputs):
                for i, x in enumerate(results):
                    x.value = Outside(self, eqn, i, x.aval)
        return out

    def _is_mine(self, x: Any) -> bool:
        return is_a(x, RecordTracer) and x.owner is self


class Outside(AbstractTracer):
    """A value that depends on values from outside alone, in the trace around a recording; computed if asked for."""

    __slots__ = ("equation", "index")

    def __init__(self, record: Body, equation: Equation, index: int, aval: ShapedArray) -> None:
        super().__init__(record, aval, equation.source)
        self.equation, self.index = equation, index

    @property
    def stands_for(self) -> type:
        if self._aval.shape == () and not self._aval.weak:
            self.owner.class_asked()  # type: ignore[attr-defined]
        return super().stands_for

    def _computed(self) -> Any:
        eqn = self.equation
        ins = [a.value._computed() if is_a(a, RecordTracer) and a.owner is self.owner else a for a in eqn.inputs]
        with on_behalf(self.owner.parent, eqn.source):
            out = eqn.primitive.bind(*ins, **eqn.params)
        return out[self.index] if eqn.primitive.multiple else out

    def concrete(self, how: str | None = None) -> Any:
        if how is None:  # the library itself can do without
            return None
        value = self._computed()
        return value.concrete(how) if is_a(value, Tracer) else value

    def unanswered(self, error: Exception) -> BaseException:
        value = self._computed()
        return value.unanswered(error) if is_a(value, Tracer) else super().unanswered(error)

    @property
    def differentiated(self) -> bool:
        value = self._computed()
        return is_a(value, Tracer) and value.differentiated
