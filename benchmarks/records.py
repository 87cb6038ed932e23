"""Keeps results as JSON, one file per workload, with what they depend on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import machine
from benchmarks.report import verdicts
from benchmarks.rounds import CaseResult, Settings
from benchmarks.spec import Goal

__all__ = ["RESULTS", "save"]

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
    name: str,
    goals: Sequence[Goal],
    results: Sequence[CaseResult],
    settings: Settings,
    directory: Path = RESULTS,
) -> Path:
    """Write one workload's results and return the file's path; seconds and MB throughout."""
    record = {
        "workload": name,
        "machine": machine(),
        "clock": settings.clock,
        "rounds": settings.rounds,
        "restarts": settings.restarts,
        "batches_per_round": settings.batches,
        "cases": {result.case: _case(goals, result) for result in results},
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    text = json.dumps(record, indent=1, ensure_ascii=False)
    # One line for each list of figures.
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda match: " ".join(match[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")
    return path
