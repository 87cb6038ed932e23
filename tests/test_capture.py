"""Nothing changes underneath a derivative, nothing is shared by accident, nothing is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import grad, jit, jvp, make_ir, tree, value_and_grad, vjp, vmap
from funcgrad.core import current_trace
from funcgrad.errors import CapturedArrayWriteError, UnexpectedTracerError


def arrays_are_separate(*arrays: Any) -> None:
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        for b in arrays[i + 1 :]:
            assert not np.shares_memory(a, b)


def test_results_share_nothing() -> None:
    x, y = np.ones(3), np.ones(3)
    arrays_are_separate(x, y, *grad(lambda x, y: np.sum(x + y), (0, 1))(x, y))
    arrays_are_separate(x, *grad(lambda x: np.sum(x.reshape(3, 1).T))(x)[None])
    ct = np.ones(3)
    out, pullback = vjp(lambda x, y: x + y, x, y)
    arrays_are_separate(x, y, ct, out, *pullback(ct), *pullback(ct))
    arrays_are_separate(x, jit(lambda x: x)(x), *jit(lambda x: (x[::-1], x[::-1]))(x))


def test_a_pullback_is_not_affected_by_later_writes() -> None:
    x, w, c = np.ones(3), np.full(3, 2.0), np.full((2, 3), 5.0)
    out, pullback = vjp(lambda x, w: np.exp(x * w) * c[0] * x.reshape(3, 1)[:, 0], x, w)
    before = pullback(np.ones(3))
    for array in (x, w, c, out):
        array[...] = np.nan
    for a, b in zip(before, pullback(np.ones(3)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_writes_to_captured_arrays_raise_and_are_free_again() -> None:
    x, c = np.ones(3), np.ones(3)

    def write(target: np.ndarray) -> Any:
        def f(x: Any) -> Any:
            y = np.sum(x * c)
            target[0] = 7.0
            return y

        return f

    for target in (x, c):
        for run in (grad, lambda f: lambda x: vjp(f, x), lambda f: grad(grad(f))):
            with pytest.raises(CapturedArrayWriteError, match=r"test_capture\.py"):
                run(write(target))(x)
            assert x.flags.writeable and c.flags.writeable


def test_views_are_copied() -> None:
    buffer = np.arange(6.0).reshape(2, 3)

    def f(w: Any) -> Any:
        y = w * buffer[0]
        buffer[0] = 100.0
        return np.sum(y)

    np.testing.assert_array_equal(grad(f)(np.ones(3)), [0.0, 1.0, 2.0])
    assert buffer.flags.writeable


def test_large_views_are_locked_with_their_base() -> None:
    base = np.ones((2, 1 << 18))

    def f(w: Any) -> Any:
        y = np.sum(w * base[0])
        base[1, 0] = 2.0
        return y

    with pytest.raises(CapturedArrayWriteError):
        grad(f)(2.0)
    base[1, 0] = 3.0


def test_read_only_arrays_stay_read_only() -> None:
    x = np.ones(3)
    x.flags.writeable = False
    grad(lambda x: np.sum(x))(x)
    assert not x.flags.writeable


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, RecursionError])
@pytest.mark.parametrize(
    "run", [grad, vmap, jit, make_ir, lambda f: lambda x: jvp(f, (x,), (x,)), lambda f: grad(grad(f))]
)
def test_errors_leave_nothing_behind(run: Any, error: type[BaseException]) -> None:
    x, c = np.ones(3), np.ones(3)

    def f(x: Any) -> Any:
        _ = x * c
        raise error("stop")

    with pytest.raises(error):
        run(f)(x)
    assert current_trace() is None
    assert x.flags.writeable and c.flags.writeable
    assert grad(lambda x: np.sum(x * c))(x).sum() == 3.0


def test_escaped_tracers_name_where_they_were_made() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(np.sin(x))
        return np.sum(x)

    made = f.__code__.co_firstlineno + 1
    for run in (grad(f), jit(f), vmap(f), lambda x: jvp(f, (x,), (x,))):
        kept.clear()
        run(np.ones(3) if run is not vmap else np.ones((2, 3)))
        for use in (
            lambda t: t + 1,
            np.cos,
            lambda t: grad(lambda x: np.sum(x * t))(np.ones(3)),
            lambda t: make_ir(lambda x: x * t)(1.0),
        ):
            with pytest.raises(UnexpectedTracerError, match=rf"test_capture\.py:{made}"):
                use(kept[0])


# -------------------------------------------------------------------------------------- what is returned is one's own

MOVES: dict[str, Any] = {
    "identity": lambda x: x,
    "reversed": lambda x: x[::-1],
    "reshaped": lambda x: np.reshape(x, (2, 3)),
    "transposed": lambda x: np.reshape(x, (2, 3)).T,
    "sliced": lambda x: x[2:],
    "raveled": lambda x: np.ravel(x),
    "squeezed": lambda x: np.squeeze(x[None]),
    "broadcast": lambda x: np.broadcast_to(x, (2, 6)),
    "real": lambda x: np.real(x),
    "split": lambda x: np.split(x, 2),
    "expanded": lambda x: np.expand_dims(x, 0),
    "sum": lambda x: x + 0.0,
    "swapped": lambda x: np.swapaxes(x[:, None], 0, 1),
    "cast": lambda x: x.astype(np.float64),
    "asarray": lambda x: np.atleast_1d(x),
    "element": lambda x: x[3],
    "0-d": lambda x: np.reshape(x[3:4], ()),
    "diagonal": lambda x: np.diagonal(x[:4].reshape(2, 2)),
    "twice": lambda x: (x, x, x[:], x[::-1]),
    "constant": lambda x: CONSTANT,
    "constants": lambda x: (CONSTANT, CONSTANT[1:], x),
}
CONSTANT = np.arange(4.0)


def independent(results: Any, *others: Any) -> None:
    """All arrays among the results can be written to, and share memory with nothing else."""
    arrays = [a for a in tree.leaves(results) if isinstance(a, np.ndarray)]
    for i, a in enumerate(arrays):
        assert a.flags.writeable and a.dtype != object
        for b in (*arrays[:i], *(b for b in tree.leaves(others) if isinstance(b, np.ndarray))):
            assert not np.shares_memory(a, b)


@pytest.mark.parametrize("name", MOVES)
def test_vjp_returns_nothing_shared(name: str) -> None:
    f, x = MOVES[name], np.arange(6.0)
    out, pullback = vjp(f, x)
    ct = tree.map(lambda y: np.ones(np.shape(y)), out)
    g, h = pullback(ct), pullback(ct)
    independent([out, g, h], x, ct, CONSTANT)
    for a in tree.leaves([out, h, ct]):
        if isinstance(a, np.ndarray):
            a[...] = np.nan
    x[:] = np.nan
    np.testing.assert_array_equal(pullback(tree.map(lambda y: np.ones(np.shape(y)), out))[0], g[0])


@pytest.mark.parametrize("name", MOVES)
def test_jvp_returns_nothing_shared(name: str) -> None:
    f, x, t = MOVES[name], np.arange(6.0), np.ones(6)
    y, dy = jvp(f, (x,), (t,))
    independent([y, dy], x, t, CONSTANT)


@pytest.mark.parametrize("name", [n for n in MOVES if not n.startswith("constant")])
def test_values_and_aux_are_not_shared(name: str) -> None:
    f, x = MOVES[name], np.arange(6.0)

    def loss(x: Any) -> Any:
        y = f(x)
        return sum(np.sum(a) for a in tree.leaves(y)), {"y": y, "x": x}

    (value, aux), g = value_and_grad(loss, has_aux=True)(x)
    independent([value, aux, g], x)
    g, aux = grad(loss, has_aux=True)(x)
    independent([aux, g], x)
    y, t, aux = jvp(loss, (x,), (np.ones(6),), has_aux=True)
    independent([y, t, aux], x)


@pytest.mark.parametrize("name", ["identity", "reversed", "sliced", "sum", "twice"])
def test_writing_to_aux_changes_no_derivative(name: str) -> None:
    """Auxiliary data of `vjp` may be a residual of the pullback as well."""
    f = MOVES[name]

    def g(x: Any) -> Any:
        y = np.exp(x)
        return sum(np.sum(a * a * y.sum()) for a in tree.leaves(f(y))), (y, x)

    _, pullback, aux = vjp(g, np.linspace(0, 1, 6), has_aux=True)
    (before,) = pullback(1.0)
    for a in aux:
        a[...] = np.nan
    np.testing.assert_array_equal(pullback(1.0)[0], before)


@pytest.mark.parametrize("name", ["identity", "reversed", "transposed", "broadcast", "0-d", "element"])
def test_the_value_of_a_gradient_is_not_shared(name: str) -> None:
    f = MOVES[name]
    for x in (np.arange(6.0), np.array([2.0] * 6)):
        before = x.copy()
        value, g = value_and_grad(lambda x: np.reshape(f(x), -1)[-1])(x)
        x[:] = 99.0
        assert value == np.ravel(f(before))[-1]
        independent([value, g], x)
    for x in (np.array(3.0), np.array(3.0, np.float32)):
        value, g = value_and_grad(lambda x: x)(x)
        independent([value, g], x)
        c = np.array(2.0)
        value, g = value_and_grad(lambda x, c=c: c)(x)
        independent([value, g], x, c)


def test_gradients_of_shared_inputs_are_separate() -> None:
    x = np.ones(3)
    grads = grad(lambda p: np.sum(p["a"] + p["b"] + p["c"][::-1]))({"a": x, "b": x, "c": x[::-1]})
    independent(grads, x)
    grads = grad(lambda a, b: np.sum(a) + np.sum(b), (0, 1))(x, x)
    independent(grads, x)
    grads = grad(lambda xs: sum(np.sum(x * 2) for x in np.split(np.concatenate(xs), 2)))([x, x])
    independent(grads, x)
    zero = grad(lambda a, b: 1.0, (0, 1))(x, x)
    independent(zero, x)
    nested = grad(lambda a: np.sum(grad(lambda b: np.sum(b))(a)))(x)
    independent(nested, x)
    _, pullback = vjp(lambda a, b: (a, b), x, x)
    ct = np.ones(3)
    independent(pullback((ct, ct)), ct, x)


# ------------------------------------------------------------------------------------------- writes while recording


def test_every_kind_of_write_raises() -> None:
    """All but `np.add.at`, which in NumPy 2.4 writes to read-only arrays as well."""
    x = np.arange(6.0)

    writes: list[Any] = [
        lambda a: a.__setitem__(0, 1.0),
        lambda a: a.fill(0.0),
        lambda a: a.sort(),
        lambda a: a.put([0], 1.0),
        lambda a: a.__iadd__(1.0),
        lambda a: np.add(a, 1.0, out=a),
        lambda a: np.copyto(a, 0.0),
        lambda a: np.random.default_rng(0).shuffle(a),
        lambda a: np.put(a, 0, 1.0),
        lambda a: np.fill_diagonal(a.reshape(2, 3), 1.0),
        lambda a: a.reshape(2, 3).__setitem__((0, 0), 1.0),
        lambda a: a[::2].__setitem__(0, 1.0),
    ]

    for write in writes:
        c = np.arange(6.0)

        def f(x: Any, c: np.ndarray = c, write: Any = write) -> Any:
            y = np.sum(x * c * x)
            write(c)
            return y

        with pytest.raises(CapturedArrayWriteError, match=r"test_capture\.py:\d+ "):
            grad(f)(x)
        assert c.flags.writeable and x.flags.writeable
        np.testing.assert_array_equal(c, np.arange(6.0))


def test_the_error_says_the_line_and_the_remedy() -> None:
    c = np.ones(3)

    def f(x: Any) -> Any:
        y = x * c
        c[0] = 2.0
        return np.sum(y)

    line = f.__code__.co_firstlineno + 2
    with pytest.raises(CapturedArrayWriteError, match=rf"(?s)test_capture\.py:{line} \(f\).*copy\(\)"):
        grad(f)(np.ones(3))
    assert issubclass(CapturedArrayWriteError, ValueError)


def test_catching_the_error_inside_is_no_way_around() -> None:
    c = np.ones(3)

    def f(x: Any) -> Any:
        y = np.sum(x * x * c)
        try:
            c[:] = 7.0
        except ValueError:
            pass
        return y

    np.testing.assert_array_equal(grad(f)(np.ones(3)), [2.0, 2.0, 2.0])
    c[:] = 3.0
    np.testing.assert_array_equal(c, [3.0, 3.0, 3.0])


def test_rows_of_a_buffer_that_is_filled_again() -> None:
    """Mini-batches in one buffer: each step sees its own values."""
    data = np.arange(12.0).reshape(4, 3)

    def f(w: Any) -> Any:
        buffer, total = np.empty((2, 3)), 0.0
        row = buffer[1]
        for i in range(4):
            buffer[1] = data[i]
            total = total + np.sum(w * row) * (i + 1)
            total = total + np.sum(w * buffer[1])
        return total

    want = sum(data[i] * (i + 2) for i in range(4))
    np.testing.assert_array_equal(grad(f)(np.ones(3)), want)
    np.testing.assert_array_equal(vjp(f, np.ones(3))[1](1.0)[0], want)
    np.testing.assert_array_equal(grad(lambda w: jvp(f, (w,), (w,))[1])(np.ones(3)), want)
    program = make_ir(f)(np.ones(3))
    np.testing.assert_allclose(program(np.ones(3))[0], f(np.ones(3)))


def test_indices_and_masks_may_change_later() -> None:
    index, mask, w = np.array([0, 1, 1]), np.array([True, False, True]), np.arange(3.0)
    as_list = [0, 2]

    def f(x: Any) -> Any:
        return x[index], x[mask], np.where(mask, x, 0.0), np.take(x, index), x[as_list], fg.at(x)[index[:1]].set(5.0)

    out, pullback = vjp(f, w)
    cts = [np.arange(1.0, 1 + np.size(y)) for y in out]
    (before,) = pullback(tuple(cts))
    program = make_ir(f)(w)
    index[:], mask[:], as_list[:] = 2, ~mask, [1, 1]
    np.testing.assert_array_equal(pullback(tuple(cts))[0], before)
    for a, b in zip(program(w), out, strict=True):
        np.testing.assert_array_equal(a, b)


def test_locks_nest() -> None:
    """The array stays locked until the last recording that captured it is done."""
    c = np.ones(3)
    states: list[bool] = []

    def f(x: Any) -> Any:
        y = x * c
        g = grad(lambda z: np.sum(z * c * x))(x)
        states.append(c.flags.writeable)
        return np.sum(y * g)

    grad(f)(np.ones(3))
    assert states == [False] and c.flags.writeable

    def g(x: Any) -> Any:
        inner = grad(lambda z: np.sum(z * c))(np.ones(3))
        states.append(c.flags.writeable)  # the outer recording has not seen it
        return np.sum(x * inner)

    grad(g)(np.ones(3))
    assert states[-1] and c.flags.writeable

    def h(x: Any) -> Any:
        inner = grad(lambda z: np.sum(z * c * z))(x)  # captured by both, and by the inner one first
        states.append(c.flags.writeable)
        with pytest.raises(ValueError, match="read-only"):
            c[:] = 100.0
        return np.sum(inner * x)

    np.testing.assert_array_equal(grad(h)(np.ones(3)), [4.0, 4.0, 4.0])
    assert not states[-1] and c.flags.writeable


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (2, 0, 1), (1, 2), (2, 1)])
def test_large_views_and_their_bases_in_any_order(order: tuple[int, ...]) -> None:
    base = np.ones((2, 1 << 18))
    arrays = [base, base[0], base.T]

    def f(w: Any) -> Any:
        total = 0.0
        for i in order:
            total = total + np.sum(w * arrays[i])
            total = total + grad(lambda v, i=i: np.sum(v * arrays[i]))(1.0)
            assert not base.flags.writeable
        return total

    want = sum(arrays[i].size for i in order)
    assert grad(f)(2.0) == want
    assert all(a.flags.writeable for a in arrays)
    with pytest.raises(KeyError):
        grad(lambda w: {}[bool(f(w) > 0)])(2.0)
    assert all(a.flags.writeable for a in arrays)


def test_locks_outlive_an_inner_error() -> None:
    c = np.ones(3)

    def f(x: Any) -> Any:
        y = np.sum(x * x * c)
        with pytest.raises(KeyError):
            grad(lambda z: {}[bool(np.sum(z * c) > 0)])(x)
        with pytest.raises(ValueError, match="read-only"):
            c[0] = 5.0
        return y

    np.testing.assert_array_equal(grad(f)(np.ones(3)), [2.0, 2.0, 2.0])
    assert c.flags.writeable


def test_the_innards_of_plain_numpy_may_write() -> None:
    """Only what the derivative needs is locked: arrays of the function's own are free."""

    def f(x: Any) -> Any:
        table = np.zeros(3)
        for i in range(3):
            table[i] = float(x[i]) > 0
        table *= 2.0
        return np.sum(x * table)

    np.testing.assert_array_equal(grad(f)(np.array([1.0, -1.0, 2.0])), [2.0, 0.0, 2.0])


def test_threads_that_share_a_constant_unlock_it_last() -> None:
    c, w = np.ones(64), np.ones(64)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(200):
            np.testing.assert_array_equal(grad(lambda w: np.sum(w * w * c))(w), 2.0)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert c.flags.writeable and w.flags.writeable
