"""Names of NumPy that take no array: kinds of numbers, constants, how arrays are printed and read."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SAME", "own"]

SAME = (
    # kinds of numbers
    "False_", "ScalarType", "True_", "byte", "bytes_", "cdouble", "character", "clongdouble", "complexfloating",
    "csingle", "datetime64", "double", "flexible", "floating", "generic", "half", "inexact", "int_", "intc", "integer",
    "intp", "long", "longdouble", "longlong", "number", "object_", "short", "signedinteger", "single", "str_",
    "timedelta64", "ubyte", "uint", "uintc", "uintp", "ulong", "ulonglong", "unsignedinteger", "ushort", "void",
    # questions about them
    "isscalar", "issubdtype", "iterable", "mintypecode", "sctypeDict", "typecodes", "typename",
    # indices and windows
    "bartlett", "blackman", "index_exp", "ndenumerate", "ndindex",
    # text and files
    "base_repr", "binary_repr", "errstate", "format_float_positional", "format_float_scientific", "frombuffer",
    "fromfile", "fromfunction", "fromregex", "fromstring", "genfromtxt", "get_printoptions", "geterr", "geterrcall",
    "load", "loadtxt", "printoptions", "save", "savetxt", "savez", "savez_compressed", "set_printoptions", "seterr",
    "seterrcall",
)  # fmt: skip
"""Those that are NumPy's own here too."""

_OLDER: dict[str, Any] = {
    "ComplexWarning": np.exceptions.ComplexWarning,
    "complex_": np.complex128,
    "float_": np.float64,
}
"""Names that JAX has kept and NumPy has not, or elsewhere."""


def own() -> dict[str, Any]:
    """The names that are NumPy's own, with what they stand for."""
    found = {name: getattr(np, name) for name in SAME if hasattr(np, name)}
    return {**found, **_OLDER}
