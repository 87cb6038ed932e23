"""Exceptions in rules for derivatives: the operation, its operands, the user's line, a remedy; the class is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import custom_vjp, grad, jit, jvp, lax, vjp

SINGULAR = np.zeros((2, 2))


def log_det(a: Any) -> Any:
    return np.linalg.slogdet(a)[1]


def root(x: Any) -> Any:
    return np.sum(np.sqrt(x))


def fraction(x: Any) -> Any:
    return np.sum(x**1.5)


def wide(a: Any) -> Any:
    return np.sum(np.linalg.svd(a)[0])


def line(fun: Callable[..., Any]) -> str:
    return f"test_rule_errors.py:{fun.__code__.co_firstlineno + 1} ({fun.__name__})"


def forward(fun: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: jvp(fun, (x,), (np.ones_like(x),))


def linearised(fun: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: fg.linearize(fun, x)[1](np.ones_like(x))


def pulled(fun: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: vjp(fun, x)[1](1.0)


def in_scan(fun: Callable[..., Any]) -> Callable[[Any], Any]:
    return grad(lambda x: lax.scan(lambda c, _: (c + fun(x), None), 0.0, None, length=2)[0])


WAYS: dict[str, Callable[[Callable[..., Any]], Callable[[Any], Any]]] = {
    "grad": grad,
    "jvp": forward,
    "vjp": pulled,
    "linearize": linearised,
    "jit of grad": lambda f: jit(grad(f)),
    "grad of jit": lambda f: grad(jit(f)),
    "jit of jvp": lambda f: jit(forward(f)),
    "jvp of jit": lambda f: forward(jit(f)),
    "hessian": fg.hessian,
    "jacrev of grad": lambda f: fg.jacrev(grad(f)),
    "grad of checkpoint": lambda f: grad(fg.checkpoint(f)),
    "grad of scan": in_scan,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_singular_matrix_is_told_at_the_users_line(way: str) -> None:
    run = WAYS[way](log_det)
    for _ in range(2):  # the first call compiles
        with pytest.raises(np.linalg.LinAlgError) as caught:
            run(SINGULAR)
        text = str(caught.value)
        assert text.startswith("derivative of slogdet: inv: Singular matrix"), text
        for word in ("f64[2,2]", line(log_det), "identity", "lax.cond"):
            assert word in text, text
        assert text.count("\n  at ") == 1, text


@pytest.mark.parametrize("way", WAYS)
def test_floating_point_errors_of_a_rule_keep_their_class(way: str) -> None:
    run = WAYS[way](root)
    for _ in range(2):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError) as caught:
            run(np.zeros(2))
        notes = "\n".join(caught.value.__notes__)
        for word in ("derivative of sqrt", line(root)):
            assert word in notes, notes


def test_warnings_as_errors_say_where() -> None:
    for run in (grad(root), forward(root)):
        with pytest.raises(RuntimeWarning) as caught:
            run(np.zeros(2))
        notes = "\n".join(caught.value.__notes__)
        assert "derivative of sqrt" in notes and line(root) in notes, notes


def test_rules_without_an_answer_say_where() -> None:
    for run in (grad(wide), forward(wide), jit(grad(wide)), forward(jit(wide))):
        with pytest.raises(NotImplementedError) as caught:
            run(np.ones((3, 2)))
        text = str(caught.value)
        assert "derivative of svd" in text and line(wide) in text and "full_matrices=False" in text, text


class Mine(Exception):
    pass


def _custom(backward: Callable[..., Any]) -> Callable[[Any], Any]:
    @custom_vjp
    def f(x: Any) -> Any:
        return x * 2.0

    f.defvjp(lambda x: (x * 2.0, x), backward)
    return f


def test_what_the_users_rules_raise_is_left_alone() -> None:
    def raises(x: Any, ct: Any) -> Any:
        raise Mine("here")

    def inverts(x: Any, ct: Any) -> Any:
        return (np.linalg.inv(np.zeros((2, 2)))[0] + ct,)

    with pytest.raises(Mine, match=r"^here$"):
        grad(_custom(raises))(1.0)
    with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix"):
        grad(_custom(inverts))(1.0)


def test_a_custom_rule_keeps_its_own_line() -> None:
    def inverts(x: Any, ct: Any) -> Any:
        return (fg.numpy.linalg.inv(np.zeros((2, 2)) * x)[0, 0] + ct,)

    with pytest.raises(np.linalg.LinAlgError) as caught:
        jit(grad(_custom(inverts)))(1.0)
    assert line(inverts) in str(caught.value)


def test_a_subclass_of_value_error_stays_what_it_is() -> None:
    from funcgrad.errors import rule_failed

    class Special(ValueError):
        pass

    with pytest.raises(Special) as caught:
        rule_failed("op", [np.ones(2)], Special("why"), None)
    assert "op of f64[2]" in caught.value.__notes__[0]
