"""`funcgrad.nn.layers`: values, derivatives in training and inference, dtypes, batches of networks, states, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from funcgrad import ShapeDtypeStruct, grad, jit, lax, nn, random, tree, value_and_grad, vmap
from funcgrad.errors import ShapeError
from funcgrad.nn import layers as L
from funcgrad.test_util import check_grads

LAYERS: dict[str, tuple[L.Layer, tuple[int, ...]]] = {
    "activation": (L.activation(np.tanh), (2, 3)),
    "dense": (L.dense(4), (2, 3)),
    "dense without bias": (L.dense(bias=False), (2, 3)),
    "conv 1-D": (L.conv(4, 3, strides=2), (2, 7, 2)),
    "conv 2-D": (L.conv(4, (3, 2), padding="VALID", groups=2), (2, 4, 5, 2)),
    "conv dilated": (L.conv(2, 2, padding=[(1, 0), (1, 0)], dilation=2, bias=False), (2, 4, 4, 1)),
    "conv_transpose": (L.conv_transpose(2, 3, strides=2), (2, 3, 4, 2)),
    "conv_transpose 1-D": (L.conv_transpose(2, 3, strides=2, padding="VALID"), (2, 3, 2)),
    "max_pool": (L.max_pool(2), (2, 4, 4, 2)),
    "avg_pool": (L.avg_pool((2, 3), strides=1, padding="SAME"), (2, 3, 4, 2)),
    "avg_pool padded": (L.avg_pool(2, padding=[(1, 1)]), (2, 4, 2)),
    "global_avg_pool": (L.global_avg_pool(), (2, 3, 4, 2)),
    "global_max_pool": (L.global_max_pool(), (2, 3, 4, 2)),
    "flatten": (L.flatten(), (2, 3, 2)),
    "dropout": (L.dropout(0.4), (3, 4)),
    "dropout of features": (L.dropout(0.4, axes=(0, -1)), (3, 2, 4)),
    "batch_norm": (L.batch_norm(), (4, 3)),
    "batch_norm of images": (L.batch_norm(0.5, 1e-3, scale=False), (2, 3, 3, 2)),
    "layer_norm": (L.layer_norm(), (2, 4)),
    "rms_norm": (L.rms_norm(), (2, 4)),
    "group_norm": (L.group_norm(2), (2, 3, 3, 4)),
    "rnn": (L.rnn(3), (2, 4, 2)),
    "lstm": (L.lstm(3, sequences=False), (2, 4, 2)),
    "gru": (L.gru(3, reverse=True), (2, 4, 2)),
    "attention": (L.attention(2), (2, 4, 6)),
    "attention, causal": (L.attention(4, 2, kv_heads=2, causal=True, rotary=True, bias=False), (2, 4, 6)),
    "attention in a window": (L.attention(1, window=(1, 0)), (2, 4, 4)),
    "positions": (L.positions(6, learned=True), (2, 4, 4)),
    "feed_forward": (L.feed_forward(5, np.tanh, gated=True), (2, 3)),
    "transformer_block": (L.transformer_block(2, 8, causal=True, rate=0.2, norm=L.rms_norm), (2, 3, 4)),
    "residual": (L.residual(L.dense(2), L.dense(2, bias=False)), (2, 3)),
    "parallel": (L.parallel(L.dense(2), b=L.batch_norm(), merge=lambda ys: np.concatenate(ys, -1)), (3, 4)),
    "network": (
        L.serial(L.conv(3, 3), L.batch_norm(), L.activation(nn.silu), L.max_pool(2), L.flatten(), out=L.dense(2)),
        (2, 4, 4, 1),
    ),
}
SMOOTH_TO_SECOND_ORDER = (
    "dense",
    "conv_transpose",
    "batch_norm",
    "rms_norm",
    "lstm",
    "attention, causal",
    "feed_forward",
)


def made(name: str, dtype: Any = np.float64) -> tuple[L.Layer, Any, Any, Any]:
    """A layer, parameters that are not only ones and zeros, an input, a state."""
    layer, shape = LAYERS[name]
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    rng = np.random.default_rng(1)
    params = tree.map(
        lambda p: p + 0.3 * rng.standard_normal(p.shape).astype(dtype),
        layer.init(random.key(0), (-1, *shape[1:]), dtype),
    )
    state = tree.map(lambda s: s + 0.3 * rng.random(s.shape).astype(dtype), layer.state(params, x))
    return layer, params, x, state


def check(have: Any, want: Any, rtol: float = 1e-12) -> None:
    assert tree.structure(have) == tree.structure(want)
    for a, b in zip(tree.leaves(have), tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_and_transformations(name: str, train: bool) -> None:
    layer, params, x, state = made(name)
    if train and name in ("activation", "flatten", "max_pool", "global_avg_pool"):
        train = False

    def f(params: Any, x: Any) -> Any:
        return layer.apply(params, x, state, key=random.key(3), train=train)

    y, new = f(params, x)
    check_grads(lambda p, x: f(p, x)[0], (params, x), order=2 if name in SMOOTH_TO_SECOND_ORDER else 1)
    check(jit(f)(params, x), (y, new))
    assert tree.structure(new) == tree.structure(state)
    many = tree.map(lambda p: np.stack([p, 2 * p]), params)
    twice = tree.map(lambda p: 2 * p, params)
    check(vmap(f)(many, np.stack([x, x])), tree.map(lambda a, b: np.stack([a, b]), (y, new), f(twice, x)), 1e-10)
    if not state:
        check(layer.apply(params, x, key=random.key(3), train=train), y)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays(name: str) -> None:
    layer, params, x, state = made(name, np.float32)
    assert all(p.dtype == np.float32 for p in tree.leaves((params, state)))
    assert all(p.dtype == np.float32 for p in tree.leaves(layer.init(random.key(0), x)))
    for train in (False, True):

        def loss(p: Any, x: Any, train: bool = train) -> Any:
            y, new = layer.apply(p, x, state, key=random.key(3), train=train)
            return np.sum(y * y), (y, new)

        (value, aux), grads = value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, x)
        assert value.dtype == np.float32
        assert all(leaf.dtype == np.float32 for leaf in tree.leaves((aux, grads)))


# ------------------------------------------------------------------------------------------------------------ values


def test_cells_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3))
    for cell in (L.rnn_cell(4), L.lstm_cell(4), L.gru_cell(4)):
        p = tree.map(lambda p: p + 0.1 * rng.standard_normal(p.shape), cell.init(random.key(0), x))
        h, c = rng.standard_normal((2, 2, 4))
        a, b = x @ p["input"] + p["bias"], h @ p["hidden"]
        parts, inner = np.split(a, a.shape[1] // 4, 1), np.split(b, a.shape[1] // 4, 1)
        if cell.name == "rnn":
            want: Any = np.tanh(a + b)
        elif cell.name == "lstm":
            i, f, g, o = (u + v for u, v in zip(parts, inner, strict=True))
            new = expit(f) * c + expit(i) * np.tanh(g)
            want = (new, expit(o) * np.tanh(new))
        else:
            r, z = expit(parts[0] + inner[0]), expit(parts[1] + inner[1])
            want = (1 - z) * np.tanh(parts[2] + r * (inner[2] + p["hidden_bias"])) + z * h
        carry, y = cell.step(p, (c, h) if cell.name == "lstm" else h, x)
        check(carry, want)
        np.testing.assert_array_equal(y, carry[1] if cell.name == "lstm" else carry)
        layer, start = L.recurrent(cell, reverse=True), cell.start(p, (2,))
        first, y1 = cell.step(p, start, x)
        _, y0 = cell.step(p, first, -x)
        np.testing.assert_allclose(layer.apply(p, np.stack([-x, x], 1)), np.stack([y0, y1], 1), rtol=1e-13)


def test_normalisation() -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 4)) * 3 + 1
    for layer, axes in ((L.batch_norm(epsilon=0), (0, 1)), (L.layer_norm(epsilon=0), 2), (L.group_norm(1), (1, 2))):
        y = layer.apply(layer.init(None, x), x, train=True)
        np.testing.assert_allclose(np.mean(y, axes), 0, atol=1e-13)
        np.testing.assert_allclose(np.std(y, axes), 1, atol=1e-4)
    rms = L.rms_norm(epsilon=0)
    np.testing.assert_allclose(np.mean(np.square(rms.apply(rms.init(None, x), x)), -1), 1)
    norm = L.batch_norm(momentum=0.0)
    params = norm.init(None, x)
    y, state = norm.apply(params, x, norm.state(params, (-1, 3, 4)), train=True)
    np.testing.assert_allclose(state["variance"], np.var(x, (0, 1)))
    check(norm.apply(params, x, state), (y, state))


def test_dropout_draws() -> None:
    x, keys = np.ones((2000, 3)), random.split(random.key(0), 2)
    y = L.dropout(0.25).apply({}, x, key=keys[0], train=True)
    assert set(np.unique(y)) == {0, 4 / 3}
    assert abs(np.mean(y == 0) - 0.25) < 0.02
    assert (y != L.dropout(0.25).apply({}, x, key=keys[1], train=True)).any()
    assert len(np.unique(L.dropout(0.5, axes=0).apply({}, x, key=keys[0], train=True), axis=1).T) == 1
    np.testing.assert_array_equal(L.dropout(0.25).apply({}, x), x)
    two = L.serial(L.dropout(0.5), L.dropout(0.5))  # each layer has a key of its own
    assert abs(np.mean(two.apply({}, x, key=keys[0], train=True) == 0) - 0.75) < 0.03


def test_embedding_and_positions() -> None:
    layer = L.embedding(5, 3)
    params = layer.init(random.key(0), ShapeDtypeStruct((2,), np.dtype(int)), np.float32)
    ids = np.array([[1, 4], [4, 4]])
    np.testing.assert_array_equal(layer.apply(params, ids), params["table"][ids])
    counts = grad(lambda p: np.sum(layer.apply(p, ids)))(params)["table"]
    np.testing.assert_array_equal(counts[:, 0], [0, 1, 0, 0, 3])
    table = L.sinusoids(7, 6)
    np.testing.assert_allclose(table[3, 2:4], [np.sin(3 * 10000 ** (-2 / 6)), np.cos(3 * 10000 ** (-2 / 6))])
    np.testing.assert_array_equal(L.positions(9).apply({}, np.zeros((2, 7, 6))), np.stack([table] * 2))
    q, k = np.random.default_rng(0).standard_normal((2, 1, 1, 8))
    products = [
        np.sum(L.rotate(q, np.array([i])) * L.rotate(k, np.array([j]))) for i, j in ((3, 1), (9, 7), (102, 100))
    ]
    np.testing.assert_allclose(products, products[0], rtol=1e-10)


def test_attention_masks() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    layer, causal = L.attention(2), L.attention(2, causal=True)
    params = layer.init(random.key(0), x)
    np.testing.assert_allclose(layer.apply(params, x, mask=np.tri(5, dtype=bool)), causal.apply(params, x), rtol=1e-12)
    padded = np.arange(5) < np.array([3, 5])[:, None, None, None]  # the first example has three positions
    np.testing.assert_allclose(layer.apply(params, x, mask=padded)[0, :3], layer.apply(params, x[:, :3])[0], rtol=1e-12)
    memory = np.random.default_rng(1).standard_normal((2, 3, 6))
    params = layer.init(random.key(0), ((-1, 5, 4), (-1, 3, 6)))
    y = layer.apply(params, (x, memory))
    order = [2, 0, 1]
    np.testing.assert_allclose(layer.apply(params, (x, memory[:, order])), y, rtol=1e-12)
    q, k, v = (z @ params[n]["weight"] for z, n in ((x, "query"), (memory, "key"), (memory, "value")))
    heads = [nn.softmax(q[..., s] @ k[..., s].mT / np.sqrt(2)) @ v[..., s] for s in (slice(0, 2), slice(2, 4))]
    np.testing.assert_allclose(y, np.concatenate(heads, -1) @ params["out"]["weight"], rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------ states


def test_sequences_piece_by_piece() -> None:
    """With a cache, pieces give what the whole does; beyond its end is an error, or NaN where that is not known."""
    net = L.serial(
        L.embedding(11, 8),
        L.positions(12),
        L.transformer_block(2, causal=True, rotary=True, kv_heads=1),
        L.lstm(8),
        L.batch_norm(),
        L.dense(11),
    )
    ids = np.random.default_rng(0).integers(0, 11, (2, 7))
    params = net.init(random.key(0), ids)
    whole = net.apply(params, ids, net.state(params, ids))[0]
    step = jit(net.apply)
    for run in (net.apply, step):
        state, pieces = net.state(params, ids, cache=7), []
        for part in (ids[:, :4], ids[:, 4:5], ids[:, 5:]):
            y, state = run(params, part, state)
            pieces.append(y)
        np.testing.assert_allclose(np.concatenate(pieces, 1), whole, rtol=1e-11)
    assert np.isnan(step(params, ids[:, :1], state)[0]).all()
    with pytest.raises(ShapeError, match="1 positions from position 7 do not fit into 7"):
        net.apply(params, ids[:, :1], state)

    def sample(carry: Any, _: Any) -> Any:
        token, state = carry
        y, state = net.apply(params, token, state)
        return (np.argmax(y, -1), state), token[:, 0]

    _, tokens = lax.scan(sample, (ids[:, :1], net.state(params, ids, cache=5)), None, length=5)
    assert tokens.shape == (5, 2)


def test_training() -> None:
    """A state goes through a loop of training; ensembles are `vmap` of `init`."""
    x = np.random.default_rng(0).standard_normal((16, 2))
    target = x[:, :1] * x[:, 1:]
    net = L.serial(L.dense(16), L.batch_norm(), np.tanh, L.dropout(0.01), out=L.dense(1))

    @jit
    def step(carry: Any, key: Any) -> Any:
        params, state = carry

        def loss(params: Any) -> Any:
            y, new = net.apply(params, x, state, key=key, train=True)
            return np.mean(np.square(y - target)), new

        (value, state), grads = value_and_grad(loss, has_aux=True)(params)
        return (tree.map(lambda p, g: p - 0.1 * g, params, grads), state), value

    def run(key: Any) -> Any:
        params = net.init(key, x)
        return lax.scan(step, (params, net.state(params, x)), random.split(key, 60))

    (params, state), losses = run(random.key(0))
    assert losses[-1] < 0.3 * losses[0]
    value = np.mean(np.square(net.apply(params, x, state)[0] - target))
    assert value < 0.5 * losses[0]
    (_, _), many = vmap(run)(random.split(random.key(1), 3))
    assert many.shape == (3, 60)
    assert (many[:, -1] < many[:, 0]).all()
    check(jit(lambda key: net.init(key, x))(random.key(0)), net.init(random.key(0), x))


def test_errors() -> None:
    key, x = random.key(0), np.ones((2, 3))
    dense = L.dense(4)
    params = dense.init(key, x)
    image = np.ones((2, 4, 4, 3))
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: dense.apply(params, x[:, :2]), ShapeError, r"dense: an input \(2, 2\) does not fit a weight \(3, 4\)"),
        (lambda: dense.apply({"bias": 0}, x), ValueError, r"dense: no parameter 'weight' among \['bias'\]"),
        (lambda: L.serial("tanh"), TypeError, "must be a Layer or a function of an array, got 'tanh'"),
        (lambda: L.serial(L.dense, L.dense(2)).init(key, x), TypeError, "makes a layer"),
        (lambda: L.serial(dense, dense_0=dense), ValueError, "same name"),
        (lambda: L.dropout(1.0), ValueError, "rate"),
        (lambda: L.dropout(0.5).apply({}, x, train=True), ValueError, "needs a key"),
        (lambda: L.batch_norm().apply(L.batch_norm().init(key, x), x), ValueError, r"layer.state\(params, x\)"),
        (lambda: L.batch_norm().apply({}, x, {}, train=True), ValueError, "no mean and variance"),
        (lambda: L.layer_norm().apply(L.layer_norm().init(key, (-1, 4)), x), ShapeError, "does not fit a scale"),
        (lambda: L.group_norm(2).apply({}, x), ShapeError, "3 features do not divide into 2 groups"),
        (lambda: L.conv(4, 3).apply(L.conv(4, 3).init(key, (-1, 4, 4, 2)), image), ShapeError, "conv: an input"),
        (lambda: L.conv(4, 3).init(key, x), ShapeError, "batch, spatial dimensions, features"),
        (lambda: L.conv(4, (3, 3)).init(key, (-1, 4, 2)), ShapeError, "window"),
        (lambda: L.conv(4, 3, groups=2).init(key, image), ShapeError, "2 groups"),
        (lambda: L.max_pool(2, strides=(1, 1, 1)).apply({}, image), ShapeError, "strides"),
        (lambda: L.embedding(3, 2).apply(L.embedding(3, 2).init(key, x), x), TypeError, "integers"),
        (lambda: L.gru(2).init(key, x), ShapeError, "gru"),
        (lambda: L.gru(2, reverse=True).state({}, (1, 2, 3), cache=1), ValueError, "reversed"),
        (lambda: L.attention(2).init(key, (1, 2, 3)), ShapeError, "3 features do not divide into 2 heads"),
        (lambda: L.attention(3, kv_heads=2).init(key, (1, 2, 3)), ShapeError, "3 heads of queries for 2"),
        (lambda: L.attention(1).state({}, (1, 2, 3), cache=3), ValueError, "causal"),
        (lambda: L.positions(2).apply({}, np.ones((1, 3, 4))), ShapeError, "3 positions from position 0"),
        (lambda: L.rotate(np.ones((2, 1, 3))), ShapeError, "even"),
        (lambda: L.residual(dense).apply(params, x), ShapeError, "shortcut"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()


def test_a_batch_without_examples_has_no_statistics() -> None:
    layer = L.batch_norm()
    params = layer.init(random.key(0), np.ones((2, 3)))
    with pytest.raises(ShapeError, match="no examples"):
        layer.apply(params, np.ones((0, 3)), layer.state(params, np.ones((2, 3))), train=True)
