"""A chain of elementwise functions and a sum: memory traffic and ufuncs, no matmul."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Step, Workload

__all__ = ["WORKLOADS"]

elementwise_eager = Workload(
    name="elementwise_eager",
    summary="Value and gradient of sum(tanh(x) * exp(-x**2) + sin(x)), float32.",
    cases={"n=1e4": {"n": 10_000}, "n=1e6": {"n": 1_000_000}},
    tiny={"n=1e4": {"n": 10}, "n=1e6": {"n": 1_000}},
    rtol=1e-4,
)


def make_data(n: int) -> np.ndarray:
    """Points of the standard normal distribution shifted by a half, so that the sum is not 0."""
    return (np.random.RandomState(0).randn(n) + 0.5).astype(np.float32)


def make_function(xp: Any) -> Callable[[Any], Any]:
    """The function in the namespace `xp`."""
    return lambda x: xp.sum(xp.tanh(x) * xp.exp(-(x**2)) + xp.sin(x))


@elementwise_eager.implementation("numpy", peer=False)
def _(n: int) -> Step:
    x = make_data(n)

    def call() -> Any:
        t = np.tanh(x)
        e = np.exp(-(x**2))
        value = np.sum(t * e + np.sin(x))
        gradient = (1 - t**2) * e - 2 * x * t * e + np.cos(x)
        return value, gradient

    return Step(call)


@elementwise_eager.implementation("funcgrad", peer=False)
def _(n: int) -> Step:
    import funcgrad

    x = make_data(n)
    value_and_grad = funcgrad.value_and_grad(make_function(np))
    return Step(lambda: value_and_grad(x))


@elementwise_eager.implementation("autograd")
def _(n: int) -> Step:
    import autograd
    import autograd.numpy

    x = make_data(n)
    value_and_grad = autograd.value_and_grad(make_function(autograd.numpy))
    return Step(lambda: value_and_grad(x))


def _jax(jit: bool, n: int) -> Step:
    import jax

    x = jax.device_put(make_data(n))
    value_and_grad = jax.value_and_grad(make_function(jax.numpy))
    if jit:
        value_and_grad = jax.jit(value_and_grad)
    return Step(lambda: jax.block_until_ready(value_and_grad(x)))


@elementwise_eager.implementation("jax")
def _(n: int) -> Step:
    return _jax(False, n)


@elementwise_eager.implementation("jax jit", requires="jax")
def _(n: int) -> Step:
    return _jax(True, n)


@elementwise_eager.implementation("torch")
def _(n: int) -> Step:
    import torch

    x = torch.from_numpy(make_data(n)).requires_grad_()

    def call() -> Any:
        value = (torch.tanh(x) * torch.exp(-(x**2)) + torch.sin(x)).sum()
        (gradient,) = torch.autograd.grad(value, x)
        return value.detach(), gradient

    return Step(call)


WORKLOADS = (elementwise_eager,)
