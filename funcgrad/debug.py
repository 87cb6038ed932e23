"""Looking into functions while they run: also compiled, differentiated, or in a loop.

Python's own `print` in a function under `jit` runs when the function is recorded, and never again. `debug.print` and
`debug.callback` are operations with an effect: they run at each call, in the order of the program, with real values.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from string import Formatter
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import Tracer
from funcgrad.ops.rules import constant
from funcgrad.types import PYTHON_SCALARS, is_a, no_numbers

__all__ = ["Effects", "callback", "current_effects", "print", "put_effects"]


class _Call:
    """A function of pytrees as one of flat arrays; anything else among its arguments is kept with it."""

    __slots__ = ("fixed", "fun", "in_tree")

    def __init__(self, fun: Callable[..., Any], in_tree: Any, fixed: tuple[tuple[int, Any], ...]) -> None:
        self.fun, self.in_tree, self.fixed = fun, in_tree, fixed

    @property
    def __name__(self) -> str:
        return getattr(self.fun, "__name__", type(self.fun).__name__)

    def __call__(self, *arrays: Any) -> None:
        leaves = list(arrays)
        for i, value in self.fixed:
            leaves.insert(i, value)
        args, kwargs = self.in_tree.unflatten([x.copy() if is_a(x, np.ndarray) else x for x in leaves])
        self.fun(*args, **kwargs)


class Effects:
    """What a run that may have to start over has done: it counts the calls while it is the current one (`put_effects`).

    After `start_over()` as many calls as were made before are left out.
    """

    __slots__ = ("done", "skip")

    def __init__(self) -> None:
        self.done = self.skip = 0

    def start_over(self, at: int = 0) -> None:
        """A run begins again that had begun after so many calls."""
        self.skip, self.done = max(self.done, self.skip), at


_effects: ContextVar[Effects | None] = ContextVar("funcgrad_effects", default=None)
current_effects, put_effects = _effects.get, _effects.set


def _impl(*args: Any, call: Callable[..., None]) -> tuple[Any, ...]:
    effects = _effects.get()
    if effects is None:
        call(*args)
        return ()
    if effects.done >= effects.skip:
        try:
            put_effects(None)  # what the function calls in turn does not count
            call(*args)
        finally:
            put_effects(effects)
    effects.done += 1  # but not one that raised: it does so again when the run starts over
    return ()


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, call: Callable[..., None]) -> tuple[Any, ...]:
    for i in range(size):
        CALLBACK.bind(*(x[i] if b else x for x, b in zip(args, batched, strict=True)), call=call)
    return ()


CALLBACK = constant("debug_callback", _impl, lambda *avals, call: (), multiple=True, effect=True, batch=_batch)
"""Call a function for its effect; it has no results and no derivative."""


def callback(
    fun: Callable[..., Any], *args: Any, ordered: bool = False, partitioned: bool = False, **kwargs: Any
) -> None:
    """Call a function for its effect, each time that the program runs.

    Args:
        fun: is given NumPy values in place of tracers: primal values under derivatives, and under `vmap` those of one
            example after the other. What it returns is ignored.
        *args, **kwargs: pytrees; leaves that are no numbers (text, dates) are passed on as they are. `fun` gets copies
            of arrays.
        ordered, partitioned: accepted for JAX's sake: calls are always in order.

    Raises TypeError where `fun` is no function.

    >>> seen = []
    >>> from funcgrad import jit
    >>> f = jit(lambda x: (callback(seen.append, x), 2 * x)[1])
    >>> f(1.0), f(2.0), seen
    (2.0, 4.0, [1.0, 2.0])
    """
    if not callable(fun):
        raise TypeError(f"debug.callback takes a function, got {type(fun).__name__}")
    leaves, in_tree = tree.flatten((args, kwargs))
    fixed = tuple((i, x.copy() if is_a(x, np.ndarray) else x) for i, x in enumerate(leaves) if not _is_number(x))
    CALLBACK.bind(*(x for x in leaves if _is_number(x)), call=_Call(fun, in_tree, fixed))


def _is_number(x: Any) -> bool:
    if is_a(x, (np.ndarray, np.generic)):
        return no_numbers(x, "") is None
    return is_a(x, Tracer) or type(x) in PYTHON_SCALARS


def print(
    fmt: str,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> None:
    """Print each time that the program runs: `fmt.format(*args, **kwargs)`, with NumPy values in place of tracers.

    Under derivatives primal values are printed, and under `vmap` those of one example after the other.

    `skip_format_check` leaves out the check for that; `ordered` and `partitioned` are accepted for JAX's sake.

    Raises ValueError where `fmt` has no place for an argument (an f-string would show the tracer), TypeError where it
    is no text.

    >>> from funcgrad import grad, jit
    >>> f = jit(grad(lambda x: (print("x = {}", x), x**2)[1]))
    >>> f(3.0)
    x = 3.0
    6.0
    """
    if not isinstance(fmt, str):
        raise TypeError(f"debug.print: the format is a text, got {type(fmt).__name__}")
    if (args or kwargs) and not skip_format_check:
        _Places().vformat(fmt, (_Any(),) * len(args), dict.fromkeys(kwargs, _Any()))
    callback(_Printer(fmt), *args, **kwargs)


class _Any:
    """A value that can be printed in every format, and has every attribute and item."""

    def __format__(self, spec: str) -> str:
        return ""

    def __getattr__(self, name: str) -> _Any:
        return self

    def __getitem__(self, index: Any) -> _Any:
        return self


class _Places(Formatter):
    """Raises where a format has no place for an argument."""

    def check_unused_args(self, used_args: Any, args: Any, kwargs: Any) -> None:
        unused = [x for x in (*range(len(args)), *kwargs) if x not in used_args]
        if unused:
            raise ValueError(f"debug.print: the format has no place for argument {unused[0]!r}")


class _Printer:
    """Prints what it is given, by a format."""

    __slots__ = ("fmt",)
    __name__ = "print"

    def __init__(self, fmt: str) -> None:
        self.fmt = fmt

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        builtins.print(self.fmt.format(*args, **kwargs))
