"""Reverse mode: record the function, then walk the equations backwards.

A function is recorded in concrete mode, so that the primal values are at hand; the walk starts at the outputs'
cotangents, asks each equation's VJP rule for those of its inputs, and adds up what reaches a value along several ways.
Only what depends on the inputs was recorded, and only what a cotangent reaches is visited. The rules are run under the
trace that is current then, so that a pullback can itself be recorded, differentiated, or carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any
from weakref import ref

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import ARRAYS
from funcgrad.aliasing import settle, settle_all
from funcgrad.core import Tracer, current_trace, under
from funcgrad.errors import InconclusiveRuleError, reraise, rule_failed
from funcgrad.ir import Equation
from funcgrad.ops.rules import full_cotangent, match_cotangent
from funcgrad.record import Opened, Record, RecordTracer
from funcgrad.source import of_rule, user_source
from funcgrad.transforms.boundary import own_value, split_aux
from funcgrad.types import dtype_of, float0, is_a, is_inexact, is_weak, shape_of, weak_type

__all__ = ["Recording", "backward", "record_function", "snapshot", "zero_like"]


class Recording(Opened):
    """A function that is recorded at a point: its inputs and outputs, flat, and the record between them.

    `held` has the ids of the arrays that a closed record had locked, for one that may be made a snapshot of.
    """

    __slots__ = ("_function", "aux", "equations", "held", "inputs", "out_tree", "outputs")

    def __init__(self, record: Record, *function: Any) -> None:
        self.record = record
        self._function: Any = function
        self.inputs: list[RecordTracer] = []
        self.equations: list[Equation] = record.equations
        self.outputs: list[Any] = []
        self.out_tree: Any = None
        self.aux: Any = None
        self.held: Container[int] | None = None

    def value(self, x: Any) -> Any:
        """The value of `x` outside the record."""
        return x.value if isinstance(x, RecordTracer) and x.owner is self.record else x

    def pull(self, cts: Sequence[Any], consume: bool = False) -> list[Any]:
        """Cotangents of the inputs, as fresh arrays that nobody else holds; None for zero."""
        return backward(self, cts, consume)

    def __enter__(self) -> Recording:
        """Record the function. Nothing is locked before: from then on, `__exit__` is called."""
        fun, leaves, in_tree, has_aux = self._function
        self._function = ()
        record = self.record
        record.watch = ref(self, record.gone)  # before anything is locked
        try:
            source = record.source or user_source()
            self.inputs = [record.input(x, source) for x in leaves]
            with under(record):
                result = fun(*in_tree.unflatten(self.inputs))
                record.accept()
                if has_aux:
                    result, aux = split_aux(result)
                    self.aux = tree.map(settle, aux)
                outputs, self.out_tree = tree.flatten(result)
                self.outputs = settle_all(outputs)
        except BaseException:
            record.close()
            raise
        return self


def record_function(
    fun: Callable[..., Any], leaves: Sequence[Any], in_tree: Any, has_aux: bool, reverse: bool = True, ask: Any = None
) -> Recording:
    """`with record_function(...) as recording` records `fun` at flat arguments, in concrete mode and for a walk in
    `reverse`; the record is closed at the end of the block."""
    record = Record(current_trace(), reverse=reverse)
    record.ask = ask
    return Recording(record, fun, leaves, in_tree, has_aux)


# ------------------------------------------------------------------------------------------------ the reverse walk


def backward(recording: Recording, cts: Sequence[Any], consume: bool) -> list[Any]:
    """Walk the equations in reverse; with `consume`, drop each one as it is done with, and its memory."""
    record, equations = recording.record, recording.equations
    found: dict[int, Any] = {}
    owned: set[int] = set()  # sums that were made here, and may be added to in place
    for out, ct in zip(recording.outputs, cts, strict=True):
        if ct is not None and isinstance(out, RecordTracer) and out.owner is record:
            found[id(out)] = ct if id(out) not in found else _sum(found[id(out)], ct, id(out), owned)
    trace = current_trace()
    before = trace.source if trace is not None else None
    try:
        for i in range(len(equations) - 1, -1, -1):
            eqn = equations[i]
            if eqn.primitive.multiple:
                arriving: Any = [found.pop(id(t), None) for t in eqn.outputs]
                if all(ct is None for ct in arriving):
                    continue
            else:
                arriving = found.pop(id(eqn.outputs[0]), None)
                if arriving is None:
                    continue
            if True not in eqn.wanted:
                continue
            if trace is not None:
                trace.source = of_rule(eqn.source, eqn.primitive.name)
            _visit(eqn, arriving, found, owned)
            if consume:
                equations[i] = eqn = None  # type: ignore[call-overload]
    finally:
        if trace is not None:
            trace.source = before
    return _separate([found.get(id(t)) for t in recording.inputs], recording, cts)


def _visit(eqn: Equation, ct: Any, found: dict[int, Any], owned: set[int]) -> None:
    """Send the cotangent of an equation's output (a list of them, of `multiple` ones) on to its inputs."""
    primitive, ins, wanted = eqn.primitive, eqn.values, eqn.wanted
    if primitive.multiple:
        out: Any = [t.value for t in eqn.outputs]
        ct = [None if c is None else full_cotangent(c, o) for c, o in zip(ct, out, strict=True)]
    else:
        out = eqn.outputs[0].value
        if not (type(ct) is np.ndarray and type(out) is np.ndarray and ct.shape == out.shape):
            shape = shape_of(out)
            if shape_of(ct) != shape and not (primitive.pointwise and not _broadcasts(ins, wanted, shape)):
                ct = np.broadcast_to(ct, shape)
    if primitive.vjp is None and eqn.kept is None:
        error = InconclusiveRuleError("has no derivative in reverse mode")
        reraise(primitive.name, ins, error, eqn.source)
    try:
        if eqn.kept is not None:
            in_cts = primitive.backward(eqn.kept, ct, out, ins, wanted, **eqn.params)  # type: ignore[misc]
        else:
            in_cts = primitive.vjp(ct, out, ins, wanted, **eqn.params)  # type: ignore[misc]
    except Exception as error:
        rule_failed(primitive.name, ins, error, eqn.source)
    for i, ct in enumerate(in_cts):
        if ct is not None and wanted[i]:
            ct = match_cotangent(ct, ins[i])
            key = id(eqn.inputs[i])
            have = found.get(key)
            found[key] = ct if have is None else _sum(have, ct, key, owned)


def _broadcasts(ins: Sequence[Any], wanted: Sequence[bool], shape: tuple[int, ...]) -> bool:
    """Whether an operand that wants a cotangent was broadcast: what reaches it must then be summed."""
    return any(w and shape_of(x) != shape for x, w in zip(ins, wanted, strict=True))


def _sum(have: Any, ct: Any, key: int, owned: set[int]) -> Any:
    """The sum of a cotangent and what has reached the tracer of this id before."""
    if key in owned and type(have) is np.ndarray and have.shape == shape_of(ct) and type(ct) is np.ndarray:
        return np.add(have, ct, out=have)
    owned.add(key)
    return have + ct


def _separate(grads: list[Any], recording: Recording, cts: Sequence[Any]) -> list[Any]:
    """Make the results independent of each other, of the cotangents given, and of every value in the record."""
    seen = {id(ct) for ct in cts}
    seen.update(id(t.value) for t in recording.inputs)
    out: list[Any] = []
    for g, t in zip(grads, recording.inputs, strict=True):
        if g is not None:
            g = full_cotangent(g, t.value)
            kind = type(g)
            if issubclass(kind, np.generic) and type(t.value) is np.ndarray:
                g, kind = np.asarray(g), np.ndarray
            if kind is np.ndarray:
                if g.base is not None or id(g) in seen or not g.flags.writeable:
                    g = g.copy()
            elif issubclass(kind, Tracer):
                g = own_value(g)
            elif issubclass(kind, np.ndarray):  # an `Array`, or what a rule of the user's has kept
                g = g.copy() if kind in ARRAYS else np.array(g)
            seen.add(id(g))
        out.append(g)
    return out


def zero_like(x: Any) -> Any:
    """The zero cotangent of a value: float0 for integers and booleans."""
    if not is_inexact(x):
        return np.zeros(shape_of(x), float0)
    if is_weak(x):
        return weak_type(dtype_of(x))(0)
    return np.zeros(shape_of(x), dtype_of(x)) if shape_of(x) or is_a(x, (np.ndarray, Tracer)) else x.dtype.type(0)


# ------------------------------------------------------------------------------------------------------ for later


def snapshot(recording: Recording) -> None:
    """Copy what the user could still write to: captured arrays, and views of them; traced values from outside."""
    copies: dict[int, Any] = {}
    held = recording.held if recording.held is not None else recording.record.captures.locked
    record = recording.record
    outside = [t.value for t in recording.inputs if isinstance(t.value, Tracer)]
    for eqn in recording.equations:
        outside += [x for x in eqn.inputs if isinstance(x, Tracer) and x.owner is not record]
    for t in outside:
        if id(t) not in copies:
            copies[id(t)] = own_value(t)

    def copied(x: Any) -> Any:
        if type(x) is not np.ndarray:
            return copies.get(id(x), x)
        base: Any = x
        while is_a(base.base, np.ndarray):
            base = base.base
        if id(base) not in held and base.base is None:
            return x
        if id(x) not in copies:
            copies[id(x)] = x.copy()
        return copies[id(x)]

    for t in recording.inputs:
        t.value = copied(t.value)
    for eqn in recording.equations:
        eqn.values = tuple(map(copied, eqn.values))
        if eqn.kept is not None:
            for k in eqn.kept:
                if isinstance(k, Recording):
                    snapshot(k)
            eqn.kept = tuple(map(copied, eqn.kept))
        for t in eqn.outputs:
            t.value = copied(t.value)
