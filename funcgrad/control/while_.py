"""`while_loop` as one operation: a condition and a body program, and carried values.

Reverse mode is in `while_transpose.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.programs import scalars
from funcgrad.control.stand_in import Axis, one_by_one, selected, stand_ins
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.call import (
    CALL,
    batch_program,
    cached,
    call_program,
    close,
    interleave,
    record_program,
    replay,
    tangent_program,
)
from funcgrad.transforms.vjp import zero_like
from funcgrad.types import ShapedArray, dtype_of, is_inexact, shape_of

__all__ = ["WHILE", "Batch", "Counts", "batch_loop", "bind_while", "push", "spread", "tangent_loop"]


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
    return scalars(carry)


def _abstract(*avals: ShapedArray, cond: Program, body: Program, counts: Counts) -> tuple[ShapedArray, ...]:
    return tuple(body.out_avals)


def tangent_loop(
    cond: Program, body: Program, counts: Counts, given: Sequence[bool]
) -> tuple[Program, Program, Counts]:
    """The loop that carries tangents as well: those of the `given` constants of the body are operands behind these
    constants, those of all inexact carried values follow the carried values."""

    def make() -> tuple[Program, Program, Counts]:
        avals_c, avals_b, carry = cond.in_avals[: counts.cond], body.in_avals[: counts.body], body.out_avals
        moving = [is_inexact(a) for a in carry]
        derived = tangent_program(body, (*given, *moving))
        nc, nb, nd, n = len(avals_c), len(avals_b), sum(given), len(carry)

        def step(*flat: Any) -> list[Any]:
            bs, dbs, ks = flat[:nb], flat[nb : nb + nd], flat[nb + nd :]
            outs, douts = interleave(body, eval_program(derived, [*bs, *ks[:n], *dbs, *ks[n:]]))
            return [
                *outs,
                *(zero_like(o) if d is None else d for o, d, m in zip(outs, douts, moving, strict=True) if m),
            ]

        of_given = [a for a, g in zip(avals_b, given, strict=True) if g]
        every = [*carry, *(a for a, m in zip(carry, moving, strict=True) if m)]
        new_cond = record_program([*avals_c, *every], lambda *xs: eval_program(cond, xs[: nc + n]))
        return new_cond, record_program([*avals_b, *of_given, *every], step), Counts(nc, nb + nd)

    return cached(body, ("tangent loop", cond, counts, tuple(given)), make)


def push(primals: Sequence[Any], tangents: Sequence[Any], cond: Program, body: Program, counts: Counts) -> Any:
    c, b, carry = counts.split(primals)
    _, db, dcarry = counts.split(tangents)
    given = [t is not None for t in db]
    new_cond, new_body, new_counts = tangent_loop(cond, body, counts, given)
    dcarry = [zero_like(x) if t is None else t for x, t in zip(carry, dcarry, strict=True) if is_inexact(x)]
    operands = [*c, *b, *(t for t in db if t is not None), *carry, *dcarry]
    results = bind_while(new_cond, new_body, new_counts, operands)
    n = len(carry)
    rest = iter(results[n:])
    return tuple(results[:n]), [next(rest) if is_inexact(x) else None for x in carry]


class Batch(NamedTuple):
    """A loop over a batch: carried are which examples run on, and behind it the values of all; see `batch_loop`."""

    test: Program
    cond: Program
    body: Program
    counts: Counts

    def start(self, of_test: Sequence[Any], carry: Sequence[Any]) -> list[Any]:
        """The initial values: which examples run at all, and their values."""
        return [_truth(call_program(self.test, [*of_test, *carry], CALL, {"name": "condition"})[0]), *carry]


def batch_loop(
    cond: Program,
    body: Program,
    counts: Counts,
    batched: tuple[Sequence[bool], Sequence[bool]],
    size: int,
    axis_name: Any,
) -> Batch:
    """The loop over a batch: all carried values are batched, and of the constants those that `batched` says. It runs as
    long as the condition holds of any example; one whose condition has failed keeps its values, and the body runs on a
    stand-in. Constants of the new body are those of the condition and then its own; the new condition has none."""

    def make() -> Batch:
        bc, bb = batched
        nc, nb, n = counts.cond, counts.body, len(body.outputs)
        test = batch_program(cond, (*bc, *[True] * n), size, axis_name)
        step = batch_program(body, (*bb, *[True] * n), size, axis_name)
        together = Axis(size, axis_name).together(cond, body)  # then the body needs all examples

        def advance(*xs: Any) -> list[Any]:
            of_test, bs, live, ks = xs[:nc], xs[nc : nc + nb], xs[nc + nb], xs[nc + nb + 1 :]
            flags = (*bb, *[True] * n)
            used = [*bs, *ks] if together else stand_ins([*bs, *ks], flags, live, np.argmax(live))
            new = [selected(live, y, k) for y, k in zip(replay(step, used), ks, strict=True)]
            return [_truth(replay(test, [*of_test, *new])[0]), *new]

        running = ShapedArray((size,), np.dtype(bool))
        carried = step.in_avals[nb:]
        going = record_program([running, *carried], lambda live, *ks: [np.any(live)])
        avals = [*test.in_avals[:nc], *step.in_avals[:nb], running, *carried]
        return Batch(test, going, record_program(avals, advance), Counts(0, nc + nb))

    return cached(body, ("batch loop", cond, counts, tuple(map(tuple, batched)), size, axis_name), make)


def _truth(x: Any) -> Any:
    return x if dtype_of(x).kind == "b" else np.not_equal(x, 0)


def spread(xs: Sequence[Any], batched: Sequence[bool], size: int) -> list[Any]:
    """The values, each with a batch axis."""
    return [x if b else np.broadcast_to(x, (size, *shape_of(x))) for x, b in zip(xs, batched, strict=True)]


def _batch(
    args: Sequence[Any],
    batched: Sequence[bool],
    size: int,
    axis_name: Any,
    cond: Program,
    body: Program,
    counts: Counts,
) -> Any:
    if size and Axis(size, axis_name).separately(cond, body):
        return one_by_one(WHILE, args, batched, size, {"cond": cond, "body": body, "counts": counts})
    c, b, carry = counts.split(args)
    bc, bb, bk = counts.split(batched)
    carry = spread(carry, bk, size)
    if size == 0:
        return tuple(carry)
    loop = batch_loop(cond, body, counts, (bc, bb), size, axis_name)
    return bind_while(loop.cond, loop.body, loop.counts, [*c, *b, *loop.start(c, carry)])[1:]


WHILE = declare("while", _impl, _abstract, multiple=True, nested=True, programs=("cond", "body"))
"""Run `body` on the carried values as long as `cond` holds of them."""
WHILE.push, WHILE.batch = push, _batch
WHILE.jvp = lambda tangents, out, ins, **params: push(ins, tangents, **params)[1]
