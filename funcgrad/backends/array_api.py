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

from funcgrad._places import Device
from funcgrad.backends._lower_arrays import ARRAYS
from funcgrad.backends._lower_elementwise import ELEMENTWISE
from funcgrad.backends._lower_linalg import LINALG
from funcgrad.backends._lower_windows import WINDOWS
from funcgrad.backends.base import Backend, Implementation, UnsupportedOperationError
from funcgrad.ir import Equation
from funcgrad.types import ShapedArray

__all__ = ["LOWERINGS", "ArrayAPIBackend", "OnOneDevice", "has"]

LOWERINGS = {**ARRAYS, **ELEMENTWISE, **LINALG, **WINDOWS}
"""By the primitive's name."""


def has(xp: Any, name: str) -> bool:
    """Whether a namespace has a function, such as "linalg.solve"."""
    try:
        attrgetter(name)(xp)
    except AttributeError:
        return False
    return True


_CREATION = ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros")


class OnOneDevice:
    """A namespace of the standard whose functions that create arrays do so on one device."""

    def __init__(self, xp: Any, device: Any) -> None:
        self._xp = xp
        self.__dict__.update({name: partial(getattr(xp, name), device=device) for name in _CREATION})

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._xp, name)
        setattr(self, name, value)
        return value


class ArrayAPIBackend(Backend):
    """Programs over the arrays of a library that follows the array API standard.

    Args:
        xp: the namespace (of the standard's version 2024.12, or later).
        name: what messages call the backend; the namespace's name unless given.
        device: the library's own device, on which everything is created; its default one unless given.
        called: what `DeviceArray.device` says of it, such as "strict:device1"; made of `name` unless given.

    NumPy is such a library too:

    >>> from funcgrad import jit
    >>> jit(np.exp, backend=ArrayAPIBackend(np))(np.zeros(2))
    array([1., 1.])
    """

    def __init__(self, xp: Any, name: str | None = None, device: Any = None, called: str | None = None) -> None:
        self.name = str(xp.__name__) if name is None else name
        self._device = Device(self.name if called is None else called)
        self.xp = xp = xp if device is None else OnOneDevice(xp, device)
        self.lowerings: Mapping[str, Implementation] = MappingProxyType(
            {
                key: partial(entry.function, xp)
                for key, entry in LOWERINGS.items()
                if all(has(xp, needed) for needed in entry.needs)
            }
        )

    def __repr__(self) -> str:
        return f"ArrayAPIBackend({self.name})"

    @property
    def device(self) -> Device:
        return self._device

    def asarray(self, x: np.ndarray) -> Any:
        self.check_dtype(ShapedArray(x.shape, x.dtype))
        return self.xp.asarray(x, copy=True)  # the caller may write to theirs

    def check_dtype(self, aval: ShapedArray) -> None:
        if not has(self.xp, aval.dtype.name):
            raise UnsupportedOperationError(
                f"the backend {self.name!r} has no arrays of dtype {aval.dtype}; convert {aval} with .astype, or use "
                "backend='numpy'"
            )

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.array(x)

    def supports(self, eqn: Equation) -> bool:
        name = eqn.primitive.name
        if name not in self.lowerings or name not in LOWERINGS:
            return False
        entry = LOWERINGS[name]
        dtypes = {a.aval.dtype for a in (*eqn.inputs, *eqn.outputs)}
        if not all(has(self.xp, d.name) for d in dtypes):
            return False
        kinds = all(a.aval.dtype.kind in entry.kinds for a in eqn.inputs)
        return kinds and (entry.when is None or entry.when(eqn))
