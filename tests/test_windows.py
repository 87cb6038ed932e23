"""Reductions over windows and axes against loops; which of equal maxima has the derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcgrad.numpy as jnp
from funcgrad import grad, jit, jvp, lax, make_ir, vjp, vmap
from funcgrad.errors import ShapeError
from funcgrad.test_util import check_grads

MONOIDS: dict[str, tuple[Callable[..., Any], float]] = {
    "sum": (np.add, 0.0), "max": (np.maximum, -np.inf), "min": (np.minimum, np.inf), "product": (np.multiply, 1.0),
    "other": (lambda a, b: a + 0.5 * b, 1.0),
}  # fmt: skip


def windows_of(x: np.ndarray, sizes: Any, strides: Any, padding: Any, base: Any, dilation: Any) -> dict[Any, list[Any]]:
    """For each output position the places of the elements that its window sees, in order."""
    counts = []
    for n, k, s, (low, high), b, d in zip(x.shape, sizes, strides, padding, base, dilation, strict=True):
        whole = ((n - 1) * b + 1 if n else 0) + low + high
        counts.append(max((whole - (k - 1) * d - 1) // s + 1, 0))
    seen: dict[Any, list[Any]] = {}
    for out in np.ndindex(*counts):
        seen[out] = []
        for offset in np.ndindex(*sizes):
            place = [
                o * s + j * d - low
                for o, s, j, d, (low, _) in zip(out, strides, offset, dilation, padding, strict=True)
            ]
            if all(p % b == 0 and 0 <= p // b < n for p, b, n in zip(place, base, x.shape, strict=True)):
                seen[out].append(tuple(p // b for p, b in zip(place, base, strict=True)))
    return seen


@st.composite
def problems(draw: Any) -> tuple[np.ndarray, list[Any]]:
    n = draw(st.integers(1, 2))

    def numbers(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(n)]

    shape = numbers(1, 6)
    padding = list(zip(numbers(0, 2), numbers(0, 2), strict=True))
    x = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 4, shape).astype(float)  # with equal elements
    return x, [numbers(1, 3), numbers(1, 3), padding, numbers(1, 2), numbers(1, 2)]


@given(problems(), st.sampled_from(sorted(MONOIDS)))
@settings(max_examples=80, deadline=None)
def test_values_are_those_of_a_loop(problem: Any, name: str) -> None:
    x, window = problem
    fun, init = MONOIDS[name]
    seen = windows_of(x, *window)
    out = lax.reduce_window(x, init, fun, *window)
    assert out.size == len(seen)
    for place, elements in seen.items():
        np.testing.assert_allclose(out[place], functools.reduce(fun, [x[e] for e in elements], init))


@given(problems(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_first_extreme_element_has_the_derivative(problem: Any, largest: bool) -> None:
    x, window = problem
    fun, init = MONOIDS["max" if largest else "min"]
    out, pullback = vjp(lambda x: lax.reduce_window(x, init, fun, *window), x)
    rng = np.random.default_rng(0)
    ct, t = rng.standard_normal(out.shape), rng.standard_normal(x.shape)
    want, want_t = np.zeros(x.shape), np.zeros(out.shape)
    for place, elements in windows_of(x, *window).items():
        if elements:
            first = max(elements, key=lambda e: x[e] if largest else -x[e])  # the first one of equals
            want[first] += ct[place]
            want_t[place] = t[first]
    np.testing.assert_allclose(pullback(ct)[0], want, atol=1e-14)
    np.testing.assert_allclose(
        jvp(lambda x: lax.reduce_window(x, init, fun, *window), (x,), (t,))[1], want_t, atol=1e-14
    )


@given(problems())
@settings(max_examples=40, deadline=None)
def test_sums_and_their_transposes(problem: Any) -> None:
    x, window = problem
    out, pullback = vjp(lambda x: lax.reduce_window(x, 0.0, lax.add, *window), x)
    ct = np.random.default_rng(0).standard_normal(out.shape)
    want = np.zeros(x.shape)
    for place, elements in windows_of(x, *window).items():
        for e in elements:
            want[e] += ct[place]
    np.testing.assert_allclose(pullback(ct)[0], want, atol=1e-13)


@pytest.mark.parametrize("width", [5, 8, 11, 32, 40])
@pytest.mark.parametrize("dilation", [1, 2])
def test_long_windows(width: int, dilation: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 60))
    for fun, init in (MONOIDS["max"], MONOIDS["sum"]):
        window = [(1, width), (1, 2), [(0, 0), (3, width)], (1, 1), (1, dilation)]
        out = lax.reduce_window(x, init, fun, window[0], window[1], window[2], None, window[4])
        for place, elements in windows_of(x, *window).items():
            np.testing.assert_allclose(out[place], functools.reduce(fun, [x[e] for e in elements], init))


def test_layout_of_memory_does_not_matter() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)

    def pool(x: Any) -> Any:
        return lax.reduce_window(x, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    (out, pull), (out2, pull2) = vjp(pool, x), vjp(pool, last)
    np.testing.assert_array_equal(out, out2)
    np.testing.assert_array_equal(pull(out)[0], pull2(out)[0])


def test_infinite_cotangents_stay_where_they_belong() -> None:
    _, pullback = vjp(lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (2,)), np.array([1.0, 2.0, 4.0, 3.0]))
    np.testing.assert_array_equal(pullback(np.array([np.inf, np.nan]))[0], [0, np.inf, np.nan, 0])


def test_nan_is_the_extreme_element() -> None:
    x = np.array([1.0, np.nan, 2.0, 3.0])
    out, pullback = vjp(lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (2,)), x)
    np.testing.assert_array_equal(out, [np.nan, 3])
    assert np.sum(pullback(np.ones(2))[0]) == 2


def test_names_of_the_same_function() -> None:
    x = np.arange(6.0)
    want = lax.reduce_window(x, -np.inf, np.maximum, (2,))
    for fun in (lax.max, jnp.maximum, max):
        np.testing.assert_array_equal(lax.reduce_window(x, -np.inf, fun, (2,)), want)
        assert "reduce_window_max" in str(make_ir(lambda x, f=fun: lax.reduce_window(x, -np.inf, f, (2,)))(x))


def test_initial_values() -> None:
    x = np.array([1.0, 5.0, 2.0])
    np.testing.assert_array_equal(lax.reduce_window(x, 3.0, lax.max, (2,)), [5, 5])
    np.testing.assert_array_equal(lax.reduce_window(x, 10.0, lax.add, (2,), (1,), "SAME"), [16, 17, 12])
    assert grad(lambda i: np.sum(lax.reduce_window(x, i, lax.max, (3,))))(7.0) == 1.0
    ints = np.array([1, 5, 2])
    np.testing.assert_array_equal(lax.reduce_window(ints, np.iinfo(int).min, lax.max, (2,)), [5, 5])
    np.testing.assert_array_equal(lax.reduce_window(ints > 1, False, lax.max, (2,)), [True, True])


def test_several_operands() -> None:
    """The largest element and its index, as one reduction."""
    x = np.array([[3.0, 1.0, 4.0], [1.0, 5.0, 9.0]])
    index = np.arange(6).reshape(2, 3)

    def larger(a: Any, b: Any) -> Any:
        return lax.cond(a[0] >= b[0], lambda: a, lambda: b)

    values, where = lax.reduce((x, index), (-np.inf, -1), larger, (0, 1))
    assert (float(values), int(where)) == (9.0, 5)
    values, where = lax.reduce_window((x, index), (-np.inf, -1), larger, (1, 2))
    np.testing.assert_array_equal(values, [[3, 4], [5, 9]])
    np.testing.assert_array_equal(where, [[0, 2], [4, 5]])


def test_reduce() -> None:
    x = np.random.default_rng(0).uniform(0.5, 2.0, (3, 5, 2))
    for axes in ((0,), (1, 2), (0, 1, 2), (-1,), ()):
        for name, (fun, init) in MONOIDS.items():
            if name != "other":
                np.testing.assert_allclose(lax.reduce(x, init, fun, axes), fun.reduce(x, axis=axes, initial=init))
        np.testing.assert_allclose(
            lax.reduce(x, 0.0, lambda a, b: np.hypot(a, b), axes), np.sqrt(np.sum(x**2, axis=axes))
        )
    assert lax.reduce(np.ones(3, np.int8), np.int8(0), lax.add, (0,)).dtype == np.int8
    assert bool(lax.reduce(np.array([True, False]), True, lax.bitwise_and, (0,))) is False
    np.testing.assert_array_equal(lax.reduce(np.zeros((0, 2)), 1.5, lax.max, (0,)), [1.5, 1.5])
    np.testing.assert_array_equal(lax.reduce(np.zeros((0, 2)), 1.5, lambda a, b: a - b, (0,)), [1.5, 1.5])


def test_second_derivatives_batches_and_programs() -> None:
    x = np.random.default_rng(1).permutation(24).reshape(2, 4, 3) / 7.0

    def f(x: Any) -> Any:
        return np.sin(lax.reduce_window(x, -np.inf, lax.max, (2, 2), (1, 1), "SAME"))

    check_grads(f, (x[0],), order=2)
    np.testing.assert_array_equal(vmap(f)(x), np.stack([f(x[0]), f(x[1])]))
    np.testing.assert_array_equal(jit(vmap(grad(lambda x: np.sum(f(x)))))(x)[1], grad(lambda x: np.sum(f(x)))(x[1]))


def test_errors() -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="window_dimensions"):
        lax.reduce_window(x, 0.0, lax.add, (2,))
    with pytest.raises(ValueError, match="padding"):
        lax.reduce_window(x, 0.0, lax.add, (1, 2), None, [(0, 0)])
    with pytest.raises(ShapeError, match="scalars"):
        lax.reduce_window(x, np.zeros(2), lax.add, (1, 2))
    with pytest.raises(ShapeError, match="one shape"):
        lax.reduce((x, np.ones(2)), (0.0, 0.0), lambda a, b: a, (0,))
    with pytest.raises(ShapeError, match="scalars"):
        lax.reduce(x, 0.0, lambda a, b: np.stack([a, b]), (0,))
    with pytest.raises(TypeError, match="function"):
        lax.reduce(x, 0.0, 3, (0,))  # type: ignore[arg-type]


@pytest.mark.parametrize("select", [lax.ge, np.less_equal])
def test_selections_are_the_derivatives_of_pooling(select: Any) -> None:
    x, t = np.random.default_rng(3).standard_normal((2, 5, 4))
    ct = np.random.default_rng(4).standard_normal((2, 3))
    window: Any = ((2, 2), (2, 1), "VALID")
    extreme, init = (lax.max, -np.inf) if select is lax.ge else (lax.min, np.inf)

    def pool(x: Any) -> Any:
        return lax.reduce_window(x, init, extreme, *window)

    np.testing.assert_array_equal(lax.select_and_scatter_add(ct, x, select, *window), vjp(pool, x)[1](ct)[0])
    np.testing.assert_array_equal(lax.select_and_gather_add(t, x, select, *window), jvp(pool, (x,), (t,))[1])
    check_grads(lambda c: lax.select_and_scatter_add(c, x, select, *window), (ct,), order=1)
    check_grads(lambda t: lax.select_and_gather_add(t, x, select, *window), (t,), order=1)
    with pytest.raises(NotImplementedError, match=r"lax\.ge"):
        lax.select_and_scatter_add(ct, x, np.greater, *window)


def test_the_functions_of_every_namespace_are_recognised() -> None:
    x = np.random.default_rng(5).standard_normal(6)
    for fun in (lax.max, np.maximum, jnp.maximum):
        assert "reduce_window_max" in str(make_ir(lambda x, f=fun: lax.reduce_window(x, -np.inf, f, (2,)))(x))
    for fun in (lax.add, np.add, jnp.add):
        assert "reduce_sum" in str(make_ir(lambda x, f=fun: lax.reduce(x, 0.0, f, (0,)))(x))


def test_windows_that_fit_nowhere() -> None:
    for fun, init in ((lax.add, 0.0), (lax.max, -np.inf), (lambda a, b: a + b, 0.0)):
        out = lax.reduce_window(np.ones((1, 5)), init, fun, (1, 2), (2, 3), ((-1, -1), (2, 1)), (2, 1), (1, 1))
        assert out.shape == (0, 3) and out.dtype == float


def test_padding_by_name_is_that_of_elements_side_by_side() -> None:
    assert lax.reduce_window(np.ones(2), 0.0, lax.add, (3,), (2,), "SAME", (2,), (2,)).tolist() == [0.0]
