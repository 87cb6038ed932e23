"""Dense derivatives: Jacobians column by column or row by row, and Hessians.

`jacfwd` pushes every direction of the input forward at once (`vmap` of `jvp`), `jacrev` pulls every direction of the
output back (`vmap` of the pullback): the first is cheaper for tall Jacobians, the second for wide ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

import funcgrad.tree as tree
from funcgrad.capture import as_directions
from funcgrad.transforms.boundary import arrays_as_given, boundary, check_callable, differentiable_leaf, of_chosen
from funcgrad.transforms.grad import one_or_all, positions
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.pullback import vjp
from funcgrad.transforms.transformed import transformed
from funcgrad.transforms.vmap import vmap
from funcgrad.types import aval_of, dtype_of, is_a, is_inexact, is_key, result_dtype, shape_of, without_derivative

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev"]

Argnums = int | Sequence[int]
P = ParamSpec("P")


def _checked(x: Any, name: str, who: str, holomorphic: bool, kinds: str) -> None:
    """Raise TypeError unless the dtype of a leaf is of these kinds; with `holomorphic`, unless it is complex."""
    differentiable_leaf(x, name, who)
    kind = dtype_of(x).kind
    if holomorphic and kind != "c":
        raise TypeError(f"{who} with holomorphic=True: {name} must be complex, got {aval_of(x)}")
    if holomorphic or kind in kinds:
        return
    if kind == "c":
        other = "jacfwd" if who == "jacrev" else "jacrev"
        raise TypeError(
            f"{who}: {name} is {aval_of(x)}; pass holomorphic=True if the function is holomorphic, or use {other} if "
            "only its argument or only its output is complex"
        )
    aval = aval_of(x)
    remedy = "choose other argnums" if is_key(aval) else "make them floats"
    raise TypeError(f"{who}: {name} is {aval}, and {without_derivative(aval)} have no derivative; {remedy}")


def _basis(leaves: Sequence[Any]) -> list[np.ndarray]:
    """For each leaf, its part of every unit direction of all leaves together: shape (total size, *shape)."""
    sizes = [int(np.prod(shape_of(x), dtype=int)) for x in leaves]
    total = sum(sizes)
    out: list[np.ndarray] = []
    start = 0
    for x, n in zip(leaves, sizes, strict=True):
        out.append(as_directions(np.eye(total, n, -start, dtype=dtype_of(x)).reshape(total, *shape_of(x))))
        start += n
    return out


def _split(rows: Any, leaves: Sequence[Any], axis: int) -> list[Any]:
    """Cut the axis of directions into a piece per leaf, of the leaf's shape."""
    out: list[Any] = []
    start = 0
    for x in leaves:
        n = int(np.prod(shape_of(x), dtype=int))
        index = (slice(None),) * axis + (slice(start, start + n),)
        piece = rows[index]
        out.append(np.reshape(piece, (*shape_of(rows)[:axis], *shape_of(x), *shape_of(rows)[axis + 1 :])))
        start += n
    return out


def _own(x: Any) -> Any:
    return x.copy() if is_a(x, np.ndarray) and x.base is not None else x


def _quotient(piece: Any, x: Any, out: Any) -> Any:
    """A block of a Jacobian in the dtype that a quotient of differences of `out` and `x` would have."""
    if not (is_inexact(piece) and is_inexact(x)):
        return piece
    dtype = result_dtype(x, out)
    return piece if dtype_of(piece) == dtype else piece.astype(dtype)


def jacfwd(
    fun: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The Jacobian of `fun` in forward mode.

    Args:
        fun: a function of pytrees of arrays.
        argnums: which positional argument to differentiate by, or several of them.
        has_aux: `fun` returns a pair of its output and auxiliary data.
        holomorphic: `fun` is complex, and holomorphic. Without it, the arguments must be real.

    Returns:
        A function of the same arguments: the pytree of outputs, at each leaf the pytree of the argument (a tuple of
        them for several `argnums`), with leaves of shape `output shape + input shape` and of the dtype that NumPy gives
        to a quotient of the two; and the auxiliary data, if any.

    Raises:
        TypeError: an argument or an output has a dtype without a derivative; the message says which.

    >>> jacfwd(lambda x: x[0] * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 1.]])
    """
    check_callable(fun, "jacfwd")

    @transformed(jacfwd, fun, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic)
    @arrays_as_given
    @boundary
    def jacfwd_fun(*args: Any, **kwargs: Any) -> Any:
        called, primals = of_chosen(fun, args, kwargs, positions(argnums, len(args), fun, "jacfwd"))
        paths, in_tree = tree.flatten_with_path(primals)
        for path, x in paths:
            _checked(x, f"argument {tree.keystr(path)}", "jacfwd", holomorphic, "f")
        leaves = [x for _, x in paths]

        def push(*directions: Any) -> Any:
            out, tangents, *aux = jvp(called, primals, in_tree.unflatten(directions), has_aux=has_aux)
            for path, x in tree.leaves_with_path(out):
                _checked(x, f"output{tree.keystr(path)}", "jacfwd", holomorphic, "fc")
            return tangents, aux[0] if has_aux else None

        tangents, aux = vmap(push, out_axes=(-1, None))(*_basis(leaves))
        jacobian = tree.map(lambda t: _columns(t, leaves, in_tree, argnums), tangents)
        return (jacobian, aux) if has_aux else jacobian

    return jacfwd_fun


def _columns(rows: Any, leaves: Sequence[Any], in_tree: Any, argnums: Argnums) -> Any:
    split = _split(rows, leaves, len(shape_of(rows)) - 1)
    pieces = in_tree.unflatten([_quotient(_own(p), x, rows) for p, x in zip(split, leaves, strict=True)])
    return one_or_all(pieces, argnums)


def jacrev(
    fun: Callable[P, Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, Any]:
    """The Jacobian of `fun` in reverse mode; see `jacfwd`.

    >>> jacrev(lambda x: x[:2] * x[2])(np.array([1.0, 2.0, 3.0]))
    array([[3., 0., 1.],
           [0., 3., 2.]])
    """
    check_callable(fun, "jacrev")

    @transformed(jacrev, fun, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic, allow_int=allow_int)
    @arrays_as_given
    @boundary
    def jacrev_fun(*args: Any, **kwargs: Any) -> Any:
        called, primals = of_chosen(fun, args, kwargs, positions(argnums, len(args), fun, "jacrev"))
        for path, x in tree.leaves_with_path(primals):
            _checked(x, f"argument {tree.keystr(path)}", "jacrev", holomorphic, "biufc" if allow_int else "fc")
        out, pullback, *aux = vjp(called, *primals, has_aux=has_aux)
        out_paths, out_tree = tree.flatten_with_path(out)
        for path, x in out_paths:
            _checked(x, f"output{tree.keystr(path)}", "jacrev", holomorphic, "f")
        leaves = [x for _, x in out_paths]
        rows = vmap(pullback)(out_tree.unflatten(_basis(leaves)))
        in_leaves, in_tree = tree.flatten(rows)
        in_primals = tree.leaves(primals)
        pieces = [
            [_quotient(_own(p), x, out) for p, out in zip(_split(r, leaves, 0), leaves, strict=True)]
            for r, x in zip(in_leaves, in_primals, strict=True)
        ]
        per_output = [in_tree.unflatten(column) for column in zip(*pieces, strict=True)]
        jacobian = out_tree.unflatten([one_or_all(p, argnums) for p in per_output])
        return (jacobian, *aux) if has_aux else jacobian

    return jacrev_fun


jacobian = jacrev


def hessian(
    fun: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The matrix of second derivatives: forward over reverse.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)
