"""What a table says in a few lines: for each tier and peer the geometric mean, the best row and the worst."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import machine
from benchmarks.table import PEERS, SECOND, Row

__all__ = ["ratios", "summary", "write"]

NUMPY = "NumPy"


def ratios(found: Sequence[Row], tier: str, peer: str) -> dict[str, float]:
    """How many times the time of funcgrad's tier ("funcgrad" or `SECOND`) a peer takes, row by row.

    The ratios to JAX and PyTorch are medians of those of each round; to NumPy by hand it is that of the medians.
    """
    if peer == NUMPY:
        return {r.label: r.medians[peer] / r.medians[tier] for r in found if {peer, tier} <= r.medians.keys()}
    return {r.label: kept[peer].measured for r in found if peer in (kept := r.native if tier == SECOND else r.ratios)}


def _extremes(values: dict[str, float]) -> dict[str, Any]:
    best, worst = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    return {
        "rows": len(values),
        "geometric mean": math.exp(statistics.fmean(map(math.log, values.values()))),
        "best": {best: values[best]},
        "worst": {worst: values[worst]},
        "below 1": sorted(label for label, ratio in values.items() if ratio < 1),
    }


def _all(found: Sequence[Row]) -> dict[str, dict[str, Any]]:
    pairs = ((tier, peer) for tier in ("funcgrad", SECOND) for peer in (*PEERS, NUMPY))
    return {f"{peer} / {tier}": _extremes(values) for tier, peer in pairs if (values := ratios(found, tier, peer))}


def summary(found: Iterable[Row]) -> str:
    """A line for each tier and peer."""
    lines: list[str] = []
    for name, told in _all(list(found)).items():
        (best, most), (worst, least) = (next(iter(told[end].items())) for end in ("best", "worst"))
        name = name.replace(f"{NUMPY} ", f"{NUMPY} by hand ")
        lines.append(
            f"- {name}: geometric mean of {told['rows']}: {told['geometric mean']:.2f}; best {most:.2f} ({best}), "
            f"worst {least:.2f} ({worst}), {len(told['below 1'])} below 1"
        )
    return "\n".join(lines) + "\n"


def write(found: Iterable[Row], path: Path) -> None:
    """Write the rows (medians in seconds or MB, and ratios) and the summary as JSON."""
    kept = list(found)
    table = {
        row.label: {
            "medians": row.medians,
            "ratios": {peer: ratio.measured for peer, ratio in row.ratios.items()},
            "native": {peer: ratio.measured for peer, ratio in row.native.items()},
        }
        for row in kept
    }
    record = {"machine": machine(), "rows": table, "summary": _all(kept)}
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
