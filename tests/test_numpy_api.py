"""NumPy's functions on traced values: `funcgrad.numpy` has them by name, and what is not supported says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import opspecs
import pytest
from opspecs import SPECS, OpSpec
from scipy import special

import funcgrad.numpy as fnp
from funcgrad import grad, jit, jvp, make_ir, tree, vjp, vmap
from funcgrad.core import Tracer
from funcgrad.errors import (
    DTypeError,
    ShapeError,
    TracerArrayConversionError,
    TracerWriteError,
    UnsupportedFunctionError,
)
from funcgrad.numpy._dispatch import FUNCTIONS
from funcgrad.ops.math import UFUNCS
from funcgrad.types import PYTHON_SCALARS, dtype_of, shape_of

X = np.array([0.5, -1.5, 2.0])


def traced(f: Callable[..., Any], *args: Any) -> Any:
    """The value of `f` at traced arguments."""
    return vjp(f, *args)[0]


def same(have: Any, want: Any, ulps: float = 0) -> None:
    for a, b in zip(tree.leaves(have), tree.leaves(want), strict=True):
        assert (shape_of(a), dtype_of(a)) == (shape_of(b), dtype_of(b))
        assert (a.__class__ in PYTHON_SCALARS) == (b.__class__ in PYTHON_SCALARS)
        assert dtype_of(a).kind != "O"
        tol = ulps * float(np.finfo(dtype_of(b)).eps) if dtype_of(b).kind in "fc" else 0
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol, equal_nan=True)


# ------------------------------------------------------------------------------------- the namespace of funcgrad.numpy


class Substitute:
    """`numpy`, but with the functions of `funcgrad.numpy` where it has them."""

    def __init__(self, own: ModuleType, plain: ModuleType) -> None:
        self.own, self.plain = own, plain

    def __getattr__(self, name: str) -> Any:
        if name == "linalg":
            return Substitute(fnp.linalg, np.linalg)
        return getattr(self.own if name in self.own.__all__ else self.plain, name)


@contextmanager
def substituted() -> Iterator[None]:
    """Let the rows of the operation table call `funcgrad.numpy`."""
    numpy = Substitute(fnp, np)
    with pytest.MonkeyPatch.context() as patch:
        for name in opspecs.__all__:
            module = getattr(opspecs, name)
            if isinstance(module, ModuleType):
                patch.setattr(module, "np", numpy)
                if hasattr(module, "la"):
                    patch.setattr(module, "la", numpy.linalg)
        yield


def own(fun: Any) -> Any:
    """The function of `funcgrad.numpy` for one of NumPy."""
    name = getattr(fun, "__name__", "")
    for module, plain in ((fnp, np), (fnp.linalg, np.linalg)):
        if getattr(plain, name, None) is fun and name in module.__all__:
            return getattr(module, name)
    return fun


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_names_stand_for_numpy_functions(spec: OpSpec) -> None:
    """Every row gives the same with `funcgrad.numpy`: on arrays NumPy's own results, and the same when traced."""
    for case in (spec.cases(True) + spec.cases(False))[:1]:
        want = spec(*case.args())
        with substituted():
            fun = own(spec.fun)
            same(fun(*case.args()), want)
            same(traced(fun, *case.args()), want, spec.ulps)


def test_every_supported_function_has_a_name() -> None:
    for plain in FUNCTIONS:
        part = plain.__module__.removeprefix("numpy").removeprefix(".")
        module, names = (getattr(fnp, part), getattr(np, part)) if part in ("linalg", "fft") else (fnp, np)
        names = np.lib.stride_tricks if part.startswith("lib") else names
        assert getattr(names, plain.__name__) is plain
        assert plain.__name__ in module.__all__
    for ufunc in UFUNCS:
        assert ufunc.__name__ in fnp.__all__
        assert getattr(fnp, ufunc.__name__).__doc__


def test_names_exist_once() -> None:
    assert len(fnp.__all__) == len(set(fnp.__all__))
    assert [name for name in fnp.__all__ if not hasattr(fnp, name)] == []


def test_what_takes_no_array_is_numpys_own() -> None:
    for name in ("pi", "float32", "newaxis", "finfo", "inf"):
        assert getattr(fnp, name) is getattr(np, name)


# --------------------------------------------------------------------------------------- lists of traced values

LISTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "array": (lambda x, y: fnp.array([[x, y], [1.0, x]]), lambda x, y: np.array([[x, y], [1.0, x]])),
    "array of rows": (lambda x, y: fnp.array([x * X, X, (y, y, 2)]), lambda x, y: np.array([x * X, X, [y, y, 2]])),
    "asarray": (lambda x, y: fnp.asarray((x, y, 3)), lambda x, y: np.asarray((x, y, 3))),
    "array dtype": (lambda x, y: fnp.array([x, y], dtype=np.complex128), lambda x, y: np.array([x, y], np.complex128)),
    "array ndmin": (lambda x, y: fnp.array([x, y], ndmin=2), lambda x, y: np.array([x, y], ndmin=2)),
    "array of one": (lambda x, y: fnp.array(x * y), lambda x, y: np.array(x * y)),
    "full": (lambda x, y: fnp.full((2, 3), x + y), lambda x, y: np.full((2, 3), x + y)),
    "full dtype": (lambda x, y: fnp.full(2, x, np.float64), lambda x, y: np.full(2, x, np.float64)),
    "sin": (lambda x, y: fnp.sin([x, y]), lambda x, y: np.sin([x, y])),
    "add": (lambda x, y: fnp.add([x, y], (y, 1.0)), lambda x, y: np.add([x, y], (y, 1.0))),
    "add dtype": (lambda x, y: fnp.add([x, y], 1, dtype=np.float64), lambda x, y: np.add([x, y], 1, dtype=np.float64)),
    "sum": (lambda x, y: fnp.sum([x, [y][0], 2.0]), lambda x, y: np.sum([x, y, 2.0])),
    "max": (lambda x, y: fnp.max([[x], [y]], axis=0), lambda x, y: np.max([[x], [y]], axis=0)),
    "mean": (lambda x, y: fnp.mean([x, y]), lambda x, y: np.mean([x, y])),
    "dot": (lambda x, y: fnp.dot([x, y], [3.0, 4.0]), lambda x, y: np.dot([x, y], [3.0, 4.0])),
    "where": (
        lambda x, y: fnp.where([True, False], [x, x], [y, y]),
        lambda x, y: np.where([True, False], [x, x], [y, y]),
    ),
    "reshape": (lambda x, y: fnp.reshape([x, y, x, y], (2, 2)), lambda x, y: np.reshape([x, y, x, y], (2, 2))),
    "norm": (lambda x, y: fnp.linalg.norm([x, y]), lambda x, y: np.linalg.norm([x, y])),
    "det": (lambda x, y: fnp.linalg.det([[x, 1.0], [y, x]]), lambda x, y: np.linalg.det([[x, 1.0], [y, x]])),
    "concatenate": (lambda x, y: fnp.concatenate([[x], [y, y]]), lambda x, y: np.concatenate([[x], [y, y]])),
    "np.stack": (lambda x, y: np.stack([x, y, 2.0]), lambda x, y: np.stack([x, y, 2.0])),
    "np.concatenate": (lambda x, y: np.concatenate([np.stack([x, y]), [1.0]]), lambda x, y: np.array([x, y, 1.0])),
}


@pytest.mark.parametrize(("fun", "plain"), LISTS.values(), ids=LISTS)
def test_lists_of_traced_values(fun: Callable[..., Any], plain: Callable[..., Any]) -> None:
    for x, y in ((0.5, 2.0), (np.float32(0.5), np.float32(2.0))):
        same(fun(x, y), plain(x, y), 2)
        same(traced(fun, x, y), plain(x, y), 2)
        expected = (plain(x + 1e-6, y) - plain(x - 1e-6, y)) / 2e-6 if isinstance(x, float) else None
        if expected is not None:
            np.testing.assert_allclose(jvp(fun, (x, y), (1.0, 0.0))[1], expected, atol=1e-8)


def test_arrays_are_copied_where_numpy_copies() -> None:
    x = np.ones(3)
    assert fnp.array(x) is not x
    assert fnp.asarray(x).base is x


# --------------------------------------------------------------------------------------------- what is not supported

UNSUPPORTED: dict[str, Callable[[Any], Any]] = {
    "numpy.save": lambda x: np.save("file", x),
    "numpy.busday_count": lambda x: np.busday_count(x, x),
    "numpy.isnat": lambda x: np.isnat(x),
    "_landau_pdf": lambda x: special._ufuncs._landau_pdf(x, 0.0, 1.0),
}


@pytest.mark.parametrize(("name", "fun"), UNSUPPORTED.items(), ids=UNSUPPORTED)
def test_unsupported_functions_raise_by_name(name: str, fun: Callable[[Any], Any]) -> None:
    for transform in (lambda: vjp(fun, X), lambda: jvp(fun, (X,), (X,)), lambda: make_ir(fun)(X)):
        with pytest.raises(UnsupportedFunctionError, match=name.replace(".", r"\.")) as raised:
            transform()
        assert "test_numpy_api.py" in str(raised.value)


def dispatching(module: ModuleType) -> list[Any]:
    """The functions of a NumPy module that ask their arguments first."""
    found = (getattr(module, name) for name in module.__all__)
    return [f for f in found if type(f).__name__ == "_ArrayFunctionDispatcher"]


@pytest.mark.parametrize("module", [np, np.linalg, np.fft], ids=lambda m: m.__name__)
def test_every_function_is_supported_or_raises(module: ModuleType) -> None:
    """No function of NumPy is ever run on arrays of objects, or ignores that its argument is traced."""

    def call_all(x: Any) -> Any:
        for fun in dispatching(module):
            if fun not in FUNCTIONS:
                with pytest.raises((UnsupportedFunctionError, TracerWriteError), match=fun.__name__):
                    x.__array_function__(fun, (Tracer,), (x,), {})
        return x

    vjp(call_all, X)


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "ufunc out": lambda x, a: np.exp(x, out=a),
    "ufunc out, tuple": lambda x, a: np.add(x, 1, out=(a,)),
    "reduce out": lambda x, a: np.add.reduce(x, out=a[0]),
    "sum out": lambda x, a: np.sum(x, out=a[0]),
    "concatenate out": lambda x, a: np.concatenate([x, x], out=np.zeros(6)),
    "dot out": lambda x, a: np.dot(x, x, out=a[0]),
    "take out": lambda x, a: np.take(x, [0, 1, 2], out=a),
    "x.mean(out)": lambda x, a: x.mean(out=a[0]),
    "a += x": lambda x, a: a.__iadd__(x),
    "a[0] = x": lambda x, a: a.__setitem__(0, x[0]),
    "a[:] = x": lambda x, a: a.__setitem__(slice(None), x),
    "copyto": lambda x, a: np.copyto(a, x),
    "full_like": lambda x, a: np.full_like(a, x),
    "put": lambda x, a: np.put(a, [0], x[0]),
    "place": lambda x, a: np.place(a, a > 0, x),
    "putmask": lambda x, a: np.putmask(a, a > 0, x),
    "fill_diagonal": lambda x, a: np.fill_diagonal(np.outer(a, a), x),
    "put_along_axis": lambda x, a: np.put_along_axis(a, np.array([0]), x[0], 0),
    "add.at": lambda x, a: np.add.at(a, [0, 0], x[:2]),
    "a.fill": lambda x, a: a.fill(x[0]),
    "a.put": lambda x, a: a.put([0], x[0]),
    "a.flat": lambda x, a: setattr(a, "flat", x),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_is_written_into_arrays(write: Callable[[Any, Any], Any]) -> None:
    """A write of a traced value into an array would lose its derivative: it raises, and the array is as before."""
    a = X + 1
    for transform in (lambda f: vjp(f, X), lambda f: jvp(f, (X,), (X,)), lambda f: make_ir(f)(X)):
        with pytest.raises((TracerWriteError, TracerArrayConversionError, UnsupportedFunctionError)):
            transform(lambda x: (write(x, a), x)[1])
    np.testing.assert_array_equal(a, X + 1)


READS: dict[str, Callable[[Any], Any]] = {
    "array": lambda x: np.array(x),
    "array of list": lambda x: np.array([x, x]),
    "asarray": lambda x: np.asarray(x),
    "arange": lambda x: np.arange(x[2]),
    "full": lambda x: np.full(3, x[0]),
    "float64": lambda x: np.float64(x[0]),
    "c_": lambda x: np.c_[x, x],
    "a.dot": lambda x: X.dot(x),
    "take of a plain array": lambda x: np.take(x > 0, x),
    "vectorize": lambda x: np.vectorize(lambda t: t + 1)(x),
    "object array": lambda x: np.array([x, None], dtype=object) * 2,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_nothing_becomes_an_array_unnoticed(read: Callable[[Any], Any]) -> None:
    with pytest.raises((TracerArrayConversionError, TypeError)):
        vjp(read, X)


def test_optional_out_of_none_is_nothing() -> None:
    same(traced(lambda x: np.exp(x, out=None), X), np.exp(X))
    same(traced(lambda x: np.sum(x, out=None), X), np.sum(X))
    same(traced(lambda x: np.add.reduce(x, 0, None, None), X), np.sum(X))


def test_where_of_reductions() -> None:
    mask = np.array([True, False, True])
    same(traced(lambda x: np.add.reduce(x, where=mask), X), np.add.reduce(X, where=mask))
    np.testing.assert_array_equal(grad(lambda x: np.sum(x * x, where=mask))(X), np.where(mask, 2 * X, 0))


def test_where_of_ufuncs() -> None:
    """NumPy leaves what the mask leaves out as it was in memory: here there are zeros."""
    mask = X > 0
    same(traced(lambda x: np.log(x, where=mask), X), np.log(X, where=mask, out=np.zeros(3)), 1)
    np.testing.assert_array_equal(grad(lambda x: np.sum(np.log(x, where=mask)))(X), np.where(mask, 1 / X, 0))


OPTIONS: dict[str, Callable[[Any], Any]] = {
    "reorderable": lambda x: np.subtract.reduce(np.outer(x, x), axis=(0, 1)),
    "specify 'initial'": lambda x: np.divide.reduce(x, where=X > 0),
    "no identity": lambda x: np.fmax.reduce(x[:0]),
    "out-of-bounds": lambda x: np.add.reduceat(x, [0, 3]),
    "only supported for": lambda x: np.sin.reduce(x),
    "accumulate on a scalar": lambda x: np.hypot.accumulate(x[0]),
    "cannot specify both": lambda x: np.add(x, x, dtype=float, signature="dd->d"),
    "axes": lambda x: np.matmul(np.outer(x, x), x, axes=[(0, 1), (0,)]),
    "keepdims": lambda x: np.matmul(np.outer(x, x), x, keepdims=True),
}


@pytest.mark.parametrize("words", OPTIONS)
def test_options_and_methods_of_ufuncs_that_do_not_fit(words: str) -> None:
    with pytest.raises((ValueError, TypeError, IndexError), match=words) as caught:
        vjp(OPTIONS[words], X)
    with pytest.raises((ValueError, TypeError, IndexError)) as plain:
        OPTIONS[words](X)
    assert issubclass(caught.type, plain.type) or issubclass(plain.type, caught.type)


def test_indices_of_reduceat_must_be_known() -> None:
    starts = np.array([0, 2])
    same(jit(lambda x, i: np.hypot.reduceat(x, i))(X, starts), np.hypot.reduceat(X, starts), 2)
    with pytest.raises(TypeError, match=r"numpy\.add\.reduceat.*static"):
        vmap(lambda i: np.add.reduceat(X, i))(starts[None])


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.masked_array(X, mask=[True, False, False])
    with pytest.raises(TypeError, match="filled"):
        vjp(lambda x: x * masked, X)


class Foreign:
    """An array of another library, which handles operators itself."""

    __array_ufunc__ = None

    def __rmul__(self, other: Any) -> str:
        return "mine"

    def __rmatmul__(self, other: Any) -> str:
        return "mine"


def test_foreign_operands_have_their_say() -> None:
    seen: list[Any] = []
    vjp(lambda x: (seen.append((x * Foreign(), x @ Foreign())), x)[1], X)
    assert seen == [("mine", "mine")]


def test_text_is_refused() -> None:
    for bad in ("a", object(), np.array(["a"]), None):
        with pytest.raises(TypeError):
            vjp(lambda x, bad=bad: x * bad, X)


# ---------------------------------------------------------------------------------------------------- promotion

CODES = "?bBilefdFD"
SCALARS = (True, 2, 2.0, 2j)
POINTS = [np.ones(2, code) for code in CODES] + [np.dtype(code).type(1) for code in "?ief"] + list(SCALARS)


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """The dtype of the result, or that there is none."""
    try:
        with np.errstate(all="ignore"):  # some have no value at 1
            out = f(*args)
    except TypeError:
        return TypeError
    except OverflowError:
        return OverflowError
    return [a.dtype for a in tree.leaves(out)] if not isinstance(out, np.generic) else [out.dtype]


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.nin == 2], ids=lambda u: u.__name__)
def test_promotion_of_two_operands_is_numpys(ufunc: np.ufunc) -> None:
    """Of every two dtypes, Python numbers being weak; also where there is no such operation."""
    for a in POINTS:
        for b in POINTS:
            if a.__class__ in PYTHON_SCALARS and b.__class__ in PYTHON_SCALARS:
                continue
            want = outcome(ufunc, a, b)
            assert outcome(lambda a, b: traced(ufunc, a, b), a, b) == want, (a, b)
            assert outcome(lambda a, b: make_ir(ufunc)(a, b).out_avals, a, b) == want, (a, b)


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.nin == 1], ids=lambda u: u.__name__)
def test_promotion_of_one_operand_is_numpys(ufunc: np.ufunc) -> None:
    for a in POINTS:
        want = outcome(ufunc, a)
        assert outcome(lambda a: traced(ufunc, a), a) == want, a
        assert outcome(lambda a: make_ir(ufunc)(a).out_avals, a) == want, a


OPERATORS: dict[str, Callable[..., Any]] = {
    "+": lambda x, y: x + y,
    "/": lambda x, y: x / y,
    "//": lambda x, y: x // y,
    "<": lambda x, y: x < y,
    "&": lambda x, y: x & y,
    "@": lambda x, y: x @ y,
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_promotion_of_operators_is_numpys(operator: Callable[..., Any]) -> None:
    """Python numbers stay Python numbers among themselves."""
    check_operator(operator)


def test_promotion_of_powers_is_numpys() -> None:
    """The dtype of `x ** 2` depends on the exponent's value, so that one is not traced."""
    # The square of a NumPy boolean is an int64, but of an array of shape () an int8: a traced value may be either.
    points = [x for x in POINTS if not isinstance(x, np.bool_)]
    for exponent in (*POINTS, 0.5, -1.0, 3):
        check_operator(lambda x, y, e=exponent: x**e, points, [exponent])


def check_operator(
    operator: Callable[..., Any], points: Sequence[Any] = POINTS, others: Sequence[Any] = POINTS
) -> None:
    for a in points:
        for b in others:
            try:
                want = operator(a, b)
            except (TypeError, ValueError):
                with pytest.raises((TypeError, ValueError)):
                    traced(operator, a, b)
                continue
            have = traced(operator, a, b)
            assert (have.__class__ in PYTHON_SCALARS) == (want.__class__ in PYTHON_SCALARS), (a, b)
            assert dtype_of(have) == dtype_of(want), (a, b)
            aval = make_ir(operator)(a, b).out_avals[0]
            assert (aval.dtype, aval.weak) == (dtype_of(want), want.__class__ in PYTHON_SCALARS), (a, b)


# --------------------------------------------------------------------------------------------------- shape errors


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: x + np.ones(4),
        lambda x: x @ np.ones(4),
        lambda x: np.concatenate([x, np.ones((2, 2))]),
        lambda x: np.reshape(x, (2, 2)),
        lambda x: np.broadcast_to(x, (4,)),
        lambda x: np.einsum("i,i", x, np.ones(4)),
        lambda x: np.stack([x, x[:2]]),
        lambda x: np.squeeze(x, 0),
    ],
)
def test_shapes_that_do_not_fit(fun: Callable[..., Any]) -> None:
    """Are ValueErrors, as in NumPy, whether values are known or not."""
    with pytest.raises(ValueError):
        fun(X)
    for transform in (vjp, lambda f, x: make_ir(f)(x)):
        with pytest.raises(ValueError):
            transform(fun, X)


INDEX_ERRORS: tuple[Any, ...] = (
    3, -4, (0, 0), 1.0, "a", (Ellipsis, Ellipsis), np.array([3]), np.array([True, False]), [[0, 1], [0]],
    np.array([0.5]), (np.array([0, 1]), np.array([0, 1, 2])),
)  # fmt: skip


@pytest.mark.parametrize("index", INDEX_ERRORS, ids=str)
def test_indices_that_do_not_fit(index: Any) -> None:
    with pytest.raises((IndexError, ValueError)) as plain:
        X[index]
    with pytest.raises(plain.type):
        vjp(lambda x: x[index], X)


@pytest.mark.parametrize("axis", [3, -4, (0, 0), (0, 3)])
def test_axes_that_do_not_fit(axis: Any) -> None:
    x = np.ones((2, 3, 2))
    for fun in (np.sum, np.max, np.mean, np.squeeze, np.flip):
        with pytest.raises(ValueError):  # AxisError is one
            fun(x, axis)
        with pytest.raises(ValueError):
            vjp(lambda x, fun=fun: fun(x, axis), x)


def test_errors_are_explained() -> None:
    with pytest.raises(ShapeError, match=r"matmul.*\(3,\).*\(4,\)"):
        vjp(lambda x: x @ np.ones(4), X)
    with pytest.raises(DTypeError, match="float64"):
        vjp(lambda x: x & 1, X)
