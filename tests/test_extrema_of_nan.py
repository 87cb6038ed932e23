"""The derivative of an extremum that is NaN is NaN; that of one which leaves NaN out is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import grad, hessian, jit, jvp, vjp, vmap

NAN = np.nan
EXTREMA = [np.max, np.min, np.ptp, lambda x: np.max(x, initial=0.0), lambda x: x.max(), np.maximum.reduce]


@pytest.mark.parametrize("transform", [lambda g: g, jit])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fun", EXTREMA)
def test_all_elements_get_a_nan(fun: Any, dtype: Any, transform: Any) -> None:
    for values in ([1.0, NAN, 0.0], [NAN, NAN, 0.0], [NAN]):
        x = np.array(values, dtype)
        gradient = transform(grad(fun))(x)
        assert gradient.dtype == dtype and np.all(np.isnan(gradient))
        assert np.isnan(transform(lambda x: jvp(fun, (x,), (np.ones_like(x),))[1])(x))


def test_only_the_rows_with_a_nan_do() -> None:
    x = np.array([[1.0, NAN, 0.0], [1.0, 2.0, 2.0]])
    want = [[NAN] * 3, [0.0, 0.5, 0.5]]
    for fun in (lambda x: np.max(x, axis=1), lambda x: np.max(x, axis=1, keepdims=True)):
        y, pullback = vjp(fun, x)
        np.testing.assert_array_equal(pullback(np.ones_like(y))[0], want)
        tangent = jvp(fun, (x,), (np.ones_like(x),))[1]
        np.testing.assert_array_equal(np.ravel(tangent), [NAN, 1.0])
    np.testing.assert_array_equal(vmap(grad(np.max))(x), want)


def test_second_derivatives() -> None:
    assert np.all(np.isnan(hessian(lambda x: np.max(x) ** 2)(np.array([1.0, NAN, 0.0]))))


@pytest.mark.parametrize("transform", [lambda g: g, jit])
def test_extrema_that_leave_nan_out(transform: Any) -> None:
    x = np.array([1.0, NAN, 0.0])
    np.testing.assert_array_equal(transform(grad(np.nanmax))(x), [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(transform(grad(np.nanmin))(x), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(transform(grad(lambda x: np.sum(np.fmax(x, 0.5))))(x), [1, 0, 0])
