"""What NumPy may refuse: operations whose failure the user's code would catch, and operations under `np.errstate`.

A compiled program is run where nothing is caught, and under the error handling of its caller. So a recording notes two
things of the Python around an operation. `keep` says that a result was computed where an exception of it would be
caught: it is computed even if nobody reads it. `under(primitive)` is the operation under the error handling that the
function has set itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.rules import constant

__all__ = ["KEEP", "Handled", "under"]


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int) -> tuple[Any, ...]:
    return KEEP.bind(*args)


KEEP = constant("keep", lambda *args: (), lambda *avals: (), multiple=True, effect=True, batch=_batch)
"""Hold on to values, whether or not somebody reads them: what computes them may fail."""


class Handled(Primitive):
    """An operation under an error handling of its own; its parameter `handling` has the arguments of `np.errstate`.

    Attributes:
        plain: the operation without.
    """

    __slots__ = ("plain",)

    def __init__(self, plain: Primitive) -> None:
        def without(*avals: Any, handling: Any, **params: Any) -> Any:
            return plain.abstract(*avals, **params)

        super().__init__(
            f"{plain.name}_under",
            _within(plain.impl),
            without,
            jvp=_within(plain.jvp),
            vjp=_within(plain.vjp),
            batch=_within(plain.batch),
            multiple=plain.multiple,
            nested=plain.nested,
            carries=plain.carries,
        )
        self.push, self.forward, self.backward = map(_within, (plain.push, plain.forward, plain.backward))
        self.plain = plain

    @staticmethod
    def raises(params: dict[str, Any]) -> bool:
        """Whether floating-point errors have consequences for the function."""
        return any(what in ("raise", "call") for _, what in params["handling"])


def _within(rule: Callable[..., Any] | None) -> Any:
    """A rule that runs under this error handling: whoever interprets its operations sees that in turn."""
    if rule is None:
        return None

    def run(*args: Any, handling: tuple[tuple[str, Any], ...], **params: Any) -> Any:
        with np.errstate(**dict(handling)):
            return rule(*args, **params)

    return run


@cache
def under(primitive: Primitive) -> Handled:
    """The operation under an error handling, which is its parameter `handling`."""
    return Handled(primitive)
