"""Which carried arrays a loop may write where they lie, because nothing reads what a step overwrites.

A step that writes a few elements of a carried array (`x.at[i].set(v)`) would otherwise copy all of it. It need not if
everything else that reads the array comes before that, and takes registers from it.
"""

from __future__ import annotations

from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.native.registry import BLOCKS, ELEMENTS, found
from funcgrad.native.values import small
from funcgrad.ops.index import SCATTER, SCATTER_MAX, SCATTER_MIN

__all__ = ["updated_in_place"]


def updated_in_place(body: Program, v: Var, out: Atom) -> bool:
    """Whether the output `out` of a loop's body may be written where its input `v` lies."""
    outputs = list(body.outputs)
    if outputs.count(out) != 1 or v in outputs:
        return False
    before = True
    for eqn in body.equations:
        if out in eqn.outputs:
            if not _writes(eqn, v):
                return False
            before = False
        elif v in eqn.inputs and not (before and _takes_registers(eqn)):
            return False
    return not before


def _writes(eqn: Equation, v: Var) -> bool:
    writer = eqn.primitive is SCATTER or eqn.primitive is SCATTER_MAX or eqn.primitive is SCATTER_MIN
    return writer and found(BLOCKS, eqn) is not None and eqn.inputs[0] is v and v not in eqn.inputs[1:]


def _takes_registers(eqn: Equation) -> bool:
    """Whether an equation is done at once, and leaves no view."""
    tiny = all(small(x.aval.shape) for x in eqn.outputs)
    return tiny and found(BLOCKS, eqn) is None and found(ELEMENTS, eqn) is not None and not eqn.primitive.nested
