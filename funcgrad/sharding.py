"""The names of `jax.sharding`: an array is on one device as a whole. What divides arrays raises where it is called."""

from __future__ import annotations

from funcgrad._places import SingleDeviceSharding
from funcgrad._refused import refused

__all__ = ["Mesh", "NamedSharding", "PartitionSpec", "Sharding", "SingleDeviceSharding"]

Sharding = SingleDeviceSharding
"""The class of all shardings."""

Mesh, NamedSharding, PartitionSpec = map(refused, ("Mesh", "NamedSharding", "PartitionSpec"))


def __dir__() -> list[str]:
    return __all__
