"""Branches that some examples do not take: values that they close over, own rules, effects, collectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from branch_checks import A, Fun, close, loop, total

import funcgrad as fg
from funcgrad import debug, lax

EYE = np.eye(2)


# ------------------------------------------------------------------------------------------------- values from outside


def _written(x: Any) -> Any:
    y = np.zeros(2) + x
    y[0] += 1
    y *= np.sqrt(x)
    return np.sum(y)


def _diagonal(x: Any) -> Any:
    return np.linalg.inv(np.stack([np.stack([x, 0 * x]), np.stack([0 * x, x])]))[0, 0]


OUTSIDE: dict[str, Fun] = {
    "operation": np.log,
    "call": fg.jit(np.log),
    "checkpoint": fg.checkpoint(np.log),
    "gradient": fg.grad(np.log),
    "batch": lambda x: fg.vmap(np.log)(np.stack([x, x]))[0],
    "tangent": lambda x: fg.jvp(np.log, (x,), (1.0,))[1],
    "scan": lambda x: lax.scan(lambda c, t: (np.log(x) + c * t, None), 0.0, np.ones(2))[0],
    "loop": lambda x: lax.while_loop(lambda s: s < np.log(x) + 2, lambda s: s + np.sqrt(x), 0.0),
    "branch": lambda x: lax.cond(np.log(x) > 0, lambda: np.sqrt(x) * np.log(x), lambda: x),
    "write in place": _written,
    "matrix": _diagonal,
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_values_from_outside(name: str) -> None:
    """What a branch does with values that it closes over is part of it."""
    fun = OUTSIDE[name]
    f = lambda x: lax.cond(x > 0, lambda: fun(x) * 1.0, lambda: x * 3.0)  # noqa: E731
    each = lambda f: lambda x: loop(f, x)  # noqa: E731
    xs = A(2.0, -1.0, 0.0)
    want = loop(f, xs)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f)), fg.vmap(fg.jit(f)), each(fg.jit(f))):
        close(batch(xs), want, "value")
    want = loop(fg.grad(f), xs)
    for gradient in (
        fg.vmap(fg.grad(f)),
        fg.jit(fg.vmap(fg.grad(f))),
        fg.grad(total(fg.vmap(f))),
        fg.jit(fg.grad(total(fg.vmap(f)))),
        each(fg.jit(fg.grad(f))),
    ):
        close(gradient(xs), want, "gradient")


def test_values_from_outside_in_a_loop() -> None:
    f = lambda n, a: lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] + np.linalg.inv(a)), (0, a))[1]  # noqa: E731
    n, a = A(2, 0), A(EYE, 0 * EYE)
    want = A(3 * EYE, 0 * EYE)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f)), lambda n, a: loop(fg.jit(f), n, a)):
        np.testing.assert_array_equal(batch(n, a), want)


def test_plain_arrays_from_outside() -> None:
    """NumPy works on them while the branch is recorded; where it is known that nobody takes it, that may fail."""
    singular = np.zeros((2, 2))
    f = lambda p: lax.cond(p, lambda: np.linalg.inv(singular), lambda: singular + 1)  # noqa: E731
    g = lambda p, x: lax.cond(p, lambda: x * np.log(np.float64(-1.0)), lambda: x)  # noqa: E731
    nobody = A(False, False)
    np.testing.assert_array_equal(fg.vmap(f)(nobody), np.ones((2, 2, 2)))
    np.testing.assert_array_equal(fg.vmap(fg.vmap(f))(nobody[None]), np.ones((1, 2, 2, 2)))
    np.testing.assert_array_equal(fg.vmap(fg.grad(g, 1), (0, None))(nobody, 2.0), [1.0, 1.0])
    assert fg.grad(lambda x: np.sum(fg.vmap(g, (0, None))(nobody, x)))(2.0) == 2.0
    with pytest.raises(np.linalg.LinAlgError):
        fg.vmap(f)(~nobody)


def test_results_of_several_kinds_from_outside() -> None:
    """One branch makes a Python number of a value from outside, and takes on the dtype of the other."""
    f = fg.jit(lambda p, x: lax.cond(p, lambda: np.log(x), lambda: x * 3))
    assert f(False, -1.0) == -3.0 and f(True, 1.0) == 0.0


def test_questions_about_values_from_outside() -> None:
    """`if` on a value that the branch closes over works where the value is known, as in `jit`."""
    f = lambda p, n, x: lax.cond(p, lambda: x * 2 if n * 2 > 2 else x, lambda: x)  # noqa: E731
    g = lambda n, x: lax.while_loop(lambda s: s < 10, lambda s: s * 2 if n + 1 > 2 else s + x, x)  # noqa: E731
    jitted, looped = fg.jit(f), fg.jit(g)
    assert [float(jitted(True, n, 1.0)) for n in (3, 0, 3)] == [2.0, 1.0, 2.0]
    assert [float(looped(n, 1.0)) for n in (3, 0, 3)] == [16.0, 10.0, 16.0]
    assert fg.grad(lambda x: np.sum(fg.vmap(lambda p: f(p, 3, x))(A(True, False))))(1.0) == 3.0
    with pytest.raises(fg.errors.TracerBoolConversionError, match="test_branches_outside"):
        fg.vmap(f, (0, 0, None))(A(True, False), A(1, 2), 1.0)


# --------------------------------------------------------------------------------------- rules, callbacks, collectives


@fg.custom_jvp
def _root(x: Any) -> Any:
    return np.sqrt(x)


_root.defjvp(lambda xs, ts: (np.sqrt(xs[0]), ts[0] / (2 * np.sqrt(xs[0]))))


@fg.custom_vjp
def _logarithm(x: Any) -> Any:
    return np.log(x)


_logarithm.defvjp(lambda x: (np.log(x), x), lambda x, g: (g / x,))


def _cube_root(a: Any) -> Any:
    """By Newton's method, which does not end for zero."""
    solve = lambda f, x: lax.while_loop(lambda x: abs(f(x)) > 1e-12, lambda x: x - f(x) / (3 * x * x), x)  # noqa: E731
    return fg.lax.custom_root(lambda x: x**3 - a, a, solve, lambda g, y: y / g(1.0))


@pytest.mark.parametrize("inside", [_root, _logarithm, _cube_root])
def test_rules_of_ones_own(inside: Fun) -> None:
    f = lambda x: lax.cond(x > 0, inside, lambda x: x * 3.0, x)  # noqa: E731
    xs = A(0.0, 2.0, -1.0)
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f))):
        close(batch(xs), loop(f, xs), "value")
    for gradient in (fg.vmap(fg.grad(f)), fg.jit(fg.vmap(fg.grad(f))), fg.grad(total(fg.vmap(f)))):
        close(gradient(xs), loop(fg.grad(f), xs), "gradient")


@pytest.fixture
def seen() -> list[float]:
    return []


def _noting(seen: list[float], fun: Fun) -> Fun:
    def noted(x: Any) -> Any:
        debug.callback(lambda x: seen.append(float(x)), x)
        return fun(x)

    return noted


EFFECTS: dict[str, tuple[Callable[[Fun], Fun], list[float]]] = {
    "cond": (lambda g: lambda x: lax.cond(x > 0, g, lambda x: x, x), [1.0, 2.0]),
    "switch": (
        lambda g: lambda x: lax.switch(np.sign(x).astype(int) + 1, [lambda x: x, lambda x: x, g], x),
        [1.0, 2.0],
    ),
    "nested": (lambda g: lambda x: lax.cond(x > 0, lambda x: lax.cond(x > 1, g, np.sin, x), lambda x: x, x), [2.0]),
    "call": (lambda g: lambda x: lax.cond(x > 0, fg.jit(g), lambda x: x, x), [1.0, 2.0]),
    "scan": (
        lambda g: lambda x: lax.cond(x > 0, lambda x: lax.scan(lambda c, _: (g(c), None), x, None, 2)[0], np.sin, x),
        [1.0, 2.0, 2.0, 4.0],
    ),
    "loop": (lambda g: lambda x: lax.while_loop(lambda x: (x > 0) & (x < 4), g, x), [1.0, 2.0, 2.0]),
    "loop with counts": (lambda g: lambda x: lax.fori_loop(0, x.astype(int), lambda i, y: g(y), x), [1.0, 2.0, 4.0]),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_those_of_a_loop(name: str, seen: list[float]) -> None:
    make, want = EFFECTS[name]
    f, xs = make(_noting(seen, lambda x: 2 * x)), A(-1.0, 1.0, 2.0)
    values = loop(f, xs)
    assert seen == want
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f)), fg.vmap(f, axis_name="i")):
        seen.clear()
        np.testing.assert_array_equal(batch(xs), values)
        assert seen == want
        seen.clear()
        batch(np.full(3, -1.0))
        assert seen == []
    for gradient in (fg.vmap(fg.grad(f)), fg.grad(total(fg.vmap(f)))):
        seen.clear()
        gradient(xs)
        assert sorted(set(seen)) == sorted(set(want))


def test_effects_of_functions_with_rules(seen: list[float]) -> None:
    g = fg.custom_jvp(_noting(seen, lambda x: 2 * x))
    g.defjvp(lambda xs, ts: (g(xs[0]), 2 * ts[0]))
    f = lambda x: lax.cond(x > 0, g, lambda x: x, x)  # noqa: E731
    for batch in (fg.vmap(f), fg.jit(fg.vmap(f)), fg.vmap(fg.grad(f)), fg.vmap(f, axis_name="i")):
        seen.clear()
        batch(A(-1.0, 1.0, 2.0))
        assert seen == [1.0, 2.0]


def test_collectives_in_branches_take_all_examples() -> None:
    f = lambda x: lax.cond(x > 0, lambda x: x / lax.psum(x, "i"), lambda x: x, x)  # noqa: E731
    xs = A(1.0, -2.0, 3.0)
    for batch in (fg.vmap(f, axis_name="i"), fg.jit(fg.vmap(f, axis_name="i"))):
        close(batch(xs), [0.5, -2.0, 1.5], "value")
    g = lambda x: lax.while_loop(lambda x: x < lax.pmax(x, "i"), lambda x: x + 1, x)  # noqa: E731
    np.testing.assert_array_equal(fg.vmap(g, axis_name="i")(xs), [3, 3, 3])
    h = lambda x: lax.cond(x > 0, _root, lambda x: x, x)  # noqa: E731  # an axis with a name, and no collective
    close(fg.vmap(h, axis_name="i")(xs), loop(h, xs), "value")


def test_the_number_of_the_example(seen: list[float]) -> None:
    """An example that stands in for another has its own number, not the other's."""

    def f(x: Any) -> Any:
        i = lax.axis_index("i")
        inside = lambda x: np.log(x) * fg.at(A(1.0, 2.0))[lax.axis_index("i")].get()  # noqa: E731
        return lax.cond(i < 2, inside, lambda x: x * 3.0, x)

    xs = A(1.0, 2.0, 0.0, -1.0)
    for batch in (fg.vmap(f, axis_name="i"), fg.jit(fg.vmap(f, axis_name="i"))):
        close(batch(xs), A(0.0, 2 * np.log(2), 0.0, -3.0), "value")
        close(fg.grad(total(batch))(xs), A(1.0, 1.0, 3.0, 3.0), "gradient")
    g = lambda x: lax.cond(x > 0, lambda: _noting(seen, lambda i: i)(lax.axis_index("i")), lambda: -1)  # noqa: E731
    np.testing.assert_array_equal(fg.vmap(g, axis_name="i")(xs), [0, 1, -1, -1])
    assert seen == [0.0, 1.0]
    n = lambda x: lax.while_loop(lambda k: k < lax.axis_index("i"), lambda k: k + fg.at(A(1, 1))[k].get(), x)  # noqa: E731
    np.testing.assert_array_equal(fg.vmap(n, axis_name="i")(A(5, 0, 0)), [5, 1, 2])
