"""From a program to a native function: text, object code (from disk where it is there already), entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from funcgrad.config import config
from funcgrad.executor.denormals import flushes
from funcgrad.ir import Program, held
from funcgrad.native import cache, recipes
from funcgrad.native.code import NativeCode
from funcgrad.native.entry import Entry
from funcgrad.native.entry_state import supported, trampoline
from funcgrad.native.fingerprint import fingerprint
from funcgrad.native.llvm import DEFAULT, Library, Options, lock, target, to_object
from funcgrad.native.refused import Refused

__all__ = ["Function", "Native", "Report", "build", "joined", "library", "text_of"]


class Report(NamedTuple):
    """What compiling cost, and gave.

    Attributes:
        equations: how many there were, those of loops included.
        emission, compilation: seconds, for the text and for the machine code.
        cached: whether the machine code was on disk.
        size: bytes of machine code, with what belongs to it.
        workspace: bytes that a call works in.
        host_steps: the operations that NumPy does, each with the reason.
    """

    equations: int
    emission: float
    compilation: float
    cached: bool
    size: int
    workspace: int
    host_steps: tuple[tuple[str, str], ...]

    @property
    def seconds(self) -> float:
        return self.emission + self.compilation


class Function(Protocol):
    """What a program in machine code is called by.

    Attributes:
        call: the function.
    """

    call: Callable[..., Any]

    @property
    def reruns(self) -> int:
        """How often NumPy ran a call again."""
        ...

    @property
    def calls(self) -> int:
        """How many calls there were."""
        ...

    def release_lock(self) -> None:
        """Let other threads of Python run during calls from now on."""
        ...

    def look_at_settings(self) -> None:
        """Do as the settings say now."""
        ...

    def tell(self, told: Callable[[int], object]) -> None:
        """Tell of calls that NumPy has run again, now and then: how many there were."""
        ...


class Native(NamedTuple):
    """A program in machine code: `entry.call` is the function."""

    entry: Function
    report: Report


class _Joined:
    """A function made of several programs."""

    __slots__ = ("_parts", "call")

    def __init__(self, call: Callable[..., Any], parts: Sequence[Function]) -> None:
        self.call, self._parts = call, parts

    @property
    def reruns(self) -> int:
        return sum(part.reruns for part in self._parts)

    @property
    def calls(self) -> int:
        return max((part.calls for part in self._parts), default=0)

    def release_lock(self) -> None:
        for part in self._parts:
            part.release_lock()

    def look_at_settings(self) -> None:
        for part in self._parts:
            part.look_at_settings()

    def tell(self, told: Callable[[int], object]) -> None:
        for part in self._parts:
            part.tell(lambda count: told(self.reruns))


def joined(call: Callable[..., Any], parts: Sequence[Native]) -> Native:
    """A function that calls these programs, as one."""
    reports = [part.report for part in parts]
    sums = {name: sum(getattr(r, name) for r in reports) for name in Report._fields[:3] + Report._fields[4:6]}
    steps = tuple(step for r in reports for step in r.host_steps)
    report = Report(cached=all(r.cached for r in reports), host_steps=steps, **sums)
    return Native(_Joined(call, [part.entry for part in parts]), report)


def _code(program: Program) -> NativeCode:
    with lock:  # no process is forked in the midst of an import; code that is on disk does without these modules
        lower = import_module("funcgrad.native.lower")
    code: NativeCode = lower.lower(lower.prepare(program), config.native_contract)
    return code._replace(inputs=tuple(program.in_avals), outputs=tuple(program.out_avals))


def text_of(program: Program) -> str:
    """The text of a program's module."""
    code = _code(program)
    return f"{code.text}\n{trampoline(code.pointers)}"


def library(text: str, options: Options, symbols: Sequence[str]) -> Library:
    """The code of a module in memory."""
    return _library(text, options, symbols)[0]


def _library(text: str, options: Options, symbols: Sequence[str]) -> tuple[Library, bool, str]:
    """The code of a module in memory, whether it was on disk, and by which name it is there."""
    name = cache.digest(text, options, target())
    code = cache.find(name)
    if code is not None:
        try:
            return Library(code, list(symbols)), True, name
        except RuntimeError:  # no object code, whatever its digest says
            pass
    code = to_object(text, options)
    cache.store(name, code)
    return Library(code, list(symbols)), False, name


def _has_long_integers(program: Program) -> bool:
    for eqn in program.equations:
        for x in eqn.inputs:
            if x.is_literal and type(x.value) is int and not -(1 << 63) <= x.value < 1 << 63:
                return True
    return any(_has_long_integers(p) for eqn in program.equations for p in held(eqn))


class _Made(NamedTuple):
    """A program's code, in memory too; how long its text took; and whether its machine code was on disk."""

    code: NativeCode
    library: Library
    emission: float
    cached: bool


def _from_disk(key: str, program: Program) -> _Made | None:
    """A program that was compiled before."""
    begun = perf_counter()
    found = recipes.find(key, program)
    if found is None:
        return None
    code, data = found
    read = perf_counter() - begun
    try:
        return _Made(code, Library(data, ["table"]), read, True)
    except RuntimeError:  # no object code, whatever its digest says
        return None


def _made(program: Program) -> _Made:
    key = None if cache.folder() is None else fingerprint(program)
    found = None if key is None else _from_disk(key, program)
    if found is not None:
        return found
    begun = perf_counter()
    code = _code(program)
    text = f"{code.text}\n{trampoline(code.pointers)}"
    emitted = perf_counter()
    loaded, cached, name = _library(text, DEFAULT._replace(verify=config.check_ir), ["table"])
    if key is not None:
        recipes.store(key, name, code)
    return _Made(code, loaded, emitted - begun, cached)


def build(program: Program, numpy: Callable[..., Any]) -> Native:
    """Compile a program; `numpy` runs it by NumPy, where native code cannot.

    Raises Refused on processors whose floating-point flags cannot be read, and for integers of more than 64 bits, or
    more than the dtype of an operation has, of which NumPy raises, or computes with Python's.
    """
    if not supported():
        raise Refused("the floating-point flags of this processor are not read")
    if _has_long_integers(program):
        raise Refused("it has an integer that does not fit into 64 bits")
    begun = perf_counter()
    made = _made(program)
    code = made.code
    entry = Entry(code, made.library, numpy, flushes(program), library)
    times = made.emission, perf_counter() - begun - made.emission
    report = Report(code.equations, *times, made.cached, made.library.size, sum(code.workspace), code.reasons)
    return Native(entry, report)
