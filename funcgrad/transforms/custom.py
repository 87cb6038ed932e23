"""Functions with derivatives of their own: `custom_jvp`, `custom_vjp`, `custom_gradient`.

Such a call is one operation to every transformation. A forward rule serves reverse mode too: it is linear in the
tangents, so recording it at zero tangents and walking back gives its transpose.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import Tracer
from funcgrad.ops.rules import declare
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.vjp import record_function, zero_like
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, aval_of, float0, is_inexact, shape_of

__all__ = ["Rules", "custom_gradient", "custom_jvp", "custom_vjp"]

Fun = Callable[..., Any]


class Rules:
    """A flat function with derivative rules: all take and return flat lists of leaves.

    Attributes:
        fun: `fun(*primals) -> outputs`.
        jvp: `jvp(primals, tangents) -> (outputs, output tangents)`; None if there is none.
        forward: `forward(*primals) -> (outputs, residuals)`; None if there is none.
        backward: `backward(residuals, cotangents) -> cotangents of the primals`.
    """

    __slots__ = ("__name__", "backward", "forward", "fun", "jvp")

    def __init__(self, name: str, fun: Fun, jvp: Fun | None, forward: Fun | None, backward: Fun | None) -> None:
        self.__name__, self.fun, self.jvp, self.forward, self.backward = name, fun, jvp, forward, backward


def _impl(*args: Any, rules: Rules) -> tuple[Any, ...]:
    return tuple(rules.fun(*args))


def _abstract(*avals: ShapedArray, rules: Rules) -> tuple[ShapedArray, ...]:
    return tuple(trace_to_program(lambda *xs: list(rules.fun(*xs)), avals).out_avals)


def _push(primals: Sequence[Any], tangents: Sequence[Any], rules: Rules) -> tuple[Any, Any]:
    if rules.jvp is None:
        raise TypeError(
            f"{rules.__name__} has a custom_vjp rule, so it has no derivative in forward mode (jvp, jacfwd)"
        )
    filled = [zero_like(x) if t is None else t for x, t in zip(primals, tangents, strict=True)]
    outs, douts = rules.jvp(primals, filled)
    return tuple(outs), [d if is_inexact(o) else None for o, d in zip(outs, douts, strict=True)]


def _jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], rules: Rules) -> Any:
    return _push(ins, tangents, rules)[1]


def _forward(ins: Sequence[Any], wanted: Sequence[bool], rules: Rules) -> tuple[Any, Any]:
    if rules.forward is not None:
        outs, residuals = rules.forward(*ins)
        return tuple(outs), tuple(residuals)
    zeros = [zero_like(x) for x, w in zip(ins, wanted, strict=True) if w]

    def along(*moving: Any) -> Any:
        rest = iter(moving)
        outs, douts = _push(ins, [next(rest) if w else None for w in wanted], rules)
        return [*outs, *(d for o, d in zip(outs, douts, strict=True) if is_inexact(o))]

    _, in_tree = tree.flatten(tuple(zeros))
    with record_function(along, zeros, in_tree, False) as recording:
        pass
    values = [recording.value(x) for x in recording.outputs]
    # The tangents, as many as there are floating outputs, come behind all outputs.
    n = next(i for i in range(len(values) + 1) if i + sum(map(is_inexact, values[:i])) == len(values))
    return tuple(values[:n]), (recording,)


def _backward(
    kept: Any, ct: Sequence[Any], out: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], rules: Rules
) -> list[Any]:
    if rules.backward is not None:
        cts = [zero_like(o) if c is None else c for c, o in zip(ct, out, strict=True)]
        return rules.backward(kept, cts)
    (recording,) = kept
    grads = iter(recording.pull([None] * len(out) + [c for c, o in zip(ct, out, strict=True) if is_inexact(o)]))
    return [next(grads) if w else None for w in wanted]


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, rules: Rules) -> Any:
    axes = tuple(0 if b else None for b in batched)
    mapped = Rules(rules.__name__, vmap(lambda *xs: list(rules.fun(*xs)), axes, axis_size=size), None, None, None)
    if rules.jvp is not None:
        jvp_rule: Any = rules.jvp
        in_axes = (list(axes), list(axes))
        mapped.jvp = _mapped_jvp(jvp_rule, in_axes, size)
    if rules.forward is not None and rules.backward is not None:
        mapped.forward, mapped.backward = _mapped_vjp(rules.forward, rules.backward, axes, size)
    return CUSTOM.bind(*args, rules=mapped)


def _mapped_jvp(rule: Fun, in_axes: Any, size: int) -> Fun:
    def mapped(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        return vmap(lambda p, t: rule(p, t), in_axes, axis_size=size)(list(primals), list(tangents))

    return mapped


def _mapped_vjp(forward: Fun, backward: Fun, axes: Sequence[Any], size: int) -> tuple[Fun, Fun]:
    def mapped_forward(*primals: Any) -> Any:
        return vmap(lambda *xs: tuple(map(list, forward(*xs))), tuple(axes), axis_size=size)(*primals)

    def mapped_backward(kept: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        none: list[bool] = []  # which cotangents are zero

        def one(k: Any, *given: Any) -> list[Any]:
            rest = iter(given)
            c = [np.zeros(shape_of(ct)[1:], float0) if z else next(rest) for ct, z in zip(cts, void, strict=True)]
            found = backward(k, c)
            none[:] = [g is None or getattr(g, "dtype", None) == float0 for g in found]
            return [g for g, n in zip(found, none, strict=True) if not n]

        void = [getattr(c, "dtype", None) == float0 for c in cts]
        moving = [c for c, z in zip(cts, void, strict=True) if not z]
        rest = iter(vmap(one, axis_size=size)(list(kept), *moving))
        grads = [None if n else next(rest) for n in none]
        # A primal that is the same for all examples gets the sum of their cotangents.
        return [g if g is None or a is not None else np.sum(g, axis=0) for g, a in zip(grads, axes, strict=True)]

    return mapped_forward, mapped_backward


CUSTOM = declare("custom_call", _impl, _abstract, multiple=True, jvp=_jvp)
"""A call of a function with rules of its own."""
CUSTOM.push, CUSTOM.forward, CUSTOM.backward, CUSTOM.batch = _push, _forward, _backward, _batch


# ------------------------------------------------------------------------------------------------ the decorators


class _Custom:
    """What `custom_jvp` and `custom_vjp` share: arguments in order, and those that are not differentiated."""

    def __init__(self, fun: Fun, nondiff_argnums: Sequence[int] = ()) -> None:
        check_callable(fun, type(self).__name__)
        self.fun = fun
        self.nondiff = tuple(nondiff_argnums)
        self.name = getattr(fun, "__name__", type(fun).__name__)
        wrapper: Any = self
        update_wrapper(wrapper, fun)

    def _arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], list[int]]:
        """All arguments by position, and which of them are differentiated."""
        if kwargs or self.nondiff:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            bound.apply_defaults()
            if bound.kwargs:
                raise TypeError(f"{self.name}: keyword-only arguments are not supported by {type(self).__name__}")
            args = bound.args
        fixed = {i % len(args) for i in self.nondiff}
        return list(args), [i for i in range(len(args)) if i not in fixed]

    def _call(self, args: list[Any], moving: list[int], make: Callable[..., Rules]) -> Any:
        leaves, in_tree = tree.flatten([args[i] for i in moving])
        for x in leaves:
            differentiable_leaf(x, "an argument", self.name)
        if not any(isinstance(x, Tracer) for x in leaves):
            return self.fun(*args)  # nothing to differentiate by: what is traced can only be closed over
        fixed = [i for i in range(len(args)) if i not in moving]
        rest, rest_tree = tree.flatten([args[i] for i in fixed])
        # Traced values among the arguments without derivative are operands too: rules may be run by another trace.
        traced = [i for i, x in enumerate(rest) if isinstance(x, Tracer)]
        n = len(leaves)
        leaves += [rest[i] for i in traced]
        out_tree: list[Any] = []

        def merge(xs: Sequence[Any]) -> list[Any]:
            given = list(args)
            others = list(rest)
            for i, x in zip(traced, xs[n:], strict=True):
                others[i] = x
            for places, values in ((moving, in_tree.unflatten(xs[:n])), (fixed, rest_tree.unflatten(others))):
                for i, x in zip(places, values, strict=True):
                    given[i] = x
            return given

        def flat(*xs: Any) -> list[Any]:
            outs, treedef = tree.flatten(self.fun(*merge(xs)))
            out_tree[:] = [treedef]
            return outs

        outs = CUSTOM.bind(*leaves, rules=make(flat, merge, in_tree, out_tree))
        return out_tree[0].unflatten(list(outs))


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

    def defjvp(self, rule: Fun, symbolic_zeros: bool = False) -> Fun:
        """Set the rule; returns it."""
        self.rule = rule
        return rule

    def defjvps(self, *rules: Fun | None) -> None:
        """Set one rule per argument, for a function of arrays."""

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            out = self(*primals)
            parts = [r(t, out, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            total = np.zeros(shape_of(out), aval_of(out).dtype)
            for part in parts:
                total = total + part
            return out, total

        self.rule = rule

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise AttributeError(f"{self.name}: no JVP rule; set one with @{self.name}.defjvp")
        given, moving = self._arguments(args, kwargs)
        return self._call(given, moving, lambda *parts: self._rules(given, moving, *parts))

    def _rules(self, args: Any, moving: list[int], flat: Fun, merge: Fun, in_tree: Any, out_tree: list[Any]) -> Rules:
        fixed = [i for i in range(len(args)) if i not in moving]
        n = in_tree.num_leaves
        rule: Any = self.rule

        def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            given = merge(primals)
            moved = tuple(in_tree.unflatten(tangents[:n]))
            result = rule(*(given[i] for i in fixed), tuple(given[i] for i in moving), moved)
            if not (isinstance(result, (tuple, list)) and len(result) == 2):
                raise TypeError(f"{self.name}: the JVP rule must return (output, output tangent)")
            outs, treedef = tree.flatten(result[0])
            out_tree[:] = [treedef]
            for fault in tree.mismatch("output tangent", _tangent_like(result[0]), result[1]):
                raise TypeError(f"{self.name}: the JVP rule's tangent does not match its output: {fault}")
            return outs, treedef.flatten_up_to(result[1])

        return Rules(self.name, flat, jvp, None, None)


def _tangent_like(out: Any) -> Any:
    """What the tangent of an output must look like."""
    return tree.map(lambda x: aval_of(x) if is_inexact(x) else ShapedArray(shape_of(x), float0), out)


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

    def defvjp(self, forward: Fun, backward: Fun, symbolic_zeros: bool = False, optimize_remat: bool = False) -> None:
        """Set the rules."""
        self.forward, self.backward = forward, backward

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.forward is None:
            raise AttributeError(f"{self.name}: no VJP rule; set one with {self.name}.defvjp(forward, backward)")
        given, moving = self._arguments(args, kwargs)
        return self._call(given, moving, lambda *parts: self._rules(given, moving, *parts))

    def _rules(self, args: Any, moving: list[int], flat: Fun, merge: Fun, in_tree: Any, out_tree: list[Any]) -> Rules:
        fixed = [i for i in range(len(args)) if i not in moving]
        shapes = [shape_of(x) for x in tree.leaves([args[i] for i in moving])]
        n = len(shapes)
        forward_rule: Any = self.forward
        backward_rule: Any = self.backward
        kept_tree: list[Any] = []

        def forward(*xs: Any) -> tuple[list[Any], list[Any]]:
            result = forward_rule(*merge(xs))
            if not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError(f"{self.name}: the forward rule must return (output, residuals)")
            outs, treedef = tree.flatten(result[0])
            kept, kept_def = tree.flatten(result[1])
            out_tree[:], kept_tree[:] = [treedef], [kept_def]
            return outs, [*kept, *xs[n:]]

        def backward(kept: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
            m = kept_tree[0].num_leaves
            given = merge([*[None] * n, *kept[m:]])  # the differentiated ones are not looked at
            residuals = kept_tree[0].unflatten(list(kept[:m]))
            grads = backward_rule(*(given[i] for i in fixed), residuals, out_tree[0].unflatten(list(cts)))
            return [*_flat_cotangents(self.name, in_tree, shapes, grads), *[None] * (len(kept) - m)]

        return Rules(self.name, flat, None, forward, backward)


def _flat_cotangents(name: str, in_tree: Any, shapes: Sequence[tuple[int, ...]], grads: Any) -> list[Any]:
    """The leaves of what a backward rule returned; None stands for zeros of a whole argument."""
    n = len(in_tree.children())
    if not isinstance(grads, (tuple, list)) or len(grads) != n:
        found = f"{len(grads)}" if isinstance(grads, (tuple, list)) else f"a {type(grads).__name__}"
        raise TypeError(
            f"{name}: the backward rule must return a tuple of {n} cotangents, one per argument; got {found}"
        )
    out: list[Any] = []
    for i, (child, g) in enumerate(zip(in_tree.children(), grads, strict=True)):
        if g is None:
            out.extend([None] * child.num_leaves)
            continue
        try:
            out.extend(child.flatten_up_to(g))
        except (ValueError, TypeError) as error:
            raise TypeError(f"{name}: cotangent {i} of the backward rule does not fit its argument: {error}") from None
    for g, shape in zip(out, shapes, strict=True):
        if g is None or getattr(g, "dtype", None) == float0:
            continue
        differentiable_leaf(g, "a cotangent of the backward rule", name)
        if shape_of(g) not in (shape, ()):
            raise TypeError(
                f"{name}: the backward rule returned a cotangent of shape {shape_of(g)} for an argument of {shape}"
            )
    return out


def custom_gradient(fun: Fun) -> Fun:
    """A function from one that returns its value together with its pullback.

    `fun(*args) -> (output, pullback)`, where `pullback(ct)` gives the cotangents of the arguments (a tuple of them for
    more than one).

    >>> from funcgrad import grad
    >>> f = custom_gradient(lambda x: (x**2, lambda ct: 10.0 * ct))
    >>> float(grad(f)(3.0))
    10.0
    """

    def value(*args: Any) -> Any:
        return fun(*args)[0]

    update_wrapper(value, fun)
    wrapped = custom_vjp(value)

    def forward(*args: Any) -> tuple[Any, Any]:
        return fun(*args)[0], args

    def backward(args: Any, ct: Any) -> tuple[Any, ...]:
        grads = fun(*args)[1](ct)
        return tuple(grads) if isinstance(grads, (tuple, list)) else (grads,)

    wrapped.defvjp(forward, backward)
    return wrapped
