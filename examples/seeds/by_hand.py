"""Backward passes worked out by hand, as the seed documents teach them.

Plain NumPy and plain Python loops, without funcgrad: this is what the examples and the tests hold gradients
against. Each function follows a document's formulas exactly, including the places where they are
the gradient of another function than the loss beside them; its docstring then says of which.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Params = dict[str, Any]
Layers = list[tuple[Array, Array]]
Nested = list[Any]


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
    return _forward(layers, x, activation)[0]


def _forward(layers: Layers, x: Array, activation: str) -> tuple[Array, Callable[[Array], Array], list[Any]]:
    """Probabilities, the softmax's backward pass, and of each layer its input and its activation's backward pass."""
    kept: list[Any] = []
    for i, (w, b) in enumerate(layers):
        before, back = x, None
        x = np.dot(x, w) + b
        if i < len(layers) - 1:
            x, back = ACTIVATIONS[activation](x)
        kept.append((before, back))
    probabilities, softmax_back = softmax(x)
    return probabilities, softmax_back, kept


def _backward(layers: Layers, kept: list[Any], cotangent: Array) -> Layers:
    """From the cotangent of the scores down to the first layer."""
    grads: Layers = []
    for (w, _), (before, back) in zip(reversed(layers), reversed(kept), strict=True):
        if back is not None:
            cotangent = back(cotangent)
        cotangent, dw, db = affine_backward(before, w, cotangent)
        grads.insert(0, (dw, db))
    return grads


def deep_backward(layers: Layers, x: Array, y: Array, activation: str) -> Layers:
    """What the document's network computes for one-hot targets `y`.

    ``(p - y) / batch`` is already the gradient at the logits, but the softmax's Jacobian is
    applied to it once more, and every affine layer divides by the batch again. That is not the
    gradient of the cross entropy: it is ``1 / batch`` of the gradient of the halved squared error
    ``sum((p - y)²) / (2 batch)``.
    """
    probabilities, softmax_back, kept = _forward(layers, x, activation)
    return _backward(layers, kept, softmax_back(cross_entropy(probabilities, y)[1]))


def deep_gradients(layers: Layers, x: Array, y: Array, activation: str) -> Layers:
    """The gradient of the mean cross entropy: as `deep_backward`, without its two slips."""
    probabilities, _, kept = _forward(layers, x, activation)
    # affine_backward divides by the batch size: what comes in is the gradient of the sum, and so the mean's comes out.
    return _backward(layers, kept, probabilities - y)


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


# Document 000: clipping by the global norm (row 7).


def clip(gradients: list[Array], max_norm: float = 5.0) -> list[Array]:
    """All of them times one number, such that their common norm is at most `max_norm`."""
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    ratio = max_norm / (norm + 1e-8)
    return [g * ratio for g in gradients] if ratio < 1 else gradients


# Document 000: batch normalisation (row 8).


def batch_norm(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, training: bool, momentum: float = 0.9
) -> tuple[Array, Array, Array]:
    """The output and the new running statistics; outside training these are used, and stay."""
    m, v = (np.mean(x, axis=0), np.var(x, axis=0)) if training else (mean, var)
    out = gamma * (x - m) / np.sqrt(v + 1e-5) + beta
    if training:
        mean, var = momentum * mean + (1 - momentum) * m, momentum * var + (1 - momentum) * v
    return out, mean, var


def batch_norm_backward(x: Array, gamma: Array, cotangent: Array) -> tuple[Array, Array, Array]:
    """Cotangents of x, gamma and beta in training, where the batch's mean and variance depend on x as well."""
    n, centred, var = len(x), x - np.mean(x, axis=0), np.var(x, axis=0) + 1e-5
    dnorm = cotangent * gamma
    dvar = np.sum(dnorm * centred * -0.5 * var**-1.5, axis=0)
    dmean = -np.sum(dnorm, axis=0) / np.sqrt(var) - dvar * 2 * np.mean(centred, axis=0)
    dx = dnorm / np.sqrt(var) + dvar * 2 * centred / n + dmean / n
    return dx, np.sum(cotangent * centred / np.sqrt(var), axis=0), np.sum(cotangent, axis=0)


# Document 000: automatic differentiation (row 9).


class Variable:
    """A number that remembers how it was made: the numbers it came from, and its derivative by each of them."""

    def __init__(self, data: float, parents: Sequence[tuple["Variable", float]] = ()) -> None:
        self.data, self.parents, self.grad = data, parents, 0.0

    def __add__(self, other: "Variable") -> "Variable":
        return Variable(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other: "Variable") -> "Variable":
        return Variable(self.data * other.data, [(self, other.data), (other, self.data)])

    def backward(self, grad: float = 1.0) -> None:
        """Adds up the products of derivatives along every way back to each variable."""
        self.grad += grad
        for parent, slope in self.parents:
            parent.backward(grad * slope)


# Document 000: learning rates (row 11); `epoch` counts from 0.


def step_decay(rate: float, epoch: int, drop: float = 0.5, every: int = 10) -> float:
    return rate * drop ** (epoch // every)


def exponential_decay(rate: float, epoch: int, decay: float = 0.95) -> float:
    return rate * decay**epoch


def cosine_annealing(rate: float, epoch: int, epochs: int) -> float:
    return rate * (1 + math.cos(math.pi * epoch / epochs)) / 2


def warmup(rate: float, epoch: int, epochs: int = 5) -> float:
    return rate * (epoch + 1) / epochs if epoch < epochs else rate


# Document 001: 784-200-200-10 (row 12).


class AffineLayer:
    """Weights that are changed in place, and what the backward pass needs."""

    def __init__(self, w: Array, b: Array) -> None:
        self.w, self.b = w, b

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.dot(x, self.w) + self.b

    def backward(self, cotangent: Array) -> Array:
        self.dw = np.dot(self.x.T, cotangent)
        self.db = np.sum(cotangent, axis=0)
        return np.dot(cotangent, self.w.T)


class ReluLayer:
    """The same for the ReLU, which writes into the cotangent that it is given."""

    def forward(self, x: Array) -> Array:
        self.off = x <= 0
        return np.maximum(0, x)

    def backward(self, cotangent: Array) -> Array:
        cotangent[self.off] = 0
        return cotangent


class MnistNetwork:
    """The document's network of layer objects, trained in place.

    Its backward pass starts from ``p - t``, which is not divided by the batch size: the gradient of the *sum* of the
    cross entropies, where the loss it reports is their mean (with 1e-7 added inside the logarithm).
    """

    def __init__(self, params: Layers) -> None:
        """Takes copies of the parameters."""
        self.affine = [AffineLayer(w.copy(), b.copy()) for w, b in params]
        self.layers: list[AffineLayer | ReluLayer] = [self.affine[0]]
        for layer in self.affine[1:]:
            self.layers += [ReluLayer(), layer]

    def gradients(self, x: Array, t: Array) -> tuple[float, Layers]:
        """The loss and all gradients."""
        for layer in self.layers:
            x = layer.forward(x)
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        p = e / np.sum(e, axis=1, keepdims=True)
        loss = -np.sum(t * np.log(p + 1e-7)) / len(p)
        cotangent = p - t
        for layer in reversed(self.layers):
            cotangent = layer.backward(cotangent)
        return loss, [(layer.dw, layer.db) for layer in self.affine]

    def step(self, x: Array, t: Array, rate: float) -> float:
        """One step of gradient descent; the loss before it."""
        loss, _ = self.gradients(x, t)
        for layer in self.affine:
            layer.w -= rate * layer.dw
            layer.b -= rate * layer.db
        return loss


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


# Document 003: the training cycle (row 14). It is described in words; the formulas are those of the other documents.


def digits_backward(params: Params, x: Array, t: Array, loss: str) -> Params:
    """Gradients of a network with one hidden layer of ReLUs, for `"mse"` or `"cross entropy"`."""
    a1 = x @ params["W1"] + params["b1"]
    h = np.maximum(0, a1)
    z = h @ params["W2"] + params["b2"]
    dz = (softmax(z)[0] - t) / len(x) if loss == "cross entropy" else 2 * (z - t) / z.size
    da1 = dz @ params["W2"].T * (a1 > 0)
    return {"W1": x.T @ da1, "b1": da1.sum(axis=0), "W2": h.T @ dz, "b2": dz.sum(axis=0)}


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
