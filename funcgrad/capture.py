"""Keeping the arrays that a derivative in progress needs from changing underneath it.

NumPy arrays can be written to, and a reverse pass that reads an array after it changed gives a silently wrong gradient.
So a recording *locks* the arrays that it captures (`flags.writeable`) until it is done with them: a write in between
raises. A view is copied, since its base can be written to without the view noticing; a large view is locked together
with its bases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Captures", "is_write_error"]

_COPY_LIMIT = 1 << 20
"""Views up to this many bytes are copied (about 0.1 ms for the largest); larger ones are locked with their bases."""


class Captures:
    """The arrays that one recording has captured."""

    __slots__ = ("copies", "locked")

    def __init__(self) -> None:
        self.locked: dict[int, tuple[np.ndarray, bool]] = {}
        self.copies: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def hold(self, array: np.ndarray) -> np.ndarray:
        """An array of the same values that cannot change before `release`: `array` itself where possible."""
        if array.__class__ is not np.ndarray:  # a subclass may mean something else by `*`, and costs time in each call
            array = array.view(np.ndarray)
        if id(array) in self.locked:
            return array
        if array.base is None:
            self._lock(array)
            return array
        if array.nbytes > _COPY_LIMIT:
            link: Any = array
            while isinstance(link, np.ndarray) and id(link) not in self.locked:
                self._lock(link)
                link = link.base
            return array
        known = self.copies.get(id(array))
        if known is not None and known[1].tobytes() == array.tobytes():
            return known[1]
        copy = array.copy()
        self.copies[id(array)] = array, copy
        return copy

    def _lock(self, array: np.ndarray) -> None:
        writeable = array.flags.writeable
        self.locked[id(array)] = array, writeable
        if writeable:
            array.flags.writeable = False

    def release(self) -> None:
        """Give every array back as it was."""
        for array, writeable in reversed(self.locked.values()):  # a base before its views
            if writeable:
                array.flags.writeable = True
        self.locked, self.copies = {}, {}


def is_write_error(error: BaseException) -> bool:
    """Whether `error` is NumPy's refusal to write to a locked array."""
    return isinstance(error, ValueError) and "read-only" in str(error)
