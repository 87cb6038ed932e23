"""What the native tier costs: `python -m tools.native_tier`.

Prints the time of a call of native code beyond making its results, what counting costs NumPy's calls, how soon a
program is native once it is hot, the longest pause of the program meanwhile, and how long code from the cache takes to
load. The machine should be quiet. With `--compilations 10000` it prints instead what stays in memory when so many
programs are compiled, none of them twice.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import repeat
from time import perf_counter
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.executor.compiled import executable, tier

X, Y = np.ones(4), np.ones(4)


def fastest(f: Callable[[], Any], number: int = 1000, rounds: int = 400) -> float:
    """Nanoseconds of a call, in the fastest of some rounds; of an empty function's are taken off."""
    best = float("inf")
    for _ in range(rounds):
        begun = perf_counter()
        for _ in repeat(None, number):
            f()
        best = min(best, perf_counter() - begun)
    return 1e9 * best / number


def calls() -> None:
    """The builtin function beyond making its result, and what ticks cost."""
    program = fg.make_ir(lambda x, y: x + y)(X, Y)
    run = executable(program)
    found = tier(program, (), None)
    fg.config.native = "off"
    run(X, Y)
    with_ticks = fastest(lambda: run(X, Y))
    without = fastest(lambda: run.numpy(X, Y))
    fg.config.native = "now"
    run(X, Y)
    native, new, empty = found.native.entry.call, np.empty, fastest(lambda: None)
    made = fastest(lambda: new(4)) - empty
    print(f"native call of two arrays {fastest(lambda: native(X, Y)) - empty:.0f} ns; np.empty(4) {made:.0f} ns")
    print(f"NumPy's code with ticks {with_ticks:.0f} ns (by the method without them {without:.0f} ns)")


CHILD = """
import numpy as np, sys
from time import perf_counter
import funcgrad as fg
from funcgrad.executor.compiled import executable, tier
from funcgrad.native.tier import _work_time
n = int(sys.argv[1])
def f(x):
    for i in range(n // 4):
        x = np.tanh(x * 1.5) - x * x
    return x
x = np.linspace(0.1, 0.9, int(sys.argv[2]))
program = fg.make_ir(f)(x)
run, found = executable(program), tier(program)
run(x)
times, hot, worked = [], None, 0.0
while found.state in ("counting", "waiting", "trying"):
    begun = perf_counter()
    run(x)
    end = perf_counter()
    if found.state == "waiting":
        hot = begun if hot is None else hot
        times.append(end - begun)
        worked = max(worked, _work_time())
report = found.native.report
plain = sorted(times)[len(times) // 2]
print(f"{n} equations on {x.size} elements: native {1e3 * (end - hot):.0f} ms after it was hot (of "
      f"processor time {1e3 * worked:.0f}; compiled in {1e3 * report.seconds:.0f} ms, "
      f"{'from the cache' if report.cached else 'not cached'}), calls meanwhile {1e6 * plain:.0f} us in the median, "
      f"{1e3 * max(times):.2f} ms at worst; then {found.state}")
begun = perf_counter()
again = fg.make_ir(f)(x + 0)
made = tier(again)
made.compile()
print(f"  the same from the cache in a process that has llvmlite: {1e3 * made.native.report.seconds:.2f} ms")
"""


def hot(place: str) -> None:
    """How soon a program is native, in new processes: without and with the code on disk."""
    for size in (100, 20000):
        for equations in (8, 100):
            for _ in range(2):
                env = {**os.environ, "FUNCGRAD_NATIVE_CACHE": place, "FUNCGRAD_NATIVE": "auto"}
                subprocess.run([sys.executable, "-c", CHILD, str(equations), str(size)], env=env, check=True)


def resident() -> int:
    """Bytes of memory that this process has (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def compilations(count: int) -> None:
    """What stays of programs that were compiled, called, and dropped."""
    fg.config.native_cache, fg.config.jit_programs = "off", 4
    x = np.linspace(0.1, 1.0, 9)

    def program(k: float) -> Callable[..., Any]:
        return fg.jit(lambda x: x * k + x[::-1], native="now")

    begun, since = resident(), 0
    for k in range(count + 1):
        if k % max(1, count // 10) == 0:
            gc.collect()
            each = (resident() - begun) / (k - since) if k > since else 0.0
            print(f"{k:6} programs: {resident() / 2**20:6.1f} MiB, {each:6.0f} bytes for each since {since}")
            if since == 0 and k:  # what is made once is there
                begun, since = resident(), k
        program(float(k))(x)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compilations", type=int, help="how many programs are compiled to see what stays of them")
    chosen = parser.parse_args()
    if chosen.compilations:
        compilations(chosen.compilations)
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        fg.config.native_cache = folder
        calls()
        hot(folder)
