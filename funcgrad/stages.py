"""The names of `jax.stages`: what a function under `jit` goes through, for annotations and `isinstance`."""

from __future__ import annotations

from funcgrad.executor.jit import Jitted as Wrapped
from funcgrad.executor.lowered import Lowered
from funcgrad.executor.stages import ArgInfo, Compiled, Traced

__all__ = ["ArgInfo", "Compiled", "Lowered", "Traced", "Wrapped"]


def __dir__() -> list[str]:
    return __all__
