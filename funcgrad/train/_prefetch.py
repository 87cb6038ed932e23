"""Items made ahead of their use, in a thread that ends with whoever wanted them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread
from typing import Any, Generic, TypeVar
from weakref import finalize

__all__ = ["Prefetched"]

T = TypeVar("T")


class _Shelf:
    """What the thread has made and nobody has taken. The thread knows nothing else, so its owner can be forgotten."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: deque[Any] = deque()
        self.error: BaseException | None = None
        self.ended = self.stopped = False
        self.changed = Condition()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()

    def put(self, item: Any) -> bool:
        """Waits for room; whether the item was wanted."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or len(self.items) < self.size)
            if not self.stopped:
                self.items.append(item)
                self.changed.notify_all()
            return not self.stopped

    def end(self, error: BaseException | None) -> None:
        with self.changed:
            self.ended, self.error = True, error
            self.changed.notify_all()

    def take(self) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.items or self.ended or self.stopped)
            if self.items:
                item = self.items.popleft()
                self.changed.notify_all()
                return item
            error, self.error = self.error, None
        raise StopIteration if error is None else error


def _fill(shelf: _Shelf, source: Iterator[Any]) -> None:
    error = None
    try:
        for item in source:
            if not shelf.put(item):
                break
    except BaseException as e:  # it is raised where the item would have been taken
        error = e
    shelf.end(error)


class Prefetched(Generic[T]):
    """The items of an iterator, up to `size` of them made ahead by a thread.

    An exception of the iterator is raised after the items before it. The thread ends with the iterator, by `close`, and
    when this object is gone.
    """

    def __init__(self, source: Iterator[T], size: int) -> None:
        self._shelf = _Shelf(size)
        self._thread = Thread(target=_fill, args=(self._shelf, source), name="funcgrad-prefetch", daemon=True)
        self._finalizer = finalize(self, self._shelf.stop)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._shelf.take()

    def close(self) -> None:
        """Stops the thread, and waits for it."""
        self._finalizer()
        self._thread.join()
