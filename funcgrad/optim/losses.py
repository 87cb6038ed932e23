"""Losses, with the names and the mathematics of `optax.losses`.

Most give one value for each example, to be averaged by the caller:

>>> from funcgrad import grad, optim
>>> loss = lambda w: optim.losses.l2_loss(w * np.array([1.0, 2.0]), np.array([2.0, 4.0])).mean()
>>> float(grad(loss)(1.0))
-2.5
"""

from funcgrad.optim._losses import (
    convex_kl_divergence,
    cosine_distance,
    cosine_similarity,
    generalized_kl_divergence,
    hinge_loss,
    huber_loss,
    kl_divergence,
    kl_divergence_with_log_targets,
    l2_loss,
    log_cosh,
    multiclass_hinge_loss,
    multiclass_perceptron_loss,
    multiclass_sparsemax_loss,
    perceptron_loss,
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    sparsemax_loss,
    squared_error,
)
from funcgrad.optim._losses_more import (
    binary_dice_loss,
    ctc_loss,
    ctc_loss_with_forward_probs,
    dice_loss,
    make_fenchel_young_loss,
    multiclass_generalized_dice_loss,
    ntxent,
    ranking_softmax_loss,
    triplet_margin_loss,
)

__all__ = [
    "binary_dice_loss",
    "convex_kl_divergence",
    "cosine_distance",
    "cosine_similarity",
    "ctc_loss",
    "ctc_loss_with_forward_probs",
    "dice_loss",
    "generalized_kl_divergence",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "l2_loss",
    "log_cosh",
    "make_fenchel_young_loss",
    "multiclass_generalized_dice_loss",
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "multiclass_sparsemax_loss",
    "ntxent",
    "perceptron_loss",
    "poly_loss_cross_entropy",
    "ranking_softmax_loss",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "sparsemax_loss",
    "squared_error",
    "triplet_margin_loss",
]


def __dir__() -> list[str]:
    return __all__
