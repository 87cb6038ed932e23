"""Keeps results as JSON, one file per workload, with what they depend on, and reads them again."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import machine
from benchmarks.report import verdicts
from benchmarks.rounds import CaseResult, Settings
from benchmarks.spec import Goal, ProcessWorkload, Workload

__all__ = ["RESULTS", "load", "save"]

RESULTS = Path(__file__).resolve().parent / "results"


def _case(goals: Sequence[Goal], result: CaseResult) -> dict[str, Any]:
    return {
        "samples": {
            metric: {name: [float(f"{v:.5g}") for v in values] for name, values in group.items()}
            for metric, group in result.samples.items()
        },
        "load_before": result.load_before,
        "calls_per_batch": result.calls,
        "goals": [
            {"text": v.text, "measured": float(f"{v.measured:.4g}"), "met": v.met} for v in verdicts(goals, result)
        ],
        "skipped": result.skipped,
        "failed": result.failed,
        "versions": result.versions,
        "threads": result.threads,
    }


def save(
    workload: Workload | ProcessWorkload,
    results: Sequence[CaseResult],
    settings: Settings,
    directory: Path = RESULTS,
) -> Path:
    """Write one workload's results and return the file's path; seconds and MB throughout."""
    record = {
        "workload": workload.name,
        "machine": machine(),
        # Whole processes are watched from outside, by the clock on the wall.
        "clock": settings.clock if isinstance(workload, Workload) else "wall",
        "threads": settings.threads or "each library's default",
        "rounds": settings.rounds,
        "restarts": settings.restarts,
        "batches_per_round": settings.batches,
        "cases": {result.case: _case(workload.goals, result) for result in results},
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{workload.name}.json"
    text = json.dumps(record, indent=1, ensure_ascii=False)
    # One line for each list of figures.
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda match: " ".join(match[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def load(workload: Workload | ProcessWorkload, directory: Path = RESULTS) -> tuple[list[CaseResult], str]:
    """A workload's kept results, and the conditions under which they were measured.

    Raises:
        FileNotFoundError: none are kept.
    """
    record = json.loads((directory / f"{workload.name}.json").read_text(encoding="utf-8"))
    results = [
        CaseResult(
            workload.name,
            case,
            workload.reference,
            kept["samples"],
            kept["calls_per_batch"],
            kept["skipped"],
            kept["failed"],
            kept["versions"],
            kept["threads"],
            kept["load_before"],
        )
        for case, kept in record["cases"].items()
    ]
    machine_facts = record["machine"]
    described = (
        f"{machine_facts['processor']}, {machine_facts['cores']} cores, {machine_facts['date']}, "
        f"{record['clock']} clock, threads: {record['threads']}"
    )
    return results, described
