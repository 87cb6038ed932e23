"""The errors of files that hold trees."""

from __future__ import annotations

__all__ = ["DamagedFileError", "MismatchError", "TreeFileError"]


class TreeFileError(ValueError):
    """A file does not give the tree that was asked for."""


class DamagedFileError(TreeFileError):
    """A file is not, or not any more, what `funcgrad.io.save` wrote: truncated, altered, or of another program."""


class MismatchError(TreeFileError):
    """A file is whole, but its tree is another one than `like` says."""
