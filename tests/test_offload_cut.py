"""What runs where is the cheapest assignment there is: a minimum cut, compared with all assignments."""

from __future__ import annotations

import random
from itertools import product

import pytest
from offload_machines import cost, random_problem

from funcgrad.offload.cut import INFINITE, Value, assign


@pytest.mark.parametrize("part", range(4))
def test_the_cut_is_the_cheapest_assignment(part: int) -> None:
    """1,000 random programs of up to nine operations, against all assignments."""
    r = random.Random(part)
    for _ in range(250):
        problem = random_problem(r, r.randint(1, 9))
        best = min(cost(a, problem) for a in product([False, True], repeat=len(problem[0])))
        assert cost(assign(*problem), problem) == pytest.approx(best, abs=1e-9)


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
