"""SciPy's functions by name, for arrays and traced values alike: the names of `jax.scipy`, and more.

Each submodule is imported when it is first asked for, and imports SciPy where it uses it, which is rarely: where SciPy
is missing, that raises an ImportError which says so.

>>> import funcgrad as fg
>>> round(fg.grad(fg.scipy.special.gammaln)(2.0), 4)
0.4228
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from funcgrad.scipy import (
        cluster,
        fft,
        integrate,
        interpolate,
        linalg,
        ndimage,
        optimize,
        signal,
        sparse,
        spatial,
        special,
        stats,
    )

__all__ = [
    "cluster",
    "fft",
    "integrate",
    "interpolate",
    "linalg",
    "ndimage",
    "optimize",
    "signal",
    "sparse",
    "spatial",
    "special",
    "stats",
]


def __getattr__(name: str) -> _Any:
    if name not in __all__:
        raise AttributeError(f"module 'funcgrad.scipy' has no attribute {name!r}; it has {', '.join(__all__)}")
    return _import_module(f"funcgrad.scipy.{name}")


def __dir__() -> list[str]:
    return list(__all__)
