"""One step of training as compiled functions that reuse the memory of what they replace."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.random as random
import funcgrad.tree as tree
from funcgrad.core import Tracer
from funcgrad.errors import ConcretizationTypeError, TracerArrayConversionError
from funcgrad.executor.jit import jit as compile_
from funcgrad.optim import apply_updates, clip_by_global_norm, global_norm
from funcgrad.transforms.grad import value_and_grad
from funcgrad.types import is_a

__all__ = ["Carry", "Function", "Step", "check_plain", "copied", "takes_key"]


class Carry(NamedTuple):
    """What one step hands to the next one. Its arrays are nobody else's: steps write over them."""

    params: Any
    state: Any
    opt_state: Any


def copied(x: Any) -> Any:
    """A tree of arrays that share no memory with anything."""
    return tree.map(lambda leaf: np.array(leaf, subok=True), x)


_OUTSIDE = (
    "training runs outside of transformed functions (jit, grad, vmap); for derivatives of what is trained write the "
    "steps with lax.fori_loop or lax.scan, and an optimiser of funcgrad.optim"
)


def check_plain(x: Any, what: str) -> None:
    """Raise TypeError where a leaf of an argument of `fit` is traced."""
    for path, leaf in tree.leaves_with_path(x):
        if is_a(leaf, Tracer):
            raise TypeError(f"fit: {what}{tree.keystr(path)} is a traced value; {_OUTSIDE}")


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TracerArrayConversionError, ConcretizationTypeError) as error:
        raise TypeError(f"fit: the {name} depends on a traced value; {_OUTSIDE}") from error


def takes_key(f: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `key` without a default value."""
    try:
        parameter = inspect.signature(f).parameters.get("key")
    except (TypeError, ValueError):  # a builtin that does not say
        return False
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return parameter is not None and parameter.default is inspect.Parameter.empty and parameter.kind in kinds


class Function:
    """A loss or a metric as users write it: `f(params, *batch)`, with the state and a key where it has to do with them.

    Called as `(params, state, key, batch)`, all of it, it gives what `f` returns. A tuple is spread, any other batch is
    one argument.
    """

    def __init__(self, f: Callable[..., Any], stateful: bool) -> None:
        self.f, self.stateful, self.keyed = f, stateful, takes_key(f)

    def __call__(self, params: Any, state: Any, key: Any, batch: Any) -> Any:
        first = (params, state) if self.stateful else (params,)
        rest = batch if type(batch) is tuple else (batch,)
        named = {"key": key} if self.keyed else {}
        try:
            return self.f(*first, *rest, **named)
        except TypeError as error:
            wrong = _unfit(self.f, (*first, *rest), named)
            if wrong is None:
                raise
            batch_is = f"a tuple of {len(rest)}" if type(batch) is tuple else "one argument"
            names = ", ".join(
                ["params", *(["state"] if self.stateful else []), "*batch" if type(batch) is tuple else "batch"]
            )
            raise TypeError(
                f"fit: a function is called as f({names}), where a batch is {batch_is}; this one does not take "
                f"that: {wrong}"
            ) from error


def _unfit(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Why a function does not take such arguments; None if it does, or does not say."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return None


def _pair(out: Any, what: str) -> tuple[Any, Any]:
    if type(out) not in (tuple, list) or len(out) != 2:
        raise TypeError(f"fit: with {what} of one batch is a pair, got a {type(out).__name__}")
    return out[0], out[1]


class Step:
    """The compiled functions of a run of training.

    Args:
        loss: the loss.
        optimiser: the gradient transformation.
        has_aux: whether the loss returns a pair (value, numbers to note).
        clip: the largest norm that gradients may have, or None.
        compiled: whether functions go through `jit`.
    """

    def __init__(
        self, loss: Function, optimiser: Any, *, has_aux: bool, clip: float | None, compiled: bool = True
    ) -> None:
        self.loss, self.optimiser, self.has_aux, self.clip = loss, optimiser, has_aux, clip
        self._extra = _extra_arguments(optimiser.update)

        def made(f: Callable[..., Any], *donated: int) -> Callable[..., Any]:
            return compile_(f, donate_argnums=donated) if compiled else f

        self._gradient = made(self._gradient_at)
        self._added = made(self._gradient_added, 0)
        self._mean = made(_divided, 0)
        self._update = made(self._updated, 0, 1, 2)

    def value(self, params: Any, state: Any, key: Any, batch: Any) -> tuple[Any, tuple[Any, Any]]:
        """(loss, (state, aux)) at one batch."""
        out = self.loss(params, state, key, batch)
        aux: Any = {}
        if self.loss.stateful and self.has_aux:
            value, rest = _pair(out, "state= and has_aux=True the loss")
            state, aux = _pair(rest, "state= and has_aux=True, what comes with the loss")
        elif self.loss.stateful:
            value, state = _pair(out, "state= the loss")
        elif self.has_aux:
            value, aux = _pair(out, "has_aux=True the loss")
        else:
            value = out
        if type(aux) is not dict or any(np.shape(v) for v in aux.values()):
            raise TypeError(f"fit: has_aux=True wants a dict of numbers beside the loss, got {aux!r}")
        return value, (state, aux)

    def value_alone(self, params: Any, state: Any, key: Any, batch: Any) -> Any:
        """The loss at one batch."""
        return self.value(params, state, key, batch)[0]

    def _keyed(self, key: Any, count: Any) -> Any:
        return random.fold_in(key, count) if self.loss.keyed else key

    def _gradient_at(self, params: Any, state: Any, key: Any, count: Any, batch: Any) -> Any:
        """(gradient, state, what is noted) at one batch."""
        key = self._keyed(key, count)
        (value, (state, aux)), grads = value_and_grad(self.value, has_aux=True)(params, state, key, batch)
        return grads, state, {"loss": value} | aux

    def _gradient_added(self, total: Any, *args: Any) -> Any:
        """The same, with the gradient added to a sum."""
        grads, *rest = self._gradient_at(*args)
        return tree.map(lambda t, g: t + g, total, grads), *rest

    def _updated(self, params: Any, opt_state: Any, grads: Any, value: Any, at: Any) -> Any:
        """(parameters, state of the optimiser, what is noted); `at` is the place of the loss, where it is wanted."""
        noted: dict[str, Any] = {}
        if self.clip is not None:
            noted["grad_norm"] = global_norm(grads)
            grads, _ = clip_by_global_norm(self.clip).update(grads, ())
        extra: dict[str, Any] = {"value": value, "grad": grads}
        if at is not None:
            state, key, count, batch = at
            extra["value_fn"] = lambda p: self.value_alone(p, state, self._keyed(key, count), batch)
        given = extra if self._extra is None else {k: v for k, v in extra.items() if k in self._extra}
        updates, opt_state = self.optimiser.update(grads, opt_state, params, **given)
        return apply_updates(params, updates), opt_state, noted

    def __call__(self, carry: Carry, key: Any, count: int, batches: list[Any]) -> tuple[Carry, dict[str, float]]:
        """One step, with the mean of the gradients at one or more batches.

        Returns:
            What the next step gets, and the numbers to note. Where the loss is not finite, that is `carry` itself, and
            nothing was written over.
        """
        params, state = carry.params, carry.state
        grads, state, noted = self._gradient(params, state, key, np.uint32(count), batches[0])
        numbers = {name: _number(name, v) for name, v in noted.items()}
        for i, batch in enumerate(batches[1:], count + 1):
            grads, state, noted = self._added(grads, params, state, key, np.uint32(i), batch)
            numbers = {name: numbers[name] + float(v) for name, v in noted.items()}
        if len(batches) > 1:
            grads = self._mean(grads, len(batches))
            numbers = {name: v / len(batches) for name, v in numbers.items()}
        if not np.isfinite(numbers["loss"]):
            return carry, numbers
        wanted = (self._extra is None or "value_fn" in self._extra) and len(batches) == 1
        at = (carry.state, key, np.uint32(count), batches[0]) if wanted else None
        params, opt_state, noted = self._update(params, carry.opt_state, grads, numbers["loss"], at)
        return Carry(params, state, opt_state), numbers | {name: float(v) for name, v in noted.items()}


def _divided(total: Any, n: Any) -> Any:
    return tree.map(lambda t: (t / n).astype(t.dtype), total)


def _extra_arguments(update: Callable[..., Any]) -> set[str] | None:
    """Which keyword arguments an optimiser takes beyond (updates, state, params); None for any."""
    try:
        parameters = list(inspect.signature(update).parameters.values())
    except (TypeError, ValueError):
        return set()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters[2:] if p.kind is not inspect.Parameter.VAR_POSITIONAL} - {"params"}
