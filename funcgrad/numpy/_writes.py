"""Writes in place: `x op= y`, `x[index] = y`, and the methods and functions that write into their arrays.

Each computes the new contents as a value, by NumPy's rules, and stores it (`aliasing.store`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import wraps
from inspect import signature
from types import FrameType
from typing import Any, TypeVar, cast

import numpy as np

from funcgrad.aliasing import alias, as_array, fresh, is_array, operand_of, refusal
from funcgrad.core import Tracer
from funcgrad.errors import DTypeError
from funcgrad.numpy._contract import matmul
from funcgrad.numpy._dispatch import array_operand, foreign, implements, operand, written_plainly
from funcgrad.numpy._elementwise import imag, real
from funcgrad.numpy._index import along, getitem, scatter_into, window_of
from funcgrad.numpy._out import as_contents, into
from funcgrad.numpy._selection import Selection, is_condition
from funcgrad.numpy._shape import broadcast_to, ravel
from funcgrad.numpy._views import Flat, reshaped
from funcgrad.types import PYTHON_SCALARS, dtype_of, is_a, shape_of
from funcgrad.writes import detached, is_view_of, store, view_of

__all__ = ["PUBLIC", "in_place", "install", "target"]

F = TypeVar("F", bound=Callable[..., Any])


def in_place(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method for `x op= y`: of an array a write, and of a scalar nothing but a new one."""
    what = f"`x {symbol}= y`"

    def method(self: Any, other: Any) -> Any:
        if not is_array(self):
            return NotImplemented  # Python takes `x = x op y`
        value = compute(self, other)
        return value if value is NotImplemented else into(self, value, what)

    return method


def _matmul(self: Any, other: Any) -> Any:
    if foreign(other):
        return NotImplemented
    other = array_operand(other)
    if self.ndim < 1 or other.ndim < 2:
        raise ValueError(
            "`x @= y`: the first operand needs at least one dimension and the second at least two, got "
            f"{self.shape} and {other.shape}"
        )
    if other.shape[-1] != self.shape[-1]:  # one column would be repeated where it is stored
        raise ValueError(
            f"`x @= y`: x of shape {self.shape} does not take the product with y of shape {other.shape}, which has "
            "another number of columns; write x = x @ y"
        )
    return matmul(self, other)


# --------------------------------------------------------------------------------------------------- x[index] = y


def _by_array_api_extra(frame: FrameType) -> bool:
    """Whether `array_api_extra.at` writes, which takes whatever has a namespace for an array, but NumPy's scalars."""
    return frame.f_globals.get("__name__", "").endswith("array_api_extra._lib._at")


def setitem(self: Any, index: Any, value: Any) -> None:
    """`x[index] = value`."""
    what = "`x[index] = value`"
    if not is_array(self):
        if self.weak or not _by_array_api_extra(sys._getframe(1)):
            raise TypeError("a scalar does not support item assignment: make it an array of shape (1,), x.reshape(1)")
        as_array(self).state.fixed = False
    if is_a(value, Tracer) and is_view_of(value, self, lambda: window_of(self, index)):
        return  # the second half of `x[index] op= value`
    if is_a(value, Selection) and value.mask is index and shape_of(value.values) == self.shape:
        mask = reshaped(index, index.shape + (1,) * (self.ndim - index.ndim))
        return store(self, np.where(mask, as_contents(value.values, self.dtype), operand_of(self)), what)
    value = _assignable(value, self.dtype)
    if is_a(view_of(self), Flat):
        return put(self, np.arange(self.size)[index], value)
    if is_condition(index) and not value.shape:  # no matter how many
        _same_leading(self.shape, index.shape)
        mask = reshaped(index, index.shape + (1,) * (self.ndim - index.ndim))
        return store(self, np.where(mask, value, operand_of(self)), what)
    new = scatter_into(operand_of(self), index, value, False)
    store(self, detached(new) if new is value else new, what)


def _same_leading(shape: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if shape[: len(mask)] != mask:
        raise IndexError(f"a boolean mask of shape {mask} does not fit the leading dimensions of {shape}")


def _assignable(value: Any, dtype: np.dtype[Any]) -> Any:
    """A value to assign, of this dtype; what Python's numbers do not fit into raises as in NumPy."""
    if type(value) in PYTHON_SCALARS:
        return np.asarray(value, dtype)
    return as_contents(array_operand(value), dtype)


def fill(self: Any, value: Any) -> None:
    """`x.fill(value)`."""
    if shape_of(operand(value)):
        raise ValueError(f"x.fill takes a scalar, got an array of shape {shape_of(operand(value))}")
    setitem(self, Ellipsis, value)


def sort(self: Any, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    """`x.sort()`."""
    store(self, np.sort(operand_of(self), axis), "x.sort()")


def partition(self: Any, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None) -> None:
    """`x.partition(kth)`."""
    store(self, np.partition(operand_of(self), kth, axis), "x.partition()")


# ------------------------------------------------------------------------------------------------------ functions


def writer(plain: Callable[..., Any]) -> Callable[[F], F]:
    """Say that the decorated function stands for one of NumPy's, which writes into its first argument, when an argument
    is traced. Into a plain array NumPy writes itself, if what it writes has values and no derivative."""

    def register(fun: F) -> F:
        name, first = f"numpy.{plain.__name__}", fun.__code__.co_varnames[0]

        @wraps(fun)
        def write(*args: Any, **kwargs: Any) -> Any:
            traced = isinstance(args[0] if args else kwargs.get(first), Tracer)
            return fun(*args, **kwargs) if traced else written_plainly(name, plain, args, kwargs)

        return cast(F, implements(plain)(write))

    return register


def target(x: Any, name: str) -> Any:
    """The traced array to write to, which must not be a scalar."""
    if not is_array(x):
        raise TypeError(f"{name}: the array to write to is a scalar of type {x.aval}")
    return x


@writer(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Copy values from one array to another, where `where` is true."""
    name = "numpy.copyto"
    x, value = target(dst, name), operand(src)
    if type(value) in PYTHON_SCALARS:
        if casting != "unsafe" and not np.can_cast(np.result_type(x.dtype, value), x.dtype, casting):  # type: ignore[arg-type]
            raise DTypeError(f"{name}: cannot cast {value!r} to {x.dtype} with casting rule {casting!r}")
        value = np.asarray(value, x.dtype)
    extra = len(shape_of(value)) - x.ndim
    if extra > 0 and shape_of(value)[:extra] == (1,) * extra:
        value = reshaped(value, shape_of(value)[extra:])
    mask = where if where is True else operand(where)
    new = broadcast_to(value, x.shape)
    into(x, detached(new) if new is src else new, name, casting, mask)


@writer(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """`a.flat[ind] = v`, with as many repetitions of `v` as there are indices."""
    x = target(a, "numpy.put")
    i, values = ravel(array_operand(ind)), ravel(_assignable(v, x.dtype))
    if not shape_of(i)[0]:
        return
    if mode == "wrap":
        i = np.mod(i, x.size)
    elif mode == "clip":
        i = np.clip(i, 0, x.size - 1)
    flat = scatter_into(reshaped(operand_of(x), (x.size,)), i, _recycled(values, shape_of(i)[0]), False)
    store(x, reshaped(flat, x.shape), "numpy.put")


def _recycled(values: Any, n: int) -> Any:
    """`values` over and over, n in all."""
    have = shape_of(values)[0]
    if not have:
        raise ValueError("there are no values to write")
    return values if have == n else getitem(values, np.arange(n) % have)


@writer(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write values, one after the other and over again, where the mask is true."""
    x = target(arr, "numpy.place")
    values = ravel(_assignable(vals, x.dtype))
    if not shape_of(values)[0]:
        raise ValueError("numpy.place: there are no values to write")
    chosen = np.not_equal(reshaped(array_operand(mask), (x.size,)), 0)
    count = np.cumsum(chosen) - 1  # which of the values an element gets
    flat = np.where(chosen, getitem(values, np.mod(count, shape_of(values)[0])), reshaped(operand_of(x), (x.size,)))
    store(x, reshaped(flat, x.shape), "numpy.place")


@writer(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Write `values`, repeated to the size of `a`, where the mask is true."""
    x = target(a, "numpy.putmask")
    value = _assignable(values, x.dtype)
    if value.shape != x.shape:
        value = reshaped(_recycled(ravel(value), x.size), x.shape)
    store(x, np.where(reshaped(array_operand(mask), x.shape), value, operand_of(x)), "numpy.putmask")


@writer(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """Write values at indices along an axis, each position with an index of its own."""
    x, i = target(arr, "numpy.put_along_axis"), array_operand(indices)
    base = operand_of(x)
    if axis is None:
        flat = scatter_into(reshaped(base, (x.size,)), i, _assignable(values, x.dtype), False)
        return store(x, reshaped(flat, x.shape), "numpy.put_along_axis")
    value = scatter_into(base, along(base, i, axis), _assignable(values, x.dtype), False)
    store(x, value, "numpy.put_along_axis")


@writer(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write into the main diagonal, of an array whose dimensions are equal if there are more than two."""
    x = target(a, "numpy.fill_diagonal")
    probe = np.zeros(x.shape, bool)
    np.fill_diagonal(probe, True, wrap)
    put(x, np.flatnonzero(probe), val)


def _public(plain: Any, traced: Callable[..., None]) -> Callable[..., Any]:
    """The function of `funcgrad.numpy`; with `inplace=False` it gives a new array, as that of `jax.numpy` does."""

    first = next(iter(signature(traced).parameters))

    @wraps(traced)
    def public(*args: Any, inplace: bool = True, **kwargs: Any) -> Any:
        a, *args = args or (kwargs.pop(first),)  # type: ignore[assignment]
        is_traced = any(isinstance(x, Tracer) for x in (a, *args, *kwargs.values()))
        if not inplace:
            a = alias(a, "K") if isinstance(a, Tracer) else fresh(np.array(a)) if is_traced else np.array(a)
        (traced if is_traced else plain)(a, *args, **kwargs)
        return None if inplace else a

    return public


PUBLIC: dict[str, Callable[..., Any]] = {
    f.__name__: _public(getattr(np, f.__name__), f)
    for f in (copyto, put, place, putmask, put_along_axis, fill_diagonal)
}
"""Functions of `funcgrad.numpy`, by name."""


# --------------------------------------------------------------------------------------------------- attributes


def _set_real(self: Any, value: Any) -> None:
    setitem(real(self), Ellipsis, value)


def _set_imag(self: Any, value: Any) -> None:
    if dtype_of(self).kind != "c":
        raise TypeError(f"an array of {self.dtype} has no imaginary part to be set")
    setitem(imag(self), Ellipsis, value)


def _set_flat(self: Any, value: Any) -> None:
    put(self, np.arange(math.prod(self.shape)), value)


_REFUSED = {
    "__delitem__": ("del x[index]", "np.delete, or np.concatenate of what stays"),
    "resize": ("x.resize()", "x = np.resize(x, shape), or np.pad"),
    "setfield": ("x.setfield()", "x.astype or x[index] = value"),
    "setflags": ("x.setflags()", "nothing, or x.copy() where others must not see what is written"),
}


def install() -> None:
    """Give tracers the methods that write."""
    cls: Any = Tracer
    cls.__setitem__, cls.fill, cls.sort, cls.partition = setitem, fill, sort, partition
    cls.put = lambda self, indices, values, mode="raise": put(self, indices, values, mode)
    cls.__imatmul__ = in_place("@", _matmul)
    for name, (what, instead) in _REFUSED.items():
        setattr(cls, name, refusal(what, instead))
    transpose = refusal("x.T = value", "x.T[...] = value")
    for name, write in {"real": _set_real, "imag": _set_imag, "flat": _set_flat, "T": transpose}.items():
        setattr(cls, name, property(getattr(cls, name).fget, write))
