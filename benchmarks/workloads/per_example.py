"""A gradient for every example, of the network 784-200-200-10 (in float32).

`per_example` is ``jit(vmap(grad(loss)))``; its NumPy contender forms the outer products of all
examples at once. `per_example_eager` holds `vmap` of `grad` against a Python loop over the
examples, both without `jit`; the loop's gradients stay in a list, which saves it the stacking.
The results are large: 256 times 199,210 numbers, 204 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call, torch_tree
from benchmarks.workloads.mlp import SIZES, TINY, make_data

__all__ = ["WORKLOADS"]

Params = dict[str, Any]

CASES = {"256 examples": {**SIZES, "batch": 256}}
TINY_CASES = {"256 examples": TINY}

per_example = Workload(
    name="per_example",
    summary="A gradient for each of 256 examples of the MLP 784-200-200-10, float32, compiled.",
    cases=CASES,
    tiny=TINY_CASES,
    rtol=1e-4,
    goals=(Goal("jax jit", over="funcgrad jit", at_least=1.0),),
)


def make_loss(xp: Any, nn: Any) -> Callable[[Params, Any, Any], Any]:
    """The cross entropy of one example in the namespaces `xp` and `nn`."""

    def loss(params: Params, x: Any, t: Any) -> Any:
        h = nn.relu(x @ params["W1"] + params["b1"])
        h = nn.relu(h @ params["W2"] + params["b2"])
        return -xp.sum(t * nn.log_softmax(h @ params["W3"] + params["b3"]))

    return loss


def by_hand(p: Params, x: np.ndarray, t: np.ndarray) -> Params:
    """All examples' gradients."""
    h1 = np.maximum(x @ p["W1"] + p["b1"], 0)
    h2 = np.maximum(h1 @ p["W2"] + p["b2"], 0)
    z = h2 @ p["W3"] + p["b3"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    d3 = e / e.sum(axis=1, keepdims=True) - t
    d2 = (d3 @ p["W3"].T) * (h2 > 0)
    d1 = (d2 @ p["W2"].T) * (h1 > 0)
    pairs = {"1": (x, d1), "2": (h1, d2), "3": (h2, d3)}
    grads = {"W" + layer: below[:, :, None] * d[:, None, :] for layer, (below, d) in pairs.items()}
    return grads | {"b" + layer: d for layer, (_, d) in pairs.items()}


@per_example.implementation("numpy", peer=False)
def _(**sizes: int) -> Step:
    arguments = make_data(**sizes)
    return Step(lambda: by_hand(*arguments))


@per_example.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad
    import funcgrad.nn

    arguments = make_data(**sizes)
    gradients = funcgrad.jit(funcgrad.vmap(funcgrad.grad(make_loss(np, funcgrad.nn)), (None, 0, 0)))
    return Step(lambda: gradients(*arguments))


@per_example.implementation("jax jit", requires="jax")
def _(**sizes: int) -> Step:
    import jax

    gradients = jax.jit(jax.vmap(jax.grad(make_loss(jax.numpy, jax.nn)), (None, 0, 0)))
    return jax_call(gradients, *make_data(**sizes))


@per_example.implementation("torch")
def _(**sizes: int) -> Step:
    import torch
    from torch.nn import functional

    params, x, t = torch_tree(make_data(**sizes))

    def loss(p: Params, x: Any, t: Any) -> Any:
        h = torch.relu(x @ p["W1"] + p["b1"])
        h = torch.relu(h @ p["W2"] + p["b2"])
        return -(t * functional.log_softmax(h @ p["W3"] + p["b3"], dim=-1)).sum()

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    return Step(lambda: gradients(params, x, t))


per_example_eager = Workload(
    name="per_example_eager",
    summary="The same without jit: vmap(grad(loss)) against a loop of grad(loss) over the examples.",
    cases=CASES,
    tiny=TINY_CASES,
    rtol=1e-4,
    goals=(Goal("loop", over="funcgrad", at_least=20.0),),
    reference="loop",
)


def _stacked(found: list[Params]) -> Params:
    return {name: np.stack([grads[name] for grads in found]) for name in found[0]}


@per_example_eager.implementation("loop", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad
    import funcgrad.nn

    params, inputs, targets = make_data(**sizes)
    gradient = funcgrad.grad(make_loss(np, funcgrad.nn))
    return Step(lambda: [gradient(params, x, t) for x, t in zip(inputs, targets, strict=True)], _stacked)


@per_example_eager.implementation("funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad
    import funcgrad.nn

    arguments = make_data(**sizes)
    gradients = funcgrad.vmap(funcgrad.grad(make_loss(np, funcgrad.nn)), (None, 0, 0))
    return Step(lambda: gradients(*arguments))


WORKLOADS = (per_example, per_example_eager)
