"""Programs on arrays that are on a device already: `DeviceArray` in, `DeviceArray` out, and nothing by way of the host.

`Resident` runs a compiled program so. `run_function` makes such a program of a call of a transformation, `apply` of an
operator or a function of NumPy's, `evaluate` of a single operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import written
from funcgrad.backends._memory import placed
from funcgrad.core import Primitive, Question, Tracer
from funcgrad.device_array import NOT_WRITABLE, DeviceArray, Pending, device_arrays
from funcgrad.errors import DeviceError
from funcgrad.executor.compiled import executable
from funcgrad.executor.device_guards import GuardedOnDevice
from funcgrad.executor.jit import jit
from funcgrad.ir import Equation, Program, Var
from funcgrad.source import Source, user_source
from funcgrad.transforms.boundary import argument_name, split_aux
from funcgrad.transforms.call import reverse_programs, tangent_program
from funcgrad.transforms.forms import told_apart
from funcgrad.transforms.make_ir import record_flat
from funcgrad.transforms.vjp import zero_like
from funcgrad.types import PYTHON_SCALARS, SCALARS, ShapedArray, aval_of, is_a, is_inexact

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend

__all__ = ["Resident", "apply", "common_backend", "evaluate", "run_function", "run_linearize", "run_vjp"]


class Resident:
    """A program on a device, called with arrays that are there, and with numbers.

    Args:
        program: what runs.
        donated: which inputs may be overwritten; they are deleted by a call.
        backend: where.
        to_host: whether the results are NumPy's: for NumPy's arrays that meet constants of the device.

    Raises UnsupportedOperationError, when it is made, for what the backend lacks.
    """

    __slots__ = ("_avals", "_donated", "backend", "compiled", "device", "home", "to_host")

    def __init__(self, program: Program, donated: Sequence[bool], backend: Backend, to_host: bool = False) -> None:
        self.compiled: Any = executable(program, tuple(donated), backend)
        self.backend, self.device, self.to_host = backend, backend.device, to_host
        self.home: Backend = backend.home
        self._avals = program.in_avals, list(map(backend.stored, program.out_avals))
        self._donated = [i for i, d in enumerate(donated) if d]

    def __call__(self, *leaves: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""
        values, pending = self._taken(leaves)
        given = [leaves[i] for i in self._donated]
        del leaves
        memory = self._donate(given, values) if given else []
        results, later = self.compiled.run(values)
        for x in memory:
            if not any(x is r for r in results):
                self.backend.donate(x)
        del memory
        if later is not None:
            pending = (*pending, Pending(later))
        if self.to_host:
            out = self.compiled.to_host(results)
            for check in pending:
                check()
            return out
        home = self.home
        return tuple([DeviceArray(x, a, home, pending) for x, a in zip(results, self._avals[1], strict=True)])

    def _taken(self, leaves: Sequence[Any]) -> tuple[list[Any], tuple[Pending, ...]]:
        """The arrays of the library behind the inputs, and what these have still to raise."""
        device, values = self.device, []
        pending: tuple[Pending, ...] = ()
        for x, aval in zip(leaves, self._avals[0], strict=True):
            if type(x) is DeviceArray:
                if x.device is not device:
                    raise DeviceError(f"an array on {x.device} was passed to a function that runs on {device}")
                if x._pending:
                    pending = merged(pending, x._pending)
                values.append(x.array)
            else:
                values.append(placed(self.backend, np.asarray(x, aval.dtype)))
        return values, pending

    def _donate(self, given: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Delete the arrays that are donated; returns what was behind them, where the backend is to be told of it."""
        memory = [x.array for x in given if type(x) is DeviceArray]
        for x in memory:
            if sum(x is v for v in values) > 1:
                raise ValueError("donate_argnums: an array is donated, and passed in another place as well")
        for x in given:
            if type(x) is DeviceArray:
                x.delete()
        return memory if self.backend.notes_donations else []


_MOST_PENDING = 16


def merged(some: tuple[Pending, ...], more: tuple[Pending, ...]) -> tuple[Pending, ...]:
    """All of these, once each. Of many the first ones are asked now, so that they do not grow without end."""
    found = (*some, *(p for p in more if p not in some))
    if len(found) > _MOST_PENDING:
        for check in found[:-_MOST_PENDING]:
            check()
    return found[-_MOST_PENDING:]


# -------------------------------------------------------------------------------------------- where arrays are


def common_backend(arrays: Iterable[DeviceArray], name: str) -> Backend:
    """The backend of arrays that are all on one device; raises DeviceError where they are on several."""
    first: DeviceArray | None = None
    for x in arrays:
        if first is None:
            first = x
        elif x.device is not first.device:
            raise DeviceError(
                f"{name}: arrays on {first.device} and on {x.device} meet: move one of them, "
                f"device_put(x, {str(first.device)!r})"
            )
    assert first is not None
    return first.backend


# -------------------------------------------------------------------------------------------- whole transformations


def run_function(
    fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], met: DeviceArray | None = None
) -> Any:
    """The result of a function of arrays on a device, by a program on it; recorded for this call.

    With `met` no array on a device is among the arguments, but the function closes over one: NumPy's arrays are then
    arguments of the program, and so are its results if there were any.
    """
    name = getattr(fun, "__name__", "a function").removesuffix("_fun")
    paths, in_tree = tree.flatten_with_path((tuple(args), kwargs))
    leaves = [x for _, x in paths]
    wanted = [i for i, x in enumerate(leaves) if type(x) is DeviceArray or (met is not None and _is_number(x))]
    backend = common_backend([x for x in leaves if type(x) is DeviceArray] if met is None else [met], name)
    if met is None:
        for path, x in paths:
            if is_a(x, np.ndarray) and x.dtype.kind in "biufc" and x.ndim:
                raise mixed(argument_name(fun, path[1:]), x, backend.device)

    def flat(*xs: Any) -> Any:
        filled = list(leaves)
        for i, x in zip(wanted, xs, strict=True):
            filled[i] = x
        positional, named = in_tree.unflatten(filled)
        return fun(*positional, **named)

    given = [leaves[i] for i in wanted]
    avals = [aval_of(x) for x in given]
    to_host = met is not None and any(type(x) not in PYTHON_SCALARS for x in given)
    try:
        program = record_flat(flat, avals, name, "again")
    except Question:
        return GuardedOnDevice(flat, avals, name, backend, to_host)(*given)
    return program.out_tree.unflatten(list(Resident(program, (), backend, to_host)(*given)))


def _as_program(
    fun: Callable[..., Any], primals: Sequence[Any], met: DeviceArray | None, name: str
) -> tuple[Program, list[Any], Any, Backend]:
    """A function of arrays on a device as a program: with its flat arguments, their tree, and the backend."""
    leaves, in_tree = tree.flatten(tuple(primals))
    backend = common_backend([x for x in leaves if type(x) is DeviceArray] if met is None else [met], name)
    paths = tree.leaves_with_path(tuple(primals))
    for path, x in paths:
        if met is None and is_a(x, np.ndarray) and x.ndim:
            raise mixed(argument_name(fun, path), x, backend.device)
    return record_flat(lambda *xs: fun(*in_tree.unflatten(xs)), leaves, name, "error"), leaves, in_tree, backend


def run_vjp(
    vjp: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], met: DeviceArray | None = None
) -> Any:
    """`vjp` for arrays on a device: one program for the value and what the pullback needs, one for the pullback."""
    fun, *primals = args
    has_aux = kwargs.get("has_aux", False)
    program, leaves, in_tree, backend = _as_program(fun, primals, met, "vjp")
    wanted = tuple(map(is_inexact, leaves))
    split = reverse_programs(program, wanted)
    results = Resident(split.forward, (), backend)(*leaves)
    n = split.outputs
    residuals, back = results[n:], Resident(split.backward, (), backend)
    whole = program.out_tree.unflatten(list(results[:n]))
    out, aux = split_aux(whole) if has_aux else (whole, None)
    outs, out_tree = tree.flatten(out)

    def pullback(ct: Any) -> tuple[Any, ...]:
        """Cotangents of the arguments, from one of the output."""
        try:
            given = out_tree.flatten_up_to(ct)
        except (ValueError, TypeError) as error:
            raise TypeError(f"pullback: the cotangent does not have the structure of the output: {error}") from None
        cts = [_like(c, o, "pullback: a cotangent") for c, o in zip(given, outs, strict=True) if is_inexact(o)]
        cts += [0.0 if not x.shape else np.zeros(x.shape, x.dtype) for x in results[len(outs) : n] if is_inexact(x)]
        grads = iter(back(*residuals, *cts))
        return in_tree.unflatten([next(grads) if w else zero_like(x) for x, w in zip(leaves, wanted, strict=True)])

    return (out, pullback, aux) if has_aux else (out, pullback)


def run_linearize(
    linearize: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], met: DeviceArray | None = None
) -> Any:
    """`linearize` for arrays on a device: the linear function computes the value again with each derivative."""
    fun, *primals = args
    has_aux = kwargs.get("has_aux", False)
    program, leaves, in_tree, backend = _as_program(fun, primals, met, "linearize")
    results = Resident(program, (), backend)(*leaves)
    whole = program.out_tree.unflatten(list(results))
    out, aux = split_aux(whole) if has_aux else (whole, None)
    outs, out_tree = tree.flatten(out)
    derivative = Resident(tangent_program(program, (True,) * len(leaves)), (), backend)

    def push(*tangents: Any) -> Any:
        """Tangents of the output, from those of the arguments."""
        given = [_like(t, x, "a tangent") for t, x in zip(in_tree.flatten_up_to(tangents), leaves, strict=True)]
        moving = iter(derivative(*leaves, *given)[len(results) :])
        return out_tree.unflatten([next(moving) if is_inexact(o) else zero_like(o) for o in outs])

    return (out, push, aux) if has_aux else (out, push)


def _like(x: Any, value: Any, name: str) -> Any:
    """A cotangent or a tangent with the shape and dtype of a value; raises TypeError where it has not."""
    have, want = aval_of(x), aval_of(value)
    if have.shape != want.shape or not np.can_cast(have.dtype, want.dtype, "same_kind"):
        raise TypeError(f"{name} must be {want}; got {have}")
    return x if have.dtype == want.dtype or type(x) is not DeviceArray else x.astype(want.dtype)  # type: ignore[attr-defined]


def _is_number(x: Any) -> bool:
    return type(x) in SCALARS or (is_a(x, np.ndarray) and x.dtype.kind in "biufc")


def mixed(what: str, x: Any, device: Any) -> DeviceError:
    """The error for an array of NumPy's beside arrays of a device."""
    return DeviceError(
        f"{what} is an array of NumPy's, {aval_of(x)}, and others are on {device}: they do not mix; "
        f"device_put(x, {str(device)!r}) makes a copy there, device_get(x) one on the host"
    )


# --------------------------------------------------------------------------------------- operators, NumPy's functions


class _Hole:
    """Where an argument has an array."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


_known: dict[Any, Any] = {}
_MOST_KNOWN = 4096


def apply(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], name: str) -> Any:
    """`fun(*args, **kwargs)` for arrays on a device: an operation of NumPy's, compiled once for each kind of them.

    Raises DeviceError for an array of NumPy's among them; one that is an index is copied to the device.
    """
    if fun in _OF_KINDS:  # which shapes and dtypes decide
        return fun(*_replaced(tuple(args), _without_values), **_replaced(kwargs, _without_values))
    if fun in _TEXTS:
        return fun(*_replaced(tuple(args), np.asarray), **_replaced(kwargs, np.asarray))
    leaves: list[Any] = []
    computes = is_a(fun, np.ufunc) or (name.startswith("__") and name not in _BY_VALUE)
    backend = next(device_arrays((tuple(args), kwargs))).backend
    punched = _punched((tuple(args), kwargs), leaves, name, computes, backend)
    try:
        key = fun, _key(punched)
        compiled = _known.get(key)
    except TypeError:  # an argument that is not hashable
        key = compiled = None
    if compiled is None:

        def call(*xs: Any) -> Any:
            positional, named = _filled(punched, xs)
            out = fun(*positional, **named)
            if any(map(written, xs)):
                raise TypeError(f"{name}: {NOT_WRITABLE}")
            return out

        call.__name__, call.only_compiled = name, True  # type: ignore[attr-defined]
        compiled = jit(call)
        if key is not None:
            while len(_known) >= _MOST_KNOWN:
                _known.pop(next(iter(_known)), None)
            _known[key] = compiled
    return compiled(*leaves)


_OF_KINDS = frozenset((np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast,
                       np.common_type, np.min_scalar_type))  # fmt: skip
"""Functions of NumPy's that give no arrays, and look at no elements."""


_TEXTS = frozenset((np.array2string, np.array_repr, np.array_str,
                    np.save, np.savetxt, np.savez, np.savez_compressed))  # fmt: skip
"""Functions that say what is in an array, as printing does, or write it to a file."""


def _without_values(x: DeviceArray) -> np.ndarray:
    """An array of NumPy's of the same shape and dtype; it takes no memory."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)


def _replaced(x: Any, change: Callable[[DeviceArray], Any]) -> Any:
    """Arguments with something in place of each array of a device."""
    kind = type(x)
    if kind is tuple or kind is list:
        return kind([_replaced(v, change) for v in x])
    if kind is dict:
        return {k: _replaced(v, change) for k, v in x.items()}
    return change(x) if kind is DeviceArray else x


_BY_VALUE = {"__getitem__", "__pow__", "__rpow__", "__round__"}
"""Operators of which a number as an operand decides what is done."""

_INDEXING = {"__getitem__", "take", "numpy.take", "numpy.take_along_axis"}


def _punched(x: Any, leaves: list[Any], name: str, computes: bool, backend: Backend) -> Any:
    """Arguments with holes where arrays are, and numbers that are computed with; these are added to `leaves`."""
    kind = type(x)
    if kind is tuple or kind is list:
        return kind([_punched(v, leaves, name, computes, backend) for v in x])
    if kind is dict:
        return {k: _punched(v, leaves, name, computes and k != "axis", backend) for k, v in x.items()}
    if kind is slice:
        return x
    if is_a(x, np.ndarray) and x.ndim:
        if not (name in _INDEXING or name.startswith("at.")) or x.dtype.kind not in "biu":
            raise mixed(f"{name}: an operand", x, backend.device)
        x = DeviceArray(placed(backend, x), ShapedArray(x.shape, x.dtype), backend)
    elif not (isinstance(x, Tracer) or (computes and (kind is float or kind is complex or is_a(x, np.generic)))):
        return x
    leaves.append(x)
    return _Hole(len(leaves) - 1)


def _filled(x: Any, values: Sequence[Any]) -> Any:
    kind = type(x)
    if kind is _Hole:
        return values[x.at]
    if kind is tuple or kind is list:
        return kind([_filled(v, values) for v in x])
    return {k: _filled(v, values) for k, v in x.items()} if kind is dict else x


def _key(x: Any) -> Any:
    """What tells punched arguments apart; raises TypeError for one that is not hashable."""
    kind = type(x)
    if kind is _Hole:
        return _Hole, x.at
    if kind is tuple or kind is list:
        return kind, tuple([_key(v) for v in x])
    if kind is dict:
        return tuple([(k, _key(v)) for k, v in x.items()])
    if kind is slice:
        return slice, _key((x.start, x.stop, x.step))
    if callable(x) and not is_a(x, (type, np.ufunc)):
        raise TypeError("what a function does may be another thing the next time")
    found = told_apart(x)
    hash(found)
    return found


# --------------------------------------------------------------------------------------------- single operations


def evaluate(primitive: Primitive, args: Sequence[Any], params: dict[str, Any], source: Source) -> Any:
    """The result of an operation of which an operand is on a device: there. NumPy's arrays are copied to it."""
    backend = common_backend([x for x in args if type(x) is DeviceArray], primitive.name)
    avals = tuple(map(aval_of, args))
    try:
        key: Any = primitive, avals, tuple(params.items())
        program = _known.get(key)
    except TypeError:
        key = program = None
    if program is None:
        program = _of_one(primitive, avals, params, source or user_source())
        if key is not None:
            _known[key] = program
    run = program.derived.get(("resident", backend))
    if run is None:
        run = program.derived.setdefault(("resident", backend), Resident(program, (), backend))
    out = run(*args)
    return out if primitive.multiple else out[0]


def _of_one(primitive: Primitive, avals: Sequence[ShapedArray], params: dict[str, Any], source: Source) -> Program:
    inputs = [Var(a) for a in avals]
    results = primitive.abstract(*avals, **params)
    outputs = [Var(a) for a in (results if primitive.multiple else (results,))]
    return Program((), (), inputs, [Equation(primitive, inputs, outputs, params, source)], outputs)
