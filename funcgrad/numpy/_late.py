"""Functions that few programs use: imported when the first of them is used on a traced value, or asked for by name."""

from __future__ import annotations

from funcgrad.numpy._editing import block, delete, diagflat, insert, resize, trim_zeros
from funcgrad.numpy._functional import apply_along_axis, apply_over_axes, piecewise, vectorize
from funcgrad.numpy._histogram import bincount, digitize, histogram, histogram2d, histogram_bin_edges, histogramdd
from funcgrad.numpy._polynomials import poly, polyadd, polyder, polydiv, polyfit, polyint, polymul, polysub, roots
from funcgrad.numpy._sets import (
    intersect1d,
    isin,
    setdiff1d,
    setxor1d,
    union1d,
    unique,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)

__all__ = [
    "apply_along_axis", "apply_over_axes", "bincount", "block", "delete", "diagflat", "digitize", "histogram",
    "histogram2d", "histogram_bin_edges", "histogramdd", "insert", "intersect1d", "isin", "piecewise", "poly",
    "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "resize", "roots", "setdiff1d",
    "setxor1d", "trim_zeros", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "vectorize",
]  # fmt: skip
