"""Indexing, order, running sums and random bits of native code against NumPy's: equal to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

import funcgrad as fg
from funcgrad import lax, random
from funcgrad import numpy as jnp
from funcgrad.native.emit_order import network
from funcgrad.ops.cumulative import LINEAR_RECURRENCE
from funcgrad.transforms.make_ir import trace_to_program

RNG = np.random.default_rng(5)


def compare(f: Callable[..., Any], *args: Any, host: Sequence[str] = (), **how: Any) -> Compiled:
    """Compile, run and compare; only the operations in `host` may be left to NumPy."""
    program = trace_to_program(f, args)
    compiled = Compiled(program, **how)
    assert {name for name, _ in compiled.code.reasons} <= set(host)
    for a, b in zip(compiled(*args), map(np.asarray, program(*args)), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    return compiled


def array(dtype: str, *shape: int) -> np.ndarray:
    x = (5 * RNG.standard_normal(shape)).astype(dtype)
    if x.dtype.kind == "f" and x.size > 40:
        x.reshape(-1)[[3, 17, 18, 40]] = np.nan, np.inf, np.nan, -np.inf
    return x


# ------------------------------------------------------------------------------------------------ indexing

ROWS, COLUMNS = RNG.integers(-11, 11, 30), RNG.integers(0, 40, 30)

READS: dict[str, Callable[..., Any]] = {
    "rows": lambda x, i, j: x[i],
    "columns": lambda x, i, j: x[:, j],
    "elements": lambda x, i, j: x[i, j] + 1,
    "grid": lambda x, i, j: x[i[:5, None], j[:9]],
    "one row": lambda x, i, j: x[i[2]],
    "clipped": lambda x, i, j: jnp.take(x, j, axis=0, mode="clip"),
    "filled": lambda x, i, j: jnp.asarray(x).at[j].get(mode="fill"),
    "window": lambda x, i, j: lax.dynamic_slice(x, (i[0], j[0]), (3, 20)),
    "constants": lambda x, i, j: x[np.array([0, -1, 3])],
    "computed": lambda x, i, j: x[(j + 1) % 11, j] * 2,
    "of a product": lambda x, i, j: (x * 2 + 1)[i, j],
    "bytes": lambda x, i, j: x[j[:3].astype(np.uint8) // 4],
    "examples": lambda x, i, j: fg.vmap(lambda r, k: r[k])(x, j[:11]),
}

WRITES: dict[str, Callable[..., Any]] = {
    "add": lambda x, i, j: jnp.asarray(x).at[i, j].add(x[0, 0]),
    "add rows": lambda x, i, j: jnp.asarray(x).at[i].add(x[j // 4]),
    "set": lambda x, i, j: jnp.asarray(x).at[i].set(x[j // 4]),
    "set elements": lambda x, i, j: jnp.asarray(x).at[i, j].set(x[i, 2]),
    "drop": lambda x, i, j: jnp.asarray(x).at[j].set(x[1], mode="drop"),
    "window": lambda x, i, j: lax.dynamic_update_slice(x, x[:3, :4] + x[:3, :4], (i[0], j[0])),
    "columns": lambda x, i, j: jnp.asarray(x).at[:, j].add(x[:, :1]),
}

EXTREMES: dict[str, Callable[..., Any]] = {
    "max": lambda x, i, j: jnp.asarray(x).at[i, j].max(x[3, 3]),
    "min rows": lambda x, i, j: jnp.asarray(x).at[i].min(x[j // 4]),
}


@pytest.mark.parametrize(("dtype", "width"), [("f8", 16), ("c16", 32), ("f2", 32), ("?", 64)])
def test_indexing(dtype: str, width: int) -> None:
    x = array(dtype, 11, 40)
    rules = {**READS, **WRITES, **(EXTREMES if x.dtype.kind != "c" else {})}
    if dtype == "?":
        rules = {**READS, "add": WRITES["add"], "set": WRITES["set"]}
        del rules["computed"], rules["of a product"], rules["elements"], rules["filled"]
    if x.dtype.kind in "iu":
        del rules["filled"]
    compare(lambda *a: [f(*a) for f in rules.values()], x, ROWS, COLUMNS, width=width)


def test_derivatives_of_indexing() -> None:
    """Of whole numbers, whose sums are exact in any order."""

    def loss(x: Any) -> Any:
        columns = x[:, COLUMNS]
        return (x[ROWS] ** 2).sum() + x[ROWS, COLUMNS].sum() + (columns * columns).sum()

    compare(fg.grad(loss), RNG.integers(-9, 9, (11, 40)).astype(float))


def test_indexing_in_loops() -> None:
    def step(x: Any, k: Any) -> Any:
        x = jnp.asarray(x).at[k].set(x[k - 1] + 1)
        return x, x[k, 3]

    def fibonacci(k: Any, v: Any) -> Any:
        return jnp.asarray(v).at[k + 1].set(v[k] + v[k - 1])

    compare(lambda x, i: lax.scan(step, x, i), array("f8", 11, 40), ROWS % 11)
    compare(lambda v: lax.fori_loop(0, 8, fibonacci, v), np.ones(9, int))


def _fibonacci(k: Any, v: Any) -> Any:
    return jnp.asarray(v).at[k + 1].set(v[k] + v[k + 2])


def _set(x: Any, k: Any, value: Any) -> Any:
    return jnp.asarray(x).at[k].set(value)


IN_PLACE: dict[str, Callable[..., Any]] = {
    "elements": lambda v: lax.fori_loop(0, 140, _fibonacci, v),
    "of one that is kept": lambda v: [lax.fori_loop(0, 140, _fibonacci, v * 2), lax.fori_loop(0, 9, _fibonacci, v) + v],
    "while": lambda v: lax.while_loop(lambda s: s[0] < 20, lambda s: (s[0] + 1, _set(s[1], s[0], s[1][9])), (0, v)),
    "no step": lambda v: lax.while_loop(lambda s: s[0] < 0, lambda s: (s[0] + 1, _set(s[1], s[0], s[1][9])), (0, v)),
    "read later": lambda v: lax.scan(lambda c, k: (d := _set(c, k, c[k] * 2), d[k + 1] + d[k]), v, np.arange(140)),
}
COPIED: dict[str, Callable[..., Any]] = {
    "old one read": lambda v: lax.scan(lambda c, k: (_set(c, k, 0.0), c.max()), v, np.arange(40)),
    "old one stacked": lambda v: lax.scan(lambda c, k: (_set(c, k, c[k] * 2), c), v, np.arange(9)),
    "exchanged": lambda v: lax.fori_loop(0, 41, lambda k, s: (_set(s[1], k, s[0][k]), s[0]), (v, v * 2)),
    "two": lambda v: lax.fori_loop(0, 40, lambda k, s: (_set(s[0], k, s[1][k]), _set(s[1], k, s[0][k + 1])), (v, -v)),
    "nested": lambda v: lax.fori_loop(0, 5, lambda i, v: lax.fori_loop(i, 99, _fibonacci, v), v),
    "in a branch": lambda v: lax.fori_loop(0, 40, lambda k, v: lax.cond(v[k] > 0, _set, lambda v, *_: v, v, k, 0.0), v),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_loops_that_write_in_place(name: str) -> None:
    v = RNG.standard_normal(150)
    compiled = compare(IN_PLACE[name], v)
    assert max(compiled.code.workspace) == v.nbytes
    assert compiled.code.text.count("phi ptr") == 0


def test_loops_that_write_and_read() -> None:
    for f in COPIED.values():
        compare(f, RNG.standard_normal(150))


@pytest.mark.parametrize("index", [[1, 11], [-12, 0], [2**40, 1]])
def test_an_index_out_of_range_is_numpys_error(index: list[int]) -> None:
    x, bad = array("f8", 11, 40), np.array(index)
    for f in (lambda x, i: x[i], lambda x, i: x[i, i], lambda x, i: jnp.asarray(x).at[i].add(1.0).sum()):
        compiled = Compiled(trace_to_program(f, (x, np.array([1, 2]))))
        with pytest.raises(FloatingPointError, match="by NumPy"):
            compiled(x, bad)


WINDOWS: dict[str, Callable[..., Any]] = {
    "rectangle": lambda x, v, k: lax.dynamic_slice(x, (k, k), (20, 33)),
    "line": lambda x, v, k: lax.dynamic_slice(v, (k,), (101,)) * 2,
    "update": lambda x, v, k: lax.dynamic_update_slice(x, x[:20, :33] * 2, (k, k)),
    "update of a line": lambda x, v, k: lax.dynamic_update_slice(v, v[:101] * 2, (k,)),
    "counted": lambda x, v, k: [v[k % 400 + np.arange(90)], jnp.asarray(v).at[k % 400 + np.arange(50)].add(1.5)],
    "diagonal": lambda x, v, k: x[k % 9 + np.arange(50), np.arange(50)],
    "rows and a range": lambda x, v, k: x[np.array([3, 9, -1])[:, None], np.arange(7, 50)],
    "steps": lambda x, v, k: lax.scan(lambda c, i: (c + lax.dynamic_slice(v, (i,), (40,)), None), v[:40], np.arange(9))[
        0
    ],
}


@pytest.mark.parametrize(("width", "start"), [(16, 3), (32, -60), (64, 1000)])
def test_windows(width: int, start: int) -> None:
    x, v = RNG.standard_normal((60, 70)), RNG.standard_normal(500)
    compare(lambda *a: [f(*a) for f in WINDOWS.values()], x, v, np.array(start), width=width)


def test_windows_across_an_end_are_numpys() -> None:
    v = RNG.standard_normal(100)
    compiled = Compiled(trace_to_program(lambda v, k: v[k + np.arange(50)], (v, np.array(0))))
    np.testing.assert_array_equal(compiled(v, np.array(-60))[0], v[40:90])
    for k in (-3, 60, -101):
        with pytest.raises(FloatingPointError, match="by NumPy"):
            compiled(v, np.array(k))


def test_nothing_to_index() -> None:
    x, none = array("f8", 11, 4), np.zeros((0,), int)
    compare(lambda x, i: [x[i], jnp.asarray(x).at[i].set(x[i]), x[:0][:, i]], x, none)
    compare(lambda x, i: jnp.asarray(x).at[i].add(1.0), x, none)


# ------------------------------------------------------------------------------------------------ order


SORTS: list[Callable[..., Any]] = [
    lambda x: jnp.argsort(x, 0, stable=True),
    lambda x: jnp.argsort(x[:, :5], 1, stable=True),
    lambda x: np.sort(x[:, :7], 1),
    lambda x: np.sort(x[:4], 0),
    lambda x: lax.top_k(x[:, 30:], 3),
    lambda x: jnp.argsort(x[:, ::3], 1, stable=True),
]
EXTREME: list[Callable[..., Any]] = [
    *(lambda x, f=f, a=a: f(x, axis=a) for f in (np.argmax, np.argmin) for a in (0, 1, None)),
    lambda x: np.argmax(x[:, :2], 1),
    lambda x: np.argmin(x[:2], 0),
    lambda x: np.argmax(x[:1], 0),
]


@pytest.mark.parametrize(("dtype", "width"), [("f8", 32), ("f2", 16), ("i4", 32)])
def test_order(dtype: str, width: int) -> None:
    compare(lambda x: [f(x) for f in (*EXTREME, *SORTS)], array(dtype, 9, 37), width=width)


@pytest.mark.parametrize("dtype", ["f4", "f2", "i1", "u4", "?"])
def test_places_by_small_keys(dtype: str) -> None:
    special = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 0.0, np.nan, 1.0, -1.0, 1e-7]
    x = np.array([special * 3, RNG.permutation(33) * 1e3, RNG.integers(0, 3, 33), -np.arange(33.0), np.ones(33)])
    if dtype[0] != "f":
        x = np.nan_to_num(x, posinf=100, neginf=-100)
    x = (x * 2**26 if dtype == "u4" else x).astype(np.int64 if dtype[0] != "f" else dtype).astype(dtype)
    compare(lambda x: [jnp.argsort(x[:, 1:], 1, stable=True), lax.top_k(x[:, 1:], 4)], x, width=32)
    if dtype in ("f4", "u4"):  # in memory
        longer = np.concatenate([x, x[::-1], x[:, :5]], 1)
        compare(lambda x: [jnp.argsort(x, 1, stable=True), jnp.argsort(x.T, 0, stable=True)], longer, width=32)
        compare(lambda x: jnp.argsort(x[:3], 1, stable=True), longer, width=32, host=("argsort",))


def test_long_rows_are_sorted_by_numpy() -> None:
    compare(lambda x: [np.sort(x, 1), np.argsort(x[:, :3], 1)], array("f8", 5, 37), host=("sort", "argsort"))
    compare(lambda x: [np.sort(x[:, :15], 1), np.sort(x[:4, :15], 1)], array("f4", 9, 37), host=("sort",), width=32)


@pytest.mark.parametrize("dtype", ["f8", "i4"])
def test_searches(dtype: str) -> None:
    x = array(dtype, 9, 37)
    for n in (1, 7, 64):
        a = np.sort(x.reshape(-1))[-n:]
        for v in (x, x[0, :4]):
            compare(lambda a, v: [np.searchsorted(a, v), np.searchsorted(a, v, side="right")], a, v)


@pytest.mark.parametrize("n", range(1, 11))
def test_networks_sort(n: int) -> None:
    """By the 0-1 principle."""
    for bits in itertools.product((0, 1), repeat=n):
        row = list(bits)
        for p, q in network(n):
            row[p], row[q] = min(row[p], row[q]), max(row[p], row[q])
        assert row == sorted(bits)


# ------------------------------------------------------------------------------------------------ running sums


@pytest.mark.parametrize(("dtype", "width"), [("f8", 64), ("f2", 32), ("?", 32), ("c16", 32)])
def test_running_sums(dtype: str, width: int) -> None:
    x = array(dtype, 7, 11)
    extreme = [lambda x: lax.cummax(x, 0), lambda x: lax.cummin(x, 1, reverse=True)] if x.dtype.kind != "c" else []
    sums = [lambda x: np.cumsum(x, 0), lambda x: np.cumsum(x, 1), lambda x: np.cumprod(x[:3], 0)]
    back = [lambda x: lax.cumsum(x, 0, reverse=True), lambda x: lax.cumsum(x, 1, reverse=True)]
    compare(lambda x: [f(x) for f in (*extreme, *sums, *back)], x, width=width)


def test_recurrences() -> None:
    a, b = array("f8", 2, 7, 11)
    compare(
        lambda a, b: [LINEAR_RECURRENCE.bind(a, b, axis=0), LINEAR_RECURRENCE.bind(a, b, axis=1, reverse=True)], a, b
    )


# ------------------------------------------------------------------------------------------------ random bits

KEY = random.key(3)
KEYS = random.split(KEY, 5)

DRAWS: dict[str, Callable[..., Any]] = {
    "bits": lambda k, ks: [random.bits(k, (37,), d) for d in ("u1", "u2", "u4", "u8")],
    "bits of a shape": lambda k, ks: random.bits(k, (3, 5, 7)),
    "uniform": lambda k, ks: [random.uniform(k, (100,)), random.uniform(k, (9, 3), np.float32)],
    "split": lambda k, ks: random.split(k, 37),
    "fold in": lambda k, ks: fg.vmap(random.fold_in)(ks, np.arange(5, dtype=np.uint32)),
    "examples": lambda k, ks: fg.vmap(lambda k: random.bits(random.split(k)[1], (9,)))(ks),
    "words": lambda k, ks: [random.key_data(ks), random.key_data(k), random.wrap_key_data(random.key_data(ks))],
    "read twice": lambda k, ks: [random.randint(k, (33,), 0, 10), random.bernoulli(k, 0.3, (33,))],
}


def test_random_bits() -> None:
    compare(lambda *a: [f(*a) for f in DRAWS.values()], KEY, KEYS, width=64)


def test_seeds_and_keys_in_loops() -> None:
    for dtype in ("i8", "i4", "u4"):
        seed = np.array(77).astype(dtype)
        compare(lambda s: random.bits(random.key(s), (3,)), seed)
        compare(lambda s: random.bits(random.key(-s), (3,)), seed)

    def step(k: Any, _: Any) -> Any:
        k, now = random.split(k)
        return k, random.uniform(now, (5,))

    compare(lambda k: lax.scan(step, k, None, length=10), KEY)


def test_other_generators_are_numpys() -> None:
    compare(lambda k: random.bits(k, (9,)), random.key(3, impl="philox"), host=("random_bits",))


# ------------------------------------------------------------------------------------------------ transposed copies


@pytest.mark.parametrize(("dtype", "width"), [("f8", 32), ("f4", 32), ("i8", 64), ("u4", 16)])
def test_transposed_copies(dtype: str, width: int) -> None:
    """Whole tiles and those at the end; more axes; a row of the result in several blocks; parts of the source."""
    x = RNG.integers(0, 1 << 20, (3, 21, 5, 75)).astype(dtype)
    rules: list[Callable[..., Any]] = [
        lambda x: np.transpose(x[0, :, 0]),
        lambda x: np.transpose(x, (0, 3, 2, 1)),
        lambda x: np.transpose(x, (2, 3, 0, 1))[1:4, 8:40],
        lambda x: np.transpose(x.reshape(315, 75)),
        lambda x: np.transpose(x[:, :, 2, 3:67], (2, 0, 1)),
        lambda x: np.transpose(x[1, :, 1, ::2]),
        lambda x: np.transpose(x[1, ::-1, 1, ::-1]),
    ]
    compare(lambda x: [rule(x) for rule in rules], x, width=width)
