"""Functions with a batching rule of their own: how they are called, what the rule is given, and what it must return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.custom_batching import custom_vmap, sequential_vmap
from funcgrad.test_util import check_grads

X = np.array([0.5, 1.0, 1.5])


def _noted(factor: float = 1.0) -> tuple[Any, list[Any]]:
    """x sin(y), whose rule multiplies by a factor, so that its use is seen; and the calls of the rule."""
    calls: list[Any] = []

    @custom_vmap
    def f(x: Any, y: Any = 2.0) -> Any:
        return x * np.sin(y)

    @f.def_vmap
    def rule(size: int, in_batched: Any, x: Any, y: Any) -> Any:
        calls.append((size, in_batched))
        return factor * x * np.sin(y), True

    return f, calls


def test_keywords_and_defaults_are_given_by_position() -> None:
    f, calls = _noted()
    want = X * np.sin(2.0)
    np.testing.assert_allclose(fg.vmap(lambda x: f(x))(X), want)
    np.testing.assert_allclose(fg.vmap(lambda x: f(y=2.0, x=x))(X), want)
    np.testing.assert_allclose(f(1.0, y=2.0), np.sin(2.0))
    assert calls == [(3, [True, False])] * 2
    only = custom_vmap(lambda x, *, y: x * y)
    only.def_vmap(lambda size, flags, x: (x, True))
    with pytest.raises(TypeError, match="'y' can be given by keyword alone"):
        only(1.0, y=2.0)
    unknown = custom_vmap(np.sin)
    unknown.def_vmap(lambda size, flags, x: (np.sin(x), True))
    np.testing.assert_allclose(fg.vmap(unknown)(X), np.sin(X))


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint])
def test_the_rule_is_differentiated_where_it_was_used(wrap: Any) -> None:
    f, calls = _noted(10.0)
    total = wrap(lambda x: np.sum(fg.vmap(f, (0, None))(x, 2.0)))
    np.testing.assert_allclose(fg.grad(total)(X), 10.0 * np.sin(2.0) * np.ones(3))
    np.testing.assert_allclose(fg.jvp(total, (X,), (X,))[1], 10.0 * np.sin(2.0) * np.sum(X))
    assert calls
    np.testing.assert_allclose(fg.vmap(wrap(lambda x: f(x, 2.0)))(X), 10.0 * np.sin(2.0) * X)
    dx = fg.vmap(lambda x: fg.jvp(lambda x: f(x, 2.0), (x,), (1.0,))[1])(X)
    np.testing.assert_allclose(dx, 10.0 * np.sin(2.0) * np.ones(3))
    # In reverse mode what is batched are the operations of the function.
    np.testing.assert_allclose(fg.vmap(fg.grad(f), (0, None))(X, 2.0), np.sin(2.0) * np.ones(3))


def test_batches_of_loops_use_the_rule() -> None:
    f, calls = _noted(10.0)
    steps = np.array([1.0, 2.0])
    out = fg.vmap(lambda c: lax.scan(lambda c, y: (f(c, y), None), c, steps)[0])(X)
    np.testing.assert_allclose(out, 100.0 * X * np.sin(1.0) * np.sin(2.0))
    assert calls[-1] == (3, [True, False])


def test_a_closure_has_derivatives_and_no_batch() -> None:
    def closing(y: Any) -> Any:
        f = custom_vmap(lambda x: x * np.sin(y))
        f.def_vmap(lambda size, flags, x: (x, flags[0]))
        return f

    check_grads(lambda y: closing(y)(3.0), (np.array(0.7),), 2)
    with pytest.raises(TypeError, match="closes over"):
        fg.vmap(lambda y: closing(y)(1.0))(X)


def test_results_of_the_rule_are_checked() -> None:
    f = custom_vmap(lambda x: x)
    f.def_vmap(lambda size, flags, x: (np.sum(x), True))
    with pytest.raises(TypeError, match=r"a batch of 3 results of the function:\n  out: expected shape \(3,\), got"):
        fg.vmap(f)(X)
    f.def_vmap(lambda size, flags, x: (x, False))
    with pytest.raises(TypeError, match=r"out: expected shape \(\), got \(3,\)"):
        fg.vmap(f)(X)
    f.def_vmap(lambda size, flags, x: (x.astype(np.float32), True))
    with pytest.raises(TypeError, match="expected dtype float64, got float32"):
        fg.vmap(f)(X)
    f.def_vmap(lambda size, flags, x: ("x", False))
    with pytest.raises(TypeError, match="an output of the rule is a str"):
        fg.vmap(f)(X)
    f.def_vmap(lambda size, flags, x: (1, False))  # a Python number is of any dtype
    np.testing.assert_array_equal(fg.vmap(f)(X), np.ones(3))


def test_one_after_the_other_in_nested_batches() -> None:
    f = sequential_vmap(lambda x, y: {"s": np.sum(x**2) * y})
    x = np.arange(12.0).reshape(2, 3, 2)
    g = fg.vmap(fg.vmap(f, (0, None)), (0, None))
    np.testing.assert_allclose(g(x, 2.0)["s"], 2.0 * np.sum(x**2, 2))
    check_grads(lambda x: g(x, 2.0)["s"], (x,), 2)
    np.testing.assert_allclose(fg.vmap(fg.grad(lambda x: f(x, 2.0)["s"]))(x[0]), 4.0 * x[0])
