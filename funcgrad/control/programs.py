"""The bodies of control flow as programs: recording them, and checking that their results fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import funcgrad.tree as tree
from funcgrad.ir import Program
from funcgrad.transforms.call import lift_consts, record_program
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.types import ShapedArray, aval_of

__all__ = ["body_program", "joint_programs", "like_carry"]


def like_carry(fun: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> Program:
    """The program of a flat function of inputs with these avals."""
    return record_program(avals, fun)


def body_program(fun: Callable[..., Any], in_tree: Any, avals: Sequence[ShapedArray]) -> Program:
    """Record a function of a pytree of arguments from the avals of its leaves."""
    return trace_to_program(lambda *xs: fun(*in_tree.unflatten(xs)), avals)


def joint_programs(
    branches: Sequence[Callable[..., Any]], leaves: Sequence[Any], in_tree: Any, name: str
) -> tuple[tuple[Program, ...], list[Any], Any]:
    """The programs of branches that must agree in their results, with common constants first, and the result tree."""
    avals = [aval_of(x) for x in leaves]
    programs = [body_program(b, in_tree, avals) for b in branches]
    first = programs[0]
    want = first.out_tree.unflatten(first.out_avals)
    for i, p in enumerate(programs[1:], 1):
        faults = tree.mismatch("result", want, p.out_tree.unflatten(p.out_avals))
        if faults:
            raise TypeError(f"{name}: branch {i} does not return what branch 0 does:\n  " + "\n  ".join(faults))
    closed, consts = lift_consts(programs)
    return tuple(closed), consts, first.out_tree
