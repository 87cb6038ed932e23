"""Samplers, float64: Hamiltonian Monte Carlo, and Metropolis' random walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import program

__all__ = ["WORKLOADS"]

LENGTH = 0.02


def hmc_data(n: int, d: int, steps: int, leaps: int) -> tuple[np.ndarray, ...]:
    """A start, the momenta and the levels of acceptance of each step; features and labels; as long as the leaps."""
    rng = np.random.RandomState(20)
    x = rng.randn(n, d)
    labels = (x @ rng.randn(d) + rng.randn(n) > 0).astype(np.float64)
    return np.zeros(d), rng.randn(steps, d), np.log(rng.rand(steps)), x, labels, np.zeros(leaps)


def make_hmc(lib: Any, xp: Any) -> Callable[..., Any]:
    """Samples of the weights of a logistic regression: leapfrog steps with a gradient in each."""

    def run(start: Any, momenta: Any, levels: Any, x: Any, labels: Any, leaps: Any) -> Any:
        def energy(w: Any) -> Any:
            z = x @ w
            return xp.sum(lib.nn.softplus(z) - labels * z) + 0.5 * xp.sum(w**2)

        force = lib.grad(energy)

        def leap(state: Any, _: Any) -> Any:
            w, p = state
            p = p - 0.5 * LENGTH * force(w)
            w = w + LENGTH * p
            return (w, p - 0.5 * LENGTH * force(w)), None

        def step(w: Any, inputs: Any) -> Any:
            momentum, level = inputs
            (found, p), _ = lib.lax.scan(leap, (w, momentum), leaps)
            gain = energy(w) + 0.5 * xp.sum(momentum**2) - energy(found) - 0.5 * xp.sum(p**2)
            w = xp.where(level < gain, found, w)
            return w, w

        return lib.lax.scan(step, start, (momenta, levels))[1]

    return run


def hmc_by_hand(
    w: np.ndarray, momenta: np.ndarray, levels: np.ndarray, x: np.ndarray, labels: np.ndarray, leaps: np.ndarray
) -> np.ndarray:
    """With the gradient written down, computed once between two leaps."""

    def energy(w: np.ndarray) -> Any:
        z = x @ w
        return np.sum(np.logaddexp(z, 0) - labels * z) + 0.5 * np.dot(w, w)

    def force(w: np.ndarray) -> np.ndarray:
        return (1 / (1 + np.exp(-(x @ w))) - labels) @ x + w

    samples = np.empty_like(momenta)
    for i, (momentum, level) in enumerate(zip(momenta, levels, strict=True)):
        found, p, f = w, momentum, force(w)
        for _ in leaps:
            p = p - 0.5 * LENGTH * f
            found = found + LENGTH * p
            f = force(found)
            p = p - 0.5 * LENGTH * f
        gain = energy(w) + 0.5 * np.dot(momentum, momentum) - energy(found) - 0.5 * np.dot(p, p)
        samples[i] = w = found if level < gain else w
    return samples


hmc = program(
    "hmc",
    "Hamiltonian Monte Carlo for a logistic regression: 10 steps of 10 leaps with two gradients, 200 x 10.",
    cases={"10 x 10": {"n": 200, "d": 10, "steps": 10, "leaps": 10}},
    tiny={"n": 9, "d": 2, "steps": 2, "leaps": 3},
    rtol=1e-9,
    data=hmc_data,
    make=make_hmc,
    by_hand=hmc_by_hand,
    gradient=False,
)


def metropolis_data(chains: int, steps: int) -> tuple[np.ndarray, ...]:
    """Starts, proposals and levels of acceptance."""
    rng = np.random.RandomState(21)
    return rng.randn(chains, 2), 0.5 * rng.randn(steps, chains, 2), np.log(rng.rand(steps, chains))


def _density(xp: Any, x: Any) -> Any:
    """The logarithm of a density that is bent like a banana."""
    return -0.5 * (x[:, 0] ** 2 / 4 + (x[:, 1] - x[:, 0] ** 2 / 4) ** 2)


def make_metropolis(lib: Any, xp: Any) -> Callable[..., Any]:
    """The mean over all steps, the states at the end, and how many proposals were taken."""

    def run(start: Any, moves: Any, levels: Any) -> Any:
        def step(state: Any, inputs: Any) -> Any:
            x, density, total, taken = state
            move, level = inputs
            found = x + move
            there = _density(xp, found)
            take = level < there - density
            x, density = xp.where(take[:, None], found, x), xp.where(take, there, density)
            return (x, density, total + x, taken + xp.where(take, 1.0, 0.0)), None

        nothing = xp.zeros_like(start)
        first = (start, _density(xp, start), nothing, nothing[:, 0])
        x, _, total, taken = lib.lax.scan(step, first, (moves, levels))[0]
        return total / moves.shape[0], x, taken

    return run


def metropolis_by_hand(x: np.ndarray, moves: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same loop."""
    density, total, taken = _density(np, x), np.zeros_like(x), np.zeros(len(x))
    for move, level in zip(moves, levels, strict=True):
        found = x + move
        there = _density(np, found)
        take = level < there - density
        x, density = np.where(take[:, None], found, x), np.where(take, there, density)
        total += x
        taken += take
    return total / len(moves), x, taken


metropolis = program(
    "metropolis",
    "Metropolis' random walk in the plane: 16 chains, 500 steps.",
    cases={"16 x 500": {"chains": 16, "steps": 500}},
    tiny={"chains": 3, "steps": 5},
    rtol=1e-9,
    data=metropolis_data,
    make=make_metropolis,
    by_hand=metropolis_by_hand,
    gradient=False,
)

WORKLOADS = (hmc, metropolis)
