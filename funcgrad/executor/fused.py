"""The primitive `fused`: pointwise operations and reductions over one iteration space, run tile by tile.

It is made by the pass `passes.fuse` only, when all derivatives and batches have been taken, and so it has no rules for
them.
"""

from __future__ import annotations

from typing import Any

from funcgrad.core import Primitive
from funcgrad.ir import Program, eval_program
from funcgrad.types import ShapedArray

__all__ = ["FUSED"]


def _impl(*args: Any, program: Program, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(eval_program(program, args))


def _abstract(*avals: ShapedArray, program: Program, shape: tuple[int, ...]) -> tuple[ShapedArray, ...]:
    return tuple(program.out_avals)


FUSED = Primitive("fused", _impl, _abstract, multiple=True, nested=True)
"""`fused[program, shape]`: the outputs of `program`, which has no constants; `shape` is its iteration space."""
