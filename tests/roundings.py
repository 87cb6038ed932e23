"""Comparisons of what is the same bit for bit, but for how native code rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import config

__all__ = ["assert_same"]


def assert_same(found: Any, want: Any, rtol: float = 0.0, atol: float = 0.0, roundings: int = 32) -> None:
    """Assert that two arrays have the same elements, up to `rtol` and `atol`.

    Native code adds in another order and has elementary functions of its own, which are a unit in the last place off:
    where it is what runs, floats may differ by so many roundings, of each element and of the largest.
    """
    want = np.asarray(want)
    if config.native == "off" or want.dtype.kind not in "fc":
        np.testing.assert_allclose(found, want, rtol=rtol, atol=atol)
        return
    eps = roundings * float(np.finfo(want.dtype).eps)
    finite = np.abs(want[np.isfinite(want)])
    largest = float(np.max(finite, initial=0))
    np.testing.assert_allclose(found, want, rtol=max(rtol, eps), atol=max(atol, eps * largest))
