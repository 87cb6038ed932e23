"""The primitive `unrolled`: operations on small arrays, run element by element on Python's own numbers.

It is made by the pass `passes.unroll` only, when all derivatives and batches have been taken, and so it has no rules
for them.
"""

from __future__ import annotations

from typing import Any

from funcgrad.core import Primitive
from funcgrad.ir import Program, eval_program
from funcgrad.types import ShapedArray

__all__ = ["UNROLLED"]


def _impl(*args: Any, program: Program) -> tuple[Any, ...]:
    return tuple(eval_program(program, args))


def _abstract(*avals: ShapedArray, program: Program) -> tuple[ShapedArray, ...]:
    return tuple(program.out_avals)


UNROLLED = Primitive("unrolled", _impl, _abstract, multiple=True, nested=True)
"""`unrolled[program]`: the outputs of `program`, which has no constants."""
