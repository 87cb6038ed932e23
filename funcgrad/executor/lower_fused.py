"""The lowering of `fused`: a call of a kernel that runs over tiles."""

from __future__ import annotations

from funcgrad.executor.step import INTO, SCALAR, Bindings, Step, lowers
from funcgrad.executor.tiles import FusedKernel
from funcgrad.ir import Equation

__all__: list[str] = []


@lowers("fused")
def _fused(eqn: Equation, bindings: Bindings) -> Step:
    kernel = FusedKernel(eqn.params["program"], eqn.params["shape"])
    function = bindings.name(kernel.run, "fused")
    bindings.kernels[function] = kernel.source
    arrays = set(kernel.arrays)

    def lines(ins: list[str], outs: list[str], temporaries: list[str]) -> list[str]:
        scalars = [o for k, o in enumerate(outs) if k not in arrays]
        call = f"{function}({', '.join([*ins, *(outs[k] for k in kernel.arrays)])})"
        return [f"{', '.join(scalars)}, = {call}" if scalars else call]

    return Step(
        eqn,
        tuple(INTO if k in arrays else SCALAR for k in range(len(eqn.outputs))),
        lines=lines,
        overwrites=kernel.overwrites,
    )
