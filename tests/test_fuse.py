"""Fusion: groups of large pointwise operations are found, and compute tile by tile what they compute one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import funcgrad
from funcgrad import grad, make_ir, value_and_grad, vjp
from funcgrad.executor.fused import FUSED
from funcgrad.executor.tiles import FusedKernel, tuning
from funcgrad.ir import Program, Var
from funcgrad.ir_check import check_program
from funcgrad.passes.fuse import fuse
from funcgrad.passes.rematerialise import cheapest_side


@pytest.fixture(autouse=True)
def _small_tiles() -> Iterator[None]:
    """Small arrays are cut into many tiles, which threads share."""
    before = {name: getattr(tuning, name) for name in tuning.__slots__}
    tuning.tile_bytes = tuning.shared_bytes = 256
    tuning.call_ns = tuning.share_ns = 1
    tuning.smallest = 2
    funcgrad.config.threads = 2
    yield
    for name, value in before.items():
        setattr(tuning, name, value)


def run(program: Program, args: Sequence[Any]) -> list[Any]:
    """Run a program, its fused equations by kernels."""
    env: dict[Any, Any] = dict(zip((*program.constvars, *program.inputs), (*program.consts, *args), strict=True))
    for eqn in program.equations:
        ins = [env[x] if isinstance(x, Var) else x.value for x in eqn.inputs]
        if eqn.primitive is FUSED:
            outs = fused(FusedKernel(**eqn.params), ins)
        else:
            out = eqn.primitive.bind(*ins, **eqn.params)
            outs = out if eqn.primitive.multiple else (out,)
        env.update(zip(eqn.outputs, outs, strict=True))
    return [env[x] if isinstance(x, Var) else x.value for x in program.outputs]


def fused(kernel: FusedKernel, ins: Sequence[Any]) -> list[Any]:
    avals = kernel.program.out_avals
    arrays = [np.full(a.shape, 77).astype(a.dtype) for a in avals if a.shape]
    scalars = iter(kernel(*ins, *arrays))
    left = iter(arrays)
    return [next(left) if a.shape else next(scalars) for a in avals]


def count(program: Program) -> int:
    return sum(eqn.primitive is FUSED for eqn in program.equations)


def same(got: Any, want: Any, dtype: Any) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if want.dtype.kind in "fc":
        tolerance = 64 * np.finfo(np.dtype(dtype) if np.dtype(dtype).kind in "fc" else want.dtype).eps
        np.testing.assert_allclose(got, want, rtol=float(tolerance), atol=float(tolerance))
    else:
        np.testing.assert_array_equal(got, want)


def check(f: Callable[..., Any], *args: Any, groups: int | None = None) -> Program:
    """Compare a function with its fused program; returns that."""
    program = make_ir(f)(*args)
    after = fuse(program)
    check_program(after)
    if groups is not None:
        assert count(after) == groups, after
    flat = [a for a in args]
    wide = next((np.asarray(a).dtype for a in args if np.asarray(a).dtype.kind in "fc"), np.dtype(float))
    for got, want in zip(run(after, flat), program(*flat), strict=True):
        same(got, want, wide)
    for got, want in zip(after(*flat), program(*flat), strict=True):  # the primitive's own definition
        same(got, want, wide)
    return after


def array(shape: Sequence[int], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(1, 7, shape).astype(dtype)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape)).astype(dtype) if dtype.kind == "c" else x.astype(dtype)


DTYPES = [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.int32, np.int64, np.uint16, bool]
INEXACT = [np.float32, np.float64, np.complex64, np.complex128]


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


# ------------------------------------------------------------------------------------------------ groups


def test_what_is_small_is_left_alone() -> None:
    tuning.smallest = 1000
    program = make_ir(lambda x: np.exp(x) + 1)(array((999,)))
    assert fuse(program) is program
    check(lambda x: np.exp(x) + 1, array((1000,)), groups=1)
    assert count(fuse(make_ir(lambda x: np.exp(x) + 1)(array((10,))), smallest=10)) == 1


def test_a_single_cheap_operation_is_left_alone() -> None:
    tuning.share_ns = 1e9
    program = make_ir(lambda x: x + 1.0)(array((100,)))
    assert fuse(program) is program
    check(lambda x: np.reshape(x + 1.0, (10, 10)), array((100,)), groups=0)


def test_no_group_depends_on_itself() -> None:
    def f(x: Any) -> Any:
        a = np.exp(x) * 2
        return a * np.cumsum(a) + a, np.sin(x) + np.cumsum(a * 3)

    check(f, array((50,)), groups=3)

    def g(x: Any, w: Any) -> Any:
        h = np.tanh(x @ w)
        return np.sum((h @ w - x) ** 2)

    check(value_and_grad(g), array((9, 9)), array((9, 9), seed=1))


def test_groups_across_each_other_are_not_merged() -> None:
    """Two groups, each of which would feed the other: one of the two joins has to be refused."""

    def f(x: Any, y: Any) -> Any:
        a, b = np.exp(x), np.exp(y)
        c = np.cumsum(a) + b * 2
        return a * np.cumsum(c) + np.cumsum(b), c

    check(f, array((50,)) / 9, array((50,), seed=1) / 9)


def test_what_needs_the_whole_sum_comes_later() -> None:
    after = check(lambda x: x * 2 / np.sum(x * 2) + x, array((80,)), groups=2)
    kinds = [eqn.primitive.name for eqn in after.equations]
    assert kinds == ["fused", "fused"]


def test_wide_rows_are_not_fused() -> None:
    tuning.widest, tuning.share_ns = 100, 1e9
    check(lambda x, b: np.exp(x + b), array((4, 101)), array((101,)), groups=0)
    check(lambda x, b: np.exp(x + b), array((4, 100)), array((100,)), groups=1)
    check(lambda x: np.exp(x) * 2, array((4, 101)), groups=1)


def test_only_what_is_read_is_written() -> None:
    (eqn,) = check(grad(lambda x: np.sum(np.tanh(x) * np.sin(x))), array((80,)), groups=1).equations
    assert len(eqn.outputs) == 1
    assert eqn.params["shape"] == (80,)
    assert not eqn.params["program"].consts


def test_bodies_of_loops_are_fused() -> None:
    def f(x: Any) -> Any:
        return funcgrad.lax.fori_loop(0, 3, lambda i, y: np.tanh(y) * x + y, x)

    program = fuse(make_ir(f)(array((50,))))
    bodies = [p for eqn in program.equations for p in eqn.params.values() if isinstance(p, Program)]
    assert sum(map(count, bodies)) == 1
    same(funcgrad.jit(f)(array((50,))), f(array((50,))), float)


def test_constants_of_the_program() -> None:
    c = array((60,))
    check(lambda x: np.exp(x) * c + c, array((60,), seed=1), groups=1)


def test_equations_that_do_not_fit() -> None:
    program = make_ir(lambda x: np.cumsum(x) + 1)(array((50,)))
    with pytest.raises(ValueError, match="cumsum"):
        FusedKernel(program)
    with pytest.raises(ValueError, match="tiles"):
        FusedKernel(make_ir(lambda x: x / np.sum(x))(array((5,))))
    with pytest.raises(ValueError, match="outputs"):
        FusedKernel(make_ir(lambda x: (np.exp(x), x))(array((5,))))


def test_source_shows_the_equations_and_the_lines() -> None:
    (eqn,) = check(lambda x: np.exp(x) * 2 + x, array((100,)), groups=1).equations
    source = FusedKernel(**eqn.params).source
    assert "exp(x0, s0)" in source
    assert "test_fuse.py" in source


# ------------------------------------------------------------------------------------------------ recomputation


def test_cheap_values_are_computed_again() -> None:
    def f(x: Any) -> Any:
        a = x + 1
        b = np.exp(a)
        c = b * 3 - a
        return np.cumsum(c) * a + c / b

    after = check(f, array((4000,)), groups=2)
    first, _, second = after.equations
    assert len(first.outputs) == 2  # b and c: a is computed again, b is dear, c is needed anyway
    assert "add" in [eqn.primitive.name for eqn in second.params["program"].equations]
    assert "exp" not in [eqn.primitive.name for eqn in second.params["program"].equations]


def test_what_is_written_anyway_is_read() -> None:
    def f(x: Any) -> Any:
        a = x * 3 + 1
        return np.cumsum(np.exp(a)) * a, a

    after = check(f, array((4000,)), groups=2)
    assert [eqn.primitive.name for eqn in after.equations[-1].params["program"].equations] == ["mul"]


def test_a_group_whose_values_are_all_computed_again_is_gone() -> None:
    def f(x: Any, y: Any) -> Any:
        a = (x + 1) * 2
        return np.sum(np.cumsum(y) * a) + np.sum(a, axis=None)

    after = check(f, array((4000,)), array((4000,), seed=1))
    assert count(after) <= 2


def test_rows_that_are_known_late_are_read() -> None:
    def f(x: Any) -> Any:
        s = np.sum(x * 2, axis=0)
        a = x + 1
        return np.cumsum(np.exp(a), axis=1) * a * s, np.cumsum(s)

    check(f, array((30, 20)))


def test_the_cheapest_cut() -> None:
    capacities = {"s": {"a": 3.0, "b": 2.0}, "a": {"t": 2.0, "b": 5.0}, "b": {"t": 2.5}, "t": {}}
    side = cheapest_side(capacities, "s", "t")
    assert side == {"s", "a", "b"}
    assert cheapest_side({"s": {"a": 1.0}, "a": {"t": 2.0}, "t": {}}, "s", "t") == {"s"}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), max_size=20))
def test_no_cut_is_cheaper(edges: list[tuple[int, int, int]]) -> None:
    network: dict[Any, dict[Any, float]] = {i: {} for i in range(6)}
    for a, b, c in edges:
        if a != b:
            network[a][b] = float(c)

    def cost(side: set[Any]) -> float:
        return sum(c for a in side for b, c in network[a].items() if b not in side)

    side = cheapest_side(network, 0, 5)
    assert 0 in side and 5 not in side
    rest = [{0, *(i for i in range(1, 5) if mask >> i & 1)} for mask in range(32)]
    assert cost(side) == min(map(cost, rest))


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
