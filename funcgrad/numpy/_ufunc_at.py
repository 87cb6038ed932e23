"""`ufunc.at`: an operation in place at places of which one may occur several times.

Where the places are known, those that occur once are operated on together, then those that occur again, and so on
(`rounds`). Where they have no values (`vmap`, and what becomes a program), sums are a `scatter_add`, and everything
else does the same rounds in a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.aliasing import operand_of
from funcgrad.control.loops import fori_loop
from funcgrad.core import Tracer
from funcgrad.errors import ConcretizationTypeError, DTypeError
from funcgrad.numpy._dispatch import array_operand, written_plainly
from funcgrad.numpy._index import getitem, scatter_into
from funcgrad.numpy._shape import broadcast_to, ravel
from funcgrad.numpy._views import reshaped
from funcgrad.numpy._writes import target
from funcgrad.types import is_a, shape_of
from funcgrad.writes import store

__all__ = ["at", "rounds"]


def at(ufunc: np.ufunc, a: Any, indices: Any, *operands: Any) -> None:
    """`ufunc.at`: an index that occurs twice is operated on twice. As in NumPy, each result is cast to the array's
    dtype, whatever is lost by that; imaginary parts alone are not dropped."""
    name = f"numpy.{ufunc.__name__}.at"
    if not isinstance(a, Tracer):
        return written_plainly(name, ufunc.at, (a, indices, *operands), {})
    x = target(a, name)
    numbers = np.arange(x.size).reshape(x.shape)
    try:
        places = np.asarray(numbers[_known(indices)])
    except ConcretizationTypeError:
        if _is_sum(ufunc, x, *operands):
            b = array_operand(operands[0]).astype(x.dtype)
            value = b if ufunc is np.add else np.negative(b)
            return store(x, scatter_into(operand_of(x), indices, value, True), name)
        places = getitem(array_operand(numbers), indices)
    others = [ravel(broadcast_to(array_operand(b), shape_of(places))) for b in operands]
    flat = reshaped(operand_of(x), (x.size,))

    def result(flat: Any, at: Any, chosen: Any) -> Any:
        """What the ufunc makes of the elements that are chosen among the places."""
        part = ufunc(getitem(flat, at), *(getitem(b, chosen) for b in others))
        if part.dtype.kind == "c" != x.dtype.kind:
            raise DTypeError(f"{name}: casting the result from {part.dtype!r} to {x.dtype!r} drops imaginary parts")
        return part.astype(x.dtype)

    places = ravel(places)
    if is_a(places, Tracer):
        flat = _in_rounds(result, flat, places)
    else:
        for chosen in rounds(places):
            flat = scatter_into(flat, places[chosen], result(flat, places[chosen], chosen), False)
    store(x, reshaped(flat, x.shape), name)


def _known(index: Any) -> Any:
    """An index whose arrays are plain; raises ConcretizationTypeError where one has no value here."""
    if isinstance(index, tuple):
        return tuple(map(_known, index))
    if not isinstance(index, Tracer):
        return index
    value = index.concrete("bytes")
    if value is None:
        raise ConcretizationTypeError("an index without a value")
    return np.asarray(value)


def _is_sum(ufunc: np.ufunc, x: Any, *operands: Any) -> bool:
    """Whether the results of an `at` are sums of the array and the operands, cast to its dtype once."""
    if ufunc not in (np.add, np.subtract):
        return False
    dtype = array_operand(operands[0]).dtype
    wraps = dtype.kind in "biu" and x.dtype.kind in "iu"  # sums are the same before and after a cast
    return wraps or np.can_cast(np.result_type(x.dtype, dtype), x.dtype, "same_kind")


def rounds(places: np.ndarray) -> list[np.ndarray]:
    """Positions among places such that none has one place twice; the k-th has the k-th occurrences."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    occurrence = np.arange(len(ordered)) - np.repeat(starts, np.diff(starts, append=len(ordered)))
    return [order[occurrence == k] for k in range(occurrence.max(initial=-1) + 1)]


def _in_rounds(result: Any, flat: Any, places: Any) -> Any:
    """The same rounds where the places have no values.

    The positions that are not of a round do what one of the round does, so that nothing is computed that NumPy does
    not compute, and its result goes to an element behind the array.
    """
    n, end = shape_of(places)[0], shape_of(flat)[0]
    if n == 0:
        return flat
    positions = np.arange(n)
    order = np.argsort(places, kind="stable")
    ordered = getitem(places, order)
    first = np.concatenate([np.ones(1, bool), ordered[1:] != ordered[:-1]])
    count = positions - np.maximum.accumulate(np.where(first, positions, 0))
    occurrence = scatter_into(np.zeros(n, count.dtype), order, count, False)

    def once(k: Any, flat: Any) -> Any:
        mine = occurrence == k
        chosen = np.where(mine, positions, np.argmax(mine))
        made = result(flat, getitem(places, chosen), chosen)
        return scatter_into(flat, np.where(mine, places, end), made, False)

    padded = np.concatenate([flat, np.zeros(1, flat.dtype)])
    return fori_loop(0, np.max(occurrence) + 1, once, padded)[:end]
