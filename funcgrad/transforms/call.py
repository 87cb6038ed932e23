"""Calls of programs, and the programs that follow from a program.

`call` is a primitive that runs a program: what `jit` becomes in the IR. Its rules transform the program and call the
result: a tangent program for forward mode, a pair of programs (forward with residuals, backward) for reverse mode, a
batch program for `vmap`. Each is made once and kept with the program it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.config import config
from funcgrad.core import Primitive, Trace, axes_in_scope, current_trace, under
from funcgrad.ir import Atom, Equation, Literal, Program, Var, eval_program, has_effect
from funcgrad.ir_check import check_program
from funcgrad.ops.name import NAME
from funcgrad.ops.rules import declare
from funcgrad.record import Record
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.vjp import record_function, zero_like
from funcgrad.transforms.vmap import vmap
from funcgrad.tree import structure
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_a, is_inexact

__all__ = [
    "CALL",
    "Joint",
    "Split",
    "asking_trace",
    "batch_program",
    "by_name",
    "cached",
    "call_forward",
    "call_program",
    "called_on",
    "close",
    "cotangents",
    "declare_call",
    "divide",
    "interleave",
    "joint_program",
    "lift_consts",
    "needed",
    "record_program",
    "replay",
    "reverse_programs",
    "tangent_program",
]


def close(program: Program) -> tuple[Program, list[Any]]:
    """The program with its constants as its first inputs, and these constants."""
    closed = Program(
        (), (), (*program.constvars, *program.inputs), program.equations, program.outputs, None, program.out_tree
    )
    return closed, list(program.consts)


def lift_consts(programs: Sequence[Program]) -> tuple[tuple[Program, ...], list[Any]]:
    """Programs of the same inputs with the constants of all of them as their first inputs, and these constants."""
    consts: list[Any] = []
    variables: list[list[Var]] = []  # per program, its variable for each constant
    for p in programs:
        mine = [Var(aval_of(c)) for c in consts]
        for var, const in zip(p.constvars, p.consts, strict=True):
            at = next((i for i, c in enumerate(consts) if c is const), None)
            if at is None:
                consts.append(const)
                mine.append(var)
            else:
                mine[at] = var
        variables.append(mine)
    closed: list[Program] = []
    for p, mine in zip(programs, variables, strict=True):
        lead = [*mine, *(Var(aval_of(c)) for c in consts[len(mine) :])]
        closed.append(Program((), (), (*lead, *p.inputs), p.equations, p.outputs, None, p.out_tree))
    return tuple(closed), consts


class _Detached(Record):
    """An abstract record that stands in no trace, and sees the named axes of the current one, for which it works."""

    __slots__ = ("works_for",)

    def __init__(self) -> None:
        super().__init__(None, abstract=True)
        self.axes = axes_in_scope()
        self.works_for = current_trace()


def asking_trace() -> Trace | None:
    """The current trace, or the one for which it works: that for which a program is taken apart."""
    trace = current_trace()
    while isinstance(trace, _Detached):
        trace = trace.works_for
    return trace


def record_program(avals: Sequence[ShapedArray], fun: Callable[..., Sequence[Any]]) -> Program:
    """The program that `fun` records for inputs of these avals."""
    record = _Detached()
    try:
        inputs = [record.input(a) for a in avals]
        with under(record):
            outputs = fun(*inputs)
        return record.program(inputs, outputs)
    finally:
        record.close()


def replay(program: Program, inputs: Sequence[Any]) -> list[Any]:
    """Evaluate a program while something is recorded: what comes of an equation keeps the equation's place."""
    trace = current_trace()
    if trace is None:
        return eval_program(program, inputs)
    env: dict[Any, Any] = dict(zip(program.constvars, program.consts, strict=True))
    env.update(zip(program.inputs, inputs, strict=True))
    before = trace.source
    try:
        for eqn in program.equations:
            trace.source = eqn.source or before
            args = [env[a] if isinstance(a, Var) else a.value for a in eqn.inputs]
            out = eqn.primitive.bind(*args, **eqn.params)
            env.update(zip(eqn.outputs, out if eqn.primitive.multiple else (out,), strict=True))
    finally:
        trace.source = before
    return [env[a] if isinstance(a, Var) else a.value for a in program.outputs]


def cached(program: Program, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` makes of the program, kept with it; at most `config.jit_programs` of such, those used last."""
    derived = program.derived
    many = len(derived) > config.jit_programs // 2
    made = derived.pop(key, None) if many else derived.get(key)
    if made is None:
        made = make()
    elif not many:
        return made
    if many:
        for old in list(derived)[: len(derived) - max(config.jit_programs, 1) + 1]:
            derived.pop(old, None)
    derived[key] = made  # the last one in order
    return made


# ---------------------------------------------------------------------------------------------- derived programs


def tangent_program(program: Program, given: tuple[bool, ...]) -> Program:
    """From the inputs, and tangents of those that are `given`, to the outputs and tangents of the inexact ones."""

    def make() -> Program:
        avals = [*program.in_avals, *(a for a, g in zip(program.in_avals, given, strict=True) if g)]
        n = len(program.inputs)

        def push(*xs: Any) -> list[Any]:
            tangents = iter(xs[n:])
            moving = tuple(x for x, g in zip(xs[:n], given, strict=True) if g)

            def varied(*chosen: Any) -> list[Any]:
                rest = iter(chosen)
                return replay(program, [next(rest) if g else x for x, g in zip(xs[:n], given, strict=True)])

            outs, douts = jvp(varied, moving, tuple(tangents))
            return [*outs, *(d for o, d in zip(outs, douts, strict=True) if is_inexact(o))]

        return record_program(avals, push)

    return cached(program, ("tangent", given), make)


def batch_program(program: Program, batched: tuple[bool, ...], size: int, axis_name: Any) -> Program:
    """The program for a batch of the inputs that are `batched`; all outputs are. Collectives know it by `axis_name`."""

    def make() -> Program:
        avals = [
            ShapedArray((size, *a.shape), a.dtype) if b else a for a, b in zip(program.in_avals, batched, strict=True)
        ]
        axes = tuple(0 if b else None for b in batched)
        mapped = vmap(lambda *ys: replay(program, ys), axes, axis_name=axis_name, axis_size=size)

        def run(*xs: Any) -> list[Any]:
            # Where a Python scalar was one number for each example, what came of it may have another dtype.
            dtypes = [a.dtype for a in program.out_avals]
            return [y if dtype_of(y) == d else y.astype(d) for y, d in zip(mapped(*xs), dtypes, strict=True)]

        return record_program(avals, run)

    return cached(program, ("batch", batched, size, axis_name), make)


class Split(NamedTuple):
    """A program taken apart for reverse mode.

    Attributes:
        forward: from the inputs to the outputs and then the residuals.
        backward: from the residuals and the cotangents of inexact outputs to the cotangents of the wanted inputs.
        outputs: how many outputs there are.
    """

    forward: Program
    backward: Program
    outputs: int

    def origins(self) -> list[int | None]:
        """For each residual the number of the input that it is; None if it is computed."""
        at: dict[Any, int] = {v: i for i, v in enumerate(self.forward.inputs)}
        return [at.get(a) for a in self.forward.outputs[self.outputs :]]

    def computing(self) -> Program:
        """The forward program without the residuals that are inputs."""
        f, n = self.forward, self.outputs
        made = [a for a, o in zip(f.outputs[n:], self.origins(), strict=True) if o is None]
        return Program(f.constvars, f.consts, f.inputs, f.equations, [*f.outputs[:n], *made])


def reverse_programs(program: Program, wanted: tuple[bool, ...]) -> Split:
    """Take a program apart for reverse mode; the residuals are what the backward program reads."""

    def make() -> Split:
        joint = joint_program(program, wanted)
        known = [v for eqn in joint.ahead for v in eqn.outputs]
        return divide(joint, joint.ahead, by_name(joint), known)

    return cached(program, ("reverse", wanted), make)


class Joint(NamedTuple):
    """A program followed by its reverse pass, not yet taken apart.

    Attributes:
        inputs, cts: variables for the inputs, and for cotangents of the inexact outputs.
        ahead, back: the equations of either pass.
        outputs, grads: the results of either pass; the second are cotangents of the wanted inputs.
        consts: the arrays that the equations read, by their variables.
    """

    inputs: Sequence[Var]
    cts: Sequence[Var]
    ahead: Sequence[Equation]
    back: Sequence[Equation]
    outputs: Sequence[Atom]
    grads: Sequence[Atom]
    consts: dict[Var, Any]


def joint_program(program: Program, wanted: tuple[bool, ...]) -> Joint:
    """Record a program and its reverse pass with regard to the `wanted` inputs."""
    record = _Detached()
    try:
        inputs = [record.input(a) for a in program.in_avals]

        def varied(*chosen: Any) -> list[Any]:
            rest = iter(chosen)
            return replay(program, [next(rest) if w else x for x, w in zip(inputs, wanted, strict=True)])

        moving = [x for x, w in zip(inputs, wanted, strict=True) if w]
        with under(record):
            with record_function(varied, moving, structure(tuple(moving)), False) as recording:
                pass
            outs = [recording.value(x) for x in recording.outputs]
            there = len(record.equations)
            cts = [record.input(aval_of(o)) if is_inexact(o) else None for o in outs]
            grads = [zero_like(x) if g is None else g for g, x in zip(recording.pull(cts), moving, strict=True)]
        whole = record.program([*inputs, *(c for c in cts if c is not None)], [*outs, *grads])
    finally:
        record.close()
    n, m = len(inputs), len(outs)
    eqns, consts = whole.equations, dict(zip(whole.constvars, whole.consts, strict=True))
    return Joint(whole.inputs[:n], whole.inputs[n:], eqns[:there], eqns[there:], *_cut(whole.outputs, m), consts)


def by_name(joint: Joint) -> Sequence[Equation]:
    """The equations of the reverse pass, reading a value under its name, so that it is not kept twice."""
    names = {e.inputs[0]: e.outputs[0] for e in joint.ahead if e.primitive is NAME}
    if not names:
        return joint.back
    return [
        Equation(e.primitive, [names.get(a, a) for a in e.inputs], e.outputs, e.params, e.source) for e in joint.back
    ]


def _cut(xs: Sequence[Any], n: int) -> tuple[Sequence[Any], Sequence[Any]]:
    return xs[:n], xs[n:]


def divide(joint: Joint, ahead: Sequence[Equation], back: Sequence[Equation], known: Sequence[Var]) -> Split:
    """The forward and the backward program, from equations of either; `known` are values that may be residuals, as may
    the inputs."""
    known = [*joint.inputs, *known]
    back = needed(back, joint.grads, known)
    used = {a for eqn in back for a in eqn.inputs} | set(joint.grads)
    kept = [v for v in known if v in used]
    results = [*joint.outputs, *kept]
    forward = _assemble(joint, joint.inputs, needed(ahead, results, joint.inputs), results)
    backward = _assemble(joint, [*kept, *joint.cts], back, joint.grads)
    return Split(forward, backward, len(joint.outputs))


def _assemble(joint: Joint, inputs: Sequence[Var], eqns: Sequence[Equation], outputs: Sequence[Atom]) -> Program:
    used = {a for eqn in eqns for a in eqn.inputs} | set(outputs)
    consts = {var: value for var, value in joint.consts.items() if var in used}
    program = Program(tuple(consts), tuple(consts.values()), inputs, eqns, outputs)
    if config.check_ir:
        check_program(program)
    return program


def needed(equations: Sequence[Equation], results: Sequence[Atom], known: Sequence[Var]) -> list[Equation]:
    """The equations that the results depend on, given what is known already, and those with an effect."""
    given = set(known)
    live: set[Any] = set(results) - given
    kept: list[Equation] = []
    for eqn in reversed(equations):
        if has_effect(eqn.primitive, eqn.params) or not live.isdisjoint(eqn.outputs):
            kept.append(eqn)
            live.update(a for a in eqn.inputs if a not in given)
    return kept[::-1]


# ------------------------------------------------------------------------------------------------ the primitives


def _impl(*args: Any, program: Program, **params: Any) -> tuple[Any, ...]:
    return tuple(eval_program(program, args))


def _abstract(*avals: ShapedArray, program: Program, **params: Any) -> tuple[ShapedArray, ...]:
    return tuple(program.out_avals)


def interleave(program: Program, results: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Outputs and their tangents, from the results of a tangent program."""
    n = len(program.outputs)
    rest = iter(results[n:])
    tangents = [next(rest) if a.dtype.kind in "fc" else None for a in program.out_avals]
    return list(results[:n]), tangents


def call_program(program: Program, args: Sequence[Any], like: Primitive, params: dict[str, Any]) -> Any:
    """Call a derived program by a primitive."""
    closed, consts = program, []
    if program.consts:
        closed, consts = cached(program, "closed", lambda: close(program))
    return like.bind(*consts, *args, program=closed, **params)


def call_forward(split: Split, ins: Sequence[Any], like: Primitive, name: str, **params: Any) -> tuple[Any, Any]:
    """Call a forward program by a primitive; returns outputs and residuals. Inputs among the last pass by."""
    n = split.outputs
    program, origins = cached(split.forward, "without inputs", lambda: (split.computing(), split.origins()))
    results = call_program(program, ins, like, {"name": name, **params})
    rest = iter(results[n:])
    return tuple(results[:n]), tuple(next(rest) if o is None else ins[o] for o in origins)


def _push_rule(primitive: Primitive) -> Callable[..., Any]:
    def push(primals: Sequence[Any], tangents: Sequence[Any], program: Program, **params: Any) -> Any:
        given = tuple(t is not None for t in tangents)
        derived = tangent_program(program, given)
        results = call_program(derived, [*primals, *(t for t in tangents if t is not None)], primitive, params)
        outs, douts = interleave(program, results)
        still = iter(cached(derived, "still", lambda: _still(derived, len(outs))))
        return outs, [None if d is None or next(still) else d for d in douts]

    return push


def _still(derived: Program, n: int) -> list[bool]:
    """Which tangents behind the first n results of a tangent program are 0, whatever comes in: these are said to be, as
    rules for derivatives would have an infinity meet them."""
    zeros = {v for v, c in zip(derived.constvars, derived.consts, strict=True) if is_a(c, np.ndarray) and not c.any()}
    return [not a.value if isinstance(a, Literal) else a in zeros for a in derived.outputs[n:]]


def _jvp_rule(push: Callable[..., Any]) -> Callable[..., Any]:
    return lambda tangents, out, ins, **params: push(ins, tangents, **params)[1]


def _batch_rule(primitive: Primitive) -> Callable[..., Any]:
    def batch(
        args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, program: Program, **params: Any
    ) -> Any:
        return call_program(batch_program(program, tuple(batched), size, axis_name), args, primitive, params)

    return batch


def cotangents(ct: Sequence[Any], out: Sequence[Any]) -> list[Any]:
    return [zero_like(o) if c is None else c for c, o in zip(ct, out, strict=True) if is_inexact(o)]


def _reverse_rules(primitive: Primitive) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(ins: Sequence[Any], wanted: Sequence[bool], program: Program, name: str, **params: Any) -> Any:
        return call_forward(reverse_programs(program, tuple(wanted)), ins, primitive, name, **params)

    def backward(
        kept: Any,
        ct: Any,
        out: Any,
        ins: Sequence[Any],
        wanted: Sequence[bool],
        program: Program,
        name: str,
        **params: Any,
    ) -> list[Any]:
        split = reverse_programs(program, tuple(wanted))
        params["name"] = f"{name}_transpose"
        grads = iter(call_program(split.backward, [*kept, *cotangents(ct, out)], primitive, params))
        return [next(grads) if w else None for w in wanted]

    return forward, backward


def declare_call(name: str, impl: Callable[..., Any] = _impl, **known: Any) -> Primitive:
    """A primitive that runs `program`, with all rules but those of reverse mode."""
    primitive = declare(name, impl, _abstract, multiple=True, nested=True, **known)
    primitive.push = _push_rule(primitive)
    primitive.jvp = _jvp_rule(primitive.push)
    primitive.batch = _batch_rule(primitive)
    return primitive


def its_program(params: dict[str, Any]) -> Callable[[Sequence[ShapedArray]], Program]:
    """The fact `called` of an operation that runs `program`."""
    return lambda avals: params["program"]


def _called(params: dict[str, Any]) -> Callable[[Sequence[ShapedArray]], Program] | None:
    """What is to be computed again stays a call, and another backend's program is run there."""
    return None if params["name"] == "rematerialize" or "backend" in params else its_program(params)


CALL = declare_call("jit", programs=("program",), called=_called)
"""Run `program` on the operands; `name` is for the reader."""
CALL.forward, CALL.backward = _reverse_rules(CALL)


def called_on(program: Program, backend: Any) -> Program:
    """The program as one call of what it computes, which a backend is to run."""
    made = {v for e in program.equations for v in e.outputs}
    outs = [a for a in dict.fromkeys(program.outputs) if a in made]
    if not outs and not any(has_effect(e.primitive, e.params) for e in program.equations):
        return program
    inner, consts = close(Program(program.constvars, program.consts, program.inputs, program.equations, outs))
    new: dict[Any, Var] = {v: Var(v.aval) for v in outs}
    params = {"program": inner, "name": "offloaded", "backend": backend}
    reads = (*program.constvars, *program.inputs)
    call = Equation(CALL, reads, tuple(new.values()), params, program.equations[0].source)
    return Program(program.constvars, consts, program.inputs, [call], [new.get(a, a) for a in program.outputs])
