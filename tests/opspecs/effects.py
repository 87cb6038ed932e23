"""Rows for operations with an effect and no results, in functions that have some."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import debug
from funcgrad.ops.attempt import KEEP
from funcgrad.ops.guard import GUARD
from funcgrad.scipy._host import attended

from .base import add
from .domains import real


def _guarded(x: Any) -> Any:
    GUARD.bind(np.all(np.isfinite(x)), kind="bool", value=True)
    return 2.0 * x


def _watched(x: Any) -> Any:
    debug.callback(lambda value, text: None, x, "some text")
    return 2.0 * x


def _kept(x: Any) -> Any:
    y = np.sin(x)
    KEEP.bind(y)
    return y * x


add("attended", lambda x: attended(np.sin(x), True, str), real, (), (2, 3), dtypes="df", values="i")
add("keep", _kept, real, (), (2, 3), dtypes="df", values="i")
add("guard", _guarded, real, (), (2, 3), dtypes="df", values="i")
add("debug.callback", _watched, real, (), (2, 3), dtypes="df", values="i")
