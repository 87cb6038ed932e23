"""Pytrees in files, and directories of checkpoints: atomic, checksummed, never pickled.

`save` and `load` take one tree to one file, in the format that its suffix names (`.safetensors` or `.npz`);
`save_checkpoint`, `restore_checkpoint` and `Checkpoints` keep the last few of a run. A file that is truncated, altered
or of another shape than expected raises, and says where; it never gives another tree than the one that was saved.
"""

from funcgrad.io._checkpoints import Checkpoints, Restored, latest_step, restore_checkpoint, save_checkpoint
from funcgrad.io._errors import DamagedFileError, MismatchError, TreeFileError
from funcgrad.io._files import load, save

__all__ = [
    "Checkpoints",
    "DamagedFileError",
    "MismatchError",
    "Restored",
    "TreeFileError",
    "latest_step",
    "load",
    "restore_checkpoint",
    "save",
    "save_checkpoint",
]


def __dir__() -> list[str]:
    return __all__
