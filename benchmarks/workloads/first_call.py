"""What compiling costs: the first call of a fresh function, and the memory of a process that trains.

`first_call` makes a new function for every call, in a process that has compiled others before, and
so times recording, optimising, generating code and one run. `mlp_process` and `transformer_process`
run a process that imports a library, calls a step of `mlp_step` or `transformer` a number of times
and ends: the wall clock and peak memory of all that, and its first call alone, for which nothing
was compiled before. The NumPy contenders show what the work itself takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.spec import Goal, ProcessWorkload, Snippet, Step, Workload
from benchmarks.workloads import mlp_step, transformer

__all__ = ["WORKLOADS"]

MLP, BLOCK = mlp_step.mlp_step, transformer.transformer
CALLS = 20

first_call = Workload(
    name="first_call",
    summary="First call of a fresh jitted function: record, optimise, generate code, run (NumPy: run).",
    cases={
        "mlp": {"work": "mlp", "sizes": MLP.cases["batch 100"]},
        "transformer": {"work": "transformer", "sizes": BLOCK.cases["B8 T128 D128 H4"]},
    },
    tiny={
        "mlp": {"work": "mlp", "sizes": MLP.tiny["batch 100"]},
        "transformer": {"work": "transformer", "sizes": BLOCK.tiny["B8 T128 D128 H4"]},
    },
    rtol=1e-4,
    goals=(Goal("jax jit", over="funcgrad jit", at_least=15.0),),
)


def _arguments(work: str, sizes: dict[str, int]) -> tuple[dict[str, Any], Any, Any]:
    if work == "mlp":
        return mlp_step.make_data(**sizes)
    return transformer.make_data(**{name: size for name, size in sizes.items() if name != "heads"})


@first_call.implementation("numpy", peer=False)
def _(work: str, sizes: dict[str, int]) -> Step:
    arguments = _arguments(work, sizes)
    if work == "mlp":
        return Step(lambda: mlp_step.by_hand(*arguments)())
    return Step(lambda: transformer.by_hand(*arguments, sizes["heads"]))


@first_call.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(work: str, sizes: dict[str, int]) -> Step:
    arguments = _arguments(work, sizes)

    def fresh() -> Callable[..., Any]:
        # Nothing is donated: every call starts from the same parameters.
        return mlp_step.funcgrad_update(donate=()) if work == "mlp" else transformer.funcgrad_function(sizes["heads"])

    return Step(lambda: fresh()(*arguments))


@first_call.implementation("jax jit", requires="jax")
def _(work: str, sizes: dict[str, int]) -> Step:
    import jax

    arguments = jax.device_put(_arguments(work, sizes))

    def fresh() -> Callable[..., Any]:
        return mlp_step.jax_update(donate=()) if work == "mlp" else transformer.jax_function(sizes["heads"])

    return Step(lambda: jax.block_until_ready(fresh()(*arguments)))


def _process(name: str, summary: str, workload: Workload) -> ProcessWorkload:
    (case,) = workload.cases
    snippets = {
        contender: Snippet(
            "from benchmarks.process import run\n"
            f"from benchmarks.workloads.{workload.name} import {workload.name}\n"
            f"run({workload.name}, {case!r}, {contender!r}, {CALLS})\n",
            implementation.requires,
            implementation.peer,
        )
        for contender, implementation in workload.implementations.items()
    }
    goals = (
        Goal("jax jit", over="funcgrad jit", at_least=3.0, metric="memory"),
        Goal("jax jit", over="funcgrad jit", at_least=15.0, metric="first call"),
    )
    return ProcessWorkload(name, summary, snippets, goals)


WORKLOADS = (
    first_call,
    _process("mlp_process", f"A process that makes {CALLS} steps of mlp_step.", MLP),
    _process("transformer_process", f"A process that makes {CALLS} calls of transformer.", BLOCK),
)
