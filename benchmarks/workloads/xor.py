"""XOR with a 2-2-1 sigmoid network in float64: a step so small that only overhead counts.

Value, gradient of the sum of squared errors, and update. The NumPy contender is the pass written
by hand with plain expressions: it keeps the inputs as integers, evaluates each sigmoid again for
its derivative, and reports the mean of the squared errors while following the gradient of their
sum; the mean is scaled to the sum before comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Step, Workload

__all__ = ["WORKLOADS", "make_data", "make_loss"]

Params = dict[str, Any]

LEARNING_RATE = 0.1


def make_data() -> tuple[Params, np.ndarray, np.ndarray]:
    """Parameters in float64, the four inputs and targets as integers."""
    rng = np.random.RandomState(0)
    params: Params = {"W1": rng.randn(2, 2), "b1": np.zeros((1, 2))}
    params |= {"W2": rng.randn(2, 1), "b2": np.zeros((1, 1))}
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([[0], [1], [1], [0]])
    return params, x, y


def make_loss(xp: Any) -> Callable[[Params, Any, Any], Any]:
    """The sum of squared errors as a pure function in the namespace `xp`."""

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + xp.exp(-z))

    def loss(params: Params, x: Any, y: Any) -> Any:
        hidden = sigmoid(x @ params["W1"] + params["b1"])
        output = sigmoid(hidden @ params["W2"] + params["b2"])
        return xp.sum((output - y) ** 2)

    return loss


xor_eager = Workload(
    name="xor_eager",
    summary="XOR 2-2-1, sigmoid, float64: value, gradient and SGD update.",
    cases={"2-2-1": {}},
    tiny={"2-2-1": {}},
    rtol=1e-12,
)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _sigmoid_derivative(z: np.ndarray) -> np.ndarray:
    return _sigmoid(z) * (1 - _sigmoid(z))


@xor_eager.implementation("numpy", peer=False)
def _() -> Step:
    params, x, y = make_data()
    w1, b1, w2, b2 = (params[name] for name in ("W1", "b1", "W2", "b2"))

    def call() -> Any:
        nonlocal w1, b1, w2, b2
        z1 = x @ w1 + b1
        a1 = _sigmoid(z1)
        z2 = a1 @ w2 + b2
        a2 = _sigmoid(z2)
        mean = np.mean((a2 - y) ** 2)
        da2 = 2 * (a2 - y)
        slope2 = _sigmoid_derivative(z2)
        dw2 = a1.T @ (da2 * slope2)
        db2 = np.sum(da2 * slope2, axis=0, keepdims=True)
        da1 = (da2 * slope2) @ w2.T
        slope1 = _sigmoid_derivative(z1)
        dw1 = x.T @ (da1 * slope1)
        db1 = np.sum(da1 * slope1, axis=0, keepdims=True)
        w2 -= LEARNING_RATE * dw2
        b2 -= LEARNING_RATE * db2
        w1 -= LEARNING_RATE * dw1
        b1 -= LEARNING_RATE * db1
        return mean, {"W1": w1, "b1": b1, "W2": w2, "b2": b2}

    def summed(result: Any) -> Any:
        mean, new = result
        return _copy((mean * y.shape[0], new))

    return Step(call, comparable=summed)


def _copy(result: Any) -> Any:
    """The loss and copies of the parameters: the next call may overwrite them."""
    loss, params = result
    return float(loss), {name: np.array(p) for name, p in params.items()}


def _update(value_and_grad: Callable[..., Any]) -> Callable[..., Any]:
    def update(params: Params, x: Any, y: Any) -> Any:
        loss, grads = value_and_grad(params, x, y)
        return loss, {name: p - LEARNING_RATE * grads[name] for name, p in params.items()}

    return update


def _carried(update: Callable[..., Any], params: Params, x: Any, y: Any) -> Step:
    """A step that hands the new parameters on to the next call."""

    def call() -> Any:
        nonlocal params
        loss, params = update(params, x, y)
        return loss, params

    return Step(call, comparable=_copy)


def funcgrad_step() -> Step:
    """The step with gradients from funcgrad (also used to weigh options of funcgrad's)."""
    import funcgrad

    return _carried(_update(funcgrad.value_and_grad(make_loss(np))), *make_data())


xor_eager.implementation("funcgrad", peer=False)(funcgrad_step)


@xor_eager.implementation("autograd")
def _() -> Step:
    import autograd
    import autograd.numpy

    return _carried(_update(autograd.value_and_grad(make_loss(autograd.numpy))), *make_data())


def _jax(jit: bool) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    update = _update(jax.value_and_grad(make_loss(jax.numpy)))
    if jit:
        update = jax.jit(update)
    params, x, y = make_data()
    arguments = jax.device_put((params, x.astype(np.float64), y.astype(np.float64)))
    return _carried(lambda *args: jax.block_until_ready(update(*args)), *arguments)


@xor_eager.implementation("jax")
def _() -> Step:
    return _jax(False)


@xor_eager.implementation("jax jit", requires="jax")
def _() -> Step:
    return _jax(True)


@xor_eager.implementation("torch")
def _() -> Step:
    import torch

    start, x, y = make_data()
    params = {name: torch.from_numpy(p).requires_grad_() for name, p in start.items()}
    leaves = list(params.values())
    inputs, targets = torch.from_numpy(x).double(), torch.from_numpy(y).double()

    def call() -> Any:
        hidden = torch.sigmoid(torch.addmm(params["b1"], inputs, params["W1"]))
        output = torch.sigmoid(torch.addmm(params["b2"], hidden, params["W2"]))
        loss = ((output - targets) ** 2).sum()
        grads = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for leaf, grad in zip(leaves, grads, strict=True):
                leaf.sub_(grad, alpha=LEARNING_RATE)
        return loss.detach(), {name: p.detach() for name, p in params.items()}

    return Step(call, comparable=_copy)


WORKLOADS = (xor_eager,)
