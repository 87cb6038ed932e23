"""A backend that records what another one is asked to do: each launch, each transfer, with shapes, dtypes and bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad._places import Device
from funcgrad.backends.base import Backend, Implementation, check_dtypes
from funcgrad.backends.numpy import NumpyBackend
from funcgrad.ir import Equation
from funcgrad.types import ShapedArray

__all__ = ["Launch", "RecordingBackend", "Transfer"]


class Launch(NamedTuple):
    """An operation that was run.

    Attributes:
        name: of the primitive, or `stack` or `unstack`.
        inputs, outputs: shapes and dtypes.
    """

    name: str
    inputs: tuple[ShapedArray, ...]
    outputs: tuple[ShapedArray, ...]

    @property
    def bytes_in(self) -> int:
        """Bytes of all operands."""
        return sum(map(_bytes, self.inputs))

    @property
    def bytes_out(self) -> int:
        """Bytes of all results."""
        return sum(map(_bytes, self.outputs))


class Transfer(NamedTuple):
    """An array that went from the host to the device, or back.

    Attributes:
        to_device: the direction.
        aval: shape and dtype.
    """

    to_device: bool
    aval: ShapedArray

    @property
    def bytes(self) -> int:
        """How many bytes went over."""
        return _bytes(self.aval)


def _bytes(aval: ShapedArray) -> int:
    return math.prod(aval.shape) * aval.dtype.itemsize


def _aval(x: Any) -> ShapedArray:
    """Shape and dtype of an array of whatever library: dtypes are called the same everywhere."""
    return ShapedArray(tuple(x.shape), np.dtype(str(x.dtype).rpartition(".")[2]))


class _Noted(Mapping[str, Implementation]):
    """The implementations of a backend, each of which notes that it was called."""

    def __init__(self, lowerings: Mapping[str, Implementation], records: list[Launch | Transfer]) -> None:
        self._lowerings, self._records = lowerings, records

    def __getitem__(self, name: str) -> Implementation:
        return self.noting(name, self._lowerings[name])

    def noting(self, name: str, run: Implementation) -> Implementation:
        """An implementation that notes that it was called."""
        records = self._records

        def noted(*args: Any, **params: Any) -> Any:
            out = run(*args, **params)
            results: Sequence[Any] = out if isinstance(out, (tuple, list)) else (out,)
            records.append(Launch(name, tuple(map(_aval, args)), tuple(map(_aval, results))))
            return out

        return noted

    def __iter__(self) -> Iterator[str]:
        return iter(self._lowerings)

    def __len__(self) -> int:
        return len(self._lowerings)


class RecordingBackend(Backend):
    """A backend that notes launches and transfers, in order, and leaves the work to another one.

    Constants go to the device when a program is compiled, that is in the first call.

    Args:
        inner: the backend that does the work.

    Attributes:
        records: launches and transfers, in order.

    >>> from funcgrad import jit
    >>> device = RecordingBackend()
    >>> jit(lambda x: np.exp(x) @ x, backend=device)(np.ones(3))
    np.float64(8.154845485377136)
    >>> [launch.name for launch in device.launches]
    ['exp', 'dot_general']
    >>> device.launches[1].bytes_in, [t.bytes for t in device.transfers]
    (48, [24, 8])
    """

    def __init__(self, inner: Backend | None = None) -> None:
        self.inner: Backend = NumpyBackend() if inner is None else inner
        self.records: list[Launch | Transfer] = []
        self.name = f"recording {self.inner.name}"
        self._noted = _Noted(self.inner.lowerings, self.records)
        self.lowerings: Mapping[str, Implementation] = self._noted

    def __repr__(self) -> str:
        return f"RecordingBackend({self.inner!r})"

    @property
    def device(self) -> Device:
        return self.inner.device

    @property
    def launches(self) -> list[Launch]:
        """The launches, in order."""
        return [r for r in self.records if isinstance(r, Launch)]

    @property
    def transfers(self) -> list[Transfer]:
        """The transfers, in order."""
        return [r for r in self.records if isinstance(r, Transfer)]

    def clear(self) -> None:
        """Forget what was recorded."""
        self.records.clear()

    def asarray(self, x: np.ndarray) -> Any:
        self.records.append(Transfer(True, ShapedArray(x.shape, x.dtype)))
        return self.inner.asarray(x)

    def to_numpy(self, x: Any) -> np.ndarray:
        out = self.inner.to_numpy(x)
        self.records.append(Transfer(False, ShapedArray(out.shape, out.dtype)))
        return out

    def supports(self, eqn: Equation) -> bool:
        return self.inner.supports(eqn)

    def lowering(self, eqn: Equation) -> Implementation:
        return self._noted.noting(eqn.primitive.name, self.inner.lowering(eqn))

    def stored(self, aval: ShapedArray) -> ShapedArray:
        return self.inner.stored(aval)

    def check_dtype(self, aval: ShapedArray) -> None:
        check_dtypes(self.inner, (aval,))

    def synchronize(self) -> None:
        self.inner.synchronize()

    def is_out_of_memory(self, error: Exception) -> bool:
        return self.inner.is_out_of_memory(error)

    def free_memory(self) -> None:
        self.inner.free_memory()
