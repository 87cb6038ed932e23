"""A small convolutional network, compiled: two convolutions with ReLU and max pooling, then ten classes.

Value and gradient of the cross entropy; batch, height, width, channels is the order of dimensions
(JAX's convolution on a CPU is at its best with it). PyTorch has its own order: its data are
rearranged before and after, untimed. The NumPy contender gathers each pixel's neighbourhood into a
row, so that a convolution is one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call, torch_leaves, torch_tree

__all__ = ["WORKLOADS"]

Params = dict[str, Any]

CHANNELS = (1, 8, 16)
KERNEL = 5
ORDER = ("NHWC", "HWIO", "NHWC")
WINDOW = (1, 2, 2, 1)

cnn = Workload(
    name="cnn",
    summary="Value and gradient of a CNN, two 5x5 convolutions (8, 16) with 2x2 max pooling, batch 32, 28x28, float32.",
    cases={"batch 32": {"batch": 32, "side": 28, "classes": 10}},
    tiny={"batch 32": {"batch": 2, "side": 8, "classes": 3}},
    rtol=1e-4,
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=1.4),
        Goal("torch", over="funcgrad jit", at_least=0.7),
    ),
)


def make_data(batch: int, side: int, classes: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Parameters, images and one-hot targets, float32 and always the same."""
    rng = np.random.RandomState(5)
    params: Params = {}
    for layer in (1, 2):
        shape = (KERNEL, KERNEL, CHANNELS[layer - 1], CHANNELS[layer])
        params[f"K{layer}"] = (rng.randn(*shape) / np.prod(shape[:3]) ** 0.5).astype(np.float32)
        params[f"b{layer}"] = (0.1 * rng.randn(shape[3])).astype(np.float32)
    inputs = (side // 4) ** 2 * CHANNELS[2]
    params["W"] = (rng.randn(inputs, classes) / inputs**0.5).astype(np.float32)
    params["b"] = np.zeros(classes, np.float32)
    x = rng.rand(batch, side, side, 1).astype(np.float32)
    t = np.eye(classes, dtype=np.float32)[rng.randint(classes, size=batch)]
    return params, x, t


def make_loss(xp: Any, lax: Any, nn: Any) -> Callable[[Params, Any, Any], Any]:
    """The loss in the namespaces `xp`, `lax` and `nn`."""

    def layer(x: Any, kernel: Any, bias: Any) -> Any:
        x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=ORDER) + bias
        return lax.reduce_window(nn.relu(x), -xp.inf, lax.max, WINDOW, WINDOW, "VALID")

    def loss(p: Params, x: Any, t: Any) -> Any:
        x = layer(x, p["K1"], p["b1"])
        x = layer(x, p["K2"], p["b2"])
        z = x.reshape(x.shape[0], -1) @ p["W"] + p["b"]
        return -xp.sum(t * nn.log_softmax(z, axis=1)) / x.shape[0]

    return loss


def _patches(x: np.ndarray) -> np.ndarray:
    """A row for each pixel: its neighbourhood, with zeros beyond the border."""
    edge = KERNEL // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, KERNEL * KERNEL * x.shape[3])


def _unpatch(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The transpose of `_patches`: what every neighbourhood says of a pixel, added up."""
    batch, height, width, channels = shape
    rows = rows.reshape(batch, height, width, KERNEL, KERNEL, channels)
    padded = np.zeros((batch, height + KERNEL - 1, width + KERNEL - 1, channels), np.float32)
    for i in range(KERNEL):
        for j in range(KERNEL):
            padded[:, i : i + height, j : j + width] += rows[:, :, :, i, j]
    edge = KERNEL // 2
    return padded[:, edge : edge + height, edge : edge + width]


def _corners(x: np.ndarray) -> list[np.ndarray]:
    return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def _layer(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Convolution, ReLU and pooling; keeps the patches and what went into the pooling."""
    patches = _patches(x)
    z = patches @ kernel.reshape(-1, kernel.shape[3])
    z += bias
    np.maximum(z, 0, out=z)
    z = z.reshape(*x.shape[:3], -1)
    a, b, c, d = _corners(z)
    return np.maximum(np.maximum(a, b), np.maximum(c, d)), (patches, z)


def _layer_back(d: np.ndarray, pooled: np.ndarray, kept: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The gradient of the convolution's output, a row for each pixel.

    Of equal pixels in a window only positive ones would have to share, and none are equal here.
    """
    dz = np.empty_like(kept[1])
    d = d * (pooled > 0)
    for to, corner in zip(_corners(dz), _corners(kept[1]), strict=True):
        np.multiply(d, corner == pooled, out=to)
    return dz.reshape(-1, dz.shape[3])


def by_hand(p: Params, x: np.ndarray, t: np.ndarray) -> tuple[Any, Params]:
    """Loss and gradients."""
    h1, kept1 = _layer(x, p["K1"], p["b1"])
    h2, kept2 = _layer(h1, p["K2"], p["b2"])
    flat = h2.reshape(h2.shape[0], -1)
    z = flat @ p["W"] + p["b"]
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    loss = -np.sum(t * (z - np.log(total))) / x.shape[0]
    d = (e / total - t) / x.shape[0]
    grads: Params = {"W": flat.T @ d, "b": d.sum(axis=0)}
    d2 = _layer_back((d @ p["W"].T).reshape(h2.shape), h2, kept2)
    grads["K2"] = (kept2[0].T @ d2).reshape(p["K2"].shape)
    grads["b2"] = d2.sum(axis=0)
    below = _unpatch(d2 @ p["K2"].reshape(-1, p["K2"].shape[3]).T, h1.shape)
    d1 = _layer_back(below, h1, kept1)
    grads["K1"] = (kept1[0].T @ d1).reshape(p["K1"].shape)
    grads["b1"] = d1.sum(axis=0)
    return loss, grads


@cnn.implementation("numpy", peer=False)
def _(**sizes: int) -> Step:
    arguments = make_data(**sizes)
    return Step(lambda: by_hand(*arguments))


@cnn.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(**sizes: int) -> Step:
    import funcgrad
    import funcgrad.nn

    arguments = make_data(**sizes)
    value_and_grad = funcgrad.jit(funcgrad.value_and_grad(make_loss(np, funcgrad.lax, funcgrad.nn)))
    return Step(lambda: value_and_grad(*arguments))


@cnn.implementation("jax jit", requires="jax")
def _(**sizes: int) -> Step:
    import jax

    function = jax.jit(jax.value_and_grad(make_loss(jax.numpy, jax.lax, jax.nn)))
    return jax_call(function, *make_data(**sizes))


def _dense(rows: np.ndarray, side: int, *, back: bool = False) -> np.ndarray:
    """Rows of the dense layer from our order of its inputs into PyTorch's, or back."""
    at = (side, side, CHANNELS[2])
    if back:
        return rows.reshape(at[2], *at[:2], -1).transpose(1, 2, 0, 3).reshape(rows.shape)
    return np.ascontiguousarray(rows.reshape(*at, -1).transpose(2, 0, 1, 3).reshape(rows.shape))


@cnn.implementation("torch")
def _(**sizes: int) -> Step:
    import torch
    from torch.nn import functional

    start, x, t = make_data(**sizes)
    for name in ("K1", "K2"):
        start[name] = np.ascontiguousarray(start[name].transpose(3, 2, 0, 1))
    start["W"] = _dense(start["W"], sizes["side"] // 4)
    p = torch_leaves(start)
    inputs, targets = torch_tree((np.ascontiguousarray(x.transpose(0, 3, 1, 2)), t))
    leaves = list(p.values())

    def call() -> Any:
        h = functional.max_pool2d(torch.relu(functional.conv2d(inputs, p["K1"], p["b1"], padding="same")), 2)
        h = functional.max_pool2d(torch.relu(functional.conv2d(h, p["K2"], p["b2"], padding="same")), 2)
        loss = functional.cross_entropy(torch.addmm(p["b"], h.flatten(1), p["W"]), targets)
        return loss.detach(), dict(zip(p, torch.autograd.grad(loss, leaves), strict=True))

    def comparable(result: Any) -> Any:
        loss, grads = result
        ours = {name: grad.numpy() for name, grad in grads.items()}
        for name in ("K1", "K2"):
            ours[name] = ours[name].transpose(2, 3, 1, 0)
        ours["W"] = _dense(ours["W"], sizes["side"] // 4, back=True)
        return loss, ours

    return Step(call, comparable)


WORKLOADS = (cnn,)
