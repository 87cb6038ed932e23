"""A device in software: what goes on a device, seen and checked on any machine.

Its arrays are handles, from which there is no way to NumPy but the backend's. Each result has memory of its own, which
is counted; beyond a limit the device is out of memory. The memory of a donated array is overwritten, so that whoever
reads it afterwards sees it. Operations are NumPy's definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from funcgrad._places import Device
from funcgrad.backends.base import Backend, Implementation
from funcgrad.backends.numpy import NumpyBackend
from funcgrad.ir import Equation

__all__ = ["Handle", "SimulatedBackend", "SimulatedMemoryError"]

_POISON = 0xAB


class SimulatedMemoryError(RuntimeError):
    """A simulated device has no memory left: what the library of a real device would raise."""


class Handle:
    """An array of a simulated device: its shape and dtype are known on the host, its elements are not."""

    __slots__ = ("__weakref__", "_backend", "_elements", "dtype", "shape")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, backend: SimulatedBackend, elements: np.ndarray) -> None:
        self._elements: Any = None
        self._backend = backend
        backend.allocate(elements.nbytes)
        self._elements, self.shape, self.dtype = elements, elements.shape, elements.dtype

    def __del__(self) -> None:
        if self._elements is not None:
            self._backend.bytes_in_use -= self._elements.nbytes

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("an array of a simulated device came to the host behind the backend's back")

    __bool__ = __eq__ = __float__ = __index__ = __int__ = __array__


class _OnHandles(Mapping[str, Implementation]):
    """The definitions of the primitives, for handles."""

    def __init__(self, backend: SimulatedBackend) -> None:
        self._backend = backend

    def __getitem__(self, name: str) -> Implementation:
        run, backend = NumpyBackend.lowerings[name], self._backend

        def on_handles(*args: Any, **params: Any) -> Any:
            with np.errstate(all="ignore"):  # a device does not warn
                out = run(*map(backend.elements, args), **params)
            return tuple(map(backend.new, out)) if type(out) in (tuple, list) else backend.new(out)

        return on_handles

    def __iter__(self) -> Iterator[str]:
        return iter(NumpyBackend.lowerings)

    def __len__(self) -> int:
        return len(NumpyBackend.lowerings)


class SimulatedBackend(Backend):
    """A device in software. `device_put(x, "simulated:0")` puts arrays on the first one.

    Args:
        number: which device it is.
        limit: how many bytes of memory it has; as many as are wanted unless given.
        poison: whether the memory of donated arrays is kept until the call is done, and overwritten then.

    Attributes:
        bytes_in_use: the memory of all its arrays that are alive.
        peak: the most there was.

    >>> from funcgrad import device_put, jit
    >>> device = SimulatedBackend(limit=1000)
    >>> x = device_put(np.arange(3.0), device)
    >>> y = jit(lambda x: np.sum(x * x))(x)
    >>> y, device.bytes_in_use
    (DeviceArray(5., shape=(), dtype=float64, device='simulated:0'), 32)
    """

    def __init__(self, number: int = 0, limit: int | None = None, poison: bool = True) -> None:
        self.name, self.limit, self.notes_donations = f"simulated:{number}", limit, poison
        self._device = Device(self.name)
        self.bytes_in_use = self.peak = 0
        self.lowerings: Mapping[str, Implementation] = _OnHandles(self)
        self._definitions = NumpyBackend()

    def __repr__(self) -> str:
        return f"SimulatedBackend({self._device.id})"

    @property
    def device(self) -> Device:
        return self._device

    def allocate(self, size: int) -> None:
        """Count memory; raises SimulatedMemoryError beyond the limit."""
        if self.limit is not None and self.bytes_in_use + size > self.limit:
            raise SimulatedMemoryError(f"{size} bytes wanted, {self.bytes_in_use} of {self.limit} in use")
        self.bytes_in_use += size
        self.peak = max(self.peak, self.bytes_in_use)

    def new(self, x: Any) -> Handle:
        """An array of the device with memory of its own."""
        return Handle(self, np.array(x))

    def elements(self, x: Any) -> np.ndarray:
        """What is in an array of this device; raises TypeError for anything else."""
        if type(x) is not Handle or x._backend.device is not self.device:
            raise TypeError(f"{self.name}: an operation was given a {type(x).__name__} that is not on this device")
        return x._elements

    def asarray(self, x: np.ndarray) -> Handle:
        return self.new(x)

    def to_numpy(self, x: Any) -> np.ndarray:
        return self.elements(x).copy()

    def supports(self, eqn: Equation) -> bool:
        return self._definitions.supports(eqn)

    def donate(self, x: Any) -> None:
        self.elements(x).view(np.uint8).fill(_POISON) if x.shape else self.elements(x).fill(0)

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, SimulatedMemoryError)
