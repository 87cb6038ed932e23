"""What filters do to frequencies, and spectra of signals that are not sampled evenly."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._needs import inexacts, is_traced, scipy_module

__all__ = ["freqs", "freqz", "freqz_sos", "lombscargle", "sosfreqz"]

_TURN = 2 * math.pi


def _count(worN: Any) -> int | None:
    """How many frequencies are asked for; None where they are given."""
    try:
        return operator.index(worN)
    except TypeError:
        return None


def _frequencies(worN: Any, whole: bool, fs: Any, ends: bool) -> tuple[Any, Any]:
    """(frequencies as they are given out, in radians for a sample)."""
    n = 512 if worN is None else _count(worN)
    if n is not None:
        w = np.linspace(0, _TURN if whole else math.pi, n, endpoint=ends and not whole)
        return w * (fs / _TURN), w
    given = np.atleast_1d(array_operand(worN) * 1.0)
    return given, given * (_TURN / fs)


def _polynomial(c: Any, x: Any) -> Any:
    """The polynomial with these coefficients, the constant first."""
    total: Any = 0.0 * x
    for i in range(c.shape[0] - 1, -1, -1):
        total = total * x + c[i]
    return total


def freqz(
    b: Any, a: Any = 1, worN: Any = 512, whole: bool = False, plot: None = None, fs: Any = _TURN,
    include_nyquist: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """(frequencies, responses of a digital filter b/a at these): Σ b e^(-iwk) / Σ a e^(-iwk).

    Args:
        b, a: coefficients, of shapes (n,) and (m,).
        worN: how many frequencies, or the frequencies, in the unit of `fs`.
        whole: go round the circle, in place of half of it.
        fs: the rate of samples; by default frequencies are in radians for a sample.
        include_nyquist: whether half the rate of samples is the last of the frequencies that are chosen.
        plot: no other than None.

    >>> freqz([0.5, 0.5], worN=np.array([0.0, np.pi]))[1].round(12)
    array([1.+0.j, 0.-0.j])
    """
    b, a = (np.atleast_1d(c) for c in inexacts(b, a))
    if b.ndim != 1 or a.ndim != 1:
        raise ShapeError(f"freqz: coefficients must have one dimension, got shapes {b.shape} and {a.shape}")
    shown, w = _frequencies(worN, whole, fs, include_nyquist)
    z = np.exp(-1j * w)
    return shown, _polynomial(b, z) / _polynomial(a, z)


def freqs(b: Any, a: Any, worN: Any = 200, plot: None = None) -> tuple[Any, Any]:
    """(frequencies, responses of an analog filter b/a at these); coefficients begin with the highest power.

    Args:
        b, a: coefficients, of shapes (n,) and (m,).
        worN: the frequencies in radians, or how many, which SciPy chooses for plain coefficients.
        plot: no other than None.

    >>> freqs([1.0], [1.0, 1.0], np.array([1.0]))[1]
    array([0.5-0.5j])
    """
    n = 200 if worN is None else _count(worN)
    if n is not None:
        if is_traced(b) or is_traced(a):
            raise TypeError("freqs: where coefficients are traced, give the frequencies as worN")
        worN = scipy_module("signal", "signal.freqs").findfreqs(b, a, n)
    b, a = (np.atleast_1d(c) for c in inexacts(b, a))
    w = np.atleast_1d(array_operand(worN) * 1.0)
    return w, _polynomial(b[::-1], 1j * w) / _polynomial(a[::-1], 1j * w)


def freqz_sos(sos: Any, worN: Any = 512, whole: bool = False, fs: Any = _TURN) -> tuple[Any, Any]:
    """(frequencies, responses of sections of second order, one after the other); arguments as in `freqz`.

    >>> freqz_sos(np.array([[1.0, 1.0, 0, 2.0, 0, 0]]), np.array([0.0]))[1]
    array([1.+0.j])
    """
    sos = array_operand(sos)
    if sos.ndim != 2 or sos.shape[1] != 6 or not sos.shape[0]:
        raise ShapeError(f"freqz_sos: sections have the shape (n, 6), got {sos.shape}")
    shown, _ = _frequencies(worN, whole, fs, False)
    out: Any = 1.0
    for i in range(sos.shape[0]):
        out = out * freqz(sos[i, :3], sos[i, 3:], worN, whole, fs=fs)[1]
    return shown, out


sosfreqz = freqz_sos


def lombscargle(
    x: Any, y: Any, freqs: Any, precenter: bool = False, normalize: Any = False, *, weights: Any = None,
    floating_mean: bool = False,
) -> Any:  # fmt: skip
    """The periodogram of values y at places x: how much a sine of each frequency explains, by least squares.

    Args:
        x, y: places and values, of shape (n,).
        freqs: angular frequencies, of shape (m,).
        precenter: subtract the mean first.
        normalize: False or "power"; True or "normalize" for the part of the variance; "amplitude" for complex
            amplitudes.
        weights: of the values, by default equal.
        floating_mean: a constant is fitted as well.

    Source: J. D. Scargle, Astrophysical Journal 263 (1982); M. Zechmeister & M. Kürster, A&A 496 (2009).

    >>> t = np.arange(8.0)
    >>> lombscargle(t, np.sin(t), np.array([1.0, 2.0]), normalize=True).round(3)
    array([1.   , 0.026])
    """
    kinds = {False: "power", True: "normalize"}
    kind = kinds.get(normalize, normalize)
    if kind not in ("power", "normalize", "amplitude"):
        raise ValueError(
            f"lombscargle: normalize must be False, True, 'power', 'normalize' or 'amplitude', got {kind!r}"
        )
    x, y, w = inexacts(x, y, freqs)
    n = x.size
    parts = np.ones(x.shape, x.dtype) if weights is None else inexacts(x, weights)[1]
    if x.ndim != 1 or not n or y.shape != x.shape or parts.shape != x.shape or w.ndim != 1:
        raise ShapeError(
            "lombscargle: x, y and weights of one length, which is not 0, and frequencies; got shapes "
            f"{x.shape}, {y.shape}, {parts.shape}, {w.shape}"
        )
    if not is_traced(parts) and (np.any(parts < 0) or not np.sum(parts) > 0):
        raise ValueError("lombscargle: weights must not be negative, and their sum must be positive")
    parts = parts / np.sum(parts)
    y = y - np.mean(y) if precenter else y
    c, s = np.cos(np.outer(w, x)), np.sin(np.outer(w, x))

    def moment(p: Any, q: Any) -> Any:
        out = np.matmul(p * q, parts)
        return out - np.matmul(p, parts) * np.matmul(q, parts) if floating_mean else out

    yy, yc, ys, cc, cs = moment(y, y), moment(y, c), moment(y, s), moment(c, c), moment(c, s)
    ss = moment(s, s)
    tau = 0.5 * np.arctan2(2 * cs, cc - ss)
    ct, st = np.cos(tau), np.sin(tau)
    a, b = ct * yc + st * ys, ct * ys - st * yc
    along = ct * ct * cc + 2 * ct * st * cs + st * st * ss
    across = ct * ct * ss - 2 * ct * st * cs + st * st * cc
    least = np.finfo(x.dtype).eps
    along, across = np.maximum(along, least), np.maximum(across, least)
    if kind == "amplitude":
        return (a / along + 1j * (b / across)) * np.exp(1j * tau)
    power = a * a / along + b * b / across
    return power / yy if kind == "normalize" else power * (0.5 * n)
