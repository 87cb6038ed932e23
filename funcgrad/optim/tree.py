"""Arithmetic on trees, and values found in states: the names of `optax.tree`."""

from funcgrad.optim._tree_math import (
    tree_add as add,
)
from funcgrad.optim._tree_math import (
    tree_add_scale as add_scale,
)
from funcgrad.optim._tree_math import (
    tree_allclose as allclose,
)
from funcgrad.optim._tree_math import (
    tree_batch_shape as batch_shape,
)
from funcgrad.optim._tree_math import (
    tree_bias_correction as bias_correction,
)
from funcgrad.optim._tree_math import (
    tree_cast as cast,
)
from funcgrad.optim._tree_math import (
    tree_cast_like as cast_like,
)
from funcgrad.optim._tree_math import (
    tree_clip as clip,
)
from funcgrad.optim._tree_math import (
    tree_conj as conj,
)
from funcgrad.optim._tree_math import (
    tree_div as div,
)
from funcgrad.optim._tree_math import (
    tree_dtype as dtype,
)
from funcgrad.optim._tree_math import (
    tree_full_like as full_like,
)
from funcgrad.optim._tree_math import (
    tree_max as max,
)
from funcgrad.optim._tree_math import (
    tree_min as min,
)
from funcgrad.optim._tree_math import (
    tree_mul as mul,
)
from funcgrad.optim._tree_math import (
    tree_norm as norm,
)
from funcgrad.optim._tree_math import (
    tree_ones_like as ones_like,
)
from funcgrad.optim._tree_math import (
    tree_random_like as random_like,
)
from funcgrad.optim._tree_math import (
    tree_real as real,
)
from funcgrad.optim._tree_math import (
    tree_scale as scale,
)
from funcgrad.optim._tree_math import (
    tree_size as size,
)
from funcgrad.optim._tree_math import (
    tree_split_key_like as split_key_like,
)
from funcgrad.optim._tree_math import (
    tree_sub as sub,
)
from funcgrad.optim._tree_math import (
    tree_sum as sum,
)
from funcgrad.optim._tree_math import (
    tree_unwrap_random_key_data as unwrap_random_key_data,
)
from funcgrad.optim._tree_math import (
    tree_update_infinity_moment as update_infinity_moment,
)
from funcgrad.optim._tree_math import (
    tree_update_moment as update_moment,
)
from funcgrad.optim._tree_math import (
    tree_update_moment_per_elem_norm as update_moment_per_elem_norm,
)
from funcgrad.optim._tree_math import (
    tree_vdot as vdot,
)
from funcgrad.optim._tree_math import (
    tree_where as where,
)
from funcgrad.optim._tree_math import (
    tree_zeros_like as zeros_like,
)
from funcgrad.optim._tree_state import (
    tree_get as get,
)
from funcgrad.optim._tree_state import (
    tree_get_all_with_path as get_all_with_path,
)
from funcgrad.optim._tree_state import (
    tree_map_params as map_params,
)
from funcgrad.optim._tree_state import (
    tree_set as set,
)

__all__ = [
    "add",
    "add_scale",
    "allclose",
    "batch_shape",
    "bias_correction",
    "cast",
    "cast_like",
    "clip",
    "conj",
    "div",
    "dtype",
    "full_like",
    "get",
    "get_all_with_path",
    "map_params",
    "max",
    "min",
    "mul",
    "norm",
    "ones_like",
    "random_like",
    "real",
    "scale",
    "set",
    "size",
    "split_key_like",
    "sub",
    "sum",
    "unwrap_random_key_data",
    "update_infinity_moment",
    "update_moment",
    "update_moment_per_elem_norm",
    "vdot",
    "where",
    "zeros_like",
]


def __dir__() -> list[str]:
    return __all__
