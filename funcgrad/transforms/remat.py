"""`checkpoint` as an operation: a call whose reverse mode keeps little, and computes the rest again.

What is kept are the inputs, and the values that a policy accepts. The policy is asked about every equation, also those
inside nested calls of `jit` (which are dissolved), nested checkpoints (which then keep what either policy accepts) and
bodies of `scan` (whose accepted values are stacked, and read by the scan that computes the rest again). `cond`,
`while_loop` and functions with rules of their own that are not differentiated are one operation each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.checkpoint_policies import save_from_both_policies
from funcgrad.control.scan import SCAN
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ops.name import NAME
from funcgrad.transforms.call import (
    CALL,
    Joint,
    Split,
    cached,
    call_forward,
    call_program,
    cotangents,
    declare_call,
    divide,
    its_program,
    joint_program,
    needed,
)
from funcgrad.types import ShapedArray

__all__ = ["CHECKPOINT", "dissolved_joint", "remat_programs"]

Policy = Callable[..., bool]
Env = dict[Any, Atom]


def remat_programs(program: Program, wanted: tuple[bool, ...], policy: Policy | None) -> Split:
    """Take a program apart for reverse mode, such that its residuals are inputs and what `policy` accepts."""
    return cached(program, ("remat", wanted, policy), lambda: _split(program, wanted, policy))


def _split(program: Program, wanted: tuple[bool, ...], policy: Policy | None) -> Split:
    if policy is None:
        joint = joint_program(program, wanted)
        return divide(joint, joint.ahead, _lean([*joint.ahead, *joint.back], joint.grads, joint.inputs), ())
    joint = dissolved_joint(_prepared(program, policy), wanted)
    parts = _Parts(joint.ahead, policy)
    back = _substitute([*parts.again, *joint.back], parts.alias)
    joint = joint._replace(grads=[_follow(a, parts.alias) for a in joint.grads])
    return divide(joint, parts.first, _lean(back, joint.grads, [*joint.inputs, *parts.saved]), parts.saved)


def dissolved_joint(program: Program, wanted: tuple[bool, ...]) -> Joint:
    """A program and its reverse pass, without calls in the first."""
    joint = joint_program(program, wanted)
    env: Env = {}
    ahead = _dissolve(joint.ahead, env)
    outputs, grads = ([_follow(a, env) for a in atoms] for atoms in (joint.outputs, joint.grads))
    return joint._replace(ahead=ahead, back=_substitute(joint.back, env), outputs=outputs, grads=grads)


def _prepared(program: Program, policy: Policy) -> Program:
    """The program without calls, and with a policy in nested checkpoints."""

    def make() -> Program:
        env: Env = {}
        equations = _dissolve(program.equations, env, policy)
        outputs = [_follow(a, env) for a in program.outputs]
        return Program(program.constvars, program.consts, program.inputs, equations, outputs, None, program.out_tree)

    return cached(program, ("dissolved", policy), make)


def _dissolve(equations: Sequence[Equation], env: Env, policy: Policy | None = None) -> list[Equation]:
    """The equations with those of called programs in place of the calls. Variables are renamed; `env` has the names.

    With `policy`, nested checkpoints keep what it accepts as well.
    """
    out: list[Equation] = []
    for eqn in equations:
        ins = [_follow(a, env) for a in eqn.inputs]
        if eqn.primitive is CALL and "backend" not in eqn.params:
            called: Program = eqn.params["program"]
            inner: Env = dict(zip(called.inputs, ins, strict=True))
            out += _dissolve(called.equations, inner, policy)
            env.update(zip(eqn.outputs, (_follow(a, inner) for a in called.outputs), strict=True))
            continue
        params = _inside(eqn, policy)
        outs = [Var(v.aval) for v in eqn.outputs]
        env.update(zip(eqn.outputs, outs, strict=True))
        out.append(Equation(eqn.primitive, ins, outs, params, eqn.source))
    return out


def _inside(eqn: Equation, policy: Policy | None) -> dict[str, Any]:
    """The parameters of an equation whose program is run elsewhere, with the policy inside."""
    params = eqn.params
    if eqn.primitive is CHECKPOINT and policy is not None:
        own = params["policy"]
        return {**params, "policy": policy if own is None else save_from_both_policies(own, policy)}
    return {**params, "program": _body(params["program"], policy)} if eqn.primitive is SCAN else params


def _body(program: Program, policy: Policy | None) -> Program:
    env: Env = {}
    equations = _dissolve(program.equations, env, policy)
    outputs = [_follow(a, env) for a in program.outputs]
    return Program((), (), program.inputs, equations, outputs, None, program.out_tree)


def _follow(atom: Any, env: Env) -> Any:
    while isinstance(atom, Var) and atom in env:
        atom = env[atom]
    return atom


def _substitute(equations: Sequence[Equation], env: Env) -> list[Equation]:
    """The equations, reading what `env` has in place of a variable."""
    if not env:
        return list(equations)
    return [
        Equation(e.primitive, [_follow(a, env) for a in e.inputs], e.outputs, e.params, e.source) for e in equations
    ]


# ------------------------------------------------------------------------------------------- what a policy accepts


class _Parts:
    """Equations as they are done at first, and again; the values that are `saved` are known the second time.

    A value and its `checkpoint_name` are the same: where the second is saved, `alias` has it in place of the first.
    """

    def __init__(self, equations: Sequence[Equation], policy: Policy) -> None:
        self.first: list[Equation] = []
        self.again: list[Equation] = []
        self.saved: list[Var] = []
        self.alias: Env = {}
        for eqn in equations:
            once = again = eqn
            if policy(eqn.primitive, *(a.aval for a in eqn.inputs), **eqn.params):
                self.saved += eqn.outputs
                if eqn.primitive is NAME and isinstance(eqn.inputs[0], Var):
                    self.alias[eqn.inputs[0]] = eqn.outputs[0]
            elif eqn.primitive is NAME and eqn.inputs[0] in self.saved and _refuses(policy, eqn.params["name"]):
                self.saved.remove(eqn.inputs[0])
            elif eqn.primitive is SCAN:
                once, again = self._scan(eqn, policy)
            self.first.append(once)
            self.again.append(again)

    def _scan(self, eqn: Equation, policy: Policy) -> tuple[Equation, Equation]:
        """A scan that stacks what is saved of its steps as well, and one that reads these stacks."""
        program, layout = eqn.params["program"], eqn.params["layout"]
        body = _Parts(program.equations, policy)
        if not body.saved:
            return eqn, eqn
        n = layout.carry
        stacks: dict[Var, Var] = {}
        left: list[tuple[Atom, Var]] = []  # stacked results that are not saved
        results = [_follow(a, body.alias) for a in program.outputs]
        for atom, out in zip(results[n:], eqn.outputs[n:], strict=True):
            if atom not in body.saved:
                left.append((atom, out))
            elif atom in stacks:
                self.alias[out] = stacks[atom]
            else:
                stacks[atom] = out
        extra = [v for v in body.saved if v not in stacks]
        stacks |= {v: Var(ShapedArray((layout.length, *v.aval.shape), v.aval.dtype)) for v in extra}
        self.saved += stacks.values()
        once = Program((), (), program.inputs, body.first, (*program.outputs, *extra))
        outs = (*eqn.outputs, *(stacks[v] for v in extra))
        first = Equation(SCAN, eqn.inputs, outs, {"program": once, "layout": layout}, eqn.source)
        wanted = [*results[:n], *(a for a, _ in left)]
        steps = needed(_substitute(body.again, body.alias), wanted, body.saved)
        more = Program((), (), (*program.inputs, *stacks), steps, wanted)
        ins, outs = (*eqn.inputs, *stacks.values()), (*eqn.outputs[:n], *(out for _, out in left))
        return first, Equation(SCAN, ins, outs, {"program": more, "layout": layout}, eqn.source)


def _refuses(policy: Any, name: str) -> bool:
    return hasattr(policy, "refuses") and policy.refuses(name)


def _lean(equations: Sequence[Equation], results: Sequence[Atom], known: Sequence[Var]) -> list[Equation]:
    """The equations that the results depend on; scans among them stack only what is read."""
    kept: list[Equation] = []
    live: set[Any] = set(results)
    for eqn in reversed(needed(equations, results, known)):
        if live.isdisjoint(eqn.outputs):
            continue  # it served what a scan no longer computes
        if eqn.primitive is SCAN:
            eqn = _lean_scan(eqn, live)
        kept.append(eqn)
        live.update(eqn.inputs)
    return kept[::-1]


def _lean_scan(eqn: Equation, live: set[Any]) -> Equation:
    program, layout = eqn.params["program"], eqn.params["layout"]
    n = layout.carry
    chosen = [i < n or v in live for i, v in enumerate(eqn.outputs)]
    outputs = [a for a, c in zip(program.outputs, chosen, strict=True) if c]
    steps = _lean(program.equations, outputs, program.inputs)
    used = {a for e in steps for a in e.inputs} | set(outputs)
    start = layout.consts
    reads = [start <= i < start + n or v in used for i, v in enumerate(program.inputs)]
    body = Program((), (), [v for v, r in zip(program.inputs, reads, strict=True) if r], steps, outputs)
    params = {"program": body, "layout": layout._replace(consts=sum(reads[:start]))}
    ins = [a for a, r in zip(eqn.inputs, reads, strict=True) if r]
    return Equation(SCAN, ins, [v for v, c in zip(eqn.outputs, chosen, strict=True) if c], params, eqn.source)


# ------------------------------------------------------------------------------------------------ the primitive


def _forward(ins: Sequence[Any], wanted: Sequence[bool], program: Program, policy: Policy | None) -> Any:
    return call_forward(remat_programs(program, tuple(wanted), policy), ins, CALL, "checkpoint")


def _backward(
    kept: Any, ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], program: Program, policy: Policy | None
) -> list[Any]:
    split = remat_programs(program, tuple(wanted), policy)
    grads = iter(call_program(split.backward, [*kept, *cotangents(ct, out)], CALL, {"name": "rematerialize"}))
    return [next(grads) if w else None for w in wanted]


CHECKPOINT = declare_call("checkpoint", called=its_program)
"""Run `program`; in reverse mode, keep its inputs and what `policy` accepts, and compute the rest again."""
CHECKPOINT.forward, CHECKPOINT.backward = _forward, _backward
