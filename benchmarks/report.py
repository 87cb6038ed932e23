"""Figures from samples, goals judged on them, and the Markdown that shows both."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.rounds import CaseResult
from benchmarks.spec import Goal

__all__ = ["Verdict", "judge", "markdown", "number", "paired_difference", "paired_ratio", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """A goal and what was measured for it."""

    text: str
    measured: float
    met: bool


def paired_ratio(of: Sequence[float], over: Sequence[float]) -> float:
    """The median over rounds of ``of / over``."""
    return statistics.median(a / b for a, b in zip(of, over, strict=True))


def paired_difference(of: Sequence[float], over: Sequence[float]) -> float:
    """The median over rounds of ``of - over``."""
    return statistics.median(a - b for a, b in zip(of, over, strict=True))


def number(value: float, metric: str) -> str:
    """A figure with its unit."""
    if metric == "memory":
        return f"{value:.1f} MB"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if abs(value) * factor >= 1.0 or unit == "µs":
            return f"{value * factor:.3g} {unit}"
    raise AssertionError("unreachable")


def judge(goal: Goal, result: CaseResult) -> Verdict | None:
    """Hold a result against a goal; None where the goal does not apply or a contender is absent."""
    samples = result.samples.get(goal.metric, {})
    applies = not goal.cases or result.case in goal.cases
    if not applies or goal.of not in samples or (goal.over and goal.over not in samples):
        return None
    of = samples[goal.of]
    bound = "at most" if goal.at_most is not None else "at least"
    limit = goal.at_most if goal.at_most is not None else goal.at_least
    assert limit is not None
    if goal.compare == "figure":
        measured = statistics.median(of)
        text = f"{goal.metric} of {goal.of}: {bound} {number(limit, goal.metric)}, got {number(measured, goal.metric)}"
    elif goal.compare == "ratio":
        measured = paired_ratio(of, samples[goal.over])
        text = f"{goal.metric} of {goal.of} / {goal.over}: {bound} {limit:g}, got {measured:.2f}"
    else:
        measured = paired_difference(of, samples[goal.over])
        text = (
            f"{goal.metric} of {goal.of} - {goal.over}: {bound} {number(limit, goal.metric)}, "
            f"got {number(measured, goal.metric)}"
        )
    return Verdict(text, measured, goal.met_by(measured))


def verdicts(goals: Sequence[Goal], result: CaseResult) -> list[Verdict]:
    """Every goal that this result can be held against."""
    return [verdict for goal in goals if (verdict := judge(goal, result)) is not None]


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _table(result: CaseResult, metric: str) -> list[str]:
    """One Markdown table; ratios to the reference and to funcgrad where those took part."""
    samples = result.samples[metric]
    bases = [result.reference] if result.reference in samples else []
    bases += [name for name in ("funcgrad", "funcgrad jit") if name in samples and name not in bases]
    head = [f"{metric} (median)", "middle half of the rounds", *(f"/ {base}" for base in bases)]
    lines = ["| contender | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    for name, values in samples.items():
        low, high = _quartiles(values)
        cells = [number(statistics.median(values), metric)]
        cells.append(f"{number(low, metric)} to {number(high, metric)}")
        cells += [f"{paired_ratio(values, samples[base]):.2f}" for base in bases]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def markdown(summary: str, goals: Sequence[Goal], result: CaseResult) -> str:
    """A section for one case: tables, goals, and a line for whoever did not take part."""
    title = f"{result.workload} ({result.case})" if result.case else result.workload
    lines = [f"## {title}", "", summary, ""]
    for metric in result.samples:
        lines += [*_table(result, metric), ""]
    for verdict in verdicts(goals, result):
        lines.append(f"- {'met' if verdict.met else 'MISSED'}: {verdict.text}")
    lines += [f"- skipped: {name} ({why})" for name, why in result.skipped.items()]
    lines += [f"- FAILED: {name} ({why})" for name, why in result.failed.items()]
    return "\n".join(lines).rstrip() + "\n"
