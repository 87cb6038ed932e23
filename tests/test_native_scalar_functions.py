"""Elementary functions of native code, and what is made of them, against NumPy's: to a few roundings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_harness import Case, Compiled

from funcgrad.native.scalars import supports
from funcgrad.native.scalars_functions import by_name
from funcgrad.ops.math import POW_INSIDE, UFUNCS
from funcgrad.ops.normal_quantile import ERF_INV
from funcgrad.ops.quotients import LOG_OF_BASE, ROOT
from funcgrad.ops.rules import elementwise
from funcgrad.ops.softmax import GELU, LOGISTIC

F16, F32, F64 = (np.dtype(c) for c in "efd")
UNARY = [np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sin, np.cos, np.tan, np.arcsin, np.arccos,
         np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.cbrt]  # fmt: skip
BINARY = [np.arctan2, np.hypot, np.power, np.logaddexp, np.logaddexp2]
PRIMITIVES = [*(UFUNCS[u] for u in (*UNARY, *BINARY)), LOGISTIC, GELU, ERF_INV, POW_INSIDE, ROOT, LOG_OF_BASE]
MOST = 4.0
"""Units in the last place: each function may be wrong by two, and NumPy's by one."""
CANCELS = {"gelu_tanh", "logaddexp", "logaddexp2"}
"""Sums that may be nearly zero: units of the operands."""
_RNG = np.random.default_rng(3)


def numbers(dtype: np.dtype[Any]) -> np.ndarray:
    ends = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, 0.999, -0.999, 1e-9, -1e-9, 40, -40, 1e4, -1e4]
    far = [math.inf, -math.inf, math.nan, np.finfo(dtype).max, np.finfo(dtype).tiny]
    return np.concatenate([[*ends, *far], _RNG.standard_normal(12), _RNG.uniform(-1, 1, 6)]).astype(dtype)


def operands(case: Case) -> list[np.ndarray]:
    lists = [numbers(d) for d in case.ins]
    grid = [x.reshape(-1) for x in np.meshgrid(*lists, indexing="ij")]
    return [np.concatenate([x, np.resize(x, -x.size % 8)]) for x in grid]


def roundings(case: Case, code: Compiled) -> float:
    """By how many units in the last place a result differs from NumPy's at most."""
    xs = operands(case)
    with np.errstate(all="ignore"):
        want = case.primitive.impl(*xs)
        got = code(case, *xs)[0]
        assert got.dtype == want.dtype, case.name
        size = np.abs(want)
        if case.primitive.name in CANCELS:
            size = np.fmax(size, np.max(np.abs(xs), axis=0))
        gap = np.abs(got.astype(float) - want.astype(float)) / np.spacing(size).astype(float)
    gap = np.where((got == want) | (np.isnan(got) & np.isnan(want)), 0.0, gap)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all(), case.name
    return float(np.nanmax(np.where(np.isnan(gap), math.inf, gap)))


@pytest.mark.parametrize(("width", "dtype"), [(0, F64), (4, F64), (8, F32), (4, F16)])
def test_functions(width: int, dtype: np.dtype[Any]) -> None:
    cases = [Case(p, (dtype,) * (p.ufunc.nin if p.ufunc else 2 if p is LOG_OF_BASE else 1), dtype, {})
             for p in PRIMITIVES]  # fmt: skip
    if dtype == F16:  # NumPy rounds after each step
        cases = [c for c in cases if c.primitive.ufunc is not None]
    assert all(supports(c.primitive, c.ins, c.out, c.params) for c in cases)
    code = Compiled(cases, width)
    found = {c.primitive.name: roundings(c, code) for c in cases}
    assert {name: n for name, n in found.items() if n > MOST} == {}


def test_what_ignores_errors_raises_no_flags() -> None:
    for dtype in (F32, F64):
        cases = [Case(p, (dtype,), dtype, {}) for p in (LOGISTIC, ERF_INV)]
        code = Compiled(cases, 4)
        for case in cases:
            for x in operands(case)[0]:
                assert code(case, np.full(4, x))[1] & 13 == 0, (case.name, x)


def test_functions_of_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    names = ("expit", "xlogy", "xlog1py", "entr", "log_expit")
    made = [elementwise(n, getattr(special, n), *[lambda *_: 0] * getattr(special, n).nin) for n in names]
    cases = [Case(p, (F64,) * p.ufunc.nin, F64, {}) for p in made]
    assert [c.name for c in cases if not supports(c.primitive, c.ins, c.out, {})] == []
    code = Compiled(cases, 4)
    for case in cases:
        assert roundings(case, code) <= 4, case.name
    impostor = elementwise("expit", np.exp, lambda *_: 0)
    assert by_name(impostor) == () and not supports(impostor, (F64,), F64, {})
