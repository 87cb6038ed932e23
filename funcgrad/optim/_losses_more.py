"""Losses of sequences, rankings, segmentations and embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.control.loops import scan
from funcgrad.core import Tracer
from funcgrad.errors import ShapeError
from funcgrad.lax import stop_gradient
from funcgrad.nn import log_softmax, one_hot, sigmoid, softmax
from funcgrad.numpy._dispatch import array_operand
from funcgrad.optim._losses import beside, cosine_similarity, floats, same_shapes
from funcgrad.transforms.vmap import vmap

__all__ = [
    "binary_dice_loss", "ctc_loss", "ctc_loss_with_forward_probs", "dice_loss", "make_fenchel_young_loss",
    "multiclass_generalized_dice_loss", "ntxent", "ranking_softmax_loss", "triplet_margin_loss",
]  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- sequences


def ctc_loss(
    logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any, *, blank_id: int = 0, log_epsilon: float = -1e5
) -> Any:
    """Connectionist temporal classification: -log p of labels whose times are not known (Graves et al. 2006).

    Args:
        logits: (batch, time, classes).
        logit_paddings: (batch, time); 1 where a frame is padding. Padding comes last.
        labels: (batch, length), integers.
        label_paddings: (batch, length); 1 where a label is padding. Padding comes last.
        blank_id: the class that stands for no label.
        log_epsilon: what stands for log 0.

    Returns:
        (batch,), one value for each sequence.

    >>> ctc_loss(np.zeros((1, 2, 2)), np.zeros((1, 2)), np.array([[1]]), np.zeros((1, 1))).round(4)
    array([0.2877])
    """
    return ctc_loss_with_forward_probs(
        logits, logit_paddings, labels, label_paddings, blank_id=blank_id, log_epsilon=log_epsilon
    )[0]


def ctc_loss_with_forward_probs(
    logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any, *, blank_id: int = 0, log_epsilon: float = -1e5
) -> tuple[Any, Any, Any]:
    """`ctc_loss`, and the logarithms of the forward probabilities it is made of.

    Returns:
        The losses, (batch,); for each frame and number of labels so far, log p of ending on a blank, (time, batch,
        length + 1), and of ending on the last of these labels, (time, batch, length).

    >>> args = np.zeros((1, 2, 2)), np.zeros((1, 2)), np.array([[1]]), np.zeros((1, 1))
    >>> [x.shape for x in ctc_loss_with_forward_probs(*args)]
    [(1,), (2, 1, 2), (2, 1, 1)]
    """
    name = "ctc_loss"
    logits, labels = floats(name, logits=logits), array_operand(labels)
    if logits.ndim != 3 or labels.ndim != 2 or len(labels) != len(logits):
        raise ShapeError(
            f"{name}: logits must be (batch, time, classes) and labels (batch, length), got {logits.shape} and "
            f"{labels.shape}"
        )
    same_shapes(name, labels=labels, label_paddings=label_paddings)
    same_shapes(name, **{"logits without classes": logits[..., 0], "logit_paddings": logit_paddings})
    dtype = logits.dtype
    padded, absent = (array_operand(x).astype(dtype) for x in (logit_paddings, label_paddings))
    lengths = labels.shape[1] - np.sum(absent, axis=1).astype(int)
    again = np.pad((labels[:, :-1] == labels[:, 1:]).astype(dtype), ((0, 0), (0, 1)))
    log_p = log_softmax(logits)
    chosen = np.where(absent > 0, blank_id, labels)
    of_label = np.take_along_axis(log_p, np.expand_dims(chosen, 1), axis=2)
    of_blank = log_p[:, :, blank_id : blank_id + 1]

    def joined(blank: Any, more: Any) -> Any:
        return np.concatenate([blank[:, :1], np.logaddexp(blank[:, 1:], more)], axis=-1)

    def step(before: Any, frame: Any) -> Any:
        blank, label = before
        log_label, log_blank, pad = frame
        ready = joined(blank, label + log_epsilon * again)  # the same label twice needs a blank between
        new_label = np.logaddexp(ready[:, :-1], label) + log_label
        new_blank = joined(ready + log_blank, label + log_blank + log_epsilon * (1.0 - again))
        new = (pad * blank + (1.0 - pad) * new_blank, pad * label + (1.0 - pad) * new_label)
        return new, new

    n, most = labels.shape
    blank = np.concatenate([np.zeros((n, 1), dtype), np.full((n, most), log_epsilon, dtype)], axis=1)
    frames = (np.swapaxes(of_label, 0, 1), np.swapaxes(of_blank, 0, 1), np.expand_dims(padded.T, -1))
    last, (blanks, ends) = scan(step, (blank, np.full((n, most), log_epsilon, dtype)), frames)
    total = joined(*last)
    loss = -np.sum(total * one_hot(lengths, most + 1, dtype=dtype), axis=1)
    return loss, np.concatenate([blanks[:-1], np.expand_dims(total, 0)]), ends


# ------------------------------------------------------------------------------------------------------------- ranking


def ranking_softmax_loss(
    logits: Any, labels: Any, *, where: Any = None, weights: Any = None, reduce_fn: Callable[..., Any] | None = np.mean
) -> Any:
    """-Σ labels · log softmax of the scores in a list (Cao et al. 2007, ListNet with one document).

    Args:
        logits: (…, list).
        labels: how relevant each is, of the same shape.
        where: which elements of a list there are.
        weights: factors of the labels.
        reduce_fn: how the lists are put together: `np.mean`, `np.sum`, …; None for one value each.

    >>> ranking_softmax_loss(np.array([0.0, 0.0]), np.array([1.0, 0.0])).round(4)
    np.float64(0.6931)
    """
    logits = floats("ranking_softmax_loss", logits=logits)
    labels = beside(labels, logits)
    if weights is not None:
        labels = labels * weights
    if where is None:
        loss = -np.sum(labels * log_softmax(logits), axis=-1)
        return loss if reduce_fn is None else reduce_fn(loss)
    where = np.broadcast_to(array_operand(where), logits.shape)
    log_p = np.where(where, log_softmax(logits, where=where), 0)
    loss = -np.sum(np.where(where, labels, 0) * log_p, axis=-1)
    some = np.any(where, axis=-1)
    if reduce_fn is None:
        return np.where(some, loss, 0)
    if reduce_fn.__name__ == "mean":  # of no lists at all it is 0, not NaN
        return np.sum(np.where(some, loss, 0)) / np.maximum(np.sum(some), 1).astype(loss.dtype)
    return reduce_fn(loss, where=some)


# -------------------------------------------------------------------------------------------------------- segmentation


def dice_loss(
    predictions: Any,
    targets: Any,
    *,
    class_weights: Any = None,
    smooth: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: Any = None,
) -> Any:
    """1 - the share that areas overlap, class by class (Milletari et al., arXiv:1606.04797).

    Args:
        predictions: (batch, …, classes), logits; for one class, that axis may be absent.
        targets: 0 or 1, of the same shape.
        class_weights: (classes,), factors.
        smooth: added to numerator and denominator.
        alpha: the weight of what is predicted wrongly; 0.5 for both is Dice's coefficient (Salehi et al.,
            arXiv:1706.05721, Tversky's).
        beta: the weight of what is missed.
        apply_softmax: predictions are logits; otherwise they are probabilities.
        reduction: "mean" or "sum" over classes, or "none".
        ignore_background: leave the first of several classes out.
        axis: the axes of the places; by default all between the first and the last.

    >>> dice_loss(np.array([[[20.0], [-20.0]]]), np.array([[[1.0], [0.0]]])).round(4)
    array([0.])
    """
    predictions = array_operand(predictions)
    targets = beside(targets, predictions)
    if predictions.ndim == targets.ndim - 1:
        predictions = np.expand_dims(predictions, -1)
    if targets.ndim == predictions.ndim - 1:
        targets = np.expand_dims(targets, -1)
    same_shapes("dice_loss", predictions=predictions, targets=targets)
    p = predictions
    if apply_softmax:
        p = sigmoid(p) if p.shape[-1] == 1 else softmax(p, axis=-1)
    elif p.shape[-1] > 1 and not issubclass(type(p), Tracer) and not np.allclose(np.sum(p, axis=-1), 1, rtol=1e-5):
        raise ValueError("dice_loss: without apply_softmax, predictions must add up to 1 along the last axis")
    along = tuple(range(1, p.ndim - 1)) if axis is None else axis
    both, here, there = (np.sum(x, axis=along) for x in (p * targets, p, targets))
    loss = 1.0 - (both + smooth) / (both + alpha * (here - both) + beta * (there - both) + smooth)
    if class_weights is not None:
        if np.ndim(class_weights) != 1:
            raise ShapeError(f"dice_loss: class_weights must be (classes,), got {np.shape(class_weights)}")
        loss = loss * class_weights
    if ignore_background and p.shape[-1] > 1:
        loss = loss[..., 1:]
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"dice_loss: reduction {reduction!r} is not 'mean', 'sum' or 'none'")
    return loss if reduction == "none" else getattr(np, reduction)(loss, axis=-1)


def multiclass_generalized_dice_loss(
    predictions: Any, targets: Any, *, smooth: float = 1.0, apply_softmax: bool = True, ignore_background: bool = False
) -> Any:
    """The mean of `dice_loss`, classes weighted by one over the square of their area (arXiv:1707.03237).

    >>> places = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    >>> multiclass_generalized_dice_loss(20 * places, places).round(4)
    np.float64(0.0)
    """
    predictions = array_operand(predictions)
    targets = beside(targets, predictions)
    same_shapes("multiclass_generalized_dice_loss", predictions=predictions, targets=targets)
    area = np.sum(targets, axis=tuple(range(targets.ndim - 1)))
    weights = 1.0 / (area * area + 1e-7)
    weights = weights / np.sum(weights) * len(weights)
    loss = dice_loss(
        predictions, targets, class_weights=weights, smooth=smooth, apply_softmax=apply_softmax, reduction="none",
        ignore_background=ignore_background,
    )  # fmt: skip
    return np.mean(loss)


def binary_dice_loss(predictions: Any, targets: Any, *, smooth: float = 1.0, apply_sigmoid: bool = True) -> Any:
    """`dice_loss` of one class: (batch, …), with or without a last axis of length 1.

    >>> binary_dice_loss(np.array([[20.0, -20.0]]), np.array([[1.0, 0.0]])).round(4)
    array([0.])
    """
    predictions = array_operand(predictions)
    targets = beside(targets, predictions)
    if predictions.ndim == targets.ndim and predictions.shape[-1] != 1:
        predictions, targets = np.expand_dims(predictions, -1), np.expand_dims(targets, -1)
    return dice_loss(predictions, targets, smooth=smooth, apply_softmax=apply_sigmoid)


# ---------------------------------------------------------------------------------------------------------- embeddings


def ntxent(embeddings: Any, labels: Any, temperature: float = 0.07) -> Any:
    """Contrastive loss: cosines between examples of one label against those of others (Chen et al., arXiv:2002.05709).

    Args:
        embeddings: (batch, size).
        labels: (batch,); pairs of equal labels belong together.
        temperature: the cosines are divided by it.

    Returns:
        A number, the mean over pairs.

    >>> ntxent(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 0, 1]), 1.0).round(4)
    np.float64(0.3133)
    """
    x, labels = floats("ntxent", embeddings=embeddings), array_operand(labels)
    if labels.shape[0] != x.shape[0]:
        raise ShapeError(f"ntxent: {labels.shape[0]} labels for {x.shape[0]} embeddings")
    cosines = cosine_similarity(x[None, :, :], x[:, None, :], epsilon=float(np.finfo(x.dtype).eps)) / temperature
    same = np.expand_dims(labels, 1) == np.expand_dims(labels, 0)
    pairs = np.logical_and(same, ~np.eye(len(labels), dtype=bool))
    others = np.logical_not(same)
    seen = np.logical_or(pairs, others)
    most = stop_gradient(np.max(np.where(seen, cosines, -np.inf), axis=1, keepdims=True))
    shifted = np.where(seen, cosines - most, 0)
    size = np.where(seen, np.exp(shifted), 0)
    total = np.sum(np.where(others, size, 0), axis=1, keepdims=True) + size
    log_p = shifted - np.log(np.where(pairs, total, 1))
    return -np.sum(np.where(pairs, log_p, 0)) / np.sum(pairs, dtype=x.dtype)


def triplet_margin_loss(
    anchors: Any,
    positives: Any,
    negatives: Any,
    axis: int = -1,
    norm_degree: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) (Schroff et al., arXiv:1503.03832).

    Args:
        anchors: an array of vectors along `axis`; positives and negatives have the same shape.
        positives: what is to be near.
        negatives: what is to be far.
        axis: the axis of the vectors.
        norm_degree: p of the distance (Σ (a - b)^p + eps)^(1/p).
        margin: how much farther.
        eps: keeps the root differentiable.

    >>> triplet_margin_loss(np.zeros((1, 2)), np.ones((1, 2)), 2 * np.ones((1, 2))).round(3)
    array([0.])
    """
    a, near, far = floats("triplet_margin_loss", anchors=anchors, positives=positives, negatives=negatives)

    def distance(other: Any) -> Any:
        return (np.sum((a - other) ** norm_degree, axis=axis) + eps) ** (1 / norm_degree)

    return np.maximum(distance(near) - distance(far) + margin, 0)


# ------------------------------------------------------------------------------------------------------------ a family


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., Any]:
    """The loss max_fun(scores) - ⟨targets, scores⟩ over the last axis (Blondel et al., arXiv:1901.02324).

    >>> from funcgrad.nn import logsumexp
    >>> cross_entropy = make_fenchel_young_loss(logsumexp)
    >>> cross_entropy(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).round(4)
    array([0.6931])
    """

    def largest(scores: Any, *args: Any, **kwargs: Any) -> Any:
        if scores.ndim <= 1:
            return max_fun(scores, *args, **kwargs)
        return vmap(lambda s: largest(s, *args, **kwargs))(scores)

    def fenchel_young_loss(scores: Any, targets: Any, *args: Any, **kwargs: Any) -> Any:
        scores, targets = array_operand(scores), array_operand(targets)
        return largest(scores, *args, **kwargs) - np.sum(targets * scores, axis=-1)

    return fenchel_young_loss
