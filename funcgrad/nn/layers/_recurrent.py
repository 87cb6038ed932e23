"""Recurrent networks: cells that make one step, and layers that run them along a sequence by `scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.random as random
import funcgrad.tree as tree
from funcgrad.control.loops import scan
from funcgrad.errors import ShapeError
from funcgrad.nn._activations import sigmoid
from funcgrad.nn.initializers import glorot_uniform, orthogonal
from funcgrad.nn.layers._layer import Layer, features_of, param_dtype, parameter, spec
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of, shape_of

__all__ = ["Cell", "gru", "gru_cell", "lstm", "lstm_cell", "recurrent", "rnn", "rnn_cell"]

_INPUT, _HIDDEN = glorot_uniform(), orthogonal()


class Cell(NamedTuple):
    """Pure functions that make one step of a recurrent network.

    Attributes:
        init: `init(key, x, dtype=None)` gives parameters; x is an example, or its shape `(..., n)`.
        step: `step(params, carry, x)` gives `(carry, y)`.
        start: `start(params, shape)` gives the carry to begin with, for inputs of shape `(*shape, n)`.
        name: the layer's name.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    start: Callable[..., Any]
    name: str = "cell"


def _init(name: str, features: int, gates: int, forget: float = 0.0) -> Callable[..., Any]:
    def init(key: Any, x: Any, dtype: Any = None) -> Any:
        n, dtype = features_of(spec(x), name), param_dtype(x, dtype)
        keys = random.split(key, 2 * gates)
        bias = np.zeros(gates * features, dtype)
        bias[features : 2 * features] = forget
        return {
            "input": np.concatenate([_INPUT(k, (n, features), dtype) for k in keys[:gates]], -1),
            "hidden": np.concatenate([_HIDDEN(k, (features, features), dtype) for k in keys[gates:]], -1),
            "bias": bias,
        }

    return init


def _zeros(params: Any, shape: tuple[int, ...], features: int) -> Any:
    return np.zeros((*shape, features), dtype_of(params["bias"]))


def _from_input(params: Any, x: Any, name: str) -> Any:
    weight = parameter(params, name, "input")
    if features_of(x, name) != shape_of(weight)[0]:
        raise ShapeError(f"{name}: an input {shape_of(x)} does not fit a weight {shape_of(weight)}")
    return np.matmul(array_operand(x), weight) + parameter(params, name, "bias")


def rnn_cell(features: int, activation: Callable[[Any], Any] = np.tanh) -> Cell:
    """h ← activation(x · input + h · hidden + bias), which is the output too (Elman, 1990).

    The parameters are input `(n, features)`, hidden `(features, features)` and bias `(features,)`; the carry is h.

    >>> from funcgrad import random
    >>> cell = rnn_cell(2)
    >>> params = cell.init(random.key(0), (3,))
    >>> h, y = cell.step(params, cell.start(params, (5,)), np.ones((5, 3)))
    >>> h.shape
    (5, 2)
    """

    def step(params: Any, h: Any, x: Any) -> Any:
        h = activation(_from_input(params, x, "rnn") + np.matmul(h, params["hidden"]))
        return h, h

    return Cell(_init("rnn", features, 1), step, lambda params, shape=(): _zeros(params, shape, features), "rnn")


def lstm_cell(features: int, forget_bias: float = 1.0) -> Cell:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; with forget gates, Gers et al., 2000).

    i, f, g, o are parts of x · input + h · hidden + bias, in this order; c ← σ(f) · c + σ(i) · tanh(g);
    h ← σ(o) · tanh(c), which is the output too. The parameters are input `(n, 4 features)`, hidden
    `(features, 4 features)` and bias `(4 features,)`; the carry is `(c, h)`.

    Args:
        features: the size of c and h.
        forget_bias: what the bias of the forget gates begins with (Jozefowicz et al., 2015).

    >>> from funcgrad import random
    >>> cell = lstm_cell(2)
    >>> params = cell.init(random.key(0), (3,))
    >>> (c, h), y = cell.step(params, cell.start(params, (5,)), np.ones((5, 3)))
    >>> c.shape, params["bias"][:5]
    ((5, 2), array([0., 0., 1., 1., 0.]))
    """

    def step(params: Any, carry: Any, x: Any) -> Any:
        c, h = carry
        i, f, g, o = np.split(_from_input(params, x, "lstm") + np.matmul(h, params["hidden"]), 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (c, h), h

    def start(params: Any, shape: tuple[int, ...] = ()) -> Any:
        return _zeros(params, shape, features), _zeros(params, shape, features)

    return Cell(_init("lstm", features, 4, forget_bias), step, start, "lstm")


def gru_cell(features: int) -> Cell:
    """Gated recurrent units (Cho et al., 2014).

    With r, z, n the parts of x · input + bias and of h · hidden, in this order: r = σ(r + r'), z = σ(z + z'),
    n = tanh(n + r · (n' + hidden_bias)); h ← (1 - z) · n + z · h, which is the output too. The parameters are input
    `(n, 3 features)`, hidden `(features, 3 features)`, bias `(3 features,)` and hidden_bias `(features,)`; the carry
    is h.

    >>> from funcgrad import random
    >>> cell = gru_cell(2)
    >>> params = cell.init(random.key(0), (3,))
    >>> h, y = cell.step(params, cell.start(params, (5,)), np.ones((5, 3)))
    >>> h.shape
    (5, 2)
    """
    plain = _init("gru", features, 3)

    def init(key: Any, x: Any, dtype: Any = None) -> Any:
        params = plain(key, x, dtype)
        return params | {"hidden_bias": np.zeros(features, params["bias"].dtype)}

    def step(params: Any, h: Any, x: Any) -> Any:
        r, z, n = np.split(_from_input(params, x, "gru"), 3, -1)
        r2, z2, n2 = np.split(np.matmul(h, params["hidden"]), 3, -1)
        z = sigmoid(z + z2)
        h = (1 - z) * np.tanh(n + sigmoid(r + r2) * (n2 + params["hidden_bias"])) + z * h
        return h, h

    return Cell(init, step, lambda params, shape=(): _zeros(params, shape, features), "gru")


def recurrent(cell: Cell, sequences: bool = True, reverse: bool = False) -> Layer:
    """A cell along a sequence: from `(batch, time, n)` to `(batch, time, features)`.

    The parameters are the cell's. With a state made with a cache, `{"carry": …}`, a sequence goes on from where the
    last one ended.

    Args:
        cell: makes one step.
        sequences: give the outputs of all steps; else the last one's, `(batch, features)`.
        reverse: from the end to the beginning.

    >>> from funcgrad import random
    >>> layer = recurrent(gru_cell(4), sequences=False)
    >>> layer.apply(layer.init(random.key(0), (-1, 10, 3)), np.ones((2, 10, 3))).shape
    (2, 4)
    """

    def init(key: Any, x: Any, dtype: Any = None) -> Any:
        features_of(spec(x), cell.name, 3)
        return cell.init(key, x, dtype)

    def state(params: Any, x: Any, cache: int = 0) -> Any:
        if cache and reverse:
            raise ValueError(f"{cell.name}: a reversed sequence cannot go on, so it has no cache")
        return {"carry": cell.start(params, (shape_of(spec(x))[0],))} if cache else {}

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        x = array_operand(x)
        if x.ndim != 3:
            raise ShapeError(f"{cell.name}: the input must be (batch, time, features), got {x.shape}")
        carry = state["carry"] if state else cell.start(params, (x.shape[0],))
        wide = np.result_type(dtype_of(x), *map(dtype_of, tree.leaves(params)))
        carry = tree.map(lambda c: c.astype(wide), carry)
        last, ys = scan(lambda carry, x: cell.step(params, carry, x), carry, np.swapaxes(x, 0, 1), reverse=reverse)
        y = np.swapaxes(ys, 0, 1) if sequences else ys[0 if reverse else -1]
        return y if state is None else (y, {"carry": last} if state else state)

    return Layer(init, apply, state, cell.name)


def rnn(
    features: int, activation: Callable[[Any], Any] = np.tanh, sequences: bool = True, reverse: bool = False
) -> Layer:
    """`recurrent` with `rnn_cell`.

    >>> from funcgrad import random
    >>> layer = rnn(4)
    >>> layer.apply(layer.init(random.key(0), (-1, 10, 3)), np.ones((2, 10, 3))).shape
    (2, 10, 4)
    """
    return recurrent(rnn_cell(features, activation), sequences, reverse)


def lstm(features: int, forget_bias: float = 1.0, sequences: bool = True, reverse: bool = False) -> Layer:
    """`recurrent` with `lstm_cell`.

    >>> from funcgrad import random
    >>> from funcgrad.nn.layers import parallel
    >>> layer = parallel(lstm(4), lstm(4, reverse=True), merge=lambda ys: np.concatenate(ys, -1))
    >>> layer.apply(layer.init(random.key(0), (-1, 10, 3)), np.ones((2, 10, 3))).shape
    (2, 10, 8)
    """
    return recurrent(lstm_cell(features, forget_bias), sequences, reverse)


def gru(features: int, sequences: bool = True, reverse: bool = False) -> Layer:
    """`recurrent` with `gru_cell`.

    >>> from funcgrad import random
    >>> layer = gru(4, reverse=True)
    >>> layer.apply(layer.init(random.key(0), (-1, 10, 3)), np.ones((2, 10, 3))).shape
    (2, 10, 4)
    """
    return recurrent(gru_cell(features), sequences, reverse)
