"""Rows for random keys and bits, in functions of numbers; samplers are in `tools.random_cases`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import random
from funcgrad.ops.normal_quantile import ERF_INV
from funcgrad.ops.random import BITS, FOLD_IN, SEED, SPLIT, UNWRAP, WRAP

from .base import add
from .domains import interval, positive, unit

CONSTANT = {"dtypes": "", "values": "l"}

_seeds = interval(0, 100)


def _keys(x: Any) -> Any:
    return SEED.bind(x, impl="threefry2x32")


add("random_bits", lambda x: BITS.bind(_keys(x), shape=(2,), width=32), _seeds, (2,), (), **CONSTANT)
add("random_split", lambda x: UNWRAP.bind(SPLIT.bind(_keys(x), shape=(2,))), _seeds, (2,), (), **CONSTANT)
add(
    "random_fold_in",
    lambda x: UNWRAP.bind(FOLD_IN.bind(_keys(x), x.astype(np.uint32))),
    _seeds, (2,), (), **CONSTANT,
)  # fmt: skip
add(
    "random_wrap",
    lambda x: UNWRAP.bind(WRAP.bind(UNWRAP.bind(_keys(x)), impl="threefry2x32")),
    _seeds, (2,), (), **CONSTANT,
)  # fmt: skip
add("random_poisson", lambda x: random.poisson(random.key(0), x), positive, (2,), (), dtypes="", values="f")
add("normal_erf_inv", lambda x: ERF_INV.bind(x), unit, (2, 3), (), dtypes="df")
