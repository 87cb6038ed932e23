"""Extrema of complex numbers, which NumPy orders by real part and then imaginary part; also of Python's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import jit, jvp, vjp

PAIRS: list[tuple[Any, Any]] = [
    (1.5, 1 + 2j),
    (1 + 2j, 1.5),
    (1 + 2j, 1 + 3j),
    (1 + 2j, np.complex64(1 + 1j)),
    (np.array([1.0, 2.0]), 1 + 2j),
    (np.array([1 + 2j, 2.0]), np.array([1.0, 3.0])),
]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("ufunc", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_binary_extrema(ufunc: Any, pair: tuple[Any, Any]) -> None:
    want = ufunc(*pair)
    ones = tuple(type(x)(1) if isinstance(x, (float, complex)) else np.ones_like(x) for x in pair)
    y, dy = jvp(ufunc, pair, ones)
    by_vjp, pullback = vjp(ufunc, *pair)
    for have in (y, by_vjp, jit(ufunc)(*pair)):
        np.testing.assert_array_equal(have, want)
        assert have.dtype == want.dtype
    np.testing.assert_array_equal(dy, np.ones_like(want))  # one of the two, moved by one
    shares = pullback(np.ones_like(want))
    np.testing.assert_array_equal(sum(np.sum(s) for s in shares), np.size(want))
    np.testing.assert_array_equal(jit(lambda a, b: jvp(ufunc, (a, b), ones)[1])(*pair), dy)
