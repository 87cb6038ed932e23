"""The means of losses and metrics over data that is not trained on, and when these say to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.executor.jit import jit as compile_
from funcgrad.train._batches import batches
from funcgrad.train._step import Carry, copied

__all__ = ["EarlyStopping", "Evaluator", "Stopping"]


class EarlyStopping(NamedTuple):
    """When to stop: after `patience` evaluations in a row that are not better than the best one before them.

    Attributes:
        patience: how many.
        monitor: which number of the history: "eval_loss", or "eval_" and the name of a metric.
        min_delta: by how much an evaluation has to be better in order to count.
        mode: "min" where less is better, "max" where more is.
    """

    patience: int
    monitor: str = "eval_loss"
    min_delta: float = 0.0
    mode: str = "min"


class Evaluator:
    """Means of functions over data, in batches.

    Args:
        functions: of (parameters, state, key, batch), by name.
        data: a pytree of arrays, or a function of the parameters that gives a dict of numbers.
        batch_size: how many examples go through a function at a time.
        key: what functions get that want a key.
    """

    def __init__(
        self, functions: Mapping[str, Callable[..., Any]], data: Any, batch_size: int, key: Any, compiled: bool
    ) -> None:
        self.data, self.batch_size, self.key = data, batch_size, key
        self.functions = {name: compile_(f) if compiled else f for name, f in functions.items()}

    def __call__(self, carry: Carry, shown: Any) -> dict[str, float]:
        if callable(self.data):
            found: Any = self.data(shown)
            return {f"eval_{name}": float(value) for name, value in found.items()}
        totals = dict.fromkeys(self.functions, 0.0)
        examples = 0
        for batch in batches(self.data, self.batch_size, shuffle=False, epochs=1):
            size = len(tree.leaves(batch)[0])
            examples += size
            for name, f in self.functions.items():
                value = f(carry.params, carry.state, self.key, batch)
                if np.shape(value):
                    raise TypeError(
                        f"fit: the metric {name!r} gives an array of shape {np.shape(value)}, not one number"
                    )
                totals[name] += size * float(value)
        return {f"eval_{name}": total / examples for name, total in totals.items()}


class Stopping:
    """How long it is since the best evaluation, and the parameters that it was of."""

    def __init__(self, rule: EarlyStopping | int, carry: Carry) -> None:
        self.rule = rule if isinstance(rule, EarlyStopping) else EarlyStopping(rule)
        if type(self.rule.patience) is not int or self.rule.patience < 1 or self.rule.mode not in ("min", "max"):
            raise ValueError(
                "fit: early_stopping= is a number of evaluations, at least 1, or an EarlyStopping with mode 'min' or "
                f"'max'; got {rule!r}"
            )
        self.best, self.waited = np.inf, 0
        self.params, self.state = copied(carry.params), copied(carry.state)

    def note(self, numbers: Mapping[str, float], carry: Carry) -> None:
        """Takes an evaluation into account."""
        monitor = self.rule.monitor
        if monitor not in numbers:
            raise ValueError(f"fit: early_stopping= looks at {monitor!r}, and evaluations give {', '.join(numbers)}")
        value = numbers[monitor] if self.rule.mode == "min" else -numbers[monitor]
        if value < self.best - self.rule.min_delta or (self.best == np.inf and value < np.inf):
            self.best, self.waited = value, 0
            self.params, self.state = copied(carry.params), copied(carry.state)
        else:
            self.waited += 1

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        return self.waited >= self.rule.patience

    def saved(self) -> dict[str, Any]:
        """All of it but the rule, as a tree."""
        return {"best": float(self.best), "waited": self.waited, "params": self.params, "state": self.state}

    def restore(self, saved: dict[str, Any]) -> None:
        """The inverse of `saved`."""
        self.best, self.waited = saved["best"], saved["waited"]
        self.params, self.state = saved["params"], saved["state"]
