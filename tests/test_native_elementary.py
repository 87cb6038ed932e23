"""Elementary functions of native code: errors, special values, signs of zeros and flags, scalar and vector text.

`python -m tools.native_ulps` measures the same with more arguments.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("mpmath")

from funcgrad.native import elementary
from funcgrad.native.llvm import to_assembly
from tools.native_ulps import Functions, Loop, arguments, flags_of, measure, ulps, ulps_exact
from tools.native_ulps_cases import CASES

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
WIDTHS = {SINGLE: 8, DOUBLE: 4}
NAMES = sorted(elementary.names(DOUBLE))
REFERENCES = {name: case.numpy for name, case in CASES.items() if case.numpy is not None}


@pytest.fixture(scope="module")
def compiled() -> Functions:
    """All functions, as scalars and as vectors of one width."""
    return Functions([(n, d, w) for d, width in WIDTHS.items() for n in elementary.names(d) for w in (0, width)])


@pytest.fixture(
    params=itertools.product(NAMES, (SINGLE, DOUBLE), ("scalar", "vector")), ids=lambda p: f"{p[0]}-{p[1]}-{p[2]}"
)
def function(request: pytest.FixtureRequest, compiled: Functions) -> tuple[str, np.dtype[Any], Loop]:
    name, dtype, kind = request.param
    return name, dtype, compiled(name, dtype, WIDTHS[dtype] if kind == "vector" else 0)


Function = tuple[str, np.dtype[Any], Loop]


def test_errors_are_within_the_bound(function: Function) -> None:
    name, dtype, run = function
    case = CASES[name]
    found = measure(case, run, arguments(case, dtype, 4000, np.random.default_rng(0)), 8)
    assert found.worst <= case.bound and found.screened <= case.bound + 0.01, found


def special(dtype: np.dtype[Any], arity: int) -> Iterator[tuple[float, ...]]:
    info = np.finfo(dtype)
    few = [0.0, 0.5, 1.0, 2.0, 3.0, float(info.max), float(info.tiny), float(info.smallest_subnormal), np.inf]
    values = [*few, *(-x for x in few), np.nan]
    if arity == 1:
        values += [1e-300 if dtype == DOUBLE else 1e-38, 1e5, -1e5, 800.0, -800.0, 80.0, -80.0]
    return itertools.product(values, repeat=arity)


def test_special_values_and_flags_are_those_of_numpy(function: Function) -> None:
    name, dtype, run = function
    if name not in REFERENCES:
        pytest.skip("NumPy has no such function")
    for point in special(dtype, elementary.arity(name)):
        xs = tuple(np.full(WIDTHS[dtype], x, dtype) for x in point)
        with warnings.catch_warnings(record=True) as caught, np.errstate(under="ignore"):
            warnings.simplefilter("always")
            wanted = REFERENCES[name](*xs)[0]  # of an array: a scalar exponent of ½ would be a square root
        got = run(*xs)
        assert len({x.tobytes() for x in got}) == 1
        with np.errstate(all="ignore"):
            near = ulps(got, np.full_like(got, wanted, np.longdouble))[0] <= CASES[name].bound + CASES[name].numpy_bound
        assert (near and np.signbit(got[0]) == np.signbit(wanted)) or np.isnan(wanted), (point, got[0], wanted)
        warned = {w for w in ("invalid", "divide", "overflow") if any(w in str(c.message) for c in caught)}
        assert flags_of(run, *xs) == warned, (point, wanted)


def test_other_lanes_do_not_matter(function: Function) -> None:
    """A lane has the same bits whatever its neighbours are, and those of the scalar text."""
    name, dtype, run = function
    rng = np.random.default_rng(1)
    arity = elementary.arity(name)
    xs = tuple(rng.uniform(0.1, 0.9, 64).astype(dtype) for _ in range(arity))
    alone = run(*xs)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30, 1e-320, -5.0] * 4, dtype)
    for turn in range(4):
        mixed = tuple(x.copy() for x in xs)
        for k in range(arity):
            mixed[k][turn % 2 :: 2] = np.roll(odd, turn)
        rest = slice(1 - turn % 2, None, 2)
        assert run(*mixed)[rest].tobytes() == alone[rest].tobytes()


def test_scalars_and_vectors_have_the_same_bits(compiled: Functions) -> None:
    for name, (dtype, width) in itertools.product(NAMES, WIDTHS.items()):
        xs = arguments(CASES[name], dtype, 2000, np.random.default_rng(2))
        both = [compiled(name, dtype, w)(*xs) for w in (0, width)]
        assert np.array_equal(*both, equal_nan=True), name


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
def test_what_has_an_exact_result_is_exact(compiled: Functions, dtype: np.dtype[Any]) -> None:
    k = np.arange(-120, 121)
    tens, small = np.arange(0, 11 if dtype == SINGLE else 23), np.arange(0, 11)
    exact = {
        "exp2": ([k], 2.0**k),
        "log2": ([2.0**k], k),
        "log10": ([10.0**tens], tens),
        "cbrt": ([small**3.0], small),
        "hypot": ([3.0 * 2.0**k, 4.0 * 2.0**k], 5.0 * 2.0**k),
        "pow": ([-3.0 + 0.0 * small, small], (-3.0) ** small),
    }
    for name, (xs, wanted) in exact.items():
        got = compiled(name, dtype, WIDTHS[dtype])(*(np.asarray(x, dtype) for x in xs))
        assert np.array_equal(got, np.asarray(wanted, dtype)), name


@pytest.mark.parametrize("width", [0, 8])
def test_sine_and_cosine_of_one_number_are_one_call(width: int) -> None:
    t = f"<{width} x double>" if width else "double"
    parts = {s: text for n in ("sin", "cos") for s, text in elementary.definitions(n, DOUBLE, width).items()}
    calls = "".join(f"  %{n} = call {t} {elementary.symbol(n, DOUBLE, width)}({t} %x)\n" for n in ("sin", "cos"))
    main = f"define {t} @both({t} %x) {{\n{calls}  %y = fadd {t} %sin, %cos\n  ret {t} %y\n}}\n"
    code = to_assembly("".join(parts.values()) + main)
    assert code[code.index("both") :].count(elementary.symbol("sincos", DOUBLE, width)[1:]) <= 1


@pytest.mark.parametrize(("names", "width"), [(NAMES, 2), (["exp", "log", "sin"], 16)])
def test_other_widths_and_targets_without_fma(names: list[str], width: int) -> None:
    every = [(name, dtype, width) for dtype in WIDTHS for name in names]
    plain = Functions(every, fma=False)
    for name, dtype, _ in every:
        case = CASES[name]
        found = measure(case, plain(name, dtype, width), arguments(case, dtype, 2000, np.random.default_rng(3)), 2)
        assert found.worst <= case.bound and found.screened <= case.bound + 0.01, (name, dtype, found)


def test_the_checker_sees_errors() -> None:
    """What is wrong by three places, has a wrong sign or is no number is found, and what is right is not."""
    import mpmath as mp

    x = np.linspace(0.5, 3, 8)
    right = np.exp(x)
    wide = np.exp(x.astype(np.longdouble))
    assert ulps(right, wide).max() < 1
    assert ulps(right + 3 * np.spacing(right), wide).min() > 2
    assert np.isinf(ulps(np.full(1, np.nan), np.ones(1, np.longdouble)))
    assert np.isinf(ulps(np.full(1, np.inf), np.ones(1, np.longdouble)))
    assert ulps_exact(np.float64(1), mp.mpf(1)) == 0 and ulps_exact(np.float64(-1), mp.mpf(1)) > 1e15
    assert ulps_exact(np.float32(1 + 3 * 2.0**-23), mp.mpf(1)) == 3
    assert ulps_exact(np.float64(5e-324), mp.mpf(2) ** -1073) == 1

    def wrong(*xs: np.ndarray) -> np.ndarray:
        return np.exp(xs[0]) * (1 + 4e-16 * (abs(xs[0] - 1) < 0.5))

    points = arguments(CASES["exp"], DOUBLE, 4000, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        assert measure(CASES["exp"], wrong, points, 4).worst > 2


def test_what_exists() -> None:
    assert elementary.names(np.dtype(np.float16)) == frozenset() and "exp" in elementary.names(SINGLE)
    assert set(NAMES) == set(CASES)
    assert elementary.symbol("exp", DOUBLE, 8) == "@fg.exp.v8f64" and elementary.symbol("exp", SINGLE) == "@fg.exp.f32"
    with pytest.raises(KeyError):
        elementary.text("no such function", DOUBLE)
