"""`funcgrad.scipy.signal`: responses of filters, other rates of samples, spectra of uneven samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal as scipys

from funcgrad import grad, jit, vmap
from funcgrad.scipy import signal as ours
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)
B, A = scipys.butter(3, 0.3)
SOS = (scipys.butter(5, 0.3, output="sos"), scipys.cheby1(4, 0.1, 0.3, output="sos"))
X = RNG.normal(size=(2, 64))
T = np.sort(RNG.random(20)) * 9
RESPONSES: list[dict[str, Any]] = [
    {}, {"worN": 20}, {"worN": [0.1, 0.2]}, {"fs": 8.0}, {"whole": True, "worN": 9}, {"fs": 8, "worN": np.array([1.0])},
]  # fmt: skip


def same(name: str, *args: Any, **kwargs: Any) -> None:
    have, want = getattr(ours, name)(*args, **kwargs), getattr(scipys, name)(*args, **kwargs)
    for u, v in zip(have, want, strict=True) if isinstance(want, tuple) else [(have, want)]:
        np.testing.assert_allclose(u, v, rtol=1e-8, atol=1e-9, err_msg=f"{name} {kwargs}")
        assert np.shape(u) == np.shape(v)


@pytest.mark.parametrize("settings", RESPONSES)
def test_responses(settings: dict[str, Any]) -> None:
    same("freqz", B, A, **settings)
    same("freqz", B, **settings, include_nyquist=True)
    same("freqz_sos", SOS[0], **settings)


def test_analog_responses_and_derivatives() -> None:
    same("freqs", B, A, worN=[1.0, 2.0])
    same("freqs", B, A, 30)
    check_grads(lambda b, a: ours.freqz(b, a, 5)[1], (B, A), order=1)
    check_grads(lambda b, a: ours.freqs(b, a, np.array([0.5, 1.0]))[1], (B, A), order=1)
    same("freqz", B, A, 0.5)
    same("freqs", B, A, 0.5)
    check_grads(lambda w: ours.freqz(B, A, w)[1], (0.5,), order=1)
    with pytest.raises(TypeError, match="give the frequencies"):
        grad(lambda b: abs(ours.freqs(b, A)[1][0]))(B)


@pytest.mark.parametrize("up, down", [(3, 2), (2, 3), (4, 2), (1, 5), (5, 1), (2, 2), (16, 15)])
def test_other_rates(up: int, down: int) -> None:
    same("resample_poly", X, up, down, axis=-1)
    same("resample_poly", X.T, up, down, window="hamming")
    same("resample_poly", X, up, down, axis=1, window=np.hanning(7))
    same("resample_poly", X + 1j * X[::-1], up, down, axis=1)


def test_dtypes_of_other_rates() -> None:
    x = X[0].astype(np.float32)
    for name, args, settings in (
        ("resample_poly", (3, 2), {}),
        ("resample_poly", (3, 2), {"window": np.hanning(7)}),
        ("decimate", (2,), {"ftype": "fir"}),
        ("decimate", (2,), {}),
    ):
        assert getattr(ours, name)(x, *args, **settings).dtype == getattr(scipys, name)(x, *args, **settings).dtype
    with pytest.raises(NotImplementedError, match="outside of the signal is 0"):
        ours.upfirdn([1.0], x, cval=np.float64(1.0))


@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize("kind", ["iir", "fir"])
def test_decimation(kind: str, zero_phase: bool) -> None:
    for q in (2, 5):
        same("decimate", X, q, ftype=kind, zero_phase=zero_phase)
        same("decimate", X.T, q, 4, ftype=kind, zero_phase=zero_phase, axis=0)


def test_forward_and_backward() -> None:
    for sos in SOS:
        same("sosfiltfilt", sos, X)
        same("sosfiltfilt", sos, X.T, axis=0, padtype="even", padlen=5)
        same("sosfiltfilt", sos, X, padtype=None)
    np.testing.assert_allclose(jit(lambda s, x: ours.sosfiltfilt(s, x))(SOS[0], X), ours.sosfiltfilt(SOS[0], X))
    check_grads(lambda s, x: ours.sosfiltfilt(s, x, padlen=3), (SOS[1], X[0, :12]), order=1)


def test_medians_and_phases() -> None:
    same("medfilt", X, [1, 5])
    same("medfilt", X[0])
    for mode in ("phase", "angle"):
        same("spectrogram", X, nperseg=16, mode=mode)
        same("spectrogram", X.T, nperseg=16, mode=mode, axis=0)
    with pytest.raises(ValueError, match="odd"):
        ours.medfilt(X, 4)


@pytest.mark.parametrize("weights", [[1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0]])
def test_weights_that_make_no_sense(weights: Any) -> None:
    for module in (ours, scipys):
        with pytest.raises(ValueError, match="weights"):
            module.lombscargle([0.0, 1.0, 2.0], [1.0, 2.0, 1.0], [1.0], weights=weights)


@pytest.mark.parametrize("floating_mean", [False, True])
@pytest.mark.parametrize("normalize", [False, True, "amplitude"])
def test_uneven_samples(normalize: Any, floating_mean: bool) -> None:
    y, w = np.sin(3 * T) + 0.1 * X[0, :20], np.linspace(0.1, 8, 15)
    settings = {"normalize": normalize, "floating_mean": floating_mean}
    for weights in (None, RNG.random(20)):
        same("lombscargle", T, y, w, weights=weights, **settings)
    check_grads(lambda t, y: ours.lombscargle(t, y, w, **settings), (T, y), order=1)
    batch = vmap(lambda y: ours.lombscargle(T, y, w, **settings))(np.stack([y, 2 * y]))
    np.testing.assert_allclose(batch[0], ours.lombscargle(T, y, w, **settings), rtol=1e-9)
