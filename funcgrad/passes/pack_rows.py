"""Packing: what a written-out loop stacks for other loops alone is one array, a row for each step.

The gradient of a loop reads what the loop has kept of each step, often a dozen numbers and more. As arrays of their own
each of them would be made of a list, and made a list again; as one array that is done once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.scan import SCAN
from funcgrad.ir import Equation, Program, Var
from funcgrad.ops.shape import CONCATENATE, RESHAPE, SLICE
from funcgrad.passes.rewrite import remade
from funcgrad.types import ShapedArray

__all__ = ["pack_rows"]


class _Part(NamedTuple):
    """Which columns of the rows of an array another one is."""

    table: Var
    first: int
    size: int


def pack_rows(program: Program, loops: Sequence[Equation], most: int) -> Program:
    """The program with stacked values packed that only these scans read, row by row.

    `most` is how wide a row may be.
    """
    others: set[Any] = set(program.outputs)
    for eqn in program.equations:
        stacks = eqn.params["layout"].split(eqn.inputs)[2] if eqn in loops else []
        others.update(eqn.inputs[: len(eqn.inputs) - len(stacks)])
    parts: dict[Any, _Part] = {}
    equations = []
    for eqn in program.equations:
        if eqn in loops:
            eqn = _packed(_reading(eqn, parts), others, most, parts)
        equations.append(eqn)
    return remade(program, equations, program.outputs) if parts else program


def _packed(eqn: Equation, others: set[Any], most: int, parts: dict[Any, _Part]) -> Equation:
    """A scan with what only scans read in one stack."""
    body, layout = eqn.params["program"], eqn.params["layout"]
    rows, stacks = body.outputs[layout.carry :], eqn.outputs[layout.carry :]
    chosen: list[int] = []
    width = 0
    for j, (row, stack) in enumerate(zip(rows, stacks, strict=True)):
        plain = isinstance(row, Var) and not row.aval.weak and row.aval.dtype == np.float64
        if plain and stack not in others and width + row.aval.size <= most:
            chosen.append(j)
            width += row.aval.size
    if len(chosen) < 2:
        return eqn
    table = Var(ShapedArray((layout.length, width), np.dtype(np.float64)))
    made: list[Equation] = []
    pieces: list[Any] = []
    first = 0
    for j in chosen:
        row: Any = rows[j]
        parts[stacks[j]] = _Part(table, first, row.aval.size)
        first += row.aval.size
        pieces.append(_reshaped(row, (row.aval.size,), made, eqn.source))
    whole = Var(ShapedArray((width,), np.dtype(np.float64)))
    made.append(Equation(CONCATENATE, pieces, (whole,), {"axis": 0}, eqn.source))
    kept = [j for j in range(len(rows)) if j not in chosen]
    outputs = [*body.outputs[: layout.carry], *(rows[j] for j in kept), whole]
    new = Program((), (), body.inputs, [*body.equations, *made], outputs, body.in_tree, None)
    results = [*eqn.outputs[: layout.carry], *(stacks[j] for j in kept), table]
    return Equation(SCAN, eqn.inputs, results, {**eqn.params, "program": new}, eqn.source)


def _reading(eqn: Equation, parts: Mapping[Any, _Part]) -> Equation:
    """A scan that reads packed arrays, instead of those that are in them."""
    body, layout = eqn.params["program"], eqn.params["layout"]
    stacks = layout.split(eqn.inputs)[2]
    if not any(x in parts for x in stacks):
        return eqn
    lead = len(eqn.inputs) - len(stacks)
    rows: dict[Var, Var] = {}
    made: list[Equation] = []
    kept: list[tuple[Any, Var]] = []
    for x, var in zip(stacks, body.inputs[lead:], strict=True):
        if x not in parts:
            kept.append((x, var))
            continue
        part = parts[x]
        row = rows.setdefault(part.table, Var(ShapedArray(part.table.aval.shape[1:], part.table.aval.dtype)))
        piece = Var(ShapedArray((part.size,), row.aval.dtype))
        made.append(
            Equation(SLICE, (row,), (piece,), {"start": (part.first,), "size": (part.size,), "step": (1,)}, eqn.source)
        )
        made.append(Equation(RESHAPE, (piece,), (var,), {"shape": var.aval.shape}, eqn.source))
    inputs = [*body.inputs[:lead], *(v for _, v in kept), *rows.values()]
    new = Program((), (), inputs, [*made, *body.equations], body.outputs, None, body.out_tree)
    operands = [*eqn.inputs[:lead], *(x for x, _ in kept), *rows]
    return Equation(SCAN, operands, eqn.outputs, {**eqn.params, "program": new}, eqn.source)


def _reshaped(x: Var, shape: tuple[int, ...], made: list[Equation], source: Any) -> Var:
    if x.aval.shape == shape:
        return x
    out = Var(ShapedArray(shape, x.aval.dtype))
    made.append(Equation(RESHAPE, (x,), (out,), {"shape": shape}, source))
    return out
