"""What a result depends on: versions, processor, date. No host names and no paths."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable

__all__ = ["load_average", "machine", "package_versions", "usable_cores"]


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of importable packages, installed or run from a source tree."""
    versions = {"python": platform.python_version()}
    for name in sorted(packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            module = importlib.import_module(name)
            versions[name] = str(getattr(module, "__version__", "source tree"))
    return versions


def processor() -> str:
    """The processor's model name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load_average() -> float | None:
    """Runnable processes over the last minute: above 0 before a run means a shared machine."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str | int]:
    """Processor, usable cores, operating system and today's date (UTC)."""
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "system": sys.platform,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
