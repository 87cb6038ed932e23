"""`jit` of functions that branch on values: limits, functions that are not pure, errors, threads, memory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from guard_cases import Counted, arrays, same

import funcgrad as fg
from funcgrad import tree
from funcgrad.errors import (
    GuardLimitWarning,
    ImpureFunctionError,
    ImpureFunctionWarning,
    TracerBoolConversionError,
    UnexpectedTracerError,
)

# --------------------------------------------------------------------------------------------------------------- bounds


def test_too_many_ways() -> None:
    def f(x: Any) -> Any:
        return x * int(x)  # this line

    g = fg.jit(f)
    fg.config.guard_leaves = 5
    with pytest.warns(
        GuardLimitWarning, match=r"more than 5 paths(.|\n)*test_guards_limits.py:(.|\n)*lax.while_loop"
    ) as caught:
        for i in range(40):
            assert g(float(i)) == float(i) * i
    assert len(caught) == 1 and caught[0].filename == __file__
    assert caught[0].lineno == f.__code__.co_firstlineno + 1
    assert "run without jit" in g.explain()  # type: ignore[attr-defined]
    assert fg.grad(g)(3.0) == 3.0


def test_too_long_a_way() -> None:
    def f(n: Any) -> Any:
        while n > 0:
            n = n - 1
        return n

    g = fg.jit(f)
    fg.config.guard_length = 50
    assert g(3) == 0
    with pytest.warns(GuardLimitWarning, match="more than 50 operations"):
        assert g(1000) == 0
    assert g(1000) == 0 and g(2) == 0


def test_floats_that_are_always_others() -> None:
    f = Counted(lambda x: np.sin(float(x)))
    g = fg.jit(f)
    with pytest.warns(GuardLimitWarning, match="a float that differs at each call"):
        for i in range(10):
            assert g(0.1 * i) == np.sin(0.1 * i)
    assert f.calls == 11  # once abstractly


def test_a_function_that_is_not_pure() -> None:
    state = [0]

    def f(x: Any) -> Any:
        state[0] += 1
        return x * state[0] if x > 0 else np.where(x > -5.0, x, 0.0)

    g = fg.jit(f)
    g(1.0)
    with pytest.warns(ImpureFunctionWarning, match="not pure(.|\n)*another than before"):
        g(-1.0)  # aligned so far
        for _ in range(3):
            fg.jit(f)
        h = fg.jit(lambda x: (x + state[0], f(x))[1])
        h(1.0)
        h(-1.0)


def test_purity_is_checked_on_demand() -> None:
    scale = np.ones(3)
    count = [0]

    def closes_over(x: Any) -> Any:
        return x * scale

    def branches(x: Any) -> Any:
        return x * scale if x[0] > 0 else x

    def counts(x: Any) -> Any:
        count[0] += 1
        return x * count[0]

    fg.config.check_purity = True
    for f in (closes_over, branches):
        g = fg.jit(f)
        g(scale)
        g(scale)
        scale[1] += 1.0
        with pytest.raises(ImpureFunctionError, match=rf"scale(.|\n)*test_guards_limits.py:\d+ \({f.__name__}\)"):
            g(np.ones(3))
    g = fg.jit(counts)
    with pytest.raises(ImpureFunctionError, match="a value that is another"):
        g(scale)
        g(scale)
    fg.config.check_purity = False
    same(g(np.ones(3)), np.ones(3))  # as it was first recorded


# ---------------------------------------------------------------------------------------------- errors, threads, memory


def test_an_exception_leaves_the_tree_intact() -> None:
    def f(x: Any) -> Any:
        if x < 0:
            raise ValueError("negative")
        return 1.0 / x if x < 10 else np.sqrt(x)

    g = fg.jit(f)
    for x in (1.0, -1.0, 2.0, -1.0, 20.0, 3.0, -2.0, 30.0, 2.0):
        if x < 0:
            with pytest.raises(ValueError, match="negative"):
                g(x)
        else:
            assert g(x) == f(x)
    with pytest.raises(ZeroDivisionError):
        g(0.0)
    assert g(4.0) == 0.25 and "2 paths" in g.explain()  # type: ignore[attr-defined]
    solve = fg.jit(lambda a: np.linalg.inv(a) if a[0, 0] > -1 else a)
    for _ in range(3):
        same(solve(np.eye(2)), np.eye(2))
        with pytest.raises(np.linalg.LinAlgError, match="test_guards"):
            solve(np.zeros((2, 2)))


def test_threads_on_different_ways() -> None:
    g = fg.jit(arrays)
    inputs = [np.random.default_rng(i).normal(size=5) * 3 for i in range(16)]
    wants = [arrays(x) for x in inputs]
    barrier, wrong = threading.Barrier(8), []

    def work(k: int) -> None:
        barrier.wait()
        for i in range(300):
            j = (i * (k + 1)) % 16
            try:
                same(g(inputs[j]), wants[j], fg.config.native == "off")  # tanh and sums are rounded otherwise
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[0]


def test_results_are_nobody_elses() -> None:
    g = fg.jit(lambda x: (x, x[::2], np.tanh(x), x) if x[0] > 0 else (x + 1.0, x, x.T, x * 1))
    for sign in (1.0, -1.0, 1.0, -1.0, 1.0, -1.0):
        x = np.arange(1.0, 5.0) * sign
        outs = [*g(x), x]
        for i, a in enumerate(outs):
            assert a.flags.writeable and not any(np.may_share_memory(a, b) for b in outs[:i])


def test_tracers_that_escape() -> None:
    kept: list[Any] = []
    g = fg.jit(lambda x: (kept.append(x), x if x > 0 else -x)[1])
    g(1.0)
    for t in kept:
        with pytest.raises((UnexpectedTracerError, TracerBoolConversionError)):
            bool(t)


def test_many_threads_meet_new_ways() -> None:
    """Threads that record, compile and run the same tree at once, one path of which raises."""

    def f(x: Any) -> Any:
        total = x[0] * 0.0
        for i in range(len(x)):
            if x[i] > 0.5:
                total = total + x[i] * x[i]
            elif x[i] < -0.5:
                total = total - np.sin(x[i])
        if total > 2.5:
            raise ValueError("too much")
        return {"total": total, "x": x * total}

    def outcome(fun: Callable[..., Any], x: Any) -> Any:
        try:
            return fun(x)
        except ValueError as error:
            return str(error)

    g = fg.jit(f)
    fg.config.guard_leaves = 200
    inputs = [np.random.default_rng(i).normal(size=3) for i in range(60)]
    wants = [outcome(f, x) for x in inputs]
    assert "too much" in wants
    barrier, wrong = threading.Barrier(6), []

    def work(k: int) -> None:
        barrier.wait()
        for i in range(240):
            j = (i * 7 + k * 10) % 60
            try:
                found = outcome(g, inputs[j])
                if isinstance(wants[j], str):
                    assert found == wants[j]
                else:
                    same(found, wants[j], False)
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[0]


def test_a_limit_met_by_many_threads_warns_once() -> None:
    g = fg.jit(lambda x: x * int(x))
    fg.config.guard_leaves = 4
    barrier, wrong = threading.Barrier(4), []

    def work(k: int) -> None:
        barrier.wait()
        for i in range(40):
            x = float((i + 10 * k) % 40)
            try:
                assert g(x) == x * int(x)
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong, wrong[0]
    assert [w.category for w in caught] == [GuardLimitWarning]


# ------------------------------------------------------------------------------------------------ other options of jit


def test_donated_arguments() -> None:
    """Donating allows, but does not oblige: results are the same on every path, and nobody else's."""
    f = lambda p, x: {k: v - x * v for k, v in p.items()} if np.sum(p["a"]) > 0 else (p["a"] + x, p["a"])  # noqa: E731
    g = fg.jit(f, donate_argnums=0)
    for i in range(6):
        sign = -1.0 if i % 2 else 1.0
        p = {"a": np.arange(1.0, 5.0) * sign, "b": np.ones(3)}
        want = f({k: v.copy() for k, v in p.items()}, 0.5)
        found = g(p, 0.5)
        same(found, want)
        leaves = tree.leaves(found)
        for n, leaf in enumerate(leaves):
            assert leaf.flags.writeable and not any(np.may_share_memory(leaf, other) for other in leaves[:n])


def test_static_arguments_have_trees_of_their_own() -> None:
    f = lambda x, n, flip=False: (-x if flip else x) * n if x > n else x / n  # noqa: E731
    g = fg.jit(f, static_argnums=1, static_argnames="flip")
    for _ in range(3):
        for x in (0.5, 1.5, 2.5):
            for n in (1, 2, 1.0):
                assert g(x, n) == f(x, n)
                assert g(x, n, flip=True) == f(x, n, flip=True)
                assert fg.grad(lambda y, n=n: g(y, n))(x) == fg.grad(lambda y, n=n: f(y, n))(x)
    assert g.explain().count("2 paths") == 6  # type: ignore[attr-defined]


def test_branches_on_a_backend() -> None:
    """Values are on the device: the one that decides comes to the host."""
    pytest.importorskip("array_api_strict")
    f = lambda x: x * 2.0 if x[0] > 0 else -x  # noqa: E731
    x = np.array([1.0, -2.0])
    g = fg.jit(f, backend="array_api_strict")
    for _ in range(2):
        same(g(x), f(x), False)
        same(g(-x), f(-x), False)
    inner = fg.jit(lambda x: x * 3.0, backend="array_api_strict")
    h, plain = fg.jit(lambda x: inner(x) if x[0] > 0 else x), lambda x: x * 3.0 if x[0] > 0 else x
    for _ in range(3):  # a part of a path may run there
        same(h(x), plain(x), False)
        same(h(-x), plain(-x), False)
