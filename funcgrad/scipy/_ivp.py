"""`solve_ivp`: initial value problems in SciPy's form.

Where nothing is traced, it is SciPy's own, with compiled functions and exact Jacobians. Where something is, it is
`odeint` with SciPy's control of the steps, which gives the same numbers for "RK45".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.control.cond import cond
from funcgrad.core import current_trace
from funcgrad.executor.jit import jit
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.scipy._host import Recording, found_root, on_host
from funcgrad.scipy._minimize import result_class
from funcgrad.scipy._needs import scipy_module
from funcgrad.scipy._ode import Options
from funcgrad.scipy._odeint import solution
from funcgrad.transforms.jacobian import jacfwd
from funcgrad.types import ShapedArray, shape_of

__all__ = ["solve_ivp"]

_METHODS = {
    "RK45": "dopri5",
    "Radau": "rodas4",
    "BDF": "rodas4",
    "LSODA": "rodas4",
    "dopri5": "dopri5",
    "rodas4": "rodas4",
}
_STIFF = ("Radau", "BDF", "LSODA")
_OURS = {"dopri5": "RK45", "rodas4": "Radau"}


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Sequence[Any],
    y0: Any,
    method: str = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: Any = None,
    rtol: float = 1e-3,
    atol: float = 1e-6,
    max_step: float = np.inf,
    first_step: float | None = None,
) -> Any:
    """The solution of dy/dt = fun(t, y, *args) with y(t_span[0]) = y0, as `scipy.integrate.solve_ivp` gives it.

    The solution at `t_eval`, the times of events and the values there have derivatives by y0, `args`, the times and
    what `fun` closes over, to any order, under `jit` and `vmap` (see `odeint`). Tolerances are SciPy's, which are
    coarse: give smaller ones for derivatives.

    Args:
        fun: `fun(t, y, *args)`, a vector like y; where something is traced, one that `make_ir` can record.
        t_span: the first and the last time.
        y0: a vector.
        method: any of SciPy's where nothing is traced. Where something is, "RK45", or (all of them Rodas4, with the
            tolerances asked for) "Radau", "BDF" or "LSODA" for stiff equations.
        t_eval: the times of output; by default those of the steps, which must be known: while derivatives are taken,
            but not under `vmap` and in loops, and under `jit` they are compiled for each value anew.
        events: a function `event(t, y, *args)`, or a list of them, with the attributes `terminal` and `direction`.
            Where something is traced, all must be terminal. Then `t_events[i]` has shape (1,) and `y_events[i]` (1, n),
            NaN for those that were not the one to happen; and `y` is NaN after it.
        args: further arguments of `fun` and of events.
        rtol, atol, max_step, first_step: as for SciPy.
        dense_output, vectorized: as for SciPy, where nothing is traced.

    Returns:
        SciPy's OdeResult; where something is traced, `t`, `y` (elements, times), `success` (compiled: NaN where it is
        false), and with events `t_events`, `y_events`.

    >>> from funcgrad import grad
    >>> def last(k):
    ...     return solve_ivp(
    ...         lambda t, y: -k * y, (0.0, 2.0), np.ones(1), t_eval=np.array([2.0]), rtol=1e-8, atol=1e-8
    ...     ).y[0, 0]
    >>> round(float(last(0.5)), 6), round(float(grad(last)(0.5)), 6)
    (0.367879, -0.735759)
    """
    args = () if args is None else tuple(args)
    functions = [] if events is None else list(events) if isinstance(events, (list, tuple)) else [events]
    if current_trace() is None:
        return _scipys(fun, t_span, y0, args, functions or None, {
            "method": _OURS.get(method, method), "t_eval": t_eval, "dense_output": dense_output, "rtol": rtol,
            "atol": atol, "vectorized": vectorized, "max_step": max_step, "first_step": first_step,
        })  # fmt: skip
    if method not in _METHODS:
        raise ValueError(
            f"solve_ivp: where something is traced, method must be one of {sorted(_METHODS)}, got {method!r}"
        )
    if dense_output or first_step is not None:
        raise ValueError("solve_ivp: where something is traced, dense_output and first_step are not offered")
    start, t0 = array_operand(y0) * 1.0, array_operand(t_span[0]) * 1.0
    options = Options(_METHODS[method], float(rtol), float(atol), np.inf, float(max_step), 0.0)
    if t_eval is None:
        t_eval = _times_of_steps(lambda t, y: fun(t, y, *args), t0, array_operand(t_span[1]) * 1.0, start, options)
    ts = array_operand(t_eval) * 1.0

    def at(times: Any) -> Any:
        """The solution at these times, of shape (times, elements)."""
        end = array_operand(t_span[1]) * 1.0
        every = np.concatenate([t0[None], times]) if times is not ts else np.concatenate([t0[None], ts, end[None]])
        ys = solution(lambda y, t: fun(t, y, *args), start, every, (), options)[1:]
        return ys if times is not ts else ys[:-1]

    ys = at(ts)
    found: dict[str, Any] = {}
    if functions:
        times = _first_event(fun, functions, args, (t0, array_operand(t_span[1]) * 1.0, start), options, at)
        stop = np.min(np.stack([np.where(np.isnan(t), np.inf, t) for t in times]))
        ys = np.where((ts <= stop)[:, None], ys, np.nan)
        found["t_events"] = [t[None] for t in times]
        found["y_events"] = [_where_found(t, at, shape_of(start)) for t in times]
    return result_class()(t=ts, y=np.transpose(ys), success=np.all(np.isfinite(ys[:1])), **found)


def _times_of_steps(flow: Any, t0: Any, t1: Any, start: Any, options: Options) -> Any:
    """The times at which SciPy's steps end. The first and the last are those given, with their derivatives."""
    field = _recorded(flow, start)

    def value(x: Any) -> Any:
        return known(x, "solve_ivp without t_eval", "give the times of output as t_eval")

    result = _scipys(_timed(field, [value(x) for x in field.held]), (float(value(t0)), float(value(t1))), value(start),
                     (), None, _settings(options))  # fmt: skip
    return np.concatenate([t0[None], result.t[1:-1], t1[None]])


_NUMBER = ShapedArray((), np.dtype(np.float64))


def _recorded(f: Any, start: Any) -> Recording:
    """A recording of a function of a time and a vector."""
    return Recording(f, [_NUMBER, ShapedArray(shape_of(start), np.dtype(np.float64))])


def _settings(options: Options) -> dict[str, Any]:
    """What SciPy is told."""
    return {"method": _OURS[options.method], "rtol": options.rtol, "atol": options.atol, "vectorized": False,
            "max_step": options.hmax}  # fmt: skip


def _where_found(t: Any, at: Callable[[Any], Any], shape: tuple[int, ...]) -> Any:
    return cond(np.isnan(t), lambda t: np.full((1, *shape), np.nan) + 0.0 * np.ones(()), lambda t: at(t[None]), t)


def _scipys(fun: Any, t_span: Any, y0: Any, args: Any, events: Any, options: dict[str, Any]) -> Any:
    """SciPy's own, with a compiled function and its Jacobian."""
    compiled = jit(lambda t, y, args: array_operand(fun(t, y, *args)) * 1.0)
    if options["vectorized"]:
        compiled = lambda t, y, args: fun(t, y, *args)  # noqa: E731
    elif options["method"] in _STIFF:
        slopes = jit(jacfwd(lambda y, t, args: fun(t, y, *args)))
        options["jac"] = lambda t, y: np.array(slopes(y, np.float64(t), args))
    held = [_with_attributes(e, args) for e in events or ()]
    solve = scipy_module("integrate", "integrate.solve_ivp").solve_ivp
    plain = lambda t, y: np.array(compiled(np.float64(t), y, args))  # noqa: E731
    return solve(plain, t_span, np.asarray(y0, np.float64), events=held or None, **options)


def _with_attributes(event: Any, args: Any) -> Any:
    def of(t: Any, y: Any) -> Any:
        return event(t, y, *args)

    of.terminal, of.direction = getattr(event, "terminal", False), getattr(event, "direction", 0)  # type: ignore[attr-defined]
    return of


def _first_event(
    fun: Any, events: Sequence[Any], args: Any, span: Any, options: Options, at: Callable[[Any], Any]
) -> list[Any]:
    """The time of each event, NaN if it is not the one that ends the integration; as a root it has derivatives."""
    for event in events:
        if not getattr(event, "terminal", False):
            raise ValueError(
                "solve_ivp: where something is traced, each event must be terminal (event.terminal = True)"
            )
    t0, t1, start = span
    flag = ShapedArray((), np.dtype(bool))

    def locate() -> tuple[list[Any], list[Any]]:
        field = _recorded(lambda t, y: fun(t, y, *args), start)
        functions = [_recorded(lambda t, y, e=e: e(t, y, *args), start) for e in events]
        counts = np.cumsum([len(field.held), *(len(f.held) for f in functions)])

        def call(t0: Any, t1: Any, start: Any, *held: Any) -> list[Any]:
            held_by = [held[i:j] for i, j in zip([0, *counts[:-1]], counts, strict=True)]
            timed = [_timed(f, h) for f, h in zip(functions, held_by[1:], strict=True)]
            for new, event in zip(timed, events, strict=True):
                new.terminal, new.direction = event.terminal, getattr(event, "direction", 0)
            result = _scipys(_timed(field, held_by[0]), (float(t0), float(t1)), start, (), timed, _settings(options))
            times = [e[0] if len(e) else None for e in result.t_events]
            return [*(t1 if t is None else t for t in times), *(t is not None for t in times)]

        n = len(events)
        held = [*field.held, *(x for f in functions for x in f.held)]
        out = on_host(call, [*[_NUMBER] * n, *[flag] * n], t0, t1, start, *held)
        return out[:n], out[n:]

    times, happened = locate()
    roots: list[Any] = []
    for event, t, here in zip(events, times, happened, strict=True):
        root, _ = found_root(
            lambda t, event=event: np.reshape(event(t, at(t[None])[0], *args), ()),
            t,
            lambda guess, here=here: (guess, {"good": here}),
            lambda: "solve_ivp: an event that did not happen has no derivative",
        )
        roots.append(np.where(here, root, np.nan))
    return roots


def _timed(recording: Recording, held: Sequence[Any]) -> Any:
    return lambda t, y: recording(held, t, y)
