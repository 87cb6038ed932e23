"""The names of `jax.dtypes` that have a meaning here: kinds of dtypes, and NumPy's questions about them.

>>> from funcgrad import dtypes, random
>>> dtypes.issubdtype(random.key(0).dtype, dtypes.prng_key)
True
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import finfo, iinfo, issubdtype

from funcgrad.numpy import result_type
from funcgrad.types import extended, float0, prng_key

__all__ = ["canonicalize_dtype", "extended", "finfo", "float0", "iinfo", "issubdtype", "prng_key", "result_type"]


def canonicalize_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype in which values of `dtype` are held: itself, since there is no switch that forbids 64 bits.

    >>> canonicalize_dtype(float)
    dtype('float64')
    """
    return np.dtype(dtype)


def __dir__() -> list[str]:
    return __all__
