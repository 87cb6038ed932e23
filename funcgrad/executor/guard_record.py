"""Recordings at values: one path through a function that branches on them.

The function is recorded concretely. Whenever Python asks a tracer for its value, a `guard` is recorded and the value
given. The library itself gets none (`concrete()` without a reason), so that `lax.cond` stays one operation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any
from weakref import ref

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import settle_all
from funcgrad.config import config
from funcgrad.core import Primitive, Trace, Tracer, escaped, under
from funcgrad.ir import Equation, Program
from funcgrad.ops.guard import GUARD, asked
from funcgrad.record import Opened, RecordTracer
from funcgrad.source import Source, user_source
from funcgrad.transforms.boundary import differentiable_leaf
from funcgrad.transforms.custom_call import CUSTOM
from funcgrad.types import dtype_of, is_a
from funcgrad.watched import Watched, depends_on_values

__all__ = ["Path", "TooLong"]

_EXACT = {"bool": "b", "int": "biu", "float": "fbiu", "complex": "fcbiu", "bytes": "fcbiu"}
"""For each kind of guard, the dtypes of which nothing is left to ask after it."""


class TooLong(BaseException):
    """A recording has more equations than `config.guard_length`; the user's code is not to catch this."""

    def __init__(self, source: Source) -> None:
        self.source = source


class _Questions:
    """What Python has asked of the tracers of a recording."""

    __slots__ = ("known", "open", "record")

    def __init__(self, record: _Recorder) -> None:
        self.record, self.open = record, True
        self.known: dict[tuple[int, str], RecordTracer] = {}

    def __call__(self, tracer: RecordTracer, how: str | None) -> Any:
        """The value of a tracer, noted down as an equation; None where no reason is given."""
        if how is None:
            return None
        if not self.open:
            raise escaped(tracer, how)
        value, equations = tracer.value, self.record.equations
        try:
            kind, key = asked(value, how)
        except Exception:  # int(nan)
            self.record.failed = True
            raise
        if (id(tracer), "all") not in self.known and (id(tracer), kind) not in self.known:
            whole = dtype_of(value).kind in _EXACT[kind]
            self.known[id(tracer), "all" if whole else kind] = tracer
            source = user_source()
            params = {"kind": kind, "value": key}
            equations.append(Equation(GUARD, (tracer,), (), params, source, (value,), (False,)))
            if len(equations) > config.guard_length:
                raise TooLong(source)
        return value


class _Recorder(Watched):
    """A concrete recording, in which functions with rules of their own are run as they are: they may branch too.

    Attributes:
        failed: whether an operation has raised because of values: if the function catches that, its path is one for
            which there is no guard.
    """

    __slots__ = ("failed",)

    def __init__(self, parent: Trace | None) -> None:
        super().__init__(parent, frame=sys._getframe(1))
        self.failed = False

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        if primitive is CUSTOM:  # no derivative is taken outside of this recording
            return tuple(params["rules"].fun(*args))
        try:
            return super().process(primitive, args, params)
        except Exception:
            self.failed = self.failed or depends_on_values(primitive, args, params)
            raise


class Path(Opened):
    """A function that is recorded at values; what it captures is locked until the end of the block.

    Attributes:
        record: what was recorded.
        inputs: the tracers of the flat arguments.
        outputs: tracers and other values.
        out_tree: of the result.
        seconds: what it took.
    """

    __slots__ = ("_fun", "_leaves", "inputs", "out_tree", "outputs", "seconds")

    def __init__(self, fun: Callable[..., Any], leaves: Sequence[Any]) -> None:
        self._fun, self._leaves = fun, leaves

    def __enter__(self) -> Path:
        record: _Recorder
        record = self.record = _Recorder(None)
        record.watch = ref(self, record.gone)
        record.ask = _Questions(record)
        record.border = "error"
        start = perf_counter()
        try:
            self.inputs = [record.input(x) for x in self._leaves]
            with under(record):
                result = self._fun(*self.inputs)
                record.accept()
                leaves, self.out_tree = tree.flatten(result)
                self.outputs: list[Any] = settle_all(leaves)
            for path, x in tree.leaves_with_path(result):
                differentiable_leaf(x, f"output{tree.keystr(path)}", "jit")
                if isinstance(x, Tracer) and x.owner is not record:
                    raise escaped(x, "jit")
        except BaseException:
            self.__exit__()
            raise
        self.seconds = perf_counter() - start
        return self

    def __exit__(self, *_: object) -> None:
        self.record.ask.open = False
        super().__exit__()

    def result(self) -> Any:
        """What the function returned, shared with nothing."""
        return self.out_tree.unflatten([_own(x.value if isinstance(x, RecordTracer) else x) for x in self.outputs])

    def program(self) -> Program:
        """The path alone, with its guards."""
        return self.record.program(self.inputs, self.outputs, None, self.out_tree)


def _own(x: Any) -> Any:
    if not is_a(x, np.ndarray):
        return x
    return x.copy() if x.ndim else x[()]
