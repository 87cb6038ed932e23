"""What `jax.custom_batching` has: functions with a batching rule of their own."""

from __future__ import annotations

from funcgrad.transforms.custom_batching import custom_vmap, sequential_vmap

__all__ = ["custom_vmap", "sequential_vmap"]


def __dir__() -> list[str]:
    return __all__
