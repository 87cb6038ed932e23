"""Backends: where compiled programs run.

`jit(f, backend=...)` takes the name of a device or a `Backend`. NumPy's is the default; "torch:cpu", "torch:cuda:0" are
PyTorch's; `RecordingBackend` shows what a program does, launch by launch; `SimulatedBackend` is a device in software;
`ArrayAPIBackend` runs programs on libraries that follow the array API standard. One of your own says how arrays get to
the device and back, and has a table of implementations.

How the parts fit together. A `Device` (`funcgrad._array`) is a name; `get_backend(device)` has the one `Backend` of it,
with `asarray`, `to_numpy`, `supports`, `lowerings`, `synchronize` (`base.py`). `compile_for(backend, program, donated)`
compiles a program: the result is called with arrays of the host and gives arrays of the host, or `run(values)` takes
arrays of the library, in a list that it empties, and gives `(results, check)`: arrays of the library, and None or a
function that raises what the device has met. `device_put(x, device)` makes a `DeviceArray` (`funcgrad.device_array`),
with `.array`, `.aval`, `.device`, `.backend`; `executor/resident.py` runs programs on such arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.backends._named import backend_named
from funcgrad.backends.array_api import ArrayAPIBackend
from funcgrad.backends.base import Backend, UnsupportedOperationError
from funcgrad.backends.numpy import NumpyBackend
from funcgrad.backends.recording import Launch, RecordingBackend, Transfer
from funcgrad.backends.runner import DeviceProgram, run_program
from funcgrad.backends.simulated import SimulatedBackend
from funcgrad.ir import Program

__all__ = [
    "ArrayAPIBackend",
    "Backend",
    "DeviceProgram",
    "Launch",
    "NumpyBackend",
    "RecordingBackend",
    "SimulatedBackend",
    "Transfer",
    "UnsupportedOperationError",
    "compile_for",
    "get_backend",
    "run_program",
]


def get_backend(backend: str | Backend) -> Backend:
    """The backend of this name or device, always the same one; a backend is given back.

    Raises ValueError for a name that is not known, TypeError for what is no backend, ImportError where a package lacks,
    RuntimeError where there is no such device.

    >>> get_backend("numpy")
    NumpyBackend()
    """
    if isinstance(backend, str):
        return backend_named(backend)
    missing = [n for n in ("name", "lowerings", "asarray", "to_numpy", "supports", "synchronize")
               if not hasattr(backend, n)]  # fmt: skip
    if missing or isinstance(backend, type):
        what = f"the class {backend.__name__}" if isinstance(backend, type) else f"a {type(backend).__name__}"
        raise TypeError(f"a backend is a name or an instance of a Backend, got {what}")
    return backend


def compile_for(backend: Backend, program: Program, donated: Sequence[bool] = ()) -> Any:
    """A program compiled for a backend; `donated` says which inputs may be overwritten."""
    own = getattr(backend, "compile", None)
    return DeviceProgram(program, backend) if own is None else own(program, donated)


def __dir__() -> list[str]:
    return __all__
