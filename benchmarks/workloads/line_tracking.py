"""What it costs on the eager path to remember the user's source lines.

One process runs the same work with ``funcgrad.config.source_lines`` off and on, in turn: the
effect looked for is smaller than what two processes differ by.
"""

from __future__ import annotations

from typing import Any

from benchmarks.spec import Goal, Step, Workload
from benchmarks.workloads import mlp, xor

__all__ = ["WORKLOADS"]

line_tracking = Workload(
    name="line_tracking",
    summary="funcgrad's own step with source lines off and on.",
    cases={"mlp_eager": {"work": "mlp", "sizes": mlp.SIZES}, "xor_eager": {"work": "xor"}},
    tiny={"mlp_eager": {"work": "mlp", "sizes": mlp.TINY}, "xor_eager": {"work": "xor"}},
    rtol=0.0,
    goals=(Goal("lines on", over="lines off", at_most=1.05),),
    reference="lines off",
    shared_process=True,
)


def _step(tracking: bool, work: str, sizes: dict[str, int] | None = None) -> Step:
    import funcgrad

    if work == "mlp":
        assert sizes is not None
        step = mlp.mlp_eager.implementations["funcgrad"].setup(**sizes)
    else:
        step = xor.funcgrad_step()

    def prepare() -> None:
        funcgrad.config.source_lines = tracking

    return Step(step.call, step.comparable, prepare)


@line_tracking.implementation("lines off", requires="funcgrad", peer=False)
def _(**parameters: Any) -> Step:
    return _step(False, **parameters)


@line_tracking.implementation("lines on", requires="funcgrad", peer=False)
def _(**parameters: Any) -> Step:
    return _step(True, **parameters)


WORKLOADS = (line_tracking,)
