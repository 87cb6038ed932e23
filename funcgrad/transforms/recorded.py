"""Functions that are recorded as programs once per kind of arguments: what `jit` and `checkpoint` share."""

from __future__ import annotations

import inspect
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import ARRAYS
from funcgrad._tree_compile import NODE_LIMIT, compile_put
from funcgrad.aliasing import as_array, in_order
from funcgrad.config import config
from funcgrad.core import Primitive, Question, Tracer, axes_in_scope, current_trace
from funcgrad.debug import Effects, current_effects, put_effects
from funcgrad.device_array import DeviceArray, in_use
from funcgrad.errors import ArgumentError, DeviceError
from funcgrad.float_errors import current
from funcgrad.float_errors import put as put_state
from funcgrad.ir import Program
from funcgrad.transforms.boundary import argument_name, own_value, plain_leaf
from funcgrad.transforms.call import close
from funcgrad.transforms.forms import Form, Kept, full_structure, told_apart, wrapped
from funcgrad.transforms.make_ir import record_flat
from funcgrad.types import NUMBERS, PYTHON_SCALARS, ShapedArray, argument_aval, is_a
from funcgrad.watched import catches

__all__ = ["Recorded", "Static", "as_tuple"]


def as_tuple(x: Any) -> tuple[Any, ...]:
    """A number or a name as a tuple of one; anything else that can be iterated over as a tuple."""
    return tuple(x) if isinstance(x, Iterable) and not isinstance(x, str) else (x,)


class Static:
    """Which arguments of a function are passed on as they are, by position and by name."""

    __slots__ = ("names", "nums")

    def __init__(self, fun: Callable[..., Any], nums: Any, names: Any) -> None:
        self.nums, self.names = set(as_tuple(nums)), set(as_tuple(names))
        if not (self.nums or self.names):
            return
        try:
            signature = inspect.signature(fun).parameters.values()
        except (TypeError, ValueError):
            return
        parameters = [p.name for p in signature if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if all(p.kind != p.VAR_POSITIONAL for p in signature):  # count from the end of the signature, not of a call
            self.nums = {i + len(parameters) if -len(parameters) <= i < 0 else i for i in self.nums}
        self.names |= {parameters[i] for i in self.nums if 0 <= i < len(parameters)}
        self.nums |= {parameters.index(n) for n in self.names if n in parameters}

    def split(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[dict[Any, Any], list[Any], dict[str, Any]]:
        """Static arguments by place, traced positional ones, traced named ones; ArgumentError if not hashable."""
        nums = {i % len(args) for i in self.nums if -len(args) <= i < len(args)} if args else set()
        fixed: dict[Any, Any] = {i: args[i] for i in sorted(nums)}
        fixed |= {k: kwargs[k] for k in sorted(kwargs) if k in self.names}
        for place, value in fixed.items():
            try:
                hash(value)
            except TypeError:
                raise ArgumentError(
                    f"static argument {place!r} must be hashable, got a {type(value).__name__}"
                ) from None
        traced = [x for i, x in enumerate(args) if i not in nums]
        return fixed, traced, {k: v for k, v in kwargs.items() if k not in self.names}


def _argument(fun: Any, fixed: Iterable[Any], traced: Sequence[Any], named: dict[str, Any], i: int) -> str:
    """What leaf `i` of the traced arguments is called."""
    path = tree.leaves_with_path((tuple(traced), named))[i][0]
    return argument_name(fun, path[1:], fixed)


def _whole(result: Any) -> Any:
    return result


def _or_as_it_is(run: Callable[..., Any], put: Callable[[Any], Any], fun: Callable[..., Any]) -> Callable[..., Any]:
    """What runs a program, or where that raises, the function that it was made of: it may catch the exception."""

    def attempt(*leaves: Any) -> Any:
        counted, state, effects = current_effects(), current(), Effects()
        try:
            put_effects(effects)
            try:
                return put(run(*leaves))
            except Exception:
                effects.start_over()
            return tree.map(own_value, fun(*leaves))
        finally:
            try:  # an interrupt may have kept the function from leaving its own `errstate`
                put_state(state)
            finally:
                put_effects(counted)

    return attempt


def _traced(x: Any) -> bool:
    """Whether a value is one of an enclosing trace. (An array on a device is there by itself.)"""
    return isinstance(x, Tracer) and type(x) is not DeviceArray


def _backend_of(leaves: Sequence[Any], name: Callable[[int], str]) -> Any:
    """The backend of the arrays that are on a device; None if there are none. Raises DeviceError, by the name of the
    leaf, for others beside them; numbers may be."""
    on_device = [i for i, x in enumerate(leaves) if type(x) is DeviceArray]
    if not on_device:
        return None
    first = leaves[on_device[0]]
    for i, x in enumerate(leaves):
        if is_a(x, np.ndarray) and x.ndim:
            where, remedy = "an array of NumPy's", f"device_put(x, {str(first.device)!r})"
        elif type(x) is DeviceArray and x.device is not first.device:
            where, remedy = f"on {x.device}", f"device_put(x, {str(first.device)!r})"
        else:
            continue
        raise DeviceError(
            f"jit: {name(i)} is {where}, {argument_aval(x)}, and {name(on_device[0])} is on {first.device}: they do "
            f"not mix; {remedy} makes a copy there"
        )
    return first.backend


_RECENT = 8
"""So many structures of arguments are compared with those of a call, one after the other."""


def _lie_in_order(program: Any, leaves: Sequence[Any]) -> bool:
    """Whether the arguments are contiguous of which a program says that they must be."""
    places = program.derived["ordered"] if isinstance(program, Program) else ()
    return all(in_order(leaves[i], leaves[i]) for i in places)


def _with_arrays(results: Sequence[Any], places: Sequence[int]) -> list[Any]:
    """Results of a program, with arrays in place of scalars where NumPy would have some."""
    out = list(results)
    for i in places:
        out[i] = np.asarray(out[i]) if is_a(out[i], np.generic) else as_array(out[i])
    return out


class Recorded:
    """A function with its programs, by the structure, shapes and dtypes of its arguments.

    Args:
        fun: the function.
        static: which of its arguments are passed on as they are.
        runner: makes of a program, of the numbers of leaves of the arguments, and of the backend of those that are on
            a device (or None) what runs it on flat inputs where nothing is traced, and gives results that nothing else
            shares; it may replace that as `run` of the fourth argument. Without one, the primitive is bound.
        branching: makes of a function of flat arguments that branches on values, of their avals, and of such a backend
            what runs it on such values and gives its result; None where such a function is simply called. With
            `guards=False` it is an error.
        guards: whether the function may branch on values.

    A function that branches on values has no program. Where it is called on tracers, it is called as it is: they have
    the values, or raise. So is one that catches exceptions of operations.

    At most `config.jit_programs` are kept: those that were used last.
    """

    __slots__ = ("_forms", "branching", "fun", "guards", "lock", "programs", "recent", "runner", "static")

    def __init__(
        self,
        fun: Callable[..., Any],
        static: Static,
        runner: Callable[[Program, Any, Any, Any], Callable[..., Any]] | None = None,
        branching: Callable[[Callable[..., Any], Sequence[ShapedArray], Any], Any] | None = None,
        guards: bool = True,
    ) -> None:
        self.fun, self.static, self.runner, self.branching, self.guards = fun, static, runner, branching, guards
        self.programs: dict[Any, Kept] = {}
        self._forms: dict[Any, Form] = {}
        self.recent: tuple[Form, ...] = ()  # of these, the last one first
        self.lock = allocate_lock()

    def call(self, primitive: Primitive, args: Sequence[Any], kwargs: dict[str, Any], **params: Any) -> Any:
        """The function, by its program."""
        fixed, traced, named = self.static.split(args, kwargs)
        kept, leaves, in_tree, ours = self._kept(primitive.name, fixed, traced, named)
        program = kept.program
        tracing = current_trace() is not None or any(map(_traced, leaves))
        if not isinstance(program, Program):
            if self.branching is None or tracing:
                return self.flat(fixed, in_tree)(*leaves)
        elif self.runner is None or tracing or any(map(_traced, program.consts)):
            if catches(program):
                return self.flat(fixed, in_tree)(*leaves)
            closed, consts = program.derived.get("closed") or program.derived.setdefault("closed", close(program))
            out = primitive.bind(*consts, *leaves, program=closed, **params)
            arrays = program.derived["arrays"]
            out = [x if isinstance(x, Tracer) else own_value(x) for x in out]
            result = program.out_tree.unflatten(_with_arrays(out, arrays) if arrays else out)
            return wrapped(result) if ours and not tracing else result
        run, put = kept.run, kept.put
        if run is None or put is None:
            run, put = self._prepare(kept, fixed, in_tree)
        if in_tree.num_leaves <= NODE_LIMIT:
            if not (isinstance(program, Program) and program.derived["ordered"]):  # whose arguments are looked at
                self._note(leaves, fixed, in_tree, len(args), kept)
        return wrapped(put(run(*leaves))) if ours else put(run(*leaves))

    def _prepare(self, kept: Kept, fixed: dict[Any, Any], in_tree: Any) -> tuple[Any, Any]:
        """How a call comes to its result where nothing is traced."""
        program = kept.program
        if not isinstance(program, Program):
            run, put = program, _whole
        else:
            assert self.runner is not None
            small = program.out_tree.num_leaves <= NODE_LIMIT
            put = compile_put(program.out_tree) if small else program.out_tree.unflatten
            if arrays := program.derived["arrays"]:
                bare = put
                put = lambda results: bare(_with_arrays(results, arrays))  # noqa: E731
            if catches(program) and kept.backend is None:  # what is given must still be there for another run
                run, put = _or_as_it_is(self.runner(program, (), None, None), put, self.flat(fixed, in_tree)), _whole
            else:
                run = self.runner(program, self.spans(in_tree), kept.backend, kept)
        if not in_tree.num_leaves and self.runner is not None:  # nothing says whose arrays are wanted
            plain = put
            put = lambda results: wrapped(plain(results))  # noqa: E731
        kept.put, kept.run = put, run
        return run, put

    def _note(self, traced: list[Any], fixed: dict[Any, Any], in_tree: Any, arguments: int, kept: Kept) -> None:
        """Let arguments of this form and kind be recognised: the leaves that are traced, as programs take them (others
        are converted at each call), and static ones."""
        structure, places = full_structure(in_tree, fixed, arguments)
        name = structure, tuple(places)
        form = self._forms.get(name) or Form(structure, places)
        rest, statics = iter(traced), dict(zip(places, fixed.values(), strict=True))
        leaves = [statics[i] if i in statics else next(rest) for i in range(structure.num_leaves)]
        with self.lock:
            if any(k is kept for k in self.programs.values()):
                form = self._forms.setdefault(name, form)
                form.add(leaves, kept)
                if form not in self.recent:
                    self.recent = (form, *self.recent)[:_RECENT]

    @staticmethod
    def spans(in_tree: Any) -> list[int]:
        """How many leaves each traced argument has, in order."""
        positional, named = in_tree.children()
        return [child.num_leaves for child in (*positional.children(), named)]

    def program(
        self, name: str, fixed: dict[Any, Any], traced: Sequence[Any], named: dict[str, Any]
    ) -> tuple[Any, list[Any], Any]:
        """The program for these arguments, recorded if there is none yet, or what `branching` made of the function
        where it branches on values; the flat traced arguments; their tree."""
        kept, leaves, in_tree, _ = self._kept(name, fixed, traced, named)
        return kept.program, leaves, in_tree

    def _kept(
        self, name: str, fixed: dict[Any, Any], traced: Sequence[Any], named: dict[str, Any]
    ) -> tuple[Kept, list[Any], Any, bool]:
        """What calls with these arguments need; their leaves, converted; their tree; whether there is an `Array`."""
        leaves, in_tree = tree.flatten((tuple(traced), named))
        ours = not ARRAYS.isdisjoint(map(type, leaves))
        for i, x in enumerate(leaves):
            if (type(x) is np.ndarray and x.dtype in NUMBERS) or type(x) in PYTHON_SCALARS:
                continue
            if not isinstance(x, (Tracer, ShapedArray)):
                leaves[i] = plain_leaf(x, partial(_argument, self.fun, fixed, traced, named, i), name)
        avals = [argument_aval(x) for x in leaves]
        statics = tuple((place, told_apart(value)) for place, value in fixed.items())
        key: Any = in_tree, statics, tuple(avals), axes_in_scope()
        place = None
        if in_use and current_trace() is None:
            place = _backend_of(leaves, lambda i: _argument(self.fun, fixed, traced, named, i))
            key = (*key, place) if place is not None else key
        by_class = key, tuple(map(type, avals))  # where the function asks whether a value is an array of shape ()
        kept = self.programs.get(key) or self.programs.get(by_class)
        if kept is None:
            kept = self._record(key, by_class, fixed, avals, in_tree, place)
        else:
            kept.use()
        if not _lie_in_order(kept.program, leaves):
            key, by_class = (key, "in any order"), (by_class, "in any order")
            kept = self.programs.get(key) or self.programs.get(by_class)
            kept = kept or self._record(key, by_class, fixed, avals, in_tree, place, ordered=False)
        return kept, leaves, in_tree, ours

    def flat(self, fixed: dict[Any, Any], in_tree: Any) -> Callable[..., Any]:
        """The function as one of flat traced arguments."""

        def flat(*xs: Any) -> Any:
            positional, named = in_tree.unflatten(xs)
            rest = iter(positional)
            n = len(positional) + sum(is_a(k, int) for k in fixed)
            args = [fixed[i] if i in fixed else next(rest) for i in range(n)]
            return self.fun(*args, **named, **{k: v for k, v in fixed.items() if isinstance(k, str)})

        return flat

    def _record(
        self,
        key: Any,
        by_class: Any,
        fixed: dict[Any, Any],
        avals: list[ShapedArray],
        in_tree: Any,
        place: Any = None,
        ordered: bool = True,
    ) -> Kept:
        flat = self.flat(fixed, in_tree)
        name, border = "checkpoint" if self.runner is None else "jit", "again" if self.guards else "error"
        try:
            made: Any = record_flat(flat, avals, name, border, ordered=ordered)
        except Question as question:
            trace = current_trace()
            if trace is not None:
                trace.forgive(question.error)
            made = _whole if self.branching is None else self.branching(flat, avals, place)
        if isinstance(made, Program) and any(map(_traced, made.consts)):
            return Kept(made)  # those belong to this call alone
        if not isinstance(made, Program) or made.derived["classes"]:
            key = by_class
        with self.lock:
            kept = self.programs.get(key)
            if kept is None:
                kept = self.programs[key] = Kept(made, place)
                if len(self.programs) > max(config.jit_programs, 1):
                    self._forget()
        return kept

    def clear(self) -> None:
        """Forget all programs."""
        with self.lock:
            self.programs.clear()
            self._forms.clear()
            self.recent = ()

    def _forget(self) -> None:
        """Forget what was not used for the longest time."""
        oldest = min(self.programs, key=lambda key: self.programs[key].stamp)
        kept = self.programs.pop(oldest)
        for name, form in tuple(self._forms.items()):
            form.drop(kept)
            if not form.table:
                del self._forms[name]
                self.recent = tuple(f for f in self.recent if f is not form)
