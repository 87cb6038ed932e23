"""Rows for primitives called as they are, with parameters that NumPy's functions seldom lead to; and for those that hold
programs, by functions of the user's."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax
from funcgrad.ops.rules import PRIMITIVES

from .base import Domain, add
from .domains import bools, definite, half_open, nonzero, positive, real, regular, rows, sorted_values

CONSTANT = {"dtypes": "", "values": "d"}
"""Of a row without derivatives."""


def bind(name: str, domains: Domain | tuple[Domain, ...], *shapes: Any, ulps: float = 64, **params: Any) -> None:
    """A row for a primitive with these parameters; `of` are those of the row."""
    of = {"dtypes": "d", "ulps": ulps, **params.pop("of", {})}
    label = " ".join([name, *(f"{k}={v}" for k, v in params.items())])
    add(label, lambda *xs: PRIMITIVES[name].bind(*xs, **params), domains, *shapes, **of)


# ---------------------------------------------------------------------------------------------------- moving, products

bind("reshape", real, (2, 3), shape=(3, 1, 2))
bind("transpose", real, (2, 3, 4), axes=(2, 0, 1))
bind("broadcast_to", real, (3,), shape=(2, 3))
bind("broadcast_to", real, (2, 1), shape=(4, 2, 3))
bind("broadcast_to", real, (), shape=(2, 2))
bind("slice", real, (4, 3), start=(3, 0), size=(2, 2), step=(-2, 1))
bind("place", real, (2, 2), start=(3, 0), step=(-2, 1), shape=(4, 3))
bind("concatenate", (real, real, real), ((2, 1), (2, 3), (2, 2)), axis=1)
bind("split", real, (2, 3), sizes=(1, 2), axis=1)
bind("reduce_precision", real, (3,), exponent_bits=11, mantissa_bits=52)
bind("bitcast_convert_type", real, (3,), dtype=np.dtype(np.int64), of=CONSTANT)
for _contract, _batch in (
    (((1,), (0,)), ((), ())),
    (((), ()), ((), ())),
    (((0,), (1,)), ((), ())),
    (((0, 1), (1, 0)), ((), ())),
):
    bind("dot_general", (real, real), ((3, 3), (3, 3)), contract=_contract, batch=_batch)
bind("dot_general", (real, real), ((2, 4, 3), (3, 2, 5)), contract=((2,), (0,)), batch=((0,), (1,)))
bind("dot_general", (real, real), ((4, 2, 3), (5, 3, 2)), contract=((), ()), batch=((2, 1), (1, 2)))

# ----------------------------------------------------------------------------------------------------------- indexing

bind("gather", (real, rows(3)), ((3, 4), (2,)), axes=(0,))
bind("gather", (real, rows(4)), ((2, 4), (3, 1)), axes=(1,))
bind("gather", (real, rows(3), rows(4)), ((3, 4), (2,), (3, 1)), axes=(0, 1))
bind("gather", (real, rows(3), rows(4)), ((3, 2, 4), (2,), (3, 1)), axes=(0, 2))
bind("scatter_add", (real, rows(3)), ((2, 4), (2,)), axes=(0,), shape=(3, 4))
bind("scatter_add", (real, rows(4)), ((3, 1, 2), (3, 1)), axes=(1,), shape=(2, 4))
bind("scatter_add", (real, rows(3), rows(4)), ((3, 2), (2,), (3, 1)), axes=(0, 1), shape=(3, 4))
bind("scatter", (real, real, rows(3)), ((3, 4), (2, 4), (2,)), axes=(0,))
bind("scatter", (real, real, rows(3), rows(4)), ((3, 4), (3, 2), (2,), (3, 1)), axes=(0, 1))
bind("scatter", (real, real, rows(4)), ((2, 4), (3, 1, 2), (3, 1)), axes=(1,))
for _name in ("scatter_max", "scatter_min"):
    bind(_name, (real, real, rows(3)), ((3, 4), (5, 4), (5,)), axes=(0,))
    bind(_name, (real, real, rows(3), rows(4)), ((3, 4), (3, 2), (2,), (3, 1)), axes=(0, 1))
for _side in ("left", "right"):
    bind("searchsorted", (sorted_values, positive), ((4,), (2, 3)), ((4,), ()), side=_side, of=CONSTANT)

# ------------------------------------------------------------------------------------------ what stands in derivatives

for _name in ("abs_slope", "branch_sign"):
    bind(_name, nonzero, (3,), (2, 2), (), of=CONSTANT)
for _name in ("abs_again", "fabs_again"):
    bind(_name, nonzero, (3,), (2, 2), ())
for _name in ("pow_inside", "root", "div_or_zero"):
    bind(_name, (positive, positive), ((3,), (3,)), ((2, 3), (3,)))
for _name in ("exponent_less_one", "log_of_base"):
    bind(_name, (positive, positive), ((3,), (3,)), ((2, 3), (2, 3)))

# ---------------------------------------------------------------------------------------------------------- reductions

for _name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min"):
    for _axes, _keep in (((1,), False), ((0, 2), True), ((), False), ((0, 1, 2), False)):
        bind(_name, real, (2, 3, 4), axes=_axes, keepdims=_keep)
for _name in ("reduce_and", "reduce_or"):
    bind(_name, bools, (2, 3), axes=(1,), keepdims=False, of=CONSTANT)
for _name in ("cumsum", "cumprod", "cummax", "cummin"):
    bind(_name, real, (2, 3), axis=1)
    bind(_name, real, (2, 3), axis=0, reverse=True)
bind("linear_recurrence", (real, real), ((2, 3), (2, 3)), axis=1, reverse=False)
bind("linear_recurrence", (real, real), ((3,), (3,)), axis=0, reverse=True)
for _name in ("softmax", "log_softmax", "logsumexp"):
    bind(_name, real, (2, 3), axes=(1,))
    bind(_name, real, (2, 3), axes=(0, 1))
for _name in ("argmax", "argmin"):
    bind(_name, real, (2, 3), axis=1, of=CONSTANT)
bind("sort", real, (2, 3), axis=0)
bind("argsort", real, (2, 3), axis=0, stable=True, of=CONSTANT)

# ------------------------------------------------------------------------------------------------------------- windows

WINDOW: dict[str, Any] = {"axis": 1, "width": 2, "stride": 1, "dilation": 1, "padding": (1, 0)}
bind("reduce_window_sum", real, (2, 3), base=2, **WINDOW)
for _name in ("reduce_window_max", "reduce_window_min"):
    bind(_name, real, (2, 3), **WINDOW)
_SELECTED = {"diff": (0,)}  # by the other operands it is piecewise constant
bind("select_and_gather", (real, real, real), ((2, 3),) * 3, largest=True, **WINDOW, of=_SELECTED)
bind("select_and_scatter", (real, real, real), ((2, 3),) * 3, largest=False, **WINDOW, of=_SELECTED)


def _convolution(lhs: tuple[int, ...], rhs: tuple[int, ...], features: int, batches: int) -> None:
    params = {"window_strides": (2,), "padding": ((1, 0),), "lhs_dilation": (1,), "rhs_dilation": (2,)}
    groups = {"feature_group_count": features, "batch_group_count": batches}
    bind("conv_general_dilated", (real, real), (lhs, rhs), **params, **groups)


_convolution((2, 2, 5), (3, 2, 2), 1, 1)
_convolution((2, 4, 5), (6, 2, 2), 2, 1)
_convolution((4, 2, 5), (6, 2, 2), 1, 2)

# ------------------------------------------------------------------------------------------------------ linear algebra

bind("solve", (regular, real), ((2, 2), (2, 3)), ((3, 2, 2), (1, 2, 1)))
for _name in ("inv", "det", "slogdet"):
    bind(_name, regular, (2, 2), (3, 2, 2))
bind("cholesky", definite, (2, 2), (3, 2, 2))
bind("det_derivative", (regular, real), ((2, 2), (2, 2)))
bind("norm2", real, (2, 3), axes=(1,), keepdims=False)
bind("norm2", real, (2, 3), axes=(0, 1), keepdims=True)
bind("qr", real, (3, 2), complete=False)
bind("singular_sum", (real, real), ((3, 2), (1, 2)), ((2, 3), (1, 2)), ((2, 2), (1, 2)))
add(
    "eigen_sum",
    lambda a, c: PRIMITIVES["eigen_sum"].bind(a, c, uplo="L"),
    (real, real),
    ((3, 3), (1, 3)),
    dtypes="d",
    ulps=64,
)
bind("pinv", (real, lambda rng, shape, dtype: np.full(shape, 1e-12)), ((3, 2), ()), of={"diff": (0,)})

# ----------------------------------------------------------------------------------------------------------- programs


@fg.custom_jvp
def _custom(x: Any, y: Any) -> Any:
    return x * np.sum(y)


_custom.defjvp(lambda p, t: (_custom(*p), t[0] * np.sum(p[1]) + p[0] * np.sum(t[1])))


def _scan(w: Any, c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (np.sin(w * c) + x, c * x), c, xs, reverse=True)


def _while(limit: Any, step: Any, x: Any) -> Any:
    return lax.while_loop(lambda s: np.sum(s[0]) < limit + 4, lambda s: (s[0] + step, s[1] * s[0]), (x, x))


def program(name: str, fun: Any, domains: Any, shapes: Any, **more: Any) -> None:
    add(f"program: {name}", fun, domains, shapes, **{"dtypes": "d", "ulps": 64, **more})


program("jit", fg.jit(lambda x, y: (x * y[0], np.sum(y))), (real, real), ((2,), (2,)))
program("name", lambda x: fg.checkpoint_name(x, "a"), (real,), ((2, 3),))
program("checkpoint", fg.checkpoint(lambda x, y: (x * y[0], np.sum(y))), (real, real), ((2,), (2,)))
program("custom_call", lambda x, y: _custom(x, y), (real, real), ((2,), (3,)))
program(
    "cond",
    lambda p, x, y: lax.cond(p, lambda a, b: (a * b, b[0]), lambda a, b: (a - b, b[1]), x, y),
    (bools, real, real),
    ((), (2,), (2,)),
)
program("switch", lambda i, x: lax.switch(i, [np.sin, np.cos, lambda a: a**2], x), (rows(3), real), ((), (2,)))
program(
    "branches by example",
    lambda ps, x: fg.vmap(lambda p, x: lax.cond(p, np.sin, np.cos, x))(ps, x),
    (bools, real),
    ((3,), (3,)),
)
program("scan", _scan, (real, real, real), ((), (2,), (3, 2)))
program("while", _while, (half_open, half_open, half_open), ((), (2,), (2,)), diff=(1, 2))
