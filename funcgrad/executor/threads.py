"""A small pool of threads that share the work of one call at a time.

`share(work, count)` calls `work(claims)` in the calling thread and in as many others as are free; `claims` iterates
over what is left of `range(count)`, from which all of them take, so that a thread which is held up takes less. NumPy's
loops release the GIL, and it is they that run side by side.

Starting a thread's share takes 5 to 20 µs (a lock is released, another acquired; with `concurrent.futures` 25 to 40),
and the thread begins 50 to 100 µs later. Linux often puts a thread that is woken on the processor of the one that wakes
it, which goes on working: it then begins only after 250 µs or more, and two threads took 550 µs for what takes 325 with
the caller's processor forbidden to it. So that is what is done, where the system can.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from types import FrameType
from typing import Any

from funcgrad.config import config
from funcgrad.executor.denormals import is_flushing, spare, switch

__all__ = ["is_sharing", "share", "single_blas"]

Work = Callable[..., object]


class _Job:
    """One call's work: what nobody has claimed yet, the first error, whether the caller flushes subnormal numbers."""

    __slots__ = ("args", "error", "flushing", "left", "work")

    def __init__(self, work: Work, count: int, args: tuple[Any, ...]) -> None:
        self.work, self.args = work, args
        self.left = deque(range(count))
        self.error: BaseException | None = None
        self.flushing = is_flushing()

    def run(self) -> None:
        """Take from the claims until none are left; an error ends the work of all threads."""
        before = switch(self.flushing)  # a thread starts with the state of the one that started it
        try:
            self.work(self._claims(), *self.args)
        except BaseException as error:
            if self.error is None:
                self.error = error
            self.left.clear()
        finally:
            if before is not None:
                before.put(before.address)
                spare(before)

    def _claims(self) -> Iterator[int]:
        """An iterator for one thread. (Not even an iterator over a range may be shared by threads without a GIL.)"""
        take = self.left.popleft
        try:
            while True:
                yield take()
        except IndexError:
            return


def _find_getcpu() -> Callable[[], int] | None:
    """What tells the processor that the calling thread runs on, where threads can be kept off it."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        return ctypes.PyDLL(None).sched_getcpu  # 0.2 µs
    except (AttributeError, OSError):
        return None


_getcpu = _find_getcpu()


class _Worker:
    """A thread that waits for a job, runs it in the context of the caller, and says when it is done.

    Attributes:
        job: what it does, or is to do; None when that is done.
        wake, done: locks, open when there may be something to do, or something may be done.
        ended: whether it is to end.
        avoided: the processor that it does not run on.
    """

    __slots__ = ("avoided", "context", "done", "ended", "ident", "job", "wake")

    def __init__(self) -> None:
        self.job: _Job | None = None
        self.context: Context | None = None
        self.ended = False
        self.ident = self.avoided = -1
        self.wake, self.done = _thread.allocate_lock(), _thread.allocate_lock()
        self.wake.acquire()
        self.done.acquire()
        try:
            threading.Thread(target=self._loop, name="funcgrad", daemon=True).start()
        except BaseException:  # an interrupt: it may have been started, and nobody will know of it
            self.ended = True
            _open(self.wake)
            raise

    def start(self, job: _Job) -> None:
        if _getcpu is not None and self.ident >= 0:
            here = _getcpu()
            if here != self.avoided:
                self._avoid(here)
        self.context = copy_context()
        self.job = job
        _open(self.wake)

    def wait(self, job: _Job, started: bool) -> None:
        """Wait until a job is done. After an interrupt it can be called again: maybe the thread was not woken yet."""
        while self.job is job:
            if not started:
                _open(self.wake)
            self.done.acquire()

    def _avoid(self, processor: int) -> None:
        others = os.sched_getaffinity(0) - {processor}
        if others:
            try:
                os.sched_setaffinity(self.ident, others)
            except OSError:  # not allowed here: the system decides
                pass
        self.avoided = processor

    def _loop(self) -> None:
        _busy[_thread.get_ident()] = None
        self.ident = threading.get_native_id()
        while not self.ended:
            self.wake.acquire()
            job, context = self.job, self.context
            if job is None or context is None:
                continue
            context.run(job.run)
            self.context = None
            del job, context  # what the job holds must not live on until the next one
            self.job = None
            _open(self.done)


def _open(lock: Any) -> None:
    """Release a lock if it is held: whoever waits for it goes on, and looks what there is."""
    try:
        lock.release()
    except RuntimeError:
        pass


_workers: list[_Worker] = []
_claims: dict[int, _Job] = {}  # which of these work for whom: what an interrupt lets pass can be found here
_busy: dict[int, Any] = {}  # threads that are at work, and the frame of `share`: what they call in turn does not share


def share(work: Work, count: int, *args: Any) -> None:
    """Call `work(claims, *args)` in up to `config.threads` threads, this one among them.

    Between them the threads take each number of `range(count)` from their `claims`. Context variables, `np.errstate`
    among them, are those of the caller. The first exception is raised here, when all threads have stopped. Within
    `work` nothing more is shared: an inner call runs in its own thread.

    An interrupt (Ctrl-C) may come between any two steps, but only at a call or at the end of a loop's round. So what is
    claimed and what is started is written down where it can be found again, and the end is tried more than once.
    """
    me = _thread.get_ident()
    job = _Job(work, count, args)
    if is_sharing():
        job.run()
    else:
        interrupted: BaseException | None = None
        started = False
        try:
            _busy[me] = sys._getframe()
            _start(job, min(config.threads, count) - 1)
            started = True
            job.run()
        finally:
            try:
                _end(job, started)
            except BaseException as error:
                interrupted = error
                try:
                    _end(job, False)
                except BaseException:
                    _end(job, False)
            finally:
                _busy.pop(me, None)
        if interrupted is not None:
            raise interrupted
    if job.error is not None:
        try:
            raise job.error
        finally:
            job.error = None


def is_sharing() -> bool:
    """Whether this thread does a share of some work; what it calls in turn does not share."""
    me = _thread.get_ident()
    if me not in _busy:
        return False
    theirs = _busy[me]
    if theirs is None:  # one of ours
        return True
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame is theirs:
            return True
        frame = frame.f_back
    _busy.pop(me, None)  # an interrupt kept it from leaving
    return False


def _start(job: _Job, wanted: int) -> None:
    """Let up to `wanted` threads work for a job, started if there are not enough yet; others may have them."""
    at = 0
    while wanted > 0:
        if at == len(_workers):
            with _lock:
                if at == len(_workers):
                    if at >= config.threads - 1:
                        return
                    try:
                        _workers.append(_Worker())
                    except RuntimeError:  # the system has no more threads, or the interpreter is about to end
                        return
        if _claims.setdefault(at, job) is job:
            _workers[at].start(job)
            wanted -= 1
        at += 1


def _end(job: _Job, started: bool) -> None:
    """Wait until the threads that work for a job have stopped (they write to the caller's arrays), and free them."""
    for at, worker in enumerate(_workers):
        if _claims.get(at) is job:
            worker.wait(job, started)
            del _claims[at]


_lock = _thread.allocate_lock()


class _Blas:
    """How many threads BLAS works with, kept at one while somebody wants that.

    The first who wants it sets it, and resets it when leaving, whoever else may still be there: OpenBLAS does not
    always do what a thread says that has not said it before.

    Attributes:
        libraries: what sets it, by `threadpoolctl`; None before it was looked for.
        owner: the thread that has set it. If an interrupt keeps it from leaving, it leaves the next time.
    """

    def __init__(self) -> None:
        self.libraries: list[Any] | None = None
        self.owner: int | None = None
        self.before: list[int] = []
        self.lock = _thread.allocate_lock()

    def enter(self) -> None:
        me = _thread.get_ident()
        with self.lock:
            if self.libraries is None:
                self.libraries = _find_blas()
            if self.owner is None:
                self.before = [library.get_num_threads() for library in self.libraries]
                self.owner = me
            if self.owner == me:
                for library in self.libraries:
                    library.set_num_threads(1)

    def leave(self) -> None:
        with self.lock:
            if self.owner == _thread.get_ident():
                self.restore()
                self.owner = None

    def restore(self) -> None:
        for library, threads in zip(self.libraries or (), self.before, strict=True):
            library.set_num_threads(threads)


def _find_blas() -> list[Any]:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    return ThreadpoolController().select(user_api="blas").lib_controllers


_blas = _Blas()


@contextmanager
def single_blas() -> Iterator[None]:
    """`with single_blas():` keeps BLAS to one thread, where `threadpoolctl` is installed; otherwise does nothing.

    A thread does not enter it again before it has left.

    The setting is one of the process: a product of matrices that another thread does meanwhile is done by one, too.

    >>> with single_blas():
    ...     product = np.ones((2, 2)) @ np.ones((2, 2))
    """
    try:
        _blas.enter()
        yield
    finally:
        _blas.leave()


def _forget() -> None:
    """In the child of a fork there are no threads but one."""
    global _lock
    _workers.clear()
    _claims.clear()
    _busy.clear()
    _lock = _thread.allocate_lock()
    _blas.lock = _thread.allocate_lock()
    if _blas.owner is not None:
        _blas.restore()
        _blas.owner = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
