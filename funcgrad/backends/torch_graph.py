"""Programs replayed over static buffers: as a CUDA graph, whose launches cost nothing on the host.

The arguments are copied into buffers that stay, and the results out of such. On a device without graphs the program is
run again over the same buffers, which shows what would go wrong with them.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

__all__ = ["Replayed"]

Function = Callable[[list[Any]], tuple[list[Any], list[Any]]]


class Replayed:
    """A function of a list of tensors, which it empties, to results and flags; called again over the same buffers.

    Args:
        function: it must not synchronise.
        torch: the module.
        cuda: whether the device has graphs.
    """

    __slots__ = ("_buffers", "_cuda", "_function", "_graph", "_lock", "_results", "_torch")

    def __init__(self, function: Function, torch: Any, cuda: bool) -> None:
        self._function, self._torch, self._cuda = function, torch, cuda
        self._lock = allocate_lock()
        self._buffers: list[Any] | None = None
        self._graph: Any = None
        self._results: Any = None

    def __call__(self, values: list[Any]) -> tuple[list[Any], list[Any]]:
        with self._lock:
            if self._buffers is None:
                self._buffers = [x.clone() for x in values]
                if self._cuda:
                    self._capture(self._buffers)
            else:
                for buffer, x in zip(self._buffers, values, strict=True):
                    buffer.copy_(x)
            values.clear()
            if self._graph is None:
                results, bad = self._function(list(self._buffers))
            else:
                self._graph.replay()
                results, bad = self._results
            return [x.clone() for x in results], [(site, fine.clone()) for site, fine in bad]

    def _capture(self, buffers: list[Any]) -> None:
        """Run the function a few times by itself, as cuBLAS and cuDNN allocate when they are first called, and record
        it."""
        cuda = self._torch.cuda
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            for _ in range(3):
                self._function(list(buffers))
        cuda.current_stream().wait_stream(stream)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            self._results = self._function(list(buffers))
        self._graph = graph
