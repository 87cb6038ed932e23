"""A Python loop that was unrolled is named while its many operations are compiled."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest

from funcgrad import config, grad, jit, lax
from funcgrad.errors import SlowCompileWarning


def line_of(fun: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(fun)
    return next(first + i for i, line in enumerate(lines) if text in line)


def loop(x: Any) -> Any:
    for _ in range(60):
        y = np.sin(x)
        x = y * y + x / 2 + y / 3
    return np.sum(x)


def step(x: Any) -> Any:
    return np.cos(x) + x


def helper(x: Any) -> Any:
    for _ in range(60):
        x = step(x)
    return np.sum(x)


@pytest.mark.parametrize("fun", [loop, grad(loop)], ids=["value", "gradient"])
def test_the_loop_is_named(fun: Any) -> None:
    config.slow_compile = 0.0
    with pytest.warns(SlowCompileWarning, match=rf"in the loop of line {line_of(loop, 'for')}\b.*lax.scan") as caught:
        jit(fun)(np.ones(3))
    (warning,) = caught
    assert warning.filename == __file__ and warning.lineno == line_of(loop, "for")


def test_a_function_called_in_a_loop_is_named() -> None:
    config.slow_compile = 0.0
    with pytest.warns(SlowCompileWarning, match=rf"test_slow_compile.py:{line_of(step, 'return')} \(step\), called"):
        jit(helper)(np.ones(3))


def test_no_hint_without_a_loop_or_in_time() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jit(loop)(np.ones(3))
        config.slow_compile = 0.0
        jit(lambda x: np.sum(np.sin(x)))(np.ones(3))


def test_an_associative_scan_is_named() -> None:
    config.slow_compile = 0.0
    with pytest.warns(SlowCompileWarning, match=r"for an associative_scan\. It halves the length in each round"):
        jit(lambda x: lax.associative_scan(np.multiply, x))(np.ones(10_000))
    with pytest.warns(SlowCompileWarning, match=rf"{line_of(joined, 'return')} \(joined\), for an associative_scan"):
        jit(lambda x: lax.associative_scan(joined, (x, x)))(np.zeros(4096))


def joined(a: Any, b: Any) -> Any:
    return a[0] * b[0] + np.sin(a[1]) * np.cos(b[1]) + a[1] ** 2, b[1] * np.sin(a[0]) + np.tanh(b[0]) * np.exp(
        -(a[0] ** 2)
    )
