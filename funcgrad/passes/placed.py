"""Sums of arrays that were placed side by side into zeros are concatenations.

The gradient of `x[:, 0], x[:, 1], x[:, 2]` is three arrays placed into zeros, and their sum. Where they cover an axis
and do not overlap, no zero is left: `concatenate` writes each element once. (It keeps the sign of a zero, which
`0 + -0` does not.)
"""

from __future__ import annotations

from funcgrad.ir import Equation, Program, Var
from funcgrad.ops.math import ADD
from funcgrad.ops.shape import CONCATENATE, PLACE
from funcgrad.passes.rewrite import remade

__all__ = ["placed"]

_MOST = 256  # addends


def placed(program: Program) -> Program:
    """The program with sums of placed arrays as concatenations; what they were made of is left to `dce`."""
    placements: dict[Var, list[Equation]] = {}  # what a value adds up, if that is nothing else
    found = False
    equations: list[Equation] = []
    for eqn in program.equations:
        if eqn.primitive is ADD:
            parts = _addends(eqn, placements)
            if parts:
                placements[eqn.outputs[0]] = parts
                axis = _axis(parts)
                if axis is not None:
                    parts = sorted(parts, key=lambda e: e.params["start"][axis])
                    eqn = Equation(
                        CONCATENATE, tuple(e.inputs[0] for e in parts), eqn.outputs, {"axis": axis}, eqn.source
                    )
                    found = True
        elif eqn.primitive is PLACE:
            placements[eqn.outputs[0]] = [eqn]
        equations.append(eqn)
    return remade(program, equations, program.outputs) if found else program


def _addends(eqn: Equation, placements: dict[Var, list[Equation]]) -> list[Equation]:
    """The placements that a sum adds up; none if it adds something else, or too many."""
    parts: list[Equation] = []
    for x in eqn.inputs:
        mine = placements.get(x) if isinstance(x, Var) and x.aval == eqn.outputs[0].aval else None
        if not mine:
            return []
        parts += mine
    return parts if len(parts) <= _MOST else []


def _axis(parts: list[Equation]) -> int | None:
    """The axis along which the placed arrays lie side by side, from one end to the other."""
    shape = parts[0].params["shape"]
    spans: set[int] = set()
    for eqn in parts:
        size, start, step = eqn.inputs[0].aval.shape, eqn.params["start"], eqn.params["step"]
        if any(s != 1 and n > 1 for s, n in zip(step, size, strict=True)):
            return None
        spans |= {i for i, (a, n, d) in enumerate(zip(start, size, shape, strict=True)) if (a, n) != (0, d)}
    if len(spans) != 1:
        return None
    (axis,) = spans
    ends = sorted((e.params["start"][axis], e.inputs[0].aval.shape[axis]) for e in parts)
    at = 0
    for a, n in ends:
        if a != at:
            return None
        at += n
    return axis if at == shape[axis] else None
