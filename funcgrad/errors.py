"""The errors that users meet, and the folding of funcgrad's own frames out of tracebacks.

Names are JAX's where JAX has the same error. Every message says the operation, the shapes and dtypes, the user's line,
and what to do.
"""

from __future__ import annotations

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
    "IRError",
    "InconclusiveRuleError",
    "ShapeError",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "TracerIntegerConversionError",
    "TracerWriteError",
    "UnexpectedTracerError",
    "UnsupportedFunctionError",
    "explain",
    "fold_traceback",
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


class IRError(AssertionError):
    """A program is not well formed."""


def operands_text(args: Iterable[Any]) -> str:
    """The operands of an operation by dtype and shape, as `f64[3], f64[4]`."""
    return ", ".join(str(aval_of(a)) if hasattr(a, "dtype") or np.isscalar(a) else type(a).__name__ for a in args)


def explain(name: str, args: Sequence[Any], error: Exception, source: Source) -> Exception:
    """The error to raise in place of `error`, which the operation `name` met: same kind, with the user's words."""
    if isinstance(error, (ConcretizationTypeError, TracerArrayConversionError, UnexpectedTracerError)):
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


def fold_traceback(error: BaseException) -> None:
    """Drop funcgrad's and NumPy's own frames from the traceback of `error`.

    The whole traceback stays reachable as `error.full_traceback`; `config.full_tracebacks = True` keeps it in place.
    """
    if config.full_tracebacks:
        return
    whole = error.__traceback__
    kept: list[TracebackType] = []
    tb = whole
    while tb is not None:
        if not is_internal(tb.tb_frame.f_code.co_filename):
            kept.append(tb)
        tb = tb.tb_next
    chain: TracebackType | None = None
    for tb in reversed(kept):
        chain = TracebackType(chain, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    if not hasattr(error, "full_traceback"):
        try:
            error.full_traceback = whole  # type: ignore[attr-defined]
        except AttributeError:  # an exception class with __slots__
            return
    error.__traceback__ = chain
