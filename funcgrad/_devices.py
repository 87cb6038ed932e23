"""The names of JAX's top level that have to do with devices, of which there is one: the processor.

Arrays are NumPy's, and where they are is never a question: what would move or wait gives back what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import Array, Device, SingleDeviceSharding, cpu, unwrap, wrap
from funcgrad.core import Tracer
from funcgrad.types import PYTHON_SCALARS, is_a

__all__ = [
    "Array",
    "Device",
    "SingleDeviceSharding",
    "block_until_ready",
    "clear_caches",
    "copy_to_host_async",
    "default_backend",
    "default_device",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "effects_barrier",
    "host_count",
    "host_id",
    "host_ids",
    "local_device_count",
    "local_devices",
    "process_count",
    "process_index",
    "process_indices",
]


def _check_backend(backend: Any, name: str) -> None:
    if backend not in (None, "cpu", cpu):
        raise RuntimeError(
            f'{name}: there is no backend {backend!r}, only "cpu"; a function runs elsewhere by jit(f, backend=...), '
            "see funcgrad.backends"
        )


def devices(backend: str | None = None) -> list[Device]:
    """All devices: the processor. Raises RuntimeError for another backend than "cpu".

    >>> devices()
    [CpuDevice(id=0)]
    """
    _check_backend(backend, "devices")
    return [cpu]


def local_devices(
    process_index: int | None = None, backend: str | None = None, host_id: int | None = None
) -> list[Device]:
    """The devices of this process: the processor."""
    return devices(backend)


def device_count(backend: str | None = None) -> int:
    """How many devices there are: one."""
    return len(devices(backend))


def local_device_count(backend: str | None = None) -> int:
    """How many devices this process has: one."""
    return len(devices(backend))


def default_backend() -> str:
    """The platform on which functions run: "cpu"."""
    return "cpu"


def process_index(backend: str | None = None) -> int:
    """The number of this process: 0."""
    return 0


def process_count(backend: str | None = None) -> int:
    """How many processes there are: one."""
    return 1


def process_indices(backend: str | None = None) -> list[int]:
    """The numbers of all processes."""
    return [0]


host_id, host_count, host_ids = process_index, process_count, process_indices


@contextmanager
def default_device(device: Any = None) -> Iterator[None]:
    """`with default_device(device):` accepts the one device (or None), and changes nothing."""
    _check_device(device, "default_device")
    yield


def _check_device(device: Any, name: str) -> None:
    for d in device if is_a(device, (list, tuple)) else [device]:
        if d is None or d == "cpu" or getattr(d, "platform", None) == "cpu" or is_a(d, SingleDeviceSharding):
            continue
        if callable(d):
            continue
        raise ValueError(
            f"{name}: {d!r} is not the one device, funcgrad.devices()[0]; arrays are not divided among devices"
        )


def device_put(x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: Any = None) -> Any:
    """A pytree with its arrays and numbers on the device: as an `Array` each.

    Args:
        x: a pytree of arrays, numbers and traced values.
        device: the one device, or None. Raises ValueError for a sharding over several.
        src, donate, may_alias: accepted, and without effect.

    Returns:
        The same structure. Arrays are copied, as what is written to one of them afterwards would be seen in the other.

    >>> device_put([1.0, np.zeros(2)])
    [array(1.), array([0., 0.])]
    """
    _check_device(None if is_a(device, dict) else device, "device_put")
    return tree.map(_put, x)


def _put(x: Any) -> Any:
    if isinstance(x, Tracer):
        return x
    if type(x) in PYTHON_SCALARS or is_a(x, (np.ndarray, np.generic)):
        return wrap(np.array(unwrap(x)))
    if hasattr(x, "__array__"):
        return wrap(np.array(x))
    raise TypeError(f"device_put: a {type(x).__name__} is no array or number")


def device_get(x: Any) -> Any:
    """A pytree with plain NumPy arrays; what is no array stays.

    >>> import funcgrad.numpy as jnp
    >>> type(device_get(jnp.zeros(2))).__name__
    'ndarray'
    """

    def get(leaf: Any) -> Any:
        if is_a(leaf, np.ndarray):
            return np.array(unwrap(leaf))
        return np.asarray(leaf) if hasattr(leaf, "__array__") and not is_a(leaf, np.generic) else leaf

    return tree.map(get, x)


def block_until_ready(x: Any) -> Any:
    """What it is given, a pytree: whatever NumPy has returned is computed.

    >>> block_until_ready({"a": 1.0})
    {'a': 1.0}
    """
    return x


def copy_to_host_async(x: Any) -> None:
    """Nothing: arrays are in the memory of the host."""


def effects_barrier() -> None:
    """Nothing: effects are done when a function returns."""


def clear_caches() -> None:
    """Nothing: compiled functions keep their programs themselves, and go with them."""
