"""Where arguments are drawn from: sets on which a function is smooth, so that differences approximate derivatives.

The values of one argument are always distinct and well apart, so that there are no ties; `spread` sees to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Domain

__all__ = [
    "above_one", "at_most", "bools", "definite", "half_open", "indices", "interval", "non_integer", "nonzero",
    "positive", "real", "regular", "rows", "small", "sorted_values", "spread", "unit", "with_nan", "with_zeros",
]  # fmt: skip


def spread(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Random numbers between `low` and `high` in random order, at least half of their mean distance apart."""
    n = math.prod(shape)
    places = (rng.permutation(n) + rng.uniform(0.25, 0.75, n)) / max(n, 1)
    return np.asarray(low + (high - low) * places).reshape(shape)


def interval(low: float, high: float, imaginary: float = 1.0, gap: float = 0.0) -> Domain:
    """Numbers between `low` and `high`, but not within `gap` of 0.

    Complex ones have such a real part, and an imaginary part of at most `imaginary`. Integers are those in between (or 1).
    """

    def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        if dtype.kind in "biu":
            lowest, highest = (0, 1) if dtype.kind == "b" else (0, 100) if dtype.kind == "u" else (-100, 100)
            between = range(max(math.ceil(low), lowest), min(math.floor(high), highest) + 1)
            return np.asarray(rng.choice([i for i in between if i or not gap] or [1], shape)).astype(dtype)
        if gap and low < 0 < high:
            x = spread(rng, shape, low + gap, high - gap)
            x = x + np.where(x < 0, -gap, gap)
        else:
            x = spread(rng, shape, low, high)
        if dtype.kind == "c":
            x = x + 1j * spread(rng, shape, -imaginary, imaginary)
        return np.asarray(x).astype(dtype)

    return draw


real = interval(-2.0, 2.0)
nonzero = interval(-2.0, 2.0, gap=0.3)
positive = interval(0.4, 2.5)
unit = interval(-0.8, 0.8, imaginary=0.5)
half_open = interval(0.15, 0.85, imaginary=0.3)
above_one = interval(1.3, 3.0)
small = interval(-0.5, 0.5, imaginary=0.5)


def at_most(n: float) -> Domain:
    """Numbers of at most this size."""
    return interval(-n, n)


def non_integer(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers from -3 to 3 that are not near a multiple of one half."""
    if dtype.kind in "biu":
        return real(rng, shape, dtype)
    halves = rng.integers(-6, 6, shape) / 2
    x = halves + rng.uniform(0.1, 0.4, shape)
    if dtype.kind == "c":
        x = x + 1j * (rng.integers(-6, 6, shape) / 2 + rng.uniform(0.1, 0.4, shape))
    return np.asarray(x).astype(dtype)


def with_zeros(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers of which the first two in each row are zero."""
    x = real(rng, shape, dtype)
    x[..., :2] = 0
    return x


def with_nan(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers of which the first in each row is NaN."""
    x = nonzero(rng, shape, dtype)
    if dtype.kind in "fc":
        x[..., :1] = np.nan
    return x


def sorted_values(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Ascending along the last axis."""
    return np.sort(interval(0.0, 4.0)(rng, shape, dtype), axis=-1)


def indices(n: int, dtype: Any = np.int64) -> Domain:
    """Integers from -n to n - 1, whatever the dtype of the case."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...], _: np.dtype[Any]) -> np.ndarray:
        return np.asarray(rng.integers(-n, n, shape)).astype(dtype)

    return draw


def rows(n: int) -> Domain:
    """Integers from 0 to n - 1, whatever the dtype of the case."""
    return lambda rng, shape, _: np.asarray(rng.integers(0, n, shape))


def bools(rng: np.random.Generator, shape: tuple[int, ...], _: np.dtype[Any]) -> np.ndarray:
    """True and false in turn, whatever the dtype of the case."""
    return (np.arange(math.prod(shape)) % 2 == 0).reshape(shape)


def _matrices(finish: Callable[[np.ndarray, int], np.ndarray]) -> Domain:
    def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        return finish(small(rng, shape, dtype), shape[-1]).astype(dtype)

    return draw


regular = _matrices(lambda x, n: x + np.diag(2.0 + np.arange(n)))
"""Square matrices with separate eigenvalues, far from singular."""
definite = _matrices(lambda x, n: (x + np.conj(np.swapaxes(x, -1, -2))) / 4 + np.diag(2.0 + np.arange(n)))
"""Hermitian positive definite matrices with separate eigenvalues."""
