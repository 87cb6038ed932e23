"""What arrays and numbers have beside operations: their memory, views of another dtype, questions about one number.

A traced value has no memory that anybody could look at. What can be known all the same is told: how it lies where NumPy
runs the program (`strides`, `flags`), what it is a view of (`base`), what other dtypes its elements are pairs or bits
of (`view`). The rest raises, by name, and says what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from funcgrad.aliasing import View, is_array, state_of, strides_of
from funcgrad.core import Tracer
from funcgrad.errors import UnsupportedFunctionError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import getitem
from funcgrad.ops.math import COMPLEX, IMAG, REAL
from funcgrad.ops.shape import BITCAST
from funcgrad.source import user_place
from funcgrad.strides import is_contiguous
from funcgrad.types import dtype_of, shape_of
from funcgrad.writes import root_of, viewed

__all__ = ["install"]


class MissingAttributeError(AttributeError, TypeError):
    """What an attribute raises that a traced value does not have: `hasattr` is false, and the message says why."""


def _text(what: str, x: Any, why: str, instead: str) -> str:
    return f"{what}: {why} (a traced {x.aval})\n  at {user_place()}\n  write instead: {instead}"


# ------------------------------------------------------------------------------------------------- views of a dtype


class Bits(View):
    """The same bytes, read as numbers of another kind and of the same size."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def read(self, base: Any) -> Any:
        return BITCAST.bind(base, dtype=self.dtype)

    def write(self, base: Any, value: Any) -> Any:
        return BITCAST.bind(value, dtype=dtype_of(base))


class Parts(View):
    """Complex numbers as twice as many real ones along the last axis."""

    __slots__ = ()

    def read(self, base: Any) -> Any:
        return _parts(base)

    def write(self, base: Any, value: Any) -> Any:
        return _pairs(value)


class Pairs(View):
    """Real numbers as half as many complex ones along the last axis."""

    __slots__ = ()

    def read(self, base: Any) -> Any:
        return _pairs(base)

    def write(self, base: Any, value: Any) -> Any:
        return _parts(value)


def _parts(x: Any) -> Any:
    shape = shape_of(x)
    both = np.stack([REAL.bind(x), IMAG.bind(x)], axis=-1)
    return np.reshape(both, (*shape[:-1], 2 * shape[-1]) if shape else (2,))


def _pairs(x: Any) -> Any:
    return COMPLEX.bind(x[..., 0::2], x[..., 1::2])


def _view(self: Any, dtype: Any = None, type: Any = None) -> Any:
    """`x.view(dtype)`: the same memory as another dtype, where that can be said of what is traced."""
    if np.ndarray in getattr(dtype, "__mro__", ()):
        dtype, type = None, dtype
    if type is not None and type is not np.ndarray:
        why = "a traced value is no instance of another class of arrays"
        raise UnsupportedFunctionError(
            _text(f"x.view({type.__name__})", self, why, "the traced value as it is, with @ for products of matrices")
        )
    have = self.dtype
    new = have if dtype is None else np.dtype(dtype)
    if new == have:
        return getitem(array_operand(self), Ellipsis) if is_array(self) else self
    view = _view_as(have, new, self.shape)
    if view is None:
        raise UnsupportedFunctionError(
            _text(f"x.view({new})", self, f"its elements of {have} cannot be read as {new}", "x.astype(dtype)")
        )
    return viewed(self, view.read(array_operand(self)), view)


def _view_as(have: np.dtype[Any], new: np.dtype[Any], shape: tuple[int, ...]) -> View | None:
    """How the elements are read as another dtype; None where that is not offered."""
    if have.kind == "c" and new.kind == "f" and have.itemsize == 2 * new.itemsize and shape:
        return Parts()
    if have.kind == "f" and new.kind == "c" and 2 * have.itemsize == new.itemsize and shape and shape[-1] % 2 == 0:
        return Pairs()
    whole = have.kind in "biu" or new.kind in "biu"  # of floating numbers among each other there is one of each size
    return Bits(new) if whole and have.itemsize == new.itemsize and "c" not in have.kind + new.kind else None


# ------------------------------------------------------------------------------------------------------------ memory


class Flags:
    """`x.flags` of a traced array: how it lies in memory, where NumPy runs the program."""

    def __init__(self, x: Any) -> None:
        self._x = x

    @property
    def c_contiguous(self) -> bool:
        """Whether it lies row by row, without gaps."""
        return is_contiguous(self._x.shape, _strides_of(self._x, "x.flags"))

    @property
    def f_contiguous(self) -> bool:
        """Whether it lies column by column, without gaps."""
        return is_contiguous(self._x.shape[::-1], _strides_of(self._x, "x.flags")[::-1])

    @property
    def owndata(self) -> bool:
        """Whether it is no view of another array."""
        return root_of(self._x) is self._x

    @property
    def writeable(self) -> bool:
        """Whether one can write to it."""
        if not is_array(self._x):
            return False
        x, root = self._x, root_of(self._x)
        while x is not root:
            state: Any = state_of(x)
            if not state.view.writable:
                return False
            x = state.base
        return True

    aligned = True
    writebackifcopy = False
    contiguous = c_contiguous
    fortran = f_contiguous
    fnc = property(lambda self: self.f_contiguous and not self.c_contiguous)
    forc = property(lambda self: self.f_contiguous or self.c_contiguous)
    behaved = property(lambda self: self.writeable)
    carray = property(lambda self: self.c_contiguous and self.writeable)
    farray = property(lambda self: self.fnc and self.writeable)

    def __getitem__(self, name: str) -> bool:
        long = {"C": "C_CONTIGUOUS", "F": "F_CONTIGUOUS", "O": "OWNDATA", "W": "WRITEABLE", "A": "ALIGNED"}
        return getattr(self, long.get(name, name).lower())

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "_x":
            raise TypeError(
                f"x.flags.{name} of a traced array cannot be set; take x.copy() where others must not see writes"
            )
        object.__setattr__(self, name, value)


def _strides_of(x: Any, what: str) -> tuple[int, ...]:
    strides = strides_of(x) if x.shape else ()
    if strides is None:
        raise MissingAttributeError(
            _text(what, x, "how it lies in memory is not known here", "x.copy(), of which it is, or nothing")
        )
    return strides


def _strides(self: Any) -> tuple[int, ...]:
    return tuple(s * self.dtype.itemsize for s in _strides_of(self, "x.strides"))


def _base(self: Any) -> Any:
    root = root_of(self)
    return None if root is self else root


# -------------------------------------------------------------------------------------------------------- refusals

_MEMORY = "what is traced has no memory to be looked at"
_WRITTEN = "what is traced has no bytes to be written"

_ABSENT = {
    "data": (_MEMORY, "the traced value as it is"),
    "ctypes": (_MEMORY, "funcgrad.pure_callback for a function in C"),
    "itemset": ("arrays have no such method since NumPy 2.0", "x[index] = value"),
    "newbyteorder": ("arrays have no such method since NumPy 2.0", "the traced value as it is"),
}
"""Attributes that are not there, the reason, and what to write instead."""

_REFUSED = {
    "byteswap": ("the order of bytes means nothing to a traced value", "x.astype"),
    "dump": (_WRITTEN, "funcgrad.debug.callback(lambda value: value.dump(file), x), which is called with values"),
    "dumps": (_WRITTEN, "the value, returned from the function, and dumps() of it"),
    "getfield": ("only arrays of records have fields", "x.real, x.imag or x.astype"),
    "tofile": (_WRITTEN, "funcgrad.debug.callback(lambda value: value.tofile(file), x), which is called with values"),
}
"""Methods that raise, the reason, and what to write instead."""


def _absent(name: str, why: str, instead: str) -> property:
    def get(self: Any) -> NoReturn:
        raise MissingAttributeError(_text(f"x.{name}", self, why, instead))

    return property(get)


def _refused(name: str, why: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedFunctionError(_text(f"x.{name}()", self, why, instead))

    return refuse


# ------------------------------------------------------------------------------------------- methods of one number


class _OfNumbers:
    """A method, or an attribute, of Python's and NumPy's numbers that arrays do not have."""

    def __init__(self, name: str, get: Callable[[Any], Any]) -> None:
        self.name, self.get = name, get

    def __get__(self, x: Any, owner: type | None = None) -> Any:
        if x is None:
            return self
        kind = x.stands_for
        if not hasattr(kind, self.name):
            raise AttributeError(f"{kind.__name__!r} object has no attribute {self.name!r} (a traced {x.aval})")
        return self.get(x)


def _is_integer(self: Any) -> Callable[[], bool]:
    return lambda: bool(np.equal(np.trunc(self), self)) if self.dtype.kind == "f" else True


_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "is_integer": _is_integer,
    "bit_count": lambda x: lambda: int(np.bitwise_count(x)),
    "bit_length": lambda x: lambda: int(x).bit_length(),
    "numerator": lambda x: x,
    "denominator": lambda x: 1,
}


def install() -> None:
    """Give tracers these attributes and methods."""
    cls: Any = Tracer
    cls.view = _view
    cls.argpartition = lambda self, kth, axis=-1, kind="introselect", order=None: np.argpartition(self, kth, axis)
    for name, get in {"flags": Flags, "strides": _strides, "base": _base}.items():
        setattr(cls, name, property(get))
    for name, (why, instead) in _ABSENT.items():
        setattr(cls, name, _absent(name, why, instead))
    for name, (why, instead) in _REFUSED.items():
        setattr(cls, name, _refused(name, why, instead))
    for name, get in _NUMBERS.items():
        setattr(cls, name, _OfNumbers(name, get))
