"""Optional packages: imported where they are needed, or one sentence that says what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["optional"]


def optional(package: str, what: str, extra: str) -> Any:
    """A package that is not required; raises ImportError, with what needs it and what to install.

    >>> optional("numpy", "this", "nothing").__name__
    'numpy'
    >>> optional("not_there", "'torch:cpu'", "torch")
    Traceback (most recent call last):
    ImportError: 'torch:cpu' needs the package not_there, which is not installed: pip install 'funcgrad[torch]'
    """
    try:
        return import_module(package)
    except ImportError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise ImportError(f"{what} needs the package {root}, which cannot be imported: {error}") from error
        raise ImportError(
            f"{what} needs the package {root}, which is not installed: pip install 'funcgrad[{extra}]'"
        ) from None
