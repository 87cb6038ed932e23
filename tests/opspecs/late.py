"""Rows for functions that are imported late: sets, counting, polynomials, editing, functions of functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp

from .base import HOLOMORPHIC, add
from .domains import nonzero, positive, real

SHAPES = "the shape of the result depends on values"
KNOWN: dict[str, Any] = {"values": "fil", "dtypes": "d", "concrete": SHAPES}
ALL: dict[str, Any] = {"dtypes": HOLOMORPHIC, "values": "?il"}
EDGES = [-3.0, -1.0, 0.0, 0.5, 3.0]

# ----------------------------------------------------------------------------------------------------------- sets

add("unique", np.unique, real, (5,), (2, 3), **KNOWN)
add("unique, all", lambda x: np.unique(x, True, True, True), real, (5,), (2, 3), **KNOWN)
add("unique rows", lambda x: np.unique(x, axis=0), real, (4, 2), **KNOWN)
add("unique_all", lambda x: tuple(np.unique_all(x)), real, (5,), **KNOWN)
add("unique_counts", lambda x: tuple(np.unique_counts(x)), real, (5,), **KNOWN)
add("unique_inverse", lambda x: tuple(np.unique_inverse(x)), real, (5,), **KNOWN)
add("unique_values", np.unique_values, real, (5,), **KNOWN)
add("intersect1d", lambda x: np.intersect1d(x, np.concatenate([x[:2], x[:1] + 100])), real, (5,), **KNOWN)
add("union1d", lambda x: np.union1d(x[:3], x[2:]), real, (5,), **KNOWN)
add("setdiff1d", lambda x: np.setdiff1d(x, x[1:3]), real, (5,), **KNOWN)
add("setxor1d", lambda x: np.setxor1d(x[:3], x[2:]), real, (5,), **KNOWN)
add("isin", lambda x: np.isin(x, x[1:3]), real, (5,), **ALL)

# ------------------------------------------------------------------------------------------------------- counting

add("bincount", lambda w: np.bincount([0, 3, 3, 1], w), real, (4,), dtypes="df", values="il")
add("bincount of lengths", lambda w: np.bincount([0, 3, 3, 1], w, 6), real, (4,), dtypes="df", values="il")
add("digitize", lambda x: np.digitize(x, EDGES), real, (5,), (2, 3), dtypes="df", values="il")
add("digitize, descending", lambda x: np.digitize(x, EDGES[::-1], right=True), real, (5,), dtypes="df", values="il")
add("histogram", lambda w: np.histogram([0.1, 0.4, 2.0, -0.5], EDGES, weights=w)[0], real, (4,), dtypes="d")
add("histogram of edges", lambda x: np.histogram(x, 4)[1], real, (5,), (2, 3), dtypes="d")
add("histogram of density", lambda x: np.histogram(x, EDGES, density=True), real, (5,), dtypes="d", values="f")
add("histogram_bin_edges", lambda x: np.histogram_bin_edges(x, 3), real, (5,), dtypes="d")
add(
    "histogram2d",
    lambda w: np.histogram2d([0.1, 0.4, 2.0, -0.5], [0.3, 0.2, 0.1, 0.0], [2, 3], weights=w)[0],
    real, (4,), dtypes="d",
)  # fmt: skip
add(
    "histogramdd",
    lambda w: np.histogramdd(np.arange(12.0).reshape(4, 3), (2, 2, 1), weights=w)[0],
    real, (4,), dtypes="d",
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- polynomials

add("polyadd", np.polyadd, (real, real), ((3,), (2,)), ((1,), (3,)), dtypes=HOLOMORPHIC, values="il")
add("polysub", np.polysub, (real, real), ((3,), (2,)), ((1,), (3,)), dtypes=HOLOMORPHIC, values="il")
add("polymul", np.polymul, (nonzero, nonzero), ((3,), (2,)), ((1,), (3,)), dtypes=HOLOMORPHIC, values="il", ulps=4)
add(
    "polydiv",
    lambda u, v: np.polydiv(u, v)[0],
    (real, nonzero),
    ((4,), (2,)),
    ((3,), (3,)),
    dtypes="d",
    concrete=SHAPES,
)
add("polyder", lambda p: (np.polyder(p), np.polyder(p, 2)), real, (4,), (3,), dtypes=HOLOMORPHIC, values="il")
add("polyint", lambda p: (np.polyint(p), np.polyint(p, 2, [1.0, 2.0])), real, (3,), dtypes=HOLOMORPHIC, values="il")
add(
    "roots",
    lambda p: np.abs(np.roots(p)),
    positive,
    (3,),
    dtypes="d",
    concrete=SHAPES,
    order=1,
    why="eigenvalues",
    ulps=1000,
)
add("poly", np.poly, real, (3,), (1,), dtypes="d", values="il", ulps=4)
add("polyfit", lambda x, y: np.polyfit(x, y, 2), (real, real), ((5,), (5,)), ((5,), (5, 2)), dtypes="d", ulps=1e5)
add(
    "polyfit, weighted",
    lambda y, w: np.polyfit(np.arange(5.0), y, 1, w=w),
    (real, positive),
    ((5,), (5,)),
    dtypes="d",
    ulps=1e4,
)

# -------------------------------------------------------------------------------------------------------- editing

add("insert", lambda x, v: np.insert(x, 1, v), (real, real), ((4,), ()), ((2, 3), ()), **ALL)
add("insert several", lambda x, v: np.insert(x, [0, 2, 2], v), (real, real), ((4,), (3,)), ((4,), ()), **ALL)
add("insert rows", lambda x, v: np.insert(x, 1, v, axis=0), (real, real), ((3, 2), (2,)), ((3, 2), (2, 2)), **ALL)
add("insert columns", lambda x, v: np.insert(x, [1], v, axis=1), (real, real), ((3, 2), (3, 1)), **ALL)
add("delete", lambda x: (np.delete(x, 1), np.delete(x, [0, -1]), np.delete(x, slice(0, 2))), real, (4,), (2, 3), **ALL)
add("delete rows", lambda x: np.delete(x, 1, axis=0), real, (3, 2), **ALL)
add("block", lambda x, y: np.block([[x, y], [y, x]]), (real, real), ((2, 2), (2, 2)), ((2,), (2,)), **ALL)
add("block of columns", lambda x, y: np.block([x, y]), (real, real), ((2,), (3,)), ((2, 1), (2, 2)), **ALL)
add("resize", lambda x: (np.resize(x, 7), np.resize(x, (1, 2))), real, (4,), (2, 3), **ALL)
add("diagflat", lambda x: np.diagflat(x, 1), real, (3,), (2, 2), **ALL)
add(
    "trim_zeros",
    lambda x: np.trim_zeros(np.concatenate([np.zeros_like(x), x, np.zeros_like(x)])),
    nonzero,
    (3,),
    dtypes="d",
    concrete=SHAPES,
)

# --------------------------------------------------------------------------------------------- functions of functions

add(
    "apply_along_axis",
    lambda x: np.apply_along_axis(lambda r: np.cumsum(r * r), 0, x),
    real,
    (3,),
    (2, 3),
    dtypes="df",
    ulps=4,
)
add(
    "apply_along_axis to numbers", lambda x: np.apply_along_axis(np.sum, -1, x), real, (3,), (2, 3), dtypes="df", ulps=4
)
add("apply_over_axes", lambda x: np.apply_over_axes(np.sum, x, (0, -1)), real, (2, 3), (2, 3, 2), dtypes="df", ulps=4)
add(
    "piecewise",
    lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda v: v * v, np.exp]),
    nonzero,
    (5,),
    (2, 3),
    (),
    dtypes="df",
)
add("piecewise with constants", lambda x: np.piecewise(x, [x < 0], [-1.0, lambda v: 3 * v]), nonzero, (5,), dtypes="d")
add(
    "vectorize",
    fnp.vectorize(lambda x, y: x * np.sin(y)),
    (real, real),
    ((2, 1), (3,)),
    ((), (3,)),
    dtypes="df",
    ulps=4,
)
