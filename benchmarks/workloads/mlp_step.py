"""The 784-200-200-10 network of `mlp`, compiled: value, gradient and SGD update.

The NumPy contender is written for speed: every array is allocated once, matrix products write into
them, and a new parameter takes the memory of its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import carried, jax_carried, torch_leaves, torch_tree
from benchmarks.workloads.mlp import SIZES, TINY, make_data, make_loss, torch_loss

__all__ = ["WORKLOADS", "by_hand", "funcgrad_update", "jax_update", "make_data", "mlp_step"]

Params = dict[str, Any]

RATE = 1.0

mlp_step = Workload(
    name="mlp_step",
    summary="The MLP 784-200-200-10 with its SGD update, batch 100, float32; each call goes on from the last one.",
    cases={"batch 100": SIZES},
    tiny={"batch 100": TINY},
    rtol=1e-4,
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=1.2),
        Goal("torch", over="funcgrad jit", at_least=1.3),
    ),
)


def make_update(value_and_grad: Callable[..., Any]) -> Callable[..., Any]:
    """The training step as a pure function."""

    def update(params: Params, x: Any, t: Any) -> Any:
        loss, grads = value_and_grad(params, x, t)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return update


def funcgrad_update(donate: tuple[int, ...] = (0,)) -> Callable[..., Any]:
    """A fresh jitted step; the memory of the arguments `donate` is its to use."""
    import funcgrad

    return funcgrad.jit(make_update(funcgrad.value_and_grad(make_loss(np))), donate_argnums=donate)


def jax_update(donate: tuple[int, ...] = (0,)) -> Callable[..., Any]:
    """A fresh jitted step; the memory of the arguments `donate` is its to use."""
    import jax

    return jax.jit(make_update(jax.value_and_grad(make_loss(jax.numpy))), donate_argnums=donate)


def _backward(
    layer: int, params: Params, grads: Params, below: np.ndarray, d: np.ndarray, below_d: np.ndarray | None
) -> None:
    """Gradients of one layer's parameters and, unless it is the first, of the ReLU's input below it."""
    w = f"W{layer}"
    np.matmul(below.T, d, out=grads[w])
    np.add.reduce(d, axis=0, out=grads[f"b{layer}"])
    if below_d is not None:
        np.matmul(d, params[w].T, out=below_d)
        np.multiply(below_d, below > 0, out=below_d)


def by_hand(params: Params, x: np.ndarray, t: np.ndarray) -> Callable[[], Any]:
    """The step over arrays that it allocates here, once."""
    grads = {name: np.empty_like(p) for name, p in params.items()}
    h1, d1, h2, d2 = (np.empty((x.shape[0], params["b1"].size), np.float32) for _ in range(4))
    y, scratch = np.empty_like(t), np.empty_like(t)
    scale = np.float32(1 / x.shape[0])
    rate = np.float32(RATE)

    def call() -> Any:
        nonlocal params, grads
        for below, out, layer in ((x, h1, 1), (h1, h2, 2)):
            np.matmul(below, params[f"W{layer}"], out=out)
            np.add(out, params[f"b{layer}"], out=out)
            np.maximum(out, 0, out=out)
        np.matmul(h2, params["W3"], out=y)
        np.add(y, params["b3"], out=y)
        np.subtract(y, np.maximum.reduce(y, axis=1, keepdims=True), out=y)
        np.exp(y, out=y)
        np.divide(y, np.add.reduce(y, axis=1, keepdims=True), out=y)
        np.log(np.add(y, np.float32(1e-7), out=scratch), out=scratch)
        loss = -float(np.vdot(t, scratch)) * scale
        np.subtract(y, t, out=y)
        np.multiply(y, scale, out=y)
        _backward(3, params, grads, h2, y, d2)
        _backward(2, params, grads, h1, d2, d1)
        _backward(1, params, grads, x, d1, None)
        for name, grad in grads.items():
            np.multiply(grad, rate, out=grad)
            np.subtract(params[name], grad, out=grad)
        params, grads = grads, params
        return loss, params

    return call


@mlp_step.implementation("numpy", peer=False)
def _(**sizes: int) -> Step:
    return Step(by_hand(*make_data(**sizes)))


@mlp_step.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    return carried(funcgrad_update(), *make_data(**sizes))


@mlp_step.implementation("jax jit", requires="jax")
def _(**sizes: int) -> Step:
    return jax_carried(jax_update(), *make_data(**sizes))


@mlp_step.implementation("torch")
def _(**sizes: int) -> Step:
    import torch

    start, *data = make_data(**sizes)
    params, (x, t) = torch_leaves(start), torch_tree(data)
    leaves = list(params.values())

    def call() -> Any:
        loss = torch_loss(params, x, t)
        grads = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for leaf, grad in zip(leaves, grads, strict=True):
                leaf.sub_(grad, alpha=RATE)
        return loss.detach(), {name: p.detach() for name, p in params.items()}

    return Step(call)


WORKLOADS = (mlp_step,)
