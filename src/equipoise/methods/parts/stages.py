"""Phases in which modalities train in turn, or alone and together by turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from equipoise.training.phase import Phase


def spread(epochs: int, cycles: int) -> list[int]:
    """Epochs of each cycle, as equal as whole numbers allow; cycles without any are left out."""
    bounds = [round(epochs * c / cycles) for c in range(cycles + 1)]
    return [b - a for a, b in pairwise(bounds) if b > a]


def turns(epochs: int, modalities: Sequence[str], cycles: int) -> Iterator[Phase]:
    """In every cycle a phase of each modality, so that each sees the data `epochs` times."""
    for length in spread(epochs, cycles):
        for modality in modalities:
            yield Phase(length, (modality,))


def stages(
    epochs: int, modalities: Sequence[str], alternation: int, rectification: int
) -> list[Phase]:
    """Alternation and rectification by turns, so that every modality sees the data `epochs` times.

    As many rounds of at least the lengths asked for as the epochs allow; one, shortened, where they
    allow none.
    """
    count = len(modalities)
    length = alternation + count * rectification  # how often a modality sees the data in one round
    plan = []
    for budget in spread(epochs, max(1, epochs // length)):
        alone = max(1, round(budget * alternation / length))
        together = budget - alone
        for k, modality in enumerate(modalities):
            plan.append(Phase(alone, (modality,)))
            part = together * (k + 1) // count - together * k // count
            plan += [Phase(part)] if part else []
    return plan
