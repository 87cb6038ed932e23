"""The batches of a run of training, wherever they come from, and where epochs end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.train._batches import Batches, batches
from funcgrad.types import is_a

__all__ = ["Feed"]


class Feed:
    """An iterator over (batch, whether it is the last one of its epoch).

    Args:
        data: a pytree of arrays, `Batches`, any other iterator over batches (one pass), or what makes such iterators
            (one for each epoch).
        epochs: how many there are; without end if that is None.
        options: what `batches` takes, for arrays.

    Attributes:
        epoch: how many epochs are over.
        per_epoch: how many batches an epoch has, or None where that is not known.
    """

    def __init__(self, data: Any, epochs: int | None, **options: Any) -> None:
        self.epochs, self.epoch = epochs, 0
        self._batches: Batches | None = None
        self.make: Callable[[], Iterator[Any]]
        if is_a(data, Batches):
            self._batches = data
        elif is_a(data, Iterator):
            if epochs is not None:
                raise ValueError(
                    "fit: an iterator is passed over once, so epochs= has no meaning: give steps=, or neither"
                )
            self.epochs, self.make = 1, lambda: data
        elif _is_iterable(data):
            self.make = lambda: iter(data)
        else:
            self._batches = batches(data, **options)
        self.per_epoch = None if self._batches is None else self._batches.per_epoch
        if self._batches is not None:
            self.epoch = self._batches.state["epoch"]

    def __iter__(self) -> Iterator[tuple[Any, bool]]:
        while self.epochs is None or self.epoch < self.epochs:
            yield from self._arrays() if self._batches is not None else self._others()

    def _arrays(self) -> Iterator[tuple[Any, bool]]:
        source = self._batches
        assert source is not None
        for batch in source:
            ends = source.state["position"] == 0
            self.epoch = source.state["epoch"]
            yield batch, ends
            if ends and self.epochs is not None and self.epoch >= self.epochs:
                return
        self.epochs = self.epoch  # its own number of epochs is over

    def _others(self) -> Iterator[tuple[Any, bool]]:
        items = self.make()
        batch = next(items, _NONE)
        if batch is _NONE and self.epoch:
            raise ValueError(
                "fit: the data gives no batches after the first epoch; give something that can be passed over again"
            )
        while batch is not _NONE:
            following = next(items, _NONE)
            self.epoch += following is _NONE
            yield batch, following is _NONE
            batch = following
        if not self.epoch:
            self.epochs = 0

    @property
    def endless(self) -> bool:
        """Whether nothing says where the batches end."""
        return self.epochs is None and (self._batches is None or self._batches.epochs is None)

    def steps(self, accumulate: int) -> int | None:
        """How many steps there are altogether, with so many batches each, if that is known."""
        if self.per_epoch is None or self._batches is None or self.endless:
            return None
        epochs = min(n for n in (self.epochs, self._batches.epochs) if n is not None)
        return -(-epochs * self.per_epoch // accumulate)

    @property
    def state(self) -> Any:
        """Where it is, or None where nobody can go back to that."""
        return None if self._batches is None else self._batches.state

    def restore(self, state: Any) -> None:
        """Goes where `state` was taken."""
        assert self._batches is not None
        self._batches.restore(state)
        self.epoch = self._batches.state["epoch"]

    def close(self) -> None:
        """Ends the thread that makes batches ahead."""
        if self._batches is not None:
            self._batches.close()


_NONE: Any = object()


def _is_iterable(data: Any) -> bool:
    """Whether this is an object that gives batches, rather than a tree of arrays."""
    leaf = tree.structure(data).node_data() is None
    return leaf and not hasattr(data, "shape") and is_a(data, Iterable) and not is_a(data, (str, bytes, np.ndarray))
