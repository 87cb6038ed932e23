"""The machinery of `algebra`: a walk over the equations that asks rules for something cheaper in place of each.

A rule is a function `rule(s, eqn)` of a `Simplifier` and an equation whose operands have been simplified. It returns
what stands in place of the equation's result, or None if it does not apply. What it emits is simplified in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.ops.shape import BROADCAST_TO
from funcgrad.passes.rewrite import Env, follow
from funcgrad.source import Source
from funcgrad.types import is_a

__all__ = ["Rule", "Settled", "Simplifier"]

_SMALL = 1 << 16
_DEEPEST = 30

Settled = dict[Equation, list[int]]
"""Equations that no rule fits, and how often their operands were read then."""


class Simplifier:
    """A program that is being simplified.

    Attributes:
        equations: what has been kept or emitted so far.
        env: what stands in place of variables that are gone.
        made: for each variable the equation that defines it.
        uses: how often each variable is read.
        spread: constants and results of broadcasts.
        source: the place of the equation that is being simplified.
    """

    __slots__ = (
        "_calm",
        "_consts",
        "_depth",
        "_rules",
        "_settled",
        "_uniform",
        "changed",
        "env",
        "equations",
        "made",
        "source",
        "spread",
        "uses",
    )

    def __init__(self, program: Program, rules: dict[Primitive, tuple[Rule, ...]], settled: Settled) -> None:
        self._rules, self._settled = rules, settled
        self._calm: set[Any] = {*program.inputs, *program.constvars}
        self._consts: dict[Any, Any] = dict(zip(program.constvars, program.consts, strict=True))
        self._uniform: dict[Any, Any] = {}
        self.spread: set[Any] = {v for v in self._consts if v.aval.shape}
        self._depth = 0
        self.equations: list[Equation] = []
        self.env: Env = {}
        self.made: dict[Any, Equation] = {}
        self.uses: dict[Any, int] = {}
        self.changed = False
        self.source: Source = None
        uses = self.uses
        for eqn in program.equations:
            for a in eqn.inputs:
                uses[a] = uses.get(a, 0) + 1
        for a in program.outputs:
            uses[a] = uses.get(a, 0) + 1

    # ------------------------------------------------------------------------------------------------ what is known

    def maker(self, atom: Atom, *primitives: Primitive) -> Equation | None:
        """The equation that defines an atom, if its operation is one of these."""
        eqn = self.made.get(atom)
        return eqn if eqn is not None and eqn.primitive in primitives else None

    def once(self, atom: Atom) -> bool:
        """Whether one operation alone reads an atom, so that it need not be computed if that is gone."""
        return self.uses.get(atom, 0) <= 1

    def scalar(self, atom: Atom) -> Any:
        """The number that an atom is in all its elements; None if that is not known."""
        if isinstance(atom, Literal):
            return atom.value
        eqn = self.made.get(atom)
        if eqn is not None:
            return eqn.inputs[0].value if eqn.primitive is BROADCAST_TO and eqn.inputs[0].is_literal else None
        if atom not in self._consts:
            return None
        if atom not in self._uniform:
            self._uniform[atom] = _same_everywhere(self._consts[atom])
        return self._uniform[atom]

    def constant(self, atom: Atom) -> np.ndarray | None:
        """The array that an atom always is, if that is known."""
        value = self._consts.get(atom)
        return value if is_a(value, np.ndarray) else None

    # ---------------------------------------------------------------------------------------------------- rewriting

    def emit(self, primitive: Primitive, *inputs: Any, **params: Any) -> Atom:
        """A new operation, simplified; operands are atoms and scalars."""
        atoms = tuple([x if isinstance(x, (Var, Literal)) else Literal(x) for x in inputs])
        out = Var(primitive.abstract(*[a.aval for a in atoms], **params))
        for a in atoms:
            self.uses[a] = self.uses.get(a, 0) + 1
        return self._simplified(Equation(primitive, atoms, (out,), params, self.source)) or out

    def add(self, eqn: Equation) -> None:
        """Take over an equation of the program."""
        env = self.env
        if env and any(a in env for a in eqn.inputs):
            ins = tuple([follow(a, env) for a in eqn.inputs])
            eqn = Equation(eqn.primitive, ins, eqn.outputs, eqn.params, eqn.source)
        elif eqn in self._settled:
            calm = self._is_calm(eqn)
            self._calm.update(eqn.outputs)
            if calm:
                self._keep(eqn)
                return
        self.source = eqn.source
        found = self._simplified(eqn)
        if found is not None:
            (var,) = eqn.outputs
            env[var] = found
            self.uses[found] = self.uses.get(found, 0) + self.uses.get(var, 0)

    def _is_calm(self, eqn: Equation) -> bool:
        """Whether nothing has changed around an equation since no rule fitted it."""
        calm, uses = self._calm, self.uses
        for a in eqn.inputs:
            if a not in calm and not a.is_literal:
                return False
        return self._settled[eqn] == [uses[a] for a in eqn.inputs]

    def _keep(self, eqn: Equation) -> None:
        self.equations.append(eqn)
        made = self.made
        for v in eqn.outputs:
            made[v] = eqn
        if eqn.primitive is BROADCAST_TO:
            self.spread.update(eqn.outputs)

    def _simplified(self, eqn: Equation) -> Atom | None:
        """What stands in place of the result of an equation; if that is the equation itself, it is kept."""
        rules = self._rules[eqn.primitive]
        if rules and self._depth < _DEEPEST:
            aval = eqn.outputs[0].aval
            self._depth += 1
            for rule in rules:
                found = rule(self, eqn)
                if found is not None and found.aval == aval:
                    self._depth -= 1
                    self.changed = True
                    self._unused(eqn)
                    return found
            self._depth -= 1
            uses = self.uses
            self._settled[eqn] = [uses[a] for a in eqn.inputs]
        self._keep(eqn)
        return None

    def _unused(self, eqn: Equation) -> None:
        """Note that an equation is gone, and those that only it has read."""
        uses = self.uses
        todo = [eqn]
        while todo:
            for a in todo.pop().inputs:
                uses[a] = left = uses.get(a, 0) - 1
                if left == 0 and a in self.made and len(self.made[a].outputs) == 1:
                    todo.append(self.made[a])


Rule = Callable[[Simplifier, Equation], Atom | None]


def _same_everywhere(value: Any) -> Any:
    """The scalar that an array has everywhere, bit by bit; None if there is none."""
    if not is_a(value, np.ndarray) or not value.size or value.nbytes > _SMALL or value.dtype.kind not in "biufc":
        return None
    first = value.reshape(-1)[:1]
    if any(value.strides) and value.tobytes() != first.tobytes() * value.size:
        return None
    return first[0]
