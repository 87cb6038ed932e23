"""`jit`: functions that are recorded as programs, and called as such."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from funcgrad._places import Device
from funcgrad.config import NATIVE_MODES, config
from funcgrad.core import current_trace
from funcgrad.device_array import DeviceArray
from funcgrad.executor.compiled import branching, check_purity, chosen, donation, reports, runner, tiers
from funcgrad.executor.lowered import Lowered
from funcgrad.executor.stages import Traced
from funcgrad.ir import Program
from funcgrad.transforms.boundary import boundary_of, check_callable, leaving
from funcgrad.transforms.call import CALL
from funcgrad.transforms.debugging import check_result
from funcgrad.transforms.make_ir import eval_shape
from funcgrad.transforms.recorded import Recorded, Static, as_tuple
from funcgrad.transforms.transformed import transformed
from funcgrad.types import is_a

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend

__all__ = ["Jitted", "jit"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Jitted(Protocol, Generic[P, R_co]):
    """What `jit` returns, as type checkers see it: called like the function, with methods that show its programs."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Callable[..., R_co]: ...

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Lowered: ...

    def trace(self, *args: P.args, **kwargs: P.kwargs) -> Traced: ...

    def eval_shape(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...

    def clear_cache(self) -> None: ...

    def explain(self) -> str: ...


@overload
def jit(
    fun: Callable[P, R],
    *,
    static_argnums: int | Sequence[int] | None = (),
    static_argnames: str | Sequence[str] | None = (),
    donate_argnums: int | Sequence[int] | None = (),
    donate_argnames: str | Sequence[str] | None = (),
    inline: bool = False,
    keep_unused: bool = False,
    device: Any = None,
    guards: bool = True,
    backend: str | Backend | None = "numpy",
    offload: str | Backend | None = None,
    native: str | None = None,
    **others: Any,
) -> Jitted[P, R]: ...
@overload
def jit(
    fun: None = None,
    *,
    static_argnums: int | Sequence[int] | None = (),
    static_argnames: str | Sequence[str] | None = (),
    donate_argnums: int | Sequence[int] | None = (),
    donate_argnames: str | Sequence[str] | None = (),
    inline: bool = False,
    keep_unused: bool = False,
    device: Any = None,
    guards: bool = True,
    backend: str | Backend | None = "numpy",
    offload: str | Backend | None = None,
    native: str | None = None,
    **others: Any,
) -> Callable[[Callable[P, R]], Jitted[P, R]]: ...


def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] | None = (),
    static_argnames: str | Sequence[str] | None = (),
    donate_argnums: int | Sequence[int] | None = (),
    donate_argnames: str | Sequence[str] | None = (),
    inline: bool = False,
    keep_unused: bool = False,
    device: Any = None,
    guards: bool = True,
    backend: str | Backend | None = "numpy",
    offload: str | Backend | None = None,
    native: str | None = None,
    **others: Any,
) -> Any:
    """A function that is recorded once for each structure, shapes and dtypes of its arguments, and run as a program.

    Args:
        fun: a pure function of pytrees of arrays. It is recorded abstractly, once. If it asks for values (`if x > 0`,
            `while`, `float(x)`, `range(n)`), it is recorded for each path that calls take through it instead, at most
            `config.guard_leaves` of them. Arrays that it closes over are constants: copied as they are when it uses
            them, and not looked at again.
        static_argnums, static_argnames: arguments that are passed on as they are; they must be hashable, and the
            function is recorded anew for each value.
        donate_argnums: arguments whose memory results may take over: their arrays must not be used afterwards, and no
            other argument may be a view of them (among themselves they may be views).
        donate_argnames: the same, by the names of parameters.
        inline, keep_unused: accepted for JAX's sake.
        guards: without, a function that asks for values raises, as in JAX.
        backend: where programs run: the name of a device ("numpy", "torch:cpu", "torch:cuda:1", "torch:mps", "cupy:0"),
            or an instance of a class of `funcgrad.backends`, which takes options. What the backend lacks raises
            UnsupportedOperationError before anything runs. Called in another function under `jit`, a function with a
            backend runs there, one without runs where its caller does.
        device: the same by another name.
        offload: NumPy in and out, and the heavy parts of the program on a device, where that pays: "auto" (the first
            accelerator; without one everything is on the host), "matmul" (the same, for products of matrices and
            convolutions only), a device or its name, or a `funcgrad.offload.Offload`. The first three calls are timed.
            On a device nothing warns of floating-point errors; under `np.errstate(all="raise")` calls run on the host.
        native: when there is to be machine code, by the extra `native`: "auto", "now" or "off", as `config.native`,
            which holds for functions that say nothing. In another function under `jit` that one's setting holds.
        **others: `compiler_options` is accepted; `in_shardings`, `out_shardings` and `abstracted_axes` raise unless
            they are None.

    Called with NumPy's arrays, the function returns NumPy's arrays, also where it runs on a device; called with arrays
    on a device (`device_put`), it runs on that device and returns arrays there. Both together raise DeviceError, which
    names the argument; numbers go with either. An array on a device that it closes over is a constant, and NumPy's
    arrays are then copied to that device. Donated arrays on a device are deleted: to read one raises DeletedArrayError.

    A function keeps at most `config.jit_programs` programs, one for each kind of arguments and values of static ones;
    beyond that the one that was not used for the longest time is forgotten, and recorded again when it is needed.

    What the function catches is NumPy's (`except np.linalg.LinAlgError`, `except FloatingPointError` in a
    `with np.errstate(all="raise")`, `except ZeroDivisionError`, a filter of warnings): where the program raises and an
    operation stands in a `try` or a `with`, the function is run as it is, for that call. A question for a value that it
    catches (`except Exception` around `if x > 0`) is not compiled.

    The result pickles as the function and these options, if the function does, and by its name where it is a decorator.

    `jit(f).explain()` shows what runs the function's programs, and the paths through one that branches on values.
    `jit(f).lower(*args)` shows what becomes of the function: `.ir()`, `.optimized_ir()`, `.source()`,
    `.native_source()`, `.cost()`. `jit(f).trace(*args)`, `.eval_shape(*args)` and `.clear_cache()` are JAX's.

    Raises:
        ValueError: positions or names of `static_...` and `donate_...` that the function's signature does not have, and
            arguments that are both static and donated.

    >>> import numpy as np
    >>> f = jit(lambda x, n: x**n, static_argnums=1)
    >>> f(np.array([1.0, 2.0]), 3)
    array([1., 8.])
    """
    backend = backend if device is None else place_named(device, backend)
    named = static_argnums, static_argnames, donate_argnums, donate_argnames, guards, backend
    options = _options(*named, **others) | {"offload": offload, "native": _mode(native)}
    if fun is None:
        return lambda f: jit(f, **options)
    check_callable(fun, "jit")
    place, name = chosen(options["backend"], offload), getattr(fun, "__name__", type(fun).__name__)
    static = Static(fun, options["static_argnums"], options["static_argnames"])
    donate = _donated(fun, options, static)
    recorded = Recorded(fun, static, runner(donate, place, native), branching(name, place, native), guards)
    always = getattr(fun, "only_compiled", False)  # an operation on arrays of a device, which is no other way to do
    params: dict[str, Any] = {"name": name} if place is None else {"name": name, "backend": place}

    @boundary_of(None)
    def call(*args: Any, **kwargs: Any) -> Any:
        if config.disable_jit and not always:
            return fun(*args, **kwargs)
        if config.check_purity and current_trace() is None:
            check_purity(recorded, args, kwargs)
        out = recorded.call(CALL, args, kwargs, **params)
        if config.debugging and current_trace() is None:
            check_result(out, fun, args, kwargs, name)
        return out

    @transformed(jit, fun, **options)
    def jit_fun(*args: Any, **kwargs: Any) -> Any:
        if current_trace() is None and not config.watching:
            for form in recorded.recent:
                leaves = form.take((args, kwargs))
                if leaves is None:
                    continue
                kept = form.find(leaves)
                if kept is not None:
                    try:
                        return kept.put(kept.run(*(form.moving(leaves) if form.fixed else leaves)))
                    except Exception as error:
                        new = leaving(error)
                        if new is error:
                            raise
                        raise new from None
        return call(*args, **kwargs)

    _attach(jit_fun, name, recorded, donate, (place, native), call)
    return jit_fun


def place_named(device: Any, backend: Any) -> Any:
    """The backend for the `device` of `jit`; raises ValueError if the `backend` is on another one."""
    device = getattr(device, "device", device) if not hasattr(device, "lowerings") else device
    given = None if backend in (None, (), "numpy", "cpu") else chosen(backend)
    place = chosen("numpy" if device == "cpu" else device)
    if given is None:
        return "numpy" if place is None else place
    if (Device("cpu") if place is None else place.device) is not given.device:
        raise ValueError(f"jit: device={device!r}, and backend={given!r} is on {given.device}: give one of them")
    return given


def _mode(native: str | None) -> str | None:
    if native is not None and native not in NATIVE_MODES:
        raise ValueError(f'jit: native is "auto", "now", "off" or None, got {native!r}')
    return native


def _options(*given: Any, **others: Any) -> dict[str, Any]:
    """What a call of `jit` has said, by name; None stands for the default. Raises for what `jit` does not take."""
    _check_others(others)
    names = ("static_argnums", "static_argnames", "donate_argnums", "donate_argnames", "guards", "backend")
    options = {name: () if value is None else value for name, value in zip(names, given, strict=True)}
    if options["backend"] in ((), "cpu"):
        options["backend"] = "numpy"
    return options


def _check_others(others: dict[str, Any]) -> None:
    """Raise for what `jit` does not take."""
    for name, value in others.items():
        if name not in ("in_shardings", "out_shardings", "abstracted_axes", "compiler_options"):
            raise TypeError(f"jit got an unexpected keyword argument {name!r}")
        if value is not None and name != "compiler_options":
            why = "functions are recorded for each shape" if name == "abstracted_axes" else "there is one device"
            raise NotImplementedError(f"jit: {name} is not offered, since {why}; leave it out")


def _donated(fun: Any, options: dict[str, Any], static: Static) -> tuple[int, ...]:
    """The positions of arguments that are donated. Raises ValueError for places that the function does not have, and
    for arguments that are static too."""
    nums, names = as_tuple(options["donate_argnums"]), as_tuple(options["donate_argnames"])
    for option in ("static_argnames", "donate_argnames"):
        if not all(isinstance(name, str) for name in as_tuple(options[option])):
            raise TypeError(f"jit: {option} is a name, or a sequence of names, got {options[option]!r}")
    given = (*as_tuple(options["static_argnums"]), *as_tuple(options["static_argnames"]), *nums, *names)
    if not given:
        return ()
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):  # the signature is not known
        return nums
    kinds = {p.kind for p in parameters}
    places = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    found = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for option in ("static_argnums", "donate_argnums"):
        for i in as_tuple(options[option]) if inspect.Parameter.VAR_POSITIONAL not in kinds else ():
            if not -len(places) <= i < len(places):
                raise ValueError(f"jit: {option} has {i}, and the function has {len(places)} positional arguments")
    for option in ("static_argnames", "donate_argnames"):
        for one in as_tuple(options[option]) if inspect.Parameter.VAR_KEYWORD not in kinds else ():
            if one not in found:
                raise ValueError(f"jit: {option} has {one!r}, which is no parameter of the function")
    donated = {i % len(places) if places else i for i in nums} | {places.index(n) for n in names if n in places}
    both = sorted(static.nums & donated) or sorted(static.names & set(names))
    if both:
        raise ValueError(f"jit: argument {both[0]!r} is static and donated; only memory of arrays can be given away")
    return tuple(sorted(donated))


def _explained(name: str, program: Any, backend: Backend | None) -> list[str]:
    if not isinstance(program, Program):
        return [program.explain()]
    if backend is not None:
        return []
    kinds = ", ".join(map(str, program.in_avals))
    return [f"{name}({kinds}): no branch on values; {found.explain()}" for found in tiers(program)]


def _attach(
    jit_fun: Any,
    name: str,
    recorded: Recorded,
    donate: Sequence[int],
    place: tuple[Backend | None, str | None],
    call: Callable[..., Any],
) -> None:
    """Give a function under `jit` its methods. None of them refers to it: that would be a cycle."""

    def recorded_for(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Program, list[Any], Any, dict[Any, Any]]:
        static = recorded.static.split(args, kwargs)
        program, leaves, in_tree = recorded.program("jit", *static)
        return program if isinstance(program, Program) else program.program(leaves), leaves, in_tree, static[0]

    def lowered(program: Program, leaves: list[Any], in_tree: Any, fixed: dict[Any, Any]) -> Lowered:
        found = next((x.backend for x in (*leaves, *program.consts) if type(x) is DeviceArray), None)
        donated = donation(donate, recorded.spans(in_tree))
        run = _with_static(call, fixed) if fixed else call
        return Lowered(program, in_tree, donated, run, place[0] or found, place[1])

    @boundary_of(None)
    def lower(*args: Any, **kwargs: Any) -> Lowered:
        """The function for these arguments (arrays, or ShapeDtypeStructs), on its way to NumPy."""
        return lowered(*recorded_for(args, kwargs))

    @boundary_of(None)
    def trace(*args: Any, **kwargs: Any) -> Traced:
        """The function as it is recorded for these arguments (arrays, or ShapeDtypeStructs)."""
        made = recorded_for(args, kwargs)
        donated = donation(donate, recorded.spans(made[2]))
        return Traced(made[0], made[2], donated, name, lambda: lowered(*made))

    def shapes(*args: Any, **kwargs: Any) -> Any:
        """Shapes and dtypes of the result for these arguments, in its structure."""
        fixed, traced, named = recorded.static.split(args, kwargs)
        if isinstance(recorded.program("jit", fixed, traced, named)[0], Program):
            return trace(*args, **kwargs).out_info
        run = _with_static(call, fixed) if fixed else call  # it branches on values, which do not count here
        return eval_shape(lambda traced, named: run(*traced, **named), traced, named)

    def explain() -> str:
        """What runs the function, for each kind of arguments: NumPy or native code, why, and what compiling cost; the
        paths that calls took through one that branches on values: lines, values, how often, what they cost; with
        `offload` also what runs where, and why."""
        kept = [k.program for k in tuple(recorded.programs.values())]
        found = [text for p in kept for text in _explained(name, p, place[0])] or [f"{name}: no branch on values"]
        if place[0] is not None:
            found += [text for p in kept if isinstance(p, Program) for text in reports(p, place[0])]
        return "\n\n".join(found)

    jit_fun.lower, jit_fun.explain, jit_fun.trace, jit_fun.eval_shape = lower, explain, trace, shapes
    jit_fun.clear_cache, jit_fun._cache_size = recorded.clear, lambda: len(recorded.programs)


def _with_static(call: Callable[..., Any], fixed: dict[Any, Any]) -> Callable[..., Any]:
    """A function of the arguments that are not static."""

    def run(*args: Any, **kwargs: Any) -> Any:
        rest, n = iter(args), len(args) + sum(is_a(place, int) for place in fixed)
        named = {place: value for place, value in fixed.items() if not is_a(place, int)}
        return call(*(fixed[i] if i in fixed else next(rest) for i in range(n)), **named, **kwargs)

    return run
