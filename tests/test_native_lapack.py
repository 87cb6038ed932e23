"""Decompositions in native code, which LAPACK does as it does NumPy's: bit for bit where its blocks are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

from funcgrad import lax
from funcgrad.scipy.linalg import lu_factor
from funcgrad.transforms.make_ir import make_ir

rng = np.random.default_rng(0)

SQUARE = [(1, 1), (6, 6), (2, 40, 40)]
ANY = [(5, 1), (4, 6), (3, 20, 4), (4, 20)]
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], list[tuple[int, ...]]]] = {
    "eigenvalues and vectors": (lambda a: [*np.linalg.eigh(a), *np.linalg.eigh(a, "U")], SQUARE),
    "eigenvalues": (lambda a: [np.linalg.eigvalsh(a)], SQUARE),
    "singular values and vectors": (
        lambda a: [*np.linalg.svd(a), *np.linalg.svd(a, full_matrices=False)],
        [*ANY, (6, 6)],
    ),
    "singular values": (lambda a: [np.linalg.svd(a, compute_uv=False)], ANY),
    "qr": (lambda a: [*np.linalg.qr(a), *np.linalg.qr(a, "complete")], [*ANY, (6, 6)]),
    "determinants": (lambda a: [np.linalg.det(a), *np.linalg.slogdet(a)], [(20, 20), (3, 9, 9)]),
    "pseudoinverses": (lambda a: [np.linalg.pinv(a), np.linalg.pinv(a @ a.swapaxes(-1, -2), 1e-3)], ANY),
    "lu": (lambda a: list(lu_factor(a)), [*ANY, (6, 6)]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_decompositions(name: str, dtype: str) -> None:
    function, shapes = FUNCTIONS[name]
    given = [rng.standard_normal(shape).astype(dtype) for shape in shapes]

    def f(*given: Any) -> Any:
        return [y for a in given for y in function(a)]

    program = Compiled(make_ir(f)(*given))
    assert not program.code.host_steps
    tolerance = 64 * float(np.finfo(dtype).eps)
    for got, want in zip(program(*given), f(*given), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tridiagonal_equations(dtype: str) -> None:
    low, d, b = (rng.random(shape).astype(dtype) for shape in ((9,), (3, 9), (3, 9, 2)))

    def f(low: Any, d: Any, b: Any) -> Any:
        return [lax.linalg.tridiagonal_solve(low, d + 2, low[::-1], b)]

    program = Compiled(make_ir(f)(low, d, b))
    assert not program.code.host_steps
    np.testing.assert_array_equal(program(low, d, b)[0], f(low, d, b)[0])


def test_what_lapack_gives_up_is_numpys() -> None:
    nan, zero = np.full((9, 9), np.nan), np.zeros((9, 9))
    for f, a in ((lambda a: [np.linalg.svd(a)[1]], nan), (lambda a: [np.linalg.slogdet(a)[1]], zero)):
        program = Compiled(make_ir(f)(a))
        with pytest.raises(FloatingPointError):
            program(a)
