"""`grad` and `value_and_grad`: the gradient of a scalar function, in reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import ARRAYS
from funcgrad.source import describe
from funcgrad.transforms.boundary import (
    argument_name,
    arrays_as_given,
    boundary,
    check_callable,
    differentiable_leaf,
    of_chosen,
    own_value,
)
from funcgrad.transforms.transformed import transformed
from funcgrad.transforms.vjp import Recording, record_function, zero_like
from funcgrad.types import PYTHON_SCALARS, aval_of, dtype_of, is_a, is_key, without_derivative

__all__ = ["grad", "one_or_all", "positions", "value_and_grad"]

Argnums = int | Sequence[int]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S")


@overload
def value_and_grad(
    fun: Callable[Concatenate[T, P], R],
    argnums: Literal[0] = 0,
    has_aux: Literal[False] = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[Concatenate[T, P], tuple[R, T]]: ...
@overload
def value_and_grad(
    fun: Callable[Concatenate[T, P], R],
    argnums: Literal[0] = 0,
    *,
    has_aux: bool,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[Concatenate[T, P], tuple[R, T]]: ...
@overload
def value_and_grad(
    fun: Callable[P, R],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, tuple[R, Any]]: ...


def value_and_grad(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """A function that returns the value of `fun` and its gradient.

    Args:
        fun: a function of pytrees of arrays that returns a scalar (shape `()`), or with `has_aux` a pair of it and
            auxiliary data.
        argnums: which positional argument to differentiate by, or several of them.
        has_aux: whether `fun` returns (scalar, auxiliary data).
        holomorphic: whether `fun` is a complex function to be differentiated as a holomorphic one; its inputs and its
            output must then be complex.
        allow_int: allow integer inputs; their gradient has dtype float0.

    Returns:
        A function of the same arguments that returns `(value, gradient)`, or `((value, aux), gradient)` with `has_aux`.
        The gradient has the structure of the argument (a tuple of them for several `argnums`), each leaf the shape and
        dtype of its leaf; that of a Python float is a Python float. For a complex input z = x + iy of a real function f
        it is ∂f/∂x - i ∂f/∂y, as in JAX.

    Raises:
        TypeError: an input is of integers or no numbers, or the output is not a real scalar; the message says which.
        CapturedArrayWriteError: an array from outside was written to after `fun` had used it. Such arrays are locked
            while `fun` runs. What NumPy cannot lock out (a view or a `memoryview` made before, `ctypes`, `np.add.at`,
            `a.shape = ...`) is found out afterwards: any change of an array of at most 16 KiB, a change of many
            elements of a larger one. A change of a few elements of a large array, made in such a way, goes unnoticed.

    >>> import numpy as np
    >>> value_and_grad(lambda w, x: np.sum((w * x) ** 2))(np.array([1.0, 2.0]), 3.0)
    (np.float64(45.0), array([18., 36.]))
    """
    check_callable(fun, "grad")

    @transformed(value_and_grad, fun, **_options(argnums, has_aux, holomorphic, allow_int))
    @arrays_as_given
    @boundary
    def value_and_grad_fun(*args: Any, **kwargs: Any) -> Any:
        nums = positions(argnums, len(args), fun, "grad")
        called, chosen = of_chosen(fun, args, kwargs, nums)
        leaves, in_tree = tree.flatten(chosen)
        _check_inputs(fun, args, nums, leaves, holomorphic, allow_int)
        with record_function(called, leaves, in_tree, has_aux) as recording:
            value = _check_output(recording, fun, holomorphic)
            grads = recording.pull([_one(value)], consume=True)
            filled = [zero_like(t.value) if g is None else g for g, t in zip(grads, recording.inputs, strict=True)]
            aux = tree.map(lambda x: own_value(recording.value(x)), recording.aux) if has_aux else None
            value = own_value(value)
        gradient = one_or_all(in_tree.unflatten(filled), argnums)
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return value_and_grad_fun


@overload
def grad(
    fun: Callable[Concatenate[T, P], Any],
    argnums: Literal[0] = 0,
    has_aux: Literal[False] = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[Concatenate[T, P], T]: ...
@overload
def grad(
    fun: Callable[Concatenate[T, P], tuple[Any, S]],
    argnums: Literal[0] = 0,
    *,
    has_aux: Literal[True],
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[Concatenate[T, P], tuple[T, S]]: ...
@overload
def grad(
    fun: Callable[P, Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, Any]: ...
def grad(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The gradient of a scalar function, as a function of the same arguments; see `value_and_grad`.

    With `has_aux` it returns `(gradient, aux)`.

    >>> grad(lambda x: x**3)(2.0)
    12.0
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    >>> grad(lambda p: p["w"] * p["b"])({"w": 2.0, "b": 3.0})
    {'b': 2.0, 'w': 3.0}
    """
    both: Any = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int).func  # type: ignore[attr-defined]

    @transformed(grad, fun, **_options(argnums, has_aux, holomorphic, allow_int))
    def grad_fun(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_fun


def _options(argnums: Argnums, has_aux: bool, holomorphic: bool, allow_int: bool) -> dict[str, Any]:
    return {"argnums": argnums, "has_aux": has_aux, "holomorphic": holomorphic, "allow_int": allow_int}


def _name(fun: Callable[..., Any]) -> str:
    return getattr(fun, "__name__", type(fun).__name__)


def _single(argnums: Argnums) -> bool:
    return type(argnums) is int or is_a(argnums, (int, np.integer))


def one_or_all(per_argument: Sequence[Any], argnums: Argnums) -> Any:
    """What belongs to the argument that an integer `argnums` names; of all that a tuple of them names, a tuple."""
    return per_argument[0] if _single(argnums) else per_argument


def positions(argnums: Argnums, n: int, fun: Callable[..., Any], who: str) -> tuple[int, ...]:
    """`argnums` as positions from 0 to n - 1; raises TypeError where a call with n arguments has none there."""
    if type(argnums) is int and 0 <= argnums < n:
        return (argnums,)
    if not _single(argnums) and not isinstance(argnums, (tuple, list)):
        raise TypeError(f"{who}: argnums must be an integer or a tuple of integers, got {argnums!r}")
    nums: Any = (argnums,) if _single(argnums) else tuple(argnums)  # type: ignore[arg-type]
    for i in nums:
        if not is_a(i, (int, np.integer)):
            raise TypeError(f"{who}: argnums must be integers, got {i!r}")
        if not -n <= i < n:
            raise TypeError(
                f"{who} of {_name(fun)}: argnums={argnums} but it was called with {n} positional arguments; the "
                "argument to differentiate by must be passed by position"
            )
    found = tuple(int(i % n) for i in nums)
    if len(set(found)) < len(found):
        raise ValueError(f"{who} of {_name(fun)}: argnums={argnums} names an argument twice")
    return found


def _check_inputs(
    fun: Callable[..., Any],
    args: Sequence[Any],
    nums: Sequence[int],
    leaves: Sequence[Any],
    holo: bool,
    allow_int: bool,
) -> None:
    want = "c" if holo else "fc"
    for x in leaves:
        if not ((type(x) is np.ndarray or type(x) is float or type(x) in ARRAYS) and dtype_of(x).kind in want):
            break
    else:
        return
    for i in nums:
        for path, x in tree.leaves_with_path(args[i]):
            name = partial(argument_name, fun, (tree.SequenceKey(i), *path))
            differentiable_leaf(x, name, "grad")
            kind = dtype_of(x).kind
            if holo and kind != "c":
                raise TypeError(f"grad with holomorphic=True: {name()} must be complex, got {aval_of(x)}")
            if kind in "biuV" and not allow_int:
                aval = aval_of(x)
                floats = "" if is_key(aval) else "Pass floats (2.0, or .astype(float)), choose"
                raise TypeError(
                    f"grad: {name()} is {aval}, and {without_derivative(aval)} have no derivative. "
                    f"{floats or 'Choose'} other argnums, or pass allow_int=True for a float0 gradient"
                )


def _check_output(recording: Recording, fun: Callable[..., Any], holomorphic: bool) -> Any:
    outputs = recording.outputs
    if len(outputs) != 1 or recording.out_tree.num_nodes != 1:
        structure = str(recording.out_tree).removeprefix("PyTreeDef(").removesuffix(")")
        hint = "Is its return statement missing?" if structure == "None" else "Return one number, or (number, aux)"
        raise TypeError(
            f"grad needs a function that returns a scalar; {_name(fun)} returned {structure}. {hint}"
            + ("" if structure == "None" else " with has_aux=True")
        )
    value = recording.value(outputs[0])
    differentiable_leaf(value, f"the output of {_name(fun)}", "grad")
    aval = aval_of(value)
    if aval.shape == () and aval.dtype.kind == ("c" if holomorphic else "f"):
        return value
    where = describe(getattr(outputs[0], "source", None))
    at = f" (made at {where})" if where else ""
    if aval.shape != ():
        raise TypeError(
            f"grad needs a function that returns a scalar; {_name(fun)} returned {aval}{at}. Reduce it with np.sum or "
            "np.mean, or use vjp or jacrev"
        )
    kind = aval.dtype.kind
    if holomorphic and kind != "c":
        raise TypeError(f"grad with holomorphic=True: the output must be complex, {_name(fun)} returned {aval}{at}")
    hint = "use np.real or np.abs, or holomorphic=True" if kind == "c" else "it has no derivative"
    raise TypeError(f"grad needs a real floating output; {_name(fun)} returned {aval}{at}: {hint}")


def _one(value: Any) -> Any:
    return type(value)(1) if type(value) in PYTHON_SCALARS else dtype_of(value).type(1)
