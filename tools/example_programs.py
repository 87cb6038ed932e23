"""Programs in the style of JAX's examples, which run on JAX and on funcgrad alike: each gives numbers to compare.

A program is a function of a namespace `m` with `grad`, `jit`, `lax`, `nn`, `np` (`jax.numpy`), `optimizers`, `random`,
`scipy`, `stax`, `tree`, `value_and_grad` and `vmap`: `namespace("jax")` or `namespace("funcgrad")`.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as onp

__all__ = ["NETS", "OPTIMIZERS", "PROGRAMS", "namespace", "run_net", "run_optimizer"]


def namespace(library: str) -> SimpleNamespace:
    """The modules and transformations of a library."""
    top = importlib.import_module(library)
    m = SimpleNamespace(**{n: getattr(top, n) for n in ("grad", "jit", "value_and_grad", "vmap")})
    for name in ("lax", "nn", "random", "tree"):
        setattr(m, name, importlib.import_module(f"{library}.{name}"))
    m.np = importlib.import_module(f"{library}.numpy")
    m.scipy = importlib.import_module(f"{library}.scipy.stats")
    m.linalg = importlib.import_module(f"{library}.scipy.linalg")
    m.stax = importlib.import_module(f"{library}.example_libraries.stax")
    m.optimizers = importlib.import_module(f"{library}.example_libraries.optimizers")
    return m


# -------------------------------------------------------------------------------------- layers and optimisers, by name

NETS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "dense": (lambda s: s.serial(s.Dense(4), s.Relu, s.Dense(3), s.LogSoftmax), (4, 5)),
    "images": (
        lambda s: s.serial(
            s.Conv(3, (3, 3), padding="SAME"), s.BatchNorm(), s.Relu, s.MaxPool((2, 2), (2, 2)),
            s.Conv(2, (2, 3), (2, 1)), s.Gelu, s.Flatten, s.Dense(2), s.Softmax,
        ),
        (2, 6, 8, 2),
    ),
    "transposed": (
        lambda s: s.serial(
            s.ConvTranspose(3, (3, 3), (2, 2), padding="SAME"), s.Elu, s.ConvTranspose(2, (2, 3)),
            s.AvgPool((2, 2), padding="SAME"), s.SumPool((3, 2), (2, 2)), s.Tanh,
        ),
        (2, 3, 2, 2),
    ),
    "sequence": (
        lambda s: s.serial(s.Conv1DTranspose(3, (3,), (2,)), s.Selu, s.AvgPool((2,)), s.LeakyRelu, s.Exp), (2, 4, 2),
    ),
    "features first": (
        lambda s: s.serial(
            s.GeneralConv(("NCHW", "OIHW", "NCHW"), 3, (3, 2)), s.Sigmoid, s.MaxPool((2, 2), (1, 2), "SAME", "NCHW"),
            s.Softplus, s.AvgPool((2, 2), (1, 2), "SAME", "NCHW"),
            s.GeneralConvTranspose(("NHCW", "HOIW", "NCWH"), 2, (2, 2)),
        ),
        (2, 3, 4, 5),
    ),
    "side by side": (
        lambda s: s.serial(
            s.FanOut(3), s.parallel(s.Dense(4), s.Identity, s.serial(s.Dense(2), s.Tanh)), s.FanInConcat(),
            s.FanOut(2), s.parallel(s.Dense(3), s.Dense(3)), s.FanInSum,
        ),
        (3, 4),
    ),
    "dropout": (lambda s: s.serial(s.Dense(5), s.Dropout(0.7), s.Dense(3), s.Dropout(0.5)), (3, 4)),
    "not dropout": (lambda s: s.serial(s.Dense(5), s.Dropout(0.7, mode="test")), (3, 4)),
    "dropout in parallel": (
        lambda s: s.serial(s.FanOut(2), s.parallel(s.Dropout(0.5), s.Dropout(0.5)), s.FanInSum), (3, 4),
    ),
    "by shape": (
        lambda s: s.serial(
            s.shape_dependent(lambda n: s.serial(s.Dense(n[-1]), s.FanOut(2), s.parallel(s.Identity, s.Dense(n[-1])),
                                                 s.FanInSum)),
            s.BatchNorm(0, scale=False), s.BatchNorm(axis=(0,), center=False, epsilon=0.1),
        ),
        (3, 4),
    ),
}  # fmt: skip

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda o: o.sgd(0.1),
    "sgd exponential": lambda o: o.sgd(o.exponential_decay(0.1, 5, 0.7)),
    "momentum": lambda o: o.momentum(0.05, 0.9),
    "nesterov": lambda o: o.nesterov(o.inverse_time_decay(0.1, 3, 0.5), 0.8),
    "nesterov staircase": lambda o: o.nesterov(o.inverse_time_decay(0.1, 3, 0.5, True), mass=0.8),
    "adagrad": lambda o: o.adagrad(0.1),
    "rmsprop": lambda o: o.rmsprop(0.01),
    "rmsprop_momentum": lambda o: o.rmsprop_momentum(o.polynomial_decay(0.02, 10, 0.001, 2.0)),
    "adam": lambda o: o.adam(0.01, 0.8, 0.9, 1e-5),
    "adam piecewise": lambda o: o.adam(o.piecewise_constant([3, 6], [0.1, 0.05, 0.01])),
    "adamax": lambda o: o.adamax(0.05, b1=0.8),
    "sm3": lambda o: o.sm3(0.1),
}


def run_net(m: Any, name: str) -> dict[str, Any]:
    """Shape, parameters, outputs and gradients of a network, with parameters from one key and inputs from another."""
    make, shape = NETS[name]
    init, apply = make(m.stax)
    out_shape, params = init(m.random.PRNGKey(3), shape)
    x, w = m.random.normal(m.random.PRNGKey(1), shape), m.random.normal(m.random.PRNGKey(5), out_shape)
    rng = m.random.PRNGKey(2)
    value = m.jit(apply)(params, x, rng=rng)
    gradient = m.grad(lambda p: m.np.sum(w * apply(p, x, rng=rng)))(params)
    leaves = m.tree.leaves
    return {"shape": onp.array(out_shape), "params": leaves(params), "value": value, "gradient": leaves(gradient)}


def run_optimizer(m: Any, name: str, dtype: str, jit: bool = False, steps: int = 12) -> list[Any]:
    """The parameters after some steps."""
    init, update, get_params = OPTIMIZERS[name](m.optimizers)

    def loss(p: Any) -> Any:
        product = m.np.sum((p["w"] @ p["b"][0] - 1) ** 2)
        return product + m.np.sum(m.np.sin(p["w"])) * p["b"][1] + p["b"][1] ** 4

    def step(i: Any, state: Any) -> Any:
        return update(i, m.grad(loss)(get_params(state)), state)

    if jit:
        step = m.jit(step)
    w, b = onp.sin(onp.arange(6.0)).reshape(2, 3).astype(dtype), onp.cos(onp.arange(3.0)).astype(dtype)
    state = init({"w": m.np.asarray(w), "b": [m.np.asarray(b), m.np.asarray(0.3, dtype)]})
    for i in range(steps):
        state = step(i, state)
    return m.tree.leaves(get_params(state))


# ---------------------------------------------------------------------------------------------------------- programs


def _digits(n: int, size: int, classes: int) -> tuple[Any, Any]:
    """Made-up images: a bright stripe for each class, with noise."""
    rng = onp.random.default_rng(0)
    labels = rng.integers(0, classes, n)
    images = 0.3 * rng.random((n, size, size))
    images[onp.arange(n), labels % size] += 0.7
    return images, onp.eye(classes)[labels]


def classifier_from_scratch(m: Any) -> list[Any]:
    """A network of dense layers in plain functions, trained with batches of shuffled examples."""
    images, targets = _digits(128, 6, 5)
    images = images.reshape(128, -1)
    rng = onp.random.RandomState(0)
    sizes = [36, 16, 5]
    params = [(0.1 * rng.randn(a, b), 0.1 * rng.randn(b)) for a, b in itertools.pairwise(sizes)]

    def predict(params: Any, inputs: Any) -> Any:
        *hidden, (w_last, b_last) = params
        for w, b in hidden:
            inputs = m.np.tanh(m.np.dot(inputs, w) + b)
        logits = m.np.dot(inputs, w_last) + b_last
        return logits - m.nn.logsumexp(logits, axis=1, keepdims=True)

    def loss(params: Any, batch: Any) -> Any:
        return -m.np.mean(m.np.sum(predict(params, batch[0]) * batch[1], axis=1))

    @m.jit
    def update(params: Any, batch: Any) -> Any:
        grads = m.grad(loss)(params, batch)
        return [(w - 0.5 * dw, b - 0.5 * db) for (w, b), (dw, db) in zip(params, grads, strict=True)]

    printed: list[Any] = []
    for _epoch in range(3):
        order = rng.permutation(128)
        for i in range(4):
            chosen = order[32 * i : 32 * (i + 1)]
            params = update(params, (images[chosen], targets[chosen]))
        hits = m.np.argmax(predict(params, images), axis=1) == m.np.argmax(targets, axis=1)
        printed += [loss(params, (images, targets)), m.np.mean(hits)]
    return printed


def classifier(m: Any) -> list[Any]:
    """Convolutions with `stax`, trained with momentum."""
    s = m.stax
    images, targets = _digits(64, 8, 4)
    images = images[..., None]
    init, predict = s.serial(
        s.Conv(4, (3, 3), padding="SAME"), s.Relu, s.MaxPool((2, 2), (2, 2)), s.Flatten, s.Dense(4), s.LogSoftmax
    )
    opt_init, opt_update, get_params = m.optimizers.momentum(0.1, mass=0.9)

    def loss(params: Any, batch: Any) -> Any:
        return -m.np.mean(m.np.sum(predict(params, batch[0]) * batch[1], axis=1))

    @m.jit
    def update(i: Any, state: Any, batch: Any) -> Any:
        return opt_update(i, m.grad(loss)(get_params(state), batch), state)

    state = opt_init(init(m.random.key(0), (-1, 8, 8, 1))[1])
    counter = itertools.count()
    printed: list[Any] = []
    for _ in range(3):
        for at in (0, 32):
            state = update(next(counter), state, (images[at : at + 32], targets[at : at + 32]))
        printed.append(loss(get_params(state), (images, targets)))
    return printed


def autoencoder(m: Any) -> list[Any]:
    """A variational autoencoder: two outputs of the encoder by `FanOut` and `parallel`, an epoch in a `fori_loop`."""
    s, np, random = m.stax, m.np, m.random
    images = (_digits(32, 4, 4)[0].reshape(32, -1) > 0.5).astype(float)
    encoder_init, encode = s.serial(
        s.Dense(12), s.Relu, s.FanOut(2), s.parallel(s.Dense(3), s.serial(s.Dense(3), s.Softplus))
    )
    decoder_init, decode = s.serial(s.Dense(12), s.Relu, s.Dense(16))

    def elbo(rng: Any, params: Any, images: Any) -> Any:
        mean, variance = encode(params[0], images)
        code = mean + np.sqrt(variance) * random.normal(rng, mean.shape)
        logits = decode(params[1], code)
        fit = -np.sum(np.logaddexp(0.0, np.where(images > 0, -1.0, 1.0) * logits))
        divergence = -0.5 * np.sum(1.0 + np.log(variance) - mean**2 - variance)
        return (fit - divergence) / images.shape[0]

    opt_init, opt_update, get_params = m.optimizers.momentum(1e-2, mass=0.9)

    @m.jit
    def epoch(rng: Any, state: Any, images: Any) -> Any:
        def body(i: Any, state: Any) -> Any:
            key, binary_key = random.split(random.fold_in(rng, i))
            batch = m.lax.dynamic_slice_in_dim(images, i * 8, 8)
            batch = random.bernoulli(binary_key, 0.1 + 0.8 * batch)
            grads = m.grad(lambda p: -elbo(key, p, batch))(get_params(state))
            return opt_update(i, grads, state)

        return m.lax.fori_loop(0, 4, body, state)

    k1, k2 = random.split(random.PRNGKey(1))
    state = opt_init((encoder_init(k1, (-1, 16))[1], decoder_init(k2, (-1, 3))[1]))
    printed: list[Any] = []
    for i in range(3):
        state = epoch(random.PRNGKey(i), state, images)
        printed.append(elbo(random.PRNGKey(9), get_params(state), images))
    return printed


def variational_inference(m: Any) -> list[Any]:
    """A diagonal normal distribution fitted to a funnel by gradients of sampled lower bounds, with `vmap` over keys."""
    np, random, norm = m.np, m.random, m.scipy.norm

    def log_density(x: Any) -> Any:
        return norm.logpdf(x[1], 0, 1.35) + norm.logpdf(x[0], 0, np.exp(x[1]))

    def bound(params: Any, rng: Any) -> Any:
        mean, log_std = params
        sample = mean + np.exp(log_std) * random.normal(rng, mean.shape)
        return log_density(sample) - np.sum(norm.logpdf(sample, mean, np.exp(log_std)))

    def objective(params: Any, i: Any) -> Any:
        keys = random.split(random.fold_in(random.PRNGKey(0), i), 40)
        return -np.mean(m.vmap(bound, in_axes=(None, 0))(params, keys))

    opt_init, opt_update, get_params = m.optimizers.adam(0.1)
    state = opt_init([np.zeros(2) + 0.5, np.zeros(2) - 1])

    @m.jit
    def update(i: Any, state: Any) -> Any:
        value, grads = m.value_and_grad(objective)(get_params(state), i)
        return value, opt_update(i, grads, state)

    printed: list[Any] = []
    for i in range(12):
        value, state = update(i, state)
        printed.append(value)
    return [*printed, *get_params(state)]


def private_gradients(m: Any) -> list[Any]:
    """Gradients of each example, clipped, added up and blurred (Abadi et al., 2016)."""
    s, np, random = m.stax, m.np, m.random
    images, targets = _digits(16, 6, 3)
    images = images[..., None]
    init, predict = s.serial(
        s.Conv(2, (3, 3), (2, 2), padding="SAME"), s.Relu, s.MaxPool((2, 2), (1, 1)), s.Flatten, s.Dense(3)
    )

    def loss(params: Any, image: Any, target: Any) -> Any:
        logits = s.logsoftmax(predict(params, image[None]))
        return -np.mean(np.sum(logits * target[None], axis=1))

    def clipped(params: Any, image: Any, target: Any) -> Any:
        leaves, treedef = m.tree.flatten(m.grad(loss)(params, image, target))
        norm = np.linalg.norm(np.array([np.linalg.norm(g.ravel()) for g in leaves]))
        return m.tree.unflatten(treedef, [g / np.maximum(norm / 0.5, 1.0) for g in leaves])

    @m.jit
    def update(rng: Any, i: Any, state: Any) -> Any:
        params = get_params(state)
        grads = m.vmap(clipped, (None, 0, 0))(params, images, targets)
        leaves, treedef = m.tree.flatten(grads)
        keys = random.split(rng, len(leaves))
        noise = [0.1 * random.normal(k, g.shape[1:]) for k, g in zip(keys, leaves, strict=True)]
        total = [(np.sum(g, 0) + e) / 16 for g, e in zip(leaves, noise, strict=True)]
        return opt_update(i, m.tree.unflatten(treedef, total), state)

    opt_init, opt_update, get_params = m.optimizers.sgd(0.3)
    state = opt_init(init(random.key(0), (-1, 6, 6, 1))[1])
    for i in range(3):
        state = update(random.fold_in(random.key(7), i), i, state)
    return m.tree.leaves(get_params(state))


def gaussian_process(m: Any) -> list[Any]:
    """Regression with a Gaussian process: hyperparameters by momentum on the marginal likelihood, then predictions."""
    np, linalg = m.np, m.linalg
    rng = onp.random.default_rng(3)
    x = rng.uniform(-3, 3, (15, 1))
    y = np.sin(x[:, 0]) + 0.1 * rng.standard_normal(15)

    def covariance(params: Any, a: Any, b: Any) -> Any:
        def kernel(u: Any, v: Any) -> Any:
            return params["amplitude"] * np.exp(-np.sum((u / params["length"] - v / params["length"]) ** 2))

        return m.vmap(lambda u: m.vmap(lambda v: kernel(u, v))(b))(a)

    def positive(params: Any) -> Any:
        return {k: m.nn.softplus(v) for k, v in params.items()}

    def minus_log_likelihood(params: Any) -> Any:
        p = positive(params)
        factor = linalg.cholesky(covariance(p, x, x) + np.eye(15) * (p["noise"] + 1e-6), lower=True)
        inner = linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * np.sum(inner**2) + np.sum(np.log(np.diag(factor))) + 7.5 * np.log(2 * np.pi)

    params = {"amplitude": np.zeros(()), "noise": np.zeros(()) - 5.0, "length": np.zeros((1,))}
    speed = m.tree.map(lambda p: p * 0, params)
    step = m.jit(m.value_and_grad(minus_log_likelihood))
    printed: list[Any] = []
    for _ in range(8):
        value, grads = step(params)
        speed = m.tree.map(lambda v, g: 0.9 * v + g, speed, grads)
        params = m.tree.map(lambda p, v: p - 0.01 * v, params, speed)
        printed.append(value)
    p = positive(params)
    grid = np.linspace(-2, 2, 5)[:, None]
    cross = covariance(p, x, grid)
    solved = linalg.solve(covariance(p, x, x) + np.eye(15) * (p["noise"] + 1e-6), cross, assume_a="pos")
    return [*printed, np.dot(solved.T, y), np.diag(covariance(p, grid, grid) - np.dot(cross.T, solved))]


def kernel_least_squares(m: Any) -> list[Any]:
    """Regression with kernels, where the system is solved by gradient descent in a `while_loop`."""
    np = m.np

    def gram(kernel: Any, xs: Any) -> Any:
        return m.vmap(lambda x: m.vmap(lambda y: kernel(x, y))(xs))(xs)

    def minimise(f: Any, x: Any, size: float, limit: float) -> Any:
        def going(state: Any) -> Any:
            i, old, new = state
            return (i < 400) & (np.max(np.abs(new - old)) > limit)

        def step(state: Any) -> Any:
            i, _, new = state
            return i + 1, new, new - size * m.grad(f)(new)

        return m.lax.while_loop(going, step, (0, x, x - size * m.grad(f)(x)))[2]

    @m.jit
    def train(xs: Any, ys: Any) -> Any:
        K = gram(lambda x, y: np.exp(-np.sum((x - y) ** 2) / 2), xs) + 0.1 * np.eye(xs.shape[0])
        return minimise(lambda a: 0.5 * np.dot(np.dot(a, K), a) - np.dot(a, ys), np.zeros(xs.shape[0]), 0.2, 1e-4)

    rng = onp.random.RandomState(0)
    xs = rng.randn(20, 3)
    return [train(xs, np.dot(xs, onp.arange(3.0)))]


PROGRAMS: dict[str, Callable[[Any], list[Any]]] = {
    f.__name__: f
    for f in (
        classifier_from_scratch, classifier, autoencoder, variational_inference, private_gradients, gaussian_process,
        kernel_least_squares,
    )
}  # fmt: skip
