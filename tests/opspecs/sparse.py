"""Rows for products with sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.scipy._sparse import SPARSE_MATMUL, Structure

from .base import add
from .domains import real

_PLACES = Structure("csr", np.array([0, 2, 1, 1]), np.array([0, 2, 3, 4]), (3, 3))


def _product(data: Any, x: Any) -> Any:
    return SPARSE_MATMUL.bind(data, x, structure=_PLACES)


add("sparse_matmul", _product, (real, real), ((4,), (3,)), ((4,), (3, 2)), dtypes="dD", values="i")
