"""What `jit(f, offload=...)` takes: a device, found when a function is first called, and what may run on it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from funcgrad._places import Device, cpu
from funcgrad.backends import get_backend
from funcgrad.backends._named import devices_of
from funcgrad.backends.base import Backend
from funcgrad.backends.numpy import NumpyBackend
from funcgrad.backends.runner import at_home
from funcgrad.device_array import DeviceArray
from funcgrad.errors import DeviceError, FuncgradWarning, OutOfDeviceMemoryError
from funcgrad.executor.compiled import executable
from funcgrad.executor.executable import Executable
from funcgrad.ir import Program
from funcgrad.offload.calibrate import machine_of
from funcgrad.offload.program import OffloadedProgram, not_enough
from funcgrad.offload.variant import WALL

__all__ = ["Offload", "offload_of"]


class Offload(NumpyBackend):
    """A host that leaves heavy parts of programs to a device.

    Args:
        device: the name of a device or a backend, or a backend; "auto" for the first accelerator that there is. Without
            one, programs run on the host.
        only: "matmul" if only products of matrices and convolutions may run on the device.

    Attributes:
        target, only: these arguments.
        note: why there is no device; "" if there is one, or nobody has looked yet.

    Raises ValueError for another value of `only`, and for a device that is not known.
    """

    name = "offload"
    offloads = True

    def __init__(self, device: Any = "auto", only: str | None = None) -> None:
        if only not in (None, "matmul"):
            raise ValueError(f'offload: only={only!r} is not known; it is "matmul", or None for all operations')
        self.target, self.only, self.note = device, only, ""
        self._backend: Backend | None = None
        if device != "auto" and not isinstance(device, str):
            self._backend = get_backend(device)

    @property
    def device(self) -> Device:
        return cpu

    def __repr__(self) -> str:
        return f"Offload({self.target!r}{'' if self.only is None else f', only={self.only!r}'})"

    def backend(self) -> Backend | None:
        """What runs on the device, found when this is first asked; None if there is no accelerator.

        Raises ImportError, RuntimeError or ValueError where a device is named that is not there.
        """
        if self._backend is None and not self.note:
            if self.target == "auto":
                self._backend = accelerator()
                self.note = "" if self._backend is not None else "there is no accelerator: programs run on the host"
            else:
                self._backend = get_backend(self.target)
        return self._backend

    def compile(self, program: Program, donated: Sequence[bool] = ()) -> Executable | OffloadedProgram:  # type: ignore[override]
        """The program in parts for host and device; for the host alone if there is no accelerator."""
        program, backend = at_home(program, self), self.backend()
        for const in program.consts:
            if isinstance(const, DeviceArray):
                raise DeviceError(
                    f"offload is for NumPy's arrays, and the function closes over an array on {const.device}: "
                    "device_get(x) makes a copy on the host; with backend= the whole function runs there"
                )
        if backend is None or isinstance(backend, NumpyBackend):
            return executable(program, tuple(donated))
        clock = getattr(backend, "clock", WALL)
        try:
            return OffloadedProgram(program, backend, machine_of(backend), clock, self.only == "matmul", donated)
        except OutOfDeviceMemoryError as error:  # for what the rates are measured with, or for constants
            warnings.warn(f"offload: {not_enough(backend)}; the function runs on the host. {error}", FuncgradWarning,
                          stacklevel=2)  # fmt: skip
        return executable(program, tuple(donated))


def accelerator() -> Backend | None:
    """The first accelerator that the libraries which are installed see."""
    found = [d for d in devices_of("all") if d.kind != "cpu"]
    return get_backend(found[0]) if found else None


_ONLY = {"auto": None, "matmul": "matmul"}


@cache
def _named(device: str, only: str | None) -> Offload:
    """One for each choice: functions that are called in others of the same choice become part of these."""
    return Offload(device, only)


def offload_of(offload: Any) -> Offload:
    """What an argument `offload` means: "auto", "matmul", a device or its name, a backend, an `Offload`."""
    if isinstance(offload, Offload):
        return offload
    if isinstance(offload, str):
        if offload in _ONLY:
            return _named("auto", _ONLY[offload])
        chosen = _named(offload, None)
        chosen.backend()
        return chosen
    return Offload(offload)
