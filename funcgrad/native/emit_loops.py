"""Loops that block emitters are made of: rows in vectors, and loops that carry registers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from funcgrad.native.emission import Emission
from funcgrad.native.index import Ix, unit
from funcgrad.native.memory import Limits
from funcgrad.native.parts import divided
from funcgrad.native.values import Buf

__all__ = ["carried", "rows", "together"]


def rows(
    em: Emission,
    shape: Sequence[int],
    body: Callable[[list[Ix]], None],
    widest: int,
    twice: bool = False,
    each: float = 0.0,
    known: Sequence[Buf] = (),
) -> None:
    """Loops over a shape without zeros, the last one in vectors of elements of `widest` bytes; `body` gets the indices.

    With `widest` 0 all is scalars. What whole vectors leave is done by scalars; or, where places may be done `twice`,
    by a vector that begins earlier, so that the body is written once. Threads share the loops then, if a place (or a
    vector of them) takes `each` so many nanoseconds that it pays; `known` are the arrays that it uses.
    """
    w = em.w
    if not shape:
        body([])
        return
    n, width = shape[-1], em.vector_bytes // widest if widest else 1
    if twice:
        width = min(width, 1 << (n.bit_length() - 1))

    def vector(idx: list[Ix], i: str) -> None:
        if twice and n % width:
            before = w.op(f"icmp slt i64 {i}, {n - width}")
            i = w.op(f"select i1 {before}, i64 {i}, i64 {n - width}")
        body([*idx, unit(i, 0, n - 1, step=1)])

    def row(idx: list[Ix], lo: int | str, hi: int | str) -> None:
        full = n - n % width if width > 1 else 0
        if twice and full:
            with w.lanes(width), w.scope():
                w.loop(lo, hi, lambda i: vector(idx, i), step=width)
            return
        if full:
            with w.lanes(width), w.scope():
                w.loop(0, full, lambda i: vector(idx, i), step=width)
        if full < n:
            first, end = (lo, hi) if not full else (full, n)
            w.loop(first, end, lambda i: body([*idx, unit(i, 0, n - 1)]))

    def every(limits: Limits) -> None:
        em.loops(shape[:-1], lambda idx: row(idx, *limits(len(shape) - 1)), limits)

    units = [*[1] * (len(shape) - 1), max(1, width)]
    work = math.prod(shape[:-1]) * -(-n // units[-1]) * each if twice else 0.0
    divided(em, shape, units, work, known, every)


def together(em: Emission, shape: Sequence[int], body: Callable[[list[list[Ix]]], None], many: int) -> None:
    """Loops over a shape without zeros; `body` gets the indices of `many` places along the last axis, or of one."""
    w = em.w
    if not shape:
        body([[]])
        return
    n = shape[-1]
    full = n - n % many

    def row(idx: list[Ix]) -> None:
        if full:
            w.loop(0, full, lambda i: body([[*idx, unit(i, 0, n - many).affine(1, k)] for k in range(many)]), step=many)
        if full < n:
            w.loop(full, n, lambda i: body([[*idx, unit(i, 0, n - 1)]]))

    em.loops(shape[:-1], row)


def carried(
    em: Emission,
    lo: int,
    hi: int,
    types: Sequence[str],
    inits: Sequence[str],
    body: Callable[[str, list[str]], Sequence[str]],
    step: int = 1,
) -> list[str]:
    """Values that `body(i, values)` makes anew for i in range(lo, hi, step), which is not empty; the last ones."""
    w = em.w
    before, head, after = w.block, w.new_label("each"), w.new_label("done")
    w.branch(head)
    w.label(head)
    index, names = w.name("i"), [w.name("c") for _ in types]
    at = len(w.lines)
    with w.scope():
        new = list(body(index, names))
    end = w.block
    following = w.op(f"add nuw nsw i64 {index}, {step}")
    more = w.op(f"icmp slt i64 {following}, {hi}")
    w.write(f"br i1 {more}, label %{head}, label %{after}")
    phis = [f"  {index} = phi i64 [ {lo}, %{before} ], [ {following}, %{end} ]"]
    for name, t, first, last in zip(names, types, inits, new, strict=True):
        phis.append(f"  {name} = phi {t} [ {first}, %{before} ], [ {last}, %{end} ]")
    w.lines[at:at] = phis
    w.label(after)
    return new
