"""Lowerings of control flow: Python loops and branches, with the body's code inside.

Slices of stacked arrays are made once, before the loop. A carried array that the body can update where it is stays
there; one that is also stacked lives in the stack; any other goes to and fro between two arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.executor.emit import Emitter, Sinks
from funcgrad.executor.plan import Plan, make_plan
from funcgrad.executor.step import INTO, SCALAR, Bindings, Step, lowers
from funcgrad.ir import Equation, Program, Var

__all__: list[str] = []


def _kinds(eqn: Equation) -> tuple[str, ...]:
    return tuple(INTO if v.aval.shape else SCALAR for v in eqn.outputs)


@lowers("scan")
def _scan(eqn: Equation, bindings: Bindings) -> Step:
    return Step(eqn, _kinds(eqn), loop=_write_scan)


@lowers("while")
def _while(eqn: Equation, bindings: Bindings) -> Step:
    return Step(eqn, _kinds(eqn), loop=_write_while)


@lowers("cond")
def _cond(eqn: Equation, bindings: Bindings) -> Step:
    return Step(eqn, _kinds(eqn), loop=_write_cond)


class _Carry:
    """The carried values of a loop: where they are at the start of a step, and where the step puts them.

    Attributes:
        names: of the variables that hold them.
        nexts: of those that hold the memory for their next values; None where there is none.
    """

    def __init__(self, emitter: Emitter, plan: Plan, step: Step, body: Program, first: int, sinks: Sinks) -> None:
        """`first` is the index of the first carried value among the inputs of the body; the first outputs of the body
        and of the step are the carried values."""
        self.emitter, self.step, self.body = emitter, step, body
        self.count = len(body.inputs) - first if step.equation.primitive.name == "while" else self._scan_count()
        self.inputs = body.inputs[first : first + self.count]
        self.names = [emitter.unique("carry") for _ in self.inputs]
        self.nexts: list[str | None] = [None] * self.count
        self.blocks: list[int] = []
        self.plan, self.sinks = plan, sinks
        self.kept: set[int] = set()  # which are updated in place
        for var, name in zip(self.inputs, self.names, strict=True):
            emitter.env[var] = name

    def _scan_count(self) -> int:
        return self.step.equation.params["layout"].carry

    def donated(self) -> list[bool]:
        """Which inputs of the body may be overwritten: carried arrays that are no output as they are, and that do not
        live in a stack."""
        body = self.body
        stacked = set(body.outputs[self.count :])
        free = {
            v: v.aval.shape != () and out not in stacked and v not in body.outputs
            for v, out in zip(self.inputs, body.outputs, strict=False)
        }
        return [free.get(v, False) for v in body.inputs]

    def name_donated(self, body_plan: Plan) -> None:
        """Give what is computed over an input of the body the name of that input. Programs may share variables, so the
        name of another one in the same place can be that of an earlier loop."""
        for place in body_plan.places.values():
            if place.donor is not None:
                place.name = self.emitter.env[self.body.inputs[place.donor]]

    def start(self, body_plan: Plan, inits: Sequence[str], in_stack: Sequence[str | None]) -> None:
        """Write what comes before the loop: initial values, and memory for the next ones."""
        emitter = self.emitter
        copyto = emitter.bindings.name(np.copyto, "copyto")
        for i, (var, init) in enumerate(zip(self.inputs, inits, strict=True)):
            name = self.names[i]
            if not var.aval.shape or in_stack[i] is not None:
                emitter.write(f"{name} = {init}")
                continue
            if self.in_place(body_plan, i):
                array = self._result(i)
                self.kept.add(i)
            else:
                array = self._take(var)
                self.nexts[i] = emitter.unique("next")
                emitter.write(f"{self.nexts[i]} = {self._take(var)}")
            emitter.write(f"{name} = {array}")
            emitter.write(f"{copyto}({name}, {init})")

    def in_place(self, body_plan: Plan, i: int) -> bool:
        """Whether the next value can be written where the carried one is: over it, or once nothing reads it."""
        out, var = self.body.outputs[i], self.inputs[i]
        place = body_plan.places.get(out) if isinstance(out, Var) else None
        if place is None or place is body_plan.places.get(var):
            return place is not None
        if place.donor is not None or place.sink != i:
            return False
        steps = enumerate(body_plan.steps)
        first = next(at for at, s in steps if any(body_plan.places.get(v) is place for v in s.equation.outputs))
        there = body_plan.places.get(var)
        last = [body_plan.dies.get(v, -1) for v, p in body_plan.places.items() if p is there]
        return max(body_plan.dies.get(var, -1), *last, -1) < first

    def _take(self, var: Var) -> str:
        arena = self.emitter.arena
        block = arena.take(max(1, var.aval.size * var.aval.dtype.itemsize))
        self.blocks.append(block)
        return arena.view(block, var.aval, self.emitter.bindings)

    def _result(self, i: int) -> str:
        return self.emitter.result(self.plan, self.step, i, self.sinks, "")

    def advance(self, body_plan: Plan, in_stack: Sequence[str | None]) -> None:
        """Write what ends a step: carried values get their new names."""
        emitter = self.emitter
        copyto = emitter.bindings.name(np.copyto, "copyto")
        left: list[str] = []
        right: list[str] = []
        for i, name in enumerate(self.names):
            out = self.body.outputs[i]
            value = emitter.operand(out)
            after = self.nexts[i]
            if in_stack[i] is not None or not self.inputs[i].aval.shape:
                if value != name:
                    left.append(name)
                    right.append(value)
            elif after is not None:
                if value != after:
                    emitter.write(f"{copyto}({after}, {value})")
                left += [name, after]
                right += [after, name]
        if left:
            emitter.write(f"{', '.join(left)} = {', '.join(right)}")

    def finish(self, body_plan: Plan) -> None:
        """Write what comes after the loop: results of the step."""
        emitter = self.emitter
        copyto = emitter.bindings.name(np.copyto, "copyto")
        for i, var in enumerate(self.step.equation.outputs[: self.count]):
            if not var.aval.shape:
                emitter.env[var] = self.names[i]
            elif i not in self.kept and var in self.plan.dies:
                emitter.write(f"{copyto}({self._result(i)}, {self.names[i]})")
        emitter.arena.give(*self.blocks)


def _rows(emitter: Emitter, array: str, reverse: bool, writable: bool, ndim: int) -> str:
    """A list of the slices of an array along its first axis; of a vector they are scalars, or `writable` arrays."""
    text = f"{array}{'[::-1]' if reverse else ''}{'.reshape(-1, 1)' if writable and ndim == 1 else ''}"
    if array in emitter.arena.used and (writable or ndim > 1):
        return emitter.arena.derived(f"list({text})", emitter.arena.used[array])
    name = emitter.unique("rows")
    emitter.write(f"{name} = list({text})")
    return name


def _scan_plan(emitter: Emitter, carry: _Carry, count: int) -> Plan:
    """The plan of a body. What is stacked is written into its slice, and not over a carried value."""
    donated = carry.donated()
    plan = make_plan(carry.body, emitter.bindings, donated)
    stacked = {id(plan.places[v]) for v in carry.body.outputs[count:] if isinstance(v, Var) and v in plan.places}
    taken = [v in plan.places and id(plan.places[v]) in stacked for v in carry.body.inputs]
    if any(taken):
        plan = make_plan(carry.body, emitter.bindings, [d and not t for d, t in zip(donated, taken, strict=True)])
    return plan


def _write_scan(emitter: Emitter, plan: Plan, step: Step, sinks: Sinks) -> None:
    eqn = step.equation
    body, layout = eqn.params["program"], eqn.params["layout"]
    operands = [emitter.operand(x) for x in eqn.inputs]
    consts, inits, stacks = layout.split(operands)
    for var, text in zip(body.inputs, consts, strict=False):
        emitter.env[var] = text
    emitter.constants(body)
    emitter.write(f"# {emitter.comment(eqn)}", step)
    carry = _Carry(emitter, plan, step, body, layout.consts, sinks)
    body_plan = _scan_plan(emitter, carry, layout.carry)
    carry.name_donated(body_plan)
    emitted = eqn.outputs[layout.carry :]
    results = [emitter.result(plan, step, layout.carry + j, sinks, "") for j in range(len(emitted))]
    rows = [_rows(emitter, y, layout.reverse, True, v.aval.ndim) for y, v in zip(results, emitted, strict=True)]
    slots = [emitter.unique("row") for _ in rows]
    arrays = eqn.inputs[len(eqn.inputs) - len(stacks) :]
    slices = [_rows(emitter, x, layout.reverse, False, v.aval.ndim) for x, v in zip(stacks, arrays, strict=True)]
    first = len(body.inputs) - len(stacks)
    items = [emitter.local(v) for v in body.inputs[first:]]
    for var, name in zip(body.inputs[first:], items, strict=True):
        emitter.env[var] = name
    outs = body.outputs[layout.carry :]
    in_stack: list[str | None] = [
        next((s for s, y in zip(slots, outs, strict=True) if y is c and v.aval.shape and c in body_plan.places), None)
        for c, v in zip(body.outputs, carry.inputs, strict=False)
    ]
    carry.start(body_plan, inits, in_stack)
    names, lists = [*items, *slots], [*slices, *rows]
    if not names:
        emitter.write(f"for _ in range({layout.length}):", step)
    elif len(names) == 1:
        emitter.write(f"for {names[0]} in {lists[0]}:", step)
    else:
        emitter.write(f"for {', '.join(names)} in zip({', '.join(lists)}):", step)

    def inner(i: int) -> str | None:
        if i >= layout.carry:
            return slots[i - layout.carry]
        return in_stack[i] or carry.nexts[i] or carry.names[i]

    _write_body(emitter, body_plan, inner, step)
    _stack(emitter, outs, slots)
    carry.advance(body_plan, in_stack)
    emitter.depth -= 1
    carry.finish(body_plan)


def _stack(emitter: Emitter, outs: Sequence[Any], slots: Sequence[str]) -> None:
    """Put what the body did not write into its slices there."""
    copyto = emitter.bindings.name(np.copyto, "copyto")
    for out, slot in zip(outs, slots, strict=True):
        value = emitter.operand(out)
        if not out.aval.shape:
            emitter.write(f"{slot}[0] = {value}")
        elif value != slot:
            emitter.write(f"{copyto}({slot}, {value})")


def _write_body(emitter: Emitter, body_plan: Plan, sinks: Sinks, step: Step) -> None:
    """Write a block, one level deeper."""
    emitter.depth += 1
    start = len(emitter.lines)
    emitter.block(body_plan, sinks)
    if len(emitter.lines) == start:
        emitter.write("pass")


def _write_while(emitter: Emitter, plan: Plan, step: Step, sinks: Sinks) -> None:
    eqn = step.equation
    test, body, counts = eqn.params["cond"], eqn.params["body"], eqn.params["counts"]
    of_test, of_body, inits = counts.split([emitter.operand(x) for x in eqn.inputs])
    for var, text in (*zip(test.inputs, of_test, strict=False), *zip(body.inputs, of_body, strict=False)):
        emitter.env[var] = text
    emitter.constants(test)
    emitter.constants(body)
    emitter.write(f"# {emitter.comment(eqn)}", step)
    carry = _Carry(emitter, plan, step, body, counts.body, sinks)
    for var, name in zip(test.inputs[counts.cond :], carry.names, strict=True):
        emitter.env[var] = name
    body_plan = make_plan(body, emitter.bindings, carry.donated())
    carry.name_donated(body_plan)
    nowhere: list[str | None] = [None] * carry.count
    carry.start(body_plan, inits, nowhere)
    emitter.write("while True:", step)
    test_plan = make_plan(test, emitter.bindings)
    _write_body(emitter, test_plan, lambda i: None, step)
    emitter.write(f"if not {emitter.operand(test.outputs[0])}:")
    emitter.write("    break")
    emitter.depth -= 1
    _write_body(emitter, body_plan, lambda i: carry.nexts[i] or carry.names[i], step)
    carry.advance(body_plan, nowhere)
    emitter.depth -= 1
    carry.finish(body_plan)


def _write_cond(emitter: Emitter, plan: Plan, step: Step, sinks: Sinks) -> None:
    eqn = step.equation
    branches = eqn.params["branches"]
    index, *operands = [emitter.operand(x) for x in eqn.inputs]
    emitter.write(f"# {emitter.comment(eqn)}", step)
    outs = [
        emitter.result(plan, step, k, sinks, "") if v.aval.shape else emitter.local(v)
        for k, v in enumerate(eqn.outputs)
    ]
    for var, name in zip(eqn.outputs, outs, strict=True):
        emitter.env[var] = name
    copyto = emitter.bindings.name(np.copyto, "copyto")
    for n, branch in enumerate(branches):
        last = n == len(branches) - 1
        emitter.write("else:" if last and n else f"{'if' if n == 0 else 'elif'} {index} == {n}:", step)
        for var, text in zip(branch.inputs, operands, strict=True):
            emitter.env[var] = text
        emitter.constants(branch)
        branch_plan = make_plan(branch, emitter.bindings)
        _write_body(emitter, branch_plan, outs.__getitem__, step)
        for out, name in zip(branch.outputs, outs, strict=True):
            value = emitter.operand(out)
            if value != name:
                emitter.write(f"{copyto}({name}, {value})" if out.aval.shape else f"{name} = {value}")
        emitter.depth -= 1
