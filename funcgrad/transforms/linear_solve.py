"""Solutions of linear equations, with derivatives that do not look into how they were found.

`custom_linear_solve` gives x with A x = b. Then dx = A⁻¹ (db − dA x), and with w = A⁻ᵀ g the cotangent of b is w, that
of A is −w xᵀ: derivatives are solutions of the same kind. (Giles, "An extended collection of matrix derivative results
for forward and reverse mode algorithmic differentiation", 2008.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import Primitive, current_trace, under
from funcgrad.errors import ArgumentError
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.ops.shape import CONVERT
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf, split_aux
from funcgrad.transforms.call import batch_program, cached, close, record_program
from funcgrad.transforms.closure import Discovery, enclosing
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.pullback import vjp
from funcgrad.transforms.vjp import zero_like
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, aval_of, dtype_of, is_weak, shape_of

__all__ = ["LINEAR_SOLVE", "Space", "System", "custom_linear_solve", "pulled", "pushed", "solver_alone", "transposed"]


class Space:
    """The pytrees that are like a given one, and functions on them.

    Attributes:
        name: of the operation, for its errors.
        leaves: those of the given tree, as arrays.
        avals: their abstract values.
    """

    __slots__ = ("_treedef", "avals", "leaves", "name")

    def __init__(self, like: Any, name: str, what: str) -> None:
        paths, self._treedef = tree.flatten_with_path(like)
        for path, x in paths:
            differentiable_leaf(x, f"{what}{tree.keystr(path)}", name)
        self.name = name
        self.leaves = [_strong(x, aval_of(x).dtype) for _, x in paths]
        self.avals = [ShapedArray(shape_of(x), dtype_of(x)) for x in self.leaves]

    @property
    def value(self) -> Any:
        """The given tree."""
        return self._treedef.unflatten(self.leaves)

    def _flat(self, x: Any, name: str, convert: Callable[[Any, Any], Any]) -> tuple[list[Any], list[str]]:
        """The leaves of a member, converted, and what keeps it from being one."""
        leaves, treedef = tree.flatten(x)
        if treedef == self._treedef:
            leaves = [convert(v, a.dtype) for v, a in zip(leaves, self.avals, strict=True)]
            x = treedef.unflatten(leaves)
        return leaves, tree.mismatch(name, self._treedef.unflatten(self.avals), x)

    def result(self, out: Any, what: str, has_aux: bool = False) -> tuple[list[Any], Any]:
        """The leaves of what a function returned, which must be like its argument, and its auxiliary data."""
        aux = None
        if has_aux:
            out, aux = split_aux(out)
        leaves, faults = self._flat(out, "result", _strong)
        if faults:
            raise ArgumentError(f"{self.name}: {what} must return what is like its argument:\n  " + "\n  ".join(faults))
        return leaves, aux

    def solution(self, solve: Callable[..., Any], fun: Callable[[Any], Any], what: str, has_aux: bool) -> Any:
        """What a solver makes of a function and the given tree, where nothing is traced.

        The function must map members to members; what it does to other arguments does not matter. If the solver does
        not call it with one, it is called to see that.
        """
        seen: list[bool] = []

        def checking(x: Any) -> Any:
            out = fun(x)
            if not self._flat(x, "", _cast)[1]:
                self.result(out, what)
                seen.append(True)
            return out

        out = self.solved(solve(checking, self.value), has_aux)
        if not seen:
            checking(self.value)
        return out

    def record(
        self, fun: Callable[..., Any], what: str, arity: int = 1, has_aux: bool = False
    ) -> tuple[Program, list[Any], Any]:
        """The program of a function of members; its first inputs are what the function closes over, which comes second.
        The tree of the auxiliary data is last."""
        aux_tree: list[Any] = [None]
        flat = self._flattened(fun, what, has_aux, aux_tree)
        return *close(trace_to_program(flat, self.avals * arity)), aux_tree[0]

    def solver(
        self, fun: Callable[..., Any], what: str, arity: int = 1, has_aux: bool = False
    ) -> tuple[Program, list[Any], Any]:
        """The same for a function that is not to be differentiated: what it computes of the values that it closes over
        alone, which the traces around would follow, is recorded as well."""
        aux_tree: list[Any] = [None]
        flat = self._flattened(fun, what, has_aux, aux_tree)
        record = Discovery(enclosing())
        try:
            inputs = [record.input(a) for a in self.avals * arity]
            with under(record):
                outputs = flat(*inputs)
            for x in outputs:
                differentiable_leaf(x, f"a result of {what}", self.name)
            outputs = [record.own(x) for x in outputs]
            held = list(record.found)
            program, arrays = close(record.program([*map(record.own, held), *inputs], outputs))
        finally:
            record.close()
        return program, [*arrays, *held], aux_tree[0]

    def _flattened(
        self, fun: Callable[..., Any], what: str, has_aux: bool, aux_tree: list[Any]
    ) -> Callable[..., list[Any]]:
        n = len(self.avals)

        def flat(*xs: Any) -> list[Any]:
            members = [self._treedef.unflatten(xs[i : i + n]) for i in range(0, len(xs), n)]
            leaves, aux = self.result(fun(*members), what, has_aux)
            rest, aux_tree[0] = tree.flatten(aux)
            return [*leaves, *rest]

        return flat

    def function(self, program: Program, consts: Sequence[Any], what: str) -> Callable[[Any], Any]:
        """The function of a member that a program with constants is."""

        def fun(x: Any) -> Any:
            leaves, faults = self._flat(x, "argument", _cast)
            if faults:
                raise ArgumentError(f"{self.name}: {what} takes what is like the solution:\n  " + "\n  ".join(faults))
            return self._treedef.unflatten(eval_program(program, [*consts, *leaves]))

        return fun

    def unflatten(self, leaves: Sequence[Any], aux_tree: Any, has_aux: bool) -> Any:
        """A member, and with `has_aux` the auxiliary data whose leaves are behind its own."""
        n = len(self.avals)
        x = self._treedef.unflatten(list(leaves[:n]))
        return (x, aux_tree.unflatten(list(leaves[n:]))) if has_aux else x

    def solved(self, out: Any, has_aux: bool) -> Any:
        """What a solver returned that was simply run, checked."""
        leaves, aux = self.result(out, "solve", has_aux)
        x = self._treedef.unflatten(leaves)
        return (x, aux) if has_aux else x


def _strong(x: Any, dtype: np.dtype[Any]) -> Any:
    """A Python scalar as an array of the dtype, if it can be; any other value as it is."""
    return _cast(x, dtype) if is_weak(x) else x


def _cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """A value as an array of the dtype, if it can be."""
    have = aval_of(x)
    if (have.weak or have.dtype != dtype) and np.can_cast(have.dtype, dtype, "same_kind"):
        return CONVERT.bind(x, dtype=dtype)
    return x


def pushed(program: Program, consts: Sequence[Any], tangents: Sequence[Any], xs: Sequence[Any]) -> list[Any] | None:
    """The tangents of a program's results by its first inputs; None if these have no tangent."""
    chosen = [i for i, t in enumerate(tangents) if t is not None]
    if not chosen:
        return None
    primals = tuple(consts[i] for i in chosen)
    return jvp(_by(program, consts, chosen, xs), primals, tuple(tangents[i] for i in chosen))[1]


def pulled(
    program: Program, consts: Sequence[Any], wanted: Sequence[bool], xs: Sequence[Any], cts: Sequence[Any]
) -> list[Any]:
    """The cotangents of the wanted first inputs of a program; None for the others."""
    chosen = [i for i, w in enumerate(wanted) if w]
    if not chosen:
        return [None] * len(wanted)
    grads = iter(vjp(_by(program, consts, chosen, xs), *(consts[i] for i in chosen))[1](list(cts)))
    return [next(grads) if w else None for w in wanted]


def _by(program: Program, consts: Sequence[Any], chosen: Sequence[int], xs: Sequence[Any]) -> Callable[..., Any]:
    """The results of a program as a function of some of its first inputs."""

    def fun(*values: Any) -> list[Any]:
        new = list(consts)
        for i, v in zip(chosen, values, strict=True):
            new[i] = v
        return eval_program(program, [*new, *xs])

    return fun


def transposed(program: Program, constants: int) -> Program:
    """g ↦ Aᵀ g, from x ↦ A x and the same constants."""

    def make() -> Program:
        def flat(*xs: Any) -> list[Any]:
            consts, g = xs[:constants], xs[constants:]
            return list(vjp(lambda *v: eval_program(program, [*consts, *v]), *map(zero_like, g))[1](list(g)))

        return record_program([*program.in_avals[:constants], *program.out_avals], flat)

    return cached(program, ("transposed", constants), make)


# -------------------------------------------------------------------------------------------------- the primitive


class System(NamedTuple):
    """The programs of a linear equation; the first inputs of each are its constants.

    Attributes:
        matvec, vecmat: x ↦ A x, and g ↦ Aᵀ g with the constants of `matvec`.
        solve, transpose_solve: b ↦ A⁻¹ b (and auxiliary results), g ↦ A⁻ᵀ g.
        counts: how many constants the product and the solvers have.

    `vecmat` and `transpose_solve` are missing if nobody can solve for Aᵀ.
    """

    matvec: Program
    vecmat: Program | None
    solve: Program
    transpose_solve: Program | None
    counts: tuple[int, int, int]

    def split(self, xs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Constants of the product, of the solver, of the transposed solver; and the right-hand side."""
        a, b, c = self.counts
        return list(xs[:a]), list(xs[a : a + b]), list(xs[a + b : a + b + c]), list(xs[a + b + c :])

    def turned(self) -> System:
        """The system of Aᵀ; the constants of the solvers change places."""
        if self.vecmat is None or self.transpose_solve is None:
            raise TypeError("custom_linear_solve: give transpose_solve (or symmetric=True) for reverse mode")
        a, b, c = self.counts
        return System(self.vecmat, self.matvec, self.transpose_solve, self.solve, (a, c, b))


def _impl(*args: Any, system: System) -> tuple[Any, ...]:
    _, of_solve, _, b = system.split(args)
    return tuple(eval_program(system.solve, [*of_solve, *b]))


def _abstract(*avals: ShapedArray, system: System) -> tuple[ShapedArray, ...]:
    return tuple(system.solve.out_avals)


def _push(primals: Sequence[Any], tangents: Sequence[Any], system: System) -> Any:
    """A dx = db − dA x."""
    out = LINEAR_SOLVE.bind(*primals, system=system)
    of_matvec, of_solve, of_transpose, b = system.split(primals)
    moving, _, _, db = system.split(tangents)
    n = len(b)
    dax = pushed(system.matvec, of_matvec, moving, out[:n])
    if dax is None and all(t is None for t in db):
        return tuple(out), [None] * len(out)
    rhs = [zero_like(v) if t is None else t for v, t in zip(b, db, strict=True)]
    if dax is not None:
        rhs = [r - d for r, d in zip(rhs, dax, strict=True)]
    dx = LINEAR_SOLVE.bind(*of_matvec, *of_solve, *of_transpose, *rhs, system=system)[:n]
    return tuple(out), [*dx, *[None] * (len(out) - n)]


def _vjp(ct: Sequence[Any], out: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], system: System) -> Any:
    """w = A⁻ᵀ g is the cotangent of b; that of A's constants is theirs in −⟨w, A x⟩."""
    of_matvec, of_solve, of_transpose, b = system.split(ins)
    by_matvec, _, _, by_b = system.split(wanted)
    n = len(b)
    if not (any(by_matvec) or any(by_b)) or all(c is None for c in ct[:n]):
        return [None] * len(ins)
    x = list(out[:n])
    g = [zero_like(v) if c is None else c for c, v in zip(ct[:n], x, strict=True)]
    w = LINEAR_SOLVE.bind(*of_matvec, *of_transpose, *of_solve, *g, system=system.turned())[:n]
    cts = pulled(system.matvec, of_matvec, by_matvec, x, [-v for v in w])
    unmoved = [None] * (len(of_solve) + len(of_transpose))
    return [*cts, *unmoved, *(v if k else None for v, k in zip(w, by_b, strict=True))]


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, system: System) -> Any:
    of_matvec, of_solve, of_transpose, of_b = system.split(batched)
    every = [True] * len(of_b)

    def over(program: Program, flags: Sequence[bool]) -> Program:
        return batch_program(program, (*flags, *every), size, axis_name)

    new = System(
        over(system.matvec, of_matvec),
        None if system.vecmat is None else over(system.vecmat, of_matvec),
        over(system.solve, of_solve),
        None if system.transpose_solve is None else over(system.transpose_solve, of_transpose),
        system.counts,
    )
    *consts, b = system.split(args)
    b = [x if f else vmap(lambda x=x: x, axis_size=size)() for x, f in zip(b, of_b, strict=True)]
    return LINEAR_SOLVE.bind(*(x for group in consts for x in group), *b, system=new)


def solver_alone(impl: Callable[..., Any], params: dict[str, Any]) -> Callable[[Sequence[ShapedArray]], Program]:
    """What is left of an equation when all derivatives have been taken: its solver, as `Primitive.called` wants it."""
    return lambda avals: trace_to_program(lambda *xs: list(impl(*xs, **params)), avals)


LINEAR_SOLVE: Primitive = declare(
    "custom_linear_solve",
    _impl,
    _abstract,
    multiple=True,
    nested=True,
    vjp=_vjp,
    batch=_batch,
    called=partial(solver_alone, _impl),
)
"""The solution of a linear equation (and auxiliary results); the operands are the constants and the right-hand side."""
LINEAR_SOLVE.push = _push
LINEAR_SOLVE.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]


@boundary
def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[..., Any],
    transpose_solve: Callable[..., Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """The x with `matvec(x) = b`, found by `solve`, with derivatives that are solutions of linear equations themselves.

    Where nothing is traced, this is `solve(matvec, b)`.

    Args:
        matvec: a linear function of a pytree like `b`; what it closes over takes derivatives.
        b: the right-hand side.
        solve: `solve(matvec, b) -> x`; it is not differentiated, and may be any loop.
        transpose_solve: `transpose_solve(vecmat, g) -> w` with `vecmat(w) = g`; needed for reverse mode.
        symmetric: whether `matvec` is its own transpose; then `transpose_solve` is `solve` unless given.
        has_aux: `solve` and `transpose_solve` return (solution, auxiliary data).

    Raises TypeError where a function does not return what is like its argument.

    >>> from funcgrad import grad
    >>> A = np.array([[2.0, 1.0], [0.0, 4.0]])
    >>> def first(A, b):
    ...     solve = lambda matvec, b: np.linalg.solve(A, b)
    ...     return custom_linear_solve(lambda x: A @ x, b, solve, lambda vecmat, g: np.linalg.solve(A.T, g))[0]
    >>> grad(first, 1)(A, np.array([3.0, 4.0]))
    array([ 0.5  , -0.125])
    """
    name = "custom_linear_solve"
    for f in (matvec, solve, transpose_solve):
        if f is not None:
            check_callable(f, name)
    space = Space(b, name, "b")
    if current_trace() is None:
        return space.solution(solve, matvec, "matvec", has_aux)
    product, of_matvec, _ = space.record(matvec, "matvec")
    solver, of_solve, aux_tree = space.solver(lambda v: solve(matvec, v), "solve", has_aux=has_aux)
    turned, back, of_back = None, None, []
    if transpose_solve is not None or symmetric:
        turned = product if symmetric else transposed(product, len(of_matvec))
        vecmat = matvec if symmetric else space.function(turned, of_matvec, "vecmat")
        function = solve if transpose_solve is None else transpose_solve
        back, of_back, _ = space.solver(lambda v: function(vecmat, v), "transpose_solve", has_aux=has_aux)
    system = System(product, turned, solver, back, (len(of_matvec), len(of_solve), len(of_back)))
    out = LINEAR_SOLVE.bind(*of_matvec, *of_solve, *of_back, *space.leaves, system=system)
    return space.unflatten(out, aux_tree, has_aux)
