"""Views of an array, and writes into it: which arrays share memory, and what a write means for the others.

A view is noted when it is made, as a tracer with a state. Whether it shares memory with its base is asked when one of
them is written to for the first time: `reshape` gives a view or a copy, depending on how the base lies in memory. Where
that is not known, the two are in doubt about each other: after a write to one of them the other cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from funcgrad.aliasing import (
    Alias,
    Mutable,
    State,
    Storage,
    View,
    alias,
    aliased,
    doubtful,
    exchange_class,
    in_order,
    is_array,
    keep_layout,
    scalar,
    settle,
    state_of,
    strides_of,
)
from funcgrad.core import Tracer, current_trace
from funcgrad.errors import TracerWriteError
from funcgrad.ops.shape import RESHAPE
from funcgrad.source import describe, user_place, user_source
from funcgrad.types import is_a, shape_of

__all__ = ["detached", "is_view_of", "owned", "root_of", "store", "view_of", "viewed"]


def viewed(base: Any, out: Any, view: View) -> Any:
    """`out`, which was read from `base` just now, as a view of it."""
    if out is base or not isinstance(base, Tracer) or not (isinstance(out, Tracer) or is_a(base, Mutable)):
        return out
    above = state_of(base)
    if above is None:
        above = base.state = State()
    if above.view is not None and above.view.copies:
        return alias(out)
    if not is_a(out, Tracer):
        out = aliased(out, base.owner)
    raw = out.state.raw if type(out) is Alias else None
    state = out.state = State(base, view)
    state.raw = raw
    if above.storage is not None:
        _join(out, above.storage)
        return out
    if above.children is None:
        above.children = []
    above.children.append(ref(out))
    return out


def _join(x: Tracer, storage: Storage) -> None:
    """Let a view have the storage of its base, if it shares memory with that."""
    state: State = x.state
    base: Any = state.base
    shares = state.view.shares(shape_of(base), strides_of(base))[0]  # type: ignore[union-attr]
    if not shares:
        state.base = state.view = None
        storage, other = Storage(storage.scope), storage
        if shares is None:
            storage.maybe.append(ref(other))
            other.maybe.append(ref(storage))
    _spread(x, storage)


def owned(out: Any, args: Sequence[Any]) -> Any:
    """The result of a function that gives new arrays, where it was made by operations that may give views."""
    kind = type(out)
    if not issubclass(kind, Tracer):
        return kind([owned(x, args) for x in out]) if kind is tuple or kind is list else out
    for a in args:
        if a is out:
            return alias(out) if is_array(out) else out
    state = getattr(out, "state", None)
    if not shape_of(out):  # a function gives a number, where its operations may give an array of shape ()
        if state is not None and not issubclass(kind, Mutable):
            del out.state
        elif state is None and getattr(out, "value", out) is None:  # recorded from shapes alone: it is a number
            return out
        return scalar(out) if is_array(out) else out
    if state is None:
        return out
    if issubclass(kind, Mutable):
        return alias(out) if state.base is not None else out
    state.base = state.view = None
    return out


def is_view_of(x: Tracer, base: Tracer, view: Callable[[], View | None]) -> bool:
    """Whether `x` is such a view of `base`, and the last that was written to."""
    state = state_of(x)
    if state is None or state.base is not base or state.storage is None or state.version != state.storage.version:
        return False
    return state.view == view()


def view_of(x: Tracer) -> View | None:
    """How `x` lies in another array, if it is a view."""
    state = state_of(x)
    return None if state is None else state.view


def root_of(x: Tracer) -> Tracer:
    """The array that `x` shares memory with, which is no view; what may be a view or a copy counts as a copy."""
    state = state_of(x)
    while state is not None and state.base is not None:
        if not state.view.shares(shape_of(state.base), strides_of(state.base))[0]:  # type: ignore[union-attr]
            break
        x, state = state.base, state_of(state.base)
    return x


def _spread(x: Tracer, storage: Storage) -> None:
    """Give a tracer that was never written to, and its views, a storage."""
    state = state_of(x)
    if state is None:
        state = x.state = State()
    keep_layout(x, state)
    state.storage, state.version = storage, storage.version
    exchange_class(x)
    children, state.children = state.children, None
    for child in children or ():
        view = child()
        if view is not None and view.state.base is x:
            _join(view, storage)


def _storage_of(x: Tracer) -> Storage:
    """The storage of an array; one that was never written to gets one now."""
    state = state_of(x)
    if state is None:
        state = x.state = State()
    if state.storage is None and state.base is not None:
        if state.view.shares(shape_of(state.base), strides_of(state.base))[0] is False:  # type: ignore[union-attr]
            state.base = state.view = None  # NumPy has made a copy
        else:
            _storage_of(state.base)  # which joins it to its views, of which this is one
    if state.storage is None:
        _spread(x, Storage(x.owner.scope))
    assert state.storage is not None
    return state.storage


def _begin(x: Tracer, what: str) -> Storage:
    """The storage of `x`, which is going to be written to; raises if that cannot be."""
    storage = _storage_of(x)
    state: State = x.state
    while state.base is not None:
        if not state.view.writable:  # type: ignore[union-attr]
            raise ValueError(
                f"{what}: the array is read-only, as in NumPy: it is a view made by {state.view}; write into a copy of "
                "it (.copy()), or into the array of which it is a view"
            )
        state = state.base.state
    if storage.doubt is not None:
        raise TracerWriteError(doubtful(x, storage.doubt))
    here = current_trace()
    if storage.scope is not (here.scope if here is not None else None):
        raise TracerWriteError(_outside(what, x))
    return storage


def _outside(what: str, x: Tracer) -> str:
    made = describe(x.source)
    return (
        f"{what} would write into a traced {x.aval} from outside of the function that runs here"
        + (f" (it was made at {made})" if made else "")
        + f"\n  at {user_place()}\n"
        "  write instead: into a copy, h = x.copy(), and return it; or pass x as an argument and return its new value"
    )


def detached(x: Any) -> Any:
    """The contents that `x` has now, as a value which no later write to `x` changes."""
    return RESHAPE.bind(x, shape=shape_of(x)) if isinstance(x, Tracer) else x


def store(x: Tracer, value: Any, what: str) -> None:
    """Let `x`, and all that shares memory with it, have new contents, of the shape and dtype of `x`.

    The caller may not have `value` as a name of his own: see `detached`.
    """
    state = state_of(value) if isinstance(value, Tracer) else None
    if settle(value) is not value or (state is not None and state.base is not None):
        value = detached(value)  # somebody else's contents, or a view, maybe of `x` itself
    storage = _begin(x, what)
    state = x.state
    raw = settle(value)
    if is_a(raw, np.ndarray):
        raw = raw.copy()  # the user's, perhaps
    for other in storage.maybe:
        doubtful = other()
        if doubtful is not None:
            doubtful.doubt = user_source() or (_spread.__code__, 0)
    storage.version += 1
    keep_layout(x, state)
    if len(shape_of(x)) > 1 and storage.scope is not None and not (in_order(x, x) and in_order(x, raw)):
        storage.scope.faithful = False
    state.raw, state.version = raw, storage.version
    if state.base is None:
        storage.pending.clear()
        return
    pending = storage.pending
    if pending and pending[-1][0] is state:
        pending.pop()
    pending.append((state, raw, user_source()))
