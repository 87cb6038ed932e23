"""Batches of which some examples take no part: in a branch that others chose, in a loop that is over for them.

What runs is vectorised, and so runs on something for every example. For those that take no part that is a copy of one
that does; their results are thrown away. So nothing is ever computed from operands for which it was not meant: no
exception, warning, endless loop or NaN comes of it.

An operation with an effect, a `debug.print`, say, must not be done for a copy: such programs run for one example after
the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.scan import Layout, bind_scan
from funcgrad.core import Primitive, Tracer, current_trace, under
from funcgrad.ir import Equation, Program
from funcgrad.ops.collective import AXIS_INDEX
from funcgrad.ops.index import GATHER
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.record import RecordTracer
from funcgrad.transforms.call import cached, record_program
from funcgrad.transforms.jvp import JVPTracer
from funcgrad.transforms.vmap import BatchTrace, BatchTracer
from funcgrad.types import ShapedArray, aval_of, is_a, shape_of

__all__ = ["STAND_IN", "Axis", "known", "of_examples", "one_by_one", "selected", "stand_ins", "taker"]


STAND_IN = declare(
    "stand_in",
    lambda x: x,
    lambda x: x,
    jvp=lambda tangents, out, ins: None if tangents[0] is None else STAND_IN.bind(tangents[0]),
    vjp=lambda ct, out, ins, wanted: [None],
    pointwise=True,
    moves="alias",
)
"""The identity, of what stands in for examples that take no part. Their results are thrown away, so that its cotangent
is zero, and not the product of a zero and an infinite derivative. A tangent is passed on: it stands in too."""
STAND_IN.batch = batch_pointwise(STAND_IN)


def known(x: Any) -> Any:
    """The value; None if it is abstract."""
    return x.concrete() if isinstance(x, Tracer) else x


def of_examples(x: Any) -> Any:
    """The values that a traced one stands for, of all examples of all batches around; None if they are not known."""
    if is_a(x, BatchTracer):
        return of_examples(x.value)
    inner = x.value if is_a(x, RecordTracer) else x.primal if is_a(x, JVPTracer) else None
    return of_examples(inner) if is_a(inner, Tracer) else known(x)


def taker(takes: Any) -> tuple[Any, Any]:
    """An example that takes part (0 if there is none), and whether there is one. `takes` has at least one element."""
    first = np.argmax(takes)
    return first, GATHER.bind(takes, first, axes=(0,))


def stand_ins(xs: Sequence[Any], batched: Sequence[bool], takes: Any, first: Any) -> list[Any]:
    """The operands, with those of example `first` in place of those of examples that take no part."""
    return [
        selected(takes, x, STAND_IN.bind(GATHER.bind(x, first, axes=(0,)))) if b else x
        for x, b in zip(xs, batched, strict=True)
    ]


def selected(takes: Any, new: Any, old: Any) -> Any:
    """`new` for the examples that take part, `old` for the others."""
    ones = (1,) * (len(shape_of(new)) - 1)
    return np.where(np.reshape(takes, (*shape_of(takes), *ones)) if ones else takes, new, old)


def _combines(primitive: Primitive) -> bool:
    return primitive.collective is not None and primitive is not AXIS_INDEX


class Axis(NamedTuple):
    """The axis of a batch: how many examples there are, and what collectives call it."""

    size: int
    name: Any

    def together(self, *programs: Program) -> bool:
        """Whether programs combine examples, of this batch or of one around it, so that all must take part."""
        return any(self._does(p, "combine", _combines) for p in programs)

    def separately(self, *programs: Program) -> bool:
        """Whether programs have an effect, so that they must run for one example after the other."""
        effect = any(self._does(p, "effect", lambda primitive: primitive.effect) for p in programs)
        # Outside of the batch the axis has no name.
        return effect and not any(self._does(p, "collective", lambda q: q.collective is not None) for p in programs)

    def _does(self, program: Program, what: str, test: Callable[[Primitive], bool]) -> bool:
        """Whether a test holds of an operation in a program, or in what its operations run."""

        def found() -> bool:
            inner = (p for e in program.equations for p in self._programs(e))
            return any(test(e.primitive) for e in program.equations) or any(self._does(p, what, test) for p in inner)

        return cached(program, ("does", what), found)

    def _programs(self, eqn: Equation) -> list[Program]:
        """The programs that an operation runs; of a function with rules of its own, what it does."""
        held = [p for value in eqn.params.values() for p in (value if isinstance(value, tuple) else (value,))]
        programs = [p for p in held if isinstance(p, Program)]
        if programs or not eqn.primitive.nested or eqn.primitive.called is None:
            return programs
        with under(BatchTrace(current_trace(), self.size, self.name)):
            called = eqn.primitive.called(eqn.params)
            return [] if called is None else [called([a.aval for a in eqn.inputs])]


def one_by_one(
    primitive: Primitive, args: Sequence[Any], batched: Sequence[bool], size: int, params: dict[str, Any]
) -> Any:
    """An operation on one example after the other, as a scan: its results, stacked."""
    order = sorted(range(len(args)), key=lambda i: batched[i])  # constants first
    consts = len(args) - sum(batched)
    avals = [_example(args[i]) if batched[i] else aval_of(args[i]) for i in order]

    def run(*xs: Any) -> Any:
        by_place = dict(zip(order, xs, strict=True))
        return primitive.bind(*(by_place[i] for i in range(len(args))), **params)

    program = record_program(avals, run)
    return bind_scan(program, Layout(consts, 0, size, False), [args[i] for i in order])


def _example(x: Any) -> ShapedArray:
    aval = aval_of(x)
    return ShapedArray(aval.shape[1:], aval.dtype)
