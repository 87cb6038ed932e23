"""`sliding_window_view`: the windows of an array as a view of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._plain import like
from funcgrad.numpy._views import Places
from funcgrad.writes import viewed

__all__ = ["sliding_window_view"]


class Windows(Places):
    """Elements at places of the flattened base, some at several: to be read only."""

    __slots__ = ()
    writable = False

    def __repr__(self) -> str:
        return "sliding_window_view"


@like(np.lib.stride_tricks.sliding_window_view, view=True)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """All windows of a shape, over the last axes of the result, as a view that can only be read.

    >>> import funcgrad.numpy as fnp
    >>> sliding_window_view(fnp.arange(4), 2).tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    if writeable:
        raise ValueError("sliding_window_view: windows overlap, so that a traced view of them cannot be written to")
    base = array_operand(x)
    numbers = np.arange(base.size).reshape(base.shape)
    view = Windows(np.array(np.lib.stride_tricks.sliding_window_view(numbers, window_shape, axis)))
    return viewed(base, view.read(base), view)
