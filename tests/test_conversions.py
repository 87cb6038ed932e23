"""Uses of a traced value that never reach a NumPy hook: each raises by design, or gives a value that is right."""

from __future__ import annotations

import cmath
import copy
import inspect
import math
import pickle
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import Tracer, grad, jvp, make_ir
from funcgrad.conversions import install
from funcgrad.errors import (
    CapturedArrayWriteError,
    ConcretizationTypeError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    TracerWriteError,
    UnsupportedFunctionError,
)

A = np.arange(3.0)


def store(t: Any) -> Any:
    a = np.zeros(3)
    a[0] = t
    return a.sum()


def store_row(t: Any) -> Any:
    a = np.zeros((2, 3))
    a[0] = t * np.ones(3)
    return a.sum()


def add_in_place(t: Any) -> Any:
    a = np.zeros(3)
    a += t
    return a.sum()


# What is written, the error, and a piece of the advice.
FORBIDDEN: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "np.array": (lambda t: np.array([t, t]).sum(), TracerArrayConversionError, "np.stack"),
    "np.asarray": (lambda t: np.asarray(t).sum(), TracerArrayConversionError, "funcgrad.numpy.asarray"),
    "np.asanyarray": (lambda t: np.asanyarray(t).sum(), TracerArrayConversionError, "as it is"),
    "a.dot(x)": (lambda t: A.dot(t * A), TracerArrayConversionError, "np.dot"),
    "np.arange": (lambda t: np.arange(t).sum(), TracerArrayConversionError, "np.arange(n)"),
    "np.full": (lambda t: np.full(3, t).sum(), TracerArrayConversionError, "funcgrad.numpy.full"),
    "np.full_like": (lambda t: np.full_like(A, t).sum(), TracerWriteError, "write instead"),
    "np.c_": (lambda t: np.c_[t * A, A].sum(), TracerArrayConversionError, "np.column_stack"),
    "np.r_": (lambda t: np.r_[t, 1.0].sum(), TracerArrayConversionError, "np.concatenate"),
    "np.float64": (lambda t: np.float64(t) * t, TracerArrayConversionError, "astype"),
    "np.fromiter": (lambda t: np.fromiter([t, t], float).sum(), TracerArrayConversionError, "np.stack"),
    "np.random": (lambda t: np.random.default_rng(0).normal(t), TracerArrayConversionError, "outside"),
    "a[i] = x": (store, TracerArrayConversionError, "funcgrad.at(a)"),
    "a[i] = row": (store_row, TracerArrayConversionError, "funcgrad.at(a)"),
    "a += x": (add_in_place, TracerWriteError, "a = a + x"),
    "out=": (lambda t: np.add(A, t, out=np.zeros(3)).sum(), TracerWriteError, "result"),
    "np.sum(out=)": (lambda t: np.sum(t * A, out=np.zeros(())), TracerWriteError, "result"),
    "np.copyto": (lambda t: np.copyto(np.zeros(3), t), TracerWriteError, "funcgrad.at(a)"),
    "x.resize()": (lambda t: (t * A).resize(6), TracerWriteError, "np.resize"),
    "x.setflags()": (lambda t: (t * A).setflags(write=False), TracerWriteError, "x.copy()"),
    "del x[0]": (lambda t: (t * A).__delitem__(0), TracerWriteError, "np.delete"),
    "np.savetxt": (lambda t: np.savetxt("file", t * A), UnsupportedFunctionError, "numpy.savetxt"),
}

# Functions that would compute with the number alone: the derivative would be lost.
DETACHING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "math.exp": (lambda t: math.exp(t), "np.exp"),
    "math.sqrt": (lambda t: t * math.sqrt(t), "np.sqrt"),
    "math.pow": (lambda t: math.pow(t, 2.0), "np.power"),
    "math.atan2": (lambda t: math.atan2(t, 1.0), "np.arctan2"),
    "math.erf": (lambda t: math.erf(t), "scipy.special.erf"),
    "cmath.exp": (lambda t: cmath.exp(t).real, "np.exp"),
}

ALLOWED: dict[str, tuple[Callable[[Any], Any], float]] = {
    "float": (lambda t: t * float(t), 2.0),
    "int": (lambda t: t * int(t), 2.0),
    "if": (lambda t: 3.0 * t if t > 0 else -t, 3.0),
    "while": (lambda t: next(x for x in [t * 2.0**k for k in range(9)] if float(x) > 5.0), 4.0),
    "round": (lambda t: t * round(t), 2.0),
    "math.floor": (lambda t: t * math.floor(t), 2.0),
    "math.isnan": (lambda t: t if math.isnan(t) else 5.0 * t, 5.0),
    "format": (lambda t: t * float(f"{t:.1f}"), 2.0),
    "percent": (lambda t: t * float(f"{t:.1f}"), 2.0),
    "sum": (lambda t: sum([t, t]), 2.0),
    "max": (lambda t: max(t, 1.0), 1.0),
    "sorted": (lambda t: sorted([3.0 * t, t])[0], 1.0),
    "iterate": (lambda t: sum(x for x in t * A), 3.0),
    "unpack": (lambda t: (lambda a, b, c: b + c)(*(t * A)), 3.0),
    "copy": (lambda t: copy.deepcopy([t, copy.copy(t)])[1] * 2.0, 2.0),
    "item": (lambda t: t * t.item(), 2.0),
    "tolist": (lambda t: t * (t * A).tolist()[1], 2.0),
    "in": (lambda t: t * 3.0 if 2.0 in t * A else t, 3.0),
    "len": (lambda t: len(t * A) * t, 3.0),
    "linspace": (lambda t: np.linspace(0.0, t, 5).sum(), 2.5),
    "mean": (lambda t: statistics.mean([1.0, 2.0]) * t, 1.5),
}


def line_of(fun: Callable[..., Any]) -> int:
    return inspect.getsourcelines(fun)[1]


@pytest.mark.parametrize("point", [2.0, np.array(2.0)], ids=["float", "array"])
@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_in_grad(name: str, point: Any) -> None:
    fun, kind, advice = FORBIDDEN[name]
    with pytest.raises(kind) as caught:
        grad(fun)(point)
    text = str(caught.value)
    assert advice in text
    lines, start = inspect.getsourcelines(fun)
    assert any(f"test_conversions.py:{n} " in text for n in range(start, start + len(lines))), text


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_in_make_ir(name: str) -> None:
    fun, kind, _ = FORBIDDEN[name]
    with pytest.raises(kind):
        make_ir(fun)(2.0)


@pytest.mark.parametrize("name", DETACHING)
def test_detaching(name: str) -> None:
    fun, advice = DETACHING[name]
    for run in (grad(fun), grad(grad(fun)), lambda x: jvp(fun, (x,), (1.0,))):
        for _ in range(2):  # the second time from the cache
            with pytest.raises(TracerArrayConversionError, match=advice.replace(".", r"\.")):
                run(2.0)
    with pytest.raises(TypeError):
        make_ir(fun)(2.0)


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str) -> None:
    fun, slope = ALLOWED[name]
    assert grad(fun)(2.0) == slope
    assert jvp(fun, (2.0,), (1.0,))[1] == slope
    assert grad(lambda x: grad(lambda y: x * fun(y))(2.0))(1.0) == slope


def test_abstract_values() -> None:
    cases: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
        (lambda t: t if t > 0 else -t, TracerBoolConversionError, "np.where"),
        (lambda t: t * float(t), ConcretizationTypeError, "float"),
        (lambda t: t * int(t), TracerIntegerConversionError, "static argument"),
        (lambda t: [t for _ in range(t.astype(int))], TracerIntegerConversionError, "fori_loop"),
        (lambda t: t * t.item(), ConcretizationTypeError, "item"),
        (lambda t: (t * A).tolist(), ConcretizationTypeError, "tolist"),
        (lambda t: (t * A)[t * A > 0], ConcretizationTypeError, "np.where"),
    ]
    for fun, kind, advice in cases:
        with pytest.raises(kind) as caught:
            make_ir(fun)(2.0)
        assert advice in str(caught.value)


def test_what_it_looks_like() -> None:
    seen: list[str] = []

    def fun(x: Any) -> Any:
        seen.extend([repr(x), str(x), f"{x}"])
        return np.sum(x)

    grad(fun)(np.array([1.0, 2.0]))
    assert seen == ["Traced<f64[2]> array([1., 2.])", "[1. 2.]", "[1. 2.]"]
    seen.clear()
    make_ir(fun)(np.array([1.0, 2.0]))
    assert seen == ["Traced<f64[2]>"] * 3


def test_scalars_have_no_length() -> None:
    for fun in (len, list, iter):
        with pytest.raises(TypeError, match="traced scalar"):
            grad(lambda t, fun=fun: fun(t))(2.0)


def test_pickling() -> None:
    with pytest.raises(TypeError, match="pickled"):
        grad(lambda t: pickle.dumps(t))(2.0)


def test_unhashable_like_arrays() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        grad(lambda t: {t: 1})(2.0)


def test_source_that_cannot_be_read() -> None:
    scope: dict[str, Any] = {"np": np}
    exec("def f(t):\n    return np.array([t, t]).sum()", scope)
    with pytest.raises(TracerArrayConversionError, match=r"funcgrad\.numpy"):
        grad(scope["f"])(2.0)


def test_names_are_resolved() -> None:
    from math import exp as power_of_e

    from numpy import array as make

    with pytest.raises(TracerArrayConversionError, match=r"np\.exp"):
        grad(lambda t: power_of_e(t))(2.0)
    with pytest.raises(TracerArrayConversionError, match=r"np\.stack"):
        grad(lambda t: make([t, t]).sum())(2.0)


def test_captured_array() -> None:
    buffer = np.zeros(3)

    def fun(w: Any) -> Any:
        y = w * buffer
        buffer[0] = 1.0
        return np.sum(y)

    with pytest.raises(CapturedArrayWriteError, match=rf"test_conversions\.py:{line_of(fun) + 2} "):
        grad(fun)(np.ones(3))
    buffer[0] = 2.0  # it is free again
    assert buffer[0] == 2.0


def test_installs_on_any_class_of_tracers() -> None:
    class Other(Tracer):
        __slots__ = ()

    install(Other)
    assert Other.__float__ is Tracer.__float__  # type: ignore[attr-defined]
