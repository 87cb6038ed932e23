"""`scipy.cluster` for arrays and traced values alike: its module `vq`."""

from __future__ import annotations

from funcgrad.scipy._needs import rest_of
from funcgrad.scipy.cluster import vq

__all__ = ["vq"]


__getattr__ = rest_of("cluster")


def __dir__() -> list[str]:
    return __all__
