"""`make_ir` and `eval_shape`: record a function from the shapes and dtypes of its arguments alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import is_array, settle_all
from funcgrad.core import Axes, Question, Tracer, current_trace, under
from funcgrad.ir import Program
from funcgrad.transforms.boundary import argument_name, boundary_of, check_callable, differentiable_leaf, of_chosen
from funcgrad.transforms.transformed import transformed
from funcgrad.types import ShapedArray, aval_of, is_a, shape_of
from funcgrad.watched import Watched

__all__ = ["eval_shape", "make_ir", "record_flat", "trace_to_program"]


def trace_to_program(
    fun: Callable[..., Any],
    args: Sequence[Any],
    name: str = "make_ir",
    border: str = "",
    kind: type[Watched] = Watched,
    axes: Axes = (),
) -> Program:
    """Record `fun` abstractly; a leaf of `args` is an array, a number, a tracer or a ShapeDtypeStruct.

    Raises TypeError for other leaves, and for what `fun` returns besides arrays and numbers, in the name of `name`.
    Where `fun` asks for values, whether or not it catches the error, what `border` says is raised (see `Trace`).
    The recording is of this `kind`, and sees these named `axes` beside those in scope.
    """
    found, in_tree = tree.flatten_with_path(tuple(args))
    paths = [(path, _stands_for(x)) for path, x in found]
    for path, x in paths:
        if not isinstance(x, ShapedArray):
            differentiable_leaf(x, partial(argument_name, fun, path), name)
    return record_flat(
        lambda *xs: fun(*in_tree.unflatten(xs)), [x for _, x in paths], name, border, in_tree, kind, axes=axes
    )


def _stands_for(x: Any) -> Any:
    """The shape and dtype of an object that is no array and says of itself that it has these; others as they are."""
    if is_a(x, (np.ndarray, np.generic, Tracer, ShapedArray)) or not (hasattr(x, "shape") and hasattr(x, "dtype")):
        return x
    try:
        return ShapedArray(x.shape, x.dtype)
    except (TypeError, ValueError):  # another library's
        return x


def record_flat(
    fun: Callable[..., Any],
    args: Sequence[Any],
    name: str,
    border: str = "",
    in_tree: Any = None,
    kind: type[Watched] = Watched,
    ordered: bool = True,
    axes: Axes = (),
) -> Program:
    """`trace_to_program` for a function of flat arguments, or their avals; `in_tree` is noted down in the program.

    With `ordered`, what the function does may depend on its arguments being contiguous: the program says of which. It
    also says which results of shape () NumPy would have as arrays.
    """
    record = kind(current_trace(), abstract=True)
    record.border, record.ordered, record.axes = border, ordered, (*record.axes, *axes)
    try:
        inputs = [record.input(x) for x in args]
        with under(record):
            out = fun(*inputs)
            record.accept()
            leaves, out_tree = tree.flatten(out)
            outputs = settle_all(leaves)
        for i, x in enumerate(leaves):
            if not isinstance(x, Tracer):
                differentiable_leaf(x, f"output{tree.keystr(tree.leaves_with_path(out)[i][0])}", name)
        program = record.program(inputs, outputs, in_tree, out_tree)
        program.derived.update(catches=record.around.catches, classes=record.around.classes)
        program.derived["arrays"] = tuple(i for i, x in enumerate(leaves) if not shape_of(x) and _is_array(x))
        program.derived["ordered"] = tuple({i for i, x in enumerate(inputs) if any(x is y for y in record.assumed)})
        return program
    except (Exception, SystemExit) as error:
        if border == "again" and record.refused is not None:  # it may follow from an error that the function caught
            raise Question(record.refused) from error
        raise
    finally:
        record.border = ""
        record.close()


def _is_array(x: Any) -> bool:
    """Whether NumPy would have an array, and not a scalar, for this result of shape ()."""
    return is_array(x) if isinstance(x, Tracer) else is_a(x, np.ndarray)


def make_ir(
    fun: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    axis_env: Sequence[tuple[Any, int]] | None = None,
    return_shape: bool = False,
) -> Callable[..., Any]:
    """A function that returns the program that `fun` records for given arguments.

    Args:
        fun: a function of pytrees of arrays.
        static_argnums: positions of arguments that are passed on as they are.
        axis_env: pairs of a name and a size: axes that collectives may be over, as if in a `vmap` with these names.
        return_shape: return the shapes and dtypes of the output too, as `eval_shape` does: a pair.

    Returns:
        A function of the same arguments; only their shapes and dtypes matter, so a `ShapeDtypeStruct` does as well. The
        `Program` prints in jaxpr syntax and runs when called with flat inputs. Python scalars are weak, as in NumPy.

    >>> import numpy as np
    >>> print(make_ir(lambda x, y: np.sum(np.sin(x) * y))(np.ones(3), 2.0))
    { lambda ; a:f64[3] b:float. let
        c:f64[3] = sin a
        d:f64[3] = mul c b
        e:f64[] = reduce_sum[axes=(0,)] d
      in (e,) }
    """
    check_callable(fun, "make_ir")
    axes = tuple((name, operator.index(size)) for name, size in axis_env or ())
    static = {static_argnums} if is_a(static_argnums, (int, np.integer)) else set(static_argnums)

    @transformed(make_ir, fun, static_argnums=static_argnums, axis_env=axis_env, return_shape=return_shape)
    @boundary_of(None)
    def make_ir_fun(*args: Any, **kwargs: Any) -> Any:
        fixed = {i % len(args) for i in static}
        traced = [i for i in range(len(args)) if i not in fixed]
        program = trace_to_program(*of_chosen(fun, args, kwargs, traced), border="error", axes=axes)
        return (program, _shapes(program)) if return_shape else program

    return make_ir_fun


@boundary_of(None)
def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of what `fun` returns, without computing it. Of the arguments only these matter: objects
    with the attributes `shape` and `dtype` do.

    Returns:
        A pytree of `ShapeDtypeStruct` with the structure of the output.

    >>> import numpy as np
    >>> eval_shape(lambda a, b: a @ b, np.ones((2, 3)), ShapedArray((3, 4), np.float64))
    ShapedArray(f64[2,4])
    """
    own = getattr(fun, "eval_shape", None)
    if callable(own):  # of a function under `jit`, which knows its static arguments
        return own(*args, **kwargs)
    program = trace_to_program(lambda *chosen: fun(*chosen, **kwargs), args, "eval_shape", "error")
    return _shapes(program)


def _shapes(program: Program) -> Any:
    """The avals of the outputs of a program, in their structure."""
    return program.out_tree.unflatten([aval_of(v) for v in program.outputs])
