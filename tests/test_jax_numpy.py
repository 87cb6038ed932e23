"""What `jax.numpy` adds to NumPy's functions: keywords, sizes said in advance, and what its arrays can do."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as jnp
from funcgrad import dtypes, jacfwd, jit, jvp, lax, linearize, nn, random, value_and_grad, vjp, vmap
from funcgrad._array import Array
from funcgrad.errors import IndexKindError, NotOfferedError
from funcgrad.flatten_util import ravel_pytree
from funcgrad.nn import layers
from funcgrad.numpy import at
from funcgrad.test_util import check_grads

A, B, X = np.array([3, 1, 2, 3]), np.array([3, 5, 1]), np.arange(4.0)

# What JAX gives (0.10, in 64 bits).
SIZED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "nonzero": (lambda a: jnp.nonzero(a > 1, size=5), (A,), [[0, 2, 3, 0, 0]]),
    "nonzero fill": (lambda a: jnp.nonzero(a > 1, size=5, fill_value=-1), (A,), [[0, 2, 3, -1, -1]]),
    "nonzero cut": (lambda a: jnp.nonzero(a > 1, size=2), (A,), [[0, 2]]),
    "nonzero 2d": (lambda a: jnp.nonzero(a, size=3, fill_value=(7, 8)), (np.eye(2),), [[0, 1, 7], [0, 1, 8]]),
    "flatnonzero": (lambda a: jnp.flatnonzero(a > 1, size=4, fill_value=9), (A,), [0, 2, 3, 9]),
    "argwhere": (lambda a: jnp.argwhere(a > 1, size=4, fill_value=9), (A,), [[0], [2], [3], [9]]),
    "where": (lambda a: jnp.where(a > 1, size=2), (A,), [[0, 2]]),
    "compress": (lambda a, x: jnp.compress(a > 1, x, size=4, fill_value=8.0), (A, X), [0.0, 2.0, 3.0, 8.0]),
    "compress axis": (lambda x: jnp.compress(np.array([0, 1, 1]), x, 1, size=1), (X.reshape(2, 2),), [[1.0], [3.0]]),
    "extract": (lambda a, x: jnp.extract(a > 1, x, size=4), (A, X), [0.0, 2.0, 3.0, 0.0]),
    "union1d": (lambda a, b: jnp.union1d(a, b, size=6), (A, B), [1, 2, 3, 5, 1, 1]),
    "setdiff1d": (lambda a, b: jnp.setdiff1d(a, b, size=4), (A, B), [2, 0, 0, 0]),
    "setdiff1d fill": (lambda a, b: jnp.setdiff1d(a, b, size=3, fill_value=-1), (A, B), [2, -1, -1]),
    "setdiff1d unique": (lambda a, b: jnp.setdiff1d(a, b, True, size=3), (A, B), [2, 0, 0]),
    "intersect1d": (lambda a, b: jnp.intersect1d(a, b, size=4), (A, B), [1, 3, 1, 1]),
    "intersect1d indices": (
        lambda a, b: jnp.intersect1d(a, b, size=4, return_indices=True), (A, B),
        ([1, 3, 1, 1], [1, 0, 4, 4], [2, 0, 3, 3]),
    ),
    "setxor1d": (lambda a, b: jnp.setxor1d(a, b, size=5), (A, B), [2, 5, 2, 2, 2]),
    "unique": (lambda a: jnp.unique(a, size=5, fill_value=7), (A,), [1, 2, 3, 7, 7]),
    "unique_all": (
        lambda a: tuple(jnp.unique_all(a, size=5)), (A,),
        ([1, 2, 3, 1, 1], [1, 2, 0, 1, 1], [2, 0, 1, 2], [1, 1, 2, 0, 0]),
    ),
    "unique_counts": (lambda a: jnp.unique_counts(a, size=4).counts, (A,), [1, 1, 2, 0]),
    "unique_inverse": (lambda a: jnp.unique_inverse(a, size=4).inverse_indices, (A,), [2, 0, 1, 2]),
    "unique_values": (lambda a: jnp.unique_values(a, size=2), (A,), [1, 2]),
    "repeat": (lambda a, r: jnp.repeat(a, r, total_repeat_length=6), (A, np.array([1, 2, 0, 1])), [3, 1, 1, 3, 3, 3]),
    "repeat number": (lambda a: jnp.repeat(a, 2, total_repeat_length=5), (A,), [3, 3, 1, 1, 2]),
    "delete": (lambda a, i: jnp.delete(a, i, assume_unique_indices=True), (A, np.array([0, -2])), [1, 3]),
    "bincount": (lambda a: jnp.bincount(a, length=5), (A,), [0, 1, 1, 2, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZED)
def test_sizes_that_are_said_in_advance(name: str) -> None:
    """On arrays, under `jit`, and under `vmap`, where no value is known."""
    fun, args, want = SIZED[name]
    for run in (fun, jit(fun, guards=False), lambda *xs: vmap(fun, out_axes=0)(*(x[None] for x in xs))):
        have = run(*args)
        leaves = have if isinstance(have, tuple) else [have]
        for h, w in zip(leaves, want if isinstance(have, tuple) else [want], strict=True):
            np.testing.assert_array_equal(np.reshape(h, np.shape(w)), w)


KEYWORDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "take fill": (lambda: jnp.take(X, [-1, -9, 9], mode="fill"), [3.0, np.nan, np.nan]),
    "take fill_value": (lambda: jnp.take(X, [9, 1], fill_value=-1.0), [-1.0, 1.0]),
    "take clip": (lambda: jnp.take(X, [-1, -9, 9], mode="clip"), [0.0, 0.0, 3.0]),
    "take wrap": (lambda: jnp.take(X, [-1, -9, 9], mode="wrap"), [3.0, 3.0, 1.0]),
    "take axis": (lambda: jnp.take(X.reshape(2, 2), [5, 0], axis=1, mode="fill"), [[np.nan, 0.0], [np.nan, 2.0]]),
    "take hints": (lambda: jnp.take(X, [0, 2], unique_indices=True, indices_are_sorted=True), [0.0, 2.0]),
    "take_along_axis": (lambda: jnp.take_along_axis(X, np.array([9, -1]), 0, mode="clip"), [3.0, 3.0]),
    "take_along_axis fill": (lambda: jnp.take_along_axis(X, np.array([9, -1]), 0, fill_value=5.0), [5.0, 3.0]),
    "put_along_axis": (
        lambda: jnp.put_along_axis(X, np.array([9, 0]), 7.0, 0, inplace=False, mode="drop"), [7.0, 1.0, 2.0, 3.0],
    ),
    "place": (lambda: jnp.place(X, X > 1, [8.0, 9.0], inplace=False), [0.0, 1.0, 8.0, 9.0]),
    "put": (lambda: jnp.put(X, [1], 9.0, inplace=False), [0.0, 9.0, 2.0, 3.0]),
    "fill_diagonal": (lambda: jnp.fill_diagonal(np.zeros((2, 2)), 1.0, inplace=False), np.eye(2)),
    "dot": (lambda: jnp.dot(A, A, precision="highest"), 23),
    "dot dtype": (lambda: jnp.dot(np.full(3, 90, np.int8), np.full(3, 9, np.int8), preferred_element_type=int), 2430),
    "einsum": (lambda: jnp.einsum("i,i", X, X, precision=None, preferred_element_type=np.float32), np.float32(14)),
    "einsum optimize": (lambda: jnp.einsum("ij,jk->ik", np.eye(2), np.eye(2), optimize="optimal"), np.eye(2)),
    "matmul": (lambda: jnp.matmul(np.eye(2), np.ones(2), precision=None), [1.0, 1.0]),
    "sum": (lambda: jnp.sum(np.full(3, 100, np.int8), promote_integers=False), np.int8(44)),
    "prod": (lambda: jnp.prod(np.full(3, 2, np.int8), promote_integers=False).dtype == np.int8, True),
    "polymul": (lambda: jnp.polymul([0.0, 1.0], [1.0, 2.0], trim_leading_zeros=False), [0.0, 1.0, 2.0]),
    "polydiv": (lambda: jnp.polydiv([1.0, 3.0, 2.0], [1.0, 1.0], trim_leading_zeros=False)[1], [0.0, 0.0, 0.0]),
    "roots": (lambda: jnp.roots(np.array([0.0, 1.0, -3.0, 2.0]), strip_zeros=False), [2.0, 1.0, np.nan]),
    "searchsorted": (lambda: jnp.searchsorted(X, 1.5, method="sort"), 2),
    "digitize": (lambda: jnp.digitize(X, [1.5], method="scan"), [0, 0, 1, 1]),
    "isin": (lambda: jnp.isin(A, B, method="sort"), [True, True, False, True]),
    "polyval": (lambda: jnp.polyval(np.array([1.0, 2.0]), 3.0, unroll=4), 5.0),
    "sort": (lambda: jnp.sort(A, descending=True), [3, 3, 2, 1]),
    "argsort": (lambda: jnp.argsort(A, descending=True, dtype=np.int32), [0, 3, 2, 1]),
    "clip": (lambda: jnp.clip(arr=A, min=2), [3, 2, 2, 3]),
    "argmax by position": (lambda: jnp.argmax(np.eye(2), 1, None, True), [[0], [1]]),
    "zeros_like by position": (lambda: jnp.zeros_like(X, int, (2,)), [0, 0]),
    "zeros_like, NumPy's order": (lambda: jnp.zeros_like(np.eye(2), int, "F").flags.f_contiguous, True),
    "matmul by name": (lambda: jnp.matmul(a=np.eye(2), b=np.ones(2)), [1.0, 1.0]),
    "where by name": (lambda: jnp.where(condition=X > 1, x=X, y=9.0), [9.0, 9.0, 2.0, 3.0]),
    "concatenate by name": (lambda: jnp.concatenate(arrays=[X[:1], X[3:]]), [0.0, 3.0]),
    "place by name": (lambda: jnp.place(arr=X, mask=X > 2, vals=[8.0], inplace=False), [0.0, 1.0, 2.0, 8.0]),
    "diff without ends": (lambda: jnp.diff(X, prepend=None, append=None), [1.0, 1.0, 1.0]),
    "std without correction": (lambda: jnp.std(X[:2], correction=None, mean=None), 0.5),
    "einsum by another path": (lambda: jnp.einsum("i,i,i", X, X, X, optimize="auto"), 36.0),
    "sum by position": (lambda: jnp.sum(X, 0, None, None, False, 1.0, X > 1, True), 6.0),
    "stack by position": (lambda: jnp.stack([X, X], 0, None, np.float32).dtype == np.float32, True),
    "unwrap by position": (lambda: jnp.unwrap(np.array([0, 5, 9]), None, -1, 4), [0, 1, 1]),
    "zeros": (lambda: jnp.zeros(2, device=None, out_sharding=None), [0.0, 0.0]),
    "array": (lambda: jnp.array([[1, 2]], float, copy=True, ndmin=3, device=None), [[[1.0, 2.0]]]),
    "mask_indices": (lambda: jnp.mask_indices(2, jnp.triu, size=4), ([0, 0, 1, 0], [0, 1, 1, 0])),
    "dstack": (lambda: jnp.dstack([A, A], dtype=float).shape, (1, 4, 2)),
    "interp": (lambda: jnp.interp([-1.0, 9.0], X, X * 2, left=-1.0, right=-2.0), [-1.0, -2.0]),
    "interp period": (lambda: jnp.interp([4.5], X, X, period=4.0), [0.5]),
    "roll": (lambda: jnp.roll(np.eye(2), (1, 0), (0, 1)), [[0.0, 1.0], [1.0, 0.0]]),
    "insert": (lambda: jnp.insert(A, 1, 9), [3, 9, 1, 2, 3]),
    "unstack": (lambda: jnp.unstack(np.eye(2))[1], [0.0, 1.0]),
    "permute_dims": (lambda: jnp.permute_dims(np.ones((2, 3)), (1, 0)).shape, (3, 2)),
    "astype": (lambda: jnp.astype(X, int), [0, 1, 2, 3]),
    "vectorize": (lambda: jnp.vectorize(lambda n, x: n * x, excluded=(0,))(2, X), 2 * X),
    "vectorize signature": (lambda: jnp.vectorize(jnp.dot, signature="(n),(n)->()")(np.eye(4), X), X),
    "select": (lambda: jnp.select([X > 2, X > 0], [X, -X], 9.0), [9.0, -1.0, -2.0, 3.0]),
    "piecewise": (lambda: jnp.piecewise(X, [X < 2], [lambda x: -x, 5.0]), [0.0, -1.0, 5.0, 5.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords(name: str) -> None:
    run, want = KEYWORDS[name]
    np.testing.assert_allclose(run(), want, rtol=1e-15)


def test_what_has_no_meaning_here_is_refused_by_name() -> None:
    for refused in (lambda: jnp.zeros(3, out_sharding="x"), lambda: jnp.einsum("i,i", X, X, _dot_general=jnp.dot)):
        with pytest.raises(NotImplementedError, match=r"zeros: out_sharding|einsum: .*_dot_general"):
            refused()
    with pytest.raises(ValueError, match=r"arguments \[1\] are None, and have no core dimensions"):
        jnp.vectorize(jnp.dot, signature="(n),(n)->()")(X, None)
    with pytest.raises(ValueError, match="one_hot: the number of classes must not be negative, got -1"):
        nn.one_hot(np.array([0]), -1)
    for index in (1.0, "a", np.array([0.5]), (0, 0.0)):  # NumPy raises IndexError, and JAX TypeError
        for f in (lambda x, i=index: x[i], lambda x, i=index: x.at[i].set(0.0)):
            for run in (f, jit(f)):
                with pytest.raises(IndexKindError, match="integer"):
                    run(jnp.ones((2, 2)))
    for module in (jnp, dtypes):
        with pytest.raises(NotOfferedError, match=r"bfloat16 is not offered: dtypes are NumPy's"):
            module.bfloat16  # noqa: B018
        assert not hasattr(module, "float8_e5m2") and not hasattr(module, "teleport")
    with pytest.raises(ValueError, match="poisson: the dtype of samples is one of integers, got float32"):
        random.poisson(random.key(0), 2.0, (2,), np.float32)
    with pytest.raises(ValueError, match="where takes a condition alone, or"):
        jnp.where(X > 1, None, 1.0)
    for name in ("searchsorted", "digitize", "isin"):
        with pytest.raises(ValueError, match=f"{name}: method must be one of .*, got 'fast'"):
            getattr(jnp, name)(X, X, method="fast")
    with pytest.raises(ValueError, match="take: mode 'nearest'"):
        jnp.take(X, [0], mode="nearest")
    assert {"precision", "preferred_element_type", "out_sharding"} <= set(inspect.signature(jnp.dot).parameters)


def test_derivatives_where_sizes_are_said() -> None:
    x, mask = np.array([0.3, -0.2, 1.5, 0.7]), np.array([1, 0, 1, 1])
    check_grads(lambda x: jnp.compress(mask, x, size=4, fill_value=2.0) ** 2, (x,), order=2)
    check_grads(lambda x: jnp.take(x, [1, 9, 1], mode="fill", fill_value=1.0) ** 2, (x,), order=2)
    check_grads(lambda x: jnp.repeat(x, np.array([0, 2, 1, 1]), total_repeat_length=5) ** 2, (x,), order=2)
    check_grads(lambda x: jnp.unique(x, size=5) ** 2, (x,), order=2)


# ------------------------------------------------------------------------------------------- arrays of this namespace


def test_results_are_arrays_with_what_jax_gives_them() -> None:
    """Of `funcgrad.numpy`, `lax` and `nn` always; of transformations, where an argument is one."""
    x = jnp.arange(4.0)
    results = [
        x, jnp.sum(X), jnp.sin(1.0), x + 1, x[1:], jnp.linalg.norm(X), jnp.fft.fft(X), lax.add(X, X), lax.add(1.0, 2.0),
        lax.fori_loop(0, 3, lambda i, c: c + i, 0), lax.cond(True, lambda: 1.0, lambda: 2.0), nn.relu(X),
        lax.scan(lambda c, v: (c + v, c), 0.0, X)[0], jit(lambda v: v * 2)(x), jit(lambda v: v.sum())(x),
        value_and_grad(lambda v: (v**2).sum())(x)[1], vmap(jnp.sin)(x), jvp(jnp.sin, (x,), (x,))[1],
        vjp(jnp.sin, x)[1](x)[0], linearize(jnp.sin, x)[1](x), jacfwd(jnp.sin)(x), jnp.eye(2), jnp.meshgrid(X, X)[0],
        jnp.nonzero(X)[0], jnp.asarray(X), jnp.zeros(2).at[0].set(1.0),
    ]  # fmt: skip
    for i, r in enumerate(results):
        assert issubclass(type(r), Array), i
        assert r.block_until_ready() is r and r.at[...].get().shape == r.shape and not r.is_deleted()
        assert [d.platform for d in r.devices()] == ["cpu"] and r.device == "cpu" and r.sharding.device_set
        assert r.aval.shape == r.shape and r.aval.dtype == r.dtype and r.weak_type == r.aval.weak
    f = jit(lambda v: v * 2)
    for _ in range(3):
        assert type(f(X)) is np.ndarray and type(f(x)) is Array and type(f({"a": x}["a"])) is Array
    assert type(np.sin(X)) is np.ndarray and type(np.asarray(x)) is np.ndarray


def test_what_stands_for_a_python_scalar_gives_way() -> None:
    """`lax` has no bare float, and yet float32 stays what it is, as it does under `jit`."""
    single = np.ones(2, np.float32)
    fun = lambda x: lax.cond(True, lambda: 0.5, lambda: 1.5) * x  # noqa: E731
    assert fun(single).dtype == jit(fun)(single).dtype == np.float32
    assert np.concatenate([single, single * lax.cond(True, lambda: 2, lambda: 3)]).dtype == np.float32
    weak = lax.cond(True, lambda: 2, lambda: 3)
    assert (weak.shape, weak.dtype, weak.reshape(1).shape) == ((), np.int64, (1,)) and list(range(weak)) == [0, 1]


def test_arrays_behave() -> None:
    x = jnp.arange(4.0)
    assert isinstance(x, np.ndarray) and isinstance(X, Array) and isinstance(np.float64(1), Array)
    assert not isinstance(1.0, Array) and not isinstance([1.0], Array)
    assert repr(x) == "array([0., 1., 2., 3.])" and f"{jnp.sum(x):.1f}" == "6.0" and round(jnp.sum(x)) == 6
    assert type(pickle.loads(pickle.dumps(x))) is Array
    assert type(pickle.loads(pickle.dumps(nn.relu))(x)) is Array
    assert x.nonzero(size=2)[0].tolist() == [1, 2] and x.take(9, mode="fill").shape == ()
    assert x.repeat(2, total_repeat_length=3).tolist() == [0.0, 0.0, 1.0]
    assert x.clip(1.0, 2.0).tolist() == x.clip(min=1.0, max=2.0).tolist() and x.dot(x, precision=None) == 14
    assert vmap(lambda i: x.take(i))(np.array([3, 0])).tolist() == [3.0, 0.0]
    np.testing.assert_array_equal(jit(lambda v: x.dot(v) + x @ v)(X), 28.0)


METHODS: dict[str, Callable[[Any], Any]] = {
    "std": lambda x: x.std(correction=1, axis=1),
    "sum": lambda x: x.astype(np.int8).sum(promote_integers=False),
    "argmax": lambda x: x.argmax(1, None, True),
    "ptp": lambda x: x.ptp(0),
    "nonzero": lambda x: x.nonzero(size=3, fill_value=-1),
    "compress": lambda x: x.compress(np.array([True, False]), 0, size=3),
    "take": lambda x: x.take(np.array([0, 99]), mode="fill"),
    "take fill": lambda x: x.take(1, fill_value=3),
    "dot": lambda x: x.dot(b=np.ones(2), precision="high", preferred_element_type=np.float32),
    "repeat": lambda x: x.repeat(2, total_repeat_length=3),
    "argsort": lambda x: x.argsort(descending=True),
    "argwhere of a number": lambda x: jnp.argwhere(x[0, 1]),
    "cumulative_sum of a number": lambda x: jnp.cumulative_sum(x[0, 1]),
    "pad by axis": lambda x: jnp.pad(x, {0: 1, -1: (0, 2)}),
    "insert in one place": lambda x: jnp.insert(x, np.array([1]), np.arange(3.0)),
    "quantile of integers": lambda x: jnp.quantile(x.astype(np.int32), 1),
    "where is None": lambda x: (x.sum(where=None), x.max(where=None), x.mean(0, where=None), x.any(where=None)),
    "where is None, functions": lambda x: (jnp.sum(x, where=None), jnp.std(x, where=None), jnp.add(x, x, where=None)),
    "where is None, by position": lambda x: jnp.max(x, None, None, False, None, None),
    "vectorize of None": lambda x: jnp.vectorize(lambda a, b: a if b is None else b)(x, None),
    "intersect1d of two dtypes": lambda x: jnp.intersect1d(x.astype(np.int32), X[1:]),
    "compared to None": lambda x: (x == None, x != None),  # noqa: E711
    "unwrap of integers": lambda x: jnp.unwrap(x.astype(np.int32) * 5, period=3),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_the_keywords_of_jax(name: str) -> None:
    """Of traced arrays too, with the same values and dtypes."""
    have, want = jit(METHODS[name])(X.reshape(2, 2)), METHODS[name](jnp.asarray(X.reshape(2, 2)))
    assert isinstance(want, tuple) or type(want) is Array
    for h, w in zip(have, want, strict=True) if isinstance(want, tuple) else [(have, want)]:
        np.testing.assert_array_equal(h, w)
        assert h.dtype == w.dtype


def test_functions_that_are_handed_over_get_what_they_are_made_of() -> None:
    """Eager loops and branches of `lax` hand on an `Array` where they are given one."""
    x = jnp.zeros(3)
    results = [
        lax.fori_loop(0, 3, lambda i, a: a.at[i].set(i + 1.0), x),
        lax.while_loop(lambda a: a.at[2].get() < 3.0, lambda a: a.at[:].add(jnp.arange(1.0, 4.0)), x),
        lax.cond(True, lambda a: a.at[:].add(jnp.arange(1.0, 4.0)), lambda a: a, x),
        lax.switch(0, [lambda a: a.at[:].add(jnp.arange(1.0, 4.0))], x),
        lax.scan(lambda a, i: (a.at[i].set(i + 1.0), None), x, jnp.arange(3))[0],
        jit(lambda: jnp.arange(1.0, 4.0))(),
        ravel_pytree({"a": jnp.arange(1.0, 4.0)})[0],
        jnp.vectorize(lambda v: v + 1.0)(jnp.arange(3.0)),
    ]
    for i, r in enumerate(results):
        assert type(r) is Array and r.tolist() == [1.0, 2.0, 3.0], i
    assert x.tolist() == [0.0, 0.0, 0.0]
    plain = lax.fori_loop(0, 3, lambda i, a: a + (type(a) is np.ndarray), np.zeros(3))
    assert plain.tolist() == [3.0, 3.0, 3.0]


def test_updates_where_a_mask_holds_whose_value_is_not_known() -> None:
    rows = np.array([[0.5, -1.0], [-2.0, 3.0]])
    for name, want in (
        ("set", 2.0),
        ("add", rows + 2),
        ("multiply", rows * 2),
        ("divide", rows / 2),
        ("min", rows),
        ("max", 2.0),
    ):
        fun: Callable[..., Any] = lambda r, name=name: getattr(at(r)[r < 0], name)(2.0)  # noqa: E731
        expected = np.where(rows < 0, want, rows)
        np.testing.assert_array_equal(vmap(fun)(rows), expected)
        np.testing.assert_array_equal(jit(fun, guards=False)(rows), expected)


def test_unique_rows_of_a_size(rng: np.random.Generator) -> None:
    for axis in (0, 1, None):
        x = rng.integers(0, 3, size=(4, 3)).astype(float)
        if axis is None:
            x[0, 0] = x[1, 1] = np.nan
        want = np.unique(x, True, True, True, axis=axis)
        k, along = want[1].size, axis or 0
        got = jit(lambda x: jnp.unique(x, True, True, True, axis=axis, size=k + 1))(x)  # noqa: B023
        np.testing.assert_array_equal(np.take(got[0], range(k), along), want[0])
        np.testing.assert_array_equal(got[2], want[2])
        for i in (1, 3):
            np.testing.assert_array_equal(got[i][:k], want[i])


@pytest.mark.parametrize(
    ("fun", "batch"),
    [
        (lambda x, t: jnp.roll(x, t), [1, 5]),
        (lambda x, t: jnp.roll(x, t, axis=1), [2, -1]),
        (lambda x, t: jnp.take(x, t, axis=0), [[0, 3], [2, -1]]),
        (lambda x, t: jnp.repeat(x, t, axis=0, total_repeat_length=4), [[1, 2, 1, 0], [2, 0, 0, 2]]),
        (lambda x, t: jnp.compress(t, x, axis=0, size=2), [[1, 0, 1, 0], [0, 0, 1, 1]]),
        (lambda x, t: jnp.delete(x, t, axis=0, assume_unique_indices=True), [[0, 1], [1, 3]]),
        (lambda x, t: layers.embedding(4, 3).apply({"table": x}, t), [[0, 3], [2, 1]]),
    ],
)
def test_traced_places_in_arrays_that_are_not(fun: Any, batch: Any) -> None:
    x, places = np.arange(12.0).reshape(4, 3), np.array(batch)
    each = np.stack([fun(x, t) for t in places])
    np.testing.assert_array_equal(vmap(lambda t: fun(x, t))(places), each)
    np.testing.assert_array_equal(vmap(fun, in_axes=(None, 0))(x, places), each)
