"""NumPy's functions by name, for arrays and traced values alike: `import funcgrad.numpy as jnp`.

Plain `numpy` works on traced values just as well; this namespace has the names of `jax.numpy`, and takes nested lists
of traced values where NumPy cannot (`funcgrad.numpy.array([x, y])`). On plain arrays each function is NumPy's.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from types import FunctionType as _Function
from typing import Any

import numpy as _np

from funcgrad._array import methods as _ours
from funcgrad._array import returning_arrays as _returning_arrays
from funcgrad.numpy import (
    _calculus,
    _contract,
    _create,
    _elementwise,
    _index,
    _methods,
    _names,
    _namespace,
    _reduce,
    _shape,
    _sort,
    _statistics,
    _writes,
    linalg,
)
from funcgrad.numpy._at import at
from funcgrad.numpy._keywords import extended as _extended
from funcgrad.numpy._plain import either as _either
from funcgrad.numpy._plain import made_here as _made_here

__all__ = ["at", "linalg"]

_PRIVATE = {"along", "axis_index", "gathered", "getitem", "given", "place", "reduction_axes", "scatter_into",
            "scattered", "slice_axis",
            "ufunc_function", "UFUNC_NAMES", "complex_of"}  # fmt: skip

_MADE = {"arange", "array", "asarray", "linspace"}
"""Functions that make arrays, which a transformed function can write to."""
_OWN = {"zeros", "ones", "empty", "full", "vectorize", "r_", "c_", "asanyarray", "asarray_chkfinite",
        "ascontiguousarray", "asfortranarray", "fromiter", "isfortran", "kaiser", "require",
        "sliding_window_view", "frompyfunc", "ufunc"}  # fmt: skip
"""What asks itself whether an argument is traced, or makes arrays that a transformed function can write to."""


_PLAIN = {"clip": _elementwise.plain_clip}  # more than NumPy's own takes


def _own_or(name: str, fun: Any) -> Any:
    plain = None if name in _OWN else _PLAIN.get(name, getattr(_np, name, None))
    fun = fun if plain is None else _either(plain, fun)
    return _extended(name, _made_here(fun) if name in _MADE else fun)


for _module in (_shape, _reduce, _statistics, _contract, _index, _calculus, _create, _sort, _elementwise):
    for _name in _module.__all__:
        if _name not in _PRIVATE:
            globals()[_name] = _own_or(_name, getattr(_module, _name))
            __all__.append(_name)
for _name, _fun in _elementwise.UFUNC_NAMES.items():
    globals()[_name] = _own_or(_name, _fun)
    __all__.append(_name)

for _name, _fun in _writes.PUBLIC.items():
    globals()[_name] = _extended(_name, _fun)
    __all__.append(_name)

# What takes no array is NumPy's own.
_SAME = (
    "bool", "bool_", "broadcast_shapes", "complex128", "complex64", "diag_indices", "dtype", "e", "euler_gamma",
    "eye", "finfo", "float16", "float32", "float64", "hamming", "hanning", "identity", "iinfo", "indices", "inf",
    "int16", "int32", "int64", "int8", "isdtype", "mask_indices", "mgrid", "nan", "ndarray", "newaxis", "ogrid",
    "pi", "promote_types", "s_", "tri", "tril_indices", "triu_indices", "uint16", "uint32", "uint64", "uint8",
)  # fmt: skip
for _name in _SAME:
    globals()[_name] = _made_here(getattr(_np, _name)) if _name in ("eye", "identity", "tri") else getattr(_np, _name)
    __all__.append(_name)
for _name, _value in _names.own().items():
    globals()[_name] = _value
    __all__.append(_name)
_ARRAYS = (
    "bartlett", "blackman", "diag_indices", "eye", "frombuffer", "fromfunction", "hamming",
    "hanning", "identity", "indices", "mask_indices", "tri", "tril_indices", "triu_indices",
)  # fmt: skip
_returning_arrays(globals(), _ARRAYS)
mask_indices = _extended("mask_indices", mask_indices)  # type: ignore[name-defined]  # noqa: F821

_LATE = (
    "apply_along_axis", "apply_over_axes", "array2string", "array_equiv", "array_repr", "array_str",
    "asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "bincount", "block", "c_",
    "delete", "diagflat", "digitize", "einsum_path", "fromiter", "frompyfunc", "histogram", "histogram2d",
    "histogram_bin_edges", "histogramdd", "insert", "intersect1d", "isfortran", "isin", "kaiser",
    "may_share_memory", "min_scalar_type", "nanmedian", "nanpercentile", "nanquantile", "packbits", "pad",
    "percentile", "piecewise", "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul",
    "polysub", "quantile", "r_", "ravel_multi_index", "require", "resize", "roots", "setdiff1d", "setxor1d",
    "shares_memory", "sliding_window_view", "tril_indices_from", "trim_zeros", "triu_indices_from", "ufunc",
    "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unpackbits",
    "unravel_index", "vectorize",
)  # fmt: skip
"""Names that are imported when they are first asked for."""
_MAKING = {"asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "fromiter", "kaiser", "require"}
__all__ += ("fft", "polynomial", *_LATE)


def __getattr__(name: str) -> Any:
    if name in ("fft", "polynomial"):
        return _import_module(f"funcgrad.numpy.{name}")
    if name == "special":  # where SciPy looks for the special functions of an array API namespace
        return _import_module("funcgrad.scipy.special")
    if name not in _LATE:
        raise _import_module("funcgrad._refused").missing("funcgrad.numpy", name)
    fun = getattr(_import_module("funcgrad.numpy._late"), name)
    fun = globals()[name] = fun if name in _OWN else _own_or(name, fun)
    if name in _MAKING:
        _returning_arrays(globals(), (name,))
    return _found_here(name)


def _found_here(name: str) -> Any:
    """The function of this name, which pickle is to look for in this module."""
    fun = globals()[name]
    if type(fun) is _Function and fun.__module__.startswith("funcgrad.numpy."):
        fun.__module__, fun.__qualname__ = "funcgrad.numpy", name
    return fun


__array_api_version__ = _namespace.API_VERSION
__array_namespace_info__ = _namespace.Info
from_dlpack = _made_here(_namespace.from_dlpack)
_returning_arrays(globals(), ("from_dlpack",))
__all__ += ("__array_api_version__", "__array_namespace_info__", "from_dlpack")

_methods.install()
_ours.update(
    {n: globals()[n] for n in _methods.METHODS},
    compress=lambda a, condition, *args, **kwargs: globals()["compress"](condition, a, *args, **kwargs),
)
_namespace.install()
for _name in __all__:
    if _name in globals():
        _found_here(_name)


def __dir__() -> list[str]:
    return __all__
