"""From a recording to a program of its residuals: what a linear function is as a pytree.

The recording's values are replaced by variables, the rules of one direction are recorded over these, and the program is
divided: what does not depend on the arguments of the linear function is computed ahead, and is its residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from funcgrad.core import Trace, Tracer, on_behalf, under
from funcgrad.errors import ArgumentError
from funcgrad.ir import Equation, Program, Var, has_effect
from funcgrad.record import Record, RecordTracer
from funcgrad.transforms.call import close, needed, replay
from funcgrad.transforms.linear_function import Body, body_of
from funcgrad.transforms.vjp import Recording
from funcgrad.types import aval_of, is_a, shape_of

__all__ = ["Lifted", "divided", "run_body"]


class Lifted:
    """A copy of a recording, with variables of an abstract record in place of its values.

    Numbers that the function computes with stay what they are. What an operation has kept for its reverse pass is
    recorded anew.

    Attributes:
        record: the abstract record.
        recording: the copy.
    """

    def __init__(self, original: Recording) -> None:
        self._owner = original.record
        self.record = Record(original.record.parent, abstract=True)
        self._variables: list[RecordTracer] = []
        self._values: list[Any] = []
        self._outside: dict[int, RecordTracer] = {}
        self._tracers: dict[int, RecordTracer] = {}
        copy = self.recording = Recording(original.record)
        copy.inputs = list(map(self._tracer, original.inputs))
        copy.equations = list(map(self._equation, original.equations))
        copy.outputs = [self._tracers.get(id(x), x) for x in original.outputs]

    def _variable(self, value: Any) -> RecordTracer:
        self._values.append(value)
        self._variables.append(self.record.input(value))
        return self._variables[-1]

    def _tracer(self, t: RecordTracer) -> RecordTracer:
        made = self._tracers[id(t)] = RecordTracer(self._owner, self._variable(t.value), None, t.source, t.active)
        return made

    def _operand(self, x: Any, value: Any) -> Any:
        """An operand in the copy: a tracer of the recording's, a variable for an array from outside, or a number."""
        if id(x) in self._tracers:
            return self._tracers[id(x)]
        if not is_a(value, (np.ndarray, Tracer)):
            return value
        if id(value) not in self._outside:
            self._outside[id(value)] = self._variable(value)
        return self._outside[id(value)]

    def _equation(self, eqn: Equation) -> Equation:
        ins = list(map(self._operand, eqn.inputs, eqn.values))
        values = [x.value if isinstance(x, RecordTracer) and x.owner is self._owner else x for x in ins]
        outs = tuple(map(self._tracer, eqn.outputs))
        kept: Any = None
        if eqn.kept is not None:
            forward: Any = eqn.primitive.forward
            with on_behalf(self.record, eqn.source):
                _, kept = forward(values, eqn.wanted, **eqn.params)
        return Equation(eqn.primitive, ins, outs, eqn.params, eqn.source, values, eqn.wanted, kept)

    def parts(
        self, args: Sequence[RecordTracer], results: Sequence[Any], name: str, sides: Hashable, call: Callable[..., Any]
    ) -> tuple[tuple[Any, ...], Body]:
        """Residuals and body of the linear function from variables of the record to what was recorded from them."""
        whole, consts = close(self.record.program([*self._variables, *args], results))
        self.record.close()
        program, residuals = divided(whole, [*consts, *self._values], self._owner.parent)
        return tuple(residuals), body_of(name, program, len(residuals), sides, call)


def divided(whole: Program, known: Sequence[Any], parent: Trace | None) -> tuple[Program, list[Any]]:
    """The part of a program that depends on more than its first inputs, which are known, and the values that it reads.

    The rest is computed, under `parent`, but for what only moves elements.
    """
    first = whole.inputs[: len(known)]
    there: set[Any] = set(first)
    ahead: list[Equation] = []
    after: list[Equation] = []
    for eqn in whole.equations:
        reads = {a for a in eqn.inputs if isinstance(a, Var)}
        if reads and reads <= there and not eqn.primitive.moves and not has_effect(eqn.primitive, eqn.params):
            ahead.append(eqn)
            there.update(eqn.outputs)
        else:
            after.append(eqn)
    after = needed(after, whole.outputs, list(there))
    read = dict.fromkeys(a for a in (*(a for e in after for a in e.inputs), *whole.outputs) if a in there)
    residuals: list[Any] = list(read)
    program = Program((), (), [*residuals, *whole.inputs[len(known) :]], after, whole.outputs)
    computing = Program((), (), first, needed(ahead, residuals, first), residuals)
    with under(parent):
        return program, replay(computing, known)


def run_body(body: Body, residuals: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """The flat results. Raises ArgumentError for residuals of other shapes: those of a batch, say."""
    for x, want in zip(residuals, body.program.in_avals, strict=False):
        if shape_of(x) != want.shape:
            raise ArgumentError(
                f"{body.name}: it is a pytree, and a leaf of it that was {want} is {aval_of(x)}; a batch of such "
                "functions is applied by vmap(lambda f, x: f(x))"
            )
    return replay(body.program, [*residuals, *args])
