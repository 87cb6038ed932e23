"""Algebra: operations that have cheaper equals, by a table of rewrite rules.

The rules stand in `algebra_arithmetic`, `algebra_shape` and `algebra_sums`; each says its formula. Results are the same
to rounding: NaN, infinities and the signs of zeros stay, save that a sum that is zero may have the other sign.
"""

from __future__ import annotations

from funcgrad.core import Primitive
from funcgrad.ir import Program
from funcgrad.ops.math import SELECT
from funcgrad.passes.algebra_arithmetic import ARITHMETIC, SELECT_RULES
from funcgrad.passes.algebra_shape import BROADCASTING, SHAPE
from funcgrad.passes.algebra_sums import SUMS
from funcgrad.passes.rewrite import follow, remade
from funcgrad.passes.simplifier import POINTWISE, Rule, Settled, Simplifier

__all__ = ["RULES", "algebra"]


def _table() -> dict[Primitive, tuple[Rule, ...]]:
    table: dict[Primitive, tuple[Rule, ...]] = dict.fromkeys(POINTWISE, ())
    for rules in (ARITHMETIC, SHAPE, SUMS, {SELECT: SELECT_RULES}):
        for primitive, more in rules.items():
            table[primitive] = table.get(primitive, ()) + more
    for primitive in POINTWISE:
        table[primitive] += BROADCASTING
    return table


RULES = _table()
"""The rules of each primitive, in the order in which they are tried."""


def algebra(program: Program, settled: Settled | None = None) -> Program:
    """The program with rules applied wherever they fit; what is not needed any more is left for `dce`.

    `settled` is what earlier calls have noted down of equations that no rule fits, so that they need not be looked at
    again.
    """
    s = Simplifier(program, RULES, {} if settled is None else settled)
    for eqn in program.equations:
        s.add(eqn)
    return remade(program, s.equations, [follow(a, s.env) for a in program.outputs]) if s.changed else program
