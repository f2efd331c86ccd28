"""Phases: stretches of epochs in which some modalities train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs.

    Attributes:
        epochs: number of passes over the training table.
        modalities: the modalities that train; None for all.
    """

    epochs: int
    modalities: tuple[str, ...] | None = None
