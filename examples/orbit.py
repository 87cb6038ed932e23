"""Which velocity takes a comet from here to there in a given time? A boundary value problem, solved by shooting.

    python examples/orbit.py [--quick]

The flight is a symplectic integrator in a plain loop (Yoshida's fourth order, made of leapfrogs); Newton's method in
`scipy.optimize.root` gets the Jacobian of where it ends. Kepler's equation knows the answer.
"""

import sys
from typing import Any

import numpy as np
from scipy.optimize import brentq, root

from funcgrad import grad, jacobian

ECCENTRICITY = 0.3  # of an orbit with semi-major axis 1 about a mass with GM = 1: its period is 2π
CUBE = 2 ** (1 / 3)
WEIGHTS = [1 / (2 - CUBE), -CUBE / (2 - CUBE), 1 / (2 - CUBE)]


def acceleration(position: np.ndarray) -> np.ndarray:
    return -position / np.sum(position**2) ** 1.5


def flight(velocity: np.ndarray, position: np.ndarray, duration: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity after a time."""
    for _ in range(steps):
        for weight in WEIGHTS:
            dt = weight * duration / steps
            position = position + dt / 2 * velocity
            velocity = velocity + dt * acceleration(position)
            position = position + dt / 2 * velocity
    return position, velocity


def kepler(time: float) -> np.ndarray:
    """The position, by the eccentric anomaly E - e sin E = t, of a body that is nearest to the sun at time 0."""
    e = ECCENTRICITY
    anomaly: Any = brentq(lambda u: u - e * np.sin(u) - time, 0, 2 * np.pi, xtol=1e-14)
    return np.array([np.cos(anomaly) - e, np.sqrt(1 - e**2) * np.sin(anomaly)])


def energy(position: np.ndarray, velocity: np.ndarray) -> np.floating:
    return np.sum(velocity**2) / 2 - 1 / np.sqrt(np.sum(position**2))


def main(quick: bool = False) -> None:
    steps = 32 if quick else 128
    duration = 2.0
    start, goal = kepler(0.0), kepler(duration)

    def miss(velocity: np.ndarray) -> np.ndarray:
        return flight(velocity, start, duration, steps)[0] - goal

    solution = root(miss, np.array([0.2, 1.0]), jac=jacobian(miss), tol=1e-12)
    fastest = np.sqrt((1 + ECCENTRICITY) / (1 - ECCENTRICITY))  # at the point nearest to the sun
    print(f"velocity {solution.x}, exactly (0, {fastest:.10f}); {solution.nfev} flights")
    assert solution.success
    np.testing.assert_allclose(solution.x, [0, fastest], atol=40 / steps**4)

    # The integrator keeps the energy, -1/2 on every orbit of this size, whatever the velocity at the start: the energy
    # at the end changes with it as v²/2 does.
    def last_energy(velocity: np.ndarray) -> np.floating:
        return energy(*flight(velocity, start, duration, steps))

    slope = grad(last_energy)(solution.x)
    print(f"energy {last_energy(solution.x):.10f}; its slope {slope}")
    np.testing.assert_allclose(last_energy(solution.x), -0.5, atol=20 / steps**4)
    np.testing.assert_allclose(slope, solution.x, atol=200 / steps**4)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
