"""Small arrays in compiled programs: sums as products with ones, maxima by search, constants written out."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import funcgrad
from funcgrad import jit

SHAPES = [(1,), (3,), (1, 1), (2, 1), (4, 2), (32, 16), (3, 4, 5), (40, 3, 2), (2, 2000), (1500, 2)]
LAYOUTS: dict[str, Any] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
}


def array(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    return (4 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def close(got: Any, want: Any) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    tolerance = 1e-4 if want.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(shape: tuple[int, ...], dtype: Any, layout: str, keepdims: bool) -> None:
    x = LAYOUTS[layout](array(shape, dtype))
    n = len(shape)
    for axes in {None, 0, -1, tuple(range(n - 1)) or 0, tuple(range(1, n)) or 0}:
        for reduce in (np.sum, np.max, np.min):
            if dtype is np.float16 and reduce is np.sum:
                continue
            f = lambda x, r=reduce, a=axes: (r(x, axis=a, keepdims=keepdims), r(x * 2, axis=a, keepdims=keepdims) * 3)  # noqa: E731
            for got, want in zip(jit(f)(x), f(x), strict=True):
                close(got, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_not_finite(dtype: Any) -> None:
    x = array((40, 3), dtype)
    x[3, 1], x[5, 0], x[6, 2] = np.nan, np.inf, -np.inf
    x[8] = [np.inf, 0, -np.inf]
    with np.errstate(invalid="ignore"):
        for f in (np.sum, np.max, np.min):
            for axis in (None, 0, 1):
                g = lambda x, f=f, axis=axis: f(x, axis=axis)  # noqa: E731
                np.testing.assert_allclose(jit(g)(x), g(x), rtol=1e-5)
        g = lambda x: (np.maximum(x, 0.5), np.minimum(np.nan, x), np.fmax(x, 0.0), np.fmin(x, -1))  # noqa: E731
        x = array((20, 20), dtype)
        x[3, :4] = np.nan, np.inf, -np.inf, -0.0
        for got, want in zip(jit(g)(x), g(x), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64, np.uint16, np.float16])
@pytest.mark.parametrize("shape", [(3,), (255,), (16, 16), (300, 3)])
def test_maximum_with_a_number(dtype: Any, shape: tuple[int, ...]) -> None:
    x = array(shape, dtype) if np.dtype(dtype).kind != "u" else np.abs(array(shape, np.int8)).astype(dtype)
    f = lambda x: (np.maximum(x, 1), np.minimum(2, x) * x, np.maximum(x, x.dtype.type(3)))  # noqa: E731
    for got, want in zip(jit(f)(x), f(x), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype


def test_sums_are_as_accurate_as_numpy() -> None:
    x = np.random.default_rng(0).random((8, 1024)).astype(np.float32)
    got = jit(lambda x: np.sum(x, axis=1))(x)
    want = x.astype(np.float64).sum(1)
    assert np.all(np.abs(got - want) <= 8 * np.spacing(np.float32(512)))


def test_the_source_shows_how() -> None:
    source = jit(lambda x: (np.sum(x, axis=0), np.sum(x, axis=1), np.sum(x), np.max(x, axis=1)))
    text = source.lower(np.ones((40, 6))).source()
    assert text.count(".dot(") == 3 and "argmax" in text
    text = source.lower(np.ones((300, 60))).source()
    assert ".dot(" not in text
    assert "argmax" not in jit(lambda x: np.max(x, axis=1)).lower(np.ones((4, 6))).source()


def test_in_loops() -> None:
    def f(x: Any) -> Any:
        def step(c: Any, y: Any) -> Any:
            rows = np.sum(y * c, axis=0)
            return c + np.max(y, axis=1, keepdims=True), (rows, np.sum(y), np.max(y * c, axis=-1))

        return funcgrad.lax.scan(step, x[0], x)

    x = array((5, 33, 4), np.float64)
    carry, ys = jit(f)(x)
    want, others = f(x)
    close(carry, want)
    for got, other in zip(ys, others, strict=True):
        close(got, other)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.data())
def test_any_axes(shape: list[int], data: st.DataObject) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.sampled_from(range(len(shape)))))))
    keepdims = data.draw(st.booleans())
    x = array(tuple(shape), np.float64)
    if data.draw(st.booleans()):
        x = np.asfortranarray(x)
    for reduce in (np.sum, np.max):
        close(jit(lambda x, r=reduce: r(x, axis=axes, keepdims=keepdims))(x), reduce(x, axis=axes, keepdims=keepdims))


@pytest.mark.parametrize("shape", [(), (3,), (300, 200)])
def test_integers_beyond_the_dtype_are_compared(shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape)
    for f in (lambda x: -3 < x, lambda x: x > 300, lambda x: (x == 1000) | (x >= -(1 << 70)), lambda x: x != 2):
        np.testing.assert_array_equal(jit(f)(x), f(x))
