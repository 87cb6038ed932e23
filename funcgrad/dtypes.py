"""The names of `jax.dtypes` that have a meaning here: kinds of dtypes, and NumPy's questions about them.

>>> from funcgrad import dtypes, random
>>> dtypes.issubdtype(random.key(0).dtype, dtypes.prng_key)
True
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import finfo, iinfo, issubdtype

from funcgrad.types import PYTHON_SCALARS, extended, float0, prng_key, result_dtype

__all__ = ["canonicalize_dtype", "extended", "finfo", "float0", "iinfo", "issubdtype", "prng_key", "result_type"]


def canonicalize_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype in which values of `dtype` are held: itself, since there is no switch that forbids 64 bits.

    >>> canonicalize_dtype(float)
    dtype('float64')
    """
    return np.dtype(dtype)


def result_type(*args: Any) -> np.dtype[Any]:
    """The dtype to which arrays, dtypes and Python scalars are promoted, by NumPy's rules.

    >>> result_type(np.zeros(2, np.float32), 1.0)
    dtype('float32')
    """
    if all(hasattr(x, "shape") or type(x) in PYTHON_SCALARS for x in args):
        return result_dtype(*args)
    return np.result_type(*args)


def __dir__() -> list[str]:
    return __all__
