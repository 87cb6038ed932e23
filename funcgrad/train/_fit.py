"""`fit`: the loop that everyone writes again, as an ordinary function."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from operator import index
from os import PathLike
from typing import Any

import numpy as np

import funcgrad.random as random
from funcgrad.io import Checkpoints
from funcgrad.train._batches import as_key
from funcgrad.train._evaluate import EarlyStopping, Evaluator, Stopping
from funcgrad.train._feed import Feed
from funcgrad.train._outside import Bar, Interrupts
from funcgrad.train._step import Carry, Function, Step, check_plain, copied

__all__ = ["DivergedError", "fit"]

Callback = Callable[[int, Any, dict[str, float]], Any]


class DivergedError(FloatingPointError):
    """The loss is not finite.

    Attributes:
        step: the step that would have been the next one.
        params: the parameters at which that is so (with `state=`, a pair of these and the state).
        history: what was noted until then.
    """

    step: int
    params: Any
    history: dict[str, list[float]]


class _Run:
    """A run of training: what changes while it goes on, and what one step does to that."""

    def __init__(self, step: Step, carry: Carry, feed: Feed, key: Any, accumulate: int) -> None:
        self.step, self.carry, self.feed, self.key, self.accumulate = step, carry, feed, key, accumulate
        self.done = self.taken = 0
        self.settled = 0  # the last step of which everything is done that follows it
        self.saved: int | None = None
        self.place = feed.state  # after the last step: batches that were taken and not used are to come again
        self.history: dict[str, list[float]] = {"loss": []}
        self.evaluator: Evaluator | None = None
        self.evaluate_every: int | None = None
        self.stopping: Stopping | None = None
        self.callbacks: Sequence[Callback] = ()
        self.checkpoints: Checkpoints | None = None
        self.save_every: int | None = None
        self.interrupts = Interrupts()

    def shown(self, carry: Carry) -> Any:
        """The parameters as users see them: with `state=`, a pair of these and the state."""
        return (carry.params, carry.state) if self.step.loss.stateful else carry.params

    def groups(self) -> Generator[tuple[list[Any], bool]]:
        """The batches of each step, and whether an epoch ends with them."""
        group: list[Any] = []
        ends = False
        for batch, last in self.feed:
            group.append(batch)
            ends = ends or last
            if len(group) == self.accumulate:
                yield group, ends
                group, ends = [], False
        if group:
            yield group, ends

    def loop(self, steps: int | None, bar: Bar) -> None:
        """Steps until there are enough, the data ends, or something says to stop."""
        with closing(self.groups()) as groups:
            while (steps is None or self.done < steps) and not (self.stopping is not None and self.stopping.over):
                group = next(groups, None)
                if group is None:
                    return
                with self.interrupts.held():
                    numbers = self.advance(group[0])
                stop = self.after(numbers, ends=group[1], last=self.done == steps, bar=bar)
                self.settled = self.done
                self.save(only_if_due=True, ends=group[1])
                if stop:
                    return

    def advance(self, group: list[Any]) -> dict[str, float]:
        """One step."""
        carry, numbers = self.step(self.carry, self.key, self.taken, group)
        if not np.isfinite(numbers["loss"]):
            raise self.diverged(numbers["loss"])
        self.carry, self.done, self.taken = carry, self.done + 1, self.taken + len(group)
        self.place = self.feed.state
        self.note(numbers)
        return numbers

    def note(self, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.history.setdefault(name, []).append(value)

    def diverged(self, value: float) -> DivergedError:
        step = self.done + 1
        before = self.history["loss"][-3:]
        error = DivergedError(
            f"fit: the loss is {value} at step {step} (in epoch {self.feed.epoch + 1})"
            + (f", after {', '.join(f'{v:.6g}' for v in before)}" if before else ", the first one")
            + ". Smaller steps, clip=, or another initialisation may help; funcgrad.debug_nans(True) finds the place."
            " The error has .params, at which that is so, and .history"
        )
        error.step, error.params, error.history = step, self.shown(self.carry), self.history
        return error

    def after(self, numbers: dict[str, float], *, ends: bool, last: bool, bar: Bar) -> bool:
        """What follows a step: evaluation and callbacks. Whether something says to stop."""
        due = ends if self.evaluate_every is None else self.done % self.evaluate_every == 0
        if self.evaluator is not None and (due or last):
            found = self.evaluator(self.carry, self.shown(self.carry))
            with self.interrupts.held():
                self.note({"eval_step": self.done} | found)
                if self.stopping is not None:
                    self.stopping.note(found, self.carry)
            numbers |= found
        bar.advance(self.feed.epoch, numbers)
        stop = False
        for callback in self.callbacks:
            stop = callback(self.done, copied(self.shown(self.carry)), dict(numbers)) is True or stop
        return stop

    # ------------------------------------------------------------------------------------------------- checkpoints

    def tree(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "step": self.done,
            "taken": self.taken,
            "carry": self.carry,
            "data": self.place,
            "key": self.key,
            "history": {name: np.array(values) for name, values in self.history.items()},
            "stopping": None if self.stopping is None else self.stopping.saved(),
        }

    def save(self, *, only_if_due: bool = False, ends: bool = False) -> None:
        """Saves a checkpoint, if they are wanted, unless the step is saved already or has not been finished."""
        due = not only_if_due or (ends if self.save_every is None else self.done % self.save_every == 0)
        if self.checkpoints is not None and due and self.done not in (0, self.saved) and self.done == self.settled:
            with self.interrupts.held():
                self.checkpoints.save(self.done, self.tree(), overwrite=self.checkpoints.fallback)
                self.saved = self.done

    def resume(self) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        assert self.checkpoints is not None
        if self.checkpoints.latest() is None:
            return
        step, saved = self.checkpoints.restore(self.tree() | {"history": ...})
        if not np.array_equal(random.key_data(saved["key"]), random.key_data(self.key)):
            raise ValueError(
                f"fit: the checkpoint of step {step} in {self.checkpoints.directory} is of a run with another key=; "
                "give the same, or another directory"
            )
        self.settled = self.saved = step
        self.done, self.taken, self.carry = saved["step"], saved["taken"], saved["carry"]
        self.feed.restore(saved["data"])
        self.place = self.feed.state
        self.history = {name: values.tolist() for name, values in saved["history"].items()}
        if self.stopping is not None:
            self.stopping.restore(saved["stopping"])


def fit(
    loss: Callable[..., Any],
    params: Any,
    optimiser: Any,
    data: Any,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 32,
    key: Any = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    prefetch: int = 0,
    state: Any = None,
    has_aux: bool = False,
    evaluate: Any = None,
    metrics: Mapping[str, Callable[..., Any]] | None = None,
    evaluate_every: int | None = None,
    early_stopping: EarlyStopping | int | None = None,
    callbacks: Callback | Iterable[Callback] = (),
    progress: bool | None = None,
    accumulate: int = 1,
    clip: float | None = None,
    checkpoint: str | PathLike[str] | Checkpoints | None = None,
    every: int | None = None,
    jit: bool = True,
) -> tuple[Any, dict[str, list[float]]]:
    """Trains parameters: steps of an optimiser along the gradients of a loss at batches of data.

    How the loss is called: `loss(params, *batch)` where a batch is a tuple, `loss(params, batch)` where it is anything
    else. So for `data=(x, y)` that is `loss(params, x, y)`, and for `data={"x": x}` it is `loss(params, {"x": ...})`.
    If it has a parameter named `key` without a default value, it gets a random key of its own in each step, as `key=`.

    Args:
        loss: gives one real number; the mean over the batch, as a rule. It is compiled by `jit`.
        params: a pytree of arrays. They are copied, and never written to.
        optimiser: of `funcgrad.optim`, or any pair of functions `init(params)` and
            `update(grads, state, params) -> (updates, state)`. Schedules belong to it.
        data: a pytree of arrays whose first axes count the examples (`batches` makes batches of it); or `Batches`, or
            any other iterator over batches; or an object such as a data loader that can be passed over in each epoch.
        epochs, steps: how long; give one of them. (Neither for an iterator that ends.)
        batch_size, shuffle, drop_last, prefetch: as for `batches`.
        key: a random key, or a seed: of the order of the examples, and of the keys for the loss.
        state: what the loss changes but is not trained, such as running means. Then it is called as
            `loss(params, state, *batch)` and gives (value, new state); and the first result here is (params, state).
        has_aux: the loss gives (value, aux) with a dict of numbers to note; with `state=`, (value, (new state, aux)).
        evaluate: data of the same form for evaluation, at the end of each epoch; or a function of the parameters
            that gives a dict of numbers.
        metrics: functions by name, called as the loss is, that give a number: their means over `evaluate` are noted.
            One named "loss" takes the place of the loss (without dropout, say).
        evaluate_every: evaluate after so many steps, not at the end of each epoch.
        early_stopping: stop after so many evaluations that were not better (see `EarlyStopping`). The parameters
            returned are those of the best evaluation.
        callbacks: one or more functions, called as `callback(step, params, metrics)` after each step; the arrays are
            theirs to keep. One that returns True ends the training.
        progress: a bar (with tqdm): None for one where somebody sees it.
        accumulate: the gradients at so many batches are averaged for one step (of which `steps` counts one).
        clip: gradients are scaled down to this norm, all alike. The history then has "grad_norm", before that.
        checkpoint: a directory, or `funcgrad.io.Checkpoints`. Where it has a checkpoint already, the run goes on from
            there, as if it had not been interrupted: the same numbers to the last bit. Give the same arguments
            (`epochs` and `steps` may grow).
        every: save after so many steps; by default at the end of each epoch. The last step is saved in any case.
        jit: whether functions are compiled.

    Returns:
        The parameters, and the history: a dict of lists, with "loss", "grad_norm" and what `has_aux` notes for each
        step, "eval_step" and "eval_..." for each evaluation. Ctrl-C ends the training after the step that is being
        made, and what there is by then is returned; a second one does not wait for that, and raises.

    Raises:
        DivergedError: if the loss is not finite; it says at which step, and has the parameters and the history.
        TypeError, ValueError: for arguments that do not fit together, and for traced ones.

    >>> from funcgrad import optim
    >>> x = np.linspace(-1, 1, 64)
    >>> loss = lambda p, x, y: np.mean((p["a"] * x + p["b"] - y) ** 2)
    >>> params, history = fit(loss, {"a": 0.0, "b": 0.0}, optim.adam(0.1), (x, 3 * x - 1), epochs=100)
    >>> float(params["a"].round(3)), float(params["b"].round(3)), len(history["loss"])
    (3.0, -1.0, 200)
    """
    _check(optimiser, accumulate=accumulate, epochs=epochs, steps=steps, evaluate_every=evaluate_every, every=every)
    if clip is not None and not clip > 0:
        raise ValueError(f"fit: clip= is the largest norm of gradients, greater than 0, got {clip}")
    for what, given in (("params", params), ("state", state), ("data", data)):
        check_plain(given, what)
    order_key, loss_key, evaluation_key = random.split(as_key(key, "fit"), 3)
    function = Function(loss, state is not None)
    step = Step(function, optimiser, has_aux=has_aux, clip=clip, compiled=jit)
    options = {"key": order_key, "shuffle": shuffle, "drop_last": drop_last, "prefetch": prefetch}
    feed = Feed(data, epochs, batch_size=batch_size, **options)
    if epochs is None and steps is None and feed.endless:
        raise TypeError("fit: say how long to train, with epochs= or steps=")
    params = copied(params)
    run = _Run(step, Carry(params, copied(state), copied(optimiser.init(params))), feed, loss_key, accumulate)
    run.callbacks = (callbacks,) if callable(callbacks) else tuple(callbacks)
    run.evaluator = _evaluator(step, evaluate, metrics, batch_size, evaluation_key, jit)
    run.evaluate_every = evaluate_every
    if early_stopping is not None:
        if run.evaluator is None:
            raise ValueError("fit: early_stopping= needs evaluate=, the data to look at")
        run.stopping = Stopping(early_stopping, run.carry)
    if checkpoint is not None:
        _keep(run, checkpoint, every)
    elif every is not None:
        raise ValueError("fit: every= says how often to save, and needs checkpoint=, a directory")
    return _trained(run, steps, progress)


def _check(optimiser: Any, **counts: int | None) -> None:
    if not callable(getattr(optimiser, "init", None)) or not callable(getattr(optimiser, "update", None)):
        raise TypeError(
            f"fit: the optimiser has to have functions init and update, as those of funcgrad.optim; got {optimiser!r}"
        )
    if counts["epochs"] is not None and counts["steps"] is not None:
        raise ValueError("fit: give epochs= or steps=, not both")
    for name, value in counts.items():
        least = 0 if name in ("epochs", "steps") else 1
        if value is not None and index(value) < least:
            raise ValueError(f"fit: {name}= is at least {least}, got {value}")


def _evaluator(step: Step, data: Any, metrics: Any, batch_size: int, key: Any, compiled: bool) -> Evaluator | None:
    if data is None:
        if metrics:
            raise ValueError(
                "fit: metrics= are computed on evaluate=, which is missing; numbers of the training batches come with "
                "the loss (has_aux=True)"
            )
        return None
    functions: dict[str, Callable[..., Any]] = {"loss": step.value_alone}
    functions |= {name: Function(f, step.loss.stateful) for name, f in (metrics or {}).items()}
    return Evaluator(functions, data, batch_size, key, compiled)


def _keep(run: _Run, checkpoint: Any, every: int | None) -> None:
    """Prepares the saving of checkpoints, and goes on from the newest one."""
    if run.feed.state is None:
        raise ValueError(
            "fit: checkpoint= needs data that can be gone back to: a pytree of arrays, or train.batches; these batches "
            "come from an iterator"
        )
    if type(checkpoint) is Checkpoints:
        run.checkpoints, run.save_every = checkpoint, checkpoint.every if every is None else every
    else:
        run.checkpoints, run.save_every = Checkpoints(checkpoint), every
    run.resume()


def _trained(run: _Run, steps: int | None, progress: bool | None) -> tuple[Any, dict[str, list[float]]]:
    """Runs, and gives what `fit` returns."""
    total = run.feed.steps(run.accumulate) if steps is None else steps
    bar = Bar(progress, total, run.done)
    with run.interrupts as interrupts:
        try:
            run.loop(steps, bar)
        except KeyboardInterrupt:
            if interrupts.torn:
                raise
        finally:
            bar.close()
            run.feed.close()
        try:
            run.save()
        except KeyboardInterrupt:  # during which it was finished
            if interrupts.torn:
                raise
    carry = run.carry
    if run.stopping is not None and np.isfinite(run.stopping.best):
        carry = carry._replace(params=run.stopping.params, state=run.stopping.state)
    return run.shown(carry), run.history
