"""What the reverse pass of a function reads: `saved_residuals` and `print_saved_residuals`; and `checkpoint_name`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcgrad.tree as tree
from funcgrad.ir import Equation, Program, Var
from funcgrad.ops.name import NAME
from funcgrad.source import describe
from funcgrad.transforms.boundary import boundary, boundary_of, check_callable, differentiable_leaf, parameter_name
from funcgrad.transforms.call import by_name, close, divide
from funcgrad.transforms.make_ir import trace_to_program
from funcgrad.transforms.remat import dissolved_joint
from funcgrad.types import ShapedArray, aval_of, is_inexact

__all__ = ["checkpoint_name", "print_saved_residuals", "saved_residuals"]


@boundary
def checkpoint_name(x: Any, name: str) -> Any:
    """The value itself, under a name by which the policies of `checkpoint` know it.

    Args:
        x: a pytree of arrays.
        name: any string; several values may have the same.

    Raises TypeError where `name` is no string, or a leaf is no array.

    >>> from funcgrad import checkpoint, checkpoint_policies, grad
    >>> f = lambda x: np.cos(checkpoint_name(np.exp(x), "e"))
    >>> float(grad(checkpoint(f, policy=checkpoint_policies.save_only_these_names("e")))(0.0)) == float(-np.sin(1.0))
    True
    """
    if not isinstance(name, str):
        raise TypeError(f"checkpoint_name: the name must be a string, got {name!r}")
    for path, leaf in tree.leaves_with_path(x):
        differentiable_leaf(leaf, f"the value{tree.keystr(path)}", "checkpoint_name")
    return tree.map(lambda leaf: NAME.bind(leaf, name=name), x)


@boundary_of(None)
def saved_residuals(f: Callable[..., Any], *args: Any, **kwargs: Any) -> list[tuple[ShapedArray, str]]:
    """The values that the reverse pass of a function reads, and where each comes from.

    They are what a compiled gradient, a loop, or a `checkpoint` keeps from the forward pass. (`vjp` of a function that
    is in none of these keeps the results of all operations, but of those in a `checkpoint` only what is listed here.)

    Args:
        f: a function of pytrees of arrays; it is recorded abstractly.
        *args, **kwargs: its arguments: arrays, or ShapeDtypeStructs.

    Returns:
        Pairs of an abstract value and a text: an argument, a constant, or an operation and the line where it stands.

    >>> for aval, source in saved_residuals(lambda x: np.sum(np.sin(np.exp(x))), np.ones(3)):
    ...     print(aval, source.split(" from ")[0])
    f64[3] output of exp
    """
    check_callable(f, "saved_residuals")
    paths, in_tree = tree.flatten_with_path((args, kwargs))

    def flat(*leaves: Any) -> Any:
        given, named = in_tree.unflatten(leaves)
        return f(*given, **named)

    program = trace_to_program(flat, [aval_of(x) for _, x in paths])
    closed, consts = close(program)
    names = [*["a constant"] * len(consts), *(f"the argument {_argument(f, path)}" for path, _ in paths)]
    return _residuals(closed, names, len(consts))


def _argument(f: Callable[..., Any], path: Any) -> str:
    """The name of an argument, and of the place in it."""
    at = getattr(path[1], "idx", None)
    name = path[1].key if at is None else parameter_name(f, at) or at
    return f"{name}{tree.keystr(path[2:])}"


def _residuals(program: Program, names: list[str], consts: int) -> list[tuple[ShapedArray, str]]:
    wanted = tuple(i >= consts and is_inexact(a) for i, a in enumerate(program.in_avals))
    joint = dissolved_joint(program, wanted)
    made: dict[Var, Equation] = {v: eqn for eqn in joint.ahead for v in eqn.outputs}
    split = divide(joint, joint.ahead, by_name(joint), list(made))
    given = dict(zip(joint.inputs, names, strict=True))
    out: list[tuple[ShapedArray, str]] = []
    for v in split.forward.outputs[split.outputs :]:
        if not isinstance(v, Var):
            continue  # a number is no residual
        text = f"from {given[v]}" if v in given else _produced(made[v])
        out.append((v.aval, text))
    out += [(v.aval, "from a constant") for v in split.backward.constvars]
    return out


def _produced(eqn: Equation) -> str:
    at = describe(eqn.source)
    what = f"named {eqn.params['name']!r}" if eqn.primitive is NAME else f"output of {eqn.primitive.name}"
    return f"{what} from {at}" if at else what


def print_saved_residuals(f: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Print what `saved_residuals` returns, a line each.

    >>> print_saved_residuals(lambda x, y: x * y, 2.0, np.ones(3))
    float from the argument x
    f64[3] from the argument y
    """
    for aval, source in saved_residuals(f, *args, **kwargs):
        print(aval, source)
