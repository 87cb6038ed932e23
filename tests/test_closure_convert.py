"""`closure_convert`: which values that a function closes over become arguments of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import funcgrad as fg


@partial(fg.custom_vjp, nondiff_argnums=(0,))
def _apply(fun: Any, x: Any, *hoisted: Any) -> Any:
    """`fun(x, *hoisted)` with ten times its derivative."""
    return fun(x, *hoisted)


def _backward(fun: Any, kept: Any, ct: Any) -> Any:
    return tuple(10.0 * g for g in fg.vjp(fun, *kept)[1](ct))


_apply.defvjp(lambda fun, *args: (fun(*args), args), _backward)


def _f(w: Any, x: Any) -> Any:
    """w ⌊w⌋ x; the integer stays where it is."""
    n = np.floor(w).astype(int)
    fun, hoisted = fg.closure_convert(lambda x: w * n * x, x)
    assert len(hoisted) == 1
    return _apply(fun, x, *hoisted)


W, X = np.array(3.5), np.array(2.0)


@pytest.mark.parametrize("g", [fg.grad(_f, (0, 1)), fg.jit(fg.grad(_f, (0, 1))), fg.grad(fg.jit(_f), (0, 1))])
def test_integers_are_not_hoisted(g: Any) -> None:
    np.testing.assert_allclose(g(W, X), (60.0, 105.0))


def test_integers_of_a_batch() -> None:
    w = np.array([3.5, 1.5])
    dw, dx = fg.vmap(fg.grad(_f, (0, 1)), (0, None))(w, X)
    np.testing.assert_allclose(dw, [60.0, 20.0])
    np.testing.assert_allclose(dx, [105.0, 15.0])
    np.testing.assert_allclose(fg.vmap(_f, (0, None))(w, X), [21.0, 3.0])


def test_pytrees_and_what_is_not_traced() -> None:
    scale = np.array([1.0, 2.0])

    def f(p: Any) -> Any:
        fun, hoisted = fg.closure_convert(lambda x: {"y": x["a"] * p["w"] * scale + p["b"]}, {"a": X})
        assert len(hoisted) == 2  # the array is no traced value
        other = [2.0 * h for h in hoisted]
        return np.sum(fun({"a": X}, *other)["y"])

    grads = fg.grad(f)({"w": W, "b": X})
    np.testing.assert_allclose([grads["w"], grads["b"]], [12.0, 4.0])
    fun, hoisted = fg.closure_convert(lambda x: x * scale, X)
    assert hoisted == []
    np.testing.assert_allclose(fun(X), [2.0, 4.0])
