"""Nonlinear least squares with bounds: SciPy's `least_squares` with exact Jacobians, on a certified problem.

    python examples/bounded_least_squares.py [--quick]

Misra1a of NIST's Statistical Reference Datasets, y = b₁ (1 - exp(-b₂ x)): dental research on monomolecular
adsorption, with parameters and standard deviations that are certified to eleven digits. Then the same with b₁ bounded
from above, where the bound is active.
"""

import sys
from typing import Any

import numpy as np
from scipy.optimize import least_squares, minimize_scalar

from funcgrad import grad, jacobian, jit

X = np.array([77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0])
Y = np.array([10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78])
CERTIFIED = [2.3894212918e02, 5.5015643181e-04]
DEVIATIONS = [2.7070075241e00, 7.2668688436e-06]
SUM_OF_SQUARES = 1.2455138894e-01


def residuals(b: np.ndarray) -> np.ndarray:
    return b[0] * (1 - np.exp(-b[1] * X)) - Y


def sum_of_squares(b: np.ndarray) -> np.floating:
    return np.sum(residuals(b) ** 2)


def main(quick: bool = False) -> None:
    jac: Any = jit(jacobian(residuals))
    tolerances = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "x_scale": "jac"}

    for start in [[250, 5e-4]] if quick else [[250, 5e-4], [500, 1e-4]]:
        free = least_squares(residuals, start, jac, bounds=([0, 0], [np.inf, np.inf]), **tolerances)
        squares = 2 * free.cost
        covariance = np.linalg.inv(free.jac.T @ free.jac) * squares / (len(Y) - 2)
        deviations = np.sqrt(np.diag(covariance))
        print(f"from {start}: b = {free.x[0]:.8e}, {free.x[1]:.8e}; sum of squares {squares:.8e}")
        np.testing.assert_allclose(free.x, CERTIFIED, rtol=1e-8)
        np.testing.assert_allclose(deviations, DEVIATIONS, rtol=1e-7)
        np.testing.assert_allclose(squares, SUM_OF_SQUARES, rtol=1e-9)

    bound = 200.0
    held = least_squares(residuals, [150, 5e-4], jac, bounds=([0, 0], [bound, np.inf]), **tolerances)
    slope = grad(sum_of_squares)(held.x)
    print(f"b₁ ≤ {bound}: b = {held.x[0]:.8e}, {held.x[1]:.8e}; slopes {slope[0]:.3e}, {slope[1]:.1e}")
    # At the bound the cost falls outwards; along the other parameter it is at its minimum.
    alone = minimize_scalar(lambda b2: sum_of_squares(np.array([bound, b2])), (5e-4, 1e-3), tol=1e-12)
    np.testing.assert_allclose(held.x, [bound, alone.x], rtol=1e-6)
    assert held.active_mask[0] == 1
    assert slope[0] < 0


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
