"""`lax`'s functions of shapes, places and programs: what they compute, clamp, accept and refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, lax, vmap
from funcgrad.errors import ShapeError
from funcgrad.test_util import check_grads

X = np.random.default_rng(0).standard_normal((3, 4))
Y = np.random.default_rng(1).standard_normal((2, 2))


def clamped(i: int, n: int, size: int, negative: bool = True) -> int:
    return min(max(i + n if negative and i < 0 else i, 0), n - size)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.uint32])
@pytest.mark.parametrize("negative", [True, False])
def test_places_of_every_integer_dtype(dtype: Any, negative: bool) -> None:
    long = np.arange(300.0)
    for place in (0, 5, 100, 127, *([-1, -5, -128] if np.dtype(dtype).kind == "i" else [200, 255])):
        i = np.array(place, dtype)
        start = clamped(place, 300, 90, negative)
        written = long.copy()
        written[start : start + 90] = 7
        for run in (lambda f: f, jit, one_of_a_batch):
            cut = run(lambda i: lax.dynamic_slice(long, (i,), (90,), allow_negative_indices=negative))
            np.testing.assert_array_equal(cut(i), long[start : start + 90])
            put = run(
                lambda i: lax.dynamic_update_slice(long, np.full(90, 7.0), (i,), allow_negative_indices=(negative,))
            )
            np.testing.assert_array_equal(put(i), written)


def test_batches_of_slices_are_loops() -> None:
    xs, us, i, j = np.stack([X, -X]), np.stack([Y, 2 * Y]), np.array([0, 2]), np.array([-1, 1])
    for where in itertools.product((0, None), repeat=4):
        if where == (None,) * 4:
            continue
        given = [a if w == 0 else a[0] for a, w in zip((xs, us, i, j), where, strict=True)]
        rows = [[a[k] if w == 0 else a for a, w in zip(given, where, strict=True)] for k in range(2)]

        def cut(x: Any, u: Any, i: Any, j: Any) -> Any:
            return lax.dynamic_slice(x, (i, j), (2, 2)) * u

        def put(x: Any, u: Any, i: Any, j: Any) -> Any:
            return lax.dynamic_update_slice(x, u, [i, j])

        for f in (cut, put):
            np.testing.assert_array_equal(vmap(f, where)(*given), [f(*row) for row in rows])


def test_places_that_are_no_places() -> None:
    for wrong in (1.5, np.array([1]), True):
        with pytest.raises(TypeError, match="integer scalars"):
            lax.dynamic_slice(X, (wrong, 0), (1, 1))
    with pytest.raises(ShapeError, match="needs 2"):
        lax.dynamic_update_slice(X, Y, (0, 0, 0))
    assert (
        lax.dynamic_index_in_dim(X, np.array(-1), 1, False, allow_negative_indices=False).tolist() == X[:, 0].tolist()
    )
    np.testing.assert_array_equal(lax.dynamic_update_index_in_dim(np.zeros(3), 5.0, -1, 0), [0, 0, 5])


def one_of_a_batch(f: Any) -> Any:
    return lambda i: vmap(f)(i[None])[0]


CONFIGS = [(0, 0, 0), (2, 1, 0), (-1, 2, 1), (1, -2, 2), (-2, 3, 0), (-1, -1, 1), (0, 3, 3)]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_padding(n: int) -> None:
    x = np.arange(1.0, n + 1)
    for low, high, between in CONFIGS:
        spread = np.full(max((n - 1) * (between + 1) + 1, 0) if n else 0, 9.0)
        spread[:: between + 1] = x
        whole = np.concatenate([np.full(max(low, 0), 9.0), spread, np.full(max(high, 0), 9.0)])
        start, stop = max(-low, 0), len(whole) - max(-high, 0)
        config = [(low, high, between)]
        if start > stop:
            with pytest.raises(ShapeError, match="more than there is"):
                lax.pad(x, 9.0, config)
            continue
        np.testing.assert_array_equal(lax.pad(x, 9.0, config), whole[start:stop])
        np.testing.assert_array_equal(jit(lambda x, v, c=config: lax.pad(x, v, c))(x, 9.0), whole[start:stop])
        check_grads(lambda x, v, c=config: lax.pad(x, v, c) ** 2, (x, 9.0), order=2)
        found = vmap(lambda v, c=config: lax.pad(x, v, c))(np.array([9.0, 9.0]))
        np.testing.assert_array_equal(found, [whole[start:stop]] * 2)


def test_shapes() -> None:
    np.testing.assert_array_equal(lax.tile(X, (2, 1)), np.tile(X, (2, 1)))
    np.testing.assert_array_equal(lax.stack([X, X], 2), np.stack([X, X], 2))
    assert lax.stack([1.0, 2.0]).tolist() == [1, 2]
    np.testing.assert_array_equal(np.stack(lax.unstack(X, 1)), X.T)
    assert lax.unstack(np.ones((2, 0)), 1) == ()
    assert lax.broadcast_shapes((2, 1), (3,)) == (2, 3)
    assert lax.broadcast_to_rank(X, 4).shape == (1, 1, 3, 4) and lax.broadcast_to_rank(X, 1).shape == (3, 4)
    np.testing.assert_array_equal(lax.broadcast_like(X[0], X), [X[0]] * 3)
    assert [lax.dtype(x).name for x in (1.0, np.int8, X, "f4")] == ["float64", "int8", "float64", "float32"]
    assert lax.shape_as_value((2, 3)).tolist() == [2, 3]
    assert lax.empty((2,), np.int8).tolist() == [0, 0]
    assert lax.full_like(X, 2, dtype=np.int8, shape=(2,)).dtype == np.int8
    assert lax.reshape(X, 12).shape == (12,)
    for wrong in (lambda: lax.tile(X, (2,)), lambda: lax.collapse(X, 2, 1)):
        with pytest.raises(ShapeError):
            wrong()
    with pytest.raises(NotImplementedError, match="one device"):
        lax.full((2,), 0.0, sharding="somewhere")


def test_programs_as_they_are() -> None:
    barrier = lax.optimization_barrier({"a": X, "b": 1.0})
    np.testing.assert_array_equal(barrier["a"], X)
    assert barrier["b"].dtype == float
    assert grad(lambda x: lax.optimization_barrier(x) ** 2)(3.0) == 6.0
    assert lax.platform_dependent(2.0, cpu=lambda x: x + 1, default=lambda x: x) == 3.0
    assert grad(lambda x: lax.platform_dependent(x, tpu=lambda x: x, default=lambda x: x * x))(3.0) == 6.0
    with pytest.raises(NotImplementedError, match="not for cpu"):
        lax.platform_dependent(2.0, cuda=lambda x: x)
    assert lax.composite(lambda x, *, a: x * a, "my.scale", version=1)(2.0, a=3.0) == 6.0
    assert lax.stage(1.0).shape == () and lax.pcast(X, "i", to="varying").shape == X.shape
    lax.dce_sink(X, prevent_mlir_dce=True)
    lax.after_all(lax.create_token(), lax.create_token(0))


REFUSED = "rng_uniform ragged_all_to_all scaled_dot psend precv".split()


def test_what_is_not_offered_says_what_is() -> None:
    for name in (*REFUSED, "with_sharding_constraint"):
        with pytest.raises(NotImplementedError, match=f"lax.{name} is not offered.*use"):
            getattr(lax, name)(X)


BITS: dict[str, tuple[Any, Any, int, Any]] = {  # those of XLA's generator from one state
    "odd": ((3,), np.uint32, 0, [157446805, 4182913555, 3430527567]),
    "rows": ((2, 3), np.uint32, 1, [[157446805, 3430527567, 3686367607], [4182913555, 4199582099, 3925992338]]),
    "columns": ((3, 2), np.uint8, 1, [[149, 19], [79, 147], [119, 146]]),
    "wide": (2, np.uint64, 0, [17965476920877544085, 18037067775502561871]),
}


@pytest.mark.parametrize("name", BITS)
def test_bits_of_the_generator(name: str) -> None:
    shape, dtype, count, want = BITS[name]
    state = np.array([0x123456789, 2**64 - 2], np.uint64)
    draw = lambda state: lax.rng_bit_generator(state, shape, dtype)  # noqa: E731
    after, bits = draw(state)
    assert after.tolist() == [0x123456789, count] and bits.tolist() == want and bits.dtype == dtype
    after, bits = jit(draw)(state.view(np.uint32))
    assert after.view(np.uint64).tolist() == [0x123456789, count] and bits.tolist() == want
    assert vmap(draw)(np.stack([state, state + np.array(1, np.uint64)]))[1][0].tolist() == want


def test_what_the_generator_refuses() -> None:
    state = np.ones(2, np.uint64)
    for wrong in ((np.ones(2, np.uint32), 3), (state, 3, np.int32), (np.ones(3, np.uint64), 3)):
        with pytest.raises(TypeError, match="rng_bit_generator"):
            lax.rng_bit_generator(*wrong)
    with pytest.raises(ValueError, match="not negative"):
        lax.rng_bit_generator(state, (-1,))
    with pytest.raises(NotImplementedError, match="RNG_THREE_FRY"):
        lax.rng_bit_generator(state, 3, algorithm=lax.RandomAlgorithm.RNG_PHILOX)


def test_precisions_are_accepted() -> None:
    a = np.ones((2, 2), np.float32)
    for precision in (None, "highest", lax.Precision.HIGH, ("high", "default"), lax.DotAlgorithmPreset.F32_F32_F32,
                      lax.DotAlgorithm(np.float32, np.float32, np.float32)):  # fmt: skip
        assert lax.dot(a, a, precision=precision).dtype == np.float32
    assert lax.Precision("bfloat16_3x") is lax.Precision.HIGH and lax.Precision(None) is lax.Precision.DEFAULT
    with pytest.raises(ValueError, match="exact"):
        lax.Precision("exact")
    conv = lambda a, b, **given: lax.conv(a[None], b[None], (1,), "SAME", **given)  # noqa: E731
    for product in (lax.dot, conv):
        for wrong in ("exact", 3, ("high", "exact")):
            with pytest.raises(ValueError, match="precision must be"):
                product(a, a, precision=wrong)


def test_older_ways_to_call_cond() -> None:
    for p in (True, False):
        want = 2.0 if p else -3.0
        assert lax.cond(p, 1.0, lambda x: x + 1, 3.0, lambda x: -x) == want
        assert jit(lambda p: lax.cond(p, 1.0, lambda x: x + 1, 3.0, lambda x: -x))(p) == want
        assert lax.cond(p, lambda x: x, lambda x: -x, operand=3.0) == (3.0 if p else -3.0)
    assert lax.cond(True, lambda x: x is None, lambda x: False, operand=None)
    assert lax.switch(1, [lambda x: x, lambda x: -x], operand=2.0) == -2.0
    with pytest.raises(TypeError, match="not both"):
        lax.cond(True, lambda x: x, lambda x: x, 1.0, operand=1.0)
    assert lax.scan(lambda c, x: (c + x, c), 0.0, np.arange(3.0), unroll=2, _split_transpose=True)[0] == 3.0


def test_no_elements_have_the_neutral_extreme_value() -> None:
    assert lax.reduce_max(np.zeros((2, 0)), (1,)).tolist() == [-np.inf] * 2
    assert lax.reduce_min(np.zeros((0,), np.int8), (0,)) == 127
    assert lax.reduce_max(np.zeros((0, 2), bool), (0,)).tolist() == [False, False]
    with pytest.raises(TypeError, match="integer dtype"):
        lax.argmax(X, 0, float)


def test_approximate_extremes_are_exact() -> None:
    values, indices = lax.approx_max_k(X, 2, recall_target=0.5)
    np.testing.assert_array_equal(values, -np.sort(-X, 1)[:, :2])
    np.testing.assert_array_equal(np.take_along_axis(X, indices, 1), values)
    values, indices = lax.approx_min_k(X, 2, reduction_dimension=0, aggregate_to_topk=False)
    np.testing.assert_array_equal(values, np.sort(X, 0)[:2])
    check_grads(lambda x: lax.approx_min_k(x, 2)[0], (X,), order=1)


def test_ragged_products() -> None:
    rng = np.random.default_rng(2)
    a, b, sizes = rng.standard_normal((6, 3)), rng.standard_normal((3, 3, 2)), np.array([2, 0, 3])
    want = np.concatenate([a[:2] @ b[0], a[2:5] @ b[2], np.zeros((1, 2))])
    np.testing.assert_allclose(lax.ragged_dot(a, b, sizes), want)
    np.testing.assert_allclose(jit(lax.ragged_dot)(a, b, sizes), want)
    parts = [lax.ragged_dot(a, b[i : i + 1], sizes, group_offset=np.array([i])) for i in range(3)]
    np.testing.assert_allclose(sum(parts), want)
    check_grads(lambda a, b: lax.ragged_dot(a, b, sizes), (a, b), order=1)
    assert lax.ragged_dot(a, b, sizes, preferred_element_type=np.float32).dtype == np.float32
    for wrong in ((a, b[0], sizes), (a, b, sizes[:2]), (a[:, :2], b, sizes)):
        with pytest.raises(ShapeError, match="ragged_dot"):
            lax.ragged_dot(*wrong)


RAGGED: dict[str, tuple[Any, ...]] = {  # shapes, group sizes, dimension numbers, and each group's product
    "free": ((5, 3), (2, 3, 4), [2, 2], (((1,), (1,)), ((), ())), 0, (0,), "mk,kn->mn"),
    "free, of a batch": ((2, 5, 3), (3, 2, 3, 4), [1, 3, 1], (((2,), (2,)), ((0,), (1,))), 1, (0,), "bmk,bkn->bmn"),
    "contracted": ((5, 6), (6, 4), [1, 3, 1], (((1,), (0,)), ((), ())), 1, (), "mk,kn->mn"),
    "contracted, of two": ((3, 6), (6, 3, 4), [2, 4], (((0, 1), (1, 0)), ((), ())), 1, (), "mk,kmn->n"),
}


@pytest.mark.parametrize("name", RAGGED)
def test_ragged_products_of_any_axes(name: str) -> None:
    left, right, counts, numbers, axis, grouped, path = RAGGED[name]
    rng = np.random.default_rng(4)
    a, b, sizes = rng.standard_normal(left), rng.standard_normal(right), np.array(counts)
    ends = np.cumsum(sizes)
    place = np.arange(left[axis]).reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    parts = [
        np.einsum(path, np.where((end - n <= place) & (place < end), a, 0.0), b[i] if grouped else b)
        for i, (n, end) in enumerate(zip(sizes, ends, strict=True))
    ]
    full = lax.RaggedDotDimensionNumbers(numbers, (axis,), grouped)
    product = lambda a, b, sizes: lax.ragged_dot_general(a, b, sizes, full)  # noqa: E731
    np.testing.assert_allclose(product(a, b, sizes), sum(parts) if grouped else np.stack(parts))
    np.testing.assert_allclose(jit(product)(a, b, sizes), product(a, b, sizes))
    check_grads(lambda a, b: product(a, b, sizes), (a, b), order=1)
    for wrong in (full._replace(lhs_ragged_dimensions=(9,)), full._replace(rhs_group_dimensions=(0, 1))):
        with pytest.raises(ShapeError, match="ragged_dot_general"):
            lax.ragged_dot_general(a, b, sizes, wrong)


def test_group_sizes_for_each_outer_index() -> None:
    rng = np.random.default_rng(5)
    a, b, sizes = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 2, 3)), np.array([[1, 2], [4, 0]])
    numbers = lax.RaggedDotDimensionNumbers((((2,), (2,)), ((0,), (1,))), (1,), (0,))
    want = [[a[0, 0] @ b[0, 0], a[0, 1] @ b[1, 0], a[0, 2] @ b[1, 0], 0.0], list(a[1] @ b[0, 1])]
    np.testing.assert_allclose(lax.ragged_dot_general(a, b, sizes, numbers), want)
    with pytest.raises(ShapeError, match="group sizes"):
        lax.ragged_dot_general(a, b, np.ones((3, 2), int), numbers)
    batch = numbers._replace(lhs_ragged_dimensions=(0,), rhs_group_dimensions=())
    np.testing.assert_allclose(
        lax.ragged_dot_general(a, b, np.array([1, 1]), batch), lax.dot_general(a, b, numbers.dot_dimension_numbers)
    )


def test_preferred_dtypes_do_not_round_operands() -> None:
    a = np.array([[0.75, 0.75]])
    assert lax.dot(a, a.T, preferred_element_type=np.int32).tolist() == [[1]]
    assert lax.conv(a[None], a[None], (1,), "VALID", preferred_element_type=np.int32).ravel().tolist() == [1]


def test_products() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((5, 2, 6, 3))
    for contract, batch, path in (
        (((3,), (0,)), ((0,), (1,)), "abcd,daef->abcef"),
        (((3, 1), (0, 3)), ((0,), (1,)), "abcd,daeb->ace"),
        (((), ()), ((0, 1), (1, 3)), "abcd,eafb->abcdef"),
        (((-1,), (0,)), ((), ()), "abcd,defg->abcefg"),
    ):
        np.testing.assert_allclose(lax.dot_general(a, b, (contract, batch)), np.einsum(path, a, b))
        np.testing.assert_allclose(lax.dot(a, b, dimension_numbers=(contract, batch)), np.einsum(path, a, b))
    eight = np.full((2, 2), 100, np.int8)
    assert lax.dot(eight, eight).dtype == np.int8
    np.testing.assert_array_equal(lax.dot(eight, eight, preferred_element_type=np.int32), [[20000] * 2] * 2)
    with pytest.raises(ShapeError, match="twice"):
        lax.dot_general(a, b, (((3,), (0,)), ((3,), (1,))))
    with pytest.raises(ShapeError, match="stacks"):
        lax.batch_matmul(X, a)
