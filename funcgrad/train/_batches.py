"""Batches of arrays: shuffled by a key, and resumable at every batch."""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import Any

import numpy as np

import funcgrad.random as random
import funcgrad.tree as tree
from funcgrad._array import Array, unwrap
from funcgrad.core import Tracer
from funcgrad.train._prefetch import Prefetched
from funcgrad.types import is_a, is_key

__all__ = ["Batches", "as_key", "batches"]


def as_key(key: Any, name: str) -> Any:
    """A random key, of a seed or a key."""
    if is_key(key) or (hasattr(key, "dtype") and key.dtype == np.uint32 and key.shape):
        return key
    try:
        return random.key(index(key))
    except TypeError as error:
        raise TypeError(f"{name}: key= is a random key or an integer seed, got a {type(key).__name__}") from error


def _rows(data: Any) -> tuple[list[np.ndarray], list[type], tree.PyTreeDef, int]:
    """The leaves as arrays, their classes, the structure, and the number of examples."""
    entries, treedef = tree.flatten_with_path(data)
    if not entries:
        raise ValueError("batches: the data has no arrays")
    leaves: list[np.ndarray] = []
    lengths: dict[str, int] = {}
    for path, leaf in entries:
        where = f"data{tree.keystr(path)}"
        if is_a(leaf, Tracer):
            raise TypeError(f"batches: {where} is a traced value; batches are taken outside of transformed functions")
        if not hasattr(leaf, "shape") or not leaf.shape:
            what = f"an array of shape {leaf.shape}" if hasattr(leaf, "shape") else f"a {type(leaf).__name__}"
            raise TypeError(
                f"batches: {where} is {what}; the data is a pytree of arrays whose first axis counts the examples "
                "(lists are nodes of a pytree: make arrays of them with np.array)"
            )
        leaves.append(np.asarray(unwrap(leaf)))
        lengths[where] = leaf.shape[0]
    (first, n), *others = lengths.items()
    for where, m in others:
        if m != n:
            raise ValueError(f"batches: {first} has {n} examples and {where} has {m}; first axes have to be equal")
    if n == 0:
        raise ValueError("batches: there are no examples")
    return leaves, [Array if type(leaf) is Array else np.ndarray for _, leaf in entries], treedef, n


class _Source:
    """What there is to take batches from; nothing in it changes but the order that was used last."""

    def __init__(
        self, data: Any, batch_size: int, key: Any, shuffle: bool, drop_last: bool, epochs: int | None
    ) -> None:
        self.leaves, self.classes, self.treedef, self.n = _rows(data)
        self.batch_size, self.key, self.shuffle, self.drop_last, self.epochs = (
            batch_size,
            key,
            shuffle,
            drop_last,
            epochs,
        )
        self.per_epoch = self.n // batch_size if drop_last else -(-self.n // batch_size)
        if not self.per_epoch:
            raise ValueError(
                f"batches: {self.n} examples make no batch of {batch_size} with drop_last=True; take smaller batches"
            )
        self._order: tuple[int, Any] | None = None

    def order(self, epoch: int) -> np.ndarray:
        last = self._order
        if last is None or last[0] != epoch:
            last = self._order = epoch, np.asarray(random.permutation(random.fold_in(self.key, epoch), self.n))
        return last[1]

    def batch(self, epoch: int, position: int) -> Any:
        rows: Any = slice(position * self.batch_size, (position + 1) * self.batch_size)
        if self.shuffle:
            rows = self.order(epoch)[rows]
        # Copies in any case: nobody writes to the data by way of a batch.
        parts = [leaf[rows] if self.shuffle else leaf[rows].copy() for leaf in self.leaves]
        return self.treedef.unflatten(
            [p.view(c) if c is Array else p for p, c in zip(parts, self.classes, strict=True)]
        )

    def from_(self, epoch: int, position: int) -> Iterator[tuple[Any, int, int]]:
        """Batches from a place on, each with the place after it."""
        while self.epochs is None or epoch < self.epochs:
            batch = self.batch(epoch, position)
            epoch, position = (epoch, position + 1) if position + 1 < self.per_epoch else (epoch + 1, 0)
            yield batch, epoch, position


class Batches(Iterator[Any]):
    """An iterator over batches, as `batches` makes it.

    Attributes:
        per_epoch: how many batches an epoch has.
        epochs: how many epochs there are, or None.
        state: where the iterator is, as a small pytree: save it, and `restore` it later, here or in another process
            with the same data, to get exactly the batches that were to come.
    """

    def __init__(self, source: _Source, prefetch: int) -> None:
        self._source, self._prefetch = source, prefetch
        self._epoch = self._position = 0
        self._items: Iterator[tuple[Any, int, int]] | None = None

    @property
    def per_epoch(self) -> int:
        """How many batches an epoch has."""
        return self._source.per_epoch

    @property
    def epochs(self) -> int | None:
        """How many epochs there are, or None."""
        return self._source.epochs

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Any:
        if self._items is None:
            items = self._source.from_(self._epoch, self._position)
            self._items = Prefetched(items, self._prefetch) if self._prefetch else items
        try:
            batch, self._epoch, self._position = next(self._items)
        except BaseException:
            self.close()  # the next call begins anew, at the batch that has failed
            raise
        return batch

    def close(self) -> None:
        """Ends the thread that makes batches ahead. The iterator can be used on: another thread goes on from here."""
        items, self._items = self._items, None
        if type(items) is Prefetched:
            items.close()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    @property
    def state(self) -> dict[str, Any]:
        """Where the iterator is: the epoch, the batches of it that were taken, the key, and what they depend on."""
        source = self._source
        place = {"epoch": self._epoch, "position": self._position, "key": source.key}
        return place | {name: getattr(source, attribute) for name, attribute in _SAME.items()}

    def restore(self, state: dict[str, Any]) -> Batches:
        """Goes to where an iterator was when `state` was taken from it; returns the iterator itself.

        Raises:
            ValueError: if that one had other data (another number of examples), or other batches.
        """
        mine = self.state
        if not is_a(state, dict) or set(state) != set(mine):
            raise ValueError(f"Batches.restore: a state is a dict with the entries {', '.join(mine)}")
        for name in _SAME:
            if state[name] != mine[name]:
                raise ValueError(
                    f"Batches.restore: the state is of batches with {name}={state[name]}, and here it is {mine[name]}: "
                    "they would not be the same batches"
                )
        self.close()
        self._source.key, self._source._order = state["key"], None
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        return self


_SAME = {"examples": "n", "batch_size": "batch_size", "shuffle": "shuffle", "drop_last": "drop_last"}
"""What a state has to have in common with the iterator that it is restored to, and the attributes that say it."""


def batches(
    data: Any,
    batch_size: int,
    *,
    key: Any = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    epochs: int | None = None,
    prefetch: int = 0,
    state: dict[str, Any] | None = None,
) -> Batches:
    """An iterator over batches of the examples in `data`, every example once in each epoch.

    Args:
        data: a pytree of arrays whose first axes are equal and count the examples, such as a pair `(x, y)`.
        batch_size: how many examples a batch has.
        key: a random key, or an integer seed: it alone decides the order.
        shuffle: a new random order in each epoch; otherwise that of the data.
        drop_last: leave out the last batch of an epoch where it would be smaller.
        epochs: how many there are; without end by default.
        prefetch: how many batches a thread makes ahead.
        state: where to begin: the `state` of such an iterator.

    Returns:
        An iterator over pytrees like `data`, with arrays of `batch_size` rows that are copies.

    Raises:
        TypeError, ValueError: for a leaf that is no array of at least one axis, first axes that differ, no examples.

    >>> it = batches({"x": np.arange(5), "y": np.arange(5) ** 2}, 2, key=0)
    >>> next(it)
    {'x': array([0, 2]), 'y': array([0, 4])}
    >>> state = it.state
    >>> next(it)["x"], next(it)["x"], it.per_epoch
    (array([4, 1]), array([3]), 3)
    >>> next(it.restore(state))["x"]
    array([4, 1])
    """
    batch_size, prefetch = index(batch_size), index(prefetch)
    if batch_size < 1 or prefetch < 0 or (epochs is not None and index(epochs) < 0):
        raise ValueError(
            "batches: batch_size= is at least 1, prefetch= and epochs= are not negative; got "
            f"batch_size={batch_size}, prefetch={prefetch}, epochs={epochs}"
        )
    out = Batches(_Source(data, batch_size, as_key(key, "batches"), bool(shuffle), bool(drop_last), epochs), prefetch)
    return out if state is None else out.restore(state)
