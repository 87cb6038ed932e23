"""What errors recommend: the argument, the line, and something that works."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, linalg, sparse, special, stats

import funcgrad.numpy as fnp
from funcgrad import custom_vjp, grad, jit, lax, nn, tree_util, vmap

X = np.array([0.5, 1.0, 2.0])


class Model:
    def __init__(self) -> None:
        self.w = 2.0

    def apply(self, x: Any) -> Any:
        return self.w * x

    jitted = jit(apply)
    gradient = grad(apply)


@dataclasses.dataclass
class Point:
    a: float
    b: float


def mode(x: Any, how: str) -> Any:
    return np.sum(x) if how == "sum" else np.mean(x)


LEAVES: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "a string": (lambda: jit(mode)(X, "sum"), ["jit: argument 1 (how) is a str", "static_argnums"]),
    "a string by name": (lambda: jit(mode)(X, how="sum"), ["argument 'how' is a str", "static_argnames"]),
    "behind a static one": (
        lambda: jit(lambda n, x, how: x, static_argnums=0)(1, X, "a"), ["argument 2 (how) is a str"]),
    "a function": (lambda: jit(lambda f, x: f(x))(np.sin, X), ["argument 0 (f)", "static_argnums"]),
    "a method under jit": (lambda: Model().jitted(X), ["argument 0 (self) is a Model", "register", "static_argnums"]),
    "a method under grad": (lambda: Model().gradient(1.0), ["argument 0 (self) is a Model", "register", "partial"]),
    "a dataclass": (lambda: grad(lambda p: p.a)(Point(1.0, 2.0)), ["(p) is a Point", "register_dataclass"]),
    "a dataclass as result": (lambda: jit(lambda x: Point(x, x))(1.0), ["output is a Point", "register_dataclass"]),
    "text as result": (lambda: jit(lambda x: "a")(1.0), ["output is a str", "return arrays"]),
    "under vmap": (lambda: vmap(lambda x, how: x)(X, "a"), ["argument 1 (how) is a str", "partial"]),
    "in a tree": (lambda: grad(lambda p: p["w"])({"w": 1.0, "kind": "a"}), ["argument 0 (p)['kind'] is a str"]),
    "no pair from scan": (lambda: lax.scan(lambda c, x: c, X, X), ["pair (carry, y)", "one value, f64[3]"]),
    "three from scan": (lambda: lax.scan(lambda c, x: (c, x, x), X, X), ["pair (carry, y)", "a tuple of 3"]),
    "dtype of a carry": (
        lambda: lax.scan(lambda c, x: (c * np.float64(2), None), np.float32(1), X),
        ["expected dtype float32, got float64", "by mul at test_remedies.py:", "astype"]),
    "shape of a carry": (
        lambda: jit(lambda x: lax.while_loop(lambda c: True, lambda c: np.append(c, 1.0), x))(X),
        ["expected shape (3,), got (4,)", "by concatenate at test_remedies.py:"]),
    "branches": (
        lambda: jit(lambda p, x: lax.cond(p, lambda x: x, lambda x: x[:2], x))(True, X),
        ["branch 0 makes f64[2] by slice at test_remedies.py:"]),
    "two vectors": (lambda: grad(lambda x: x @ np.ones(4))(X), ["(3,)", "(4,)", "size 4)\n"]),
    "a matrix the other way": (lambda: grad(lambda x: np.sum(x @ np.ones((4, 3))))(X), ["a @ b.mT would fit"]),
    "two matrices": (lambda: grad(lambda x: np.sum(x @ np.ones((2, 4))))(np.ones((2, 3))), ["a.mT @ b would fit"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAVES)
def test_messages(name: str) -> None:
    call, words = LEAVES[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "Tracer" not in text and text.count("\n  at ") <= 1


def test_the_remedies_work() -> None:
    assert jit(mode, static_argnums=1)(X, "sum") == 3.5
    tree_util.register_dataclass(Point, ["a", "b"], [])
    assert grad(lambda p: p.a * p.b)(Point(1.0, 2.0)) == Point(2.0, 1.0)
    assert grad(lambda x: np.sum(x @ np.ones((4, 3)).mT))(X).tolist() == [4.0] * 3


SCIPY: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "logsumexp": (lambda x: special.logsumexp(x), "special.logsumexp(x)", "funcgrad.scipy.special.logsumexp"),
    "softmax": (lambda x: special.softmax(x)[0], "special.softmax(x)", "funcgrad.scipy.special.softmax"),
    "a distribution": (
        lambda x: np.sum(stats.norm.logpdf(x)),
        "stats.norm.logpdf(x)",
        "funcgrad.scipy.stats.norm.logpdf",
    ),
    "solve": (
        lambda x: np.sum(linalg.solve(np.eye(3), x)),
        "linalg.solve(np.eye(3), x)",
        "funcgrad.scipy.linalg.solve",
    ),
    "trapezoid": (lambda x: integrate.trapezoid(x), "integrate.trapezoid(x)", "funcgrad.scipy.integrate.trapezoid"),
    "simpson": (lambda x: integrate.simpson(x), "integrate.simpson(x)", "funcgrad.scipy.integrate.simpson"),
    "quad": (lambda x: integrate.quad(lambda t: t * x[0], 0, 1)[0], "integrate.quad(", "funcgrad.scipy.integrate.quad"),
    "sparse": (
        lambda x: sparse.csr_array(np.eye(3)).multiply(x).sum(),
        "sparse.csr_array(np.eye(3)).multiply(x)",
        "custom_vjp",
    ),
}


@pytest.mark.parametrize("transform", [grad, jit])
@pytest.mark.parametrize("name", SCIPY)
def test_scipys_python_code(name: str, transform: Any) -> None:
    fun, text, remedy = SCIPY[name]
    if transform is jit and name == "quad":  # its numbers are guarded
        assert np.isclose(jit(fun)(X), 0.25)
        return
    with pytest.raises(TypeError) as caught:
        transform(fun)(X)
    message = str(caught.value)
    assert text in message and remedy in message, message
    assert f"test_remedies.py:{fun.__code__.co_firstlineno} " in message, message


def test_vectorize_under_its_own_name_and_another() -> None:
    square = np.vectorize(lambda a: a * a)
    for fun in (lambda x: np.sum(square(x)), lambda x: np.sum(np.vectorize(lambda a: a * a)(x))):
        with pytest.raises(TypeError, match=r"write instead: funcgrad\.numpy\.vectorize"):
            grad(fun)(X)
    assert grad(lambda x: np.sum(fnp.vectorize(lambda a: a * a)(x)))(X).tolist() == [1.0, 2.0, 4.0]


def test_an_attribute_that_would_change_the_array_itself() -> None:
    def transposed(x: Any) -> Any:
        x.T = np.zeros((2, 2))

    def written(x: Any) -> Any:
        x.T[...] = np.array([[1.0, 2.0], [3.0, 4.0]])
        return x

    with pytest.raises(TypeError, match=r"write instead: x.T\[...\] = value"):
        jit(transposed)(np.ones((2, 2)))
    assert jit(written)(np.ones((2, 2))).tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_what_is_recommended_for_scipy_works() -> None:
    assert np.allclose(grad(lambda x: nn.logsumexp(x))(X), special.softmax(X))

    @custom_vjp
    def simpson(y: Any) -> Any:
        return integrate.simpson(np.asarray(y))

    weights = np.array([integrate.simpson(row) for row in np.eye(3)])
    simpson.defvjp(lambda y: (integrate.simpson(np.asarray(y)), None), lambda _, ct: (ct * weights,))
    assert np.allclose(grad(lambda x: simpson(x))(X), weights)
