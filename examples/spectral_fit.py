"""Two damped oscillations that overlap in the spectrum, told apart by a fit to the Fourier transform.

    python examples/spectral_fit.py [--quick]

The model is a signal in time; what is compared is its spectrum in a band, as in nuclear magnetic resonance. SciPy's
BFGS gets the gradient through `np.fft.rfft`; the Hessian gives the standard errors.
"""

import sys

import numpy as np
from scipy.optimize import minimize

from funcgrad import grad, hessian, jit

NAMES = ["amplitude", "frequency", "decay"]
TRUTH = np.array([[1.0, 0.7], [5.0, 5.3], [0.30, 0.45]])  # rows as above, a column for each oscillation
NOISE = 0.05
SPACING = 0.02
BAND = (3.0, 8.0)


def signal(params: np.ndarray, t: np.ndarray) -> np.ndarray:
    amplitude, frequency, decay = params.reshape(3, 2, 1)
    return np.sum(amplitude * np.exp(-decay * t) * np.cos(2 * np.pi * frequency * t), axis=0)


def main(quick: bool = False) -> None:
    n = 1024 if quick else 8192
    t = SPACING * np.arange(n)
    frequencies = np.fft.rfftfreq(n, SPACING)
    band = (frequencies > BAND[0]) & (frequencies < BAND[1])
    data = signal(TRUTH, t) + NOISE * np.random.default_rng(1).normal(size=n)
    spectrum = np.fft.rfft(data, norm="ortho")

    def deviance(params: np.ndarray) -> np.floating:
        """Twice the negative log-likelihood: real and imaginary parts have half the noise's variance each."""
        gap = np.fft.rfft(signal(params, t), norm="ortho")[band] - spectrum[band]
        return 2 * np.sum(np.abs(gap) ** 2) / NOISE**2

    start = np.array([0.8, 0.8, 4.98, 5.33, 0.4, 0.4])
    fit = minimize(jit(deviance), start, jac=jit(grad(deviance)), method="BFGS", options={"gtol": 1e-3})
    errors = np.sqrt(np.diag(np.linalg.inv(hessian(deviance)(fit.x) / 2))).reshape(3, 2)
    fitted = fit.x.reshape(3, 2)

    print(f"{np.sum(band)} frequencies; {fit.nit} steps; deviance {fit.fun:.1f}")
    for name, values, bars, true in zip(NAMES, fitted, errors, TRUTH, strict=True):
        print(
            f"{name:10}", "  ".join(f"{v:.4f} ± {e:.4f}" for v, e in zip(values, bars, strict=True)), f"  true {true}"
        )
    assert np.all(np.abs(fitted - TRUTH) < 4 * errors)
    assert abs(fit.fun - 2 * np.sum(band)) < 5 * np.sqrt(4 * np.sum(band))  # χ², two numbers a frequency

    # Parseval: over all frequencies the squares are those in time, and so are their slopes.
    def in_time(params: np.ndarray) -> np.floating:
        return np.sum((signal(params, t) - data) ** 2)

    def in_frequency(params: np.ndarray) -> np.floating:
        return np.sum(np.abs(np.fft.fft(signal(params, t) - data, norm="ortho")) ** 2)

    np.testing.assert_allclose(grad(in_frequency)(start), grad(in_time)(start), rtol=1e-9)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
