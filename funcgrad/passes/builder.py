"""Building programs by running NumPy code on their variables.

A `Builder` is a trace under which each operation becomes an equation at once, so that a pass can say what it puts into
a program in plain NumPy, and use the batching rules of primitives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.aliasing import settle
from funcgrad.core import Primitive, Trace, Tracer
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.passes.rewrite import Env, adapted, follow
from funcgrad.types import ShapedArray, aval_of, is_a

__all__ = ["Builder", "Value"]


class Value(Tracer):
    """A variable of the program that is being built."""

    __slots__ = ("var",)

    def __init__(self, trace: Trace, var: Var) -> None:
        self.owner, self.var, self.source = trace, var, None

    @property
    def aval(self) -> ShapedArray:
        return self.var.aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self.var.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.var.aval.dtype

    def concrete(self, how: str | None = None) -> None:
        return None


class Builder(Trace):
    """A program under construction, with the constants and inputs of another.

    Attributes:
        equations: so far.
        env: what stands in place of variables of the old program that are gone.
        changed: whether anything differs from the old program.
        made: for each variable the equation that defines it.
    """

    __slots__ = ("_consts", "_known", "_program", "changed", "env", "equations", "made")

    def __init__(self, program: Program) -> None:
        super().__init__(None)
        self._program = program
        self._consts: dict[Var, Any] = dict(zip(program.constvars, program.consts, strict=True))
        self._known = {id(value): var for var, value in self._consts.items()}
        self.equations: list[Equation] = []
        self.env: Env = {}
        self.made: dict[Any, Equation] = {}
        self.changed = False

    # ---------------------------------------------------------------------------------------- values and variables

    def value(self, atom: Atom) -> Any:
        """An atom of the program as NumPy code can use it."""
        return atom.value if isinstance(atom, Literal) else Value(self, atom)

    def atom(self, x: Any) -> Atom:
        """A value as an atom of the program; an array becomes a constant of it."""
        x = settle(x)
        if isinstance(x, Value):
            return x.var
        if not is_a(x, np.ndarray) or x.ndim == 0:
            return Literal(x[()] if is_a(x, np.ndarray) else x)
        return self.constant(x)

    def constant(self, value: Any) -> Var:
        """The variable of a constant."""
        if id(value) not in self._known:
            var = self._known[id(value)] = Var(aval_of(value))
            self._consts[var] = value
        return self._known[id(value)]

    def constant_of(self, atom: Atom) -> Any:
        """The array that a variable stands for if it is a constant; else None."""
        return self._consts.get(atom) if isinstance(atom, Var) else None

    def is_zero(self, atom: Atom) -> bool:
        """Whether an atom is known to be zero."""
        while (eqn := self.made.get(atom)) is not None and len(eqn.inputs) == 1 and eqn.primitive.linear == "all":
            (atom,) = eqn.inputs
        value = atom.value if isinstance(atom, Literal) else self.constant_of(atom)
        return value is not None and not isinstance(value, Tracer) and not np.any(value)

    # --------------------------------------------------------------------------------------------------- equations

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        atoms = tuple(map(self.atom, args))
        out = primitive.abstract(*(a.aval for a in atoms), **params)
        results = tuple(Var(a) for a in (out if primitive.multiple else (out,)))
        self.append(Equation(primitive, atoms, results, params, self.source))
        values = tuple(Value(self, v) for v in results)
        return values if primitive.multiple else values[0]

    def append(self, eqn: Equation) -> None:
        """Add an equation as it is."""
        self.equations.append(eqn)
        self.made.update((v, eqn) for v in eqn.outputs)

    def keep(self, eqn: Equation) -> None:
        """Add an equation of the old program."""
        self.append(self.current(eqn))

    def current(self, eqn: Equation) -> Equation:
        """An equation of the old program with what stands in place of its operands."""
        if self.env and any(a in self.env for a in eqn.inputs):
            ins = [follow(a, self.env) for a in eqn.inputs]
            return Equation(eqn.primitive, ins, eqn.outputs, eqn.params, eqn.source)
        return eqn

    def current_atom(self, atom: Atom) -> Atom:
        """What stands in place of an atom of the old program."""
        return follow(atom, self.env)

    def replace(self, var: Var, x: Any) -> None:
        """Let a value stand in place of a variable of the old program."""
        found = adapted(self.atom(x), var, self.equations, self.source)
        assert found is not None, f"{aval_of(x)} in place of {var.aval}"
        self.env[var] = found

    def program(self) -> Program:
        """The program; the old one if nothing was changed."""
        p = self._program
        if not self.changed:
            return p
        consts = self._consts
        outputs = [follow(a, self.env) for a in p.outputs]
        return Program(tuple(consts), tuple(consts.values()), p.inputs, self.equations, outputs, p.in_tree, p.out_tree)
