"""Backward passes worked out by hand, as the seed documents teach them.

Plain NumPy and plain Python loops, without funcgrad: this is what `test_seeds.py` holds gradients
against. Each function follows a document's formulas exactly, including the places where they are
the gradient of another function than the loss beside them; its docstring then says of which.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Params = dict[str, Any]
Layers = list[tuple[Array, Array]]
Nested = list[Any]

# Rounding only: the same sums, perhaps in another order.
RTOL = 1e-11
ATOL = 1e-14


def assert_same(got: Any, expected: Any, *, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Equal trees: same dict keys, same list and tuple lengths, leaves equal to rounding."""
    if isinstance(expected, dict):
        assert isinstance(got, dict)
        assert set(got) == set(expected)
        for key, want in expected.items():
            assert_same(got[key], want, rtol=rtol, atol=atol)
    elif isinstance(expected, list | tuple):
        assert type(got) is type(expected)
        assert len(got) == len(expected)
        for have, want in zip(got, expected, strict=True):
            assert_same(have, want, rtol=rtol, atol=atol)
    else:
        assert np.shape(got) == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


def descend(params: Params, grads: Params, rate: float) -> Params:
    return {name: p - rate * grads[name] for name, p in params.items()}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def sigmoid_slope(x: Array) -> Array:
    s = sigmoid(x)
    return s * (1 - s)


# Document 000: the two-layer sigmoid network (row 1).


def two_layer_init(seed: int, inputs: int = 2, hidden: int = 3, outputs: int = 1) -> Params:
    """Weights from N(0, 0.5²), biases zero."""
    rng = np.random.RandomState(seed)
    w1 = rng.randn(inputs, hidden) * 0.5
    w2 = rng.randn(hidden, outputs) * 0.5
    return {"w1": w1, "b1": np.zeros((1, hidden)), "w2": w2, "b2": np.zeros((1, outputs))}


def two_layer_backward(params: Params, x: Array, y: Array) -> Params:
    """The gradient of the mean over samples of the binary cross entropy, summed over outputs.

    It starts from ``a2 - y`` at the output's pre-activation: the sigmoid's slope has cancelled,
    which happens for cross entropy and not for squared errors.
    """
    samples = x.shape[0]
    z1 = np.dot(x, params["w1"]) + params["b1"]
    a1 = sigmoid(z1)
    a2 = sigmoid(np.dot(a1, params["w2"]) + params["b2"])
    dz2 = a2 - y
    dz1 = np.dot(dz2, params["w2"].T) * sigmoid_slope(z1)
    return {
        "w1": np.dot(x.T, dz1) / samples,
        "b1": np.sum(dz1, axis=0, keepdims=True) / samples,
        "w2": np.dot(a1.T, dz2) / samples,
        "b2": np.sum(dz2, axis=0, keepdims=True) / samples,
    }


# Document 000: the chain rule on scalars (row 2).


def scalar_chain(x: float, target: float, p: dict[str, float]) -> tuple[dict[str, float], ...]:
    """Values forward, cotangents backward and parameter gradients of x → affine → ReLU → affine.

    The loss is ``(y - target)² / 2``.
    """
    z1 = p["w1"] * x + p["b1"]
    h = max(0.0, z1)
    y = p["w2"] * h + p["b2"]
    dy = y - target
    dh = dy * p["w2"]
    dz1 = dh * (1.0 if z1 > 0 else 0.0)
    values = {"z1": z1, "h": h, "y": y, "loss": dy**2 / 2}
    cotangents = {"y": dy, "h": dh, "z1": dz1}
    gradients = {"w1": dz1 * x, "b1": dz1, "w2": dy * h, "b2": dy}
    return values, cotangents, gradients


# Document 000: layers (row 3).


def affine_backward(x: Array, w: Array, cotangent: Array) -> tuple[Array, Array, Array]:
    """Cotangents of the input, weights and bias; the last two are divided by the batch size.

    That division makes them ``1 / batch`` of the true VJP; the input's cotangent is the true one.
    """
    batch = x.shape[0]
    dw = np.dot(x.T, cotangent) / batch
    db = np.sum(cotangent, axis=0, keepdims=True) / batch
    return np.dot(cotangent, w.T), dw, db


def relu(x: Array) -> tuple[Array, Callable[[Array], Array]]:
    mask = x > 0
    return x * mask, lambda cotangent: cotangent * mask


def clipped_sigmoid(x: Array) -> tuple[Array, Callable[[Array], Array]]:
    out = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
    return out, lambda cotangent: cotangent * out * (1 - out)


def tanh(x: Array) -> tuple[Array, Callable[[Array], Array]]:
    out = np.tanh(x)
    return out, lambda cotangent: cotangent * (1 - out**2)


def softmax(x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Row-wise softmax; its backward pass multiplies by each row's full Jacobian."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    out = e / np.sum(e, axis=1, keepdims=True)

    def backward(cotangent: Array) -> Array:
        rows = [(np.diag(p) - np.outer(p, p)) @ c for p, c in zip(out, cotangent, strict=True)]
        return np.array(rows)

    return out, backward


ACTIVATIONS = {"relu": relu, "sigmoid": clipped_sigmoid, "tanh": tanh}


# Document 000: losses (row 4). Each returns the loss and what the document calls its gradient.


def mse(pred: Array, true: Array) -> tuple[float, Array]:
    """The mean is over all entries, the gradient is divided by the rows only.

    So it is the gradient of ``outputs * loss``.
    """
    return float(np.mean((pred - true) ** 2)), 2 * (pred - true) / true.shape[0]


def cross_entropy(pred: Array, true: Array) -> tuple[float, Array]:
    """One-hot rows or class indices; probabilities are clipped to [1e-7, 1 - 1e-7].

    The second result is the gradient with respect to the *logits* of a softmax that gave `pred`,
    not with respect to `pred`.
    """
    batch = true.shape[0]
    pred = np.clip(pred, 1e-7, 1 - 1e-7)
    if true.ndim == 2:
        return float(-np.sum(true * np.log(pred)) / batch), (pred - true) / batch
    rows = np.arange(batch)
    grad = pred.copy()
    grad[rows, true] -= 1
    return float(-np.mean(np.log(pred[rows, true]))), grad / batch


def binary_cross_entropy(pred: Array, true: Array) -> tuple[float, Array]:
    """As for `mse`, the gradient is that of ``outputs * loss``."""
    pred = np.clip(pred, 1e-7, 1 - 1e-7)
    loss = -np.mean(true * np.log(pred) + (1 - true) * np.log(1 - pred))
    return float(loss), (pred - true) / (pred * (1 - pred)) / true.shape[0]


# Document 000: deep networks of any sizes (rows 3 and 10).


def deep_init(seed: int, sizes: Sequence[int]) -> Layers:
    """He initialisation: N(0, 2 / inputs) weights, zero biases."""
    rng = np.random.RandomState(seed)
    return [(rng.randn(n, m) * np.sqrt(2.0 / n), np.zeros((1, m))) for n, m in itertools.pairwise(sizes)]


def deep_forward(layers: Layers, x: Array, activation: str) -> Array:
    for i, (w, b) in enumerate(layers):
        x = np.dot(x, w) + b
        if i < len(layers) - 1:
            x, _ = ACTIVATIONS[activation](x)
    return softmax(x)[0]


def deep_backward(layers: Layers, x: Array, y: Array, activation: str) -> Layers:
    """What the document's network computes for one-hot targets `y`.

    ``(p - y) / batch`` is already the gradient at the logits, but the softmax's Jacobian is
    applied to it once more, and every affine layer divides by the batch again. That is not the
    gradient of the cross entropy: it is ``1 / batch`` of the gradient of the halved squared error
    ``sum((p - y)²) / (2 batch)``.
    """
    inputs, backs = [], []
    for i, (w, b) in enumerate(layers):
        inputs.append(x)
        x = np.dot(x, w) + b
        if i < len(layers) - 1:
            x, back = ACTIVATIONS[activation](x)
            backs.append(back)
    probabilities, softmax_back = softmax(x)
    cotangent = softmax_back(cross_entropy(probabilities, y)[1])
    grads: Layers = []
    for i in reversed(range(len(layers))):
        if i < len(layers) - 1:
            cotangent = backs[i](cotangent)
        cotangent, dw, db = affine_backward(inputs[i], layers[i][0], cotangent)
        grads.insert(0, (dw, db))
    return grads


# Document 000: the numerical check (row 10).


def numerical_gradient(f: Callable[[Array], float], x: Array, epsilon: float = 1e-7) -> Array:
    """Central differences, one entry at a time."""
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += epsilon
        down[index] -= epsilon
        grad[index] = (f(up) - f(down)) / (2 * epsilon)
    return grad


def relative_error(analytical: Array, numerical: Array, epsilon: float = 1e-7) -> float:
    """The largest relative error; the document warns above 1e-5."""
    scale = np.abs(analytical) + np.abs(numerical) + epsilon
    return float(np.max(np.abs(analytical - numerical) / scale))


# Document 002: XOR (row 13).


def xor_init() -> Params:
    """The document's parameters: what ``np.random.seed(0)`` and ``np.random.randn`` give."""
    rng = np.random.RandomState(0)
    w1 = rng.randn(2, 2)
    w2 = rng.randn(2, 1)
    return {"W1": w1, "b1": np.zeros((1, 2)), "W2": w2, "b2": np.zeros((1, 1))}


def xor_backward(params: Params, x: Array, y: Array) -> Params:
    """The gradient of the *sum* of squared errors; the document reports their mean."""
    z1 = x @ params["W1"] + params["b1"]
    a1 = sigmoid(z1)
    z2 = a1 @ params["W2"] + params["b2"]
    delta2 = 2 * (sigmoid(z2) - y) * sigmoid_slope(z2)
    delta1 = delta2 @ params["W2"].T * sigmoid_slope(z1)
    return {
        "W1": x.T @ delta1,
        "b1": np.sum(delta1, axis=0, keepdims=True),
        "W2": a1.T @ delta2,
        "b2": np.sum(delta2, axis=0, keepdims=True),
    }


# Document 004: no NumPy, nested lists, one node at a time (row 15).


def list_forward(weights: Nested, biases: Nested, x: list[float]) -> tuple[Nested, Nested]:
    """Each layer's outputs (the input first) and weighted sums; the last layer is the identity."""
    outs, sums = [x], []
    for layer, (layer_w, layer_b) in enumerate(zip(weights, biases, strict=True)):
        layer_sums = []
        for node_w, node_b in zip(layer_w, layer_b, strict=True):
            total = node_b
            for each_x, each_w in zip(outs[-1], node_w, strict=True):
                total += each_x * each_w
            layer_sums.append(total)
        sums.append(layer_sums)
        last = layer == len(weights) - 1
        outs.append(layer_sums if last else [1 / (1 + math.exp(-s)) for s in layer_sums])
    return outs, sums


def list_loss(outputs: list[float], targets: list[float]) -> float:
    """Half the sum of squared errors."""
    return sum(0.5 * (o - t) ** 2 for o, t in zip(outputs, targets, strict=True))


def list_backward(weights: Nested, biases: Nested, x: list[float], targets: list[float]) -> tuple[Nested, Nested]:
    """Gradients of the weights and biases, laid out like them.

    Layer by layer from the output: each node's delta is the error that reached it times its
    activation's slope; the delta times each partial of the weighted sum gives the node's
    gradients, and an input's error is the sum over all nodes that it feeds.
    """
    outs, sums = list_forward(weights, biases, x)
    errors = [o - t for o, t in zip(outs[-1], targets, strict=True)]
    grads_w: Nested = []
    grads_b: Nested = []
    for layer in reversed(range(len(weights))):
        layer_w, layer_b, input_errors = [], [], [0.0] * len(outs[layer])
        for node, error in enumerate(errors):
            slope = 1.0
            if layer != len(weights) - 1:
                s = 1 / (1 + math.exp(-sums[layer][node]))
                slope = s * (1 - s)
            delta = error * slope
            layer_b.append(delta)
            layer_w.append([delta * each_x for each_x in outs[layer]])
            for i, each_w in enumerate(weights[layer][node]):
                input_errors[i] += delta * each_w
        grads_w.insert(0, layer_w)
        grads_b.insert(0, layer_b)
        errors = input_errors
    return grads_w, grads_b
