"""The passes over loops, in their order."""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.ir import Program
from funcgrad.passes.batch_scan import batch_scan
from funcgrad.passes.dce import dce
from funcgrad.passes.hoist import hoist
from funcgrad.passes.rewrite import remade, with_programs
from funcgrad.passes.scan_dce import scan_dce
from funcgrad.passes.shift import split_shifted

__all__ = ["LOOP_PASSES", "optimise_loops"]

LOOP_PASSES: tuple[tuple[str, Callable[[Program], Program]], ...] = (
    ("scan_dce", scan_dce),
    ("hoist", hoist),
    ("batch_scan", batch_scan),
    ("shift", split_shifted),
)
"""The passes by name. Each changes the loops of a program, and leaves the programs in their bodies alone."""


_ROUNDS = 8  # far more than ever needed: a round without changes is the last


def optimise_loops(program: Program) -> Program:
    """The program with its loops, and those inside them, made to do less, by these passes and no others."""
    inner = [with_programs(e, optimise_loops) for e in program.equations]
    if any(a is not b for a, b in zip(inner, program.equations, strict=True)):
        program = remade(program, inner, program.outputs)
    for _ in range(_ROUNDS):
        before = program
        for _, apply in LOOP_PASSES:
            program = dce(apply(program))
        if program is before:
            break
    return program
