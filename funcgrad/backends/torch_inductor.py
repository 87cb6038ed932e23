"""Straight pieces of programs compiled by Inductor, PyTorch's compiler.

It takes seconds, so it is done only where it is asked for. On the processor a piece is compiled ahead of time
(`torch_ahead.py`) and kept on disk: a process that has it already loads neither Inductor nor Dynamo, whose import alone
takes three seconds, and a call passes no guards. Elsewhere, and where that fails, `torch.compile` is asked. Where both
fail the piece is run as it is, and a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.backends import torch_ahead as ahead
from funcgrad.errors import CompileFallbackWarning

__all__ = ["Piece"]


class Piece:
    """A function of tensors, compiled when it is first called.

    Args:
        function: it neither synchronises nor writes to its arguments.
        torch: the module.
        more: tensors that are passed behind the arguments: numbers that the code has.
        name: for messages.
        text: all that the code and its results depend on besides PyTorch and the machine; None if that cannot be said.

    Attributes:
        note: why it is not compiled; empty if it is, or has not been called.
    """

    __slots__ = ("_function", "_more", "_name", "_run", "_text", "_torch", "note")

    def __init__(
        self, function: Callable[..., Any], torch: Any, more: Sequence[Any], name: str, text: Sequence[str] | None
    ) -> None:
        self._function, self._torch, self._more, self._name = function, torch, tuple(more), name
        self._text = text
        self._run: Callable[[list[Any]], Any] | None = None
        self.note = ""

    def __call__(self, *args: Any) -> Any:
        run = self._run
        given = [x.resolve_conj().resolve_neg().contiguous() for x in (*args, *self._more)]
        return self._first(given) if run is None else run(given)

    def _first(self, given: list[Any]) -> Any:
        torch = self._torch
        kept = ahead.name_of(torch, self._text) if _on_processor(torch, given) else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own
            reasons: list[str] = []
            for way in (lambda: ahead.found(torch, kept), *self._ways(given, kept)):
                try:
                    run = way()
                    if run is not None:
                        out = run(list(given))
                        self._run = run
                        return out
                except Exception as error:
                    reasons.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}")
        self.note = reasons[-1]
        warnings.warn(
            f"torch: {self._name} is run without Inductor, which raised {self.note}; a C++ compiler (on a CUDA "
            "device, Triton) is what it needs",
            CompileFallbackWarning,
            stacklevel=3,
        )
        function = self._function
        self._run = lambda values: function(*values)
        return function(*given)

    def _ways(self, given: list[Any], kept: str | None) -> list[Callable[[], Callable[[list[Any]], Any] | None]]:
        """What compiles the piece, in the order in which it is tried."""
        graph: list[Any] = []

        def traced() -> Any:
            if not graph:
                make_fx = self._torch.fx.experimental.proxy_tensor.make_fx
                graph.append(make_fx(self._function, tracing_mode="fake")(*given))
            return graph[0]

        def in_time() -> Callable[[list[Any]], Any]:
            compiled = self._torch.compile(traced(), dynamic=False, fullgraph=True)
            return lambda values: compiled(*values)

        if not _on_processor(self._torch, given):
            return [in_time]
        return [lambda: ahead.made(self._torch, traced(), given, kept), in_time]


def _on_processor(torch: Any, given: Sequence[Any]) -> bool:
    """Whether this is for the processor, where code made ahead of time was measured, and can be loaded."""
    return ahead.available(torch) and all(x.device.type == "cpu" for x in given)
