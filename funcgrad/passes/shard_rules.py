"""How an equation is done part by part: by the rule of its primitive, or by what is known of it."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.ir import Equation
from funcgrad.ops.sharding import Ruling, along, pointwise

__all__ = ["ruling"]


def ruling(eqn: Equation, at: Sequence[int | None]) -> Ruling | None:
    """What is said of an operation, at least one operand of which is divided (see `ops.sharding`)."""
    primitive, params = eqn.primitive, eqn.params
    if primitive.multiple or primitive.effect:
        return None
    ins, out = [x.aval for x in eqn.inputs], eqn.outputs[0].aval
    axes = tuple(at)
    if primitive.shard is not None:
        return primitive.shard(ins, out, axes, **params)
    if primitive.pointwise:
        return pointwise(ins, out, axes)
    return along(primitive, ins, out, axes, params[primitive.along]) if primitive.along else None
