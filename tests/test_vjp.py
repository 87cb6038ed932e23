"""`vjp`: pullbacks of any pytree, what they accept, and that they are the transposes of the tangent maps."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcgrad import Tracer, float0, grad, jvp, lax, make_ir, tree, vjp

X = np.array([0.5, -1.0, 2.0])


def test_a_pullback_can_be_called_again_and_again() -> None:
    y, pullback = vjp(lambda x: np.sin(x) * x, X)
    want = np.cos(X) * X + np.sin(X)
    np.testing.assert_array_equal(y, np.sin(X) * X)
    for scale in (1.0, 2.0, 0.0, -1.0):
        np.testing.assert_allclose(pullback(np.full(3, scale))[0], scale * want)


def test_no_argument_many_arguments() -> None:
    y, pullback = vjp(lambda: X)
    np.testing.assert_array_equal(y, X)
    assert pullback(X) == ()
    y, pullback = vjp(lambda *xs: sum(x * i for i, x in enumerate(xs)), *map(float, range(20)))
    assert pullback(1.0) == tuple(map(float, range(20)))


def test_outputs_of_any_structure() -> None:
    def f(p: Any) -> Any:
        return {"a": [p["w"] * 2.0, None, ()], "c": (p["b"], X, 7.0), "n": np.array([1, 2])}

    y, pullback = vjp(f, {"w": X, "b": 2.0})
    assert tree.structure(y) == tree.structure(f({"w": X, "b": 2.0}))
    (g,) = pullback({"a": [X, None, ()], "c": (5.0, X, 1.0), "n": np.zeros(2, float0)})
    np.testing.assert_array_equal(g["w"], 2.0 * X)
    assert g["b"] == 5.0 and type(g["b"]) is float


def test_nothing_is_returned() -> None:
    for nothing in (None, (), {}, [None, ()]):
        y, pullback = vjp(lambda x, nothing=nothing: nothing, X)
        assert y == nothing
        np.testing.assert_array_equal(pullback(nothing)[0], np.zeros(3))


def test_the_same_output_twice() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        return y, y, [y]

    y, pullback = vjp(f, X)
    (g,) = pullback((np.ones(3), 2 * np.ones(3), [X]))
    np.testing.assert_allclose(g, np.cos(X) * (3 + X))
    assert not np.shares_memory(y[0], y[1]) and not np.shares_memory(y[0], y[2][0])


def test_cotangents_that_fit() -> None:
    """Numbers of another class stand for arrays of the same shape; the dtype is that of the output."""
    _, pullback = vjp(lambda x: x * 2, np.float32(3.0))
    for ct in (1.0, 1, np.float64(1.0), np.array(1.0), np.int32(1), True):
        (g,) = pullback(ct)
        assert g == 2.0 and g.dtype == np.float32
    _, pullback = vjp(lambda x: x * 2, X.astype(np.float32))
    for ct in (np.ones(3), np.ones(3, np.float32), np.ones(3, int), np.ones(3, np.float16), np.ones(3, bool)):
        (g,) = pullback(ct)
        np.testing.assert_array_equal(g, [2.0, 2.0, 2.0])
        assert g.dtype == np.float32
    _, pullback = vjp(lambda x: x * 2, 3.0)
    assert pullback(np.float32(1.5)) == (3.0,)


@pytest.mark.parametrize(
    "ct", [None, 1.0, [1.0, 1.0, 1.0], np.ones(2), np.ones((1, 3)), np.ones((3, 1)), "text", object(), (np.ones(3),)]
)
def test_cotangents_that_do_not_fit(ct: Any) -> None:
    _, pullback = vjp(lambda x: x * 2, X)
    with pytest.raises(TypeError, match="pullback"):
        pullback(ct)


@pytest.mark.parametrize("ct", [np.array(["a", "b", "c"]), np.array([None] * 3), np.ones(3, complex)])
def test_cotangents_of_a_wrong_dtype(ct: Any) -> None:
    _, pullback = vjp(lambda x: x * 2, X)
    with pytest.raises(TypeError, match="pullback"):
        pullback(ct)


def test_wrong_number_of_cotangents() -> None:
    _, pullback = vjp(lambda x: (x, x), X)
    for ct in ((X,), (X, X, X), [X, X], {"a": X}, X):
        with pytest.raises(TypeError, match="pullback"):
            pullback(ct)
    with pytest.raises(TypeError):
        pullback(X, X)
    with pytest.raises(TypeError):
        pullback()


@pytest.mark.parametrize("result", ["text", object(), np.array("text"), np.array(None), [1.0, "a"], NotImplemented])
def test_outputs_that_are_no_numbers(result: Any) -> None:
    with pytest.raises(TypeError, match="output"):
        vjp(lambda x: result, 1.0)


def test_integers_have_no_cotangents() -> None:
    def f(x: Any, n: Any) -> Any:
        return x * n, n * 2, x > 0

    y, pullback = vjp(f, X, np.array([1, 2, 3]))
    assert y[1].dtype == np.int64 and y[2].dtype == bool
    gx, gn = pullback((np.ones(3), np.zeros(3, float0), np.zeros(3, float0)))
    np.testing.assert_array_equal(gx, [1.0, 2.0, 3.0])
    assert gn.dtype == float0 and gn.shape == (3,)
    assert vjp(lambda n: n * 2, 3)[1](np.zeros((), float0))[0].dtype == float0


def test_kinks_and_saturated_functions() -> None:
    _, pullback = vjp(lambda x: np.maximum(x, 0.0), np.array([-1.0, 2.0]))
    np.testing.assert_array_equal(pullback(np.ones(2))[0], [0.0, 1.0])
    _, pullback = vjp(lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0), np.array([-1.0, 2.0]))
    np.testing.assert_array_equal(pullback(np.ones(2))[0], [0.0, 0.5])
    _, pullback = vjp(lambda x: np.tanh(1000 * x), X)
    np.testing.assert_array_equal(pullback(np.ones(3))[0], [0.0, 0.0, 0.0])


def test_linear_in_the_cotangent(rng: np.random.Generator) -> None:
    a = rng.standard_normal((4, 4))
    _, pullback = vjp(lambda a: (np.linalg.inv(a), np.sum(a * a, axis=0)), a)

    def random() -> Any:
        return rng.standard_normal((4, 4)), rng.standard_normal(4)

    u, v = random(), random()
    both = tree.map(lambda a, b: 2.0 * a - 3.0 * b, u, v)
    np.testing.assert_allclose(pullback(both)[0], 2.0 * pullback(u)[0] - 3.0 * pullback(v)[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(pullback(tree.map(np.zeros_like, u))[0], np.zeros((4, 4)))


@settings(max_examples=150)
@given(st.lists(st.sampled_from(range(9)), max_size=6), st.integers(0, 2**32 - 1))
def test_the_transpose_of_the_tangent_map(steps: list[int], seed: int) -> None:
    """⟨v̄, J v⟩ = ⟨Jᵀ v̄, v⟩ for random chains of operations on a pair of matrices."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((3, 3))
    moves: list[Any] = [
        lambda a, b: (np.tanh(a), b * a),
        lambda a, b: (a @ b, b.T),
        lambda a, b: (b[::-1], a[:, [0, 0, 2]]),
        lambda a, b: (a + np.sum(b, axis=0), b - 1.5),
        lambda a, b: (np.where(a > 0, a, b), np.cumsum(b, axis=1)),
        lambda a, b: (np.einsum("ij,kj->ki", a, w), b),
        lambda a, b: (np.concatenate([a[1:], b[:1]]), np.stack([b[0], a[0], b[2]])),
        lambda a, b: (a / (1 + b * b), np.sqrt(1 + a * a)),
        lambda a, b: (np.sort(a, axis=0), np.maximum(a, b)),
    ]

    def f(a: Any, b: Any) -> Any:
        for step in steps:
            a, b = moves[step](a, b)
        return a, np.sum(b), b[0]

    point = rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
    t = rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
    y, dy = jvp(f, point, t)
    out, pullback = vjp(f, *point)
    ct = tree.map(lambda x: np.asarray(rng.standard_normal(np.shape(x)))[()], y)
    g = pullback(ct)
    for a, b in zip(tree.leaves(y), tree.leaves(out), strict=True):
        np.testing.assert_array_equal(a, b)
    left = sum(np.sum(a * b) for a, b in zip(tree.leaves(ct), tree.leaves(dy), strict=True))
    right = sum(np.sum(a * b) for a, b in zip(g, t, strict=True))
    scale = sum(np.sum(np.abs(a * b)) for a, b in zip(g, t, strict=True)) + 1
    assert abs(left - right) <= 1e-9 * scale


# --------------------------------------------------------------------------------------------------- inside others


def test_a_pullback_inside_a_trace() -> None:
    """A pullback that was made outside may be differentiated, recorded and batched: it is linear in its argument."""
    _, pullback = vjp(lambda x: np.sin(x) * x, X)
    want = np.cos(X) * X + np.sin(X)
    np.testing.assert_allclose(grad(lambda ct: np.sum(pullback(ct)[0] ** 2))(np.ones(3)), 2 * want**2)
    np.testing.assert_allclose(jvp(lambda ct: pullback(ct)[0], (np.ones(3),), (X,))[1], want * X)
    program = make_ir(lambda ct: pullback(ct)[0])(np.ones(3))
    np.testing.assert_allclose(program(np.ones(3))[0], want)


def test_values_of_the_outer_trace_come_through() -> None:
    def f(x: Any) -> Any:
        y, pullback = vjp(lambda z: z * x, x)
        assert isinstance(y, Tracer)
        return pullback(x)[0] + y  # x·x + x·x

    assert grad(f)(3.0) == 12.0


def test_outputs_are_no_tracers() -> None:
    y, pullback, aux = vjp(lambda x: ((x, [x * 2]), {"s": np.sin(x)}), X, has_aux=True)
    leaves = [*tree.leaves(y), *tree.leaves(aux), *tree.leaves(pullback(y))]
    assert len(leaves) == 4 and all(type(x) is np.ndarray for x in leaves)


def test_a_pullback_lets_go_of_its_memory() -> None:
    dead: list[Any] = []

    def f(x: Any) -> Any:
        y = np.exp(x)
        dead.append(weakref.ref(y))
        return np.sum(y * y)

    _, pullback = vjp(f, X)
    pullback(1.0)
    assert dead[0]() is not None
    del pullback
    assert dead[0]() is None


def test_what_the_output_does_not_depend_on_is_never_visited() -> None:
    """The reverse walk does no work for a value that no cotangent reaches, however it may fail."""

    def f(x: Any) -> Any:
        unused = np.log(x - x)  # -inf, whose derivative divides by zero
        return lax.stop_gradient(unused), x * 2

    with np.errstate(divide="ignore"):
        _, pullback = vjp(f, X)
    np.testing.assert_array_equal(pullback((np.zeros(3), np.ones(3)))[0], [2.0, 2.0, 2.0])


def test_a_cotangent_that_comes_back_is_a_copy() -> None:
    """Also where it passes through unchanged beside other outputs."""
    a = np.ones(3)
    _, pull = vjp(lambda x, y: (x, np.sin(y)), np.ones(3), np.ones(3))
    back = pull((a, np.ones(3)))
    back[0][:] = 99.0
    np.testing.assert_array_equal(a, np.ones(3))
