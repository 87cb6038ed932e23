"""Rules with symbolic zeros, what they are told, and what they may return; closures; the results of rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.custom_derivatives import (
    CustomVJPPrimal,
    SymbolicZero,
    closure_convert,
    custom_vjp_primal_tree_values,
    zero_from_primal,
)
from funcgrad.errors import UnexpectedTracerError

X = np.array([0.5, 1.5])


class _Product:
    """`f(x, y, n) = (x * y, x + y, n)` with a rule that notes what it is told; its derivatives are 10 times too big."""

    def __init__(self) -> None:
        self.perturbed: list[tuple[bool, ...]] = []
        self.zero: list[tuple[bool, ...]] = []
        self.f: Any = fg.custom_vjp(lambda x, y, n: (x * y, x + y, n))
        self.f.defvjp(self.forward, self.backward, symbolic_zeros=True)

    def forward(self, x: Any, y: Any, n: Any) -> Any:
        assert all(isinstance(a, CustomVJPPrimal) for a in (x, y, n))
        self.perturbed.append((x.perturbed, y.perturbed, n.perturbed))
        return (x.value * y.value, x.value + y.value, n.value), (x.value, y.value, n.value)

    def backward(self, kept: Any, ct: Any) -> Any:
        x, y, n = kept
        self.zero.append(tuple(isinstance(c, SymbolicZero) for c in ct))
        assert isinstance(ct[2], SymbolicZero) and ct[2].dtype == fg.float0
        product, total = (0.0 if isinstance(c, SymbolicZero) else c for c in ct[:2])
        by_y = 10 * (product * x + total)
        return 10 * (product * y + total), by_y, SymbolicZero.from_primal_value(n)


WRAPS: dict[str, Callable[[Any], Any]] = {"plain": lambda f: f, "jit": fg.jit, "checkpoint": fg.checkpoint}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_reverse_mode(wrap: Any) -> None:
    for out, zero in ((0, (False, True, True)), (1, (True, False, True))):
        p = _Product()
        by_x = fg.grad(wrap(lambda x: p.f(x, 3.0, 2)[out]))(2.0)  # noqa: B023
        assert by_x == (30.0, 10.0)[out]
        assert p.perturbed == [(True, False, False)] and p.zero == [zero]
        by_x, by_y = fg.grad(wrap(lambda x, y: p.f(x, y, 2)[out]), (0, 1))(2.0, 3.0)  # noqa: B023
        assert (by_x, by_y) == ((30.0, 20.0), (10.0, 10.0))[out]
        assert p.perturbed[1:] == [(True, True, False)] and p.zero[1:] == [zero]


def test_reverse_mode_of_batches() -> None:
    p = _Product()
    f = lambda x: p.f(x, 3.0, 2)[0]  # noqa: E731
    for g in (
        fg.vmap(fg.grad(f)),
        fg.grad(lambda x: np.sum(fg.vmap(f)(x))),
        fg.jit(fg.vmap(fg.grad(f))),
        fg.vmap(fg.grad(fg.jit(f))),
        fg.grad(fg.jit(lambda x: np.sum(fg.vmap(f)(x)))),
    ):
        np.testing.assert_array_equal(g(X), [30.0, 30.0])
    assert set(p.perturbed) == {(True, False, False)} and set(p.zero) == {(False, True, True)}
    by_x, by_y = fg.grad(lambda x, y: np.sum(fg.vmap(lambda x: p.f(x, y, 2)[0])(x)), (0, 1))(X, 3.0)
    np.testing.assert_array_equal(by_x, [30.0, 30.0])
    np.testing.assert_allclose(by_y, 10 * np.sum(X))


def test_reverse_mode_in_second_order_and_in_a_scan() -> None:
    p = _Product()
    assert fg.grad(fg.grad(lambda x: p.f(x, x, 2)[0]))(2.0) == 20.0
    run = lambda x: lax.scan(lambda c, _: (p.f(c, 3.0, 2)[0], None), x, None, length=2)[0]  # noqa: E731
    for g in (fg.grad(run), fg.jit(fg.grad(run)), fg.grad(fg.jit(run))):
        np.testing.assert_allclose(g(1.0), 900.0)


def test_arguments_that_are_pytrees_or_have_no_derivative() -> None:
    @partial(fg.custom_vjp, nondiff_argnums=(0,))
    def f(scale: Any, p: Any) -> Any:
        return scale * p["a"] * p["b"]

    def forward(scale: Any, p: Any) -> Any:
        assert scale == 2.0 and p["a"].perturbed and not p["b"].perturbed
        p = custom_vjp_primal_tree_values(p)
        return f(scale, p), p

    f.defvjp(forward, lambda scale, p, ct: ({"a": 10 * scale * p["b"] * ct, "b": None},), symbolic_zeros=True)
    assert fg.grad(lambda a: f(2.0, {"a": a, "b": 3.0}))(1.0) == 60.0
    assert fg.grad(fg.jit(lambda a: f(2.0, {"a": a, "b": 3.0})))(1.0) == 60.0
    with pytest.raises(TypeError, match="not a CustomVJPPrimal"):
        custom_vjp_primal_tree_values({"a": 1.0})


class _Jvp:
    """`f(x, y, n) = (x * y, n)` with a forward rule that notes which tangents are zero."""

    def __init__(self) -> None:
        self.zero: list[tuple[bool, ...]] = []
        self.f: Any = fg.custom_jvp(lambda x, y, n: (x * y, n))
        self.f.defjvp(self.rule, symbolic_zeros=True)

    def rule(self, primals: Any, tangents: Any) -> Any:
        x, y, n = primals
        self.zero.append(tuple(isinstance(t, SymbolicZero) for t in tangents))
        dx, dy, dn = tangents
        if isinstance(dx, SymbolicZero):
            return (x * y, n), (dx if isinstance(dy, SymbolicZero) else 10 * x * dy, dn)
        return (x * y, n), (10 * dx * y + (0.0 if isinstance(dy, SymbolicZero) else 10 * x * dy), dn)


def test_forward_mode() -> None:
    p = _Jvp()
    out, tangent = fg.jvp(lambda x: p.f(x, 3.0, 2), (2.0,), (1.0,))
    assert out == (6.0, 2) and tangent[0] == 30.0 and tangent[1].dtype == fg.float0
    assert fg.jvp(lambda y: p.f(2.0, y, 2)[0], (3.0,), (1.0,))[1] == 20.0
    assert fg.jvp(lambda x, y: p.f(x, y, 2)[0], (2.0, 3.0), (1.0, 1.0))[1] == 50.0
    assert p.zero == [(False, True, True), (True, False, True), (False, False, True)]


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_forward_rules_in_every_mode(wrap: Any) -> None:
    p = _Jvp()
    f = lambda x: wrap(lambda x: p.f(x, 3.0, 2)[0])(x)  # noqa: E731
    assert fg.grad(f)(2.0) == 30.0 and fg.linearize(f, 2.0)[1](1.0) == 30.0
    for g in (
        fg.vmap(fg.grad(f)),
        fg.grad(lambda x: np.sum(fg.vmap(f)(x))),
        fg.vmap(lambda x: fg.jvp(f, (x,), (1.0,))[1]),
    ):
        np.testing.assert_array_equal(g(X), [30.0, 30.0])
    np.testing.assert_array_equal(fg.jvp(fg.vmap(f), (X,), (X,))[1], 30 * X)
    assert set(p.zero) == {(False, True, True)}


def test_a_rule_may_return_a_symbolic_zero() -> None:
    f = fg.custom_jvp(lambda x, y: (x * y, y))
    f.defjvp(lambda p, t: (f(*p), (t[0], zero_from_primal(p[1], symbolic_zeros=True))), symbolic_zeros=True)
    for wrap in WRAPS.values():
        assert fg.jvp(wrap(f), (2.0, 3.0), (1.0, 1.0))[1] == (1.0, 0.0)
        assert fg.grad(lambda x: sum(wrap(f)(x, 3.0)))(2.0) == 1.0  # noqa: B023
        outs, douts = fg.jvp(fg.vmap(wrap(f)), (X, X), (X, X))
        np.testing.assert_array_equal(outs[0], X * X)
        np.testing.assert_array_equal(douts, [X, [0.0, 0.0]])
    g = fg.custom_jvp(lambda x: x)
    g.defjvp(lambda p, t: (p[0], SymbolicZero(fg.ShapedArray((3,), float))), symbolic_zeros=True)
    with pytest.raises(TypeError, match=r"output tangent: expected shape \(2,\), got \(3,\)"):
        fg.jvp(g, (X,), (X,))
    h = fg.custom_vjp(lambda x: x)
    h.defvjp(lambda x: (x.value, None), lambda _, c: (SymbolicZero(fg.ShapedArray((3,), float)),), symbolic_zeros=True)
    with pytest.raises(TypeError, match=r"cotangent of shape \(3,\) for an argument of \(2,\)"):
        fg.vjp(h, X)[1](X)


def test_symbolic_zeros_are_no_arrays() -> None:
    zero = SymbolicZero.from_primal_value(X)
    assert (zero.shape, zero.dtype, zero.ndim, zero.size) == ((2,), np.dtype(float), 1, 2)
    assert repr(zero) == "SymbolicZero(f64[2])" and SymbolicZero.from_primal_value(3).dtype == fg.float0
    for use in (lambda: X * zero, lambda: np.sin(zero), lambda: np.asarray(zero)):  # type: ignore[operator]
        with pytest.raises(TypeError):
            use()
    zeros = zero_from_primal({"x": X, "n": 1})
    np.testing.assert_array_equal(zeros["x"], [0.0, 0.0])
    assert zeros["n"].dtype == fg.float0


# -------------------------------------------------------------------------------------------------- what rules return


def _pair(forward: Any) -> Any:
    f = fg.custom_vjp(lambda x: {"y": x * 2.0})
    f.defvjp(lambda x: (forward(x), None), lambda _, ct: (2.0 * ct["y"],))
    return f


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda x: {"y": x[None] * 2.0}, r"output\['y'\]: expected shape \(2,\), got \(1, 2\)"),
        (lambda x: {"y": x.astype(np.float32)}, r"output\['y'\]: expected dtype float64, got float32"),
        (lambda x: {"z": x * 2.0}, "output: missing key 'y'"),
        (lambda x: {"y": x, "z": x}, "output: unexpected key 'z'"),
        (lambda x: (x,), "output: expected"),
        (lambda x: {"y": "text"}, "an output of the (forward|JVP) rule is a str"),
    ],
)
def test_the_output_of_a_rule_must_be_that_of_the_function(result: Any, text: str) -> None:
    f = _pair(result)
    g = fg.custom_jvp(lambda x: {"y": x * 2.0})
    g.defjvp(lambda p, t: (result(p[0]), result(t[0])))
    for h in (f, g):
        with pytest.raises(TypeError, match=text):
            fg.grad(fg.jit(lambda x: np.sum(fg.tree.leaves(h(x))[0])))(X)  # noqa: B023
    with pytest.raises(TypeError, match=text):
        fg.jvp(fg.jit(g), (X,), (X,))


def test_a_rule_may_return_a_python_number() -> None:
    f = fg.custom_vjp(lambda x: x * np.float32(1))
    f.defvjp(lambda x: (1.0, None), lambda _, ct: (ct,))
    out, pullback = fg.vjp(fg.jit(f), np.float32(1.0))
    assert out.dtype == np.float32 and pullback(np.float32(2.0))[0] == 2.0


def test_arguments_without_derivative_by_name() -> None:
    f = fg.custom_jvp(lambda x, n: x**n, nondiff_argnames="n")
    f.defjvp(lambda n, p, t: (p[0] ** n, 100.0 * n * t[0]))
    assert fg.grad(f)(2.0, 3) == 300.0
    with pytest.raises(ValueError, match="nondiff_argnames has 'k'"):
        fg.custom_vjp(lambda x: x, nondiff_argnames=("k",))
    with pytest.raises(TypeError, match="cannot be used with nondiff_argnums"):
        f.defjvps(None)


# ----------------------------------------------------------------------------------------------------------- closures


def _jvp_of(c: Any) -> Any:
    """`c * x` by a function and a rule that close over `c`; its derivative is 10 times too big."""
    f = fg.custom_jvp(lambda x: c * x)
    f.defjvp(lambda p, t: (c * p[0], 10.0 * c * t[0]))
    return f


def _vjp_of(c: Any) -> Any:
    f = fg.custom_vjp(lambda x: c * x)
    f.defvjp(lambda x: (c * x, None), lambda _, ct: (10.0 * c * ct,))
    return f


def _jvp_by_rule(c: Any) -> Any:
    """`x`, by a function whose rule alone closes over `c`."""
    f = fg.custom_jvp(lambda x: x * 1.0)
    f.defjvp(lambda p, t: (p[0] * 1.0, 10.0 * c * t[0]))
    return f


def _vjp_by_rule(c: Any) -> Any:
    f = fg.custom_vjp(lambda x: x * 1.0)
    f.defvjp(lambda x: (x * 1.0, None), lambda _, ct: (10.0 * c * ct,))
    return f


class _Held:
    def __init__(self, c: Any) -> None:
        self.c = c


def _hidden(c: Any) -> Any:
    """The closure is an attribute: no inspection of cells finds it."""
    held = _Held(c * 1.0)
    f = fg.custom_vjp(lambda x: held.c * x)
    f.defvjp(lambda x: (held.c * x, None), lambda _, ct: (10.0 * held.c * ct,))
    return f


MAKERS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "jvp": (_jvp_of, True),
    "vjp": (_vjp_of, True),
    "hidden": (_hidden, True),
    "rule of jvp": (_jvp_by_rule, False),
    "rule of vjp": (_vjp_by_rule, False),
}


@pytest.mark.parametrize("name", MAKERS)
def test_closing_over_tracers(name: str) -> None:
    make, uses = MAKERS[name]
    h: Any = lambda c, x: make(c)(x)  # noqa: E731
    value, slope = h(3.0, 2.0), 30.0
    for f in (fg.jit(h), fg.jit(fg.jit(h)), fg.checkpoint(h), fg.jit(lambda c, x: fg.jit(lambda x: h(c, x))(x))):
        np.testing.assert_allclose(f(3.0, 2.0), value)
        np.testing.assert_allclose(f(3.0, 2.0), value)
        np.testing.assert_allclose(fg.grad(f, 1)(3.0, 2.0), slope)
        np.testing.assert_allclose(fg.jit(fg.grad(f, 1))(3.0, 2.0), slope)
        np.testing.assert_allclose(fg.vmap(fg.grad(f, 1))(X, X), 10 * X)
    want = X * X if uses else X
    for f in (fg.vmap(h), fg.vmap(fg.jit(h)), fg.jit(fg.vmap(h))):
        np.testing.assert_allclose(f(X, X), want)
        np.testing.assert_allclose(fg.grad(lambda x: np.sum(f(X, x)))(X), 10 * X)  # noqa: B023
    np.testing.assert_allclose(fg.vmap(h, (0, None))(X, 2.0), 2 * X if uses else [2.0, 2.0])
    np.testing.assert_allclose(fg.vmap(h, (None, 0))(2.0, X), 2 * X if uses else X)
    nested = fg.vmap(lambda c: fg.vmap(lambda x: h(c, x))(X))(X)
    np.testing.assert_allclose(nested, np.outer(X, X) if uses else [X, X])


@pytest.mark.parametrize("name", MAKERS)
def test_closing_over_tracers_in_control_flow(name: str) -> None:
    make, uses = MAKERS[name]

    def looped(k: Any, x: Any) -> Any:
        return lax.scan(lambda c, a: (make(k)(c) + a, c), x, np.zeros(2))[0]

    def chosen(p: Any, k: Any, x: Any) -> Any:
        return lax.cond(p, lambda: make(k)(x), lambda: 0.0 * x)

    def repeated(k: Any, x: Any) -> Any:
        return lax.while_loop(lambda s: s[1] < 2, lambda s: (make(k)(s[0]), s[1] + 1), (x, 0))[0]

    np.testing.assert_allclose(fg.jit(looped)(3.0, 2.0), 18.0 if uses else 2.0)
    np.testing.assert_allclose(fg.jit(repeated)(3.0, 2.0), 18.0 if uses else 2.0)
    np.testing.assert_allclose(fg.jit(chosen)(True, 3.0, 2.0), 6.0 if uses else 2.0)
    for f in (looped, fg.jit(looped)):
        np.testing.assert_allclose(fg.grad(f, 1)(3.0, 2.0), 900.0)
        np.testing.assert_allclose(fg.vmap(fg.grad(f, 1), (0, None))(X, 2.0), 100 * X * X)
    np.testing.assert_allclose(fg.grad(fg.jit(chosen), 2)(True, 3.0, 2.0), 30.0)
    np.testing.assert_allclose(fg.vmap(fg.grad(chosen, 2))(np.array([True, False]), X, X), [5.0, 0.0])


@pytest.mark.parametrize("name", [n for n, (_, uses) in MAKERS.items() if uses])
def test_what_is_closed_over_is_not_differentiated_by(name: str) -> None:
    make, _ = MAKERS[name]
    h: Any = lambda c, x: make(c)(x)  # noqa: E731
    for call in (
        lambda: fg.grad(h, (0, 1))(3.0, 2.0),
        lambda: fg.grad(lambda c: h(c, c))(3.0),
        lambda: fg.grad(fg.jit(h))(3.0, 2.0),
        lambda: fg.grad(lambda c: np.sum(fg.vmap(h)(c, X)))(X),
        lambda: fg.grad(lambda xs: lax.scan(lambda c, x: (c + h(c, x), None), 1.0, xs)[0])(X),
        lambda: fg.jvp(fg.jit(h), (3.0, 2.0), (1.0, 1.0)) if name == "jvp" else fg.grad(fg.jit(h), (0, 1))(3.0, 2.0),
    ):
        with pytest.raises(UnexpectedTracerError, match=r"closes over a value .* Pass it as an argument"):
            call()


@pytest.mark.parametrize("make", [_jvp_by_rule, _vjp_by_rule])
def test_what_only_the_rule_uses_has_no_derivative(make: Any) -> None:
    """The function does not depend on it; but the derivative does."""
    h: Any = lambda c, x: make(c)(x)  # noqa: E731
    assert fg.grad(fg.jit(h), (0, 1))(3.0, 2.0) == (0.0, 30.0)
    assert fg.grad(lambda c: fg.grad(fg.jit(h), 1)(c, 2.0))(3.0) == 10.0
    assert fg.grad(lambda c: fg.grad(lambda x: h(c, x))(2.0))(3.0) == 10.0
    with pytest.raises(UnexpectedTracerError, match="Pass it as an argument"):
        fg.grad(h, (0, 1))(3.0, 2.0)


def test_a_function_that_needs_values_may_close_over_shapes() -> None:
    """Gradients run the function itself; nothing is recorded to see what it closes over."""

    def loss(x: Any) -> Any:
        @fg.custom_jvp
        def f(y: Any) -> Any:
            return y * len(x) if y > 0 else 0.0 * y

        f.defjvp(lambda p, t: (f(*p), t[0] * len(x) if p[0] > 0 else 0.0 * t[0]))
        return f(x[0])

    np.testing.assert_array_equal(fg.grad(loss)(X), [2.0, 0.0])
    np.testing.assert_array_equal(fg.grad(lambda w: np.sum(fg.vmap(lambda x: loss(w) * x)(X)))(X), [4.0, 0.0])


def test_closures_of_one_program_are_not_those_of_another() -> None:
    """What a jitted function closes over does not stay with its program."""
    f = fg.jit(lambda c, x: _vjp_of(c)(x))
    assert [f(c, 2.0) for c in (1.0, 2.0, 3.0)] == [2.0, 4.0, 6.0]
    np.testing.assert_array_equal(fg.vmap(lambda c: fg.jit(lambda x: _vjp_of(c)(x))(2.0))(X), 2 * X)
    inner = fg.jit(lambda c, x: fg.grad(_vjp_of(c))(x))
    assert [inner(c, 2.0) for c in (1.0, 2.0)] == [10.0, 20.0]


def test_closure_convert() -> None:
    """A fixed point whose function closes over what is differentiated by."""

    @partial(fg.custom_vjp, nondiff_argnums=(0,))
    def apply(fun: Any, x: Any, *hoisted: Any) -> Any:
        return fun(x, *hoisted)

    def backward(fun: Any, kept: Any, ct: Any) -> Any:
        return tuple(10.0 * g for g in fg.vjp(fun, *kept)[1](ct))

    apply.defvjp(lambda fun, *args: (fun(*args), args), backward)

    def f(w: Any, x: Any) -> Any:
        v = np.sin(w)
        fun, hoisted = closure_convert(lambda x: w * v * x, x)
        return apply(fun, x, *hoisted)

    want = 10 * 2.0 * (np.sin(3.0) + 3.0 * np.cos(3.0)), 10 * 3.0 * np.sin(3.0)
    for g in (fg.grad(f, (0, 1)), fg.jit(fg.grad(f, (0, 1))), fg.grad(fg.jit(f), (0, 1))):
        np.testing.assert_allclose(g(3.0, 2.0), want)
    fun, hoisted = closure_convert(lambda x: x * 2.0, 1.0)
    assert hoisted == [] and fun(3.0) == 6.0
    with pytest.raises(TypeError, match="takes 1 arguments and 0 hoisted ones, got 2"):
        fun(1.0, 2.0)
