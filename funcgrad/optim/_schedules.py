"""Hyperparameters as functions of the count of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "constant_schedule", "cosine_decay_schedule", "cosine_onecycle_schedule", "exponential_decay", "join_schedules",
    "linear_onecycle_schedule", "linear_schedule", "piecewise_constant_schedule", "piecewise_interpolate_schedule",
    "polynomial_schedule", "sgdr_schedule", "step_decay_schedule", "warmup_constant_schedule",
    "warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule",
]  # fmt: skip

Schedule = Callable[[Any], Any]


def constant_schedule(value: float) -> Schedule:
    """The same value always.

    >>> constant_schedule(0.1)(7)
    0.1
    """
    return lambda count: value


def polynomial_schedule(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From one value to another: (init - end) (1 - t / steps)^power + end.

    >>> float(polynomial_schedule(1.0, 0.0, 2, 10)(5))
    0.25
    """
    if transition_steps <= 0:
        return constant_schedule(init_value)
    begin = max(transition_begin, 0)

    def schedule(count: Any) -> Any:
        left = 1 - np.clip(count - begin, 0, transition_steps) / transition_steps
        return (init_value - end_value) * left**power + end_value

    return schedule


def linear_schedule(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From one value to another along a straight line.

    >>> float(linear_schedule(0.0, 1.0, 10)(5))
    0.5
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """A value that is multiplied by a factor at each boundary, and from there on.

    >>> float(piecewise_constant_schedule(1.0, {10: 0.1})(10))
    0.1
    """
    pairs = sorted((boundaries_and_scales or {}).items())
    if any(scale < 0 for _, scale in pairs):
        raise ValueError("piecewise_constant_schedule: factors must not be negative")

    def schedule(count: Any) -> Any:
        value: Any = init_value
        for boundary, scale in pairs:
            value = np.where(count < boundary, value, scale * value)
        return value

    return schedule


def step_decay_schedule(init_value: float, decay_rate: float, steps: int) -> Schedule:
    """A value that is multiplied by `decay_rate` after every so many steps.

    >>> float(step_decay_schedule(1.0, 0.5, 10)(25))
    0.25
    """
    return lambda count: init_value * decay_rate ** np.floor(count / steps)


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """init · decay_rate^(t / steps), by whole powers with `staircase`; never beyond `end_value`.

    >>> float(exponential_decay(1.0, 10, 0.5)(20))
    0.25
    """
    if transition_steps <= 0 or decay_rate == 0:
        return constant_schedule(init_value)
    begin = max(transition_begin, 0)

    def schedule(count: Any) -> Any:
        t = count - begin
        power = t / transition_steps
        value = np.where(t <= 0, init_value, init_value * decay_rate ** (np.floor(power) if staircase else power))
        if end_value is None:
            return value
        return np.maximum(value, end_value) if decay_rate < 1 else np.minimum(value, end_value)

    return schedule


def cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Schedule:
    """Half a cosine from `init_value` to its share `alpha` (Loshchilov and Hutter, arXiv:1608.03983).

    >>> float(cosine_decay_schedule(1.0, 10)(5))
    0.5
    """
    if not decay_steps > 0:
        raise ValueError(f"cosine_decay_schedule: decay_steps must be positive, got {decay_steps!r}")

    def schedule(count: Any) -> Any:
        half = 0.5 * (1 + np.cos(np.pi * (np.minimum(count, decay_steps) / decay_steps)))
        return init_value * ((1 - alpha) * half**exponent + alpha)

    return schedule


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """A value that is multiplied by a factor on the way to each boundary, along a line or a cosine.

    >>> float(piecewise_interpolate_schedule("linear", 1.0, {10: 3.0})(5))
    2.0
    """
    if interpolate_type not in ("linear", "cosine"):
        raise ValueError(f"piecewise_interpolate_schedule: {interpolate_type!r} is not 'linear' or 'cosine'")
    pairs = sorted((boundaries_and_scales or {}).items())
    if any(scale < 0 for _, scale in pairs):
        raise ValueError("piecewise_interpolate_schedule: factors must not be negative")

    def schedule(count: Any) -> Any:
        start, low = 0, init_value
        out: Any = init_value
        for boundary, scale in pairs:
            high = low * scale
            share = np.clip((count - start) / max(boundary - start, 1), 0, 1)
            if interpolate_type == "linear":
                between = (high - low) * share + low
            else:
                between = high + (low - high) / 2 * (np.cos(np.pi * share) + 1)
            out = np.where(count >= start, between, out) if boundary > start else out
            start, low = boundary, high
        return np.where(count >= start, low, out) if pairs else out

    return schedule


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to a peak, down again, and down to almost nothing, along lines (Smith and Topin, arXiv:1708.07120)."""
    if transition_steps <= 0:
        raise ValueError("linear_onecycle_schedule: transition_steps must be positive")
    ends = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1.0 / div_factor,
        transition_steps: 1.0 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, ends)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to a peak and down to almost nothing, along cosines (Smith and Topin, arXiv:1708.07120)."""
    if transition_steps <= 0:
        raise ValueError("cosine_onecycle_schedule: transition_steps must be positive")
    ends = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1.0 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, ends)


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each counts from its boundary.

    >>> float(join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10)], [5])(10))
    0.5
    """

    def schedule(count: Any) -> Any:
        out = schedules[0](count)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            out = np.where(count < boundary, out, following(count - boundary))
        return out

    return schedule


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """Up along a line, and then constant.

    >>> float(warmup_constant_schedule(0.0, 1.0, 10)(30))
    1.0
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """Up along a line, and down along a cosine; `decay_steps` counts both parts.

    >>> float(warmup_cosine_decay_schedule(0.0, 1.0, 10, 30)(20))
    0.5
    """
    alpha = 0.0 if peak_value == 0.0 else end_value / peak_value
    down = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), down], [warmup_steps])


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """Up along a line, and down as `exponential_decay` has it."""
    down = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), down], [warmup_steps])


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """Several rounds of `warmup_cosine_decay_schedule`: warm restarts (Loshchilov and Hutter, arXiv:1608.03983)."""
    rounds = list(cosine_kwargs)
    ends = np.cumsum([r["decay_steps"] for r in rounds]).tolist()
    return join_schedules([warmup_cosine_decay_schedule(**r) for r in rounds], ends[:-1])
