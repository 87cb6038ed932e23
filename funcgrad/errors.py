"""The errors that users meet, and the folding of funcgrad's own frames out of tracebacks.

Names are JAX's where JAX has the same error. Every message says the operation, the shapes and dtypes, the user's line,
and what to do.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from funcgrad.config import config
from funcgrad.source import Source, describe, is_internal
from funcgrad.types import aval_of

__all__ = [
    "CapturedArrayWriteError",
    "ConcretizationTypeError",
    "DTypeError",
    "FuncgradWarning",
    "GuardError",
    "GuardLimitWarning",
    "IRError",
    "ImpureFunctionError",
    "ImpureFunctionWarning",
    "InconclusiveRuleError",
    "NotLinearError",
    "ShapeError",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "TracerIntegerConversionError",
    "TracerWriteError",
    "UnexpectedTracerError",
    "UnsupportedFunctionError",
    "explain",
    "fold_traceback",
    "locate",
    "operands_text",
    "reraise",
]


class ShapeError(ValueError):
    """The shapes of an operation's operands do not fit."""


class DTypeError(TypeError):
    """An operation is not defined for a dtype."""


class ConcretizationTypeError(TypeError):
    """A value was asked of a tracer that stands for many values."""


class TracerBoolConversionError(ConcretizationTypeError):
    """`if x:` or `bool(x)` with an abstract tracer."""


class TracerIntegerConversionError(ConcretizationTypeError):
    """`range(x)`, `a[x]` or `int(x)` with an abstract tracer."""


class TracerArrayConversionError(TypeError):
    """A tracer was passed to something that wants a real array, such as `np.array` or `np.asarray`."""


class TracerWriteError(TypeError):
    """A write into a tracer, or of a tracer into an array: traced functions are pure."""


class CapturedArrayWriteError(ValueError):
    """A write into an array that a derivative in progress still needs."""


class UnexpectedTracerError(RuntimeError):
    """A tracer was used after the transformation that made it had ended."""


class UnsupportedFunctionError(TypeError):
    """A NumPy or SciPy function that has no rule here; it is never run on object arrays instead."""


class InconclusiveRuleError(NotImplementedError):
    """A primitive has no derivative for this use."""


class NotLinearError(TypeError):
    """A function, or a rule for derivatives, must be linear and is not."""


class GuardError(RuntimeError):
    """A program was run with values for which it does not hold: Python chose another branch when it was recorded."""


class ImpureFunctionError(RuntimeError):
    """With `config.check_purity`: a function under `jit` depends on something else than its arguments."""


class FuncgradWarning(UserWarning):
    """What funcgrad warns of."""


class GuardLimitWarning(FuncgradWarning):
    """A function under `jit` takes another way for (nearly) every value, and is run eagerly from then on."""


class ImpureFunctionWarning(FuncgradWarning):
    """A function under `jit` was recorded twice for the same values of its branches, and did something else."""


class IRError(AssertionError):
    """A program is not well formed."""


def operands_text(args: Iterable[Any]) -> str:
    """The operands of an operation by dtype and shape, as `f64[3], f64[4]`."""
    return ", ".join(str(aval_of(a)) if hasattr(a, "dtype") or np.isscalar(a) else type(a).__name__ for a in args)


def explain(name: str, args: Sequence[Any], error: Exception, source: Source) -> Exception:
    """The error to raise in place of `error`, which the operation `name` met: same kind, with the user's words."""
    if isinstance(error, (ConcretizationTypeError, NotLinearError, TracerArrayConversionError, UnexpectedTracerError)):
        return error
    place = describe(source)
    message = f"{name}: {error}\n  operands: {operands_text(args)}"
    if place:
        message += f"\n  at {place}"
    kind = type(error)
    if isinstance(error, (ShapeError, DTypeError, InconclusiveRuleError)):
        new: Exception = kind(message)
    elif isinstance(error, np.linalg.LinAlgError):
        new = np.linalg.LinAlgError(message)
    elif isinstance(error, IndexError):
        new = IndexError(message)
    elif isinstance(error, ValueError):
        new = ShapeError(message)
    elif isinstance(error, TypeError):
        new = DTypeError(message)
    else:  # an error of somebody else (FloatingPointError, MemoryError, …) keeps its type and says where
        error.add_note(f"funcgrad: in {name} of {operands_text(args)}" + (f" at {place}" if place else ""))
        return error
    new.__context__ = error
    new.__suppress_context__ = True
    return new


def reraise(name: str, args: Sequence[Any], error: Exception, source: Source) -> NoReturn:
    """Raise what `explain` makes of `error`."""
    new = explain(name, args, error, source)
    if new is error:
        raise error
    raise new from None


def locate(error: Exception) -> None:
    """Add the user's line to the message of an error that was raised in funcgrad's own code, if it lacks it."""
    frames: list[tuple[str, int, str]] = []
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        frames.append((code.co_filename, tb.tb_lineno, code.co_name))
        tb = tb.tb_next
    ours = bool(frames) and is_internal(frames[-1][0])
    place = next((f for f in reversed(frames) if not is_internal(f[0])), None)
    kind = isinstance(error, (ValueError, TypeError, IndexError))
    if ours and kind and place is not None and len(error.args) == 1 and "\n  at " not in str(error):
        error.args = (f"{error}\n  at {os.path.basename(place[0])}:{place[1]} ({place[2]})",)


def fold_traceback(error: BaseException) -> None:
    """Drop funcgrad's and NumPy's own frames from the traceback of `error`, and say the user's line if it does not.

    The whole traceback stays reachable as `error.full_traceback`; `config.full_tracebacks = True` keeps it in place.
    """
    whole = error.__traceback__
    kept: list[TracebackType] = []
    tb = last = whole
    while tb is not None:
        if not is_internal(tb.tb_frame.f_code.co_filename):
            kept.append(tb)
        tb, last = tb.tb_next, tb
    if kept and last is not kept[-1]:  # raised here, and not by the user's own code
        place = describe((kept[-1].tb_frame.f_code, kept[-1].tb_lasti))
        if not any(place in text for text in (str(error), *getattr(error, "__notes__", ()))):
            error.add_note(f"  at {place}")
    if config.full_tracebacks:
        return
    chain: TracebackType | None = None
    for tb in reversed(kept):
        chain = TracebackType(chain, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    if not hasattr(error, "full_traceback"):
        try:
            error.full_traceback = whole  # type: ignore[attr-defined]
        except AttributeError:  # an exception class with __slots__
            return
    error.__traceback__ = chain
