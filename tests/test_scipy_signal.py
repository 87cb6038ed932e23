"""`funcgrad.scipy.signal`: values of SciPy, traced and plain, and derivatives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import signal as scipys

from funcgrad import jit, vmap
from funcgrad.errors import ShapeError
from funcgrad.scipy import signal as ours
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 3, 40))
Z = X + 1j * Y
W, V = X[:, :20], Y[:, :20]
B, A = scipys.butter(3, 0.3)
SOS = scipys.butter(4, 0.3, output="sos")
MODES = ("full", "same", "valid")


def array(shape: tuple[int, ...], kind: str) -> Any:
    if kind == "i":
        return RNG.integers(-5, 5, size=shape)
    return RNG.normal(size=shape) + (1j * RNG.normal(size=shape) if kind == "c" else 0)


def same(have: Any, want: Any) -> None:
    for u, v in zip(have, want, strict=True) if isinstance(want, tuple) else [(have, want)]:
        np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-11)
        assert np.shape(u) == np.shape(v)


@pytest.mark.parametrize("kind", ["f", "c", "i"])
@pytest.mark.parametrize("shapes", [((7,), (3,)), ((3,), (6,)), ((5, 6), (2, 3)), ((2, 3), (5, 6)), ((5, 6), (4, 4)),
                                    ((3, 4, 2), (2, 2, 2))])  # fmt: skip
def test_convolutions(shapes: Any, kind: str) -> None:
    a, b = (array(s, kind) for s in shapes)
    for mode in MODES:
        for name in ("convolve", "correlate"):
            for method in ("direct", "fft"):
                want = getattr(scipys, name)(a, b, mode, method)
                have = getattr(ours, name)(a, b, mode, method)
                same(have, want)
                assert have.dtype == want.dtype
        same(ours.fftconvolve(a, b, mode), scipys.fftconvolve(a, b, mode))
        if a.ndim == 2:
            for boundary, fill in (("fill", 0), ("fill", 2), ("wrap", 0), ("symm", 0)):
                for name in ("convolve2d", "correlate2d"):
                    args = (a, b, mode, boundary, fill)
                    same(getattr(ours, name)(*args), getattr(scipys, name)(*args))


def test_derivatives_of_convolutions() -> None:
    a, b = array((5, 6), "f"), array((2, 3), "f")
    for name in ("convolve2d", "correlate2d"):
        check_grads(lambda a, b, n=name: getattr(ours, n)(a, b, "same", "symm"), (a, b), order=2)
    check_grads(lambda a, b, v: ours.convolve2d(a, b, fillvalue=v), (a, b, 0.5), order=1)
    check_grads(lambda a, b: ours.convolve(a, b, "same"), (array((5,), "c"), array((3,), "c")), order=2)
    check_grads(lambda a, b: ours.fftconvolve(a, b, "same", axes=1), (a, b[:1]), order=2)
    same(jit(ours.convolve)(a, b), scipys.convolve(a, b))
    same(vmap(ours.correlate)(a, a), np.stack([scipys.correlate(r, r) for r in a]))
    long = array((400,), "f")
    same(ours.convolve(long, long), scipys.convolve(long, long))
    assert ours.convolve(a.astype(np.float32), b.astype(np.float32)).dtype == np.float32


SETTINGS: list[dict[str, Any]] = [
    {"nperseg": 16}, {"nperseg": 15, "nfft": 20}, {"window": "hamming", "nperseg": 8, "noverlap": 3},
    {"nperseg": 16, "detrend": "linear", "scaling": "spectrum"}, {"nperseg": 8, "detrend": False, "fs": 3.0},
    {"nperseg": 8, "return_onesided": False},
]  # fmt: skip


@pytest.mark.parametrize("name", ["welch", "csd", "stft", "spectrogram", "coherence"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_spectra(name: str, settings: dict[str, Any]) -> None:
    kwargs = dict(settings)
    if name == "coherence":
        kwargs = {k: v for k, v in kwargs.items() if k not in ("scaling", "return_onesided")}
    args = (X, Y) if name in ("csd", "coherence") else (X,)
    have, want = getattr(ours, name), getattr(scipys, name)
    for more in ({}, {"average": "median"}) if name in ("welch", "csd") else ({},):
        same(have(*args, **kwargs, **more), want(*args, **kwargs, **more))
    turned = [v.T for v in args]
    same(have(*turned, axis=0, **kwargs), want(*turned, axis=0, **kwargs))
    same(jit(lambda *a: have(*a, **kwargs)[-1])(*args), want(*args, **kwargs)[-1])
    assert have(*(v.astype(np.float32) for v in args), **kwargs)[-1].dtype in (np.float32, np.complex64)


def test_other_spectra() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(ours.welch(Z, nperseg=8), scipys.welch(Z, nperseg=8, return_onesided=False))
    for kwargs in ({}, {"nfft": 64}, {"nfft": 20}, {"window": "hann"}, {"scaling": "spectrum"}):
        same(ours.periodogram(X, **kwargs), scipys.periodogram(X, **kwargs))
    same(ours.periodogram(X.T, axis=0), scipys.periodogram(X.T, axis=0))
    for boundary in ("even", "odd", "constant", "zeros", None):
        kwargs = {"nperseg": 9, "boundary": boundary, "padded": False}
        same(ours.stft(X, **kwargs), scipys.stft(X, **kwargs))
    for kwargs in (
        {"nperseg": 16},
        {"nperseg": 15},
        {"nperseg": 16, "noverlap": 12},
        {"nperseg": 16, "scaling": "psd"},
    ):
        spectrum = scipys.stft(X, **kwargs)[2]
        same(ours.istft(spectrum, **kwargs), scipys.istft(spectrum, **kwargs))
    spectrum = scipys.stft(X, nperseg=16, return_onesided=False)[2]
    same(
        ours.istft(spectrum, nperseg=16, input_onesided=False), scipys.istft(spectrum, nperseg=16, input_onesided=False)
    )
    for kwargs in ({}, {"type": "constant"}, {"bp": [10, 25]}, {"axis": 0}):
        same(ours.detrend(X, **kwargs), scipys.detrend(X, **kwargs))


def test_derivatives_of_spectra() -> None:
    check_grads(lambda x: ours.detrend(x, bp=3), (W,), order=2)
    check_grads(lambda x: ours.welch(x, nperseg=8)[1], (W,), order=2)
    check_grads(lambda x: ours.istft(ours.stft(x**2, nperseg=8)[2])[1], (W[0],), order=2)
    check_grads(lambda x, y: ours.csd(x, y, nperseg=8, average="median")[1], (W, V), order=1)
    check_grads(lambda x, y: ours.coherence(x, y, nperseg=4)[1], (W[0], V[0]), order=2)


@pytest.mark.parametrize(("b", "a"), [(B, A), ([1.0, 2, 0.5], [2.0]), ([0.5], [1.0, 0.2, 0.3]), ([2.0], [4.0])])
def test_recursive_filters(b: Any, a: Any) -> None:
    b, a = np.array(b), np.array(a)
    same(ours.lfilter(b, a, X), scipys.lfilter(b, a, X))
    same(ours.lfilter(b, a, X, axis=0), scipys.lfilter(b, a, X, axis=0))
    same(jit(ours.lfilter)(b, a, X), scipys.lfilter(b, a, X))
    n = max(len(b), len(a)) - 1
    if n:
        zi = RNG.normal(size=(3, n))
        same(ours.lfilter(b, a, X, zi=zi), scipys.lfilter(b, a, X, zi=zi))
        for kind in ("odd", "even", "constant", None):
            same(ours.filtfilt(b, a, X, padtype=kind), scipys.filtfilt(b, a, X, padtype=kind))


def test_sections_and_derivatives_of_filters() -> None:
    same(ours.lfilter_zi(B, A), scipys.lfilter_zi(B, A))
    same(ours.sosfilt(SOS, X.T, axis=0), scipys.sosfilt(SOS, X.T, axis=0))
    zi = RNG.normal(size=(2, 3, 2))
    same(ours.sosfilt(SOS, X, zi=zi), scipys.sosfilt(SOS, X, zi=zi))
    x = X[:, :8]
    check_grads(ours.lfilter, (B, A, x), order=2)
    check_grads(lambda b, a, x: ours.filtfilt(b, a, x, padlen=3), (B, A, x), order=2, atol=1e-5, rtol=1e-5)
    assert ours.lfilter(B.astype(np.float32), A.astype(np.float32), x.astype(np.float32)).dtype == np.float32


def test_other_filters() -> None:
    for x in (X, X[:, :39]):
        same(ours.hilbert(x), scipys.hilbert(x))
        for y in (x, x + 1j):
            for num in (20, 21, 39, 40, 41, 60, 77):
                same(ours.resample(y * x, num, axis=1), scipys.resample(y * x, num, axis=1))
    same(ours.hilbert(X, 35, axis=1), scipys.hilbert(X, 35, axis=1))
    same(ours.hilbert(X, axis=0), scipys.hilbert(X, axis=0))
    t = np.arange(40) * 0.1
    same(ours.resample(X, 20, t, axis=1), scipys.resample(X, 20, t, axis=1))
    for up, down in ((1, 1), (2, 3), (3, 1)):
        for x in (X, Z):
            same(ours.upfirdn([1.0, 2, 3], x, up, down), scipys.upfirdn([1.0, 2, 3], x, up, down))
    same(ours.upfirdn([1.0, 2], X, 2, axis=0), scipys.upfirdn([1.0, 2], X, 2, axis=0))
    for size in (5, 6):
        for mode in ("interp", "mirror", "nearest", "wrap", "constant"):
            for deriv in (0, 2):
                args: Any = (X, size, 3, deriv, 0.5, -1, mode, 1.0)
                same(ours.savgol_filter(*args), scipys.savgol_filter(*args))
    w = X[:, :8]
    check_grads(ours.hilbert, (w,), order=1)
    check_grads(lambda x: ours.resample(x, 5, axis=1), (w,), order=1)
    check_grads(lambda h, x: ours.upfirdn(h, x, 2, 3), (np.ones(3), w), order=2)
    check_grads(lambda x: ours.savgol_filter(x, 5, 2), (w,), order=1)
    assert ours.find_peaks(X[0])[0].tolist() == scipys.find_peaks(X[0])[0].tolist()


@pytest.mark.parametrize(("call", "kind", "words"), [
    (lambda: ours.convolve(X, X[0]), ShapeError, "number of dimensions"),
    (lambda: ours.convolve(X, X.T, "valid"), ShapeError, "at least as large"),
    (lambda: ours.convolve(X, X, "some"), ValueError, "mode is"),
    (lambda: ours.convolve2d(X, X, boundary="open"), ValueError, "boundary"),
    (lambda: ours.welch(X, nperseg=8, noverlap=8), ValueError, "noverlap"),
    (lambda: ours.filtfilt(B, A, X[:, :5]), ValueError, "padlen"),
    (lambda: ours.lfilter(B, A, X, zi=np.ones(2)), ShapeError, "zi"),
    (lambda: ours.resample(X, 5, window="hann"), NotImplementedError, "not offered"),
    (lambda: jit(lambda x: ours.find_peaks(x)[0])(X[0]), TypeError, "number of peaks"),
])  # fmt: skip
def test_errors(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()
