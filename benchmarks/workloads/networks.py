"""Small networks, float32: a variational autoencoder, embeddings, a 1-D convolution, experts, softmax regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import program

__all__ = ["WORKLOADS"]

Params = dict[str, np.ndarray]


def _normal(rng: Any, *shape: int) -> np.ndarray:
    """Of a variance that keeps a product's."""
    return (rng.randn(*shape) / shape[0] ** 0.5).astype(np.float32)


def vae_data(batch: int, pixels: int, hidden: int, latent: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Weights and biases of encoder and decoder, images, noise."""
    rng = np.random.RandomState(25)
    widths = {"1": (pixels, hidden), "2": (hidden, 2 * latent), "3": (latent, hidden), "4": (hidden, pixels)}
    params = {f"w{name}": _normal(rng, *shape) for name, shape in widths.items()}
    params |= {f"b{name}": _normal(rng, shape[1]) for name, shape in widths.items()}
    return params, rng.rand(batch, pixels).astype(np.float32), rng.randn(batch, latent).astype(np.float32)


def make_vae(lib: Any, xp: Any) -> Callable[..., Any]:
    """The negative evidence lower bound with one sample for each image."""

    def loss(p: Any, x: Any, noise: Any) -> Any:
        latent = noise.shape[1]
        code = xp.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        mean, spread = code[:, :latent], code[:, latent:]
        z = mean + xp.exp(0.5 * spread) * noise
        logits = xp.tanh(z @ p["w3"] + p["b3"]) @ p["w4"] + p["b4"]
        likelihood = xp.sum(x * logits - lib.nn.softplus(logits))
        divergence = 0.5 * xp.sum(xp.exp(spread) + mean**2 - 1 - spread)
        return (divergence - likelihood) / x.shape[0]

    return loss


def vae_by_hand(p: Params, x: np.ndarray, noise: np.ndarray) -> tuple[Any, Params]:
    """Value and gradient."""
    n, latent = noise.shape
    h1 = np.tanh(x @ p["w1"] + p["b1"])
    code = h1 @ p["w2"] + p["b2"]
    mean, spread = code[:, :latent], code[:, latent:]
    deviation = np.exp(np.float32(0.5) * spread)
    z = mean + deviation * noise
    h2 = np.tanh(z @ p["w3"] + p["b3"])
    logits = h2 @ p["w4"] + p["b4"]
    likelihood = np.sum(x * logits - np.logaddexp(logits, np.float32(0)))
    divergence = 0.5 * np.sum(deviation**2 + mean**2 - 1 - spread)
    d4 = (1 / (1 + np.exp(-logits)) - x) / np.float32(n)
    d3 = (d4 @ p["w4"].T) * (1 - h2**2)
    dz = d3 @ p["w3"].T
    d_spread = np.float32(0.5) * (dz * noise * deviation + (deviation**2 - 1) / np.float32(n))
    d2 = np.concatenate([dz + mean / np.float32(n), d_spread], 1)
    d1 = (d2 @ p["w2"].T) * (1 - h1**2)
    layers = {"1": (x, d1), "2": (h1, d2), "3": (z, d3), "4": (h2, d4)}
    grads = {f"w{name}": left.T @ d for name, (left, d) in layers.items()}
    return (divergence - likelihood) / n, grads | {f"b{name}": np.sum(d, 0) for name, (_, d) in layers.items()}


vae = program(
    "vae",
    "Value and gradient of a variational autoencoder 144-64-8, batch 32, float32.",
    cases={"batch 32": {"batch": 32, "pixels": 144, "hidden": 64, "latent": 8}},
    tiny={"batch": 3, "pixels": 5, "hidden": 4, "latent": 2},
    rtol=1e-4,
    data=vae_data,
    make=make_vae,
    by_hand=vae_by_hand,
)


def embedding_data(words: int, width: int, batch: int, length: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """A table of vectors and the weights of a class; sentences; labels."""
    rng = np.random.RandomState(26)
    params = {"table": rng.randn(words, width).astype(np.float32), "w": _normal(rng, width)}
    return params, rng.randint(words, size=(batch, length)), rng.choice([-1, 1], size=batch).astype(np.float32)


def make_embedding(lib: Any, xp: Any) -> Callable[..., Any]:
    """Logistic regression on the mean of each sentence's vectors."""

    def loss(p: Any, words: Any, labels: Any) -> Any:
        means = xp.mean(p["table"][words], 1)
        return xp.mean(lib.nn.softplus(-labels * (means @ p["w"])))

    return loss


def embedding_by_hand(p: Params, words: np.ndarray, labels: np.ndarray) -> tuple[Any, Params]:
    """Value and gradient."""
    means = np.mean(p["table"][words], 1)
    margins = labels * (means @ p["w"])
    d = -labels / (1 + np.exp(margins)) / np.float32(labels.size)
    table = np.zeros_like(p["table"])
    rows = d[:, None] * p["w"] / np.float32(words.shape[1])
    np.add.at(table, words, rows[:, None, :])
    return np.mean(np.logaddexp(np.float32(0), -margins)), {"table": table, "w": d @ means}


embedding = program(
    "embedding",
    "Gradient through a gather of 2048 rows from a table of 2000, width 32, float32.",
    cases={"64 x 32": {"words": 2000, "width": 32, "batch": 64, "length": 32}},
    tiny={"words": 6, "width": 3, "batch": 2, "length": 4},
    rtol=1e-4,
    data=embedding_data,
    make=make_embedding,
    by_hand=embedding_by_hand,
)


def convolution_data(batch: int, length: int, channels: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Two kernels with biases and the weights of a class; signals of four channels; labels."""
    rng = np.random.RandomState(27)
    params = {
        "k1": (rng.randn(5, 4, channels) / 20**0.5).astype(np.float32),
        "k2": (rng.randn(5, channels, channels) / (5 * channels) ** 0.5).astype(np.float32),
        "b1": _normal(rng, channels),
        "b2": _normal(rng, channels),
        "w": _normal(rng, channels),
    }
    return params, rng.randn(batch, length, 4).astype(np.float32), rng.choice([-1, 1], size=batch).astype(np.float32)


def make_convolution(lib: Any, xp: Any) -> Callable[..., Any]:
    """Two convolutions along time with ReLU, the mean over time, and a class."""

    def layer(x: Any, kernel: Any, bias: Any) -> Any:
        x = lib.lax.conv_general_dilated(x, kernel, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
        return lib.nn.relu(x + bias)

    def loss(p: Any, x: Any, labels: Any) -> Any:
        x = layer(layer(x, p["k1"], p["b1"]), p["k2"], p["b2"])
        return xp.mean(lib.nn.softplus(-labels * (xp.mean(x, 1) @ p["w"])))

    return loss


def _windows(x: np.ndarray) -> np.ndarray:
    """A row of five neighbours for each time."""
    windows = np.lib.stride_tricks.sliding_window_view(x, 5, axis=1)
    return windows.transpose(0, 1, 3, 2).reshape(-1, 5 * x.shape[2])


def convolution_by_hand(p: Params, x: np.ndarray, labels: np.ndarray) -> tuple[Any, Params]:
    """Value and gradient; a convolution is one product."""
    batch, length, channels = *x.shape[:2], p["w"].size
    first = _windows(x)
    h1 = np.maximum(first @ p["k1"].reshape(-1, channels) + p["b1"], 0).reshape(batch, length - 4, channels)
    second = _windows(h1)
    h2 = np.maximum(second @ p["k2"].reshape(-1, channels) + p["b2"], 0).reshape(batch, length - 8, channels)
    means = np.mean(h2, 1)
    margins = labels * (means @ p["w"])
    d = -labels / (1 + np.exp(margins)) / np.float32(batch)
    d2 = ((d[:, None] * p["w"] / np.float32(length - 8))[:, None, :] * (h2 > 0)).reshape(-1, channels)
    rows = (d2 @ p["k2"].reshape(-1, channels).T).reshape(batch, length - 8, 5, channels)
    d1 = np.zeros_like(h1)
    for i in range(5):
        d1[:, i : i + length - 8] += rows[:, :, i]
    d1 = (d1 * (h1 > 0)).reshape(-1, channels)
    return np.mean(np.logaddexp(np.float32(0), -margins)), {
        "k1": (first.T @ d1).reshape(p["k1"].shape),
        "k2": (second.T @ d2).reshape(p["k2"].shape),
        "b1": np.sum(d1, 0),
        "b2": np.sum(d2, 0),
        "w": d @ means,
    }


def torch_convolution(p: Any, x: Any, labels: Any) -> Callable[[], Any]:
    """PyTorch's own convolution, whose channels come before time: data are rearranged before, untimed."""
    import torch

    from benchmarks.torch_library import value_and_grad

    functional = torch.nn.functional
    x = x.transpose(1, 2).contiguous()
    p = {name: leaf.permute(2, 1, 0).contiguous() if leaf.ndim == 3 else leaf for name, leaf in p.items()}

    def loss(p: Any, x: Any, labels: Any) -> Any:
        x = torch.relu(functional.conv1d(x, p["k1"], p["b1"]))
        x = torch.relu(functional.conv1d(x, p["k2"], p["b2"]))
        return functional.softplus(-labels * (x.mean(2) @ p["w"])).mean()

    call = value_and_grad(loss)

    def rearranged() -> Any:
        value, grads = call(p, x, labels)
        return value, {name: g.permute(2, 1, 0) if g.ndim == 3 else g for name, g in grads.items()}

    return rearranged


convolution = program(
    "conv1d",
    "Value and gradient of two 1-D convolutions (4 to 16 to 16 channels, width 5), 16 signals of 256, float32.",
    cases={"16 x 256": {"batch": 16, "length": 256, "channels": 16}},
    tiny={"batch": 2, "length": 12, "channels": 3},
    rtol=1e-4,
    data=convolution_data,
    make=make_convolution,
    by_hand=convolution_by_hand,
    torch=torch_convolution,
)


def experts_data(tokens: int, width: int, experts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The router's weights, tokens, and what each expert is worth to each token."""
    rng = np.random.RandomState(28)
    x, worth = rng.randn(tokens, width).astype(np.float32), rng.randn(tokens, experts).astype(np.float32)
    return _normal(rng, width, experts), x, worth


def make_experts(lib: Any, xp: Any) -> Callable[..., Any]:
    """Each token takes its best four experts; a penalty on the running load of each."""

    def loss(w: Any, x: Any, worth: Any) -> Any:
        shares = lib.nn.softmax(x @ w, -1)
        best, places = lib.lax.top_k(shares, 4)
        best = best / xp.sum(best, 1)[:, None]
        rows = xp.cumsum(xp.ones_like(places[:, :1]), 0) - 1
        gain = xp.sum(best * worth[rows, places])
        load = xp.cumsum(shares, 0)
        return (0.01 * xp.sum(load**2) / x.shape[0] - gain) / x.shape[0]

    return loss


def experts_by_hand(w: np.ndarray, x: np.ndarray, worth: np.ndarray) -> tuple[Any, np.ndarray]:
    """Value and gradient."""
    n = np.float32(len(x))
    z = x @ w
    e = np.exp(z - np.max(z, 1, keepdims=True))
    shares = e / np.sum(e, 1, keepdims=True)
    places = np.argsort(-shares, 1, kind="stable")[:, :4]
    best, gains = np.take_along_axis(shares, places, 1), np.take_along_axis(worth, places, 1)
    total = np.sum(best, 1, keepdims=True)
    gain = np.sum(best * gains, 1, keepdims=True) / total
    load = np.cumsum(shares, 0)
    d = np.float32(0.02) * np.cumsum(load[::-1], 0)[::-1] / (n * n)
    np.put_along_axis(d, places, np.take_along_axis(d, places, 1) - (gains - gain) / (total * n), 1)
    dz = shares * (d - np.sum(d * shares, 1, keepdims=True))
    return (np.float32(0.01) * np.sum(load**2) / n - np.sum(gain)) / n, x.T @ dz


experts = program(
    "experts",
    "Gradient of a router: softmax, the best four of 32 experts for each of 512 tokens, cumulative loads, float32.",
    cases={"512 x 32": {"tokens": 512, "width": 32, "experts": 32}},
    tiny={"tokens": 4, "width": 3, "experts": 6},
    rtol=1e-4,
    data=experts_data,
    make=make_experts,
    by_hand=experts_by_hand,
)


def softmax_data(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, features, and one-hot labels."""
    rng = np.random.RandomState(29)
    labels = np.eye(k, dtype=np.float32)[rng.randint(k, size=n)]
    return _normal(rng, d, k), rng.randn(n, d).astype(np.float32), labels


def make_softmax(lib: Any, xp: Any) -> Callable[..., Any]:
    """The cross entropy with a penalty on large weights."""

    def loss(w: Any, x: Any, labels: Any) -> Any:
        z = x @ w
        return xp.mean(lib.nn.logsumexp(z, 1) - xp.sum(labels * z, 1)) + 0.005 * xp.sum(w**2)

    return loss


def softmax_by_hand(w: np.ndarray, x: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
    """Value and gradient."""
    z = x @ w
    top = np.max(z, 1, keepdims=True)
    e = np.exp(z - top)
    total = np.sum(e, 1, keepdims=True)
    value = np.mean(np.log(total) + top - np.sum(labels * z, 1, keepdims=True)) + np.float32(0.005) * np.sum(w**2)
    return value, x.T @ ((e / total - labels) / np.float32(len(x))) + np.float32(0.01) * w


softmax = program(
    "softmax_regression",
    "Value and gradient of softmax regression, 1000 examples, 32 features, 10 classes, float32.",
    cases={"1000 x 32": {"n": 1000, "d": 32, "k": 10}},
    tiny={"n": 7, "d": 3, "k": 2},
    rtol=1e-4,
    data=softmax_data,
    make=make_softmax,
    by_hand=softmax_by_hand,
)

WORKLOADS = (vae, embedding, convolution, experts, softmax)
