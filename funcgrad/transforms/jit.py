"""`jit` and `checkpoint`: functions that are recorded as programs, and called as such."""

from __future__ import annotations

import inspect
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import Primitive, Tracer
from funcgrad.ir import Program
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf, own_value
from funcgrad.transforms.call import CALL, CHECKPOINT, close
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.types import aval_of

__all__ = ["checkpoint", "jit", "remat"]


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, Iterable) and not isinstance(x, str) else (x,)


class _Static:
    """Which arguments of a function are passed on as they are, by position and by name."""

    __slots__ = ("names", "nums")

    def __init__(self, fun: Callable[..., Any], nums: Any, names: Any) -> None:
        self.nums, self.names = set(_as_tuple(nums)), set(_as_tuple(names))
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


class _Recorded:
    """A function with its programs, by the structure, shapes and dtypes of its arguments."""

    __slots__ = ("fun", "lock", "programs", "static")

    def __init__(self, fun: Callable[..., Any], static: _Static) -> None:
        self.fun, self.static = fun, static
        self.programs: dict[Any, Program] = {}
        self.lock = allocate_lock()

    def call(self, primitive: Primitive, args: Sequence[Any], kwargs: dict[str, Any], **params: Any) -> Any:
        fixed, traced, named = self.static.split(args, kwargs)
        leaves, in_tree = tree.flatten((traced, named))
        for x in leaves:
            if x.__class__ is not np.ndarray:
                differentiable_leaf(x, "an argument", primitive.name)
        # 1, 1.0 and True are equal, and yet give different programs.
        statics = tuple((place, type(value), value) for place, value in fixed.items())
        key = (in_tree, statics, tuple(map(aval_of, leaves)))
        program = self.programs.get(key)
        if program is None:
            program = self._record(key, fixed, leaves, in_tree)
        closed, consts = program.derived.get("closed") or program.derived.setdefault("closed", close(program))
        out = primitive.bind(*consts, *leaves, program=closed, **params)
        return program.out_tree.unflatten([own_value(x) for x in out])

    def _record(self, key: Any, fixed: dict[Any, Any], leaves: list[Any], in_tree: Any) -> Program:
        def flat(*xs: Any) -> Any:
            positional, named = in_tree.unflatten(xs)
            rest = iter(positional)
            n = len(positional) + sum(isinstance(k, int) for k in fixed)
            args = [fixed[i] if i in fixed else next(rest) for i in range(n)]
            return self.fun(*args, **named, **{k: v for k, v in fixed.items() if isinstance(k, str)})

        program = trace_to_program(flat, [aval_of(x) for x in leaves])
        if not any(isinstance(c, Tracer) for c in program.consts):  # those belong to this call alone
            with self.lock:
                program = self.programs.setdefault(key, program)
        return program


def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    donate_argnums: int | Sequence[int] = (),
    inline: bool = False,
) -> Callable[..., Any]:
    """A function that is recorded once for each structure, shapes and dtypes of its arguments, and run as a program.

    Args:
        fun: a pure function of pytrees of arrays. It is recorded abstractly: Python's `if` and `while` may depend on
            shapes and on static arguments, not on values.
        static_argnums, static_argnames: arguments that are passed on as they are; they must be hashable, and the
            function is recorded anew for each value.
        donate_argnums: accepted for JAX's sake.
        inline: accepted for JAX's sake.

    >>> f = jit(lambda x, n: x**n, static_argnums=1)
    >>> f(np.array([1.0, 2.0]), 3)
    array([1., 8.])
    """
    if fun is None:
        return lambda f: jit(f, static_argnums=static_argnums, static_argnames=static_argnames)
    check_callable(fun, "jit")
    recorded = _Recorded(fun, _Static(fun, static_argnums, static_argnames))
    name = getattr(fun, "__name__", type(fun).__name__)

    @wraps(fun, updated=())
    @boundary
    def jit_fun(*args: Any, **kwargs: Any) -> Any:
        return recorded.call(CALL, args, kwargs, name=name)

    return jit_fun


def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    policy: Callable[..., bool] | None = None,
    static_argnums: int | Sequence[int] = (),
    prevent_cse: bool = True,
    concrete: bool = False,
) -> Callable[..., Any]:
    """A function that keeps only its inputs for the reverse pass, and computes the rest again.

    Args:
        fun: a pure function of pytrees of arrays; recorded as by `jit`.
        policy: `policy(primitive, **params) -> bool`, whether the results of an operation may be kept as well; see
            `checkpoint_policies`.
        static_argnums: arguments that are passed on as they are.
        prevent_cse, concrete: accepted for JAX's sake.

    >>> from funcgrad import grad
    >>> float(grad(lambda x: np.sum(checkpoint(np.sin)(x)))(np.array([0.0]))[0])
    1.0
    """
    if fun is None:
        return lambda f: checkpoint(f, policy=policy, static_argnums=static_argnums)
    check_callable(fun, "checkpoint")
    recorded = _Recorded(fun, _Static(fun, static_argnums, ()))

    @wraps(fun, updated=())
    @boundary
    def checkpoint_fun(*args: Any, **kwargs: Any) -> Any:
        return recorded.call(CHECKPOINT, args, kwargs, policy=policy)

    return checkpoint_fun


remat = checkpoint
