"""Backends by the names of their devices: "numpy", "torch:cuda:1", "cupy:0", "strict:device1", "simulated:0".

A library is imported when one of its devices is asked for. What is missing (the package, the driver, the device) is
said in one sentence, with what to install.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from funcgrad._places import Device
from funcgrad.backends.array_api import ArrayAPIBackend
from funcgrad.backends.base import Backend
from funcgrad.backends.numpy import NumpyBackend
from funcgrad.backends.simulated import SimulatedBackend
from funcgrad.backends.strict_device import StrictDeviceBackend, strict_devices

__all__ = ["LIBRARIES", "backend_named", "device_named", "devices_of"]


def _array_api_strict() -> Any:
    try:
        return import_module("array_api_strict")
    except ImportError:
        raise ImportError(
            "the backend 'array_api_strict' needs a package: pip install array-api-strict, or funcgrad[backends]"
        ) from None


def _torch() -> Any:
    return import_module("funcgrad.backends.torch_backend")


def _cupy() -> Any:
    return import_module("funcgrad.backends.cupy_backend")


LIBRARIES: dict[str, tuple[str, Callable[[Device], Backend], Callable[[], list[Device]]]] = {
    "numpy": ("numpy", lambda device: NumpyBackend(), lambda: [Device("cpu")]),
    "simulated": (
        "numpy",
        lambda device: SimulatedBackend(device.id),
        lambda: [Device("simulated:0"), Device("simulated:1")],
    ),
    "strict": (
        "array_api_strict",
        lambda device: StrictDeviceBackend(_array_api_strict(), device),
        lambda: strict_devices(_array_api_strict()),
    ),
    "torch": ("torch", lambda device: _torch().TorchBackend(device), lambda: _torch().devices()),
    "cupy": ("cupy", lambda device: _cupy().CupyBackend(device), lambda: _cupy().devices()),
}
"""For each library its package, what makes the backend of a device, and what lists its devices."""


def device_named(name: str) -> Device:
    """The device of a name; raises ValueError for a library that is not known."""
    if name == "array_api_strict":
        name = "strict:CPU_DEVICE"
    library = name.partition(":")[0]
    if library not in LIBRARIES and name != "cpu":
        known = '"numpy", "torch:cpu", "torch:cuda:0", "torch:mps", "torch:xpu", "cupy:0", "array_api_strict"'
        raise ValueError(f"no backend is called {name!r}; there are {known}")
    return Device(name)


@cache
def _of_device(device: Device) -> Backend:
    return LIBRARIES[device.library][1](device)


@cache
def _plain_strict() -> Backend:
    return ArrayAPIBackend(_array_api_strict(), called="strict:CPU_DEVICE")


def backend_named(name: str) -> Backend:
    """The backend of a device, always the same one; raises ImportError, or RuntimeError where that is not there."""
    device = device_named(name)
    return _plain_strict() if device == "strict:CPU_DEVICE" else _of_device(device)


def devices_of(library: str) -> list[Device]:
    """The devices of a library, or of "all" that are installed."""
    if library != "all":
        return LIBRARIES[library][2]()
    found: list[Device] = []
    for name in ("numpy", "torch", "cupy"):
        if find_spec(LIBRARIES[name][0]) is not None:
            found += LIBRARIES[name][2]()
    return found
