"""Algebra: operations that have cheaper equals, by a table of rewrite rules.

The rules stand in `algebra_arithmetic`, `algebra_shape` and `algebra_sums`; each says its formula, and
`exact` for which dtypes it holds. Results are the same bit for bit, with the exceptions that the rules for sums,
products of matrices and small powers name.
"""

from __future__ import annotations

from funcgrad.core import Primitive
from funcgrad.ir import Program
from funcgrad.passes.algebra_arithmetic import ARITHMETIC, IDEMPOTENT
from funcgrad.passes.algebra_shape import BROADCASTING, SHAPE
from funcgrad.passes.algebra_sums import REDUCTION, SUMS
from funcgrad.passes.rewrite import follow, remade
from funcgrad.passes.simplifier import Rule, Settled, Simplifier

__all__ = ["RULES", "algebra"]


class _Rules(dict[Primitive, tuple[Rule, ...]]):
    """The rules of each primitive, in the order in which they are tried: some follow from what is known of it."""

    def __missing__(self, primitive: Primitive) -> tuple[Rule, ...]:
        found = REDUCTION if primitive.reduces is not None else ()
        for table in (ARITHMETIC, SHAPE, SUMS):
            found += table.get(primitive, ())
        if primitive.idempotent:
            found += IDEMPOTENT
        if primitive.pointwise and not primitive.moves:
            found += BROADCASTING
        self[primitive] = found
        return found


RULES = _Rules()


def algebra(program: Program, settled: Settled | None = None) -> Program:
    """The program with rules applied wherever they fit; what is not needed any more is left for `dce`.

    `settled` is what earlier calls have noted down of equations that no rule fits, so that they need not be looked at
    again.
    """
    s = Simplifier(program, RULES, {} if settled is None else settled)
    for eqn in program.equations:
        s.add(eqn)
    return remade(program, s.equations, [follow(a, s.env) for a in program.outputs]) if s.changed else program
