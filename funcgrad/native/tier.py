"""Tiers: a program is NumPy's calls at once, and machine code once it has become hot.

A `Tier` belongs to an executable. That one asks it at the calls that its `ticks` do not cover: so the first few calls
are timed, and then one now and then, as often as it costs nothing. When the time that the program has taken exceeds
what compiling it is expected to take, one thread in the background compiles it; the functions that hold on to the
executable then get the machine code's function in its place, unless a few calls show that NumPy is faster.

`config.native` is "auto", "now" (compile at the first call, and wait) or "off".
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from _thread import allocate_lock, get_ident, start_new_thread
from collections import deque
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import repeat
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from funcgrad.config import after, config
from funcgrad.errors import NativeWarning
from funcgrad.ir import Program
from funcgrad.native.apart import after_fork, apart
from funcgrad.native.refused import Refused
from funcgrad.source import Source, describe, line_of

if TYPE_CHECKING:
    from funcgrad.native.build import Native

_clock_of: Any = getattr(time, "pthread_getcpuclockid", None)  # not on Windows and macOS

__all__ = ["ENDLESS", "ProgramTask", "Task", "Tier", "equations"]

ENDLESS = repeat(None)
"""Ticks for executables that ask nobody."""

COUNTING, WAITING, TRYING, NATIVE, NUMPY = "counting", "waiting", "trying", "native", "numpy"
"""What a tier is doing: timing NumPy's calls; waiting for machine code; comparing; done, with one or the other."""


class _Costs:
    """What compiling is expected to take, in seconds: for each equation, and for the first program."""

    equation = 1e-3
    first = 0.08
    least = 5e-3


class Task(Protocol):
    """What there is to be compiled."""

    def make(self, executable: Any) -> Native:
        """The native code for an executable; it is not to refer to the tier."""
        ...

    def size(self) -> int:
        """How many equations there are."""
        ...

    def source(self) -> Source:
        """A place in the user's code."""
        ...


class ProgramTask:
    """A program."""

    __slots__ = ("_program",)

    def __init__(self, program: Program) -> None:
        p = program  # which holds the tier, by what is derived from it
        self._program = Program(p.constvars, p.consts, p.inputs, p.equations, p.outputs)

    def make(self, executable: Any) -> Native:
        return import_module("funcgrad.native.build").build(self._program, executable.numpy)

    def size(self) -> int:
        return equations(self._program)

    def source(self) -> Source:
        return next((e.source for e in self._program.equations if e.source is not None), None)


class Tier:
    """Which code a program runs by.

    Attributes:
        executable: the program by NumPy's calls.
        mode: "auto", "now" or "off"; None for what `config.native` says.
        task: what there is to be compiled.
        state: what it is doing.
        native: the program in machine code.
        problem: why it stays with NumPy.
        seconds, each: what the calls by NumPy have taken, and one of them takes.
        warning: what is to be told at the next call.
    """

    __slots__ = (
        "__weakref__",
        "_lock",
        "_since",
        "_trial",
        "_users",
        "_worked",
        "each",
        "executable",
        "mode",
        "native",
        "problem",
        "seconds",
        "state",
        "task",
        "ticks",
        "warning",
    )

    def __init__(self, executable: Any, task: Task, mode: str | None = None) -> None:
        self.executable, self.mode, self.task = executable, mode, task
        self.native: Any = None  # a `build.Native`
        self.state, self.problem = COUNTING, ""
        self.seconds = self.each = 0.0
        self.ticks = 0
        self.warning = ""
        self._users: list[Any] = []
        self._trial: list[float] = []
        self._since = self._worked = 0.0
        self._lock = allocate_lock()
        _note(self)

    def attach(self) -> Tier:
        """Let the executable ask this tier."""
        self.executable.ticks, self.executable.due = iter(()), _Weakly(self)
        return self

    # ----------------------------------------------------------------------------------------------------------- calls

    def __call__(self, *args: Any) -> Any:
        """The result, by whatever code it is the turn of."""
        mode = self.mode or config.native
        if self.warning:
            self._warn()
        if mode == "off" or self.state == NUMPY:
            self.executable.ticks = ENDLESS
            return self.executable.numpy(*args)
        if self.state == NATIVE:
            return self.native.entry.call(*args)
        if mode == "now":
            _guard_forks()
            apart(self.compile)
            return self(*args)
        if self.state == TRYING:
            return self._try(*args)
        if self.state == WAITING:
            self._let_work()
            return self.executable.numpy(*args)
        begun = perf_counter()
        try:
            return self.executable.numpy(*args)
        finally:
            self._count(perf_counter() - begun)

    def _count(self, seconds: float) -> None:
        """Note what a call has taken, and those that were not timed before it; compile, or say when to ask again."""
        self.seconds += seconds + self.ticks * self.each
        self.each = min(seconds, 2 * self.each) if self.each else seconds
        left = self.limit - self.seconds
        if left > 0:
            # As many calls as take half of what is left; fewer than those among which timing one does not show, never.
            self.ticks = int(max(left / 2, _SELDOM) / max(self.each, 1e-7)) if self.each < _LONG else 0
            self.executable.ticks = repeat(None, self.ticks)
        elif not _extra().available():
            self._stay("llvmlite is not installed")
        else:
            with self._lock:
                if self.state != COUNTING:
                    return
                self.state = WAITING
            _submit(self)

    @property
    def limit(self) -> float:
        """After how many seconds of NumPy's calls it pays to compile."""
        first = 0.0 if _loaded() else _Costs.first
        return max(_Costs.least, _Costs.equation * self.task.size()) + first

    def _let_work(self) -> None:
        """Let the thread that compiles have Python's lock if it has got nowhere: it may never get it from short calls,
        which give the lock up and take it again at once."""
        now = perf_counter()
        if now - self._since > _YIELD:
            self._since = now
            before, self._worked = self._worked, _work_time()
            if before == self._worked:
                sleep(1e-6)

    def _try(self, *args: Any) -> Any:
        """Calls by turns, to see which code is faster."""
        call = self.executable.numpy if len(self._trial) % 2 else self.native.entry.call
        begun = perf_counter()
        out = call(*args)
        self._trial.append(perf_counter() - begun)
        if len(self._trial) >= _TRIALS and self.state == TRYING:
            native, numpy = min(self._trial[::2]), min(self._trial[1::2])
            if native > numpy:
                self._stay(f"it is faster: {1e3 * numpy:.3g} ms, native code {1e3 * native:.3g} ms")
            else:
                if native > _RELEASE:
                    self.native.entry.release_lock()
                self._become_native()
        return out

    # ------------------------------------------------------------------------------------------------------ compilation

    def compile(self) -> None:
        """Compile the program, unless that is done; what goes wrong is told at the next call."""
        with self._lock:
            if self.native is not None or self.state == NUMPY:
                if self.state != NUMPY:
                    self._become_native()
                return
            _current.append(self)
            try:
                if not _extra().available():
                    raise Refused("llvmlite is not installed")
                with _extra().lock:  # no process is forked in the midst of an import
                    import_module("funcgrad.native.build")
                self.native = self.task.make(self.executable)
            except Refused as error:
                self._stay(str(error))
            except Exception as error:
                self._stay(f"native code could not be made: {type(error).__name__}: {error}")
                self.warning, self.executable.ticks = self.problem, iter(())
            else:
                self.native.entry.tell(_Told(self))
                self._learn()
                if (self.mode or config.native) == "now":
                    self._become_native()
                else:
                    self._trial.clear()
                    self.state = TRYING
            finally:
                _current.remove(self)

    def _learn(self) -> None:
        """What compiling takes on this machine, from what it took."""
        report = self.native.report
        if not report.cached:
            each = report.seconds / max(1, self.task.size())
            _Costs.equation = 0.8 * _Costs.equation + 0.2 * min(each, 10e-3)

    def reruns(self, count: int) -> None:
        """Stay with NumPy if it has run most calls again, as many as `count`: they are done twice."""
        if (self.mode or config.native) != "now" and self.state == NATIVE and 2 * count > self.native.entry.calls:
            self._hand_out(self.executable.__call__)
            self._stay("it runs most calls again, for their floating-point errors or as the program says")

    def _stay(self, problem: str) -> None:
        """Run by NumPy from now on."""
        self.state, self.problem = NUMPY, problem
        self.executable.ticks = ENDLESS

    def _become_native(self) -> None:
        self.state = NATIVE
        self._hand_out(self.native.entry.call)

    # ------------------------------------------------------------------------------------------------------------ users

    def used_by(self, user: Any) -> None:
        """Keep `user.run` the function that runs the program."""
        self._users = [u for u in self._users if u() is not None]
        self._users.append(ref(user))
        if self.state == NATIVE and (self.mode or config.native) != "off":
            user.run = self.native.entry.call

    def _hand_out(self, run: Callable[..., Any]) -> None:
        for user in [u() for u in self._users]:
            if user is not None:
                user.run = run

    def reset(self) -> None:
        """Look at the settings at the next call."""
        self._hand_out(self.executable.__call__)
        self.executable.ticks, self.ticks = iter(()), 0

    def forget(self) -> None:
        """Begin again: in a process that was forked while this one's thread was compiling, or after other settings."""
        self._lock = allocate_lock()
        self.state, self.native, self.seconds, self.problem = COUNTING, None, 0.0, ""
        self.reset()

    def _warn(self) -> None:
        message, self.warning = self.warning, ""
        source = self.task.source()
        text = f"{message}; NumPy runs the program of {describe(source) or 'a function'}"
        line = line_of(source)
        if source is None or line is None:
            warnings.warn(text, NativeWarning, stacklevel=3)
        else:
            warnings.warn_explicit(text, NativeWarning, source[0].co_filename, line)

    def explain(self) -> str:
        """Which code runs, and why."""
        return import_module("funcgrad.native.report").describe_tier(self)


_SELDOM = 5e-5
"""Seconds of calls, of which one is timed at most."""
_LONG = 1e-4
"""Seconds of a call that is long enough to be timed each time."""
_YIELD = 1e-4
_TRIALS = 6
_RELEASE = 3e-5
"""Seconds of a call, above which other threads may run meanwhile."""


class _Told:
    """Tells a tier of calls that NumPy has run again, without keeping it."""

    __slots__ = ("_tier",)

    def __init__(self, tier: Tier) -> None:
        self._tier = ref(tier)

    def __call__(self, count: int) -> None:
        tier = self._tier()
        if tier is not None:
            tier.reruns(count)


class _Weakly:
    """Calls a tier, without keeping it."""

    __slots__ = ("_tier",)

    def __init__(self, tier: Tier) -> None:
        self._tier = ref(tier)

    def __call__(self, executable: Any, args: tuple[Any, ...]) -> Any:
        tier = self._tier()
        if tier is not None:
            return tier(*args)
        executable.ticks = ENDLESS
        return executable.numpy(*args)


def equations(program: Program) -> int:
    """How many equations a program has, those of loops and branches included."""
    if "equations" not in program.derived:
        inner = 0
        for eqn in program.equations:
            for name in eqn.primitive.programs or ():
                held = eqn.params[name]
                inner += sum(map(equations, held if isinstance(held, tuple) else (held,)))
        program.derived["equations"] = len(program.equations) + inner
    return program.derived["equations"]


# ---------------------------------------------------------------------------------------------------------- the thread

_queue: deque[Tier] = deque()
_current: list[Tier] = []
_working = False
_clock = 0
_guard = allocate_lock()
_tiers: dict[int, ref[Tier]] = {}
"""Every tier, by id. (A WeakSet removes what is gone in Python code, in the midst of which an interrupt is lost.)"""
_many = 1024
"""With so many of them, those that are gone are removed."""


@cache
def _extra() -> Any:
    return import_module("funcgrad.native.llvm")


def _loaded() -> bool:
    """Whether LLVM is there. (The first call of a program does not import a module to ask for it.)"""
    extra = sys.modules.get("funcgrad.native.llvm")
    return extra is not None and extra.loaded()


@cache
def _turns() -> Any:
    return import_module("funcgrad.native.turns")


@cache
def _guard_forks() -> None:
    _extra().guard_process()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _submit(tier: Tier) -> None:
    """Have a program compiled in the background."""
    global _working
    _guard_forks()
    _turns()  # here, since no process may be forked in the midst of an import
    with _guard:
        _queue.append(tier)
        if not _working:
            _working = True
            start_new_thread(_work, ())


def _work_time() -> float:
    """The processor time that the thread has had; 0 where that is not known."""
    try:
        return time.clock_gettime(_clock) if _clock else 0.0
    except OSError:  # it has ended
        return 0.0


def _work() -> None:
    """Compile what there is, and end."""
    global _working, _clock
    if _clock_of is not None:
        _clock = _clock_of(get_ident())
    _turns().shorten()
    with _extra().lock:  # a process that is forked in the midst of an import never gets the module's lock
        import_module("funcgrad.native.build")
    while True:
        with _guard:
            if not _queue:
                _turns().as_before()
                _working = False
                return
            tier = _queue[0]
        tier.compile()
        _queue.remove(tier)


def _after_fork() -> None:
    """The thread is not there in the new process."""
    after_fork()
    global _working, _guard
    _guard = allocate_lock()
    waiting = [*_queue, *_current]
    _queue.clear()
    _current.clear()
    _working = False
    _turns().as_before()
    for tier in waiting:
        tier.forget()


def _note(tier: Tier) -> None:
    global _many
    if len(_tiers) >= _many:
        for key, found in tuple(_tiers.items()):
            if found() is None:
                _tiers.pop(key, None)
        _many = max(1024, 2 * len(_tiers))
    _tiers[id(tier)] = ref(tier)


def _living() -> list[Tier]:
    return [tier for found in tuple(_tiers.values()) if (tier := found()) is not None]


def _reset_all() -> None:
    for tier in _living():
        tier.reset()


def _forget_all() -> None:
    for tier in _living():
        if tier.state in (TRYING, NATIVE, NUMPY):
            tier.forget()


def _flush_all() -> None:
    for tier in _living():
        if tier.native is not None:
            tier.native.entry.look_at_settings()


after["native"], after["native_contract"], after["flush_denormals"] = _reset_all, _forget_all, _flush_all
