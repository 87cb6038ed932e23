"""What the programs of process workloads do: set one contender up, call it, say how long the first call took."""

from __future__ import annotations

import time

from benchmarks.harness import limit_threads
from benchmarks.spec import Workload

__all__ = ["run"]


def run(workload: Workload, case: str, contender: str, calls: int) -> None:
    """Make `calls` calls of a contender's step and print the seconds of the first as a metric.

    Importing the library and handing it the data come before it: libraries that start an engine
    with the first array have done so by then.
    """
    implementation = workload.implementations[contender]
    limit_threads(implementation.requires)
    step = implementation.setup(**workload.cases[case])
    step.prepare()
    start = time.perf_counter()
    step.call()
    print(f"metric first call {time.perf_counter() - start}")
    for _ in range(calls - 1):
        step.call()
