"""Linear algebra beyond NumPy's: `lax.linalg`, on LAPACK and without SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg as sl
from numpy.linalg import LinAlgError
from roundings import assert_same

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import DTypeError, InconclusiveRuleError, ShapeError, UnsupportedFunctionError
from funcgrad.ops import lapack
from funcgrad.test_util import check_grads

ll = lax.linalg
DTYPES = [np.float64, np.complex128]


def random(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def regular(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return (0.2 * random(*shape, dtype=dtype) + 2 * np.eye(*shape[-2:])).astype(dtype)


def hermitian(x: np.ndarray) -> np.ndarray:
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2


# ------------------------------------------------------------------------------------------ with and without SciPy


@pytest.fixture(params=["LAPACK", "NumPy"])
def routines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is underneath."""
    if request.param == "NumPy":
        monkeypatch.setattr(lapack, "routines", lambda: None)


@pytest.mark.usefixtures("routines")
@pytest.mark.parametrize("dtype", [np.float64, np.complex64])
@pytest.mark.parametrize("n", [0, 1, 3, 70])
def test_triangular_solve(n: int, dtype: Any) -> None:
    a, b = regular(n, n, dtype=dtype) * 0.5, random(2, n, 2, dtype=dtype)
    for lower, transposed, unit in np.ndindex(2, 2, 2):
        t = sl_triangle(a, lower, unit)
        t = t.T if transposed else t
        x = ll.triangular_solve(a, b, left_side=True, lower=bool(lower), transpose_a=bool(transposed),
                                unit_diagonal=bool(unit))  # fmt: skip
        assert (x.shape, x.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(t @ x, b, atol=2e-3 if dtype == np.complex64 else 1e-11)


def sl_triangle(a: np.ndarray, lower: Any, unit: Any) -> np.ndarray:
    if unit:
        a = a - np.diag(np.diag(a)) + np.eye(len(a), dtype=a.dtype)
    return np.tril(a) if lower else np.triu(a)


@pytest.mark.usefixtures("routines")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 5), (5, 3), (2, 3, 3), (70, 40)])
def test_lu(shape: tuple[int, ...], dtype: Any) -> None:
    a = random(*shape, dtype=dtype)
    factors, pivots, order = ll.lu(a)
    m, n = shape[-2:]
    k = min(m, n)
    low, up = np.tril(factors[..., :k], -1) + np.eye(m, k), np.triu(factors[..., :k, :])
    np.testing.assert_allclose(low @ up, np.take_along_axis(a, order[..., None].astype(int), -2), atol=1e-12)
    np.testing.assert_array_equal(ll.lu_pivots_to_permutation(pivots, m), order)
    assert pivots.dtype == order.dtype == np.int32
    if len(shape) == 2 and k:
        np.testing.assert_array_equal(pivots, sl.lu_factor(a)[1])


@pytest.mark.usefixtures("routines")
def test_tridiagonal_solve() -> None:
    for n in (1, 2, 5):
        low, d, up, b = random(n), random(3, n) + 4, random(n, seed=1), random(n, 2)
        x = ll.tridiagonal_solve(low, d, up, b)
        for y, diagonal in zip(x, d, strict=True):
            a = np.diag(diagonal) + np.diag(low[1:], -1) + np.diag(up[:-1], 1)
            np.testing.assert_allclose(a @ y, b, atol=1e-12)
    with pytest.raises(LinAlgError, match="tridiagonal_solve: Singular matrix"):
        ll.tridiagonal_solve(np.zeros(2), np.zeros(2), np.zeros(2), np.ones((2, 1)))
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        fg.make_ir(ll.tridiagonal_solve)(np.zeros(3), np.zeros(2), np.zeros(2), np.ones((2, 1)))


@pytest.mark.usefixtures("routines")
@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_are_put_in_lapacks_order(dtype: Any) -> None:
    for shape in ((4, 6), (6, 4), (3, 3), (2, 0)):
        a = random(*shape, dtype=dtype)
        q, r, order = ll.qr(a, pivoting=True, full_matrices=False)
        np.testing.assert_allclose(q @ r, a[:, order], atol=1e-13)
        if a.size:
            for x, y in zip((q, r, order), sl.qr(a, mode="economic", pivoting=True), strict=True):
                np.testing.assert_allclose(x, y, atol=1e-12)


def test_singular_triangles_are_nan_and_others_beside_them_are_not() -> None:
    a = np.stack([np.eye(2), np.diag([1.0, 0.0]), 2 * np.eye(2)])
    x = ll.triangular_solve(a, np.ones((3, 2, 1)), left_side=True)
    np.testing.assert_array_equal(x[:, :, 0], [[1, 1], [np.nan, np.nan], [0.5, 0.5]])


def test_what_is_not_read_does_not_matter() -> None:
    a = np.array([[np.nan, np.inf], [1.0, np.nan]])
    x = ll.triangular_solve(a, np.ones((2, 1)), left_side=True, lower=True, unit_diagonal=True)
    np.testing.assert_array_equal(x, [[1.0], [0.0]])
    g = fg.grad(
        lambda a: np.sum(ll.triangular_solve(a, np.ones((2, 1)), left_side=True, lower=True, unit_diagonal=True))
    )
    np.testing.assert_array_equal(g(a), [[0, 0], [-1, 0]])


def test_half_precision_is_refused() -> None:
    for a in (np.eye(2, dtype=np.float16),):
        with pytest.raises(DTypeError, match="float16"):
            ll.triangular_solve(a, a)
        with pytest.raises(DTypeError, match="float16"):
            ll.lu(a)


# ------------------------------------------------------------------------------------------------------ lax.linalg

# With the names of functions: values of one matrix against SciPy's, which have the conventions of LAPACK.
SAME: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "cholesky": (ll.cholesky, lambda a: sl.cholesky(hermitian(a), lower=True)),
    "cholesky, one triangle": (lambda a: ll.cholesky(a, symmetrize_input=False), lambda a: sl.cholesky(a, lower=True)),
    "eigh": (lambda a: ll.eigh(a)[1], lambda a: sl.eigvalsh(hermitian(a))),
    "eigh, upper": (
        lambda a: ll.eigh(a, lower=False, symmetrize_input=False)[1],
        lambda a: sl.eigvalsh(a, lower=False),
    ),
    "eig": (lambda a: ll.eig(a)[0], sl.eigvals),
    "svd": (ll.svd, sl.svd),
    "svd, values": (lambda a: ll.svd(a, compute_uv=False), sl.svdvals),
    "qr": (ll.qr, sl.qr),
    "schur": (ll.schur, sl.schur),
    "hessenberg": (lambda a: np.triu(ll.hessenberg(a)[0], -1), sl.hessenberg),
    "polar": (lambda a: ll.qdwh(a)[:2], sl.polar),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SAME)
def test_values_are_those_of_scipy(name: str, dtype: Any) -> None:
    own, theirs = SAME[name]
    a = regular(3, 3, dtype=dtype)
    for x, y in zip(fg.tree.leaves(own(a)), fg.tree.leaves(theirs(a)), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-12)
    for x, y in zip(fg.tree.leaves(fg.jit(own)(a)), fg.tree.leaves(own(a)), strict=True):
        assert_same(x, y)
    stack = np.stack([a, 2 * a.T + np.eye(3)])
    for x, y in zip(fg.tree.leaves(fg.vmap(own)(stack)), fg.tree.leaves(own(stack[1])), strict=True):
        np.testing.assert_allclose(x[1], y, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_reflections(dtype: Any) -> None:
    a = random(4, 4, dtype=dtype)
    packed, taus = ll.hessenberg(a)
    q = ll.householder_product(packed[1:, :-1], taus)
    _, want = sl.hessenberg(a, calc_q=True)
    np.testing.assert_allclose(q, want[1:, 1:], atol=1e-13)
    c = random(3, 2, dtype=dtype)
    np.testing.assert_allclose(ll.ormqr(packed[1:, :-1], taus, c), q @ c, atol=1e-13)
    np.testing.assert_allclose(ll.ormqr(packed[1:, :-1], taus, c.T, left=False, transpose=True), c.T @ np.conj(q).T)
    packed, d, e, taus = ll.tridiagonal(hermitian(a))
    q = sl.block_diag(1, ll.householder_product(packed[1:, :-1], taus))
    t = np.diag(d) + np.diag(e, -1) + np.diag(e, 1)
    np.testing.assert_allclose(q @ t @ np.conj(q).T, hermitian(a), atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_left_eigenvectors(dtype: Any) -> None:
    a = random(4, 4, dtype=dtype)
    w, left, right = ll.eig(a)
    np.testing.assert_allclose(np.conj(left).T @ a, w[:, None] * np.conj(left).T, atol=1e-12)
    np.testing.assert_allclose(a @ right, right * w, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(left, axis=0), 1)
    assert [len(ll.eig(a, compute_left_eigenvectors=i, compute_right_eigenvectors=j))
            for i in (True, False) for j in (True, False)] == [3, 2, 2, 1]  # fmt: skip


def test_updates_and_symmetric_products() -> None:
    r, w = np.triu(regular(3, 3)), random(3)
    new = ll.cholesky_update(r, w)
    np.testing.assert_allclose(new, np.linalg.cholesky(r.T @ r + np.outer(w, w)).T)
    a, c = random(3, 2), random(3, 3)
    have = ll.symmetric_product(a, c, alpha=2.0, beta=3.0)
    np.testing.assert_allclose(have, 2 * a @ a.T + 3 * (np.tril(c) + np.tril(c, -1).T))


def test_the_polar_factor_has_a_derivative_where_singular_values_are_equal() -> None:
    check_grads(lambda a: ll.qdwh(a)[:2], (2 * np.eye(3),), order=1)


def test_what_is_not_offered_says_so() -> None:
    a = np.eye(3)
    for call in (
        lambda: ll.eigh(a, subset_by_index=(0, 1)),
        lambda: ll.svd(a, subset_by_index=(0, 1)),
        lambda: ll.schur(a, sort_eig_vals=True),
        lambda: ll.qdwh(a, dynamic_shape=(2, 2)),
        lambda: ll.tridiagonal_solve(a[0], a[0], a[0], a, perturb_singular=True),
    ):
        with pytest.raises(UnsupportedFunctionError, match="not"):
            call()
    for fun in (lambda a: ll.schur(a)[0], lambda a: ll.hessenberg(a)[0], lambda a: ll.tridiagonal(a)[1]):
        with pytest.raises(InconclusiveRuleError, match="no derivative here, and it is not zero"):
            fg.grad(lambda a, fun=fun: np.sum(fun(a)))(a)
        with pytest.raises(InconclusiveRuleError, match="no derivative here"):
            fg.jvp(fun, (a,), (a,))
        assert np.isnan(fun(np.full((2, 2), np.nan))).all()
    with pytest.raises(ShapeError, match="fit"):
        ll.householder_product(np.ones((3, 2)), np.ones(3))
    with pytest.raises(TypeError, match="integers"):
        ll.lu_pivots_to_permutation(np.ones(2), 3)
