"""Many small steps over small arrays: a chain of 20 coupled cells, 200 Euler steps in a `scan`, float64.

Value and gradient, with respect to the coupling of each pair of neighbours, of the mean square of the last state. Each
step is a handful of calls of NumPy on 20 numbers, where the call costs more than the arithmetic: what XLA compiles into
one loop is faster here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call

__all__ = ["WORKLOADS"]

cells = Workload(
    name="cells",
    summary="Gradient through 200 Euler steps of 20 coupled cells: a loop over small arrays.",
    cases={"200 steps": {"steps": 200}},
    tiny={"200 steps": {"steps": 5}},
    rtol=1e-9,
    goals=(Goal("numpy", over="funcgrad jit", at_least=1.0),),
)

COUPLING, START, STEP = np.linspace(0.5, 1.5, 19), np.sin(np.arange(20.0)), 0.05


def make_loss(xp: Any, lax: Any, steps: int) -> Callable[[Any, Any], Any]:
    """The loss in the namespaces `xp` and `lax`."""

    def loss(coupling: Any, start: Any) -> Any:
        def step(v: Any, _: Any) -> Any:
            flow = coupling * (v[1:] - v[:-1])
            inward = xp.concatenate([flow, xp.zeros(1)]) - xp.concatenate([xp.zeros(1), flow])
            return v + STEP * (v - v**3 + inward), None

        return xp.mean(lax.scan(step, start, None, length=steps)[0] ** 2)

    return loss


def by_hand(steps: int) -> Callable[[], Any]:
    """Value and gradient by plain expressions: the states are kept, and walked in reverse."""

    def call() -> Any:
        v, states = START, []
        for _ in range(steps):
            states.append(v)
            flow = COUPLING * (v[1:] - v[:-1])
            inward = np.zeros(20)
            inward[:-1] += flow
            inward[1:] -= flow
            v = v + STEP * (v - v**3 + inward)
        value = np.mean(v**2)
        dv, dc = v / 10, np.zeros(19)
        for v in states[::-1]:
            d_flow = STEP * (dv[:-1] - dv[1:])
            dc += d_flow * (v[1:] - v[:-1])
            dv = dv * (1 + STEP * (1 - 3 * v**2))
            dv[1:] += d_flow * COUPLING
            dv[:-1] -= d_flow * COUPLING
        return value, dc

    return call


@cells.implementation("numpy", peer=False)
def _(steps: int) -> Step:
    return Step(by_hand(steps))


@cells.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(steps: int) -> Step:
    import funcgrad

    value_and_grad = funcgrad.jit(funcgrad.value_and_grad(make_loss(np, funcgrad.lax, steps)))
    return Step(lambda: value_and_grad(COUPLING, START))


@cells.implementation("jax jit", requires="jax")
def _(steps: int) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax_call(jax.jit(jax.value_and_grad(make_loss(jax.numpy, jax.lax, steps))), COUPLING, START)


WORKLOADS = (cells,)
