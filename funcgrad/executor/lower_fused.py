"""The lowering of `fused`: a kernel, which writes its arrays into memory that the planner gives."""

from __future__ import annotations

from funcgrad.executor.step import INTO, OWN, Bindings, Step, lowers
from funcgrad.executor.tiles import FusedKernel
from funcgrad.ir import Equation

__all__: list[str] = []


@lowers("fused")
def _fused(eqn: Equation, bindings: Bindings) -> Step:
    kernel = FusedKernel(**eqn.params)
    name = bindings.name(kernel, "fused")

    def lines(ins: list[str], outs: list[str], temporaries: list[str]) -> list[str]:
        call = f"{name}.run({', '.join([*ins, *(outs[k] for k in kernel.arrays)])})"
        scalars = [out for k, out in enumerate(outs) if k not in kernel.arrays]
        return [f"{', '.join(scalars)}, = {call}" if scalars else call]

    kinds = tuple(INTO if v.aval.shape else OWN for v in eqn.outputs)
    return Step(eqn, kinds, lines=lines, overwrites=kernel.overwrites)
