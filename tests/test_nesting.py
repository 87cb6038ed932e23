"""Derivatives of derivatives: any depth, closures over outer tracers, no confusion between perturbations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, hessian, jacfwd, jit, jvp, vjp, vmap


def derivative_forward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: jvp(f, (x,), (1.0,))[1]


def derivative_pullback(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: vjp(f, x)[1](1.0)[0]


def derivative_jit(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return jit(grad(jit(f)))


WAYS = {"fwd": derivative_forward, "rev": grad, "vjp": derivative_pullback, "jit": derivative_jit}


@pytest.mark.parametrize("outer", WAYS)
@pytest.mark.parametrize("inner", WAYS)
def test_perturbation_confusion(outer: str, inner: str) -> None:
    d, e = WAYS[outer], WAYS[inner]
    # Siskind and Pearlmutter (2005): d/dx (x · d/dy (x + y)) at x = 1 is 1.
    assert d(lambda x: x * e(lambda y: x + y)(1.0))(1.0) == 1.0
    assert d(lambda x: x * e(lambda y: x * y)(2.0))(3.0) == 6.0
    assert d(lambda x: e(lambda y: x * y * y)(x))(3.0) == 12.0
    assert d(lambda x: e(lambda y: x)(x))(3.0) == 0.0


@pytest.mark.parametrize("words", [(a, b, c) for a in WAYS for b in WAYS for c in WAYS if "jit" not in (a, c)])
def test_third_derivatives(words: tuple[str, ...]) -> None:
    f: Callable[[Any], Any] = lambda x: np.sin(x) * x**2  # noqa: E731
    for word in words:
        f = WAYS[word](f)
    x = 0.7
    np.testing.assert_allclose(f(x), (6 - x * x) * np.cos(x) - 6 * x * np.sin(x), rtol=1e-12)


def test_closures_at_every_level() -> None:
    def f(a: Any) -> Any:
        def g(b: Any) -> Any:
            def h(c: Any) -> Any:
                return a * b**2 * c**3

            return grad(h)(2.0) * a

        return grad(g)(3.0) * a

    # f = a · d/db [a · 12 a b²] at b = 3 = 72 a³
    np.testing.assert_allclose(grad(f)(1.0), 216.0)


def test_hessians_agree() -> None:
    def rosenbrock(x: Any) -> Any:
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    x = np.array([0.3, -0.5, 1.2])
    want = hessian(rosenbrock)(x)
    np.testing.assert_allclose(want, want.T)
    for i, e in enumerate(np.eye(3)):
        np.testing.assert_allclose(jvp(grad(rosenbrock), (x,), (e,))[1], want[i])
        np.testing.assert_allclose(grad(lambda x, e=e: jvp(rosenbrock, (x,), (e,))[1])(x), want[i])
        np.testing.assert_allclose(grad(lambda x, i=i: grad(rosenbrock)(x)[i])(x), want[i])
    np.testing.assert_allclose(jacfwd(jacfwd(rosenbrock))(x), want)


def test_gradients_of_an_inner_training_step() -> None:
    x, y = np.linspace(-1, 1, 8), np.linspace(0, 1, 8) ** 2

    def loss(w: Any) -> Any:
        return np.mean((w[0] + w[1] * x - y) ** 2)

    def after(rate: Any) -> Any:
        w = np.zeros(2)
        for _ in range(3):
            w = w - rate * grad(loss)(w)
        return loss(w)

    step = 1e-6
    np.testing.assert_allclose(grad(after)(0.1), (after(0.1 + step) - after(0.1 - step)) / (2 * step), rtol=1e-6)


def test_vmap_inside_and_outside() -> None:
    x = np.linspace(0.1, 1.0, 4)
    want = np.cos(x) - x * np.sin(x)
    np.testing.assert_allclose(vmap(grad(grad(lambda x: x * np.sin(x))))(x), 2 * np.cos(x) - x * np.sin(x))
    np.testing.assert_allclose(grad(lambda x: np.sum(vmap(grad(lambda y: y * np.sin(y)))(x)))(x), want + np.cos(x))
