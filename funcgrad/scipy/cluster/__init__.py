"""`scipy.cluster` for arrays and traced values alike: its module `vq`."""

from __future__ import annotations

from funcgrad.scipy.cluster import vq

__all__ = ["vq"]


def __dir__() -> list[str]:
    return __all__
