"""Adam's update of 64 small arrays, compiled, in float32: many operations, little work in each.

The gradients are given and stay the same. The NumPy contender updates in place, array by array;
PyTorch's is its own optimiser, as are funcgrad's `optim.adam` and optax's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import carried, jax_carried, torch_tree

__all__ = ["WORKLOADS"]

Params = dict[str, Any]

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
SHAPES = ((64, 64), (64,), (64, 128), (128,), (3, 3, 8, 16), (16,), (32, 10), (10,))

adam = Workload(
    name="adam",
    summary="Adam's update of 64 arrays of at most 8192 numbers, float32, compiled.",
    cases={"64 leaves": {"leaves": 64}},
    tiny={"64 leaves": {"leaves": 8}},
    rtol=1e-6,
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=1.0),
        Goal("jax optax", over="funcgrad optim", at_least=1.0),
    ),
)


def make_data(leaves: int) -> tuple[Params, Params]:
    """Parameters and gradients, float32 and always the same."""
    rng = np.random.RandomState(2)
    shapes = {f"p{i}": SHAPES[i % len(SHAPES)] for i in range(leaves)}
    params, grads = ({name: rng.randn(*s).astype(np.float32) for name, s in shapes.items()} for _ in range(2))
    return params, grads


def make_state(params: Params) -> tuple[Params, Params, Params, np.float32]:
    """Parameters, both moments, and the number of updates (in float32, which keeps it so)."""
    first, second = ({name: np.zeros_like(p) for name, p in params.items()} for _ in range(2))
    return params, first, second, np.float32(0)


def make_update(xp: Any, tree_map: Callable[..., Any]) -> Callable[..., Any]:
    """The update as a pure function: the new number of updates and the new state."""

    def update(state: Any, grads: Params, rate: Any) -> Any:
        params, first, second, count = state
        count = count + 1
        first = tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, grads)
        second = tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, second, grads)
        scale1, scale2 = 1 / (1 - BETA1**count), 1 / (1 - BETA2**count)
        params = tree_map(
            lambda p, m, v: p - rate * (m * scale1) / (xp.sqrt(v * scale2) + EPSILON), params, first, second
        )
        return count, (params, first, second, count)

    return update


def _parameters(result: Any) -> Any:
    """What the contenders have in common."""
    return result[1][0]


@adam.implementation("numpy", peer=False)
def _(**sizes: int) -> Step:
    params, grads = make_data(**sizes)
    _, first, second, count = make_state(params)
    scratches = {name: (np.empty_like(p), np.empty_like(p)) for name, p in params.items()}
    state = [(params[n], grads[n], first[n], second[n], *scratches[n]) for n in params]
    beta1, beta2, rest1, rest2, small = (np.array(c, np.float32) for c in (BETA1, BETA2, 1 - BETA1, 1 - BETA2, EPSILON))

    def call() -> Any:
        nonlocal count
        count += 1
        scale1 = np.array(RATE / (1 - BETA1**count), np.float32)
        scale2 = np.array(1 / (1 - BETA2**count), np.float32)
        for p, g, m, v, a, b in state:
            np.multiply(m, beta1, out=m)
            np.add(m, np.multiply(g, rest1, out=a), out=m)
            np.multiply(v, beta2, out=v)
            np.multiply(np.multiply(g, g, out=a), rest2, out=a)
            np.add(v, a, out=v)
            np.sqrt(np.multiply(v, scale2, out=a), out=a)
            np.add(a, small, out=a)
            np.divide(np.multiply(m, scale1, out=b), a, out=a)
            np.subtract(p, a, out=p)
        return params

    return Step(call)


@adam.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad

    params, grads = make_data(**sizes)
    update = funcgrad.jit(make_update(np, funcgrad.tree.map), donate_argnums=0)
    step = carried(update, make_state(params), grads, np.float32(RATE))
    return Step(step.call, _parameters)


@adam.implementation("jax jit", requires="jax")
def _(**sizes: int) -> Step:
    import jax

    params, grads = make_data(**sizes)
    update = jax.jit(make_update(jax.numpy, jax.tree.map), donate_argnums=0)
    step = jax_carried(update, make_state(params), grads, np.float32(RATE))
    return Step(step.call, _parameters)


def make_step(optim: Any) -> Callable[..., Any]:
    """The library's own update as a pure function, with the same results."""

    def step(state: Any, grads: Params, rate: Any) -> Any:
        params, inner = state
        updates, inner = optim.adam(rate, BETA1, BETA2, EPSILON).update(grads, inner, params)
        params = optim.apply_updates(params, updates)
        return inner[0].count, (params, inner)

    return step


@adam.implementation("funcgrad optim", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad
    from funcgrad import optim

    params, grads = make_data(**sizes)
    update = funcgrad.jit(make_step(optim), donate_argnums=0)
    step = carried(update, (params, optim.adam(RATE).init(params)), grads, np.float32(RATE))
    return Step(step.call, _parameters)


@adam.implementation("jax optax", requires="optax")
def _(**sizes: int) -> Step:
    import jax
    import optax

    params, grads = make_data(**sizes)
    update = jax.jit(make_step(optax), donate_argnums=0)
    step = jax_carried(update, (params, optax.adam(RATE).init(params)), grads, np.float32(RATE))
    return Step(step.call, _parameters)


@adam.implementation("torch")
def _(**sizes: int) -> Step:
    import torch

    params, grads = torch_tree(make_data(**sizes))
    for name, p in params.items():
        p.grad = grads[name]
    optimiser = torch.optim.Adam(params.values(), RATE, (BETA1, BETA2), EPSILON)

    def call() -> Any:
        optimiser.step()
        return params

    return Step(call)


WORKLOADS = (adam,)
