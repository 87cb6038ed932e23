"""Writes in place: what a tracer stands for after it, or an array that it shares memory with, was written to.

The IR is pure, and so are the traces. User code is not: in NumPy `h += 1` is seen through every other name and every
view of `h`. So a tracer that was written to, or is a view, has a `State` in its one slot for that. An operation that is
recorded takes the value that its operand has by then (`settle`); what was recorded before keeps the old one. Arrays
that share memory have one `Storage`. A write to a view is noted there, and carried over into its base when somebody
looks at the base, or at another view of it; those are then computed anew.

A tracer that nobody has written to is of its trace's own class, and costs nothing: its class is exchanged for a
`Mutable` one at the first write to its storage. (PyTorch calls this functionalization.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from funcgrad.capture import to_read
from funcgrad.core import Trace, Tracer, current_trace, on_behalf
from funcgrad.errors import TracerWriteError
from funcgrad.source import Source, describe, user_source
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_a, shape_of

__all__ = [
    "Mutable",
    "State",
    "View",
    "alias",
    "fresh",
    "is_array",
    "made_in",
    "operand_of",
    "own_arguments",
    "settle",
    "settle_all",
    "store",
    "viewed",
]


class View:
    """How a view lies in its base: a pure function each way.

    Attributes:
        writable: whether NumPy lets one write to such a view.
    """

    __slots__ = ()
    writable = True

    def read(self, base: Any) -> Any:
        """The view, of these contents of its base."""
        raise NotImplementedError

    def write(self, base: Any, value: Any) -> Any:
        """The contents of the base when the view has this value."""
        raise NotImplementedError


class Storage:
    """What arrays that share memory have in common.

    Attributes:
        scope: the trace in which they were made: that of the function that may write to them.
        version: how many writes there were.
        pending: writes to views that have not reached the base yet: the view's state, its value, the user's place.
        source: the place of the last write.
    """

    __slots__ = ("pending", "scope", "source", "version")

    def __init__(self, scope: Trace | None) -> None:
        self.scope, self.version, self.source = scope, 0, None
        self.pending: list[tuple[State, Any, Source]] = []


class State:
    """What a tracer stands for, where it is not simply itself.

    Attributes:
        base, view: for a view, the tracer that it is a view of, and how.
        children: weak references to the views of this tracer.
        storage: None as long as nothing was written.
        raw: the value at `version`: of a trace as it recorded it, or a plain array; None for the tracer itself.
        fixed: whether this is a scalar, to which nothing can be written.
    """

    __slots__ = ("base", "children", "fixed", "raw", "storage", "version", "view")

    def __init__(self, base: Tracer | None = None, view: View | None = None) -> None:
        self.base, self.view = base, view
        self.children: list[Any] | None = None
        self.storage: Storage | None = None
        self.raw: Any = None
        self.fixed = False


class Mutable:
    """What the classes of tracers with a state of their own have in common."""

    __slots__ = ()

    def concrete(self, how: str | None = None) -> Any:
        raw = settle(self)
        if is_a(raw, Mutable):
            return super(Mutable, raw).concrete(how)  # type: ignore[misc]  # of its own trace's class
        return raw.concrete(how) if is_a(raw, Tracer) else raw

    def unanswered(self, error: Exception) -> BaseException:
        raw = settle(self)
        if is_a(raw, Mutable):
            return super(Mutable, raw).unanswered(error)  # type: ignore[misc]
        return raw.unanswered(error) if is_a(raw, Tracer) else super().unanswered(error)  # type: ignore[misc]

    @property
    def stands_for(self) -> type:
        state: State = self.state  # type: ignore[attr-defined]
        return np.ndarray if not state.fixed else self.dtype.type  # type: ignore[attr-defined]

    @property
    def differentiated(self) -> bool:
        raw = settle(self)
        if is_a(raw, Mutable):
            return super(Mutable, raw).differentiated  # type: ignore[misc]
        return is_a(raw, Tracer) and raw.differentiated


class Alias(Mutable, Tracer):
    """An array of its own whose first contents are those of another value, or a plain array's."""

    __slots__ = ()

    @property
    def aval(self) -> ShapedArray:
        return aval_of(self.state.raw)

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.state.raw)

    @property
    def dtype(self) -> np.dtype[Any]:
        return dtype_of(self.state.raw)


_kinds: dict[type, type] = {}
_set_class = object.__dict__["__class__"].__set__  # `Tracer.__class__` says what a tracer stands for


def _exchange_class(x: Tracer) -> None:
    """Let `x`, which is of its trace's own class, be resolved when it is used."""
    kind = type(x)
    if issubclass(kind, Mutable):
        return
    mutable = _kinds.get(kind)
    if mutable is None:
        mutable = _kinds[kind] = type(f"Mutable{kind.__name__}", (Mutable, kind), {"__slots__": ()})
    _set_class(x, mutable)


def _state(x: Tracer) -> State | None:
    try:
        return x.state
    except AttributeError:
        return None


# ------------------------------------------------------------------------------------------------------- reading


def settle(x: Any) -> Any:
    """What `x` stands for now, as traces record it: a tracer that is taken as it was made, or a plain value."""
    if not is_a(x, Mutable):
        return x
    state: State = x.state  # type: ignore[attr-defined]
    storage = state.storage
    if storage is not None and (storage.pending if state.base is None else state.version != storage.version):
        _refresh(x, state, storage)
    return x if state.raw is None else state.raw


def operand_of(x: Any) -> Any:
    """What `x` stands for now, as an operand that means the same whatever is written later."""
    raw = settle(x)
    return _alias(raw) if is_a(raw, Mutable) else raw


def _refresh(x: Any, state: State, storage: Storage) -> None:
    """Bring a state up to the version of its storage."""
    trace = current_trace()
    scope = storage.scope
    if scope is not None and (trace is None or not trace.descends_from(scope)):
        raise scope.escaped(x, "a view")
    if state.base is None:
        pending, storage.pending = storage.pending, []
        for written, value, source in pending:
            with on_behalf(scope, source):
                state.raw = settle(_carried(written, state, value))
    else:
        with on_behalf(scope, user_source()):
            base = operand_of(state.base)
            state.raw = settle(state.view.read(base))  # type: ignore[union-attr]
    state.version = storage.version


def _carried(written: State, root: State, value: Any) -> Any:
    """The contents of the root when a view of it, or a view of that, has this value."""
    chain: list[State] = []
    link = written
    while link is not root:
        chain.append(link)
        link = link.base.state  # type: ignore[union-attr]
        top = chain[-1].base
    contents: list[Any] = [_as_operand(root.raw if root.raw is not None else top)]
    for link in reversed(chain[1:]):
        contents.append(link.view.read(contents[-1]))  # type: ignore[union-attr]
    value = _as_operand(value)
    for link, below in zip(chain, reversed(contents), strict=True):
        value = link.view.write(below, value)  # type: ignore[union-attr]
    return value


def _as_operand(raw: Any) -> Any:
    return _alias(raw) if is_a(raw, Mutable) else raw


# ------------------------------------------------------------------------------------------------ making and views


def _alias(raw: Any, scope: Trace | None = None) -> Alias:
    out = Alias()
    out.owner = scope.scope if scope is not None else raw.owner
    out.source = raw.source if is_a(raw, Tracer) else None
    state = out.state = State()
    storage = state.storage = Storage(out.owner)
    state.raw, state.version = raw, storage.version
    return out


def alias(x: Any) -> Any:
    """An array of its own with the contents that `x` has now: what NumPy's `copy` is."""
    return _alias(settle(x), current_trace())


def own_arguments(xs: Sequence[Any]) -> list[Any]:
    """Arguments for a function that may write to them, where others still need their values.

    A write to a tracer changes an array of the function's own, one to a plain array raises.
    """
    return [to_read(x) if not is_a(x, Tracer) else alias(x) if is_array(x) else x for x in xs]


def fresh(array: np.ndarray) -> Any:
    """A traced array of the function that is running, of these contents; `array` must be nobody else's."""
    return _alias(array, current_trace())


def made_in(trace: Trace, out: Any) -> Any:
    """An array that an operation on values from outside `trace` gave to the function in `trace`: its own."""
    if trace.parent is None:  # nothing encloses it: `out` is a plain array
        return out
    if type(out) is tuple:
        return tuple(made_in(trace, x) for x in out)
    return _alias(out, trace) if is_a(out, Tracer) and shape_of(out) else out


def viewed(base: Any, out: Any, view: View) -> Any:
    """`out`, which was read from `base` just now, as a view of it."""
    if out is base or not is_a(base, Tracer) or not (is_a(out, Tracer) or is_a(base, Mutable)):
        return out
    above = _state(base)
    if above is None:
        above = base.state = State()
    storage = above.storage
    if not is_a(out, Tracer):
        out = _alias(out, base.owner)
    raw = out.state.raw if type(out) is Alias else None
    state = out.state = State(base, view)
    state.raw = raw
    if above.children is None:
        above.children = []
    above.children.append(ref(out))
    if storage is not None:
        state.storage, state.version = storage, storage.version
        _exchange_class(out)
    return out


def is_array(x: Tracer) -> bool:
    """Whether a tracer stands for what NumPy would have as an array, and not as a scalar that nobody can write to."""
    if x.shape:  # type: ignore[attr-defined]
        return True
    state = _state(x)
    return state is not None and not state.fixed


# ------------------------------------------------------------------------------------------------------- writing


def _spread(x: Tracer, storage: Storage) -> None:
    """Give a tracer that was never written to, and its views, a storage."""
    state = _state(x)
    if state is None:
        state = x.state = State()
    if state.storage is None:
        state.storage, state.version = storage, storage.version
        _exchange_class(x)
    for child in state.children or ():
        view = child()
        if view is not None:
            _spread(view, storage)


def _begin(x: Tracer, what: str) -> Storage:
    """The storage of `x`, which is going to be written to; raises if that cannot be."""
    root = x
    state = _state(x)
    while state is not None and state.base is not None:
        if not state.view.writable:  # type: ignore[union-attr]
            raise ValueError(
                f"{what}: the array is read-only, as in NumPy: it is a view made by {state.view}; write into a copy of "
                "it (.copy()), or into the array of which it is a view"
            )
        root = state.base
        state = _state(root)
    storage = state.storage if state is not None else None
    if storage is None:
        storage = Storage(root.owner)
        _spread(root, storage)
    here = current_trace()
    if storage.scope is not (here.scope if here is not None else None):
        raise TracerWriteError(_outside(what, x))
    return storage


def _outside(what: str, x: Tracer) -> str:
    made = describe(x.source)
    return (
        f"{what} would write into a traced {x.aval} from outside of the function that runs here"
        + (f" (it was made at {made})" if made else "")
        + f"\n  at {describe(user_source())}\n"
        "  write instead: into a copy, h = x.copy(), and return it; or pass x as an argument and return its new value"
    )


def store(x: Tracer, value: Any, what: str) -> None:
    """Let `x`, and all that shares memory with it, have new contents, of the shape and dtype of `x`."""
    storage = _begin(x, what)
    state: State = x.state
    raw = settle(value)
    if is_a(raw, np.ndarray):
        raw = raw.copy()  # the user's, perhaps
    storage.version += 1
    state.raw, state.version = raw, storage.version
    if state.base is None:
        storage.pending.clear()
        return
    pending = storage.pending
    if pending and pending[-1][0] is state:
        pending.pop()
    pending.append((state, raw, user_source()))


def settle_all(leaves: Sequence[Any]) -> list[Any]:
    """`settle` for the leaves of what a function returned."""
    return [settle(x) if is_a(x, Mutable) else x for x in leaves]


def is_view_of(x: Tracer, base: Tracer, view: Callable[[], View | None]) -> bool:
    """Whether `x` is such a view of `base`, and the last that was written to."""
    state = _state(x)
    if state is None or state.base is not base or state.storage is None or state.version != state.storage.version:
        return False
    return state.view == view()
