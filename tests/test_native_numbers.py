"""Python's numbers in native code: integers have any size, and what Python raises is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import config, debug, jit, tree

pytest.importorskip("llvmlite")


@pytest.fixture(autouse=True)
def _now() -> None:
    config.native = "now"


def same(a: Any, b: Any) -> None:
    for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True):
        assert type(x) is type(y) and np.shape(x) == np.shape(y) and np.all(x == y)


def test_integers_of_more_than_64_bits_are_numpys() -> None:
    g = jit(lambda x: np.logical_and(x, 1 << 63))
    with pytest.raises(OverflowError):
        g(np.arange(3, dtype=np.int32))
    np.testing.assert_array_equal(jit(lambda x: x + (1 << 63))(np.zeros(2, np.uint64)), np.full(2, 1 << 63, np.uint64))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_integers_that_a_dtype_does_not_hold(dtype: Any) -> None:
    """NumPy compares with them, and raises where it computes with them; a Python argument may be one."""

    def compared(x: Any, n: Any) -> Any:
        return -3 < x, x > 300, 1 << 40 == x, x[3] != -1, np.where(x < 256, x, 0), n <= x, np.equal(x, n)

    x = np.arange(5).astype(dtype)
    g, h, made = jit(compared), jit(lambda x, n: x + n), jit(lambda n: n.astype(dtype))
    for n in (3, -1, 1 << 40, 0):
        same(g(x, n), compared(x, n))
        if np.iinfo(dtype).min <= n <= np.iinfo(dtype).max:
            same(h(x, n), x + n)
            same(made(n), dtype(n))
        else:
            with pytest.raises(OverflowError, match=str(n)):
                h(x, n)
            with pytest.raises(OverflowError, match=str(n)):
                made(n)
    assert "native code" in g.explain() and "native code" in h.explain()
    for _ in range(2):
        with pytest.raises(OverflowError, match="-300"):
            jit(lambda x: x + -300)(x.astype(np.uint8))


@pytest.mark.parametrize("code", "bhilBHILfd")
def test_conversions_one_after_the_other(code: str) -> None:
    """Of what is out of range C knows no value: the compiler is not to find one of its own."""
    old = np.dtype(code)
    info: Any = np.finfo(old) if old.kind == "f" else np.iinfo(old)
    x = np.array([info.min, info.min / 3, -1, 0, 1, 5, info.max / 3, info.max])
    with np.errstate(all="ignore"):
        x = x.astype(old)

    def f(x: Any) -> Any:  # float32 to uint32 is one thing in NumPy's vectors, and another one in what is left over
        return [x.astype(by).astype(to) for by in "efd" for to in "bhilBHLQ"]

    with np.errstate(all="ignore"):
        same(jit(f)(x), f(x))
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match="cast"):
        jit(lambda x: x.astype("d").astype("b"))(np.array([1, 1 << 40]))


EXACT: dict[str, Callable[[Any], Any]] = {
    "add": lambda n: n + n,
    "subtract": lambda n: (n - 1) - (1 << 62),
    "multiply": lambda n: n * n > 3,
    "power": lambda n: n**3,
    "negative": lambda n: (-n, abs(n)),
    "divide": lambda n: (n // -1, n % 7, n & 3),
    "array": lambda n: np.arange(3) + (n * n & 7),
}


@pytest.mark.parametrize("name", EXACT)
def test_integers_of_pythons_do_not_wrap_around(name: str) -> None:
    g = jit(EXACT[name])
    for n in (3, -5, 1 << 32, 1 << 62, -(1 << 63), (1 << 63) - 1):
        same(g(n), EXACT[name](n))
    assert "native code" in g.explain()


def test_what_native_code_cannot_compute_exactly_is_numpys() -> None:
    g = jit(lambda n: n << 3)
    assert g(1 << 62) == 1 << 65
    assert "of any size" in g.explain()


@pytest.mark.parametrize("divide", [lambda x: 1 / x, lambda x: 3.0 % x, lambda x: 3.0 // x, lambda x: x**-2])
def test_what_python_raises_is_raised(divide: Callable[[Any], Any]) -> None:
    g = jit(divide)
    with np.errstate(all="ignore"):
        same(g(2.0), divide(2.0))
        assert "native code" in g.explain()
        for zero in (0.0, 0):
            with pytest.raises(ZeroDivisionError):
                g(zero)


def test_nothing_is_seen_of_a_call_after_it_has_failed() -> None:
    seen: list[float] = []

    def f(a: Any) -> Any:
        debug.callback(seen.append, a[0, 0])
        try:
            out = np.linalg.inv(a)
        except np.linalg.LinAlgError:
            out = a
        debug.callback(seen.append, out[0, 0])
        return out

    jit(f)(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert seen == [1.0, 1.0]
