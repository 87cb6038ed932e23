"""`grad`, `value_and_grad`, `vjp` and `jvp` over any argument and any pytree."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from funcgrad import Tracer, float0, grad, jvp, lax, tree, tree_util, value_and_grad, vjp


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

    with pytest.raises(TypeError, match=r"argument 1 \(n\) is int.*integers"):
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
    with pytest.raises(TypeError, match=r"argument 0 \(p\)\['w'\]\[1\]"):
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


# ------------------------------------------------------------------------------------------- which arguments, exactly


def test_argnums_of_every_kind() -> None:
    def f(x: Any, y: Any) -> Any:
        return x * y

    assert grad(f, np.int64(1))(2.0, 3.0) == 2.0  # type: ignore[arg-type]
    assert grad(f, (np.int64(1), -2))(2.0, 3.0) == (2.0, 3.0)  # type: ignore[arg-type]
    assert grad(f, ())(2.0, 3.0) == ()
    assert grad(f, (1,))(2.0, 3.0) == (2.0,)
    for bad in (None, 1.0, "x", (0, 1.5), (0, "y")):
        with pytest.raises(TypeError, match="argnums"):
            grad(f, bad)(2.0, 3.0)  # type: ignore[arg-type]
    for bad in (2, -3, (0, 2)):
        with pytest.raises(TypeError, match=r"argnums=.*2 positional arguments"):
            grad(f, bad)(2.0, 3.0)


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2)])
def test_an_argument_named_twice(argnums: tuple[int, int]) -> None:
    """Once is meant: an answer that leaves one of them out would be wrong without a word."""
    with pytest.raises((TypeError, ValueError), match="argnums"):
        grad(lambda x, y: x * y, argnums)(2.0, 3.0)


def test_functions_of_every_kind() -> None:
    class Cube:
        def __call__(self, x: Any) -> Any:
            return x**3

        def method(self, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def static(x: Any) -> Any:
            return 5 * x

    assert grad(Cube())(2.0) == 12.0
    assert grad(Cube().method)(2.0) == 2.0
    assert grad(Cube.static)(2.0) == 5.0
    assert grad(partial(lambda a, x: a * x, 3.0))(2.0) == 3.0
    assert grad(partial(lambda x, a: a * x, a=3.0))(2.0) == 3.0
    assert grad(np.sin)(0.0) == 1.0
    assert grad(abs)(-2.0) == -1.0
    assert grad(pow)(2.0, 3) == 12.0
    assert grad(sum)([1.0, 2.0]) == [1.0, 1.0]
    np.testing.assert_array_equal(grad(np.sum)(np.ones(3)), np.ones(3))


def test_the_name_and_the_docstring_stay() -> None:
    def loss(x: Any) -> Any:
        """The loss."""
        return x

    for made in (grad(loss), value_and_grad(loss)):
        assert (made.__name__, made.__doc__, made.__wrapped__) == ("loss", "The loss.", loss)  # type: ignore[attr-defined]


def test_arguments_that_are_not_differentiated_pass_as_they_are() -> None:
    marker, seen = object(), []

    def f(x: Any, how: Any, *rest: Any, key: Any = None, **more: Any) -> Any:
        seen.append((how, rest, key, more))
        return x

    assert grad(f)(1.0, marker, "a", 3, key=marker, other=None) == 1.0
    assert seen == [(marker, ("a", 3), marker, {"other": None})]
    n = np.arange(3)
    grad(lambda x, n: (x, seen.append(n))[0])(1.0, n)
    assert seen[-1] is n


def test_value_and_grad_gives_the_value_that_the_function_gives() -> None:
    for x in (2.0, np.float64(2.0), np.float32(2.0), np.float16(2.0)):
        value, _ = value_and_grad(lambda x: np.tanh(x) * 3)(x)
        want = np.tanh(x) * 3
        assert type(value) is type(want) and value == want
    for f in (lambda x: x * 2, lambda x: -x, lambda x: x**3 / 7, lambda x: x % 3, lambda x: abs(x) // 1):
        value, _ = value_and_grad(f)(2.5)
        assert type(value) is float and value == f(2.5)
    for f in (np.sum, np.mean, np.max, lambda x: x[1], lambda x: x @ x, np.linalg.norm, lambda x: np.dot(x, x)):
        x = np.array([0.5, -1.5, 2.0], np.float32)
        value, _ = value_and_grad(f)(x)
        assert value == f(x) and value.dtype == f(x).dtype == np.float32


@pytest.mark.parametrize("f", [lambda x: x[0], lambda x: x.mean(), np.mean, np.median, lambda x: next(iter(x)), np.var])
def test_scalars_are_scalars(f: Any) -> None:
    """What is a NumPy scalar in plain NumPy is one here, and no 0-d view of something."""
    x = np.array([3.0, 1.0, 2.0])
    assert type(f(x)) is np.float64
    assert type(value_and_grad(f)(x)[0]) is np.float64


# --------------------------------------------------------------------------------------------------------- pytrees


@tree_util.register_dataclass
@dataclass
class Model:
    w: Any
    b: Any
    name: Any = field(default="m", metadata={"static": True})


def test_registered_dataclasses() -> None:
    g = grad(lambda m: np.sum(m.w) * m.b)(Model(np.ones(3), 2.0))
    assert isinstance(g, Model) and g.name == "m" and g.b == 3.0
    np.testing.assert_array_equal(g.w, np.full(3, 2.0))


def test_dictionaries_with_keys_of_any_kind() -> None:
    assert grad(lambda p: p[1] * p[2] * p[3])({3: 5.0, 1: 2.0, 2: 3.0}) == {1: 15.0, 2: 10.0, 3: 6.0}
    assert grad(lambda p: p[0, "a"] ** 2)({(0, "a"): 3.0, (1, "b"): 1.0}) == {(0, "a"): 6.0, (1, "b"): 0.0}
    ordered = OrderedDict([("z", 2.0), ("a", 3.0)])
    g = grad(lambda p: p["z"] * p["a"])(ordered)
    assert type(g) is OrderedDict and list(g.items()) == [("z", 3.0), ("a", 2.0)]


@pytest.mark.parametrize("empty", [(), [], {}, None, [{}, None, ()]])
def test_empty_pytrees(empty: Any) -> None:
    assert grad(lambda p: 1.0)(empty) == empty
    assert value_and_grad(lambda p, x: x, (0, 1))(empty, 2.0) == (2.0, (empty, 1.0))
    assert vjp(lambda p: p, empty)[1](empty) == (empty,)
    assert jvp(lambda p: p, (empty,), (empty,)) == (empty, empty)


def test_the_same_array_in_several_places() -> None:
    x = np.array([1.0, 2.0])
    g = grad(lambda p: np.sum(p["a"] * p["b"][0]))({"a": x, "b": [x, x]})
    np.testing.assert_array_equal(g["a"], x)
    np.testing.assert_array_equal(g["b"][0], x)
    np.testing.assert_array_equal(g["b"][1], [0.0, 0.0])
    np.testing.assert_array_equal(grad(lambda a, b: np.sum(a * a * b), (0, 1))(x, x)[0], 2 * x * x)


def test_changing_the_argument_inside_changes_nothing_outside() -> None:
    params = {"w": 2.0, "list": [1.0, 2.0]}

    def f(p: Any) -> Any:
        p["w"] = p["w"] * 3.0
        p["list"].append(p["w"])
        return sum(p["list"])

    assert grad(f)(params) == {"w": 3.0, "list": [1.0, 1.0]}
    assert params == {"w": 2.0, "list": [1.0, 2.0]}


def test_many_leaves() -> None:
    params = [float(i) for i in range(1000)]
    assert grad(lambda p: sum(x * x for x in p))(params) == [2.0 * i for i in range(1000)]


# ------------------------------------------------------------------------------------------------------ has_aux


def test_aux_is_anything() -> None:
    def f(x: Any) -> Any:
        return x**2, [x, np.sin(x), None, "text", {"n": 3, "f": f}]

    g, aux = grad(f, has_aux=True)(2.0)
    assert g == 4.0 and aux[0] == 2.0 and type(aux[0]) is float
    assert aux[1] == np.sin(2.0) and aux[2] is None and aux[3] == "text" and aux[4] == {"n": 3, "f": f}
    assert not any(isinstance(x, Tracer) for x in tree.leaves(aux))


def test_aux_of_nested_gradients() -> None:
    def f(x: Any) -> Any:
        g, aux = grad(lambda y: (y * y * x, y * x), has_aux=True)(x)
        return g, aux

    g, aux = grad(f, has_aux=True)(3.0)
    assert (g, aux) == (12.0, 9.0)


@pytest.mark.parametrize("result", [1.0, (1.0,), (1.0, 2.0, 3.0), np.ones(2), {"a": 1.0, "b": 2.0}])
def test_has_aux_needs_a_pair(result: Any) -> None:
    for run in (
        lambda f: grad(f, has_aux=True)(1.0),
        lambda f: vjp(f, 1.0, has_aux=True),
        lambda f: jvp(f, (1.0,), (1.0,), has_aux=True),
    ):
        with pytest.raises(TypeError, match="pair"):
            run(lambda x: result)
    with pytest.raises(TypeError, match="pair"):
        jvp(lambda x: x, (np.ones(2),), (np.ones(2),), has_aux=True)


# ------------------------------------------------------------------------------------------- what a function returns


@pytest.mark.parametrize(
    "f",
    [lambda x: x[:1], lambda x: x[:0], lambda x: [np.sum(x)], lambda x: {"a": np.sum(x)}, lambda x: (), lambda x: x],
)
def test_no_scalar(f: Any) -> None:
    with pytest.raises(TypeError, match="returns a scalar"):
        grad(f)(np.ones(3))


@pytest.mark.parametrize("result", ["text", object(), np.array("text"), np.array(None), NotImplemented])
def test_no_number(result: Any) -> None:
    with pytest.raises(TypeError, match="output"):
        grad(lambda x: result)(1.0)


@pytest.mark.parametrize("result", [3, True, np.int64(3), np.array(3), np.bool_(True)])
def test_no_floating_number(result: Any) -> None:
    with pytest.raises(TypeError, match="real floating output"):
        grad(lambda x: result)(1.0)


def test_constants() -> None:
    for c in (3.0, np.float32(3.0), np.array(3.0)):
        value, g = value_and_grad(lambda x, c=c: c)(np.ones(2, np.float32))
        assert value == 3.0 and g.dtype == np.float32
        np.testing.assert_array_equal(g, [0.0, 0.0])


def test_the_point_may_be_anything() -> None:
    assert np.isnan(grad(lambda x: x * np.nan)(2.0))
    assert grad(lambda x: x * np.inf)(1.0) == np.inf
    assert grad(lambda x: np.sum(x * x))(np.zeros((0, 3))).shape == (0, 3)
    np.testing.assert_array_equal(grad(lambda x: np.sum(x, where=x > 0))(np.array([1.0, -1.0])), [1.0, 0.0])
