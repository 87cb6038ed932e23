"""`jit`: when a function is recorded again, and that nothing else can be told from the outside."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.core import current_trace
from funcgrad.errors import UnexpectedTracerError

X = np.array([0.3, -1.2, 2.0])


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, fun: Any) -> None:
        self.fun, self.calls = fun, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.fun(*args, **kwargs)


def test_recorded_once_for_each_structure_shape_and_dtype() -> None:
    f = Counted(lambda x, y: fg.tree.leaves(x)[0] * y)
    g = fg.jit(f)
    for args, calls in [
        ((X, 2.0), 1),
        ((X + 1, 3.0), 1),
        ((X, 2), 2),  # another kind of Python scalar
        ((X, np.float64(2)), 3),  # no Python scalar
        ((X, np.array(2.0)), 3),
        ((X.astype(np.float32), 2.0), 4),
        ((X[:2], 2.0), 5),
        (([X], 2.0), 6),
        (((X,), 2.0), 7),
        (({"a": X}, 2.0), 8),
        (({"a": X}, -7.5), 8),
        (({"b": X}, 2.0), 9),
        ((X[::-1], 2.0), 9),
    ]:
        want = fg.tree.leaves(args[0])[0] * args[1]
        found = g(*args)
        np.testing.assert_array_equal(found, want)
        assert found.dtype == want.dtype
        assert f.calls == calls, args


def test_transformations_do_not_record_again() -> None:
    f = Counted(lambda x: np.sum(np.sin(x) * x))
    g = fg.jit(f)
    for _ in range(2):
        g(X)
        fg.grad(g)(X)
        fg.jvp(g, (X,), (X,))
        fg.vmap(g)(np.stack([X, X]))
        fg.vmap(fg.grad(g))(np.stack([X, X]))
        fg.hessian(g)(X)
        fg.jit(lambda x: g(x) + 1)(X)
    assert f.calls == 1


def test_static_arguments() -> None:
    f = Counted(lambda x, n, flag=True: x**n if flag else x + n)
    g = fg.jit(f.__call__, static_argnums=(1,), static_argnames="flag")
    h = fg.jit(lambda x, n, flag=True: f(x, n, flag), static_argnums=1, static_argnames="flag")
    for _ in range(2):
        np.testing.assert_array_equal(h(X, 2), X**2)
        np.testing.assert_array_equal(h(X, n=2), X**2)
        np.testing.assert_array_equal(h(X, 3, False), X + 3)
        np.testing.assert_array_equal(h(X, 3, flag=False), X + 3)
    assert f.calls == 4  # by position and by name count as different
    np.testing.assert_array_equal(g(X, 2, flag=False), X + 2)
    with pytest.raises(TypeError, match="static argument 1 must be hashable, got a list"):
        h(X, [2])


def test_equal_static_values_of_different_types() -> None:
    g = fg.jit(lambda x, n: x * n, static_argnums=1)
    n = np.arange(3)
    assert [g(n, k).dtype.kind for k in (1, 1.0, True, 1 + 0j, 1)] == ["i", "f", "i", "c", "i"]


def test_static_arguments_from_the_end_and_left_out() -> None:
    g = fg.jit(lambda x, n=2: x * n, static_argnums=-1)
    np.testing.assert_array_equal(g(X), 2 * X)
    np.testing.assert_array_equal(g(X, 3), 3 * X)
    np.testing.assert_array_equal(g(X, n=4), 4 * X)
    h = fg.jit(lambda *args: args[0] * args[-1], static_argnums=-1)
    np.testing.assert_array_equal(h(X, X, 3), 3 * X)


def test_kwargs_and_decorators() -> None:
    @partial(fg.jit, static_argnames=("scale",))
    def f(x: Any, *, y: Any, scale: Any = 1) -> Any:
        """Doc."""
        return {"z": [x * y["k"], scale], "none": None}

    found = f(X, y={"k": 2.0}, scale=3)
    np.testing.assert_array_equal(found["z"][0], 2 * X)
    assert found["z"][1] == 3 and found["none"] is None
    assert f.__name__ == "f" and f.__doc__ == "Doc."

    @fg.jit(static_argnums=0)
    def g(n: int, x: Any) -> Any:
        return x[:n]

    np.testing.assert_array_equal(g(2, X), X[:2])
    with pytest.raises(TypeError, match="takes a function"):
        fg.jit(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"argument 0 \(x\) is a str"):
        fg.jit(lambda x: x)("text")


def test_python_scalars_are_weak() -> None:
    f32 = X.astype(np.float32)
    f = lambda x, s: (x * s, s * 2, np.sin(s), s)  # noqa: E731
    for x in (f32, X, np.arange(3), np.float32(2), 2.0):
        for s in (2, 2.0, True):
            for found, want in zip(fg.jit(f)(x, s), f(x, s), strict=True):
                assert type(found) is type(want) and np.asarray(found).dtype == np.asarray(want).dtype
                np.testing.assert_array_equal(found, want)


def test_gradients_of_python_scalars() -> None:
    g = fg.grad(fg.jit(lambda x: x * x))(3.0)
    assert type(g) is float and g == 6.0


def test_closures() -> None:
    c = X.copy()
    f = fg.jit(lambda x: x + c)
    np.testing.assert_array_equal(f(X), 2 * X)
    c[:] = 100.0  # the function is pure: what it was recorded with stays
    np.testing.assert_array_equal(f(X), 2 * X)

    def outer(w: Any) -> Any:
        inner = fg.jit(lambda x: np.sin(x * w))
        return np.sum(inner(X) + inner(2 * X))

    want = np.sum(X * np.cos(X * 0.5) + 2 * X * np.cos(X))
    for g in (fg.grad(outer), fg.jit(fg.grad(outer)), fg.grad(fg.jit(outer)), lambda w: fg.jvp(outer, (w,), (1.0,))[1]):
        np.testing.assert_allclose(g(0.5), want)
    np.testing.assert_allclose(fg.vmap(fg.grad(outer))(np.array([0.5, 0.5])), [want, want])


def test_one_function_with_different_outer_tracers() -> None:
    """A program with values of one call must not serve another."""
    box: list[Any] = []
    inner = fg.jit(lambda x: x * box[-1])

    def outer(w: Any) -> Any:
        box.append(w)
        try:
            return np.sum(inner(X))
        finally:
            box.pop()

    for w in (2.0, 3.0):
        np.testing.assert_allclose(fg.grad(outer)(w), np.sum(X))
        np.testing.assert_allclose(fg.vmap(outer)(np.array([w, 2 * w])), [w * np.sum(X), 2 * w * np.sum(X)])
        np.testing.assert_allclose(fg.grad(lambda w: outer(w) * w)(w), 2 * w * np.sum(X))


def test_results_are_their_own() -> None:
    c = np.ones(3)
    f = fg.jit(lambda x: (x, x, c, np.reshape(x, (3, 1)), x[:2], np.broadcast_to(c, (2, 3))))
    x = X.copy()
    for _ in range(2):
        outs = f(x)
        for i, out in enumerate(outs):
            assert out.flags.writeable
            out[...] = 50.0 + i
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(c, np.ones(3))
        assert outs[0][0] == 50.0 and outs[1][0] == 51.0
    np.testing.assert_array_equal(f(x)[2], np.ones(3))


def test_arguments_stay_writable() -> None:
    x = X.copy()
    fg.jit(lambda x: np.sum(x * x))(x)
    fg.grad(fg.jit(lambda x: np.sum(x * x)))(x)
    x[0] = 1.0
    with pytest.raises(ZeroDivisionError):
        fg.grad(fg.jit(lambda x: np.sum(x) / (1 // 0)))(x)
    x[0] = 2.0


def test_errors_leave_the_cache_sane() -> None:
    fail = [True]
    f = Counted(lambda x: 1 // 0 if fail[0] else x * 2)
    g = fg.jit(f)
    for transform in (
        lambda g: g,
        lambda g: fg.grad(lambda x: np.sum(g(x))),
        fg.vmap,
        lambda g: fg.jit(lambda x: g(x)),
    ):
        with pytest.raises(ZeroDivisionError):
            transform(g)(X)
    fail[0] = False
    np.testing.assert_array_equal(g(X), 2 * X)
    np.testing.assert_array_equal(g(X), 2 * X)
    assert f.calls == 5
    assert current_trace() is None


def test_tracers_that_escape() -> None:
    kept: list[Any] = []
    f = fg.jit(lambda x: kept.append(x) or x * 2)
    f(X)
    with pytest.raises(UnexpectedTracerError, match="outside the transformation"):
        kept[0] + 1.0
    with pytest.raises(TypeError, match="needs a value"):
        fg.jit(lambda x: 1.0 if x > 0 else 2.0, guards=False)(1.0)


def test_jit_of_jit() -> None:
    f = Counted(lambda x: np.sin(x))
    g = fg.jit(fg.jit(fg.jit(f)))
    np.testing.assert_array_equal(g(X), np.sin(X))
    np.testing.assert_allclose(fg.jacfwd(fg.jit(fg.jacrev(g)))(X)[0, 0, 0], -np.sin(X[0]))
    assert f.calls == 1
    assert str(fg.make_ir(g)(X)).count("= jit[") == 3


def test_reentrancy() -> None:
    """A function that calls itself with another static value, while it is being recorded."""

    @partial(fg.jit, static_argnums=1)
    def power(x: Any, n: int) -> Any:
        return np.ones_like(x) if n == 0 else x * power(x, n - 1)

    np.testing.assert_allclose(power(X, 5), X**5)
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(power(x, 5)))(X), 5 * X**4)
    np.testing.assert_allclose(fg.vmap(lambda x: power(x, 3))(X), X**3)


def test_threads_share_a_function() -> None:
    f = fg.jit(lambda x, n: np.sum(np.sin(x) * x**n), static_argnums=1)
    gradient = fg.grad(lambda x, n: f(x, n) * 2.0)
    barrier = threading.Barrier(8)
    wrong: list[Any] = []

    def work(k: int) -> None:
        barrier.wait()
        for i in range(20):
            x, n = X + k, i % 4
            want = 2 * (np.cos(x) * x**n + np.sin(x) * n * x ** max(n - 1, 0))
            try:
                np.testing.assert_allclose(gradient(x, n), want, rtol=1e-10, atol=1e-12)
                np.testing.assert_allclose(fg.vmap(lambda r, n=n: f(r, n))(x[None])[0], np.sum(np.sin(x) * x**n))
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[0]


def test_empty_and_constant_functions() -> None:
    assert fg.jit(lambda: 3.0)() == 3.0
    assert fg.jit(lambda x: None)(X) is None
    assert fg.jit(lambda x: (2, {}))(X) == (2, {})
    assert fg.jit(lambda x: np.sum(x))(np.zeros((0, 3))) == 0.0
    np.testing.assert_array_equal(fg.grad(fg.jit(lambda x: 3.0))(X), np.zeros(3))
    np.testing.assert_array_equal(fg.vmap(fg.jit(lambda x: 3.0))(X), np.full(3, 3.0))


def test_integers_and_booleans() -> None:
    f = fg.jit(lambda x, n, b: (x * n, n + 1, ~b, np.argmax(x)))
    found = f(X, np.array(2), np.array([True, False]))
    np.testing.assert_array_equal(found[0], 2 * X)
    np.testing.assert_array_equal(found[2], [False, True])
    assert fg.grad(lambda x: np.sum(f(x, np.array(2), np.array(True))[0]))(X).tolist() == [2.0, 2.0, 2.0]


def test_static_values_that_are_equal_and_differ() -> None:
    with np.errstate(divide="ignore"):
        f = fg.jit(lambda x, z: np.divide(x, z), static_argnums=1)
        assert f(1.0, 0.0) == np.inf and f(1.0, -0.0) == -np.inf
    g = fg.jit(lambda x, n: x * n[0], static_argnums=1)
    assert type(g(3, (2,))) is int and type(g(3, (2.0,))) is float


def test_errors_of_results_name_what_was_called() -> None:
    for transform, name in ((fg.jit, "jit"), (fg.checkpoint, "checkpoint"), (fg.make_ir, "make_ir")):
        with pytest.raises(TypeError, match=f"^{name}: output is a str"):
            transform(lambda x: "text")(1.0)
    with pytest.raises(TypeError, match=r"^eval_shape: output"):
        fg.eval_shape(lambda x: {"a": object()}, 1.0)


def test_donated_arrays_that_share_memory_are_not_written_over_each_other() -> None:
    """Views among the donated arrays: tied weights, parts of one array."""

    def update(state: Any) -> Any:
        return {"a": state["a"] - state["b"], "b": state["b"] * 0.9 + state["a"]}

    for n in (5, 300):
        w = np.arange(float(n * n)).reshape(n, n).copy()
        parts = np.arange(float((n + 1) * n)).reshape(n + 1, n).copy()
        for state in ({"a": w, "b": w.T}, {"a": w.T, "b": w}, {"a": parts[1:], "b": parts[:-1]}):
            want = update(state)
            got = fg.jit(update, donate_argnums=0)(state)
            for name in want:
                np.testing.assert_array_equal(got[name], want[name])
