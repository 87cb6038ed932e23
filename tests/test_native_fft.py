"""Fourier transforms in native code, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

from funcgrad.native.emit_fft import _LONGEST
from funcgrad.transforms.make_ir import trace_to_program

rng = np.random.default_rng(0)

# the shape, the axis, and the bytes of a vector
CASES: list[tuple[tuple[int, ...], int, int]] = [
    ((1,), 0, 64),
    ((2, 3), 0, 64),
    ((4, 2, 4), 1, 16),
    ((3, 128), 1, 64),  # factors 4, 4, 4, 2: lanes are places of one pass, or columns of the next
    ((96,), 0, 32),
    ((75,), 0, 64),  # odd: no real row is a complex one of half the length
    ((105,), 0, 64),
    ((24, 37), 0, 64),
    ((2, 250, 300), 1, 64),  # not all columns at once
]


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_all_transforms(case: int, single: bool) -> None:
    shape, axis, width = CASES[case]
    n = shape[axis]

    def f(x: Any, z: Any, half: Any) -> Any:
        made = [np.fft.fft(z, axis=axis), np.fft.ifft(z, axis=axis), np.fft.fft(x, axis=axis)]
        made += [np.fft.rfft(x, axis=axis), np.fft.irfft(half, n, axis=axis)]
        return [*made, np.fft.irfft(half.real, n, axis=axis), np.fft.hfft(half.real, n, axis=axis)]

    x, y = rng.standard_normal((2, *shape))
    z = x + 1j * y
    half = np.moveaxis(np.moveaxis(z, axis, 0)[: n // 2 + 1], 0, axis)  # imaginary parts that are not read
    given = [a.astype("f" if single else "d") if a.dtype.kind == "f" else a.astype("F" if single else "D")
             for a in (x, z, np.ascontiguousarray(half))]  # fmt: skip
    run = Compiled(trace_to_program(f, tuple(given)), width=width)
    assert not run.code.host_steps
    for got, want in zip(run(*given), f(*given), strict=True):
        assert got.dtype == want.dtype
        error = np.linalg.norm(got - want) / np.linalg.norm(want)
        assert error < (1e-6 if single else 1e-15)


@pytest.mark.parametrize("n", [2 * 11, 2 * _LONGEST])
def test_what_is_left_to_numpy(n: int) -> None:
    x = rng.standard_normal(n)
    run = Compiled(trace_to_program(lambda x: [np.fft.fft(x)], (x,)))
    assert len(run.code.host_steps) == 1
    np.testing.assert_array_equal(run(x)[0], np.fft.fft(x))
