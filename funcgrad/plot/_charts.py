"""Curves, bars and tables of a run of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.types import is_a

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["activations", "axes_for", "confusion_matrix", "gradient_norms", "loss_curves", "schedule"]


def axes_for(ax: Any, **options: Any) -> Any:
    """The axes that were given, or those of a new figure."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('funcgrad.plot needs matplotlib: python -m pip install "funcgrad[plot]"') from error
    return plt.subplots(layout="constrained", **options)[1]


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Means over the last `window` values; at the beginning, over those there are."""
    sums = np.cumsum(values, dtype=np.float64)
    before = np.concatenate([np.zeros(min(window, len(values))), sums[:-window]])
    return (sums - before) / np.minimum(np.arange(1, len(values) + 1), window)


def loss_curves(
    history: Mapping[str, Sequence[float]],
    names: Sequence[str] | None = None,
    *,
    smooth: int | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """What a history says about each step, with a running mean, and about each evaluation.

    Args:
        history: as `train.fit` returns it, or any dict of lists; entries "eval_..." belong to the steps "eval_step".
        names: the entries to draw; by default "loss" and "eval_loss".
        smooth: over how many steps the mean is; a twentieth of them by default, 1 for none.
        log: a logarithmic axis.
        ax: where to draw; a new figure by default.

    Returns:
        The axes.

    Raises:
        ValueError: for a name that the history lacks.

    >>> loss_curves({"loss": [3.0, 2.0, 1.5]}).get_xlabel()
    'step'
    """
    if names is None:
        names = [name for name in ("loss", "eval_loss") if history.get(name)]
    missing = [name for name in names if name not in history]
    if missing or not names:
        raise ValueError(f"loss_curves: the history has no {missing[:1] or 'losses'}; it has {', '.join(history)}")
    axes = axes_for(ax, figsize=(7, 4))
    for i, name in enumerate(names):
        values = np.asarray(history[name], np.float64)
        if name.startswith("eval_") and "eval_step" in history:
            axes.plot(history["eval_step"], values, "o-", color=f"C{i}", ms=3, label=name)
            continue
        steps = np.arange(1, len(values) + 1)
        window = max(1, len(values) // 20) if smooth is None else smooth
        if window > 1:
            axes.plot(steps, values, color=f"C{i}", lw=0.6, alpha=0.3)
        mean = f", mean of {window}" if window > 1 else ""
        axes.plot(steps, _running_mean(values, window), color=f"C{i}", lw=1.5, label=name + mean)
    axes.set(xlabel="step", ylabel=names[0] if len(names) == 1 else "", yscale="log" if log else "linear")
    axes.grid(alpha=0.3)
    axes.legend()
    return axes


def schedule(
    schedules: Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]], steps: int, *, ax: Axes | None = None
) -> Axes:
    """The values of a schedule (or of several, by name) at the first `steps` steps, of which at most 500 are asked for.

    >>> schedule(lambda step: 0.1 / (1 + step), 10).get_ylabel()
    'learning rate'
    """
    if steps < 1:
        raise ValueError(f"schedule: steps= is at least 1, got {steps}")
    axes = axes_for(ax, figsize=(7, 3))
    several: Mapping[str, Callable[[Any], Any]] = schedules if is_a(schedules, Mapping) else {"": schedules}
    asked = np.unique(np.linspace(0, steps - 1, min(steps, 500)).round().astype(int))
    for name, f in several.items():
        axes.plot(asked, [float(f(np.asarray(step))) for step in asked], label=name or None)
    axes.set(xlabel="step", ylabel="learning rate")
    axes.grid(alpha=0.3)
    if any(several):
        axes.legend()
    return axes


def _named(values: Any, name: str) -> dict[str, np.ndarray]:
    """Arrays by the place where they stand. The keys of a dict come in their own order, not sorted."""
    if is_a(values, Mapping):
        rows = {str(key) + tree.keystr(p): leaf for key, v in values.items() for p, leaf in tree.leaves_with_path(v)}
    else:
        rows = {tree.keystr(p) or "value": leaf for p, leaf in tree.leaves_with_path(values)}
    if not rows:
        raise ValueError(f"{name}: there are no arrays")
    return {k: np.asarray(v) for k, v in rows.items()}


def gradient_norms(grads: Any, params: Any = None, *, ax: Axes | None = None) -> Axes:
    """The norm of each leaf of a gradient, as bars on a logarithmic axis.

    Args:
        grads: a pytree of arrays.
        params: the parameters, a tree of the same structure: then it is the norm of the gradient as a part of that of
            the parameter, which says how much one step changes a layer.
        ax: where to draw; a new figure by default.

    Returns:
        The axes. A norm that is zero, infinite or NaN has no bar and is written out.

    >>> ax = gradient_norms({"first": {"w": np.ones(4)}, "second": np.zeros(2)})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ["first['w']", 'second']
    """
    rows = _named(grads, "gradient_norms")
    norms = np.array([np.linalg.norm(g.ravel()) for g in rows.values()], np.float64)
    label = "norm of the gradient"
    if params is not None:
        sizes = [np.linalg.norm(p.ravel()) for p in _named(params, "gradient_norms").values()]
        if len(sizes) != len(norms):
            raise ValueError(f"gradient_norms: {len(norms)} leaves of the gradient and {len(sizes)} of the parameters")
        with np.errstate(divide="ignore", invalid="ignore"):
            norms = norms / np.array(sizes, np.float64)
        label += " / norm of the parameter"
    drawable = np.isfinite(norms) & (norms > 0)
    axes = axes_for(ax, figsize=(7, 1 + 0.3 * len(rows)))
    places = np.arange(len(rows))
    axes.set_xscale("log")
    axes.barh(places[drawable], norms[drawable], height=0.7, color="C0")
    for place in places[~drawable]:
        axes.text(0.01, place, f"{norms[place]:g}", color="C3", va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks(places, list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    return axes


def activations(values: Any, *, ax: Axes | None = None) -> Axes:
    """How the activations of each layer are distributed, and how many of them are zero.

    For each array: a thin line from the 5th to the 95th of a hundred parts, a thick one from the 25th to the 75th, a
    point at the median, a cross at the mean; and the share of zeros, infinities and NaNs where there are any.

    Args:
        values: a pytree of arrays, such as a dict by layer in the order of the layers.
        ax: where to draw; a new figure by default.

    >>> ax = activations({"hidden": np.maximum(np.linspace(-1, 1, 100), 0)})
    >>> [text.get_text() for text in ax.texts]
    [' 50 % zero']
    """
    rows = _named(values, "activations")
    axes = axes_for(ax, figsize=(7, 1 + 0.4 * len(rows)))
    for place, x in enumerate(rows.values()):
        x = x.ravel()
        finite = x[np.isfinite(x)]
        if len(finite):
            low, lower, middle, upper, high = np.percentile(finite, [5, 25, 50, 75, 95])
            axes.plot([low, high], [place, place], color="C0", lw=1)
            axes.plot([lower, upper], [place, place], color="C0", lw=5, solid_capstyle="butt")
            axes.plot(middle, place, "o", color="white", mec="C0", ms=5)
            axes.plot(finite.mean(), place, "x", color="C1", ms=6)
        shares = {"zero": np.mean(x == 0), "infinite": np.mean(np.isinf(x)), "NaN": np.mean(np.isnan(x))}
        said = ", ".join(f"{100 * share:.3g} % {what}" for what, share in shares.items() if share > 0)
        if said:
            axes.text(1.0, place, " " + said, va="center", fontsize="small", transform=axes.get_yaxis_transform())
    axes.set_yticks(np.arange(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("activation")
    axes.grid(axis="x", alpha=0.3)
    return axes


def confusion_matrix(
    labels: Any,
    predictions: Any,
    *,
    classes: Sequence[str] | None = None,
    normalise: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """How often each class (rows) was taken for each class (columns).

    Args:
        labels: the classes, integers from 0: shape (n,).
        predictions: the same, or scores of shape (n, classes), of which the greatest counts.
        classes: their names.
        normalise: shares of each row, not numbers.
        ax: where to draw; a new figure by default.

    >>> ax = confusion_matrix([0, 1, 1], [0, 1, 0])
    >>> [text.get_text() for text in ax.texts], ax.get_title()
    (['1', '0', '1', '1'], 'accuracy 66.67 %')
    """
    true, guess = np.asarray(labels), np.asarray(predictions)
    k = guess.shape[1] if guess.ndim == 2 else 0
    guess = np.argmax(guess, axis=1) if guess.ndim == 2 else guess
    if true.shape != guess.shape or true.ndim != 1 or not true.size or true.dtype.kind not in "iub":
        raise ValueError(
            "confusion_matrix: labels are integers of shape (n,), predictions too or scores of shape (n, classes), "
            f"not {true.dtype}{list(true.shape)} and shape {np.shape(predictions)}"
        )
    if min(true.min(), guess.min()) < 0:
        raise ValueError("confusion_matrix: classes are numbered from 0, and there is a negative one")
    k = max(k, int(true.max()) + 1, int(guess.max()) + 1, len(classes or ()))
    counts = np.zeros((k, k))
    np.add.at(counts, (true.astype(int), guess.astype(int)), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes = axes_for(ax, figsize=(1.5 + 0.5 * k, 1.5 + 0.5 * k))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(k, k):
        text = f"{shares[i, j]:.2f}" if normalise else f"{int(counts[i, j])}"
        axes.text(j, i, text, ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    names = [str(i) for i in range(k)] if classes is None else list(classes) + [str(i) for i in range(len(classes), k)]
    axes.set_xticks(range(k), names, rotation=45 if classes is not None else 0)
    axes.set_yticks(range(k), names)
    axes.set(xlabel="predicted", ylabel="true", title=f"accuracy {100 * np.mean(true == guess):.2f} %")
    return axes
