"""The array API standard: what its namespace and its arrays have beside NumPy's functions.

`funcgrad.numpy` is a namespace of version 2024.12. Traced arrays name it as theirs, so that libraries written for the
standard find it; the one device is "cpu", as in NumPy.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np

from funcgrad._array import Array
from funcgrad.aliasing import alias
from funcgrad.core import Tracer, current_trace
from funcgrad.errors import TracerArrayConversionError
from funcgrad.source import describe, user_source

__all__ = ["Info", "check_device", "from_dlpack", "install"]

API_VERSION = "2024.12"
_VERSIONS = ("2021.12", "2022.12", "2023.12", API_VERSION)
_CPU = (1, 0)
"""The device of every array, as DLPack numbers them: kDLCPU, the first."""


class Info:
    """What `funcgrad.numpy.__array_namespace_info__()` tells of the namespace: NumPy's devices and dtypes.

    >>> from funcgrad.numpy import __array_namespace_info__ as Info
    >>> info = Info()
    >>> info.default_device(), info.devices()
    ('cpu', ['cpu'])
    >>> sorted(info.dtypes(kind="complex floating"))
    ['complex128', 'complex64']
    """

    __module__ = "funcgrad.numpy"

    def capabilities(self) -> dict[str, Any]:
        """Boolean indices and shapes that depend on values, where there are values: not under `vmap`, nor in the bodies
        of loops; arrays have at most 64 dimensions."""
        known = _values_are_known()
        return {"boolean indexing": known, "data-dependent shapes": known, "max dimensions": 64}

    def default_device(self) -> str:
        """The device of new arrays."""
        return "cpu"

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of new arrays, by kind: those of NumPy."""
        check_device(device, "default_dtypes")
        return np.__array_namespace_info__().default_dtypes(device=None)  # type: ignore[return-value]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of the standard by name, of one kind or a tuple of kinds."""
        check_device(device, "dtypes")
        return np.__array_namespace_info__().dtypes(device=None, kind=kind)


def _values_are_known() -> bool:
    """Whether what is asked of a traced value has an answer here, if only when the function is run again."""
    trace = current_trace()
    while trace is not None:
        if trace.border == "error":
            return False
        trace = trace.parent
    return True


def check_device(device: Any, name: str) -> None:
    """Raise ValueError unless a device is the one that there is: "cpu", None, or an object of the platform "cpu"."""
    if device is not None and device != "cpu" and getattr(device, "platform", None) != "cpu":
        raise ValueError(f'{name}: device must be "cpu" (or None), the only one that there is; got {device!r}')


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array of another library as one of NumPy's, by its `__dlpack__`; without a copy where none is needed.

    A traced array, which has no memory to be shared, is of this namespace already: it is itself, or with `copy` a copy.

    >>> from_dlpack(np.arange(3))
    array([0, 1, 2])
    """
    check_device(device, "from_dlpack")
    if isinstance(x, Tracer):
        return alias(x) if copy else x
    if copy is None:
        return np.from_dlpack(x)
    return np.from_dlpack(x, copy=copy)  # NumPy 2.1


def _namespace(self: Any, *, api_version: str | None = None) -> Any:
    """The namespace of a traced array: `funcgrad.numpy`."""
    if api_version is not None and api_version not in _VERSIONS:
        raise ValueError(
            f"version {api_version!r} of the array API standard is not supported: funcgrad.numpy is of {API_VERSION}"
        )
    return sys.modules["funcgrad.numpy"]


def _to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
    check_device(device, "to_device")
    if stream is not None:
        raise ValueError(f"to_device: there are no streams, so stream must be None; got {stream!r}")
    return self


def _dlpack(
    self: Any,
    /,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> NoReturn:
    place = describe(user_source())
    raise self.unanswered(
        TracerArrayConversionError(
            f"a traced value of type {self.aval} has no memory that DLPack could hand to another library"
            + (f"\n  at {place}" if place else "")
            + "\n  write instead: the computation in NumPy, or funcgrad.pure_callback with a derivative of its own"
        )
    )


def install() -> None:
    """Give tracers what the standard asks of arrays, and this namespace to the arrays that it makes."""
    Array.__array_namespace__ = _namespace
    Tracer.__array_namespace__ = _namespace  # type: ignore[attr-defined]
    Tracer.device = property(lambda self: "cpu")  # type: ignore[attr-defined]
    Tracer.to_device = _to_device  # type: ignore[attr-defined]
    Tracer.__dlpack__ = _dlpack  # type: ignore[attr-defined]
    Tracer.__dlpack_device__ = lambda self: _CPU  # type: ignore[attr-defined]
