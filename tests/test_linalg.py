"""`numpy.linalg` on traced values: values and dtypes are NumPy's, derivatives are right to second order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.linalg import LinAlgError

import funcgrad.numpy.linalg as fla
from funcgrad import grad, jvp, make_ir, tree, vjp
from funcgrad.errors import DTypeError, InconclusiveRuleError, UnsupportedFunctionError
from funcgrad.test_util import check_grads

la = np.linalg
DTYPES = [np.float64, np.float32, np.complex128, np.complex64]
DOUBLES = [np.float64, np.complex128]


def random(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def regular(*batch: int, n: int = 3, dtype: Any = np.float64) -> np.ndarray:
    """Well conditioned square matrices."""
    return (0.4 * random((*batch, n, n), dtype) + 2 * np.eye(n)).astype(dtype)


def hermitian(x: Any) -> Any:
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2


def definite(*batch: int, n: int = 3, dtype: Any = np.float64) -> np.ndarray:
    """Hermitian positive definite matrices with well separated eigenvalues."""
    return hermitian(0.3 * random((*batch, n, n), dtype) + np.diag(2.0 + np.arange(n))).astype(dtype)


def rectangular(dtype: Any, *shape: int) -> np.ndarray:
    return random(shape, dtype)


def reconstructed_svd(a: Any) -> Any:
    u, s, vh = la.svd(a, full_matrices=False)
    return (u * np.exp(-s)[..., None, :]) @ vh


def reconstructed_eigh(a: Any) -> Any:
    w, v = la.eigh(hermitian(a))
    return (v * np.sqrt(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))


def reconstructed_eig(a: Any) -> Any:
    w, v = la.eig(a)
    return (v * np.exp(w)[..., None, :]) @ la.inv(v)


# A name, a function of arrays, and its arguments in a given dtype.
CASES: list[tuple[str, Callable[..., Any], Callable[[Any], tuple[Any, ...]]]] = [
    ("solve", la.solve, lambda d: (regular(dtype=d), random((3, 2), d))),
    ("solve-vector", la.solve, lambda d: (regular(dtype=d), random((3,), d))),
    ("solve-batch", la.solve, lambda d: (regular(2, dtype=d), random((2, 3, 2), d))),
    ("solve-batch-vector", la.solve, lambda d: (regular(2, dtype=d), random((3,), d))),
    ("solve-broadcast-a", la.solve, lambda d: (regular(dtype=d), random((2, 3, 1), d))),
    ("solve-broadcast-b", la.solve, lambda d: (regular(4, 1, dtype=d), random((2, 3, 2), d))),
    ("inv", la.inv, lambda d: (regular(2, dtype=d),)),
    ("inv-1x1", la.inv, lambda d: (regular(n=1, dtype=d),)),
    ("det", la.det, lambda d: (regular(dtype=d),)),
    ("det-batch", la.det, lambda d: (regular(2, 2, dtype=d),)),
    ("det-1x1", la.det, lambda d: (regular(n=1, dtype=d),)),
    ("slogdet", la.slogdet, lambda d: (regular(2, dtype=d),)),
    ("cholesky", lambda a: la.cholesky(hermitian(a)), lambda d: (definite(2, dtype=d),)),
    ("cholesky-upper", lambda a: la.cholesky(hermitian(a), upper=True), lambda d: (definite(dtype=d),)),
    ("pinv-tall", la.pinv, lambda d: (rectangular(d, 2, 4, 3),)),
    ("pinv-wide", la.pinv, lambda d: (rectangular(d, 2, 4),)),
    ("lstsq", lambda a, b: la.lstsq(a, b)[:2], lambda d: (rectangular(d, 4, 2), random((4, 2), d, 1))),
    ("lstsq-exact", lambda a, b: la.lstsq(a, b)[:2], lambda d: (rectangular(d, 4, 2), random((4, 2), d))),
    ("lstsq-vector", lambda a, b: la.lstsq(a, b)[0], lambda d: (rectangular(d, 2, 4), random((2,), d))),
    ("qr-tall", la.qr, lambda d: (rectangular(d, 2, 4, 3),)),
    ("qr-wide", la.qr, lambda d: (rectangular(d, 2, 3),)),
    ("qr-complete", lambda a: la.qr(a, "complete"), lambda d: (rectangular(d, 3, 3),)),
    ("qr-complete-tall", lambda a: la.qr(a, "complete"), lambda d: (rectangular(d, 2, 5, 3),)),
    ("qr-complete-wide", lambda a: la.qr(a, "complete"), lambda d: (rectangular(d, 2, 3),)),
    ("qr-r", lambda a: la.qr(a, "r"), lambda d: (rectangular(d, 4, 3),)),
    ("svdvals", la.svdvals, lambda d: (rectangular(d, 2, 4, 3),)),
    ("svd-values", lambda a: la.svd(a, compute_uv=False), lambda d: (rectangular(d, 2, 3),)),
    ("svd-tall", reconstructed_svd, lambda d: (rectangular(d, 4, 3),)),
    ("svd-wide", reconstructed_svd, lambda d: (rectangular(d, 2, 2, 3),)),
    ("eigvalsh", lambda a: la.eigvalsh(hermitian(a)), lambda d: (definite(2, dtype=d),)),
    ("eigh", reconstructed_eigh, lambda d: (definite(2, dtype=d),)),
    ("eigvals", lambda a: np.sum(la.eigvals(a) ** 3, axis=-1), lambda d: (regular(2, dtype=d),)),
    ("eig", reconstructed_eig, lambda d: (regular(dtype=d),)),
    ("matrix_power", lambda a: la.matrix_power(a, 5), lambda d: (regular(2, dtype=d) / 2,)),
    ("matrix_power-neg", lambda a: la.matrix_power(a, -2), lambda d: (regular(dtype=d),)),
    (
        "multi_dot",
        lambda *xs: la.multi_dot(xs),
        lambda d: (random((3,), d), random((3, 4), d), random((4, 2), d), random((2, 5), d)),
    ),
    ("tensorsolve", la.tensorsolve, lambda d: (regular(n=4, dtype=d).reshape(2, 2, 4), random((2, 2), d))),
    (
        "tensorsolve-axes",
        lambda a, b: la.tensorsolve(a, b, axes=(0,)),
        lambda d: (regular(n=4, dtype=d).reshape(4, 2, 2), random((2, 2), d)),
    ),
    ("tensorinv", la.tensorinv, lambda d: (regular(n=4, dtype=d).reshape(2, 2, 4),)),
    ("cond", la.cond, lambda d: (regular(2, dtype=d),)),
    ("cond-fro", lambda a: la.cond(a, "fro"), lambda d: (regular(dtype=d),)),
    ("cond-minus-2", lambda a: la.cond(a, -2), lambda d: (rectangular(d, 4, 3),)),
    ("trace", lambda a: la.trace(a, offset=1), lambda d: (rectangular(d, 2, 3, 4),)),
    ("diagonal", lambda a: la.diagonal(a, offset=-1), lambda d: (rectangular(d, 2, 3, 4),)),
    ("matrix_transpose", la.matrix_transpose, lambda d: (rectangular(d, 2, 3, 4),)),
    ("outer", la.outer, lambda d: (random((3,), d), random((2,), d))),
    ("cross", la.cross, lambda d: (random((2, 3), d), random((2, 3), d, 1))),
    ("matmul", la.matmul, lambda d: (random((2, 3, 4), d), random((4, 2), d))),
    ("vecdot", la.vecdot, lambda d: (random((2, 3), d), random((2, 3), d, 1))),
    ("tensordot", lambda a, b: la.tensordot(a, b, axes=1), lambda d: (random((2, 3), d), random((3, 2), d))),
]
NAMES = [name for name, _, _ in CASES]


def close(dtype: Any) -> dict[str, float]:
    eps = float(np.finfo(dtype).eps)
    return {"rtol": 1e3 * eps, "atol": 1e3 * eps}


def assert_same(have: Any, want: Any, dtype: Any = np.float64) -> None:
    """The same values, shapes, dtypes and structure."""
    assert tree.structure(have) == tree.structure(want)
    for a, b in zip(tree.leaves(have), tree.leaves(want), strict=True):
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
        np.testing.assert_allclose(a, b, **close(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "fun", "make"), CASES, ids=NAMES)
def test_value_is_numpys_under_every_transformation(name: str, fun: Any, make: Any, dtype: Any) -> None:
    args = make(dtype)
    want = fun(*args)
    if name in ("eigvals", "eig"):  # always complex when traced
        want = np.asarray(want).astype(np.result_type(want, np.complex64))
    assert_same(vjp(fun, *args)[0], want, dtype)
    assert_same(jvp(fun, args, args)[0], want, dtype)
    program = make_ir(fun)(*args)
    assert_same(program(*args), tree.leaves(want), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "fun", "make"), CASES, ids=NAMES)
def test_derivatives_to_second_order(name: str, fun: Any, make: Any, dtype: Any) -> None:
    check_grads(fun, make(dtype), order=2)


# ------------------------------------------------------------------------------------ determinants


def singular(rank: int, dtype: Any = np.float64) -> np.ndarray:
    return random((4, rank), dtype) @ random((rank, 4), dtype, 1)


def cofactors(a: np.ndarray) -> np.ndarray:
    """By the definition: signed determinants of minors."""
    n = len(a)
    minor = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(n)] for i in range(n)]
    return np.array([[(-1) ** (i + j) * la.det(minor[i][j]) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("dtype", DOUBLES)
@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_det_has_its_derivatives_at_every_rank(rank: int, dtype: Any) -> None:
    a = singular(rank, dtype)
    holomorphic = dtype is np.complex128
    np.testing.assert_allclose(grad(la.det, holomorphic=holomorphic)(a), cofactors(a), atol=1e-12)
    check_grads(la.det, (a,), order=3)


def test_det_gradients_of_a_batch_with_regular_and_singular_matrices() -> None:
    batch = np.stack([singular(r) for r in range(5)])
    have = grad(lambda a: np.sum(la.det(a)))(batch)
    np.testing.assert_allclose(have, np.stack([cofactors(a) for a in batch]), atol=1e-12)


def test_complex_det_is_differentiated_without_conjugation() -> None:
    """As in JAX: the pullback multiplies by the derivative itself."""
    a = regular(dtype=np.complex128)
    (ct,) = vjp(la.det, a)[1](np.complex128(1 + 2j))
    np.testing.assert_allclose(ct, (1 + 2j) * la.det(a) * la.inv(a).T)


def test_slogdet_of_a_singular_matrix_has_a_value_but_no_derivative() -> None:
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert vjp(la.slogdet, a)[0].logabsdet == -np.inf
    with pytest.raises(LinAlgError, match=r"inv: Singular matrix(.|\n)*f64\[2,2\]"):
        grad(lambda a: la.slogdet(a).logabsdet)(a)


def test_slogdet_sign_turns_with_the_imaginary_part() -> None:
    a = regular(dtype=np.complex128)
    _, tangent = jvp(la.slogdet, (a,), (1j * a,))  # det(a + it·a) = (1 + it)³ det a
    np.testing.assert_allclose(tangent.sign, 3j * la.slogdet(a).sign)
    np.testing.assert_allclose(tangent.logabsdet, 0, atol=1e-14)


# --------------------------------------------------------------------------------- decompositions


OF_A_TRIANGLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "cholesky": (la.cholesky, np.tril),
    "cholesky, upper": (lambda a: la.cholesky(a, upper=True), np.triu),
    "eigvalsh": (la.eigvalsh, np.tril),
    "eigvalsh, upper": (lambda a: la.eigvalsh(a, "U"), np.triu),
    "eigh": (lambda a: rebuilt(*la.eigh(a)), np.tril),
    "eigh, upper": (lambda a: rebuilt(*la.eigh(a, "U")), np.triu),
    "svd": (lambda a: rebuilt(*la.svd(a, hermitian=True)[1::-1]), np.tril),
    "singular values": (lambda a: la.svd(a, compute_uv=False, hermitian=True), np.tril),
    "pinv": (lambda a: la.pinv(a, hermitian=True), np.tril),
}
"""Functions that read one triangle of their argument, and which."""


def rebuilt(w: Any, v: Any) -> Any:
    return (v * np.exp(-w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))


@pytest.mark.parametrize("dtype", DOUBLES)
@pytest.mark.parametrize("name", OF_A_TRIANGLE)
def test_what_reads_a_triangle_has_the_derivative_of_that(name: str, dtype: Any) -> None:
    """Also for matrices that are not Hermitian: nothing depends on the other triangle."""
    fun, keep = OF_A_TRIANGLE[name]
    a = definite(2, dtype=dtype) + random((3, 3), dtype, 3) / 4
    assert_same(vjp(fun, a)[0], fun(a), dtype)
    np.testing.assert_allclose(fun(keep(a)), fun(a))
    check_grads(fun, (a,), order=2)
    (ct,) = vjp(fun, a)[1](fun(a))
    np.testing.assert_array_equal(ct, keep(ct))


@pytest.mark.parametrize("dtype", DOUBLES)
def test_names_of_jax_average_the_triangles_first(dtype: Any) -> None:
    a = definite(dtype=dtype) + random((3, 3), dtype, 3) / 4
    for own, plain in ((fla.cholesky, la.cholesky), (fla.eigvalsh, la.eigvalsh)):
        np.testing.assert_allclose(own(a), plain(hermitian(a)))
        np.testing.assert_allclose(own(a, symmetrize_input=False), plain(a))
        (ct,) = vjp(own, a)[1](np.cos(plain(a)))
        np.testing.assert_allclose(ct, np.conj(ct).T)
        (ct,) = vjp(lambda a, f=own: f(a, symmetrize_input=False), a)[1](np.cos(plain(a)))
        np.testing.assert_array_equal(ct, np.tril(ct))
    np.testing.assert_allclose(fla.eigh(a, "U").eigenvalues, la.eigvalsh(hermitian(a)))
    np.testing.assert_allclose(fla.eigh(a, "U", False).eigenvalues, la.eigvalsh(a, "U"))


def test_cholesky_reads_one_triangle_as_numpy_does() -> None:
    a = definite()
    for upper in (False, True):
        keep = np.triu if upper else np.tril
        have = vjp(lambda a, upper=upper: la.cholesky(a, upper=upper), keep(a))[0]
        np.testing.assert_allclose(have, la.cholesky(a, upper=upper))


def test_cholesky_of_an_indefinite_matrix_raises() -> None:
    with pytest.raises(LinAlgError, match=r"cholesky: .*positive definite"):
        grad(lambda a: np.sum(la.cholesky(a)))(-np.eye(2))


@pytest.mark.parametrize("uplo", ["L", "U", "l"])
def test_eigh_reads_the_triangle_that_it_is_told_to(uplo: str) -> None:
    a = definite(dtype=np.complex128)
    half = np.tril(a) if uplo in "Ll" else np.triu(a)
    for f in (lambda a: la.eigh(a, uplo).eigenvalues, lambda a: la.eigvalsh(a, uplo)):
        np.testing.assert_allclose(vjp(f, half)[0], la.eigvalsh(a))
    with pytest.raises(ValueError, match="UPLO"):
        vjp(lambda a: la.eigh(a, "X"), a)


@pytest.mark.parametrize("dtype", DOUBLES)
def test_eigenvectors_of_hermitian_matrices_to_a_phase(dtype: Any) -> None:
    """The tangents satisfy the differentiated equations, and have no component along the vectors."""
    a, da = definite(dtype=dtype), hermitian(random((3, 3), dtype, 1))
    (w, v), (dw, dv) = jvp(la.eigh, (a,), (da,))
    np.testing.assert_allclose(da @ v + a @ dv, dv * w + v * dw, atol=1e-13)
    np.testing.assert_allclose(np.sum(np.conj(v) * dv, axis=0), 0, atol=1e-14)


@pytest.mark.parametrize("dtype", DOUBLES)
def test_eigenvectors_have_the_phase_of_lapack(dtype: Any) -> None:
    """The largest component is real: also of the complex vectors of a real matrix. (Their order and signs may jump.)"""

    def squares(a: Any) -> Any:
        w, v = la.eig(a)
        return np.sum(v**2 * np.exp(w)[..., None, :], axis=-1) + 0j

    a = random((2, 4, 4), dtype)
    assert np.iscomplexobj(la.eig(a)[1])
    check_grads(squares, (a,), order=2)


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
@pytest.mark.parametrize("dtype", DOUBLES)
def test_singular_vectors_to_a_phase(shape: tuple[int, int], dtype: Any) -> None:
    a, da = random(shape, dtype), random(shape, dtype, 1)
    (u, s, vh), (du, ds, dvh) = jvp(lambda a: la.svd(a, full_matrices=False), (a,), (da,))
    np.testing.assert_allclose((du * s) @ vh + (u * ds) @ vh + (u * s) @ dvh, da, atol=1e-12)
    for basis, change in ((u, du), (np.conj(vh).T, np.conj(dvh).T)):  # they stay orthonormal
        product = np.conj(basis).T @ change
        np.testing.assert_allclose(product + np.conj(product).T, 0, atol=1e-12)


def test_gradients_of_what_does_not_depend_on_a_phase() -> None:
    def projector(a: Any) -> Any:
        v = la.eigh(hermitian(a)).eigenvectors
        return v[:, 0, None] * np.conj(v[:, 0])

    def through_svd(a: Any) -> Any:
        u, s, vh = la.svd(a)
        return (u[:, :1] @ vh[:1]) * s[1]

    for dtype in DOUBLES:
        check_grads(projector, (definite(dtype=dtype),), order=2)
        check_grads(through_svd, (regular(dtype=dtype),), order=2)


def test_eigenvalues_have_gradients_where_they_are_equal_and_eigenvectors_do_not() -> None:
    np.testing.assert_allclose(grad(lambda a: np.sum(la.eigvalsh(a)))(np.eye(3)), np.eye(3))
    np.testing.assert_allclose(grad(lambda a: np.sum(la.eigh(a)[0]))(np.eye(3)), np.eye(3))
    np.testing.assert_allclose(grad(lambda a: np.sum(la.svd(a)[1]))(np.eye(3)), np.eye(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isnan(grad(lambda a: la.eigh(a)[1][0, 0])(np.eye(2))).any()


def test_full_svd_has_values_and_their_derivatives_only() -> None:
    a = random((4, 3))
    for x, y in zip(vjp(la.svd, a)[0], la.svd(a), strict=True):
        np.testing.assert_allclose(x, y)
    have = grad(lambda a: la.svd(a).S[0])(a)
    np.testing.assert_allclose(have, grad(lambda a: la.svdvals(a)[0])(a))
    with pytest.raises(InconclusiveRuleError, match="full_matrices=False"):
        grad(lambda a: np.sum(la.svd(a).U))(a)
    with pytest.raises(InconclusiveRuleError, match="full_matrices=False"):
        jvp(la.svd, (a,), (a,))


def test_qr_modes() -> None:
    a = random((4, 3))
    with pytest.raises(UnsupportedFunctionError, match="raw"):
        vjp(lambda a: la.qr(a, "raw"), a)
    with pytest.raises(ValueError, match="mode"):
        vjp(lambda a: la.qr(a, "full"), a)


def test_results_are_numpys_named_tuples() -> None:
    a = definite()
    for fun, fields in (
        (la.slogdet, ("sign", "logabsdet")),
        (la.eig, ("eigenvalues", "eigenvectors")),
        (la.eigh, ("eigenvalues", "eigenvectors")),
        (la.svd, ("U", "S", "Vh")),
        (la.qr, ("Q", "R")),
    ):
        out = vjp(fun, a)[0]
        assert type(out) is type(fun(a))
        assert out._fields == fields


@pytest.mark.parametrize("dtype", DOUBLES)
def test_pinv_and_lstsq_at_constant_rank(dtype: Any) -> None:
    b, c, y = random((4, 2), dtype), random((2, 3), dtype), random((4,), dtype, 2)
    check_grads(lambda b, c: la.pinv(b @ c, rcond=1e-10), (b, c), order=2)
    check_grads(lambda b, c: la.lstsq(b @ c, y, 1e-10)[0], (b, c), order=1)
    x, residuals, rank, s = vjp(lambda a: la.lstsq(a, y, 1e-10), b @ c)[0]
    want = la.lstsq(b @ c, y, 1e-10)
    np.testing.assert_allclose(x, want[0])
    np.testing.assert_allclose(s, want[3], atol=1e-12)
    assert rank == want[2] == 2
    assert residuals.shape == (1,)  # NumPy gives none, which depends on the values


def test_lstsq_options() -> None:
    a, b = random((3, 2)), random((3, 2), seed=1)
    assert vjp(lambda a: la.lstsq(a.T, b[:2])[1], a)[0].shape == (0,)
    for rcond in (None, -1, 0.0, 0.9, 1.0):
        have, want = vjp(lambda a, r=rcond: la.lstsq(a, b, r), a)[0], la.lstsq(a, b, rcond)
        np.testing.assert_allclose(have[0], want[0], atol=1e-14)
        assert (have[2], have[2].dtype) == (want[2], want[2].dtype)
    with pytest.raises(LinAlgError, match=r"\(3, 2\) and \(2, 2\)"):
        vjp(lambda a: la.lstsq(a, b[:2]), a)


def test_pinv_options() -> None:
    a = random((2, 3, 3))
    for options in ({"rcond": 0.5}, {"rtol": 0.5}, {"rtol": None}, {"rcond": np.array([0.5, 0.1])}):
        want = la.pinv(a, **options)  # type: ignore[arg-type]
        np.testing.assert_allclose(vjp(lambda a, o=options: la.pinv(a, **o), a)[0], want)
    with pytest.raises(ValueError, match="both"):
        vjp(lambda a: la.pinv(a, 1e-3, rtol=1e-3), a)


# -------------------------------------------------------------------------------- shapes and errors


@pytest.mark.parametrize(
    ("fun", "shape"),
    [
        (la.inv, (0, 3, 3)),
        (la.det, (0, 3, 3)),
        (la.det, (2, 0, 0)),
        (lambda a: la.slogdet(a), (0, 3, 3)),
        (lambda a: la.cholesky(a), (0, 2, 2)),
        (lambda a: la.solve(a, np.ones((3, 2))), (0, 3, 3)),
        (lambda a: la.solve(a, np.ones((0, 2))), (4, 0, 0)),
        (lambda a: la.svd(a, full_matrices=False), (0, 3, 2)),
        (lambda a: la.eigh(a), (0, 3, 3)),
        (lambda a: la.qr(a), (0, 3, 2)),
        (la.pinv, (0, 3, 2)),
        (la.svdvals, (0, 3, 2)),
    ],
)
def test_empty_batches_and_matrices(fun: Any, shape: tuple[int, ...]) -> None:
    a = np.zeros(shape)
    out, pullback = vjp(fun, a)
    assert_same(out, fun(a))
    ones = tree.map(np.ones_like, out)
    assert pullback(ones)[0].shape == shape
    assert_same(jvp(fun, (a,), (a,))[1], tree.map(np.zeros_like, out))
    assert_same(make_ir(fun)(a)(a), tree.leaves(out))


UNARY = [la.inv, la.det, la.slogdet, la.cholesky, la.eigh, la.eigvalsh, la.eig, la.eigvals]


@pytest.mark.parametrize("fun", UNARY)
def test_matrices_that_are_not_square_raise_with_their_shape(fun: Any) -> None:
    for trace in (lambda f, a: vjp(f, a), lambda f, a: make_ir(f)(a)):
        with pytest.raises(LinAlgError, match=r"square(.|\n)*f64\[2,3\]"):
            trace(fun, np.ones((2, 3)))
        with pytest.raises(LinAlgError, match=r"two(.|\n)*f64\[3\]"):
            trace(fun, np.ones(3))


def test_shapes_that_do_not_fit_raise_with_their_shapes() -> None:
    for trace in (lambda f, a, b: vjp(f, a, b), lambda f, a, b: make_ir(f)(a, b)):
        with pytest.raises(ValueError, match=r"f64\[3,3\], f64\[2,2\]"):
            trace(la.solve, np.eye(3), np.ones((2, 2)))
        with pytest.raises(ValueError, match=r"f64\[2,3,3\], f64\[3,3,1\]"):
            trace(la.solve, np.ones((2, 3, 3)), np.ones((3, 3, 1)))
    with pytest.raises(ValueError, match=r"\(2, 3\), \(2, 3\)"):
        vjp(lambda a: la.multi_dot([a, a]), np.ones((2, 3)))
    with pytest.raises(LinAlgError, match=r"\(2, 3\)"):
        vjp(lambda a: la.matrix_power(a, 2), np.ones((2, 3)))
    with pytest.raises(TypeError, match="integer"):
        vjp(lambda a: la.matrix_power(a, 0.5), np.eye(2))  # type: ignore[arg-type]


def test_a_singular_matrix_raises() -> None:
    with pytest.raises(LinAlgError, match="solve: Singular matrix"):
        vjp(lambda a: la.solve(a, np.ones(2)), np.ones((2, 2)))


def test_half_precision_is_not_supported() -> None:
    for trace in (lambda f, a: vjp(f, a), lambda f, a: make_ir(f)(a)):
        with pytest.raises(DTypeError, match="float16"):
            trace(la.inv, np.eye(2, dtype=np.float16))


@pytest.mark.parametrize("dtype", [np.bool, np.int8, np.uint16, np.int64])
def test_integers_are_computed_in_double_precision(dtype: Any) -> None:
    a = np.array([[2, 1], [1, 1]]).astype(dtype)
    if dtype is np.bool:
        a = np.array([[True, False], [True, True]])
    b = np.ones((2, 1), np.float32)
    for fun in (la.inv, la.det, la.slogdet, la.svdvals, lambda a: la.solve(a, b)):
        want = fun(a)
        assert_same(make_ir(fun)(a)(a), tree.leaves(want))
    (ct,) = vjp(lambda b: la.solve(a, b), b)[1](np.ones((2, 1)))
    assert ct.dtype == np.float32


def test_multi_dot_finds_the_cheapest_order() -> None:
    """Any other order than the last product first would take a thousand times the work."""
    shapes = [(1000, 1), (1, 1000), (1000, 1), (1, 2)]
    program = make_ir(lambda *xs: la.multi_dot(xs))(*[np.ones(s) for s in shapes])
    sizes = [v.aval.size for eqn in program.equations for v in eqn.outputs]
    assert max(sizes) == 2000


def test_matrix_power_of_zero_and_one() -> None:
    a = regular(2)
    np.testing.assert_array_equal(vjp(lambda a: la.matrix_power(a, 0), a)[0], la.matrix_power(a, 0))
    np.testing.assert_array_equal(grad(lambda a: np.sum(la.matrix_power(a, 1)))(a), np.ones_like(a))


# ---------------------------------------------------------------------------------- the namespace


def test_every_function_of_numpy_linalg_is_here_with_its_signature() -> None:
    for name in la.__all__:
        ours, theirs = getattr(fla, name), getattr(la, name)
        assert name in fla.__all__
        if name != "LinAlgError":
            have, want = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
            assert [*have][: len(want)] == [*want]
            same = [n for n in want if (have[n].kind, have[n].default) == (want[n].kind, want[n].default)]
            assert same == [n for n in want if (name, n) != ("eigh", "UPLO")]  # None, as in JAX
            assert set(have) - set(want) <= KEYWORDS_OF_JAX


KEYWORDS_OF_JAX = {
    "method",
    "numpy_resid",
    "precision",
    "preferred_element_type",
    "subset_by_index",
    "symmetrize_input",
}


def test_keywords_of_jax() -> None:
    a, b = random((3, 3)), random((3, 2))
    np.testing.assert_array_equal(fla.matmul(a, b, precision="highest"), a @ b)
    ints = np.full(300, 1, np.int8)
    for f in (
        lambda x: fla.vecdot(x, x, preferred_element_type=np.int32),
        lambda x: fla.tensordot(x, x, axes=1, preferred_element_type=np.int32),
    ):
        assert (f(ints), f(ints).dtype, make_ir(f)(ints)(ints)[0]) == (300, np.int32, 300)
    assert fla.slogdet(a, method="qr").sign == la.slogdet(a).sign
    with pytest.raises(ValueError, match="method"):
        fla.slogdet(a, method="svd")
    assert fla.lstsq(a, b, numpy_resid=False)[1].shape == (2,)
    assert vjp(lambda a: fla.lstsq(a, b[:, 0], numpy_resid=False)[1], a)[0].shape == (1,)
    with pytest.raises(UnsupportedFunctionError, match="subset_by_index"):
        fla.svd(a, subset_by_index=(0, 1))


def test_on_plain_arrays_the_functions_are_numpys() -> None:
    a = definite()
    assert fla.eig(a).eigenvalues.dtype == la.eig(a).eigenvalues.dtype  # real or complex: NumPy 2.5 changed it
    assert_same(fla.qr(a, "raw"), la.qr(a, "raw"))
    np.testing.assert_array_equal(fla.solve([[2.0]], [[4.0]]), [[2.0]])


def test_lists_of_traced_values() -> None:
    have = grad(lambda x: fla.det([[x, 2.0], [3.0, x]]))(4.0)
    assert have == pytest.approx(8.0)
    assert grad(lambda x: fla.norm([x, 4.0]))(3.0) == pytest.approx(0.6)
