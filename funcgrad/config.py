"""The library's switches: plain attributes of one object, `funcgrad.config`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Config", "config", "cpus", "hooks"]


hooks: dict[str, Callable[[Any], None]] = {}
"""By the name of a setting what is told of its new value."""


class Config:
    """Settings that hold for the whole process.

    Attributes:
        check_ir: run the IR checker on every program that is built (the tests do).
        dtype_promotion: "standard" (NumPy's), or "strict": operands of different dtypes raise where they meet, so that
            float32 does not become float64 unnoticed. Python's numbers stay weak, and booleans meet anything.
        flush_denormals: let compiled float32 programs take subnormal numbers (below 1.2e-38) for zeros while they run,
            as XLA does: arithmetic on them is many times slower. (On Linux with glibc, x86-64 and aarch64; programs
            that compute fewer than 4096 elements are left alone.)
        full_tracebacks: keep funcgrad's own frames in the tracebacks of errors.
        guard_leaves: how many ways through a function that branches on values `jit` keeps; beyond that it runs eagerly.
        guard_length: how many operations one of these ways may have.
        jit_programs: how many programs a function under `jit` (or `checkpoint`) keeps, one for each kind of arguments;
            beyond that the one that was not used for the longest time is forgotten.
        check_purity: let `jit` record a function again at each call, and raise if it is not what it was: for debugging.
        slow_compile: after how many seconds of compiling `jit` warns of the Python loop that it has unrolled.
        source_lines: let each recorded equation remember the user's line.
        threads: how many threads a compiled function may work with besides BLAS's; as many as the process may use, at
            first. With 1 it starts none.

    >>> config.full_tracebacks
    False
    """

    __slots__ = (
        "check_ir",
        "check_purity",
        "dtype_promotion",
        "flush_denormals",
        "full_tracebacks",
        "guard_leaves",
        "guard_length",
        "jit_programs",
        "slow_compile",
        "source_lines",
        "threads",
    )

    def __init__(self) -> None:
        self.check_ir = self.check_purity = False
        self.dtype_promotion = "standard"
        self.guard_leaves, self.guard_length = 64, 100_000
        self.jit_programs = 256
        self.flush_denormals = True
        self.full_tracebacks = False
        self.slow_compile = 1.0
        self.source_lines = True
        self.threads = cpus()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "dtype_promotion":
            if value not in ("standard", "strict"):
                raise ValueError(f'config.dtype_promotion is "standard" or "strict", got {value!r}')
        if name in hooks:
            hooks[name](value)
        object.__setattr__(self, name, value)

    def update(self, name: str, value: object) -> None:
        """Set a switch by name, as `jax.config.update` does; raises AttributeError for an unknown one."""
        if name not in self.__slots__:
            raise AttributeError(f"funcgrad.config has no setting {name!r}; it has {', '.join(self.__slots__)}")
        setattr(self, name, value)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


config = Config()
