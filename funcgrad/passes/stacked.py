"""Values of the body of a scan for all steps at once, and their sums over the steps.

Whatever is computed here becomes equations of the program around the loop, by the batching rules of the primitives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core import Primitive, under
from funcgrad.errors import IRError
from funcgrad.ir import Atom, Equation, Literal
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.ops.index import SCATTER_ADD
from funcgrad.ops.reduce import REDUCE_SUM
from funcgrad.ops.rules import aligned
from funcgrad.passes.builder import Builder
from funcgrad.passes.loop import Loop
from funcgrad.types import dtype_of, loop_dtypes, shape_of

__all__ = ["Stacked"]

_DEEPEST = 16  # how many equations a sum over steps is followed back through


class Stacked:
    """The values of variables of a body, over all steps.

    Attributes:
        values: by variable, those that are known; with a leading axis for the steps unless in `fixed`.
    """

    def __init__(self, loop: Loop, builder: Builder) -> None:
        self.loop, self.builder, self.length = loop, builder, loop.length
        self.fixed: dict[Any, Any] = {v: builder.value(a) for v, a in loop.consts.items()}
        self.values: dict[Any, Any] = {v: builder.value(a) for v, a in loop.xs.items()}
        self.equations = list(loop.equations)
        self.maker = {v: e for e in self.equations for v in e.outputs}

    def __call__(self, atom: Atom) -> Any:
        """A value over all steps, stacked; a constant as it is."""
        if isinstance(atom, Literal):
            return atom.value
        if atom in self.fixed:
            return self.fixed[atom]
        if atom not in self.values:
            self._compute(atom)
        return self.values[atom]

    def is_stacked(self, atom: Atom) -> bool:
        return not atom.is_literal and atom not in self.fixed

    def _compute(self, atom: Any) -> None:
        """Compute a value, and what it depends on."""
        live = {atom}
        todo: list[Equation] = []
        last = next(i for i, e in enumerate(self.equations) if atom in e.outputs)
        for eqn in reversed(self.equations[: last + 1]):
            if any(v in live and v not in self.values for v in eqn.outputs):
                todo.append(eqn)
                live.update(a for a in eqn.inputs if self.is_stacked(a))
        for eqn in reversed(todo):
            self._batch(eqn)

    def _batch(self, eqn: Equation) -> None:
        batched = [self.is_stacked(a) for a in eqn.inputs]
        given = [self(a) for a in eqn.inputs]
        args = self._at(eqn, lambda: _strong(eqn, given, batched))
        primitive = eqn.primitive
        out = self._at(eqn, lambda: _rule(primitive)(args, batched, self.length, **_named(primitive), **eqn.params))
        for v, x in zip(eqn.outputs, out if primitive.multiple else (out,), strict=True):
            if shape_of(x) != (self.length, *v.aval.shape) or dtype_of(x) != v.aval.dtype:
                raise IRError(f"{primitive.name} over {self.length} steps gives {x.aval}, and {v.aval} in each step")
            self.values[v] = x

    def _at(self, eqn: Equation | None, make: Callable[[], Any]) -> Any:
        """What `make` makes, on behalf of an equation of the body."""
        builder = self.builder
        builder.source = (eqn.source if eqn is not None else None) or self.loop.source
        with under(builder):
            return make()

    # -------------------------------------------------------------------------------------------------------- sums

    def total(self, atom: Atom, depth: int = 0) -> Any:
        """The sum of a value over all steps, of its shape and dtype.

        Linear operations are done once, on the sum; of products of matrices the steps become one more contracted axis.
        """
        if not self.is_stacked(atom):
            return self._repeated(atom)
        eqn = None if atom in self.values else self.maker.get(atom)
        if eqn is not None and depth < _DEEPEST:
            found = self._total_of(eqn, depth + 1)
            if found is not None:
                return found
        stack = self(atom)
        return self._at(eqn, lambda: np.add.reduce(stack, axis=0).astype(atom.aval.dtype))

    def _repeated(self, atom: Atom) -> Any:
        times = np.asarray(self.length).astype(atom.aval.dtype)[()]
        if isinstance(atom, Literal):
            with np.errstate(over="ignore"):
                return np.multiply(np.asarray(atom.value), times)[()]
        return self._at(None, lambda: self(atom) * times)

    def _total_of(self, eqn: Equation, depth: int) -> Any:
        """The sum over steps of the result of an equation, if that is easier to have than its results."""
        primitive, params, ins = eqn.primitive, eqn.params, eqn.inputs
        if primitive.linear == "each":
            return self._total_product(eqn, depth)
        if primitive is SCATTER_ADD:
            return self._total_scattered(eqn)
        if primitive is REDUCE_SUM:
            if ins[0].aval.dtype != eqn.outputs[0].aval.dtype:
                return None
            stack, axes = self(ins[0]), (0, *(i + 1 for i in params["axes"]))
            whole = self._at(eqn, lambda: REDUCE_SUM.bind(stack, axes=axes, keepdims=False))
            return self._at(eqn, lambda: np.reshape(whole, eqn.outputs[0].aval.shape)) if params["keepdims"] else whole
        if primitive.linear == "all" and _is_plain(eqn):
            if len(ins) == 1 or any(map(self._structured, ins)):
                totals = [self.total(x, depth) for x in ins]
                return self._at(eqn, lambda: primitive.bind(*totals, **params))
        return None

    def _structured(self, atom: Atom) -> bool:
        """Whether the sum over steps of a value is easier to have than its values."""
        eqn = None if atom in self.values or atom.is_literal else self.maker.get(atom)
        return eqn is not None and eqn.primitive.linear != ""

    def _total_product(self, eqn: Equation, depth: int) -> Any:
        primitive, (a, b), params = eqn.primitive, eqn.inputs, eqn.params
        if primitive is DOT_GENERAL and self.is_stacked(a) and self.is_stacked(b):
            (ca, cb), (ba, bb) = (
                tuple(tuple(i + 1 for i in axes) for axes in params[name]) for name in ("contract", "batch")
            )
            x, y = self(a), self(b)
            contract = ((0, *ca), (0, *cb))
            return self._at(eqn, lambda: DOT_GENERAL.bind(x, y, contract=contract, batch=(ba, bb)))
        if self.is_stacked(a) and self.is_stacked(b):
            return None
        if primitive.pointwise and not (any(map(self._structured, eqn.inputs)) and _of_one_dtype(eqn)):
            return None
        if a.aval.dtype != b.aval.dtype:  # sums in the smaller precision would lose something
            return None
        x = self.total(a, depth) if self.is_stacked(a) else self(a)
        y = self.total(b, depth) if self.is_stacked(b) else self(b)
        return self._at(eqn, lambda: primitive.bind(x, y, **params))

    def _total_scattered(self, eqn: Equation) -> Any:
        """What the steps scatter, scattered at once."""
        updates, *indices = eqn.inputs
        n = max(i.aval.ndim for i in indices)
        rest = updates.aval.ndim - (len(eqn.params["shape"]) - len(eqn.params["axes"]))
        if not self.is_stacked(updates) or rest != n:
            return None
        batched = [self.is_stacked(i) for i in indices]
        moved = [self(i) for i in indices]
        if not any(batched):
            inner = self.total(updates)
            return self._at(eqn, lambda: SCATTER_ADD.bind(inner, *moved, **eqn.params))
        values = self(updates)

        def scatter() -> Any:
            places = aligned(moved, batched)
            shape = (self.length, *np.broadcast_shapes(*(shape_of(i)[-n:] if n else () for i in moved)))
            places[0] = np.broadcast_to(places[0], shape)
            return SCATTER_ADD.bind(values, *places, **eqn.params)

        return self._at(eqn, scatter)


def _is_plain(eqn: Equation) -> bool:
    """Whether an operation can be done on sums of its operands: an array of what it would add up in any case."""
    primitive = eqn.primitive
    if primitive.multiple or primitive.collective is not None or eqn.outputs[0].aval.weak:
        return False
    return _of_one_dtype(eqn) or (primitive.moves != "" and len(eqn.inputs) == 1)


def _of_one_dtype(eqn: Equation) -> bool:
    """Whether operands and result have one dtype, so that sums of the operands do not lose anything."""
    return len({a.aval.dtype for a in (*eqn.inputs, *eqn.outputs)}) == 1 and not any(a.aval.weak for a in eqn.inputs)


def _strong(eqn: Equation, args: list[Any], batched: list[bool]) -> list[Any]:
    """The operands, where stacks of Python scalars have the dtypes in which the scalars would be used."""
    ufunc = eqn.primitive.ufunc
    if ufunc is None or not any(b and a.aval.weak for a, b in zip(eqn.inputs, batched, strict=True)):
        return args
    dtypes = loop_dtypes(ufunc, [a.aval for a in eqn.inputs])
    out: list[Any] = []
    for atom, x, b, dtype in zip(eqn.inputs, args, batched, dtypes, strict=False):
        out.append(x.astype(dtype) if b and atom.aval.weak and dtype_of(x) != dtype else x)
    return out


def _named(primitive: Primitive) -> dict[str, Any]:
    return {"axis_name": None} if primitive.nested else {}


def _rule(primitive: Primitive) -> Callable[..., Any]:
    assert primitive.batch is not None
    return _batch_product if primitive is DOT_GENERAL else primitive.batch


def _batch_product(args: Any, batched: Any, size: int, contract: Any, batch: Any) -> Any:
    """A product whose second operand alone is stacked: with the operands exchanged, so that the steps come first."""
    a, b = args
    (ca, cb), (ba, _) = contract, batch
    if batched[0] or ba:
        assert DOT_GENERAL.batch is not None
        return DOT_GENERAL.batch(args, batched, size, contract=contract, batch=batch)
    out = DOT_GENERAL.bind(b, a, contract=(tuple(i + 1 for i in cb), ca), batch=((), ()))
    free = len(shape_of(b)) - 1 - len(cb)
    order = (0, *range(1 + free, len(shape_of(out))), *range(1, 1 + free))
    return out if order == tuple(range(len(order))) else np.transpose(out, order)
