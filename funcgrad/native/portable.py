"""Calls of native programs by way of ctypes, where the layout of objects in memory is not as machine code expects it.

It takes some microseconds longer than the builtin function of `entry.py`, and gives the same.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.native.code import AGAIN
from funcgrad.native.entry_words import FLAGS, FRAME
from funcgrad.native.frames import Frame, Maker, converted, mask

__all__ = ["Portable"]


class Portable:
    """A native program as a function of flat inputs.

    Args:
        make: makes its frames.
        odd: what arguments are given to that are not of the program's kind.
        again: what the arguments of calls are given to that NumPy is to run again.
    """

    __slots__ = ("_again", "_flags", "_guarded", "_make", "_odd", "_pool")

    def __init__(self, make: Maker, odd: Callable[..., Any], again: Callable[..., Any]) -> None:
        self._make, self._odd, self._again = make, odd, again
        self._pool: deque[Frame] = deque()
        integer = ctypes.c_int32
        self._guarded = ctypes.PYFUNCTYPE(integer, ctypes.c_void_p, ctypes.c_void_p, integer)(make.shared["guarded"])
        self._flags = ctypes.PYFUNCTYPE(integer)(make.shared["flags"])

    def __call__(self, *args: Any) -> Any:
        code = self._make.code
        given = converted(args, code.inputs)
        if given is None:
            return self._odd(*args)
        inputs = [np.asarray(x, aval.dtype) for x, aval in zip(given, code.inputs, strict=True)]
        outputs = [np.empty(aval.shape, aval.dtype) for aval in code.outputs]
        try:
            frame = self._pool.pop()
        except IndexError:
            frame = self._frame()
        arrays = [*inputs, *outputs]
        frame.table[: len(arrays)] = [x.ctypes.data for x in arrays]
        table, flush = frame.table.ctypes.data, self._make.flush
        try:
            status = self._guarded(self._make.library["table"], table, flush)  # raises what a host step has raised
        finally:
            before, frame.words[FRAME["flags"]] = int(frame.words[FRAME["flags"]]), 0
            self._pool.append(frame)
        flags = (status >> 8 | before) & FLAGS
        if status & AGAIN or flags & mask():
            return self._again(*args)
        found = zip(outputs, code.outputs, strict=True)
        return tuple(x if aval.shape else x.item() if aval.weak else x[()] for x, aval in found)

    def _frame(self) -> Frame:
        """A frame whose host steps note down the flags that were raised before them."""
        frame = self._make.frame()
        frame.steps[:] = [self._noting(step, frame.words) for step in frame.steps]
        if frame.steps:
            frame.table[-len(frame.steps) :] = list(map(id, frame.steps))
        return frame

    def _noting(self, step: Callable[[], None], words: np.ndarray) -> Callable[[], None]:
        flags = self._flags

        def run() -> None:
            words[FRAME["flags"]] |= flags()
            step()

        return run
