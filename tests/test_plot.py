"""Pictures: what is drawn are the right numbers, in places where they can be read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from funcgrad import grad, jit, lax, plot
from funcgrad.plot._charts import _running_mean
from funcgrad.plot._layout import layered


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_running_means() -> None:
    values = np.arange(10.0)
    for window in (1, 3, 10, 20):
        expected = [values[max(0, i - window + 1) : i + 1].mean() for i in range(10)]
        np.testing.assert_allclose(_running_mean(values, window), expected)


def test_loss_curves() -> None:
    history = {"loss": list(range(40, 0, -1)), "eval_loss": [30.0, 20.0], "eval_step": [20, 40], "acc": [0.5] * 40}
    ax = plot.loss_curves(history, log=True)
    thin, mean, evaluation = ax.lines
    assert list(thin.get_ydata()) == history["loss"] and mean.get_label() == "loss, mean of 2"
    assert list(evaluation.get_xdata()) == [20, 40] and ax.get_yscale() == "log"
    ax = plt.figure().subplots()
    assert plot.loss_curves(history, ["acc"], smooth=1, ax=ax) is ax and len(ax.lines) == 1
    for bad, names in ((history, ["x"]), ({}, None)):
        with pytest.raises(ValueError, match="the history has no"):
            plot.loss_curves(bad, names)


def test_schedules() -> None:
    ax = plot.schedule({"a": lambda step: step * 2.0, "b": lambda step: step * 0.0}, 1000)
    x, y = ax.lines[0].get_data()
    assert x[0] == 0 and x[-1] == 999 and len(x) == 500 and np.array_equal(y, 2.0 * np.asarray(x))
    with pytest.raises(ValueError, match="steps= is at least 1"):
        plot.schedule(float, 0)


def test_gradient_norms() -> None:
    grads = {"b": {"w": np.full(4, 2.0)}, "a": [np.zeros(2), np.array([np.nan]), np.array([3.0, 4.0])]}
    ax = plot.gradient_norms(grads)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["b['w']", "a[0]", "a[1]", "a[2]"]  # in the order of the layers
    assert [p.get_width() for p in ax.patches] == [4.0, 5.0] and texts(ax) == ["0", "nan"]  # pyright: ignore[reportAttributeAccessIssue]
    ax = plot.gradient_norms([np.ones(4)], [np.full(4, 2.0)])
    assert ax.patches[0].get_width() == 0.5  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="1 leaves of the gradient and 2"):
        plot.gradient_norms([np.ones(4)], [1.0, 2.0])
    with pytest.raises(ValueError, match="no arrays"):
        plot.gradient_norms([])


def test_activations() -> None:
    x = np.arange(101.0)
    ax = plot.activations({"x": x, "broken": np.array([np.nan, np.inf, 0.0, 1.0]), "none": np.array([np.nan])})
    assert list(ax.lines[0].get_xdata()) == [5, 95] and list(ax.lines[1].get_xdata()) == [25, 75]
    assert texts(ax) == [" 0.99 % zero", " 25 % zero, 25 % infinite, 25 % NaN", " 100 % NaN"]


def test_confusion_matrix() -> None:
    labels, scores = np.array([0, 1, 1, 2]), np.eye(4)[[0, 1, 2, 2]]
    ax = plot.confusion_matrix(labels, scores, classes=["a", "b", "c"])
    counts = np.zeros((4, 4), int)
    counts[0, 0] = counts[1, 1] = counts[1, 2] = counts[2, 2] = 1
    assert texts(ax) == [str(n) for n in counts.ravel()] and ax.get_title() == "accuracy 75.00 %"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c", "3"]
    assert "0.50" in texts(plot.confusion_matrix(labels, np.argmax(scores, 1), normalise=True))
    for bad, message in (((labels, labels[:2]), "labels are integers"), ((labels - 1, labels), "a negative one"),
                         ((labels / 2, labels), "not float64")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            plot.confusion_matrix(*bad)


def test_the_graph_has_values_and_derivatives() -> None:
    def f(p: Any, x: Any) -> Any:
        return np.sum(np.tanh(p["w"] @ x + p["b"]) ** 2) / 2

    p, x = {"w": np.array([[0.5, -1.0]]), "b": np.array([0.25])}, np.array([1.0, 2.0])
    found = texts(plot.graph(f, p, x))
    derivatives = grad(f)(p, x)
    for name, value, derivative in (
        ("p['w']", "[[0.5, -1]]", derivatives["w"]),
        ("p['b']", "[0.25]", derivatives["b"]),
    ):
        i = found.index(name)
        assert found[i + 1] == f"→ {value}"
        np.testing.assert_allclose(eval(found[i + 2][2:]), derivative, rtol=1e-2)
    i = found.index("div 2")
    assert found[i + 1] == f"→ {f(p, x):.3g}" and found[i + 2] == "← 1"
    assert "←" not in "".join(texts(plot.graph(f, p, x, backward=False)))


def test_graphs_of_other_programs() -> None:
    table = np.ones((3, 4))

    def f(x: Any, i: Any) -> Any:
        a, b = np.split(table * x, 2, axis=1)
        c = lax.fori_loop(0, 3, lambda _, v: v * 1.1, a)
        return jit(lambda u: u[i])(np.sum(c + b, axis=1))

    found = texts(plot.graph(f, 2.0, 1))
    assert "constant" in found and "→ float64[3, 2], norm 4.9" in found and found[found.index("i") + 2] != "← 0"
    for bad, message in ((lambda x: x + np.ones(2), "one real number"), (lambda x: (x, x), "one real number")):
        with pytest.raises(TypeError, match=message):
            plot.graph(bad, 1.0)
    plot.graph(lambda x: (x * 2, x + 1), 1.0, backward=False)
    plot.graph(lambda x: x, 1.0)

    def long(x: Any) -> Any:
        for _ in range(99):
            x = x * 1.5
        return x

    with pytest.raises(ValueError, match="100 boxes are too many"):
        plot.graph(long, 1.0)


def test_boxes_do_not_overlap() -> None:
    choose = np.random.default_rng(0)
    for n in (1, 2, 5, 20):
        edges = sorted({(int(choose.integers(b)), b) for b in range(1, n) for _ in range(2)}, key=lambda e: e[1])
        places, stops = layered(n, edges)
        every = [*places, *(p for stop in stops for p in stop)]
        assert all(p[0] != q[0] or abs(p[1] - q[1]) > 0.999 for p, q in combinations(every, 2))
        assert all(places[a][0] < places[b][0] for a, b in edges)
        for (a, b), stop in zip(edges, stops, strict=True):
            assert [x for x, _ in stop] == list(np.arange(places[a][0] + 1, places[b][0]))
