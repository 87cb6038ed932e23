"""Steps through time, float64: the fit of an ODE, heat on a grid, waves, and forces between bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import complex_step, program

__all__ = ["WORKLOADS"]


def prey_data(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four rates, how many there are of each kind at first, and what was counted at each step."""
    counted = 1 + 0.5 * np.sin(np.linspace(0, 12, 2 * steps).reshape(steps, 2))
    return np.array([1.1, 0.4, 0.4, 0.1]), np.array([10.0, 5.0]), counted


def _runge_kutta(slope: Callable[[Any], Any], y: Any, h: float) -> Any:
    k1 = slope(y)
    k2 = slope(y + h / 2 * k1)
    k3 = slope(y + h / 2 * k2)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3))


def make_prey(lib: Any, xp: Any) -> Callable[..., Any]:
    """The mean square of the distances from what was counted."""

    def loss(p: Any, start: Any, counted: Any) -> Any:
        def slope(y: Any) -> Any:
            both = y[0] * y[1]
            return xp.stack([p[0] * y[0] - p[1] * both, p[3] * both - p[2] * y[1]], 0)

        def step(y: Any, _: Any) -> Any:
            y = _runge_kutta(slope, y, 0.02)
            return y, y

        return xp.mean((lib.lax.scan(step, start, counted)[1] - counted) ** 2)

    return loss


def prey_by_hand(p: np.ndarray, start: np.ndarray, counted: np.ndarray) -> Any:
    """By complex steps, all four rates at once."""

    def total(p: np.ndarray) -> np.ndarray:
        a, b, c, d = p.T

        def slope(y: np.ndarray) -> np.ndarray:
            both = y[0] * y[1]
            return np.array([a * y[0] - b * both, d * both - c * y[1]])

        y, found = start[:, None] + np.zeros((2, 4), complex), np.zeros(4, complex)
        for row in counted:
            y = _runge_kutta(slope, y, 0.02)
            found += np.sum((y - row[:, None]) ** 2, 0)
        return found / counted.size

    return complex_step(total, p)


prey = program(
    "lotka_volterra",
    "Gradient through 500 Runge-Kutta steps of two states by four rates.",
    cases={"500 steps": {"steps": 500}},
    tiny={"steps": 5},
    rtol=1e-9,
    data=prey_data,
    make=make_prey,
    by_hand=prey_by_hand,
)


def heat_data(side: int, steps: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Temperatures at first and the conductivity; temperatures at last; as long as the steps."""
    rng = np.random.RandomState(22)
    return {"u": rng.rand(side, side), "k": np.array(0.2)}, rng.rand(side, side), np.zeros(steps)


def make_heat(lib: Any, xp: Any) -> Callable[..., Any]:
    """The mean square of the distance at the end; nothing is beyond the border but zeros."""

    def loss(p: Any, target: Any, clock: Any) -> Any:
        def step(u: Any, _: Any) -> Any:
            q = xp.pad(u, 1)
            around = q[:-2, 1:-1] + q[2:, 1:-1] + q[1:-1, :-2] + q[1:-1, 2:]
            return u + p["k"] * (around - 4 * u), None

        return xp.mean((lib.lax.scan(step, p["u"], clock)[0] - target) ** 2)

    return loss


def _around(u: np.ndarray) -> np.ndarray:
    found = -4 * u
    found[1:] += u[:-1]
    found[:-1] += u[1:]
    found[:, 1:] += u[:, :-1]
    found[:, :-1] += u[:, 1:]
    return found


def heat_by_hand(p: dict[str, np.ndarray], target: np.ndarray, clock: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """Value and gradient: the operator of a step is symmetric."""
    u, k, kept = p["u"], p["k"], []
    for _ in clock:
        kept.append(_around(u))
        u = u + k * kept[-1]
    gap = u - target
    d, dk = 2 / gap.size * gap, 0.0
    for change in kept[::-1]:
        dk += np.vdot(d, change)
        d = d + k * _around(d)
    return np.mean(gap**2), {"u": d, "k": dk}


heat = program(
    "heat",
    "Gradient through 100 steps of the heat equation on a 64 x 64 grid.",
    cases={"64 x 64": {"side": 64, "steps": 100}},
    tiny={"side": 5, "steps": 3},
    rtol=1e-9,
    data=heat_data,
    make=make_heat,
    by_hand=heat_by_hand,
)


def wave_data(side: int, steps: int) -> tuple[np.ndarray, ...]:
    """The square of the speed at each place, where the source is, what it sends, and what was heard on one row."""
    rng = np.random.RandomState(23)
    place = np.zeros((side, side))
    place[side // 2, side // 3] = 1
    return 0.1 + 0.1 * rng.rand(side, side), place, np.sin(0.3 * np.arange(steps)), rng.randn(steps, side)


def make_wave(lib: Any, xp: Any) -> Callable[..., Any]:
    """Half the square of the distance from what was heard; the edges are joined."""

    def loss(speed: Any, place: Any, sent: Any, heard: Any) -> Any:
        def step(state: Any, s: Any) -> Any:
            before, u = state
            around = xp.roll(u, 1, 0) + xp.roll(u, -1, 0) + xp.roll(u, 1, 1) + xp.roll(u, -1, 1) - 4 * u
            after = 2 * u - before + speed * around + s * place
            return (u, after), after[2]

        nothing = xp.zeros_like(place)
        return 0.5 * xp.sum((lib.lax.scan(step, (nothing, nothing), sent)[1] - heard) ** 2)

    return loss


def _joined(u: np.ndarray) -> np.ndarray:
    return np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4 * u


def wave_by_hand(speed: np.ndarray, place: np.ndarray, sent: np.ndarray, heard: np.ndarray) -> tuple[Any, Any]:
    """Value and gradient by the adjoint equation, backwards in time."""
    before, u, kept, gaps = np.zeros_like(place), np.zeros_like(place), [], []
    for s, row in zip(sent, heard, strict=True):
        kept.append(_joined(u))
        before, u = u, 2 * u - before + speed * kept[-1] + s * place
        gaps.append(u[2] - row)
    value = 0.5 * np.sum(np.square(gaps))
    d, d_later, found = np.zeros_like(place), np.zeros_like(place), np.zeros_like(place)
    for around, gap in zip(kept[::-1], gaps[::-1], strict=True):
        d[2] += gap
        found += d * around
        d, d_later = 2 * d + _joined(speed * d) - d_later, d
    return value, found


wave = program(
    "wave",
    "Gradient through 60 steps of the wave equation on a 48 x 48 grid by the speed at each place.",
    cases={"48 x 48": {"side": 48, "steps": 60}},
    tiny={"side": 5, "steps": 4},
    rtol=1e-9,
    data=wave_data,
    make=make_wave,
    by_hand=wave_by_hand,
)


def bodies_data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and masses."""
    rng = np.random.RandomState(24)
    return rng.randn(n, 3), rng.rand(n)


def make_bodies(lib: Any, xp: Any) -> Callable[..., Any]:
    """The softened potential of each pair."""

    def energy(x: Any, mass: Any) -> Any:
        square = xp.sum((x[:, None, :] - x[None, :, :]) ** 2, 2) + 0.01
        return -0.5 * xp.sum(mass[:, None] * mass[None, :] / xp.sqrt(square))

    return energy


def bodies_by_hand(x: np.ndarray, mass: np.ndarray) -> tuple[Any, np.ndarray]:
    """Energy and forces."""
    gap = x[:, None, :] - x[None, :, :]
    near = 1 / np.sqrt(np.sum(gap**2, 2) + 0.01)
    pair = mass[:, None] * mass * near
    return -0.5 * np.sum(pair), np.einsum("ij,ijk->ik", pair * near**2, gap)


bodies = program(
    "bodies",
    "Energy of 200 bodies and the forces on them: all pairs.",
    cases={"200 bodies": {"n": 200}},
    tiny={"n": 4},
    rtol=1e-10,
    data=bodies_data,
    make=make_bodies,
    by_hand=bodies_by_hand,
)

WORKLOADS = (prey, heat, wave, bodies)
