"""The lowering of `fused`: a kernel, which writes its arrays into memory that the planner gives."""

from __future__ import annotations

from funcgrad.executor.step import Bindings, Step, calls, lowers
from funcgrad.executor.tiles import FusedKernel
from funcgrad.ir import Equation

__all__: list[str] = []


@lowers("fused")
def _fused(eqn: Equation, bindings: Bindings) -> Step:
    kernel = FusedKernel(**eqn.params)
    return calls(eqn, bindings.name(kernel, "fused"), kernel.overwrites)
