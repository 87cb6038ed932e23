"""Losses of numbers and of classes: one value for each example, not yet averaged."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.nn import log_sigmoid, log_softmax, logsumexp, one_hot, softmax, sparse_plus
from funcgrad.numpy._dispatch import array_operand
from funcgrad.transforms.custom import custom_jvp

__all__ = [
    "beside", "convex_kl_divergence", "cosine_distance", "cosine_similarity", "floats", "generalized_kl_divergence",
    "hinge_loss", "huber_loss", "kl_divergence", "kl_divergence_with_log_targets", "l2_loss", "log_cosh",
    "multiclass_hinge_loss", "multiclass_perceptron_loss", "multiclass_sparsemax_loss", "perceptron_loss",
    "poly_loss_cross_entropy", "safe_softmax_cross_entropy", "same_shapes", "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss", "simplex", "smooth_labels", "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels", "sparsemax_loss", "squared_error",
]  # fmt: skip

Axes = int | tuple[int, ...] | None


def floats(name: str, **arrays: Any) -> Any:
    """The arguments of a loss as arrays; TypeError where one is not of floating-point numbers."""
    out = [array_operand(x) for x in arrays.values()]
    for argument, x in zip(arrays, out, strict=True):
        if x.dtype.kind != "f":
            raise TypeError(f"{name}: {argument} must be floating-point numbers, got {x.dtype}")
    return out[0] if len(out) == 1 else out


def beside(x: Any, predictions: Any) -> Any:
    """Targets as an array; whole numbers in the dtype of the predictions, so that float32 stays float32."""
    x = array_operand(x)
    return x.astype(predictions.dtype) if x.dtype.kind in "iub" else x


def same_shapes(name: str, **arrays: Any) -> None:
    """Raise ShapeError unless all have the same shape."""
    shapes = {argument: np.shape(x) for argument, x in arrays.items()}
    if len(set(shapes.values())) > 1:
        said = " and ".join(f"{argument} {shape}" for argument, shape in shapes.items())
        raise ShapeError(f"{name}: shapes must be equal, got {said}")


def _sum(x: Any, axis: Axes, where: Any, keepdims: bool = False) -> Any:
    return np.sum(x, axis=axis, keepdims=keepdims, where=True if where is None else where)


def _where_for(where: Any, x: Any, axis: Any) -> Any:
    """A mask of whole examples, without the axes of the classes, gets them."""
    if where is None:
        return None
    where = array_operand(where)
    return where if where.ndim == x.ndim else np.expand_dims(where, axis)


# ---------------------------------------------------------------------------------------------------------- regression


def _errors(name: str, predictions: Any, targets: Any) -> Any:
    predictions = floats(name, predictions=predictions)
    return predictions if targets is None else predictions - beside(targets, predictions)


def squared_error(predictions: Any, targets: Any = None) -> Any:
    """(predictions - targets)², element by element.

    Args:
        predictions: an array of floating-point numbers.
        targets: an array of the same shape; zeros if not given.

    >>> squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    array([1., 4.])
    """
    if targets is not None:
        same_shapes("squared_error", predictions=predictions, targets=targets)
    errors = _errors("squared_error", predictions, targets)
    return errors * errors


def l2_loss(predictions: Any, targets: Any = None) -> Any:
    """Half of `squared_error`: its derivative is the error.

    >>> l2_loss(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    array([0.5, 2. ])
    """
    return 0.5 * squared_error(predictions, targets)


def huber_loss(predictions: Any, targets: Any = None, *, delta: float = 1.0) -> Any:
    """Squares of small errors, and a line beyond `delta` (Huber 1964).

    >>> huber_loss(np.array([0.5, 3.0]))
    array([0.125, 2.5  ])
    """
    size = np.abs(_errors("huber_loss", predictions, targets))
    square = np.minimum(size, delta)
    return 0.5 * square * square + delta * (size - square)


def log_cosh(predictions: Any, targets: Any = None) -> Any:
    """log(cosh(error)), without overflow: squares of small errors, a line for large ones.

    >>> log_cosh(np.array([0.0, 1000.0])).round(3)
    array([  0.   , 999.307])
    """
    errors = _errors("log_cosh", predictions, targets)
    return np.logaddexp(errors, -errors) - np.log(np.asarray(2.0, errors.dtype))


def cosine_similarity(
    predictions: Any, targets: Any, *, epsilon: float = 0.0, axis: Axes = -1, where: Any = None
) -> Any:
    """The cosine of the angle between vectors.

    Args:
        predictions: an array of vectors along `axis`.
        targets: an array that broadcasts against it.
        epsilon: squares of norms are at least this; with 0, vectors of zeros give NaN.
        axis: one or several axes; None for all.
        where: which elements take part.

    >>> cosine_similarity(np.array([1.0, 1.0]), np.array([1.0, 0.0])).round(4)
    np.float64(0.7071)
    """
    a, b = floats("cosine_similarity", predictions=predictions, targets=targets)

    def unit(x: Any) -> Any:
        return x / np.sqrt(np.maximum(_sum(x * x, axis, where, keepdims=True), epsilon))

    return _sum(unit(a) * unit(b), axis, where)


def cosine_distance(predictions: Any, targets: Any, *, epsilon: float = 0.0, axis: Axes = -1, where: Any = None) -> Any:
    """1 - `cosine_similarity`.

    >>> float(cosine_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    1.0
    """
    return 1.0 - cosine_similarity(predictions, targets, epsilon=epsilon, axis=axis, where=where)


# --------------------------------------------------------------------------------------------------------- two classes


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """-log p of independent yes-or-no labels, p being the sigmoid of the logits.

    Args:
        logits: an array of floating-point numbers.
        labels: 0 or 1, or probabilities in between, of a shape that broadcasts against it.

    >>> sigmoid_binary_cross_entropy(np.array([0.0, 100.0]), np.array([1, 1])).round(4)
    array([0.6931, 0.    ])
    """
    logits = floats("sigmoid_binary_cross_entropy", logits=logits)
    labels = beside(labels, logits)
    return -labels * log_sigmoid(logits) - (1.0 - labels) * log_sigmoid(-logits)


def sigmoid_focal_loss(logits: Any, labels: Any, *, alpha: float | None = None, gamma: float = 2.0) -> Any:
    """Cross-entropy times (1 - p)^gamma: less weight on what is easy (Lin et al., arXiv:1708.02002).

    Args:
        logits: an array of floating-point numbers.
        labels: 0 or 1, of a shape that broadcasts against it.
        alpha: the weight of label 1, `1 - alpha` being that of 0; no weights if not given.
        gamma: 0 is the cross-entropy itself.

    >>> sigmoid_focal_loss(np.array([0.0, 5.0]), np.array([1, 1])).round(4)
    array([0.1733, 0.    ])
    """
    logits = floats("sigmoid_focal_loss", logits=logits)
    labels = beside(labels, logits)
    log_p, log_q = log_sigmoid(logits), log_sigmoid(-logits)
    log_p, log_q, labels = np.broadcast_arrays(log_p, log_q, labels)
    log_miss = logsumexp(np.stack([log_p, log_q], -1), axis=-1, b=np.stack([1 - labels, labels], -1))
    loss = sigmoid_binary_cross_entropy(logits, labels) * np.exp(gamma * log_miss)
    return loss if alpha is None else (alpha * labels + (1.0 - alpha) * (1.0 - labels)) * loss


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, 1 - output · target), for targets -1 and 1.

    >>> hinge_loss(np.array([2.0, 0.5]), np.array([1, -1]))
    array([0. , 1.5])
    """
    outputs = array_operand(predictor_outputs)
    return np.maximum(0, 1 - outputs * beside(targets, outputs))


def perceptron_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, -output · target), for targets -1 and 1 (Rosenblatt 1958).

    >>> perceptron_loss(np.array([2.0, 0.5]), np.array([1.0, -1.0]))
    array([0. , 0.5])
    """
    same_shapes("perceptron_loss", predictor_outputs=predictor_outputs, targets=targets)
    outputs = array_operand(predictor_outputs)
    return np.maximum(0, -outputs * beside(targets, outputs))


def sparsemax_loss(logits: Any, labels: Any) -> Any:
    """The loss of two classes whose gradient is `sparse_sigmoid(logits) - labels` (Martins and Astudillo 2016).

    >>> sparsemax_loss(np.array([2.0, 0.0]), np.array([1, 1]))
    array([0.  , 0.25])
    """
    logits = array_operand(logits)
    return sparse_plus(np.where(array_operand(labels).astype(bool), -logits, logits))


# -------------------------------------------------------------------------------------------------------- many classes


def softmax_cross_entropy(logits: Any, labels: Any, axis: Axes = -1, where: Any = None) -> Any:
    """-Σ labels · log p, p being the softmax of the logits.

    Args:
        logits: an array with the classes along `axis`.
        labels: the probabilities of the classes, of a shape that broadcasts against it.
        axis: one or several axes; None for all.
        where: which elements take part.

    A label 0 beside a logit -inf gives NaN: there is `safe_softmax_cross_entropy`.

    >>> softmax_cross_entropy(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])).round(4)
    array([6.931e-01, 1.000e-04])
    """
    logits = floats("softmax_cross_entropy", logits=logits)
    labels = beside(labels, logits)
    where = _where_for(where, logits, axis)
    log_p = log_softmax(logits, axis, where)
    if where is None:
        return -np.sum(labels * log_p, axis=axis)
    return -np.sum(labels * np.where(where, log_p, 0), axis=axis, where=where)


def safe_softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """As `softmax_cross_entropy` over the last axis, where logits may be -inf: a label 0 counts nothing.

    >>> safe_softmax_cross_entropy(np.array([0.0, 0.0, -np.inf]), np.array([1.0, 0.0, 0.0])).round(4)
    np.float64(0.6931)
    """
    logits = floats("safe_softmax_cross_entropy", logits=logits)
    labels = beside(labels, logits)
    log_p = log_softmax(logits)
    return -np.sum(labels * np.where(np.logical_or(labels != 0, np.isfinite(log_p)), log_p, 0), axis=-1)


def softmax_cross_entropy_with_integer_labels(
    logits: Any, labels: Any, axis: int | tuple[int, ...] = -1, where: Any = None
) -> Any:
    """-log p of the class that is right, p being the softmax of the logits.

    Args:
        logits: an array with the classes along `axis`.
        labels: the index of the class, an array of integers of the other axes' shape.
        axis: one axis, or several whose elements are numbered in their order.
        where: which classes take part; examples without any give 0.

    Raises:
        TypeError: logits are not floating-point numbers, or labels not integers.

    >>> softmax_cross_entropy_with_integer_labels(np.array([[0.0, 0.0], [0.0, 9.0]]), np.array([0, 1])).round(4)
    array([6.931e-01, 1.000e-04])
    """
    name = "softmax_cross_entropy_with_integer_labels"
    logits, labels = floats(name, logits=logits), array_operand(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{name}: labels must be integers, got {labels.dtype}; softmax_cross_entropy takes others")
    where = _where_for(where, logits, axis)
    if isinstance(axis, tuple):
        along = tuple(i % logits.ndim for i in axis)
        others = tuple(i for i in range(logits.ndim) if i not in along)

        def flat(x: Any) -> Any:
            return np.transpose(x, (*others, *along)).reshape((*(x.shape[i] for i in others), -1))

        logits, where, axis = flat(logits), None if where is None else flat(where), len(others)
    at = axis % logits.ndim
    if labels.shape != (expected := logits.shape[:at] + logits.shape[at + 1 :]):
        raise ShapeError(
            f"{name}: for logits {logits.shape}, labels must have the shape {expected}, not {labels.shape}"
        )
    right = np.take_along_axis(logits, np.expand_dims(labels, at), axis=at).squeeze(at)
    if where is None:
        return logsumexp(logits, axis=at) - right
    where = np.broadcast_to(where, logits.shape)
    return np.where(np.any(where, axis=at), logsumexp(logits, axis=at, where=where) - right, 0)


def _of_right(scores: Any, labels: Any) -> tuple[Any, Any]:
    chosen = one_hot(labels, scores.shape[-1], dtype=scores.dtype)
    return chosen, np.sum(scores * chosen, axis=-1)


def multiclass_hinge_loss(scores: Any, labels: Any) -> Any:
    """max over the classes of score + 1, without that 1 for the right one, less its score (Crammer and Singer 2001).

    >>> float(multiclass_hinge_loss(np.array([1.0, 3.0, 2.5]), np.array(1)))
    0.5
    """
    scores = floats("multiclass_hinge_loss", scores=scores)
    chosen, right = _of_right(scores, labels)
    return np.max(scores + 1.0 - chosen, axis=-1) - right


def multiclass_perceptron_loss(scores: Any, labels: Any) -> Any:
    """The largest score less that of the right class.

    >>> float(multiclass_perceptron_loss(np.array([1.0, 3.0, 2.5]), np.array(2)))
    0.5
    """
    scores = floats("multiclass_perceptron_loss", scores=scores)
    return np.max(scores, axis=-1) - _of_right(scores, labels)[1]


def simplex(values: Any, total: Any) -> Any:
    """The nearest vectors along the last axis that are not negative and have this sum.

    Sorted values are taken in as long as they lie above the threshold (Duchi et al. 2008).
    """
    falling = np.sort(values, axis=-1)[..., ::-1]
    rank = np.arange(1, values.shape[-1] + 1, dtype=values.dtype)
    support = total + rank * falling - np.cumsum(falling, axis=-1) > 0
    inside = np.sum(np.where(support, falling, 0), axis=-1, keepdims=True)
    threshold = (inside - total) / np.sum(support, axis=-1, keepdims=True, dtype=values.dtype)
    return np.maximum(values - threshold, 0)


def multiclass_sparsemax_loss(scores: Any, labels: Any) -> Any:
    """The loss whose gradient is the projection of the scores to the simplex, less the label (Martins 2016).

    >>> multiclass_sparsemax_loss(np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([0, 0]))
    array([0.  , 0.25])
    """
    scores = floats("multiclass_sparsemax_loss", scores=scores)
    p, (_, right) = simplex(scores, 1), _of_right(scores, labels)
    ahead = np.where(p > 0, scores - np.expand_dims(right, -1), 0)
    return np.sum(p * ahead, axis=-1) + 0.5 * (1.0 - np.sum(p * p, axis=-1))


def poly_loss_cross_entropy(
    logits: Any, labels: Any, *, epsilon: float = 2.0, axis: Axes = -1, where: Any = None
) -> Any:
    """Cross-entropy + epsilon Σ labels · (1 - p) (Leng et al., arXiv:2204.12511).

    >>> poly_loss_cross_entropy(np.array([0.0, 0.0]), np.array([1.0, 0.0])).round(4)
    np.float64(1.6931)
    """
    logits, labels = floats("poly_loss_cross_entropy", logits=logits, labels=labels)
    missed = _sum(labels * (1 - softmax(logits, axis=axis, where=where)), axis, where)
    return softmax_cross_entropy(logits, labels, axis, where) + epsilon * missed


def smooth_labels(labels: Any, alpha: float, *, axis: Axes = -1, where: Any = None) -> Any:
    """A share `alpha` of the probability spread evenly over the classes (Müller et al., arXiv:1906.02629).

    >>> smooth_labels(np.array([1.0, 0.0]), 0.2)
    array([0.9, 0.1])
    """
    labels = floats("smooth_labels", labels=labels)
    count = _sum(np.ones_like(labels), axis, where, keepdims=True)
    return (1.0 - alpha) * labels + alpha / count


# --------------------------------------------------------------------------------------------------------- divergences


def kl_divergence(log_predictions: Any, targets: Any, axis: Axes = -1, where: Any = None) -> Any:
    """Σ t (log t - log p), of probabilities t and logarithms of probabilities; a target 0 counts nothing.

    >>> kl_divergence(np.log([0.5, 0.5]), np.array([1.0, 0.0])).round(4)
    np.float64(0.6931)
    """
    log_p, t = floats("kl_divergence", log_predictions=log_predictions, targets=targets)
    return _sum(_times_logarithm(t) - t * log_p, axis, where)


@custom_jvp
def _times_logarithm(t: Any) -> Any:
    """t log t, 0 at 0, where its slope is -inf."""
    return t * np.log(np.where(t == 0, 1, t))


@_times_logarithm.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (t,), (dt,) = primals, tangents
    with np.errstate(invalid="ignore"):  # an infinite slope times no change, which nobody reads
        return _times_logarithm(t), (np.log(t) + 1) * dt


def kl_divergence_with_log_targets(log_predictions: Any, log_targets: Any, axis: Axes = -1, where: Any = None) -> Any:
    """`kl_divergence` of logarithms of probabilities.

    >>> kl_divergence_with_log_targets(np.log([0.5, 0.5]), np.log([0.9, 0.1])).round(4)
    np.float64(0.3681)
    """
    name = "kl_divergence_with_log_targets"
    log_p, log_t = floats(name, log_predictions=log_predictions, log_targets=log_targets)
    return _sum(np.exp(log_t) * (log_t - log_p), axis, where)


def generalized_kl_divergence(log_predictions: Any, targets: Any, axis: Axes = -1, where: Any = None) -> Any:
    """`kl_divergence` + Σ (p - t): also of what does not add up to 1, and convex in both.

    >>> generalized_kl_divergence(np.log([1.0, 1.0]), np.array([1.0, 1.0]))
    np.float64(0.0)
    """
    log_p, t = floats("generalized_kl_divergence", log_predictions=log_predictions, targets=targets)
    return kl_divergence(log_p, t, axis, where) + _sum(np.exp(log_p) - t, axis, where)


convex_kl_divergence = generalized_kl_divergence
