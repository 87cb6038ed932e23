"""The one recorder: Python in, equations out.

A `Record` appends each operation on its tracers to a list of equations, in one of two modes:

- *abstract*: a tracer knows its shape and dtype only. `make_ir` and `eval_shape` record this way.
- *concrete*: each operation is also evaluated, under the parent trace, as it is recorded. So Python's `if`, `while`,
  `float(x)` and `print(x)` see real values. `vjp` records this way, then walks the equations in reverse.

Operations on values that do not depend on the record's inputs are not recorded: they go to the parent trace. A value of
an enclosing trace is simply a constant here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from funcgrad._array import Array, unwrap
from funcgrad.aliasing import Mutable, Settled, made_in, mutable, operand_of, settle, settle_all, strides_of
from funcgrad.capture import Captures, free_forgotten, is_locking
from funcgrad.config import config
from funcgrad.core import Primitive, Trace, Tracer, current_trace, evaluate, fail, on_behalf, plain_operand
from funcgrad.device_array import DeviceArray
from funcgrad.errors import reraise
from funcgrad.ir import Equation, Literal, Program, Var
from funcgrad.ir_check import check_program
from funcgrad.source import Source, user_source
from funcgrad.strides import Strides, contiguous, in_order_of, is_contiguous
from funcgrad.types import (
    PYTHON_SCALARS,
    SCALARS,
    ShapedArray,
    argument_aval,
    aval_of,
    is_a,
    is_inexact,
    is_weak,
    shape_of,
)

__all__ = ["Record", "RecordTracer", "plain_array"]


@mutable
class RecordTracer(Tracer):
    """A value in a record: its `value` under the parent trace (concrete), or only its `aval` (abstract).

    `active` says whether it may have a cotangent: it has a floating or complex dtype, and a derivative by an input of
    the record that is not zero everywhere.
    """

    __slots__ = ("_aval", "active", "value")

    def __init__(
        self, trace: Trace, value: Any, aval: ShapedArray | None, source: Source, depends: bool = True
    ) -> None:
        self.owner, self.value, self._aval, self.source = trace, value, aval, source
        if not depends or value is None:
            self.active = False
        else:
            self.active = value.dtype.kind in "fc" if type(value) is np.ndarray else is_inexact(value)

    @property
    def aval(self) -> ShapedArray:
        if self._aval is None:
            self._aval = aval_of(self.value)
        return self._aval

    @property
    def shape(self) -> tuple[int, ...]:
        value = self.value
        return self.aval.shape if value is None or type(value) in PYTHON_SCALARS else value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        value = self.value
        return self.aval.dtype if value is None or type(value) in PYTHON_SCALARS else value.dtype

    @property
    def weak(self) -> bool:
        value = self.value
        if type(value) is np.ndarray:
            return False
        return self.aval.weak if value is None else is_weak(value)

    @property
    def stands_for(self) -> type:
        value = self.value
        if value is not None:
            return value.__class__  # of a tracer, what that stands for
        if self.aval.shape == () and not self.aval.weak:
            self.owner.class_asked()  # type: ignore[attr-defined]
        return super().stands_for

    def layout(self) -> Strides | None:
        return self.owner.layout_of(self)  # type: ignore[attr-defined]

    def concrete(self, how: str | None = None) -> Any:
        value = self.value
        if isinstance(value, Tracer):
            return value.concrete(how)
        record: Any = self.owner
        ask = record.ask
        return value if ask is None or (value is None and not record.late) else ask(self, how)

    def unanswered(self, error: Exception) -> BaseException:
        return self.value.unanswered(error) if isinstance(self.value, Tracer) else super().unanswered(error)

    @property
    def differentiated(self) -> bool:
        value = self.value
        record: Any = self.owner
        if value is not None and record.ask is None and not record.abstract:
            return True
        return isinstance(value, Tracer) and value.differentiated


class Record(Trace):
    """A recording in progress.

    Attributes:
        abstract: whether only shapes and dtypes are known.
        reverse: whether the equations will be walked backwards, so that `forward` rules should keep what they need.
        ask: for a concrete recording that is to be run again for other values: `ask(tracer, how)` gives the value of a
            tracer where Python asks for it, and takes note.
        equations: what has been recorded; their atoms are tracers of this record and plain values.
        captures: the arrays locked or copied on the record's behalf.
        watch: has `gone` called when what was opened with the record is gone, until the record is closed. (A `__del__`
            would be run in every case, and an interrupt in the midst of one is lost.)
        layouts: what is known of the strides of values of which only the shape is known, by id: those of the results
            of the first `laid` equations; `assumed` has the inputs that were taken to be contiguous for it, which is
            done where that is looked at when the program is used (`ordered`).
        late: whether `ask` finds values that the recording has not: it computes them when they are asked for.
        hold: `hold(array)` captures an array. What becomes a program (`keeps`) takes a copy as it is now, and so does
            what is recorded inside such a recording; any other recording locks it until it is closed.
    """

    __slots__ = (
        "abstract",
        "ask",
        "assumed",
        "captures",
        "equations",
        "hold",
        "keeper",
        "laid",
        "layouts",
        "ordered",
        "reverse",
        "watch",
    )
    late = False

    def __init__(
        self, parent: Trace | None, abstract: bool = False, reverse: bool = False, keeps: bool = False
    ) -> None:
        super().__init__(parent)
        self.abstract, self.reverse = abstract, reverse
        self.ask: Callable[[RecordTracer, str | None], Any] | None = None
        self.equations: list[Equation] = []
        self.captures = Captures()
        self.layouts: dict[int, Strides | None] = {}
        self.laid = 0
        self.assumed: list[RecordTracer] = []
        self.ordered = True
        self.watch: ref[Opened] | None = None
        self.keeper = _keeper(parent) or (self.captures if abstract or keeps else None)
        self.hold: Callable[[np.ndarray], np.ndarray] = self.captures.lock if self.keeper is None else self.keeper.copy

    def input(self, value: Any, source: Source = None) -> RecordTracer:
        """A new input: of this value, or (abstract) of this value's aval; `source` is its place, if that is known."""
        source = source or self.source or user_source()
        if self.abstract:
            return RecordTracer(self, None, argument_aval(value), source)
        kind = type(value)
        if kind is np.ndarray or issubclass(kind, np.ndarray):
            value = self.captures.lock(value)
        elif issubclass(kind, Mutable):
            value = operand_of(value)
        return RecordTracer(self, value, None, source)

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        mine = captured = False
        values: list[Any] = []
        wanted: list[bool] = []
        for a in args:
            kind = type(a)
            if kind is RecordTracer and a.owner is self:
                mine = True
                values.append(a.value)
                wanted.append(a.active)
                continue
            wanted.append(False)
            values.append(a)
            if kind in SCALARS:
                continue
            if kind is np.ndarray or issubclass(kind, np.ndarray):
                captured = True
            elif not isinstance(a, Tracer):
                values[-1], args = _with_plain(primitive, args, len(values) - 1)
            elif issubclass(kind, Mutable):
                args = self._settled(primitive, args, values, wanted)
                mine, captured = mine or values[-1] is not args[len(values) - 1], True
            elif not self._encloses(a):
                raise a.owner.escaped(a, primitive.name)
        source = self.source or user_source()
        if not mine and not self.records(primitive, args):
            return made_in(self, self._in_parent(primitive, values, params, source), args)
        carries = primitive.carries
        if carries is not None:
            wanted = [w and c for w, c in zip(wanted, carries, strict=True)] if carries else [False] * len(wanted)
        if captured:
            args = self._captured(primitive, args, values)
        kept = None
        if self.abstract:
            outs: Any = self._abstract(primitive, args, params, source)
        elif self.reverse and primitive.forward is not None and True in wanted:
            outs, kept = self._in_parent(primitive, values, params, source, wanted)
            if outs is NotImplemented:
                return kept(*args)
        elif self.parent is None:
            try:
                outs = (primitive.again or primitive).impl(*values, **params)
            except Exception as error:
                fail(primitive, values, params, error, source)
        else:
            outs = self._in_parent(primitive.again or primitive, values, params, source)
        if not primitive.multiple:
            if self.abstract:
                tracer = RecordTracer(self, None, outs, source)
            else:
                tracer = RecordTracer(self, outs, None, source, True in wanted)
            self.equations.append(Equation(primitive, args, (tracer,), params, source, values, wanted, kept))
            return tracer
        abstract, depends = self.abstract, True in wanted
        tracers = tuple(
            RecordTracer(self, *((None, out) if abstract else (out, None)), source, depends) for out in outs
        )
        self.equations.append(Equation(primitive, args, tracers, params, source, values, wanted, kept))
        return tracers

    def records(self, primitive: Primitive, args: Sequence[Any]) -> bool:
        """Whether an operation is recorded though none of its operands is a value of this record."""
        if self.abstract:
            # Whether an operation across examples is the same for all of them is known to the owner of the axis alone.
            return primitive.effect or primitive.collective is not None
        return self.ask is not None and primitive.effect

    def _settled(
        self, primitive: Primitive, args: Sequence[Any], values: list[Any], wanted: list[bool]
    ) -> Sequence[Any]:
        """The operands with what the last that was looked at stands for, which has a state of its own."""
        i = len(values) - 1
        a = values[i] = settle(args[i])
        if is_a(a, RecordTracer) and a.owner is self:
            values[i], wanted[i] = a.value, a.active
        elif is_a(a, Tracer) and not self._encloses(a):
            raise a.owner.escaped(a, primitive.name)
        return Settled([*args[:i], a, *args[i + 1 :]])

    def _captured(self, primitive: Primitive, args: Sequence[Any], values: list[Any]) -> Sequence[Any]:
        """The operands, and in `values` too, with arrays that do not change, of numbers."""
        held = [*args]
        for i, a in enumerate(args):
            if type(a) is np.ndarray or is_a(a, np.ndarray):
                try:
                    held[i] = values[i] = self.hold(a)
                except TypeError:
                    plain_operand(primitive, a, i)
                    raise
        return held

    def to_read(self, array: np.ndarray) -> np.ndarray:
        return super().to_read(array) if self.abstract else self.captures.lock(array)

    def class_asked(self) -> None:
        """Take note that the function has asked whether a value of shape () is an array or a NumPy scalar."""

    def layout_of(self, tracer: RecordTracer) -> Strides | None:
        """The strides of a value, as far as the operations say that made it."""
        layouts, recent = self.layouts, self.equations[self.laid :]
        self.laid += len(recent)  # operands come before results: what is asked for in the loop is there
        for eqn in recent:
            for out in eqn.outputs:
                layouts[id(out)] = _strides_of_result(eqn, out)
        if id(tracer) not in layouts:  # an input
            if not self.abstract and self.ask is None:
                return strides_of(tracer.value)
            if not (self.abstract and self.ordered):  # it is run again for arguments that lie otherwise
                return None
            self.assumed.append(tracer)
            return contiguous(tracer.shape)
        return layouts[id(tracer)]

    def _encloses(self, tracer: Tracer) -> bool:
        """Whether a tracer that is not ours belongs to a trace around this one, or is an array of a device, where what
        is recorded becomes a program."""
        if type(tracer) is DeviceArray:
            return _outermost(self).abstract
        return self.parent is not None and self.parent.descends_from(tracer.owner)

    def _in_parent(
        self,
        primitive: Primitive,
        values: Sequence[Any],
        params: dict[str, Any],
        source: Source,
        wanted: Sequence[bool] | None = None,
    ) -> Any:
        """Evaluate under the parent trace; with `wanted`, by the primitive's `forward` rule."""
        parent = self.parent
        with on_behalf(parent, source):
            if wanted is not None and primitive.forward is not None:
                return primitive.forward(values, wanted, **params)
            if parent is not None:
                return parent.process(primitive, values, params)
            return evaluate(primitive, values, params, source)

    def _abstract(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any], source: Source) -> Any:
        try:
            return primitive.abstract(*map(aval_of, args), **params)
        except Exception as error:
            reraise(primitive.name, args, error, source)

    def close(self) -> list[Equation]:
        """End the recording: unlock what was locked, and hand the equations over."""
        equations, self.equations = self.equations, []  # a tracer that escapes keeps nothing alive
        self.captures.release()
        self.watch = None
        if self.parent is None and is_locking():
            free_forgotten()
        return equations

    def abandon(self) -> None:
        """End a recording in whose midst an interrupt has come; also one that was being closed."""
        self.equations = []
        captures = getattr(self, "captures", None)
        if captures is not None:  # it has not come as the record was made
            captures.abandon()
        self.watch = None

    def gone(self, _: Any) -> None:
        """What the record was opened with is gone, and the record is not closed."""
        self.abandon()

    def program(
        self,
        inputs: Sequence[RecordTracer],
        outputs: Sequence[Any],
        in_tree: Any = None,
        out_tree: Any = None,
        equations: Sequence[Equation] | None = None,
    ) -> Program:
        """What was recorded so far (or these equations of it) as a program with these inputs and outputs."""
        chosen = self.equations if equations is None else equations
        built = _freeze(self, chosen, inputs, settle_all(outputs), in_tree, out_tree)
        if config.check_ir:
            check_program(built)
        return built


class Opened:
    """What records as its `with` begins (`__enter__`), and closes the record as it ends.

    An interrupt may keep any `with` from ending. So the record is closed as well where this goes (`Record.watch`),
    which it does with the traceback of the interrupt: a record is part of a cycle, and is collected at some time.
    """

    __slots__ = ("__weakref__", "record")

    record: Any

    def __exit__(self, *_: object) -> None:
        self.record.close()


def _with_plain(primitive: Primitive, args: Sequence[Any], i: int) -> tuple[Any, Sequence[Any]]:
    """What is behind operand `i`, and the operands with that in its place; raises TypeError if it is not of numbers."""
    plain = plain_operand(primitive, args[i], i)
    return plain, [*args[:i], plain, *args[i + 1 :]]


def _outermost(record: Record) -> Record:
    """The recording around all others."""
    trace: Trace | None = record
    while trace is not None:
        record = trace if isinstance(trace, Record) else record
        trace = trace.parent
    return record


def _keeper(trace: Trace | None) -> Captures | None:
    """Where the recording around that becomes a program keeps its copies."""
    while trace is not None:
        if isinstance(trace, Record):
            return trace.keeper
        trace = trace.parent
    return None


def _strides_of_result(eqn: Equation, out: RecordTracer) -> Strides | None:
    """The strides that NumPy gives to the result of an operation; None if that is not known."""
    primitive = eqn.primitive
    if primitive.nested or (primitive.moves in ("alias", "view") and not primitive.pointwise):
        return None
    operands = [(shape_of(x), strides_of(x)) for x in eqn.inputs]
    if primitive.moves == "alias":
        return operands[0][1]
    if primitive.pointwise or primitive.ufunc is not None:
        return in_order_of(out.shape, operands)
    axes = eqn.params.get("axes", ())
    if primitive.moves == "copy" and axes != tuple(range(len(axes))):
        return None
    known = all(strides is not None and is_contiguous(shape, strides) for shape, strides in operands)
    return contiguous(out.shape) if known else None


def plain_array(array: Array) -> Any:
    """The plain array behind an `Array` of the caller's: the same one each time where a function is recorded."""
    trace = current_trace()
    while trace is not None:
        if isinstance(trace, Record):
            return trace.hold(array)
        trace = trace.parent
    return unwrap(array)


def _freeze(
    record: Record,
    recorded: Sequence[Equation],
    inputs: Sequence[RecordTracer],
    outputs: Sequence[Any],
    in_tree: Any,
    out_tree: Any,
) -> Program:
    env: dict[int, Var] = {id(t): Var(t.aval) for t in inputs}
    consts: dict[int, tuple[Var, Any]] = {}
    keep = (record.keeper or record.captures).copy

    def atom(x: Any) -> Var | Literal:
        known = env.get(id(x))
        if known is not None:
            return known
        if isinstance(x, Tracer) and x.owner is record:
            raise KeyError(x)
        if is_a(x, np.ndarray):
            x = keep(x) if x.ndim else x[()]
        if not is_a(x, (Tracer, np.ndarray)):
            return Literal(x)
        if id(x) not in consts:
            consts[id(x)] = Var(aval_of(x)), x
        return consts[id(x)][0]

    equations: list[Equation] = []
    for eqn in recorded:
        ins = tuple(map(atom, eqn.inputs))
        outs: list[Var] = []
        for t in eqn.outputs:
            var = env[id(t)] = Var(t.aval)
            outs.append(var)
        equations.append(Equation(eqn.primitive, ins, tuple(outs), eqn.params, eqn.source))
    out_atoms = tuple(map(atom, outputs))
    constvars, values = zip(*consts.values(), strict=True) if consts else ((), ())
    return Program(constvars, values, tuple(env[id(t)] for t in inputs), equations, out_atoms, in_tree, out_tree)
