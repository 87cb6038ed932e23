"""Calls of programs, and the programs that follow from a program.

`call` is a primitive that runs a program: what `jit` becomes in the IR. Its rules transform the program and call the
result: a tangent program for forward mode, a pair of programs (forward with residuals, backward) for reverse mode, a
batch program for `vmap`. Each is made once and kept with the program it came from.

`checkpoint` is a call whose reverse mode keeps only its inputs, and what a policy names, and computes the rest again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.core import Primitive, under
from funcgrad.ir import Equation, Program, Var, eval_program
from funcgrad.ops.rules import declare
from funcgrad.record import Record, RecordTracer
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.vjp import record_function, zero_like
from funcgrad.transforms.vmap import vmap
from funcgrad.tree import structure
from funcgrad.types import ShapedArray, aval_of, is_inexact

__all__ = [
    "CALL",
    "CHECKPOINT",
    "Split",
    "batch_program",
    "cached",
    "close",
    "cotangents",
    "interleave",
    "lift_consts",
    "record_program",
    "reverse_programs",
    "tangent_program",
]

Policy = Callable[..., bool] | None


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


def record_program(avals: Sequence[ShapedArray], fun: Callable[..., Sequence[Any]]) -> Program:
    """The program that `fun` records for inputs of these avals."""
    record = Record(None, abstract=True)
    try:
        inputs = [record.input(a) for a in avals]
        with under(record):
            outputs = fun(*inputs)
        return record.program(inputs, outputs)
    finally:
        record.close()


def cached(program: Program, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` makes of the program, kept with it."""
    if key not in program.derived:
        program.derived[key] = make()
    return program.derived[key]


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
                return eval_program(program, [next(rest) if g else x for x, g in zip(xs[:n], given, strict=True)])

            outs, douts = jvp(varied, moving, tuple(tangents))
            return [*outs, *(d for o, d in zip(outs, douts, strict=True) if is_inexact(o))]

        return record_program(avals, push)

    return cached(program, ("tangent", given), make)


def batch_program(program: Program, batched: tuple[bool, ...], size: int) -> Program:
    """The program for a batch of the inputs that are `batched`; all outputs are."""

    def make() -> Program:
        avals = [
            ShapedArray((size, *a.shape), a.dtype) if b else a for a, b in zip(program.in_avals, batched, strict=True)
        ]
        axes = tuple(0 if b else None for b in batched)
        return record_program(avals, lambda *xs: vmap(lambda *ys: eval_program(program, ys), axes, axis_size=size)(*xs))

    return cached(program, ("batch", batched, size), make)


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


def reverse_programs(program: Program, wanted: tuple[bool, ...], policy: Policy = None, remat: bool = False) -> Split:
    """Take a program apart for reverse mode; with `remat`, residuals are the inputs and what `policy` lets be saved."""
    return cached(program, ("reverse", wanted, policy, remat), lambda: _split(program, wanted, policy, remat))


def _split(program: Program, wanted: tuple[bool, ...], policy: Policy, remat: bool) -> Split:
    record = Record(None, abstract=True)
    try:
        inputs = [record.input(a) for a in program.in_avals]

        def varied(*chosen: Any) -> list[Any]:
            rest = iter(chosen)
            return eval_program(program, [next(rest) if w else x for x, w in zip(inputs, wanted, strict=True)])

        moving = [x for x, w in zip(inputs, wanted, strict=True) if w]
        with under(record):
            with record_function(varied, moving, structure(tuple(moving)), False) as recording:
                pass
            outs = [recording.value(x) for x in recording.outputs]
            there = len(record.equations)
            cts = [record.input(aval_of(o)) if is_inexact(o) else None for o in outs]
            grads = [zero_like(x) if g is None else g for g, x in zip(recording.pull(cts), moving, strict=True)]
        ahead, back = record.equations[:there], record.equations[there:]
        known = inputs if remat else [*inputs, *(t for e in ahead for t in e.outputs)]
        if remat:
            known = [
                *inputs,
                *(t for e in ahead if policy is not None and policy(e.primitive, **e.params) for t in e.outputs),
            ]
            back = [*ahead, *back]
        back = _needed(back, grads, known)
        kept = _read(back, grads, known)
        ahead = _needed(ahead, [*outs, *kept], inputs)
        forward = record.program(inputs, [*outs, *kept], equations=ahead)
        backward = record.program([*kept, *(c for c in cts if c is not None)], grads, equations=back)
        return Split(forward, backward, len(outs))
    finally:
        record.close()


def _needed(equations: Sequence[Equation], results: Sequence[Any], known: Sequence[Any]) -> list[Equation]:
    """The equations that the results depend on, given what is known already."""
    given = {id(t) for t in known}
    live = {id(x) for x in results if isinstance(x, RecordTracer)} - given
    kept: list[Equation] = []
    for eqn in reversed(equations):
        if any(id(t) in live for t in eqn.outputs):
            kept.append(eqn)
            live |= {id(a) for a in eqn.inputs if isinstance(a, RecordTracer)} - given
    return kept[::-1]


def _read(equations: Sequence[Equation], results: Sequence[Any], known: Sequence[Any]) -> list[Any]:
    """Which of the known values the equations and results read."""
    used = {id(a) for eqn in equations for a in eqn.inputs} | {id(x) for x in results}
    return [t for t in known if id(t) in used]


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


def _call(program: Program, args: Sequence[Any], like: Primitive, params: dict[str, Any]) -> Any:
    """Call a derived program by the same primitive."""
    closed, consts = close(program)
    return like.bind(*consts, *args, program=closed, **params)


def _push_rule(primitive: Primitive) -> Callable[..., Any]:
    def push(primals: Sequence[Any], tangents: Sequence[Any], program: Program, **params: Any) -> Any:
        given = tuple(t is not None for t in tangents)
        derived = tangent_program(program, given)
        results = _call(derived, [*primals, *(t for t in tangents if t is not None)], primitive, params)
        return interleave(program, results)

    return push


def _jvp_rule(push: Callable[..., Any]) -> Callable[..., Any]:
    return lambda tangents, out, ins, **params: push(ins, tangents, **params)[1]


def _batch_rule(primitive: Primitive) -> Callable[..., Any]:
    def batch(args: Sequence[Any], batched: Sequence[bool], size: int, program: Program, **params: Any) -> Any:
        return _call(batch_program(program, tuple(batched), size), args, primitive, params)

    return batch


def cotangents(ct: Sequence[Any], out: Sequence[Any]) -> list[Any]:
    return [zero_like(o) if c is None else c for c, o in zip(ct, out, strict=True) if is_inexact(o)]


def _forward(ins: Sequence[Any], wanted: Sequence[bool], program: Program, name: str) -> Any:
    split = reverse_programs(program, tuple(wanted))
    results = _call(split.forward, ins, CALL, {"name": name})
    return tuple(results[: split.outputs]), tuple(results[split.outputs :])


def _backward(
    kept: Any, ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], program: Program, name: str
) -> list[Any]:
    split = reverse_programs(program, tuple(wanted))
    grads = iter(_call(split.backward, [*kept, *cotangents(ct, out)], CALL, {"name": f"{name}_transpose"}))
    return [next(grads) if w else None for w in wanted]


def _remat_forward(ins: Sequence[Any], wanted: Sequence[bool], program: Program, policy: Policy) -> Any:
    split = reverse_programs(program, tuple(wanted), policy, remat=True)
    results = _call(split.forward, ins, CALL, {"name": "checkpoint"})
    return tuple(results[: split.outputs]), tuple(results[split.outputs :])


def _remat_backward(
    kept: Any, ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], program: Program, policy: Policy
) -> list[Any]:
    split = reverse_programs(program, tuple(wanted), policy, remat=True)
    grads = iter(_call(split.backward, [*kept, *cotangents(ct, out)], CALL, {"name": "rematerialize"}))
    return [next(grads) if w else None for w in wanted]


CALL = declare("jit", _impl, _abstract, multiple=True)
"""Run `program` on the operands; `name` is for the reader."""

CHECKPOINT = declare("checkpoint", _impl, _abstract, multiple=True)
"""Run `program`; in reverse mode, keep its inputs and what `policy` lets be saved, and compute the rest again."""

for _primitive in (CALL, CHECKPOINT):
    _primitive.push = _push_rule(_primitive)
    _primitive.jvp = _jvp_rule(_primitive.push)
    _primitive.batch = _batch_rule(_primitive)
CALL.forward, CALL.backward = _forward, _backward
CHECKPOINT.forward, CHECKPOINT.backward = _remat_forward, _remat_backward
