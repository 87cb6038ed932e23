"""Addresses of functions that native code calls: of BLAS and LAPACK, of the C library, of Python.

BLAS and LAPACK are those of the OpenBLAS that NumPy came with, or SciPy's where NumPy has another one. Its functions
have the usual names here, whatever the library calls them (`cblas_dgemm` is `scipy_cblas_dgemm64_` in NumPy's wheels).
Integers have 64 bits in some of them and 32 in others, which `blas_bits` says. With another BLAS (MKL, Accelerate)
there are none: such operations are NumPy's then.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from funcgrad.native.once import once

__all__ = ["address", "blas_bits", "is_blas"]

_MANGLED = (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", ""))
"""What OpenBLAS's builds put before and behind their names."""


def address(symbol: str) -> int | None:
    """The address of a function; None where there is none.

    BLAS by its C names (`cblas_dgemm`), LAPACK by its Fortran names (`dpotrf_`), Python's (`PyErr_SetString`), and
    the C library's (`pow`).

    >>> address("pow") is not None, address("no_such_function")
    (True, None)
    """
    if is_blas(symbol):
        return _of_blas(symbol)
    return _find(ctypes.pythonapi, symbol) or _of_c(symbol)


def is_blas(symbol: str) -> bool:
    """Whether a function is one of BLAS, LAPACK or OpenBLAS."""
    return symbol.startswith(("cblas_", "openblas_")) or (symbol.endswith("_") and not symbol.startswith("_"))


def _find(library: Any, symbol: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None


@cache
def _of_c(symbol: str) -> int | None:
    for name in ("ucrtbase", "msvcrt") if os.name == "nt" else (None, "libm.so.6"):
        try:
            found = _find(ctypes.CDLL(name), symbol)
        except OSError:
            continue
        if found is not None:
            return found
    return None


@cache
def _of_blas(symbol: str) -> int | None:
    blas = _blas()
    if blas is None:
        return None
    library, before, behind, _ = blas
    # Fortran's names end in an underscore, behind which "64_" is "64_" as well: dpotrf_64_.
    return _find(library, f"{before}{symbol}{behind}")


def blas_bits() -> int | None:
    """How many bits integers have that BLAS and LAPACK take; None where there is neither."""
    blas = _blas()
    return None if blas is None else blas[3]


@once
def _blas() -> tuple[Any, str, str, int] | None:
    """OpenBLAS, what stands before and behind its names, and the bits of its integers."""
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for before, behind in _MANGLED:
            config = _find(library, f"{before}openblas_get_config{behind}")
            if config is not None and _find(library, f"{before}cblas_dgemm{behind}") is not None:
                text = ctypes.CFUNCTYPE(ctypes.c_char_p)(config)() or b""
                return library, before, behind, 64 if b"USE64BITINT" in text or behind else 32
    return None


def _candidates() -> Iterator[str]:
    """Where to look: in what NumPy has loaded already, and in the libraries that came with SciPy."""
    module = np.linalg._umath_linalg.__file__  # its symbols are those it is linked to, too
    if module:
        yield module
    for package in ("numpy", "scipy"):
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec is not None else ():
            for folder in (f"{root}.libs", os.path.join(root, ".dylibs")):
                names = os.listdir(folder) if os.path.isdir(folder) else []
                yield from (os.path.join(folder, name) for name in sorted(names) if "openblas" in name)
