"""Training: the same batches again from a saved place, steps as written out by hand, runs that nothing can disturb."""

from __future__ import annotations

import gc
import os
import random as python_random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_run

import funcgrad.numpy as jnp
from funcgrad import Array, io, optim, random, tree, value_and_grad
from funcgrad.train import DivergedError, EarlyStopping, batches, fit

KILLS = int(os.environ.get("FUNCGRAD_KILLS", "2"))

X = np.linspace(-1, 1, 20)
DATA = (X, 3 * X - 1)
START = {"a": np.float32(0.5), "b": np.zeros(())}


def loss(params: Any, x: Any, y: Any) -> Any:
    return np.mean((params["a"] * x + params["b"] - y) ** 2)


def same(a: Any, b: Any) -> bool:
    return tree.structure(a) == tree.structure(b) and all(
        np.array_equal(x, y) and np.asarray(x).dtype == np.asarray(y).dtype
        for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True)
    )


# --------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize(("shuffle", "drop_last"), [(True, False), (False, True), (True, True)])
def test_every_example_comes_once_an_epoch(shuffle: bool, drop_last: bool, prefetch: int) -> None:
    data = {"x": np.arange(10), "k": [jnp.arange(20.0).reshape(10, 2), random.split(random.key(0), 10)]}
    options: dict[str, Any] = {"key": 5, "shuffle": shuffle, "drop_last": drop_last, "prefetch": prefetch}
    got = list(batches(data, 4, epochs=3, **options))
    sizes = [4, 4] if drop_last else [4, 4, 2]
    assert [len(b["x"]) for b in got] == sizes * 3
    for b in got:
        assert same(b, tree.map(lambda a, b=b: a[b["x"]], data)) and type(b["k"][0]) is Array
    orders = [np.concatenate([b["x"] for b in got[i : i + len(sizes)]]) for i in range(0, len(got), len(sizes))]
    assert all(len(set(order)) == sum(sizes) for order in orders)
    assert np.array_equal(orders[0], orders[1]) != shuffle
    assert same(got, list(batches(data, 4, epochs=3, **options | {"key": random.key(5), "prefetch": 2})))
    assert same(got, list(batches(data, 4, epochs=3, **options | {"key": 6}))) != shuffle


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_saved_place_gives_the_same_batches(prefetch: int, tmp_path: Path) -> None:
    x = np.arange(11)
    whole = [b.tolist() for b in batches(x, 3, epochs=3)]
    for n in range(len(whole) + 1):
        it = batches(x, 3, epochs=3, prefetch=prefetch)
        for _ in range(n):
            next(it)
        io.save(tmp_path / "state.npz", it.state)
        state = io.load(tmp_path / "state.npz", it.state)
        assert [b.tolist() for b in batches(x, 3, epochs=3, key=99, state=state)] == whole[n:]
        assert [b.tolist() for b in it] == whole[n:]
        assert [b.tolist() for b in it.restore(state)] == whole[n:]
    it = batches(x, 4)
    for bad, message in ((state, "batch_size=3, and here it is 4"), ({"epoch": 1}, "a dict with the entries epoch,")):
        with pytest.raises(ValueError, match=message):
            it.restore(bad)


def test_batches_are_copies() -> None:
    x = np.arange(6)
    for shuffle in (True, False):
        next(batches(x, 6, shuffle=shuffle))[:] = 9
    assert x.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"x": X, "y": X[:-1]}, {}, r"data\['x'\] has 20 examples and data\['y'\] has 19"),
        ([1.0, 2.0], {}, r"data\[0\] is a float; .* make arrays"),
        (np.array(1.0), {}, r"data is an array of shape \(\)"),
        ((), {}, "no arrays"),
        (X[:0], {}, "there are no examples"),
        (X, {"batch_size": 0}, "batch_size= is at least 1"),
        (X, {"batch_size": 30, "drop_last": True}, "20 examples make no batch of 30"),
        (X, {"key": "x"}, "key= is a random key or an integer seed, got a str"),
    ],
)
def test_what_makes_no_batches(data: Any, options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        batches(data, **{"batch_size": 4} | options)


def threads() -> int:
    return sum(t.name == "funcgrad-prefetch" for t in threading.enumerate())


def test_threads_end() -> None:
    it = batches(X, 2, prefetch=4)
    next(it)
    assert threads() == 1
    it.close()
    assert threads() == 0 and len(next(it)) == 2  # it goes on where it was
    with it:
        pass
    assert threads() == 0
    next(it)
    del it
    gc.collect()
    for _ in range(100):
        if not threads():
            break
        time.sleep(0.01)
    assert threads() == 0
    assert len(list(batches(X, 2, prefetch=4, epochs=2))) == 20 and threads() == 0


def test_exceptions_in_the_thread_are_raised_in_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    it = batches(np.arange(8), 2, shuffle=False, prefetch=2, epochs=1)
    batch, fails = it._source.batch, True

    def failing(epoch: int, position: int) -> Any:
        if position == 2 and fails:
            raise OSError("cannot be read")
        return batch(epoch, position)

    monkeypatch.setattr(it._source, "batch", failing)
    assert next(it).tolist() == [0, 1] and next(it).tolist() == [2, 3]
    for _ in range(2):
        with pytest.raises(OSError, match="cannot be read"):
            next(it)
        assert threads() == 0
    fails = False
    assert [b.tolist() for b in it] == [[4, 5], [6, 7]]


# ------------------------------------------------------------------------------------------------------------- fit


def by_hand(optimiser: Any, steps: int, size: int, accumulate: int = 1, clip: Any = None, **options: Any) -> Any:
    """What `fit` should compute, without `jit`."""
    if clip is not None:
        optimiser = optim.chain(optim.clip_by_global_norm(clip), optimiser)
    params = tree.map(np.asarray, START)
    state, losses = optimiser.init(params), []
    it = batches(DATA, size, key=random.split(random.key(0), 3)[0], **options)
    for _ in range(steps):
        parts = [value_and_grad(loss)(params, *next(it)) for _ in range(accumulate)]
        grads = tree.map(lambda *g: sum(g) / accumulate, *[g for _, g in parts])
        updates, state = optimiser.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        losses.append(sum(v for v, _ in parts) / accumulate)
    return params, losses


@pytest.mark.parametrize(
    ("optimiser", "options"),
    [
        (optim.sgd(0.1, momentum=0.9), {}),
        (optim.adam(0.1), {"accumulate": 3}),
        (optim.adamw(0.1), {"clip": 0.5, "drop_last": True}),
        (optim.sgd(optim.cosine_decay_schedule(0.1, 20)), {"clip": 0.5, "accumulate": 2, "shuffle": False}),
    ],
)
def test_steps_are_those_written_out(optimiser: Any, options: dict[str, Any]) -> None:
    before = tree.map(np.array, START)
    params, history = fit(loss, START, optimiser, DATA, steps=12, batch_size=8, **options)
    other, losses = by_hand(optimiser, 12, 8, **options)
    assert all(np.allclose(params[k], other[k], rtol=1e-6) and params[k].dtype == START[k].dtype for k in START)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    assert ("grad_norm" in history) == ("clip" in options)
    assert same(START, before)  # what users have is never written to
    eager, _ = fit(loss, START, optimiser, DATA, steps=12, batch_size=8, jit=False, **options)
    assert all(np.allclose(params[k], eager[k], rtol=1e-6) for k in START)


def test_what_the_loss_is_called_with() -> None:
    seen: list[Any] = []

    def noted(*args: Any, **kwargs: Any) -> Any:
        seen.append((args, kwargs))
        return args[0]["a"] ** 2

    def call(f: Any, data: Any, **options: Any) -> tuple[Any, Any]:
        seen.clear()
        fit(f, START, optim.sgd(0.1), data, steps=1, batch_size=4, jit=False, **options)
        return seen[0]

    def keyed(p: Any, x: Any, *, key: Any) -> Any:
        return noted(p, x, key=key)

    def defaulted(p: Any, x: Any, key: Any = None) -> Any:
        return noted(p, x, key)

    assert [np.shape(a) for a in call(noted, DATA)[0][1:]] == [(4,), (4,)]
    assert np.shape(call(noted, X)[0][1]) == (4,)
    assert sorted(call(noted, {"x": X, "y": X})[0][1]) == ["x", "y"]
    assert np.shape(call(noted, (DATA,))[0][1]) == (2, 4)
    assert type(call(noted, [X, X])[0][1]) is list
    assert random.key_impl(call(keyed, X)[1]["key"]) == "threefry2x32"
    assert call(defaulted, X)[0][2] is None


@pytest.mark.parametrize(
    ("f", "data", "message"),
    [
        (lambda p, x, y: p, X, r"called as f\(params, batch\), where a batch is one argument; .* missing .*'y'"),
        (lambda p, x: p, DATA, r"called as f\(params, \*batch\), where a batch is a tuple of 2; .* too many"),
    ],
)
def test_a_loss_with_other_parameters(f: Any, data: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        fit(f, START, optim.sgd(0.1), data, steps=1)


def test_keys_of_steps_differ() -> None:
    def noisy(p: Any, x: Any, *, key: Any) -> Any:
        return p["a"] * 0 + random.uniform(key)

    _, history = fit(noisy, START, optim.sgd(0.1), X, steps=6, accumulate=2)
    _, again = fit(noisy, START, optim.sgd(0.1), X, steps=6, accumulate=2)
    _, other = fit(noisy, START, optim.sgd(0.1), X, steps=6, accumulate=2, key=1)
    assert len(set(history["loss"])) == 6 and history == again and history != other


def test_state_and_aux() -> None:
    def counting(p: Any, state: Any, x: Any, y: Any) -> Any:
        return loss(p, x, y), ({"seen": state["seen"] + len(x)}, {"biggest": np.max(x)})

    start = {"seen": 0}
    (params, state), history = fit(counting, START, optim.sgd(0.1), DATA, epochs=2, batch_size=8, state=start,
                                   has_aux=True, accumulate=2, evaluate=DATA,
                                   metrics={"seen": lambda p, s, x, y: s["seen"]})  # fmt: skip
    assert state["seen"] == 40 and start == {"seen": 0} and sorted(params) == ["a", "b"]
    assert len(history["biggest"]) == len(history["loss"]) == 3 and history["eval_seen"] == [28.0, 40.0]
    for f, options, message in (
        (loss, {"has_aux": True}, "has_aux=True the loss of one batch is a pair"),
        (lambda p, *b: (loss(p, *b), 3.0), {"has_aux": True}, "a dict of numbers beside the loss, got 3.0"),
        (lambda p, s, *b: loss(p, *b), {"state": 1.0}, "with state= the loss of one batch is a pair"),
    ):
        with pytest.raises(TypeError, match=message):
            fit(f, START, optim.sgd(0.1), DATA, steps=1, **options)


def test_evaluation_is_a_mean_over_examples() -> None:
    metrics = {"error": lambda p, x, y: np.mean(np.abs(p["a"] * x + p["b"] - y))}
    params, history = fit(loss, START, optim.sgd(0.1), DATA, epochs=3, batch_size=8, evaluate=DATA, metrics=metrics)
    assert history["eval_step"] == [3, 6, 9] and len(history["eval_loss"]) == 3
    np.testing.assert_allclose(history["eval_loss"][-1], loss(params, *DATA))
    np.testing.assert_allclose(history["eval_error"][-1], metrics["error"](params, *DATA))
    _, history = fit(loss, START, optim.sgd(0.1), DATA, steps=5, evaluate=lambda p: {"a": p["a"]}, evaluate_every=2)
    assert history["eval_step"] == [2, 4, 5] and len(history["eval_a"]) == 3


def test_early_stopping_gives_the_best() -> None:
    values = iter([3.0, 2.0, 2.5, 1.0, 1.2, 1.1, 1.3, 0.0])
    seen: list[Any] = []

    def evaluate(params: Any) -> dict[str, float]:
        seen.append(params["a"].copy())
        return {"loss": next(values)}

    params, history = fit(loss, START, optim.sgd(0.1), DATA, epochs=50, evaluate=evaluate, early_stopping=3)
    assert len(history["eval_loss"]) == 7 and params["a"] == seen[3]
    values = iter([1.0, 2.0, 2.05, 2.06])
    rule = EarlyStopping(2, min_delta=0.1, mode="max")
    params, history = fit(loss, START, optim.sgd(0.1), DATA, epochs=50, evaluate=evaluate, early_stopping=rule)
    assert len(history["eval_loss"]) == 4 and params["a"] == seen[8]


def test_callbacks_keep_what_they_get() -> None:
    seen: list[Any] = []

    def keep(step: int, params: Any, metrics: dict[str, float]) -> Any:
        seen.append((step, params, metrics))
        return step == 4

    params, history = fit(loss, START, optim.adam(0.1), DATA, epochs=5, batch_size=10, callbacks=keep)
    assert [s for s, _, _ in seen] == [1, 2, 3, 4] and len({float(p["a"]) for _, p, _ in seen}) == 4
    assert same(seen[-1][1], params) and [m["loss"] for _, _, m in seen] == history["loss"]


def diverging(p: Any, x: Any, y: Any) -> Any:
    return np.where(p["b"] < -0.5, np.nan, loss(p, x, y))


def test_a_loss_that_is_not_finite_is_reported() -> None:
    with pytest.raises(DivergedError, match=r"the loss is nan at step (\d+) \(in epoch \d\), after ") as info:
        fit(diverging, START, optim.sgd(0.1), DATA, epochs=9, batch_size=8)
    error = info.value
    assert error.step == len(error.history["loss"]) + 1 and -1 < error.params["b"] < -0.5
    assert f"at step {error.step} " in str(error)
    other, _ = by_hand(optim.sgd(0.1), error.step - 1, 8)
    np.testing.assert_allclose(error.params["b"], other["b"])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handler: in a process that was started in the background Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("moment", ["callback", "evaluate", "data", "step"])
def test_ctrl_c_gives_what_there_is(moment: str, tmp_path: Path) -> None:
    calls = 0

    def press(which: str) -> None:
        nonlocal calls
        if which == moment:
            calls += 1
            if calls == (5 if which != "evaluate" else 2):
                signal.raise_signal(signal.SIGINT)

    def evaluate(params: Any) -> dict[str, float]:
        press("evaluate")
        return {}

    def source() -> Iterator[Any]:
        for batch in batches(DATA, 8):
            press("data")
            yield batch

    def called(p: Any, x: Any, y: Any) -> Any:
        press("step")
        return loss(p, x, y)

    handler = signal.getsignal(signal.SIGINT)
    params, history = fit(called, START, optim.adam(0.1), source(), steps=30, jit=False, evaluate=evaluate,
                          evaluate_every=3, callbacks=lambda *_: press("callback"))  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is handler
    n = len(history["loss"])
    assert n == {"callback": 5, "evaluate": 6, "data": 3, "step": 5}[moment]
    assert same(params, fit(loss, START, optim.adam(0.1), batches(DATA, 8), steps=n, jit=False)[0])


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_twice_in_a_step_raises() -> None:
    def called(p: Any, x: Any, y: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return loss(p, x, y)

    with pytest.raises(KeyboardInterrupt):
        fit(called, START, optim.sgd(0.1), DATA, steps=3, jit=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_batches_come_from() -> None:
    whole = [b for b in batches(DATA, 8, epochs=2)]
    expected, _ = fit(loss, START, optim.sgd(0.1), batches(DATA, 8, epochs=2))
    for data, options in (
        (iter(whole), {}), (batches(DATA, 8), {"epochs": 2}), (batches(DATA, 8), {"steps": 6}),
        (batches(DATA, 8, prefetch=2), {"epochs": 2}), (iter(whole), {"steps": 99}),
    ):  # fmt: skip
        params, history = fit(loss, START, optim.sgd(0.1), data, evaluate=lambda p: {"x": 1}, **options)
        assert same(params, expected) and len(history["loss"]) == 6
    assert threads() == 0

    class Loader:
        def __iter__(self) -> Iterator[Any]:
            return batches(DATA, 8, epochs=1, shuffle=False)

    params, history = fit(loss, START, optim.sgd(0.1), Loader(), epochs=2, evaluate=lambda p: {"x": 1})
    assert history["eval_step"] == [3, 6]
    assert same(params, fit(loss, START, optim.sgd(0.1), DATA, epochs=2, batch_size=8, shuffle=False)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "with epochs= or steps="),
        ({"epochs": 1, "steps": 1}, "not both"),
        ({"steps": -1}, "steps= is at least 0, got -1"),
        ({"steps": 1, "accumulate": 0}, "accumulate= is at least 1"),
        ({"steps": 1, "clip": 0.0}, "clip= is the largest norm"),
        ({"steps": 1, "metrics": {"x": loss}}, "metrics= are computed on evaluate="),
        ({"steps": 1, "early_stopping": 1}, "early_stopping= needs evaluate="),
        ({"steps": 1, "early_stopping": 0, "evaluate": DATA}, "early_stopping= is a number of evaluations"),
        ({"steps": 1, "early_stopping": EarlyStopping(1, "x"), "evaluate": DATA}, "looks at 'x', and .* eval_loss"),
        ({"steps": 1, "every": 2}, "needs checkpoint="),
        ({"steps": 1, "data": iter([DATA]), "checkpoint": "x"}, "come from an iterator"),
        ({"epochs": 1, "data": iter([DATA])}, "an iterator is passed over once"),
        ({"steps": 1, "optimiser": 3}, "functions init and update"),
    ],
)
def test_arguments_that_do_not_fit(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fit(**{"loss": loss, "params": START, "optimiser": optim.sgd(0.1), "data": DATA} | options)


def test_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    fit(loss, START, optim.sgd(0.1), DATA, epochs=2, batch_size=8, progress=True)
    text = capsys.readouterr().err
    assert "6/6" in text and "loss" in text
    fit(loss, START, optim.sgd(0.1), DATA, epochs=2)
    assert not capsys.readouterr().err  # it is no terminal


# ----------------------------------------------------------------------------------------------------- checkpoints


def test_a_run_that_is_stopped_anywhere_goes_on_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # disks are slow
    whole = training_run.run(None, 20)
    save = io.Checkpoints.save

    class Stop(Exception):
        pass

    for moment in range(1, 20, 3):
        directory = str(tmp_path / str(moment))

        def failing(self: Any, step: int, tree: Any, *, overwrite: bool, last: int = moment) -> Any:
            if step > last:
                raise Stop
            return save(self, step, tree, overwrite=overwrite)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
            patch.setattr(io.Checkpoints, "save", failing)
            training_run.run(directory, 20, every=1)
        assert io.latest_step(directory) == moment
        assert training_run.run(directory, 20, every=1) == whole
        assert training_run.run(directory, 20, every=1) == whole  # it is over


def test_a_run_goes_on_with_more_epochs_and_says_what_differs(tmp_path: Path) -> None:
    def run(directory: Any, epochs: int, **options: Any) -> Any:
        given: Any = {"params": START, "epochs": epochs, "batch_size": 8, "checkpoint": directory} | options
        return fit(loss, optimiser=optim.adam(0.1), data=DATA, **given)

    run(tmp_path / "a", 2)
    assert same(run(tmp_path / "a", 5), run(None, 5, every=None))
    assert io.Checkpoints(tmp_path / "a").steps() == [9, 12, 15]
    for options, message in (({"key": 1}, "another key="), ({"batch_size": 4}, "batch_size=8, and here it is 4"),
                             ({"params": {"a": np.zeros(2)}}, "params")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            run(tmp_path / "a", 6, **options)
    newest = tmp_path / "a" / "checkpoint_000000015.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(io.DamagedFileError, match=r"checkpoint_000000015.*truncated"):
        run(tmp_path / "a", 6)
    with pytest.warns(UserWarning, match="checkpoint of step 12 is used instead"):
        out = run(io.Checkpoints(tmp_path / "a", fallback=True), 6, every=3)
    assert same(out, run(None, 6, every=None))
    assert io.Checkpoints(tmp_path / "a").steps() == [12, 15, 18]


def test_killed_runs_end_as_undisturbed_ones(tmp_path: Path) -> None:
    """Kill -9 at random moments: the parameters and the history are the same to the last bit."""
    steps, choose = 60, python_random.Random(0)
    whole = training_run.run(None, steps)
    command = [sys.executable, training_run.__file__, str(tmp_path), str(steps)]
    kills = 0
    while kills < KILLS:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            time.sleep(choose.uniform(0.0, 1.0))
            process.kill()
            rest = process.stdout.read()
        kills += not rest
        if rest:
            assert rest.strip() == whole
            for path in tmp_path.iterdir():
                path.unlink()
    assert training_run.run(str(tmp_path), steps) == whole
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
