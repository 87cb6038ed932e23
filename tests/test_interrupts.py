"""Ctrl-C at any moment: never a hang, and the next call is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import funcgrad

COUNT = int(os.environ.get("FUNCGRAD_INTERRUPTS", "80"))
SEED = int(os.environ.get("FUNCGRAD_SEED", "0"))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_interrupts_at_random_moments() -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(funcgrad.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    script = str(Path(__file__).parent / "interrupts.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", script, str(COUNT), str(SEED)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{COUNT} interrupts\n" and not done.stderr, done.stderr[-3000:]
