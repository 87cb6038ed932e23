"""The seed documents' networks, layers and losses: `grad` equals the passes done by hand.

Every test names the row of the systems' table that it covers. Where a document's formulas are not
the gradient of the loss that it states, the test differentiates the function whose gradient they
are, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import by_hand as hand
from by_hand import Array, Params, descend
from common import assert_same
from funcgrad import grad, value_and_grad, vjp
from funcgrad.core import Primitive
from funcgrad.ops.rules import PRIMITIVES, elementwise_rules
from funcgrad.test_util import check_grads, check_vjp


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# --- Row 1: the two-layer sigmoid network, 2-3-1 -------------------------------------------------


def two_layer(params: Params, x: Any) -> Any:
    a1 = sigmoid(np.dot(x, params["w1"]) + params["b1"])
    return sigmoid(np.dot(a1, params["w2"]) + params["b2"])


def two_layer_cross_entropy(params: Params, x: Any, y: Any) -> Any:
    a2 = two_layer(params, x)
    return -np.sum(y * np.log(a2) + (1 - y) * np.log(1 - a2)) / x.shape[0]


def two_layer_mse(params: Params, x: Any, y: Any) -> Any:
    return np.mean((two_layer(params, x) - y) ** 2)


def two_layer_data(seed: int, outputs: int = 1) -> tuple[Array, Array]:
    rng = np.random.RandomState(100 + seed)
    return rng.randn(6, 2), (rng.rand(6, outputs) < 0.5).astype(float)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outputs", [1, 2])
def test_row_1_two_layer_gradients(seed: int, outputs: int) -> None:
    # The document names no loss; its dz2 = a2 - y is that of the cross entropy.
    params = hand.two_layer_init(seed, outputs=outputs)
    x, y = two_layer_data(seed, outputs)
    got = grad(two_layer_cross_entropy)(params, x, y)
    assert_same(got, hand.two_layer_backward(params, x, y))


def test_row_1_is_not_the_gradient_of_the_squared_error() -> None:
    params = hand.two_layer_init(1)
    x, y = two_layer_data(1)
    of_mse = grad(two_layer_mse)(params, x, y)
    by_hand = hand.two_layer_backward(params, x, y)
    # Not even a multiple of it: the ratio differs from entry to entry.
    ratio = of_mse["w1"] / by_hand["w1"]
    assert np.ptp(ratio) > 0.1 * np.abs(ratio).mean()


def test_row_1_training_follows_the_hand_written_pass() -> None:
    params = expected = hand.two_layer_init(1)
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [1.0]])
    step = value_and_grad(two_layer_cross_entropy)
    losses = []
    for _ in range(200):
        loss, grads = step(params, x, y)
        losses.append(float(loss))
        params = descend(params, grads, 0.1)
        expected = descend(expected, hand.two_layer_backward(expected, x, y), 0.1)
    assert_same(params, expected, rtol=1e-10)
    assert losses[-1] < losses[0]


# --- Row 2: the chain rule on scalars ------------------------------------------------------------

SCALARS = {"w1": 1.5, "b1": 0.5, "w2": -0.8, "b2": 0.3}


def scalar_loss(params: dict[str, Any], x: Any, target: Any, nudges: dict[str, Any]) -> Any:
    """The loss; a nudge of 0 added to a value makes that value's cotangent a gradient."""
    z1 = params["w1"] * x + params["b1"] + nudges["z1"]
    h = max(0.0, z1) + nudges["h"]
    y = params["w2"] * h + params["b2"] + nudges["y"]
    return (y - target) ** 2 / 2


def test_row_2_square_of_a_sum() -> None:
    value, slope = value_and_grad(lambda x: (x + 2) ** 2)(3.0)
    assert value == 25.0
    assert slope == 10.0


def test_row_2_values_cotangents_and_gradients() -> None:
    values, cotangents, gradients = hand.scalar_chain(2.0, 1.0, SCALARS)
    # The numbers that the document's program prints.
    assert values["z1"] == values["h"] == 3.5
    assert values["y"] == pytest.approx(-2.5, rel=1e-15)
    assert gradients == pytest.approx({"w1": 5.6, "b1": 2.8, "w2": -12.25, "b2": -3.5})
    nudges = dict.fromkeys(cotangents, 0.0)
    loss, (by_parameter, by_value) = value_and_grad(scalar_loss, argnums=(0, 3))(SCALARS, 2.0, 1.0, nudges)
    assert loss == pytest.approx(values["loss"], rel=1e-15)
    assert_same(by_parameter, gradients, rtol=1e-15)
    assert_same(by_value, cotangents, rtol=1e-15)


def test_row_2_the_relu_that_is_off_passes_nothing() -> None:
    off = {**SCALARS, "b1": -4.0}
    _, _, gradients = hand.scalar_chain(2.0, 1.0, off)
    got = grad(scalar_loss)(off, 2.0, 1.0, {"z1": 0.0, "h": 0.0, "y": 0.0})
    assert_same(got, gradients, rtol=1e-15)
    assert got["w1"] == got["b1"] == 0.0


# --- Row 3: layers -------------------------------------------------------------------------------


def affine(x: Any, w: Any, b: Any) -> Any:
    return np.dot(x, w) + b


def relu(x: Any) -> Any:
    return x * (x > 0)


def clipped_sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "sigmoid": clipped_sigmoid,
    "tanh": np.tanh,
}


def test_row_3_affine() -> None:
    (w, b), *_ = hand.deep_init(0, [20, 64])
    rng = np.random.RandomState(1)
    x, cotangent = rng.randn(8, 20), rng.randn(8, 64)
    out, pull = vjp(affine, x, w, b)
    assert_same(out, np.dot(x, w) + b)
    dx, dw, db = pull(cotangent)
    by_hand = hand.affine_backward(x, w, cotangent)
    # The document's layer divides its parameters' cotangents by the batch size.
    assert_same((dx, dw / 8, db / 8), by_hand)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_row_3_activations(name: str) -> None:
    rng = np.random.RandomState(2)
    x = np.concatenate([3 * rng.randn(5, 4), [[0.0, -0.0, 40.0, -40.0]]])
    cotangent = rng.randn(*x.shape)
    out, pull = vjp(ACTIVATIONS[name], x)
    expected, backward = hand.ACTIVATIONS[name](x)
    assert_same(out, expected)
    assert_same(pull(cotangent)[0], backward(cotangent))


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


def deep(layers: hand.Layers, x: Any, activation: str) -> Any:
    """A network of any depth: the parameters are a list of (weights, bias) pairs."""
    for w, b in layers[:-1]:
        x = ACTIVATIONS[activation](affine(x, w, b))
    return softmax(affine(x, *layers[-1]))


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
    assert_same(deep(layers, x, activation), hand.deep_forward(layers, x, activation))

    def halved_squared_error(layers: hand.Layers) -> Any:
        # The document means to follow the cross entropy; see by_hand.deep_backward.
        return np.sum((deep(layers, x, activation) - y) ** 2) / (2 * batch)

    got = grad(halved_squared_error)(layers)
    scaled = [(dw / batch, db / batch) for dw, db in got]
    assert_same(scaled, hand.deep_backward(layers, x, y, activation))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[20, 64, 32, 3], [4, 2], [5, 7, 6, 5, 4, 3]])
def test_row_3_deep_networks(sizes: list[int], activation: str) -> None:
    assert unclipped(0, sizes, activation, batch=16)
    check_deep(0, sizes, activation, batch=16)


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


def mse(pred: Any, true: Any) -> Any:
    return np.mean((pred - true) ** 2)


def cross_entropy(pred: Any, true: Array) -> Any:
    pred = np.clip(pred, 1e-7, 1 - 1e-7)
    batch = true.shape[0]
    if true.ndim == 2:
        return -np.sum(true * np.log(pred)) / batch
    return -np.mean(np.log(pred[range(batch), true]))


def binary_cross_entropy(pred: Any, true: Any) -> Any:
    pred = np.clip(pred, 1e-7, 1 - 1e-7)
    return -np.mean(true * np.log(pred) + (1 - true) * np.log(1 - pred))


@pytest.mark.parametrize("outputs", [1, 3])
def test_row_4_mse(outputs: int) -> None:
    rng = np.random.RandomState(4)
    pred, true = rng.randn(5, outputs), rng.randn(5, outputs)
    loss, by_hand = hand.mse(pred, true)
    value, gradient = value_and_grad(mse)(pred, true)
    assert_same(value, loss)
    # The mean is over all entries, the document's gradient divides by the rows alone.
    assert_same(gradient * outputs, by_hand)


@pytest.mark.parametrize("outputs", [1, 3])
def test_row_4_binary_cross_entropy(outputs: int) -> None:
    rng = np.random.RandomState(5)
    pred, true = rng.uniform(0.05, 0.95, (5, outputs)), rng.randint(2, size=(5, outputs))
    loss, by_hand = hand.binary_cross_entropy(pred, true)
    value, gradient = value_and_grad(binary_cross_entropy)(pred, true)
    assert_same(value, loss)
    assert_same(gradient * outputs, by_hand)  # as for the squared error


@pytest.mark.parametrize("targets", ["one-hot", "indices"])
def test_row_4_cross_entropy(targets: str) -> None:
    rng = np.random.RandomState(6)
    logits, indices = rng.randn(7, 4), rng.randint(4, size=7)
    true = np.eye(4)[indices] if targets == "one-hot" else indices
    loss, by_hand = hand.cross_entropy(hand.softmax(logits)[0], true)
    # The document's formula is the gradient at the logits, through the softmax…
    value, at_logits = value_and_grad(lambda z: cross_entropy(softmax(z), true))(logits)
    assert_same(value, loss)
    assert_same(at_logits, by_hand)
    # … and not at the probabilities, where it is -t / p / batch.
    pred = hand.softmax(logits)[0]
    at_pred = grad(cross_entropy)(pred, true)
    assert_same(at_pred, -np.eye(4)[indices] / pred / 7)


@pytest.mark.parametrize("targets", ["one-hot", "indices"])
def test_row_4_cross_entropy_is_clipped(targets: str) -> None:
    pred = np.array([[0.0, 1.0], [1.0, 0.0]])
    true = np.eye(2) if targets == "one-hot" else np.array([0, 1])
    loss, _ = hand.cross_entropy(pred, true)
    assert loss == pytest.approx(-np.log(1e-7))
    value, gradient = value_and_grad(cross_entropy)(pred, true)
    assert_same(value, loss)
    assert_same(gradient, np.zeros((2, 2)))  # a clipped value is constant


# --- Row 9: z = x·y + x --------------------------------------------------------------------------


def product_plus(x: Any, y: Any) -> Any:
    return x * y + x


def test_row_9_scalars() -> None:
    value, grads = value_and_grad(product_plus, argnums=(0, 1))(2.0, 3.0)
    assert value == 8.0
    assert grads == (4.0, 2.0)


def test_row_9_arrays() -> None:
    out, pull = vjp(product_plus, np.array([2.0]), np.array([3.0]))
    assert_same(out, np.array([8.0]))
    assert_same(pull(np.ones(1)), (np.array([4.0]), np.array([2.0])))


# --- Row 10: the numerical check -----------------------------------------------------------------


def small_network() -> tuple[hand.Layers, Array, Array]:
    layers = hand.deep_init(7, [4, 5, 3])
    return layers, *deep_data(7, 6, 4, 3)


def network_loss(layers: hand.Layers, x: Any, y: Any) -> Any:
    return cross_entropy(deep(layers, x, "tanh"), y)


def weight_errors(grads: hand.Layers, layers: hand.Layers, x: Array, y: Array) -> list[float]:
    """The document's relative error for each layer's weights."""
    errors = []
    for i, (w, b) in enumerate(layers):

        def loss(w: Array, i: int = i, b: Array = b) -> float:
            changed = [*layers[:i], (w, b), *layers[i + 1 :]]
            return hand.cross_entropy(hand.deep_forward(changed, x, "tanh"), y)[0]

        errors.append(hand.relative_error(grads[i][0], hand.numerical_gradient(loss, w)))
    return errors


def test_row_10_the_documents_check_passes_grad() -> None:
    layers, x, y = small_network()
    assert max(weight_errors(grad(network_loss)(layers, x, y), layers, x, y)) < 1e-5


def test_row_10_the_documents_check_warns_of_its_own_backward_pass() -> None:
    # See by_hand.deep_backward: the softmax is applied twice, the batch divided out twice.
    layers, x, y = small_network()
    by_hand = hand.deep_backward(layers, x, y, "tanh")
    assert min(weight_errors(by_hand, layers, x, y)) > 1e-5


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
