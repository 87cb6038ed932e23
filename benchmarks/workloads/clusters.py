"""Clusters, float64: a mixture of Gaussians, and a Newton step of k-means, as GradBench has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import program

__all__ = ["WORKLOADS"]

Params = dict[str, np.ndarray]

GAMMA, M = 1.0, 2.0  # the Wishart prior of the precision matrices


def gmm_data(n: int, d: int, k: int) -> tuple[Params, np.ndarray]:
    """Weights, means, logarithms of the diagonals and what is below them of each component, and the points."""
    rng = np.random.RandomState(11)
    params = {
        "alphas": rng.randn(k),
        "means": rng.randn(k, d),
        "q": 0.3 * rng.randn(k, d),
        "below": 0.3 * rng.randn(k, d, d),
    }
    return params, rng.randn(n, d)


def make_gmm(lib: Any, xp: Any) -> Callable[..., Any]:
    """The negative logarithm of the posterior density."""

    def loss(p: Any, x: Any) -> Any:
        below, scale = xp.tril(p["below"], -1), xp.exp(p["q"])
        centred = x[:, None, :] - p["means"]
        z = scale * centred + xp.einsum("kij,nkj->nki", below, centred)
        inner = p["alphas"] + xp.sum(p["q"], 1) - 0.5 * xp.sum(z**2, 2)
        mixed = xp.sum(lib.nn.logsumexp(inner, 1)) - x.shape[0] * lib.nn.logsumexp(p["alphas"], 0)
        return -mixed + 0.5 * GAMMA**2 * (xp.sum(scale**2) + xp.sum(below**2)) - M * xp.sum(p["q"])

    return loss


def _logsumexp(z: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """With its derivative, the softmax."""
    top = np.max(z, axis, keepdims=True)
    e = np.exp(z - top)
    total = np.sum(e, axis, keepdims=True)
    return np.squeeze(np.log(total) + top, axis), e / total


def gmm_by_hand(p: Params, x: np.ndarray) -> tuple[Any, Params]:
    """Value and gradient."""
    below, scale = np.tril(p["below"], -1), np.exp(p["q"])
    centred = x[:, None, :] - p["means"]
    by_component = centred.transpose(1, 0, 2)
    z = scale * centred + (by_component @ below.transpose(0, 2, 1)).transpose(1, 0, 2)
    inner, share = _logsumexp(p["alphas"] + np.sum(p["q"], 1) - 0.5 * np.sum(z**2, 2), 1)
    prior, weight = _logsumexp(p["alphas"], 0)
    value = x.shape[0] * prior - np.sum(inner)
    value += 0.5 * GAMMA**2 * (np.sum(scale**2) + np.sum(below**2)) - M * np.sum(p["q"])
    dz = share[:, :, None] * z
    dz_by_component = dz.transpose(1, 0, 2)
    d_centred = scale * dz + (dz_by_component @ below).transpose(1, 0, 2)
    mass = np.sum(share, 0)
    return value, {
        "alphas": x.shape[0] * weight - mass,
        "means": -np.sum(d_centred, 0),
        "q": np.sum(dz * centred, 0) * scale - mass[:, None] + GAMMA**2 * scale**2 - M,
        "below": np.tril(dz_by_component.transpose(0, 2, 1) @ by_component, -1) + GAMMA**2 * below,
    }


gmm = program(
    "gmm",
    "Value and gradient of a mixture of Gaussians with full covariances, 500 points.",
    cases={"500 points": {"n": 500, "d": 8, "k": 8}},
    tiny={"n": 7, "d": 3, "k": 2},
    rtol=1e-10,
    data=gmm_data,
    make=make_gmm,
    by_hand=gmm_by_hand,
)


def kmeans_data(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres, one near some point each, and the points."""
    rng = np.random.RandomState(12)
    points = rng.randn(n, d)
    return points[:k] + 0.01, points


def make_kmeans(lib: Any, xp: Any) -> Callable[..., Any]:
    """Newton's step on the sum of squared distances: its Hessian is diagonal, and one product with ones gives it."""

    def step(centres: Any, points: Any) -> Any:
        def cost(c: Any) -> Any:
            return xp.sum(xp.amin(xp.sum((points[:, None, :] - c) ** 2, 2), 1))

        slope, curvature = lib.jvp(lib.grad(cost), (centres,), (xp.ones_like(centres),))
        return centres - slope / curvature

    return step


def kmeans_by_hand(centres: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Lloyd's step, which it is the same as."""
    nearest = np.argmin(np.sum((points[:, None, :] - centres) ** 2, 2), 1)
    members = (nearest[:, None] == np.arange(len(centres))).astype(np.float64)
    return (members.T @ points) / np.sum(members, 0)[:, None]


kmeans = program(
    "kmeans",
    "Newton's step of k-means: gradient and product with the Hessian, 2000 points, 10 centres.",
    cases={"2000 points": {"n": 2000, "d": 4, "k": 10}},
    tiny={"n": 20, "d": 2, "k": 3},
    rtol=1e-10,
    data=kmeans_data,
    make=make_kmeans,
    by_hand=kmeans_by_hand,
    gradient=False,
)

WORKLOADS = (gmm, kmeans)
