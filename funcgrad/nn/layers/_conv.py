"""Convolutions and pooling, in one, two or more spatial dimensions, with the features last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.random as random
from funcgrad.errors import ShapeError
from funcgrad.lax._conv import ConvDimensionNumbers, conv_general_dilated
from funcgrad.lax._conv import conv_transpose as _conv_transpose
from funcgrad.lax._windows import reduce_window
from funcgrad.nn.initializers import Initializer, lecun_normal, zeros
from funcgrad.nn.layers._layer import Layer, features_of, parameter, stateless
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = ["avg_pool", "conv", "conv_transpose", "global_avg_pool", "global_max_pool", "max_pool"]

_WEIGHT = lecun_normal()
Sizes = int | Sequence[int]


def _sizes(x: Sizes, n: int, name: str, what: str) -> tuple[int, ...]:
    """One size for each of n spatial dimensions."""
    out = (x,) * n if is_a(x, int) else tuple(x)
    if len(out) != n:
        raise ShapeError(f"{name}: {what} {out} for {n} spatial dimensions")
    return out


def _spatial(x: Any, name: str) -> int:
    n = len(shape_of(x)) - 2
    if n < 1:
        raise ShapeError(f"{name}: the input must be (batch, spatial dimensions, features), got {shape_of(x)}")
    return n


def _with_bias(params: Any, y: Any, bias: bool, name: str) -> Any:
    return y + parameter(params, name, "bias") if bias else y


def conv(
    features: int,
    window: Sizes,
    strides: Sizes = 1,
    padding: str | Sequence[tuple[int, int]] = "SAME",
    dilation: Sizes = 1,
    groups: int = 1,
    bias: bool = True,
    weight_init: Initializer = _WEIGHT,
    bias_init: Initializer = zeros,
) -> Layer:
    """A convolution, of `(batch, time, n)`, `(batch, height, width, n)`, …

    The parameters are weight `(*window, n / groups, features)` and bias `(features,)`.

    Args:
        features: how many features come out.
        window: the size of the kernel, one number for all spatial dimensions or one for each.
        strides, dilation: as `window`.
        padding: "SAME", "VALID" or a pair of numbers for each spatial dimension.
        groups: features in so many groups, each with kernels of its own.
        bias: whether there is one.
        weight_init, bias_init: initialisers.

    >>> from funcgrad import random
    >>> layer = conv(8, 3, strides=2)
    >>> params = layer.init(random.key(0), (-1, 28, 28, 1))
    >>> params["weight"].shape, layer.apply(params, np.ones((2, 28, 28, 1))).shape
    ((3, 3, 1, 8), (2, 14, 14, 8))
    """

    def init(key: Any, x: Any, dtype: Any) -> Any:
        n = features_of(x, "conv")
        size = _sizes(window, _spatial(x, "conv"), "conv", "window")
        if n % groups or features % groups:
            raise ShapeError(f"conv: {n} features in and {features} out do not divide into {groups} groups")
        k1, k2 = random.split(key)
        params = {"weight": weight_init(k1, (*size, n // groups, features), dtype)}
        return params | {"bias": bias_init(k2, (features,), dtype)} if bias else params

    def fun(params: Any, x: Any) -> Any:
        n, weight = _spatial(x, "conv"), parameter(params, "conv", "weight")
        if len(shape_of(weight)) != n + 2 or features_of(x, "conv") != shape_of(weight)[-2] * groups:
            raise ShapeError(f"conv: an input {shape_of(x)} does not fit a weight {shape_of(weight)}")
        steps, spread = _sizes(strides, n, "conv", "strides"), _sizes(dilation, n, "conv", "dilation")
        space = tuple(range(1, n + 1))
        numbers = ConvDimensionNumbers((0, n + 1, *space), (n + 1, n, *range(n)), (0, n + 1, *space))
        y = conv_general_dilated(
            x, weight, steps, padding, rhs_dilation=spread, dimension_numbers=numbers, feature_group_count=groups
        )
        return _with_bias(params, y, bias, "conv")

    return stateless(init, fun, "conv")


def conv_transpose(
    features: int,
    window: Sizes,
    strides: Sizes = 1,
    padding: str | Sequence[tuple[int, int]] = "SAME",
    bias: bool = True,
    weight_init: Initializer = _WEIGHT,
    bias_init: Initializer = zeros,
) -> Layer:
    """A transposed convolution: with "SAME", sizes are multiplied by the strides.

    The parameters are weight `(*window, n, features)` and bias `(features,)`; the arguments are those of `conv`.

    >>> from funcgrad import random
    >>> layer = conv_transpose(1, 3, strides=2)
    >>> layer.apply(layer.init(random.key(0), (-1, 7, 7, 8)), np.ones((2, 7, 7, 8))).shape
    (2, 14, 14, 1)
    """

    def init(key: Any, x: Any, dtype: Any) -> Any:
        size = _sizes(window, _spatial(x, "conv_transpose"), "conv_transpose", "window")
        k1, k2 = random.split(key)
        params = {"weight": weight_init(k1, (*size, shape_of(x)[-1], features), dtype)}
        return params | {"bias": bias_init(k2, (features,), dtype)} if bias else params

    def fun(params: Any, x: Any) -> Any:
        n, weight = _spatial(x, "conv_transpose"), parameter(params, "conv_transpose", "weight")
        if len(shape_of(weight)) != n + 2 or shape_of(x)[-1] != shape_of(weight)[-2]:
            raise ShapeError(f"conv_transpose: an input {shape_of(x)} does not fit a weight {shape_of(weight)}")
        y = _conv_transpose(x, weight, _sizes(strides, n, "conv_transpose", "strides"), padding)
        return _with_bias(params, y, bias, "conv_transpose")

    return stateless(init, fun, "conv_transpose")


def _pool(name: str, reducer: np.ufunc, start: float, window: Sizes, strides: Sizes | None, padding: Any) -> Layer:
    def over(x: Any) -> Any:
        n = _spatial(x, name)
        size = _sizes(window, n, name, "window")
        steps = size if strides is None else _sizes(strides, n, name, "strides")
        pads = padding if isinstance(padding, str) else [(0, 0), *padding, (0, 0)]
        return reduce_window(x, start, reducer, (1, *size, 1), (1, *steps, 1), pads)

    def fun(params: Any, x: Any) -> Any:
        x = array_operand(x)
        out = over(x)
        if name == "max_pool":
            return out
        return out / over(np.ones((1, *x.shape[1:-1], 1), dtype_of(out)))

    return stateless(None, fun, name)


def max_pool(window: Sizes, strides: Sizes | None = None, padding: str | Sequence[tuple[int, int]] = "VALID") -> Layer:
    """The largest element of each window.

    Args:
        window: its size, one number for all spatial dimensions or one for each.
        strides: as `window`, which is the default.
        padding: "SAME", "VALID" or a pair of numbers for each spatial dimension.

    >>> max_pool(2).apply({}, np.arange(4.0).reshape(1, 4, 1))[0, :, 0]
    array([1., 3.])
    """
    return _pool("max_pool", np.maximum, -np.inf, window, strides, padding)


def avg_pool(window: Sizes, strides: Sizes | None = None, padding: str | Sequence[tuple[int, int]] = "VALID") -> Layer:
    """The mean of each window, of the elements that are not padding; the arguments are those of `max_pool`.

    >>> avg_pool(2, padding="SAME").apply({}, np.arange(3.0).reshape(1, 3, 1))[0, :, 0]
    array([0.5, 2. ])
    """
    return _pool("avg_pool", np.add, 0.0, window, strides, padding)


def _global(name: str, reduce: Any) -> Layer:
    def fun(params: Any, x: Any) -> Any:
        return reduce(array_operand(x), axis=tuple(range(1, _spatial(x, name) + 1)))

    return stateless(None, fun, name)


def global_avg_pool() -> Layer:
    """The mean over all spatial dimensions, from `(batch, ..., features)` to `(batch, features)`.

    >>> global_avg_pool().apply({}, np.ones((2, 4, 4, 3))).shape
    (2, 3)
    """
    return _global("global_avg_pool", np.mean)


def global_max_pool() -> Layer:
    """The largest element over all spatial dimensions, from `(batch, ..., features)` to `(batch, features)`.

    >>> global_max_pool().apply({}, np.ones((2, 4, 4, 3))).shape
    (2, 3)
    """
    return _global("global_max_pool", np.max)
