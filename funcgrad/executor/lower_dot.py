"""The lowering of contractions: products of matrices by BLAS, in the memory layout in which the operands are.

A contraction without batch axes is one product of two matrices; with batch axes it is `matmul` over strided stacks of
matrices, of which nothing is copied. Operands are brought to that form by views where their axes allow it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.executor.step import INTO, OWN, Bindings, Step, lowers, tuple_text
from funcgrad.ir import Equation
from funcgrad.types import ShapedArray

__all__: list[str] = []

Axes = tuple[int, ...]


def _ordered(axes: Axes) -> bool:
    return axes == tuple(range(axes[0], axes[0] + len(axes))) if axes else True


def _matrix(x: ShapedArray, contract: Axes, first: bool) -> str | None:
    """A view of an operand as a matrix with the contracted axes as its last ones (`first`: of the left operand), or as
    its first ones; None if that takes a copy."""
    n = x.ndim
    free = tuple(i for i in range(n) if i not in contract)
    if not (_ordered(contract) and _ordered(free)):
        return None
    k, m = math.prod(x.shape[i] for i in contract), math.prod(x.shape[i] for i in free)
    last = not free or contract[-1] == n - 1
    text = (
        "{}"
        if len(contract) == 1 and len(free) <= 1
        else f"{{}}.reshape({m}, {k})"
        if last
        else f"{{}}.reshape({k}, {m})"
    )
    if not free:
        return "{}" if len(contract) == 1 else f"{{}}.reshape({k})"
    return text if last == first else f"{text}.T"


def _last(x: ShapedArray, contract: Axes, batch: Axes) -> str:
    """A view of an operand with the contracted axis behind the batch axes."""
    order = batch + contract
    return "{}" if order == tuple(range(x.ndim)) else f"{{}}.transpose({tuple_text(order)})"


def _stack(x: ShapedArray, contract: Axes, batch: Axes, first: bool) -> str | None:
    """A view of an operand as a stack of matrices; None if that takes a copy."""
    free = tuple(i for i in range(x.ndim) if i not in contract and i not in batch)
    if len(free) != 1 or len(contract) != 1:
        return None
    order = batch + (free + contract if first else contract + free)
    if order == tuple(range(x.ndim)):
        return "{}"
    return f"{{}}.transpose({tuple_text(order)})"


@lowers("dot_general")
def _dot_general(eqn: Equation, bindings: Bindings) -> Step | None:
    a, b = (x.aval for x in eqn.inputs)
    (out,) = eqn.outputs
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    plain = out.aval.dtype.kind in "fc" and a.dtype == b.dtype and not any(x.is_literal for x in eqn.inputs)
    if not plain or 0 in (*a.shape, *b.shape):
        return None
    if not ca:
        return _outer(eqn, bindings) if out.aval.shape else None
    if ba and a.ndim == b.ndim == len(ba) + 1 and len(ca) == 1:
        left, right = (_last(x, c, batch) for x, c, batch in ((a, ca, ba), (b, cb, bb)))
        function, shape = bindings.name(np.vecdot, "vecdot"), out.aval.shape
        if out.aval.dtype.kind == "c":  # vecdot conjugates
            return None
    elif ba:
        left, right = _stack(a, ca, ba, True), _stack(b, cb, bb, False)
        function, shape = bindings.name(np.matmul, "matmul"), out.aval.shape
    else:
        order = tuple(int(i) for i in np.argsort(ca))  # contracted in the order in which they are in the left operand
        ca, cb = tuple(ca[i] for i in order), tuple(cb[i] for i in order)
        left, right = _matrix(a, ca, True), _matrix(b, cb, False)
        function, shape = bindings.name(np.dot, "dot"), _flat(a, ca) + _flat(b, cb)
    if left is None or right is None:
        return None
    if not out.aval.shape:
        return Step(eqn, (OWN,), expression=lambda ins, into: f"{function}({ins[0]}, {ins[1]})", prepare=(left, right))
    return Step(
        eqn,
        (INTO,),
        expression=lambda ins, into: f"{function}({', '.join(ins if into is None else [*ins, into])})",
        prepare=(left, right),
        prepare_out=None if shape == out.aval.shape else f"{{}}.reshape({tuple_text(shape)})",
    )


def _outer(eqn: Equation, bindings: Bindings) -> Step:
    """All products of what is left beside the batch axes."""
    (a, b), (ba, bb) = (x.aval for x in eqn.inputs), eqn.params["batch"]
    shape_a, shape_b = (tuple(x.shape[i] for i in range(x.ndim) if i not in batch) for x, batch in ((a, ba), (b, bb)))
    size = tuple(a.shape[i] for i in ba)
    left, right = _leading(a, ba), _leading(b, bb)
    if shape_b:
        left += f".reshape({tuple_text((*size, *shape_a, *(1,) * len(shape_b)))})"
    if shape_a:
        right += f".reshape({tuple_text((*size, *(1,) * len(shape_a), *shape_b))})"
    function = bindings.name(np.multiply, "multiply")
    return Step(
        eqn,
        (INTO,),
        expression=lambda ins, into: f"{function}({', '.join(ins if into is None else [*ins, into])})",
        prepare=(left, right),
    )


def _leading(x: ShapedArray, batch: Axes) -> str:
    """A view with the batch axes in front."""
    order = (*batch, *(i for i in range(x.ndim) if i not in batch))
    return "{}" if order == tuple(range(x.ndim)) else f"{{}}.transpose({tuple_text(order)})"


def _flat(x: ShapedArray, contract: Axes) -> tuple[Any, ...]:
    free = [n for i, n in enumerate(x.shape) if i not in contract]
    return (math.prod(free),) if free else ()
