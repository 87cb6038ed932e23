"""Fourier transforms by the names of `jax.lax`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import is_a

__all__ = ["FftType", "fft"]


class FftType(IntEnum):
    """Which transform `fft` does."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


def fft(x: Any, fft_type: FftType | str, fft_lengths: int | Sequence[int]) -> Any:
    """The Fourier transform over the last axes of an array.

    Args:
        x: an array.
        fft_type: an `FftType`, or its name: FFT, IFFT, RFFT or IRFFT.
        fft_lengths: the lengths of the transform, one for each axis: those of the operand, and for IRFFT of the result.

    Raises:
        ShapeError: the lengths are not those of the operand.
        ValueError: there is no such transform, or RFFT is given complex numbers.

    >>> fft(np.array([1.0, 0.0, 0.0]), "RFFT", 3)
    array([1.+0.j, 1.+0.j])
    """
    kind = _kind(fft_type)
    lengths = tuple(fft_lengths) if isinstance(fft_lengths, Sequence) else (fft_lengths,)
    operand = array_operand(x)
    if kind is FftType.RFFT and operand.dtype.kind == "c":
        raise ArgumentError(f"fft: RFFT is of real numbers, got {operand.dtype}; use FFT")
    if not lengths:
        return operand
    axes = tuple(range(-len(lengths), 0))
    shape = tuple(operand.shape[-len(lengths) :])
    want = (*lengths[:-1], lengths[-1] // 2 + 1) if kind is FftType.IRFFT else lengths
    if shape != want:
        raise ShapeError(f"fft: {kind.name} of lengths {lengths} takes last axes {want}, got shape {operand.shape}")
    return getattr(fnp.fft, f"{kind.name.lower()}n")(operand, lengths, axes)


def _kind(given: Any) -> FftType:
    named = given.upper() if isinstance(given, str) else given
    if isinstance(named, str) and named in FftType.__members__:
        return FftType[named]
    if is_a(named, int) and named in tuple(FftType):
        return FftType(named)
    raise ArgumentError(f"fft: the transforms are {', '.join(FftType.__members__)}, got {given!r}")
