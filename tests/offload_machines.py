"""Machines that are simulated, for tests of what runs where."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.offload import Link, Machine, Rates, SimulatedMachine
from funcgrad.offload.cut import INFINITE, Value, comes_down, goes_up
from funcgrad.offload.plan import Planner

Problem = tuple[list[float], list[float], list[Value]]

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


def _network(rng: np.random.Generator) -> tuple[Any, tuple[Any, ...]]:
    """A random program of products and elementwise functions."""
    steps = rng.integers(0, 4, rng.integers(2, 10))

    def f(x: Any, w: Any) -> Any:
        made = [x, w]
        for k in steps:
            a, b = made[-1], made[int(k) % len(made)]
            made.append(a @ b if k < 2 else np.tanh(a) if k == 2 else a * 0.5 + b)
        return made[-1], np.sum(made[2])

    n = int(rng.choice([8, 32, 96]))
    return f, (rng.normal(size=(n, n)), rng.normal(size=(n, n)) / n)


def settled(seed: int) -> float:
    """How long the calls after the third take of a random program on a random machine, of whose figures each was taken
    to be ten times too high or too low; as a share of the time on the host alone."""
    rng = np.random.default_rng(seed)
    f, args = _network(rng)
    factors = [float(10 ** rng.uniform(-2, 2)) for _ in range(4)]
    true = TWO_CORES.times(*factors)
    backend = SimulatedMachine(true, believed=wrong(true, rng))
    g = fg.jit(f, offload=backend)
    for _ in range(3):
        g(*args)
    start = backend.clock.now()
    for _ in range(2):
        g(*args)
    took = (backend.clock.now() - start) / 2
    alone: Any = g.lower(*args)._executable
    return took / Planner(alone.program, backend).plan(true).host_seconds


def cost(on_device: tuple[bool, ...] | list[bool], problem: Problem) -> float:
    host, device, values = problem
    work = sum(d if there else h for there, h, d in zip(on_device, host, device, strict=True))
    up = sum(v.up for v in values if goes_up(v, on_device))
    return work + up + sum(v.down for v in values if comes_down(v, on_device))


def random_problem(r: random.Random, operations: int) -> Problem:
    readers: list[list[int]] = [[] for _ in range(r.randint(1, 3))]
    makers: list[int | None] = [None] * len(readers)
    for i in range(operations):
        for x in r.sample(range(len(readers)), min(len(readers), r.randint(1, 3))):
            readers[x].append(i)
        for _ in range(1 if r.random() < 0.8 else 2):
            readers.append([])
            makers.append(i)
    host = [r.choice([1, 2, 5, 20]) * r.random() for _ in range(operations)]
    device = [r.choice([0.1, 1, 3]) * r.random() if r.random() < 0.9 else INFINITE for _ in range(operations)]
    move = lambda: r.choice([0, 0.1, 1, 4]) * r.random()  # noqa: E731
    last = len(readers) - 1
    values = [
        Value(m, rs, m is not None and (x == last or r.random() < 0.3), move(), move())
        for x, (m, rs) in enumerate(zip(makers, readers, strict=True))
    ]
    return host, device, values
