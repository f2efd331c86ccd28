"""Phases: modalities in turn, or alternately one alone and all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from equipoise.training.phase import Phase


def cycle_lengths(epochs: int, cycles: int) -> list[int]:
    """Epochs of each cycle, as equal as integers allow; cycles without any epoch are left out."""
    bounds = [round(epochs * c / cycles) for c in range(cycles + 1)]
    return [b - a for a, b in pairwise(bounds) if b > a]


def turns(epochs: int, modalities: Sequence[str], cycles: int) -> Iterator[Phase]:
    """A phase of each modality in every cycle, so that each sees the data `epochs` times."""
    for length in cycle_lengths(epochs, cycles):
        for modality in modalities:
            yield Phase(length, (modality,))


def stages(
    epochs: int, modalities: Sequence[str], alternation: int, rectification: int
) -> list[Phase]:
    """Phases of one modality, each followed by a phase of all of them (ReconBoost).

    There are as many rounds of at least these lengths as the epochs allow, and a single shortened
    round where they allow none. Every modality sees the data `epochs` times.

    Args:
        epochs: of every modality.
        modalities: in the order of their turns.
        alternation: epochs of a phase of one modality.
        rectification: epochs of a phase of all of them.
    """
    count = len(modalities)
    # One round shows the data to a modality this often: alone once, together after every turn.
    length = alternation + count * rectification
    plan = []
    for budget in cycle_lengths(epochs, max(1, epochs // length)):
        alone = max(1, round(budget * alternation / length))
        together = budget - alone
        for k, modality in enumerate(modalities):
            plan.append(Phase(alone, (modality,)))
            part = together * (k + 1) // count - together * k // count
            plan += [Phase(part)] if part else []
    return plan
