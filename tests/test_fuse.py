"""Fusion: what is computed tile by tile is what the operations give one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from fuse_checks import DTYPES, INEXACT, array, check, count, fused, run, same
from hypothesis import given

import funcgrad
from funcgrad import grad, make_ir, value_and_grad, vjp
from funcgrad.executor.tiles import FusedKernel, tuning
from funcgrad.ir import Program
from funcgrad.ir_check import check_program
from funcgrad.passes.fuse import fuse

pytestmark = pytest.mark.usefixtures("small_tiles")


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("n", [2, 63, 64, 65, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradient(n: int, dtype: Any) -> None:
    def f(x: Any) -> Any:
        return np.sum(np.tanh(x) * np.exp(-(x**2)) + np.sin(x))

    check(value_and_grad(f), array((n,), dtype), groups=1)


@pytest.mark.parametrize("dtype", INEXACT)
def test_inexact(dtype: Any) -> None:
    check(lambda x, y: (x * y - 2 * x / y + x**3 - y**4 + x**2, np.exp(x) - y), array((7, 30), dtype),
          array((7, 30), dtype, 1), groups=1)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic_of_each_dtype(dtype: Any) -> None:
    if dtype is bool:
        check(lambda x, y: (x ^ y) | (x & ~y) & (x == y), array((50, 3), bool), array((50, 3), bool, 1), groups=1)
    else:
        check(lambda x, y: (x * y + 3 - x, np.maximum(x, y) / 2, x > y), array((50, 3), dtype),
              array((50, 3), dtype, 1), groups=1)  # fmt: skip


def test_mixed_dtypes() -> None:
    x, n, b = array((40, 5), np.float32), array((40, 5), np.int32), array((40, 5), bool)
    check(lambda x, n, b: (x * n + b, (n + b) * np.float32(2), x + np.float64(1), n * 2.5), x, n, b, groups=1)


def test_comparison_with_an_integer_out_of_range() -> None:
    x = array((200,), np.uint8)
    check(lambda x: (x < 300, (x + 1) > -1), x)
    check(lambda x, n: (x + x) < n, x, 1000)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128,
                                   np.int8, np.int64, bool])  # fmt: skip
def test_select(dtype: Any) -> None:
    x, y, c = array((13, 21), dtype), array((13, 21), dtype, 1), array((13, 21), bool, 2)
    zero = np.zeros((), dtype)[()]
    one = np.ones((), dtype)[()]
    check(lambda c, x, y: (np.where(c, x, y), np.where(c, x, zero), np.where(c, zero, y), np.where(c, one, y),
                           np.where(c, x, one), np.where(c, one, zero)), c, x, y, groups=1)  # fmt: skip
    check(lambda c, x, y: np.where(c, x[0], y[:, :1]) * np.where(c[0], x, y), c, x, y)


def test_select_passes_over_what_is_not_chosen() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.0, -0.0] * 20)
    c = np.arange(100) % 2 == 0
    program = fuse(make_ir(lambda c, x: (np.where(c, x, 0.0), np.where(c, 0.0, x), np.where(c, x, -0.0)))(c, x))
    assert count(program) == 1
    for got, want in zip(run(program, [c, x]), [np.where(c, x, 0.0), np.where(c, 0.0, x), np.where(c, x, -0.0)],
                         strict=True):  # fmt: skip
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_nan_and_infinity() -> None:
    x = np.array([[np.nan, 1.0, np.inf], [-np.inf, 2.0, 3.0], [1.0, 2.0, 3.0]] * 9, np.float32)
    program = fuse(make_ir(lambda x: (np.max(x, axis=1), np.min(x * 1, axis=1), np.max(x), np.maximum(x, 0) + x))(x))
    assert count(program) == 1
    with np.errstate(invalid="ignore"):
        for got, want in zip(run(program, [x]), [x.max(1), x.min(1), x.max(), np.maximum(x, 0) + x], strict=True):
            np.testing.assert_array_equal(got, want)


def test_real_imaginary_complex() -> None:
    z, x = array((70,), np.complex64), array((70,), np.float32)
    check(lambda z, x: (np.real(z * z) + x, np.imag(z) * 2, np.conj(z) * x, np.abs(z)), z, x, groups=1)
    check(grad(lambda x: np.sum(np.abs(x * (1 + 2j)) ** 2)), x)


def test_conversions() -> None:
    x, n = array((70,), np.float32), array((70,), np.int16)
    check(lambda x, n: ((x * 3).astype(np.int32) + n, (n * 2).astype(np.float64), (x > 0).astype(np.float32) * x), x, n)


@pytest.mark.parametrize("scalar", [2, 2.5, True, np.float32(2.5), np.float64(2.5), np.array(2.5), np.int8(3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_scalar_operands(scalar: Any, dtype: Any) -> None:
    x = array((90,), dtype)
    check(lambda x: (x * scalar + scalar, scalar - x), x, groups=1)
    check(lambda x, s: (x * s + s, s - x, np.maximum(x, s)), x, scalar, groups=1)


# ------------------------------------------------------------------------------------------------ shapes


@pytest.mark.parametrize("shapes", [
    [(6, 40), (40,)], [(6, 40), (6, 1)], [(40,), (6, 40), ()], [(3, 4, 5), (4, 1), (5,)], [(3, 4, 5), (3, 1, 5)],
    [(1, 60), (60,)], [(60, 1), (60, 1)], [(1, 8, 1, 9), (8, 1, 1)], [(2, 3, 4, 5), (3, 1, 1), (4, 5), (2, 1, 1, 5)],
    [(5, 1), (1, 7)], [(5, 1, 3), (7, 1)],
])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_broadcasting(shapes: list[tuple[int, ...]], dtype: Any) -> None:
    xs = [array(s, dtype, i) for i, s in enumerate(shapes)]

    def f(*xs: Any) -> Any:
        total = xs[0]
        for x in xs[1:]:
            total = total * x + x
        return np.exp(total) - total

    check(f, *xs)
    check(lambda *xs: vjp(f, *xs)[1](f(*xs)), *xs)


@pytest.mark.parametrize("axes", [a for n in (1, 2, 3) for a in itertools.combinations(range(3), n)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex64, bool])
def test_reductions(axes: tuple[int, ...], keepdims: bool, dtype: Any) -> None:
    x = array((6, 7, 8), dtype)
    kw: Any = {"axis": axes, "keepdims": keepdims}

    def f(x: Any) -> Any:
        y = x ^ True if dtype is bool else x + x
        sums = np.sum(y, **kw), np.sum(y * y, **kw)
        return sums if dtype is np.complex64 else (*sums, np.max(y, **kw), np.min(y, **kw), np.all(y, **kw),
                                                   np.any(y, **kw))  # fmt: skip

    check(f, x, groups=1)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2), (0, 1), (0, 2)])
def test_values_after_reductions(axes: tuple[int, ...]) -> None:
    def f(x: Any, y: Any) -> Any:
        z = np.exp(x - np.max(x, axis=axes, keepdims=True)) * y
        return z / np.sum(z, axis=axes, keepdims=True)

    x, y = array((6, 7, 8)), np.abs(array((6, 7, 8), seed=1)) + 0.1
    check(f, x, y, groups=3 if 0 in axes else 1)
    check(lambda x, y, g: vjp(f, x, y)[1](g), x, y, array((6, 7, 8), seed=2))


def test_softmax_cross_entropy_is_one_group() -> None:
    def loss(x: Any, y: Any) -> Any:
        z = x - np.max(x, axis=-1, keepdims=True)
        return -np.mean(np.sum(y * (z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))), axis=-1))

    for dtype in (np.float32, np.float64):
        check(value_and_grad(loss), array((30, 11), dtype), np.abs(array((30, 11), dtype, 1)), groups=1)


def test_layer_norm_is_one_group() -> None:
    def norm(x: Any, scale: Any, shift: Any) -> Any:
        mean, variance = np.mean(x, axis=-1, keepdims=True), np.var(x, axis=-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift

    x, s, b, g = array((4, 9, 16)), array((16,)), array((16,), seed=1), array((4, 9, 16), seed=2)
    check(norm, x, s, b, groups=1)
    check(lambda x, s, b, g: vjp(norm, x, s, b)[1](g), x, s, b, g, groups=1)


def test_rows_without_kept_axes() -> None:
    def f(x: Any, w: Any) -> Any:
        rows = np.sum(x, axis=1)
        return x * (rows / w)[:, None], rows * 2

    check(f, array((20, 6)), array((20,), seed=1))
    check(f, array((20, 20)), array((20,), seed=1))  # here the sizes do not tell the axes apart
    check(lambda x: x + np.sum(x, axis=1), array((12, 12)))


def test_empty_and_single() -> None:
    def f(x: Any) -> Any:
        return np.exp(x) * x, np.sum(np.exp(x) * x), np.sum(x * x, axis=0)

    for shape in [(0,), (3, 0), (0, 3), (1,), (1, 1)]:
        x = array(shape)
        kernel = FusedKernel(fuse_all(make_ir(f)(x)))
        for got, want in zip(fused(kernel, [x]), f(x), strict=True):
            same(got, want, float)
    assert count(fuse(make_ir(f)(array((1, 1))))) == 0


def fuse_all(program: Program) -> Program:
    return Program((), (), program.inputs, program.equations, program.outputs)


@pytest.mark.parametrize("layout", ["transposed", "stepped", "reversed", "repeated", "shifted"])
def test_strides(layout: str) -> None:
    full = array((12, 18, 10))
    x = {
        "transposed": full.transpose(2, 0, 1)[:6, :6, :5],
        "stepped": full[::2, ::3, ::2],
        "reversed": full[5::-1, 5::-1, 4::-1],
        "repeated": np.broadcast_to(full[:6, :1, :5], (6, 6, 5)),
        "shifted": full[1:7, 2:8, 3:8],
    }[layout]
    y = array((6, 6, 5), seed=1)
    check(lambda x, y: (np.exp(x) * y + x, np.sum(x * y)), x, y, groups=1)
    check(lambda x, y: (x - np.max(x, axis=2, keepdims=True) + y[0], np.sum(x * y, axis=0), np.max(x)), x, y)


def test_outputs_of_any_strides() -> None:
    x, y = array((4, 6, 5)), array((5,), seed=1)
    for f in (lambda x, y: np.exp(x) * 2, lambda x, y: np.exp(x) * y):
        (eqn,) = fuse(make_ir(f)(x, y)).equations
        out = np.empty((6, 5, 4)).transpose(2, 0, 1)
        FusedKernel(**eqn.params)(*[x, y][: len(eqn.inputs)], out)
        same(out, f(x, y), float)


def test_long_rows_and_short_ones() -> None:
    for shape in [(3, 5000), (700, 2), (40, 1100)]:
        x = array(shape, np.float32)
        check(lambda x: (x - np.max(x, axis=1, keepdims=True), np.sum(x * x, axis=1), np.sum(x * 2, axis=0)), x)
    x = array((5000,), np.float32)
    check(lambda x, y: (np.sum(x * y), np.sum(np.square(x)), np.sum(np.exp(x))), x, x[::-1])


def test_sums_are_as_accurate_as_numpy() -> None:
    tuning.tile_bytes = tuning.shared_bytes = 64 << 10
    x = np.random.default_rng(0).random(1 << 20).astype(np.float32)
    total, squares = run(fuse(make_ir(lambda x: (np.sum(x * 1), np.sum(x * x)))(x)), [x])
    exact = x.astype(np.float64)
    assert abs(total - exact.sum()) <= 4 * np.spacing(np.float32(exact.sum()))
    assert abs(squares - (exact**2).sum()) <= 4 * np.spacing(np.float32((exact**2).sum()))


# ------------------------------------------------------------------------------------------------ memory and threads


def test_outputs_may_overwrite_inputs() -> None:
    def f(x: Any, y: Any, c: Any) -> Any:
        h = np.exp(x) * y
        return h + 1, np.where(c, y, h), np.sum(h, axis=0)

    x, y, c = array((30, 7)), array((30, 7), seed=1), array((30, 7), bool, 2)
    (eqn,) = fuse(make_ir(f)(x, y, c)).equations
    kernel = FusedKernel(**eqn.params)
    assert 0 in kernel.overwrites[0] and 1 in kernel.overwrites[1] and 1 not in kernel.overwrites[0]
    assert kernel.overwrites[2] == ()
    for k, inputs in kernel.overwrites.items():
        for i in inputs:
            ins = [x.copy(), y.copy(), c.copy()]
            outs = [np.empty((30, 7)), np.empty((30, 7)), np.empty(7)]
            outs[k] = ins[i]
            kernel(*ins, *outs)
            for got, want in zip(outs, f(x, y, c), strict=True):
                same(got, want, float)


def test_results_do_not_depend_on_threads() -> None:
    def f(x: Any, b: Any) -> Any:
        y = np.tanh(x + b) * x
        return np.sum(y), np.sum(y, axis=0), np.sum(y * y), y / np.sum(y, axis=1, keepdims=True)

    x, b = array((333, 17), np.float32), array((17,), np.float32)
    program = fuse(make_ir(f)(x, b))
    results = []
    for threads in (1, 2, 3, 7):
        funcgrad.config.threads = threads
        results.append(run(program, [x, b]))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_warnings_of_tiles_are_the_callers() -> None:
    x = np.linspace(-1, 1, 500)
    program = fuse(make_ir(lambda x: np.sqrt(x) + 1)(x))
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        run(program, [x])
    with np.errstate(invalid="ignore"):
        run(program, [x])
    with pytest.warns(RuntimeWarning, match="invalid value"):
        run(program, [x])


# ------------------------------------------------------------------------------------------------ random programs

UNARY: list[Callable[[Any], Any]] = [
    np.tanh, np.exp, np.sin, np.square, np.negative, np.abs, lambda x: x**3, lambda x: np.maximum(x, 0.5),
    lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, 1.5, x), lambda x: (x > 0) * x, lambda x: 1 - x,
    lambda x: np.cumsum(x, axis=-1) * 0.1,
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    np.add, np.subtract, np.multiply, np.maximum, np.minimum, lambda x, y: np.where(x > y, x, y),
    lambda x, y: np.where(x > y, y, 2 * x), lambda x, y: x / (1 + y * y),
]  # fmt: skip
REDUCE: list[Callable[..., Any]] = [np.mean, np.max, np.min, np.sum]


@st.composite
def programs(draw: st.DrawFn) -> tuple[Callable[..., Any], list[np.ndarray]]:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    shapes = [shape]
    for _ in range(draw(st.integers(0, 2))):
        cut = draw(st.integers(0, len(shape)))
        shapes.append(tuple(n if draw(st.booleans()) else 1 for n in shape[cut:]))
    xs = [array(s, dtype, i) for i, s in enumerate(shapes)]
    for i, x in enumerate(xs):
        if draw(st.booleans()):
            xs[i] = np.asfortranarray(x)
    steps: list[tuple[Any, ...]] = []
    for n in range(len(xs), len(xs) + draw(st.integers(2, 12))):
        kind = draw(st.sampled_from(["unary", "binary", "binary", "reduce"]))
        a, b = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
        if kind == "reduce":
            axes = tuple(i for i in range(len(shape)) if draw(st.booleans()))
            steps.append((kind, draw(st.sampled_from(REDUCE)), a, axes, draw(st.booleans())))
        else:
            steps.append((kind, draw(st.sampled_from(UNARY if kind == "unary" else BINARY)), a, b))
    results = draw(st.lists(st.integers(0, len(xs) + len(steps) - 1), min_size=1, max_size=4))

    def f(*xs: Any) -> Any:
        values = list(xs)
        for step in steps:
            x = values[step[2]]
            if step[0] == "unary":
                values.append(np.tanh(step[1](x)) if np.ndim(x) else x)
            elif step[0] == "binary":
                values.append(np.tanh(step[1](x, values[step[3]])))
            else:
                axes = tuple(i for i in step[3] if i < np.ndim(x))
                keep = step[4] or not _fits(np.shape(x), axes, shape)
                values.append(step[1](x, axis=axes, keepdims=keep) if axes else x)
        return [values[i] * 1 for i in results]

    return f, xs


def _fits(shape: tuple[int, ...], axes: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether what is left without the axes broadcasts against the whole shape."""
    kept = [n for i, n in enumerate(shape) if i not in axes]
    return all(n in (1, w) for n, w in zip(kept[::-1], whole[::-1], strict=False))


@given(programs())
def test_random_programs(case: tuple[Callable[..., Any], list[np.ndarray]]) -> None:
    f, xs = case
    program = make_ir(f)(*xs)
    after = fuse(program)
    check_program(after)
    for got, want in zip(run(after, xs), program(*xs), strict=True):
        got, want = np.asarray(got), np.asarray(want)
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(got, want, rtol=2e-4 if want.dtype == np.float32 else 1e-10, atol=1e-5)


@given(programs())
def test_random_gradients(case: tuple[Callable[..., Any], list[np.ndarray]]) -> None:
    f, xs = case
    xs = [x.astype(np.float64) for x in xs]

    def total(*xs: Any) -> Any:
        return sum(np.sum(np.sin(y)) for y in f(*xs))

    program = make_ir(grad(total, tuple(range(len(xs)))))(*xs)
    after = fuse(program)
    check_program(after)
    for got, want in zip(run(after, xs), program(*xs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8)
