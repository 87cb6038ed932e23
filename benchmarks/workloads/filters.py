"""Filters, float64: the likelihood of a Kalman filter with its gradient, and a particle filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import complex_step, program

__all__ = ["WORKLOADS"]

TRANSITION = np.array([[1, 0, 0.1, 0], [0, 1, 0, 0.1], [0, 0, 1, 0], [0, 0, 0, 1.0]])
OBSERVED = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])


def kalman_data(steps: int) -> tuple[np.ndarray, ...]:
    """Logarithms of three variances (of the motion, of what is seen, at first), the observations, the matrices."""
    rng = np.random.RandomState(18)
    seen = np.cumsum(0.3 * rng.randn(steps, 2), 0)
    return np.array([-1.0, -0.5, 0.3]), seen, TRANSITION, OBSERVED


def make_kalman(lib: Any, xp: Any) -> Callable[..., Any]:
    """The negative logarithm of the likelihood of a motion in the plane with four states."""

    def loss(p: Any, seen: Any, transition: Any, observed: Any) -> Any:
        motion, noise, first = xp.exp(p)
        eye, small = xp.eye(4), xp.eye(2)

        def step(state: Any, y: Any) -> Any:
            mean, spread = state
            mean, spread = transition @ mean, transition @ spread @ transition.T + motion * eye
            gap = y - observed @ mean
            s = observed @ spread @ observed.T + noise * small
            inverse = xp.linalg.inv(s)
            gain = spread @ observed.T @ inverse
            mean, spread = mean + gain @ gap, spread - gain @ observed @ spread
            return (mean, spread), gap @ inverse @ gap + xp.linalg.slogdet(s)[1]

        return 0.5 * xp.sum(lib.lax.scan(step, (xp.zeros_like(transition[0]), first * eye), seen)[1])

    return loss


def kalman_by_hand(p: np.ndarray, seen: np.ndarray, transition: np.ndarray, observed: np.ndarray) -> Any:
    """By complex steps, all three variances at once."""

    def total(p: np.ndarray) -> np.ndarray:
        motion, noise, first = (x[:, None, None] for x in np.exp(p).T)
        mean, spread = np.zeros((len(p), 4, 1), complex), first * np.eye(4)
        found = np.zeros(len(p), complex)
        for y in seen:
            mean, spread = transition @ mean, transition @ spread @ transition.T + motion * np.eye(4)
            gap = y[:, None] - mean[:, :2]
            s = spread[:, :2, :2] + noise * np.eye(2)
            determinant = s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] * s[:, 1, 0]
            inverse = np.linalg.inv(s)
            gain = spread[:, :, :2] @ inverse
            mean, spread = mean + gain @ gap, spread - gain @ spread[:, :2]
            found += (gap.transpose(0, 2, 1) @ inverse @ gap)[:, 0, 0] + np.log(determinant)
        return 0.5 * found

    return complex_step(total, p)


kalman = program(
    "kalman",
    "Gradient of the likelihood of a Kalman filter by three variances: 4 states, 100 steps.",
    cases={"100 steps": {"steps": 100}},
    tiny={"steps": 4},
    rtol=1e-9,
    data=kalman_data,
    make=make_kalman,
    by_hand=kalman_by_hand,
)


def particles_data(n: int, steps: int) -> tuple[np.ndarray, ...]:
    """The first particles, what moves them, where the resampling combs start, and the observations."""
    rng = np.random.RandomState(19)
    return rng.randn(n), rng.randn(steps, n), rng.rand(steps), rng.rand(steps)


def make_particles(lib: Any, xp: Any) -> Callable[..., Any]:
    """A bootstrap filter of the nonlinear growth model: the logarithm of the likelihood and the last mean."""

    def run(start: Any, moves: Any, combs: Any, seen: Any) -> Any:
        n = start.shape[0]
        teeth = xp.cumsum(xp.ones_like(start), 0) - 1

        def step(x: Any, inputs: Any) -> Any:
            move, comb, y = inputs
            x = 0.5 * x + 25 * x / (1 + x**2) + 3 * move
            density = -0.5 * (y - x**2 / 20) ** 2
            shift = lib.nn.logsumexp(density, 0)
            total = xp.cumsum(xp.exp(density - shift), 0)
            place = xp.searchsorted(total[:-1], (teeth + comb) / n)
            return xp.take(x, place, 0), shift

        x, shifts = lib.lax.scan(step, start, (moves, combs, seen))
        return xp.sum(shifts), xp.mean(x)

    return run


def particles_by_hand(x: np.ndarray, moves: np.ndarray, combs: np.ndarray, seen: np.ndarray) -> tuple[Any, Any]:
    """The same loop."""
    n, likelihood = x.size, 0.0
    teeth = np.arange(n)
    for move, comb, y in zip(moves, combs, seen, strict=True):
        x = 0.5 * x + 25 * x / (1 + x**2) + 3 * move
        density = -0.5 * (y - x**2 / 20) ** 2
        top = np.max(density)
        weights = np.exp(density - top)
        total = np.sum(weights)
        likelihood += top + np.log(total)
        x = x[np.searchsorted(np.cumsum(weights / total)[:-1], (teeth + comb) / n)]
    return likelihood, np.mean(x)


particles = program(
    "particles",
    "A particle filter of 512 particles, 50 steps: cumsum, searchsorted and a gather at each.",
    cases={"512 particles": {"n": 512, "steps": 50}},
    tiny={"n": 9, "steps": 3},
    rtol=1e-9,
    data=particles_data,
    make=make_particles,
    by_hand=particles_by_hand,
    gradient=False,
)

WORKLOADS = (kalman, particles)
