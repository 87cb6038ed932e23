"""`x.at[index].set(v)` and its kin: modes for what is out of bounds, duplicates, derivatives, batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad import grad, make_ir, vmap
from funcgrad import jit as typed_jit
from funcgrad.numpy import at as typed_at
from funcgrad.test_util import check_grads

at: Any = typed_at
jit: Any = typed_jit

X = np.arange(12.0).reshape(3, 4) / 7 + 0.5
MASK = X > 1.2

INDICES: dict[str, Any] = {
    "integer": 1,
    "negative": -1,
    "pair": (2, -3),
    "slice": slice(1, 3),
    "backwards": (slice(None, None, -2), slice(3, 0, -1)),
    "none": (None, 1),
    "ellipsis": (..., 2),
    "all": (...,),
    "mask": MASK,
    "row mask": MASK[:, 0],
    "list": [0, 2],
    "twice": [0, 0, 2],
    "joint": (np.array([0, 1, 1]), np.array([3, 0, 0])),
    "outer": (np.array([[0], [2]]), np.array([1, 3])),
    "apart": (np.array([0, 2]), None, np.array([1, 1])),
    "slice and array": (slice(0, 2), np.array([3, 3, 1])),
    "array and slice": (np.array([2, 0]), slice(None, None, 3)),
    "0-d": np.array(2),
    "empty": np.array([], int),
    "small integers": np.array([0, 2], np.uint8),
    "true": True,
    "false": False,
}

UFUNCS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "mul": np.multiply, "divide": np.true_divide,
    "power": np.power, "min": np.minimum, "max": np.maximum,
}  # fmt: skip


def wanted(name: str, x: np.ndarray, index: Any, values: Any) -> np.ndarray:
    """What NumPy's own writing makes of a copy."""
    out = x.copy()
    if name == "set":
        out[index] = values
    else:
        UFUNCS[name].at(out, index, values)
    return out


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_every_index_and_every_update(index: Any) -> None:
    values = np.broadcast_to(1.5 + np.arange(X[index].size).reshape(X[index].shape) / 9, X[index].shape)
    np.testing.assert_array_equal(at(X)[index].get(), X[index])
    np.testing.assert_array_equal(at(X)[index].get(mode="fill"), X[index])
    for name in (*UFUNCS, "set"):
        rtol = 1e-14 if name == "power" else 1e-15  # of repeated indices: the power of a power, or of a product
        for mode in (None, "clip", "drop"):
            for v in (values, 2.0):
                update: Any = lambda x, v, name=name, mode=mode: getattr(at(x)[index], name)(v, mode=mode)  # noqa: E731
                want = wanted(name, X, index, v)
                np.testing.assert_allclose(update(X, v), want, rtol=rtol, err_msg=f"{name} {mode}")
        np.testing.assert_allclose(jit(update)(X, values), wanted(name, X, index, values), rtol=rtol)
    check_grads(lambda x, v: at(x)[index].multiply(v, mode="drop"), (X, values), order=1)


def test_out_of_bounds() -> None:
    """Without a mode NumPy's error; with one, what JAX gives for the same."""
    x = np.arange(4.0)
    far = np.array([0, 10, -1, -9])
    for write in (lambda: at(x)[10].set(1.0), lambda: at(x)[far].get(), lambda: fnp.array(x).at[far].add(1.0)):
        with pytest.raises(IndexError):
            write()
    cases: list[tuple[Any, Any]] = [
        (at(x)[10].get(mode="fill"), np.nan),
        (at(x)[10].get(mode="clip"), 3.0),
        (at(x)[far].get(mode="fill"), [0.0, np.nan, 3.0, np.nan]),
        (at(x)[far].get(mode="clip"), [0.0, 3.0, 3.0, 0.0]),
        (at(x)[far].get(fill_value=-5.0), [0.0, -5.0, 3.0, -5.0]),
        (at(x)[far].get(mode="fill", wrap_negative_indices=False), [0.0, np.nan, np.nan, np.nan]),
        (at(x)[10].set(5.0, mode="drop"), x),
        (at(x)[far].set(9.0, mode="drop"), [9.0, 1.0, 2.0, 9.0]),
        (at(x)[far].set([9.0, 8.0, 7.0, 6.0], mode="drop"), [9.0, 1.0, 2.0, 7.0]),
        (at(x)[far].add(1.0, mode="drop"), [1.0, 1.0, 2.0, 4.0]),
        (at(x)[far].multiply(2.0, mode="drop"), [0.0, 1.0, 2.0, 6.0]),
        (at(x)[far].max(2.5, mode="drop"), [2.5, 1.0, 2.0, 3.0]),
        (at(x)[far].set(9.0, mode="clip"), [9.0, 1.0, 2.0, 9.0]),
        (at(np.arange(4))[[9]].get(mode="fill"), [np.iinfo(int).min]),
        (at(np.arange(4, dtype=np.uint8))[[9]].get(mode="fill"), [255]),
        (at(np.arange(4) > 1)[[9]].get(mode="fill"), [True]),
        (at(x)[[1, 1, 1]].multiply(2.0), [0.0, 8.0, 2.0, 3.0]),
        (at(x)[[2, 2, 9]].power(2.0, mode="drop"), [0.0, 1.0, 16.0, 3.0]),
        (at(np.arange(4))[[2, 9]].power(2, mode="drop"), [0, 1, 4, 3]),
        (fnp.take(x, far, mode="clip", fill_value=9.0), [0.0, 3.0, 0.0, 0.0]),
        (at(x)[[2, 2]].apply(lambda v: v * v), [0.0, 1.0, 16.0, 3.0]),
        (at(np.arange(4))[0].set(2.7), [2, 1, 2, 3]),
    ]
    for i, (have, want) in enumerate(cases):
        np.testing.assert_array_equal(have, want, err_msg=str(i))


def test_a_function_is_applied_as_often_as_a_traced_index_says() -> None:
    x, i = np.arange(1.0, 6.0), np.array([1, 3, 1, 9])
    fun: Callable[..., Any] = lambda x, i: at(x)[i].apply(np.sin, mode="drop")  # noqa: E731
    want = fun(x, i)
    np.testing.assert_allclose(want, [1.0, np.sin(np.sin(2.0)), 3.0, np.sin(4.0), 5.0])
    np.testing.assert_allclose(make_ir(fun)(x, i)(x, i)[0], want)
    np.testing.assert_allclose(vmap(fun, in_axes=(None, 0))(x, np.stack([i, i[:1].repeat(4)]))[0], want)
    check_grads(lambda x: jit(fun)(x, i), (x,), order=1)


def test_traced_indices_and_duplicates() -> None:
    x, i, v = np.arange(1.0, 6.0), np.array([1, 3, 1, 9]), np.array([2.5, 3.0, 0.5, 4.25])
    for name in ("set", "add", "multiply", "divide", "min", "max"):
        fun: Callable[..., Any] = lambda x, i, v, name=name: getattr(at(x)[i], name)(v, mode="drop")  # noqa: E731
        want = fun(x, i, v)
        np.testing.assert_allclose(make_ir(fun)(x, i, v)(x, i, v)[0], want)
        np.testing.assert_allclose(jit(fun)(x, i, v), want)
        check_grads(lambda x, v, fun=fun: jit(fun)(x, i, v), (x, v), order=2)
        rows = np.stack([x, x + 1]), np.stack([i, i[::-1]]), np.stack([v, v + 2])
        for axes in ((0, None, None), (None, 0, None), (None, None, 0), (0, 0, None), (None, 0, 0), (0, 0, 0)):
            given = tuple(rows[k] if a == 0 else rows[k][0] for k, a in enumerate(axes))
            each = [tuple(g[k] if a == 0 else g for g, a in zip(given, axes, strict=True)) for k in (0, 1)]
            np.testing.assert_allclose(vmap(fun, in_axes=axes)(*given), [fun(*e) for e in each], err_msg=name)
    read: Callable[..., Any] = lambda x, i: at(x)[i].get(mode="fill", fill_value=7.0)  # noqa: E731
    np.testing.assert_array_equal(vmap(read, in_axes=(None, 0))(x, i[:, None])[:, 0], [2.0, 4.0, 2.0, 7.0])
    np.testing.assert_array_equal(grad(lambda x: np.sum(read(x, i)))(x), [0.0, 2.0, 0.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="mode 'wraps'"):
        at(x)[0].get(mode="wraps")


def test_arrays_of_this_namespace_take_traced_indices() -> None:
    table = fnp.array([10.0, 20.0, 30.0])
    assert jit(lambda i: table[i])(1) == 20.0
    np.testing.assert_array_equal(vmap(lambda i: table[i] * 2)(np.array([2, 0])), [60.0, 20.0])
    assert grad(lambda x: np.sum(fnp.zeros(3).at[1].set(x) ** 2))(3.0) == 6.0


def test_in_place_operators_keep_what_others_hold() -> None:
    """`x += y` gives `x` a new array, as in JAX; of a part of an array it writes, as in NumPy."""
    x = first = fnp.ones(3)
    x += 1.0
    x *= fnp.array([1.0, 2.0, 3.0])
    assert first.tolist() == [1.0, 1.0, 1.0] and x.tolist() == [2.0, 4.0, 6.0]
    x[1:] -= 4.0
    assert x.tolist() == [2.0, 0.0, 2.0]
    count = fnp.sum(fnp.arange(3))
    count += 0.5
    assert count == 3.5


def test_extremes_of_many_places_that_repeat() -> None:
    """Neither time nor memory of the square of their number; 40,000 places would need 12 GB."""
    x, places, values = np.zeros(50), np.arange(40_000) % 49, np.sin(np.arange(40_000.0))
    want = x.copy()
    np.maximum.at(want, places, values)
    np.testing.assert_array_equal(jit(lambda x, i, v: at(x)[i].max(v))(x, places, values), want)
    np.testing.assert_array_equal(at(x)[places + 10].max(values, mode="drop")[:10], np.zeros(10))
