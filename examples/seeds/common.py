"""What the fifteen examples share: options, checks, numbers for the table, pictures.

An example is a file with a function ``run(options) -> Report``; its last line is ``main(run)``. Whatever it claims
goes through `Report.same` or `Report.holds`: a claim that does not hold ends the program with an error.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).resolve().parent.parent))  # the readers of images are one directory up
from mnist_data import DataFileError, Dataset, load_directory, load_sklearn_digits

# Rounding only: the same sums, perhaps in another order.
RTOL = 1e-11
ATOL = 1e-14


class CheckFailed(AssertionError):
    """Something that an example claims does not hold."""


FAILURES = (CheckFailed, DataFileError, ModuleNotFoundError, OSError)  # what is told in a line, without a traceback


def options(description: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says: `out`, `quick` and `data`."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, default=Path("seeds_out"), help="where pictures go: %(default)s")
    add("--quick", action="store_true", help="fewer steps: shows that everything runs, not how well it learns")
    add("--data", metavar="DIR", help="a directory with MNIST files; without it, scikit-learn's digits are used")
    return parser.parse_args(argv)


def digits(args: argparse.Namespace) -> Dataset:
    """The MNIST images in the directory that the user names, or scikit-learn's digits."""
    return load_directory(Path(args.data), seed=0) if args.data else load_sklearn_digits(seed=0)


def assert_same(got: Any, expected: Any, *, rtol: float = RTOL, atol: float = ATOL) -> int:
    """Equal trees: dict keys, lengths of lists and tuples, leaves (to rounding); how many numbers that were."""
    if isinstance(expected, dict):
        assert isinstance(got, dict)
        assert set(got) == set(expected)
        return sum(assert_same(got[key], want, rtol=rtol, atol=atol) for key, want in expected.items())
    if isinstance(expected, (list, tuple)):
        assert type(got) is type(expected)
        assert len(got) == len(expected)
        pairs = zip(got, expected, strict=True)
        return sum(assert_same(have, want, rtol=rtol, atol=atol) for have, want in pairs)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)
    return np.size(expected)


@dataclass
class Report:
    """What one example checked, printed and saved."""

    row: int
    document: str
    title: str
    out: Path
    checks: list[str] = field(default_factory=list)
    numbers: list[tuple[str, str, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        print(f"{self.row}. {self.title} (document {self.document})", flush=True)

    def same(self, name: str, got: Any, want: Any, rtol: float = RTOL, atol: float = ATOL) -> None:
        """`got` equals `want`, leaf by leaf, to rounding."""
        try:
            count = assert_same(got, want, rtol=rtol, atol=atol)
        except AssertionError as error:
            raise CheckFailed(f"row {self.row}: {name}: {error}") from None
        self.checks.append(name)
        print(f"   equal   {name} ({count} numbers)", flush=True)

    def holds(self, name: str, condition: Any) -> None:
        """`condition` is true."""
        if not condition:
            raise CheckFailed(f"row {self.row}: not so: {name}")
        self.checks.append(name)
        print(f"   holds   {name}", flush=True)

    def number(self, name: str, here: Any, document: Any = "") -> None:
        """A number for the table, beside the document's where it states one."""
        self.numbers.append((name, str(document), str(here)))
        print(f"   {name}: {here}" + (f"   (document: {document})" if document != "" else ""), flush=True)

    def picture(self, figure: Figure, name: str) -> None:
        """Saves a figure as `name`.png."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{self.row:02}_{name}.png"
        figure.savefig(path, dpi=120)
        self.pictures.append(path.name)
        print(f"   picture {path}", flush=True)


def main(run: Callable[[argparse.Namespace], Report], description: str | None = None) -> None:
    """Runs one example as a program; the exit status is 1 where something that it claims does not hold."""
    try:
        report = run(options(description))
    except FAILURES as error:
        raise SystemExit(f"FAILED: {error}") from None
    print(f"   {len(report.checks)} checks passed")


def panels(count: int = 1, *, width: float = 5.5, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels beside each other."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, count)))


def curves(axes: Axes, series: dict[str, Any], *, title: str, xlabel: str, ylabel: str, **kind: Any) -> None:
    """Draws one line for each entry of `series`: values at 1, 2, 3, …, or a pair (x, values)."""
    for name, values in series.items():
        x, y = values if isinstance(values, tuple) else (np.arange(1, len(values) + 1), values)
        axes.plot(x, y, label=name, **kind)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    if len(series) > 1:
        axes.legend()


VALUE, COTANGENT = "tab:blue", "tab:red"


def draw_flow(
    axes: Axes, nodes: dict[str, tuple[float, float, str]], edges: Sequence[tuple[str, str, float, float]], title: str
) -> None:
    """Draws a computation: nodes (x, y, text); edges (from, to, value forward, cotangent backward)."""
    boxed = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": "black"}
    boxes = {
        name: axes.text(x, y, text, ha="center", va="center", bbox=boxed).get_bbox_patch()
        for name, (x, y, text) in nodes.items()
    }
    for start, end, value, cotangent in edges:
        (x0, y0, _), (x1, y1, _) = nodes[start], nodes[end]
        arrow = {"arrowstyle": "->", "patchA": boxes[start], "patchB": boxes[end], "shrinkA": 1, "shrinkB": 1}
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        middle = (x0 + x1) / 2, (y0 + y1) / 2
        level = abs(y1 - y0) < 0.1
        for text, color, step, anchor in ((value, VALUE, 6, "bottom"), (cotangent, COTANGENT, -6, "top")):
            # Beside a level arrow: above and below it. Beside a steep one: left and right of it.
            side = "right" if step > 0 else "left"
            shift, h, v = ((0, step), "center", anchor) if level else ((-step, 0), side, "center")
            axes.annotate(f"{text:.4g}", middle, shift, textcoords="offset points", color=color, ha=h, va=v)
    axes.set_title(title)
    axes.text(0.01, 0.02, "values forward", color=VALUE, transform=axes.transAxes)
    axes.text(0.99, 0.02, "cotangents backward", color=COTANGENT, ha="right", transform=axes.transAxes)
    axes.margins(0.08, 0.3)
    axes.scatter([n[0] for n in nodes.values()], [n[1] for n in nodes.values()], s=0)  # for the limits
    axes.set_axis_off()
