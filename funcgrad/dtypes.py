"""The names of `jax.dtypes` that have a meaning here: kinds of dtypes, and NumPy's questions about them.

>>> from funcgrad import dtypes, random
>>> dtypes.issubdtype(random.key(0).dtype, dtypes.prng_key)
True
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import finfo, iinfo, issubdtype

from funcgrad._refused import missing
from funcgrad.errors import DTypePromotionError
from funcgrad.numpy import result_type
from funcgrad.types import extended, float0, prng_key

__all__ = [
    "TypePromotionError",
    "canonicalize_dtype",
    "extended",
    "finfo",
    "float0",
    "iinfo",
    "issubdtype",
    "itemsize_bits",
    "prng_key",
    "result_type",
    "scalar_type_of",
]

TypePromotionError = DTypePromotionError


def canonicalize_dtype(dtype: Any, allow_extended_dtype: bool = False) -> np.dtype[Any]:
    """The dtype in which values of `dtype` are held: itself, since there is no switch that forbids 64 bits.

    >>> canonicalize_dtype(float)
    dtype('float64')
    """
    return np.dtype(dtype)


def itemsize_bits(dtype: Any) -> int:
    """How many bits an element has."""
    return 8 * np.dtype(dtype).itemsize


def scalar_type_of(x: Any) -> type:
    """Python's scalar type for the kind of numbers of a value or dtype: bool, int, float or complex.

    >>> scalar_type_of(np.float32(1))
    <class 'float'>
    """
    kind = np.dtype(x).kind if isinstance(x, (np.dtype, type)) else result_type(x).kind
    found = {"b": bool, "i": int, "u": int, "f": float, "c": complex}.get(kind)
    if found is None:
        raise TypeError(f"{x!r} is not of numbers")
    return found


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise missing("funcgrad.dtypes", name)
