"""What the functions of the array API standard give is what NumPy's give, on arrays and under `jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_cases import BINARY, DTYPES, ROWS, UNARY, Row, numbers, special_values

import funcgrad.numpy as fnp
from funcgrad import jit


def same(have: Any, want: Any, note: Any) -> None:
    if isinstance(want, (tuple, list)):
        assert isinstance(have, (tuple, list)) and len(have) == len(want), note
        for a, b in zip(have, want, strict=True):
            same(a, b, note)
        return
    if not hasattr(want, "dtype"):  # a Python bool
        assert have == want, note
        return
    assert (have.dtype, have.shape) == (want.dtype, want.shape), note
    assert hasattr(have, "__array_namespace__"), note
    a, b = np.asarray(have), np.asarray(want)
    for x, y in ((np.real(a), np.real(b)), (np.imag(a), np.imag(b))) if b.dtype.kind == "c" else ((a, b),):
        if y.dtype.kind != "f":
            np.testing.assert_array_equal(x, y, err_msg=str(note))
            continue
        f = np.finfo(y.dtype)
        whole = b.ndim or b.dtype.kind == "c"  # a complex number is as exact as it is large, both parts of it
        size = float(np.max(np.abs(b[np.isfinite(b)]), initial=0)) if whole else 0.0
        atol = 4 * float(f.smallest_subnormal) + (64 * float(f.eps) * min(size, 1e3) if note[1] else 0)
        np.testing.assert_allclose(x, y, rtol=(64 if note[1] else 8) * f.eps, atol=atol, err_msg=str(note))
        if not note[1]:
            zeros = y == 0
            np.testing.assert_array_equal(np.signbit(x[zeros]), np.signbit(y[zeros]), err_msg=str(note))


Call = tuple[Callable[..., Any], tuple[Any, ...], Any]
"""A function of a namespace and arrays, the arrays, and what to say of it."""


def compared(calls: list[Call]) -> None:
    """Calls with NumPy, with `funcgrad.numpy`, and with that under `jit`, all of them as one function."""
    with np.errstate(all="ignore"):
        wants = [call(np, *args) for call, args, _ in calls]
        for (call, args, note), want in zip(calls, wants, strict=True):
            same(call(fnp, *args), want, note)

        def every(*given: Any) -> list[Any]:
            return [call(fnp, *xs) for (call, _, _), xs in zip(calls, given, strict=True)]

        for have, want, (_, _, note) in zip(jit(every)(*(args for _, args, _ in calls)), wants, calls, strict=True):
            same(have, want, note)


def dtypes(kinds: str) -> list[Any]:
    return [d for k in kinds for d in DTYPES[k]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", UNARY)
def test_special_values(name: str) -> None:
    for d in dtypes(UNARY[name]):
        x = special_values(d)
        operands = (x, x[::-2], x[:0], np.zeros((2, 0, 3), d), x[1], x[:1].reshape(()))
        compared([(lambda m, x: getattr(m, name)(x), (y,), (name, "", d, y.shape)) for y in operands])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BINARY)
def test_special_values_of_pairs(name: str) -> None:
    for d in dtypes(BINARY[name]):
        x, y = special_values(d), special_values(d)
        if np.dtype(d).kind in "iu" and ("shift" in name or name == "pow"):
            y = y[(y >= 0) & (y < 8)]
        one: Any = {"b": True, "i": 2, "u": 2, "f": 1.5, "c": 1.5 + 2j}[np.dtype(d).kind]

        def call(m: Any, x: Any, y: Any) -> Any:
            return getattr(m, name)(x, y)

        pairs = ((x[:, None], y), (x[1], y[-1]), (x[:0], y[:1]), (x[:1].reshape(()), y[::-1]))
        calls: list[Call] = [(call, pair, (name, "", d)) for pair in pairs]
        compared([*calls, (lambda m, x, one=one: getattr(m, name)(x, one), (x,), (name, "", d, one))])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.name}-{r.kinds}-{len(r.shapes)}")
def test_values(row: Row) -> None:
    for d in dtypes(row.kinds):
        calls: list[Call] = []
        for shapes in row.shapes:
            several = shapes if shapes and isinstance(shapes[0], tuple) else (shapes,)
            args = tuple(numbers(d, shape, seed) for seed, shape in enumerate(several))
            if "mod" in row.name or "div" in row.name:
                args = (*args[:1], *(np.where(a == 0, np.ones((), d), a) for a in args[1:]))
            calls += [(call, args, (row.name, "near", d, several, i)) for i, call in enumerate(row.calls)]
        compared(calls)


def test_signs_of_zeros_are_told_apart_by_indices() -> None:
    x = np.array([np.nan, 1.0, np.nan, -0.0, 0.0])
    for f in (fnp.unique_all, jit(fnp.unique_all)):
        values, indices, inverse, counts = f(x)
        np.testing.assert_array_equal(values, [0, 1, np.nan, np.nan])
        assert counts.tolist() == [2, 1, 1, 1] and len(indices) == 4 and inverse.shape == (5,)
