"""Survival times, some of them censored: maximum likelihood by SciPy, with our gradient and Hessian.

    python examples/censored_survival.py [--quick]

A Weibull regression: log T = x·β + s·W, where W has the standard extreme-value distribution of minima. Of those who
are still alive when the study ends only that is known. The inverse Hessian at the maximum gives standard errors.
"""

import sys

import numpy as np
from scipy.optimize import minimize

from funcgrad import grad, hessian, jit

BETA = np.array([1.0, 0.5, -0.8])
SCALE = 0.6
END = 3.0


def simulate(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariates, times of death or of the end of the study, and whether death was seen."""
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.integers(0, 2, n)])
    times = np.exp(x @ BETA + SCALE * np.log(rng.exponential(size=n)))
    return x, np.minimum(times, END), times <= END


def negative_log_likelihood(params: np.ndarray, x: np.ndarray, times: np.ndarray, died: np.ndarray) -> np.floating:
    """-Σ [died] log f(t) + [alive] log S(t), for params = (β, log s)."""
    log_scale = params[-1]
    z = (np.log(times) - x @ params[:-1]) / np.exp(log_scale)
    return -np.sum(np.where(died, z - log_scale - np.log(times), 0.0) - np.exp(z))


def main(quick: bool = False) -> None:
    x, times, died = simulate(500 if quick else 5000, np.random.default_rng(0))
    score = jit(grad(negative_log_likelihood))
    information = jit(hessian(negative_log_likelihood))

    fit = minimize(
        negative_log_likelihood,
        np.zeros(4),
        args=(x, times, died),
        jac=score,
        hess=information,
        method="trust-exact",
        options={"gtol": 1e-8},
    )
    errors = np.sqrt(np.diag(np.linalg.inv(information(fit.x, x, times, died))))
    truth = np.append(BETA, np.log(SCALE))

    print(f"{len(times)} people, {np.mean(~died):.0%} of them censored; {fit.nit} steps")
    for name, value, error, true in zip(["const", "x", "treated", "log s"], fit.x, errors, truth, strict=True):
        print(f"{name:8} {value:8.4f} ± {error:.4f}   (true {true:.4f})")
    assert fit.success
    assert np.all(np.abs(fit.x - truth) < 3 * errors)

    # Exponential times (s = 1) without covariates are solved by hand: the rate is deaths / time, and the standard
    # error of its logarithm 1 / √deaths.
    def exponential(log_mean: float) -> np.floating:
        return negative_log_likelihood(np.stack([log_mean, 0.0]), np.ones((len(times), 1)), times, died)

    log_mean = np.log(np.sum(times) / np.sum(died))
    np.testing.assert_allclose(grad(exponential)(log_mean), 0, atol=1e-9 * len(times))
    np.testing.assert_allclose(hessian(exponential)(log_mean), np.sum(died), rtol=1e-12)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
