"""Pointwise operations of native code against NumPy: bit for bit, for every dtype, with the flags of its warnings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_harness import DIVIDE, INVALID, OVERFLOW, Case, Compiled

from funcgrad.core import Primitive
from funcgrad.native import scalars, scalars_complex_functions, scalars_functions
from funcgrad.native.scalars import apply, supports
from funcgrad.native.scalars_base import TABLE, Call
from funcgrad.native.writer import Writer, component
from funcgrad.ops.math import BRANCH_SIGN, COMPLEX, IMAG, REAL, SELECT, TIE_SHARE, UFUNCS
from funcgrad.ops.name import NAME
from funcgrad.ops.precision import REDUCE_PRECISION
from funcgrad.ops.quotients import DIV_OR_ZERO, EXPONENT_LESS_ONE, OVER_GAP
from funcgrad.ops.shape import BITCAST, CONVERT, STOP_GRADIENT
from funcgrad.ops.softmax import RELU

DTYPES = [np.dtype(c) for c in "?bhiqBHIQefdFD"]
BOOL = np.dtype(bool)
REALS, COMPLEXES = DTYPES[9:12], DTYPES[12:]
ALIASES = {NAME: {"name": "x"}, STOP_GRADIENT: {}}

# ------------------------------------------------------------------------------------------------ cases


def loops(ufunc: Any) -> Iterator[tuple[tuple[np.dtype[Any], ...], np.dtype[Any]]]:
    """The dtypes that a ufunc has results for, each once."""
    found = {}
    for loop in ufunc.types:
        ins, out = loop.split("->")
        if not set(ins + out) & set("gGOMm"):
            found[tuple(map(np.dtype, ins)), np.dtype(out)] = None
    return iter(found)


def other_cases() -> Iterator[Case]:
    """Those of primitives that are no ufuncs."""
    for old, new in itertools.product(DTYPES, DTYPES):
        if not (old.kind == "c" and new.kind in "iuf"):
            yield Case(CONVERT, (old,), new, {"dtype": new})
        if old.itemsize == new.itemsize and (old == new or (new != BOOL and "c" not in old.kind + new.kind)):
            yield Case(BITCAST, (old,), new, {"dtype": new})
    for d in DTYPES:
        yield Case(SELECT, (BOOL, d, d), d, {})
        yield from (Case(p, (d,), d, params) for p, params in ALIASES.items())
        yield from (Case(p, (d,), component(d), {}) for p in (REAL, IMAG))
        if d.kind not in "bc":
            yield Case(RELU, (d,), d, {})
        if d.kind != "c":
            yield Case(TIE_SHARE, (d, d), d if d.kind == "f" else np.dtype(float), {})
    for d in REALS:
        yield Case(BRANCH_SIGN, (d,), d, {})
        yield from (Case(p, (d, d), d, {}) for p in (DIV_OR_ZERO, EXPONENT_LESS_ONE))
        yield Case(OVER_GAP, (d,) * 4, d, {})
    for d in COMPLEXES:
        yield Case(COMPLEX, (component(d),) * 2, d, {})
    for d, (e, m) in itertools.product([*REALS, *COMPLEXES], ((5, 10), (8, 7), (4, 3), (11, 52), (5, 2))):
        if m < np.finfo(d).nmant or e < np.finfo(d).nexp:
            yield Case(REDUCE_PRECISION, (d,), d, {"exponent_bits": e, "mantissa_bits": m})


def is_rounded(case: Case) -> bool:
    """Whether this is an elementary function, which is right to a few roundings only."""
    found = scalars._rule(Call(case.primitive, case.params, case.ins, case.out))
    assert found is not None
    return found[0].emit.__module__ in (scalars_functions.__name__, scalars_complex_functions.__name__)


def all_cases() -> list[Case]:
    of_ufuncs = (
        Case(p, ins, out, {}) for p in UFUNCS.values() for ins, out in loops(p.ufunc) if supports(p, ins, out, {})
    )
    exact = (c for c in of_ufuncs if c.primitive in TABLE and not is_rounded(c))
    return list({c.name: c for c in (*exact, *other_cases())}.values())


CASES = all_cases()

# ------------------------------------------------------------------------------------------------ operands

_RNG = np.random.default_rng(7)


def hard(dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers of a dtype among which are all that are treated in a way of their own."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        some = [0, 1, 2, 3, 5, 7, 8, info.bits - 1, info.bits, info.max, info.max - 1, info.min, info.min + 1]
        some += [-1, -2, -3, -7, -info.bits] if dtype.kind == "i" else []
        more = _RNG.integers(info.min, info.max, 6, dtype, endpoint=True), _RNG.integers(0, 20, 4).astype(dtype)
        return np.concatenate([np.array(some, dtype), *more])
    if dtype.kind == "c":
        parts = hard(component(dtype))[[0, 1, 2, 3, 4, 8, 11, 12, 15, 17, 18, 19, 20, 26, 33]]
        out = np.empty((parts.size, parts.size), dtype)
        out.real, out.imag = parts[:, None], parts
        return out.reshape(-1)
    info = np.finfo(dtype)
    ends = [info.max, -info.max, info.tiny, -info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
    some = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -3, 7.25, *ends, math.inf, -math.inf, math.nan]
    some += [info.eps, 1 + info.eps, 1e4, -33.7]
    wide = np.exp(_RNG.uniform(-9, 9, 5)), 10 * _RNG.standard_normal(8)
    casts = [300, 70000, 2.0**31, 2.0**32, 2.0**63, 2.0**64, -(2.0**63), -(2.0**31) - 1, 2.0**24 + 1, 65519.99, 65520]
    with np.errstate(all="ignore"):
        return np.concatenate([np.array([*some, *casts]), *wide]).astype(dtype)


HARD = {d: hard(d) for d in DTYPES}


def operands(case: Case) -> list[np.ndarray]:
    """All combinations of hard numbers (of some, where there are many operands), padded to a multiple of 8."""
    lists = [HARD[d] for d in case.ins]
    most = {1: 300, 2: 300 if case.ins[0].kind != "c" else 48, 3: 11, 4: 6}[len(lists)]
    if len(lists) > 1:
        lists = [x if x.size <= most else _RNG.permutation(x)[:most] for x in lists]
    if case.primitive.name.startswith("pow") and case.ins[0].kind == "i":
        lists[1] = lists[1][lists[1] >= 0]
    if case.primitive is CONVERT and case.ins[0].kind == "f" and case.out == np.uint32:
        # NumPy's own loops for many and for few numbers differ beyond.
        lists[0] = lists[0][np.abs(lists[0].astype(float)) < 2.0**31]
    grid = [x.reshape(-1) for x in np.meshgrid(*lists, indexing="ij")]
    return [np.concatenate([x, np.resize(x, -x.size % 8)]) for x in grid]


def differs(got: np.ndarray, want: np.ndarray, zeros: bool = True) -> np.ndarray:
    """Where the bits differ, NaN being NaN; with `zeros` also those of zeros."""
    if want.dtype.kind == "c":
        got, want = got.view(component(got.dtype)), want.view(component(want.dtype))
    if want.dtype.kind != "f":
        return got != want
    same = (got == want) if not zeros else got.view(f"u{got.itemsize}") == want.view(f"u{want.itemsize}")
    return ~(same | (np.isnan(got) & np.isnan(want)))


PAST_NAN = {UFUNCS[np.fmax], UFUNCS[np.fmin]}
"""Of equal zeros NumPy's own loops for many and for few numbers take different ones."""


def check(cases: list[Case], width: int, **options: Any) -> list[str]:
    """The cases whose results are not NumPy's."""
    code, wrong = Compiled(cases, width, **options), []
    for case in cases:
        xs = operands(case)
        with np.errstate(all="ignore"):
            want = case.primitive.impl(*xs, **case.params)
        got, flags = code(case, *xs)
        assert want.dtype == case.out, case.name
        bad = np.flatnonzero(differs(got, want, case.primitive not in PAST_NAN))
        if bad.size or flags >> 8:
            at = bad[0] // (2 if case.out.kind == "c" else 1) if bad.size else 0
            wrong.append(f"{case.name}{[x[at] for x in xs]}: {got[at]}, not {want[at]}; {flags}")
    return wrong


def of_dtypes(chars: str) -> list[Case]:
    return [c for c in CASES if c.primitive is not CONVERT and set(c.ins) <= {np.dtype(k) for k in chars}]


@pytest.mark.parametrize(("width", "dtypes"), [(0, "?Qd"), (0, "beF"), (4, "hHi"), (4, "?efDB"), (8, "Ifq")])
def test_results(width: int, dtypes: str) -> None:
    """Of every operation on these dtypes, by scalars or by vectors of that width."""
    cases = of_dtypes(dtypes)
    assert len(cases) > 40
    assert check(cases, width) == []


@pytest.mark.parametrize("width", [0, 4])
def test_conversions(width: int) -> None:
    """Between all dtypes: scalars for every second pair, vectors for the others."""
    cases = [c for c in CASES if c.primitive is CONVERT]
    assert len(cases) == 14 * 14 - 2 * 11
    assert check(cases[width // 4 :: 2], width) == []


# ------------------------------------------------------------------------------------------------ flags

_NUMPY_FLAGS = {1: DIVIDE, 2: OVERFLOW, 8: INVALID}


def numpy_flags(case: Case, operands: list[np.ndarray]) -> int:
    """What NumPy would warn of, for the first of these operands."""
    seen = 0

    def note(_: str, flag: int) -> None:
        nonlocal seen
        for bit, mine in _NUMPY_FLAGS.items():
            seen |= mine if flag & bit else 0

    with np.errstate(all="call", call=note, under="ignore"):
        case.primitive.impl(*(x[:1] for x in operands), **case.params)
    return seen


def wrong_flags(cases: list[Case], width: int, quiet: bool, most: int = 24, **options: Any) -> list[str]:
    """Cases that raise a flag of which NumPy does not warn, or not one of which it does, for some operands."""
    code, wrong = Compiled(cases, width, quiet, **options), []
    for case in cases:
        xs = operands(case)
        for at in _RNG.permutation(xs[0].size)[:most]:
            one = [np.full(width or 1, x[at]) for x in xs]
            want, got = numpy_flags(case, one), code(case, *one)[1] & (INVALID | DIVIDE | OVERFLOW)
            if got != want and not (case.primitive.name in CLEARED and got & ~want == OVERFLOW):
                wrong.append(f"{case.name}{[x[0] for x in one]}: {got}, not {want}")
                break
    return wrong


CLEARED = ("abs", "abs_again")
"""Of complex numbers NumPy clears the flags, so that a call with an overflow is run again in vain."""


@pytest.mark.parametrize(("width", "dtypes"), [(4, "bQf"), (0, "dF")])
def test_flags(width: int, dtypes: str) -> None:
    """The flags are those that NumPy warns of, where comparisons are to be quiet.

    Of vectors of complex numbers LLVM may multiply lanes that belong to no result.
    """
    assert wrong_flags(of_dtypes(dtypes), width, True) == []


def test_flags_of_conversions() -> None:
    some = "?bqBQefdD"
    cases = [c for c in CASES if c.primitive is CONVERT and c.ins[0].char in some and c.out.char in some]
    assert wrong_flags(cases, 4, True) == []


def test_comparisons_that_are_not_quiet_raise_nothing_but_invalid_for_nan() -> None:
    f = np.dtype(float)
    cases = [c for c in of_dtypes("d") if c.out == BOOL]
    code = Compiled(cases, 4)
    for case in cases:
        nan, one = np.full(4, math.nan), np.full(4, 1.0)
        assert code(case, *[one] * len(case.ins))[1] & INVALID == 0
        assert code(case, *[nan] * len(case.ins))[1] & ~INVALID == 0
    assert {c.primitive for c in cases} >= {UFUNCS[np.less], UFUNCS[np.equal]} and f.itemsize == 8


@pytest.mark.parametrize("width", [0, 4])
def test_what_passes_over_nan_raises_no_flag(width: int) -> None:
    cases = [c for c in of_dtypes("fde") if c.primitive in PAST_NAN]
    code, nan, one = Compiled(cases, width), np.full(4, math.nan), np.full(4, 1.0)
    for case in cases:
        for xs in ((nan, one), (one, nan)):
            got, flags = code(case, *xs)
            assert flags == 0 and got.tolist() == [1.0] * 4


# ------------------------------------------------------------------------------------------------ the checks themselves


def _swapped(w: Writer, primitive: Primitive, params: Any, xs: Any, ins: Any, out: Any) -> Any:
    """Emits with the operands in the other order."""
    return apply(w, primitive, params, list(xs)[::-1], ins, out)


def test_a_wrong_emitter_is_found() -> None:
    f = np.dtype(np.float32)
    power = [Case(UFUNCS[np.subtract], (f, f), f, {}), Case(UFUNCS[np.maximum], (f, f), f, {})]
    assert len(check(power, 4, emit=_swapped)) == 2
    division = [Case(UFUNCS[np.divide], (f, f), f, {})]
    assert wrong_flags(division, 0, False) == []
    assert len(wrong_flags(division, 0, False, emit=_swapped)) == 1


def test_what_has_no_text() -> None:
    complex_, half = np.dtype(complex), np.dtype(np.float16)
    assert not supports(CONVERT, (complex_,), np.dtype(float), {"dtype": np.dtype(float)})  # NumPy warns
    assert not supports(UFUNCS[np.spacing], (half,), half, {})
    assert not supports(UFUNCS[np.add], (np.dtype(np.longdouble),) * 2, np.dtype(np.longdouble), {})
    assert apply(Writer(), UFUNCS[np.spacing], {}, ("%x",), (half,), half) is None


def test_literals_of_integers_spare_checks() -> None:
    i, w = np.dtype(np.int32), Writer()
    apply(w, UFUNCS[np.remainder], {}, ("%x", "4"), (i, i), i)
    assert not any("br " in line for line in w.lines)
    powers = Writer(4)
    cube = apply(powers, UFUNCS[np.power], {}, ("%x", powers.number(3, i)), (i, i), i)
    assert len(powers.lines) == 2 and cube == "%v2"
