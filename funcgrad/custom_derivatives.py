"""What `jax.custom_derivatives` has: functions with derivatives of their own, and symbolic zeros for their rules."""

from __future__ import annotations

from funcgrad.transforms.closure import closure_convert
from funcgrad.transforms.custom import custom_gradient, custom_jvp, custom_vjp
from funcgrad.transforms.linear_call import linear_call
from funcgrad.transforms.symbolic import (
    CustomVJPPrimal,
    SymbolicZero,
    custom_vjp_primal_tree_values,
    zero_from_primal,
)

__all__ = [
    "CustomVJPPrimal",
    "SymbolicZero",
    "closure_convert",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "custom_vjp_primal_tree_values",
    "linear_call",
    "zero_from_primal",
]


def __dir__() -> list[str]:
    return __all__
