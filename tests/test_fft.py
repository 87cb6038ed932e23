"""Fourier transforms: what the table of operations does not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcgrad.numpy as fnp
from funcgrad import grad, jit, lax, make_ir
from funcgrad.errors import DTypeError

RNG = np.random.default_rng(0)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["backward", "ortho", "forward"]), st.sampled_from("fdFD"))
def test_lengths(have: int, n: int, norm: Any, code: str) -> None:
    """Every pair of lengths, traced and compiled, as NumPy: padded, cut, odd and even."""
    x = RNG.normal(size=(2, have)).astype(code)
    for name in ("fft", "ifft", "irfft", "hfft", *(("rfft", "ihfft") if code in "fd" else ())):
        fun = getattr(np.fft, name)
        want = fun(x, n, -1, norm)
        for got in (jit(lambda x, f=fun: f(x, n, -1, norm))(x), getattr(fnp.fft, name)(x, n, -1, norm)):
            assert got.dtype == want.dtype
            eps = np.finfo(want.dtype).eps
            np.testing.assert_allclose(got, want, rtol=100 * eps, atol=50 * eps)


def test_parseval() -> None:
    x = RNG.normal(size=12)
    g = grad(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2))(x)
    np.testing.assert_allclose(g, 2 * 12 * x)


def test_convolution_by_transforms() -> None:
    a, b = RNG.normal(size=7), RNG.normal(size=5)

    def by_fft(a: Any) -> Any:
        return np.sum(np.fft.irfft(np.fft.rfft(a, 11) * np.fft.rfft(b, 11), 11) ** 3)

    want = grad(lambda a: np.sum(np.convolve(a, b) ** 3))(a)
    np.testing.assert_allclose(grad(by_fft)(a), want, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(jit(grad(by_fft))(a), want, rtol=1e-10, atol=1e-10)


def test_the_program_is_readable() -> None:
    text = str(make_ir(lambda x: np.fft.rfft(x, norm="ortho"))(np.ones(4, np.float32)))
    assert "b:c64[3] = rfft[axis=0] a" in text and "c:c64[3] = mul b 0.5" in text


@pytest.mark.parametrize(
    ("fun", "kind", "words"),
    [
        (lambda x: np.fft.rfft(x * 1j), DTypeError, "np.real"),
        (lambda x: np.fft.fft(x, 0), ValueError, r"data points \(0\)"),
        (lambda x: np.fft.fft(x, axis=3), np.exceptions.AxisError, "axis 3"),
        (lambda x: np.fft.fft(x, norm="both"), ValueError, "ortho"),
        (lambda x: np.fft.fftn(x, (2, 2, 2), (0, 1)), ValueError, "different lengths"),
        (lambda x: lax.fft(x, "FFT", (5,)), ValueError, r"lengths \(5,\)"),
    ],
)
def test_errors(fun: Callable[[Any], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make_ir(fun)(np.ones((3, 4)))


def test_names_of_lax() -> None:
    x = RNG.normal(size=(2, 3, 4))
    np.testing.assert_allclose(lax.fft(x, "FFT", (3, 4)), np.fft.fftn(x, axes=(1, 2)))
    np.testing.assert_allclose(lax.fft(x, lax.FftType.RFFT, 4), np.fft.rfft(x))
    np.testing.assert_allclose(lax.fft(np.fft.rfft(x), lax.FftType.IRFFT, (4,)), x)
    np.testing.assert_allclose(lax.fft(np.fft.fft(x), "ifft", 4), x, atol=1e-15)
