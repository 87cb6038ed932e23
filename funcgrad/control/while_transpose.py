"""Reverse mode of `while_loop`: residuals are kept on a stack that grows as long as the loop runs.

Where values are known (`grad` of a plain function) the loop runs step by step while it is recorded. Where they are not
(inside `jit`, per example under `vmap`) its transpose is an operation of its own, `while_transpose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.stand_in import Axis, one_by_one
from funcgrad.control.while_ import WHILE, Counts, batch_loop, push, spread, tangent_loop
from funcgrad.core import Tracer, axes_in_scope
from funcgrad.ir import Program, crosses, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.call import CALL, cached, close, reverse_programs
from funcgrad.transforms.vjp import zero_like
from funcgrad.types import ShapedArray, is_inexact

__all__ = ["WHILE_TRANSPOSE"]


def _known(args: Sequence[Any]) -> bool:
    return all(not isinstance(x, Tracer) or x.concrete() is not None for x in args)


def _body_wanted(wanted: Sequence[bool], body: Program, counts: Counts) -> tuple[bool, ...]:
    return (*wanted, *(is_inexact(a) for a in body.in_avals[counts.body :]))


def _run_forward(ins: Sequence[Any], wanted: Sequence[bool], cond: Program, body: Program, counts: Counts) -> Any:
    """Run the loop step by step; returns the carried values, the number of steps and the residuals of all steps."""
    c, b, carry = counts.split(ins)
    split = reverse_programs(body, _body_wanted(wanted, body, counts))
    closed, consts = cached(split.forward, "closed", lambda: close(split.forward))
    kept: list[Any] = []
    steps = 0
    while _value(eval_program(cond, [*c, *carry])[0]):
        results = CALL.bind(*consts, *b, *carry, program=closed, name="body")
        carry, steps = list(results[: split.outputs]), steps + 1
        kept += results[split.outputs :]
    return tuple(carry), steps, kept


def _value(x: Any) -> bool:
    return bool(x.concrete() if isinstance(x, Tracer) else x)


def _run_backward(
    steps: int, stack: list[Any], carried: list[Any], wanted: Sequence[bool], body: Program, counts: Counts
) -> tuple[list[Any], list[Any]]:
    """Cotangents of the wanted constants of the body (None if no step was run) and of the inexact carried values."""
    split = reverse_programs(body, _body_wanted(wanted, body, counts))
    closed, consts = cached(split.backward, "closed", lambda: close(split.backward))
    size = len(stack) // steps if steps else 0
    sums: list[Any] = [None] * sum(wanted)
    for _ in range(steps):
        at = len(stack) - size
        grads = CALL.bind(*consts, *stack[at:], *carried, program=closed, name="body_transpose")
        del stack[at:]
        parts, carried = grads[: len(sums)], list(grads[len(sums) :])
        sums = [g if s is None else s + g for s, g in zip(sums, parts, strict=True)]
    return sums, carried


def _forward(ins: Sequence[Any], wanted: Sequence[bool], cond: Program, body: Program, counts: Counts) -> Any:
    params = {"cond": cond, "body": body, "counts": counts}
    # A collective may bring in what differs between examples.
    if not _known(ins) or any(crosses(WHILE, params, name) for name, _ in axes_in_scope()):
        return WHILE.bind(*ins, **params), ()
    carry, steps, kept = _run_forward(ins, counts.split(wanted)[1], cond, body, counts)
    return carry, (steps, *kept)


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
    carried = [zero_like(o) if g is None else g for g, o in zip(ct, out, strict=True) if is_inexact(o)]
    of_body = counts.split(wanted)[1]
    if not kept:  # the length is not known
        params = {"cond": cond, "body": body, "counts": counts, "wanted": tuple(of_body)}
        grads = iter(WHILE_TRANSPOSE.bind(*ins, *carried, **params))
        sums = [next(grads) for w in of_body if w]
        carried = list(grads)
    else:
        steps, *stack = kept
        sums, carried = _run_backward(steps, stack, carried, of_body, body, counts)
    by_const, by_carry = iter(sums), iter(carried)
    return [
        *[None] * counts.cond,
        *(next(by_const) if w else None for w in of_body),
        *(next(by_carry) if is_inexact(x) else None for x in counts.split(ins)[2]),
    ]


# ----------------------------------------------------------------------------------- where the length is unknown
#
# Let W be the loop and P(x, g) = W'(x)^T g its transpose at x. For the loop T(x, dx) = (W(x), W'(x) dx) that carries
# tangents too, T'^T (dg, g) at (x, dx) is (P(x, dg) + d/dx <g, W'(x) dx>, P(x, g)): the derivative of P in the
# direction (dx, dg), and P itself. So P is closed under differentiation, and needs no type for a stack.


def _transpose_impl(
    *args: Any, cond: Program, body: Program, counts: Counts, wanted: tuple[bool, ...]
) -> tuple[Any, ...]:
    n = counts.cond + len(body.inputs)
    ins, carried = args[:n], list(args[n:])
    _, steps, stack = _run_forward(ins, wanted, cond, body, counts)
    sums, carried = _run_backward(steps, stack, carried, wanted, body, counts)
    consts = (x for x, w in zip(counts.split(ins)[1], wanted, strict=True) if w)
    return (*(zero_like(x) if s is None else s for s, x in zip(sums, consts, strict=True)), *carried)


def _transpose_abstract(
    *avals: ShapedArray, cond: Program, body: Program, counts: Counts, wanted: tuple[bool, ...]
) -> tuple[ShapedArray, ...]:
    wanted = _body_wanted(wanted, body, counts)
    return tuple(ShapedArray(a.shape, a.dtype) for a, w in zip(body.in_avals, wanted, strict=True) if w)


class _Operands(NamedTuple):
    """The operands of a transposed loop: constants of the condition and the body, carried values, cotangents."""

    cond: list[Any]
    body: list[Any]
    carry: list[Any]
    cts: list[Any]

    @classmethod
    def of(cls, args: Sequence[Any], body: Program, counts: Counts) -> _Operands:
        n = counts.cond + len(body.inputs)
        return cls(*counts.split(args[:n]), list(args[n:]))


def _transpose_twice(
    xs: _Operands, dxs: _Operands, cond: Program, body: Program, counts: Counts, wanted: Sequence[bool], asked: Any
) -> tuple[list[Any], list[Any]]:
    """The transpose of the loop that carries tangents, at operands and their tangents.

    Tangents that are None are zero. Returns the derivatives for `asked` constants of the body and the inexact carried
    values, and the transpose itself, for the `wanted` constants and the inexact carried values.
    """
    given = [w or d is not None for w, d in zip(wanted, dxs.body, strict=True)]
    new_cond, new_body, new_counts = tangent_loop(cond, body, counts, given)
    filled = [zero_like(x) if d is None else d for x, d in zip(xs.body, dxs.body, strict=True)]
    moving = [zero_like(x) if d is None else d for x, d in zip(xs.carry, dxs.carry, strict=True) if is_inexact(x)]
    dcts = [zero_like(x) if d is None else d for x, d in zip(xs.cts, dxs.cts, strict=True)]
    consts = [*xs.body, *(d for d, g in zip(filled, given, strict=True) if g)]
    of_tangents = [w for w, g in zip(wanted, given, strict=True) if g]
    operands = [*xs.cond, *consts, *xs.carry, *moving, *dcts, *xs.cts]
    params = {"cond": new_cond, "body": new_body, "counts": new_counts, "wanted": (*asked, *of_tangents)}
    grads = list(_bind_transpose(operands, **params))
    na, nw, nm = sum(asked), sum(of_tangents), len(moving)
    of_consts, of_carry = grads[: na + nw], grads[na + nw :]
    return [*of_consts[:na], *of_carry[:nm]], [*of_consts[na:], *of_carry[nm:]]


def _bind_transpose(args: Sequence[Any], cond: Program, body: Program, counts: Counts, wanted: tuple[bool, ...]) -> Any:
    """Bind a transposed loop; constants of the programs become operands."""
    cond, more_cond = close(cond)
    body, more_body = close(body)
    c, b, rest = counts.split(args)
    counts = Counts(len(more_cond) + counts.cond, len(more_body) + counts.body)
    wanted = (*[False] * len(more_body), *wanted)
    operands = [*more_cond, *c, *more_body, *b, *rest]
    return WHILE_TRANSPOSE.bind(*operands, cond=cond, body=body, counts=counts, wanted=wanted)


def _transpose_push(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    cond: Program,
    body: Program,
    counts: Counts,
    wanted: tuple[bool, ...],
) -> Any:
    xs, dxs = _Operands.of(primals, body, counts), _Operands.of(tangents, body, counts)
    moved, itself = _transpose_twice(xs, dxs, cond, body, counts, wanted, wanted)
    return tuple(itself), moved


def _transpose_vjp(
    ct: Sequence[Any],
    out: Any,
    ins: Sequence[Any],
    asked: Sequence[bool],
    cond: Program,
    body: Program,
    counts: Counts,
    wanted: tuple[bool, ...],
) -> list[Any]:
    """<h, P(x, g)> = <g, W'(x) h>: the cotangent of g is the tangent W'(x) h, that of x its derivative times g."""
    xs = _Operands.of(ins, body, counts)
    asked_of = _Operands.of(asked, body, counts)
    hs = iter(ct)
    h_body = [next(hs) if w else None for w in wanted]
    h_carry = [next(hs) if is_inexact(x) else None for x in xs.carry]
    none: list[Any] = [None] * counts.cond
    result = iter(
        push([*xs.cond, *xs.body, *xs.carry], [*none, *h_body, *h_carry], cond, body, counts)[1]
        if any(asked_of.cts)
        else []
    )
    of_cts = [t for t in result if t is not None] or [None] * len(xs.cts)
    directions = _Operands(none, h_body, h_carry, [None] * len(xs.cts))
    of_ins = iter(_transpose_twice(xs, directions, cond, body, counts, wanted, asked_of.body)[0])
    of_body = [next(of_ins) if a else None for a in asked_of.body]
    of_carry = [next(of_ins) if is_inexact(x) else None for x in xs.carry]
    return [*none, *of_body, *of_carry, *of_cts]


def _transpose_batch(
    args: Sequence[Any],
    batched: Sequence[bool],
    size: int,
    axis_name: Any,
    cond: Program,
    body: Program,
    counts: Counts,
    wanted: tuple[bool, ...],
) -> Any:
    params = {"cond": cond, "body": body, "counts": counts, "wanted": wanted}
    if size == 0:
        outs = _transpose_abstract(*cond.in_avals, *body.in_avals, **params)
        return tuple(np.zeros((0, *a.shape), a.dtype) for a in outs)
    if Axis(size, axis_name).separately(cond, body):
        return one_by_one(WHILE_TRANSPOSE, args, batched, size, params)
    xs, bs = _Operands.of(args, body, counts), _Operands.of(batched, body, counts)
    each = [b or w for b, w in zip(bs.body, wanted, strict=True)]  # every example has its own gradient
    consts = [spread([x], [b], size)[0] if e else x for x, b, e in zip(xs.body, bs.body, each, strict=True)]
    loop = batch_loop(cond, body, counts, (bs.cond, each), size, axis_name)
    carry = spread(xs.carry, bs.carry, size)
    operands = [*xs.cond, *consts, *loop.start(xs.cond, carry), *spread(xs.cts, bs.cts, size)]
    of_body = (*[False] * counts.cond, *wanted)
    return _bind_transpose(operands, cond=loop.cond, body=loop.body, counts=loop.counts, wanted=of_body)


WHILE_TRANSPOSE = declare(
    "while_transpose", _transpose_impl, _transpose_abstract, multiple=True, nested=True, vjp=_transpose_vjp
)
"""Cotangents for the `wanted` constants of a loop's body and for its inexact initial values: runs the loop, keeping the
residuals of each step on a stack that grows as it runs, and then the steps' transposes, last step first."""
WHILE_TRANSPOSE.push, WHILE_TRANSPOSE.batch = _transpose_push, _transpose_batch
WHILE_TRANSPOSE.jvp = lambda tangents, out, ins, **params: _transpose_push(ins, tangents, **params)[1]

WHILE.forward, WHILE.backward = _forward, _backward
