"""Plain Python around traced values: what it asks of them is answered as for the values they stand for."""

from __future__ import annotations

import contextlib
import copy
import math
import numbers
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcgrad import checkpoint, custom_jvp, eval_shape, grad, jit, jvp, lax, make_ir, vmap
from funcgrad.core import Tracer

# ------------------------------------------------------------------------------------------------ of what class it is


@singledispatch
def dispatched(x: object) -> str:
    return "object"


dispatched.register(np.ndarray)(lambda x: "array")
dispatched.register(np.floating)(lambda x: "floating")
dispatched.register(float)(lambda x: "float")
dispatched.register(int)(lambda x: "int")


def matched(x: Any) -> str:
    match x:
        case float():
            return "float"
        case int():
            return "int"
        case np.ndarray():
            return "array"
        case _:
            return "else"


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "ndarray": lambda x: isinstance(x, np.ndarray),
    "several": lambda x: isinstance(x, (list, tuple, np.ndarray)),
    "union": lambda x: isinstance(x, float | np.ndarray),
    "float": lambda x: isinstance(x, float),
    "int": lambda x: isinstance(x, int),
    "complex": lambda x: isinstance(x, complex),
    "generic": lambda x: isinstance(x, np.generic),
    "floating": lambda x: isinstance(x, np.floating),
    "integer": lambda x: isinstance(x, np.integer),
    "Number": lambda x: isinstance(x, numbers.Number),
    "Real": lambda x: isinstance(x, numbers.Real),
    "Integral": lambda x: isinstance(x, numbers.Integral),
    "Sequence": lambda x: isinstance(x, Sequence),
    "class": lambda x: x.__class__,
    "isscalar": np.isscalar,
    "iterable": np.iterable,
    "ndim": np.ndim,
    "callable": callable,
    "len": lambda x: hasattr(x, "__len__"),
    "array protocol": lambda x: hasattr(x, "__array__") or isinstance(x, (int, float, complex)),
    "call": lambda x: hasattr(x, "__call__"),  # noqa: B004
    "dispatched": dispatched,
    "matched": matched,
}
VALUES = {
    "array": np.array([1.0, 2.0]),
    "matrix": np.ones((2, 2), np.float32),
    "integers": np.array([1, 2], np.int8),
    "float64": np.float64(2.0),
    "float32": np.float32(2.0),
    "complex128": np.complex128(2.0),
    "int64": np.int64(2),
    "bool_": np.bool_(True),
    "float": 2.0,
    "int": 2,
    "complex": 2.0j,
}


def answers(x: Any) -> dict[str, Any]:
    return {name: ask(x) for name, ask in QUESTIONS.items()}


def asked_by(transform: Callable[..., Any], *args: Any, derived: bool = False) -> list[dict[str, Any]]:
    """The answers that a function gets which is transformed and called with these arguments."""
    found: list[dict[str, Any]] = []

    def asks(x: Any, *rest: Any) -> Any:
        y = x * 1 if derived else x
        assert isinstance(y, Tracer)
        found.append(answers(y))
        return y.real * 1.0

    transform(asks)(*args)
    return found


@pytest.mark.parametrize("derived", [False, True])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_classes_are_the_values(value: Any, derived: bool) -> None:
    want = answers(value * 1 if derived else value)
    assert asked_by(jit, value, derived=derived) == [want]
    assert asked_by(make_ir, value, derived=derived) == [want]
    if np.asarray(value).dtype.kind == "f":
        assert asked_by(lambda f: grad(lambda x: np.sum(f(x))), value, derived=derived) == [want]
        assert asked_by(lambda f: lambda x: jvp(f, (x,), (x,)), value, derived=derived) == [want]
        nested = asked_by(lambda f: jit(grad(lambda x: np.sum(f(x)))), value, derived=derived)
        assert nested == [want]
    if isinstance(value, (np.ndarray, np.generic)):
        assert asked_by(vmap, np.stack([value, value]), derived=derived) == [want]


def test_an_array_of_shape_nothing_is_an_array() -> None:
    want = answers(np.array(2.0))
    assert asked_by(grad, np.array(2.0)) == [want]


def test_plain_code_takes_the_branch_of_the_value() -> None:
    def scale(x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return [scale(v) for v in x]
        if isinstance(x, np.ndarray):
            return x / np.sum(x)
        if np.isscalar(x):
            return 3.0 * x
        raise TypeError("neither")

    def f(x: Any) -> Any:
        return np.sum(scale(x)) + scale(x[0]) + scale(np.sum(x))

    x = np.array([1.0, 2.0])
    assert jit(f)(x) == f(x) == vmap(f)(x[None])[0]
    np.testing.assert_allclose(grad(f)(x), [6.0, 3.0])


def test_the_tracer_is_itself_for_the_library() -> None:
    def f(x: Any) -> Any:
        assert type(x) is not np.ndarray and issubclass(type(x), Tracer) and isinstance(x, Tracer)
        for other in (
            copy.copy(x),
            copy.deepcopy([x])[0],
        ):  # as those of an array: one can be written to without the other
            assert isinstance(other, np.ndarray) and other is not x
        assert isinstance(x[0], Iterable)  # which looks at the type as well: documented
        with pytest.raises(TypeError, match="unsized object"):
            len(x[0])
        with pytest.raises(TypeError, match="0-d array"):
            iter(x[0])
        assert len(x) == 2 and x.__len__() == 2 and [v.shape for v in x] == [(), ()]
        return np.sum(x)

    grad(f)(np.ones(2))
    jit(f)(np.ones(2))


# ---------------------------------------------------------------------------- questions that the user's code catches


def catches_exception(x: Any) -> Any:
    try:
        return x * 2 if x > 0 else x * 3
    except Exception:
        return x * 100


def catches_all(x: Any) -> Any:
    try:
        return x * 2 if x > 0 else x * 3
    except:  # noqa: E722
        return x * 100


def catches_base(x: Any) -> Any:
    try:
        return x * 2 if x > 0 else x * 3
    except BaseException:
        return x * 100


def returns_at_last(x: Any) -> Any:
    y = x * 100
    try:
        y = x * 2 if x > 0 else x * 3
    finally:
        return y  # noqa: B012


def suppresses(x: Any) -> Any:
    y = x * 100
    with contextlib.suppress(BaseException):
        y = x * 2 if x > 0 else x * 3
    return y


def generates(x: Any) -> Any:
    def values() -> Any:
        try:
            yield x * 2 if x > 0 else x * 3
        except Exception:
            yield x * 100

    return next(values())


def retries(x: Any) -> Any:
    while True:
        try:
            return x * 2 if x > 0 else x * 3
        except Exception:
            continue


def raises_another(x: Any) -> Any:
    try:
        return x * 2 if x > 0 else x * 3
    except TypeError as error:
        raise ValueError("no number") from error


def leaves_the_program(x: Any) -> Any:
    try:
        return x * 2 if x > 0 else x * 3
    except BaseException:
        sys.exit(1)


def asks_by_float(x: Any) -> Any:
    try:
        return x * 2 if float(x) > 0 else x * 3
    except Exception:
        return x * 100


def asks_by_index(x: Any) -> Any:
    try:
        return x * [2, 3][int(x < 0)]
    except Exception:
        return x * 100


def asks_by_mask(x: Any) -> Any:
    try:
        z = np.stack([x, x, -x])
        return x * (len(z[z > 0]) if x > 0 else 3)
    except Exception:
        return x * 100


def asks_in_an_inner_jit(x: Any) -> Any:
    try:
        return jit(lambda x: x * 2 if x > 0 else x * 3)(x)
    except Exception:
        return x * 100


def asks_in_a_checkpoint(x: Any) -> Any:
    try:
        return checkpoint(lambda x: x * 2 if x > 0 else x * 3)(x)
    except Exception:
        return x * 100


@custom_jvp
def custom(x: Any) -> Any:
    return x * 2 if x > 0 else x * 3


custom.defjvps(lambda t, out, x: t * (2 if x > 0 else 3))


def asks_in_a_custom_rule(x: Any) -> Any:
    try:
        return custom(x)
    except Exception:
        return x * 100


CATCHING = [catches_exception, catches_all, catches_base, returns_at_last, suppresses, generates, retries,
            raises_another, leaves_the_program, asks_by_float, asks_by_index, asks_by_mask, asks_in_an_inner_jit,
            asks_in_a_checkpoint, asks_in_a_custom_rule]  # fmt: skip
HANGING = [retries]  # without a value, which is their own doing


@pytest.mark.parametrize("fun", CATCHING, ids=lambda f: f.__name__)
def test_what_was_caught_is_not_compiled(fun: Any) -> None:
    want = [2.0, -3.0, 4.0, -6.0]
    compiled, gradient, outer = jit(fun), jit(grad(fun)), jit(lambda x: jit(fun)(x) + 0.0)
    values = [1.0, -1.0, 2.0, -2.0]
    if fun is asks_by_float:  # where values differ in each call nothing is compiled, with a warning
        values, want = values[:2], want[:2]
    assert [compiled(x) for x in values] == want
    assert [outer(x) for x in values] == want
    if fun is not asks_by_mask:
        assert [grad(fun)(x) for x in values] == [gradient(x) for x in values] == [2.0, 3.0, 2.0, 3.0][: len(values)]


ABSTRACT: dict[str, Callable[[Any, Any], Any]] = {
    "vmap": lambda f, x: vmap(f)(np.array([x, -x])),
    "make_ir": lambda f, x: make_ir(f)(x),
    "eval_shape": eval_shape,
    "jit without guards": lambda f, x: jit(f, guards=False)(x),
    "scan in jit": lambda f, x: jit(lambda x: lax.scan(lambda c, y: (c, f(y)), x, np.arange(3.0) - x))(x),
    "cond in jit": lambda f, x: jit(lambda x: lax.cond(x > 9, f, lambda x: x * 0.5, x))(x),
    "vmap in jit": lambda f, x: jit(vmap(f))(np.array([x, -x])),
    "grad of vmap": lambda f, x: grad(lambda x: np.sum(vmap(f)(x)))(np.array([x, -x])),
    "vmap of grad": lambda f, x: vmap(grad(f))(np.array([x, -x])),
}


@pytest.mark.parametrize("way", ABSTRACT.values(), ids=ABSTRACT)
@pytest.mark.parametrize("fun", [f for f in CATCHING if f not in HANGING], ids=lambda f: f.__name__)
def test_what_was_caught_is_an_error_where_there_is_no_value(fun: Any, way: Any) -> None:
    kinds = {raises_another: (ValueError, TypeError), leaves_the_program: (SystemExit, TypeError)}
    with pytest.raises(kinds.get(fun, TypeError)) as caught:
        way(fun, 1.0)
    if fun not in kinds and "inner" not in fun.__name__ and "mask" not in fun.__name__:
        assert Path(__file__).name in str(caught.value)


def array_of_it(x: Any) -> Any:
    try:
        return x * np.asarray(x)
    except Exception:
        return x * 100


def number_of_it(x: Any) -> Any:
    try:
        return x * np.float64(x)
    except Exception:
        return x * 100


def written_into(x: Any) -> Any:
    a = np.zeros(1)
    with contextlib.suppress(Exception):
        a[0] = x
    return x * a[0]


DIFFERENTIATED = {
    "grad": lambda f: grad(f)(2.0),
    "jvp": lambda f: jvp(f, (2.0,), (1.0,)),
    "jit of grad": lambda f: jit(grad(f))(2.0),
    "grad of jit": lambda f: grad(jit(f))(2.0),
    "vmap": lambda f: vmap(f)(np.ones(2)),
    "jit": lambda f: jit(f)(2.0),
}


@pytest.mark.parametrize("way", DIFFERENTIATED.values(), ids=DIFFERENTIATED)
@pytest.mark.parametrize("fun", [array_of_it, number_of_it, written_into], ids=lambda f: f.__name__)
def test_a_refused_conversion_that_was_caught_is_an_error(fun: Any, way: Any) -> None:
    with pytest.raises(TypeError, match="went on"):
        way(fun)


def test_what_numpy_refuses_as_well_may_be_caught() -> None:
    def f(x: Any) -> Any:
        try:
            return math.exp(x)  # of one number
        except TypeError:
            return np.sum(np.exp(x))

    x = np.array([0.5, 1.0])
    assert f(x) == jit(f)(x)
    np.testing.assert_allclose(grad(f)(x), np.exp(x))


def test_a_refusal_is_forgotten() -> None:
    """One refusal does not make every later use of the same function fail."""
    with pytest.raises(TypeError, match="went on"):
        vmap(catches_exception)(np.array([1.0, -1.0]))
    np.testing.assert_array_equal(vmap(lambda x: x * 2)(np.array([1.0])), [2.0])
    assert jit(catches_exception)(-1.0) == -3.0


def test_a_function_with_another_way_for_what_fails_anyhow() -> None:
    """What raises whatever the values may be caught: without `jit` it is caught as well."""

    def f(x: Any) -> Any:
        try:
            return np.sum(vmap(lambda x: x if x > 0 else -x)(x))
        except TypeError:
            return np.sum(np.abs(x))

    x = np.array([1.0, -2.0])
    assert f(x) == jit(f)(x) == jit(f)(x) == 3.0
    np.testing.assert_array_equal(jit(grad(f))(x), [1.0, -1.0])
