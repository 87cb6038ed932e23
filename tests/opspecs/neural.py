"""Rows for the operations of neural networks: convolutions, windows, activations, softmax; and `lax`'s own functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import jvp, lax, nn

from .base import REALS, add
from .domains import bools, nonzero, positive, real, rows, small, unit

ONE: dict[str, Any] = {"dtypes": "d", "values": "fi"}

# ----------------------------------------------------------------------------------------------------- convolution


def _conv(name: str, lhs: tuple[int, ...], rhs: tuple[int, ...], *args: Any, dtypes: str = "d", **options: Any) -> None:
    add(f"conv: {name}", lambda x, w: lax.conv_general_dilated(x, w, *args, **options), (real, real), (lhs, rhs),
        dtypes=dtypes, values="f", ulps=64)  # fmt: skip


_conv("one dimension", (2, 3, 6), (4, 3, 3), (1,), "SAME", dtypes="dfD")
_conv("no spatial dimension", (2, 3), (4, 3), (), "VALID")
_conv("two dimensions", (2, 2, 5, 4), (3, 2, 3, 2), (1, 1), "VALID")
_conv("many channels", (2, 9, 5, 5), (2, 9, 3, 2), (1, 1), "SAME")
_conv("strides", (2, 2, 6, 5), (3, 2, 3, 2), (2, 3), "SAME")
_conv("pointwise", (2, 3, 4, 2), (2, 3, 1, 1), (1, 1), "VALID")
_conv("kernel dilation", (1, 2, 7), (2, 2, 3), (2,), [(2, 1)], None, (2,))
_conv("input dilation", (1, 2, 4), (2, 2, 3), (1,), [(1, 2)], (3,), (1,))
_conv("all dilated", (2, 2, 5, 3), (1, 2, 3, 2), (3, 1), [(2, 1), (0, 1)], (2, 3), (2, 2))
_conv("cropped", (1, 1, 6), (1, 1, 3), (1,), [(-1, -2)])
_conv("feature groups", (2, 4, 5), (6, 2, 3), (1,), "SAME", feature_group_count=2)
_conv("depthwise", (2, 3, 5), (3, 1, 2), (2,), "SAME", feature_group_count=3)
_conv("batch groups", (4, 2, 5), (6, 2, 3), (1,), "SAME", batch_group_count=2)
_conv("channels last", (2, 5, 4, 3), (2, 3, 3, 2), (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
_conv("three dimensions", (1, 2, 3, 4, 3), (2, 2, 2, 1, 3), (1, 2, 1), "SAME_LOWER")
_conv("nothing", (0, 2, 4), (3, 2, 2), (1,), "VALID")
add("conv_transpose", lambda x, w: lax.conv_transpose(x, w, (2,), "SAME"), (real, real), ((2, 4, 2), (3, 2, 3)),
    dtypes="d", ulps=64)  # fmt: skip
add("conv_general_dilated_patches", lambda x: lax.conv_general_dilated_patches(x, (2, 2), (1, 2), "SAME"), real,
    (2, 2, 3, 4), **ONE)  # fmt: skip

# ------------------------------------------------------------------------------------------------------- windows

for _name, _fun, _init in (("sum", lax.add, 0.0), ("max", np.maximum, -np.inf), ("min", lax.min, np.inf)):

    def _pool(x: Any, *window: Any, f: Any = _fun, init: float = _init, **options: Any) -> Any:
        return lax.reduce_window(x, init, f, *window, **options)

    add(f"reduce_window: {_name}", lambda x, p=_pool: p(x, (1, 2, 2), (1, 2, 2), "VALID"), real, (2, 4, 4), (1, 5, 3),
        (0, 4, 2), dtypes=REALS, ulps=8)  # fmt: skip
    add(f"reduce_window: {_name}, overlapping", lambda x, p=_pool: p(x, (3, 2), (1, 1), "SAME"), real, (4, 3), **ONE)
    add(f"reduce_window: {_name}, padded", lambda x, p=_pool: p(x, (3,), (2,), [(2, 1)]), real, (4,), (1,), **ONE)
    add(
        f"reduce_window: {_name}, dilated",
        lambda x, p=_pool: p(x, (3,), (2,), [(1, 0)], window_dilation=(2,)),
        real,
        (6,),
        **ONE,
    )
    add(
        f"reduce_window: {_name}, of dilated",
        lambda x, p=_pool: p(x, (3,), (1,), [(1, 0)], base_dilation=(2,)),
        real,
        (5,),
        **ONE,
    )
    add(f"reduce_window: {_name}, long", lambda x, p=_pool: p(x, (11,), (1,), [(2, -1)]), real, (16,), ulps=8, **ONE)
    add(f"reduce_window: {_name}, initial", lambda x, f=_fun: lax.reduce_window(x, 0.25, f, (2,)), real, (4,), **ONE)
add("reduce_window: tangent of max", lambda x, t: jvp(lambda y: lax.reduce_window(y, -np.inf, lax.max, (2,)), (x,), (t,))[1],
    (real, real), ((4,), (4,)), dtypes="d")  # fmt: skip
add(
    "reduce_window: product",
    lambda x: lax.reduce_window(x, 1.0, lax.mul, (2, 2), (1, 1), "SAME"),
    real,
    (3, 3),
    dtypes="d",
)
add("reduce_window: any function", lambda x: lax.reduce_window(x, 0.5, lambda a, b: a + b * b, (3,), (2,)), real, (6,),
    dtypes="d")  # fmt: skip
add("lax.reduce", lambda x: [lax.reduce(x, i, f, (0,)) for f, i in ((lax.add, 0.0), (lax.mul, 2.0), (lax.max, -9.0))], real,
    (3, 2), dtypes="d")  # fmt: skip
add(
    "lax.reduce: any function",
    lambda x: lax.reduce(x, 0.0, lambda a, b: np.hypot(a, b), (0, 1)),
    nonzero,
    (3, 2),
    dtypes="d",
)

# -------------------------------------------------------------------------------------------------- activations

_ACTIVATIONS = (
    "celu", "elu", "gelu", "hard_tanh", "identity", "leaky_relu", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "soft_sign", "softplus", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh",
)  # fmt: skip
for _name in _ACTIVATIONS:
    add(f"nn.{_name}", getattr(nn, _name), nonzero, (2, 3), (), (0,), dtypes=REALS, ulps=8)
add("nn.hard_sigmoid, nn.hard_silu", lambda x: (nn.hard_sigmoid(x), nn.hard_silu(x)), real, (2, 3), dtypes="d")
add("nn.gelu: exact", lambda x: nn.gelu(x, approximate=False), real, (2, 3), dtypes="d", ulps=8)
add("nn.glu", nn.glu, real, (2, 4), dtypes="d")
add("nn.log1mexp", nn.log1mexp, positive, (2, 3), (), dtypes="d", ulps=8)
for _name in ("relu", "sigmoid", "gelu"):
    add(f"nn.{_name}: integers", getattr(nn, _name), real, (3,), dtypes="", values="i")

# ------------------------------------------------------------------------------------------------------- softmax

for _name in ("softmax", "log_softmax", "logsumexp"):
    _fun = getattr(nn, _name)
    add(f"nn.{_name}", _fun, real, (2, 3), (3,), (4, 1), dtypes=REALS, values="i", ulps=8)
    add(
        f"nn.{_name}: axes",
        lambda x, f=_fun: (f(x, (0, 2)), f(x, 1), f(x, None), f(x, ())),
        real,
        (2, 3, 2),
        dtypes="d",
        ulps=8,
    )
    add(f"nn.{_name}: large", lambda x, f=_fun: f(1000 * x, -1), unit, (2, 2), dtypes="", values="df", ulps=64)
for _name in ("softmax", "logsumexp", "logmeanexp", "standardize"):
    _fun = getattr(nn, _name)
    add(f"nn.{_name}: where", lambda x, c, f=_fun: f(x, 1, where=c), (real, bools), ((2, 3), (2, 3)), dtypes="d",
        ulps=8)  # fmt: skip
add("nn.log_softmax: where", lambda x, c: np.where(c, nn.log_softmax(x, 1, where=c), 0), (real, bools), ((2, 3), (2, 3)),
    dtypes="d", ulps=8)  # fmt: skip
add("nn.logsumexp: keepdims", lambda x: nn.logsumexp(x, 0, keepdims=True), real, (2, 3), dtypes="d", ulps=8)
add("nn.logsumexp: b", lambda x, b: nn.logsumexp(x, 1, b), (real, positive), ((2, 3), (3,)), dtypes="d", ulps=8)
add(
    "nn.logsumexp: sign",
    lambda x, b: nn.logsumexp(x, b=b, return_sign=True),
    (small, real),
    ((4,), (4,)),
    dtypes="d",
    ulps=64,
)
add("nn.logmeanexp", lambda x: nn.logmeanexp(x, 1), real, (2, 3), dtypes="d", ulps=8)
add("nn.standardize", nn.standardize, real, (2, 3), dtypes="d", ulps=64)
add("nn.one_hot", lambda i: nn.one_hot(i, 3), rows(4), (2, 2), (), dtypes="", values="d")
add("nn.dot_product_attention", lambda q, k, v: nn.dot_product_attention(q, k, v, is_causal=True), (real, real, real),
    ((2, 3, 4, 2), (2, 3, 2, 2), (2, 3, 2, 2)), ((3, 1, 2), (3, 1, 2), (3, 1, 2)), dtypes="d", ulps=64)  # fmt: skip

# ---------------------------------------------------------------------------------------------- other names of lax

add("lax.bitcast_convert_type", lambda x: lax.bitcast_convert_type(x, np.int64), real, (3,), dtypes="", values="d")
add("lax.pad", lambda x, v: lax.pad(x, v, [(1, -1, 1), (-1, 2, 0)]), (real, real), ((3, 3), ()), **ONE)
add("lax.clamp", lambda x: lax.clamp(-1.0, x, 1.0), real, (5,), dtypes="d")
add("lax.integer_pow", lambda x: (lax.integer_pow(x, 5), lax.integer_pow(x, -2)), nonzero, (3,), dtypes="d", ulps=4)
add("lax.rsqrt", lax.rsqrt, positive, (3,), dtypes=REALS)
add("lax.cumlogsumexp", lambda x: lax.cumlogsumexp(x, 1, reverse=True), real, (2, 3), dtypes="d", ulps=8)
add("lax.cumsum, cumprod: reverse", lambda x: (lax.cumsum(x, 1, reverse=True), lax.cumprod(x, 0, reverse=True)), real,
    (2, 3), **ONE)  # fmt: skip
add("lax.top_k", lambda x: lax.top_k(x, 2), real, (2, 4), (3,), **ONE)
add("lax.sort: keys and values", lambda x, y: lax.sort_key_val(x, y), (real, real), ((2, 3), (2, 3)), dtypes="d")
add("lax.dynamic_slice", lambda x, i: lax.dynamic_slice(x, (i, 1), (2, 2)), (real, rows(3)), ((4, 3), ()), **ONE)
add("lax.dynamic_update_slice", lambda x, y, i: lax.dynamic_update_slice(x, y, (0, i)), (real, real, rows(3)),
    ((4, 3), (2, 2), ()), **ONE)  # fmt: skip
add("lax.reduce_and, or, xor", lambda x: [f(x, (1,)) for f in (lax.reduce_and, lax.reduce_or, lax.reduce_xor)], rows(9), (2, 5),
    dtypes="", values="d")  # fmt: skip

# --------------------------------------------------------------------------------------------------- lax's own names

_ROWS = lax.GatherDimensionNumbers((1,), (0,), (0,))
_WRITTEN = lax.ScatterDimensionNumbers((1,), (0,), (0,))
add("lax.gather", lambda x, i: lax.gather(x, i[:, None], _ROWS, (1, 2)), (real, rows(5)), ((3, 4), (3,)), **ONE)
add("lax.gather: fill", lambda x, i: lax.gather(x, i[:, None], _ROWS, (1, 4), mode="fill", fill_value=2), (real, rows(5)),
    ((3, 4), (3,)), **ONE)  # fmt: skip
for _name in ("scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max"):

    def _scattered(x: Any, u: Any, i: Any, name: str = _name) -> Any:
        return getattr(lax, name)(x, i[:, None], u, _WRITTEN)

    add(f"lax.{_name}", _scattered, (real, real, rows(5)), ((3, 4), (4, 4), (4,)), dtypes="d", ulps=4)
add("lax.ragged_dot", lambda x, w: lax.ragged_dot(x, w, np.array([1, 2])), (real, real), ((4, 3), (2, 3, 2)), dtypes="d",
    ulps=4)  # fmt: skip
add(
    "lax.clz, mulhi",
    lambda x: (lax.clz(x), lax.mulhi(x, x), lax.population_count(x)),
    real,
    (4,),
    dtypes="",
    values="ilb",
)
