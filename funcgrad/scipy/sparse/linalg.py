"""`scipy.sparse.linalg`: solutions of linear equations, whose derivatives are solutions of such equations too.

`cg`, `gmres` and `bicgstab` know of the matrix only its products with vectors (Saad, "Iterative Methods for Sparse
Linear Systems", 2003, chapters 6 and 7). `spsolve` factorises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.control.loops import fori_loop, while_loop
from funcgrad.flatten_util import ravel_pytree
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._host import attended, on_host
from funcgrad.scipy._needs import rest_of, scipy_module
from funcgrad.scipy._sparse import SPARSE_MATMUL
from funcgrad.scipy.sparse._array import is_sparse, parts
from funcgrad.transforms.boundary import boundary
from funcgrad.transforms.linear import linear_transpose
from funcgrad.transforms.linear_solve import custom_linear_solve
from funcgrad.types import ShapedArray, dtype_of, result_dtype, shape_of

__all__ = ["bicgstab", "cg", "gmres", "spsolve"]

Fun = Callable[[Any], Any]


__getattr__ = rest_of("sparse.linalg")


def __dir__() -> list[str]:
    return __all__


def _product(A: Any, unravel: Fun, name: str) -> Fun:
    """A function, or a matrix of any kind, as a function of vectors."""
    if A is None:
        return lambda x: x
    if is_sparse(A):
        structure, data = parts(A)
        return lambda x: SPARSE_MATMUL.bind(data, x, structure=structure)
    if callable(A):
        return lambda x: ravel_pytree(A(unravel(x)))[0]
    matrix = array_operand(A)
    if len(shape_of(matrix)) != 2 or shape_of(matrix)[0] != shape_of(matrix)[1]:
        raise ValueError(f"{name}: A must be square, got an array of shape {shape_of(matrix)}")
    return lambda x: np.matmul(matrix, x)


def _dot(a: Any, b: Any) -> Any:
    return np.sum(np.conj(a) * b)


def _norm(a: Any) -> Any:
    return np.sqrt(np.real(_dot(a, a)))


def _iterative(name: str, iterate: Callable[..., Any], symmetric: bool) -> Callable[..., Any]:
    """The solution by a method: `iterate(A, b, x, M, goal, most) -> (x, steps)` until the residual is small."""

    def run(A: Any, b: Any, x0: Any, tol: float, atol: float, maxiter: int | None, M: Any, **more: Any) -> Any:
        flat, unravel = ravel_pytree(b)
        if dtype_of(flat).kind not in "fc":
            flat = flat.astype(np.float64)
            unravel = lambda x: x if not shape_of(b) == () else x[0]  # noqa: E731
        start = np.zeros_like(flat) if x0 is None else ravel_pytree(x0)[0].astype(dtype_of(flat))
        if shape_of(start) != shape_of(flat):
            raise ValueError(f"{name}: x0 has {shape_of(start)[0]} elements, b has {shape_of(flat)[0]}")
        times, better = _product(A, unravel, name), _product(M, unravel, name)
        most = 10 * shape_of(flat)[0] if maxiter is None else maxiter

        def solving(better: Fun) -> Callable[..., Any]:
            def solve(times: Fun, b: Any) -> Any:
                """The solution, NaN unless it was found; and what was found, and whether it is the solution."""
                goal = np.maximum(tol * _norm(b), atol)
                x, steps = iterate(times, b, np.where(_norm(b - times(start)) <= _norm(b), start, 0 * start), better,
                                   goal, most, **more)  # fmt: skip
                good = _norm(b - times(x)) <= np.maximum(2 * goal, 1e-13 * _norm(b))
                return np.where(good, x, np.nan), (x, good, steps)

            return solve

        turned = None
        if not symmetric:
            turned = solving(better if M is None else lambda v: linear_transpose(better, v)(v)[0])
        x, (raw, good, steps) = custom_linear_solve(times, flat, solving(better), turned, symmetric, has_aux=True)
        x = attended(np.where(good, x, raw), good, lambda: f"{name}: has not converged: its derivative is not known")
        return unravel(x), np.where(good, 0, steps)

    return run


def _cg(times: Fun, b: Any, x: Any, better: Fun, goal: Any, most: int) -> Any:
    r = b - times(x)
    z = better(r)

    def step(state: Any) -> Any:
        x, r, p, rz, k = state
        ap = times(p)
        alpha = rz / _dot(p, ap)
        x, r = x + alpha * p, r - alpha * ap
        z = better(r)
        new = _dot(r, z)
        return x, r, z + new / rz * p, new, k + 1

    state = (x, r, z, _dot(r, z), np.int64(0))
    out = while_loop(lambda s: (_norm(s[1]) > goal) & (s[4] < most), step, state)
    return out[0], out[4]


def _bicgstab(times: Fun, b: Any, x: Any, better: Fun, goal: Any, most: int) -> Any:
    r = b - times(x)
    shadow, zero, one = r, np.zeros_like(r), np.ones((), dtype_of(r))

    def step(state: Any) -> Any:
        x, r, p, v, rho, alpha, omega, k = state
        new = _dot(shadow, r)
        p = r + new / rho * (alpha / omega) * (p - omega * v)
        q = better(p)
        v = times(q)
        alpha = new / _dot(shadow, v)
        s = r - alpha * v
        w = better(s)
        t = times(w)
        size = _dot(t, t)
        omega = _dot(t, s) / np.where(size == 0, 1.0, size)
        done = _norm(s) <= goal
        omega = np.where(done, one, omega)  # the half step was enough; p is not used again
        return (
            x + alpha * q + np.where(done, 0 * w, omega * w),
            np.where(done, s, s - omega * t),
            p,
            v,
            new,
            alpha,
            omega,
            k + 1,
        )

    state = (x, r, zero, zero, one, one, one, np.int64(0))
    out = while_loop(lambda s: (_norm(s[1]) > goal) & (s[7] < most), step, state)
    return out[0], out[7]


def _gmres(times: Fun, b: Any, x: Any, better: Fun, goal: Any, most: int, restart: int) -> Any:
    n = shape_of(b)[0]
    m = min(restart, n)
    dtype = dtype_of(b)

    def cycle(state: Any) -> Any:
        x, _, k = state
        r = b - times(x)
        size = _norm(r)
        rows = np.arange(m + 1)

        def arnoldi(j: Any, carry: Any) -> Any:
            basis, h = carry
            w = times(better(np.matmul(np.equal(rows, j).astype(dtype), basis)))
            first = np.matmul(np.conj(basis), w)
            w = w - np.matmul(first, basis)
            again = np.matmul(np.conj(basis), w)  # once more, for orthogonality to rounding
            w = w - np.matmul(again, basis)
            length = _norm(w)
            known = length > 1e-14 * size
            basis = basis + np.outer(np.equal(rows, j + 1), np.where(known, w / np.where(known, length, 1.0), 0 * w))
            column = first + again + np.equal(rows, j + 1) * np.where(known, length, 0.0)
            return basis, h + np.outer(column, np.equal(np.arange(m), j))

        first = r / np.where(size == 0, 1.0, size)
        basis = np.outer(np.equal(rows, 0), first).astype(dtype)
        basis, h = fori_loop(0, m, arnoldi, (basis, np.zeros((m + 1, m), dtype)))
        y = np.matmul(np.linalg.pinv(h), np.where(rows == 0, size, 0.0).astype(dtype))
        x = x + better(np.matmul(y, basis[:m]))
        return x, _norm(b - times(x)), k + 1

    state = (x, _norm(b - times(x)), np.int64(0))
    out = while_loop(lambda s: (s[1] > goal) & (s[2] < most), cycle, state)
    return out[0], out[2]


_run_cg = _iterative("cg", _cg, True)
_run_bicgstab = _iterative("bicgstab", _bicgstab, False)
_run_gmres = _iterative("gmres", _gmres, False)


@boundary
def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    rtol: float | None = None,
) -> tuple[Any, Any]:
    """The x with A x = b by conjugate gradients, for a Hermitian, positive definite A.

    It has derivatives by b, by the numbers of A and by what a function A closes over, to any order: they are solutions
    found in the same way, so `tol` is their accuracy too.

    Args:
        A: a linear function of a pytree like b, a dense matrix, or a sparse one (SciPy's, or with traced numbers).
        b: a pytree of arrays; a vector where A is a matrix.
        x0: where to start; it has no derivative.
        tol, atol: done when the residual is at most max(tol ‖b‖, atol).
        maxiter: the most steps; 10 for each unknown without it.
        M: like A, near its inverse: a preconditioner.
        rtol: SciPy's name for `tol`; it takes precedence.

    Returns:
        (x, 0), or, if it has not converged, (what was reached, the number of steps); its derivative is then a
        ConvergenceError, and a derivative whose own equation was not solved is NaN.

    >>> x, info = cg(lambda x: 2.0 * x, np.ones(3))
    >>> x, int(info)
    (array([0.5, 0.5, 0.5]), 0)
    """
    return _run_cg(A, b, x0, tol if rtol is None else rtol, atol, maxiter, M)


@boundary
def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    rtol: float | None = None,
) -> tuple[Any, Any]:
    """The x with A x = b by stabilised biconjugate gradients; arguments, result and derivatives as of `cg`.

    >>> bicgstab(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]))[0].round(6)
    array([1., 1.])
    """
    return _run_bicgstab(A, b, x0, tol if rtol is None else rtol, atol, maxiter, M)


@boundary
def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
    rtol: float | None = None,
) -> tuple[Any, Any]:
    """The x with A x = b by the generalised method of minimal residuals; arguments, result and derivatives as of `cg`.

    Args:
        restart: how many vectors are kept before it starts anew; `maxiter` counts the starts.
        solve_method: "batched" or "incremental", accepted for JAX's sake.

    >>> gmres(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]))[0].round(6)
    array([1., 1.])
    """
    if solve_method not in ("batched", "incremental"):
        raise ValueError(f"gmres: solve_method must be 'batched' or 'incremental', got {solve_method!r}")
    return _run_gmres(A, b, x0, tol if rtol is None else rtol, atol, maxiter, M, restart=restart)


# ---------------------------------------------------------------------------------------------------------- spsolve


class _Factors:
    """SciPy's factors of a sparse matrix, kept until its numbers change."""

    __slots__ = ("kept", "permutation", "structure")

    def __init__(self, structure: Any, permutation: str | None) -> None:
        self.structure, self.permutation = structure, permutation
        self.kept: tuple[Any, Any] | None = None

    def solver(self, trans: str) -> Callable[..., Any]:
        """A function of plain numbers and right-hand sides, with the matrix or its transpose."""

        def solve(data: Any, b: Any) -> list[Any]:
            kept = self.kept
            if kept is None or kept[0].dtype != b.dtype or not np.array_equal(kept[0], data):
                linalg = scipy_module("sparse.linalg", "sparse.linalg.spsolve")
                matrix = self.structure.matrix(np.array(data, b.dtype)).tocsc()
                matrix.sum_duplicates()
                kept = self.kept = np.array(data, b.dtype), linalg.splu(matrix, permc_spec=self.permutation)
            return [kept[1].solve(np.ascontiguousarray(b), trans)]

        return solve


@boundary
def spsolve(A: Any, b: Any, permc_spec: str | None = None, use_umfpack: bool = True) -> Any:
    """The x with A x = b for a sparse A, by SciPy's sparse LU decomposition, which serves the transposed equation too.

    It has derivatives by b and by the numbers of A (if it is one of `funcgrad.scipy.sparse`), to any order.

    Args:
        A: a square sparse matrix.
        b: a vector, or a dense matrix of right-hand sides.
        permc_spec: as for SciPy.
        use_umfpack: accepted for SciPy's sake.

    Raises RuntimeError where A is singular.

    >>> from funcgrad.scipy.sparse import csr_array
    >>> spsolve(csr_array(np.array([[2.0, 0.0], [1.0, 4.0]])), np.array([2.0, 9.0]))
    array([1., 2.])
    """
    if not is_sparse(A) or is_sparse(b):
        raise TypeError("spsolve: A must be sparse and b dense; for a dense A there is np.linalg.solve")
    structure, data = parts(A)
    b = array_operand(b)
    n = structure.shape[0]
    if structure.shape[1] != n or shape_of(b)[:1] != (n,) or len(shape_of(b)) > 2:
        raise ValueError(f"spsolve: A of shape {structure.shape} and b of shape {shape_of(b)} do not fit")
    dtype = result_dtype(data, b, np.zeros((), np.float64))
    data, b = array_operand(data).astype(dtype), b.astype(dtype)
    factors = _Factors(structure, permc_spec)
    aval = ShapedArray(shape_of(b), dtype)

    def times(x: Any) -> Any:
        return SPARSE_MATMUL.bind(data, x, structure=structure)

    def solving(trans: str) -> Callable[..., Any]:
        call = factors.solver(trans)
        return lambda _, v: on_host(call, [aval], data, v)[0]

    return custom_linear_solve(times, b, solving("N"), solving("T"))
