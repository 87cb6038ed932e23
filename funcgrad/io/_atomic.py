"""Files that are there as a whole or not at all.

A file is written under another name in the same directory, brought to the disk, and renamed: whoever opens it, also
after a crash or a loss of power, finds what was there before or all of what is new.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, BinaryIO

__all__ = ["remove_leftovers", "write_whole"]

_count = count()
_open: Callable[..., Any] = open


def _host() -> str:
    return "".join(c for c in socket.gethostname() if c.isalnum())


def write_whole(path: str, write: Callable[[BinaryIO], None]) -> None:
    """Makes the file `path` of what `write(file)` writes, at one moment. A link stays one: its target is replaced.

    Raises:
        OSError: where the system does; the file that was there before is whole then.
    """
    path = os.path.realpath(path)
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{_host()}-{os.getpid()}-{next(_count)}.tmp")
    try:
        try:
            with _open(temporary, "w+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            with suppress(OSError):  # a file that is replaced passes its permissions on
                os.chmod(temporary, os.stat(path).st_mode & 0o7777)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        state = "what was there before is as it was" if os.path.exists(path) else "there was nothing before"
        error.add_note(f"{path} has not been written; {state}")
        raise
    sync_directory(directory)


def sync_directory(directory: str) -> None:
    """Brings the names in a directory to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: str) -> None:
    """Removes what processes of this machine that are gone had begun to write in a directory."""
    if os.name != "posix":
        return
    for entry in os.listdir(directory):
        stem, dot, end = entry.rpartition(".")
        host, _, numbers = stem.rpartition(".")[2].partition("-")
        process = numbers.partition("-")[0]
        if entry.startswith(".") and dot and end == "tmp" and host == _host() and process.isdigit():
            if not _alive(int(process)):
                with suppress(OSError):
                    os.unlink(os.path.join(directory, entry))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
