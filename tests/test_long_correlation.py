"""Correlations of long sequences are NumPy's, and need no matrix of all their windows."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, vmap
from funcgrad.numpy import _contract

N, M = 900, 700


def sequences(dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, v = ((9 * rng.normal(size=n)).astype(dtype) for n in (N, M))
    return (a + 1j * a[::-1], v - 2j * v[::-1]) if dtype is complex else (a, v)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtype", [float, complex, int, np.float32])
def test_values(mode: Any, dtype: Any) -> None:
    assert N * M > _contract._WINDOWS
    a, v = sequences(dtype)
    for fun in (np.convolve, np.correlate):
        for x, y in ((a, v), (v, a)):
            have, want = jit(lambda x, y, fun=fun: fun(x, y, mode))(x, y), fun(x, y, mode)
            assert have.dtype == want.dtype
            np.testing.assert_allclose(have, want, rtol=1e-3 if dtype is np.float32 else 1e-10, atol=1e-2)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_derivatives_and_batches(mode: Any) -> None:
    a, v = sequences(float)
    weights = np.cos(np.arange(len(np.convolve(a, v, mode))))
    by_a, by_v = grad(lambda a, v: np.sum(np.convolve(a, v, mode) * weights), (0, 1))(a, v)
    da, dv = np.sin(np.arange(N)), np.sin(np.arange(M))
    np.testing.assert_allclose(by_a @ da, np.convolve(da, v, mode) @ weights, rtol=1e-10)
    np.testing.assert_allclose(by_v @ dv, np.convolve(a, dv, mode) @ weights, rtol=1e-10)
    batch = vmap(lambda a: np.convolve(a, v, mode))(np.stack([a, 2 * a]))
    np.testing.assert_allclose(batch[1], 2 * np.convolve(a, v, mode), rtol=1e-9, atol=1e-9)


def test_an_infinity_meets_what_it_overlaps_with_alone() -> None:
    a, v = sequences(float)
    a[300] = np.inf
    np.testing.assert_allclose(jit(np.convolve)(a, v), np.convolve(a, v), rtol=1e-10, atol=1e-9)


def test_memory() -> None:
    x = np.ones(3000)
    tracemalloc.start()
    try:
        np.testing.assert_allclose(grad(lambda x: np.sum(np.convolve(x, x)))(x), 6000.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6000 * 3000 * 8 / 2
