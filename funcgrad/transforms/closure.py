"""What a function closes over: finding traced values in closures, and running a function with others in their place.

A function with rules of its own is run again later, when the trace that made such a value may be gone. So these values
become operands of the call, and a `Substitution` puts the operands in their place whenever the function runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import funcgrad.tree as tree
from funcgrad.aliasing import Mutable, settle, settle_all
from funcgrad.core import Primitive, Trace, Tracer, current_trace, evaluate, on_behalf, under
from funcgrad.record import Record, RecordTracer
from funcgrad.transforms.boundary import boundary_of, check_callable, differentiable_leaf
from funcgrad.transforms.vmap import BatchTrace
from funcgrad.types import ShapedArray, aval_of, is_a, is_inexact

__all__ = ["Discovery", "Substitution", "closure_convert", "enclosing", "hands_on", "held_by", "scope_of"]


def hands_on(trace: Trace) -> bool:
    """Whether a trace leaves a call of a function to others: in a program, or as a call for a batch."""
    return isinstance(trace, BatchTrace) or (isinstance(trace, Record) and trace.abstract)


def scope_of(primitive: Primitive, operands: Sequence[Any]) -> tuple[list[Trace], Trace | None]:
    """The traces whose values a function called with these operands cannot keep, and which of them takes the call.

    The call goes outwards to the first trace that owns an operand, or records what is done with the values of others.
    One that hands the call on runs the function under the traces around it at best, which may not know even their own
    values then.
    """
    owners = [x.owner for x in operands if isinstance(x, Tracer)]
    scope: list[Trace] = []
    found: Trace | None = None
    trace = current_trace()
    while trace is not None and (found is None or hands_on(found)):
        scope.append(trace)
        if found is None and (
            any(o is trace for o in owners) or (isinstance(trace, Record) and trace.records(primitive, operands))
        ):
            found = trace
        trace = trace.parent
    return scope, found


def enclosing() -> list[Trace]:
    """The current trace and those around it."""
    found: list[Trace] = []
    trace = current_trace()
    while trace is not None:
        found.append(trace)
        trace = trace.parent
    return found


def _among(tracer: Tracer, scope: Sequence[Trace]) -> bool:
    return any(tracer.owner is t for t in scope)


class Discovery(Record):
    """Records a function to see which traced values it uses besides its inputs.

    Attributes:
        found: these values, in the order of their use: those of the traces `around`.
    """

    __slots__ = ("_inputs", "around", "found")

    def __init__(self, around: Sequence[Trace]) -> None:
        super().__init__(current_trace(), abstract=True)
        self.around = around
        self.found: list[Tracer] = []
        self._inputs: dict[int, RecordTracer] = {}

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        return super().process(primitive, [self.own(a) for a in args], params)

    def own(self, x: Any) -> Any:
        """The input of this record that stands for a value of the traces around it; any other value as it is."""
        x = settle(x)
        if not isinstance(x, Tracer) or not _among(x, self.around):
            return x
        if id(x) not in self._inputs:
            self.found.append(x)
            self._inputs[id(x)] = self.input(x)
        return self._inputs[id(x)]

    def run(self, fun: Callable[..., Any], args: Sequence[Any]) -> list[ShapedArray]:
        """Record the function at these values, of which tracers of the traces around and avals are abstract.

        Returns the avals of the leaves of its result.
        """
        known = [
            self.input(a) if isinstance(a, ShapedArray) or (isinstance(a, Tracer) and _among(a, self.around)) else a
            for a in args
        ]
        try:
            with under(self):
                leaves = settle_all(tree.leaves(fun(*known)))
            self.accept()
            return [aval_of(self.own(x)) for x in leaves]
        finally:
            self.close()


def held_by(functions: Sequence[Any], scope: Sequence[Trace]) -> list[Tracer]:
    """The values of these traces that stand in the closures of functions, and in those of the functions in them."""
    found: dict[int, Tracer] = {}
    seen: set[int] = set()
    pending = list(functions)
    while pending:
        x = pending.pop()
        if isinstance(x, Tracer):
            if _among(x, scope):
                found[id(x)] = x
        elif id(x) not in seen:
            seen.add(id(x))
            pending += _parts(x)
    return list(found.values())


def _parts(x: Any) -> Iterator[Any]:
    if isinstance(x, FunctionType):
        for cell in x.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        yield from x.__defaults__ or ()
        yield from (x.__kwdefaults__ or {}).values()
    elif isinstance(x, MethodType):
        yield from (x.__func__, x.__self__)
    elif isinstance(x, partial):
        yield from (x.func, *x.args, *x.keywords.values())
    elif isinstance(x, dict):
        yield from x.values()
    elif isinstance(x, (list, tuple)):
        yield from x
    elif hasattr(x, "__wrapped__"):
        yield x.__wrapped__


class Substitution(Trace):
    """Puts values in the place of tracers, and passes every operation on."""

    __slots__ = ("owners", "values")

    def __init__(self, tracers: Sequence[Tracer], values: Sequence[Any]) -> None:
        super().__init__(current_trace())
        # The tracers are kept as well: an id means nothing without its object.
        self.values = {id(t): (t, v) for t, v in zip(tracers, values, strict=True)}
        self.owners = {id(t.owner) for t in tracers}

    def of(self, x: Any) -> Any:
        """The value in the place of `x`."""
        entry = self.values.get(id(x))
        if entry is None and is_a(x, Mutable):
            x = settle(x)
            entry = self.values.get(id(x))
        return x if entry is None else entry[1]

    @property
    def scope(self) -> Trace:
        return self if self.parent is None else self.parent.scope

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        args = [self.of(a) for a in args]
        parent = self.parent
        if parent is None:
            with under(None):
                return evaluate(primitive, args, params)
        with on_behalf(parent, self.source or parent.source):
            return parent.process(primitive, args, params)

    def descends_from(self, other: Trace) -> bool:
        return id(other) in self.owners or super().descends_from(other)

    def run(self, fun: Callable[..., Any], *args: Any) -> Any:
        """Call a function under this trace."""
        with under(self):
            return tree.map(self.of, fun(*args))


def _plain(x: Any) -> Any:
    """The value of what has no derivative, outside the records that are made for derivatives alone."""
    while isinstance(x, RecordTracer) and x.value is not None:
        x = x.value
    return x


@boundary_of(None)
def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A function with the traced values that it closes over as further arguments, and these values.

    It is for functions that are given to one with rules of its own (`custom_vjp`), which differentiates by arguments
    only. Integers and booleans have no derivative and are not among them.

    Args:
        fun: a function of pytrees of arrays.
        *example_args: arguments for it, of which shapes and dtypes matter.

    Returns:
        `converted(*args, *hoisted)`, which does what `fun(*args)` does, and the list `hoisted`.

    >>> from funcgrad import grad
    >>> def f(w):
    ...     fun, hoisted = closure_convert(lambda x: w * x, 1.0)
    ...     return fun(3.0, *hoisted), len(hoisted)
    >>> grad(f, has_aux=True)(2.0)
    (3.0, 1)
    """
    check_callable(fun, "closure_convert")
    leaves, in_tree = tree.flatten(example_args)
    for x in leaves:
        if not isinstance(x, ShapedArray):
            differentiable_leaf(x, "an argument", "closure_convert")
    scope = enclosing()
    discovery = Discovery(scope)
    if scope:
        discovery.run(lambda *xs: fun(*in_tree.unflatten(xs)), [aval_of(x) for x in leaves])
    found = [t for t in discovery.found if is_inexact(t)]
    fixed = [t for t in discovery.found if not is_inexact(t)]
    n = len(example_args)

    def converted(*args: Any) -> Any:
        if len(args) != n + len(found):
            raise TypeError(
                f"closure_convert: the function takes {n} arguments and {len(found)} hoisted ones, got {len(args)}"
            )
        return Substitution([*found, *fixed], [*args[n:], *map(_plain, fixed)]).run(fun, *args[:n])

    return converted, list(found)
