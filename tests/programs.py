"""Small programs on which transformations are composed: one for each kind of operation, with arguments away from kinks.

`PROGRAMS` is the table. Arguments are tiny, so that numerical derivatives of derivatives are cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax, tree

__all__ = ["PROGRAMS", "Program"]

A = np.array


@dataclass(frozen=True)
class Program:
    """A row of the table.

    Attributes:
        name: unique.
        fun: a function of pytrees of arrays.
        args: where to evaluate it.
        forward: whether it has a derivative in forward mode (a custom_vjp has none).
    """

    name: str
    fun: Callable[..., Any]
    args: tuple[Any, ...]
    forward: bool = True

    def vector(self) -> tuple[Callable[[Any], Any], np.ndarray]:
        """The program as a function from a vector to a vector (of its floating outputs), and the vector of `args`."""
        leaves, treedef = tree.flatten(self.args)
        shapes = [np.shape(x) for x in leaves]
        cuts = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])

        def fun(v: Any) -> Any:
            pieces = [np.reshape(v[a:b], s) for a, b, s in zip(cuts[:-1], cuts[1:], shapes, strict=True)]
            outs = [x for x in tree.leaves(self.fun(*treedef.unflatten(pieces))) if x.dtype.kind in "fc"]
            parts = [p for x in outs for p in ([np.real(x), np.imag(x)] if x.dtype.kind == "c" else [x])]
            return np.concatenate([np.reshape(p, (-1,)) for p in parts])

        return fun, np.concatenate([np.ravel(x) for x in leaves])


PROGRAMS: dict[str, Program] = {}
"""The table, by name."""


def _add(name: str, fun: Callable[..., Any], *args: Any, **more: Any) -> None:
    assert name not in PROGRAMS
    PROGRAMS[name] = Program(name, fun, args, **more)


# ------------------------------------------------------------------------------------------------ arrays


def _windows(x: Any, k: Any) -> Any:
    """A convolution, from slices."""
    n = k.shape[0]
    return np.tanh(sum(x[i : x.shape[0] - n + 1 + i] * k[n - 1 - i] for i in range(n)))


def _strided(x: Any) -> Any:
    even, odd = x[::2], x[1::2]
    return {"mix": even * odd[::-1], "last": np.sin(x[-1]), "new": x[None, :, None][0, 1:3]}


def _gather(x: Any) -> Any:
    return x[A([2, 0, 2])] ** 2 * x[A([1, 1, 0])], np.take(x, A([[0, 1], [2, 2]]))


def _scatter(x: Any, y: Any) -> Any:
    x, y = fg.numpy.asarray(x), fg.numpy.asarray(y)
    added = fg.at(x)[A([0, 2, 0])].add(y * y)
    return np.sin(fg.at(added)[1].set(y[0] * x[2])) + fg.at(np.zeros(3))[A([2, 0, 1])].set(x)


def _spd(x: Any) -> Any:
    return x @ x.T + 2.0 * np.eye(2)


def _complex(x: Any, y: Any) -> Any:
    z = np.exp(1j * x) * (x + 1j * y)
    return np.abs(z) ** 2 + np.real(z * np.conj(z[::-1])), z**2


def _norm_layer(x: Any) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.var(x, axis=-1, keepdims=True) + 0.1)


_add("dense", lambda w, x, b: np.tanh(w @ x + b), A([[0.3, -0.7]]), A([0.5, 1.1]), A([0.2]))
_add("scalar", lambda x: np.sin(x) * x**3 - 1 / x, A(0.7))
_add("windows", _windows, A([0.3, -0.4, 0.9]), A([0.7, -0.2]))
_add("strided", _strided, A([0.4, 0.7, -0.3, 1.2]))
_add("solve", lambda a, b: np.linalg.solve(a, b), A([[2.0, 0.3], [-0.4, 1.5]]), A([0.7, -0.2]))
_add("cholesky", lambda x: np.linalg.cholesky(_spd(x)), A([[0.6, 0.2], [-0.3, 0.8]]))
_add("inv and det", lambda x: np.linalg.inv(x) * np.linalg.det(x), A([[1.6, 0.2], [-0.3, 0.8]]))
_add("slogdet", lambda x: np.linalg.slogdet(x)[1], A([[1.6, 0.2], [-0.3, 0.8]]))
_add("sort", lambda x: np.sort(x * x * A([1.0, -1.0, 2.0])) * A([1.0, 2.0, 3.0]), A([0.3, 1.2, -1.1]))
_add("argsort", lambda x: (np.argsort(x), x[np.argsort(x)] ** 2), A([0.3, 1.2, -1.1]))
_add("gather", _gather, A([0.6, -0.2, 1.3]))
_add("scatter", _scatter, A([0.6, -0.2, 1.3]), A([0.5, 0.9, -1.4]))
_add("einsum", lambda a, b: np.einsum("ij,jk->ki", a, b * b), A([[0.2, 0.7]]), A([[0.5, -0.1], [0.3, 1.2]]))
_add(
    "batched matmul",
    lambda a: np.matmul(a, np.swapaxes(a, 1, 2)) + np.tensordot(a, a, 3),
    A([[[0.4, 1.1]], [[0.3, -0.6]]]),
)
_add("cumulative", lambda x: np.cumsum(np.cumprod(x)) * np.cumprod(x[::-1]), A([0.6, -1.2, 0.9]))
_add("extremes", lambda x: (np.max(x, axis=0) * np.min(x), np.maximum(x[0], x[1]) ** 2), A([[0.3, 1.4], [1.1, -0.5]]))
_add("where", lambda x: np.where(x > 0.2, np.sin(x), x**2) + np.clip(x, -1.0, 1.0) * x, A([0.8, -0.4, 1.5]))
_add("reductions", lambda x: (np.prod(x), np.std(x), np.logaddexp(x[0], x[1])), A([0.8, -0.4, 1.5]))
_add("norm layer", _norm_layer, A([[0.8, -0.4, 1.5]]))
_add("softmax", lambda x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x))), A([0.8, -0.4, 1.5]))
_add("complex", _complex, A([0.8, -0.4]), A([0.3, 1.1]))
_add(
    "joining",
    lambda x, y: np.stack([np.concatenate([x, y]), np.roll(np.pad(x, (0, 2)), 1)]),
    A([0.8, 0.1]),
    A([1.5, -0.3]),
)
_add(
    "pytrees",
    lambda p, x: {"out": [p["w"] * x[0], (p["b"] ** 2 * x[1],)], "n": np.sum(p["w"])},
    {"w": A([0.7, 0.2]), "b": A(1.3)},
    [A([0.4, 1.1]), A(0.6)],
)


# ------------------------------------------------------------------------------------------ control flow


def _cond(x: Any) -> Any:
    return lax.cond(np.sum(x) > 0, lambda a: np.sin(a) * a[0], lambda a: a**3, x) + x


def _cond_false(x: Any) -> Any:
    return lax.cond(x[0] > 5.0, lambda a, b: (a * b, b), lambda a, b: (np.cos(a), a * a * b), x[0], x[1])


def _switch(x: Any) -> Any:
    which = np.argmax(x)
    return lax.switch(which, [np.sin, lambda a: a**2 * x[0], lambda a: np.exp(a)], x)


def _scan(w: Any, xs: Any) -> Any:
    """A recurrent network whose weight is closed over."""

    def cell(h: Any, x: Any) -> Any:
        h = np.tanh(w * h + x)
        return h, h * x

    return lax.scan(cell, np.zeros(()), xs)


def _scan_tree(x: Any) -> Any:
    def body(c: Any, _: Any) -> Any:
        return {"i": c["i"] + 1, "v": np.sin(c["v"]) * (c["i"] + 1.0)}, c["v"]

    carry, ys = lax.scan(body, {"i": np.array(0), "v": x}, None, length=2, reverse=True)
    return carry["v"], ys


def _while(x: Any) -> Any:
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, np.sin(s[1]) + s[1] * x), (np.array(0), x))[1]


def _associative(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (x, x**2))[1]


_add("cond", _cond, A([0.7, 0.4]))
_add("cond, the other branch", _cond_false, A([0.7, 0.4]))
_add("switch", _switch, A([0.2, 1.4, 0.7]))
_add("scan", _scan, A(0.8), A([0.3, -0.5]))
_add("scan over a tree", _scan_tree, A([0.7, 1.2]))
_add("fori_loop", lambda x: lax.fori_loop(0, 3, lambda i, c: np.sin(c) * x + i, x), A([0.7, 0.2]))
_add("map", lambda x: lax.map(lambda row: np.cumsum(row**2) * row[0], x), A([[0.7, 0.2], [0.4, -1.1]]))
_add("associative_scan", _associative, A([0.7, -0.2, 0.4]))
_add("while_loop", _while, A([0.7, 0.2]))


# ------------------------------------------------------------------- transformations and rules of one's own


@fg.custom_jvp
def _log1pexp(x: Any) -> Any:
    return np.log1p(np.exp(x))


@_log1pexp.defjvp
def _log1pexp_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    return _log1pexp(x), t / (1 + np.exp(-x))


@fg.custom_vjp
def _product(x: Any, y: Any) -> Any:
    return {"p": x * np.sin(y)}


_product.defvjp(
    lambda x, y: ({"p": x * np.sin(y)}, (x, {"y": y})),
    lambda kept, ct: (ct["p"] * np.sin(kept[1]["y"]), ct["p"] * kept[0] * np.cos(kept[1]["y"])),
)


def _closure(x: Any, y: Any) -> Any:
    """A transformation inside, of a function that closes over the values outside."""
    return fg.grad(lambda z: np.sum(np.sin(z * x) * y[0] * z))(y) + fg.jvp(lambda z: z * z * x, (y,), (x,))[1]


def _nested_jit(x: Any) -> Any:
    inner = fg.jit(lambda a: np.sin(a) * x)  # closes over what is outside
    return fg.jit(lambda a: inner(a) + np.sum(inner(a * 2.0)))(x)


def _checkpointed(x: Any) -> Any:
    block = fg.checkpoint(lambda a, b: (np.tanh(a * x[0]) + b, a * b))
    a, b = block(x, x[::-1])
    return block(a, b)[0]


def _vmapped(x: Any, y: Any) -> Any:
    return fg.vmap(lambda a, b: np.outer(a, b) @ y, in_axes=(0, None), out_axes=1)(x, y)


def _inner_vjp(x: Any) -> Any:
    y, pullback = fg.vjp(lambda a: np.sin(a) * x[0], x)
    return pullback(y)[0]


def _scan_of_jit(x: Any) -> Any:
    step = fg.checkpoint(fg.jit(lambda c, a: (_log1pexp(c * a), c * x[1])))
    return lax.scan(step, x[0], x)


_add("custom_jvp", lambda x: _log1pexp(x * x) * x, A([0.7, -0.4]))
_add("custom_vjp", lambda x, y: _product(x * y, y)["p"], A([0.7, -0.4]), A([0.3, 1.1]), forward=False)
_add("closures", _closure, A([0.7, -0.4]), A([0.3, 1.1]))
_add("nested jit", _nested_jit, A([0.7, -0.4]))
_add("checkpoint", _checkpointed, A([0.7, -0.4]))
_add("vmap inside", _vmapped, A([[0.7, -0.4]]), A([0.3, 1.1]))
_add("vjp inside", _inner_vjp, A([0.7, -0.4]))
_add("scan of checkpoint of jit", _scan_of_jit, A([0.7, -0.4]))
