"""Rows for reductions, statistics, sorting, searching and cumulative functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import HOLOMORPHIC, NP, PY, REALS, add
from .domains import bools, interval, nonzero, positive, real, sorted_values, with_nan, with_zeros

SHAPES = ((2, 3), (3,), (), (2, 2, 2), (0,), (0, 2), NP)
CUBES = ((2, 3, 2), (2, 1, 3), (2, 0, 2))
ALL: dict[str, Any] = {"dtypes": "dfDF", "values": "e?bBil"}
SOME: dict[str, Any] = {"dtypes": "df", "values": "ei"}
FEW: dict[str, Any] = {"dtypes": "d", "values": "fi"}

# ------------------------------------------------------------------------------------------------ sums and products

add("sum", np.sum, real, *SHAPES, **ALL)
add(
    "sum: axis",
    lambda x: (np.sum(x, 0), np.sum(x, axis=-1), np.sum(x, axis=(0, 2)), np.sum(x, axis=())),
    real,
    *CUBES,
    **ALL,
)
add("sum: keepdims", lambda x: (np.sum(x, -2, keepdims=True), np.sum(x, keepdims=True)), real, *CUBES, **SOME)
add("sum: initial", lambda x: (np.sum(x, initial=2), np.sum(x, 0, initial=-1)), real, (2, 3), (0, 3), **SOME, ulps=2)
add(
    "sum: traced initial",
    lambda x, y: np.sum(x, 0, initial=y),
    (real, real),
    ((3,), ()),
    ((0,), ()),
    dtypes="d",
    values="f",
    ulps=2,
)
add("sum: where", lambda c, x: np.sum(x, axis=1, where=c), (bools, real), ((2, 3), (2, 3)), ((3,), (2, 3)), **SOME)
add("sum: dtype", lambda x: np.sum(x, dtype=np.float64), real, (3,), dtypes="df", values="ei")
add("x.sum()", lambda x: (x.sum(), x.sum(0), x.sum((0, 1), keepdims=True)), real, (2, 3), **SOME)
add(
    "add.reduce",
    lambda x: (np.add.reduce(x), np.add.reduce(x, axis=None), np.add.reduce(x, 1, keepdims=True)),
    real,
    (2, 3),
    **SOME,
)
add(
    "add.reduce: where",
    lambda x: np.add.reduce(x, initial=1, where=[True, False, True], dtype=float),
    real,
    (2, 3),
    **FEW,
)
add("prod", np.prod, nonzero, *SHAPES, **ALL)
add("prod: axis", lambda x: (np.prod(x, 0), np.prod(x, (0, -1)), np.prod(x, 1, keepdims=True)), nonzero, *CUBES, **SOME)
add("prod: zeros", lambda x: np.prod(x, -1), with_zeros, (4,), (2, 3), (1,), dtypes="df")
add("prod: options", lambda x: np.prod(x, 1, initial=2, where=[True, False, True]), nonzero, (2, 3), **SOME)
add("x.prod()", lambda x: (x.prod(), x.prod(0), x.prod(dtype=float)), nonzero, (2, 3), **SOME)
add("multiply.reduce", lambda x: np.multiply.reduce(x, axis=(0, 1)), nonzero, (2, 3), **FEW)

# --------------------------------------------------------------------------------------------- extreme elements

for _name in ("max", "min", "amax", "amin"):
    _fun = getattr(np, _name)
    add(_name, _fun, real, (2, 3), (3,), (), (2, 2, 2), NP, dtypes="df", values="e?bBil")
    if _name in ("max", "min"):
        add(
            f"{_name}: axis",
            lambda x, f=_fun: (f(x, 0), f(x, axis=(0, -1)), f(x, -1, keepdims=True)),
            real,
            *CUBES[:2],
            **SOME,
        )
        add(
            f"{_name}: initial",
            lambda x, f=_fun: (f(x, initial=0), f(x, axis=0, initial=1)),
            real,
            (2, 3),
            (0, 3),
            **SOME,
        )
        add(
            f"{_name}: where",
            lambda x, f=_fun: f(x, axis=1, initial=0, where=[True, False, True]),
            real,
            (2, 3),
            **SOME,
        )
        add(f"x.{_name}()", lambda x, n=_name: (getattr(x, n)(), getattr(x, n)(0), getattr(x, n)(-1, keepdims=True)), real, (2, 3),
            **SOME)  # fmt: skip
add("maximum.reduce", lambda x: (np.maximum.reduce(x), np.minimum.reduce(x, axis=None)), real, (2, 3), **SOME)
add("max of nothing along an axis", lambda x: np.max(x, axis=1), real, (0, 3), **FEW)
add("ptp", lambda x: (np.ptp(x), np.ptp(x, axis=0), np.ptp(x, -1, keepdims=True)), real, (2, 3), (3, 1), **SOME)
add("all, any", lambda x: (np.all(x), np.any(x, axis=0), np.all(x, (0, 1), keepdims=True)), real, (2, 3), (0, 2), dtypes="",
    values="dfDi?")  # fmt: skip
add("all: where", lambda x: (np.all(x > 0, where=x > -1), np.any(x > 0, axis=1, where=[True, False, True])), nonzero, (2, 3), dtypes="",
    values="di")  # fmt: skip
add(
    "x.all(), x.any()",
    lambda x: (x.all(), x.any(0), (x > 0).all(-1), (x > 0).any()),
    real,
    (2, 3),
    dtypes="",
    values="di?",
)
add("logical_and.reduce", lambda x: (np.logical_and.reduce(x > 0), np.logical_or.reduce(x > 0, axis=None)), real, (2, 3), dtypes="",
    values="di")  # fmt: skip
add("count_nonzero", lambda x: (np.count_nonzero(x), np.count_nonzero(x, 0), np.count_nonzero(x, -1, keepdims=True)), real, (2, 3),
    (0, 3), dtypes="", values="dDi?")  # fmt: skip

# ------------------------------------------------------------------------------------------------------- statistics

STATS = ((2, 3), (3,), (), (2, 2, 2), NP)
add("mean", np.mean, real, *STATS, **ALL)
add("mean: axis", lambda x: (np.mean(x, 0), np.mean(x, (0, -1)), np.mean(x, 1, keepdims=True)), real, *CUBES[:2], **ALL)
add("mean: where", lambda x: np.mean(x, axis=1, where=[True, False, True]), real, (2, 3), dtypes="df", values="i")
add("mean: dtype", lambda x: np.mean(x, dtype=np.float64), real, (3,), dtypes="df", values="i")
add("x.mean()", lambda x: (x.mean(), x.mean(0), x.mean(-1, keepdims=True)), real, (2, 3), **SOME)
add("var", np.var, real, *STATS, **ALL)
add(
    "var: axis",
    lambda x: (np.var(x, 0), np.var(x, (0, -1), ddof=1), np.var(x, 1, keepdims=True)),
    real,
    (2, 3, 2),
    **ALL,
)
add("var: where", lambda x: np.var(x, axis=1, where=[True, False, True], ddof=1), real, (2, 3), **FEW)
add("var: correction", lambda x: np.var(x, 0, correction=1), real, (3, 2), **FEW)
add("var: mean", lambda x: np.var(x, 0, mean=np.mean(x, 0, keepdims=True)), real, (3, 2), **FEW)
add("var: dtype", lambda x: np.var(x, dtype=np.float64), real, (3,), dtypes="df", values="i")
add("x.var()", lambda x: (x.var(), x.var(0, ddof=1), x.std(), x.std(-1, keepdims=True)), real, (2, 3), **SOME)
add("std", np.std, real, (2, 3), (3,), (2, 2, 2), **ALL)
add(
    "std: axis",
    lambda x: (np.std(x, 0), np.std(x, (0, -1), ddof=1), np.std(x, 1, keepdims=True)),
    real,
    (2, 3, 2),
    **SOME,
)
add("std: where", lambda x: np.std(x, axis=1, where=[True, False, True]), real, (2, 3), **FEW)
add("average", np.average, real, (2, 3), (3,), (), **ALL)
add("average: axis", lambda x: (np.average(x, 0), np.average(x, axis=(0, 1), keepdims=True)), real, (2, 3), **SOME)
add("average: weights", lambda x, w: np.average(x, weights=w), (real, positive), ((3,), (3,)), ((2, 3), (2, 3)), **SOME)
add(
    "average: weights of an axis",
    lambda x, w: np.average(x, axis=1, weights=w),
    (real, positive),
    ((2, 3), (3,)),
    **SOME,
)
add("average: weights of axes", lambda x, w: np.average(x, axis=(1, 0), weights=w, keepdims=True), (real, positive), ((2, 3), (3, 2)),
    **FEW)  # fmt: skip
add("average: returned", lambda x, w: np.average(x, 0, w, returned=True), (real, positive), ((3, 2), (3,)), **FEW)
add("average: returned count", lambda x: np.average(x, axis=0, returned=True), real, (3, 2), **FEW)
add("median", np.median, real, (3,), (4,), (2, 3), (1,), **SOME)
add(
    "median: axis",
    lambda x: (np.median(x, 0), np.median(x, axis=(0, 2)), np.median(x, -1, keepdims=True)),
    real,
    (2, 3, 2),
    **SOME,
)
add("median: axes in other order", lambda x: np.median(x, axis=(1, 0), keepdims=True), real, (2, 3, 2), **FEW)
add("median: nan", lambda x: np.median(x, axis=0), with_nan, (2, 3), dtypes="", values="df")
add("cov", np.cov, real, (2, 4), (4,), (3, 2), dtypes="dfD", values="i", ulps=4)
add("cov: two", lambda x, y: np.cov(x, y), (real, real), ((4,), (4,)), ((2, 4), (4,)), **FEW, ulps=4)
add(
    "cov: columns",
    lambda x: (np.cov(x, rowvar=False), np.cov(x, bias=True), np.cov(x, ddof=0)),
    real,
    (4, 3),
    **FEW,
    ulps=4,
)
add(
    "cov: weights",
    lambda x, w: np.cov(x, aweights=w, fweights=[1, 2, 1, 3]),
    (real, positive),
    ((2, 4), (4,)),
    dtypes="d",
    ulps=16,
)
add("cov: one weight", lambda x: (np.cov(x, fweights=[1, 2, 1, 3]), np.cov(x, aweights=[1.0, 2.0, 1.0, 3.0], ddof=0)), real, (2, 4),
    dtypes="d", ulps=16)  # fmt: skip
add("cov: dtype", lambda x: np.cov(x, dtype=np.float64), real, (2, 4), dtypes="df", values="i", ulps=4)
add("corrcoef", np.corrcoef, real, (2, 4), (3, 5), dtypes="dfD", values="i", ulps=16)
add("corrcoef: two", lambda x, y: np.corrcoef(x, y, rowvar=False), (real, real), ((4, 2), (4, 1)), **FEW, ulps=16)
add("corrcoef: one", np.corrcoef, real, (4,), **FEW, ulps=16)

# ----------------------------------------------------------------------------------------------- without NaN

NANS = ((2, 3), (4,), (3, 2))
for _name in ("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd"):
    _fun = getattr(np, _name)
    # NumPy's own functions leave NaNs out in another order of operations.
    _ulps = 4 if _name in ("nanvar", "nanstd") else 0
    add(_name, _fun, with_nan, *NANS, dtypes="df", values="il", ulps=_ulps)
    add(
        f"{_name}: axis",
        lambda x, f=_fun: (f(x, -1), f(x, axis=1, keepdims=True), f(x, (0, 1))),
        with_nan,
        (2, 3),
        (3, 4),
        **SOME,
        ulps=_ulps,
    )
add("nansum: complex", lambda x: (np.nansum(x), np.nanprod(x), np.nanmean(x)), with_nan, (4,), dtypes="DF")
add("nanmean: where", lambda x: (np.nanmean(x, where=[True, True, False]), np.nanvar(x, where=[True, True, False])), with_nan, (2, 3),
    dtypes="d", ulps=4)  # fmt: skip
add("nanvar: ddof", lambda x: (np.nanvar(x, ddof=1), np.nanstd(x, 1, ddof=1)), with_nan, (2, 4), **FEW, ulps=4)
add(
    "nansum: options",
    lambda x: (np.nansum(x, initial=2), np.nanprod(x, where=[True, True, False])),
    with_nan,
    (2, 3),
    **FEW,
)
add(
    "nanmax: options",
    lambda x: (np.nanmax(x, initial=0), np.nanmin(x, initial=0, where=[True, True, False])),
    with_nan,
    (2, 3),
    **FEW,
)
add("nancumsum", lambda x: (np.nancumsum(x), np.nancumsum(x, axis=-1)), with_nan, *NANS, **FEW)
add("nancumprod", lambda x: (np.nancumprod(x), np.nancumprod(x, axis=0)), with_nan, *NANS, **FEW)
add("nanargmax", lambda x: (np.nanargmax(x), np.nanargmin(x), np.nanargmax(x, -1), np.nanargmin(x, axis=1, keepdims=True)), with_nan,
    (2, 3), dtypes="", values="dfi")  # fmt: skip

# ------------------------------------------------------------------------------------------------ sorting, searching

add("sort", np.sort, real, (4,), (2, 3), (0,), (1,), (2, 0), dtypes="df", values="e?il")
add("sort: complex", np.sort, real, (4,), dtypes="DF")
add(
    "sort: axis",
    lambda x: (np.sort(x, 0), np.sort(x, axis=None), np.sort(x, -2, kind="stable")),
    real,
    (3, 2),
    (2, 2, 2),
    **SOME,
)
add("partition", lambda x: np.sum(np.partition(x, 2)[..., :2]), real, (4,), (2, 4), **FEW, ulps=4)
add(
    "argsort",
    lambda x: (np.argsort(x), np.argsort(x, axis=None), x.argsort(0)),
    real,
    (3,),
    (2, 3),
    (0,),
    dtypes="",
    values="df",
)
add("argsort: stable", lambda x: (np.argsort(x, stable=True), np.argsort(x, kind="stable", axis=0)), real, (5,), (2, 3), dtypes="",
    values="dil")  # fmt: skip
add("lexsort", lambda x, y: np.lexsort((x, y)), (real, interval(0, 2)), ((5,), (5,)), dtypes="", values="dil")
add("argmax", lambda x: (np.argmax(x), np.argmin(x)), real, (4,), (2, 3), (), dtypes="", values="dfil?")
add("argmax: axis", lambda x: (np.argmax(x, 0), np.argmin(x, -1), np.argmax(x, 1, keepdims=True), np.argmin(x, keepdims=True)), real,
    (2, 3), dtypes="", values="dfi")  # fmt: skip
add("x.argmax()", lambda x: (x.argmax(), x.argmin(0), x.argmax(axis=1)), real, (2, 3), dtypes="", values="dfi")
add("searchsorted", lambda x, v: (np.searchsorted(x, v), np.searchsorted(x, v, side="right")), (sorted_values, interval(0.0, 4.0)),
    ((4,), (3,)), ((4,), ()), ((4,), (2, 2)), ((0,), (2,)), dtypes="", values="dfi")  # fmt: skip
add(
    "searchsorted: sorter",
    lambda x, v: np.searchsorted(x, v, sorter=np.argsort(x)),
    (real, real),
    ((4,), (3,)),
    dtypes="",
    values="df",
)
add("quantile", lambda x: np.quantile(x, 0.3), real, (5,), (2, 3), (1,), dtypes="df", values="i", ulps=4)
add(
    "quantile: several",
    lambda x: np.quantile(x, [0.1, 0.5, 1.0], axis=0),
    real,
    (4, 2),
    (3,),
    dtypes="df",
    values="i",
    ulps=4,
)
add("quantile: axes", lambda x: (np.quantile(x, 0.4, axis=(0, 2), keepdims=True), np.quantile(x, [0.2, 0.9], axis=(2, 0))), real,
    (2, 3, 2), dtypes="df", values="i", ulps=4)  # fmt: skip
add("quantile: q", lambda x, q: np.quantile(x, q, axis=0), (real, interval(0.1, 0.9)), ((4, 2), ()), ((4,), (2,)), ((4,), PY),
    dtypes="d", ulps=4)  # fmt: skip
for _method in ("lower", "higher", "midpoint", "nearest"):
    add(f"quantile: {_method}", lambda x, m=_method: np.quantile(x, [0.15, 0.4, 0.9], axis=-1, method=m), real, (4,), (2, 3), dtypes="df",
        values="i", ulps=4)  # fmt: skip
add("quantile: nan", lambda x: np.quantile(x, 0.3, axis=0), with_nan, (2, 3), dtypes="", values="df")
add("percentile", lambda x: (np.percentile(x, 30), np.percentile(x, [25, 75], axis=-1), np.percentile(x, 50, 0, keepdims=True)), real,
    (5,), (2, 4), dtypes="df", values="i", ulps=4)  # fmt: skip

# ----------------------------------------------------------------------------------------------------- cumulative

add("cumsum", np.cumsum, real, (4,), (2, 3), (), (0,), dtypes="dfDF", values="e?bil")
add("cumsum: axis", lambda x: (np.cumsum(x, 0), np.cumsum(x, axis=-1), x.cumsum(1)), real, (2, 3), (2, 0), **SOME)
add("cumsum: dtype", lambda x: np.cumsum(x, dtype=np.float64), real, (4,), dtypes="df", values="i")
add("add.accumulate", lambda x: (np.add.accumulate(x), np.add.accumulate(x, axis=1)), real, (2, 3), **SOME)
add("cumulative_sum", lambda x: (np.cumulative_sum(x, axis=0), np.cumulative_sum(x, axis=-1, include_initial=True)), real, (2, 3), (3,),
    **SOME)  # fmt: skip
add("cumprod", np.cumprod, nonzero, (4,), (2, 3), (), (0,), dtypes="dfDF", values="e?bil")
add("cumprod: zeros", lambda x: np.cumprod(x, -1), with_zeros, (4,), (2, 3))
add("cumprod: axis", lambda x: (np.cumprod(x, 0), x.cumprod(-1)), nonzero, (3, 2), (0, 2), **SOME)
add("cumprod: long rows", lambda x: np.cumprod(x, 0), nonzero, (3, 10), dtypes="d")
add("multiply.accumulate", lambda x: np.multiply.accumulate(x, axis=1), nonzero, (2, 3), **FEW)
add("cumulative_prod", lambda x: (np.cumulative_prod(x, axis=0), np.cumulative_prod(x, axis=-1, include_initial=True)), nonzero, (2, 3),
    (3,), **SOME)  # fmt: skip
add(
    "maximum.accumulate",
    lambda x: (np.maximum.accumulate(x), np.maximum.accumulate(x, axis=-1)),
    real,
    (5,),
    (2, 4),
    **SOME,
)
add(
    "minimum.accumulate",
    lambda x: (np.minimum.accumulate(x), np.minimum.accumulate(x, axis=-1)),
    real,
    (5,),
    (2, 4),
    **SOME,
)

# ------------------------------------------------------------------------------------------------- compositions

add(
    "softmax",
    lambda x: (lambda e: e / np.sum(e, axis=-1, keepdims=True))(np.exp(x - np.max(x, axis=-1, keepdims=True))),
    real,
    (3,),
    (2, 3),
)
add(
    "logsumexp",
    lambda x: np.log(np.sum(np.exp(x), axis=0)) + np.logaddexp.reduce(np.zeros(2)),
    real,
    (3,),
    (2, 3),
    dtypes="d",
)
add(
    "layer norm",
    lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-2),
    real,
    (3,),
    (2, 3),
)
add("sum of squares", lambda x: np.sum(np.abs(x) ** 2), nonzero, (3,), (), PY, dtypes=HOLOMORPHIC)
add("mean of bools", lambda x: np.mean(x > 0) * np.sum(x), nonzero, (4,), dtypes=REALS)
