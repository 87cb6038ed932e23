"""What a tracer can do like an array: operators, indexing, attributes and methods, and `.at[…]`.

They are installed on `Tracer` here, so that the core knows no operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

import funcgrad.conversions as conversions
import funcgrad.device_array as device_array
import funcgrad.numpy._at as _at
import funcgrad.numpy._attributes as _attributes
import funcgrad.numpy._dispatch as _dispatch
import funcgrad.numpy._strict as _strict
import funcgrad.numpy._writes as _writes
from funcgrad._array import methods, numpys_own
from funcgrad.aliasing import alias, is_array, operand_of
from funcgrad.config import hooks
from funcgrad.core import Primitive, Tracer
from funcgrad.numpy._contract import matmul
from funcgrad.numpy._dispatch import array_operand, foreign, operand
from funcgrad.numpy._elementwise import imag, real
from funcgrad.numpy._index import compress, getitem
from funcgrad.numpy._selection import Selection, is_mask
from funcgrad.numpy._shape import astype, matrix_transpose, ravel, reshape, transpose
from funcgrad.numpy._views import Flat, reshaped
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.random import UNWRAP
from funcgrad.types import PYTHON_SCALARS, is_key
from funcgrad.writes import owned, viewed

__all__ = ["METHODS", "install"]

_READY = PYTHON_SCALARS | {np.ndarray}

_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
_SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
}
_COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute}

METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "choose", "clip", "conj", "conjugate", "cumprod",
    "cumsum", "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ptp", "ravel", "repeat", "round",
    "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var",
)  # fmt: skip


def _operator(primitive: Primitive, swapped: bool) -> Callable[[Any, Any], Any]:
    bind = primitive.bind

    def method(self: Any, other: Any) -> Any:
        if type(other) not in _READY and not isinstance(other, Tracer):
            if foreign(other):
                return NotImplemented
            if hasattr(type(other), "tocsr"):
                return import_module("funcgrad.scipy.sparse").operator(primitive.name, self, other, swapped)
            other = operand(other)
        return bind(other, self) if swapped else bind(self, other)

    return method


def _comparison(primitive: Primitive, equal: bool) -> Callable[[Any, Any], Any]:
    """`x == other` (with `equal`) or `x != other`, also of random keys: those are compared by their words."""
    compare = _operator(primitive, False)

    def method(self: Any, other: Any) -> Any:
        if other is None or type(other) in (str, bytes):  # as where a function asks whether an option is a word
            return np.full(self.shape, not equal)[()]
        if self.dtype.kind != "V" or not is_key(other) or other.dtype != self.dtype:
            return compare(self, other)
        different = np.any(UNWRAP.bind(self) != UNWRAP.bind(operand(other)), axis=-1)
        return np.logical_not(different) if equal else different

    return method


def _product(swapped: bool) -> Callable[[Any, Any], Any]:
    """`x @ other`, also where that is a sparse matrix of SciPy's."""

    def method(self: Any, other: Any) -> Any:
        if foreign(other):
            return NotImplemented
        multiply = matmul if not hasattr(type(other), "tocsr") else import_module("funcgrad.scipy.sparse").matmul
        return multiply(other, self) if swapped else multiply(self, other)

    return method


def _power(self: Any, exponent: Any) -> Any:
    """`x ** 2` and the like by the ufuncs that NumPy's own operator uses for arrays.

    They decide about the dtype for booleans: 2 gives int8 for an array of them and int64 for a `numpy.bool_`, which is
    what a value of shape () is taken for. A traced exponent is not looked at, since no dtype may depend on a value.
    """
    if type(exponent) in (int, float) and not self.weak:
        kind = self.dtype.kind
        if exponent == 2 and (kind in "fc" or (type(exponent) is int and (kind != "b" or self.shape))):
            return np.square(self)
        if kind in "fc":
            if exponent == 1:
                return np.positive(self)
            if exponent == 0.5:
                return np.sqrt(self)
            if exponent == -1:
                return np.reciprocal(self)
    return _general_power(self, exponent)


_general_power = _operator(UFUNCS[np.power], False)


def _invert(self: Any) -> Any:
    """`~x`; of Python's integers, booleans among them, it is an integer again."""
    return -self - 1 if self.weak and self.dtype.kind in "bi" else UFUNCS[np.invert].bind(self)


def _unary(primitive: Primitive) -> Callable[[Any], Any]:
    return lambda self: primitive.bind(self)


def _getitem(self: Any, index: Any) -> Any:
    x = array_operand(self)
    if is_mask(index) and index.concrete("bytes") is None:
        return Selection(operand_of(x), index)
    return getitem(x, index)


def _install_operators() -> None:
    for name, ufunc in _BINARY.items():
        setattr(Tracer, f"__{name}__", _operator(UFUNCS[ufunc], False))
        setattr(Tracer, f"__r{name}__", _operator(UFUNCS[ufunc], True))
        compute = _power if ufunc is np.power else getattr(Tracer, f"__{name}__")
        setattr(Tracer, f"__i{name}__", _writes.in_place(_SYMBOLS[name], compute))
    for name, ufunc in _COMPARE.items():
        setattr(Tracer, f"__{name}__", _operator(UFUNCS[ufunc], False))
    for name, ufunc in (("eq", np.equal), ("ne", np.not_equal)):
        setattr(Tracer, f"__{name}__", _comparison(UFUNCS[ufunc], name == "eq"))
    for name, ufunc in _UNARY.items():
        setattr(Tracer, f"__{name}__", _unary(UFUNCS[ufunc]))
    Tracer.__hash__ = None  # type: ignore[assignment]
    Tracer.__pow__, Tracer.__invert__ = _power, _invert  # type: ignore[attr-defined]
    Tracer.__matmul__ = _product(False)  # type: ignore[attr-defined]
    Tracer.__rmatmul__ = _product(True)  # type: ignore[attr-defined]
    Tracer.__divmod__ = lambda self, other: (self // other, self % other)  # type: ignore[attr-defined]
    Tracer.__rdivmod__ = lambda self, other: (other // self, other % self)  # type: ignore[attr-defined]
    Tracer.__getitem__ = _getitem  # type: ignore[attr-defined]


def _from_function(name: str) -> Callable[..., Any]:
    function = getattr(np, name, None)
    fun = _dispatch.FUNCTIONS.get(function, None)
    if fun is None:  # conj and conjugate are ufuncs
        return _dispatch.conjugated

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (kwargs or len(args) > 1) and not numpys_own(args, kwargs):
            return methods[name](self, *args, **kwargs)
        if "out" in kwargs or len(args) > 1:
            return _dispatch.call_function(function, (self, *args), kwargs)
        out = fun(self, *args, **kwargs)
        return out if views else owned(out, (self,))

    views = function in _dispatch.VIEWS
    method.__name__, method.__doc__ = name, f"As `numpy.ndarray.{name}`."
    return method


def _reshape(self: Any, *shape: Any, order: str = "C", copy: Any = None) -> Any:
    return reshape(self, shape[0] if len(shape) == 1 else shape, order)


def _transpose(self: Any, *axes: Any) -> Any:
    if not axes or axes == (None,):
        return transpose(self)
    return transpose(self, axes[0] if isinstance(axes[0], (tuple, list)) else axes)


def _astype(
    self: Any, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
) -> Any:
    if np.dtype(dtype) == self.dtype and not self.weak:
        return self if not copy or not is_array(self) else alias(self, order)
    return astype(self, dtype)


def _compress(self: Any, condition: Any, axis: Any = None, out: None = None, **sized: Any) -> Any:
    return methods["compress"](self, condition, axis, out, **sized) if sized else compress(condition, self, axis, out)


def _install_methods() -> None:
    for name in METHODS:
        setattr(Tracer, name, _from_function(name))
    Tracer.reshape, Tracer.transpose, Tracer.astype = _reshape, _transpose, _astype  # type: ignore[attr-defined]
    Tracer.flatten = lambda self, order="C": alias(ravel(self, order))  # type: ignore[attr-defined]
    Tracer.copy = lambda self, order="C": alias(self, order) if is_array(self) else self  # type: ignore[attr-defined]
    Tracer.compress = _compress  # type: ignore[attr-defined]
    Tracer.__array_priority__ = 100.0  # type: ignore[attr-defined]
    properties: dict[str, Callable[[Any], Any]] = {
        "ndim": lambda self: len(self.shape),
        "size": lambda self: math.prod(self.shape),
        "itemsize": lambda self: self.dtype.itemsize,
        "nbytes": lambda self: math.prod(self.shape) * self.dtype.itemsize,
        "T": transpose,
        "mT": matrix_transpose,
        "real": real,
        "imag": imag,
        "at": lambda self: _at.At(self),
        "flat": lambda self: viewed(self, reshaped(self, (math.prod(self.shape),)), Flat((math.prod(self.shape),))),
    }
    for name, get in properties.items():
        setattr(Tracer, name, property(get))


def install() -> None:
    """Give tracers everything that an array has."""
    _dispatch.install()
    conversions.install(Tracer)
    _install_operators()
    _install_methods()
    _writes.install()
    _at.register()
    _attributes.install()
    names = {f"__{side}{name}__": u.__name__ for name, u in _BINARY.items() for side in ("", "r", "i")}
    names |= {f"__{name}__": ufunc.__name__ for name, ufunc in _COMPARE.items()}
    names["clip"] = "clip"
    device_array.install()
    _strict.install(names | dict.fromkeys(("__matmul__", "__rmatmul__", "__imatmul__", "dot"), "matmul"))
    for setting in ("dtype_promotion", "rank_promotion"):
        hooks[setting] = partial(_strict.set_mode, setting)
