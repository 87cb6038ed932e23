"""A scan taken apart, so that passes can move its parts, and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.control.scan import SCAN, Layout
from funcgrad.core import Tracer
from funcgrad.executor.lower_scalar_code import can_be_written, few
from funcgrad.ir import Atom, Equation, Program, Var, has_effect
from funcgrad.passes.builder import Builder
from funcgrad.passes.unroll import unrolling

__all__ = ["Carried", "Loop", "each_scan"]


class Carried:
    """A carried value: its variable in the body, what it starts with, what a step makes of it, what it ends with."""

    __slots__ = ("final", "init", "next", "var")

    def __init__(self, var: Var, init: Atom, next: Atom, final: Var) -> None:
        self.var, self.init, self.next, self.final = var, init, next, final


class Loop:
    """A scan.

    Attributes:
        consts: the body's variables for constants, and the operands for these.
        carry: the carried values.
        xs: the body's variables for slices, and the stacked operands.
        ys: what the body returns to be stacked, and the variables of the stacks.
        equations: those of the body.
        length, reverse, source: as in the equation.
        after: functions to be called when the equation stands in the program.
    """

    __slots__ = ("after", "carry", "consts", "equations", "length", "out_tree", "reverse", "source", "xs", "ys")

    def __init__(self, eqn: Equation, builder: Builder) -> None:
        """Take an equation apart; the constants of its body become constants of the program that is being built."""
        body: Program = eqn.params["program"]
        layout: Layout = eqn.params["layout"]
        const_vars, carry_vars, x_vars = layout.split(body.inputs)
        consts, inits, stacks = layout.split(eqn.inputs)
        n = layout.carry
        self.consts: dict[Var, Atom] = dict(zip(const_vars, consts, strict=True))
        self.consts.update((v, builder.constant(c)) for v, c in zip(body.constvars, body.consts, strict=True))
        self.carry = [
            Carried(*parts) for parts in zip(carry_vars, inits, body.outputs[:n], eqn.outputs[:n], strict=True)
        ]
        self.xs: dict[Var, Atom] = dict(zip(x_vars, stacks, strict=True))
        self.ys: list[tuple[Atom, Var]] = list(zip(body.outputs[n:], eqn.outputs[n:], strict=True))
        self.equations = list(body.equations)
        self.length, self.reverse = layout.length, layout.reverse
        self.source, self.out_tree = eqn.source, body.out_tree
        self.after: list[Callable[[], None]] = []

    def readers(self) -> dict[Atom, list[Equation | None]]:
        """For each variable of the body the equations that read it; None among them if the body returns it."""
        found: dict[Atom, list[Equation | None]] = {}
        for eqn in self.equations:
            for a in eqn.inputs:
                found.setdefault(a, []).append(eqn)
        for a in self.results():
            found.setdefault(a, []).append(None)
        return found

    def few(self) -> bool:
        """Whether the steps have so few elements that they can be written out over Python's numbers."""
        values = [*self.consts, *(c.var for c in self.carry), *self.xs, *self.results()]
        return all(few(x, unrolling.elements) for x in values) and all(
            can_be_written(e, unrolling.elements) for e in self.equations
        )

    def results(self) -> list[Atom]:
        """What the body returns."""
        return [*(c.next for c in self.carry), *(a for a, _ in self.ys)]

    def substitute(self, env: dict[Any, Atom]) -> None:
        """Put other atoms in place of variables of the body."""
        if not env:
            return
        self.equations = [
            Equation(e.primitive, [env.get(a, a) for a in e.inputs], e.outputs, e.params, e.source)
            if any(a in env for a in e.inputs)
            else e
            for e in self.equations
        ]
        for c in self.carry:
            c.next = env.get(c.next, c.next)
        self.ys = [(env.get(a, a), v) for a, v in self.ys]

    def prune(self) -> None:
        """Drop equations, constants and slices that nothing reads."""
        live: set[Any] = set(self.results())
        kept: list[Equation] = []
        for eqn in reversed(self.equations):
            if not live.isdisjoint(eqn.outputs):
                kept.append(eqn)
                live.update(eqn.inputs)
        self.equations = kept[::-1]
        self.consts = {v: a for v, a in self.consts.items() if v in live}
        self.xs = {v: a for v, a in self.xs.items() if v in live}

    def equation(self) -> Equation | None:
        """The scan as an equation; None if it has no results."""
        outputs = [*(c.final for c in self.carry), *(v for _, v in self.ys)]
        if not outputs:
            return None
        inputs = [*self.consts, *(c.var for c in self.carry), *self.xs]
        program = Program((), (), inputs, self.equations, self.results(), None, self.out_tree)
        layout = Layout(len(self.consts), len(self.carry), self.length, self.reverse)
        operands = [*self.consts.values(), *(c.init for c in self.carry), *self.xs.values()]
        return Equation(SCAN, operands, outputs, {"program": program, "layout": layout}, self.source)


def each_scan(program: Program, change: Callable[[Loop, Builder], bool]) -> Program:
    """The program with each of its scans changed by `change(loop, builder)`, which says whether it did."""
    if not any(e.primitive is SCAN for e in program.equations):
        return program
    builder = Builder(program)
    for eqn in program.equations:
        eqn = builder.current(eqn)
        if eqn.primitive is SCAN and eqn.params["layout"].length and _may_change(eqn):
            builder.source = eqn.source
            loop = Loop(eqn, builder)
            if change(loop, builder):
                builder.changed = True
                made = loop.equation()
                if made is not None:
                    builder.append(made)
                for finish in loop.after:
                    finish()
                continue
        builder.append(eqn)
    return builder.program()


def _may_change(eqn: Equation) -> bool:
    """Whether a scan may be taken apart: it closes over no tracers, and its steps have no effects."""
    return not any(isinstance(c, Tracer) for c in eqn.params["program"].consts) and not has_effect(SCAN, eqn.params)
