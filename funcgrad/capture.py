"""Keeping the arrays that a recording has captured from changing underneath it.

NumPy arrays can be written to, and a reverse pass that reads an array after it changed gives a silently wrong gradient,
as does a program whose constants changed before it was written down. There are two remedies:

- A recording that becomes a program *copies* an array when it captures it (`copy`). A write afterwards changes nothing;
  an array that is captured again is the same constant as long as it holds the same numbers.
- A recording that is walked backwards at once *locks* it (`lock`, by `flags.writeable`): a write raises. A view is
  copied, since its base can be written to without the view noticing; a large view is locked together with its bases.

NumPy's lock has gaps: an older view, a buffer (`memoryview`, `ctypes`), `np.add.at` and an assignment to `a.shape` get
past it. So what was locked is compared when it is released: all of a small array, a sample of a large one. What remains
unnoticed is a write of this kind to a few elements of a large array.
"""

from __future__ import annotations

import sys
from _thread import RLock
from typing import Any
from weakref import ref

import numpy as np

from funcgrad._array import ARRAYS, Array
from funcgrad.errors import CapturedArrayWriteError
from funcgrad.types import NUMBERS, ShapedArray, as_numbers, is_a
from funcgrad.write_target import possible_targets

__all__ = [
    "Captures",
    "are_directions",
    "as_directions",
    "free_forgotten",
    "is_locking",
    "is_write_error",
    "own_leaves",
    "owned",
    "to_read",
]

_COPY_LIMIT = 1 << 20
"""Views up to this many bytes are copied (about 0.1 ms for the largest); larger ones are locked with their bases."""
_COMPARE_LIMIT = 1 << 14
"""Locked arrays up to this many bytes are compared as a whole (about 1 µs for the largest)."""
_SAMPLES = 128
"""So many elements of a larger one are compared."""


class _Lock:
    """An array that recordings have locked.

    Attributes:
        array: the array.
        holders: the recordings that need it, by id. They are not kept alive: what is gone needs nothing.
        writeable: what it was before.
    """

    __slots__ = ("array", "holders", "writeable")

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.writeable = array, array.flags.writeable
        self.holders: dict[int, ref[Captures]] = {}


_locks: dict[int, _Lock] = {}
"""Every locked array, by id. One that several recordings need (nested, or in several threads) is freed by the last."""
_waiting: dict[int, _Lock] = {}
"""Those of them that nobody needs any more: views whose base is still locked, for NumPy frees a view only after its
base; and what an interrupt has kept from being freed."""
_guard = RLock()  # reentrant: a finalizer may run a derivative while this thread is here


class _Known:
    """Arrays that are known by their identity, and not kept alive. (A WeakValueDictionary takes ten times as long.)"""

    __slots__ = ("limit", "refs")

    def __init__(self) -> None:
        self.refs: dict[int, ref[np.ndarray]] = {}
        self.limit = 1024

    def add(self, array: np.ndarray) -> None:
        if len(self.refs) >= self.limit:
            self.refs = {key: r for key, r in tuple(self.refs.items()) if r() is not None}
            self.limit = max(1024, 2 * len(self.refs))
        self.refs[id(array)] = ref(array)

    def __contains__(self, array: Any) -> bool:
        found = self.refs.get(id(array))
        return found is not None and found() is array


_owned = _Known()
"""The constants of programs: read-only copies of which no user has the memory."""


def owned(array: np.ndarray) -> np.ndarray:
    """An array of the same values that no user can write to: a read-only copy, or `array` itself if it is one."""
    if array in _owned:
        return array
    copy = np.array(array, subok=False)
    copy.setflags(write=False)
    _owned.add(copy)
    return copy


_directions = _Known()
"""Those of them that are unit directions, which the derivatives of a Jacobian are taken along."""


def as_directions(array: np.ndarray) -> np.ndarray:
    """Unit directions, a constant of which programs will know where it came from: its zeros are not factors, but say
    what is left out, and an infinity does not meet them."""
    array = owned(array)
    _directions.add(array)
    return array


def are_directions(array: np.ndarray) -> bool:
    """Whether an array is what `as_directions` has given."""
    return array in _directions


_handed = _Known()
"""Arrays that functions of users were given to read."""


def to_read(x: Any) -> Any:
    """A value for a user's function to read, where others still need it: an array as one that cannot be written to.

    It is a view, and a copy where that costs no more (`np.add.at` writes to read-only arrays as well).
    """
    if type(x) is not np.ndarray or x in _handed:
        return x
    view = x.copy() if x.nbytes <= _COMPARE_LIMIT else x.view()
    view.setflags(write=False)
    _handed.add(view)
    return view


def _holders(xs: list[Any], i: int) -> int:
    """How many references there are to an element of a list."""
    return sys.getrefcount(xs[i])


_ALONE = _holders([object()], 0)


def _holders_of_base(array: np.ndarray) -> int:
    return sys.getrefcount(array.base)


_BASE_ALONE = _holders_of_base(np.zeros(1).view(Array))


def _has_own_memory(array: np.ndarray) -> bool:
    """Whether an `Array` is the only one that holds the plain array whose memory it shows."""
    base = array.base
    if base is None:
        return True
    alone = type(base) is np.ndarray and base.base is None and base.flags.writeable
    del base
    return alone and _holders_of_base(array) == _BASE_ALONE


def _worth_locking(array: Array) -> bool:
    """Whether to lock an `Array` costs less than a copy."""
    return array.nbytes > _COPY_LIMIT or (array.nbytes > _COMPARE_LIMIT and _has_own_memory(array))


def own_leaves(results: list[Any], inside: bool = False) -> list[Any]:
    """Results that share no memory with anything else: the same list, with copies in place of arrays that are views,
    or that anybody but this list holds.

    With `inside`, for results that stay in a recording: what the user's function was given `to_read` stays too.
    """
    for i in range(len(results)):
        kind = type(results[i])
        if kind is np.ndarray and not (inside and results[i] in _handed):
            free = results[i].base is None and results[i].flags.writeable
        elif kind in ARRAYS:
            free = results[i].flags.writeable and _has_own_memory(results[i])
        else:
            continue
        if not free or _holders(results, i) > _ALONE:
            results[i] = results[i].copy()
    return results


class Captures:
    """The arrays that one recording has captured.

    An interrupt may come between any two operations. So a lock is noted in `locked` before the array is changed, and
    there, or in `_waiting`, until the array is as it was; what `release` does can be done again.

    Attributes:
        locked: the locks, and what the arrays were when they were captured, by id.
    """

    __slots__ = ("__weakref__", "copies", "locked")

    def __init__(self) -> None:
        self.locked: dict[int, tuple[_Lock, Any]] = {}
        self.copies: dict[int, tuple[ref[np.ndarray], np.ndarray]] = {}

    def copy(self, array: np.ndarray) -> np.ndarray:
        """A read-only copy of an array as it is now; the same one for as long as the array does not change."""
        given = array
        if type(array) is not np.ndarray or array.dtype not in NUMBERS:
            array = as_numbers(array, "an operand")
            if not is_a(array, np.ndarray):
                return array
        if array in _owned:
            return array
        known = self.copies.get(id(given))
        if known is not None and known[0]() is given and _same(known[1], array):
            return known[1]
        made = owned(array)
        self.copies[id(given)] = ref(given), made
        return made

    def lock(self, array: np.ndarray) -> np.ndarray:
        """An array of the same values that cannot change before `release`: `array` itself where possible."""
        if not self.copies and type(array) is np.ndarray and array.base is None and array.dtype in NUMBERS:
            if id(array) not in self.locked:
                self._lock(array)
            return array
        return self._lock_or_copy(array)

    def _lock_or_copy(self, array: np.ndarray) -> np.ndarray:
        """As `lock`, for any array."""
        given = array
        known = self.copies.get(id(array))
        if known is not None and known[0]() is not array:  # of another array, which is gone
            known = None
        if id(array) in self.locked:
            return array if known is None else known[1]
        if known is not None and known[1] is array:  # behind an `Array`
            return array
        if type(array) is not np.ndarray or array.dtype not in NUMBERS:
            if type(array) is Array and _worth_locking(array):
                return self._lock_ours(array)
            array = as_numbers(array, "an operand")
            if not is_a(array, np.ndarray):
                return array
        if array.base is None:
            self._lock(array)
            return array
        if array.nbytes > _COPY_LIMIT and _can_be_freed(array):
            link: Any = array
            while is_a(link, np.ndarray) and id(link) not in self.locked:
                self._lock(link)
                link = link.base
            return array
        if known is not None and _same(known[1], array):
            return known[1]
        copy = array.copy()
        self.copies[id(given)] = ref(given), copy
        if given is not array:
            self.copies[id(copy)] = ref(copy), copy
        return copy

    def _lock_ours(self, array: Array) -> np.ndarray:
        """As `lock`: an `Array` is locked with the plain arrays behind it, and stands for one of them."""
        plain: Any = as_numbers(array, "an operand")
        if _can_be_freed(plain):
            link: Any = array
            while is_a(link, np.ndarray) and id(link) not in self.locked:
                self._lock(link)
                link = link.base
        else:
            plain = plain.copy()
        self.copies[id(array)] = ref(array), plain
        self.copies[id(plain)] = ref(plain), plain
        return plain

    def _lock(self, array: np.ndarray) -> None:
        key = id(array)
        with _guard:
            mark = _mark(array)
            lock = _locks.get(key)
            if lock is None:
                lock = _locks[key] = _Lock(array)
            self.locked[key] = lock, mark
            lock.holders[id(self)] = ref(self)
            if lock.writeable:
                array.setflags(write=False)

    def release(self) -> None:
        """Give back every array that no other recording needs, as it was.

        Raises CapturedArrayWriteError for an array that has changed in spite of its lock.
        """
        locked = tuple(self.locked.values())
        self.copies = {}
        if not locked and not _waiting:
            return
        error = sys.exception()
        if error is not None:
            _judge(error)
        changed = [lock.array for lock, mark in locked if _mark(lock.array) != mark]
        self.abandon()
        if not changed:
            return
        if error is None or isinstance(error, (ValueError, TypeError, IndexError)):
            raise CapturedArrayWriteError(_changed(changed[0])) from error

    def abandon(self) -> None:
        """As `release`, where there is no result that a change could have made wrong."""
        holder, locked = id(self), self.locked
        with _guard:
            for key, (lock, _) in tuple(locked.items()):
                lock.holders.pop(holder, None)
                if lock.holders:
                    locked.pop(key, None)
                elif lock.array.base is None:
                    _unlock(lock)
                    locked.pop(key, None)
                    _locks.pop(key, None)  # last: where an interrupt comes in between, it is free, or locked by this
                else:
                    _waiting[key] = lock
                    locked.pop(key, None)
            if _waiting:
                _free()


def _can_be_freed(array: np.ndarray) -> bool:
    """Whether NumPy will let a view be made writeable again: not if its memory is that of something else than an array
    or a buffer."""
    link: Any = array
    while is_a(link.base, np.ndarray):
        link = link.base
    try:
        link.setflags(write=link.flags.writeable)
    except ValueError:
        return False
    return True


def _mark(array: np.ndarray) -> Any:
    """What shows that an array is as it was: its kind and its elements, or a sample of them."""
    if array.nbytes <= _COMPARE_LIMIT:
        return array.shape, array.dtype, array.tobytes()
    if array.flags.forc:
        sample = array.ravel("K")[:: array.size // _SAMPLES]
    else:  # a grid, without a copy
        per_axis = max(int(_SAMPLES ** (1 / array.ndim)), 1)
        sample = array[tuple(slice(None, None, max(n // per_axis, 1)) for n in array.shape)]
    return array.shape, array.dtype, sample.tobytes()


def _same(copy: np.ndarray, array: np.ndarray) -> bool:
    """Whether an array is still what its copy is, to the last bit."""
    if copy.shape != array.shape or copy.dtype != array.dtype:
        return False
    if copy.nbytes <= _COPY_LIMIT:
        return copy.tobytes() == array.tobytes()
    rows = max(len(copy) * _COPY_LIMIT // copy.nbytes, 1)
    return all(copy[i : i + rows].tobytes() == array[i : i + rows].tobytes() for i in range(0, len(copy), rows))


def _changed(array: np.ndarray) -> str:
    aval = ShapedArray(array.shape, array.dtype)
    return (
        f"an array ({aval}) was changed while a derivative was recorded that needs its values, by something that NumPy "
        "cannot lock out: a view or a buffer made before, np.add.at, or an assignment to a.shape\n"
        "  write instead into a copy, a.copy(), or give the function a copy"
    )


def free_forgotten() -> None:
    """Unlock the arrays of recordings that are gone, but that interrupts have kept from giving them back."""
    with _guard:
        for key, lock in tuple(_locks.items()):
            for holder, found in tuple(lock.holders.items()):
                if found() is None:
                    lock.holders.pop(holder, None)
            if not lock.holders:
                _waiting[key] = lock
        _free()


def is_locking() -> bool:
    """Whether any array is locked."""
    return bool(_locks or _waiting)


def _free() -> None:
    """Unlock what nobody needs: a base before its views."""
    freed = True
    while freed and _waiting:
        freed = False
        for key, lock in tuple(_waiting.items()):
            if lock.holders:  # somebody needs it again
                _waiting.pop(key, None)
                continue
            base = lock.array.base
            if base is not None and id(base) in _locks:
                continue
            _unlock(lock)
            _waiting.pop(key, None)
            _locks.pop(key, None)  # last: where an interrupt comes in between, it is locked by this one again
            freed = True


def _unlock(lock: _Lock) -> None:
    if lock.writeable:
        try:
            lock.array.setflags(write=True)
        except ValueError:  # the user made its base read-only meanwhile
            pass


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
    known = bool(_locks or _handed.refs)
    error.is_of_lock = known and (not targets or any(map(_is_locked, targets)))  # type: ignore[attr-defined]


def _is_locked(array: Any) -> bool:
    """Whether an array, or one that it is a view of, could be written to but for its lock."""
    while is_a(array, np.ndarray):
        lock = _locks.get(id(array))
        if (lock is not None and lock.writeable) or array in _handed:
            return True
        array = array.base
    return False
