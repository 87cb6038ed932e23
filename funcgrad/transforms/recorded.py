"""Functions that are recorded as programs once per kind of arguments: what `jit` and `checkpoint` share."""

from __future__ import annotations

import inspect
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._tree_compile import NODE_LIMIT, compile_put, compile_take
from funcgrad._tree_def import label_of
from funcgrad.core import Primitive, Question, Tracer, axes_in_scope, current_trace
from funcgrad.ir import Program
from funcgrad.transforms.boundary import argument_name, own_value, plain_leaf
from funcgrad.transforms.call import close
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.types import NUMBERS, PYTHON_SCALARS, ShapedArray, aval_of, is_a

__all__ = ["Recorded", "Seen", "Static", "as_tuple"]


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
        """Static arguments by place, traced positional ones, traced named ones; raises TypeError if not hashable."""
        nums = {i % len(args) for i in self.nums if -len(args) <= i < len(args)} if args else set()
        fixed: dict[Any, Any] = {i: args[i] for i in sorted(nums)}
        fixed |= {k: kwargs[k] for k in sorted(kwargs) if k in self.names}
        for place, value in fixed.items():
            try:
                hash(value)
            except TypeError:
                raise TypeError(f"static argument {place!r} must be hashable, got a {type(value).__name__}") from None
        traced = [x for i, x in enumerate(args) if i not in nums]
        return fixed, traced, {k: v for k, v in kwargs.items() if k not in self.names}


def _told_apart(value: Any) -> Any:
    """A static value with its type: 1, 1.0 and True are equal, as 0.0 and -0.0, and yet give different programs."""
    if type(value) in (tuple, frozenset):
        return type(value), type(value)(map(_told_apart, value))
    return type(value), repr(value) if type(value) in (float, complex) else value, value


def _argument(fun: Any, fixed: Iterable[Any], traced: Sequence[Any], named: dict[str, Any], i: int) -> str:
    """What leaf `i` of the traced arguments is called."""
    path = tree.leaves_with_path((tuple(traced), named))[i][0]
    return argument_name(fun, path[1:], fixed)


def _whole(result: Any) -> Any:
    return result


_kind_of = attrgetter("shape", "dtype")
_SEEN = 4  # so many kinds of arguments are recognised without a look into the table of programs


class Seen:
    """Arguments of a kind that has been seen: how to take them apart and recognise them, and what they are run with.

    Attributes:
        take: the leaves of (args, kwargs), or None if their structure differs.
        put: the result from its leaves.
        run: from leaves to leaves; results are nobody else's.
    """

    __slots__ = ("_classes", "_kinds", "_plain", "put", "run", "take")

    def __init__(self, leaves: list[Any], in_tree: Any, put: Callable[[Any], Any], run: Callable[..., Any]) -> None:
        self._classes = list(map(type, leaves))
        self._kinds = [_kind_of(x) for x in leaves if type(x) not in PYTHON_SCALARS]
        self._plain = len(self._kinds) == len(leaves)
        self.take, self.put, self.run = compile_take(in_tree, label_of), put, run

    def fits(self, leaves: list[Any]) -> bool:
        """Whether the leaves have the classes, shapes and dtypes that were seen."""
        if self._classes != list(map(type, leaves)):
            return False
        if self._plain:
            return self._kinds == list(map(_kind_of, leaves))
        return self._kinds == [_kind_of(x) for x in leaves if type(x) not in PYTHON_SCALARS]


class Recorded:
    """A function with its programs, by the structure, shapes and dtypes of its arguments.

    Args:
        fun: the function.
        static: which of its arguments are passed on as they are.
        runner: makes of a program what runs it on flat inputs where nothing is traced, and gives results that nothing
            else shares; without one, the primitive is bound.
        branching: makes of a function of flat arguments that branches on values, and of their avals, what runs it on
            such values and gives its result; None where such a function is simply called. With `guards=False` it is an
            error.
        guards: whether the function may branch on values.

    A function that branches on values has no program. Where it is called on tracers, it is called as it is: they have
    the values, or raise.
    """

    __slots__ = ("branching", "fun", "guards", "lock", "programs", "runner", "seen", "static")

    def __init__(
        self,
        fun: Callable[..., Any],
        static: Static,
        runner: Callable[[Program, Any], Callable[..., Any]] | None = None,
        branching: Callable[[Callable[..., Any], Sequence[ShapedArray]], Any] | None = None,
        guards: bool = True,
    ) -> None:
        self.fun, self.static, self.runner, self.branching, self.guards = fun, static, runner, branching, guards
        self.programs: dict[Any, Any] = {}  # Program, or what `branching` made
        self.seen: tuple[Seen, ...] = ()  # the last one first; only where no argument is static
        self.lock = allocate_lock()

    def call(self, primitive: Primitive, args: Sequence[Any], kwargs: dict[str, Any], **params: Any) -> Any:
        """The function, by its program."""
        fixed, traced, named = self.static.split(args, kwargs)
        program, leaves, in_tree = self.program(primitive.name, fixed, traced, named)
        if not isinstance(program, Program):
            return self._branch(program, fixed, leaves, in_tree, args, kwargs)
        traces = current_trace() is not None or any(isinstance(x, Tracer) for x in (*leaves, *program.consts))
        if self.runner is None or traces:
            closed, consts = program.derived.get("closed") or program.derived.setdefault("closed", close(program))
            out = primitive.bind(*consts, *leaves, program=closed, **params)
            return program.out_tree.unflatten([x if isinstance(x, Tracer) else own_value(x) for x in out])
        run = self.runner(program, self.spans(traced, named))
        if not fixed and in_tree.num_leaves <= NODE_LIMIT:
            self.seen = (Seen(leaves, in_tree, compile_put(program.out_tree), run), *self.seen)[:_SEEN]
        return program.out_tree.unflatten(run(*leaves))

    def _branch(self, run: Any, fixed: Any, leaves: list[Any], in_tree: Any, args: Any, kwargs: Any) -> Any:
        """Call a function that branches on values."""
        if self.branching is None or current_trace() is not None or any(isinstance(x, Tracer) for x in leaves):
            return self.fun(*args, **kwargs)
        if not fixed and in_tree.num_leaves <= NODE_LIMIT:
            self.seen = (Seen(leaves, in_tree, _whole, run), *self.seen)[:_SEEN]
        return run(*leaves)

    def spans(self, traced: Sequence[Any], named: dict[str, Any]) -> list[int]:
        """How many leaves each traced argument has, in order."""
        return [tree.structure(x).num_leaves for x in (*traced, named)]

    def program(
        self, name: str, fixed: dict[Any, Any], traced: Sequence[Any], named: dict[str, Any]
    ) -> tuple[Any, list[Any], Any]:
        """The program for these arguments, recorded if there is none yet, or what `branching` made of the function
        where it branches on values; the flat traced arguments; their tree."""
        leaves, in_tree = tree.flatten((tuple(traced), named))
        for i, x in enumerate(leaves):
            if (type(x) is np.ndarray and x.dtype in NUMBERS) or type(x) in PYTHON_SCALARS:
                continue
            if not isinstance(x, (Tracer, ShapedArray)):
                leaves[i] = plain_leaf(x, partial(_argument, self.fun, fixed, traced, named, i), name)
        key = self.key(fixed, leaves, in_tree)
        program = self.programs.get(key)
        if program is None:
            program = self._record(key, fixed, leaves, in_tree)
        return program, leaves, in_tree

    @staticmethod
    def key(fixed: dict[Any, Any], leaves: list[Any], in_tree: Any) -> Any:
        """By what programs are known: structure, static values, shapes and dtypes, named axes."""
        statics = tuple((place, _told_apart(value)) for place, value in fixed.items())
        return in_tree, statics, tuple(map(aval_of, leaves)), axes_in_scope()

    def flat(self, fixed: dict[Any, Any], in_tree: Any) -> Callable[..., Any]:
        """The function as one of flat traced arguments."""

        def flat(*xs: Any) -> Any:
            positional, named = in_tree.unflatten(xs)
            rest = iter(positional)
            n = len(positional) + sum(is_a(k, int) for k in fixed)
            args = [fixed[i] if i in fixed else next(rest) for i in range(n)]
            return self.fun(*args, **named, **{k: v for k, v in fixed.items() if isinstance(k, str)})

        return flat

    def _record(self, key: Any, fixed: dict[Any, Any], leaves: list[Any], in_tree: Any) -> Any:
        flat = self.flat(fixed, in_tree)
        avals = [aval_of(x) for x in leaves]
        name, border = "checkpoint" if self.runner is None else "jit", "again" if self.guards else "error"
        try:
            program = trace_to_program(flat, avals, name, border)
        except Question as question:
            trace = current_trace()
            if trace is not None:
                trace.forgive(question.error)
            made = _whole if self.branching is None else self.branching(flat, avals)
            with self.lock:
                return self.programs.setdefault(key, made)
        if not any(isinstance(c, Tracer) for c in program.consts):  # those belong to this call alone
            with self.lock:
                program = self.programs.setdefault(key, program)
        return program
