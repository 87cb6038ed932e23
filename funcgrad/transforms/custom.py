"""Functions with derivatives of their own: `custom_jvp`, `custom_vjp`, `custom_gradient`.

A call of one is the operation of `custom_call.py`. Its operands are the leaves of the arguments, and behind them the
traced values that stand among the arguments without derivative, or in closures: the rules may be run by another trace,
or when this one is gone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from operator import is_
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import own_arguments, settle_all
from funcgrad.capture import own_leaves, to_read
from funcgrad.core import Tracer
from funcgrad.errors import ConcretizationTypeError, UnexpectedTracerError
from funcgrad.ops.shape import CONVERT
from funcgrad.record import Record
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf, own_result
from funcgrad.transforms.closure import Discovery, Substitution, hands_on, held_by, scope_of
from funcgrad.transforms.custom_call import CUSTOM, Rules, closed_over, flat_cotangents
from funcgrad.transforms.symbolic import CustomVJPPrimal, SymbolicZero, tangent_aval
from funcgrad.transforms.transformed import name_of
from funcgrad.types import ShapedArray, aval_of, float0, shape_of

__all__ = ["custom_gradient", "custom_jvp", "custom_vjp"]

Fun = Callable[..., Any]


class _Result:
    """The structure, shapes and dtypes of a function's result, to which those of its rule must be equal.

    Where the function has not been run (a gradient is taken at once), the rule alone says what they are.
    """

    __slots__ = ("avals", "name", "treedef")

    def __init__(self, name: str) -> None:
        self.name = name
        self.treedef: Any = None
        self.avals: list[ShapedArray] | None = None

    def of_function(self, result: Any) -> list[Any]:
        """Note the result of the function; returns its leaves."""
        given, self.treedef = tree.flatten(result)
        leaves = settle_all(given)
        for x in leaves:
            differentiable_leaf(x, "an output", self.name)
        self.avals = [aval_of(x) for x in leaves]
        return leaves

    def of_rule(self, result: Any, rule: str) -> list[Any]:
        """Check the result of a rule; returns its leaves."""
        given, treedef = tree.flatten(result)
        leaves = settle_all(given)
        for x in leaves:
            differentiable_leaf(x, f"an output of the {rule} rule", self.name)
        if self.avals is not None:
            want = self.treedef.unflatten(self.avals)
            leaves = [_strong(x, a) for x, a in zip(leaves, self.avals, strict=False)] + leaves[len(self.avals) :]
            got = treedef.unflatten([ShapedArray(shape_of(x), aval_of(x).dtype) for x in leaves])
            faults = [] if treedef == self.treedef else [f"output: expected {self.treedef}, got {treedef}"]
            faults = tree.mismatch("output", want, got) or faults
            if faults:
                raise TypeError(
                    f"{self.name}: the {rule} rule must return the output of the function, in structure, shapes and "
                    "dtypes:\n  " + "\n  ".join(faults)
                )
        self.treedef = treedef
        return leaves


def _strong(x: Any, aval: ShapedArray) -> Any:
    """A Python scalar as an array of the expected dtype; any other value as it is."""
    have = aval_of(x)
    if have.weak and not aval.weak and have.dtype != aval.dtype and np.can_cast(have.dtype, aval.dtype, "same_kind"):
        return CONVERT.bind(x, dtype=aval.dtype)
    return x


# ------------------------------------------------------------------------------------------------------ the call


class _Call:
    """One call of a function with rules, flat.

    Attributes:
        given: all arguments.
        moving, fixed: positions of those that are differentiated by, and of the others.
        leaves, in_tree: the first, flat.
        traced: tracers among the leaves of the others.
        scope, interpreter: the traces whose values the function cannot keep, and that which interprets the call.
        closed: tracers that the function closes over.
        held: tracers in the closures of rules alone.
    """

    def __init__(self, custom: _Custom, given: list[Any], moving: list[int]) -> None:
        self.custom, self.given, self.moving = custom, given, moving
        self.fixed = [i for i in range(len(given)) if i not in moving]
        self.leaves, self.in_tree = tree.flatten([given[i] for i in moving])
        self.rest, self.rest_tree = tree.flatten([given[i] for i in self.fixed])
        self.places = [i for i, x in enumerate(self.rest) if isinstance(x, Tracer)]
        self.traced = [self.rest[i] for i in self.places]
        self.closed: list[Any] = []
        self.held: list[Any] = []
        self.result = _Result(custom.name)
        self.avals: tuple[ShapedArray, ...] | None = None
        self.scope, self.interpreter = scope_of(CUSTOM, [*self.leaves, *self.traced])

    @property
    def operands(self) -> list[Any]:
        return [*self.leaves, *self.traced, *self.closed, *self.held]

    def merge(self, leaves: Sequence[Any], traced: Sequence[Any]) -> list[Any]:
        """All arguments, with these leaves in their places."""
        if not traced and len(leaves) == len(self.given) and all(map(is_, self.leaves, self.given)):
            return list(leaves)
        given, rest = list(self.given), list(self.rest)
        for i, x in zip(self.places, traced, strict=True):
            rest[i] = x
        for places, values in (
            (self.moving, self.in_tree.unflatten(leaves)),
            (self.fixed, self.rest_tree.unflatten(rest)),
        ):
            for i, x in zip(places, values, strict=True):
                given[i] = x
        return given

    def run(self, fun: Fun, xs: Sequence[Any]) -> Any:
        """`fun(arguments)` with flat operands in their places; `fun` may close over what some of them stand for."""
        n, m = len(self.leaves), len(self.leaves) + len(self.traced)
        given = self.merge(own_arguments(xs[:n]), own_arguments(xs[n:m]))
        away = [*self.closed, *self.held]
        return Substitution(away, xs[m:]).run(fun, given) if away else fun(given)

    def flat(self, *xs: Any) -> list[Any]:
        """The function of flat operands."""
        return own_leaves(self.result.of_function(self.run(lambda given: self.custom.fun(*given), xs)), inside=True)

    def rules(self) -> Rules:
        custom, start = self.custom, len(self.leaves) + len(self.traced)
        rules = Rules(custom.name, self.flat, custom.symbolic_zeros, slice(start, start + len(self.closed)), custom)
        if self.avals is not None:
            rules.avals[tuple(map(aval_of, self.operands))] = self.avals
        self.custom.set_rules(self, rules)
        return rules

    def bind(self) -> Any:
        """Call it under the current trace."""
        self._look_ahead()
        try:
            outs = CUSTOM.bind(*self.operands, rules=self.rules())
        except UnexpectedTracerError as error:
            if self.closed:
                raise
            self.recover(error)
            outs = CUSTOM.bind(*self.operands, rules=self.rules())
        return self.result.treedef.unflatten(list(outs))

    @property
    def functions(self) -> list[Fun]:
        return [self.custom.fun, *self.custom.rule_functions()]

    def _look_ahead(self) -> None:
        """Find what the function closes over, where it would be missed too late or is there to be seen."""
        at = self.interpreter
        if isinstance(at, Record) and at.abstract:
            self.look_into()
        elif at is not None and hands_on(at) and held_by(self.functions, self.scope):
            try:
                self.look_into()
            except ConcretizationTypeError as error:
                at.forgive(error)
                return  # the function needs values, and has them when it runs

    def look_into(self) -> None:
        """Record the function, to see what it and its rules close over; raises if that is differentiated by here."""
        discovery = Discovery(self.scope)
        values, n = [*self.leaves, *self.traced], len(self.leaves)
        if isinstance(self.interpreter, Record) and self.interpreter.abstract:
            values = [aval_of(x) for x in values]

        def flat(*xs: Any) -> Any:
            result = self.custom.fun(*self.merge(xs[:n], xs[n:]))
            self.result.of_function(tree.map(discovery.own, result))
            return result

        self.avals = tuple(discovery.run(flat, values))
        self.closed = list(discovery.found)
        known = {id(t) for t in self.closed}
        # The function does not depend on what only the rules close over.
        held = held_by(self.custom.rule_functions(), self.scope)
        self.held = [t for t in held if id(t) not in known and hands_on(t.owner)]
        taken = [t for t in self.closed if not hands_on(t.owner) and t.owner is self.interpreter]
        if taken:
            raise closed_over(self.custom.name, taken)

    def recover(self, error: UnexpectedTracerError) -> None:
        """After a value that is closed over was missed: find it, or say what it is."""
        try:
            self.look_into()
        except UnexpectedTracerError:
            raise
        except Exception:  # what failed first says more
            raise error from None
        if not self.closed:
            found = held_by(self.functions, self.scope)
            raise closed_over(self.custom.name, found) if found else error


# ------------------------------------------------------------------------------------------------ the decorators


class _Custom:
    """What `custom_jvp` and `custom_vjp` share: arguments in order, and those that are not differentiated."""

    symbolic_zeros = False
    made: Any = None  # how to make it again, where its functions are not the user's

    def __init__(
        self, fun: Fun, nondiff_argnums: Sequence[int] = (), nondiff_argnames: str | Sequence[str] = ()
    ) -> None:
        check_callable(fun, type(self).__name__)
        self.fun = fun
        self.name = getattr(fun, "__name__", type(fun).__name__)
        names = (nondiff_argnames,) if isinstance(nondiff_argnames, str) else tuple(nondiff_argnames)
        self.nondiff = tuple(nondiff_argnums)
        self.positional = _positional(fun)
        if names:
            parameters = list(inspect.signature(fun).parameters)
            unknown = [n for n in names if n not in parameters]
            if unknown:
                raise ValueError(f"{self.name}: nondiff_argnames has {unknown[0]!r}; the arguments are {parameters}")
            self.nondiff += tuple(parameters.index(n) for n in names)
        wrapper: Any = self
        update_wrapper(wrapper, fun)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return name_of(self) or self.made or super().__reduce_ex__(protocol)

    def rule_functions(self) -> list[Fun]:
        """The rules, as they were given."""
        raise NotImplementedError

    def set_rules(self, call: _Call, rules: Rules) -> None:
        """Make flat rules for a call."""
        raise NotImplementedError

    def _arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], list[int]]:
        """All arguments by position, and which of them are differentiated."""
        if kwargs or self.nondiff or len(args) < self.positional:  # the rules get what the function gets
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            bound.apply_defaults()
            if bound.kwargs:
                raise TypeError(f"{self.name}: keyword-only arguments are not supported by {type(self).__name__}")
            args = bound.args
        fixed = {i % len(args) for i in self.nondiff}
        return list(args), [i for i in range(len(args)) if i not in fixed]

    def _call(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        given, moving = self._arguments(args, kwargs)
        call = _Call(self, given, moving)
        for x in call.leaves:
            differentiable_leaf(x, "an argument", self.name)
        if not any(isinstance(x, Tracer) for x in call.leaves):
            return own_result([self.fun(*call.merge(own_arguments(call.leaves), call.traced))])  # no derivative
        return call.bind()


def _positional(fun: Fun) -> int:
    """How many arguments a function takes by position, those with defaults included; 0 if its signature is unknown."""
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return 0
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


class custom_jvp(_Custom):
    """A function with a forward-mode rule of its own, which serves every mode.

    `defjvp(rule)` sets `rule(primals, tangents) -> (output, output tangent)`, linear in the tangents; with
    `nondiff_argnums` those arguments come first. `defjvps(*rules)` sets one `rule(tangent, output, *primals)` per
    argument, or None for an argument without a derivative.

    >>> from funcgrad import grad
    >>> @custom_jvp
    ... def f(x):
    ...     return np.log1p(np.exp(x))
    >>> @f.defjvp
    ... def f_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return f(x), t / (1 + np.exp(-x))
    >>> float(grad(f)(0.0))
    0.5
    """

    rule: Fun | None = None

    @property
    def jvp(self) -> Fun | None:
        """The rule, by JAX's name."""
        return self.rule

    def defjvp(self, rule: Fun, symbolic_zeros: bool = False) -> Fun:
        """Set the rule; returns it.

        With `symbolic_zeros`, tangents of arguments that are not differentiated by are SymbolicZero objects, and the
        rule may return such for output tangents.
        """
        self.rule, self.symbolic_zeros = rule, symbolic_zeros
        return rule

    def defjvps(self, *rules: Fun | None) -> None:
        """Set one rule per argument, for a function of arrays."""
        if self.nondiff:
            raise TypeError(f"{self.name}: defjvps cannot be used with nondiff_argnums; use defjvp")

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            out = self(*primals)
            parts = [r(t, out, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            total = np.zeros(shape_of(out), aval_of(out).dtype)
            for part in parts:
                total = total + part
            return out, total

        self.defjvp(rule)

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise AttributeError(f"{self.name}: no JVP rule; set one with @{self.name}.defjvp")
        return self._call(args, kwargs)

    def rule_functions(self) -> list[Fun]:
        return [] if self.rule is None else [self.rule]

    def set_rules(self, call: _Call, rules: Rules) -> None:
        rule: Any = self.rule
        n = len(call.leaves)

        def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            moved = tuple(call.in_tree.unflatten(own_arguments(tangents[:n])))

            def both(given: Sequence[Any]) -> Any:
                return rule(*(given[i] for i in call.fixed), tuple(given[i] for i in call.moving), moved)

            result = call.run(both, primals)
            if not (isinstance(result, (tuple, list)) and len(result) == 2):
                raise TypeError(f"{self.name}: the JVP rule must return (output, output tangent)")
            outs = call.result.of_rule(result[0], "JVP")
            for x in tree.leaves(result[1]):
                if not isinstance(x, SymbolicZero) and getattr(x, "dtype", None) != float0:
                    differentiable_leaf(x, "an output tangent of the JVP rule", self.name)
            for fault in tree.mismatch("output tangent", tree.map(tangent_aval, result[0]), result[1]):
                raise TypeError(f"{self.name}: the JVP rule's tangent does not match its output: {fault}")
            moves = call.result.treedef.flatten_up_to(result[1])
            del result  # what nobody else holds need not be copied
            return own_leaves(outs, inside=True), own_leaves(moves, inside=True)

        rules.jvp = jvp


class custom_vjp(_Custom):
    """A function with a reverse-mode rule of its own.

    `defvjp(forward, backward)` sets `forward(*args) -> (output, residuals)` and
    `backward(residuals, ct) -> cotangents`, a tuple with one entry per differentiated argument (None for zero). With
    `nondiff_argnums` those arguments come first in `backward`.

    >>> from funcgrad import grad
    >>> @custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1.0, 1.0),))
    >>> float(grad(lambda x: 5.0 * clip_gradient(x))(2.0))
    1.0
    """

    forward: Fun | None = None
    backward: Fun | None = None

    @property
    def fwd(self) -> Fun | None:
        """The forward rule, by JAX's name."""
        return self.forward

    @property
    def bwd(self) -> Fun | None:
        """The backward rule, by JAX's name."""
        return self.backward

    def defvjp(self, forward: Fun, backward: Fun, symbolic_zeros: bool = False, optimize_remat: bool = False) -> None:
        """Set the rules.

        With `symbolic_zeros`, each leaf of the arguments of `forward` is an object with the attributes `value` and
        `perturbed` (whether it is differentiated by), and cotangents of outputs on which nothing depends, and of
        integers, are SymbolicZero objects; `backward` may return such.
        """
        self.forward, self.backward, self.symbolic_zeros = forward, backward, symbolic_zeros

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.forward is None:
            raise AttributeError(f"{self.name}: no VJP rule; set one with {self.name}.defvjp(forward, backward)")
        return self._call(args, kwargs)

    def rule_functions(self) -> list[Fun]:
        return [f for f in (self.forward, self.backward) if f is not None]

    def set_rules(self, call: _Call, rules: Rules) -> None:
        avals = [aval_of(x) for x in call.leaves]
        n = len(avals)
        forward_rule: Any = self.forward
        backward_rule: Any = self.backward
        kept_tree: list[Any] = []

        def forward(xs: Sequence[Any], wanted: Sequence[bool]) -> tuple[list[Any], list[Any]]:
            seen = list(xs)
            if self.symbolic_zeros:
                seen[:n] = [CustomVJPPrimal(to_read(x), bool(w)) for x, w in zip(xs[:n], wanted[:n], strict=True)]
            result = call.run(lambda given: forward_rule(*given), seen)
            if not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError(f"{self.name}: the forward rule must return (output, residuals)")
            outs = call.result.of_rule(result[0], "forward")
            kept, kept_def = tree.flatten(result[1])
            kept_tree[:] = [kept_def]
            del result  # what nobody else holds need not be copied
            return own_leaves(outs, inside=True), [*settle_all(own_leaves(kept, inside=True)), *xs[n:]]

        def backward(kept: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
            m = kept_tree[0].num_leaves
            residuals = kept_tree[0].unflatten(own_arguments(kept[:m]))
            ct = call.result.treedef.unflatten(own_arguments(cts))

            def pull(given: Sequence[Any]) -> Any:
                return backward_rule(*(given[i] for i in call.fixed), residuals, ct)

            try:
                grads = call.run(pull, [*[None] * n, *kept[m:]])  # those differentiated by are not looked at
            except UnexpectedTracerError:
                found = held_by(self.rule_functions(), call.scope)
                if found:
                    raise closed_over(self.name, found) from None
                raise
            found = flat_cotangents(self.name, call.in_tree, avals, grads)
            del grads
            return [*own_leaves(found, inside=True), *[None] * (len(kept) - m)]

        rules.forward, rules.backward = forward, backward


def custom_gradient(fun: Fun) -> Fun:
    """A function from one that returns its value together with its pullback.

    `fun(*args) -> (output, pullback)`, where `pullback(ct)` gives the cotangents of the arguments (a tuple of them for
    more than one). `fun` is run once more for each backward pass, at the same arguments: only these are kept until
    then, and what the pullback closes over is computed again. A `custom_vjp` says itself what to keep.

    >>> from funcgrad import grad
    >>> f = custom_gradient(lambda x: (x**2, lambda ct: 10.0 * ct))
    >>> float(grad(f)(3.0))
    10.0
    """

    def value(*args: Any) -> Any:
        return fun(*args)[0]

    update_wrapper(value, fun)
    wrapped = custom_vjp(value)
    wrapped.positional = 0  # its pullback knows how many arguments it was given

    def forward(*args: Any) -> tuple[Any, Any]:
        return fun(*args)[0], args

    def backward(args: Any, ct: Any) -> tuple[Any, ...]:
        grads = fun(*args)[1](ct)
        return tuple(grads) if isinstance(grads, (tuple, list)) else (grads,)

    wrapped.defvjp(forward, backward)
    wrapped.made = custom_gradient, (fun,)
    return wrapped
