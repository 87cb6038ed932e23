"""What a workload is: cases, one setup function per implementation, a tolerance and goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Goal", "Implementation", "ProcessWorkload", "Snippet", "Step", "Workload"]


def _identity(result: Any) -> Any:
    return result


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Step:
    """One unit of work, ready to be called again and again.

    Attributes:
        call: takes no argument, does the work, waits for it and returns its result.
        comparable: turns what `call` returned into a tree (dicts, lists, tuples) of array-likes
            that can be compared with the reference implementation's. Never timed.
        prepare: runs before each timed batch, untimed (to set an option, for instance).
    """

    call: Callable[[], Any]
    comparable: Callable[[Any], Any] = _identity
    prepare: Callable[[], None] = _nothing


Setup = Callable[..., Step]


@dataclass(frozen=True)
class Implementation:
    """How one contender does the work.

    Attributes:
        setup: called with the case's parameters as keywords; builds the `Step`. It imports the
            library that it measures itself, so that no process holds a library it does not need.
        requires: the package that must be importable; where it is not, the contender is skipped.
        peer: whether it runs under the peers' interpreter rather than under ours.
    """

    setup: Setup
    requires: str
    peer: bool


@dataclass(frozen=True)
class Goal:
    """A statement about two contenders of one case, judged on the median of paired rounds.

    ``compare="ratio"`` looks at ``of / over``, ``"difference"`` at ``of - over``, ``"figure"`` at
    `of` alone, without `over`; `metric` names one of the workload's metrics. Exactly one of
    `at_most` and `at_least` is given. `cases` limits the goal to some of the workload's cases (all
    when empty).
    """

    of: str
    over: str = ""
    at_most: float | None = None
    at_least: float | None = None
    compare: str = "ratio"
    metric: str = "time"
    cases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("Goal: give exactly one of at_most and at_least")
        if self.compare not in ("ratio", "difference", "figure"):
            raise ValueError(f"Goal: compare must be 'ratio', 'difference' or 'figure', not {self.compare!r}")
        if (self.compare == "figure") == bool(self.over):
            raise ValueError("Goal: name what a ratio or difference is over; a figure has nothing that it is over")

    def met_by(self, measured: float) -> bool:
        """Whether a measured ratio, difference or figure reaches the goal."""
        if self.at_most is not None:
            return measured <= self.at_most
        assert self.at_least is not None
        return measured >= self.at_least


@dataclass
class Workload:
    """Work that is timed call by call inside worker processes.

    Attributes:
        name: the registry's key.
        summary: one line for the report.
        cases: parameters of each case, by the case's name.
        tiny: parameters small enough for a test (same keys as a case), one entry per case.
        rtol: how far a leaf may lie from the reference's, as a fraction of the reference leaf's
            largest magnitude; one number, or one for each case.
        goals: what the report holds the figures against.
        reference: the implementation that defines the right answer and the ratio column.
        shared_process: run all contenders in one process, in turn: for comparing two settings of
            one library, where the difference between two processes would drown the effect.
        kind: a name for many workloads together, which the command line takes as well.
    """

    name: str
    summary: str
    cases: Mapping[str, Mapping[str, Any]]
    tiny: Mapping[str, Mapping[str, Any]]
    rtol: float | Mapping[str, float]
    goals: tuple[Goal, ...] = ()
    reference: str = "numpy"
    shared_process: bool = False
    kind: str = ""
    implementations: dict[str, Implementation] = field(default_factory=dict)

    def tolerance(self, case: str) -> float:
        """`rtol` as it holds for one case."""
        return self.rtol[case] if isinstance(self.rtol, Mapping) else self.rtol

    def implementation(self, name: str, *, requires: str | None = None, peer: bool = True) -> Callable[[Setup], Setup]:
        """Register a setup function under `name`; `requires` defaults to the same word."""

        def register(setup: Setup) -> Setup:
            if name in self.implementations:
                raise ValueError(f"workload {self.name!r} already has an implementation {name!r}")
            self.implementations[name] = Implementation(setup, requires or name, peer)
            return setup

        return register


@dataclass(frozen=True)
class Snippet:
    """A program whose whole life is measured: `code` is run with ``python -c``.

    Lines ``metric NAME VALUE`` of its output are figures of its own, beside time and memory.
    """

    code: str
    requires: str
    peer: bool


@dataclass
class ProcessWorkload:
    """Work that is timed from outside, as whole processes (wall clock in s, peak memory in MB)."""

    name: str
    summary: str
    snippets: Mapping[str, Snippet]
    goals: tuple[Goal, ...] = ()
    reference: str = "numpy"
