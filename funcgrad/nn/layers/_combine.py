"""Networks of layers: one after the other, side by side, around a shortcut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcgrad.random as random
from funcgrad.errors import ShapeError
from funcgrad.nn.layers._dense import activation
from funcgrad.nn.layers._layer import Layer, output_of, spec
from funcgrad.types import shape_of

__all__ = ["parallel", "residual", "serial"]


Part = Layer | Callable[[Any], Any]
"""A layer, or a function that stands for `activation` of it."""


def _layer(part: Any, combinator: str) -> Layer:
    if isinstance(part, Layer):
        return part
    if not callable(part):
        raise TypeError(f"{combinator}: a part must be a Layer or a function of an array, got {part!r}")
    return activation(part)


def _named(positional: tuple[Part, ...], named: dict[str, Part], combinator: str) -> dict[str, Layer]:
    numbered = {f"{layer.name}_{i}": layer for i, layer in enumerate(_layer(p, combinator) for p in positional)}
    out = numbered | {name: _layer(part, combinator) for name, part in named.items()}
    if len(out) < len(positional) + len(named):
        raise ValueError(f"{combinator}: two layers have the same name, among {list(out)}")
    return out


def _keys(key: Any, n: int) -> Any:
    return [None] * n if key is None else random.split(key, n)


def _only(**parts: Any) -> dict[str, Any]:
    """What is not an empty dictionary."""
    return {name: part for name, part in parts.items() if not (isinstance(part, dict) and not part)}


def _run(layer: Layer, name: str, params: Any, x: Any, state: Any, **options: Any) -> tuple[Any, Any]:
    """Output and new state, which is None where there is none."""
    if state is None:
        return layer.apply(params.get(name, {}), x, **options), None
    return layer.apply(params.get(name, {}), x, state=state.get(name, {}), **options)


def serial(*layers: Part, **named: Part) -> Layer:
    """The layers one after the other.

    Args:
        *layers: layers, or functions such as `np.tanh`; parameters are called by name and number, such as `dense_0`.
        **named: further layers, by names of one's own.

    >>> from funcgrad import random
    >>> from funcgrad.nn.layers import dense
    >>> net = serial(dense(4), np.tanh, out=dense(2))
    >>> sorted(net.init(random.key(0), (-1, 3)))
    ['dense_0', 'out']
    """
    chain = _named(layers, named, "serial")

    def init(key: Any, x: Any, dtype: Any = None) -> Any:
        x, params = spec(x), {}
        for i, ((name, layer), k) in enumerate(zip(chain.items(), _keys(key, len(chain)), strict=True)):
            params[name] = layer.init(k, x, dtype)
            if i < len(chain) - 1:
                x = output_of(layer, params[name], x)
        return _only(**params)

    def state(params: Any, x: Any, cache: int = 0) -> Any:
        x, states = spec(x), {}
        for i, (name, layer) in enumerate(chain.items()):
            states[name] = layer.state(params.get(name, {}), x, cache)
            if i < len(chain) - 1:
                x = output_of(layer, params.get(name, {}), x)
        return _only(**states)

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        states = {}
        for (name, layer), k in zip(chain.items(), _keys(key, len(chain)), strict=True):
            x, states[name] = _run(layer, name, params, x, state, key=k, train=train, mask=mask)
        return x if state is None else (x, _only(**states))

    return Layer(init, apply, state, "serial")


def parallel(*layers: Part, merge: Callable[[tuple[Any, ...]], Any] | None = None, **named: Part) -> Layer:
    """The layers side by side, all on the same input.

    Args:
        *layers: layers or functions; parameters are called by name and number.
        merge: makes one output of the tuple of them, such as `sum` or `lambda ys: np.concatenate(ys, -1)`.
        **named: further layers, by names of one's own.

    >>> from funcgrad import random
    >>> from funcgrad.nn.layers import dense
    >>> net = parallel(mean=dense(2), spread=serial(dense(2), np.exp))
    >>> mean, spread = net.apply(net.init(random.key(0), (-1, 3)), np.ones((5, 3)))
    >>> mean.shape, spread.shape
    ((5, 2), (5, 2))
    """
    branches = _named(layers, named, "parallel")

    def init(key: Any, x: Any, dtype: Any = None) -> Any:
        keys = _keys(key, len(branches))
        return _only(**{n: b.init(k, x, dtype) for (n, b), k in zip(branches.items(), keys, strict=True)})

    def state(params: Any, x: Any, cache: int = 0) -> Any:
        return _only(**{name: layer.state(params.get(name, {}), x, cache) for name, layer in branches.items()})

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        outs, states = [], {}
        for (name, layer), k in zip(branches.items(), _keys(key, len(branches)), strict=True):
            out, states[name] = _run(layer, name, params, x, state, key=k, train=train, mask=mask)
            outs.append(out)
        y = tuple(outs) if merge is None else merge(tuple(outs))
        return y if state is None else (y, _only(**states))

    return Layer(init, apply, state, "parallel")


def residual(layer: Part, shortcut: Layer | None = None) -> Layer:
    """x + layer(x), or shortcut(x) + layer(x) (He et al., 2016).

    The parameters are those of the layer; with a shortcut, `{"layer": …, "shortcut": …}`. Raises ShapeError where the
    shapes differ.

    >>> net = residual(np.square)
    >>> net.apply({}, np.array([3.0]))
    array([12.])
    """
    layer = _layer(layer, "residual")
    inner = layer if shortcut is None else parallel(layer=layer, shortcut=shortcut)

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        out = inner.apply(params, x, state=state, key=key, train=train, mask=mask)
        ys, new = (out, None) if state is None else out
        y, short = (ys, x) if shortcut is None else ys
        if shape_of(y) != shape_of(short):
            raise ShapeError(
                f"residual: {layer.name} gives shape {shape_of(y)}, which cannot be added to {shape_of(short)}; a "
                "shortcut such as dense(features) makes them equal"
            )
        return short + y if state is None else (short + y, new)

    return Layer(inner.init, apply, inner.state, "residual")
