"""array-api-strict's simulated devices: "strict:device1" and the like.

The library refuses operations on arrays of different devices, and conversions of such arrays to NumPy's. So a lowering
that creates an array on the wrong device fails there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad._places import Device
from funcgrad.backends.array_api import ArrayAPIBackend

__all__ = ["StrictDeviceBackend", "strict_devices"]


class StrictDeviceBackend(ArrayAPIBackend):
    """Programs on one of array-api-strict's devices; raises RuntimeError where it has no such device."""

    def __init__(self, xp: Any, device: Device) -> None:
        found = [d for d in _all(xp) if _name(d) == device.kind]
        if not found:
            names = ", ".join(f'"strict:{_name(d)}"' for d in _all(xp))
            raise RuntimeError(f"array-api-strict has no device {device.kind!r}; there are {names}")
        self._own, self._host = found[0], xp.Device("CPU_DEVICE")
        super().__init__(xp, f"array_api_strict on {device.kind}", self._own, device)

    def __repr__(self) -> str:
        return f"StrictDeviceBackend({self.device})"

    def to_numpy(self, x: Any) -> np.ndarray:
        if x.device != self._own:
            raise RuntimeError(f"{self.name}: an array is on {x.device}")
        return np.array(x.to_device(self._host))


def _all(xp: Any) -> list[Any]:
    return list(xp.__array_namespace_info__().devices())


def _name(device: Any) -> str:
    return str(device).partition("'")[2].rstrip("')") or str(device)


def strict_devices(xp: Any) -> list[Device]:
    """The devices that array-api-strict simulates."""
    return [Device(f"strict:{_name(d)}") for d in _all(xp)]
