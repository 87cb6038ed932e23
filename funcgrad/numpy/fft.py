"""`numpy.fft` for arrays and traced values alike. It is imported when a function of it is first used.

Each function is NumPy's, with its arguments; of `float32` it gives `complex64`, and `float32` again.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad._array import returning_arrays
from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._namespace import check_device
from funcgrad.numpy._plain import like
from funcgrad.ops.fft import FFT, IRFFT, RFFT

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

_NORMS = (None, "backward", "ortho", "forward")


def fftfreq(n: int, d: Any = 1.0, device: Any = None, *, dtype: Any = None) -> Any:
    """The frequencies of a transform of n elements a distance `d` apart; as `numpy.fft.fftfreq`, of any dtype.

    >>> fftfreq(4, dtype=np.float32)
    array([ 0.  ,  0.25, -0.5 , -0.25], dtype=float32)
    """
    check_device(device, "fftfreq")
    out = np.fft.fftfreq(n, d)
    return out if dtype is None else out.astype(dtype)


def rfftfreq(n: int, d: Any = 1.0, device: Any = None, *, dtype: Any = None) -> Any:
    """The frequencies of a transform of n real elements; as `numpy.fft.rfftfreq`, of any dtype.

    >>> rfftfreq(4, dtype=np.float32)
    array([0.  , 0.25, 0.5 ], dtype=float32)
    """
    check_device(device, "rfftfreq")
    out = np.fft.rfftfreq(n, d)
    return out if dtype is None else out.astype(dtype)


def _axis(x: Any, axis: Any) -> int:
    i = operator.index(axis)
    if not -x.ndim <= i < x.ndim:
        raise np.exceptions.AxisError(i, x.ndim)
    return i % x.ndim


def _sized(x: Any, n: int, axis: int) -> Any:
    """The operand cut to n elements along an axis, or with zeros behind them."""
    if n < 1:
        raise ShapeError(f"Invalid number of FFT data points ({n}) specified.")
    have = x.shape[axis]
    if have >= n:
        return x if have == n else x[(*(slice(None),) * axis, slice(0, n))]
    zeros = np.zeros((*x.shape[:axis], n - have, *x.shape[axis + 1 :]), x.dtype)
    return np.concatenate([x, zeros], axis)


def _scaled(x: Any, n: int, norm: Any, inverse: bool) -> Any:
    """A transform of n elements with NumPy's norm, given the one that divides the inverse by n."""
    if norm not in _NORMS:
        raise ValueError(f'norm is "backward", "ortho" or "forward", got {norm!r}')
    if norm in (None, "backward"):
        return x
    factor = (n if inverse else 1 / n) if norm == "forward" else n**0.5 if inverse else n**-0.5
    return x * factor


def _along(x: Any, n: Any, axis: Any, norm: Any, inverse: bool) -> Any:
    x = array_operand(x)
    i = _axis(x, axis)
    n = x.shape[i] if n is None else operator.index(n)
    return _scaled(FFT.bind(_sized(x, n, i), axis=i, inverse=inverse), n, norm, inverse)


@like(np.fft.fft)
def fft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
    """The discrete Fourier transform along an axis; as `numpy.fft.fft`."""
    return _along(a, n, axis, norm, False)


@like(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
    """The inverse of `fft`; as `numpy.fft.ifft`."""
    return _along(a, n, axis, norm, True)


@like(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
    """The transform of real numbers: its n//2 + 1 first elements; as `numpy.fft.rfft`."""
    x = array_operand(a)
    i = _axis(x, axis)
    n = x.shape[i] if n is None else operator.index(n)
    return _scaled(RFFT.bind(_sized(x, n, i), axis=i), n, norm, False)


@like(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
    """The inverse of `rfft`, with n elements (by default 2(m - 1) of m); as `numpy.fft.irfft`."""
    x = array_operand(a)
    i = _axis(x, axis)
    n = 2 * (x.shape[i] - 1) if n is None else operator.index(n)
    if n < 1:
        raise ShapeError(f"Invalid number of FFT data points ({n}) specified.")
    return _scaled(IRFFT.bind(_sized(x, n // 2 + 1, i), axis=i, n=n), n, norm, True)


_OPPOSITE = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


@like(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
    """The real transform of a Hermitian signal, of which half is given; as `numpy.fft.hfft`."""
    return irfft(np.conjugate(array_operand(a)), n, axis, _OPPOSITE.get(norm, norm))


@like(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
    """The inverse of `hfft`; as `numpy.fft.ihfft`."""
    return np.conjugate(rfft(array_operand(a), n, axis, _OPPOSITE.get(norm, norm)))


def _plan(x: Any, s: Any, axes: Any, real_inverse: bool = False) -> tuple[list[int], list[int]]:
    """The lengths and axes of a transform over several axes, as NumPy has them; -1 is the length of the array."""
    if axes is None:
        axes = list(range(x.ndim)) if s is None else list(range(-len(s), 0))
    axes = [_axis(x, i) for i in axes]
    given = s is not None
    sizes = [operator.index(n) for n in s] if given else [x.shape[i] for i in axes]
    if len(sizes) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    if real_inverse and axes and not given:
        sizes[-1] = 2 * (x.shape[axes[-1]] - 1)
    return [x.shape[i] if n == -1 else n for n, i in zip(sizes, axes, strict=True)], axes


def _over(x: Any, s: Sequence[int], axes: Sequence[int], norm: Any, inverse: bool) -> Any:
    """The transform over several axes, the last first."""
    for n, axis in reversed(list(zip(s, axes, strict=True))):
        x = _along(x, n, axis, norm, inverse)
    return x


@like(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """The transform over several axes, all by default; as `numpy.fft.fftn`."""
    x = array_operand(a)
    return _over(x, *_plan(x, s, axes), norm, False)


@like(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """The inverse of `fftn`; as `numpy.fft.ifftn`."""
    x = array_operand(a)
    return _over(x, *_plan(x, s, axes), norm, True)


@like(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """The transform over two axes; as `numpy.fft.fft2`."""
    return fftn(array_operand(a), s, axes, norm)


@like(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """The inverse of `fft2`; as `numpy.fft.ifft2`."""
    return ifftn(array_operand(a), s, axes, norm)


@like(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """The transform of real numbers over several axes, the last one halved; as `numpy.fft.rfftn`."""
    x = array_operand(a)
    sizes, axes = _plan(x, s, axes)
    if not axes:
        raise ValueError("at least 1 axis must be transformed")
    return _over(rfft(x, sizes[-1], axes[-1], norm), sizes[:-1], axes[:-1], norm, False)


@like(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """The inverse of `rfftn`; as `numpy.fft.irfftn`."""
    x = array_operand(a)
    sizes, axes = _plan(x, s, axes, real_inverse=True)
    if not axes:
        raise ValueError("at least 1 axis must be transformed")
    for n, axis in zip(sizes[:-1], axes[:-1], strict=True):
        x = _along(x, n, axis, norm, True)
    return irfft(x, sizes[-1], axes[-1], norm)


@like(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """The transform of real numbers over two axes; as `numpy.fft.rfft2`."""
    return rfftn(array_operand(a), s, axes, norm)


@like(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """The inverse of `rfft2`; as `numpy.fft.irfft2`."""
    return irfftn(array_operand(a), s, axes, norm)


def _shift(x: Any, axes: Any, back: bool) -> Any:
    x = array_operand(x)
    chosen = range(x.ndim) if axes is None else [axes] if np.ndim(axes) == 0 else list(axes)
    places = [_axis(x, i) for i in chosen]
    return np.roll(x, [-(x.shape[i] // 2) if back else x.shape[i] // 2 for i in places], places)


@like(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """With the element of frequency 0 in the middle; as `numpy.fft.fftshift`."""
    return _shift(x, axes, False)


@like(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`; as `numpy.fft.ifftshift`."""
    return _shift(x, axes, True)


returning_arrays(globals(), ("fftfreq", "rfftfreq"))


def __dir__() -> list[str]:
    return __all__
