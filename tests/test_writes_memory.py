"""What shares memory with what, and how it lies there: traced functions against NumPy, for the table of operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from opspecs import SPECS, Case, OpSpec

import funcgrad as fg
from funcgrad import tree
from funcgrad.aliasing import is_array, strides_of
from funcgrad.core import Tracer
from funcgrad.writes import root_of


def in_fortran_order(x: Any) -> Any:
    return np.asfortranarray(x) if isinstance(x, np.ndarray) and x.ndim > 1 else x


def faults(case: Case, args: list[Any]) -> list[str]:
    """Where a traced result is a view and NumPy's is a copy, and the like."""
    try:
        want = tree.leaves(case.spec(*args))
    except ValueError:  # arrays in Fortran order have no views as another dtype
        assert "x.view" in case.spec.name and not args[0].flags.c_contiguous, case
        return []
    found: list[str] = []

    def traced(*xs: Any) -> Any:
        out = tree.leaves(case.spec(*xs))
        for i, (a, b) in enumerate(zip(out, want, strict=True)):
            if not isinstance(a, Tracer):
                continue
            if is_array(a) != isinstance(b, np.ndarray):
                found.append(f"result {i}: array {is_array(a)}, NumPy {type(b).__name__}")
            if not isinstance(b, np.ndarray):
                continue
            for j, (x, y) in enumerate(zip(xs, args, strict=True)):
                if isinstance(x, Tracer) and isinstance(y, np.ndarray) and b.size:
                    ours, theirs = root_of(a) is root_of(x), np.shares_memory(b, y)
                    if ours != theirs:
                        found.append(f"result {i} shares memory with argument {j}: {ours}, NumPy {theirs}")
            strides = strides_of(a) if b.ndim > 1 and b.size else None
            if strides is not None:
                real = tuple(s // b.itemsize for s in b.strides)
                if any(n > 1 and s != t for n, s, t in zip(b.shape, strides, real, strict=True)):
                    found.append(f"result {i} of shape {b.shape} has strides {strides}, NumPy {real}")
        return [x for x in xs]

    fg.vjp(traced, *args)
    if not case.spec.concrete and all(x.flags.c_contiguous for x in args if isinstance(x, np.ndarray)):
        fg.make_ir(traced)(*args)
    return found


OURS = ("lax.", "nn.", "conv", "stop_gradient", "checkpoint_name", "matrix.at", "random_", "normal_erf_inv")
NUMPY = {
    name: spec
    for name, spec in SPECS.items()
    if not name.startswith(OURS) and not str(getattr(spec.fun, "__module__", "")).endswith("primitives")
}


@pytest.mark.parametrize("spec", NUMPY.values(), ids=NUMPY)
def test_memory_is_shared_as_in_numpy(spec: OpSpec) -> None:
    cases = spec.cases(True) + spec.cases(False)
    for case in cases[:2]:
        args = case.args()
        assert not faults(case, args), case
        assert not faults(case, list(map(in_fortran_order, args))), case
