"""The structure of scans: nothing is stacked twice, or stacked that is known without a loop.

- Constants and slices that occur twice occur once; slices of what is the same for all steps are constants.
- Stacks of constants, of slices and of what is stacked already are made of these.
- Carried values that are stacked as a step finds them are the stack of what the steps return, shifted by one: that can
  be written where it stays, while a value that is about to change has to be copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import under
from funcgrad.ir import Atom, Program, Var
from funcgrad.ops.shape import BROADCAST_TO
from funcgrad.passes.builder import Builder
from funcgrad.passes.loop import Carried, Loop, each_scan

__all__ = ["scan_dce", "shifted"]


def scan_dce(program: Program) -> Program:
    """The program with the structure of its scans made simple; the programs inside their bodies are left alone."""
    return each_scan(program, _simplify)


def _simplify(loop: Loop, builder: Builder) -> bool:
    inputs = _merge_inputs(loop, builder)
    stacks = _known_stacks(loop, builder)
    if inputs or stacks:
        loop.prune()
    return inputs or stacks


def _merge_inputs(loop: Loop, builder: Builder) -> bool:
    """Merge equal constants and equal slices; slices that are all the same become constants."""
    env: dict[Any, Atom] = {}
    first: dict[Any, Var] = {}
    for var, x in list(loop.consts.items()):
        if x.is_literal:
            if x.aval == var.aval:
                env[var] = x
        elif first.setdefault((x, var.aval), var) is not var:
            env[var] = first[x, var.aval]
    stacks: dict[Any, Var] = {}
    changed = False
    for var, x in list(loop.xs.items()):
        row = _same_rows(x, var, builder)
        if row is not None:
            loop.consts[var] = row
            del loop.xs[var]
            changed = True
        elif stacks.setdefault(x, var) is not var:
            env[var] = stacks[x]
    loop.substitute(env)
    return changed or bool(env)


def _same_rows(x: Atom, row: Var, builder: Builder) -> Atom | None:
    """What all slices of a stack are, if they are known to be the same."""
    eqn = builder.made.get(x)
    if eqn is not None and eqn.primitive is BROADCAST_TO and eqn.inputs[0].aval.ndim < x.aval.ndim:
        value: Any = builder.value(eqn.inputs[0])
        if eqn.inputs[0].aval.shape == row.aval.shape and not eqn.inputs[0].aval.weak:
            return eqn.inputs[0]
    else:
        constant = builder.constant_of(x)
        if not isinstance(constant, np.ndarray) or constant.dtype.kind not in "biufc" or constant.view(np.uint8).any():
            return None
        value = constant.dtype.type(0)
    with under(builder):
        return builder.atom(BROADCAST_TO.bind(value, shape=row.aval.shape))


def _known_stacks(loop: Loop, builder: Builder) -> bool:
    """Replace stacked results that need no stacking."""
    carried = {c.var: c for c in loop.carry}
    made = {v for e in loop.equations for v in e.outputs}
    seen: dict[Any, Var] = {}
    kept: list[tuple[Atom, Var]] = []
    before = len(loop.ys)
    moved: list[tuple[Carried, Var]] = []
    for atom, stack in loop.ys:
        if atom.is_literal or atom in loop.consts:
            source = atom if atom.is_literal else loop.consts[atom]  # type: ignore[index]
            with under(builder):
                value = BROADCAST_TO.bind(builder.value(source), shape=stack.aval.shape)
            builder.replace(stack, value)
        elif atom in loop.xs:
            builder.replace(stack, builder.value(loop.xs[atom]))  # type: ignore[index]
        elif atom in seen:
            builder.env[stack] = seen[atom]
        elif atom in carried and carried[atom].next in made:  # type: ignore[index]
            moved.append((carried[atom], stack))  # type: ignore[index]
        else:
            seen[atom] = stack
            kept.append((atom, stack))
    if len(kept) == before:
        return False
    loop.ys = kept
    for c, stack in moved:
        if c.next not in seen:
            seen[c.next] = Var(stack.aval)
            loop.ys.append((c.next, seen[c.next]))
    if moved:
        _shift(loop, builder, [(c, seen[c.next], stack) for c, stack in moved])
    return True
