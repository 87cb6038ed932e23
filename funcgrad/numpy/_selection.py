"""`x[mask] += y` where the mask has no value: what a boolean mask selects, as long as nobody asks how many there are.

Where the value of a mask is not known (`jit`, `vmap`), `x[mask]` has no shape. It can be scaled and added to all the
same, and written back at the same mask: the arithmetic is done on all elements, and those selected are kept. Only sums
and products are taken so: a logarithm, say, of an element that is not selected would spoil the derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.aliasing import Mutable
from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._plan import mask_indices
from funcgrad.types import is_a, shape_of

__all__ = ["Selection", "is_condition", "is_mask"]


def is_condition(index: Any) -> bool:
    """Whether an index is a traced boolean, or an array of them."""
    return issubclass(type(index), Tracer) and index.dtype.kind == "b"


def is_mask(index: Any) -> bool:
    """Whether an index is a traced boolean array."""
    return is_condition(index) and index.shape != ()


class Selection(Mutable):
    """The elements of an array where a mask holds.

    Attributes:
        values: the whole array.
        mask: the mask, of its leading dimensions; where anything else is done, its value is asked for, and raises.
    """

    __slots__ = ("mask", "values")  # no state: what settles it looks for one, which asks, and raises
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: Any, mask: Any) -> None:
        self.values, self.mask = values, mask

    def _ask(self, *args: Any, **kwargs: Any) -> Any:
        return self.values[tuple(mask_indices(self.mask))]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ask(), name)

    __array__ = __array_ufunc__ = __array_function__ = __len__ = __iter__ = __getitem__ = __setitem__ = _ask
    __bool__ = __float__ = __int__ = __index__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _ask
    __pow__ = __matmul__ = __mod__ = __floordiv__ = __rtruediv__ = __rpow__ = __rmatmul__ = _ask

    def __repr__(self) -> str:
        return f"Selection of {self.values}"


def _operator(ufunc: np.ufunc, swapped: bool, alone: bool = False) -> Callable[[Selection, Any], Any]:
    def method(self: Selection, other: Any) -> Any:
        if is_a(other, Selection):
            if other.mask is not self.mask or alone:
                return self._ask()
            other = other.values
        elif shape_of(array_operand(other)):
            return self._ask()
        return Selection(ufunc(other, self.values) if swapped else ufunc(self.values, other), self.mask)

    return method


for _name, _ufunc in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
    setattr(Selection, f"__{_name}__", _operator(_ufunc, False))
    setattr(Selection, f"__r{_name}__", _operator(_ufunc, True))
Selection.__truediv__ = _operator(np.true_divide, False, alone=True)  # type: ignore[attr-defined]
Selection.__neg__ = lambda self: Selection(np.negative(self.values), self.mask)  # type: ignore[attr-defined]
