"""The registry: every module of this package lists its workloads in ``WORKLOADS``.

To add a family, add a module with a ``WORKLOADS`` tuple: nothing else has to know of it.
"""

from __future__ import annotations

import importlib
import pkgutil

from benchmarks.spec import ProcessWorkload, Workload

__all__ = ["all_workloads", "call_workloads"]


def all_workloads() -> dict[str, Workload | ProcessWorkload]:
    """Every workload by name; modules in alphabetical order.

    Raises:
        ValueError: two workloads share a name.
    """
    found: dict[str, Workload | ProcessWorkload] = {}
    for info in pkgutil.iter_modules(__path__):
        for workload in importlib.import_module(f"{__name__}.{info.name}").WORKLOADS:
            if workload.name in found:
                raise ValueError(f"two workloads are called {workload.name!r}")
            found[workload.name] = workload
    return found


def call_workloads() -> dict[str, Workload]:
    """The workloads that are timed call by call."""
    return {name: w for name, w in all_workloads().items() if isinstance(w, Workload)}
