"""Devices by JAX's names: which there are, and arrays to them and back.

NumPy's device, the processor, is the default one; its arrays are NumPy's, and nothing here copies them but `device_put`
and `device_get`. Arrays on another one, such as "torch:cuda:0", are a `DeviceArray` each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import Array, unwrap, wrap
from funcgrad._places import Device, SingleDeviceSharding, cpu
from funcgrad.core import Tracer
from funcgrad.device_array import DeviceArray, in_use, of_library
from funcgrad.types import PYTHON_SCALARS, ShapedArray, as_numbers, is_a

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend

__all__ = [
    "Array",
    "Device",
    "DeviceArray",
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


_default: ContextVar[Device | Backend] = ContextVar("funcgrad_default_device", default=cpu)


def _backends() -> Any:
    return import_module("funcgrad.backends._named")


def devices(backend: str | None = None) -> list[Device]:
    """The devices of a library: NumPy's unless `default_device` says otherwise, which is one, the processor.

    Args:
        backend: "torch", "cupy", "cpu" for NumPy; "gpu" for all graphics cards; "all" for the devices of all libraries
            that are installed, which are imported for it.

    Raises RuntimeError for another backend, and for "gpu" where there is none; ImportError where the library lacks.

    >>> devices()
    [CpuDevice(id=0)]
    """
    if backend is None:
        current = _default.get()
        backend = (current if is_a(current, Device) else current.device).library
    name = "numpy" if backend == "cpu" else str(backend)
    named = _backends()
    if name in ("gpu", "cuda"):
        found = [d for d in named.devices_of("all") if d.platform == "gpu"]
        if not found:
            raise RuntimeError(
                f"devices: there is no backend {backend!r}: neither torch nor cupy, if they are installed, has a "
                'graphics card; devices("all") lists what there is'
            )
        return found
    if name != "all" and name not in named.LIBRARIES:
        raise RuntimeError(f'devices: there is no backend {backend!r}; there are "cpu", "torch", "cupy", "gpu", "all"')
    return named.devices_of(name)


def local_devices(
    process_index: int | None = None, backend: str | None = None, host_id: int | None = None
) -> list[Device]:
    """The devices of this process: all of them, as `devices`."""
    return devices(backend)


def device_count(backend: str | None = None) -> int:
    """How many devices `devices` lists: one, unless another library is named."""
    return len(devices(backend))


def local_device_count(backend: str | None = None) -> int:
    """The same."""
    return len(devices(backend))


def default_backend() -> str:
    """The platform of the default device: "cpu", unless `default_device` says otherwise."""
    current = _default.get()
    return (current if is_a(current, Device) else current.device).platform


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
    """`with default_device(device):` `device_put` puts arrays there where it is not told where.

    Functions run where their arguments are; NumPy's arrays stay NumPy's. Raises what `device_put` raises.

    >>> with default_device("simulated:0"):
    ...     device_put(np.ones(2)).device
    Device('simulated:0')
    """
    token = _default.set(_place(device, "default_device"))
    try:
        yield
    finally:
        _default.reset(token)


def _place(device: Any, name: str) -> Any:
    """The device, or the backend with options, that an argument means; raises ValueError where that is not one."""
    if device is None:
        return _default.get()
    if is_a(device, SingleDeviceSharding):
        return device.device
    if hasattr(device, "lowerings"):
        return device
    if is_a(device, str):
        library = str(device).partition(":")[0]
        if device == "cpu" or library in _backends().LIBRARIES:
            return Device(str(device))
    elif callable(device):
        return _default.get()
    raise ValueError(
        f'{name}: {device!r} is no device: there are "cpu", "torch:cpu", "torch:cuda:0", "torch:mps", '
        '"cupy:0" and the like (funcgrad.devices); arrays are not divided among devices'
    )


def device_put(x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: Any = None) -> Any:
    """A pytree with its arrays and numbers on a device.

    Args:
        x: a pytree of arrays, numbers and traced values. Arrays of a library (a `torch.Tensor`, say) that are on that
            device already are taken as they are, without a copy: they must not be written to afterwards.
        device: "torch:cuda:0", a `Device`, a backend, "cpu" for NumPy; a tree of them with the structure of `x`; unless
            given the default device.
        src, donate, may_alias: accepted, and without effect.

    Returns:
        The same structure: of a `DeviceArray` each, or for NumPy of an `Array` each, which is a copy, as what is
        written to one of them afterwards would be seen in the other.

    Raises:
        ValueError: for a device of an unknown library, or a sharding over several.
        ImportError, RuntimeError: the library is not installed, or has no such device.
        UnsupportedOperationError: the device has no arrays of this dtype.

    >>> device_put([1.0, np.zeros(2)])
    [array(1.), array([0., 0.])]
    >>> device_put(np.ones(2), "simulated:0") * 3
    DeviceArray([3., 3.], shape=(2,), dtype=float64, device='simulated:0')
    """
    if is_a(device, (dict, list, tuple)):
        return tree.map(lambda leaf, d: device_put(leaf, d), x, device)
    place = _place(device, "device_put")
    if is_a(place, Device) and place == "cpu":
        return tree.map(_put, x)
    backend = import_module("funcgrad.backends").get_backend(place)
    return tree.map(lambda leaf: _put_on(leaf, backend), x)


def _put_on(x: Any, backend: Backend) -> Any:
    """An array or a number on a device."""
    if type(x) is DeviceArray:
        if x.device is backend.device:
            return x if x.backend is backend else DeviceArray(x.array, x.aval, backend, x._pending)
        return DeviceArray(_placed(backend, x.to_numpy()), backend.stored(x.aval), backend)
    if isinstance(x, Tracer):
        return x
    taken = None if is_a(x, (np.ndarray, np.generic)) else getattr(backend, "taken", lambda x: None)(x)
    if taken is not None:
        data, dtype = taken
        return DeviceArray(data, ShapedArray(tuple(x.shape), dtype), backend)
    there = of_library(x, backend.device)
    if there is not None:
        return _put_on(there, backend)
    if not (type(x) in PYTHON_SCALARS or is_a(x, (np.ndarray, np.generic)) or hasattr(x, "__array__")):
        raise TypeError(f"device_put: a {type(x).__name__} is no array or number")
    given: Any = as_numbers(np.asarray(unwrap(x)), "device_put: an array")
    return DeviceArray(_placed(backend, given), backend.stored(ShapedArray(given.shape, given.dtype)), backend)


def _placed(backend: Backend, x: np.ndarray) -> Any:
    return import_module("funcgrad.backends._memory").placed(backend, x)


def _put(x: Any) -> Any:
    there = of_library(x, cpu)
    if there is not None:
        x = there
    if type(x) is DeviceArray:
        return wrap(x.to_numpy())
    if isinstance(x, Tracer):
        return x
    if type(x) in PYTHON_SCALARS or is_a(x, (np.ndarray, np.generic)):
        return wrap(np.array(unwrap(x)))
    if hasattr(x, "__array__"):
        return wrap(np.array(x))
    raise TypeError(f"device_put: a {type(x).__name__} is no array or number")


def device_get(x: Any) -> Any:
    """A pytree with plain NumPy arrays: those on a device are copied to the host; what is no array stays.

    Raises what the computation of an array on a device has met.

    >>> import funcgrad.numpy as jnp
    >>> type(device_get(jnp.zeros(2))).__name__
    'ndarray'
    """

    def get(leaf: Any) -> Any:
        if type(leaf) is DeviceArray:
            return leaf.to_numpy()
        if is_a(leaf, np.ndarray):
            return np.array(unwrap(leaf))
        return np.asarray(leaf) if hasattr(leaf, "__array__") and not is_a(leaf, np.generic) else leaf

    return tree.map(get, x)


def block_until_ready(x: Any) -> Any:
    """What it is given, a pytree, when all of it is computed. Raises what the computation has met on a device.

    >>> block_until_ready({"a": 1.0})
    {'a': 1.0}
    """
    if in_use:
        for leaf in tree.leaves(x):
            if type(leaf) is DeviceArray:
                leaf.block_until_ready()
    return x


def copy_to_host_async(x: Any) -> None:
    """Nothing: `np.asarray(x)` and `device_get(x)` copy when they are called."""


def effects_barrier() -> None:
    """Nothing: effects are done when a function returns."""


def clear_caches() -> None:
    """Nothing: compiled functions keep their programs themselves, and go with them."""
