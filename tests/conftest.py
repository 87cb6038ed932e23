"""What holds for all tests: programs are checked, properties have no deadline, random numbers are always the same."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from tunings import kept, without_native

import funcgrad
from funcgrad import extend
from funcgrad.executor.tiles import tuning
from funcgrad.numpy import _dispatch
from funcgrad.ops import rules
from funcgrad.ops.math import UFUNCS
from funcgrad.passes.components import Packing, packing
from funcgrad.passes.unroll import Unrolling, unrolling

settings.register_profile("funcgrad", deadline=None, derandomize=True)
settings.load_profile("funcgrad")


# Once for all: each change of these goes through all programs that there are.
funcgrad.config.flush_denormals = False
funcgrad.config.native = os.environ.get("FUNCGRAD_NATIVE", "off")  # not by the time that tests take
funcgrad.config.native_cache = os.environ.get("FUNCGRAD_NATIVE_CACHE", "off")


@pytest.fixture(autouse=True, scope="module")
def _kept_from_the_collector() -> None:
    """What other modules have left stays: Python's collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_settings() -> Iterator[None]:
    """Every program that is built is checked; floating-point faults warn (and a warning is an error here).

    Subnormal numbers are kept, so that compiled programs and NumPy agree about them.
    """
    before = {name: getattr(funcgrad.config, name) for name in funcgrad.config.__slots__}
    funcgrad.config.check_ir = True
    funcgrad.config.slow_compile = float("inf")  # a slow machine is no fault
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield
    for name, value in before.items():
        setattr(funcgrad.config, name, value)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of random numbers, seeded."""
    return np.random.default_rng(0)


@pytest.fixture
def extensions() -> Iterator[None]:
    """What a test declares by `funcgrad.extend` is gone afterwards."""
    tables: list[dict[Any, Any]] = [
        rules.PRIMITIVES,
        UFUNCS,
        _dispatch.FUNCTIONS,
        _dispatch.UFUNC_METHODS,
        extend.OWNERS,
    ]
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def by_numpy() -> Iterator[None]:
    """What is tested is the code that calls NumPy: native code does not take its place."""
    with without_native():
        yield


@pytest.fixture
def small_tiles() -> Iterator[None]:
    """Small arrays are cut into many tiles, which threads share."""
    with kept(tuning):
        tuning.tile_bytes = tuning.shared_bytes = 256
        tuning.call_ns = tuning.share_ns = 1
        tuning.smallest = 2
        funcgrad.config.threads = 2
        yield


@pytest.fixture
def unrolled_when() -> Iterator[Unrolling]:
    """What decides which small programs are written out; as it was, afterwards."""
    with kept(unrolling) as given:
        yield given


@pytest.fixture
def packed_when() -> Iterator[Packing]:
    """What decides which leaves are packed; as it was, afterwards."""
    with kept(packing) as given:
        yield given


@pytest.fixture(params=["as chosen", "by NumPy"])
def small_arrays(request: pytest.FixtureRequest) -> None:
    """Small programs are written out where that pays, or not at all."""
    if request.param == "by NumPy":
        request.getfixturevalue("unrolled_when").gain = 0
