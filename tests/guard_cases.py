"""Functions that branch on values, as people have them, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self.fun, self.calls = fun, 0
        self.__name__ = fun.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.fun(*args, **kwargs)


# ------------------------------------------------------------------------------------------- functions that people have


def collatz(n: Any) -> Any:
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def collatz_sum(n: Any) -> Any:
    """The sum of all numbers on the way to 1: it has a derivative."""
    total = n
    while n != 1:
        n = n / 2 if n % 2 == 0 else 3 * n + 1
        total = total + n
    return total


def bisection(c: Any) -> Any:
    low, high = c * 0.0, c * 0.0 + 4.0
    while high - low > 0.2:
        middle = (low + high) / 2
        if middle * middle > c:
            high = middle
        else:
            low = middle
    return low + (high - low) * (c - low * low) / (high * high - low * low)


def newton(c: Any) -> Any:
    x = c * 0.5 + 0.5
    for _ in range(60):
        if abs(x * x - c) < 1e-10:
            break
        x = x - (x * x - c) / (2.0 * x)
    return x


def tree_of_decisions(x: Any) -> Any:
    if x[0] < 0.2:
        return np.sin(x[1]) if x[1] < 0.0 else np.cos(x[1]) * x[0]
    if x[2] > 0.5 and not x[1] > 0.3:
        return x[0] * x[1] * x[2]
    return np.sum(x * x) if x[0] > x[2] else np.exp(-x[0])


def early_exit(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        if x[i] < -1.0:
            return total - x[i]
        if x[i] > 1.5:
            continue
        total = total + x[i] * (i + 1.0)
        if total > 2.0:
            break
    else:
        return total * 2.0
    return total


def builtin_max(x: Any) -> Any:
    return max(x[0], x[1]) * min(x[1], x[2], x[3])


def sorted_scalars(x: Any) -> Any:
    a, b, c, d = sorted([x[0], x[1], x[2], x[3]])
    return a + 2.0 * b + 3.0 * c * d


def recursion(n: Any) -> Any:
    return n * 1.0 if n < 2 else recursion(n - 1) + recursion(n - 2) * 0.5


def recursive_power(x: Any) -> Any:
    """As deep as the value says."""
    return x * x if abs(x) > 2.0 else recursive_power(x * 1.5) + x


def counted(x: Any) -> Any:
    n = int(x[0])
    total = x[1]
    for i in range(n):
        total = total * x[1] + i
    return total + [1.0, 2.0, 3.0, 4.0][abs(n) % 4] * x[1]


def arrays(x: Any) -> Any:
    """Arrays that live across branches and are returned from several."""
    y = np.tanh(x)
    z = y[1:] * y[:-1]
    if np.sum(z) > 0:
        z = z + 1.0
    w = np.cumsum(z)
    if w[-1] > np.mean(y):
        return {"w": w, "y": y, "v": y[::2]}
    return {"w": z * 2.0, "y": y + x, "v": x[::2]}


Inputs = Callable[[np.random.Generator], Any]
CASES: dict[str, tuple[Callable[[Any], Any], Inputs]] = {
    "collatz": (collatz, lambda r: int(r.integers(1, 60))),
    "collatz, int32": (collatz, lambda r: r.integers(1, 40, dtype=np.int32)),
    "collatz, float": (collatz_sum, lambda r: float(r.integers(1, 40))),
    "bisection": (bisection, lambda r: r.uniform(0.1, 9.0)),
    "newton": (newton, lambda r: np.float64(r.uniform(0.01, 50.0))),
    "decision tree": (tree_of_decisions, lambda r: r.uniform(-1, 1, 3)),
    "early exit": (early_exit, lambda r: r.normal(size=3)),
    "max": (builtin_max, lambda r: r.normal(size=4)),
    "sorted": (sorted_scalars, lambda r: r.normal(size=4)),
    "recursion": (recursion, lambda r: int(r.integers(0, 9))),
    "recursion, float": (recursion, lambda r: np.float64(r.uniform(0.0, 7.0))),
    "recursive power": (recursive_power, lambda r: float(r.uniform(0.01, 3.0))),
    "range and int": (counted, lambda r: r.uniform(0, 6, 2)),
    "arrays": (arrays, lambda r: r.normal(size=5)),
}


def same(found: Any, want: Any, exact: bool = True) -> None:
    a, structure = tree.flatten(found)
    b, wanted = tree.flatten(want)
    assert structure == wanted
    for x, y in zip(a, b, strict=True):
        assert np.shape(x) == np.shape(y) and np.asarray(x).dtype == np.asarray(y).dtype
        if exact:
            assert np.array_equal(x, y), (x, y)
        else:
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)
