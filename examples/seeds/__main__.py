"""Runs every example of this directory and writes a table: row, numbers in the document, numbers here, pictures.

    python examples/seeds [--data DIR] [--out DIR] [--quick]

The exit status is 1 where a check failed; the table then says which.
"""

import argparse
import importlib
import time
from pathlib import Path

from common import FAILURES, Report, options

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[0-9][0-9]_*.py"))
HEADER = (
    "| row | document | system | number | in the document | here | checks | pictures |",
    "| ---: | --- | --- | --- | --- | --- | ---: | --- |",
)


def run(name: str, args: argparse.Namespace) -> Report:
    """Runs one example."""
    return importlib.import_module(name).run(args)


def lines(report: Report) -> list[str]:
    """The rows of the table for one example: a line for each number."""
    pictures = " ".join(f"[{name}]({name})" for name in report.pictures)
    first = (str(report.row), report.document, report.title), (str(len(report.checks)), pictures)
    rest = ("", "", ""), ("", "")
    found = []
    for i, (name, document, here) in enumerate(report.numbers):
        before, after = rest if i else first
        found.append("| " + " | ".join([*before, name, document or "—", here, *after]) + " |")
    return found


def main() -> None:
    args = options(__doc__)
    table: list[str] = [*HEADER]
    failures: list[str] = []
    started = time.perf_counter()
    for name in NAMES:
        try:
            table += lines(run(name, args))
        except FAILURES as error:
            print(f"   FAILED: {error}")
            failures.append(name)
            summary = str(error).strip().partition("\n")[0].replace("|", "\\|")
            table.append(f"| {int(name[:2])} | | {name} | FAILED | | {summary} | | |")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "table.md"
    path.write_text("\n".join(table) + "\n", encoding="utf-8")
    print(f"{len(NAMES)} examples in {time.perf_counter() - started:.1f} s; table: {path}")
    if failures:
        raise SystemExit(f"FAILED: {', '.join(failures)}")


if __name__ == "__main__":
    main()
