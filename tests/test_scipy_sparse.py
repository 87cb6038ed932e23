"""Sparse matrices times traced values, sparse matrices of traced numbers, and solutions of sparse equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.scipy.sparse as fs
from funcgrad.scipy.sparse.linalg import bicgstab, cg, gmres, spsolve
from funcgrad.test_util import check_grads

sp = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(0)
D = RNG.standard_normal((4, 3)) * (RNG.random((4, 3)) > 0.4)
X, Y = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 4))
FORMATS = ["csr_array", "csc_array", "coo_array", "bsr_array", "lil_array", "dok_array", "dia_array", "csr_matrix",
           "csc_matrix", "coo_matrix"]  # fmt: skip


def close(got: Any, want: Any, tol: float = 1e-10) -> None:
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


PRODUCTS: list[tuple[Callable[..., Any], Any]] = [
    (lambda A, x: A @ x, X[:, 0]),
    (lambda A, x: A @ x, X),
    (lambda A, x: x @ A, Y[0]),
    (lambda A, x: x @ A, Y),
    (lambda A, x: A.T @ x, Y[0]),
]


@pytest.mark.parametrize("name", FORMATS)
def test_constant_matrices_of_scipys(name: str) -> None:
    A = getattr(sp, name)(D)
    for product, x in PRODUCTS:
        f, dense = (lambda x, p=product: p(A, x)), (lambda x, p=product: p(D, x))
        close(fg.jit(f)(x), dense(x))
        close(fg.vmap(f)(np.stack([x, 2 * x])), [dense(x), dense(2 * x)])
        close(fg.jacrev(lambda x, f=f: np.sin(f(x)))(x), fg.jacrev(lambda x, f=dense: np.sin(f(x)))(x))
        close(fg.jacfwd(f)(x), fg.jacfwd(dense)(x))
    close(fg.jit(lambda x: A.dot(x))(X), D @ X)
    if "matrix" in name:
        close(fg.jit(lambda x: A * x)(X), D @ X)
        close(fg.jit(lambda x: x * A)(Y), Y @ D)


def test_nothing_becomes_dense() -> None:
    n = 100_000
    A = sp.diags_array([np.ones(n - 1), np.full(n, 2.0)], offsets=[1, 0], format="csr")
    slope = fg.grad(lambda x: np.sum((A @ x) ** 2))(np.ones(n))
    close(slope[[0, 1, -1]], [12.0, 18.0, 14.0])


A = sp.csr_array(D)


def traced(data: Any, x: Any) -> Any:
    return fs.csr_array((data, A.indices, A.indptr), A.shape) @ np.sin(x)


def test_traced_numbers() -> None:
    check_grads(traced, (A.data, X[:, 0]), 2)
    check_grads(lambda d, x: x.T @ fs.csr_array((d, A.indices, A.indptr), A.shape).T, (A.data, X), 2)
    for axes in ((0, None), (None, 0), (0, 0)):
        for x in (X[:, 0], X):
            data = np.stack([A.data, 2 * A.data]) if axes[0] == 0 else A.data
            xs = np.stack([x, x + 1]) if axes[1] == 0 else x
            want = [traced(data[i] if axes[0] == 0 else data, xs[i] if axes[1] == 0 else xs) for i in (0, 1)]
            close(fg.jit(fg.vmap(traced, axes))(data, xs), want)


def test_sparse_arrays() -> None:
    rows, cols = D.nonzero()
    forms = [fs.csr_array(D), fs.csc_array(D), fs.coo_array((D[rows, cols], (rows, cols)), D.shape), fs.csr_array(A),
             fs.csc_array((D[rows, cols], (rows, cols)), D.shape), fs.csr_array(fs.csc_array(D))]  # fmt: skip
    for S in forms:
        close(S.toarray(), D)
        close(S.T.toarray(), D.T)
        close((2 * S / 4).toarray(), D / 2)
        close(S.diagonal(), np.diag(D))
        close(np.ones(4) @ S, D.sum(axis=0))
        assert (S.shape, S.nnz, S.dtype) == ((4, 3), A.nnz, np.float64)
    twice = fs.coo_array((np.ones(3), ([0, 0, 1], [1, 1, 0])))
    close(twice.toarray(), [[0.0, 2.0], [1.0, 0.0]])
    slope = fg.jit(fg.grad(lambda S: np.sum(S @ X[:, 0])))(forms[0])
    assert type(slope) is fs.sparse_array
    close(slope.toarray()[rows, cols], X[cols, 0])
    close(fg.grad(lambda c: np.sum((c * A) @ X[:, 0]))(2.0), np.sum(D @ X[:, 0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: A @ np.stack([x, x]), r"\(4, 3\) cannot be multiplied by f64\[2,3\]"),
        (lambda x: (x * fs.csr_array(A)) @ x, "element by element, is not offered"),
        (lambda x: fs.csr_array((x, [0, 1], [0, 2]), (1, 3)) @ x, "do not fit the shape"),
        (lambda x: fs.csr_array((x, [0, 1, 7], [0, 3]), (1, 3)) @ x, "out of range"),
        (lambda x: fs.matmul(fs.csr_array(A), A), r"A @ \(B @ x\)"),
        (lambda x: spsolve(np.eye(3), x), "A must be sparse"),
        (lambda x: spsolve(A, x), "do not fit"),
        (lambda x: cg(np.ones((3, 2)), x), "must be square"),
        (lambda x: gmres(np.eye(3), x, solve_method="none"), "solve_method must be"),
    ],
)
def test_errors(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fg.grad(lambda x: np.sum(call(x)))(X[:, 0])


# --------------------------------------------------------------------------------------------------------- equations

N = 8
E = RNG.standard_normal((N, N)) * (RNG.random((N, N)) > 0.5) + 5 * np.eye(N)
S = sp.csr_array(E)
P = sp.csr_array(E @ E.T / 5)
B = RNG.standard_normal((N, 2))


def test_spsolve() -> None:
    def solve(data: Any, b: Any) -> Any:
        return spsolve(fs.csr_array((data, S.indices, S.indptr), S.shape), b)

    close(spsolve(S, B), np.linalg.solve(E, B))
    check_grads(solve, (S.data, B[:, 0]), 2)
    check_grads(fg.jit(solve), (S.data, B), 1)
    close(fg.vmap(solve)(np.stack([S.data, 2 * S.data]), B.T), [solve(S.data, B[:, 0]), solve(2 * S.data, B[:, 1])])
    close(fg.jit(lambda b: spsolve(S, b))(1j * B[:, 0]), 1j * np.linalg.solve(E, B[:, 0]))
    with pytest.raises(RuntimeError, match="singular"):
        spsolve(sp.csr_array(np.ones((2, 2))), np.ones(2))


METHODS = [(cg, P), (bicgstab, S), (gmres, S)]


@pytest.mark.parametrize(("method", "matrix"), METHODS)
def test_iterations(method: Callable[..., Any], matrix: Any) -> None:
    dense, b = matrix.toarray(), B[:, 0]

    def solve(data: Any, b: Any) -> Any:
        return method(fs.csr_array((data, matrix.indices, matrix.indptr), matrix.shape), b, tol=1e-12)[0]

    want = np.linalg.solve(dense, b)
    close(solve(matrix.data, b), want)
    assert method(matrix, b)[1] == 0
    close(method(dense, b, x0=want + 1e-3, tol=1e-11, M=lambda x: x / np.diag(dense))[0], want)
    close(method(dense + 1j * np.diag(b) if method is not cg else dense, 1j * b, tol=1e-11)[0],
          np.linalg.solve(dense + (1j * np.diag(b) if method is not cg else 0), 1j * b))  # fmt: skip
    check_grads(lambda b: solve(matrix.data, b), (b,), 2)
    check_grads(lambda c, b: method(lambda x: matrix @ x + c * x, b, tol=1e-12)[0], (0.1, b), 1)
    if method is not cg:  # to which the entries of a symmetric matrix are not free
        check_grads(solve, (matrix.data, b), 1)
    close(fg.jit(fg.vmap(solve, (None, 0)))(matrix.data, B.T), np.linalg.solve(dense, B).T)


@pytest.mark.parametrize(("method", "matrix"), METHODS)
def test_what_has_not_converged_is_told(method: Callable[..., Any], matrix: Any) -> None:
    options = {"maxiter": 1, **({"restart": 2} if method is gmres else {})}
    x, info = fg.jit(lambda b: method(matrix, b, **options))(B[:, 0])
    assert info == 1
    assert np.isfinite(x).all()
    with pytest.raises(fg.scipy.optimize.ConvergenceError, match=f"{method.__name__}: has not converged"):
        fg.jit(fg.grad(lambda b: np.sum(method(matrix, b, **options)[0])))(B[:, 0])


def test_tolerances_have_the_name_of_scipy() -> None:
    for solve in (cg, bicgstab, gmres):
        loose, tight = (solve(np.diag([1.0, 2.0, 9.0]), np.ones(3), rtol=r)[0] for r in (0.9, 1e-10))
        close(tight, [1, 1 / 2, 1 / 9])
        assert np.abs(loose - tight).max() > 1e-3 or solve is gmres


def test_trees() -> None:
    x, info = cg(lambda x: {"a": 2 * x["a"], "b": 4 * x["b"]}, {"a": np.ones(2), "b": 1.0})
    assert info == 0
    close(x["a"], [0.5, 0.5])
    close(x["b"], 0.25)
