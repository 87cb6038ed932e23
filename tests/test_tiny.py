"""Everything once, in a few seconds: run this after every edit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as jnp
from funcgrad import (
    checkpoint,
    custom_jvp,
    eval_shape,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jit,
    jvp,
    lax,
    linearize,
    make_ir,
    tree,
    value_and_grad,
    vjp,
    vmap,
)
from funcgrad.test_util import check_grads

X = np.array([0.5, -1.0, 2.0])


def f(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


def test_grad() -> None:
    np.testing.assert_allclose(grad(f)(X), np.cos(X) * X + np.sin(X))
    assert value_and_grad(lambda x: x**2)(3.0) == (9.0, 6.0)
    assert grad(grad(grad(lambda x: x**4)))(1.0) == 24.0


def test_jvp_and_vjp() -> None:
    y, pullback = vjp(lambda x: x * X, X)
    np.testing.assert_allclose(y, X * X)
    np.testing.assert_allclose(pullback(np.ones(3))[0], X)
    assert jvp(lambda x: x * x, (3.0,), (1.0,)) == (9.0, 6.0)


def test_pytrees() -> None:
    params = {"w": [np.ones((2, 3)), np.ones(3)], "b": (1.0,)}

    def loss(p: Any) -> Any:
        return np.sum((np.ones(2) @ p["w"][0]) * p["w"][1]) + p["b"][0]

    grads = grad(loss)(params)
    assert tree.structure(grads) == tree.structure(params)
    assert grads["b"] == (1.0,)


def test_indexing_linalg_einsum() -> None:
    a = np.array([[4.0, 1.0], [1.0, 3.0]])
    check_grads(lambda a: np.linalg.solve(a, a[0])[::-1], (a,), 2)
    check_grads(lambda a: np.einsum("ij,kj->ik", a, a[np.array([0, 0, 1])]), (a,), 2)
    check_grads(lambda a: a.at[0, 1].set(a[1, 1] ** 2) if hasattr(a, "at") else _set(a), (a,), 2)
    check_grads(lambda a: np.sort(a.ravel())[-2:] * np.cumsum(a.ravel())[:2], (a,), 2)


def _set(a: Any) -> Any:
    b = a.copy()
    b[0, 1] = a[1, 1] ** 2
    return b


def test_programs() -> None:
    program = make_ir(grad(f))(X)
    np.testing.assert_allclose(program(X)[0], grad(f)(X))
    assert "cos" in str(program)
    assert eval_shape(f, X).shape == ()


def test_transformations_compose() -> None:
    np.testing.assert_allclose(vmap(grad(lambda x: x**3))(X), 3 * X**2)
    np.testing.assert_allclose(jit(vmap(jit(grad(lambda x: x**3))))(X), 3 * X**2)
    np.testing.assert_allclose(jacfwd(lambda x: x * x)(X), jacrev(lambda x: x * x)(X))
    np.testing.assert_allclose(hessian(f)(X), np.diag(2 * np.cos(X) - X * np.sin(X)))
    np.testing.assert_allclose(grad(checkpoint(f))(X), grad(f)(X))
    _, push = linearize(f, X)
    np.testing.assert_allclose(push(X), grad(f)(X) @ X)


def test_custom_rule() -> None:
    @custom_jvp
    def double(x: Any) -> Any:
        return 2.0 * x

    double.defjvp(lambda primals, tangents: (double(*primals), 7.0 * tangents[0]))
    assert grad(double)(1.0) == 7.0


def test_control_flow() -> None:
    def power(x: Any) -> Any:
        return lax.scan(lambda c, _: (c * x, None), 1.0, None, length=3)[0]

    assert grad(power)(2.0) == 12.0
    assert jit(grad(power))(2.0) == 12.0
    root = grad(lambda a: lax.while_loop(lambda s: abs(s * s - a) > 1e-9, lambda s: (s + a / s) / 2, a))
    np.testing.assert_allclose(root(4.0), 0.25)
    np.testing.assert_allclose(
        vmap(lambda x: lax.cond(x > 0, np.sin, np.cos, x))(X), np.where(X > 0, np.sin(X), np.cos(X))
    )


def test_namespace() -> None:
    assert grad(lambda x: jnp.sum(jnp.array([x, [x][0] ** 2])))(3.0) == 7.0
    assert isinstance(jnp.zeros(3), np.ndarray)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"test_tiny\.py"):
        grad(lambda x: np.sum(x + np.ones(5)))(X)
    with pytest.raises(TypeError, match="scalar"):
        grad(lambda x: x)(X)
    with pytest.raises(AssertionError):
        check_grads(lambda x: x * lax.stop_gradient(x), (X,), 1)
