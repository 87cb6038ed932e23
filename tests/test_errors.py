"""What a mistake looks like: the operation, the shapes, the user's line, what to do; nothing of funcgrad's inside."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import config, grad, jvp, make_ir, vmap
from funcgrad.errors import DTypeError, ShapeError, UnsupportedFunctionError
from funcgrad.source import is_internal

X = np.ones((5, 3))

MISTAKES: dict[str, tuple[Callable[[Any], Any], type[Exception], list[str]]] = {
    "add": (lambda x: x + np.ones(7), ShapeError, ["add", "f64[5,3]", "f64[7]", "reshape"]),
    "matmul": (lambda x: x @ np.ones((4, 2)), ShapeError, ["(5, 3)", "(4, 2)", "(size 4)"]),
    "dot": (lambda x: np.dot(x, np.ones(5)), ShapeError, ["dot_general", "f64[5,3]", "f64[5]", "equal"]),
    "einsum": (lambda x: np.einsum("ij,jk->ik", x, np.ones((4, 2))), ShapeError, ["'j'", "3", "4"]),
    "reshape": (lambda x: x.reshape(4, 4), ShapeError, ["reshape", "(5, 3)", "(4, 4)"]),
    "concatenate": (lambda x: np.concatenate([x, np.ones((2, 2))]), ShapeError, ["concatenate", "(2, 2)"]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (5, 4)), ShapeError, ["broadcast", "(5, 4)"]),
    "solve": (lambda x: np.linalg.solve(x, x), np.linalg.LinAlgError, ["f64[5,3]", "square"]),
    "bitwise": (lambda x: x & 1, DTypeError, ["and", "float64", "astype"]),
    "sum": (lambda x: np.sum(x, axis=2), ValueError, ["axis 2"]),
    "index": (lambda x: x[5], IndexError, ["5", "(5, 3)"]),
    "too many": (lambda x: x[0, 0, 0], IndexError, ["too many", "(5, 3)"]),
    "unknown": (lambda x: np.savetxt("file", x), UnsupportedFunctionError, ["numpy.savetxt"]),
    "unknown ufunc": (lambda x: np.frompyfunc(abs, 1, 1)(x), UnsupportedFunctionError, ["abs"]),
    "max of nothing": (lambda x: np.max(x[:0], axis=0), ShapeError, ["reduce_max", "initial"]),
}


def where_of(error: BaseException) -> list[traceback.FrameSummary]:
    return traceback.extract_tb(error.__traceback__)


@pytest.mark.parametrize("name", MISTAKES)
def test_messages(name: str) -> None:
    fun, kind, words = MISTAKES[name]
    runs = [grad(lambda x: np.sum(fun(x))), make_ir(fun), lambda x: jvp(fun, (x,), (x,)), vmap(fun)]
    for run in runs[:3]:
        with pytest.raises(kind) as caught:
            run(X)
        text = str(caught.value)
        assert all(word in text for word in words), text
        line = f"test_errors.py:{fun.__code__.co_firstlineno} "
        assert line in text or isinstance(caught.value, np.exceptions.AxisError), text  # AxisError has its own words
        last = where_of(caught.value)[-1]
        assert last.filename.endswith("test_errors.py") and last.lineno == fun.__code__.co_firstlineno


def test_the_line_is_in_the_message() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        return y + np.ones(7)

    with pytest.raises(ShapeError, match=rf"test_errors\.py:{f.__code__.co_firstlineno + 2} \(f\)"):
        grad(f)(X)


def test_frames_are_folded_and_stay_reachable() -> None:
    def f(x: Any) -> Any:
        return grad(lambda y: np.sum(x + np.ones(7)))(1.0)

    with pytest.raises(ShapeError) as caught:
        grad(f)(X)
    inside = [s for s in where_of(caught.value) if is_internal(s.filename)]
    assert len(inside) <= 2  # one for each call of a gradient
    whole = traceback.extract_tb(caught.value.full_traceback)  # type: ignore[attr-defined]
    assert len(whole) > len(where_of(caught.value))
    config.full_tracebacks = True
    with pytest.raises(ShapeError) as caught:
        grad(f)(X)
    assert len([s for s in where_of(caught.value) if is_internal(s.filename)]) > 5


def test_the_users_own_errors_pass_unchanged() -> None:
    class Mine(Exception):
        pass

    def f(x: Any) -> Any:
        raise Mine("here") from KeyError("there")

    with pytest.raises(Mine, match="here") as caught:
        grad(f)(1.0)
    assert isinstance(caught.value.__cause__, KeyError)


def test_floating_point_errors_say_where() -> None:
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError) as caught:
        grad(lambda x: np.sum(np.log(x)))(np.zeros(3))
    assert "test_errors.py" in caught.value.__notes__[0]


def test_config_refuses_unknown_names() -> None:
    with pytest.raises(AttributeError, match="source_lines"):
        config.update("no_such_thing", True)
    with pytest.raises(AttributeError):
        config.no_such_thing = True  # type: ignore[attr-defined]
