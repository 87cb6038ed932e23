"""Collectives over the named axis of a `vmap`: values, derivatives, and where the name is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.core import axes_in_scope
from funcgrad.test_util import check_grads

N = 3
X = np.random.default_rng(1).normal(size=(N, N))
"""A batch of as many examples as each has elements, so that every collective applies."""
B = np.random.default_rng(2).normal(size=(N, 2 * N, 2))

CYCLE = [(0, 1), (1, 2), (2, 0)]


def over(f: Callable[..., Any], name: Any = "i", **more: Any) -> Callable[..., Any]:
    return fg.vmap(f, axis_name=name, **more)


def same(x: Any) -> np.ndarray:
    """A value that all examples share."""
    return np.broadcast_to(x, (N, *np.shape(x)))


Formula = tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray], np.ndarray]

FORMULAS: dict[str, Formula] = {
    "psum": (lambda v: lax.psum(v, "i"), lambda x: same(x.sum(0)), X),
    "pmean": (lambda v: lax.pmean(v, "i"), lambda x: same(x.mean(0)), X),
    "pmax": (lambda v: lax.pmax(v, "i"), lambda x: same(x.max(0)), X),
    "pmin": (lambda v: lax.pmin(v, "i"), lambda x: same(x.min(0)), X),
    "all_gather": (lambda v: lax.all_gather(v, "i"), same, X),
    "all_gather behind": (lambda v: lax.all_gather(v, "i", axis=-1), lambda x: same(np.moveaxis(x, 0, -1)), B),
    "all_gather tiled": (lambda v: lax.all_gather(v, "i", tiled=True), lambda x: same(x.reshape(-1, 2)), B),
    "all_gather tiled behind": (
        lambda v: lax.all_gather(v, "i", axis=1, tiled=True),
        lambda x: same(np.concatenate(list(x), 1)),
        B,
    ),
    "psum_scatter": (lambda v: lax.psum_scatter(v, "i"), lambda x: x.sum(0), X),
    "psum_scatter behind": (
        lambda v: lax.psum_scatter(v.T[:, :N], "i", scatter_dimension=-1),
        lambda x: x.sum(0)[:N],
        B,
    ),
    "psum_scatter tiled": (
        lambda v: lax.psum_scatter(v, "i", tiled=True),
        lambda x: x.sum(0).reshape(N, 2, 2),
        B,
    ),
    "all_to_all": (lambda v: lax.all_to_all(v, "i", 0, 0), lambda x: x.T, X),
    "all_to_all behind": (
        lambda v: lax.all_to_all(v[:N], "i", 0, 1),
        lambda x: np.transpose(x[:, :N], (1, 2, 0)),
        B,
    ),
    "all_to_all tiled": (
        lambda v: lax.all_to_all(v, "i", 0, 1, tiled=True),
        lambda x: np.stack([np.concatenate([row[2 * k : 2 * k + 2] for row in x], 1) for k in range(N)]),
        B,
    ),
    "pswapaxes": (lambda v: lax.pswapaxes(v[:N], "i", 0), lambda x: np.swapaxes(x[:, :N], 0, 1), B),
    "ppermute": (lambda v: lax.ppermute(v, "i", CYCLE), lambda x: np.roll(x, 1, 0), X),
    "ppermute, not all": (
        lambda v: lax.ppermute(v, "i", [(0, 2), (2, 1)]),
        lambda x: np.stack([0 * x[0], x[2], x[0]]),
        X,
    ),
    "pshuffle": (lambda v: lax.pshuffle(v, "i", [1, 2, 0]), lambda x: x[[1, 2, 0]], X),
    "axis_index": (lambda v: v * lax.axis_index("i"), lambda x: x * np.arange(N)[:, None], X),
    "axis_size": (lambda v: v * lax.axis_size("i"), lambda x: x * N, X),
}


@pytest.fixture(params=FORMULAS)
def formula(request: pytest.FixtureRequest) -> Formula:
    return FORMULAS[request.param]


# ------------------------------------------------------------------------------------------------- one axis, values


def test_values(formula: Formula) -> None:
    f, want, x = formula
    np.testing.assert_allclose(over(f)(x), want(x), rtol=1e-14)
    for wrap in (fg.jit, fg.checkpoint):
        np.testing.assert_allclose(over(wrap(f))(x), want(x), rtol=1e-14)
    np.testing.assert_allclose(fg.jit(over(fg.jit(f)))(x), want(x), rtol=1e-14)
    np.testing.assert_allclose(fg.make_ir(over(f))(x)(x)[0], want(x), rtol=1e-14)


def test_operands_that_all_examples_share(formula: Formula) -> None:
    """They are a batch of equal ones, also inside a program of which no operand differs."""
    f, want, x = formula
    np.testing.assert_allclose(over(f, in_axes=None, axis_size=N)(x[0]), want(same(x[0])), rtol=1e-14)
    np.testing.assert_allclose(over(fg.jit(f), in_axes=None, axis_size=N)(x[0]), want(same(x[0])), rtol=1e-14)
    closed = fg.jit(lambda: f(x[0]))
    np.testing.assert_allclose(over(lambda: closed(), axis_size=N)(), want(same(x[0])), rtol=1e-14)


def test_other_axes_are_carried_along(formula: Formula) -> None:
    """A `vmap` without the name, inside and outside of the one that has it."""
    f, want, x = formula
    many = np.stack([x, x**2, np.sin(x), -x])
    expected = np.stack([want(m) for m in many])
    for g in (f, fg.jit(f)):
        np.testing.assert_allclose(fg.vmap(over(g))(many), expected, rtol=1e-14)
        np.testing.assert_allclose(over(fg.vmap(g), in_axes=1, out_axes=1)(many), expected, rtol=1e-14)
        inside = over(fg.vmap(g, in_axes=-1), "i")(np.moveaxis(many, 0, -1))
        np.testing.assert_allclose(np.swapaxes(inside, 0, 1), expected, rtol=1e-14)
        np.testing.assert_allclose(over(fg.vmap(g), "i", in_axes=1, out_axes=1)(many), expected, rtol=1e-14)


def test_numbers() -> None:
    sizes: list[Any] = []

    def f(x: Any) -> Any:
        sizes.extend([lax.psum(1, "i"), lax.axis_size("i"), lax.psum(0.5, "i"), lax.pmax(2.0, "i")])
        return x

    over(f)(X)
    assert sizes == [3, 3, 1.5, 2.0] and [type(s) for s in sizes] == [int, int, float, float]
    np.testing.assert_array_equal(over(lambda x: lax.all_gather(2.0, "i"))(X), np.full((N, N), 2.0))
    np.testing.assert_array_equal(over(lambda x: lax.ppermute(2.0, "i", [(0, 1)]))(X), [0.0, 2.0, 0.0])
    by_number = over(lambda x: fg.grad(lambda c: np.sum(x) * lax.psum(c**2, "i"))(2.0))(X)
    np.testing.assert_allclose(by_number, same(4.0 * X.sum()))


def test_pytrees() -> None:
    found = over(lambda t: lax.psum(t, "i"))({"a": X, "b": (X[:, 0], [X])})
    np.testing.assert_allclose(found["b"][0], same(X[:, 0].sum()))
    np.testing.assert_allclose(found["b"][1][0], same(X.sum(0)))
    assert over(lambda t: lax.pmean(t, "i"))({"n": np.arange(4)})["n"].tolist() == [1.5] * 4


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.float32, np.complex64])
def test_dtypes(dtype: Any) -> None:
    """As NumPy's sum, maximum and so on; for operands that differ or not, and recorded or not."""
    x = np.arange(6).reshape(3, 2).astype(dtype)
    expected = {
        lax.psum: np.sum(x, 0).dtype,
        lax.psum_scatter: np.sum(x, 0).dtype,
        lax.pmax: x.dtype,
        lax.pmin: x.dtype,
        lax.all_gather: x.dtype,
        lax.pmean: np.mean(x, 0).dtype if dtype != np.bool_ else np.dtype(float),
    }
    for collective, want in expected.items():
        y: Any = np.stack([x[:, 0]] * 3) if collective is lax.psum_scatter else x

        def f(v: Any, collective: Any = collective) -> Any:
            return collective(v, "i")

        for g in (f, fg.jit(f)):
            assert over(g)(y).dtype == want
            assert over(g, in_axes=None, axis_size=3)(y[0]).dtype == want
    moved = over(lambda v: lax.ppermute(v, "i", [(0, 1)]))(x)
    assert moved.dtype == x.dtype and not moved[[0, 2]].any()


@pytest.mark.parametrize("size", [0, 1])
def test_small_axes(size: int) -> None:
    x = np.arange(2.0 * size).reshape(size, 2)
    for f in (lax.psum, lax.pmax, lax.pmin, lambda v, n: lax.ppermute(v, n, [(k, k) for k in range(size)])):
        for wrap in (fg.jit, lambda g: g):
            np.testing.assert_array_equal(over(wrap(lambda v, f=f: f(v, "i")))(x), x)
    assert over(lambda v: lax.all_gather(v, "i"))(x).shape == (size, size, 2)
    assert over(lambda v: lax.all_to_all(v[:size], "i", 0, 0), axis_size=size)(x).shape == (size, size)
    assert over(lambda v: lax.psum_scatter(v[:size], "i"))(x).shape == (size,)
    assert over(lambda v: lax.axis_index("i"))(x).tolist() == list(range(size))
    assert over(fg.grad(lambda v: np.sum(lax.psum(v**2, "i") * lax.pmax(v, "i"))))(x).shape == x.shape
    gathered = over(lambda v: lax.psum(1, "i") + lax.psum(np.ones(2), "i"), in_axes=None, axis_size=size)(x)
    np.testing.assert_array_equal(gathered, np.full((size, 2), 2.0 * size))


def test_results_that_all_examples_share_need_no_axis() -> None:
    np.testing.assert_allclose(over(lambda v: lax.psum(v, "i"), out_axes=None)(X), X.sum(0))
    np.testing.assert_allclose(over(lambda v: lax.all_gather(v, "i"), out_axes=None)(X), X)


def test_what_is_gathered_is_not_the_argument() -> None:
    x = X.copy()

    def f(v: Any) -> Any:
        everything = lax.all_gather(v, "i")
        everything[0] = 0.0
        return v

    np.testing.assert_array_equal(over(f)(x), X)
    np.testing.assert_array_equal(x, X)


# ------------------------------------------------------------------------------------------------------- derivatives


def weighted(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A scalar of each example, whose cotangents differ."""
    return lambda v: np.sum(np.sin(f(v)) * np.mean(v))


def test_derivatives_of_the_batch(formula: Formula) -> None:
    f, _, x = formula
    check_grads(over(weighted(f)), (x,), 2)
    check_grads(over(fg.jit(weighted(f))), (x,), 2)


def test_derivatives_within_the_batch(formula: Formula) -> None:
    """Each example's gradient is that of the sum of all."""
    f, _, x = formula
    want = fg.grad(lambda x: np.sum(over(weighted(f))(x)))(x)
    for g in (weighted(f), fg.jit(weighted(f)), fg.checkpoint(weighted(f))):
        np.testing.assert_allclose(over(fg.grad(g))(x), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(fg.jit(over(fg.jit(fg.grad(weighted(f)))))(x), want, rtol=1e-12, atol=1e-14)
    many = np.stack([x, 0.5 * x], 1)
    wants = [fg.grad(lambda x: np.sum(over(weighted(f))(x)))(y) for y in (x, 0.5 * x)]
    found = over(fg.vmap(fg.grad(weighted(f))))(many)
    np.testing.assert_allclose(found, np.stack(wants, 1), rtol=1e-12, atol=1e-14)


def test_tangents_within_the_batch(formula: Formula) -> None:
    f, _, x = formula
    t = np.cos(x)
    want = fg.jvp(over(weighted(f)), (x,), (t,))[1]
    for g in (weighted(f), fg.jit(weighted(f)), fg.checkpoint(weighted(f))):
        np.testing.assert_allclose(over(lambda v, s, g=g: fg.jvp(g, (v,), (s,))[1])(x, t), want, rtol=1e-12)
        pushed = over(lambda v, s, g=g: fg.linearize(g, v)[1](s))(x, t)
        np.testing.assert_allclose(pushed, want, rtol=1e-12)


def test_second_derivatives_within_the_batch(formula: Formula) -> None:
    f, _, x = formula

    def twice(h: Any) -> Any:
        return lambda v: np.sum(np.cos(fg.grad(h)(v)))

    h = weighted(f)
    want = fg.grad(lambda x: np.sum(over(twice(h))(x)))(x)
    np.testing.assert_allclose(over(fg.grad(twice(h)))(x), want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(over(fg.grad(fg.jit(twice(fg.jit(h)))))(x), want, rtol=1e-10, atol=1e-12)


def test_examples_that_tie_share_the_derivative() -> None:
    x = np.array([2.0, 5.0, 5.0])
    for f, want in ((lax.pmax, [0.0, 1.5, 1.5]), (lambda v, n: -lax.pmin(-v, n), [0.0, 1.5, 1.5])):
        np.testing.assert_allclose(over(fg.grad(lambda v, f=f: f(v, "i")))(x), want)
        np.testing.assert_allclose(over(lambda v, f=f: fg.jvp(lambda u: f(u, "i"), (v,), (v,))[1])(x), [5.0] * 3)
    shared = over(lambda v: fg.grad(lambda c: v * lax.pmax(c, "i"))(2.0))(x)
    np.testing.assert_allclose(shared, [4.0] * 3)


def test_gradient_of_what_all_examples_share() -> None:
    """Every example adds to it, through the sum and through its own factor."""
    w = np.array([0.5, -1.0, 2.0])
    found = over(lambda v: fg.grad(lambda w: np.sum(v * lax.psum(w**2, "i")))(w))(X)
    np.testing.assert_allclose(found, same(2 * w * X.sum(0)))


# ------------------------------------------------------------------------------------------------------ two axes

Y = np.random.default_rng(5).normal(size=(2, 3, 4))


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_two_names(wrap: Any) -> None:
    def both(f: Callable[[Any], Any]) -> list[np.ndarray]:
        inner = over(over(wrap(f), "j"), "i")(Y)
        outer = over(over(wrap(f), "i"), "j", in_axes=1, out_axes=1)(Y)
        np.testing.assert_allclose(outer, inner, rtol=1e-13)
        return inner

    full = (2, 3, 4)
    np.testing.assert_allclose(both(lambda v: lax.psum(v, "i")), np.broadcast_to(Y.sum(0), full))
    np.testing.assert_allclose(both(lambda v: lax.psum(v, "j")), np.broadcast_to(Y.sum(1)[:, None], full))
    np.testing.assert_allclose(both(lambda v: lax.psum(v, ("i", "j"))), np.broadcast_to(Y.sum((0, 1)), full))
    np.testing.assert_allclose(both(lambda v: lax.pmean(v, ("j", "i"))), np.broadcast_to(Y.mean((0, 1)), full))
    np.testing.assert_allclose(both(lambda v: lax.pmax(v, ["i", "j"])), np.broadcast_to(Y.max((0, 1)), full))
    np.testing.assert_array_equal(both(lambda v: lax.axis_index(("i", "j"))), np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(both(lambda v: lax.axis_index(("j", "i"))), np.arange(6).reshape(3, 2).T)
    np.testing.assert_array_equal(both(lambda v: v * lax.axis_size(("i", "j"))), Y * 6)
    gathered = both(lambda v: lax.all_gather(lax.all_gather(v, "j"), "i"))
    np.testing.assert_array_equal(gathered, np.broadcast_to(Y, (2, 3, *full)))
    moved = both(lambda v: lax.ppermute(v, "j", CYCLE) + lax.pshuffle(v, "i", [1, 0]))
    np.testing.assert_allclose(moved, np.roll(Y, 1, 1) + Y[::-1])


def test_derivatives_over_two_names() -> None:
    def f(v: Any) -> Any:
        total = lax.psum(np.sin(v), ("i", "j")) * lax.pmax(v, "j") + lax.all_gather(v, "i")[0] * lax.axis_index("j")
        return np.sum(total * v)

    check_grads(over(over(f, "j"), "i"), (Y,), 2)
    want = fg.grad(lambda y: np.sum(over(over(f, "j"), "i")(y)))(Y)
    np.testing.assert_allclose(over(over(fg.grad(f), "j"), "i")(Y), want, rtol=1e-12)
    np.testing.assert_allclose(
        over(over(fg.jit(fg.grad(fg.jit(f))), "i"), "j", in_axes=1, out_axes=1)(Y), want, rtol=1e-12
    )
    half = over(fg.grad(lambda v: np.sum(over(f, "j")(v))), "i")(Y)
    np.testing.assert_allclose(half, want, rtol=1e-12)


def test_the_innermost_axis_of_a_name_is_meant() -> None:
    found = over(over(lambda v: lax.psum(v, "i") + lax.axis_size("i")))(Y)
    np.testing.assert_allclose(found, np.broadcast_to(Y.sum(1)[:, None] + 3, Y.shape))


def test_names_are_any_values() -> None:
    for name in (0, "x", ("a",)[0], frozenset("ab")):
        np.testing.assert_allclose(over(fg.jit(lambda v, n=name: lax.psum(v, n)), name)(X), same(X.sum(0)))


# ------------------------------------------------------------------------------------------------ in recorded bodies


def _scanned(v: Any) -> Any:
    step = lambda c, x: (c * x + lax.pmean(c, "i") * lax.axis_index("i"), lax.psum(c * x, "i"))  # noqa: E731
    c, ys = lax.scan(step, v, np.stack([v, v * 0.5]))
    return np.sum(c * v) + np.sum(ys)


def _scanned_by_hand(v: Any) -> Any:
    c, total = v, 0.0
    for x in (v, v * 0.5):
        c, y = c * x + lax.pmean(c, "i") * lax.axis_index("i"), lax.psum(c * x, "i")
        total = total + np.sum(y)
    return np.sum(c * v) + total


def _branch(v: Any) -> Any:
    return lax.cond(np.sum(v) > 0, lambda a: np.sum(lax.psum(a, "i") * a), lambda a: np.sum(a**2), v)


def _branch_by_hand(v: Any) -> Any:
    return np.where(np.sum(v) > 0, np.sum(lax.psum(v, "i") * v), np.sum(v**2))


def _shared_branch(v: Any) -> Any:
    """The predicate is the same for all examples, so that one branch is run."""
    return lax.cond(
        lax.psum(np.sum(v), "i") > 100, lambda a: np.sum(a), lambda a: np.sum(lax.all_gather(a, "i") ** 2) * a[0], v
    )


def _shared_branch_by_hand(v: Any) -> Any:
    return np.sum(lax.all_gather(v, "i") ** 2) * v[0]


def _looped(v: Any) -> Any:
    return np.sum(lax.fori_loop(0, 3, lambda k, a: 0.5 * a + lax.pmean(np.sin(a), "i") * k, v) * v)


def _looped_by_hand(v: Any) -> Any:
    a = v
    for k in range(3):
        a = 0.5 * a + lax.pmean(np.sin(a), "i") * k
    return np.sum(a * v)


def _while(v: Any) -> Any:
    state = lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, 0.5 * s[1] + lax.pmean(np.sin(s[1]), "i") * s[0]), (np.array(0), v)
    )
    return np.sum(state[1] * v)


@fg.custom_jvp
def _ruled(v: Any) -> Any:
    return v * lax.psum(v, "i")


@_ruled.defjvp
def _ruled_jvp(primals: Any, tangents: Any) -> Any:
    (v,), (t,) = primals, tangents
    return _ruled(v), t * lax.psum(v, "i") + v * lax.psum(t, "i") + 0 * lax.axis_index("i")


@fg.custom_vjp
def _pulled(v: Any) -> Any:
    return v * lax.psum(v, "i")


_pulled.defvjp(
    lambda v: (_pulled(v), (v, lax.psum(v, "i"))),
    lambda kept, ct: (ct * kept[1] + lax.psum(ct * kept[0], "i") + 0 * lax.axis_index("i"),),
)

BODIES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "scan": (_scanned, _scanned_by_hand),
    "cond": (_branch, _branch_by_hand),
    "cond, the same for all": (_shared_branch, _shared_branch_by_hand),
    "fori_loop": (_looped, _looped_by_hand),
    "while_loop": (_while, _looped_by_hand),
    "custom_jvp": (lambda v: np.sum(np.sin(_ruled(v))), lambda v: np.sum(np.sin(v * lax.psum(v, "i")))),
    "custom_vjp": (lambda v: np.sum(np.sin(_pulled(v))), lambda v: np.sum(np.sin(v * lax.psum(v, "i")))),
    "jit of constants": (
        lambda v: np.sum(v) * fg.jit(lambda: lax.psum(np.ones(2), "i")[0] + lax.axis_index("i"))(),
        lambda v: np.sum(v) * (3.0 + lax.axis_index("i")),
    ),
    "scan of constants": (
        lambda v: np.sum(v) * lax.scan(lambda c, _: (c + lax.axis_index("i"), c), 0, None, length=3)[0],
        lambda v: np.sum(v) * 3 * lax.axis_index("i"),
    ),
    "while_loop of constants": (
        lambda v: np.sum(v) * lax.while_loop(lambda c: c < 5, lambda c: c + 1 + lax.axis_index("i"), 0),
        lambda v: np.sum(v) * (6.0 - (lax.axis_index("i") == 0)),
    ),
    "vmap": (
        lambda v: np.sum(fg.vmap(lambda a: a * lax.psum(a**2, "i"))(v) * v),
        lambda v: np.sum(v * lax.psum(v**2, "i") * v),
    ),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_in_bodies(name: str, wrap: Any) -> None:
    f, by_hand = BODIES[name]
    g = wrap(f)
    close: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-13}
    np.testing.assert_allclose(over(g)(X), over(by_hand)(X), **close)
    np.testing.assert_allclose(fg.jit(over(g))(X), over(by_hand)(X), **close)
    np.testing.assert_allclose(over(fg.grad(g))(X), over(fg.grad(by_hand))(X), **close)
    np.testing.assert_allclose(over(fg.jit(fg.grad(g)))(X), over(fg.grad(by_hand))(X), **close)
    w = np.array([1.0, -2.0, 0.5])
    outside = [fg.grad(lambda x, h=h: np.sum(w * over(h)(x)))(X) for h in (g, by_hand)]
    np.testing.assert_allclose(*outside, **close)
    if name != "custom_vjp":
        tangents = [over(lambda v, h=h: fg.jvp(h, (v,), (np.cos(v),))[1])(X) for h in (g, by_hand)]
        np.testing.assert_allclose(*tangents, **close)
    many = np.stack([X, 0.5 * X], 1)
    np.testing.assert_allclose(over(fg.vmap(g))(many), over(fg.vmap(by_hand))(many), **close)
    inner = [over(fg.vmap(fg.grad(h)))(many) for h in (g, by_hand)]
    np.testing.assert_allclose(*inner, **close)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_of_what_all_examples_share(name: str) -> None:
    """Values are known while the derivative is recorded, but for what collectives bring in."""
    f, by_hand = BODIES[name]
    found = [over(lambda v, h=h: fg.grad(h)(X[0]) * v)(X) for h in (f, fg.jit(f), by_hand)]
    np.testing.assert_allclose(found[0], found[2], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-11, atol=1e-13)


def test_a_program_of_a_loop_whose_length_differs_between_examples() -> None:
    """Its operands are known, and the same for all examples; how often it runs is not."""
    loop = lambda c: lax.while_loop(lambda s: s < 5.0, lambda s: s * 2.0 + lax.axis_index("i"), c)  # noqa: E731
    programs: list[Any] = []
    over(lambda v: programs.append(fg.make_ir(loop)(1.0)))(X)
    found = over(lambda v: fg.grad(lambda c: programs[0](c)[0])(1.0))(X)
    np.testing.assert_allclose(found, [8.0, 4.0, 4.0])


# ------------------------------------------------------------------------------------------------ names and programs


def test_programs_are_plain() -> None:
    text = str(fg.make_ir(over(lambda v: v / lax.psum(v, "i") + lax.pmax(v, "i")))(np.ones(3)))
    assert "reduce_sum[axes=(0,)]" in text and "reduce_max[axes=(0,)]" in text and "psum" not in text


def test_what_is_recorded_inside_has_the_name() -> None:
    texts: list[str] = []
    over(lambda v: texts.append(str(fg.make_ir(lambda a: lax.psum(a, "i") * lax.axis_index("i"))(v))))(X)
    assert "psum[axis_name='i']" in texts[0] and "axis_index[axis_name='i']" in texts[0]


def test_a_program_belongs_to_the_axes_it_was_recorded_in() -> None:
    calls: list[Any] = []

    @fg.jit
    def f(v: Any) -> Any:
        calls.append(axes_in_scope())
        return v * lax.psum(1, "i") + lax.axis_index("i")

    for size in (3, 2, 3):
        np.testing.assert_allclose(over(f)(np.ones(size)), size + np.arange(size))
    assert calls == [(("i", 3),), (("i", 2),)]
    with pytest.raises(NameError, match="psum: no axis named 'i'"):
        f(1.0)
    np.testing.assert_allclose(over(over(f, "j"))(np.ones((2, 3))), 2 + np.arange(2)[:, None] + np.zeros(3))


def test_axes_are_in_scope_where_the_function_is() -> None:
    seen: list[Any] = []
    over(lambda v: fg.vmap(lambda a: seen.append(axes_in_scope()))(v))(X)
    fg.grad(lambda x: np.sum(over(over(lambda a: (seen.append(axes_in_scope()), a)[1], "j"))(x)))(Y[..., 0])
    assert seen == [(("i", 3),), (("i", 2), ("j", 3))]
    assert axes_in_scope() == ()


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda v: lax.psum(v, "k"), NameError, r"psum: no axis named 'k' here; the axes in scope are: 'i' of size 3"),
        (lambda v: lax.axis_index("k"), NameError, "axis_index: no axis named 'k'"),
        (lambda v: lax.psum(v, ("i", "k")), NameError, "no axis named 'k'"),
        (lambda v: lax.psum(v, ("i", "i")), ValueError, "named twice"),
        (lambda v: lax.psum("text", "i"), TypeError, "psum: an operand is a str"),
        (lambda v: lax.psum(v, "i", axis_index_groups=[[0], [1, 2]]), ValueError, "psum: .* groups of one size"),
        (lambda v: lax.all_gather(v, "i", axis_index_groups=[[0, 1, 1]]), ValueError, "each of the 3 examples"),
        (lambda v: lax.pbroadcast(v, "i", 3), ValueError, "source 3 is no number"),
        (lambda v: lax.all_gather(v, "i", axis=2), ValueError, r"all_gather: axis 2 is out of range .* shape \(3,\)"),
        (lambda v: lax.all_gather(v[0], "i", tiled=True), ValueError, "axis 0 is out of range"),
        (lambda v: lax.all_to_all(v[:2], "i", 0, 0), ValueError, r"all_to_all: axis 0 of an operand of shape \(2,\)"),
        (lambda v: lax.all_to_all(v[:2], "i", 0, 0, tiled=True), ValueError, "cannot be cut into 3"),
        (lambda v: lax.psum_scatter(v[:2], "i"), ValueError, "psum_scatter: axis 0 .* size of the mapped axis, 3"),
        (lambda v: lax.pswapaxes(v, "i", 1), ValueError, "pswapaxes: axis 1 is out of range"),
        (lambda v: lax.ppermute(v, "i", [(0, 1), (2, 1)]), ValueError, "destination 1"),
        (lambda v: lax.ppermute(v, "i", [(0, 1), (0, 2)]), ValueError, "source 0"),
        (lambda v: lax.ppermute(v, "i", [(0, 3)]), ValueError, "destination 3"),
        (lambda v: lax.pshuffle(v, "i", [0, 1]), ValueError, "pshuffle: .* is no permutation"),
        (lambda v: lax.ppermute(v, ("i", "i2"), [(0, 1)]), NameError, "'i2'"),
    ],
)
def test_errors(call: Callable[[Any], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as info:
        over(call)(X)
    assert str(info.traceback[-1].path) == __file__  # the user's line


@pytest.mark.parametrize("wrap", [fg.jit, fg.make_ir, fg.vmap, fg.grad])
def test_names_that_nothing_has(wrap: Any) -> None:
    with pytest.raises(NameError, match=r"the axes in scope are: none; give vmap axis_name='i'") as info:
        wrap(lambda v: np.sum(lax.psum(v, "i")))(X)
    assert str(info.traceback[-1].path) == __file__
    with pytest.raises(NameError, match="no axis named 'i'"):
        lax.psum(X, "i")


def test_a_program_that_has_lost_its_axis() -> None:
    programs: list[Any] = []
    over(lambda v: programs.append(fg.make_ir(lambda a: lax.psum(a, "i"))(v)))(X)
    with pytest.raises(NameError, match="psum: no axis named 'i'"):
        programs[0](X[0])
