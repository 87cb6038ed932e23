"""Compiled float32 programs flush subnormal numbers while they run, and leave no trace of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import config, debug, grad, jit, lax
from funcgrad.executor import denormals

TINY = np.float32(1e-39)  # subnormal
LARGE = 1_500_000

pytestmark = pytest.mark.skipif(not denormals.available(), reason="this C library's fenv_t is not known")


@pytest.fixture(autouse=True)
def _flushing() -> None:
    config.flush_denormals = True


def keeps_subnormals() -> bool:
    return bool(np.all(np.full(5000, TINY) * np.float32(0.5)))


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: x * 0.5,
    "scan": lambda x: lax.scan(lambda c, _: (c * 0.5, None), x, None, length=3)[0],
    "while": lambda x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * 0.5), (0, x))[1],
    "cond": lambda x: lax.cond(x[0] < 1, lambda x: x * 0.5, lambda x: x + 1, x),
    "branch on a value": lambda x: x * 0.5 if x[0] < 1 else x + 1,
    "complex": lambda x: np.real(x * np.complex64(0.5)),
    "gradient": lambda x: grad(lambda x: np.sum(x * x * 0.25))(x),
}


@pytest.mark.parametrize("size", [5000, LARGE])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_flush(name: str, size: int) -> None:
    if name == "scan" and size == LARGE:
        size = 100_000
    x, fun = np.full(size, TINY), PROGRAMS[name]
    compiled = jit(fun)
    compiled(x)  # a function that branches on values is recorded by running it, as it is without jit
    for _ in range(2):
        assert not np.any(compiled(x))
    assert np.all(fun(x)) and keeps_subnormals()
    config.flush_denormals = False
    assert np.all(compiled(x))


def test_threads_flush_too() -> None:
    config.threads = 4
    x = np.full(LARGE, TINY)
    assert not np.any(jit(lambda x: np.tanh(x * 0.5) + x * 0.25)(x))
    done: list[bool] = []
    compiled = jit(lambda x: np.tanh(x) * x)  # float64: the same threads, with subnormal numbers
    for _ in range(20):
        done.append(bool(np.all(compiled(np.full(LARGE, 1e-155)))))
    assert all(done)


def test_double_precision_is_left_alone() -> None:
    assert np.all(jit(lambda x: x * 0.5)(np.full(3, 1e-310)))
    both = jit(lambda x, y: (x * 0.5, y * 0.5))(np.full(5000, TINY), np.full(3, 1e-310))
    assert np.all(both[0]) and np.all(both[1])


def test_callbacks_see_subnormals() -> None:
    seen: list[bool] = []

    def f(x: Any) -> Any:
        debug.callback(lambda x: seen.append(keeps_subnormals()), x)
        return x * 0.5

    assert not np.any(jit(f)(np.full(5000, TINY)))
    assert seen == [True]


def test_an_error_restores() -> None:
    def f(x: Any, i: Any) -> Any:
        return np.linalg.inv(x) * 0.5

    with pytest.raises(np.linalg.LinAlgError):
        jit(f)(np.zeros((2, 2), np.float32), 1)
    assert keeps_subnormals() and not denormals.is_flushing()


def test_the_test_sees_flushing() -> None:
    before = denormals.flush()
    try:
        assert denormals.is_flushing() and not keeps_subnormals()
    finally:
        denormals.restore(before)
    assert not denormals.is_flushing()
