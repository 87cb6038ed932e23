"""Changing what decides how programs become NumPy's calls, for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from funcgrad import config

__all__ = ["kept", "without_native"]

T = TypeVar("T")


@contextmanager
def without_native() -> Iterator[None]:
    """What is tested is the code that calls NumPy: native code does not take its place."""
    before = config.native
    if before != "off":  # a change goes through all programs that there are
        config.native = "off"
    try:
        yield
    finally:
        if before != "off":
            config.native = before


@contextmanager
def kept(settings: T) -> Iterator[T]:
    """The object, whose attributes are afterwards what they were; to native code they mean nothing."""
    names = settings.__class__.__slots__  # type: ignore[attr-defined]
    before = {name: getattr(settings, name) for name in names}
    try:
        with without_native():
            yield settings
    finally:
        for name, value in before.items():
            setattr(settings, name, value)
