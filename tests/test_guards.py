"""`jit` of functions that branch on values: the same results, gradients that follow the branch, and what composes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from guard_cases import CASES, Counted, recursion, recursive_power, same

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.errors import (
    TracerBoolConversionError,
)
from funcgrad.executor.guards import Guarded
from funcgrad.passes.unroll import Unrolling, unrolling
from funcgrad.types import aval_of

MANY = 3_000


@pytest.mark.parametrize("name", CASES)
def test_jitted_equals_eager(name: str, small_arrays: None, rng: np.random.Generator) -> None:
    f, draw = CASES[name]
    f = Counted(f) if f not in (recursion, recursive_power) else f
    g, calls = fg.jit(f), 0
    many = MANY if unrolling.gain else MANY // 5
    for i in range(many):
        x = draw(rng)
        same(g(x), f.fun(x) if isinstance(f, Counted) else f(x), name not in ("decision tree", "arrays"))
        if i == many // 2 and isinstance(f, Counted):
            calls = f.calls
    if isinstance(f, Counted):
        assert f.calls - calls <= 150  # nearly all calls are compiled


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("collatz", "collatz, int32", "recursion")])
def test_gradients_follow_the_branch(name: str, rng: np.random.Generator) -> None:
    f, draw = CASES[name]

    def scalar(x: Any) -> Any:
        return sum(np.sum(leaf * leaf) for leaf in tree.leaves(f(x)))

    want = fg.grad(scalar)
    inside, outside = fg.grad(fg.jit(scalar)), fg.jit(fg.grad(scalar))
    with_value = fg.jit(fg.value_and_grad(fg.jit(scalar)))
    for i in range(150):
        x = draw(rng)
        expected = want(x)
        same(inside(x), expected, False)
        same(outside(x), expected, False)
        same(with_value(x), (scalar(x), expected), False)
        if i < 20:
            y, pullback = fg.vjp(fg.jit(scalar), x)
            same(pullback(y * 0.0 + 1.0)[0], expected, False)


def test_what_composes() -> None:
    def f(x: Any) -> Any:
        s = x
        while np.abs(s) > 0.5:
            s = np.sin(s) * 0.9
        return s * s

    g, want = fg.jit(f), fg.grad(f)(2.0)
    same(fg.jvp(g, (2.0,), (1.0,)), fg.jvp(f, (2.0,), (1.0,)))
    same(fg.linearize(g, 2.0)[1](1.0), want, False)
    same(fg.jit(lambda x: fg.jvp(f, (x,), (1.0,))[1])(2.0), want, False)
    same(fg.grad(fg.checkpoint(g))(2.0), want, False)
    same(fg.grad(fg.checkpoint(f))(2.0), want, False)
    assert fg.checkpoint(f)(2.0) == f(2.0)
    same(fg.jit(lambda x: g(x) + 1.0)(2.0), f(2.0) + 1.0)
    same(fg.jit(fg.jit(g))(2.0), f(2.0))
    same(fg.grad(fg.grad(g))(2.0), fg.grad(fg.grad(f))(2.0), False)
    same(fg.jit(fg.grad(fg.grad(f)))(2.0), fg.grad(fg.grad(f))(2.0), False)
    # What is the same for all examples may be asked for.
    mapped = fg.vmap(fg.jit(lambda x, n: x * n if n > 0 else -x), in_axes=(0, None))
    same(mapped(np.arange(3.0), 2), np.arange(3.0) * 2)


@fg.custom_jvp
def slope(x: Any) -> Any:
    return x * 2.0 if x > 0 else -x


slope.defjvp(lambda primals, tangents: (slope(*primals), 10.0 * tangents[0]))


@fg.custom_vjp
def pulled(x: Any) -> Any:
    return x * 2.0 if x > 0 else -x


pulled.defvjp(lambda x: (pulled(x), x), lambda x, ct: (ct * 3.0 if x > 0 else ct * 4.0,))


@pytest.mark.parametrize("custom", [slope, pulled])
def test_functions_with_rules_branch_too(custom: Callable[[Any], Any]) -> None:
    for f in (custom, lambda x: custom(x * 2.0) + (1.0 if x < 5 else x)):
        value, inside, outside = fg.jit(f), fg.grad(fg.jit(f)), fg.jit(fg.grad(f))
        for x in (1.0, -1.0, 2.0, 7.0, -2.0, -3.0, 8.0):
            assert value(x) == f(x)
            assert inside(x) == outside(x) == fg.grad(f)(x)


def test_functions_that_call_each_other() -> None:
    @fg.jit
    def even(n: Any) -> Any:
        return True if n == 0 else odd(n - 1)

    @fg.jit
    def odd(n: Any) -> Any:
        return False if n == 0 else even(n - 1)

    for n in (4, 3, 4, 3, 5):
        assert even(n) is (n % 2 == 0)


def test_many_values_at_once_have_no_branch() -> None:
    g = fg.jit(lambda x: x if x > 0 else -x)
    g(1.0)
    for use in (
        lambda: fg.vmap(g)(np.ones(3)),
        lambda: fg.jit(fg.vmap(g))(np.ones(3)),
        lambda: fg.jit(lambda xs: lax.scan(lambda c, x: (c + g(x), None), 0.0, xs))(np.ones(3)),
        lambda: fg.make_ir(g)(1.0),
        lambda: fg.eval_shape(g, 1.0),
        lambda: fg.jit(lambda x: x if x > 0 else -x, guards=False)(1.0),
    ):
        with pytest.raises(TracerBoolConversionError, match=r"lax\.cond"):
            use()


def test_functions_without_branches_are_recorded_abstractly() -> None:
    f = Counted(lambda x: lax.cond(x > 0, np.sin, np.cos, x))
    g = fg.jit(f)
    assert [g(x) for x in (1.0, -1.0)] == [np.sin(1.0), np.cos(-1.0)] and f.calls == 1
    assert "no branch" in g.explain()


def test_operations_on_values_stay_operations() -> None:
    """`cond` and `while_loop` are no ways of their own, also in a function that branches elsewhere."""

    def f(x: Any) -> Any:
        y = lax.cond(x > 3.0, np.sin, np.cos, x)
        y = lax.while_loop(lambda c: c < 10.0, lambda c: c + 1.0, y)
        return y if x > 0 else -y

    g = fg.jit(f)
    for x in (1.0, 4.0, 2.0, 5.0, -3.0, -1.0) * 3:
        assert g(x) == f(x)
    assert "2 paths" in g.explain()


def test_what_is_there_before_a_guard_is_not_computed_again(unrolled_when: Unrolling) -> None:
    """Small values are shared by what follows a guard; each path still reads its own."""
    unrolled_when.gain = 0  # written out there is one line for each element

    def f(x: Any, v: Any) -> Any:
        y = np.sin(x) + np.sum(np.cos(v))
        if np.sin(x) > 0.0:
            return np.sin(x) * y, np.cos(v)
        if np.sum(np.cos(v)) > 0.0:
            return np.sin(x) - y, np.cos(v) * 2.0
        return y, np.cos(v), np.sin(x)

    g = fg.jit(f)
    cases = [(a, np.array([b, b + 0.5])) for a in (0.5, -0.5) for b in (0.1, 2.5)]
    for _ in range(4):
        for x, v in cases:
            outs = g(x, v)
            same(outs, f(x, v), False)
            arrays = [o for o in outs if isinstance(o, np.ndarray)]
            assert all(a.flags.writeable and not np.may_share_memory(a, v) for a in arrays)
            for a in arrays:
                a[:] = np.nan  # the next call must not see this
    tree_of_ways = Guarded(f, [aval_of(x) for x in cases[0]], "f")
    for x, v in cases:
        tree_of_ways(x, v)
    assert tree_of_ways.source.count("sin(") == 1 and tree_of_ways.source.count("cos(") == 1


def test_large_values_live_across_guards() -> None:
    """What a node reads and a later one reads again is not dropped between the two."""

    def collatz(k: Any) -> Any:
        k = k.copy()
        k[k % 2 == 0] //= 2
        k[k % 2 == 1] = 3 * k[k % 2 == 1] + 1
        return k

    run, k = fg.jit(collatz), np.arange(10_000)
    for _ in range(4):
        np.testing.assert_array_equal(run(k), collatz(k))
