"""Convolutions with drawn parameters against loops; locally connected ones, transposes, and shapes of results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import jit, lax, vjp, vmap
from funcgrad.errors import ShapeError
from funcgrad.test_util import check_grads

ORDER = "NCHWD"


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Operands and parameters in 0 to 3 spatial dimensions, in any layout."""
    rng = np.random.default_rng(seed)
    n = seed % 4
    groups, batches = ((1, 1), (2, 1), (1, 2))[seed % 3]
    spatial = "HWD"[:n]
    sizes = {
        "N": 2,
        "C": 2,
        "O": 2,
        "I": 2 // groups,
        **dict(zip(spatial, rng.integers(2, 5, n).tolist(), strict=True)),
    }
    window = {**sizes, **dict(zip(spatial, rng.integers(1, 4, n).tolist(), strict=True))}
    specs = ["".join(rng.permutation(list(first + spatial)).tolist()) for first in ("NC", "OI", "NC")]
    lhs, rhs = rng.standard_normal([sizes[c] for c in specs[0]]), rng.standard_normal([window[c] for c in specs[1]])
    parameters = {
        "window_strides": tuple(rng.integers(1, 3, n).tolist()),
        "padding": tuple(map(tuple, rng.integers(-1, 3, (n, 2)).tolist())),
        "lhs_dilation": tuple(rng.integers(1, 3, n).tolist()),
        "rhs_dilation": tuple(rng.integers(1, 3, n).tolist()),
        "dimension_numbers": tuple(specs),
        "feature_group_count": groups,
        "batch_group_count": batches,
    }
    return lhs, rhs, parameters


def convolved(lhs: np.ndarray, rhs: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    """By loops, in the layout NCHW, OIHW, NCHW: first dilated and padded, then one product for each place."""
    left, right, out = p["dimension_numbers"]
    spatial = [c for c in right if c not in "OI"]
    x = np.transpose(lhs, [left.index(c) for c in ("N", "C", *spatial)])
    w = np.transpose(rhs, [right.index(c) for c in ("O", "I", *spatial)])
    for axis, (b, d, (low, high)) in enumerate(
        zip(p["lhs_dilation"], p["rhs_dilation"], p["padding"], strict=True), start=2
    ):
        x, w = np.moveaxis(x, axis, 0), np.moveaxis(w, axis, 0)
        spread, wide = np.zeros(((len(x) - 1) * b + 1, *x.shape[1:])), np.zeros(((len(w) - 1) * d + 1, *w.shape[1:]))
        spread[::b], wide[::d] = x, w
        spread = np.concatenate([np.zeros((max(low, 0), *x.shape[1:])), spread, np.zeros((max(high, 0), *x.shape[1:]))])
        x = np.moveaxis(spread[max(-low, 0) : len(spread) - max(-high, 0)], 0, axis)
        w = np.moveaxis(wide, 0, axis)
    steps, groups, batches = p["window_strides"], p["feature_group_count"], p["batch_group_count"]
    room = zip(x.shape[2:], w.shape[2:], steps, strict=True)
    counts = [(a - k) // s + 1 if a >= k else 0 for a, k, s in room]
    n, o, each = x.shape[0] // batches, w.shape[0], w.shape[0] // (groups * batches)
    result = np.zeros((n, o, *counts))
    for i in range(o):
        g, b = (i // each, 0) if batches == 1 else (0, i // each)
        part = x[b * n : (b + 1) * n, g * w.shape[1] : (g + 1) * w.shape[1]]
        for place in np.ndindex(*counts):
            seen = tuple(slice(q * s, q * s + k) for q, s, k in zip(place, steps, w.shape[2:], strict=True))
            result[(slice(None), i, *place)] = np.sum(
                part[(slice(None), slice(None), *seen)] * w[i], axis=tuple(range(1, x.ndim))
            )
    return np.transpose(result, [("N", "C", *spatial).index(c) for c in out])


@pytest.mark.parametrize("seed", range(24))
def test_convolutions_are_loops(seed: int) -> None:
    lhs, rhs, p = draw(seed)
    want = convolved(lhs, rhs, p)

    def f(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, **p)

    np.testing.assert_allclose(f(lhs, rhs), want, atol=1e-12)
    np.testing.assert_allclose(jit(f)(lhs, rhs), want, atol=1e-12)
    ct = np.random.default_rng(seed).standard_normal(want.shape)
    left, right = vjp(f, lhs, rhs)[1](ct)
    e, d = np.random.default_rng(1).standard_normal(lhs.shape), np.random.default_rng(2).standard_normal(rhs.shape)
    np.testing.assert_allclose(np.sum(left * e), np.sum(convolved(e, rhs, p) * ct), atol=1e-10)
    np.testing.assert_allclose(np.sum(right * d), np.sum(convolved(lhs, d, p) * ct), atol=1e-10)
    for axes in ((0, None), (None, 0), (0, 0)):
        given = [np.stack([a, b]) if w == 0 else a for a, b, w in zip((lhs, rhs), (e, d), axes, strict=True)]
        rows = [f(*(g[k] if w == 0 else g for g, w in zip(given, axes, strict=True))) for k in range(2)]
        np.testing.assert_allclose(vmap(f, axes)(*given), rows, atol=1e-12)


def test_integers() -> None:
    x, w = np.full((1, 1, 3), 100, np.int8), np.full((1, 1, 2), 2, np.int8)
    assert lax.conv(x, w, (1,), "VALID").dtype == np.int8
    wide = lax.conv_general_dilated(x, w, (1,), "VALID", preferred_element_type=np.int32)
    np.testing.assert_array_equal(wide, [[[400, 400]]])
    assert wide.dtype == np.int32


@pytest.mark.parametrize("seed", range(1, 9))
def test_kernels_that_differ_from_place_to_place(seed: int) -> None:
    lhs, rhs, p = draw(seed)
    n = lhs.ndim - 2
    if not n:
        return
    p |= {"feature_group_count": 1, "batch_group_count": 1, "lhs_dilation": (1,) * n, "padding": ((1, 1),) * n}
    _, right, out = p["dimension_numbers"]
    spatial = [c for c in right if c not in "OI"]
    window = tuple(rhs.shape[right.index(c)] for c in spatial)
    shape = {"O": 2, "I": 2, **dict(zip(spatial, window, strict=True))}
    options = (p["window_strides"], p["padding"], window, p["lhs_dilation"], p["rhs_dilation"], p["dimension_numbers"])
    count = convolved(lhs, np.zeros([shape[c] for c in right]), p).shape
    if 0 in count:
        return
    places = {c: count[out.index(c)] for c in spatial}
    features = 2 * int(np.prod(window))
    rng = np.random.default_rng(seed)
    kernels = rng.standard_normal([{"O": 2, "I": features, **places}[c] for c in right])
    found = lax.conv_general_dilated_local(lhs, kernels, *options)
    assert found.shape == count
    for place in np.ndindex(*places.values()):
        at = dict(zip(spatial, place, strict=True))
        kernel = kernels[tuple(at.get(c, slice(None)) for c in right)]  # O and I, in their order
        kernel = kernel if right.index("O") < right.index("I") else kernel.T
        whole = np.transpose(kernel.reshape(2, 2, *window), [("O", "I", *spatial).index(c) for c in right])
        here = tuple(at.get(c, slice(None)) for c in out)
        np.testing.assert_allclose(found[here], convolved(lhs, whole, p)[here], atol=1e-12)
    check_grads(lambda x, w: lax.conv_general_dilated_local(x, w, *options), (lhs, kernels), order=1)


def test_transposed_convolutions_undo_padding_consistently() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 2, 3, 4))
    numbers = ("NHWC", "HWIO", "NHWC")
    strides, pads, dilation = (2, 1), ((1, 1), (0, 1)), (1, 2)

    def forward(x: Any) -> Any:
        return lax.conv_general_dilated(x, w, strides, pads, None, dilation, numbers)

    y = rng.standard_normal(forward(x).shape)
    back = lax.conv_transpose(
        y, w, strides, pads, dilation, numbers, transpose_kernel=True, use_consistent_padding=True
    )
    np.testing.assert_allclose(back, vjp(forward, x)[1](y)[0], atol=1e-12)


def test_shapes_of_results() -> None:
    numbers = ("NHWC", "HWIO", "NHWC")
    x, w = np.zeros((4, 7, 6, 3)), np.zeros((3, 2, 3, 5))
    assert lax.conv_general_permutations(numbers) == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    for padding in ("SAME", "VALID", ((1, 0), (2, -1))):
        for strides in ((1, 1), (2, 3)):
            want = lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=numbers).shape
            assert lax.conv_general_shape_tuple(x.shape, w.shape, strides, padding, numbers) == want
            assert lax.conv_shape_tuple((4, 3, 7, 6), (5, 3, 3, 2), strides, padding) == tuple(
                want[i] for i in (0, 3, 1, 2)
            )
            back = lax.conv_transpose(x, w, strides, padding, dimension_numbers=numbers).shape
            assert lax.conv_transpose_shape_tuple(x.shape, w.shape, strides, padding, numbers) == back
            pooled = lax.reduce_window(x[0, :, :, 0], 0.0, lax.add, (3, 2), strides, padding).shape
            assert lax.reduce_window_shape_tuple((7, 6), (3, 2), strides, padding) == pooled
    assert lax.conv_shape_tuple((4, 3, 7), (2, 3, 3), (1,), "VALID", batch_group_count=2) == (2, 2, 5)
    with pytest.raises(ShapeError, match="3 groups"):
        lax.conv_shape_tuple((4, 3, 7), (2, 3, 3), (1,), "VALID", batch_group_count=3)
