"""Subnormal numbers of compiled float32 programs are flushed to zero, as XLA does it.

Arithmetic on subnormal numbers takes a processor many times as long as on others, and a float32 program gets to them
easily: a gradient that vanishes over the steps of a recurrent network underflows. So the processor is told to take them
for zeros (`config.flush_denormals`) while such a program runs, in each of its threads; callbacks, and what follows the
program, see the state that was before it. BLAS's own threads are not reached, and small programs are left alone.

The state is a part of C's floating-point environment: bits 15 (results) and 6 (operands) of MXCSR on x86-64, bit 24
of FPCR on aarch64. The layout of `fenv_t` is glibc's; with other C libraries nothing is done.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

from funcgrad.config import config
from funcgrad.ir import Program
from funcgrad.types import ShapedArray

__all__ = ["available", "flush", "flushed", "flushes", "is_flushing", "restore", "spare", "switch", "unflushed"]

_LAYOUTS = {"x86_64": (7, 1 << 15 | 1 << 6), "aarch64": (0, 1 << 24)}
"""For each architecture which 32-bit word of glibc's `fenv_t` has the bits, and the bits."""


class _Environment:
    """Memory for a floating-point environment, its address, and its words.

    `env.put(env.address)` makes it the current one. That is a call of C's function itself: no interrupt (Ctrl-C) comes
    before it, as one may where a function of Python's is entered.
    """

    __slots__ = ("address", "memory", "put", "words")

    def __init__(self, put: Callable[[int], object]) -> None:
        self.put = put
        self.memory = (ctypes.c_uint32 * 16)()
        self.address, self.words = ctypes.addressof(self.memory), memoryview(self.memory).cast("B").cast("I")


_spare: list[_Environment] = []

spare = _spare.append
"""Keep the memory of an environment, to be used again."""


@cache
def _library() -> tuple[Callable[[int], object], Callable[[int], object], int, int] | None:
    """fegetenv, fesetenv, and where the bits are; None where that is not known."""
    layout = _LAYOUTS.get(platform.machine())
    try:
        if layout is None or not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return None
        # A library of its own: the types of arguments are set on it. PyDLL keeps the GIL, which is cheaper.
        library = ctypes.PyDLL(None)
        for function in (library.fegetenv, library.fesetenv):
            function.argtypes = [ctypes.c_void_p]
        return library.fegetenv, library.fesetenv, *layout
    except (AttributeError, OSError, ValueError):
        return None


def available() -> bool:
    """Whether subnormal numbers can be flushed on this machine."""
    return _library() is not None


def switch(flushing: bool) -> _Environment | None:
    """Let this thread flush subnormal numbers, or not; returns what `restore` takes (None: nothing had to change)."""
    library = _library()
    if library is None:
        return None
    get, put, word, mask = library
    try:
        env = _spare.pop()
    except IndexError:
        env = _Environment(put)
    get(env.address)
    before = env.words[word]
    after = before | mask if flushing else before & ~mask
    if after == before:
        _spare.append(env)
        return None
    try:
        env.words[word] = after
        put(env.address)
    except BaseException:  # an interrupt, after which nobody would know of what was done
        env.words[word] = before
        put(env.address)
        raise
    env.words[word] = before
    return env


def flush() -> _Environment | None:
    """Flush subnormal numbers in this thread from now on; returns what `restore` takes."""
    return switch(True) if config.flush_denormals else None


def restore(before: _Environment | None) -> None:
    """Undo what `flush` or `switch` did. (Where an interrupt may come, write that in place of a call.)"""
    if before is not None:
        before.put(before.address)
        spare(before)


def is_flushing() -> bool:
    """Whether this thread flushes subnormal numbers."""
    before = switch(False)
    restore(before)
    return before is not None


def unflushed(fun: Callable[..., Any]) -> Callable[..., Any]:
    """`fun`, which is the user's code, with subnormal numbers, in the midst of a program that flushes them."""

    def call(*args: Any, **kwargs: Any) -> Any:
        before = switch(False)
        try:
            return fun(*args, **kwargs)
        finally:
            if before is not None:
                before.put(before.address)
                spare(before)

    return call


def flushed(run: Callable[..., Any], program: Program) -> Callable[..., Any]:
    """`run`, with subnormal numbers flushed if it is the code of a float32 program of some size."""
    if not flushes(program):
        return run

    def run_flushed(*args: Any) -> Any:
        before = flush()
        try:
            return run(*args)
        finally:
            if before is not None:
                before.put(before.address)
                spare(before)

    return run_flushed


def flushes(program: Program) -> bool:
    """Whether a program is run with subnormal numbers flushed, where `config.flush_denormals` says so."""
    return _elements(program) >= _FEW and available() and _is_single(program)


_FEW = 4096
"""Programs that compute fewer elements are left alone: setting the state, and restoring it, takes a microsecond."""


def _elements(program: Program) -> float:
    """How many elements a program reads or computes; without bound for loops whose length is not known."""
    total: float = max((v.aval.size for v in program.inputs), default=0)
    for eqn in program.equations:
        total += max((x.aval.size for x in (*eqn.inputs, *eqn.outputs)), default=0)
        for name in eqn.primitive.programs or ():
            held = eqn.params[name]
            inner = max(_elements(p) for p in (held if isinstance(held, tuple) else (held,)))
            layout = eqn.params.get("layout")
            total += inner * getattr(layout, "length", 1) if eqn.primitive.name != "while" else math.inf
    return total


def _is_single(program: Program) -> bool:
    """Whether single precision is the widest that a program's arrays have."""
    found = {"single": False, "double": False}
    _widths(program, found)
    return found["single"] and not found["double"]


def _widths(program: Program, found: dict[str, bool]) -> None:
    def see(aval: ShapedArray) -> None:
        if aval.dtype.kind in "fc" and not aval.weak:
            size = aval.dtype.itemsize // (2 if aval.dtype.kind == "c" else 1)
            found["single"] |= size <= 4
            found["double"] |= size > 4

    for var in (*program.constvars, *program.inputs):
        see(var.aval)
    for eqn in program.equations:
        for var in eqn.outputs:
            see(var.aval)
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, Program):
                    _widths(inner, found)
