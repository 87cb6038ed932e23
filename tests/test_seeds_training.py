"""The seed documents' training loops: XOR, handwritten digits, and a network of nested lists.

Rows 13, 14 and 15 of the systems' table; `test_seeds.py` has the others.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import by_hand as hand
from by_hand import Array, Params, descend
from common import assert_same
from funcgrad import grad, value_and_grad


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# --- Row 13: XOR ---------------------------------------------------------------------------------

XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
XOR_Y = np.array([[0], [1], [1], [0]])


def xor_output(params: Params, x: Any) -> Any:
    return sigmoid(sigmoid(x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"])


def xor_loss(params: Params) -> Any:
    return np.sum((xor_output(params, XOR_X) - XOR_Y) ** 2)


def test_row_13_gradients() -> None:
    params = hand.xor_init()
    assert_same(grad(xor_loss)(params), hand.xor_backward(params, XOR_X, XOR_Y))
    # The loss that the document states is the mean; its gradient would be a quarter of this.
    of_mean = grad(lambda p: np.mean((xor_output(p, XOR_X) - XOR_Y) ** 2))(params)
    assert_same({k: 4 * g for k, g in of_mean.items()}, hand.xor_backward(params, XOR_X, XOR_Y))


def test_row_13_training_ends_at_the_printed_numbers() -> None:
    params = expected = hand.xor_init()
    step = grad(xor_loss)
    for epoch in range(10_000):
        if epoch == 9_999:
            final = xor_output(params, XOR_X)  # the document prints what its last epoch saw
        params = descend(params, step(params), 0.1)
        expected = descend(expected, hand.xor_backward(expected, XOR_X, XOR_Y), 0.1)
    assert final.round(3).ravel().tolist() == [0.025, 0.499, 0.970, 0.502]
    assert_same(params, expected, rtol=1e-8)


# --- Row 14: the training cycle, on handwritten digits -------------------------------------------


def digits_output(params: Params, x: Any) -> Any:
    return np.maximum(0, x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]


def digits_loss(params: Params, x: Any, t: Any, loss: str) -> Any:
    z = digits_output(params, x)
    if loss == "mse":
        return np.mean((z - t) ** 2)
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return -np.sum(t * np.log(e / np.sum(e, axis=1, keepdims=True))) / len(t)


def digits_backward(params: Params, x: Array, t: Array, loss: str) -> Params:
    """The cycle's third part by hand: the document describes it in words, without formulas."""
    a1 = x @ params["W1"] + params["b1"]
    h = np.maximum(0, a1)
    z = h @ params["W2"] + params["b2"]
    dz = (hand.softmax(z)[0] - t) / len(x) if loss == "cross entropy" else 2 * (z - t) / z.size
    da1 = dz @ params["W2"].T * (a1 > 0)
    return {"W1": x.T @ da1, "b1": da1.sum(axis=0), "W2": h.T @ dz, "b2": dz.sum(axis=0)}


@pytest.mark.parametrize("loss", ["cross entropy", "mse"])
def test_row_14_the_training_cycle(loss: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    x, t = images[:200] / 16, np.eye(10)[labels[:200]]
    rng = np.random.RandomState(9)
    params: Params = {"W1": rng.randn(64, 32) * np.sqrt(2 / 64), "b1": np.zeros(32)}
    params |= {"W2": rng.randn(32, 10) * np.sqrt(2 / 32), "b2": np.zeros(10)}
    losses = []
    for _ in range(100):
        value, grads = value_and_grad(digits_loss)(params, x, t, loss)
        assert_same(grads, digits_backward(params, x, t, loss), rtol=1e-9)
        losses.append(float(value))
        params = descend(params, grads, 0.5)
    assert losses[-1] < 0.25 * losses[0]
    right = np.argmax(digits_output(params, x), axis=1) == labels[:200]
    assert right.mean() > 0.9


# --- Row 15: nested Python lists -----------------------------------------------------------------

ONE_OUTPUT = (
    [[[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6]], [[0.7, -0.8, 0.9]]],
    [[0.05, -0.1, 0.15], [0.2]],
    [0.05, 0.1],
    [1.0],
)
TWO_OUTPUTS = (
    [[[0.15, 0.2], [0.25, 0.3]], [[0.4, 0.45], [0.5, 0.55]]],
    [[0.35, 0.35], [0.6, 0.6]],
    [0.05, 0.1],
    [0.01, 0.99],
)
ZEROS = (
    [[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0, 0.0]]],
    [[0.0, 0.0, 0.0], [0.0]],
    [0.05, 0.1],
    [1.0],
)


def list_network(params: tuple[hand.Nested, hand.Nested], x: list[Any]) -> list[Any]:
    """One node at a time over nested lists of scalars; the caches have no place here."""
    weights, biases = params
    for layer, (layer_w, layer_b) in enumerate(zip(weights, biases, strict=True)):
        sums = [
            sum((w * each for w, each in zip(node_w, x, strict=True)), node_b)
            for node_w, node_b in zip(layer_w, layer_b, strict=True)
        ]
        x = sums if layer == len(weights) - 1 else [sigmoid(s) for s in sums]
    return x


def list_loss(params: tuple[hand.Nested, hand.Nested], x: list[Any], targets: list[float]) -> Any:
    outputs = list_network(params, x)
    return sum(0.5 * (o - t) ** 2 for o, t in zip(outputs, targets, strict=True))


def assert_floats(tree: Any) -> None:
    """Nested lists (the outermost may be a tuple) of nothing but Python floats."""
    if isinstance(tree, list | tuple):
        for child in tree:
            assert_floats(child)
    else:
        assert type(tree) is float


@pytest.mark.parametrize("case", [ONE_OUTPUT, TWO_OUTPUTS, ZEROS], ids=["1", "2", "zeros"])
def test_row_15_lists_are_the_pytree(case: tuple[Any, ...]) -> None:
    weights, biases, x, targets = case
    value, grads = value_and_grad(list_loss)((weights, biases), x, targets)
    outs, _ = hand.list_forward(weights, biases, x)
    assert_same(value, hand.list_loss(outs[-1], targets))
    assert_same(grads, hand.list_backward(weights, biases, x, targets))
    assert_floats(grads)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_row_15_lists_of_any_sizes(seed: int, sizes: list[int]) -> None:
    rng = np.random.RandomState(seed)
    pairs = list(itertools.pairwise(sizes))
    weights = [rng.randn(m, n).tolist() for n, m in pairs]
    biases = [rng.randn(m).tolist() for _, m in pairs]
    x, targets = rng.randn(sizes[0]).tolist(), rng.randn(sizes[-1]).tolist()
    grads = grad(list_loss)((weights, biases), x, targets)
    assert_same(grads, hand.list_backward(weights, biases, x, targets))
    assert_floats(grads)


def update_lists(tree: Any, grads: Any, rate: float) -> Any:
    if isinstance(tree, list | tuple):
        children = [update_lists(t, g, rate) for t, g in zip(tree, grads, strict=True)]
        return type(tree)(children)
    return tree - rate * grads


@pytest.mark.parametrize("case", [ONE_OUTPUT, TWO_OUTPUTS], ids=["1", "2"])
def test_row_15_training_stays_in_lists(case: tuple[Any, ...]) -> None:
    weights, biases, x, targets = case
    params = expected = (weights, biases)
    for _ in range(20):
        params = update_lists(params, grad(list_loss)(params, x, targets), 0.1)
        expected = update_lists(expected, hand.list_backward(*expected, x, targets), 0.1)
    assert_same(params, expected)
    assert_floats(params)
    before, after = list_loss((weights, biases), x, targets), list_loss(params, x, targets)
    assert after < 0.1 * before
