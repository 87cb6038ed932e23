"""Every transformation around every other: words of transformations, on a table of small programs.

A word such as (grad, vmap, jit) stands for grad of vmap of jit of the program. Programs are taken as functions from
vectors to vectors, and each letter makes such a function of one. What it ought to be follows from the plain program
alone: values by calling it, batches by a loop, derivatives (of any order) by differences of high order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import PROGRAMS, Program

import funcgrad as fg
from funcgrad import tree

Vector = Callable[[Any], Any]
Word = tuple[str, ...]

LETTERS = ("grad", "jvp", "vjp", "vmap", "jit", "linearize", "jacfwd", "jacrev", "checkpoint")
REVERSE = {"grad", "vjp", "jacrev"}
FORWARD = {"jvp", "linearize", "jacfwd"}
KINDS = {"vmap": "batch"} | dict.fromkeys(REVERSE, "pull") | dict.fromkeys(FORWARD, "push")
"""What letters do to values; the others do nothing."""
BATCH = 2


def _direction(n: int, seed: int) -> np.ndarray:
    """A fixed vector, of length 1."""
    v = np.cos(np.arange(n) * 1.7 + seed) + 0.3
    return v / max(float(np.sqrt(np.sum(v * v))), 0.5)


def _examples(v: Any) -> Any:
    """A batch made of one vector."""
    return np.stack([v, v * 0.97 + 0.01])


# What each letter does to a function of vectors. `n` is the size of its output.


def _grad(f: Vector, n: int) -> Vector:
    return fg.grad(lambda v: np.sum(f(v) * _direction(n, 1)))


def _jvp(f: Vector, n: int) -> Vector:
    return lambda v: fg.jvp(f, (v,), (_direction(v.shape[0], 2),))[1]


def _vjp(f: Vector, n: int) -> Vector:
    return lambda v: fg.vjp(f, v)[1](_direction(n, 1))[0]


def _vmap(f: Vector, n: int) -> Vector:
    return lambda v: np.reshape(fg.vmap(f)(_examples(v)), (-1,))


def _linearize(f: Vector, n: int) -> Vector:
    return lambda v: fg.linearize(f, v)[1](_direction(v.shape[0], 2))


def _jacfwd(f: Vector, n: int) -> Vector:
    return lambda v: fg.jacfwd(f)(v) @ _direction(v.shape[0], 2)


def _jacrev(f: Vector, n: int) -> Vector:
    return lambda v: _direction(n, 1) @ fg.jacrev(f)(v)


TRANSFORM: dict[str, Callable[[Vector, int], Vector]] = {
    "grad": _grad,
    "jvp": _jvp,
    "vjp": _vjp,
    "vmap": _vmap,
    "jit": lambda f, n: fg.jit(f),
    "linearize": _linearize,
    "jacfwd": _jacfwd,
    "jacrev": _jacrev,
    "checkpoint": lambda f, n: fg.checkpoint(f),
}


# And what that ought to be.

STEP = 4e-3


def _slope(f: Vector, v: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The derivative along t, by a central difference of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return np.sum([c * (f(v + k * STEP * t) - f(v - k * STEP * t)) for k, c in weights.items()], axis=0) / STEP


class Wanted:
    """What each word makes of one program. Words share what they ask for: a function is computed at a point once."""

    def __init__(self, f: Vector) -> None:
        self.known: dict[Word, Vector] = {(): _remembered(f)}

    def __getitem__(self, word: Word) -> Vector:
        kinds = tuple(KINDS[x] for x in word if x in KINDS)
        for i in reversed(range(len(kinds))):
            if kinds[i:] not in self.known:
                self.known[kinds[i:]] = _remembered(_expected(kinds[i], self.known[kinds[i + 1 :]]))
        return self.known[kinds]


def _remembered(f: Vector) -> Vector:
    found: dict[bytes, np.ndarray] = {}

    def call(v: np.ndarray) -> np.ndarray:
        point = v.tobytes()
        if point not in found:
            found[point] = f(v)
        return found[point]

    return call


def _expected(kind: str, f: Vector) -> Vector:
    if kind == "batch":
        return lambda v: np.concatenate([f(x) for x in _examples(v)])
    if kind == "push":
        return lambda v: _slope(f, v, _direction(len(v), 2))

    def pulled(v: np.ndarray) -> np.ndarray:
        rows = [_slope(f, v, e) for e in np.eye(len(v))]
        return np.array([np.sum(row * _direction(len(row), 1)) for row in rows])

    return pulled


def _words() -> list[Word]:
    """All words of one and two letters, and of three and four letters a fixed choice.

    Third derivatives are taken along directions, at least twice: the whole of them would take the differences long.
    """
    words: list[Word] = [w for k in (1, 2) for w in itertools.product(LETTERS, repeat=k)]
    for k, every in ((3, 13), (4, 151)):
        longer = list(itertools.product(LETTERS, repeat=k))
        words += [w for w in longer[5::every] if _affordable(w)]
    return words


def _affordable(word: Word) -> bool:
    reverse, forward = (sum(x in some for x in word) for some in (REVERSE, FORWARD))
    return reverse + forward <= 2 or (reverse <= 1 and forward <= 2)


WORDS = _words()
PER_PROGRAM = 52
"""How many words each program is tried with; a stride through the words, so that each word meets many programs."""


def _words_for(place: int) -> list[Word]:
    stride = next(s for s in itertools.count(len(WORDS) // PER_PROGRAM) if np.gcd(s, len(WORDS)) == 1)
    start = place * PER_PROGRAM * stride
    return [WORDS[(start + i * stride) % len(WORDS)] for i in range(PER_PROGRAM)]


def _defined(program: Program, word: Word) -> bool:
    """Whether the program has the derivatives in this word."""
    if not program.forward:  # forward mode only over reverse mode
        for i, letter in enumerate(word):
            if letter in FORWARD and not REVERSE & set(word[i + 1 :]):
                return False
    return True


def _check(word: Word, f: Vector, v: np.ndarray, wanted: Wanted) -> None:
    have = f
    for i in reversed(range(len(word))):
        have = TRANSFORM[word[i]](have, len(wanted[word[i + 1 :]](v)))
    order = sum(x in REVERSE | FORWARD for x in word)
    found = have(v)
    expected = wanted[word](v)
    assert isinstance(found, np.ndarray), f"a {type(found).__name__}"
    assert found.shape == expected.shape and found.dtype == np.float64, f"{found.dtype}{found.shape}"
    tol = (1e-12, 1e-9, 1e-8, 1e-5)[order]
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * (1 + np.max(np.abs(expected), initial=0)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_words(name: str) -> None:
    place = list(PROGRAMS).index(name)
    program = PROGRAMS[name]
    f, v = program.vector()
    wanted = Wanted(f)
    failures: list[str] = []
    tried = 0
    for word in _words_for(place):
        if not _defined(program, word):
            continue
        tried += 1
        try:
            _check(word, f, v, wanted)
        except Exception as error:
            failures.append(f"{' of '.join(word)} of {name!r}: {type(error).__name__}: {str(error)[:300]}")
    assert not failures, f"{len(failures)} of {tried} words:\n" + "\n".join(failures)
    assert tried >= 15


def test_enough_words_meet_enough_programs() -> None:
    met: dict[Word, int] = dict.fromkeys(WORDS, 0)
    for place, program in enumerate(PROGRAMS.values()):
        words = [w for w in _words_for(place) if _defined(program, w)]
        assert len(set(words)) >= (30 if program.forward else 15), program.name
        for w in words:
            met[w] += 1
    assert len(PROGRAMS) >= 25 and len(WORDS) >= 60
    assert min(met.values()) >= 5, [w for w, n in met.items() if n < 5]


# ---------------------------------------------------------------------------------------- batches of arguments


def _axes_of(arg: Any) -> list[int | None]:
    """The axes along which every leaf of an argument can get a batch."""
    smallest = min(np.ndim(x) for x in tree.leaves(arg))
    return [0, -1, None] if smallest == 0 else [0, 1, -1, None]


def _batched(arg: Any, axis: int | None, size: int) -> Any:
    if axis is None:
        return arg
    return tree.map(
        lambda x: np.stack([x * (1 + 0.01 * i) for i in range(size)], axis) if size else _empty(x, axis), arg
    )


def _empty(x: Any, axis: int) -> np.ndarray:
    return np.take(np.stack([x], axis), [], axis)


def _example(arg: Any, axis: int | None, i: int) -> Any:
    return arg if axis is None else tree.map(lambda x: np.take(x, i, axis), arg)


@pytest.mark.parametrize("size", [3, 1, 0])
@pytest.mark.parametrize("name", PROGRAMS)
def test_vmap_is_a_loop_for_all_in_axes(name: str, size: int) -> None:
    program = PROGRAMS[name]
    plain = program.fun(*program.args)
    for axes in itertools.product(*map(_axes_of, program.args)):
        if all(a is None for a in axes):
            continue
        args = [_batched(x, a, size) for x, a in zip(program.args, axes, strict=True)]
        found = fg.vmap(program.fun, in_axes=axes)(*args)
        rows = [program.fun(*(_example(x, a, i) for x, a in zip(args, axes, strict=True))) for i in range(size)]
        what = f"vmap of {name!r} with in_axes={axes} and {size} examples"
        assert tree.structure(found) == tree.structure(plain), what
        for j, (have, like) in enumerate(zip(tree.leaves(found), tree.leaves(plain), strict=True)):
            assert have.shape == (size, *np.shape(like)) and have.dtype == like.dtype, f"{what}: {have.shape}"
            for i, row in enumerate(rows):
                np.testing.assert_allclose(have[i], tree.leaves(row)[j], rtol=1e-12, atol=1e-14, err_msg=what)


@pytest.mark.parametrize("size", [2, 0])
@pytest.mark.parametrize("name", PROGRAMS)
def test_vmap_of_grad_is_a_loop_for_all_in_axes(name: str, size: int) -> None:
    program = PROGRAMS[name]

    def loss(*args: Any) -> Any:
        parts = [
            np.abs(x) ** 2 if x.dtype.kind == "c" else np.sin(x)
            for x in tree.leaves(program.fun(*args))
            if x.dtype.kind in "fc"
        ]
        return sum(np.sum(p * (1.0 + i)) for i, p in enumerate(parts))

    nums = tuple(range(len(program.args)))
    gradient = fg.grad(loss, nums)
    for axes in itertools.product(*map(_axes_of, program.args)):
        if all(a is None for a in axes):
            continue
        args = [_batched(x, a, size) for x, a in zip(program.args, axes, strict=True)]
        found = fg.vmap(gradient, in_axes=axes)(*args)
        what = f"vmap of grad of {name!r} with in_axes={axes} and {size} examples"
        for have, like in zip(tree.leaves(found), tree.leaves(program.args), strict=True):
            assert have.shape == (size, *np.shape(like)), what
        for i in range(size):
            row = gradient(*(_example(x, a, i) for x, a in zip(args, axes, strict=True)))
            for have, want in zip(tree.leaves(found), tree.leaves(row), strict=True):
                np.testing.assert_allclose(have[i], want, rtol=1e-11, atol=1e-13, err_msg=what)
