"""CuPy: NVIDIA's graphics cards through a library with NumPy's names. (Nothing of this has run on a device.)

The lowerings are those of `array_api.py`, over `array-api-compat`, as CuPy's own functions do not take all arguments
that the array API standard has (`tools.cupy_names` compares them). Here is what differs: the current device is set
around each program, arrays come and go by CuPy's own copies, and memory that its pool keeps is given back after the
device was out of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad._places import Device
from funcgrad.backends._optional import optional
from funcgrad.backends.array_api import ArrayAPIBackend
from funcgrad.backends.runner import DeviceProgram
from funcgrad.ir import Program
from funcgrad.types import is_a

__all__ = ["CupyBackend", "CupyProgram", "devices"]


def _cupy(what: str) -> Any:
    return optional("cupy", what, "cuda12")


def _count(cupy: Any) -> int:
    """How many devices there are; 0 without a driver."""
    return cupy.cuda.runtime.getDeviceCount() if cupy.cuda.is_available() else 0


def devices() -> list[Device]:
    """CuPy's devices; none without a driver. Raises ImportError without CuPy."""
    return [Device(f"cupy:{i}") for i in range(_count(_cupy("devices('cupy')")))]


class CupyProgram(DeviceProgram):
    """A program that runs with its device as CuPy's current one."""

    def run(self, values: list[Any]) -> tuple[list[Any], Callable[[], None] | None]:
        with self.backend.current():  # type: ignore[attr-defined]
            return super().run(values)


class CupyBackend(ArrayAPIBackend):
    """Programs over the arrays of CuPy, on one of its devices.

    Args:
        device: "cupy:0" and so on.

    Raises ImportError without CuPy (`pip install 'funcgrad[cuda12]'` or `'funcgrad[cuda13]'`, by the version of CUDA
    that the driver has), RuntimeError where there is no such device.
    """

    def __init__(self, device: str = "cupy:0") -> None:
        place = Device(device)
        what = f"the device {str(place)!r}"
        self.cupy = cupy = _cupy(what)
        count = _count(cupy)
        if place.id >= count:
            there = f"CuPy {cupy.__version__} sees {count} devices" if count else "CuPy finds no driver of NVIDIA's"
            raise RuntimeError(
                f"the device {str(place)!r} is not there: {there}; install the driver, and the extra cuda12 or cuda13 "
                "that fits it"
            )
        super().__init__(optional("array_api_compat.cupy", what, "cuda12"), str(place), called=str(place))

    def __repr__(self) -> str:
        return f"CupyBackend({str(self.device)!r})"

    def current(self) -> Any:
        """A context in which CuPy's current device is this one."""
        return self.cupy.cuda.Device(self.device.id)

    def asarray(self, x: np.ndarray) -> Any:
        with self.current():
            return super().asarray(x)

    def to_numpy(self, x: Any) -> np.ndarray:
        return self.cupy.asnumpy(x)

    def taken(self, x: Any) -> tuple[Any, np.dtype[Any]] | None:
        """An array of CuPy's that is on this device already, and its dtype; None for anything else."""
        if is_a(x, self.cupy.ndarray) and x.device.id == self.device.id:
            return x, np.dtype(x.dtype)
        return None

    def synchronize(self) -> None:
        self.current().synchronize()

    def compile(self, program: Program, donated: Sequence[bool] = ()) -> CupyProgram:
        """The program, compiled; what is donated goes back to CuPy's pool as soon as it is dead."""
        with self.current():
            return CupyProgram(program, self)

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, self.cupy.cuda.memory.OutOfMemoryError)

    def free_memory(self) -> None:
        self.cupy.get_default_memory_pool().free_all_blocks()
