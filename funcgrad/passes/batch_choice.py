"""Which work of a scan is done for all steps at once: before the loop, in it, or after it.

An equation of the body that reads only constants and slices can go *ahead* of the loop; one that no carried value
depends on can be done *later*. Where the line is drawn decides which values are stacked. A carried value to which each
step only adds is a sum over steps, and needs not be carried if what is added can be had from stacks.

The best lines are found by dynamic programming from inputs to results, as if no value were used twice: exact for trees,
close for what occurs in practice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from funcgrad.control.scan import SCAN
from funcgrad.ir import Atom, Equation, Var
from funcgrad.ops.math import ADD, SUB
from funcgrad.ops.rules import WEAKEN
from funcgrad.passes.batch_cost import BY_NUMPY, LIMIT, WRITTEN_OUT
from funcgrad.passes.exact import adds_up
from funcgrad.passes.loop import Carried, Loop
from funcgrad.types import ShapedArray

__all__ = ["Choice", "Sum"]


class Sum(NamedTuple):
    """A carried value to which each step adds: what it adds, with the signs, and the equations that do."""

    carried: Carried
    parts: list[tuple[Atom, int]]
    equations: list[Equation]


def _sum_of(c: Carried, readers: dict[Atom, list[Equation | None]]) -> Sum | None:
    """A carried value as a sum over steps, if it is one, and nothing in the body reads it."""
    aval = c.var.aval
    if aval.weak or aval.dtype.kind not in "iufc" or c.next is c.var:
        return None
    parts: list[tuple[Atom, int]] = []
    equations: list[Equation] = []
    at: Atom = c.var
    while at is not c.next:
        found = readers.get(at, [])
        eqn = found[0] if len(found) == 1 else None
        if eqn is None or eqn.primitive not in (ADD, SUB) or (eqn.primitive is SUB and eqn.inputs[0] is not at):
            return None
        (other,) = [a for a in eqn.inputs if a is not at]
        (out,) = eqn.outputs
        if (out.aval.shape, out.aval.dtype) != (aval.shape, aval.dtype) or not adds_up(other, aval):
            return None
        parts.append((other, -1 if eqn.primitive is SUB else 1))
        equations.append(eqn)
        at = out
    return Sum(c, parts, equations) if readers[at] == [None] else None


def can_batch(eqn: Equation, length: int) -> bool:
    """Whether an operation can be done for all steps at once, to the same results."""
    primitive = eqn.primitive
    if primitive.batch is None or primitive.collective is not None or (primitive.nested and primitive is not SCAN):
        return False
    if any(v.aval.size * v.aval.dtype.itemsize * length > LIMIT for v in eqn.outputs):
        return False
    weak = [a.aval.weak for a in eqn.inputs if not a.is_literal]
    if eqn.outputs[0].aval.weak:
        # Between Python numbers: products and powers of integers may be larger than an array can hold.
        exact = primitive.linear == "all" or eqn.outputs[0].aval.dtype.kind == "b"
        return primitive is WEAKEN or (primitive.python is not None and exact and all(a.aval.weak for a in eqn.inputs))
    return not any(weak) or primitive.ufunc is not None or _of_dtype(eqn)


def _of_dtype(eqn: Equation) -> bool:
    """Whether results have their dtypes also where Python scalars among the operands are numbers of an array."""
    strong = [ShapedArray(a.aval.shape, a.aval.dtype) for a in eqn.inputs]
    return eqn.primitive.abstract(*strong, **eqn.params) == eqn.outputs[0].aval


class Choice:
    """What is done where.

    Attributes:
        costs: what things cost in the loop.
        ahead: variables of the body that can be had before the loop, slices among them.
        slices: those that the loop reads slice by slice.
        rows: variables that the loop stacks for what is done later.
        ys: indices of the stacked results that are made without the loop.
        sums: the sums that are.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.costs = WRITTEN_OUT if loop.few() else BY_NUMPY
        self.maker = {v: e for e in loop.equations for v in e.outputs}
        self.fixed = loop.consts.keys()
        self.rows: dict[Var, None] = {}
        self.ys: set[int] = set()
        self.sums: list[Sum] = []
        self.ahead = self._find_ahead()
        readers = loop.readers()
        sums = [s for s in (_sum_of(c, readers) for c in loop.carry) if s is not None]
        adds = {id(e) for s in sums for e in s.equations}
        carried = {id(s.carried) for s in sums}
        self.core = self._closure([c.next for c in loop.carry if id(c) not in carried], adds)
        self.spare = [e for e in loop.equations if id(e) not in adds and not self._placed(e)]
        self.nexts = {c.var: c.next for c in loop.carry}
        for _ in range(2):  # what one result has stacked costs the others nothing
            self._choose_later(sums)
        self.slices = self._choose_slices()

    def _placed(self, eqn: Equation) -> bool:
        return any(v in self.ahead or v in self.core for v in eqn.outputs)

    def _find_ahead(self) -> dict[Var, None]:
        ahead = dict.fromkeys(self.loop.xs)
        for eqn in self.loop.equations:
            known = all(a.is_literal or a in self.fixed or a in ahead for a in eqn.inputs)
            if known and any(a in ahead for a in eqn.inputs) and can_batch(eqn, self.loop.length):
                ahead.update(dict.fromkeys(eqn.outputs))
        return ahead

    def _closure(self, roots: Iterable[Atom], without: set[int]) -> set[Atom]:
        """What roots depend on in the loop."""
        live = set(roots)
        for eqn in reversed(self.loop.equations):
            if id(eqn) not in without and not live.isdisjoint(eqn.outputs):
                if not any(v in self.ahead for v in eqn.outputs):
                    live.update(eqn.outputs)
                    live.update(eqn.inputs)
        return live

    # ----------------------------------------------------------------------------------------------- after the loop

    def row(self, var: Any) -> Var:
        """What the loop stacks for a variable: for a carried value what the step makes of it, where it makes it."""
        after = self.nexts.get(var)
        return after if isinstance(after, Var) and after in self.maker and after not in self.ahead else var

    def _row_cost(self, var: Any) -> float:
        row = self.row(var)
        there = row in self.rows or any(a is row for j, (a, _) in enumerate(self.loop.ys) if j not in self.ys)
        return 0.0 if there else self.costs.stacking(row, self.loop.length)

    def _free(self, atom: Atom) -> bool:
        return atom.is_literal or atom in self.fixed or atom in self.ahead

    def _choose_later(self, sums: Sequence[Sum]) -> None:
        self.within: dict[Any, float] = {}  # what it costs to compute a spare value in the loop
        self.outside: dict[Any, float] = {}  # what it costs to have what it is computed from in stacks
        for eqn in self.spare:
            within = self.costs.saving(eqn, self.loop.length, self.fixed) + sum(
                self.within.get(a, 0.0) for a in eqn.inputs
            )
            outside = sum(map(self._stacked, set(eqn.inputs))) if can_batch(eqn, self.loop.length) else math.inf
            for v in eqn.outputs:
                self.within[v], self.outside[v] = within, outside
        for j, (atom, _) in enumerate(self.loop.ys):
            if j in self.ys or atom.is_literal or atom in self.fixed:
                continue
            if atom in self.ahead or self.outside.get(atom, math.inf) < self.within.get(atom, 0.0):
                self.ys.add(j)
                self._demand(self.maker[atom].inputs if atom in self.outside else ())
        for s in sums:
            if any(s is t for t in self.sums):
                continue
            later = sum(self._stacked(a) for a, _ in s.parts)
            within = sum(self.within.get(a, 0.0) for a, _ in s.parts) + self.costs.adding(s.carried.var.aval) * len(
                s.parts
            )
            if later < within:
                self.sums.append(s)
                self._demand([a for a, _ in s.parts])

    def _stacked(self, atom: Atom) -> float:
        """What it costs to have a value in a stack after the loop."""
        if self._free(atom):
            return 0.0
        if atom in self.outside:
            return min(self.outside[atom], self._row_cost(atom) + self.within[atom])
        return self._row_cost(atom)

    def _demand(self, atoms: Sequence[Atom]) -> None:
        """Have these values in stacks after the loop, in the cheapest way."""
        todo, seen = list(atoms), set()
        while todo:
            atom = todo.pop()
            if self._free(atom) or atom in seen:
                continue
            seen.add(atom)
            if self.outside.get(atom, math.inf) <= self._row_cost(atom) + self.within.get(atom, 0.0):
                todo += self.maker[atom].inputs
            else:
                self.rows[self.row(atom)] = None

    # ---------------------------------------------------------------------------------------------- before the loop

    def _choose_slices(self) -> dict[Var, None]:
        """Which values the loop reads slice by slice; it computes from them what else it needs."""
        cost: dict[Any, float] = dict.fromkeys(self.loop.xs, 0.0)
        inside: dict[Any, float] = {}
        for eqn in self.loop.equations:
            if eqn.outputs and eqn.outputs[0] in self.ahead:
                work = self.costs.saving(eqn, self.loop.length, self.fixed) + sum(
                    cost.get(a, 0.0) for a in set(eqn.inputs)
                )
                for v in eqn.outputs:
                    inside[v] = work
                    cost[v] = min(work, self.costs.stacking(v, self.loop.length))
        gone = {id(s.carried) for s in self.sums}
        roots: list[Atom] = [c.next for c in self.loop.carry if id(c) not in gone]
        roots += [a for j, (a, _) in enumerate(self.loop.ys) if j not in self.ys]
        roots += self.rows
        live = self._closure(roots, {id(e) for s in self.sums for e in s.equations})
        todo = [a for a in live if a in self.ahead]
        slices: dict[Var, None] = {}
        seen: set[Any] = set()
        while todo:
            var: Any = todo.pop()
            if var in seen:
                continue
            seen.add(var)
            if var in inside and inside[var] < self.costs.stacking(var, self.loop.length):
                todo += [a for a in self.maker[var].inputs if a in self.ahead]
            else:
                slices[var] = None
        return {v: None for v in self.ahead if v in slices}  # in their order in the body
