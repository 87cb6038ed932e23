"""Loops: `scan`, `map`, `fori_loop`, `while_loop`.

With plain arrays they run as Python loops. Where something is traced, the body is recorded as a program, and the loop
is one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import Counter, unwrap
from funcgrad.aliasing import own_arguments
from funcgrad.capture import own_leaves
from funcgrad.config import config
from funcgrad.control.body import Body
from funcgrad.control.programs import body_program, origins
from funcgrad.control.scan import Layout, bind_scan
from funcgrad.control.while_ import Counts, bind_while
from funcgrad.control.while_transpose import WHILE_TRANSPOSE  # noqa: F401  # pyright: ignore[reportUnusedImport]
from funcgrad.core import Tracer, current_trace
from funcgrad.errors import ConcretizationTypeError, TracerArrayConversionError
from funcgrad.ir import Program
from funcgrad.ops.rules import WEAKEN
from funcgrad.ops.shape import CONVERT
from funcgrad.transforms.boundary import boundary, check_callable, giving_arrays, plain_leaf
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_weak, shape_of

__all__ = ["fori_loop", "map", "scan", "while_loop"]


def _leaf_list(x: Any, name: str, what: str) -> tuple[list[Any], Any]:
    paths, treedef = tree.flatten_with_path(x)
    return [plain_leaf(leaf, f"{what}{tree.keystr(path)}", name) for path, leaf in paths], treedef


def _plain(*groups: Sequence[Any]) -> bool:
    """Whether nothing is traced, so that a Python loop will do."""
    return current_trace() is None and not any(isinstance(x, Tracer) for g in groups for x in g)


class _CarryError(TypeError):
    """A carry that the body of a loop changes in structure, shape or dtype."""


_OTHERWISE_IN_PYTHON = (_CarryError, ZeroDivisionError, OverflowError)
"""What comes of Python scalars in a carry that are NumPy's numbers, or stay Python's, in a program alone."""


Record = Callable[[list[Any], Sequence[bool]], Program]
"""Records a body from a carry, some of whose leaves are Python scalars in the body, whatever they are outside."""


def _fixed_point(name: str, record: Record, init: list[Any], treedef: Any) -> tuple[Any, Any, Any]:
    """Record a body, with Python scalars in the initial carry taking on the dtypes that come out.

    Where that changes the carry, for a counter or a time has widened what it met, those from which Python scalars come
    out stay such in the body, as in the loop in Python.

    Returns the program, the initial carry, and which leaves are Python scalars in the body; raises TypeError where the
    carry changes its structure, shape or dtype.
    """
    program, start, weak = _settled(name, record, init, False)
    faults = _carry_faults(name, program, start, treedef)
    if faults and any(is_weak(x) for x in init):
        other, begin, weak = _settled(name, record, init, True)
        if any(weak) and not _carry_faults(name, other, begin, treedef):
            return other, begin, weak
    if faults:
        faults += origins(program, [aval_of(s) for s in start], "the body")
        raise _CarryError(_carry_differs(name, faults))
    return program, start, ()


def _settled(name: str, record: Record, init: list[Any], keep: bool) -> tuple[Program, list[Any], Sequence[bool]]:
    """The program of a body, the initial carry with the dtypes that come out, and which leaves are Python scalars in
    the body: none, or (`keep`) those that stay such."""
    start, weak = list(init), [is_weak(x) for x in init]
    while True:
        program = record(start, ())
        carry = _carried(name, program)
        if len(carry) != len(start) or not any(weak):
            return program, start, ()
        stays = [keep and w and a.weak and a.dtype == dtype_of(s) for s, a, w in zip(start, carry, weak, strict=True)]
        settled = stays == weak
        start = [
            _strong(s, a.dtype) if w and (settled or not k) else s
            for s, a, w, k in zip(start, carry, weak, stays, strict=True)
        ]
        if settled:
            return record(start, weak), start, weak
        weak = stays


def _carried(name: str, program: Program) -> Sequence[ShapedArray]:
    n = len(program.out_avals) if name != "scan" else program.out_tree.children()[0].num_leaves
    return program.out_avals[:n]


def _carry_faults(name: str, program: Program, start: list[Any], treedef: Any) -> list[str]:
    out_tree = program.out_tree.children()[0] if name == "scan" else program.out_tree
    want = treedef.unflatten([aval_of(s) for s in start])
    return tree.mismatch("carry", want, out_tree.unflatten(_carried(name, program)))


def _weakened(leaves: Sequence[Any], weak: Sequence[bool]) -> Sequence[Any]:
    return [WEAKEN.bind(x) if w else x for x, w in zip(leaves, weak, strict=True)] if any(weak) else leaves


def _strengthened(carry: Any) -> Any:
    """A carry with NumPy's scalars for Python's: outside of the body it is of the same types in any case."""
    return tree.map(lambda x: _strong(x, dtype_of(x)) if is_weak(x) else x, carry)


def _carry_differs(name: str, faults: Sequence[str]) -> str:
    return (
        f"{name}: the body must return a carry like the initial one; convert or reshape the new carry (.astype), or "
        "start with one of the type that comes out:\n  " + "\n  ".join(faults)
    )


def _strong(x: Any, dtype: np.dtype[Any]) -> Any:
    """A Python scalar as a NumPy scalar of this dtype."""
    return CONVERT.bind(x, dtype=dtype) if isinstance(x, Tracer) else dtype.type(x)


def _scan_length(xs: Sequence[Any], paths: Sequence[Any], length: int | None) -> int:
    found: set[int] = set() if length is None else {index(length)}  # where it is traced, its value is asked for
    if min(found, default=0) < 0:
        raise ValueError(f"scan: length must not be negative, got {length}")
    for path, x in zip(paths, xs, strict=True):
        if not shape_of(x):
            raise ValueError(f"scan: xs{tree.keystr(path)} is a scalar; it needs a first axis to scan over")
        found.add(shape_of(x)[0])
    if len(found) == 1:
        return found.pop()
    if not found:
        raise ValueError("scan: with xs=None give length")
    sizes = [] if length is None else [f"length is {length}"]
    sizes += [f"xs{tree.keystr(path)} has {shape_of(x)[0]}" for path, x in zip(paths, xs, strict=True)]
    raise ValueError("scan: the first axes differ in size:\n  " + "\n  ".join(sizes))


@boundary
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
) -> tuple[Any, Any]:
    """Carry a value through a loop over slices, and stack what each step gives.

    Args:
        f: `f(carry, x) -> (carry, y)`; the carry keeps its structure, shapes and dtypes.
        init: the first carry, a pytree.
        xs: a pytree of arrays, sliced along their first axes; None with `length`.
        length: the number of steps; needed where `xs` has no leaves.
        reverse: start with the last slice.
        unroll: accepted for JAX's sake.
        _split_transpose: accepted for JAX's sake.

    Returns:
        (final carry, ys stacked along a new first axis).

    Raises:
        TypeError: length or unroll is no integer, or the carry changes; the message says which leaf, in shape or in
            dtype.
        ValueError: the slices differ in number, or length or unroll is negative.

    >>> carry, ys = scan(lambda c, x: (c + x, c), 0.0, np.arange(1.0, 4.0))
    >>> float(carry), ys
    (6.0, array([0., 1., 3.]))
    """
    check_callable(f, "scan")
    _check_unroll(unroll, "scan")
    f = giving_arrays(f, (init, xs))
    given, carry_tree = _leaf_list(init, "scan", "init")
    leaves, x_tree = _leaf_list(xs, "scan", "xs")
    n = _scan_length(leaves, [p for p, _ in tree.leaves_with_path(xs)], length)
    if config.disable_jit and n:
        return _python_scan(f, init, leaves, x_tree, n, reverse)
    avals = [ShapedArray(shape_of(x)[1:], dtype_of(x)) for x in leaves]

    def record(carry: list[Any], weak: Sequence[bool]) -> Program:
        def body(*flat: Any) -> Any:
            out = f(carry_tree.unflatten(_weakened(flat[: len(given)], weak)), x_tree.unflatten(flat[len(given) :]))
            if not (isinstance(out, (tuple, list)) and len(out) == 2):
                size = f" of {len(out)}" if isinstance(out, (tuple, list)) else ""
                got = f"one value, {out.aval}" if isinstance(out, Tracer) else f"a {type(out).__name__}{size}"
                raise TypeError(f"scan: the body must return a pair (carry, y), y being None if not needed; got {got}")
            return (_strengthened(out[0]), out[1]) if any(weak) else tuple(out)

        every = [*(aval_of(c) for c in carry), *avals]
        return body_program(lambda *ys: body(*ys), tree.structure(tuple(every)), every)

    program, start, _ = _fixed_point("scan", record, given, carry_tree)
    results = own_leaves(list(bind_scan(program, Layout(0, len(start), n, bool(reverse)), [*start, *leaves])))
    ys_tree = program.out_tree.children()[1]
    return carry_tree.unflatten(list(results[: len(start)])), ys_tree.unflatten(list(results[len(start) :]))


def _check_unroll(unroll: Any, name: str) -> None:
    """Raise TypeError for what is no integer, ValueError for a negative one."""
    if index(unroll) < 0:
        raise ValueError(f"{name}: unroll must be a boolean or a number of steps, got {unroll}")


def _python_scan(f: Any, carry: Any, leaves: list[Any], x_tree: Any, n: int, reverse: bool) -> tuple[Any, Any]:
    """`scan` as a loop of Python's, for `config.disable_jit`."""
    rows: list[Any] = []
    for i in reversed(range(n)) if reverse else range(n):
        carry, y = f(carry, x_tree.unflatten([x[i] for x in leaves]))
        rows.append(y)
    if reverse:
        rows.reverse()
    return carry, tree.map(lambda *ys: np.stack(ys), *rows)


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """Apply a function to each slice along the first axes, one after the other, and stack the results.

    A `batch_size` is accepted for JAX's sake. Raises ValueError where it is negative, TypeError if it is no integer.

    >>> map(lambda x: x**2, np.arange(3.0))
    array([0., 1., 4.])
    """
    if batch_size is not None and index(batch_size) < 0:
        raise ValueError(f"map: batch_size must not be negative, got {batch_size}")
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


@boundary
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """Apply `body_fun` to a value as long as `cond_fun` holds of it.

    The value is a pytree that keeps its structure, shapes and dtypes. Reverse mode works: each step's residuals are
    kept on a stack that grows as the loop runs.

    Raises TypeError where the value changes (the message says which leaf), or the condition is no scalar.

    >>> float(while_loop(lambda x: x < 100.0, lambda x: x * 2.0, 3.0))
    192.0
    """
    check_callable(cond_fun, "while_loop")
    check_callable(body_fun, "while_loop")
    cond_fun, body_fun = giving_arrays(cond_fun, init_val), giving_arrays(body_fun, init_val)
    leaves, treedef = _leaf_list(init_val, "while_loop", "init_val")
    going = cond_fun(treedef.unflatten(leaves))
    if shape_of(going) != ():
        raise TypeError(f"while_loop: the condition must be a scalar, got {aval_of(going)}")

    def record(carry: list[Any], weak: Sequence[bool]) -> Program:
        every = [aval_of(c) for c in carry]

        def body(*ys: Any) -> Any:
            out = body_fun(treedef.unflatten(_weakened(ys, weak)))
            return _strengthened(out) if any(weak) else out

        return body_program(body, tree.structure(tuple(every)), every, Body)

    try:
        value, done = (
            _python_loop(cond_fun, body_fun, leaves, treedef, going)
            if all(_concrete(x) for x in (*leaves, going))
            else (None, False)
        )
    except _OTHERWISE_IN_PYTHON:
        if not any(is_weak(x) for x in leaves):
            raise
        value, done = None, False
    if value is not None:
        # A traced value that the functions close over may have come in on the way.
        if not done:
            return while_loop(cond_fun, body_fun, treedef.unflatten(value))
        if value is leaves:
            value = _untouched("while_loop", record, leaves, treedef)
        return treedef.unflatten(own_leaves(value))

    body, start, weak = _fixed_point("while_loop", record, leaves, treedef)
    avals = [aval_of(s) for s in start]
    test = lambda *ys: cond_fun(treedef.unflatten(_weakened(ys, weak)))  # noqa: E731
    cond = body_program(test, tree.structure(tuple(avals)), avals)
    return treedef.unflatten(list(bind_while(cond, body, Counts(0, 0), start)))


def _untouched(name: str, record: Record, leaves: list[Any], treedef: Any) -> list[Any]:
    """The carry of a loop without steps: a Python scalar takes on the dtype that would come out."""
    try:
        return _fixed_point(name, record, leaves, treedef)[1]
    except (ConcretizationTypeError, TracerArrayConversionError) as error:  # the body asks for values
        trace = current_trace()
        if trace is not None:
            trace.forgive(error)
        return [_strong(x, dtype_of(x)) if is_weak(x) else x for x in leaves]


def _concrete(x: Any) -> bool:
    return not isinstance(x, Tracer) or x.concrete() is not None


def _python_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], leaves: list[Any], treedef: Any, going: Any
) -> tuple[list[Any], bool]:
    """Run the loop as long as values are known, from the value of these leaves, for which the condition is `going`.

    Returns the value it has come to, and whether it is the last one.
    """
    value, settled = _own_carry(leaves) if going else leaves, False
    while going:
        value, settled = _next("while_loop", value, treedef, body_fun(treedef.unflatten(value)), settled)
        going = cond_fun(treedef.unflatten(value))
        if not all(_concrete(x) for x in (going, *value)):
            return value, False
    return value, True


def _own_carry(leaves: list[Any]) -> list[Any]:
    """The first carry of a loop in Python: the body may write to it."""
    return [np.array(x) if type(x) is np.ndarray else x for x in own_arguments(leaves)]


def _next(name: str, carry: list[Any], treedef: Any, result: Any, settled: bool) -> tuple[list[Any], bool]:
    """The leaves of what the body made of a carry, and whether they are of their final dtypes (`settled`).

    The first step, and one more after Python scalars, are checked: raises TypeError where the carry changes in
    structure, shape or dtype. A Python scalar takes on the dtype that comes out, as where the body is recorded; not
    that of a complex number of Python's, of which NumPy may make a NaN.
    """
    new, structure = tree.flatten(result)
    new = [unwrap(x) for x in new]
    if settled:
        return new, True
    if structure != treedef:
        faults = tree.mismatch("carry", treedef.unflatten(carry), structure.unflatten(new))
        faults = faults or [f"carry: expected {treedef}, got {structure}"]
    else:
        faults = [
            f"carry{tree.keystr(path)}: expected {aval_of(a)}, got {aval_of(b)}"
            for (path, a), b in zip(tree.leaves_with_path(treedef.unflatten(carry)), new, strict=True)
            if shape_of(a) != shape_of(b) or (dtype_of(a) != dtype_of(b) and (not is_weak(a) or type(b) is complex))
        ]
    if faults:
        raise _CarryError(_carry_differs(name, faults))
    strong = [_strong(x, dtype_of(x)) if is_weak(x) else x for x in new]
    return strong, not any(is_weak(x) for x in carry)


def _check_bounds(lower: Any, upper: Any) -> None:
    """Raise TypeError unless the bounds are scalars of one dtype; that of a Python integer gives way to another."""
    a, b = (plain_leaf(x, f"argument {name}", "fori_loop") for name, x in (("lower", lower), ("upper", upper)))
    if shape_of(a) != () or shape_of(b) != ():
        raise TypeError(f"fori_loop: the bounds must be scalars, got {aval_of(a)} and {aval_of(b)}")
    signed = dtype_of(a).kind == dtype_of(b).kind == "i"
    if dtype_of(a) != dtype_of(b) and not (signed and is_weak(a) != is_weak(b)):
        raise TypeError(
            f"fori_loop: the bounds must have one dtype, got {aval_of(a)} and {aval_of(b)}; convert one (.astype)"
        )


@boundary
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any, *, unroll: Any = None) -> Any:
    """`for i in range(lower, upper): val = body_fun(i, val)`.

    With bounds that are known it is a scan, so that reverse mode works anywhere; with traced bounds a `while_loop`.
    `i` is an integer whose dtype gives way, as a Python integer's does, with the attributes of an array.

    Raises TypeError where the value changes (the message says which leaf), or the bounds are no scalars of one dtype;
    ValueError where `unroll` (accepted for JAX's sake) is negative, or given with traced bounds.

    >>> float(fori_loop(0, 5, lambda i, x: x + i, 0.0))
    10.0
    """
    check_callable(body_fun, "fori_loop")
    body_fun = giving_arrays(body_fun, init_val)
    _check_bounds(lower, upper)
    low, high = (x.concrete() if isinstance(x, Tracer) else x for x in (lower, upper))
    leaves, treedef = _leaf_list(init_val, "fori_loop", "init_val")
    if unroll is not None:
        _check_unroll(unroll, "fori_loop")
        if low is None or high is None:
            raise ValueError("fori_loop: unroll needs bounds that are known, and these are traced")

    def step(i: Any, value: Any) -> Any:
        return body_fun(WEAKEN.bind(i), value)  # a Python integer, as in the loop that this stands for

    if low is None or high is None:
        start = np.asarray(lower) if not isinstance(lower, Tracer) else lower
        _, out = while_loop(lambda s: s[0] < upper, lambda s: (s[0] + 1, step(s[0], s[1])), (start, init_val))
        return out
    steps = range(int(low), int(high))
    if steps and _plain(leaves):
        try:
            return _python_fori(steps, body_fun, leaves, treedef)
        except _OTHERWISE_IN_PYTHON:
            if not any(is_weak(x) for x in leaves):
                raise
    return scan(lambda c, i: (step(i, c), None), init_val, np.arange(steps.start, max(steps.stop, steps.start)))[0]


def _python_fori(steps: range, body_fun: Callable[[Any, Any], Any], leaves: list[Any], treedef: Any) -> Any:
    """The loop in Python, from the value of these leaves."""
    value, settled = _own_carry(leaves), False
    for i in steps:
        value, settled = _next("fori_loop", value, treedef, body_fun(Counter(i), treedef.unflatten(value)), settled)
    return treedef.unflatten(own_leaves(value))
