"""Object code on disk, so that the next process need not compile the same text again.

A file is named by the digest of all that its code depends on: the text, how it is optimised, the processor, the
versions of llvmlite and LLVM. It holds a digest of the code, so that a damaged one is taken for none, and it appears as
a whole. Those that were used last stay, up to `LIMIT` bytes. Nobody else may write to the folder: its code is run.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from itertools import count

import numpy as np

from funcgrad.config import config

try:  # which hashlib takes it from, after milliseconds of loading OpenSSL
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["LIMIT", "checksum", "digest", "find", "folder", "store"]

LIMIT = 128 << 20
"""Bytes of all files."""

_HEAD = b"funcgrad 2\n"
_SIZE = 32  # of a digest, in bytes
_SUFFIX = ".o"
_stored = count()
_OFTEN = 64  # after so many files the folder is looked through


def digest(*parts: object) -> str:
    """The name of what these determine, by their text."""
    return checksum("\0".join(map(str, parts)).encode()).hex()


def checksum(data: bytes) -> bytes:
    """A digest of data."""
    return blake2b(data, digest_size=_SIZE).digest()


def folder() -> str | None:
    """Where the files are, made if need be; None where there is to be no cache, or is no safe place for it."""
    chosen = config.native_cache
    if chosen == "off":
        return None
    path = os.path.join(_user_cache(), "funcgrad", "native") if chosen == "auto" else os.path.expanduser(chosen)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        if os.name == "posix":
            about = os.stat(path)
            if about.st_uid != os.geteuid() or about.st_mode & 0o022:
                return None
    except OSError:
        return None
    return path


def _user_cache() -> str:
    if os.name == "nt":
        return os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    home = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(home)


def find(name: str) -> bytes | None:
    """The code of this name; None where there is none, or it is damaged."""
    place = folder()
    if place is None:
        return None
    path = os.path.join(place, name + _SUFFIX)
    try:
        text = np.fromfile(path, np.uint8).tobytes()  # opens and closes it: no interrupt comes between
        os.utime(path)
    except OSError:
        return None
    start = len(_HEAD) + _SIZE
    head, code = text[:start], text[start:]
    return code if head == _HEAD + checksum(code) else None


def store(name: str, code: bytes) -> None:
    """Keep code by this name, if there is a place for it."""
    place = folder()
    if place is None:
        return
    with suppress(OSError):
        path = os.path.join(place, f"{os.getpid()}.{os.urandom(8).hex()}.new")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            os.close(handle)
            np.frombuffer(_HEAD + checksum(code) + code, np.uint8).tofile(path)
            os.replace(path, os.path.join(place, name + _SUFFIX))
        except BaseException:
            os.unlink(path)
            raise
        if next(_stored) % _OFTEN == 0:
            _make_room(place)


def _make_room(place: str) -> None:
    """Remove what was not used for the longest time, if all files together are too large."""
    found: list[tuple[float, int, str]] = []
    for entry in os.scandir(place):
        if entry.name.endswith((_SUFFIX, ".new")):
            with suppress(OSError):  # another process may have removed it
                about = entry.stat()
                found.append((about.st_mtime, about.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found) if total > LIMIT else ():
        with suppress(OSError):
            os.unlink(path)
        total -= size
        if total <= LIMIT * 3 // 4:
            break
