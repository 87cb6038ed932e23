"""Normalisation over a batch, over features, over groups of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.nn._softmax import standardize
from funcgrad.nn.layers._layer import Layer, features_of, param_dtype, parameter, spec, stateless
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of, shape_of

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]


def _init(name: str, scale: bool, bias: bool) -> Any:
    def init(key: Any, x: Any, dtype: Any) -> Any:
        n = features_of(x, name)
        params = {"scale": np.ones(n, dtype)} if scale else {}
        return params | {"bias": np.zeros(n, dtype)} if bias else params

    return init


def _affine(params: Any, y: Any, scale: bool, bias: bool, name: str) -> Any:
    for wanted, key in ((scale, "scale"), (bias, "bias")):
        if wanted and shape_of(parameter(params, name, key)) != shape_of(y)[-1:]:
            raise ShapeError(f"{name}: an input {shape_of(y)} does not fit a {key} {shape_of(params[key])}")
    y = y * params["scale"] if scale else y
    return y + params["bias"] if bias else y


def _statistics(state: Any) -> Any:
    if state is None or "mean" not in state:
        raise ValueError(
            "batch_norm: no mean and variance: call apply(params, x, state), with layer.state(params, x) to begin "
            "with, and keep the state that apply returns in training (train=True without a state normalises by the "
            "batch)"
        )
    return state


def batch_norm(momentum: float = 0.9, epsilon: float = 1e-5, scale: bool = True, bias: bool = True) -> Layer:
    """scale · (x - mean) / √(variance + epsilon) + bias, feature by feature (Ioffe and Szegedy, 2015).

    In training mean and variance are those of the batch (over all axes but the last), and the state that `apply`
    returns has running means of both; in inference they are those of the state, which is needed then. The parameters
    are scale and bias `(features,)`, the state is mean and variance `(features,)`.

    Args:
        momentum: how much of the old state stays at each step of training.
        epsilon: added to the variance.
        scale, bias: whether these parameters exist.

    >>> layer, x = batch_norm(), np.array([[1.0], [3.0]])
    >>> params = layer.init(None, x)
    >>> y, state = layer.apply(params, x, layer.state(params, x), train=True)
    >>> state["mean"], state["variance"]
    (array([0.2]), array([1.]))
    >>> layer.apply(params, x, state)[0].round(3)
    array([[0.8],
           [2.8]])
    """
    init = _init("batch_norm", scale, bias)

    def state(params: Any, x: Any, cache: int = 0) -> Any:
        n = features_of(spec(x), "batch_norm")
        dtype = dtype_of(next(iter(params.values()))) if params else param_dtype(x, None)
        return {"mean": np.zeros(n, dtype), "variance": np.ones(n, dtype)}

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        x = array_operand(x)
        old = None if train and state is None else _statistics(state)
        if not train and old is not None:
            y = (x - old["mean"]) / np.sqrt(old["variance"] + epsilon)
            return _affine(params, y, scale, bias, "batch_norm"), state
        axes = tuple(range(x.ndim - 1))
        if 0 in x.shape[:-1]:
            raise ShapeError(
                f"batch_norm: a batch of shape {x.shape} has no examples to take statistics of; leave it out"
            )
        mean = np.mean(x, axis=axes)
        variance = np.mean(np.square(x - mean), axis=axes)
        y = _affine(params, (x - mean) / np.sqrt(variance + epsilon), scale, bias, "batch_norm")
        if old is None:
            return y

        def running(old: Any, new: Any) -> Any:
            return (momentum * old + (1 - momentum) * new).astype(dtype_of(old))

        return y, {"mean": running(old["mean"], mean), "variance": running(old["variance"], variance)}

    return Layer(lambda key, x, dtype=None: init(key, spec(x), param_dtype(x, dtype)), apply, state, "batch_norm")


def layer_norm(epsilon: float = 1e-5, scale: bool = True, bias: bool = True) -> Layer:
    """scale · (x - mean) / √(variance + epsilon) + bias, with mean and variance over the features (Ba et al., 2016).

    The parameters are scale and bias `(features,)`.

    >>> layer = layer_norm(epsilon=0.0)
    >>> layer.apply(layer.init(None, (-1, 2)), np.array([[1.0, 3.0]]))
    array([[-1.,  1.]])
    """

    def fun(params: Any, x: Any) -> Any:
        return _affine(params, standardize(x, epsilon=epsilon), scale, bias, "layer_norm")

    return stateless(_init("layer_norm", scale, bias), fun, "layer_norm")


def rms_norm(epsilon: float = 1e-6, scale: bool = True) -> Layer:
    """scale · x / √(mean(x²) + epsilon), with the mean over the features (Zhang and Sennrich, 2019).

    The parameter is scale `(features,)`.

    >>> layer = rms_norm(epsilon=0.0)
    >>> layer.apply(layer.init(None, (-1, 2)), np.array([[3.0, 3.0]]))
    array([[1., 1.]])
    """

    def fun(params: Any, x: Any) -> Any:
        x = array_operand(x)
        y = x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + epsilon)
        return _affine(params, y, scale, False, "rms_norm")

    return stateless(_init("rms_norm", scale, False), fun, "rms_norm")


def group_norm(groups: int, epsilon: float = 1e-5, scale: bool = True, bias: bool = True) -> Layer:
    """Normalises each example over its spatial dimensions and over groups of features (Wu and He, 2018).

    The parameters are scale and bias `(features,)`. As many groups as features make it instance normalisation.

    >>> layer = group_norm(2)
    >>> layer.apply(layer.init(None, (-1, 8, 8, 4)), np.ones((1, 8, 8, 4))).shape
    (1, 8, 8, 4)
    """

    def fun(params: Any, x: Any) -> Any:
        x = array_operand(x)
        n = features_of(x, "group_norm", 2)
        if n % groups:
            raise ShapeError(f"group_norm: {n} features do not divide into {groups} groups")
        parts = np.reshape(x, (*x.shape[:-1], groups, n // groups))
        y = standardize(parts, axis=(*range(1, x.ndim - 1), x.ndim), epsilon=epsilon)
        return _affine(params, np.reshape(y, x.shape), scale, bias, "group_norm")

    return stateless(_init("group_norm", scale, bias), fun, "group_norm")
