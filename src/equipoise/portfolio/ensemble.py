"""Averages of members' probabilities: temperatures, weights, and an honest estimate of the two.

Caruana, Niculescu-Mizil, Crew, Ksikes. Ensemble Selection from Libraries of Models. ICML 2004.
Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017 (temperature).

K members, N rows, C classes. A member has no opinion of a row of which it can read no modality; the
weights of the others are then scaled up, and a row of which nobody has one gets the prior.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST = 1e-6
"""The smallest probability: the logarithm of zero would decide everything."""
BAGS = 20
"""Draws of members and rows, from each of which a greedy selection is made."""
ROUNDS = 25
"""Members that a greedy selection takes, with repetition."""
TOP = 5
"""Members that share half of the weight equally, the best by log-loss."""
NEGLIGIBLE = 0.015
"""Weights below this are set to zero: a member costs the same to fit and store at any weight."""


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, float64 (N, C)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def log_loss(probability: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Weighted mean of −log p(label).

    Args:
        probability: (N, C).
        label: int (N,).
        weight: (N,); None if all rows count alike.
    """
    true = probability[np.arange(len(label)), label]
    return float(np.average(-np.log(np.maximum(true, LEAST)), weights=weight))


def temperature(logits: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The temperature T that minimises the log-loss of softmax(logits / T), within [1/50, 50].

    Args:
        logits: (N, C).
        label: int (N,). Without any row that counts the temperature is 1.
        weight: (N,); None if all rows count alike.
    """
    from scipy.optimize import minimize_scalar

    if not len(label) or (weight is not None and not weight.any()):
        return 1.0
    rows = np.arange(len(label))

    def loss(log_t: float) -> float:
        true = log_softmax(logits / np.exp(log_t))[rows, label]
        return float(-np.average(true, weights=weight))

    found = minimize_scalar(loss, bounds=(-np.log(50), np.log(50)), method="bounded")
    return float(np.exp(found.x))


def average(
    probabilities: np.ndarray, available: np.ndarray, weights: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """The weighted average of the members that have an opinion of a row.

    Args:
        probabilities: (K, N, C).
        available: bool (K, N).
        weights: (K,), not negative.
        prior: (C,), for rows of which no weighted member has one.

    Returns:
        (N, C)
    """
    share = weights[:, None] * available
    total = share.sum(axis=0)
    mixed = np.einsum("kn,knc->nc", share, probabilities)
    known = total > 0
    found: np.ndarray = np.where(
        known[:, None], mixed / np.where(known, total, 1.0)[:, None], prior[None]
    )
    return found


def select(
    true: np.ndarray,
    available: np.ndarray,
    fallback: np.ndarray,
    seed: int,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Choose weights by the log-loss on held-out rows.

    Half of the weight is the mean of greedy selections on bags of rows and members, and half is
    shared equally by the best `TOP` members. Greedy selection alone would collapse to one member
    where the rows are few or all members are right.

    Args:
        true: (K, N), the probability of each row's true class.
        available: bool (K, N).
        fallback: (N,), the prior probability of the true class.
        seed: of the bags.
        weight: (N,) of the rows; None if all count alike.

    Returns:
        (K,), which add up to 1.
    """
    count, rows = true.shape
    rng = np.random.default_rng(seed)
    chance = None if weight is None else weight / weight.sum()
    known = np.maximum(np.where(available, true, fallback), LEAST)
    losses = np.average(-np.log(known), axis=1, weights=weight)
    order = np.argsort(losses, kind="stable")
    greedy = np.zeros(count)
    for _ in range(BAGS):
        members = np.unique([order[0], *rng.choice(count, max(1, count // 2), replace=False)])
        drawn = rng.choice(rows, size=rows, p=chance)
        taken = _greedy(true[members][:, drawn], available[members][:, drawn], fallback[drawn])
        greedy[members] += taken
    best = np.zeros(count)
    best[order[: min(TOP, count)]] = 1
    weights = greedy / greedy.sum() + best / best.sum()
    weights /= weights.sum()
    weights[weights < min(NEGLIGIBLE, weights.max())] = 0
    found: np.ndarray = weights / weights.sum()
    return found


def _greedy(true: np.ndarray, available: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """How often each member is taken when each round adds the one that lowers the loss most."""
    counts = np.zeros(len(true))
    mixed = np.zeros(true.shape[1])
    total = np.zeros(true.shape[1])
    shown = true * available
    for _ in range(ROUNDS):
        share = total + available
        trial = np.where(share > 0, (mixed + shown) / np.maximum(share, 1), fallback)
        best = int((-np.log(np.maximum(trial, LEAST))).mean(axis=1).argmin())
        counts[best] += 1
        mixed += shown[best]
        total += available[best]
    return counts


class Blend:
    """Temperatures and weights of K members, chosen on held-out rows.

    Args:
        temperatures: (K,).
        weights: (K,).
        prior: (C,).
    """

    def __init__(
        self, temperatures: Sequence[float], weights: Sequence[float], prior: Sequence[float]
    ) -> None:
        self.temperatures = np.asarray(temperatures, dtype=np.float64)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.prior = np.asarray(prior, dtype=np.float64)

    @classmethod
    def fit(
        cls,
        logits: np.ndarray,
        available: np.ndarray,
        label: np.ndarray,
        seed: int = 0,
        weight: np.ndarray | None = None,
    ) -> Blend:
        """Fit on held-out rows.

        Args:
            logits: (K, N, C) of members that were not trained on these rows.
            available: bool (K, N).
            label: int (N,).
            seed: of the bags.
            weight: (N,) of the rows; None if all count alike.
        """
        classes = logits.shape[-1]
        weights = np.ones(len(label)) if weight is None else weight
        counts = np.bincount(label, weights=weights, minlength=classes) + 1
        prior = counts / counts.sum()
        fitted = [
            temperature(x[here], label[here], weights[here])
            for x, here in zip(logits, available, strict=True)
        ]
        rows = np.arange(len(label))
        true = np.stack(
            [np.exp(log_softmax(x / t)[rows, label]) for x, t in zip(logits, fitted, strict=True)]
        )
        chosen = select(true, available, prior[label], seed, weight)
        return cls(fitted, chosen.tolist(), prior.tolist())

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Tempered probabilities of each member, (K, N, C)."""
        return np.stack(
            [np.exp(log_softmax(x / t)) for x, t in zip(logits, self.temperatures, strict=True)]
        )

    def __call__(self, logits: np.ndarray, available: np.ndarray) -> np.ndarray:
        """The averaged probabilities, (N, C)."""
        return average(self.probabilities(logits), available, self.weights, self.prior)


def cross_fitted(
    logits: np.ndarray,
    available: np.ndarray,
    label: np.ndarray,
    fold: np.ndarray,
    seed: int = 0,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """What a blend gives for rows that neither its temperatures nor its weights have seen.

    Args:
        logits: (K, N, C), each row by members that were not trained on it.
        available: bool (K, N).
        label: int (N,).
        fold: int (N,); the rows of a fold are averaged by a blend of all other folds.
        seed: of the bags.
        weight: (N,) of the rows; None if all count alike.

    Returns:
        Probabilities (N, C).
    """
    found = np.empty(logits.shape[1:])
    for held in np.unique(fold):
        inside = fold == held
        known = None if weight is None else weight[~inside]
        blend = Blend.fit(logits[:, ~inside], available[:, ~inside], label[~inside], seed, known)
        found[inside] = blend(logits[:, inside], available[:, inside])
    return found
