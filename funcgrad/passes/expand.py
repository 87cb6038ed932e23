"""Expansion: what is one operation to NumPy's caller becomes several that can be fused, where arrays are large.

Softmax and its like are primitives, computed in place by a few calls of NumPy. On large arrays the operations that they
consist of join the groups of those around them (`fuse`), as do products of rows with rows (`vecdot`). A convolution of
an image with its channels last becomes one whose result has them last (`executor.channels_last`), and a transposition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core import under
from funcgrad.errors import IRError
from funcgrad.executor.channels_last import CONV_LAST
from funcgrad.executor.tiles import tuning
from funcgrad.ir import Equation, Program
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.conv import CONV
from funcgrad.ops.linalg import NORM2
from funcgrad.ops.shape import TRANSPOSE
from funcgrad.passes.builder import Builder
from funcgrad.passes.rewrite import with_programs
from funcgrad.types import aval_of, dtype_of

__all__ = ["expand", "expand_all"]

Axes = tuple[int, ...]


def _convolution(lhs: Any, rhs: Any, **params: Any) -> Any:
    return np.moveaxis(CONV_LAST.bind(lhs, rhs, **params), -1, 1)


def _product(a: Any, b: Any, contract: Any, batch: Any) -> Any:
    return np.sum(a * b, axis=contract[0])


Rule = Callable[..., Any]


def expand(program: Program, smallest: int | None = None, widest: int | None = None) -> Program:
    """The program, and those that it runs, with operations on large arrays expanded.

    Args:
        smallest: how many elements an array must have; `tuning.smallest` unless given.
        widest: how many elements a row may have that is reduced; `tuning.widest` unless given.
    """
    limits = tuning.smallest if smallest is None else smallest, tuning.widest if widest is None else widest
    return _expanded(program, lambda eqn, builder: _expansion(eqn, builder, *limits))


def expand_all(program: Program) -> Program:
    """The program, and those that it runs, with each operation on floats expanded that is not a product, and those on
    complex numbers that are pointwise: for code in which it costs nothing that there are several. A norm is one, which
    NumPy's caller has by one call of BLAS."""

    def choose(eqn: Equation, builder: Builder) -> Rule | None:
        expansion = _norm if eqn.primitive is NORM2 else eqn.primitive.expansion
        return expansion if _of(eqn, "f") or (_of(eqn, "c") and eqn.primitive.pointwise) else None

    return _expanded(program, choose)


def _norm(x: Any, axes: Axes, keepdims: bool) -> Any:
    squares = np.square(x.real) + np.square(x.imag) if dtype_of(x).kind == "c" else np.square(x)
    return np.sqrt(np.sum(squares, axis=axes, keepdims=keepdims))


def _of(eqn: Equation, kind: str) -> bool:
    return bool(eqn.outputs) and eqn.outputs[0].aval.dtype.kind == kind


def _expanded(program: Program, choose: Callable[[Equation, Builder], Rule | None]) -> Program:
    builder = Builder(program)
    for eqn in program.equations:
        expansion = choose(eqn, builder)
        if expansion is not None:
            builder.changed = True
            _replace(builder, builder.current(eqn), expansion)
            continue
        inner = with_programs(eqn, lambda p: _expanded(p, choose), lowered=True)
        builder.changed |= inner is not eqn
        builder.keep(inner)
    return builder.program()


def _expansion(eqn: Equation, builder: Builder, smallest: int, widest: int) -> Rule | None:
    """What an equation is expanded to; None if it is not."""
    primitive = eqn.primitive
    if primitive is CONV:
        return _convolution if _channels_last(builder, eqn) else None
    if primitive is DOT_GENERAL and not _pairs_rows(eqn):
        return None
    expansion = _product if primitive is DOT_GENERAL else primitive.expansion
    if expansion is None or not (primitive.pointwise or primitive.along or primitive is DOT_GENERAL):
        return None
    out = eqn.outputs[0].aval
    shape, dtype = (out if primitive.pointwise else eqn.inputs[0].aval).shape, out.dtype
    if math.prod(shape) < smallest or dtype.kind not in "fiuc" or dtype == np.float16:
        return None
    if primitive.pointwise or dtype.kind == "c":
        return expansion if primitive.pointwise else None
    axes = eqn.params["contract"][0] if primitive is DOT_GENERAL else eqn.params[primitive.along]
    first = next((i for i, n in enumerate(shape) if n != 1), 0)
    goes = bool(axes) and first not in axes and math.prod(shape[min(axes) :]) <= widest
    return expansion if goes else None


def _channels_last(builder: Builder, eqn: Equation) -> bool:
    """Whether the input of a convolution is an array with its channels last, transposed."""
    x = builder.current_atom(eqn.inputs[0])
    made = builder.made.get(x)
    return made is not None and made.primitive is TRANSPOSE and made.params["axes"][1] == x.aval.ndim - 1


def _pairs_rows(eqn: Equation) -> bool:
    """Whether each row of one operand meets one of the other, at the same place, as in `vecdot`."""
    a, b = (x.aval for x in eqn.inputs)
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    same = a.shape == b.shape and a.dtype == b.dtype and a.dtype.kind == "f" and ca == cb and ba == bb
    return same and list(ba) == sorted(ba) and len(ca) + len(ba) == len(a.shape)


def _replace(builder: Builder, eqn: Equation, expansion: Callable[..., Any]) -> None:
    """Write an equation's expansion in its place."""
    builder.source = eqn.source
    args = [builder.value(x) for x in eqn.inputs]
    with under(builder):
        out = expansion(*args, **eqn.params)
    have, want = aval_of(out), eqn.outputs[0].aval
    if (have.shape, have.dtype) != (want.shape, want.dtype):
        raise IRError(f"the expansion of {eqn.primitive.name} gives {have}, and its shape rule says {want}")
    builder.replace(eqn.outputs[0], out)
