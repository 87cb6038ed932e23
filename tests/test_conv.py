"""Convolutions against the definition as a loop: all parameters, layouts, ways of computing, transposes, batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcgrad import eval_shape, jit, jvp, lax, make_ir, vjp, vmap
from funcgrad.errors import ShapeError
from funcgrad.ops import conv_kernels, conv_windows
from funcgrad.test_util import check_grads


def loop(
    x: Any, w: Any, strides: Any, padding: Any, base: Any, dilation: Any, features: int = 1, batches: int = 1
) -> np.ndarray:
    """The definition: for each output position the sum of products of a window and the kernel."""
    n, (o, each, *kernel) = x.shape[0], w.shape
    for axis, (b, (low, high)) in enumerate(zip(base, padding, strict=True), 2):
        size = x.shape[axis]
        spread = np.zeros((*x.shape[:axis], (size - 1) * b + 1 if size else 0, *x.shape[axis + 1 :]), x.dtype)
        spread[(slice(None),) * axis + (slice(None, None, b),)] = x
        x = np.pad(spread, [(0, 0)] * axis + [(max(low, 0), max(high, 0))] + [(0, 0)] * (x.ndim - axis - 1))
        x = x[(slice(None),) * axis + (slice(max(-low, 0), x.shape[axis] - max(-high, 0)),)]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [max((m - k) // s + 1, 0) for m, k, s in zip(x.shape[2:], spans, strides, strict=True)]
    out = np.zeros((n // batches, o, *sizes), np.result_type(x, w))
    per_group = o // (features * batches)
    for index in np.ndindex(*out.shape):
        example, channel, *place = index
        group = channel // per_group
        row = group * (n // batches) + example if batches > 1 else example
        first = group * each if features > 1 else 0
        where = [slice(p * s, p * s + k, d) for p, s, k, d in zip(place, strides, spans, dilation, strict=True)]
        out[index] = np.sum(x[(row, slice(first, first + each), *where)] * w[channel])
    return out


@st.composite
def problems(draw: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    n = number(0, 3)
    features = number(1, 3)
    batches = number(1, 2) if features == 1 else 1
    each, o = number(1, 3), number(1, 3) * features * batches
    size, kernel = [number(1, 6) for _ in range(n)], [number(1, 3) for _ in range(n)]
    params = {
        "window_strides": [number(1, 3) for _ in range(n)],
        "padding": [(number(-min(1, s - 1), 3), number(0, 3)) for s in size],
        "lhs_dilation": [number(1, 3) for _ in range(n)],
        "rhs_dilation": [number(1, 3) for _ in range(n)],
        "feature_group_count": features,
        "batch_group_count": batches,
    }
    rng = np.random.default_rng(number(0, 1000))
    x = rng.standard_normal((number(1, 2) * batches, each * features, *size))
    order = draw(st.permutations(range(x.ndim)))  # the layout in memory
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    return x, rng.standard_normal((o, each, *kernel)), params


def by_loop(x: Any, w: Any, p: dict[str, Any]) -> np.ndarray:
    return loop(x, w, *p.values())


@given(problems())
@settings(max_examples=60, deadline=None)
def test_values_shapes_and_transposes(problem: Any) -> None:
    """The values are those of the loop, and the pullback is the transpose of both linear maps."""
    x, w, params = problem

    def f(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, **params)

    want = by_loop(x, w, params)
    out, pullback = vjp(f, x, w)
    assert out.shape == want.shape == eval_shape(f, x, w).shape
    np.testing.assert_allclose(out, want, atol=1e-12)
    rng = np.random.default_rng(0)
    ct, dx, dw = (rng.standard_normal(s) for s in (out.shape, x.shape, w.shape))
    gx, gw = pullback(ct)
    assert (gx.shape, gw.shape) == (x.shape, w.shape)
    np.testing.assert_allclose(np.sum(gx * dx), np.sum(ct * by_loop(dx, w, params)), atol=1e-10)
    np.testing.assert_allclose(np.sum(gw * dw), np.sum(ct * by_loop(x, dw, params)), atol=1e-10)
    np.testing.assert_allclose(jvp(f, (x, w), (dx, dw))[1], by_loop(dx, w, params) + by_loop(x, dw, params), atol=1e-11)


WAYS = list(itertools.product((64, 512, 1 << 19), (1, 10**9), (0, 16, 1000)))


@pytest.mark.parametrize(("block", "slab", "short"), WAYS)
@pytest.mark.parametrize("stride", [1, 2])
def test_every_way_of_computing_agrees(
    monkeypatch: pytest.MonkeyPatch, block: int, slab: int, short: int, stride: int
) -> None:
    """Whatever the blocks and the layout of windows, values and gradients are the same."""
    monkeypatch.setattr(conv_windows, "_BLOCK", block)
    monkeypatch.setattr(conv_windows, "SLAB", slab)
    monkeypatch.setattr(conv_kernels, "SLAB", slab)
    monkeypatch.setattr(conv_windows, "_LONG", slab)
    monkeypatch.setattr(conv_windows, "_SHORT", short)
    rng = np.random.default_rng(1)
    for shape, kernel, groups in (
        ((2, 3, 7, 6), (4, 3, 3, 2), 1),
        ((3, 4, 9), (4, 1, 3), 4),
        ((2, 4, 5, 3), (2, 2, 1, 3), 2),
    ):
        x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
        n = len(shape) - 2
        params = ([stride] * n, [(1, 2)] * n, [1] * n, [1] * n, groups)
        out, pullback = vjp(lambda x, w, p=params: lax.conv_general_dilated(x, w, *p[:4], None, p[4]), x, w)
        np.testing.assert_allclose(out, loop(x, w, *params), atol=1e-12)
        ct, dx, dw = (rng.standard_normal(s) for s in (out.shape, x.shape, w.shape))
        gx, gw = pullback(ct)
        np.testing.assert_allclose(np.sum(gx * dx), np.sum(ct * loop(dx, w, *params)))
        np.testing.assert_allclose(np.sum(gw * dw), np.sum(ct * loop(x, dw, *params)))


@pytest.mark.parametrize("groups", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (1, 2), (-1, None)])
def test_batches_are_loops(groups: tuple[int, int], axes: tuple[int | None, int | None]) -> None:
    rng = np.random.default_rng(2)
    features, batches = groups
    shapes = ((2 * batches, 2 * features, 5), (2 * features * batches, 2, 3))
    xs = [np.stack([rng.standard_normal(s) for _ in range(3)], a) if a is not None else rng.standard_normal(s)
          for s, a in zip(shapes, axes, strict=True)]  # fmt: skip

    def f(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, (2,), "SAME", None, (2,), None, features, batches)

    rows = [[x if a is None else np.take(x, i, a) for x, a in zip(xs, axes, strict=True)] for i in range(3)]
    np.testing.assert_allclose(vmap(f, in_axes=axes)(*xs), np.stack([f(*r) for r in rows]), atol=1e-12)


@pytest.mark.parametrize("features", [1, 4, 8, 16])
@pytest.mark.parametrize("size", [(6, 8), (5, 9), (7, 4), (8, 12)])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (5, 1), (2, 4)])
def test_columns_computed_together(features: int, size: tuple[int, int], kernel: tuple[int, int]) -> None:
    """Few features: output columns are features too, and the kernel's columns in its gradient."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((3, 2, *size)), rng.standard_normal((features, 2, *kernel))
    for padding in ("SAME", "VALID", [(2, 1), (0, 3)]):
        out = lax.conv_general_dilated(x, w, (1, 1), padding)
        pads = lax.padtype_to_pads(size, kernel, (1, 1), padding) if isinstance(padding, str) else padding
        np.testing.assert_allclose(out, loop(x, w, (1, 1), tuple(map(tuple, pads)), (1, 1), (1, 1)), atol=1e-12)
        check_grads(lambda x, w, p=padding: lax.conv_general_dilated(x, w, (1, 1), p), (x, w), order=1)


def test_infinite_pixels_spread_no_further_than_the_kernel() -> None:
    x = np.zeros((1, 8, 8, 1), np.float32)
    x[0, 4, 4, 0] = np.inf
    w = np.ones((3, 3, 1, 8), np.float32)
    out = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert np.isinf(out[0, 3:6, 3:6]).all() and np.isfinite(out).sum() == 8 * (64 - 9)


def test_dilated_inputs_are_not_filled_with_zeros() -> None:
    """An infinite kernel element meets no zeros that are not there."""
    x, w = np.ones((1, 1, 3)), np.array([[[1.0, np.inf]]])
    out = lax.conv_general_dilated(x, w, (1,), [(0, 0)], lhs_dilation=(2,))
    np.testing.assert_array_equal(out, [[[1.0, np.inf, 1.0, np.inf]]])


@pytest.mark.parametrize(("padding", "want"), [("SAME", (2, 3)), ("SAME_LOWER", (3, 2)), ("VALID", (0, 0))])
def test_padding_by_name(padding: str, want: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((1, 1, 7)), rng.standard_normal((1, 1, 6))
    np.testing.assert_array_equal(lax.conv(x, w, (1,), padding), lax.conv(x, w, (1,), [want]))


def test_layouts() -> None:
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((6, 3, 3, 2))
    want = lax.conv(x, w, (2, 1), "SAME")
    for lhs, rhs, out in (("NHWC", "HWIO", "NHWC"), ("HWNC", "IHWO", "CWHN")):
        numbers = lax.conv_dimension_numbers(x.shape, w.shape, (lhs, rhs, out))
        have = lax.conv_general_dilated(
            x.transpose(["NCHW".index(c) for c in lhs]),
            w.transpose(["OIHW".index(c) for c in rhs]),
            (2, 1),
            "SAME",
            dimension_numbers=(lhs, rhs, out),
        )
        np.testing.assert_allclose(have.transpose(numbers.out_spec), want, atol=1e-12)


def test_conv_transpose_is_the_transpose() -> None:
    """With `transpose_kernel` it is the pullback of the convolution of the same strides and padding."""
    rng = np.random.default_rng(6)
    numbers = ("NHC", "HIO", "NHC")
    for n, k, s, padding in ((8, 3, 2, "SAME"), (7, 2, 3, "VALID"), (9, 3, 1, "VALID"), (6, 5, 2, "SAME")):
        x, w = rng.standard_normal((2, n, 3)), rng.standard_normal((k, 3, 4))
        out, pullback = vjp(
            lambda x, w=w, s=s, p=padding: lax.conv_general_dilated(x, w, (s,), p, None, None, numbers), x
        )
        ct = rng.standard_normal(out.shape)
        have = lax.conv_transpose(ct, w, (s,), padding, dimension_numbers=numbers, transpose_kernel=True)
        (want,) = pullback(ct)
        m = min(have.shape[1], n)
        np.testing.assert_allclose(have[:, :m], want[:, :m], atol=1e-12)


def test_patches_are_windows() -> None:
    x = np.arange(2.0 * 2 * 4 * 3).reshape(2, 2, 4, 3)
    out = lax.conv_general_dilated_patches(x, (2, 3), (2, 1), "VALID")
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (2, 3))[:, :, ::2]
    np.testing.assert_array_equal(out, np.moveaxis(windows, (4, 5), (2, 3)).reshape(2, 12, 2, 1))


def test_dtypes() -> None:
    x, w = np.ones((1, 2, 4), np.float16), np.ones((1, 2, 3), np.float16)
    assert lax.conv(x, w, (1,), "SAME").dtype == np.float16
    assert lax.conv(x, w, (1,), "SAME", preferred_element_type=np.float32).dtype == np.float32
    assert lax.conv(x.astype(np.int8), w.astype(np.int8), (1,), "SAME", None, np.int32).dtype == np.int32
    assert lax.conv(x, w.astype(np.float64), (1,), "SAME").dtype == np.float64
    out, pullback = vjp(lambda x, w: lax.conv(x, w, (1,), "SAME"), x, w.astype(np.float32))
    assert [g.dtype for g in pullback(out)] == [np.float16, np.float32]


def test_programs_and_second_derivatives() -> None:
    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((1, 2, 4, 3)), rng.standard_normal((2, 2, 2, 2))

    def f(x: Any, w: Any) -> Any:
        return np.tanh(lax.conv(x, w, (2, 1), "SAME"))

    assert str(make_ir(f)(x, w)).count("conv_general_dilated") == 1
    np.testing.assert_allclose(jit(f)(x, w), f(x, w))
    check_grads(f, (x, w), order=2)


def test_errors() -> None:
    x, w = np.ones((2, 3, 5)), np.ones((4, 3, 2))
    with pytest.raises(ShapeError, match="3 features"):
        lax.conv(x, np.ones((4, 2, 2)), (1,), "SAME")
    with pytest.raises(ShapeError, match="divide"):
        lax.conv_general_dilated(x, np.ones((4, 1, 2)), (1,), "SAME", feature_group_count=3)
    with pytest.raises(ValueError, match="window_strides"):
        lax.conv(x, w, (1, 1), "SAME")
    with pytest.raises(ValueError, match="padding"):
        lax.conv(x, w, (1,), "FULL")
    with pytest.raises(ValueError, match="numbers"):
        lax.conv_general_dilated(x, w, (1,), "SAME", lhs_dilation=(2,))
    with pytest.raises(ValueError, match="same number of dimensions"):
        lax.conv(x, np.ones((4, 3)), (1,), "SAME")
    with pytest.raises(ValueError, match="dimension_numbers"):
        lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NCH", "OIW", "NCH"))
