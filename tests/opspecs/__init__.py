"""The one table of operations, with arguments on which to try them: what a function is, where it is smooth, for which
dtypes and shapes it is defined.

`SPECS` is filled by importing the modules of this package; tests are parametrised by it.
"""

from . import (
    collectives,
    effects,
    elementwise,
    fourier,
    indexing,
    late,
    linear,
    neural,
    primitives,
    products,
    random,
    reductions,
    rest,
    shaping,
    sparse,
    special,
    ufuncs,
    writing,
)
from .base import SPECS, Case, OpSpec

__all__ = [
    "SPECS",
    "Case",
    "OpSpec",
    "collectives",
    "effects",
    "elementwise",
    "fourier",
    "indexing",
    "late",
    "linear",
    "neural",
    "primitives",
    "products",
    "random",
    "reductions",
    "rest",
    "shaping",
    "sparse",
    "special",
    "ufuncs",
    "writing",
]
