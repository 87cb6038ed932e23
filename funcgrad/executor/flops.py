"""How many operations products and convolutions are: for `Lowered.cost`, and for dividing programs into parts."""

from __future__ import annotations

import math

from funcgrad.ir import Equation

__all__ = ["product_flops"]


def product_flops(eqn: Equation) -> int | None:
    """Multiplications and additions of a product or a convolution; None for another operation."""
    name, out = eqn.primitive.name, eqn.outputs[0].aval.size if eqn.outputs else 0
    if name == "dot_general":
        a = eqn.inputs[0].aval
        return 2 * out * math.prod(a.shape[i] for i in eqn.params["contract"][0])
    if name == "conv_rows_kernel":
        ct = eqn.inputs[1].aval
        return 2 * out * ct.size // ct.shape[1]
    if name in ("conv_general_dilated", "conv_last", "conv_rows"):
        kernel = eqn.inputs[1].aval
        return 2 * out * kernel.size // max(1, kernel.shape[0])
    return None
