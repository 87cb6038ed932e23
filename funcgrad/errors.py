"""The errors that users meet, and the folding of funcgrad's own frames out of tracebacks.

Names are JAX's where JAX has the same error. Every message says the operation, the shapes and dtypes, the user's line,
and what to do.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from funcgrad.config import config
from funcgrad.source import Source, describe, is_internal, of_rule, rule_of, user_frame
from funcgrad.types import aval_of

__all__ = [
    "ArgumentError",
    "CapturedArrayWriteError",
    "CompileFallbackWarning",
    "ConcretizationTypeError",
    "DTypeError",
    "DTypePromotionError",
    "DeletedArrayError",
    "DeviceError",
    "FuncgradWarning",
    "GuardError",
    "GuardLimitWarning",
    "IRError",
    "ImpureFunctionError",
    "ImpureFunctionWarning",
    "InconclusiveRuleError",
    "IndexKindError",
    "JAXIndexError",
    "JAXTypeError",
    "KeyReuseError",
    "NativeWarning",
    "NonConcreteBooleanIndexError",
    "NotLinearError",
    "NotOfferedError",
    "OutOfDeviceMemoryError",
    "ShapeError",
    "SlowCompileWarning",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "TracerIntegerConversionError",
    "TracerWriteError",
    "UnexpectedTracerError",
    "UnsupportedFunctionError",
    "explain",
    "fold_traceback",
    "from_user",
    "locate",
    "operands_text",
    "reraise",
    "rule_failed",
]


class ArgumentError(TypeError, ValueError):
    """An argument, or what a function of the user's returns, does not fit the others in structure, shape or dtype.

    For the same faults some libraries raise TypeError, and some ValueError: this is both.
    """


class ShapeError(ArgumentError):
    """The shapes of an operation's operands do not fit. (NumPy raises ValueError, and JAX's `lax` TypeError.)"""


class IndexKindError(IndexError, TypeError):
    """An index is of a kind that none can be, such as a float. (NumPy raises IndexError, and JAX TypeError.)"""


class DTypeError(TypeError):
    """An operation is not defined for a dtype."""


class DTypePromotionError(DTypeError, ValueError):
    """With `config.dtype_promotion = "strict"`: operands of different dtypes meet."""


class ConcretizationTypeError(TypeError):
    """A value was asked of a tracer that stands for many values."""


class TracerBoolConversionError(ConcretizationTypeError):
    """`if x:` or `bool(x)` with an abstract tracer."""


class TracerIntegerConversionError(ConcretizationTypeError):
    """`range(x)`, `a[x]` or `int(x)` with an abstract tracer."""


class TracerArrayConversionError(TypeError):
    """A tracer was passed to something that wants a real array, such as `np.array` or `np.asarray`."""


class NonConcreteBooleanIndexError(ConcretizationTypeError, IndexError):
    """An index is a boolean mask whose value is not known."""


class KeyReuseError(RuntimeError):
    """A random key was used twice. (Nothing here raises it: keys are not followed.)"""


JAXTypeError, JAXIndexError = ConcretizationTypeError, NonConcreteBooleanIndexError


class TracerWriteError(TypeError):
    """A write that is not possible while a function is traced: into what another function made, or of a shape."""


class CapturedArrayWriteError(ValueError):
    """A write into an array that a derivative in progress still needs."""


class UnexpectedTracerError(RuntimeError):
    """A tracer was used after the transformation that made it had ended."""


class UnsupportedFunctionError(TypeError):
    """A NumPy or SciPy function that has no rule here; it is never run on object arrays instead."""


class InconclusiveRuleError(NotImplementedError):
    """A primitive has no derivative for this use."""


class NotLinearError(TypeError, NotImplementedError):
    """A function, or a rule for derivatives, must be linear and is not."""


class NotOfferedError(NotImplementedError, AttributeError):
    """A module has no such name, on purpose; the message says what to use. (`hasattr` is false.)"""


class DeviceError(TypeError):
    """Arrays meet that are not on the same device."""


class DeletedArrayError(RuntimeError):
    """An array on a device is read that was donated to a function, or deleted."""


class OutOfDeviceMemoryError(MemoryError):
    """A device has too little memory for a program; what the program had computed is gone."""


class GuardError(RuntimeError):
    """A program was run with values for which it does not hold: Python chose another branch when it was recorded."""


class ImpureFunctionError(RuntimeError):
    """With `config.check_purity`: a function under `jit` depends on something else than its arguments."""


class FuncgradWarning(UserWarning):
    """What funcgrad warns of."""


class GuardLimitWarning(FuncgradWarning):
    """A function under `jit` takes another path for (nearly) every value, and is run eagerly from then on."""


class ImpureFunctionWarning(FuncgradWarning):
    """A function under `jit` was recorded twice for the same values of its branches, and did something else."""


class NativeWarning(FuncgradWarning):
    """Native code of a program could not be made; NumPy runs it."""


class CompileFallbackWarning(FuncgradWarning):
    """The compiler of a backend has failed, and a program is run without it."""


class SlowCompileWarning(FuncgradWarning):
    """`jit` compiles a function for long, since it has unrolled a Python loop."""


class IRError(AssertionError):
    """A program is not well formed."""


def operands_text(args: Iterable[Any]) -> str:
    """The operands of an operation by dtype and shape, as `f64[3], f64[4]`."""
    return ", ".join(str(aval_of(a)) if hasattr(a, "dtype") or np.isscalar(a) else type(a).__name__ for a in args)


def explain(name: str, args: Sequence[Any], error: Exception, source: Source) -> Exception:
    """The error to raise in place of `error`, which the operation `name` met: same kind, with the user's words.

    What a rule for derivatives does is told as such: `source` says so. An error that has been told with its place, by a
    program inside the operation, stays as it is.
    """
    if isinstance(error, (ConcretizationTypeError, NotLinearError, TracerArrayConversionError, UnexpectedTracerError)):
        return error
    if getattr(error, "told", None) is not None and error.told.source is not None:  # type: ignore[attr-defined]
        return error
    place, words = describe(source), str(error)
    if rule := rule_of(source):
        name = f"derivative of {rule}" if name == rule else f"derivative of {rule}: {name}"
        words += _remedy(error)
    new = _retold(name, args, error, words, place)
    new.told = _Told(name, words, error, source)  # type: ignore[attr-defined]
    return new


def explain_generated(
    error: Exception, filename: str, equations: Sequence[Any], told: Callable[[Any], bool] | None = None
) -> NoReturn:
    """Raise the error of generated code at the user's line.

    Args:
        filename: the name of the code.
        equations: for each of its lines the equation that it runs, or None.
        told: `told(eqn)`, whether a program inside of it has said it already.
    """
    line, tb = None, error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_code.co_filename == filename:
            line = tb.tb_lineno
        tb = tb.tb_next
    eqn = equations[line - 1] if line is not None and line <= len(equations) else None
    if eqn is None or (told is not None and told(eqn)):
        raise error
    new = explain(eqn.primitive.name, [x.aval for x in eqn.inputs], error, eqn.source)
    if new is error:
        raise error
    raise new from None


class _Told(NamedTuple):
    """What `explain` has said of an error: the operation, the words, the error it met, and the place."""

    name: str
    words: str
    error: Exception
    source: Source


def _remedy(error: Exception) -> str:
    """What to do where a derivative cannot be computed."""
    words = str(error)
    if isinstance(error, np.linalg.LinAlgError) and "ingular" in words:
        return (
            "; there is no derivative at a singular matrix: add a small multiple of the identity, or leave such "
            "matrices out with funcgrad.lax.cond"
        )
    if isinstance(error, ZeroDivisionError):
        return (
            "; Python's numbers raise here: with numpy.float64(x) or an array the derivative is inf or nan; or leave "
            "this point out with funcgrad.lax.cond"
        )
    if isinstance(error, (FloatingPointError, Warning)):
        return "; the derivative is not finite here: leave this point out with funcgrad.lax.cond"
    return ""


def _retold(name: str, args: Sequence[Any], error: Exception, words: str, place: str) -> Exception:
    message = f"{name}: {words}\n  operands: {operands_text(args)}"
    if place:
        message += f"\n  at {place}"
    kind = type(error)
    new: Exception | None = None
    if from_user(error):  # a function that was handed over, which has its own words and line
        pass
    elif isinstance(error, (ArgumentError, DTypeError, InconclusiveRuleError)):
        new = kind(message)
    elif isinstance(error, np.linalg.LinAlgError):
        new = np.linalg.LinAlgError(message)
    elif isinstance(error, IndexError):
        new = (kind if kind is IndexKindError else IndexError)(message)
    elif kind is ValueError:
        new = ShapeError(message)
    elif isinstance(error, TypeError):
        new = DTypeError(message)
    if new is None:  # an error of somebody else (FloatingPointError, MemoryError, …) keeps its type and says where
        hint = words.removeprefix(str(error))
        error.add_note(f"funcgrad: in {name} of {operands_text(args)}" + (f" at {place}" if place else "") + hint)
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


def rule_failed(name: str, args: Sequence[Any], error: Exception, source: Source) -> NoReturn:
    """Raise what is to be told of an error that the rule for the derivative of `name` met, with the operation's place.

    What has been told of it already stays if it has another place than that of the whole transformation, in which the
    rule runs; and so does what the user's own code raised (a rule of a `custom_vjp`).
    """
    told: _Told | None = getattr(error, "told", None)
    if told is None:
        if from_user(error):
            raise error
        reraise(name, args, error, of_rule(source, name))
    if rule_of(told.source):
        raise error
    frame = user_frame()
    if told.source is not None and frame is not None and told.source != (frame.f_code, frame.f_lasti):
        raise error
    if told.error is error:  # an error of somebody else, which has a note: that of the wrong place goes
        error.__notes__.pop()
    reraise(told.name, args, told.error, of_rule(source, name))


def from_user(error: Exception) -> bool:
    """Whether an error was raised by code that is neither funcgrad's nor NumPy's, nor generated."""
    tb = error.__traceback__
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if not filename.startswith("<funcgrad") and not is_internal(filename):
            return True
        tb = tb.tb_next
    return False


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


def __dir__() -> list[str]:
    return __all__
