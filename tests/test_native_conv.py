"""Convolutions in native code against NumPy's, of one to three dimensions, with both transposes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

import funcgrad as fg
from funcgrad.lax import conv_general_dilated
from funcgrad.transforms.make_ir import trace_to_program

rng = np.random.default_rng(0)

# lhs, rhs, strides, padding, and other parameters
CASES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Any, dict[str, Any]]] = [
    ((2, 3, 10), (4, 3, 3), (1,), "SAME", {}),
    ((2, 3, 11), (4, 3, 3), (2,), "VALID", {}),
    ((2, 3, 11), (4, 3, 3), (3,), [(2, 5)], {"rhs_dilation": (2,)}),
    ((1, 2, 9), (3, 2, 4), (1,), [(-1, 2)], {}),
    ((2, 2, 6), (3, 2, 3), (1,), [(1, 1)], {"lhs_dilation": (2,)}),
    ((3, 2, 8, 7), (4, 2, 3, 3), (1, 1), "SAME", {}),
    ((3, 2, 8, 7), (4, 2, 3, 2), (2, 1), "VALID", {}),
    ((2, 4, 6, 6), (6, 2, 3, 3), (1, 1), "SAME", {"feature_group_count": 2}),
    ((2, 4, 6, 6), (8, 1, 3, 3), (1, 2), "SAME", {"feature_group_count": 4}),
    ((2, 3, 5, 6), (4, 3, 1, 1), (1, 1), "VALID", {}),
    ((2, 3, 5, 6), (4, 3, 5, 6), (1, 1), "VALID", {}),
    ((2, 2, 5, 5), (3, 2, 3, 3), (1, 1), [(-2, 3), (4, -1)], {}),
    ((2, 2, 4, 5, 6), (3, 2, 2, 3, 2), (1, 1, 2), "SAME", {}),
    ((1, 1, 3), (1, 1, 2), (1,), [(9, 9)], {}),
    ((2, 8, 20, 20), (16, 8, 5, 5), (1, 1), "SAME", {}),
    ((2, 3, 9, 9), (4, 3, 3, 3), (2, 2), "SAME", {}),  # its gradient has zeros between the elements
    ((2, 2, 5, 4), (3, 2, 2, 3), (1, 1), [(3, 1), (2, 2)], {"lhs_dilation": (3, 2), "rhs_dilation": (2, 1)}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_values_and_gradients(case: int, dtype: str) -> None:
    left, right, strides, padding, more = CASES[case]
    x, k = rng.standard_normal(left).astype(dtype), rng.standard_normal(right).astype(dtype)

    def f(x: Any, k: Any) -> Any:
        return conv_general_dilated(x, k, strides, padding, **more)

    def both(x: Any, k: Any) -> Any:
        out, pull = fg.vjp(f, x, k)
        return [out, *pull(np.sin(out))]

    wants = both(x, k)
    program = Compiled(trace_to_program(both, (x, k)))
    assert not program.code.host_steps or {"feature_group_count", "rhs_dilation"} & more.keys()
    tolerance = 2e-4 if dtype == "float32" else 1e-11
    for got, want in zip(program(x, k), wants, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1.0, float(abs(want).max())))


def test_they_are_native() -> None:
    """But for what NumPy does better; operands may lie in memory in any order."""
    x, k = rng.standard_normal((2, 9, 8, 3)), rng.standard_normal((3, 3, 3, 4))

    def f(x: Any, k: Any) -> Any:
        return conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    program = Compiled(trace_to_program(lambda *xs: [f(*xs)], (x, k)))
    assert not program.code.host_steps
    np.testing.assert_allclose(program(x, k)[0], f(x, k), rtol=1e-12, atol=1e-12)


LAST: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Any, dict[str, Any]]] = [
    ((2, 30, 5), (3, 5, 17), (1,), "VALID", {}),
    ((3, 11, 4), (3, 4, 8), (2,), "SAME", {"rhs_dilation": (2,)}),
    ((2, 9, 8, 3), (3, 2, 3, 16), (1, 1), "SAME", {}),
    ((2, 9, 8, 4), (3, 3, 2, 10), (2, 1), [(-1, 2), (1, 0)], {"feature_group_count": 2}),
    ((2, 9, 9, 4), (4, 4, 4, 16), (2, 2), "SAME", {}),
    ((2, 5, 6, 4), (2, 2, 4, 9), (1, 1), [(0, 1), (0, 0)], {"lhs_dilation": (2, 1)}),
    ((2, 4, 5, 6, 2), (2, 3, 2, 2, 8), (1, 1, 1), "SAME", {}),
]


def test_channels_that_come_last() -> None:
    """The results of all cases are one program's, those of the native code also where they are wanted in a place."""
    xs = [rng.standard_normal(left).astype(np.float32) for left, *_ in LAST]
    ks = [rng.standard_normal(right).astype(np.float32) for _, right, *_ in LAST]

    def every(xs: Any, ks: Any) -> Any:
        found = []
        for x, k, (*_, strides, padding, more) in zip(xs, ks, LAST, strict=True):
            names = "DHW"[5 - x.ndim :]
            numbers = (f"N{names}C", f"{names}IO", f"N{names}C")
            out, pull = fg.vjp(
                lambda x, k, s=strides, p=padding, n=numbers, m=more: conv_general_dilated(
                    x, k, s, p, dimension_numbers=n, **m
                ),
                x,
                k,
            )
            found += [out, np.swapaxes(out, 1, -1), *pull(np.sin(out))]
        return found

    program = Compiled(trace_to_program(every, (xs, ks)))
    for got, want in zip(program(*xs, *ks), every(xs, ks), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4 * max(1.0, float(abs(want).max())))
