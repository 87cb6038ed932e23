"""An interrupt at each place in funcgrad's own code: nothing is left behind once it has left the call."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupts import CALLS, SMALL, VIEW

import funcgrad
from funcgrad import capture, grad
from funcgrad.core import current_trace

OURS = str(Path(funcgrad.__file__).parent)


@cache
def _ends_with(file: str, line: int) -> bool:
    """Whether a line may come before a `with` is left. Python looks for no signals there, nor where a function ends."""
    return linecache.getline(file, line).lstrip().startswith("with ")


class Interrupt:
    """Raises at the `at`-th line that funcgrad runs; what comes once more is raised `then` calls later.

    Python itself loses what is raised where a generator is thrown away.
    """

    def __init__(self, at: int, error: type[BaseException] = KeyboardInterrupt, then: int = 0) -> None:
        self.at, self.seen, self.error, self.then = at, 0, error, then

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(OURS) or code.co_flags & inspect.CO_GENERATOR:
            return None
        if event == "return" or (event == "line" and _ends_with(code.co_filename, frame.f_lineno)):
            return self
        self.seen += 1
        if self.seen == self.at:
            sys.settrace(None)
            if self.then:
                sys.setprofile(self._again)
            raise self.error
        return self

    def _again(self, frame: Any, event: str, arg: Any) -> None:
        self.then -= frame.f_code.co_filename.startswith(OURS)
        if self.then <= 0 and event != "c_call":  # no signal comes between a call in C and the call itself
            sys.setprofile(None)
            raise self.error


@contextmanager
def interrupted(interrupt: Interrupt) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        yield
    finally:
        sys.setprofile(None)
        sys.settrace(before)


def lines(call: Callable[[], Any]) -> int:
    counted = Interrupt(-1)
    with interrupted(counted):
        call()
    return counted.seen


def left_behind() -> list[str]:
    arrays = {"SMALL": SMALL, "VIEW": VIEW, "VIEW.base": VIEW.base}
    found = [f"{name} is locked" for name, a in arrays.items() if not a.flags.writeable]
    found += ["a lock is noted"] * bool(capture._locks or capture._waiting)
    if capture._guard._is_owned():  # type: ignore[attr-defined]
        found.append("the guard is held")
    return found + ["a trace"] * (current_trace() is not None)


def in_a_thread(test: Callable[..., None]) -> Callable[..., None]:
    """A test in a thread of its own: in CPython 3.11 an exception that is being handled where a tracing function raises
    stays the thread's, and would be the `__context__` of all later errors."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test, *args, **kwargs).result()

    return run


@pytest.mark.parametrize(
    "name, step", [("gradient", 1), ("second derivative", 3011), ("batch", 3011), ("first branches", 997)]
)
@in_a_thread
def test_every_place(name: str, step: int) -> None:
    call = CALLS[name]
    want = call()
    for at in range(1, lines(call) + 1, step):
        # Handlers of signals raise errors of other kinds too.
        interrupt = Interrupt(at, TimeoutError if at % 2 else KeyboardInterrupt)
        try:
            with interrupted(interrupt):
                call()
        except (KeyboardInterrupt, TimeoutError):
            pass
        assert interrupt.seen <= at and not left_behind(), at
    np.testing.assert_equal(call(), want)


@in_a_thread
def test_two_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one may come while the first is dealt with: then the next call does it."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # within a callback, Python loses it
    call, rng = CALLS["gradient"], np.random.default_rng(0)
    want, n = call(), lines(CALLS["gradient"])
    for at in rng.integers(1, n + 1, 300):
        try:
            with interrupted(Interrupt(at, then=int(rng.exponential(30)) + 1)):
                call()
        except KeyboardInterrupt:
            pass
        np.testing.assert_equal(call(), want)
        assert not left_behind()


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
@in_a_thread
def test_caught_by_the_function(error: type[BaseException]) -> None:
    """A recording around the call that was interrupted goes on."""
    places = iter(range(1, lines(lambda: grad(lambda x: np.sum(grad(_cubes)(x)))(SMALL)), 31))

    def caught(x: Any) -> Any:
        y = np.sin(x)
        try:
            with interrupted(Interrupt(next(places), error)):
                grad(_cubes)(y)
        except error:
            pass
        return np.sum(y * x)

    for _ in range(40):
        np.testing.assert_allclose(grad(caught)(SMALL), np.cos(SMALL) * SMALL + np.sin(SMALL))
        assert not left_behind()


def _cubes(x: Any) -> Any:
    return np.sum(x**3 * SMALL)
