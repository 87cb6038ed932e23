"""Linear functions and dense derivatives: `linearize`, `linear_transpose`, `jacfwd`, `jacrev`, `hessian`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import PROGRAMS, Program

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.ops.rules import PRIMITIVES

SMOOTH = [n for n, p in PROGRAMS.items() if p.forward]


def _slopes(f: Callable[[Any], Any], v: np.ndarray) -> np.ndarray:
    """The Jacobian of a function of vectors by differences of sixth order, a column per input."""
    h, weights = 4e-3, {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    columns = [sum(c * (f(v + k * h * e) - f(v - k * h * e)) for k, c in weights.items()) / h for e in np.eye(len(v))]
    return np.stack(columns, -1)


# ----------------------------------------------------------------------------------------------------- linearize


@pytest.mark.parametrize("name", SMOOTH)
def test_linearize_of_programs(name: str, rng: np.random.Generator) -> None:
    f, v = PROGRAMS[name].vector()
    out, push = fg.linearize(f, v)
    np.testing.assert_array_equal(out, f(v))
    ts = rng.normal(size=(3, len(v)))
    for t in ts:
        np.testing.assert_allclose(push(t), fg.jvp(f, (v,), (t,))[1], rtol=1e-11, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(push(2 * ts[0] - 3 * ts[1]), 2 * push(ts[0]) - 3 * push(ts[1]), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(fg.vmap(push)(ts), np.stack([push(t) for t in ts]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fg.jit(push)(ts[0]), push(ts[0]), rtol=1e-12)
    (back,) = fg.linear_transpose(push, v)(out)
    np.testing.assert_allclose(np.dot(back, ts[0]), np.dot(out, push(ts[0])), rtol=1e-10, atol=1e-12, err_msg=name)


def test_linearize_evaluates_the_function_once() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return np.sin(x) * x

    _, push = fg.linearize(f, np.ones(3))
    for _ in range(3):
        push(np.ones(3))
    fg.vmap(push)(np.eye(3))
    assert len(calls) == 1


def test_linear_program_as_text() -> None:
    _, push = fg.linearize(lambda x, y: {"a": np.sin(x) * y}, np.ones(3), 2.0)
    assert repr(push) == (
        "linear function of\n"
        "{ lambda a:f64[3] b:f64[3] ; c:f64[3] d:float. let\n"
        "    e:f64[3] = mul c a\n"
        "    f:f64[3] = mul e 2.0\n"
        "    g:f64[3] = mul d b\n"
        "    h:f64[3] = add f g\n"
        "  in (h,) }"
    )


def test_linearize_at_integers_and_constants() -> None:
    out, push = fg.linearize(lambda x: (x * 2, np.argmax(x), 3.0, x.astype(np.float32)), np.arange(3.0))
    a, b, c, d = push(np.ones(3))
    np.testing.assert_array_equal(a, np.full(3, 2.0))
    assert b.dtype == fg.float0 and c == 0.0 and d.dtype == np.float32
    assert out[1] == 2
    with pytest.raises(TypeError, match=r"expected a tangent f64\[3\], got f64\[2\]"):
        push(np.ones(2))
    with pytest.raises(TypeError, match="structure of the primals"):
        push(np.ones(3), np.ones(3))
    product, along = fg.linearize(lambda n, x: n * x, 3, 2.0)
    assert product == 6.0 and along(np.zeros((), fg.float0), 1.0) == 3.0


def test_linearize_with_aux_and_python_scalars() -> None:
    out, push, aux = fg.linearize(lambda x: (x * x, {"x": x, "name": "square"}), 3.0, has_aux=True)
    assert (out, push(1.0), aux) == (9.0, 6.0, {"x": 3.0, "name": "square"})


def test_linearize_inside_other_transformations(rng: np.random.Generator) -> None:
    x, t = rng.normal(size=(2, 3))

    def push(x: Any, t: Any) -> Any:
        return fg.linearize(lambda a: np.sin(a) * a, x)[1](t)

    want = t * (np.cos(x) * x + np.sin(x))
    np.testing.assert_allclose(fg.jit(push)(x, t), want)
    np.testing.assert_allclose(fg.vmap(push)(x, t), want)
    np.testing.assert_allclose(fg.vmap(push, (None, 0))(x, np.stack([t, 2 * t])), [want, 2 * want])
    slope = t * (2 * np.cos(x) - x * np.sin(x))
    np.testing.assert_allclose(fg.grad(lambda a: np.sum(push(a, t)))(x), slope)
    np.testing.assert_allclose(fg.jvp(lambda a: push(a, t), (x,), (np.ones(3),))[1], slope)


def test_linear_function_keeps_its_point() -> None:
    x = np.ones(2)
    _, push = fg.linearize(lambda a: a * a, x)
    x[:] = 100.0
    np.testing.assert_array_equal(push(np.ones(2)), [2.0, 2.0])


# ---------------------------------------------------------------------------------------------- linear_transpose

W = np.arange(6.0).reshape(2, 3)
LINEAR: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "matmul": (lambda x: W @ x, (np.ones(3),)),
    "two": (lambda x, y: {"a": W @ x + 2 * y, "b": y[0]}, (np.ones(3), np.ones(2))),
    "pytree": (lambda d: [np.cumsum(d["a"]), d["b"][0] * W], ({"a": np.ones(3), "b": (np.ones(()), np.ones(2))},)),
    "indexing": (lambda x: (x[::-2], x[np.array([0, 0, 3])], np.pad(x, 1)), (np.ones(4),)),
    "complex": (lambda z: (1 + 2j) * z[::-1], (np.ones(2, complex),)),
    "fft-like": (lambda z: np.exp(-2j * np.pi * np.outer(np.arange(4), np.arange(4)) / 4) @ z, (np.ones(4, complex),)),
    "jit and scan": (fg.jit(lambda x: lax.scan(lambda c, a: (c + 2 * a, c), x[0], x)), (np.ones(3),)),
    "vmap": (lambda x: fg.vmap(lambda row: np.sum(row) - row[0])(x), (np.ones((2, 3)),)),
    "equations": (lambda b: lax.linalg.tridiagonal_solve(W[0], W[0] + 4, W[0], b), (np.ones((3, 2)),)),
    "single precision": (lambda x: np.float32(2) * x, (np.ones(3, np.float32),)),
}


def _random_like(rng: np.random.Generator, x: Any) -> Any:
    def draw(a: Any) -> Any:
        r = rng.normal(size=np.shape(a))
        return (r + 1j * rng.normal(size=np.shape(a)) if a.dtype.kind == "c" else r).astype(a.dtype)

    return tree.map(draw, x)


@pytest.mark.parametrize("name", LINEAR)
def test_linear_transpose_by_dot_products(name: str, rng: np.random.Generator) -> None:
    fun, like = LINEAR[name]
    x = _random_like(rng, like)
    y = fun(*x)
    ct = _random_like(rng, y)
    structs = tree.map(lambda a: fg.ShapeDtypeStruct(a.shape, a.dtype), like)
    for primals in (like, structs):
        back = fg.linear_transpose(fun, *primals)(ct)
        left = sum(np.sum(a * b) for a, b in zip(tree.leaves(ct), tree.leaves(y), strict=True))
        right = sum(np.sum(a * b) for a, b in zip(tree.leaves(back), tree.leaves(x), strict=True))
        np.testing.assert_allclose(left, right, rtol=1e-5 if name == "single precision" else 1e-12)
        for b, a in zip(tree.leaves(back), tree.leaves(like), strict=True):
            assert b.shape == a.shape and b.dtype == a.dtype


def test_transpose_of_transpose(rng: np.random.Generator) -> None:
    f = LINEAR["matmul"][0]
    x = rng.normal(size=3)
    back = fg.linear_transpose(lambda c: fg.linear_transpose(f, x)(c)[0], np.ones(2))
    np.testing.assert_allclose(back(x)[0], W @ x)
    np.testing.assert_allclose(fg.vmap(fg.linear_transpose(f, x))(np.eye(2))[0], W)


# ----------------------------------------------------------------------------------------------------- Jacobians


def _scalars_and_vectors(p: Any, x: Any, z: Any) -> Any:
    return {"u": [p["a"] * x[0], np.sum(np.sin(p["a"]))], "v": np.outer(x, p["b"]) * z, "w": (z * z,)}


def test_jacobians_of_pytrees(rng: np.random.Generator) -> None:
    args = ({"a": rng.normal(size=2), "b": rng.normal(size=(3,))}, rng.normal(size=2), np.array(0.7))
    for nums in (0, 1, 2, -1, (0,), (1, 0), (0, 1, 2)):
        forward, backward = fg.jacfwd(_scalars_and_vectors, nums)(*args), fg.jacrev(_scalars_and_vectors, nums)(*args)
        assert tree.structure(forward) == tree.structure(backward)
        for a, b in zip(tree.leaves(forward), tree.leaves(backward), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
    every = fg.jacfwd(_scalars_and_vectors, (0, 1, 2))(*args)
    assert every["v"][0]["b"].shape == (2, 3, 3) and every["u"][0][1].shape == (2, 2) and every["w"][0][2].shape == ()
    for i, x in enumerate(args):
        for path, leaf in tree.leaves_with_path(x):
            _check_block(args, i, path, leaf, every)


def _check_block(args: Any, i: int, path: Any, leaf: np.ndarray, every: Any) -> None:
    key = path[0].key if path else None

    def moved(v: np.ndarray) -> np.ndarray:
        new = v.reshape(leaf.shape)
        given = list(args)
        given[i] = {**args[i], key: new} if key is not None else new
        return np.concatenate([np.ravel(y) for y in tree.leaves(_scalars_and_vectors(*given))])

    blocks = [b[i] if key is None else b[i][key] for b in (*every["u"], every["v"], *every["w"])]
    have = np.concatenate([np.reshape(b, (-1, leaf.size)) for b in blocks])
    np.testing.assert_allclose(have, _slopes(moved, np.ravel(leaf)), rtol=1e-9, atol=1e-10, err_msg=f"{i}{key}")


@pytest.mark.parametrize("name", PROGRAMS)
def test_jacobians_of_programs(name: str) -> None:
    program: Program = PROGRAMS[name]
    f, v = program.vector()
    want = _slopes(f, v)
    np.testing.assert_allclose(fg.jacrev(f)(v), want, rtol=1e-8, atol=1e-9, err_msg=f"jacrev of {name}")
    if program.forward:
        np.testing.assert_allclose(fg.jacfwd(f)(v), want, rtol=1e-8, atol=1e-9, err_msg=f"jacfwd of {name}")


def test_jacobians_with_aux(rng: np.random.Generator) -> None:
    x = rng.normal(size=3)
    for jacobian in (fg.jacfwd, fg.jacrev):
        found, aux = jacobian(lambda x: (x * x, {"x": x, "name": "square"}), has_aux=True)(x)
        np.testing.assert_allclose(found, np.diag(2 * x))
        np.testing.assert_array_equal(aux["x"], x)
        assert aux["name"] == "square"
    found, aux = fg.hessian(lambda x: (np.sum(x**3), x[0]), has_aux=True)(x)
    np.testing.assert_allclose(found, np.diag(6 * x))
    assert aux == x[0]


def test_jacobians_of_python_scalars_and_of_nothing() -> None:
    for jacobian in (fg.jacfwd, fg.jacrev):
        assert jacobian(lambda x: x**2)(3.0) == 6.0
        assert jacobian(fg.jit(lambda x: x**2))(3.0) == 6.0
        assert jacobian(lambda x: np.outer(x, np.ones(2)))(np.zeros(0)).shape == (0, 2, 0)
        assert jacobian(lambda x: np.zeros((0, 2)) * x)(np.ones(2)).shape == (0, 2, 2)
    assert fg.hessian(lambda x: x**3)(2.0) == 12.0


def test_jacobians_of_complex_functions() -> None:
    z = np.array([1j, 2.0])
    for jacobian in (fg.jacfwd, fg.jacrev):
        np.testing.assert_allclose(jacobian(lambda z: z**3, holomorphic=True)(z), np.diag(3 * z**2))
        with pytest.raises(TypeError, match="holomorphic"):
            jacobian(lambda z: z)(z)
        with pytest.raises(TypeError, match="must be complex"):
            jacobian(lambda z: z, holomorphic=True)(z.real)


def test_jacobians_by_integers() -> None:
    for jacobian in (fg.jacfwd, fg.jacrev):
        with pytest.raises(TypeError, match="integers have no derivative"):
            jacobian(lambda x: x * 2.0)(np.arange(3))
    by_n, by_x = fg.jacrev(lambda n, x: n * x, (0, 1), allow_int=True)(np.array(2), np.ones(3))
    assert by_n.dtype == fg.float0 and by_n.shape == (3,)
    np.testing.assert_array_equal(by_x, 2 * np.eye(3))


def test_jacobians_are_their_own() -> None:
    x = np.ones(2)
    first, second = fg.jacfwd(lambda a: (a, a))(x)
    first[:] = 5.0
    np.testing.assert_array_equal(second, np.eye(2))


# ------------------------------------------------------------------------------------------------------ Hessians


@pytest.mark.parametrize("name", SMOOTH)
def test_hessian_is_symmetric_and_is_a_loop_of_gradients(name: str) -> None:
    f, v = PROGRAMS[name].vector()

    def loss(v: Any) -> Any:
        return np.sum(np.sin(f(v)))

    gradient = fg.grad(loss)
    hessian = fg.hessian(loss)(v)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-10, err_msg=name)
    rows = [fg.grad(lambda v, i=i: gradient(v)[i])(v) for i in range(len(v))]
    np.testing.assert_allclose(hessian, np.stack(rows), rtol=1e-9, atol=1e-10, err_msg=name)
    columns = [fg.jvp(gradient, (v,), (e,))[1] for e in np.eye(len(v))]
    np.testing.assert_allclose(hessian, np.stack(columns, -1), rtol=1e-9, atol=1e-10, err_msg=name)


def test_hessian_of_pytrees(rng: np.random.Generator) -> None:
    p = {"a": rng.normal(size=2), "b": np.array(0.4)}
    found = fg.hessian(lambda p, x: np.sum(p["a"] ** 2 * p["b"] * x), (0, 1))(p, np.array(3.0))
    np.testing.assert_allclose(found[0]["a"][0]["a"], np.diag([6 * p["b"]] * 2))
    np.testing.assert_allclose(found[0]["a"][0]["b"], 6 * p["a"])
    np.testing.assert_allclose(found[0]["b"][1], np.sum(p["a"] ** 2))
    np.testing.assert_allclose(found[1][0]["a"], 2 * p["a"] * p["b"])
    np.testing.assert_allclose(found[1][1], 0.0)


SECOND = """
add sub mul div pow float_power max min fmax fmin atan2 hypot logaddexp logaddexp2 copysign neg pos abs fabs conj
square reciprocal sqrt cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh atanh
deg2rad rad2deg rem fmod select""".split()


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_of_elementwise_operations(name: str) -> None:
    """All ways to a second derivative agree, and agree with the difference of first ones."""
    two = PRIMITIVES[name].batch is not None and _operands(name) == 2

    def f(x: Any, y: Any) -> Any:
        if name == "select":
            return np.where(np.array([True, False, True]), x * y, x**2)
        bound = PRIMITIVES[name].bind(x, y) if two else PRIMITIVES[name].bind(x * y)
        return bound * bound * 0.5 + bound

    x, y = np.array([0.31, 0.52, 0.77]), np.array([0.93, 0.24, 0.61])
    s, t = (
        (np.array([0.3, -1.2, 0.7]), np.array([1.1, 0.4, -0.6])),
        (np.array([0.8, 0.1, -0.9]), np.array([-0.2, 0.9, 1.3])),
    )

    def along(direction: Any) -> Callable[..., Any]:
        return lambda *xs: fg.jvp(lambda *ys: np.sum(f(*ys)), xs, direction)[1]

    def dot(gradient: Any, direction: Any) -> Any:
        return sum(np.sum(g * d) for g, d in zip(gradient, direction, strict=True))

    gradient = fg.grad(lambda *xs: np.sum(f(*xs)), (0, 1))
    ways = {
        "jvp∘jvp": fg.jvp(along(s), (x, y), t)[1],
        "jvp∘grad": dot(fg.jvp(gradient, (x, y), t)[1], s),
        "grad∘jvp": dot(fg.grad(along(s), (0, 1))(x, y), t),
        "grad∘grad": dot(fg.grad(lambda *xs: dot(gradient(*xs), s), (0, 1))(x, y), t),
    }
    h, weights = 2e-3, {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    shifted = {k: along(s)(x + k * h * t[0], y + k * h * t[1]) for k in (-3, -2, -1, 1, 2, 3)}
    want = sum(c * (shifted[k] - shifted[-k]) for k, c in weights.items()) / h
    for way, have in ways.items():
        np.testing.assert_allclose(have, want, rtol=1e-7, atol=1e-7, err_msg=f"{way} of {name}")


def _operands(name: str) -> int:
    binary = "add sub mul div pow float_power max min fmax fmin atan2 hypot logaddexp logaddexp2 copysign rem fmod"
    return 2 if name in binary.split() else 1


def test_all_orders_of_modes_for_a_function_of_several_arguments(rng: np.random.Generator) -> None:
    x = rng.normal(size=3)

    def f(x: Any) -> Any:
        return np.sum(np.exp(x) * x[::-1])

    values = []
    for word in itertools.product((fg.jacfwd, fg.jacrev), repeat=3):
        g: Any = f
        for jacobian in word:
            g = jacobian(g)
        values.append(g(x))
    for v in values[1:]:
        np.testing.assert_allclose(v, values[0], rtol=1e-12, atol=1e-13)
