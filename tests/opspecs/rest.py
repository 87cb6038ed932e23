"""Rows for what the other files leave out: order, quantiles, bits, indices, arrays put together."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp

from .base import HOLOMORPHIC, add
from .domains import interval, positive, real, with_nan

D: dict[str, Any] = {"dtypes": "d"}
WHOLE: dict[str, Any] = {"dtypes": "", "values": "il"}
ALL: dict[str, Any] = {"dtypes": HOLOMORPHIC, "values": "?il"}

# ---------------------------------------------------------------------------------------------------------- order

add("argpartition", lambda x: np.take_along_axis(x, np.argpartition(x, 1), -1)[..., 1], real, (5,), (2, 4), dtypes="df")
add("sort_complex", np.sort_complex, real, (5,), (2, 3), dtypes="dD", values="bfi")

# ------------------------------------------------------------------------------------------------------ quantiles

NAN: dict[str, Any] = {"dtypes": "", "values": "df", "ulps": 4}
add("nanmedian", lambda x: (np.nanmedian(x), np.nanmedian(x, axis=-1)), real, (5,), (2, 4), dtypes="d", values="fi")
add(
    "nanmedian of nan",
    lambda x: (np.nanmedian(x), np.nanmedian(x, axis=-1, keepdims=True)),
    with_nan,
    (5,),
    (3, 4),
    **NAN,
)
add("nanquantile", lambda x: np.nanquantile(x, [0.1, 0.6], axis=0), real, (5,), (3, 2), dtypes="d", values="fi", ulps=4)
add("nanquantile of nan", lambda x: np.nanquantile(x, 0.4, axis=-1), with_nan, (5,), (3, 4), **NAN)
add(
    "nanquantile: q",
    lambda x, q: np.nanquantile(x, q),
    (real, interval(0.1, 0.9)),
    ((5,), ()), ((3, 2), (2,)), **D, ulps=4,
)  # fmt: skip
add("nanpercentile", lambda x: np.nanpercentile(x, 30, axis=-1), with_nan, (5,), (3, 4), **NAN)
for _method in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen",
                "weibull", "median_unbiased", "normal_unbiased"):  # fmt: skip
    add(
        f"quantile: {_method}",
        lambda x, m=_method: np.quantile(x, [0.13, 0.4, 0.9], axis=-1, method=m),
        real, (5,), (2, 3), **D, ulps=4,
    )  # fmt: skip
add(
    "quantile: weights",
    lambda x, w: np.quantile(x, [0.2, 0.7], axis=-1, weights=w, method="inverted_cdf"),
    (real, positive),
    ((5,), (5,)), ((2, 3), (3,)), **D,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- bits and indices

add("packbits", lambda x: (np.packbits(x), np.packbits(x, axis=-1, bitorder="little")), real, (9,), (2, 3), **WHOLE)
add("unpackbits", lambda x: np.unpackbits(np.abs(x).astype(np.uint8), axis=0, count=-3), real, (2,), (2, 3), **WHOLE)
add("unravel_index", lambda x: np.unravel_index(np.argsort(x, axis=None), (2, 3), "F"), real, (6,), (2, 3), dtypes="d")
add(
    "ravel_multi_index",
    lambda x: np.ravel_multi_index((np.argsort(x), np.argsort(-x)), (6, 4), mode=("raise", "wrap")),
    real, (6,), dtypes="d", values="f",
)  # fmt: skip
add("triu_indices_from", lambda x: (x[np.triu_indices_from(x, 1)], x[np.tril_indices_from(x)]), real, (3, 3), **ALL)

# -------------------------------------------------------------------------------------------- arrays put together

add("r_", lambda x, y: fnp.r_[x, 0:2, 5, y] if _any(x, y) else np.r_[x, 0:2, 5, y], (real, real), ((3,), ()), **ALL)
add("r_ directive", lambda x: fnp.r_["0,2,0", x, x] if _any(x) else np.r_["0,2,0", x, x], real, (3,), (2, 1), **ALL)
add("c_", lambda x, y: fnp.c_[x, y, 0:3] if _any(x, y) else np.c_[x, y, 0:3], (real, real), ((3,), (3, 2)), **ALL)
add("kaiser", lambda b: fnp.kaiser(5, b), positive, (), **D, ulps=8)
add("array_equiv", lambda x: np.array_equiv(x, x[:1]), real, (1,), (3,), **ALL)


def _any(*xs: Any) -> bool:
    return any(not isinstance(x, np.generic) and type(x) is not np.ndarray for x in xs)


# -------------------------------------------------------------------------------------------------------- methods

add("x.argpartition", lambda x: x[x.argpartition(2)][2], real, (5,), dtypes="df", values="i")
add("x.view", lambda x: x.view() * x.view(x.dtype), real, (5,), (2, 3), **ALL)
add("x.view, as complex", lambda x: x.view(np.complex128) * 2j, real, (4,), (2, 2), **D)
add("x.view, as real", lambda x: x.view(np.float64) ** 2, real, (3,), (2, 2), dtypes="D")
add("x.view, as bits", lambda x: x.view(np.int32) >> 23, real, (3,), (), dtypes="", values="f")

add("sliding_window_view", lambda x: np.lib.stride_tricks.sliding_window_view(x, 3, -1), real, (5,), (2, 4), **ALL)
add(
    "sliding_window_view of planes",
    lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)),
    real, (3, 4), **D,
)  # fmt: skip

# ------------------------------------------------------------------------------------------- what gives no arrays

TEXTS = (np.array_repr, np.array_str, np.array2string)
add("arrays as text", lambda x: x * float(all(len(f(x)) > 3 for f in TEXTS)), real, (3,), (2, 2), **D)
add("einsum_path", lambda x: x * len(np.einsum_path("ij,jk->ik", x, x)[0]), real, (2, 2), **D)
add("min_scalar_type", lambda x: np.ones(2, np.min_scalar_type(x)) * x, real, (2,), dtypes="df", values="?b")
add("shares_memory", lambda x: x * float(np.shares_memory(x[1:], x) + np.may_share_memory(x, x * 1)), real, (3,), **D)
