"""Roots of functions, with derivatives that do not look into how they were found.

`custom_root` gives x with f(x, p) = 0. By the implicit function theorem ∂f/∂x dx = −∂f/∂p dp: the derivative is the
solution of a linear equation, and is found as `custom_linear_solve` finds it. (Blondel et al., "Efficient and modular
implicit differentiation", 2022.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import funcgrad.tree as tree
from funcgrad.core import Primitive, current_trace
from funcgrad.ir import Program, eval_program
from funcgrad.ops.rules import declare
from funcgrad.transforms.boundary import boundary, check_callable
from funcgrad.transforms.call import batch_program, cached, divide, joint_program, record_program
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.linear_solve import LINEAR_SOLVE, Space, System, pulled, pushed, solver_alone, transposed
from funcgrad.transforms.vjp import zero_like
from funcgrad.types import ShapedArray, is_inexact, without_derivative

__all__ = ["ROOT", "custom_root"]


class Equations(NamedTuple):
    """What defines a root: programs, whose first inputs are their constants, the p of f(x, p).

    Attributes:
        residual: x ↦ f(x).
        solve: from the first guess to the root (and auxiliary results).
        tangent_solve, transpose_solve: (x, y) ↦ A⁻¹ y and (x, g) ↦ A⁻ᵀ g, where A = ∂f/∂x at x; the second is missing
            if nobody can solve for Aᵀ.
        counts: how many constants each of the four has.
    """

    residual: Program
    solve: Program
    tangent_solve: Program
    transpose_solve: Program | None
    counts: tuple[int, int, int, int]

    @property
    def unknowns(self) -> int:
        return len(self.residual.outputs)

    def split(self, xs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any], list[Any], list[Any]]:
        """Constants of the four programs, and the first guess."""
        groups: list[list[Any]] = []
        start = 0
        for n in self.counts:
            groups.append(list(xs[start : start + n]))
            start += n
        return groups[0], groups[1], groups[2], groups[3], list(xs[start:])

    def tangent_system(self) -> System:
        """The linear equation of the tangents: the root follows the constants of each of its programs."""
        m = self.unknowns
        n, _, s, t = self.counts
        matvec = _linearized(self.residual, n)
        vecmat = None if self.transpose_solve is None else transposed(matvec, n + m)
        return System(matvec, vecmat, self.tangent_solve, self.transpose_solve, (n + m, s + m, t + m))


def _linearized(residual: Program, constants: int) -> Program:
    """(x, v) ↦ ∂f/∂x v, with the constants of f."""

    def make() -> Program:
        avals = residual.in_avals

        def flat(*xs: Any) -> list[Any]:
            consts, x, v = xs[:constants], xs[constants : len(avals)], xs[len(avals) :]
            return jvp(lambda *x: eval_program(residual, [*consts, *x]), x, v)[1]

        return record_program([*avals, *avals[constants:]], flat)

    return cached(residual, ("linearized", constants), make)


def _transpose_of_linear(solve: Program, constants: int) -> Program | None:
    """The transpose of a program in its inputs behind these, if its derivative is seen not to depend on them."""
    joint = joint_program(solve, tuple(i >= constants for i in range(len(solve.inputs))))
    p = divide(joint, joint.ahead, [*joint.ahead, *joint.back], []).backward
    if not set(p.inputs).isdisjoint(joint.inputs[constants:]):
        return None
    return Program(p.constvars, p.consts, [*joint.inputs[:constants], *joint.cts], p.equations, p.outputs)


# -------------------------------------------------------------------------------------------------- the primitive


def _impl(*args: Any, equations: Equations) -> tuple[Any, ...]:
    _, of_solve, _, _, guess = equations.split(args)
    return tuple(eval_program(equations.solve, [*of_solve, *guess]))


def _abstract(*avals: ShapedArray, equations: Equations) -> tuple[ShapedArray, ...]:
    return tuple(equations.solve.out_avals)


def _push(primals: Sequence[Any], tangents: Sequence[Any], equations: Equations) -> Any:
    """A dx = −df."""
    out = ROOT.bind(*primals, equations=equations)
    x = out[: equations.unknowns]
    consts, _, of_tangent, of_transpose, _ = equations.split(primals)
    df = pushed(equations.residual, consts, equations.split(tangents)[0], x)
    if df is None:
        return tuple(out), [None] * len(out)
    operands = [*consts, *x, *of_tangent, *x, *of_transpose, *x, *(-d for d in df)]
    dx = LINEAR_SOLVE.bind(*operands, system=equations.tangent_system())
    return tuple(out), [*dx, *[None] * (len(out) - len(dx))]


def _vjp(
    ct: Sequence[Any], out: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], equations: Equations
) -> Any:
    """With w = A⁻ᵀ g, the cotangent of the constants of f is theirs in −⟨w, f⟩."""
    m = equations.unknowns
    x = list(out[:m])
    consts, _, of_tangent, of_transpose, _ = equations.split(ins)
    chosen = equations.split(wanted)[0]
    if not any(chosen) or all(c is None for c in ct[:m]):
        return [None] * len(ins)
    if equations.transpose_solve is None:
        raise TypeError(
            "custom_root: for reverse mode, tangent_solve(g, y) must be linear in y, or solve by means of g alone; use "
            "custom_linear_solve in it"
        )
    g = [zero_like(v) if c is None else c for c, v in zip(ct[:m], x, strict=True)]
    operands = [*consts, *x, *of_transpose, *x, *of_tangent, *x, *g]
    w = LINEAR_SOLVE.bind(*operands, system=equations.tangent_system().turned())
    cts = pulled(equations.residual, consts, chosen, x, [-v for v in w])
    return [*cts, *[None] * (len(ins) - len(cts))]


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, axis_name: Any, equations: Equations) -> Any:
    of_f, of_solve, of_tangent, of_transpose, guess = equations.split(batched)
    each = [True] * equations.unknowns  # every example has its own root

    def over(program: Program, *flags: Sequence[bool]) -> Program:
        return batch_program(program, tuple(f for group in flags for f in group), size, axis_name)

    back = equations.transpose_solve
    new = Equations(
        over(equations.residual, of_f, each),
        over(equations.solve, of_solve, guess),
        over(equations.tangent_solve, of_tangent, each, each),
        None if back is None else over(back, of_transpose, each, each),
        equations.counts,
    )
    return ROOT.bind(*args, equations=new)


ROOT: Primitive = declare(
    "custom_root",
    _impl,
    _abstract,
    multiple=True,
    nested=True,
    vjp=_vjp,
    batch=_batch,
    called=partial(solver_alone, _impl),
)
"""The root of a function (and auxiliary results); the operands are the constants of the four programs, and the first
guess."""
ROOT.push = _push
ROOT.jvp = lambda tangents, out, ins, **params: _push(ins, tangents, **params)[1]


# --------------------------------------------------------------------------------------------------- the function


def _tangent_programs(
    space: Space, residual: Program, consts: list[Any], tangent_solve: Callable[..., Any]
) -> tuple[tuple[Program, list[Any]], tuple[Program | None, list[Any]]]:
    """The programs that solve for tangents and for cotangents at a root, each with what it closes over.

    A solver that is linear in y is transposed. What is not (a loop until something is small) solves the transposed
    equation as well, if it knows of the matrix only what it asks of the product that it is given.
    """
    matvec = _linearized(residual, len(consts))
    asked: list[bool] = []

    def solve(program: Program, x: Any, y: Any) -> Any:
        times = space.function(program, [*consts, *tree.leaves(x)], "g")

        def noting(v: Any) -> Any:
            asked.append(True)
            return times(v)

        return tangent_solve(noting, y)

    forward, of_forward, _ = space.solver(lambda x, y: solve(matvec, x, y), "tangent_solve", 2)
    back = _transpose_of_linear(forward, len(of_forward) + len(residual.outputs))
    if back is not None:
        return (forward, of_forward), (back, of_forward)
    asked.clear()
    vecmat = transposed(matvec, len(consts) + len(residual.outputs))
    back, of_back, _ = space.solver(lambda x, g: solve(vecmat, x, g), "tangent_solve", 2)
    return (forward, of_forward), ((back, of_back) if asked else (None, []))


@boundary
def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[..., Any],
    tangent_solve: Callable[..., Any],
    has_aux: bool = False,
) -> Any:
    """The x with `f(x) = 0` that `solve` finds, with the derivative that the implicit function theorem gives.

    Where nothing is traced, this is `solve(f, initial_guess)`.

    Args:
        f: a function of a pytree that returns one like it; what it closes over takes derivatives.
        initial_guess: where to start; it has no derivative.
        solve: `solve(f, initial_guess) -> x`; it is not differentiated, and may be any loop.
        tangent_solve: `tangent_solve(g, y) -> x` with `g(x) = y` for a linear `g`. For reverse mode it is transposed,
            or, where it is not seen to be linear in y (a loop that ends when something is small), given the transpose
            of `g`.
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
    space = Space(initial_guess, name, "initial_guess")
    moving = [is_inexact(a) for a in space.avals]
    if current_trace() is None or not any(moving):  # integers have no derivative
        return space.solution(solve, f, "f", has_aux)
    if not all(moving):
        fixed = space.avals[moving.index(False)]
        raise TypeError(
            f"{name}: a leaf of initial_guess is {fixed}, and {without_derivative(fixed)} have no derivative; close "
            "over it"
        )
    residual, of_f, _ = space.record(f, "f")
    solver, of_solve, aux_tree = space.solver(lambda v: solve(f, v), "solve", has_aux=has_aux)
    (forward, of_forward), (back, of_back) = _tangent_programs(space, residual, of_f, tangent_solve)
    counts = (len(of_f), len(of_solve), len(of_forward), len(of_back))
    equations = Equations(residual, solver, forward, back, counts)
    out = ROOT.bind(*of_f, *of_solve, *of_forward, *of_back, *space.leaves, equations=equations)
    return space.unflatten(out, aux_tree, has_aux)
