"""How long Python's threads keep Python's lock while one of them compiles.

A thread that computes gives the lock to one that waits after 5 ms. Where the program that runs meanwhile calls NumPy,
which gives the lock up while it works on large arrays, each of its operations could wait so long for the thread that
compiles. So turns are shorter until that is done.
"""

from __future__ import annotations

import sys

__all__ = ["as_before", "shorten"]

_TURN = 1e-3  # seconds

_before: float | None = None


def shorten() -> None:
    """Let turns be short from now on, if they are longer."""
    global _before
    now = sys.getswitchinterval()
    if now > _TURN:
        _before = now
        sys.setswitchinterval(_TURN)


def as_before() -> None:
    """Let turns be as they were, unless somebody has said something else meanwhile."""
    global _before
    if _before is not None and abs(sys.getswitchinterval() - _TURN) < 1e-6:
        sys.setswitchinterval(_before)
    _before = None
