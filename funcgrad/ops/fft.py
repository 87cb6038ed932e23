"""Discrete Fourier transforms along one axis: linear primitives, whose transposes are transforms again.

`fft[axis, inverse]` is y[k] = Σ_j x[j] exp(∓2πi jk/n), divided by n for the inverse; its matrix is symmetric. `rfft`
gives the n//2 + 1 first of these for a real operand, and `irfft[n]` inverts that. Several axes, padding,
and other norms are made of these (`numpy/fft.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ops.rules import linear
from funcgrad.types import ShapedArray, dtype_of, shape_of

__all__ = ["FFT", "IRFFT", "RFFT"]


def _complex(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a transform: NumPy's, which keeps single precision."""
    return np.result_type(dtype, np.complex64) if dtype.kind in "fc" else np.dtype(complex)


def _length(x: ShapedArray, axis: int) -> int:
    if x.shape[axis] < 1:
        raise ShapeError(f"Invalid number of FFT data points ({x.shape[axis]}): axis {axis} of {x.shape} is empty")
    return x.shape[axis]


def _along(x: ShapedArray, axis: int, n: int, dtype: np.dtype[Any]) -> ShapedArray:
    return ShapedArray((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtype)


# ---------------------------------------------------------------------------------------------- complex


def _fft_impl(x: Any, axis: int, inverse: bool) -> Any:
    return np.fft.ifft(x, axis=axis) if inverse else np.fft.fft(x, axis=axis)


def _fft_aval(x: ShapedArray, axis: int, inverse: bool) -> ShapedArray:
    return _along(x, axis, _length(x, axis), _complex(x.dtype))


def _fft_flops(ins: Sequence[ShapedArray], out: ShapedArray, **params: Any) -> int:
    """5 n log₂ n for each complex transform of length n (the usual count)."""
    n = max(ins[0].shape[params["axis"]], out.shape[params["axis"]])
    return 5 * max(ins[0].size, out.size) * max(n - 1, 1).bit_length()


FFT = linear(
    "fft",
    _fft_impl,
    _fft_aval,
    lambda ct, ins, wanted, axis, inverse: [FFT.bind(ct, axis=axis, inverse=inverse)],
    along="axis",
    flops=_fft_flops,
)
"""The transform along `axis`, or its inverse; of a real operand too."""


# -------------------------------------------------------------------------------------------------- real


def _rfft_aval(x: ShapedArray, axis: int) -> ShapedArray:
    if x.dtype.kind == "c":
        raise DTypeError(f"rfft takes real numbers, got {x.dtype}; use fft, or take np.real(x)")
    return _along(x, axis, _length(x, axis) // 2 + 1, _complex(x.dtype))


def _rfft_transpose(ct: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int) -> list[Any]:
    shape = shape_of(ins[0])
    rest = shape[axis] - shape_of(ct)[axis]
    zeros = np.zeros((*shape[:axis], rest, *shape[axis + 1 :]), dtype_of(ct))
    return [np.real(FFT.bind(np.concatenate([ct, zeros], axis), axis=axis, inverse=False))]


RFFT = linear(
    "rfft",
    lambda x, axis: np.fft.rfft(x, axis=axis),
    _rfft_aval,
    _rfft_transpose,
    along="axis",
    flops=_fft_flops,
)
"""The n//2 + 1 first elements of the transform of a real operand along `axis`."""


def _irfft_aval(x: ShapedArray, axis: int, n: int) -> ShapedArray:
    if n < 1:
        raise ShapeError(f"Invalid number of FFT data points ({n})")
    if x.shape[axis] != n // 2 + 1:
        raise ShapeError(f"irfft to {n} elements takes {n // 2 + 1} along axis {axis}, got {x.shape}")
    return _along(x, axis, n, _real(x.dtype))


@cache
def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of an inverse transform to real numbers, which NumPy says: it keeps half precision there."""
    return np.fft.irfft(np.zeros(1, dtype), 1).dtype


def _irfft_transpose(ct: Any, ins: Sequence[Any], wanted: Sequence[bool], axis: int, n: int) -> list[Any]:
    """y[j] = Σ_k w[k]/n · Re(x[k] exp(2πi jk/n)), where w is 1 for k = 0 and k = n/2, and 2 for all others."""
    weights = np.full(n // 2 + 1, 2 / n, dtype_of(ct))
    weights[0] = 1 / n
    if n % 2 == 0:
        weights[-1] = 1 / n
    wide = weights.reshape(-1, *(1,) * (len(shape_of(ct)) - axis - 1))
    return [wide * np.conjugate(RFFT.bind(ct, axis=axis))]


def _irfft_impl(x: Any, axis: int, n: int) -> Any:
    if x.shape[axis] != n // 2 + 1:  # NumPy would pad or cut
        raise ValueError(f"irfft to {n} elements")
    return np.fft.irfft(x, n, axis)


IRFFT = linear("irfft", _irfft_impl, _irfft_aval, _irfft_transpose, along="axis", flops=_fft_flops)
"""The n real numbers of which `rfft` along `axis` gives the operand, less imaginary parts where it has none."""
