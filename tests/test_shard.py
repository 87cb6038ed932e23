"""Programs divided into parts: the same results as the whole, whoever runs the parts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from opspecs import SPECS, OpSpec
from programs import PROGRAMS
from tunings import kept

import funcgrad as fg
from funcgrad import lax, nn, tree
from funcgrad.errors import IRError
from funcgrad.executor.compiled import executable
from funcgrad.executor.lower_sharded import Sharded
from funcgrad.executor.sharded import SHARDED
from funcgrad.ir import Program, eval_program
from funcgrad.ir_check import check_program
from funcgrad.ops.sharding import SUM, Ruling
from funcgrad.passes import shard as shard_pass
from funcgrad.passes.expand import expand
from funcgrad.passes.layout import layout, layouts
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.shard import Region, Sharding, cost, divided, shard, sharding
from funcgrad.types import PYTHON_SCALARS, dtype_of, is_inexact

pytest.importorskip("threadpoolctl")

RULED: Counter[str] = Counter()


@pytest.fixture
def always() -> Iterator[Sharding]:
    """Whatever can be divided is divided."""
    with kept(sharding):
        sharding.least_ns = sharding.coverage = sharding.unfused = sharding.call_ns = 0
        sharding.part_ns, sharding.summing, sharding.most = 1e-9, 1e9, 16
        yield sharding


def divisions(program: Program) -> list[Program]:
    """The program divided along each axis of each argument, where that can be done, into as few parts as can be."""
    found: list[Program] = []
    for v in program.inputs:
        for axis in range(v.aval.ndim):
            if v.aval.shape[axis] < 2:
                continue
            region = Region(program, {v: axis}, {e: cost(e) for e in program.equations})
            if region.rulings and region.common > 1:
                count = next(k for k in range(2, region.common + 1) if region.common % k == 0)
                found.append(divided(program, region, count))
                RULED.update(e.primitive.name for e in region.rulings)
    return found


def agree(program: Program, args: list[Any]) -> int:
    """Check a program against its divisions; returns how many there are."""
    program = optimise(expand(optimise(program)))
    wants = eval_program(program, args)
    made = divisions(program)
    for part in made:
        check_program(part)
        assert [v.aval for v in part.outputs] == [v.aval for v in program.outputs]
        for found, want in zip(eval_program(part, args), wants, strict=True):
            assert np.asarray(found).dtype == np.asarray(want).dtype, part
            rtol = 1e4 * float(np.finfo(dtype_of(want)).eps) if is_inexact(want) else 0.0
            scale = np.abs(np.asarray(want, complex)).max(initial=1.0, where=np.isfinite(want))
            if not np.allclose(found, want, rtol=rtol, atol=rtol * scale, equal_nan=True):
                np.testing.assert_allclose(found, want, rtol=rtol, atol=rtol * scale, err_msg=str(part))
    return len(made)


def is_plain(x: Any) -> bool:
    return x.__class__ in PYTHON_SCALARS or not is_inexact(x)


def _with_pullback(f: Any) -> Any:
    """A function and its pullback of its own result."""

    def pull(*args: Any) -> Any:
        out, back = fg.vjp(f, *args)
        given = tree.map(lambda x: x if is_plain(x) else (0.5 * x).astype(x.dtype), out)
        return out, back(given)

    return pull


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if not s.concrete], ids=lambda s: s.name)
def test_operations_part_by_part(spec: OpSpec) -> None:
    """Every row of the table, and its derivative, along every axis."""
    code = (spec.dtypes + spec.values)[0]
    for case in spec.cases(bool(spec.dtypes)):
        if case.code != code:
            continue
        args = case.args()
        agree(fg.make_ir(spec.fun)(*args), tree.leaves(args))
        if spec.order and spec.dtypes:
            f, some = case.differentiable()

            agree(fg.make_ir(_with_pullback(f))(*some), tree.leaves(some))


RULED_AT_LEAST = """
add argmax broadcast_to concatenate conv_general_dilated cumsum dot_general gather linear_recurrence log_softmax
logsumexp max norm2 place reduce_max reduce_sum reduce_window_max reshape scatter_add select
select_and_scatter slice softmax sort transpose
"""


def test_the_table_tries_every_rule() -> None:
    names = RULED_AT_LEAST.split()
    for spec in SPECS.values():
        if spec.concrete or all(n in RULED for n in names):
            continue
        case = spec.cases(bool(spec.dtypes))[0]
        agree(fg.make_ir(spec.fun)(*case.args()), tree.leaves(case.args()))
        if spec.dtypes:
            f, args = case.differentiable()
            agree(fg.make_ir(_with_pullback(f))(*args), tree.leaves(args))
    assert [n for n in names if n not in RULED] == []


def test_a_wrong_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.passes.shard.ruling", lambda eqn, at: Ruling(tuple(at), SUM))
    program = fg.make_ir(lambda x: np.sum(np.exp(np.sum(x, axis=1))))(np.ones((4, 3)))
    with pytest.raises((AssertionError, IRError)):
        agree(program, [np.arange(12.0).reshape(4, 3)])


# -------------------------------------------------------------------------------------------------- whole programs


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_part_by_part(name: str, always: Sharding) -> None:
    f, args = PROGRAMS[name].fun, PROGRAMS[name].args

    def loss(*args: Any) -> Any:
        return sum(np.sum(np.sin(np.real(x))) for x in tree.leaves(f(*args)) if x.dtype.kind in "fc")

    inexact = [i for i, x in enumerate(args) if all(is_inexact(y) for y in tree.leaves(x))]
    for fun in (f, fg.grad(loss, argnums=inexact)) if inexact else (f,):
        want = fun(*args)
        jitted = fg.jit(fun)
        for _ in range(3):  # the second works in the memory of the first
            for a, b in zip(tree.leaves(jitted(*args)), tree.leaves(want), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def network(p: Any, x: Any, t: Any) -> Any:
    h = nn.gelu(x @ p["w"] + p["b"])
    z = nn.log_softmax((h - np.mean(h, -1, keepdims=True)) @ p["v"])
    return -np.mean(np.sum(z * t, axis=-1))


def data(batch: int = 12) -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(5, 7)), "b": rng.normal(size=7), "v": rng.normal(size=(7, 3))}
    return params, rng.normal(size=(batch, 5)), np.eye(3)[rng.integers(3, size=batch)]


def sharded(f: Any, *args: Any) -> list[Any]:
    """The divided equations of a compiled function."""
    program = executable(fg.make_ir(f)(*args)).program
    return [e for e in program.equations if e.primitive is SHARDED]


def test_a_training_step_is_one_equation_for_each_example_and_one_for_each_parameter(always: Sharding) -> None:
    def step(p: Any, x: Any, t: Any) -> Any:
        loss, grads = fg.value_and_grad(network)(p, x, t)
        return loss, tree.map(lambda a, g: a - 0.1 * g, p, grads)

    args = data()
    (eqn,) = sharded(step, *args)
    assert eqn.params["count"] == 12 and eqn.params["outs"] == (None,) * 4
    assert sorted(axis for axis in eqn.params["ins"] if axis is not None) == [0, 0]
    jitted = fg.jit(step, donate_argnums=0)
    want = step(*args)
    for _ in range(3):
        found = jitted(tree.map(np.copy, args[0]), *args[1:])
        for a, b in zip(tree.leaves(found), tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_results_per_example_are_written_where_they_belong(always: Sharding) -> None:
    args = data()
    f = fg.vmap(fg.grad(network), (None, 0, 0))
    (eqn,) = sharded(f, *args)
    assert eqn.params["outs"] == (0, 0, 0)
    jitted = fg.jit(f)
    first = jitted(*args)
    second = jitted(*args)
    for a, b, c in zip(tree.leaves(first), tree.leaves(second), tree.leaves(f(*args)), strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-12)
        np.testing.assert_array_equal(a, b)
        assert not np.may_share_memory(a, b) and a.flags.writeable


def test_results_are_the_same_with_any_number_of_threads(always: Sharding) -> None:
    args = data()
    f = fg.jit(fg.value_and_grad(network))
    found: list[list[Any]] = []
    for threads in (1, 1, 2, 5):
        fg.config.threads = threads
        found.append(tree.leaves(f(*args)))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [1, 0, 11])
def test_what_cannot_be_divided_is_left_whole(batch: int, always: Sharding) -> None:
    always.most = 4
    args = data(batch)
    if batch == 0:
        product: Any = lambda p, x, t: np.sum(x @ p["w"])  # noqa: E731
        assert not sharded(fg.grad(product), *args)
        return
    assert not any(0 in e.params["ins"] for e in sharded(network, *args))
    np.testing.assert_allclose(fg.jit(network)(*args), network(*args), rtol=1e-13)


def test_small_and_pointwise_work_is_left_whole() -> None:
    assert not sharded(fg.grad(network), *data())
    assert not sharded(lambda x: np.sum(np.tanh(x) * np.sin(x), axis=1), np.ones((1000, 3000)))


def test_work_between_examples_is_left_whole(always: Sharding) -> None:
    x = np.random.default_rng(0).normal(size=(6, 6))
    f = lambda x: np.sum((x @ x.T) ** 2)  # noqa: E731
    np.testing.assert_allclose(fg.jit(fg.grad(f))(x), fg.grad(f)(x), rtol=1e-12)


def test_effects_stay_in_their_order(always: Sharding) -> None:
    seen: list[Any] = []

    @fg.jit
    def f(x: Any, y: Any) -> Any:
        total = np.sum(x @ x[0] * 2.0)
        fg.debug.callback(lambda v: seen.append(("total", float(v))), total)
        fg.debug.callback(lambda v: seen.append(("y", float(v))), y)
        return total

    for _ in range(2):
        f(np.ones((4, 3)), 2.0)
    assert seen == [("total", 24.0), ("y", 2.0)] * 2


def test_errors_in_a_part_speak_of_the_users_line(always: Sharding) -> None:
    def f(x: Any) -> Any:
        return np.sum(np.log(x @ np.ones(3)))

    jitted = fg.jit(f)
    assert sharded(f, np.ones((4, 3)))
    jitted(np.ones((4, 3)))
    for _ in range(3):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError) as caught:
            jitted(np.zeros((4, 3)))
        assert "test_shard.py" in "".join(caught.value.__notes__)
        np.testing.assert_allclose(jitted(np.ones((4, 3))), 4 * np.log(3.0))


def test_many_callers_at_once(always: Sharding) -> None:
    args = data()
    f = fg.jit(fg.value_and_grad(network))
    inputs = [(args[0], k * args[1], args[2]) for k in range(6)]
    wants = [tree.leaves(f(*i)) for i in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(100):
            if not all(map(np.array_equal, tree.leaves(f(*inputs[k])), wants[k])):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_part_is_in_the_source_and_the_cost(always: Sharding) -> None:
    lowered = fg.jit(network).lower(*data())
    assert "sharded.run(" in lowered.source() and lowered.source().count("def run(") >= 2
    assert "sharded[count=12" in lowered.optimized_ir()
    whole = fg.jit(lambda p, x, t: network(p, x, t))
    always.least_ns = np.inf
    assert lowered.cost().flops >= whole.lower(*data()).cost().flops


def test_the_definition_of_the_primitive() -> None:
    program = fg.make_ir(lambda x, w: (x @ w, np.sum(x)))(np.ones((2, 3)), np.ones(3))
    x, w = np.arange(12.0).reshape(4, 3), np.arange(3.0)
    params = {"program": program, "count": 2, "ins": (0, None), "outs": (0, None)}
    y, total = SHARDED.bind(x, w, **params)
    np.testing.assert_allclose(y, x @ w)
    assert total == x.sum()
    kernel = Sharded(**params)
    out = np.empty(4)
    assert kernel.run(x, w, out) == (x.sum(),)
    np.testing.assert_allclose(out, x @ w)


def test_convolutions_pooling_and_embeddings(always: Sharding) -> None:
    always.most = 3
    rng = np.random.default_rng(1)
    image, kernel = rng.normal(size=(6, 8, 8, 2)), rng.normal(size=(3, 3, 2, 4))
    table, words = rng.normal(size=(10, 4)), rng.integers(10, size=(6, 5))

    def conv(k: Any, x: Any) -> Any:
        y = lax.conv_general_dilated(x, k, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return np.sum(lax.reduce_window(y, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") ** 2)

    def words_of(table: Any, x: Any) -> Any:
        return np.sum(np.tanh(table[words] @ x))

    for f, args in ((conv, (kernel, image)), (words_of, (table, rng.normal(size=4)))):
        g = fg.value_and_grad(f, argnums=(0, 1))
        assert sharded(g, *args) or f is words_of
        jitted = fg.jit(g)
        for _ in range(2):
            for a, b in zip(tree.leaves(jitted(*args)), tree.leaves(g(*args)), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("count", [2, 3])
def test_images_with_examples_last(always: Sharding, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for name, value in {"channels": 9, "run": 1, "transpose_ns": 0.0}.items():
        monkeypatch.setattr(layouts, name, value)
    always.most = count
    rng = np.random.default_rng(1)
    image, kernel, other = rng.normal(size=(6, 8, 8, 2)), rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(2, 2, 4, 3))

    def network(k: Any, j: Any, x: Any) -> Any:
        last = ("NHWC", "HWIO", "NHWC")
        y = lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=last)
        y = lax.reduce_window(nn.relu(y), -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return np.sum(np.tanh(lax.conv_general_dilated(y, j, (1, 1), "VALID", dimension_numbers=last)))

    g = fg.value_and_grad(network, argnums=(0, 1, 2))
    args = (kernel, other, image)
    text = fg.jit(g).lower(*args).optimized_ir()
    assert "sharded" in text and text.count("conv_rows") > 3
    for a, b in zip(tree.leaves(fg.jit(g)(*args)), tree.leaves(g(*args)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    program = layout(optimise(fg.make_ir(g)(*args)))
    assert agree(program, tree.leaves(args)) > 0


def test_without_control_of_blas_programs_stay_whole(always: Sharding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.passes.shard._has_blas_control", lambda: False)
    program = optimise(fg.make_ir(network)(*data()))
    assert shard(program) is program


def test_values_used_twice_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    sources = shard_pass._sources
    monkeypatch.setattr(shard_pass, "_sources", lambda eqn, out: asked.append(eqn) or sources(eqn, out))

    def f(x: Any, w: Any) -> Any:
        for _ in range(40):
            w = w + w * w  # two ways from each round to the one before
        return x * w

    x, w = np.ones((4, 3)), np.zeros((4, 3))
    program = fg.make_ir(f)(x, w)
    region = Region(program, {program.inputs[0]: 0}, {e: cost(e) for e in program.equations})
    assert region.demands(program) == {program.inputs[0]: 0, program.inputs[1]: 0}
    assert len(asked) == 80


def test_results_lie_together_in_memory(always: Sharding) -> None:
    """A result is divided along its first axis only (or behind axes of size 1)."""
    rng = np.random.default_rng(0)
    w, x, one = rng.normal(size=(5, 5)), rng.normal(size=(4, 8, 5)), rng.normal(size=(1, 8, 5))
    for f, args in (
        (lambda x, w: x.transpose(1, 0, 2) @ w, (x, w)),
        (lambda x, w: np.swapaxes(np.tanh(x), 0, 1) @ w, (x, w)),
        (lambda x, w: np.swapaxes(x @ w, 1, 2), (x, w)),
        (lambda x, w: np.tanh(x @ w) @ w, (one, w)),
        (fg.grad(lambda w, x: np.mean(np.tanh(x @ w) ** 2), argnums=(0, 1)), (rng.normal(size=(5, 16)), x[0])),
    ):
        for eqn in sharded(f, *args):
            shapes = [(v.aval.shape, axis) for v, axis in zip(eqn.outputs, eqn.params["outs"], strict=True)]
            assert all(axis is None or np.prod(shape[:axis]) == 1 for shape, axis in shapes)
        jitted = fg.jit(f)
        for _ in range(2):
            for a, b in zip(tree.leaves(jitted(*args)), tree.leaves(f(*args)), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)
    program = optimise(fg.make_ir(lambda w, x: w @ x)(w, x[0, :4].T))
    with pytest.raises(ValueError, match="together"):
        Sharded(program, 2, (None, 1), (1,))


def test_convolutions_without_features_cost_nothing() -> None:
    convolve = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME")  # noqa: E731
    assert fg.jit(convolve)(np.ones((2, 3, 4, 4)), np.ones((0, 3, 3, 3))).shape == (2, 0, 4, 4)
