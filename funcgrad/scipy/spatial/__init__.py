"""`scipy.spatial` for arrays and traced values alike: its module `transform`."""

from __future__ import annotations

from funcgrad.scipy._needs import rest_of
from funcgrad.scipy.spatial import transform

__all__ = ["transform"]


__getattr__ = rest_of("spatial")


def __dir__() -> list[str]:
    return __all__
