"""Functions that few programs use: imported when the first of them is used on a traced value, or asked for by name."""

from __future__ import annotations

from funcgrad.numpy._bits import (
    packbits,
    ravel_multi_index,
    tril_indices_from,
    triu_indices_from,
    unpackbits,
    unravel_index,
)
from funcgrad.numpy._build import (
    asanyarray,
    asarray_chkfinite,
    ascontiguousarray,
    asfortranarray,
    c_,
    fromiter,
    isfortran,
    kaiser,
    r_,
    require,
)
from funcgrad.numpy._editing import block, delete, diagflat, insert, resize, trim_zeros
from funcgrad.numpy._functional import apply_along_axis, apply_over_axes, piecewise, vectorize
from funcgrad.numpy._histogram import bincount, digitize, histogram, histogram2d, histogram_bin_edges, histogramdd
from funcgrad.numpy._padding import pad
from funcgrad.numpy._polynomials import poly, polyadd, polyder, polydiv, polyfit, polyint, polymul, polysub, roots
from funcgrad.numpy._quantiles import nanmedian, nanpercentile, nanquantile, percentile, quantile
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
from funcgrad.numpy._text import (
    array2string,
    array_equiv,
    array_repr,
    array_str,
    einsum_path,
    may_share_memory,
    min_scalar_type,
    shares_memory,
)
from funcgrad.numpy._ufunc_class import frompyfunc, ufunc
from funcgrad.numpy._windows import sliding_window_view

__all__ = [
    "apply_along_axis", "apply_over_axes", "array2string", "array_equiv", "array_repr", "array_str",
    "asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "bincount", "block", "c_",
    "delete", "diagflat", "digitize", "einsum_path", "fromiter", "frompyfunc", "histogram", "histogram2d",
    "histogram_bin_edges", "histogramdd", "insert", "intersect1d", "isfortran", "isin", "kaiser",
    "may_share_memory", "min_scalar_type", "nanmedian", "nanpercentile", "nanquantile", "packbits", "pad",
    "percentile", "piecewise", "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul",
    "polysub", "quantile", "r_", "ravel_multi_index", "require", "resize", "roots", "setdiff1d", "setxor1d",
    "shares_memory", "sliding_window_view", "tril_indices_from", "trim_zeros", "triu_indices_from", "ufunc",
    "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unpackbits",
    "unravel_index", "vectorize",
]  # fmt: skip
