"""Where an element stands in its sequence: tables that are added, and rotations of queries and keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.errors import ShapeError
from funcgrad.lax._dynamic import dynamic_slice_in_dim
from funcgrad.nn.initializers import Initializer, normal
from funcgrad.nn.layers._layer import Layer, features_of, param_dtype, parameter, spec
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of, shape_of

__all__ = ["known_overflow", "positions", "rotate", "sinusoids"]

_TABLE = normal(0.02)


def known_overflow(position: Any, steps: int, length: int, name: str) -> bool:
    """Whether it is still to be seen if a piece fits; raises ShapeError where it is known not to."""
    if steps > length or (not isinstance(position, Tracer) and int(position) + steps > length):
        at = "" if isinstance(position, Tracer) else f" from position {int(position)}"
        raise ShapeError(f"{name}: {steps} positions{at} do not fit into {length}")
    return isinstance(position, Tracer)


def _frequencies(n: int, base: float) -> np.ndarray:
    return base ** (-np.arange(n) / n)


def sinusoids(length: int, features: int, base: float = 10000.0, dtype: Any = np.float64) -> Any:
    """Sines and cosines of positions, `(length, features)` (Vaswani et al., 2017).

    Features 2i and 2i + 1 are sine and cosine of position / base^(2i / features). Raises ShapeError where there is
    an odd number of features.

    >>> sinusoids(2, 4).round(4)
    array([[0.    , 1.    , 0.    , 1.    ],
           [0.8415, 0.5403, 0.01  , 1.    ]])
    """
    if features % 2:
        raise ShapeError(f"sinusoids: the number of features must be even, got {features}")
    angles = np.arange(length)[:, None] * _frequencies(features // 2, base)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, features).astype(dtype)


def positions(length: int, learned: bool = False, table_init: Initializer = _TABLE) -> Layer:
    """Adds a table of positions to `(batch, time, features)`: `sinusoids`, or a parameter table `(length, features)`.

    With a state made with a cache, `{"position": …}`, a sequence goes on from where the last one ended.

    Args:
        length: the greatest number of positions; ShapeError for longer sequences, NaN where that is only known later.
        learned: whether the table is a parameter.
        table_init: initialises it.

    >>> positions(10).apply({}, np.zeros((1, 2, 2))).round(4)
    array([[[0.    , 1.    ],
            [0.8415, 0.5403]]])
    """

    def init(key: Any, x: Any, dtype: Any = None) -> Any:
        n = features_of(spec(x), "positions", 2)
        return {"table": table_init(key, (length, n), param_dtype(x, dtype))} if learned else {}

    def state(params: Any, x: Any, cache: int = 0) -> Any:
        return {"position": np.zeros((), np.int64)} if cache else {}

    def apply(params: Any, x: Any, state: Any = None, key: Any = None, train: bool = False, mask: Any = None) -> Any:
        x = array_operand(x)
        n, steps = features_of(x, "positions", 2), x.shape[-2]
        dtype = x.dtype if x.dtype.kind in "fc" else np.dtype(np.float64)
        table = parameter(params, "positions", "table") if learned else sinusoids(length, n, dtype=dtype)
        if shape_of(table)[1] != n:
            raise ShapeError(f"positions: an input {x.shape} does not fit a table {shape_of(table)}")
        at = state["position"] if state else 0
        unsure = known_overflow(at, steps, length, "positions")
        y = x + dynamic_slice_in_dim(table, at, steps)
        if unsure:
            y = np.where(at + steps <= length, y, np.nan)
        return y if state is None else (y, {"position": at + steps} if state else state)

    return Layer(init, apply, state, "positions")


def rotate(x: Any, position: Any = None, base: float = 10000.0) -> Any:
    """Rotary position embedding of queries or keys (Su et al., 2021): products depend on differences of positions.

    Features i and i + H/2 are turned together by the angle position · base^(-2i / H).

    Args:
        x: `(..., time, heads, H)`; H is even, ShapeError otherwise.
        position: of each element in time, `(time,)` or one more dimension of batches; 0, 1, 2, … by default.
        base: of the frequencies.

    >>> rotate(np.ones((2, 1, 2))).round(4)
    array([[[ 1.    ,  1.    ]],
           [[-0.3012,  1.3818]]])
    """
    x = array_operand(x)
    if x.ndim < 3 or x.shape[-1] % 2:
        raise ShapeError(f"rotate: the input must be (..., time, heads, an even number of features), got {x.shape}")
    half = x.shape[-1] // 2
    at = np.arange(x.shape[-3]) if position is None else array_operand(position)
    angles = at[..., None, None] * _frequencies(half, base)
    cos, sin = np.cos(angles).astype(dtype_of(x)), np.sin(angles).astype(dtype_of(x))
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)
