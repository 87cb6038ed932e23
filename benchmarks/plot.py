"""A picture of the table: how many times funcgrad's time or memory each peer takes, and the goals."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import PEERS, Row

__all__ = ["can_plot", "plot"]

COLOURS = {"JAX": "#4477aa", "PyTorch": "#ee6677"}
HEIGHT = 0.38  # of a bar; the rows are 1 apart


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the rows that have a peer into a PNG file; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [row for row in rows if row.ratios]
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.42 * len(shown)), layout="constrained")
    for position, peer in enumerate(PEERS):
        offset = (position - 0.5) * HEIGHT
        bars = [(i + offset, row.ratios[peer]) for i, row in enumerate(shown) if peer in row.ratios]
        lengths = [ratio.measured - 1 for _, ratio in bars]  # from where both are alike
        axes.barh([y for y, _ in bars], lengths, HEIGHT, left=1, color=COLOURS[peer], label=f"{peer} / funcgrad")
        goals = [(y, ratio.goal) for y, ratio in bars if ratio.goal is not None]
        axes.vlines(
            [goal for _, goal in goals],
            [y - HEIGHT / 2 for y, _ in goals],
            [y + HEIGHT / 2 for y, _ in goals],
            colors="black",
            linewidth=2,
            label="goal" if position == 0 else "",
        )
    axes.axvline(1.0, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("times what funcgrad takes: to the right of 1 funcgrad is ahead")
    axes.set_yticks(range(len(shown)), [row.label for row in shown])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(len(shown) - 0.4, -0.6)
    figure.legend(loc="outside upper right", ncols=3, fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
