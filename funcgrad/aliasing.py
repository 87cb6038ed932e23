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
from typing import Any, NoReturn, TypeVar
from weakref import ref

import numpy as np

from funcgrad.capture import to_read
from funcgrad.core import Trace, Tracer, current_trace, on_behalf
from funcgrad.errors import TracerWriteError
from funcgrad.source import Source, describe, user_place, user_source
from funcgrad.strides import Strides, contiguous, dense, is_contiguous, strides_of_array
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_a, shape_of

__all__ = [
    "Alias",
    "Mutable",
    "Settled",
    "State",
    "Storage",
    "View",
    "alias",
    "aliased",
    "as_array",
    "doubtful",
    "exchange_class",
    "fresh",
    "in_order",
    "is_array",
    "keep_layout",
    "lies_in_order",
    "made_in",
    "mutable",
    "operand_of",
    "own_arguments",
    "refusal",
    "scalar",
    "settle",
    "settle_all",
    "state_of",
    "strides_of",
    "unordered",
    "written",
]

K = TypeVar("K", bound=type[Tracer])


class View:
    """How a view lies in its base: a pure function each way.

    Attributes:
        writable: whether NumPy lets one write to such a view.
        copies: whether what basic indexing reads from it is a copy.
    """

    __slots__ = ()
    writable = True
    copies = False

    def read(self, base: Any) -> Any:
        """The view, of these contents of its base."""
        raise NotImplementedError

    def write(self, base: Any, value: Any) -> Any:
        """The contents of the base when the view has this value."""
        raise NotImplementedError

    def shares(self, shape: tuple[int, ...], strides: Strides | None) -> tuple[bool | None, Strides | None]:
        """Whether NumPy shares memory with a base of this layout here (None if that cannot be known); the strides."""
        return True, None


class Storage:
    """What arrays that share memory have in common.

    Attributes:
        scope: the trace in which they were made: that of the function that may write to them.
        version: how many writes there were.
        pending: writes to views that have not reached the base yet: the view's state, its value, the user's place.
        maybe: other storages that may be this one; which of the two NumPy has depends on a layout that is not known.
        doubt: where one of these was written to: from then on, what is here is not known.
    """

    __slots__ = ("__weakref__", "doubt", "maybe", "pending", "scope", "version")

    def __init__(self, scope: Trace | None) -> None:
        self.scope, self.version = scope, 0
        self.pending: list[tuple[State, Any, Source]] = []
        self.maybe: list[ref[Storage]] = []
        self.doubt: Source = None


class State:
    """What a tracer stands for, where it is not simply itself.

    Attributes:
        base, view: for a view, the tracer that it is a view of, and how.
        children: weak references to the views of this tracer.
        storage: None as long as nothing was written.
        raw: the value at `version`: of a trace as it recorded it, or a plain array; None for the tracer itself.
        fixed: whether this is a scalar, to which nothing can be written.
        layout: the strides, or False if nothing is known of them; None if the tracer itself says.
    """

    __slots__ = ("base", "children", "fixed", "layout", "raw", "storage", "version", "view")

    def __init__(self, base: Tracer | None = None, view: View | None = None) -> None:
        self.base, self.view = base, view
        self.children: list[Any] | None = None
        self.storage: Storage | None = None
        self.raw: Any = None
        self.fixed = False
        self.layout: Strides | bool | None = None


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
        return self.dtype.type if self.state.fixed else np.ndarray  # type: ignore[attr-defined]

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

    def layout(self) -> Strides | None:
        return strides_of(self.state.raw)


_kinds: dict[type, type] = {}
_set_class = object.__dict__["__class__"].__set__  # `Tracer.__class__` says what a tracer stands for


def refusal(what: str, instead: str) -> Callable[..., NoReturn]:
    """A method that raises, for what changes an array itself and not its elements."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise TracerWriteError(
            f"{what} changes the array itself, and not its elements, which a traced {self.aval} does not allow\n"
            f"  at {user_place()}\n  write instead: {instead}"
        )

    return refuse


def mutable(kind: K) -> K:
    """A class decorator: tracers of this class can be written to."""
    for name, instead in (("shape", "x = x.reshape(shape)"), ("dtype", "x = x.astype(dtype)")):
        setattr(kind, name, getattr(kind, name).setter(refusal(f"x.{name} = {name}", instead)))
    _kinds[kind] = type(f"Mutable{kind.__name__}", (Mutable, kind), {"__slots__": ()})
    return kind


def exchange_class(x: Tracer) -> None:
    """Let `x`, which is of its trace's own class, be resolved when it is used."""
    if not is_a(x, Mutable):
        _set_class(x, _kinds[type(x)])


def state_of(x: Tracer) -> State | None:
    """The state of a tracer, if it has one."""
    try:
        return x.state
    except AttributeError:
        return None


def written(x: Any) -> bool:
    """Whether a traced value, or what shares memory with it, was written to."""
    state = state_of(x) if isinstance(x, Tracer) else None
    return state is not None and state.storage is not None and state.storage.version > 0


# ------------------------------------------------------------------------------------------------------- reading


def settle(x: Any) -> Any:
    """What `x` stands for now, as traces record it: a tracer that is taken as it was made, or a plain value."""
    if not issubclass(type(x), Mutable):
        return x
    state: State = x.state
    storage = state.storage
    if storage is not None:
        if storage.doubt is not None:
            raise TracerWriteError(doubtful(x, storage.doubt))
        if storage.pending if state.base is None else state.version != storage.version:
            _refresh(x, state, storage)
    return x if state.raw is None else state.raw


def operand_of(x: Any) -> Any:
    """What `x` stands for now, as an operand that means the same whatever is written later."""
    return _as_operand(settle(x))


def _refresh(x: Any, state: State, storage: Storage) -> None:
    """Bring a state up to the version of its storage."""
    trace = current_trace()
    scope = storage.scope
    if scope is not None and (trace is None or not trace.descends_from(scope)):
        raise scope.escaped(x, "a view")
    if state.base is None:
        keep_layout(x, state)
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
    top: Any = None
    while link is not root:
        chain.append(link)
        top = link.base
        link = top.state
    contents: list[Any] = [_as_operand(root.raw if root.raw is not None else top)]
    for link in reversed(chain[1:]):
        contents.append(link.view.read(contents[-1]))  # type: ignore[union-attr]
    value = _as_operand(value)
    for link, below in zip(chain, reversed(contents), strict=True):
        value = link.view.write(below, value)  # type: ignore[union-attr]
    return value


def _as_operand(raw: Any) -> Any:
    return aliased(raw) if is_a(raw, Mutable) else raw


# -------------------------------------------------------------------------------------------------------- making


def aliased(raw: Any, scope: Trace | None = None) -> Alias:
    """An array that begins as a value that is taken as it was recorded; `scope` is whose it is, if not its owner's."""
    out = Alias()
    out.owner = scope.scope if scope is not None else raw.owner
    out.source = raw.source if is_a(raw, Tracer) else None
    state = out.state = State()
    storage = state.storage = Storage(out.owner)
    state.raw, state.version = raw, storage.version
    return out


def alias(x: Any, order: str = "C") -> Any:
    """An array of its own with the contents that `x` has now: what NumPy's `copy` is."""
    out = aliased(settle(x), current_trace())
    out.state.layout = _ordered(x, order)
    return out


def scalar(x: Any) -> Any:
    """The contents of a 0-d array as a number, to which nothing can be written."""
    if not is_a(x, Tracer) or not is_array(x):
        return x
    out = aliased(settle(x), current_trace())
    out.state.fixed = True
    return out


def as_array(out: Any) -> Any:
    """A result of shape () as an array: what some of NumPy's functions give instead of a number."""
    if is_a(out, Tracer) and not shape_of(out) and state_of(out) is None:
        out.state = State()
    return out


def unordered(out: Any) -> Any:
    """A result of which nobody knows how NumPy would lay it out."""
    if is_a(out, Tracer) and len(shape_of(out)) > 1:
        state = state_of(out)
        if state is None:
            state = out.state = State()
        if state.base is None:
            state.layout = False
    return out


def _ordered(x: Any, order: str) -> Strides | bool | None:
    """The strides of an array like `x` that is made in this order."""
    shape = shape_of(x)
    if len(shape) < 2 or order == "C":
        return contiguous(shape)
    if order == "F":
        return contiguous(shape[::-1])[::-1]
    strides = strides_of(x)
    return False if strides is None else dense(shape, strides)


def own_arguments(xs: Sequence[Any]) -> list[Any]:
    """Arguments for a function that may write to them, where others still need their values.

    A write to a tracer changes an array of the function's own, one to a plain array raises.
    """
    return [to_read(x) if not is_a(x, Tracer) else alias(x, "K") if is_array(x) else x for x in xs]


def fresh(array: np.ndarray, like: Any = None, order: str = "C") -> Any:
    """A traced array of the function that is running, of these contents; `array` must be nobody else's."""
    out = aliased(array, current_trace())
    same = like is not None and shape_of(like) == array.shape
    out.state.layout = _ordered(like if same else array, order)
    return out


class Settled(list[Any]):
    """Operands of which one had a state: what they stand for."""


def made_in(trace: Trace, out: Any, args: Sequence[Any]) -> Any:
    """What an operation on values from outside `trace`, or on constants that it holds, gave to its function: its own.

    An array that the function has made of a traced one can be written to, whatever its values come from.
    """
    if trace.parent is None and type(args) is not Settled:  # all of them are plain arrays
        return out
    if type(out) is tuple:
        return tuple(made_in(trace, x, args) for x in out)
    if is_a(out, np.generic) and type(args) is Settled:  # of the same namespace as the arrays that it is made of
        number = aliased(out, trace)
        number.state.fixed = True
        return number
    return aliased(settle(out), trace) if is_a(out, (Tracer, np.ndarray)) and shape_of(out) else out


def in_order(x: Any, contents: Any) -> bool:
    """Whether contents for `x` are known to be contiguous."""
    strides = strides_of(contents)
    return strides is not None and is_contiguous(shape_of(x), strides)


def lies_in_order(x: Any) -> bool:
    """Whether a 1-D array is known to be contiguous; one that no view made is taken to be."""
    state = state_of(x) if is_a(x, Tracer) else None
    if state is None or state.base is None:
        return True
    return strides_of(x) == (1,)


def strides_of(x: Any) -> Strides | None:
    """How an array lies in memory, as NumPy has it where this program is run; None if that is not known."""
    if not is_a(x, Tracer):
        return strides_of_array(x) if is_a(x, np.ndarray) else ()
    state = state_of(x)
    if state is not None:
        if state.base is not None:
            return state.view.shares(shape_of(state.base), strides_of(state.base))[1]  # type: ignore[union-attr]
        if state.layout is not None:
            return state.layout or None  # type: ignore[return-value]
    trace = x.owner.scope if is_a(x, Alias) else x.owner
    return x.layout() if trace.faithful else None


def is_array(x: Tracer) -> bool:
    """Whether a tracer stands for what NumPy would have as an array, and not as a scalar that nobody can write to."""
    if x.shape:  # type: ignore[attr-defined]
        return True
    state = state_of(x)
    return x.stands_for is np.ndarray if state is None else not state.fixed


def keep_layout(x: Tracer, state: State) -> None:
    """Note how an array lies in memory before it is written to: it stays so, whatever its new contents come from."""
    if state.layout is None and state.base is None and len(shape_of(x)) > 1:
        state.layout = strides_of(x) or False


def doubtful(x: Any, written: Source) -> str:
    """Why it is not known what is in an array."""
    return (
        f"a traced {x.aval} and an array that reshape or ravel made of it (or of which it was made) may share memory: "
        f"that depends on a layout that is not known here, and one of them was written to\n"
        f"  at {describe(written)}\n  and the other is used\n  at {user_place()}\n"
        "  write instead: r = x.reshape(shape).copy() for a copy; or write into x itself, x[...] = r.reshape(x.shape)"
    )


def settle_all(leaves: Sequence[Any]) -> list[Any]:
    """`settle` for the leaves of what a function returned, or for operands."""
    for x in leaves:
        if issubclass(type(x), Mutable):
            return Settled(map(settle, leaves))
    return leaves if type(leaves) is list else list(leaves)
