"""Work of a scan that needs no loop is done for all steps at once.

Before the loop: what depends on slices and constants only. The product of the inputs of a recurrent network with their
weights is one product of large matrices, instead of as many small ones as there are steps.

After the loop: what only feeds stacked results, and sums over steps. The gradient of a weight, to which each step of a
reversed loop adds the outer product of two of its values, is one product of the stacked values. What is computed so
differs from what the loop would give in the rounding of sums only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import under
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.math import ADD
from funcgrad.passes.batch_choice import Choice, Sum
from funcgrad.passes.builder import Builder
from funcgrad.passes.hoist import hoist_scan
from funcgrad.passes.loop import Loop, each_scan
from funcgrad.passes.scan_dce import shifted
from funcgrad.passes.stacked import Stacked
from funcgrad.types import ShapedArray, dtype_of, shape_of

__all__ = ["batch_scan"]


def batch_scan(program: Program) -> Program:
    """The program with what its scans need not do step by step moved out of them.

    Invariant equations go first. The programs inside the bodies are left alone.
    """
    return each_scan(program, _batch)


def _batch(loop: Loop, builder: Builder) -> bool:
    hoisted = hoist_scan(loop, builder)
    _gather_terms(loop)
    choice = Choice(loop)
    moved = [v for v in choice.slices if v not in loop.xs]
    if not (moved or choice.ys or choice.sums):
        loop.prune()
        return hoisted
    stacked = Stacked(loop, builder)
    later = [(a, v) for j, (a, v) in enumerate(loop.ys) if j in choice.ys]
    loop.ys = [y for j, y in enumerate(loop.ys) if j not in choice.ys]
    _before(loop, choice, stacked)
    _after(loop, choice, stacked, later)
    loop.prune()
    return True


def _before(loop: Loop, choice: Choice, stacked: Stacked) -> None:
    """Let the loop read slices of what is computed ahead of it."""
    env: dict[Any, Atom] = {}
    for v in choice.slices:
        if v not in loop.xs:
            row = env[v] = Var(ShapedArray(v.aval.shape, v.aval.dtype))
            loop.xs[row] = stacked.builder.atom(stacked(v))
    loop.substitute(env)


def _after(loop: Loop, choice: Choice, stacked: Stacked, later: Sequence[tuple[Atom, Var]]) -> None:
    """Let the loop stack what is needed later, and do that `later`: results of the body, and their stacks."""
    builder = stacked.builder
    there: dict[Any, Var] = {a: v for a, v in loop.ys}
    for row in choice.rows:
        if row not in there:
            there[row] = Var(ShapedArray((loop.length, *row.aval.shape), row.aval.dtype))
            loop.ys.append((row, there[row]))
    carried = [(c.var, c.init, choice.row(c.var)) for c in loop.carry]
    gone = {id(s.carried) for s in choice.sums}
    loop.carry = [c for c in loop.carry if id(c) not in gone]

    def finish() -> None:
        stacked.values.update((a, builder.value(v)) for a, v in there.items())
        for var, init, row in carried:
            if row in there and row is not var:
                with under(builder):
                    stacked.values[var] = shifted(builder.value(init), builder.value(there[row]), loop.reverse)
        for atom, stack in later:
            builder.replace(stack, stacked(atom))
        for s in choice.sums:
            _finish_sum(s, stacked)

    loop.after.append(finish)


def _finish_sum(s: Sum, stacked: Stacked) -> None:
    builder = stacked.builder
    aval = s.carried.final.aval
    out: Any = None if builder.is_zero(s.carried.init) else builder.value(s.carried.init)
    for atom, sign in s.parts:
        part = stacked.total(atom)
        builder.source = stacked.loop.source
        with under(builder):
            part = part.astype(aval.dtype) if dtype_of(part) != aval.dtype else part
            if out is None:
                out = part if sign > 0 else np.negative(part)
            else:
                out = out + part if sign > 0 else out - part
    with under(builder):
        if shape_of(out) != aval.shape:
            out = np.broadcast_to(out, aval.shape)
        builder.replace(s.carried.final, out)


# ------------------------------------------------------------------------------------------------------ order of sums


def _gather_terms(loop: Loop) -> None:
    """In sums with a product of matrices, add first what does not depend on carried values.

    x @ w + h @ u + b is (x @ w + b) + h @ u: the first two terms can then be added for all steps at once. A product of
    matrices is a sum in an order that is not specified to begin with.
    """
    early: set[Any] = {*loop.consts, *loop.xs}
    maker: dict[Any, Equation] = {}
    readers = loop.readers()
    equations: list[Equation] = []
    for eqn in loop.equations:
        new = [eqn]
        if eqn.primitive is ADD:
            new = _regrouped(eqn, early, maker, readers)
        for e in new:
            maker.update((v, e) for v in e.outputs)
            if all(a.is_literal or a in early for a in e.inputs):
                early.update(e.outputs)
        equations += new
    loop.equations = equations


def _regrouped(eqn: Equation, early: set[Any], maker: dict[Any, Equation], readers: Any) -> list[Equation]:
    for u, v in (eqn.inputs, eqn.inputs[::-1]):
        inner = maker.get(u)
        if v not in early or u in early or inner is None or inner.primitive is not ADD or len(readers[u]) != 1:
            continue
        terms = [a for a in inner.inputs if a in early]
        if len(terms) != 1:
            continue
        (p,) = terms
        (w,) = [a for a in inner.inputs if a is not p]
        product = any(a in maker and maker[a].primitive is DOT_GENERAL for a in (p, v, w))
        dtype = eqn.outputs[0].aval.dtype
        if not product or dtype.kind not in "fc" or any(a.aval.dtype != dtype or a.aval.weak for a in (p, v, w)):
            continue
        first = Var(ADD.abstract(p.aval, v.aval))
        return [
            Equation(ADD, (p, v), (first,), {}, eqn.source),
            Equation(ADD, (first, w), eqn.outputs, {}, eqn.source),
        ]
    return [eqn]
