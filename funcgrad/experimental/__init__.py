"""The names of `jax.experimental` that are here: `jet`, `ode`, `io_callback`, `enable_x64`, `disable_x64`; others say
why not.

Each module is imported when it is asked for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad.callbacks import io_callback
from funcgrad.errors import NotOfferedError
from funcgrad.settings import enable_x64

if TYPE_CHECKING:
    from funcgrad.experimental import jet, ode

__all__ = ["disable_x64", "enable_x64", "io_callback", "jet", "ode"]

_REFUSED = {
    "checkify": "raise in funcgrad.debug.callback, or use funcgrad.debug_nans",
    "jax2tf": "there is no TensorFlow here",
    "mesh_utils": "there is one device",
    "multihost_utils": "there is one process",
    "pallas": "funcgrad.extend declares operations",
    "pjit": "funcgrad.jit",
    "shard_map": "funcgrad.vmap(f, axis_name=...)",
    "sparse": "constant scipy.sparse matrices work as operands",
}


def disable_x64() -> AbstractContextManager[None]:
    """`with disable_x64():` is accepted; floats have 64 bits, as in NumPy, unless a dtype says otherwise."""
    return enable_x64(False)


def __getattr__(name: str) -> Any:
    """A module of this package, imported when it is asked for."""
    if name in ("jet", "ode"):
        return import_module(f"{__name__}.{name}")
    if name in _REFUSED:
        raise NotOfferedError(f"funcgrad.experimental.{name} is not offered. Instead: {_REFUSED[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
