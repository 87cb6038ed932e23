"""The seed documents' networks, layers and losses: `grad` equals the passes done by hand.

The functions are those of `examples/seeds`, which check themselves (`test_seed_examples.py`); here are other sizes,
random ones, and the edges. Every test names the row of the systems' table that it covers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import by_hand as hand
from by_hand import Array, Params
from common import assert_same
from funcgrad import grad, value_and_grad, vjp
from funcgrad.core import Primitive
from funcgrad.ops.rules import PRIMITIVES, elementwise_rules
from funcgrad.test_util import check_grads, check_vjp
from layers import ACTIVATIONS, clipped_sigmoid, cross_entropy, network, softmax

# Names that start with a digit, so that a directory lists the examples in order.
two_layer = import_module("01_two_layer_network")
chain_rule = import_module("02_chain_rule")
layers_example = import_module("03_layers")
xor = import_module("13_xor")
lists = import_module("15_nested_lists")


# --- Row 1: the two-layer sigmoid network, 2-3-1 -------------------------------------------------


def two_layer_mse(params: Params, x: Any, y: Any) -> Any:
    return np.mean((two_layer.network(params, x) - y) ** 2)


def two_layer_data(seed: int, outputs: int = 1) -> tuple[Array, Array]:
    rng = np.random.RandomState(100 + seed)
    return rng.randn(6, 2), (rng.rand(6, outputs) < 0.5).astype(float)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outputs", [1, 2])
def test_row_1_two_layer_gradients(seed: int, outputs: int) -> None:
    # The document names no loss; its dz2 = a2 - y is that of the cross entropy.
    params = hand.two_layer_init(seed, outputs=outputs)
    x, y = two_layer_data(seed, outputs)
    got = grad(two_layer.loss)(params, x, y)
    assert_same(got, hand.two_layer_backward(params, x, y))


def test_row_1_is_not_the_gradient_of_the_squared_error() -> None:
    params = hand.two_layer_init(1)
    x, y = two_layer_data(1)
    of_mse = grad(two_layer_mse)(params, x, y)
    by_hand = hand.two_layer_backward(params, x, y)
    # Not even a multiple of it: the ratio differs from entry to entry.
    ratio = of_mse["w1"] / by_hand["w1"]
    assert np.ptp(ratio) > 0.1 * np.abs(ratio).mean()


# --- Row 2: the chain rule on scalars ------------------------------------------------------------


def test_row_2_the_relu_that_is_off_passes_nothing() -> None:
    off = {**chain_rule.PARAMS, "b1": -4.0}
    _, _, gradients = hand.scalar_chain(2.0, 1.0, off)
    got = grad(chain_rule.loss)(off, 2.0, dict.fromkeys(chain_rule.STEPS, 0.0))
    assert_same(got, gradients, rtol=1e-15)
    assert got["w1"] == got["b1"] == 0.0


# --- Row 3: layers -------------------------------------------------------------------------------


def test_row_3_clipped_sigmoid_far_out() -> None:
    # Below -500 the document's slope s(1 - s) is 7e-218 where the clipped function is flat.
    x = np.array([-1e4, -501.0, 501.0, 1e4])
    out, pull = vjp(clipped_sigmoid, x)
    expected, backward = hand.clipped_sigmoid(x)
    assert_same(out, expected)
    assert_same(pull(np.ones(4))[0], backward(np.ones(4)), atol=1e-217)


@pytest.mark.parametrize("shape", [(1, 2), (4, 3), (7, 10)])
def test_row_3_softmax_full_jacobian(shape: tuple[int, int]) -> None:
    rng = np.random.RandomState(3)
    x, cotangent = 2 * rng.randn(*shape), rng.randn(*shape)
    out, pull = vjp(softmax, x)
    expected, backward = hand.softmax(x)
    assert_same(out, expected)
    assert_same(pull(cotangent)[0], backward(cotangent))


def test_row_3_softmax_does_not_overflow() -> None:
    x = np.array([[1000.0, 1000.0, -1000.0]])
    out, pull = vjp(softmax, x)
    assert_same(out, np.array([[0.5, 0.5, 0.0]]))
    assert_same(pull(np.array([[1.0, 0.0, 5.0]]))[0], np.array([[0.25, -0.25, 0.0]]))


def deep_data(seed: int, batch: int, inputs: int, classes: int) -> tuple[Array, Array]:
    rng = np.random.RandomState(1000 + seed)
    return rng.randn(batch, inputs), np.eye(classes)[rng.randint(classes, size=batch)]


def unclipped(seed: int, sizes: list[int], activation: str, batch: int) -> bool:
    """Whether no probability is clipped: a clipped ``p - y`` is no loss's gradient.

    A single class (p = 1) is clipped, but has no gradient at all.
    """
    x, _ = deep_data(seed, batch, sizes[0], sizes[-1])
    p = hand.deep_forward(hand.deep_init(seed, sizes), x, activation)
    return sizes[-1] == 1 or np.array_equal(p, np.clip(p, 1e-7, 1 - 1e-7))


def check_deep(seed: int, sizes: list[int], activation: str, batch: int) -> None:
    layers = hand.deep_init(seed, sizes)
    x, y = deep_data(seed, batch, sizes[0], sizes[-1])
    assert_same(network(layers, x, activation), hand.deep_forward(layers, x, activation))

    got = grad(layers_example.halved_squared_error)(layers, x, y, activation)
    scaled = [(dw / batch, db / batch) for dw, db in got]
    assert_same(scaled, hand.deep_backward(layers, x, y, activation))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=6),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    batch=st.integers(1, 5),
)
def test_row_3_deep_networks_of_any_sizes(seed: int, sizes: list[int], activation: str, batch: int) -> None:
    assume(unclipped(seed, sizes, activation, batch))
    check_deep(seed, sizes, activation, batch)


# --- Row 4: losses -------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", ["one-hot", "indices"])
def test_row_4_cross_entropy_is_clipped(targets: str) -> None:
    pred = np.array([[0.0, 1.0], [1.0, 0.0]])
    true = np.eye(2) if targets == "one-hot" else np.array([0, 1])
    loss, _ = hand.cross_entropy(pred, true)
    assert loss == pytest.approx(-np.log(1e-7))
    value, gradient = value_and_grad(cross_entropy)(pred, true)
    assert_same(value, loss)
    assert_same(gradient, np.zeros((2, 2)))  # a clipped value is constant


# --- Row 10: the numerical check -----------------------------------------------------------------


def small_network() -> tuple[hand.Layers, Array, Array]:
    layers = hand.deep_init(7, [4, 5, 3])
    return layers, *deep_data(7, 6, 4, 3)


def network_loss(layers: hand.Layers, x: Any, y: Any) -> Any:
    return cross_entropy(network(layers, x, "tanh"), y)


@pytest.mark.parametrize("order", [1, 2])
def test_row_10_check_grads_on_the_network(order: int) -> None:
    layers, x, y = small_network()
    check_grads(lambda layers: network_loss(layers, x, y), (layers,), order=order)


@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_row_10_check_grads_takes_one_mode(mode: str) -> None:
    x = np.random.RandomState(8).randn(3, 2)
    check_grads(lambda x: np.sum(np.sin(x) * x), (x,), order=2, modes=(mode,))


def wrong_sin(wrong_in: str) -> Callable[[Any], Any]:
    """The sine as a primitive of one's own, 1 % off in one of its rules."""
    right, wrong = (elementwise_rules([lambda g, out, x, slope=slope: slope * np.cos(x) * g]) for slope in (1.0, 1.01))
    sin = PRIMITIVES["sin"]
    jvp = (wrong if wrong_in == "fwd" else right)[0]
    vjp = (wrong if wrong_in == "rev" else right)[1]
    return Primitive("my_sin", sin.impl, sin.abstract, jvp=jvp, vjp=vjp).bind


@pytest.mark.parametrize("wrong_in", ["fwd", "rev"])
def test_row_10_check_grads_fails_on_a_wrong_rule(wrong_in: str) -> None:
    x = np.array([0.3, -1.2])
    check_grads(wrong_sin("neither"), (x,), order=2)
    mine = wrong_sin(wrong_in)
    with pytest.raises(AssertionError, match=wrong_in):
        check_grads(mine, (x,), order=1)
    with pytest.raises(AssertionError, match=wrong_in):
        check_grads(mine, (x,), order=1, modes=(wrong_in,))
    # The other mode's rule is right.
    other = "rev" if wrong_in == "fwd" else "fwd"
    check_grads(mine, (x,), order=1, modes=(other,))


def test_row_10_check_vjp_fails_on_the_documents_own_backward_pass() -> None:
    layers, x, y = small_network()

    def loss(layers: hand.Layers) -> Any:
        return network_loss(layers, x, y)

    def documents(layers: hand.Layers) -> tuple[Any, Callable[[Any], Any]]:
        grads = hand.deep_backward(layers, x, y, "tanh")
        return loss(layers), lambda ct: ([(ct * dw, ct * db) for dw, db in grads],)

    check_vjp(loss, lambda layers: vjp(loss, layers), (layers,))
    with pytest.raises(AssertionError):
        check_vjp(loss, documents, (layers,))


# --- Rows 13 and 15: exclusive or, nested lists ---------------------------------------------------


def test_row_13_is_not_the_gradient_of_the_mean() -> None:
    params = hand.xor_init()
    # The loss that the document states is the mean; its gradient would be a quarter of this.
    of_mean = grad(lambda p: np.mean((xor.network(p, xor.X) - xor.Y) ** 2))(params)
    assert_same({k: 4 * g for k, g in of_mean.items()}, hand.xor_backward(params, xor.X, xor.Y))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_row_15_lists_of_any_sizes(seed: int, sizes: list[int]) -> None:
    rng = np.random.RandomState(seed)
    pairs = list(itertools.pairwise(sizes))
    weights = [rng.randn(m, n).tolist() for n, m in pairs]
    biases = [rng.randn(m).tolist() for _, m in pairs]
    x, targets = rng.randn(sizes[0]).tolist(), rng.randn(sizes[-1]).tolist()
    grads = grad(lists.sse_loss)((weights, biases), x, targets)
    assert_same(grads, hand.list_backward(weights, biases, x, targets))
    assert lists.only_floats(grads)
