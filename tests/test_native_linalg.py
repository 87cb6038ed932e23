"""Linear algebra in native code: of tiny matrices in registers, of larger ones by LAPACK, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

import funcgrad as fg
from funcgrad.native.symbols import address
from funcgrad.scipy.linalg import expm
from funcgrad.transforms.make_ir import make_ir, trace_to_program

rng = np.random.default_rng(0)
STACKS = ((), (1,), (3,), (9,), (2, 5))  # places of the leading axes: fewer than lanes, more, a remainder
SIZES = (1, 2, 3, 4, 9, 17)


def matrices(stack: tuple[int, ...], n: int, dtype: str) -> np.ndarray:
    return (rng.standard_normal((*stack, n, n)) + 2 * np.eye(n)).astype(dtype)


def positive(a: np.ndarray) -> np.ndarray:
    return a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1], dtype=a.dtype)


def triangular(a: Any, b: Any, lower: bool, transposed: bool) -> Any:
    return fg.lax.linalg.triangular_solve(a, b, left_side=True, lower=lower, transpose_a=transposed)


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "solve": np.linalg.solve,
    "solve transposed": lambda a, b: np.linalg.solve(np.swapaxes(a, -1, -2), b),
    "inv": lambda a, b: np.linalg.inv(a),
    "det": lambda a, b: np.linalg.det(a) if a.shape[-1] < 6 else b,
    "slogdet": lambda a, b: np.linalg.slogdet(a) if a.shape[-1] < 6 else b,
    "cholesky": lambda a, b: np.linalg.cholesky(positive(a)),
    "by a factor": lambda a, b: np.linalg.solve(np.linalg.cholesky(positive(a)), b),
    "by its transpose": lambda a, b: np.linalg.solve(np.swapaxes(np.linalg.cholesky(positive(a)), -1, -2), b),
    "lower": lambda a, b: triangular(a, b, True, False),
    "upper transposed": lambda a, b: triangular(a, b, False, True),
}


def compiled(f: Callable[..., Any], *args: np.ndarray, **how: Any) -> Compiled:
    return Compiled(trace_to_program(lambda *xs: fg.tree.leaves(f(*xs)), args), **how)


@pytest.mark.skipif(address("dgesv_") is None, reason="NumPy has another LAPACK")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str, dtype: str) -> None:
    f = FUNCTIONS[name]
    args, wants = [], []
    for k, n in enumerate(SIZES):
        stack = STACKS[k % len(STACKS)]
        a, b = matrices(stack, n, dtype), rng.standard_normal((*stack, n, (1, 3, 8)[k % 3])).astype(dtype)
        args += [a, b]
        wants += fg.tree.leaves(fg.jit(f)(a, b) if "er" in name else f(a, b))
    program = compiled(lambda *xs: [f(a, b) for a, b in zip(xs[::2], xs[1::2], strict=True)], *args)
    assert not program.code.host_steps, [s.reason for s in program.code.host_steps]
    tolerance = 2e-3 if dtype == "float32" else 1e-9
    for got, want in zip(program(*args), wants, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [2, 4, 9])
def test_a_right_hand_side_is_broadcast(n: int) -> None:
    a, b = matrices((2, 4), n, "float64"), rng.standard_normal((4, n, 2))
    program = compiled(np.linalg.solve, a, b)
    np.testing.assert_allclose(program(a, b)[0], np.linalg.solve(a, b), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n", [2, 4, 9])
@pytest.mark.parametrize("f", [lambda a: np.linalg.solve(a, a), np.linalg.inv, np.linalg.cholesky])
def test_what_numpy_refuses_goes_to_numpy(f: Callable[[Any], Any], n: int) -> None:
    a = np.stack([np.eye(n)] * 6)
    program = compiled(f, a)
    np.testing.assert_array_equal(program(a)[0], np.stack([np.eye(n)] * 6))
    a[3, 1, 1] = 0
    with pytest.raises(FloatingPointError):
        program(a)


@pytest.mark.parametrize("n", [2, 4])
def test_determinants_of_singular_matrices(n: int) -> None:
    a = np.stack([np.ones((n, n)), np.eye(n), -np.eye(n)[::-1]])
    det, sign, log = compiled(lambda a: (np.linalg.det(a), *np.linalg.slogdet(a)), a)(a)
    want = np.linalg.slogdet(a)
    np.testing.assert_allclose(det, np.linalg.det(a), atol=1e-15)
    np.testing.assert_array_equal(sign, want.sign)
    np.testing.assert_allclose(log, want.logabsdet)


@pytest.mark.parametrize("n", [3, 12])
def test_gradients(n: int) -> None:
    a, b = positive(matrices((), n, "float64")), rng.standard_normal(n)

    def likelihood(a: Any, b: Any) -> Any:
        low = np.linalg.cholesky(a)
        return (
            np.sum(np.linalg.solve(low, b) ** 2) + 2 * np.sum(np.log(np.diagonal(low))) + np.sum(np.linalg.inv(a) ** 3)
        )

    f = fg.grad(likelihood, (0, 1))
    for got, want in zip(compiled(f, a, b)(a, b), f(a, b), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_factors_are_made_once() -> None:
    """For the equations of a gradient, which has the transposed matrix; a matrix that was changed is another one."""
    n = 20
    a, b = matrices((), n, "float64"), rng.standard_normal(n)

    def f(a: Any, b: Any) -> Any:
        x = np.linalg.solve(a, b)
        return np.sum(np.sin(x)) + np.sum(np.linalg.solve(a, x) ** 2) + np.sum(np.linalg.solve(a.T, np.outer(x, b)))

    gradient = fg.grad(f, (0, 1))
    program = compiled(gradient, a, b)
    assert program.code.text.count("call void %ext.dgetrf_") == 1
    for got, want in zip(program(a, b), gradient(a, b), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8)
    program = compiled(lambda a, b: [np.linalg.solve(a, b), np.linalg.solve((2 * a).T, b)], a, b)
    assert program.code.text.count("call void %ext.dgetrf_") == 2
    np.testing.assert_allclose(program(a, b)[1], np.linalg.solve(a.T, b) / 2, rtol=1e-8)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_norms(axis: int | None) -> None:
    a = rng.standard_normal((7, 9))

    def f(a: Any) -> Any:
        return [np.linalg.norm(a, axis=axis), np.linalg.norm(a + 1j * a.T[:7, :7][0, 0], axis=axis, keepdims=True)]

    program = compiled(f, a)
    assert not program.code.host_steps
    for got, want in zip(program(a), f(a), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("shape", [(3, 3), (2, 9, 9)])
def test_exponentials_of_matrices(shape: tuple[int, ...]) -> None:
    a = rng.standard_normal(shape)
    for size in (1e-3, 1.0, 100.0):  # not halved, halved once, halved often
        given = (size * a).astype("float32" if size == 1 else "float64")
        program = compiled(lambda a: [expm(a)], given)
        assert not program.code.host_steps
        want = expm(given)
        np.testing.assert_allclose(program(given)[0], want, atol=1e-12 * np.max(np.abs(want)))


def test_a_program_is_expanded_where_nothing_is_the_users() -> None:
    """In a thread of the package's own."""
    f = fg.jit(expm, native="now")
    a = rng.standard_normal((5, 5))
    f(a)
    assert "native code" in f.explain() and "NumPy" not in f.explain()


def test_a_matrix_is_decomposed_once() -> None:
    a = matrices((3,), 6, "float64")

    def f(a: Any) -> Any:
        values = np.linalg.eigh(a)[0], np.linalg.svd(a, full_matrices=False)[1]
        return sum(np.sum(np.sin(v)) for v in values)

    gradient = fg.value_and_grad(f)
    program = Compiled(make_ir(gradient)(a))
    assert [program.code.text.count(f"call void %ext.d{name}_") for name in ("syevd", "gesdd")] == [1, 1]
    for got, want in zip(program(a), gradient(a), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)
