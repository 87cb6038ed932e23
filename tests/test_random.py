"""Random numbers: the generators, and samples next to JAX's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import random
from tools.random_cases import CASES, KEYS, Case
from tools.random_reference import read

REFERENCE = read()

# ------------------------------------------------------------------------------------------------------------ JAX's own


def apart(got: np.ndarray, want: np.ndarray, scale: float) -> float:
    """How many roundings samples are apart, of the larger of a number and the scale of what it is made of."""
    scale = np.maximum(np.abs(want.astype(complex)), 1 if want.dtype.kind == "c" else scale)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return float(np.max(np.where(same, 0, np.abs(got.astype(complex) - want) / scale), initial=0)) / float(
        np.finfo(want.dtype).eps
    )


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_samples_are_those_of_jax(case: Case) -> None:
    for name, make in KEYS.items():
        want, got = REFERENCE[case.name][name], np.asarray(case.call(random, make(random)))
        assert (got.dtype, got.shape) == (want.dtype, want.shape), name
        if case.ulps == 0:
            assert np.array_equal(got, want, equal_nan=want.dtype.kind == "f"), name
        else:
            assert apart(got, want, case.scale) <= case.ulps, name


def test_every_sampler_is_compared() -> None:
    called = set()

    class Noting:
        def __getattr__(self, name: str) -> Any:
            called.add(name)
            return getattr(random, name)

    for case in CASES.values():
        case.call(Noting(), random.key(0))
    assert set(random.__all__) - called == {"PRNGKey", "clone", "key_dtype", "key_impl", "random_bits"}
