"""What a tracer does where Python asks for a value: numbers when it has one, errors otherwise."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from funcgrad.errors import ConcretizationTypeError, TracerArrayConversionError, TracerWriteError

__all__ = ["captured_write_error", "install", "write_error"]


def captured_write_error(error: Exception) -> Exception:
    """The error for a write into an array that is locked."""
    return error


def write_error(name: str, args: Any, kwargs: Any) -> TracerWriteError:
    """The error for a call that would write a traced value into an array."""
    return TracerWriteError(f"{name} cannot write a traced value into an array: use the result instead")


def _conversion(name: str, kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(self: Any) -> Any:
        value = self.concrete()
        if value is None:
            raise ConcretizationTypeError(f"{name} of a traced {self.aval} whose value is not known")
        return kind(value)

    return convert


def _array(self: Any, *args: Any, **kwargs: Any) -> Any:
    raise TracerArrayConversionError(f"a traced {self.aval} is no array: use funcgrad.numpy, or np.stack")


def _iter(self: Any) -> Iterator[Any]:
    return (self[i] for i in range(self.shape[0]))


def install(cls: Any) -> None:
    """Install the conversions on a class of tracers."""
    for name, kind in (("float", float), ("int", int), ("bool", bool), ("index", operator.index), ("complex", complex)):
        setattr(cls, f"__{name}__", _conversion(name, kind))
    cls.__len__ = lambda self: self.shape[0]
    cls.__iter__ = _iter
    cls.__array__ = _array
