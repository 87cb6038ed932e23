"""Sorting, searching and running operations on traced values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from funcgrad import eval_shape, grad, jvp, make_ir, vjp
from funcgrad.ops.cumulative import CUMMAX, CUMMIN, CUMPROD, CUMSUM, LINEAR_RECURRENCE
from funcgrad.test_util import check_grads

NAN = np.nan


def random(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def same(f: Any, *args: Any) -> None:
    """A function has NumPy's value, shape and dtype under every transformation."""
    want = f(*args)
    shape, dtype = np.shape(want), np.asarray(want).dtype
    found = [vjp(f, *args)[0], *make_ir(f)(*args)(*args)]
    if all(np.asarray(a).dtype.kind in "fc" for a in args):
        found.append(jvp(f, args, args)[0])
    for have in found:
        np.testing.assert_array_equal(have, want)
        assert (np.shape(have), np.asarray(have).dtype) == (shape, dtype)
    aval = eval_shape(f, *args)
    assert (aval.shape, aval.dtype) == (shape, dtype)


# ---------------------------------------------------------------------------------------- sorting


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_sort(axis: int | None, dtype: Any) -> None:
    x = random((4, 5), dtype)
    same(lambda x: np.sort(x, axis), x)
    same(lambda x: np.argsort(x, axis), x)
    check_grads(lambda x: np.sort(x, axis) ** 3, (x,), order=2)


def test_sort_is_the_permutation_that_sorts() -> None:
    x, weight = np.array([3.0, 1.0, 2.0]), np.array([1.0, 10.0, 100.0])
    np.testing.assert_array_equal(grad(lambda x: np.sum(weight * np.sort(x)))(x), [100, 1, 10])
    np.testing.assert_array_equal(jvp(np.sort, (x,), (weight,))[1], [10, 100, 1])


def test_sort_keeps_the_order_of_equal_elements() -> None:
    x, weight = np.array([1.0, 0.0, 1.0, 0.0]), np.arange(1.0, 5.0)
    np.testing.assert_array_equal(jvp(np.sort, (x,), (weight,))[1], [2, 4, 1, 3])
    np.testing.assert_array_equal(grad(lambda x: np.sum(weight * np.sort(x)))(x), [3, 1, 4, 2])


def test_sort_puts_nan_last() -> None:
    x, weight = np.array([NAN, 1.0, 0.0]), np.arange(1.0, 4.0)
    same(np.sort, x)
    np.testing.assert_array_equal(jvp(np.sort, (x,), (weight,))[1], [3, 2, 1])


@given(arrays(np.float64, array_shapes(max_dims=3, max_side=6), elements=st.integers(-3, 3)))
def test_sort_pushes_forward_and_pulls_back_by_transposed_permutations(x: np.ndarray) -> None:
    value, tangent = jvp(np.sort, (x,), (np.arange(float(x.size)).reshape(x.shape),))
    (back,) = vjp(np.sort, x)[1](tangent)
    np.testing.assert_array_equal(value, np.sort(x))
    np.testing.assert_array_equal(back, np.arange(float(x.size)).reshape(x.shape))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,)])
def test_sort_of_little(shape: tuple[int, ...]) -> None:
    x = np.ones(shape)
    same(np.sort, x)
    same(np.argsort, x)
    assert vjp(np.sort, x)[1](x)[0].shape == shape


# -------------------------------------------------------------------------------------- positions


@pytest.mark.parametrize("f", [np.argmax, np.argmin])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_positions_of_extreme_elements(f: Any, axis: int | None, keepdims: bool) -> None:
    x = random((4, 5))
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 0.0]])
    nan = np.array([[1.0, NAN, NAN], [NAN, 5.0, 0.0]])
    for a in (x, ties, nan):
        same(lambda x: f(x, axis=axis, keepdims=keepdims), a)


def test_positions_are_constants() -> None:
    x = random((5,))
    for f in (np.argmax, np.argmin, lambda x: np.argsort(x)[0], lambda x: np.searchsorted(x, 0.3)):
        np.testing.assert_array_equal(grad(lambda x, f=f: np.sum(f(x) * 1.0))(x), np.zeros(5))
    np.testing.assert_allclose(grad(lambda x: x[np.argmax(x)] ** 2)(x), 2 * x * (x == x.max()))


@pytest.mark.parametrize("f", [np.argmax, np.argmin])
def test_positions_in_nothing_raise(f: Any) -> None:
    for trace in (lambda f, a: vjp(f, a), lambda f, a: make_ir(f)(a)):
        with pytest.raises(ValueError, match=r"f64\[0,3\]"):
            trace(lambda x: f(x, axis=0), np.zeros((0, 3)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: Any) -> None:
    a, v = np.array([0.0, 1.0, 1.0, 2.0, NAN]), np.array([[1.0, 1.5], [-1.0, NAN]])
    same(lambda a, v: np.searchsorted(a, v, side), a, v)
    same(lambda v: np.searchsorted(a, v, side), v)
    same(lambda v: np.searchsorted(a[:0], v, side), v)
    shuffled = np.array([2.0, 0.0, 1.0])
    same(lambda a: np.searchsorted(a, v, side, sorter=np.argsort(shuffled)), shuffled)
    with pytest.raises(ValueError, match=r"f64\[1,2\]"):
        make_ir(lambda a: np.searchsorted(a, v, side))(np.ones((1, 2)))


# ----------------------------------------------------------------------------- sums and products


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize("axis", [0, 1, -2, None])
@pytest.mark.parametrize("f", [np.cumsum, np.cumprod])
def test_running_sums_and_products(f: Any, axis: int | None, dtype: Any) -> None:
    x = random((4, 5), dtype)
    same(lambda x: f(x, axis), x)
    check_grads(lambda x: f(x, axis), (x,), order=2)


@pytest.mark.parametrize("f", [np.cumsum, np.cumprod])
@pytest.mark.parametrize("dtype", [np.bool, np.int8, np.uint8, np.int32, np.uint64, np.float16])
def test_running_dtypes_are_numpys(f: Any, dtype: Any) -> None:
    same(f, np.array([1, 0, 1, 1]).astype(dtype))
    same(lambda x: f(x, dtype=np.float32), np.array([1, 0, 1]).astype(dtype))


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (4,), (0, 4), (1, 2), (1, 3, 4), (0, 1, 2, 3, 4)])
def test_cumprod_is_right_where_factors_are_zero(zeros: tuple[int, ...]) -> None:
    x = random((5,))
    x[list(zeros)] = 0
    jacobian = np.array([jvp(np.cumprod, (x,), (e,))[1] for e in np.eye(5)]).T
    i = np.arange(5)
    want = [[np.prod(x[(i <= k) & (i != j)]) * (j <= k) for j in range(5)] for k in range(5)]
    np.testing.assert_allclose(jacobian, want)
    pulled = np.array([vjp(np.cumprod, x)[1](e)[0] for e in np.eye(5)])
    np.testing.assert_allclose(pulled, want)
    check_grads(np.cumprod, (x,), order=3)
    check_grads(lambda x: np.cumprod(x, axis=0), (np.stack([x, x[::-1]], axis=1),), order=2)


def test_cumprod_in_many_rows_is_that_of_each_row() -> None:
    x, t = random((20, 6)), random((20, 6), seed=1)
    x[3, 2] = x[3, 4] = 0
    rows = [jvp(np.cumprod, (a,), (b,))[1] for a, b in zip(x, t, strict=True)]
    np.testing.assert_allclose(jvp(lambda x: np.cumprod(x, 1), (x,), (t,))[1], rows)
    rows = [vjp(np.cumprod, a)[1](b)[0] for a, b in zip(x, t, strict=True)]
    np.testing.assert_allclose(vjp(lambda x: np.cumprod(x, 1), x)[1](t)[0], rows)


@pytest.mark.parametrize("f", [np.cumsum, np.cumprod, np.maximum.accumulate])
@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (3, 0), (2, 1)])
def test_running_operations_on_little(f: Any, shape: tuple[int, ...]) -> None:
    x = random(shape)
    for axis in range(len(shape)):
        g = lambda x, axis=axis: f(x, axis=axis)  # noqa: E731
        same(g, x)
        check_grads(g, (x,), order=2)


# ------------------------------------------------------------------------------ running extremes


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("f", [np.maximum.accumulate, np.minimum.accumulate])
def test_running_extremes(f: Any, axis: int) -> None:
    x = random((3, 4, 2))
    same(lambda x: f(x, axis=axis), x)
    check_grads(lambda x: f(x, axis=axis) ** 2, (x,), order=2)


def test_running_maximum_belongs_to_the_last_attaining_element() -> None:
    x, weight = np.array([1.0, 3.0, 2.0, 3.0, 0.0]), np.array([1.0, 10.0, 100.0, 1e3, 1e4])
    f = np.maximum.accumulate
    np.testing.assert_array_equal(jvp(f, (x,), (weight,))[1], [1, 10, 10, 1e3, 1e3])
    np.testing.assert_array_equal(vjp(f, x)[1](weight)[0], [1, 110, 0, 11e3, 0])


def test_running_maximum_stays_nan() -> None:
    x, ones = np.array([1.0, NAN, 3.0, 2.0]), np.ones(4)
    same(np.maximum.accumulate, x)
    np.testing.assert_array_equal(vjp(np.maximum.accumulate, x)[1](ones)[0], [1, 3, 0, 0])
    np.testing.assert_array_equal(jvp(np.maximum.accumulate, (x,), (np.arange(4.0),))[1], [0, 1, 1, 1])


# ----------------------------------------------------------------------------------- the primitives


@pytest.mark.parametrize("primitive", [CUMSUM, CUMPROD, CUMMAX, CUMMIN])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_reversed_scan_is_that_of_the_reversed_array(primitive: Any, axis: int) -> None:
    x = random((5, 3))

    def backwards(x: Any) -> Any:
        return primitive.bind(x, axis=axis, reverse=True)

    def flipped(x: Any) -> Any:
        return np.flip(primitive.bind(np.flip(x, axis), axis=axis), axis)

    same(backwards, x)
    np.testing.assert_array_equal(backwards(x), flipped(x))
    ct = random((5, 3), seed=1)
    np.testing.assert_allclose(vjp(backwards, x)[1](ct)[0], vjp(flipped, x)[1](ct)[0])
    np.testing.assert_allclose(jvp(backwards, (x,), (ct,))[1], jvp(flipped, (x,), (ct,))[1])
    check_grads(backwards, (x,), order=2)


@settings(deadline=None, max_examples=30)
@given(
    shape=array_shapes(min_dims=1, max_dims=3, max_side=7),
    axis=st.integers(0, 2),
    reverse=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32, np.complex128]),
)
def test_linear_recurrence(shape: tuple[int, ...], axis: int, reverse: bool, dtype: Any) -> None:
    axis %= len(shape)
    a, b = random(shape, dtype), random(shape, dtype, 1)
    out = LINEAR_RECURRENCE.bind(a, b, axis=axis, reverse=reverse)
    assert out.dtype == dtype
    step = -1 if reverse else 1
    factors, terms, sums = (np.moveaxis(x, axis, 0)[::step] for x in (a, b, out))
    total = np.zeros_like(terms[0])
    for k in range(shape[axis]):
        total = factors[k] * total + terms[k]
        np.testing.assert_allclose(sums[k], total, rtol=1e-5 if dtype == np.float32 else 1e-12)
    check_grads(lambda *x: LINEAR_RECURRENCE.bind(*x, axis=axis, reverse=reverse), (a, b), order=1)


@pytest.mark.parametrize("rows", [1, 30])
def test_linear_recurrence_to_second_order(rows: int) -> None:
    a, b = random((4, rows)), random((4, rows), seed=1)
    check_grads(lambda a, b: LINEAR_RECURRENCE.bind(a, b, axis=0), (a, b), order=2)


def test_linear_recurrence_starts_from_the_first_term() -> None:
    """Whatever the first factor is: nothing comes before it."""
    for rows in (1, 30):
        a, b = np.full((2, rows), np.inf), np.zeros((2, rows))
        a[1] = 1
        np.testing.assert_array_equal(LINEAR_RECURRENCE.bind(a, b, axis=0), b)


def test_linear_recurrence_needs_equal_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(3,\), the terms \(2,\)"):
        make_ir(lambda a, b: LINEAR_RECURRENCE.bind(a, b, axis=0))(np.ones(3), np.ones(2))
