"""For each rewriting rule of `passes.algebra` the patterns that it fits, as functions of two arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad.capture import as_directions
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.math import COMPLEX
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import PLACE

__all__ = ["PATTERNS", "ROUNDED", "Pattern"]

Pattern = Callable[[Any, Any], Any]


def _square(x: Any) -> Any:
    """A small matrix with the elements of a vector."""
    return x[:9].reshape(3, 3)


def _placed(x: Any, at: int = 2) -> Any:
    return PLACE.bind(x, start=(at,), step=(1,), shape=(x.shape[0] + 4,))


def _dot(a: Any, b: Any, ca: tuple[int, ...], cb: tuple[int, ...]) -> Any:
    return DOT_GENERAL.bind(a, b, contract=(ca, cb), batch=((), ()))


def _wide(x: Any, n: int = 4) -> Any:
    return np.broadcast_to(x, (n, *x.shape))


PATTERNS: dict[str, tuple[Pattern, ...]] = {
    # arithmetic
    "_plus_zero": (
        lambda x, y: x + -0.0,
        lambda x, y: x + 0,
        lambda x, y: 0 + x,
        lambda x, y: np.zeros_like(y) + x,
        lambda x, y: x + np.zeros(x.shape, x.dtype),
        lambda x, y: x + x.dtype.type(0),
    ),
    "_minus_zero": (
        lambda x, y: x - 0,
        lambda x, y: x - 0.0,
        lambda x, y: x - -0.0,
        lambda x, y: x - np.zeros_like(y),
    ),
    "_times_one": (
        lambda x, y: x * 1,
        lambda x, y: 1.0 * x,
        lambda x, y: x * -1,
        lambda x, y: np.ones_like(y) * x,
        lambda x, y: x * np.ones_like(x),
        lambda x, y: x * -np.ones_like(x),
    ),
    "_over_one": (lambda x, y: x / 1, lambda x, y: x / np.ones_like(y)),
    "_itself": (
        lambda x, y: (np.maximum(x, x), np.minimum(x, x)),
        lambda x, y: (np.fmax(x, x), np.fmin(x, x)),
        lambda x, y: ((x & x), (x | x)),
    ),
    "_same_branches": (
        lambda x, y: np.where(y != 0, x, x),
        lambda x, y: np.where(True, x, y),
        lambda x, y: np.where(np.zeros(x.shape, bool), x, y),
        lambda x, y: np.where(np.nan, x, y),
    ),
    "_add_negative": (
        lambda x, y: x + (-y),
        lambda x, y: (-y) + x,
        lambda x, y: x + y * -3,
        lambda x, y: y * np.float32(-2) + x,
        lambda x, y: x + (-y) * 0.1,
        lambda x, y: -x + -y,
    ),
    "_subtract_negative": (
        lambda x, y: x - (-y),
        lambda x, y: x - y * -2.5,
        lambda x, y: x - y / -3,
        lambda x, y: x - (np.float64(-3) * y),
    ),
    "_negative": (
        lambda x, y: np.negative(-x),
        lambda x, y: -(x - y),
        lambda x, y: -(x * 3),
        lambda x, y: -(x / 0.1),
        lambda x, y: -(x * np.float32(1.5)),
        lambda x, y: -(x * y[:1]),
        lambda x, y: -(-x * y),
        lambda x, y: -(x / y[:1]),
    ),
    "_factor_sign": (
        lambda x, y: -x * -y,
        lambda x, y: -x * y,
        lambda x, y: x / -y,
        lambda x, y: -x / -y,
    ),
    "_even": (lambda x, y: abs(-x), lambda x, y: np.square(-x)),
    "_times_itself": (lambda x, y: x * x,),
    "_product_of_factors": (
        lambda x, y: x * 2 * 3,
        lambda x, y: x * 3 * 2,
        lambda x, y: x * 0.5 * 2,
        lambda x, y: x * 4 / 4,
        lambda x, y: -x * 0.1,
        lambda x, y: x * 1.1 * 2,
        lambda x, y: (x * 2) * (y * 0.5),
        lambda x, y: x * 1024 * 0.25,
    ),
    "_over_power_of_two": (
        lambda x, y: x / 4,
        lambda x, y: x / 2.0**-24,
        lambda x, y: x / -0.5,
        lambda x, y: x / 2**14,
        lambda x, y: x / np.float32(2.0**-40),
        lambda x, y: x / 2.0**60,
    ),
    "_twice": (lambda x, y: x + x,),
    "_small_power": (
        lambda x, y: (np.power(x, 1), np.power(x, 2)),
        lambda x, y: (np.power(x, 3), np.power(x, 4)),
        lambda x, y: (np.power(x, 0.5), np.power(x, -1.0)),
        lambda x, y: np.power(x, x.dtype.type(3)),
    ),
    "_same_if_real": (
        lambda x, y: np.conj(x),
        lambda x, y: np.positive(x),
        lambda x, y: np.real(x),
    ),
    "_twice_conjugate": (lambda x, y: np.conj(np.conj(x)),),
    "_part": (
        lambda x, y: np.real(COMPLEX.bind(x, y)),
        lambda x, y: np.imag(COMPLEX.bind(x, y)),
    ),
    "_not_not": (lambda x, y: np.logical_not(np.logical_not(x != y)), lambda x, y: np.logical_not(np.logical_not(x))),
    "_convert": tuple(
        [lambda x, y, d=d: x.astype(d).astype(x.dtype) for d in "?bBhHiIlLefdFD"]
        + [lambda x, y, d=d: x.astype(d).astype(y.dtype) for d in "lefdD"]
    ),
    "_weaken": (
        lambda x, y: x[:3] * WEAKEN.bind(y[1].astype(float)),
        lambda x, y: WEAKEN.bind(WEAKEN.bind(x[1].astype(float))),
    ),
    # shapes
    "_without_broadcast": (
        lambda x, y: _wide(x) * y,
        lambda x, y: np.maximum(_wide(x), _wide(y)),
        lambda x, y: np.where(_wide(x) > 0, _wide(y), 3),
        lambda x, y: np.broadcast_to(x[:1], (0,)) ** y[:1],
        lambda x, y: x * np.full(x.shape, 3, y.dtype),
        lambda x, y: np.logical_and(_wide(x), _wide(y)),
    ),
    "_reshape": (
        lambda x, y: x.reshape(-1, 1).reshape(1, -1),
        lambda x, y: x[None].T.reshape(-1),
        lambda x, y: x.reshape(x.shape),
        lambda x, y: np.broadcast_to(x[1], (2, 3)).reshape(6),
    ),
    "_reshape_reduction": (lambda x, y: np.max(_square(x), axis=1, keepdims=True).reshape(3),),
    "_reshape_small": (lambda x, y: (np.max(_square(x), axis=0, keepdims=True) * 3).reshape(3),),
    "_transpose": (
        lambda x, y: np.transpose(np.transpose(x.reshape(-1, 1))),
        lambda x, y: np.transpose(x),
        lambda x, y: np.transpose(np.broadcast_to(x[1], (2, 3))),
    ),
    "_broadcast": (
        lambda x, y: _wide(_wide(x)),
        lambda x, y: _wide(x[None]),
        lambda x, y: np.broadcast_to(x, (1, *x.shape)),
    ),
    "_slice": (
        lambda x, y: x[1:][::-2][:3],
        lambda x, y: x[:],
        lambda x, y: np.concatenate([x, y])[x.shape[0] :],
        lambda x, y: np.concatenate([x, x])[1:3],
        lambda x, y: _placed(x)[2:-2],
        lambda x, y: np.broadcast_to(x[1], (5,))[1:3],
    ),
    "_place": (lambda x, y: PLACE.bind(x, start=(0,) * x.ndim, step=(1,) * x.ndim, shape=x.shape),),
    "_add_places": (lambda x, y: _placed(x) + _placed(y), lambda x, y: _placed(x) + _placed(x * 3)),
    "_concatenate": (
        lambda x, y: np.concatenate([x]),
        lambda x, y: np.concatenate([x, y[:0]]),
        lambda x, y: np.concatenate([x, y[:0], x]),
        lambda x, y: np.concatenate([np.concatenate([x, y]), x]),
        lambda x, y: np.concatenate([np.concatenate([x, y]), np.zeros(1, np.longdouble)]),
        lambda x, y: np.concatenate([x[:2], x[2:4]]),
        lambda x, y: np.concatenate(np.split(x, [1, 3])),
    ),
    # sums and products
    "_over_single": (
        lambda x, y: np.sum(x[:, None], axis=1),
        lambda x, y: np.prod(x[:, None], axis=1),
        lambda x, y: np.max(x[None], axis=0, keepdims=True),
        lambda x, y: np.all(x[None] != 0, axis=0),
    ),
    "_of_reduction": (
        lambda x, y: np.sum(np.sum(_square(x), axis=0)),
        lambda x, y: np.max(np.max(_square(x), axis=1, keepdims=True), axis=0),
        lambda x, y: np.prod(np.prod(_square(x), axis=1)),
        lambda x, y: np.any(np.any(_square(x) != 0, axis=1)),
    ),
    "_of_rearranged": (
        lambda x, y: np.sum(_square(x).T, axis=1),
        lambda x, y: np.min(_square(x)),
        lambda x, y: np.sum(_square(x)),
        lambda x, y: np.prod(_square(x).T),
    ),
    "_of_broadcast": (
        lambda x, y: np.sum(_wide(x), axis=0),
        lambda x, y: np.sum(_wide(x)),
        lambda x, y: np.max(_wide(x), axis=0),
        lambda x, y: np.sum(_wide(x[:2], 3000), axis=0),
        lambda x, y: np.any(_wide(x != 0), axis=0),
        lambda x, y: np.prod(_wide(x), axis=0),
    ),
    "_sum_of_negatives": (lambda x, y: np.sum(-x), lambda x, y: np.sum(-_square(y), axis=1)),
    "_sum_of_products": (
        lambda x, y: np.sum(x * y),
        lambda x, y: np.sum(np.square(_square(x)), axis=1),
    ),
    "_dot_of_identity": (
        lambda x, y: _dot(as_directions(np.eye(3, dtype=x.dtype)), _square(x), (1,), (0,)),
        lambda x, y: _dot(_square(y), as_directions(np.eye(3, dtype=y.dtype)), (1,), (0,)),
    ),
    "_dot_of_transposes": (lambda x, y: _square(x).T @ _square(y), lambda x, y: _square(x) @ _square(y).T),
    "_dot_of_negative": (lambda x, y: -_square(x) @ _square(y), lambda x, y: _square(x) @ -y[:3]),
    "_dot_of_kinds": (lambda x, y: _square(x) @ _square(y),),
    "_transpose_of_dot": (lambda x, y: (_square(x) @ _square(y)).T,),
}
"""By the name of the rule."""


class Rounding(NamedTuple):
    """How a rule may change rounding, and why."""

    ulps: float
    why: str


_ORDER = "numbers are added (or multiplied) in another order"

ROUNDED: dict[str, Rounding] = {
    "_small_power": Rounding(3, "a power is rounded as products are"),
    "_of_reduction": Rounding(16, _ORDER),
    "_of_rearranged": Rounding(16, _ORDER),
    "_of_broadcast": Rounding(3000, "n equal numbers are one product"),
    "_dot_of_identity": Rounding(0, "the zeros of the identity do not meet infinities, nor add up to 0.0"),
    "_sum_of_products": Rounding(64, _ORDER),
    "_dot_of_transposes": Rounding(64, _ORDER),
    "_dot_of_negative": Rounding(64, _ORDER),
    "_dot_of_kinds": Rounding(64, _ORDER),
    "_transpose_of_dot": Rounding(64, _ORDER),
}
"""The rules that change rounding; all others change nothing at all."""
