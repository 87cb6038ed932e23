"""Spectra of signals, from Fourier transforms of windows of them; and trends taken away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from funcgrad.numpy import at
from funcgrad.numpy import fft as _fft
from funcgrad.numpy._dispatch import array_operand, conjugated
from funcgrad.scipy._needs import inexact, inexacts, is_traced, scipy_module

__all__ = [
    "coherence", "csd", "detrend", "get_window", "istft", "periodogram", "spectrogram", "stft", "welch",
]  # fmt: skip


def get_window(window: Any, Nx: int, fftbins: bool = True) -> Any:
    """SciPy's windows, as plain arrays.

    >>> get_window("hann", 4)
    array([0. , 0.5, 1. , 0.5])
    """
    return scipy_module("signal", "signal.get_window").get_window(window, Nx, fftbins)


def detrend(
    data: Any,
    axis: int = -1,
    type: str = "linear",
    bp: int | Sequence[int] = 0,
    overwrite_data: Any = False,
) -> Any:
    """The data less their mean ("constant"), or less lines of least squares between the breakpoints `bp`.

    >>> detrend(np.array([1.0, 3.0, 5.0])).round(12) + 0.0
    array([0., 0., 0.])
    """
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")
    x = array_operand(inexact(data))
    if type in ("constant", "c"):
        return x - np.mean(x, axis=axis, keepdims=True)
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    x = np.moveaxis(x, axis, -1)
    n = x.shape[-1]
    breaks = sorted({0, n, *(int(b) for b in np.atleast_1d(bp))})
    if breaks[-1] > n or breaks[0] < 0:
        raise ValueError("Breakpoints must be less than length of data along given axis.")
    pieces = []
    for start, stop in pairwise(breaks):
        length = stop - start
        basis = np.linalg.qr(np.stack([np.arange(1, length + 1) / length, np.ones(length)], axis=1))[0]
        basis = basis.astype(x.real.dtype)
        piece = x[..., start:stop]
        pieces.append(piece - np.matmul(np.matmul(piece, basis), basis.T))
    return np.moveaxis(np.concatenate(pieces, axis=-1), -1, axis)


def _window(window: Any, nperseg: int | None, length: int) -> tuple[Any, int]:
    """A window and its length, no longer than the signal if it is made from a name."""
    if isinstance(window, (str, tuple)):
        size = min(256 if nperseg is None else int(nperseg), length)
        if size < 1:
            raise ValueError("nperseg must be a positive integer")
        return get_window(window, size), size
    win = array_operand(window)
    if win.ndim != 1 or win.shape[0] > length:
        raise ValueError(f"window of shape {win.shape} for a signal of length {length}")
    if nperseg is not None and nperseg != win.shape[0]:
        raise ValueError("value specified for nperseg is different from length of window")
    return win, win.shape[0]


def _scale(win: Any, fs: Any, scaling: str) -> Any:
    if scaling in ("density", "psd"):
        return 1.0 / (fs * np.sum(win * win))
    if scaling == "spectrum":
        return 1.0 / np.sum(win) ** 2
    raise ValueError(f"Unknown scaling: {scaling!r}")


def _extended(x: Any, n: int, boundary: str) -> Any:
    """The last axis with n elements more at each end."""
    if boundary not in ("even", "odd", "constant", "zeros"):
        raise ValueError(f"Unknown boundary option {boundary!r}")
    if n < 1:
        return x
    if boundary == "zeros":
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n, n)])
    if boundary == "constant":
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n, n)], mode="edge")
    if n >= x.shape[-1]:
        raise ValueError(f"the extension at the ends ({n}) must be shorter than the signal ({x.shape[-1]})")
    left, right = x[..., n:0:-1], x[..., -2 : -(n + 2) : -1]
    if boundary == "odd":
        left, right = 2 * x[..., :1] - left, 2 * x[..., -1:] - right
    return np.concatenate([left, x, right], axis=-1)


def _segments(x: Any, size: int, step: int) -> Any:
    """Windows along the last axis, as (..., windows, size)."""
    count = (x.shape[-1] - size) // step + 1
    return x[..., np.arange(count)[:, None] * step + np.arange(size)]


def _signals(x: Any, y: Any, axis: int) -> list[Any]:
    """One or two signals of one length and dtype, with time along the last axis."""
    parts = [array_operand(inexact(x))] if y is None else [array_operand(v) for v in inexacts(x, y)]
    if not all(-v.ndim <= axis < v.ndim for v in parts):
        raise np.exceptions.AxisError(axis, min(v.ndim for v in parts))
    parts = [np.moveaxis(v, axis, -1) for v in parts]
    length = max(v.shape[-1] for v in parts)
    return [_longer(v, length - v.shape[-1]) for v in parts]


def _longer(x: Any, n: int) -> Any:
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, n)]) if n else x


def _helper(
    x: Any,
    y: Any,
    fs: Any,
    window: Any,
    nperseg: int | None,
    noverlap: int | None,
    nfft: int | None,
    trend: Any,
    onesided: bool,
    scaling: str,
    axis: int,
    mode: str,
    boundary: str | None = None,
    padded: bool = False,
) -> tuple[Any, Any, Any]:
    """(frequencies, times, spectra of windows as (..., frequencies, times)) of x, or of x and y."""
    parts = _signals(x, y, axis)
    win, size = _window(window, nperseg, parts[0].shape[-1])
    points = size if nfft is None else int(nfft)
    lap = size // 2 if noverlap is None else int(noverlap)
    if points < size:
        raise ValueError("nfft must be greater than or equal to nperseg.")
    if lap >= size:
        raise ValueError("noverlap must be less than nperseg.")
    step = size - lap
    if boundary is not None:
        parts = [_extended(v, size // 2, boundary) for v in parts]
    if padded:
        parts = [_longer(v, (-(v.shape[-1] - size) % step) % size) for v in parts]
    real = parts[0].real.dtype
    win = win.astype(real) if not is_traced(win) else win
    scale = _scale(win, fs, scaling)
    onesided = onesided and all(v.dtype.kind != "c" for v in (*parts, win))
    spectra = [_spectrum(v, win, size, step, points, trend, onesided) for v in parts]
    if mode == "stft":
        out = spectra[0] * np.sqrt(scale)
    else:
        out = conjugated(spectra[0]) * spectra[-1] * scale
        out = out.real if y is None else out
        if onesided:
            double = np.full(out.shape[-1], 2.0, real)
            double[0] = 1.0
            if points % 2 == 0:
                double[-1] = 1.0
            out = out * double
    freqs = (_fft.rfftfreq if onesided else _fft.fftfreq)(points) * fs
    times = np.arange(size / 2, parts[0].shape[-1] - size / 2 + 1, step) / fs
    if boundary is not None:
        times = times - (size / 2) / fs
    return freqs, times, np.moveaxis(out, -1, -2)


def _spectrum(x: Any, win: Any, size: int, step: int, points: int, trend: Any, onesided: bool) -> Any:
    pieces = _segments(x, size, step)
    if callable(trend):
        pieces = trend(pieces)
    elif trend:
        pieces = detrend(pieces, axis=-1, type=trend)
    return (_fft.rfft if onesided else _fft.fft)(win * pieces, points)


def _to_axis(x: Any, axis: int, extra: int = 1) -> Any:
    """The last axis (or the frequencies of the last two) to where the signal's axis was."""
    if extra == 1:
        return np.moveaxis(x, -1, axis)
    return np.moveaxis(x, -2, axis - 1 if axis < 0 else axis)


def csd(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """(frequencies, cross spectral density of two signals) by Welch's method; arguments are SciPy's.

    >>> csd(np.ones(8), np.ones(8), nperseg=4)[0]
    array([0.  , 0.25, 0.5 ])
    """
    freqs, _, out = _helper(
        x, None if y is x else y, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, "psd"
    )
    if average not in ("mean", "median"):
        raise ValueError(f'average must be "median" or "mean", got {average}')
    if out.shape[-1] == 1:
        return freqs, _to_axis(out[..., 0], axis)
    if average == "mean":
        out = np.mean(out, axis=-1)
    else:
        n = out.shape[-1]
        steps = 2 * np.arange(1.0, (n - 1) // 2 + 1)
        bias = 1 + np.sum(1.0 / (steps + 1) - 1.0 / steps)
        if out.dtype.kind == "c":
            out = np.median(out.real, axis=-1) + 1j * np.median(out.imag, axis=-1)
        else:
            out = np.median(out, axis=-1)
        out = out / bias
    return freqs, _to_axis(out, axis)


def welch(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """(frequencies, power spectral density) by Welch's method; arguments are SciPy's.

    >>> welch(np.ones(8), nperseg=4)[1].round(12)
    array([0., 0., 0.])
    """
    args = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    freqs, out = csd(x, x, *args)
    return freqs, out.real


def periodogram(
    x: Any,
    fs: Any = 1.0,
    window: Any = "boxcar",
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
) -> tuple[Any, Any]:
    """(frequencies, power spectral density) of a signal as a whole; arguments are SciPy's.

    >>> periodogram(np.array([1.0, -1.0, 1.0, -1.0]))[1].round(12)
    array([0., 0., 4.])
    """
    x = array_operand(inexact(x))
    n = x.shape[axis]
    if nfft is not None and nfft < n:  # a shorter transform is one of a shorter signal
        x, n = np.moveaxis(np.moveaxis(x, axis, -1)[..., :nfft], -1, axis), nfft
    win = (
        get_window("boxcar" if window is None else window, n)
        if isinstance(window, (str, tuple, type(None)))
        else window
    )
    return welch(x, fs, win, n, 0, nfft, detrend, return_onesided, scaling, axis)


def coherence(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    axis: int = -1,
) -> tuple[Any, Any]:
    """(frequencies, squared coherence) of two signals by Welch's method; arguments are SciPy's.

    >>> coherence(np.arange(8.0) ** 2, np.arange(8.0) ** 3, nperseg=4)[1].shape
    (3,)
    """
    args = (fs, window, nperseg, noverlap, nfft, detrend)
    freqs, xx = welch(x, *args, axis=axis)
    yy, xy = welch(y, *args, axis=axis)[1], csd(x, y, *args, axis=axis)[1]
    return freqs, (xy.real**2 + xy.imag**2) / (xx * yy)


def stft(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
    scaling: str = "spectrum",
) -> tuple[Any, Any, Any]:
    """(frequencies, times, short-time Fourier transform); arguments are SciPy's.

    >>> stft(np.ones(8), nperseg=4)[2].shape
    (3, 5)
    """
    _scale(np.ones(1), 1.0, scaling)
    args = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, "stft", boundary, padded)
    freqs, times, out = _helper(x, None, *args)
    return freqs, times, _to_axis(out, axis, 2)


def spectrogram(
    x: Any,
    fs: Any = 1.0,
    window: Any = ("tukey", 0.25),
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    mode: str = "psd",
) -> tuple[Any, Any, Any]:
    """(frequencies, times, spectra of windows); arguments are SciPy's, with mode "psd", "complex", "magnitude",
    "angle", or "phase" (unwrapped along frequencies, as SciPy does).

    >>> spectrogram(np.ones(8), nperseg=4)[2].shape
    (3, 2)
    """
    if mode not in ("psd", "complex", "magnitude", "angle", "phase"):
        raise ValueError(f"spectrogram: mode must be 'psd', 'complex', 'magnitude', 'angle' or 'phase', got {mode!r}")
    x = array_operand(inexact(x))
    win, size = _window(window, nperseg, x.shape[axis])
    lap = size // 8 if noverlap is None else noverlap
    how = "psd" if mode == "psd" else "stft"
    args = (fs, win, size, lap, nfft, detrend, return_onesided, scaling, axis, how)
    freqs, times, out = _helper(x, None, *args)
    out = _to_axis(out, axis, 2)
    if mode == "phase":
        return freqs, times, np.unwrap(np.angle(out), axis=axis - 1 if axis < 0 else axis)
    if mode == "angle":
        return freqs, times, np.angle(out)
    return freqs, times, np.abs(out) if mode == "magnitude" else out


def istft(
    Zxx: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
    scaling: str = "spectrum",
) -> tuple[Any, Any]:
    """(times, signal), the inverse of `stft`; arguments are SciPy's.

    As in SciPy, the times are as many as the signal's first axis has elements, which is right for one signal.

    >>> istft(stft(np.arange(8.0), nperseg=4)[2])[1].round(12)
    array([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    z = array_operand(Zxx)
    if z.ndim < 2 or time_axis % z.ndim == freq_axis % z.ndim:
        raise ValueError("istft: Zxx must have a time axis and a frequency axis, which differ")
    z = np.moveaxis(z, (freq_axis, time_axis), (-2, -1))
    count = z.shape[-1]
    default = 2 * (z.shape[-2] - 1) if input_onesided else z.shape[-2]
    size = default if nperseg is None else int(nperseg)
    points = (default + (input_onesided and size == default + 1)) if nfft is None else int(nfft)
    lap = size // 2 if noverlap is None else int(noverlap)
    if points < size or lap >= size:
        raise ValueError(f"istft: nperseg {size}, noverlap {lap}, nfft {points}: want noverlap < nperseg ≤ nfft")
    step = size - lap
    win = get_window(window, size) if isinstance(window, (str, tuple)) else array_operand(window)
    pieces = (_fft.irfft if input_onesided else _fft.ifft)(np.moveaxis(z, -1, -2), points)[..., :size]
    win = win.astype(pieces.real.dtype)
    total = np.sum(win) if scaling == "spectrum" else np.sqrt(fs * np.sum(win * win))
    length = size + (count - 1) * step
    places = (np.arange(count)[:, None] * step + np.arange(size)).ravel()
    flat = np.reshape(pieces * win * total, (*pieces.shape[:-2], count * size))
    x = _added(flat, places, length)
    norm = _added(np.reshape(np.broadcast_to(win * win, (count, size)), -1), places, length)
    if boundary:
        x, norm = x[..., size // 2 : length - size // 2], norm[size // 2 : length - size // 2]
    x = x / np.where(norm > 1e-10, norm, 1.0)
    if input_onesided:
        x = x.real
    out_axis = min(time_axis % z.ndim, freq_axis % z.ndim)
    x = np.moveaxis(x, -1, out_axis)
    return np.arange(x.shape[0]) / fs, x


def _added(values: Any, places: Any, length: int) -> Any:
    """Overlapping pieces added up at their places."""
    nothing: Any = at(np.zeros((*values.shape[:-1], length), values.dtype))
    return nothing[..., places].add(values)
