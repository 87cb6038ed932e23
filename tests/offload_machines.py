"""Machines that are simulated, for tests of what runs where."""

from __future__ import annotations

import numpy as np

from funcgrad.offload import Link, Machine, Rates, SimulatedMachine

TWO_CORES = Machine(
    Rates(0.12e12, 0.06e12, 14e9, 1e-6, 1e-9), Rates(50e12, 1e12, 4e12, 8e-6), Link(15e-6, 10e9), Link(15e-6, 10e9)
)
"""Two cores and a large device over a link of 10 GB/s."""

EAGER = TWO_CORES.times(host=1e6, device=1e-2, up=1e-3, down=1e-3)
"""A machine on which everything pays that the device can do."""


def device(machine: Machine = TWO_CORES, **options: object) -> SimulatedMachine:
    """A simulated device."""
    return SimulatedMachine(machine, **options)  # type: ignore[arg-type]


def wrong(machine: Machine, rng: np.random.Generator, factor: float = 10.0) -> Machine:
    """The machine with each of its figures too high or too low by a factor."""

    def off(part: Rates | Link) -> Rates | Link:
        return type(part)(*(x * factor ** rng.choice([-1, 1]) for x in part))  # type: ignore[return-value]

    return Machine(*map(off, machine))  # type: ignore[arg-type]
