"""Control flow: `scan`, `while` and `cond` as loops and branches of the machine code.

Carried values with a few elements are registers (φ). Larger ones lie in two pieces of memory in turn: a step reads one
and writes the other, and the pointers are exchanged. What a body hands on as it was is not carried at all; and where a
step only writes some elements it may do so in place (`in_place`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.native.blocks import block
from funcgrad.native.emission import Emission, Value
from funcgrad.native.in_place import updated_in_place
from funcgrad.native.outside import Outside, loop_around
from funcgrad.native.reductions import converted
from funcgrad.native.registry import block_emitter
from funcgrad.native.values import Buf, Small, small
from funcgrad.native.writer import Operand

__all__ = ["cond", "scan", "while_"]


def _given(em: Emission, x: Atom) -> Value:
    """An operand of a loop or a branch: in registers if it is small, else in memory."""
    if small(x.aval.shape):
        return Small(em.small_values(x), x.aval.shape, x.aval.dtype)
    return em.buffer(x)


def _parts(value: Operand) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,)


class _Carry:
    """A value that is carried from step to step.

    Attributes:
        v: the variable of the body.
        value: what it is in a step.
        target: where the next value is to be written; None for registers.
        after: what it is after a `scan`.
    """

    def __init__(self, em: Emission, v: Var, init: Atom, owner: Any, in_place: bool) -> None:
        self.em, self.v, self.in_place = em, v, in_place
        w, shape, dtype = em.w, v.aval.shape, v.aval.dtype
        self.target: Buf | None = None
        self.value: Value
        if small(shape):
            self.inits = em.small_values(init)
            self.names: list[Operand] = []
            for x in self.inits:
                self.names.append((w.name("c"), w.name("c")) if isinstance(x, tuple) else w.name("c"))
            self.value = Small(self.names, shape, dtype)
            return
        if in_place:
            self.value = self.target = em.temp(shape, dtype, owner)
            em.copy(init, self.target)
            em.forget(self.target)
            return
        b = em.dense(init)
        start = em.pointer(dtype, b.ptr, {}, b.off)
        first, second = em.temp(shape, dtype, owner), em.temp(shape, dtype, owner)
        self.starts = start, first.ptr, second.ptr
        self.now, self.next, self.spare = w.name("p"), w.name("p"), w.name("p")
        self.value, self.target = Buf(self.now, shape, dtype), Buf(self.next, shape, dtype)

    def advance(self, x: Atom) -> None:
        """Take the value of the next step, which is in its place if it lies in memory."""
        self.new = self.em.small_values(x) if self.target is None else []

    def phis(self, before: str, end: str) -> list[str]:
        if self.in_place and self.target is not None:
            return []
        if self.target is not None:
            a, b, c = self.starts
            rows = [(self.now, a, self.next), (self.next, b, self.spare), (self.spare, c, self.next)]
            return [f"  {r} = phi ptr [ {s}, %{before} ], [ {n}, %{end} ]" for r, s, n in rows]
        with self.em.w.lanes(0):
            t = self.em.w.type(self.v.aval.dtype)
        rows = [
            (r, a, b)
            for names, inits, new in zip(self.names, self.inits, self.new, strict=True)
            for r, a, b in zip(_parts(names), _parts(inits), _parts(new), strict=True)
        ]
        return [f"  {r} = phi {t} [ {a}, %{before} ], [ {b}, %{end} ]" for r, a, b in rows]

    @property
    def after(self) -> Value:
        shape, dtype = self.v.aval.shape, self.v.aval.dtype
        if self.target is None:
            return Small(self.new, shape, dtype)
        return self.target if self.in_place else Buf(self.next, shape, dtype)


class _Loop:
    """The carried values of a loop, and its header."""

    def __init__(self, em: Emission, eqn: Equation, body: Program, first: int, inits: Sequence[Atom]) -> None:
        """`first` is the number of the body's first input that is carried."""
        self.em, self.body = em, body
        self.inputs = body.inputs[first : first + len(inits)]
        outs = body.outputs[: len(inits)]
        self.fixed = {k: _given(em, x) for k, x in enumerate(inits) if outs[k] is self.inputs[k]}
        self.carries = {
            k: _Carry(em, self.inputs[k], x, eqn, updated_in_place(body, self.inputs[k], outs[k]))
            for k, x in enumerate(inits)
            if k not in self.fixed
        }
        self.header: list[str] = []

    def open(self, outside: Outside) -> None:
        """Begin the block of a step."""
        w = self.em.w
        self.outside, self.head = outside, w.new_label("step")
        w.branch(self.head)
        w.label(self.head)
        w.lines.append(self.header)
        self.em.forget()

    def bound(self, k: int) -> Value:
        return self.fixed[k] if k in self.fixed else self.carries[k].value

    def bind(self, inputs: Sequence[Var]) -> None:
        """Bind the carried values to these variables."""
        for k, v in enumerate(inputs):
            self.em.env[v] = self.bound(k)

    def targets(self) -> list[Buf | None]:
        return [self.carries[k].target if k in self.carries else None for k in range(len(self.inputs))]

    def advance(self) -> None:
        for k, c in self.carries.items():
            c.advance(self.body.outputs[k])

    def phis(self, end: str) -> None:
        for c in self.carries.values():
            self.header += c.phis(self.outside.block, end)


def _place(em: Emission, v: Var, wanted: Buf | None) -> Buf:
    """Where a result is written."""
    return em.temp(v.aval.shape, v.aval.dtype, v) if wanted is None else wanted


def _rows(em: Emission, b: Buf, step: str) -> Buf:
    """The row of a stacked array that belongs to a step."""
    p = em.pointer(b.dtype, b.ptr, {step: b.strides[0]}, b.off)
    return Buf(p, b.shape[1:], b.dtype, b.strides[1:])


@block_emitter("scan", own=True)
def scan(em: Emission, eqn: Equation, outs: Sequence[Buf | None]) -> Sequence[Value]:
    w, body, layout = em.w, eqn.params["program"], eqn.params["layout"]
    consts, inits, xs = layout.split(eqn.inputs)
    nk, length = layout.carry, layout.length
    ys = [_place(em, v, b) for v, b in zip(eqn.outputs[nk:], outs[nk:], strict=True)]
    if not length:
        return [*(_given(em, x) for x in inits), *ys]
    given = [_given(em, x) for x in consts]
    stacks = [em.buffer(x) for x in xs]
    loop = _Loop(em, eqn, body, layout.consts, inits)
    outside = em.env
    with w.scope(), loop_around(em, [*given, *loop.fixed.values()]) as before:
        loop.open(before)
        i = w.name("i")
        em.env = dict(outside)
        em.env.update(zip(body.inputs, given, strict=False))
        loop.bind(loop.inputs)
        step = w.op(f"sub nsw i64 {length - 1}, {i}") if layout.reverse else i
        for b, v in zip(stacks, body.inputs[layout.consts + nk :], strict=True):
            em.env[v] = em.settled(_rows(em, b, step))
        block(em, body, [*loop.targets(), *(_rows(em, b, step) for b in ys)])
        loop.advance()
        end, done = w.block, w.new_label("done")
        loop.header.append(f"  {i} = phi i64 [ 0, %{before.block} ], [ {i}.next, %{end} ]")
        loop.phis(end)
        w.write(f"{i}.next = add nuw nsw i64 {i}, 1")
        w.write(f"{i}.more = icmp slt i64 {i}.next, {length}")
        w.write(f"br i1 {i}.more, label %{loop.head}, label %{done}")
    w.label(done)
    em.env = outside
    em.forget()
    carried = [loop.fixed[k] if k in loop.fixed else loop.carries[k].after for k in range(nk)]
    return [*carried, *(em.settled(b) for b in ys)]


def _holds(em: Emission, x: Atom) -> str:
    """Whether a condition holds, and nothing has failed: then a loop goes on."""
    w = em.w
    value = converted(w, em.element(x, ()), x.aval.dtype, np.dtype(bool))
    fine = w.op(f"icmp eq i32 {w.op('load i32, ptr %status')}, 0")
    return w.op(f"and i1 {value}, {fine}")


@block_emitter("while", own=True)
def while_(em: Emission, eqn: Equation, outs: Sequence[Buf | None]) -> Sequence[Value]:
    w, counts = em.w, eqn.params["counts"]
    test, body = eqn.params["cond"], eqn.params["body"]
    of_test, of_body, inits = counts.split(eqn.inputs)
    given = [_given(em, x) for x in (*of_test, *of_body)]
    loop = _Loop(em, eqn, body, counts.body, inits)
    outside = em.env
    with w.scope(), loop_around(em, [*given, *loop.fixed.values()]) as before:
        loop.open(before)
        em.env = dict(outside)
        em.env.update(zip((*test.inputs[: counts.cond], *body.inputs[: counts.body]), given, strict=True))
        loop.bind(test.inputs[counts.cond :])
        loop.bind(loop.inputs)
        block(em, test, [None])
        going, done = w.new_label("going"), w.new_label("done")
        w.write(f"br i1 {_holds(em, test.outputs[0])}, label %{going}, label %{done}")
        with w.scope():
            w.label(going)
            block(em, body, loop.targets())
            loop.advance()
            loop.phis(w.block)
            w.branch(loop.head)
    w.label(done)
    em.env = outside
    return [loop.bound(k) for k in range(len(inits))]


@block_emitter("cond", own=True)
def cond(em: Emission, eqn: Equation, outs: Sequence[Buf | None]) -> Sequence[Value]:
    w, branches = em.w, eqn.params["branches"]
    index, *operands = eqn.inputs
    chosen = converted(w, em.element(index, ()), index.aval.dtype, np.dtype(np.int64))
    given = [_given(em, x) for x in operands]
    labels = [w.new_label("branch") for _ in branches]
    wrong, done = w.new_label("wrong"), w.new_label("done")
    n = len(branches)
    cases = " ".join(f"i64 {k}, label %{labels[k]} i64 {k - n}, label %{labels[k]}" for k in range(n))
    w.write(f"switch i64 {chosen}, label %{wrong} [ {cases} ]")
    w.label(wrong)
    w.write("store i32 1, ptr %status")
    w.branch("exit")
    tiny = [small(v.aval.shape) for v in eqn.outputs]
    places = [None if t else _place(em, v, b) for v, t, b in zip(eqn.outputs, tiny, outs, strict=True)]
    ends: list[tuple[str, list[list[Operand]]]] = []
    outside = em.env
    for label, branch in zip(labels, branches, strict=True):
        with w.scope():
            w.label(label)
            em.env = dict(outside)
            em.env.update(zip(branch.inputs, given, strict=True))
            block(em, branch, places)
            values = [em.small_values(x) if t else [] for x, t in zip(branch.outputs, tiny, strict=True)]
            ends.append((w.block, values))
            w.branch(done)
    em.env = outside
    w.label(done)
    results: list[Value] = []
    for k, (v, b) in enumerate(zip(eqn.outputs, places, strict=True)):
        results.append(_joined(em, v, [(label, values[k]) for label, values in ends]) if b is None else b)
    return results


def _joined(em: Emission, v: Var, ends: Sequence[tuple[str, list[Operand]]]) -> Small:
    """A small value that was made in one of several branches."""
    w = em.w
    t = w.type(v.aval.dtype)
    made: list[Operand] = []
    for j in range(v.aval.size):
        rows = [(label, _parts(values[j])) for label, values in ends]
        parts = [
            w.op(f"phi {t} " + ", ".join(f"[ {p[c]}, %{label} ]" for label, p in rows)) for c in range(len(rows[0][1]))
        ]
        made.append((parts[0], parts[1]) if len(parts) == 2 else parts[0])
    return Small(made, v.aval.shape, v.aval.dtype)
