"""Keeping the arrays that a derivative in progress needs from changing underneath it.

NumPy arrays can be written to, and a reverse pass that reads an array after it changed gives a silently wrong gradient.
So a recording *locks* the arrays that it captures (`flags.writeable`) until it is done with them: a write in between
raises. A view is copied, since its base can be written to without the view noticing; a large view is locked together
with its bases.
"""

from __future__ import annotations

import sys
from _thread import RLock
from typing import Any

import numpy as np

from funcgrad.types import is_a
from funcgrad.write_target import possible_targets

__all__ = ["Captures", "is_write_error"]

_COPY_LIMIT = 1 << 20
"""Views up to this many bytes are copied (about 0.1 ms for the largest); larger ones are locked with their bases."""


class _Lock:
    """An array that recordings have locked.

    Attributes:
        array: the array.
        holders: how many recordings need it.
        writeable: what it was before.
    """

    __slots__ = ("array", "holders", "writeable")

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.holders, self.writeable = array, 0, array.flags.writeable


_locks: dict[int, _Lock] = {}
"""Every locked array, by id. One that several recordings need (nested, or in several threads) is freed by the last."""
_waiting: list[_Lock] = []
"""Views that nobody needs any more, but whose base is still locked: NumPy frees a view only after its base."""
_guard = RLock()  # reentrant: a finalizer may run a derivative while this thread is here


class Captures:
    """The arrays that one recording has captured."""

    __slots__ = ("copies", "locked")

    def __init__(self) -> None:
        self.locked: dict[int, _Lock] = {}
        self.copies: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def hold(self, array: np.ndarray) -> np.ndarray:
        """An array of the same values that cannot change before `release`: `array` itself where possible."""
        if type(array) is not np.ndarray:  # a subclass may mean something else by `*`, and costs time in each call
            array = array.view(np.ndarray)
        if id(array) in self.locked:
            return array
        if array.base is None:
            self._lock(array)
            return array
        if array.nbytes > _COPY_LIMIT:
            link: Any = array
            while is_a(link, np.ndarray) and id(link) not in self.locked:
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
        with _guard:
            lock = _locks.get(id(array))
            if lock is None:
                lock = _locks[id(array)] = _Lock(array)
            lock.holders += 1
            self.locked[id(array)] = lock
            if lock.writeable:
                array.flags.writeable = False

    def release(self) -> None:
        """Give back every array that no other recording needs, as it was."""
        locked, self.locked, self.copies = self.locked, {}, {}
        if not locked:
            return
        error = sys.exception()
        if error is not None:
            _judge(error)
        with _guard:
            for lock in locked.values():
                lock.holders -= 1
                if not lock.holders and lock not in _waiting:
                    _waiting.append(lock)
            _free()


def _free() -> None:
    """Unlock what nobody needs: a base before its views."""
    for lock in (lock for lock in tuple(_waiting) if lock.holders):
        _waiting.remove(lock)  # somebody needs it again
    while ready := [k for k in _waiting if not (is_a(k.array.base, np.ndarray) and id(k.array.base) in _locks)]:
        for lock in ready:
            _waiting.remove(lock)
            del _locks[id(lock.array)]
            if lock.writeable:
                try:
                    lock.array.flags.writeable = True
                except ValueError:  # the user made its base read-only meanwhile
                    continue


_REFUSALS = ("array is read-only", "destination is read-only", "base is read-only", "flag set is read-only")


def is_write_error(error: BaseException) -> bool:
    """Whether `error` is NumPy's refusal to write to a locked array, and not to one that was read-only before."""
    _judge(error)
    return getattr(error, "is_of_lock", False)


def _judge(error: BaseException) -> None:
    """Note on an error, once, what `is_write_error` says: while the locks are there that it may be of."""
    if type(error) is not ValueError or hasattr(error, "is_of_lock") or not str(error).endswith(_REFUSALS):
        return
    targets = possible_targets(error)
    error.is_of_lock = bool(_locks) and (not targets or any(map(_is_locked, targets)))  # type: ignore[attr-defined]


def _is_locked(array: Any) -> bool:
    """Whether an array, or one that it is a view of, could be written to but for its lock."""
    while is_a(array, np.ndarray):
        lock = _locks.get(id(array))
        if lock is not None and lock.writeable:
            return True
        array = array.base
    return False
