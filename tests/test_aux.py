"""Auxiliary data, several arguments and mixed dtypes, wherever a derivative is taken; branches that nobody chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

X = np.array([0.5, 1.5, 2.5])
JACOBIANS: dict[str, Callable[..., Any]] = {"jacfwd": fg.jacfwd, "jacrev": fg.jacrev}


def _f(x: Any, y: Any) -> Any:
    return {"o": x**2 * y}, {"x": x, "twice": 2 * y, "n": 3, "label": "text", "none": None}


def _check_aux(aux: Any, x: Any = X, y: Any = X) -> None:
    assert set(aux) == {"x", "twice", "n", "label", "none"}
    np.testing.assert_array_equal(aux["x"], x)
    np.testing.assert_array_equal(aux["twice"], 2 * y)
    assert aux["n"] == 3 and aux["label"] == "text" and aux["none"] is None
    assert isinstance(aux["x"], np.ndarray) and aux["x"] is not x


def test_vjp_jvp_and_linearize() -> None:
    out, pullback, aux = fg.vjp(_f, X, X, has_aux=True)
    np.testing.assert_array_equal(pullback(out)[0], 2 * X * X * out["o"])
    _check_aux(aux)
    out, tangent, aux = fg.jvp(_f, (X, X), (X, X), has_aux=True)
    np.testing.assert_allclose(tangent["o"], 3 * X**3)
    _check_aux(aux)
    out, push, aux = fg.linearize(_f, X, X, has_aux=True)
    np.testing.assert_allclose(push(X, X)["o"], 3 * X**3)
    _check_aux(aux)
    aux["x"][:] = 0.0
    np.testing.assert_allclose(push(X, X)["o"], 3 * X**3)


def test_grad_and_value_and_grad() -> None:
    loss = lambda x, y: (np.sum(_f(x, y)[0]["o"]), _f(x, y)[1])  # noqa: E731
    (value, aux), (by_x, by_y) = fg.value_and_grad(loss, (0, 1), has_aux=True)(X, X)
    _check_aux(aux)
    np.testing.assert_allclose(value, np.sum(X**3))
    np.testing.assert_allclose([by_x, by_y], [2 * X * X, X**2])
    by_y, aux = fg.grad(loss, argnums=1, has_aux=True)(X, X)
    _check_aux(aux)
    np.testing.assert_allclose(by_y, X**2)


@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobians(name: str) -> None:
    jacobian = JACOBIANS[name]
    found, aux = jacobian(_f, has_aux=True)(X, X)
    np.testing.assert_allclose(found["o"], np.diag(2 * X * X))
    _check_aux(aux)
    for argnums in ((0, 1), [0, 1], (-2, -1)):
        (found, aux), plain = (
            jacobian(_f, argnums, has_aux=True)(X, X),
            jacobian(lambda x, y: _f(x, y)[0], argnums)(X, X),
        )
        assert isinstance(found["o"], tuple)
        for block, same, want in zip(found["o"], plain["o"], (2 * X * X, X**2), strict=True):
            np.testing.assert_allclose(block, np.diag(want))
            np.testing.assert_array_equal(block, same)
        _check_aux(aux)
    found, _ = jacobian(_f, np.int64(1), has_aux=True)(X, X)
    np.testing.assert_allclose(found["o"], np.diag(X**2))
    arrays = lambda x: (x**2, {"x": x})  # noqa: E731
    found, aux = fg.jit(jacobian(arrays, has_aux=True))(X)
    np.testing.assert_allclose(found, np.diag(2 * X))
    np.testing.assert_array_equal(aux["x"], X)
    found, aux = fg.vmap(jacobian(arrays, has_aux=True))(np.stack([X, 2 * X]))
    np.testing.assert_allclose(found[1], np.diag(4 * X))
    np.testing.assert_array_equal(aux["x"], [X, 2 * X])


def test_hessian() -> None:
    f = lambda x, y: (np.sum(x**2 * y), {"x": x, "label": "text"})  # noqa: E731
    found, aux = fg.hessian(f, has_aux=True)(X, X)
    np.testing.assert_allclose(found, np.diag(2 * X))
    np.testing.assert_array_equal(aux["x"], X)
    assert aux["label"] == "text"
    blocks, aux = fg.hessian(f, (0, 1), has_aux=True)(X, X)
    np.testing.assert_allclose(blocks[0][0], np.diag(2 * X))
    np.testing.assert_allclose(blocks[0][1], np.diag(2 * X))
    np.testing.assert_allclose(blocks[1][1], np.zeros((3, 3)))
    z = X + 1j
    found, aux = fg.hessian(lambda z: (np.sum(z**3), z), has_aux=True, holomorphic=True)(z)
    np.testing.assert_allclose(found, np.diag(6 * z))
    np.testing.assert_array_equal(aux, z)


@pytest.mark.parametrize(
    "take",
    [
        lambda f: fg.vjp(f, X, has_aux=True),
        lambda f: fg.jvp(f, (X,), (X,), has_aux=True),
        lambda f: fg.linearize(f, X, has_aux=True),
        lambda f: fg.grad(f, has_aux=True)(X),
        lambda f: fg.jacfwd(f, has_aux=True)(X),
        lambda f: fg.jacrev(f, has_aux=True)(X),
        lambda f: fg.hessian(f, has_aux=True)(X),
    ],
)
def test_no_pair(take: Any) -> None:
    with pytest.raises(TypeError, match=r"must return a pair \(output, aux\), got f64\[3\]"):
        take(lambda x: x * 2)
    with pytest.raises(TypeError, match=r"must return a pair \(output, aux\), got a tuple of 3"):
        take(lambda x: (x, x, x))


# ------------------------------------------------------------------------------------------------------------- dtypes


@pytest.mark.parametrize("jacobian", [fg.jacfwd, fg.jacrev, fg.hessian])
@pytest.mark.parametrize(
    ("dtype", "out", "want"),
    [("f", "d", "d"), ("d", "f", "d"), ("f", "f", "f"), ("e", "f", "f"), ("d", "g", "g")],
)
def test_dtype_of_a_quotient(jacobian: Any, dtype: str, out: str, want: str) -> None:
    """Forward and reverse mode agree: on the dtype that NumPy gives to a quotient of differences."""
    f = lambda x: (x * x).astype(np.dtype(out))  # noqa: E731
    found = jacobian(f)(X.astype(dtype))
    assert found.dtype == np.dtype(want) == (f(X.astype(dtype)) / X.astype(dtype)).dtype
    np.testing.assert_allclose(fg.jacrev(f)(X.astype(dtype)), np.diag(2 * X), rtol=1e-2)


@pytest.mark.parametrize("jacobian", JACOBIANS.values())
def test_dtypes_of_several_arguments(jacobian: Any) -> None:
    single = X.astype(np.float32)
    blocks = jacobian(lambda p: {"s": p["a"] * 2, "d": p["a"] * p["b"]})({"a": single, "b": X})
    assert blocks["s"]["a"].dtype == np.float32 and blocks["s"]["b"].dtype == np.float64
    assert blocks["d"]["a"].dtype == np.float64 and blocks["d"]["b"].dtype == np.float64
    assert jacobian(lambda x: single * x)(2.0).dtype == np.float32  # a Python float gives way


def test_complex_arguments_and_outputs() -> None:
    """Real functions of complex arguments in reverse mode, complex functions of real ones in forward mode."""
    z = X + 2j
    np.testing.assert_allclose(fg.jacrev(lambda z: np.abs(z) ** 2)(z), np.diag(2 * np.conj(z)))
    found = fg.jacfwd(lambda x: x * (1 + 2j))(X.astype(np.float32))
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, (1 + 2j) * np.eye(3), rtol=1e-6)
    for jacobian in JACOBIANS.values():
        found = jacobian(lambda z: z**2, holomorphic=True)(z.astype(np.complex64))
        assert found.dtype == np.complex64
        np.testing.assert_allclose(found, np.diag(2 * z), rtol=1e-6)
        with pytest.raises(TypeError, match=r"holomorphic=True: argument \[0\] must be complex, got f64\[3\]"):
            jacobian(lambda z: z**2, holomorphic=True)(X)
        with pytest.raises(TypeError, match=r"holomorphic=True: output must be complex, got f64\[3\]"):
            jacobian(np.abs, holomorphic=True)(z)
    with pytest.raises(TypeError, match=r"jacfwd: argument \[0\] is c128\[3\]; pass holomorphic=True .* use jacrev"):
        fg.jacfwd(np.abs)(z)
    with pytest.raises(TypeError, match=r"jacrev: output is c128\[3\]; pass holomorphic=True .* use jacfwd"):
        fg.jacrev(lambda x: x * 1j)(X)


@pytest.mark.parametrize("name", JACOBIANS)
def test_integers(name: str) -> None:
    jacobian = JACOBIANS[name]
    with pytest.raises(TypeError, match=rf"{name}: argument \[0\] is i64\[3\], and integers have no derivative"):
        jacobian(lambda n: n * 2.0)(np.arange(3))
    with pytest.raises(TypeError, match=rf"{name}: output\['n'\] is i64\[3\], and integers have no derivative"):
        jacobian(lambda x: {"x": x, "n": x.astype(int)})(X)
    if name == "jacrev":
        found = jacobian(lambda n: n * 2.0, allow_int=True)(np.arange(3))
        assert found.dtype == fg.float0 and found.shape == (3, 3)


# ------------------------------------------------------------------------------------- branches that nobody chose


def _root(x: Any) -> Any:
    return lax.cond(x > 0, lambda x: np.log(x) + 1 / x, lambda x: 2.0 * x, x)


def _pick(x: Any) -> Any:
    return lax.switch(np.where(x > 0, 1, 0), [lambda x: 2.0 * x, lambda x: np.log(x) + 1 / x], x)


@pytest.mark.parametrize("f", [_root, _pick])
def test_branches_of_a_select_do_not_warn(f: Any) -> None:
    """All branches run for every example; the faults of those that were not chosen are silent."""
    xs = np.array([-1.0, 2.0])
    want, slope = [-2.0, np.log(2.0) + 0.5], [2.0, 0.25]
    for wrap in (lambda g: g, fg.jit, fg.checkpoint):
        np.testing.assert_allclose(wrap(fg.vmap(f))(xs), want)
        np.testing.assert_allclose(fg.vmap(wrap(f))(xs), want)
        np.testing.assert_allclose(fg.vmap(fg.grad(wrap(f)))(xs), slope)
        np.testing.assert_allclose(wrap(fg.vmap(fg.grad(f)))(xs), slope)
        np.testing.assert_allclose(fg.grad(lambda x: np.sum(wrap(fg.vmap(f))(x)))(xs), slope)  # noqa: B023
        np.testing.assert_allclose(fg.jvp(wrap(fg.vmap(f)), (xs,), (np.ones(2),))[1], slope)
        np.testing.assert_allclose(fg.linearize(wrap(fg.vmap(f)), xs)[1](np.ones(2)), slope)
    np.testing.assert_allclose(np.diagonal(fg.hessian(lambda x: np.sum(fg.vmap(f)(x)))(xs)), [0.0, -0.25 + 0.25])
    with pytest.warns(RuntimeWarning, match="divide by zero"):  # elsewhere faults are reported as ever
        fg.vmap(lambda x: lax.cond(x > 0, np.sin, np.cos, x) / (x * 0.0))(xs)
