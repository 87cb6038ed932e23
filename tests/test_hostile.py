"""Nothing that a user passes ends the interpreter, and nothing gives a wrong value without a word.

The calls are those of `hostile_calls.py`, made in processes of their own. `FUNCGRAD_HOSTILE_CALLS` sets how many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import hostile_calls
import numpy as np
import pytest

CALLS = int(os.environ.get("FUNCGRAD_HOSTILE_CALLS", "120"))
FIRST = int(os.environ.get("FUNCGRAD_HOSTILE_FIRST", "0"))
PER_PROCESS = 500


def made(first: int, count: int, script: str = hostile_calls.__file__) -> tuple[list[str], str | None]:
    """Make these calls in another process; returns the faults, and how the process ended if not well."""
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    command = [sys.executable, script, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=3600)
    lines = done.stdout.splitlines()
    faults = [f"{a}\n{b}" for a, b in pairwise(lines) if a.startswith("FAULT")]
    if done.returncode == 0:
        return faults, None
    last = next((line for line in reversed(lines) if line.startswith("call")), "no call")
    return faults, f"{last} ended Python with {done.returncode}:\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("first", range(FIRST, FIRST + CALLS, PER_PROCESS))
def test_hostile_calls(first: int) -> None:
    faults, end = made(first, min(PER_PROCESS, FIRST + CALLS - first))
    assert end is None, end
    assert not faults, "\n".join(faults)


def test_the_checker_sees_faults(tmp_path: Path) -> None:
    """Wrong values, wrong dtypes, shared memory and an end of the interpreter would be noticed."""
    call = hostile_calls.Call(0)
    call.fun, call.args, call.value, call.door, call.refused = np.sin, [np.ones(3)], True, "jit", False
    call.run = hostile_calls.VALUES["jit"]
    assert hostile_calls.faults(call) == []
    given = call.args[0]
    for run, fault in (
        (lambda f, x: np.cos(x), "NumPy gives"),
        (lambda f, x: np.sin(x).astype(np.float32), "NumPy gives"),
        (lambda f, x: given, "shares memory"),
        (lambda f, x: np.negative(given, out=given) * 0 + 1, "has changed"),
        (lambda f, x: {}["x"], "unclear"),
        (lambda f, x: f(str(x)), "got"),
    ):
        call.run = run
        assert any(fault in found for found in hostile_calls.faults(call)), fault
    script = tmp_path / "ends.py"
    script.write_text("import os\nprint('call 7', flush=True)\nos.kill(os.getpid(), 11)\n")
    faults, end = made(0, 1, str(script))
    assert end is not None and end.startswith("call 7 ended Python with -11") and not faults
