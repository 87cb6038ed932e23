"""From programs to what runs them: optimised, planned, written down and compiled once, and kept with the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad.device_array import DeviceArray
from funcgrad.errors import DeviceError
from funcgrad.ir import Program
from funcgrad.transforms.call import CALL
from funcgrad.types import ShapedArray

if TYPE_CHECKING:
    from funcgrad.backends.base import Backend
    from funcgrad.executor.executable import Executable
    from funcgrad.native.tier import Tier
    from funcgrad.transforms.recorded import Recorded

__all__ = [
    "branching",
    "check_purity",
    "chosen",
    "donation",
    "executable",
    "report",
    "reports",
    "runner",
    "tier",
    "tiers",
]


@cache
def _builder() -> Callable[..., Executable]:
    return import_module("funcgrad.executor.build").build


@cache
def _guards() -> Any:
    return import_module("funcgrad.executor.guards")


@cache
def _backends() -> Any:
    return import_module("funcgrad.backends")


def chosen(backend: str | Backend, offload: Any = None) -> Backend | None:
    """The backend that is meant; None for NumPy's, which needs no other module. Raises where there is none."""
    if offload is None:
        return None if backend == "numpy" else _backends().get_backend(backend)
    if backend != "numpy":
        raise ValueError(f"jit: backend={backend!r} runs whole programs there, offload={offload!r} parts: give one")
    return import_module("funcgrad.offload").offload_of(offload)


@cache
def _tiers() -> Any:
    return import_module("funcgrad.native.tier")


def executable(
    program: Program, donated: tuple[bool, ...] = (), backend: Backend | None = None, native: str | None = None
) -> Executable:
    """The compiled program; `donated` says which inputs may be overwritten, `native` when there is to be machine code
    (None: `config.native` says it)."""
    key = ("executable", donated, backend, native)
    found = program.derived.get(key)
    if found is None:
        if backend is not None:
            return program.derived.setdefault(key, _backends().compile_for(backend, program, donated))
        found = program.derived.setdefault(key, _builder()(program, donated))
        tier(program, donated, native).attach()
    return found


def tier(program: Program, donated: tuple[bool, ...] = (), native: str | None = None) -> Tier:
    """Which code runs the program."""
    key = "tier", donated, None, native
    found = program.derived.get(key)
    if found is None:
        made = executable(program, donated, None, native)
        found = program.derived.setdefault(key, _tiers().Tier(made, _tiers().ProgramTask(program), native))
    return found


def donation(donate: Sequence[int], leaves: Sequence[int]) -> tuple[bool, ...]:
    """For each flat input whether it may be overwritten; `leaves` says how many each positional argument has, and the
    named ones together."""
    if not donate:
        return ()
    chosen = {i % (len(leaves) - 1) for i in donate if -len(leaves) < i < len(leaves) - 1}
    return tuple(i in chosen for i, n in enumerate(leaves) for _ in range(n))


def runner(
    donate: Sequence[int] = (), backend: Backend | None = None, native: str | None = None
) -> Callable[[Program, Sequence[int], Backend | None, Any], Callable[..., Any]]:
    """What makes of a program, the number of leaves of each argument, and the backend of those that are on a device,
    the function that runs it; and sees to it that `run` of a user is that function, also when it is replaced."""

    def make(
        program: Program, leaves: Sequence[int], there: Backend | None = None, user: Any = None
    ) -> Callable[..., Any]:
        donated = donation(donate, leaves)
        home = backend or _of_constants(program)
        if there is None and home is backend:
            found = executable(program, donated, backend, native)
            if backend is None and user is not None:
                tier(program, donated, native).used_by(user)
            return found.__call__
        if there is not None and home is not None and home.device is not there.device:
            whose = "jit was told to run it on" if backend is not None else "it closes over an array on"
            raise DeviceError(
                f"a function is called with arrays on {there.device}, and {whose} {home.device}: "
                f"device_put(x, {str(home.device)!r}) makes a copy there"
            )
        home = backend or there or home
        to_host = there is None and any(not a.weak for a in program.in_avals)
        return import_module("funcgrad.executor.resident").Resident(program, donated, home, to_host)

    return make


def _of_constants(program: Program) -> Backend | None:
    """The backend of the arrays on a device that a program has as constants."""
    return next((c.backend for c in program.consts if type(c) is DeviceArray), None)


def reports(program: Program, backend: Backend) -> list[str]:
    """What compiled programs made of this one for a backend say of where they run."""
    made = [x for key, x in tuple(program.derived.items()) if key[:1] == ("executable",) and key[2] is backend]
    return [text for x in made if (text := report(x, backend))]


def report(compiled: Any, backend: Backend | None) -> str:
    """What a compiled program says of where it runs; "" if nothing."""
    return compiled.report() if hasattr(compiled, "report") else getattr(backend, "note", "")


def branching(
    name: str, backend: Backend | None = None, native: str | None = None
) -> Callable[[Callable[..., Any], Sequence[ShapedArray], Backend | None], Any]:
    """What makes of a function that branches on values, the avals of its flat arguments, and the backend of those that
    are on a device, what runs it."""

    def make(fun: Callable[..., Any], avals: Sequence[ShapedArray], there: Backend | None = None) -> Any:
        place = backend or there
        if place is None or (there is None and hasattr(place, "offloads")):
            return _guards().Guarded(fun, avals, name, place, native)
        return import_module("funcgrad.executor.device_guards").GuardedOnDevice(fun, avals, name, place, there is None)

    return make


def tiers(program: Program) -> list[Tier]:
    """Which code runs a program, for each way to use its arguments' memory."""
    return [found for key, found in tuple(program.derived.items()) if type(key) is tuple and key[0] == "tier"]


def check_purity(recorded: Recorded, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise ImpureFunctionError if a function is recorded already for these arguments, and would be otherwise now."""
    import_module("funcgrad.executor.purity").check(recorded, args, kwargs)


def _run(*args: Any, program: Program, backend: Backend | None = None, **params: Any) -> tuple[Any, ...]:
    return executable(program, (), backend)(*args)


CALL.impl = _run
