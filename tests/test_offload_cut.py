"""What runs where is the cheapest assignment there is: a minimum cut, compared with all assignments."""

from __future__ import annotations

import random
from itertools import product

import pytest

from funcgrad.offload.cut import INFINITE, Value, assign, comes_down, goes_up

Problem = tuple[list[float], list[float], list[Value]]


def _cost(on_device: tuple[bool, ...] | list[bool], problem: Problem) -> float:
    host, device, values = problem
    work = sum(d if there else h for there, h, d in zip(on_device, host, device, strict=True))
    up = sum(v.up for v in values if goes_up(v, on_device))
    return work + up + sum(v.down for v in values if comes_down(v, on_device))


def _random_problem(r: random.Random, operations: int) -> Problem:
    readers: list[list[int]] = [[] for _ in range(r.randint(1, 3))]
    makers: list[int | None] = [None] * len(readers)
    for i in range(operations):
        for x in r.sample(range(len(readers)), min(len(readers), r.randint(1, 3))):
            readers[x].append(i)
        for _ in range(1 if r.random() < 0.8 else 2):
            readers.append([])
            makers.append(i)
    host = [r.choice([1, 2, 5, 20]) * r.random() for _ in range(operations)]
    device = [r.choice([0.1, 1, 3]) * r.random() if r.random() < 0.9 else INFINITE for _ in range(operations)]
    move = lambda: r.choice([0, 0.1, 1, 4]) * r.random()  # noqa: E731
    last = len(readers) - 1
    values = [
        Value(m, rs, m is not None and (x == last or r.random() < 0.3), move(), move())
        for x, (m, rs) in enumerate(zip(makers, readers, strict=True))
    ]
    return host, device, values


@pytest.mark.parametrize("part", range(4))
def test_the_cut_is_the_cheapest_assignment(part: int) -> None:
    """1,000 random programs of up to nine operations, against all assignments."""
    r = random.Random(part)
    for _ in range(250):
        problem = _random_problem(r, r.randint(1, 9))
        best = min(_cost(a, problem) for a in product([False, True], repeat=len(problem[0])))
        assert _cost(assign(*problem), problem) == pytest.approx(best, abs=1e-9)


def test_a_transfer_is_paid_once() -> None:
    """Two readers share what is sent: together they pay for the way, alone neither does."""
    alone = [Value(None, [0], False, 3.0, 0.0), Value(0, [], True, 0.0, 0.0)]
    assert assign([3.0], [1.0], alone) == [False]
    shared = [Value(None, [0, 1], False, 3.0, 0.0), Value(0, [], True, 0.0, 0.0), Value(1, [], True, 0.0, 0.0)]
    assert assign([3.0, 3.0], [1.0, 1.0], shared) == [True, True]


def test_ties_stay_on_the_host() -> None:
    assert assign([2.0], [1.0], [Value(None, [0], False, 1.0, 0.0)]) == [False]
    assert assign([2.0], [INFINITE], []) == [False]
    assert assign([], [], []) == []
