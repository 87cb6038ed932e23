"""Every elementwise function, and every function that asks for dtypes, through all dtypes and pairs of them.

What NumPy gives for plain values (value, dtype, type, or error) must come from the traced function, and from the
compiled one: call by call, in tiles, written out over Python's numbers. By default a sample of all that, another one
for each function; `FUNCGRAD_DTYPES=1` tries everything (some minutes).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from dtype_cases import DTYPES, SCALARS, WAYS, differences, outcome, pairs, values
from dtype_functions import ONE, SUMS, TWO

import funcgrad as fg
from funcgrad.ops.math import UFUNCS

ALL = bool(os.environ.get("FUNCGRAD_DTYPES"))

Case = tuple[str, Callable[..., Any], tuple[Any, ...]]

COMPILED = ("jit", "jit again", "tiles", "written out")
EAGER_WARNS = ("vjp", "jvp", "vmap", "written out")
"""Ways that may warn of something else: of derivatives, of both examples, or not at all where Python computes."""


def neighbours(u: np.ufunc) -> Callable[..., Any]:
    """A ufunc between others, with which it is fused."""

    def before(x: Any) -> Any:
        return x[::-1] ^ True if x.dtype.kind == "b" else x + x.dtype.type(1)

    return lambda *xs: np.logical_not(u(*map(before, xs)))


def unary(u: np.ufunc) -> Iterator[Case]:
    for d in DTYPES:
        yield f"{d}", u, (values(d),)
        yield f"{d}, number", u, (values(d)[2],)
        yield f"{d}, empty", u, (values(d)[:0],)
        yield f"{d}, neighbours", neighbours(u), (values(d),)
    for s in SCALARS:
        if type(s) is not int or -(2**63) <= s < 2**63:
            yield f"{s!r}", u, (s,)


def binary(u: np.ufunc) -> Iterator[Case]:
    for d in DTYPES:
        for e in DTYPES:
            x, y = pairs(values(d)[-8:], values(e)[:8])
            yield f"{d}, {e}", u, (x, y)
            yield f"{d}, {e}, numbers", u, (values(d)[-2], values(e)[1])
            yield f"{d}, {e}, number", u, (values(d), values(e)[1])
            yield f"{d}, {e}, neighbours", neighbours(u), (x, y)
        for s in SCALARS:
            yield f"{d}, {s!r}", lambda x, s=s: u(x, s), (values(d),)
            yield f"{s!r}, {d}", lambda x, s=s: u(s, x), (values(d),)
            if type(s) is not int or -(2**63) <= s < 2**63:
                yield f"{d}, traced {s!r}", u, (values(d), s)


def chosen(name: str, cases: Iterator[Case], share: int) -> Iterator[tuple[str, Case]]:
    """Cases with ways to run them: all of them, or one of so many each in one way."""
    start = crc32(name.encode())
    ways = list(WAYS)
    for n, case in enumerate(cases, start):
        if ALL:
            yield from ((way, case) for way in ways)
        elif n % share == 0:
            yield ways[n // share % len(ways)], case


def check(name: str, cases: Iterator[Case], share: int, ulps: float, sums: bool = False, warns: bool = True) -> None:
    wrong: list[str] = []
    for way, (what, f, args) in chosen(name, cases, share):
        want, got = outcome(f, *args), outcome(WAYS[way](f), *args)
        types = True if way in COMPILED else False if way == "vmap" else None
        found = differences(got, want, ulps, types, sums)
        if not found and warns and way not in EAGER_WARNS and want.error is None:
            more = got.warned - want.warned
            found = f"warns of {set(more)}" if more else ""
        if found:
            wrong.append(f"{name} ({what}), {way}: {found}")
    assert not wrong, "\n".join([f"{len(wrong)} differ:", *wrong[:20]])


@pytest.mark.parametrize("u", [u for u in UFUNCS if u.nin == 1], ids=lambda u: u.__name__)
def test_ufuncs_of_one_array(u: np.ufunc) -> None:
    check(u.__name__, unary(u), 5, 4)


@pytest.mark.parametrize("u", [u for u in UFUNCS if u.nin == 2], ids=lambda u: u.__name__)
def test_ufuncs_of_two_arrays(u: np.ufunc) -> None:
    check(u.__name__, binary(u), 23, 4)


def some(dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers of one size for sums of products: an infinity times zero, and overflow, depend on their order."""
    x = values(dtype)
    return x[np.isfinite(x) & (np.abs(x) < 100)] if dtype.kind in "fc" else x


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_array(name: str) -> None:
    check(name, ((str(d), ONE[name], (values(d),)) for d in DTYPES), 5, 16, warns=False)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_arrays(name: str) -> None:
    def cases() -> Iterator[Case]:
        rng = np.random.default_rng(0)
        for d in DTYPES:
            for e in DTYPES:
                x, y = pairs(*((some if name in SUMS else values)(k) for k in (d, e)))
                at = rng.permutation(len(x))[:20] if len(x) >= 20 else np.arange(20) % len(x)
                yield f"{d}, {e}", TWO[name], (x[at], y[at])

    check(name, cases(), 29, 64 if name in SUMS else 16, name in SUMS, warns=False)


def test_a_wrong_dtype_is_noticed() -> None:
    one = outcome(lambda: np.float32(1.5))
    for other in (np.float64(1.5), 1.5, np.ones((), np.float32) * 1.5, np.float32(-1.5), np.ones(1, np.float32) * 1.5):
        assert differences(outcome(lambda x=other: x), one) or type(other) is np.float32
    assert differences(outcome(lambda: np.float32(-0.0)), outcome(lambda: np.float32(0.0)))
    assert differences(outcome(lambda: 1 / 0), one) and differences(one, outcome(lambda: 1 / 0))
    assert differences(outcome(lambda: [][1]), outcome(lambda: 1 / 0))


# --------------------------------------------------------------------------------------------------- branches on values

NUMBERS: list[list[Any]] = [
    *([values(d)[i] for i in (0, 1, 2)] for d in DTYPES),
    *([np.array(values(d)[i]) for i in (0, 1, 2)] for d in "?BlfF"),
    [True, False, True],
    [3, 0, -1],
    [1.5, 0.0, -0.0, float("nan")],
    [1j, 0j, 2 + 0j],
]
"""Of each type, so that a function takes several ways."""

BRANCHES: dict[str, Callable[[Any], Any]] = {
    "truth": lambda n: 1.0 if n else 2.0,
    "itself": lambda n: n if n else 3,
    "not": lambda n: 2 * n if not n else n,
    "compared": lambda n: n + n if n == 1 else n * n,
    "ordered": lambda n: n * 2 if n.real > 0 else n - n.real,
    "int": lambda n: np.ones(int(n.real) % 4 if n.real == n.real else 1) * n,
    "float": lambda n: n * 1 if float(n.real) > 0.5 else n * 0,
    "complex": lambda n: n if complex(n) == 1j else 7,
    "both": lambda n: (n * 3 if n else n) if n != 2 else n + 1,
    "array": lambda n: np.arange(3) * n if np.any(np.arange(2) * n) else np.zeros(2),
    "chained": lambda n: max(n.real, 1) if n else min(n.real, -1),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("written", [False, True])
def test_branches_on_numbers_of_all_types(name: str, written: bool, unrolled_when: Any) -> None:
    """Each way, then each way again: recorded, compiled, and compiled with what was missed."""
    if written:
        unrolled_when.gain, unrolled_when.operation = np.inf, 0.0
    for numbers in NUMBERS:
        f = fg.jit(BRANCHES[name])
        for n in [*numbers, *numbers, *numbers[::-1]]:
            want, got = outcome(BRANCHES[name], n), outcome(f, n)
            assert not (found := differences(got, want)), f"{n!r}: {found}"


def test_many_ties_share_a_derivative_in_half_precision() -> None:
    x = np.ones(70_000, np.float16)
    got: Any = fg.grad(np.max)(x)
    assert got.dtype == np.float16
    np.testing.assert_allclose(np.sum(got, dtype=np.float64), 1, rtol=2e-3)
