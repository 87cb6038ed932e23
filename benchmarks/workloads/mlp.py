"""The 784-200-200-10 network: ReLU, softmax cross entropy, batch 100, float32; value and gradient.

The NumPy contender is the backward pass that one writes by hand for this network, layer by layer,
down to the gradient of the input. It starts from ``y - t``, which is the gradient of the batch's
*sum* of cross entropies, while the loss is their mean, so its gradients are divided by the batch
size before comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import torch_leaves, torch_tree

__all__ = ["SIZES", "TINY", "WORKLOADS", "make_data", "make_loss", "torch_loss"]

Params = dict[str, Any]

SIZES = {"batch": 100, "inputs": 784, "hidden": 200, "outputs": 10}
TINY = {"batch": 5, "inputs": 7, "hidden": 6, "outputs": 3}


def make_data(batch: int, inputs: int, hidden: int, outputs: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Parameters, inputs in [0, 1) and one-hot targets, all float32 and always the same."""
    rng = np.random.RandomState(8)
    shapes = {"1": (inputs, hidden), "2": (hidden, hidden), "3": (hidden, outputs)}
    params: Params = {}
    for layer, shape in shapes.items():
        params["W" + layer] = (0.01 * rng.randn(*shape)).astype(np.float32)
        params["b" + layer] = np.zeros(shape[1], np.float32)
    x = rng.rand(batch, inputs).astype(np.float32)
    t = np.eye(outputs, dtype=np.float32)[rng.randint(outputs, size=batch)]
    return params, x, t


def make_loss(xp: Any) -> Callable[[Params, Any, Any], Any]:
    """The loss as a pure function in the namespace `xp` (NumPy's, or one that follows it)."""

    def loss(params: Params, x: Any, t: Any) -> Any:
        h = xp.maximum(0, x @ params["W1"] + params["b1"])
        h = xp.maximum(0, h @ params["W2"] + params["b2"])
        z = h @ params["W3"] + params["b3"]
        e = xp.exp(z - xp.max(z, axis=1, keepdims=True))
        y = e / xp.sum(e, axis=1, keepdims=True)
        return -xp.sum(t * xp.log(y + 1e-7)) / x.shape[0]

    return loss


def torch_loss(params: Params, x: Any, t: Any) -> Any:
    """The same loss as one writes it in PyTorch."""
    import torch

    h = torch.relu(torch.addmm(params["b1"], x, params["W1"]))
    h = torch.relu(torch.addmm(params["b2"], h, params["W2"]))
    y = torch.softmax(torch.addmm(params["b3"], h, params["W3"]), dim=1)
    return -(t * torch.log(y + 1e-7)).sum() / x.shape[0]


def by_hand(params: Params, x: np.ndarray, t: np.ndarray) -> tuple[Any, Params]:
    """Loss and hand-derived gradients (of the batch's sum), one layer after the other."""
    # Forward; each layer keeps what its backward pass needs.
    a1 = np.dot(x, params["W1"]) + params["b1"]
    off1 = a1 <= 0
    h1 = np.maximum(0, a1)
    a2 = np.dot(h1, params["W2"]) + params["b2"]
    off2 = a2 <= 0
    h2 = np.maximum(0, a2)
    z = np.dot(h2, params["W3"]) + params["b3"]
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    y = e / np.sum(e, axis=1, keepdims=True)
    loss = -np.sum(t * np.log(y + 1e-7)) / y.shape[0]
    # Backward.
    grads: Params = {}
    dout = y - t
    grads["W3"] = np.dot(h2.T, dout)
    grads["b3"] = np.sum(dout, axis=0)
    dout = np.dot(dout, params["W3"].T)
    dout[off2] = 0
    grads["W2"] = np.dot(h1.T, dout)
    grads["b2"] = np.sum(dout, axis=0)
    dout = np.dot(dout, params["W2"].T)
    dout[off1] = 0
    grads["W1"] = np.dot(x.T, dout)
    grads["b1"] = np.sum(dout, axis=0)
    np.dot(dout, params["W1"].T)  # the input's gradient: computed, and not used
    return loss, grads


mlp_eager = Workload(
    name="mlp_eager",
    summary="Value and gradient of the MLP 784-200-200-10, batch 100, float32.",
    cases={"batch 100": SIZES},
    tiny={"batch 100": TINY},
    rtol=1e-4,
    goals=(
        Goal("funcgrad", over="numpy", at_most=1.5),
        Goal("autograd", over="funcgrad", at_least=2.5),
        Goal("jax", over="funcgrad", at_least=5.0),
    ),
)


@mlp_eager.implementation("numpy", peer=False)
def _(**sizes: int) -> Step:
    params, x, t = make_data(**sizes)

    def mean_gradients(result: Any) -> Any:
        loss, grads = result
        return loss, {name: grad / x.shape[0] for name, grad in grads.items()}

    return Step(lambda: by_hand(params, x, t), comparable=mean_gradients)


@mlp_eager.implementation("funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad

    params, x, t = make_data(**sizes)
    value_and_grad = funcgrad.value_and_grad(make_loss(np))
    return Step(lambda: value_and_grad(params, x, t))


@mlp_eager.implementation("autograd")
def _(**sizes: int) -> Step:
    import autograd
    import autograd.numpy

    params, x, t = make_data(**sizes)
    value_and_grad = autograd.value_and_grad(make_loss(autograd.numpy))
    return Step(lambda: value_and_grad(params, x, t))


def _jax(jit: bool, sizes: dict[str, int]) -> Step:
    import jax

    arguments = jax.device_put(make_data(**sizes))
    value_and_grad = jax.value_and_grad(make_loss(jax.numpy))
    if jit:
        value_and_grad = jax.jit(value_and_grad)
    return Step(lambda: jax.block_until_ready(value_and_grad(*arguments)))


@mlp_eager.implementation("jax")
def _(**sizes: int) -> Step:
    return _jax(False, sizes)


@mlp_eager.implementation("jax jit", requires="jax")
def _(**sizes: int) -> Step:
    return _jax(True, sizes)


@mlp_eager.implementation("torch")
def _(**sizes: int) -> Step:
    import torch

    start, *data = make_data(**sizes)
    params, (x, t) = torch_leaves(start), torch_tree(data)
    leaves = list(params.values())

    def call() -> Any:
        loss = torch_loss(params, x, t)
        return loss.detach(), dict(zip(params, torch.autograd.grad(loss, leaves), strict=True))

    return Step(call)


WORKLOADS = (mlp_eager,)
