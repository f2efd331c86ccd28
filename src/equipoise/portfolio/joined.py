"""Members that read one modality each, joined into one opinion: averaged, or stacked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from equipoise.portfolio.ensemble import log_loss, log_softmax, temperature
from equipoise.portfolio.members import Member

STRENGTHS = (0.01, 0.1, 1.0)
"""Inverse penalties among which a stack is chosen."""
UNKNOWN = -12.0
"""The logit of a class that a stack has not seen."""


def late_sets(members: Iterable[Member]) -> dict[str, list[str]]:
    """{name of the average over the modalities: its members}."""
    found: dict[str, list[str]] = {}
    for member in members:
        if member.late is not None:
            found.setdefault(member.late, []).append(member.name)
    return found


def late_average(
    logits: Sequence[np.ndarray],
    available: Sequence[np.ndarray],
    temperatures: Sequence[float],
) -> np.ndarray:
    """The mean of the tempered log-probabilities of the modalities that are present.

    Args:
        logits: (N, C) of each modality.
        available: bool (N,) of each modality.
        temperatures: of each modality.

    Returns:
        (N, C); zeros where no modality is present.
    """
    total = np.zeros(logits[0].shape)
    count = np.zeros(len(total))
    for x, here, t in zip(logits, available, temperatures, strict=True):
        total += log_softmax(x / t) * here[:, None]
        count += here
    found: np.ndarray = total / np.maximum(count, 1)[:, None]
    return found


class Stack:
    """A linear model on the tempered log-probabilities of members.

    Wolpert. Stacked Generalization. Neural Networks 1992.

    logits = b + Σ_m W_m ℓ_m, where ℓ_m are the log-probabilities of member m less their mean over
    the classes, and zero where the modality is absent.

    Args:
        weights: float32 (C, M·C), W.
        bias: float32 (C,), b.
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        self.weights = weights
        self.bias = bias

    @classmethod
    def fit(
        cls,
        inputs: np.ndarray,
        label: np.ndarray,
        classes: int,
        strength: float,
        weight: np.ndarray | None = None,
    ) -> Stack:
        """Fit to rows that the members were not trained on.

        Args:
            inputs: see `stack_inputs`.
            label: int (N,).
            classes: C.
            strength: inverse of the penalty.
            weight: (N,) of the rows; None if all count alike.
        """
        from sklearn.linear_model import LogisticRegression

        weights = np.zeros((classes, inputs.shape[1]), dtype=np.float32)
        bias = np.full(classes, UNKNOWN, dtype=np.float32)
        known = np.unique(label)
        if len(known) == 1:
            bias[known] = 0
            return cls(weights, bias)
        model = LogisticRegression(C=strength, max_iter=100, tol=1e-3)
        model.fit(inputs, label, sample_weight=weight)
        if len(known) == 2:  # scikit-learn gives the difference of the two
            halves = np.array([[-0.5], [0.5]])
            weights[known], bias[known] = halves * model.coef_, halves[:, 0] * model.intercept_
        else:
            weights[known], bias[known] = model.coef_, model.intercept_
        return cls(weights, bias)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Logits (N, C)."""
        found: np.ndarray = inputs @ self.weights.T + self.bias
        return found


def stack_inputs(
    logits: Sequence[np.ndarray],
    available: Sequence[np.ndarray],
    temperatures: Sequence[float],
) -> np.ndarray:
    """The inputs of a stack, float32 (N, M·C); arguments as those of `late_average`."""
    blocks = []
    for x, here, t in zip(logits, available, temperatures, strict=True):
        log_p = log_softmax(x / t)
        blocks.append((log_p - log_p.mean(axis=1, keepdims=True)) * here[:, None])
    return np.concatenate(blocks, axis=1).astype(np.float32)


def fit_stack(
    inputs: np.ndarray,
    label: np.ndarray,
    classes: int,
    part: np.ndarray,
    weight: np.ndarray,
) -> tuple[Stack, np.ndarray]:
    """Fit a stack, and ask stacks that have not seen a row about it.

    The penalty is the one with the lowest log-loss on the first part.

    Args:
        inputs: see `stack_inputs`; each row by members that were not trained on it.
        label: int (N,).
        classes: C.
        part: int (N,); the rows of a part are predicted by a stack of all other parts.
        weight: (N,) of the rows.

    Returns:
        The stack of all rows, and its cross-fitted logits (N, C).
    """
    logits = np.empty((len(label), classes))
    first, *others = np.unique(part)
    inside = part == first
    tried = []
    for strength in STRENGTHS:
        found = _without(part == first, inputs, label, classes, strength, weight)
        tempered = found / temperature(found, label[inside], weight[inside])
        loss = log_loss(np.exp(log_softmax(tempered)), label[inside], weight[inside])
        tried.append((loss, strength, found))
    _, strength, logits[inside] = min(tried, key=lambda one: one[0])
    for held in others:
        logits[part == held] = _without(part == held, inputs, label, classes, strength, weight)
    return Stack.fit(inputs, label, classes, strength, weight), logits


def _without(
    held: np.ndarray,
    inputs: np.ndarray,
    label: np.ndarray,
    classes: int,
    strength: float,
    weight: np.ndarray,
) -> np.ndarray:
    """The logits of the held-out rows by a stack of the others."""
    rest = ~held
    return Stack.fit(inputs[rest], label[rest], classes, strength, weight[rest])(inputs[held])
