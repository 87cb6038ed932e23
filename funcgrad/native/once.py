"""One lock for LLVM and for what a process makes once.

Programs are compiled by a thread in the background and, where that is asked for, by others at the same time.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar, cast

__all__ = ["lock", "once"]

lock = RLock()
"""Held by whoever uses LLVM, or makes what there is once; and by a fork, so that nobody else is in the midst of it.
(It can be taken twice by a thread: a signal's handler may fork.)"""

F = TypeVar("F", bound=Callable[..., Any])


def once(function: F) -> F:
    """A function that is run once for each choice of arguments, and always gives what it gave then.

    `functools.cache` may run it in two threads at a time. It keeps one of the results; the other one goes with its
    memory, of which somebody has the address.
    """
    kept = cache(function)

    @wraps(function)
    def given(*args: Any) -> Any:
        with lock:
            return kept(*args)

    return cast(F, given)
