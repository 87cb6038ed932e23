"""Timing and checking of one step inside the current process."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.environment import usable_cores
from benchmarks.spec import Step, Workload

__all__ = [
    "CLOCKS",
    "THREADS",
    "Timer",
    "WrongResultError",
    "check_agreement",
    "choose_tier",
    "flatten",
    "limit_threads",
    "thread_count",
    "thread_settings",
]

THREADS = "FUNCGRAD_BENCH_THREADS"
THREAD_VARIABLES = (THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "XLA_FLAGS")

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class WrongResultError(AssertionError):
    """An implementation's result does not agree with the reference's."""


def flatten(tree: Any, path: str = "result") -> dict[str, np.ndarray]:
    """Name every leaf of a tree of dicts, lists and tuples; leaves become NumPy arrays.

    Dict keys are taken in sorted order, so that libraries that sort them compare equal.

    >>> {k: v.tolist() for k, v in flatten((1.0, {"b": [2.0]})).items()}
    {'result[0]': 1.0, "result[1]['b'][0]": 2.0}
    """
    if isinstance(tree, Mapping):
        pairs = [(f"{path}[{key!r}]", tree[key]) for key in sorted(tree)]
    elif isinstance(tree, list | tuple):
        pairs = [(f"{path}[{i}]", leaf) for i, leaf in enumerate(tree)]
    else:
        return {path: np.asarray(tree)}
    return {name: leaf for p, child in pairs for name, leaf in flatten(child, p).items()}


def check_agreement(got: Any, expected: Any, rtol: float) -> float:
    """Compare two trees leaf by leaf and return the largest relative deviation.

    A leaf's deviation is ``max|got - expected| / max|expected|``: sums in another order differ by
    rounding relative to the array's scale, not relative to each entry.

    Raises:
        WrongResultError: leaves, shapes or values differ, or a value is not finite.
    """
    ours, theirs = flatten(got), flatten(expected)
    if ours.keys() != theirs.keys():
        raise WrongResultError(f"leaves differ: {sorted(ours)} against {sorted(theirs)}")
    worst = 0.0
    for name, want in theirs.items():
        have = ours[name]
        if have.shape != want.shape:
            raise WrongResultError(f"{name}: shape {have.shape}, expected {want.shape}")
        difference = np.abs(have.astype(np.float64) - want.astype(np.float64))
        scale = float(np.max(np.abs(want.astype(np.float64)), initial=0.0))
        deviation = float(np.max(difference, initial=0.0)) / (scale or 1.0)
        if not deviation <= rtol:  # also catches NaN
            raise WrongResultError(f"{name}: relative deviation {deviation:.3g} exceeds {rtol:g}")
        worst = max(worst, deviation)
    return worst


class Timer:
    """Warms a step up once, then times batches of calls.

    Args:
        step: what to time.
        batch_seconds: how long one batch should last; sets the number of calls in it.
        warm_seconds: how long to call the step before the first batch (at least three calls).
        clock: a key of `CLOCKS`.
    """

    def __init__(self, step: Step, batch_seconds: float, warm_seconds: float, clock: str = "wall") -> None:
        self._step = step
        self._clock = CLOCKS[clock]
        step.prepare()
        calls, durations = 0, []
        begun = time.perf_counter()
        while calls < 3 or time.perf_counter() - begun < warm_seconds:
            start = time.perf_counter()
            step.call()
            durations.append(time.perf_counter() - start)
            calls += 1
        # The later half: first calls compile, fill caches and start threads.
        typical = statistics.median(durations[len(durations) // 2 :])
        self.calls = max(1, math.ceil(batch_seconds / typical))

    def batch(self) -> float:
        """Seconds per call over one batch."""
        self._step.prepare()
        call: Callable[[], Any] = self._step.call
        repeat = range(self.calls)
        clock = self._clock
        start = clock()
        for _ in repeat:
            call()
        return (clock() - start) / self.calls

    def measure(self, batches: int) -> float:
        """The median over `batches` batches of the seconds per call.

        An unrecorded batch comes first: another process has had the caches since our last turn.
        """
        self.batch()
        return statistics.median(self.batch() for _ in range(batches))


def build(workload: Workload, case: str, name: str, check: bool) -> Step:
    """Set an implementation up, after comparing its first result with the reference's."""
    implementation = workload.implementations[name]
    parameters = workload.cases[case]
    step = implementation.setup(**parameters)
    if check and name != workload.reference:
        expected = workload.implementations[workload.reference].setup(**parameters)
        step.prepare()
        got = step.comparable(step.call())
        expected.prepare()
        check_agreement(got, expected.comparable(expected.call()), workload.tolerance(case))
    return step


def limit_threads(package: str) -> None:
    """Give funcgrad the number of threads that the runner asked for; the others read the environment."""
    if THREADS in os.environ and package == "funcgrad":
        import funcgrad  # here, so that other contenders' processes do not load it

        funcgrad.config.threads = int(os.environ[THREADS])


def choose_tier(package: str, native: str) -> None:
    """Set `funcgrad.config.native`, if a value was asked for.

    Raises:
        ValueError: this checkout has no native tier, and what was asked for is not to go without one.
    """
    if not native or package != "funcgrad":
        return
    import funcgrad  # here, as above

    if hasattr(funcgrad.config, "native"):
        funcgrad.config.native = native
    elif native != "off":
        raise ValueError(f"--native {native}: this checkout of funcgrad has no native tier")


def thread_count() -> int:
    """How many threads a contender may work with: as many as were asked for, or as there are cores."""
    return int(os.environ.get(THREADS, 0)) or usable_cores()


def thread_settings() -> dict[str, Any]:
    """What governs the number of threads here, and how many this process has started."""
    found: dict[str, Any] = {key: os.environ[key] for key in THREAD_VARIABLES if key in os.environ}
    tasks = "/proc/self/task"
    if os.path.isdir(tasks):
        found["threads"] = len(os.listdir(tasks))
    return found
