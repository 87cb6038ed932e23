"""Straight programs: their kernels, small values, operations with emitters of their own and host steps, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Equation, Program, Var
from funcgrad.native.emission import Emission
from funcgrad.native.host import host_step
from funcgrad.native.kernel import Kernel, Store, copy_into
from funcgrad.native.plan import Item, Plan
from funcgrad.native.reductions import written_out
from funcgrad.native.registry import BLOCKS, ELEMENTS, Emitter, Unsupported, found
from funcgrad.native.values import Buf, Small, places, small
from funcgrad.native.writer import Operand

__all__ = ["block", "element_of_reduction"]


def block(em: Emission, program: Program, dests: Sequence[Buf | None]) -> None:
    """Emit the equations of a program, of which the inputs are in `em.env`, and write its outputs to `dests` (None: it
    stays where it is)."""
    for v, c in zip(program.constvars, program.consts, strict=True):
        c = np.asarray(c)
        if small(c.shape):
            values = [em.w.literal(x, c.dtype) for x in c.reshape(-1)]
            em.env[v] = Small(values, c.shape, c.dtype)
        else:
            em.env[v] = em.constant(c)
    _Block(em, program, dests).emit()


class _Block:
    def __init__(self, em: Emission, program: Program, dests: Sequence[Buf | None]) -> None:
        self.em, self.program, self.dests = em, program, dests
        em.defs.update({v: e for e in program.equations for v in e.outputs})
        em.equations += len(program.equations)
        self.plan = Plan(em, program)
        self.wanted: dict[Any, Buf] = {}
        for o, d in zip(program.outputs, dests, strict=True):
            stored = self.plan.kind(o) not in ("", "small") and not small(o.aval.shape)
            if d is not None and stored and o not in self.wanted:
                self.wanted[o] = d

    def emit(self) -> None:
        em, plan = self.em, self.plan
        before, em.block = em.block, self
        self._smalls(plan.first)
        for item in plan.items:
            if item.block is not None:
                self._operation(item.block)
            else:
                self._kernel(item)
            em.forget()
            self._smalls(item.smalls)
            self._release(item.position)
        for o, d in zip(self.program.outputs, self.dests, strict=True):
            if d is not None and self.wanted.get(o) is not d:
                copy_into(em, o, d)
        for owner in [v for v in em.owned if self._owns(v)]:
            em.release(owner)
        em.release(self)
        em.block = before

    def _release(self, position: int) -> None:
        em, last = self.em, self.plan.last
        for owner in [v for v in em.owned if self._owns(v)]:
            outs = owner.outputs if isinstance(owner, Equation) else (owner,)
            if all(last.get(v, 0) <= position for v in outs):
                em.release(owner)

    def _owns(self, owner: Any) -> bool:
        """Whether memory belongs to a value, or an equation, of this program."""
        return owner in self.plan.defs or id(owner) in self.plan.kinds

    def _smalls(self, equations: Sequence[Equation]) -> None:
        for e in equations:
            for k, v in enumerate(e.outputs):
                emitter, every = found(ELEMENTS, e), places(v.aval.shape)
                if emitter is None:
                    r = self.plan.reductions[id(e)]
                    values = [written_out(self.em, r, idx) for idx in every]
                else:
                    values = [emitter.rule(self.em, e, k, idx) for idx in every]
                self.em.env[v] = Small(values, v.aval.shape, v.aval.dtype)

    def _target(self, v: Var) -> Buf:
        found = self.wanted.get(v)
        return self.em.temp(v.aval.shape, v.aval.dtype, v) if found is None else found

    def _kernel(self, item: Item) -> None:
        em = self.em
        stores: list[Store] = [(v, None if v in item.elided else self._target(v)) for v in item.stores]
        done = [(r, self._target(v)) for r, v in item.reductions]
        assert item.core is not None
        first, place = stores[0] if stores else (None, None)
        if len(stores) == 1 and not done and first is not None and place is not None:
            copy_into(em, first, place)
        else:
            Kernel(em, item.core, stores, done).emit()
        for v, b in stores:
            if b is not None and isinstance(v, Var):
                em.env[v] = b
        for (_, v), (_, b) in zip(item.reductions, done, strict=True):
            em.env[v] = em.settled(b)

    def _operation(self, eqn: Equation) -> None:
        """An operation with an emitter of its own; a host step where there is none, or it says that it cannot."""
        em = self.em
        emitter = found(BLOCKS, eqn)
        reason = "there is no native code for it"
        if emitter is not None:
            state = em.state()
            try:
                values = self._written(eqn, emitter)
            except Unsupported as error:
                reason = str(error)
                em.restore(state)
            else:
                em.forget()
                em.env.update(zip(eqn.outputs, values, strict=True))
                return
        outs = [self._target(v) for v in eqn.outputs]
        host_step(em, eqn, outs, reason)
        em.forget()
        em.env.update({v: em.settled(b) for v, b in zip(eqn.outputs, outs, strict=True)})

    def _written(self, eqn: Equation, emitter: Emitter) -> Sequence[Buf | Small]:
        """The results of an operation by its emitter, those that are wanted in a place in that place."""
        em = self.em
        wanted = [self.wanted.get(v) for v in eqn.outputs]
        if not emitter.own:
            outs = [self._target(v) for v in eqn.outputs]
            emitter.rule(em, eqn, outs)
            em.forget()
            return [em.settled(b) for b in outs]
        values = list(emitter.rule(em, eqn, wanted))
        for k, (v, b) in enumerate(zip(eqn.outputs, wanted, strict=True)):
            if b is not None and values[k] is not b:
                em.env[v] = values[k]
                copy_into(em, v, b)
                values[k] = b
        return values


def element_of_reduction(em: Emission, eqn: Equation, idx: Sequence[Any]) -> Operand:
    """An element of a reduction of a few terms, for who reads it in a loop."""
    plan = em.block
    assert isinstance(plan, _Block)
    return written_out(em, plan.plan.reductions[id(eqn)], idx)
