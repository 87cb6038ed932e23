"""Windows in native code: sums and extremes along an axis, and their derivatives, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

import funcgrad as fg
from funcgrad import lax
from funcgrad.transforms.make_ir import trace_to_program

rng = np.random.default_rng(0)

# shape, window, strides, padding, dilation
CASES: list[tuple[Any, ...]] = [
    ((2, 8, 6, 3), (1, 2, 2, 1), (1, 2, 2, 1), "VALID", (1, 1, 1, 1)),
    ((2, 3, 9, 10), (1, 1, 2, 2), (1, 1, 2, 2), "VALID", (1, 1, 1, 1)),
    ((2, 9, 7, 2), (1, 3, 3, 1), (1, 1, 2, 1), "SAME", (1, 1, 1, 1)),
    ((5, 23), (1, 4), (1, 3), ((0, 0), (2, 5)), (1, 2)),
    ((23, 5), (4, 1), (3, 1), ((3, 1), (0, 0)), (2, 1)),
    ((7,), (3,), (1,), ((-1, 2),), (1,)),
    ((40,), (5,), (1,), "SAME", (1,)),
]
KINDS: dict[str, tuple[Any, Any]] = {"max": (-np.inf, lax.max), "min": (np.inf, lax.min), "sum": (0.0, lax.add)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_values_and_derivatives(case: int, kind: str) -> None:
    shape, window, strides, padding, dilation = CASES[case]
    init, op = KINDS[kind]

    def f(x: Any) -> Any:
        return lax.reduce_window(x, x.dtype.type(init), op, window, strides, padding, (1,) * len(shape), dilation)

    def everything(x: Any) -> Any:
        out, pull = fg.vjp(f, x)
        return [out, *pull(np.cos(out)), fg.jvp(f, (x,), (np.sin(x),))[1]]

    for dtype in ("float32", "float64"):
        x = np.round(rng.standard_normal(shape), 1).astype(dtype)  # with ties
        x.flat[::11] = -0.0
        wants = everything(x)
        for got, want in zip(Compiled(trace_to_program(everything, (x,)))(x), wants, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)
    x[..., 1] = np.nan
    np.testing.assert_array_equal(Compiled(trace_to_program(lambda x: [f(x)], (x,)))(x)[0], f(x))


def test_nothing_is_left_to_numpy() -> None:
    def f(x: Any) -> Any:
        return fg.grad(lambda x: np.sum(lax.reduce_window(x, -np.inf, lax.max, (2, 2), (2, 2), "SAME") ** 2))(x)

    x = rng.standard_normal((7, 9))
    program = Compiled(trace_to_program(lambda x: [f(x)], (x,)))
    assert not program.code.host_steps
    np.testing.assert_array_equal(program(x)[0], f(x))
