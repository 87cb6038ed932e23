"""`odeint`, under the name that JAX has for it."""

from __future__ import annotations

from funcgrad.scipy._odeint import odeint as _odeint
from funcgrad.transforms.boundary import arrays_as_given

__all__ = ["odeint"]

odeint = arrays_as_given(_odeint)


def __dir__() -> list[str]:
    return __all__
