"""Named arrays in the safetensors format, with a manifest: eight bytes of length, a JSON header, the data.

The header is written in one fixed form, so that a header that reads the same but has other bytes is known to be
altered; its metadata holds the manifest and a checksum of the whole header.
"""

from __future__ import annotations

import json
import os
from typing import Any, BinaryIO

import numpy as np

from funcgrad.io._errors import DamagedFileError
from funcgrad.io._leaves import checksum

__all__ = ["foreign_safetensors", "read_safetensors", "write_safetensors"]

_NAMES = {
    "?": "BOOL", "u1": "U8", "i1": "I8", "u2": "U16", "i2": "I16", "u4": "U32", "i4": "I32", "u8": "U64", "i8": "I64",
    "f2": "F16", "f4": "F32", "f8": "F64",
}  # fmt: skip
_DTYPES = {name: np.dtype(code) for code, name in _NAMES.items()} | {"C64": np.dtype("c8")}
_LIMIT = 100_000_000  # bytes of a header, as in the package safetensors
_METADATA = "__metadata__"


def _stored(array: np.ndarray) -> tuple[str, list[int], np.ndarray]:
    """The format's name of a dtype, the shape, and the array: complex numbers have one more dimension, of 2."""
    dtype = array.dtype
    if dtype.kind == "c" and dtype.itemsize <= 16:
        array = array.reshape((*array.shape, 1)).view(dtype.type(0).real.dtype.newbyteorder("<"))
    elif dtype.itemsize > 8:  # long doubles: as their bytes
        array = array.reshape((*array.shape, 1)).view(np.uint8)
    code = "?" if array.dtype.kind == "b" else f"{array.dtype.kind}{array.dtype.itemsize}"
    return _NAMES[code], list(array.shape), array


def _unstored(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    little = dtype.newbyteorder("<")
    return array if array.dtype == little else array.view(little).reshape(array.shape[:-1])


def _header(entries: dict[str, Any]) -> bytes:
    """The bytes of a header, in the one form in which it is written."""
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write_safetensors(file: BinaryIO, manifest: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Writes arrays and a manifest to a file that is open for writing."""
    metadata = {"funcgrad": json.dumps(manifest, separators=(",", ":")), "sha256": ""}
    entries: dict[str, Any] = {_METADATA: metadata}
    data: list[np.ndarray] = []
    begin = 0
    # Large elements first: then each array begins at a multiple of the size of its elements.
    for name, tensor in sorted(tensors.items(), key=lambda item: -_stored(item[1])[2].itemsize):
        dtype, shape, array = _stored(tensor)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
        data.append(array)
    metadata["sha256"] = checksum(_header(entries))
    header = _header(entries)
    if len(header) > _LIMIT:
        raise ValueError(f"the header would have {len(header)} bytes, and safetensors allow {_LIMIT}: use .npz")
    file.write(len(header).to_bytes(8, "little"))
    file.write(header)
    for array in data:
        if array.size:
            file.write(_bytes(array))


def _bytes(array: np.ndarray) -> Any:
    return array.reshape(-1).view(np.uint8).data


def _fill(file: Any, array: np.ndarray) -> int:
    return file.readinto(_bytes(array))


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], bytes, int]:
    """The header, its bytes, and how many bytes of data follow. DamagedFileError for what is none."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= min(size - 8, _LIMIT):
        raise DamagedFileError(
            f"it has {size} bytes and does not begin as a safetensors file: it is truncated, or of another kind"
        )
    raw = file.read(length)
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError("its safetensors header is damaged (it is not JSON), or another kind of file") from error
    if type(entries) is not dict:
        raise DamagedFileError("its header is not one of a safetensors file")
    return entries, raw, size - 8 - length


def _read_tensor(file: BinaryIO, start: int, entry: dict[str, Any], name: str, total: int) -> np.ndarray:
    begin, end = entry["data_offsets"]
    if end > total:
        raise DamagedFileError(f"it is truncated in {name}, which ends at byte {end} of the data; there are {total}")
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise DamagedFileError(f"{name} has the dtype {entry['dtype']}, which NumPy lacks")
    array = np.empty(entry["shape"], dtype.newbyteorder("<"))
    if begin < 0 or array.nbytes != end - begin:
        raise DamagedFileError(f"{name} has {end - begin} bytes; its dtype and shape say {array.nbytes}")
    file.seek(start + begin)
    if array.size and _fill(file, array) != array.nbytes:
        raise DamagedFileError(f"it is truncated in {name}")
    return array


def foreign_safetensors(file: BinaryIO) -> dict[str, np.ndarray]:
    """The arrays of any safetensors file, by name, as far as the format can tell that they are whole."""
    entries, raw, total = _read_header(file)
    entries.pop(_METADATA, None)
    try:
        return {name: _read_tensor(file, 8 + len(raw), entry, name, total) for name, entry in entries.items()}
    except (KeyError, TypeError) as error:
        raise DamagedFileError("its header is not one of a safetensors file") from error


def read_safetensors(file: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The manifest and the arrays of a file by `write_safetensors`.

    Raises:
        DamagedFileError: if a single bit is another one, or bytes are missing or too many.
    """
    entries, raw, total = _read_header(file)
    metadata = entries.get(_METADATA)
    if type(metadata) is not dict or set(metadata) != {"funcgrad", "sha256"}:
        raise DamagedFileError(
            "it has no manifest of funcgrad.io.save: another program wrote it (load(path, foreign=True) gives its "
            "arrays by name, unchecked), or its header is damaged"
        )
    said = metadata["sha256"]
    metadata["sha256"] = ""
    if checksum(_header(entries)) != said:
        raise DamagedFileError("its header is damaged: the checksum is another one")
    metadata["sha256"] = said
    if _header(entries) != raw:
        raise DamagedFileError("its header is damaged")
    manifest = json.loads(metadata["funcgrad"])
    tensors: dict[str, np.ndarray] = {}
    for spec in manifest["leaves"]:
        if "tensor" in spec:
            name, where = spec["tensor"], f"the leaf {spec['path'] or '(the tree)'}"
            tensor = _read_tensor(file, 8 + len(raw), entries[name], where, total)
            tensors[name] = _unstored(tensor, np.dtype("u4" if "key" in spec else spec["dtype"]))
            if checksum(tensors[name]) != spec["sha256"]:
                raise DamagedFileError(f"{where} is damaged: the checksum of its data is another one")
    end = max((entries[name]["data_offsets"][1] for name in tensors), default=0)
    if end != total:
        raise DamagedFileError(f"it has {total} bytes of data, and {end} belong to it")
    return manifest, tensors
