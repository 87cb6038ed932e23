"""Random numbers: the generators, and samples next to JAX's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import dtypes, random
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.nn import initializers
from funcgrad.ops import normal_quantile, threefry
from tools.random_cases import CASES, INITIALIZERS, KEYS, Case
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


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_parameters_are_those_of_jax(name: str) -> None:
    want, got = REFERENCE[name]["key(0)"], INITIALIZERS[name](initializers, random.key(0))
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert apart(got, want, 1.0) <= 8


def test_every_initialiser_is_compared() -> None:
    assert {name.split("(")[0] for name in INITIALIZERS} == set(initializers.__all__) - {"Initializer"}


# -------------------------------------------------------------------------------------------------------- generators


def words(n: int, key: int = 0) -> np.ndarray:
    return threefry.threefry_pairs(np.array([[key, 7]], np.uint32), range(n))[0]


def test_known_answers_of_threefry() -> None:
    """From the authors' own table, Random123's kat_vectors."""
    for key, counter, want in (
        ((0, 0), 0, (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), 2**64 - 1, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), 0x243F6A88_85A308D3, (0xC4923A9C, 0x483DF7A0)),
    ):
        for more in ([], list(range(200))):  # in one integer; by NumPy
            found = threefry.threefry_pairs(np.array([key], np.uint32), [counter, *more])
            assert tuple(found[0, 0]) == want


@pytest.mark.parametrize("n", [1, 2, 95, 96, 97, 5000, 40000])
def test_streams_begin_alike_however_long_they_are(n: int) -> None:
    """Few and many counters, one key and several, are computed in different ways."""
    keys = random.split(random.key(3), 3)
    for width in (8, 32, 64):
        longest = random.random_bits(keys[1], width, (40000,))
        assert np.array_equal(random.random_bits(keys[1], width, (n,)), longest[:n])
        together = fg.vmap(lambda k, w=width: random.random_bits(k, w, (n,)))(keys)
        assert np.array_equal(together[1], longest[:n])
    assert np.array_equal(words(n), words(40000)[:n])


def test_counters_beyond_32_bits() -> None:
    at = [2**32 - 1, 2**32, 2**40 + 3]
    few = threefry.threefry_pairs(np.array([[1, 2]], np.uint32), at)
    many = threefry.threefry_pairs(np.array([[1, 2]], np.uint32), [*at, *range(200)])
    assert np.array_equal(few[0], many[0, :3])
    assert len({tuple(w) for w in few[0].tolist()}) == 3


PHILOX: dict[str, tuple[Callable[[Any, Any], Any], float, float]] = {
    "uniform": (lambda k, s: random.uniform(k, s), 1 / 2, 1 / 12),
    "uniform float32": (lambda k, s: random.uniform(k, s, np.float32), 1 / 2, 1 / 12),
    "normal": (lambda k, s: random.normal(k, s), 0, 1),
    "gamma": (lambda k, s: random.gamma(k, 2.5, s), 2.5, 2.5),
    "poisson": (lambda k, s: random.poisson(k, 20.0, s), 20, 20),
    "binomial": (lambda k, s: random.binomial(k, 50, 0.4, s), 20, 12),
    "randint": (lambda k, s: random.randint(k, s, 0, 7), 3, 4),
    "exponential": (lambda k, s: random.exponential(k, s), 1, 1),
}


@pytest.mark.parametrize("impl", ["philox", "threefry2x32"])
@pytest.mark.parametrize("name", PHILOX)
def test_moments(name: str, impl: str) -> None:
    draw, mean, variance = PHILOX[name]
    n = 20_000
    x = draw(random.key(11, impl=impl), (n,)).astype(float)
    assert abs(x.mean() - mean) < 4.5 * np.sqrt(variance / n)
    assert abs(x.var() - variance) < 0.07 * variance


def test_philox_is_a_stream_of_its_own() -> None:
    key = random.key(5, impl="philox")
    a, b = random.split(key)
    streams = [random.bits(k, (1000,)) for k in (key, a, b, random.fold_in(key, 0), random.fold_in(key, 1))]
    assert len(np.unique(np.concatenate(streams))) == 5000
    assert np.array_equal(streams[0], random.bits(random.key(5, impl="philox"), (1000,)))
    assert np.array_equal(random.bits(key, (5,)), streams[0][:5])
    u = np.sort(random.uniform(random.key(1, impl="philox"), (4000,)))  # Kolmogorov and Smirnov: 1.6 is beyond 99 %
    assert np.max(np.abs(u - np.arange(4000) / 4000)) * np.sqrt(4000) < 1.6
    assert random.key_data(key).shape == (4,)
    assert random.key_impl(random.wrap_key_data(random.key_data(key), impl="philox")) == "philox"


def test_normal_numbers_do_not_depend_on_how_many_there_are() -> None:
    """A few are computed by Python's arithmetic, others in blocks."""
    x = np.concatenate([np.linspace(-1, 1, 41), 1 - 10.0 ** -np.arange(1, 16), [np.nan, 2.0, -0.0]])
    together = normal_quantile.ERF_INV.bind(x)
    assert np.array_equal(together, [normal_quantile.ERF_INV.bind(v) for v in x], equal_nan=True)
    assert np.isposinf(together[40]) and np.signbit(together[-1])
    special = pytest.importorskip("scipy.special")
    near = np.abs(x) < 0.99
    np.testing.assert_allclose(together[near], special.erfinv(x[near]), rtol=4e-15)
    single = normal_quantile.ERF_INV.bind(x[near].astype(np.float32))
    np.testing.assert_allclose(single, special.erfinv(x[near].astype(np.float32)), rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- keys


def test_keys_are_an_extended_dtype() -> None:
    key = random.key(7)
    assert np.issubdtype(key.dtype, dtypes.prng_key) and dtypes.issubdtype(key.dtype, dtypes.extended)
    assert not np.issubdtype(random.PRNGKey(7).dtype, dtypes.prng_key)
    assert key.dtype == random.key_dtype() != random.key_dtype("philox")
    assert key.shape == () and random.split(key, (2, 3)).shape == (2, 3)
    assert repr(key) == "key<fry>([0 7])"
    assert random.key_impl(key) == "threefry2x32" and random.clone(key) == key
    assert "key<fry>[]" in str(fg.make_ir(lambda k: random.bits(k))(key))
    assert dtypes.canonicalize_dtype(float) == np.float64 and dtypes.result_type(np.float32, np.int8) == np.float32


def test_raw_keys_give_raw_keys() -> None:
    raw = random.PRNGKey(3)
    a, b = random.split(raw)
    assert a.dtype == np.uint32 and a.shape == (2,)
    assert np.array_equal(random.key_data(random.split(random.key(3))[1]), b)
    assert random.fold_in(raw, 3).shape == (2,)
    assert np.array_equal(random.clone(raw), raw)


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no key": (lambda: random.normal(0, (2,)), TypeError, "random key, got a int"),  # type: ignore[arg-type]
    "a list": (lambda: random.normal([0, 1], (2,)), TypeError, "random key, got a list"),
    "floats": (lambda: random.normal(np.zeros(2), (2,)), TypeError, r"f64\[2\]"),
    "three words": (lambda: random.normal(np.zeros(3, np.uint32)), ShapeError, r"2 words, got u32\[3\]"),
    "several keys": (lambda: random.normal(random.split(random.key(0))), ValueError, "single key.*vmap"),
    "raw keys": (lambda: random.split(np.zeros((3, 2), np.uint32)), ValueError, "single key.*vmap"),
    "rbg": (lambda: random.key(0, impl="rbg"), ValueError, "no generator 'rbg'.*'philox'"),
    "unsafe_rbg": (lambda: random.PRNGKey(0, impl="unsafe_rbg"), ValueError, "no generator"),
    "impl": (lambda: random.key(0, impl=3), TypeError, "name of a generator"),
    "impl and dtype": (lambda: random.key(0, impl="philox", dtype=random.key_dtype()), ValueError, "not both"),
    "seeds": (lambda: random.key(np.arange(2)), TypeError, "one seed.*vmap"),
    "no seed": (lambda: random.key(1.5), TypeError, "integer"),
    "a long seed": (lambda: random.key(2**64), OverflowError, "64 bits"),
    "a key as seed": (lambda: random.key(random.key(0)), TypeError, "was given a key"),
    "fold many in": (lambda: random.fold_in(random.key(0), np.arange(2)), TypeError, "one integer"),
    "fold a float in": (lambda: random.fold_in(random.key(0), 1.5), TypeError, "integer"),
    "shape": (lambda: random.normal(random.key(0), (2.5,)), TypeError, "normal: a shape"),
    "negative": (lambda: random.normal(random.key(0), (-2,)), ValueError, "not negative"),
    "dtype": (lambda: random.normal(random.key(0), (2,), int), ValueError, "normal: the dtype"),
    "int dtype": (lambda: random.randint(random.key(0), (2,), 0, 2, float), TypeError, "randint: the dtype"),
    "signed bits": (lambda: random.bits(random.key(0), (2,), np.int8), ValueError, "unsigned"),
    "width": (lambda: random.random_bits(random.key(0), 12, ()), TypeError, "8, 16, 32 or 64"),
    "parameters": (lambda: random.gamma(random.key(0), np.ones(3), (2,)), ValueError, r"gamma: .*\(3,\)"),
    "p": (lambda: random.choice(random.key(0), 3, (2,), p=np.ones(2)), ValueError, "one probability"),
    "too many": (lambda: random.choice(random.key(0), 3, (4,), replace=False), ValueError, "4 elements"),
    "method": (
        lambda: random.multivariate_normal(random.key(0), np.zeros(2), np.eye(2), method="lu"), ValueError, "cholesky"
    ),
    "mode": (lambda: random.gumbel(random.key(0), mode="best"), ValueError, "'highest'"),
    "arithmetic": (lambda: fg.jit(lambda k: k + 1)(random.key(0)), DTypeError, "not defined for key<fry>"),
    "gradient": (lambda: fg.grad(lambda k: 1.0)(random.key(0)), TypeError, r"key<fry>\[\]"),
    "binomial": (
        lambda: fg.grad(lambda p: random.binomial(random.key(0), 9, p))(0.5), NotImplementedError, "whole number"
    ),
    "fans": (lambda: initializers.he_normal()(random.key(0), (3,)), ValueError, "no axis of inputs"),
    "reuse": (lambda: fg.debug_key_reuse(True), AttributeError, "uses of keys are not counted"),  # type: ignore[attr-defined]
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    call, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        call()


def test_numpys_own_generator_under_jit_is_found() -> None:
    rng = np.random.default_rng(0)
    noisy = fg.jit(lambda x: x + rng.normal())
    fg.config.check_purity = True
    try:
        with pytest.raises(fg.errors.ImpureFunctionError):
            noisy(1.0)
            noisy(1.0)
    finally:
        fg.config.check_purity = False
