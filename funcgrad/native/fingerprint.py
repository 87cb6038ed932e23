"""What native code of a program depends on, in a digest: the same in every process in which it comes out the same.

That is the program, all settings, and the versions of whatever takes part, down to the files of this package. A program
has no fingerprint if it holds what has no text of its own, such as a function, or is declared from outside: nobody can
say whether that is the same the next time. Where the user's lines are does not count.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from funcgrad.config import config, cpus
from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.native import cache as disk
from funcgrad.native.llvm import target
from funcgrad.types import ShapedArray, is_a

__all__ = ["fingerprint"]

LARGEST = 4 << 20
"""Bytes of all constants that are read for this."""

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_EVERY = ""  # `registry.EVERY`
_PLAIN = {int, bool, str, bytes, type(None), type(...)}


class _Unknown(Exception):
    """There is something that has no text."""


def fingerprint(program: Program) -> str | None:
    """The digest; None if there is none."""
    text = _Text()
    try:
        text.program(program)
        return disk.digest(_surroundings(), config, cpus(), *text.parts)
    except (_Unknown, OSError):  # of a package that is no folder of Python files nobody knows which it is
        return None


@cache
def _surroundings() -> str:
    files = _files(_PACKAGE)
    if not files:
        raise FileNotFoundError(_PACKAGE)
    return "\n".join([sys.version, np.__version__, *target(), *files])


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


class _Text:
    """A program as pieces of text, in which no two different programs agree."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.dtypes: dict[np.dtype[Any], str] = {}
        self.left = LARGEST

    def program(self, program: Program) -> None:
        p = program
        names: dict[Var, int] = {}
        self.parts.append(f"program {len(p.constvars)} {len(p.inputs)} {len(p.equations)} {len(p.outputs)}")
        self._define(names, (*p.constvars, *p.inputs))
        for constant in p.consts:
            self.value(constant)
        for eqn in p.equations:
            self._equation(names, eqn)
        for atom in p.outputs:
            self._atom(names, atom)

    def _equation(self, names: dict[Var, int], eqn: Equation) -> None:
        if _from_outside(eqn.primitive):
            raise _Unknown
        self.parts.append(f"{eqn.primitive.name} {len(eqn.inputs)} {len(eqn.outputs)} {len(eqn.params)}")
        for atom in eqn.inputs:
            self._atom(names, atom)
        self._define(names, eqn.outputs)
        for name, value in eqn.params.items():
            self.parts.append(name)
            self.value(value)

    def _define(self, names: dict[Var, int], variables: Sequence[Var]) -> None:
        for v in variables:
            names[v] = len(names)
            self._aval(v.aval)

    def _atom(self, names: dict[Var, int], atom: Atom) -> None:
        if isinstance(atom, Var):
            self.parts.append(f"%{names[atom]}")
        else:
            self.value(atom.value)
            self._aval(atom.aval)

    def _aval(self, aval: ShapedArray) -> None:
        self.parts.append(f"{aval.shape}{self._dtype(aval.dtype)}{aval.weak}")

    def _dtype(self, dtype: np.dtype[Any]) -> str:
        text = self.dtypes.get(dtype)
        if text is None:
            text = self.dtypes[dtype] = repr(dtype)
        return text

    def value(self, value: Any) -> None:
        """A parameter or a constant."""
        kind = type(value)
        if kind in _PLAIN:
            self.parts.append(f"{kind.__name__} {value!r}")
        elif kind is float:
            self.parts.append(f"float {struct.pack('d', value).hex()}")
        elif isinstance(value, (tuple, list)):
            self.parts.append(f"{kind.__module__}.{kind.__qualname__} {len(value)}")
            for item in value:
                self.value(item)
        elif kind is dict:
            self.parts.append(f"dict {len(value)}")
            for item in value.items():
                self.value(item)
        elif kind is Program:
            self.program(value)
        elif isinstance(value, np.dtype):
            self.parts.append(f"dtype {self._dtype(value)}")
        elif kind is np.ndarray or kind is complex or is_a(value, np.generic):
            self._array(np.asarray(value), kind)
        elif kind is ShapedArray:
            self._aval(value)
        elif kind is slice:
            self.value(("slice", value.start, value.stop, value.step))
        else:
            raise _Unknown

    def _array(self, array: np.ndarray, kind: type) -> None:
        self.left -= array.nbytes
        if self.left < 0 or array.dtype.hasobject:
            raise _Unknown
        data = array.tobytes()
        text = data.hex() if len(data) <= 32 else disk.checksum(data).hex()
        self.parts.append(f"{kind.__name__} {array.shape}{self._dtype(array.dtype)} {text}")
