"""Backends: where compiled programs run.

`jit(f, backend=...)` takes a name or a `Backend`. NumPy's is the default; `RecordingBackend` shows what a program does,
launch by launch; `ArrayAPIBackend` runs programs on libraries that follow the array API standard. One of your own says
how arrays get to the device and back, and has a table of implementations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from funcgrad.backends.array_api import ArrayAPIBackend
from funcgrad.backends.base import Backend, UnsupportedOperationError
from funcgrad.backends.numpy import NumpyBackend
from funcgrad.backends.recording import Launch, RecordingBackend, Transfer
from funcgrad.backends.runner import DeviceProgram, run_program
from funcgrad.ir import Program

__all__ = [
    "ArrayAPIBackend",
    "Backend",
    "DeviceProgram",
    "Launch",
    "NumpyBackend",
    "RecordingBackend",
    "Transfer",
    "UnsupportedOperationError",
    "compile_for",
    "get_backend",
    "run_program",
]


def _array_api_strict() -> Backend:
    try:
        xp = import_module("array_api_strict")
    except ImportError:
        raise ImportError(
            "the backend 'array_api_strict' needs a package: pip install array-api-strict, or funcgrad[backends]"
        ) from None
    return ArrayAPIBackend(xp)


_NAMED: dict[str, Callable[[], Backend]] = {"numpy": NumpyBackend, "array_api_strict": _array_api_strict}


@cache
def _named(name: str) -> Backend:
    return _NAMED[name]()


def get_backend(backend: str | Backend) -> Backend:
    """The backend of this name, always the same one; a backend is given back.

    Raises ValueError for a name that is not known, TypeError for what is no backend, ImportError where a package lacks.

    >>> get_backend("numpy")
    NumpyBackend()
    """
    if isinstance(backend, str):
        if backend not in _NAMED:
            raise ValueError(f"no backend is called {backend!r}; there are {', '.join(map(repr, _NAMED))}")
        return _named(backend)
    missing = [n for n in ("name", "lowerings", "asarray", "to_numpy", "supports", "synchronize")
               if not hasattr(backend, n)]  # fmt: skip
    if missing or isinstance(backend, type):
        what = f"the class {backend.__name__}" if isinstance(backend, type) else f"a {type(backend).__name__}"
        raise TypeError(f"a backend is a name or an instance of a Backend, got {what}")
    return backend


def compile_for(backend: Backend, program: Program, donated: Sequence[bool] = ()) -> Any:
    """A program compiled for a backend; `donated` says which inputs may be overwritten."""
    return backend.compile(program, donated) if isinstance(backend, NumpyBackend) else DeviceProgram(program, backend)


def __dir__() -> list[str]:
    return __all__
