"""What equations cost, as their primitives say: operations of arithmetic, and nanoseconds on a tile."""

from __future__ import annotations

from funcgrad.core import Primitive
from funcgrad.ir import Equation

__all__ = ["element_ns", "flops", "is_product"]


def flops(eqn: Equation) -> int:
    """How many operations of arithmetic an equation is; an elementwise function counts as one for each element."""
    primitive = eqn.primitive
    if primitive.flops is not None:
        return primitive.flops([x.aval for x in eqn.inputs], eqn.outputs[0].aval, **eqn.params)
    return 0 if primitive.moves else sum(v.aval.size for v in eqn.outputs)


def is_product(primitive: Primitive) -> bool:
    """Whether a primitive is a product of matrices or a convolution."""
    return primitive.linear == "each" and not primitive.pointwise


def element_ns(eqn: Equation) -> float:
    """Roughly how many nanoseconds one element takes on a tile."""
    wide = max([x.aval.dtype.itemsize for x in (*eqn.inputs, *eqn.outputs)]) > 4
    return eqn.primitive.cost[wide]
