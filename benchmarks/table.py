"""One table of everything that was measured: a row per case and metric, the goals beside the ratios.

In a row for compiled functions the columns are funcgrad with `jit`, JAX with `jit` and PyTorch as
it is called by default; in a row for plain calls, funcgrad and JAX without `jit`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.report import Verdict, judge, number, paired_ratio
from benchmarks.rounds import CaseResult, tier_name
from benchmarks.spec import Goal

__all__ = ["PEERS", "SECOND", "Ratio", "Row", "rows", "table"]

COMPILED = {"NumPy": "numpy", "funcgrad": "funcgrad jit", "JAX": "jax jit", "PyTorch": "torch"}
PLAIN = {"NumPy": "numpy", "funcgrad": "funcgrad", "JAX": "jax", "PyTorch": "torch"}
PEERS = ("JAX", "PyTorch")
SECOND = "native"  # the column of the second tier that was asked for


@dataclass(frozen=True)
class Ratio:
    """How many times funcgrad's figure a peer's is, with the goal for it, if there is one."""

    measured: float
    goal: float | None = None
    met: bool | None = None

    def __str__(self) -> str:
        text = f"{self.measured:.2f}"
        return text if self.goal is None else f"{text} (goal {self.goal:g}: {_outcome(bool(self.met))})"


@dataclass
class Row:
    """One metric of one case.

    Attributes:
        label: the workload, its case, the metric where it is not the time of a call.
        cells: what to print for each column of contenders.
        medians: the figures themselves.
        ratios: peers over funcgrad, by column.
        native: peers over funcgrad's second tier, where it was measured.
        others: goals that are about something else.
    """

    label: str
    cells: dict[str, str]
    medians: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)
    native: dict[str, Ratio] = field(default_factory=dict)
    others: list[Verdict] = field(default_factory=list)


def _outcome(met: bool) -> str:
    return "met" if met else "missed"


def rows(goals: Sequence[Goal], result: CaseResult, native: Sequence[str] = ()) -> list[Row]:
    """The rows of one case, one per metric; `native` are the tiers that were measured."""
    return [_row(goals, result, metric, native) for metric in result.samples or ("time",)]


def _row(goals: Sequence[Goal], result: CaseResult, metric: str, native: Sequence[str]) -> Row:
    samples = result.samples.get(metric, {})
    columns = dict(COMPILED if COMPILED["funcgrad"] in {*samples, *result.failed} else PLAIN)
    second = tier_name(columns["funcgrad"], native[1], first=False) if len(native) > 1 else ""
    if second in samples or second in result.failed:
        columns[SECOND] = second
    label = f"{result.workload} ({result.case})" if result.case else result.workload
    row = Row(label if metric == "time" else f"{label}, {metric}", {})
    for column, name in columns.items():
        if name in samples:
            row.medians[column] = statistics.median(samples[name])
            row.cells[column] = number(row.medians[column], metric)
        else:
            row.cells[column] = "failed" if name in result.failed else ""
    base = columns["funcgrad"]
    for column in PEERS:
        if base in samples and columns[column] in samples:
            row.ratios[column] = Ratio(paired_ratio(samples[columns[column]], samples[base]))
        if second in samples and columns[column] in samples:
            row.native[column] = Ratio(paired_ratio(samples[columns[column]], samples[second]))
    of_peer = {columns[column]: column for column in PEERS}
    for goal in goals:
        verdict = judge(goal, result) if goal.metric == metric else None
        if verdict is None:
            continue
        if goal.compare == "ratio" and goal.over == base and goal.of in of_peer and goal.at_least is not None:
            row.ratios[of_peer[goal.of]] = Ratio(verdict.measured, goal.at_least, verdict.met)
        else:
            row.others.append(verdict)
    return row


def table(found: Iterable[Row]) -> str:
    """The rows as Markdown."""
    found = list(found)
    second = any(SECOND in row.cells for row in found)
    head = ["workload", "NumPy by hand", "funcgrad", "JAX", "PyTorch", *([SECOND] if second else [])]
    head += [f"{peer} / funcgrad" for peer in PEERS]
    head += [f"{peer} / {SECOND}" for peer in PEERS] * second + ["other goals"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 2) + " --- |"]
    for row in found:
        cells = [row.label, *(row.cells[column] for column in COMPILED)]
        cells += [row.cells.get(SECOND, "")] * second
        cells += [str(row.ratios.get(peer, "")) for peer in PEERS]
        cells += [str(row.native.get(peer, "")) for peer in PEERS] * second
        cells.append("; ".join(f"{verdict.text} ({_outcome(verdict.met)})" for verdict in row.others))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
