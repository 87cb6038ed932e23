"""Fourier transforms by the names of `jax.lax`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand

__all__ = ["FftType", "fft"]


class FftType(Enum):
    """Which transform `fft` does."""

    FFT = "fft"
    IFFT = "ifft"
    RFFT = "rfft"
    IRFFT = "irfft"


def fft(x: Any, fft_type: FftType | str, fft_lengths: int | Sequence[int]) -> Any:
    """The Fourier transform over the last axes of an array.

    Args:
        x: an array.
        fft_type: an `FftType`, or its name: FFT, IFFT, RFFT or IRFFT.
        fft_lengths: the lengths of the transform, one for each axis: those of the operand, and for IRFFT of the result.

    Raises:
        ShapeError: the lengths are not those of the operand.

    >>> fft(np.array([1.0, 0.0, 0.0]), "RFFT", 3)
    array([1.+0.j, 1.+0.j])
    """
    kind = fft_type if isinstance(fft_type, FftType) else FftType[str(fft_type).upper()]
    lengths = tuple(fft_lengths) if isinstance(fft_lengths, Sequence) else (fft_lengths,)
    operand = array_operand(x)
    axes = tuple(range(-len(lengths), 0))
    shape = tuple(operand.shape[-len(lengths) :])
    want = (*lengths[:-1], lengths[-1] // 2 + 1) if kind is FftType.IRFFT else lengths
    if shape != want:
        raise ShapeError(f"fft: {kind.name} of lengths {lengths} takes last axes {want}, got shape {operand.shape}")
    return getattr(fnp.fft, f"{kind.value}n")(operand, lengths, axes)
