"""What to write instead of functions that want plain arrays or numbers, for the messages of errors."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["REPLACEMENTS", "SCIPY_GENERAL", "public_name", "scipy_replacement"]

REPLACEMENTS = {
    "numpy.array": "np.stack([x, y]) for a list of traced values, or funcgrad.numpy.array",
    "numpy.asarray": "the traced value as it is, or funcgrad.numpy.asarray",
    "numpy.asanyarray": "the traced value as it is",
    "numpy.ascontiguousarray": "the traced value as it is",
    "numpy.asarray_chkfinite": "funcgrad.numpy.asarray_chkfinite",
    "numpy.asfortranarray": "funcgrad.numpy.asfortranarray",
    "numpy.asmatrix": "the traced value as it is, with @ for products",
    "numpy.as_strided": "np.lib.stride_tricks.sliding_window_view, slices, or an array of indices: what is traced has "
    "no memory to be looked at",
    "numpy.bmat": "np.block, with @ for products",
    "numpy.broadcast": "np.broadcast_shapes(x.shape, y.shape), or np.broadcast_arrays",
    "numpy.copyto": "a = np.zeros_like(x), which can be written to",
    "numpy.full_like": "value * np.ones_like(a), or funcgrad.numpy.full_like",
    "numpy.kaiser": "funcgrad.numpy.kaiser",
    "numpy.matrix": "the traced value as it is, with @ for products",
    "numpy.ndenumerate": "np.ndindex(x.shape), with x[index]",
    "numpy.nditer": "np.ndindex(x.shape), with x[index]; or functions of whole arrays",
    "numpy.require": "funcgrad.numpy.require",
    "numpy.full": "value * np.ones(shape), or funcgrad.numpy.full",
    "numpy.arange": "start + step * np.arange(n) with a length n that is known",
    "numpy.fromiter": "np.stack([...]), or funcgrad.numpy.fromiter",
    "numpy.take": "funcgrad.numpy.take(a, i), or funcgrad.at(a)[i].get()",
    "numpy.unwrap": "funcgrad.numpy.unwrap",
    "numpy.float64": "the traced value as it is, or x.astype(float)",
    "numpy.float32": "x.astype(np.float32)",
    "numpy.vectorize": "funcgrad.numpy.vectorize, or the NumPy functions inside it",
    "math.pow": "np.power",
    "math.fabs": "np.abs",
    "math.gamma": "scipy.special.gamma",
    "math.lgamma": "scipy.special.gammaln",
    "math.erf": "scipy.special.erf",
    "math.erfc": "scipy.special.erfc",
    "math.fsum": "np.sum",
    "math.dist": "np.linalg.norm(x - y)",
    "math.asin": "np.arcsin",
    "math.acos": "np.arccos",
    "math.atan": "np.arctan",
    "math.atan2": "np.arctan2",
    "math.asinh": "np.arcsinh",
    "math.acosh": "np.arccosh",
    "math.atanh": "np.arctanh",
}
"""What to write instead of a function, by its public name."""

SCIPY_GENERAL = (
    "NumPy's functions and the ufuncs of scipy.special, which take traced values; or a function with "
    "funcgrad.custom_vjp around SciPy's, whose rule says what its derivative is"
)
"""What to write instead of a function of SciPy that is written in Python."""


def public_name(fun: Any) -> str:
    """A function as `module.name`, with NumPy's and SciPy's public spelling."""
    if isinstance(fun, np.vectorize):  # which has the name of the function inside it
        fun = type(fun)
    name = getattr(fun, "__name__", type(fun).__name__)
    owner = getattr(fun, "__self__", None)
    module = str(getattr(fun, "__module__", None) or getattr(owner, "__name__", None) or type(owner).__module__)
    if module.startswith("numpy"):
        module = "numpy.polynomial" if module == "numpy.polynomial.polynomial" else "numpy"
    elif module.startswith("scipy."):
        module = module.partition("._")[0]  # what is behind a private name is not public either
        if module == "scipy.stats" and type(getattr(owner, "name", None)) is str:
            name = f"{getattr(owner, 'name', '')}.{name}"
    return f"{module}.{name}"


def scipy_replacement(name: str) -> str | None:
    """The function of `funcgrad.scipy` that stands for one of SciPy's with this public name; None if there is none."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 1, -1):
        module = f"funcgrad.{'.'.join(parts[:i])}"
        try:
            known = import_module(module)
        except ImportError:
            continue
        first = getattr(known, parts[i], None) if parts[i] in known.__all__ else None
        return f"funcgrad.{name}" if all(hasattr(first, part) for part in parts[i + 1 :]) and first else None
    return None
