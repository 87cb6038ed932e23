"""NumPy's warnings of floating-point errors (`divide by zero encountered in log`), at the user's line.

NumPy warns at the innermost Python frame, which here is one of funcgrad's, and Python then shows such a warning once
for all of the user's lines. While funcgrad is at work, what NumPy would warn of is therefore handed to `Log.write`,
with NumPy's own words (the mode 'log' of `numpy.errstate`), and issued at the place of the operation that is being
done: the user's line while their function runs; the line of the equation in the backward pass and in generated code.

Only the mode 'warn' is replaced. What the user has set otherwise ('ignore', 'raise', a handler of their own) stays, and
so does what is set inside the function. Entering and leaving takes 0.2 µs, as NumPy's state for each setting that was
met is kept.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial
from types import CodeType, FrameType
from typing import Any
from weakref import ref

import numpy as np

from funcgrad.source import Source, is_internal, line_of

_state: Any
_make: Any
try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj

    _state, _make = _extobj_contextvar, _make_extobj
except ImportError:  # a NumPy that keeps its settings elsewhere: its warnings stay where they are
    _state, _make = ContextVar("extobj", default=None), None

__all__ = [
    "OURS",
    "OUTER",
    "PLACES",
    "STATE",
    "Log",
    "Met",
    "Noted",
    "current",
    "enter",
    "noting",
    "put",
    "replaced",
    "shown",
]

STATE: ContextVar[Any] | None = _state if _make is not None else None
"""Where NumPy keeps its state for floating-point errors; None where that is not known."""

PLACES: dict[str, Sequence[Source]] = {}
"""For each file of generated code, the place in the user's code of each of its lines."""

current = _state.get
"""NumPy's state for floating-point errors."""

put = _state.set
"""Make a state the current one. (A call of C's: what was there before is put back even if an interrupt comes.)"""

OURS: dict[Any, Any] = {}
"""By the states that were met, those with the warnings replaced; None where there is nothing to do."""

_MOST = 64


def shown(owner: Any, filename: str, source: str, places: Sequence[Source] | None = None) -> list[Any]:
    """Let generated code be seen in tracebacks, and its places be known, until its owner dies, who is to keep what is
    returned. (In a `__del__` of Python's an interrupt would be lost.)"""
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    if places is not None:
        PLACES[filename] = places
    return [ref(owner, partial(table.pop, filename)) for table in (linecache.cache, PLACES)]


def enter() -> None:
    """Have NumPy's warnings told at the user's line from now on, until the state that was there is `put` back."""
    try:
        ours = OURS[current()]
    except KeyError:
        ours = replaced()
    if ours is not None:
        put(ours)


def replaced() -> Any:
    """What belongs to the current state in `OURS`, made now."""
    state = current()
    if len(OURS) > _MOST:  # each `with numpy.errstate` makes a state of its own
        OURS.clear()
    modes: dict[str, Any] = {k: "log" for k, mode in np.geterr().items() if mode == "warn"}
    ours = None
    if modes and np.geterrcall() is None and _make is not None:
        ours = _make(call=Log(), **modes)
        OURS[ours] = None
    OURS[state] = ours
    return ours


class Log:
    """What NumPy hands its words to."""

    __slots__ = ()

    def write(self, text: str) -> None:
        message = text.removeprefix("Warning: ").rstrip("\n")
        filename, line, namespace = _place(sys._getframe(1))
        module = namespace.get("__name__")
        registry = namespace.setdefault("__warningregistry__", {})
        warnings.warn_explicit(message, RuntimeWarning, filename, line, module, registry)


class Met(FloatingPointError):
    """A floating-point error was met that somebody else is to tell of."""


class Noted:
    """Counts what NumPy would warn of or raise, by the mode 'call' of `numpy.errstate`; the operation ends by `Met`."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: str, flag: int) -> None:
        self.count += 1
        raise Met(error)


_NOTING: dict[Any, tuple[Any, Noted]] = {}

OUTER: dict[Any, Any] = {}
"""By the states that `noting` gives, those in whose place they are."""


def noting() -> tuple[Any, Noted]:
    """A state like the current one that counts floating-point errors, where that one does not ignore them; the count.

    (Other threads may count as well.)
    """
    state = current()
    found = _NOTING.get(state)
    if found is None:
        if len(_NOTING) > _MOST:
            _NOTING.clear()
            OUTER.clear()
        noted = Noted()
        modes: dict[str, Any] = {kind: "call" for kind, mode in np.geterr().items() if mode != "ignore"}
        inner = _make(call=noted, **modes) if modes and _make is not None else state
        OUTER[inner] = state
        found = _NOTING[state] = inner, noted
    return found


_registries: dict[str, dict[str, Any]] = {}  # of code whose frame is gone


def _place(frame: FrameType | None) -> tuple[str, int, dict[str, Any]]:
    """File, line and namespace of the user's code for what is done in this frame."""
    innermost = frame
    while frame is not None:
        name = frame.f_code.co_filename
        if name in PLACES:
            lines = PLACES[name]
            source = lines[frame.f_lineno - 1] if frame.f_lineno <= len(lines) else None
        elif not is_internal(name) and not name.startswith("<funcgrad"):
            return name, frame.f_lineno, frame.f_globals
        else:
            source = _source_in(frame)
        if source is not None:
            name = source[0].co_filename
            while frame is not None and frame.f_code.co_filename != name:
                frame = frame.f_back
            space = frame.f_globals if frame is not None else _registries.setdefault(name, {})
            return name, line_of(source) or source[0].co_firstlineno, space
        frame = frame.f_back
    assert innermost is not None  # all of it is funcgrad's own: a thread, say
    return innermost.f_code.co_filename, innermost.f_lineno, innermost.f_globals


def _source_in(frame: FrameType) -> Source:
    """The place of the equation on whose behalf one of funcgrad's own frames is at work."""
    known = frame.f_code.co_varnames
    if "eqn" in known or "source" in known:
        here = frame.f_locals
        for found in (here.get("source"), getattr(here.get("eqn"), "source", None)):
            if isinstance(found, tuple) and found and isinstance(found[0], CodeType):
                return found
    return None
