"""Sums of arrays that were placed side by side into zeros are concatenations.

The gradient of `x[:, 0], x[:, 1], x[:, 2]` is three arrays placed into zeros, and their sum. Where they cover an axis
and do not overlap, no zero is left: `concatenate` writes each element once. (It keeps the sign of a zero, which
`0 + -0` does not.)
"""

from __future__ import annotations

from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ops.math import ADD
from funcgrad.ops.shape import CONCATENATE, PLACE
from funcgrad.passes.rewrite import remade

__all__ = ["placed"]

_MOST = 256  # addends


def placed(program: Program) -> Program:
    """The program with sums of placed arrays as concatenations; what they were made of is left to `dce`."""
    makers: dict[Var, Equation] = {}
    found = False
    equations: list[Equation] = []
    for eqn in program.equations:
        if eqn.primitive is ADD:
            parts: list[Equation] = []
            if _addends(eqn, makers, parts):
                axis = _axis(parts)
                if axis is not None:
                    parts.sort(key=lambda e: e.params["start"][axis])
                    eqn = Equation(
                        CONCATENATE, tuple(e.inputs[0] for e in parts), eqn.outputs, {"axis": axis}, eqn.source
                    )
                    found = True
        if eqn.primitive in (ADD, PLACE):
            makers[eqn.outputs[0]] = eqn
        equations.append(eqn)
    return remade(program, equations, program.outputs) if found else program


def _addends(eqn: Equation, makers: dict[Var, Equation], parts: list[Equation]) -> bool:
    """Collect the placements that a sum adds up; False if it adds something else."""
    pending: list[Atom] = list(eqn.inputs)
    while pending:
        x = pending.pop()
        made = None if x.is_literal else makers.get(x)  # type: ignore[arg-type]
        if made is None or len(parts) + len(pending) > _MOST or made.outputs[0].aval != eqn.outputs[0].aval:
            return False
        if made.primitive is PLACE:
            parts.append(made)
        else:
            pending += made.inputs
    return True


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
