"""Rows for collectives: each in a recorded function, so that derivatives meet the operation and not what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import jit, lax, vmap

from .base import add
from .domains import real

SQUARE: dict[str, Any] = {"dtypes": "dfD", "values": "?il"}


def over(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f` of each row; with a factor, so that the cotangents that reach the rows differ. The program is recorded anew
    each time, so that those who watch see what is in it."""
    return lambda v: vmap(jit(lambda v: f(v) * v.ravel()[0]), axis_name="i")(v)


add("psum", over(lambda v: lax.psum(v, "i")), real, (2, 3), (3, 1), **SQUARE)
add("pmean", over(lambda v: lax.pmean(v, "i")), real, (2, 3), (3, 1), dtypes="df")
add("pmax", over(lambda v: lax.pmax(v, "i")), real, (2, 3), (3, 2), dtypes="df", values="il")
add("pmin", over(lambda v: lax.pmin(v, "i")), real, (2, 3), (3, 2), dtypes="df", values="il")
add("all_gather", over(lambda v: lax.all_gather(v, "i", axis=1)), real, (2, 3), (3, 1), **SQUARE)
add("psum_scatter", over(lambda v: lax.psum_scatter(v, "i", tiled=True)), real, (2, 4), (3, 3), **SQUARE)
add("all_to_all", over(lambda v: lax.all_to_all(v, "i", 0, 1, tiled=True)), real, (2, 4, 1), (3, 3, 2), **SQUARE)
add("ppermute", over(lambda v: lax.ppermute(v, "i", [(0, 1), (1, 0)])), real, (2, 3), (3, 2), **SQUARE)
add("axis_index", over(lambda v: np.sin(v) * lax.axis_index("i")), real, (2, 3), (3, 2), dtypes="df")
