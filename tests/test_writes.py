"""Writes in place: what NumPy does, seen through every name and view, under every transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

Program = Callable[[Any], Any]


def helper_writes(x: Any) -> Any:
    def norm(h: Any) -> None:
        h -= h.mean()
        h /= 2.0

    h = X @ x[:2]
    norm(h)
    return np.sum(h**2)


def reshape_is_a_view(x: Any) -> Any:
    r = x.reshape(2, 2)
    r *= 3
    return np.sum(x * np.arange(4.0))


def fill_a_new_array(x: Any) -> Any:
    out = np.zeros_like(x)
    for i in range(len(x)):
        out[i] = x[i] ** 2
    return out @ np.arange(4.0)


def rows_of_a_loop(x: Any) -> Any:
    a = x.reshape(2, 2) * 1.0
    for row in a:
        row *= row[0]
    return np.sum(a * a)


def aliases_and_overlaps(x: Any) -> Any:
    first = x
    x += 1
    x[1:] += x[:-1]
    x[:] = x[::-1]
    return np.sum(first * np.arange(4.0))


CASES: dict[str, Program] = {
    f.__name__: f for f in (helper_writes, reshape_is_a_view, fill_a_new_array, rows_of_a_loop, aliases_and_overlaps)
}


def numerical(fun: Program, x: np.ndarray) -> np.ndarray:
    """The gradient by differences of the fourth order, each at copies, since the function writes."""
    h = 1e-3
    out = []
    for e in np.eye(x.size).reshape(x.size, *x.shape):
        near, far = fun(x + h * e) - fun(x - h * e), fun(x + 2 * h * e) - fun(x - 2 * h * e)
        out.append((8 * near - far) / (12 * h))
    return np.array(out).reshape(x.shape)


@pytest.mark.parametrize("fun", CASES.values(), ids=CASES)
def test_every_transformation_is_numpy(fun: Program) -> None:
    x = np.array([0.5, 1.5, -0.7, 2.0])
    before = x.copy()
    want, slope = fun(x.copy()), numerical(fun, x)
    ones = np.ones_like(x)
    value, gradient = fg.value_and_grad(fun)(x)
    np.testing.assert_allclose(value, want)
    np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-8)
    for g in (fg.jit(fg.grad(fun)), fg.grad(fg.jit(fun)), fg.jacfwd(fun), fg.grad(fg.checkpoint(fun))):
        np.testing.assert_allclose(g(x), gradient, rtol=1e-12)
    np.testing.assert_allclose(fg.jit(fun)(x), want)
    np.testing.assert_allclose(fg.vjp(fun, x)[1](1.0)[0], gradient)
    np.testing.assert_allclose(fg.jvp(fun, (x,), (ones,)), (want, gradient.sum()))
    np.testing.assert_allclose(fg.linearize(fun, x)[1](ones), gradient.sum())
    batch = np.stack([x, x[::-1], 2 * x])
    np.testing.assert_allclose(fg.vmap(fun)(batch), [fun(row.copy()) for row in batch])
    np.testing.assert_allclose(fg.vmap(fg.grad(fun))(batch), [fg.grad(fun)(row) for row in batch])
    np.testing.assert_array_equal(x, before)  # the caller's array is as it was
    np.testing.assert_array_equal(batch, np.stack([x, x[::-1], 2 * x]))
