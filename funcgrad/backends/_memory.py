"""Too little memory on a device: one class of errors for all libraries, and nothing is kept when it is raised."""

from __future__ import annotations

from traceback import clear_frames
from typing import Any

import numpy as np

from funcgrad.backends.base import Backend
from funcgrad.errors import OutOfDeviceMemoryError
from funcgrad.ir import Program
from funcgrad.types import ShapedArray

__all__ = ["bytes_of", "placed", "raise_if_out_of_memory"]


def bytes_of(aval: ShapedArray) -> int:
    """How many bytes such an array takes."""
    return aval.size * aval.dtype.itemsize


def placed(backend: Backend, x: np.ndarray) -> Any:
    """An array of the host on a device. Raises OutOfDeviceMemoryError where it does not fit there."""
    try:
        return backend.asarray(x)
    except Exception as error:
        text = _out_of_memory(backend, error)
        if text is None:
            raise
        raise OutOfDeviceMemoryError(
            f"{backend.name}: out of memory for an array that goes there, {ShapedArray(x.shape, x.dtype)}, of "
            f"{x.nbytes:,} bytes ({text}): delete arrays that are not needed (x.delete()), or send smaller ones"
        ) from None


def raise_if_out_of_memory(backend: Backend, error: Exception, program: Program, scratch: int) -> None:
    """Raise OutOfDeviceMemoryError for what the library of a device raises; the values of the program, which the
    traceback holds, are dropped first, so that the next call finds their memory."""
    text = _out_of_memory(backend, error)
    if text is None:
        return
    results = sum(map(bytes_of, program.out_avals))
    raise OutOfDeviceMemoryError(
        f"{backend.name}: out of memory in a program of {len(program.equations)} operations, whose results take "
        f"{results:,} bytes and whose values, as far as known, {scratch:,} at once ({text}). What it had computed is "
        "gone, and arrays donated to it too; a smaller batch, donate_argnums, checkpoint, or a smaller dtype needs less"
    ) from None


def _out_of_memory(backend: Backend, error: Exception) -> str | None:
    """What the library says if an error, or one behind it, is that there is too little memory; None otherwise. All that
    the tracebacks hold is dropped then."""
    tells = getattr(backend, "is_out_of_memory", None)
    cause: BaseException | None = error if tells is not None else None
    while cause is not None and not (isinstance(cause, Exception) and tells(cause)):  # type: ignore[misc]
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    text = str(cause).partition("\n")[0]
    seen: BaseException | None = error
    while seen is not None:
        clear_frames(seen.__traceback__)
        seen.__traceback__, seen = None, seen.__cause__ or seen.__context__
    backend.free_memory()
    return text
