"""Recordings that are transposed: of rules linear in the tangents, and of functions that are said to be linear.

They are recorded at zero tangents and walked backwards. That is their transpose only if they are linear, and what is
not shows in three places: a linear function is zero at zero; Python never needs the value of a tangent; and the
cotangent of an operand depends on no tangent. For the last, the rules of the walk are given placeholders instead of the
tangents' values. Within an operation that runs programs of its own (`scan`, `jit`) nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.core import AbstractTracer, Trace, Tracer
from funcgrad.errors import NotLinearError
from funcgrad.ir import Equation
from funcgrad.record import RecordTracer
from funcgrad.source import Source, describe, user_source
from funcgrad.transforms.vjp import Recording, record_function
from funcgrad.types import PYTHON_SCALARS, ShapedArray, aval_of, is_a

__all__ = ["record_linear"]


class _Nowhere(Trace):
    """Owns placeholders; what is done with one is an error.

    Attributes:
        what: what must be linear in what, as a sentence begins.
        operation: the operation whose rule is given the placeholders.
    """

    __slots__ = ("operation", "what")

    def __init__(self, what: str, operation: str, source: Source) -> None:
        super().__init__(None)
        self.what, self.operation, self.source = what, operation, source

    def escaped(self, tracer: Tracer, name: str) -> Exception:
        return _fault(self.what, f"{self.operation} is not linear in what it is given", self.source)


class _Placeholder(AbstractTracer):
    """A tangent whose value nobody may use."""

    __slots__ = ()

    def astype(self, dtype: Any) -> _Placeholder:
        """Rules take Python's numbers for NumPy's; that is no use of the value."""
        return _Placeholder(self.owner, ShapedArray(self.shape, dtype), self.source)

    def concrete(self, how: str | None = None) -> NoReturn:
        raise self.owner.escaped(self, "")


def _fault(what: str, why: str, source: Source) -> NotLinearError:
    place = describe(source)
    return NotLinearError(
        f"{what}, or it cannot be transposed (reverse mode): {why}" + (f"\n  at {place}" if place else "")
    )


def record_linear(
    fun: Callable[..., Any], zeros: Sequence[Any], in_tree: Any, what: str, moving: Callable[[list[Any]], Sequence[Any]]
) -> tuple[Recording, list[Any]]:
    """Record a linear function at zeros, to be walked backwards any number of times.

    Args:
        fun, zeros, in_tree: the function and its arguments, flat.
        what: what must be linear in what, as a sentence begins.
        moving: which of the flat outputs are linear; the others do not depend on the arguments.

    Returns:
        The closed recording, and the values of its outputs.

    Raises NotLinearError where the function is seen not to be linear; so does the walk.
    """

    def ask(tracer: RecordTracer, how: str | None) -> None:
        if how is not None:
            error = _fault(what, f"Python asks for a value that depends on them ({how})", user_source())
            raise tracer.owner.refuse(error)

    with record_function(fun, zeros, in_tree, False, ask=ask) as recording:
        values = [recording.value(x) for x in recording.outputs]
        recording.held = frozenset(recording.record.captures.locked)
    for x in moving(recording.outputs):
        if not _zero(recording.value(x)):
            raise _fault(what, "for zeros it does not give zero", x.source if isinstance(x, Tracer) else None)
    for eqn in recording.equations:
        if eqn.kept is None:
            _hide(eqn, recording.record, what)
    return recording, values


def _zero(value: Any) -> bool:
    """Whether a value is zero, or cannot be told: NaN is what 0·inf gives."""
    if not (is_a(value, (np.ndarray, np.generic)) or type(value) in PYTHON_SCALARS):
        return True
    nonzero = np.count_nonzero(value)
    return nonzero == 0 or nonzero == np.count_nonzero(np.isnan(value))


def _hide(eqn: Equation, record: Trace, what: str) -> None:
    """Put placeholders in the place of the values that an equation reads and makes."""
    owner = _Nowhere(what, eqn.primitive.name, eqn.source)

    def hidden(value: Any) -> Any:
        return _Placeholder(owner, aval_of(value), eqn.source)

    mine = [isinstance(x, RecordTracer) and x.owner is record for x in eqn.inputs]
    eqn.values = tuple(hidden(v) if m else v for v, m in zip(eqn.values, mine, strict=True))
    for t in eqn.outputs:
        t.value = hidden(t.value)
