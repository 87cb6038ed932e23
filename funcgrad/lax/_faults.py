"""What errors of NumPy's leave functions of `lax` as."""

from __future__ import annotations

import numpy as np

from funcgrad.errors import ArgumentError, ShapeError

__all__ = ["AxisError", "fault"]


class AxisError(ShapeError, np.exceptions.AxisError):
    """An axis that an operand does not have."""

    def __init__(self, text: str) -> None:
        np.exceptions.AxisError.__init__(self, text)


def fault(name: str, error: Exception) -> Exception:
    """NumPy's error for arguments that do not fit, a ValueError, as one that is a TypeError too, as in JAX's `lax`."""
    text = str(error)
    text = text if text.startswith(name) else f"{name}: {text}"
    if type(error) is np.exceptions.AxisError:
        return AxisError(text)
    return ArgumentError(text) if type(error) is ValueError else error
