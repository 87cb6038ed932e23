"""`scipy.signal` for arrays and traced values alike: convolutions, spectra, filters.

SciPy itself is used for windows alone.
"""

from __future__ import annotations

from funcgrad.scipy._needs import rest_of
from funcgrad.scipy.signal._convolve import convolve, convolve2d, correlate, correlate2d, fftconvolve, oaconvolve
from funcgrad.scipy.signal._filters import (
    filtfilt,
    find_peaks,
    hilbert,
    lfilter,
    lfilter_zi,
    resample,
    savgol_filter,
    sosfilt,
    upfirdn,
)
from funcgrad.scipy.signal._spectral import (
    coherence,
    csd,
    detrend,
    get_window,
    istft,
    periodogram,
    spectrogram,
    stft,
    welch,
)

__all__ = [
    "coherence", "convolve", "convolve2d", "correlate", "correlate2d", "csd", "detrend", "fftconvolve", "filtfilt",
    "find_peaks", "get_window", "hilbert", "istft", "lfilter", "lfilter_zi", "oaconvolve", "periodogram", "resample",
    "savgol_filter", "sosfilt", "spectrogram", "stft", "upfirdn", "welch",
]  # fmt: skip


__getattr__ = rest_of("signal")


def __dir__() -> list[str]:
    return __all__
