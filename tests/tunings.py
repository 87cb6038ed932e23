"""Changing what decides how programs are compiled, for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["kept"]

T = TypeVar("T")


@contextmanager
def kept(settings: T) -> Iterator[T]:
    """The object, whose attributes are afterwards what they were."""
    names = settings.__class__.__slots__  # type: ignore[attr-defined]
    before = {name: getattr(settings, name) for name in names}
    try:
        yield settings
    finally:
        for name, value in before.items():
            setattr(settings, name, value)
