"""The chain of `elementwise`, compiled: value and gradient of sum(tanh(x) * exp(-x**2) + sin(x)).

The NumPy contender works through tiles that stay in the cache, in a few arrays that it allocates
once, and gives the tiles of large inputs to as many threads as there are cores (NumPy's loops
release the lock).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.harness import thread_count
from benchmarks.spec import Goal, Step, Workload
from benchmarks.steps import jax_call
from benchmarks.workloads.elementwise import make_data, make_function

__all__ = ["WORKLOADS"]

TILE_BYTES = 128 * 1024

elementwise = Workload(
    name="elementwise",
    summary="Value and gradient of sum(tanh(x) * exp(-x**2) + sin(x)), compiled.",
    cases={
        "n=1e6 f32": {"n": 1_000_000, "dtype": "float32"},
        "n=1e6 f64": {"n": 1_000_000, "dtype": "float64"},
        "n=1e4 f32": {"n": 10_000, "dtype": "float32"},
        "n=1e4 f64": {"n": 10_000, "dtype": "float64"},
    },
    tiny={
        "n=1e6 f32": {"n": 100_000, "dtype": "float32"},  # several tiles
        "n=1e6 f64": {"n": 1_000, "dtype": "float64"},
        "n=1e4 f32": {"n": 10, "dtype": "float32"},
        "n=1e4 f64": {"n": 10, "dtype": "float64"},
    },
    rtol={"n=1e6 f32": 1e-4, "n=1e6 f64": 1e-11, "n=1e4 f32": 1e-4, "n=1e4 f64": 1e-11},
    goals=(
        Goal("jax jit", over="funcgrad jit", at_least=3.0, cases=("n=1e6 f32",)),
        Goal("torch", over="funcgrad jit", at_least=2.5, cases=("n=1e6 f32",)),
        Goal("jax jit", over="funcgrad jit", at_least=1.0, cases=("n=1e6 f64",)),
        Goal("torch", over="funcgrad jit", at_least=1.0, cases=("n=1e6 f64",)),
        Goal("jax jit", over="funcgrad jit", at_least=2.5, cases=("n=1e4 f32",)),
        Goal("torch", over="funcgrad jit", at_least=3.0, cases=("n=1e4 f32",)),
    ),
)


def _tile(x: np.ndarray, gradient: np.ndarray, t: np.ndarray, e: np.ndarray, s: np.ndarray) -> float:
    """Write one tile's gradient, return its part of the sum; `t`, `e` and `s` are scratch."""
    two, one = x.dtype.type(2), x.dtype.type(1)
    np.tanh(x, out=t)
    np.multiply(x, x, out=e)
    np.negative(e, out=e)
    np.exp(e, out=e)
    np.sin(x, out=s)
    value = float(np.dot(t, e)) + float(np.add.reduce(s))
    # tanh'(x) e - 2 x t e + cos x = (1 - t (t + 2 x)) e + cos x
    np.multiply(x, two, out=s)
    np.add(s, t, out=s)
    np.multiply(s, t, out=s)
    np.subtract(one, s, out=s)
    np.multiply(s, e, out=s)
    np.cos(x, out=gradient)
    np.add(gradient, s, out=gradient)
    return value


def by_hand(x: np.ndarray, threads: int) -> Callable[[], Any]:
    """Value and gradient, tile by tile."""
    size = TILE_BYTES // x.itemsize
    starts = range(0, x.size, size)
    gradient = np.empty_like(x)

    def share(first: int, scratch: np.ndarray) -> float:
        total = 0.0
        for start in starts[first::threads]:
            part = x[start : start + size]
            total += _tile(part, gradient[start : start + size], *scratch[:, : part.size])
        return total

    threads = min(threads, len(starts))
    scratches = [np.empty((3, min(size, x.size)), x.dtype) for _ in range(threads)]
    if threads == 1:
        return lambda: (x.dtype.type(share(0, scratches[0])), gradient)
    pool = ThreadPoolExecutor(threads - 1)

    def call() -> Any:
        others = [pool.submit(share, i, scratches[i]) for i in range(1, threads)]
        total = share(0, scratches[0]) + sum(other.result() for other in others)
        return x.dtype.type(total), gradient

    return call


@elementwise.implementation("numpy", peer=False)
def _(n: int, dtype: str) -> Step:
    return Step(by_hand(make_data(n).astype(dtype), thread_count()))


@elementwise.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(n: int, dtype: str) -> Step:
    import funcgrad

    x = make_data(n).astype(dtype)
    value_and_grad = funcgrad.jit(funcgrad.value_and_grad(make_function(np)))
    return Step(lambda: value_and_grad(x))


@elementwise.implementation("jax jit", requires="jax")
def _(n: int, dtype: str) -> Step:
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    return jax_call(jax.jit(jax.value_and_grad(make_function(jax.numpy))), make_data(n).astype(dtype))


@elementwise.implementation("torch")
def _(n: int, dtype: str) -> Step:
    import torch

    x = torch.from_numpy(make_data(n).astype(dtype)).requires_grad_()

    def call() -> Any:
        value = (torch.tanh(x) * torch.exp(-(x**2)) + torch.sin(x)).sum()
        (gradient,) = torch.autograd.grad(value, x)
        return value.detach(), gradient

    return Step(call)


WORKLOADS = (elementwise,)
