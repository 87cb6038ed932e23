"""What `jax.lax` has and NumPy has not: structured control flow, and `stop_gradient`."""

from __future__ import annotations

from typing import Any

import funcgrad.tree as tree
from funcgrad.control.associative import associative_scan
from funcgrad.control.cond import cond, switch
from funcgrad.control.loops import fori_loop, map, scan, while_loop
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import is_inexact

__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "stop_gradient", "switch", "while_loop"]


def stop_gradient(x: Any) -> Any:
    """The value itself, through which no derivative flows.

    >>> from funcgrad import grad
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    3.0
    """
    return tree.map(lambda leaf: STOP_GRADIENT.bind(leaf) if is_inexact(leaf) else leaf, x)
