"""Native programs as functions of NumPy arrays: a builtin function around the machine code.

`Entry` makes that function, `call`: it takes flat inputs and returns a tuple of flat outputs, as the NumPy executable
of the same program does, and hands calls to that one which NumPy is to run: where a floating-point error was met that
NumPy's state does not ignore, where the program says so, and where an argument is not of the program's kind.

What a call works in belongs to a *frame*. The builtin function has one; a second thread, or a call within the call,
gets another one from a pool, as do calls whose arguments have to be converted first.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.debug import Effects, current_effects, put_effects
from funcgrad.errors import from_user
from funcgrad.float_errors import Met, current, noting, put
from funcgrad.native import recycled
from funcgrad.native.code import SHARE, SHARE_BLAS, NativeCode
from funcgrad.native.entry_code import SYMBOLS, entry_text
from funcgrad.native.entry_state import FLUSH
from funcgrad.native.entry_words import FRAME
from funcgrad.native.frames import Frame, Maker, converted, mask
from funcgrad.native.layout import Layout, free_threads, keep_for_good, keep_memory, layout
from funcgrad.native.llvm import Library, Options
from funcgrad.native.once import once
from funcgrad.native.pool import share_addresses
from funcgrad.native.portable import Portable

__all__ = ["Compile", "Entry"]

Compile = Callable[[str, Options, Sequence[str]], Library]
"""From the text of a module, how to compile it, and its symbols, to code in memory."""

Run = Callable[..., Any]

ENTRY_OPTIONS = Options(level=0, code=1)  # its text is as it should be


class Entry:
    """A native program as a function.

    Attributes:
        call: the function of flat inputs.
        code: what it was made of.
        reruns: how often NumPy ran a call again.

    Args:
        code: the program.
        library: the program in memory, with the symbol `table`.
        numpy: the same program by NumPy.
        flush: whether subnormal numbers are flushed to zero where `config.flush_denormals` says so.
        compile: what compiles text.
    """

    __slots__ = ("_flushes", "_frame", "_make", "_reruns", "call", "code")

    def __init__(self, code: NativeCode, library: Library, numpy: Run, flush: bool, compile: Compile) -> None:
        self.code = code
        self._reruns = reruns = _Reruns(numpy)
        at = layout()
        self._flushes = flush
        share = share_addresses(compile) if {SHARE, SHARE_BLAS} & set(code.externals) else {}
        self._make = make = Maker(code, library, _machine(at, compile), share)
        if share:
            make.release_lock()
        self.look_at_settings()
        plain, again = (_again, _again) if code.host_steps else (numpy, reruns)
        if at is None:
            self._frame = None
            self.call: Run = Portable(make, plain, again)
        else:
            self._frame = make.frame()
            self.call = _function(make, self._frame, _Spare(make, plain, again), again)
        if code.host_steps:
            self.call = _hosted(self.call, reruns)

    @property
    def reruns(self) -> int:
        return self._reruns.count

    @property
    def calls(self) -> int:
        """How many calls the builtin function had."""
        return 0 if self._frame is None else int(self._frame.words[FRAME["calls"]])

    def look_at_settings(self) -> None:
        """Flush subnormal numbers, or not, as `config.flush_denormals` says now."""
        self._make.set_flush(FLUSH if self._flushes and config.flush_denormals else 0)

    def tell(self, told: Callable[[int], object]) -> None:
        """Tell of calls that NumPy has run again, now and then: how many there were."""
        self._reruns.told = told

    def release_lock(self) -> None:
        """Let other threads of Python run during calls from now on."""
        self._make.release_lock()


_TELL = 64
"""After so many calls that NumPy has run again somebody is told."""


class _Reruns:
    """Runs a call by NumPy, and counts."""

    __slots__ = ("count", "numpy", "told")

    def __init__(self, numpy: Run) -> None:
        self.numpy, self.count = numpy, 0
        self.told: Callable[[int], object] | None = None

    def __call__(self, *args: Any) -> Any:
        self.count += 1
        if self.told is not None and self.count % _TELL == 0:
            self.told(self.count)
        return self.numpy(*args)


@once
def _machine(at: Layout | None, compile: Compile) -> Library:
    """The code that all programs share."""
    to = at or Layout(object.__basicsize__, 8)
    shared = compile(entry_text(to.head, to.kind, free_threads()), ENTRY_OPTIONS, SYMBOLS)
    if at is not None:
        keep_for_good(shared)
        keep_memory({name: shared[name] for name in recycled.SYMBOLS})
    return shared


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_FASTCALL, _NO_ARGUMENTS = 0x80, 0x04
_methods: dict[str, _MethodDef] = {}
_new_builtin = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


def _builtin(shared: Library, symbol: str, owner: np.ndarray) -> Run:
    """A builtin function whose `self` is an array."""
    flags = _FASTCALL if symbol == "call" else _NO_ARGUMENTS
    method = _methods.get(symbol) or _methods.setdefault(symbol, _MethodDef(b"native", shared[symbol], flags, None))
    return _new_builtin(ctypes.addressof(method), owner, None)


class _Holder:
    """Owns what an array of words refers to by addresses; the array has it as its base."""

    __slots__ = ("__array_interface__", "kept")

    def __init__(self, words: np.ndarray, *kept: Any) -> None:
        self.__array_interface__ = words.__array_interface__
        self.kept = (words, *kept)


def _function(make: Maker, frame: Frame, odd: Run, again: Run) -> Run:
    """The builtin function of a frame, which it owns."""
    words = frame.words
    learn = _Learn(words)
    for name, function in (("odd", odd), ("again", again), ("learn", learn)):
        words[FRAME[name]] = id(function)
    steps: list[Run] = []
    for function in frame.steps:
        pair = np.array([words.ctypes.data, id(function)], np.int64)
        steps.append(_builtin(make.shared, "step", np.asarray(_Holder(pair, function))))
    if steps:
        frame.table[-len(steps) :] = list(map(id, steps))
    kept = (odd, again, learn, steps, frame.memory, make)
    return _builtin(make.shared, "call", np.asarray(_Holder(words, *kept)))


class _Learn:
    """Notes NumPy's state for floating-point errors down in a frame."""

    __slots__ = ("_state", "_words")

    def __init__(self, words: np.ndarray) -> None:
        self._words, self._state = words, None

    def __call__(self) -> None:
        self._state = current()  # it is not to die, and another one to be taken for it
        self._words[FRAME["state"]] = id(self._state)
        self._words[FRAME["mask"]] = mask()


class _Spare:
    """Runs calls whose arguments are not as expected, and those that come while the frame is in use."""

    __slots__ = ("_make", "_numpy", "_pool", "_reruns")

    def __init__(self, make: Maker, numpy: Run, reruns: Run) -> None:
        self._make, self._numpy, self._reruns = make, numpy, reruns
        self._pool: deque[Run] = deque()

    def __call__(self, *args: Any) -> Any:
        given = converted(args, self._make.code.inputs)
        if given is None:
            return self._numpy(*args)
        try:
            call = self._pool.pop()
        except IndexError:
            call = _function(self._make, self._make.frame(), self._numpy, self._reruns)
        try:
            return call(*given)
        finally:
            self._pool.append(call)


_AGAIN = object()


def _again(*args: Any) -> Any:
    """Stands for NumPy where that has to wait for NumPy's state to be put back."""
    return _AGAIN


def _hosted(call: Run, numpy: _Reruns) -> Run:
    """`call` of a program with host steps, which may warn, raise, and have effects.

    Whatever NumPy would warn of or raise in them, it does in a second run, at the user's line; effects that were had
    are not had again.
    """

    def run(*args: Any) -> Any:
        outer, state = current_effects(), current()
        effects = Effects() if outer is None else outer
        begun, (inner, noted) = effects.done, noting()
        seen = noted.count
        try:
            put(inner)
            put_effects(effects)
            try:
                out = call(*args)
                if out is not _AGAIN and noted.count == seen:
                    return out
            except Exception as error:
                theirs = from_user(error) and not isinstance(error, Met)  # also a signal's handler
                if theirs and noted.count == seen:
                    raise
            put(state)
            effects.start_over(begun)
            return numpy(*args)
        finally:
            try:  # an interrupt may come between the two
                put(state)
            finally:
                put_effects(outer)

    return run
