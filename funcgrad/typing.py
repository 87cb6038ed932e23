"""The names of `jax.typing`: what functions take for an array, and for a dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ArrayLike", "DTypeLike"]

ArrayLike = np.ndarray | np.generic | bool | int | float | complex
"""An array, a scalar of NumPy or a number of Python; traced values answer `isinstance` as what they stand for."""

DTypeLike = str | type | np.dtype[Any]
"""Whatever `numpy.dtype` takes."""
