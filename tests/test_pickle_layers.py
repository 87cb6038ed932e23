"""Layers, cells and initialisers pickle, and are copied, as the call that made them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import nn, random, tree
from funcgrad.nn import initializers, layers
from funcgrad.nn.layers import Layer

SEQUENCE, IMAGE, ROWS = (2, 6, 4), (2, 5, 5, 4), (3, 4)

NETWORKS: dict[str, tuple[Callable[[], Layer], tuple[int, ...]]] = {
    "dense": (lambda: layers.serial(layers.dense(5), np.tanh, out=layers.dense(2, bias=False)), ROWS),
    "activations": (lambda: layers.serial(nn.swish, layers.activation(nn.gelu), layers.rms_norm()), ROWS),
    "shortcut": (lambda: layers.residual(layers.serial(layers.layer_norm(), layers.dense(4), layers.flatten())), ROWS),
    "conv": (
        lambda: layers.serial(layers.conv(4, 3), layers.group_norm(2), layers.max_pool(2), layers.global_avg_pool()),
        IMAGE,
    ),
    "transformer": (lambda: layers.transformer_block(2, causal=True, gated=True), SEQUENCE),
    "attention": (lambda: layers.serial(layers.positions(8, learned=True), layers.attention(2, rotary=True)), SEQUENCE),
    "recurrent": (lambda: layers.serial(layers.lstm(3), layers.gru(3), layers.recurrent(layers.rnn_cell(2))), SEQUENCE),
    "both ways": (lambda: layers.parallel(layers.rnn(3), layers.rnn(3, reverse=True)), SEQUENCE),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("again", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy], ids=["pickle", "copy"])
def test_networks(name: str, again: Callable[[Layer], Layer]) -> None:
    make, shape = NETWORKS[name]
    net = make()
    other = again(net)
    assert isinstance(other, Layer) and other.name == net.name
    x = np.random.default_rng(0).normal(size=shape)
    params = net.init(random.key(0), x)
    tree.map(np.testing.assert_array_equal, other.init(random.key(0), x), params)
    tree.map(np.testing.assert_array_equal, other.apply(params, x), net.apply(params, x))


@pytest.mark.parametrize("name", [n for n in initializers.__all__ if n != "Initializer"])
def test_initialisers(name: str) -> None:
    given: Any = getattr(initializers, name)
    if name not in ("ones", "zeros"):
        arguments = {"constant": (2.0,), "variance_scaling": (1.0, "fan_in", "normal")}.get(name, ())
        given = given(*arguments, dtype=np.float32)
        assert repr(given).startswith(given._made[0].__name__)
    again = pickle.loads(pickle.dumps(given))
    shape = (3, 4, 4)
    np.testing.assert_array_equal(again(random.key(1), shape), given(random.key(1), shape))


def test_functions_of_the_user() -> None:
    net = layers.serial(layers.dense(2), lambda x: x)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(net)
    renamed = layers.dense(2)._replace(name="mine")
    assert renamed.name == "mine" and isinstance(renamed, Layer)
    assert all(nn.swish is f for f in (nn.silu, pickle.loads(pickle.dumps(nn.swish))))
