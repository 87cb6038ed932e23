"""The names of `jax.lax`: control flow, collectives, convolutions, windows; and NumPy's functions under its names.

Operands broadcast and promote by NumPy's rules, also where JAX's `lax` would refuse shapes or dtypes that differ. What
does not fit raises `errors.ArgumentError` or its kind `ShapeError`, which are ValueErrors and TypeErrors.
"""

from __future__ import annotations

from typing import Any

import funcgrad.tree as tree
from funcgrad._array import returning_arrays as _returning_arrays
from funcgrad._array import wrap_leaves as _wrap_leaves
from funcgrad.control.associative import associative_scan
from funcgrad.control.cond import cond, switch
from funcgrad.control.loops import fori_loop, map, scan, while_loop
from funcgrad.lax import (
    _bits,
    _conv,
    _dynamic,
    _elementwise,
    _fft,
    _gather,
    _products,
    _program,
    _ragged,
    _reductions,
    _rng,
    _scatter,
    _special,
    _structural,
    _types,
    _windows,
    linalg,
)
from funcgrad.lax._collectives import (
    all_gather,
    all_to_all,
    axis_index,
    axis_size,
    pbroadcast,
    pmax,
    pmean,
    pmin,
    ppermute,
    pshuffle,
    psum,
    psum_scatter,
    pswapaxes,
)
from funcgrad.lax._faults import fault as _fault
from funcgrad.numpy._dispatch import strong
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.transforms.implicit import custom_root
from funcgrad.transforms.linear_solve import custom_linear_solve
from funcgrad.types import is_inexact

__all__ = [
    "all_gather",
    "all_to_all",
    "associative_scan",
    "axis_index",
    "axis_size",
    "cond",
    "custom_linear_solve",
    "custom_root",
    "fori_loop",
    "linalg",
    "map",
    "pbroadcast",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "pshuffle",
    "psum",
    "psum_scatter",
    "pswapaxes",
    "scan",
    "stop_gradient",
    "switch",
    "while_loop",
]


def stop_gradient(x: Any) -> Any:
    """The value itself, through which no derivative flows.

    >>> from funcgrad import grad
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    3.0
    """
    return tree.map(_stopped, x)


def _stopped(x: Any) -> Any:
    if type(x) in (float, complex):
        return strong(x)
    return STOP_GRADIENT.bind(x) if is_inexact(x) else x


for _module in (
    _bits, _conv, _dynamic, _elementwise, _fft, _gather, _products, _program, _ragged, _reductions, _rng, _scatter,
    _special, _structural, _types, _windows,
):  # fmt: skip
    for _name in _module.__all__:
        globals()[_name] = getattr(_module, _name)
        __all__.append(_name)
for _name, _fun in _elementwise.NAMES.items():
    globals()[_name] = _fun
    __all__.append(_name)
for _name in ("NAMES", "check_precision", "in_dtype", "no_sharding"):
    __all__.remove(_name)

_CONTROL = ("associative_scan", "cond", "fori_loop", "map", "scan", "switch", "while_loop")
_returning_arrays(globals(), _CONTROL, _wrap_leaves)
_AS_THEY_ARE = (
    *_CONTROL, *_types.__all__, "ConvGeneralDilatedDimensionNumbers", "axis_size", "custom_root", "pmax", "pmin",
    "psum", "stop_gradient",
)  # fmt: skip
_CALLING = (
    "composite", "custom_linear_solve", "linalg", "platform_dependent", "reduce", "reduce_window", "scatter_apply",
)  # fmt: skip
_returning_arrays(globals(), _CALLING)  # what the functions that they are given raise is not theirs
_returning_arrays(globals(), (n for n in __all__ if n not in (*_AS_THEY_ARE, *_CALLING)), fault=_fault)


def __getattr__(name: str) -> Any:
    """The operation behind a function, by JAX's name: `lax.sin_p` is the primitive of equations that print as `sin`."""
    found = PRIMITIVES.get(name.removesuffix("_p")) if name.endswith("_p") else None
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return __all__
