"""Pullbacks, linearised functions and transposes as pytrees: returned, mapped, carried, passed on."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from programs import PROGRAMS

import funcgrad as fg
from funcgrad import lax, tree

X = np.array([0.5, -1.0, 2.0])


def _rebuilt(f: Any) -> Any:
    return tree.map(lambda leaf: leaf, f)


def _f(x: Any) -> Any:
    return np.sin(x) * 2.0 * x


def _custom_vjp() -> Any:
    f = fg.custom_vjp(lambda x: np.sin(x))
    f.defvjp(lambda x: (np.sin(x), np.cos(x)), lambda kept, ct: (kept * ct,))
    return f


def _custom_jvp() -> Any:
    f = fg.custom_jvp(lambda x: np.sin(x))
    f.defjvp(lambda ps, ts: (np.sin(ps[0]), np.cos(ps[0]) * ts[0]))
    return f


FUNCTIONS: dict[str, Any] = {
    "elementwise": _f,
    "tree": lambda x: {"a": x @ x, "b": [np.cumsum(x), np.argmax(x)]},
    "jit": fg.jit(_f),
    "checkpoint": fg.checkpoint(_f),
    "custom_vjp": _custom_vjp(),
    "custom_jvp": _custom_jvp(),
    "scan": lambda x: lax.scan(lambda c, a: (c * a, np.sin(c)), 1.0, x),
    "while": lambda x: lax.while_loop(lambda c: c[1] < 3, lambda c: (np.sin(c[0]), c[1] + 1), (x, 0))[0],
    "cond": lambda x: lax.cond(x[0] > 0, np.sin, np.cos, x),
    "constant": lambda x: X @ np.outer(x, X),
    "no derivative": lambda x: np.ones(2),
    "float32": lambda x: x.astype(np.float32) * 2.0,
}


def _ones(out: Any) -> Any:
    return tree.map(lambda y: np.ones_like(y) if y.dtype.kind == "f" else np.zeros(y.shape, fg.float0), out)


def _close(a: Any, b: Any) -> None:
    if getattr(b, "dtype", None) == fg.float0:
        assert a.dtype == b.dtype and a.shape == b.shape
    else:
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pullback_and_push_rebuilt_jitted_and_mapped(name: str) -> None:
    f = FUNCTIONS[name]
    for transform, arg in ((fg.vjp, _ones(tree.map(np.asarray, f(X)))), (fg.linearize, X + 1)):
        if name == "custom_vjp" and transform is fg.linearize:
            continue  # it has no derivative in forward mode
        linear = transform(f, X)[1]
        want = linear(arg)
        for made in (_rebuilt(linear), fg.jit(lambda x, t=transform: t(f, x))(X)[1]):
            tree.map(_close, made(arg), want)
        batch = fg.vmap(lambda x, t=transform: t(f, x)[1])(np.stack([X, 2 * X]))
        got = fg.vmap(lambda p, a: p(a), (0, None), axis_size=2)(batch, arg)
        for i in range(2):
            one = transform(f, (i + 1) * X)[1](arg)
            tree.map(lambda a, b, i=i: _close(a[i], b), got, one)


@pytest.mark.parametrize("name", [n for n in PROGRAMS][::3])
def test_pullback_of_programs_rebuilt(name: str) -> None:
    f, v = PROGRAMS[name].vector()
    out, pullback = fg.vjp(f, v)
    for a, b in zip(_rebuilt(pullback)(out), pullback(out), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("transform", [fg.vjp, fg.linearize])
@pytest.mark.parametrize("points", [(X, 2 * X), (0.5, 0.7), (np.float32(0.5), np.float32(1.5))])
def test_equal_programs_have_one_structure(transform: Any, points: Any) -> None:
    first, second = (transform(lambda x: np.sin(x) * 2.0 * x, x)[1] for x in points)
    jitted = fg.jit(lambda x: transform(lambda x: np.sin(x) * 2.0 * x, x)[1])(points[0])
    assert tree.structure(first) == tree.structure(second) == tree.structure(jitted)
    assert tree.structure(first) != tree.structure(transform(lambda x: np.sin(x) * 3.0 * x, points[0])[1])
    calls: list[int] = []

    @fg.jit
    def apply(p: Any, t: Any) -> Any:
        calls.append(1)
        return p(t)

    for p in (first, second, jitted):
        assert np.allclose(apply(p, points[0]), p(points[0]))
    assert len(calls) == 1


def test_carried_chosen_and_copied() -> None:
    y, pullback = fg.vjp(_f, X)

    def step(carry: Any, _: Any) -> Any:
        y, back = fg.vjp(_f, carry[1])
        return (back, y), carry[0](carry[1])

    (last, _), _ = lax.scan(step, (pullback, y), None, length=2)
    np.testing.assert_allclose(last(X)[0], fg.vjp(_f, _f(y))[1](X)[0])
    other = fg.vjp(_f, 3 * X)[1]
    chosen = fg.jit(lambda t: lax.cond(t, lambda a, b: a, lambda a, b: b, pullback, other))
    np.testing.assert_allclose(chosen(False)(X)[0], other(X)[0])
    for copied in (pickle.loads(pickle.dumps(fg.vjp(np.sin, X)[1])), copy.deepcopy(fg.vjp(np.sin, X)[1])):
        np.testing.assert_array_equal(copied(X)[0], np.cos(X) * X)
    with pytest.raises(TypeError, match="pickle what it was made from"):
        pickle.dumps(_rebuilt(pullback))
    with pytest.raises(ValueError, match="it is a pytree"):
        tree.map(lambda leaf: np.stack([leaf, leaf]), pullback)(X)
    assert repr(pullback).startswith("pullback of\n{ lambda a:f64[3]") and "3 operations" not in repr(other)
    with pytest.raises(TypeError, match="expected a LinearFunction with static data <pullback of 5 operations"):
        fg.jit(lambda t: lax.cond(t, lambda: fg.vjp(np.sin, X)[1], lambda: fg.vjp(_f, X)[1]))(True)


def test_written_arrays_and_effects() -> None:
    seen: list[Any] = []
    w = X.copy()

    def f(x: Any) -> Any:
        fg.debug.callback(seen.append, x)
        return w * x

    _, pullback = fg.vjp(f, X)
    w[:] = 0.0
    (leaf,) = tree.leaves(pullback)
    np.testing.assert_array_equal(leaf, X)
    assert len(seen) == 1
    w = np.ones(3)
    transpose = fg.linear_transpose(lambda x: w * x, X)
    np.testing.assert_array_equal(fg.jit(lambda t: t(X)[0])(transpose), X)
    assert tree.structure(transpose) == tree.structure(fg.linear_transpose(lambda x: (2 * w) * x, X))


def test_has_aux_and_several_arguments() -> None:
    out, pullback, aux = fg.jit(lambda x, n: fg.vjp(lambda x, n: (x**2, {"n": n}), x, n, has_aux=True))(X, 3)
    np.testing.assert_allclose(pullback(X)[0], 2 * X * X)
    assert pullback(X)[1].dtype == fg.float0 and aux == {"n": 3} and np.array_equal(out, X**2)
    _, push, aux = fg.jit(lambda x: fg.linearize(lambda x: (x**2, x), x, has_aux=True))(X)
    np.testing.assert_allclose(push(X), 2 * X * X)
    grads = fg.grad(lambda x: np.sum(fg.jit(lambda p, t: p(t))(fg.vjp(_f, x)[1], X)[0]))(X)
    np.testing.assert_allclose(grads, fg.grad(lambda x: np.sum(fg.vjp(_f, x)[1](X)[0]))(X))
