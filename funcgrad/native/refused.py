"""Why there is no native code for a program."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """There is to be no native code; the message says why."""
