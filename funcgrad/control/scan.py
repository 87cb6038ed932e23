"""`scan` as one operation: a body program, carried values, and slices of stacked ones.

Operands are constants, carry and stacked inputs (`xs`, sliced along their first axis); results are the final carry and
stacked outputs. Forward mode is a scan of the tangent program. Reverse mode is a scan that stacks residuals, and one
that runs the other way; what is the same in each step, and the inputs themselves, are not stacked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.programs import scalars
from funcgrad.core import Primitive
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.call import (
    Split,
    batch_program,
    close,
    cotangents,
    interleave,
    record_program,
    reverse_programs,
    tangent_program,
)
from funcgrad.types import ShapedArray, aval_of, is_inexact, shape_of

__all__ = ["SCAN", "bind_scan"]


class Layout(NamedTuple):
    """How many operands are constants and carry, how often the body runs, and in which direction."""

    consts: int
    carry: int
    length: int
    reverse: bool

    def split(self, xs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Constants, carry and the rest."""
        n = self.consts + self.carry
        return list(xs[: self.consts]), list(xs[self.consts : n]), list(xs[n:])


def bind_scan(program: Program, layout: Layout, args: Sequence[Any]) -> tuple[Any, ...]:
    """Bind a scan of a body, whose constants become operands."""
    closed, consts = close(program)
    layout = layout._replace(consts=layout.consts + len(consts))
    return SCAN.bind(*consts, *args, program=closed, layout=layout)


def _inexact(avals: Sequence[ShapedArray]) -> tuple[bool, ...]:
    return tuple(a.dtype.kind in "fc" for a in avals)


def _impl(*args: Any, program: Program, layout: Layout) -> tuple[Any, ...]:
    consts, carry, xs = layout.split(args)
    avals = program.out_avals[layout.carry :]
    ys = [np.empty((layout.length, *a.shape), a.dtype) for a in avals]
    steps = range(layout.length)
    for i in reversed(steps) if layout.reverse else steps:
        out = eval_program(program, [*consts, *carry, *(x[i] for x in xs)])
        carry = out[: layout.carry]
        for y, o in zip(ys, out[layout.carry :], strict=True):
            y[i] = o
    return (*scalars(carry), *ys)


def _abstract(*avals: ShapedArray, program: Program, layout: Layout) -> tuple[ShapedArray, ...]:
    outs = program.out_avals
    stacked = [ShapedArray((layout.length, *a.shape), a.dtype) for a in outs[layout.carry :]]
    return (*outs[: layout.carry], *stacked)


# ------------------------------------------------------------------------------------------------- forward mode


def _push(primals: Sequence[Any], tangents: Sequence[Any], program: Program, layout: Layout) -> Any:
    consts, carry, xs = layout.split(primals)
    dconsts, dcarry, dxs = layout.split(tangents)
    avals = program.in_avals
    _, carry_avals, _ = layout.split(avals)
    moving = _inexact(carry_avals)
    given = (*(t is not None for t in dconsts), *moving, *(t is not None for t in dxs))
    derived = tangent_program(program, given)
    n_out = len(program.outputs)
    filled = [_zeros_like(x) if t is None else t for x, t, m in zip(carry, dcarry, moving, strict=True) if m]
    groups = [
        [*consts, *(t for t in dconsts if t is not None)],
        [*carry, *filled],
        [*xs, *(t for t in dxs if t is not None)],
    ]

    def body(*flat: Any) -> list[Any]:
        new = Layout(len(groups[0]), len(groups[1]), layout.length, layout.reverse)
        c, k, x = new.split(flat)
        nc, nk, nx = layout.consts, layout.carry, len(xs)
        results = eval_program(derived, [*c[:nc], *k[:nk], *x[:nx], *c[nc:], *k[nk:], *x[nx:]])
        outs, douts = interleave(program, results)
        dk = [_zeros_like(o) if d is None else d for o, d, m in zip(outs[:nk], douts[:nk], moving, strict=True) if m]
        return [*outs[:nk], *dk, *outs[nk:], *(d for d in douts[nk:] if d is not None)]

    step = [aval_of(x) for x in (*groups[0], *groups[1])] + [_slice_aval(x) for x in groups[2]]
    new = Layout(len(groups[0]), len(groups[1]), layout.length, layout.reverse)
    results = bind_scan(record_program(step, body), new, [x for g in groups for x in g])
    return _unpack_push(results, program, layout, moving, n_out)


def _unpack_push(results: Sequence[Any], program: Program, layout: Layout, moving: Sequence[bool], n_out: int) -> Any:
    nk = layout.carry
    after = nk + sum(moving)
    tangents = iter(results[nk:after])
    ys = results[after : after + n_out - nk]
    dys = iter(results[after + n_out - nk :])
    dcarry = [next(tangents) if m else None for m in moving]
    douts = [next(dys) if is_inexact(y) else None for y in ys]
    return (*results[:nk], *ys), [*dcarry, *douts]


def _zeros_like(x: Any) -> Any:
    return np.zeros(shape_of(x), aval_of(x).dtype)


def _slice_aval(x: Any) -> ShapedArray:
    return ShapedArray(shape_of(x)[1:], aval_of(x).dtype)


# ------------------------------------------------------------------------------------------------- reverse mode


def _taken_apart(program: Program, layout: Layout, wanted: Sequence[bool]) -> tuple[Split, tuple[bool, ...]]:
    """The body's programs for reverse mode; all inexact carried values take a cotangent."""
    wc, _, wx = layout.split(wanted)
    _, carry_avals, _ = layout.split(program.in_avals)
    body_wanted = (*wc, *_inexact(carry_avals), *wx)
    return reverse_programs(program, body_wanted), body_wanted


def _origins(split: Split, layout: Layout) -> list[int | None]:
    """For each residual the operand that it is, if it is a constant or a slice of an input; else None."""
    carried = range(layout.consts, layout.consts + layout.carry)
    return [None if o in carried else o for o in split.origins()]


def _forward(ins: Sequence[Any], wanted: Sequence[bool], program: Program, layout: Layout) -> Any:
    split, _ = _taken_apart(program, layout, wanted)
    origins = _origins(split, layout)
    forward = split.forward
    outputs = [*forward.outputs[: split.outputs]]
    outputs += [a for a, o in zip(forward.outputs[split.outputs :], origins, strict=True) if o is None]
    stacking = Program(forward.constvars, forward.consts, forward.inputs, forward.equations, outputs, None, None)
    results = bind_scan(stacking, layout, ins)
    stacked = iter(results[split.outputs :])
    kept = [next(stacked) if o is None else ins[o] for o in origins]
    return tuple(results[: split.outputs]), tuple(kept)


def _backward(
    kept: Any, ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], program: Program, layout: Layout
) -> list[Any]:
    split, body_wanted = _taken_apart(program, layout, wanted)
    origins = _origins(split, layout)
    fixed = [o is not None and o < layout.consts for o in origins]
    cts = cotangents(ct, out)
    n_ct_carry = sum(_inexact(program.out_avals[: layout.carry]))
    wc, wk, wx = layout.split(body_wanted)
    consts, _, _ = layout.split(ins)
    sums = [_zeros_like(x) for x, w in zip(consts, wc, strict=True) if w]
    res_fixed = [k for k, f in zip(kept, fixed, strict=True) if f]
    res_step = [k for k, f in zip(kept, fixed, strict=True) if not f]
    groups = [res_fixed, [*cts[:n_ct_carry], *sums], [*res_step, *cts[n_ct_carry:]]]
    new = Layout(len(groups[0]), len(groups[1]), layout.length, not layout.reverse)

    def body(*flat: Any) -> list[Any]:
        c, k, x = new.split(flat)
        from_fixed, from_step = iter(c), iter(x)
        residuals = [next(from_fixed) if f else next(from_step) for f in fixed]
        grads = iter(eval_program(split.backward, [*residuals, *k[:n_ct_carry], *from_step]))
        by_const = [next(grads) for w in wc if w]
        by_carry = [next(grads) for w in wk if w]
        total = [s + g for s, g in zip(k[n_ct_carry:], by_const, strict=True)]
        return [*by_carry, *total, *(next(grads) for w in wx if w)]

    step = [aval_of(x) for x in (*groups[0], *groups[1])] + [_slice_aval(x) for x in groups[2]]
    results = bind_scan(record_program(step, body), new, [x for g in groups for x in g])
    carry_cts = iter(results[:n_ct_carry])
    const_cts = iter(results[n_ct_carry : len(groups[1])])
    x_cts = iter(results[len(groups[1]) :])
    return [
        *(next(const_cts) if w else None for w in wc),
        *(next(carry_cts) if w else None for w in wk),
        *(next(x_cts) if w else None for w in wx),
    ]


# ------------------------------------------------------------------------------------------------------- batches


def _batch(
    args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, program: Program, layout: Layout
) -> Any:
    consts, carry, xs = layout.split(args)
    bc, bk, bx = layout.split(batched)
    carry = [x if b else np.broadcast_to(x, (size, *shape_of(x))) for x, b in zip(carry, bk, strict=True)]
    xs = [np.swapaxes(x, 0, 1) if b else x for x, b in zip(xs, bx, strict=True)]
    body = batch_program(program, (*bc, *[True] * len(carry), *bx), size, axis_name)
    results = bind_scan(body, layout, [*consts, *carry, *xs])
    return (*results[: layout.carry], *(np.swapaxes(y, 0, 1) for y in results[layout.carry :]))


SCAN: Primitive = declare("scan", _impl, _abstract, multiple=True, nested=True, programs=("program",))
"""Run `program` once per slice of the stacked operands, carrying values along."""
SCAN.push, SCAN.forward, SCAN.backward, SCAN.batch = _push, _forward, _backward, _batch
SCAN.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]
