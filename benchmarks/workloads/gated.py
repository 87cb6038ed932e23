"""Small recurrent networks with gates: an LSTM with diagonal weights (GradBench's), and a GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import program

__all__ = ["WORKLOADS"]

Params = dict[str, np.ndarray]


def lstm_data(steps: int, width: int) -> tuple[Params, np.ndarray]:
    """Weights and biases of four gates in two layers, those of input and output, and the sequence, float64."""
    rng = np.random.RandomState(15)
    params = {
        "w": rng.randn(2, 4, width),
        "b": rng.randn(2, 4, width),
        "into": rng.randn(width),
        "out": rng.randn(2, width),
    }
    return params, rng.rand(steps + 1, width)


def make_lstm(lib: Any, xp: Any) -> Callable[..., Any]:
    """The cross entropy of each prediction of the next element."""

    def layer(w: Any, b: Any, x: Any, h: Any, c: Any) -> Any:
        forget, into = lib.nn.sigmoid(x * w[0] + b[0]), lib.nn.sigmoid(h * w[1] + b[1])
        out, change = lib.nn.sigmoid(x * w[2] + b[2]), xp.tanh(h * w[3] + b[3])
        c = c * forget + into * change
        return out * xp.tanh(c), c

    def loss(p: Any, sequence: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h1, c1, h2, c2 = carry
            h1, c1 = layer(p["w"][0], p["b"][0], x * p["into"], h1, c1)
            h2, c2 = layer(p["w"][1], p["b"][1], h1, h2, c2)
            return (h1, c1, h2, c2), h2 * p["out"][0] + p["out"][1]

        start = xp.zeros_like(sequence[0])
        found = lib.lax.scan(step, (start, start, start, start), sequence[:-1])[1]
        return -xp.sum(sequence[1:] * (found - lib.nn.logsumexp(found, 1)[:, None])) / found.shape[0]

    return loss


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _lstm_layer(w: np.ndarray, b: np.ndarray, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    """The new state, and what its derivative needs."""
    forget, into, out = _sigmoid(x * w[0] + b[0]), _sigmoid(h * w[1] + b[1]), _sigmoid(x * w[2] + b[2])
    change = np.tanh(h * w[3] + b[3])
    after = c * forget + into * change
    bent = np.tanh(after)
    return out * bent, after, forget, into, out, change, bent, x, h, c


def _lstm_back(
    w: np.ndarray, kept: tuple[np.ndarray, ...], dh: np.ndarray, dc: np.ndarray, dw: np.ndarray, db: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cotangents of input and state; those of weights and biases are added up."""
    _, _, forget, into, out, change, bent, x, h, c = kept
    dc = dc + dh * out * (1 - bent**2)
    inner = np.stack([
        dc * c * forget * (1 - forget),
        dc * change * into * (1 - into),
        dh * bent * out * (1 - out),
        dc * into * (1 - change**2),
    ])  # fmt: skip
    dw += inner * np.stack([x, h, x, h])
    db += inner
    inner = inner * w
    return inner[0] + inner[2], inner[1] + inner[3], dc * forget


def lstm_by_hand(p: Params, sequence: np.ndarray) -> tuple[Any, Params]:
    """Value and gradient: what each step computed is kept, and walked in reverse."""
    w, b, zero = p["w"], p["b"], np.zeros_like(sequence[0])
    h1, c1, h2, c2 = zero, zero, zero, zero
    kept: list[Any] = []
    for x in sequence[:-1]:
        first = _lstm_layer(w[0], b[0], x * p["into"], h1, c1)
        second = _lstm_layer(w[1], b[1], first[0], h2, c2)
        kept.append((x, first, second))
        h1, c1, h2, c2 = *first[:2], *second[:2]
    hidden = np.stack([second[0] for _, _, second in kept])
    found = hidden * p["out"][0] + p["out"][1]
    top = np.max(found, 1, keepdims=True)
    e = np.exp(found - top)
    total = np.sum(e, 1, keepdims=True)
    target, n = sequence[1:], len(found)
    value = -np.sum(target * (found - top - np.log(total))) / n
    d_found = (np.sum(target, 1, keepdims=True) * e / total - target) / n
    dw, db, d_into = np.zeros_like(w), np.zeros_like(b), np.zeros_like(zero)
    dh1 = dc1 = dh2 = dc2 = zero
    for (x, first, second), d in zip(kept[::-1], (d_found * p["out"][0])[::-1], strict=True):
        dx2, dh2, dc2 = _lstm_back(w[1], second, dh2 + d, dc2, dw[1], db[1])
        dx1, dh1, dc1 = _lstm_back(w[0], first, dh1 + dx2, dc1, dw[0], db[0])
        d_into += dx1 * x
    d_out = np.stack([np.sum(d_found * hidden, 0), np.sum(d_found, 0)])
    return value, {"w": dw, "b": db, "into": d_into, "out": d_out}


lstm = program(
    "lstm",
    "Value and gradient of an LSTM with diagonal weights, two layers of 14, 100 steps.",
    cases={"100 steps": {"steps": 100, "width": 14}},
    tiny={"steps": 4, "width": 3},
    rtol=1e-9,
    data=lstm_data,
    make=make_lstm,
    by_hand=lstm_by_hand,
)


def gru_data(steps: int, batch: int, width: int) -> tuple[Params, np.ndarray, np.ndarray]:
    """Weights of the three gates side by side, inputs, and targets of the last state, float32."""
    rng = np.random.RandomState(16)
    params = {
        "w": (rng.randn(width, 3 * width) / width**0.5).astype(np.float32),
        "u": (rng.randn(width, 3 * width) / width**0.5).astype(np.float32),
        "b": (0.1 * rng.randn(3 * width)).astype(np.float32),
    }
    x, target = rng.randn(steps, batch, width), rng.randn(batch, width)
    return params, x.astype(np.float32), target.astype(np.float32)


def make_gru(lib: Any, xp: Any) -> Callable[..., Any]:
    """The mean square of the last state's distance from its target."""

    def loss(p: Any, inputs: Any, target: Any) -> Any:
        width = target.shape[1]

        def step(h: Any, x: Any) -> Any:
            a, b = x @ p["w"] + p["b"], h @ p["u"]
            r = lib.nn.sigmoid(a[:, :width] + b[:, :width])
            z = lib.nn.sigmoid(a[:, width : 2 * width] + b[:, width : 2 * width])
            n = xp.tanh(a[:, 2 * width :] + r * b[:, 2 * width :])
            return (1 - z) * n + z * h, None

        return xp.mean((lib.lax.scan(step, xp.zeros_like(target), inputs)[0] - target) ** 2)

    return loss


def gru_by_hand(p: Params, inputs: np.ndarray, target: np.ndarray) -> tuple[Any, Params]:
    """Value and gradient; the products with the inputs stand outside of the loops."""
    width, h, one = target.shape[1], np.zeros_like(target), np.float32(1)
    outside = inputs @ p["w"] + p["b"]
    kept: list[Any] = []
    for a in outside:
        b = h @ p["u"]
        gates = one / (one + np.exp(-(a[:, : 2 * width] + b[:, : 2 * width])))
        r, z = gates[:, :width], gates[:, width:]
        last = b[:, 2 * width :]
        n = np.tanh(a[:, 2 * width :] + r * last)
        kept.append((h, r, z, n, last))
        h = n + z * (h - n)
    gap = h - target
    d = 2 / gap.size * gap
    da, db = np.empty_like(outside), np.empty_like(outside)
    for i in reversed(range(len(kept))):
        h, r, z, n, last = kept[i]
        dn = d * (one - z) * (one - n * n)
        da[i, :, 2 * width :] = dn
        db[i, :, 2 * width :] = dn * r
        da[i, :, :width] = db[i, :, :width] = dn * last * r * (one - r)
        da[i, :, width : 2 * width] = db[i, :, width : 2 * width] = d * (h - n) * z * (one - z)
        d = d * z + db[i] @ p["u"].T
    states = np.stack([k[0] for k in kept]).reshape(-1, width)
    flat = da.reshape(-1, 3 * width)
    return np.mean(gap**2), {
        "w": inputs.reshape(-1, width).T @ flat,
        "u": states.T @ db.reshape(-1, 3 * width),
        "b": np.sum(flat, 0),
    }


gru = program(
    "gru",
    "Value and gradient of a GRU, 50 steps, batch 8, width 16, float32.",
    cases={"50 steps": {"steps": 50, "batch": 8, "width": 16}},
    tiny={"steps": 3, "batch": 2, "width": 3},
    rtol=1e-4,
    data=gru_data,
    make=make_gru,
    by_hand=gru_by_hand,
)

WORKLOADS = (lstm, gru)
