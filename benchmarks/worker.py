"""The measuring process: ``python -m benchmarks.worker``, spoken to in lines of JSON.

It reads one object that says what to set up, answers with what it found, and then answers each
``{"measure": NAME}`` with ``{"time": seconds per call}`` until its input ends. Libraries that
print are kept off the channel: standard output is moved to standard error first.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from typing import IO, Any

from benchmarks.environment import package_versions
from benchmarks.harness import Timer, build, choose_tier, limit_threads, thread_settings
from benchmarks.workloads import call_workloads

__all__ = ["main"]


def _set_up(request: dict[str, Any]) -> tuple[dict[str, Timer], dict[str, Any]]:
    """Build a `Timer` for every requested implementation that is installed and right."""
    workload = call_workloads()[request["workload"]]
    timers: dict[str, Timer] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    packages = {"numpy"}
    for name in request["implementations"]:
        requires = workload.implementations[name].requires
        if importlib.util.find_spec(requires) is None:
            skipped[name] = f"{requires} is not installed"
            continue
        try:
            limit_threads(requires)
            choose_tier(requires, request["native"])
            step = build(workload, request["case"], name, request["check"])
            seconds = request["batch_seconds"], request["warm_seconds"]
            timers[name] = Timer(step, *seconds, request["clock"])
        except Exception as error:  # reported, and the other contenders go on
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            packages.add(requires)
    reply = {
        "ready": sorted(timers),
        "skipped": skipped,
        "failed": failed,
        "calls": {name: timer.calls for name, timer in timers.items()},
        "versions": package_versions(packages),
        "threads": thread_settings(),
    }
    return timers, reply


def _serve(channel: IO[str]) -> None:
    def answer(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    request = json.loads(sys.stdin.readline())
    timers, reply = _set_up(request)
    answer(reply)
    for line in sys.stdin:
        name = json.loads(line)["measure"]
        answer({"time": timers[name].measure(request["batches"])})


def main() -> None:
    """Serve one parent until it closes our standard input."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as channel:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _serve(channel)


if __name__ == "__main__":
    main()
