"""Arrays as text, and questions about their memory and their dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.aliasing import is_array, state_of
from funcgrad.core import Tracer, under
from funcgrad.numpy._dispatch import array_operand, implements, operand
from funcgrad.numpy._elementwise import array_equal
from funcgrad.numpy._known import known
from funcgrad.types import broadcast_shapes, dtype_of, shape_of
from funcgrad.writes import root_of

__all__ = ["array2string", "array_equiv", "array_repr", "array_str", "einsum_path", "may_share_memory",
           "min_scalar_type", "shares_memory"]  # fmt: skip


def _text(plain: Any, arr: Any, args: Any, kwargs: Any) -> str:
    """What NumPy prints where the value is known; else the type of the traced value."""
    value = arr.concrete() if isinstance(arr, Tracer) else arr
    return repr(arr) if value is None else plain(np.asarray(value), *args, **kwargs)


@implements(np.array2string)
def array2string(a: Any, *args: Any, **kwargs: Any) -> str:
    """An array as text, as `numpy.array2string` prints it; a traced one that has no value as its type."""
    return _text(np.array2string, a, args, kwargs)


@implements(np.array_repr)
def array_repr(arr: Any, *args: Any, **kwargs: Any) -> str:
    """An array as `repr` prints it; a traced one that has no value as its type."""
    return _text(np.array_repr, arr, args, kwargs)


@implements(np.array_str)
def array_str(a: Any, *args: Any, **kwargs: Any) -> str:
    """An array as `str` prints it; a traced one that has no value as its type."""
    return _text(np.array_str, a, args, kwargs)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether two arrays have the same elements once they are broadcast against each other."""
    a1, a2 = array_operand(a1), array_operand(a2)
    try:
        shape = broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return False
    return array_equal(np.broadcast_to(a1, shape), np.broadcast_to(a2, shape))


def _stand_in(x: Any) -> Any:
    """A plain array of the same shape and dtype, without memory of its own."""
    return np.broadcast_to(np.zeros((), dtype_of(x)), shape_of(x)) if isinstance(x, Tracer) else x


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """The order in which `einsum` contracts; it depends on shapes alone."""
    path: Any = np.einsum_path
    return path(*map(_stand_in, operands), optimize=optimize, **({"einsum_call": True} if einsum_call else {}))


@implements(np.min_scalar_type)
def min_scalar_type(a: Any, /) -> np.dtype[Any]:
    """The dtype of an array; of a number the smallest that holds it, for which its value must be known."""
    x = operand(a)
    if shape_of(x):
        return dtype_of(x)
    value = known(x, "min_scalar_type", "it is asked of a number; take x.dtype")
    return np.min_scalar_type(value[()])


def _places(x: Tracer) -> tuple[Tracer, np.ndarray]:
    """The array that `x` is a view of (itself, if it is none), and which of its numbers, real or imaginary, it has."""
    root, views = root_of(x), []
    while x is not root:
        state: Any = state_of(x)
        views.append(state.view)
        x = state.base
    size = math.prod(shape_of(root))
    if dtype_of(root).kind == "c":
        numbers = 2 * np.arange(size) + 1j * (2 * np.arange(size) + 1)
    else:
        numbers = np.arange(size)
    numbers = np.reshape(numbers, shape_of(root))
    with under(None):
        for view in reversed(views):
            numbers = np.asarray(view.read(numbers))
    parts = (np.real(numbers), np.imag(numbers)) if numbers.dtype.kind == "c" else (numbers,)
    return root, np.concatenate([np.ravel(part) for part in parts]).astype(np.intp)


def _both(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The places of two views of one array; None where they cannot share memory."""
    if not (isinstance(a, Tracer) and isinstance(b, Tracer) and is_array(a) and is_array(b)):
        return None
    (one, i), (other, j) = _places(a), _places(b)
    return (i, j) if one is other and i.size and j.size else None


@implements(np.may_share_memory)
def may_share_memory(a: Any, b: Any, /, max_work: Any = 0) -> bool:
    """Whether two arrays are views of the same one, and the parts that they lie in overlap."""
    both = _both(a, b)
    if both is None:
        return False
    i, j = both
    return bool(i.min() <= j.max() and j.min() <= i.max())


@implements(np.shares_memory)
def shares_memory(a: Any, b: Any, /, max_work: Any = -1) -> bool:
    """Whether a write to one of two arrays can change the other: whether they have an element in common."""
    both = _both(a, b)
    return both is not None and bool(np.isin(*both).any())
