"""What the tests of fusion share: programs are compared with what they are after fusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import make_ir
from funcgrad.executor.fused import FUSED
from funcgrad.executor.tiles import FusedKernel
from funcgrad.ir import Program, Var
from funcgrad.ir_check import check_program
from funcgrad.passes.fuse import fuse

__all__ = ["DTYPES", "INEXACT", "array", "check", "count", "fused", "run", "same"]


def run(program: Program, args: Sequence[Any]) -> list[Any]:
    """Run a program, its fused equations by kernels."""
    env: dict[Any, Any] = dict(zip((*program.constvars, *program.inputs), (*program.consts, *args), strict=True))
    for eqn in program.equations:
        ins = [env[x] if isinstance(x, Var) else x.value for x in eqn.inputs]
        if eqn.primitive is FUSED:
            outs = fused(FusedKernel(**eqn.params), ins)
        else:
            out = eqn.primitive.bind(*ins, **eqn.params)
            outs = out if eqn.primitive.multiple else (out,)
        env.update(zip(eqn.outputs, outs, strict=True))
    return [env[x] if isinstance(x, Var) else x.value for x in program.outputs]


def fused(kernel: FusedKernel, ins: Sequence[Any]) -> list[Any]:
    avals = kernel.program.out_avals
    arrays = [np.full(a.shape, 77).astype(a.dtype) for a in avals if a.shape]
    scalars = iter(kernel(*ins, *arrays))
    left = iter(arrays)
    return [next(left) if a.shape else next(scalars) for a in avals]


def count(program: Program) -> int:
    return sum(eqn.primitive is FUSED for eqn in program.equations)


def same(got: Any, want: Any, dtype: Any) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if want.dtype.kind in "fc":
        tolerance = 64 * np.finfo(np.dtype(dtype) if np.dtype(dtype).kind in "fc" else want.dtype).eps
        np.testing.assert_allclose(got, want, rtol=float(tolerance), atol=float(tolerance))
    else:
        np.testing.assert_array_equal(got, want)


def check(f: Callable[..., Any], *args: Any, groups: int | None = None) -> Program:
    """Compare a function with its fused program; returns that."""
    program = make_ir(f)(*args)
    after = fuse(program)
    check_program(after)
    if groups is not None:
        assert count(after) == groups, after
    flat = [a for a in args]
    wide = next((np.asarray(a).dtype for a in args if np.asarray(a).dtype.kind in "fc"), np.dtype(float))
    for got, want in zip(run(after, flat), program(*flat), strict=True):
        same(got, want, wide)
    for got, want in zip(after(*flat), program(*flat), strict=True):  # the primitive's own definition
        same(got, want, wide)
    return after


def array(shape: Sequence[int], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(1, 7, shape).astype(dtype)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape)).astype(dtype) if dtype.kind == "c" else x.astype(dtype)


DTYPES = [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.int32, np.int64, np.uint16, bool]
INEXACT = [np.float32, np.float64, np.complex64, np.complex128]
