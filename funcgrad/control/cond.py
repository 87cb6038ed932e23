"""`cond` and `switch`: one of several branches, chosen by a value.

Where the value is known (also while a gradient is recorded) the branch is simply called. Otherwise the branches are
recorded as programs, and `cond` is one operation; under `vmap` with a different choice for each example all branches
run, and the results are selected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.capture import own_leaves
from funcgrad.control.programs import joint_programs
from funcgrad.core import Tracer
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.boundary import boundary, check_callable, plain_leaf
from funcgrad.transforms.call import (
    batch_program,
    cotangents,
    interleave,
    lift_consts,
    quietly,
    record_program,
    reverse_programs,
    tangent_program,
)
from funcgrad.types import ShapedArray, aval_of, dtype_of, shape_of

__all__ = ["COND", "cond", "switch"]

Branches = tuple[Program, ...]


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
    kept_avals = [s.forward.out_avals[n:] for s in splits]
    padded = [_pad(s.forward, n, kept_avals, i) for i, s in enumerate(splits)]
    results = _bind(index, args, padded)
    return tuple(results[:n]), tuple(results[n:])


def _pad(program: Program, n: int, kept: Sequence[Sequence[ShapedArray]], mine: int) -> Program:
    def fun(*xs: Any) -> list[Any]:
        results = eval_program(program, xs)
        out = results[:n]
        for i, avals in enumerate(kept):
            out += results[n:] if i == mine else [np.broadcast_to(a.dtype.type(0), a.shape) for a in avals]
        return out

    return record_program(program.in_avals, fun)


def _backward(
    kept: Any, ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], branches: Branches
) -> list[Any]:
    splits = [reverse_programs(b, tuple(wanted[1:])) for b in branches]
    cts = cotangents(ct, out)
    sizes = [len(s.forward.outputs) - s.outputs for s in splits]
    avals = [aval_of(x) for x in (*kept, *cts)]
    chosen = [_choose(s.backward, sum(sizes[:i]), sizes[i], len(kept), avals) for i, s in enumerate(splits)]
    grads = iter(_bind(ins[0], [*kept, *cts], chosen))
    return [None, *(next(grads) if w else None for w in wanted[1:])]


def _choose(backward: Program, start: int, size: int, n: int, avals: Sequence[ShapedArray]) -> Program:
    return record_program(avals, lambda *xs: eval_program(backward, [*xs[start : start + size], *xs[n:]]))


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, branches: Branches) -> Any:
    index, *rest = args
    mapped = [batch_program(b, tuple(batched[1:]), size, axis_name) for b in branches]
    if not batched[0]:
        return _bind(index, rest, mapped)
    results = [quietly(b, rest) for b in mapped]  # of what an example did not choose nobody wants to be warned
    outs: list[Any] = []
    for options in zip(*results, strict=True):
        out = options[-1]
        where = np.reshape(index, (size, *(1,) * (len(shape_of(out)) - 1)))
        for i in range(len(options) - 2, -1, -1):
            out = np.where(where == i, options[i], out)
        outs.append(out)
    return tuple(outs)


COND = declare("cond", _impl, _abstract, multiple=True, nested=True, programs=("branches",))
"""Run `branches[index]` on the other operands."""
COND.push, COND.forward, COND.backward, COND.batch = _push, _forward, _backward, _batch
COND.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]


def _known(x: Any) -> Any:
    """The value of an index or predicate; None if it is abstract."""
    return x.concrete() if isinstance(x, Tracer) else x


@boundary
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call the branch of this number, the first or last if it is out of range.

    Raises TypeError where the branches return different structures, shapes or dtypes; the message says which leaf.
    Where the value of `index` is known no other branch is run, nor compared.

    >>> switch(1, [np.sin, np.cos], 0.0)
    np.float64(1.0)
    """
    if not branches:
        raise ValueError("switch needs at least one branch")
    for b in branches:
        check_callable(b, "switch")
    if shape_of(index) != () or dtype_of(index).kind not in "iu":
        raise TypeError(f"switch: the index must be an integer scalar, got {aval_of(index)}")
    value = _known(index)
    if value is not None:
        return _call(branches[min(max(int(value), 0), len(branches) - 1)], operands, "switch")
    return _traced(np.clip(index, 0, len(branches) - 1), list(branches), operands, "switch")


@boundary
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` if `pred`, else `false_fun(*operands)`.

    Raises TypeError where the two return different structures, shapes or dtypes; the message says which leaf.
    Where the value of `pred` is known the other function is not run, nor compared.

    >>> cond(True, lambda x: x + 1.0, lambda x: x - 1.0, 3.0)
    4.0
    """
    check_callable(true_fun, "cond")
    check_callable(false_fun, "cond")
    if shape_of(pred) != ():
        raise TypeError(
            f"cond: the predicate must be a scalar, got {aval_of(pred)}; use np.where for elementwise choice"
        )
    value = _known(pred)
    if value is not None:
        return _call(true_fun if value else false_fun, operands, "cond")
    return _traced(np.not_equal(pred, 0).astype(int), [false_fun, true_fun], operands, "cond")


def _call(branch: Callable[..., Any], operands: Sequence[Any], name: str) -> Any:
    """The result of the one branch that is run."""
    given, in_tree = _operands(operands, name)
    leaves, treedef = tree.flatten(branch(*in_tree.unflatten(given)))
    return treedef.unflatten(own_leaves(leaves))


def _operands(operands: Sequence[Any], name: str) -> tuple[list[Any], Any]:
    """The leaves of the operands, and their tree."""
    paths, in_tree = tree.flatten_with_path(tuple(operands))
    return [plain_leaf(x, f"operand {tree.keystr(path)}", name) for path, x in paths], in_tree


def _traced(index: Any, branches: list[Callable[..., Any]], operands: Sequence[Any], name: str) -> Any:
    leaves, in_tree = _operands(operands, name)
    programs, consts, out_tree = joint_programs(branches, leaves, in_tree, name)
    out = COND.bind(index, *consts, *leaves, branches=programs)
    return out_tree.unflatten(list(out))
