"""Keys and samplers in every transformation, and derivatives of samples."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from roundings import assert_same

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import grad, jit, lax, nn, random, vmap
from funcgrad.test_util import check_grads
from tools.random_cases import CASES

KEY = random.key(12)
KEYS = random.split(KEY, 4)


def same(found: Any, want: Any) -> None:
    """Equal arrays, or trees of them, of equal dtypes."""
    for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(want), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        if np.asarray(a).dtype.kind == "f":
            assert_same(a, b, rtol=1e-12, atol=1e-14)
        else:
            assert np.array_equal(a, b)


# ------------------------------------------------------------------------------------------------------ keys as values


def _walk(key: Any, _: Any) -> Any:
    key, sub = random.split(key)
    return key, random.normal(sub)


MOVES: dict[str, Callable[[Any], Any]] = {
    "index": lambda ks: ks[2],
    "slice": lambda ks: ks[1:3],
    "index by an array": lambda ks: ks[np.array([3, 0, 0])],
    "iterate": lambda ks: [*ks],
    "unpack": lambda ks: random.split(ks[0], 3)[1],
    "reshape": lambda ks: ks.reshape(2, 2).T.ravel(),
    "stack": lambda ks: jnp.stack([ks[0], ks[3]]),
    "concatenate": lambda ks: jnp.concatenate([ks[2:], ks[:1]]),
    "array": lambda ks: jnp.array([ks[0], ks[1]]),
    "broadcast": lambda ks: jnp.broadcast_to(ks[0], (2, 3)),
    "expand": lambda ks: (ks[None], jnp.expand_dims(ks, 1)),
    "where": lambda ks: jnp.where(np.array([True, False, True, False]), ks, ks[::-1]),
    "select": lambda ks: lax.select(np.array([True, False]), ks[:2], ks[2:]),
    "take": lambda ks: jnp.take(ks, np.array([1, 1]), axis=0),
    "dynamic slice": lambda ks: lax.dynamic_index_in_dim(ks, 2, keepdims=False),
    "update": lambda ks: lax.dynamic_update_slice(ks, ks[:1], (2,)),
    "cond": lambda ks: lax.cond(random.bernoulli(ks[0]), lambda: ks[1], lambda: ks[2]),
    "switch": lambda ks: lax.switch(random.bits(ks[0]) % 2, [lambda k: k, lambda k: random.split(k)[0]], ks[1]),
    "scan carries": lambda ks: lax.scan(_walk, ks[0], None, length=3),
    "scan of nothing": lambda ks: lax.scan(lambda c, k: (c, k), ks[0], ks[:0]),
    "scan that keeps keys": lambda ks: lax.scan(_walk, ks[0], ks)[1],
    "scan of fixed keys": lambda ks: lax.scan(
        lambda c, k: (c, (random.split(k)[0], ks[0])), 0.0, jnp.broadcast_to(ks[0], (3,))
    ),
    "scan over keys": lambda ks: lax.scan(lambda c, k: (c + random.normal(k), k), 0.0, ks),
    "fori_loop": lambda ks: lax.fori_loop(0, 3, lambda i, k: random.fold_in(k, i), ks[0]),
    "while_loop": lambda ks: lax.while_loop(lambda s: s[1] < 0.9, lambda s: _walk(s[0], None), (ks[0], 0.0)),
    "map": lambda ks: lax.map(lambda k: random.uniform(k, (2,)), ks),
    "vmap": lambda ks: vmap(random.split)(ks),
    "vmap of two axes": lambda ks: vmap(vmap(random.uniform), in_axes=1, out_axes=1)(ks.reshape(2, 2)),
    "vmap of fold_in": lambda ks: vmap(random.fold_in, (None, 0))(ks[0], np.arange(3)),
    "vmap of fold_in, keys": lambda ks: vmap(random.fold_in)(ks, np.arange(4)),
    "tree.map": lambda ks: fg.tree.map(lambda k: random.normal(k, (2,)), {"a": ks[0], "b": (ks[1],)}),
    "key of a seed": lambda ks: vmap(random.key)(random.randint(ks[0], (3,), 0, 99)),
    "words": lambda ks: random.wrap_key_data(random.key_data(ks) + np.uint32(1)),
    "raw": lambda ks: vmap(lambda w: random.normal(random.split(w)[0], (2,)))(random.key_data(ks)),
}


@pytest.mark.parametrize("name", MOVES)
def test_keys_move_as_numbers_do(name: str) -> None:
    f = MOVES[name]
    want = f(KEYS)
    same(jit(f)(KEYS), want)
    stacked = random.split(random.key(1), (2, 4))
    each = [f(k) for k in stacked]
    same(vmap(f)(stacked), fg.tree.map(lambda *xs: np.stack(xs), *each))
    same(jit(vmap(f))(stacked), fg.tree.map(lambda *xs: np.stack(xs), *each))


def test_keys_pickle_and_travel() -> None:
    again = pickle.loads(pickle.dumps(KEYS))
    assert np.array_equal(again, KEYS) and np.array_equal(random.bits(again[1]), random.bits(KEYS[1]))
    step = jit(lambda k: random.split(k)[0], donate_argnums=0)
    assert step(again[0]) == random.split(KEYS[0])[0]
    assert fg.eval_shape(random.key, 0).dtype == KEY.dtype
    leaves, treedef = fg.tree.flatten({"k": KEY, "x": 1.0})
    assert len(leaves) == 2 and treedef.unflatten(leaves)["k"] == KEY


@pytest.mark.parametrize("transform", ["grad", "jvp", "checkpoint", "custom_vjp", "allow_int", "linearize"])
def test_keys_have_no_derivative(transform: str) -> None:
    def f(x: Any, key: Any) -> Any:
        return x * random.normal(key)

    def g(x: Any, key: Any) -> Any:
        return f(x, key)

    custom = fg.custom_vjp(g)
    custom.defvjp(lambda x, k: (f(x, k), k), lambda k, ct: (ct * random.normal(k), None))
    want = random.normal(KEY)
    found = {
        "grad": lambda: jit(grad(f))(2.0, KEY),
        "jvp": lambda: fg.jvp(f, (2.0, KEY), (1.0, np.zeros((), fg.float0)))[1],
        "checkpoint": lambda: grad(fg.checkpoint(f))(2.0, KEY),
        "custom_vjp": lambda: grad(custom)(2.0, KEY),
        "allow_int": lambda: grad(f, (0, 1), allow_int=True)(2.0, KEY)[0],
        "linearize": lambda: fg.linearize(lambda x: f(x, KEY), 2.0)[1](1.0),
    }[transform]()
    assert found == pytest.approx(want, rel=1e-15)


def test_a_network_trains_with_dropout_in_jit() -> None:
    """The pattern of most programs: a key in the state, split in each step."""

    def loss(w: Any, key: Any, x: Any) -> Any:
        keep = random.bernoulli(key, 0.8, x.shape)
        return np.mean((np.where(keep, x, 0.0) @ w - 1.0) ** 2)

    @jit
    def step(state: Any, x: Any) -> Any:
        w, key = state
        key, sub = random.split(key)
        return (w - 0.1 * grad(loss)(w, sub, x), key), sub

    def run() -> Any:
        k1, k2, k3 = random.split(random.key(0), 3)
        state = (nn.initializers.lecun_normal()(k1, (5, 2)), k2)
        xs = random.normal(k3, (20, 8, 5))
        return lax.scan(step, state, xs)

    (w, key), subs = run()
    (again, _), _ = jit(run)()
    np.testing.assert_allclose(w, again, rtol=1e-12)
    assert len(np.unique(random.key_data(subs), axis=0)) == 20 and key.shape == ()


# ----------------------------------------------------------------------------------------------------------- samplers


FIRST = {name.split("(")[0].split(" ")[0]: name for name in reversed(CASES)}
"""One case of each sampler."""


@pytest.mark.parametrize("name", [*FIRST.values(), "choice([0. 1. 2. 3.], (2,), False, None)"][: len(FIRST)])
def test_samplers_are_the_same_in_every_transformation(name: str) -> None:
    def f(key: Any) -> Any:
        return CASES[name].call(random, key)

    each = [f(k) for k in KEYS[:2]]
    same(jit(f)(KEYS[0]), each[0])
    same(vmap(f)(KEYS[:2]), np.stack(each))


def test_parameters_may_be_traced() -> None:
    for f, args in (
        (lambda k, a, b: random.uniform(k, (3,), minval=a, maxval=b), (0.5, 2.0)),
        (lambda k, a, b: random.randint(k, (3,), a, b), (2, 9)),
        (lambda k, a, b: random.beta(k, a, b, (3,)), (0.5, 2.0)),
        (lambda k, a, b: random.poisson(k, a * b, (3,)), (4.0, 5.0)),
        (lambda k, a, b: random.binomial(k, a, b, (3,)), (30.0, 0.5)),
        (lambda k, a, b: random.choice(k, a, (2,), p=b), (np.arange(3.0), np.array([0.2, 0.3, 0.5]))),
        (lambda k, a, b: random.permutation(k, a), (np.arange(6.0).reshape(3, 2), 0)),
        (lambda k, a, b: random.multivariate_normal(k, a, b), (np.zeros(2), np.eye(2))),
        (lambda k, a, b: random.triangular(k, a, b, 3.0), (0.0, 1.0)),
    ):  # fmt: skip
        same(jit(f)(KEY, *args), f(KEY, *args))
        many = [np.stack([np.asarray(x), np.asarray(x)]) for x in args]
        same(vmap(f)(KEYS[:2], *many), np.stack([f(k, *args) for k in KEYS[:2]]))
        same(vmap(f, (None, 0, 0))(KEY, *many)[1], f(KEY, *args))


def test_a_batch_of_keys_stops_where_each_stops() -> None:
    """Rejection goes on for a row until all of it is accepted, and not for as long as another row needs."""
    keys = random.split(random.key(8), 60)
    for f in (lambda k: random.poisson(k, 50.0, (5,)), lambda k: random.binomial(k, 200, 0.4, (5,))):
        assert np.array_equal(vmap(f)(keys), np.stack([f(k) for k in keys]))


# -------------------------------------------------------------------------------------------------- derivatives


SMOOTH: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "uniform": (lambda a, b: random.uniform(KEY, (3,), minval=a, maxval=b), (-1.0, 2.0)),
    "normal": (lambda m, s: m + s * random.normal(KEY, (3,)), (0.5, 2.0)),
    "truncated_normal": (lambda b: random.truncated_normal(KEY, -1.0, b), (np.array([0.5, 1.5]),)),
    "pareto": (lambda b: random.pareto(KEY, b, (3,)), (2.0,)),
    "lognormal": (lambda s: random.lognormal(KEY, s, (3,)), (0.7,)),
    "rayleigh": (lambda s: random.rayleigh(KEY, s, (3,)), (0.7,)),
    "triangular": (lambda a, m, b: random.triangular(KEY, a, m, b, (5,)), (0.0, 0.6, 1.5)),
    "weibull_min": (lambda s, c: random.weibull_min(KEY, s, c, (3,)), (1.5, 2.0)),
    "multivariate_normal": (
        lambda m, a: random.multivariate_normal(KEY, m, a @ a.T + np.eye(2)), (np.ones(2), np.array([[1, 2], [0, 1.0]]))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_samples_have_derivatives_by_their_parameters(name: str) -> None:
    pytest.importorskip("scipy")
    f, args = SMOOTH[name]
    check_grads(f, args, order=2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("a", [1e-3, 0.3, 1.0, 2.5, 40.0, 1e4])
def test_gamma_samples_move_along_their_quantiles(a: float) -> None:
    """With F(a, x) held fast; x as the other of a pair of inverse functions has it."""
    special = pytest.importorskip("scipy.special")
    for key in KEYS[:3]:
        x = random.gamma(key, a)
        if x < 1e-200:
            continue
        low, high = special.gammainc(a, x), special.gammaincc(a, x)
        h = 1e-5 * a
        inverse = special.gammaincinv if low < high else special.gammainccinv
        q = min(low, high)
        numeric = (inverse(a + h, q) - inverse(a - h, q)) / (2 * h)
        slope = grad(lambda a, key=key: random.gamma(key, a))(a)
        assert slope == pytest.approx(numeric, rel=1e-6)
        assert grad(lambda a, key=key: random.loggamma(key, a))(a) == pytest.approx(slope / x, rel=1e-9)


def test_second_derivatives_of_gamma_samples() -> None:
    """d²x/da² from the same pair of inverse functions, by differences of the first derivative along the quantile."""
    special = pytest.importorskip("scipy.special")
    a, h = 2.5, 1e-4
    x = random.gamma(KEY, a)
    q = special.gammainc(a, x)
    numeric = (special.gammaincinv(a + h, q) - 2 * x + special.gammaincinv(a - h, q)) / h**2
    assert grad(grad(lambda a: random.gamma(KEY, a)))(a) == pytest.approx(numeric, rel=1e-4)


def test_logarithms_of_tiny_gamma_samples_have_derivatives() -> None:
    pytest.importorskip("scipy")
    slope = jit(grad(lambda a: random.loggamma(KEY, a)))(1e-4)
    assert slope == pytest.approx((-0.5772156649 - random.loggamma(KEY, 1e-4)) / 1e-4, rel=1e-3)
    assert grad(lambda a: random.gamma(KEY, a))(1e-6) == 0.0


MEANS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "gamma": (lambda a: random.gamma(KEY, a, (4000,)), 1.7, 1.0),
    "beta": (lambda a: random.beta(KEY, a, 2.0, (4000,)), 1.5, 2 / 3.5**2),
    "dirichlet": (lambda a: random.dirichlet(KEY, np.stack([a, 1.0, 2.0]), (4000,))[:, 0], 1.5, 3 / 4.5**2),
    "chisquare": (lambda a: random.chisquare(KEY, a, (4000,)), 3.0, 1.0),
    "t": (lambda a: random.t(KEY, a, (4000,)) ** 2, 12.0, -2 / 10.0**2),
    "f": (lambda a: random.f(KEY, 5.0, a, (4000,)), 14.0, -2 / 12.0**2),
    "generalized_normal": (lambda a: np.abs(random.generalized_normal(KEY, a, (4000,))) ** 2.0, 2.0, -0.2591),
}
"""The derivative of a mean by a parameter, where the parameter is so."""


@pytest.mark.parametrize("name", MEANS)
def test_means_have_the_right_derivatives(name: str) -> None:
    pytest.importorskip("scipy")
    f, a, want = MEANS[name]
    slopes = fg.jvp(f, (a,), (1.0,))[1]
    assert np.mean(slopes) == pytest.approx(want, abs=4 * np.std(slopes) / np.sqrt(4000))
    same(grad(lambda a: np.mean(f(a)))(a), np.mean(slopes))


def test_whole_numbers_have_none() -> None:
    assert grad(lambda lam: lam * random.poisson(KEY, lam))(3.0) == random.poisson(KEY, 3.0)
    assert grad(lambda p: p * random.bernoulli(KEY, p))(0.9) == random.bernoulli(KEY, 0.9)
    assert grad(lambda p: p * random.binomial(KEY, 9, lax.stop_gradient(p)))(0.5) == random.binomial(KEY, 9, 0.5)
