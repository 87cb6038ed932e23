"""The command line: ``python -m benchmarks [NAME …] [--rounds N] [--peers-python PATH]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.environment import machine
from benchmarks.harness import CLOCKS
from benchmarks.records import RESULTS, save
from benchmarks.report import markdown
from benchmarks.rounds import CaseResult, Settings, run_case, run_processes
from benchmarks.spec import ProcessWorkload, Workload
from benchmarks.workloads import all_workloads

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads, wildcards allowed (default: all)")
    parser.add_argument("--list", action="store_true", help="list the workloads and stop")
    parser.add_argument("--rounds", type=int, default=Settings.rounds, help="turns per restart")
    parser.add_argument("--restarts", type=int, default=Settings.restarts, help="times to start fresh processes")
    parser.add_argument("--only", default="", help="contenders, comma-separated (default: all)")
    parser.add_argument("--python", default=sys.executable, help="interpreter for funcgrad, NumPy")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get("FUNCGRAD_BENCH_PYTHON"),
        help="interpreter that has the other libraries (default: $FUNCGRAD_BENCH_PYTHON, or ours)",
    )
    parser.add_argument(
        "--clock",
        choices=sorted(CLOCKS),
        default=Settings.clock,
        help="cpu: the process's processor time, for a busy machine (see the README)",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="directory for the JSON")
    parser.add_argument("--no-save", action="store_true", help="print only")
    return parser


def _chosen(patterns: Sequence[str]) -> list[Workload | ProcessWorkload]:
    known = all_workloads()
    if not patterns:
        return list(known.values())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise SystemExit(f"no workload matches {pattern!r}; there are: {', '.join(known)}")
    return [workload for name, workload in known.items() if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _run(workload: Workload | ProcessWorkload, settings: Settings) -> list[CaseResult]:
    """Measure every case of a workload, printing each as it comes."""
    results: list[CaseResult] = []
    cases = workload.cases if isinstance(workload, Workload) else [""]
    for case in cases:
        if isinstance(workload, Workload):
            result = run_case(workload, case, settings)
        else:
            result = run_processes(workload, settings)
        print(markdown(workload.summary, workload.goals, result), flush=True)
        results.append(result)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; the exit code is 1 if a contender failed or its result was wrong."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(options.names)
    if options.list:
        for workload in chosen:
            print(f"{workload.name}: {workload.summary}")
        return 0
    settings = Settings(
        rounds=options.rounds,
        restarts=options.restarts,
        clock=options.clock,
        python=options.python,
        peers_python=options.peers_python or options.python,
        only=tuple(filter(None, options.only.split(","))),
    )
    facts = machine()
    print(f"{facts['processor']}, {facts['cores']} cores, {facts['date']}\n", flush=True)
    wrong = False
    for workload in chosen:
        results = _run(workload, settings)
        wrong = wrong or any(result.failed for result in results)
        if not options.no_save:
            save(workload.name, workload.goals, results, settings, options.output)
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
