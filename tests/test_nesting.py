"""Derivatives of derivatives: any depth, closures over outer tracers, no confusion between perturbations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, hessian, jacfwd, jacrev, jit, jvp, vjp, vmap


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


# --------------------------------------------------------------------------------------------------------- depth


def test_any_depth() -> None:
    """Six derivatives of x⁷, in every way, and eight of sin."""
    for way in WAYS.values():
        f: Callable[[Any], Any] = lambda x: x**7  # noqa: E731
        want = 1.0
        for i in range(4):
            f, want = way(f), want * (7 - i)
        np.testing.assert_allclose(f(0.9), want * 0.9**3, rtol=1e-12)
    f = np.sin
    for _ in range(8):
        f = derivative_forward(f)
    np.testing.assert_allclose(f(0.3), np.sin(0.3), rtol=1e-13)
    f = np.exp
    for _ in range(7):
        f = grad(f)
    np.testing.assert_allclose(f(0.3), np.exp(0.3), rtol=1e-13)


def test_types_at_every_depth() -> None:
    """A Python float stays one, a float32 stays one."""
    f: Callable[[Any], Any] = lambda x: x**4 / 3 - 2 * x  # noqa: E731
    for _ in range(4):
        f = grad(f)
        assert type(f(2.0)) is float
        assert type(f(np.float32(2.0))) is np.float32
        assert f(np.array(2.0, np.float32)).dtype == np.float32


@pytest.mark.parametrize("outer", WAYS)
@pytest.mark.parametrize("inner", WAYS)
def test_confusion_in_all_its_forms(outer: str, inner: str) -> None:
    d, e = WAYS[outer], WAYS[inner]
    # A function that returns a closure over its argument, differentiated inside and outside.
    assert d(lambda x: e(lambda y: (lambda z: x * z * y)(x))(x))(3.0) == 6.0
    # Manzyuk et al. (2019): the derivative of a function that is itself the value of a derivative.
    assert e(lambda x: d(lambda y: y * y * x)(2.0) * x)(3.0) == 24.0
    # The inner function ignores its own argument, or returns the outer one.
    assert d(lambda x: x * e(lambda y: x * x)(1.0))(2.0) == 0.0
    assert d(lambda x: e(lambda y: x * y)(7.0))(5.0) == 1.0
    # The same function object at both levels.
    cube: Callable[[Any], Any] = lambda x: x**3  # noqa: E731
    assert d(lambda x: e(cube)(x) * cube(x))(2.0) == 15 * 2.0**4
    # The inner derivative at a point that depends on the outer argument, along with the argument itself.
    assert d(lambda x: e(lambda y: y * y * x)(x * x))(2.0) == 6 * 2.0**2
    # Values of the inner level carried out by a container of the outer one.
    np.testing.assert_allclose(
        d(lambda x: e(lambda y: [x * y, y][0] * np.sin(x))(x))(0.5), np.sin(0.5) + 0.5 * np.cos(0.5)
    )


@pytest.mark.parametrize("words", [(a, b, c) for a in WAYS for b in WAYS for c in WAYS if "jit" not in (a, b, c)])
def test_three_levels_of_closures(words: tuple[str, ...]) -> None:
    """d/dx x² d/dy y² d/dz (x y z)² = d/dx x² d/dy 2 x² y⁴ c = 8 c d/dx x⁴ y³, at x = 2, y = 3, z = c = 0.5."""
    dx, dy, dz = (WAYS[w] for w in words)

    def f(x: Any) -> Any:
        def g(y: Any) -> Any:
            return y * y * dz(lambda z: (x * y * z) ** 2)(0.5)

        return x * x * dy(g)(3.0)

    assert dx(f)(2.0) == 8 * 0.5 * 4 * 2.0**3 * 27


def test_the_amazing_bug() -> None:
    """Manzyuk, Pearlmutter, Radul, Rush and Siskind (2019): a derivative whose result is a function.

    D s at u, with s(u)(f)(x) = f(x + u), applied twice must give the second derivative.
    """

    def shifted_derivative(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jvp(lambda u: f(x + u), (0.0,), (1.0,))[1]

    h: Callable[[Any], Any] = np.sin
    twice = shifted_derivative(shifted_derivative(h))
    np.testing.assert_allclose(twice(0.4), -np.sin(0.4), rtol=1e-14)
    np.testing.assert_allclose(grad(shifted_derivative(h))(0.4), -np.sin(0.4), rtol=1e-14)


def test_mixed_second_derivatives_are_symmetric(rng: np.random.Generator) -> None:
    def f(x: Any, y: Any) -> Any:
        return np.sum(np.tanh(np.outer(x, y)) * x[:, None]) + np.exp(x @ x) * np.prod(y)

    x, y, u, v = (rng.standard_normal(n) * 0.5 for n in (3, 4, 3, 4))
    ways = (
        lambda: jvp(lambda x: jvp(lambda y: f(x, y), (y,), (v,))[1], (x,), (u,))[1],
        lambda: jvp(lambda y: jvp(lambda x: f(x, y), (x,), (u,))[1], (y,), (v,))[1],
        lambda: jvp(lambda x: grad(f, 1)(x, y), (x,), (u,))[1] @ v,
        lambda: jvp(lambda y: grad(f, 0)(x, y), (y,), (v,))[1] @ u,
        lambda: grad(lambda x: grad(f, 1)(x, y) @ v)(x) @ u,
        lambda: grad(lambda y: grad(f, 0)(x, y) @ u)(y) @ v,
        lambda: grad(lambda x: jvp(lambda y: f(x, y), (y,), (v,))[1])(x) @ u,
        lambda: vjp(lambda y: grad(f, 0)(x, y), y)[1](u)[0] @ v,
        lambda: u @ jacfwd(jacrev(f, 1), 0)(x, y).T @ v,
    )
    values = [way() for way in ways]
    np.testing.assert_allclose(values, values[0], rtol=1e-10)


def test_gradients_along_a_path_of_gradients() -> None:
    """Newton's method by exact Hessians, and the derivative of where it ends by the parameter."""

    def argmin(a: Any) -> Any:
        def loss(x: Any) -> Any:
            return np.cosh(x - a) + 0.1 * x**2

        x = 0.0 * a
        while abs(float(grad(loss)(x))) > 1e-13:
            x = x - grad(loss)(x) / grad(grad(loss))(x)
        return x

    x = argmin(1.5)
    curvature = np.cosh(x - 1.5) + 0.2
    np.testing.assert_allclose(grad(argmin)(1.5), np.cosh(x - 1.5) / curvature, rtol=1e-10)
    np.testing.assert_allclose(jvp(argmin, (1.5,), (1.0,))[1], np.cosh(x - 1.5) / curvature, rtol=1e-10)


def test_control_flow_on_outer_values_inside_an_inner_derivative() -> None:
    def f(x: Any) -> Any:
        def g(y: Any) -> Any:
            z = y
            for _ in range(3):
                z = z * y if z < x else z + x
            return z

        return grad(g)(x) * x

    step = 1e-6
    for way in (grad, derivative_forward, derivative_pullback):
        np.testing.assert_allclose(way(f)(1.3), (f(1.3 + step) - f(1.3 - step)) / (2 * step), rtol=1e-7)


def test_reverse_over_forward_over_reverse(rng: np.random.Generator) -> None:
    """Third-order directional derivatives of a small network agree in five mixtures."""
    w, u, v, t = (rng.standard_normal((3, 2)) * 0.5 for _ in range(4))
    x = rng.standard_normal((4, 3))

    def loss(w: Any) -> Any:
        return np.mean(np.tanh(x @ w) ** 3)

    def along(f: Callable[[Any], Any], d: Any) -> Callable[[Any], Any]:
        return lambda w: jvp(f, (w,), (d,))[1]

    def against(f: Callable[[Any], Any], d: Any) -> Callable[[Any], Any]:
        return lambda w: np.sum(grad(f)(w) * d)

    values = [
        c(b(a(loss, u), v), t)(w)
        for a, b, c in [(along,) * 3, (against,) * 3, (along, against, along), (against, along, against)]
    ]
    values.append(jit(along(jit(against(jit(along(loss, u)), v)), t))(w))
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_a_transformation_of_the_function_that_is_being_transformed() -> None:
    """A function that differentiates itself, one level less each time: f_n(x) = x · f_{n-1}'(x), f_0 = x³."""

    def f(x: Any, n: int) -> Any:
        return x**3 if n == 0 else x * grad(f)(x, n - 1)

    assert f(2.0, 3) == 27 * 8.0
    assert grad(f)(2.0, 3) == 81 * 4.0
