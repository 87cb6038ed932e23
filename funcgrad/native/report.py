"""What runs a program, in words: for `jit(f).explain()` and `jit(f).lower(*args).cost()`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcgrad.native.build import Report
    from funcgrad.native.tier import Tier

__all__ = ["describe_report", "describe_tier"]


def _time(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms" if seconds >= 1e-4 else "0 ms"


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def describe_tier(tier: Tier) -> str:
    """Which code runs a program, why, and what compiling it cost."""
    report = None if tier.native is None else tier.native.report
    if tier.state == "native":
        assert tier.native is not None and report is not None
        lines = [f"native code, {describe_report(report)}"]
        if tier.native.entry.reruns:
            lines.append(f"{_plural(tier.native.entry.reruns, 'call')} run again by NumPy")
    elif tier.state == "numpy":
        lines = [f"NumPy: {tier.problem}"]
        if report is not None:
            lines.append(f"native code: {describe_report(report)}")
    else:
        lines = [f"NumPy, {_time(tier.seconds)} so far; native code after {_time(tier.limit)}"]
        if tier.state != "counting":
            lines = [f"NumPy, {_time(tier.seconds)} so far; native code is being {_DOING[tier.state]}"]
    if report is not None:
        lines += _host_steps(report)
    return "\n  ".join(lines)


_DOING = {"waiting": "compiled", "trying": "compared with it"}


def describe_report(report: Report) -> str:
    """What compiling cost."""
    text = f"{_plural(report.equations, 'equation')} in {report.size:,} bytes, made in {_time(report.seconds)}"
    return text + (" (machine code from the cache)" if report.cached else f" (text {_time(report.emission)})")


def _host_steps(report: Report) -> list[str]:
    """What NumPy does all the same, and why."""
    found = Counter(report.host_steps)
    times = {key: "" if n == 1 else f", {n} times" for key, n in found.items()}
    return [f"{name}: by NumPy, {reason}{times[name, reason]}" for name, reason in found]
