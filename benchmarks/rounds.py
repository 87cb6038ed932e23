"""Runs the contenders in turn, round by round, each in a process of its own.

A B C A B C …: whatever drifts on the machine (clock, neighbours, temperature) hits all alike,
and ratios are taken within a round.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environment import load_average
from benchmarks.harness import THREADS
from benchmarks.spec import ProcessWorkload, Snippet, Workload

__all__ = ["CaseResult", "Settings", "run_case", "run_processes", "tier_name"]

ROOT = Path(__file__).resolve().parent.parent

# Where the libraries look for their number of threads: funcgrad (through `limit_threads`), BLAS and
# PyTorch, XLA's CPU client.
THREAD_LIMITS = (THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")

# The kernel carries ru_maxrss over from the process that forked (vfork shares its memory), so a
# small child of a large runner would report the runner's peak. VmHWM belongs to the new program.
_PEAK_MEMORY = """
import sys as _sys
def _peak_mb():
    try:
        with open("/proc/self/status") as _lines:
            for _line in _lines:
                if _line.startswith("VmHWM:"):
                    return int(_line.split()[1]) / 1024
    except OSError:
        pass
    import resource as _resource
    _peak = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss
    return _peak / 1024 / (1024 if _sys.platform == "darwin" else 1)
print(_peak_mb())
"""


@dataclass(frozen=True)
class Settings:
    """How much to measure, and with which interpreters.

    `settle_seconds` passes before each turn: BLAS and OpenMP threads of the process whose turn it
    was go on spinning for tens of milliseconds before they sleep. `threads` is for every library
    alike; with None each has its default. `native` lists values of `funcgrad.config.native`: what
    funcgrad compiles is measured with each (none: as the library is); see `tier_name`.
    """

    rounds: int = 15
    restarts: int = 2
    batches: int = 3
    batch_seconds: float = 0.03
    warm_seconds: float = 0.3
    settle_seconds: float = 0.05
    clock: str = "wall"
    check: bool = True
    python: str = sys.executable
    peers_python: str = sys.executable
    only: tuple[str, ...] = ()
    threads: int | None = None
    native: tuple[str, ...] = ()

    def interpreter(self, peer: bool) -> str:
        """The interpreter for a contender: the peers may live in another environment."""
        return self.peers_python if peer else self.python

    def wants(self, name: str, reference: str) -> bool:
        """Whether a contender was asked for (the reference always is)."""
        return not self.only or name in self.only or name == reference


def tier_name(name: str, native: str, first: bool) -> str:
    """What a contender is called under a value of `funcgrad.config.native`; the first one asked for needs no word."""
    return name if first else f"{name}, native {native}"


@dataclass
class CaseResult:
    """What one case gave: ``samples[metric][contender]`` has one figure per round."""

    workload: str
    case: str
    reference: str
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    threads: dict[str, dict[str, Any]] = field(default_factory=dict)
    load_before: float | None = field(default_factory=load_average)

    def add(self, metric: str, name: str, value: float) -> None:
        """Append one round's figure."""
        self.samples.setdefault(metric, {}).setdefault(name, []).append(value)


def _environment(threads: int | None = None) -> dict[str, str]:
    """Our environment, with this source tree importable and the user's site left as it is."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    limits = {} if threads is None else dict.fromkeys(THREAD_LIMITS, str(threads))
    return {**os.environ, **limits, "PYTHONPATH": os.pathsep.join(paths)}


class _Worker:
    """A running ``benchmarks.worker`` and the conversation with it."""

    def __init__(self, python: str, request: dict[str, Any], threads: int | None) -> None:
        self._label = "/".join([request["workload"], *request["implementations"], request["native"]])
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(threads),
            cwd=ROOT,
        )
        self.reply = self._ask(request)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the empty answer below tells the story
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            code = self.close()
            raise RuntimeError(f"worker {self._label} ended with exit code {code}; see above")
        return json.loads(line)

    def measure(self, name: str) -> float:
        return float(self._ask({"measure": name})["time"])

    def close(self) -> int:
        """End the conversation, which ends the worker; its exit code."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait()


def _groups(workload: Workload, names: Sequence[str], native: Sequence[str]) -> Iterator[tuple[list[str], str, bool]]:
    """The contenders of each process, funcgrad's tier in it, and whether that is the first which was asked for."""
    for name in names:
        compiled = workload.implementations[name].requires == "funcgrad" and name != "funcgrad"
        for i, mode in enumerate(native if compiled and native else ("",)):
            yield [name], mode, i == 0


@contextlib.contextmanager
def _workers(
    workload: Workload, case: str, settings: Settings, result: CaseResult
) -> Iterator[list[tuple[str, str, _Worker]]]:
    """Start the workers of one case; yield who can be measured, by both names, in registration order."""
    names = [n for n in workload.implementations if settings.wants(n, workload.reference)]
    groups = [(names, "", True)] if workload.shared_process else _groups(workload, names, settings.native)
    with contextlib.ExitStack() as stack:
        turns: list[tuple[str, str, _Worker]] = []
        for group, native, first in groups:
            peer = workload.implementations[group[0]].peer
            request = {
                "workload": workload.name,
                "case": case,
                "implementations": group,
                "batches": settings.batches,
                "batch_seconds": settings.batch_seconds,
                "warm_seconds": settings.warm_seconds,
                "clock": settings.clock,
                "check": settings.check,
                "native": native,
            }
            worker = _Worker(settings.interpreter(peer), request, settings.threads)
            stack.callback(worker.close)
            labels = {name: tier_name(name, native, first) for name in group}
            for told, found in ((result.skipped, "skipped"), (result.failed, "failed"), (result.calls, "calls")):
                told.update({labels[name]: value for name, value in worker.reply[found].items()})
            for name in group:
                if name in worker.reply["ready"]:
                    result.versions[labels[name]] = worker.reply["versions"]
                    result.threads[labels[name]] = worker.reply["threads"]
                    turns.append((labels[name], name, worker))
        yield turns


def run_case(workload: Workload, case: str, settings: Settings) -> CaseResult:
    """Measure one case of a workload: fresh processes per restart, all in turn per round."""
    result = CaseResult(workload.name, case, workload.reference)
    for _ in range(settings.restarts):
        with _workers(workload, case, settings, result) as turns:
            for _ in range(settings.rounds):
                for label, name, worker in turns:
                    time.sleep(settings.settle_seconds)
                    result.add("time", label, worker.measure(name))
    return result


def _run_snippet(python: str, snippet: Snippet, cache: str, threads: int | None) -> dict[str, float]:
    """Seconds from starting a process to its end, its peak memory in MB, and what it says of itself.

    Compiled modules are kept in the directory `cache`, whether or not the source tree holds any
    and whatever the environment says: installed packages have theirs, too.
    """
    environment = {**_environment(threads), "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [python, "-c", snippet.code + _PEAK_MEMORY]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    elapsed = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"the program ended with exit code {done.returncode}:\n{done.stderr}")
    lines = done.stdout.splitlines()
    figures = {"time": elapsed, "memory": float(lines[-1])}
    for line in lines:
        if line.startswith("metric "):
            name, _, value = line.removeprefix("metric ").rpartition(" ")
            figures[name] = float(value)
    return figures


def _probe(python: str, package: str) -> dict[str, str] | None:
    """The versions under another interpreter, or None if it lacks the package."""
    code = (
        "import importlib.util, json, sys\n"
        "from benchmarks.environment import package_versions\n"
        "name = sys.argv[1]\n"
        "known = importlib.util.find_spec(name) is not None\n"
        "print(json.dumps(package_versions({name}) if known else None))"
    )
    done = subprocess.run(
        [python, "-c", code, package],
        capture_output=True,
        text=True,
        env=_environment(),
        cwd=ROOT,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_processes(workload: ProcessWorkload, settings: Settings) -> CaseResult:
    """Measure whole processes in turn; a first, unrecorded run compiles and fills file caches."""
    with tempfile.TemporaryDirectory() as cache:
        return _processes_in_turn(workload, settings, cache)


def _processes_in_turn(workload: ProcessWorkload, settings: Settings, cache: str) -> CaseResult:
    result = CaseResult(workload.name, "", workload.reference)
    turns: list[tuple[str, str, Snippet]] = []
    for name, snippet in workload.snippets.items():
        if not settings.wants(name, workload.reference):
            continue
        python = settings.interpreter(snippet.peer)
        versions = _probe(python, snippet.requires)
        if versions is None:
            result.skipped[name] = f"{snippet.requires} is not installed"
            continue
        try:
            _run_snippet(python, snippet, cache, settings.threads)
        except RuntimeError as error:  # reported, and the other contenders go on
            result.failed[name] = str(error).splitlines()[-1]
            continue
        result.versions[name] = versions
        result.calls[name] = 1
        turns.append((name, python, snippet))
    for _ in range(settings.rounds):
        for name, python, snippet in turns:
            for metric, figure in _run_snippet(python, snippet, cache, settings.threads).items():
                result.add(metric, name, figure)
    return result
