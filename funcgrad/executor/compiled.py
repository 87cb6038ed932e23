"""From programs to what runs them: optimised, planned, written down and compiled once, and kept with the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad.ir import Program
from funcgrad.transforms.call import CALL

if TYPE_CHECKING:
    from funcgrad.executor.executable import Executable

__all__ = ["donation", "executable", "runner"]


@cache
def _builder() -> Callable[..., Executable]:
    return import_module("funcgrad.executor.build").build


def executable(program: Program, donated: tuple[bool, ...] = ()) -> Executable:
    """The compiled program; `donated` says which inputs may be overwritten."""
    key = ("executable", donated)
    found = program.derived.get(key)
    if found is None:
        found = program.derived.setdefault(key, _builder()(program, donated))
    return found


def donation(donate: Sequence[int], leaves: Sequence[int]) -> tuple[bool, ...]:
    """For each flat input whether it may be overwritten; `leaves` says how many each positional argument has, and the
    named ones together."""
    if not donate:
        return ()
    chosen = {i % (len(leaves) - 1) for i in donate if -len(leaves) < i < len(leaves) - 1}
    return tuple(i in chosen for i, n in enumerate(leaves) for _ in range(n))


def runner(donate: Sequence[int] = ()) -> Callable[[Program, Sequence[int]], Callable[..., Any]]:
    """What makes of a program, and the number of leaves of each argument, the function that runs it."""
    return lambda program, leaves: executable(program, donation(donate, leaves)).__call__


def _run(*args: Any, program: Program, **params: Any) -> tuple[Any, ...]:
    return executable(program)(*args)


CALL.impl = _run
