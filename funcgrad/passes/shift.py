"""Products with stacks that were shifted by one step.

A contraction over the steps of a stack `concatenate([init, ends[:-1]])` is that of `ends[:-1]` and that of `init`: two
products of views, and the shifted stack is not copied together.
"""

from __future__ import annotations

from typing import Any

from funcgrad.core import under
from funcgrad.ir import Equation, Program, Var
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.shape import CONCATENATE, SLICE
from funcgrad.passes.builder import Builder

__all__ = ["split_shifted"]

_SMALL = 1 << 15
"""Up to this many bytes copying costs less than another product."""


def split_shifted(program: Program) -> Program:
    """The program with products over joined stacks split, where nothing else reads the joined stacks."""
    joined = {e.outputs[0]: e for e in program.equations if e.primitive is CONCATENATE and _one_apart(e)}
    joined = {v: e for v, e in joined.items() if v not in program.outputs}
    for eqn in program.equations:
        for i, x in enumerate(eqn.inputs):
            if x in joined and not _sums_rows(eqn, i, joined):
                del joined[x]
    if not joined:
        return program
    builder = Builder(program)
    for eqn in program.equations:
        at = next((i for i, x in enumerate(eqn.inputs) if x in joined), None)
        if at is None:
            builder.keep(eqn)
        else:
            parts = joined[eqn.inputs[at]].inputs
            _split(builder.current(eqn), at, [builder.current_atom(x) for x in parts], builder)
    return builder.program()


def _one_apart(eqn: Equation) -> bool:
    """Whether one row is joined with others."""
    if eqn.params["axis"] != 0 or len(eqn.inputs) != 2 or len({a.aval.dtype for a in eqn.inputs}) != 1:
        return False
    return 1 in (a.aval.shape[0] for a in eqn.inputs)


def _sums_rows(eqn: Equation, at: int, joined: dict[Var, Equation]) -> bool:
    """Whether an equation is a product over the rows of its operand number `at`, and of the same rows of the other."""
    if eqn.primitive is not DOT_GENERAL or eqn.inputs[1 - at] in joined or eqn.outputs[0].aval.dtype.kind not in "fc":
        return False
    rows = [(i, j) for i, j in zip(*eqn.params["contract"], strict=True) if 0 in (i, j)]
    return rows == [(0, 0)]


def _split(eqn: Equation, at: int, parts: list[Any], builder: Builder) -> None:
    aval = eqn.inputs[at].aval
    zero = [builder.is_zero(p) for p in parts]
    if all(zero):
        zero[0] = False  # a product is wanted
    if not any(zero) and aval.size * aval.dtype.itemsize <= _SMALL:
        builder.append(eqn)
        return
    builder.changed = True
    other: Any = builder.value(eqn.inputs[1 - at])
    shape = eqn.inputs[1 - at].aval.shape
    builder.source = eqn.source
    total: Any = None
    start = 0
    with under(builder):
        for part, none in zip(parts, zero, strict=True):
            n = part.aval.shape[0]
            first, start = (start, *[0] * (len(shape) - 1)), start + n
            if none:
                continue
            rows = SLICE.bind(other, start=first, size=(n, *shape[1:]), step=(1,) * len(shape))
            pair = (builder.value(part), rows) if at == 0 else (rows, builder.value(part))
            product = DOT_GENERAL.bind(*pair, **eqn.params)
            total = product if total is None else total + product
    builder.replace(eqn.outputs[0], total)
