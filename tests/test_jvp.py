"""`jvp`: tangents of any pytree, what is accepted, and dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import Tracer, float0, grad, jvp, lax, tree, vjp

X = np.array([0.5, -1.0, 2.0])
T = np.array([1.0, 2.0, -0.5])


def test_values_and_tangents() -> None:
    y, t = jvp(lambda x: np.sin(x) * x, (X,), (T,))
    np.testing.assert_array_equal(y, np.sin(X) * X)
    np.testing.assert_allclose(t, (np.cos(X) * X + np.sin(X)) * T)
    assert jvp(lambda x, y: x / y, (6.0, 3.0), (1.0, 0.0)) == (2.0, 1.0 / 3.0)
    assert jvp(lambda x, y: x / y, [6.0, 3.0], [0.0, 3.0]) == (2.0, -2.0)
    assert jvp(lambda: 1.0, (), ()) == (1.0, 0.0)


def test_pytrees() -> None:
    p = {"w": X, "b": [2.0, None], "s": np.float32(1.5)}
    t = {"w": T, "b": [1.0, None], "s": np.float32(2.0)}
    y, dy = jvp(lambda p: ({"out": p["w"] * p["b"][0]}, p["s"] * 2, None, p["b"]), (p,), (t,))
    assert tree.structure(y) == tree.structure(dy)
    np.testing.assert_array_equal(dy[0]["out"], T * 2.0 + X)
    assert dy[1] == 4.0 and dy[1].dtype == np.float32 and dy[3] == [1.0, None]


def test_what_does_not_depend_has_tangent_zero() -> None:
    c = np.array([1.0, 2.0], np.float32)
    y, t = jvp(lambda x: (c, 3.0, np.float16(2.0), x * 0 + 1, lax.stop_gradient(x), 7, np.arange(2)), (X,), (T,))
    np.testing.assert_array_equal(t[0], np.zeros(2))
    assert t[0].dtype == np.float32 and t[0].flags.writeable
    assert t[1] == 0.0 and type(t[1]) is float and t[2].dtype == np.float16
    assert not t[3].any() and not t[4].any()
    assert t[5].dtype == float0 and t[5].shape == ()
    assert t[6].dtype == float0 and t[6].shape == (2,)
    assert y[5] == 7


def test_integers_and_booleans() -> None:
    none = np.zeros(3, float0)
    n = np.array([1, 2, 3])
    y, t = jvp(lambda x, n: (x * n, n + 1, x > 0), (X, n), (T, none))
    np.testing.assert_array_equal(t[0], T * n)
    assert t[1].dtype == float0 and t[2].dtype == float0
    np.testing.assert_array_equal(y[1], n + 1)
    np.testing.assert_array_equal(jvp(lambda x, n: x * n, (X, n), (T, none))[1], T * n)
    for bad in (np.ones(3), n):
        with pytest.raises(TypeError, match="float0"):
            jvp(lambda n: n * 2.0, (n,), (bad,))


@pytest.mark.parametrize(
    ("x", "t"),
    [
        (np.float32(2.0), 1.0),
        (np.float32(2.0), np.float32(1.0)),
        (np.array(2.0, np.float32), 1.0),
        (np.array(2.0, np.float32), np.array(1.0, np.float32)),
        (np.float16(2.0), 1),
        (2.0, 1),
        (2.0, np.float64(1.0)),
        (2.0, np.array(1.0)),
        (np.float64(2.0), 1.0),
        (np.complex64(2.0), 1.0),
        (np.ones(2, np.float32), np.ones(2, np.float32)),
    ],
)
def test_tangents_have_the_dtype_of_their_primals(x: Any, t: Any) -> None:
    """However the tangent is given, and whatever is done with it."""
    for f in (
        lambda x: x,
        lambda x: x * 2.0,
        lambda x: np.sin(x),
        lambda x: x * np.ones(3, np.asarray(x).dtype if not isinstance(x, Tracer) else x.dtype)[:1],
        lambda x: x / (1 + x * x) + np.exp(x),
        lambda x: abs(x) * 3,
        lambda x: np.sum(x * x) ** 0.5,
    ):
        y, dy = jvp(f, (x,), (t,))
        plain = f(x)
        np.testing.assert_allclose(y, plain, rtol=1e-3)
        assert np.asarray(dy).dtype == np.asarray(y).dtype == np.asarray(plain).dtype
        assert np.shape(dy) == np.shape(y) == np.shape(plain)
        assert type(y) is type(plain), (type(y), type(plain))
        assert (type(dy) in (float, complex)) == (type(plain) in (float, complex)), (type(dy), type(plain))


@pytest.mark.parametrize(
    "t", [None, "text", object(), [1.0, 1.0, 1.0], np.ones(2), np.ones((1, 3)), 1.0, np.ones(3, np.float32)]
)
def test_tangents_that_do_not_fit(t: Any) -> None:
    with pytest.raises(TypeError, match="jvp"):
        jvp(lambda x: x * 2, (X,), (t,))


def test_structures_that_do_not_fit() -> None:
    for primals, tangents in (
        ((1.0,), ()),
        ((1.0,), (1.0, 1.0)),
        (({"a": 1.0},), ({"b": 1.0},)),
        (([1.0],), ((1.0,),)),
    ):
        with pytest.raises(TypeError, match="structure"):
            jvp(lambda *xs: 1.0, primals, tangents)
    for primals, tangents in ((1.0, 1.0), (X, T), ({"a": 1.0}, {"a": 1.0})):
        with pytest.raises(TypeError, match="tuples or lists"):
            jvp(lambda *xs: 1.0, primals, tangents)
    with pytest.raises(TypeError, match="function"):
        jvp(3.0, (1.0,), (1.0,))  # type: ignore[arg-type]


@pytest.mark.parametrize("result", ["text", object(), np.array("text"), np.array(None), [1.0, "a"], NotImplemented])
def test_outputs_that_are_no_numbers(result: Any) -> None:
    with pytest.raises(TypeError, match="output"):
        jvp(lambda x: result, (1.0,), (1.0,))


def test_aux() -> None:
    y, t, aux = jvp(lambda x: (x * x, {"x": x, "s": np.sin(x), "n": "name"}), (3.0,), (1.0,), has_aux=True)
    assert (y, t, aux["x"], aux["s"], aux["n"]) == (9.0, 6.0, 3.0, np.sin(3.0), "name")
    assert not any(isinstance(x, Tracer) for x in tree.leaves(aux))


def test_control_flow_sees_values() -> None:
    def f(x: Any) -> Any:
        n = 0
        while x < 100.0 and n < 20:
            x, n = (x * 3.0 if int(x) % 2 else x * x + 1.0), n + 1
        return x

    step = 1e-6
    y, t = jvp(f, (1.3,), (1.0,))
    assert y == f(1.3)
    np.testing.assert_allclose(t, (f(1.3 + step) - f(1.3 - step)) / (2 * step), rtol=1e-6)


def test_linear_in_the_tangent() -> None:
    def f(x: Any) -> Any:
        return np.cumprod(x), np.linalg.norm(x)

    u, v = T, np.array([0.3, -0.2, 0.9])
    left = jvp(f, (X,), (2.0 * u - 3.0 * v,))[1]
    for a, b, c in zip(left, jvp(f, (X,), (u,))[1], jvp(f, (X,), (v,))[1], strict=True):
        np.testing.assert_allclose(a, 2.0 * b - 3.0 * c)


def test_forward_agrees_with_reverse(rng: np.random.Generator) -> None:
    w = [rng.standard_normal((3, 4)), rng.standard_normal((4, 2))]
    x = rng.standard_normal((5, 3))

    def f(w: Any, x: Any) -> Any:
        return np.mean(np.logaddexp(0.0, np.tanh(x @ w[0]) @ w[1]) ** 2)

    direction = [rng.standard_normal(a.shape) for a in w]
    t = jvp(f, (w, x), (direction, np.zeros_like(x)))[1]
    g = grad(f)(w, x)
    np.testing.assert_allclose(t, sum(np.sum(a * b) for a, b in zip(g, direction, strict=True)))


def test_a_function_that_keeps_its_tracers_to_itself() -> None:
    """Inner values that are recorded nowhere leave no trace in the result."""
    cache: dict[str, Any] = {}

    def f(x: Any) -> Any:
        cache["y"] = np.exp(x)
        return cache.pop("y") * 2

    np.testing.assert_allclose(jvp(f, (X,), (T,))[1], 2 * np.exp(X) * T)
    np.testing.assert_allclose(vjp(f, X)[1](T)[0], 2 * np.exp(X) * T)


# --------------------------------------------------------------------------------------------------------------- jet


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit])
def test_jet_of_powers_and_of_exponentials(scaled: bool, wrap: Any) -> None:
    """Along x(t) = 2 + 3 t: derivatives of x(t)**4 and of exp(x(t))."""
    jet = fg.experimental.jet.jet
    run = wrap(lambda x: jet(lambda x: {"a": x**4, "b": np.exp(x)}, (x,), ((3.0, 0.0, 0.0, 0.0),), scaled))
    out, found = run(2.0)
    scales = [1 if scaled else math.factorial(k) for k in range(1, 5)]
    powers = [math.perm(4, k) * 2.0 ** (4 - k) * 3.0**k / s for k, s in zip(range(1, 5), scales, strict=True)]
    np.testing.assert_allclose(found["a"], powers, rtol=1e-12)
    np.testing.assert_allclose(found["b"], [3.0**k * np.exp(2.0) / s for k, s in zip(range(1, 5), scales, strict=True)])
    np.testing.assert_allclose([out["a"], out["b"]], [16.0, np.exp(2.0)])


def test_jet_of_arrays_along_curves() -> None:
    jet = fg.experimental.jet.jet
    x, y = np.array([0.3, 1.2], np.float32), np.array([1.0, 2.0], np.float32)
    out, (first, second) = jet(lambda x, y: x * y, (x, y), ((y, x), (x, y)))
    assert out.dtype == first.dtype == second.dtype == np.float32
    np.testing.assert_allclose(first, y * y + x * x, rtol=1e-6)
    np.testing.assert_allclose(second, x * y + 2 * x * y + x * y, rtol=1e-6)
    assert jet(np.sin, (1.0,), ((),)) == (np.sin(1.0), [])
    for arguments in (((1.0, 2.0), ((1.0,), (1.0, 2.0))), ((1.0,), ()), (("a",), ((1.0,),)), ((1.0,), (("a",),))):
        with pytest.raises(ValueError, match="jet: "):
            jet(np.sin, *arguments)
