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
from benchmarks.plot import can_plot, plot
from benchmarks.records import RESULTS, load, save
from benchmarks.report import markdown
from benchmarks.rounds import CaseResult, Settings, run_case, run_processes
from benchmarks.spec import ProcessWorkload, Workload
from benchmarks.summary import summary, write
from benchmarks.table import Row, rows, table
from benchmarks.workloads import all_workloads

__all__ = ["main"]

AnyWorkload = Workload | ProcessWorkload


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help="workloads, wildcards allowed; programs: all of that kind; all: every one, in one table",
    )
    parser.add_argument("--list", action="store_true", help="list the workloads and stop")
    parser.add_argument("--table", action="store_true", help="print one table at the end, and no sections")
    parser.add_argument("--kept", action="store_true", help="measure nothing: a table of the kept results")
    parser.add_argument("--rounds", type=int, default=Settings.rounds, help="turns per restart")
    parser.add_argument("--restarts", type=int, default=Settings.restarts, help="times to start fresh processes")
    parser.add_argument("--only", default="", help="contenders, comma-separated (default: all)")
    parser.add_argument("--python", default=sys.executable, help="interpreter for funcgrad, NumPy")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get("FUNCGRAD_BENCH_PYTHON"),
        help="interpreter that has the other libraries (default: $FUNCGRAD_BENCH_PYTHON, or ours)",
    )
    parser.add_argument("--threads", type=int, help="for every library alike (default: as many as each takes)")
    parser.add_argument(
        "--clock",
        choices=sorted(CLOCKS),
        default=Settings.clock,
        help="cpu: the process's processor time, for a busy machine (see the README)",
    )
    parser.add_argument(
        "--native",
        default="",
        help="values of funcgrad.config.native, comma-separated: off,now measures both tiers (default: as it is)",
    )
    parser.add_argument("--json", type=Path, help="write the rows and the summary of the table there, too")
    parser.add_argument("--output", type=Path, default=RESULTS, help="directory for the JSON and the picture")
    parser.add_argument("--no-save", action="store_true", help="print only")
    return parser


def _chosen(patterns: Sequence[str]) -> list[AnyWorkload]:
    known = all_workloads()
    if not patterns or "all" in patterns:
        return list(known.values())

    def matches(workload: AnyWorkload, pattern: str) -> bool:
        return fnmatchcase(workload.name, pattern) or pattern == getattr(workload, "kind", "")

    for pattern in filter(None, patterns):
        if not any(matches(workload, pattern) for workload in known.values()):
            raise SystemExit(f"no workload matches {pattern!r}; there are: {', '.join(known)}, and the kind programs")
    return [workload for workload in known.values() if any(matches(workload, pattern) for pattern in patterns)]


def _run(workload: AnyWorkload, settings: Settings, quiet: bool) -> list[CaseResult]:
    """Measure every case of a workload, reporting each as it comes: its section, or that it is done."""
    results: list[CaseResult] = []
    cases = workload.cases if isinstance(workload, Workload) else [""]
    for case in cases:
        if isinstance(workload, Workload):
            result = run_case(workload, case, settings)
        else:
            result = run_processes(workload, settings)
        if quiet:
            print(f"{workload.name} {case}".rstrip(), file=sys.stderr, flush=True)
        else:
            print(markdown(workload.summary, workload.goals, result), flush=True)
        for name, why in result.failed.items():
            print(f"{workload.name}: {name} failed: {why}", file=sys.stderr, flush=True)
        results.append(result)
    return results


def _kept(chosen: Sequence[AnyWorkload], directory: Path) -> int:
    """Print a table for each set of conditions under which results were kept; draw all in one picture."""
    groups: dict[str, list[Row]] = {}
    for workload in chosen:
        try:
            results, conditions = load(workload, directory)
        except FileNotFoundError:
            print(f"{workload.name}: no results are kept", file=sys.stderr)
            continue
        groups.setdefault(conditions, []).extend(row for r in results for row in rows(workload.goals, r))
    for conditions, found in groups.items():
        print(f"{conditions}\n\n{table(found)}")
    _draw([row for found in groups.values() for row in found], directory)
    return 0


def _draw(found: Sequence[Row], directory: Path) -> None:
    if can_plot():
        plot(found, directory / "table.png")
    else:
        print("no picture: matplotlib is not installed", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; the exit code is 1 if a contender failed or its result was wrong."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(options.names)
    if options.list:
        for workload in chosen:
            print(f"{workload.name}: {workload.summary}")
        return 0
    if options.kept:
        return _kept(chosen, options.output)
    settings = Settings(
        rounds=options.rounds,
        restarts=options.restarts,
        clock=options.clock,
        python=options.python,
        peers_python=options.peers_python or options.python,
        only=tuple(filter(None, options.only.split(","))),
        threads=options.threads,
        native=tuple(filter(None, options.native.split(","))),
    )
    as_table = options.table or "all" in options.names
    facts = machine()
    print(f"{facts['processor']}, {facts['cores']} cores, {facts['date']}\n", flush=True)
    wrong = False
    found: list[Row] = []
    for workload in chosen:
        results = _run(workload, settings, as_table)
        wrong = wrong or any(result.failed for result in results)
        found += [row for result in results for row in rows(workload.goals, result, settings.native)]
        if not options.no_save:
            save(workload, results, settings, options.output)
        if options.json:  # after each: a run may take an hour
            write(found, options.json)
    if as_table:
        print(table(found))
        print(summary(found))
        if not options.no_save:
            _draw(found, options.output)
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
