"""Two checkouts of the project against each other: ``python -m benchmarks.compare TREE [NAME …]``.

Each case of each workload that is funcgrad's runs in two processes, one with the package of this checkout and one with
that of TREE (`git worktree add` makes one of any commit). They take turns, and the median of the ratios of each pair
of turns is printed: this checkout's time over the other's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.workloads import call_workloads

__all__ = ["main"]

_WORKER = """
import json, sys
from benchmarks.harness import Timer, build, limit_threads
from benchmarks.workloads import call_workloads
workload, case, name, clock = json.loads(sys.argv[1])
limit_threads("funcgrad")
timer = Timer(build(call_workloads()[workload], case, name, False), 0.02, 0.3, clock)
print("ready", flush=True)
for _ in sys.stdin:
    print(timer.measure(3), flush=True)
"""

HERE = Path(__file__).resolve().parents[1]


class _Worker:
    """A process that times one contender whenever it is asked."""

    def __init__(self, tree: Path, what: list[str], threads: int) -> None:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FUNCGRAD_BENCH_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": str(tree)}
        command = [sys.executable, "-c", _WORKER, json.dumps(what)]
        self.process = subprocess.Popen(
            command, cwd=tree, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.ready = self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def measure(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._line() or "nan")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _compare(other: Path, what: list[str], rounds: int, threads: int) -> tuple[float, float] | None:
    """The median time here, and that of the ratios; None where one of the two cannot run it."""
    pair = [_Worker(HERE, what, threads), _Worker(other, what, threads)]
    try:
        if not all(w.ready for w in pair):
            return None
        times = [(pair[0].measure(), pair[1].measure()) for _ in range(rounds)]
    finally:
        for worker in pair:
            worker.close()
    return statistics.median(a for a, _ in times), statistics.median(a / b for a, b in times)


def _rows(names: list[str]) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for name, workload in call_workloads().items():
        if not names or any(fnmatch(name, pattern) for pattern in names):
            for contender, implementation in workload.implementations.items():
                if implementation.requires == "funcgrad":
                    found += [(name, case, contender) for case in workload.cases]
    return found


def main(argv: list[str] | None = None) -> None:
    """Print a row for each case, and the geometric mean of the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("tree", type=Path, help="the other checkout")
    parser.add_argument("names", nargs="*", help="workloads, wildcards allowed (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of turns")
    parser.add_argument("--threads", type=int, default=1, help="for funcgrad and BLAS")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    args = parser.parse_args(argv)
    other, ratios = args.tree.resolve(), []
    print("| workload | contender | time here | here / there |\n| --- | --- | ---: | ---: |")
    for name, case, contender in _rows(args.names):
        found: Any = _compare(other, [name, case, contender, args.clock], args.rounds, args.threads)
        if found is None:
            print(f"| {name} ({case}) | {contender} | – | – |", flush=True)
            continue
        ratios.append(found[1])
        print(f"| {name} ({case}) | {contender} | {found[0] * 1e3:.4g} ms | {found[1]:.3f} |", flush=True)
    if ratios:
        print(f"\ngeometric mean of {len(ratios)}: {math.exp(statistics.fmean(map(math.log, ratios))):.3f}")


if __name__ == "__main__":
    main()
