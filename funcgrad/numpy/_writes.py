"""Writes in place: `x op= y`, `x[index] = y`, and the methods and functions that write into their arrays.

Each computes the new contents as a value, by NumPy's rules, and stores it (`aliasing.store`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.aliasing import is_array, is_view_of, operand_of, store
from funcgrad.core import Tracer
from funcgrad.numpy._contract import matmul
from funcgrad.numpy._dispatch import array_operand, foreign
from funcgrad.numpy._index import scatter_into, window_of
from funcgrad.numpy._out import as_contents, into
from funcgrad.types import PYTHON_SCALARS, is_a

__all__ = ["in_place", "install"]


def in_place(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method for `x op= y`: of an array a write, and of a scalar nothing but a new one."""

    def method(self: Any, other: Any) -> Any:
        if not is_array(self):
            return NotImplemented  # Python takes `x = x op y`
        value = compute(self, other)
        return value if value is NotImplemented else into(self, value, f"`x {symbol}= y`")

    return method


def _matmul(self: Any, other: Any) -> Any:
    if foreign(other):
        return NotImplemented
    other = array_operand(other)
    if self.ndim < 1 or other.ndim < 2:
        raise ValueError(
            "`x @= y`: the first operand needs at least one dimension and the second at least two, got "
            f"{self.shape} and {other.shape}"
        )
    return matmul(self, other)


def setitem(self: Any, index: Any, value: Any) -> None:
    """`x[index] = value`."""
    if not is_array(self):
        raise TypeError("a scalar does not support item assignment: make it an array of shape (1,), x.reshape(1)")
    if is_a(value, Tracer) and is_view_of(value, self, lambda: window_of(self, index)):
        return  # the second half of `x[index] op= value`
    store(self, scatter_into(operand_of(self), index, _assignable(value, self.dtype), False), "`x[index] = value`")


def _assignable(value: Any, dtype: np.dtype[Any]) -> Any:
    """A value to assign, of this dtype; what Python's numbers do not fit into raises as in NumPy."""
    if type(value) in PYTHON_SCALARS:
        return np.asarray(value, dtype)
    return as_contents(array_operand(value), dtype)


def fill(self: Any, value: Any) -> None:
    """`x.fill(value)`."""
    setitem(self, Ellipsis, value)


def sort(self: Any, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    """`x.sort()`: sort in place."""
    store(self, np.sort(operand_of(self), axis), "x.sort()")


def install() -> None:
    """Give tracers the methods that write."""
    Tracer.__setitem__, Tracer.fill, Tracer.sort = setitem, fill, sort  # type: ignore[attr-defined]
    Tracer.__imatmul__ = in_place("@", _matmul)  # type: ignore[attr-defined]
