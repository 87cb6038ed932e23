"""The names of `jax.example_libraries`: small networks (`stax`) and optimisers (`optimizers`)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcgrad.example_libraries import optimizers, stax

__all__ = ["optimizers", "stax"]


def __getattr__(name: str) -> Any:
    """A module of this package, imported when it is asked for."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
