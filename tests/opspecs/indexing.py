"""Rows for indexing in every form, functional updates, and functions that pick elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import at
from funcgrad.core import Tracer
from funcgrad.numpy import put_along_axis

from .base import HOLOMORPHIC, add
from .domains import indices, nonzero, positive, real, rows

FEW: dict[str, Any] = {"dtypes": "d", "values": "fi"}
ELLIPSIS, ALL = Ellipsis, slice(None)

MATRIX: dict[str, Any] = {
    "0": 0,
    "-1": -1,
    "1, 2": (1, 2),
    "numpy integer": np.int64(1),
    "numpy integers": (np.uint8(2), np.int16(-1)),
    ":": ALL,
    "1:": slice(1, None),
    "::-1": slice(None, None, -1),
    "::2": slice(None, None, 2),
    "3:0:-2": slice(3, 0, -2),
    "2:0:-1, ::-3": (slice(2, 0, -1), slice(None, None, -3)),
    "5:2 (nothing)": slice(5, 2),
    "-2:": slice(-2, None),
    "numpy slice": slice(np.int64(0), np.int64(2)),
    "...": ELLIPSIS,
    "(): nothing": (),
    "..., 0": (ELLIPSIS, 0),
    "0, ...": (0, ELLIPSIS),
    "0, ..., 1": (0, ELLIPSIS, 1),
    "None": None,
    "None, ..., None, 1": (None, ELLIPSIS, None, 1),
    ":, None, 0": (ALL, None, 0),
    "list": [0, 2],
    "list, repeated": [0, 0, 2, 0],
    "list, negative": [-1, 0],
    "empty list": [],
    "empty array": np.zeros((0, 2), int),
    "two lists": ([0, 1], [1, 3]),
    "lists that broadcast": ([[0], [2]], [1, 3]),
    "list and array": ([0, 2, 0], np.array([1, 3, 1], np.uint8)),
    ":, list": (ALL, [0, 2]),
    "list, 1:3": ([0, 2], slice(1, 3)),
    "1::-1, list": (slice(1, None, -1), [0, 2]),
    "0, list": (0, [1, 2]),
    "list, 0": ([1, 2], 0),
    "list, None, list": ([0, 2], None, [1, 3]),
    "None, list": (None, [0, 2]),
    "list, None": ([0, 2], None),
    "0, None, list": (0, None, [1, 2]),
    "array of two dimensions": np.array([[0, 1], [2, 0]]),
    ":, array of two dimensions": (ALL, np.array([[0, 1], [2, 0]])),
    "0-d array": np.array(1),
    "0-d array, :": (np.array(1), ALL),
    ":, 0-d array": (ALL, np.array(-1)),
    "0-d array, list": (np.array(1), [0, 2]),
    "nested list": [[0, 1], [1, 2]],
    "range": range(2),
    "mask of rows": np.array([True, False, True]),
    "mask of elements": np.arange(12).reshape(3, 4) % 3 == 0,
    ":, mask": (ALL, np.array([True, False, True, True])),
    "mask, 1": (np.array([True, False, True]), 1),
    "mask, list": (np.array([True, False, True]), [0, 1]),
    "mask, mask": (np.array([True, False, True]), np.array([False, True, False, True])),
    "list of booleans": [True, False, True],
    "empty mask": np.zeros((3, 4), bool),
    "True": True,
    "False": False,
    "True, 0": (True, 0),
    "numpy True": np.True_,
    "0-d mask": np.array(True),
}
"""Indices of an array of shape (3, 4)."""

CUBE: dict[str, Any] = {
    "0, :, list": (0, ALL, [0, 1]),
    "list, :, list": ([0, 1], ALL, [0, 1]),
    ":, list, list": (ALL, [0, 1], [0, 1]),
    ":, list, 1": (ALL, [0, 1], 1),
    ":, 1, list": (ALL, 1, [0, 1]),
    "list, 1, :": ([0, 1], 1, ALL),
    "list, ::2, 0": ([0, 1], slice(None, None, 2), 0),
    "list, ..., list": ([[0], [1]], ELLIPSIS, [0, 1]),
    "..., list, :": (ELLIPSIS, [0, 2], ALL),
    "mask, :, 0": (np.array([True, False, True]), ALL, 0),
    ":, mask of two dimensions": (ALL, np.arange(8).reshape(4, 2) % 3 == 0),
    "mask of two dimensions, 0": (np.arange(12).reshape(3, 4) % 2 == 0, 0),
    "mask of two dimensions": np.arange(12).reshape(3, 4) % 5 == 0,
    "..., mask": (ELLIPSIS, np.array([False, True])),
    "None, list, None, :": (None, [0, 1], None, ALL),
    "1, None, ::-1, -1": (1, None, slice(None, None, -1), -1),
    "all arrays": ([0, 1], [1, 1], [0, 1]),
    "0:2, list, ::-1": (slice(0, 2), [3, 0, 3], slice(None, None, -1)),
}
"""Indices of an array of shape (3, 4, 2)."""

EMPTY: dict[str, Any] = {"1:": slice(1, None), "empty list": [], "mask": np.zeros((0, 3), bool), ":, 1": (ALL, 1)}
"""Indices of an array of shape (0, 3)."""


def _has_duplicates(shape: tuple[int, ...], index: Any) -> bool:
    picked = np.arange(np.prod(shape)).reshape(shape)[index]
    return len(set(picked.ravel().tolist())) < picked.size


def _write(x: Any, index: Any, values: Any, accumulate: bool) -> Any:
    """What NumPy makes of `x[index] = values` or `numpy.add.at(x, index, values)`."""
    out = np.array(x)
    if accumulate:
        np.add.at(out, index, values)
    else:
        out[index] = values
    return out


def _update(index: Any, accumulate: bool) -> Callable[..., Any]:
    """`at(x)[index].set(values)` or `.add(values)` of traced values; of arrays, what NumPy itself does."""

    def update(x: Any, values: Any) -> Any:
        if not isinstance(x, Tracer) and not isinstance(values, Tracer):
            return _write(x, index, values, accumulate)
        return at(x)[index].add(values) if accumulate else at(x)[index].set(values)

    return update


def _add_indices(name: str, shape: tuple[int, ...], table: dict[str, Any]) -> None:
    for text, index in table.items():
        add(f"{name}[{text}]", lambda x, i=index: x[i], real, shape, **FEW)
        picked = np.zeros(shape)[index].shape
        # All the values, one for everything, and what broadcasts.
        shapes = [(shape, picked), (shape, ()), (shape, (1, *picked[1:]) if picked else ())]
        add(f"{name}.at[{text}].set", _update(index, False), (real, real), *shapes[: 1 if _has_duplicates(shape, index) else 3],
            dtypes="d", values="i")  # fmt: skip
        add(
            f"{name}.at[{text}].add",
            _update(index, True),
            (real, real),
            *shapes[:2],
            dtypes="d",
            values="i",
            ulps=4 if _has_duplicates(shape, index) else 0,
        )  # sums of several are in another order


_add_indices("matrix", (3, 4), MATRIX)
_add_indices("cube", (3, 4, 2), CUBE)
_add_indices("empty", (0, 3), EMPTY)

for _code in "fFD":
    add(f"matrix[list]: {_code}", lambda x: x[[0, 2], 1:], real, (3, 4), dtypes=_code, values="?be")
add("vector[-1]", lambda x: (x[-1], x[::-1], x[x.shape[0] // 2]), real, (3,), dtypes="dfD")
add("scalar[()]", lambda x: (x[()], x[...], x[None]), real, (), **FEW)
add("scalar[True]", lambda x: (x[True], x[False], x[None, True]), real, (), **FEW)

# ---------------------------------------------------------------------------------------------- traced indices

add(
    "x[i]",
    lambda x, i: x[i],
    (real, indices(3)),
    ((3, 4), ()),
    ((3, 4), (2,)),
    ((3,), (2, 2)),
    dtypes="dfD",
    values="i",
)
add("x[:, i]", lambda x, i: x[:, i], (real, indices(4)), ((3, 4), ()), ((3, 4), (2,)), **FEW)
add(
    "x[i, j]",
    lambda x, i, j: x[i, j],
    (real, indices(3), indices(4)),
    ((3, 4), (2,), (2,)),
    ((3, 4), (2, 1), (3,)),
    **FEW,
)
add("x[i, :, j]", lambda x, i, j: x[i, :, j], (real, indices(3), indices(2)), ((3, 4, 2), (2,), ()), **FEW)
add("x[i, 1:]", lambda x, i: x[i, 1:] * x[i, None, :3], (real, indices(3)), ((3, 4), (2,)), ((3, 4), ()), **FEW)
add("x[mask]", lambda x: x[x > 0] ** 2, nonzero, (6,), (2, 3), concrete="the shape depends on the values of the mask",
    **FEW)  # fmt: skip
add(
    "x[:, mask]",
    lambda x: x[:, x[0] > 0],
    nonzero,
    (2, 4),
    concrete="the shape depends on the values of the mask",
    **FEW,
)
add("x.at[i].set", lambda x, i: at(x)[i].set(2.0) if isinstance(x, Tracer) else _write(x, i, 2.0, False),
    (real, indices(3)), ((3, 4), ()), ((3,), (2,)), **FEW)  # fmt: skip
add("x.at[i, 1:].add", lambda x, i: at(x)[i, 1:].add(2.0) if isinstance(x, Tracer) else _write(x, (i, slice(1, None)), 2.0, True),
    (real, indices(3)), ((3, 4), ()), ((3, 4), (2,)), **FEW)  # fmt: skip
add("x.at[mask].set", lambda x: at(x)[x > 0].set(-1.0) if isinstance(x, Tracer) else np.where(x > 0, -1, x), nonzero, (6,),
    concrete="the shape depends on the values of the mask", **FEW)  # fmt: skip

# -------------------------------------------------------------------------------------------- other updates

add("at: duplicates", _update(np.array([0, 2, 0, 0, 2]), False), (real, real), ((3,), (5,)), ((3, 2), (5, 2)), **FEW)
add("at: negative duplicates", _update(([0, -3], [1, -3]), False), (real, real), ((3, 4), (2,)), **FEW)
add("at: add to one element", _update(([0, 0], [1, 1]), True), (real, real), ((3, 4), (2,)), **FEW)
add(
    "at: additional axes",
    _update((slice(None), [0, 2]), False),
    (real, real),
    ((2, 3), (1, 1, 2, 2)),
    ((2, 3), (1, 1, 1)),
    **FEW,
)
add(
    "at: constant array",
    lambda v: at(np.zeros(3))[1:].set(v) if isinstance(v, Tracer) else np.array([0.0, *v]),
    real,
    (2,),
)
add("at: constant array, add", lambda v: at(np.ones(3))[[0, 0]].add(v) if isinstance(v, Tracer) else np.array([1 + v.sum(), 1.0, 1.0]),
    real, (2,), dtypes="d", ulps=2)  # fmt: skip
add("at: other dtype", lambda x, v: x.at[0].set(v) if isinstance(x, Tracer) else _write(x, 0, v, False), (real, real),
    ((3,), ()), dtypes="f", eps=1e-2)  # fmt: skip


def _arithmetic(x: Any, v: Any) -> Any:
    """All the other updates of the first two rows."""
    if isinstance(x, Tracer):
        part = x.at[:2]
        results = [part.subtract(v), part.multiply(v), part.divide(v), part.power(v), part.min(v), part.max(v)]
        return [*results, part.apply(np.sin), part.get()]
    y, rest = x[:2], x[2:]
    parts = [y - v, y * v, y / v, y**v, np.minimum(y, v), np.maximum(y, v), np.sin(y)]
    return [*(np.concatenate([p, rest]) for p in parts), y]


add("at: arithmetic", _arithmetic, (positive, positive), ((3, 2), ()), ((3,), (2,)))

# ------------------------------------------------------------------------------------------- picking elements

add(
    "take",
    lambda x, i: np.take(x, i),
    (real, rows(6)),
    ((2, 3), (4,)),
    ((6,), ()),
    ((6,), (2, 2)),
    dtypes="dfD",
    values="i",
)
add("take: axis", lambda x, i: (np.take(x, i, axis=1), np.take(x, i, -2), x.take(i, 0)), (real, rows(2)), ((2, 3), (4,)),
    ((2, 3), (2, 2)), ((2, 3), ()), **FEW)  # fmt: skip
add(
    "take: constants",
    lambda x: (np.take(x, 1), np.take(x, [0, -1], axis=0), np.take(x, np.int64(1), axis=1)),
    real,
    (2, 3),
    **FEW,
)
add("take: wrap", lambda x: (np.take(x, [5, -7], mode="wrap"), np.take(x, 4, axis=0, mode="wrap")), real, (2, 3), **FEW)
add("take: clip", lambda x: (np.take(x, [9, -7], mode="clip"), np.take(x, 4, axis=0, mode="clip")), real, (2, 3), **FEW)
add("take: nothing", lambda x: np.take(x, np.zeros(0, int), axis=0), real, (2, 3), (0, 3), **FEW)
add(
    "take_along_axis",
    lambda x, i: np.take_along_axis(x, i, 1),
    (real, rows(3)),
    ((2, 3), (2, 4)),
    ((2, 3), (1, 2)),
    **FEW,
)
add(
    "take_along_axis: broadcast",
    lambda x, i: np.take_along_axis(x, i, axis=0),
    (real, rows(2)),
    ((2, 1), (3, 4)),
    **FEW,
)
add("take_along_axis: flat", lambda x, i: np.take_along_axis(x, i, axis=None), (real, rows(6)), ((2, 3), (4,)), **FEW)


def _put_along_axis(x: Any, v: Any) -> Any:
    i = np.array([[0, 2], [1, 0]])
    if isinstance(x, Tracer):
        return put_along_axis(x, i, v, 1, inplace=False)
    out = np.array(x)
    np.put_along_axis(out, i, v, 1)
    return out


add("put_along_axis", _put_along_axis, (real, real), ((2, 3), (2, 2)), ((2, 3), ()), **FEW)
add("nonzero", lambda x: (np.nonzero(x > 0), (x > 0).nonzero()), nonzero, (2, 3), (4,), dtypes="", values="dfi",
    concrete="the shape depends on values")  # fmt: skip
add("flatnonzero", lambda x: (np.flatnonzero(x), np.argwhere(x)), real, (2, 3), (4,), dtypes="", values="dfi?",
    concrete="the shape depends on values")  # fmt: skip
add("compress", lambda x: (np.compress([True, False], x), np.compress([True, False], x, axis=0)), real, (2, 3), **FEW)
add(
    "compress: method",
    lambda x: (x.compress([False, True, True], axis=1), x.compress([1, 0, 1, 1])),
    real,
    (2, 3),
    **FEW,
)
add("extract", lambda x: np.extract(np.array([[True, False, True], [False, True, True]]), x), real, (2, 3), **FEW)
add("extract: traced", lambda x: np.extract(x > 0, x), nonzero, (2, 3), concrete="the shape depends on values", **FEW)
add("choose", lambda i, x, y: np.choose(i, [x, y, 3.0]), (rows(3), real, real), ((2, 3), (2, 3), (3,)), ((), (2,), ()))
add("x.choose", lambda i: i.choose([[1, 2, 3], 4]), rows(2), (3,), (2, 3), dtypes="", values="i")
add("choose: wrap", lambda x, y: np.choose([3, -1, 1], [x, y], mode="wrap"), (real, real), ((3,), (3,)), ((), (3,)))
add("choose: clip", lambda x, y: np.choose([3, -1, 1], (x, y), mode="clip"), (real, real), ((3,), (3,)))
add("ix_", lambda x: x[np.ix_([0, 2], [1, 3])], real, (3, 4), **FEW)
add("ix_: traced", lambda x, i, j: x[np.ix_(i, j)], (real, indices(3), indices(4)), ((3, 4), (2,), (3,)), **FEW)
add("ix_: values", lambda x, y: np.ix_(x, y), (real, real), ((2,), (3,)), dtypes="", values="di")
add(
    "ix_: mask",
    lambda x: np.ix_(x > 0, [0, 1]),
    nonzero,
    (3,),
    dtypes="",
    values="d",
    concrete="the shape depends on values",
)
add("diag_indices_from", lambda x: x[np.diag_indices_from(x)], real, (3, 3), (2, 2, 2), **FEW)
add("x.searchsorted", lambda x, v: x.searchsorted(v), (lambda g, s, d: np.arange(4).astype(d), real), ((4,), (3,)), dtypes="",
    values="dfi")  # fmt: skip

# ---------------------------------------------------------------------------------------- diagonals, triangles

add("diagonal", np.diagonal, real, (3, 3), (2, 3), (2, 3, 4), (0, 3), dtypes="dfD", values="i")
add(
    "diagonal: offset",
    lambda x: (np.diagonal(x, 1), np.diagonal(x, -1), np.diagonal(x, 5), x.diagonal(-2)),
    real,
    (3, 4),
    **FEW,
)
add(
    "diagonal: axes", lambda x: (np.diagonal(x, 0, 2, 0), np.diagonal(x, 1, axis1=-1, axis2=-2)), real, (2, 3, 3), **FEW
)
add("trace", np.trace, real, (3, 3), (2, 3), (3, 3, 2), (0, 3), dtypes="dfD", values="ib")
add(
    "trace: options",
    lambda x: (np.trace(x, 1), np.trace(x, -1, 1, 0), x.trace(dtype=np.complex128)),
    real,
    (2, 3, 3),
    **FEW,
)
add("diag", np.diag, real, (3,), (3, 3), (2, 3), (0,), dtypes="dfD", values="?i")
add("diag: k", lambda x: (np.diag(x, 1), np.diag(x, k=-2)), real, (3,), (3, 4), **FEW)
add(
    "tril",
    lambda x: (np.tril(x), np.tril(x, 1), np.tril(x, -1)),
    real,
    (3, 3),
    (2, 3, 2),
    (0, 2),
    dtypes="dfD",
    values="?i",
)
add(
    "triu",
    lambda x: (np.triu(x), np.triu(x, 1), np.triu(x, -1)),
    real,
    (3, 3),
    (2, 3, 2),
    (0, 2),
    dtypes="dfD",
    values="?i",
)
add("tril of a vector", lambda x: (np.tril(x), np.triu(x, 1)), real, (3,), **FEW)
add("vander", lambda x: (np.vander(x), np.vander(x, 2), np.vander(x, 4, increasing=True)), nonzero, (3,), dtypes=HOLOMORPHIC,
    values="i", ulps=8)  # fmt: skip

# ------------------------------------------------------------------------------------------------- differences

add("diff", np.diff, real, (4,), (2, 3), (1,), (0,), dtypes="dfD", values="?iB")
add("diff: options", lambda x: (np.diff(x, 2), np.diff(x, axis=0), np.diff(x, 0), np.diff(x, 5)), real, (2, 4), **FEW)
add("diff: ends", lambda x, y: np.diff(x, prepend=y, append=1.0), (real, real), ((2, 3), ()), ((2, 3), (2, 2)), **FEW)
add("ediff1d", np.ediff1d, real, (4,), (2, 3), (1,), **FEW)
add("ediff1d: ends", lambda x, y: np.ediff1d(x, to_begin=y, to_end=[1.0, 2.0]), (real, real), ((4,), ()), ((4,), (2,)))
