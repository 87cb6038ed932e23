"""Second moments in less memory than the parameters take: rows and columns of matrices, one vector for each axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.optim._base import (
    GradientTransformation,
    cast_like,
    counter,
    increment,
    moment,
    needs_params,
    square,
    zeros_like,
)
from funcgrad.types import dtype_of, shape_of

__all__ = ["FactoredState", "ScaleBySM3State", "scale_by_factored_rms", "scale_by_sm3"]


class FactoredState(NamedTuple):
    """The count of steps; averages of rows and of columns where there are both, of each element where not."""

    count: Any
    v_row: Any
    v_col: Any
    v: Any


class ScaleBySM3State(NamedTuple):
    """One vector for each axis of each leaf, and the momentum."""

    mu: Any
    nu: Any


def _two_longest(shape: tuple[int, ...], factored: bool, least: int) -> tuple[int, int] | None:
    """The second longest and the longest axis of what is factored."""
    if not factored or len(shape) < 2:
        return None
    order = np.argsort(shape)
    return (int(order[-2]), int(order[-1])) if shape[order[-2]] >= least else None


def _power_decay(step: Any, exponent: float) -> Any:
    return 1.0 - (step + 1.0) ** (-exponent)


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: float = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: float = 1e-30,
    decay_rate_fn: Callable[[Any, float], Any] = _power_decay,
) -> GradientTransformation:
    """Divide by the root of second moments that are products of rows and columns (arXiv:1804.04235).

    Args:
        factored: whether to factor at all.
        decay_rate: the exponent of the decay 1 - t^(-decay_rate).
        step_offset: the step at which the decay begins.
        min_dim_size_to_factor: the two longest axes must have this size.
        epsilon: added to squares.
        decay_rate_fn: the decay, of the step and `decay_rate`.
    """

    def init(params: Any) -> FactoredState:
        def parts(p: Any) -> tuple[Any, Any, Any]:
            shape, dtype = shape_of(p), dtype_of(p)
            axes = _two_longest(shape, factored, min_dim_size_to_factor)
            none = np.zeros((1,), dtype)
            if axes is None:
                return none, none.copy(), np.zeros(shape, dtype)
            rows, cols = (np.zeros(tuple(n for i, n in enumerate(shape) if i != d), dtype) for d in axes[::-1])
            return rows, cols, none

        return FactoredState(counter(), *_columns(3, params, parts))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        needs_params(params, "scale_by_factored_rms")
        rate = decay_rate_fn(state.count - step_offset, decay_rate)

        def one(g: Any, row: Any, col: Any, v: Any) -> tuple[Any, Any, Any, Any]:
            decay = cast_like(rate, v)
            squares = square(g) + epsilon
            axes = _two_longest(shape_of(g), factored, min_dim_size_to_factor)
            if axes is None:
                v = cast_like(decay * v + (1.0 - decay) * squares, v)
                return g * v**-0.5, row, col, v
            d1, d0 = axes
            row = cast_like(decay * row + (1.0 - decay) * np.mean(squares, axis=d0), row)
            col = cast_like(decay * col + (1.0 - decay) * np.mean(squares, axis=d1), col)
            mean = np.mean(row, axis=d1 - 1 if d1 > d0 else d1, keepdims=True)
            scaled = g * np.expand_dims((row / mean) ** -0.5, d0) * np.expand_dims(col**-0.5, d1)
            return scaled, row, col, v

        new, row, col, v = _columns(4, updates, one, state.v_row, state.v_col, state.v)
        return new, FactoredState(increment(state.count), row, col, v)

    return GradientTransformation(init, update)


def _columns(n: int, first: Any, f: Callable[..., tuple[Any, ...]], *rest: Any) -> list[Any]:
    """The trees of the first, the second, … of the `n` results of a function of leaves."""
    leaves, treedef = tree.flatten(first)
    others = [treedef.flatten_up_to(x) for x in rest]
    results = [f(*xs) for xs in zip(leaves, *others, strict=True)]
    return [treedef.unflatten([result[i] for result in results]) for i in range(n)]


def scale_by_sm3(b1: float = 0.9, b2: float = 1.0, eps: float = 1e-8) -> GradientTransformation:
    """Divide by the root of second moments that are minima over axes (Anil et al., arXiv:1901.11150)."""

    def vectors(p: Any) -> list[Any]:
        if dtype_of(p).kind == "c":
            raise TypeError("scale_by_sm3: parameters must be real")
        return [np.zeros((n,), dtype_of(p)) for n in shape_of(p)]

    def init(params: Any) -> ScaleBySM3State:
        return ScaleBySM3State(tree.map(vectors, params), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def one(g: Any, vs: list[Any]) -> tuple[Any, Any]:
            ndim = len(shape_of(g))
            share = 1.0 if b2 == 1.0 else 1.0 - b2
            least: Any = 0.0
            for i, v in enumerate(vs):
                spread = np.reshape(v, (-1,) + (1,) * (ndim - i - 1))
                least = spread if i == 0 else np.minimum(least, spread)
            total = share * g**2 + b2 * least
            scaled = np.where(total > 0, g / np.sqrt(np.where(total > 0, total, 1) + eps), 0)
            axes = [tuple(k for k in range(ndim) if k != i) for i in range(ndim)]
            return cast_like(scaled, g), [np.max(total, axis=a, initial=0) if a else total for a in axes]

        scaled, mu = _columns(2, updates, one, state.mu)
        nu = moment(scaled, state.nu, b1)
        return nu, ScaleBySM3State(mu, nu)

    return GradientTransformation(init, update)
