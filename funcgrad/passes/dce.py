"""Dead code: what no output depends on is not computed, nor carried through loops, nor returned by branches.

Of a loop or branch only what is read stays: results that nobody reads, carried values that only keep themselves going,
and operands that the body does not read are gone. A carried value that no step changes becomes a constant of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.control.cond import COND
from funcgrad.control.scan import SCAN
from funcgrad.control.while_ import WHILE, Counts
from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Program, Var, has_effect
from funcgrad.passes.rewrite import Env, remade
from funcgrad.transforms.call import CALL

__all__ = ["dce"]


def dce(program: Program) -> Program:
    """The program without what its outputs do not depend on; its inputs stay."""
    kept, outputs = _live(program.equations, program.outputs)
    used: set[Any] = {a for e in kept for a in e.inputs}
    used.update(outputs)
    constvars = [v for v in program.constvars if v in used]
    same = len(kept) == len(program.equations) and all(a is b for a, b in zip(kept, program.equations, strict=True))
    if same and len(constvars) == len(program.constvars):
        return program
    consts = [c for v, c in zip(program.constvars, program.consts, strict=True) if v in used]
    return Program(constvars, consts, program.inputs, kept, outputs, program.in_tree, program.out_tree)


def _live(equations: Sequence[Equation], outputs: Sequence[Atom]) -> tuple[list[Equation], list[Atom]]:
    """The equations that outputs depend on, and the outputs, which may have become others."""
    live: set[Any] = set(outputs)
    kept: list[Equation] = []
    env: Env = {}
    for eqn in reversed(equations):
        effect = has_effect(eqn.primitive, eqn.params)
        if not effect and live.isdisjoint(eqn.outputs):
            continue
        trim = _TRIMS.get(eqn.primitive)
        if trim is not None and not effect:
            new = trim(eqn, live, env)
            if new is None:
                live.update(env[v] for v in eqn.outputs if v in env)
                continue
            if new is not eqn:
                live.update(env[v] for v in eqn.outputs if v in env)
            eqn = new
        kept.append(eqn)
        live.update(eqn.inputs)
    kept.reverse()
    if not env:
        return kept, list(outputs)
    return [_substituted(e, env) for e in kept], [_follow(a, env) for a in outputs]


def _follow(atom: Any, env: Env) -> Any:
    while atom in env:
        atom = env[atom]
    return atom


def _substituted(eqn: Equation, env: Env) -> Equation:
    if not any(a in env for a in eqn.inputs):
        return eqn
    return Equation(eqn.primitive, [_follow(a, env) for a in eqn.inputs], eqn.outputs, eqn.params, eqn.source)


def _chosen(xs: Sequence[Any], which: Sequence[bool]) -> list[Any]:
    return [x for x, w in zip(xs, which, strict=True) if w]


# ---------------------------------------------------------------------------------------------- calls and branches


def _trim_call(eqn: Equation, live: set[Any], env: Env) -> Equation:
    """Calls: without results that are not read, and operands that are not needed for the others."""
    program: Program = eqn.params["program"]
    new, reads, read = _trimmed([program], [v in live for v in eqn.outputs])
    if new[0] is program and all(reads):
        return eqn
    params = {**eqn.params, "program": new[0]}
    return Equation(eqn.primitive, _chosen(eqn.inputs, reads), _chosen(eqn.outputs, read), params, eqn.source)


def _trim_cond(eqn: Equation, live: set[Any], env: Env) -> Equation:
    branches: tuple[Program, ...] = eqn.params["branches"]
    new, reads, read = _trimmed(branches, [v in live for v in eqn.outputs])
    if all(a is b for a, b in zip(new, branches, strict=True)):
        return eqn
    ins = [eqn.inputs[0], *_chosen(eqn.inputs[1:], reads)]
    return Equation(COND, ins, _chosen(eqn.outputs, read), {"branches": tuple(new)}, eqn.source)


def _trimmed(programs: Sequence[Program], read: Sequence[bool]) -> tuple[list[Program], list[bool], Sequence[bool]]:
    """Programs with the same inputs and outputs, without outputs that are not `read` and inputs that none needs."""
    if all(read):
        clean = [dce(p) for p in programs]
    else:
        clean = [dce(remade(p, p.equations, _chosen(p.outputs, read))) for p in programs]
    used = [_used(p) for p in clean]
    reads = [any(p.inputs[i] in u for p, u in zip(clean, used, strict=True)) for i in range(len(programs[0].inputs))]
    if not all(reads):
        clean = [
            Program(p.constvars, p.consts, _chosen(p.inputs, reads), p.equations, p.outputs, None, p.out_tree)
            for p in clean
        ]
    return clean, reads, read


def _used(program: Program) -> set[Any]:
    used: set[Any] = {a for e in program.equations for a in e.inputs}
    used.update(program.outputs)
    return used


# ------------------------------------------------------------------------------------------------------------ loops


class _Needs:
    """What of a loop's body is needed: a walk from results back to inputs, by way of the carried values."""

    def __init__(self, body: Program, first: int, count: int) -> None:
        self.body = body
        self.maker: dict[Atom, Equation] = {v: e for e in body.equations for v in e.outputs}
        self.carried: dict[Atom, int] = {v: i for i, v in enumerate(body.inputs[first : first + count])}
        self.carry = [False] * count
        self.seen: set[Any] = set()

    def need(self, atoms: Sequence[Atom]) -> None:
        todo = list(atoms)
        while todo:
            atom = todo.pop()
            if atom.is_literal or atom in self.seen:
                continue
            self.seen.add(atom)
            eqn = self.maker.get(atom)
            if eqn is not None:
                todo += eqn.inputs
            at = self.carried.get(atom)
            if at is not None and not self.carry[at]:
                self.carry[at] = True
                todo.append(self.body.outputs[at])

    def known(self, read: Sequence[bool], fixed: Sequence[bool]) -> list[bool]:
        """Which carried values are still carried, given whose last value is read and which no step changes."""
        for i, r in enumerate(read):
            if r and not fixed[i]:
                self.carry[i] = True
                self.need([self.body.outputs[i]])
        return [c and not f for c, f in zip(self.carry, fixed, strict=True)]


def _unchanged(body: Program, first: int, inits: Sequence[Atom]) -> list[bool]:
    """Which carried values no step changes."""
    return [out is v and x.aval == v.aval for out, v, x in zip(body.outputs, body.inputs[first:], inits, strict=False)]


def _trim_scan(eqn: Equation, live: set[Any], env: Env) -> Equation | None:
    body: Program = eqn.params["program"]
    layout = eqn.params["layout"]
    n = layout.carry
    read = [v in live for v in eqn.outputs]
    fixed = _unchanged(body, layout.consts, layout.split(eqn.inputs)[1])
    needs = _Needs(body, layout.consts, n)
    needs.need(_chosen(body.outputs[n:], read[n:]))
    carry = needs.known(read[:n], fixed)
    chosen = [*carry, *read[n:]]
    env.update(
        (v, x) for v, x, f in zip(eqn.outputs, eqn.inputs[layout.consts :], fixed, strict=False) if f and v in live
    )
    if not any(chosen):
        return None
    steps = dce(body if all(chosen) else remade(body, body.equations, _chosen(body.outputs, chosen)))
    used = _used(steps)
    consts, carried, stacks = layout.split(list(zip(steps.inputs, eqn.inputs, strict=True)))
    new = [p for p in consts if p[0] in used]
    new += [p for p, f in zip(carried, fixed, strict=True) if f and p[0] in used]
    stacks = [p for p in stacks if p[0] in used]
    if steps is body and all(carry) and len(new) == layout.consts and len(new) + n + len(stacks) == len(body.inputs):
        return eqn
    changed = layout._replace(consts=len(new), carry=sum(carry))
    pairs = [*new, *_chosen(carried, carry), *stacks]
    steps = _with_inputs(steps, [v for v, _ in pairs])
    params = {"program": steps, "layout": changed}
    return Equation(SCAN, [x for _, x in pairs], _chosen(eqn.outputs, chosen), params, eqn.source)


def _with_inputs(program: Program, inputs: Sequence[Var]) -> Program:
    p = program
    return Program(p.constvars, p.consts, inputs, p.equations, p.outputs, None, p.out_tree)


def _trim_while(eqn: Equation, live: set[Any], env: Env) -> Equation | None:
    test: Program = eqn.params["cond"]
    body: Program = eqn.params["body"]
    counts = eqn.params["counts"]
    test_consts, body_consts, inits = counts.split(eqn.inputs)
    fixed = _unchanged(body, counts.body, inits)
    needs = _Needs(body, counts.body, len(inits))
    test = dce(test)
    used = _used(test)
    tested = [v in used for v in test.inputs[counts.cond :]]
    carry = needs.known([t or v in live for t, v in zip(tested, eqn.outputs, strict=True)], fixed)
    env.update((v, x) for v, x, f in zip(eqn.outputs, inits, fixed, strict=True) if f and v in live)
    if not any(carry) and not any(v in live and not f for v, f in zip(eqn.outputs, fixed, strict=True)):
        return None
    steps = dce(body if all(carry) else remade(body, body.equations, _chosen(body.outputs, carry)))
    used |= _used(steps)
    of_test = _operands(test.inputs, counts.cond, test_consts, inits, fixed, used)
    of_body = _operands(steps.inputs, counts.body, body_consts, inits, fixed, used)
    sizes = Counts(len(of_test), len(of_body))
    if test is eqn.params["cond"] and steps is body and all(carry) and sizes == counts:
        return eqn
    params = {
        "cond": _with_inputs(test, [*(v for v, _ in of_test), *_chosen(test.inputs[counts.cond :], carry)]),
        "body": _with_inputs(steps, [*(v for v, _ in of_body), *_chosen(steps.inputs[counts.body :], carry)]),
        "counts": sizes,
    }
    ins = [*(x for _, x in of_test), *(x for _, x in of_body), *_chosen(inits, carry)]
    return Equation(WHILE, ins, _chosen(eqn.outputs, carry), params, eqn.source)


def _operands(
    variables: Sequence[Var], n: int, consts: Sequence[Atom], inits: Sequence[Atom], fixed: Sequence[bool], used: Any
) -> list[tuple[Var, Atom]]:
    """The constants that a program of a loop reads, with their operands: of old, and carried values that stay."""
    pairs = [(v, x) for v, x in zip(variables[:n], consts, strict=True) if v in used]
    return pairs + [(v, x) for v, x, f in zip(variables[n:], inits, fixed, strict=True) if f and v in used]


_TRIMS: dict[Primitive, Callable[[Equation, set[Any], Env], Equation | None]] = {
    CALL: _trim_call,
    COND: _trim_cond,
    SCAN: _trim_scan,
    WHILE: _trim_while,
}
