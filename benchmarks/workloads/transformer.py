"""A transformer block, compiled: layer norm before attention and before the network of four times the width.

Value and parameter gradients of the mean squared distance between the block's output and a target;
no mask. The NumPy contender is derived by hand, with all positions in one matrix for every product
with a weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call, torch_leaves, torch_tree

__all__ = ["WORKLOADS", "by_hand", "funcgrad_function", "jax_function", "make_data", "transformer"]

Params = dict[str, Any]

EPSILON = 1e-5
GELU_SCALE, GELU_CUBE = (2 / np.pi) ** 0.5, 0.044715  # the approximation of gelu by tanh

transformer = Workload(
    name="transformer",
    summary="Value and gradient of a pre-norm transformer block, batch 8, 128 positions, width 128, 4 heads, float32.",
    cases={"B8 T128 D128 H4": {"batch": 8, "length": 128, "width": 128, "heads": 4}},
    tiny={"B8 T128 D128 H4": {"batch": 2, "length": 5, "width": 8, "heads": 2}},
    rtol=1e-4,
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=1.5),
        Goal("torch", over="funcgrad jit", at_least=1.1),
    ),
)


def make_data(batch: int, length: int, width: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Parameters, inputs and targets, float32 and always the same."""
    rng = np.random.RandomState(3)

    def normal(*shape: int) -> np.ndarray:
        return (rng.randn(*shape) / shape[0] ** 0.5).astype(np.float32)

    params: Params = {
        "qkv": normal(width, 3 * width),
        "out": normal(width, width),
        "up": normal(width, 4 * width),
        "down": normal(4 * width, width),
    }
    for name in ("qkv", "out", "up", "down"):
        params[f"{name}_bias"] = (0.1 * rng.randn(params[name].shape[1])).astype(np.float32)
    for name in ("norm1", "norm2"):
        params[name] = (1 + 0.1 * rng.randn(width)).astype(np.float32)
        params[f"{name}_bias"] = (0.1 * rng.randn(width)).astype(np.float32)
    x, target = (rng.randn(batch, length, width).astype(np.float32) for _ in range(2))
    return params, x, target


def make_loss(xp: Any, nn: Any, heads: int) -> Callable[[Params, Any, Any], Any]:
    """The loss in the namespaces `xp` (NumPy's) and `nn` (softmax, gelu)."""

    def norm(x: Any, scale: Any, bias: Any) -> Any:
        centred = x - xp.mean(x, axis=-1, keepdims=True)
        variance = xp.mean(centred**2, axis=-1, keepdims=True)
        return centred / xp.sqrt(variance + EPSILON) * scale + bias

    def attention(x: Any, p: Params) -> Any:
        batch, length, width = x.shape
        qkv = (x @ p["qkv"] + p["qkv_bias"]).reshape(batch, length, 3, heads, width // heads)
        q, k, v = (xp.swapaxes(qkv[:, :, i], 1, 2) for i in range(3))
        scores = q @ xp.swapaxes(k, 2, 3) / (width // heads) ** 0.5
        mixed = nn.softmax(scores, axis=-1) @ v
        return xp.swapaxes(mixed, 1, 2).reshape(batch, length, width) @ p["out"] + p["out_bias"]

    def loss(p: Params, x: Any, target: Any) -> Any:
        x = x + attention(norm(x, p["norm1"], p["norm1_bias"]), p)
        h = norm(x, p["norm2"], p["norm2_bias"])
        x = x + nn.gelu(h @ p["up"] + p["up_bias"]) @ p["down"] + p["down_bias"]
        return xp.mean((x - target) ** 2)

    return loss


def funcgrad_function(heads: int) -> Callable[..., Any]:
    """A fresh jitted function."""
    import funcgrad
    import funcgrad.nn

    return funcgrad.jit(funcgrad.value_and_grad(make_loss(np, funcgrad.nn, heads)))


def jax_function(heads: int) -> Callable[..., Any]:
    """A fresh jitted function."""
    import jax

    return jax.jit(jax.value_and_grad(make_loss(jax.numpy, jax.nn, heads)))


def _norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Layer norm of rows; keeps the normalised rows and the factors for the way back."""
    rows = x - np.mean(x, axis=1, keepdims=True)
    factor = 1 / np.sqrt(np.einsum("ij,ij->i", rows, rows)[:, None] / x.shape[1] + np.float32(EPSILON))
    rows *= factor
    y = rows * scale
    y += bias
    return y, (rows, factor)


def _norm_back(
    d: np.ndarray, kept: tuple[np.ndarray, np.ndarray], scale: np.ndarray, grads: Params, name: str
) -> np.ndarray:
    """The gradient of layer norm's input; its parameters' go into `grads`."""
    rows, factor = kept
    grads[name] = np.einsum("ij,ij->j", d, rows)
    grads[f"{name}_bias"] = np.add.reduce(d, axis=0)
    d = d * scale
    mean = np.einsum("ij,ij->i", d, rows)[:, None] / d.shape[1]
    d -= np.mean(d, axis=1, keepdims=True)
    d -= rows * mean
    d *= factor
    return d


def _linear_back(d: np.ndarray, x: np.ndarray, p: Params, grads: Params, name: str) -> np.ndarray:
    """The gradient of ``x @ p[name] + bias`` by `x`; the parameters' go into `grads`."""
    grads[name] = x.T @ d
    grads[f"{name}_bias"] = np.add.reduce(d, axis=0)
    return d @ p[name].T


def _gelu(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """gelu(u) and its derivative."""
    square = u * u
    t = np.tanh(u * (GELU_SCALE * (1 + GELU_CUBE * square)))
    half = 0.5 * (1 + t)
    slope = half + 0.5 * u * (1 - t * t) * (GELU_SCALE * (1 + 3 * GELU_CUBE * square))
    return u * half, slope


def by_hand(p: Params, inputs: np.ndarray, target: np.ndarray, heads: int) -> tuple[Any, Params]:
    """Loss and gradients."""
    batch, length, width = inputs.shape
    scale = 1 / (width // heads) ** 0.5
    x = inputs.reshape(-1, width)
    y1, kept1 = _norm(x, p["norm1"], p["norm1_bias"])
    qkv = (y1 @ p["qkv"] + p["qkv_bias"]).reshape(batch, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    q, k, v = qkv
    weights = q @ k.swapaxes(2, 3)
    weights -= weights.max(axis=3, keepdims=True)
    weights *= scale
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=3, keepdims=True)
    mixed = (weights @ v).swapaxes(1, 2).reshape(-1, width)
    x1 = x + mixed @ p["out"] + p["out_bias"]
    y2, kept2 = _norm(x1, p["norm2"], p["norm2_bias"])
    g, slope = _gelu(y2 @ p["up"] + p["up_bias"])
    off = x1 + g @ p["down"] + p["down_bias"] - target.reshape(-1, width)
    loss = np.vdot(off, off) / off.size

    grads: Params = {}
    d = off * (2 / off.size)
    du = _linear_back(d, g, p, grads, "down")
    du *= slope
    d += _norm_back(_linear_back(du, y2, p, grads, "up"), kept2, p["norm2"], grads, "norm2")
    dmixed = _linear_back(d, mixed, p, grads, "out").reshape(batch, length, heads, -1).swapaxes(1, 2)
    dqkv = np.empty((batch, length, 3, heads, width // heads), np.float32)
    dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)
    dv[...] = weights.swapaxes(2, 3) @ dmixed
    dscores = dmixed @ v.swapaxes(2, 3)
    dscores -= np.einsum("bhqk,bhqk->bhq", dscores, weights)[..., None]
    dscores *= weights
    dscores *= scale
    dq[...] = dscores @ k
    dk[...] = dscores.swapaxes(2, 3) @ q
    _norm_back(_linear_back(dqkv.reshape(-1, 3 * width), y1, p, grads, "qkv"), kept1, p["norm1"], grads, "norm1")
    return loss, grads


@transformer.implementation("numpy", peer=False)
def _(heads: int, **sizes: int) -> Step:
    arguments = make_data(**sizes)
    return Step(lambda: by_hand(*arguments, heads))


@transformer.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(heads: int, **sizes: int) -> Step:
    arguments = make_data(**sizes)
    value_and_grad = funcgrad_function(heads)
    return Step(lambda: value_and_grad(*arguments))


@transformer.implementation("jax jit", requires="jax")
def _(heads: int, **sizes: int) -> Step:
    return jax_call(jax_function(heads), *make_data(**sizes))


@transformer.implementation("torch")
def _(heads: int, **sizes: int) -> Step:
    import torch
    from torch.nn import functional

    start, *data = make_data(**sizes)
    p, (inputs, target) = torch_leaves(start), torch_tree(data)
    leaves = list(p.values())
    batch, length, width = inputs.shape

    def call() -> Any:
        y = functional.layer_norm(inputs, (width,), p["norm1"], p["norm1_bias"], EPSILON)
        qkv = functional.linear(y, p["qkv"].T, p["qkv_bias"]).view(batch, length, 3, heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = inputs + functional.linear(mixed, p["out"].T, p["out_bias"])
        y = functional.layer_norm(x, (width,), p["norm2"], p["norm2_bias"], EPSILON)
        h = functional.gelu(functional.linear(y, p["up"].T, p["up_bias"]), approximate="tanh")
        loss = functional.mse_loss(x + functional.linear(h, p["down"].T, p["down_bias"]), target)
        return loss.detach(), dict(zip(p, torch.autograd.grad(loss, leaves), strict=True))

    return Step(call)


WORKLOADS = (transformer,)
