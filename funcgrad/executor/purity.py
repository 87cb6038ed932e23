"""`config.check_purity`: is what `jit` recorded still what the function does?

The function is recorded again, and compared equation by equation, to the last bit of the arrays that it closes over. A
difference is reported with the user's line, and with the name of the array that changed if it has one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ImpureFunctionError
from funcgrad.executor.guard_tree import Mismatch, compare
from funcgrad.ir import Program
from funcgrad.source import describe
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.recorded import Recorded
from funcgrad.types import aval_of, is_a

__all__ = ["check"]


def check(recorded: Recorded, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise ImpureFunctionError if the function is not what was recorded for these arguments."""
    fixed, traced, named = recorded.static.split(args, kwargs)
    known, leaves, in_tree = recorded.program("jit", fixed, traced, named)
    try:
        if isinstance(known, Program):
            again = trace_to_program(recorded.flat(fixed, in_tree), [aval_of(x) for x in leaves], "jit", "error")
            compare(known, again)
        else:
            known.compare(leaves)
    except Mismatch as error:
        place = describe(error.source)
        name = None if error.array is None else _name_of(recorded.fun, error.array)
        raise ImpureFunctionError(
            f"jit: {getattr(recorded.fun, '__name__', recorded.fun)} depends on something else than its arguments: "
            f"{error}"
            + (f" ({name})" if name else "")
            + (f"\n  at {place}" if place else "")
            + "\n  pass what changes as an argument"
        ) from None


def _name_of(fun: Callable[..., Any], array: np.ndarray) -> str | None:
    """The name by which a function knows an array that it closes over."""
    try:
        scopes = inspect.getclosurevars(fun)
    except TypeError:  # no Python function
        return None
    for scope in (scopes.nonlocals, scopes.globals):
        for name, value in scope.items():
            if is_a(value, np.ndarray) and (value is array or _equal(value, array)):
                return name
    return None


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
