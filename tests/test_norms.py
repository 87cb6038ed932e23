"""Norms, condition numbers and ranks of traced values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.linalg import LinAlgError

from funcgrad import eval_shape, grad, jvp, make_ir, vjp
from funcgrad.test_util import check_grads

la = np.linalg
DOUBLES = [np.float64, np.complex128]


def random(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def assert_same(have: Any, want: Any) -> None:
    assert (np.shape(have), np.asarray(have).dtype) == (np.shape(want), np.asarray(want).dtype)
    np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------- norms

VECTOR_ORDERS = [None, 2, 1, 0, 3, 2.5, -1, -2.5, 0.5, np.inf, -np.inf]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
NORMS = [
    *[(o, axis, (3, 4, 2)) for o in VECTOR_ORDERS for axis in (0, -1, (1,))],
    *[(o, None, (4,)) for o in VECTOR_ORDERS],
    *[(o, axis, (3, 4, 2)) for o in MATRIX_ORDERS for axis in ((0, 1), (-1, 0))],
    *[(o, None, (3, 4)) for o in MATRIX_ORDERS],
    (None, None, (3, 4, 2)),
    (None, None, ()),
]


@pytest.mark.parametrize("dtype", DOUBLES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("order", "axis", "shape"), NORMS)
def test_norm(order: Any, axis: Any, shape: tuple[int, ...], keepdims: bool, dtype: Any) -> None:
    def f(x: Any) -> Any:
        return la.norm(x, order, axis, keepdims)

    x = random(shape, dtype)
    assert_same(vjp(f, x)[0], f(x))
    assert eval_shape(f, x).shape == np.shape(f(x))
    if order != 0:
        check_grads(f, (x,), order=2)


@pytest.mark.parametrize("order", VECTOR_ORDERS)
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_vector_norm(order: Any, axis: Any) -> None:
    x = random((3, 4, 2))
    for keepdims in (False, True):
        options = {"axis": axis, "ord": order, "keepdims": keepdims}
        assert_same(vjp(lambda x, o=options: la.vector_norm(x, **o), x)[0], la.vector_norm(x, **options))


@pytest.mark.parametrize("order", MATRIX_ORDERS)
def test_matrix_norm(order: Any) -> None:
    x = random((3, 4, 2))
    for keepdims in (False, True):
        options = {"ord": order, "keepdims": keepdims}
        assert_same(vjp(lambda x, o=options: la.matrix_norm(x, **o), x)[0], la.matrix_norm(x, **options))


def test_norm_dtypes() -> None:
    for dtype in (np.float16, np.float32, np.complex64, np.int32, np.bool):
        x = np.array([3, 4]).astype(dtype)
        for order in (None, 1, 3, np.inf, 0):
            want = la.norm(x, order).dtype
            assert make_ir(lambda x, o=order: la.norm(x, o))(x).out_avals[0].dtype == want


@pytest.mark.parametrize("dtype", DOUBLES)
@pytest.mark.parametrize("order", [None, 1, 2, 3, 2.5, np.inf])
def test_norms_have_gradient_zero_at_zero(order: Any, dtype: Any) -> None:
    def f(x: Any) -> Any:
        return la.norm(x, order)

    zero = np.zeros(3, dtype)
    np.testing.assert_array_equal(grad(f)(zero), zero)
    assert jvp(f, (zero,), (np.ones_like(zero),))[1] == 0


def test_norm_has_no_second_derivative_at_zero() -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(jvp(grad(la.norm), (np.zeros(3),), (np.ones(3),))[1]).all()
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    have = grad(lambda x: np.sum(la.norm(x, axis=1)))(rows)
    np.testing.assert_allclose(have, [[0, 0], [0.6, 0.8]])


def test_matrix_norms_at_zero_have_a_subgradient() -> None:
    for order in ("fro", "nuc", 2):
        g = grad(lambda x, o=order: la.norm(x, o))(np.zeros((3, 2)))
        assert np.isfinite(g).all()


def test_norm_of_nothing() -> None:
    for order in (None, 1, np.inf):
        f = lambda x, o=order: la.norm(x, o)  # noqa: E731
        assert vjp(f, np.zeros(0))[0] == f(np.zeros(0)) == 0
    assert vjp(lambda x: la.norm(x, np.inf), np.zeros((0, 3)))[0] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: la.norm(x[0], "fro"), "'fro' is not defined for vectors"),
        (lambda x: la.norm(x, 3), "3 is not defined for matrices"),
        (lambda x: la.norm(x, axis=(0, 0)), "must differ"),
        (lambda x: la.norm(x[None], 2), "one or two axes"),
    ],
)
def test_norm_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vjp(call, random((3, 4)))


# ---------------------------------------------------------------------------- condition and rank


def test_matrix_rank_is_a_constant() -> None:
    a = random((4, 2)) @ random((2, 4), seed=1)
    for options in ({}, {"tol": 1e-3}, {"rtol": 1e-3}, {"rtol": 10.0}):
        have = vjp(lambda a, o=options: la.matrix_rank(a, **o), np.stack([a, a]))[0]
        np.testing.assert_array_equal(have, la.matrix_rank(np.stack([a, a]), **options))
    np.testing.assert_array_equal(grad(lambda a: la.matrix_rank(a) * 1.0)(a), np.zeros_like(a))
    assert vjp(la.matrix_rank, np.zeros(3))[0] == 0
    assert vjp(la.matrix_rank, np.ones(3))[0] == 1
    with pytest.raises(ValueError, match="both"):
        vjp(lambda a: la.matrix_rank(a, 1.0, rtol=1.0), a)


def test_cond_of_singular_and_empty_matrices() -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        assert vjp(la.cond, np.zeros((2, 2)))[0] == np.inf
    assert np.isnan(vjp(lambda a: la.cond(a, 1), np.array([[1.0, np.nan], [0, 1]]))[0])
    with pytest.raises(LinAlgError, match=r"\(0, 2\)"):
        vjp(la.cond, np.zeros((0, 2)))
