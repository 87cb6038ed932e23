"""`funcgrad.nn`: values against formulas in plain NumPy, extreme arguments, conventions at kinks, attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from roundings import assert_same
from scipy import special, stats

from funcgrad import grad, jit, jvp, make_ir, nn, vmap
from funcgrad.errors import ShapeError
from funcgrad.test_util import check_grads

X = np.array([-40.0, -3.5, -2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 3.5, 7.0, 40.0])
POSITIVE = np.where(X > 0, X, 0.0)

FORMULAS: dict[str, np.ndarray] = {
    "celu": np.where(X > 0, X, np.expm1(X)),
    "elu": np.where(X > 0, X, np.expm1(X)),
    "hard_sigmoid": np.clip(X / 6 + 0.5, 0, 1),
    "hard_silu": X * np.clip(X / 6 + 0.5, 0, 1),
    "hard_swish": X * np.clip(X / 6 + 0.5, 0, 1),
    "hard_tanh": np.clip(X, -1, 1),
    "identity": X,
    "leaky_relu": np.where(X > 0, X, 0.01 * X),
    "log_sigmoid": special.log_expit(X),
    "mish": X * np.tanh(np.log1p(np.exp(X))),
    "relu": POSITIVE,
    "relu6": np.clip(X, 0, 6),
    "selu": 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X)),
    "sigmoid": special.expit(X),
    "silu": X * special.expit(X),
    "soft_sign": X / (1 + np.abs(X)),
    "softplus": np.log1p(np.exp(-np.abs(X))) + POSITIVE,
    "sparse_plus": np.where(X < -1, 0, np.where(X > 1, X, (X + 1) ** 2 / 4)),
    "sparse_sigmoid": np.clip((X + 1) / 2, 0, 1),
    "squareplus": (X + np.sqrt(X**2 + 4)) / 2,
    "swish": X * special.expit(X),
    "tanh": np.tanh(X),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activations(name: str) -> None:
    fun: Callable[..., Any] = getattr(nn, name)
    np.testing.assert_allclose(fun(X), FORMULAS[name], rtol=1e-14, atol=1e-15)
    assert_same(jit(fun)(X), fun(X))
    np.testing.assert_array_equal(vmap(fun)(X), fun(X))
    assert fun(X.astype(np.float32)).dtype == np.float32
    assert np.isfinite(grad(lambda x: np.sum(fun(x)))(X)).all()


def test_gelu() -> None:
    np.testing.assert_allclose(nn.gelu(X, approximate=False), X * stats.norm.cdf(X), atol=1e-15)
    np.testing.assert_allclose(nn.gelu(X), X * stats.norm.cdf(X), atol=5e-4)
    tanh = 0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))
    np.testing.assert_allclose(nn.gelu(X), tanh, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(float(nn.gelu(1.0)), nn.gelu(np.array([1.0]))[0])
    check_grads(nn.gelu, (X[1:-1],), order=2)


AT_KINKS: dict[str, tuple[float, float]] = {
    "relu": (0.0, 0.0), "leaky_relu": (0.0, 1.0), "elu": (0.0, 1.0), "hard_tanh": (1.0, 1.0),
    "selu": (0.0, 1.0507009873554805 * 1.6732632423543772),
    "softplus": (0.0, 0.5), "silu": (0.0, 0.5), "sparse_plus": (1.0, 1.0), "relu6": (0.0, 0.0),
    "hard_sigmoid": (3.0, 0.0), "hard_silu": (3.0, 1.0),
}  # fmt: skip
"""Where a function has a kink (or might have one), and its derivative there."""


@pytest.mark.parametrize("name", AT_KINKS)
def test_derivatives_at_kinks(name: str) -> None:
    x, want = AT_KINKS[name]
    fun = getattr(nn, name)
    assert grad(fun)(x) == pytest.approx(want)
    assert float(jvp(fun, (np.array(x),), (np.array(1.0),))[1]) == pytest.approx(want)


def test_sigmoid_does_not_overflow() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = np.array([-np.inf, -1e4, 0, 1e4, np.inf], dtype)
        np.testing.assert_array_equal(nn.sigmoid(x), np.array([0, 0, 0.5, 1, 1], dtype))
        np.testing.assert_array_equal(grad(lambda x: np.sum(nn.sigmoid(x)))(x), np.array([0, 0, 0.25, 0, 0], dtype))
    assert nn.sigmoid(np.array([-80.0]))[0] == pytest.approx(np.exp(-80.0), rel=1e-14)
    assert nn.softplus(np.array([1000.0]))[0] == 1000.0


def test_glu_and_log1mexp() -> None:
    x = np.random.default_rng(0).standard_normal((4, 6))
    np.testing.assert_allclose(nn.glu(x, 0), x[:2] * special.expit(x[2:]))
    with pytest.raises(ShapeError, match="halves"):
        nn.glu(x[:, :5])
    y = np.array([1e-300, 1e-10, 0.5, 1.0, 30.0])
    np.testing.assert_allclose(np.expm1(nn.log1mexp(y)), -np.exp(-y), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------- softmax

AXES = [-1, 0, 1, (0, 2), (2, 1), None]


@pytest.mark.parametrize("axis", AXES)
def test_softmax_and_its_kin(axis: Any) -> None:
    rng = np.random.default_rng(0)
    x = 5 * rng.standard_normal((2, 3, 4))
    np.testing.assert_allclose(nn.softmax(x, axis), special.softmax(x, axis))
    np.testing.assert_allclose(nn.log_softmax(x, axis), special.log_softmax(x, axis))
    for keep in (False, True):
        np.testing.assert_allclose(nn.logsumexp(x, axis, keepdims=keep), special.logsumexp(x, axis, keepdims=keep))
        np.testing.assert_allclose(
            nn.logmeanexp(x, axis, keepdims=keep), np.log(np.mean(np.exp(x), axis, keepdims=keep))
        )
    assert np.isnan(nn.logmeanexp(x[:0]))
    b = rng.standard_normal((3, 1))
    for have, want in zip(
        nn.logsumexp(x, axis, b, return_sign=True), special.logsumexp(x, axis, b, return_sign=True), strict=True
    ):
        np.testing.assert_allclose(have, want)
    mean, std = np.mean(x, axis, keepdims=True), np.std(x, axis, keepdims=True)
    np.testing.assert_allclose(nn.standardize(x, axis, epsilon=0.0), (x - mean) / std)
    for f in (nn.softmax, nn.log_softmax, nn.logsumexp):
        np.testing.assert_allclose(jit(lambda x, f=f: f(x, axis))(x), f(x, axis), rtol=1e-15)
        check_grads(lambda x, f=f: f(x, axis), (x / 5,), order=2)


def test_elements_left_out() -> None:
    rng = np.random.default_rng(1)
    x, where = rng.standard_normal((4, 6)), rng.random((4, 6)) > 0.4
    where[0] = False
    where[1] = True
    kept = [row[w] for row, w in zip(x, where, strict=True)]
    for i in range(1, 4):
        np.testing.assert_allclose(nn.softmax(x, where=where)[i][where[i]], special.softmax(kept[i]))
        np.testing.assert_allclose(nn.log_softmax(x, where=where)[i][where[i]], special.log_softmax(kept[i]))
        np.testing.assert_allclose(nn.logsumexp(x, 1, where=where)[i], special.logsumexp(kept[i]))
        np.testing.assert_allclose(nn.logmeanexp(x[1:], 1, where=where[1:])[i - 1], np.log(np.mean(np.exp(kept[i]))))
        np.testing.assert_allclose(nn.standardize(x[1:], where=where[1:])[i - 1][where[i]], nn.standardize(kept[i]))
    np.testing.assert_array_equal(nn.softmax(x, where=where)[~where], 0)
    np.testing.assert_array_equal(nn.log_softmax(x, where=where)[~where], -np.inf)
    assert nn.logsumexp(x, 1, where=where)[0] == -np.inf
    np.testing.assert_array_equal(grad(lambda x: np.sum(nn.softmax(x, where=where) ** 2))(x)[~where], 0)


def test_infinities_and_large_values() -> None:
    inf = np.inf
    rows = np.array([[-inf, -inf], [-inf, 0.0], [inf, 0.0], [1e30, 0.0], [-1e30, -1e30]])
    np.testing.assert_allclose(nn.logsumexp(rows, 1), [-inf, 0, inf, 1e30, -1e30 + np.log(2)])
    np.testing.assert_allclose(nn.softmax(rows[[1, 3, 4]]), [[0, 1], [1, 0], [0.5, 0.5]])
    np.testing.assert_allclose(nn.log_softmax(rows[[1, 3, 4]]), [[-inf, 0], [0, -1e30], [-np.log(2), -np.log(2)]])
    gradient = grad(lambda x: np.sum(np.where(np.isfinite(y := nn.logsumexp(x, 1)), y, 0)))(rows[[0, 1, 3, 4]])
    np.testing.assert_allclose(gradient, [[0, 0], [0, 1], [1, 0], [0.5, 0.5]])
    total, sign = nn.logsumexp(np.array([1000.0, 1000.0, 0.0]), b=np.array([1.0, -1.0, -2.0]), return_sign=True)
    assert (float(total), float(sign)) == (-inf, 0.0)  # what is not lost in rounding, as in SciPy
    assert np.isnan(nn.logsumexp(np.zeros(2), b=np.array([1.0, -2.0])))


def test_programs_are_short() -> None:
    """Each is one equation, and so is its reverse rule but for the formula in terms of the result."""
    for f in (nn.relu, nn.sigmoid, nn.gelu, nn.softmax, nn.log_softmax, nn.logsumexp):
        assert len(make_ir(f)(X).equations) == 1
    assert "exp" not in str(make_ir(grad(lambda x: nn.softmax(x)[0]))(X))


def test_one_hot() -> None:
    i = np.array([[0, 2], [3, -1]])
    want = np.array([[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(nn.one_hot(i, 3), want)
    np.testing.assert_array_equal(nn.one_hot(i, 3, axis=0), np.moveaxis(want, -1, 0))
    np.testing.assert_array_equal(nn.one_hot(i, 3, axis=1), np.moveaxis(want, -1, 1))
    assert nn.one_hot(i, 3, dtype=np.int8).dtype == np.int8
    assert nn.one_hot(1, 3).shape == (3,)
    with pytest.raises(TypeError, match="integers"):
        nn.one_hot(np.array([0.5]), 3)


# -------------------------------------------------------------------------------------------------------- attention


def attention(q: Any, k: Any, v: Any, scale: float, allowed: Any, bias: Any) -> np.ndarray:
    """One example after the other, one head after the other."""
    (b, t, n, _), heads = q.shape, k.shape[2]
    out = np.zeros((b, t, n, v.shape[-1]))
    for i in range(b):
        for j in range(n):
            one = j // (n // heads)
            logits = q[i, :, j] @ k[i, :, one].T * scale + bias[i, j]
            out[i, :, j] = special.softmax(np.where(allowed[i, j], logits, -1e300), axis=-1) @ v[i, :, one]
    return out


def test_attention() -> None:
    rng = np.random.default_rng(2)
    q, k, v = (rng.standard_normal(s) for s in ((2, 5, 4, 3), (2, 6, 2, 3), (2, 6, 2, 7)))
    bias, mask = rng.standard_normal((2, 4, 5, 6)), rng.random((2, 1, 5, 6)) > 0.3
    mask[..., 0] = True
    rows, columns = np.arange(5)[:, None], np.arange(6)
    every, zero, f = np.ones((2, 4, 5, 6), bool), np.zeros((2, 4, 5, 6)), nn.dot_product_attention
    root = 3**-0.5
    np.testing.assert_allclose(f(q, k, v), attention(q, k, v, root, every, zero))
    np.testing.assert_allclose(f(q, k, v, bias, mask, scale=0.3), attention(q, k, v, 0.3, every & mask, bias))
    np.testing.assert_allclose(f(q, k, v, is_causal=True), attention(q, k, v, root, every & (columns <= rows), zero))
    near = (columns >= rows - 1) & (columns <= rows + 2)
    np.testing.assert_allclose(f(q, k, v, local_window_size=(1, 2)), attention(q, k, v, root, every & near, zero))
    lengths = np.array([3, 6])
    allowed = every & (columns < lengths[:, None, None, None])
    np.testing.assert_allclose(f(q, k, v, key_value_seq_lengths=lengths), attention(q, k, v, root, allowed, zero))
    padded = f(q, k, v, query_seq_lengths=np.array([5, 2]))
    np.testing.assert_array_equal(padded[1, 2:], 0)
    np.testing.assert_allclose(padded[0], f(q[0], k[0], v[0]))
    np.testing.assert_allclose(vmap(f)(q, k, v), f(q, k, v))
    check_grads(lambda q, k, v: f(q, k, v, is_causal=True), (q[0, :3], k[0, :3], v[0, :3]), order=2)
    with pytest.raises(ShapeError, match="heads"):
        f(q[:, :, :3], k, v)
    with pytest.raises(ShapeError, match="fit"):
        f(q, k, v[:, :5])


# ------------------------------------------------------------------------------------------------------ edges of jax.nn


def test_complex_activations() -> None:
    z = np.array([0.3 + 0.2j, -2.0 + 1.0j, 800.0 - 1.0j, -800.0 + 1.0j])
    exact = z[:2]
    np.testing.assert_allclose(nn.sigmoid(exact), 1 / (1 + np.exp(-exact)))
    np.testing.assert_allclose(nn.silu(exact), exact / (1 + np.exp(-exact)))
    np.testing.assert_allclose(nn.softplus(exact), np.log(1 + np.exp(exact)))
    np.testing.assert_allclose(nn.log_sigmoid(exact), -np.log(1 + np.exp(-exact)))
    tanh = np.tanh(np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3))
    np.testing.assert_allclose(nn.gelu(exact), 0.5 * exact * (1 + tanh))
    np.testing.assert_allclose(nn.softplus(z[2:]), [z[2], 0], atol=1e-300)
    np.testing.assert_allclose(nn.sigmoid(z[2:]), [1, 0], atol=1e-15)
    check_grads(nn.softplus, (exact,), order=2)
    np.testing.assert_allclose(nn.logsumexp(exact), np.log(np.sum(np.exp(exact))))
    size, sign = nn.logsumexp(exact, b=np.array([2.0, 1.0j]), return_sign=True)
    np.testing.assert_allclose(np.exp(size) * sign, np.sum(np.array([2.0, 1.0j]) * np.exp(exact)))


def test_activations_at_the_extremes() -> None:
    ends = np.array([-np.inf, np.inf])
    with np.errstate(invalid="ignore"):  # the value at -inf is -inf · 0
        np.testing.assert_array_equal(grad(lambda x: np.sum(nn.hard_silu(x)))(ends), [0, 1])
    assert np.isnan(nn.relu6(np.nan))
    assert nn.relu6(np.arange(9)).dtype == np.float64
    for name in ("gelu", "elu", "selu", "silu", "softplus", "relu6", "hard_silu", "mish"):
        assert getattr(nn, name)(np.ones(2, np.float16)).dtype == np.float16
    assert nn.gelu(np.ones(2, np.float16), approximate=False).dtype == np.float16
    tail = np.array([-20.0, -30.0])
    np.testing.assert_allclose(nn.gelu(tail, approximate=False), tail * stats.norm.cdf(tail), rtol=1e-12)


def test_no_elements() -> None:
    for shape in ((0,), (2, 0)):
        x = np.zeros(shape, np.float32)
        assert nn.softmax(x).shape == nn.log_softmax(x).shape == shape
        out, sign = nn.logsumexp(x, axis=-1, return_sign=True)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out, np.full(shape[:-1], -np.inf))
        np.testing.assert_array_equal(sign, np.zeros(shape[:-1]))
    assert np.isnan(nn.logsumexp(np.array([np.nan, 0.0]), return_sign=True)[1])


def test_standardize_with_given_moments() -> None:
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 1.0]], np.float32)
    for given in ({"variance": 2.0}, {"mean": 0.5, "variance": 2}, {"mean": 0.5}, {"mean": 0.5, "algorithm": "stable"}):
        assert nn.standardize(x, **given).dtype == np.float32
    np.testing.assert_allclose(nn.standardize(x, mean=0.5, variance=2.0, epsilon=0.25), (x - 0.5) / 1.5, rtol=1e-6)
    fast = (x - 0.5) / np.sqrt(np.mean(x**2, -1, keepdims=True) - 0.25)
    np.testing.assert_allclose(nn.standardize(x, mean=0.5, epsilon=0), fast, rtol=1e-6)
    stable = (x - 0.5) / np.sqrt(np.mean((x - 0.5) ** 2, -1, keepdims=True))
    np.testing.assert_allclose(nn.standardize(x, mean=0.5, epsilon=0, algorithm="stable"), stable, rtol=1e-6)
    with pytest.raises(ValueError, match="algorithm"):
        nn.standardize(x, algorithm="slow")


def test_what_attention_gives_and_refuses() -> None:
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 4, 2, 3))
    out, residual = nn.dot_product_attention(q, k, v, is_causal=True, return_residual=True)
    logits = np.einsum("btnh,bsnh->btns", q, k) / np.sqrt(3)
    seen = np.where(np.tri(4, dtype=bool)[:, None], logits, -np.inf)
    np.testing.assert_allclose(residual, special.logsumexp(seen, -1))
    np.testing.assert_allclose(out, np.einsum("btns,bsnh->btnh", special.softmax(seen, -1), v))
    assert nn.dot_product_attention(q[0], k[0], v[0], return_residual=True)[1].shape == (4, 2)
    single = [x.astype(np.float32) for x in (q, k, v)]
    assert nn.dot_product_attention(*single, bias=np.zeros((1, 1, 4, 4))).dtype == np.float32
    for given in ({"mask": np.ones((4, 4), int)}, {"query_seq_lengths": np.array([1.0, 2.0])}, {"implementation": "x"}):
        with pytest.raises(ValueError, match=next(iter(given))):
            nn.dot_product_attention(q, k, v, **given)
    with pytest.raises(AttributeError, match="matmul"):
        nn.scaled_matmul  # noqa: B018


def test_logsumexp_beside_infinity() -> None:
    """The weight of a finite element is 0, and that of +inf is not known."""
    with np.errstate(invalid="ignore"):
        slope = grad(nn.logsumexp)(np.array([1.0, np.inf, 2.0]))
    np.testing.assert_array_equal(slope, [0.0, np.nan, 0.0])
