"""`funcgrad.numpy.polynomial`, and `funcgrad.numpy`'s ufuncs: their methods, and those made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.polynomial.polynomial as plain
import pytest

import funcgrad.numpy as fnp
import funcgrad.numpy.polynomial as own
from funcgrad import grad, jit, tree, vjp, vmap
from funcgrad.test_util import check_grads

C = np.array([0.5, -1.2, 0.7, 1.3])
X = np.array([0.3, 0.9, -0.4])
C2 = np.random.default_rng(0).random((3, 2))
C3 = np.random.default_rng(1).random((2, 3, 2))

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "polyval": (lambda m, x, c: m.polyval(x, c), (X, C)),
    "polyval, columns": (lambda m, x, c: m.polyval(x, c), (X, C2)),
    "polyval, alike": (lambda m, x, c: m.polyval(x, c, tensor=False), (X[:2], C2)),
    "polyval2d": (lambda m, x, c: m.polyval2d(x, x * x, c), (X, C2)),
    "polyval3d": (lambda m, x, c: m.polyval3d(x, x * 2, x * x, c), (X, C3)),
    "polygrid2d": (lambda m, x, c: m.polygrid2d(x, x[:2], c), (X, C2)),
    "polygrid3d": (lambda m, x, c: m.polygrid3d(x, x[:2], x, c), (X, C3)),
    "polyvalfromroots": (lambda m, x, r: m.polyvalfromroots(x, r), (X, C)),
    "polyvander": (lambda m, x: m.polyvander(x, 3), (X,)),
    "polyvander2d": (lambda m, x: m.polyvander2d(x, x * 2, [1, 2]), (X,)),
    "polyvander3d": (lambda m, x: m.polyvander3d(x, x * 2, x, [1, 2, 1]), (X,)),
    "polyadd": (lambda m, a, b: m.polyadd(a, b), (C, X)),
    "polysub": (lambda m, a, b: m.polysub(a, b), (X, C)),
    "polymul": (lambda m, a, b: m.polymul(a, b), (C, X)),
    "polymulx": (lambda m, c: m.polymulx(c), (C,)),
    "polydiv": (lambda m, a, b: m.polydiv(a, b), (C, X)),
    "polydiv by a number": (lambda m, a, b: m.polydiv(a, b), (C, X[:1])),
    "polypow": (lambda m, c: m.polypow(c, 3), (C,)),
    "polyder": (lambda m, c: m.polyder(c, 2, scl=2.0), (C,)),
    "polyder of columns": (lambda m, c: m.polyder(c, axis=1), (C2,)),
    "polyint": (lambda m, c: m.polyint(c, 2, k=[1.0, 2.0], lbnd=0.5, scl=3.0), (C,)),
    "polyint of columns": (lambda m, c: m.polyint(c, axis=1), (C2,)),
    "polyfit": (lambda m, y: m.polyfit(np.arange(4.0), y, 2), (C,)),
    "polyfromroots": (lambda m, r: m.polyfromroots(r), (C,)),
    "polyline": (lambda m, c: m.polyline(c[0], c[1]), (C,)),
}


@pytest.mark.parametrize("name", CASES)
def test_polynomials(name: str) -> None:
    """Values of NumPy's, derivatives of differences, compiled code and batches."""
    fun, args = CASES[name]

    def ours(*xs: Any) -> Any:
        return fun(own, *xs)

    want = tree.leaves(fun(plain, *args))
    batch = vmap(ours)(*(np.stack([a, a]) for a in args))
    results = (vjp(ours, *args)[0], jit(ours)(*args), tree.map(lambda x: x[1], batch))
    for have in results:
        for a, b in zip(tree.leaves(have), want, strict=True):
            assert a.shape == np.shape(b) and a.dtype == np.asarray(b).dtype
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    check_grads(ours, args, order=2 if name in ("polyval", "polydiv", "polyfromroots") else 1)


def test_plain_arguments_go_to_numpy_and_errors_come_here() -> None:
    assert own.polyval(2, [1, 2, 3]) == 17 and fnp.polynomial is own
    np.testing.assert_allclose(vjp(own.polyroots, C)[0], plain.polyroots(C))
    with pytest.raises(TypeError, match=r"write instead: funcgrad\.numpy\.polynomial\.polyval"):
        grad(lambda c: plain.polyval(1.0, c))(C)
    with pytest.raises(ValueError, match="full=True"):
        grad(lambda y: own.polyfit(X, y, 1, full=True)[0][0])(X)


# ---------------------------------------------------------------------------------------- ufuncs of funcgrad.numpy


def test_ufuncs_have_attributes_and_methods() -> None:
    assert isinstance(fnp.add, fnp.ufunc) and not isinstance(fnp.sum, fnp.ufunc)
    assert (fnp.add.nin, fnp.add.nout, fnp.add.nargs, fnp.add.identity) == (2, 1, 3, 0)
    assert fnp.multiply.reduce(X, where=None, initial=None) == np.prod(X)
    assert grad(lambda x: fnp.multiply.reduce([x, x, 2.0]))(3.0) == 12.0
    np.testing.assert_array_equal(jit(lambda x: fnp.subtract.outer(x, x))(X), np.subtract.outer(X, X))


def test_at_of_a_copy() -> None:
    want = X + np.array([2.0, 0, 0])
    for have in (fnp.add.at(X, [0, 0], 1.0, inplace=False), jit(lambda x: fnp.add.at(x, [0, 0], 1, inplace=False))(X)):
        np.testing.assert_array_equal(have, want)
    assert grad(lambda a: fnp.add.at(X, np.array([0, 0]), a, inplace=False).sum())(2.0) == 2.0
    assert X[0] == 0.3


def test_ufuncs_of_functions() -> None:
    f = fnp.frompyfunc(lambda a, b: a * b + 1, 2, 1, identity=1)
    assert isinstance(f, fnp.ufunc) and f.nargs == 3
    x = np.array([1.0, 2.0, 3.0, 4.0])
    methods: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "call": (lambda x: f(x, x), x * x + 1),
        "reduce": (f.reduce, 65.0),
        "accumulate": (f.accumulate, [1.0, 3.0, 10.0, 41.0]),
        "outer": (lambda x: f.outer(x[:2], x), np.multiply.outer(x[:2], x) + 1),
        "at": (lambda x: f.at(x, [0, 0], 2.0, inplace=False), [7.0, 2.0, 3.0, 4.0]),
        "reduceat": (lambda x: f.reduceat(x, [0, 2]), [3.0, 13.0]),
        "every axis": (lambda x: f.reduce(np.reshape(x, (2, 2)), axis=None), 65.0),
    }
    for name, (method, want) in methods.items():
        for have in (method(x), vjp(method, x)[0], jit(method)(x), vmap(method)(x[None])[0]):
            np.testing.assert_allclose(have, want, err_msg=name)
    check_grads(f.reduce, (x,), order=2)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        f(x)
