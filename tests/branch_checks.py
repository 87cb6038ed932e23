"""What the tests of branches and loops that some examples do not take have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg

Fun = Callable[..., Any]
TABLE = np.array([0.3, -0.7, 1.1])


def A(*xs: Any) -> np.ndarray:
    return np.array(xs)


def loop(f: Fun, *args: Any) -> np.ndarray:
    return np.stack([f(*xs) for xs in zip(*args, strict=True)])


def total(f: Fun) -> Fun:
    return lambda *xs: np.sum(f(*xs))


def along(f: Fun) -> Fun:
    """The derivative in the direction of ones."""
    return lambda x: fg.jvp(f, (x,), (np.ones_like(x),))[1]


def close(found: Any, want: Any, what: str) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-13, err_msg=what)
