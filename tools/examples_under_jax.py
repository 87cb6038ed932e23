"""The numbers of the examples next to those under JAX: `python -m tools.examples_under_jax [--full] [names…]`.

Each example that is written in JAX's style is run twice, in processes of their own; `--jax PYTHON` names an interpreter
that has JAX. Numbers are equal to rounding: to 10⁻⁷ of the largest of their line, or what `TOLERANCE` says and why.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

__all__ = ["EXAMPLES", "FOLDER", "TOLERANCE", "differences", "main"]

FOLDER = Path(__file__).resolve().parent.parent / "examples"
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("[a-z]*.py")}
EXAMPLES = sorted(name for name, source in SOURCES.items() if "from _backend import" in source)
TOLERANCE: dict[str, float] = {}


def numbers(python: str, name: str, options: list[str]) -> dict[str, np.ndarray]:
    """What an example prints: each line is a name of 32 columns and numbers."""
    environment = dict(os.environ, PYTHONPATH=str(FOLDER.parent))
    command = [python, str(FOLDER / f"{name}.py"), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return {line[:32].strip(): np.array(line[32:].split(), float) for line in done.stdout.splitlines()}


def differences(name: str, python: str = sys.executable, *, quick: bool = True) -> list[str]:
    """The lines in which an example differs between funcgrad and JAX."""
    options = ["--quick"] if quick else []
    ours, theirs = numbers(sys.executable, name, options), numbers(python, name, [*options, "--jax"])
    found = [f"lines {sorted(ours)} and {sorted(theirs)}"] if ours.keys() != theirs.keys() else []
    for key in ours.keys() & theirs.keys():
        scale = np.max(np.abs(theirs[key]))
        error = np.max(np.abs(ours[key] - theirs[key])) / (scale or 1)
        if not error <= TOLERANCE.get(name, 1e-7):
            found.append(f"{key}: {ours[key]} and {theirs[key]}, {error:.1e} apart")
    return found


def main(argv: list[str] | None = None) -> int:
    """Prints a line for each example; returns how many differ."""
    parser = argparse.ArgumentParser(description="Compares the numbers of the examples with those under JAX.")
    parser.add_argument("names", nargs="*", default=EXAMPLES)
    parser.add_argument("--jax", default=sys.executable, metavar="PYTHON", help="an interpreter that has JAX")
    parser.add_argument("--full", action="store_true", help="not the small setting")
    args = parser.parse_args(argv)
    wrong = 0
    for name in args.names:
        found = differences(name, args.jax, quick=not args.full)
        wrong += bool(found)
        print(f"{name:24}", "; ".join(found) or "equal", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
