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

from funcgrad.core import Primitive, under
from funcgrad.executor.channels_last import CONV_LAST
from funcgrad.executor.tiles import tuning
from funcgrad.ir import Equation, Program
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.conv import CONV
from funcgrad.ops.shape import CONVERT, TRANSPOSE
from funcgrad.ops.softmax import GELU, LOG_SOFTMAX, LOGSUMEXP, RELU, SOFTMAX, gelu_parts
from funcgrad.passes.builder import Builder
from funcgrad.passes.rewrite import with_programs

__all__ = ["expand"]

Axes = tuple[int, ...]


def _shifted(x: Any, axes: Axes) -> Any:
    return x - np.max(x, axis=axes, keepdims=True)


def _softmax(x: Any, axes: Axes) -> Any:
    powers = np.exp(_shifted(x, axes))
    return powers / np.sum(powers, axis=axes, keepdims=True)


def _log_softmax(x: Any, axes: Axes) -> Any:
    shifted = _shifted(x, axes)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axes, keepdims=True))


def _logsumexp(x: Any, axes: Axes) -> Any:
    """The logarithm of 0, where all elements are -inf, is not taken: it would warn."""
    high = np.max(x, axis=axes, keepdims=True)
    high = np.where(np.isfinite(high), high, 0)
    total = np.sum(np.exp(x - high), axis=axes, keepdims=True)
    empty = total == 0
    out = np.where(empty, -np.inf, np.log(np.where(empty, 1, total)) + high)
    return np.squeeze(out, axes)


def _gelu(x: Any) -> Any:
    return x * gelu_parts(x)[2]


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


def _convolution(lhs: Any, rhs: Any, **params: Any) -> Any:
    return np.moveaxis(CONV_LAST.bind(lhs, rhs, **params), -1, 1)


def _product(a: Any, b: Any, contract: Any, batch: Any) -> Any:
    return np.sum(a * b, axis=contract[0])


_EXPANSIONS: dict[Primitive, Callable[..., Any]] = {
    SOFTMAX: _softmax,
    LOG_SOFTMAX: _log_softmax,
    LOGSUMEXP: _logsumexp,
    GELU: _gelu,
    RELU: _relu,
    DOT_GENERAL: _product,
    CONV: _convolution,
}


def expand(program: Program, smallest: int | None = None, widest: int | None = None) -> Program:
    """The program, and those that it runs, with operations on large arrays expanded.

    Args:
        smallest: how many elements an array must have; `tuning.smallest` unless given.
        widest: how many elements a row may have that is reduced; `tuning.widest` unless given.
    """
    limits = tuning.smallest if smallest is None else smallest, tuning.widest if widest is None else widest
    builder = Builder(program)
    for eqn in program.equations:
        if _goes(eqn, *limits) or (eqn.primitive is CONV and _channels_last(builder, eqn)):
            builder.changed = True
            _replace(builder, builder.current(eqn))
            continue
        inner = with_programs(eqn, lambda p: expand(p, *limits), lowered=True)
        builder.changed |= inner is not eqn
        builder.keep(inner)
    return builder.program()


def _goes(eqn: Equation, smallest: int, widest: int) -> bool:
    primitive = eqn.primitive
    if primitive not in _EXPANSIONS or primitive is CONV:
        return False
    shape, dtype = eqn.inputs[0].aval.shape, eqn.outputs[0].aval.dtype
    if math.prod(shape) < smallest or dtype.kind not in "fiu" or dtype == np.float16:
        return False
    if primitive in (GELU, RELU):
        return True
    axes = eqn.params["contract"][0] if primitive is DOT_GENERAL else eqn.params["axes"]
    if primitive is DOT_GENERAL and not _pairs_rows(eqn):
        return False
    first = next((i for i, n in enumerate(shape) if n != 1), 0)
    return bool(axes) and first not in axes and math.prod(shape[min(axes) :]) <= widest


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


def _replace(builder: Builder, eqn: Equation) -> None:
    """Write an equation's expansion in its place."""
    builder.source = eqn.source
    args = [builder.value(x) for x in eqn.inputs]
    dtype = eqn.outputs[0].aval.dtype
    with under(builder):
        if eqn.primitive is not CONV:
            args = [CONVERT.bind(x, dtype=dtype) if x.dtype != dtype else x for x in args]
        out = _EXPANSIONS[eqn.primitive](*args, **eqn.params)
    builder.replace(eqn.outputs[0], out)
