"""Work that no signal's handler is to break off, done in a thread of its own: handlers run in the main thread.

LLVM's objects in Python would not survive it: one that was broken off while it was closed is closed once more, later.
"""

from __future__ import annotations

from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable
from contextvars import copy_context

from funcgrad.native.once import lock

__all__ = ["after_fork", "apart"]

_waiting: list[LockType] = []
"""The locks of those who wait, one each."""


def apart(work: Callable[[], object]) -> None:
    """Do some work, and wait until it is done, or a signal's handler raises; then it is done all the same.

    In a process that a handler has forked meanwhile, it is not. Whoever holds LLVM's lock does the work itself, since
    another thread would wait for that: a finalizer may be run in the midst of anything.
    """
    if lock._is_owned():  # type: ignore[attr-defined]
        work()
        return
    done = allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            work()
        finally:
            _end(done)

    _waiting.append(done)
    try:
        try:
            start_new_thread(copy_context().run, (run,))
        except RuntimeError:  # there are too many threads
            run()
        done.acquire()
    finally:
        _waiting.remove(done)


def after_fork() -> None:
    """Nobody need wait in a process that was just forked: the threads are not there."""
    for done in _waiting:
        _end(done)


def _end(done: LockType) -> None:
    if done.locked():
        done.release()
