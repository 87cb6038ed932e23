"""A recurrent network, compiled: h = tanh(x @ Wx + h @ Wh + b), 200 steps of small arrays.

Value and gradient of the mean squared distance between all states and targets. The NumPy contender
takes the products with the inputs, and those for the gradients of the weights, out of its loops;
the others are given the loop as it stands in the formula.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call, torch_leaves, torch_tree

__all__ = ["WORKLOADS"]

Params = dict[str, Any]

rnn = Workload(
    name="rnn",
    summary="Value and gradient through a scan of 200 steps of tanh(x @ Wx + h @ Wh + b), batch 16, width 32, float32.",
    cases={"200 steps": {"steps": 200, "batch": 16, "width": 32}},
    tiny={"200 steps": {"steps": 7, "batch": 3, "width": 4}},
    rtol=1e-4,
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=1.05),
        Goal("torch", over="funcgrad jit", at_least=6.0),
    ),
)


def make_data(steps: int, batch: int, width: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Parameters, inputs and targets of all steps, float32 and always the same."""
    rng = np.random.RandomState(6)
    params: Params = {
        "Wx": (rng.randn(width, width) / width**0.5).astype(np.float32),
        "Wh": (0.8 * rng.randn(width, width) / width**0.5).astype(np.float32),
        "b": (0.1 * rng.randn(width)).astype(np.float32),
    }
    x, target = (rng.randn(steps, batch, width).astype(np.float32) for _ in range(2))
    return params, x, target


rnn_vanishing = Workload(
    name="rnn_vanishing",
    summary="The same network, but the distance of the last state alone: going back, the gradient underflows.",
    cases=rnn.cases,
    tiny=rnn.tiny,
    rtol=1e-4,
    goals=(Goal("jax jit", over="funcgrad jit", at_least=1.3),),
)


def make_loss(xp: Any, lax: Any, last: bool = False) -> Callable[[Params, Any, Any], Any]:
    """The loss, of all states or the last, in the namespaces `xp` and `lax`."""

    def loss(p: Params, inputs: Any, target: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = xp.tanh(x @ p["Wx"] + h @ p["Wh"] + p["b"])
            return h, h

        start = xp.zeros(inputs.shape[1:], inputs.dtype)
        end, states = lax.scan(step, start, inputs)
        return xp.mean((end - target[-1]) ** 2 if last else (states - target) ** 2)

    return loss


def by_hand(p: Params, inputs: np.ndarray, target: np.ndarray, last: bool = False) -> Callable[[], Any]:
    """Value and gradient over arrays that it allocates here, once."""
    steps, batch, width = inputs.shape
    rows = inputs.reshape(-1, width)
    states = np.zeros((steps + 1, batch, width), np.float32)  # the first is the start
    z, d, slopes = (np.empty_like(inputs) for _ in range(3))
    product = np.empty((batch, width), np.float32)
    flat_z, flat_d = z.reshape(-1, width), d.reshape(-1, width)
    before, after = states[:-1], states[1:]
    forward = list(zip(before, z, after, strict=True))
    # Backwards from the last step but one: what a step gets from the one after it.
    backward = list(zip(d[1:], slopes[:-1], d[:-1], strict=True))[::-1]
    count = target[-1].size if last else target.size
    one, scale = np.float32(1), np.float32(2 / count)

    def call() -> Any:
        weights, transposed = p["Wh"], p["Wh"].T
        np.matmul(rows, p["Wx"], out=flat_z)
        np.add(flat_z, p["b"], out=flat_z)
        for h, zi, h_next in forward:
            np.dot(h, weights, out=product)
            np.add(zi, product, out=zi)
            np.tanh(zi, out=h_next)
        np.subtract(after, target, out=d)
        if last:
            d[:-1] = 0
        loss = np.vdot(d, d) / count
        np.multiply(after, after, out=slopes)
        np.subtract(one, slopes, out=slopes)
        np.multiply(d, scale, out=d)
        np.multiply(d, slopes, out=d)
        for di_next, slope, di in backward:
            np.dot(di_next, transposed, out=product)
            np.multiply(product, slope, out=product)
            np.add(di, product, out=di)
        hidden = before.reshape(-1, width)
        grads = {"Wx": rows.T @ flat_d, "Wh": hidden.T @ flat_d, "b": np.add.reduce(flat_d, axis=0)}
        return loss, grads

    return call


def by_numpy(last: bool, **sizes: int) -> Step:
    """Value and gradient by hand."""
    return Step(by_hand(*make_data(**sizes), last=last))


def by_funcgrad(last: bool, **sizes: int) -> Step:
    """Value and gradient, jitted."""
    import funcgrad

    arguments = make_data(**sizes)
    value_and_grad = funcgrad.jit(funcgrad.value_and_grad(make_loss(np, funcgrad.lax, last)))
    return Step(lambda: value_and_grad(*arguments))


def by_jax(last: bool, **sizes: int) -> Step:
    """Value and gradient, jitted."""
    import jax

    return jax_call(jax.jit(jax.value_and_grad(make_loss(jax.numpy, jax.lax, last))), *make_data(**sizes))


for workload, last in ((rnn, False), (rnn_vanishing, True)):
    workload.implementation("numpy", peer=False)(partial(by_numpy, last))
    workload.implementation("funcgrad jit", requires="funcgrad", peer=False)(partial(by_funcgrad, last))
    workload.implementation("jax jit", requires="jax")(partial(by_jax, last))


@rnn.implementation("torch")
def _(**sizes: int) -> Step:
    import torch

    start, *data = make_data(**sizes)
    p, (inputs, target) = torch_leaves(start), torch_tree(data)
    leaves = list(p.values())

    def call() -> Any:
        h = torch.zeros(inputs.shape[1:])
        states = []
        for x in inputs:
            h = torch.tanh(torch.addmm(torch.addmm(p["b"], x, p["Wx"]), h, p["Wh"]))
            states.append(h)
        loss = torch.nn.functional.mse_loss(torch.stack(states), target)
        return loss.detach(), dict(zip(p, torch.autograd.grad(loss, leaves), strict=True))

    return Step(call)


WORKLOADS = (rnn, rnn_vanishing)
