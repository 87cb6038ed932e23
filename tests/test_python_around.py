"""Plain Python around traced values: what it asks of them is answered as for the values they stand for."""

from __future__ import annotations

import copy
import numbers
from collections.abc import Callable, Iterable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, make_ir, vmap
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
        assert isinstance(copy.copy(x), np.ndarray) and copy.deepcopy([x])[0] is x
        assert isinstance(x[0], Iterable)  # which looks at the type as well: documented
        with pytest.raises(TypeError, match="unsized object"):
            len(x[0])
        with pytest.raises(TypeError, match="0-d array"):
            iter(x[0])
        assert len(x) == 2 and x.__len__() == 2 and [v.shape for v in x] == [(), ()]
        return np.sum(x)

    grad(f)(np.ones(2))
    jit(f)(np.ones(2))
