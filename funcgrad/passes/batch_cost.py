"""What it saves and costs to do an operation for all steps of a scan at once, in nanoseconds per step.

Measured on a 2-core x86-64 machine with 2 MiB of second-level cache. Within a loop an operation on small arrays costs
its call: half a microsecond for a ufunc, more than one for a product of matrices, whose constant operand is brought
into BLAS's order at each call besides. Done for all steps at once it costs next to nothing beyond its arithmetic, but a
value that the loop then reads slice by slice (or that it stacks for later) is written to memory and read again: 0.06
ns a byte as long as the stack fits the cache, 0.3 beyond. Elementwise work on a stack that does not fit the cache is
slower than on slices that do.

A loop over few elements is written out over Python's numbers (`unroll`): there an operation costs little, and an
element of a stack twice as much.
"""

from __future__ import annotations

import math

from funcgrad.control.scan import SCAN
from funcgrad.ir import Atom, Equation
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.passes.unroll import unrolling, written_ns
from funcgrad.types import ShapedArray

__all__ = ["BY_NUMPY", "LIMIT", "WRITTEN_OUT", "Costs"]

LIMIT = 64 << 20
"""How large a stack may become, in bytes. Larger ones are left to the loop, whose memory does not grow."""

_CACHE = 2 << 20


def _bytes(aval: ShapedArray) -> int:
    return aval.size * aval.dtype.itemsize


class Costs:
    """Those of a loop in which operations are calls of NumPy."""

    def stacking(self, atom: Atom, length: int) -> float:
        """What it costs to stack a value. A Python scalar would come out of a stack as another kind of number."""
        size = _bytes(atom.aval)
        if atom.is_literal or atom.aval.weak or size * length > LIMIT:
            return math.inf
        return 60 + size * (0.06 if size * length <= _CACHE else 0.3)

    def saving(self, eqn: Equation, length: int, fixed: object) -> float:
        """What it saves not to do an operation in the loop; `fixed` contains the variables that no step changes."""
        if eqn.primitive is SCAN:
            inner = eqn.params["layout"].length * len(eqn.params["program"].equations)
            return 500.0 * inner
        if eqn.primitive is DOT_GENERAL:
            constant = max((_bytes(a.aval) for a in eqn.inputs if a in fixed), default=0)
            return 1000 + 0.3 * constant
        if eqn.primitive.moves in ("alias", "view"):
            return 150
        size = max(_bytes(a.aval) for a in (*eqn.inputs, *eqn.outputs))
        if all(a.aval.shape == () for a in (*eqn.inputs, *eqn.outputs)):
            return 80
        return 500 - (0.1 * size if size * length > _CACHE else 0.0)

    def adding(self, aval: ShapedArray) -> float:
        """What it saves not to add to a carried sum in each step."""
        return (500 if aval.shape else 60) + 0.1 * _bytes(aval)


class _WrittenOut(Costs):
    """Those of a loop over Python's numbers."""

    def stacking(self, atom: Atom, length: int) -> float:
        return 2 * unrolling.element * atom.aval.size if math.isfinite(super().stacking(atom, length)) else math.inf

    def saving(self, eqn: Equation, length: int, fixed: object) -> float:
        return written_ns(eqn)

    def adding(self, aval: ShapedArray) -> float:
        return unrolling.operation * aval.size


BY_NUMPY, WRITTEN_OUT = Costs(), _WrittenOut()
