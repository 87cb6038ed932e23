"""Traced integers and booleans carry no derivative: plain arrays take them as places and masks, where they have values.

Each row is a function of an array that NumPy can run as it stands. It mixes plain arrays with places and conditions
that depend on the argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, make_ir, value_and_grad, vmap
from funcgrad.errors import GuardLimitWarning, TracerArrayConversionError, TracerWriteError
from funcgrad.test_util import check_grads

X = np.array([3.1, 1.2, 2.2])
Y = np.array([10.0, 20.0, 30.0])
POINTS = [X, X[::-1].copy(), X + 1.7, np.array([2.5, 2.6, 0.2])]

READS: dict[str, Callable[[Any], Any]] = {
    "order": lambda x: np.sum(Y[np.argsort(x)] * x),
    "order in two dimensions": lambda x: np.sum(np.outer(Y, Y)[np.argsort(x), :2] * x[:, None]),
    "place among places": lambda x: np.sum(np.outer(Y, Y)[np.argsort(x), np.argmax(x)] * x),
    "open mesh": lambda x: np.sum(np.outer(Y, Y)[np.ix_(np.argsort(x), np.argsort(-x))] * x),
    "mask": lambda x: np.sum(Y[x > 1.5]) * x[0],
    "list of places": lambda x: Y[[np.argmax(x), 0]].sum() * x[1],
    "bins": lambda x: np.sum(Y[np.searchsorted([1.5, 2.4], x)] * x),
    "whole numbers": lambda x: np.sum(Y[np.minimum(x.astype(int), 2)] * x),
    "take": lambda x: np.take(Y, np.argmax(x)) * x[0],
    "roll": lambda x: np.sum(np.roll(Y, np.argmax(x)) * x),
    "array of numbers": lambda x: np.sum(np.array([np.argmax(x), 2]) * x[:2]),
    "plain copy": lambda x: np.sum(np.asarray(np.argsort(x)) * x),
}


def _written(write: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def fun(x: Any) -> Any:
        a = np.zeros(3)
        write(a, x)
        return np.sum(a * x**2)

    return fun


WRITES: dict[str, Callable[[Any], Any]] = {
    "a[order] = y": _written(lambda a, x: a.__setitem__(np.argsort(x), Y)),
    "a[mask] = 5": _written(lambda a, x: a.__setitem__(x > 1.5, 5.0)),
    "a += mask": _written(lambda a, x: np.add(a, x > 1.5, out=a)),
    "add.at": _written(lambda a, x: np.add.at(a, np.argsort(x) // 2, Y)),
    "put": _written(lambda a, x: np.put(a, np.argsort(x), Y)),
    "copyto": _written(lambda a, x: np.copyto(dst=a, src=Y, where=x > 1.5)),
    "putmask": _written(lambda a, x: np.putmask(a, x > 1.5, Y)),
    "place": _written(lambda a, x: np.place(a, x > 1.5, [7.0, 8.0])),
    "put_along_axis": _written(lambda a, x: np.put_along_axis(a, np.argsort(x)[:2], 4.0, 0)),
    "out of a function": _written(lambda a, x: np.cumsum(np.argsort(x), out=a)),
}
ROWS = READS | WRITES


@pytest.fixture(autouse=True)
def many_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.executor.guards._DIFFERENT", 99)


@pytest.mark.parametrize("fun", ROWS.values(), ids=ROWS)
def test_as_numpy_has_it(fun: Callable[[Any], Any]) -> None:
    compiled, slope = jit(fun), jit(value_and_grad(fun))
    for x in POINTS * 2:
        want = fun(x)
        value, tangent = jvp(fun, (x,), (np.ones(3),))
        np.testing.assert_allclose([value, compiled(x), slope(x)[0], value_and_grad(fun)(x)[0]], want, rtol=1e-14)
        np.testing.assert_allclose(slope(x)[1], grad(fun)(x), rtol=1e-14)
        np.testing.assert_allclose(tangent, np.sum(grad(fun)(x)), rtol=1e-12)
        check_grads(fun, (x,), order=2)


@pytest.mark.parametrize("fun", ROWS.values(), ids=ROWS)
def test_without_values_they_raise(fun: Callable[[Any], Any]) -> None:
    for run in (make_ir(fun), lambda x: vmap(fun)(x[None])):
        with pytest.raises((TracerArrayConversionError, TracerWriteError)):
            run(X)


def test_what_has_a_derivative_is_not_written() -> None:
    """An index has values, but what is written there carries a derivative."""
    for write in (lambda a, x: np.add.at(a, np.argsort(x), x), lambda a, x: a.__setitem__(np.argsort(x), x)):
        for run in (grad(_written(write)), jit(_written(write))):
            with pytest.raises((TracerArrayConversionError, TracerWriteError)):
                run(X)


def test_jit_asks_for_elements_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.executor.guards._DIFFERENT", 3)
    compiled = jit(READS["order"])
    with pytest.warns(GuardLimitWarning, match=r"elements of an array that differ at each call.*asarray"):
        for x in (X, X[[1, 0, 2]], X[[2, 1, 0]], X[[0, 2, 1]]):
            assert compiled(x) == READS["order"](x)
