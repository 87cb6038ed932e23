"""Rows for what ufuncs are called with (`where`, `dtype`, `axes`) and for their methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import add
from .domains import nonzero, positive, real

D: dict[str, Any] = {"dtypes": "d"}
FEW: dict[str, Any] = {"dtypes": "d", "values": "f", "ulps": 8}
BITS: dict[str, Any] = {"dtypes": "", "values": "il"}
ODD = np.array([True, False, True, True])

# -------------------------------------------------------------------------------------------------------- methods

add("hypot.reduce", lambda x: np.hypot.reduce(x, axis=-1), nonzero, (4,), (2, 9), (0,), **FEW)
add("hypot.reduce, all", lambda x: np.hypot.reduce(x, axis=None, initial=2.0), nonzero, (2, 3), **FEW)
add("hypot.reduce, masked", lambda x: np.hypot.reduce(x, axis=1, where=ODD, keepdims=True), nonzero, (2, 4), **FEW)
add("logaddexp.reduce", lambda x: np.logaddexp.reduce(x, axis=-1), real, (4,), (2, 9), **FEW)
add("logaddexp2.reduce", lambda x: np.logaddexp2.reduce(x, axis=(0, 1)), real, (2, 3), **FEW)
add("subtract.reduce", lambda x: np.subtract.reduce(x, axis=-1), real, (4,), (2, 12), **FEW)
add("divide.reduce", lambda x: np.divide.reduce(x, axis=-1), positive, (4,), (2, 12), **FEW)
add("power.reduce", lambda x: np.power.reduce(x), positive, (3,), (2, 2), **FEW)
add("divide.reduce, masked", lambda x: np.divide.reduce(x, where=ODD, initial=1.0), positive, (4,), **FEW)
add(
    "subtract.reduce, masked",
    lambda x: np.subtract.reduce(x, where=np.tile(ODD, 3), initial=1.0),
    real, (12,), **FEW,
)  # fmt: skip
add("fmax.reduce", lambda x: (np.fmax.reduce(x), np.fmin.reduce(x)), real, (5,), (3, 2), **D)
add("maximum.reduce, masked", lambda x: np.maximum.reduce(x, where=ODD, initial=0.0), real, (4,), **D)
add("multiply.reduce, all", lambda x: np.multiply.reduce(x, axis=None, keepdims=True), nonzero, (4,), (2, 3), **FEW)
add("gcd.reduce", lambda x: np.gcd.reduce(np.abs(x)), real, (4,), (3, 2), **BITS)
add("bitwise_or.reduce", lambda x: np.bitwise_or.reduce(x, axis=None), real, (4,), (3, 2), **BITS)
add("bitwise_xor.accumulate", lambda x: np.bitwise_xor.accumulate(x), real, (4,), (3, 2), **BITS)
add("logical_xor.reduce", lambda x: np.logical_xor.reduce(x), real, (4,), (3, 2), dtypes="d", values="?i")
add(
    "logical_and.reduce, initial",
    lambda x: np.logical_and.reduce(x, initial=True),
    real,
    (4,),
    (3, 2),
    dtypes="d",
    values="?i",
)
add("hypot.accumulate", lambda x: np.hypot.accumulate(x, axis=-1), nonzero, (5,), (2, 3), (1,), **FEW)
add("logaddexp.accumulate", lambda x: np.logaddexp.accumulate(x, axis=-1), real, (5,), (2, 3), **FEW)
add("subtract.accumulate", lambda x: np.subtract.accumulate(x, axis=-1), real, (5,), (2, 11), **FEW)
add("add.reduceat", lambda x: np.add.reduceat(x, [0, 2, 1, 3], axis=-1), real, (5,), (2, 4), dtypes="d", values="?bf")
add("multiply.reduceat", lambda x: np.multiply.reduceat(x, [0, 3], axis=0), nonzero, (5,), (4, 2), **FEW)
add("maximum.reduceat", lambda x: np.maximum.reduceat(x, [1, 3]), real, (5,), (4, 2), **D)
add("hypot.reduceat", lambda x: np.hypot.reduceat(x, [0, 1, 3], axis=-1), nonzero, (5,), (2, 4), **FEW)
add("subtract.outer, 2-d", np.subtract.outer, (real, real), ((3,), (2,)), ((), (2, 2)), **D)
add("power.outer", np.power.outer, (positive, real), ((3,), (2,)), **FEW)
add("hypot.at", lambda x, y: _at(np.hypot, x, y), (nonzero, nonzero), ((3,), (4,)), **FEW)


def _at(ufunc: np.ufunc, x: Any, y: Any) -> Any:
    out = x * 1
    ufunc.at(out, [0, 2, 2, 0], y)
    return out


# -------------------------------------------------------------------------------------------------------- options

add("ufunc with where", lambda x: np.sqrt(x, where=x > 0, out=np.zeros_like(x)), nonzero, (4,), (2, 3), **D)
add("ufunc with signature", lambda x: np.add(x, 1, signature="dd->d"), real, (3,), dtypes="d", values="fi")
add("divmod with dtype", lambda x: np.divmod(x, 2, dtype=np.float64), real, (3,), dtypes="d", values="fi")
add("matmul with axes", lambda x: np.matmul(x, x, axes=[(0, 1), (1, 0), (1, 0)]), real, (3, 2), **FEW)
