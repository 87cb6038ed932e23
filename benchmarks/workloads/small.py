"""Work so small that only the cost of a call counts, compiled, in float64.

`xor` is the SGD step of the network in `xor_eager`; `rosenbrock` the gradient of Rosenbrock's
function of three variables. The NumPy contenders are written for few and cheap calls: into arrays
that exist, with constants that are arrays of no dimension, and sums as products with ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import carried, jax_carried, torch_leaves, torch_tree
from benchmarks.workloads.xor import LEARNING_RATE, make_data, make_loss

__all__ = ["WORKLOADS"]

Params = dict[str, Any]

GOALS = (
    Goal("funcgrad jit", at_most=25e-6, compare="figure"),
    Goal("torch", over="funcgrad jit", at_least=4.0),
)

xor = Workload(
    name="xor",
    summary="XOR 2-2-1, sigmoid, float64: value, gradient and SGD update, compiled.",
    cases={"2-2-1": {}},
    tiny={"2-2-1": {}},
    rtol=1e-12,
    goals=GOALS,
)


def float_data() -> tuple[Params, np.ndarray, np.ndarray]:
    """The data of `xor_eager`, inputs and targets in float64, too."""
    params, x, y = make_data()
    return params, x.astype(np.float64), y.astype(np.float64)


def make_update(value_and_grad: Callable[..., Any]) -> Callable[..., Any]:
    """The training step as a pure function."""

    def update(params: Params, x: Any, y: Any) -> Any:
        loss, grads = value_and_grad(params, x, y)
        return loss, {name: p - LEARNING_RATE * grads[name] for name, p in params.items()}

    return update


def _sigmoid_in_place(z: np.ndarray, one: np.ndarray) -> None:
    np.negative(z, z)
    np.exp(z, z)
    np.add(z, one, z)
    np.reciprocal(z, z)


def xor_by_hand(params: Params, x: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    """The step over arrays that it allocates here, once."""
    w1, b1, w2, b2 = (params[name] for name in ("W1", "b1", "W2", "b2"))
    hidden, d1, output, d2, slope1, slope2 = (np.empty((4, n)) for n in (2, 2, 1, 1, 2, 1))
    dw1, db1, dw2, db2 = (np.empty_like(p) for p in (w1, b1, w2, b2))
    one, step = np.array(1.0), np.array(2 * LEARNING_RATE)  # the 2 is that of the square
    ones, xt, ht, w2t, flat = np.ones((1, 4)), x.T, hidden.T, w2.T, d2.ravel()

    def call() -> Any:
        np.dot(x, w1, hidden)
        np.add(hidden, b1, hidden)
        _sigmoid_in_place(hidden, one)
        np.dot(hidden, w2, output)
        np.add(output, b2, output)
        _sigmoid_in_place(output, one)
        np.subtract(output, y, d2)
        loss = np.dot(flat, flat)
        np.multiply(d2, step, d2)
        np.subtract(one, output, slope2)
        np.multiply(slope2, output, slope2)
        np.multiply(d2, slope2, d2)
        np.dot(d2, w2t, d1)
        np.subtract(one, hidden, slope1)
        np.multiply(slope1, hidden, slope1)
        np.multiply(d1, slope1, d1)
        np.subtract(w2, np.dot(ht, d2, dw2), w2)
        np.subtract(b2, np.dot(ones, d2, db2), b2)
        np.subtract(w1, np.dot(xt, d1, dw1), w1)
        np.subtract(b1, np.dot(ones, d1, db1), b1)
        return loss, params

    return call


@xor.implementation("numpy", peer=False)
def _() -> Step:
    return Step(xor_by_hand(*float_data()))


@xor.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _() -> Step:
    import funcgrad

    return carried(funcgrad.jit(make_update(funcgrad.value_and_grad(make_loss(np))), donate_argnums=0), *float_data())


@xor.implementation("jax jit", requires="jax")
def _() -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax_carried(jax.jit(make_update(jax.value_and_grad(make_loss(jax.numpy))), donate_argnums=0), *float_data())


@xor.implementation("torch")
def _() -> Step:
    import torch

    start, *data = float_data()
    p, (x, y) = torch_leaves(start), torch_tree(data)
    leaves = list(p.values())

    def call() -> Any:
        hidden = torch.sigmoid(torch.addmm(p["b1"], x, p["W1"]))
        output = torch.sigmoid(torch.addmm(p["b2"], hidden, p["W2"]))
        loss = ((output - y) ** 2).sum()
        grads = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for leaf, grad in zip(leaves, grads, strict=True):
                leaf.sub_(grad, alpha=LEARNING_RATE)
        return loss.detach(), {name: leaf.detach() for name, leaf in p.items()}

    return Step(call)


rosenbrock = Workload(
    name="rosenbrock",
    summary="Gradient of Rosenbrock's function of three variables, float64, compiled.",
    cases={"n=3": {}},
    tiny={"n=3": {}},
    rtol=1e-12,
    goals=GOALS,
)

START = np.array([-1.2, 1.0, 0.7])


def make_rosenbrock(xp: Any) -> Callable[[Any], Any]:
    """Rosenbrock's function in the namespace `xp`."""
    return lambda x: xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@rosenbrock.implementation("numpy", peer=False)
def _() -> Step:
    x = START
    left, right = x[:-1], x[1:]
    steep, two, one, hundred = np.array(-400.0), np.array(2.0), np.array(1.0), np.array(200.0)
    gap, slope = np.empty(2), np.empty(2)

    def call() -> Any:
        gradient = np.empty(3)
        np.subtract(right, np.multiply(left, left, gap), gap)
        np.multiply(np.multiply(gap, left, slope), steep, slope)
        np.multiply(gap, hundred, gradient[1:])
        gradient[0] = 0.0
        first = gradient[:-1]
        np.add(first, slope, first)
        np.subtract(left, one, slope)
        np.add(first, np.multiply(slope, two, slope), first)
        return gradient

    return Step(call)


@rosenbrock.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _() -> Step:
    import funcgrad

    gradient, x = funcgrad.jit(funcgrad.grad(make_rosenbrock(np))), START
    return Step(lambda: gradient(x))


@rosenbrock.implementation("jax jit", requires="jax")
def _() -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    gradient, x = jax.jit(jax.grad(make_rosenbrock(jax.numpy))), jax.device_put(START)
    return Step(lambda: gradient(x).block_until_ready())


@rosenbrock.implementation("torch")
def _() -> Step:
    import torch

    x = torch.from_numpy(START.copy()).requires_grad_()

    def call() -> Any:
        head = x[:-1]
        value = (100.0 * (x[1:] - head**2) ** 2 + (1.0 - head) ** 2).sum()
        (gradient,) = torch.autograd.grad(value, x)
        return gradient

    return Step(call)


WORKLOADS = (rosenbrock, xor)
