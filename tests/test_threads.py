"""Threads, contexts and tasks: derivatives side by side on shared arrays; tracers that stray between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, make_ir, value_and_grad, vjp, vmap
from funcgrad.core import current_trace
from funcgrad.errors import CapturedArrayWriteError, UnexpectedTracerError


def together(work: Callable[[int], Any], n: int = 4) -> list[Any]:
    """The results of `work(0)` … `work(n - 1)`, in threads that start at once; the first error is raised."""
    start = threading.Barrier(n)

    def run(i: int) -> Any:
        start.wait()
        return work(i)

    with ThreadPoolExecutor(n) as pool:
        return [job.result() for job in [pool.submit(run, i) for i in range(n)]]


def test_shared_parameters(rng: np.random.Generator) -> None:
    params = {"w": [rng.standard_normal((4, 5)), rng.standard_normal((5, 1))], "b": rng.standard_normal(5)}
    x, y = rng.standard_normal((8, 4)), rng.standard_normal((8, 1))

    def loss(p: Any) -> Any:
        return np.mean((np.tanh(x @ p["w"][0] + p["b"]) @ p["w"][1] - y) ** 2)

    compiled = jit(loss)
    want = grad(loss)(params)
    _, pullback = vjp(loss, params)

    def work(i: int) -> None:
        for _ in range(40):
            for have in (grad(loss)(params), pullback(1.0)[0], grad(compiled)(params)):
                np.testing.assert_allclose(have["b"], want["b"], rtol=1e-12)
                np.testing.assert_allclose(have["w"][1], want["w"][1], rtol=1e-12)
            hessian_row = jvp(grad(loss), (params,), (want,))[1]
            assert np.isfinite(hessian_row["b"]).all()

    together(work)
    assert all(a.flags.writeable for a in (*params["w"], params["b"], x, y))
    assert current_trace() is None


def test_different_functions_at_once() -> None:
    def work(i: int) -> list[float]:
        return [grad(lambda x, k=k: x ** (i + 2) * k)(2.0) for k in range(200)]

    for i, result in enumerate(together(work)):
        assert result == [k * (i + 2) * 2.0 ** (i + 1) for k in range(200)]


def test_a_trace_is_not_seen_by_other_threads() -> None:
    inside, leave = threading.Event(), threading.Event()
    seen: list[Any] = []

    def f(x: Any) -> Any:
        inside.set()
        assert leave.wait(10)
        return np.sum(x)

    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(grad(f), np.ones(3))
        assert inside.wait(10)
        seen.append(current_trace())
        assert pool.submit(current_trace).result() is None
        np.testing.assert_array_equal(pool.submit(grad(np.sum), np.ones(2)).result(), np.ones(2))
        leave.set()
        np.testing.assert_array_equal(job.result(), np.ones(3))
    assert seen == [None]


def test_a_tracer_in_another_thread() -> None:
    for use in (np.sin, lambda t: t + 1, lambda t: np.concatenate([t, t]), lambda t: grad(np.sum)(t)):

        def f(x: Any, use: Any = use) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return np.sum(pool.submit(use, x).result())

        for run in (grad(f), jit(f), make_ir(f), vmap(f)):
            with pytest.raises(UnexpectedTracerError, match=r"(?s)test_threads\.py:.*copy_context"):
                run(np.ones((2, 2)))
            assert current_trace() is None


def test_a_context_carries_the_trace_into_a_thread() -> None:
    def f(x: Any) -> Any:
        with ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(copy_context().run, g, x[i]) for i, g in enumerate((np.sin, np.exp))]
            return sum(p.result() for p in parts)

    np.testing.assert_allclose(grad(f)(np.array([0.5, 1.5])), [np.cos(0.5), np.exp(1.5)])
    np.testing.assert_allclose(jvp(f, (np.array([0.5, 1.5]),), (np.ones(2),))[1], np.cos(0.5) + np.exp(1.5))


def test_a_derivative_in_a_copied_context() -> None:
    """What is done in a copy of the context leaves this one as it was."""
    context = copy_context()
    assert context.run(grad(lambda x: x * x), 3.0) == 6.0

    def fail(x: Any) -> Any:
        raise KeyError

    with pytest.raises(KeyError):
        context.run(grad(fail), 3.0)
    assert context.run(current_trace) is None and current_trace() is None

    def f(x: Any) -> Any:
        inner = copy_context()
        y = inner.run(grad(lambda z: z * z * x), x)  # 2 x²
        return y + inner.run(lambda: x * x)

    assert grad(f)(3.0) == 18.0


def test_locks_of_two_threads_on_one_array() -> None:
    """The array is locked while either of them needs it, and free after both."""
    c = np.ones(3)
    first_in, second_done = threading.Event(), threading.Event()

    def slow(x: Any) -> Any:
        y = np.sum(x * x * c)
        first_in.set()
        assert second_done.wait(10)
        with pytest.raises(ValueError, match="read-only"):
            c[0] = 50.0
        return y

    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(grad(slow), np.ones(3))
        assert first_in.wait(10)
        np.testing.assert_array_equal(pool.submit(grad(lambda w: np.sum(w * c * 2)), np.ones(3)).result(), [2, 2, 2])
        assert not c.flags.writeable
        second_done.set()
        np.testing.assert_array_equal(job.result(), [2.0, 2.0, 2.0])
    assert c.flags.writeable


def test_the_first_may_leave_before_the_second() -> None:
    c = np.ones(3)
    first_in, second_in, first_done = threading.Event(), threading.Event(), threading.Event()
    states: list[bool] = []

    def first(x: Any) -> Any:
        y = np.sum(x * x * c)
        first_in.set()
        assert second_in.wait(10)
        return y

    def second(x: Any) -> Any:
        assert first_in.wait(10)
        y = np.sum(x * x * c)
        second_in.set()
        assert first_done.wait(10)
        states.append(c.flags.writeable)
        return y

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(grad(first), np.ones(3)), pool.submit(grad(second), np.ones(3))
        one.result()
        first_done.set()
        np.testing.assert_array_equal(two.result(), [2.0, 2.0, 2.0])
    assert states == [False] and c.flags.writeable


def test_a_write_by_another_thread_fails_there() -> None:
    c = np.ones(3)

    def f(x: Any) -> Any:
        y = np.sum(x * c)
        with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="read-only"):
            pool.submit(c.__setitem__, 0, 2.0).result()
        return y

    np.testing.assert_array_equal(grad(f)(np.ones(3)), [1.0, 1.0, 1.0])
    assert c.flags.writeable


def test_errors_in_threads_leave_nothing_behind() -> None:
    c = np.ones(8)

    def work(i: int) -> int:
        def f(x: Any) -> Any:
            y = np.sum(x * c)
            if i % 2:
                raise RuntimeError("stop")
            c[0] = 1.0
            return y

        caught = 0
        for _ in range(100):
            try:
                value_and_grad(f)(np.ones(8))
            except (RuntimeError, CapturedArrayWriteError):
                caught += 1
            assert current_trace() is None
        return caught

    # The one that writes may find the array free between two recordings, of its own or of another thread: never here,
    # where it has captured the array itself.
    assert together(work) == [100] * 4
    assert c.flags.writeable


def test_tasks() -> None:
    async def one(x: float) -> tuple[float, Any]:
        await asyncio.sleep(0)
        g = grad(lambda y: y * y * x)(x)
        await asyncio.sleep(0)
        return g, current_trace()

    async def main() -> list[Any]:
        return await asyncio.gather(*(one(float(i)) for i in range(20)))

    assert asyncio.run(main()) == [(2.0 * i * i, None) for i in range(20)]


def test_generators_do_not_carry_a_trace_out() -> None:
    """A generator that is suspended inside a transformed function has no trace of its own."""

    def steps(x: Any) -> Iterator[Any]:
        yield np.sin(x)
        yield current_trace()
        yield np.cos(x)

    kept: list[Any] = []

    def f(x: Any) -> Any:
        it = steps(x)
        kept.append(it)
        return np.sum(next(it))

    grad(f)(np.ones(2))
    assert next(kept[0]) is None
    with pytest.raises(UnexpectedTracerError, match=r"test_threads\.py"):
        next(kept[0])

    def training(w: Any) -> Iterator[Any]:
        while True:
            w = w - 0.1 * grad(lambda w: np.sum(w * w))(w)
            yield w

    it = training(np.ones(2))
    for k in range(1, 4):
        np.testing.assert_allclose(next(it), 0.8**k)
        assert current_trace() is None
    it.close()


def test_recording_in_many_threads_at_once() -> None:
    """A compiled function may be called first by several threads."""
    for _ in range(10):
        f = jit(lambda x: np.sum(np.tanh(x) * x))
        results = together(lambda i, f=f: f(np.linspace(0, 1, 7)))
        assert len(set(map(float, results))) == 1
