"""Attention with several heads, and the blocks of a transformer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import funcgrad.random as random
from funcgrad.errors import ShapeError
from funcgrad.lax._dynamic import dynamic_update_slice
from funcgrad.nn._activations import gelu
from funcgrad.nn._attention import dot_product_attention
from funcgrad.nn.initializers import Initializer, glorot_uniform, zeros
from funcgrad.nn.layers._combine import residual, serial
from funcgrad.nn.layers._dense import dense, dropout
from funcgrad.nn.layers._layer import Layer, features_of, param_dtype, parameter, spec, stateless
from funcgrad.nn.layers._norm import layer_norm
from funcgrad.nn.layers._positions import known_overflow, rotate
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = ["attention", "feed_forward", "transformer_block"]

_WEIGHT = glorot_uniform()


def _remember(state: Any, k: Any, v: Any, causal: bool) -> tuple[Any, Any, Any, Any]:
    """Keys and values with new ones put into the cache, which of them are looked at, and the new state."""
    at, steps, length = state["position"], k.shape[1], shape_of(state["key"])[1]
    if shape_of(state["key"])[0] != k.shape[0]:
        raise ShapeError(f"attention: a batch of {k.shape[0]} for a cache of {shape_of(state['key'])[0]}")
    unsure = known_overflow(at, steps, length, "attention: the cache is full:")
    places = (0, at, 0, 0)
    keys, values = (
        dynamic_update_slice(state[name], new.astype(dtype_of(state[name])), places)
        for name, new in (("key", k), ("value", v))
    )
    seen = np.arange(length) <= (at + np.arange(steps))[:, None]
    new = {"key": keys, "value": values, "position": at + steps}
    if unsure:
        values = np.where(at + steps <= length, values, np.nan)
    return keys, values, seen, new


class _Heads(NamedTuple):
    """What `attention` was asked for."""

    queries: int
    keys: int
    size: int | None
    causal: bool
    bias: bool
    window: Any
    weight_init: Initializer


def _init(heads: _Heads, key: Any, x: Any, dtype: Any = None) -> Any:
    dtype = param_dtype(x, dtype)
    queries, memory = _pair(spec(x))
    n, m = features_of(queries, "attention", 3), features_of(memory, "attention", 3)
    if heads.size is None and n % heads.queries:
        raise ShapeError(f"attention: {n} features do not divide into {heads.queries} heads; give head_features")
    size = n // heads.queries if heads.size is None else heads.size
    q, kv = heads.queries * size, heads.keys * size
    params: dict[str, Any] = {}
    shapes = {"query": (n, q), "key": (m, kv), "value": (m, kv), "out": (q, n)}
    for k, (name, shape) in zip(random.split(key, 4), shapes.items(), strict=True):
        params[name] = {"weight": heads.weight_init(k, shape, dtype)}
        if heads.bias:
            params[name]["bias"] = zeros(None, shape[1:], dtype)
    return params


def _state(heads: _Heads, params: Any, x: Any, cache: int = 0) -> Any:
    if not cache:
        return {}
    if not heads.causal or heads.window is not None:
        raise ValueError("attention: a cache is for attention with causal=True and without a window")
    weight = parameter(parameter(params, "attention", "key"), "attention: key", "weight")
    shape = (shape_of(_pair(spec(x))[0])[0], cache, heads.keys, shape_of(weight)[1] // heads.keys)
    empty = {name: np.zeros(shape, dtype_of(weight)) for name in ("key", "value")}
    return empty | {"position": np.zeros((), np.int64)}


def attention(
    heads: int,
    head_features: int | None = None,
    kv_heads: int | None = None,
    causal: bool = False,
    rotary: bool = False,
    bias: bool = True,
    window: int | tuple[int, int] | None = None,
    weight_init: Initializer = _WEIGHT,
) -> Layer:
    """Attention with several heads (Vaswani et al., 2017), from `(batch, time, n)` to the same shape.

    The input is an array, or a pair `(x, memory)` for queries from x and keys and values from memory,
    `(batch, length, m)`. The parameters are the dictionaries query, key, value and out, each with a weight and, if
    wanted, a bias. With a state made with a cache, `{"key": …, "value": …, "position": …}`, sequences are fed piece by
    piece, and each piece sees the ones before.

    `apply(..., mask=...)` are booleans, which broadcast against `(batch, heads, time, length)`: which keys each query
    sees (the length is that of the cache, if there is one).

    Args:
        heads: how many.
        head_features: the size of each; n / heads by default.
        kv_heads: how many heads keys and values have; as many as queries by default (fewer: Ainslie et al., 2023).
        causal: no position sees later ones.
        rotary: queries and keys are turned by `rotate`.
        bias: whether the four products have one.
        window: how many positions before and after are seen, one number for both or a pair.
        weight_init: initialises weights.

    Raises:
        ShapeError: shapes do not fit, or a cache is full (NaN where that is only known later, as in `jit`).
        ValueError: a cache for attention that is not causal, or with a window.

    >>> from funcgrad import random
    >>> layer = attention(2, causal=True)
    >>> x = np.random.default_rng(0).standard_normal((1, 3, 4))
    >>> params = layer.init(random.key(0), x)
    >>> whole, state = layer.apply(params, x), layer.state(params, x, cache=3)
    >>> for i in range(3):
    ...     y, state = layer.apply(params, x[:, i : i + 1], state)
    >>> np.allclose(y[:, 0], whole[:, 2])
    True
    """
    kv = heads if kv_heads is None else kv_heads
    if heads % kv:
        raise ShapeError(f"attention: {heads} heads of queries for {kv} of keys")
    asked = _Heads(heads, kv, head_features, causal, bias, window, weight_init)
    product = dense(bias=bias)

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        x, memory = _pair(x)
        if state and memory is not x:
            raise ValueError("attention: a cache is for one input, not for a pair")

        def split(name: str, x: Any, n: int) -> Any:
            y = product.apply(parameter(params, "attention", name), x)
            if y.ndim != 3 or y.shape[2] % n:
                raise ShapeError(f"attention: {name} of shape {y.shape} must be (batch, time, {n} heads together)")
            return np.reshape(y, (*y.shape[:2], n, y.shape[2] // n))

        q, k, v = split("query", x, heads), split("key", memory, kv), split("value", memory, kv)
        at = state["position"] if state else 0
        if rotary:
            q, k = rotate(q, at + np.arange(q.shape[1])), rotate(k, at + np.arange(k.shape[1]))
        new, own_causal = state, causal
        if state:
            k, v, seen, new = _remember(state, k, v, causal)
            mask, own_causal = seen if mask is None else np.logical_and(seen, mask), False
        y = dot_product_attention(q, k, v, mask=mask, is_causal=own_causal, local_window_size=window)
        y = np.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))
        y = product.apply(parameter(params, "attention", "out"), y)
        return y if state is None else (y, new)

    return Layer(partial(_init, asked), apply, partial(_state, asked), "attention")


def _pair(x: Any) -> tuple[Any, Any]:
    """Where queries, and where keys and values come from."""
    if is_a(x, (tuple, list)):
        if len(x) != 2:
            raise ShapeError(f"attention: an input is an array or a pair (x, memory), got {len(x)} of them")
        return x[0], x[1]
    return x, x


def feed_forward(
    hidden: int | None = None, activation: Callable[[Any], Any] = gelu, bias: bool = True, gated: bool = False
) -> Layer:
    """Two dense layers with an activation in between, from `(..., n)` to `(..., hidden)`, 4 n by default, and back.

    The parameters are the dictionaries up and down, and gate if it is gated: down(activation(gate(x)) · up(x))
    (Shazeer, 2020).

    >>> from funcgrad import random
    >>> layer = feed_forward(8)
    >>> layer.apply(layer.init(random.key(0), (-1, 4)), np.ones((2, 4))).shape
    (2, 4)
    """
    plain = dense(bias=bias)
    names = ("up", "gate") if gated else ("up",)

    def init(key: Any, x: Any, dtype: Any) -> Any:
        n, keys = features_of(x, "feed_forward"), random.split(key, 3)
        wide = 4 * n if hidden is None else hidden
        up = {name: dense(wide, bias).init(keys[i], x, dtype) for i, name in enumerate(names)}
        return up | {"down": dense(n, bias).init(keys[2], (1, wide), dtype)}

    def fun(params: Any, x: Any) -> Any:
        def product(name: str, x: Any) -> Any:
            return plain.apply(parameter(params, "feed_forward", name), x)

        up = product("up", x)
        return product("down", activation(product("gate", x)) * up if gated else activation(up))

    return stateless(init, fun, "feed_forward")


def transformer_block(
    heads: int,
    hidden: int | None = None,
    causal: bool = False,
    rotary: bool = False,
    kv_heads: int | None = None,
    rate: float = 0.0,
    activation: Callable[[Any], Any] = gelu,
    norm: Callable[[], Layer] = layer_norm,
    bias: bool = True,
    gated: bool = False,
) -> Layer:
    """Attention and a feed-forward network, each after a normalisation and around a shortcut (Xiong et al., 2020).

    From `(batch, time, n)` to the same shape. The parameters are the dictionaries attention and feed_forward, each as
    of a `residual`.

    Args:
        heads, causal, rotary, kv_heads, bias: as for `attention`.
        hidden: the size of the feed-forward network; 4 n by default.
        rate: that of `dropout`, before each sum.
        activation, gated: as for `feed_forward`.
        norm: makes the normalisations: `layer_norm`, `rms_norm`.

    >>> from funcgrad import random
    >>> from funcgrad.nn.layers import embedding, positions
    >>> net = serial(embedding(100, 16), positions(32), transformer_block(4, causal=True), layer_norm(), dense(100))
    >>> params = net.init(random.key(0), np.zeros((1, 8), int), np.float32)
    >>> net.apply(params, np.zeros((2, 8), int)).shape
    (2, 8, 100)
    """
    attend = attention(heads, None, kv_heads, causal, rotary, bias)
    network = feed_forward(hidden, activation, bias, gated)
    block = serial(
        attention=residual(serial(norm=norm(), attention=attend, dropout=dropout(rate))),
        feed_forward=residual(serial(norm=norm(), network=network, dropout=dropout(rate))),
    )
    return block._replace(name="transformer_block")
