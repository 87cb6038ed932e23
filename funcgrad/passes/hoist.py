"""Loop-invariant code: what every step of a loop would compute anew from constants is computed once, before the loop.

A scan of at least one step runs each equation of its body anyway, so all but collectives may go. A `while` may run no
step at all: only what cannot raise goes, and what costs little or is bound to be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.control.while_ import WHILE, Counts
from funcgrad.control.while_transpose import WHILE_TRANSPOSE
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.shape import TRANSPOSE
from funcgrad.passes.builder import Builder
from funcgrad.passes.loop import Loop, each_scan
from funcgrad.passes.rewrite import copied
from funcgrad.transforms.call import close

__all__ = ["hoist", "hoist_scan"]


def hoist(program: Program) -> Program:
    """The program with invariant equations moved out of the bodies of its loops.

    The programs inside the bodies are left alone: what a loop in a loop gives up stands in the body of the outer one.
    """
    program = each_scan(program, hoist_scan)
    if not any(e.primitive in (WHILE, WHILE_TRANSPOSE) for e in program.equations):
        return program
    builder = Builder(program)
    for eqn in program.equations:
        eqn = builder.current(eqn)
        if eqn.primitive in (WHILE, WHILE_TRANSPOSE):
            eqn = _hoist_while(eqn, builder)
        builder.append(eqn)
    return builder.program()


def _certain(eqn: Equation) -> bool:
    """Whether an equation of a body that runs at least once may run before the loop."""
    return eqn.primitive.collective is None


def _harmless(eqn: Equation) -> bool:
    """Whether an equation of a body that may not run at all may run before the loop."""
    return eqn.primitive.total


class _Mover:
    """Moves the invariant equations of one body.

    Attributes:
        fixed: the variables of the body that are the same in each step, and what they are outside.
        moved: those among them that were computed by the body.
    """

    def __init__(self, fixed: dict[Any, Atom], may_move: Callable[[Equation], bool], builder: Builder) -> None:
        self.fixed, self.may_move, self.builder = fixed, may_move, builder
        self.moved: list[Var] = []
        self.turned: dict[Any, Var] = {}

    def rest(self, equations: Sequence[Equation]) -> list[Equation]:
        """What stays of the equations of a body."""
        stay: list[Equation] = []
        for eqn in equations:
            known = all(a.is_literal or a in self.fixed for a in eqn.inputs)
            if known and self.may_move(eqn):
                for new in copied([eqn], self.fixed, self.builder.source):
                    self.builder.append(new)
                self.moved += eqn.outputs
            else:
                stay.append(self._with_matrices(eqn) if eqn.primitive is DOT_GENERAL else eqn)
        return stay

    def _with_matrices(self, eqn: Equation) -> Equation:
        """A product whose constant matrix is transposed outside, if it would be transposed in each step."""
        a, b = eqn.inputs
        (ca, cb), (ba, _) = eqn.params["contract"], eqn.params["batch"]
        if ba or len(ca) != 1 or a.aval.ndim > 2 or b.aval.ndim > 2:
            return eqn
        if b in self.fixed and cb == (1,):
            b, cb = self._transposed(b, eqn), (0,)
        if a in self.fixed and ca == (0,) and a.aval.ndim == 2:
            a, ca = self._transposed(a, eqn), (1,)
        if a is eqn.inputs[0] and b is eqn.inputs[1]:
            return eqn
        return Equation(DOT_GENERAL, (a, b), eqn.outputs, {**eqn.params, "contract": (ca, cb)}, eqn.source)

    def _transposed(self, x: Any, eqn: Equation) -> Var:
        if x not in self.turned:
            aval = x.aval
            inner = self.turned[x] = Var(type(aval)(aval.shape[::-1], aval.dtype))
            outer = Var(inner.aval)
            self.builder.append(Equation(TRANSPOSE, (self.fixed[x],), (outer,), {"axes": (1, 0)}, eqn.source))
            self.fixed[inner] = outer
            self.moved.append(inner)
        return self.turned[x]


def hoist_scan(loop: Loop, builder: Builder) -> bool:
    """Move the invariant equations of a scan before it; whether there were any."""
    mover = _Mover(dict(loop.consts), _certain, builder)
    loop.equations = mover.rest(loop.equations)
    if not mover.moved:
        return False
    loop.consts.update((v, mover.fixed[v]) for v in mover.moved)
    loop.prune()
    return True


def _hoist_while(eqn: Equation, builder: Builder) -> Equation:
    """A `while` or its transpose, whose operands are the constants of the condition, those of the body, and others.

    What `while_transpose` shall give the cotangents of has to stay in the body, with all that depends on it.
    """
    counts, wanted = eqn.params["counts"], eqn.params.get("wanted")
    of_test, of_body, rest = counts.split(eqn.inputs)
    test, test_consts, tested = _lighter(eqn.params["cond"], of_test, [False] * counts.cond, builder)
    asked = [False] * counts.body if wanted is None else list(wanted)
    body, body_consts, added = _lighter(eqn.params["body"], of_body, asked, builder)
    if not tested and not added:
        return eqn
    builder.changed = True
    params = {**eqn.params, "cond": test, "body": body, "counts": Counts(len(test_consts), len(body_consts))}
    if wanted is not None:
        params["wanted"] = (*[False] * added, *wanted)
    return Equation(eqn.primitive, [*test_consts, *body_consts, *rest], eqn.outputs, params, eqn.source)


def _lighter(
    program: Program, consts: Sequence[Atom], wanted: Sequence[bool], builder: Builder
) -> tuple[Program, list[Atom], int]:
    """The program of a loop without its invariant equations, its constants, and how many came in before the others."""
    closed, own = close(program)
    n = len(own)
    pairs = zip(closed.inputs, [*map(builder.constant, own), *consts], [False] * n + list(wanted), strict=False)
    mover = _Mover({v: a for v, a, w in pairs if not w}, _harmless, builder)
    equations = mover.rest(closed.equations)
    if not mover.moved:
        return program, list(consts), 0
    used = {a for e in equations for a in e.inputs} | set(closed.outputs)
    more = [v for v in (*closed.inputs[:n], *mover.moved) if v in used]
    made = Program((), (), [*more, *program.inputs], equations, program.outputs, None, program.out_tree)
    return made, [*(mover.fixed[v] for v in more), *consts], len(more)
