"""Signals at other rates of samples, and the median filter."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._needs import inexact, is_traced, scipy_module
from funcgrad.scipy.ndimage import median_filter
from funcgrad.scipy.signal._filters import lfilter, sosfilt, sosfiltfilt, upfirdn
from funcgrad.types import is_a

__all__ = ["decimate", "medfilt", "resample_poly"]


def _low_pass(length: int, cutoff: float, window: Any) -> Any:
    return scipy_module("signal", "signal.firwin").firwin(length, cutoff, window=window)


def resample_poly(
    x: Any,
    up: int,
    down: int,
    axis: int = 0,
    window: Any = ("kaiser", 5.0),
    padtype: str = "constant",
    cval: Any = None,
) -> Any:
    """A signal at up/down times its rate of samples, by a filter between `up` and `down`.

    Args:
        x: the signal, along `axis`.
        up, down: the rates.
        window: a window for SciPy's `firwin`, or the coefficients of a filter.
        padtype: "constant" alone; outside of the signal is 0.
        cval: 0 or None.

    >>> resample_poly(np.ones(8), 1, 2).shape
    (4,)
    """
    if padtype != "constant" or (cval is not None and (is_traced(cval) or cval != 0)):
        raise NotImplementedError("resample_poly: outside of the signal is 0; other padtype and cval are not offered")
    x, up, down = array_operand(inexact(x)), operator.index(up), operator.index(down)
    if up < 1 or down < 1:
        raise ValueError("up and down must be >= 1")
    divisor = math.gcd(up, down)
    up, down = up // divisor, down // divisor
    if up == down == 1:
        return x + 0
    n = x.shape[axis]
    wanted = -(-n * up // down)
    if is_a(window, (str, tuple, float)):
        h = _low_pass(20 * max(up, down) + 1, 1 / max(up, down), window).astype(x.real.dtype)
    else:
        h = array_operand(window)
    half = (h.shape[0] - 1) // 2
    # Zeros before the filter make its middle fall on an element that is kept, zeros after it make enough of these.
    before = down - half % down
    skipped = (half + before) // down
    short = (wanted + skipped - 1) * down - ((n - 1) * up + h.shape[0] + before - 1)
    zeros = (np.zeros(before, h.dtype), np.zeros(max(short, 0), h.dtype))
    out = upfirdn(np.concatenate([zeros[0], h * up, zeros[1]]), x, up, down, axis)
    keep = [slice(None)] * x.ndim
    keep[axis] = slice(skipped, skipped + wanted)
    return out[tuple(keep)]


def decimate(x: Any, q: int, n: int | None = None, ftype: str = "iir", axis: int = -1, zero_phase: bool = True) -> Any:
    """Every q-th element of a signal, filtered so that no frequencies fold over.

    Args:
        x: the signal, along `axis`.
        q: the factor.
        n: the order of the filter, by default 8 ("iir") or 20 q ("fir").
        ftype: "iir", Chebyshev's filter, or "fir" with Hamming's window; SciPy designs both.
        zero_phase: filter without delay.

    >>> decimate(np.ones(40), 10).round(3)  # the filter has ripples of 0.05 dB, and is run twice
    array([0.989, 0.989, 0.989, 0.989])
    """
    x, q = array_operand(inexact(x)), operator.index(q)
    if ftype not in ("iir", "fir"):
        raise ValueError(f"decimate: ftype must be 'iir' or 'fir', got {ftype!r}")
    if ftype == "fir":
        h = _low_pass((20 * q if n is None else operator.index(n)) + 1, 1 / q, "hamming").astype(x.real.dtype)
        if zero_phase:
            return resample_poly(x, 1, q, axis, h)
        out = lfilter(h, np.ones(1, x.dtype), x, axis)
    else:
        design = scipy_module("signal", "signal.decimate").cheby1
        sos = design(8 if n is None else operator.index(n), 0.05, 0.8 / q, output="sos").astype(x.real.dtype)
        out = sosfiltfilt(sos, x, axis) if zero_phase else sosfilt(sos, x, axis)
    keep = [slice(None)] * x.ndim
    keep[axis] = slice(None, None, q)
    return out[tuple(keep)]


def medfilt(volume: Any, kernel_size: Any = None) -> Any:
    """The medians of windows of an odd size along each axis, 3 by default, with zeros around the array.

    >>> medfilt(np.array([1.0, 9.0, 2.0, 3.0]))
    array([1., 2., 3., 2.])
    """
    x = np.atleast_1d(array_operand(volume))
    sizes = np.broadcast_to(3 if kernel_size is None else kernel_size, (x.ndim,)).tolist()
    if any(n % 2 == 0 for n in sizes):
        raise ValueError("Each element of kernel_size should be odd.")
    return median_filter(x, sizes, mode="constant", cval=0)
