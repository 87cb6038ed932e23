"""`cond` and `switch`: one of several branches, chosen by a value.

Where the value is known (also while a gradient is recorded) the branch is simply called. Otherwise the branches are
recorded as programs, and `cond` is one operation. Under `vmap` with a choice for each example, each branch that anyone
takes is run for all examples, with stand-ins for those that do not take it (`stand_in.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import own_arguments
from funcgrad.control.programs import joint_programs
from funcgrad.control.stand_in import Axis, known, of_examples, one_by_one, selected, stand_ins, taker
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.boundary import boundary, check_callable, giving_arrays, own_result, plain_leaf
from funcgrad.transforms.call import (
    CALL,
    batch_program,
    cached,
    call_program,
    cotangents,
    interleave,
    lift_consts,
    record_program,
    replay,
    reverse_programs,
    tangent_program,
)
from funcgrad.types import ShapedArray, aval_of, dtype_of, shape_of

__all__ = ["COND", "cond", "switch"]

Branches = tuple[Program, ...]

_NOTHING: Any = object()
"""In place of an operand that is not given."""


def _impl(index: Any, *args: Any, branches: Branches) -> tuple[Any, ...]:
    return tuple(eval_program(branches[int(index)], args))


def _abstract(index: ShapedArray, *avals: ShapedArray, branches: Branches) -> tuple[ShapedArray, ...]:
    return tuple(branches[0].out_avals)


def _bind(index: Any, args: Sequence[Any], branches: Sequence[Program]) -> Any:
    closed, consts = lift_consts(branches)
    return COND.bind(index, *consts, *args, branches=closed)


def _push(primals: Sequence[Any], tangents: Sequence[Any], branches: Branches) -> Any:
    index, *args = primals
    given = tuple(t is not None for t in tangents[1:])
    moving = [t for t in tangents[1:] if t is not None]
    results = _bind(index, [*args, *moving], [tangent_program(b, given) for b in branches])
    return interleave(branches[0], results)


def _forward(ins: Sequence[Any], wanted: Sequence[bool], branches: Branches) -> Any:
    index, *args = ins
    splits = [reverse_programs(b, tuple(wanted[1:])) for b in branches]
    n = splits[0].outputs
    # Each branch returns room for the residuals of all, and fills its own.
    forward = [s.computing() for s in splits]
    kept_avals = [p.out_avals[n:] for p in forward]
    results = _bind(index, args, [_pad(p, n, kept_avals, i) for i, p in enumerate(forward)])
    return tuple(results[:n]), tuple(results[n:])


def _pad(program: Program, n: int, kept: Sequence[Sequence[ShapedArray]], mine: int) -> Program:
    def fun(*xs: Any) -> list[Any]:
        results = replay(program, xs)
        out = results[:n]
        for i, avals in enumerate(kept):
            out += results[n:] if i == mine else map(_zeros, avals)
        return out

    return record_program(program.in_avals, fun)


def _backward(
    kept: Any, ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], branches: Branches
) -> list[Any]:
    """Residuals that are operands are not among those `kept`."""
    splits = [reverse_programs(b, tuple(wanted[1:])) for b in branches]
    cts = cotangents(ct, out)
    index, *args = ins
    used = sorted({o for s in splits for o in s.origins() if o is not None})
    operands = [*kept, *(args[o] for o in used), *cts]
    avals = list(map(aval_of, operands))
    chosen: list[Program] = []
    start = 0
    for s in splits:
        places: list[int] = []
        for o in s.origins():
            places.append(start if o is None else len(kept) + used.index(o))
            start += o is None
        places += range(len(operands) - len(cts), len(operands))
        chosen.append(_reading(s.backward, places, avals))
    grads = iter(_bind(index, operands, chosen))
    return [None, *(next(grads) if w else None for w in wanted[1:])]


def _reading(program: Program, places: Sequence[int], avals: Sequence[ShapedArray]) -> Program:
    """The program as one that has more inputs, and reads those at these places."""
    return record_program(avals, lambda *xs: replay(program, [xs[i] for i in places]))


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, branches: Branches) -> Any:
    index, *rest = args
    if not batched[0]:
        return _bind(index, rest, [batch_program(b, tuple(batched[1:]), size, axis_name) for b in branches])
    if size == 0:
        return tuple(_zeros(ShapedArray((0, *a.shape), a.dtype)) for a in branches[0].out_avals)
    axis = Axis(size, axis_name)
    if axis.separately(*branches):
        return one_by_one(COND, args, batched, size, {"branches": branches})
    is_bool = dtype_of(index).kind == "b"
    takers = [np.logical_not(index), index] if is_bool else [np.equal(index, i) for i in range(len(branches))]
    if axis.together(*branches):
        outs: Any = None
        for takes, branch in zip(takers, branches, strict=True):
            new = _run(batch_program(branch, tuple(batched[1:]), size, axis_name), rest)
            outs = new if outs is None else list(map(partial(selected, takes), new, outs))
        return tuple(outs)
    outs = ()
    for takes, branch in zip(takers, branches, strict=True):
        outs = _Taken(branch, tuple(batched[1:]), size, axis_name)(takes, rest, outs)
    return tuple(outs)


def _run(program: Program, args: Sequence[Any]) -> Sequence[Any]:
    return call_program(program, args, CALL, {"name": "branch"})


def _zeros(aval: ShapedArray) -> Any:
    return np.broadcast_to(np.zeros((), aval.dtype), aval.shape)


class _Taken(NamedTuple):
    """A branch for a batch, some of whose examples may take it."""

    branch: Program
    batched: tuple[bool, ...]
    size: int
    axis_name: Any

    def __call__(self, takes: Any, rest: Sequence[Any], outs: Sequence[Any]) -> Sequence[Any]:
        """`outs` with the results of the examples that take the branch; without `outs` there is anything else."""
        first, any_does = taker(takes)
        is_known = known(any_does)
        if is_known is None:
            return _bind(any_does, [takes, first, *rest, *outs], self._branches(bool(outs)))
        if not is_known:
            return outs
        if np.all(known(takes)):
            return _run(self._mapped(), rest)
        return self._for_takers(takes, first, rest, outs)

    def _mapped(self) -> Program:
        return batch_program(self.branch, self.batched, self.size, self.axis_name)

    def _for_takers(self, takes: Any, first: Any, rest: Sequence[Any], outs: Sequence[Any]) -> Sequence[Any]:
        new = _run(self._mapped(), stand_ins(rest, self.batched, takes, first))
        return list(map(partial(selected, takes), new, outs)) if outs else new

    def _branches(self, given: bool) -> Branches:
        """Two programs for `takes`, `first`, `rest` and, if `given`, `outs`: nobody takes the branch, somebody does."""

        def make() -> Branches:
            mapped = self._mapped()
            n = 2 + len(mapped.inputs)
            avals = [ShapedArray((self.size,), np.dtype(bool)), ShapedArray((), np.dtype(np.intp)), *mapped.in_avals]
            avals += mapped.out_avals if given else []
            made = record_program(
                avals, lambda takes, first, *xs: self._for_takers(takes, first, xs[: n - 2], xs[n - 2 :])
            )
            empty = list(map(_zeros, mapped.out_avals))
            return record_program(avals, lambda *xs: xs[n:] if given else empty), made

        return cached(self.branch, ("taken", *self[1:], given), make)


COND = declare("cond", _impl, _abstract, multiple=True, nested=True, programs=("branches",))
"""Run `branches[index]` on the other operands; the index of two may be a boolean."""
COND.push, COND.forward, COND.backward, COND.batch = _push, _forward, _backward, _batch
COND.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]


@boundary
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = _NOTHING) -> Any:
    """Call the branch of this number, the first or last if it is out of range.

    A single operand may be given by the keyword.

    Raises TypeError where the branches return different structures, shapes or dtypes; the message says which leaf.
    Where the value of `index` is known no other branch is run, nor compared.

    >>> float(switch(1, [np.sin, np.cos], 0.0))
    1.0
    """
    operands = _given(operands, operand, "switch")
    if not branches:
        raise ValueError("switch needs at least one branch")
    for b in branches:
        check_callable(b, "switch")
    if shape_of(index) != () or dtype_of(index).kind not in "iu":
        raise TypeError(f"switch: the index must be an integer scalar, got {aval_of(index)}")
    value = known(index)
    if value is not None:
        return _call(branches[min(max(int(value), 0), len(branches) - 1)], operands, "switch")
    return _traced(np.clip(index, 0, len(branches) - 1), list(branches), operands, "switch")


@boundary
def cond(pred: Any, true_fun: Any, false_fun: Any, *operands: Any, operand: Any = _NOTHING) -> Any:
    """`true_fun(*operands)` if `pred`, else `false_fun(*operands)`.

    A single operand may be given by the keyword; the older `cond(pred, true_operand, true_fun, false_operand,
    false_fun)` is understood too.

    Raises TypeError where the two return different structures, shapes or dtypes; the message says which leaf.
    Where the value of `pred` is known the other function is not run, nor compared.

    >>> float(cond(True, lambda x: x + 1.0, lambda x: x - 1.0, 3.0))
    4.0
    """
    operands = _given(operands, operand, "cond")
    if not callable(true_fun) and callable(false_fun) and len(operands) == 2 and callable(operands[1]):
        mine, others = false_fun, operands[1]
        operands = (true_fun, operands[0])
        true_fun, false_fun = (lambda a, b: mine(a)), (lambda a, b: others(b))
    check_callable(true_fun, "cond")
    check_callable(false_fun, "cond")
    if shape_of(pred) != ():
        raise TypeError(
            f"cond: the predicate must be a scalar, got {aval_of(pred)}; use np.where for elementwise choice"
        )
    if dtype_of(pred).kind == "c":
        raise TypeError(f"cond: the predicate must be a boolean or a real number, got {aval_of(pred)}")
    value = known(pred)
    if value is not None:
        return _call(true_fun if value else false_fun, operands, "cond")
    chosen = pred if dtype_of(pred).kind == "b" else np.not_equal(pred, 0)
    return _traced(chosen, [false_fun, true_fun], operands, "cond")


def _given(operands: tuple[Any, ...], operand: Any, name: str) -> tuple[Any, ...]:
    if operand is _NOTHING:
        return operands
    if operands:
        raise TypeError(f"{name}: operands are given by position or by the keyword `operand`, not both")
    return (operand,)


def _call(branch: Callable[..., Any], operands: Sequence[Any], name: str) -> Any:
    """The result of the one branch that is run."""
    given, in_tree = _operands(operands, name)
    branch = giving_arrays(branch, tuple(operands))
    return own_result([branch(*in_tree.unflatten(own_arguments(given)))])


def _operands(operands: Sequence[Any], name: str) -> tuple[list[Any], Any]:
    """The leaves of the operands, and their tree."""
    paths, in_tree = tree.flatten_with_path(tuple(operands))
    return [plain_leaf(x, f"operand {tree.keystr(path)}", name) for path, x in paths], in_tree


def _traced(index: Any, branches: list[Callable[..., Any]], operands: Sequence[Any], name: str) -> Any:
    leaves, in_tree = _operands(operands, name)
    taken = of_examples(index)
    nobody = (
        () if taken is None or not np.size(taken) else set(range(len(branches))) - {int(i) for i in np.ravel(taken)}
    )
    programs, consts, out_tree = joint_programs(branches, nobody, leaves, in_tree, name)
    out = COND.bind(index, *consts, *leaves, branches=programs)
    return out_tree.unflatten(list(out))
