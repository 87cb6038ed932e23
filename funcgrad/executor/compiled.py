"""From programs to what runs them: optimised, planned, written down and compiled once, and kept with the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad.ir import Program
from funcgrad.transforms.call import CALL
from funcgrad.types import ShapedArray

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend
    from funcgrad.executor.executable import Executable
    from funcgrad.transforms.recorded import Recorded

__all__ = ["branching", "check_purity", "chosen", "donation", "executable", "runner"]


@cache
def _builder() -> Callable[..., Executable]:
    return import_module("funcgrad.executor.build").build


@cache
def _guards() -> Any:
    return import_module("funcgrad.executor.guards")


@cache
def _backends() -> Any:
    return import_module("funcgrad.backends")


def chosen(backend: str | Backend) -> Backend | None:
    """The backend that is meant; None for NumPy's, which needs no other module. Raises where there is none."""
    return None if backend == "numpy" else _backends().get_backend(backend)


def executable(program: Program, donated: tuple[bool, ...] = (), backend: Backend | None = None) -> Executable:
    """The compiled program; `donated` says which inputs may be overwritten."""
    key = ("executable", donated, backend)
    found = program.derived.get(key)
    if found is None:
        made = _builder()(program, donated) if backend is None else _backends().compile_for(backend, program, donated)
        found = program.derived.setdefault(key, made)
    return found


def donation(donate: Sequence[int], leaves: Sequence[int]) -> tuple[bool, ...]:
    """For each flat input whether it may be overwritten; `leaves` says how many each positional argument has, and the
    named ones together."""
    if not donate:
        return ()
    chosen = {i % (len(leaves) - 1) for i in donate if -len(leaves) < i < len(leaves) - 1}
    return tuple(i in chosen for i, n in enumerate(leaves) for _ in range(n))


def runner(
    donate: Sequence[int] = (), backend: Backend | None = None
) -> Callable[[Program, Sequence[int]], Callable[..., Any]]:
    """What makes of a program, and the number of leaves of each argument, the function that runs it."""
    return lambda program, leaves: executable(program, donation(donate, leaves), backend).__call__


def branching(name: str) -> Callable[[Callable[..., Any], Sequence[ShapedArray]], Any]:
    """What makes of a function that branches on values, and the avals of its flat arguments, what runs it."""
    return lambda fun, avals: _guards().Guarded(fun, avals, name)


def check_purity(recorded: Recorded, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise ImpureFunctionError if a function is recorded already for these arguments, and would be otherwise now."""
    import_module("funcgrad.executor.purity").check(recorded, args, kwargs)


def _run(*args: Any, program: Program, backend: Backend | None = None, **params: Any) -> tuple[Any, ...]:
    return executable(program, (), backend)(*args)


CALL.impl = _run
