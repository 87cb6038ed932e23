"""`grad`, `value_and_grad`, `vjp` and `jvp` over any argument and any pytree."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from funcgrad import float0, grad, jvp, lax, tree, value_and_grad, vjp


class Layer(NamedTuple):
    w: Any
    b: Any


def test_argnums() -> None:
    def f(x: Any, y: Any, z: Any) -> Any:
        return x * y * z

    args = (2.0, 3.0, 4.0)
    assert grad(f)(*args) == 12.0
    assert grad(f, 1)(*args) == 8.0
    assert grad(f, -1)(*args) == 6.0
    assert grad(f, (2, 0))(*args) == (6.0, 12.0)
    assert grad(f, argnums=[1])(*args) == (8.0,)
    assert value_and_grad(f, (0, 1))(*args) == (24.0, (12.0, 8.0))
    with pytest.raises(TypeError, match="argnums=3"):
        grad(f, 3)(*args)
    with pytest.raises(TypeError, match="by position"):
        grad(lambda x: x)(x=1.0)


def test_keywords_are_passed_on() -> None:
    assert grad(lambda x, *, k: k * x**2)(3.0, k=2.0) == 12.0


def test_has_aux() -> None:
    def f(x: Any) -> Any:
        return x**2, {"double": 2 * x, "name": "f"}

    assert grad(f, has_aux=True)(3.0) == (6.0, {"double": 6.0, "name": "f"})
    assert value_and_grad(f, has_aux=True)(3.0) == ((9.0, {"double": 6.0, "name": "f"}), 6.0)
    with pytest.raises(TypeError, match="pair"):
        grad(lambda x: x, has_aux=True)(1.0)
    y, pullback, aux = vjp(f, 3.0, has_aux=True)
    assert (y, pullback(1.0), aux["double"]) == (9.0, (6.0,), 6.0)


def test_pytrees_keep_their_structure_shapes_and_dtypes() -> None:
    params = {
        "layers": [Layer(np.ones((2, 3), np.float32), np.zeros(3)), Layer(np.ones(3), 1.0)],
        "none": None,
        "scale": np.float32(2.0),
    }

    def f(p: Any) -> Any:
        h = np.tanh(np.ones(2, np.float32) @ p["layers"][0].w + p["layers"][0].b)
        return p["scale"] * (h @ p["layers"][1].w + p["layers"][1].b)

    grads = grad(f)(params)
    assert tree.structure(grads) == tree.structure(params)
    for p, g in zip(tree.leaves(params), tree.leaves(grads), strict=True):
        assert type(p) is type(g)
        assert np.shape(p) == np.shape(g)
        assert np.asarray(p).dtype == np.asarray(g).dtype


def test_nested_lists_of_floats() -> None:
    w = [[1.0, 2.0], [3.0, 4.0]]
    grads = grad(lambda w: sum(a * b for a, b in zip(w[0], w[1], strict=True)))(w)
    assert grads == [[3.0, 4.0], [1.0, 2.0]]
    assert all(type(g) is float for row in grads for g in row)


def test_what_does_not_matter_has_gradient_zero() -> None:
    grads = grad(lambda x, y: np.sum(x), (0, 1))(np.ones(2), {"a": np.ones((2, 0)), "b": 1.0, "c": np.ones(3, "f")})[1]
    assert grads["a"].shape == (2, 0) and grads["b"] == 0.0 and grads["c"].dtype == np.float32
    assert not grads["c"].any()
    assert grad(lambda x: 3.0)(1.0) == 0.0
    assert grad(lambda x: lax.stop_gradient(x) ** 2)(3.0) == 0.0


def test_outputs_that_are_inputs() -> None:
    assert value_and_grad(lambda x: x)(2.0) == (2.0, 1.0)
    y, pullback = vjp(lambda x, y: (x, x, y, 3.0), np.ones(2), 5.0)
    cts = pullback((np.full(2, 10.0), np.ones(2), 7.0, 1.0))
    np.testing.assert_array_equal(cts[0], [11.0, 11.0])
    assert cts[1] == 7.0 and y[3] == 3.0


def test_integers() -> None:
    def f(x: Any, n: Any) -> Any:
        return x * n

    with pytest.raises(TypeError, match=r"argument 1 is int.*integers"):
        grad(f, (0, 1))(2.0, 3)
    g = grad(f, (0, 1), allow_int=True)(2.0, np.array(3))
    assert g[0] == 3.0 and g[1].dtype == float0
    with pytest.raises(TypeError, match="i64"):
        grad(lambda x: np.argmax(x))(np.ones(3))
    _, pullback = vjp(lambda x: (np.argmax(x), x), np.ones(2))
    np.testing.assert_array_equal(pullback((np.zeros((), float0), np.ones(2)))[0], np.ones(2))
    _, dn = jvp(lambda x: np.argmax(x), (np.ones(3),), (np.ones(3),))
    assert dn.dtype == float0


def test_zero_dimensional_and_scalar_inputs() -> None:
    for x in (2.0, np.float64(2.0), np.array(2.0), np.float32(2.0), np.array(2.0, np.float32)):
        g = grad(lambda x: x * x)(x)
        assert g == 4.0 and type(g) is type(x)
        assert np.asarray(g).dtype == np.asarray(x).dtype


def test_bad_arguments() -> None:
    for bad, kind in (("text", "str"), (object(), "object"), (np.array(["a"]), "<U1"), (np.array([None]), "object")):
        with pytest.raises(TypeError, match=kind):
            grad(lambda x: 1.0)(bad)
    with pytest.raises(TypeError, match=r"grad\(f\)\(x\)"):
        grad(3.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"argument 0\['w'\]\[1\]"):
        grad(lambda p: 1.0)({"w": [1.0, "x"]})


def test_output_must_be_a_real_scalar() -> None:
    for fun, text in (
        (lambda x: x, r"f64\[3\]"),
        (lambda x: (np.sum(x), np.sum(x)), r"\(\*, \*\)"),
        (lambda x: None, "None"),
        (lambda x: np.sum(x) > 0, "bool"),
        (lambda x: np.sum(x) * 1j, "c128"),
    ):
        with pytest.raises(TypeError, match=text):
            grad(fun)(np.ones(3))


def test_pullback_checks_its_cotangent() -> None:
    _, pullback = vjp(lambda x: {"a": x, "b": np.sum(x)}, np.ones(3))
    with pytest.raises(TypeError, match="structure"):
        pullback(np.ones(3))
    with pytest.raises(TypeError, match=r"f64\[3\].*f64\[2\]"):
        pullback({"a": np.ones(2), "b": 1.0})


def test_jvp_checks_its_tangents() -> None:
    with pytest.raises(TypeError, match="structure"):
        jvp(lambda x: x, ({"a": 1.0},), (1.0,))
    with pytest.raises(TypeError, match=r"f64\[3\]"):
        jvp(lambda x: x, (np.ones(3),), (np.ones(2),))
    with pytest.raises(TypeError, match="tuples or lists"):
        jvp(lambda x: x, 1.0, 1.0)  # type: ignore[arg-type]


def test_python_control_flow() -> None:
    def newton(a: Any) -> Any:
        x = a
        while abs(x * x - a) > 1e-14:
            x = 0.5 * (x + a / x)
        return x

    np.testing.assert_allclose(grad(newton)(2.0), 0.5 / np.sqrt(2.0))
    np.testing.assert_allclose(grad(grad(newton))(2.0), -0.25 * 2.0**-1.5)

    def power(x: Any, n: int) -> Any:
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert grad(power)(2.0, 5) == 80.0
    assert grad(lambda x: -x if x < 0 else x**2)(-3.0) == -1.0


def test_cotangents_add_up_along_many_ways() -> None:
    def f(x: Any) -> Any:
        y = x
        for _ in range(20):
            y = y + x
        return np.sum(y * x)

    np.testing.assert_allclose(grad(f)(np.array([1.0, 2.0])), [42.0, 84.0])
