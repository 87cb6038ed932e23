"""Unrolling: operations on few elements become one that runs on Python's own numbers.

A network of two neurons, the state of an oscillator, the parameters of a fit: there NumPy's calls cost more than what
they compute. Equations that can be written out element by element (`lower_scalars`), and of which that is not more
work than the call, are brought together between those that cannot, each as early as it can be; a group becomes one
`unrolled` equation where the estimates say that it pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.control.scan import SCAN
from funcgrad.control.while_ import WHILE
from funcgrad.executor.lower_scalar_code import LOOPS, can_be_written, few
from funcgrad.executor.lower_scalars import FAR, moves, operations
from funcgrad.executor.unrolled import UNROLLED
from funcgrad.ir import Equation, Program, Var, held
from funcgrad.ir_check import check_program
from funcgrad.passes.pack_rows import pack_rows
from funcgrad.passes.rewrite import enclosed, remade, with_programs

__all__ = ["Unrolling", "are_few", "is_written", "pays", "unroll", "unrolling", "written_ns"]


class Unrolling:
    """What decides whether operations are written out: nanoseconds, as measured, and limits.

    Attributes:
        operation: of arithmetic between two Python floats, with what stores the result.
        call: of a group.
        array, element: of taking an array apart or putting it together, and of each of its elements.
        scalar: of a NumPy scalar that is taken or given.
        gain: which part of NumPy's time a group may take at most.
        most: how many operations a group has at most.
        elements: how many elements an array has at most.
    """

    __slots__ = ("array", "call", "element", "elements", "gain", "most", "operation", "scalar")

    def __init__(self) -> None:
        self.operation, self.call, self.array, self.element, self.scalar = 25.0, 400.0, 200.0, 25.0, 120.0
        self.gain, self.most, self.elements = 0.6, 2000, 64


unrolling = Unrolling()

_NUMPY_NS, _MOVE_NS, _SUM_NS, _SCALAR_NS = 700.0, 250.0, 1300.0, 100.0
"""What a call takes with few elements: elementwise, a view or copy, a sum or product, an operator on NumPy scalars."""
_ROW_NS = 150.0
"""Of a row that a loop reads or writes by NumPy."""
_STEPS = 10
"""A loop of unknown length is taken to have so many steps."""


def unroll(program: Program) -> Program:
    """A program in which groups of operations on few elements are `unrolled` equations.

    Such an equation has the parameter `program` (without constants; its inputs are what the group reads), and one
    result for each value that is read outside the group. The programs of calls, loops and branches are unrolled, too.
    """
    loops = [e for e in program.equations if e.primitive is SCAN and is_written(e)]
    if len(loops) > 1:
        program = pack_rows(program, loops, unrolling.elements)
    chosen = list(map(is_written, program.equations))
    equations = _written_out(program, chosen) if any(chosen) else None
    if equations is None:
        equations = [with_programs(eqn, unroll, lowered=True) for eqn in program.equations]
        if all(a is b for a, b in zip(equations, program.equations, strict=True)):
            return program
    new = remade(program, equations, program.outputs)
    if config.check_ir:
        check_program(new)
    return new


def _written_out(program: Program, chosen: Sequence[bool]) -> list[Equation] | None:
    """The equations with groups in place of those of which that pays; None if there are none."""
    groups = _groups(program.equations, chosen)
    readers: dict[Any, set[int]] = {}
    for k, (group, _) in enumerate(groups):
        for eqn in group:
            for x in eqn.inputs:
                readers.setdefault(x, set()).add(k)
    for x in program.outputs:
        readers.setdefault(x, set()).add(-1)
    made = [
        _unrolled(group, {v for e in group for v in e.outputs if readers.get(v, set()) - {k}}) if written else None
        for k, (group, written) in enumerate(groups)
    ]
    if not any(made):
        return None
    out: list[Equation] = []
    for (group, _), eqn in zip(groups, made, strict=True):
        out += [with_programs(e, unroll, lowered=True) for e in group] if eqn is None else [eqn]
    return out


def _groups(equations: Sequence[Equation], chosen: Sequence[bool]) -> list[tuple[list[Equation], bool]]:
    """The equations in an order in which they can run: groups that might be written out, and others, one by one."""
    after: dict[Any, int] = {}  # how many of those alone come before a value
    small: dict[int, list[Equation]] = {}
    alone: list[Equation] = []
    for eqn, written in zip(equations, chosen, strict=True):
        place = max((after.get(x, 0) for x in eqn.inputs), default=0)
        if written:
            small.setdefault(place, []).append(eqn)
        else:
            alone.append(eqn)
            place = len(alone)
        after.update((v, place) for v in eqn.outputs)
    out: list[tuple[list[Equation], bool]] = []
    for k in range(len(alone) + 1):
        out += [(group, True) for group in _bounded(small.get(k, []))]
        out += [([eqn], False) for eqn in alone[k : k + 1]]
    return out


def _bounded(group: Sequence[Equation]) -> list[list[Equation]]:
    """A group in pieces of so many operations at most."""
    pieces: list[list[Equation]] = []
    total = unrolling.most
    for eqn in group:
        total += _length(eqn)
        if total > unrolling.most or not pieces:
            pieces.append([])
            total = _length(eqn)
        pieces[-1].append(eqn)
    return pieces


def _length(eqn: Equation) -> int:
    """About how many operations are written for an equation."""
    if eqn.primitive in LOOPS:
        return sum(_length(e) for p in held(eqn) for e in p.equations)
    return operations(eqn)


def _steps(eqn: Equation) -> int:
    """How often the programs of a loop or branch run."""
    if eqn.primitive is SCAN:
        return eqn.params["layout"].length
    return _STEPS if eqn.primitive is WHILE else 1


def _rows(eqn: Equation) -> list[Var]:
    """The variables in a loop that stand for rows of stacked arrays."""
    if eqn.primitive is not SCAN:
        return []
    body, layout = eqn.params["program"], eqn.params["layout"]
    return [*body.inputs[layout.consts + layout.carry :], *body.outputs[layout.carry :]]


def written_ns(eqn: Equation) -> float:
    """What an equation costs written out."""
    if eqn.primitive in LOOPS:
        rows = unrolling.element * sum(2 + v.aval.size for v in _rows(eqn))
        return _steps(eqn) * (rows + sum(written_ns(e) for p in held(eqn) for e in p.equations))
    return unrolling.operation * operations(eqn)


def _numpy_ns(eqn: Equation) -> float:
    """What an equation costs as a call of NumPy."""
    if eqn.primitive in LOOPS:
        rows = _ROW_NS * len(_rows(eqn))
        return _steps(eqn) * (rows + sum(_numpy_ns(e) for p in held(eqn) for e in p.equations))
    if moves(eqn.primitive):
        return _MOVE_NS
    if eqn.primitive.generic:
        return _SUM_NS
    arrays = any(x.aval.shape for x in (*eqn.inputs, *eqn.outputs))
    return _NUMPY_NS if arrays or operations(eqn) > 1 else _SCALAR_NS


def is_written(eqn: Equation) -> bool:
    """Whether an equation may be one of a group: it is not more work written out."""
    return (
        can_be_written(eqn, unrolling.elements)
        and _length(eqn) <= unrolling.most
        and written_ns(eqn) <= _numpy_ns(eqn) * (unrolling.gain if eqn.primitive in LOOPS else 1)
    )


def _unrolled(group: Sequence[Equation], read: set[Any]) -> Equation | None:
    """A group as one equation, with the results that are read outside; None if that does not pay."""
    if len(group) < 2 and group[0].primitive not in LOOPS:
        return None
    outputs = [v for e in group for v in e.outputs if v in read]
    inputs, program = enclosed(group, outputs)
    ends = sum(
        unrolling.array + v.aval.size * unrolling.element if v.aval.shape else unrolling.scalar
        for v in (*inputs, *outputs)
    )
    cost = unrolling.call + ends + sum(map(written_ns, group))
    if not outputs or cost > unrolling.gain * sum(map(_numpy_ns, group)):
        return None
    return Equation(UNROLLED, inputs, outputs, {"program": program}, group[0].source)


def are_few(program: Program) -> bool:
    """Whether a program can be written out, and none of its equations is more work then."""
    values = (*program.constvars, *program.inputs, *program.outputs)
    if any(c.dtype.kind == "i" and np.any((c <= -FAR) | (c >= FAR)) for c in program.consts):
        return False
    return all(few(x, unrolling.elements) for x in values) and all(map(is_written, program.equations))


def pays(inputs: Sequence[Var], many: Sequence[Program]) -> bool:
    """Whether programs that can be written out, and are run one after the other, are less work then altogether."""
    equations = [e for p in many for e in p.equations]
    # A call runs some of the programs only, but takes all the arrays apart.
    ends = unrolling.array * sum(bool(v.aval.shape) for v in inputs) / len(many)
    return unrolling.gain > 0 and ends + sum(map(written_ns, equations)) <= sum(map(_numpy_ns, equations))
