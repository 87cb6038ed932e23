"""A hint for functions that take long to compile because a Python loop was unrolled.

`jit` records what a Python loop does in each round, and all rounds are compiled. After `config.slow_compile` seconds
of that, a warning names the line that most operations come from, the loop around it, and `lax.scan`.
"""

from __future__ import annotations

import ast
import linecache
import warnings
from collections import Counter
from time import perf_counter
from types import CodeType

from funcgrad.config import config
from funcgrad.control.associative import is_of_scan
from funcgrad.errors import SlowCompileWarning
from funcgrad.ir import Program
from funcgrad.source import describe, line_of

__all__ = ["Watch"]

_ROUNDS = 50
"""A line of which fewer operations come is no loop that was unrolled."""


_OF_LOOPS = "jit unrolls Python loops; of funcgrad.lax.scan or lax.fori_loop it compiles one round, not all."
_OF_HALVES = (
    "It halves the length in each round, and all rounds are compiled. Of funcgrad.lax.scan, which goes through the "
    "elements one after the other, one step is compiled: less to compile, and more time for each call."
)


class Watch:
    """The time that the compilation of a program takes; `look()` warns, once, when that is long."""

    __slots__ = ("_began", "_program")

    def __init__(self, program: Program) -> None:
        self._program: Program | None = program
        self._began = perf_counter()

    def look(self) -> None:
        """Warn if it has taken long already."""
        if self._program is not None and perf_counter() - self._began > config.slow_compile:
            program, self._program = self._program, None
            _hint(program)


def _hint(program: Program) -> None:
    places = {(e.source[0], line_of(e.source)): e.source for e in program.equations if e.source is not None}
    lines = Counter((e.source[0], line_of(e.source)) for e in program.equations if e.source is not None)
    if not lines:
        return
    (code, line), count = lines.most_common(1)[0]
    if line is None or count < _ROUNDS:
        return
    loop = _loop_around(code, line)
    of_scan = loop is None and is_of_scan(code, line)
    where = f"in the loop of line {loop}" if loop else "for an associative_scan" if of_scan else "called in a loop"
    warnings.warn_explicit(
        f"jit has been compiling for more than {config.slow_compile:g} s: {count:,} of the {len(program.equations):,} "
        f"operations that it recorded come from {describe(places[code, line])}, {where}. "
        + (_OF_HALVES if of_scan else _OF_LOOPS),
        SlowCompileWarning,
        code.co_filename,
        loop or line,
    )


def _loop_around(code: CodeType, line: int) -> int | None:
    """The line of the innermost loop statement of a function that a line stands in; None if it stands in none."""
    text = "".join(linecache.getlines(code.co_filename))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    loops = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.For | ast.While | ast.AsyncFor)
        and code.co_firstlineno <= node.lineno < line <= (node.end_lineno or 0)
    ]
    return max(loops, default=None)
