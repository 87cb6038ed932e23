"""Derivatives of SciPy's elementwise functions, without importing SciPy.

A ufunc of `scipy.special` arrives at `__array_ufunc__` as an object; its rule is found by its name, and the ufunc
itself evaluates it. The rules are in the modules of this package, one per family of functions, and are imported when
the first such ufunc arrives. Each argument of each function has a derivative, or is said to have none (`ZERO`), or is
refused by name (`Unknown`).

Where a formula would cancel, or needs a function that SciPy lacks, the derivatives are primitives of our own
(`base.Chain`), computed in double precision: by quadrature (`quadrature.py`), by truncated Taylor arithmetic through an
algorithm that does not cancel (`jets.py`), by asymptotic or Taylor series. `python -m tools.special_table` compares all
of them with mpmath.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ops.math import UFUNCS

__all__ = ["special_names", "special_primitive"]

_made: dict[Any, Primitive | None] = {}


def special_primitive(ufunc: Any) -> Primitive | None:
    """The primitive of a ufunc of `scipy.special`; None if there is no rule for it."""
    if ufunc not in _made:
        same = UFUNCS.get(getattr(np, ufunc.__name__, None))  # expm1, log1p, cbrt, exp2: NumPy has them as well
        _made[ufunc] = same if same is not None else _table().make(ufunc)
    return _made[ufunc]


def special_names() -> frozenset[str]:
    """The names of all functions that have a rule here, and so a primitive when they are first met."""
    return _table().NAMES


def _table() -> Any:
    return importlib.import_module("funcgrad.ops.special.table")
