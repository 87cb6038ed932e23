"""Solutions that are defined by equations: their derivatives do not look into how they were found.

`custom_linear_solve` gives x with A x = b. Then dx = A⁻¹ (db − dA x), and with w = A⁻ᵀ g the cotangent of b is w, that
of A is −w xᵀ: derivatives are solutions of the same kind. `custom_root` gives x with f(x) = 0, and the derivative is
the solution of ∂f/∂x dx = −df, the implicit function theorem. (Blondel et al., "Efficient and modular implicit
differentiation", 2022.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import funcgrad.tree as tree
from funcgrad.core import Primitive
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.ops.shape import CONVERT
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf, split_aux
from funcgrad.transforms.call import batch_program, cached, close, lift_consts, record_program
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.vjp import vjp, zero_like
from funcgrad.transforms.vmap import vmap
from funcgrad.types import ShapedArray, aval_of, is_weak, shape_of

__all__ = ["LINEAR_SOLVE", "ROOT", "custom_linear_solve", "custom_root"]


def _leaves(x: Any, name: str, what: str) -> tuple[list[Any], Any]:
    paths, treedef = tree.flatten_with_path(x)
    for path, leaf in paths:
        differentiable_leaf(leaf, f"{what}{tree.keystr(path)}", name)
    # A Python scalar takes on the dtype in which the programs are recorded.
    return [CONVERT.bind(x, dtype=aval_of(x).dtype) if is_weak(x) else x for _, x in paths], treedef


def _record(fun: Callable[..., Any], like: Any, name: str, what: str, has_aux: bool = False) -> tuple[Program, Any]:
    """The program of a function of a pytree that returns one like it, and the tree of what it returns besides."""
    leaves, treedef = tree.flatten(like)
    avals = [ShapedArray(shape_of(x), aval_of(x).dtype) for x in leaves]
    aux_tree: list[Any] = [None]

    def flat(*xs: Any) -> Any:
        out = fun(treedef.unflatten(xs))
        aux = None
        if has_aux:
            out, aux = split_aux(out)
        faults = tree.mismatch("result", treedef.unflatten(avals), out)
        if faults:
            raise TypeError(f"{name}: {what} must return what is like its argument:\n  " + "\n  ".join(faults))
        rest, aux_tree[0] = tree.flatten(aux)
        return [*tree.leaves(out), *rest]

    return trace_to_program(flat, avals), aux_tree[0]


# ------------------------------------------------------------------------------------------------ linear equations


class System(NamedTuple):
    """The programs of a linear equation; the first inputs of each are its constants.

    Attributes:
        matvec, vecmat: x ↦ A x, and g ↦ Aᵀ g.
        solve, transpose_solve: b ↦ A⁻¹ b (and auxiliary results), g ↦ A⁻ᵀ g; the last may be missing.
        counts: how many constants the product and the solvers have; `vecmat` has those of `matvec`.
    """

    matvec: Program
    vecmat: Program
    solve: Program
    transpose_solve: Program | None
    counts: tuple[int, int, int]

    def split(self, xs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Constants of the product, of the solver, of the transposed solver; and the right-hand side."""
        a, b, c = self.counts
        return list(xs[:a]), list(xs[a : a + b]), list(xs[a + b : a + b + c]), list(xs[a + b + c :])


def _solve_impl(*args: Any, system: System) -> tuple[Any, ...]:
    _, of_solve, _, b = system.split(args)
    return tuple(eval_program(system.solve, [*of_solve, *b]))


def _solve_abstract(*avals: ShapedArray, system: System) -> tuple[ShapedArray, ...]:
    return tuple(system.solve.out_avals)


def _solve_push(primals: Sequence[Any], tangents: Sequence[Any], system: System) -> Any:
    """A dx = db − dA x."""
    out = LINEAR_SOLVE.bind(*primals, system=system)
    of_matvec, of_solve, of_transpose, b = system.split(primals)
    moving, _, _, db = system.split(tangents)
    x = list(out[: len(b)])
    rhs = [zero_like(v) if t is None else t for v, t in zip(b, db, strict=True)]
    chosen = [i for i, t in enumerate(moving) if t is not None]
    if chosen:
        _, dax = jvp(
            lambda *cs: eval_program(system.matvec, [*_put(of_matvec, chosen, cs), *x]),
            tuple(of_matvec[i] for i in chosen),
            tuple(moving[i] for i in chosen),
        )
        rhs = [r - d for r, d in zip(rhs, dax, strict=True)]
    if all(t is None for t in db) and not chosen:
        return tuple(out), [None] * len(out)
    dx = LINEAR_SOLVE.bind(*of_matvec, *of_solve, *of_transpose, *rhs, system=system)[: len(b)]
    return tuple(out), [*dx, *[None] * (len(out) - len(b))]


def _put(xs: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    new = list(xs)
    for i, v in zip(places, values, strict=True):
        new[i] = v
    return new


def _solve_vjp(
    ct: Sequence[Any], out: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], system: System
) -> Any:
    """w = A⁻ᵀ g is the cotangent of b; that of A's constants is theirs in −⟨w, A x⟩."""
    of_matvec, of_solve, of_transpose, b = system.split(ins)
    n = len(b)
    if system.transpose_solve is None:
        raise TypeError("custom_linear_solve: give transpose_solve (or symmetric=True) for reverse mode")
    x = list(out[:n])
    g = [zero_like(v) if c is None else c for c, v in zip(ct[:n], x, strict=True)]
    turned = System(
        system.vecmat,
        system.matvec,
        system.transpose_solve,
        system.solve,
        (len(of_matvec), len(of_transpose), len(of_solve)),
    )
    w = list(LINEAR_SOLVE.bind(*of_matvec, *of_transpose, *of_solve, *g, system=turned)[:n])
    chosen = [i for i in range(len(of_matvec)) if wanted[i]]
    cts: list[Any] = [None] * len(ins)
    if chosen:
        product = lambda *cs: eval_program(system.matvec, [*_put(of_matvec, chosen, cs), *x])  # noqa: E731
        found = vjp(product, *(of_matvec[i] for i in chosen))[1]([-v for v in w])
        for i, c in zip(chosen, found, strict=True):
            cts[i] = c
    cts[len(ins) - n :] = [v if k else None for v, k in zip(w, wanted[len(ins) - n :], strict=True)]
    return cts


def _solve_batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, system: System) -> Any:
    a, s, t, _ = system.split(batched)
    n = len(args) - len(a) - len(s) - len(t)
    every = [True] * n
    turn = lambda program, flags: batch_program(program, (*flags, *every), size, axis_name)  # noqa: E731
    new = System(
        turn(system.matvec, a),
        turn(system.vecmat, a),
        turn(system.solve, s),
        None if system.transpose_solve is None else turn(system.transpose_solve, t),
        system.counts,
    )
    groups = [list(g) for g in system.split(args)]
    (matvec, vecmat), of_matvec = lift_consts((new.matvec, new.vecmat))
    solve, of_solve = close(new.solve)
    back, of_back = (None, []) if new.transpose_solve is None else close(new.transpose_solve)
    for group, more in zip(groups, (of_matvec, of_solve, of_back), strict=False):
        group[:0] = more
    counts = (len(groups[0]), len(groups[1]), len(groups[2]))
    b = [x if f else _spread(x, size) for x, f in zip(groups[3], batched[len(batched) - n :], strict=True)]
    system = System(matvec, vecmat, solve, back, counts)
    return LINEAR_SOLVE.bind(*groups[0], *groups[1], *groups[2], *b, system=system)


def _spread(x: Any, size: int) -> Any:
    return vmap(lambda: x, axis_size=size)()


LINEAR_SOLVE: Primitive = declare(
    "custom_linear_solve", _solve_impl, _solve_abstract, multiple=True, nested=True, vjp=_solve_vjp, batch=_solve_batch
)
"""The solution of a linear equation (and auxiliary results); the operands are the constants and the right-hand side."""
LINEAR_SOLVE.push = _solve_push
LINEAR_SOLVE.jvp = lambda tangents, out, ins, **params: _solve_push(ins, tangents, **params)[1]


def _transposed(matvec: Program, constants: int) -> Program:
    """g ↦ Aᵀ g, from x ↦ A x and the same constants."""

    def make() -> Program:
        def flat(*xs: Any) -> list[Any]:
            consts, g = xs[:constants], xs[constants:]
            return list(vjp(lambda *v: eval_program(matvec, [*consts, *v]), *map(zero_like, g))[1](list(g)))

        return record_program(matvec.in_avals, flat)

    return cached(matvec, ("transposed", constants), make)


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

    Args:
        matvec: a linear function of a pytree like `b`; what it closes over takes derivatives.
        b: the right-hand side.
        solve: `solve(matvec, b) -> x`; it is not differentiated.
        transpose_solve: `transpose_solve(vecmat, g) -> w` with `vecmat(w) = g`; needed for reverse mode.
        symmetric: whether `matvec` is its own transpose; then `transpose_solve` is `solve` unless given.
        has_aux: `solve` and `transpose_solve` return (solution, auxiliary data).

    Raises TypeError where a function does not return what is like its argument.

    >>> import numpy as np
    >>> from funcgrad import grad
    >>> A = np.array([[2.0, 1.0], [0.0, 4.0]])
    >>> def first(A, b):
    ...     solve = lambda matvec, b: np.linalg.solve(A, b)
    ...     return custom_linear_solve(lambda x: A @ x, b, solve, lambda vecmat, g: np.linalg.solve(A.T, g))[0]
    >>> grad(first, 1)(A, np.array([3.0, 4.0]))
    array([ 0.5  , -0.125])
    """
    name = "custom_linear_solve"
    for f in (matvec, solve):
        check_callable(f, name)
    leaves, treedef = _leaves(b, name, "b")
    product, _ = _record(matvec, b, name, "matvec")
    product, of_matvec = close(product)
    transposed = product if symmetric else _transposed(product, len(of_matvec))

    def run(program: Program) -> Callable[[Any], Any]:
        return lambda x: treedef.unflatten(eval_program(program, [*of_matvec, *tree.leaves(x)]))

    solver, aux_tree = _record(lambda v: solve(run(product), v), b, name, "solve", has_aux)
    solver, of_solve = close(solver)
    back, of_back = None, []
    if transpose_solve is not None or symmetric:
        function = solve if transpose_solve is None else transpose_solve
        back, _ = _record(lambda v: function(run(transposed), v), b, name, "transpose_solve", has_aux)
        back, of_back = close(back)
    system = System(product, transposed, solver, back, (len(of_matvec), len(of_solve), len(of_back)))
    out = LINEAR_SOLVE.bind(*of_matvec, *of_solve, *of_back, *leaves, system=system)
    x = treedef.unflatten(list(out[: len(leaves)]))
    return (x, aux_tree.unflatten(list(out[len(leaves) :]))) if has_aux else x


# ------------------------------------------------------------------------------------------------------------ roots


class Equations(NamedTuple):
    """What `custom_root` was given: programs, whose first inputs are their constants, and how to solve the tangent's.

    Attributes:
        residual: x ↦ f(x).
        solve: from the first guess to the root (and auxiliary results).
        tangent_solve: the user's.
        treedef: of x.
        counts: how many constants both have.
        levels: for each batch, innermost first: which operands had it, its size and its name.
    """

    residual: Program
    solve: Program
    tangent_solve: Callable[..., Any]
    treedef: Any
    counts: tuple[int, int]
    levels: tuple[tuple[tuple[bool, ...], int, Any], ...] = ()


def _root_impl(*args: Any, equations: Equations) -> tuple[Any, ...]:
    return tuple(eval_program(_root_program(equations), args[equations.counts[0] :]))


def _root_program(equations: Equations) -> Program:
    program = equations.solve
    for batched, size, name in equations.levels:
        program = batch_program(program, batched[equations.counts[0] :], size, name)
    return program


def _root_abstract(*avals: ShapedArray, equations: Equations) -> tuple[ShapedArray, ...]:
    return tuple(_root_program(equations).out_avals)


def _implicit(equations: Equations, consts: Sequence[Any], x: Sequence[Any]) -> Callable[..., Any]:
    """From the constants of f to the x near `x` with f(x) = 0: a function whose derivative is that of the root.

    Its value is A⁻¹ (−f), where A = ∂f/∂x at the constants that are given here.
    """
    treedef = equations.treedef

    def at(*cs: Any) -> list[Any]:
        def linearized(v: Any) -> Any:
            leaves = tuple(tree.leaves(v))
            _, df = jvp(lambda *xs: eval_program(equations.residual, [*consts, *xs]), tuple(x), leaves)
            return treedef.unflatten(df)

        b = treedef.unflatten([-r for r in eval_program(equations.residual, [*cs, *x])])
        solve = equations.tangent_solve
        return tree.leaves(custom_linear_solve(linearized, b, solve, solve))

    return at


def _per_example(equations: Equations, rule: Callable[..., Any], kinds: Sequence[Sequence[int]]) -> Callable[..., Any]:
    """A rule over batches. `kinds[k]` says for each argument of the rule which operand's batches it has (-1: all)."""
    for batched, size, name in equations.levels:
        axes = tuple(0 if k < 0 or batched[k] else None for k in kinds)  # type: ignore[index,operator]
        rule = vmap(rule, axes, axis_name=name, axis_size=size)
    return rule


def _root_push(primals: Sequence[Any], tangents: Sequence[Any], equations: Equations) -> Any:
    out = ROOT.bind(*primals, equations=equations)
    n, m = equations.counts[0], len(equations.residual.outputs)
    consts, x = list(primals[:n]), list(out[:m])
    moving = [i for i in range(n) if tangents[i] is not None]
    if not moving:
        return tuple(out), [None] * len(out)

    def rule(*args: Any) -> Any:
        cs, root, ts = args[:n], args[n : n + m], args[n + m :]
        at = _implicit(equations, cs, root)
        return jvp(lambda *some: at(*_put(cs, moving, some)), tuple(cs[i] for i in moving), tuple(ts))[1]

    kinds = [*range(n), *[-1] * m, *moving]
    dx = _per_example(equations, rule, kinds)(*consts, *x, *(tangents[i] for i in moving))  # type: ignore[arg-type]
    return tuple(out), [*dx, *[None] * (len(out) - m)]


def _root_vjp(
    ct: Sequence[Any], out: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], equations: Equations
) -> Any:
    n, m = equations.counts[0], len(equations.residual.outputs)
    consts, x = list(ins[:n]), list(out[:m])
    chosen = [i for i in range(n) if wanted[i]]
    cts: list[Any] = [None] * len(ins)
    if not chosen:
        return cts
    g = [zero_like(v) if c is None else c for c, v in zip(ct[:m], x, strict=True)]

    def rule(*args: Any) -> Any:
        cs, root, gs = args[:n], args[n : n + m], args[n + m :]
        at = _implicit(equations, cs, root)
        return list(vjp(lambda *some: at(*_put(cs, chosen, some)), *(cs[i] for i in chosen))[1](list(gs)))

    kinds = [*range(n), *[-1] * (2 * m)]
    found = _per_example(equations, rule, kinds)(*consts, *x, *g)  # type: ignore[arg-type]
    for i, c in zip(chosen, found, strict=True):
        cts[i] = c
        for k, (batched, _, _) in enumerate(equations.levels):
            if not batched[i]:  # the same for all examples: their cotangents add up
                later = sum(1 for b, _, _ in equations.levels[k + 1 :] if b[i])
                cts[i] = cts[i].sum(axis=later)
    return cts


def _root_batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, equations: Equations) -> Any:
    levels = (*equations.levels, (tuple(batched), size, axis_name))
    return ROOT.bind(*args, equations=equations._replace(levels=levels))


ROOT: Primitive = declare(
    "custom_root", _root_impl, _root_abstract, multiple=True, nested=True, vjp=_root_vjp, batch=_root_batch
)
"""The root of a function (and auxiliary results); the operands are constants of the function and of the solver, and the
first guess."""
ROOT.push = _root_push
ROOT.jvp = lambda tangents, out, ins, **params: _root_push(ins, tangents, **params)[1]


@boundary
def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[..., Any],
    tangent_solve: Callable[..., Any],
    has_aux: bool = False,
) -> Any:
    """The x with `f(x) = 0` that `solve` finds, with the derivative that the implicit function theorem gives.

    Args:
        f: a function of a pytree that returns one like it; what it closes over takes derivatives.
        initial_guess: where to start; it has no derivative.
        solve: `solve(f, initial_guess) -> x`; it is not differentiated, and may be any loop.
        tangent_solve: `tangent_solve(g, y) -> x` with `g(x) = y` for a linear `g`.
        has_aux: `solve` returns (x, auxiliary data).

    Raises TypeError where a function does not return what is like its argument.

    >>> from funcgrad import grad, lax
    >>> def cbrt(a):
    ...     newton = lambda f, x: lax.fori_loop(0, 30, lambda i, x: x - f(x) / (3 * x * x), x)
    ...     return custom_root(lambda x: x**3 - a, 1.0, newton, lambda g, y: y / g(1.0))
    >>> round(float(cbrt(8.0)), 6), round(float(grad(cbrt)(8.0)), 6)
    (2.0, 0.083333)
    """
    name = "custom_root"
    for function in (f, solve, tangent_solve):
        check_callable(function, name)
    leaves, treedef = _leaves(initial_guess, name, "initial_guess")
    residual, of_residual = close(_record(f, initial_guess, name, "f")[0])

    def run(x: Any) -> Any:
        return treedef.unflatten(eval_program(residual, [*of_residual, *tree.leaves(x)]))

    solver, aux_tree = _record(lambda v: solve(run, v), initial_guess, name, "solve", has_aux)
    solver, of_solve = close(solver)
    equations = Equations(residual, solver, tangent_solve, treedef, (len(of_residual), len(of_solve)))
    out = ROOT.bind(*of_residual, *of_solve, *leaves, equations=equations)
    x = treedef.unflatten(list(out[: len(leaves)]))
    return (x, aux_tree.unflatten(list(out[len(leaves) :]))) if has_aux else x
