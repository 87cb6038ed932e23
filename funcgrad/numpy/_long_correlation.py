"""Correlations of long sequences, without a matrix of all their windows.

Where the sequences overlap in part, the products are a triangle. It is taken apart into squares, which are convolutions
without padding, and small triangles: a padding of zeros would meet infinities.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy._contract import correlate_short
from funcgrad.ops.conv import CONV

__all__ = ["correlate_long"]

_SHORT = 256


def correlate_long(a: Any, v: Any, before: int, after: int) -> Any:
    """What `correlate` gives for a sequence `a` and one `v` that is not longer (conjugated already), with so many
    results before and after those of full overlap."""
    m = v.shape[0]
    parts = [_inside(a, v)]
    if before:
        parts = [_rising(a[: m - 1], v[1:])[m - 1 - before :], *parts]
    if after:
        parts.append(np.flip(_rising(np.flip(a)[: m - 1], np.flip(v)[1:])[m - 1 - after :]))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _inside(a: Any, v: Any) -> Any:
    """The results of full overlap."""
    out = CONV.bind(
        a[None, None],
        v[None, None],
        window_strides=(1,),
        padding=((0, 0),),
        lhs_dilation=(1,),
        rhs_dilation=(1,),
        feature_group_count=1,
        batch_group_count=1,
    )
    return out[0, 0]


def _rising(a: Any, v: Any) -> Any:
    """For k = 0, 1, … the sum over j ≤ k of a[j] · v[n - 1 - k + j], of two sequences of length n."""
    n = a.shape[0]
    if n <= _SHORT:
        return correlate_short(a, v, n - 1, 0)
    h = n // 2
    low, high = _rising(a[:h], v[n - h :]), _rising(a[h:], v[h:])
    return np.concatenate([low, high + np.flip(_inside(v[: n - 1], a[:h]))])
