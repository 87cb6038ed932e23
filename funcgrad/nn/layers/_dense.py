"""Dense layers, embeddings, dropout, and functions as layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.random as random
from funcgrad.errors import ShapeError
from funcgrad.nn.initializers import Initializer, lecun_normal, normal, zeros
from funcgrad.nn.layers._layer import Layer, features_of, parameter, stateless
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import take
from funcgrad.types import dtype_of, shape_of

__all__ = ["activation", "dense", "dropout", "embedding", "flatten"]

_WEIGHT, _TABLE = lecun_normal(), normal(1.0)


def activation(fun: Callable[..., Any], name: str | None = None) -> Layer:
    """A function of one array as a layer without parameters.

    >>> activation(np.tanh).apply({}, np.zeros(2))
    array([0., 0.])
    """

    def call(params: Any, x: Any) -> Any:
        y = fun(x)
        if isinstance(y, Layer):
            raise TypeError(f"activation: {fun!r} makes a layer, it is not one; call it with its sizes first")
        return y

    return stateless(None, call, name or getattr(fun, "__name__", "activation"))


def dense(
    features: int | None = None, bias: bool = True, weight_init: Initializer = _WEIGHT, bias_init: Initializer = zeros
) -> Layer:
    """x · weight + bias, from `(..., n)` to `(..., features)`.

    The parameters are weight `(n, features)` and bias `(features,)`.

    Args:
        features: how many numbers come out; as many as go in, if None.
        bias: whether there is one.
        weight_init, bias_init: initialisers.

    >>> from funcgrad import random
    >>> layer = dense(2)
    >>> params = layer.init(random.key(0), (-1, 3), np.float32)
    >>> params["weight"].shape, params["bias"]
    ((3, 2), array([0., 0.], dtype=float32))
    """

    def init(key: Any, x: Any, dtype: Any) -> Any:
        n = features_of(x, "dense")
        k1, k2 = random.split(key)
        wide = n if features is None else features
        params = {"weight": weight_init(k1, (n, wide), dtype)}
        return params | {"bias": bias_init(k2, (wide,), dtype)} if bias else params

    def fun(params: Any, x: Any) -> Any:
        weight = parameter(params, "dense", "weight")
        if features_of(x, "dense") != shape_of(weight)[0]:
            raise ShapeError(f"dense: an input {shape_of(x)} does not fit a weight {shape_of(weight)}")
        y = np.matmul(array_operand(x), weight)
        return y + parameter(params, "dense", "bias") if bias else y

    return stateless(init, fun, "dense")


def embedding(num: int, features: int, table_init: Initializer = _TABLE) -> Layer:
    """A vector for each integer from 0 to num - 1: from integers `(...)` to `(..., features)`.

    The parameter is table `(num, features)`. Raises TypeError for an input that is not of integers.

    >>> from funcgrad import random
    >>> layer = embedding(10, 4)
    >>> layer.apply(layer.init(random.key(0), np.array([1])), np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def init(key: Any, x: Any, dtype: Any) -> Any:
        return {"table": table_init(key, (num, features), dtype)}

    def fun(params: Any, x: Any) -> Any:
        table = parameter(params, "embedding", "table")
        if dtype_of(x).kind not in "iu":
            raise TypeError(f"embedding: indices must be integers, got {dtype_of(x)}")
        return take(table, array_operand(x), axis=0)

    return stateless(init, fun, "embedding")


def flatten() -> Layer:
    """From `(batch, ...)` to `(batch, features)`.

    >>> flatten().apply({}, np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def fun(params: Any, x: Any) -> Any:
        shape = shape_of(x)
        if not shape:
            raise ShapeError("flatten: the input needs a batch, got shape ()")
        return np.reshape(array_operand(x), (shape[0], math.prod(shape[1:])))

    return stateless(None, fun, "flatten")


def dropout(rate: float, axes: int | tuple[int, ...] | None = None) -> Layer:
    """In training, makes each element 0 with probability `rate` and divides the others by 1 - rate; else nothing.

    Source: Srivastava et al. (2014). `apply` needs a key in training, and raises ValueError without one.

    Args:
        rate: from 0 to less than 1.
        axes: the axes along which elements are drawn; the same along the others. None for all.

    >>> from funcgrad import random
    >>> dropout(0.5).apply({}, np.ones(4), key=random.key(0), train=True)
    array([2., 2., 0., 0.])
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must be at least 0 and less than 1, got {rate}")

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        y = array_operand(x)
        if train and rate:
            if key is None:
                raise ValueError("dropout: training needs a key: apply(params, x, key=random.key(0), train=True)")
            drawn = range(y.ndim) if axes is None else {i % y.ndim for i in np.atleast_1d(axes).tolist()}
            shape = tuple(n if i in drawn else 1 for i, n in enumerate(y.shape))
            y = np.where(random.bernoulli(key, 1 - rate, shape), y / (1 - rate), 0)
        return y if state is None else (y, state)

    return Layer(lambda key, x, dtype=None: {}, apply, name="dropout")
