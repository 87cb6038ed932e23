"""`while_loop` as one operation: a condition and a body program, and carried values.

In reverse mode the loop runs step by step and keeps each step's residuals: a stack that grows as long as the loop runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.core import Tracer
from funcgrad.errors import InconclusiveRuleError
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.call import (
    CALL,
    batch_program,
    close,
    interleave,
    record_program,
    reverse_programs,
    tangent_program,
)
from funcgrad.transforms.vjp import zero_like
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_inexact, shape_of

__all__ = ["WHILE", "Counts", "bind_while"]


class Counts(NamedTuple):
    """How many operands are constants of the condition, and of the body; the others are carried."""

    cond: int
    body: int

    def split(self, xs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Constants of the condition, constants of the body, carried values."""
        n = self.cond + self.body
        return list(xs[: self.cond]), list(xs[self.cond : n]), list(xs[n:])


def bind_while(cond: Program, body: Program, counts: Counts, args: Sequence[Any]) -> Any:
    """Bind a loop; constants of the programs become operands."""
    cond, more_cond = close(cond)
    body, more_body = close(body)
    c, b, carry = counts.split(args)
    counts = Counts(len(more_cond) + counts.cond, len(more_body) + counts.body)
    return WHILE.bind(*more_cond, *c, *more_body, *b, *carry, cond=cond, body=body, counts=counts)


def _impl(*args: Any, cond: Program, body: Program, counts: Counts) -> tuple[Any, ...]:
    c, b, carry = counts.split(args)
    while eval_program(cond, [*c, *carry])[0]:
        carry = eval_program(body, [*b, *carry])
    return tuple(carry)


def _abstract(*avals: ShapedArray, cond: Program, body: Program, counts: Counts) -> tuple[ShapedArray, ...]:
    return tuple(body.out_avals)


def _push(primals: Sequence[Any], tangents: Sequence[Any], cond: Program, body: Program, counts: Counts) -> Any:
    c, b, carry = counts.split(primals)
    _, db, dcarry = counts.split(tangents)
    moving = [is_inexact(x) for x in carry]
    n, nb = len(carry), len(b)
    derived = tangent_program(body, (*(t is not None for t in db), *moving))
    filled = [zero_like(x) if t is None else t for x, t, m in zip(carry, dcarry, moving, strict=True) if m]
    given = [t for t in db if t is not None]

    def step(*flat: Any) -> list[Any]:
        bs, dbs, ks = flat[:nb], flat[nb : nb + len(given)], flat[nb + len(given) :]
        outs, douts = interleave(body, eval_program(derived, [*bs, *ks[:n], *dbs, *ks[n:]]))
        return [*outs, *(zero_like(o) if d is None else d for o, d, m in zip(outs, douts, moving, strict=True) if m)]

    all_carry = [*carry, *filled]
    new_body = record_program([aval_of(x) for x in (*b, *given, *all_carry)], step)
    new_cond = record_program([aval_of(x) for x in (*c, *all_carry)], lambda *xs: eval_program(cond, xs[: len(c) + n]))
    results = bind_while(new_cond, new_body, Counts(len(c), nb + len(given)), [*c, *b, *given, *all_carry])
    rest = iter(results[n:])
    return tuple(results[:n]), [next(rest) if m else None for m in moving]


def _known(x: Any) -> bool:
    value = x.concrete() if isinstance(x, Tracer) else x
    if value is None:
        raise InconclusiveRuleError(
            "reverse mode needs to run the loop, and how often it runs is not known here (inside jit, or per example "
            "under vmap). Use fori_loop with fixed bounds or scan, or take the gradient outside of jit"
        )
    return bool(value)


def _forward(ins: Sequence[Any], wanted: Sequence[bool], cond: Program, body: Program, counts: Counts) -> Any:
    c, b, carry = counts.split(ins)
    split = reverse_programs(body, _body_wanted(wanted, body, counts))
    closed, consts = close(split.forward)
    kept: list[Any] = []
    steps = 0
    while _known(eval_program(cond, [*c, *carry])[0]):
        results = CALL.bind(*consts, *b, *carry, program=closed, name="body")
        carry, steps = list(results[: split.outputs]), steps + 1
        kept += results[split.outputs :]
    return tuple(carry), (steps, *kept)


def _body_wanted(wanted: Sequence[bool], body: Program, counts: Counts) -> tuple[bool, ...]:
    _, wb, _ = counts.split(wanted)
    return (*wb, *(a.dtype.kind in "fc" for a in body.in_avals[counts.body :]))


def _backward(
    kept: Any,
    ct: Any,
    out: Any,
    ins: Sequence[Any],
    wanted: Sequence[bool],
    cond: Program,
    body: Program,
    counts: Counts,
) -> list[Any]:
    body_wanted = _body_wanted(wanted, body, counts)
    split = reverse_programs(body, body_wanted)
    closed, consts = close(split.backward)
    steps, *stack = kept
    size = len(stack) // steps if steps else 0
    carried = [zero_like(o) if g is None else g for g, o in zip(ct, out, strict=True) if is_inexact(o)]
    sums: list[Any] = [None] * sum(body_wanted[: counts.body])
    for i in range(steps - 1, -1, -1):
        grads = CALL.bind(*consts, *stack[i * size : (i + 1) * size], *carried, program=closed, name="body_transpose")
        parts, carried = grads[: len(sums)], list(grads[len(sums) :])
        sums = [g if s is None else s + g for s, g in zip(sums, parts, strict=True)]
    by_const, by_carry = iter(sums), iter(carried)
    return [
        *[None] * counts.cond,
        *(next(by_const) if w else None for w in body_wanted[: counts.body]),
        *(next(by_carry) if w else None for w in body_wanted[counts.body :]),
    ]


def _batch(
    args: Sequence[Any], batched: Sequence[bool], size: int, cond: Program, body: Program, counts: Counts
) -> Any:
    c, b, carry = counts.split(args)
    bc, bb, bk = counts.split(batched)
    carry = [x if m else np.broadcast_to(x, (size, *shape_of(x))) for x, m in zip(carry, bk, strict=True)]
    every = [True] * len(carry)
    test = batch_program(cond, (*bc, *every), size)
    step = batch_program(body, (*bb, *every), size)
    nc = len(c)

    def going(*xs: Any) -> list[Any]:
        return [np.any(eval_program(test, xs)[0])]

    def advance(*xs: Any) -> list[Any]:
        tested, bs, ks = xs[:nc], xs[nc : nc + len(b)], xs[nc + len(b) :]
        live = eval_program(test, [*tested, *ks])[0]
        new = eval_program(step, [*bs, *ks])
        # An example whose condition has failed keeps its values.
        return [
            np.where(np.reshape(live, (size, *(1,) * (len(shape_of(n)) - 1))), n, k).astype(dtype_of(k))
            for n, k in zip(new, ks, strict=True)
        ]

    avals = [aval_of(x) for x in (*c, *b, *carry)]
    new_cond = record_program([*avals[:nc], *avals[nc + len(b) :]], going)
    new_body = record_program(avals, advance)
    return bind_while(new_cond, new_body, Counts(nc, nc + len(b)), [*c, *c, *b, *carry])


WHILE = declare("while", _impl, _abstract, multiple=True)
"""Run `body` on the carried values as long as `cond` holds of them."""
WHILE.push, WHILE.forward, WHILE.backward, WHILE.batch = _push, _forward, _backward, _batch
WHILE.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]
