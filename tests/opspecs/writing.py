"""Rows for writes in place: operators, indices, `out=`, and the functions and methods that write into their arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .base import add
from .domains import indices, positive, real, rows

FEW: dict[str, Any] = {"dtypes": "df", "values": "i"}
FLOATS: dict[str, Any] = {"dtypes": "df"}


def written(write: Callable[..., Any]) -> Callable[..., Any]:
    """The array that a write into a copy of the first argument leaves behind, read through a view too."""

    def fun(x: Any, *others: Any) -> tuple[Any, Any]:
        h = x.copy()
        view = h[::-1]
        write(h, *others)
        return h, view * 2

    return fun


def _operator(name: str) -> Callable[..., Any]:
    def write(h: Any, y: Any) -> None:
        same = getattr(h, f"__{name}__")(y)
        assert same is h

    return written(write)


for _name in ("iadd", "isub", "imul"):
    add(f"x.__{_name}__(y)", _operator(_name), (real, real), ((3, 2), (3, 2)), ((3, 2), (2,)), ((4,), ()), **FEW)
for _name in ("itruediv", "ifloordiv", "imod", "ipow"):
    add(f"x.__{_name}__(y)", _operator(_name), (positive, positive), ((3, 2), (3, 2)), ((4,), ()), **FLOATS)
for _name in ("iand", "ior", "ixor"):
    add(f"x.__{_name}__(y)", _operator(_name), (indices(4), indices(4)), ((3, 2), (2,)), dtypes="", values="il")
for _name in ("ilshift", "irshift"):
    add(f"x.__{_name}__(y)", _operator(_name), (indices(4), rows(4)), ((3, 2), (2,)), dtypes="", values="il")
add("x @= y", _operator("imatmul"), (real, real), ((2, 3), (3, 3)), ((3,), (3, 3)), **FLOATS)


def _row(name: str, write: Callable[..., Any], *shapes: Any, domains: Any = None, **more: Any) -> None:
    shapes = shapes or (((4, 3),),)
    shapes = tuple(s if isinstance(s[0], tuple) else (s,) for s in shapes)
    add(name, written(write), domains or (real,) * len(shapes[0]), *shapes, **(more or FEW))


def _aug_item(h: Any, v: Any) -> None:
    h[1:] += v
    h[0, ::2] *= 2


def _places(v: Any) -> Any:
    """Indices of which some occur twice, and which have no values where `v` has none."""
    return np.argsort(v, axis=0, kind="stable") % 2


def _all_of_it(h: Any) -> None:
    h[...] = h[::-1]


def _rows_of(h: Any) -> None:
    for row in h:
        row *= row[0]


_row("x[1] = v", lambda h, v: h.__setitem__(1, v), ((4, 3), (3,)), ((4, 3), ()))
_row("x[::-1, 1:] = v", lambda h, v: h.__setitem__((slice(None, None, -1), slice(1, None)), v), ((4, 3), (4, 2)))
_row("x[[0, 2, 0]] = v", lambda h, v: h.__setitem__([0, 2, 0], v), ((4, 3), (3, 3)))
_row("x[:, [1, 2]] = v", lambda h, v: h.__setitem__((slice(None), [1, 2]), v), ((4, 3), (4, 2)))
_row("x[x > 0] = v", lambda h, v: h.__setitem__(h > 0, v), ((4, 3), ()))
_row("x[..., None] = v", lambda h, v: h.__setitem__((..., None), v), ((4, 3), (3, 1)))
_row("x[1:] += v", _aug_item, ((4, 3), (3,)))
_row("x[...] = x[::-1]", _all_of_it)
_row("for row in x: row *= row[0]", _rows_of)
_row("x.fill", lambda h, v: h.fill(v), ((4, 3), ()))
_row("x.sort()", lambda h: h.sort(), ((4, 3),))
_row("x.sort(axis)", lambda h: h.sort(axis=0))
_row("x.partition", lambda h: h.partition(1))
_row("x.put", lambda h, v: h.put([1, -2, 5], v), ((4, 3), (2,)))
_row("x.flat = v", lambda h, v: setattr(h, "flat", v), ((4, 3), (2,)))
_row("x.flat[i] = v", lambda h, v: h.flat.__setitem__(slice(1, None, 3), v), ((4, 3), (2,)))
_row("x.real = v", lambda h, v: setattr(h, "real", v.real), ((4, 3), (3,)), dtypes="dD")
_row("x.imag = v", lambda h, v: setattr(h, "imag", v.real), ((4, 3), (3,)), dtypes="D")
_row("x.real[0] *= 2", lambda h: h.real[0].__imul__(2), dtypes="dD")
_row("x.T[0] = v", lambda h, v: h.T.__setitem__(0, v), ((4, 3), (4,)))
_row("copyto", lambda h, v: np.copyto(h, v), ((4, 3), (3,)))
_row("copyto: where", lambda h, v: np.copyto(h, v, where=h > 0), ((4, 3), (3,)))
_row("put", lambda h, v: np.put(h, [1, 0, 7], v), ((4, 3), (2,)))
_row("put: modes", lambda h, v: (np.put(h, [13, -14], v, "wrap"), np.put(h, [99], v, mode="clip")), ((4, 3), (2,)))
_row("place", lambda h, v: np.place(h, h > 0, v), ((4, 3), (2,)))
_row("putmask", lambda h, v: np.putmask(h, h > 0, v), ((4, 3), (2,)), ((4, 3), (4, 3)))
_row("put_along_axis: written", lambda h, v: np.put_along_axis(h, np.array([[1, 0, 3]]), v, 0), ((4, 3), (1, 3)))
_row("fill_diagonal", lambda h, v: np.fill_diagonal(h, v), ((4, 3), ()), ((3, 3), (2,)))
_row("fill_diagonal: wrap", lambda h, v: np.fill_diagonal(h, v, wrap=True), ((5, 2), ()))
_row("add.at", lambda h, v: np.add.at(h, [0, 2, 0], v), ((4, 3), (3, 3)))
_row("subtract.at", lambda h, v: np.subtract.at(h, ([0, 0], [1, 1]), v), ((4, 3), ()))
_row("multiply.at", lambda h, v: np.multiply.at(h, [0, 2, 0], v), ((4, 3), (3,)))
_row("maximum.at", lambda h, v: np.maximum.at(h, [0, 2, 0], v), ((4, 3), (3,)))
_row("multiply.at: places", lambda h, v: np.multiply.at(h, _places(v), v), ((4, 3), (3,)), ((2,), (0,)))
_row(
    "add.at: of another kind", lambda h, v: np.add.at(h, _places(v), v * 1.5), ((4, 3), (3,)), dtypes="d", values="?bi"
)
_row("maximum.at: places", lambda h, v: np.maximum.at(h, (_places(v), 1), v), ((4, 3), (3,)))
_row("negative.at", lambda h: np.negative.at(h, [0, 0, 1]))
_row("nan_to_num: copy=False", lambda h: np.nan_to_num(h, copy=False))
_row("add(out=)", lambda h, v: np.add(h, v, out=h), ((4, 3), (3,)))
_row("add(out=, where=)", lambda h, v: np.add(h, v, out=h, where=h > 0), ((4, 3), (3,)))
_row("sin(out=view)", lambda h: np.sin(h, out=h[::-1]), **FLOATS)
_row("modf(out=)", lambda h: np.modf(h[0], out=(h[1], h[2])), **FLOATS)
_row("sum(out=)", lambda h: np.sum(h, axis=0, out=h[1]))
_row("x.sum(out=)", lambda h: h.sum(0, None, h[2]))
_row("cumsum(out=)", lambda h: np.cumsum(h, axis=1, out=h))
_row("add.reduce(out=)", lambda h: np.add.reduce(h, axis=0, out=h[0]))
_row("mean(out=)", lambda h: np.mean(h, axis=0, out=h[0]), **FLOATS)
_row("matmul(out=)", lambda h, v: np.matmul(h, v, out=h), ((4, 3), (3, 3)), **FLOATS)
_row("dot(out=)", lambda h, v: np.dot(h, v, out=h), ((4, 3), (3, 3)), **FLOATS)
_row("clip(out=)", lambda h: np.clip(h, -1, 1, out=h))
_row("take(out=)", lambda h: np.take(h, [2, 1], axis=0, out=h[:2]))
_row("concatenate(out=)", lambda h: np.concatenate([-h[2:], -h[:2]], out=h))
_row("stack(out=)", lambda h: np.stack([h[1], h[0]], out=h[2:]))
