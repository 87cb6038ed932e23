"""Random programs (`native_random.py`): native code gives NumPy's results, warnings and errors.

`FUNCGRAD_NATIVE_RANDOM` sets how many programs there are, and `FUNCGRAD_NATIVE_RANDOM_START` the first.
"""

from __future__ import annotations

import os
import traceback
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_random import Drawn, draw

import funcgrad as fg
from funcgrad import config

COUNT = int(os.environ.get("FUNCGRAD_NATIVE_RANDOM", "60"))
START = int(os.environ.get("FUNCGRAD_NATIVE_RANDOM_START", "0"))
PARTS = 6


class Outcome(NamedTuple):
    """What is to be seen of a call."""

    results: list[Any]
    told: tuple[Any, ...]


def outcome(run: Any, drawn: Drawn, args: list[Any]) -> Outcome:
    """What a call gives, says and shows."""
    drawn.seen.clear()
    results: list[Any] = []
    error = None
    with warnings.catch_warnings(record=True) as caught, np.errstate(**drawn.errors):
        warnings.simplefilter("always")
        try:
            results = run(*args)
        except Exception as problem:
            error = type(problem), str(problem), traceback.extract_tb(problem.__traceback__)[0].line
    said = [(w.category, str(w.message), w.filename, w.lineno) for w in caught]
    return Outcome(results, (error, said, [x.tobytes() for x in drawn.seen]))


def moved(args: list[Any], eps: float) -> list[Any]:
    """Arguments that differ by a rounding."""
    found = []
    for k, x in enumerate(args):
        if isinstance(x, np.ndarray) and x.dtype.kind in "fc":
            by = np.random.default_rng(k).choice([-1, 1], x.shape) * max(eps, float(np.finfo(x.dtype).eps))
            with np.errstate(all="ignore"):
                x = np.where(np.isfinite(x), x + x * by, x).astype(x.dtype)
        found.append(x)
    return found


def same_bits(a: Any, b: Any) -> bool:
    equal = np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return equal and (a.dtype.kind != "f" or np.array_equal(np.signbit(a)[a == a], np.signbit(b)[b == b]))


def near(a: Any, b: Any, moved: Any, rounding: float) -> bool:
    """Whether two results differ by roundings: of themselves, of numbers around one on the way, and of arguments, to
    which they are as sensitive as the third one shows."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(b)
        scale = np.max(np.abs(b[finite]), initial=0.0)
        if not same_bits(finite, np.isfinite(moved)):
            return True  # on the edge of what is finite
        by = np.max(np.abs(moved[finite] - b[finite]), initial=0.0)
        off = np.max(np.abs(a[finite] - b[finite]), initial=0.0)
        return same_bits(np.isnan(a), np.isnan(b)) and bool(off <= rounding * (64 * scale + 8) + 64 * by)


def difference(seed: int) -> str:
    """How native code differs from NumPy's calls on a program; "" where it does not."""
    drawn = draw(seed)
    numpy, native = fg.jit(drawn.function, native="off"), fg.jit(drawn.function, native="now")
    for _ in range(2):  # the first call may be a recording
        want = outcome(numpy, drawn, drawn.args)
        have = outcome(native, drawn, drawn.args)
        roundings = drawn.notes.roundings
        if have.told != want.told and not (drawn.notes.cut and have.told[0] is None):
            return f"told {have.told}\nnot {want.told}"
        if want.told[0] is not None:
            continue
        if len(have.results) != len(want.results):
            return "results"
        for k, (a, b) in enumerate(zip(have.results, want.results, strict=True)):
            kinds = type(a), type(b)
            a, b = np.asarray(a), np.asarray(b)
            if kinds[0] is not kinds[1] or (a.dtype, a.shape) != (b.dtype, b.shape):
                return f"result {k}: {kinds[0]} {a!r}, not {kinds[1]} {b!r}"
            if same_bits(a, b):
                continue
            other = roundings[k] and outcome(numpy, drawn, moved(drawn.args, roundings[k])).results
            if not other or not near(a, b, np.asarray(other[k]), roundings[k]):
                return f"result {k} ({roundings[k]}):\n{a!r}\nnot\n{b!r}"
    return ""


@pytest.mark.parametrize("part", range(PARTS))
def test_native_code_gives_what_numpy_gives(part: int) -> None:
    config.native_cache = "off"
    found = {}
    for seed in range(START + part, START + COUNT, PARTS):
        text = difference(seed)
        if text:
            found[seed] = text
    assert not found, "\n\n".join(f"program {seed}: {text}" for seed, text in found.items())
