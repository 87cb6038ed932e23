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
    sosfiltfilt,
    upfirdn,
)
from funcgrad.scipy.signal._rates import decimate, medfilt, resample_poly
from funcgrad.scipy.signal._response import freqs, freqz, freqz_sos, lombscargle, sosfreqz
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
    "coherence", "convolve", "convolve2d", "correlate", "correlate2d", "csd", "decimate", "detrend", "fftconvolve",
    "filtfilt", "find_peaks", "freqs", "freqz", "freqz_sos", "get_window", "hilbert", "istft", "lfilter",
    "lfilter_zi", "lombscargle", "medfilt", "oaconvolve", "periodogram", "resample", "resample_poly",
    "savgol_filter", "sosfilt", "sosfiltfilt", "sosfreqz", "spectrogram", "stft", "upfirdn", "welch",
]  # fmt: skip


__getattr__ = rest_of("signal")


def __dir__() -> list[str]:
    return __all__
