"""What NumPy has beside functions of arrays: names without arrays, arrays put together by indexing, questions about
memory, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad import grad, jit, lax, make_ir, vjp, vmap

X = np.array([0.5, -1.5, 2.0])
M = np.arange(6.0).reshape(2, 3)


def test_names_without_arrays_are_numpys() -> None:
    for name in (
        "double",
        "inexact",
        "issubdtype",
        "isscalar",
        "index_exp",
        "printoptions",
    ):
        assert getattr(fnp, name) is getattr(np, name)
    assert fnp.float_ is np.float64 and fnp.ComplexWarning is np.exceptions.ComplexWarning
    assert fnp.fromiter([1, 2], float).tolist() == [1.0, 2.0] and fnp.kaiser(3, 1.0)[1] == 1.0


CONCATENATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "slices": lambda np, x: np.r_[x, 0:3, 5, x[0]],
    "directive": lambda np, x: np.r_["0,2", x, x],
    "last axis": lambda np, x: np.r_["-1", np.ones((2, 1)), np.c_[x[:2], x[1:]]],
    "new axis last": lambda np, x: np.r_["0,2,0", x, x],
    "three dimensions": lambda np, x: np.r_["0,3,1", np.ones((3, 3)), np.c_[x, x, x]],
    "one": lambda np, x: np.c_[x],
    "numbers": lambda np, x: np.c_[x[0], x[1], 2.0],
    "imaginary step": lambda np, x: np.r_[0:1:4j, x],
    "weak numbers": lambda np, x: np.r_[x.astype(np.float32), 1.5, 2],
    "a slice as a column": lambda np, x: np.c_[0:3, x],
    "lists": lambda np, x: np.r_[[1, 2], x],
}


@pytest.mark.parametrize("name", CONCATENATIONS)
def test_concatenation_by_indexing(name: str) -> None:
    fun = CONCATENATIONS[name]
    want = fun(np, X)
    for have in (fun(fnp, X), vjp(lambda x: fun(fnp, x), X)[0], jit(lambda x: fun(fnp, x))(X)):
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)


def test_fromiter_of_traced_numbers() -> None:
    assert grad(lambda x: fnp.sum(fnp.fromiter((x * i for i in range(4)), np.float32, 3)))(2.0) == 3.0
    with pytest.raises(ValueError, match="too short"):
        vjp(lambda x: fnp.fromiter((x, x), float, 3), 1.0)


def test_arrays_in_order() -> None:
    def itself(x: Any) -> Any:
        y = fnp.ascontiguousarray(x)
        y[0, 1] = 8.0
        return x, fnp.asfortranarray(x), fnp.require(x, requirements=["F", "W"]), fnp.asarray_chkfinite(x)

    def copied(x: Any) -> Any:
        y = fnp.ascontiguousarray(x.T)
        y[0, 0] = 7.0
        return x, y.T

    want = M.copy()
    want[0, 1] = 8.0
    for out in vjp(itself, M)[0]:
        np.testing.assert_array_equal(out, want)
    assert [out[0, 0] for out in vjp(copied, M)[0]] == [0.0, 7.0]
    with pytest.raises(ValueError, match="infs"):
        vjp(fnp.asarray_chkfinite, np.array([np.inf]))


MEMORY: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "itself": lambda x: (x, x),
    "a part": lambda x: (x[0], x[:, :2]),
    "apart": lambda x: (x[0], x[1]),
    "in between": lambda x: (x[:, ::2], x[:, 1::2]),
    "transposed": lambda x: (x.T[1], x[1]),
    "a copy": lambda x: (x.copy(), x),
    "computed": lambda x: (x * 1, x),
    "empty": lambda x: (x[:0], x),
    "parts": lambda x: (np.real(x), np.imag(x)),
    "numbers": lambda x: (x[0, 0], x),
}


@pytest.mark.parametrize("name", MEMORY)
def test_what_shares_memory(name: str) -> None:
    answers: list[Any] = []

    def ask(x: Any) -> Any:
        a, b = MEMORY[name](x)
        answers.append((np.shares_memory(a, b), np.may_share_memory(a, b)))
        return x

    x = M + 0j if name == "parts" else M
    ask(x)
    vjp(ask, x)
    make_ir(ask)(x)
    assert answers[1:] == answers[:1] * 2


def test_indices_out_of_range() -> None:
    with pytest.raises(IndexError):
        vjp(lambda i: np.unravel_index(i, (2, 3))[0] * 1.0, np.array([6]))
    with pytest.raises(IndexError):
        jit(lambda i: np.ravel_multi_index((i, i), (2, 3)))(np.array([-1]))
    assert vmap(lambda x: fnp.array(np.unravel_index(np.argmax(x), (3,))))(np.eye(3)).tolist() == [[0], [1], [2]]


VALUES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nonzero": (lambda x: np.nonzero(x)[0] * 1.0, "size="),
    "where": (lambda x: np.where(x > 0)[0] * 1.0, "size="),
    "argwhere": (lambda x: np.argwhere(x > 0) * 1.0, "size="),
    "flatnonzero": (lambda x: np.flatnonzero(x > 0) * x[0], "size="),
    "extract": (lambda x: np.extract(x > 0, x), "size="),
    "compress": (lambda x: x.compress(x > 0), "size="),
    "a mask": (lambda x: np.sin(x[x > 0]), r"np\.where"),
    "unique": (np.unique, "size="),
    "union1d": (lambda x: np.union1d(x, -x), "size="),
    "setdiff1d": (lambda x: np.setdiff1d(x, x[:1]), "size="),
    "intersect1d": (lambda x: np.intersect1d(x, x[:2]), "isin"),
    "bincount": (lambda x: np.bincount((x > 0).astype(int), x), "length="),
    "trim_zeros": (lambda x: np.trim_zeros(np.maximum(x, 0)), "slice"),
    "delete": (lambda x: np.delete(x, x < 0), "take"),
    "repeat": (lambda x: np.repeat(x, (x > 0).astype(int)), "not traced"),
}


@pytest.mark.parametrize("name", VALUES)
def test_shapes_that_depend_on_values(name: str) -> None:
    """They are what they are where values are known; elsewhere the error says what to write."""
    fun, remedy = VALUES[name]
    compiled = jit(fun)
    for x in (X, X + 1, X):
        for have in (vjp(fun, x)[0], compiled(x), jit(lambda x: vjp(fun, x)[0])(x)):
            np.testing.assert_allclose(have, fun(x))
    for unknown in (vmap(fun), lambda xs: lax.scan(lambda c, x: (c, fun(x)), 0.0, xs)[1]):
        with pytest.raises(TypeError, match=f"depends on values.*{remedy}"):
            unknown(np.stack([X, X]))


def test_windows_are_views() -> None:
    def f(x: Any) -> Any:
        x = x * 1
        windows = np.lib.stride_tricks.sliding_window_view(x, 2)
        x[1] = 7.0
        return windows

    np.testing.assert_array_equal(vjp(f, X)[0], f(X))
    with pytest.raises(ValueError, match="read-only"):
        jit(lambda x: f(x).__setitem__(0, 1.0))(X)
    with pytest.raises(ValueError, match="larger"):
        jit(lambda x: fnp.sliding_window_view(x, 4))(X)


def test_quantiles_that_do_not_fit() -> None:
    for bad, words in (
        (lambda x: np.quantile(x, 1.5), "range"),
        (lambda x: np.nanpercentile(x, -1), "range"),
        (lambda x: np.quantile(x, 0.5, method="middle"), "hazen"),
        (lambda x: np.quantile(x, 0.5, weights=x), "inverted_cdf"),
    ):
        with pytest.raises(ValueError, match=words):
            vjp(bad, X)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "c_": (lambda x: np.c_[x, x], r"funcgrad\.numpy\.c_"),
    "r_": (lambda x: np.r_[x, 1.0], r"funcgrad\.numpy\.r_"),
    "bmat": (lambda x: np.bmat([[x, x]]), "with @"),
    "matrix": (lambda x: np.matrix(x), "with @"),
    "a matrix times": (lambda x: np.matrix(np.eye(3)) * x, "matrix"),
    "ndenumerate": (lambda x: list(np.ndenumerate(x)), r"np\.ndindex"),
    "broadcast": (lambda x: np.broadcast(x, x), r"broadcast_shapes"),
    "require": (lambda x: np.require(x, float), r"funcgrad\.numpy\.require"),
    "full_like": (lambda x: np.full_like(X, x), r"funcgrad\.numpy\.full_like|zeros_like"),
    "kaiser": (lambda x: np.kaiser(3, x[0]), r"funcgrad\.numpy\.kaiser"),
    "as_strided": (lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (8, 8)), "sliding_window_view"),
    "save": (lambda x: np.save("file", x), r"debug\.callback"),
    "fromiter": (lambda x: np.fromiter([x[0]], float), r"funcgrad\.numpy\.fromiter"),
    "isnat": (lambda x: np.isnat(x), r"np\.isnan"),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_write(name: str) -> None:
    fun, words = REFUSED[name]
    for transform in (grad, jit):
        with pytest.raises(TypeError, match=words) as caught:
            transform(fun)(X)
        assert "Tracer" not in str(caught.value)
