"""Functions that branch on few elements: code over Python's numbers, and NumPy's where these do not do."""

from __future__ import annotations

import gc
import math
import threading
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.executor.guards import Guarded
from funcgrad.types import aval_of


def compiled(f: Any, *calls: tuple[Any, ...]) -> Guarded:
    """The tree of the paths of these calls."""
    made = Guarded(f, [aval_of(x) for x in calls[0]], "f")
    for x in calls:
        made(*x)
    return made


def is_written_out(f: Any, *calls: tuple[Any, ...]) -> bool:
    return "except (ArithmeticError, ValueError):" in compiled(f, *calls).source


def branching(x: Any, v: Any) -> Any:
    """A fault of each kind on paths of their own."""
    if x > 2.0:
        return np.exp(x * 400) + np.sum(v), v
    if x < -2.0:
        return np.log(x) + v[0], v * 2
    if x == 0:
        return 1 / x + v[1], v + x
    total = np.sum(v * v)
    while total > 1:
        total = total / 2 - x * x * 0.01
    return total, np.where(v > total, v, -v)


def test_faults_are_numpys() -> None:
    v = np.array([1.0, 2.0, -3.0])
    calls = [(np.float64(x), v) for x in (3.0, -3.0, 0.0, 0.5, -0.5)]
    with np.errstate(all="ignore"):
        assert is_written_out(branching, *calls)
    f = fg.jit(branching)
    for _ in range(3):
        for x, w in calls:
            if x in (3.0, -3.0, 0.0):
                with pytest.warns(RuntimeWarning, match="overflow|invalid|divide"):
                    found = f(x, w)
            else:
                found = f(x, w)
            with np.errstate(all="ignore"):
                want = branching(x, w)
            np.testing.assert_allclose(found[0], want[0], rtol=1e-13)
            np.testing.assert_allclose(found[1], want[1], rtol=1e-13)
            assert found[0].__class__ is np.float64 and found[1].flags.owndata


def test_an_argument_that_one_way_reads() -> None:
    """What a block takes apart is not known to what follows it."""

    def f(x: Any, v: Any) -> Any:
        if x > 0:
            y = v[0] * 2
            if y > 1:
                return y
        return v[1] - v[0] * 2

    calls = [(a, np.array([b, 5.0])) for a in (1.0, -1.0) for b in (0.2, 0.7)]
    assert is_written_out(f, *calls)
    g = fg.jit(f)
    for _ in range(3):
        for x, v in calls:
            assert g(x, v) == f(x, v)


def test_constants_integers_and_floats_that_are_asked_for() -> None:
    table = np.array([[1.0, 2.0], [3.0, math.inf]])

    def f(x: Any, n: Any) -> Any:
        m = x * table[0] + n
        return float(n) * m, [table * 1.0, m > 1.0][int(x > 0.5)]

    calls = [(a, n) for a in (0.2, 0.7) for n in (1, 2)]
    g = fg.jit(f)
    for _ in range(3):
        for x, n in calls:
            for a, b in zip(g(x, n), f(x, n), strict=True):
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype


def test_results_that_are_arguments_are_copies() -> None:
    f = lambda x, v: (v, x) if x > 0 else (v * 2, -x)  # noqa: E731
    v = np.array([1.0, 2.0])
    assert is_written_out(f, (1.0, v), (-1.0, v))
    g = fg.jit(f)
    for x in (1.0, -1.0, 1.0, -1.0):
        out, y = g(x, v)
        assert not np.shares_memory(out, v) and y.__class__ is float
        out[:] = 7
    np.testing.assert_array_equal(v, [1.0, 2.0])


def test_large_arrays_and_other_dtypes_are_left_to_numpy() -> None:
    f = lambda x: x * 2 + 1 if np.sum(x) > 0 else -x * 3  # noqa: E731
    assert is_written_out(f, (np.ones(2),), (-np.ones(2),))
    for x in (np.ones(500), np.ones(2, np.float32), np.ones(2, complex), np.ones(0)):
        assert not is_written_out(f, (x,), (-x - 1,))


def test_threads_and_the_collector() -> None:
    def f(x: Any) -> Any:
        while x > 1:
            x = x / 3
        return 1 / (x - 0.25)

    g, failed = fg.jit(f), []
    values = [np.float64(x) for x in (0.5, 2.0, 5.0, 0.25, 0.75, 20.0)]

    def work() -> None:
        with np.errstate(divide="ignore"):
            for _ in range(300):
                for x in values:
                    if g(x) != f(x):
                        failed.append(x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    gc.collect()
    tree = compiled(f, (0.5,), (2.0,), (5.0,))
    assert "def run(" in tree.source
    gc.disable()
    try:
        gc.collect()
        del tree
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_flags_and_comparisons() -> None:
    def f(flag: Any, x: Any) -> Any:
        return (x > 0.5, x * 2.0) if flag else (x < 0.5, x * 3.0)

    g, x = fg.jit(f), np.array([0.1, 0.9])
    for flag in (True, False, True, False):
        for a, b in zip(g(flag, x), f(flag, x), strict=True):
            np.testing.assert_array_equal(a, b)
    h = fg.jit(lambda n, x: x * 2.0 if n > x else x * 3.0)
    assert h(np.int64(3), np.float64(2)) == 4.0
    assert h(np.int64(2**53 + 1), np.float64(2.0**53)) == 3.0 * 2.0**53


def test_what_overflows_in_a_loop_warns() -> None:
    def f(x: Any) -> Any:
        return lax.scan(lambda c, x: (c + 1.0, x * 1e300 * c), 1.0, x) if x[0] > 0 else (x[0], x)

    g, x = fg.jit(f), np.array([1.0, 1e300])
    g(np.ones(2))
    for _ in range(3):
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert g(x)[1][1] == np.inf
