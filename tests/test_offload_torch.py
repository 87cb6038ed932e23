"""Programs in parts for the host and PyTorch's device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offload_machines import EAGER
from programs import PROGRAMS

import funcgrad as fg
from funcgrad import random, tree
from funcgrad.backends import get_backend
from funcgrad.offload import calibrate
from funcgrad.offload.program import OffloadedProgram
from funcgrad.offload.variant import WALL

pytest.importorskip("torch")
pytest.importorskip("array_api_compat")
TORCH = get_backend("torch:cpu")


def _offloaded(f: Any, *args: Any) -> OffloadedProgram:
    """A program of which all that can be is on the device."""
    return OffloadedProgram(fg.make_ir(f)(*args), TORCH, EAGER, WALL)


def _same(found: Any, want: Any) -> None:
    for a, b in zip(tree.leaves(found), tree.leaves(want), strict=True):
        assert hasattr(a, "shape") == hasattr(b, "shape")
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_the_same_in_parts(name: str) -> None:
    f, v = PROGRAMS[name].vector()
    g = fg.grad(lambda v: np.sum(np.sin(f(v))))
    want = fg.jit(g)(v)
    made = _offloaded(g, v)
    assert made.variant is not None
    for _ in range(3):
        _same(made.variant(v), [want])


LAYOUTS: dict[str, Any] = {
    "contiguous": lambda x: x.copy(),
    "columns first": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "every second": lambda x: np.repeat(x, 2, 1)[:, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "of the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: (x.setflags(write=False), x)[1],
    "empty": lambda x: x[:0],
    "of NaN": lambda x: x * np.nan,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_go_over(layout: str) -> None:
    x = LAYOUTS[layout](np.arange(12.0).reshape(3, 4) / 7)
    before = x.copy()
    f = lambda x: (np.tanh(x) @ x.T, np.sum(x, axis=0), x[:, 1:] * 2)  # noqa: E731
    made = _offloaded(f, x)
    assert made.variant is not None and made.plan.leaves_host
    for _ in range(3):
        _same(made.variant(x), tree.leaves(f(x)))
        _same([x], [before])


def test_an_index_out_of_bounds_raises_before_the_host_goes_on() -> None:
    seen: list[Any] = []

    def f(x: Any, i: Any) -> Any:
        y = (x @ x)[i]
        fg.debug.callback(seen.append, y)
        return y

    x = np.eye(4)
    made = _offloaded(f, x, np.array([0, 1]))
    for _ in range(2):
        with pytest.raises(IndexError):
            made(x, np.array([1, 9]))
    assert not seen
    for _ in range(3):
        _same(made(x, np.array([1, 2])), [x[[1, 2]]])
    assert len(seen) == 3


def test_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(calibrate, "measured_machine", lambda backend: EAGER)
    f = fg.jit(lambda x: np.tanh(x @ x), offload="torch:cpu")
    x = np.eye(3)
    for _ in range(4):
        _same(f(x), np.tanh(x))
    assert "equations on torch:cpu" in f.explain()


def test_random_keys_go_over() -> None:
    def f(key: Any) -> Any:
        a, b = random.split(key)
        return a, random.bits(b, (3,)), random.split(b, 2)

    key = random.key(3)
    made = _offloaded(f, key)
    assert made.variant is not None and made.plan.leaves_host
    for found, want in zip(made.variant(key), f(key), strict=True):
        assert found.dtype == want.dtype and found.shape == want.shape
        as_numbers = [random.key_data(x) if x.dtype.names else x for x in (found, want)]
        np.testing.assert_array_equal(*as_numbers)


def test_keys_are_results_of_branches() -> None:
    g = fg.jit(lambda key, n: random.split(key) if n > 0 else random.split(key, 3), backend="torch:cpu")
    key = random.key(1)
    for n in (1, 1, -1, -1, 1):
        found, want = g(key, n), random.split(key, 2 if n > 0 else 3)
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(random.key_data(found), random.key_data(want))
