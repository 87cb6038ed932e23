"""Inlining: equations in place of the calls that run them.

Gone are calls of `jit`, of `checkpoint` where nothing is differentiated, of functions with rules of their own, solvers
in `custom_linear_solve` and `custom_root`, the identities that mark values (`stop_gradient`, `name`, `stand_in`),
branches whose choice is known, and loops of no step or one. What `checkpoint` computes again stays a call, or common
subexpressions would undo it; so does a call that has a backend of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.control.cond import COND
from funcgrad.control.scan import SCAN
from funcgrad.core import Tracer
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.ops.shape import BROADCAST_TO, RESHAPE
from funcgrad.passes.rewrite import Env, adapted, copied, follow

__all__ = ["inline"]


def inline(program: Program) -> Program:
    """The program without calls, identities, known branches and loops of at most one step."""
    if not any(map(_goes, program.equations)):
        return program
    inliner = _Inliner(program)
    inliner.add_all(program.equations)
    outputs = [follow(a, inliner.env) for a in program.outputs]
    constvars = tuple(inliner.consts.values())
    p = program
    return Program(constvars, inliner.values, p.inputs, inliner.equations, outputs, p.in_tree, p.out_tree)


def _goes(eqn: Equation) -> bool:
    primitive = eqn.primitive
    if primitive.called is not None:
        return primitive.called(eqn.params) is not None
    if primitive is COND:
        return eqn.inputs[0].is_literal
    return _is_identity(eqn) or (primitive is SCAN and eqn.params["layout"].length < 2)


def _is_identity(eqn: Equation) -> bool:
    """Whether the result is the operand as it is, with a name perhaps, or without a derivative."""
    return eqn.primitive.moves == "alias" and eqn.primitive.pointwise and eqn.inputs[0].aval == eqn.outputs[0].aval


class _Inliner:
    """The equations of a program, with those of called programs in place of the calls."""

    def __init__(self, program: Program) -> None:
        self.env: Env = {}
        self.equations: list[Equation] = []
        self.values: list[Any] = []
        self.consts: dict[int, Var] = {}
        for var, value in zip(program.constvars, program.consts, strict=True):
            self.env[var] = self.constant(value, var)
        self.env = {v: a for v, a in self.env.items() if v is not a}

    def constant(self, value: Any, var: Var) -> Var:
        """The variable of a constant: this one, unless it has one."""
        if id(value) not in self.consts:
            self.consts[id(value)] = var
            self.values.append(value)
        return self.consts[id(value)]

    def add_all(self, equations: Sequence[Equation]) -> None:
        for eqn in equations:
            ins = tuple([follow(a, self.env) for a in eqn.inputs])
            if any(a is not b for a, b in zip(ins, eqn.inputs, strict=True)):
                eqn = Equation(eqn.primitive, ins, eqn.outputs, eqn.params, eqn.source)
            if not _goes(eqn) or not self._replaced(eqn):
                self.equations.append(eqn)

    def _replaced(self, eqn: Equation) -> bool:
        primitive = eqn.primitive
        if _is_identity(eqn):
            self.env[eqn.outputs[0]] = eqn.inputs[0]
            return True
        if primitive is SCAN:
            return self._scan(eqn)
        if primitive is COND:
            index = eqn.inputs[0]
            assert isinstance(index, Literal)
            called, ins = eqn.params["branches"][int(index.value)], eqn.inputs[1:]
        else:
            assert primitive.called is not None
            called, ins = primitive.called(eqn.params)([a.aval for a in eqn.inputs]), eqn.inputs
        outs = self.called(called, ins, eqn)
        return outs is not None and self._results(eqn, outs)

    def called(self, program: Program, ins: Sequence[Atom], eqn: Equation) -> list[Atom] | None:
        """Add the equations of a program that is called with these operands; returns what its outputs are, or None
        if it cannot be inlined."""
        if any(isinstance(c, Tracer) for c in program.consts):
            return None
        program = inline(program)
        ahead: list[Equation] = []
        env: Env = {}
        for var, atom in zip(program.inputs, ins, strict=True):
            found = adapted(atom, var, ahead, eqn.source)
            if found is None:
                return None
            env[var] = found
        for var, value in zip(program.constvars, program.consts, strict=True):
            env[var] = self.constant(value, Var(var.aval))
        self.equations += ahead
        self.equations += copied(program.equations, env, eqn.source)
        return [env.get(a, a) for a in program.outputs]

    def _results(self, eqn: Equation, outs: Sequence[Atom]) -> bool:
        more: list[Equation] = []
        found = [adapted(a, v, more, eqn.source) for a, v in zip(outs, eqn.outputs, strict=True)]
        self.equations += more
        if any(a is None for a in found):
            return False
        self.env.update((v, a) for v, a in zip(eqn.outputs, found, strict=True) if a is not None)
        return True

    def _emit(self, primitive: Any, x: Atom, out: Var, params: dict[str, Any], source: Any) -> Var:
        self.equations.append(Equation(primitive, (x,), (out,), params, source))
        return out

    def _scan(self, eqn: Equation) -> bool:
        """A loop of no step gives the initial values and empty stacks; of one step, the results of its body."""
        layout, body = eqn.params["layout"], eqn.params["program"]
        consts, carry, stacks = layout.split(eqn.inputs)
        emitted = eqn.outputs[layout.carry :]
        if layout.length == 0:
            for v in emitted:
                zero = Literal(np.zeros((), v.aval.dtype)[()])
                self._emit(BROADCAST_TO, zero, v, {"shape": v.aval.shape}, eqn.source)
            kept = Equation(SCAN, eqn.inputs, eqn.outputs[: layout.carry], eqn.params, eqn.source)
            return self._results(kept, carry)
        n = len(body.inputs) - len(stacks)
        items = [
            self._emit(RESHAPE, x, Var(v.aval), {"shape": v.aval.shape}, eqn.source)
            for x, v in zip(stacks, body.inputs[n:], strict=True)
        ]
        outs = self.called(body, [*consts, *carry, *items], eqn)
        if outs is None:
            return False
        for atom, v in zip(outs[layout.carry :], emitted, strict=True):
            primitive = RESHAPE if atom.aval.shape else BROADCAST_TO  # a Python scalar cannot be reshaped
            self._emit(primitive, atom, v, {"shape": v.aval.shape}, eqn.source)
        kept = Equation(SCAN, eqn.inputs, eqn.outputs[: layout.carry], eqn.params, eqn.source)
        return self._results(kept, outs[: layout.carry])
