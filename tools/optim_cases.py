"""Optimisers, schedules and losses that are compared with optax's: one table for both libraries.

An entry is a function of the library, `funcgrad.optim` or `optax`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LOSSES", "OPTIMISERS", "SCHEDULES", "SEARCHES", "STEPS", "gradients", "objective", "start"]

STEPS = 50
MASK = {"w": True, "b": [False, True]}

OPTIMISERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda L: L.sgd(0.1),
    "sgd nesterov": lambda L: L.sgd(0.1, 0.9, True),
    "adam": lambda L: L.adam(0.01),
    "adam root": lambda L: L.adam(0.01, 0.8, 0.9, 1e-4, 1e-3, nesterov=True),
    "adam f4": lambda L: L.adam(0.01, mu_dtype="float32"),
    "adamw": lambda L: L.adamw(0.01, weight_decay=0.1, mask=MASK),
    "adamw schedule": lambda L: L.adamw(L.warmup_cosine_decay_schedule(0.0, 0.1, 5, 40)),
    "nadam": lambda L: L.nadam(0.01),
    "nadamw": lambda L: L.nadamw(0.01),
    "adamax": lambda L: L.adamax(0.01),
    "adamaxw": lambda L: L.adamaxw(0.01, weight_decay=0.1),
    "amsgrad": lambda L: L.amsgrad(0.01),
    "adabelief": lambda L: L.adabelief(0.01),
    "adagrad": lambda L: L.adagrad(0.1),
    "adadelta": lambda L: L.adadelta(1.0),
    "adan": lambda L: L.adan(0.01, weight_decay=0.01),
    "adafactor": lambda L: L.adafactor(0.01, 2),
    "adafactor momentum": lambda L: L.adafactor(0.01, momentum=0.9, weight_decay_rate=0.01, dtype_momentum="float64"),
    "radam": lambda L: L.radam(0.01),
    "radam nesterov": lambda L: L.radam(0.01, threshold=4.0, nesterov=True),
    "rmsprop": lambda L: L.rmsprop(0.01),
    "rmsprop centred": lambda L: L.rmsprop(0.01, centered=True, momentum=0.9, eps_in_sqrt=False),
    "rmsprop unbiased": lambda L: L.rmsprop(0.01, bias_correction=True, nesterov=True, momentum=0.5),
    "rprop": lambda L: L.rprop(0.01),
    "lion": lambda L: L.lion(0.01),
    "lamb": lambda L: L.lamb(0.01, weight_decay=0.1),
    "lars": lambda L: L.lars(0.1, weight_decay=0.1),
    "fromage": lambda L: L.fromage(0.01),
    "sign": lambda L: L.sign_sgd(0.01),
    "signum": lambda L: L.signum(0.01),
    "novograd": lambda L: L.novograd(0.01, weight_decay=0.1),
    "sm3": lambda L: L.masked(L.sm3(0.1), {"w": True, "b": [True, False]}),
    "yogi": lambda L: L.yogi(0.01),
    "optimistic": lambda L: L.optimistic_gradient_descent(0.01, alpha=0.7, beta=0.4),
    "optimistic adam": lambda L: L.optimistic_adam_v2(0.01),
    "noisy": lambda L: L.noisy_sgd(0.1, key=3),
    "clip": lambda L: L.chain(L.clip_by_global_norm(1.0), L.adam(0.1)),
    "clip units": lambda L: L.chain(L.adaptive_grad_clip(0.1), L.sgd(0.1)),
    "clip blocks": lambda L: L.chain(L.clip_by_block_rms(0.5), L.sgd(0.1)),
    "centralize": lambda L: L.chain(L.centralize(), L.sgd(0.1)),
    "ema": lambda L: L.chain(L.ema(0.9), L.scale(-0.1)),
    "every": lambda L: L.chain(L.apply_every(3), L.scale(-0.1)),
    "partition": lambda L: L.partition({1: L.adam(0.1), 2: L.set_to_zero()}, {"w": 1, "b": 2}),
    "multi": lambda L: L.MultiSteps(L.adam(0.1), 3).gradient_transformation(),
    "finite": lambda L: L.apply_if_finite(L.adam(0.1), 2),
    "nonnegative": lambda L: L.chain(L.sgd(0.1), L.keep_params_nonnegative()),
    "inject": lambda L: L.inject_hyperparams(L.adam)(learning_rate=L.linear_schedule(0.1, 0.01, 30)),
    "now and then": lambda L: L.conditionally_transform(L.adam(0.1), lambda step: step % 2 == 0),
    "named": lambda L: L.named_chain(("a", L.clip(0.5)), ("b", L.rmsprop(0.1))),
    "normalize": lambda L: L.chain(L.normalize_by_update_norm(2.0), L.scale(-0.1)),
    "block norm": lambda L: L.chain(L.scale_by_param_block_norm(), L.scale(-0.01)),
    "flatten": lambda L: L.flatten(L.adam(0.1)),
    "frozen": lambda L: L.chain(L.sgd(0.1), L.freeze(MASK)),
    "distance": lambda L: L.chain(L.scale_by_distance_over_gradients(), L.scale(-1.0)),
}

SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "warmup cosine": lambda L: L.warmup_cosine_decay_schedule(0.0, 0.1, 5, 40, 0.01),
    "exponential": lambda L: L.exponential_decay(0.1, 10, 0.5, staircase=True, end_value=0.02),
    "polynomial": lambda L: L.polynomial_schedule(0.1, 0.01, 2, 20, 5),
    "cosine onecycle": lambda L: L.cosine_onecycle_schedule(40, 0.1),
    "linear onecycle": lambda L: L.linear_onecycle_schedule(40, 0.1),
    "steps": lambda L: L.piecewise_constant_schedule(0.1, {10: 0.5, 20: 0.1}),
    "between": lambda L: L.piecewise_interpolate_schedule("cosine", 0.1, {10: 0.5, 20: 2.0}),
    "restarts": lambda L: L.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 0.1, "decay_steps": 20, "warmup_steps": 4}] * 2
    ),
    "warmup exponential": lambda L: L.warmup_exponential_decay_schedule(0.0, 0.1, 5, 10, 0.5),
    "cosine": lambda L: L.cosine_decay_schedule(0.1, 30, alpha=0.1, exponent=1.3),
}

SEARCHES: dict[str, Callable[[Any], Any]] = {
    "lbfgs": lambda L: L.lbfgs(),
    "lbfgs alone": lambda L: L.lbfgs(0.01, linesearch=None),
    "lbfgs short": lambda L: L.lbfgs(memory_size=2, scale_init_precond=False),
    "lbfgs keep": lambda L: L.lbfgs(linesearch=L.scale_by_zoom_linesearch(15, max_learning_rate=1.0)),
    "zoom": lambda L: L.chain(L.sgd(0.01), L.scale_by_zoom_linesearch(5, curv_rtol=0.1, approx_dec_rtol=None)),
    "backtracking": lambda L: L.chain(L.sgd(0.01), L.scale_by_backtracking_linesearch(15, store_grad=True)),
}


def start(dtype: str) -> Any:
    """The parameters at the beginning."""
    return {
        "w": np.cos(np.arange(12)).reshape(3, 4).astype(dtype),
        "b": [np.sin(np.arange(1, 5)).astype(dtype), np.array(0.3, dtype)],
    }


def gradients(params: Any, step: int) -> Any:
    """Gradients that are not those of a function, so that nothing settles."""

    def one(p: Any, phase: float) -> Any:
        p = np.asarray(p)
        return (0.7 * p + np.cos(1.7 * step + phase + 0.9 * np.arange(p.size)).reshape(p.shape)).astype(p.dtype)

    return {"w": one(params["w"], 0.0), "b": [one(params["b"][0], 1.0), one(params["b"][1], 2.0)]}


def objective(params: Any) -> Any:
    """A banana, for line searches."""
    x, y = params["x"], params["y"]
    return 100 * ((y - x**2) ** 2).sum() + ((1 - x) ** 2).sum()


def _wave(shape: tuple[int, ...], phase: float) -> Any:
    return (1.5 * np.cos(phase + 1.3 * np.arange(np.prod(shape)) ** 1.1)).reshape(shape)


X, Y = _wave((4, 5), 0.0), _wave((4, 5), 1.0)
P = np.exp(Y) / np.exp(Y).sum(-1, keepdims=True)
P0 = P * (np.arange(5) > 0)
LABELS = np.array([0, 3, 4, 1])
BITS = np.sign(Y) > 0
SEEN = _wave((4, 5), 2.0) > -0.5
FRAMES = _wave((3, 8, 5), 0.3)
SOUND = np.zeros((3, 8))
SOUND[1, 6:] = 1
WORDS = np.array([[1, 1, 2], [3, 4, 0], [2, 0, 0]])
ABSENT = np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 1]])
IMAGE, AREA = _wave((2, 6, 3), 0.7), np.eye(3)[np.arange(12).reshape(2, 6) ** 2 % 3]

LOSSES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "squared": ("squared_error", (X, Y), {}),
    "l2": ("l2_loss", (X,), {}),
    "huber": ("huber_loss", (X, Y), {"delta": 0.5}),
    "log cosh": ("log_cosh", (10 * X, Y), {}),
    "cosine": ("cosine_similarity", (X, Y), {"axis": 0, "epsilon": 1e-3}),
    "distance": ("cosine_distance", (X, Y), {"where": SEEN}),
    "bce": ("sigmoid_binary_cross_entropy", (X, BITS), {}),
    "focal": ("sigmoid_focal_loss", (X, BITS), {"alpha": 0.3, "gamma": 1.5}),
    "hinge": ("hinge_loss", (X, 2.0 * BITS - 1), {}),
    "perceptron": ("perceptron_loss", (X, 2.0 * BITS - 1), {}),
    "sparsemax": ("sparsemax_loss", (X, BITS), {}),
    "cross": ("softmax_cross_entropy", (X, P), {}),
    "cross where": ("softmax_cross_entropy", (X, P), {"where": SEEN}),
    "cross all": ("softmax_cross_entropy", (X, P), {"axis": (0, 1)}),
    "cross safe": ("safe_softmax_cross_entropy", (np.where(P0 == 0, -np.inf, X), P0), {}),
    "integer": ("softmax_cross_entropy_with_integer_labels", (X, LABELS), {}),
    "integer where": ("softmax_cross_entropy_with_integer_labels", (X, LABELS), {"where": SEEN}),
    "integer axes": (
        "softmax_cross_entropy_with_integer_labels",
        (IMAGE, np.array([5, 2, 0, 1, 3, 4])),
        {"axis": (0, 2)},
    ),
    "multi hinge": ("multiclass_hinge_loss", (X, LABELS), {}),
    "multi": ("multiclass_perceptron_loss", (X, LABELS), {}),
    "multi sparsemax": ("multiclass_sparsemax_loss", (X, LABELS), {}),
    "poly": ("poly_loss_cross_entropy", (X, P), {"epsilon": 1.0, "where": SEEN}),
    "kl": ("kl_divergence", (X, P0), {}),
    "kl logs": ("kl_divergence_with_log_targets", (X, Y), {}),
    "kl any": ("generalized_kl_divergence", (X, P), {}),
    "smooth": ("smooth_labels", (P, 0.1), {"where": SEEN}),
    "ctc": ("ctc_loss", (FRAMES, SOUND, WORDS, ABSENT), {}),
    "ctc blank": ("ctc_loss", (FRAMES, SOUND, WORDS[:, :2], ABSENT[:, :2]), {"blank_id": 4}),
    "dice": ("dice_loss", (IMAGE, AREA), {"alpha": 0.3, "beta": 0.7, "reduction": "sum", "ignore_background": True}),
    "dice classes": ("multiclass_generalized_dice_loss", (IMAGE, AREA), {}),
    "dice one": ("binary_dice_loss", (X, BITS * 1.0), {}),
    "ntxent": ("ntxent", (X, LABELS // 2), {"temperature": 0.5}),
    "triplet": ("triplet_margin_loss", (X, Y, Y[::-1]), {}),
    "ranking": ("ranking_softmax_loss", (X, P), {"where": SEEN}),
}
