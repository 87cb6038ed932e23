"""A small dynamical system, compiled: Lorenz' equations by the Runge-Kutta method, float64.

Value and gradient, with respect to the three parameters, of the mean square of all states: loops in which three numbers
are carried, so that only the cost of a step counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call

__all__ = ["WORKLOADS"]

lorenz = Workload(
    name="lorenz",
    summary="Gradient through 200 Runge-Kutta steps of Lorenz' equations.",
    cases={"200 steps": {"steps": 200}},
    tiny={"200 steps": {"steps": 5}},
    rtol=1e-9,
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=1.0),
        Goal("torch", over="funcgrad jit", at_least=20.0),
    ),
)

PARAMETERS, START, STEP = np.array([10.0, 28.0, 8.0 / 3.0]), np.array([1.0, 1.0, 1.0]), 0.01


def make_flow(xp: Any, kept: bool = False) -> Callable[[Any, Any], Any]:
    """One step of the method in the namespace `xp`; with `kept` it gives the states of its stages, too."""

    def slope(s: Any, p: Any) -> Any:
        x, y, z = s
        return xp.stack([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])

    def flow(s: Any, p: Any) -> Any:
        k1 = slope(s, p)
        s2 = s + STEP / 2 * k1
        k2 = slope(s2, p)
        s3 = s + STEP / 2 * k2
        k3 = slope(s3, p)
        s4 = s + STEP * k3
        k4 = slope(s4, p)
        after = s + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return (after, (s, s2, s3, s4)) if kept else after

    return flow


def make_loss(xp: Any, lax: Any, steps: int) -> Callable[[Any, Any], Any]:
    """The loss in the namespaces `xp` and `lax`."""
    flow = make_flow(xp)

    def loss(p: Any, start: Any) -> Any:
        def step(s: Any, _: Any) -> Any:
            s = flow(s, p)
            return s, s

        return xp.mean(lax.scan(step, start, None, length=steps)[1] ** 2)

    return loss


def _pull(s: np.ndarray, p: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cotangents of state and parameters for one of the slope."""
    x, y, z = s
    a, b, c = v
    ds = np.array([-p[0] * a + (p[1] - z) * b + y * c, p[0] * a - b + x * c, -x * b - p[2] * c])
    return ds, np.array([(y - x) * a, x * b, -z * c])


def by_hand(steps: int) -> Callable[[], Any]:
    """Value and gradient by plain expressions: the stages of each step are kept, and walked in reverse."""
    flow = make_flow(np, kept=True)
    p, h = PARAMETERS, STEP

    def call() -> Any:
        s, stages, states = START, [], []
        for _ in range(steps):
            s, inner = flow(s, p)
            states.append(s)
            stages.append(inner)
        trajectory = np.array(states)
        ds, dp = np.zeros(3), np.zeros(3)
        for inner, slope in zip(stages[::-1], (2 / trajectory.size * trajectory)[::-1], strict=True):
            ds = ds + slope
            after = np.zeros(3)  # the cotangent of the state of the stage that comes after
            total = ds
            for state, weight, far in zip(inner[::-1], (1, 2, 2, 1), (0.0, h, h / 2, h / 2), strict=True):
                after, dk = _pull(state, p, h / 6 * weight * ds + far * after)
                total, dp = total + after, dp + dk
            ds = total
        return np.mean(trajectory**2), dp

    return call


@lorenz.implementation("numpy", peer=False)
def _(steps: int) -> Step:
    return Step(by_hand(steps))


@lorenz.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(steps: int) -> Step:
    import funcgrad

    value_and_grad = funcgrad.jit(funcgrad.value_and_grad(make_loss(np, funcgrad.lax, steps)))
    return Step(lambda: value_and_grad(PARAMETERS, START))


@lorenz.implementation("jax jit", requires="jax")
def _(steps: int) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax_call(jax.jit(jax.value_and_grad(make_loss(jax.numpy, jax.lax, steps))), PARAMETERS, START)


@lorenz.implementation("torch")
def _(steps: int) -> Step:
    import torch

    p, start = torch.from_numpy(PARAMETERS.copy()).requires_grad_(), torch.from_numpy(START.copy())
    flow = make_flow(torch)

    def call() -> Any:
        s, states = start, []
        for _ in range(steps):
            s = flow(s, p)
            states.append(s)
        loss = (torch.stack(states) ** 2).mean()
        return loss.detach(), torch.autograd.grad(loss, [p])[0]

    return Step(call)


WORKLOADS = (lorenz,)
