"""What is transposed must be linear: rules of `custom_jvp`, and functions given to `linear_transpose`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import custom_jvp, grad, jit, jvp, lax, linear_transpose, vjp, vmap
from funcgrad.errors import NotLinearError

Fun = Callable[..., Any]


def doubled(tangent: Fun) -> Any:
    """x ↦ 2x, with the output tangent `tangent(x, t)`."""

    @custom_jvp
    def f(x: Any) -> Any:
        return x * 2

    f.defjvp(lambda primals, tangents: (f(primals[0]), tangent(primals[0], tangents[0])))
    return f


NOT_LINEAR: list[tuple[Fun, str]] = [
    (lambda x, t: t**2, "square|pow"),
    (lambda x, t: t * t, "mul"),
    (lambda x, t: np.sin(t), "sin"),
    (lambda x, t: abs(t), "abs"),
    (lambda x, t: 1.0 / (t + 1.0) - 1.0, "div"),
    (lambda x, t: np.where(t > 0, t, 0 * t), "select"),
    (lambda x, t: np.maximum(t, 0.0), "max"),
    (lambda x, t: np.exp(t) - 1.0, "exp"),
    (lambda x, t: 3.0 + t, "not give zero"),
    (lambda x, t: 3.0 * np.ones_like(x), "not give zero"),
    (lambda x, t: t if np.all(t == 0) else 2 * t, "bool"),
]
LINEAR: list[tuple[Fun, float]] = [
    (lambda x, t: 0.0 + x * t - (-t), 3.0),
    (lambda x, t: t / x + np.where(x > 0, t, 0.0), 1.5),
    (lambda x, t: np.stack([t, 2 * t]).sum(axis=0).astype(np.float64), 3.0),
    (lambda x, t: np.real(np.conj(t + 1j * t)), 1.0),
    (lambda x, t: t if np.all(x > 0) else -t, 1.0),
    (lambda x, t: lax.cond(np.all(x > 0), lambda t: 2 * t, lambda t: t, t), 2.0),
    (lambda x, t: lax.fori_loop(0, 3, lambda i, t: 2.0 * t, t), 8.0),
    (lambda x, t: jit(lambda t: 5.0 * t)(t), 5.0),
    (lambda x, t: 0.0 * x, 0.0),
]


@pytest.mark.parametrize(("tangent", "fault"), NOT_LINEAR)
def test_rules_that_are_not_linear_raise(tangent: Fun, fault: str) -> None:
    f = doubled(tangent)
    for x in (2.0, np.array([2.0, 3.0])):
        with pytest.raises(NotLinearError, match=fault) as caught:
            grad(lambda x: np.sum(f(x)))(x)
        assert "must be linear in the tangents" in str(caught.value)
        with pytest.raises(NotLinearError, match=fault):
            y, pullback = vjp(f, x)
            pullback(y)


@pytest.mark.parametrize("tangent", [t for t, fault in NOT_LINEAR if fault not in ("not give zero", "bool")])
def test_they_raise_under_other_transformations(tangent: Fun) -> None:
    f, x = doubled(tangent), np.array([2.0, 3.0])
    for transformed in (
        jit(grad(lambda x: np.sum(f(x)))),
        vmap(grad(f)),
        grad(lambda x: np.sum(grad(lambda x: np.sum(f(x)))(x))),
        lambda x: jvp(grad(lambda x: np.sum(f(x))), (x,), (x,)),
    ):
        with pytest.raises(NotLinearError):
            transformed(x)


@pytest.mark.parametrize(("tangent", "slope"), LINEAR)
def test_linear_rules_pass(tangent: Fun, slope: float) -> None:
    f = doubled(tangent)
    assert grad(f)(2.0) == slope
    x = np.full(3, 2.0)
    np.testing.assert_array_equal(grad(lambda x: np.sum(f(x)))(x), np.full(3, slope))
    np.testing.assert_array_equal(jit(grad(lambda x: np.sum(f(x))))(x), np.full(3, slope))


def test_a_rule_that_divides_by_zero_is_not_refused() -> None:
    f = doubled(lambda x, t: t / x)
    with np.errstate(all="ignore"):
        assert np.isinf(grad(f)(np.array(0.0)))


@pytest.mark.parametrize(
    "fun", [lambda x: x**2 + 1, lambda x: x**2, lambda x: x + 1, np.sin, np.abs, lambda x: x * x, lambda x: 1.0]
)
def test_linear_transpose_refuses_what_is_not_linear(fun: Fun) -> None:
    for x in (1.0, np.ones(2)):
        with pytest.raises(NotLinearError, match="must be linear in its arguments"):
            y = fun(x)
            linear_transpose(fun, x)(y if isinstance(y, np.ndarray) else 1.0)


def test_linear_transpose_of_linear_functions() -> None:
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    (ct,) = linear_transpose(lambda x: 2.0 * (a @ x) - x, np.ones(2))(np.ones(2))
    np.testing.assert_array_equal(ct, [7.0, 11.0])
    assert linear_transpose(lambda x: x * 0.0, 1.0)(1.0) == (0.0,)
    assert linear_transpose(lambda x, y: x - 3 * y, 1.0, 1.0)(2.0) == (2.0, -6.0)


def test_a_linear_function_is_called_in_its_own_jvp_rule() -> None:
    @custom_jvp
    def scaled(a: Any, x: Any) -> Any:
        return a * x

    @custom_jvp
    def twice(x: Any) -> Any:
        return 2 * x

    @custom_jvp
    def doubled(x: Any) -> Any:
        return 2 * x

    scaled.defjvp(lambda p, t: (scaled(*p), scaled(t[0], p[1]) + vmap(scaled, (None, 0))(p[0], t[1])))
    twice.defjvp(lambda p, t: (twice(*p), doubled(*t)))
    doubled.defjvp(lambda p, t: (doubled(*p), twice(*t)))
    x = np.array([1.0, 2.0])
    wraps: tuple[Any, ...] = (lambda f: f, jit)
    for wrap in wraps:
        np.testing.assert_array_equal(wrap(grad(lambda x: np.sum(scaled(np.sum(x), x) ** 2)))(x), [48.0, 66.0])  # pyright: ignore
        np.testing.assert_array_equal(wrap(grad(lambda x: np.sum(twice(x) * x)))(x), 4 * x)
        assert wrap(grad(grad(lambda x: twice(x) * x)))(1.0) == 4.0
