"""Rows for functions that rearrange, join, split, repeat, pad or create arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import HOLOMORPHIC, NP, PY, add
from .domains import bools, positive, real

ALL: dict[str, Any] = {"dtypes": "dfD", "values": "?il"}
FEW: dict[str, Any] = {"dtypes": "d", "values": "fi"}

# ------------------------------------------------------------------------------------------- shape and order of axes

add("shape, ndim, size", lambda x: (np.shape(x), np.ndim(x), np.size(x), np.size(x, 0)), real, (2, 3), (0,), **FEW)
add("size: axes", lambda x: x.sum() * (np.size(x, -1) if np.__version__ < "2.4" else np.size(x, (0, -1))), real, (2, 3))
add("copy", np.copy, real, (2, 3), (), (0,), NP, **ALL)
add("reshape", lambda x: np.reshape(x, (3, 2)), real, (2, 3), (6,), **ALL)
add("reshape: -1", lambda x: np.reshape(x, (-1, 2)), real, (2, 3), (0, 2), (2, 1, 2), **FEW)
add("reshape: integer", lambda x: np.reshape(x, -1), real, (2, 3), (), (2, 0, 3), **FEW)
add("reshape: F", lambda x: np.reshape(x, (3, -1), order="F"), real, (2, 3), (6,), **FEW)
add("reshape: to ()", lambda x: np.reshape(x, ()), real, (1, 1), (1,), **FEW)
add("x.reshape(a, b)", lambda x: x.reshape(3, 2), real, (2, 3), **FEW)
add("x.reshape((a, b))", lambda x: x.reshape((3, -1), order="F"), real, (2, 3), **FEW)
add("ravel", np.ravel, real, (2, 3), (), (0, 2), **ALL)
add("ravel: F", lambda x: np.ravel(x, order="F"), real, (2, 3), **FEW)
add("x.ravel()", lambda x: (x.ravel(), x.ravel("F"), x.flatten(), x.flatten("F")), real, (2, 3), **FEW)
add("x.flat", lambda x: np.stack([*x.flat, x.flat[1]]), real, (2, 3), **FEW)
add("transpose", np.transpose, real, (2, 3), (2, 1, 3), (), (3,), (2, 0), **ALL)
add("transpose: axes", lambda x: np.transpose(x, (2, 0, 1)), real, (2, 1, 3), **FEW)
add("transpose: negative", lambda x: np.transpose(x, (-1, 0, -2)), real, (2, 1, 3), **FEW)
add("permute_dims", lambda x: np.permute_dims(x, (1, 0)), real, (2, 3), **FEW)
add("x.transpose()", lambda x: (x.transpose(), x.transpose(1, 0), x.transpose((1, 0)), x.transpose(None), x.T), real,
    (2, 3), **FEW)  # fmt: skip
add("x.mT", lambda x: x.mT, real, (2, 3), (2, 3, 1), **FEW)
add("matrix_transpose", np.matrix_transpose, real, (2, 3), (2, 1, 3), **FEW)
add("swapaxes", lambda x: (np.swapaxes(x, 0, -1), x.swapaxes(1, 0)), real, (2, 3), (2, 1, 3), **FEW)
add("moveaxis", lambda x: np.moveaxis(x, 0, -1), real, (2, 3, 1), (2, 3), **FEW)
add("moveaxis: several", lambda x: np.moveaxis(x, (0, -1), (-1, 1)), real, (2, 3, 4), **FEW)
add("rollaxis", lambda x: np.rollaxis(x, 2), real, (2, 3, 4), **FEW)
add(
    "rollaxis: start",
    lambda x: (np.rollaxis(x, 0, 3), np.rollaxis(x, -1, 1), np.rollaxis(x, 1, -1)),
    real,
    (2, 3, 4),
    **FEW,
)
add("expand_dims", lambda x: np.expand_dims(x, 0), real, (3,), (), (0,), **ALL)
add("expand_dims: several", lambda x: np.expand_dims(x, (0, -2)), real, (2, 3), **FEW)
add("squeeze", np.squeeze, real, (1, 3, 1), (3,), (1, 1), **ALL)
add("squeeze: axis", lambda x: (np.squeeze(x, 0), np.squeeze(x, (0, -1)), x.squeeze(-1)), real, (1, 3, 1), **FEW)
add("broadcast_to", lambda x: np.broadcast_to(x, (2, 3)), real, (3,), (2, 1), (), (1, 1), (2, 3), **ALL)
add("broadcast_to: empty", lambda x: np.broadcast_to(x, (0, 3)), real, (3,), (1, 3), **FEW)
add("broadcast_to: integer", lambda x: np.broadcast_to(x, 3), real, (), (1,), **FEW)
add("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y, 2.0), (real, real), ((2, 1), (3,)), ((), (2,)), **FEW)
add("atleast_1d", np.atleast_1d, real, (), (2,), (2, 3), **FEW)
add("atleast_2d", np.atleast_2d, real, (), (2,), (2, 3), (1, 2, 1), **FEW)
add("atleast_3d", np.atleast_3d, real, (), (2,), (2, 3), (1, 2, 1), **FEW)
add("atleast_1d: several", lambda x, y: np.atleast_1d(x, y), (real, real), ((), (2,)), **FEW)
add("atleast_2d: several", lambda x, y: np.atleast_2d(x, y), (real, real), ((), (2,)), **FEW)
add("atleast_3d: several", lambda x, y: np.atleast_3d(x, y), (real, real), ((), (2,)), **FEW)

# -------------------------------------------------------------------------------------------------- joining

add(
    "concatenate",
    lambda x, y: np.concatenate([x, y]),
    (real, real),
    ((2,), (3,)),
    ((2, 3), (1, 3)),
    ((0,), (2,)),
    **ALL,
)
add("concatenate: axis", lambda x, y: np.concatenate((x, y, x), axis=-1), (real, real), ((2, 3), (2, 1)), **FEW)
add(
    "concatenate: flattened",
    lambda x, y: np.concatenate([x, y], axis=None),
    (real, real),
    ((2, 3), (2,)),
    ((), (2,)),
    **FEW,
)
add("concatenate: constant", lambda x: np.concatenate([np.arange(2), x, [1.5]]), real, (2,), (0,), **FEW)
add("concatenate: dtype", lambda x: np.concatenate([x, x], dtype=np.complex128), real, (2,), dtypes="dfD")
add("concat", lambda x, y: np.concat([x, y], 1), (real, real), ((2, 1), (2, 2)), **FEW)
add("stack", lambda x, y: np.stack([x, y]), (real, real), ((2,), (2,)), ((), ()), ((0,), (0,)), **ALL)
add("stack: axis", lambda x, y: (np.stack([x, y], axis=-1), np.stack((y, x), 1)), (real, real), ((2, 3), (2, 3)), **FEW)
add("stack: dtype", lambda x: np.stack([x, x], dtype=np.complex64, casting="unsafe"), real, (2,), eps=1e-2)
add("unstack", lambda x: np.unstack(x), real, (2, 3), (3,), **FEW)
add("unstack: axis", lambda x: np.unstack(x, axis=-1), real, (2, 3), **FEW)
add("vstack", lambda x, y: np.vstack([x, y]), (real, real), ((2,), (2,)), ((2, 3), (3,)), ((), ()), **FEW)
add("hstack", lambda x, y: np.hstack([x, y]), (real, real), ((2,), (3,)), ((2, 3), (2, 1)), ((), ()), **FEW)
add("dstack", lambda x, y: np.dstack([x, y]), (real, real), ((2,), (2,)), ((2, 3), (2, 3)), ((), ()), **FEW)
add("column_stack", lambda x, y: np.column_stack([x, y]), (real, real), ((2,), (2,)), ((2, 3), (2,)), **FEW)
add("append", lambda x, y: np.append(x, y), (real, real), ((2, 3), (2,)), ((2,), ()), **FEW)
add("append: axis", lambda x, y: np.append(x, y, axis=1), (real, real), ((2, 3), (2, 1)), **FEW)
add("append: list", lambda x: np.append(x, [1.0, 2.0]), real, (2,), **FEW)

# -------------------------------------------------------------------------------------- reversing and repeating

add("flip", np.flip, real, (3,), (2, 3), (), (0, 2), **ALL)
add("flip: axis", lambda x: (np.flip(x, 0), np.flip(x, -1), np.flip(x, (0, 1))), real, (2, 3), (1, 2), **FEW)
add("flipud, fliplr", lambda x: (np.flipud(x), np.fliplr(x)), real, (2, 3), **FEW)
add("rot90", lambda x: (np.rot90(x), np.rot90(x, 2), np.rot90(x, -1), np.rot90(x, 4)), real, (2, 3), **FEW)
add("rot90: axes", lambda x: (np.rot90(x, 1, (2, 0)), np.rot90(x, 3, (1, -1))), real, (2, 3, 2), **FEW)
add("roll", lambda x: (np.roll(x, 1), np.roll(x, -4), np.roll(x, 0)), real, (3,), (2, 3), (0,), **ALL)
add("roll: axis", lambda x: (np.roll(x, 1, 1), np.roll(x, (1, 2), (0, -1))), real, (2, 3), **FEW)
add("roll: mixed", lambda x: (np.roll(x, 1, (0, 1)), np.roll(x, (1, 2), 1)), real, (2, 3), **FEW)
add("tile", lambda x: (np.tile(x, 2), np.tile(x, (2, 1)), np.tile(x, (1, 2, 1))), real, (3,), (2, 3), (), (0,), **ALL)
add("tile: none", lambda x: np.tile(x, 0), real, (3,), **FEW)
add("repeat", lambda x: np.repeat(x, 2), real, (3,), (2, 3), (), (0,), **ALL)
add("repeat: axis", lambda x: (np.repeat(x, 2, 0), np.repeat(x, 3, axis=-1), x.repeat(2, 1)), real, (2, 3), **FEW)
add("repeat: each", lambda x: np.repeat(x, [2, 0, 1], axis=1), real, (2, 3), (1, 3), **FEW)
add("repeat: flat", lambda x: np.repeat(x, np.array([2, 0, 1, 1, 0, 3])), real, (2, 3), **FEW)

# ----------------------------------------------------------------------------------------------- splitting, padding

add("split", lambda x: np.split(x, 3), real, (6,), (3, 2), (0,), **FEW)
add("split: indices", lambda x: np.split(x, [1, 3, 3, 9], axis=-1), real, (4,), (2, 4), **FEW)
add("split: negative indices", lambda x: np.split(x, [-3, -1]), real, (4,), **FEW)
add("array_split", lambda x: np.array_split(x, 3), real, (4,), (2, 3), (1,), **FEW)
add("array_split: indices", lambda x: np.array_split(x, (1, 2), 1), real, (2, 3), **FEW)
add("vsplit", lambda x: np.vsplit(x, 2), real, (4, 1), (2, 3), **FEW)
add("hsplit", lambda x: np.hsplit(x, 2), real, (4,), (1, 4), (2, 2, 1), **FEW)
add("dsplit", lambda x: np.dsplit(x, [1]), real, (1, 2, 3), **FEW)
add("pad", lambda x: np.pad(x, 1), real, (3,), (2, 2), (0,), (), **ALL)
add("pad: widths", lambda x: np.pad(x, ((1, 0), (0, 2))), real, (2, 3), **FEW)
add("pad: pair", lambda x: np.pad(x, (2, 1), constant_values=1.5), real, (3,), (2, 2), **FEW)
add("pad: values", lambda x: np.pad(x, ((1, 1), (2, 0)), constant_values=((1, 2), (3, 4))), real, (2, 3), **FEW)
add("pad: pair of values", lambda x: np.pad(x, 1, constant_values=(1, 2)), real, (2, 2), **FEW)
add("pad: traced value", lambda x, v: np.pad(x, 1, constant_values=v), (real, real), ((3,), ()), **FEW)
add("pad: complex value", lambda x: np.pad(x, 1, constant_values=1j), real, (3,), dtypes="D")
for _mode in ("edge", "reflect", "symmetric", "wrap"):
    add(f"pad: {_mode}", lambda x, m=_mode: np.pad(x, ((2, 1), (0, 3)), mode=m), real, (3, 4), (4, 2), **FEW)
    add(f"pad: {_mode}, far", lambda x, m=_mode: np.pad(x, 5, m), real, (3,), **FEW)
add("pad: dict", lambda x: np.pad(x, {-1: (1, 2)}) if np.__version__ >= "2.2" else np.pad(x, ((0, 0), (1, 2))), real,
    (2, 3), **FEW)  # fmt: skip

# -------------------------------------------------------------------------------------------------------- creation

add("zeros_like", lambda x: (np.zeros_like(x), x * np.ones_like(x)), real, (2, 3), (), (0,), NP, **ALL)
add("ones_like: options", lambda x: x * np.ones_like(x, dtype=np.float64, shape=(2, 1)), real, (3,), **FEW)
add("empty_like", lambda x: np.empty_like(x, shape=(0, 2)), real, (3,), (), **FEW)
add("full_like", lambda x, v: np.full_like(x, v), (real, real), ((2, 3), ()), ((3,), (3,)), ((), ()), **ALL)
add("full_like: options", lambda x: x.sum() * np.full_like(x, 1.5, dtype=np.float64, shape=2), real, (3,), **FEW)
add("linspace", lambda x, y: np.linspace(x, y, 4), (real, real), ((), ()), ((3,), (3,)), ((2, 1), (3,)), (PY, PY),
    dtypes="dfD", values="il", ulps=4)  # fmt: skip
add("linspace: options", lambda x, y: np.linspace(x, y, 3, endpoint=False, axis=-1), (real, real), ((2,), ()), ulps=4)
add("linspace: step", lambda x, y: np.linspace(x, y, 3, retstep=True), (real, real), ((), ()), ((2,), ()), ulps=4)
add("linspace: few", lambda x, y: (np.linspace(x, y, 1), np.linspace(x, y, 0)), (real, real), ((), ()), ulps=4)
add("linspace: integers", lambda x, y: np.linspace(x, y, 5, dtype=int), (real, real), ((), ()), dtypes="", values="dil")
add("logspace", lambda x, y: np.logspace(x, y, 4), (real, real), ((), ()), ((2,), ()), ulps=32)
add("logspace: base", lambda x, y: np.logspace(x, y, 3, endpoint=False, base=2.0), (real, real), ((), ()), ulps=32)
add("geomspace", lambda x, y: np.geomspace(x, y, 4), (positive, positive), ((), ()), ((2,), ()), ulps=32)
add("geomspace: options", lambda x, y: np.geomspace(x, y, 3, endpoint=False, axis=-1), (positive, positive), ((2,), (2,)),
    ulps=32)  # fmt: skip
add(
    "geomspace: other signs",
    lambda x, y: np.geomspace(-x, -y, 3),
    (positive, positive),
    ((), ()),
    dtypes="dfD",
    ulps=32,
)
add("geomspace: complex", lambda x: np.geomspace(x, 1j, 4), positive, (), dtypes="D", ulps=32)
add(
    "geomspace: few",
    lambda x, y: (np.geomspace(x, y, 1), np.geomspace(x, y, 0)),
    (positive, positive),
    ((), ()),
    ulps=32,
)
add("logspace: bases", lambda x, b: np.logspace(x, 2.0, 3, base=b, axis=-1), (real, positive), ((), (2,)), ((2,), (2,)),
    ulps=32)  # fmt: skip
add("meshgrid", lambda x, y: np.meshgrid(x, y), (real, real), ((2,), (3,)), ((), (2,)), ((0,), (2,)), **FEW)
add("meshgrid: ij", lambda x, y: np.meshgrid(x, y, x, indexing="ij"), (real, real), ((2,), (3,)), **FEW)
add("meshgrid: xy, three", lambda x, y: np.meshgrid(x, y, [1.0, 2.0]), (real, real), ((2,), (3,)), **FEW)
add("meshgrid: sparse", lambda x, y: np.meshgrid(x, y, sparse=True), (real, real), ((2,), (3,)), **FEW)

# -------------------------------------------------------------------------------------------------- as an array has

add("attributes", lambda x: (x.ndim, x.size, x.itemsize, x.nbytes, x.shape), real, (2, 3), (0,), (), dtypes="",
    values="dfi?")  # fmt: skip
add("x.real, x.imag", lambda x: (x.real, x.imag), real, (3,), (), dtypes=HOLOMORPHIC, values="i")
add("x.conj()", lambda x: (x.conj(), x.conjugate()), real, (3,), (), dtypes=HOLOMORPHIC, values="i")
add("x.copy()", lambda x: x.copy() * x.copy("C"), real, (3,), **FEW)
add("x.astype()", lambda x: x.astype(np.float64, copy=False) + x.astype("c16").real, real, (3,), (), **FEW)
add("len, iteration", lambda x: [row * len(x) for row in x], real, (2, 3), (3,), (0,), **FEW)
add("unpacking", lambda x: (lambda a, b: a * b)(*x), real, (2, 3), (2,), **FEW)
add("where of booleans", lambda c, x: np.where(np.reshape(c, (3, 1)), x, 0), (bools, real), ((3,), (2,)), **FEW)
