"""Random programs of elementwise operations, reductions, broadcasts and transpositions, in kernels of small tiles.

`FUNCGRAD_RANDOM_PROGRAMS=5000 pytest tests/test_fuse_random.py` tries more of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tunings import kept

import funcgrad as fg
from funcgrad import tree
from funcgrad.executor.tiles import tuning
from funcgrad.passes.unroll import Unrolling

COUNT = int(os.environ.get("FUNCGRAD_RANDOM_PROGRAMS", "240"))

ONE: list[Callable[[Any], Any]] = [
    np.tanh, np.sin, np.abs, np.square, np.negative, lambda x: 0.5 * x, lambda x: x + 1,
    lambda x: np.where(x.real > 0, x, 0.5 * x), lambda x: (x.real > 0.1) * x,
]  # fmt: skip
TWO: list[Callable[[Any, Any], Any]] = [
    np.add, np.subtract, lambda x, y: 0.5 * x * y, lambda x, y: np.where(x.real > y.real, x, y),
    lambda x, y: x / (1 + abs(y)), lambda x, y: np.maximum(x.real, y.real),
]  # fmt: skip
OVER: list[Callable[..., Any]] = [
    np.sum,
    np.mean,
    lambda x, **k: np.max(x.real, **k),
    lambda x, **k: np.min(x.real, **k),
]
SHAPED: list[Callable[[Any, Any], Any]] = [
    lambda x, base: np.reshape(x, (1, *x.shape)), np.broadcast_to, lambda x, base: x.T,
    lambda x, base: np.reshape(x, -1),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _small_tiles(unrolled_when: Unrolling) -> Iterator[None]:
    unrolled_when.gain = 0
    with kept(tuning):
        tuning.tile_bytes = tuning.shared_bytes = 256
        tuning.call_ns = tuning.share_ns = 1
        tuning.smallest = 2
        yield


def applied(pick: random.Random, values: list[Any], base: tuple[int, ...]) -> Any:
    """A new value, of the last ones."""
    x, y = (values[-1 - pick.randrange(min(len(values), 6))] for _ in range(2))
    kind = pick.random()
    if kind < 0.3:
        return pick.choice(ONE)(x)
    if kind < 0.75:
        return pick.choice(TWO)(x, y)
    if kind < 0.9:
        axes = tuple(a for a in range(x.ndim) if pick.random() < 0.5)
        return pick.choice(OVER)(x, axis=axes, keepdims=pick.random() < 0.7) if axes else x
    return pick.choice(SHAPED)(x, base)


def function_of(seed: int, base: tuple[int, ...]) -> Callable[..., list[Any]]:
    """A function that does the same in every call: what cannot be done is left out."""

    def f(*xs: Any) -> list[Any]:
        pick, values = random.Random(seed), list(xs)
        for _ in range(pick.randint(4, 25)):
            try:
                value = applied(pick, values, base)
            except ValueError:  # shapes that do not broadcast
                continue
            if value.size < 3000:
                values.append(value)
        return [values[-1 - pick.randrange(len(values))] for _ in range(pick.randint(1, 4))]

    return f


def squares_of(f: Callable[..., list[Any]]) -> Callable[..., Any]:
    return lambda *xs: sum(np.sum(abs(y) ** 2) for y in f(*xs))


@pytest.mark.parametrize("some", range(0, COUNT, 20))
def test_random_programs(some: int) -> None:
    for seed in range(some, min(some + 20, COUNT)):
        pick, rng = random.Random(-1 - seed), np.random.default_rng(seed)
        dtype = pick.choice([np.float64, np.float64, np.float64, np.float32, np.complex128])
        base = tuple(pick.choice([1, 2, 3, 5, 8, 8]) for _ in range(pick.randint(1, 4)))
        shapes = [base, *(tuple(pick.choice([1, n, n]) for n in base) for _ in range(pick.randint(0, 3)))]
        args = [np.asarray(rng.normal(size=s)).astype(dtype) for s in shapes]
        f: Any = function_of(seed, base)
        if pick.random() < 0.35 and dtype != np.float32:
            f = fg.grad(squares_of(f), argnums=tuple(range(len(args))))
        with np.errstate(all="ignore"):
            want, got = tree.leaves(f(*args)), tree.leaves(fg.jit(f)(*args))
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            assert (np.shape(a), np.result_type(a)) == (np.shape(b), np.result_type(b)), (seed, k)
            tolerance = (1e-8 if dtype != np.float32 else 2e-3) * np.max(np.abs(b), initial=1.0)
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=f"program {seed}, result {k}")
