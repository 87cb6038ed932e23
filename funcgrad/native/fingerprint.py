"""What native code of a program depends on, in a digest: the same in every process in which it comes out the same.

That is the program, all settings, and the versions of whatever takes part, down to the files of this package. A program
has no fingerprint if it holds what has no text of its own, such as a function, or is declared from outside: nobody can
say whether that is the same the next time. Where the user's lines are does not count.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

import numpy as np

from funcgrad.config import config, cpus
from funcgrad.core import Primitive
from funcgrad.ir import Program
from funcgrad.ir_signature import Signature
from funcgrad.native import cache as disk
from funcgrad.native.llvm import target

__all__ = ["fingerprint", "package", "text_of"]

LARGEST = 4 << 20
"""Bytes of all constants that are read for this."""

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_EVERY = ""  # `registry.EVERY`


class _Unknown(Exception):
    """There is something that has no text."""


def fingerprint(program: Program) -> str | None:
    """The digest; None if there is none."""
    text = text_of(program)
    try:
        return None if text is None else disk.digest(_surroundings(), config, cpus(), *text)
    except OSError:  # of a package that is no folder of Python files nobody knows which it is
        return None


def text_of(program: Program) -> list[str] | None:
    """A program as pieces of text, in which no two different programs agree; None where something has no text."""
    text = _Text()
    try:
        text.program(program)
    except _Unknown:
        return None
    return text.parts


@cache
def _surroundings() -> str:
    return "\n".join([package(), *target()])


def package() -> str:
    """Python, NumPy and the files of this package; raises OSError where these are not to be found."""
    files = _files(_PACKAGE)
    if not files:
        raise FileNotFoundError(_PACKAGE)
    return "\n".join([sys.version, np.__version__, *files])


def _files(folder: str) -> list[str]:
    """The Python files of a folder, with their sizes and when they were changed."""
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                found += _files(entry.path)
            elif entry.name.endswith(".py"):
                about = entry.stat()
                found.append(f"{entry.path[len(_PACKAGE) :]} {about.st_size} {about.st_mtime_ns}")
    return sorted(found)


def _from_outside(primitive: Primitive) -> bool:
    """Whether a primitive, or native code of it, is not this package's own. (Where nobody has imported the modules in
    which others declare such, nobody has.)"""
    owners = getattr(sys.modules.get("funcgrad.extend"), "OWNERS", ())
    foreign = getattr(sys.modules.get("funcgrad.native.registry"), "FOREIGN", ())
    own = (getattr(primitive.abstract, "__module__", None) or "").startswith("funcgrad.")
    return not own or primitive.name in owners or primitive.name in foreign or _EVERY in foreign


class _Text(Signature):
    """A program as pieces of text, in which no two different programs agree."""

    def __init__(self) -> None:
        super().__init__()
        self.left = LARGEST

    def operation(self, primitive: Primitive) -> None:
        if _from_outside(primitive):
            raise _Unknown
        self.parts.append(primitive.name)

    def other(self, value: Any) -> None:
        raise _Unknown

    def array(self, array: np.ndarray, kind: type) -> None:
        self.left -= array.nbytes
        if self.left < 0 or array.dtype.hasobject:
            raise _Unknown
        data = array.tobytes()
        text = data.hex() if len(data) <= 32 else disk.checksum(data).hex()
        self.parts.append(f"{kind.__name__} {array.shape}{array.dtype!r} {text}")
