"""The names of `jax.lax` that stand for NumPy's functions: values, conventions and errors that differ from NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

from funcgrad import eval_shape, grad, jit, lax, make_ir, vjp, vmap
from funcgrad.errors import ShapeError

X = np.random.default_rng(0).standard_normal((3, 4))

ELEMENTWISE = {
    "abs": np.abs, "add": np.add, "asin": np.arcsin, "atan2": np.arctan2, "bitwise_not": np.invert, "eq": np.equal,
    "is_finite": np.isfinite, "max": np.maximum, "min": np.minimum, "mul": np.multiply, "neg": np.negative,
    "ge": np.greater_equal, "shift_left": np.left_shift, "sub": np.subtract, "tanh": np.tanh,
}  # fmt: skip


def test_elementwise_names() -> None:
    for name, ufunc in ELEMENTWISE.items():
        whole = name.startswith(("bitwise", "shift"))
        args = [np.array([1, 2, 3]) if whole else np.array([0.25, 0.5, 0.75])] * ufunc.nin
        np.testing.assert_array_equal(getattr(lax, name)(*args), ufunc(*args))
        assert str(make_ir(getattr(lax, name))(*args)) == str(make_ir(ufunc)(*args))


def test_every_name_is_there() -> None:
    names = """
    abs acos add argmax argmin associative_scan batch_matmul bitcast_convert_type broadcast broadcast_in_dim
    broadcasted_iota clamp collapse complex concatenate cond conv conv_general_dilated conv_general_dilated_patches
    conv_transpose conv_with_general_padding convert_element_type cumlogsumexp cummax cummin cumprod cumsum digamma
    div dot dot_general dynamic_index_in_dim dynamic_slice dynamic_slice_in_dim dynamic_update_index_in_dim
    dynamic_update_slice dynamic_update_slice_in_dim erf erf_inv expand_dims fori_loop full full_like index_in_dim
    index_take integer_pow iota lgamma logistic map nextafter pad reduce reduce_and reduce_max reduce_min reduce_or
    reduce_prod reduce_sum reduce_window reduce_xor rem reshape rev round rsqrt scan select select_n slice
    slice_in_dim sort sort_key_val split squeeze stop_gradient switch top_k transpose while_loop""".split()
    assert [n for n in names if n not in lax.__all__ or not getattr(lax, n).__doc__] == []
    assert len(set(lax.__all__)) == len(lax.__all__)


def test_integer_arithmetic_is_that_of_the_machine() -> None:
    x, y = np.array([-7, 7, -7, 7, 6]), np.array([2, -2, -2, 2, -3])
    np.testing.assert_array_equal(lax.div(x, y), [-3, -3, 3, 3, -2])
    np.testing.assert_array_equal(lax.rem(x, y), [-1, 1, -1, 1, 0])
    np.testing.assert_array_equal(lax.div(x, y) * y + lax.rem(x, y), x)
    np.testing.assert_array_equal(lax.div(1.0, np.array([4.0])), [0.25])
    np.testing.assert_array_equal(
        lax.shift_right_logical(np.array([-8], np.int8), np.int8(1)), np.array([124], np.int8)
    )
    np.testing.assert_array_equal(lax.round(np.array([-2.5, -0.5, 0.5, 1.5, 2.4])), [-3, -1, 1, 2, 2])
    np.testing.assert_array_equal(lax.round(np.array([-2.5, 0.5, 1.5]), 1), [-2, 0, 2])


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 5, 8, 13])
def test_integer_pow(n: int) -> None:
    x = np.array([0.5, -1.5, 2.0], np.float32)
    np.testing.assert_allclose(lax.integer_pow(x, n), x**n, rtol=1e-6)
    np.testing.assert_allclose(grad(lambda x: np.sum(lax.integer_pow(x, n)))(x), n * x ** (n - 1), rtol=1e-5)
    assert "pow" not in str(make_ir(lambda x: lax.integer_pow(x, n))(x))


def test_special_functions() -> None:
    for name, same in (
        ("erf", "erf"),
        ("erfc", "erfc"),
        ("erf_inv", "erfinv"),
        ("lgamma", "gammaln"),
        ("digamma", "psi"),
    ):
        x = np.array([0.25, 0.5, 0.75])
        np.testing.assert_array_equal(getattr(lax, name)(x), getattr(special, same)(x))
    np.testing.assert_allclose(lax.rsqrt(np.array([4.0])), [0.5])
    np.testing.assert_allclose(lax.logistic(np.array([0.0])), [0.5])


def test_selection() -> None:
    np.testing.assert_array_equal(lax.select_n(np.array([2, 0, 1]), *(np.full(3, i) for i in range(3))), [2, 0, 1])
    np.testing.assert_array_equal(lax.select(np.array([True, False]), 1.0, np.zeros(2)), [1, 0])
    with pytest.raises(ValueError, match="select_n"):
        lax.select_n(np.array([True]), 1, 2, 3)
    x = np.array([-2.0, -1.0, 0.0, 1.0, np.nan])
    np.testing.assert_array_equal(lax.clamp(-1.0, x, 1.0), [-1, -1, 0, 1, np.nan])
    np.testing.assert_array_equal(grad(lambda x: np.sum(lax.clamp(-1.0, x, 1.0)))(x), [0, 0, 1, 0, 1])


def test_bits() -> None:
    x = np.array([1.0, -0.0])
    bits = lax.bitcast_convert_type(x, np.uint64)
    np.testing.assert_array_equal(bits, [0x3FF0000000000000, 1 << 63])
    assert eval_shape(lambda x: lax.bitcast_convert_type(x, np.uint64), x).dtype == np.uint64
    assert eval_shape(lambda x: lax.bitcast_convert_type(x, np.int32), x).shape == (2, 2)


def test_creation() -> None:
    np.testing.assert_array_equal(lax.iota(np.int8, 3), np.arange(3, dtype=np.int8))
    np.testing.assert_array_equal(lax.broadcasted_iota(int, (2, 3), 0), [[0, 0, 0], [1, 1, 1]])
    assert lax.full((2,), 3, np.float32).dtype == np.float32
    np.testing.assert_array_equal(lax.full_like(X, 2.0), np.full_like(X, 2.0))
    assert grad(lambda v: np.sum(lax.full((2, 3), v)))(1.0) == 6.0
    filled = lax.full((2,), 0.0)
    filled[0] = 1.0  # an array of one's own


def test_shapes() -> None:
    np.testing.assert_array_equal(lax.broadcast(X, (2,)), np.stack([X, X]))
    np.testing.assert_array_equal(lax.broadcast_in_dim(X, (3, 2, 4), (0, 2)), np.stack([X, X], 1))
    np.testing.assert_array_equal(lax.reshape(X, (12,), (1, 0)), X.T.ravel())
    np.testing.assert_array_equal(lax.rev(X, (0, 1)), X[::-1, ::-1])
    np.testing.assert_array_equal(lax.transpose(X, (1, 0)), X.T)
    assert lax.collapse(np.zeros((2, 3, 4, 5)), 1, 3).shape == (2, 12, 5)
    assert lax.squeeze(lax.expand_dims(X, (0, 2)), (0, 2)).shape == X.shape
    with pytest.raises(ShapeError, match="one for each"):
        lax.broadcast_in_dim(X, (4, 3), (1, 1))


def test_slicing() -> None:
    np.testing.assert_array_equal(lax.slice(X, (1, 0), (3, 4), (1, 3)), X[1:3, 0:4:3])
    np.testing.assert_array_equal(lax.slice_in_dim(X, -2, None, axis=1), X[:, -2:])
    np.testing.assert_array_equal(lax.index_in_dim(X, -1, 0), X[-1:])
    np.testing.assert_array_equal(lax.index_take(X, (np.array([0, 2]),), (0,)), X[[0, 2]])
    with pytest.raises(ShapeError, match="leaves"):
        lax.slice(X, (0, 0), (4, 4))
    with pytest.raises(IndexError, match="out of bounds"):
        lax.index_in_dim(X, 3)


PLACES = [(0, 0), (1, 2), (2, 3), (5, 5), (-1, -2), (-9, 0)]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_dynamic_slices_stay_inside(place: tuple[int, int], traced: bool) -> None:
    """Places that are known and traced ones do the same: negative ones count from the end, and all are clamped."""
    row, column = (min(max(i + n if i < 0 else i, 0), n - k) for i, n, k in zip(place, (3, 4), (2, 3), strict=True))
    window = (slice(row, row + 2), slice(column, column + 3))
    written = X.copy()
    written[window] = 7.0
    run = jit if traced else (lambda f: f)
    np.testing.assert_array_equal(run(lambda i, j: lax.dynamic_slice(X, (i, j), (2, 3)))(*place), X[window])
    update = run(lambda i, j: lax.dynamic_update_slice(X, np.full((2, 3), 7.0), (i, j)))
    np.testing.assert_array_equal(update(*place), written)
    mask = np.zeros_like(X)
    mask[window] = 1
    np.testing.assert_array_equal(
        run(grad(lambda x, i, j: np.sum(lax.dynamic_slice(x, (i, j), (2, 3)))))(X, *place), mask
    )


def test_dynamic_slices_along_one_axis() -> None:
    i = np.array([0, 1, 2])
    np.testing.assert_array_equal(vmap(lambda i: lax.dynamic_index_in_dim(X, i, keepdims=False))(i), X)
    np.testing.assert_array_equal(jit(lambda i: lax.dynamic_slice_in_dim(X, i, 2, 1))(1), X[:, 1:3])
    np.testing.assert_array_equal(
        jit(lambda i: lax.dynamic_update_index_in_dim(X, np.zeros(4), i, 0))(1)[1], np.zeros(4)
    )
    np.testing.assert_array_equal(lax.dynamic_slice(X, np.array([1, 1]), (2, 2)), X[1:3, 1:3])
    with pytest.raises(ShapeError, match="larger"):
        lax.dynamic_slice(X, (0, 0), (4, 4))
    with pytest.raises(ShapeError, match="needs 2"):
        lax.dynamic_slice(X, (0,), (4,))


def test_pad() -> None:
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(lax.pad(x, 9.0, [(1, 2, 1)]), [9, 1, 9, 2, 9, 3, 9, 9])
    np.testing.assert_array_equal(lax.pad(x, 9.0, [(-1, 1, 2)]), [9, 9, 2, 9, 9, 3, 9])
    np.testing.assert_array_equal(lax.pad(x, 0.0, [(-1, -1, 0)]), [2])
    np.testing.assert_array_equal(lax.pad(np.zeros(0), 1.0, [(1, 1, 3)]), [1, 1])
    _, pullback = vjp(lambda x, v: lax.pad(x, v, [(1, -1, 1)]), x, 9.0)
    gx, gv = pullback(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(gx, [2, 4, 0])
    assert gv == 9.0
    with pytest.raises(ShapeError, match="more than there is"):
        lax.pad(x, 0.0, [(-2, -2, 0)])
    with pytest.raises(ShapeError, match="scalar"):
        lax.pad(x, x, [(0, 0, 0)])


def test_split_has_a_cheap_gradient() -> None:
    parts = lax.split(X, (1, 0, 3), 1)
    assert [p.shape for p in parts] == [(3, 1), (3, 0), (3, 3)]
    with pytest.raises(ShapeError, match="add up"):
        lax.split(X, (1, 1), 1)
    program = str(make_ir(grad(lambda x: sum(np.sum(p**2) * i for i, p in enumerate(np.split(x, 4, 1)))))(X))
    assert program.count(" split[") == program.count(" concatenate[") == 1
    assert "place" not in program


def test_running_reductions() -> None:
    for name, ufunc in (("cumsum", np.add), ("cumprod", np.multiply), ("cummax", np.maximum), ("cummin", np.minimum),
                        ("cumlogsumexp", np.logaddexp)):  # fmt: skip
        fun: Any = getattr(lax, name)
        np.testing.assert_allclose(fun(X, 1), ufunc.accumulate(X, 1))
        np.testing.assert_allclose(fun(X, reverse=True), ufunc.accumulate(X[::-1])[::-1])
    assert lax.cumsum(np.ones(3, np.int8)).dtype == np.int8


def test_reductions_keep_the_dtype() -> None:
    x = np.array([[1, 6], [3, 4]], np.int8)
    for fun, ufunc in ((lax.reduce_sum, np.add), (lax.reduce_prod, np.multiply), (lax.reduce_max, np.maximum),
                       (lax.reduce_min, np.minimum), (lax.reduce_and, np.bitwise_and), (lax.reduce_or, np.bitwise_or),
                       (lax.reduce_xor, np.bitwise_xor)):  # fmt: skip
        for axes in ((0,), (1,), (0, 1)):
            out = fun(x, axes)
            assert out.dtype == np.int8
            np.testing.assert_array_equal(out, ufunc.reduce(x, axis=axes))
    np.testing.assert_array_equal(lax.reduce_and(x > 1, (1,)), [False, True])
    np.testing.assert_array_equal(lax.reduce_xor(np.zeros((0, 2), int), (0,)), [0, 0])
    assert lax.argmax(X, 1, np.int32).dtype == np.int32


def test_sorting() -> None:
    keys, values = np.array([3, 1, 3, 2]), np.array([0.5, 1.5, -0.5, 2.5])
    for have, want in zip(lax.sort_key_val(keys, values), ([1, 2, 3, 3], [1.5, 2.5, 0.5, -0.5]), strict=True):
        np.testing.assert_array_equal(have, want)
    np.testing.assert_array_equal(lax.sort((keys, values), num_keys=2)[1], [1.5, 2.5, -0.5, 0.5])
    values, indices = lax.top_k(np.array([[1, 5, 5, 0], [2, 2, 9, 9]], np.uint8), 3)
    np.testing.assert_array_equal(values, [[5, 5, 1], [9, 9, 2]])
    np.testing.assert_array_equal(indices, [[1, 2, 0], [2, 3, 0]])
    assert lax.top_k(X, 0)[0].shape == (3, 0)
    np.testing.assert_array_equal(lax.top_k(X, 1, axis=0)[0], X.max(0, keepdims=True))
    with pytest.raises(ShapeError, match="top_k"):
        lax.top_k(X, 5)
    with pytest.raises(ShapeError, match="keys"):
        lax.sort((keys, values), num_keys=3)


def test_products() -> None:
    a, b = np.ones((2, 3, 4), np.int8), np.ones((2, 4, 5), np.int8)
    out = lax.dot_general(a, b, (((2,), (1,)), ((0,), (0,))), preferred_element_type=np.int32)
    np.testing.assert_array_equal(out, np.full((2, 3, 5), 4))
    assert out.dtype == np.int32
    np.testing.assert_array_equal(lax.batch_matmul(a, b), a @ b)
    np.testing.assert_array_equal(lax.dot(X, X.T), X @ X.T)
    with pytest.raises(ShapeError, match="vectors and matrices"):
        lax.dot(a, b)
    with pytest.raises(ShapeError, match="paired"):
        lax.dot_general(a, b, (((2,), (1, 0)), ((), ())))


def test_linalg() -> None:
    a = X @ X.T + np.eye(3)
    np.testing.assert_allclose(lax.linalg.cholesky(a), np.linalg.cholesky(a))
    vectors, values = lax.linalg.eigh(a)
    np.testing.assert_allclose(vectors * values @ vectors.T, a, atol=1e-12)
    q, r = lax.linalg.qr(X, full_matrices=False)
    np.testing.assert_allclose(q @ r, X, atol=1e-12)
    np.testing.assert_allclose(lax.linalg.svd(X, compute_uv=False), np.linalg.svd(X)[1])
    assert [m.shape for m in lax.linalg.svd(X)] == [(3, 3), (3,), (4, 4)]
