"""Errors that once misled: each names what is wrong, and a remedy that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as fnp
import funcgrad.tree as tree
from funcgrad import dtypes, grad, jit, linearize, optim, random, train, vmap
from funcgrad.errors import DTypeError, ShapeError, TracerArrayConversionError, TracerWriteError

A = np.arange(6.0)
WITH_NAN = np.array([np.nan, 1.0])


# ------------------------------------------------- functions of NumPy's that look at some of their arguments only


@pytest.mark.parametrize("transform", [jit, lambda f: lambda x: vmap(f)(np.array([x, x]))[0]], ids=["jit", "vmap"])
@pytest.mark.parametrize(
    "numpys, ours, x, kind",
    [
        (
            lambda c: np.pad(A, 1, constant_values=c),
            lambda c: fnp.pad(A, 1, constant_values=c),
            1.5,
            TracerArrayConversionError,
        ),
        (
            lambda c: np.nan_to_num(WITH_NAN, nan=c),
            lambda c: fnp.nan_to_num(WITH_NAN, nan=c),
            1.5,
            TracerWriteError,
        ),
    ],
    ids=["pad", "nan_to_num"],
)
def test_arguments_that_numpy_does_not_look_at(
    numpys: Callable[[Any], Any], ours: Callable[[Any], Any], x: Any, kind: Any, transform: Any
) -> None:
    name = numpys.__code__.co_names[1]
    with pytest.raises(kind, match=rf"write instead: funcgrad\.numpy\.{name} \("):
        transform(numpys)(x)
    np.testing.assert_array_equal(transform(ours)(x), numpys(x))


def test_whole_numbers_of_examples() -> None:
    """With a value, NumPy rolls by it; examples have many."""
    np.testing.assert_array_equal(jit(lambda n: np.roll(A, n))(2), np.roll(A, 2))
    with pytest.raises(TracerArrayConversionError, match=r"write instead: funcgrad\.numpy\.roll \("):
        vmap(lambda n: np.roll(A, n))(np.array([2, 3]))


def test_writes_keep_their_remedy() -> None:
    with pytest.raises(TracerWriteError, match=r"write instead: make it by a = np\.zeros_like"):
        grad(lambda x: np.copyto(np.zeros(2), x) or 0.0)(np.ones(2))


# --------------------------------------------------------------------------------------------------- random keys


@pytest.mark.parametrize("impl", ["threefry2x32", "philox"])
def test_traced_keys_are_compared_by_their_words(impl: str) -> None:
    keys = random.split(random.key(3, impl=impl), 4)
    others = np.concatenate([keys[:2], keys[:2]])
    want = [True, True, False, False]
    for compare in (jit(lambda a, b: (a == b, a != b)), jit(vmap(lambda a, b: (a == b, a != b)))):
        equal, different = compare(keys, others)
        assert equal.tolist() == want and different.tolist() == [not w for w in want]
    assert jit(lambda a, b: a == b)(keys, keys[1]).tolist() == [False, True, False, False]
    assert jit(lambda a: a == keys)(keys[2]).tolist() == [False, False, True, False]


def test_keys_are_no_numbers() -> None:
    key = random.key(0)
    for add in (lambda k: k + 1, lambda k: 1 + k, jit(lambda k: k + 1), jit(lambda k: np.float64(1.0) * k)):
        with pytest.raises((TypeError, DTypeError), match=r"random keys are not numbers: random.split"):
            add(key)
    with pytest.raises(TypeError, match=r"random keys have no derivative\. Choose other argnums"):
        grad(lambda k, x: x * random.normal(k))(key, 2.0)
    with pytest.raises(TypeError, match=r"booleans have no derivative\. Pass floats"):
        grad(lambda b: 1.0 * b)(True)


def test_linearize_of_keys_and_integers() -> None:
    """As in JAX, they have tangents of dtype float0."""
    key, none = random.key(0), np.zeros((), dtypes.float0)
    y, push = linearize(lambda k, n, x: n * x * random.normal(k), key, 3, 2.0)
    assert np.isclose(push(none, none, 1.0), y / 2)
    with pytest.raises(TypeError, match=r"the tangent of a int is np.zeros\(\(\), funcgrad.dtypes.float0\), got float"):
        push(none, 1.0, 1.0)


# ------------------------------------------------------------------------------------------- gradients of integers


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lion", "adagrad", "lamb", "adabelief", "yogi"])
def test_gradients_of_integers(name: str) -> None:
    params = {"n": np.array([1, 2]), "w": np.arange(3.0)}
    grads = grad(lambda p: np.sum(p["w"] ** 2) * p["n"].sum(), allow_int=True)(params)
    tx = getattr(optim, name)(0.1)
    with pytest.raises(TypeError, match=r"gradient\['n'\] has dtype float0.*optim.masked\(tx, mask\)"):
        tx.update(grads, tx.init(params), params)
    with pytest.raises(TypeError, match=r"argument 0 \(g\)\['n'\].*it is the gradient of an integer"):
        jit(lambda g: g["w"])(grads)
    masked = optim.masked(tx, {"n": False, "w": True})
    updated = optim.apply_updates(params, masked.update(grads, masked.init(params), params)[0])
    alone = {"w": params["w"]}
    want = optim.apply_updates(alone, tx.update({"w": grads["w"]}, tx.init(alone), alone)[0])
    np.testing.assert_array_equal(updated["w"], want["w"])
    np.testing.assert_array_equal(updated["n"], params["n"])
    tree.map(np.testing.assert_array_equal, optim.apply_updates(params, {"n": None, "w": np.zeros(3)}), params)


# -------------------------------------------------------------------------------------------- roots, and training


@pytest.mark.parametrize("method", ["bisect", "brentq", "brenth", "ridder", "toms748"])
def test_roots_of_functions_of_more_than_one_number(method: str) -> None:
    optimize = pytest.importorskip("funcgrad.scipy.optimize")
    pytest.importorskip("scipy")
    solve = getattr(optimize, method)
    for transform in (lambda f: f, jit, lambda f: grad(lambda a: np.sum(f(a)))):
        with pytest.raises(ShapeError, match=rf"{method}: the function must return one number, got .*\(2,\); vmap"):
            transform(lambda a: solve(lambda x: x**2 - a, 0.0, 5.0))(np.array([2.0, 3.0]))
    found = vmap(lambda a: solve(lambda x: x**2 - a, 0.0, 5.0))(np.array([2.0, 3.0]))
    np.testing.assert_allclose(found, np.sqrt([2.0, 3.0]))


X = np.linspace(-1, 1, 16)


@pytest.mark.parametrize(
    "fit, what",
    [
        (lambda s: train.fit(lambda p, x: np.mean((p - s * x) ** 2), 0.0, optim.sgd(0.1), (X,), steps=2), "the loss"),
        (lambda s: train.fit(lambda p, x: np.mean((p - x) ** 2), s, optim.sgd(0.1), (X,), steps=2), "params"),
        (lambda s: train.fit(lambda p, x: np.mean((p - x) ** 2), 0.0, optim.sgd(0.1), (s * X,), steps=2), r"data\[0\]"),
    ],
    ids=["loss", "params", "data"],
)
@pytest.mark.parametrize("transform", [grad, lambda f: lambda x: vmap(f)(np.array([x, x]))], ids=["grad", "vmap"])
def test_training_is_not_transformed(fit: Callable[[Any], Any], what: str, transform: Any) -> None:
    with pytest.raises(TypeError, match=rf"fit: {what} .*traced value; training runs outside.*lax.fori_loop"):
        transform(lambda s: fit(s)[0])(2.0)
