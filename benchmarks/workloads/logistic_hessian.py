"""The Hessian of regularised logistic regression with 60 parameters, compiled, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call, torch_tree

__all__ = ["WORKLOADS"]

PENALTY = 1e-2

logistic_hessian = Workload(
    name="logistic_hessian",
    summary="Hessian of logistic regression, 60 parameters, 1000 examples, float64, compiled.",
    cases={"60 parameters": {"parameters": 60, "examples": 1000}},
    tiny={"60 parameters": {"parameters": 4, "examples": 9}},
    rtol=1e-11,
    goals=(Goal("jax jit", over="funcgrad jit", at_least=1.0),),
)


def make_data(parameters: int, examples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters, inputs and labels -1 or 1."""
    rng = np.random.RandomState(4)
    w, x = rng.randn(parameters) / parameters**0.5, rng.randn(examples, parameters)
    return w, x, np.where(rng.rand(examples) < 0.5, -1.0, 1.0)


def make_loss(xp: Any) -> Callable[[Any, Any, Any], Any]:
    """The loss in the namespace `xp`."""
    return lambda w, x, y: xp.mean(xp.logaddexp(0.0, -y * (x @ w))) + 0.5 * PENALTY * xp.sum(w**2)


@logistic_hessian.implementation("numpy", peer=False)
def _(**sizes: int) -> Step:
    w, x, _ = make_data(**sizes)  # the label's sign squares away

    def call() -> Any:
        p = 1 / (1 + np.exp(-(x @ w)))
        hessian = x.T @ (x * (p * (1 - p) / len(x))[:, None])
        hessian.flat[:: len(w) + 1] += PENALTY
        return hessian

    return Step(call)


@logistic_hessian.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad

    arguments = make_data(**sizes)
    hessian = funcgrad.jit(funcgrad.hessian(make_loss(np)))
    return Step(lambda: hessian(*arguments))


@logistic_hessian.implementation("jax jit", requires="jax")
def _(**sizes: int) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax_call(jax.jit(jax.hessian(make_loss(jax.numpy))), *make_data(**sizes))


@logistic_hessian.implementation("torch")
def _(**sizes: int) -> Step:
    import torch

    w, x, y = torch_tree(make_data(**sizes))

    def loss(w: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.softplus(-y * (x @ w)).mean() + 0.5 * PENALTY * (w**2).sum()

    hessian = torch.func.hessian(loss)
    return Step(lambda: hessian(w, x, y))


WORKLOADS = (logistic_hessian,)
