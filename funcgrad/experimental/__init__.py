"""The names of `jax.experimental` that are here; each module is imported when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcgrad.experimental import ode

__all__ = ["ode"]


def __getattr__(name: str) -> Any:
    """A module of this package, imported when it is asked for."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
