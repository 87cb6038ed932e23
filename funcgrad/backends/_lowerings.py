"""Tables of lowerings to the array API standard: functions of a namespace and of its arrays.

The standard (https://data-apis.org/array-api) has no promotion between kinds of numbers, and says which kinds each
function takes; an entry of the table says which it takes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from funcgrad.ir import Equation

__all__ = ["Lowering", "Table", "accumulated", "is_kind", "same_dtypes", "scalar", "sliced", "written"]

Function = Callable[..., Any]


class Lowering(NamedTuple):
    """An entry of the table.

    Attributes:
        function: `function(xp, *arrays, **params)`.
        kinds: the kinds of numbers that operands may have, as in `numpy.dtype.kind`.
        needs: functions that the namespace must have.
        when: whether it takes an equation, as far as its parameters and shapes are concerned.
    """

    function: Function
    kinds: str
    needs: tuple[str, ...] = ()
    when: Callable[[Equation], bool] | None = None


def same_dtypes(eqn: Equation) -> bool:
    """Whether the operands are of one dtype; NumPy compares int64 with uint64 as they are."""
    return len({a.aval.dtype for a in eqn.inputs}) == 1


class Table(dict[str, Lowering]):
    """Lowerings by the primitive's name."""

    def lowers(
        self,
        name: str,
        kinds: str = "biufc",
        needs: tuple[str, ...] = (),
        when: Callable[[Equation], bool] | None = None,
    ) -> Callable[[Function], Function]:
        """Enter the decorated function."""

        def enter(function: Function) -> Function:
            self[name] = Lowering(function, kinds, needs, when)
            return function

        return enter

    def standard(self, name: str, function: str, kinds: str) -> None:
        """Enter an elementwise function of the standard."""
        self.lowers(name, kinds, (function,), same_dtypes)(lambda xp, *args: getattr(xp, function)(*args))


def is_kind(xp: Any, x: Any, kind: str) -> bool:
    """Whether an array has a dtype of a kind, as the standard calls these."""
    return xp.isdtype(x.dtype, kind)


def scalar(xp: Any, value: Any, like: Any) -> Any:
    """A number as an array, of the dtype of another one."""
    return xp.asarray(value, dtype=like.dtype)


def sliced(xp: Any, x: Any, where: tuple[slice, ...]) -> Any:
    """The part of an array at slices with positive steps; by the namespace's own function `sliced`, if it has one."""
    own = getattr(xp, "sliced", None)
    return x[where] if own is None else own(x, where)


def written(xp: Any, x: Any, where: tuple[slice, ...], value: Any) -> Any:
    """A fresh array `x`, which may be written to, with this value at slices with positive steps; by the namespace's
    own function `written`, if it has one."""
    own = getattr(xp, "written", None)
    if own is not None:
        return own(x, where, value)
    x[where] = value
    return x


def accumulated(xp: Any, x: Any) -> Any:
    """What a sum or a product is taken of: booleans count as integers."""
    return xp.astype(x, xp.int64) if is_kind(xp, x, "bool") else x
