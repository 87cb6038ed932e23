"""Where in the user's code are we?

Every equation remembers the user's line: the innermost frame that is not funcgrad's, NumPy's or SciPy's. Only the code
object and the instruction offset are kept, which costs a fraction of a microsecond; the line number and the text are
looked up when somebody asks.
"""

from __future__ import annotations

import ast
import linecache
import os.path
import re
import sys
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from funcgrad.config import config

__all__ = [
    "Source",
    "by_sparse_matrix",
    "call_at",
    "calling_frame",
    "describe",
    "is_internal",
    "line_of",
    "of_rule",
    "rule_of",
    "user_frame",
    "user_place",
    "user_source",
]

Source = tuple[CodeType, int] | tuple[CodeType, int, str] | None
"""A place in the user's code: a code object, the offset of an instruction, and for what a rule for derivatives does on
behalf of an operation there, the name of that operation."""

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_SCIPY = re.compile(r"[/\\](?:site|dist)-packages[/\\](?:scipy|sklearn|einops|array_api_\w+)[/\\]")
"""SciPy, and other libraries that compute with whatever arrays they are given."""
_inside: set[str] = set()
_outside: set[str] = set()


def is_internal(filename: str) -> bool:
    """Whether a file belongs to funcgrad, NumPy, SciPy or a library like it, and not to the user."""
    if filename in _inside:
        return True
    frozen = filename.startswith("<frozen") and "runpy" not in filename
    if (
        frozen
        or filename.endswith(".pyx")
        or filename.startswith((_PACKAGE, _NUMPY, "<__array_function__"))
        or _SCIPY.search(filename)
    ):
        _inside.add(filename)
        return True
    return False


def user_frame() -> FrameType | None:
    """The innermost frame of the user's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def calling_frame() -> FrameType | None:
    """The innermost frame of code that calls NumPy or funcgrad: the user's, or SciPy's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not is_internal(name) or _SCIPY.search(name):
            break
        frame = frame.f_back
    return frame


def user_place() -> str:
    """The line that the innermost frame of the user's code is at, for an error."""
    frame = user_frame()
    return describe((frame.f_code, frame.f_lasti)) if frame is not None else ""


def user_source() -> Source:
    """The user's current place, cheaply; None when `config.source_lines` is off."""
    if not config.source_lines:
        return None
    frame: Any = sys._getframe(3)  # past the trace and `bind`
    while frame is not None:
        name = frame.f_code.co_filename
        if name in _inside:
            frame = frame.f_back
        elif name in _outside:
            return frame.f_code, frame.f_lasti
        elif not is_internal(name):
            _outside.add(name)
    return None  # of a thread of the package's own nothing is the user's


@lru_cache(maxsize=32)  # a program's equations come from few functions
def _all_positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    return tuple(code.co_positions())


def _positions(source: Source) -> tuple[int | None, int | None, int | None, int | None]:
    if source is None:
        return None, None, None, None
    code, lasti = source[:2]
    every = _all_positions(code)
    return every[lasti // 2] if lasti // 2 < len(every) else (code.co_firstlineno, None, None, None)


def line_of(source: Source) -> int | None:
    """The line number of a place in the user's code."""
    return _positions(source)[0]


def of_rule(source: Source, name: str) -> Source:
    """The place of an operation called `name`, for what a rule for its derivatives does; the first such name stays."""
    return source if source is None or len(source) == 3 else (source[0], source[1], name)


def rule_of(source: Source) -> str:
    """The operation whose rule for derivatives does what stands here; empty for what the user does."""
    return source[2] if source is not None and len(source) == 3 else ""


def describe(source: Source) -> str:
    """A place as `file.py:12 (function)`, or an empty string when it is not known."""
    if source is None:
        return ""
    name = source[0].co_filename
    return f"{os.path.basename(name)}:{line_of(source)} ({source[0].co_name})"


class CallSite(NamedTuple):
    """The innermost expression that is being evaluated in a frame: its syntax tree and its text."""

    node: ast.AST
    text: str


def call_at(frame: FrameType) -> CallSite | None:
    """The expression that `frame` is evaluating, if its source can be read."""
    line, end_line, col, end_col = _positions((frame.f_code, frame.f_lasti))
    if line is None or end_line is None or col is None or end_col is None:
        return None
    name = frame.f_code.co_filename
    lines = [linecache.getline(name, n, frame.f_globals) for n in range(line, end_line + 1)]
    if not all(lines):
        return None
    raw = [text.encode() for text in lines]
    raw[-1] = raw[-1][:end_col]
    raw[0] = raw[0][col:]
    text = b"".join(raw).decode().strip()
    try:
        tree = ast.parse(f"({text})", mode="eval").body
    except SyntaxError:
        try:
            tree = ast.parse(text).body[0]
        except SyntaxError:
            return None
    return CallSite(tree, text)


_OF_SPARSE = ("_matmul_dispatch", "_mul_dispatch")


def by_sparse_matrix() -> bool:
    """Whether the caller was asked by a sparse matrix of SciPy's what it is to be multiplied by.

    Such a matrix would take an array apart; what says that it is none is left to do the product itself.
    """
    frame = sys._getframe(2)
    return frame.f_code.co_name in _OF_SPARSE and str(frame.f_globals.get("__name__")).startswith("scipy.sparse")
