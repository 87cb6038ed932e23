"""Dense derivatives: Jacobians column by column or row by row, and Hessians.

`jacfwd` pushes every direction of the input forward at once (`vmap` of `jvp`), `jacrev` pulls every direction of the
output back (`vmap` of the pullback): the first is cheaper for tall Jacobians, the second for wide ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.transforms.boundary import boundary, check_callable, differentiable_leaf
from funcgrad.transforms.grad import positions
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.vjp import vjp
from funcgrad.transforms.vmap import vmap
from funcgrad.types import aval_of, dtype_of, shape_of

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev"]

Argnums = int | Sequence[int]


def _checked(x: Any, name: str, who: str, holomorphic: bool, allow_int: bool) -> None:
    differentiable_leaf(x, name, who)
    kind = dtype_of(x).kind
    if holomorphic and kind != "c":
        raise TypeError(f"{who} with holomorphic=True: {name} must be complex, got {aval_of(x)}")
    if kind == "c" and not holomorphic:
        raise TypeError(f"{who}: {name} is {aval_of(x)}; the Jacobian of a complex function needs holomorphic=True")
    if kind in "biu" and not allow_int:
        raise TypeError(f"{who}: {name} is {aval_of(x)}, and integers have no derivative; pass floats")


def _basis(leaves: Sequence[Any]) -> list[np.ndarray]:
    """For each leaf, its part of every unit direction of all leaves together: shape (total size, *shape)."""
    sizes = [int(np.prod(shape_of(x), dtype=int)) for x in leaves]
    total = sum(sizes)
    out: list[np.ndarray] = []
    start = 0
    for x, n in zip(leaves, sizes, strict=True):
        out.append(np.eye(total, n, -start, dtype=dtype_of(x)).reshape(total, *shape_of(x)))
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
    return x.copy() if isinstance(x, np.ndarray) and x.base is not None else x


def _chosen(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], argnums: Argnums) -> Any:
    """`fun` of the arguments at `argnums` alone, and these arguments."""
    nums = positions(argnums, len(args), fun)

    def called(*chosen: Any) -> Any:
        given = list(args)
        for i, x in zip(nums, chosen, strict=True):
            given[i] = x
        return fun(*given, **kwargs)

    return called, tuple(args[i] for i in nums)


def jacfwd(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian of `fun` in forward mode.

    Args:
        fun: a function of pytrees of arrays.
        argnums: which positional argument to differentiate by, or several of them.
        has_aux: `fun` returns a pair of its output and auxiliary data.
        holomorphic: `fun` is complex, and holomorphic.

    Returns:
        A function of the same arguments: the pytree of outputs, at each leaf the pytree of the argument (a tuple of
        them for several `argnums`), with leaves of shape `output shape + input shape`; and the auxiliary data, if any.

    >>> jacfwd(lambda x: x[0] * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 1.]])
    """
    check_callable(fun, "jacfwd")

    @wraps(fun, updated=())
    @boundary
    def jacfwd_fun(*args: Any, **kwargs: Any) -> Any:
        called, primals = _chosen(fun, args, kwargs, argnums)
        paths, in_tree = tree.flatten_with_path(primals)
        for path, x in paths:
            _checked(x, f"argument {tree.keystr(path)}", "jacfwd", holomorphic, False)
        leaves = [x for _, x in paths]

        def push(*directions: Any) -> Any:
            out = jvp(called, primals, in_tree.unflatten(directions), has_aux=has_aux)
            return out[1:] if has_aux else (out[1], None)

        tangents, aux = vmap(push, out_axes=(-1, None))(*_basis(leaves))
        jacobian = tree.map(lambda t: _columns(t, leaves, in_tree, argnums), tangents)
        return (jacobian, aux) if has_aux else jacobian

    return jacfwd_fun


def _columns(rows: Any, leaves: Sequence[Any], in_tree: Any, argnums: Argnums) -> Any:
    pieces = in_tree.unflatten([_own(p) for p in _split(rows, leaves, len(shape_of(rows)) - 1)])
    return pieces[0] if isinstance(argnums, int) else pieces


def jacrev(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of `fun` in reverse mode; see `jacfwd`.

    >>> jacrev(lambda x: x[:2] * x[2])(np.array([1.0, 2.0, 3.0]))
    array([[3., 0., 1.],
           [0., 3., 2.]])
    """
    check_callable(fun, "jacrev")

    @wraps(fun, updated=())
    @boundary
    def jacrev_fun(*args: Any, **kwargs: Any) -> Any:
        called, primals = _chosen(fun, args, kwargs, argnums)
        for path, x in tree.leaves_with_path(primals):
            _checked(x, f"argument {tree.keystr(path)}", "jacrev", holomorphic, allow_int)
        out, pullback, *aux = vjp(called, *primals, has_aux=has_aux)
        out_paths, out_tree = tree.flatten_with_path(out)
        for path, x in out_paths:
            _checked(x, f"output{tree.keystr(path)}", "jacrev", holomorphic, False)
        leaves = [x for _, x in out_paths]
        rows = vmap(pullback)(out_tree.unflatten(_basis(leaves)))
        in_leaves, in_tree = tree.flatten(rows)
        pieces = [[_own(p) for p in _split(r, leaves, 0)] for r in in_leaves]
        per_output = [in_tree.unflatten(column) for column in zip(*pieces, strict=True)]
        jacobian = out_tree.unflatten([p[0] if isinstance(argnums, int) else p for p in per_output])
        return (jacobian, *aux) if has_aux else jacobian

    return jacrev_fun


jacobian = jacrev


def hessian(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The matrix of second derivatives: forward over reverse.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)
