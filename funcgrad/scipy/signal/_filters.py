"""Filters of signals: recursive ones by a scan over time, and those that are convolutions or Fourier transforms."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.control.loops import scan
from funcgrad.errors import ShapeError
from funcgrad.lax._conv import conv_general_dilated
from funcgrad.numpy import fft as _fft
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.scipy._needs import inexact, inexacts, is_traced, scipy_module

__all__ = [
    "filtfilt", "find_peaks", "hilbert", "lfilter", "lfilter_zi", "resample", "savgol_filter", "sosfilt",
    "sosfiltfilt", "upfirdn",
]  # fmt: skip


def _last(x: Any, axis: int) -> Any:
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    return np.moveaxis(x, axis, -1)


def _coefficients(name: str, b: Any, a: Any) -> tuple[Any, Any]:
    """Both polynomials with as many coefficients, the first of the denominator being 1."""
    b, a = np.atleast_1d(b), np.atleast_1d(a)
    if b.ndim != 1 or a.ndim != 1:
        raise ShapeError(f"{name}: coefficients must have one dimension, got shapes {b.shape} and {a.shape}")
    n = max(b.shape[0], a.shape[0])
    b, a = (np.concatenate([c, np.zeros(n - c.shape[0], c.dtype)]) for c in (b, a))
    return b / a[0], a / a[0]


def _run(b: Any, a: Any, x: Any, state: Any) -> tuple[Any, Any]:
    """(filtered signal, last state) along the last axis: the transposed direct form II."""
    if b.shape[0] == 1:
        return b[0] * x, state

    def step(z: Any, v: Any) -> tuple[Any, Any]:
        y = b[0] * v + z[..., 0]
        rest = np.concatenate([z[..., 1:], np.zeros_like(z[..., :1])], axis=-1)
        return rest + v[..., None] * b[1:] - y[..., None] * a[1:], y

    last, out = scan(step, state, np.moveaxis(x, -1, 0))
    return np.moveaxis(out, 0, -1), last


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """A signal filtered by a rational transfer function b/a; all of them may be traced.

    Args:
        b, a: coefficients of the numerator and of the denominator.
        x: the signal.
        axis: the axis of time.
        zi: the state at the beginning, with max(len(a), len(b)) - 1 elements along the axis; then (signal, last state)
            is returned.

    >>> lfilter([1.0], [1.0, -0.5], np.array([1.0, 0.0, 0.0]))
    array([1.  , 0.5 , 0.25])
    """
    b, a, x = inexacts(b, a, x)
    b, a = _coefficients("lfilter", b, a)
    x = _last(x, axis)
    shape = (*x.shape[:-1], b.shape[0] - 1)
    if zi is None:
        state = np.zeros(shape, x.dtype)
    else:
        state = np.moveaxis(array_operand(zi), axis, -1)
        if state.ndim != x.ndim or state.shape[-1] != shape[-1]:
            raise ShapeError(f"lfilter: zi must broadcast to the shape {shape} with time last, got {state.shape}")
        state = np.broadcast_to(state, shape).astype(x.dtype)
    out, last = _run(b, a, x, state)
    out = np.moveaxis(out, -1, axis)
    return out if zi is None else (out, np.moveaxis(last, -1, axis))


def lfilter_zi(b: Any, a: Any) -> Any:
    """The state of `lfilter` at which its response to a constant 1 is constant.

    >>> lfilter_zi(np.array([1.0, 0.0]), np.array([1.0, -0.5]))
    array([1.])
    """
    b, a = _coefficients("lfilter_zi", *inexacts(b, a))
    n = a.shape[0] - 1
    shift = np.eye(n, k=1, dtype=a.dtype)
    first = np.concatenate([a[1:, None], np.zeros((n, max(n - 1, 0)), a.dtype)], axis=1)[:, :n]
    return np.linalg.solve(np.eye(n, dtype=a.dtype) + first - shift, b[1:] - a[1:] * b[0])


def _padded(x: Any, kind: str | None, n: int) -> Any:
    if kind is None or n == 0:
        return x
    if n >= x.shape[-1]:
        raise ValueError(
            f"filtfilt: the length of the signal must be greater than padlen, which is {n}; it is {x.shape[-1]}"
        )
    if kind == "constant":
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n, n)], mode="edge")
    left, right = x[..., n:0:-1], x[..., -2 : -(n + 2) : -1]
    if kind == "odd":
        left, right = 2 * x[..., :1] - left, 2 * x[..., -1:] - right
    elif kind != "even":
        raise ValueError(f"filtfilt: padtype is 'even', 'odd', 'constant' or None, got {kind!r}")
    return np.concatenate([left, x, right], axis=-1)


def filtfilt(
    b: Any,
    a: Any,
    x: Any,
    axis: int = -1,
    padtype: str | None = "odd",
    padlen: int | None = None,
    method: str = "pad",
    irlen: int | None = None,
) -> Any:
    """A signal filtered forward and backward, and so without delay.

    Args:
        b, a, x, axis: as in `lfilter`.
        padtype: how the signal goes on at its ends: "odd", "even", "constant" or None.
        padlen: by how many elements; by default 3 max(len(a), len(b)).
        method: "pad"; Gustafsson's is not offered.

    >>> filtfilt([0.5, 0.5], [1.0], np.arange(9.0)).round(12)
    array([0., 1., 2., 3., 4., 5., 6., 7., 8.])
    """
    if method != "pad":
        raise NotImplementedError(f"filtfilt: method {method!r} is not offered; use 'pad'")
    b, a, x = inexacts(b, a, x)
    b, a = np.atleast_1d(b), np.atleast_1d(a)
    n = 3 * max(a.shape[0], b.shape[0]) if padlen is None else int(padlen)
    n = 0 if padtype is None else n
    wide = _padded(_last(x, axis), padtype, n)
    if max(a.shape[0], b.shape[0]) == 1:
        return np.moveaxis((b[0] / a[0]) ** 2 * wide[..., n : wide.shape[-1] - n], -1, axis)
    zi = lfilter_zi(b, a)
    out = wide
    for _ in range(2):
        out = lfilter(b, a, out, zi=zi * out[..., :1])[0][..., ::-1]
    return np.moveaxis(out[..., n : out.shape[-1] - n], -1, axis)


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """A signal filtered by sections of second order, rows (b0, b1, b2, a0, a1, a2), one after the other.

    With states `zi` of shape (sections, ..., 2 along the axis, ...), (signal, last states) is returned.

    >>> sosfilt(np.array([[1.0, 0, 0, 1.0, -0.5, 0]]), np.array([1.0, 0.0, 0.0]))
    array([1.  , 0.5 , 0.25])
    """
    sos, x = inexacts(sos, x)
    if sos.ndim != 2 or sos.shape[1] != 6:
        raise ShapeError(f"sosfilt: sections have the shape (n, 6), got {sos.shape}")
    states = []
    for i in range(sos.shape[0]):
        if zi is None:
            x = lfilter(sos[i, :3], sos[i, 3:], x, axis)
        else:
            x, last = lfilter(sos[i, :3], sos[i, 3:], x, axis, array_operand(zi)[i])
            states.append(last)
    return x if zi is None else (x, np.stack(states))


def sosfiltfilt(sos: Any, x: Any, axis: int = -1, padtype: str | None = "odd", padlen: int | None = None) -> Any:
    """A signal filtered forward and backward by sections of second order; `padtype` and `padlen` as in `filtfilt`.

    >>> sosfiltfilt(np.array([[0.5, 0.5, 0, 1.0, 0, 0]]), np.arange(9.0)).round(12)
    array([0., 1., 2., 3., 4., 5., 6., 7., 8.])
    """
    sos, x = inexacts(sos, x)
    if sos.ndim != 2 or sos.shape[1] != 6:
        raise ShapeError(f"sosfiltfilt: sections have the shape (n, 6), got {sos.shape}")
    if padtype is None:
        n = 0
    elif padlen is not None:
        n = int(padlen)
    else:  # three times the order of the whole filter, and three
        last = known(sos, "sosfiltfilt", "give padlen=")[:, [2, 5]]
        n = 3 * (2 * sos.shape[0] + 1 - int(np.min(np.sum(last == 0, axis=0))))
    out = _padded(_last(x, axis), padtype, n)
    states, gain = [], np.ones((), sos.dtype)
    for i in range(sos.shape[0]):  # of a constant signal
        states.append(gain * lfilter_zi(sos[i, :3], sos[i, 3:]))
        gain = gain * (np.sum(sos[i, :3]) / np.sum(sos[i, 3:]))
    zi = np.stack(states).reshape((sos.shape[0], *(1,) * (x.ndim - 1), 2))
    for _ in range(2):
        out = sosfilt(sos, out, zi=zi * out[..., :1])[0][..., ::-1]
    return np.moveaxis(out[..., n : out.shape[-1] - n], -1, axis)


def hilbert(x: Any, N: int | None = None, axis: int = -1) -> Any:
    """The analytic signal of a real one, by its Fourier transform.

    >>> hilbert(np.array([1.0, 0.0, -1.0, 0.0])).round(12) + 0.0
    array([ 1.+0.j,  0.+1.j, -1.+0.j,  0.-1.j])
    """
    x = array_operand(inexact(x))
    if x.dtype.kind == "c":
        raise ValueError("x must be real.")
    n = x.shape[axis] if N is None else operator.index(N)
    if n <= 0:
        raise ValueError("N must be positive.")
    weights = np.zeros(n, x.dtype)
    weights[: (n + 1) // 2] = 2
    weights[0] = 1
    if n % 2 == 0:
        weights[n // 2] = 1
    spectrum = np.moveaxis(_fft.fft(x, n, axis=axis), axis, -1)
    return np.moveaxis(_fft.ifft(spectrum * weights), -1, axis)


def resample(x: Any, num: int, t: Any = None, axis: int = 0, window: Any = None, domain: str = "time") -> Any:
    """A signal with `num` elements instead of those it has, by its Fourier transform; (signal, times) with times `t`.

    >>> resample(np.array([1.0, 0.0, -1.0, 0.0]), 2).round(12) + 0.0
    array([ 1., -1.])
    """
    if window is not None or domain != "time":
        raise NotImplementedError("resample: windows, and signals given by their transforms, are not offered")
    x = _last(array_operand(inexact(x)), axis)
    n, num = x.shape[-1], operator.index(num)
    if num < 1:
        raise ValueError(f"resample: num must be positive, got {num}")
    real = x.dtype.kind != "c"
    least = min(n, num)
    if real:
        kept = _fft.rfft(x)[..., : least // 2 + 1]
        weights = np.ones(least // 2 + 1, x.dtype)
        if least % 2 == 0 and n != num:  # the element at the end stands for two, or for half of one
            weights[-1] = 2.0 if num < n else 0.5
        out = _fft.irfft(kept * weights, num)
    else:
        out = _fft.ifft(_complex_bins(_fft.fft(x), n, num))
    out = np.moveaxis(out * (num / n), -1, axis)
    if t is None:
        return out
    t = array_operand(t)
    return out, np.arange(num) * (t[1] - t[0]) * n / num + t[0]


def _complex_bins(spectrum: Any, n: int, num: int) -> Any:
    least = min(n, num)
    half = (least + 1) // 2
    low, high = spectrum[..., :half], spectrum[..., n - (least - half) :]
    if least % 2 == 0:
        low, high = spectrum[..., : least // 2], spectrum[..., n - least // 2 + 1 :]
        middle = spectrum[..., n - least // 2 : n - least // 2 + 1]
        if num < n:
            middle = middle + spectrum[..., least // 2 : least // 2 + 1]
            return np.concatenate([low, middle, high], axis=-1)
        if num == n:
            return spectrum
        gap = np.zeros((*spectrum.shape[:-1], num - least - 1), spectrum.dtype)
        return np.concatenate([low, middle / 2, gap, middle / 2, high], axis=-1)
    gap = np.zeros((*spectrum.shape[:-1], num - least), spectrum.dtype)
    return np.concatenate([low, gap, high], axis=-1)


def upfirdn(h: Any, x: Any, up: int = 1, down: int = 1, axis: int = -1, mode: str = "constant", cval: Any = 0) -> Any:
    """A signal with zeros put in, filtered by `h`, of which every `down`-th element is kept.

    >>> upfirdn([1.0, 1.0], np.array([1.0, 2.0]), up=2)
    array([1., 1., 2., 2.])
    """
    if mode != "constant" or is_traced(cval) or cval != 0:
        raise NotImplementedError("upfirdn: what is outside of the signal is 0; other modes are not offered")
    if up < 1 or down < 1:
        raise ValueError("Both up and down must be >= 1")
    h, x = inexacts(h, x)
    kernel: Any
    flat: Any
    if h.ndim != 1 or h.shape[0] == 0:
        raise ShapeError(f"upfirdn: h must have one dimension and an element at least, got shape {h.shape}")
    x = _last(x, axis)
    flat = np.reshape(x, (-1, 1, x.shape[-1]))
    kernel = h[::-1][None, None]
    n = h.shape[0] - 1
    if x.dtype.kind == "c":
        parts = [
            conv_general_dilated(p, q, (down,), [(n, n)], lhs_dilation=(up,))
            for p in (flat.real, flat.imag)
            for q in (kernel.real, kernel.imag)
        ]
        out = (parts[0] - parts[3]) + 1j * (parts[1] + parts[2])
    else:
        out = conv_general_dilated(flat, kernel, (down,), [(n, n)], lhs_dilation=(up,))
    return np.moveaxis(np.reshape(out, (*x.shape[:-1], -1)), -1, axis)


_PADS = {"mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}


def savgol_filter(
    x: Any,
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: float = 1.0,
    axis: int = -1,
    mode: str = "interp",
    cval: Any = 0.0,
) -> Any:
    """A signal smoothed by polynomials of least squares in windows (Savitzky and Golay); arguments are SciPy's.

    >>> savgol_filter(np.arange(5.0) ** 2, 3, 2).round(12)
    array([ 0.,  1.,  4.,  9., 16.])
    """
    if mode not in (*_PADS, "interp"):
        raise ValueError("mode must be 'mirror', 'constant', 'nearest', 'wrap' or 'interp'.")
    if polyorder >= window_length:
        raise ValueError("polyorder must be less than window_length.")
    x = _last(array_operand(inexact(x)), axis)
    n, half = x.shape[-1], window_length // 2
    points = np.arange(window_length) - half + (0.5 if window_length % 2 == 0 else 0.0)
    fit = np.linalg.pinv(np.vander(points / max(half, 1), polyorder + 1, increasing=True))

    def weights(at: Any) -> Any:
        """The derivative at these points, by the values in a window."""
        powers = np.zeros((len(at), polyorder + 1))
        for k in range(deriv, polyorder + 1):
            falling = np.prod(np.arange(k - deriv + 1, k + 1), dtype=float)
            powers[:, k] = falling * (np.asarray(at) / max(half, 1)) ** (k - deriv)
        return (powers @ fit / (max(half, 1) * delta) ** deriv).astype(x.real.dtype)

    inner = weights([0.0])[0]
    if mode == "interp":
        if window_length > n:
            raise ValueError("If mode is 'interp', window_length must be less than or equal to the size of x.")
        middle = (_windows(x, window_length) @ inner)[..., 1 - window_length % 2 :]
        before = x[..., :window_length] @ weights(points[:half]).T
        after = x[..., n - window_length :] @ weights(points[window_length - half :]).T
        out = np.concatenate([before, middle, after], axis=-1)
    else:
        widths = [(0, 0)] * (x.ndim - 1) + [(window_length - 1 - half, half)]
        extra: dict[str, Any] = {"constant_values": cval} if mode == "constant" else {}
        out = _windows(np.pad(x, widths, mode=_PADS[mode], **extra), window_length) @ inner  # type: ignore[call-overload]
    return np.moveaxis(out, -1, axis)


def _windows(x: Any, size: int) -> Any:
    return x[..., np.arange(x.shape[-1] - size + 1)[:, None] + np.arange(size)]


def find_peaks(x: Any, *args: Any, **kwargs: Any) -> Any:
    """SciPy's, of a plain array: how many peaks there are depends on values. Raises TypeError for a traced one."""
    if is_traced(x):
        raise TypeError(
            "find_peaks: the number of peaks depends on values, which have no derivative; find them in the plain "
            "array, outside, and index the traced one"
        )
    return scipy_module("signal", "signal.find_peaks").find_peaks(np.asarray(x), *args, **kwargs)
