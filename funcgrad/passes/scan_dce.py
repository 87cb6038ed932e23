"""The structure of scans: nothing is stacked twice, or stacked that is known without a loop.

- Constants and slices that occur twice occur once; slices of what is the same for all steps are constants.
- Stacks of constants, of slices and of what is stacked already are made of these.
- Carried values that are stacked as a step finds them are the stack of what the steps return, shifted by one: that can
  be written where it stays, while a value that is about to change has to be copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import under
from funcgrad.ir import Atom, Literal, Program, Var
from funcgrad.ops.shape import BROADCAST_TO
from funcgrad.passes.builder import Builder
from funcgrad.passes.loop import Carried, Loop, each_scan
from funcgrad.types import dtype_of, is_a, shape_of

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
        source = eqn.inputs[0]
        if source.aval.shape == row.aval.shape and not source.aval.weak:
            return source
        value: Any = builder.value(source)
        if not row.aval.shape:
            return Literal(np.asarray(value, row.aval.dtype)[()]) if source.is_literal else None
    elif _is_zero(builder.constant_of(x)):
        value = np.zeros((), row.aval.dtype)[()]
        if not row.aval.shape:
            return Literal(value)
    else:
        return None
    with under(builder):
        return builder.atom(BROADCAST_TO.bind(value, shape=row.aval.shape))


def _is_zero(constant: Any) -> bool:
    if not is_a(constant, np.ndarray) or constant.dtype.kind not in "biufc" or np.any(constant):
        return False
    return not constant.tobytes().strip(b"\0")  # -0.0 is another number


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
            builder.replace(stack, builder.value(loop.xs[atom]))
        elif atom in seen:
            builder.env[stack] = seen[atom]
        elif atom in carried and carried[atom].next in made:
            moved.append((carried[atom], stack))
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
        loop.after.append(lambda: _shift(loop, builder, [(c, seen[c.next], stack) for c, stack in moved]))
    return True


def _shift(loop: Loop, builder: Builder, moved: Sequence[tuple[Carried, Var, Var]]) -> None:
    for c, ends, stack in moved:
        with under(builder):
            builder.replace(stack, shifted(builder.value(c.init), builder.value(ends), loop.reverse))


def shifted(init: Any, ends: Any, reverse: bool) -> Any:
    """A carried value as each step finds it, from what the steps make of it."""
    first = np.reshape(init, (1, *shape_of(ends)[1:])).astype(dtype_of(ends))
    return np.concatenate([ends[1:], first] if reverse else [first, ends[:-1]])
