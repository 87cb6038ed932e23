"""What a layer is, and what all layers need: specifications of inputs, parameters by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.errors import ShapeError
from funcgrad.transforms.make_ir import eval_shape
from funcgrad.types import ShapeDtypeStruct, dtype_of, is_a, shape_of

__all__ = ["Layer", "features_of", "output_of", "param_dtype", "parameter", "spec", "stateless"]


def _no_state(params: Any, x: Any, cache: int = 0) -> dict[str, Any]:
    """No state."""
    return {}


class Layer(NamedTuple):
    """Pure functions that make up a layer; `funcgrad.nn.layers` says what each takes and gives.

    Attributes:
        init: `init(key, x, dtype=None)` gives parameters.
        apply: `apply(params, x, state=None, key=None, train=False, mask=None)` gives outputs, and a state for a state.
        state: `state(params, x, cache=0)` gives the state to begin with.
        name: what `serial` calls the parameters by, with the layer's number.
    """

    init: Callable[..., Any]
    apply: Callable[..., Any]
    state: Callable[..., Any] = _no_state
    name: str = "layer"


def stateless(init: Callable[..., Any] | None, fun: Callable[..., Any], name: str = "layer") -> Layer:
    """A layer of one's own, without state and randomness.

    Args:
        init: `init(key, spec, dtype)` gives a dictionary of parameters, of a `ShapeDtypeStruct` and a dtype; None if
            there are none.
        fun: `fun(params, x)` gives the output.
        name: the layer's name.

    >>> scale = stateless(lambda key, x, dtype: {"factor": np.ones(x.shape[-1], dtype)}, lambda p, x: p["factor"] * x)
    >>> scale.apply(scale.init(None, (-1, 2)), np.ones((1, 2)))
    array([[1., 1.]])
    """

    def init_(key: Any, x: Any, dtype: Any = None) -> Any:
        return {} if init is None else init(key, spec(x), param_dtype(x, dtype))

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        out = fun(params, x)
        return out if state is None else (out, state)

    return Layer(init_, apply, name=name)


def _is_shape(x: Any) -> bool:
    return is_a(x, (tuple, list)) and all(is_a(n, (int, np.integer)) for n in x)


def spec(x: Any) -> Any:
    """The shape and dtype of an input, or of each leaf of one that is a tree; a size of -1 is taken for 1."""
    if _is_shape(x):
        return ShapeDtypeStruct(tuple(1 if n == -1 else int(n) for n in x), np.dtype(np.float64))
    if is_a(x, (tuple, list, dict)):
        return tree.map(spec, x, is_leaf=lambda leaf: leaf is not x and _is_shape(leaf))
    return ShapeDtypeStruct(shape_of(x), dtype_of(x)) if not isinstance(x, ShapeDtypeStruct) else x


def param_dtype(x: Any, dtype: Any) -> np.dtype[Any]:
    """The dtype of parameters: as asked for, as that of the input, or float64."""
    if dtype is not None:
        return np.dtype(dtype)
    kinds = [leaf.dtype for leaf in tree.leaves(spec(x)) if leaf.dtype.kind in "fc"]
    return np.result_type(*kinds) if kinds else np.dtype(np.float64)


def output_of(layer: Layer, params: Any, x: Any) -> Any:
    """Shape and dtype of a layer's output on an input of which these are known."""
    x = spec(x)
    return eval_shape(lambda p, s, x: layer.apply(p, x, state=s)[0], params, layer.state(params, x), x)


def features_of(x: Any, name: str, ndim: int = 1) -> int:
    """The number of features, which come last; at least so many dimensions are needed."""
    shape = shape_of(x)
    if len(shape) < ndim:
        raise ShapeError(f"{name}: the input needs at least {ndim} dimensions with the features last, got {shape}")
    return shape[-1]


def parameter(params: Any, layer: str, name: str) -> Any:
    """A parameter by name; a ValueError that says which there are, if it is not there."""
    try:
        return params[name]
    except (KeyError, TypeError, IndexError):
        have: Sequence[Any] = sorted(params) if isinstance(params, dict) else [type(params).__name__]
    raise ValueError(f"{layer}: no parameter {name!r} among {list(have)}; parameters are what `init` gives")
