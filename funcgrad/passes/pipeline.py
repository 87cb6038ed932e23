"""The pipeline: all passes in order, over a program and the programs inside it."""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.config import config
from funcgrad.ir import Equation, Program
from funcgrad.ir_check import check_program
from funcgrad.passes.algebra import algebra
from funcgrad.passes.cse import cse
from funcgrad.passes.dce import dce
from funcgrad.passes.fold import fold
from funcgrad.passes.inline import inline
from funcgrad.passes.loops import LOOP_PASSES
from funcgrad.passes.placed import placed
from funcgrad.passes.rewrite import remade, with_programs
from funcgrad.passes.simplifier import Settled

__all__ = ["PASSES", "optimise", "stages"]

_ROUNDS = 4
"""How often the passes are run at most; each round works on what the last one has left."""


def bodies(program: Program) -> Program:
    """The program with the programs that its equations run optimised, each once."""
    new = [with_programs(e, optimise) for e in program.equations]
    if all(a is b for a, b in zip(new, program.equations, strict=True)):
        return program
    return remade(program, new, program.outputs)


PASSES: tuple[tuple[str, Callable[[Program], Program]], ...] = (
    ("inline", inline),
    ("bodies", bodies),
    ("fold", fold),
    ("algebra", algebra),
    ("placed", placed),
    *LOOP_PASSES,
    ("cse", cse),
    ("dce", dce),
)
"""The passes by name, in order."""


def optimise(program: Program, settled: Settled | None = None) -> Program:
    """An equivalent program that costs less to run: made once, and kept with the program.

    `settled` is what a program with most of the same equations was optimised with, and is added to.

    Results are the same to rounding; what is computed in the order of the original program, warnings of NumPy
    included, is not.
    """
    found = program.derived.get("optimised")
    if found is None:
        made = _run(program, None, {} if settled is None else settled)
        made.derived["optimised"] = True
        found = program.derived.setdefault("optimised", True if made is program else made)
    return program if found is True else found


def stages(program: Program) -> list[tuple[str, Program]]:
    """The program as each pass that changes something leaves it, by the name of the pass."""
    seen: list[tuple[str, Program]] = []
    _run(program, seen, {})
    return seen


def _run(program: Program, seen: list[tuple[str, Program]] | None, settled: Settled) -> Program:
    sound: set[Equation] = set()
    for n in range(_ROUNDS):
        before = program
        for name, apply in PASSES:
            if apply is cse and program is before and n:
                return program  # the last round has left it so
            new = algebra(program, settled) if apply is algebra else apply(program)
            if new is program:
                continue
            if config.check_ir:
                check_program(new, sound)
            if seen is not None:
                seen.append((name, new))
            program = new
        if program is before:
            break
    return program
