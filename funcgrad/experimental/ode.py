"""`odeint`, under the name that JAX has for it."""

from __future__ import annotations

from funcgrad.scipy._odeint import odeint

__all__ = ["odeint"]


def __dir__() -> list[str]:
    return __all__
