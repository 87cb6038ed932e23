"""The primitive `sharded`: a program run once for each part of its operands, by several threads.

It is made by the pass `passes.shard` only, when all derivatives and batches have been taken, and so it has no rules for
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Program, eval_program
from funcgrad.types import ShapedArray

__all__ = ["SHARDED", "part"]

Axes = tuple[int | None, ...]


def part(x: Any, axis: int | None, k: int, count: int) -> Any:
    """The k-th of `count` equal parts of an array along an axis, a view; without an axis, all of it."""
    if axis is None:
        return x
    size = x.shape[axis] // count
    return x[(slice(None),) * axis + (slice(k * size, (k + 1) * size),)]


def _impl(*args: Any, program: Program, count: int, ins: Axes, outs: Axes) -> tuple[Any, ...]:
    parts = [
        eval_program(program, [part(x, axis, k, count) for x, axis in zip(args, ins, strict=True)])
        for k in range(count)
    ]
    columns: Sequence[Any] = list(zip(*parts, strict=True))
    return tuple(
        sum(column[1:], column[0]) if axis is None else np.concatenate(column, axis)
        for column, axis in zip(columns, outs, strict=True)
    )


def _abstract(*avals: ShapedArray, program: Program, count: int, ins: Axes, outs: Axes) -> tuple[ShapedArray, ...]:
    def whole(aval: ShapedArray, axis: int | None) -> ShapedArray:
        if axis is None:
            return aval
        shape = (*aval.shape[:axis], aval.shape[axis] * count, *aval.shape[axis + 1 :])
        return ShapedArray(shape, aval.dtype, aval.weak)

    return tuple(map(whole, program.out_avals, outs))


SHARDED = Primitive("sharded", _impl, _abstract, multiple=True, nested=True, programs=("program",))
"""`sharded[program, count, ins, outs]`: `program`, which has no constants, for each of `count` parts.

`ins` has for each operand the axis along which it is divided, or None where each part gets all of it; `outs` for each
result the axis along which the parts are joined, or None where they are added up.
"""
