"""`ravel_pytree` and its inverse."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from tree_cases import raises

from funcgrad import tree
from funcgrad.flatten_util import ravel_pytree

# --------------------------------------------------------------------------- ravel_pytree


def test_ravel_restores_shapes_and_dtypes() -> None:
    t = {"a": np.arange(6.0).reshape(2, 3), "b": (np.int8(5), np.array(True)), "c": None, "d": 2}
    flat, unravel = ravel_pytree(t)
    np.testing.assert_array_equal(flat, [0, 1, 2, 3, 4, 5, 5, 1, 2])
    assert flat.dtype == np.float64
    back = unravel(flat)
    assert tree.mismatch("t", t, back) == []
    np.testing.assert_array_equal(back["a"], t["a"])
    assert type(back["b"][0]) is np.int8
    assert type(back["d"]) is int
    assert back["b"][1].dtype == bool


def test_ravel_python_scalars_are_weak() -> None:
    flat, unravel = ravel_pytree([np.ones(2, np.float32), 0.5])
    assert flat.dtype == np.float32
    assert unravel(flat)[1] == 0.5
    assert type(unravel(flat.astype(np.float64))[1]) is float
    assert ravel_pytree([1, 2])[0].dtype == np.int64


def test_one_dtype_follows_the_vector_and_several_need_their_own() -> None:
    _, unravel = ravel_pytree([np.ones(2, np.float32), np.ones((1, 1), np.float32)])
    assert unravel(np.ones(3, np.complex64))[1].dtype == np.complex64
    _, unravel = ravel_pytree([np.ones(2, np.float32), np.ones(1, np.int32)])
    with raises(TypeError, "unravel: expected dtype float64, got float32"):
        unravel(np.ones(3, np.float32))


def test_unravel_takes_real_parts() -> None:
    flat, unravel = ravel_pytree([np.ones(2), 1 + 2j, 3])
    assert flat.dtype == np.complex128
    back = unravel(flat * 2)
    np.testing.assert_array_equal(back[0], [2.0, 2.0])
    assert back[1:] == [2 + 4j, 6]


def test_ravel_does_not_alias() -> None:
    x = np.ones(3)
    flat, unravel = ravel_pytree(x)
    flat[0] = 5
    assert x[0] == 1
    back = unravel(flat)
    flat[1] = 7
    np.testing.assert_array_equal(back, [5, 1, 1])


def test_ravel_errors() -> None:
    _, unravel = ravel_pytree({"a": np.ones((2, 2)), "b": 1.0})
    for bad in (np.ones(4), np.ones((5, 1)), np.float64(1)):
        with raises(ValueError, "unravel: expected a vector of shape (5,), got shape"):
            unravel(bad)
    with raises(TypeError, "ravel_pytree: the leaf at ['a'][1] is an object of class str"):
        ravel_pytree({"a": [1, "x"]})
    with raises(TypeError, "has dtype object"):
        ravel_pytree(np.array([None]))
    with raises(TypeError, "does not fit into any NumPy dtype"):
        ravel_pytree([2**70])


def test_ravel_of_nothing() -> None:
    flat, unravel = ravel_pytree({"a": None, "b": []})
    assert flat.shape == (0,)
    assert flat.dtype == np.float64
    assert unravel(flat) == {"a": None, "b": []}
    flat, unravel = ravel_pytree([np.zeros((0, 3), np.float32)])
    assert unravel(flat)[0].shape == (0, 3)


def test_unravels_of_equal_structures_are_equal() -> None:
    a, b, c = (ravel_pytree([np.full(n, v), v])[1] for n, v in [(2, 1.0), (2, 9.0), (3, 1.0)])
    assert a == b
    assert hash(a) == hash(b)
    assert a != c
    assert pickle.loads(pickle.dumps(a)) == a


class Traced:
    """Stands in for a traced value: an array behind NumPy's hooks that refuses to be converted."""

    def __init__(self, value: Any) -> None:
        self.value = value

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a traced value was converted")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return NotImplemented

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        def bare(x: Any) -> Any:
            return x.value if isinstance(x, Traced) else x

        args = tree.map(bare, list(args), is_leaf=lambda x: isinstance(x, Traced))
        return Traced(func(*args, **kwargs))

    def __getitem__(self, index: Any) -> Any:
        return Traced(self.value[index])

    def astype(self, dtype: Any) -> Any:
        return Traced(self.value.astype(dtype))


def test_ravel_of_traced_values() -> None:
    t = {"a": Traced(np.arange(4.0).reshape(2, 2)), "b": np.ones(1, np.int8), "c": 2.0}
    flat, unravel = ravel_pytree(t)
    assert isinstance(flat, Traced)
    np.testing.assert_array_equal(flat.value, [0, 1, 2, 3, 1, 2])
    back = unravel(flat)
    assert {k: (v.shape, v.dtype.name) for k, v in back.items()} == {
        "a": ((2, 2), "float64"),
        "b": ((1,), "int8"),
        "c": ((), "float64"),
    }
