"""`funcgrad.scipy.linalg`: values are SciPy's under every transformation, derivatives are right to second order."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg as sl
from numpy.linalg import LinAlgError

import funcgrad as fg
import funcgrad.scipy
import funcgrad.scipy.linalg as fl
from funcgrad import grad, jit, jvp, tree, vmap
from funcgrad.errors import (
    ConcretizationTypeError,
    InconclusiveRuleError,
    ShapeError,
    TracerArrayConversionError,
    UnsupportedFunctionError,
)
from funcgrad.ops import lapack
from funcgrad.test_util import check_grads

DTYPES = [np.float64, np.complex128]
Make = Callable[..., np.ndarray]


def rnd(*shape: int, seed: int = 0) -> Make:
    def make(dtype: Any) -> np.ndarray:
        rng = np.random.default_rng([seed, *shape])
        x = rng.normal(size=shape)
        return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)

    return make


def reg(n: int, seed: int = 0) -> Make:
    """Matrices with separate eigenvalues, far from singular."""
    return lambda dtype: (0.3 * rnd(n, n, seed=seed)(dtype) + np.diag(2.0 + np.arange(n))).astype(dtype)


def real(make: Make) -> Make:
    return lambda dtype: make(np.float64)


# A function, the same of SciPy where it takes other arguments, and how to make arguments of a dtype. Options follow.
Row = tuple[str, tuple[Make, ...], dict[str, Any]]
ROWS: list[Row] = [
    ("solve", (reg(3), rnd(3)), {}),
    ("solve", (real(reg(3)), real(rnd(3, 2))), {"transposed": True}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "sym"}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "sym", "lower": True}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "her", "lower": True}),
    ("solve", (reg(3), rnd(3, 2)), {"assume_a": "pos"}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "pos", "lower": True}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "upper triangular"}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "lower triangular"}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "tridiagonal"}),
    ("solve", (reg(3), rnd(3)), {"assume_a": "diagonal"}),
    ("solve_triangular", (reg(3), rnd(3)), {}),
    ("solve_triangular", (reg(3), rnd(3, 2)), {"lower": True, "trans": "T"}),
    ("solve_triangular", (reg(3), rnd(3, 2)), {"unit_diagonal": True, "trans": 2}),
    ("inv", (reg(3),), {}),
    ("det", (reg(3),), {}),
    ("pinv", (rnd(4, 3),), {}),
    ("pinv", (rnd(4, 3),), {"atol": 1e-3, "rtol": 1e-3}),
    ("pinvh", (reg(3),), {}),
    ("pinvh", (reg(3),), {"lower": False}),
    ("norm", (rnd(3, 3),), {"ord": "nuc"}),
    ("cholesky", (reg(3),), {}),
    ("cholesky", (reg(3),), {"lower": True}),
    ("lu", (rnd(3, 3),), {}),
    ("lu", (rnd(4, 3),), {"permute_l": True}),
    ("lu", (rnd(3, 4),), {}),
    ("lu_factor", (rnd(3, 3),), {}),
    ("qr", (rnd(4, 3),), {}),
    ("qr", (rnd(4, 3),), {"mode": "economic"}),
    ("qr", (rnd(3, 4),), {"mode": "r"}),
    ("qr", (rnd(4, 3),), {"pivoting": True, "mode": "economic"}),
    ("qr_multiply", (rnd(4, 3), rnd(2, 4)), {}),
    ("qr_multiply", (rnd(4, 3), rnd(3, 2)), {"mode": "left"}),
    ("qr_multiply", (rnd(4, 3), rnd(4)), {"pivoting": True}),
    ("rq", (rnd(3, 4),), {}),
    ("rq", (rnd(3, 4),), {"mode": "economic"}),
    ("rq", (rnd(4, 3),), {"mode": "r"}),
    ("svdvals", (rnd(4, 3),), {}),
    ("svd", (rnd(4, 3),), {"compute_uv": False}),
    ("polar", (rnd(3, 3),), {}),
    ("polar", (rnd(4, 3),), {"side": "left"}),
    ("polar", (rnd(3, 4),), {}),
    ("orthogonal_procrustes", (rnd(4, 3), rnd(4, 3, seed=1)), {}),
    ("eigvals", (reg(3),), {}),
    ("eigvals", (reg(3), reg(3, seed=1)), {}),
    ("eigvalsh", (reg(3),), {}),
    ("eigvalsh", (reg(3), reg(3, seed=1)), {"lower": False}),
    ("eigvalsh", (reg(3),), {"subset_by_index": (1, 2)}),
    ("eigh", (real(reg(3)),), {}),
    ("eigh", (real(reg(3)), real(reg(3, seed=1))), {}),
    ("eigh", (real(reg(3)), real(reg(3, seed=1))), {"type": 2, "lower": False}),
    ("eigh", (real(reg(3)), real(reg(3, seed=1))), {"type": 3}),
    ("eigh_tridiagonal", (real(rnd(4)), real(rnd(3))), {"eigvals_only": True}),
    ("eigvalsh_tridiagonal", (real(rnd(4)), real(rnd(3))), {"select": "i", "select_range": (0, 1)}),
    ("expm", (rnd(3, 3),), {}),
    ("expm_frechet", (rnd(3, 3), rnd(3, 3, seed=1)), {}),
    ("cosm", (rnd(2, 2),), {}),
    ("sinm", (rnd(2, 2),), {}),
    ("tanm", (rnd(2, 2),), {}),
    ("coshm", (rnd(2, 2),), {}),
    ("sinhm", (rnd(2, 2),), {}),
    ("tanhm", (rnd(2, 2),), {}),
    ("sqrtm", (reg(3),), {}),
    ("logm", (reg(2),), {}),
    ("fractional_matrix_power", (reg(2), lambda dtype: 0.3), {}),
    ("solve_sylvester", (reg(3), reg(2), rnd(3, 2)), {}),
    ("solve_continuous_lyapunov", (reg(3), rnd(3, 3)), {}),
    ("solve_discrete_lyapunov", (reg(3), rnd(3, 3)), {}),
    ("solve_discrete_lyapunov", (reg(3), rnd(3, 3)), {"method": "bilinear"}),
    ("solve_toeplitz", (lambda dtype: rnd(3)(dtype) + 4, rnd(3, 2)), {}),
    ("solve_circulant", (lambda dtype: rnd(3)(dtype) + np.array([4, 0, 0]), rnd(3)), {}),
    ("matmul_toeplitz", (rnd(3), rnd(3, 2)), {}),
    ("signm", (lambda dtype: reg(2)(dtype) - 2.5 * np.eye(2),), {}),
    ("block_diag", (rnd(2, 3), rnd(2), rnd(1, 1)), {}),
    ("toeplitz", (rnd(3), rnd(2)), {}),
    ("toeplitz", (rnd(3),), {}),
    ("hankel", (rnd(3), rnd(2)), {}),
    ("hankel", (rnd(3),), {}),
    ("circulant", (rnd(3),), {}),
    ("companion", (rnd(4),), {}),
    ("convolution_matrix", (rnd(3), lambda dtype: 4), {}),
    ("convolution_matrix", (rnd(5), lambda dtype: 2), {"mode": "same"}),
    ("convolution_matrix", (rnd(2), lambda dtype: 5), {"mode": "valid"}),
    ("fiedler", (rnd(3),), {}),
    ("fiedler_companion", (real(rnd(5)),), {}),
    ("fiedler_companion", (real(rnd(6)),), {}),
    ("leslie", (real(rnd(3)), real(rnd(2))), {}),
    ("khatri_rao", (rnd(2, 3), rnd(4, 3)), {}),
    ("diagsvd", (real(rnd(2)), lambda dtype: 2, lambda dtype: 3), {}),
]


def ids(row: Row) -> str:
    name, makes, options = row
    return " ".join([name, str(len(makes)), *(f"{k}={v}" for k, v in options.items())])


def assert_close(have: Any, want: Any, atol: float = 1e-11) -> None:
    have, want = tree.leaves(have), tree.leaves(want)
    assert len(have) == len(want)
    for x, y in zip(have, want, strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(x, y, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_values_are_scipys_and_derivatives_those_of_differences(row: Row, dtype: Any) -> None:
    name, makes, options = row
    args = [make(dtype) for make in makes]
    chosen = [i for i, x in enumerate(args) if isinstance(x, np.ndarray)]

    def fun(*xs: Any) -> Any:
        given = list(args)
        for i, x in zip(chosen, xs, strict=True):
            given[i] = x
        out = getattr(fl, name)(*given, **options)
        return settled(name, out)

    xs = [args[i] for i in chosen]
    want = getattr(sl, name)(*args, **options)
    want = settled(name, want)
    assert_close(fun(*xs), want)
    assert_close(jit(fun)(*xs), want)
    for x, y in zip(tree.leaves(vmap(fun)(*[np.stack([x, 1.1 * x]) for x in xs])), tree.leaves(want), strict=True):
        np.testing.assert_allclose(x[0], y, atol=1e-11)
    check_grads(inexact(fun), xs, order=2)


def settled(name: str, out: Any) -> Any:
    """Results without what is up to an order or a sign."""
    if name == "eigvals":
        return np.sum(np.exp(out)), np.sum(out**2)
    return (out[0], out[1] ** 2) if name == "eigh" else out


def inexact(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Without results that are integers."""
    return lambda *xs: [x for x in tree.leaves(fun(*xs)) if np.result_type(x.dtype).kind in "fc"]


# ------------------------------------------------------------------------------------------- what comes in two steps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lower", [True, False])
def test_cho_solve(lower: bool, dtype: Any) -> None:
    a, b = reg(3)(dtype), rnd(3, 2)(dtype)

    def fun(a: Any, b: Any) -> Any:
        return fl.cho_solve(fl.cho_factor(a, lower=lower), b)

    np.testing.assert_allclose(fun(a, b), sl.cho_solve(sl.cho_factor(a, lower=lower), b))
    check_grads(fun, (a, b), order=2)
    g = grad(lambda a: np.sum(np.abs(fun(a, b)) ** 2))(a)
    np.testing.assert_array_equal(g, np.tril(g) if lower else np.triu(g))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans", [0, 1, 2])
def test_lu_solve(trans: int, dtype: Any) -> None:
    a, b = rnd(3, 3)(dtype), rnd(3)(dtype)

    def fun(a: Any, b: Any) -> Any:
        return fl.lu_solve(fl.lu_factor(a), b, trans)

    np.testing.assert_allclose(fun(a, b), sl.lu_solve(sl.lu_factor(a), b, trans))
    check_grads(fun, (a, b), order=2)
    batch = np.stack([a, 2 * a.T + 1])
    np.testing.assert_allclose(vmap(fun, in_axes=(0, None))(batch, b)[1], fun(batch[1], b))
    np.testing.assert_allclose(fun(batch, rnd(3, 2)(dtype))[1], fun(batch[1], rnd(3, 2)(dtype)))
    back, low, up = fl.lu(a, p_indices=True)
    np.testing.assert_allclose((low @ up)[back], a)


def test_solve_banded() -> None:
    b = rnd(5, 2)(float)
    for below, above in ((1, 1), (2, 1), (0, 0), (0, 2), (6, 0)):
        ab = rnd(below + above + 1, 5)(float)
        ab[above] += 4
        want = sl.solve_banded((below, above), ab, b) if below < 5 else sl.solve_banded((4, 0), ab[:5], b)
        np.testing.assert_allclose(fl.solve_banded((below, above), ab, b), want)
        np.testing.assert_allclose(fl.solve_banded((below, above), ab, b[:, 0]), want[:, 0])
        check_grads(lambda ab, b, n=(below, above): fl.solve_banded(n, ab, b), (ab, b), order=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigenvectors(dtype: Any) -> None:
    a, b = reg(3)(dtype), reg(3, seed=1)(dtype)
    w, left, right = fl.eig(a, b, left=True)
    np.testing.assert_allclose(a @ right, b @ right * w, atol=1e-12)
    np.testing.assert_allclose(np.conj(left).T @ a, w[:, None] * (np.conj(left).T @ b), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(left, axis=0), 1)
    np.testing.assert_allclose(fl.eig(a, b)[1], right)
    assert fl.eig(a, b, left=True, right=False)[0].shape == (3,)
    hermitian = np.tril(b, -1) + np.conj(np.tril(b, -1)).T + np.diag(np.real(np.diag(b)))
    for kind, norm in ((1, hermitian), (2, hermitian), (3, np.linalg.inv(hermitian))):
        w, v = fl.eigh(a, b, type=kind)
        np.testing.assert_allclose(w, sl.eigh(a, b, type=kind, eigvals_only=True))
        np.testing.assert_allclose(np.conj(v).T @ norm @ v, np.eye(3), atol=1e-12)
    w, v = fl.eigh_tridiagonal(rnd(4)(float), rnd(3)(float))
    np.testing.assert_allclose(w, sl.eigh_tridiagonal(rnd(4)(float), rnd(3)(float))[0])


# ------------------------------------------------------------------------------------------------ functions of matrices


@pytest.mark.parametrize("size", [1e-8, 1e-2, 1.0, 30.0])
def test_expm_of_all_sizes(size: float) -> None:
    for n in (0, 1, 4):
        a = size * rnd(n, n)(float)
        want = sl.expm(a)
        np.testing.assert_allclose(fl.expm(a), want, atol=1e-13 * max(1, size) * np.abs(want).max(initial=0))
    np.testing.assert_allclose(fl.expm(np.array([[1, 1e4], [-11.5, -1]])), sl.expm(np.array([[1, 1e4], [-11.5, -1]])))
    np.testing.assert_allclose(fl.expm(np.array([[0, 1e12], [0, 0]])), [[1, 1e12], [0, 1]])
    assert np.isnan(fl.expm(np.array([[np.nan, 0], [0, 1]]))).all()
    assert fl.expm(np.eye(2, dtype=np.float32)).dtype == np.float32


def test_gradients_of_expm_do_not_depend_on_the_size_of_cotangents() -> None:
    a = rnd(3, 3)(float)
    small = fg.vjp(fl.expm, a)[1](np.ones((3, 3)))[0]
    np.testing.assert_allclose(fg.vjp(fl.expm, a)[1](np.full((3, 3), 1e200))[0], 1e200 * small)


def test_where_a_dtype_depends_on_values_it_is_complex_if_they_are_traced() -> None:
    a = np.array([[2.0, 1.0], [1.0, 2.0]])
    for fun in (fl.sqrtm, fl.logm, lambda a: fl.funm(a, np.sin), lambda a: fl.fractional_matrix_power(a, 0.5)):
        assert fun(a).dtype == np.float64
        assert jit(fun)(a).dtype == np.complex128
        assert fun(-a).dtype == (np.float64 if fun(-a).dtype.kind == "f" else np.complex128)
        np.testing.assert_allclose(jit(fun)(a), fun(a), atol=1e-14)
        check_grads(fun, (a.astype(complex),), order=2)
    np.testing.assert_allclose(fl.funm(a, np.exp), fl.expm(a))
    assert fl.fractional_matrix_power(a, -2).dtype == np.float64
    x, error = fl.logm(a, disp=False)
    assert error < 1e-14 and x.shape == (2, 2)
    assert fl.funm(a, np.exp, disp=False)[1] < 1e-10


def test_a_matrix_without_a_basis_of_eigenvectors() -> None:
    jordan = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert np.isnan(fl.funm(jordan, np.sin)).all()
    np.testing.assert_allclose(fl.expm(jordan), np.e * jordan)
    np.testing.assert_allclose(fl.sqrtm(jordan), [[1, 0.5], [0, 1]])
    for fun, slope in ((fl.expm, np.e), (fl.sqrtm, 0.5), (fl.logm, 1.0)):
        _, t = jvp(fun, (np.eye(2),), (jordan,))
        np.testing.assert_allclose(t, slope * jordan, atol=1e-14)


def test_polar_factors_where_singular_values_are_equal() -> None:
    for a in (2 * np.eye(3), np.diag([1.0, -1.0])):
        check_grads(fl.polar, (a,), order=1)


def test_schur_and_hessenberg() -> None:
    for dtype in DTYPES:
        a = rnd(4, 4)(dtype)
        for output in ("real", "complex"):
            for x, y in zip(fl.schur(a, output), sl.schur(a, output), strict=True):
                np.testing.assert_allclose(x, y)
        t, z = fl.rsf2csf(*fl.schur(a))
        for x, y in zip((t, z), sl.rsf2csf(*sl.schur(a)), strict=True):
            np.testing.assert_allclose(x, y)
        np.testing.assert_allclose(z @ t @ np.conj(z).T, a, atol=1e-13)
        np.testing.assert_allclose(np.tril(t, -1), 0)
        for x, y in zip(fl.hessenberg(a, calc_q=True), sl.hessenberg(a, calc_q=True), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-13)
    with pytest.raises(InconclusiveRuleError, match="schur has no derivative here, and it is not zero"):
        grad(lambda a: fl.schur(a)[0][0, 0])(a.real)


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs it says so; what LAPACK does is done by NumPy."""
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    monkeypatch.setattr(lapack, "routines", lapack.routines.__wrapped__)
    a, b = reg(3)(float), rnd(3)(float)
    assert lapack.routines() is None
    np.testing.assert_allclose(a @ fl.lu_solve(fl.lu_factor(a), b), b)
    np.testing.assert_allclose(fl.expm(np.zeros((2, 2))), np.eye(2))
    for name, fun in {"sqrtm": fl.sqrtm, "logm": fl.logm, "schur": fl.schur, "hessenberg": fl.hessenberg}.items():
        with pytest.raises(ImportError, match=f"{name} needs SciPy"):
            fun(a)


@pytest.mark.parametrize("name", "dft hadamard helmert hilbert invhilbert invpascal pascal".split())
def test_matrices_of_a_size(name: str) -> None:
    np.testing.assert_allclose(getattr(fl, name)(4), getattr(sl, name)(4), atol=1e-14)
    assert getattr(fl, name)(4).dtype == getattr(sl, name)(4).dtype


def test_stacks() -> None:
    c, r = rnd(2, 3)(float), rnd(2, 4)(float)
    np.testing.assert_array_equal(fl.toeplitz(c, r)[1], sl.toeplitz(c[1], r[1]))
    np.testing.assert_array_equal(fl.hankel(c, r)[1], sl.hankel(c[1], r[1]))
    np.testing.assert_array_equal(fl.circulant(c)[1], sl.circulant(c[1]))
    np.testing.assert_array_equal(fl.leslie(c, r[:, :2])[1], sl.leslie(c[1], r[1, :2]))
    np.testing.assert_array_equal(fl.companion(c)[1], sl.companion(c[1]))
    np.testing.assert_array_equal(fl.fiedler_companion(r)[1], sl.fiedler_companion(r[1]))
    np.testing.assert_array_equal(fl.convolution_matrix(c, 2, "same")[1], sl.convolution_matrix(c[1], 2, "same"))
    assert fl.toeplitz(np.zeros(0), np.zeros(2)).shape == (0, 2)
    assert fl.block_diag().shape == (1, 0)
    np.testing.assert_allclose(
        fl.lstsq(rnd(4, 2)(float), rnd(4)(float))[0], sl.lstsq(rnd(4, 2)(float), rnd(4)(float))[0]
    )


# ------------------------------------------------------------------------------------------------------------- errors


def test_singular_matrices() -> None:
    a = np.array([[1.0, 1.0], [0.0, 0.0]])
    with pytest.raises(LinAlgError, match=r"triangular_solve: Singular matrix(.|\n)*test_scipy_linalg.py"):
        grad(lambda a: np.sum(fl.solve_triangular(a, np.ones(2))))(a)
    with pytest.raises(LinAlgError, match="Singular"):
        fl.solve_sylvester(np.eye(2), -np.eye(2), np.eye(2))
    with pytest.raises(LinAlgError, match="Singular"), pytest.warns(sl.LinAlgWarning, match="singular"):
        grad(lambda a: np.sum(np.real(fl.sqrtm(a))))(np.diag([1.0, 0.0]))
    assert np.isnan(fl.lu_solve(fl.lu_factor(a), np.ones(2))).all()
    with pytest.raises(LinAlgError, match="positive definite"):
        fl.solve(-np.eye(2), np.ones(2), assume_a="pos")


def test_eigenvalues_between_two_numbers() -> None:
    a = sl.toeplitz([2.0, -0.5, 0.1, 0.3])
    ends = (1.2, 2.4)
    want = sl.eigh(a, subset_by_value=ends, eigvals_only=True)
    for form in (lambda f: f, jit):
        w, v = form(lambda a: fl.eigh(a, subset_by_value=ends))(a)
        np.testing.assert_allclose(w, want)
        np.testing.assert_allclose(a @ v, v * w, atol=1e-12)
    d, e = np.array([2.0, 1.0, 3.0, 2.5]), np.array([0.3, 0.2, -0.4])
    for only in (True, False):
        have = fl.eigh_tridiagonal(d, e, only, "v", ends)
        expected = sl.eigh_tridiagonal(d, e, only, "v", ends)
        np.testing.assert_allclose(np.abs(have if only else have[1]), np.abs(expected if only else expected[1]))
    check_grads(lambda a: fl.eigvalsh(a + a.T, subset_by_value=(2.4, 4.8)), (a,), order=1)
    with pytest.raises(ConcretizationTypeError, match="choose by subset_by_index"):
        vmap(lambda a: fl.eigvalsh(a, subset_by_value=ends))(np.stack([a, a]))
    with pytest.raises(ShapeError, match="one matrix"):
        fl.eigvalsh(np.stack([a, a]), subset_by_value=ends)


def test_what_is_not_offered_says_so() -> None:
    a = np.eye(2)
    for call in (
        lambda: fl.eigh(a, eigvals=(0, 1)),
        lambda: fl.eig(a, homogeneous_eigvals=True),
        lambda: fl.qr(a, mode="raw"),
        lambda: fl.schur(a, sort="lhp"),
    ):
        with pytest.raises(UnsupportedFunctionError, match=r"not|raw|choose"):
            call()
    for call in (
        lambda: fl.solve(a, a[0], assume_a="band"),
        lambda: fl.solve_triangular(a, a[0], trans=3),
        lambda: fl.qr(a, mode="thin"),
        lambda: fl.rq(a, mode="thin"),
        lambda: fl.polar(a, "middle"),
        lambda: fl.eigh(a, a, type=4),
        lambda: fl.hadamard(3),
    ):
        with pytest.raises(ValueError, match=r"must|not"):
            call()
    with pytest.raises(ShapeError, match=r"solve: 2 equations do not fit right-hand sides of shape \(3,\)"):
        fl.solve(a, np.ones(3))
    with pytest.raises(LinAlgError, match="expm: the last two"):
        fl.expm(np.ones((2, 3)))
    with pytest.raises(AttributeError, match="has no attribute 'nonesuch'"):
        fl.nonesuch  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("module", funcgrad.scipy.__all__)
def test_other_names_are_scipys(module: str) -> None:
    theirs, ours = importlib.import_module(f"scipy.{module}"), importlib.import_module(f"funcgrad.scipy.{module}")
    for name in getattr(theirs, "__all__", ()):
        assert hasattr(ours, name), name
    with pytest.raises(AttributeError, match="no attribute"):
        ours._nonesuch  # noqa: B018
    with pytest.raises(TracerArrayConversionError, match=r"ldl\(a\)"):
        fg.grad(lambda a: fl.ldl(a)[1][0, 0])(np.eye(2))  # type: ignore[attr-defined]


OF_SCIPY: dict[str, Callable[[Any], Any]] = {
    "expm": lambda a: sl.expm(a),
    "sqrtm": lambda a: sl.sqrtm(a),
    "cho_factor": lambda a: sl.cho_factor(a)[0],
    "cho_solve": lambda a: sl.cho_solve((a, True), np.ones(2)),
    "solve_triangular": lambda a: sl.solve_triangular(a, np.ones(2)),
    "lu": lambda a: sl.lu(a)[0],
    "toeplitz": lambda a: sl.toeplitz(a[0]),
    "block_diag": lambda a: sl.block_diag(a, a),
    "eigvals": lambda a: sl.eigvals(a),
    "svd": lambda a: sl.svd(a)[1],
    "solve": lambda a: sl.solve(a, np.ones(2)),
}


@pytest.mark.parametrize("name", OF_SCIPY)
def test_scipys_own_names_ours(name: str) -> None:
    here = r"test_scipy_linalg.py(.|\n)*write instead: "
    with pytest.raises(TracerArrayConversionError, match=rf"{here}funcgrad\.scipy\.linalg\.{name}"):
        grad(lambda a: np.sum(OF_SCIPY[name](a)))(np.eye(2))
