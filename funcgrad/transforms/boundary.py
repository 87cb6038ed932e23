"""The door between the user's code and a transformation: checks of arguments, and errors on the way out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

import funcgrad.tree as tree
from funcgrad._array import Array, Counter, wrap
from funcgrad.aliasing import alias, is_array, settle
from funcgrad.capture import free_forgotten, is_locking, is_write_error, own_leaves, to_read
from funcgrad.config import checks, config
from funcgrad.conversions import captured_write_error
from funcgrad.core import Trace, Tracer, current_trace, put_trace
from funcgrad.device_array import DeviceArray, DeviceMet, device_arrays, in_use
from funcgrad.errors import TracerArrayConversionError, fold_traceback, locate
from funcgrad.float_errors import current, enter, put
from funcgrad.record import Opened, Record
from funcgrad.source import is_internal
from funcgrad.transforms.forms import wrapped
from funcgrad.transforms.linear_function import LinearFunction
from funcgrad.types import NUMBERS, SCALARS, as_numbers, is_a, no_numbers

__all__ = [
    "argument_name",
    "arrays_as_given",
    "boundary",
    "boundary_of",
    "check_callable",
    "differentiable_leaf",
    "giving_arrays",
    "leaving",
    "of_chosen",
    "own_result",
    "own_value",
    "parameter_name",
    "plain_leaf",
    "split_aux",
]

F = TypeVar("F", bound=Callable[..., Any])


def boundary(fun: F) -> F:
    """Fold funcgrad's own frames out of whatever error leaves `fun`, and explain writes to locked arrays; have NumPy's
    warnings told at the user's line. Where arrays on a device are among the arguments, or are met, all of it is run as
    a program there.

    An interrupt may keep any `with` from being left. So what was set is put back here, and recordings are closed.
    """
    return _boundary(fun, "run_function")


def boundary_of(there: str | None) -> Callable[[F], F]:
    """`boundary`, for a function that does not return arrays alone: `there` is what `executor.resident` does in its
    place where arrays on a device are among the arguments; None for a function that knows them itself."""
    return lambda fun: _boundary(fun, there)


def _boundary(fun: F, there: str | None) -> F:

    def at_boundary(*args: Any, **kwargs: Any) -> Any:
        state, trace = current(), current_trace()
        try:
            enter()
            if in_use and there is not None and trace is None and on_a_device(args, kwargs):
                return getattr(_resident(), there)(fun, args, kwargs)
            return fun(*args, **kwargs)
        except Exception as error:
            _clean_up(error, trace)
            new = leaving(error)
            if new is error:
                raise
            raise new from None
        except DeviceMet as met:
            _clean_up(met, trace)
            if trace is not None:
                raise
            return getattr(_resident(), there or "run_function")(fun, args, kwargs, met.array)
        except BaseException as error:
            _clean_up(error, trace)
            raise
        finally:
            put(state)

    return _as(at_boundary, fun)


def _as(run: Any, fun: F) -> F:
    """What runs `fun`, by the name of that: `functools.wraps` in a third of the time (`grad(f)` is often made anew)."""
    run.__module__, run.__name__, run.__qualname__ = fun.__module__, fun.__name__, fun.__qualname__
    run.__doc__, run.__annotations__, run.__wrapped__ = fun.__doc__, fun.__annotations__, fun
    return run


def on_a_device(args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether there is an array on a device among arguments."""
    return next(device_arrays((args, kwargs)), None) is not None or any(
        type(x) is DeviceArray for x in tree.leaves((args, kwargs))
    )


def _resident() -> Any:
    return import_module("funcgrad.executor.resident")


_HOLD_NONE = frozenset({np.ndarray, float, int, bool, complex, str, type(None)})


def _hold_array(xs: Iterable[Any]) -> bool:
    """Whether one of several arguments holds an `Array`, which is what `funcgrad.numpy` returns."""
    for x in xs:
        kind = type(x)
        if kind in _HOLD_NONE:
            continue
        if kind is tuple or kind is list:
            found = _hold_array(x)
        elif kind is dict:
            found = _hold_array(x.values())
        elif issubclass(kind, Array):
            return True
        else:
            found = kind.__module__ != "builtins" and any(issubclass(type(leaf), Array) for leaf in tree.leaves(x))
        if found:
            return True
    return False


def giving_arrays(fun: Callable[..., Any], given: Any) -> Callable[..., Any]:
    """A function that the caller has handed over, which gets arrays as an `Array` if there is one in `given`."""
    if current_trace() is not None or not _hold_array((given,)):
        return fun
    return lambda *args: fun(*tree.map(wrap, args))


def arrays_as_given(fun: F) -> F:
    """Let `fun` return arrays as an `Array` where it is given one, outside of other transformations.

    A linear function beside others in its result stays what it is: it gives arrays as it is given them in turn.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        out = fun(*args, **kwargs)
        if current_trace() is not None:
            return out
        if config.debugging:
            seen = [x for x in out if type(x) is not LinearFunction] if type(out) is tuple else out
            checks["result"](seen, fun, args, kwargs, fun.__name__.removesuffix("_fun"))
        if not (_hold_array(args) or (kwargs and _hold_array(kwargs.values()))):
            return out
        if type(out) is tuple and any(type(x) is LinearFunction for x in out):
            return tuple(x if type(x) is LinearFunction else wrapped(x) for x in out)
        return wrapped(out)

    return _as(run, fun)


def _clean_up(error: BaseException, trace: Trace | None) -> None:
    """Do what an interrupt may have kept from being done; it may be any error, from a handler of a signal.

    `trace` was the current one. It and those that enclose it go on, if the user catches the error.
    """
    put_trace(trace)
    if is_locking():
        _abandon(error, trace)


def _abandon(error: BaseException, trace: Trace | None) -> None:
    """Close the recordings in whose midst an interrupt has come: they keep the user's arrays locked."""
    assert error.__traceback__ is not None
    tb = error.__traceback__.tb_next  # not of the frame that holds the error: its variables would be kept
    while tb is not None:
        if is_internal(tb.tb_frame.f_code.co_filename):
            for value in tb.tb_frame.f_locals.values():
                record = getattr(value, "record", None) if is_a(value, Opened) else value
                if is_a(record, Record) and not (trace is not None and trace.descends_from(record)):
                    record.abandon()
        tb = tb.tb_next
    free_forgotten()


def leaving(error: Exception) -> Any:
    """What to raise for an error that leaves funcgrad."""
    if type(error) is SystemError and isinstance(error.__cause__, KeyboardInterrupt):
        return error.__cause__  # NumPy's C code asks for an argument's class, and goes on where that was interrupted
    new = captured_write_error(error) if is_write_error(error) else _unwrapped(error)
    locate(new)
    fold_traceback(new)
    return new


def _unwrapped(error: Exception) -> Exception:
    """NumPy turns what `__float__` raises into a ValueError about sequences; the cause says what was meant."""
    cause = error.__cause__
    return cause if type(error) is ValueError and isinstance(cause, TracerArrayConversionError) else error


def check_callable(fun: Any, name: str) -> None:
    """Raise TypeError unless `fun` can be called."""
    if not callable(fun):
        raise TypeError(f"{name} takes a function, got {type(fun).__name__}: {name}(f)(x), not {name}(f(x))")


def differentiable_leaf(x: Any, name: str | Callable[[], str], transform: str) -> None:
    """Raise TypeError unless a leaf of an argument is a number, an array of numbers, or a tracer.

    A `name` that takes time to make is given as a function.
    """
    if type(x) in SCALARS or (type(x) is np.ndarray and x.dtype in NUMBERS) or isinstance(x, (Tracer, Counter)):
        return
    numeric = is_a(x, (np.ndarray, np.generic))
    if numeric and no_numbers(x, "") is None:
        return
    name = f"{transform}: {name if isinstance(name, str) else name()}"
    error = no_numbers(x, name) if numeric else None
    raise error or TypeError(f"{name} is a {type(x).__name__}, not an array or a number{_remedy(x, name, transform)}")


def _remedy(x: Any, name: str, transform: str) -> str:
    """What to do with a leaf of the arguments, or of the output, that holds no numbers."""
    kind = type(x).__name__
    if hasattr(x, "__dlpack__"):
        return "; funcgrad.device_put(x, device) takes it without a copy, numpy.asarray makes it NumPy's"
    if hasattr(x, "__array__"):
        return "; convert it with numpy.asarray first"
    if hasattr(x, "__dataclass_fields__"):
        return (
            f"; funcgrad.tree_util.register_dataclass({kind}), or @register_dataclass above @dataclass, says that its "
            "fields are arrays"
        )
    if "argument" not in name:
        return "; return arrays, numbers, and pytrees of them"
    static = " name it in static_argnums or static_argnames"
    bound = " bind it beforehand, with functools.partial or a lambda"
    if isinstance(x, (str, bytes)) or callable(x):
        return f":{static}, and the function is compiled for each value" if transform == "jit" else f":{bound}"
    return (
        f"; if it holds arrays, register {kind} with funcgrad.tree_util.register_pytree_node_class; if it does not, or "
        + (f"never changes,{static} (it must be hashable)" if transform == "jit" else f"is a constant here,{bound}")
    )


def argument_name(fun: Any, path: Sequence[Any], fixed: Iterable[Any] = ()) -> str:
    """What a leaf of the arguments of `fun` is called in messages: `argument 1 (params)['w']`.

    `path` starts with the place among the positional arguments that are not `fixed`, or with a name.
    """
    at = getattr(path[0], "idx", None)
    for place in sorted(i for i in fixed if type(i) is int):
        at = at if at is None else at + (place <= at)
    name = "" if at is None else parameter_name(fun, at)
    shown = repr(path[0].key) if at is None else f"{at} ({name})" if name else f"{at}"
    return f"argument {shown}{tree.keystr(tuple(path[1:]))}"


def parameter_name(fun: Any, at: int) -> str:
    """The name of the parameter for the argument at a position; empty if it has none of its own."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return ""
    one = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return parameters[at].name if at < len(parameters) and parameters[at].kind in one else ""


def plain_leaf(x: Any, name: str | Callable[[], str], transform: str) -> Any:
    """A leaf of an argument as a transformation takes it, an array as a plain one; raises as `differentiable_leaf`."""
    if type(x) is np.ndarray and x.dtype in NUMBERS:
        return x
    if type(x) is Array and x.dtype in NUMBERS:
        return x.view(np.ndarray)
    if type(x) is Counter:
        return int(x)
    differentiable_leaf(x, name, transform)
    return as_numbers(x, "an argument") if is_a(x, (np.ndarray, np.void)) else x


def _others(x: Any, read: Callable[[Any], Any]) -> Any:
    """An argument that is not traced, with arrays that are to be read only."""
    kind = type(x)
    if kind is np.ndarray:
        return read(x)
    if kind is dict:
        return {k: _others(v, read) for k, v in x.items()}
    return kind([_others(v, read) for v in x]) if kind is list or kind is tuple else x


def of_chosen(
    fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], nums: Sequence[int]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """`fun` of the arguments at these positions alone, and these arguments.

    The others are the caller's: a write to one of them raises.
    """

    if not kwargs and nums == tuple(range(len(args))):
        return fun, tuple(args)

    def called(*chosen: Any) -> Any:
        trace = current_trace()
        read = to_read if trace is None else trace.to_read
        given = [x if i in nums else _others(x, read) for i, x in enumerate(args)]
        for i, x in zip(nums, chosen, strict=True):
            given[i] = x
        return fun(*given, **{k: _others(x, read) for k, x in kwargs.items()})

    return called, tuple(args[i] for i in nums)


def split_aux(result: Any) -> tuple[Any, Any]:
    """What a function with auxiliary data returned; raises TypeError unless it is a pair."""
    if not (isinstance(result, (tuple, list)) and len(result) == 2):
        size = f" of {len(result)}" if isinstance(result, (tuple, list)) else ""
        kind = str(result.aval) if isinstance(result, Tracer) else f"a {type(result).__name__}{size}"
        raise TypeError(f"has_aux=True: the function must return a pair (output, aux), got {kind}")
    return result[0], result[1]


def own_result(results: list[Any]) -> Any:
    """What a user's function returned, alone in a list, with arrays that share no memory with what it was given."""
    if type(results[0]) is np.ndarray:
        return own_leaves(results)[0]
    leaves, treedef = tree.flatten(results.pop())
    return treedef.unflatten(own_leaves(leaves))


def own_value(x: Any) -> Any:
    """A copy of an array, so that nothing else shares it."""
    if type(x) is np.ndarray:
        return x.copy()
    if not isinstance(x, Tracer):
        return x.copy() if is_a(x, np.ndarray) else x
    return alias(x) if is_array(x) else settle(x)
