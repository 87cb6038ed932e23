"""Layers, losses and networks of document 000 as plain NumPy functions.

There is nothing about derivatives here, and no state: a layer is a function of its parameters and its input. What
`funcgrad.grad` makes of these functions is held against `by_hand.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree

Array = np.ndarray
Layers = list[tuple[Array, Array]]  # the parameters of a network: (weights, bias) for each layer


def affine(x: Array, w: Array, b: Array) -> Array:
    return np.dot(x, w) + b


def relu(x: Array) -> Array:
    return x * (x > 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def clipped_sigmoid(x: Array) -> Array:
    """The sigmoid whose exponential cannot overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def softmax(x: Array) -> Array:
    """Probabilities from scores, row by row; taking the maximum off first keeps exp finite."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": relu, "sigmoid": clipped_sigmoid, "tanh": np.tanh}


def scores(layers: Layers, x: Array, activation: str) -> Array:
    """A network of any depth, up to the scores of the classes."""
    for w, b in layers[:-1]:
        x = ACTIVATIONS[activation](affine(x, w, b))
    return affine(x, *layers[-1])


def network(layers: Layers, x: Array, activation: str) -> Array:
    """A network of any depth that gives probabilities."""
    return softmax(scores(layers, x, activation))


def mse(pred: Array, true: Array) -> np.floating:
    """The mean squared error."""
    return np.mean((pred - true) ** 2)


def cross_entropy(pred: Array, true: Array) -> np.floating:
    """Of probabilities `pred` and one-hot rows or class indices `true`; 0 and 1 are clipped away."""
    pred = np.clip(pred, 1e-7, 1 - 1e-7)
    batch = true.shape[0]
    if true.ndim == 2:
        return -np.sum(true * np.log(pred)) / batch
    return -np.mean(np.log(pred[range(batch), true]))


def binary_cross_entropy(pred: Array, true: Array) -> np.floating:
    """Of probabilities `pred` and targets `true` that are 0 or 1."""
    pred = np.clip(pred, 1e-7, 1 - 1e-7)
    return -np.mean(true * np.log(pred) + (1 - true) * np.log(1 - pred))


def cross_entropy_of_scores(z: Array, true: Array) -> Array:
    """Of scores and one-hot rows, summed over the rows: softmax and logarithm in one, so nothing has to be clipped."""
    z = z - np.max(z, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(z), axis=1))) - np.sum(true * z)


def descend(params: Any, grads: Any, rate: Any) -> Any:
    """One step of gradient descent on any tree of parameters."""
    return tree.map(lambda p, g: p - rate * g, params, grads)
