"""What is needed besides machine code to run a program, on disk by the program's fingerprint.

With it a program that was compiled before is neither lowered nor written as text: that would take most of the time, and
the modules for it are not even imported. Programs with host steps, which are made of Python's functions, have none.
"""

from __future__ import annotations

import pickle
from typing import NamedTuple

import numpy as np

from funcgrad.ir import Program
from funcgrad.native import cache
from funcgrad.native.code import NativeCode
from funcgrad.native.symbols import address, blas_bits

__all__ = ["find", "store"]

_LARGEST = 1 << 20
"""Bytes of all constants together."""


class _Recipe(NamedTuple):
    """Parts of `NativeCode`; by `name` `cache` has the machine code; `bits` have BLAS's integers."""

    name: str
    bits: int | None
    constants: tuple[np.ndarray, ...]
    workspace: tuple[int, ...]
    externals: tuple[str, ...]
    equations: int


def store(key: str, name: str, code: NativeCode) -> None:
    """Keep what `code` is besides its machine code, which `cache` has by a name."""
    if code.host_steps or sum(c.nbytes for c in code.constants) > _LARGEST:
        return
    recipe = _Recipe(name, blas_bits(), code.constants, code.workspace, code.externals, code.equations)
    cache.store(key, pickle.dumps(tuple(recipe), protocol=5))


def find(key: str, program: Program) -> tuple[NativeCode, bytes] | None:
    """The native code of a program, but for its text, and the machine code; None where either is not there, or calls
    functions that are not."""
    data = cache.find(key)
    if data is None:
        return None
    recipe = _Recipe(*pickle.loads(data))
    if recipe.bits != blas_bits() or None in map(address, recipe.externals):
        return None
    machine_code = cache.find(recipe.name)
    if machine_code is None:
        return None
    kinds = tuple(program.in_avals), tuple(program.out_avals)
    rest = recipe.constants, recipe.workspace, recipe.externals, (), recipe.equations
    return NativeCode("", *kinds, *rest), machine_code
