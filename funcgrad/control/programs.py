"""The bodies of control flow as programs: recording them, and checking that their results fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.control.body import Body
from funcgrad.errors import ArgumentError
from funcgrad.ir import Program, Var, eval_program
from funcgrad.ops.shape import CONVERT
from funcgrad.source import describe
from funcgrad.transforms.call import lift_consts
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.types import ShapedArray, aval_of, result_dtype
from funcgrad.watched import Watched

__all__ = ["body_program", "joint_programs", "origins", "scalars"]


def scalars(xs: Sequence[Any]) -> tuple[Any, ...]:
    """The values, with scalars for arrays of shape (), as NumPy's operations return them."""
    return tuple([x[()] if type(x) is np.ndarray and not x.shape else x for x in xs])


def body_program(
    fun: Callable[..., Any], in_tree: Any, avals: Sequence[ShapedArray], kind: type[Watched] = Watched
) -> Program:
    """Record a function of a pytree of arguments from the avals of its leaves; what may never run as a `Body`."""
    return trace_to_program(lambda *xs: fun(*in_tree.unflatten(xs)), avals, kind=kind)


def joint_programs(
    branches: Sequence[Callable[..., Any]], nobody: Collection[int], leaves: Sequence[Any], in_tree: Any, name: str
) -> tuple[tuple[Program, ...], list[Any], Any]:
    """The programs of branches that must agree in their results, with common constants first, and the result tree.

    `nobody` takes the branches of these numbers: they may warn or fail of plain arrays, on which NumPy works at once.
    """
    avals = [aval_of(x) for x in leaves]
    found: list[Program | None] = []
    for i, b in enumerate(branches):
        if i not in nobody:
            found.append(body_program(b, in_tree, avals, Body))
            continue
        try:
            with np.errstate(all="ignore"):
                found.append(body_program(b, in_tree, avals, Body))
        except (ArithmeticError, LookupError, ValueError):
            found.append(None)
    other = next(p for i, p in enumerate(found) if i not in nobody)
    assert other is not None
    programs = _promoted([other if p is None else p for p in found])
    first = programs[0]
    want = first.out_tree.unflatten(first.out_avals)
    for i, p in enumerate(programs[1:], 1):
        faults = tree.mismatch("result", want, p.out_tree.unflatten(p.out_avals))
        if faults:
            faults += [*origins(first, p.out_avals, "branch 0"), *origins(p, first.out_avals, f"branch {i}")]
            raise ArgumentError(f"{name}: branch {i} does not return what branch 0 does:\n  " + "\n  ".join(faults))
    closed, consts = lift_consts(programs)
    return tuple(closed), consts, first.out_tree


def origins(program: Program, wanted: Sequence[ShapedArray], who: str) -> list[str]:
    """For each output of a program that is not as wanted, the operation that makes it and the user's line."""
    makers = {v: eqn for eqn in program.equations for v in eqn.outputs}
    found: list[str] = []
    for out, want in zip(program.outputs, wanted, strict=False):
        eqn = makers.get(out) if isinstance(out, Var) else None
        if eqn is not None and (out.aval.shape, out.aval.dtype) != (want.shape, want.dtype):
            place = describe(eqn.source)
            found.append(f"{who} makes {out.aval} by {eqn.primitive.name}" + (f" at {place}" if place else ""))
    return found


def _promoted(programs: list[Program]) -> list[Program]:
    """Where one branch returns a Python scalar and another an array, the scalar takes on the dtype of the array."""
    if len({len(p.outputs) for p in programs}) != 1:
        return programs
    targets: list[Any] = []
    for avals in zip(*(p.out_avals for p in programs), strict=True):
        mixed = any(a.weak for a in avals) and len({(a.weak, a.dtype) for a in avals}) > 1
        targets.append(result_dtype(*avals) if mixed else None)
    if all(t is None for t in targets):
        return programs
    return [_converted(p, targets) for p in programs]


def _converted(program: Program, targets: Sequence[Any]) -> Program:
    """The program with its weak outputs converted to these dtypes (None: left as they are)."""

    def fun(*xs: Any) -> list[Any]:
        outs = zip(eval_program(program, xs), program.out_avals, targets, strict=True)
        return [CONVERT.bind(x, dtype=t) if t is not None and a.weak else x for x, a, t in outs]

    new = trace_to_program(fun, program.in_avals, kind=Body)
    return Program(new.constvars, new.consts, new.inputs, new.equations, new.outputs, new.in_tree, program.out_tree)
