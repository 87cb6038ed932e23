"""Named arrays in NumPy's npz format, with a manifest: a zip archive that `numpy.load` reads too.

The archive's comment, which is its end, has the checksum of everything before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np

from funcgrad.io._errors import DamagedFileError
from funcgrad.io._leaves import checksum

__all__ = ["foreign_npz", "read_npz", "write_npz"]

_MANIFEST = "funcgrad.json"
_MARK = b"funcgrad sha256 "
_DIGITS = 64
_BROKEN = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, NotImplementedError, RuntimeError)
"""What readers of zip archives and of arrays raise for bytes that make no sense."""


def _digest(file: BinaryIO, end: int) -> bytes:
    """The digits of the SHA-256 of the first bytes of a file."""
    state = hashlib.sha256()
    file.seek(0)
    while end > 0 and (block := file.read(min(end, 1 << 20))):
        state.update(block)
        end -= len(block)
    return state.hexdigest().encode()


def write_npz(file: BinaryIO, manifest: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Writes arrays and a manifest to a file that is open for reading and writing."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_MANIFEST), json.dumps(manifest, separators=(",", ":")))
        for name, tensor in tensors.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, tensor, allow_pickle=False)
        archive.comment = _MARK + b"0" * _DIGITS
    end = file.seek(0, os.SEEK_END) - _DIGITS
    digits = _digest(file, end)
    file.seek(end)
    file.write(digits)


def _array(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as data:
        return np.lib.format.read_array(data, allow_pickle=False)


def foreign_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    """The arrays of any npz file, by name. Never unpickles."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [m for m in archive.namelist() if m.endswith(".npy")]
            return {member.removesuffix(".npy"): _array(archive, member) for member in members}
    except _BROKEN as error:
        raise DamagedFileError(f"it is no npz file of arrays of numbers, or damaged ({error})") from error


def read_npz(file: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The manifest and the arrays of a file by `write_npz`.

    Raises:
        DamagedFileError: if a single bit is another one, or bytes are missing or too many.
    """
    end = file.seek(0, os.SEEK_END) - _DIGITS
    if end < 0:
        raise DamagedFileError(f"it has {end + _DIGITS} bytes: it is truncated")
    file.seek(end)
    if file.read() != _digest(file, end):
        raise DamagedFileError(_what_is_wrong(file))
    with zipfile.ZipFile(file) as archive:
        try:
            manifest = json.loads(archive.read(_MANIFEST))
        except KeyError as error:
            raise DamagedFileError(_FOREIGN) from error
        names = [spec["tensor"] for spec in manifest["leaves"] if "tensor" in spec]
        return manifest, {name: _array(archive, f"{name}.npy") for name in names}


_FOREIGN = (
    "it has no manifest of funcgrad.io.save: another program wrote it (load(path, foreign=True) gives its arrays by "
    "name, unchecked)"
)


def _is_whole(archive: zipfile.ZipFile, spec: dict[str, Any]) -> bool:
    try:
        return "tensor" not in spec or checksum(_array(archive, f"{spec['tensor']}.npy")) == spec["sha256"]
    except _BROKEN:
        return False


def _what_is_wrong(file: BinaryIO) -> str:
    """What is wrong with a file whose checksum does not hold: the first leaf that is damaged, if that can be told."""
    try:
        with zipfile.ZipFile(file) as archive:
            if _MANIFEST not in archive.namelist() and not archive.comment.startswith(_MARK):
                return _FOREIGN
            try:
                leaves = json.loads(archive.read(_MANIFEST))["leaves"]
                for spec in leaves:
                    if not _is_whole(archive, spec):
                        where = spec["path"] or "(the tree)"
                        return f"the leaf {where} is damaged: the checksum of its data is another one"
            except (*_BROKEN, TypeError):
                return "its manifest is damaged"
    except _BROKEN:
        return "it is truncated, damaged, or no npz file"
    return "it is damaged, though not in its leaves: the checksum of the file is another one"
