"""Solutions of equations, with derivatives that do not look into how they were found; batching rules of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.custom_batching import custom_vmap, sequential_vmap
from funcgrad.test_util import check_grads

A = np.array([[3.0, 0.4, -0.2], [0.1, 2.5, 0.3], [-0.5, 0.2, 4.0]])
B = np.array([0.5, -1.0, 2.0])


def _cbrt(a: Any) -> Any:
    def newton(f: Callable[[Any], Any], x: Any) -> Any:
        return lax.while_loop(lambda x: np.abs(f(x)) > 1e-12, lambda x: x - f(x) / (3 * x * x), x)

    return lax.custom_root(lambda x: x**3 - a, 1.0, newton, lambda g, y: y / g(1.0))


@pytest.mark.parametrize(
    "wrap", [lambda f: f, fg.jit, fg.checkpoint, lambda f: lambda x: lax.map(f, np.stack([x, x]))[1]]
)
def test_root_of_a_number(wrap: Callable[[Any], Any]) -> None:
    a = np.array(8.0)
    f = wrap(_cbrt)
    np.testing.assert_allclose(f(a), 2.0)
    np.testing.assert_allclose(fg.grad(f)(a), a ** (-2 / 3) / 3)
    np.testing.assert_allclose(fg.jvp(f, (a,), (1.0,))[1], a ** (-2 / 3) / 3)
    np.testing.assert_allclose(fg.grad(fg.grad(f))(a), -2 / 9 * a ** (-5 / 3), rtol=1e-6)
    np.testing.assert_allclose(fg.grad(fg.grad(fg.grad(f)))(a), 10 / 27 * a ** (-8 / 3), rtol=1e-6)


def test_roots_of_a_batch() -> None:
    a = np.array([1.0, 8.0, 27.0])
    np.testing.assert_allclose(fg.vmap(_cbrt)(a), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(fg.vmap(fg.grad(_cbrt))(a), a ** (-2 / 3) / 3)
    np.testing.assert_allclose(fg.grad(lambda a: np.sum(fg.vmap(_cbrt)(a)))(a), a ** (-2 / 3) / 3)
    np.testing.assert_allclose(
        fg.hessian(lambda a: np.sum(fg.jit(fg.vmap(_cbrt))(a)))(a), np.diag(-2 / 9 * a ** (-5 / 3))
    )


def _root(a: Any, b: Any) -> Any:
    """The u with a u + tanh u = b, in a dictionary, and a scale as auxiliary result."""

    def f(x: Any) -> Any:
        return {"u": a @ x["u"] + np.tanh(x["u"]) - b}

    def solve(f: Callable[[Any], Any], x: Any) -> Any:
        def step(i: Any, x: Any) -> Any:
            jacobian = fg.jacfwd(lambda u: f({"u": u})["u"])(x["u"])
            return {"u": x["u"] - np.linalg.solve(jacobian, f(x)["u"])}

        return lax.fori_loop(0, 8, step, x), 3.0

    def tangent_solve(g: Callable[[Any], Any], y: Any) -> Any:
        jacobian = fg.jacfwd(lambda u: g({"u": u})["u"])(np.zeros(3))
        return {"u": np.linalg.solve(jacobian, y["u"])}

    x, scale = lax.custom_root(f, {"u": np.zeros(3)}, solve, tangent_solve, has_aux=True)
    return x["u"] * scale


def test_root_of_a_vector() -> None:
    np.testing.assert_allclose(A @ _root(A, B) / 3 + np.tanh(_root(A, B) / 3), B, atol=1e-12)
    check_grads(_root, (A, B), 2)
    check_grads(fg.jit(_root), (A, B), 1)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_roots_of_vectors(axes: tuple[Any, Any]) -> None:
    a = np.stack([A, A + 0.1]) if axes[0] == 0 else A
    b = np.stack([B, B + 1.0]) if axes[1] == 0 else B
    f = fg.vmap(_root, axes)
    pick = lambda x, axis, i: x[i] if axis == 0 else x  # noqa: E731
    want = np.stack([_root(pick(a, axes[0], i), pick(b, axes[1], i)) for i in range(2)])
    np.testing.assert_allclose(f(a, b), want, rtol=1e-12)
    check_grads(f, (a, b), 1)


def test_roots_of_batches_of_batches() -> None:
    f = fg.vmap(fg.vmap(_root, (0, None)), (None, 0))
    a, b = np.stack([A, A + 0.1]), np.stack([B, B + 1.0, B - 1.0])
    want = [[_root(x, y) for x in a] for y in b]
    np.testing.assert_allclose(f(a, b), want, rtol=1e-12)
    check_grads(f, (a, b), 1)


def _solve(a: Any, b: Any) -> Any:
    solve = lambda matvec, b: np.linalg.solve(a, b)  # noqa: E731
    return lax.custom_linear_solve(lambda x: a @ x, b, solve, lambda vecmat, g: np.linalg.solve(a.T, g))


def _conjugate_gradients(matvec: Callable[[Any], Any], b: Any) -> Any:
    def step(s: Any) -> Any:
        x, r, p = s
        ap = matvec(p)
        alpha = (r @ r) / (p @ ap)
        new = r - alpha * ap
        return x + alpha * p, new, new + (new @ new) / (r @ r) * p

    return lax.while_loop(lambda s: s[1] @ s[1] > 1e-26, step, (np.zeros_like(b), b, b))[0]


def _symmetric(a: Any, b: Any) -> Any:
    a = a + a.T
    return lax.custom_linear_solve(lambda x: a @ x, b, _conjugate_gradients, symmetric=True)


@pytest.mark.parametrize("f", [_solve, _symmetric])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint])
def test_linear_equation(f: Any, wrap: Any) -> None:
    matrix = A if f is _solve else A + A.T
    np.testing.assert_allclose(wrap(f)(A, B), np.linalg.solve(matrix, B), rtol=1e-10)
    check_grads(wrap(f), (A, B), 2)


@pytest.mark.parametrize("f", [_solve, _symmetric])
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_batch_of_linear_equations(f: Any, axes: Any) -> None:
    a = np.stack([A, A + 0.1]) if axes[0] == 0 else A
    b = np.stack([B, B + 1.0]) if axes[1] == 0 else B
    pick = lambda x, axis, i: x[i] if axis == 0 else x  # noqa: E731
    want = np.stack([f(pick(a, axes[0], i), pick(b, axes[1], i)) for i in range(2)])
    np.testing.assert_allclose(fg.vmap(f, axes)(a, b), want, rtol=1e-10)
    check_grads(fg.vmap(f, axes), (a, b), 2)


def test_what_does_not_fit_is_said() -> None:
    def f(x: Any) -> Any:
        return lax.custom_root(lambda x: x[0], x, lambda f, x: x + f(x), lambda g, y: y)

    for bad in (f, fg.jit(f)):
        with pytest.raises(TypeError, match="custom_root: f must return"):
            bad(np.ones(2))
    with pytest.raises(TypeError, match="custom_root: tangent_solve must return"):
        fg.grad(lambda a: np.sum(lax.custom_root(lambda x: x - a, B, lambda f, x: a, lambda g, y: y[0])))(B)
    with pytest.raises(TypeError, match="custom_root: g takes what is like the solution"):
        fg.grad(lambda a: np.sum(lax.custom_root(lambda x: x - a, B, lambda f, x: a, lambda g, y: y / g(1.0))))(B)
    with pytest.raises(TypeError, match="integers have no derivative"):
        fg.jit(lambda x: lax.custom_root(lambda x: x, x, lambda f, x: x, lambda g, y: y))((B, 1))
    with pytest.raises(TypeError, match="custom_linear_solve: solve must return"):
        lax.custom_linear_solve(lambda x: x, np.ones(2), lambda f, b: b[0])
    with pytest.raises(TypeError, match="transpose_solve"):
        fg.grad(lambda b: np.sum(lax.custom_linear_solve(lambda x: 2 * x, b, lambda f, b: b / 2)))(B)


def _known(a: Any, b: Any) -> Any:
    """The x with a x = b, whose solvers know the matrix and never ask for a product."""
    return lax.custom_root(
        lambda x: a @ x - b, np.zeros(3), lambda f, x: np.linalg.solve(a, b), lambda g, y: np.linalg.solve(a, y)
    )


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint])
def test_a_tangent_solver_is_transposed(wrap: Any) -> None:
    want = fg.grad(lambda a, b: B @ np.linalg.solve(a, b), (0, 1))(A, B + 1.0)
    found = fg.grad(lambda a, b: B @ wrap(_known)(a, b), (0, 1))(A, B + 1.0)
    for x, y in zip(found, want, strict=True):
        np.testing.assert_allclose(x, y)
    check_grads(wrap(_known), (A, B), 2)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_batches_of_solvers_that_close_over_the_matrix(axes: Any) -> None:
    a = np.stack([A, A + 0.1]) if axes[0] == 0 else A
    b = np.stack([B, B + 1.0]) if axes[1] == 0 else B
    of = lambda solve: lambda a, b: fg.vmap(fg.grad(lambda a, b: B @ solve(a, b), (0, 1)), axes)(a, b)  # noqa: E731
    for x, y in zip(of(_known)(a, b), of(np.linalg.solve)(a, b), strict=True):
        np.testing.assert_allclose(x, y)
    check_grads(fg.vmap(_known, axes), (a, b), 1)


def _jacobi(g: Callable[[Any], Any], y: Any) -> Any:
    return lax.fori_loop(0, 100, lambda i, x: x + (y - g(x)) / np.diag(A), np.zeros(3))


@pytest.mark.parametrize("tangent_solve", [_jacobi, lambda g, y: fg.jit(lambda y: np.linalg.solve(1.0 * A, y))(y)])
def test_tangent_solvers_within_calls_and_loops(tangent_solve: Any) -> None:
    f = lambda b: lax.custom_root(lambda x: A @ x - b, B, lambda f, x: np.linalg.solve(A, b), tangent_solve)  # noqa: E731
    np.testing.assert_allclose(fg.grad(lambda b: B @ f(b))(B), np.linalg.solve(A.T, B), rtol=1e-10)
    np.testing.assert_allclose(fg.jacfwd(f)(B), np.linalg.inv(A), rtol=1e-10)


def test_tangent_solver_that_is_a_loop_until_something_is_small() -> None:
    def f(a: Any, b: Any) -> Any:
        a = a + a.T
        return lax.custom_root(lambda x: a @ x - b, B, lambda f, x: np.linalg.solve(a, b), _conjugate_gradients)

    check_grads(f, (A, B), 2)
    check_grads(fg.jit(f), (A, B), 1)


def test_a_tangent_solver_that_cannot_be_transposed_is_refused() -> None:
    f = lambda b: lax.custom_root(lambda x: A @ x - b, B, lambda f, x: np.linalg.solve(A, b), lambda g, y: y * y)  # noqa: E731
    with pytest.raises(TypeError, match="must be linear in y"):
        fg.grad(lambda b: np.sum(f(b)))(B)


def test_roots_in_loops_and_branches() -> None:
    def scanned(a: Any, b: Any) -> Any:
        return lax.scan(lambda c, _: (_root(a, b + 0.1 * c), None), b, None, length=3)[0]

    def unrolled(a: Any, b: Any) -> Any:
        c = b
        for _ in range(3):
            c = _root(a, b + 0.1 * c)
        return c

    def chosen(a: Any, b: Any) -> Any:
        return lax.cond(np.sum(b) > 0, lambda c: _known(a, c), lambda c: a @ c, b)

    want = fg.grad(lambda a, b: B @ unrolled(a, b), (0, 1))(A, B)
    for g in (fg.grad(lambda a, b: B @ scanned(a, b), (0, 1)), fg.grad(lambda a, b: B @ fg.jit(scanned)(a, b), (0, 1))):
        for x, y in zip(g(A, B), want, strict=True):
            np.testing.assert_allclose(x, y)
    check_grads(fg.jit(chosen), (A, B), 1)
    assert "custom_root" in str(fg.make_ir(_root)(A, B))


def test_solvers_are_not_differentiated() -> None:
    @fg.custom_jvp
    def opaque(x: Any) -> Any:
        return x + 0.0

    @opaque.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        raise AssertionError("the solver was differentiated")

    def root(a: Any) -> Any:
        return lax.custom_root(lambda x: a @ x - B, B, lambda f, x: opaque(np.linalg.solve(a, B)), lambda g, y: y)

    def solution(a: Any) -> Any:
        inverse = lambda a: lambda m, b: opaque(np.linalg.solve(opaque(a), b))  # noqa: E731
        return lax.custom_linear_solve(lambda x: a @ x, B, inverse(a), inverse(a.T))

    assert fg.jacfwd(root)(A).shape == fg.jacrev(root)(A).shape == (3, 3, 3)
    check_grads(solution, (A,), 2)


def test_a_compiled_solver_is_no_call() -> None:
    solution = lambda b: lax.custom_linear_solve(lambda x: A @ x, b, lambda m, b: np.linalg.solve(A, b))  # noqa: E731
    for text in (fg.jit(solution).lower(B).optimized_ir(), fg.jit(fg.grad(_cbrt)).lower(8.0).optimized_ir()):
        assert "custom_" not in text


def test_without_a_derivative_the_solver_simply_runs() -> None:
    def newton(f: Callable[[Any], Any], x: Any) -> Any:
        while abs(f(x)) > 1e-12:  # not for traced values
            x = x - f(x) / (2 * x)
        return x, "done"

    x, note = lax.custom_root(lambda x: x * x - 2.0, 1.0, newton, lambda g, y: y / g(1.0), has_aux=True)
    np.testing.assert_allclose(x, np.sqrt(2.0))
    assert note == "done"
    np.testing.assert_array_equal(
        lax.custom_linear_solve(lambda x: 2 * x, np.arange(3), lambda m, b: b // 2), [0, 0, 1]
    )
    count = lambda x: lax.custom_root(lambda x: x - 3, x, lambda f, x: x - f(x), lambda g, y: y)  # noqa: E731
    assert count(np.array(1)) == fg.jit(count)(np.array(1)) == 3  # integers have no derivative


def test_a_solver_may_ask_for_many_values_at_once() -> None:
    def search(f: Callable[[Any], Any], x: Any) -> Any:
        grid = x + np.linspace(-1.0, 2.0, 300001)
        return grid[np.argmin(np.abs(f(grid)))]

    f = lambda a: lax.custom_root(lambda x: x * x - a, 1.0, search, lambda g, y: y / g(1.0))  # noqa: E731
    np.testing.assert_allclose([f(2.0), fg.grad(f)(2.0)], [np.sqrt(2.0), 0.5 / np.sqrt(2.0)], rtol=1e-5)


def test_pytrees_auxiliary_data_and_complex_numbers() -> None:
    def pair(a: Any, b: Any) -> Any:
        times = lambda x: {"u": a @ x["u"], "v": 3.0 * x["v"]}  # noqa: E731
        inverse = lambda a: lambda m, b: ({"u": np.linalg.solve(a, b["u"]), "v": b["v"] / 3.0}, np.sum(a))  # noqa: E731
        x, aux = lax.custom_linear_solve(times, {"u": b, "v": b[0]}, inverse(a), inverse(a.T), has_aux=True)
        return x["u"] * x["v"], lax.stop_gradient(aux)

    np.testing.assert_allclose(fg.jit(pair)(A, B)[1], np.sum(A))
    check_grads(lambda a, b: pair(a, b)[0], (A, B), 2)
    a = A + 1j * A.T
    solve = lambda b: _solve(a, b)  # noqa: E731
    np.testing.assert_allclose(fg.vjp(solve, B + 0j)[1](B + 0j)[0], np.linalg.solve(a.T, B))
    np.testing.assert_allclose(fg.jvp(solve, (B + 0j,), (1j * B,))[1], np.linalg.solve(a, 1j * B))


def test_roots_across_a_named_axis() -> None:
    def total(b: Any) -> Any:
        root = lambda b: lax.custom_root(  # noqa: E731
            lambda x: 2 * x - lax.psum(b, "i"), np.zeros(3), lambda f, x: lax.psum(b, "i") / 2, lambda g, y: y / 2
        )
        return np.sum(fg.vmap(root, axis_name="i")(b) @ B)

    np.testing.assert_allclose(fg.grad(total)(np.stack([A[0], A[1]])), np.stack([B, B]))


# ----------------------------------------------------------------------------------------- batching rules of one's own


def _counted() -> tuple[Any, list[Any]]:
    calls: list[Any] = []

    @custom_vmap
    def f(x: Any, y: Any) -> Any:
        return np.sin(x) * y, y

    @f.def_vmap
    def rule(size: int, in_batched: Any, x: Any, y: Any) -> Any:
        calls.append((size, in_batched))
        return (np.sin(x) * y, y), (True, in_batched[1])

    return f, calls


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit])
def test_vmap_uses_the_rule(wrap: Any) -> None:
    f, calls = _counted()
    x, y = np.array([0.5, 1.5]), 2.0
    found = wrap(fg.vmap(f, (0, None)))(x, y)
    np.testing.assert_allclose(found[0], np.sin(x) * y)
    np.testing.assert_array_equal(found[1], [2.0, 2.0])
    assert calls == [(2, [True, False])]
    assert f(0.5, 2.0)[0] == np.sin(0.5) * 2.0


def test_rule_under_derivatives_and_nesting() -> None:
    f, calls = _counted()
    g = lambda x, y: f(x, y)[0]  # noqa: E731
    check_grads(g, (np.array(0.5), np.array(2.0)), 2)
    x = np.array([[0.5, 1.5], [0.1, 0.2]])
    check_grads(lambda x: fg.vmap(fg.vmap(g, (0, None)), (0, None))(x, 2.0), (x,), 2)
    assert calls
    np.testing.assert_allclose(fg.vmap(fg.grad(g), (0, None))(x[0], 2.0), np.cos(x[0]) * 2.0)
    calls.clear()
    dx = fg.vmap(lambda x: fg.jvp(lambda x: g(x, 2.0), (x,), (1.0,))[1])(x[0])
    np.testing.assert_allclose(dx, np.cos(x[0]) * 2.0)
    assert calls == [(2, [True, False])]
    out = lax.scan(lambda c, x: (c + fg.vmap(g, (0, None))(x, 2.0).sum(), None), 0.0, x)[0]
    np.testing.assert_allclose(out, np.sum(np.sin(x)) * 2.0)


def test_one_after_the_other() -> None:
    f = sequential_vmap(lambda x, y: np.sum(x**2) * y)
    x = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(fg.vmap(f, (0, None))(x, 2.0), 2 * np.sum(x**2, 1))
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(fg.vmap(f, (0, None))(x, 2.0)))(x), 4 * x)
    assert "scan" in str(fg.make_ir(fg.vmap(f, (0, None)))(x, 2.0))


def test_rules_that_do_not_fit() -> None:
    f = custom_vmap(lambda x: x)
    with pytest.raises(AttributeError, match="def_vmap"):
        f(1.0)
    f.def_vmap(lambda size, flags, x: x)
    with pytest.raises(TypeError, match="out_batched"):
        fg.vmap(f)(np.ones(2))
    f.def_vmap(lambda size, flags, x: ((x, x), (True, True)))
    with pytest.raises(TypeError, match="the rule returns"):
        fg.vmap(f)(np.ones(2))
    with pytest.raises(TypeError, match="closes over"):
        fg.vmap(lambda y: _closing(y)(1.0))(np.ones(2))


def _closing(y: Any) -> Any:
    f = custom_vmap(lambda x: x * y)
    f.def_vmap(lambda size, flags, x: (x, flags[0]))
    return f
