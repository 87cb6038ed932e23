"""Which array did NumPy refuse to write to? Its error does not say; the frame that raised it does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np

from funcgrad.source import call_at, is_internal
from funcgrad.types import is_a

__all__ = ["possible_targets"]


def possible_targets(error: BaseException) -> list[np.ndarray]:
    """The array that the user's innermost line was writing to; where it cannot be read, all those the frame names."""
    frame: FrameType | None = None
    tb = error.__traceback__
    while tb is not None:
        if not is_internal(tb.tb_frame.f_code.co_filename):
            frame = tb.tb_frame
        tb = tb.tb_next
    if frame is None:
        return []
    site = call_at(frame)
    target = _value(_written(site.node, frame), frame) if site is not None else None
    return [target] if is_a(target, np.ndarray) else list(_named(frame))


def _written(node: ast.AST | None, frame: FrameType) -> ast.AST | None:
    """The expression for what a statement or call writes to."""
    if isinstance(node, ast.Subscript):
        return node.value
    if isinstance(node, ast.AugAssign):
        return node.target.value if isinstance(node.target, ast.Subscript) else node.target
    if not isinstance(node, ast.Call):
        return None
    for keyword in node.keywords:
        if keyword.arg == "out":
            return keyword.value
    if isinstance(node.func, ast.Attribute) and is_a(_value(node.func.value, frame), np.ndarray):
        return node.func.value
    return node.args[0] if node.args else None


def _value(node: ast.AST | None, frame: FrameType) -> Any:
    """What a name, an attribute or an element stands for in a frame; of an element of an array, that array."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, frame)
        return owner if is_a(owner, np.ndarray) else getattr(owner, "__dict__", {}).get(node.attr)
    if isinstance(node, ast.Subscript):
        owner: Any = _value(node.value, frame)
        if isinstance(owner, (dict, list, tuple)) and isinstance(node.slice, ast.Constant):
            key: Any = node.slice.value
            try:
                return owner[key]
            except (LookupError, TypeError):
                return None
        return owner
    return None


def _named(frame: FrameType) -> Iterator[np.ndarray]:
    every = [*frame.f_locals.values(), *(frame.f_globals.get(name) for name in frame.f_code.co_names)]
    return (x for x in every if is_a(x, np.ndarray))
