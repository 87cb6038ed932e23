"""A program cut into parts, each of which runs on the host or on a device as one program, in an order that is possible.

Equations of one side that are ready are put into one part, however far apart they stand in the program. Equations with
effects keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.ir import Equation, Program, Var, has_effect

__all__ = ["Part", "parts_of"]


class Part(NamedTuple):
    """Equations of one side.

    Attributes:
        on_device: which side that is.
        program: the equations; constants of the whole program that they read are constants of this one.
        reads: what its inputs are in the whole program.
        gives: what its outputs are there.
    """

    on_device: bool
    program: Program
    reads: tuple[Var, ...]
    gives: tuple[Var, ...]


def parts_of(program: Program, on_device: Sequence[bool]) -> list[Part]:
    """The parts of a program, in order; `on_device` says for each equation where it runs."""
    groups = _groups(program.equations, on_device)
    needed: set[Any] = set(program.outputs)
    parts: list[Part] = []
    for there, equations in reversed(groups):
        made = {v for e in equations for v in e.outputs}
        gives = tuple(v for e in equations for v in e.outputs if v in needed)
        read = dict.fromkeys(a for e in equations for a in e.inputs if isinstance(a, Var) and a not in made)
        consts = {v: c for v, c in zip(program.constvars, program.consts, strict=True) if v in read}
        reads = tuple(v for v in read if v not in consts)
        needed.update(reads)
        part = Program(tuple(consts), tuple(consts.values()), reads, equations, gives)
        parts.append(Part(there, part, reads, gives))
    return parts[::-1]


def _groups(equations: Sequence[Equation], on_device: Sequence[bool]) -> list[tuple[bool, list[Equation]]]:
    """Equations of one side that can follow one another, side by side in turn."""
    waiting, readers = _dependences(equations)
    ready: tuple[list[int], list[int]] = ([], [])
    for i, n in enumerate(waiting):
        if not n:
            ready[on_device[i]].append(i)
    groups: list[tuple[bool, list[Equation]]] = []
    side = bool(ready[True])  # the device works while the host does what does not depend on it
    while ready[False] or ready[True]:
        group: list[int] = []
        queue = ready[side]
        for i in queue:  # which grows
            group.append(i)
            for j in readers[i]:
                waiting[j] -= 1
                if not waiting[j]:
                    ready[on_device[j]].append(j)
        queue.clear()
        if group:
            groups.append((side, [equations[i] for i in sorted(group)]))
        side = not side
    return groups


def _dependences(equations: Sequence[Equation]) -> tuple[list[int], list[list[int]]]:
    """For each equation for how many others it waits, and which wait for it."""
    maker = {v: i for i, e in enumerate(equations) for v in e.outputs}
    waiting: list[int] = []
    readers: list[list[int]] = [[] for _ in equations]
    last: int | None = None  # of the equations with effects so far
    for i, eqn in enumerate(equations):
        before = {maker[a] for a in eqn.inputs if a in maker}
        if has_effect(eqn.primitive, eqn.params):
            if last is not None:
                before.add(last)
            last = i
        waiting.append(len(before))
        for j in before:
            readers[j].append(i)
    return waiting, readers
