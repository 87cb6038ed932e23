"""Directories of checkpoints: one file for each step, of which the last few are kept."""

from __future__ import annotations

import os
import re
import warnings
from contextlib import suppress
from typing import Any, NamedTuple

from funcgrad.errors import FuncgradWarning
from funcgrad.io._atomic import remove_leftovers
from funcgrad.io._errors import DamagedFileError
from funcgrad.io._files import SUFFIXES, load, save

__all__ = ["Checkpoints", "Restored", "latest_step", "restore_checkpoint", "save_checkpoint"]

_PATTERN = re.compile(r"checkpoint_(\d+)\.(safetensors|npz)")


class Restored(NamedTuple):
    """A step, and the tree that was saved at it."""

    step: int
    tree: Any


def _files(directory: str | os.PathLike[str]) -> dict[int, str]:
    """The checkpoints of a directory, which need not exist, by step in rising order."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return {}
    found = {int(m[1]): os.path.join(directory, name) for name in names if (m := _PATTERN.fullmatch(name))}
    return dict(sorted(found.items()))


def latest_step(directory: str | os.PathLike[str]) -> int | None:
    """The step of the newest checkpoint in a directory, or None if there is none.

    >>> latest_step("no such directory") is None
    True
    """
    return max(_files(directory), default=None)


def save_checkpoint(
    directory: str | os.PathLike[str],
    step: int,
    tree: Any,
    keep: int | None = 3,
    *,
    overwrite: bool = False,
    suffix: str = ".safetensors",
) -> str:
    """Saves a tree as the checkpoint of a step; then removes those that are older than the last `keep`.

    Args:
        directory: made if there is none. One process writes to it at a time.
        step: the number of the step, at least 0 and greater than those of the checkpoints that are there.
        tree: what `save` takes.
        keep: how many are kept; None for all.
        overwrite: allow a step that is not greater; checkpoints of later steps are removed once the new one is there.
        suffix: the format, ".safetensors" or ".npz".

    Returns:
        The path of the file.

    Raises:
        FileExistsError: if there is a checkpoint of this or a later step.
        OSError: if the file cannot be written; the checkpoints that are there are whole.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     for step in (10, 20, 30, 40):
    ...         path = save_checkpoint(directory, step, {"w": np.zeros(2)})
    ...     latest_step(directory), len(os.listdir(directory)), os.path.basename(path)
    (40, 3, 'checkpoint_000000040.safetensors')
    """
    if keep is not None and keep < 1:
        raise ValueError(f"save_checkpoint: keep= is at least 1 (or None for all), got {keep}")
    if step < 0:
        raise ValueError(f"save_checkpoint: a step is not negative, got {step}")
    if suffix not in SUFFIXES:
        raise ValueError(f"save_checkpoint: suffix= is one of {', '.join(SUFFIXES)}, got {suffix!r}")
    files = _files(directory)
    newest = max(files, default=-1)
    if newest >= step and not overwrite:
        raise FileExistsError(
            f"save_checkpoint: {os.fspath(directory)} has a checkpoint of step {newest}, and {step} is not "
            "after it: use another directory, or overwrite=True, which removes those of later steps"
        )
    os.makedirs(directory, exist_ok=True)
    remove_leftovers(os.fspath(directory))
    path = os.path.join(directory, f"checkpoint_{step:09d}{suffix}")
    save(path, tree)
    files[step] = path
    older = sorted(s for s in files if s <= step)
    for s in files.keys() - set(older if keep is None else older[-keep:]):
        with suppress(OSError):
            os.unlink(files[s])
    return path


def restore_checkpoint(
    directory: str | os.PathLike[str], like: Any = None, *, step: int | None = None, fallback: bool = False
) -> Restored:
    """The newest checkpoint of a directory, or that of a step.

    Args:
        directory: where the checkpoints are.
        like: an example of the tree, as for `load`.
        step: which one; the newest by default.
        fallback: where a checkpoint is damaged, take the one before it, and warn. Otherwise that is an error.

    Returns:
        (step, tree)

    Raises:
        FileNotFoundError: if there is no checkpoint, or none of this step.
        DamagedFileError: if it is damaged (with `fallback`: if all are).
        MismatchError: if it is not like `like`.
    """
    files = _files(directory)
    if not files:
        raise FileNotFoundError(f"restore_checkpoint: there is no checkpoint in {os.fspath(directory)}")
    if step is not None and step not in files:
        raise FileNotFoundError(
            f"restore_checkpoint: {os.fspath(directory)} has no checkpoint of step {step}, but of "
            + ", ".join(map(str, files))
        )
    error: DamagedFileError | None = None
    for s in sorted(files, reverse=True):
        if step is not None and s > step:
            continue
        try:
            tree = load(files[s], like)
        except DamagedFileError as damage:
            if not fallback:
                damage.add_note("fallback=True takes the checkpoint before it")
                raise
            error = error or damage
            continue
        if error is not None:
            warnings.warn(f"the checkpoint of step {s} is used instead: {error}", FuncgradWarning, stacklevel=2)
        return Restored(s, tree)
    assert error is not None
    raise error


class Checkpoints:
    """A directory of checkpoints, and how it is kept.

    Args:
        directory: made when something is saved.
        keep: how many checkpoints are kept; None for all.
        every: which steps `due` names: multiples of this number.
        fallback: where the newest checkpoint is damaged, restore the one before it, and warn; otherwise that raises.
        suffix: the format, ".safetensors" or ".npz".

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     checkpoints = Checkpoints(directory, keep=2, every=10)
    ...     for step in range(1, 41):
    ...         if checkpoints.due(step):
    ...             _ = checkpoints.save(step, {"w": np.full(2, step)})
    ...     checkpoints.steps(), checkpoints.restore()
    ([30, 40], Restored(step=40, tree={'w': array([40, 40])}))
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        keep: int | None = 3,
        every: int = 1,
        *,
        fallback: bool = False,
        suffix: str = ".safetensors",
    ) -> None:
        if every < 1:
            raise ValueError(f"Checkpoints: every= is at least 1, got {every}")
        self.directory = os.fspath(directory)
        self.keep, self.every, self.fallback, self.suffix = keep, every, fallback, suffix

    def __repr__(self) -> str:
        return f"Checkpoints({self.directory!r}, keep={self.keep}, every={self.every})"

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be saved at a step."""
        return step % self.every == 0

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are there, in rising order."""
        return list(_files(self.directory))

    def latest(self) -> int | None:
        """The step of the newest, or None."""
        return latest_step(self.directory)

    def save(self, step: int, tree: Any, *, overwrite: bool = False) -> str:
        """As `save_checkpoint`."""
        return save_checkpoint(self.directory, step, tree, self.keep, overwrite=overwrite, suffix=self.suffix)

    def restore(self, like: Any = None, *, step: int | None = None) -> Restored:
        """As `restore_checkpoint`."""
        return restore_checkpoint(self.directory, like, step=step, fallback=self.fallback)
