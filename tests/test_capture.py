"""Nothing changes underneath a derivative, nothing is shared by accident, nothing is left behind."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, make_ir, value_and_grad, vjp, vmap
from funcgrad.core import current_trace
from funcgrad.errors import CapturedArrayWriteError, UnexpectedTracerError


def arrays_are_separate(*arrays: Any) -> None:
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        for b in arrays[i + 1 :]:
            assert not np.shares_memory(a, b)


def test_results_share_nothing() -> None:
    x, y = np.ones(3), np.ones(3)
    arrays_are_separate(x, y, *grad(lambda x, y: np.sum(x + y), (0, 1))(x, y))
    arrays_are_separate(x, *grad(lambda x: np.sum(x.reshape(3, 1).T))(x)[None])
    ct = np.ones(3)
    out, pullback = vjp(lambda x, y: x + y, x, y)
    arrays_are_separate(x, y, ct, out, *pullback(ct), *pullback(ct))
    arrays_are_separate(x, jit(lambda x: x)(x), *jit(lambda x: (x[::-1], x[::-1]))(x))


def test_a_pullback_is_not_affected_by_later_writes() -> None:
    x, w, c = np.ones(3), np.full(3, 2.0), np.full((2, 3), 5.0)
    out, pullback = vjp(lambda x, w: np.exp(x * w) * c[0] * x.reshape(3, 1)[:, 0], x, w)
    before = pullback(np.ones(3))
    for array in (x, w, c, out):
        array[...] = np.nan
    for a, b in zip(before, pullback(np.ones(3)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_writes_to_captured_arrays_raise_and_are_free_again() -> None:
    x, c = np.ones(3), np.ones(3)

    def write(target: np.ndarray) -> Any:
        def f(x: Any) -> Any:
            y = np.sum(x * c)
            target[0] = 7.0
            return y

        return f

    for target in (x, c):
        for run in (grad, lambda f: lambda x: vjp(f, x), lambda f: grad(grad(f))):
            with pytest.raises(CapturedArrayWriteError, match=r"test_capture\.py"):
                run(write(target))(x)
            assert x.flags.writeable and c.flags.writeable


def test_views_are_copied() -> None:
    buffer = np.arange(6.0).reshape(2, 3)

    def f(w: Any) -> Any:
        y = w * buffer[0]
        buffer[0] = 100.0
        return np.sum(y)

    np.testing.assert_array_equal(grad(f)(np.ones(3)), [0.0, 1.0, 2.0])
    assert buffer.flags.writeable


def test_large_views_are_locked_with_their_base() -> None:
    base = np.ones((2, 1 << 18))

    def f(w: Any) -> Any:
        y = np.sum(w * base[0])
        base[1, 0] = 2.0
        return y

    with pytest.raises(CapturedArrayWriteError):
        grad(f)(2.0)
    base[1, 0] = 3.0


def test_read_only_arrays_stay_read_only() -> None:
    x = np.ones(3)
    x.flags.writeable = False
    grad(lambda x: np.sum(x))(x)
    assert not x.flags.writeable


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, RecursionError])
@pytest.mark.parametrize(
    "run", [grad, vmap, jit, make_ir, lambda f: lambda x: jvp(f, (x,), (x,)), lambda f: grad(grad(f))]
)
def test_errors_leave_nothing_behind(run: Any, error: type[BaseException]) -> None:
    x, c = np.ones(3), np.ones(3)

    def f(x: Any) -> Any:
        _ = x * c
        raise error("stop")

    with pytest.raises(error):
        run(f)(x)
    assert current_trace() is None
    assert x.flags.writeable and c.flags.writeable
    assert grad(lambda x: np.sum(x * c))(x).sum() == 3.0


def test_escaped_tracers_name_where_they_were_made() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(np.sin(x))
        return np.sum(x)

    made = f.__code__.co_firstlineno + 1
    for run in (grad(f), jit(f), vmap(f), lambda x: jvp(f, (x,), (x,))):
        kept.clear()
        run(np.ones(3) if run is not vmap else np.ones((2, 3)))
        for use in (
            lambda t: t + 1,
            np.cos,
            lambda t: grad(lambda x: np.sum(x * t))(np.ones(3)),
            lambda t: make_ir(lambda x: x * t)(1.0),
        ):
            with pytest.raises(UnexpectedTracerError, match=rf"test_capture\.py:{made}"):
                use(kept[0])


def test_a_tracer_in_another_thread() -> None:
    def f(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return np.sum(pool.submit(np.sin, x).result())

    with pytest.raises(UnexpectedTracerError, match="copy_context"):
        grad(f)(np.ones(2))

    def g(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return np.sum(pool.submit(copy_context().run, np.sin, x).result())

    np.testing.assert_allclose(grad(g)(np.zeros(2)), 1.0)


def test_threads_share_parameters() -> None:
    w = np.linspace(0.1, 1.0, 50)
    want = grad(lambda w: np.sum(np.tanh(w) ** 2))(w)
    failures: list[BaseException] = []
    loss = jit(lambda w: np.sum(np.tanh(w) ** 2))

    def work(i: int) -> None:
        try:
            for _ in range(100):
                np.testing.assert_array_equal(grad(lambda w: np.sum(np.tanh(w) ** 2))(w), want)
                np.testing.assert_allclose(grad(loss)(w), want)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert w.flags.writeable


def test_memory_is_given_back_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        dead: list[Any] = []

        def f(x: Any) -> Any:
            y = np.tanh(x)
            dead.append(weakref.ref(y))
            return np.sum(y * y)

        grad(f)(np.ones(3))
        jvp(f, (np.ones(3),), (np.ones(3),))
        _, pullback = vjp(f, np.ones(3))
        del pullback
        vmap(f)(np.ones((2, 3)))
        make_ir(f)(np.ones(3))
        assert len(dead) == 5 and not [r for r in dead if r() is not None]
    finally:
        gc.enable()


def test_ten_thousand_gradients_do_not_grow() -> None:
    x = np.ones(4)
    step = value_and_grad(lambda x: np.sum(np.tanh(x * 2.0) ** 2))
    for _ in range(200):
        step(x)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(1000):
            step(x)
        gc.collect()
        first, _ = tracemalloc.get_traced_memory()
        for _ in range(9000):
            step(x)
        gc.collect()
        last, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last - first < 20_000
