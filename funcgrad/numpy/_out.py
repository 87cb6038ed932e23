"""Results that are written into an array that exists: NumPy's rules for casting and broadcasting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.aliasing import is_array, operand_of
from funcgrad.conversions import write_error
from funcgrad.core import Tracer
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.types import PYTHON_SCALARS, dtype_of, is_a, shape_of
from funcgrad.writes import store

__all__ = ["as_contents", "into"]


def into(out: Any, value: Any, what: str, casting: str = "same_kind", where: Any = True, exact: bool = False) -> Any:
    """Write a result into `out`, as a ufunc with `out=` does; returns `out`.

    With `exact` its shape must be that of `out`, as for other functions.

    Raises DTypeError where the rule for casting forbids it, ShapeError where the result would have to be broadcast to
    more than the shape of `out`, TracerWriteError where `out` cannot be written to.
    """
    if not is_a(out, Tracer):
        raise write_error(what)
    if not is_array(out):
        raise TypeError(f"{what}: the output must be an array, and not a scalar of type {out.aval}")
    dtype, shape = out.dtype, out.shape  # type: ignore[attr-defined]
    have = dtype_of(value)
    if not np.can_cast(have, dtype, casting):  # type: ignore[arg-type]
        raise DTypeError(
            f"{what}: cannot cast the output from {have!r} to {dtype!r} with casting rule {casting!r}; write into an "
            f"array of {have}, x = x.astype(np.{have}), or make a new array, x = x + y"
        )
    if where is not True:
        value = np.where(where, value, operand_of(out))
    if shape_of(value) != shape:
        if exact:
            raise ShapeError(f"{what}: the output has shape {shape}, and the result {shape_of(value)}")
        value = _broadcast(value, shape, what)
    store(out, as_contents(value, dtype), what)
    return out


def _broadcast(value: Any, shape: tuple[int, ...], what: str) -> Any:
    have = shape_of(value)
    try:
        fits = np.broadcast_shapes(have, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{what}: non-broadcastable output operand with shape {shape} doesn't match the broadcast shape {have}; "
            "make a new array of that shape, x = x + y"
        )
    return np.broadcast_to(value, shape)


def as_contents(value: Any, dtype: np.dtype[Any]) -> Any:
    """A value converted to the dtype of the array that it is written into."""
    if type(value) in PYTHON_SCALARS:
        return np.asarray(value, dtype)
    return value if value.dtype == dtype and not getattr(value, "weak", False) else value.astype(dtype)
