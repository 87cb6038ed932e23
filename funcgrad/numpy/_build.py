"""Arrays put together by indexing (`r_`, `c_`), and what else makes arrays of others, of numbers or of functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from funcgrad._array import wrap
from funcgrad.aliasing import alias, strides_of
from funcgrad.core import Tracer
from funcgrad.numpy._create import asarray, linspace
from funcgrad.numpy._dispatch import array_operand, operand
from funcgrad.numpy._shape import ravel, reshape
from funcgrad.strides import is_contiguous
from funcgrad.types import is_a, result_dtype

__all__ = ["asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "c_", "fromiter", "isfortran",
           "kaiser", "r_", "require"]  # fmt: skip


class Concatenator:
    """`numpy.r_` and `numpy.c_`, which take traced values too.

    >>> import funcgrad.numpy as fnp
    >>> from funcgrad import grad
    >>> grad(lambda x: fnp.r_[x, 0:3, 2 * x].sum())(1.0)
    3.0
    """

    def __init__(self, name: str, axis: int, ndmin: int, trans1d: int) -> None:
        self.name, self.axis, self.ndmin, self.trans1d = name, axis, ndmin, trans1d
        self.plain = getattr(np, name)

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not any(map(_traced, items)):
            return wrap(self.plain[key])
        axis, ndmin, trans1d = self.axis, self.ndmin, self.trans1d
        if isinstance(items[0], str):
            axis, ndmin, trans1d = self._directive(items[0])
            items = items[1:]
        if any(isinstance(item, str) for item in items):
            raise ValueError(f"numpy.{self.name}: special directives must be the first entry.")
        entries = [_range(item) if isinstance(item, slice) else operand(item) for item in items]
        dtype = result_dtype(*entries)
        swap = [isinstance(item, slice) for item in items]
        parts = [_part(x, ndmin, trans1d, s).astype(dtype) for x, s in zip(entries, swap, strict=True)]
        return np.concatenate(parts, axis) if len(parts) > 1 else parts[0]

    def _directive(self, text: str) -> tuple[int, int, int]:
        """The axis, the least number of dimensions, and where those of smaller arrays go, from text such as "0,2"."""
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            raise ValueError(
                f"numpy.{self.name}: {text!r} makes a matrix, whose * means @, of traced values; use np.stack, "
                "np.column_stack or a directive such as '0,2'"
            ) from None
        axis, ndmin, trans1d = (*numbers, *(self.axis, self.ndmin, self.trans1d)[len(numbers) :])[:3]
        return axis, ndmin, trans1d


def _traced(x: Any) -> bool:
    if isinstance(x, slice):
        return any(isinstance(end, Tracer) for end in (x.start, x.stop, x.step))
    return isinstance(x, Tracer) or (isinstance(x, (list, tuple)) and any(map(_traced, x)))


def _part(x: Any, ndmin: int, trans1d: int, swap: bool) -> Any:
    """An entry as an array of at least `ndmin` dimensions; one made by a slice has its axis swapped there."""
    x = array_operand(x)
    more = ndmin - x.ndim
    if more <= 0:
        return x
    new = np.reshape(x, (1,) * more + x.shape)
    if trans1d == -1 or not x.ndim:
        return new
    if swap:
        return np.swapaxes(new, -1, trans1d)
    first = trans1d + more + 1 if trans1d < 0 else trans1d
    axes = list(range(ndmin))
    return np.transpose(new, axes[:first] + axes[more:] + axes[first:more])


def _range(item: slice) -> Any:
    """`start:stop:step`; with an imaginary step, so many numbers from start to stop, both included."""
    step = item.step
    if type(step) is complex:
        return linspace(0 if item.start is None else item.start, item.stop, int(abs(step)))
    return np.arange(0 if item.start is None else item.start, item.stop, 1 if step is None else step)


r_, c_ = Concatenator("r_", 0, 1, -1), Concatenator("c_", -1, 2, 0)


def asanyarray(a: Any, dtype: Any = None, order: Any = None, **kwargs: Any) -> Any:
    """As `asarray`."""
    return asarray(a, dtype) if _traced(a) else np.asanyarray(a, dtype, order, **kwargs)


def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """An array of at least one dimension that lies in memory row by row: `a` itself or a copy."""
    if not _traced(a):
        return np.ascontiguousarray(a, dtype)
    return _laid_out(np.atleast_1d(asarray(a, dtype)), "C")


def asfortranarray(a: Any, dtype: Any = None) -> Any:
    """An array that lies in memory column by column: `a` itself or a copy."""
    if not _traced(a):
        return np.asfortranarray(a, dtype)
    return _laid_out(asarray(a, dtype), "F")


def _laid_out(x: Any, order: str) -> Any:
    """The array itself if it is known to lie so in memory, a copy if it is known not to; else nobody knows which."""
    strides = strides_of(x)
    if strides is None:
        return reshape(ravel(x, order), x.shape, order) if x.ndim > 1 else x
    step = 1 if order == "C" else -1
    return x if is_contiguous(x.shape[::step], strides[::step]) else alias(x, order)


def isfortran(a: Any) -> bool:
    """Whether an array lies in memory column by column, and not row by row."""
    return np.isfortran(a)


def require(a: Any, dtype: Any = None, requirements: Any = None) -> Any:
    """An array with the properties that are required of it; a traced one has those that can be asked for."""
    if not _traced(a):
        return np.require(a, dtype, requirements)
    letters = {str(r).upper()[0] for r in requirements or ()}
    x = asarray(a, dtype)
    x = asfortranarray(x) if "F" in letters else ascontiguousarray(x) if "C" in letters else x
    return alias(x, "K") if letters & {"O", "W"} and is_a(x, Tracer) else x


def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """As `asarray`; raises ValueError if an element is infinite or NaN."""
    if not _traced(a):
        return np.asarray_chkfinite(a, dtype, order)
    x = asarray(a, dtype)
    if x.dtype.kind in "fc" and not np.all(np.isfinite(x)):
        raise ValueError("array must not contain infs or NaNs")
    return x


def fromiter(iter: Iterable[Any], dtype: Any, count: int = -1) -> Any:
    """A one-dimensional array of the numbers that an iterable gives, traced ones among them."""
    items = list(iter) if count < 0 else [x for x, _ in zip(iter, range(count), strict=False)]
    if not any(map(_traced, items)):
        return np.fromiter(items, dtype, len(items))
    if len(items) < count:
        raise ValueError(f"iterator too short: expected {count} but iterator had only {len(items)} items.")
    return np.stack([array_operand(x) for x in items]).astype(dtype)


def kaiser(M: int, beta: Any) -> Any:
    """The Kaiser window of M points, differentiable by its parameter `beta`: I₀(β √(1 - t²)) / I₀(β), |t| <= 1."""
    if not isinstance(beta, Tracer):
        return np.kaiser(M, beta)
    if M <= 1:
        return np.ones(max(M, 0))
    half = (M - 1) / 2.0
    t, b = (np.arange(M) - half) / half, array_operand(beta)
    return np.i0(b * np.sqrt(1 - t * t)) / np.i0(b)
