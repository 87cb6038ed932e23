"""`funcgrad.scipy.ndimage`: values of SciPy in all boundary modes, and derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage as scipys
from scipy import signal

from funcgrad import grad, jit, vmap
from funcgrad.errors import ShapeError
from funcgrad.scipy import ndimage as ours
from funcgrad.scipy.signal import convolve2d
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)
X, WHOLE = RNG.normal(size=(6, 7)), RNG.integers(0, 50, size=(6, 7))
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
CUBE = RNG.normal(size=(4, 5, 3))
GRID_MODES = (*MODES, "grid-mirror", "grid-wrap", "grid-constant")
KERNELS = (RNG.normal(size=(3, 2)), RNG.normal(size=(2, 3)))
PLACES = [
    RNG.uniform(-14, 20, (2, 60)),
    RNG.uniform(0, 5, (2, 60)),
    np.stack([np.linspace(-1.5, 6.5, 40), np.full(40, 3.2)]),
]
MATRIX = np.array([[0.9, 0.2], [-0.1, 1.1]])


def same(name: str, *args: Any, **kwargs: Any) -> None:
    have, want = getattr(ours, name)(*args, **kwargs), getattr(scipys, name)(*args, **kwargs)
    np.testing.assert_allclose(have, want, rtol=1e-8, atol=1e-9, err_msg=f"{name} {kwargs}")
    assert have.dtype == want.dtype


@pytest.mark.parametrize("mode", MODES)
def test_filters(mode: str) -> None:
    for weights in ([1.0, 2, 3], [1.0, 2], np.arange(1.0, 10)):
        for origin in (0, -1):
            for name in ("correlate1d", "convolve1d"):
                same(name, X, weights, axis=0, mode=mode, cval=2.0, origin=origin)
                same(name, WHOLE, weights, mode=mode, cval=2.0, origin=origin)
    for name in ("correlate", "convolve"):
        same(name, X, KERNELS[0], mode=mode, cval=1.5)
        same(name, X, KERNELS[1], mode=mode, origin=(0, -1))
        same(name, X + 1j, KERNELS[1], mode=mode)
    for order in range(4):
        same("gaussian_filter1d", X, 1.3, order=order, mode=mode)
    same("gaussian_filter", X, (1.0, 0.5), mode=mode, cval=1.0)
    same("gaussian_filter", WHOLE, 1.0, mode=mode)
    for name in ("gaussian_laplace", "gaussian_gradient_magnitude"):
        same(name, X, 0.8, mode=mode)
    for name in ("sobel", "prewitt", "laplace"):
        same(name, X, mode=mode)
        same(name, WHOLE, mode=mode)
    same("uniform_filter", X, (3, 4), mode=mode)
    for name in ("median_filter", "maximum_filter", "minimum_filter"):
        same(name, X, (2, 3), mode=mode)
        same(name, WHOLE, footprint=np.array([[0, 1, 0], [1, 1, 1]]), mode=mode)


@pytest.mark.parametrize("mode", GRID_MODES)
def test_interpolation(mode: str) -> None:
    for order in range(6):
        for places in PLACES:
            same("map_coordinates", X, places, order=order, mode=mode, cval=-3.0)
        same("shift", X, (0.7, -1.3), order=order, mode=mode, cval=1.0)
        same("affine_transform", X, MATRIX, np.array([0.3, -0.2]), order=order, mode=mode)
    same("zoom", X, (1.7, 0.6), mode=mode)
    same("rotate", X, 33.0, mode=mode)
    same("rotate", X, 33.0, order=1, mode=mode, reshape=False)
    same("map_coordinates", WHOLE, PLACES[1], order=1, mode=mode)


@pytest.mark.parametrize("axes", [1, (0,), (0, 2), (2, 0), (0, 1, 2)])
def test_axes(axes: int | tuple[int, ...]) -> None:
    n, many = np.size(axes), {"axes": axes, "mode": "nearest"}
    sizes, weights = (2, 3, 3)[:n], RNG.normal(size=(2, 3, 3)[:n])
    for name in ("correlate", "convolve"):
        same(name, CUBE, weights, **many)
    for name in ("maximum_filter", "minimum_filter"):
        same(name, CUBE, sizes, axes=axes, mode=["wrap", "nearest", "mirror"][:n])
    for name, *args in (("rank_filter", 1), ("percentile_filter", 30), ("percentile_filter", -10), ("median_filter",)):
        same(name, CUBE, *args, sizes, **many)
        same(name, CUBE, *args, footprint=np.abs(weights) > 0.2, **many)
    same("uniform_filter", CUBE, sizes, **many)
    same("uniform_filter", (100 * CUBE).astype(int), sizes, **many)
    same("gaussian_laplace", CUBE, (0.6, 0.8, 0.9)[:n], **many)
    for name, *args in (("gaussian_gradient_magnitude", 0.7), ("laplace",)):
        same(name, CUBE, *args, axes=axes, mode=["wrap", "nearest", "mirror"][:n])


def test_windows_along_an_axis() -> None:
    for name in ("maximum_filter1d", "minimum_filter1d"):
        same(name, X, 3, 0)
        same(name, X, 4, mode="wrap", origin=1)
    check_grads(
        lambda x: ours.rank_filter(x, 1, 3, axes=(0,)) + ours.convolve(x, KERNELS[0], axes=(1, 0)), (X,), order=1
    )
    with pytest.raises(ValueError, match="unique"):
        ours.uniform_filter(X, axes=(0, -2))


def test_other_forms() -> None:
    same("zoom", X, 2.0, order=1, grid_mode=True, mode="grid-constant")
    same("affine_transform", X, np.array([2.0, 0.5]), order=1)
    same("affine_transform", X, np.hstack([MATRIX, [[0.3], [0.1]]]), order=1, output_shape=(3, 9))
    same("rotate", RNG.normal(size=(3, 4, 5)), 20.0, axes=(2, 0), order=1)
    same("spline_filter", X)
    same("gaussian_filter", X, 1.0, axes=(0,))
    assert (
        ours.map_coordinates(X, [[0.5], [1.5]], 1).tolist() == ours.map_coordinates(X, [[0.5], [1.5]], order=1).tolist()
    )
    narrow = X.astype(np.float32)
    assert ours.gaussian_filter(narrow, 1.0).dtype == ours.map_coordinates(narrow, PLACES[1]).dtype == np.float32


def test_derivatives() -> None:
    a, b = PLACES[1][:, :5]
    for order in (1, 2, 3):
        check_grads(
            lambda x, a, b, n=order: ours.map_coordinates(x, [a, b], order=n, mode="mirror"), (X, a, b), order=2
        )
    check_grads(lambda x, s: ours.gaussian_filter(x, s, radius=3), (X, 1.2), order=2)
    check_grads(lambda x, w: ours.convolve(x, w, mode="wrap"), (X, KERNELS[0]), order=2)
    check_grads(lambda x, angle: ours.rotate(x, angle, reshape=False), (X, 20.0), order=1, rtol=1e-5)
    check_grads(lambda x, m: ours.affine_transform(x, m, order=3, mode="nearest"), (X, MATRIX), order=1)
    check_grads(lambda x, by: ours.shift(x, by, mode="nearest"), (X, np.array([0.3, 0.4])), order=2)
    check_grads(lambda x: ours.median_filter(x, 3) + ours.sobel(x), (X,), order=1)
    far = grad(lambda a: np.sum(ours.map_coordinates(X, [a, b], order=1)))(a + 100)
    assert far.tolist() == [0.0] * 5


def test_compiled_code_and_batches() -> None:
    places = PLACES[1]
    fun = lambda x, c: ours.map_coordinates(x, c, order=3, mode="reflect")  # noqa: E731
    want = scipys.map_coordinates(X, places, order=3, mode="reflect")
    np.testing.assert_allclose(jit(fun)(X, places), want)
    rows = vmap(fun, (0, None))(np.stack([X, X]), places)
    np.testing.assert_allclose(rows, np.stack([want, want]))
    smooth = lambda x: ours.gaussian_filter(x, 1.0)  # noqa: E731
    np.testing.assert_allclose(jit(smooth)(X), scipys.gaussian_filter(X, 1.0))
    np.testing.assert_allclose(vmap(smooth)(np.stack([X, X]))[1], scipys.gaussian_filter(X, 1.0))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e20])
def test_what_is_around_changes_no_element(value: float) -> None:
    """The array has small numbers, which would be lost in a sum with the value around it."""
    x = 1e-9 * X
    for name in ("minimum_filter", "maximum_filter", "median_filter"):
        want = getattr(scipys, name)(x, 3, mode="constant", cval=value)
        np.testing.assert_array_equal(getattr(ours, name)(x, 3, mode="constant", cval=value), want)
    want = scipys.correlate(x, KERNELS[0], mode="constant", cval=value)
    np.testing.assert_allclose(ours.correlate(x, KERNELS[0], mode="constant", cval=value), want, rtol=1e-12)
    want = signal.convolve2d(x, KERNELS[0], boundary="fill", fillvalue=value)
    np.testing.assert_allclose(convolve2d(x, KERNELS[0], boundary="fill", fillvalue=value), want, rtol=1e-12)
    check_grads(lambda x, c: ours.uniform_filter(x, 3, mode="constant", cval=c), (X, 2.0), order=1)


@pytest.mark.parametrize(("call", "kind", "words"), [
    (lambda: ours.map_coordinates(X, [X]), ShapeError, "input.ndim"),
    (lambda: ours.map_coordinates(X, [X, X], order=6), NotImplementedError, "order"),
    (lambda: ours.map_coordinates(X, [X, X], mode="other"), NotImplementedError, "mode"),
    (lambda: ours.correlate1d(X, [1.0], mode="other"), ValueError, "boundary mode"),
    (lambda: ours.correlate(X, [1.0]), ShapeError, "weights of shape"),
    (lambda: ours.correlate1d(X, [1.0, 2.0], origin=5), ValueError, "origin"),
    (lambda: ours.correlate1d(X, [1.0, 2.0], output=X), NotImplementedError, "output"),
    (lambda: jit(lambda a: ours.rotate(X, a))(3.0), TypeError, "reshape"),
])  # fmt: skip
def test_errors(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()
