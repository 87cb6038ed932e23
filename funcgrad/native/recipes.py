"""What is needed besides machine code to run a program, on disk by the program's fingerprint.

With it a program that was compiled before is neither lowered nor written as text: that would take most of the time, and
the modules for it are not even imported. Programs with host steps, which are made of Python's functions, have none.
"""

from __future__ import annotations

import pickle
from typing import Any

from funcgrad.ir import Program
from funcgrad.native import cache
from funcgrad.native.code import SHARE, SHARE_BLAS, NativeCode
from funcgrad.native.symbols import address, blas_bits

__all__ = ["find", "store"]

_LARGEST = 1 << 20
"""Bytes of all constants together."""

Recipe = tuple[str, int | None, tuple[Any, ...]]
"""By which name `cache` has the machine code; the bits of BLAS's integers; and the fields of a `NativeCode`, of which
those are empty that its program or the machine code have."""


def store(key: str, name: str, code: NativeCode) -> None:
    """Keep what `code` is besides its machine code, which `cache` has by a name."""
    if code.host_steps or sum(c.nbytes for c in code.constants) > _LARGEST:
        return
    recipe: Recipe = name, blas_bits(), tuple(code._replace(text="", inputs=(), outputs=()))
    cache.store(key, pickle.dumps(recipe, protocol=5))


def find(key: str, program: Program) -> tuple[NativeCode, bytes] | None:
    """The native code of a program, but for its text, and the machine code; None where either is not there, or calls
    functions that are not."""
    data = cache.find(key)
    if data is None:
        return None
    recipe: Recipe = pickle.loads(data)
    name, bits, fields = recipe
    code = NativeCode(*fields)._replace(inputs=tuple(program.in_avals), outputs=tuple(program.out_avals))
    outside = set(code.externals) - {SHARE, SHARE_BLAS}  # functions that are compiled here
    if bits != blas_bits() or None in map(address, outside):
        return None
    machine_code = cache.find(name)
    return None if machine_code is None else (code, machine_code)
