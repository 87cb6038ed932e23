"""The pool of threads that shares the work of compiled functions."""

from __future__ import annotations

import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad
from funcgrad.executor.threads import share, single_blas

Claims = Iterator[int]


@pytest.fixture(autouse=True)
def _threads() -> None:
    funcgrad.config.threads = 3


def together(n: int) -> Callable[..., None]:
    """Work whose pieces wait for each other, so that `n` threads take part."""
    barrier = threading.Barrier(n)

    def work(claims: Claims, done: list[Any]) -> None:
        for i in claims:
            barrier.wait(30)
            done.append((i, threading.get_ident()))

    return work


def test_each_number_is_claimed_once() -> None:
    for count in (0, 1, 2, 5, 1000):
        done: list[int] = []
        share(lambda claims, out: out.extend(claims), count, done)
        assert sorted(done) == list(range(count))


def test_threads_take_part() -> None:
    done: list[Any] = []
    share(together(3), 3, done)
    assert sorted(i for i, _ in done) == [0, 1, 2]
    assert len({ident for _, ident in done}) == 3
    assert threading.get_ident() in {ident for _, ident in done}


def test_one_thread_starts_none() -> None:
    funcgrad.config.threads = 1
    idents: set[int] = set()
    share(lambda claims: idents.update(threading.get_ident() for _ in claims), 50)
    assert idents == {threading.get_ident()}


def test_the_setting_is_the_number_of_processors() -> None:
    code = "import funcgrad; print(funcgrad.config.threads)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


@pytest.mark.parametrize("culprit", ["caller", "helper"])
def test_exceptions_reach_the_caller(culprit: str) -> None:
    me = threading.get_ident()
    barrier = threading.Barrier(2)
    funcgrad.config.threads = 2

    def work(claims: Claims) -> None:
        for _ in claims:
            barrier.wait(30)
            if (threading.get_ident() == me) == (culprit == "caller"):
                raise KeyError("found")
            break

    with pytest.raises(KeyError, match="found"):
        share(work, 2)
    done: list[int] = []
    share(lambda claims: done.extend(claims), 10)
    assert len(done) == 10


def test_an_exception_ends_the_work_of_all() -> None:
    done: list[int] = []

    def work(claims: Claims) -> None:
        for i in claims:
            done.append(i)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        share(work, 100_000)
    assert len(done) <= 3


def test_errstate_and_context_are_the_callers() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    seen: list[Any] = []
    barrier = threading.Barrier(3)

    def work(claims: Claims) -> None:
        for _ in claims:
            barrier.wait(30)
            seen.append((variable.get(), np.geterr()["divide"]))

    with np.errstate(divide="raise"):
        share(work, 3)
    assert seen == [("mine", "raise")] * 3
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        share(lambda claims: [np.divide(np.ones(5), 0) for _ in claims], 20)


def test_inner_calls_run_in_their_own_thread() -> None:
    inner: list[tuple[int, int]] = []
    barrier = threading.Barrier(3)

    def again(claims: Claims, outer: int) -> None:
        inner.extend((outer, threading.get_ident()) for _ in claims)

    def work(claims: Claims) -> None:
        for _ in claims:
            barrier.wait(30)
            share(again, 20, threading.get_ident())

    share(work, 3)
    assert len(inner) == 60
    assert all(a == b for a, b in inner)


def test_many_callers_at_once() -> None:
    def caller(out: list[Any], k: int) -> None:
        for _ in range(200):
            done: list[int] = []
            share(lambda claims, done=done: done.extend(claims), 40)
            if sorted(done) != list(range(40)):
                out.append(k)

    wrong: list[int] = []
    threads = [threading.Thread(target=caller, args=(wrong, k)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_nothing_is_kept_alive() -> None:
    class Held:
        pass

    held = Held()
    ref = weakref.ref(held)
    share(lambda claims, held: [time.sleep(0.001) for _ in claims], 10, held)
    del held
    gc.collect()
    assert ref() is None


def test_interrupts_wait_for_the_others() -> None:
    """Whatever ends the caller's share, nobody writes any more when `share` has returned."""
    running: list[int] = []
    started = threading.Event()
    me = threading.get_ident()

    def work(claims: Claims) -> None:
        for _ in claims:
            if threading.get_ident() == me:
                started.wait(30)
                raise KeyboardInterrupt
            running.append(1)
            started.set()
            time.sleep(0.05)
            running.pop()

    with pytest.raises(KeyboardInterrupt):
        share(work, 4)
    assert not running


def run(code: str) -> str:
    head = (
        "import os, numpy as np, funcgrad\nfrom funcgrad.executor.threads import share\nfuncgrad.config.threads = 3\n"
    )
    result = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=60, check=True)
    assert not result.stderr
    return result.stdout


def test_the_process_ends_with_idle_threads() -> None:
    assert run("share(lambda claims: [print(i) for i in claims], 2)") != ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_threads_of_its_own() -> None:
    code = """
import threading, time, warnings
warnings.simplefilter("ignore")
def work(claims, out):
    for i in claims:
        out.append(threading.get_ident()); time.sleep(0.02)
share(work, 6, [])
pid = os.fork()
out = []
share(work, 12, out)
if pid == 0:
    print(len(out), len(set(out)) > 1, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(len(out), len(set(out)) > 1)
"""
    assert run(code).split() == ["12", "True", "12", "True"]


def test_threads_that_cannot_be_started_are_done_without() -> None:
    code = """
import threading
def refuse(self):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
done = []
share(lambda claims: done.extend(claims), 5)
print(done)
"""
    assert run(code).strip() == "[0, 1, 2, 3, 4]"


def test_blas_is_kept_to_one_thread_while_somebody_wants_that() -> None:
    blas = pytest.importorskip("threadpoolctl").ThreadpoolController().select(user_api="blas").lib_controllers

    def counts() -> list[int]:
        return [library.get_num_threads() for library in blas]

    before, inside, go = counts(), threading.Event(), threading.Event()

    def other() -> None:
        with single_blas():
            inside.set()
            go.wait()

    thread = threading.Thread(target=other)
    with single_blas():
        assert counts() == [1] * len(blas)
        thread.start()
        inside.wait()
        assert (np.ones((3, 3)) @ np.ones((3, 3)) == 3).all()
    assert counts() == before
    go.set()
    thread.join()
    assert counts() == before
    with single_blas():
        assert counts() == [1] * len(blas)
    assert counts() == before
