"""The primitives, in a module for each family; and the names of `jax.ops`, imported when they are asked for."""

from importlib import import_module
from typing import Any

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("funcgrad._segments"), name)
