"""A backend for any library with the namespace of the array API standard.

The lowerings are written once, in `_lower_*.py`; this is what holds for one namespace: which functions and dtypes it
has. `array-api-strict` has those of the standard and nothing else, and so keeps the lowerings honest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import numpy as np

from funcgrad.backends._lower_arrays import ARRAYS
from funcgrad.backends._lower_elementwise import ELEMENTWISE
from funcgrad.backends._lower_linalg import LINALG
from funcgrad.backends._lower_windows import WINDOWS
from funcgrad.backends.base import Backend, Implementation, UnsupportedOperationError
from funcgrad.ir import Equation
from funcgrad.types import ShapedArray

__all__ = ["ArrayAPIBackend"]

_LOWERINGS = {**ARRAYS, **ELEMENTWISE, **LINALG, **WINDOWS}


def _has(xp: Any, name: str) -> bool:
    try:
        attrgetter(name)(xp)
    except AttributeError:
        return False
    return True


class ArrayAPIBackend(Backend):
    """Programs over the arrays of a library that follows the array API standard.

    Args:
        xp: the namespace (of the standard's version 2024.12, or later).
        name: what messages call the backend; the namespace's name unless given.

    NumPy is such a library too:

    >>> from funcgrad import jit
    >>> jit(np.exp, backend=ArrayAPIBackend(np))(np.zeros(2))
    array([1., 1.])
    """

    def __init__(self, xp: Any, name: str | None = None) -> None:
        self.xp = xp
        self.name = str(xp.__name__) if name is None else name
        self.lowerings: Mapping[str, Implementation] = MappingProxyType(
            {
                key: partial(entry.function, xp)
                for key, entry in _LOWERINGS.items()
                if all(_has(xp, needed) for needed in entry.needs)
            }
        )

    def __repr__(self) -> str:
        return f"ArrayAPIBackend({self.name})"

    def asarray(self, x: np.ndarray) -> Any:
        if not _has(self.xp, x.dtype.name):
            raise UnsupportedOperationError(
                f"the backend {self.name!r} has no arrays of dtype {x.dtype}; convert {ShapedArray(x.shape, x.dtype)} "
                "with .astype, or use backend='numpy'"
            )
        return self.xp.asarray(x)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x)

    def supports(self, eqn: Equation) -> bool:
        name = eqn.primitive.name
        if name not in self.lowerings:
            return False
        entry = _LOWERINGS[name]
        dtypes = {a.aval.dtype for a in (*eqn.inputs, *eqn.outputs)}
        if not all(_has(self.xp, d.name) for d in dtypes):
            return False
        kinds = all(a.aval.dtype.kind in entry.kinds for a in eqn.inputs)
        return kinds and (entry.when is None or entry.when(eqn))
