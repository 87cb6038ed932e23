"""Functions of complex numbers in native code against NumPy's, to a few roundings; the rest runs again by NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_harness import Case, Compiled

from funcgrad.native.scalars import supports
from funcgrad.ops.math import UFUNCS

C64, C128 = np.dtype(np.complex64), np.dtype(np.complex128)
UNARY = [np.exp, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sqrt, np.sin, np.cos, np.tan, np.sinh, np.cosh,
         np.tanh]  # fmt: skip
MOST = 6.0
"""Units in the last place of the absolute value, near which NumPy's own functions may be off."""


def numbers(dtype: np.dtype[Any]) -> np.ndarray:
    """Always the same, whichever tests ran before."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(400) + 1j * rng.standard_normal(400)
    z[:100] *= 10.0 ** rng.uniform(-6, 1, 100)
    axes = [0.5, -0.5, 2.0, -2.0, 0.5j, -0.5j, 2j, -2j, complex(-0.7, -0.0), complex(0.3, -0.0), complex(-0.0, 1.0)]
    return np.concatenate([z, np.array([*axes, 1 + 1e-7j, -1j, 0.6 + 0.8j, 1.0])]).astype(dtype)


def roundings(got: np.ndarray, want: np.ndarray, least: float) -> float:
    size = np.maximum(abs(want), np.real(want).dtype.type(least))
    return float(np.max(abs(got.astype(C128) - want.astype(C128)) / np.spacing(size)))


@pytest.mark.parametrize(("dtype", "width"), [(C64, 8), (C128, 0), (C128, 4)])
def test_functions(dtype: np.dtype[Any], width: int) -> None:
    cases = [Case(UFUNCS[u], (dtype,), dtype, {}) for u in UNARY]
    assert all(supports(c.primitive, c.ins, c.out, c.params) for c in cases)
    code, z = Compiled(cases, width), numbers(dtype)
    z = z[: z.size // 8 * 8]
    wrong = {}
    for case in cases:
        with np.errstate(all="ignore"):
            # Of complex64 NumPy's C library is less exact than the same of complex128, rounded.
            want = case.primitive.impl(z.astype(C128)).astype(dtype)
        got, status = code(case, z)
        # `log1p` adds 1 to the real part first, as NumPy's does.
        part = roundings(got, want, 1.0 if case.primitive is UFUNCS[np.log1p] else 0.0)
        signs = np.signbit(np.imag(got)) != np.signbit(np.imag(want))
        if status >> 8 or part > MOST or signs[np.imag(want) == 0].any():
            wrong[case.primitive.name] = part, status
    assert wrong == {}


@pytest.mark.parametrize(("dtype", "width"), [(C64, 8), (C128, 4)])
def test_powers(dtype: np.dtype[Any], width: int) -> None:
    case = Case(UFUNCS[np.power], (dtype, dtype), dtype, {})
    code, z = Compiled([case], width), numbers(dtype)[:400]
    w = np.roll(z, 7)
    got, status = code(case, z, w)
    want = np.power(z.astype(C128), w.astype(C128)).astype(dtype)
    # An error of the exponent comes back multiplied by its size.
    size = 1 + abs(w) * (abs(np.log(z)) + 1)
    assert status >> 8 == 0
    assert np.max(abs(got.astype(C128) - want) / (abs(want) * np.finfo(dtype).eps * size)) < 4


def test_what_is_out_of_range_runs_again() -> None:
    cases = [Case(UFUNCS[u], (C128,), C128, {}) for u in UNARY]
    code = Compiled(cases, 0)
    for case in cases:
        for z in (complex(math.inf, 1), complex(math.nan, 0), complex(1, math.inf), complex(0, math.nan)):
            assert code(case, np.full(8, z))[1] >> 8 == 1, (case.primitive.name, z)
    assert code(cases[UNARY.index(np.log)], np.zeros(8, complex))[1] >> 8 == 1
    assert code(cases[UNARY.index(np.exp)], np.full(8, 800 + 1j))[1] >> 8 == 1
    got, status = code(cases[UNARY.index(np.sqrt)], np.full(8, complex(0.0, -0.0)))
    assert status >> 8 == 0 and str(got[0]) == "-0j"
