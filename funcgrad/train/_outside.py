"""What comes from outside while a run goes on: Ctrl-C; and what is shown of it: a bar."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["Bar", "Interrupts"]


class Interrupts:
    """Ctrl-C that waits for the end of a step: a second one does not.

    While this is entered, Ctrl-C raises KeyboardInterrupt as usual, but not within `held()`: there it is raised at the
    end. Another handler than Python's own stays as it is.

    Attributes:
        torn: whether something that was held has not come to its end.
    """

    def __init__(self) -> None:
        self.torn = self._pending = self._holding = False
        self._mine = False

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._mine = True
        return self

    def __exit__(self, *args: object) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: Any) -> None:
        if not self._holding or self._pending:
            raise KeyboardInterrupt
        self._pending = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """What must not be left in the middle."""
        self._holding = self.torn = True
        yield
        self._holding = self.torn = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt


class Bar:
    """A bar of tqdm's: in notebooks that of notebooks, in terminals that of terminals, elsewhere none.

    Args:
        progress: True to insist on one, False for none, None for one where somebody would see it.
        total: the number of steps, if that is known.
        done: how many are done already.
    """

    def __init__(self, progress: bool | None, total: int | None, done: int) -> None:
        self._bar: Any = None
        if progress is False:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            if progress is None:
                return
            raise ImportError(
                'fit: progress=True needs tqdm: python -m pip install "funcgrad[train]", or leave progress= out'
            ) from error
        notebook = "notebook" in tqdm.__module__
        disable = False if progress or notebook else None  # None: where standard error is no terminal
        self._bar = tqdm(total=total, initial=done, desc="training", unit="step", disable=disable)

    def advance(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """One more step is done."""
        if self._bar is not None:
            shown = " ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self._bar.set_postfix_str(f"epoch {epoch} {shown}", refresh=False)
            self._bar.update()

    def close(self) -> None:
        """The bar stays as it is."""
        if self._bar is not None:
            self._bar.close()
