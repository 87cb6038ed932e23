"""A derivative that is not known raises, where it is asked for; one that is zero is said to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import funcgrad as fg
from funcgrad import lax
from funcgrad.core import Primitive
from funcgrad.errors import InconclusiveRuleError
from funcgrad.ops import rules
from funcgrad.ops.rules import ZERO, Unknown, elementwise, elementwise_tuple


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Primitives made by a test are forgotten."""
    monkeypatch.setattr(rules, "PRIMITIVES", dict(rules.PRIMITIVES))


def half(x: Any, y: Any) -> Any:
    """A function of two arguments, whose derivative by the first one is not known."""
    return special.jv(x, y)


def raises(fun: Callable[[], Any]) -> str:
    with pytest.raises(InconclusiveRuleError) as error:
        fun()
    notes = "".join(getattr(error.value, "__notes__", ()))
    return str(error.value) + notes


X, Y = 0.7, 1.3
ASKED: dict[str, Callable[[], Any]] = {
    "grad": lambda: fg.grad(half)(X, Y),
    "grad of both": lambda: fg.grad(half, argnums=(0, 1))(X, Y),
    "jvp": lambda: fg.jvp(half, (X, Y), (1.0, 0.0)),
    "linearize": lambda: fg.linearize(half, X, Y)[1](1.0, 0.0),
    "jit of grad": lambda: fg.jit(fg.grad(half))(X, Y),
    "grad of jit": lambda: fg.grad(fg.jit(half))(X, Y),
    "jvp of jit": lambda: fg.jvp(fg.jit(half), (X, Y), (1.0, 0.0)),
    "vmap of grad": lambda: fg.vmap(fg.grad(half))(np.array([X, Y]), np.array([X, Y])),
    "grad of vmap": lambda: fg.grad(lambda v: np.sum(fg.vmap(half)(v, v)))(np.array([X, Y])),
    "jacfwd": lambda: fg.jacfwd(half)(X, Y),
    "second order": lambda: fg.grad(fg.grad(half, 1), 0)(X, Y),
    "in a scan": lambda: fg.grad(lambda v: lax.scan(lambda c, x: (c + half(v, x), x), 0.0, np.ones(3))[0])(X),
    "in a branch": lambda: fg.grad(fg.jit(lambda v: lax.cond(v > 0, half, half, v, 1.0)))(X),
    "through a helper": lambda: fg.grad(lambda v: half(np.exp(v) * 2, 1.0))(X),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_an_unknown_derivative_raises_at_the_line(ask: Callable[[], Any]) -> None:
    text = raises(ask)
    for part in ("jv", "the order v", "stop_gradient", "custom_jvp", "test_unknown_derivatives.py"):
        assert part in text


NOT_ASKED: dict[str, tuple[Callable[[], Any], Any]] = {
    "the other argument": (lambda: fg.grad(half, 1)(X, Y), special.jvp(X, Y)),
    "a tangent of the other one": (lambda: fg.jvp(lambda y: half(X, y), (Y,), (1.0,))[1], special.jvp(X, Y)),
    "an integer": (lambda: fg.grad(lambda y: half(np.arange(2), y)[1])(Y), special.jvp(1, Y)),
    "stopped": (lambda: fg.grad(lambda v: half(lax.stop_gradient(v), v))(Y), special.jvp(Y, Y)),
    "stopped, jit": (lambda: fg.jit(fg.grad(lambda v: half(lax.stop_gradient(v), v)))(Y), special.jvp(Y, Y)),
    "stopped, jvp": (lambda: fg.jvp(lambda v: half(lax.stop_gradient(v), v), (Y,), (1.0,))[1], special.jvp(Y, Y)),
    "stopped and changed": (lambda: fg.grad(lambda v: half(lax.stop_gradient(v) + 0.0, v))(Y), special.jvp(Y, Y)),
    "rounded": (lambda: fg.grad(lambda v: half(np.floor(v), v))(Y), special.jvp(1.0, Y)),
    "from an integer": (lambda: fg.grad(lambda v: half((v > 0).astype(float), v))(Y), special.jvp(1.0, Y)),
    "a result nobody uses": (lambda: fg.grad(lambda v: (half(v, 1.0), v * v)[1])(Y), 2 * Y),
    "its sign": (lambda: fg.grad(lambda v: v * np.sign(half(v, 1.0)))(X), 1.0),
    "no derivative": (lambda: fg.vmap(half)(np.array([X]), np.array([Y]))[0], special.jv(X, Y)),
    "only a value": (lambda: fg.jit(half)(X, Y), special.jv(X, Y)),
}


@pytest.mark.parametrize(("ask", "want"), NOT_ASKED.values(), ids=NOT_ASKED)
def test_a_derivative_that_is_not_asked_for_does_not_raise(ask: Callable[[], Any], want: Any) -> None:
    np.testing.assert_allclose(ask(), want, rtol=1e-14)


@pytest.mark.usefixtures("scratch")
def test_nothing_is_left_out_by_accident() -> None:
    """A missing derivative is no zero: the constructor wants one statement for each operand."""
    for pushes in ((), (None,), (lambda g, o, x: g, ZERO)):
        with pytest.raises(TypeError, match="half_sine: state a pushforward"):
            elementwise("half_sine", np.sin, *pushes)
    with pytest.raises(TypeError, match="nothing: state"):
        elementwise("nothing", lambda x, y: x, dtype=lambda x, y: x.dtype)
    with pytest.raises(TypeError, match="parts: state"):
        elementwise_tuple("parts", np.modf, (lambda g, o, x: g,), ())


@pytest.fixture
def parts(scratch: None) -> Primitive:
    """Jacobi's elliptic functions, three with an unknown derivative by m, the last without one."""
    return elementwise_tuple("parts", special.ellipj, *(
        (lambda g, o, u, m: g * (o[1] * o[2]), Unknown("m")),
        (lambda g, o, u, m: -g * (o[0] * o[2]), Unknown("m")),
        (lambda g, o, u, m: -g * (m * (o[0] * o[1])), Unknown("m")),
        (lambda g, o, u, m: g * o[2], ZERO),
    ))  # fmt: skip


def test_functions_with_several_results(parts: Primitive) -> None:
    """Each result has its own derivatives, in all modes and for all that broadcasts."""
    u, m = np.linspace(0.1, 0.9, 3)[:, None], np.array([0.2, 0.5])
    for i in range(4):
        fun = lambda u, i=i: parts.bind(u, m)[i]  # noqa: E731
        fg.test_util.check_grads(fun, (u,), order=2)
        np.testing.assert_array_equal(fg.jit(fun)(u), fun(u))
        have, want = fg.jit(fg.grad(lambda u: np.sum(fun(u))))(u), fg.grad(lambda u: np.sum(fun(u)))(u)  # noqa: B023
        np.testing.assert_allclose(have, want, rtol=1e-14)
        np.testing.assert_allclose(fg.vmap(fun)(u), np.stack([fun(x) for x in u]), rtol=1e-15)
    total = fg.grad(lambda u: sum(np.sum(p * (k + 1)) for k, p in enumerate(parts.bind(u, m))))(u)
    sn, cn, dn, _ = special.ellipj(u, m)
    want = np.sum(cn * dn - 2 * sn * dn - 3 * m * sn * cn + 4 * dn, axis=1, keepdims=True)
    np.testing.assert_allclose(total, want, rtol=1e-13)
    assert np.all(fg.grad(lambda m: np.sum(parts.bind(u, m)[3]))(m) == 0)  # said to be zero
    with pytest.raises(InconclusiveRuleError, match="with respect to m"):
        fg.grad(lambda m: np.sum(parts.bind(u, m)[1]))(m)
