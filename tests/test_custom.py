"""Functions with derivatives of their own: `custom_jvp`, `custom_vjp`, `custom_gradient`, `stop_gradient`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import UnexpectedTracerError

X = np.array([0.3, -1.2, 2.0])


def _scaled(factor: float) -> Any:
    """sin, whose derivative is said to be `factor` times cos: so that it shows which rule was used."""

    @fg.custom_jvp
    def f(x: Any) -> Any:
        return np.sin(x)

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        return f(x), factor * np.cos(x) * t

    return f


def _scaled_back(factor: float) -> Any:
    """The same in reverse mode."""

    @fg.custom_vjp
    def f(x: Any) -> Any:
        return np.sin(x)

    f.defvjp(lambda x: (np.sin(x), {"c": np.cos(x)}), lambda kept, ct: (factor * ct * kept["c"],))
    return f


# ---------------------------------------------------------------------------------------------------- custom_jvp


def test_jvp_rule_in_every_mode() -> None:
    f = _scaled(10.0)
    want = 10 * np.cos(X)
    np.testing.assert_array_equal(f(X), np.sin(X))
    np.testing.assert_allclose(fg.jvp(f, (X,), (np.ones(3),))[1], want)
    np.testing.assert_allclose(fg.vjp(f, X)[1](np.ones(3))[0], want)
    np.testing.assert_allclose(fg.linearize(f, X)[1](np.ones(3)), want)
    for jacobian in (fg.jacfwd, fg.jacrev):
        np.testing.assert_allclose(jacobian(f)(X), np.diag(want))
    for wrap in (lambda g: g, fg.jit, fg.checkpoint):
        np.testing.assert_allclose(fg.grad(wrap(lambda x: np.sum(f(x))))(X), want)
        np.testing.assert_allclose(wrap(fg.grad(lambda x: np.sum(f(x))))(X), want)
        np.testing.assert_allclose(wrap(fg.vmap(fg.grad(f)))(X), want)
        np.testing.assert_allclose(fg.grad(lambda x: np.sum(fg.vmap(wrap(f))(x)))(X), want)  # noqa: B023
        np.testing.assert_allclose(fg.jvp(fg.vmap(wrap(f)), (X,), (np.ones(3),))[1], want)


def test_jvp_rule_in_second_order() -> None:
    f = _scaled(10.0)
    np.testing.assert_allclose(fg.hessian(lambda x: np.sum(f(x)))(X), np.diag(-10 * np.sin(X)))
    np.testing.assert_allclose(fg.vmap(fg.grad(fg.grad(f)))(X), -10 * np.sin(X))
    np.testing.assert_allclose(fg.grad(fg.jit(fg.grad(fg.jit(fg.grad(f)))))(0.3), -10 * np.cos(0.3))


def test_jvp_rule_in_a_scan() -> None:
    f = _scaled(10.0)

    def run(x: Any) -> Any:
        return lax.scan(lambda c, a: (f(c) + a, c), x, np.zeros(2))[0]

    want = 100 * np.cos(np.sin(0.3)) * np.cos(0.3)
    for g in (fg.grad(run), fg.jit(fg.grad(run)), fg.grad(fg.jit(run)), lambda x: fg.jvp(run, (x,), (1.0,))[1]):
        np.testing.assert_allclose(g(0.3), want)
    np.testing.assert_allclose(fg.vmap(fg.grad(run))(np.array([0.3, 0.3])), [want, want])


def test_one_rule_per_argument() -> None:
    @fg.custom_jvp
    def f(x: Any, y: Any, z: Any) -> Any:
        return x * y * z

    f.defjvps(lambda t, out, x, y, z: 10 * t * y * z, None, lambda t, out, x, y, z: t * out / z)
    np.testing.assert_allclose(fg.grad(f, (0, 1, 2))(2.0, 3.0, 4.0), (120.0, 0.0, 6.0))
    assert fg.jvp(f, (2.0, 3.0, 4.0), (0.0, 1.0, 0.0))[1] == 0.0
    np.testing.assert_allclose(fg.vmap(fg.grad(f, 2), (0, None, None))(X, 3.0, 4.0), 3 * X)


def test_pytrees_and_integers() -> None:
    @fg.custom_jvp
    def f(p: Any, n: Any) -> Any:
        return {"y": p["a"] * n, "count": n + 1}, [p["b"]]

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (p, n), (dp, dn) = primals, tangents
        assert dn.dtype == fg.float0
        out = f(p, n)
        return out, ({"y": 10 * dp["a"] * n, "count": np.zeros(np.shape(n), fg.float0)}, [dp["b"]])

    p = {"a": X, "b": 2.0}

    def loss(p: Any) -> Any:
        out, (b,) = f(p, np.array(3))
        return np.sum(out["y"]) * out["count"] + b

    for g in (fg.grad(loss), fg.jit(fg.grad(loss)), fg.grad(fg.jit(loss))):
        found = g(p)
        np.testing.assert_allclose(found["a"], np.full(3, 120.0))
        assert found["b"] == 1.0
    rows = fg.vmap(fg.grad(loss), ({"a": 0, "b": None},))({"a": np.stack([X, X]), "b": 2.0})
    np.testing.assert_allclose(rows["a"], np.full((2, 3), 120.0))


def test_arguments_without_derivative() -> None:
    @partial(fg.custom_jvp, nondiff_argnums=(0, 2))
    def f(fun: Any, x: Any, n: Any = 2) -> Any:
        return fun(x) * n

    @f.defjvp
    def rule(fun: Any, n: Any, primals: Any, tangents: Any) -> Any:
        return f(fun, *primals, n), 100 * n * tangents[0]

    assert f(np.sin, 0.0) == 0.0
    assert fg.grad(lambda x: f(np.sin, x))(0.3) == 200.0
    assert fg.grad(lambda x: f(np.sin, x, n=3))(0.3) == 300.0
    # They may be traced, too; nothing is differentiated by them.
    np.testing.assert_allclose(fg.jit(lambda x, n: f(np.sin, x, n))(X, 3), 3 * np.sin(X))
    np.testing.assert_allclose(fg.jit(fg.vmap(lambda x, n: f(np.sin, x, n)))(X, X), X * np.sin(X))
    np.testing.assert_allclose(fg.vmap(fg.grad(lambda x, n: f(np.sin, x, n)))(X, X), 100 * X)
    np.testing.assert_allclose(fg.grad(fg.jit(lambda x, n: f(np.sin, x, n)), (0, 1))(0.3, 3.0), (300.0, 0.0))


def test_rules_see_what_is_outside() -> None:
    """A rule may close over values of transformations around the one that uses it."""

    def outer(c: Any) -> Any:
        @fg.custom_jvp
        def f(x: Any) -> Any:
            return c * x

        f.defjvp(lambda p, t: (f(*p), c * c * t[0]))
        return fg.grad(f)(2.0) + fg.jvp(f, (2.0,), (1.0,))[1]

    assert outer(3.0) == 18.0
    assert fg.grad(outer)(3.0) == 12.0
    assert fg.jvp(outer, (3.0,), (1.0,)) == (18.0, 12.0)
    np.testing.assert_allclose(fg.vmap(outer)(X), 2 * X * X)
    np.testing.assert_allclose(fg.jit(outer)(3.0), 18.0)
    np.testing.assert_allclose(fg.vmap(fg.grad(outer))(X), 4 * X)


@partial(fg.custom_jvp, nondiff_argnums=(0,))
def _apply(fun: Any, x: Any) -> Any:
    return fun(x)


_apply.defjvp(lambda fun, p, t: (fun(*p), 10 * t[0]))


def test_a_function_of_constants_may_close_over_tracers() -> None:
    f = lambda c: _apply(lambda x: c * x, 2.0)  # noqa: E731
    assert fg.grad(f)(3.0) == 2.0 and fg.jvp(f, (3.0,), (1.0,)) == (6.0, 2.0)
    np.testing.assert_array_equal(fg.vmap(fg.jit(fg.grad(f)))(X), np.full(3, 2.0))


def test_what_is_differentiated_by_must_be_an_argument() -> None:
    """To the rule, what the function closes over is a constant: its derivative would be lost."""
    with pytest.raises(UnexpectedTracerError, match="Pass it as an argument"):
        fg.grad(lambda c: _apply(lambda x: c * x, c))(1.0)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda p, t: p[0], r"must return \(output, output tangent\)"),
        (lambda p, t: (p[0], t[0][:1]), r"output tangent: expected shape \(3,\), got \(1,\)"),
        (lambda p, t: (p[0], {"a": t[0]}), "does not match its output"),
        (lambda p, t: (p[0], t[0].astype(np.float32)), "expected dtype float64, got float32"),
    ],
)
def test_wrong_jvp_rules(rule: Any, text: str) -> None:
    f = fg.custom_jvp(lambda x: x)
    f.defjvp(rule)
    for call in (
        lambda: fg.jvp(f, (X,), (X,)),
        lambda: fg.grad(lambda x: np.sum(f(x)))(X),
        lambda: fg.jit(fg.jacrev(f))(X),
    ):
        with pytest.raises(TypeError, match=text):
            call()


# ---------------------------------------------------------------------------------------------------- custom_vjp


def test_vjp_rule_in_every_mode() -> None:
    f = _scaled_back(10.0)
    want = 10 * np.cos(X)
    np.testing.assert_array_equal(f(X), np.sin(X))
    np.testing.assert_allclose(fg.vjp(f, X)[1](np.ones(3))[0], want)
    np.testing.assert_allclose(fg.jacrev(f)(X), np.diag(want))
    for wrap in (lambda g: g, fg.jit, fg.checkpoint):
        np.testing.assert_allclose(fg.grad(wrap(lambda x: np.sum(f(x))))(X), want)
        np.testing.assert_allclose(wrap(fg.grad(lambda x: np.sum(f(x))))(X), want)
        np.testing.assert_allclose(wrap(fg.vmap(fg.grad(f)))(X), want)
        np.testing.assert_allclose(fg.grad(lambda x: np.sum(fg.vmap(wrap(f))(x)))(X), want)  # noqa: B023


def test_vjp_rule_in_second_order_and_in_a_scan() -> None:
    f = _scaled_back(10.0)
    np.testing.assert_allclose(fg.grad(fg.grad(f))(0.3), -10 * np.sin(0.3))
    np.testing.assert_allclose(fg.hessian(lambda x: np.sum(f(x)))(X), np.diag(-10 * np.sin(X)))
    run = lambda x: lax.scan(lambda c, a: (f(c) + a, c), x, np.zeros(2))[0]  # noqa: E731
    want = 100 * np.cos(np.sin(0.3)) * np.cos(0.3)
    for g in (fg.grad(run), fg.jit(fg.grad(run)), fg.grad(fg.jit(run))):
        np.testing.assert_allclose(g(0.3), want)


def test_no_forward_mode() -> None:
    f = _scaled_back(10.0)
    for call in (
        lambda: fg.jvp(f, (X,), (X,)),
        lambda: fg.jacfwd(f)(X),
        lambda: fg.linearize(f, X),
        lambda: fg.jvp(fg.jit(f), (X,), (X,)),
    ):
        with pytest.raises(TypeError, match="custom_vjp rule, so it has no derivative in forward mode"):
            call()


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint])
def test_zero_cotangents_integers_and_pytrees(wrap: Any) -> None:
    @fg.custom_vjp
    def f(p: Any, n: Any, unused: Any) -> Any:
        return {"y": p["a"] * p["b"] * n, "i": np.argmax(p["a"])}

    def forward(p: Any, n: Any, unused: Any) -> Any:
        return f(p, n, unused), (p["b"], [n, None])

    def backward(kept: Any, ct: Any) -> Any:
        b, (n, _) = kept
        assert ct["i"].dtype == fg.float0
        return {"a": 10 * ct["y"] * b * n, "b": np.zeros(3)}, None, None

    f.defvjp(forward, backward)

    def loss(p: Any, u: Any) -> Any:
        return np.sum(wrap(f)(p, np.array(2), u)["y"])

    p = {"a": X, "b": np.arange(3.0)}
    by_p, by_u = fg.grad(loss, (0, 1))(p, X)
    np.testing.assert_allclose(by_p["a"], 20 * p["b"])
    np.testing.assert_array_equal(by_p["b"], np.zeros(3))
    np.testing.assert_array_equal(by_u, np.zeros(3))
    batch = {k: np.stack([v, v]) for k, v in p.items()}
    by_p, by_u = fg.vmap(fg.grad(loss, (0, 1)), (0, 0))(batch, np.stack([X, X]))
    np.testing.assert_allclose(by_p["a"], 20 * batch["b"])
    assert by_u.shape == (2, 3)
    for axes in ((0, 0), (0, None), ({"a": 0, "b": None}, None)):

        def total(p: Any, u: Any, axes: Any = axes) -> Any:
            return np.sum(fg.vmap(lambda p, u: wrap(f)(p, np.array(2), u)["y"], axes)(p, u))

        chosen = {"a": batch["a"], "b": batch["b"] if axes[0] == 0 else p["b"]}
        by_p, by_u = fg.grad(total, (0, 1))(chosen, np.stack([X, X]) if axes[1] == 0 else X)
        np.testing.assert_allclose(by_p["a"], 20 * batch["b"])
        assert by_p["b"].shape == chosen["b"].shape and not by_u.any()


def test_vjp_arguments_without_derivative() -> None:
    @partial(fg.custom_vjp, nondiff_argnums=(1,))
    def f(x: Any, n: Any) -> Any:
        return x**n

    f.defvjp(lambda x, n: (f(x, n), x), lambda n, x, ct: (100 * n * ct,))
    np.testing.assert_allclose(fg.grad(f)(3.0, 2), 200.0)
    np.testing.assert_allclose(fg.jit(fg.grad(f))(3.0, 2), 200.0)
    np.testing.assert_allclose(fg.vmap(fg.grad(f))(X, np.array([1, 2, 3])), [100.0, 200.0, 300.0])
    np.testing.assert_allclose(
        fg.grad(fg.jit(lambda x: np.sum(fg.vmap(f)(x, np.array([1, 2, 3])))))(X), [100.0, 200.0, 300.0]
    )


def test_shared_argument_under_vmap_gets_the_sum() -> None:
    @fg.custom_vjp
    def f(w: Any, x: Any) -> Any:
        return w * x

    f.defvjp(lambda w, x: (w * x, (w, x)), lambda kept, ct: (ct * kept[1], ct * kept[0]))
    by_w, by_x = fg.grad(lambda w, x: np.sum(fg.vmap(f, (None, 0))(w, x)), (0, 1))(2.0, X)
    np.testing.assert_allclose(by_w, np.sum(X))
    np.testing.assert_allclose(by_x, np.full(3, 2.0))


@pytest.mark.parametrize(
    ("forward", "backward", "text"),
    [
        (lambda x, y: (x * y, None), lambda r, c: (c,), "a tuple of 2 cotangents, one per argument; got 1"),
        (lambda x, y: (x * y, None), lambda r, c: c, "a tuple of 2 cotangents, one per argument; got a "),
        (lambda x, y: (x * y, None), lambda r, c: (c[:2], c), r"cotangent of shape \(2,\) for an argument of \(3,\)"),
        (lambda x, y: (x * y, None), lambda r, c: ({"a": c}, c), "cotangent of the backward rule is a dict"),
        (lambda x, y: x * y, lambda r, c: (c, c), r"the forward rule must return \(output, residuals\)"),
    ],
)
def test_wrong_vjp_rules(forward: Any, backward: Any, text: str) -> None:
    f = fg.custom_vjp(lambda x, y: x * y)
    f.defvjp(forward, backward)
    for wrap in (lambda g: g, fg.jit):
        with pytest.raises(TypeError, match=text):
            fg.grad(wrap(lambda x: np.sum(f(x, X))))(X)


def test_missing_rules_and_named_arguments() -> None:
    with pytest.raises(AttributeError, match=r"no JVP rule; set one with @f.defjvp"):

        @fg.custom_jvp
        def f(x: Any) -> Any:
            return x

        f(1.0)
    with pytest.raises(AttributeError, match="no VJP rule"):
        fg.custom_vjp(np.sin)(1.0)
    g = fg.custom_jvp(lambda x, *, k=1: x)
    g.defjvp(lambda p, t: (p[0], t[0]))
    with pytest.raises(TypeError, match="keyword-only"):
        g(1.0, k=2)
    h = fg.custom_jvp(lambda x, y=2.0: x * y)
    h.defjvp(lambda p, t: (p[0] * p[1], 10 * t[0]))
    assert fg.grad(lambda x: h(y=3.0, x=x))(1.0) == 10.0
    with pytest.raises(TypeError, match="takes a function"):
        fg.custom_jvp(3)  # type: ignore[arg-type]


def test_linear_call_has_the_transpose_that_is_given() -> None:
    call = fg.custom_derivatives.linear_call

    def f(x: Any, r: Any) -> Any:
        return call(lambda r, x: {"o": x["a"] * r}, lambda r, ct: {"a": 10 * ct["o"] * r}, r, {"a": x})["o"]

    assert f(2.0, 3.0) == 6.0 and fg.jvp(lambda x: f(x, 3.0), (2.0,), (1.0,)) == (6.0, 3.0)
    for wrap in (lambda g: g, fg.jit):
        assert wrap(fg.grad(f))(2.0, 3.0) == 30.0
    np.testing.assert_array_equal(fg.vmap(fg.grad(f), (0, None))(X, 3.0), np.full_like(X, 30.0))
    with pytest.raises(fg.errors.InconclusiveRuleError, match="linear_call has no derivative by residual_args"):
        fg.grad(f, 1)(2.0, 3.0)


def test_rules_by_the_names_of_jax() -> None:
    f, g = fg.custom_jvp(np.sin), fg.custom_vjp(np.sin)
    assert f.jvp is g.fwd is g.bwd is None
    rule = f.defjvp(lambda ps, ts: (np.sin(ps[0]), ts[0]))
    g.defvjp(forward := lambda x: (np.sin(x), x), backward := lambda x, ct: (ct,))
    assert f.jvp is rule and g.fwd is forward and g.bwd is backward


def test_a_rule_calls_its_function_under_jit() -> None:
    """On the tangents it is what it computes, also inside another program; elsewhere its rule counts."""

    @fg.custom_jvp
    def double(x: Any) -> Any:
        return 2.0 * x

    double.defjvp(lambda ps, ts: (double(ps[0]), fg.jit(double)(ts[0])))
    sine: Any = fg.custom_jvp(lambda x: np.sin(x))
    sine.defjvp(lambda ps, ts: (fg.jit(sine)(ps[0]), 3.0 * fg.jit(lambda x: sine(x + np.pi / 2))(ps[0]) * ts[0]))
    for wrap in (lambda f: f, fg.jit):
        assert fg.grad(wrap(double))(1.0) == 2.0 == wrap(fg.grad(double))(1.0)
        np.testing.assert_allclose(fg.grad(wrap(sine))(1.0), 3 * np.cos(1.0))
        np.testing.assert_allclose(wrap(fg.grad(fg.grad(sine)))(1.0), 9 * np.cos(1.0 + np.pi / 2), rtol=1e-12)


# -------------------------------------------------------------------------------- custom_gradient, stop_gradient


@fg.custom_gradient
def _ten_and_twenty(x: Any, y: Any) -> Any:
    return x * y, lambda ct: (10 * ct * x, 20 * ct)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint])
def test_custom_gradient(wrap: Callable[..., Any]) -> None:
    assert _ten_and_twenty(2.0, 3.0) == 6.0
    np.testing.assert_allclose(fg.grad(wrap(_ten_and_twenty), (0, 1))(2.0, 3.0), (20.0, 20.0))
    np.testing.assert_allclose(wrap(fg.vmap(fg.grad(_ten_and_twenty)))(X, X), 10 * X)
    np.testing.assert_allclose(fg.grad(fg.grad(wrap(_ten_and_twenty)))(2.0, 3.0), 10.0)


def test_stop_gradient() -> None:
    f = lambda x: x * lax.stop_gradient(x)  # noqa: E731
    assert fg.grad(f)(3.0) == 3.0 and fg.jvp(f, (3.0,), (1.0,)) == (9.0, 3.0)
    assert fg.grad(fg.grad(f))(3.0) == 0.0
    np.testing.assert_array_equal(fg.vmap(fg.grad(fg.jit(f)))(X), X)
    tree = lax.stop_gradient({"a": X, "n": 3, "none": None})
    assert tree["n"] == 3 and tree["a"] is X and tree["none"] is None
    np.testing.assert_array_equal(fg.jacfwd(lambda x: lax.stop_gradient(x) + x)(X), np.eye(3))
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(lax.stop_gradient({"k": x})["k"] ** 2))(X), np.zeros(3))
