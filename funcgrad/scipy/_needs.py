"""SciPy, where it is used: imported then, with an error that says what is missing; and operands as SciPy takes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand, operand, strong
from funcgrad.types import PYTHON_SCALARS, aval_of, dtype_of, is_a, shape_of

__all__ = ["inexact", "inexacts", "is_traced", "rest_of", "scipy_module", "start_of", "values_only"]


def scipy_module(name: str, wanted: str) -> Any:
    """A module of SciPy, by its name without `scipy.`.

    Raises ImportError, naming what was `wanted`, where SciPy is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("scipy"):
            raise
        message = f"funcgrad.scipy.{wanted} needs SciPy, which is not installed: pip install scipy"
        raise ImportError(message, name="scipy") from error


def rest_of(name: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module: what it lacks is that of SciPy's module `name`, and takes plain arrays.

    A program that changes its imports keeps what has no derivatives (filter designs, tests, classes of options); given
    traced values these functions raise.
    """

    def get(attribute: str) -> Any:
        if not attribute.startswith("_"):
            theirs = scipy_module(name, f"{name}.{attribute}")
            if hasattr(theirs, attribute):
                return getattr(theirs, attribute)
        raise AttributeError(f"module 'funcgrad.scipy.{name}' has no attribute {attribute!r}, nor has SciPy's")

    return get


def inexact(x: Any) -> Any:
    """An operand with a floating or complex dtype: integers and truth values become float64."""
    x = operand(x)
    dtype = dtype_of(x)
    if dtype.kind in "fc":
        return x
    return np.float64(x) if type(x) in (int, bool) else array_operand(x).astype(np.float64)


def inexacts(*xs: Any) -> list[Any]:
    """Operands in the dtype that NumPy promotes them to, which is float64 where it would be no floating one.

    Python's numbers give way to arrays, as they do for NumPy: a float32 array with float parameters stays float32.
    """
    xs = tuple(map(operand, xs))
    weak = [type(x) in (int, float, bool, complex) or aval_of(x).weak for x in xs]
    strongs = [dtype_of(x) for x, w in zip(xs, weak, strict=True) if not w]
    dtype: Any = np.result_type(*(strongs or [np.float64]), *(1j for x in xs if dtype_of(x).kind == "c"))
    if dtype.kind not in "fc":
        dtype = np.dtype(np.float64)
    return [strong(x).astype(dtype) if dtype_of(x) != dtype else strong(x) for x in xs]


def is_traced(x: Any) -> bool:
    """Whether this is a traced value."""
    return isinstance(x, Tracer)


def values_only(fun: Any, derivatives_too: Any) -> Any:
    """A function without the derivatives that it also returns where SciPy is told so (`jac=True`): exact ones are at
    hand."""
    return (lambda *args, **kwargs: fun(*args, **kwargs)[0]) if derivatives_too is True else fun


def start_of(x: Any) -> Any:
    """Where a search begins: a list or tuple of numbers is an array, as for SciPy; any other pytree stays as it is."""
    if type(x) in (list, tuple) and x and all(_is_number(v) for v in x):
        return np.stack([array_operand(v) for v in x])
    return x


def _is_number(x: Any) -> bool:
    numbers = type(x) in PYTHON_SCALARS or isinstance(x, Tracer) or is_a(x, (np.generic, np.ndarray))
    return numbers and not shape_of(x)
