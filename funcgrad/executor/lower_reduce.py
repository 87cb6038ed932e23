"""Lowerings of reductions."""

from __future__ import annotations

import numpy as np

from funcgrad.executor.step import INTO, OWN, Bindings, Step, lowers, tuple_text
from funcgrad.ir import Equation

__all__: list[str] = []

_REDUCTIONS = {
    "reduce_sum": np.add,
    "reduce_prod": np.multiply,
    "reduce_max": np.maximum,
    "reduce_min": np.minimum,
    "reduce_and": np.logical_and,
    "reduce_or": np.logical_or,
}


@lowers(*_REDUCTIONS)
def _reduce(eqn: Equation, bindings: Bindings) -> Step | None:
    (x,), (out,) = eqn.inputs, eqn.outputs
    if x.is_literal or not x.aval.shape:
        return None
    axes, keepdims = eqn.params["axes"], eqn.params["keepdims"]
    ufunc = _REDUCTIONS[eqn.primitive.name]
    function = bindings.method(ufunc, "reduce")
    axis = "None" if len(axes) == x.aval.ndim else str(axes[0]) if len(axes) == 1 else tuple_text(axes)
    if not out.aval.shape:
        return Step(eqn, (OWN,), expression=lambda ins, into: f"{function}({ins[0]}, {axis})")

    def expression(ins: list[str], into: str | None) -> str:
        if into is None:
            return f"{function}({ins[0]}, {axis}{', keepdims=True' if keepdims else ''})"
        return f"{function}({ins[0]}, {axis}, None, {into}{', True' if keepdims else ''})"

    return Step(eqn, (INTO,), expression=expression)
