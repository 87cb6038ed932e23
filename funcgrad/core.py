"""The interpreter's heart: primitives, traces, tracers, and `bind`, which brings them together.

A *primitive* is one operation with its rules. A *trace* is a way to interpret primitives: record them, or carry
tangents along. A *tracer* is a value that belongs to a trace. `primitive.bind(*args)` hands the operation to the
current trace, which is kept in a `ContextVar` (there is no stack); a trace owns a tracer exactly if
`tracer.owner is trace`, treats everything else as a constant, and runs its rules under its `parent`. Under no trace at
all, an operation is simply evaluated with NumPy:

    >>> from funcgrad import grad
    >>> grad(grad(lambda x: x**3))(2.0)  # the inner record runs its operations under the outer one
    12.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from importlib import import_module
from typing import Any, NoReturn

import numpy as np

from funcgrad._array import TRACERS
from funcgrad.capture import to_read
from funcgrad.errors import DTypeError, ShapeError, UnexpectedTracerError, reraise
from funcgrad.source import Source, by_sparse_matrix, describe, user_source
from funcgrad.types import NUMBERS, SCALARS, ScalarArray, ShapedArray, as_numbers, aval_of, weak_type

__all__ = [
    "AbstractTracer",
    "Axes",
    "Primitive",
    "Question",
    "Trace",
    "Tracer",
    "axes_in_scope",
    "current_trace",
    "escaped",
    "evaluate",
    "fail",
    "on_behalf",
    "plain_operand",
    "put_trace",
    "reset_trace",
    "under",
]

_current: ContextVar[Trace | None] = ContextVar("funcgrad_trace", default=None)

current_trace = _current.get
"""The trace that interprets operations now; None where they are simply evaluated."""

put_trace, reset_trace = _current.set, _current.reset
"""Make a trace the current one, where `under` will not do (after an interrupt) or takes too long; and undo that."""

Rule = Callable[..., Any]
Axes = tuple[tuple[Any, int], ...]
"""Named axes and their sizes, the innermost last."""


class Primitive:
    """One operation and everything that is known about it: its rules, and facts that make it fast.

    Attributes:
        name: how the IR prints it.
        impl: `impl(*arrays, **params)`, the operation in NumPy: its definition.
        abstract: `abstract(*avals, **params)`, the aval(s) of the result; raises ShapeError or DTypeError.
        jvp: `jvp(tangents, out, ins, **params)`, the tangent of the result; None stands for a zero tangent.
        vjp: `vjp(ct, out, ins, wanted, **params)`, one cotangent per operand; None where not wanted, or zero. Its
            caller sums broadcast dimensions and casts, so a rule never needs to.
        batch: `batch(args, batched, size, **params)`, the operation on a batch of `size` operands: those of `args`
            that are `batched` have one more axis, the first; so has each result.
        push: `push(primals, tangents, **params)`, results and their tangents together, where that is less work than one
            after the other; it stands in for `jvp`.
        again: the primitive that takes its place where its result is differentiated, for what an outer trace makes of
            that: at a kink it has the derivatives (as a slope, the value) of one branch.
        forward, backward: for an operation that keeps something of its own for the reverse pass:
            `forward(ins, wanted, **params)` gives the results and what to keep (or NotImplemented, and a function that
            does the same), `backward(kept, ct, out, ins, wanted, **params)` the cotangents; they stand in for `vjp`.
        python: the operation on Python scalars, where Python has one: weak in, weak out.
        multiple: whether there is a tuple of results.
        fails: whether it raises for some values of operands of the right kinds; where that depends on their avals,
            `fails(*avals)`. (That Python's own numbers raise need not be said.)
        carries: for each operand, whether the derivative by it can be other than zero; None if all are, () if none is.
        effect: whether it does something besides giving results: it is run even if nobody reads these, and in order.
        nested: whether params hold programs or functions; `batch` then takes `axis_name` too, for collectives in them.
        collective: for an operation across the axis called `params["axis_name"]`: what it does where that axis is the
            batch; `collective(args, batched, size, **params)` gives the result and whether it has a batch axis. Its
            `batch` rule is for the axes of other names.

    Facts, all of them optional; without one an operation is right, but not as fast:

    Attributes:
        pointwise: each element of the result depends on the same element of the (broadcast) operands alone.
        ufunc: the NumPy ufunc that it is, called without options.
        commutative: f(x, y) = f(y, x).
        idempotent: f(x, x) = x.
        linear: in which operands it is linear: "all" of them together, "each" while the others stay (a product), or the
            "first" while the others stay; "" if in none.
        total: it never raises, whatever the operands; at most it warns of an overflow, or of a number that a dtype does
            not hold. So it may be run where nobody knows yet whether it is needed.
        moves: how it moves elements, if it does nothing else: "alias" (the same elements in the same order, in another
            shape or repeated), "view" (NumPy gives a view) or "copy" (into new memory, maybe among zeros); "" if it
            computes.
        along: the parameter that has the axis or the axes that it is along; each place along the others is for itself.
        reduces: the ufunc of which it is the `reduce`.
        accumulates: the ufunc of which it is the `accumulate`.
        generic: `impl` only moves, adds and multiplies elements, and so serves for arrays of any objects.
        cost: nanoseconds for one element within a large array, of at most 4 bytes and of more (of an addition: 0.25 and
            0.5).
        flops: `flops(ins, out, **params)`, operations of arithmetic, given the avals; without it, one for each element
            of the results, and none for what moves.
        calls: `calls(ins, out, **params)`, in how many calls of NumPy it is done at the least, and how many more there
            are, for all parts of it together, since memory is worked on block by block.
        scalar: the `ops.scalar.ScalarForm` of an elementwise function.
        expansion: `expansion(*arrays, **params)`, the same by other operations; these take its place where arrays are
            large, and are fused with what is around them.
        shard: `shard(ins, out, at, **params)`, how it is done part by part (`ops.sharding`); pointwise operations, and
            those along axes, need none.
        programs: the parameters that are programs (or tuples of them) which it runs as they are.
        called: `called(params)(avals)`, the program that an equation may be replaced by when all derivatives and
            batches have been taken, given the avals of the operands; `called(params)` is None if it may not.

    Params are static: hashable, and passed by keyword.
    """

    __slots__ = (
        "abstract",
        "accumulates",
        "again",
        "along",
        "backward",
        "batch",
        "called",
        "calls",
        "carries",
        "collective",
        "commutative",
        "cost",
        "doc",
        "effect",
        "expansion",
        "fails",
        "flops",
        "forward",
        "generic",
        "idempotent",
        "impl",
        "jvp",
        "linear",
        "moves",
        "multiple",
        "name",
        "nested",
        "pointwise",
        "programs",
        "push",
        "python",
        "reduces",
        "scalar",
        "shard",
        "total",
        "ufunc",
        "vjp",
    )

    def __init__(
        self,
        name: str,
        impl: Rule,
        abstract: Rule,
        *,
        jvp: Rule | None = None,
        vjp: Rule | None = None,
        batch: Rule | None = None,
        python: Rule | None = None,
        multiple: bool = False,
        nested: bool = False,
        effect: bool = False,
        collective: Rule | None = None,
        carries: tuple[bool, ...] | None = None,
        fails: bool | Callable[..., bool] = False,
        doc: str = "",
        pointwise: bool = False,
        ufunc: np.ufunc | None = None,
        commutative: bool = False,
        idempotent: bool = False,
        linear: str = "",
        total: bool = False,
        moves: str = "",
        along: str = "",
        reduces: np.ufunc | None = None,
        accumulates: np.ufunc | None = None,
        generic: bool = False,
        cost: tuple[float, float] = (0.25, 0.5),
        flops: Callable[..., int] | None = None,
        calls: Callable[..., tuple[int, float]] | None = None,
        scalar: Any = None,
        expansion: Rule | None = None,
        shard: Rule | None = None,
        programs: tuple[str, ...] = (),
        called: Rule | None = None,
    ) -> None:
        if linear not in ("", "all", "each", "first") or moves not in ("", "alias", "view", "copy"):
            raise ValueError(f"{name}: linear={linear!r} or moves={moves!r} is not among what there is")
        self.name, self.impl, self.abstract = name, impl, abstract
        self.jvp, self.vjp, self.python, self.multiple, self.doc = jvp, vjp, python, multiple, doc
        self.batch, self.nested, self.collective = batch, nested, collective
        self.effect, self.carries, self.fails = effect, carries, fails
        self.push: Rule | None = None
        self.again: Primitive | None = None
        self.forward: Rule | None = None
        self.backward: Rule | None = None
        self.pointwise, self.ufunc, self.commutative, self.idempotent = pointwise, ufunc, commutative, idempotent
        self.linear, self.total, self.moves, self.along = linear, total, moves, along
        self.reduces, self.accumulates, self.generic = reduces, accumulates, generic
        self.cost, self.flops, self.calls, self.scalar = cost, flops, calls, scalar
        self.expansion, self.shard, self.programs, self.called = expansion, shard, programs, called

    def bind(self, *args: Any, **params: Any) -> Any:
        """Apply the operation, under the current trace."""
        trace = _current.get()
        if trace is None:
            return evaluate(self, args, params)
        return trace.process(self, args, params)

    def __repr__(self) -> str:
        return self.name


def evaluate(primitive: Primitive, args: Sequence[Any], params: dict[str, Any], source: Source = None) -> Any:
    """Run an operation with NumPy; every tracer has lost its trace here. `source` is its place, where that is known."""
    for i, a in enumerate(args):
        if type(a) in SCALARS or (type(a) is np.ndarray and a.dtype in NUMBERS):
            continue
        if isinstance(a, Tracer):
            return a.owner.met(a, primitive, args, params, source)
        args = [*args[:i], plain_operand(primitive, a, i), *args[i + 1 :]]
    try:
        return primitive.impl(*args, **params)
    except Exception as error:
        fail(primitive, args, params, error, source or user_source())


def plain_operand(primitive: Primitive, x: Any, i: int) -> Any:
    """Operand `i`, an array or a NumPy scalar, as a plain one; raises TypeError if it is not of numbers."""
    return as_numbers(x, f"{primitive.name}: operand {i}")


def fail(
    primitive: Primitive, args: Sequence[Any], params: dict[str, Any], error: Exception, source: Source
) -> NoReturn:
    """Raise what explains that an operation failed: in the words of its shape rule, if that fails too."""
    if isinstance(error, (ValueError, TypeError)):
        try:
            primitive.abstract(*map(aval_of, args), **params)
        except (ShapeError, DTypeError) as better:
            error = better
        except Exception:  # the first error says more then
            return reraise(primitive.name, args, error, source)
    reraise(primitive.name, args, error, source)


class Question(BaseException):
    """Python asks for a value where there is none, but could be: not for the user's code to catch. `error` is what the
    user meets if there is no value after all."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Trace:
    """A way to interpret operations.

    Attributes:
        parent: the trace under which this one runs its rules; None for plain evaluation.
        source: set while operations are done on behalf of an equation whose place in the user's code is known.
        axes: the named axes in scope.
        border: where a question ends that this trace has no answer to: "" at the parent's, "error" here, by an error
            that the user meets; "again" here, by a `Question`, since the function can be run again with values.
        refused: the error for the first question that had no answer. The user's code may catch it, but what it does
            then is not what it would do with values: nothing is made of such a run.
        faithful: whether values lie in memory as NumPy has them where this function is run.
    """

    __slots__ = ("axes", "border", "faithful", "parent", "refused", "source")

    def __init__(self, parent: Trace | None) -> None:
        self.parent = parent
        self.source: Source = None
        self.refused: Exception | None = None
        self.axes: Axes = () if parent is None else parent.axes
        self.border, self.faithful = "", True

    @property
    def scope(self) -> Trace:
        """The trace of the function that is running: this one, unless it only hands operations on."""
        return self

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        """Interpret one operation on `args`, some of which may be tracers of this trace."""
        raise NotImplementedError

    def to_read(self, array: np.ndarray) -> np.ndarray:
        """An array of the caller's, which the function that runs here is to read and not to write to."""
        return to_read(array)

    def escaped(self, tracer: Tracer, name: str) -> Exception:
        """The error for a tracer of this trace that an operation meets outside it."""
        return escaped(tracer, name)

    def met(self, x: Tracer, primitive: Primitive, args: Any, params: dict[str, Any], source: Source) -> Any:
        """The result of an operation under no trace of which an operand is a tracer of this one, if it can have one."""
        raise self.escaped(x, primitive.name)

    def refuse(self, error: Exception) -> BaseException:
        """What to raise where Python asks for a value that nobody has; those whom it concerns take note."""
        trace: Trace | None = self
        while trace is not None:
            if trace.refused is None:
                trace.refused = error
            if trace.border:
                return Question(error) if trace.border == "again" else error
            trace = trace.parent
        return error

    def forgive(self, error: Exception) -> None:
        """Forget a question, after the package itself has found another way."""
        trace: Trace | None = self
        while trace is not None:
            if trace.refused is error:
                trace.refused = None
            trace = trace.parent

    def accept(self) -> None:
        """Raise if a question had no answer in a run that has come to its end all the same."""
        if self.refused is None:
            return
        error = self.refuse(self.refused)
        if error is self.refused:
            error.add_note("  the function caught this error and went on: with a value it would do something else")
        raise error

    def descends_from(self, other: Trace) -> bool:
        """Whether `other` is this trace or one that encloses it."""
        trace: Trace | None = self
        while trace is not None:
            if trace is other:
                return True
            trace = trace.parent
        return False


def axes_in_scope() -> Axes:
    """The named axes of the batches that the current trace stands in."""
    trace = _current.get()
    return () if trace is None else trace.axes


class under:
    """`with under(trace):` makes `trace` the current one; exceptions leave nothing behind."""

    __slots__ = ("token", "trace")

    def __init__(self, trace: Trace | None) -> None:
        self.trace = trace

    def __enter__(self) -> Trace | None:
        self.token: Token[Trace | None] = _current.set(self.trace)
        return self.trace

    def __exit__(self, *_: object) -> None:
        _current.reset(self.token)


class on_behalf:
    """`with on_behalf(trace, source):` makes `trace` the current one, for what stands there in the user's code."""

    __slots__ = ("before", "source", "token", "trace")

    def __init__(self, trace: Trace | None, source: Source) -> None:
        self.trace, self.source = trace, source

    def __enter__(self) -> None:
        trace = self.trace
        if trace is not None:
            self.before, trace.source = trace.source, self.source
        self.token: Token[Trace | None] = _current.set(trace)

    def __exit__(self, *_: object) -> None:
        _current.reset(self.token)
        if self.trace is not None:
            self.trace.source = self.before


class Tracer:
    """A value that a trace follows. What it can do in NumPy's name is installed by `funcgrad.numpy`.

    `isinstance` answers as it would for the value, so that plain code goes the same way: an array is a `numpy.ndarray`,
    an element or a sum a `numpy.float64` (and hence a `float`), what stands for a Python float is a `float`. So do
    `np.isscalar(x)`, `hasattr(x, "__len__")`, `numbers.Real` and `functools.singledispatch`, which ask for
    `x.__class__`. What asks for `type(x)` gets the tracer's own: `type(x) is float`, `type(x) in (int, float)`. A
    scalar has `__iter__`, and is one of `collections.abc.Sized` and `Iterable`, which look at the type too
    (`np.iterable(x)` is right); a Python float has the attributes of arrays (`x.shape`). Where only the shape is
    known, a value of shape () is a NumPy scalar. The package itself asks `types.is_a`.

    Attributes:
        state: what `aliasing` knows of one that was written to, or shares memory with another; mostly not there.
    """

    __slots__ = ("__weakref__", "owner", "source", "state")
    __hash__ = None  # type: ignore[assignment]  # as numpy.ndarray: `==` is elementwise
    __class__ = property(lambda self: type(self) if by_sparse_matrix() else self.stands_for)  # type: ignore[assignment]

    owner: Trace
    source: Source
    state: Any

    def __init_subclass__(cls) -> None:
        cls.__name__ = "traced value"  # what Python's own messages call it

    @property
    def aval(self) -> ShapedArray:
        """The abstract value."""
        raise NotImplementedError

    @property
    def stands_for(self) -> type:
        """The class of the value that this is in place of."""
        aval = self.aval
        if aval.weak:
            return weak_type(aval.dtype)
        return np.ndarray if aval.shape or type(aval) is ScalarArray else aval.dtype.type

    @property
    def weak(self) -> bool:
        """Whether this stands for a Python scalar, whose dtype gives way to that of an array."""
        return self.aval.weak

    def concrete(self, how: str | None = None) -> Any:
        """The NumPy value that this stands for, or None if it stands for many.

        `how` says for what it is asked (see `ops.guard`). A recording that is to be run again for other values gives it
        only then, and takes note.
        """
        raise NotImplementedError

    def layout(self) -> tuple[int, ...] | None:
        """The strides of the array in memory, in elements, where NumPy runs this program; None if not known."""
        return None

    def unanswered(self, error: Exception) -> BaseException:
        """What to raise where Python asks for a value that this has not."""
        return self.owner.refuse(error)

    @property
    def differentiated(self) -> bool:
        """Whether this carries a derivative (if its dtype can), which a plain number made of it would lose."""
        return True


TRACERS.append(Tracer)


class AbstractTracer(Tracer):
    """A tracer that is made with its abstract value, and keeps no other."""

    __slots__ = ("_aval",)

    def __init__(self, owner: Trace, aval: ShapedArray, source: Source) -> None:
        self.owner, self._aval, self.source = owner, aval, source

    @property
    def aval(self) -> ShapedArray:
        return self._aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self._aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._aval.dtype


def escaped(tracer: Tracer, name: str) -> UnexpectedTracerError:
    """The error for a tracer that is used outside the transformation that made it."""
    made = describe(tracer.source)
    return UnexpectedTracerError(
        f"{name}: a traced value of type {tracer.aval} was used outside the transformation that made it"
        + (f" (it was made at {made})" if made else "")
        + ". Return it from the function instead of storing it in a global, an attribute or a closure; a rule of a "
        "custom_jvp or custom_vjp gets such a value as an argument or a residual; a thread started inside a "
        "transformed function must run in contextvars.copy_context()."
    )


def __getattr__(name: str) -> Any:
    return getattr(object if name.startswith("_") else import_module("funcgrad._core_names"), name)
